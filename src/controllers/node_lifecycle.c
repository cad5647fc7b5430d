// SPDX-License-Identifier: Apache-2.0
// Nodes (facts/controllers.md section 13): gives each its range of pod addresses, turns Ready to Unknown
// when its lease is not renewed, and keeps the taints not-ready and unreachable in step with Ready.
#include <stdio.h>

#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"
#include "gen/coordination_v1.h"

enum { NODE_BITS = 24, NODES_MAX = 256 };

static const cor_time GRACE = 50 * COR_SECOND;
static const char NOT_READY[] = "node.kubernetes.io/not-ready";
static const char UNREACHABLE[] = "node.kubernetes.io/unreachable";

static struct core_v1_NodeCondition *ready_of(struct core_v1_Node *n) {
	for (size_t i = 0; i < n->status.conditions.n; i++)
		if (cor_str_eq(n->status.conditions.p[i].type, COR_STR("Ready")))
			return &n->status.conditions.p[i];
	return NULL;
}

/* ---- heartbeats ---- */

static cor_time last_sign(struct cor_plan *p, struct core_v1_Node *n) {
	const struct coordination_v1_Lease *l =
		cor_plan_get(p, COR_RES_LEASES, COR_STR("kube-node-lease"), n->metadata.name);
	struct core_v1_NodeCondition *ready = ready_of(n);
	cor_time last = n->metadata.creationTimestamp;
	if (ready && ready->lastHeartbeatTime > last)
		last = ready->lastHeartbeatTime;
	if (l && l->spec.renewTime > last)
		last = l->spec.renewTime;
	return last;
}

/* Writes the condition when the node has been silent for too long. */
static void check_silence(struct cor_plan *p, struct core_v1_Node *n) {
	cor_time last = last_sign(p, n), now = cor_plan_now(p);
	struct core_v1_NodeCondition *ready = ready_of(n);
	if (last + GRACE > now) {
		cor_plan_again_at(p, last + GRACE + COR_SECOND);
		return;
	}
	if (!ready || cor_str_eq(ready->status, COR_STR("Unknown")))
		return;
	struct core_v1_Node *copy = cor_obj_dup(&cor_type_core_v1_Node, n, cor_plan_arena(p));
	struct core_v1_NodeCondition *c = copy ? ready_of(copy) : NULL;
	if (!c)
		return;
	c->status = COR_STR("Unknown");
	c->reason = COR_STR("NodeStatusUnknown");
	c->message = COR_STR("Kubelet stopped posting node status.");
	c->lastTransitionTime = now;
	(void)cor_plan_update_status(p, 0, COR_RES_NODES, copy);
	cor_plan_event(p, 0, COR_RES_NODES, n, "Normal", "NodeNotReady", "Node %.*s status is now: NodeNotReady",
		COR_STR_ARG(n->metadata.name));
}

/* ---- addresses ---- */

static bool range_taken(struct cor_objects nodes, struct cor_str range) {
	for (size_t i = 0; i < nodes.n; i++)
		if (cor_str_eq(((const struct core_v1_Node *)nodes.p[i])->spec.podCIDR, range))
			return true;
	return false;
}

static bool give_range(struct cor_plan *p, struct core_v1_Node *n) {
	if (n->spec.podCIDR.n > 0)
		return false;
	struct cor_arena *a = cor_plan_arena(p);
	struct cor_objects nodes = cor_plan_list(p, COR_RES_NODES, (struct cor_str){ 0 });
	for (int i = 0; i < NODES_MAX; i++) {
		struct cor_str range = cor_arena_printf(a, "10.244.%d.0/%d", i, NODE_BITS);
		if (range_taken(nodes, range))
			continue;
		struct cor_str *list = cor_arena_array(a, struct cor_str, 1);
		if (!list)
			return false;
		*list = range;
		n->spec.podCIDR = range;
		n->spec.podCIDRs.p = list;
		n->spec.podCIDRs.n = 1;
		return true;
	}
	cor_plan_event(p, 0, COR_RES_NODES, n, "Normal", "CIDRNotAvailable", "Node %.*s status is now: CIDRNotAvailable",
		COR_STR_ARG(n->metadata.name));
	return false;
}

/* ---- taints ---- */

static bool has_taint(const struct core_v1_Node *n, const char *key, struct cor_str effect) {
	for (size_t i = 0; i < n->spec.taints.n; i++)
		if (cor_str_eq_c(n->spec.taints.p[i].key, key) && cor_str_eq(n->spec.taints.p[i].effect, effect))
			return true;
	return false;
}

