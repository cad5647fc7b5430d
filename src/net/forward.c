// SPDX-License-Identifier: Apache-2.0
// Port-forward sessions (see stream.h). With SPDY (raw, or inside a WebSocket) each connection is a
// pair of streams, error and data, that belong together by their request id; with the older
// WebSocket form it is a pair of channels per port of the query. A connection ends when its data
// stream does; the error stream is always ended too, because clients wait for it.
#include "codec/codec.h"
#include "net/stream_priv.h"

enum { PORTS_MAX = 127 };

struct cor_forward_conn {
	struct cor_link link;
	struct cor_forward *f;
	int port;
	void *user;
	bool ready, announced, finished, gone, paused, eof;
	/* SPDY */
	struct cor_str request_id;      /* in a stream's memory */
	uint32_t key;                   /* instead, for clients that send none */
	struct cor_spdy_stream *data, *error;
	struct cor_timeout pairing;
	/* WebSocket channels */
	int index;
	struct cor_buf held;
	size_t port_bytes;
};

struct cor_forward {
	struct cor_forward_config c;
	struct cor_netloop *nl;
	struct cor_link conns;
	struct cor_timeouts pairing;
	struct cor_alarm idle;
	struct cor_task start;
	uint64_t active;
	struct cor_spdy_link link;
	struct cor_ws *ws;              /* channels form */
	bool base64, ws_paused;
	int channel;
	struct cor_buf text;
	struct cor_arena *arena;
	int *ports;                     /* of the query, old WebSocket form */
};

static void touch(struct cor_forward *f) {
	f->active = uv_now(f->nl->loop);
}

/* ---- connections ---- */

static struct cor_forward_conn *conn_new(struct cor_forward *f, int port) {
	struct cor_forward_conn *fc = cor_new(struct cor_forward_conn);

	fc->f = f;
	fc->port = port;
	cor_list_push(&f->conns, &fc->link);
	return fc;
}

/* The end of one connection: the consumer hears of it, once, and then it is no more. */
static void conn_gone(struct cor_forward_conn *fc) {
	struct cor_forward *f = fc->f;

	if (fc->gone)
		return;
	fc->gone = true;
	cor_timeout_clear(&fc->pairing);
	cor_list_remove(&fc->link);
	if (fc->data)
		cor_spdy_stream_set_user(fc->data, NULL);
	if (fc->error) {
		cor_spdy_stream_set_user(fc->error, NULL);
		cor_spdy_send(fc->error, (struct cor_str){ 0 }, true);
	}
	if (fc->announced)
		f->c.ops.on_disconnect(f->c.arg, fc);
	cor_buf_fini(&fc->held);
	free(fc);
	/* Channels cannot be opened again: when all are done, so is the session. */
	if (f->ws && cor_list_empty(&f->conns))
		cor_ws_close(f->ws, 1000, (struct cor_str){ 0 });
}

static void announce(struct cor_forward_conn *fc) {
	fc->announced = true;
	fc->f->c.ops.on_connect(fc->f->c.arg, fc, fc->port);
}

/* ---- SPDY ---- */

static struct cor_forward_conn *find_pair(struct cor_forward *f, struct cor_str id, uint32_t key) {
	struct cor_link *l;

	for (l = f->conns.next; l != &f->conns; l = l->next) {
		struct cor_forward_conn *fc = cor_container_of(l, struct cor_forward_conn, link);

		if (fc->data && fc->error)
			continue;
		if (id.p ? cor_str_eq(fc->request_id, id) : !fc->request_id.p && fc->key == key)
			return fc;
	}
	return NULL;
}

static bool is_there(const struct cor_forward *f, const struct cor_forward_conn *fc) {
	const struct cor_link *l;

	for (l = f->conns.next; l != &f->conns; l = l->next)
		if (l == &fc->link)
			return true;
	return false;
}

static void spdy_stream(void *arg, struct cor_spdy_stream *s) {
	struct cor_forward *f = arg;
	struct cor_str type = cor_spdy_stream_header(s, "streamtype");
	struct cor_str id = cor_spdy_stream_header(s, "requestid");
	bool is_error = cor_str_eq_c(type, "error");
	struct cor_forward_conn *fc;
	uint32_t key = cor_spdy_stream_id(s);
	int64_t port;

	touch(f);
	if ((!is_error && !cor_str_eq_c(type, "data")) ||
		!cor_str_to_i64(cor_spdy_stream_header(s, "port"), &port) || port < 1 ||
		port > 65535) {
		cor_spdy_reset(s, COR_SPDY_REFUSED);
		return;
	}
	/* Old clients: the data stream comes right behind the error stream. */
	if (!is_error)
		key -= 2;
	fc = find_pair(f, id, key);
	if (fc && (is_error ? fc->error : fc->data)) {
		cor_spdy_reset(s, COR_SPDY_REFUSED);
		return;
	}
	if (!fc) {
		fc = conn_new(f, (int)port);
		fc->request_id = id;
		fc->key = key;
		cor_timeout_touch(&f->pairing, &fc->pairing);
	}
	*(is_error ? &fc->error : &fc->data) = s;
	cor_spdy_stream_set_user(s, fc);
	if (!is_error)
		cor_spdy_pause(s, true);        /* until the pod is connected */
	cor_spdy_reply(s);
	/* A stream that came with its end may be gone by now, and the connection with it. */
	if (!is_there(f, fc))
		return;
	if (fc->data && fc->error && !fc->announced) {
		cor_timeout_clear(&fc->pairing);
		fc->request_id = COR_STR("");   /* its memory may go before fc does */
		announce(fc);
	}
}

