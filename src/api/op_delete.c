// SPDX-License-Identifier: Apache-2.0
// Deleting an object (facts/api-machinery.md section 7). A deletion either removes the object at
// once or marks it: for its grace period (pods), for its finalizers, or, for a namespace, until it
// is empty. What is marked is removed by the update that takes the last reason away.
#include "api/registry_priv.h"
#include "gen/core_v1.h"

static const struct cor_str orphan = COR_STR_INIT("orphan");
static const struct cor_str foreground = COR_STR_INIT("foregroundDeletion");

static bool has_finalizer(const meta_v1_ObjectMeta *m, struct cor_str f) {
	for (size_t i = 0; i < m->finalizers.n; i++)
		if (cor_str_eq(m->finalizers.p[i], f))
			return true;
	return false;
}

static bool has_spec_finalizers(const struct op_run *x, const void *obj) {
	return x->storage->id == COR_RES_NAMESPACES &&
		((const core_v1_Namespace *)obj)->spec.finalizers.n > 0;
}

bool cor_op_deletion_due(struct op_run *x) {
	meta_v1_ObjectMeta *m = cor_op_meta(x), *old = cor_op_old_meta(x);
	if (!old->deletionTimestamp || m->finalizers.n || has_spec_finalizers(x, x->obj))
		return false;
	return !m->deletionGracePeriodSeconds || *m->deletionGracePeriodSeconds == 0;
}

static int step_load(struct op_run *x) {
	int status;
	if (!cor_op_load(x, &status))
		return cor_op_not_found(x);
	if (status < 0)
		return status;
	x->obj = cor_obj_dup(x->type, x->old, x->op->arena);
	return x->obj ? OP_NEXT : cor_fail(&x->op->err, COR_E_LIMIT, "the object is too large");
}

static int refuse(struct op_run *x, const char *what, struct cor_str want, struct cor_str have,
	const char *hint) {
	x->op->details_kind = x->res->kind;
	return cor_fail_status(&x->op->err, COR_REASON_CONFLICT, "Operation cannot be fulfilled on "
		"%s%s%s \"%.*s\": the %s in the precondition (%.*s) does not match the %s in record "
		"(%.*s). The object might have been %s", x->res->kind, *x->res->group ? "." : "",
		x->res->group, COR_STR_ARG(x->op->name), what, COR_STR_ARG(want), what,
		COR_STR_ARG(have), hint);
}

static int step_preconditions(struct op_run *x) {
	const meta_v1_ObjectMeta *old = cor_op_old_meta(x);
	const struct cor_op *op = x->op;
	if (op->expect_uid.n && !cor_str_eq(op->expect_uid, old->uid))
		return refuse(x, "UID", op->expect_uid, old->uid, "deleted and then recreated");
	if (op->expect_rv.n && !cor_str_eq(op->expect_rv, old->resourceVersion))
		return refuse(x, "ResourceVersion", op->expect_rv, old->resourceVersion, "modified");
	if (x->kind->admit_delete && x->kind->admit_delete(&x->ctx, x->old, &x->op->err) < 0)
		return x->op->err.code;
	return OP_NEXT;
}

/* Which of the two finalizers of the garbage collector stays or comes. */
static enum cor_propagation propagation(struct op_run *x) {
	const meta_v1_ObjectMeta *old = cor_op_old_meta(x);
	if (x->kind->flags & COR_KIND_NO_GC)
		return COR_PROPAGATION_BACKGROUND;
	if (x->op->propagation != COR_PROPAGATION_DEFAULT)
		return x->op->propagation;
	if (has_finalizer(old, orphan))
		return COR_PROPAGATION_ORPHAN;
	if (has_finalizer(old, foreground))
		return COR_PROPAGATION_FOREGROUND;
	return x->kind->flags & COR_KIND_ORPHAN_DEFAULT ? COR_PROPAGATION_ORPHAN
	                                                : COR_PROPAGATION_BACKGROUND;
}

static int step_finalizers(struct op_run *x) {
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	enum cor_propagation p = propagation(x);
	struct { struct cor_str *p; size_t n; } kept = { 0 };
	for (size_t i = 0; i < m->finalizers.n; i++) {
		struct cor_str f = m->finalizers.p[i];
		if (cor_str_eq(f, orphan) || cor_str_eq(f, foreground))
			continue;
		struct cor_str *s = cor_arena_push(x->op->arena, &kept);
		if (s)
			*s = f;
	}
	if (p == COR_PROPAGATION_ORPHAN || p == COR_PROPAGATION_FOREGROUND) {
		struct cor_str *s = cor_arena_push(x->op->arena, &kept);
		if (s)
			*s = p == COR_PROPAGATION_ORPHAN ? orphan : foreground;
	}
	m->finalizers.p = kept.p;
	m->finalizers.n = kept.n;
	return OP_NEXT;
}

