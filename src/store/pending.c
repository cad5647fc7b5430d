// SPDX-License-Identifier: Apache-2.0
// Writes under way: a queue in the order of revisions, and a hash table from a key to its newest
// write, behind which the older ones of that key hang. The table is what makes the newest view;
// it is empty whenever the store is idle.
#include "store/store_priv.h"

void cor_pending_push(struct pending_list *l, struct pending *p) {
	p->next = NULL;
	if (l->tail)
		l->tail->next = p;
	else
		l->head = p;
	l->tail = p;
	l->n++;
}

struct pending *cor_pending_pop(struct pending_list *l) {
	struct pending *p = l->head;
	if (!p)
		return NULL;
	l->head = p->next;
	if (!l->head)
		l->tail = NULL;
	l->n--;
	p->next = NULL;
	return p;
}

void cor_pending_append(struct pending_list *to, struct pending_list *from) {
	struct pending *p;
	while ((p = cor_pending_pop(from)))
		cor_pending_push(to, p);
}

static struct pending **bucket(const struct pending_table *t, uint16_t res, struct cor_str ns,
	struct cor_str name) {
	return &t->buckets[cor_key_hash(res, ns, name) & (t->cap - 1)];
}

static struct pending **bucket_of(const struct pending_table *t, const struct pending *p) {
	return bucket(t, p->obj->res, p->obj->ns, p->obj->name);
}

struct pending *cor_pending_newest(const struct pending_table *t, uint16_t res, struct cor_str ns,
	struct cor_str name) {
	if (t->n == 0)
		return NULL;
	for (struct pending *p = *bucket(t, res, ns, name); p; p = p->chain)
		if (p->obj->res == res && cor_str_eq(p->obj->name, name) &&
			cor_str_eq(p->obj->ns, ns))
			return p;
	return NULL;
}

static void put(struct pending_table *t, struct pending *p) {
	struct pending **head = bucket_of(t, p);
	p->chain = *head;
	*head = p;
	t->n++;
}

static void take(struct pending_table *t, struct pending *p) {
	struct pending **at = bucket_of(t, p);
	while (*at != p) {
		cor_assert(*at);
		at = &(*at)->chain;
	}
	*at = p->chain;
	p->chain = NULL;
	t->n--;
}

static void grow(struct pending_table *t) {
	struct pending_table bigger = { .cap = t->cap ? 2 * t->cap : 64 };
	bigger.buckets = cor_calloc(bigger.cap, sizeof(*bigger.buckets));
	for (size_t i = 0; i < t->cap; i++) {
		for (struct pending *p = t->buckets[i], *next; p; p = next) {
			next = p->chain;
			put(&bigger, p);
		}
	}
	free(t->buckets);
	*t = bigger;
}

void cor_pending_link(struct pending_table *t, struct pending *p) {
	if (t->n >= t->cap)
		grow(t);
	struct pending *older = cor_pending_newest(t, p->obj->res, p->obj->ns, p->obj->name);
	if (older) {
		take(t, older);
		older->newer = p;
		p->older = older;
	}
	put(t, p);
}

void cor_pending_unlink(struct pending_table *t, struct pending *p) {
	if (p->newer) {
		p->newer->older = p->older;
	} else {
		take(t, p);
		if (p->older)
			put(t, p->older);
	}
	if (p->older)
		p->older->newer = p->newer;
	p->older = p->newer = NULL;
}
