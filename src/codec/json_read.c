// SPDX-License-Identifier: Apache-2.0
// Tokens of JSON: strings with escapes, numbers, skipping. Error texts and their places are those
// of Go's scanner, which clients print.
#include "codec/json_read.h"

#include <stdio.h>

static int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static int hex4(const char *p, const char *end) {
	int v = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = hex_digit(p[i]);
		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

static char *put_utf8(char *o, unsigned c) {
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

/* \uXXXX at p (behind the u); a pair of surrogates is one character, a lone one is U+FFFD. */
static const char *decode_u(const char *p, const char *end, char **out) {
	int c = hex4(p, end);
	p += 4;
	if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
		int low = hex4(p + 2, end);
		if (low >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		}
	}
	if (c >= 0xd800 && c < 0xe000)
		c = 0xfffd;
	*out = put_utf8(*out, (unsigned)c);
	return p;
}

static bool check_hex4(struct cor_json_reader *r, const char *p) {
	for (int i = 0; i < 4; i++)
		if (p + i == r->end || hex_digit(p[i]) < 0) {
			r->p = p + i;
			return cor_json_bad_char(r, "in \\u hexadecimal character escape");
		}
	return true;
}

/* Finds the end of the string whose text starts at r->p + 1 and checks its escapes. *ret_plain:
 * nothing in it needs decoding; *ret_bad counts bytes that are not UTF-8. */
static bool find_end(struct cor_json_reader *r, const char *p, bool *ret_plain, size_t *ret_bad) {
	*ret_plain = true;
	for (;;) {
		p = cor_scan_plain(p, r->end);
		if (p == r->end) {
			r->p = p;
			return cor_json_bad_char(r, "");
		}
		if (*p == '"') {
			r->p = p;
			return true;
		}
		if (*p == '\\') {
			static const char escapes[] = "\"\\/bfnrtu";
			*ret_plain = false;
			if (p + 1 == r->end || !memchr(escapes, p[1], sizeof(escapes) - 1)) {
				r->p = p + 1;
				return cor_json_bad_char(r, "in string escape code");
			}
			if (p[1] == 'u') {
				if (!check_hex4(r, p + 2))
					return false;
				p += 4;
			}
			p += 2;
		} else if ((unsigned char)*p < 0x20) {
			r->p = p;
			return cor_json_bad_char(r, "in string literal");
		} else {
			unsigned n = cor_utf8_len(p, r->end);
			*ret_bad += n == 0;
			p += n ? n : 1;
		}
	}
}

static char unescape(char c) {
	switch (c) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	default: return c;
	}
}

static char *decode_text(const char *p, const char *end, char *o) {
	while (p < end) {
		const char *q = cor_scan_plain(p, end);
		memcpy(o, p, (size_t)(q - p));
		o += q - p;
		p = q;
		if (p == end)
			break;
		if (*p == '\\' && p[1] == 'u') {
			p = decode_u(p + 2, end, &o);
		} else if (*p == '\\') {
			*o++ = unescape(p[1]);
			p += 2;
		} else {
			unsigned n = cor_utf8_len(p, end);
			if (n)
				memcpy(o, p, n);
			o = n ? o + n : put_utf8(o, 0xfffd);
			p += n ? n : 1;
		}
	}
	return o;
}

bool cor_json_read_str_slow(struct cor_json_reader *r, const char *special, struct cor_str *ret) {
	const char *from = r->p + 1;
	bool plain;
	size_t bad = 0;
	if (!find_end(r, special, &plain, &bad))
		return false;
	const char *end = r->p++;
	*ret = (struct cor_str){ from, (size_t)(end - from) };
	if (plain && !bad)
		return true;
	char *out = cor_arena_bytes(r->arena, ret->n + 2 * bad + 1);
	if (!out)
		return cor_json_bad_limit(r);
	*ret = (struct cor_str){ out, (size_t)(decode_text(from, end, out) - out) };
	return true;
}

bool cor_json_read_word(struct cor_json_reader *r, const char *word, size_t n) {
	if ((size_t)(r->end - r->p) >= n && memcmp(r->p, word, n) == 0) {
		r->p += n;
		return true;
	}
	size_t i = 0;
	char where[48];
	while (r->p < r->end && *r->p == word[i]) {
		r->p++;
		i++;
	}
	snprintf(where, sizeof(where), "in literal %s (expecting '%c')", word, word[i]);
	return cor_json_bad_char(r, where);
}

