// SPDX-License-Identifier: Apache-2.0
// Strategic merge patch: objects. The schema says per field whether a list is merged (and by which
// key) or replaced; directives in the patch change that case by case. Lists are in patch_list.c.
// Nothing here makes a tree deeper than the deeper one of document and patch.
#include <string.h>

#include "codec/patch_priv.h"

#define DIRECTIVE "$patch"
#define RETAIN_KEYS "$retainKeys"
static const struct cor_str delete_from = COR_STR_INIT("$deleteFromPrimitiveList/");
static const struct cor_str set_order = COR_STR_INIT("$setElementOrder/");

static int bad_format(struct cor_smp *x, const char *what) {
	return cor_fail_status(x->err, COR_REASON_BAD_REQUEST, "invalid patch format of %s", what);
}

static bool is_directive(struct cor_str key) {
	return cor_str_eq_c(key, DIRECTIVE) || cor_str_eq_c(key, RETAIN_KEYS) ||
		cor_str_starts(key, delete_from) || cor_str_starts(key, set_order);
}

/* Takes the members whose value is NULL out of obj, keeping the order of the others. */
static struct cor_node *compact(struct cor_node *obj) {
	for (size_t i = obj->members.n; i-- > 0;)
		if (!obj->members.p[i].value)
			(void)cor_node_remove(obj, obj->members.p[i].key);
	return obj;
}

struct cor_node *cor_smp_strip(struct cor_node *n) {
	if (n->kind == COR_NODE_ARRAY) {
		size_t kept = 0;
		for (size_t i = 0; i < n->items.n; i++) {
			struct cor_node *item = cor_smp_strip(n->items.p[i]);
			if (item)
				n->items.p[kept++] = item;
		}
		n->items.n = kept;
	}
	if (n->kind != COR_NODE_OBJECT)
		return n;
	if (cor_str_eq_c(cor_node_path_str(n, DIRECTIVE), "delete"))
		return NULL;
	for (size_t i = 0; i < n->members.n; i++) {
		struct cor_member *m = &n->members.p[i];
		bool drop = is_directive(m->key) || m->value->kind == COR_NODE_NULL;
		m->value = drop ? NULL : cor_smp_strip(m->value);
	}
	return compact(n);
}

/* --- where a member leads --- */

static struct cor_smp_place place_of(struct cor_smp_place at, struct cor_str key) {
	if (at.map)
		return (struct cor_smp_place){ .type = at.type };
	const struct cor_field *f = at.type ? cor_type_field(at.type, key) : NULL;
	if (!f)
		return (struct cor_smp_place){ 0 };
	return (struct cor_smp_place){
		.type = f->kind == COR_FK_MESSAGE ? cor_field_sub(f) : NULL,
		.map = f->shape == COR_FS_MAP,
		.retain = f->flags & COR_FF_PATCH_RETAIN_KEYS,
		.field = f,
	};
}

static bool merges_list(struct cor_smp_place at) {
	return at.field && at.field->shape == COR_FS_LIST && (at.field->flags & COR_FF_PATCH_MERGE);
}

/* --- directives of an object --- */

/* $retainKeys: only the listed members stay, and the patch may set no others. */
static int retain_keys(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch) {
	struct cor_node *list = cor_node_remove_c(patch, RETAIN_KEYS);
	if (!list || !at.retain)
		return COR_OK;
	struct cor_node *keep = cor_node_object(x->arena);
	if (list->kind != COR_NODE_ARRAY)
		return bad_format(x, "retainKeys");
	for (size_t i = 0; i < list->items.n; i++) {
		if (list->items.p[i]->kind != COR_NODE_STRING)
			return bad_format(x, "retainKeys");
		cor_node_set(x->arena, keep, list->items.p[i]->text, list);
	}
	for (size_t i = 0; i < patch->members.n; i++) {
		const struct cor_member *m = &patch->members.p[i];
		if (m->value->kind != COR_NODE_NULL && !is_directive(m->key) &&
			!cor_node_get(keep, m->key))
			return bad_format(x, "retainKeys");
	}
	for (size_t i = 0; i < doc->members.n; i++)
		if (!cor_node_get(keep, doc->members.p[i].key))
			doc->members.p[i].value = NULL;
	(void)compact(doc);
	return COR_OK;
}

/* $setElementOrder/F: together with what the patch has for F. */
static int ordered_list(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch, struct cor_str name, struct cor_node *order) {
	struct cor_node *have = cor_node_get(doc, name), *change = cor_node_get(patch, name);
	if (order->kind != COR_NODE_ARRAY || (have && have->kind != COR_NODE_ARRAY &&
		have->kind != COR_NODE_NULL) || (change && change->kind != COR_NODE_ARRAY &&
		change->kind != COR_NODE_NULL))
		return bad_format(x, "setElementOrder list");
	struct cor_smp_place to = place_of(at, name);
	if (!merges_list(to) || cor_node_is(change, COR_NODE_NULL))
		return COR_OK;
	if (cor_node_is(have, COR_NODE_NULL))
		have = NULL;
	change = cor_node_remove(patch, name);
	if (!have && !change)
		return COR_OK;
	struct cor_node *merged = cor_smp_list(x, to, have, change, order);
	if (!merged)
		return -1;
	cor_node_set(x->arena, doc, name, merged);
	return COR_OK;
}

