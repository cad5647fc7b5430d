// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on one peer, by nghttp2: frames, HPACK and flow control are its business; ours are the
// exchanges, and that no more is taken out of it than the connection can send. Answers wait in the
// exchange's queue; nghttp2 pulls from there as the peer's windows allow.
#include <nghttp2/nghttp2.h>

#include "net/server_priv.h"

enum {
	STREAMS_MAX = 250,
	WINDOW = 1024 * 1024,           /* what a peer may send ahead, per stream and in all */
	PEER_BODIES_MAX = 32 * 1024 * 1024,
	SWALLOW_MAX = 32 * 1024 * 1024, /* of a body that was refused */
	OUT_MAX = 256 * 1024,           /* frames taken out of nghttp2 and not sent yet */
	NV_MAX = 64,
};

struct h2 {
	struct peer *peer;
	struct cor_conn *conn;
	nghttp2_session *session;
	struct cor_link exchanges;
	size_t n_dispatched;
	struct cor_task turn;           /* takes frames out of nghttp2 */
	bool idle;                      /* had no request under way when the server began to close */
};

static struct h2 *h2_of(const struct exchange *x) {
	return x->peer->impl;
}

static void send_later(struct h2 *h) {
	cor_defer(cor_conn_loop(h->conn), &h->turn);
}

static struct exchange *stream_exchange(struct h2 *h, int32_t id) {
	return nghttp2_session_get_stream_user_data(h->session, id);
}

/* ---- sending ---- */

/* Moves frames to the connection while it takes them. */
static void pump(struct h2 *h) {
	while (cor_conn_backlog(h->conn) < OUT_MAX) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(h->session, &p);

		if (n < 0) {
			cor_conn_close(h->conn);
			return;
		}
		if (n == 0)
			break;
		cor_conn_write_str(h->conn, (struct cor_str){ (const char *)p, (size_t)n });
	}
	if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session)) {
		if (h->idle)
			cor_conn_leave(h->conn);
		else
			cor_conn_shutdown(h->conn);
		cor_timeout_clear(&h->peer->idle);
		cor_timeout_touch(&h->peer->server->linger, &h->peer->idle);
	}
}

static void turn(struct cor_task *t) {
	struct h2 *h = cor_container_of(t, struct h2, turn);
	struct cor_link *l, *next;

	/* A handler's writable may write, finish and abort, but no exchange leaves the list by it. */
	for (l = h->exchanges.next; l != &h->exchanges; l = next) {
		struct exchange *x = cor_container_of(l, struct exchange, link);

		next = l->next;
		if (!x->below_wanted)
			continue;
		x->below_wanted = false;
		if (!x->finished)
			x->writable(&x->req);
	}
	pump(h);
}

static ssize_t read_outq(nghttp2_session *session, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *arg) {
	struct exchange *x = source->ptr;
	size_t before = x->outq.n, got = cor_outq_read(&x->outq, p, n);

	(void)session;
	(void)id;
	(void)arg;
	if (before >= COR_CONN_LOW && x->outq.n < COR_CONN_LOW && x->writable && !x->finished) {
		x->below_wanted = true;
		send_later(h2_of(x));
	}
	if (!x->outq.n && x->finished)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!got) {
		x->data_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)got;
}

static void resume(struct exchange *x) {
	struct h2 *h = h2_of(x);

	if (x->data_deferred) {
		x->data_deferred = false;
		(void)nghttp2_session_resume_data(h->session, x->stream);
	}
	send_later(h);
}

static void add_nv(nghttp2_nv *nv, size_t *n, const char *name, struct cor_str value) {
	if (*n < NV_MAX)
		nv[(*n)++] = (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value.p, strlen(name), value.n,
			NGHTTP2_NV_FLAG_NONE };
}

