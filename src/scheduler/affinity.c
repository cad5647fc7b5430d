// SPDX-License-Identifier: Apache-2.0
// Affinity and anti-affinity between pods (facts/controllers.md 20.9), required and preferred, in both directions.
// A domain is the set of nodes with the same value of a topology key. The prefilter goes over all pods once and
// notes for each domain how many pods a required term means, and how much preferred terms and those of other pods
// draw the new pod there.
#include "codec/selector.h"
#include "scheduler/filter.h"

/* A required term of the pod. */
struct sched_term {
	struct cor_str key;
	bool anti, means_itself;
	struct cor_map domains;         /* value -> pods that it means there, a number */
};

/* What else counts in the domains of one key. */
struct sched_topology {
	struct cor_str key;
	struct cor_map domains;         /* value -> struct domain */
};

struct domain {
	int64_t pull;                   /* weights of preferences, for and against */
	bool barred;                    /* another pod there wants no such pod near */
};

/* ---- what a term means ---- */

struct meaning {
	const struct core_v1_PodAffinityTerm *term;
	struct cor_str own;             /* namespace of the pod that says it */
	struct cor_selector pods, namespaces;
	bool nothing;
};

static struct meaning meaning_of(struct sched_try *t, const struct core_v1_PodAffinityTerm *term, struct cor_str own) {
	struct meaning m = { .term = term, .own = own };
	struct cor_err err;
	m.nothing = cor_selector_from_labels(t->arena, term->labelSelector, &m.pods, &err) < 0 ||
		(term->namespaceSelector && cor_selector_from_labels(t->arena, term->namespaceSelector, &m.namespaces, &err) < 0);
	return m;
}

static bool means_namespace(struct sched_try *t, const struct meaning *m, struct cor_str ns) {
	for (size_t i = 0; i < m->term->namespaces.n; i++)
		if (cor_str_eq(m->term->namespaces.p[i], ns))
			return true;
	if (!m->term->namespaceSelector)
		return m->term->namespaces.n == 0 && cor_str_eq(m->own, ns);
	struct cor_obj *o = cor_store_get(t->store, COR_RES_NAMESPACES, COR_STR(""), ns);
	return o && cor_selector_matches(&m->namespaces, &o->labels);
}

static bool means(struct sched_try *t, const struct meaning *m, struct cor_str ns, const struct cor_strmap *labels) {
	return !m->nothing && cor_selector_matches(&m->pods, labels) && means_namespace(t, m, ns);
}

static bool means_our_pod(struct sched_try *t, const struct meaning *m) {
	return means(t, m, t->pod->metadata.namespace, &t->pod->metadata.labels);
}

/* ---- domains ---- */

static struct sched_topology *topology_get(struct sched_try *t, struct cor_str key) {
	for (size_t i = 0; i < t->topologies.n; i++)
		if (cor_str_eq(t->topologies.p[i].key, key))
			return &t->topologies.p[i];
	struct sched_topology *x = cor_arena_push(t->arena, &t->topologies);
	if (x)
		x->key = key;
	return x;
}

/* What is noted for the domain that n is in; NULL when it is in none. */
static struct domain *domain_get(struct sched_try *t, struct cor_str key, const struct sched_node *n) {
	const struct cor_str *value = sched_label(n, key);
	struct sched_topology *x = value ? topology_get(t, key) : NULL;
	struct domain *d = x ? cor_map_get(&x->domains, *value) : NULL;
	if (x && !d && (d = cor_arena_new_of(t->arena, struct domain)))
		(void)cor_map_put(&x->domains, *value, d);
	return d;
}

static void pull(struct sched_try *t, struct cor_str key, const struct sched_node *n, int64_t weight) {
	struct domain *d = domain_get(t, key, n);
	if (d)
		d->pull += weight;
}

/* ---- the pod's own terms ---- */

/* Calls fn for every pod that the term means and whose node has its key. */
static void each_meant(struct sched_try *t, const struct meaning *m,
	void (*fn)(struct sched_try *t, struct cor_str value, const struct sched_node *n, void *arg), void *arg) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&t->cache->pods, &it, &uid, &v)) {
		const struct sched_pod *p = v;
		const struct cor_str *value = sched_label(p->node, m->term->topologyKey);
		if (value && means(t, m, p->blob->ns, &p->blob->labels))
			fn(t, *value, p->node, arg);
	}
}

static void count(struct sched_try *t, struct cor_str value, const struct sched_node *n, void *arg) {
	struct cor_map *domains = arg;
	uintptr_t before = (uintptr_t)cor_map_get(domains, value);
	(void)cor_map_put(domains, value, (void *)(before + 1));
}

struct weighed {
	struct cor_str key;
	int64_t weight;
};

static void draw(struct sched_try *t, struct cor_str value, const struct sched_node *n, void *arg) {
	const struct weighed *w = arg;
	pull(t, w->key, n, w->weight);
}

static void add_required(struct sched_try *t, const struct core_v1_PodAffinityTerm *term, bool anti) {
	struct sched_term *x = cor_arena_push(t->arena, &t->terms);
	if (!x)
		return;
	struct meaning m = meaning_of(t, term, t->pod->metadata.namespace);
	x->key = term->topologyKey;
	x->anti = anti;
	x->means_itself = means_our_pod(t, &m);
	each_meant(t, &m, count, &x->domains);
}

