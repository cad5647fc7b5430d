// SPDX-License-Identifier: Apache-2.0
// Nodes (facts/controllers.md section 13): gives each its range of pod addresses, turns Ready to
// Unknown when its lease is not renewed, keeps the taints that follow from its conditions, and
// marks the pods of a node that is not heard of as not ready.
#include <stdio.h>

#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"
#include "gen/coordination_v1.h"

enum { NODE_BITS = 24, NODES_MAX = 256, FEW_DOWN = 2, MANY_DOWN_PERCENT = 55 };

static const cor_time GRACE = 50 * COR_SECOND;
static const cor_time MONITOR = 5 * COR_SECOND;
static const char NO_EXECUTE[] = "NoExecute";

static struct core_v1_NodeCondition *ready_of(struct core_v1_Node *n) {
	for (size_t i = 0; i < n->status.conditions.n; i++)
		if (cor_str_eq(n->status.conditions.p[i].type, COR_STR("Ready")))
			return &n->status.conditions.p[i];
	return NULL;
}

/* ---- heartbeats ---- */

/* Signs with a time that has not come yet are from before the clock was set back. */
static cor_time later(cor_time last, cor_time sign, cor_time now) {
	return sign > last && sign <= now ? sign : last;
}

static cor_time last_sign(struct cor_plan *p, struct core_v1_Node *n) {
	const struct coordination_v1_Lease *l =
		cor_plan_get(p, COR_RES_LEASES, COR_STR("kube-node-lease"), n->metadata.name);
	struct core_v1_NodeCondition *ready = ready_of(n);
	cor_time now = cor_plan_now(p), last = later(cor_plan_steady_since(p), n->metadata.creationTimestamp, now);
	last = ready ? later(last, ready->lastHeartbeatTime, now) : last;
	return l ? later(last, l->spec.renewTime, now) : last;
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
	cor_plan_event(p, 0, COR_RES_NODES, n, "Normal", "NodeNotReady",
		"Node %.*s status is now: NodeNotReady", COR_STR_ARG(n->metadata.name));
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
		cor_plan_event(p, 1, COR_RES_NODES, n, "Normal", "RegisteredNode",
			"Node %.*s event: Registered Node %.*s in Controller", COR_STR_ARG(n->metadata.name),
			COR_STR_ARG(n->metadata.name));
		return true;
	}
	cor_plan_event(p, 0, COR_RES_NODES, n, "Normal", "CIDRNotAvailable",
		"Node %.*s status is now: CIDRNotAvailable", COR_STR_ARG(n->metadata.name));
	return false;
}

/* ---- taints ---- */

/* What a condition with that status puts on the node. A node that never spoke is not ready. */
static const struct rule {
	const char *key, *condition, *status;
	bool evicts; /* NoExecute too */
} rules[] = {
	{ "node.kubernetes.io/not-ready", "Ready", "False", true },
	{ "node.kubernetes.io/unreachable", "Ready", "Unknown", true },
	{ "node.kubernetes.io/memory-pressure", "MemoryPressure", "True", false },
	{ "node.kubernetes.io/disk-pressure", "DiskPressure", "True", false },
	{ "node.kubernetes.io/pid-pressure", "PIDPressure", "True", false },
	{ "node.kubernetes.io/network-unavailable", "NetworkUnavailable", "True", false },
	{ "node.kubernetes.io/unschedulable", NULL, NULL, false },
};

static bool applies(const struct rule *r, const struct core_v1_Node *n) {
	if (!r->condition)
		return n->spec.unschedulable;
	for (size_t i = 0; i < n->status.conditions.n; i++)
		if (cor_str_eq_c(n->status.conditions.p[i].type, r->condition))
			return cor_str_eq_c(n->status.conditions.p[i].status, r->status);
	return cor_str_eq_c(cor_str_c(r->status), "False");
}

static bool is_up(const struct core_v1_Node *n) {
	return !applies(&rules[0], n) && !applies(&rules[1], n);
}

/* When many nodes are silent at once it is rather we who hear nothing: then no pod is driven away
 * (13.2). */
static bool may_evict(struct cor_plan *p) {
	struct cor_objects nodes = cor_plan_list(p, COR_RES_NODES, (struct cor_str){ 0 });
	size_t down = 0;
	for (size_t i = 0; i < nodes.n; i++)
		down += !is_up(nodes.p[i]);
	return down < nodes.n && (down <= FEW_DOWN || down * 100 < nodes.n * MANY_DOWN_PERCENT);
}

