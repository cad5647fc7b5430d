// SPDX-License-Identifier: Apache-2.0
// GET and LIST. A list is a gather of stored blobs: their references are collected first, with the
// selection, paging and revision that the query asks for (facts/api-machinery.md section 8), and
// then sent as pieces, or turned into the form that was negotiated.
#include "api/http_list.h"

#include <inttypes.h>
#include <stdio.h>

#include "net/pki.h"

static const cor_time FUTURE_WAIT = 3 * COR_SECOND, FUTURE_POLL = 20 * COR_MS;

bool api_parse_rv(struct cor_str s, uint64_t *ret) {
	*ret = 0;
	return s.n == 0 || cor_str_to_u64(s, ret);
}

/* ---- a revision that is still to come ---- */

struct future {
	struct cor_timer timer;
	struct api_req *q;
	uint64_t rv;
	cor_time until;                 /* monotonic */
	void (*go)(struct api_req *q);
};

static void future_closed(struct api_req *q) {
	struct future *f = q->state;
	q->api->world->timer_clear(q->api->world, &f->timer);
}

static void fail_future(struct api_req *q, uint64_t rv) {
	struct cor_err err;
	(void)!cor_fail_status(&err, COR_REASON_TIMEOUT, "Timeout: Too large resource version: %" PRIu64
		", current: %" PRIu64, rv, cor_store_rev(q->api->store));
	err.retry_after_s = 1;
	struct cor_cause cause = {
		.reason = COR_STR("ResourceVersionTooLarge"), .message = COR_STR("Too large resource version"),
	};
	api_fail_with(q, &(struct api_failure){ .err = &err, .causes = &cause, .n_causes = 1 });
}

static void future_fire(struct cor_timer *t) {
	struct future *f = cor_container_of(t, struct future, timer);
	struct cor_world *w = f->q->api->world;
	if (cor_store_rev(f->q->api->store) >= f->rv) {
		f->q->closed = NULL;
		f->go(f->q);
	} else if (w->monotonic(w) >= f->until) {
		f->q->closed = NULL;
		fail_future(f->q, f->rv);
	} else {
		w->timer_set(w, t, FUTURE_POLL);
	}
}

bool api_wait_rv(struct api_req *q, uint64_t rv, void (*go)(struct api_req *q)) {
	if (rv <= cor_store_rev(q->api->store))
		return false;
	struct cor_world *w = q->api->world;
	struct future *f = cor_arena_new_of(q->arena, struct future);
	if (!f)
		return false;
	*f = (struct future){
		.timer.fire = future_fire, .q = q, .rv = rv, .until = w->monotonic(w) + FUTURE_WAIT, .go = go,
	};
	q->state = f;
	q->closed = future_closed;
	w->timer_set(w, &f->timer, FUTURE_POLL);
	return true;
}

/* ---- get ---- */

static void get_scale(struct api_req *q, struct cor_obj *o) {
	struct cor_err err;
	void *obj = cor_obj_decode(o, q->arena, &err);
	struct cor_str json = { 0 };
	if (obj)
		json = cor_scale_json(q->api->registry, q->res, obj, q->arena, &err);
	if (!json.p)
		api_fail(q, &err);
	else
		api_reply_object(q, 200, NULL, json);
}

static void get_now(struct api_req *q) {
	struct cor_obj *o = cor_store_get(q->api->store, (uint16_t)q->res->storage_id, q->info.ns,
		q->info.name);
	if (!o) {
		char res[COR_RES_TEXT_MAX];
		bool scale = cor_str_eq_c(q->info.subresource, "scale");
		api_fail_status(q, COR_REASON_NOT_FOUND, "%s%s \"%.*s\" not found",
			cor_resource_text(q->res, res), scale ? "/scale" : "", COR_STR_ARG(q->info.name));
		return;
	}
	if (q->sub && cor_str_eq_c(q->info.subresource, "scale"))
		get_scale(q, o);
	else
		api_reply_object(q, 200, o, (struct cor_str){ 0 });
}

void api_get(struct api_req *q) {
	uint64_t rv;
	if (cor_query_bool(cor_http_param(q->http, "export"))) {
		api_fail_status(q, COR_REASON_BAD_REQUEST,
			"the export parameter, deprecated since v1.14, is no longer supported");
		return;
	}
	struct cor_str text = cor_http_param(q->http, "resourceVersion");
	if (!api_parse_rv(text, &rv)) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "invalid resource version: %.*s",
			COR_STR_ARG(text));
		return;
	}
	if (!api_wait_rv(q, rv, get_now))
		get_now(q);
}

