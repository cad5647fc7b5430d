// SPDX-License-Identifier: Apache-2.0
// Typed structs to canonical JSON: upstream's order of members, Go's escapes, no white space.
// Text is written straight into the buffer behind one check for room per token.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/access.h"
#include "codec/codec.h"
#include "codec/json_scan.h"

struct writer {
	struct cor_buf *b;
	char *p, *end;                  /* the free part of the buffer */
	bool unversioned;               /* leave out metadata.resourceVersion, note where it goes */
	size_t rv_at;
};

static bool more_room(struct writer *w, size_t n) {
	if (w->b->failed)
		return false;
	if (w->p)
		w->b->n = (size_t)(w->p - w->b->p);
	char *p = cor_buf_reserve(w->b, n < 4096 && !w->b->limit ? 4096 : n);
	w->p = p;
	w->end = p ? w->b->p + w->b->cap : NULL;
	return p != NULL;
}

static inline bool room(struct writer *w, size_t n) {
	return __builtin_expect((size_t)(w->end - w->p) >= n, 1) || more_room(w, n);
}

static inline void put(struct writer *w, const char *text, size_t n) {
	if (room(w, n)) {
		memcpy(w->p, text, n);
		w->p += n;
	}
}
#define PUT(w, literal) put((w), "" literal, sizeof(literal) - 1)

static inline void put_byte(struct writer *w, char c) {
	if (room(w, 1))
		*w->p++ = c;
}

static void put_escape(struct writer *w, const char **text, const char *end) {
	static const char hex[] = "0123456789abcdef";
	static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *s = *text;
	unsigned char c = (unsigned char)*s;
	const char *at = memchr(special, c, sizeof(special) - 1);
	if (!room(w, 6)) {
		*text = end;
		return;
	}
	*text = s + 1;
	if (at) {
		*w->p++ = '\\';
		*w->p++ = letters[at - special];
		return;
	}
	if (c < 0x80) {
		memcpy(w->p, "\\u00", 4);
		w->p[4] = hex[c >> 4];
		w->p[5] = hex[c & 15];
		w->p += 6;
		return;
	}
	unsigned n = cor_utf8_len(s, end);
	if (n == 0) {
		memcpy(w->p, "\\ufffd", 6);
		w->p += 6;
	} else if (n == 3 && c == 0xe2 && s[1] == '\x80' && (s[2] & '\xfe') == '\xa8') {
		memcpy(w->p, s[2] == '\xa8' ? "\\u2028" : "\\u2029", 6);
		w->p += 6;
		*text = s + 3;
	} else {
		memcpy(w->p, s, n);
		w->p += n;
		*text = s + n;
	}
}

static inline bool needs_escape(char c) {
	return cor_is_special(c) || c == '<' || c == '>' || c == '&';
}

#ifdef __SSE2__
/* One bit for each byte that Go escapes or that may begin what it escapes. */
static inline unsigned escape_mask(__m128i v) {
	const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'),
		low = _mm_set1_epi8(0x20), lt = _mm_set1_epi8('<'), two = _mm_set1_epi8(2),
		amp = _mm_set1_epi8('&');
	__m128i bad = _mm_or_si128(
		_mm_or_si128(_mm_cmplt_epi8(v, low), _mm_cmpeq_epi8(v, quote)),
		_mm_or_si128(_mm_cmpeq_epi8(v, back), _mm_or_si128(_mm_cmpeq_epi8(v, amp),
			/* '<' is 0x3c and '>' is 0x3e: equal when bit 1 is cleared */
			_mm_cmpeq_epi8(_mm_andnot_si128(two, v), lt))));
	return (unsigned)_mm_movemask_epi8(bad);
}
#endif

/* Copies a whole text without anything to escape, in overlapping pieces; false (and o is scratch)
 * when there is something. There is room for n + 16 at o. */
static inline bool copy_whole(char *o, const char *s, size_t n) {
#ifdef __SSE2__
	if (n >= 16) {
		for (size_t i = 0; i + 16 < n; i += 16) {
			__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
			_mm_storeu_si128((__m128i *)(void *)(o + i), v);
			if (escape_mask(v))
				return false;
		}
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s + n - 16));
		_mm_storeu_si128((__m128i *)(void *)(o + n - 16), v);
		return escape_mask(v) == 0;
	}
	uint64_t a = 0x2020202020202020u, b = a;
	if (n >= 8) {
		memcpy(&a, s, 8);
		memcpy(&b, s + n - 8, 8);
		memcpy(o, &a, 8);
		memcpy(o + n - 8, &b, 8);
	} else if (n >= 4) {
		memcpy(&a, s, 4);
		memcpy(&b, s + n - 4, 4);
		memcpy(o, &a, 4);
		memcpy(o + n - 4, &b, 4);
	} else {
		for (size_t i = 0; i < n; i++) {
			if (needs_escape(s[i]))
				return false;
			o[i] = s[i];
		}
		return true;
	}
	return escape_mask(_mm_set_epi64x((long long)b, (long long)a)) == 0;
