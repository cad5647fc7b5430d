// SPDX-License-Identifier: Apache-2.0
// The patch types that work on trees: JSON patch (RFC 6902), merge patch (RFC 7396) and strategic
// merge patch, which the schema's tables drive (facts/api-machinery.md section 6). Server-side
// apply is not here. See docs/internals/patches.md.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "codec/tree.h"
#include "codec/type.h"

enum cor_patch_type {
	COR_PATCH_JSON,
	COR_PATCH_MERGE,
	COR_PATCH_STRATEGIC,
	COR_PATCH_APPLY,
};

/* Operations of a JSON patch; bytes that its copy operations may add. */
enum { COR_PATCH_OPS_MAX = 10000, COR_PATCH_COPY_MAX = 3 * 1024 * 1024 };

/* application/json-patch+json and so on, without parameters; false when it is none of them. */
bool cor_patch_type_from_media(struct cor_str media_type, enum cor_patch_type *ret);

/* Applies patch to current and puts the new tree into *ret; on failure *ret is untouched, but
 * current and patch may be half changed: they are used up, parts of both are linked into *ret.
 * t is the type of current; NULL where it has none (custom resources), which only the strategic
 * patch needs. All three live in a. Errors carry the HTTP status and reason of the API:
 * 400 for a patch of the wrong shape, 413 for one beyond a limit, 422 for one that does not fit
 * the object, 415 for a strategic patch without a type, COR_E_LIMIT when a is exhausted. */
[[nodiscard]] int cor_patch_apply(enum cor_patch_type type, const struct cor_type *t,
	struct cor_node *current, struct cor_node *patch, struct cor_arena *a,
	struct cor_node **ret, struct cor_err *err);

/* What is unknown in a JSON patch's operations: `json patch unknown field "[0].foo"`. (Keys that
 * occur twice in any patch are reported by cor_node_parse.) At most COR_TREE_DUPS_MAX. */
void cor_patch_unknown_members(const struct cor_node *patch, struct cor_arena *a,
	struct cor_strlist *ret);
