// SPDX-License-Identifier: Apache-2.0
// Protobuf into typed structs, and the envelope (facts: api-machinery 12.1). Fields may come in
// any order, the last one wins, unknown ones are skipped.
#include "codec/access.h"
#include "codec/codec.h"
#include "codec/proto_wire.h"
#include "codec/quantity.h"

struct reader {
	const unsigned char *p, *end;
	const unsigned char *start;
	struct cor_arena *arena;
	struct cor_err *err;
	int code;
	unsigned depth;
};

static bool fail(struct reader *r, int code, const char *text) {
	if (!r->code)
		r->code = cor_fail(r->err, code, "%s", text);
	return false;
}

static bool fail_limit(struct reader *r) {
	return fail(r, COR_E_LIMIT, r->depth > COR_CODEC_DEPTH_MAX ? "exceeded max depth" :
		"the object is too large to decode");
}

static bool read_long_varint(struct reader *r, uint64_t *ret) {
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (r->p == r->end)
			return fail(r, COR_E_PARSE, "unexpected EOF");
		unsigned char c = *r->p++;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*ret = v;
			return true;
		}
	}
	return fail(r, COR_E_PARSE, "proto: integer overflow");
}

static inline bool read_varint(struct reader *r, uint64_t *ret) {
	if (__builtin_expect(r->p < r->end && *r->p < 0x80, 1)) {
		*ret = *r->p++;
		return true;
	}
	return read_long_varint(r, ret);
}

/* A length and as many bytes: a text, or a reader over a nested message. */
static inline bool read_span(struct reader *r, struct cor_str *ret) {
	uint64_t n;
	if (!read_varint(r, &n))
		return false;
	if (n > (size_t)(r->end - r->p))
		return fail(r, COR_E_PARSE, "unexpected EOF");
	*ret = (struct cor_str){ (const char *)r->p, (size_t)n };
	r->p += n;
	return true;
}

static bool skip(struct reader *r, unsigned wire) {
	uint64_t v;
	struct cor_str s;
	size_t n = wire == COR_WIRE_FIXED64 ? 8 : 4;
	switch (wire) {
	case COR_WIRE_VARINT:
		return read_varint(r, &v);
	case COR_WIRE_BYTES:
		return read_span(r, &s);
	case COR_WIRE_FIXED64:
	case COR_WIRE_FIXED32:
		if (n > (size_t)(r->end - r->p))
			return fail(r, COR_E_PARSE, "unexpected EOF");
		r->p += n;
		return true;
	default:
		return fail(r, COR_E_PARSE, "proto: illegal wireType");
	}
}

static bool read_tag(struct reader *r, uint64_t *ret_number, unsigned *ret_wire) {
	uint64_t tag;
	if (!read_varint(r, &tag))
		return false;
	*ret_number = tag >> 3;
	*ret_wire = (unsigned)(tag & 7);
	return *ret_number ? true : fail(r, COR_E_PARSE, "proto: illegal tag 0");
}

/* Small messages that become one value: their fields by number. */
struct small {
	uint64_t v[5];
	struct cor_str s[5];
};

static bool read_small(struct reader *r, struct cor_str data, struct small *out) {
	struct reader in = *r;
	in.p = (const unsigned char *)data.p;
	in.end = data.n ? in.p + data.n : in.p;
	*out = (struct small){ 0 };
	while (in.p < in.end && !in.code) {
		uint64_t number;
		unsigned wire;
		if (!read_tag(&in, &number, &wire))
			break;
		if (number < 5 && wire == COR_WIRE_VARINT)
			(void)read_varint(&in, &out->v[number]);
		else if (number < 5 && wire == COR_WIRE_BYTES)
			(void)read_span(&in, &out->s[number]);
		else
			(void)skip(&in, wire);
	}
	r->code = in.code;
	return r->code == 0;
}

static cor_time time_of(const struct small *m) {
	int64_t s = (int64_t)m->v[1], max = INT64_MAX / COR_SECOND - 1;
	if (s == -62135596800)
		return 0;               /* the year 1: upstream's zero time */
	s = s > max ? max : s < -max ? -max : s;
	return s * COR_SECOND + (int32_t)m->v[2] / 1000;
}

