// SPDX-License-Identifier: Apache-2.0
// The scheduler's view of nodes and of what is taken on them: see cache.h.
#include "scheduler/cache.h"

#include <string.h>

#include "api/registry.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "codec/quantity.h"

static const struct cor_str CPU = COR_STR_INIT("cpu");
static const struct cor_str PODS = COR_STR_INIT("pods");

/* ---- amounts ---- */

static int64_t *slot(struct sched_amounts *a, struct cor_str name) {
	for (size_t i = 0; i < a->n; i++)
		if (cor_str_eq(a->p[i].name, name))
			return &a->p[i].v;
	if (a->n == SCHED_RES_MAX)
		return NULL;
	a->p[a->n].name = name;
	a->p[a->n].v = 0;
	return &a->p[a->n++].v;
}

int64_t sched_amount(const struct sched_amounts *a, struct cor_str name) {
	for (size_t i = 0; i < a->n; i++)
		if (cor_str_eq(a->p[i].name, name))
			return a->p[i].v;
	return 0;
}

static int64_t amount_of(struct cor_str name, struct cor_str text) {
	struct cor_quantity q = cor_quantity_of(text);
	return cor_str_eq(name, CPU) ? cor_quantity_milli(q) : cor_quantity_value(q);
}

static void add_map(struct sched_amounts *a, const struct cor_strmap *m) {
	for (size_t i = 0; i < m->n; i++) {
		int64_t *v = slot(a, m->p[i].key);
		if (v)
			*v += amount_of(m->p[i].key, m->p[i].value);
	}
}

static void add(struct sched_amounts *to, const struct sched_amounts *x) {
	for (size_t i = 0; i < x->n; i++) {
		int64_t *v = slot(to, x->p[i].name);
		if (v)
			*v += x->p[i].v;
	}
}

static void raise(struct sched_amounts *to, const struct sched_amounts *x) {
	for (size_t i = 0; i < x->n; i++) {
		int64_t *v = slot(to, x->p[i].name);
		if (v && *v < x->p[i].v)
			*v = x->p[i].v;
	}
}

static void set_map(struct sched_amounts *a, const struct cor_strmap *m) {
	for (size_t i = 0; i < m->n; i++) {
		int64_t *v = slot(a, m->p[i].key);
		if (v)
			*v = amount_of(m->p[i].key, m->p[i].value);
	}
}

static const struct sched_amount unasked[SCHED_SCORED_MAX] = {
	[SCHED_CPU] = { COR_STR_INIT("cpu"), 100 },
	[SCHED_MEMORY] = { COR_STR_INIT("memory"), 200 << 20 },
};

static void add_container(struct sched_amounts *a, const struct core_v1_Container *c, bool scored) {
	add_map(a, &c->resources.requests);
	for (size_t i = 0; scored && i < SCHED_SCORED_MAX; i++)
		if (!cor_strmap_get(&c->resources.requests, unasked[i].name))
			*slot(a, unasked[i].name) += unasked[i].v;
}

static void request(const struct core_v1_Pod *pod, bool scored, struct sched_amounts *ret) {
	struct sched_amounts sum = { 0 }, init = { 0 }, restartable = { 0 };
	const struct core_v1_PodSpec *s = &pod->spec;
	/* First, so that there is room for them. */
	for (size_t i = 0; scored && i < SCHED_SCORED_MAX; i++)
		*slot(&sum, unasked[i].name) = *slot(&restartable, unasked[i].name) = 0;
	for (size_t i = 0; i < s->containers.n; i++)
		add_container(&sum, &s->containers.p[i], scored);
	for (size_t i = 0; i < s->initContainers.n; i++) {
		struct sched_amounts one = restartable;
		add_container(&one, &s->initContainers.p[i], scored);
		if (cor_str_eq(s->initContainers.p[i].restartPolicy, COR_STR("Always")))
			restartable = one;
		raise(&init, &one);
	}
	add(&sum, &restartable);
	raise(&sum, &init);
	if (s->resources)
		set_map(&sum, &s->resources->requests);
	add_map(&sum, &s->overhead);
	*ret = sum;
}

void sched_request(const struct core_v1_Pod *pod, struct sched_amounts *ret) {
	request(pod, false, ret);
}

void sched_request_scored(const struct core_v1_Pod *pod, int64_t ret[SCHED_SCORED_MAX]) {
	struct sched_amounts a;
	request(pod, true, &a);
	for (size_t i = 0; i < SCHED_SCORED_MAX; i++)
		ret[i] = sched_amount(&a, unasked[i].name);
}

/* ---- nodes ---- */

static struct sched_node *node_get(struct sched_cache *c, struct cor_str name) {
	struct sched_node *n = cor_map_get(&c->nodes, name);
	if (n)
		return n;
	n = cor_new(struct sched_node);
	n->name = cor_str_dup_c(name);
	(void)cor_map_put(&c->nodes, cor_str_c(n->name), n);
	return n;
}

/* A pod comes (sign -1) or goes. What the node does not offer has no place in free, and needs none. */
static void take(struct sched_node *n, const struct sched_pod *p, int64_t sign) {
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < n->free.n; k++)
			if (cor_str_eq(n->free.p[k].name, p->request[i].name))
				n->free.p[k].v += sign * p->request[i].v;
	for (size_t i = 0; i < SCHED_SCORED_MAX; i++)
		n->scored[i] -= sign * p->scored[i];
	n->pods_free += sign;
}

