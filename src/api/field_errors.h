// SPDX-License-Identifier: Apache-2.0
// What is wrong with an object: a list of field errors in the request's arena, and the Status that
// is made of it (facts/kinds.md section 1). Validators get a list and a path and only add to it;
// nothing is allocated while an object is valid.
//
//	static void check_port(struct cor_field_errors *e, const struct cor_fpath *p,
//		const struct core_v1_ContainerPort *port) {
//		cor_fe_broken_int(e, COR_FIELD(p, "containerPort"), port->containerPort,
//			cor_check_port_number(port->containerPort));
//	}
//	check_port(errs, COR_INDEX(COR_FIELD(path, "ports"), i), &c->ports.p[i]);
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/names.h"
#include "codec/type.h"
#include "gen/meta_v1.h"

/* --- paths: links on the stack of the validators, valid in the block that makes them --- */

struct cor_fpath {
	const struct cor_fpath *up; /* NULL at the root */
	const char *name;           /* a field, or several: "spec.template"; NULL for the others */
	struct cor_str key;         /* of a map: [key] */
	size_t index;               /* of a list: [3], when name and key are absent */
};

#define COR_FIELD(up_, name_) (&(const struct cor_fpath){ .up = (up_), .name = (name_) })
#define COR_INDEX(up_, i_) (&(const struct cor_fpath){ .up = (up_), .index = (i_) })
#define COR_KEY(up_, key_) (&(const struct cor_fpath){ .up = (up_), .key = (key_) })
#define COR_ROOT(name_) COR_FIELD(NULL, name_)

/* "spec.containers[0].name"; "<nil>" for NULL. */
struct cor_str cor_fpath_print(struct cor_arena *a, const struct cor_fpath *path);

/* --- the list --- */

enum cor_field_error_type {
	COR_FE_REQUIRED,
	COR_FE_INVALID,
	COR_FE_TYPE_INVALID,
	COR_FE_NOT_SUPPORTED,
	COR_FE_FORBIDDEN,
	COR_FE_DUPLICATE,
	COR_FE_NOT_FOUND,
	COR_FE_TOO_LONG,
	COR_FE_TOO_SHORT,
	COR_FE_TOO_MANY,
	COR_FE_TOO_FEW,
	COR_FE_INTERNAL,
	COR_FE_MAX,
};

struct cor_field_error {
	enum cor_field_error_type type;
	struct cor_str field; /* printed path */
	struct cor_str body;  /* "Invalid value: \"x\": must be ..." */
};

/* Beyond this many, further errors are dropped. */
enum { COR_FIELD_ERRORS_MAX = 1000 };

struct cor_field_errors {
	struct cor_arena *arena;
	struct cor_field_error *p;
	size_t n;
};

#define COR_FIELD_ERRORS_INIT(arena_) ((struct cor_field_errors){ .arena = (arena_) })

/* --- values as errors show them, in the arena of the list --- */

struct cor_fvalue {
	struct cor_str text;
};
struct cor_fvalue cor_fv_str(struct cor_field_errors *e, struct cor_str s); /* Go's %q */
struct cor_fvalue cor_fv_c(struct cor_field_errors *e, const char *s);
struct cor_fvalue cor_fv_int(struct cor_field_errors *e, int64_t v);
struct cor_fvalue cor_fv_bool(bool v);
struct cor_fvalue cor_fv_intstr(struct cor_field_errors *e, struct cor_intstr v);
struct cor_fvalue cor_fv_null(void);
/* JSON text as it is; absent prints null. */
struct cor_fvalue cor_fv_json(struct cor_str json);
/* A generated struct as JSON. */
struct cor_fvalue cor_fv_obj(struct cor_field_errors *e, const struct cor_type *t, const void *obj);
/* ["a","b"] */
struct cor_fvalue cor_fv_strings(struct cor_field_errors *e, const struct cor_str *p, size_t n);
/* {"a":"b"} */
struct cor_fvalue cor_fv_map(struct cor_field_errors *e, const struct cor_strmap *m);

/* --- adders; a format makes the detail, "" = none --- */

#define COR_FE_PRINTF(at) __attribute__((format(printf, at, at + 1)))
void cor_fe_required(struct cor_field_errors *e, const struct cor_fpath *path, const char *fmt, ...)
	COR_FE_PRINTF(3);
void cor_fe_forbidden(struct cor_field_errors *e, const struct cor_fpath *path, const char *fmt,
	...) COR_FE_PRINTF(3);
void cor_fe_internal(struct cor_field_errors *e, const struct cor_fpath *path, const char *fmt, ...)
	COR_FE_PRINTF(3);
void cor_fe_invalid(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_fvalue v,
	const char *fmt, ...) COR_FE_PRINTF(4);
