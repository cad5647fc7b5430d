// SPDX-License-Identifier: Apache-2.0
// Label and field selectors: from a query's text or an object's LabelSelector to one internal form,
// matching, and printing (facts/api-machinery.md section 10). A selector lives in an arena.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/value.h"

struct meta_v1_LabelSelector;

enum cor_selector_op {
	COR_SEL_IN,
	COR_SEL_NOT_IN,
	COR_SEL_EQ,             /* k=v and k==v */
	COR_SEL_NE,
	COR_SEL_EXISTS,
	COR_SEL_NOT_EXISTS,
	COR_SEL_GT,
	COR_SEL_LT,
	COR_SEL_OP_MAX,
};

struct cor_requirement {
	struct cor_str key;
	enum cor_selector_op op;
	bool double_equals;             /* was written ==, and is printed so */
	struct cor_strlist values;      /* sorted, each once; one for all but IN and NOT_IN */
};

/* All requirements must hold; none at all selects everything. Zeroed memory selects everything. */
struct cor_selector {
	struct cor_requirement *p;
	size_t n;
	bool nothing;           /* selects no object at all */
};

/* "app=web,tier notin (a,b),!old". BadRequest with the API's text when malformed. Sorted by key. */
[[nodiscard]] int cor_selector_parse(struct cor_arena *a, struct cor_str text,
	struct cor_selector *ret, struct cor_err *err);
/* NULL selects nothing, an empty one everything. COR_E_INVALID for an operator or a value that
 * validation would have refused. */
[[nodiscard]] int cor_selector_from_labels(struct cor_arena *a,
	const struct meta_v1_LabelSelector *s, struct cor_selector *ret, struct cor_err *err);
/* Equality with every entry, as Services and ReplicationControllers select; no entries select
 * everything, so the caller decides what an absent selector means. */
[[nodiscard]] int cor_selector_from_map(struct cor_arena *a, const struct cor_strmap *m,
	struct cor_selector *ret, struct cor_err *err);
bool cor_selector_matches(const struct cor_selector *s, const struct cor_strmap *labels);
static inline bool cor_selector_is_everything(const struct cor_selector *s) {
	return s->n == 0 && !s->nothing;
}
/* The text that parses to the same selector; "" for everything. */
struct cor_str cor_selector_print(struct cor_arena *a, const struct cor_selector *s);

/* Field selectors: "metadata.name=x,status.phase!=Running" with escapes \\ \, \=. Only EQ and NE;
 * which labels a kind knows is the caller's to check. A missing field counts as "". */
[[nodiscard]] int cor_fields_parse(struct cor_arena *a, struct cor_str text,
	struct cor_selector *ret, struct cor_err *err);
bool cor_fields_match(const struct cor_selector *s, const struct cor_strmap *fields);
struct cor_str cor_fields_print(struct cor_arena *a, const struct cor_selector *s);
/* The value that field must equal for an object to match (the first k=v), or absent. */
struct cor_str cor_fields_required(const struct cor_selector *s, struct cor_str field);
