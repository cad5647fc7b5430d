// SPDX-License-Identifier: Apache-2.0
// pods/binding, pods/ephemeralcontainers and pods/resize (facts/kinds.md 2.6 and 5.9): each changes
// one thing of a pod that an ordinary update may not, and keeps all else.
#include "api/subresources.h"
#include "gen/core_v1.h"

static int step_load(struct op_run *x) {
	int status;
	if (!cor_op_load(x, &status))
		return cor_op_not_found(x);
	if (status < 0)
		return status;
	x->obj = cor_obj_dup(x->type, x->old, x->op->arena);
	return x->obj ? OP_NEXT : cor_fail(&x->op->err, COR_E_LIMIT, "the object is too large");
}

/* ---- binding ---- */

static void set_scheduled(struct op_run *x, core_v1_Pod *pod) {
	core_v1_PodCondition *c = NULL;
	for (size_t i = 0; i < pod->status.conditions.n; i++)
		if (cor_str_eq_c(pod->status.conditions.p[i].type, "PodScheduled"))
			c = &pod->status.conditions.p[i];
	if (!c)
		c = cor_arena_push(x->op->arena, &pod->status.conditions);
	if (!c)
		return;
	*c = (core_v1_PodCondition){
		.type = COR_STR("PodScheduled"), .status = COR_STR("True"),
		.lastTransitionTime = x->ctx.now - x->ctx.now % COR_SECOND,
	};
}

static void put_kv(struct op_run *x, struct cor_strmap *m, const struct cor_kv *kv) {
	size_t at = 0;
	while (at < m->n && cor_str_cmp(m->p[at].key, kv->key) < 0)
		at++;
	if (at < m->n && cor_str_eq(m->p[at].key, kv->key)) {
		m->p[at].value = kv->value;
		return;
	}
	struct cor_kv *last = cor_arena_push(x->op->arena, m);
	if (!last)
		return;
	memmove(&m->p[at + 1], &m->p[at], (m->n - 1 - at) * sizeof(*m->p));
	m->p[at] = *kv;
}

static int check_binding(struct op_run *x, const core_v1_Binding *b) {
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	static const char *const kinds[] = { "Node", "<empty>", NULL };
	if (b->target.kind.n && !cor_str_eq_c(b->target.kind, "Node"))
		cor_fe_not_supported(&errs, COR_ROOT("target.kind"), cor_fv_str(&errs, b->target.kind),
			kinds);
	if (b->target.name.n == 0)
		cor_fe_required(&errs, COR_ROOT("target.name"), "%s", "");
	if (errs.n == 0)
		return 0;
	/* Clients know this one as a 500 without a reason. */
	return cor_fail(&x->op->err, COR_E_INTERNAL, "%.*s", COR_STR_ARG(cor_field_errors_text(&errs)));
}

static int step_bind(struct op_run *x) {
	struct cor_op *op = x->op;
	const core_v1_Binding *b = op->obj;
	core_v1_Pod *pod = x->obj;
	op->http = 201;
	if (!b || (b->metadata.name.n && !cor_str_eq(b->metadata.name, op->name)))
		return cor_op_bad_request(x, "name in URL does not match name in Binding object");
	int status = check_binding(x, b);
	if (status < 0)
		return status;
	if (b->metadata.uid.n && !cor_str_eq(b->metadata.uid, pod->metadata.uid))
		return cor_op_conflict(x, "Precondition failed: UID in precondition: %.*s, UID in object "
			"meta: %.*s", COR_STR_ARG(b->metadata.uid), COR_STR_ARG(pod->metadata.uid));
	if (b->metadata.resourceVersion.n &&
		!cor_str_eq(b->metadata.resourceVersion, pod->metadata.resourceVersion))
		return cor_op_conflict(x, "the object has been modified; please apply your changes to the "
			"latest version and try again");
	if (pod->metadata.deletionTimestamp)
		return cor_op_conflict(x, "pod %.*s is being deleted, cannot be assigned to a host",
			COR_STR_ARG(op->name));
	if (pod->spec.nodeName.n)
		return cor_op_conflict(x, "pod %.*s is already assigned to node \"%.*s\"",
			COR_STR_ARG(op->name), COR_STR_ARG(pod->spec.nodeName));
	if (pod->spec.schedulingGates.n)
		return cor_op_conflict(x, "pod %.*s has non-empty .spec.schedulingGates",
			COR_STR_ARG(op->name));
	pod->spec.nodeName = b->target.name;
	pod->status.nominatedNodeName = (struct cor_str){ 0 };
	for (size_t i = 0; i < b->metadata.annotations.n; i++)
		put_kv(x, &pod->metadata.annotations, &b->metadata.annotations.p[i]);
	for (size_t i = 0; i < b->metadata.labels.n; i++)
		put_kv(x, &pod->metadata.labels, &b->metadata.labels.p[i]);
	set_scheduled(x, pod);
	return OP_NEXT;
}

