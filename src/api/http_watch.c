// SPDX-License-Identifier: Apache-2.0
// WATCH: a stream of events (facts/api-machinery.md section 9). A stream is a cursor into the store's
// history and, at its beginning, a list of blobs that are sent as ADDED. It writes while the
// client keeps up and stops above BACKLOG_HIGH: the slow side pulls, nothing is buffered.
//
//   initial objects -> [end-of-initial bookmark] -> events and bookmarks -> end
#include "api/http_priv.h"

#include <inttypes.h>
#include <stdio.h>

enum { BACKLOG_HIGH = 1 << 20 };
static const cor_time BOOKMARK_EVERY = 60 * COR_SECOND, BOOKMARK_LAST = 2 * COR_SECOND;
static const int64_t TIMEOUT_MIN_S = 1800;

struct api_watch {
	struct api_watch *next, **at;           /* in api->watches */
	struct api_req *q;
	struct cor_watch *cursor;
	struct api_selection sel;
	struct { struct cor_obj **p; size_t n; } initial;
	size_t sent;                            /* of initial */
	uint64_t from;                          /* revision of the initial state */
	bool end_bookmark;                      /* still to be sent */
	bool bookmarks;
	bool headed;                            /* a Table event has carried the columns */
	bool finished;
	struct cor_timer timeout, bookmark;
	struct cor_arena *scratch;              /* emptied after each event */
	struct cor_buf out;
};

static void finish(struct api_watch *w) {
	if (w->finished)
		return;
	w->finished = true;
	cor_http_stream_finish(w->q->http);
}

static void closed(struct api_req *q) {
	struct api_watch *w = q->state;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	q->api->world->timer_clear(q->api->world, &w->timeout);
	q->api->world->timer_clear(q->api->world, &w->bookmark);
	cor_watch_free(w->cursor);
	for (size_t i = w->sent; i < w->initial.n; i++)
		cor_obj_unref(w->initial.p[i]);
	cor_arena_free(w->scratch);
	cor_buf_fini(&w->out);
}

/* ---- single events ---- */

static const char *type_text(enum cor_event_type t) {
	return t == COR_EVENT_ADDED ? "ADDED" : t == COR_EVENT_MODIFIED ? "MODIFIED" : "DELETED";
}

static void write_pieces(struct api_watch *w, const struct cor_piece *p, size_t n) {
	cor_http_stream_write(w->q->http, p, n);
	w->q->api->metrics.watch_events++;
}

static const char *head_text(enum cor_event_type t) {
	return t == COR_EVENT_ADDED ? "{\"type\":\"ADDED\",\"object\":" : t == COR_EVENT_MODIFIED
		? "{\"type\":\"MODIFIED\",\"object\":" : "{\"type\":\"DELETED\",\"object\":";
}

/* The blob's JSON in the form that was negotiated; absent when it is to be sent as it is. */
static bool transform(struct api_watch *w, struct cor_str json, struct cor_err *err) {
	struct api_req *q = w->q;
	if (q->transform == API_META || q->transform == API_META_LIST) {
		api_write_partial(q, json, &w->out);
		return true;
	}
	struct cor_str meta = cor_arena_printf(w->scratch, "{}");
	api_write_table_head(q, meta, !w->headed, &w->out);
	w->headed = true;
	if (api_write_row(q, json, NULL, w->scratch, &w->out, err) < 0)
		return false;
	cor_buf_c(&w->out, "]}");
	return true;
}

static bool to_yaml_or_proto(struct api_watch *w, enum cor_event_type t, struct cor_str json) {
	struct cor_decode d = { .arena = w->scratch };
	struct cor_err err;
	void *obj;
	const struct cor_type *type = w->q->transform == API_PLAIN ? w->q->res->type
	                                                           : &cor_type_meta_v1_PartialObjectMetadata;
	_cleanup_buf_ struct cor_buf raw = COR_BUF_INIT, frame = COR_BUF_INIT;
	if (cor_json_decode_new(type, json, &obj, &d, &err) < 0 ||
		cor_proto_encode_envelope(type, obj, &raw) < 0)
		return false;
	meta_v1_WatchEvent e = { .type = cor_str_c(type_text(t)), .object = cor_buf_view(&raw) };
	if (cor_proto_encode(&cor_type_meta_v1_WatchEvent, &e, &frame) < 0)
		return false;
	uint8_t size[4] = {
		(uint8_t)(frame.n >> 24), (uint8_t)(frame.n >> 16), (uint8_t)(frame.n >> 8),
		(uint8_t)frame.n,
	};
	struct cor_piece p[] = { { .data = { (char *)size, 4 } }, { .data = cor_buf_view(&frame) } };
	write_pieces(w, p, 2);
	return true;
}

