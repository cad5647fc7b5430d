// SPDX-License-Identifier: Apache-2.0
// Creating an object (facts/api-machinery.md section 4). The order of the steps is that of
// Kubernetes and shows in which of several errors a client gets.
#include "api/registry_priv.h"

enum {
	GENERATED_SUFFIX = 5,
	GENERATED_BASE = 58,
	GENERATE_ATTEMPTS = 8,
};

static int step_take(struct op_run *x) {
	struct cor_op *op = x->op;
	op->http = 201;
	if (!op->obj)
		return cor_op_bad_request(x, "an object is required");
	x->obj = op->res == x->storage ? op->obj
	                               : cor_convert(op->res, x->storage, op->obj, op->arena);
	if (!x->obj)
		return cor_fail(&op->err, COR_E_LIMIT, "the object is too large");
	return OP_NEXT;
}

static int step_names(struct op_run *x) {
	struct cor_op *op = x->op;
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	if (!x->storage->namespaced) {
		m->namespace = (struct cor_str){ 0 };
		op->ns = x->ctx.ns = COR_STR("");
	} else if (op->ns.n == 0) {
		op->ns = x->ctx.ns = m->namespace;
	} else if (m->namespace.n == 0) {
		m->namespace = op->ns;
	} else if (!cor_str_eq(m->namespace, op->ns)) {
		return cor_op_bad_request(x, "the namespace of the provided object does not match the "
			"namespace sent on the request");
	}
	if (op->name.n && m->name.n && !cor_str_eq(op->name, m->name))
		return cor_op_bad_request(x, "the name of the object (%.*s) does not match the name on "
			"the URL (%.*s)", COR_STR_ARG(m->name), COR_STR_ARG(op->name));
	if (op->name.n == 0)
		op->name = m->name;     /* what errors are about */
	x->ctx.name = m->name;
	return OP_NEXT;
}

static int step_clear(struct op_run *x) {
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	if (m->resourceVersion.n)
		return cor_fail(&x->op->err, COR_E_INTERNAL,
			"resourceVersion should not be set on objects to be created");
	m->uid = m->selfLink = m->resourceVersion = (struct cor_str){ 0 };
	m->creationTimestamp = m->deletionTimestamp = 0;
	m->deletionGracePeriodSeconds = NULL;
	m->managedFields.n = 0;
	m->managedFields.p = NULL;
	cor_dedup_owners(x);
	return OP_NEXT;
}

/* Nothing new in a namespace that is missing or going away. */
static int step_namespace(struct op_run *x) {
	if (!x->storage->namespaced)
		return OP_NEXT;
	struct cor_str ns = cor_op_meta(x)->namespace;
	if (ns.n == 0)
		return OP_NEXT;         /* validation says so */
	const struct cor_obj *o = cor_store_get_newest(x->r->store, COR_RES_NAMESPACES, COR_STR(""), ns);
	if (!o) {
		x->op->details_kind = "namespaces";
		x->op->name = ns;
		return cor_fail_status(&x->op->err, COR_REASON_NOT_FOUND, "namespaces \"%.*s\" not found",
			COR_STR_ARG(ns));
	}
	if (!o->deleting)
		return OP_NEXT;
	x->op->causes = cor_arena_new_of(x->op->arena, struct cor_cause);
	if (x->op->causes) {
		x->op->n_causes = 1;
		*x->op->causes = (struct cor_cause){
			.field = COR_STR("metadata.namespace"), .reason = COR_STR("NamespaceTerminating"),
			.message = cor_arena_printf(x->op->arena, "namespace %.*s is being terminated",
				COR_STR_ARG(ns)),
		};
	}
	return cor_op_forbidden(x, "unable to create new content in namespace %.*s because it is being "
		"terminated", COR_STR_ARG(ns));
}

static void generate_name(struct op_run *x) {
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	char suffix[GENERATED_SUFFIX + 1];
	cor_random_name(x->r->world, suffix, GENERATED_SUFFIX);
	struct cor_str base = cor_str_sub(m->generateName, 0,
		m->generateName.n < GENERATED_BASE ? m->generateName.n : GENERATED_BASE);
	m->name = cor_arena_printf(x->op->arena, "%.*s%s", COR_STR_ARG(base), suffix);
	x->ctx.name = x->op->name = m->name;
	x->attempts++;
}

static int step_system_fields(struct op_run *x) {
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	if (m->name.n == 0 && m->generateName.n)
		generate_name(x);
	m->creationTimestamp = x->ctx.now - x->ctx.now % COR_SECOND;
	char uid[37];
	cor_random_uid(x->r->world, uid);
	m->uid = cor_arena_str(x->op->arena, cor_str_c(uid));
	m->generation = x->kind->flags & COR_KIND_GENERATION ? 1 : 0;
	if (cor_op_has_status(x) && !(x->kind->flags & COR_KIND_STATUS_ON_CREATE))
		cor_field_restore(x->type, "status", x->obj, NULL);
	if (x->kind->prepare_create)
		x->kind->prepare_create(&x->ctx, x->obj);
	return OP_NEXT;
}

static int step_validate(struct op_run *x) {
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	struct cor_meta_rules rules = {
		.name = x->kind->name_rule, .namespaced = x->storage->namespaced,
		.core_finalizers = *x->storage->group == '\0',
	};
	cor_validate_meta(&errs, COR_ROOT("metadata"), cor_op_meta(x), &rules);
	if (x->kind->validate)
		x->kind->validate(&x->ctx, x->obj, &errs);
	return cor_op_invalid(x, &errs, NULL, NULL);
}

static int step_unique(struct op_run *x) {
	for (;;) {
		meta_v1_ObjectMeta *m = cor_op_meta(x);
		if (!cor_store_get_newest(x->r->store, (uint16_t)x->storage->id, x->op->ns, m->name))
			return OP_NEXT;
		if (x->attempts == 0 || x->attempts >= GENERATE_ATTEMPTS)
			return cor_op_exists(x, m->name);
		generate_name(x);
	}
}

static int step_store(struct op_run *x) {
	return cor_op_write(x, COR_WRITE_CREATE);
}

const op_step cor_op_create_steps[] = {
	step_take, step_names, step_clear, cor_step_defaults, step_namespace, cor_step_admit,
	step_system_fields, step_validate, step_unique, cor_step_allocate, step_store, NULL,
};
