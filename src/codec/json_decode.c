// SPDX-License-Identifier: Apache-2.0
// JSON into typed structs. One pass, driven by the field tables: a member's name is hashed, its
// field found, its value read straight to its place.
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/access.h"
#include "codec/json_read.h"
#include "codec/quantity.h"

static bool read_message(struct cor_json_reader *r, const struct cor_type *t, void *obj);

__attribute__((cold, noinline))
static bool bad_field_type(struct cor_json_reader *r, const struct cor_field *f, bool element) {
	char type[128];
	cor_json_go_type(f, element, type, sizeof(type));
	return cor_json_bad_type(r, r->p, type);
}

/* Types with a decoder of their own in Go report without the field. */
__attribute__((cold, noinline))
static bool bad_plain_type(struct cor_json_reader *r, const char *type) {
	r->path = NULL;
	return cor_json_bad_type(r, r->p, type);
}

static bool read_bool(struct cor_json_reader *r, const struct cor_field *f, bool *ret) {
	if (*r->p != 't' && *r->p != 'f')
		return bad_field_type(r, f, true);
	*ret = *r->p == 't';
	return *ret ? cor_json_read_word(r, "true", 4) : cor_json_read_word(r, "false", 5);
}

static bool is_number(char c) {
	return (c >= '0' && c <= '9') || c == '-';
}

static bool read_int(struct cor_json_reader *r, const struct cor_field *f, int64_t min, int64_t max,
		int64_t *ret) {
	const char *from = r->p, *p = from;
	struct cor_str text;
	bool integer;
	/* up to nine digits without a leading zero and something that ends them: nearly all */
	uint32_t small = 0;
	if (*p != '0' && r->end - p > 10) {
		while (p - from < 9 && *p >= '0' && *p <= '9')
			small = small * 10 + (uint32_t)(*p++ - '0');
		if (p > from && (*p == ',' || *p == '}' || *p == ']')) {
			*ret = small;
			r->p = p;
			return true;
		}
	}
	if (!is_number(*r->p))
		return bad_field_type(r, f, true);
	if (!cor_json_read_number(r, &text, ret, &integer))
		return false;
	if (integer && *ret >= min && *ret <= max)
		return true;
	r->p = from;
	return bad_field_type(r, f, true);
}

__attribute__((noinline))       /* has large locals */
static bool read_double(struct cor_json_reader *r, const struct cor_field *f, double *ret) {
	struct cor_str text;
	int64_t i;
	bool integer;
	char copy[400];
	if (!is_number(*r->p))
		return bad_field_type(r, f, true);
	if (!cor_json_read_number(r, &text, &i, &integer))
		return false;
	if (text.n >= sizeof(copy))
		return cor_json_bad_limit(r);
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	*ret = strtod(copy, NULL);
	return true;
}

__attribute__((cold, noinline))
static bool bad_time(struct cor_json_reader *r, const char *at, bool micro, struct cor_str s) {
	char text[300];
	const char *layout = micro ? "2006-01-02T15:04:05.000000Z07:00" :
		"2006-01-02T15:04:05Z07:00";
	int n = s.n > 80 ? 80 : (int)s.n;
	snprintf(text, sizeof(text), "parsing time \"%.*s\" as \"%s\": cannot parse \"%.*s\" as "
		"\"2006\"", n, s.p, layout, n, s.p);
	return cor_json_bad_value(r, at, text);
}

static bool read_time(struct cor_json_reader *r, bool micro, cor_time *ret) {
	static const cor_time year_one = -62135596800 * COR_SECOND;
	const char *at = r->p;
	struct cor_str s;
	if (*r->p != '"')
		return bad_plain_type(r, "string");
	if (!cor_json_read_str(r, &s))
		return false;
	if (!cor_time_parse(s, ret))
		return bad_time(r, at, micro, s);
	if (!micro) {
		cor_time rest = *ret % COR_SECOND;
		*ret -= rest < 0 ? rest + COR_SECOND : rest;
	}
	if (*ret == year_one)
		*ret = 0;
	return true;
}