static void h2_head(struct exchange *x, int status, const char *content_type, int64_t length) {
	struct h2 *h = h2_of(x);
	nghttp2_data_provider data = { .source = { .ptr = x }, .read_callback = read_outq };
	nghttp2_nv nv[NV_MAX];
	char number[24], code[12];
	size_t n = 0;
	bool bodiless = x->head_request || status == 204 || status == 304 || length == 0;

	snprintf(code, sizeof(code), "%d", status);
	add_nv(nv, &n, ":status", cor_str_c(code));
	add_nv(nv, &n, "date", cor_net_date(cor_conn_loop(h->conn)));
	if (content_type)
		add_nv(nv, &n, "content-type", cor_str_c(content_type));
	if (length >= 0) {
		snprintf(number, sizeof(number), "%lld", (long long)length);
		add_nv(nv, &n, "content-length", cor_str_c(number));
	}
	for (size_t i = 0; i < x->out.n && n < NV_MAX; i++) {
		char *name = (char *)x->out.p[i].name.p;

		/* Copies of the arena end in NUL; HTTP/2 wants lower case. */
		for (size_t k = 0; k < x->out.p[i].name.n; k++)
			if (name[k] >= 'A' && name[k] <= 'Z')
				name[k] = (char)(name[k] | 0x20);
		add_nv(nv, &n, name, x->out.p[i].value);
	}
	if (nghttp2_submit_response(h->session, x->stream, nv, n, bodiless ? NULL : &data) != 0)
		cor_conn_close(h->conn);
	send_later(h);
}

static void h2_write(struct exchange *x, const struct cor_piece *pieces, size_t n) {
	cor_outq_pieces(&x->outq, pieces, n);
	resume(x);
}

static void h2_finish(struct exchange *x) {
	resume(x);
}

static void h2_abort(struct exchange *x) {
	struct h2 *h = h2_of(x);

	(void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, x->stream,
		NGHTTP2_INTERNAL_ERROR);
	send_later(h);
}

static size_t h2_backlog(const struct exchange *x) {
	return x->outq.n;
}

/* ---- receiving ---- */

static void detach(struct h2 *h, struct exchange *x) {
	cor_list_remove(&x->link);
	if (!x->dispatched) {
		cor_exchange_drop(x);
		return;
	}
	h->n_dispatched--;
	cor_exchange_gone(x);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg) {
	struct h2 *h = arg;
	struct exchange *x;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	x = cor_exchange_new(h->peer);
	x->stream = frame->hd.stream_id;
	x->req.http_major = 2;
	cor_list_push(&h->exchanges, &x->link);
	(void)nghttp2_session_set_stream_user_data(session, x->stream, x);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg) {
	struct h2 *h = arg;
	struct exchange *x = stream_exchange(h, frame->hd.stream_id);
	struct cor_str n = { (const char *)name, name_n }, v = { (const char *)value, value_n };
	struct cor_http_header *hh;

	(void)session;
	(void)flags;
	if (!x || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;       /* trailers */
	x->in_size += name_n + value_n + 32;
	if (x->in_size > x->server->cfg.max_header)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	v = cor_arena_str(x->req.arena, v);
	if (n.n && n.p[0] == ':') {
		if (cor_str_eq_c(n, ":method"))
			x->req.method = v;
		else if (cor_str_eq_c(n, ":path"))
			x->req.target = v;
		else if (cor_str_eq_c(n, ":authority"))
			x->req.authority = v;
		return 0;
	}
	hh = cor_arena_push(x->req.arena, &x->in);
	if (!hh)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	hh->name = cor_arena_str(x->req.arena, n);
	hh->value = v;
	return 0;
}

/* Answers without a handler. What the peer still sends is swallowed, for many clients take a reset in
 * the middle of their sending for a failure and look at no answer. */
static void refuse(struct h2 *h, struct exchange *x, const struct cor_err *err) {
	_cleanup_buf_ struct cor_buf body = COR_BUF_INIT;
	const char *type = NULL;
	struct cor_str text = cor_http_refusal(h->peer->server, err, &body, &type);

	cor_exchange_drop_body(x);
	x->too_large = true;
	x->head_sent = x->finished = true;
	cor_outq_copy(&x->outq, text);
	h2_head(x, cor_err_http(err), type, (int64_t)text.n);
}

static int on_body(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
	void *arg) {
	struct h2 *h = arg;
	struct exchange *x = stream_exchange(h, id);
	struct cor_err err = { 0 };

	(void)flags;
	if (!x || x->dispatched)
		return 0;
	if (x->too_large) {
		x->swallowed += n;
		if (x->swallowed > SWALLOW_MAX)
			(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
		return 0;
	}
	if (h->peer->bodies + n > PEER_BODIES_MAX)
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id,
			NGHTTP2_ENHANCE_YOUR_CALM) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
	if (cor_exchange_body(x, (struct cor_str){ (const char *)p, n }, &err) < 0)
		refuse(h, x, &err);
	return 0;
}

static void dispatch(struct h2 *h, struct exchange *x) {
	struct cor_http_req *req = &x->req;
	size_t q = cor_str_chr(req->target, '?');

	req->headers = x->in.p;
	req->n_headers = x->in.n;
	req->path = cor_str_sub(req->target, 0, q);
	if (q < req->target.n)
		req->query = (struct cor_str){ req->target.p + q + 1, req->target.n - q - 1 };
	if (!req->authority.p) {
		const struct cor_str *host = cor_http_header(req, "host");

		req->authority = host ? *host : (struct cor_str){ "", 0 };
	}
	x->head_request = cor_str_eq_c(req->method, "HEAD");
	h->n_dispatched++;
	cor_timeout_clear(&h->peer->idle);
	cor_exchange_dispatch(x);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg) {
	struct h2 *h = arg;
	struct exchange *x;
	bool head = frame->hd.type == NGHTTP2_HEADERS;

	(void)session;
	if (!head && frame->hd.type != NGHTTP2_DATA)
		return 0;
	x = stream_exchange(h, frame->hd.stream_id);
	if (!x || x->too_large || x->dispatched)
		return 0;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		dispatch(h, x);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg) {
	struct h2 *h = arg;
	struct exchange *x = stream_exchange(h, id);

	(void)code;
	if (!x)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	detach(h, x);
	if (!h->n_dispatched)
		cor_timeout_touch(&h->peer->server->idle, &h->peer->idle);
	return 0;
}

static void on_data(void *arg, struct cor_str data) {
	struct h2 *h = arg;
	ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)data.p, data.n);

	if (n < 0) {
		/* The goodbye frame says why, if it still gets out. */
		(void)nghttp2_session_terminate_session(h->session, NGHTTP2_PROTOCOL_ERROR);
		pump(h);
		cor_conn_shutdown(h->conn);
		return;
	}
	if (!h->n_dispatched && h->peer->idle.link.next)
		cor_timeout_touch(&h->peer->server->idle, &h->peer->idle);
	send_later(h);
}