/* ---- list: options ---- */

static bool check_list_options(struct api_req *q) {
	struct cor_field_errors e = COR_FIELD_ERRORS_INIT(q->arena);
	static const char *const matches[] = { "Exact", "NotOlderThan", "", NULL };
	struct cor_str rv = cor_http_param(q->http, "resourceVersion");
	struct cor_str match = cor_http_param(q->http, "resourceVersionMatch");
	const struct cor_fpath *path = COR_ROOT("resourceVersionMatch");
	if (match.n) {
		if (rv.n == 0)
			cor_fe_forbidden(&e, path, "resourceVersionMatch is forbidden unless resourceVersion "
				"is provided");
		if (cor_http_param(q->http, "continue").n)
			cor_fe_forbidden(&e, path, "resourceVersionMatch is forbidden when continue is provided");
		if (!cor_str_eq_c(match, "Exact") && !cor_str_eq_c(match, "NotOlderThan"))
			cor_fe_not_supported(&e, path, cor_fv_str(&e, match), matches);
		if (cor_str_eq_c(match, "Exact") && cor_str_eq_c(rv, "0"))
			cor_fe_forbidden(&e, path, "resourceVersionMatch \"exact\" is forbidden for "
				"resourceVersion \"0\"");
	}
	if (cor_http_param(q->http, "sendInitialEvents").p)
		cor_fe_forbidden(&e, COR_ROOT("sendInitialEvents"), "sendInitialEvents is forbidden for list");
	return !api_fail_options(q, "ListOptions", &e);
}

static bool bad_token(struct api_req *q, const char *why) {
	api_fail_status(q, COR_REASON_BAD_REQUEST, "invalid continue token: continue key is not valid: %s",
		why);
	return false;
}

static bool read_token(struct api_req *q, struct cor_str token, struct api_page *p) {
	_cleanup_buf_ struct cor_buf raw = COR_BUF_INIT;
	struct cor_err err;
	if (!cor_base64url_decode(&raw, token))
		return bad_token(q, "illegal base64 data");
	struct cor_node *n = cor_node_parse(q->arena, cor_buf_view(&raw), NULL, &err);
	struct cor_str start = cor_node_path_str(n, "start");
	int64_t rv = 0;
	if (!n || !start.p || !cor_node_path_int(n, "rv", &rv) || rv == 0)
		return bad_token(q, n ? "incomplete" : err.message);
	struct cor_str rest = start;
	p->after_ns = cor_str_cut(&rest, '/');
	p->after_name = rest;
	if (!rest.p)
		return bad_token(q, "incomplete");
	p->continued = true;
	p->exact = rv > 0;
	p->rv = rv > 0 ? (uint64_t)rv : 0;
	return true;
}

static bool read_page(struct api_req *q, struct api_page *p) {
	struct cor_str rv = cor_http_param(q->http, "resourceVersion");
	struct cor_str match = cor_http_param(q->http, "resourceVersionMatch");
	struct cor_str token = cor_http_param(q->http, "continue");
	struct cor_str limit = cor_http_param(q->http, "limit");
	int64_t n = 0;
	if (limit.n && !cor_str_to_i64(limit, &n)) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "strconv.ParseInt: parsing \"%.*s\": invalid syntax",
			COR_STR_ARG(limit));
		return false;
	}
	p->limit = n > 0 ? (size_t)n : 0;
	if (token.n) {
		if (rv.n && !cor_str_eq_c(rv, "0")) {
			api_fail_status(q, COR_REASON_BAD_REQUEST,
				"specifying resource version is not allowed when using continue");
			return false;
		}
		return read_token(q, token, p);
	}
	if (!api_parse_rv(rv, &p->rv)) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "invalid resource version: %.*s", COR_STR_ARG(rv));
		return false;
	}
	if (cor_str_eq_c(rv, "0"))
		p->limit = 0;
	p->exact = p->rv && (cor_str_eq_c(match, "Exact") || (match.n == 0 && p->limit));
	return true;
}

/* ---- list: gathering ---- */