__attribute__((cold, noinline))
static bool bad_quantity(struct cor_json_reader *r, const char *at, struct cor_str text) {
	struct cor_err err = { 0 };
	struct cor_str ret;
	if (cor_quantity_canonical(r->arena, text, &ret, &err) == 0)
		return cor_json_bad_limit(r);   /* it was the arena */
	return cor_json_bad_value(r, at, err.message);
}

static bool read_quantity(struct cor_json_reader *r, struct cor_str *ret) {
	const char *at = r->p;
	struct cor_str text;
	if (*r->p == '"') {
		if (!cor_json_read_str(r, &text))
			return false;
	} else if (!cor_json_skip(r, &text)) {
		return false;
	}
	if (cor_quantity_canonical(r->arena, text, ret, NULL) < 0 || !ret->p)
		return bad_quantity(r, at, text);
	return true;
}

__attribute__((noinline))       /* has large locals */
static bool read_duration(struct cor_json_reader *r, struct cor_str *ret) {
	const char *at = r->p;
	struct cor_str s;
	cor_time d;
	char text[COR_TIME_TEXT_MAX], message[160];
	if (*r->p != '"')
		return bad_plain_type(r, "string");
	if (!cor_json_read_str(r, &s))
		return false;
	if (!cor_duration_parse(s, &d)) {
		snprintf(message, sizeof(message), "time: invalid duration \"%.*s\"",
			s.n > 80 ? 80 : (int)s.n, s.p);
		return cor_json_bad_value(r, at, message);
	}
	size_t n = cor_duration_format(d, text);
	*ret = cor_arena_str(r->arena, (struct cor_str){ text, n });
	return ret->p ? true : cor_json_bad_limit(r);
}

__attribute__((noinline))       /* has large locals */
static bool read_bytes(struct cor_json_reader *r, const struct cor_field *f, struct cor_str *ret) {
	const char *at = r->p;
	struct cor_str s;
	size_t bad;
	char message[80];
	if (*r->p != '"')
		return bad_field_type(r, f, true);
	if (!cor_json_read_str(r, &s))
		return false;
	if (cor_base64_decode(r->arena, s, ret, &bad))
		return true;
	if (cor_arena_failed(r->arena))
		return cor_json_bad_limit(r);
	snprintf(message, sizeof(message), "illegal base64 data at input byte %zu", bad);
	return cor_json_bad_value(r, at, message);
}

static bool read_intstr(struct cor_json_reader *r, struct cor_intstr *ret) {
	struct cor_str text;
	int64_t v;
	bool integer;
	const char *from = r->p;
	if (*r->p == '"') {
		ret->kind = COR_INTSTR_STR;
		return cor_json_read_str(r, &ret->s);
	}
	if (!is_number(*r->p))
		return bad_plain_type(r, "int32");
	if (!cor_json_read_number(r, &text, &v, &integer))
		return false;
	if (!integer || v < INT32_MIN || v > INT32_MAX) {
		r->p = from;
		return bad_plain_type(r, "int32");
	}
	ret->kind = COR_INTSTR_INT;
	ret->i = (int32_t)v;
	return true;
}

static bool read_strings(struct cor_json_reader *r, const struct cor_field *f,
		struct cor_any_list *l) {
	bool first = true;
	if (*r->p != '[')
		return bad_field_type(r, f, true);
	cor_list_set_empty(l);
	while (cor_json_next_element(r, &first)) {
		struct cor_str *s = cor_list_push(r->arena, l, sizeof(*s));
		if (!s)
			return cor_json_bad_limit(r);
		if (*r->p == 'n') {
			if (!cor_json_read_word(r, "null", 4))
				return false;
			*s = COR_STR("");
		} else if (*r->p != '"') {
			return cor_json_bad_type(r, r->p, "string");
		} else if (!cor_json_read_str(r, s)) {
			return false;
		}
	}
	return r->code == 0;
}

