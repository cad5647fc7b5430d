// SPDX-License-Identifier: Apache-2.0
// Which code points Go prints as they are is decided by a table of ranges that covers what is
// certainly not printable (controls, separators, surrogates, private use, specials), not by
// all of Unicode's categories.
#include "codec/quote.h"

#include "base/mem.h"
#include "codec/tree_priv.h"

static const struct {
	uint32_t first, last;
} unprintable[] = {
	{ 0x7f, 0xa0 },     { 0xad, 0xad },       { 0x0600, 0x0605 },   { 0x061c, 0x061c },
	{ 0x1680, 0x1680 }, { 0x2000, 0x200f },   { 0x2028, 0x202f },   { 0x205f, 0x206f },
	{ 0x3000, 0x3000 }, { 0xd800, 0xf8ff },   { 0xfdd0, 0xfdef },   { 0xfeff, 0xfeff },
	{ 0xfff0, 0xfffb }, { 0xfffe, 0xffff },   { 0xe0000, 0x10ffff },
};

static bool printable(uint32_t c) {
	for (size_t i = 0; i < cor_countof(unprintable); i++)
		if (c >= unprintable[i].first && c <= unprintable[i].last)
			return false;
	return c >= 0x20;
}

static uint32_t decode(const char *p, size_t n) {
	static const unsigned char lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (unsigned char)p[0] & lead_mask[n];
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)p[i] & 0x3f);
	return c;
}

static void put_unprintable(struct cor_buf *b, uint32_t c) {
	static const char names[] = "abtnvfr";          /* from 7 on */
	if (c >= 7 && c <= 13)
		cor_buf_printf(b, "\\%c", names[c - 7]);
	else if (c < 0x80)
		cor_buf_printf(b, "\\x%02x", c);
	else if (c < 0x10000)
		cor_buf_printf(b, "\\u%04x", c);
	else
		cor_buf_printf(b, "\\U%08x", c);
}

void cor_go_quote(struct cor_buf *b, struct cor_str s) {
	cor_buf_byte(b, '"');
	for (const char *p = s.p, *end = s.n ? s.p + s.n : s.p; p < end;) {
		size_t n = cor_utf8_len(p, end);
		uint32_t c = n ? decode(p, n) : 0;
		if (n == 0)
			cor_buf_printf(b, "\\x%02x", (unsigned char)*p);
		else if (c == '"' || c == '\\')
			cor_buf_printf(b, "\\%c", (char)c);
		else if (printable(c))
			cor_buf_add(b, p, n);
		else
			put_unprintable(b, c);
		p += n ? n : 1;
	}
	cor_buf_byte(b, '"');
}

struct cor_str cor_go_quoted(struct cor_arena *a, struct cor_str s) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_go_quote(&b, s);
	return cor_arena_str(a, cor_buf_view(&b));
}
