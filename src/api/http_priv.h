// SPDX-License-Identifier: Apache-2.0
// The inside of the API over HTTP: one struct api_req per request, in its arena, from
// cor_http_api_handle to cor_http_api_closed. A handler answers through the functions of http_output.c and
// http_status.c, which know the negotiated form.
#pragma once

#include "api/auth.h"
#include "api/http_api.h"
#include "api/registry_priv.h"
#include "api/request.h"
#include "codec/selector.h"
#include "codec/tree.h"
#include "net/http.h"

enum api_format { API_JSON, API_YAML, API_PROTO, API_FORMAT_MAX };
enum api_transform { API_PLAIN, API_TABLE, API_META, API_META_LIST };

enum {
	API_BODY_LIMIT = 3 * 1024 * 1024,
	API_WRITE_ARENA = 64 << 20,
};

struct api_watch;

struct cor_http_api {
	struct cor_registry *registry;
	struct cor_store *store;
	struct cor_world *world;
	struct uv_loop_s *loop;
	struct cor_tokens tokens;
	struct cor_tls *kubelet_tls;    /* made when the first node is asked something */
	struct cor_str kubelet_cert, kubelet_key;
	struct cor_str ca_pem;
	bool draining;
	struct api_watch *watches;              /* streams that are open */
	struct { struct cor_str body; char etag[140]; } discovery[2];   /* /api and /apis, made once */
	struct {
		uint64_t requests[16][6];       /* by verb and status class, see http_health.c */
		uint64_t watch_events;
	} metrics;
};

struct api_req {
	struct cor_http_api *api;
	struct cor_http_req *http;
	struct cor_arena *arena;
	struct cor_request_info info;
	const struct cor_resource *res;         /* NULL for paths */
	const struct cor_subresource *sub;      /* NULL for the main resource */
	struct cor_user user;
	enum api_format format;
	enum api_transform transform;
	const char *meta_version;               /* of meta.k8s.io: "v1" or "v1beta1" */
	bool pretty;
	int status;                             /* of the answer, for metrics */
	/* The peer is gone or the answer is complete; may be NULL. */
	void (*closed)(struct api_req *q);
	void *state;
};

/* ---- http_negotiate.c ---- */

/* From Accept, User-Agent and pretty. tables: the endpoint can answer with a Table or with
 * metadata. False: 406 was answered. */
bool api_negotiate(struct api_req *q, bool tables);
enum api_content { API_CONTENT_JSON, API_CONTENT_YAML, API_CONTENT_PROTO, API_CONTENT_UNKNOWN };
/* Of the body; without a Content-Type it is JSON. */
enum api_content api_content_type(const struct api_req *q);
/* The media type in front of its parameters. */
struct cor_str api_media_type(const struct api_req *q);

/* ---- http_status.c ---- */

