// SPDX-License-Identifier: Apache-2.0
// Text of a label selector to requirements: a scanner with one token of lookahead and recursive
// descent. in and notin are words only where an operator may stand; elsewhere they are names.
#include "codec/selector.h"

#include <stdio.h>

#include "codec/names.h"
#include "codec/quote.h"
#include "codec/selector_priv.h"

enum token { T_END, T_CLOSE, T_COMMA, T_NOT, T_EQ2, T_EQ, T_GT, T_NAME, T_IN, T_LT, T_NE, T_NOTIN,
	T_OPEN };

static const struct {
	const char *text;
	enum token token;
} marks[] = {   /* longer ones first */
	{ "==", T_EQ2 }, { "!=", T_NE }, { "=", T_EQ },   { "!", T_NOT }, { ")", T_CLOSE },
	{ "(", T_OPEN }, { ",", T_COMMA }, { ">", T_GT }, { "<", T_LT },
};

static const struct {
	enum token token;
	enum cor_selector_op op;
} operators[] = {
	{ T_IN, COR_SEL_IN }, { T_NOTIN, COR_SEL_NOT_IN }, { T_EQ, COR_SEL_EQ },
	{ T_EQ2, COR_SEL_EQ }, { T_NE, COR_SEL_NE }, { T_GT, COR_SEL_GT }, { T_LT, COR_SEL_LT },
};

struct parser {
	struct cor_arena *arena;
	struct cor_str rest;
	enum token token;       /* of lookahead */
	struct cor_str text;
	struct cor_err *err;
};