void cor_fe_type_invalid(struct cor_field_errors *e, const struct cor_fpath *path,
	struct cor_fvalue v, const char *fmt, ...) COR_FE_PRINTF(4);
void cor_fe_duplicate(
	struct cor_field_errors *e, const struct cor_fpath *path, struct cor_fvalue v);
void cor_fe_not_found(
	struct cor_field_errors *e, const struct cor_fpath *path, struct cor_fvalue v);
/* allowed: NULL-terminated, shown in this order; NULL = no detail. */
void cor_fe_not_supported(struct cor_field_errors *e, const struct cor_fpath *path,
	struct cor_fvalue v, const char *const *allowed);
void cor_fe_too_long(struct cor_field_errors *e, const struct cor_fpath *path, size_t max_bytes);
void cor_fe_too_long_chars(struct cor_field_errors *e, const struct cor_fpath *path, size_t max);
void cor_fe_too_short(struct cor_field_errors *e, const struct cor_fpath *path, size_t min_chars);
void cor_fe_too_many(
	struct cor_field_errors *e, const struct cor_fpath *path, size_t actual, size_t max);
void cor_fe_too_few(
	struct cor_field_errors *e, const struct cor_fpath *path, size_t actual, size_t min);

/* --- the common checks in one line; true when the value is fine --- */

/* One Invalid for each text of b. */
bool cor_fe_broken(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_str v,
	struct cor_broken b);
bool cor_fe_broken_int(
	struct cor_field_errors *e, const struct cor_fpath *path, int64_t v, struct cor_broken b);
/* Required when empty, else Invalid for each text. */
bool cor_fe_need(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_str v,
	struct cor_broken b);
/* NotSupported unless v is one of allowed (NULL-terminated). */
bool cor_fe_one_of(struct cor_field_errors *e, const struct cor_fpath *path, struct cor_str v,
	const char *const *allowed);
bool cor_fe_not_negative(struct cor_field_errors *e, const struct cor_fpath *path, int64_t v);
bool cor_fe_positive(struct cor_field_errors *e, const struct cor_fpath *path, int64_t v);
bool cor_fe_range(struct cor_field_errors *e, const struct cor_fpath *path, int64_t v, int64_t lo,
	int64_t hi);
/* "field is immutable" unless the two values (of a message type) are semantically equal. */
bool cor_fe_immutable(struct cor_field_errors *e, const struct cor_fpath *path,
	const struct cor_type *t, const void *now, const void *old);
bool cor_fe_immutable_str(struct cor_field_errors *e, const struct cor_fpath *path,
	struct cor_str now, struct cor_str old);

/* --- what is made of the list --- */

/* `e1`, or `[e1, e2]` with equal texts once; "" when there are none. */
struct cor_str cor_field_errors_text(const struct cor_field_errors *e);
/* "FieldValueInvalid" and so on. */
const char *cor_field_error_reason(enum cor_field_error_type t);
/* Fills err (422 Invalid, the message cut to its size, the field of the first error) and returns
 * its code; COR_OK when the list is empty. group "" for core; name may be empty. */
int cor_field_errors_fail(const struct cor_field_errors *e, struct cor_str group,
	struct cor_str kind, struct cor_str name, struct cor_err *err);
/* The whole Status with one cause per error; its parts live in the arena of the list. */
void cor_field_errors_status(const struct cor_field_errors *e, struct cor_str group,
	struct cor_str kind, struct cor_str name, meta_v1_Status *ret);

/* --- metadata (validate_meta.c) --- */

struct cor_meta_rules {
	struct cor_broken (*name)(struct cor_str name, bool prefix); /* NULL: DNS subdomain */
	bool namespaced;
	/* core's older checker, which wants finalizers of other domains to be qualified */
	bool core_finalizers;
};

/* ObjectMeta of a new object, names already generated; errors at path ("metadata"). */
void cor_validate_meta(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *meta, const struct cor_meta_rules *rules);
/* ObjectMeta of an update, after what clients cannot set was restored. */
void cor_validate_meta_update(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *meta, const meta_v1_ObjectMeta *old);
/* Parts, for the templates inside other kinds. */
void cor_validate_labels(
	struct cor_field_errors *e, const struct cor_fpath *path, const struct cor_strmap *labels);
void cor_validate_annotations(struct cor_field_errors *e, const struct cor_fpath *path,
	const struct cor_strmap *annotations);
/* list: the path of the finalizers, i: which of them. */
void cor_validate_finalizer(struct cor_field_errors *e, const struct cor_fpath *list, size_t i,
	struct cor_str finalizer, bool core_finalizers);
/* A label selector (facts/kinds.md 3.3). allow_bad_values: for values that the stored object has.
 */
void cor_validate_label_selector(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_LabelSelector *s, bool allow_bad_values);