static bool gather_one(void *arg, struct cor_obj *o) {
	struct api_page *p = arg;
	if (p->full) {
		p->remaining++;
		return p->sel.any;      /* without selectors the rest is counted */
	}
	if (!api_selected(&p->sel, o))
		return true;
	if (p->limit && p->blobs.n == p->limit) {
		p->full = true;
		p->remaining = 1;
		return p->sel.any;
	}
	struct cor_obj **slot = cor_arena_push(p->q->arena, &p->blobs);
	if (!slot)
		return false;
	*slot = cor_obj_ref(o);
	return true;
}

static void fail_gone(struct api_req *q, const struct api_page *p) {
	struct cor_err err;
	if (!p->continued) {
		api_fail_status(q, COR_REASON_EXPIRED,
			"The resourceVersion for the provided list is too old.");
		return;
	}
	(void)!cor_fail_status(&err, COR_REASON_EXPIRED, "The provided continue parameter is too old to "
		"display a consistent list result. You can start a new list without the continue parameter, "
		"or use the continue token in this response to retrieve the remainder of the results. "
		"Continuing with the provided token results in an inconsistent list - objects that were "
		"created, modified, or deleted between the time the first chunk was returned and now may "
		"show up in the list.");
	api_fail_with(q, &(struct api_failure){
		.err = &err, .continue_token = api_page_token(q, -1, p->after_ns, p->after_name),
	});
}

struct cor_str api_page_token(struct api_req *q, int64_t rv, struct cor_str ns, struct cor_str name) {
	_cleanup_buf_ struct cor_buf json = COR_BUF_INIT, out = COR_BUF_INIT;
	cor_buf_printf(&json, "{\"v\":\"meta.k8s.io/v1\",\"rv\":%" PRId64 ",\"start\":\"%.*s/%.*s\"}", rv,
		COR_STR_ARG(ns), COR_STR_ARG(name));
	cor_base64url_encode(&out, cor_buf_view(&json));
	return cor_arena_str(q->arena, cor_buf_view(&out));
}

/* The selection of one name is one look-up. */
static bool gather_named(struct api_req *q, struct api_page *p) {
	if (!p->sel.name.p || p->exact || (q->res->namespaced && q->info.ns.n == 0))
		return false;
	struct cor_obj *o = cor_store_get(q->api->store, (uint16_t)q->res->storage_id, q->info.ns,
		p->sel.name);
	if (o)
		(void)gather_one(p, o);
	return true;
}

bool api_gather(struct api_req *q, struct api_page *p) {
	struct cor_store *s = q->api->store;
	uint16_t res = (uint16_t)q->res->storage_id;
	struct cor_str ns = q->info.ns.n ? q->info.ns : (struct cor_str){ 0 };
	struct cor_err err;
	p->q = q;
	if (p->exact) {
		if (cor_store_each_at(s, p->rv, res, ns, p->after_ns, p->after_name, gather_one, p, &err) < 0) {
			api_page_drop(p);
			fail_gone(q, p);
			return false;
		}
		p->at = p->rv;
	} else {
		p->at = cor_store_rev(s);
		if (!gather_named(q, p))
			cor_store_each(s, res, ns, p->after_ns, p->after_name, gather_one, p);
	}
	if (cor_arena_failed(q->arena)) {
		api_page_drop(p);
		api_fail_status(q, COR_REASON_REQUEST_ENTITY_TOO_LARGE,
			"the list is too large: use a limit");
		return false;
	}
	return true;
}

void api_page_drop(struct api_page *p) {
	for (size_t i = 0; i < p->blobs.n; i++)
		cor_obj_unref(p->blobs.p[i]);
	p->blobs.n = 0;
}

/* ---- list: answers ---- */

/* {"resourceVersion":"5","continue":"...","remainingItemCount":3} */
static struct cor_str list_meta(struct api_req *q, const struct api_page *p) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_printf(&b, "{\"resourceVersion\":\"%" PRIu64 "\"", p->at);
	if (p->full && p->blobs.n) {
		const struct cor_obj *last = p->blobs.p[p->blobs.n - 1];
		struct cor_str token = api_page_token(q, (int64_t)p->at, last->ns, last->name);
		cor_buf_printf(&b, ",\"continue\":\"%.*s\"", COR_STR_ARG(token));
		if (p->sel.any)
			cor_buf_printf(&b, ",\"remainingItemCount\":%zu", p->remaining);
	}
	cor_buf_byte(&b, '}');
	return cor_arena_str(q->arena, cor_buf_view(&b));
}

