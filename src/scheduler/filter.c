// SPDX-License-Identifier: Apache-2.0
// Filters of one node (facts/controllers.md 20.5), in upstream's order: the first that refuses gives
// the reason. Volumes, affinity between pods, spreading and scores are in files of their own.
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

bool sched_node_affinity(const struct core_v1_Pod *pod, const struct core_v1_Node *node) {
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

bool sched_tolerates(const struct core_v1_Pod *pod, const struct core_v1_Node *node) {
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
				if (p->pod && pod_clashes(p->pod, want))
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
	sched_request_scored(t->pod, t->scored);
	struct cor_str why = sched_volumes_prefilter(t);
	if (why.p)
		return why;
	sched_affinity_prefilter(t);
	sched_spread_prefilter(t);
	return why;
}

void sched_try_fini(struct sched_try *t) {
	sched_affinity_fini(t);
	sched_spread_fini(t);
}

void sched_filter(struct sched_try *t, const struct sched_node *n, struct sched_reasons *ret) {
	const char *why = NULL;
	ret->n = 0;
	if (!schedulable(t->pod, n->node))
		why = "node(s) were unschedulable";
	else if (!sched_tolerates(t->pod, n->node))
		why = "node(s) had untolerated taint(s)";
	else if (!sched_node_affinity(t->pod, n->node))
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