#else
	for (size_t i = 0; i < n; i++) {
		if (needs_escape(s[i]))
			return false;
		o[i] = s[i];
	}
	return true;
#endif
}

static void put_escaped(struct writer *w, const char *s, const char *end) {
	while (s < end && room(w, 1)) {
		if (needs_escape(*s))
			put_escape(w, &s, end);
		else
			*w->p++ = *s++;
	}
	put_byte(w, '"');
}

static inline void put_str(struct writer *w, struct cor_str text) {
	if (!room(w, text.n + 18))
		return;
	*w->p++ = '"';
	if (__builtin_expect(copy_whole(w->p, text.p, text.n), 1)) {
		w->p += text.n;
		*w->p++ = '"';
	} else {
		put_escaped(w, text.p, text.p + text.n);
	}
}

static void put_int(struct writer *w, int64_t v) {
	char digits[20];
	size_t n = sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do {
		digits[--n] = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		put_byte(w, '-');
	put(w, digits + n, sizeof(digits) - n);
}

/* Go's form: shortest digits that read back equal, exponent form outside 1e-6 .. 1e21. */
static void put_double(struct writer *w, double v) {
	char text[64];
	int n = 0;
	if (!isfinite(v)) {
		PUT(w, "null");
		return;
	}
	for (int digits = 1; digits <= 17; digits++) {
		n = snprintf(text, sizeof(text), "%.*e", digits - 1, v);
		if (strtod(text, NULL) == v)
			break;
	}
	double a = fabs(v);
	char *e = strchr(text, 'e');
	int exponent = (int)strtol(e + 1, NULL, 10);
	if (a != 0 && (a < 1e-6 || a >= 1e21)) {
		n = (int)(e - text) + snprintf(e, 8, "e%+03d", exponent);
		/* e-09 becomes e-9 */
		if (e[1] == '-' && e[2] == '0') {
			e[2] = e[3];
			n--;
		}
	} else {
		int decimals = (int)(e - text) - (text[0] == '-') - 1;
		decimals = (decimals > 0 ? decimals - 1 : 0) - exponent;
		n = snprintf(text, sizeof(text), "%.*f", decimals > 0 ? decimals : 0, v);
	}
	put(w, text, (size_t)n);
}

static void put_time(struct writer *w, cor_time t, bool micro) {
	char text[COR_TIME_TEXT_MAX];
	size_t n = cor_time_format(t, micro, text);
	put_byte(w, '"');
	put(w, text, n);
	put_byte(w, '"');
}

/* JSON as it is, without white space, with Go's escapes inside strings. */
static void put_raw(struct writer *w, struct cor_str s) {
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!quoted && (c == ' ' || c == '\n' || c == '\t' || c == '\r'))
			continue;
		if (c == '"')
			quoted = !quoted;
		if (quoted && c == '\\' && i + 1 < s.n) {
			put(w, s.p + i++, 2);
		} else if (c == '<' || c == '>' || c == '&' || (c == '\xe2' && i + 2 < s.n)) {
			const char *at = s.p + i;
			put_escape(w, &at, s.p + s.n);
			i = (size_t)(at - s.p) - 1;
		} else {
			put_byte(w, c);
		}
	}
}

static void put_base64(struct writer *w, struct cor_str s) {
	put_byte(w, '"');
	if (room(w, s.n / 3 * 4 + 4)) {
		w->b->n = (size_t)(w->p - w->b->p);
		cor_base64_encode(w->b, s);
		w->p = w->b->p + w->b->n;
	}
	put_byte(w, '"');
}

static void put_message(struct writer *w, const struct cor_type *t, const void *obj);

static void put_intstr(struct writer *w, const struct cor_intstr *v) {
	if (v->kind == COR_INTSTR_STR)
		put_str(w, v->s);
	else
		put_int(w, v->i);
}

static void put_strings(struct writer *w, const struct cor_any_list *l) {
	const struct cor_str *s = l->p;
	put_byte(w, '[');
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			put_byte(w, ',');
		put_str(w, s[i]);
	}
	put_byte(w, ']');
}

