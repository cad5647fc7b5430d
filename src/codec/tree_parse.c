// SPDX-License-Identifier: Apache-2.0
// JSON text to tree: strict RFC 8259 by recursive descent with a depth limit. The text is copied
// into the arena once, and strings are unescaped in place there, since an escape is never shorter
// than what it stands for. Only a string with bytes that are not UTF-8 can grow (each such byte
// becomes U+FFFD, as in Go); it gets memory of its own.
#include "codec/tree.h"

#include <stdio.h>

#include "codec/tree_priv.h"

struct parser {
	struct cor_arena *arena;
	char *start, *p, *end;
	size_t depth;
	struct cor_strlist *dups;
	struct cor_err *err;
};

static struct cor_node *parse_value(struct parser *ps, const struct cor_tree_pos *up);

/* --- errors: each returns false --- */

static const char *describe(char out[16], const struct parser *ps, const char *at) {
	if (at >= ps->end)
		return "end of input";
	unsigned char c = (unsigned char)*at;
	if (c >= 0x20 && c < 0x7f)
		(void)snprintf(out, 16, "'%c'", c);
	else
		(void)snprintf(out, 16, "0x%02x", c);
	return out;
}

static bool fail_at(struct parser *ps, const char *at, const char *wanted) {
	char text[16];
	return cor_fail(ps->err, COR_E_PARSE, "byte %zu: unexpected %s, %s",
		(size_t)(at - ps->start), describe(text, ps, at), wanted) == COR_OK;
}

static bool fail_memory(struct parser *ps) {
	return cor_fail(ps->err, COR_E_LIMIT, "the document needs too much memory") == COR_OK;
}

static bool fail_depth(struct parser *ps) {
	return cor_fail(ps->err, COR_E_LIMIT, "byte %zu: nested deeper than %d levels",
		(size_t)(ps->p - ps->start), COR_TREE_DEPTH_MAX) == COR_OK;
}

/* --- paths of duplicate keys --- */

static void put_path(struct cor_buf *b, const struct cor_tree_pos *pos) {
	if (!pos)
		return;
	put_path(b, pos->up);
	if (pos->key.p) {
		if (b->n)
			cor_buf_byte(b, '.');
		cor_buf_str(b, pos->key);
	} else {
		cor_buf_printf(b, "[%zu]", pos->index);
	}
}

void cor_tree_add_dup(struct cor_arena *a, struct cor_strlist *dups, const struct cor_tree_pos *pos) {
	if (!dups || dups->n >= COR_TREE_DUPS_MAX)
		return;
	_cleanup_buf_ struct cor_buf b = { .limit = 4096 };
	put_path(&b, pos);
	for (size_t i = 0; i < dups->n; i++)
		if (cor_str_eq(dups->p[i], cor_buf_view(&b)))
			return;
	struct cor_str path = cor_arena_str(a, cor_buf_view(&b));
	struct cor_str *s = path.p ? cor_arena_push(a, dups) : NULL;
	if (s)
		*s = path;
}

/* --- UTF-8 --- */