/* $deleteFromPrimitiveList/F */
static int delete_values(struct cor_smp *x, struct cor_node *doc, struct cor_str name,
	const struct cor_node *values) {
	struct cor_node *have = cor_node_get(doc, name);
	if (values->kind != COR_NODE_ARRAY)
		return bad_format(x, "primitive list");
	if (!cor_node_is(have, COR_NODE_ARRAY))
		return COR_OK;
	struct cor_node *rest = cor_smp_list_without(x, have, values);
	if (!rest)
		return -1;
	cor_node_set(x->arena, doc, name, rest);
	return COR_OK;
}

/* Directives about lists come first, since they take members out of the patch: therefore they
 * are collected before the first is carried out. */
static int list_directives(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch) {
	struct cor_strlist keys = { 0 };
	for (size_t i = 0; i < patch->members.n; i++) {
		struct cor_str key = patch->members.p[i].key;
		bool list = cor_str_starts(key, delete_from) || cor_str_starts(key, set_order);
		struct cor_str *slot = list ? cor_arena_push(x->arena, &keys) : NULL;
		if (slot)
			*slot = key;
	}
	for (size_t i = 0; i < keys.n; i++) {
		bool del = cor_str_starts(keys.p[i], delete_from);
		struct cor_str name = cor_str_sub(keys.p[i], del ? delete_from.n : set_order.n,
			keys.p[i].n);
		struct cor_node *value = cor_node_remove(patch, keys.p[i]);
		int r = del ? delete_values(x, doc, name, value) :
			ordered_list(x, at, doc, patch, name, value);
		if (r < 0)
			return r;
	}
	return COR_OK;
}

/* --- merging --- */

/* The new value of a member that both have with the same kind. */
static struct cor_node *merge_value(struct cor_smp *x, struct cor_smp_place at,
	struct cor_node *have, struct cor_node *change) {
	bool replace = at.field && (at.field->flags & COR_FF_PATCH_REPLACE);
	if (change->kind == COR_NODE_OBJECT && !replace)
		return cor_smp_map(x, at, have, change);
	if (change->kind == COR_NODE_ARRAY && merges_list(at))
		return cor_smp_list(x, at, have, change, NULL);
	return change;
}

static int merge_members(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch) {
	for (size_t i = 0; i < patch->members.n; i++) {
		struct cor_str key = patch->members.p[i].key;
		struct cor_node *change = patch->members.p[i].value, *have = cor_node_get(doc, key);
		if (change->kind == COR_NODE_NULL) {
			(void)cor_node_remove(doc, key);
			continue;
		}
		if (!have || have->kind != change->kind) {
			change = cor_smp_strip(change);
			if (change)
				cor_node_set(x->arena, doc, key, change);
			continue;
		}
		struct cor_node *merged = merge_value(x, place_of(at, key), have, change);
		if (!merged)
			return -1;
		cor_node_set(x->arena, doc, key, merged);
	}
	return COR_OK;
}

struct cor_node *cor_smp_map(struct cor_smp *x, struct cor_smp_place at, struct cor_node *doc,
	struct cor_node *patch) {
	struct cor_node *directive = cor_node_remove_c(patch, DIRECTIVE);
	if (directive) {
		struct cor_str text = cor_node_is(directive, COR_NODE_STRING) ? directive->text :
			cor_node_to_str(x->arena, directive, COR_PRINT_PLAIN);
		if (cor_str_eq_c(text, "replace"))
			return patch;
		if (cor_str_eq_c(text, "delete"))
			return cor_node_object(x->arena);
		if (!cor_str_eq_c(text, "merge")) {
			struct cor_str map = cor_node_to_str(x->arena, patch, COR_PRINT_PLAIN);
			(void)cor_fail_status(x->err, COR_REASON_UNKNOWN,
				"unknown patch type: %.*s in map: %.*s", COR_STR_ARG(text),
				COR_STR_ARG(map));
			return NULL;
		}
	}
	if (retain_keys(x, at, doc, patch) < 0 || list_directives(x, at, doc, patch) < 0 ||
		merge_members(x, at, doc, patch) < 0)
		return NULL;
	return doc;
}

int cor_patch_strategic(const struct cor_type *t, struct cor_node *doc, struct cor_node *patch,
	struct cor_arena *a, struct cor_node **ret, struct cor_err *err) {
	struct cor_err local = { 0 };
	struct cor_smp x = { .arena = a, .err = err ? err : &local };
	x.err->code = COR_OK;
	if (!cor_node_is(doc, COR_NODE_OBJECT))
		doc = cor_node_object(a);
	struct cor_node *merged = doc ? cor_smp_map(&x, (struct cor_smp_place){ .type = t }, doc,
		patch) : NULL;
	if (!merged && x.err->code == COR_OK)
		return cor_fail(x.err, COR_E_LIMIT, "the patch needs too much memory");
	if (!merged)
		return x.err->code;
	*ret = merged;
	return COR_OK;
}