static void recount(struct sched_node *n) {
	n->all = (struct sched_amounts){ 0 };
	n->pods_free = 0;
	memset(n->scored, 0, sizeof(n->scored));
	if (n->node) {
		add_map(&n->all, &n->node->status.allocatable);
		const struct cor_str *pods = cor_strmap_get(&n->node->status.allocatable, PODS);
		n->pods_free = pods ? cor_quantity_value(cor_quantity_of(*pods)) : 110;
	}
	n->free = n->all;
	for (struct sched_pod *p = n->pods; p; p = p->next)
		take(n, p, -1);
}

static void node_release(struct sched_node *n) {
	n->node = NULL;
	cor_arena_free(n->arena);
	n->arena = NULL;
	cor_obj_unref(n->blob);
	n->blob = NULL;
}

void sched_cache_node(struct sched_cache *c, struct cor_obj *o, bool deleted) {
	struct sched_node *n = node_get(c, o->name);
	c->n_nodes -= n->node != NULL;
	node_release(n);
	if (!deleted) {
		struct cor_err err;
		n->blob = cor_obj_ref(o);
		n->arena = cor_arena_new(0);
		n->node = cor_obj_decode(o, n->arena, &err);
	}
	c->n_nodes += n->node != NULL;
	recount(n);
}

/* ---- pods ---- */

static void pod_free(struct sched_pod *p) {
	cor_arena_free(p->arena);
	cor_obj_unref(p->blob);
	free(p);
}

static void pod_remove(struct sched_cache *c, struct sched_pod *p) {
	take(p->node, p, 1);
	if (p->next)
		p->next->prev = p->prev;
	*p->prev = p->next;
	(void)cor_map_remove(&c->pods, p->blob->uid);
	(void)cor_map_remove(&c->affine, p->blob->uid);
	pod_free(p);
}

static bool has_host_port(const struct core_v1_Pod *pod) {
	for (size_t i = 0; i < pod->spec.containers.n; i++)
		for (size_t k = 0; k < pod->spec.containers.p[i].ports.n; k++)
			if (pod->spec.containers.p[i].ports.p[k].hostPort)
				return true;
	return false;
}

static bool is_affine(const struct core_v1_Pod *pod) {
	const struct core_v1_Affinity *a = pod->spec.affinity;
	return a && (a->podAffinity || a->podAntiAffinity);
}

static bool is_finished(const struct core_v1_Pod *pod) {
	return cor_str_eq(pod->status.phase, COR_STR("Succeeded")) || cor_str_eq(pod->status.phase, COR_STR("Failed"));
}

static void pod_add(struct sched_cache *c, struct cor_obj *o, struct cor_str node, bool assumed) {
	struct cor_err err;
	struct sched_amounts want;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	const struct core_v1_Pod *pod = cor_obj_decode(o, a, &err);
	if (!pod || is_finished(pod))
		return;
	sched_request(pod, &want);
	struct sched_pod *p = cor_calloc(1, sizeof(*p) + want.n * sizeof(want.p[0]));
	p->blob = cor_obj_ref(o);
	p->n = (uint8_t)want.n;
	memcpy(p->request, want.p, want.n * sizeof(want.p[0]));
	sched_request_scored(pod, p->scored);
	p->assumed = assumed;
	(void)cor_map_put(&c->pods, o->uid, p);
	if (is_affine(pod))
		(void)cor_map_put(&c->affine, o->uid, p);
	if (is_affine(pod) || has_host_port(pod)) {
		p->pod = pod;
		p->arena = a;
		a = NULL;
	}
	p->node = node_get(c, node);
	p->next = p->node->pods;
	p->prev = &p->node->pods;
	if (p->next)
		p->next->prev = &p->next;
	p->node->pods = p;
	take(p->node, p, -1);
}

void sched_cache_pod(struct sched_cache *c, struct cor_obj *o, bool deleted) {
	struct sched_pod *old = cor_map_get(&c->pods, o->uid);
	const struct cor_str *node = cor_strmap_get(&o->fields, COR_STR("spec.nodeName"));
	if (old && old->assumed && !deleted && !node)
		return;         /* an event from before the binding */
	if (old)
		pod_remove(c, old);
	if (!deleted && node)
		pod_add(c, o, *node, false);
}

void sched_cache_assume(struct sched_cache *c, struct cor_obj *o, struct cor_str node) {
	if (!cor_map_get(&c->pods, o->uid))
		pod_add(c, o, node, true);
}

void sched_cache_forget(struct sched_cache *c, struct cor_str uid) {
	struct sched_pod *p = cor_map_get(&c->pods, uid);
	if (p && p->assumed)
		pod_remove(c, p);
}

void sched_cache_fini(struct sched_cache *c) {
	size_t it = 0;
	struct cor_str key;
	void *v;
	while (cor_map_next(&c->pods, &it, &key, &v))
		pod_free(v);
	it = 0;
	while (cor_map_next(&c->nodes, &it, &key, &v)) {
		struct sched_node *n = v;
		node_release(n);
		free(n->name);
		free(n);
	}
	cor_map_fini(&c->pods);
	cor_map_fini(&c->affine);
	cor_map_fini(&c->nodes);
}
