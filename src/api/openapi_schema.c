// SPDX-License-Identifier: Apache-2.0
// Types as OpenAPI schemas. A document holds the types that its resources reach, found by walking the
// tables; values that are no message (times, quantities, ...) have schemas of their own.
#include "api/openapi.h"

#include "base/map.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "gen/meta_v1.h"

static const struct { const char *package, *prefix; } packages[] = {
	{ "meta.", "io.k8s.apimachinery.pkg.apis." },
	{ "runtime.", "io.k8s.apimachinery.pkg." },
	{ "apiextensions.", "io.k8s.apiextensions-apiserver.pkg.apis." },
	{ "apiregistration.", "io.k8s.kube-aggregator.pkg.apis." },
};

void cor_openapi_name(const struct cor_type *t, struct cor_buf *out) {
	const char *prefix = "io.k8s.api.";
	for (size_t i = 0; i < cor_countof(packages); i++)
		if (cor_str_starts(cor_str_c(cor_text(t->name)), cor_str_c(packages[i].package)))
			prefix = packages[i].prefix;
	cor_buf_c(out, prefix);
	cor_buf_c(out, cor_text(t->name));
}

static const char *ref_base(enum cor_openapi v) {
	return v == COR_OPENAPI_V2 ? "#/definitions/" : "#/components/schemas/";
}

void cor_openapi_ref(enum cor_openapi v, const struct cor_type *t, struct cor_buf *out) {
	cor_buf_printf(out, "{\"$ref\":\"%s", ref_base(v));
	cor_openapi_name(t, out);
	cor_buf_c(out, "\"}");
}

/* ---- which types ---- */

struct reach {
	const struct cor_type **p;
	size_t n;
	struct cor_map seen;
};

static void visit(struct reach *r, const struct cor_type *t) {
	if (cor_map_get(&r->seen, cor_str_c(cor_text(t->name))))
		return;
	(void)cor_map_put(&r->seen, cor_str_c(cor_text(t->name)), (void *)(uintptr_t)t);
	r->p[r->n++] = t;
}

static void walk(struct reach *r) {
	for (size_t i = 0; i < r->n; i++)
		for (size_t j = 0; j < r->p[i]->nfields; j++) {
			const struct cor_field *f = &cor_type_fields(r->p[i])[j];
			if (!(f->flags & COR_FF_INLINE) && f->kind == COR_FK_MESSAGE)
				visit(r, cor_field_sub(f));
		}
}

/* ---- values ---- */

#define QUANTITY "io.k8s.apimachinery.pkg.api.resource.Quantity"
#define INTSTR "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
#define TIME "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
#define MICROTIME "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"
#define PATCH "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"

static const struct { const char *name, *v2, *v3; } values[] = {
	{ QUANTITY, "{\"type\":\"string\"}", "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}" },
	{ INTSTR, "{\"type\":\"string\",\"format\":\"int-or-string\"}",
		"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"format\":\"int-or-string\"}" },
	{ TIME, "{\"type\":\"string\",\"format\":\"date-time\"}",
		"{\"type\":\"string\",\"format\":\"date-time\"}" },
	{ MICROTIME, "{\"type\":\"string\",\"format\":\"date-time\"}",
		"{\"type\":\"string\",\"format\":\"date-time\"}" },
	{ PATCH, "{\"type\":\"object\"}", "{\"type\":\"object\"}" },
};

static void write_value(enum cor_openapi v, const struct cor_field *f, struct cor_buf *out) {
	static const struct { const char *text, *ref; } kinds[COR_FK_MAX] = {
		[COR_FK_STRING] = { "{\"type\":\"string\"}", NULL },
		[COR_FK_BYTES] = { "{\"type\":\"string\",\"format\":\"byte\"}", NULL },
		[COR_FK_RAW] = { "{\"type\":\"object\"}", NULL },
		[COR_FK_QUANTITY] = { NULL, QUANTITY },
		[COR_FK_DURATION] = { "{\"type\":\"string\"}", NULL },
		[COR_FK_BOOL] = { "{\"type\":\"boolean\"}", NULL },
		[COR_FK_INT32] = { "{\"type\":\"integer\",\"format\":\"int32\"}", NULL },
		[COR_FK_INT64] = { "{\"type\":\"integer\",\"format\":\"int64\"}", NULL },
		[COR_FK_DOUBLE] = { "{\"type\":\"number\",\"format\":\"double\"}", NULL },
		[COR_FK_TIME] = { NULL, TIME },
		[COR_FK_MICROTIME] = { NULL, MICROTIME },
		[COR_FK_INTSTR] = { NULL, INTSTR },
		[COR_FK_STRINGS] = { "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", NULL },
	};
	if (f->kind == COR_FK_MESSAGE)
		cor_openapi_ref(v, cor_field_sub(f), out);
	else if (kinds[f->kind].ref)
		cor_buf_printf(out, "{\"$ref\":\"%s%s\"}", ref_base(v), kinds[f->kind].ref);
	else
		cor_buf_c(out, kinds[f->kind].text);
}

/* Takes the closing brace off, so that more members can follow. */
static void reopen(struct cor_buf *out) {
	out->n--;
	cor_buf_byte(out, ',');
}

static void write_texts(const char *member, cor_text_at list, struct cor_buf *out) {
	cor_buf_printf(out, "\"%s\":[", member);
	for (const char *p = cor_text(list); *p; p = cor_text_next(p))
		cor_buf_printf(out, "%s\"%s\"", p == cor_text(list) ? "" : ",", p);
	cor_buf_c(out, "]}");
}