/* One value that is not null, to where it belongs. */
static bool read_value(struct cor_json_reader *r, const struct cor_field *f, void *at) {
	int64_t v;
	bool ok;
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_STRING:
		if (__builtin_expect(*r->p != '"', 0))
			return bad_field_type(r, f, true);
		return cor_json_read_str(r, (struct cor_str *)at);
	case COR_FK_MESSAGE:
		return read_message(r, cor_field_sub(f), at);
	case COR_FK_INT32:
		ok = read_int(r, f, INT32_MIN, INT32_MAX, &v);
		if (ok)
			*(cor_any_i32 *)at = (int32_t)v;
		return ok;
	case COR_FK_INT64:
		return read_int(r, f, INT64_MIN, INT64_MAX, (int64_t *)at);
	case COR_FK_BOOL:
		return read_bool(r, f, (bool *)at);
	case COR_FK_DOUBLE:
		return read_double(r, f, (double *)at);
	case COR_FK_TIME:
		return read_time(r, false, (cor_time *)at);
	case COR_FK_MICROTIME:
		return read_time(r, true, (cor_time *)at);
	case COR_FK_QUANTITY:
		return read_quantity(r, (struct cor_str *)at);
	case COR_FK_DURATION:
		return read_duration(r, (struct cor_str *)at);
	case COR_FK_BYTES:
		return read_bytes(r, f, (struct cor_str *)at);
	case COR_FK_RAW:
		return cor_json_skip(r, (struct cor_str *)at);
	case COR_FK_INTSTR:
		return read_intstr(r, at);
	case COR_FK_STRINGS:
		return read_strings(r, f, at);
	case COR_FK_MAX:
		break;
	}
	return cor_json_bad_limit(r);
}

/* The next member of an object. Here only the form our own encoder writes, without white space
 * and escapes in the name; cor_json_next_member does the rest. */
static inline bool next_member(struct cor_json_reader *r, bool *first, struct cor_str *ret_key) {
	const char *p = r->p, *end = r->end;
	if (__builtin_expect(end - p >= 2, 1)) {
		if (*p == '}' && !*first) {
			r->p = p + 1;
			return false;
		}
		if (p[1] == '"' && (*p == ',' || *first)) {
			const char *q = cor_scan_plain(p + 2, end);
			bool plain = end - q >= 3 && q[0] == '"' && q[1] == ':' && q[2] > ' ';
			if (__builtin_expect(plain, 1)) {
				*ret_key = (struct cor_str){ p + 2, (size_t)(q - p - 2) };
				r->p = q + 2;
				*first = false;
				return true;
			}
		}
	}
	return cor_json_next_member(r, first, ret_key);
}

static inline bool next_element(struct cor_json_reader *r, bool *first) {
	const char *p = r->p;
	if (__builtin_expect(r->end - p >= 2, 1) && !*first) {
		if (*p == ']') {
			r->p = p + 1;
			return false;
		}
		if (*p == ',' && p[1] > ' ' && p[1] != ']') {
			r->p = p + 1;
			return true;
		}
	}
	return cor_json_next_element(r, first);
}

static bool read_list(struct cor_json_reader *r, const struct cor_field *f,
		struct cor_any_list *l) {
	struct cor_json_step step = { .up = r->path };
	bool first = true;
	if (*r->p != '[')
		return bad_field_type(r, f, false);
	cor_list_set_empty(l);
	r->path = &step;
	for (; next_element(r, &first); step.index++) {
		void *e = cor_list_push(r->arena, l, f->elem_size);
		if (!e)
			return cor_json_bad_limit(r);
		if (*r->p == 'n') {
			if (!cor_json_read_word(r, "null", 4))
				return false;
			if (f->kind == COR_FK_STRING)
				*(struct cor_str *)e = COR_STR("");
		} else if (!read_value(r, f, e)) {
			return false;
		}
	}
	r->path = step.up;
	return r->code == 0;
}

static void note_duplicate(void *arg, struct cor_str key) {
	cor_json_note(arg, "duplicate field", key);
}

