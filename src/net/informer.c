// SPDX-License-Identifier: Apache-2.0
// Informers. One request is under way at any time:
//
//   STREAM_ALL (a watch that begins with everything) --end mark--> WATCH --lost--> WATCH (resumed)
//       \--refused--> LIST (pages) --last page--> WATCH     WATCH --410--> STREAM_ALL or LIST
//   any --failure--> back-off of 100 ms to 10 s with jitter --> where it was
//
// Everything that is read anew carries the number of the reading (round), so that what has vanished
// since the last one shows as an entry of an older round.
#include "base/map.h"
#include "net/api_client_priv.h"
#include "net/json_cut.h"
#include "net/net_priv.h"

enum { PAGE = 500, LINE_MAX_BYTES = 64 * 1024 * 1024 };
#define BACKOFF_MIN (100 * COR_MS)
#define BACKOFF_MAX (10 * COR_SECOND)

enum informer_state { STREAM_ALL, LIST, WATCH };

struct entry {
	unsigned round;
	char version[20];
};

struct cor_informer {
	struct cor_api *api;
	char *path, *selectors;         /* selectors: encoded, each with & in front */
	struct cor_informer_ops ops;
	void *arg;
	struct cor_map entries;
	struct cor_buf line, key;
	enum informer_state state;
	bool synced, no_stream, freed, in_error;
	unsigned busy, round;
	char version[40];
	char *next_page;
	struct cor_http_call *call;
	struct cor_timer timer;
	cor_time backoff, began;
	bool progress;                  /* the request under way brought something */
};

static void start(struct cor_informer *i);

/* ---- freeing, also from within a callback ---- */

static void really_free(struct cor_informer *i) {
	struct cor_str key;
	void *e;
	size_t it = 0;

	while (cor_map_next(&i->entries, &it, &key, &e))
		free(e);
	cor_map_fini(&i->entries);
	cor_buf_fini(&i->line);
	cor_buf_fini(&i->key);
	free(i->next_page);
	free(i->path);
	free(i->selectors);
	free(i);
}

static void leave(struct cor_informer *i) {
	if (--i->busy == 0 && i->freed)
		really_free(i);
}

void cor_informer_free(struct cor_informer *i) {
	if (!i || i->freed)
		return;
	i->freed = true;
	cor_http_call_cancel(i->call);
	i->call = NULL;
	i->api->world->timer_clear(i->api->world, &i->timer);
	if (!i->busy)
		really_free(i);
}

/* ---- trouble ---- */

static void retry(struct cor_timer *t) {
	struct cor_informer *i = cor_container_of(t, struct cor_informer, timer);

	start(i);
}

/* Tries again later; longer each time as long as nothing comes of it. */
static void back_off(struct cor_informer *i, const struct cor_err *err) {
	struct cor_world *w = i->api->world;
	uint32_t chance;
	cor_time delay;

	if (i->progress)
		i->backoff = 0;
	i->backoff = i->backoff ? i->backoff * 2 : BACKOFF_MIN;
	if (i->backoff > BACKOFF_MAX)
		i->backoff = BACKOFF_MAX;
	w->random(w, &chance, sizeof(chance));
	delay = i->backoff / 2 + (cor_time)(chance % (uint32_t)(i->backoff / 2 + 1));
	if (err && err->retry_after_s * COR_SECOND > delay)
		delay = err->retry_after_s * COR_SECOND;
	w->timer_set(w, &i->timer, delay);
	if (err && i->ops.on_trouble)
		i->ops.on_trouble(i->arg, err);
}

static void forget_place(struct cor_informer *i) {
	i->version[0] = '\0';
	free(i->next_page);
	i->next_page = NULL;
	i->state = i->no_stream ? LIST : STREAM_ALL;
}

/* ---- objects ---- */

static void set_version(struct cor_informer *i, struct cor_str v) {
	if (!v.n || v.n >= sizeof(i->version))
		return;
	memcpy(i->version, v.p, v.n);
	i->version[v.n] = '\0';
}