/* A value at its place; absent ones as upstream prints a zero value. */
static void put_value(struct writer *w, const struct cor_field *f, const void *at) {
	const struct cor_str *s = at;
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_STRING:
		put_str(w, *s);
		return;
	case COR_FK_MESSAGE:
		put_message(w, cor_field_sub(f), at);
		return;
	case COR_FK_INT32:
		put_int(w, *(const int32_t *)at);
		return;
	case COR_FK_INT64:
		put_int(w, *(const int64_t *)at);
		return;
	case COR_FK_BOOL:
		if (*(const bool *)at)
			PUT(w, "true");
		else
			PUT(w, "false");
		return;
	case COR_FK_DOUBLE:
		put_double(w, *(const double *)at);
		return;
	case COR_FK_TIME:
	case COR_FK_MICROTIME:
		if (*(const cor_time *)at)
			put_time(w, *(const cor_time *)at, f->kind == COR_FK_MICROTIME);
		else
			PUT(w, "null");
		return;
	case COR_FK_QUANTITY:
		put_str(w, s->n ? *s : COR_STR("0"));
		return;
	case COR_FK_DURATION:
		put_str(w, s->n ? *s : COR_STR("0s"));
		return;
	case COR_FK_BYTES:
		if (s->p)
			put_base64(w, *s);
		else
			PUT(w, "null");
		return;
	case COR_FK_RAW:
		if (s->n)
			put_raw(w, *s);
		else
			PUT(w, "null");
		return;
	case COR_FK_INTSTR:
		put_intstr(w, at);
		return;
	case COR_FK_STRINGS:
		put_strings(w, at);
		return;
	case COR_FK_MAX:
		break;
	}
}

static void put_list(struct writer *w, const struct cor_field *f, const struct cor_any_list *l) {
	put_byte(w, '[');
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			put_byte(w, ',');
		put_value(w, f, cor_list_at(l, i, f));
	}
	put_byte(w, ']');
}

static void put_map(struct writer *w, const struct cor_field *f, const struct cor_any_list *m) {
	put_byte(w, '{');
	for (size_t i = 0; i < m->n; i++) {
		const char *e = cor_list_at(m, i, f);
		if (i)
			put_byte(w, ',');
		put_str(w, *(const struct cor_str *)(const void *)e);
		put_byte(w, ':');
		put_value(w, f, e + COR_ENTRY_VALUE);
	}
	put_byte(w, '}');
}

/* Whether the value of a single field counts as empty, that is omitted unless COR_FF_ALWAYS. */
static inline bool is_empty(const struct cor_field *f, const void *at) {
	switch ((enum cor_field_kind)f->kind) {
	case COR_FK_STRING:
		return (f->flags & COR_FF_POINTER) ? !((const struct cor_str *)at)->p :
			((const struct cor_str *)at)->n == 0;
	case COR_FK_BYTES:
	case COR_FK_RAW:
	case COR_FK_QUANTITY:
	case COR_FK_DURATION:
		return ((const struct cor_str *)at)->n == 0;
	case COR_FK_BOOL:
		return !*(const bool *)at;
	case COR_FK_INT32:
		return *(const int32_t *)at == 0;
	case COR_FK_INT64:
	case COR_FK_TIME:
	case COR_FK_MICROTIME:
		return *(const int64_t *)at == 0;
	case COR_FK_DOUBLE:
		return *(const double *)at == 0;
	case COR_FK_INTSTR:
		return ((const struct cor_intstr *)at)->kind == COR_INTSTR_NONE;
	case COR_FK_STRINGS:
		return ((const struct cor_any_list *)at)->n == 0;
	case COR_FK_MESSAGE:
		return cor_is_zero(at, cor_field_sub(f)->size);
	case COR_FK_MAX:
		break;
	}
	return true;
}

static inline void put_name(struct writer *w, const struct cor_field *f, bool *first) {
	size_t n = f->json_n + 1u;
	if (!room(w, n + 3 + 16))
		return;
	*w->p = ',';
	w->p += !*first;
	*first = false;
	/* the quote in front comes with the name, see type.h */
	const char *quoted = cor_field_json(f) - 1;
	for (size_t i = 0; i < n; i += 16)
		memcpy(w->p + i, quoted + i, 16);
	memcpy(w->p + n, "\":", 2);
	w->p += n + 2;
}

static void put_null_or_empty(struct writer *w, const struct cor_field *f, bool given) {
	if (f->shape == COR_FS_MAP && given)
		PUT(w, "{}");
	else if (given || (f->flags & COR_FF_ITEMS))
		PUT(w, "[]");
	else
		PUT(w, "null");
}

/* True when JSON leaves the field out, except for messages by value, which put_field looks at. */
static inline bool is_omitted(const struct cor_field *f, const void *obj) {
	typedef uint64_t word __attribute__((may_alias));
	uint64_t v = *(const word *)(const void *)((const char *)obj + f->omit_at);
	return ((v & f->omit_mask) | f->keep) == 0;
}