static bool read_map(struct cor_json_reader *r, const struct cor_field *f, struct cor_any_list *m) {
	struct cor_json_step step = { .up = r->path };
	bool first = true, sorted = true;
	struct cor_str key, last = { NULL, 0 };
	if (*r->p != '{')
		return bad_field_type(r, f, false);
	cor_list_set_empty(m);
	r->path = &step;
	while (next_member(r, &first, &key)) {
		char *e = cor_list_push(r->arena, m, f->elem_size);
		if (!e)
			return cor_json_bad_limit(r);
		step.name = key;
		sorted &= last.p == NULL || cor_str_cmp(last, key) < 0;
		last = key;
		*(struct cor_str *)(void *)e = key;
		if (*r->p == 'n') {
			if (!cor_json_read_word(r, "null", 4))
				return false;
		} else if (!read_value(r, f, e + COR_ENTRY_VALUE)) {
			return false;
		}
	}
	r->path = step.up;
	if (r->code)
		return false;
	if (!sorted && !cor_map_sort(r->arena, m, f->elem_size, note_duplicate, r))
		return cor_json_bad_limit(r);
	return true;
}

/* null: what can be absent becomes so, what cannot stays as it is. */
static bool read_null(struct cor_json_reader *r, const struct cor_field *f, void *at) {
	if (!cor_json_read_word(r, "null", 4))
		return false;
	if (f->shape != COR_FS_ONE)
		*(struct cor_any_list *)at = (struct cor_any_list){ NULL, 0 };
	else if (!(f->flags & COR_FF_POINTER))
		return true;
	else if (cor_kind_boxed(f->kind))
		*(cor_any_ptr *)at = NULL;
	else
		memset(at, 0, cor_kind_size(f));
	return true;
}

/* Where empty and absent are the same, absent is the one form. */
static inline void set_text(const struct cor_field *f, struct cor_str *at, struct cor_str text) {
	if (text.n == 0 && !(f->flags & COR_FF_POINTER))
		text.p = NULL;
	*at = text;
}

static bool read_field(struct cor_json_reader *r, const struct cor_field *f, void *at) {
	if (__builtin_expect(*r->p == 'n', 0))
		return read_null(r, f, at);
	if (f->shape == COR_FS_LIST)
		return read_list(r, f, at);
	if (f->shape == COR_FS_MAP)
		return read_map(r, f, at);
	if ((f->flags & COR_FF_POINTER) && cor_kind_boxed(f->kind)) {
		cor_any_ptr *box = at;
		if (!*box)
			*box = cor_arena_alloc(r->arena, cor_kind_size(f));
		if (!*box)
			return cor_json_bad_limit(r);
		at = *box;
	}
	if (f->kind == COR_FK_MESSAGE)
		return read_message(r, cor_field_sub(f), at);
	if (!read_value(r, f, at))
		return false;
	if (f->kind == COR_FK_STRING)
		set_text(f, at, *(struct cor_str *)at);
	return true;
}

/* JSONSchemaPropsOr...: an object is the schema, anything else the other thing. */
__attribute__((noinline))
static bool read_union(struct cor_json_reader *r, const struct cor_type *t, void *obj) {
	const struct cor_field *schema = cor_type_field(t, COR_STR("schema"));
	const struct cor_field *other = &cor_type_fields(t)[schema == cor_type_fields(t) ? 1 : 0];
	void *at = cor_field_at(other, obj);
	if (*r->p == '{') {
		if (t->union_kind == COR_UNION_BOOL)
			*(cor_any_bool *)at = true;
		return read_field(r, schema, cor_field_at(schema, obj));
	}
	if (t->union_kind == COR_UNION_BOOL ? *r->p != 't' && *r->p != 'f' : *r->p != '[')
		return cor_json_bad_value(r, r->p, t->union_kind == COR_UNION_BOOL ?
			"boolean or JSON schema expected" : "array or JSON schema expected");
	return read_field(r, other, at);
}

/* Whether two names of n bytes that share their first eight are the same. */
static inline bool same_rest(const char *a, const char *b, size_t n) {
	uint64_t x, y;
	if (n <= 8)
		return true;
	if (n > 16)
		return memcmp(a + 8, b + 8, n - 8) == 0;
	memcpy(&x, a + n - 8, 8);
	memcpy(&y, b + n - 8, 8);
	return x == y;
}

