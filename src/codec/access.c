// SPDX-License-Identifier: Apache-2.0
// Lists and maps of generated structs, without knowing their element types.
#include "codec/access.h"

#include <stdlib.h>

void cor_list_set_empty(struct cor_any_list *l) {
	static max_align_t empty;
	l->p = &empty;
	l->n = 0;
}

struct order {
	const char *entries;
	size_t size;
};

static int by_key(const void *a, const void *b, void *arg) {
	const struct order *o = arg;
	size_t i = *(const size_t *)a, k = *(const size_t *)b;
	int c = cor_str_cmp(*(const struct cor_str *)(const void *)(o->entries + i * o->size),
		*(const struct cor_str *)(const void *)(o->entries + k * o->size));
	return c ? c : i < k ? -1 : 1;
}

bool cor_map_sort(struct cor_arena *a, struct cor_any_list *m, size_t entry_size,
		void (*dup)(void *arg, struct cor_str key), void *arg) {
	size_t *index = cor_arena_alloc(a, m->n * sizeof(*index));
	char *out = cor_arena_alloc(a, cor_list_cap(m->n) * entry_size);
	if (!index || !out)
		return false;
	for (size_t i = 0; i < m->n; i++)
		index[i] = i;
	struct order o = { m->p, entry_size };
	qsort_r(index, m->n, sizeof(*index), by_key, &o);
	size_t n = 0;
	for (size_t i = 0; i < m->n; i++) {
		const char *e = o.entries + index[i] * entry_size;
		struct cor_str key = *(const struct cor_str *)(const void *)e;
		if (n && cor_str_eq(key, *(struct cor_str *)(void *)(out + (n - 1) * entry_size))) {
			n--;
			if (dup)
				dup(arg, key);
		}
		memcpy(out + n++ * entry_size, e, entry_size);
	}
	m->p = out;
	m->n = n;
	return true;
}

bool cor_is_zero(const void *p, size_t n) {
	const unsigned char *b = p;
	return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}
