// SPDX-License-Identifier: Apache-2.0
// What the files of the tables share: a kind's columns, and the writer of a row's cells. The order of
// cells is that of the columns; both are in one place, the kind's function and its column list.
#pragma once

#include "api/meta.h"
#include "api/table.h"
#include "codec/codec.h"
#include "gen/resources.h"

struct column {
	const char *name;
	char type;                      /* s string, i integer, b boolean, d date */
	bool wide;                      /* priority 1 */
};

/* Columns by their type; W is a string that only -o wide shows. */
#define S(name_) { name_, 's', false }
#define I(name_) { name_, 'i', false }
#define B(name_) { name_, 'b', false }
#define D(name_) { name_, 'd', false }
#define W(name_) { name_, 's', true }

/* Cells of one row, in order. */
struct row {
	struct cor_buf *out;
	struct cor_arena *a;
	cor_time now;
	bool any;
};

void cell_str(struct row *r, struct cor_str s);
void cell_c(struct row *r, const char *s);
void cell_int(struct row *r, int64_t v);
void cell_bool(struct row *r, bool v);
/* s, or other when it is empty. */
void cell_or(struct row *r, struct cor_str s, const char *other);
void cell_printf(struct row *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "5d"; "<unknown>" for 0. */
void cell_age(struct row *r, cor_time t);
struct cor_str age_text(struct row *r, cor_time t);
/* "a,b": adds to b with a separator. */
void add_part(struct cor_buf *b, const char *sep, struct cor_str part);
/* "a,b", or none when there is nothing. */
void cell_joined(struct row *r, const struct cor_str *p, size_t n, const char *sep, const char *none);
/* Sorts p and drops what is there twice; the number that is left. */
size_t as_set(struct cor_str *p, size_t n);
/* The same as cell_joined by "," for a set. */
void cell_set(struct row *r, struct cor_str *p, size_t n, const char *none);
/* b, then " + N more..." when n are more than the shown ones that b holds; none when b is empty. */
enum { SHOWN_MAX = 3 };
void cell_some(struct row *r, struct cor_buf *b, size_t n, size_t shown, const char *none);
struct cor_str lower(struct cor_arena *a, struct cor_str s);
bool is_marked(const struct meta_v1_ObjectMeta *m, const char *annotation);
struct core_v1_PodSpec;
/* Names, then images of a pod's containers. */
void cells_containers(struct row *r, const struct core_v1_PodSpec *s);
void cell_labels(struct row *r, const struct cor_strmap *m);
struct meta_v1_LabelSelector;
void cell_selector(struct row *r, const struct meta_v1_LabelSelector *s, const char *none);

struct kind_table {
	enum cor_res res;
	const struct column *columns;
	size_t n;
	void (*row)(struct row *r, const void *obj);
};

#define KIND_TABLE(res_, columns_, row_) { res_, columns_, cor_countof(columns_), row_ }

/* The kinds of each file. */
struct kind_tables {
	const struct kind_table *p;
	size_t n;
};

#define KIND_TABLES(...)                                                                         \
	{ (const struct kind_table[]){ __VA_ARGS__ },                                            \
		sizeof((const struct kind_table[]){ __VA_ARGS__ }) / sizeof(struct kind_table) }

extern const struct kind_tables cor_tables_pods, cor_tables_workloads, cor_tables_batch, cor_tables_core,
	cor_tables_network, cor_tables_storage, cor_tables_access;
