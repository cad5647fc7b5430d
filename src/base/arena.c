// SPDX-License-Identifier: Apache-2.0
// Bump allocation in blocks. Objects grow up from a block's start, text grows down from its end,
// so text costs no padding. Invariant: the middle of a block is zero, because reset wipes what
// was used; allocating is then only arithmetic. Blocks double in size, and reset keeps the
// newest ordinary one, so an arena that is reused soon settles on one block.
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>

#include "base/assert.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define EACH_ON_ITS_OWN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define EACH_ON_ITS_OWN 1
#endif

#define ALIGN ((size_t)16)
#define FIRST_BLOCK ((size_t)4096)
#define LAST_BLOCK ((size_t)128 * 1024)
#define DEFAULT_LIMIT ((size_t)64 * 1024 * 1024)

struct block {
	struct block *next;             /* older */
	char *start, *lo, *hi, *end;    /* zero between lo and hi */
	bool single;                    /* made for one large allocation */
	_Alignas(16) char bytes[];
};

struct hook {
	struct hook *next;
	void (*fn)(void *);
	void *arg;
};

struct cor_arena {
	struct block *top;              /* where allocations go; the rest of the list is full */
	struct hook *hooks;
	size_t limit, used, next_size;
	bool failed;
	void **own;                     /* under ASAN: every allocation */
	size_t own_n;
};

struct cor_arena *cor_arena_new(size_t limit) {
	struct cor_arena *a = cor_new(struct cor_arena);
	a->limit = limit ? limit : DEFAULT_LIMIT;
	a->next_size = FIRST_BLOCK;
	return a;
}

bool cor_arena_failed(const struct cor_arena *a) {
	return a->failed;
}

size_t cor_arena_used(const struct cor_arena *a) {
	return a->used;
}

static void *fail(struct cor_arena *a) {
	a->failed = true;
	return NULL;
}

/* Counts n bytes against the limit. */
static inline bool charge(struct cor_arena *a, size_t n) {
	if (__builtin_expect(a->failed || n > a->limit - a->used, 0)) {
		a->failed = true;
		return false;
	}
	a->used += n;
	return true;
}

/* Under ASAN sizes stay exact, so that the first byte behind an object is already poisoned. */
static inline size_t round_up(size_t size) {
#ifdef EACH_ON_ITS_OWN
	return size;
#else
	return (size + ALIGN - 1) & ~(ALIGN - 1);
#endif
}

static void run_hooks(struct cor_arena *a) {
	while (a->hooks) {
		struct hook *h = a->hooks;
		a->hooks = h->next;
		h->fn(h->arg);
		free(h);
	}
}

#ifdef EACH_ON_ITS_OWN

static void *take(struct cor_arena *a, size_t n) {
	void *p = calloc(1, n);
	if (!p)
		return fail(a);
	if ((a->own_n & (a->own_n - 1)) == 0)
		a->own = cor_realloc(a->own, sizeof(*a->own) * (a->own_n ? a->own_n * 2 : 1));
	a->own[a->own_n++] = p;
	return p;
}

static void first_block(struct cor_arena *a, size_t size) {
}

static inline void *take_object(struct cor_arena *a, size_t n) {
	return take(a, n);
}

static inline char *take_text(struct cor_arena *a, size_t n) {
	return take(a, n);
}

static inline bool extend(struct cor_arena *a, void *p, size_t old, size_t size) {
	return false;
}

static void drop_blocks(struct cor_arena *a, bool keep_one) {
	for (size_t i = 0; i < a->own_n; i++)
		free(a->own[i]);
	free(a->own);
	a->own = NULL;
	a->own_n = 0;
}

#else

static struct block *new_block(struct cor_arena *a, size_t size, bool single) {
	struct block *b = calloc(1, sizeof(*b) + size);
	if (!b)
		return fail(a);
	b->single = single;
	b->start = b->lo = b->bytes;
	b->hi = b->end = b->bytes + size;
	return b;
}

static void first_block(struct cor_arena *a, size_t size) {
	a->top = new_block(a, size, false);
}

/* A block with room for n. Large allocations get one of their own, behind the top, so that the
 * room left in the top is not lost. */
static struct block *block_for(struct cor_arena *a, size_t n) {
	bool single = n > a->next_size / 4;
	struct block *b = new_block(a, single ? n : a->next_size, single);
	if (!b)
		return NULL;
	if (single && a->top) {
		b->next = a->top->next;
		a->top->next = b;
		return b;
	}
	b->next = a->top;
	a->top = b;
	if (a->next_size < LAST_BLOCK)
		a->next_size *= 2;
	return b;
}

static inline struct block *room(struct cor_arena *a, size_t n) {
	struct block *b = a->top;
	if (__builtin_expect(b && n <= (size_t)(b->hi - b->lo), 1))
		return b;
	return block_for(a, n);
}

static inline void *take_object(struct cor_arena *a, size_t n) {
	struct block *b = room(a, n);
	if (!b)
		return NULL;
	void *p = b->lo;
	b->lo += n;
	return p;
}

