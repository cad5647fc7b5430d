// SPDX-License-Identifier: Apache-2.0
// Building the list of field errors: each is rendered when it is added, since the value it shows
// may change afterwards. Reasons and texts of the types are one table.
#include "api/field_errors.h"

#include <stdio.h>

#include "base/buf.h"
#include "codec/codec.h"
#include "codec/quote.h"

static const struct {
	const char *reason, *text;
} types[COR_FE_MAX] = {
	[COR_FE_REQUIRED] = { "FieldValueRequired", "Required value" },
	[COR_FE_INVALID] = { "FieldValueInvalid", "Invalid value" },
	[COR_FE_TYPE_INVALID] = { "FieldValueTypeInvalid", "Invalid value" },
	[COR_FE_NOT_SUPPORTED] = { "FieldValueNotSupported", "Unsupported value" },
	[COR_FE_FORBIDDEN] = { "FieldValueForbidden", "Forbidden" },
	[COR_FE_DUPLICATE] = { "FieldValueDuplicate", "Duplicate value" },
	[COR_FE_NOT_FOUND] = { "FieldValueNotFound", "Not found" },
	[COR_FE_TOO_LONG] = { "FieldValueTooLong", "Too long" },
	[COR_FE_TOO_SHORT] = { "FieldValueTooShort", "Too short" },
	[COR_FE_TOO_MANY] = { "FieldValueTooMany", "Too many" },
	[COR_FE_TOO_FEW] = { "FieldValueTooFew", "Too few" },
	[COR_FE_INTERNAL] = { "InternalError", "Internal error" },
};

const char *cor_field_error_reason(enum cor_field_error_type t) {
	return t < COR_FE_MAX ? types[t].reason : "";
}

/* --- paths --- */

static void put_path(struct cor_buf *b, const struct cor_fpath *p) {
	if (p->up)
		put_path(b, p->up);
	if (p->name) {
		cor_buf_c(b, b->n && p->name[0] ? "." : "");
		cor_buf_c(b, p->name[0] ? p->name : "[]");
	} else if (p->key.p) {
		cor_buf_byte(b, '[');
		cor_buf_str(b, p->key);
		cor_buf_byte(b, ']');
	} else {
		cor_buf_printf(b, "[%zu]", p->index);
	}
}

struct cor_str cor_fpath_print(struct cor_arena *a, const struct cor_fpath *path) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	if (path)
		put_path(&b, path);
	else
		cor_buf_c(&b, "<nil>");
	return cor_arena_str(a, cor_buf_view(&b));
}

/* --- values --- */

struct cor_fvalue cor_fv_str(struct cor_field_errors *e, struct cor_str s) {
	return (struct cor_fvalue){ cor_go_quoted(e->arena, s) };
}

struct cor_fvalue cor_fv_c(struct cor_field_errors *e, const char *s) {
	return cor_fv_str(e, cor_str_c(s));
}

struct cor_fvalue cor_fv_int(struct cor_field_errors *e, int64_t v) {
	return (struct cor_fvalue){ cor_arena_printf(e->arena, "%lld", (long long)v) };
}

struct cor_fvalue cor_fv_bool(bool v) {
	return (struct cor_fvalue){ v ? COR_STR("true") : COR_STR("false") };
}

struct cor_fvalue cor_fv_null(void) {
	return (struct cor_fvalue){ COR_STR("null") };
}

struct cor_fvalue cor_fv_intstr(struct cor_field_errors *e, struct cor_intstr v) {
	return v.kind == COR_INTSTR_STR ? cor_fv_str(e, v.s) : cor_fv_int(e, v.i);
}

struct cor_fvalue cor_fv_json(struct cor_str json) {
	return json.p ? (struct cor_fvalue){ json } : cor_fv_null();
}

struct cor_fvalue cor_fv_obj(
	struct cor_field_errors *e, const struct cor_type *t, const void *obj) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	if (!obj || cor_json_encode(t, obj, &b) < 0)
		return cor_fv_null();
	return (struct cor_fvalue){ cor_arena_str(e->arena, cor_buf_view(&b)) };
}

