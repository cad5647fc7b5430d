// SPDX-License-Identifier: Apache-2.0
// The one growing byte buffer. Its error is sticky: after the limit is passed nothing more is
// appended and failed is set; check it once at the end.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

struct cor_buf {
	char *p;        /* not NUL-terminated */
	size_t n;
	size_t cap;
	size_t limit;   /* 0 = none */
	bool failed;
};

#define COR_BUF_INIT ((struct cor_buf){ 0 })

void cor_buf_fini(struct cor_buf *b);               /* frees; the struct may be used again */
static inline void cor_buf_clear(struct cor_buf *b) { b->n = 0; b->failed = false; }
/* Room for n more bytes at b->p + b->n, or NULL. */
char *cor_buf_reserve(struct cor_buf *b, size_t n);
/* The slow way of cor_buf_add, when there is no room yet. */
void cor_buf_add_grow_(struct cor_buf *b, const void *p, size_t n);
static inline void cor_buf_add(struct cor_buf *b, const void *p, size_t n) {
	if (n == 0)
		return;
	if (b->failed || n > b->cap - b->n) {
		cor_buf_add_grow_(b, p, n);
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}
static inline void cor_buf_str(struct cor_buf *b, struct cor_str s) { cor_buf_add(b, s.p, s.n); }
static inline void cor_buf_c(struct cor_buf *b, const char *s) { cor_buf_add(b, s, strlen(s)); }
static inline void cor_buf_byte(struct cor_buf *b, char c) { cor_buf_add(b, &c, 1); }
void cor_buf_printf(struct cor_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cor_buf_i64(struct cor_buf *b, int64_t v);
/* Drops the first n bytes. */
void cor_buf_consume(struct cor_buf *b, size_t n);
static inline struct cor_str cor_buf_view(const struct cor_buf *b) {
	return (struct cor_str){ b->p, b->n };
}
#define _cleanup_buf_ _cleanup_(cor_buf_fini)
