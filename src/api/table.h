// SPDX-License-Identifier: Apache-2.0
// Tables: what `kubectl get` prints. Columns and cells of every kind (facts/printing.md).
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "codec/type.h"

/* Appends the JSON array of column definitions; false when res has no table (review kinds). */
bool cor_table_columns(const struct cor_resource *res, struct cor_buf *out);
/* Appends the JSON array of cells of one typed object. Negative when out is exhausted. */
int cor_table_cells(const struct cor_resource *res, const void *typed, cor_time now,
	struct cor_arena *a, struct cor_buf *out);
/* The same for what /scale answers. */
struct autoscaling_v1_Scale;
void cor_table_scale_columns(struct cor_buf *out);
void cor_table_scale_cells(const struct autoscaling_v1_Scale *s, cor_time now, struct cor_arena *a, struct cor_buf *out);
/* Appends `,"conditions":[...]` for a row that has them: that of a pod which has ended. */
void cor_table_row_conditions(const struct cor_resource *res, const void *typed, struct cor_buf *out);