/* The field with the name of n > 0 bytes at p, or NULL; at least eight bytes follow p. */
static inline const struct cor_field *match_name(const struct cor_type *t, const char *p,
		size_t n) {
	uint64_t v, prefix;
	memcpy(&v, p, 8);
	v = le64toh(v);
	prefix = n < 8 ? v & (~(uint64_t)0 >> (64 - 8 * n)) : v;
	const uint8_t *slots = cor_type_bytes + t->slots;
	for (size_t h = (prefix * t->slot_mul) >> t->slot_shift;; h = (h + 1) & t->slot_mask) {
		uint8_t i = slots[h];
		if (i == COR_NO_FIELD)
			return NULL;
		const struct cor_field *f = &cor_type_fields(t)[i];
		if (f->prefix == prefix && f->json_n == n && same_rest(p, cor_field_json(f), n))
			return f;
	}
}

__attribute__((cold, noinline))
static bool read_unknown(struct cor_json_reader *r, struct cor_str key) {
	cor_json_note(r, "unknown field", key);
	return cor_json_skip(r, NULL);
}

__attribute__((cold, noinline))
static bool bad_message(struct cor_json_reader *r, const struct cor_type *t) {
	struct cor_field f = { .kind = COR_FK_MESSAGE, .sub = (uint16_t)(t - cor_types) };
	return bad_field_type(r, &f, true);
}

/* Behind the opening brace or a value at *p: the next member, in the form our own encoder writes
 * (no white space, no escapes in the name). Its value is then at *p; NULL when it is not of that
 * form or the field is unknown, and cor_json_next_member has to look. */
static inline const struct cor_field *fast_field(const struct cor_type *t, const char **p,
		const char *end, bool first, struct cor_str *ret_key) {
	const char *name = *p + 2;
	if (end - name < 16 || name[-1] != '"' || (name[-2] != ',' && !first))
		return NULL;
	const char *q = cor_scan_quote(name, end);
	if (__builtin_expect(end - q < 3 || q == name || q[1] != ':' || q[2] <= ' ', 0))
		return NULL;
	const struct cor_field *f = match_name(t, name, (size_t)(q - name));
	if (__builtin_expect(f != NULL, 1)) {
		*ret_key = (struct cor_str){ name, (size_t)(q - name) };
		*p = q + 2;
	}
	return f;
}

/* The same with white space between the tokens, as many clients write it. */
__attribute__((noinline))
static const struct cor_field *spaced_field(const struct cor_type *t, const char **p,
		const char *end, bool first, struct cor_str *ret_key) {
	const char *q = first ? *p : cor_skip_space(*p, end);
	if (q == end || (*q != ',' && !first))
		return NULL;
	q = cor_skip_space(q + 1, end);
	const char *name = q + 1;
	if (end - q < 17 || *q != '"')
		return NULL;
	q = cor_scan_quote(name, end);
	size_t n = (size_t)(q - name);
	const struct cor_field *f = q < end && n > 0 ? match_name(t, name, n) : NULL;
	if (!f)
		return NULL;
	q = cor_skip_space(q + 1, end);
	if (q == end || *q != ':')
		return NULL;
	q = cor_skip_space(q + 1, end);
	if (q == end)
		return NULL;
	*ret_key = (struct cor_str){ name, n };
	*p = q;
	return f;
}

/* Where reading goes on is kept in p, not in r->p, as long as nobody else has to know: each step
 * waits for the last one, and a detour through memory doubles the wait. */
