// SPDX-License-Identifier: Apache-2.0
// Pods that their node makes impossible: those of nodes that are gone (facts/controllers.md 13.4),
// and those that do not tolerate a NoExecute taint of theirs, now or for longer (13.3). A taint's
// timeAdded is the clock of the latter, so that a restart does not start it anew.
#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"

/* ---- wake the pods of a node ---- */

struct node_search {
	struct cor_enqueue *q;
	struct cor_str node;
};

static const struct cor_str *node_of(const struct cor_obj *pod) {
	return cor_strmap_get(&pod->fields, COR_STR("spec.nodeName"));
}

static bool wake_pod(void *arg, struct cor_obj *o) {
	const struct node_search *s = arg;
	const struct cor_str *node = node_of(o);
	if (node && cor_str_eq(*node, s->node))
		cor_enqueue(s->q, o->ns, o->name);
	return true;
}

static void wake_pods(struct cor_enqueue *q, struct cor_store *store, struct cor_str node) {
	struct node_search s = { q, node };
	cor_store_each(store, COR_RES_PODS, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, wake_pod, &s);
}

/* ---- pods of nodes that are gone ---- */

static bool has_node(struct cor_plan *p, struct cor_str name) {
	return cor_store_get(cor_plan_store(p), COR_RES_NODES, COR_STR(""), name) != NULL;
}

/* Nobody else will say how it ended, and who holds it by a finalizer waits to be told. */
static void mark_failed(struct cor_plan *p, const struct core_v1_Pod *pod, bool orphan) {
	struct core_v1_Pod *copy = cor_obj_dup(&cor_type_core_v1_Pod, pod, cor_plan_arena(p));
	if (!copy)
		return;
	copy->status.phase = COR_STR("Failed");
	if (orphan)
		cor_pod_set_condition(cor_plan_arena(p), copy,
			&(struct core_v1_PodCondition){ .type = COR_STR("DisruptionTarget"),
				.status = COR_STR("True"),
				.reason = COR_STR("DeletionByPodGC"),
				.message = COR_STR("PodGC: node no longer exists") },
			cor_plan_now(p));
	(void)cor_plan_update_status(p, 0, COR_RES_PODS, copy);
}

static int plan_pod_gc(
	struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	/* Asked of the stored header: nearly every pod is fine and not worth decoding. */
	const struct cor_obj *o = cor_store_get(cor_plan_store(p), COR_RES_PODS, ns, name);
	const struct cor_str *node = o ? node_of(o) : NULL;
	if (!o || (node ? has_node(p, *node) : !o->deleting))
		return 0;
	const struct core_v1_Pod *pod = cor_plan_get(p, COR_RES_PODS, ns, name);
	if (!pod)
		return 0;
	if (node && pod->metadata.creationTimestamp + 40 * COR_SECOND > cor_plan_now(p)) {
		cor_plan_again_at(p, pod->metadata.creationTimestamp + 40 * COR_SECOND);
		return 0;
	}
	if (!cor_pod_finished(pod))
		mark_failed(p, pod, node != NULL);
	cor_plan_delete(p, 1, COR_RES_PODS, ns, name, pod->metadata.uid)->grace_s = 0;
	return 0;
}

static void map_gone_node(
	struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (ev->type == COR_EVENT_DELETED)
		wake_pods(q, store, ev->obj->name);
}

const struct cor_controller cor_controller_pod_gc = {
	.name = "pod-gc",
	.res = COR_RES_PODS,
	.watches = { { COR_RES_PODS, NULL }, { COR_RES_NODES, map_gone_node } },
	.n_watches = 2,
	.plan = plan_pod_gc,
};

/* ---- NoExecute ---- */

/* Asked of the stored text, since nearly every node has none and is not worth decoding. */
static bool may_drive_away(const struct cor_obj *node) {
	return node && cor_str_contains(node->json, COR_STR("\"NoExecute\""));
}

static cor_time bound_at(const struct core_v1_Pod *pod) {
	const struct core_v1_PodCondition *c = cor_pod_condition(pod, COR_STR("PodScheduled"));
	return c && c->lastTransitionTime ? c->lastTransitionTime : pod->metadata.creationTimestamp;
}

/* When the pod has to go: 0 = never. */
static cor_time deadline(
	const struct core_v1_Pod *pod, const struct core_v1_Node *node, cor_time now) {
	cor_time bound = bound_at(pod), first = 0;
	for (size_t i = 0; i < node->spec.taints.n; i++) {
		const struct core_v1_Taint *t = &node->spec.taints.p[i];
		if (!cor_str_eq(t->effect, COR_STR("NoExecute")))
			continue;
		const struct core_v1_Toleration *fits = cor_toleration(pod, t);
		if (!fits)
			return now;
		/* Without timeAdded: the node's controller is about to write it. */
		if (!fits->tolerationSeconds || t->timeAdded == 0)
			continue;
		cor_time since = t->timeAdded > bound ? t->timeAdded : bound;
		cor_time when =
			since +
			(*fits->tolerationSeconds > 0 ? *fits->tolerationSeconds : 0) * COR_SECOND;
		if (first == 0 || when < first)
			first = when;
	}
	return first;
}

static int plan_taint_eviction(
	struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct cor_obj *o = cor_store_get(cor_plan_store(p), COR_RES_PODS, ns, name);
	const struct cor_str *at = o && !o->deleting ? node_of(o) : NULL;
	if (!at || !may_drive_away(cor_store_get(cor_plan_store(p), COR_RES_NODES, (struct cor_str){ 0 }, *at)))
		return 0;
	const struct core_v1_Pod *pod = cor_plan_get(p, COR_RES_PODS, ns, name);
	if (!pod)
		return 0;
	const struct core_v1_Node *node =
		cor_plan_get(p, COR_RES_NODES, (struct cor_str){ 0 }, pod->spec.nodeName);
	cor_time now = cor_plan_now(p), when = node ? deadline(pod, node, now) : 0;
	if (when == 0)
		return 0;
	if (when > now) {
		cor_plan_again_at(p, when);
		return 0;
	}
	struct core_v1_Pod *copy = cor_obj_dup(&cor_type_core_v1_Pod, pod, cor_plan_arena(p));
	if (!copy)
		return 0;
	cor_pod_set_condition(cor_plan_arena(p), copy,
		&(struct core_v1_PodCondition){ .type = COR_STR("DisruptionTarget"),
			.status = COR_STR("True"),
			.reason = COR_STR("DeletionByTaintManager"),
			.message = COR_STR("Taint manager: deleting due to NoExecute taint") },
		now);
	(void)cor_plan_update_status(p, 0, COR_RES_PODS, copy);
	cor_plan_event(p, 0, COR_RES_PODS, pod, "Normal", "TaintManagerEviction",
		"Marking for deletion Pod %.*s/%.*s", COR_STR_ARG(ns), COR_STR_ARG(name));
	cor_plan_delete(p, 1, COR_RES_PODS, ns, name, pod->metadata.uid);
	return 0;
}

static void map_tainted_node(
	struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (may_drive_away(ev->obj))
		wake_pods(q, store, ev->obj->name);
}

const struct cor_controller cor_controller_taint_eviction = {
	.name = "taint-eviction",
	.component = "taint-eviction-controller",
	.res = COR_RES_PODS,
	.watches = { { COR_RES_PODS, NULL }, { COR_RES_NODES, map_tainted_node } },
	.n_watches = 2,
	.plan = plan_taint_eviction,
};
