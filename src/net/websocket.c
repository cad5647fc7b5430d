// SPDX-License-Identifier: Apache-2.0
// WebSocket on a connection. wslay reads and makes frames; it pulls its input from the bytes at hand
// and pushes frames straight into the connection, which queues them. A peer that makes us
// answer pings without reading them is paused like any other slow reader.
//
//   OPEN -> CLOSING (our close frame is out, waiting for the peer's) -> ENDING (no more frames)
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <wslay/wslay.h>

#include "codec/codec.h"
#include "net/http1.h"
#include "net/net_priv.h"
#include "net/websocket.h"

enum { CLOSE_WAIT_MS = 5000, PONG_BACKLOG_MAX = 1024 * 1024 };

enum ws_state { OPEN, CLOSING, ENDING };

struct cor_ws {
	struct cor_conn *conn;
	struct cor_ws_ops ops;
	void *arg;
	wslay_event_context_ptr wslay;
	enum ws_state state;
	struct cor_str in;              /* what wslay may read now */
	uint8_t opcode;                 /* of the message under way */
	bool client, first, fin, frame_empty, paused, jammed;
	uint64_t frame_left;            /* of the data frame under way */
	bool frame_data;                /* the frame under way carries message data */
	int code;
	struct cor_err *why;
	uv_timer_t *timer;
};

/* ---- handshake ---- */

bool cor_ws_wanted(const struct cor_http_req *req) {
	const struct cor_str *up = cor_http_header(req, "upgrade");

	return req->http_major == 1 && up && cor_http_list_has(*up, "websocket") &&
		cor_str_eq_c(req->method, "GET");
}

static struct cor_str offer_at(const struct cor_http_req *req, size_t want, bool bearer) {
	for (size_t h = 0; h < req->n_headers; h++) {
		struct cor_str list = req->headers[h].value;

		if (!cor_str_eq_c(req->headers[h].name, "sec-websocket-protocol"))
			continue;
		while (list.p) {
			struct cor_str s = cor_str_trim(cor_str_cut(&list, ','));
			bool is_bearer = cor_str_starts(s,
				COR_STR("base64url.bearer.authorization.k8s.io."));

			if (!s.n || is_bearer != bearer)
				continue;
			if (want-- == 0)
				return s;
		}
	}
	return (struct cor_str){ 0 };
}

struct cor_str cor_ws_offer(const struct cor_http_req *req, size_t i) {
	return offer_at(req, i, false);
}

struct cor_str cor_ws_bearer(const struct cor_http_req *req) {
	struct cor_str s = offer_at(req, 0, true);
	size_t skip = sizeof("base64url.bearer.authorization.k8s.io.") - 1;

	return s.p ? (struct cor_str){ s.p + skip, s.n - skip } : s;
}

int cor_ws_select(const struct cor_http_req *req, const char *const *protocols, size_t n) {
	struct cor_str s;
	size_t i;

	for (i = 0; (s = cor_ws_offer(req, i)).p; i++)
		for (size_t k = 0; k < n; k++)
			if (cor_str_eq_c(s, protocols[k]))
				return (int)k;
	return i ? COR_WS_NO_MATCH : COR_WS_NO_PROTOCOL;
}

/* The answer to a key: base64 of SHA-1 over the key and a constant of the protocol. */
static void accept_key(struct cor_str key, struct cor_buf *ret) {
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	cor_buf_str(&text, key);
	cor_buf_c(&text, magic);
	cor_assert(EVP_Digest(text.p, text.n, md, &n, EVP_sha1(), NULL) == 1);
	cor_base64_encode(ret, (struct cor_str){ (char *)md, n });
}

void cor_ws_make_key(char out[25]) {
	unsigned char raw[16];
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

	cor_assert(RAND_bytes(raw, sizeof(raw)) == 1);
	cor_base64_encode(&b, (struct cor_str){ (char *)raw, sizeof(raw) });
	memcpy(out, b.p, 24);
	out[24] = '\0';
}

