// SPDX-License-Identifier: Apache-2.0
// A hash map from strings to pointers: open addressing, keys copied and owned by the map,
// values weak. Iteration order is not defined; removing the current entry while iterating is
// allowed, inserting is not.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct cor_map {
	struct cor_map_slot *slots;
	size_t n, cap, used;    /* live entries, slots, live plus deleted */
};

void cor_map_fini(struct cor_map *m);
void *cor_map_get(const struct cor_map *m, struct cor_str key);     /* NULL when absent */
/* value must not be NULL. Returns the value that was replaced, or NULL. */
void *cor_map_put(struct cor_map *m, struct cor_str key, void *value);
void *cor_map_remove(struct cor_map *m, struct cor_str key);        /* the value, or NULL */
/* size_t it = 0; while (cor_map_next(m, &it, &key, &value)) ... */
bool cor_map_next(const struct cor_map *m, size_t *it, struct cor_str *ret_key, void **ret_value);