static void set_grace(struct op_run *x, cor_time at, int64_t grace) {
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	m->deletionTimestamp = at - at % COR_SECOND;
	m->deletionGracePeriodSeconds = cor_arena_new_of(x->op->arena, int64_t);
	if (m->deletionGracePeriodSeconds)
		*m->deletionGracePeriodSeconds = grace;
}

static void mark(struct op_run *x, int64_t grace) {
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	set_grace(x, x->ctx.now + grace * COR_SECOND, grace);
	if (m->generation > 0)
		m->generation++;
}

/* The same object again, without a change; written once more when it is not durable yet. */
static int unchanged(struct op_run *x) {
	x->obj = x->old;
	return cor_op_write(x, COR_WRITE_UPDATE);
}

static int64_t pod_grace(const struct op_run *x, const core_v1_Pod *pod) {
	int64_t grace = 0;
	if (x->op->grace_s != -1)
		grace = x->op->grace_s;
	else if (pod->spec.terminationGracePeriodSeconds)
		grace = *pod->spec.terminationGracePeriodSeconds;
	if (pod->spec.nodeName.n == 0 || cor_str_eq_c(pod->status.phase, "Failed") ||
		cor_str_eq_c(pod->status.phase, "Succeeded"))
		grace = 0;
	return grace < 0 ? 1 : grace;
}

/* A pod that is being deleted already: a shorter period counts, a longer one does not. */
static int delete_again(struct op_run *x) {
	const meta_v1_ObjectMeta *old = cor_op_old_meta(x);
	int64_t had = old->deletionGracePeriodSeconds ? *old->deletionGracePeriodSeconds : 0;
	int64_t want = x->op->grace_s < -1 ? 1 : x->op->grace_s;
	if (had == 0)
		return cor_op_meta(x)->finalizers.n ? unchanged(x) : cor_op_write(x, COR_WRITE_DELETE);
	if (want == -1 || want >= had)
		return unchanged(x);
	cor_time at = old->deletionTimestamp - (had - want) * COR_SECOND;
	if (at < x->ctx.now) {
		at = x->ctx.now;
		want = want ? 1 : 0;
	}
	set_grace(x, at, want);
	return want == 0 && cor_op_meta(x)->finalizers.n == 0 ? cor_op_write(x, COR_WRITE_DELETE)
	                                                      : cor_op_write(x, COR_WRITE_UPDATE);
}

static int delete_pod(struct op_run *x) {
	if (cor_op_old_meta(x)->deletionTimestamp)
		return delete_again(x);
	int64_t grace = pod_grace(x, x->obj);
	mark(x, grace);
	return grace == 0 && cor_op_meta(x)->finalizers.n == 0 ? cor_op_write(x, COR_WRITE_DELETE)
	                                                       : cor_op_write(x, COR_WRITE_UPDATE);
}

static int step_delete(struct op_run *x) {
	const meta_v1_ObjectMeta *old = cor_op_old_meta(x);
	bool stays = cor_op_meta(x)->finalizers.n > 0 || has_spec_finalizers(x, x->obj);
	if (x->kind->flags & COR_KIND_GRACEFUL)
		return delete_pod(x);
	if (!stays)
		return cor_op_write(x, COR_WRITE_DELETE);
	if (!old->deletionTimestamp) {
		mark(x, 0);
		if (x->storage->id == COR_RES_NAMESPACES) {
			cor_op_meta(x)->deletionGracePeriodSeconds = NULL;
			((core_v1_Namespace *)x->obj)->status.phase = COR_STR("Terminating");
		}
	}
	return cor_op_write(x, COR_WRITE_UPDATE);       /* finalizers may have changed */
}

int cor_op_answer_success(struct op_run *x, bool details) {
	struct cor_op *op = x->op;
	meta_v1_Status s = { .status = COR_STR("Success") };
	meta_v1_StatusDetails d = {
		.name = op->name, .group = cor_str_c(x->res->group), .kind = cor_str_c(x->res->plural),
	};
	if (details) {
		d.uid = cor_op_old_meta(x)->uid;
		s.details = &d;
	} else {
		s.code = op->http;
	}
	cor_obj_set_typemeta(&cor_type_meta_v1_Status, &s, op->arena);
	s.apiVersion = COR_STR("v1");
	return cor_op_answer_object(x, &cor_type_meta_v1_Status, &s);
}

static int step_answer(struct op_run *x) {
	if (x->op->removed && !(x->kind->flags & COR_KIND_DELETE_RETURNS_OBJECT))
		return cor_op_answer_success(x, true);
	return OP_NEXT;
}

const op_step cor_op_delete_steps[] = {
	step_load, step_preconditions, step_finalizers, step_delete, step_answer, NULL,
};
