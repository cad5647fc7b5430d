// SPDX-License-Identifier: Apache-2.0
// Published versions by uid and by owner uid, over all resources. Both are intrusive: the chain of
// the uid table and the ring of an owner run through the objects themselves, so that replacing a
// version allocates nothing and is O(1), also for an owner of 10,000 pods.
#include "store/store_priv.h"

void cor_xref_fini(struct cor_xref *x) {
	size_t it = 0;
	struct cor_str uid;
	void *head;
	while (cor_map_next(&x->by_owner, &it, &uid, &head))
		free(head);
	cor_map_fini(&x->by_owner);
	free(x->by_uid);
	*x = (struct cor_xref){ 0 };
}

static struct cor_obj **bucket(const struct cor_xref *x, struct cor_str uid) {
	return &x->by_uid[cor_str_hash(uid) & (x->cap - 1)];
}

static void grow(struct cor_xref *x) {
	struct cor_xref bigger = { .cap = x->cap ? 2 * x->cap : 64 };
	bigger.by_uid = cor_calloc(bigger.cap, sizeof(*bigger.by_uid));
	for (size_t i = 0; i < x->cap; i++) {
		for (struct cor_obj *o = x->by_uid[i], *next; o; o = next) {
			next = obj_priv(o)->uid_next;
			struct cor_obj **head = bucket(&bigger, o->uid);
			obj_priv(o)->uid_next = *head;
			*head = o;
		}
	}
	free(x->by_uid);
	x->by_uid = bigger.by_uid;
	x->cap = bigger.cap;
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
	struct obj_priv *priv = obj_priv(o);
	if (o->uid.n) {
		if (x->n >= x->cap)
			grow(x);
		struct cor_obj **head = bucket(x, o->uid);
		priv->uid_next = *head;
		*head = o;
		x->n++;
	}
	for (size_t i = 0; i < o->owners.n; i++)
		link_owner(x, o->owners.p[i].uid, &priv->links[i]);
}

void cor_xref_remove(struct cor_xref *x, struct cor_obj *o) {
	struct obj_priv *priv = obj_priv(o);
	if (o->uid.n) {
		struct cor_obj **at = bucket(x, o->uid);
		while (*at != o) {
			cor_assert(*at);
			at = &obj_priv(*at)->uid_next;
		}
		*at = priv->uid_next;
		priv->uid_next = NULL;
		x->n--;
	}
	for (size_t i = 0; i < o->owners.n; i++)
		unlink_owner(x, o->owners.p[i].uid, &priv->links[i]);
}

struct cor_obj *cor_xref_by_uid(const struct cor_xref *x, struct cor_str uid) {
	if (!x->cap || !uid.n)
		return NULL;
	for (struct cor_obj *o = *bucket(x, uid); o; o = obj_priv(o)->uid_next)
		if (cor_str_eq(o->uid, uid))
			return o;
	return NULL;
}
