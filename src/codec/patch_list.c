// SPDX-License-Identifier: Apache-2.0
// Strategic merge patch: lists. Elements are known by their merge key, or by themselves when they
// are scalars; either becomes a text, and hash maps from these texts to positions keep everything
// linear, since a client chooses how long both lists are.
#include <stdlib.h>

#include "base/map.h"
#include "codec/patch_priv.h"

#define _cleanup_map_ _cleanup_(cor_map_fini)

static void fail(struct cor_smp *x, enum cor_reason reason, const char *text) {
	(void)cor_fail_status(x->err, reason, "%s", text);
}

/* --- identity of elements --- */

/* JSON, so that the string "1" and the number 1 differ, with 1 and 1.0 the same. */
static struct cor_str scalar_text(struct cor_smp *x, const struct cor_node *n) {
	int64_t v;
	if (cor_node_to_i64(n, &v))
		return cor_arena_printf(x->arena, "%lld", (long long)v);
	return cor_node_to_str(x->arena, n, COR_PRINT_SORTED);
}

static const char *merge_key(struct cor_smp_place at) {
	cor_text_at key = at.field ? cor_field_info(at.field)->merge_key : 0;
	return key ? cor_text(key) : NULL;
}

/* Absent when the element lacks the merge key. key NULL: the element is its own identity. */
static struct cor_str identity(struct cor_smp *x, const struct cor_node *n, const char *key) {
	const struct cor_node *v = key ? cor_node_get_c(n, key) : n;
	return v ? scalar_text(x, v) : (struct cor_str){ 0 };
}

static struct cor_str need_identity(struct cor_smp *x, const struct cor_node *n,
	const char *key) {
	struct cor_str id = identity(x, n, key);
	if (!id.p && !cor_arena_failed(x->arena)) {
		struct cor_str text = cor_node_to_str(x->arena, n, COR_PRINT_PLAIN);
		(void)cor_fail_status(x->err, COR_REASON_UNKNOWN,
			"map: %.*s does not contain declared merge key: %s", COR_STR_ARG(text), key);
	}
	return id;
}

/* Position + 1 of the first element of each identity. Elements without one are left out. */
static void index_list(struct cor_smp *x, struct cor_map *m, const struct cor_node *list,
	const char *key) {
	for (size_t i = 0; list && i < list->items.n; i++) {
		struct cor_str id = identity(x, list->items.p[i], key);
		if (id.p && !cor_map_get(m, id))
			(void)cor_map_put(m, id, (void *)(i + 1));
	}
}

static size_t position(const struct cor_map *m, struct cor_str id) {
	return id.p ? (size_t)cor_map_get(m, id) : 0;
}

/* All elements objects, or none; lists in lists are refused. */
static int check_kinds(struct cor_smp *x, const struct cor_node *list, bool objects) {
	for (size_t i = 0; list && i < list->items.n; i++) {
		enum cor_node_kind kind = list->items.p[i]->kind;
		if (kind == COR_NODE_ARRAY) {
			fail(x, COR_REASON_INVALID, "lists of lists are not supported");
			return -1;
		}
		if ((kind == COR_NODE_OBJECT) != objects) {
			fail(x, COR_REASON_BAD_REQUEST, objects ?
				"the list holds objects, but the patch has something else in it" :
				"the list holds plain values, but the patch has objects in it");
			return -1;
		}
	}
	return COR_OK;
}

/* --- order --- */

struct ranked {
	struct cor_node *node;
	size_t live;            /* position + 1 in the live list, 0 = new */
	size_t order;           /* position + 1 in the order, 0 = not named there */
	size_t at;              /* keeps the sort stable */
};

