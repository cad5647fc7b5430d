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

/* NULL-res-terminated lists of each file. */
extern const struct kind_table cor_tables_pods[], cor_tables_workloads[], cor_tables_core[], cor_tables_storage[];
extern const size_t cor_tables_pods_n, cor_tables_workloads_n, cor_tables_core_n, cor_tables_storage_n;