/* ---- wslay's callbacks ---- */

static ssize_t ws_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, int flags, void *arg) {
	struct cor_ws *w = arg;

	(void)flags;
	if (!w->in.n || w->state == ENDING || (w->paused && w->state == OPEN)) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (n > w->in.n)
		n = w->in.n;
	memcpy(buf, w->in.p, n);
	w->in.p += n;
	w->in.n -= n;
	return (ssize_t)n;
}

static ssize_t ws_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t n, int flags,
	void *arg) {
	struct cor_ws *w = arg;

	(void)ctx;
	(void)flags;
	cor_conn_write_str(w->conn, (struct cor_str){ (const char *)data, n });
	return (ssize_t)n;
}

static int ws_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, void *arg) {
	(void)ctx;
	(void)arg;
	return RAND_bytes(buf, (int)n) == 1 ? 0 : -1;
}

static void frame_start(wslay_event_context_ptr ctx,
	const struct wslay_event_on_frame_recv_start_arg *f, void *arg) {
	struct cor_ws *w = arg;

	(void)ctx;
	w->frame_data = !wslay_is_ctrl_frame(f->opcode);
	if (!w->frame_data)
		return;
	if (f->opcode != WSLAY_CONTINUATION_FRAME) {
		w->opcode = f->opcode;
		w->first = true;
	}
	w->fin = f->fin;
	w->frame_empty = f->payload_length == 0;
	w->frame_left = f->payload_length;
}

static void give(struct cor_ws *w, struct cor_str data, bool last) {
	bool first = w->first;

	w->first = false;
	if (w->state == OPEN)
		w->ops.on_data(w->arg, w->opcode == WSLAY_TEXT_FRAME, first, last, data);
}

static void frame_chunk(wslay_event_context_ptr ctx,
	const struct wslay_event_on_frame_recv_chunk_arg *c, void *arg) {
	struct cor_ws *w = arg;

	(void)ctx;
	if (!w->frame_data)
		return;
	w->frame_left -= c->data_length < w->frame_left ? c->data_length : w->frame_left;
	if (c->data_length)
		give(w, (struct cor_str){ (const char *)c->data, c->data_length },
			w->fin && !w->frame_left);
}

/* Only for what no chunk has told: an empty last frame. */
static void frame_end(wslay_event_context_ptr ctx, void *arg) {
	struct cor_ws *w = arg;

	(void)ctx;
	if (w->frame_data && w->fin && w->frame_empty)
		give(w, (struct cor_str){ "", 0 }, true);
}

static void message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
	void *arg) {
	struct cor_ws *w = arg;

	(void)ctx;
	if (m->opcode == WSLAY_CONNECTION_CLOSE)
		w->code = m->status_code ? m->status_code : WSLAY_CODE_NO_STATUS_RCVD;
}

/* ---- life ---- */

static void free_timer(uv_handle_t *h) {
	free(h);
}

/* No frames in or out any more: what is queued goes out, then the connection ends. */
static void end(struct cor_ws *w) {
	if (w->state == ENDING)
		return;
	w->state = ENDING;
	cor_conn_shutdown(w->conn);
	cor_conn_pause(w->conn, false);
}

static void give_up(uv_timer_t *t) {
	struct cor_ws *w = t->data;

	cor_conn_close(w->conn);
}

static void arm(struct cor_ws *w) {
	if (w->timer)
		return;
	w->timer = cor_new(uv_timer_t);
	uv_timer_init(cor_conn_loop(w->conn)->loop, w->timer);
	w->timer->data = w;
	uv_timer_start(w->timer, give_up, CLOSE_WAIT_MS, 0);
}

static void note(struct cor_ws *w, int code, const char *text) {
	if (w->why)
		return;
	w->why = cor_new(struct cor_err);
	(void)cor_fail(w->why, code, "WebSocket: %s", text);
}