static bool digit_at(const struct cor_json_reader *r) {
	return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

static bool read_digits(struct cor_json_reader *r, const char *where) {
	if (!digit_at(r))
		return cor_json_bad_char(r, where);
	while (digit_at(r))
		r->p++;
	return true;
}

bool cor_json_read_number(struct cor_json_reader *r, struct cor_str *ret_text, int64_t *ret,
		bool *ret_int) {
	const char *from = r->p;
	bool negative = *r->p == '-', integer = true;
	uint64_t v = 0;
	if (negative)
		r->p++;
	if (!digit_at(r))
		return cor_json_bad_char(r, negative ? "in numeric literal" :
			"looking for beginning of value");
	if (*r->p == '0') {
		r->p++;
	} else {
		const char *first = r->p;
		for (; digit_at(r); r->p++)
			v = v * 10 + (uint64_t)(*r->p - '0');
		integer = r->p - first < 19 ||
			(r->p - first == 19 && v <= (uint64_t)INT64_MAX + negative);
	}
	if (r->p < r->end && *r->p == '.') {
		integer = false;
		r->p++;
		if (!read_digits(r, "after decimal point in numeric literal"))
			return false;
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		integer = false;
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (!read_digits(r, "in exponent of numeric literal"))
			return false;
	}
	*ret_text = (struct cor_str){ from, (size_t)(r->p - from) };
	*ret = (int64_t)(negative ? 0 - v : v);
	*ret_int = integer;
	return true;
}

bool cor_json_next_member(struct cor_json_reader *r, bool *first, struct cor_str *ret_key) {
	char c;
	if (*first)
		r->p++;
	if (!cor_json_peek(r, &c))
		return false;
	if (c == '}') {
		r->p++;
		return false;
	}
	if (!*first) {
		if (c != ',')
			return cor_json_bad_char(r, "after object key:value pair");
		r->p++;
		if (!cor_json_peek(r, &c))
			return false;
	}
	*first = false;
	if (c != '"')
		return cor_json_bad_char(r, "looking for beginning of object key string");
	if (!cor_json_read_str(r, ret_key) || !cor_json_peek(r, &c))
		return false;
	if (c != ':')
		return cor_json_bad_char(r, "after object key");
	r->p++;
	return cor_json_peek(r, &c);
}

bool cor_json_next_element(struct cor_json_reader *r, bool *first) {
	char c;
	if (*first)
		r->p++;
	if (!cor_json_peek(r, &c))
		return false;
	if (c == ']') {
		/* [1,] is caught below: the value after a comma cannot begin with ']'. */
		r->p++;
		return false;
	}
	if (!*first) {
		if (c != ',')
			return cor_json_bad_char(r, "after array element");
		r->p++;
		if (!cor_json_peek(r, &c))
			return false;
		if (c == ']')
			return cor_json_bad_char(r, "looking for beginning of value");
	}
	*first = false;
	return true;
}

/* Makes the text of a value canonical: no white space, nothing that is not UTF-8. */
static bool clean_up(struct cor_json_reader *r, struct cor_str *text) {
	const char *end = text->p + text->n;
	size_t bad = 0, space = 0;
	for (const char *p = text->p; p < end; p++) {
		space += *p == ' ' || *p == '\n' || *p == '\t' || *p == '\r';
		bad += (signed char)*p < 0;
	}
	if (!bad && !space)
		return true;
	char *out = cor_arena_bytes(r->arena, text->n + 2 * bad + 1), *o = out;
	bool quoted = false;
	if (!out)
		return cor_json_bad_limit(r);
	for (const char *p = text->p; p < end;) {
		unsigned n = (signed char)*p >= 0 ? 1 : cor_utf8_len(p, end);
		if (quoted && *p == '\\')
			n = 2;
		else if (*p == '"')
			quoted = !quoted;
		if (n == 0)
			o = put_utf8(o, 0xfffd);
		else if (quoted || (*p != ' ' && *p != '\n' && *p != '\t' && *p != '\r'))
			for (unsigned i = 0; i < n; i++)
				*o++ = p[i];
		p += n ? n : 1;
	}
	*text = (struct cor_str){ out, (size_t)(o - out) };
	return true;
}

static bool skip_value(struct cor_json_reader *r) {
	char c;
	struct cor_str text;
	int64_t i;
	size_t bad = 0;
	bool first = true, plain;
	if (!cor_json_peek(r, &c))
		return false;
	switch (c) {
	case '{':
	case '[':
		if (++r->depth > COR_CODEC_DEPTH_MAX)
			return cor_json_bad_limit(r);
		while (c == '{' ? cor_json_next_member(r, &first, &text) :
				cor_json_next_element(r, &first))
			if (!skip_value(r))
				return false;
		r->depth--;
		return r->code == 0;
	case '"':
		if (!find_end(r, r->p + 1, &plain, &bad))
			return false;
		r->p++;
		return true;
	case 't':
		return cor_json_read_word(r, "true", 4);
	case 'f':
		return cor_json_read_word(r, "false", 5);
	case 'n':
		return cor_json_read_word(r, "null", 4);
	default:
		return cor_json_read_number(r, &text, &i, &plain);
	}
}

bool cor_json_skip(struct cor_json_reader *r, struct cor_str *ret) {
	r->p = cor_skip_space(r->p, r->end);
	const char *from = r->p;
	if (!skip_value(r))
		return false;
	if (!ret)
		return true;
	*ret = (struct cor_str){ from, (size_t)(r->p - from) };
	return clean_up(r, ret);
}
