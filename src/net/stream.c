// SPDX-License-Identifier: Apache-2.0
// See stream_priv.h: negotiation, the SPDY session on its carrier, alarms.
#include "net/http1.h"
#include "net/stream_priv.h"

/* ---- negotiation ---- */

bool cor_spdy_wanted(const struct cor_http_req *req) {
	const struct cor_str *up = cor_http_header(req, "upgrade");
	const struct cor_str *conn = cor_http_header(req, "connection");

	return req->http_major == 1 && up && conn && cor_http_list_has(*conn, "upgrade") &&
		cor_http_list_has(*up, "spdy/3.1");
}

bool cor_stream_wants_upgrade(const struct cor_http_req *req) {
	return cor_ws_wanted(req) || cor_spdy_wanted(req);
}

int cor_spdy_select(struct cor_http_req *req, const char *const *ours, size_t n) {
	bool any = false;

	for (size_t h = 0; h < req->n_headers; h++) {
		struct cor_str list = req->headers[h].value;

		if (!cor_str_eq_c(req->headers[h].name, "x-stream-protocol-version"))
			continue;
		any = true;
		while (list.p) {
			struct cor_str s = cor_str_trim(cor_str_cut(&list, ','));

			for (size_t i = 0; i < n; i++)
				if (cor_str_eq_c(s, ours[i]))
					return (int)i;
		}
	}
	if (!any) {
		cor_http_reply(req, 400, "text/plain; charset=utf-8", cor_arena_printf(req->arena,
			"unable to upgrade: header X-Stream-Protocol-Version does not exist in "
			"request with %zu headers\n", req->n_headers));
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		cor_http_set_header(req, "X-Accepted-Stream-Protocol-Versions", cor_str_c(ours[i]));
	cor_http_reply(req, 403, "text/plain; charset=utf-8",
		COR_STR("unable to upgrade: none of the client's streaming protocols is supported\n"));
	return -1;
}

struct cor_conn *cor_spdy_upgrade(struct cor_http_req *req, const char *protocol) {
	struct cor_http_header h[] = {
		{ COR_STR("Connection"), COR_STR("Upgrade") },
		{ COR_STR("Upgrade"), COR_STR("SPDY/3.1") },
		{ COR_STR("X-Stream-Protocol-Version"), cor_str_c(protocol) },
	};

	return cor_http_takeover(req, 101, h, 3);
}

void cor_ws_refuse(struct cor_http_req *req) {
	cor_http_reply(req, 403, "text/plain; charset=utf-8",
		COR_STR("none of the client's WebSocket subprotocols is supported\n"));
}

/* ---- SPDY on a carrier ---- */

static void link_write(void *arg, struct cor_str bytes) {
	struct cor_spdy_link *l = arg;

	if (l->ws)
		cor_ws_send(l->ws, false, bytes);
	else if (l->conn)
		cor_conn_write_str(l->conn, bytes);
}

static void link_pause(void *arg, bool paused) {
	struct cor_spdy_link *l = arg;

	if (l->ws)
		cor_ws_pause(l->ws, paused);
	else if (l->conn)
		cor_conn_pause(l->conn, paused);
}

/* The session's callbacks go to the owner, with the owner's argument. */
static void link_stream(void *arg, struct cor_spdy_stream *s) {
	struct cor_spdy_link *l = arg;

	l->ops.on_stream(l->arg, s);
}
static void link_data(void *arg, struct cor_spdy_stream *s, struct cor_str data) {
	struct cor_spdy_link *l = arg;

	l->ops.on_data(l->arg, s, data);
}
static void link_eof(void *arg, struct cor_spdy_stream *s) {
	struct cor_spdy_link *l = arg;

	l->ops.on_eof(l->arg, s);
}
static void link_gone(void *arg, struct cor_spdy_stream *s, int status) {
	struct cor_spdy_link *l = arg;

	l->ops.on_gone(l->arg, s, status);
}

static void link_start(struct cor_spdy_link *l) {
	static const struct cor_spdy_ops ops = {
		.write = link_write, .pause = link_pause, .on_stream = link_stream,
		.on_data = link_data, .on_eof = link_eof, .on_gone = link_gone,
	};

	l->spdy = cor_spdy_new(true, &ops, l);
}

static void link_input(struct cor_spdy_link *l, struct cor_str data) {
	struct cor_err err = { 0 };

	if (cor_spdy_input(l->spdy, data, &err) < 0)
		cor_spdy_link_abort(l, &err);
}

static void link_over(struct cor_spdy_link *l, const struct cor_err *why) {
	struct cor_err *own = l->why;

	l->conn = NULL;
	l->ws = NULL;
	l->why = NULL;
	cor_spdy_free(l->spdy);
	l->spdy = NULL;
	l->on_closed(l->arg, own ? own : why);
	free(own);
}

size_t cor_spdy_link_backlog(const struct cor_spdy_link *l) {
	return l->ws ? cor_ws_backlog(l->ws) : l->conn ? cor_conn_backlog(l->conn) : 0;
}

void cor_spdy_link_end(struct cor_spdy_link *l) {
	if (!l->spdy)
		return;
	cor_spdy_goaway(l->spdy);
	if (l->ws)
		cor_ws_close(l->ws, 1000, (struct cor_str){ 0 });
	else if (l->conn)
		cor_conn_shutdown(l->conn);
}

void cor_spdy_link_abort(struct cor_spdy_link *l, const struct cor_err *why) {
	if (why && !l->why) {
		l->why = cor_new(struct cor_err);
		*l->why = *why;
	}
	if (l->ws)
		cor_ws_abort(l->ws);
	else if (l->conn)
		cor_conn_close(l->conn);
}

static void conn_data(void *arg, struct cor_str data) {
	link_input(arg, data);
}
static void conn_eof(void *arg) {
	cor_spdy_link_end(arg);
}
static void conn_writable(void *arg) {
	struct cor_spdy_link *l = arg;

	l->on_writable(l->arg);
}
static void conn_close(void *arg, const struct cor_err *why) {
	link_over(arg, why);
}

void cor_spdy_link_conn(struct cor_spdy_link *l, struct cor_conn *conn) {
	static const struct cor_conn_ops ops = {
		.on_data = conn_data, .on_eof = conn_eof, .on_writable = conn_writable,
		.on_close = conn_close,
	};

	l->conn = conn;
	link_start(l);
	cor_conn_set_ops(conn, &ops, l);
}

static void ws_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	(void)first;
	(void)last;
	if (!text)
		link_input(arg, data);
}
static void ws_close(void *arg, int code, const struct cor_err *why) {
	link_over(arg, code == 1000 ? NULL : why);
}

const struct cor_ws_ops cor_spdy_link_ws_ops = {
	.on_data = ws_data, .on_writable = conn_writable, .on_close = ws_close,
};

void cor_spdy_link_ws(struct cor_spdy_link *l, struct cor_ws *ws) {
	l->ws = ws;
	link_start(l);
}

/* ---- alarms ---- */

static void on_ring(uv_timer_t *t) {
	struct cor_alarm *a = t->data;

	a->ring(a->arg);
}

static void free_timer(uv_handle_t *h) {
	free(h);
}

void cor_alarm_set(struct cor_alarm *a, uv_loop_t *loop, cor_time delay, void (*ring)(void *arg),
	void *arg) {
	if (!a->timer) {
		a->timer = cor_new(uv_timer_t);
		uv_timer_init(loop, a->timer);
		a->timer->data = a;
		uv_unref((uv_handle_t *)a->timer);
	}
	a->ring = ring;
	a->arg = arg;
	uv_timer_start(a->timer, on_ring, (uint64_t)(delay / COR_MS), 0);
}

void cor_alarm_fini(struct cor_alarm *a) {
	if (!a->timer)
		return;
	uv_close((uv_handle_t *)a->timer, free_timer);
	a->timer = NULL;
}
