// SPDX-License-Identifier: Apache-2.0
// Replacing and patching an object, whole or only its status (facts/api-machinery.md sections 5
// and 6). A patch is applied to the newest version and handed to the store in the same turn of
// the loop, so it never meets a conflict and needs no second try.
#include "api/registry_priv.h"

/* PUT of a missing object: as a create from here on. */
static int become_create(struct op_run *x) {
	if (x->op->verb != COR_VERB_UPDATE || !(x->kind->flags & COR_KIND_CREATE_ON_UPDATE) ||
		x->op->subresource.n)
		return cor_op_not_found(x);
	x->step = cor_op_create_steps;
	return OP_JUMP;
}

/* The document that a patch of this client sees: the stored one, or its form in another version. */
static int patched(struct op_run *x) {
	struct cor_op *op = x->op;
	struct cor_str json = x->old_blob->json;
	if (op->res != x->storage) {
		void *other = cor_convert(x->storage, op->res, x->old, op->arena);
		if (!other)
			return cor_fail(&op->err, COR_E_LIMIT, "the object is too large");
		cor_obj_set_typemeta(op->res->type, other, op->arena);
		cor_buf_clear(&x->r->encode);
		(void)cor_json_encode(op->res->type, other, &x->r->encode);
		json = cor_arena_str(op->arena, cor_buf_view(&x->r->encode));
	}
	return cor_op_patch(x, op->res->type, json, &op->obj);
}

static int step_load(struct op_run *x) {
	struct cor_op *op = x->op;
	int status;
	if (!cor_op_load(x, &status))
		return become_create(x);
	if (status < 0)
		return status;
	if (op->verb == COR_VERB_PATCH) {
		status = patched(x);
		if (status < 0)
			return status;
	}
	if (!op->obj)
		return cor_op_bad_request(x, "an object is required");
	x->obj = op->res == x->storage ? op->obj
	                               : cor_convert(op->res, x->storage, op->obj, op->arena);
	return x->obj ? OP_NEXT : cor_fail(&op->err, COR_E_LIMIT, "the object is too large");
}

static int step_names(struct op_run *x) {
	struct cor_op *op = x->op;
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	if (op->verb == COR_VERB_UPDATE) {
		if (!cor_str_eq(m->name, op->name))
			return cor_op_bad_request(x, "the name of the object (%.*s) does not match the "
				"name on the URL (%.*s)", COR_STR_ARG(m->name), COR_STR_ARG(op->name));
		if (!x->storage->namespaced || m->namespace.n == 0)
			m->namespace = cor_op_old_meta(x)->namespace;
		if (!cor_str_eq(m->namespace, op->ns))
			return cor_op_bad_request(x, "the namespace of the provided object does not match "
				"the namespace sent on the request");
	}
	return OP_NEXT;
}

int cor_step_preconditions(struct op_run *x) {
	struct cor_op *op = x->op;
	meta_v1_ObjectMeta *m = cor_op_meta(x), *old = cor_op_old_meta(x);
	struct cor_str rv = op->expect_rv.n ? op->expect_rv : m->resourceVersion;
	if (rv.n == 0 || cor_str_eq(rv, COR_STR("0"))) {
		if (op->verb == COR_VERB_UPDATE && (x->kind->flags & COR_KIND_NO_UNCONDITIONAL)) {
			struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(op->arena);
			cor_fe_invalid(&errs, COR_ROOT("metadata.resourceVersion"), cor_fv_int(&errs, 0),
				"must be specified for an update");
			return cor_op_invalid(x, &errs, x->res->plural, NULL);
		}
	} else if (!cor_str_eq(rv, old->resourceVersion)) {
		return cor_op_conflict(x, "the object has been modified; please apply your changes to the "
			"latest version and try again");
	}
	struct cor_str uid = op->expect_uid.n ? op->expect_uid : m->uid;
	if (uid.n && !cor_str_eq(uid, old->uid))
		return cor_op_conflict(x, "StorageError: invalid object, Code: 4, Key: /registry/%s/%.*s%s"
			"%.*s, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
			"precondition: %.*s, UID in object meta: %.*s", x->storage->plural,
			COR_STR_ARG(op->ns), op->ns.n ? "/" : "", COR_STR_ARG(op->name), COR_STR_ARG(uid),
			COR_STR_ARG(old->uid));
	m->resourceVersion = old->resourceVersion;
	return OP_NEXT;
}