static void add_preferred(struct sched_try *t, const struct core_v1_WeightedPodAffinityTerm *term, int64_t sign) {
	struct meaning m = meaning_of(t, &term->podAffinityTerm, t->pod->metadata.namespace);
	struct weighed w = { term->podAffinityTerm.topologyKey, sign * term->weight };
	each_meant(t, &m, draw, &w);
}

/* ---- what other pods say of ours ---- */

static void heed(struct sched_try *t, const struct sched_pod *p, const struct core_v1_PodAffinityTerm *term, int64_t weight,
	bool bars) {
	struct meaning m = meaning_of(t, term, p->blob->ns);
	if (!means_our_pod(t, &m))
		return;
	struct domain *d = domain_get(t, term->topologyKey, p->node);
	if (d) {
		d->pull += weight;
		d->barred |= bars;
	}
}

static void heed_pod(struct sched_try *t, const struct sched_pod *p) {
	enum { REQUIRED_WEIGHT = 1 };   /* of an affinity that our pod need not obey */
	const struct core_v1_PodAffinity *with = p->pod->spec.affinity->podAffinity;
	const struct core_v1_PodAntiAffinity *anti = p->pod->spec.affinity->podAntiAffinity;
	for (size_t i = 0; with && i < with->requiredDuringSchedulingIgnoredDuringExecution.n; i++)
		heed(t, p, &with->requiredDuringSchedulingIgnoredDuringExecution.p[i], REQUIRED_WEIGHT, false);
	for (size_t i = 0; with && i < with->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const struct core_v1_WeightedPodAffinityTerm *w = &with->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		heed(t, p, &w->podAffinityTerm, w->weight, false);
	}
	for (size_t i = 0; anti && i < anti->requiredDuringSchedulingIgnoredDuringExecution.n; i++)
		heed(t, p, &anti->requiredDuringSchedulingIgnoredDuringExecution.p[i], 0, true);
	for (size_t i = 0; anti && i < anti->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const struct core_v1_WeightedPodAffinityTerm *w = &anti->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		heed(t, p, &w->podAffinityTerm, -w->weight, false);
	}
}

/* ---- for the filter and the scores ---- */

void sched_affinity_prefilter(struct sched_try *t) {
	const struct core_v1_Affinity *a = t->pod->spec.affinity;
	const struct core_v1_PodAffinity *with = a ? a->podAffinity : NULL;
	const struct core_v1_PodAntiAffinity *anti = a ? a->podAntiAffinity : NULL;
	for (size_t i = 0; with && i < with->requiredDuringSchedulingIgnoredDuringExecution.n; i++)
		add_required(t, &with->requiredDuringSchedulingIgnoredDuringExecution.p[i], false);
	for (size_t i = 0; with && i < with->preferredDuringSchedulingIgnoredDuringExecution.n; i++)
		add_preferred(t, &with->preferredDuringSchedulingIgnoredDuringExecution.p[i], 1);
	for (size_t i = 0; anti && i < anti->requiredDuringSchedulingIgnoredDuringExecution.n; i++)
		add_required(t, &anti->requiredDuringSchedulingIgnoredDuringExecution.p[i], true);
	for (size_t i = 0; anti && i < anti->preferredDuringSchedulingIgnoredDuringExecution.n; i++)
		add_preferred(t, &anti->preferredDuringSchedulingIgnoredDuringExecution.p[i], -1);
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&t->cache->affine, &it, &uid, &v))
		heed_pod(t, v);
}

/* The first of a group that wants to be together may go wherever there are such domains. */
static bool is_first(const struct sched_try *t, const struct sched_node *n) {
	for (size_t i = 0; i < t->terms.n; i++) {
		const struct sched_term *x = &t->terms.p[i];
		if (!x->anti && (x->domains.n > 0 || !x->means_itself || !sched_label(n, x->key)))
			return false;
	}
	return true;
}

static bool has_meant(const struct sched_term *x, const struct sched_node *n) {
	const struct cor_str *value = sched_label(n, x->key);
	return value && cor_map_get(&x->domains, *value);
}

const char *sched_affinity_filter(struct sched_try *t, const struct sched_node *n) {
	for (size_t i = 0; i < t->terms.n; i++)
		if (!t->terms.p[i].anti && !has_meant(&t->terms.p[i], n) && !is_first(t, n))
			return "node(s) didn't match pod affinity rules";
	for (size_t i = 0; i < t->terms.n; i++)
		if (t->terms.p[i].anti && has_meant(&t->terms.p[i], n))
			return "node(s) didn't match pod anti-affinity rules";
	for (size_t i = 0; i < t->topologies.n; i++) {
		const struct cor_str *value = sched_label(n, t->topologies.p[i].key);
		const struct domain *d = value ? cor_map_get(&t->topologies.p[i].domains, *value) : NULL;
		if (d && d->barred)
			return "node(s) didn't satisfy existing pods anti-affinity rules";
	}
	return NULL;
}

int64_t sched_affinity_score(struct sched_try *t, const struct sched_node *n) {
	int64_t sum = 0;
	for (size_t i = 0; i < t->topologies.n; i++) {
		const struct cor_str *value = sched_label(n, t->topologies.p[i].key);
		const struct domain *d = value ? cor_map_get(&t->topologies.p[i].domains, *value) : NULL;
		sum += d ? d->pull : 0;
	}
	return sum;
}

void sched_affinity_fini(struct sched_try *t) {
	for (size_t i = 0; i < t->terms.n; i++)
		cor_map_fini(&t->terms.p[i].domains);
	for (size_t i = 0; i < t->topologies.n; i++)
		cor_map_fini(&t->topologies.p[i].domains);
}