/* json: of the event's object, transformed already. */
static void write_made(struct api_watch *w, enum cor_event_type t, struct cor_str json) {
	if (w->q->format == API_PROTO && to_yaml_or_proto(w, t, json))
		return;
	struct cor_piece p[] = {
		{ .data = cor_str_c(head_text(t)) }, { .data = json }, { .data = COR_STR("}\n") },
	};
	write_pieces(w, p, 3);
}

static void send_object(struct api_watch *w, enum cor_event_type t, struct cor_obj *o) {
	struct api_req *q = w->q;
	struct cor_err err;
	if (q->transform == API_PLAIN && q->format == API_JSON && q->res->id == o->res) {
		struct cor_piece p[] = {
			{ .data = cor_str_c(head_text(t)) },
			{ .data = o->json, .release = api_release_blob, .owner = cor_obj_ref(o) },
			{ .data = COR_STR("}\n") },
		};
		write_pieces(w, p, 3);
		return;
	}
	struct cor_str json = api_blob_json(q, o, w->scratch, &err);
	if (json.p && q->transform != API_PLAIN) {
		cor_buf_clear(&w->out);
		json = transform(w, json, &err) ? cor_buf_view(&w->out) : (struct cor_str){ 0 };
	}
	if (json.p)
		write_made(w, t, json);
	cor_arena_reset(w->scratch);
}

/* An object that does not match any more: its old content with the revision of the change. */
static void send_left(struct api_watch *w, struct cor_obj *old, uint64_t rev) {
	static const char member[] = "\"resourceVersion\":\"";
	struct cor_str rest = cor_str_sub(old->json, old->rv_at + sizeof(member) - 1, old->json.n);
	rest = cor_str_sub(rest, cor_str_chr(rest, '"'), rest.n);
	struct cor_str json = cor_arena_printf(w->scratch, "%.*s%s%" PRIu64 "%.*s", (int)old->rv_at,
		old->json.p, member, rev, COR_STR_ARG(rest));
	struct cor_obj copy = *old;
	copy.json = json;
	struct cor_err err;
	if (json.p)
		json = api_blob_json(w->q, &copy, w->scratch, &err);
	if (json.p && w->q->transform != API_PLAIN) {
		cor_buf_clear(&w->out);
		json = transform(w, json, &err) ? cor_buf_view(&w->out) : (struct cor_str){ 0 };
	}
	if (json.p)
		write_made(w, COR_EVENT_DELETED, json);
	cor_arena_reset(w->scratch);
}

static void send_bookmark(struct api_watch *w, uint64_t rev, bool initial_end) {
	struct api_req *q = w->q;
	void *obj = cor_arena_alloc(w->scratch, q->res->type->size);
	if (!obj)
		return;
	meta_v1_ObjectMeta *m = cor_meta(q->res->type, obj);
	struct cor_kv end = { COR_STR("k8s.io/initial-events-end"), COR_STR("true") };
	m->resourceVersion = cor_arena_printf(w->scratch, "%" PRIu64, rev);
	if (initial_end)
		m->annotations = (struct cor_strmap){ &end, 1 };
	cor_obj_set_typemeta(q->res->type, obj, w->scratch);
	_cleanup_buf_ struct cor_buf json = COR_BUF_INIT;
	(void)cor_json_encode(q->res->type, obj, &json);
	struct cor_str text = cor_buf_view(&json);
	cor_buf_clear(&w->out);
	if (q->transform == API_TABLE) {
		api_write_table_head(q, cor_arena_printf(w->scratch, "{\"resourceVersion\":\"%" PRIu64 "\"}",
			rev), !w->headed, &w->out);
		w->headed = true;
		cor_buf_c(&w->out, "{\"cells\":[],\"object\":");
		api_write_partial(q, text, &w->out);
		cor_buf_c(&w->out, "}]}");
		text = cor_buf_view(&w->out);
	} else if (q->transform != API_PLAIN) {
		api_write_partial(q, text, &w->out);
		text = cor_buf_view(&w->out);
	}
	struct cor_piece p[] = {
		{ .data = COR_STR("{\"type\":\"BOOKMARK\",\"object\":") }, { .data = text },
		{ .data = COR_STR("}\n") },
	};
	write_pieces(w, p, 3);
	cor_arena_reset(w->scratch);
}

