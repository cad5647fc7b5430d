// SPDX-License-Identifier: Apache-2.0
// Answers in the negotiated form. The common case - JSON as it is stored - is sent from the blob
// without a copy; every other form is made from that JSON.
#include "api/http_priv.h"

#include <stdio.h>

#include "api/table.h"
#include "codec/tree.h"
#include "gen/autoscaling_v1.h"

const char *api_content_type_text(const struct api_req *q) {
	static const char *const types[API_FORMAT_MAX] = {
		[API_JSON] = "application/json",
		[API_YAML] = "application/yaml",
		[API_PROTO] = "application/vnd.kubernetes.protobuf",
	};
	return types[q->format];
}

void api_reply_text(struct api_req *q, int status, struct cor_str text) {
	q->status = status;
	cor_http_set_header(q->http, "x-content-type-options", COR_STR("nosniff"));
	cor_http_set_header(q->http, "cache-control", COR_STR("no-cache, private"));
	cor_http_reply(q->http, status, "text/plain; charset=utf-8", text);
}

static bool to_yaml(struct api_req *q, struct cor_str json, struct cor_buf *out) {
	struct cor_err err;
	struct cor_node *n = cor_node_parse(q->arena, json, NULL, &err);
	if (n)
		api_print_yaml(out, n);
	return n != NULL;
}

static bool to_proto(struct api_req *q, const struct cor_type *t, struct cor_str json,
	struct cor_buf *out) {
	struct cor_decode d = { .arena = q->arena };
	struct cor_err err;
	void *obj;
	return t && cor_json_decode_new(t, json, &obj, &d, &err) >= 0 &&
		cor_proto_encode_envelope(t, obj, out) >= 0;
}

static bool to_pretty(struct api_req *q, struct cor_str json, struct cor_buf *out) {
	struct cor_err err;
	struct cor_node *n = cor_node_parse(q->arena, json, NULL, &err);
	if (n)
		cor_node_print(out, n, COR_PRINT_PRETTY);
	cor_buf_byte(out, '\n');
	return n != NULL;
}

static void send(struct api_req *q, int status, const char *type, const struct cor_piece *p, size_t n) {
	q->status = status;
	cor_http_set_header(q->http, "cache-control", COR_STR("no-cache, private"));
	cor_http_reply_pieces(q->http, status, type, p, n);
}

void api_reply_json(struct api_req *q, int status, const struct cor_type *t, struct cor_str json) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	const char *type = api_content_type_text(q);
	bool made = false;
	if (q->format == API_YAML)
		made = to_yaml(q, json, &out);
	else if (q->format == API_PROTO)
		made = to_proto(q, t, json, &out);
	else if (q->pretty)
		made = to_pretty(q, json, &out);
	if (made && !out.failed) {
		struct cor_piece p = { .data = cor_buf_view(&out) };
		send(q, status, type, &p, 1);
		return;
	}
	struct cor_piece p[] = { { .data = json }, { .data = COR_STR("\n") } };
	send(q, status, "application/json", p, 2);
}

/* ---- objects ---- */

void api_release_blob(void *blob) {
	cor_obj_unref(blob);
}

struct cor_str api_blob_json(struct api_req *q, struct cor_obj *blob, struct cor_arena *a,
	struct cor_err *err) {
	const struct cor_resource *stored = &cor_resources[blob->res];
	if (!q->res || q->res == stored)
		return blob->json;
	void *obj = cor_obj_decode(blob, a, err);
	void *other = obj ? cor_convert(stored, q->res, obj, a) : NULL;
	if (!other) {
		if (obj)
			(void)!cor_fail(err, COR_E_LIMIT, "the object is too large");
		return (struct cor_str){ 0 };
	}
	struct cor_buf *b = &q->api->registry->encode;
	cor_buf_clear(b);
	(void)cor_json_encode(q->res->type, other, b);
	return cor_arena_str(a, cor_buf_view(b));
}

struct cor_str api_metadata_of(struct cor_str json) {
	static const char key[] = "\"metadata\":{";
	const char *at = memmem(json.p, json.n, key, sizeof(key) - 1);
	if (!at)
		return COR_STR("{}");
	const char *from = at + sizeof(key) - 2, *end = json.p + json.n;
	size_t depth = 0;
	bool text = false;
	for (const char *p = from; p < end; p++) {
		if (text) {
			if (*p == '\\')
				p++;
			else if (*p == '"')
				text = false;
		} else if (*p == '"') {
			text = true;
		} else if (*p == '{') {
			depth++;
		} else if (*p == '}' && --depth == 0) {
			return (struct cor_str){ from, (size_t)(p + 1 - from) };
		}
	}
	return COR_STR("{}");
}

void api_write_partial(struct api_req *q, struct cor_str json, struct cor_buf *out) {
	cor_buf_printf(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/%s\","
		"\"metadata\":", q->meta_version);
	cor_buf_str(out, api_metadata_of(json));
	cor_buf_byte(out, '}');
}

bool api_check_include(struct api_req *q) {
	static const char *const known[] = { "", "Metadata", "Object", "None" };
	struct cor_str v = cor_http_param(q->http, "includeObject");
	if (q->transform != API_TABLE || !v.p)
		return true;
	for (size_t i = 0; i < cor_countof(known); i++)
		if (cor_str_eq_c(v, known[i]))
			return true;
	api_fail_status(q, COR_REASON_BAD_REQUEST, "Unable to convert to Table as requested: "
		"includeObject: Invalid value: \"%.*s\": must be 'Metadata', 'Object', 'None', or empty",
		COR_STR_ARG(v));
	return false;
}

