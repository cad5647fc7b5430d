// SPDX-License-Identifier: Apache-2.0
// Typed structs to protobuf as gogo's encoder writes it: ascending numbers, values without a
// pointer always present, also when zero. Lengths of nested messages are filled in afterwards.
#include "codec/access.h"
#include "codec/codec.h"
#include "codec/proto_wire.h"

/* At p, which has room; returns the end. */
static inline char *write_varint(char *p, uint64_t v) {
	for (; v >= 0x80; v >>= 7)
		*p++ = (char)(v | 0x80);
	*p++ = (char)v;
	return p;
}

static inline char *write_tag(char *p, unsigned number, enum cor_wire wire) {
	return write_varint(p, number << 3 | (unsigned)wire);
}

enum { VARINT_MAX = 10 };

/* A nested message: begin returns where its text starts, end puts the length in front. */
static size_t begin(struct cor_buf *b, unsigned number) {
	char *p = cor_buf_reserve(b, VARINT_MAX + 1);
	if (p)
		b->n = (size_t)(write_tag(p, number, COR_WIRE_BYTES) + 1 - b->p);
	return b->n;
}

static void end(struct cor_buf *b, size_t from) {
	if (b->failed)
		return;
	size_t n = b->n - from, more = 0;
	for (size_t v = n; v >= 0x80; v >>= 7)
		more++;
	if (more) {
		char *p = cor_buf_reserve(b, more);
		if (!p)
			return;
		memmove(b->p + from + more, b->p + from, n);
		b->n += more;
	}
	char *p = b->p + from - 1;
	for (; n >= 0x80; n >>= 7)
		*p++ = (char)(n | 0x80);
	*p = (char)n;
}

static void put_bytes(struct cor_buf *b, unsigned number, struct cor_str s) {
	char *p = cor_buf_reserve(b, s.n + 2 * VARINT_MAX);
	if (!p)
		return;
	p = write_varint(write_tag(p, number, COR_WIRE_BYTES), s.n);
	if (s.n)
		memcpy(p, s.p, s.n);
	b->n = (size_t)(p + s.n - b->p);
}

static void put_number(struct cor_buf *b, unsigned number, int64_t v) {
	char *p = cor_buf_reserve(b, 2 * VARINT_MAX);
	if (!p)
		return;
	p = write_varint(write_tag(p, number, COR_WIRE_VARINT), (uint64_t)v);
	b->n = (size_t)(p - b->p);
}

static void put_double(struct cor_buf *b, unsigned number, const void *at) {
	char *p = cor_buf_reserve(b, VARINT_MAX + 8);
	uint64_t bits;
	if (!p)
		return;
	memcpy(&bits, at, 8);
	bits = htole64(bits);
	p = write_tag(p, number, COR_WIRE_FIXED64);
	memcpy(p, &bits, 8);
	b->n = (size_t)(p + 8 - b->p);
}

static void put_time(struct cor_buf *b, cor_time t) {
	int64_t rest = t % COR_SECOND;
	if (rest < 0)
		rest += COR_SECOND;
	if (t == 0)
		return;
	put_number(b, 1, (t - rest) / COR_SECOND);
	put_number(b, 2, rest * 1000);
}

static void put_intstr(struct cor_buf *b, const struct cor_intstr *v) {
	put_number(b, 1, v->kind == COR_INTSTR_STR);
	put_number(b, 2, v->i);
	put_bytes(b, 3, v->s);
}

static void put_message(struct cor_buf *b, const struct cor_type *t, const void *obj);

/* The fields of a kind that is a message on the wire. */
static void put_inside(struct cor_buf *b, const struct cor_field *f, const void *at) {
	const struct cor_str *s = at;
	const struct cor_any_list *l = at;
	cor_time d = 0;
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_MESSAGE:
		put_message(b, cor_field_sub(f), at);
		break;
	case COR_FK_RAW:
		if (s->n)
			put_bytes(b, 1, *s);
		break;
	case COR_FK_QUANTITY:
		put_bytes(b, 1, s->n ? *s : COR_STR("0"));
		break;
	case COR_FK_DURATION:
		(void)cor_duration_parse(*s, &d);
		put_number(b, 1, d * 1000);
		break;
	case COR_FK_TIME:
	case COR_FK_MICROTIME:
		put_time(b, *(const cor_time *)at);
		break;
	case COR_FK_INTSTR:
		put_intstr(b, at);
		break;
	case COR_FK_STRINGS:
		for (size_t i = 0; i < l->n; i++)
			put_bytes(b, 1, ((const struct cor_str *)l->p)[i]);
		break;
	default:
		break;
	}
}

