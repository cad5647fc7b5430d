// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 on one peer: one request at a time, what comes behind it waits in the input buffer
// (bounded, then reading rests). A refusal answers, says Connection: close, ends our direction
// and swallows the peer's rest for a moment, so that a reset does not overtake the answer.
//
//   head -> (body) -> dispatched -> ended -> head ... | -> lingering -> closed | -> taken over
#include "net/server_priv.h"

enum { INPUT_MAX = 64 * 1024 };

struct h1 {
	struct peer *peer;              /* NULL when taken over */
	struct cor_conn *conn;
	struct cor_buf in;              /* not looked at yet */
	size_t scan;
	struct exchange *x;
	struct cor_http1_body body;
	struct cor_task turn;           /* goes on with in */
	int minor;
	bool reading_body, keep_alive, lingering, paused, processing, taken;
};

static struct h1 *h1_of(const struct exchange *x) {
	return x->peer ? x->peer->impl : NULL;
}

static void add_line(struct cor_buf *b, const char *name, struct cor_str value) {
	cor_buf_c(b, name);
	cor_buf_add(b, ": ", 2);
	cor_buf_str(b, value);
	cor_buf_add(b, "\r\n", 2);
}

static void begin_head(struct h1 *h, struct cor_buf *b, int status) {
	cor_buf_clear(b);
	cor_buf_c(b, "HTTP/1.1 ");
	cor_buf_i64(b, status);
	cor_buf_byte(b, ' ');
	cor_buf_c(b, cor_http_reason(status));
	cor_buf_add(b, "\r\n", 2);
	add_line(b, "Date", cor_net_date(cor_conn_loop(h->conn)));
	if (!h->keep_alive)
		cor_buf_c(b, "Connection: close\r\n");
}

/* What is still on its way from the peer is swallowed; when the server closes, only what was refused. */
static void linger(struct h1 *h, bool refused) {
	h->lingering = true;
	if (h->peer->server->closing && !refused)
		cor_conn_leave(h->conn);
	else
		cor_conn_shutdown(h->conn);
	cor_conn_pause(h->conn, false);
	cor_timeout_clear(&h->peer->idle);
	cor_timeout_touch(&h->peer->server->linger, &h->peer->idle);
}

/* Answers without a handler and ends the connection. */
static void refuse(struct h1 *h, const struct cor_err *err) {
	struct cor_buf *b = &cor_conn_loop(h->conn)->head;
	_cleanup_buf_ struct cor_buf body = COR_BUF_INIT;
	const char *type = NULL;

	h->keep_alive = false;
	begin_head(h, b, cor_err_http(err));
	(void)cor_http_refusal(h->peer->server, err, &body, &type);
	add_line(b, "Content-Type", cor_str_c(type));
	cor_buf_c(b, "Content-Length: ");
	cor_buf_i64(b, (int64_t)body.n);
	cor_buf_c(b, "\r\n\r\n");
	cor_buf_str(b, cor_buf_view(&body));
	cor_conn_write_str(h->conn, cor_buf_view(b));
	if (h->x) {
		struct exchange *x = h->x;

		h->x = NULL;
		cor_exchange_drop(x);
	}
	linger(h, true);
}

/* ---- reading ---- */

static void fill_request(struct h1 *h, struct exchange *x, const struct cor_http1_head *head) {
	struct cor_http_req *req = &x->req;
	struct cor_http_header *copy;

	copy = cor_arena_array(req->arena, struct cor_http_header, head->n_headers);
	if (copy)
		memcpy(copy, head->headers, head->n_headers * sizeof(*copy));
	req->headers = copy;
	req->n_headers = copy ? head->n_headers : 0;
	req->method = head->method;
	req->target = head->target;
	req->path = head->path;
	req->query = head->query;
	req->authority = head->authority;
	req->http_major = 1;
	x->head_request = cor_str_eq_c(head->method, "HEAD");
	h->minor = head->minor;
	h->keep_alive = head->keep_alive && head->minor >= 1 && !x->server->closing;
}

static void dispatch(struct h1 *h) {
	h->reading_body = false;
	cor_exchange_dispatch(h->x);
	/* Not while a handler is at work: the client waits for us, not we for it. */
	if (h->x && h->peer)
		cor_timeout_clear(&h->peer->idle);
}

static int too_large(struct h1 *h, struct cor_err *err) {
	return cor_fail_status(err, COR_REASON_REQUEST_ENTITY_TOO_LARGE,
		"Request entity too large: limit is %zu", h->peer->server->cfg.max_body);
}

