// SPDX-License-Identifier: Apache-2.0
// Filters of one node (facts/controllers.md 20.5), in upstream's order: the first that refuses gives
// the reason. Volumes and affinity between pods are in files of their own.
#include "scheduler/filter.h"

#include "controllers/pods.h"

static struct cor_str label(const struct core_v1_Node *n, struct cor_str key, bool *ret_has) {
	const struct cor_str *v = cor_strmap_get(&n->metadata.labels, key);
	*ret_has = v != NULL;
	return v ? *v : (struct cor_str){ 0 };
}

static bool one_of(const struct cor_str *p, size_t n, struct cor_str v) {
	for (size_t i = 0; i < n; i++)
		if (cor_str_eq(p[i], v))
			return true;
	return false;
}

static bool requirement(const struct core_v1_NodeSelectorRequirement *r, struct cor_str v, bool has) {
	int64_t a, b;
	if (cor_str_eq(r->operator, COR_STR("In")))
		return has && one_of(r->values.p, r->values.n, v);
	if (cor_str_eq(r->operator, COR_STR("NotIn")))
		return !has || !one_of(r->values.p, r->values.n, v);
	if (cor_str_eq(r->operator, COR_STR("Exists")))
		return has;
	if (cor_str_eq(r->operator, COR_STR("DoesNotExist")))
		return !has;
	if (!has || r->values.n != 1 || !cor_str_to_i64(v, &a) || !cor_str_to_i64(r->values.p[0], &b))
		return false;
	return cor_str_eq(r->operator, COR_STR("Gt")) ? a > b : a < b;
}

bool sched_node_matches(const struct core_v1_NodeSelectorTerm *term, const struct core_v1_Node *node) {
	if (term->matchExpressions.n == 0 && term->matchFields.n == 0)
		return false;
	for (size_t i = 0; i < term->matchExpressions.n; i++) {
		bool has;
		struct cor_str v = label(node, term->matchExpressions.p[i].key, &has);
		if (!requirement(&term->matchExpressions.p[i], v, has))
			return false;
	}
	for (size_t i = 0; i < term->matchFields.n; i++)
		if (!cor_str_eq(term->matchFields.p[i].key, COR_STR("metadata.name")) ||
		    !requirement(&term->matchFields.p[i], node->metadata.name, true))
			return false;
	return true;
}

static bool node_affinity(const struct core_v1_Pod *pod, const struct core_v1_Node *node) {
	for (size_t i = 0; i < pod->spec.nodeSelector.n; i++) {
		bool has;
		struct cor_str v = label(node, pod->spec.nodeSelector.p[i].key, &has);
		if (!has || !cor_str_eq(v, pod->spec.nodeSelector.p[i].value))
			return false;
	}
	const struct core_v1_NodeAffinity *a = pod->spec.affinity ? pod->spec.affinity->nodeAffinity : NULL;
	const struct core_v1_NodeSelector *required = a ? a->requiredDuringSchedulingIgnoredDuringExecution : NULL;
	for (size_t i = 0; required && i < required->nodeSelectorTerms.n; i++)
		if (sched_node_matches(&required->nodeSelectorTerms.p[i], node))
			return true;
	return !required;
}

static bool taints(const struct core_v1_Pod *pod, const struct core_v1_Node *node) {
	for (size_t i = 0; i < node->spec.taints.n; i++) {
		const struct core_v1_Taint *t = &node->spec.taints.p[i];
		if (!cor_str_eq(t->effect, COR_STR("PreferNoSchedule")) && !cor_toleration(pod, t))
			return false;
	}
	return true;
}

static bool schedulable(const struct core_v1_Pod *pod, const struct core_v1_Node *node) {
	static const struct core_v1_Taint cordon = {
		.key = COR_STR_INIT("node.kubernetes.io/unschedulable"), .effect = COR_STR_INIT("NoSchedule"),
	};
	return !node->spec.unschedulable || cor_toleration(pod, &cordon);
}

/* ---- host ports ---- */

static bool any_ip(struct cor_str ip) {
	return ip.n == 0 || cor_str_eq(ip, COR_STR("0.0.0.0"));
}

static bool clash(const struct core_v1_ContainerPort *a, const struct core_v1_ContainerPort *b) {
	return a->hostPort == b->hostPort && cor_str_eq(a->protocol, b->protocol) &&
		(any_ip(a->hostIP) || any_ip(b->hostIP) || cor_str_eq(a->hostIP, b->hostIP));
}

static bool pod_clashes(const struct core_v1_Pod *pod, const struct core_v1_ContainerPort *want) {
	for (size_t i = 0; i < pod->spec.containers.n; i++)
		for (size_t k = 0; k < pod->spec.containers.p[i].ports.n; k++)
			if (clash(&pod->spec.containers.p[i].ports.p[k], want))
				return true;
	return false;
}

