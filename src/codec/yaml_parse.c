// SPDX-License-Identifier: Apache-2.0
// libyaml's events to trees. An alias becomes a copy of what its anchor names, so that a tree
// stays a tree; how many nodes aliases may add is limited, which is what stops a "billion laughs"
// text. An anchor is known only behind its own value, so no value can contain itself.
#include <yaml.h>

#include "base/map.h"
#include "codec/codec.h"
#include "codec/quote.h"
#include "codec/tree_priv.h"
#include "codec/yaml_tree.h"

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;     /* the current one */
	bool has_event;
	struct cor_map anchors;
	size_t alias_nodes;
	size_t depth;
	struct cor_arena *arena;
	struct cor_strlist *dups;
	struct cor_err *err;
};

static void reader_fini(struct reader *r) {
	if (r->has_event)
		yaml_event_delete(&r->event);
	yaml_parser_delete(&r->parser);
	cor_map_fini(&r->anchors);
}

static int fail_at(struct reader *r, size_t line, const char *text) {
	return cor_fail(r->err, COR_E_PARSE, "yaml: line %zu: %s", line + 1, text);
}

static int too_large(struct reader *r, const char *text) {
	return cor_fail(r->err, COR_E_LIMIT, "yaml: line %zu: %s",
		r->event.start_mark.line + 1, text);
}

static int next(struct reader *r) {
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = yaml_parser_parse(&r->parser, &r->event);
	if (r->has_event)
		return COR_OK;
	return fail_at(r, r->parser.problem_mark.line,
		r->parser.problem ? r->parser.problem : "malformed");
}

static struct cor_node *value(struct reader *r);

/* --- scalars --- */

static bool tagged(const struct reader *r, const char *name) {
	const char *tag = (const char *)r->event.data.scalar.tag;
	return tag && strncmp(tag, "tag:yaml.org,2002:", 18) == 0 && strcmp(tag + 18, name) == 0;
}

static struct cor_node *binary(struct reader *r, struct cor_str text) {
	struct cor_str bytes;
	size_t at;
	if (cor_base64_decode(r->arena, text, &bytes, &at))
		return cor_node_str(r->arena, bytes);
	(void)fail_at(r, r->event.start_mark.line, "!!binary value contains invalid base64 data");
	return NULL;
}

static struct cor_node *scalar(struct reader *r) {
	struct cor_str text = { (const char *)r->event.data.scalar.value,
		r->event.data.scalar.length };
	bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (tagged(r, "binary"))
		return binary(r, text);
	if (tagged(r, "str") || (!plain && !r->event.data.scalar.tag))
		return cor_node_str(r->arena, text);
	struct cor_err local = { 0 };
	struct cor_node *n = cor_yaml_resolve(r->arena, text, &local);
	if (!n && local.code)
		(void)fail_at(r, r->event.start_mark.line, local.message);
	return n;
}

/* --- anchors --- */

static size_t count(const struct cor_node *n) {
	size_t total = 1;
	if (n->kind == COR_NODE_ARRAY)
		for (size_t i = 0; i < n->items.n; i++)
			total += count(n->items.p[i]);
	if (n->kind == COR_NODE_OBJECT)
		for (size_t i = 0; i < n->members.n; i++)
			total += count(n->members.p[i].value);
	return total;
}

static size_t height(const struct cor_node *n) {
	size_t max = 0, h;
	if (n->kind == COR_NODE_ARRAY)
		for (size_t i = 0; i < n->items.n; i++)
			max = (h = height(n->items.p[i])) > max ? h : max;
	else if (n->kind == COR_NODE_OBJECT)
		for (size_t i = 0; i < n->members.n; i++)
			max = (h = height(n->members.p[i].value)) > max ? h : max;
	else
		return 0;
	return max + 1;
}

