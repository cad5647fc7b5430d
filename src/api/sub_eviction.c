// SPDX-License-Identifier: Apache-2.0
// pods/eviction: a deletion that disruption budgets may refuse (facts/kinds.md 2.6). Three writes,
// each checked against the newest state: the budget gives one disruption away, the pod is marked
// as a target, the pod is deleted. The last two are operations of their own.
#include "api/subresources.h"
#include "codec/selector.h"
#include "gen/core_v1.h"
#include "gen/policy_v1.h"

struct eviction {
	struct op_run *x;
	const meta_v1_DeleteOptions *options;
	struct cor_op child;
	policy_v1_PodDisruptionBudget *budget;
};

static int refused(struct op_run *x, int retry, struct cor_str cause) {
	x->op->causes = cor_arena_new_of(x->op->arena, struct cor_cause);
	if (x->op->causes) {
		*x->op->causes = (struct cor_cause){ .reason = COR_STR("DisruptionBudget"), .message = cause };
		x->op->n_causes = 1;
	}
	int status = cor_fail_status(&x->op->err, COR_REASON_TOO_MANY_REQUESTS,
		"Cannot evict pod as it would violate the pod's disruption budget.");
	x->op->err.retry_after_s = retry;
	return status;
}

static int step_load(struct op_run *x) {
	int status;
	x->op->http = 201;
	if (!cor_op_load(x, &status))
		return cor_op_not_found(x);
	if (status < 0)
		return status;
	const policy_v1_Eviction *e = x->op->obj;
	if (!e || (e->metadata.name.n && !cor_str_eq(e->metadata.name, x->op->name)))
		return cor_op_bad_request(x, "name in URL does not match name in Eviction object");
	struct eviction *v = cor_arena_new_of(x->op->arena, struct eviction);
	if (!v)
		return cor_fail(&x->op->err, COR_E_LIMIT, "the request is too large");
	v->x = x;
	v->options = e->deleteOptions;
	x->more = v;
	return OP_NEXT;
}

static bool unprotected(const core_v1_Pod *pod) {
	static const char *const phases[] = { "Pending", "Succeeded", "Failed" };
	if (pod->metadata.deletionTimestamp)
		return true;
	for (size_t i = 0; i < cor_countof(phases); i++)
		if (cor_str_eq_c(pod->status.phase, phases[i]))
			return true;
	return false;
}

struct matching {
	struct op_run *x;
	const struct cor_obj *pod;
	struct cor_obj *found;
	size_t n;
};

static bool match_budget(void *arg, struct cor_obj *o) {
	struct matching *m = arg;
	struct cor_err err;
	struct cor_arena *a = m->x->op->arena;
	policy_v1_PodDisruptionBudget *b = cor_obj_decode(o, a, &err);
	struct cor_selector sel;
	if (!b || !b->spec.selector || cor_selector_from_labels(a, b->spec.selector, &sel, &err) < 0 ||
		!cor_selector_matches(&sel, &m->pod->labels))
		return true;
	m->n++;
	m->found = o;
	return true;
}

static bool is_ready(const core_v1_Pod *pod) {
	for (size_t i = 0; i < pod->status.conditions.n; i++)
		if (cor_str_eq_c(pod->status.conditions.p[i].type, "Ready"))
			return cor_str_eq_c(pod->status.conditions.p[i].status, "True");
	return false;
}

static void child_done(struct cor_op *op) {
	struct op_run *x = op->arg;
	if (op->status < 0) {
		x->op->err = op->err;
		x->step = (const op_step[]){ NULL };
		cor_op_finish(x, op->status);
		return;
	}
	x->step++;
	cor_op_continue(x);
}

static int start_child(struct op_run *x, enum cor_verb verb, enum cor_res res, const char *sub,
	struct cor_str name, void *obj) {
	struct eviction *v = x->more;
	v->child = (struct cor_op){
		.verb = verb, .res = &cor_resources[res], .ns = x->op->ns, .name = name, .obj = obj,
		.subresource = cor_str_c(sub), .arena = x->op->arena, .dry_run = x->op->dry_run,
		.grace_s = -1, .done = child_done, .arg = x,
	};
	if (verb == COR_VERB_DELETE && v->options) {
		const meta_v1_DeleteOptions *o = v->options;
		if (o->gracePeriodSeconds)
			v->child.grace_s = *o->gracePeriodSeconds;
		if (o->preconditions) {
			v->child.expect_uid = o->preconditions->uid;
			v->child.expect_rv = o->preconditions->resourceVersion;
		}
	}
	cor_op_start(x->r, &v->child);
	return OP_WAIT;
}

