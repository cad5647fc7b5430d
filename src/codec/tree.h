// SPDX-License-Identifier: Apache-2.0
// The generic tree: a JSON document whose type nobody has to know. Patches, server-side apply,
// custom resources, webhooks and YAML work on it; everything else uses typed structs.
// Nodes, keys and texts live in the arena they were made in and are freed with it. A tree is
// never deeper than COR_TREE_DEPTH_MAX, so walking it by recursion is safe.
// Builders return NULL when the arena is exhausted and accept NULL nodes, so that a chain of them
// can be checked once at its end with cor_arena_failed().
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/value.h"

enum { COR_TREE_DEPTH_MAX = 1000 };

enum cor_node_kind {
	COR_NODE_NULL,
	COR_NODE_BOOL,
	COR_NODE_NUMBER,
	COR_NODE_STRING,
	COR_NODE_ARRAY,
	COR_NODE_OBJECT,
	COR_NODE_KIND_MAX,
};

struct cor_node {
	enum cor_node_kind kind;
	bool boolean;
	union {
		struct cor_str text;    /* STRING: decoded UTF-8; NUMBER: as it was written */
		struct cor_items {
			struct cor_node **p;
			size_t n;
		} items;                /* ARRAY */
		struct cor_members {
			struct cor_member *p;
			size_t n;
		} members;              /* OBJECT: keys are unique, order is that of the input */
	};
	uint32_t *index;                /* of tree.c: hash index of large objects */
};

struct cor_member {
	struct cor_str key;
	struct cor_node *value;         /* never NULL */
};

/* --- text to tree and back (tree_parse.c, tree_print.c) --- */

/* Parses one JSON document with nothing but white space around it; json is copied and may go away.
 * Of a key that occurs twice the last value wins; the paths of such keys ("spec.replicas",
 * "spec.containers[0].name") are added to *ret_dups unless it is NULL, in order of occurrence and
 * at most COR_TREE_DUPS_MAX of them. Bytes that are not UTF-8 and lone surrogates become U+FFFD.
 * NULL with COR_E_PARSE ("byte 17: ...") or COR_E_LIMIT (depth, arena). */
enum { COR_TREE_DUPS_MAX = 100 };
struct cor_node *cor_node_parse(struct cor_arena *a, struct cor_str json,
	struct cor_strlist *ret_dups, struct cor_err *err);

enum cor_print_flags {
	COR_PRINT_PLAIN = 0,
	COR_PRINT_SORTED = 1,   /* members in bytewise order of their keys: canonical */
	COR_PRINT_PRETTY = 2,   /* two blanks of indent a level */
};
/* Appends without a final newline. A NULL node prints as null. */
void cor_node_print(struct cor_buf *b, const struct cor_node *n, int flags);
/* The same into an arena; absent when the arena is exhausted. */
struct cor_str cor_node_to_str(struct cor_arena *a, const struct cor_node *n, int flags);
/* True when the whole of s is a number by the JSON grammar. */
bool cor_json_is_number(struct cor_str s);

/* --- access (tree.c); all accept NULL and nodes of another kind --- */

static inline bool cor_node_is(const struct cor_node *n, enum cor_node_kind kind) {
	return n && n->kind == kind;
}
const char *cor_node_kind_to_string(enum cor_node_kind kind);   /* "object", "array", ... */

/* The member, or NULL. */
struct cor_node *cor_node_get(const struct cor_node *obj, struct cor_str key);
struct cor_node *cor_node_get_c(const struct cor_node *obj, const char *key);
/* Follows keys separated by dots: "spec.template.metadata". */
struct cor_node *cor_node_path(const struct cor_node *root, const char *path);
/* Absent when the path does not lead to a string. */
struct cor_str cor_node_path_str(const struct cor_node *root, const char *path);
/* False, and *ret untouched, when the path does not lead to an integer (or bool). */
bool cor_node_path_int(const struct cor_node *root, const char *path, int64_t *ret);
bool cor_node_path_bool(const struct cor_node *root, const char *path, bool *ret);
/* An integer also when written as 1.0 or 1e3, as long as it fits. */
bool cor_node_to_i64(const struct cor_node *n, int64_t *ret);

/* Same kind and value. Objects ignore order; numbers compare by value (1 = 1.0 = 1e0). */
bool cor_node_equal(const struct cor_node *a, const struct cor_node *b);

/* --- building (tree.c) --- */

struct cor_node *cor_node_null(struct cor_arena *a);
struct cor_node *cor_node_bool(struct cor_arena *a, bool v);
struct cor_node *cor_node_int(struct cor_arena *a, int64_t v);
/* text must be a JSON number. Both copy the text. */
struct cor_node *cor_node_number(struct cor_arena *a, struct cor_str text);
struct cor_node *cor_node_str(struct cor_arena *a, struct cor_str s);
struct cor_node *cor_node_str_c(struct cor_arena *a, const char *s);
struct cor_node *cor_node_array(struct cor_arena *a);
struct cor_node *cor_node_object(struct cor_arena *a);

/* Sets or replaces a member. The key is copied when it is new; the value is linked, not copied:
 * it must belong to the same arena (or outlive it) and to one parent only. */
void cor_node_set(struct cor_arena *a, struct cor_node *obj, struct cor_str key,
	struct cor_node *value);
void cor_node_set_c(struct cor_arena *a, struct cor_node *obj, const char *key,
	struct cor_node *value);
/* The removed value or NULL. In objects of more than 32 members the order may change. */
struct cor_node *cor_node_remove(struct cor_node *obj, struct cor_str key);
struct cor_node *cor_node_remove_c(struct cor_node *obj, const char *key);
void cor_node_push(struct cor_arena *a, struct cor_node *array, struct cor_node *value);
/* at <= n; at == n appends. */
void cor_node_insert(struct cor_arena *a, struct cor_node *array, size_t at,
	struct cor_node *value);
struct cor_node *cor_node_remove_at(struct cor_node *array, size_t at);
/* Walks along "a.b.c" and makes the objects that are missing (or are something else) on the way;
 * returns the last one. */
struct cor_node *cor_node_make_path(struct cor_arena *a, struct cor_node *root, const char *path);

/* Deep copy into a, which may be another arena. */
struct cor_node *cor_node_copy(struct cor_arena *a, const struct cor_node *n);
