// SPDX-License-Identifier: Apache-2.0
// Tables: the machinery, and what kinds without a table of their own get. The kinds' columns are in
// files beside this one (table_priv.h).
#include <stdio.h>

#include "api/registry_priv.h"
#include "api/table_priv.h"
#include "codec/selector.h"
#include "gen/autoscaling_v1.h"
#include "gen/core_v1.h"

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

void cell_joined(struct row *r, const struct cor_str *p, size_t n, const char *sep, const char *none) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			cor_buf_c(&b, sep);
		cor_buf_str(&b, p[i]);
	}
	cell_or(r, cor_buf_view(&b), none);
}

static int by_text(const void *a, const void *b) {
	return cor_str_cmp(*(const struct cor_str *)a, *(const struct cor_str *)b);
}

size_t as_set(struct cor_str *p, size_t n) {
	size_t kept = 0;
	if (n > 0)
		qsort(p, n, sizeof(*p), by_text);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !cor_str_eq(p[i], p[kept - 1]))
			p[kept++] = p[i];
	return kept;
}

void cell_set(struct row *r, struct cor_str *p, size_t n, const char *none) {
	cell_joined(r, p, as_set(p, n), ",", none);
}

void cell_some(struct row *r, struct cor_buf *b, size_t n, size_t shown, const char *none) {
	if (n > shown)
		cor_buf_printf(b, " + %zu more...", n - shown);
	cell_or(r, cor_buf_view(b), none);
}

struct cor_str lower(struct cor_arena *a, struct cor_str s) {
	struct cor_str copy = cor_arena_str(a, s);
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] >= 'A' && copy.p[i] <= 'Z')
			((char *)(uintptr_t)copy.p)[i] |= 0x20;
	return copy;
}

bool is_marked(const struct meta_v1_ObjectMeta *m, const char *annotation) {
	const struct cor_str *v = cor_strmap_get(&m->annotations, cor_str_c(annotation));
	return v && cor_str_eq_c(*v, "true");
}

void cells_containers(struct row *r, const struct core_v1_PodSpec *s) {
	_cleanup_buf_ struct cor_buf names = COR_BUF_INIT, images = COR_BUF_INIT;
	for (size_t i = 0; i < s->containers.n; i++) {
		add_part(&names, ",", s->containers.p[i].name);
		add_part(&images, ",", s->containers.p[i].image);
	}
	cell_str(r, cor_buf_view(&names));
	cell_str(r, cor_buf_view(&images));
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

static const struct column default_columns[] = { S("Name"), D("Created At") };

/* Kinds whose only own column is their age. */
static const struct column age_columns[] = { S("Name"), S("Age") };

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

/* A kind that is served in two versions has one table, that of the version which is stored. */
static const struct kind_table *table_of(const struct cor_resource *res) {
	static const struct kind_tables *const lists[] = {
		&cor_tables_pods, &cor_tables_workloads, &cor_tables_batch, &cor_tables_core, &cor_tables_network,
		&cor_tables_storage, &cor_tables_access,
	};
	for (size_t i = 0; i < cor_countof(lists); i++)
		for (size_t k = 0; k < lists[i]->n; k++)
			if ((int)lists[i]->p[k].res == res->storage_id)
				return &lists[i]->p[k];
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

/* The column that kubectl puts the kind before; the attacher is one by an oversight that clients know. */
static const char *format_of(const struct column *c) {
	return strcmp(c->name, "Name") == 0 || strcmp(c->name, "Attacher") == 0 ? "name" : "";
}

static void write_columns(const struct column *c, size_t n, struct cor_buf *out) {
	cor_buf_byte(out, '[');
	for (size_t i = 0; i < n; i++)
		cor_buf_printf(out, "%s{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"%s\",\"description\":\"\",\"priority\":%d}",
			i > 0 ? "," : "", c[i].name, type_word(c[i].type), format_of(&c[i]), c[i].wide);
	cor_buf_byte(out, ']');
}

bool cor_table_columns(const struct cor_resource *res, struct cor_buf *out) {
	const struct kind_table *t = table_of(res);
	if (!(res->type->flags & COR_TF_OBJECT))
		return false;
	if (t)
		write_columns(t->columns, t->n, out);
	else
		write_columns(has_age_only(res) ? age_columns : default_columns, cor_countof(default_columns), out);
	return true;
}

/* ---- Scale: of a subresource, not of a kind that is stored ---- */

static const struct column scale_columns[] = { S("Name"), I("Desired"), I("Available"), S("Age") };

void cor_table_scale_columns(struct cor_buf *out) {
	write_columns(scale_columns, cor_countof(scale_columns), out);
}

void cor_table_scale_cells(const struct autoscaling_v1_Scale *s, cor_time now, struct cor_arena *a, struct cor_buf *out) {
	struct row r = { .out = out, .a = a, .now = now };
	cor_buf_byte(out, '[');
	cell_str(&r, s->metadata.name);
	cell_int(&r, s->spec.replicas);
	cell_int(&r, s->status.replicas);
	cell_age(&r, s->metadata.creationTimestamp);
	cor_buf_byte(out, ']');
}

int cor_table_cells(const struct cor_resource *res, const void *typed, cor_time now,
	struct cor_arena *a, struct cor_buf *out) {
	const struct kind_table *t = table_of(res);
	const meta_v1_ObjectMeta *m = cor_meta_const(res->type, typed);
	struct row r = { .out = out, .a = a, .now = now };
	cor_buf_byte(out, '[');
	if (t) {
		if (res->id != res->storage_id)
			typed = cor_convert(res, &cor_resources[res->storage_id], typed, a);
		if (!typed)
			return COR_E_LIMIT;
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
