// SPDX-License-Identifier: Apache-2.0
// YAML to tree and back: the part of YAML that is JSON in another notation, as Kubernetes reads it.
// Plain scalars are resolved by YAML 1.1 (yes and on are true, 0777 is octal, 0x1F is 31); anchors,
// aliases and merge keys work, within limits. (Not called yaml.h, which is the library's header.)
#pragma once

#include "codec/tree.h"

enum {
	COR_YAML_ALIAS_NODES_MAX = 100000,      /* nodes that all aliases of a text may add */
	COR_YAML_DOCS_MAX = 10000,
};

/* The first document of yaml; an empty text is null. The text is not needed afterwards. Of a key
 * that occurs twice the last value wins, and `line 6: key "other" already set in map` is added to
 * *ret_dups unless it is NULL (at most COR_TREE_DUPS_MAX).
 * NULL with COR_E_PARSE ("yaml: line 3: ...") or COR_E_LIMIT. */
struct cor_node *cor_yaml_parse(struct cor_arena *a, struct cor_str yaml,
	struct cor_strlist *ret_dups, struct cor_err *err);
/* All documents that are not empty, in order. */
[[nodiscard]] int cor_yaml_parse_all(struct cor_arena *a, struct cor_str yaml,
	struct cor_items *ret, struct cor_strlist *ret_dups, struct cor_err *err);

/* Appends one document with a newline at its end, keys sorted. Strings are quoted where a reader
 * would take them for something else. */
void cor_yaml_print(struct cor_buf *b, const struct cor_node *n);

/* What a plain scalar means: a null, bool, number or string node of JSON; NULL with an error for
 * numbers JSON cannot hold. Shared by reading and printing. */
struct cor_node *cor_yaml_resolve(struct cor_arena *a, struct cor_str text, struct cor_err *err);
