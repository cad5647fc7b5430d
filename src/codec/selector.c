// SPDX-License-Identifier: Apache-2.0
// Matching, printing and conversion of selectors. Their text forms are parsed in
// selector_parse.c (labels) and selector_fields.c (fields).
#include "codec/selector.h"

#include <stdlib.h>

#include "base/buf.h"
#include "codec/names.h"
#include "codec/selector_priv.h"
#include "gen/meta_v1.h"

static bool has_value(const struct cor_requirement *r, struct cor_str v) {
	for (size_t i = 0; i < r->values.n; i++)
		if (cor_str_eq(r->values.p[i], v))
			return true;
	return false;
}

static bool number_matches(const struct cor_requirement *r, struct cor_str v) {
	int64_t label, limit;
	if (!cor_str_to_i64(v, &label) || !cor_str_to_i64(r->values.p[0], &limit))
		return false;
	return r->op == COR_SEL_GT ? label > limit : label < limit;
}

static bool requirement_matches(const struct cor_requirement *r, const struct cor_str *v) {
	switch (r->op) {
	case COR_SEL_IN:
	case COR_SEL_EQ:
		return v && has_value(r, *v);
	case COR_SEL_NOT_IN:
	case COR_SEL_NE:
		return !v || !has_value(r, *v);
	case COR_SEL_EXISTS:
		return v != NULL;
	case COR_SEL_NOT_EXISTS:
		return v == NULL;
	default:
		return v && number_matches(r, *v);
	}
}

bool cor_selector_matches(const struct cor_selector *s, const struct cor_strmap *labels) {
	if (s->nothing)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!requirement_matches(&s->p[i], cor_strmap_get(labels, s->p[i].key)))
			return false;
	return true;
}

/* --- building --- */

static int by_value(const void *a, const void *b) {
	return cor_str_cmp(*(const struct cor_str *)a, *(const struct cor_str *)b);
}

void cor_selector_sort_values(struct cor_strlist *values) {
	size_t n = 0;
	if (values->n < 2)
		return;
	qsort(values->p, values->n, sizeof(*values->p), by_value);
	for (size_t i = 0; i < values->n; i++)
		if (n == 0 || !cor_str_eq(values->p[n - 1], values->p[i]))
			values->p[n++] = values->p[i];
	values->n = n;
}

static int by_key(const void *a, const void *b) {
	const struct cor_requirement *x = a, *y = b;
	int c = cor_str_cmp(x->key, y->key);
	return c ? c : (x->op > y->op) - (x->op < y->op);
}

void cor_selector_sort(struct cor_selector *s) {
	if (s->n > 1)
		qsort(s->p, s->n, sizeof(*s->p), by_key);
}

int cor_selector_no_memory(struct cor_err *err) {
	return cor_fail(err, COR_E_LIMIT, "the selector needs too much memory");
}

static int check(struct cor_broken b, const char *what, struct cor_str text, struct cor_err *err) {
	if (b.n == 0)
		return COR_OK;
	return cor_fail(err, COR_E_INVALID, "%s \"%.*s\": %s", what, COR_STR_ARG(text), b.p[0]);
}

/* Adds a requirement with copies of key and values. */
static int add(struct cor_arena *a, struct cor_selector *s, struct cor_str key,
	enum cor_selector_op op, const struct cor_str *values, size_t n, struct cor_err *err) {
	int r = check(cor_check_qualified_name(key), "invalid label key", key, err);
	struct cor_requirement *req = r < 0 ? NULL : cor_arena_push(a, s);
	if (r < 0)
		return r;
	if (!req)
		return cor_selector_no_memory(err);
	*req = (struct cor_requirement){ .key = cor_arena_str(a, key), .op = op };
	for (size_t i = 0; i < n; i++) {
		r = check(cor_check_label_value(values[i]), "invalid label value", values[i], err);
		if (r < 0)
			return r;
		struct cor_str *v = cor_arena_push(a, &req->values);
		if (v)
			*v = cor_arena_str(a, values[i].p ? values[i] : COR_STR(""));
	}
	if (cor_arena_failed(a))
		return cor_selector_no_memory(err);
	cor_selector_sort_values(&req->values);
	return COR_OK;
}