struct taints {
	struct core_v1_Taint *p;
	size_t n;
};

static bool is_taint(const struct core_v1_Taint *t, const char *key, const char *effect) {
	return cor_str_eq_c(t->key, key) && cor_str_eq_c(t->effect, effect);
}

/* True when that changed something. */
static bool set_taint(
	struct taints *l, const char *key, const char *effect, bool want, cor_time since) {
	for (size_t i = 0; i < l->n; i++)
		if (is_taint(&l->p[i], key, effect)) {
			if (!want)
				memmove(&l->p[i], &l->p[i + 1], (--l->n - i) * sizeof(*l->p));
			return !want;
		}
	if (want)
		l->p[l->n++] = (struct core_v1_Taint){
			.key = cor_str_c(key),
			.effect = cor_str_c(effect),
			.timeAdded = since,
		};
	return want;
}

/* Also writes down since when a NoExecute taint of a user is there: tolerations count from then. */
static bool update_taints(struct cor_plan *p, struct core_v1_Node *n) {
	size_t room = n->spec.taints.n + 2 * cor_countof(rules);
	struct taints l = { cor_arena_array(cor_plan_arena(p), struct core_v1_Taint, room),
		n->spec.taints.n };
	bool changed = false, evict = is_up(n) || may_evict(p);
	if (!l.p)
		return false;
	for (size_t i = 0; i < l.n; i++) {
		l.p[i] = n->spec.taints.p[i];
		if (l.p[i].timeAdded == 0 && cor_str_eq_c(l.p[i].effect, NO_EXECUTE)) {
			l.p[i].timeAdded = cor_plan_now(p);
			changed = true;
		}
	}
	for (size_t i = 0; i < cor_countof(rules); i++) {
		bool on = applies(&rules[i], n);
		changed |= set_taint(&l, rules[i].key, "NoSchedule", on, 0);
		if (rules[i].evicts)
			changed |= set_taint(
				&l, rules[i].key, NO_EXECUTE, on && evict, cor_plan_now(p));
	}
	n->spec.taints.p = l.p;
	n->spec.taints.n = l.n;
	return changed;
}

/* ---- pods of a node that is not ready ---- */

struct pod_search {
	struct cor_plan *p;
	struct cor_str node;
};

static bool mark_pod(void *arg, struct cor_obj *o) {
	const struct pod_search *s = arg;
	const struct cor_str *node = cor_strmap_get(&o->fields, COR_STR("spec.nodeName"));
	const struct core_v1_Pod *pod = node && cor_str_eq(*node, s->node)
						? cor_plan_get(s->p, COR_RES_PODS, o->ns, o->name)
						: NULL;
	struct core_v1_Pod *copy = pod && cor_pod_ready(pod) ? cor_obj_dup(&cor_type_core_v1_Pod,
								       pod, cor_plan_arena(s->p))
							     : NULL;
	if (!copy)
		return true;
	cor_pod_set_condition(cor_plan_arena(s->p), copy,
		&(struct core_v1_PodCondition){ .type = COR_STR("Ready"),
			.status = COR_STR("False"),
			.reason = COR_STR("NodeNotReady"),
			.message = COR_STR("Node is not ready") },
		cor_plan_now(s->p));
	(void)cor_plan_update_status(s->p, 2, COR_RES_PODS, copy);
	cor_plan_event(s->p, 2, COR_RES_PODS, pod, "Warning", "NodeNotReady", "Node is not ready");
	return true;
}

static int plan(struct cor_plan *p, struct cor_str none, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Node *old = cor_plan_get(p, COR_RES_NODES, none, name);
	struct core_v1_Node *n =
		old ? cor_obj_dup(&cor_type_core_v1_Node, old, cor_plan_arena(p)) : NULL;
	if (!n)
		return 0;
	check_silence(p, n);
	bool changed = give_range(p, n);
	changed |= update_taints(p, n);
	if (changed)
		(void)cor_plan_update(p, 1, COR_RES_NODES, n);
	if (ready_of(n) && !is_up(n)) {
		struct pod_search s = { p, name };
		cor_store_each(cor_plan_store(p), COR_RES_PODS, (struct cor_str){ 0 },
			(struct cor_str){ 0 }, (struct cor_str){ 0 }, mark_pod, &s);
		/* Pods that are bound to it later, and what the other nodes allow. */
		cor_plan_again_at(p, cor_plan_now(p) + MONITOR);
	}
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
