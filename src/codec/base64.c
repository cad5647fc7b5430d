// SPDX-License-Identifier: Apache-2.0
// Standard base64 with padding, strict as Go's decoder (which skips CR and LF).
#include "codec/codec.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void cor_base64_encode(struct cor_buf *out, struct cor_str s) {
	char *o = cor_buf_reserve(out, (s.n + 2) / 3 * 4);
	const unsigned char *p = (const unsigned char *)s.p;
	if (!o)
		return;
	out->n += (s.n + 2) / 3 * 4;
	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
			(left > 2 ? p[i + 2] : 0);
		*o++ = alphabet[v >> 18];
		*o++ = alphabet[v >> 12 & 63];
		*o++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*o++ = left > 2 ? alphabet[v & 63] : '=';
	}
}

static int value_of(char c) {
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool cor_base64_decode(struct cor_arena *a, struct cor_str text, struct cor_str *ret,
		size_t *ret_at) {
	char *out = cor_arena_bytes(a, text.n / 4 * 3 + 3), *o = out;
	unsigned bits = 0, have = 0, pads = 0;
	*ret_at = text.n;
	if (!out)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == '\r' || c == '\n')
			continue;
		int v = value_of(c);
		if (c == '=' && have >= 2 && have + pads < 4) {
			pads++;
			continue;
		}
		if (v < 0 || pads) {
			*ret_at = i;
			return false;
		}
		bits = bits << 6 | (unsigned)v;
		if (++have == 4) {
			*o++ = (char)(bits >> 16);
			*o++ = (char)(bits >> 8);
			*o++ = (char)bits;
			bits = have = 0;
		}
	}
	if (have && have + pads != 4)
		return false;
	if (have >= 2)
		*o++ = (char)(have == 2 ? bits >> 4 : bits >> 10);
	if (have == 3)
		*o++ = (char)(bits >> 2);
	*ret = (struct cor_str){ out, (size_t)(o - out) };
	return true;
}
