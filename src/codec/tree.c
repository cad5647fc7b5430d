// SPDX-License-Identifier: Apache-2.0
// Access and building of generic trees. Small objects are searched one by one; one with more than
// INDEX_MIN members carries a hash index in its arena, because a client chooses how many members
// an object has and a patch looks each of them up. The index holds member number + 1 by open
// addressing; its slot 0 is the capacity minus one.
#include "codec/tree.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "codec/tree_priv.h"

enum { INDEX_MIN = 32 };

static const char *const kind_names[COR_NODE_KIND_MAX] = {
	[COR_NODE_NULL] = "null",     [COR_NODE_BOOL] = "bool",   [COR_NODE_NUMBER] = "number",
	[COR_NODE_STRING] = "string", [COR_NODE_ARRAY] = "array", [COR_NODE_OBJECT] = "object",
};

const char *cor_node_kind_to_string(enum cor_node_kind kind) {
	return kind >= 0 && kind < COR_NODE_KIND_MAX ? kind_names[kind] : "invalid";
}

/* --- the index --- */

static uint32_t index_mask(const struct cor_node *obj) {
	return obj->index[0];
}

/* The slot that holds key, or the empty one where it belongs. */
static uint32_t *index_slot(const struct cor_node *obj, struct cor_str key) {
	uint32_t *slots = obj->index + 1;
	for (uint32_t i = (uint32_t)cor_str_hash(key);; i++) {
		uint32_t *s = &slots[i & index_mask(obj)];
		if (*s == 0 || cor_str_eq(obj->members.p[*s - 1].key, key))
			return s;
	}
}

static void index_build(struct cor_arena *a, struct cor_node *obj) {
	uint32_t cap = 128;
	while (cap < obj->members.n * 4)
		cap *= 2;
	obj->index = cor_arena_alloc(a, (cap + 1) * sizeof(uint32_t));
	if (!obj->index)
		return;
	obj->index[0] = cap - 1;
	for (size_t i = 0; i < obj->members.n; i++)
		*index_slot(obj, obj->members.p[i].key) = (uint32_t)i + 1;
}

/* The member at position i was appended. */
static void index_added(struct cor_arena *a, struct cor_node *obj, size_t i) {
	if (obj->members.n <= INDEX_MIN)
		return;
	if (!obj->index || obj->members.n * 2 > index_mask(obj))
		index_build(a, obj);
	else
		*index_slot(obj, obj->members.p[i].key) = (uint32_t)i + 1;
}

/* Empties slot s and moves up what would no longer be found behind the hole. */
static void index_drop(struct cor_node *obj, uint32_t *s) {
	uint32_t *slots = obj->index + 1, mask = index_mask(obj);
	uint32_t hole = (uint32_t)(s - slots);
	slots[hole] = 0;
	for (uint32_t i = (hole + 1) & mask; slots[i]; i = (i + 1) & mask) {
		uint32_t home = (uint32_t)cor_str_hash(obj->members.p[slots[i] - 1].key) & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		slots[hole] = slots[i];
		slots[i] = 0;
		hole = i;
	}
}

/* --- access --- */

static struct cor_member *find(const struct cor_node *obj, struct cor_str key) {
	if (!cor_node_is(obj, COR_NODE_OBJECT))
		return NULL;
	if (obj->index) {
		uint32_t at = *index_slot(obj, key);
		return at ? &obj->members.p[at - 1] : NULL;
	}
	for (size_t i = 0; i < obj->members.n; i++)
		if (cor_str_eq(obj->members.p[i].key, key))
			return &obj->members.p[i];
	return NULL;
}

struct cor_node *cor_node_get(const struct cor_node *obj, struct cor_str key) {
	struct cor_member *m = find(obj, key);
	return m ? m->value : NULL;
}

struct cor_node *cor_node_get_c(const struct cor_node *obj, const char *key) {
	return cor_node_get(obj, cor_str_c(key));
}

struct cor_node *cor_node_path(const struct cor_node *root, const char *path) {
	struct cor_str rest = cor_str_c(path);
	struct cor_node *n = (struct cor_node *)root;
	while (n && rest.p)
		n = cor_node_get(n, cor_str_cut(&rest, '.'));
	return n;
}

struct cor_str cor_node_path_str(const struct cor_node *root, const char *path) {
	struct cor_node *n = cor_node_path(root, path);
	return cor_node_is(n, COR_NODE_STRING) ? n->text : (struct cor_str){ 0 };
}

static double number_value(struct cor_str text) {
	char tmp[64];
	if (text.n < sizeof(tmp)) {
		memcpy(tmp, text.p, text.n);
		tmp[text.n] = 0;
		return strtod(tmp, NULL);
	}
	_cleanup_free_ char *big = cor_str_dup_c(text);
	return strtod(big, NULL);
}

