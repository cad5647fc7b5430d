// SPDX-License-Identifier: Apache-2.0
// JSON patch (RFC 6902). Whatever does not fit the object is the same 422 without details, as in
// Kubernetes. Two limits are less obvious: the bytes that copies add, and the depth, which a copy
// of a value into itself would double with each operation. The depth is bounded from above and
// counted again only when that bound passes the limit, and not endlessly.
#include <string.h>

#include "codec/patch_priv.h"

enum { RECOUNTS_MAX = 64 };

struct run {
	struct cor_arena *arena;
	struct cor_err *err;
	struct cor_node *root;
	size_t depth;           /* no value is deeper */
	size_t copied;
	unsigned recounts;
};

struct op {
	struct cor_str name, path, from;
	struct cor_node *value; /* NULL when absent */
};

/* Where a pointer leads: the container, and the key in it. */
struct place {
	struct cor_node *parent;        /* NULL: the document itself */
	struct cor_str key;             /* unescaped */
	size_t index;                   /* in an array; its length for "-" */
	size_t levels;
	struct cor_node *value;         /* what is there now, or NULL */
};

static int refuse(struct run *x) {
	return cor_fail_status(x->err, COR_REASON_INVALID,
		"the server rejected our request due to an error in our request");
}

static int no_memory(struct run *x) {
	return cor_fail(x->err, COR_E_LIMIT, "the patch needs too much memory");
}

/* --- depth --- */

static size_t depth_of(const struct cor_node *n) {
	size_t max = 0;
	if (n->kind == COR_NODE_ARRAY)
		for (size_t i = 0; i < n->items.n; i++) {
			size_t d = depth_of(n->items.p[i]);
			max = d > max ? d : max;
		}
	else if (n->kind == COR_NODE_OBJECT)
		for (size_t i = 0; i < n->members.n; i++) {
			size_t d = depth_of(n->members.p[i].value);
			max = d > max ? d : max;
		}
	else
		return 0;
	return max + 1;
}

/* A value not deeper than depth was put levels deep. */
static int grew(struct run *x, size_t levels, size_t depth) {
	if (levels + depth > x->depth)
		x->depth = levels + depth;
	if (x->depth <= COR_TREE_DEPTH_MAX)
		return COR_OK;
	if (++x->recounts > RECOUNTS_MAX || (x->depth = depth_of(x->root)) > COR_TREE_DEPTH_MAX)
		return cor_fail_status(x->err, COR_REASON_REQUEST_ENTITY_TOO_LARGE,
			"the patch makes the object deeper than %d levels", COR_TREE_DEPTH_MAX);
	return COR_OK;
}

/* --- pointers --- */

static bool unescape(struct run *x, struct cor_str token, struct cor_str *ret) {
	if (cor_str_chr(token, '~') == token.n) {
		*ret = token;
		return true;
	}
	char *out = cor_arena_bytes(x->arena, token.n + 1);
	size_t n = 0;
	for (size_t i = 0; out && i < token.n; i++) {
		char c = token.p[i];
		if (c == '~') {
			char e = ++i < token.n ? token.p[i] : 0;
			if (e != '0' && e != '1')
				return false;
			c = e == '0' ? '~' : '/';
		}
		out[n++] = c;
	}
	*ret = (struct cor_str){ out, n };
	return out != NULL;
}

static bool array_index(struct cor_str key, size_t n, size_t *ret) {
	uint64_t v;
	if (cor_str_eq_c(key, "-")) {
		*ret = n;
		return true;
	}
	if ((key.n > 1 && key.p[0] == '0') || !cor_str_to_u64(key, &v) || v > n)
		return false;
	*ret = (size_t)v;
	return true;
}

/* Finds the value at key of p->parent. False when the key cannot be one of the parent's. */
static bool look(struct place *p) {
	p->value = NULL;
	if (cor_node_is(p->parent, COR_NODE_OBJECT)) {
		p->value = cor_node_get(p->parent, p->key);
		return true;
	}
	if (!cor_node_is(p->parent, COR_NODE_ARRAY) ||
		!array_index(p->key, p->parent->items.n, &p->index))
		return false;
	if (p->index < p->parent->items.n)
		p->value = p->parent->items.p[p->index];
	return true;
}

static bool resolve(struct run *x, struct cor_str path, struct place *ret) {
	struct place p = { .value = x->root };
	if (!path.p || (path.n > 0 && path.p[0] != '/'))
		return false;
	struct cor_str rest = path.n ? cor_str_sub(path, 1, path.n) : (struct cor_str){ 0 };
	while (rest.p) {
		struct cor_str token = cor_str_cut(&rest, '/');
		p.parent = p.value;
		p.levels++;
		if (!p.parent || !unescape(x, token, &p.key) || !look(&p))
			return false;
	}
	*ret = p;
	return true;
}

/* --- changes --- */

static int put(struct run *x, struct place *p, struct cor_node *value, bool replace,
	size_t depth) {
	if (!p->parent)
		x->root = value;
	else if (p->parent->kind == COR_NODE_OBJECT)
		cor_node_set(x->arena, p->parent, p->key, value);
	else if (replace)
		p->parent->items.p[p->index] = value;
	else
		cor_node_insert(x->arena, p->parent, p->index, value);
	return grew(x, p->levels, depth);
}

static void take_out(struct place *p) {
	if (p->parent->kind == COR_NODE_OBJECT)
		(void)cor_node_remove(p->parent, p->key);
	else
		(void)cor_node_remove_at(p->parent, p->index);
}