struct cor_fvalue cor_fv_strings(struct cor_field_errors *e, const struct cor_str *p, size_t n) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_byte(&b, '[');
	for (size_t i = 0; i < n; i++) {
		cor_buf_c(&b, i ? "," : "");
		cor_json_write_str(&b, p[i]);
	}
	cor_buf_byte(&b, ']');
	return (struct cor_fvalue){ cor_arena_str(e->arena, cor_buf_view(&b)) };
}

struct cor_fvalue cor_fv_map(struct cor_field_errors *e, const struct cor_strmap *m) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_byte(&b, '{');
	for (size_t i = 0; i < m->n; i++) {
		cor_buf_c(&b, i ? "," : "");
		cor_json_write_str(&b, m->p[i].key);
		cor_buf_byte(&b, ':');
		cor_json_write_str(&b, m->p[i].value);
	}
	cor_buf_byte(&b, '}');
	return (struct cor_fvalue){ cor_arena_str(e->arena, cor_buf_view(&b)) };
}

/* --- adders --- */

/* value absent = not shown; detail empty = none. */
static void add(struct cor_field_errors *e, enum cor_field_error_type type,
	const struct cor_fpath *path, struct cor_str value, struct cor_str detail) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	if (e->n >= COR_FIELD_ERRORS_MAX)
		return;
	cor_buf_c(&b, types[type].text);
	if (value.p) {
		cor_buf_c(&b, ": ");
		cor_buf_str(&b, value);
	}
	if (detail.n) {
		cor_buf_c(&b, ": ");
		cor_buf_str(&b, detail);
	}
	struct cor_str field = cor_fpath_print(e->arena, path);
	struct cor_str body = cor_arena_str(e->arena, cor_buf_view(&b));
	struct cor_field_error *slot = field.p && body.p ? cor_arena_push(e->arena, e) : NULL;
	if (slot)
		*slot = (struct cor_field_error){ type, field, body };
}

static const struct cor_str no_value;

static void add_v(struct cor_field_errors *e, enum cor_field_error_type type,
	const struct cor_fpath *path, struct cor_str value, const char *fmt, va_list ap) {
	char text[2000];
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	add(e, type, path, value, (struct cor_str){ text, len });
}

#define ADD_FORMATTED(type, value)                                                                 \
	do {                                                                                       \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		add_v(e, type, path, value, fmt, ap);                                              \
		va_end(ap);                                                                        \
	} while (0)

void cor_fe_required(
	struct cor_field_errors *e, const struct cor_fpath *path, const char *fmt, ...) {
	ADD_FORMATTED(COR_FE_REQUIRED, no_value);
}

void cor_fe_forbidden(
	struct cor_field_errors *e, const struct cor_fpath *path, const char *fmt, ...) {
	ADD_FORMATTED(COR_FE_FORBIDDEN, no_value);
}

void cor_fe_internal(
	struct cor_field_errors *e, const struct cor_fpath *path, const char *fmt, ...) {
	ADD_FORMATTED(COR_FE_INTERNAL, no_value);
}

void cor_fe_invalid(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_fvalue v,
	const char *fmt, ...) {
	ADD_FORMATTED(COR_FE_INVALID, v.text);
}

void cor_fe_type_invalid(struct cor_field_errors *e, const struct cor_fpath *path,
	struct cor_fvalue v, const char *fmt, ...) {
	ADD_FORMATTED(COR_FE_TYPE_INVALID, v.text);
}

void cor_fe_duplicate(
	struct cor_field_errors *e, const struct cor_fpath *path, struct cor_fvalue v) {
	add(e, COR_FE_DUPLICATE, path, v.text, no_value);
}

void cor_fe_not_found(
	struct cor_field_errors *e, const struct cor_fpath *path, struct cor_fvalue v) {
	add(e, COR_FE_NOT_FOUND, path, v.text, no_value);
}