static bool is_space(char c) {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void advance(struct parser *ps) {
	struct cor_str s = ps->rest;
	size_t n = 0;
	while (s.n > 0 && is_space(s.p[0]))
		s = cor_str_sub(s, 1, s.n);
	if (s.n == 0 || s.p[0] == 0) {
		*ps = (struct parser){ ps->arena, COR_STR(""), T_END, COR_STR(""), ps->err };
		return;
	}
	for (size_t i = 0; i < cor_countof(marks) && n == 0; i++)
		if (cor_str_starts(s, cor_str_c(marks[i].text))) {
			n = strlen(marks[i].text);
			ps->token = marks[i].token;
		}
	if (n == 0) {
		while (n < s.n && s.p[n] && !is_space(s.p[n]) && !strchr("=!(),><", s.p[n]))
			n++;
		struct cor_str word = cor_str_sub(s, 0, n);
		ps->token = cor_str_eq_c(word, "in") ? T_IN :
			cor_str_eq_c(word, "notin") ? T_NOTIN : T_NAME;
	}
	ps->text = cor_str_sub(s, 0, n);
	ps->rest = cor_str_sub(s, n, s.n);
}

/* The lookahead where an operator cannot stand. */
static enum token name_token(const struct parser *ps) {
	return ps->token == T_IN || ps->token == T_NOTIN ? T_NAME : ps->token;
}

static int found(struct parser *ps, const char *expected) {
	return cor_fail_status(ps->err, COR_REASON_BAD_REQUEST, "found '%.*s', expected: %s",
		COR_STR_ARG(ps->text), expected);
}

static int invalid(struct parser *ps, const char *path, struct cor_str value,
	struct cor_broken b) {
	struct cor_str quoted = cor_go_quoted(ps->arena, value);
	char text[1000];
	size_t n = 0;
	for (size_t i = 0; i < b.n && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "; " : "", b.p[i]);
	return cor_fail_status(ps->err, COR_REASON_BAD_REQUEST, "%s: Invalid value: %.*s: %s", path,
		COR_STR_ARG(quoted), text);
}

static int add_value(struct parser *ps, struct cor_requirement *r, struct cor_str v) {
	struct cor_str own = cor_arena_str(ps->arena, v);
	struct cor_str *slot = own.p ? cor_arena_push(ps->arena, &r->values) : NULL;
	if (!slot)
		return cor_selector_no_memory(ps->err);
	*slot = own;
	return COR_OK;
}

/* Behind "in" or "notin": (a,b). An empty place between commas is the empty string. */
static int parse_set(struct parser *ps, struct cor_requirement *r) {
	if (ps->token != T_OPEN)
		return cor_fail_status(ps->err, COR_REASON_BAD_REQUEST, "found '%.*s' expected: '('",
			COR_STR_ARG(ps->text));
	advance(ps);
	if (name_token(ps) != T_NAME && ps->token != T_COMMA && ps->token != T_CLOSE)
		return found(ps, "',', ')' or identifier");
	for (;;) {
		bool name = name_token(ps) == T_NAME;
		int res = add_value(ps, r, name ? ps->text : COR_STR(""));
		if (res < 0)
			return res;
		if (name)
			advance(ps);
		if (ps->token == T_CLOSE)
			break;
		if (ps->token != T_COMMA)
			return found(ps, name ? "',' or ')'" : "',', or identifier");
		advance(ps);
	}
	advance(ps);
	return COR_OK;
}

static int parse_value(struct parser *ps, struct cor_requirement *r) {
	if (ps->token == T_END || ps->token == T_COMMA)
		return add_value(ps, r, COR_STR(""));
	if (name_token(ps) != T_NAME)
		return found(ps, "identifier");
	int res = add_value(ps, r, ps->text);
	advance(ps);
	return res;
}

static int check_values(struct parser *ps, const struct cor_requirement *r) {
	for (size_t i = 0; i < r->values.n; i++) {
		char path[400];
		int64_t number;
		if ((r->op == COR_SEL_GT || r->op == COR_SEL_LT) &&
			!cor_str_to_i64(r->values.p[i], &number)) {
			(void)snprintf(path, sizeof(path), "values[%zu]", i);
			return invalid(ps, path, r->values.p[i], (struct cor_broken){
				{ "for 'Gt', 'Lt' operators, the value must be an integer" }, 1 });
		}
		struct cor_broken b = cor_check_label_value(r->values.p[i]);
		if (b.n == 0)
			continue;
		(void)snprintf(path, sizeof(path), "values[%zu][%.*s]", i, COR_STR_ARG(r->key));
		return invalid(ps, path, r->values.p[i], b);
	}
	return COR_OK;
}

static int parse_requirement(struct parser *ps, struct cor_requirement *r) {
	bool not = ps->token == T_NOT;
	if (not)
		advance(ps);
	if (name_token(ps) != T_NAME)
		return found(ps, "identifier");
	struct cor_broken b = cor_check_qualified_name(ps->text);
	if (b.n > 0)
		return invalid(ps, "<nil>", ps->text, b);
	*r = (struct cor_requirement){ .key = cor_arena_str(ps->arena, ps->text) };
	advance(ps);
	if (not || ps->token == T_END || ps->token == T_COMMA) {
		r->op = not ? COR_SEL_NOT_EXISTS : COR_SEL_EXISTS;
		return COR_OK;
	}
	for (size_t i = 0; i < cor_countof(operators); i++) {
		if (ps->token != operators[i].token)
			continue;
		r->op = operators[i].op;
		r->double_equals = ps->token == T_EQ2;
		advance(ps);
		bool set = r->op == COR_SEL_IN || r->op == COR_SEL_NOT_IN;
		int res = set ? parse_set(ps, r) : parse_value(ps, r);
		if (res < 0)
			return res;
		cor_selector_sort_values(&r->values);
		return check_values(ps, r);
	}
	return found(ps, "in, notin, =, ==, !=, gt, lt");
}

int cor_selector_parse(struct cor_arena *a, struct cor_str text, struct cor_selector *ret,
	struct cor_err *err) {
	struct parser ps = { .arena = a, .rest = text.p ? text : COR_STR(""), .err = err };
	struct cor_selector s = { 0 };
	advance(&ps);
	while (ps.token != T_END || s.n > 0) {
		if (name_token(&ps) != T_NAME && ps.token != T_NOT)
			return found(&ps, s.n ? "identifier after ','" :
				"!, identifier, or 'end of string'");
		struct cor_requirement *r = cor_arena_push(a, &s);
		if (!r)
			return cor_selector_no_memory(err);
		int res = parse_requirement(&ps, r);
		if (res < 0) {
			(void)cor_wrap(err, "unable to parse requirement");
			return res;
		}
		if (ps.token == T_END)
			break;
		if (ps.token != T_COMMA)
			return found(&ps, "',' or 'end of string'");
		advance(&ps);
	}
	if (cor_arena_failed(a))
		return cor_selector_no_memory(err);
	cor_selector_sort(&s);
	*ret = s;
	return COR_OK;
}