static void flush(struct cor_ws *w) {
	if (w->state == ENDING)
		return;
	if (wslay_event_send(w->wslay) != 0)
		note(w, COR_E_INTERNAL, "cannot send");
	if (!wslay_event_get_read_enabled(w->wslay) || !wslay_event_get_write_enabled(w->wslay) ||
		(wslay_event_get_close_received(w->wslay) && wslay_event_get_close_sent(w->wslay))) {
		if (w->state == OPEN && !wslay_event_get_close_received(w->wslay))
			note(w, COR_E_PARSE, "malformed frame");
		arm(w);
		if (wslay_event_get_close_received(w->wslay) ||
			!wslay_event_get_read_enabled(w->wslay))
			end(w);
	}
}

static void set_pause(struct cor_ws *w) {
	cor_conn_pause(w->conn, w->state == OPEN && (w->paused || w->jammed));
}

static void on_data(void *arg, struct cor_str data) {
	struct cor_ws *w = arg;

	if (w->state == ENDING)
		return;
	w->in = data;
	while (w->in.n && w->state != ENDING) {
		if (w->paused && w->state == OPEN)
			break;
		if (wslay_event_recv(w->wslay) != 0) {
			note(w, COR_E_PARSE, "malformed frame");
			break;
		}
		flush(w);
	}
	/* Paused in the middle: the rest comes again. */
	if (w->in.n && w->paused && w->state == OPEN)
		cor_conn_unread(w->conn, w->in);
	w->in = (struct cor_str){ 0 };
	flush(w);
	if (w->state != ENDING && cor_conn_backlog(w->conn) > PONG_BACKLOG_MAX) {
		w->jammed = true;
		set_pause(w);
	}
}

static void on_eof(void *arg) {
	struct cor_ws *w = arg;

	if (!w->code && w->state == OPEN)
		note(w, COR_E_CLOSED, "connection ended without a close frame");
	cor_conn_shutdown(w->conn);
	w->state = ENDING;
}

static void on_writable(void *arg) {
	struct cor_ws *w = arg;

	if (w->jammed) {
		w->jammed = false;
		set_pause(w);
	}
	if (w->state == OPEN && w->ops.on_writable)
		w->ops.on_writable(w->arg);
}

static void on_close(void *arg, const struct cor_err *why) {
	struct cor_ws *w = arg;
	int code = w->code ? w->code : WSLAY_CODE_ABNORMAL_CLOSURE;

	if (!w->code && why && !w->why) {
		w->why = cor_new(struct cor_err);
		*w->why = *why;
	}
	if (!w->code && !w->why)
		note(w, COR_E_CLOSED, "connection closed");
	w->ops.on_close(w->arg, code, w->why);
	if (w->timer)
		uv_close((uv_handle_t *)w->timer, free_timer);
	wslay_event_context_free(w->wslay);
	free(w->why);
	free(w);
}

static struct cor_ws *ws_new(struct cor_conn *conn, bool client, const struct cor_ws_ops *ops,
	void *arg) {
	static const struct wslay_event_callbacks cb = {
		.recv_callback = ws_recv, .send_callback = ws_send, .genmask_callback = ws_mask,
		.on_frame_recv_start_callback = frame_start,
		.on_frame_recv_chunk_callback = frame_chunk,
		.on_frame_recv_end_callback = frame_end, .on_msg_recv_callback = message,
	};
	static const struct cor_conn_ops conn_ops = {
		.on_data = on_data, .on_eof = on_eof, .on_writable = on_writable,
		.on_close = on_close,
	};
	struct cor_ws *w = cor_new(struct cor_ws);

	w->conn = conn;
	w->client = client;
	w->ops = *ops;
	w->arg = arg;
	cor_assert((client ? wslay_event_context_client_init(&w->wslay, &cb, w)
		: wslay_event_context_server_init(&w->wslay, &cb, w)) == 0);
	/* Messages are never gathered, so none is too long. */
	wslay_event_config_set_no_buffering(w->wslay, 1);
	wslay_event_config_set_max_recv_msg_length(w->wslay, (uint64_t)1 << 62);
	cor_conn_set_records(conn, true);
	cor_conn_set_ops(conn, &conn_ops, w);
	return w;
}

