// SPDX-License-Identifier: Apache-2.0
// PodDisruptionBudgets (facts/controllers.md section 9): how many pods there should be, how many
// are healthy, and so how many may be evicted now. The eviction itself is in api/sub_eviction.c,
// which takes from disruptionsAllowed and writes the pod into disruptedPods.
#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"
#include "gen/policy_v1.h"

/* So long an evicted pod counts as gone although it is still there. */
static const cor_time EVICTING = 2 * COR_MINUTE;

struct budget {
	struct cor_plan *p;
	struct cor_arena *a;
	const struct policy_v1_PodDisruptionBudget *obj;
	struct cor_objects pods;
	bool unmanaged;     /* pods without a controller are not counted */
	const char *failed; /* why the pods that should be cannot be counted */
	struct policy_v1_PodDisruptionBudgetStatus *status; /* of the copy that is written */
};

/* ---- how many there should be ---- */

struct owner {
	enum cor_res res;
	const struct meta_v1_ObjectMeta *meta;
	int32_t replicas;
};

static int32_t or_one(const int32_t *n) {
	return n ? *n : 1;
}

/* The object that decides how many pods there are; of a ReplicaSet the Deployment above it. */
static bool find_owner(struct cor_plan *p, const struct meta_v1_ObjectMeta *m, struct owner *ret) {
	const struct meta_v1_OwnerReference *ref = cor_controller_ref(m);
	if (!ref)
		return false;
	if (cor_str_eq_c(ref->kind, "ReplicaSet")) {
		const struct apps_v1_ReplicaSet *o =
			cor_plan_get(p, COR_RES_REPLICASETS, m->namespace, ref->name);
		if (o && find_owner(p, &o->metadata, ret))
			return true;
		if (o)
			*ret = (struct owner){ COR_RES_REPLICASETS, &o->metadata,
				or_one(o->spec.replicas) };
		return o;
	}
	if (cor_str_eq_c(ref->kind, "Deployment")) {
		const struct apps_v1_Deployment *o =
			cor_plan_get(p, COR_RES_DEPLOYMENTS, m->namespace, ref->name);
		if (o)
			*ret = (struct owner){ COR_RES_DEPLOYMENTS, &o->metadata,
				or_one(o->spec.replicas) };
		return o;
	}
	if (cor_str_eq_c(ref->kind, "StatefulSet")) {
		const struct apps_v1_StatefulSet *o =
			cor_plan_get(p, COR_RES_STATEFULSETS, m->namespace, ref->name);
		if (o)
			*ret = (struct owner){ COR_RES_STATEFULSETS, &o->metadata,
				or_one(o->spec.replicas) };
		return o;
	}
	if (cor_str_eq_c(ref->kind, "ReplicationController")) {
		const struct core_v1_ReplicationController *o =
			cor_plan_get(p, COR_RES_REPLICATIONCONTROLLERS, m->namespace, ref->name);
		if (o)
			*ret = (struct owner){ COR_RES_REPLICATIONCONTROLLERS, &o->metadata,
				or_one(o->spec.replicas) };
		return o;
	}
	return false;
}

/* The sum over the different owners of the pods. */
static int32_t expected_of_owners(struct budget *b) {
	const struct meta_v1_ObjectMeta **seen =
		cor_arena_array(b->a, const struct meta_v1_ObjectMeta *, b->pods.n);
	size_t n = 0;
	int32_t sum = 0;
	for (size_t i = 0; seen && i < b->pods.n; i++) {
		const struct core_v1_Pod *pod = b->pods.p[i];
		struct owner o;
		if (!cor_controller_ref(&pod->metadata)) {
			b->unmanaged = true;
			continue;
		}
		if (!find_owner(b->p, &pod->metadata, &o)) {
			b->failed =
				cor_arena_printf(b->a, "the controller of pod %.*s has no scale",
					COR_STR_ARG(pod->metadata.name))
					.p;
			return 0;
		}
		bool known = false;
		for (size_t k = 0; k < n; k++)
			known |= cor_str_eq(seen[k]->uid, o.meta->uid);
		if (known)
			continue;
		seen[n++] = o.meta;
		sum += o.replicas;
	}
	return sum;
}

static void expect(struct budget *b) {
	const struct policy_v1_PodDisruptionBudgetSpec *s = &b->obj->spec;
	struct policy_v1_PodDisruptionBudgetStatus *st = b->status;
	if (s->maxUnavailable.kind) {
		st->expectedPods = expected_of_owners(b);
		st->desiredHealthy = st->expectedPods -
				     cor_intstr_of(s->maxUnavailable, st->expectedPods, 0, true);
		st->desiredHealthy = st->desiredHealthy > 0 ? st->desiredHealthy : 0;
	} else if (s->minAvailable.kind == COR_INTSTR_INT) {
		st->expectedPods = (int32_t)b->pods.n;
		st->desiredHealthy = s->minAvailable.i;
	} else {
		st->expectedPods = expected_of_owners(b);
		st->desiredHealthy = cor_intstr_of(s->minAvailable, st->expectedPods, 1, true);
	}
}

/* ---- which are healthy ---- */

static const struct core_v1_Pod *find_pod(const struct budget *b, struct cor_str name) {
	for (size_t i = 0; i < b->pods.n; i++)
		if (cor_str_eq(((const struct core_v1_Pod *)b->pods.p[i])->metadata.name, name))
			return b->pods.p[i];
	return NULL;
}