int api_write_row(struct api_req *q, struct cor_str json, const void *typed, struct cor_arena *a,
	struct cor_buf *out, struct cor_err *err) {
	void *obj = NULL;
	struct cor_decode d = { .arena = a };
	if (!typed) {
		int status = cor_json_decode_new(q->res->type, json, &obj, &d, err);
		if (status < 0)
			return status;
		typed = obj;
	}
	struct cor_str include = cor_http_param(q->http, "includeObject");
	cor_buf_c(out, "{\"cells\":");
	int status = cor_table_cells(q->res, typed, cor_now(q->api->world), a, out);
	if (status < 0)
		return cor_fail(err, status, "the table is too large");
	cor_table_row_conditions(q->res, typed, out);
	cor_buf_c(out, ",\"object\":");
	if (cor_str_eq_c(include, "Object"))
		cor_buf_str(out, json);
	else if (cor_str_eq_c(include, "None"))
		cor_buf_c(out, "null");
	else
		api_write_partial(q, json, out);
	cor_buf_byte(out, '}');
	return 0;
}

void api_write_table_head(struct api_req *q, struct cor_str meta, bool columns, struct cor_buf *out) {
	cor_buf_printf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":%.*s,"
		"\"columnDefinitions\":", q->meta_version, COR_STR_ARG(meta));
	if (!columns || !cor_table_columns(q->res, out))
		cor_buf_c(out, "null");
	cor_buf_c(out, ",\"rows\":[");
}

static void reply_table(struct api_req *q, int status, struct cor_str json) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	struct cor_err err;
	struct cor_decode d = { .arena = q->arena };
	void *obj;
	if (!api_check_include(q))
		return;
	if (cor_json_decode_new(q->res->type, json, &obj, &d, &err) < 0) {
		api_fail(q, &err);
		return;
	}
	const meta_v1_ObjectMeta *m = cor_meta_const(q->res->type, obj);
	struct cor_str meta = cor_arena_printf(q->arena, "{\"resourceVersion\":\"%.*s\"}",
		COR_STR_ARG(m->resourceVersion));
	api_write_table_head(q, meta, true, &out);
	if (api_write_row(q, json, obj, q->arena, &out, &err) < 0) {
		api_fail(q, &err);
		return;
	}
	cor_buf_c(&out, "]}");
	api_reply_json(q, status, NULL, cor_buf_view(&out));
}

static void reply_scale_table(struct api_req *q, int status, struct cor_str json) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	struct cor_err err;
	struct cor_decode d = { .arena = q->arena };
	struct autoscaling_v1_Scale scale = { 0 };
	if (cor_json_decode(&cor_type_autoscaling_v1_Scale, json, &scale, &d, &err) < 0) {
		api_fail(q, &err);
		return;
	}
	cor_buf_printf(&out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":{\"resourceVersion\":\"%.*s\"},"
		"\"columnDefinitions\":", q->meta_version, COR_STR_ARG(scale.metadata.resourceVersion));
	cor_table_scale_columns(&out);
	cor_buf_c(&out, ",\"rows\":[{\"cells\":");
	cor_table_scale_cells(&scale, cor_now(q->api->world), q->arena, &out);
	cor_buf_c(&out, ",\"object\":");
	api_write_partial(q, json, &out);
	cor_buf_c(&out, "}]}");
	api_reply_json(q, status, NULL, cor_buf_view(&out));
}

static void reply_partial(struct api_req *q, int status, struct cor_str json) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	api_write_partial(q, json, &out);
	api_reply_json(q, status, &cor_type_meta_v1_PartialObjectMetadata, cor_buf_view(&out));
}

/* What is no object of the endpoint's kind (a Status) goes out as it is, but a Scale has a table too. */
static bool is_of_kind(const struct api_req *q, struct cor_str json) {
	char want[200];
	int n = snprintf(want, sizeof(want), "{\"kind\":\"%s\",", q->res->kind);
	return cor_str_starts(json, (struct cor_str){ want, (size_t)n });
}

void api_reply_object(struct api_req *q, int status, struct cor_obj *blob, struct cor_str json) {
	struct cor_err err;
	if (blob) {
		json = api_blob_json(q, blob, q->arena, &err);
		if (!json.p) {
			api_fail(q, &err);
			return;
		}
	}
	if (q->transform != API_PLAIN && is_of_kind(q, json)) {
		if (q->transform == API_TABLE)
			reply_table(q, status, json);
		else if (q->transform == API_META)
			reply_partial(q, status, json);
		else
			api_fail_status(q, COR_REASON_NOT_ACCEPTABLE, "you requested "
				"PartialObjectMetadataList, but the requested object is not a list (%s)",
				q->res->kind);
		return;
	}
	if (q->transform == API_TABLE && cor_str_starts(json, COR_STR("{\"kind\":\"Scale\","))) {
		reply_scale_table(q, status, json);
		return;
	}
	if (!blob || json.p != blob->json.p || q->format != API_JSON || q->pretty) {
		const struct cor_type *t = is_of_kind(q, json) ? q->res->type : cor_str_starts(json,
			COR_STR("{\"kind\":\"Status\",")) ? &cor_type_meta_v1_Status : q->sub
			? q->sub->type : NULL;
		api_reply_json(q, status, t, json);
		return;
	}
	struct cor_piece p[] = {
		{ .data = json, .release = api_release_blob, .owner = cor_obj_ref(blob) },
		{ .data = COR_STR("\n") },
	};
	send(q, status, "application/json", p, 2);
}