static struct cor_node *alias(struct reader *r) {
	const char *name = (const char *)r->event.data.alias.anchor;
	struct cor_node *n = cor_map_get(&r->anchors, cor_str_c(name));
	if (!n) {
		(void)cor_fail(r->err, COR_E_PARSE, "yaml: unknown anchor '%s' referenced", name);
		return NULL;
	}
	r->alias_nodes += count(n);
	if (r->alias_nodes > COR_YAML_ALIAS_NODES_MAX) {
		(void)too_large(r, "document contains excessive aliasing");
		return NULL;
	}
	if (r->depth + height(n) > COR_TREE_DEPTH_MAX) {
		(void)too_large(r, "nested too deep");
		return NULL;
	}
	return cor_node_copy(r->arena, n);
}

/* --- collections --- */

static bool enter(struct reader *r) {
	if (++r->depth <= COR_TREE_DEPTH_MAX)
		return true;
	(void)too_large(r, "nested too deep");
	return false;
}

static struct cor_node *sequence(struct reader *r) {
	struct cor_node *list = cor_node_array(r->arena);
	if (!enter(r))
		return NULL;
	for (;;) {
		if (next(r) < 0)
			return NULL;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		struct cor_node *n = value(r);
		if (!n)
			return NULL;
		cor_node_push(r->arena, list, n);
	}
	r->depth--;
	return list;
}

/* Members of from that obj lacks so far. */
static bool merge_one(struct reader *r, struct cor_node *obj, const struct cor_node *from) {
	if (!cor_node_is(from, COR_NODE_OBJECT))
		return false;
	for (size_t i = 0; i < from->members.n; i++)
		if (!cor_node_get(obj, from->members.p[i].key))
			cor_node_set(r->arena, obj, from->members.p[i].key, from->members.p[i].value);
	return true;
}

/* The value of <<: an object or a list of them. What the object itself says wins. */
static int merge(struct reader *r, struct cor_node *obj, const struct cor_node *from, size_t line) {
	bool ok = true;
	if (cor_node_is(from, COR_NODE_ARRAY))
		for (size_t i = 0; ok && i < from->items.n; i++)
			ok = merge_one(r, obj, from->items.p[i]);
	else
		ok = merge_one(r, obj, from);
	return ok ? COR_OK : fail_at(r, line, "map merge requires map or sequence of maps as the value");
}

static void note_dup(struct reader *r, size_t line, struct cor_str key) {
	struct cor_str quoted = cor_go_quoted(r->arena, key);
	struct cor_str *slot = r->dups && r->dups->n < COR_TREE_DUPS_MAX ?
		cor_arena_push(r->arena, r->dups) : NULL;
	if (slot)
		*slot = cor_arena_printf(r->arena, "line %zu: key %.*s already set in map", line + 1,
			COR_STR_ARG(quoted));
}

/* Keys of JSON are strings; scalars of other kinds become their text. */
static int key_text(struct reader *r, const struct cor_node *n, size_t line, struct cor_str *ret) {
	switch (n->kind) {
	case COR_NODE_STRING:
	case COR_NODE_NUMBER:
		*ret = n->text;
		return COR_OK;
	case COR_NODE_BOOL:
		*ret = n->boolean ? COR_STR("true") : COR_STR("false");
		return COR_OK;
	default:
		return fail_at(r, line, "a key must be a string, a number or a bool");
	}
}

static struct cor_node *mapping(struct reader *r) {
	struct cor_node *obj = cor_node_object(r->arena), *merged = cor_node_array(r->arena);
	size_t merge_line = 0;
	if (!enter(r) || !obj || !merged)
		return NULL;
	for (;;) {
		struct cor_str key;
		if (next(r) < 0)
			return NULL;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		size_t line = r->event.start_mark.line;
		bool is_merge = r->event.type == YAML_SCALAR_EVENT &&
			r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
			strcmp((char *)r->event.data.scalar.value, "<<") == 0;
		struct cor_node *k = value(r);
		if (!k || key_text(r, k, line, &key) < 0 || next(r) < 0)
			return NULL;
		struct cor_node *v = value(r);
		if (!v)
			return NULL;
		if (is_merge) {
			merge_line = line;
			cor_node_push(r->arena, merged, v);
		} else if (!cor_tree_link(r->arena, obj, key, v)) {
			note_dup(r, line, key);
		}
	}
	for (size_t i = 0; i < merged->items.n; i++)
		if (merge(r, obj, merged->items.p[i], merge_line) < 0)
			return NULL;
	r->depth--;
	return obj;
}