/* Begins with the head in p[0..n). Returns its length, 0 when more is needed, or an error. */
static int64_t read_head(struct h1 *h, const char *p, size_t n, struct cor_err *err) {
	struct cor_http_server *s = h->peer->server;
	struct cor_http1_head *head = &s->head;
	size_t len = cor_http1_head_end((struct cor_str){ p, n }, &h->scan);
	char *copy;
	int r;

	if (len > s->cfg.max_header || (!len && n > s->cfg.max_header)) {
		r = cor_fail(err, COR_E_LIMIT, "request head too large: limit is %zu",
			s->cfg.max_header);
		err->http = 431;
		return r;
	}
	if (!len)
		return 0;
	h->scan = 0;
	h->x = cor_exchange_new(h->peer);
	copy = cor_arena_bytes(h->x->req.arena, len);
	if (!copy)
		return cor_fail(err, COR_E_INTERNAL, "out of memory");
	memcpy(copy, p, len);
	r = cor_http1_parse_request(copy, len, head, err);
	if (r < 0)
		return r;
	if (head->framing == COR_HTTP1_LENGTH && head->length > s->cfg.max_body)
		return too_large(h, err);
	fill_request(h, h->x, head);
	cor_http1_body_init(&h->body, head->framing, head->length);
	h->reading_body = !h->body.done;
	if (h->reading_body && head->expect_continue && n == len)
		cor_conn_write_str(h->conn, COR_STR("HTTP/1.1 100 Continue\r\n\r\n"));
	return (int64_t)len;
}

static int read_body(struct h1 *h, struct cor_str *in, struct cor_err *err) {
	for (;;) {
		struct cor_str data;
		int r = cor_http1_body_next(&h->body, in, &data, err);

		if (r >= 0 && data.n)
			r = cor_exchange_body(h->x, data, err);
		if (r < 0)
			return r;
		if (h->body.done || !data.n)
			return 0;
	}
}

/* Works through in as far as it can; returns how much of it is dealt with. */
static size_t process(struct h1 *h, struct cor_str in) {
	size_t all = in.n;
	struct cor_err err = { 0 };
	int64_t r;

	h->processing = true;
	while (in.n && !h->taken && !h->lingering) {
		if (h->reading_body) {
			r = read_body(h, &in, &err);
			if (r >= 0 && !h->body.done)
				break;
		} else {
			if (h->x || cor_conn_backlog(h->conn) > COR_HTTP_BACKLOG_HIGH)
				break;
			/* Some clients send an empty line behind a body. */
			if (!h->scan && in.n >= 2 && memcmp(in.p, "\r\n", 2) == 0) {
				in.p += 2;
				in.n -= 2;
				continue;
			}
			r = read_head(h, in.p, in.n, &err);
			if (r == 0)
				break;
			if (r > 0) {
				in.p += r;
				in.n -= (size_t)r;
			}
		}
		if (r < 0)
			refuse(h, &err);
		else if (!h->reading_body || h->body.done)
			dispatch(h);
	}
	h->processing = false;
	return h->lingering ? all : all - in.n;
}

static void free_h1(struct h1 *h) {
	cor_undefer(&h->turn);
	cor_buf_fini(&h->in);
	free(h);
}

/* What follows a round of process: hand over, or rest when too much waits. */
static void settle(struct h1 *h) {
	bool full;

	if (h->taken) {
		cor_conn_unread(h->conn, cor_buf_view(&h->in));
		free_h1(h);
		return;
	}
	full = !h->lingering && h->in.n > INPUT_MAX && !h->reading_body &&
		(h->x || cor_conn_backlog(h->conn) > COR_HTTP_BACKLOG_HIGH);
	if (full != h->paused) {
		h->paused = full;
		cor_conn_pause(h->conn, full);
	}
	if (!h->in.n)
		cor_buf_fini(&h->in);
}

static void on_data(void *arg, struct cor_str data) {
	struct h1 *h = arg;

	if (h->lingering)
		return;
	if (!h->x && !h->in.n)
		cor_timeout_touch(&h->peer->server->idle, &h->peer->idle);
	if (h->in.n) {
		cor_buf_str(&h->in, data);
		cor_buf_consume(&h->in, process(h, cor_buf_view(&h->in)));
	} else {
		size_t n = process(h, data);

		if (n < data.n)
			cor_buf_add(&h->in, data.p + n, data.n - n);
	}
	settle(h);
}

static void turn(struct cor_task *t) {
	struct h1 *h = cor_container_of(t, struct h1, turn);

	if (h->in.n && !h->lingering)
		cor_buf_consume(&h->in, process(h, cor_buf_view(&h->in)));
	settle(h);
}

static void on_eof(void *arg) {
	struct h1 *h = arg;

	if (h->lingering)
		return;
	if (h->x && h->x->dispatched && !h->x->ending) {
		/* As everywhere with HTTP: who stops writing while he waits has gone. */
		cor_exchange_gone(h->x);
		h->x = NULL;
		cor_conn_close(h->conn);
		return;
	}
	cor_conn_shutdown(h->conn);
	cor_timeout_clear(&h->peer->idle);
	cor_timeout_touch(&h->peer->server->linger, &h->peer->idle);
}

