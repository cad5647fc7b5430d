// SPDX-License-Identifier: Apache-2.0
// ReplicaSets and ReplicationControllers (facts/controllers.md section 3): one planner, two rows. It
// works on a view (struct rset) of what the two kinds have in common.
#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"

enum { BURST_MAX = 500 };

static const struct cor_str COST_ANNOTATION = COR_STR_INIT("controller.kubernetes.io/pod-deletion-cost");

struct rset {
	struct cor_plan *p;
	struct cor_arena *a;
	cor_time now;
	enum cor_res res;
	const char *component;
	const void *obj;
	const struct meta_v1_ObjectMeta *meta;
	struct cor_selector selector;
	const struct core_v1_PodTemplateSpec *template;
	int32_t replicas, min_ready;
	struct { const struct core_v1_Pod **p; size_t n; } active;
	int32_t terminating;
	cor_time when;
};

static void note(struct rset *r, struct cor_action *action, struct cor_str pod) {
	cor_pod_note(r->p, action, r->component, r->res, r->meta, pod);
}

/* ---- more pods ---- */

/* Batches of 1, 2, 4, ...: when the first pods are refused, the rest is not even tried. */
static void plan_create(struct rset *r, size_t count) {
	size_t in_stage = 0, stage_size = 1;
	int stage = 1;
	for (size_t i = 0; i < count; i++) {
		struct core_v1_Pod *pod = cor_pod_from_template(r->p, r->template, r->res, r->meta);
		if (!pod)
			return;
		note(r, cor_plan_create(r->p, stage, COR_RES_PODS, pod), (struct cor_str){ 0 });
		if (++in_stage == stage_size) {
			in_stage = 0;
			stage_size *= 2;
			stage++;
		}
	}
}

/* ---- fewer pods: who dies first ---- */

struct rank {
	const struct core_v1_Pod *pod;
	int phase;
	bool assigned, ready;
	int64_t cost;
	size_t siblings;                /* active pods on the same node */
	int ready_bucket, age_bucket;   /* log2 of nanoseconds */
	int32_t restarts;
};

static int phase_order(struct cor_str phase) {
	if (cor_str_eq(phase, COR_STR("Running")))
		return 2;
	return cor_str_eq(phase, COR_STR("Unknown")) ? 1 : 0;
}

static int log2_bucket(cor_time age) {
	return age <= 0 ? -1 : 63 - __builtin_clzll((unsigned long long)age * 1000u);
}

static struct rank rank_of(struct rset *r, const struct core_v1_Pod *pod) {
	const struct core_v1_PodCondition *ready = cor_pod_condition(pod, COR_STR("Ready"));
	struct rank k = {
		.pod = pod,
		.assigned = pod->spec.nodeName.n > 0,
		.phase = phase_order(pod->status.phase),
		.ready = cor_pod_ready(pod),
		.age_bucket = log2_bucket(r->now - pod->metadata.creationTimestamp),
	};
	int64_t cost;
	if (cor_str_to_i64(cor_strmap_value(&pod->metadata.annotations, COST_ANNOTATION), &cost))
		k.cost = cost;
	if (k.ready && ready->lastTransitionTime)
		k.ready_bucket = log2_bucket(r->now - ready->lastTransitionTime);
	for (size_t i = 0; i < r->active.n; i++)
		if (k.assigned && cor_str_eq(r->active.p[i]->spec.nodeName, pod->spec.nodeName))
			k.siblings++;
	for (size_t i = 0; i < pod->status.containerStatuses.n; i++)
		if (pod->status.containerStatuses.p[i].restartCount > k.restarts)
			k.restarts = pod->status.containerStatuses.p[i].restartCount;
	return k;
}

/* Negative: x dies before y. */
static int dies_first(const void *a, const void *b) {
	const struct rank *x = a, *y = b;
	if (x->assigned != y->assigned)
		return x->assigned ? 1 : -1;
	if (x->phase != y->phase)
		return x->phase - y->phase;
	if (x->ready != y->ready)
		return x->ready ? 1 : -1;
	if (x->cost != y->cost)
		return x->cost < y->cost ? -1 : 1;
	if (x->siblings != y->siblings)
		return x->siblings > y->siblings ? -1 : 1;
	if (x->ready_bucket != y->ready_bucket)
		return x->ready_bucket - y->ready_bucket;
	if (x->restarts != y->restarts)
		return x->restarts > y->restarts ? -1 : 1;
	if (x->age_bucket != y->age_bucket)
		return x->age_bucket - y->age_bucket;
	return cor_str_cmp(x->pod->metadata.uid, y->pod->metadata.uid);
}