/* The value that begins with the current event; leaves its last event current. */
static struct cor_node *value(struct reader *r) {
	char *anchor = NULL;
	struct cor_node *n;
	switch (r->event.type) {
	case YAML_ALIAS_EVENT:
		return alias(r);
	case YAML_SCALAR_EVENT:
		anchor = (char *)r->event.data.scalar.anchor;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = (char *)r->event.data.sequence_start.anchor;
		break;
	default:
		anchor = (char *)r->event.data.mapping_start.anchor;
		break;
	}
	struct cor_str name = { 0 };
	if (anchor)
		name = cor_arena_str(r->arena, cor_str_c(anchor));
	n = r->event.type == YAML_SCALAR_EVENT ? scalar(r) :
		r->event.type == YAML_SEQUENCE_START_EVENT ? sequence(r) : mapping(r);
	if (n && name.p)
		(void)cor_map_put(&r->anchors, name, n);
	return n;
}

/* --- documents --- */

static int read_docs(struct reader *r, size_t max, struct cor_items *ret) {
	while (next(r) >= 0) {
		if (r->event.type == YAML_STREAM_END_EVENT)
			return COR_OK;
		if (r->event.type != YAML_DOCUMENT_START_EVENT)
			continue;
		bool implicit = r->event.data.document_start.implicit;
		if (next(r) < 0)
			break;
		cor_map_fini(&r->anchors);
		r->anchors = (struct cor_map){ 0 };
		struct cor_node *n = value(r);
		if (!n && (!r->err->code || cor_arena_failed(r->arena)))
			return too_large(r, "the document needs too much memory");
		if (!n)
			break;
		bool empty = n->kind == COR_NODE_NULL && !implicit;
		if (empty && max > 1)
			continue;
		struct cor_node **slot = cor_arena_push(r->arena, ret);
		if (!slot)
			return too_large(r, "the document needs too much memory");
		*slot = n;
		if (max == 1)
			return COR_OK;
		if (ret->n > max)
			return too_large(r, "too many documents");
	}
	return r->err->code;
}

static int parse(struct cor_arena *a, struct cor_str yaml, size_t max, struct cor_items *ret,
	struct cor_strlist *dups, struct cor_err *err) {
	struct cor_err local = { 0 };
	struct reader r = { .arena = a, .dups = dups, .err = err ? err : &local };
	*r.err = local;
	if (!yaml_parser_initialize(&r.parser))
		return cor_fail(r.err, COR_E_LIMIT, "no memory for a YAML reader");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)(yaml.p ? yaml.p : ""), yaml.n);
	int res = read_docs(&r, max, ret);
	reader_fini(&r);
	return res;
}

struct cor_node *cor_yaml_parse(struct cor_arena *a, struct cor_str yaml,
	struct cor_strlist *ret_dups, struct cor_err *err) {
	struct cor_items docs = { 0 };
	if (parse(a, yaml, 1, &docs, ret_dups, err) < 0)
		return NULL;
	struct cor_node *n = docs.n ? docs.p[0] : cor_node_null(a);
	if (!n)
		(void)cor_fail(err, COR_E_LIMIT, "the document needs too much memory");
	return n;
}

int cor_yaml_parse_all(struct cor_arena *a, struct cor_str yaml, struct cor_items *ret,
	struct cor_strlist *ret_dups, struct cor_err *err) {
	*ret = (struct cor_items){ 0 };
	return parse(a, yaml, COR_YAML_DOCS_MAX, ret, ret_dups, err);
}
