// SPDX-License-Identifier: Apache-2.0
// How the codec reaches the parts of a generated struct, whose type it only knows from a table.
#pragma once

#include "base/arena.h"
#include "codec/type.h"

/* Any list and any map: struct { T *p; size_t n; }. */
struct cor_any_list {
	void *p;
	size_t n;
} __attribute__((may_alias));

typedef void *cor_any_ptr __attribute__((may_alias));
typedef bool cor_any_bool __attribute__((may_alias));
typedef int32_t cor_any_i32 __attribute__((may_alias));
typedef int64_t cor_any_i64 __attribute__((may_alias));
typedef double cor_any_double __attribute__((may_alias));

/* The value of a map's entry lies behind its key. */
enum { COR_ENTRY_VALUE = sizeof(struct cor_str) };

static inline void *cor_field_at(const struct cor_field *f, const void *obj) {
	return (char *)(uintptr_t)obj + f->offset;
}

static inline void *cor_list_at(const struct cor_any_list *l, size_t i, const struct cor_field *f) {
	return (char *)l->p + i * f->elem_size;
}

/* True for kinds that a pointer field keeps behind a pointer; the others know absence. */
static inline bool cor_kind_boxed(unsigned kind) {
	return kind == COR_FK_BOOL || kind == COR_FK_INT32 || kind == COR_FK_INT64 ||
		kind == COR_FK_DOUBLE || kind == COR_FK_MESSAGE;
}

static inline size_t cor_kind_size(const struct cor_field *f) {
	switch (f->kind) {
	case COR_FK_BOOL: return sizeof(bool);
	case COR_FK_INT32: return sizeof(int32_t);
	case COR_FK_INT64: return sizeof(int64_t);
	case COR_FK_DOUBLE: return sizeof(double);
	case COR_FK_TIME:
	case COR_FK_MICROTIME: return sizeof(cor_time);
	case COR_FK_INTSTR: return sizeof(struct cor_intstr);
	case COR_FK_STRINGS: return sizeof(struct cor_strlist);
	case COR_FK_MESSAGE: return cor_field_sub(f)->size;
	default: return sizeof(struct cor_str);
	}
}

/* A new, zeroed element at the end of a list or map that only ever grew; NULL when the arena is
 * exhausted. Not cor_arena_push, which clears what the arena gave cleared. */
static inline void *cor_list_push(struct cor_arena *a, struct cor_any_list *l, size_t elem_size) {
	void *p = l->p;
	if ((l->n & (l->n - 1)) == 0 && !cor_arena_grow_(a, &p, l->n, elem_size))
		return NULL;
	l->p = p;
	return (char *)p + elem_size * l->n++;
}
/* The capacity cor_arena_push expects of a list of n elements. */
static inline size_t cor_list_cap(size_t n) {
	return n < 2 ? n : (size_t)1 << (64 - __builtin_clzll(n - 1));
}
/* Marks a list or map that was given but has nothing in it. */
void cor_list_set_empty(struct cor_any_list *l);
/* Sorts the entries of a map by key; of equal keys the last stays. dup (may be NULL) is told of
 * each key that went. False when the arena is exhausted. */
bool cor_map_sort(struct cor_arena *a, struct cor_any_list *m, size_t entry_size,
	void (*dup)(void *arg, struct cor_str key), void *arg);
/* All bytes zero. */
bool cor_is_zero(const void *p, size_t n);