static struct cor_str list_head(struct api_req *q, struct cor_str meta) {
	char version[COR_RES_TEXT_MAX];
	(void)cor_type_api_version(q->res->type, version, sizeof(version));
	return cor_arena_printf(q->arena, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":%.*s,"
		"\"items\":[", q->res->list_kind, version, COR_STR_ARG(meta));
}

/* Blobs as they are, without a copy. */
static void reply_pieces(struct api_req *q, struct api_page *p, struct cor_str head) {
	size_t n = 2 * p->blobs.n + 2, at = 0;
	struct cor_piece *out = cor_arena_array(q->arena, struct cor_piece, n);
	if (!out) {
		api_page_drop(p);
		api_fail_status(q, COR_REASON_REQUEST_ENTITY_TOO_LARGE, "the list is too large: use a limit");
		return;
	}
	out[at++].data = head;
	for (size_t i = 0; i < p->blobs.n; i++) {
		if (i)
			out[at++].data = COR_STR(",");
		out[at++] = (struct cor_piece){
			.data = p->blobs.p[i]->json, .release = api_release_blob, .owner = p->blobs.p[i],
		};
	}
	out[at++].data = COR_STR("]}\n");
	p->blobs.n = 0;         /* their references went to the pieces */
	q->status = 200;
	cor_http_set_header(q->http, "cache-control", COR_STR("no-cache, private"));
	cor_http_reply_pieces(q->http, 200, "application/json", out, at);
}

static int write_item(struct api_req *q, struct cor_obj *o, struct cor_arena *a, struct cor_buf *out,
	struct cor_err *err) {
	struct cor_str json = api_blob_json(q, o, a, err);
	if (!json.p)
		return err->code;
	if (q->transform == API_TABLE)
		return api_write_row(q, json, NULL, a, out, err);
	if (q->transform == API_META_LIST)
		api_write_partial(q, json, out);
	else
		cor_buf_str(out, json);
	return 0;
}

static void reply_made(struct api_req *q, struct api_page *p, struct cor_str meta, struct cor_str head) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	struct cor_arena *row = cor_arena_new(0);
	struct cor_err err;
	int status = 0;
	const struct cor_type *type = q->res->list_type;
	if (q->transform == API_TABLE) {
		api_write_table_head(q, meta, true, &out);
		type = NULL;
	} else if (q->transform == API_META_LIST) {
		cor_buf_printf(&out, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":"
			"\"meta.k8s.io/%s\",\"metadata\":%.*s,\"items\":[", q->meta_version, COR_STR_ARG(meta));
		type = &cor_type_meta_v1_PartialObjectMetadataList;
	} else {
		cor_buf_str(&out, head);
	}
	for (size_t i = 0; i < p->blobs.n && status >= 0; i++) {
		if (i)
			cor_buf_byte(&out, ',');
		status = write_item(q, p->blobs.p[i], row, &out, &err);
		cor_arena_reset(row);
	}
	cor_buf_c(&out, "]}");
	cor_arena_free(row);
	api_page_drop(p);
	if (status < 0)
		api_fail(q, &err);
	else
		api_reply_json(q, 200, type, cor_buf_view(&out));
}

void api_reply_page(struct api_req *q, struct api_page *p) {
	struct cor_str meta = list_meta(q, p), head = list_head(q, meta);
	if (q->transform == API_PLAIN && q->format == API_JSON && !q->pretty &&
		q->res->id == q->res->storage_id)
		reply_pieces(q, p, head);
	else
		reply_made(q, p, meta, head);
}

static void list_now(struct api_req *q) {
	struct api_page p = { 0 };
	if (api_read_selection(q, &p.sel) && read_page(q, &p) && api_gather(q, &p))
		api_reply_page(q, &p);
}

bool api_list_page(struct api_req *q, struct api_page *p) {
	return api_read_selection(q, &p->sel) && check_list_options(q) && read_page(q, p) &&
		api_gather(q, p);
}

void api_list(struct api_req *q) {
	struct api_page p = { 0 };
	if (!api_read_selection(q, &p.sel) || !check_list_options(q) || !api_check_include(q) ||
		!read_page(q, &p))
		return;
	if (q->transform == API_META) {
		api_fail_status(q, COR_REASON_NOT_ACCEPTABLE, "you requested PartialObjectMetadata, but the "
			"requested object is a list (%s)", q->res->list_kind);
		return;
	}
	if (!p.continued && api_wait_rv(q, p.rv, list_now))
		return;
	if (api_gather(q, &p))
		api_reply_page(q, &p);
}