static inline char *take_text(struct cor_arena *a, size_t n) {
	struct block *b = room(a, n);
	if (!b)
		return NULL;
	return b->hi -= n;
}

/* Makes an object longer where it is, which only the newest one of the block can be. */
static inline bool extend(struct cor_arena *a, void *p, size_t old, size_t size) {
	struct block *b = a->top;
	old = round_up(old);
	size = round_up(size);
	if (!b || (char *)p + old != b->lo || size - old > (size_t)(b->hi - b->lo))
		return false;
	if (!charge(a, size - old))
		return false;
	b->lo += size - old;
	return true;
}

static void wipe(struct block *b) {
	memset(b->start, 0, (size_t)(b->lo - b->start));
	memset(b->hi, 0, (size_t)(b->end - b->hi));
	b->lo = b->start;
	b->hi = b->end;
}

static void drop_blocks(struct cor_arena *a, bool keep_one) {
	struct block *kept = NULL, *next;
	for (struct block *b = a->top; b; b = next) {
		next = b->next;
		if (keep_one && !kept && !b->single)
			kept = b;
		else
			free(b);
	}
	a->top = kept;
	if (!kept)
		return;
	kept->next = NULL;
	wipe(kept);
}

#endif

struct cor_arena *cor_arena_new_sized(size_t size) {
	struct cor_arena *a = cor_arena_new(0);
	first_block(a, size);
	return a;
}

void cor_arena_reset(struct cor_arena *a) {
	run_hooks(a);
	drop_blocks(a, true);
	a->used = 0;
	a->failed = false;
}

void cor_arena_free(struct cor_arena *a) {
	if (!a)
		return;
	run_hooks(a);
	drop_blocks(a, false);
	free(a);
}

void *cor_arena_alloc(struct cor_arena *a, size_t size) {
	if (__builtin_expect(size > SIZE_MAX - ALIGN, 0))
		return fail(a);
	size = round_up(size);
	return charge(a, size) ? take_object(a, size) : NULL;
}

void *cor_arena_alloc_n(struct cor_arena *a, size_t size, size_t n) {
	size_t bytes;
	return __builtin_mul_overflow(size, n, &bytes) ? fail(a) : cor_arena_alloc(a, bytes);
}

char *cor_arena_bytes(struct cor_arena *a, size_t size) {
	return charge(a, size) ? take_text(a, size) : NULL;
}

char *cor_arena_cstr(struct cor_arena *a, struct cor_str s) {
	char *p = s.n < SIZE_MAX ? cor_arena_bytes(a, s.n + 1) : fail(a);
	if (!p)
		return NULL;
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

struct cor_str cor_arena_str(struct cor_arena *a, struct cor_str s) {
	if (!s.p)
		return s;
	char *p = cor_arena_cstr(a, s);
	return (struct cor_str){ p, p ? s.n : 0 };
}

struct cor_str cor_arena_printf(struct cor_arena *a, const char *fmt, ...) {
	char small[256];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0) {
		(void)fail(a);
		return (struct cor_str){ NULL, 0 };
	}
	if ((size_t)n < sizeof(small))
		return cor_arena_str(a, (struct cor_str){ small, (size_t)n });
	char *p = cor_arena_bytes(a, (size_t)n + 1);
	if (!p)
		return (struct cor_str){ NULL, 0 };
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return (struct cor_str){ p, (size_t)n };
}

void cor_arena_on_dispose(struct cor_arena *a, void (*fn)(void *), void *arg) {
	/* From the heap and not from the arena: it must not get lost when the arena is full. */
	struct hook *h = cor_new(struct hook);
	*h = (struct hook){ a->hooks, fn, arg };
	a->hooks = h;
}

/* Room for twice as many elements, in place or somewhere else. */
bool cor_arena_grow_(struct cor_arena *a, void **p, size_t n, size_t elem) {
	size_t bytes;
	cor_assert(*p || n == 0);
	if (__builtin_mul_overflow(n ? n * 2 : 1, elem, &bytes)) {
		(void)fail(a);
		return false;
	}
	if (n && extend(a, *p, n * elem, bytes))
		return true;
	void *grown = cor_arena_alloc(a, bytes);
	if (!grown)
		return false;
	if (n)
		memcpy(grown, *p, n * elem);
	*p = grown;
	return true;
}

void cor_strmap_set(struct cor_arena *a, struct cor_strmap *m, struct cor_str key, struct cor_str value) {
	size_t at = 0;
	while (at < m->n && cor_str_cmp(m->p[at].key, key) < 0)
		at++;
	bool replace = at < m->n && cor_str_eq(m->p[at].key, key);
	size_t n = m->n + (replace ? 0 : 1);
	struct cor_kv *p = cor_arena_array(a, struct cor_kv, n);
	if (!p)
		return;
	for (size_t i = 0; i < at; i++)
		p[i] = m->p[i];
	p[at] = (struct cor_kv){ key, value };
	for (size_t i = at + 1; i < n; i++)
		p[i] = m->p[replace ? i : i - 1];
	m->p = p;
	m->n = n;
}