static void on_eof(void *arg) {
	struct h2 *h = arg;

	cor_conn_close(h->conn);
}

static void on_writable(void *arg) {
	struct h2 *h = arg;

	send_later(h);
}

static void on_close(void *arg, const struct cor_err *why) {
	struct h2 *h = arg;

	(void)why;
	while (!cor_list_empty(&h->exchanges))
		detach(h, cor_container_of(h->exchanges.next, struct exchange, link));
	cor_undefer(&h->turn);
	nghttp2_session_del(h->session);
	cor_peer_closed(h->peer);
	free(h);
}

static void h2_ended(struct exchange *x) {
	(void)x;
}

static void h2_drain(struct peer *p) {
	struct h2 *h = p->impl;

	(void)nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
	h->idle = cor_list_empty(&h->exchanges);
	send_later(h);
}

static const struct protocol protocol = {
	.head = h2_head,
	.write = h2_write,
	.finish = h2_finish,
	.abort = h2_abort,
	.backlog = h2_backlog,
	.ended = h2_ended,
	.drain = h2_drain,
};

static nghttp2_session *new_session(struct h2 *h) {
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session *session = NULL;

	cor_assert(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_body);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	/* Priorities are a tree of closed streams that nobody needs. */
	nghttp2_option_set_no_closed_streams(opt, 1);
	cor_assert(nghttp2_session_server_new2(&session, cb, h, opt) == 0);
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	return session;
}

void cor_h2_open(struct peer *p) {
	static const struct cor_conn_ops ops = {
		.on_data = on_data, .on_eof = on_eof, .on_writable = on_writable,
		.on_close = on_close,
	};
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, COR_HTTP_DEFAULT_HEADER },
	};
	struct h2 *h = cor_new(struct h2);

	h->peer = p;
	h->conn = p->conn;
	h->turn.run = turn;
	cor_list_init(&h->exchanges);
	p->impl = h;
	p->protocol = &protocol;
	h->session = new_session(h);
	(void)nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
		cor_countof(settings));
	(void)nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
	cor_conn_set_ops(p->conn, &ops, h);
	send_later(h);
}