static void spdy_data(void *arg, struct cor_spdy_stream *s, struct cor_str data) {
	struct cor_forward *f = arg;
	struct cor_forward_conn *fc = cor_spdy_stream_user(s);

	touch(f);
	if (fc && s == fc->data)
		f->c.ops.on_data(f->c.arg, fc, data);
}

static void spdy_eof(void *arg, struct cor_spdy_stream *s) {
	struct cor_forward *f = arg;
	struct cor_forward_conn *fc = cor_spdy_stream_user(s);

	if (fc && s == fc->data && fc->announced)
		f->c.ops.on_eof(f->c.arg, fc);
}

static void spdy_gone(void *arg, struct cor_spdy_stream *s, int status) {
	struct cor_forward_conn *fc = cor_spdy_stream_user(s);

	(void)arg;
	(void)status;
	if (!fc)
		return;
	if (s == fc->error) {
		fc->error = NULL;
		if (fc->announced)
			return;
	} else
		fc->data = NULL;
	conn_gone(fc);
}

static void pairing_expired(struct cor_timeouts *t, struct cor_link *item) {
	struct cor_forward_conn *fc = cor_container_of(cor_container_of(item, struct cor_timeout, link),
		struct cor_forward_conn, pairing);
	struct cor_spdy_stream *data = fc->data, *error = fc->error;

	(void)t;
	if (error) {
		cor_spdy_stream_set_user(error, NULL);
		cor_spdy_send(error, cor_arena_printf(fc->f->arena,
			"error forwarding port %d: timed out waiting for streams", fc->port), true);
		cor_arena_reset(fc->f->arena);
		fc->error = NULL;
	}
	if (data) {
		cor_spdy_stream_set_user(data, NULL);
		fc->data = NULL;
		cor_spdy_reset(data, COR_SPDY_CANCEL);
	}
	conn_gone(fc);
}

/* ---- both ---- */

static void closed(struct cor_forward *f, const struct cor_err *why) {
	f->ws = NULL;
	while (!cor_list_empty(&f->conns))
		conn_gone(cor_container_of(f->conns.next, struct cor_forward_conn, link));
	cor_undefer(&f->start);
	cor_timeouts_fini(&f->pairing);
	cor_alarm_fini(&f->idle);
	f->c.ops.on_closed(f->c.arg, why);
	cor_buf_fini(&f->text);
	cor_arena_free(f->arena);
	free(f->ports);
	cor_netloop_put(f->nl);
	free(f);
}

static void link_closed(void *arg, const struct cor_err *why) {
	closed(arg, why);
}

static void writable(void *arg) {
	struct cor_forward *f = arg;
	struct cor_link *l, *next;

	for (l = f->conns.next; l != &f->conns; l = next) {
		struct cor_forward_conn *fc = cor_container_of(l, struct cor_forward_conn, link);

		/* The consumer may end this one, but no other. */
		next = l->next;
		if (fc->announced)
			f->c.ops.on_writable(f->c.arg, fc);
	}
}

static void idle_expired(void *arg) {
	struct cor_forward *f = arg;
	uint64_t now = uv_now(f->nl->loop), span = (uint64_t)(f->c.idle_timeout / COR_MS);

	if (now - f->active >= span)
		cor_forward_abort(f);
	else
		cor_alarm_set(&f->idle, f->nl->loop,
			(cor_time)(span - (now - f->active)) * COR_MS, idle_expired, f);
}

/* ---- WebSocket channels ---- */

static void channel_write(struct cor_forward *f, int channel, struct cor_str data) {
	char head = (char)(f->base64 ? '0' + channel : channel);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

	if (f->base64) {
		cor_base64_encode(&b, data);
		data = cor_buf_view(&b);
	}
	cor_ws_send2(f->ws, f->base64, (struct cor_str){ &head, 1 }, data);
}