static bool read_message(struct reader *r, const struct cor_type *t, void *obj);

static bool read_nested(struct reader *r, struct cor_str data, const struct cor_type *t,
		void *obj) {
	const unsigned char *p = r->p, *end = r->end;
	if (++r->depth > COR_CODEC_DEPTH_MAX)
		return fail_limit(r);
	r->p = (const unsigned char *)data.p;
	r->end = r->p + data.n;
	bool ok = read_message(r, t, obj);
	r->p = p;
	r->end = end;
	r->depth--;
	return ok;
}

/* An object inside an object: JSON, or an envelope, which becomes JSON when we know its type. */
static bool read_raw(struct reader *r, struct cor_str data, struct cor_str *ret) {
	struct cor_envelope e;
	struct cor_decode d = { .arena = r->arena };
	*ret = data;
	if (!cor_str_starts(data, COR_PROTO_PREFIX))
		return true;
	if (++r->depth > COR_CODEC_DEPTH_MAX)
		return fail_limit(r);
	int code = cor_proto_open(data, &e, r->err);
	if (code == 0) {
		struct cor_str version = e.api_version, group = cor_str_cut(&version, '/');
		if (!version.p) {
			version = group;
			group = COR_STR("");
		}
		const struct cor_type *t = cor_type_gvk(group, version, e.kind);
		void *obj = t ? cor_arena_alloc(r->arena, t->size) : NULL;
		struct cor_buf b = { .limit = 64u << 20 };
		if (!t)
			return fail(r, COR_E_UNSUPPORTED, "an object of unknown kind in the object");
		code = obj ? cor_proto_decode_envelope(t, data, obj, &d, r->err) : COR_E_LIMIT;
		if (code == 0)
			code = cor_json_encode(t, obj, &b);
		if (code == 0)
			*ret = cor_arena_str(r->arena, cor_buf_view(&b));
		cor_buf_fini(&b);
	}
	r->depth--;
	r->code = code;
	return code == 0;
}

static bool read_strings(struct reader *r, struct cor_str data, struct cor_any_list *l) {
	struct reader in = *r;
	in.p = (const unsigned char *)data.p;
	in.end = in.p + data.n;
	cor_list_set_empty(l);
	while (in.p < in.end && !in.code) {
		uint64_t number;
		unsigned wire;
		if (!read_tag(&in, &number, &wire))
			break;
		if (number != 1 || wire != COR_WIRE_BYTES) {
			(void)skip(&in, wire);
			continue;
		}
		struct cor_str *s = cor_list_push(in.arena, l, sizeof(*s));
		if (!s)
			(void)fail_limit(&in);
		else
			(void)read_span(&in, s);
	}
	r->code = in.code;
	return r->code == 0;
}

static bool read_duration(struct reader *r, int64_t ns, struct cor_str *ret) {
	char text[COR_TIME_TEXT_MAX];
	size_t n = cor_duration_format(ns / 1000, text);
	*ret = cor_arena_str(r->arena, (struct cor_str){ text, n });
	return ret->p ? true : fail_limit(r);
}

/* What is inside the length-delimited value of a field of that kind. */
static bool read_span_value(struct reader *r, const struct cor_field *f, struct cor_str data,
		void *at) {
	struct small m;
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_STRING:
	case COR_FK_BYTES:
		*(struct cor_str *)at = data;
		return true;
	case COR_FK_MESSAGE:
		return read_nested(r, data, cor_field_sub(f), at);
	case COR_FK_STRINGS:
		return read_strings(r, data, at);
	default:
		break;
	}
	if (!read_small(r, data, &m))
		return false;
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_RAW:
		return read_raw(r, m.s[1], at);
	case COR_FK_QUANTITY:
		if (m.s[1].n == 0)
			m.s[1] = COR_STR("0");
		r->code = cor_quantity_canonical(r->arena, m.s[1], at, r->err);
		return r->code == 0;
	case COR_FK_DURATION:
		return read_duration(r, (int64_t)m.v[1], at);
	case COR_FK_TIME:
		*(cor_time *)at = time_of(&m) / COR_SECOND * COR_SECOND;
		return true;
	case COR_FK_MICROTIME:
		*(cor_time *)at = time_of(&m);
		return true;
	case COR_FK_INTSTR:
		*(struct cor_intstr *)at = (struct cor_intstr){
			.kind = m.v[1] == 1 ? COR_INTSTR_STR : COR_INTSTR_INT, .i = (int32_t)m.v[2],
			.s = m.s[3].p ? m.s[3] : COR_STR("") };
		return true;
	default:
		return fail(r, COR_E_PARSE, "proto: wrong wireType");
	}
}