void cor_fe_not_supported(struct cor_field_errors *e, const struct cor_fpath *path,
	struct cor_fvalue v, const char *const *allowed) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; allowed && allowed[i]; i++) {
		cor_buf_c(&b, i ? ", " : "supported values: ");
		cor_go_quote(&b, cor_str_c(allowed[i]));
	}
	add(e, COR_FE_NOT_SUPPORTED, path, v.text, cor_buf_view(&b));
}

/* "may not be more than 3 bytes", with the unit's plural s only when there are several. */
static void add_count(struct cor_field_errors *e, enum cor_field_error_type type,
	const struct cor_fpath *path, struct cor_str value, const char *text, size_t n,
	const char *unit) {
	struct cor_str detail =
		cor_arena_printf(e->arena, "%s %zu %s%s", text, n, unit, n == 1 ? "" : "s");
	add(e, type, path, value, detail);
}

void cor_fe_too_long(struct cor_field_errors *e, const struct cor_fpath *path, size_t max_bytes) {
	add_count(e, COR_FE_TOO_LONG, path, no_value, "may not be more than", max_bytes, "byte");
}

void cor_fe_too_long_chars(struct cor_field_errors *e, const struct cor_fpath *path, size_t max) {
	add_count(e, COR_FE_TOO_LONG, path, no_value, "may not be more than", max, "character");
}

void cor_fe_too_short(struct cor_field_errors *e, const struct cor_fpath *path, size_t min_chars) {
	add_count(e, COR_FE_TOO_SHORT, path, no_value, "must be at least", min_chars, "character");
}

void cor_fe_too_many(
	struct cor_field_errors *e, const struct cor_fpath *path, size_t actual, size_t max) {
	struct cor_str value = cor_fv_int(e, (int64_t)actual).text;
	add_count(e, COR_FE_TOO_MANY, path, value, "must have at most", max, "item");
}

void cor_fe_too_few(
	struct cor_field_errors *e, const struct cor_fpath *path, size_t actual, size_t min) {
	struct cor_str value = cor_fv_int(e, (int64_t)actual).text;
	add_count(e, COR_FE_TOO_FEW, path, value, "must have at least", min, "item");
}

/* --- common checks --- */

static bool add_broken(struct cor_field_errors *e, const struct cor_fpath *path,
	struct cor_fvalue v, struct cor_broken b) {
	for (size_t i = 0; i < b.n; i++)
		add(e, COR_FE_INVALID, path, v.text, cor_str_c(b.p[i]));
	return false;
}

bool cor_fe_broken(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_str v,
	struct cor_broken b) {
	return b.n == 0 || add_broken(e, path, cor_fv_str(e, v), b);
}

bool cor_fe_broken_int(
	struct cor_field_errors *e, const struct cor_fpath *path, int64_t v, struct cor_broken b) {
	return b.n == 0 || add_broken(e, path, cor_fv_int(e, v), b);
}

bool cor_fe_need(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_str v,
	struct cor_broken b) {
	if (v.n > 0)
		return cor_fe_broken(e, path, v, b);
	cor_fe_required(e, path, "%s", "");
	return false;
}

bool cor_fe_one_of(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_str v,
	const char *const *allowed) {
	for (size_t i = 0; allowed[i]; i++)
		if (cor_str_eq_c(v, allowed[i]))
			return true;
	cor_fe_not_supported(e, path, cor_fv_str(e, v), allowed);
	return false;
}

bool cor_fe_not_negative(struct cor_field_errors *e, const struct cor_fpath *path, int64_t v) {
	if (v < 0)
		cor_fe_invalid(e, path, cor_fv_int(e, v), COR_MSG_NOT_NEGATIVE);
	return v >= 0;
}

bool cor_fe_positive(struct cor_field_errors *e, const struct cor_fpath *path, int64_t v) {
	if (v <= 0)
		cor_fe_invalid(e, path, cor_fv_int(e, v), COR_MSG_POSITIVE);
	return v > 0;
}

bool cor_fe_range(struct cor_field_errors *e, const struct cor_fpath *path, int64_t v, int64_t lo,
	int64_t hi) {
	if (v >= lo && v <= hi)
		return true;
	cor_fe_invalid(e, path, cor_fv_int(e, v), "must be between %lld and %lld, inclusive",
		(long long)lo, (long long)hi);
	return false;
}