static struct cor_forward_conn *by_index(struct cor_forward *f, int index) {
	struct cor_link *l;

	for (l = f->conns.next; l != &f->conns; l = l->next)
		if (cor_container_of(l, struct cor_forward_conn, link)->index == index)
			return cor_container_of(l, struct cor_forward_conn, link);
	return NULL;
}

static void set_ws_pause(struct cor_forward *f) {
	bool pause = false;
	struct cor_link *l;

	for (l = f->conns.next; l != &f->conns; l = l->next)
		pause |= cor_container_of(l, struct cor_forward_conn, link)->held.n >=
			COR_STREAM_HELD_MAX;
	if (pause == f->ws_paused)
		return;
	f->ws_paused = pause;
	cor_ws_pause(f->ws, pause);
}

static void channel_data(struct cor_forward *f, int channel, struct cor_str data) {
	struct cor_forward_conn *fc = channel & 1 ? NULL : by_index(f, channel / 2);

	if (!fc || !data.n)
		return;
	if (fc->ready && !fc->paused && !fc->held.n)
		f->c.ops.on_data(f->c.arg, fc, data);
	else
		cor_buf_str(&fc->held, data);
	set_ws_pause(f);
}

static void ws_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	struct cor_forward *f = arg;

	touch(f);
	if (f->base64) {
		struct cor_str raw;
		size_t at;

		if (!text || f->text.n + data.n > 1024 * 1024) {
			cor_ws_close(f->ws, 1003, COR_STR("unexpected message"));
			return;
		}
		cor_buf_str(&f->text, data);
		if (!last)
			return;
		if (f->text.n && cor_base64_decode(f->arena, cor_str_sub(cor_buf_view(&f->text), 1,
			f->text.n - 1), &raw, &at))
			channel_data(f, f->text.p[0] - '0', raw);
		cor_arena_reset(f->arena);
		cor_buf_clear(&f->text);
		return;
	}
	if (first && data.n) {
		f->channel = (unsigned char)data.p[0];
		data.p++;
		data.n--;
	}
	channel_data(f, f->channel, data);
}

static void ws_close(void *arg, int code, const struct cor_err *why) {
	closed(arg, code == 1000 ? NULL : why);
}

/* Each channel begins with its port, two bytes little endian. */
static void start(struct cor_task *t) {
	struct cor_forward *f = cor_container_of(t, struct cor_forward, start);

	for (size_t i = 0; i < f->c.n_ports; i++) {
		char port[2] = { (char)f->c.ports[i], (char)(f->c.ports[i] >> 8) };

		channel_write(f, (int)(2 * i), (struct cor_str){ port, 2 });
		channel_write(f, (int)(2 * i + 1), (struct cor_str){ port, 2 });
	}
	for (size_t i = 0; i < f->c.n_ports; i++)
		conn_new(f, f->c.ports[i])->index = (int)i;
	for (size_t i = 0; i < f->c.n_ports; i++)
		announce(by_index(f, (int)i));
}

/* ---- accepting ---- */

static bool accept_ws(struct cor_forward *f, struct cor_http_req *req) {
	static const char *const protocols[] = { "SPDY/3.1+portforward.k8s.io",
		"v4.channel.k8s.io", "v4.base64.channel.k8s.io" };
	static const struct cor_ws_ops ops = { .on_data = ws_data, .on_writable = writable,
		.on_close = ws_close };
	int chosen = cor_ws_select(req, protocols, cor_countof(protocols));
	struct cor_ws *ws;

	if (chosen == COR_WS_NO_MATCH) {
		cor_ws_refuse(req);
		return false;
	}
	if (chosen == 0) {
		ws = cor_ws_accept(req, protocols[0], &cor_spdy_link_ws_ops, &f->link);
		if (ws)
			cor_spdy_link_ws(&f->link, ws);
		return ws != NULL;
	}
	if (!f->c.n_ports || f->c.n_ports > PORTS_MAX) {
		cor_http_reply(req, 400, "text/plain; charset=utf-8",
			COR_STR("query parameter \"ports\" is required\n"));
		return false;
	}
	f->base64 = chosen == 2;
	f->ws = cor_ws_accept(req, chosen < 0 ? NULL : protocols[chosen], &ops, f);
	if (f->ws)
		cor_defer(f->nl, &f->start);
	return f->ws != NULL;
}

static bool accept_spdy(struct cor_forward *f, struct cor_http_req *req) {
	static const char *const protocols[] = { "portforward.k8s.io" };
	struct cor_conn *conn;

	if (cor_spdy_select(req, protocols, 1) < 0)
		return false;
	conn = cor_spdy_upgrade(req, protocols[0]);
	if (conn)
		cor_spdy_link_conn(&f->link, conn);
	return conn != NULL;
}