size_t cor_utf8_len(const char *s, const char *end) {
	const unsigned char *p = (const unsigned char *)s;
	size_t left = (size_t)(end - s), n;
	unsigned char lo = 0x80, hi = 0xbf;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		n = 3;
		if (p[0] == 0xe0)
			lo = 0xa0;
		if (p[0] == 0xed)
			hi = 0x9f;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		if (p[0] == 0xf0)
			lo = 0x90;
		if (p[0] == 0xf4)
			hi = 0x8f;
	} else {
		return 0;
	}
	if (left < n || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

size_t cor_utf8_put(char *out, uint32_t c) {
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (size_t i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	out[0] = (char)(lead[n] | c);
	return n;
}

/* --- strings --- */

/* Four hex digits at p, or -1. */
static int32_t hex4(const char *p, const char *end) {
	int32_t v = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* The code point of a \u escape whose digits begin at *p; lone surrogates give U+FFFD. */
static int32_t unicode_escape(const char **p, const char *end) {
	int32_t c = hex4(*p, end);
	if (c < 0)
		return -1;
	*p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		int32_t low = hex4(*p + 2, end);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*p += 6;
			return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return 0xfffd;
}

static const char escape_of[128] = {
	['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n',
	['r'] = '\r', ['t'] = '\t',
};

/* Unescapes [p, end) to out and returns the new end of out, or NULL with an error. */
static char *unescape(struct parser *ps, char *out, const char *p, const char *end) {
	while (p < end) {
		if (*p != '\\') {
			size_t n = cor_utf8_len(p, end);
			if (n == 0) {
				out += cor_utf8_put(out, 0xfffd);
				p++;
				continue;
			}
			while (n-- > 0)
				*out++ = *p++;
			continue;
		}
		const char *at = p++;
		unsigned char c = (unsigned char)*p++;
		if (c == 'u') {
			int32_t code = unicode_escape(&p, end);
			if (code < 0) {
				(void)fail_at(ps, at, "\\u wants four hex digits");
				return NULL;
			}
			out += cor_utf8_put(out, (uint32_t)code);
		} else if (c < 128 && escape_of[c]) {
			*out++ = escape_of[c];
		} else {
			(void)fail_at(ps, at + 1, "not a known escape");
			return NULL;
		}
	}
	return out;
}

/* At the opening quote. */
static bool parse_string(struct parser *ps, struct cor_str *ret) {
	char *s = ++ps->p, *p = s;
	bool plain = true;
	for (;; p++) {
		if (p >= ps->end)
			return fail_at(ps, p, "in a string");
		unsigned char c = (unsigned char)*p;
		if (c == '"')
			break;
		if (c < 0x20)
			return fail_at(ps, p, "control characters in a string must be escaped");
		if (c == '\\') {
			plain = false;
			if (++p >= ps->end)
				return fail_at(ps, p, "in a string");
		} else if (c >= 0x80) {
			plain = false;
		}
	}
	ps->p = p + 1;
	*ret = (struct cor_str){ s, (size_t)(p - s) };
	if (plain)
		return true;
	size_t broken = 0;
	for (const char *q = s; q < p;) {
		size_t n = cor_utf8_len(q, p);
		broken += n == 0;
		q += n ? n : 1;
	}
	char *out = s;
	if (broken && !(out = cor_arena_bytes(ps->arena, ret->n + 2 * broken + 1)))
		return fail_memory(ps);
	char *end = unescape(ps, out, s, p);
	if (!end)
		return false;
	*ret = (struct cor_str){ out, (size_t)(end - out) };
	return true;
}

/* --- numbers --- */

static bool is_digit(const char *p, const char *end) {
	return p < end && *p >= '0' && *p <= '9';
}

/* The end of the number that begins at p, or NULL; *ret_at is where it went wrong. */
static const char *scan_number(const char *p, const char *end, const char **ret_at) {
	if (p < end && *p == '-')
		p++;
	*ret_at = p;
	if (!is_digit(p, end))
		return NULL;
	if (*p++ != '0')
		while (is_digit(p, end))
			p++;
	if (p < end && *p == '.') {
		*ret_at = ++p;
		if (!is_digit(p, end))
			return NULL;
		while (is_digit(p, end))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		*ret_at = p;
		if (!is_digit(p, end))
			return NULL;
		while (is_digit(p, end))
			p++;
	}
	return p;
}

bool cor_json_is_number(struct cor_str s) {
	const char *at;
	return s.n > 0 && scan_number(s.p, s.p + s.n, &at) == s.p + s.n;
}

/* --- the rest of the grammar --- */

static void skip_space(struct parser *ps) {
	while (ps->p < ps->end &&
		(*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\t' || *ps->p == '\r'))
		ps->p++;
}

static bool at_char(struct parser *ps, char c) {
	return ps->p < ps->end && *ps->p == c;
}

static struct cor_node *new_node(struct parser *ps, enum cor_node_kind kind) {
	struct cor_node *n = cor_arena_new_of(ps->arena, struct cor_node);
	if (n)
		n->kind = kind;
	else
		(void)fail_memory(ps);
	return n;
}

static bool parse_members(struct parser *ps, struct cor_node *obj, const struct cor_tree_pos *up) {
	skip_space(ps);
	if (at_char(ps, '}')) {
		ps->p++;
		return true;
	}
	for (;;) {
		struct cor_tree_pos pos = { .up = up };
		skip_space(ps);
		if (!at_char(ps, '"'))
			return fail_at(ps, ps->p, "a key in quotes was expected");
		if (!parse_string(ps, &pos.key))
			return false;
		skip_space(ps);
		if (!at_char(ps, ':'))
			return fail_at(ps, ps->p, "':' was expected after a key");
		ps->p++;
		struct cor_node *value = parse_value(ps, &pos);
		if (!value)
			return false;
		if (!cor_tree_link(ps->arena, obj, pos.key, value))
			cor_tree_add_dup(ps->arena, ps->dups, &pos);
		skip_space(ps);
		if (at_char(ps, '}')) {
			ps->p++;
			return true;
		}
		if (!at_char(ps, ','))
			return fail_at(ps, ps->p, "',' or '}' was expected after a member");
		ps->p++;
	}
}

static bool parse_items(struct parser *ps, struct cor_node *array, const struct cor_tree_pos *up) {
	skip_space(ps);
	if (at_char(ps, ']')) {
		ps->p++;
		return true;
	}
	for (;;) {
		struct cor_tree_pos pos = { .up = up, .index = array->items.n };
		struct cor_node *value = parse_value(ps, &pos);
		if (!value)
			return false;
		cor_node_push(ps->arena, array, value);
		skip_space(ps);
		if (at_char(ps, ']')) {
			ps->p++;
			return true;
		}
		if (!at_char(ps, ','))
			return fail_at(ps, ps->p, "',' or ']' was expected after an element");
		ps->p++;
	}
}

static struct cor_node *parse_container(struct parser *ps, const struct cor_tree_pos *up) {
	bool object = *ps->p == '{';
	struct cor_node *n = new_node(ps, object ? COR_NODE_OBJECT : COR_NODE_ARRAY);
	if (!n)
		return NULL;
	if (++ps->depth > COR_TREE_DEPTH_MAX) {
		(void)fail_depth(ps);
		return NULL;
	}
	ps->p++;
	bool ok = object ? parse_members(ps, n, up) : parse_items(ps, n, up);
	ps->depth--;
	return ok ? n : NULL;
}

static struct cor_node *parse_word(struct parser *ps, struct cor_str word, enum cor_node_kind kind,
	bool boolean) {
	for (size_t i = 0; i < word.n; i++, ps->p++)
		if (!at_char(ps, word.p[i])) {
			(void)fail_at(ps, ps->p, "null, true or false was expected");
			return NULL;
		}
	struct cor_node *n = new_node(ps, kind);
	if (n)
		n->boolean = boolean;
	return n;
}

static struct cor_node *parse_number(struct parser *ps) {
	const char *at, *end = scan_number(ps->p, ps->end, &at);
	if (!end) {
		(void)fail_at(ps, at, "a digit was expected");
		return NULL;
	}
	struct cor_node *n = new_node(ps, COR_NODE_NUMBER);
	if (n)
		n->text = (struct cor_str){ ps->p, (size_t)(end - ps->p) };
	ps->p += end - ps->p;
	return n;
}

static struct cor_node *parse_value(struct parser *ps, const struct cor_tree_pos *up) {
	skip_space(ps);
	char c = ps->p < ps->end ? *ps->p : 0;
	switch (c) {
	case '{':
	case '[':
		return parse_container(ps, up);
	case '"': {
		struct cor_str s;
		if (!parse_string(ps, &s))
			return NULL;
		struct cor_node *n = new_node(ps, COR_NODE_STRING);
		if (n)
			n->text = s;
		return n;
	}
	case 't':
		return parse_word(ps, COR_STR("true"), COR_NODE_BOOL, true);
	case 'f':
		return parse_word(ps, COR_STR("false"), COR_NODE_BOOL, false);
	case 'n':
		return parse_word(ps, COR_STR("null"), COR_NODE_NULL, false);
	default:
		if (c == '-' || (c >= '0' && c <= '9'))
			return parse_number(ps);
		(void)fail_at(ps, ps->p, "a value was expected");
		return NULL;
	}
}

struct cor_node *cor_node_parse(struct cor_arena *a, struct cor_str json, struct cor_strlist *ret_dups,
	struct cor_err *err) {
	struct parser ps = { .arena = a, .dups = ret_dups, .err = err };
	struct cor_str own = cor_arena_str(a, json.p ? json : COR_STR(""));
	if (!own.p) {
		(void)fail_memory(&ps);
		return NULL;
	}
	ps.start = ps.p = (char *)own.p;
	ps.end = ps.start + own.n;
	struct cor_node *n = parse_value(&ps, NULL);
	if (!n)
		return NULL;
	skip_space(&ps);
	if (ps.p < ps.end) {
		(void)fail_at(&ps, ps.p, "the document has already ended");
		return NULL;
	}
	if (cor_arena_failed(a)) {
		(void)fail_memory(&ps);
		return NULL;
	}
	return n;
}
