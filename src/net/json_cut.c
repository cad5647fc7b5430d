// SPDX-License-Identifier: Apache-2.0
// See json_cut.h. Values are skipped by matching brackets outside of strings.
#include "net/json_cut.h"

static const char *space(const char *p, const char *end) {
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Behind the string that begins at p, or NULL. */
static const char *skip_string(const char *p, const char *end) {
	for (p++;; p++) {
		const char *q = memchr(p, '"', (size_t)(end - p)), *b;

		if (!q)
			return NULL;
		/* An odd number of backslashes before the quote escapes it. */
		for (b = q; b > p && b[-1] == '\\'; b--)
			;
		if (((q - b) & 1) == 0)
			return q + 1;
		p = q;
	}
}

/* Behind the value that begins at p, or NULL. */
static const char *skip_value(const char *p, const char *end) {
	size_t depth = 0;

	while (p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			if (!p || !depth)
				return p;
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (!depth)
				return p;
			if (--depth == 0)
				return p + 1;
			break;
		case ',':
		case ' ':
		case '\t':
		case '\r':
		case '\n':
			if (!depth)
				return p;
			break;
		}
		p++;
	}
	return depth ? NULL : p;
}

/* To the next item of a container: true when there is one at *p. */
static bool next_item(const char *start, const char **p, const char *end, size_t at, char open,
	char close) {
	*p = space(start + at, end);
	if (at == 0) {
		if (*p == end || **p != open)
			return false;
		*p = space(*p + 1, end);
	} else {
		if (*p == end || **p != ',')
			return false;
		*p = space(*p + 1, end);
	}
	return *p < end && **p != close;
}

bool cor_json_cut_member(struct cor_str json, size_t *at, struct cor_str *ret_key,
	struct cor_str *ret_value) {
	const char *p, *end = json.p + json.n, *q;

	if (!json.n || !next_item(json.p, &p, end, *at, '{', '}') || *p != '"')
		return false;
	q = skip_string(p, end);
	if (!q)
		return false;
	*ret_key = (struct cor_str){ p + 1, (size_t)(q - p) - 2 };
	p = space(q, end);
	if (p == end || *p != ':')
		return false;
	p = space(p + 1, end);
	q = p < end ? skip_value(p, end) : NULL;
	if (!q || q == p)
		return false;
	*ret_value = (struct cor_str){ p, (size_t)(q - p) };
	*at = (size_t)(q - json.p);
	return true;
}

bool cor_json_cut_element(struct cor_str json, size_t *at, struct cor_str *ret_value) {
	const char *p, *end = json.p + json.n, *q;

	if (!json.n || !next_item(json.p, &p, end, *at, '[', ']'))
		return false;
	q = skip_value(p, end);
	if (!q || q == p)
		return false;
	*ret_value = (struct cor_str){ p, (size_t)(q - p) };
	*at = (size_t)(q - json.p);
	return true;
}

struct cor_str cor_json_cut_get(struct cor_str object, const char *key) {
	struct cor_str k, v, want = cor_str_c(key);
	size_t at = 0;

	while (cor_json_cut_member(object, &at, &k, &v))
		if (cor_str_eq(k, want))
			return v;
	return (struct cor_str){ 0 };
}

struct cor_str cor_json_cut_str(struct cor_str v) {
	if (v.n < 2 || v.p[0] != '"' || v.p[v.n - 1] != '"' || memchr(v.p, '\\', v.n))
		return (struct cor_str){ 0 };
	return (struct cor_str){ v.p + 1, v.n - 2 };
}