static void plan_delete(struct rset *r, size_t count) {
	struct rank *ranks = cor_arena_array(r->a, struct rank, r->active.n);
	if (!ranks)
		return;
	for (size_t i = 0; i < r->active.n; i++)
		ranks[i] = rank_of(r, r->active.p[i]);
	qsort(ranks, r->active.n, sizeof(*ranks), dies_first);
	for (size_t i = 0; i < count; i++) {
		const struct meta_v1_ObjectMeta *m = &ranks[i].pod->metadata;
		note(r, cor_plan_delete(r->p, 1, COR_RES_PODS, m->namespace, m->name, m->uid), m->name);
	}
}

static void manage(struct rset *r) {
	int64_t diff = (int64_t)r->active.n - r->replicas;
	if (diff < 0)
		plan_create(r, (size_t)(-diff < BURST_MAX ? -diff : BURST_MAX));
	else if (diff > 0)
		plan_delete(r, (size_t)(diff < BURST_MAX ? diff : BURST_MAX));
	if (diff != 0)
		cor_plan_waits(r->p, "%zu pods, %d wanted", r->active.n, r->replicas);
}

/* ---- gather and status ---- */

static void gather(struct rset *r) {
	struct cor_claim claim = {
		.res = COR_RES_PODS, .owner_res = r->res, .owner = r->meta, .selector = &r->selector,
	};
	struct cor_objects pods = cor_claim_dependents(r->p, &claim);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		if (!cor_pod_active(pod)) {
			r->terminating += !cor_pod_finished(pod);
			continue;
		}
		const struct core_v1_Pod **slot = cor_arena_push(r->a, &r->active);
		if (slot)
			*slot = pod;
	}
}

static bool has_all_labels(const struct cor_strmap *labels, const struct cor_strmap *wanted) {
	for (size_t i = 0; i < wanted->n; i++) {
		const struct cor_str *v = cor_strmap_get(labels, wanted->p[i].key);
		if (!v || !cor_str_eq(*v, wanted->p[i].value))
			return false;
	}
	return true;
}

struct counts {
	int32_t replicas, labeled, ready, available;
};

static struct counts count(struct rset *r) {
	struct counts c = { .replicas = (int32_t)r->active.n };
	for (size_t i = 0; i < r->active.n; i++) {
		const struct core_v1_Pod *pod = r->active.p[i];
		c.labeled += has_all_labels(&pod->metadata.labels, &r->template->metadata.labels);
		c.ready += cor_pod_ready(pod);
		c.available += cor_pod_available(pod, r->min_ready, r->now, &r->when);
	}
	if (r->when)
		cor_plan_again_at(r->p, r->when);
	return c;
}

/* Why there are too few pods, or too many: what the last plan failed with. NULL: it did not. */
static const char *failure(const struct rset *r, struct cor_str *ret_text) {
	enum cor_verb verb;
	const char *text = cor_plan_failure(r->p, &verb);
	*ret_text = cor_arena_str(r->a, cor_str_c(text ? text : ""));
	if (!text || (int64_t)r->active.n == r->replicas)
		return NULL;
	return verb == COR_VERB_CREATE ? "FailedCreate" : verb == COR_VERB_DELETE ? "FailedDelete" : NULL;
}

/* ---- the two kinds ---- */

/* The kinds' statuses differ in types only; this writes either. */
#define FILL_STATUS(copy, c, r) do { \
	(copy)->status.replicas = (c).replicas; \
	(copy)->status.fullyLabeledReplicas = (c).labeled; \
	(copy)->status.readyReplicas = (c).ready; \
	(copy)->status.availableReplicas = (c).available; \
	(copy)->status.observedGeneration = (r)->meta->generation; \
} while (0)

/* ReplicaFailure comes with the first failure, is not refreshed, and goes when all went well; others stay. */
#define FILL_FAILURE(copy, r) do { \
	struct cor_str text; \
	const char *reason = failure(r, &text); \
	__typeof__((copy)->status.conditions) old = (copy)->status.conditions, now = { 0 }; \
	__typeof__(old.p) slot; \
	bool there = false; \
	for (size_t i = 0; i < old.n; i++) { \
		bool ours = cor_str_eq(old.p[i].type, COR_STR("ReplicaFailure")); \
		there |= ours; \
		if ((!ours || reason) && (slot = cor_arena_push((r)->a, &now))) \
			*slot = old.p[i]; \
	} \
	if (reason && !there && (slot = cor_arena_push((r)->a, &now))) \
		*slot = (__typeof__(*slot)){ \
			.type = COR_STR("ReplicaFailure"), .status = COR_STR("True"), .message = text, \
			.reason = cor_str_c(reason), .lastTransitionTime = (r)->now, \
		}; \
	memcpy(&(copy)->status.conditions, &now, sizeof(now)); \
} while (0)