static bool read_message(struct cor_json_reader *r, const struct cor_type *t, void *obj) {
	struct cor_json_step step = { .up = r->path, .owner = t };
	const char *from = r->p, *p = from, *end = r->end;
	uint64_t seen = 0;              /* the generator allows 64 fields */
	if (__builtin_expect(t->union_kind, 0))
		return read_union(r, t, obj);
	if (__builtin_expect(*p != '{', 0))
		return bad_message(r, t);
	if (++r->depth > COR_CODEC_DEPTH_MAX)
		return cor_json_bad_limit(r);
	for (;;) {
		if (p < end && *p == '}' && p != from) {
			p++;
			break;
		}
		const struct cor_field *f = fast_field(t, &p, end, p == from, &step.name);
		if (__builtin_expect(!f && end - p > 1 && p[1] != '}', 0))
			f = spaced_field(t, &p, end, p == from, &step.name);
		if (__builtin_expect(!f, 0)) {
			bool first = p == from;
			r->p = p;
			if (!cor_json_next_member(r, &first, &step.name)) {
				p = r->p;
				break;
			}
			p = r->p;
			f = cor_type_field(t, step.name);
			if (!f) {
				if (!read_unknown(r, step.name))
					return false;
				p = r->p;
				continue;
			}
		}
		uint64_t bit = (uint64_t)1 << (f - cor_type_fields(t));
		if (__builtin_expect((seen & bit) != 0, 0))
			cor_json_note(r, "duplicate field", step.name);
		seen |= bit;
		void *at = cor_field_at(f, obj);
		if (*p == '"' && f->kind == COR_FK_STRING && f->shape == COR_FS_ONE) {
			const char *q = cor_scan_plain(p + 1, end);
			if (__builtin_expect(q < end && *q == '"', 1)) {
				set_text(f, at, (struct cor_str){ p + 1, (size_t)(q - p - 1) });
				p = q + 1;
				continue;
			}
		}
		r->p = p;
		r->path = &step;
		if (!read_field(r, f, at))
			return false;
		r->path = step.up;
		p = r->p;
	}
	r->p = p;
	r->depth--;
	return r->code == 0;
}

static int finish(struct cor_json_reader *r) {
	if (r->code)
		return r->code;
	r->p = cor_skip_space(r->p, r->end);
	if (r->p != r->end) {
		(void)cor_json_bad_char(r, "after top-level value");
		return r->code;
	}
	return 0;
}

int cor_json_decode(const struct cor_type *t, struct cor_str json, void *obj,
		struct cor_decode *d, struct cor_err *err) {
	struct cor_json_reader r = { .p = json.p, .end = json.p + json.n, .start = json.p,
		.arena = d->arena, .opts = d, .err = err };
	char c;
	if (cor_json_peek(&r, &c) && c == 'n')
		(void)cor_json_read_word(&r, "null", 4);
	else if (!r.code)
		(void)read_message(&r, t, obj);
	return finish(&r);
}

int cor_json_decode_new(const struct cor_type *t, struct cor_str json, void **ret,
		struct cor_decode *d, struct cor_err *err) {
	void *obj = cor_arena_alloc(d->arena, t->size);
	if (!obj)
		return cor_fail(err, COR_E_LIMIT, "the object is too large to decode");
	int r = cor_json_decode(t, json, obj, d, err);
	if (r == 0)
		*ret = obj;
	return r;
}

static int bad_typemeta(const struct cor_json_reader *r) {
	if (r->code && r->err)
		(void)cor_wrap(r->err, "couldn't get version/kind; json parse error");
	return r->code;
}

int cor_json_typemeta(struct cor_str json, struct cor_arena *a, struct cor_str *ret_api_version,
		struct cor_str *ret_kind, struct cor_err *err) {
	/* upstream's struct for this has no name */
	static const struct cor_type anonymous = { 0 };
	struct cor_json_reader r = { .p = json.p, .end = json.p + json.n, .start = json.p,
		.arena = a, .err = err };
	struct cor_json_step step = { .owner = &anonymous };
	bool first = true;
	char c;
	*ret_api_version = *ret_kind = (struct cor_str){ NULL, 0 };
	if (!cor_json_peek(&r, &c))
		return bad_typemeta(&r);
	if (c != '{') {
		(void)cor_json_bad_type(&r, r.p, "struct { APIVersion string; Kind string }");
		return bad_typemeta(&r);
	}
	while ((!ret_api_version->p || !ret_kind->p) &&
			cor_json_next_member(&r, &first, &step.name)) {
		struct cor_str *at = cor_str_eq(step.name, COR_STR("apiVersion")) ?
			ret_api_version : cor_str_eq(step.name, COR_STR("kind")) ? ret_kind : NULL;
		r.path = &step;
		if (!at || *r.p == 'n')
			(void)cor_json_skip(&r, NULL);
		else if (*r.p != '"')
			(void)cor_json_bad_type(&r, r.p, "string");
		else
			(void)cor_json_read_str(&r, at);
		r.path = NULL;
		if (r.code)
			break;
	}
	return bad_typemeta(&r);
}
