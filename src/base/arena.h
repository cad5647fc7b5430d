// SPDX-License-Identifier: Apache-2.0
// One arena per request, reconcile or event: bump allocation, emptied by one call and reused,
// with a byte limit. After the limit (or the heap) is exhausted every allocation returns NULL and
// the arena stays failed until it is reset: check cor_arena_failed() once at the end, as one
// does with a sticky decoder. Under ASAN every allocation is a malloc of its own.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/str.h"

struct cor_arena;

/* limit in bytes of all allocations between two resets; 0 = 64 MiB. */
struct cor_arena *cor_arena_new(size_t limit);
/* One that takes size bytes from the heap at once, for what is known and lives long. */
struct cor_arena *cor_arena_new_sized(size_t size);
void cor_arena_free(struct cor_arena *a);           /* runs dispose hooks; NULL is fine */
void cor_arena_reset(struct cor_arena *a);          /* runs dispose hooks, keeps one block */
bool cor_arena_failed(const struct cor_arena *a);
size_t cor_arena_used(const struct cor_arena *a);

/* Zeroed, aligned to 16; NULL when failed. size 0 gives a valid pointer. */
void *cor_arena_alloc(struct cor_arena *a, size_t size);
/* Not zeroed, alignment 1: for text. */
char *cor_arena_bytes(struct cor_arena *a, size_t size);
/* A copy that lives as long as the arena; absent stays absent. NUL-terminated behind n. */
struct cor_str cor_arena_str(struct cor_arena *a, struct cor_str s);
struct cor_str cor_arena_printf(struct cor_arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* NUL-terminated copy, for system calls; absent becomes "". */
char *cor_arena_cstr(struct cor_arena *a, struct cor_str s);
/* A sorted insert or overwrite; strings are not copied. The map may share entries with another
 * object: it is copied first. */
void cor_strmap_set(struct cor_arena *a, struct cor_strmap *m, struct cor_str key, struct cor_str value);
/* Calls fn(arg) at reset or free, last registered first. */
void cor_arena_on_dispose(struct cor_arena *a, void (*fn)(void *), void *arg);

#define cor_arena_new_of(a, type) ((type *)cor_arena_alloc((a), sizeof(type)))
#define cor_arena_array(a, type, n) ((type *)cor_arena_alloc_n((a), sizeof(type), (n)))
/* NULL, and failed, when size * n is more than a size_t holds. */
void *cor_arena_alloc_n(struct cor_arena *a, size_t size, size_t n);

/* Grows an array {T *p; size_t n;} by one and returns a pointer to the new, zeroed element, or
 * NULL when there is no room. Pointers to elements hold until the next push. Capacity is the next
 * power of two of n, so no field is needed; the list must therefore have begun empty and grown by
 * push only (making n smaller is fine). An array of another origin has no spare room: pushing onto
 * it writes behind its end. */
#define cor_arena_push(a, list) \
	((__typeof__((list)->p))cor_arena_push_(a, (void **)&(list)->p, &(list)->n, \
		sizeof(*(list)->p)))
bool cor_arena_grow_(struct cor_arena *a, void **p, size_t n, size_t elem);
static inline void *cor_arena_push_(struct cor_arena *a, void **p, size_t *n, size_t elem) {
	/* Full exactly when n is 0 or a power of two. */
	if ((*n & (*n - 1)) == 0 && !cor_arena_grow_(a, p, *n, elem))
		return NULL;
	/* Cleared, since a list that became shorter leaves old elements behind. */
	return memset((char *)*p + elem * (*n)++, 0, elem);
}

COR_DEFINE_CLEANUP(struct cor_arena *, cor_arena_free)