static int plan_replicaset(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct apps_v1_ReplicaSet *rs = cor_plan_get(p, COR_RES_REPLICASETS, ns, name);
	struct rset *r = cor_arena_new_of(cor_plan_arena(p), struct rset);
	if (!rs || !r)
		return 0;
	*r = (struct rset){
		.p = p, .a = cor_plan_arena(p), .now = cor_plan_now(p), .res = COR_RES_REPLICASETS,
		.component = "replicaset-controller", .obj = rs, .meta = &rs->metadata,
		.template = &rs->spec.template, .replicas = rs->spec.replicas ? *rs->spec.replicas : 1,
		.min_ready = rs->spec.minReadySeconds,
	};
	int e = cor_selector_from_labels(r->a, rs->spec.selector, &r->selector, err);
	if (e < 0)
		return e;
	gather(r);
	struct apps_v1_ReplicaSet *copy = cor_obj_dup(&cor_type_apps_v1_ReplicaSet, rs, r->a);
	if (!copy)
		return 0;
	struct counts c = count(r);
	FILL_STATUS(copy, c, r);
	FILL_FAILURE(copy, r);
	copy->status.terminatingReplicas = cor_arena_new_of(r->a, int32_t);
	if (copy->status.terminatingReplicas)
		*copy->status.terminatingReplicas = r->terminating;
	if (!cor_obj_equal(&cor_type_apps_v1_ReplicaSetStatus, &copy->status, &rs->status))
		(void)cor_plan_update_status(p, 0, COR_RES_REPLICASETS, copy);
	if (!cor_deleting(r->meta))
		manage(r);
	return 0;
}

static int plan_rc(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_ReplicationController *rc = cor_plan_get(p, COR_RES_REPLICATIONCONTROLLERS, ns, name);
	struct rset *r = cor_arena_new_of(cor_plan_arena(p), struct rset);
	if (!rc || !r || !rc->spec.template)
		return 0;
	*r = (struct rset){
		.p = p, .a = cor_plan_arena(p), .now = cor_plan_now(p), .res = COR_RES_REPLICATIONCONTROLLERS,
		.component = "replication-controller", .obj = rc, .meta = &rc->metadata,
		.template = rc->spec.template, .replicas = rc->spec.replicas ? *rc->spec.replicas : 1,
		.min_ready = rc->spec.minReadySeconds,
	};
	int e = cor_selector_from_map(r->a, &rc->spec.selector, &r->selector, err);
	if (e < 0)
		return e;
	gather(r);
	struct core_v1_ReplicationController *copy = cor_obj_dup(&cor_type_core_v1_ReplicationController, rc, r->a);
	if (!copy)
		return 0;
	struct counts c = count(r);
	FILL_STATUS(copy, c, r);
	FILL_FAILURE(copy, r);
	if (!cor_obj_equal(&cor_type_core_v1_ReplicationControllerStatus, &copy->status, &rc->status))
		(void)cor_plan_update_status(p, 0, COR_RES_REPLICATIONCONTROLLERS, copy);
	if (!cor_deleting(r->meta))
		manage(r);
	return 0;
}

static const struct meta_v1_LabelSelector *rs_selector(const void *owner) {
	return ((const struct apps_v1_ReplicaSet *)owner)->spec.selector;
}

static void map_rs_pod(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_map_controller(q, store, ev);
	cor_map_orphan(q, store, ev, COR_RES_REPLICASETS, rs_selector);
}

static const struct meta_v1_LabelSelector *rc_selector(const void *owner) {
	static struct meta_v1_LabelSelector s;  /* one thread; used before the next call */
	s = (struct meta_v1_LabelSelector){
		.matchLabels = ((const struct core_v1_ReplicationController *)owner)->spec.selector,
	};
	return s.matchLabels.n > 0 ? &s : NULL;
}

static void map_rc_pod(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_map_controller(q, store, ev);
	cor_map_orphan(q, store, ev, COR_RES_REPLICATIONCONTROLLERS, rc_selector);
}

const struct cor_controller cor_controller_replicaset = {
	.name = "replicaset",
	.res = COR_RES_REPLICASETS,
	.watches = { { COR_RES_REPLICASETS, NULL }, { COR_RES_PODS, map_rs_pod } },
	.n_watches = 2,
	.plan = plan_replicaset,
};

const struct cor_controller cor_controller_replicationcontroller = {
	.name = "replicationcontroller",
	.component = "replication-controller",
	.res = COR_RES_REPLICATIONCONTROLLERS,
	.watches = { { COR_RES_REPLICATIONCONTROLLERS, NULL }, { COR_RES_PODS, map_rc_pod } },
	.n_watches = 2,
	.plan = plan_rc,
};