bool cor_fe_immutable(struct cor_field_errors *e, const struct cor_fpath *path,
	const struct cor_type *t, const void *now, const void *old) {
	if (now == old || (now && old && cor_obj_equal(t, now, old)))
		return true;
	cor_fe_invalid(e, path, cor_fv_obj(e, t, now), COR_MSG_IMMUTABLE);
	return false;
}

bool cor_fe_immutable_str(struct cor_field_errors *e, const struct cor_fpath *path,
	struct cor_str now, struct cor_str old) {
	if (cor_str_eq(now, old))
		return true;
	cor_fe_invalid(e, path, cor_fv_str(e, now), COR_MSG_IMMUTABLE);
	return false;
}

/* --- the Status --- */

static bool same(const struct cor_field_error *a, const struct cor_field_error *b) {
	return cor_str_eq(a->field, b->field) && cor_str_eq(a->body, b->body);
}

/* The list is at most COR_FIELD_ERRORS_MAX long, so looking for twins one by one is fine. */
static bool seen_before(const struct cor_field_errors *e, size_t i) {
	for (size_t k = 0; k < i; k++)
		if (same(&e->p[k], &e->p[i]))
			return true;
	return false;
}

struct cor_str cor_field_errors_text(const struct cor_field_errors *e) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	size_t n = 0;
	cor_buf_byte(&b, '[');
	for (size_t i = 0; i < e->n; i++) {
		if (seen_before(e, i))
			continue;
		cor_buf_c(&b, n++ ? ", " : "");
		cor_buf_str(&b, e->p[i].field);
		cor_buf_c(&b, ": ");
		cor_buf_str(&b, e->p[i].body);
	}
	cor_buf_byte(&b, ']');
	struct cor_str all = cor_buf_view(&b);
	return cor_arena_str(e->arena, n > 1 ? all : cor_str_sub(all, 1, all.n - 2));
}

static struct cor_str message(const struct cor_field_errors *e, struct cor_str group,
	struct cor_str kind, struct cor_str name) {
	struct cor_str text = cor_field_errors_text(e);
	return cor_arena_printf(e->arena, "%.*s%s%.*s \"%.*s\" is invalid%s%.*s", COR_STR_ARG(kind),
		group.n ? "." : "", COR_STR_ARG(group), COR_STR_ARG(name), text.n ? ": " : "",
		COR_STR_ARG(text));
}

int cor_field_errors_fail(const struct cor_field_errors *e, struct cor_str group,
	struct cor_str kind, struct cor_str name, struct cor_err *err) {
	if (e->n == 0)
		return COR_OK;
	struct cor_str text = message(e, group, kind, name);
	int r = cor_fail_status(err, COR_REASON_INVALID, "%.*s", COR_STR_ARG(text));
	if (err)
		(void)snprintf(err->field, sizeof(err->field), "%.*s", COR_STR_ARG(e->p[0].field));
	return r;
}

void cor_field_errors_status(const struct cor_field_errors *e, struct cor_str group,
	struct cor_str kind, struct cor_str name, meta_v1_Status *ret) {
	meta_v1_StatusDetails *d = cor_arena_new_of(e->arena, meta_v1_StatusDetails);
	*ret = (meta_v1_Status){
		.kind = COR_STR("Status"),
		.apiVersion = COR_STR("v1"),
		.status = COR_STR("Failure"),
		.message = message(e, group, kind, name),
		.reason = COR_STR("Invalid"),
		.details = d,
		.code = 422,
	};
	if (!d)
		return;
	d->name = cor_arena_str(e->arena, name);
	d->group = cor_arena_str(e->arena, group);
	d->kind = cor_arena_str(e->arena, kind);
	for (size_t i = 0; i < e->n; i++) {
		meta_v1_StatusCause *c = cor_arena_push(e->arena, &d->causes);
		if (c)
			*c = (meta_v1_StatusCause){ cor_str_c(types[e->p[i].type].reason),
				e->p[i].body, e->p[i].field };
	}
}