static void send_gone(struct api_watch *w, uint64_t asked) {
	struct cor_err err;
	(void)!cor_fail_status(&err, COR_REASON_EXPIRED, "too old resource version: %" PRIu64 " (%" PRIu64
		")", asked, cor_store_compacted(w->q->api->store));
	struct cor_str json = api_status_json(w->q, &(struct api_failure){ .err = &err });
	struct cor_piece p[] = {
		{ .data = COR_STR("{\"type\":\"ERROR\",\"object\":") }, { .data = json },
		{ .data = COR_STR("}\n") },
	};
	write_pieces(w, p, 3);
	finish(w);
}

/* ---- the stream ---- */

static void send_event(struct api_watch *w, const struct cor_event *ev) {
	bool was = ev->old && api_selected(&w->sel, ev->old);
	if (ev->type == COR_EVENT_DELETED) {
		/* obj is the last state, which the deletion itself may have changed. */
		if (was || api_selected(&w->sel, ev->obj))
			send_object(w, COR_EVENT_DELETED, ev->obj);
		return;
	}
	bool is = api_selected(&w->sel, ev->obj);
	if (is)
		send_object(w, was ? COR_EVENT_MODIFIED : COR_EVENT_ADDED, ev->obj);
	else if (was)
		send_left(w, ev->old, ev->rev);
}

static bool room(const struct api_watch *w) {
	return !w->finished && cor_http_backlog(w->q->http) < BACKLOG_HIGH;
}

/* True when all of it is out. */
static bool pump_initial(struct api_watch *w) {
	while (w->sent < w->initial.n) {
		if (!room(w))
			return false;
		struct cor_obj *o = w->initial.p[w->sent++];
		send_object(w, COR_EVENT_ADDED, o);
		cor_obj_unref(o);
	}
	if (w->end_bookmark) {
		w->end_bookmark = false;
		send_bookmark(w, w->from, true);
	}
	return true;
}

static void pump(struct api_watch *w) {
	struct cor_event ev;
	if (w->finished || !pump_initial(w))
		return;
	while (w->cursor && room(w) && cor_watch_next(w->cursor, &ev)) {
		if (ev.type == COR_EVENT_GONE) {
			send_gone(w, cor_watch_rev(w->cursor));
			return;
		}
		if (ev.type == COR_EVENT_CLOSED) {
			finish(w);
			return;
		}
		send_event(w, &ev);
	}
}

static void on_ready(struct cor_watch *cursor, void *arg) {
	(void)cursor;
	pump(arg);
}

static void on_writable(struct cor_http_req *http) {
	struct api_req *q = http->user;
	pump(q->state);
}

static void on_timeout(struct cor_timer *t) {
	finish(cor_container_of(t, struct api_watch, timeout));
}

static void on_bookmark(struct cor_timer *t) {
	struct api_watch *w = cor_container_of(t, struct api_watch, bookmark);
	if (w->finished)
		return;
	/* Only when the client has everything up to there. */
	if (room(w) && w->sent == w->initial.n) {
		pump(w);
		if (room(w))
			send_bookmark(w, cor_watch_rev(w->cursor), false);
	}
	w->q->api->world->timer_set(w->q->api->world, t, BOOKMARK_EVERY);
}

void api_watches_drain(struct cor_http_api *api) {
	for (struct api_watch *w = api->watches, *next; w; w = next) {
		next = w->next;
		finish(w);
	}
}

/* ---- opening ---- */

static bool gather_initial(void *arg, struct cor_obj *o) {
	struct api_watch *w = arg;
	if (!api_selected(&w->sel, o))
		return true;
	struct cor_obj **slot = cor_arena_push(w->q->arena, &w->initial);
	if (slot)
		*slot = cor_obj_ref(o);
	return slot != NULL;
}