/* Evictions that came true or did not happen are forgotten. */
static void forget_disrupted(struct budget *b) {
	struct policy_v1_PodDisruptionBudgetStatus *st = b->status;
	cor_time now = cor_plan_now(b->p);
	size_t kept = 0;
	for (size_t i = 0; i < st->disruptedPods.n; i++) {
		cor_time until = st->disruptedPods.p[i].value + EVICTING;
		const struct core_v1_Pod *pod = find_pod(b, st->disruptedPods.p[i].key);
		if (!pod || cor_deleting(&pod->metadata))
			continue;
		if (until <= now) {
			cor_plan_event(b->p, 0, COR_RES_PODS, pod, "Warning", "NotDeleted",
				"Pod was expected by PDB %.*s/%.*s to be deleted but it wasn't",
				COR_STR_ARG(b->obj->metadata.namespace),
				COR_STR_ARG(b->obj->metadata.name));
			continue;
		}
		cor_plan_again_at(b->p, until);
		st->disruptedPods.p[kept++] = st->disruptedPods.p[i];
	}
	st->disruptedPods.n = kept;
}

static bool is_disrupted(const struct budget *b, struct cor_str name) {
	for (size_t i = 0; i < b->status->disruptedPods.n; i++)
		if (cor_str_eq(b->status->disruptedPods.p[i].key, name))
			return true;
	return false;
}

static int32_t count_healthy(const struct budget *b) {
	int32_t n = 0;
	for (size_t i = 0; i < b->pods.n; i++) {
		const struct core_v1_Pod *pod = b->pods.p[i];
		n += cor_pod_ready(pod) && !cor_deleting(&pod->metadata) &&
		     !is_disrupted(b, pod->metadata.name);
	}
	return n;
}

/* ---- status ---- */

static void set_condition(struct budget *b) {
	struct policy_v1_PodDisruptionBudgetStatus *st = b->status;
	bool yes = st->disruptionsAllowed > 0;
	struct meta_v1_Condition c = {
		.type = COR_STR("DisruptionAllowed"),
		.status = yes ? COR_STR("True") : COR_STR("False"),
		.reason = b->failed ? COR_STR("SyncFailed")
			  : yes     ? COR_STR("SufficientPods")
				    : COR_STR("InsufficientPods"),
		.message = cor_str_c(b->failed ? b->failed : ""),
		.observedGeneration = b->obj->metadata.generation,
		.lastTransitionTime = cor_plan_now(b->p),
	};
	for (size_t i = 0; i < st->conditions.n; i++) {
		if (!cor_str_eq(st->conditions.p[i].type, c.type))
			continue;
		if (cor_str_eq(st->conditions.p[i].status, c.status))
			c.lastTransitionTime = st->conditions.p[i].lastTransitionTime;
		st->conditions.p[i] = c;
		return;
	}
	struct meta_v1_Condition *slot = cor_arena_push(b->a, &st->conditions);
	if (slot)
		*slot = c;
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct policy_v1_PodDisruptionBudget *obj =
		cor_plan_get(p, COR_RES_PODDISRUPTIONBUDGETS, ns, name);
	struct policy_v1_PodDisruptionBudget *copy =
		obj ? cor_obj_dup(&cor_type_policy_v1_PodDisruptionBudget, obj, cor_plan_arena(p))
		    : NULL;
	if (!copy)
		return 0;
	struct budget b = { .p = p, .a = cor_plan_arena(p), .obj = obj, .status = &copy->status };
	struct cor_selector sel;
	if (obj->spec.selector) {
		int e = cor_selector_from_labels(b.a, obj->spec.selector, &sel, err);
		if (e < 0)
			return e;
		b.pods = cor_plan_list_selected(p, COR_RES_PODS, ns, &sel);
	}
	expect(&b);
	forget_disrupted(&b);
	b.status->currentHealthy = count_healthy(&b);
	int32_t spare = b.status->currentHealthy - b.status->desiredHealthy;
	b.status->disruptionsAllowed =
		b.failed || b.status->expectedPods <= 0 || spare < 0 ? 0 : spare;
	b.status->observedGeneration = obj->metadata.generation;
	set_condition(&b);
	if (cor_obj_equal(&cor_type_policy_v1_PodDisruptionBudgetStatus, b.status, &obj->status))
		return 0;
	(void)cor_plan_update_status(p, 0, COR_RES_PODDISRUPTIONBUDGETS, copy);
	if (b.pods.n == 0)
		cor_plan_event(p, 0, COR_RES_PODDISRUPTIONBUDGETS, obj, "Normal", "NoPods",
			"No matching pods found");
	if (b.unmanaged)
		cor_plan_event(p, 0, COR_RES_PODDISRUPTIONBUDGETS, obj, "Warning", "UnmanagedPods",
			"Pods selected by this PodDisruptionBudget (selector) were found to be "
			"unmanaged. "
			"As a result, the status of the PDB cannot be calculated correctly.");
	return 0;
}

static bool wake(void *arg, struct cor_obj *o) {
	cor_enqueue(arg, o->ns, o->name);
	return true;
}

/* Whatever changes about pods or their owners concerns all budgets of the namespace: there are few.
 */
static void map_namespace(
	struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_store_each(store, COR_RES_PODDISRUPTIONBUDGETS, ev->obj->ns, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, wake, q);
}

const struct cor_controller cor_controller_disruption = {
	.name = "disruption",
	.component = "controllermanager",
	.res = COR_RES_PODDISRUPTIONBUDGETS,
	.watches = { { COR_RES_PODDISRUPTIONBUDGETS, NULL }, { COR_RES_PODS, map_namespace },
		{ COR_RES_STATEFULSETS, map_namespace }, { COR_RES_DEPLOYMENTS, map_namespace },
		{ COR_RES_REPLICASETS, map_namespace },
		{ COR_RES_REPLICATIONCONTROLLERS, map_namespace } },
	.n_watches = 6,
	.plan = plan,
};