static void put_value(struct cor_buf *b, const struct cor_field *f, unsigned number,
		const void *at) {
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_STRING:
	case COR_FK_BYTES:
		put_bytes(b, number, *(const struct cor_str *)at);
		return;
	case COR_FK_BOOL:
		put_number(b, number, *(const bool *)at);
		return;
	case COR_FK_INT32:
		put_number(b, number, *(const int32_t *)at);
		return;
	case COR_FK_INT64:
		put_number(b, number, *(const int64_t *)at);
		return;
	case COR_FK_DOUBLE:
		put_double(b, number, at);
		return;
	default:
		break;
	}
	size_t from = begin(b, number);
	put_inside(b, f, at);
	end(b, from);
}

/* What upstream keeps behind a pointer or in a slice: not written when nil. */
static bool is_absent(const struct cor_field *f, const void *at) {
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_BYTES:
		return ((const struct cor_str *)at)->p == NULL;
	case COR_FK_STRINGS:
		return ((const struct cor_any_list *)at)->p == NULL;
	default:
		break;
	}
	if (!(f->flags & COR_FF_POINTER))
		return false;
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_TIME:
	case COR_FK_MICROTIME:
		return *(const cor_time *)at == 0;
	case COR_FK_INTSTR:
		return ((const struct cor_intstr *)at)->kind == COR_INTSTR_NONE;
	default:
		return ((const struct cor_str *)at)->p == NULL;
	}
}

static void put_field(struct cor_buf *b, const struct cor_field *f, const void *at) {
	const struct cor_any_list *l = at;
	if (f->shape == COR_FS_LIST) {
		for (size_t i = 0; i < l->n; i++)
			put_value(b, f, f->number, cor_list_at(l, i, f));
	} else if (f->shape == COR_FS_MAP) {
		for (size_t i = 0; i < l->n; i++) {
			const char *e = cor_list_at(l, i, f);
			size_t from = begin(b, f->number);
			put_bytes(b, 1, *(const struct cor_str *)(const void *)e);
			put_value(b, f, 2, e + COR_ENTRY_VALUE);
			end(b, from);
		}
	} else if ((f->flags & COR_FF_POINTER) && cor_kind_boxed(f->kind)) {
		const void *box = *(const cor_any_ptr *)at;
		if (box)
			put_value(b, f, f->number, box);
	} else if (!is_absent(f, at)) {
		put_value(b, f, f->number, at);
	}
}

static void put_message(struct cor_buf *b, const struct cor_type *t, const void *obj) {
	for (size_t i = 0; i < t->nproto; i++) {
		const struct cor_field *f = &cor_type_fields(t)[cor_type_bytes[t->proto_order + i]];
		put_field(b, f, cor_field_at(f, obj));
	}
}

int cor_proto_encode(const struct cor_type *t, const void *obj, struct cor_buf *out) {
	put_message(out, t, obj);
	return out->failed ? COR_E_LIMIT : 0;
}

int cor_proto_encode_envelope(const struct cor_type *t, const void *obj, struct cor_buf *out) {
	struct cor_str kind = { NULL, 0 }, version = { NULL, 0 };
	if (t->flags & COR_TF_KIND) {
		kind = *(const struct cor_str *)cor_field_at(&cor_type_fields(t)[0], obj);
		version = *(const struct cor_str *)cor_field_at(&cor_type_fields(t)[1], obj);
	}
	char text[128];
	if (!kind.n)
		kind = cor_str_c(cor_text(t->kind));
	if (!version.n)
		version = (struct cor_str){ text, cor_type_api_version(t, text, sizeof(text)) };
	cor_buf_str(out, COR_PROTO_PREFIX);
	size_t from = begin(out, 1);
	put_bytes(out, 1, version);
	put_bytes(out, 2, kind);
	end(out, from);
	from = begin(out, 2);
	put_message(out, t, obj);
	end(out, from);
	put_bytes(out, 3, COR_STR(""));
	put_bytes(out, 4, COR_STR(""));
	return out->failed ? COR_E_LIMIT : 0;
}