static int step_bound(struct op_run *x) {
	return cor_op_answer_success(x, false);
}

const op_step cor_sub_binding_steps[] = {
	step_load, step_bind, cor_step_store_update, step_bound, NULL,
};

/* ---- ephemeral containers ---- */

static int step_load_new(struct op_run *x) {
	int status = step_load(x);
	if (status < 0)
		return status;
	if (x->op->verb == COR_VERB_PATCH)
		return cor_op_patch(x, x->type, x->old_blob->json, &x->op->obj);
	return x->op->obj ? OP_NEXT : cor_op_bad_request(x, "an object is required");
}

typedef __typeof__(((core_v1_PodSpec *)0)->ephemeralContainers) ephemeral_list;

static const core_v1_EphemeralContainer *find(const ephemeral_list *l, struct cor_str name) {
	for (size_t i = 0; i < l->n; i++)
		if (cor_str_eq(l->p[i].name, name))
			return &l->p[i];
	return NULL;
}

static void check_ephemeral(struct cor_field_errors *e, const ephemeral_list *now,
	const ephemeral_list *old) {
	const struct cor_fpath *spec = COR_ROOT("spec");
	for (size_t i = 0; i < old->n; i++) {
		const core_v1_EphemeralContainer *was = &old->p[i], *is = find(now, was->name);
		if (!is)
			cor_fe_forbidden(e, spec, "existing ephemeral containers \"%.*s\" may not be removed\n",
				COR_STR_ARG(was->name));
		else if (!cor_obj_equal(&cor_type_core_v1_EphemeralContainer, was, is))
			cor_fe_forbidden(e, spec, "existing ephemeral containers \"%.*s\" may not be changed\n",
				COR_STR_ARG(was->name));
	}
	for (size_t i = 0; i < now->n; i++) {
		const core_v1_EphemeralContainer *c = &now->p[i];
		const struct cor_fpath *list = COR_FIELD(spec, "ephemeralContainers");
		const struct cor_fpath *at = COR_INDEX(list, i);
		(void)cor_fe_need(e, COR_FIELD(at, "name"), c->name, cor_check_dns_label(c->name));
		if (c->image.n == 0)
			cor_fe_required(e, COR_FIELD(at, "image"), "%s", "");
		if (find(now, c->name) != c)
			cor_fe_duplicate(e, COR_FIELD(at, "name"), cor_fv_str(e, c->name));
		if (c->ports.n)
			cor_fe_forbidden(e, COR_FIELD(at, "ports"), "cannot be set for an Ephemeral Container");
	}
}

static int step_ephemeral(struct op_run *x) {
	core_v1_Pod *given = x->op->obj, *pod = x->obj;
	const core_v1_Pod *old = x->old;
	pod->spec.ephemeralContainers.p = given->spec.ephemeralContainers.p;
	pod->spec.ephemeralContainers.n = given->spec.ephemeralContainers.n;
	pod->metadata.resourceVersion = given->metadata.resourceVersion;
	pod->metadata.uid = given->metadata.uid;
	int status = cor_step_defaults(x);
	if (status < 0)
		return status;
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	check_ephemeral(&errs, &pod->spec.ephemeralContainers, &old->spec.ephemeralContainers);
	if (old->metadata.generation &&
		pod->spec.ephemeralContainers.n != old->spec.ephemeralContainers.n)
		pod->metadata.generation++;
	return cor_op_invalid(x, &errs, NULL, NULL);
}

static int step_identity(struct op_run *x) {
	int status = cor_step_preconditions(x);
	cor_op_meta(x)->uid = cor_op_old_meta(x)->uid;
	return status;
}

const op_step cor_sub_ephemeral_steps[] = {
	step_load_new, step_ephemeral, step_identity, cor_step_store_update, NULL,
};

/* ---- resize ---- */

static int step_refuse_resize(struct op_run *x) {
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	cor_fe_forbidden(&errs, COR_ROOT("spec"), "Pod running on node without support for resize");
	return cor_op_invalid(x, &errs, NULL, NULL);
}

const op_step cor_sub_resize_steps[] = { step_load_new, step_refuse_resize, NULL };
