// SPDX-License-Identifier: Apache-2.0
// Typed objects without knowing their type: deep copy, semantic equality, declared defaults.
#include "base/assert.h"
#include "codec/access.h"
#include "codec/codec.h"
#include "codec/quantity.h"

static bool is_text(unsigned kind) {
	return kind <= COR_FK_DURATION;
}

static bool copy_message(const struct cor_type *t, void *obj, struct cor_arena *a);

static bool copy_text(struct cor_str *s, struct cor_arena *a) {
	if (!s->p)
		return true;
	*s = cor_arena_str(a, *s);
	return s->p != NULL;
}

/* The list's own memory, with the capacity that pushing onto it expects. */
static bool copy_array(struct cor_any_list *l, size_t elem_size, struct cor_arena *a) {
	if (l->n == 0)
		return true;            /* NULL, or the mark of an empty list, which is static */
	void *p = cor_arena_alloc(a, cor_list_cap(l->n) * elem_size);
	if (!p)
		return false;
	memcpy(p, l->p, l->n * elem_size);
	l->p = p;
	return true;
}

/* *at holds a bitwise copy: everything it points to is replaced by a copy of its own. */
static bool copy_value(const struct cor_field *f, void *at, struct cor_arena *a) {
	struct cor_any_list *l = at;
	if (is_text(f->kind))
		return copy_text(at, a);
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_INTSTR:
		return copy_text(&((struct cor_intstr *)at)->s, a);
	case COR_FK_MESSAGE:
		return copy_message(cor_field_sub(f), at, a);
	case COR_FK_STRINGS:
		if (!copy_array(l, sizeof(struct cor_str), a))
			return false;
		for (size_t i = 0; i < l->n; i++)
			if (!copy_text((struct cor_str *)l->p + i, a))
				return false;
		return true;
	default:
		return true;
	}
}

static bool copy_field(const struct cor_field *f, void *at, struct cor_arena *a) {
	struct cor_any_list *l = at;
	if (f->shape != COR_FS_ONE) {
		size_t value = f->shape == COR_FS_MAP ? COR_ENTRY_VALUE : 0;
		if (!copy_array(l, f->elem_size, a))
			return false;
		for (size_t i = 0; i < l->n; i++) {
			char *e = cor_list_at(l, i, f);
			if (value && !copy_text((struct cor_str *)(void *)e, a))
				return false;
			if (!copy_value(f, e + value, a))
				return false;
		}
		return true;
	}
	if ((f->flags & COR_FF_POINTER) && cor_kind_boxed(f->kind)) {
		cor_any_ptr *box = at;
		if (!*box)
			return true;
		void *p = cor_arena_alloc(a, cor_kind_size(f));
		if (!p)
			return false;
		memcpy(p, *box, cor_kind_size(f));
		*box = at = p;
	}
	return copy_value(f, at, a);
}

static bool copy_message(const struct cor_type *t, void *obj, struct cor_arena *a) {
	for (size_t i = 0; i < t->nfields; i++) {
		const struct cor_field *f = &cor_type_fields(t)[i];
		/* an inlined message is copied through its fields, which follow */
		if (!(f->flags & COR_FF_INLINE) && !copy_field(f, cor_field_at(f, obj), a))
			return false;
	}
	return true;
}

int cor_obj_copy(const struct cor_type *t, const void *src, void *dst, struct cor_arena *a) {
	memcpy(dst, src, t->size);
	return copy_message(t, dst, a) ? 0 : COR_E_LIMIT;
}

void *cor_obj_dup(const struct cor_type *t, const void *src, struct cor_arena *a) {
	void *dst = cor_arena_alloc(a, t->size);
	return dst && cor_obj_copy(t, src, dst, a) == 0 ? dst : NULL;
}

void *cor_obj_keep(const struct cor_type *t, const void *src, struct cor_arena *scratch, struct cor_arena **ret) {
	/* How much it takes is known once it was done. */
	size_t before = cor_arena_used(scratch);
	const void *draft = cor_obj_dup(t, src, scratch);
	struct cor_arena *a = cor_arena_new_sized(cor_arena_used(scratch) - before);
	void *kept = draft ? cor_obj_dup(t, draft, a) : NULL;
	cor_arena_reset(scratch);
	if (kept)
		*ret = cor_take(a);
	cor_arena_free(a);
	return kept;
}

static bool equal_quantity(struct cor_str a, struct cor_str b) {
	return cor_str_eq(a, b) ||
		cor_quantity_cmp(cor_quantity_of(a), cor_quantity_of(b)) == 0;
}

static bool equal_strings(const struct cor_any_list *a, const struct cor_any_list *b) {
	if (a->n != b->n)
		return false;
	const struct cor_str *p = a->p, *q = b->p;
	for (size_t i = 0; i < a->n; i++)
		if (!cor_str_eq(p[i], q[i]))
			return false;
	return true;
}

static bool equal_intstr(const struct cor_intstr *a, const struct cor_intstr *b) {
	/* absent is what upstream has as the number 0 */
	bool sa = a->kind == COR_INTSTR_STR, sb = b->kind == COR_INTSTR_STR;
	return sa == sb && (sa ? cor_str_eq(a->s, b->s) : a->i == b->i);
}