/* The node has this taint with both effects, or with none. */
static bool set_taint(struct cor_plan *p, struct core_v1_Node *n, const char *key, bool want) {
	static const struct cor_str effects[] = { COR_STR_INIT("NoSchedule"), COR_STR_INIT("NoExecute") };
	struct core_v1_Taint *t = cor_arena_array(cor_plan_arena(p), struct core_v1_Taint, n->spec.taints.n + 2);
	size_t k = 0;
	bool changed = false;
	if (!t)
		return false;
	for (size_t i = 0; i < n->spec.taints.n; i++) {
		if (!want && cor_str_eq_c(n->spec.taints.p[i].key, key))
			changed = true;
		else
			t[k++] = n->spec.taints.p[i];
	}
	for (size_t i = 0; want && i < cor_countof(effects); i++) {
		if (has_taint(n, key, effects[i]))
			continue;
		t[k++] = (struct core_v1_Taint){
			.key = cor_str_c(key), .effect = effects[i], .timeAdded = i == 1 ? cor_plan_now(p) : 0,
		};
		changed = true;
	}
	n->spec.taints.p = t;
	n->spec.taints.n = k;
	return changed;
}

static int plan(struct cor_plan *p, struct cor_str none, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Node *old = cor_plan_get(p, COR_RES_NODES, none, name);
	struct core_v1_Node *n = old ? cor_obj_dup(&cor_type_core_v1_Node, old, cor_plan_arena(p)) : NULL;
	if (!n)
		return 0;
	check_silence(p, n);
	const struct core_v1_NodeCondition *ready = ready_of(n);
	bool unknown = ready && cor_str_eq(ready->status, COR_STR("Unknown"));
	bool yes = ready && cor_str_eq(ready->status, COR_STR("True"));
	bool changed = give_range(p, n);
	changed |= set_taint(p, n, NOT_READY, !yes && !unknown);
	changed |= set_taint(p, n, UNREACHABLE, unknown);
	if (changed)
		(void)cor_plan_update(p, 1, COR_RES_NODES, n);
	return 0;
}

static void map_lease(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (cor_str_eq(ev->obj->ns, COR_STR("kube-node-lease")) && ev->type == COR_EVENT_DELETED)
		cor_enqueue(q, COR_STR(""), ev->obj->name);
}

const struct cor_controller cor_controller_node_lifecycle = {
	.name = "node-lifecycle",
	.component = "node-controller",
	.res = COR_RES_NODES,
	.watches = { { COR_RES_NODES, NULL }, { COR_RES_LEASES, map_lease } },
	.n_watches = 2,
	.plan = plan,
};

/* ---- pods of nodes that are gone ---- */

static int plan_pod_gc(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Pod *pod = cor_plan_get(p, COR_RES_PODS, ns, name);
	if (!pod)
		return 0;
	bool orphan = pod->spec.nodeName.n > 0 && !cor_plan_get(p, COR_RES_NODES, COR_STR(""), pod->spec.nodeName);
	bool unscheduled = pod->spec.nodeName.n == 0 && cor_deleting(&pod->metadata);
	if (orphan && pod->metadata.creationTimestamp + 40 * COR_SECOND > cor_plan_now(p)) {
		cor_plan_again_at(p, pod->metadata.creationTimestamp + 40 * COR_SECOND);
		return 0;
	}
	if (orphan || unscheduled)
		cor_plan_delete(p, 0, COR_RES_PODS, ns, name, pod->metadata.uid)->grace_s = 0;
	return 0;
}

struct node_search {
	struct cor_enqueue *q;
	struct cor_str node;
};

static bool wake_pod(void *arg, struct cor_obj *o) {
	const struct node_search *s = arg;
	const struct cor_str *node = cor_strmap_get(&o->fields, COR_STR("spec.nodeName"));
	if (node && cor_str_eq(*node, s->node))
		cor_enqueue(s->q, o->ns, o->name);
	return true;
}

static void map_node(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	struct node_search s = { q, ev->obj->name };
	if (ev->type == COR_EVENT_DELETED)
		cor_store_each(store, COR_RES_PODS, (struct cor_str){ 0 }, (struct cor_str){ 0 }, (struct cor_str){ 0 },
			wake_pod, &s);
}

const struct cor_controller cor_controller_pod_gc = {
	.name = "pod-gc",
	.res = COR_RES_PODS,
	.watches = { { COR_RES_PODS, NULL }, { COR_RES_NODES, map_node } },
	.n_watches = 2,
	.plan = plan_pod_gc,
};
