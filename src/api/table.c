// SPDX-License-Identifier: Apache-2.0
// Tables: the machinery, and what kinds without a table of their own get. The kinds' columns are in
// table_pods.c, table_workloads.c, table_core.c and table_storage.c.
#include <stdio.h>

#include "api/table_priv.h"
#include "codec/selector.h"

/* ---- cells ---- */

static void next(struct row *r) {
	if (r->any)
		cor_buf_byte(r->out, ',');
	r->any = true;
}

void cell_str(struct row *r, struct cor_str s) {
	next(r);
	cor_json_write_str(r->out, s.p ? s : COR_STR(""));
}

void cell_c(struct row *r, const char *s) {
	cell_str(r, cor_str_c(s));
}

void cell_int(struct row *r, int64_t v) {
	next(r);
	cor_buf_i64(r->out, v);
}

void cell_bool(struct row *r, bool v) {
	next(r);
	cor_buf_c(r->out, v ? "true" : "false");
}

void cell_or(struct row *r, struct cor_str s, const char *other) {
	cell_str(r, s.n > 0 ? s : cor_str_c(other));
}

void cell_printf(struct row *r, const char *fmt, ...) {
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cell_str(r, (struct cor_str){ text, n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1 });
}

struct cor_str age_text(struct row *r, cor_time t) {
	char text[COR_TIME_TEXT_MAX];
	if (t == 0)
		return COR_STR("<unknown>");
	size_t n = cor_duration_human(r->now - t, text);
	return cor_arena_str(r->a, (struct cor_str){ text, n });
}

void cell_age(struct row *r, cor_time t) {
	cell_str(r, age_text(r, t));
}

void add_part(struct cor_buf *b, const char *sep, struct cor_str part) {
	if (b->n > 0)
		cor_buf_c(b, sep);
	cor_buf_str(b, part);
}

void cell_labels(struct row *r, const struct cor_strmap *m) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < m->n; i++) {
		add_part(&b, ",", m->p[i].key);
		cor_buf_byte(&b, '=');
		cor_buf_str(&b, m->p[i].value);
	}
	cell_or(r, cor_buf_view(&b), "<none>");
}

void cell_selector(struct row *r, const struct meta_v1_LabelSelector *s, const char *none) {
	struct cor_selector sel;
	struct cor_err err;
	if (!s)
		cell_c(r, none);
	else if (cor_selector_from_labels(r->a, s, &sel, &err) < 0)
		cell_c(r, "<error>");
	else
		cell_or(r, cor_selector_print(r->a, &sel), none);
}

/* ---- kinds ---- */

static const struct column default_columns[] = { { "Name", 's', false }, { "Created At", 'd', false } };

/* Kinds whose only own column is their age. */
static const struct column age_columns[] = { { "Name", 's', false }, { "Age", 's', false } };

static bool has_age_only(const struct cor_resource *res) {
	switch (res->id) {
	case COR_RES_SERVICEACCOUNTS:
	case COR_RES_DEVICECLASSES:
	case COR_RES_RESOURCECLAIMTEMPLATES:
		return true;
	default:
		return false;
	}
}

static const struct kind_table *table_of(const struct cor_resource *res) {
	static const struct {
		const struct kind_table *p;
		const size_t *n;
	} lists[] = {
		{ cor_tables_pods, &cor_tables_pods_n }, { cor_tables_workloads, &cor_tables_workloads_n },
		{ cor_tables_core, &cor_tables_core_n }, { cor_tables_storage, &cor_tables_storage_n },
	};
	for (size_t i = 0; i < cor_countof(lists); i++)
		for (size_t k = 0; k < *lists[i].n; k++)
			if ((int)lists[i].p[k].res == res->id)
				return &lists[i].p[k];
	return NULL;
}

static const char *type_word(char type) {
	switch (type) {
	case 'i': return "integer";
	case 'b': return "boolean";
	case 'd': return "date";
	default: return "string";
	}
}

bool cor_table_columns(const struct cor_resource *res, struct cor_buf *out) {
	const struct kind_table *t = table_of(res);
	const struct column *c = t ? t->columns : has_age_only(res) ? age_columns : default_columns;
	size_t n = t ? t->n : cor_countof(default_columns);
	if (!(res->type->flags & COR_TF_OBJECT))
		return false;
	cor_buf_byte(out, '[');
	for (size_t i = 0; i < n; i++)
		cor_buf_printf(out, "%s{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"%s\",\"description\":\"\",\"priority\":%d}",
			i > 0 ? "," : "", c[i].name, type_word(c[i].type), strcmp(c[i].name, "Name") == 0 ? "name" : "",
			c[i].wide);
	cor_buf_byte(out, ']');
	return true;
}

int cor_table_cells(const struct cor_resource *res, const void *typed, cor_time now,
	struct cor_arena *a, struct cor_buf *out) {
	const struct kind_table *t = table_of(res);
	const meta_v1_ObjectMeta *m = cor_meta_const(res->type, typed);
	struct row r = { .out = out, .a = a, .now = now };
	cor_buf_byte(out, '[');
	if (t) {
		t->row(&r, typed);
	} else {
		char text[COR_TIME_TEXT_MAX];
		cell_str(&r, m->name);
		if (has_age_only(res))
			cell_age(&r, m->creationTimestamp);
		else
			cell_str(&r, (struct cor_str){ text, cor_time_format(m->creationTimestamp, false, text) });
	}
	cor_buf_byte(out, ']');
	return out->failed ? COR_E_LIMIT : 0;
}