/* The object's key into i->key and its version; false when it has no name. */
static bool identify(struct cor_informer *i, struct cor_str object, struct cor_str *ret_version) {
	struct cor_str meta = cor_json_cut_get(object, "metadata");
	struct cor_str name = cor_json_cut_str(cor_json_cut_get(meta, "name"));
	struct cor_str ns = cor_json_cut_str(cor_json_cut_get(meta, "namespace"));

	*ret_version = cor_json_cut_str(cor_json_cut_get(meta, "resourceVersion"));
	cor_buf_clear(&i->key);
	if (ns.n) {
		cor_buf_str(&i->key, ns);
		cor_buf_byte(&i->key, '/');
	}
	cor_buf_str(&i->key, name);
	return name.n > 0;
}

static void object_set(struct cor_informer *i, struct cor_str object) {
	struct cor_str v, key;
	struct entry *e;

	if (!identify(i, object, &v))
		return;
	key = cor_buf_view(&i->key);
	e = cor_map_get(&i->entries, key);
	if (!e) {
		e = cor_new(struct entry);
		(void)cor_map_put(&i->entries, key, e);
	} else if (v.n && cor_str_eq_c(v, e->version)) {
		e->round = i->round;
		return;
	}
	e->round = i->round;
	snprintf(e->version, sizeof(e->version), "%.*s", COR_STR_ARG(v));
	i->ops.on_set(i->arg, key, object);
}

static void object_gone(struct cor_informer *i, struct cor_str object) {
	struct cor_str v;
	void *e;

	if (!identify(i, object, &v))
		return;
	e = cor_map_remove(&i->entries, cor_buf_view(&i->key));
	if (!e)
		return;
	free(e);
	i->ops.on_delete(i->arg, cor_buf_view(&i->key));
}

/* A reading is complete: what it did not show has vanished. */
static void reading_done(struct cor_informer *i) {
	struct cor_str key;
	void *value;
	size_t it = 0;

	while (!i->freed && cor_map_next(&i->entries, &it, &key, &value)) {
		struct entry *e = value;

		if (e->round == i->round)
			continue;
		cor_buf_clear(&i->key);
		cor_buf_str(&i->key, key);
		(void)cor_map_remove(&i->entries, key);
		free(e);
		i->ops.on_delete(i->arg, cor_buf_view(&i->key));
	}
	i->state = WATCH;
	if (i->freed || i->synced)
		return;
	i->synced = true;
	if (i->ops.on_synced)
		i->ops.on_synced(i->arg);
}

/* ---- events ---- */

static void stop_call(struct cor_informer *i) {
	cor_http_call_cancel(i->call);
	i->call = NULL;
}

static void event_error(struct cor_informer *i, struct cor_str status) {
	struct cor_err err;

	cor_api_status_error(500, status, &err);
	stop_call(i);
	if (err.code == COR_E_GONE) {
		bool again = i->state != WATCH;

		forget_place(i);
		if (!again) {
			start(i);
			return;
		}
	}
	back_off(i, &err);
}

static void event_bookmark(struct cor_informer *i, struct cor_str object) {
	struct cor_str meta = cor_json_cut_get(object, "metadata");
	struct cor_str notes = cor_json_cut_get(meta, "annotations");

	set_version(i, cor_json_cut_str(cor_json_cut_get(meta, "resourceVersion")));
	if (i->state == STREAM_ALL && cor_str_eq_c(cor_json_cut_get(notes,
		"k8s.io/initial-events-end"), "\"true\""))
		reading_done(i);
}

