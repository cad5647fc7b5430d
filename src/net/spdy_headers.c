// SPDX-License-Identifier: Apache-2.0
// See spdy_priv.h.
#include "net/spdy_priv.h"

static int inflate_block(z_stream *z, struct cor_str block, struct cor_buf *out,
	struct cor_err *err) {
	int r;

	z->next_in = (Bytef *)block.p;
	z->avail_in = (uInt)block.n;
	out->limit = COR_SPDY_BLOCK_MAX;
	do {
		char *p = cor_buf_reserve(out, 4096);

		if (!p)
			return cor_fail(err, COR_E_LIMIT, "SPDY: header block too large");
		z->next_out = (Bytef *)p;
		z->avail_out = 4096;
		r = inflate(z, Z_SYNC_FLUSH);
		if (r == Z_NEED_DICT) {
			struct cor_str d = cor_spdy_dictionary();

			r = inflateSetDictionary(z, (const Bytef *)d.p, (uInt)d.n);
			if (r == Z_OK)
				r = inflate(z, Z_SYNC_FLUSH);
		}
		out->n += 4096 - z->avail_out;
		if (r != Z_OK && r != Z_BUF_ERROR)
			return cor_fail(err, COR_E_PARSE, "SPDY: header block does not unpack");
	} while (!z->avail_out);
	if (z->avail_in)
		return cor_fail(err, COR_E_PARSE, "SPDY: bytes behind a header block");
	return 0;
}

static bool take(struct cor_str *s, size_t n, struct cor_str *ret) {
	if (s->n < n)
		return false;
	*ret = (struct cor_str){ s->p, n };
	s->p += n;
	s->n -= n;
	return true;
}

static bool take_text(struct cor_str *s, struct cor_str *ret) {
	struct cor_str raw;

	return take(s, 4, &raw) && take(s, cor_be32(raw.p), ret);
}

static bool allowed(struct cor_str name, bool request) {
	static const char *const never[] = { "connection", "keep-alive", "proxy-connection",
		"transfer-encoding" };

	for (size_t i = 0; i < name.n; i++)
		if ((name.p[i] >= 'A' && name.p[i] <= 'Z') || (unsigned char)name.p[i] <= ' ')
			return false;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (cor_str_eq_c(name, never[i]))
			return false;
	return name.n && !(request && cor_str_eq_c(name, "host"));
}

int cor_spdy_unpack(z_stream *z, struct cor_str block, bool request, struct cor_arena *a,
	struct cor_spdy_headers *ret, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	struct cor_spdy_headers h = { 0 };
	struct cor_str rest, raw;
	uint32_t count;
	int r = inflate_block(z, block, &text, err);

	if (r < 0)
		return r;
	rest = cor_buf_view(&text);
	if (!take(&rest, 4, &raw) || (count = cor_be32(raw.p)) > COR_SPDY_HEADERS_MAX)
		return cor_fail(err, COR_E_PARSE, "SPDY: malformed header block");
	for (uint32_t i = 0; i < count; i++) {
		struct cor_http_header *e = cor_arena_push(a, &h);

		if (!e)
			return cor_fail(err, COR_E_LIMIT, "SPDY: header block too large");
		if (!take_text(&rest, &e->name) || !take_text(&rest, &e->value) ||
			!allowed(e->name, request))
			return cor_fail(err, COR_E_PARSE, "SPDY: malformed header");
		e->name = cor_arena_str(a, e->name);
		e->value = cor_arena_str(a, e->value);
		for (size_t k = 0; k < h.n - 1; k++)
			if (cor_str_eq(h.p[k].name, e->name))
				return cor_fail(err, COR_E_PARSE, "SPDY: repeated header");
	}
	if (rest.n || cor_arena_failed(a))
		return cor_fail(err, COR_E_PARSE, "SPDY: malformed header block");
	*ret = h;
	return 0;
}

void cor_spdy_pack(z_stream *z, const struct cor_http_header *h, size_t n, struct cor_buf *ret) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;

	cor_put_be32(&text, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		cor_put_be32(&text, (uint32_t)h[i].name.n);
		cor_buf_str(&text, h[i].name);
		cor_put_be32(&text, (uint32_t)h[i].value.n);
		cor_buf_str(&text, h[i].value);
	}
	z->next_in = (Bytef *)text.p;
	z->avail_in = (uInt)text.n;
	do {
		char *p = cor_buf_reserve(ret, 1024);

		z->next_out = (Bytef *)p;
		z->avail_out = 1024;
		cor_assert(deflate(z, Z_SYNC_FLUSH) != Z_STREAM_ERROR);
		ret->n += 1024 - z->avail_out;
	} while (!z->avail_out);
}