/* What goes into an error answer beside struct cor_err. */
struct api_failure {
	const struct cor_err *err;
	struct cor_str message;                 /* instead of err's, when not absent */
	const struct cor_cause *causes;
	size_t n_causes;
	const char *details_kind;               /* NULL: by the reason; "": empty details */
	struct cor_str continue_token;          /* metadata.continue */
	struct cor_str name;                    /* absent: of the request */
};
void api_fail(struct api_req *q, const struct cor_err *err);
void api_fail_with(struct api_req *q, const struct api_failure *f);
void api_fail_status(struct api_req *q, enum cor_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* 422 for an options kind: `ListOptions.meta.k8s.io "" is invalid: ...`. False when errs has none. */
bool api_fail_options(struct api_req *q, const char *kind, const struct cor_field_errors *errs);
/* The JSON of a failure Status. */
struct cor_str api_status_json(struct api_req *q, const struct api_failure *f);

/* ---- http_output.c ---- */

/* A JSON document as it is negotiated, without a transformation. t is its type (for protobuf), or
 * NULL when it has none. */
void api_reply_json(struct api_req *q, int status, const struct cor_type *t, struct cor_str json);
void api_reply_text(struct api_req *q, int status, struct cor_str text);
/* An object of res (a stored blob, or NULL and json), transformed as negotiated. */
void api_reply_object(struct api_req *q, int status, struct cor_obj *blob, struct cor_str json);
const char *api_content_type_text(const struct api_req *q);
/* The JSON of a blob in the version asked for; absent, with err filled, when it cannot be made. */
struct cor_str api_blob_json(struct api_req *q, struct cor_obj *blob, struct cor_arena *a,
	struct cor_err *err);
void api_release_blob(void *blob);
/* The member metadata of a canonical document, with its braces. */
struct cor_str api_metadata_of(struct cor_str json);
/* {"kind":"PartialObjectMetadata",...} */
void api_write_partial(struct api_req *q, struct cor_str json, struct cor_buf *out);
/* One row of a table: {"cells":[...],"object":...}; typed may be NULL, then json is decoded. */
int api_write_row(struct api_req *q, struct cor_str json, const void *typed, struct cor_arena *a,
	struct cor_buf *out, struct cor_err *err);
/* {"kind":"Table",...,"metadata":META,"columnDefinitions":[...] up to "rows":[ */
void api_write_table_head(struct api_req *q, struct cor_str meta, bool columns, struct cor_buf *out);
/* includeObject is one of its values; else answers 400. */
bool api_check_include(struct api_req *q);

/* ---- http_select.c ---- */

struct api_selection {
	struct cor_selector labels, fields;
	bool any;                               /* selects everything */
	struct cor_str name;                    /* the name that fields require, or absent */
};
/* Reads labelSelector and fieldSelector; false: answered 400. */
bool api_read_selection(struct api_req *q, struct api_selection *ret);
bool api_selected(const struct api_selection *s, const struct cor_obj *o);

/* ---- http_body.c ---- */

/* Decodes a body into a struct of type t in a. expect: the apiVersion and kind must be those of
 * the type, when given. found: what strict decoding notes. On failure err is what to answer. */
int api_decode_body(struct api_req *q, const struct cor_type *t, struct cor_arena *a, bool strict,
	void **ret, struct cor_strlist *found, struct cor_err *err);

/* ---- http_yaml.c ---- */

/* One document to JSON; keys that occur twice are added to found. */
int api_yaml_to_json(struct cor_arena *a, struct cor_str yaml, struct cor_str *ret,
	struct cor_strlist *found, struct cor_err *err);
void api_print_yaml(struct cor_buf *out, const struct cor_node *n);

/* ---- http_options.c ---- */

/* DeleteOptions of a query; false: answered 400. */
bool api_delete_query(struct api_req *q, struct meta_v1_DeleteOptions *o, struct cor_arena *a);
void api_check_delete(struct cor_field_errors *e, const struct meta_v1_DeleteOptions *o);
enum cor_propagation api_propagation(const struct meta_v1_DeleteOptions *o);
/* Adds a Warning header. */
void api_warn(struct api_req *q, struct cor_str text);
struct cor_user api_copy_user(struct cor_arena *a, const struct cor_user *u);

/* ---- handlers ---- */

void api_get(struct api_req *q);
void api_list(struct api_req *q);
void api_watch(struct api_req *q);
void api_write(struct api_req *q);              /* create, update, patch, delete */
void api_delete_collection(struct api_req *q);
void api_review(struct api_req *q);             /* the kinds that are not stored */
void api_watches_drain(struct cor_http_api *api);
/* Paths that are no resources; false when it knows none. */
bool api_discovery(struct api_req *q);
bool api_health(struct api_req *q);
void api_count(struct api_req *q);
void api_component_statuses(struct api_req *q);
/* Streams and proxies to nodes, pods and services. */
void api_connect(struct api_req *q);
bool api_is_connect(const struct cor_subresource *sub);
/* The connections to nodes that are kept. */
void api_kubelet_free(struct cor_http_api *api);
/* False: 403 was answered. */
bool api_allowed(struct api_req *q, const struct cor_attributes *at);

/* Parses ?resourceVersion: 0 for "" and "0". False when it is no number. */
bool api_parse_rv(struct cor_str s, uint64_t *ret);