static void put_field(struct writer *w, const struct cor_field *f, const void *at, bool *first) {
	bool always = f->flags & COR_FF_ALWAYS;
	if (f->shape != COR_FS_ONE) {
		const struct cor_any_list *l = at;
		if (l->n == 0 && !always)
			return;
		put_name(w, f, first);
		if (l->n == 0)
			put_null_or_empty(w, f, l->p != NULL);
		else if (f->shape == COR_FS_LIST)
			put_list(w, f, l);
		else
			put_map(w, f, l);
		return;
	}
	if (f->flags & COR_FF_POINTER) {
		bool boxed = cor_kind_boxed(f->kind);
		const void *box = boxed ? *(const cor_any_ptr *)at : NULL;
		bool empty = boxed ? !box : is_empty(f, at);
		if (empty && !always)
			return;
		put_name(w, f, first);
		if (empty)
			PUT(w, "null");
		else
			put_value(w, f, boxed ? box : at);
		return;
	}
	if (!always && is_empty(f, at))
		return;
	put_name(w, f, first);
	if (f->kind == COR_FK_STRINGS && ((const struct cor_any_list *)at)->p == NULL)
		PUT(w, "null");
	else
		put_value(w, f, at);
}

static void put_union(struct writer *w, const struct cor_type *t, const void *obj) {
	const struct cor_field *schema = cor_type_field(t, COR_STR("schema"));
	const struct cor_field *other = &cor_type_fields(t)[schema == cor_type_fields(t) ? 1 : 0];
	const void *at = *(const cor_any_ptr *)cor_field_at(schema, obj);
	if (at)
		put_message(w, cor_field_sub(schema), at);
	else if (other->shape == COR_FS_LIST && ((const struct cor_any_list *)
			cor_field_at(other, obj))->p)
		put_list(w, other, cor_field_at(other, obj));
	else if (other->shape == COR_FS_LIST)
		PUT(w, "null");
	else
		put_value(w, other, cor_field_at(other, obj));
}

static size_t written(const struct writer *w) {
	return w->p ? (size_t)(w->p - w->b->p) : w->b->n;
}

/* ObjectMeta without its resourceVersion. The member would stand in front of the first one that
 * follows it, or of all when none does, so that it can always be put in with a comma behind. */
static void put_metadata(struct writer *w, const struct cor_type *t, const void *obj) {
	bool first = true, found = false;
	size_t before = written(w) + 1;
	put_byte(w, '{');
	w->rv_at = 0;
	for (size_t i = 0; i < t->nfields; i++) {
		const struct cor_field *f = &cor_type_fields(t)[i];
		if (f->json_n == 15 && memcmp(cor_field_json(f), "resourceVersion", 15) == 0) {
			found = true;
			continue;
		}
		size_t at = written(w);
		bool was_first = first;
		put_field(w, f, cor_field_at(f, obj), &first);
		if (found && !w->rv_at && written(w) != at)
			w->rv_at = at + (was_first ? 0 : 1);
	}
	if (!w->rv_at)
		w->rv_at = before;
	put_byte(w, '}');
}

static void put_message(struct writer *w, const struct cor_type *t, const void *obj) {
	bool first = true;
	if (__builtin_expect(t->union_kind, 0)) {
		put_union(w, t, obj);
		return;
	}
	put_byte(w, '{');
	for (size_t i = 0; i < t->nfields; i++) {
		const struct cor_field *f = &cor_type_fields(t)[i];
		if (is_omitted(f, obj))
			continue;
		const void *at = cor_field_at(f, obj);
		if (__builtin_expect(w->unversioned, 0) && f->kind == COR_FK_MESSAGE &&
				f->json_n == 8 && memcmp(cor_field_json(f), "metadata", 8) == 0) {
			/* only that of the object itself, not of templates in it */
			w->unversioned = false;
			put_name(w, f, &first);
			put_metadata(w, cor_field_sub(f), at);
			continue;
		}
		put_field(w, f, at, &first);
	}
	put_byte(w, '}');
}

static int finish(struct writer *w) {
	if (w->p)
		w->b->n = (size_t)(w->p - w->b->p);
	return w->b->failed ? COR_E_LIMIT : 0;
}

int cor_json_encode(const struct cor_type *t, const void *obj, struct cor_buf *out) {
	struct writer w = { .b = out };
	put_message(&w, t, obj);
	return finish(&w);
}

int cor_json_encode_unversioned(const struct cor_type *t, const void *obj, struct cor_buf *out,
		size_t *ret_rv_at) {
	struct writer w = { .b = out, .unversioned = true };
	put_message(&w, t, obj);
	*ret_rv_at = w.rv_at;
	return finish(&w);
}

void cor_json_write_str(struct cor_buf *out, struct cor_str s) {
	struct writer w = { .b = out };
	put_str(&w, s);
	(void)finish(&w);
}
