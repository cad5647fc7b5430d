// SPDX-License-Identifier: Apache-2.0
// Field selectors: terms between commas, = == or != inside, backslash escapes of \ , and = in
// values. They reuse the requirements of label selectors with the operators EQ and NE only.
#include "codec/selector.h"

#include "base/buf.h"
#include "codec/selector_priv.h"

/* Takes the text before the first unescaped comma off *rest. */
static struct cor_str cut_term(struct cor_str *rest) {
	struct cor_str all = *rest;
	for (size_t i = 0; i < all.n; i++) {
		if (all.p[i] == '\\') {
			i++;
		} else if (all.p[i] == ',') {
			*rest = cor_str_sub(all, i + 1, all.n);
			return cor_str_sub(all, 0, i);
		}
	}
	*rest = (struct cor_str){ 0 };
	return all;
}

static int unescape(struct cor_arena *a, struct cor_str s, struct cor_str *ret,
	struct cor_err *err) {
	char *out = cor_arena_bytes(a, s.n + 1);
	size_t n = 0;
	if (!out)
		return cor_selector_no_memory(err);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == ',' || c == '=')
			return cor_fail_status(err, COR_REASON_BAD_REQUEST,
				"invalid field selector: unescaped character in value: %d", c);
		if (c == '\\') {
			c = ++i < s.n ? s.p[i] : 0;
			if (c != '\\' && c != ',' && c != '=')
				return cor_fail_status(err, COR_REASON_BAD_REQUEST,
					"invalid field selector: invalid escape sequence: \\%.*s",
					c != 0, &c);
		}
		out[n++] = c;
	}
	*ret = (struct cor_str){ out, n };
	return COR_OK;
}

/* Splits term at its first unescaped operator; false when there is none. */
static bool split_term(struct cor_str term, struct cor_requirement *r, struct cor_str *ret_value) {
	static const struct {
		struct cor_str text;
		enum cor_selector_op op;
	} ops[] = {
		{ COR_STR_INIT("!="), COR_SEL_NE },
		{ COR_STR_INIT("=="), COR_SEL_EQ },
		{ COR_STR_INIT("="), COR_SEL_EQ },
	};
	for (size_t i = 0; i < term.n; i++) {
		if (term.p[i] == '\\') {
			i++;
			continue;
		}
		for (size_t o = 0; o < cor_countof(ops); o++) {
			if (!cor_str_starts(cor_str_sub(term, i, term.n), ops[o].text))
				continue;
			r->key = cor_str_sub(term, 0, i);
			r->op = ops[o].op;
			*ret_value = cor_str_sub(term, i + ops[o].text.n, term.n);
			return true;
		}
	}
	return false;
}

int cor_fields_parse(struct cor_arena *a, struct cor_str text, struct cor_selector *ret,
	struct cor_err *err) {
	struct cor_selector s = { 0 };
	struct cor_str rest = text;
	while (rest.p) {
		struct cor_str term = cut_term(&rest), value, own;
		struct cor_requirement r = { 0 };
		if (term.n == 0)
			continue;
		if (!split_term(term, &r, &value))
			return cor_fail_status(err, COR_REASON_BAD_REQUEST,
				"invalid selector: '%.*s'; can't understand '%.*s'",
				COR_STR_ARG(text), COR_STR_ARG(term));
		int res = unescape(a, value, &own, err);
		if (res < 0)
			return res;
		struct cor_requirement *slot = cor_arena_push(a, &s);
		struct cor_str *v = slot ? cor_arena_push(a, &r.values) : NULL;
		if (!v)
			return cor_selector_no_memory(err);
		*v = own;
		r.key = cor_arena_str(a, r.key);
		*slot = r;
	}
	if (cor_arena_failed(a))
		return cor_selector_no_memory(err);
	*ret = s;
	return COR_OK;
}

bool cor_fields_match(const struct cor_selector *s, const struct cor_strmap *fields) {
	if (s->nothing)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		const struct cor_str *v = cor_strmap_get(fields, s->p[i].key);
		bool equal = cor_str_eq(v ? *v : COR_STR(""), s->p[i].values.p[0]);
		if (equal != (s->p[i].op == COR_SEL_EQ))
			return false;
	}
	return true;
}

struct cor_str cor_fields_print(struct cor_arena *a, const struct cor_selector *s) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < s->n; i++) {
		struct cor_str v = s->p[i].values.p[0];
		cor_buf_c(&b, i ? "," : "");
		cor_buf_str(&b, s->p[i].key);
		cor_buf_c(&b, s->p[i].op == COR_SEL_EQ ? "=" : "!=");
		for (size_t k = 0; k < v.n; k++) {
			if (v.p[k] == '\\' || v.p[k] == ',' || v.p[k] == '=')
				cor_buf_byte(&b, '\\');
			cor_buf_byte(&b, v.p[k]);
		}
	}
	return cor_arena_str(a, b.n ? cor_buf_view(&b) : COR_STR(""));
}

struct cor_str cor_fields_required(const struct cor_selector *s, struct cor_str field) {
	for (size_t i = 0; i < s->n; i++)
		if (s->p[i].op == COR_SEL_EQ && cor_str_eq(s->p[i].key, field))
			return s->p[i].values.p[0];
	return (struct cor_str){ 0 };
}
