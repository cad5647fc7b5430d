// SPDX-License-Identifier: Apache-2.0
// The scheduler's view of nodes and of what is taken on them: see cache.h.
#include "scheduler/cache.h"

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

static void add(struct sched_amounts *to, const struct sched_amounts *x, int64_t sign) {
	for (size_t i = 0; i < x->n; i++) {
		int64_t *v = slot(to, x->p[i].name);
		if (v)
			*v += sign * x->p[i].v;
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

void sched_request(const struct core_v1_Pod *pod, struct sched_amounts *ret) {
	struct sched_amounts sum = { 0 }, init = { 0 }, restartable = { 0 };
	const struct core_v1_PodSpec *s = &pod->spec;
	for (size_t i = 0; i < s->containers.n; i++)
		add_map(&sum, &s->containers.p[i].resources.requests);
	for (size_t i = 0; i < s->initContainers.n; i++) {
		struct sched_amounts one = restartable;
		add_map(&one, &s->initContainers.p[i].resources.requests);
		if (cor_str_eq(s->initContainers.p[i].restartPolicy, COR_STR("Always")))
			restartable = one;
		raise(&init, &one);
	}
	add(&sum, &restartable, 1);
	raise(&sum, &init);
	if (s->resources)
		set_map(&sum, &s->resources->requests);
	add_map(&sum, &s->overhead);
	*ret = sum;
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

static void recount(struct sched_node *n) {
	n->free = (struct sched_amounts){ 0 };
	n->pods_free = 0;
	if (!n->node)
		return;
	add_map(&n->free, &n->node->status.allocatable);
	const struct cor_str *pods = cor_strmap_get(&n->node->status.allocatable, PODS);
	n->pods_free = pods ? cor_quantity_value(cor_quantity_of(*pods)) : 110;
	for (struct sched_pod *p = n->pods; p; p = p->next) {
		add(&n->free, &p->request, -1);
		n->pods_free--;
	}
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

static void pod_remove(struct sched_cache *c, struct sched_pod *p) {
	add(&p->node->free, &p->request, 1);
	p->node->pods_free++;
	if (p->next)
		p->next->prev = p->prev;
	*p->prev = p->next;
	(void)cor_map_remove(&c->pods, p->blob->uid);
	cor_arena_free(p->arena);
	cor_obj_unref(p->blob);
	free(p);
}

static void pod_add(struct sched_cache *c, struct cor_obj *o, struct cor_arena *a, const struct core_v1_Pod *pod,
	struct cor_str node, bool assumed) {
	struct sched_pod *p = cor_new(struct sched_pod);
	p->blob = cor_obj_ref(o);
	p->arena = a;
	p->pod = pod;
	p->assumed = assumed;
	p->node = node_get(c, node);
	sched_request(pod, &p->request);
	p->next = p->node->pods;
	p->prev = &p->node->pods;
	if (p->next)
		p->next->prev = &p->next;
	p->node->pods = p;
	add(&p->node->free, &p->request, -1);
	p->node->pods_free--;
	(void)cor_map_put(&c->pods, o->uid, p);
}

static bool is_finished(const struct core_v1_Pod *pod) {
	return cor_str_eq(pod->status.phase, COR_STR("Succeeded")) || cor_str_eq(pod->status.phase, COR_STR("Failed"));
}

void sched_cache_pod(struct sched_cache *c, struct cor_obj *o, bool deleted) {
	struct sched_pod *old = cor_map_get(&c->pods, o->uid);
	const struct cor_str *node = cor_strmap_get(&o->fields, COR_STR("spec.nodeName"));
	if (old && old->assumed && !deleted && !node)
		return;         /* an event from before the binding */
	if (old)
		pod_remove(c, old);
	if (deleted || !node)
		return;
	struct cor_err err;
	struct cor_arena *a = cor_arena_new(0);
	const struct core_v1_Pod *pod = cor_obj_decode(o, a, &err);
	if (pod && !is_finished(pod))
		pod_add(c, o, a, pod, *node, false);
	else
		cor_arena_free(a);
}

void sched_cache_assume(struct sched_cache *c, struct cor_obj *o, struct cor_str node) {
	struct cor_err err;
	struct cor_arena *a = cor_arena_new(0);
	const struct core_v1_Pod *pod = cor_obj_decode(o, a, &err);
	if (pod && !cor_map_get(&c->pods, o->uid))
		pod_add(c, o, a, pod, node, true);
	else
		cor_arena_free(a);
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
	while (cor_map_next(&c->pods, &it, &key, &v)) {
		struct sched_pod *p = v;
		cor_arena_free(p->arena);
		cor_obj_unref(p->blob);
		free(p);
	}
	it = 0;
	while (cor_map_next(&c->nodes, &it, &key, &v)) {
		struct sched_node *n = v;
		node_release(n);
		free(n->name);
		free(n);
	}
	cor_map_fini(&c->pods);
	cor_map_fini(&c->nodes);
}
