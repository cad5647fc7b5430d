// SPDX-License-Identifier: Apache-2.0
// Slices: comparing, cutting, numbers, hashing. Nothing here owns or allocates memory.
// The one complication is the hash: it is keyed at start, because keys of maps come from clients.
#include "base/str.h"

#include <sys/random.h>

static uint64_t hash_seed = 0x2f8a6d1c93b7e045;

/* A client that knew the key could choose names that all collide. Before main, so that no map
 * exists yet; without entropy (never on a supported kernel) the constant stays. */
__attribute__((constructor)) static void seed_from_kernel(void) {
	uint64_t seed;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed))
		hash_seed = seed;
}

void cor_str_hash_seed(uint64_t seed) {
	hash_seed = seed;
}

/* Both halves of the 128-bit product: every bit of a and b reaches the result. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load(const char *p, size_t n) {
	uint64_t word = 0;
	memcpy(&word, p, n);
	return word;
}

uint64_t cor_str_hash(struct cor_str s) {
	const uint64_t odd_a = 0x9e3779b97f4a7c15, odd_b = 0xd6e8feb86659fd93;
	uint64_t h = hash_seed ^ (s.n * odd_a);
	const char *p = s.p;
	size_t left = s.n;
	for (; left >= 8; p += 8, left -= 8)
		h = fold(h ^ load(p, 8), odd_a);
	if (left)
		h = fold(h ^ load(p, left), odd_a);
	return fold(h ^ odd_b, odd_b);
}

int cor_str_cmp(struct cor_str a, struct cor_str b) {
	size_t common = a.n < b.n ? a.n : b.n;
	int order = common ? memcmp(a.p, b.p, common) : 0;
	if (order)
		return order;
	return (a.n > b.n) - (a.n < b.n);
}

bool cor_str_starts(struct cor_str s, struct cor_str prefix) {
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool cor_str_ends(struct cor_str s, struct cor_str suffix) {
	return s.n >= suffix.n &&
		(suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

size_t cor_str_chr(struct cor_str s, char c) {
	const char *found = s.n ? memchr(s.p, c, s.n) : NULL;
	return found ? (size_t)(found - s.p) : s.n;
}

bool cor_str_contains(struct cor_str s, struct cor_str needle) {
	return needle.n == 0 || (s.n >= needle.n && memmem(s.p, s.n, needle.p, needle.n));
}

struct cor_str cor_str_sub(struct cor_str s, size_t from, size_t n) {
	if (!s.p)
		return s;
	if (from > s.n)
		from = s.n;
	if (n > s.n - from)
		n = s.n - from;
	return (struct cor_str){ s.p + from, n };
}

static bool is_space(char c) {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct cor_str cor_str_trim(struct cor_str s) {
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	while (s.n && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	return s;
}

struct cor_str cor_str_cut(struct cor_str *rest, char sep) {
	struct cor_str all = *rest;
	size_t at = cor_str_chr(all, sep);
	if (at == all.n) {
		*rest = (struct cor_str){ NULL, 0 };
		return all;
	}
	*rest = (struct cor_str){ all.p + at + 1, all.n - at - 1 };
	return (struct cor_str){ all.p, at };
}

bool cor_str_to_u64(struct cor_str s, uint64_t *ret) {
	if (s.n == 0)
		return false;
	uint64_t value = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c < '0' || c > '9')
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
			return false;
	}
	*ret = value;
	return true;
}

bool cor_str_to_i64(struct cor_str s, int64_t *ret) {
	bool negative = s.n && s.p[0] == '-';
	uint64_t magnitude;
	if (!cor_str_to_u64(negative ? cor_str_sub(s, 1, s.n) : s, &magnitude))
		return false;
	if (magnitude > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

const struct cor_str *cor_strmap_get(const struct cor_strmap *m, struct cor_str key) {
	for (size_t i = 0; i < m->n; i++)
		if (cor_str_eq(m->p[i].key, key))
			return &m->p[i].value;
	return NULL;
}

bool cor_strmap_eq(const struct cor_strmap *a, const struct cor_strmap *b) {
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = cor_str_eq(a->p[i].key, b->p[i].key) && cor_str_eq(a->p[i].value, b->p[i].value);
	return same;
}