static void on_writable(void *arg) {
	struct h1 *h = arg;

	if (h->x && h->x->dispatched && h->x->writable && !h->x->finished)
		h->x->writable(&h->x->req);
	else if (h->in.n)
		cor_defer(cor_conn_loop(h->conn), &h->turn);
}

static void on_close(void *arg, const struct cor_err *why) {
	struct h1 *h = arg;

	(void)why;
	if (h->x && h->x->dispatched)
		cor_exchange_gone(h->x);
	else if (h->x)
		cor_exchange_drop(h->x);
	cor_peer_closed(h->peer);
	free_h1(h);
}

/* ---- answering ---- */

static void h1_head(struct exchange *x, int status, const char *content_type, int64_t length) {
	struct h1 *h = h1_of(x);
	struct cor_buf *b = &cor_conn_loop(h->conn)->head;

	if (x->server->closing)
		h->keep_alive = false;
	if (x->chunked && h->minor == 0) {
		x->chunked = false;
		h->keep_alive = false;
	}
	begin_head(h, b, status);
	if (content_type)
		add_line(b, "Content-Type", cor_str_c(content_type));
	if (length >= 0) {
		cor_buf_c(b, "Content-Length: ");
		cor_buf_i64(b, length);
		cor_buf_add(b, "\r\n", 2);
	}
	if (x->chunked)
		cor_buf_c(b, "Transfer-Encoding: chunked\r\n");
	for (size_t i = 0; i < x->out.n; i++) {
		cor_buf_str(b, x->out.p[i].name);
		cor_buf_add(b, ": ", 2);
		cor_buf_str(b, x->out.p[i].value);
		cor_buf_add(b, "\r\n", 2);
	}
	cor_buf_add(b, "\r\n", 2);
	cor_conn_write_str(h->conn, cor_buf_view(b));
}

static void h1_write(struct exchange *x, const struct cor_piece *pieces, size_t n) {
	struct h1 *h = h1_of(x);

	if (x->chunked) {
		char line[24];
		int k = snprintf(line, sizeof(line), "%zx\r\n", cor_pieces_size(pieces, n));

		cor_conn_write_str(h->conn, (struct cor_str){ line, (size_t)k });
	}
	cor_conn_write(h->conn, pieces, n);
	if (x->chunked)
		cor_conn_write_str(h->conn, COR_STR("\r\n"));
}

static void h1_finish(struct exchange *x) {
	if (x->chunked)
		cor_conn_write_str(h1_of(x)->conn, COR_STR("0\r\n\r\n"));
	cor_exchange_end(x);
}

static void h1_abort(struct exchange *x) {
	struct h1 *h = h1_of(x);

	cor_conn_close(h->conn);
}

static size_t h1_backlog(const struct exchange *x) {
	return cor_conn_backlog(h1_of(x)->conn);
}

static void h1_ended(struct exchange *x) {
	struct h1 *h = h1_of(x);

	if (!h || h->x != x)
		return;
	h->x = NULL;
	if (!h->keep_alive) {
		linger(h, false);
		return;
	}
	/* Idle only now when the answer took time; dispatch() left the timer alone otherwise. */
	if (!h->peer->idle.link.next)
		cor_timeout_touch(&x->server->idle, &h->peer->idle);
	if (h->in.n && !h->processing)
		cor_defer(x->server->nl, &h->turn);
}

static void h1_drain(struct peer *p) {
	struct h1 *h = p->impl;

	h->keep_alive = false;
	if (!h->x && !h->lingering)
		linger(h, false);
}

static struct cor_conn *h1_takeover(struct exchange *x) {
	struct h1 *h = h1_of(x);
	struct peer *p = h->peer;
	struct cor_conn *conn = h->conn;

	cor_conn_detach(conn);
	cor_conn_pause(conn, false);
	x->peer = NULL;
	x->gone = true;
	h->x = NULL;
	h->peer = NULL;
	h->taken = true;
	cor_peer_closed(p);
	if (!h->processing)
		settle(h);
	return conn;
}

static const struct protocol protocol = {
	.head = h1_head,
	.write = h1_write,
	.finish = h1_finish,
	.abort = h1_abort,
	.backlog = h1_backlog,
	.ended = h1_ended,
	.drain = h1_drain,
	.takeover = h1_takeover,
};

void cor_h1_open(struct peer *p) {
	static const struct cor_conn_ops ops = {
		.on_data = on_data, .on_eof = on_eof, .on_writable = on_writable,
		.on_close = on_close,
	};
	struct h1 *h = cor_new(struct h1);

	h->peer = p;
	h->conn = p->conn;
	h->turn.run = turn;
	h->keep_alive = true;
	p->impl = h;
	p->protocol = &protocol;
	cor_conn_set_ops(p->conn, &ops, h);
}