static void event(struct cor_informer *i, struct cor_str line) {
	struct cor_str type = cor_json_cut_str(cor_json_cut_get(line, "type"));
	struct cor_str object = cor_json_cut_get(line, "object");
	struct cor_str version;

	if (cor_str_eq_c(type, "ERROR")) {
		event_error(i, object);
		return;
	}
	i->progress = true;
	if (cor_str_eq_c(type, "BOOKMARK")) {
		event_bookmark(i, object);
		return;
	}
	if (cor_str_eq_c(type, "ADDED") || cor_str_eq_c(type, "MODIFIED"))
		object_set(i, object);
	else if (cor_str_eq_c(type, "DELETED"))
		object_gone(i, object);
	/* Within the first part of a stream versions come in any order: the end mark counts. */
	if (!i->freed && i->state == WATCH && identify(i, object, &version))
		set_version(i, version);
}

static void on_data(void *arg, struct cor_str data) {
	struct cor_informer *i = arg;
	struct cor_http_call *call = i->call;

	i->busy++;
	while (data.n && !i->freed && i->call == call) {
		size_t n = cor_str_chr(data, '\n');
		struct cor_str line = { data.p, n };

		if (n == data.n) {      /* a part of a line */
			cor_buf_str(&i->line, data);
			if (i->line.n > LINE_MAX_BYTES) {
				struct cor_err err = { 0 };

				(void)cor_fail(&err, COR_E_LIMIT, "watch event too large");
				stop_call(i);
				forget_place(i);
				back_off(i, &err);
			}
			break;
		}
		data = (struct cor_str){ data.p + n + 1, data.n - n - 1 };
		if (i->line.n) {
			struct cor_buf whole = i->line;

			i->line = COR_BUF_INIT;
			cor_buf_str(&whole, line);
			event(i, cor_buf_view(&whole));
			cor_buf_fini(&whole);
		} else if (line.n)
			event(i, line);
	}
	leave(i);
}

/* A watch answered with another status than 200 sends its Status as data: gather it as a line. */
static void on_error_data(void *arg, struct cor_str data) {
	struct cor_informer *i = arg;

	if (i->line.n < 64 * 1024)
		cor_buf_str(&i->line, data);
}

static void on_watch_data(void *arg, struct cor_str data) {
	struct cor_informer *i = arg;

	if (i->in_error)
		on_error_data(arg, data);
	else
		on_data(arg, data);
}

static void on_watch_head(void *arg, const struct cor_http_response *r) {
	struct cor_informer *i = arg;

	i->in_error = r->status != 200;
}

static void watch_refused(struct cor_informer *i, int status) {
	struct cor_err err;

	cor_api_status_error(status, cor_buf_view(&i->line), &err);
	/* An older server does not know this kind of watch. Not its fault: denied, busy, gone. */
	if (i->state == STREAM_ALL && (status == 400 || status == 422 || status == 404 ||
		status == 405 || status == 501)) {
		i->no_stream = true;
		i->state = LIST;
		start(i);
		return;
	}
	if (err.code == COR_E_GONE)
		forget_place(i);
	back_off(i, &err);
}

static void on_watch_done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct cor_informer *i = arg;
	cor_time now = i->api->world->monotonic(i->api->world);

	(void)body;
	i->call = NULL;
	i->busy++;
	if (!err && r->status != 200)
		watch_refused(i, r->status);
	else if (err && !i->progress)
		back_off(i, err);
	else if (!i->progress && now - i->began < COR_SECOND)
		back_off(i, NULL);
	else {
		i->backoff = 0;
		start(i);       /* the server ended it as agreed, or a connection that had worked */
	}
	leave(i);
}

/* ---- lists ---- */

static void list_page(struct cor_informer *i, struct cor_str body) {
	struct cor_str meta = cor_json_cut_get(body, "metadata"), item;
	struct cor_str items = cor_json_cut_get(body, "items");
	struct cor_str next = cor_json_cut_str(cor_json_cut_get(meta, "continue"));
	size_t at = 0;

	while (!i->freed && cor_json_cut_element(items, &at, &item))
		object_set(i, item);
	if (i->freed)
		return;
	free(i->next_page);
	i->next_page = next.n ? cor_str_dup_c(next) : NULL;
	if (!i->next_page) {
		set_version(i, cor_json_cut_str(cor_json_cut_get(meta, "resourceVersion")));
		reading_done(i);
	}
	if (!i->freed)
		start(i);
}

