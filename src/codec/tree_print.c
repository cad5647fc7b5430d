// SPDX-License-Identifier: Apache-2.0
// Tree to JSON text: compact or indented, in the order of the tree or sorted by key. Strings are
// escaped by the typed codec's writer, exactly as Go's encoder does.
#include "codec/tree.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/codec.h"

static void indent(struct cor_buf *b, int flags, size_t depth) {
	if (!(flags & COR_PRINT_PRETTY))
		return;
	cor_buf_byte(b, '\n');
	for (size_t i = 0; i < depth; i++)
		cor_buf_add(b, "  ", 2);
}

static int by_key(const void *a, const void *b) {
	const struct cor_member *const *x = a, *const *y = b;
	return cor_str_cmp((*x)->key, (*y)->key);
}

static void print(struct cor_buf *b, const struct cor_node *n, int flags, size_t depth);

static void print_members(struct cor_buf *b, const struct cor_node *n, int flags, size_t depth) {
	_cleanup_free_ const struct cor_member **sorted = NULL;
	if (flags & COR_PRINT_SORTED) {
		sorted = cor_calloc(n->members.n, sizeof(*sorted));
		for (size_t i = 0; i < n->members.n; i++)
			sorted[i] = &n->members.p[i];
		qsort(sorted, n->members.n, sizeof(*sorted), by_key);
	}
	for (size_t i = 0; i < n->members.n; i++) {
		const struct cor_member *m = sorted ? sorted[i] : &n->members.p[i];
		if (i > 0)
			cor_buf_byte(b, ',');
		indent(b, flags, depth + 1);
		cor_json_write_str(b, m->key);
		cor_buf_c(b, flags & COR_PRINT_PRETTY ? ": " : ":");
		print(b, m->value, flags, depth + 1);
	}
}

static void print(struct cor_buf *b, const struct cor_node *n, int flags, size_t depth) {
	switch (n ? n->kind : COR_NODE_NULL) {
	case COR_NODE_BOOL:
		cor_buf_c(b, n->boolean ? "true" : "false");
		break;
	case COR_NODE_NUMBER:
		cor_buf_str(b, n->text);
		break;
	case COR_NODE_STRING:
		cor_json_write_str(b, n->text);
		break;
	case COR_NODE_ARRAY:
		cor_buf_byte(b, '[');
		for (size_t i = 0; i < n->items.n; i++) {
			if (i > 0)
				cor_buf_byte(b, ',');
			indent(b, flags, depth + 1);
			print(b, n->items.p[i], flags, depth + 1);
		}
		if (n->items.n)
			indent(b, flags, depth);
		cor_buf_byte(b, ']');
		break;
	case COR_NODE_OBJECT:
		cor_buf_byte(b, '{');
		if (n->members.n) {
			print_members(b, n, flags, depth);
			indent(b, flags, depth);
		}
		cor_buf_byte(b, '}');
		break;
	default:
		cor_buf_c(b, "null");
		break;
	}
}

void cor_node_print(struct cor_buf *b, const struct cor_node *n, int flags) {
	print(b, n, flags, 0);
}

struct cor_str cor_node_to_str(struct cor_arena *a, const struct cor_node *n, int flags) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_node_print(&b, n, flags);
	return cor_arena_str(a, b.n ? cor_buf_view(&b) : COR_STR(""));
}
