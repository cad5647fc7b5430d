// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 reader: heads and chunked bodies. A body must read the same whole and byte by byte.
#include "fuzz.h"
#include "net/http1.h"

static int read_body(struct cor_str all, size_t step, struct cor_buf *out, size_t *ret_used) {
	struct cor_http1_body b;
	size_t at = 0;

	cor_http1_body_init(&b, COR_HTTP1_CHUNKED, 0);
	while (at < all.n && !b.done) {
		struct cor_str in = cor_str_sub(all, at, step), piece;
		size_t before = in.n;

		do {
			if (cor_http1_body_next(&b, &in, &piece, NULL) < 0)
				return -1;
			cor_buf_str(out, piece);
		} while (piece.n);
		at += before - in.n;
	}
	*ret_used = at;
	return b.done;
}

static void head(const uint8_t *data, size_t n, bool response) {
	static struct cor_http1_head h;
	_cleanup_buf_ struct cor_buf copy = COR_BUF_INIT;
	size_t scan = 0, len;
	int r;

	cor_buf_add(&copy, data, n);
	len = cor_http1_head_end(cor_buf_view(&copy), &scan);
	if (!len)
		return;
	r = response ? cor_http1_parse_response(copy.p, len, false, &h, NULL)
		     : cor_http1_parse_request(copy.p, len, &h, NULL);
	if (r < 0)
		return;
	for (size_t i = 0; i < h.n_headers; i++) {
		cor_assert(h.headers[i].name.p >= copy.p && h.headers[i].name.n);
		cor_assert(h.headers[i].value.p + h.headers[i].value.n <= copy.p + len);
		cor_assert(!memchr(h.headers[i].value.p, '\n', h.headers[i].value.n));
	}
	if (!response)
		cor_assert(h.path.n > 0 && h.method.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	_cleanup_buf_ struct cor_buf whole = COR_BUF_INIT, bytes = COR_BUF_INIT;
	struct cor_str all = { (const char *)data, n };
	size_t used1 = 0, used2 = 0;
	int r1, r2;

	head(data, n, false);
	head(data, n, true);
	r1 = read_body(all, n ? n : 1, &whole, &used1);
	r2 = read_body(all, 1, &bytes, &used2);
	cor_assert(r1 == r2);
	cor_assert(r1 != 1 ||
		   (used1 == used2 && cor_str_eq(cor_buf_view(&whole), cor_buf_view(&bytes))));
	return 0;
}