static bool check_options(struct api_req *q, bool *ret_send, bool *ret_given) {
	struct cor_field_errors e = COR_FIELD_ERRORS_INIT(q->arena);
	struct cor_str match = cor_http_param(q->http, "resourceVersionMatch");
	struct cor_str send = cor_http_param(q->http, "sendInitialEvents");
	static const char *const matches[] = { "NotOlderThan", NULL };
	*ret_given = send.p != NULL;
	*ret_send = cor_query_bool(send);
	if (*ret_given && !cor_str_eq_c(match, "NotOlderThan")) {
		if (match.n == 0)
			cor_fe_forbidden(&e, COR_ROOT("resourceVersionMatch"), "sendInitialEvents requires "
				"setting resourceVersionMatch to NotOlderThan");
		else
			cor_fe_not_supported(&e, COR_ROOT("resourceVersionMatch"), cor_fv_str(&e, match), matches);
	}
	if (match.n && !*ret_given)
		cor_fe_forbidden(&e, COR_ROOT("resourceVersionMatch"), "resourceVersionMatch is forbidden for "
			"watch unless sendInitialEvents is provided");
	return !api_fail_options(q, "ListOptions", &e);
}

static cor_time timeout_of(struct api_req *q) {
	struct cor_str text = cor_http_param(q->http, "timeoutSeconds");
	int64_t s = 0;
	if (text.n && cor_str_to_i64(text, &s) && s > 0)
		return s * COR_SECOND;
	uint16_t spread;
	q->api->world->random(q->api->world, &spread, sizeof(spread));
	return (TIMEOUT_MIN_S + spread % TIMEOUT_MIN_S) * COR_SECOND;
}

static void start_timers(struct api_watch *w) {
	struct cor_world *world = w->q->api->world;
	cor_time timeout = timeout_of(w->q);
	w->timeout.fire = on_timeout;
	world->timer_set(world, &w->timeout, timeout);
	if (!w->bookmarks)
		return;
	cor_time first = timeout - BOOKMARK_LAST;
	w->bookmark.fire = on_bookmark;
	world->timer_set(world, &w->bookmark, first > 0 && first < BOOKMARK_EVERY ? first : BOOKMARK_EVERY);
}

static void open_stream(struct api_watch *w, uint64_t rv, bool initial) {
	struct api_req *q = w->q;
	struct cor_store *s = q->api->store;
	struct cor_str ns = q->info.ns.n ? q->info.ns : (struct cor_str){ 0 };
	struct cor_err err;
	w->from = cor_store_rev(s);
	struct cor_watch_config c = {
		.res = (uint16_t)q->res->storage_id, .ns = ns, .name = w->sel.name,
		.after_rev = initial ? w->from : rv, .ready = on_ready, .arg = w,
	};
	if (initial)
		cor_store_each(s, c.res, ns, (struct cor_str){ 0 }, (struct cor_str){ 0 }, gather_initial, w);
	int status = cor_store_watch(s, &c, &w->cursor, &err);
	q->status = 200;
	cor_http_set_header(q->http, "cache-control", COR_STR("no-cache, private"));
	cor_http_stream_begin(q->http, 200, q->format == API_PROTO
		? "application/vnd.kubernetes.protobuf;stream=watch" : "application/json", on_writable);
	if (status < 0)
		send_gone(w, rv);
	else
		pump(w);
}

void api_watch(struct api_req *q) {
	struct api_selection sel;
	bool send, given;
	uint64_t rv;
	struct cor_str text = cor_http_param(q->http, "resourceVersion");
	if (!api_read_selection(q, &sel) || !check_options(q, &send, &given) || !api_check_include(q))
		return;
	if (!api_parse_rv(text, &rv)) {
		struct cor_field_errors e = COR_FIELD_ERRORS_INIT(q->arena);
		cor_fe_invalid(&e, COR_ROOT("resourceVersion"), cor_fv_str(&e, text),
			"strconv.ParseUint: parsing \"%.*s\": invalid syntax", COR_STR_ARG(text));
		(void)api_fail_options(q, "ListOptions", &e);
		return;
	}
	if (q->format == API_YAML) {
		api_fail_status(q, COR_REASON_NOT_ACCEPTABLE, "only the following media types are accepted: "
			"application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch");
		return;
	}
	struct api_watch *w = cor_arena_new_of(q->arena, struct api_watch);
	if (!w) {
		api_fail_status(q, COR_REASON_REQUEST_ENTITY_TOO_LARGE, "the request is too large");
		return;
	}
	w->q = q;
	w->sel = sel;
	w->bookmarks = cor_query_bool(cor_http_param(q->http, "allowWatchBookmarks"));
	w->end_bookmark = given && send && w->bookmarks;
	w->scratch = cor_arena_new(0);
	w->next = q->api->watches;
	w->at = &q->api->watches;
	if (w->next)
		w->next->at = &w->next;
	q->api->watches = w;
	q->state = w;
	q->closed = closed;
	start_timers(w);
	open_stream(w, rv, given ? send : rv == 0);
}
