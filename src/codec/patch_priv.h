// SPDX-License-Identifier: Apache-2.0
// What the patch files share.
#pragma once

#include "base/buf.h"
#include "codec/patch.h"

int cor_patch_json(struct cor_node *doc, const struct cor_node *ops, struct cor_arena *a,
	struct cor_node **ret, struct cor_err *err);
struct cor_node *cor_patch_merge(struct cor_node *doc, struct cor_node *patch,
	struct cor_arena *a);
int cor_patch_strategic(const struct cor_type *t, struct cor_node *doc, struct cor_node *patch,
	struct cor_arena *a, struct cor_node **ret, struct cor_err *err);

/* --- strategic: maps in patch_strategic.c, lists in patch_list.c --- */

struct cor_smp {
	struct cor_arena *arena;
	struct cor_err *err;
};

/* Where a value sits in the schema. */
struct cor_smp_place {
	const struct cor_type *type;    /* of a message, or of a map's values; NULL: not known */
	bool map;                       /* a map of the API: every key leads to type */
	bool retain;                    /* $retainKeys means something here */
	const struct cor_field *field;  /* the list's field, for lists */
};

/* Merges patch into doc (both objects). NULL with an error. */
struct cor_node *cor_smp_map(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch);
/* Merges a list. order: the list of $setElementOrder, or NULL. patch or doc may be NULL. */
struct cor_node *cor_smp_list(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch, struct cor_node *order);
/* Values of list that are not in values. */
struct cor_node *cor_smp_list_without(struct cor_smp *x, struct cor_node *list,
	const struct cor_node *values);
/* Takes directives and nulls out of what is taken over as it is. NULL when nothing is left of it
 * ($patch: delete). */
struct cor_node *cor_smp_strip(struct cor_node *n);