static void on_list_done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct cor_informer *i = arg;
	struct cor_err e;

	i->call = NULL;
	i->busy++;
	if (!err && r->status == 200) {
		i->progress = true;
		i->backoff = 0;
		list_page(i, body);
	} else {
		if (!err) {
			cor_api_status_error(r->status, body, &e);
			err = &e;
			if (e.code == COR_E_GONE)
				forget_place(i);
		}
		back_off(i, err);
	}
	leave(i);
}

/* ---- requests ---- */

static void url_encode(struct cor_buf *b, const char *s) {
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			strchr("-._~", c))
			cor_buf_byte(b, (char)c);
		else
			cor_buf_printf(b, "%%%02X", c);
	}
}

static void start(struct cor_informer *i) {
	struct cor_world *w = i->api->world;
	struct cor_http_header h[COR_API_HEADERS_MAX];
	struct cor_http_call_config cfg = { .method = "GET", .headers = h, .arg = i };
	_cleanup_buf_ struct cor_buf path = COR_BUF_INIT;
	uint32_t chance;
	unsigned seconds;

	cor_assert(!i->call);
	w->random(w, &chance, sizeof(chance));
	seconds = 300 + chance % 300;
	i->progress = i->in_error = false;
	i->began = w->monotonic(w);
	cor_buf_fini(&i->line);
	cfg.n_headers = cor_api_headers(i->api, h);
	cor_buf_c(&path, i->path);
	if (i->state == LIST) {
		cor_buf_printf(&path, "?limit=%d%s", PAGE, i->selectors);
		if (i->next_page) {
			cor_buf_c(&path, "&continue=");
			url_encode(&path, i->next_page);
		} else
			i->round++;
		cfg.timeout = COR_MINUTE;
		cfg.ops = (struct cor_http_call_ops){ .done = on_list_done };
	} else {
		cor_buf_printf(&path, "?watch=true&allowWatchBookmarks=true&timeoutSeconds=%u%s",
			seconds, i->selectors);
		if (i->state == STREAM_ALL) {
			i->round++;
			cor_buf_c(&path,
				"&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
		} else
			cor_buf_printf(&path, "&resourceVersion=%s", i->version);
		/* A server that does not end it itself is dead. */
		cfg.timeout = (seconds + 60) * COR_SECOND;
		cfg.ops = (struct cor_http_call_ops){ .head = on_watch_head, .data = on_watch_data,
			.done = on_watch_done };
	}
	cor_buf_byte(&path, '\0');
	cfg.path = path.p;
	i->call = cor_http_call_new(i->api->http, &cfg);
}

static void add_selector(struct cor_buf *b, const char *name, const char *value) {
	if (!value || !*value)
		return;
	cor_buf_printf(b, "&%s=", name);
	url_encode(b, value);
}

struct cor_informer *cor_informer_new(const struct cor_informer_config *c) {
	struct cor_informer *i = cor_new(struct cor_informer);
	_cleanup_buf_ struct cor_buf sel = COR_BUF_INIT;

	i->api = c->api;
	i->path = cor_strdup(c->path);
	add_selector(&sel, "fieldSelector", c->field_selector);
	add_selector(&sel, "labelSelector", c->label_selector);
	i->selectors = cor_str_dup_c(cor_buf_view(&sel));
	if (!i->selectors)
		i->selectors = cor_strdup("");
	i->ops = c->ops;
	i->arg = c->arg;
	i->timer.fire = retry;
	i->state = STREAM_ALL;
	start(i);
	return i;
}

bool cor_informer_synced(const struct cor_informer *i) {
	return i->synced;
}

size_t cor_informer_count(const struct cor_informer *i) {
	return i->entries.n;
}

const char *cor_informer_version(const struct cor_informer *i) {
	return i->version;
}
