// SPDX-License-Identifier: Apache-2.0
// One-way output over WebSocket: logs in small messages, watch events one message each. What the
// client sends is ignored.
#include "codec/codec.h"
#include "net/stream.h"
#include "net/stream_priv.h"
#include "net/websocket.h"

enum { LOG_PIECE = 2048 };

struct cor_ws_out {
	struct cor_ws *ws;
	enum cor_ws_out_kind kind;
	bool base64;
	void (*on_writable)(void *arg);
	void (*on_closed)(void *arg, const struct cor_err *why);
	void *arg;
};

static void on_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	(void)arg;
	(void)text;
	(void)first;
	(void)last;
	(void)data;
}

static void on_writable(void *arg) {
	struct cor_ws_out *w = arg;

	if (w->on_writable)
		w->on_writable(w->arg);
}

static void on_close(void *arg, int code, const struct cor_err *why) {
	struct cor_ws_out *w = arg;

	(void)code;
	w->on_closed(w->arg, why);
	free(w);
}

struct cor_ws_out *cor_ws_out_accept(struct cor_http_req *req, enum cor_ws_out_kind kind,
	void (*writable)(void *arg), void (*closed)(void *arg, const struct cor_err *why), void *arg) {
	static const char *const protocols[] = { "binary.k8s.io", "base64.binary.k8s.io" };
	static const struct cor_ws_ops ops = { .on_data = on_data, .on_writable = on_writable,
		.on_close = on_close };
	int chosen = COR_WS_NO_PROTOCOL;
	struct cor_ws_out *w;

	/* A watch takes whatever protocols are offered and answers none. */
	if (kind == COR_WS_OUT_LOG)
		chosen = cor_ws_select(req, protocols, 2);
	if (chosen == COR_WS_NO_MATCH) {
		cor_ws_refuse(req);
		return NULL;
	}
	w = cor_new(struct cor_ws_out);
	w->kind = kind;
	w->base64 = chosen == 1;
	w->on_writable = writable;
	w->on_closed = closed;
	w->arg = arg;
	w->ws = cor_ws_accept(req, chosen >= 0 ? protocols[chosen] : NULL, &ops, w);
	if (!w->ws) {
		free(w);
		return NULL;
	}
	return w;
}

void cor_ws_out_write(struct cor_ws_out *w, struct cor_str data) {
	if (w->kind != COR_WS_OUT_LOG) {
		cor_ws_send(w->ws, w->kind == COR_WS_OUT_TEXT, data);
		return;
	}
	while (data.n) {
		struct cor_str piece = { data.p, data.n < LOG_PIECE ? data.n : LOG_PIECE };
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

		data.p += piece.n;
		data.n -= piece.n;
		if (w->base64) {
			cor_base64_encode(&b, piece);
			piece = cor_buf_view(&b);
		}
		cor_ws_send(w->ws, w->base64, piece);
	}
}

size_t cor_ws_out_backlog(const struct cor_ws_out *w) {
	return cor_ws_backlog(w->ws);
}

void cor_ws_out_finish(struct cor_ws_out *w) {
	cor_ws_close(w->ws, 1000, (struct cor_str){ 0 });
}
