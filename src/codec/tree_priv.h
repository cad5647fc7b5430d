// SPDX-License-Identifier: Apache-2.0
// What the files that build trees from text share.
#pragma once

#include "codec/tree.h"

/* Sets a member whose key already lives in the arena. False when it replaced one. */
bool cor_tree_link(struct cor_arena *a, struct cor_node *obj, struct cor_str key,
	struct cor_node *value);

/* Where a parser stands, from the inside out; lives on its stack. */
struct cor_tree_pos {
	const struct cor_tree_pos *up;
	struct cor_str key;     /* of a member; absent for an element */
	size_t index;
};

/* Adds the path of a key that occurred again, once each. */
void cor_tree_add_dup(struct cor_arena *a, struct cor_strlist *dups, const struct cor_tree_pos *pos);

/* Length of the UTF-8 sequence at p (end > p), or 0 when it is not well-formed. */
size_t cor_utf8_len(const char *p, const char *end);
/* Writes code point c, returns its length; out has room for 4. */
size_t cor_utf8_put(char *out, uint32_t c);
