// SPDX-License-Identifier: Apache-2.0
// Resource quantities ("500m", "1Gi", "1e3"): exact integers of 1e-9 with the notation they were
// written in. Objects keep quantities as canonical text; calculations go through this struct.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum cor_quantity_format {
	COR_QUANTITY_DECIMAL = 0,       /* 1k */
	COR_QUANTITY_BINARY,            /* 1Ki */
	COR_QUANTITY_EXPONENT,          /* 1e3 */
};

struct cor_quantity {
	__int128 nano;                  /* value * 1e9; at most 1e29 * 1e9 either way */
	enum cor_quantity_format format;
};

#define COR_QUANTITY_TEXT_MAX 48

/* White space around text is allowed. Finer than 1n is rounded away from zero; beyond the limits
 * (2^63-1 for binary notation) the value is cut to the limit. COR_E_PARSE otherwise. */
[[nodiscard]] int cor_quantity_parse(struct cor_str text, struct cor_quantity *ret,
	struct cor_err *err);
/* The canonical text; returns its length (NUL-terminated). */
size_t cor_quantity_print(struct cor_quantity q, char out[COR_QUANTITY_TEXT_MAX]);
struct cor_str cor_quantity_to_str(struct cor_arena *a, struct cor_quantity q);
/* What an object keeps: text itself where upstream keeps it, else its canonical form in a. */
[[nodiscard]] int cor_quantity_canonical(struct cor_arena *a, struct cor_str text,
	struct cor_str *ret, struct cor_err *err);

/* Absent or malformed text counts as zero: for text that was decoded, hence checked, before. */
struct cor_quantity cor_quantity_of(struct cor_str text);
/* Whole units, thousandths: rounded away from zero, saturated. */
int64_t cor_quantity_value(struct cor_quantity q);
int64_t cor_quantity_milli(struct cor_quantity q);
struct cor_quantity cor_quantity_from(int64_t value, enum cor_quantity_format format);
struct cor_quantity cor_quantity_from_milli(int64_t milli);
/* The result has a's notation, or b's when a is zero. */
struct cor_quantity cor_quantity_add(struct cor_quantity a, struct cor_quantity b);
struct cor_quantity cor_quantity_sub(struct cor_quantity a, struct cor_quantity b);
static inline int cor_quantity_cmp(struct cor_quantity a, struct cor_quantity b) {
	return a.nano < b.nano ? -1 : a.nano > b.nano;
}
