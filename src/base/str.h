// SPDX-License-Identifier: Apache-2.0
// The one slice type of the tree: a pointer and a length, never NUL-terminated by promise and
// never owning. An absent string has p == NULL; an empty one that is present has p != NULL, n == 0.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cor_str {
	const char *p;
	size_t n;
};

/* One entry of a map[string]string, and of every list of such entries. */
struct cor_kv {
	struct cor_str key;
	struct cor_str value;
};

/* A map[string]string in order of its keys (bytewise). */
struct cor_strmap {
	struct cor_kv *p;
	size_t n;
};

#define COR_STR(literal) ((struct cor_str){ "" literal, sizeof(literal) - 1 })
/* The same for static initialisers, where a compound literal is not a constant. */
#define COR_STR_INIT(literal) { "" literal, sizeof(literal) - 1 }
/* printf("%.*s", COR_STR_ARG(s)) */
#define COR_STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct cor_str cor_str_c(const char *s) {
	return (struct cor_str){ s, s ? strlen(s) : 0 };
}

static inline bool cor_str_eq(struct cor_str a, struct cor_str b) {
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool cor_str_eq_c(struct cor_str a, const char *b) {
	return cor_str_eq(a, cor_str_c(b));
}

/* True for absent and for empty. */
static inline bool cor_str_empty(struct cor_str s) {
	return s.n == 0;
}

/* Bytewise order: negative, 0, positive. */
int cor_str_cmp(struct cor_str a, struct cor_str b);
bool cor_str_starts(struct cor_str s, struct cor_str prefix);
bool cor_str_ends(struct cor_str s, struct cor_str suffix);
/* Offset of the first c, or s.n when there is none. */
size_t cor_str_chr(struct cor_str s, char c);
/* True when needle occurs in s. */
bool cor_str_contains(struct cor_str s, struct cor_str needle);
struct cor_str cor_str_sub(struct cor_str s, size_t from, size_t n);
/* White space (space, tab, CR, LF) off both ends. */
struct cor_str cor_str_trim(struct cor_str s);
/* Takes the text before the first sep off *rest and returns it; without a sep returns all of it
 * and leaves *rest absent (p == NULL). Loop: while (rest.p) part = cor_str_cut(&rest, ','). */
struct cor_str cor_str_cut(struct cor_str *rest, char sep);
/* Whole string as a decimal number; false on anything else or on overflow. */
bool cor_str_to_i64(struct cor_str s, int64_t *ret);
bool cor_str_to_u64(struct cor_str s, uint64_t *ret);
/* Keyed by chance at process start, so stable within a process only. */
uint64_t cor_str_hash(struct cor_str s);
/* For simulations, which must take the same path twice: before the first map is filled. */
void cor_str_hash_seed(uint64_t seed);

/* NULL when there is none; linear, the maps are small. */
const struct cor_str *cor_strmap_get(const struct cor_strmap *m, struct cor_str key);
/* Of maps that are sorted by key, as decoded ones are. */
bool cor_strmap_eq(const struct cor_strmap *a, const struct cor_strmap *b);
