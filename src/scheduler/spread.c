// SPDX-License-Identifier: Apache-2.0
// Spreading over domains (facts/controllers.md 20.8): constraints that must hold are a filter, the others a score.
// A pod without constraints whose controller or Service makes several alike is spread over nodes and zones as well
// as that goes. The prefilter counts the pods of each domain once.
#include <math.h>

#include "codec/selector.h"
#include "controllers/pods.h"
#include "gen/apps_v1.h"
#include "scheduler/filter.h"

struct sched_spread {
	const struct core_v1_TopologySpreadConstraint *c;
	struct cor_selector selector;
	bool hard, implied;
	int64_t self;                   /* 1 when the pod is one of those that are counted */
	struct cor_map domains;         /* value -> pods + 1, a number: a domain may be empty */
	int64_t min;                    /* pods of the emptiest domain */
	double weight;                  /* of a pod in scores: the more domains, the more */
};

/* ---- which constraints ---- */

static const struct core_v1_TopologySpreadConstraint implied[] = {
	{ .maxSkew = 3, .topologyKey = COR_STR_INIT("kubernetes.io/hostname"), .whenUnsatisfiable = COR_STR_INIT("ScheduleAnyway") },
	{ .maxSkew = 5, .topologyKey = COR_STR_INIT("topology.kubernetes.io/zone"),
		.whenUnsatisfiable = COR_STR_INIT("ScheduleAnyway") },
};

struct search {
	struct sched_try *t;
	struct cor_selector *ret;
	bool found;
};

static bool of_service(void *arg, struct cor_obj *o) {
	struct search *s = arg;
	struct cor_err err;
	const struct core_v1_Service *svc = cor_obj_decode(o, s->t->arena, &err);
	if (!svc || svc->spec.selector.n == 0 ||
	    cor_selector_from_map(s->t->arena, &svc->spec.selector, s->ret, &err) < 0 ||
	    !cor_selector_matches(s->ret, &s->t->pod->metadata.labels))
		return true;
	s->found = true;
	return false;
}

/* Which pods are alike: those of the same controller, else those of the same Service. */
static bool alike(struct sched_try *t, struct cor_selector *ret) {
	const struct meta_v1_OwnerReference *owner = cor_controller_ref(&t->pod->metadata);
	struct cor_str ns = t->pod->metadata.namespace;
	struct cor_err err;
	if (!owner) {
		struct search s = { t, ret, false };
		cor_store_each(t->store, COR_RES_SERVICES, ns, COR_STR(""), COR_STR(""), of_service, &s);
		return s.found;
	}
	if (cor_str_eq(owner->kind, COR_STR("ReplicaSet"))) {
		const struct apps_v1_ReplicaSet *x = cor_registry_get(t->registry, COR_RES_REPLICASETS, ns, owner->name, t->arena);
		return x && cor_selector_from_labels(t->arena, x->spec.selector, ret, &err) >= 0;
	}
	if (cor_str_eq(owner->kind, COR_STR("StatefulSet"))) {
		const struct apps_v1_StatefulSet *x = cor_registry_get(t->registry, COR_RES_STATEFULSETS, ns, owner->name, t->arena);
		return x && cor_selector_from_labels(t->arena, x->spec.selector, ret, &err) >= 0;
	}
	if (cor_str_eq(owner->kind, COR_STR("ReplicationController"))) {
		const struct core_v1_ReplicationController *x =
			cor_registry_get(t->registry, COR_RES_REPLICATIONCONTROLLERS, ns, owner->name, t->arena);
		return x && x->spec.selector.n > 0 && cor_selector_from_map(t->arena, &x->spec.selector, ret, &err) >= 0;
	}
	return false;
}

static struct sched_spread *add(struct sched_try *t, const struct core_v1_TopologySpreadConstraint *c) {
	struct sched_spread *s = cor_arena_push(t->arena, &t->spreads);
	if (s) {
		s->c = c;
		s->hard = cor_str_eq(c->whenUnsatisfiable, COR_STR("DoNotSchedule"));
	}
	return s;
}

static void add_all(struct sched_try *t) {
	const struct core_v1_PodSpec *spec = &t->pod->spec;
	struct cor_selector sel;
	struct cor_err err;
	for (size_t i = 0; i < spec->topologySpreadConstraints.n; i++) {
		struct sched_spread *s = add(t, &spec->topologySpreadConstraints.p[i]);
		if (s && cor_selector_from_labels(t->arena, s->c->labelSelector, &s->selector, &err) < 0)
			s->selector.nothing = true;
	}
	if (spec->topologySpreadConstraints.n > 0 || t->cache->n_nodes < 2 || !alike(t, &sel))
		return;
	for (size_t i = 0; i < cor_countof(implied); i++) {
		struct sched_spread *s = add(t, &implied[i]);
		if (s) {
			s->selector = sel;
			s->implied = true;
		}
	}
}

