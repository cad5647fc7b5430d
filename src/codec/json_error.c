// SPDX-License-Identifier: Apache-2.0
// What went wrong in a JSON document, in the words clients know from Go's decoder, and where.
#include <stdio.h>

#include "codec/json_read.h"

/* Steps from the root on: spec.containers[0].image. Map keys are joined like members. */
static void put_path(const struct cor_json_step *s, struct cor_buf *b) {
	if (!s)
		return;
	put_path(s->up, b);
	if (s->name.p) {
		if (b->n)
			cor_buf_byte(b, '.');
		cor_buf_str(b, s->name);
	} else {
		cor_buf_printf(b, "[%zu]", s->index);
	}
}

/* Go's idea of it: struct fields only. */
static void put_go_path(const struct cor_json_step *s, struct cor_buf *b) {
	if (!s)
		return;
	put_go_path(s->up, b);
	if (s->owner) {
		cor_buf_byte(b, '.');
		cor_buf_str(b, s->name);
	}
}

static bool fail_at(struct cor_json_reader *r, const char *at, int code) {
	r->code = code;
	if (r->opts)
		r->opts->offset = (size_t)(at - r->start);
	if (r->err) {
		struct cor_buf b = { .limit = 4096 };
		put_path(r->path, &b);
		snprintf(r->err->field, sizeof(r->err->field), "%.*s", (int)b.n, b.p ? b.p : "");
		cor_buf_fini(&b);
	}
	return false;
}

bool cor_json_bad_char(struct cor_json_reader *r, const char *where) {
	char shown[16];
	if (r->code)
		return false;
	if (r->p >= r->end) {
		r->code = cor_fail(r->err, COR_E_PARSE, "unexpected end of JSON input");
		return fail_at(r, r->end, COR_E_PARSE);
	}
	unsigned char c = (unsigned char)*r->p;
	if (c == '\'' || c == '\\')
		snprintf(shown, sizeof(shown), "'\\%c'", c);
	else if (c == '"')
		snprintf(shown, sizeof(shown), "'\"'");
	else if (c >= 0x20 && c < 0x7f)
		snprintf(shown, sizeof(shown), "'%c'", c);
	else if (c == '\n' || c == '\t' || c == '\r')
		snprintf(shown, sizeof(shown), "'\\%c'", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
	else if (c < 0x80)
		snprintf(shown, sizeof(shown), "'\\x%02x'", c);
	else
		snprintf(shown, sizeof(shown), "'\\u%04x'", c);
	r->code = cor_fail(r->err, COR_E_PARSE, "invalid character %s %s", shown, where);
	return fail_at(r, r->p, COR_E_PARSE);
}

bool cor_json_bad_limit(struct cor_json_reader *r) {
	if (r->code)
		return false;
	if (r->depth > COR_CODEC_DEPTH_MAX)
		r->code = cor_fail(r->err, COR_E_LIMIT, "exceeded max depth");
	else
		r->code = cor_fail(r->err, COR_E_LIMIT, "the object is too large to decode");
	return fail_at(r, r->p, COR_E_LIMIT);
}

static const char *json_kind(const char *at) {
	switch (*at) {
	case '{': return "object";
	case '[': return "array";
	case '"': return "string";
	case 't':
	case 'f': return "bool";
	case 'n': return "null";
	default: return "number";
	}
}

bool cor_json_bad_type(struct cor_json_reader *r, const char *at, const char *type) {
	if (r->code)
		return false;
	/* The rest of the value must be JSON, or that is the error. */
	struct cor_str text;
	r->p = at;
	if (!cor_json_skip(r, &text))
		return false;
	const struct cor_json_step *s = r->path;
	while (s && !s->owner)
		s = s->up;
	char value[64];
	bool number = *at == '-' || (*at >= '0' && *at <= '9');
	bool wants_number = strncmp(type, "int", 3) == 0;
	if (number && wants_number)
		snprintf(value, sizeof(value), "number %.*s", text.n > 50 ? 50 : (int)text.n,
			text.p);
	else
		snprintf(value, sizeof(value), "%s", json_kind(at));
	if (!s) {
		r->code = cor_fail(r->err, COR_E_PARSE,
			"json: cannot unmarshal %s into Go value of type %s", value, type);
	} else {
		struct cor_buf b = { .limit = 4096 };
		put_go_path(r->path, &b);
		const char *owner = cor_text(s->owner->name), *dot = strrchr(owner, '.');
		r->code = cor_fail(r->err, COR_E_PARSE,
			"json: cannot unmarshal %s into Go struct field %s%.*s of type %s", value,
			dot ? dot + 1 : owner, (int)b.n, b.p ? b.p : "", type);
		cor_buf_fini(&b);
	}
	return fail_at(r, at, COR_E_PARSE);
}

bool cor_json_bad_value(struct cor_json_reader *r, const char *at, const char *text) {
	if (r->code)
		return false;
	r->code = cor_fail(r->err, COR_E_PARSE, "%s", text);
	return fail_at(r, at, COR_E_PARSE);
}

void cor_json_note(struct cor_json_reader *r, const char *what, struct cor_str name) {
	if (!r->opts || !r->opts->strict || r->opts->errors.n >= COR_CODEC_ERRORS_MAX)
		return;
	struct cor_buf b = { .limit = 4096 };
	put_path(r->path, &b);
	if (b.n)
		cor_buf_byte(&b, '.');
	cor_buf_str(&b, name);
	struct cor_str *e = cor_arena_push(r->arena, &r->opts->errors);
	if (e)
		*e = cor_arena_printf(r->arena, "%s \"%.*s\"", what, (int)b.n, b.p ? b.p : "");
	if (!e || !e->p)
		(void)cor_json_bad_limit(r);
	cor_buf_fini(&b);
}

void cor_json_go_type(const struct cor_field *f, bool element, char *out, size_t size) {
	static const char *const names[COR_FK_MAX] = {
		[COR_FK_STRING] = "string", [COR_FK_BYTES] = "[]uint8",
		[COR_FK_RAW] = "runtime.RawExtension",
		[COR_FK_QUANTITY] = "resource.Quantity", [COR_FK_DURATION] = "v1.Duration",
		[COR_FK_BOOL] = "bool", [COR_FK_INT32] = "int32", [COR_FK_INT64] = "int64",
		[COR_FK_DOUBLE] = "float64", [COR_FK_TIME] = "v1.Time",
		[COR_FK_MICROTIME] = "v1.MicroTime",
		[COR_FK_INTSTR] = "intstr.IntOrString", [COR_FK_STRINGS] = "[]string",
	};
	const char *prefix = "";
	if (!element && f->shape == COR_FS_LIST)
		prefix = "[]";
	else if (!element && f->shape == COR_FS_MAP)
		prefix = "map[string]";
	const char *name = f->kind == COR_FK_MESSAGE ? cor_text(cor_field_sub(f)->name) : names[f->kind];
	if (f->kind == COR_FK_MESSAGE) {
		/* core.v1.Pod is v1.Pod in Go */
		const char *dot = strchr(name, '.');
		if (dot && strchr(dot + 1, '.'))
			name = dot + 1;
	}
	snprintf(out, size, "%s%s", prefix, name);
}