static int step_budget(struct op_run *x) {
	const core_v1_Pod *pod = x->old;
	if (unprotected(pod))
		return OP_NEXT;
	struct matching m = { .x = x, .pod = x->old_blob };
	cor_store_each(x->r->store, COR_RES_PODDISRUPTIONBUDGETS, x->op->ns, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, match_budget, &m);
	if (m.n == 0)
		return OP_NEXT;
	if (m.n > 1)
		return cor_fail(&x->op->err, COR_E_INTERNAL, "This pod has more than one "
			"PodDisruptionBudget, which the eviction subresource does not support.");
	struct cor_obj *newest = cor_store_get_newest(x->r->store, COR_RES_PODDISRUPTIONBUDGETS,
		m.found->ns, m.found->name);
	struct cor_arena *a = x->op->arena;
	policy_v1_PodDisruptionBudget *shared = newest ? cor_obj_decode(newest, a, &x->op->err) : NULL;
	policy_v1_PodDisruptionBudget *b = shared
		? cor_obj_dup(&cor_type_policy_v1_PodDisruptionBudget, shared, a) : NULL;
	if (!b)
		return newest ? cor_fail(&x->op->err, COR_E_LIMIT, "the budget is too large") : OP_NEXT;
	if (!is_ready(pod) && (cor_str_eq_c(b->spec.unhealthyPodEvictionPolicy, "AlwaysAllow") ||
		(b->status.currentHealthy >= b->status.desiredHealthy && b->status.desiredHealthy > 0)))
		return OP_NEXT;
	if (b->status.observedGeneration < b->metadata.generation)
		return refused(x, 10, cor_arena_printf(a, "The disruption budget %.*s is still being "
			"processed by the server.", COR_STR_ARG(b->metadata.name)));
	if (b->status.disruptionsAllowed <= 0)
		return refused(x, 0, cor_arena_printf(a, "The disruption budget %.*s needs %d healthy pods "
			"and has %d currently", COR_STR_ARG(b->metadata.name), b->status.desiredHealthy,
			b->status.currentHealthy));
	if (b->status.disruptedPods.n > 2000)
		return cor_op_forbidden(x, "DisruptedPods map too big - too many evictions not confirmed "
			"by PDB controller");
	b->status.disruptionsAllowed--;
	__typeof__(b->status.disruptedPods.p) d = cor_arena_push(a, &b->status.disruptedPods);
	if (d) {
		d->key = x->op->name;
		d->value = x->ctx.now - x->ctx.now % COR_SECOND;
	}
	return start_child(x, COR_VERB_UPDATE, COR_RES_PODDISRUPTIONBUDGETS, "status", b->metadata.name, b);
}

static int step_mark(struct op_run *x) {
	int status;
	if (!cor_op_load(x, &status))
		return cor_op_not_found(x);
	core_v1_Pod *pod = status < 0 ? NULL : cor_obj_dup(x->type, x->old, x->op->arena);
	if (!pod)
		return cor_fail(&x->op->err, COR_E_LIMIT, "the pod is too large");
	core_v1_PodCondition *c = cor_arena_push(x->op->arena, &pod->status.conditions);
	if (c)
		*c = (core_v1_PodCondition){
			.type = COR_STR("DisruptionTarget"), .status = COR_STR("True"),
			.reason = COR_STR("EvictionByEvictionAPI"),
			.message = COR_STR("Eviction API: evicting"),
			.lastTransitionTime = x->ctx.now - x->ctx.now % COR_SECOND,
		};
	return start_child(x, COR_VERB_UPDATE, COR_RES_PODS, "status", x->op->name, pod);
}

static int step_delete(struct op_run *x) {
	return start_child(x, COR_VERB_DELETE, COR_RES_PODS, NULL, x->op->name, NULL);
}

static int step_answer(struct op_run *x) {
	return cor_op_answer_success(x, false);
}

const op_step cor_sub_eviction_steps[] = {
	step_load, step_budget, step_mark, step_delete, step_answer, NULL,
};
