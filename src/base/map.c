// SPDX-License-Identifier: Apache-2.0
// Open addressing with linear probing. A slot is empty (no key), live (key and value) or a grave
// (key is GRAVE, so that probing goes on behind it). Removing only ever digs a grave, which is
// why it is allowed while iterating; graves go away when a put has to rebuild the table.
#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

struct cor_map_slot {
	char *key;              /* owned */
	uint32_t len;
	uint32_t hash;
	void *value;
};

enum { MIN_CAP = 8 };

static char grave_mark;
#define GRAVE (&grave_mark)

static bool is_live(const struct cor_map_slot *s) {
	return s->key && s->key != GRAVE;
}

static uint32_t hash_of(struct cor_str key) {
	return (uint32_t)cor_str_hash(key);
}

/* The live slot of the key, or NULL. The table always has an empty slot that ends the search. */
static struct cor_map_slot *find(const struct cor_map *m, struct cor_str key, uint32_t hash) {
	if (m->n == 0)
		return NULL;
	for (size_t i = hash & (m->cap - 1); m->slots[i].key; i = (i + 1) & (m->cap - 1)) {
		struct cor_map_slot *s = &m->slots[i];
		if (s->hash == hash && s->len == key.n && s->key != GRAVE &&
			(key.n == 0 || memcmp(s->key, key.p, key.n) == 0))
			return s;
	}
	return NULL;
}

static struct cor_map_slot *first_empty(struct cor_map_slot *slots, size_t cap, uint32_t hash) {
	size_t i = hash & (cap - 1);
	while (slots[i].key)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

/* A table for one more entry, at most half full, without graves. */
static void rebuild(struct cor_map *m) {
	size_t cap = MIN_CAP;
	while (cap < (m->n + 1) * 2)
		cap *= 2;
	struct cor_map_slot *slots = cor_calloc(cap, sizeof(*slots));
	for (size_t i = 0; i < m->cap; i++)
		if (is_live(&m->slots[i]))
			*first_empty(slots, cap, m->slots[i].hash) = m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
	m->used = m->n;
}

void cor_map_fini(struct cor_map *m) {
	for (size_t i = 0; i < m->cap; i++)
		if (is_live(&m->slots[i]))
			free(m->slots[i].key);
	free(m->slots);
	*m = (struct cor_map){ 0 };
}

void *cor_map_get(const struct cor_map *m, struct cor_str key) {
	if (m->n == 0)
		return NULL;
	struct cor_map_slot *s = find(m, key, hash_of(key));
	return s ? s->value : NULL;
}

void *cor_map_put(struct cor_map *m, struct cor_str key, void *value) {
	cor_assert(value != NULL);
	cor_assert(key.n <= UINT32_MAX);
	uint32_t hash = hash_of(key);
	struct cor_map_slot *s = find(m, key, hash);
	if (s) {
		void *old = s->value;
		s->value = value;
		return old;
	}
	if ((m->used + 1) * 4 > m->cap * 3)
		rebuild(m);
	s = first_empty(m->slots, m->cap, hash);
	*s = (struct cor_map_slot){ cor_str_dup_c(key), (uint32_t)key.n, hash, value };
	m->n++;
	m->used++;
	return NULL;
}

void *cor_map_remove(struct cor_map *m, struct cor_str key) {
	struct cor_map_slot *s = find(m, key, hash_of(key));
	if (!s)
		return NULL;
	void *old = s->value;
	free(s->key);
	*s = (struct cor_map_slot){ .key = GRAVE };
	m->n--;
	return old;
}

bool cor_map_next(const struct cor_map *m, size_t *it, struct cor_str *ret_key, void **ret_value) {
	while (*it < m->cap) {
		const struct cor_map_slot *s = &m->slots[(*it)++];
		if (!is_live(s))
			continue;
		if (ret_key)
			*ret_key = (struct cor_str){ s->key, s->len };
		if (ret_value)
			*ret_value = s->value;
		return true;
	}
	return false;
}
