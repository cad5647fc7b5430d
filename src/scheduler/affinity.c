// SPDX-License-Identifier: Apache-2.0
// Where other pods are (facts/controllers.md 20.8, 20.9): required and preferred affinity and
// anti-affinity between pods, and hard topology spread. A domain is the set of nodes with the same
// value of a topology key.
#include "codec/selector.h"
#include "scheduler/filter.h"

static const struct cor_str *topology(const struct sched_node *n, struct cor_str key) {
	return n->node ? cor_strmap_get(&n->node->metadata.labels, key) : NULL;
}

static bool same_domain(const struct sched_node *a, const struct sched_node *b, struct cor_str key) {
	const struct cor_str *x = topology(a, key), *y = topology(b, key);
	return x && y && cor_str_eq(*x, *y);
}

/* Does the term, written in a pod of namespace own, mean a pod with this namespace and these labels? */
static bool term_means(struct sched_try *t, const struct core_v1_PodAffinityTerm *term, struct cor_str own,
	struct cor_str ns, const struct cor_strmap *labels) {
	struct cor_selector sel;
	struct cor_err err;
	bool in_ns = term->namespaces.n == 0 && !term->namespaceSelector && cor_str_eq(own, ns);
	for (size_t i = 0; i < term->namespaces.n; i++)
		in_ns |= cor_str_eq(term->namespaces.p[i], ns);
	if (!in_ns && term->namespaceSelector) {
		struct cor_obj *o = cor_store_get(t->store, COR_RES_NAMESPACES, COR_STR(""), ns);
		in_ns = o && cor_selector_from_labels(t->arena, term->namespaceSelector, &sel, &err) >= 0 &&
			cor_selector_matches(&sel, &o->labels);
	}
	return in_ns && cor_selector_from_labels(t->arena, term->labelSelector, &sel, &err) >= 0 &&
		cor_selector_matches(&sel, labels);
}

struct search {
	struct sched_try *t;
	const struct core_v1_PodAffinityTerm *term;
	size_t in_domain, anywhere;
};

/* Pods that the term means, in n's domain and everywhere. */
static void count(struct search *s, const struct sched_node *n) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&s->t->cache->pods, &it, &uid, &v)) {
		const struct sched_pod *p = v;
		if (!term_means(s->t, s->term, s->t->pod->metadata.namespace, p->blob->ns, &p->blob->labels))
			continue;
		s->anywhere++;
		s->in_domain += same_domain(n, p->node, s->term->topologyKey);
	}
}

static bool means_itself(struct sched_try *t, const struct core_v1_PodAffinityTerm *term) {
	return term_means(t, term, t->pod->metadata.namespace, t->pod->metadata.namespace, &t->pod->metadata.labels);
}

static const struct core_v1_PodAntiAffinity *anti_of(const struct core_v1_Pod *pod) {
	return pod->spec.affinity ? pod->spec.affinity->podAntiAffinity : NULL;
}

static bool others_object(struct sched_try *t, const struct sched_node *n) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&t->cache->pods, &it, &uid, &v)) {
		const struct sched_pod *p = v;
		const struct core_v1_PodAntiAffinity *anti = anti_of(p->pod);
		for (size_t i = 0; anti && i < anti->requiredDuringSchedulingIgnoredDuringExecution.n; i++) {
			const struct core_v1_PodAffinityTerm *term = &anti->requiredDuringSchedulingIgnoredDuringExecution.p[i];
			if (same_domain(n, p->node, term->topologyKey) &&
			    term_means(t, term, p->blob->ns, t->pod->metadata.namespace, &t->pod->metadata.labels))
				return true;
		}
	}
	return false;
}