static bool is_varint(unsigned kind) {
	return kind == COR_FK_BOOL || kind == COR_FK_INT32 || kind == COR_FK_INT64;
}

static bool read_number(struct reader *r, const struct cor_field *f, void *at) {
	uint64_t v;
	if (f->kind == COR_FK_DOUBLE) {
		if (r->end - r->p < 8)
			return fail(r, COR_E_PARSE, "unexpected EOF");
		memcpy(&v, r->p, 8);
		v = le64toh(v);
		memcpy(at, &v, 8);
		r->p += 8;
		return true;
	}
	if (!read_varint(r, &v))
		return false;
	if (f->kind == COR_FK_BOOL)
		*(bool *)at = v != 0;
	else if (f->kind == COR_FK_INT32)
		*(int32_t *)at = (int32_t)v;
	else
		*(int64_t *)at = (int64_t)v;
	return true;
}

static bool read_element(struct reader *r, const struct cor_field *f, unsigned wire, void *at) {
	struct cor_str data;
	if (wire == (f->kind == COR_FK_DOUBLE ? COR_WIRE_FIXED64 : COR_WIRE_VARINT) &&
			(is_varint(f->kind) || f->kind == COR_FK_DOUBLE))
		return read_number(r, f, at);
	if (wire != COR_WIRE_BYTES || is_varint(f->kind) || f->kind == COR_FK_DOUBLE)
		return fail(r, COR_E_PARSE, "proto: wrong wireType");
	return read_span(r, &data) && read_span_value(r, f, data, at);
}

static bool read_list(struct reader *r, const struct cor_field *f, unsigned wire,
		struct cor_any_list *l) {
	void *e;
	if (wire == COR_WIRE_BYTES && (is_varint(f->kind) || f->kind == COR_FK_DOUBLE)) {
		struct cor_str data;
		if (!read_span(r, &data))
			return false;
		struct reader in = *r;
		in.p = (const unsigned char *)data.p;
		in.end = in.p + data.n;
		while (in.p < in.end && !in.code) {
			e = cor_list_push(r->arena, l, f->elem_size);
			(void)(e ? read_number(&in, f, e) : fail_limit(&in));
		}
		r->code = in.code;
		return r->code == 0;
	}
	e = cor_list_push(r->arena, l, f->elem_size);
	return e ? read_element(r, f, wire, e) : fail_limit(r);
}

/* One entry {1 key, 2 value}. *unsorted is set when it does not follow the last one. */
static bool read_entry(struct reader *r, const struct cor_field *f, struct cor_any_list *m,
		bool *unsorted) {
	struct cor_str data;
	if (!read_span(r, &data))
		return false;
	char *e = cor_list_push(r->arena, m, f->elem_size);
	if (!e)
		return fail_limit(r);
	struct cor_str *key = (struct cor_str *)(void *)e;
	*key = COR_STR("");
	struct reader in = *r;
	in.p = (const unsigned char *)data.p;
	in.end = in.p + data.n;
	while (in.p < in.end && !in.code) {
		uint64_t number;
		unsigned wire;
		if (!read_tag(&in, &number, &wire))
			break;
		if (number == 1 && wire == COR_WIRE_BYTES)
			(void)read_span(&in, key);
		else if (number == 2)
			(void)read_element(&in, f, wire, e + COR_ENTRY_VALUE);
		else
			(void)skip(&in, wire);
	}
	r->code = in.code;
	if (m->n > 1 && cor_str_cmp(*(struct cor_str *)(void *)(e - f->elem_size), *key) >= 0)
		*unsorted = true;
	return r->code == 0;
}