/* What no client changes. */
int cor_step_keep_system(struct op_run *x) {
	meta_v1_ObjectMeta *m = cor_op_meta(x), *old = cor_op_old_meta(x);
	cor_dedup_owners(x);
	m->uid = old->uid;
	m->selfLink = (struct cor_str){ 0 };
	m->generation = old->generation;
	m->managedFields.n = 0;
	m->managedFields.p = NULL;
	if (old->creationTimestamp)
		m->creationTimestamp = old->creationTimestamp;
	if (old->deletionTimestamp) {
		m->deletionTimestamp = old->deletionTimestamp;
		if (!m->deletionGracePeriodSeconds)
			m->deletionGracePeriodSeconds = old->deletionGracePeriodSeconds;
	} else {
		m->deletionTimestamp = 0;
		m->deletionGracePeriodSeconds = NULL;
	}
	return OP_NEXT;
}

static void restore_all_but_status(struct op_run *x) {
	void *obj = cor_arena_alloc(x->op->arena, x->type->size);
	if (!obj)
		return;
	memcpy(obj, x->old, x->type->size);
	cor_field_restore(x->type, "status", obj, x->obj);
	meta_v1_ObjectMeta *to = cor_meta(x->type, obj), *from = cor_op_meta(x);
	to->labels = from->labels;
	to->annotations = from->annotations;
	to->finalizers.p = from->finalizers.p;
	to->finalizers.n = from->finalizers.n;
	to->ownerReferences.p = from->ownerReferences.p;
	to->ownerReferences.n = from->ownerReferences.n;
	x->obj = obj;
}

int cor_step_prepare_update(struct op_run *x) {
	if (cor_op_sub_is(x, "status")) {
		restore_all_but_status(x);
		if (x->kind->prepare_status)
			x->kind->prepare_status(&x->ctx, x->obj, x->old);
		return OP_NEXT;
	}
	if (cor_op_has_status(x))
		cor_field_restore(x->type, "status", x->obj, x->old);
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	if (x->kind->prepare_update)
		x->kind->prepare_update(&x->ctx, x->obj, x->old);
	if ((x->kind->flags & COR_KIND_GENERATION) && m->generation == cor_op_old_meta(x)->generation &&
		!cor_field_equal(x->type, "spec", x->obj, x->old))
		m->generation++;
	return OP_NEXT;
}

int cor_step_validate_update(struct op_run *x) {
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	cor_validate_meta_update(&errs, COR_ROOT("metadata"), cor_op_meta(x), cor_op_old_meta(x));
	if (cor_op_sub_is(x, "status")) {
		if (x->kind->validate_status)
			x->kind->validate_status(&x->ctx, x->obj, x->old, &errs);
	} else if (x->kind->validate_update) {
		x->kind->validate_update(&x->ctx, x->obj, x->old, &errs);
	}
	return cor_op_invalid(x, &errs, NULL, NULL);
}

int cor_step_store_update(struct op_run *x) {
	if (cor_op_deletion_due(x))
		return cor_op_write(x, COR_WRITE_DELETE);
	return cor_op_write(x, COR_WRITE_UPDATE);
}

const op_step cor_op_update_steps[] = {
	step_load, step_names, cor_step_defaults, cor_step_admit, cor_step_preconditions,
	cor_step_keep_system, cor_step_prepare_update, cor_step_validate_update, cor_step_allocate,
	cor_step_store_update, NULL,
};