bool cor_node_to_i64(const struct cor_node *n, int64_t *ret) {
	if (!cor_node_is(n, COR_NODE_NUMBER))
		return false;
	if (cor_str_to_i64(n->text, ret))
		return true;
	/* 2^63 is exact as a double, and so is every double below it that is whole */
	double v = number_value(n->text);
	bool fraction = cor_str_chr(n->text, '.') < n->text.n ||
		cor_str_chr(n->text, 'e') < n->text.n || cor_str_chr(n->text, 'E') < n->text.n;
	if (!fraction || !(v >= -0x1p63 && v < 0x1p63))
		return false;
	double whole = (double)(int64_t)v;
	if (whole < v || whole > v)
		return false;
	*ret = (int64_t)v;
	return true;
}

bool cor_node_path_int(const struct cor_node *root, const char *path, int64_t *ret) {
	return cor_node_to_i64(cor_node_path(root, path), ret);
}

bool cor_node_path_bool(const struct cor_node *root, const char *path, bool *ret) {
	struct cor_node *n = cor_node_path(root, path);
	if (!cor_node_is(n, COR_NODE_BOOL))
		return false;
	*ret = n->boolean;
	return true;
}

static bool numbers_equal(const struct cor_node *a, const struct cor_node *b) {
	int64_t x, y;
	if (cor_str_eq(a->text, b->text))
		return true;
	bool ix = cor_node_to_i64(a, &x), iy = cor_node_to_i64(b, &y);
	if (ix || iy)
		return ix && iy && x == y;
	double dx = number_value(a->text), dy = number_value(b->text);
	return dx <= dy && dx >= dy;
}

bool cor_node_equal(const struct cor_node *a, const struct cor_node *b) {
	if (!a || !b)
		return a == b;
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case COR_NODE_NULL:
		return true;
	case COR_NODE_BOOL:
		return a->boolean == b->boolean;
	case COR_NODE_NUMBER:
		return numbers_equal(a, b);
	case COR_NODE_STRING:
		return cor_str_eq(a->text, b->text);
	case COR_NODE_ARRAY:
		if (a->items.n != b->items.n)
			return false;
		for (size_t i = 0; i < a->items.n; i++)
			if (!cor_node_equal(a->items.p[i], b->items.p[i]))
				return false;
		return true;
	case COR_NODE_OBJECT:
		if (a->members.n != b->members.n)
			return false;
		for (size_t i = 0; i < a->members.n; i++) {
			struct cor_node *other = cor_node_get(b, a->members.p[i].key);
			if (!other || !cor_node_equal(a->members.p[i].value, other))
				return false;
		}
		return true;
	default:
		cor_assert(!"a node of no kind");
		return false;
	}
}

/* --- building --- */

static struct cor_node *make(struct cor_arena *a, enum cor_node_kind kind) {
	struct cor_node *n = cor_arena_new_of(a, struct cor_node);
	if (n)
		n->kind = kind;
	return n;
}

struct cor_node *cor_node_null(struct cor_arena *a) {
	return make(a, COR_NODE_NULL);
}

struct cor_node *cor_node_bool(struct cor_arena *a, bool v) {
	struct cor_node *n = make(a, COR_NODE_BOOL);
	if (n)
		n->boolean = v;
	return n;
}

static struct cor_node *make_text(struct cor_arena *a, enum cor_node_kind kind, struct cor_str s) {
	struct cor_node *n = make(a, kind);
	if (!n)
		return NULL;
	n->text = cor_arena_str(a, s.p ? s : COR_STR(""));
	return n->text.p ? n : NULL;
}

struct cor_node *cor_node_number(struct cor_arena *a, struct cor_str text) {
	return make_text(a, COR_NODE_NUMBER, text);
}

struct cor_node *cor_node_int(struct cor_arena *a, int64_t v) {
	char text[24];
	int len = snprintf(text, sizeof(text), "%lld", (long long)v);
	return make_text(a, COR_NODE_NUMBER, (struct cor_str){ text, (size_t)len });
}

struct cor_node *cor_node_str(struct cor_arena *a, struct cor_str s) {
	return make_text(a, COR_NODE_STRING, s);
}

struct cor_node *cor_node_str_c(struct cor_arena *a, const char *s) {
	return cor_node_str(a, cor_str_c(s));
}

struct cor_node *cor_node_array(struct cor_arena *a) {
	return make(a, COR_NODE_ARRAY);
}

struct cor_node *cor_node_object(struct cor_arena *a) {
	return make(a, COR_NODE_OBJECT);
}