static int op_add(struct run *x, const struct op *op) {
	struct place p;
	if (!op->value || !resolve(x, op->path, &p))
		return refuse(x);
	return put(x, &p, op->value, false, depth_of(op->value));
}

static int op_replace(struct run *x, const struct op *op) {
	struct place p;
	if (!op->value || !resolve(x, op->path, &p) || !p.value)
		return refuse(x);
	return put(x, &p, op->value, true, depth_of(op->value));
}

static int op_remove(struct run *x, const struct op *op) {
	struct place p;
	if (!resolve(x, op->path, &p) || !p.value || !p.parent)
		return refuse(x);
	take_out(&p);
	return COR_OK;
}

static int op_move(struct run *x, const struct op *op) {
	struct place from, to;
	if (!resolve(x, op->from, &from) || !from.value || !from.parent)
		return refuse(x);
	take_out(&from);
	/* a place inside the moved value is no longer there */
	if (!resolve(x, op->path, &to))
		return refuse(x);
	return put(x, &to, from.value, false, x->depth);
}

static int op_copy(struct run *x, const struct op *op) {
	struct place from, to;
	if (!resolve(x, op->from, &from) || !from.value || !resolve(x, op->path, &to))
		return refuse(x);
	_cleanup_buf_ struct cor_buf b = { .limit = COR_PATCH_COPY_MAX - x->copied + 1 };
	cor_node_print(&b, from.value, COR_PRINT_PLAIN);
	x->copied += b.n;
	if (b.failed || x->copied > COR_PATCH_COPY_MAX)
		return cor_fail_status(x->err, COR_REASON_REQUEST_ENTITY_TOO_LARGE,
			"the copy operations of the patch add more than %d bytes", COR_PATCH_COPY_MAX);
	struct cor_node *copy = cor_node_copy(x->arena, from.value);
	return copy ? put(x, &to, copy, false, x->depth) : no_memory(x);
}

static int op_test(struct run *x, const struct op *op) {
	static const struct cor_node null_value = { .kind = COR_NODE_NULL };
	struct place p;
	if (!resolve(x, op->path, &p))
		return refuse(x);
	/* Kubernetes lets a member that is absent pass for null */
	const struct cor_node *have = p.value ? p.value : &null_value;
	return cor_node_equal(have, op->value ? op->value : &null_value) ? COR_OK : refuse(x);
}

static const struct {
	struct cor_str name;
	int (*run)(struct run *x, const struct op *op);
} operations[] = {
	{ COR_STR_INIT("add"), op_add },   { COR_STR_INIT("remove"), op_remove },
	{ COR_STR_INIT("test"), op_test }, { COR_STR_INIT("replace"), op_replace },
	{ COR_STR_INIT("move"), op_move }, { COR_STR_INIT("copy"), op_copy },
};

static int run_op(struct run *x, const struct cor_node *n) {
	struct op op = {
		.name = cor_node_path_str(n, "op"),
		.path = cor_node_path_str(n, "path"),
		.from = cor_node_path_str(n, "from"),
		.value = cor_node_get_c(n, "value"),
	};
	for (size_t i = 0; i < cor_countof(operations); i++)
		if (cor_str_eq(operations[i].name, op.name))
			return operations[i].run(x, &op);
	return refuse(x);
}

int cor_patch_json(struct cor_node *doc, const struct cor_node *ops, struct cor_arena *a,
	struct cor_node **ret, struct cor_err *err) {
	struct run x = { .arena = a, .err = err, .root = doc, .depth = depth_of(doc) };
	if (ops->items.n > COR_PATCH_OPS_MAX)
		return cor_fail_status(err, COR_REASON_REQUEST_ENTITY_TOO_LARGE,
			"The allowed maximum operations in a JSON patch is %d, got %zu",
			COR_PATCH_OPS_MAX, ops->items.n);
	for (size_t i = 0; i < ops->items.n; i++) {
		if (!cor_node_is(ops->items.p[i], COR_NODE_OBJECT))
			return cor_fail_status(err, COR_REASON_BAD_REQUEST,
				"operation %zu of the JSON patch is not an object", i);
		int r = run_op(&x, ops->items.p[i]);
		if (r < 0)
			return r;
		if (cor_arena_failed(a))
			return no_memory(&x);
	}
	*ret = x.root;
	return COR_OK;
}

void cor_patch_unknown_members(const struct cor_node *patch, struct cor_arena *a,
	struct cor_strlist *ret) {
	static const char *const known[] = { "op", "path", "from", "value" };
	if (!cor_node_is(patch, COR_NODE_ARRAY))
		return;
	for (size_t i = 0; i < patch->items.n; i++) {
		const struct cor_node *op = patch->items.p[i];
		for (size_t m = 0; cor_node_is(op, COR_NODE_OBJECT) && m < op->members.n; m++) {
			bool ok = false;
			for (size_t k = 0; k < cor_countof(known); k++)
				ok |= cor_str_eq_c(op->members.p[m].key, known[k]);
			struct cor_str *s = ok || ret->n >= COR_TREE_DUPS_MAX ? NULL :
				cor_arena_push(a, ret);
			if (s)
				*s = cor_arena_printf(a, "json patch unknown field \"[%zu].%.*s\"", i,
					COR_STR_ARG(op->members.p[m].key));
		}
	}
}