static bool equal_value(const struct cor_field *f, const void *a, const void *b) {
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_QUANTITY:
		return equal_quantity(*(const struct cor_str *)a, *(const struct cor_str *)b);
	case COR_FK_STRING:
	case COR_FK_BYTES:
	case COR_FK_RAW:
	case COR_FK_DURATION:
		return cor_str_eq(*(const struct cor_str *)a, *(const struct cor_str *)b);
	case COR_FK_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case COR_FK_INT32:
		return *(const int32_t *)a == *(const int32_t *)b;
	case COR_FK_INT64:
	case COR_FK_TIME:
	case COR_FK_MICROTIME:
		return *(const int64_t *)a == *(const int64_t *)b;
	case COR_FK_DOUBLE:
		return memcmp(a, b, sizeof(double)) == 0;
	case COR_FK_INTSTR:
		return equal_intstr(a, b);
	case COR_FK_STRINGS:
		return equal_strings(a, b);
	case COR_FK_MESSAGE:
		return cor_obj_equal(cor_field_sub(f), a, b);
	case COR_FK_MAX:
		break;
	}
	return false;
}

static bool equal_field(const struct cor_field *f, const void *a, const void *b) {
	if (f->shape == COR_FS_ONE) {
		if (!(f->flags & COR_FF_POINTER))
			return equal_value(f, a, b);
		if (cor_kind_boxed(f->kind)) {
			const void *x = *(const cor_any_ptr *)a, *y = *(const cor_any_ptr *)b;
			return x && y ? equal_value(f, x, y) : x == y;
		}
		const struct cor_str *s = a, *t = b;
		if (is_text(f->kind) && !s->p != !t->p)
			return false;
		return equal_value(f, a, b);
	}
	const struct cor_any_list *x = a, *y = b;
	size_t value = f->shape == COR_FS_MAP ? COR_ENTRY_VALUE : 0;
	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		const char *p = cor_list_at(x, i, f), *q = cor_list_at(y, i, f);
		if (value && !cor_str_eq(*(const struct cor_str *)(const void *)p,
				*(const struct cor_str *)(const void *)q))
			return false;
		if (!equal_value(f, p + value, q + value))
			return false;
	}
	return true;
}

bool cor_obj_equal(const struct cor_type *t, const void *a, const void *b) {
	if (a == b)
		return true;
	for (size_t i = 0; i < t->nfields; i++) {
		const struct cor_field *f = &cor_type_fields(t)[i];
		if (!(f->flags & COR_FF_INLINE) &&
				!equal_field(f, cor_field_at(f, a), cor_field_at(f, b)))
			return false;
	}
	return true;
}

static int set_default(const struct cor_field *f, void *at, struct cor_arena *a) {
	struct cor_str text = cor_str_c(cor_text(cor_field_info(f)->default_json));
	bool boxed = (f->flags & COR_FF_POINTER) && cor_kind_boxed(f->kind);
	int64_t v = 0;
	if (boxed) {
		cor_any_ptr *box = at;
		if (*box)
			return 0;
		*box = at = cor_arena_alloc(a, cor_kind_size(f));
		if (!at)
			return COR_E_LIMIT;
	} else if (!cor_is_zero(at, cor_kind_size(f))) {
		return 0;
	}
	if (f->kind == COR_FK_STRING)
		*(struct cor_str *)at = cor_str_sub(text, 1, text.n - 2);       /* no quotes */
	else if (f->kind == COR_FK_BOOL)
		*(bool *)at = cor_str_eq(text, COR_STR("true"));
	else if (f->kind == COR_FK_INT32 && cor_str_to_i64(text, &v))
		*(int32_t *)at = (int32_t)v;
	else if (f->kind == COR_FK_INT64 && cor_str_to_i64(text, &v))
		*(int64_t *)at = v;
	return 0;
}

static int default_field(const struct cor_field *f, void *at, struct cor_arena *a) {
	if (f->shape == COR_FS_ONE && cor_field_info(f)->default_json)
		return set_default(f, at, a);
	if (f->kind != COR_FK_MESSAGE)
		return 0;
	if (f->shape == COR_FS_ONE) {
		if (f->flags & COR_FF_POINTER)
			at = *(cor_any_ptr *)at;
		return at ? cor_obj_default(cor_field_sub(f), at, a) : 0;
	}
	const struct cor_any_list *l = at;
	size_t value = f->shape == COR_FS_MAP ? COR_ENTRY_VALUE : 0;
	int r = 0;
	for (size_t i = 0; i < l->n && r == 0; i++)
		r = cor_obj_default(cor_field_sub(f), (char *)cor_list_at(l, i, f) + value, a);
	return r;
}

int cor_obj_default(const struct cor_type *t, void *obj, struct cor_arena *a) {
	const uint8_t *which = cor_type_bytes + t->defaults;
	int r = 0;
	for (size_t i = 0; i < t->ndefaults && r == 0; i++) {
		const struct cor_field *f = &cor_type_fields(t)[which[i]];
		r = default_field(f, cor_field_at(f, obj), a);
	}
	return r;
}

size_t cor_type_api_version(const struct cor_type *t, char *out, size_t size) {
	const char *group = cor_text(t->group), *version = cor_text(t->version);
	if (strcmp(group, "meta.k8s.io") == 0)
		group = "";
	size_t g = strlen(group), slash = g > 0, v = strlen(version);
	cor_assert(g + slash + v < size);
	memcpy(out, group, g);
	memcpy(out + g, "/", slash);
	memcpy(out + g + slash, version, v + 1);
	return g + slash + v;
}