struct cor_ws *cor_ws_client(struct cor_conn *conn, const struct cor_ws_ops *ops, void *arg) {
	return ws_new(conn, true, ops, arg);
}

struct cor_ws *cor_ws_accept(struct cor_http_req *req, const char *protocol,
	const struct cor_ws_ops *ops, void *arg) {
	const struct cor_str *key = cor_http_header(req, "sec-websocket-key");
	const struct cor_str *version = cor_http_header(req, "sec-websocket-version");
	_cleanup_buf_ struct cor_buf answer = COR_BUF_INIT;
	struct cor_http_header h[4];
	struct cor_conn *conn;
	size_t n = 3;

	if (!cor_ws_wanted(req) || !key || key->n != 24 || !version ||
		!cor_str_eq_c(*version, "13")) {
		cor_http_set_header(req, "sec-websocket-version", COR_STR("13"));
		cor_http_reply(req, 400, "text/plain", COR_STR("malformed WebSocket handshake\n"));
		return NULL;
	}
	accept_key(*key, &answer);
	h[0] = (struct cor_http_header){ COR_STR("Connection"), COR_STR("Upgrade") };
	h[1] = (struct cor_http_header){ COR_STR("Upgrade"), COR_STR("websocket") };
	h[2] = (struct cor_http_header){ COR_STR("Sec-WebSocket-Accept"), cor_buf_view(&answer) };
	if (protocol)
		h[n++] = (struct cor_http_header){ COR_STR("Sec-WebSocket-Protocol"),
			cor_str_c(protocol) };
	conn = cor_http_takeover(req, 101, h, n);
	return conn ? ws_new(conn, false, ops, arg) : NULL;
}

/* ---- sending ---- */

void cor_ws_send2(struct cor_ws *w, bool text, struct cor_str head, struct cor_str data) {
	_cleanup_buf_ struct cor_buf both = COR_BUF_INIT;
	struct wslay_event_msg m = { .opcode = text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME };

	if (w->state != OPEN)
		return;
	if (head.n) {
		cor_buf_str(&both, head);
		cor_buf_str(&both, data);
		data = cor_buf_view(&both);
	}
	m.msg = (const uint8_t *)(data.p ? data.p : "");
	m.msg_length = data.n;
	(void)wslay_event_queue_msg(w->wslay, &m);
	flush(w);
}

void cor_ws_send(struct cor_ws *w, bool text, struct cor_str data) {
	cor_ws_send2(w, text, (struct cor_str){ 0 }, data);
}

void cor_ws_ping(struct cor_ws *w) {
	struct wslay_event_msg m = { .opcode = WSLAY_PING, .msg = (const uint8_t *)"" };

	if (w->state != OPEN)
		return;
	(void)wslay_event_queue_msg(w->wslay, &m);
	flush(w);
}

size_t cor_ws_backlog(const struct cor_ws *w) {
	return cor_conn_backlog(w->conn);
}

void cor_ws_pause(struct cor_ws *w, bool paused) {
	w->paused = paused;
	set_pause(w);
}

void cor_ws_close(struct cor_ws *w, int code, struct cor_str reason) {
	if (w->state != OPEN)
		return;
	if (reason.n > 123)
		reason.n = 123;
	(void)wslay_event_queue_close(w->wslay, (uint16_t)code, (const uint8_t *)reason.p, reason.n);
	w->state = CLOSING;
	/* Ours to decide: without a code of the peer's the end is clean all the same. */
	w->code = code;
	arm(w);
	flush(w);
	set_pause(w);
}

void cor_ws_abort(struct cor_ws *w) {
	w->state = ENDING;
	cor_conn_close(w->conn);
}