int cor_selector_from_map(struct cor_arena *a, const struct cor_strmap *m,
	struct cor_selector *ret, struct cor_err *err) {
	struct cor_selector s = { 0 };
	for (size_t i = 0; i < m->n; i++) {
		int r = add(a, &s, m->p[i].key, COR_SEL_EQ, &m->p[i].value, 1, err);
		if (r < 0)
			return r;
	}
	cor_selector_sort(&s);
	*ret = s;
	return COR_OK;
}

static const struct {
	const char *name;
	enum cor_selector_op op;
	bool values;
} label_operators[] = {
	{ "In", COR_SEL_IN, true },
	{ "NotIn", COR_SEL_NOT_IN, true },
	{ "Exists", COR_SEL_EXISTS, false },
	{ "DoesNotExist", COR_SEL_NOT_EXISTS, false },
};

static int add_expression(struct cor_arena *a, struct cor_selector *s,
	const meta_v1_LabelSelectorRequirement *e, struct cor_err *err) {
	for (size_t i = 0; i < cor_countof(label_operators); i++) {
		if (!cor_str_eq_c(e->operator, label_operators[i].name))
			continue;
		if (label_operators[i].values != (e->values.n > 0))
			return cor_fail(err, COR_E_INVALID, "operator %s of label selector key "
				"\"%.*s\" %s values", label_operators[i].name, COR_STR_ARG(e->key),
				label_operators[i].values ? "needs" : "takes no");
		return add(a, s, e->key, label_operators[i].op, e->values.p, e->values.n, err);
	}
	return cor_fail(err, COR_E_INVALID, "\"%.*s\" is not a valid label selector operator",
		COR_STR_ARG(e->operator));
}

int cor_selector_from_labels(struct cor_arena *a, const struct meta_v1_LabelSelector *ls,
	struct cor_selector *ret, struct cor_err *err) {
	struct cor_selector s = { .nothing = !ls };
	if (ls) {
		int r = cor_selector_from_map(a, &ls->matchLabels, &s, err);
		for (size_t i = 0; r >= 0 && i < ls->matchExpressions.n; i++)
			r = add_expression(a, &s, &ls->matchExpressions.p[i], err);
		if (r < 0)
			return r;
		cor_selector_sort(&s);
	}
	*ret = s;
	return COR_OK;
}

/* --- printing --- */

struct cor_str cor_selector_print(struct cor_arena *a, const struct cor_selector *s) {
	static const char *const signs[COR_SEL_OP_MAX] = {
		[COR_SEL_IN] = " in ", [COR_SEL_NOT_IN] = " notin ", [COR_SEL_EQ] = "=",
		[COR_SEL_NE] = "!=",   [COR_SEL_GT] = ">",           [COR_SEL_LT] = "<",
	};
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < s->n; i++) {
		const struct cor_requirement *r = &s->p[i];
		bool set = r->op == COR_SEL_IN || r->op == COR_SEL_NOT_IN;
		cor_buf_c(&b, i ? "," : "");
		cor_buf_c(&b, r->op == COR_SEL_NOT_EXISTS ? "!" : "");
		cor_buf_str(&b, r->key);
		cor_buf_c(&b, r->double_equals ? "==" : signs[r->op] ? signs[r->op] : "");
		cor_buf_c(&b, set ? "(" : "");
		for (size_t v = 0; v < r->values.n; v++) {
			cor_buf_c(&b, v ? "," : "");
			cor_buf_str(&b, r->values.p[v]);
		}
		cor_buf_c(&b, set ? ")" : "");
	}
	return cor_arena_str(a, b.n ? cor_buf_view(&b) : COR_STR(""));
}