/* ---- counting ---- */

/* Has the node every key that constraints of this kind name? Implied ones are counted where their key is. */
static bool has_keys(const struct sched_try *t, const struct sched_node *n, const struct sched_spread *s) {
	for (size_t i = 0; i < t->spreads.n; i++)
		if (!s->implied && t->spreads.p[i].hard == s->hard && !sched_label(n, t->spreads.p[i].c->topologyKey))
			return false;
	return sched_label(n, s->c->topologyKey) != NULL;
}

static bool is_eligible(const struct sched_try *t, const struct sched_node *n, const struct sched_spread *s) {
	bool affinity = s->c->nodeAffinityPolicy.n == 0 || cor_str_eq(s->c->nodeAffinityPolicy, COR_STR("Honor"));
	bool taints = cor_str_eq(s->c->nodeTaintsPolicy, COR_STR("Honor"));
	return n->node && has_keys(t, n, s) && (!affinity || sched_node_affinity(t->pod, n->node)) &&
		(!taints || sched_tolerates(t->pod, n->node));
}

static uintptr_t pods_on(const struct sched_try *t, const struct sched_node *n, const struct sched_spread *s) {
	uintptr_t sum = 0;
	for (const struct sched_pod *p = n->pods; p; p = p->next)
		sum += !p->blob->deleting && cor_str_eq(p->blob->ns, t->pod->metadata.namespace) &&
			cor_selector_matches(&s->selector, &p->blob->labels);
	return sum;
}

static void count(struct sched_try *t, struct sched_spread *s) {
	size_t it = 0;
	struct cor_str name, value;
	void *v;
	while (cor_map_next(&t->cache->nodes, &it, &name, &v)) {
		const struct sched_node *n = v;
		if (!is_eligible(t, n, s))
			continue;
		value = *sched_label(n, s->c->topologyKey);
		uintptr_t before = (uintptr_t)cor_map_get(&s->domains, value);
		(void)cor_map_put(&s->domains, value, (void *)((before ? before : 1) + pods_on(t, n, s)));
	}
	s->min = s->domains.n > 0 ? INT64_MAX : 0;
	it = 0;
	while (cor_map_next(&s->domains, &it, &value, &v))
		if ((int64_t)(uintptr_t)v - 1 < s->min)
			s->min = (int64_t)(uintptr_t)v - 1;
	if (s->c->minDomains && s->domains.n < (size_t)*s->c->minDomains)
		s->min = 0;
	s->weight = log((double)s->domains.n + 2);
	s->self = cor_selector_matches(&s->selector, &t->pod->metadata.labels);
}

void sched_spread_prefilter(struct sched_try *t) {
	add_all(t);
	for (size_t i = 0; i < t->spreads.n; i++)
		count(t, &t->spreads.p[i]);
}

static int64_t pods_of_domain(const struct sched_spread *s, struct cor_str value) {
	uintptr_t n = (uintptr_t)cor_map_get(&s->domains, value);
	return n ? (int64_t)n - 1 : 0;
}

/* ---- for the filter and the scores ---- */

const char *sched_spread_filter(struct sched_try *t, const struct sched_node *n) {
	for (size_t i = 0; i < t->spreads.n; i++) {
		const struct sched_spread *s = &t->spreads.p[i];
		if (!s->hard)
			continue;
		const struct cor_str *value = sched_label(n, s->c->topologyKey);
		if (!value)
			return "node(s) didn't match pod topology spread constraints (missing required label)";
		if (pods_of_domain(s, *value) + s->self - s->min > s->c->maxSkew)
			return "node(s) didn't match pod topology spread constraints";
	}
	return NULL;
}

int64_t sched_spread_score(struct sched_try *t, const struct sched_node *n) {
	double sum = 0;
	for (size_t i = 0; i < t->spreads.n; i++) {
		const struct sched_spread *s = &t->spreads.p[i];
		const struct cor_str *value = sched_label(n, s->c->topologyKey);
		if (s->hard || (!value && s->implied))
			continue;
		if (!value)
			return SCHED_NO_SCORE;
		sum += (double)pods_of_domain(s, *value) * s->weight + s->c->maxSkew - 1;
	}
	return (int64_t)(sum + 0.5);
}

void sched_spread_fini(struct sched_try *t) {
	for (size_t i = 0; i < t->spreads.n; i++)
		cor_map_fini(&t->spreads.p[i].domains);
}