static int by_rank(size_t a, size_t b, const struct ranked *x, const struct ranked *y) {
	if (a != b)
		return a < b ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static int by_order(const void *a, const void *b) {
	const struct ranked *x = a, *y = b;
	return by_rank(x->order, y->order, x, y);
}

static int by_live(const void *a, const void *b) {
	const struct ranked *x = a, *y = b;
	return by_rank(x->live, y->live, x, y);
}

/* Elements that order names come in its sequence, the others keep their live one; where the two
 * meet, a live-only element goes first if it stood before the other in the live list. */
static struct cor_node *sort_list(struct cor_smp *x, struct cor_node *list,
	const struct cor_map *live, const struct cor_node *order, const char *key) {
	_cleanup_map_ struct cor_map wanted = { 0 };
	size_t n = list->items.n, nleft = 0, nright = 0;
	struct ranked *left = cor_arena_array(x->arena, struct ranked, n);
	struct ranked *right = cor_arena_array(x->arena, struct ranked, n);
	if (!left || !right)
		return NULL;
	index_list(x, &wanted, order, key);
	for (size_t i = 0; i < n; i++) {
		struct cor_str id = identity(x, list->items.p[i], key);
		struct ranked r = { list->items.p[i], position(live, id), position(&wanted, id), i };
		if (r.order)
			right[nright++] = r;
		else
			left[nleft++] = r;
	}
	qsort(right, nright, sizeof(*right), by_order);
	qsort(left, nleft, sizeof(*left), by_live);
	for (size_t i = 0, l = 0, r = 0; i < n; i++) {
		bool take_left = r >= nright || (l < nleft && left[l].live && right[r].live &&
			left[l].live < right[r].live);
		list->items.p[i] = take_left ? left[l++].node : right[r++].node;
	}
	return list;
}

/* --- merging --- */

/* Original first, then what the patch adds; each value once. */
static struct cor_node *union_of(struct cor_smp *x, const struct cor_node *doc,
	const struct cor_node *patch) {
	_cleanup_map_ struct cor_map seen = { 0 };
	struct cor_node *out = cor_node_array(x->arena);
	const struct cor_node *both[] = { doc, patch };
	for (size_t b = 0; b < cor_countof(both); b++)
		for (size_t i = 0; both[b] && i < both[b]->items.n; i++) {
			struct cor_str id = identity(x, both[b]->items.p[i], NULL);
			if (!id.p || cor_map_get(&seen, id))
				continue;
			(void)cor_map_put(&seen, id, x);
			cor_node_push(x->arena, out, both[b]->items.p[i]);
		}
	return out;
}

struct cor_node *cor_smp_list_without(struct cor_smp *x, struct cor_node *list,
	const struct cor_node *values) {
	_cleanup_map_ struct cor_map gone = { 0 };
	size_t kept = 0;
	if (check_kinds(x, values, false) < 0)
		return NULL;
	index_list(x, &gone, values, NULL);
	for (size_t i = 0; i < list->items.n; i++)
		if (!position(&gone, identity(x, list->items.p[i], NULL)))
			list->items.p[kept++] = list->items.p[i];
	list->items.n = kept;
	return list;
}

/* Carries out $patch elements: takes them off the patch, and what they name off *doc. */
static int special_elements(struct cor_smp *x, struct cor_node *doc, struct cor_node *patch,
	const char *key, bool *ret_replace) {
	_cleanup_map_ struct cor_map gone = { 0 };
	size_t kept = 0;
	for (size_t i = 0; i < patch->items.n; i++) {
		struct cor_node *n = patch->items.p[i], *directive = cor_node_get_c(n, "$patch");
		if (!directive) {
			patch->items.p[kept++] = n;
			continue;
		}
		struct cor_str text = cor_node_is(directive, COR_NODE_STRING) ? directive->text :
			cor_node_to_str(x->arena, directive, COR_PRINT_PLAIN);
		if (cor_str_eq_c(text, "replace")) {
			*ret_replace = true;
		} else if (cor_str_eq_c(text, "delete")) {
			struct cor_str id = need_identity(x, n, key);
			if (!id.p)
				return -1;
			(void)cor_map_put(&gone, id, n);
		} else if (cor_str_eq_c(text, "merge")) {
			fail(x, COR_REASON_UNKNOWN, "merging lists cannot yet be specified in the patch");
			return -1;
		} else {
			(void)cor_fail_status(x->err, COR_REASON_UNKNOWN,
				"unknown patch type: %.*s", COR_STR_ARG(text));
			return -1;
		}
	}
	patch->items.n = kept;
	if (gone.n == 0)
		return COR_OK;
	kept = 0;
	for (size_t i = 0; i < doc->items.n; i++)
		if (!position(&gone, identity(x, doc->items.p[i], key)))
			doc->items.p[kept++] = doc->items.p[i];
	doc->items.n = kept;
	return COR_OK;
}

/* Elements of the patch go into those of the same key, or to the end. */
static struct cor_node *merge_objects(struct cor_smp *x, struct cor_smp_place at,
	struct cor_node *doc, struct cor_node *patch, const char *key) {
	_cleanup_map_ struct cor_map have = { 0 };
	struct cor_smp_place element = { .type = at.type, .retain = at.retain };
	bool replace = false;
	if (special_elements(x, doc, patch, key, &replace) < 0)
		return NULL;
	if (replace)
		return cor_smp_strip(patch);
	index_list(x, &have, doc, key);
	for (size_t i = 0; i < patch->items.n; i++) {
		struct cor_node *n = patch->items.p[i];
		struct cor_str id = need_identity(x, n, key);
		if (!id.p)
			return NULL;
		size_t pos = position(&have, id);
		if (pos) {
			n = cor_smp_map(x, element, doc->items.p[pos - 1], n);
			if (!n)
				return NULL;
			doc->items.p[pos - 1] = n;
		} else {
			n = cor_smp_strip(n);
			cor_node_push(x->arena, doc, n);
			if (cor_arena_failed(x->arena))
				return NULL;
			(void)cor_map_put(&have, id, (void *)doc->items.n);
		}
	}
	return doc;
}

/* The patch may name its elements in no other sequence than order does. */
static int check_order(struct cor_smp *x, const struct cor_node *patch,
	const struct cor_node *order, const char *key) {
	size_t o = 0;
	for (size_t i = 0; i < patch->items.n; i++) {
		const struct cor_node *n = patch->items.p[i];
		if (cor_str_eq_c(cor_node_path_str(n, "$patch"), "delete"))
			continue;
		struct cor_str id = identity(x, n, key);
		while (o < order->items.n && !cor_str_eq(identity(x, order->items.p[o], key), id))
			o++;
		if (o++ < order->items.n)
			continue;
		struct cor_str a = cor_node_to_str(x->arena, patch, COR_PRINT_PLAIN);
		struct cor_str b = cor_node_to_str(x->arena, order, COR_PRINT_PLAIN);
		(void)cor_fail_status(x->err, COR_REASON_UNKNOWN, "The order in patch list:\n%.*s\n "
			"doesn't match $setElementOrder list:\n%.*s\n", COR_STR_ARG(a), COR_STR_ARG(b));
		return -1;
	}
	return COR_OK;
}

struct cor_node *cor_smp_list(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch, struct cor_node *order) {
	_cleanup_map_ struct cor_map live = { 0 };
	const char *key = merge_key(at);
	if (!doc)
		doc = cor_node_array(x->arena);
	if (!patch)
		patch = cor_node_array(x->arena);
	if (!doc || !patch)
		return NULL;
	if (check_kinds(x, doc, key != NULL) < 0 || check_kinds(x, patch, key != NULL) < 0 ||
		check_kinds(x, order, key != NULL) < 0)
		return NULL;
	if (order && check_order(x, patch, order, key) < 0)
		return NULL;
	index_list(x, &live, doc, key);
	/* the patch is emptied while it is merged, but its sequence is still needed */
	struct cor_node *sequence = order;
	if (!order) {
		sequence = cor_node_array(x->arena);
		for (size_t i = 0; sequence && i < patch->items.n; i++)
			cor_node_push(x->arena, sequence, patch->items.p[i]);
	}
	struct cor_node *merged = key ? merge_objects(x, at, doc, patch, key) :
		union_of(x, doc, patch);
	if (!merged || !sequence || cor_arena_failed(x->arena))
		return NULL;
	return sort_list(x, merged, &live, sequence, key);
}