static void write_extensions(const struct cor_field *f, struct cor_buf *out) {
	static const char *const list_types[] = { "atomic", "set", "map" };
	const struct cor_field_info *i = cor_field_info(f);
	if (f->shape == COR_FS_LIST && (i->list_type != COR_LT_ATOMIC || i->keys)) {
		reopen(out);
		cor_buf_printf(out, "\"x-kubernetes-list-type\":\"%s\"}", list_types[i->list_type]);
	}
	if (i->keys) {
		reopen(out);
		write_texts("x-kubernetes-list-map-keys", i->keys, out);
	}
	bool merge = f->flags & COR_FF_PATCH_MERGE, retain = f->flags & COR_FF_PATCH_RETAIN_KEYS;
	if (merge || retain) {
		reopen(out);
		cor_buf_printf(out, "\"x-kubernetes-patch-strategy\":\"%s%s%s\"}", merge ? "merge" : "",
			merge && retain ? "," : "", retain ? "retainKeys" : "");
	}
	if (i->merge_key) {
		reopen(out);
		cor_buf_printf(out, "\"x-kubernetes-patch-merge-key\":\"%s\"}", cor_text(i->merge_key));
	}
}

static void write_field(enum cor_openapi v, const struct cor_field *f, struct cor_buf *out) {
	const struct cor_field_info *i = cor_field_info(f);
	bool described = i->description != 0;
	bool plain = f->shape == COR_FS_ONE;
	/* In v3 a reference stands alone, so what is said beside it goes around it. */
	size_t from = out->n;
	if (f->shape == COR_FS_LIST)
		cor_buf_c(out, "{\"type\":\"array\",\"items\":");
	else if (f->shape == COR_FS_MAP)
		cor_buf_c(out, "{\"type\":\"object\",\"additionalProperties\":");
	size_t value = out->n;
	write_value(v, f, out);
	bool ref = !out->failed && out->n - value > 7 && memcmp(out->p + value, "{\"$ref\"", 7) == 0;
	if (!plain)
		cor_buf_byte(out, '}');
	if (plain && ref && v == COR_OPENAPI_V3 && described) {
		_cleanup_buf_ struct cor_buf inner = COR_BUF_INIT;
		cor_buf_add(&inner, out->p + from, out->n - from);
		out->n = from;
		cor_buf_c(out, "{\"allOf\":[");
		cor_buf_str(out, cor_buf_view(&inner));
		cor_buf_c(out, "]}");
	}
	if (described && !out->failed) {
		reopen(out);
		cor_buf_c(out, "\"description\":");
		cor_json_write_str(out, cor_str_c(cor_text(i->description)));
		cor_buf_byte(out, '}');
	}
	if (plain && i->enums) {
		reopen(out);
		write_texts("enum", i->enums, out);
	}
	write_extensions(f, out);
}

/* ---- types ---- */

static void write_gvk(const struct cor_type *t, struct cor_buf *out) {
	if (!t->kind)
		return;
	const char *group = strcmp(cor_text(t->group), "meta.k8s.io") == 0 ? "" : cor_text(t->group);
	cor_buf_printf(out, ",\"x-kubernetes-group-version-kind\":[{\"group\":\"%s\",\"kind\":\"%s\","
		"\"version\":\"%s\"}]", group, cor_text(t->kind), cor_text(t->version));
}

static void write_type(enum cor_openapi v, const struct cor_type *t, struct cor_buf *out) {
	bool first = true, required = false;
	cor_buf_c(out, "{\"description\":");
	cor_json_write_str(out, cor_str_c(cor_text(t->description)));
	if (t->union_kind != COR_UNION_NONE) {
		cor_buf_byte(out, '}');         /* one thing or another: anything goes */
		return;
	}
	cor_buf_c(out, ",\"type\":\"object\"");
	for (size_t i = 0; i < t->nfields; i++) {
		const struct cor_field *f = &cor_type_fields(t)[i];
		if (f->flags & COR_FF_INLINE)
			continue;
		cor_buf_printf(out, "%s\"%s\":", first ? ",\"properties\":{" : ",", cor_field_json(f));
		write_field(v, f, out);
		first = false;
	}
	if (!first)
		cor_buf_byte(out, '}');
	for (size_t i = 0; i < t->nfields; i++) {
		const struct cor_field *f = &cor_type_fields(t)[i];
		if (!(f->flags & COR_FF_REQUIRED) || (f->flags & COR_FF_INLINE))
			continue;
		cor_buf_printf(out, "%s\"%s\"", required ? "," : ",\"required\":[", cor_field_json(f));
		required = true;
	}
	if (required)
		cor_buf_byte(out, ']');
	write_gvk(t, out);
	cor_buf_byte(out, '}');
}

void cor_openapi_schemas(enum cor_openapi v, const struct cor_type *const *roots, size_t n,
	struct cor_buf *out) {
	struct reach r = { .p = cor_calloc(cor_types_n + 1, sizeof(*r.p)) };
	for (size_t i = 0; i < n; i++)
		visit(&r, roots[i]);
	walk(&r);
	for (size_t i = 0; i < cor_countof(values); i++)
		cor_buf_printf(out, "%s\"%s\":%s", i ? "," : "", values[i].name,
			v == COR_OPENAPI_V2 ? values[i].v2 : values[i].v3);
	/* In the order of their names, so that a hash says whether anything changed. */
	for (size_t i = 0; i < cor_types_n; i++) {
		if (!cor_map_get(&r.seen, cor_str_c(cor_text(cor_types[i].name))))
			continue;
		cor_buf_c(out, ",\"");
		cor_openapi_name(&cor_types[i], out);
		cor_buf_c(out, "\":");
		write_type(v, &cor_types[i], out);
	}
	cor_map_fini(&r.seen);
	free(r.p);
}
