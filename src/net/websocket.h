// SPDX-License-Identifier: Apache-2.0
// WebSocket (RFC 6455) on a taken-over connection, frames by wslay. Messages arrive in pieces as
// they come off the wire, so no message is too large and none is buffered. Pings are answered here.
#pragma once

#include "net/http.h"

struct cor_ws;

struct cor_ws_ops {
	/* A piece of a message; first and last tell its place in it (both for a short one). */
	void (*on_data)(void *arg, bool text, bool first, bool last, struct cor_str data);
	void (*on_writable)(void *arg);         /* may be NULL */
	/* Last call. code is the peer's close code, 1005 when it gave none, 1006 when the connection
	 * just ended; why says what went wrong and is NULL after a clean close. */
	void (*on_close)(void *arg, int code, const struct cor_err *why);
};

/* GET with Upgrade: websocket on HTTP/1.1. */
bool cor_ws_wanted(const struct cor_http_req *req);
/* The i-th subprotocol that the client offers, the bearer-token pseudo-protocol left out; absent behind
 * the last. */
struct cor_str cor_ws_offer(const struct cor_http_req *req, size_t i);
/* The bearer token carried in the offer (still base64url), or absent. */
struct cor_str cor_ws_bearer(const struct cor_http_req *req);
enum { COR_WS_NO_PROTOCOL = -1, COR_WS_NO_MATCH = -2 };
/* Index in protocols of the client's first offer that is known; else one of the above. */
int cor_ws_select(const struct cor_http_req *req, const char *const *protocols, size_t n);

/* Answers 101 (protocol NULL: no subprotocol). NULL: the handshake is malformed and 400 was answered, or
 * the peer is gone; the request is over either way. */
struct cor_ws *cor_ws_accept(struct cor_http_req *req, const char *protocol,
	const struct cor_ws_ops *ops, void *arg);
/* Client side, on the connection that an upgrade call returned. */
struct cor_ws *cor_ws_client(struct cor_conn *conn, const struct cor_ws_ops *ops, void *arg);
/* The headers a client sends besides Connection and Upgrade: a random key of 16 bytes in base64. */
void cor_ws_make_key(char out[25]);

/* One message; copied. */
void cor_ws_send(struct cor_ws *w, bool text, struct cor_str data);
/* The same from two parts (channel byte and data). */
void cor_ws_send2(struct cor_ws *w, bool text, struct cor_str head, struct cor_str data);
void cor_ws_ping(struct cor_ws *w);
size_t cor_ws_backlog(const struct cor_ws *w);
void cor_ws_pause(struct cor_ws *w, bool paused);
/* Sends a close frame behind what waits, then ends the connection when the peer answered, or after a few
 * seconds; on_close follows. */
void cor_ws_close(struct cor_ws *w, int code, struct cor_str reason);
/* At once, without a frame; on_close follows. */
void cor_ws_abort(struct cor_ws *w);
