// SPDX-License-Identifier: Apache-2.0
// Growing a byte buffer. The memory doubles, but never beyond the limit, so that a buffer with a
// limit cannot hold more than it; a heap that is exhausted fails the buffer and not the process.
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

enum { FIRST_CAP = 128 };

void cor_buf_fini(struct cor_buf *b) {
	free(b->p);
	*b = (struct cor_buf){ .limit = b->limit };
}

/* Makes cap at least need; false when that is more than the limit or the heap allows. */
static bool grow(struct cor_buf *b, size_t need) {
	if (b->limit && need > b->limit)
		return false;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	while (cap < need)
		if (__builtin_mul_overflow(cap, 2, &cap))
			return false;
	if (b->limit && cap > b->limit)
		cap = b->limit;
	char *p = realloc(b->p, cap);
	if (!p)
		return false;
	b->p = p;
	b->cap = cap;
	return true;
}

char *cor_buf_reserve(struct cor_buf *b, size_t n) {
	cor_assert(b->n <= b->cap);
	size_t need;
	if (b->failed)
		return NULL;
	if (n > b->cap - b->n || !b->p) {
		if (__builtin_add_overflow(b->n, n, &need) || !grow(b, need)) {
			b->failed = true;
			return NULL;
		}
	}
	return b->p + b->n;
}

void cor_buf_add_grow_(struct cor_buf *b, const void *p, size_t n) {
	char *to = cor_buf_reserve(b, n);
	if (!to)
		return;
	memcpy(to, p, n);
	b->n += n;
}

void cor_buf_printf(struct cor_buf *b, const char *fmt, ...) {
	va_list ap, again;
	size_t room = b->cap - b->n;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(room ? b->p + b->n : NULL, b->failed ? 0 : room, fmt, ap);
	if (n < 0)
		b->failed = true;
	/* vsnprintf wants a byte for its NUL, which is not counted as content: a text that ends
	 * exactly at the limit must still fit, so it goes through memory of its own. */
	if (!b->failed && (size_t)n >= room) {
		if (b->limit && (size_t)n > b->limit - b->n) {
			b->failed = true;
		} else {
			_cleanup_free_ char *text = NULL;
			if (vasprintf(&text, fmt, again) < 0) {
				text = NULL;
				b->failed = true;
			} else {
				cor_buf_add(b, text, (size_t)n);
			}
		}
	} else if (!b->failed) {
		b->n += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

void cor_buf_i64(struct cor_buf *b, int64_t v) {
	char digits[20];
	size_t at = sizeof(digits);
	uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do {
		digits[--at] = (char)('0' + magnitude % 10);
		magnitude /= 10;
	} while (magnitude);
	if (v < 0)
		digits[--at] = '-';
	cor_buf_add(b, digits + at, sizeof(digits) - at);
}

void cor_buf_consume(struct cor_buf *b, size_t n) {
	cor_assert(n <= b->n);
	b->n -= n;
	if (b->n && n)
		memmove(b->p, b->p + n, b->n);
}
