// SPDX-License-Identifier: Apache-2.0
// Published versions by key, by uid and by owner uid, over all resources. All are intrusive: the
// chains of the hash tables and the ring of an owner run through the objects themselves, so that
// replacing a version allocates nothing and is O(1), also for an owner of 10,000 pods. The table of
// keys serves the gets: a search in the ordered index would wait for memory at each of its steps.
#include "store/store_priv.h"

void cor_xref_fini(struct cor_xref *x) {
	size_t it = 0;
	struct cor_str uid;
	void *head;
	while (cor_map_next(&x->by_owner, &it, &uid, &head))
		free(head);
	cor_map_fini(&x->by_owner);
	free(x->tables[BY_KEY].heads);
	free(x->tables[BY_UID].heads);
	*x = (struct cor_xref){ 0 };
}

static void table_link(struct cor_obj **heads, size_t cap, enum xref_by by, struct cor_obj *o) {
	struct obj_chain *c = &obj_priv(o)->chains[by];
	struct cor_obj **head = &heads[c->hash & (cap - 1)];
	c->next = *head;
	*head = o;
}

static void table_grow(struct obj_table *t, enum xref_by by) {
	size_t cap = t->cap ? 2 * t->cap : 64;
	struct cor_obj **heads = cor_calloc(cap, sizeof(*heads));
	for (size_t i = 0; i < t->cap; i++) {
		for (struct cor_obj *o = t->heads[i], *next; o; o = next) {
			next = obj_priv(o)->chains[by].next;
			table_link(heads, cap, by, o);
		}
	}
	free(t->heads);
	t->heads = heads;
	t->cap = cap;
}

static void table_add(struct cor_xref *x, enum xref_by by, uint64_t hash, struct cor_obj *o) {
	struct obj_table *t = &x->tables[by];
	if (t->n >= t->cap)
		table_grow(t, by);
	obj_priv(o)->chains[by].hash = hash;
	table_link(t->heads, t->cap, by, o);
	t->n++;
}

static void table_remove(struct cor_xref *x, enum xref_by by, struct cor_obj *o) {
	struct obj_table *t = &x->tables[by];
	struct obj_chain *c = &obj_priv(o)->chains[by];
	struct cor_obj **at = &t->heads[c->hash & (t->cap - 1)];
	while (*at != o) {
		cor_assert(*at);
		at = &obj_priv(*at)->chains[by].next;
	}
	*at = c->next;
	c->next = NULL;
	t->n--;
}

static struct cor_obj *table_first(const struct cor_xref *x, enum xref_by by, uint64_t hash) {
	const struct obj_table *t = &x->tables[by];
	return t->cap ? t->heads[hash & (t->cap - 1)] : NULL;
}

static void link_owner(struct cor_xref *x, struct cor_str uid, struct owner_link *l) {
	struct owner_link *head = cor_map_get(&x->by_owner, uid);
	if (!head) {
		head = cor_new(struct owner_link);
		head->prev = head->next = head;
		(void)cor_map_put(&x->by_owner, uid, head);
	}
	l->prev = head->prev;
	l->next = head;
	l->prev->next = l->next->prev = l;
}

static void unlink_owner(struct cor_xref *x, struct cor_str uid, struct owner_link *l) {
	struct owner_link *prev = l->prev, *next = l->next;
	prev->next = next;
	next->prev = prev;
	l->prev = l->next = NULL;
	/* Only the head is left; it is the one without an object. */
	if (prev == next && !prev->obj)
		free(cor_map_remove(&x->by_owner, uid));
}

void cor_xref_add(struct cor_xref *x, struct cor_obj *o) {
	table_add(x, BY_KEY, cor_key_hash(o->res, o->ns, o->name), o);
	if (o->uid.n)
		table_add(x, BY_UID, cor_str_hash(o->uid), o);
	for (size_t i = 0; i < o->owners.n; i++)
		link_owner(x, o->owners.p[i].uid, &obj_priv(o)->links[i]);
}

void cor_xref_remove(struct cor_xref *x, struct cor_obj *o) {
	table_remove(x, BY_KEY, o);
	if (o->uid.n)
		table_remove(x, BY_UID, o);
	for (size_t i = 0; i < o->owners.n; i++)
		unlink_owner(x, o->owners.p[i].uid, &obj_priv(o)->links[i]);
}

struct cor_obj *cor_xref_by_key(const struct cor_xref *x, uint16_t res, struct cor_str ns,
	struct cor_str name) {
	uint64_t hash = cor_key_hash(res, ns, name);
	struct cor_obj *o = table_first(x, BY_KEY, hash);
	for (; o; o = obj_priv(o)->chains[BY_KEY].next)
		if (obj_priv(o)->chains[BY_KEY].hash == hash && o->res == res &&
			cor_str_eq(o->name, name) && cor_str_eq(o->ns, ns))
			return o;
	return NULL;
}

struct cor_obj *cor_xref_by_uid(const struct cor_xref *x, struct cor_str uid) {
	if (!uid.n)
		return NULL;
	struct cor_obj *o = table_first(x, BY_UID, cor_str_hash(uid));
	for (; o; o = obj_priv(o)->chains[BY_UID].next)
		if (cor_str_eq(o->uid, uid))
			return o;
	return NULL;
}