static bool ports_free(const struct core_v1_Pod *pod, const struct sched_node *n) {
	for (size_t i = 0; i < pod->spec.containers.n; i++)
		for (size_t k = 0; k < pod->spec.containers.p[i].ports.n; k++) {
			const struct core_v1_ContainerPort *want = &pod->spec.containers.p[i].ports.p[k];
			for (struct sched_pod *p = n->pods; want->hostPort && p; p = p->next)
				if (pod_clashes(p->pod, want))
					return false;
		}
	return true;
}

/* ---- resources ---- */

static void refuse(struct sched_reasons *r, struct cor_str why) {
	if (r->n < cor_countof(r->p))
		r->p[r->n++] = why;
}

static void resources(struct sched_try *t, const struct sched_node *n, struct sched_reasons *ret) {
	if (n->pods_free < 1)
		refuse(ret, COR_STR("Too many pods"));
	for (size_t i = 0; i < t->request.n; i++)
		if (t->request.p[i].v > 0 && t->request.p[i].v > sched_amount(&n->free, t->request.p[i].name))
			refuse(ret, cor_arena_printf(t->arena, "Insufficient %.*s", COR_STR_ARG(t->request.p[i].name)));
}

struct cor_str sched_prefilter(struct sched_try *t) {
	sched_request(t->pod, &t->request);
	return sched_volumes_prefilter(t);
}

void sched_filter(struct sched_try *t, const struct sched_node *n, struct sched_reasons *ret) {
	const char *why = NULL;
	ret->n = 0;
	if (!schedulable(t->pod, n->node))
		why = "node(s) were unschedulable";
	else if (!taints(t->pod, n->node))
		why = "node(s) had untolerated taint(s)";
	else if (!node_affinity(t->pod, n->node))
		why = "node(s) didn't match Pod's node affinity/selector";
	else if (!ports_free(t->pod, n))
		why = "node(s) didn't have free ports for the requested pod ports";
	if (!why)
		resources(t, n, ret);
	if (!why && ret->n == 0)
		why = sched_volumes_filter(t, n->node);
	if (!why && ret->n == 0)
		why = sched_spread_filter(t, n);
	if (!why && ret->n == 0)
		why = sched_affinity_filter(t, n);
	if (why)
		refuse(ret, cor_str_c(why));
}

/* ---- scores ---- */

enum { SCORE_MAX = 100, WEIGHT_TAINT = 3, WEIGHT_NODE_AFFINITY = 2, WEIGHT_AFFINITY = 2 };

static int64_t least_allocated(const struct sched_try *t, const struct sched_node *n) {
	static const struct cor_str names[] = { COR_STR_INIT("cpu"), COR_STR_INIT("memory") };
	static const int64_t unasked[] = { 100, 200 << 20 };    /* of a container without a request */
	int64_t sum = 0;
	for (size_t i = 0; i < cor_countof(names); i++) {
		int64_t left = sched_amount(&n->free, names[i]), want = sched_amount(&t->request, names[i]);
		int64_t total = left;
		for (struct sched_pod *p = n->pods; p; p = p->next)
			total += sched_amount(&p->request, names[i]);
		left -= want > 0 ? want : unasked[i];
		sum += total > 0 && left > 0 ? left * SCORE_MAX / total : 0;
	}
	return sum / (int64_t)cor_countof(names);
}

static int64_t untolerated(const struct sched_try *t, const struct core_v1_Node *node) {
	int64_t n = 0;
	for (size_t i = 0; i < node->spec.taints.n; i++)
		n += cor_str_eq(node->spec.taints.p[i].effect, COR_STR("PreferNoSchedule")) &&
			!cor_toleration(t->pod, &node->spec.taints.p[i]);
	return n;
}

static int64_t preferred(const struct sched_try *t, const struct core_v1_Node *node) {
	const struct core_v1_NodeAffinity *a = t->pod->spec.affinity ? t->pod->spec.affinity->nodeAffinity : NULL;
	int64_t sum = 0, all = 0;
	for (size_t i = 0; a && i < a->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const struct core_v1_PreferredSchedulingTerm *p = &a->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		all += p->weight;
		sum += sched_node_matches(&p->preference, node) ? p->weight : 0;
	}
	return all > 0 ? sum * SCORE_MAX / all : 0;
}

int64_t sched_score(struct sched_try *t, const struct sched_node *n) {
	return least_allocated(t, n) - WEIGHT_TAINT * SCORE_MAX * untolerated(t, n->node) +
		WEIGHT_NODE_AFFINITY * preferred(t, n->node) + WEIGHT_AFFINITY * sched_affinity_score(t, n);
}