const char *sched_affinity_filter(struct sched_try *t, const struct sched_node *n) {
	const struct core_v1_PodAffinity *with = t->pod->spec.affinity ? t->pod->spec.affinity->podAffinity : NULL;
	const struct core_v1_PodAntiAffinity *anti = anti_of(t->pod);
	for (size_t i = 0; with && i < with->requiredDuringSchedulingIgnoredDuringExecution.n; i++) {
		struct search s = { .t = t, .term = &with->requiredDuringSchedulingIgnoredDuringExecution.p[i] };
		count(&s, n);
		/* The first of a group that wants to be together may start anywhere. */
		bool first = s.anywhere == 0 && means_itself(t, s.term) && topology(n, s.term->topologyKey);
		if (s.in_domain == 0 && !first)
			return "node(s) didn't match pod affinity rules";
	}
	for (size_t i = 0; anti && i < anti->requiredDuringSchedulingIgnoredDuringExecution.n; i++) {
		struct search s = { .t = t, .term = &anti->requiredDuringSchedulingIgnoredDuringExecution.p[i] };
		count(&s, n);
		if (s.in_domain > 0)
			return "node(s) didn't match pod anti-affinity rules";
	}
	return others_object(t, n) ? "node(s) didn't satisfy existing pods anti-affinity rules" : NULL;
}

int64_t sched_affinity_score(struct sched_try *t, const struct sched_node *n) {
	const struct core_v1_PodAffinity *with = t->pod->spec.affinity ? t->pod->spec.affinity->podAffinity : NULL;
	const struct core_v1_PodAntiAffinity *anti = anti_of(t->pod);
	int64_t sum = 0;
	for (size_t i = 0; with && i < with->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const struct core_v1_WeightedPodAffinityTerm *w = &with->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		struct search s = { .t = t, .term = &w->podAffinityTerm };
		count(&s, n);
		sum += s.in_domain > 0 ? w->weight : 0;
	}
	for (size_t i = 0; anti && i < anti->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const struct core_v1_WeightedPodAffinityTerm *w = &anti->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		struct search s = { .t = t, .term = &w->podAffinityTerm };
		count(&s, n);
		sum -= s.in_domain > 0 ? w->weight : 0;
	}
	return sum;
}

/* ---- topology spread ---- */

static int64_t domain_count(struct sched_try *t, const struct cor_selector *sel, const struct sched_node *n,
	struct cor_str key) {
	int64_t sum = 0;
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&t->cache->pods, &it, &uid, &v)) {
		const struct sched_pod *p = v;
		sum += !p->blob->deleting && cor_str_eq(p->blob->ns, t->pod->metadata.namespace) &&
			same_domain(n, p->node, key) && cor_selector_matches(sel, &p->blob->labels);
	}
	return sum;
}

static bool constraint_holds(struct sched_try *t, const struct core_v1_TopologySpreadConstraint *c,
	const struct sched_node *n) {
	struct cor_selector sel;
	struct cor_err err;
	if (cor_selector_from_labels(t->arena, c->labelSelector, &sel, &err) < 0)
		return false;
	int64_t min = INT64_MAX;
	size_t it = 0, nodes = 0;
	struct cor_str name;
	void *v;
	while (cor_map_next(&t->cache->nodes, &it, &name, &v)) {
		const struct sched_node *other = v;
		if (!topology(other, c->topologyKey))
			continue;
		int64_t here = domain_count(t, &sel, other, c->topologyKey);
		min = here < min ? here : min;
		nodes++;
	}
	if (c->minDomains && nodes < (size_t)*c->minDomains)
		min = 0;
	int64_t self = cor_selector_matches(&sel, &t->pod->metadata.labels);
	return domain_count(t, &sel, n, c->topologyKey) + self - min <= c->maxSkew;
}

const char *sched_spread_filter(struct sched_try *t, const struct sched_node *n) {
	for (size_t i = 0; i < t->pod->spec.topologySpreadConstraints.n; i++) {
		const struct core_v1_TopologySpreadConstraint *c = &t->pod->spec.topologySpreadConstraints.p[i];
		if (!cor_str_eq(c->whenUnsatisfiable, COR_STR("DoNotSchedule")))
			continue;
		if (!topology(n, c->topologyKey))
			return "node(s) didn't match pod topology spread constraints (missing required label)";
		if (!constraint_holds(t, c, n))
			return "node(s) didn't match pod topology spread constraints";
	}
	return NULL;
}
