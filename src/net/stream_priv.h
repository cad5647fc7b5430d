// SPDX-License-Identifier: Apache-2.0
// What exec, attach and port-forward share: negotiation of the streaming protocol, and a SPDY session
// tied to what carries it (a connection, or the binary messages of a WebSocket).
#pragma once

#include "net/net_priv.h"
#include "net/spdy.h"
#include "net/stream.h"
#include "net/websocket.h"

enum { COR_STREAM_HELD_MAX = 256 * 1024 };

/* True when the request asks for SPDY/3.1. */
bool cor_spdy_wanted(const struct cor_http_req *req);
/* The first protocol of the client's X-Stream-Protocol-Version that is in ours; -1 when the refusal has been
 * answered. */
int cor_spdy_select(struct cor_http_req *req, const char *const *ours, size_t n);
/* Answers 101 with that protocol. NULL: the peer is gone. */
struct cor_conn *cor_spdy_upgrade(struct cor_http_req *req, const char *protocol);
/* 403 for a WebSocket whose subprotocols nobody here speaks. */
void cor_ws_refuse(struct cor_http_req *req);

/* ---- a SPDY session with its carrier ---- */

struct cor_spdy_link {
	struct cor_spdy *spdy;
	struct cor_conn *conn;          /* one of these two */
	struct cor_ws *ws;
	struct cor_spdy_ops ops;        /* write and pause are set here */
	void (*on_writable)(void *arg);
	void (*on_closed)(void *arg, const struct cor_err *why);        /* last call */
	void *arg;
	struct cor_err *why;
};
/* l lives in its owner until on_closed; ops, on_... and arg are set before. */
void cor_spdy_link_conn(struct cor_spdy_link *l, struct cor_conn *conn);
/* The same over a WebSocket that is accepted with ops and arg of cor_spdy_link_ws_ops and l. */
extern const struct cor_ws_ops cor_spdy_link_ws_ops;
void cor_spdy_link_ws(struct cor_spdy_link *l, struct cor_ws *ws);
size_t cor_spdy_link_backlog(const struct cor_spdy_link *l);
/* Goodbye, then everything queued, then the end. */
void cor_spdy_link_end(struct cor_spdy_link *l);
void cor_spdy_link_abort(struct cor_spdy_link *l, const struct cor_err *why);

/* ---- time limits ---- */

/* One timer that can be set again and is freed by closing. */
struct cor_alarm {
	uv_timer_t *timer;
	void (*ring)(void *arg);
	void *arg;
};
void cor_alarm_set(struct cor_alarm *a, uv_loop_t *loop, cor_time delay, void (*ring)(void *arg),
	void *arg);
void cor_alarm_fini(struct cor_alarm *a);
