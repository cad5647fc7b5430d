// SPDX-License-Identifier: Apache-2.0
// Header blocks of SPDY/3: lists of names and values, compressed by one zlib stream per direction
// that lives as long as the session.
#pragma once

#include <zlib.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "net/spdy.h"

enum {
	COR_SPDY_DICT_SIZE = 1423,
	COR_SPDY_HEADERS_MAX = 1000,
	COR_SPDY_BLOCK_MAX = 1024 * 1024,       /* a block when unpacked */
};

struct cor_str cor_spdy_dictionary(void);

struct cor_spdy_headers {
	struct cor_http_header *p;
	size_t n;
};

/* Unpacks block and reads the headers into a; texts live in a. Negative: the session is broken, since the
 * stream of later blocks depends on this one. */
[[nodiscard]] int cor_spdy_unpack(z_stream *z, struct cor_str block, bool request, struct cor_arena *a,
	struct cor_spdy_headers *ret, struct cor_err *err);
/* Appends the packed block. */
void cor_spdy_pack(z_stream *z, const struct cor_http_header *h, size_t n, struct cor_buf *ret);

static inline uint32_t cor_be32(const void *p) {
	const unsigned char *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline void cor_put_be32(struct cor_buf *b, uint32_t v) {
	char raw[4] = { (char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v };

	cor_buf_add(b, raw, 4);
}