bool cor_tree_link(struct cor_arena *a, struct cor_node *obj, struct cor_str key,
	struct cor_node *value) {
	struct cor_member *m = find(obj, key);
	if (m) {
		m->value = value;
		return false;
	}
	m = cor_arena_push(a, &obj->members);
	if (m) {
		*m = (struct cor_member){ key, value };
		index_added(a, obj, obj->members.n - 1);
	}
	return true;
}

void cor_node_set(struct cor_arena *a, struct cor_node *obj, struct cor_str key,
	struct cor_node *value) {
	if (!obj || !value)
		return;
	cor_assert(obj->kind == COR_NODE_OBJECT);
	struct cor_member *m = find(obj, key);
	if (m) {
		m->value = value;
		return;
	}
	struct cor_str own = cor_arena_str(a, key.p ? key : COR_STR(""));
	if (own.p)
		(void)cor_tree_link(a, obj, own, value);
}

void cor_node_set_c(struct cor_arena *a, struct cor_node *obj, const char *key,
	struct cor_node *value) {
	cor_node_set(a, obj, cor_str_c(key), value);
}

struct cor_node *cor_node_remove(struct cor_node *obj, struct cor_str key) {
	struct cor_member *m = find(obj, key);
	if (!m)
		return NULL;
	struct cor_node *value = m->value;
	struct cor_member *last = &obj->members.p[obj->members.n - 1];
	if (obj->index) {
		/* the last member takes the place, so that no other number changes */
		index_drop(obj, index_slot(obj, m->key));
		if (m != last) {
			*index_slot(obj, last->key) = (uint32_t)(m - obj->members.p) + 1;
			*m = *last;
		}
	} else {
		memmove(m, m + 1, (size_t)(last - m) * sizeof(*m));
	}
	obj->members.n--;
	return value;
}

struct cor_node *cor_node_remove_c(struct cor_node *obj, const char *key) {
	return cor_node_remove(obj, cor_str_c(key));
}

void cor_node_insert(struct cor_arena *a, struct cor_node *array, size_t at,
	struct cor_node *value) {
	if (!array || !value)
		return;
	cor_assert(array->kind == COR_NODE_ARRAY && at <= array->items.n);
	if (!cor_arena_push(a, &array->items))
		return;
	struct cor_node **p = array->items.p;
	memmove(p + at + 1, p + at, (array->items.n - 1 - at) * sizeof(*p));
	p[at] = value;
}

void cor_node_push(struct cor_arena *a, struct cor_node *array, struct cor_node *value) {
	if (array)
		cor_node_insert(a, array, array->items.n, value);
}

struct cor_node *cor_node_remove_at(struct cor_node *array, size_t at) {
	if (!cor_node_is(array, COR_NODE_ARRAY) || at >= array->items.n)
		return NULL;
	struct cor_node **p = array->items.p, *value = p[at];
	array->items.n--;
	memmove(p + at, p + at + 1, (array->items.n - at) * sizeof(*p));
	return value;
}

struct cor_node *cor_node_make_path(struct cor_arena *a, struct cor_node *root, const char *path) {
	struct cor_str rest = cor_str_c(path);
	struct cor_node *n = root;
	while (n && rest.p) {
		struct cor_str key = cor_str_cut(&rest, '.');
		struct cor_node *next = cor_node_get(n, key);
		if (!cor_node_is(next, COR_NODE_OBJECT)) {
			next = cor_node_object(a);
			cor_node_set(a, n, key, next);
		}
		n = next;
	}
	return n;
}

struct cor_node *cor_node_copy(struct cor_arena *a, const struct cor_node *n) {
	if (!n)
		return NULL;
	if (n->kind == COR_NODE_NUMBER || n->kind == COR_NODE_STRING)
		return make_text(a, n->kind, n->text);
	struct cor_node *c = make(a, n->kind);
	if (!c)
		return NULL;
	c->boolean = n->boolean;
	if (n->kind == COR_NODE_ARRAY)
		for (size_t i = 0; i < n->items.n; i++)
			cor_node_push(a, c, cor_node_copy(a, n->items.p[i]));
	if (n->kind == COR_NODE_OBJECT)
		for (size_t i = 0; i < n->members.n; i++) {
			struct cor_member *m = cor_arena_push(a, &c->members);
			if (!m)
				return NULL;
			m->key = cor_arena_str(a, n->members.p[i].key);
			m->value = cor_node_copy(a, n->members.p[i].value);
			if (!m->value || !m->key.p) {
				c->members.n--;
				return NULL;
			}
			index_added(a, c, c->members.n - 1);
		}
	return cor_arena_failed(a) ? NULL : c;
}