static bool read_one(struct reader *r, const struct cor_field *f, unsigned wire, void *at) {
	struct cor_str *text = at;
	if (f->kind == COR_FK_STRING && wire == COR_WIRE_BYTES) {
		if (!read_span(r, text))
			return false;
		/* where empty and absent are the same, absent is the one form */
		if (text->n == 0 && !(f->flags & COR_FF_POINTER))
			text->p = NULL;
		return true;
	}
	if ((f->flags & COR_FF_POINTER) && cor_kind_boxed(f->kind)) {
		cor_any_ptr *box = at;
		if (!*box)
			*box = cor_arena_alloc(r->arena, cor_kind_size(f));
		if (!*box)
			return fail_limit(r);
		at = *box;
	}
	return read_element(r, f, wire, at);
}

static bool read_message(struct reader *r, const struct cor_type *t, void *obj) {
	bool unsorted = false;
	while (r->p < r->end) {
		uint64_t number;
		unsigned wire;
		if (!read_tag(r, &number, &wire))
			return false;
		uint8_t i = number <= t->max_number ? cor_type_bytes[t->numbers + number] : COR_NO_FIELD;
		if (i == COR_NO_FIELD) {
			if (!skip(r, wire))
				return false;
			continue;
		}
		const struct cor_field *f = &cor_type_fields(t)[i];
		void *at = cor_field_at(f, obj);
		bool ok = f->shape == COR_FS_ONE ? read_one(r, f, wire, at) :
			f->shape == COR_FS_LIST ? read_list(r, f, wire, at) :
			wire == COR_WIRE_BYTES ? read_entry(r, f, at, &unsorted) :
			fail(r, COR_E_PARSE, "proto: wrong wireType");
		if (!ok)
			return false;
	}
	for (size_t i = 0; unsorted && i < t->nfields; i++) {
		const struct cor_field *f = &cor_type_fields(t)[i];
		struct cor_any_list *m = cor_field_at(f, obj);
		if (f->shape == COR_FS_MAP && !(f->flags & COR_FF_EMBEDDED) &&
				!cor_map_sort(r->arena, m, f->elem_size, NULL, NULL))
			return fail_limit(r);
	}
	return r->code == 0;
}

int cor_proto_decode(const struct cor_type *t, struct cor_str data, void *obj,
		struct cor_decode *d, struct cor_err *err) {
	struct reader r = { .start = (const unsigned char *)data.p, .arena = d->arena, .err = err };
	r.p = r.start;
	r.end = data.n ? r.start + data.n : r.start;
	(void)read_message(&r, t, obj);
	d->offset = (size_t)(r.p - r.start);
	return r.code;
}

int cor_proto_open(struct cor_str data, struct cor_envelope *ret, struct cor_err *err) {
	struct reader r = { .err = err };
	struct small unknown, meta = { 0 };
	if (data.n == 0)
		return cor_fail(err, COR_E_PARSE, "empty data");
	if (!cor_str_starts(data, COR_PROTO_PREFIX))
		return cor_fail(err, COR_E_PARSE, "provided data does not appear to be a protobuf "
			"message, expected prefix [107 56 115 0]");
	if (!read_small(&r, cor_str_sub(data, 4, data.n), &unknown) ||
			!read_small(&r, unknown.s[1], &meta))
		return r.code;
	*ret = (struct cor_envelope){ .api_version = meta.s[1], .kind = meta.s[2],
		.raw = unknown.s[2].p ? unknown.s[2] : COR_STR(""),
		.content_encoding = unknown.s[3], .content_type = unknown.s[4] };
	return 0;
}

int cor_proto_decode_envelope(const struct cor_type *t, struct cor_str data, void *obj,
		struct cor_decode *d, struct cor_err *err) {
	struct cor_envelope e;
	int r = cor_proto_open(data, &e, err);
	if (r < 0)
		return r;
	r = cor_proto_decode(t, e.raw, obj, d, err);
	if (r < 0 || !(t->flags & COR_TF_KIND))
		return r;
	/* the generator puts kind and apiVersion first */
	if (e.kind.n)
		*(struct cor_str *)cor_field_at(&cor_type_fields(t)[0], obj) = e.kind;
	if (e.api_version.n)
		*(struct cor_str *)cor_field_at(&cor_type_fields(t)[1], obj) = e.api_version;
	return 0;
}