struct cor_forward *cor_forward_accept(struct cor_http_req *req, const struct cor_forward_config *c) {
	struct cor_forward *f;
	bool accepted;

	if (!cor_stream_wants_upgrade(req)) {
		cor_http_reply(req, 400, "text/plain; charset=utf-8",
			COR_STR("Upgrade request required\n"));
		return NULL;
	}
	f = cor_new(struct cor_forward);
	f->c = *c;
	f->nl = cor_http_req_loop(req);
	f->nl->refs++;
	f->arena = cor_arena_new(4 * 1024 * 1024);
	f->start.run = start;
	/* Needed at the end of this turn; the arena is emptied with each message, which may come before. */
	if (c->n_ports) {
		f->ports = cor_calloc(c->n_ports, sizeof(*f->ports));
		memcpy(f->ports, c->ports, c->n_ports * sizeof(*f->ports));
		f->c.ports = f->ports;
	}
	cor_list_init(&f->conns);
	f->link.ops = (struct cor_spdy_ops){ .on_stream = spdy_stream, .on_data = spdy_data,
		.on_eof = spdy_eof, .on_gone = spdy_gone };
	f->link.on_writable = writable;
	f->link.on_closed = link_closed;
	f->link.arg = f;
	accepted = cor_ws_wanted(req) ? accept_ws(f, req) : accept_spdy(f, req);
	if (!accepted) {
		cor_arena_free(f->arena);
		free(f->ports);
		cor_netloop_put(f->nl);
		free(f);
		return NULL;
	}
	if (!f->c.idle_timeout)
		f->c.idle_timeout = 4 * COR_HOUR;
	cor_timeouts_init(&f->pairing, f->nl->loop,
		c->create_timeout ? c->create_timeout : 30 * COR_SECOND, pairing_expired);
	touch(f);
	cor_alarm_set(&f->idle, f->nl->loop, f->c.idle_timeout, idle_expired, f);
	return f;
}

void cor_forward_abort(struct cor_forward *f) {
	if (f->ws)
		cor_ws_abort(f->ws);
	else
		cor_spdy_link_abort(&f->link, NULL);
}

/* ---- what the consumer calls ---- */

void cor_forward_set_user(struct cor_forward_conn *fc, void *user) {
	fc->user = user;
}

void *cor_forward_user(const struct cor_forward_conn *fc) {
	return fc->user;
}

static void flow(struct cor_forward_conn *fc) {
	struct cor_forward *f = fc->f;

	if (fc->data) {
		cor_spdy_pause(fc->data, fc->paused || !fc->ready);
		return;
	}
	if (!fc->ready || fc->paused || !fc->held.n || fc->gone || !f->ws)
		return;
	struct cor_buf b = fc->held;

	fc->held = COR_BUF_INIT;
	f->c.ops.on_data(f->c.arg, fc, cor_buf_view(&b));
	cor_buf_fini(&b);
	set_ws_pause(f);
}

void cor_forward_ready(struct cor_forward_conn *fc) {
	fc->ready = true;
	flow(fc);
}

void cor_forward_pause(struct cor_forward_conn *fc, bool paused) {
	fc->paused = paused;
	flow(fc);
}

void cor_forward_write(struct cor_forward_conn *fc, struct cor_str data) {
	touch(fc->f);
	if (fc->finished || !data.n)
		return;
	if (fc->f->ws)
		channel_write(fc->f, 2 * fc->index, data);
	else if (fc->data)
		cor_spdy_send(fc->data, data, false);
}

size_t cor_forward_backlog(const struct cor_forward_conn *fc) {
	return fc->f->ws ? cor_ws_backlog(fc->f->ws) : cor_spdy_link_backlog(&fc->f->link);
}

void cor_forward_finish(struct cor_forward_conn *fc) {
	if (fc->finished)
		return;
	fc->finished = true;
	if (fc->f->ws) {
		/* Channels have no end of their own. */
		conn_gone(fc);
		return;
	}
	if (fc->error)
		cor_spdy_send(fc->error, (struct cor_str){ 0 }, true);
	if (fc->data)
		cor_spdy_send(fc->data, (struct cor_str){ 0 }, true);
}

void cor_forward_fail(struct cor_forward_conn *fc, struct cor_str text) {
	struct cor_spdy_stream *data = fc->data, *error = fc->error;

	if (fc->f->ws)
		channel_write(fc->f, 2 * fc->index + 1, text);
	if (error) {
		fc->error = NULL;
		cor_spdy_stream_set_user(error, NULL);
		cor_spdy_send(error, text, true);
	}
	if (data) {
		fc->data = NULL;
		cor_spdy_stream_set_user(data, NULL);
		cor_spdy_reset(data, COR_SPDY_CANCEL);
	}
	conn_gone(fc);
}
