// SPDX-License-Identifier: Apache-2.0
// Stored objects as structs that all readers share: roles that every request asks about, selectors that
// every event is held against. An object is decoded at its first reading and kept while there are
// more, so what hardly ever changes is not decoded again and again. All go at once, from a turn
// of the loop: after a moment without new ones, or when they have become many.
#include "api/registry_priv.h"

enum { SLOTS = 256, BYTES_MAX = 1 << 20 };

static const cor_time KEEP = 2 * COR_SECOND;

struct shared {
	struct shared *next;
	struct cor_obj *blob;           /* the struct points into it */
	struct cor_arena *arena;
	const void *obj;
};

struct cor_shared_reads {
	struct cor_registry *r;
	struct cor_timer drop;
	struct shared *slots[SLOTS];
	size_t bytes;
};

static void drop_all(struct cor_timer *t) {
	struct cor_shared_reads *c = cor_container_of(t, struct cor_shared_reads, drop);
	for (size_t i = 0; i < SLOTS; i++) {
		for (struct shared *s = c->slots[i], *next; s; s = next) {
			next = s->next;
			cor_arena_free(s->arena);
			cor_obj_unref(s->blob);
			free(s);
		}
		c->slots[i] = NULL;
	}
	c->bytes = 0;
}

static struct cor_shared_reads *reads_of(struct cor_registry *r) {
	if (!r->reads) {
		r->reads = cor_new(struct cor_shared_reads);
		r->reads->r = r;
		r->reads->drop.fire = drop_all;
	}
	return r->reads;
}

static struct shared **slot_of(struct cor_shared_reads *c, const struct cor_obj *o) {
	uint64_t h = (uint64_t)(uintptr_t)o * 0x9e3779b97f4a7c15;
	return &c->slots[h >> 32 & (SLOTS - 1)];
}

const void *cor_registry_read(struct cor_registry *r, struct cor_obj *o) {
	struct cor_shared_reads *c = reads_of(r);
	struct shared **slot = slot_of(c, o);
	for (const struct shared *s = *slot; s; s = s->next)
		if (s->blob == o)
			return s->obj;
	struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	const void *obj = cor_obj_decode(o, a, &err);
	if (!obj) {
		cor_arena_free(a);
		return NULL;
	}
	struct shared *s = cor_new(struct shared);
	*s = (struct shared){ .next = *slot, .blob = cor_obj_ref(o), .arena = a, .obj = obj };
	*slot = s;
	c->bytes += cor_arena_used(a);
	r->world->timer_set(r->world, &c->drop, c->bytes > BYTES_MAX ? 0 : KEEP);
	return obj;
}

void cor_shared_reads_free(struct cor_shared_reads *c) {
	if (!c)
		return;
	drop_all(&c->drop);
	c->r->world->timer_clear(c->r->world, &c->drop);
	free(c);
}
