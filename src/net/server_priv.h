// SPDX-License-Identifier: Apache-2.0
// Inner side of the HTTP server: what server.c shares with the two protocols (server_h1.c,
// server_h2.c). A peer is one accepted connection; an exchange is one request with its answer.
//
// Life of an exchange: taken from the server's pool when a head begins, filled by the protocol,
// dispatched to the handler, answered, ended. Ending is always put off to the end of the turn
// (or behind handle(), when the answer was complete at once), so that a handler may touch the
// request after replying.
#pragma once

#include "net/http1.h"
#include "net/net_priv.h"

enum {
	COR_HTTP_DEFAULT_BODY = 3 * 1024 * 1024,
	COR_HTTP_DEFAULT_HEADER = 64 * 1024,
	COR_HTTP_BACKLOG_HIGH = 256 * 1024,     /* no new request of a peer is begun above this */
	COR_HTTP_BODIES_MAX = 64 * 1024 * 1024, /* all bodies that are being read */
	COR_HTTP_POOL_MAX = 64,                 /* exchanges kept for reuse */
};

struct exchange;
struct peer;

/* How a protocol sends an answer. The exchange is dispatched and not gone. */
struct protocol {
	void (*head)(struct exchange *x, int status, const char *content_type, int64_t length);
	void (*write)(struct exchange *x, const struct cor_piece *pieces, size_t n);
	void (*finish)(struct exchange *x);
	void (*abort)(struct exchange *x);
	size_t (*backlog)(const struct exchange *x);
	/* The exchange has ended and closed was called: the protocol lets go of it. */
	void (*ended)(struct exchange *x);
	/* No new requests; closes as soon as nothing is under way. */
	void (*drain)(struct peer *p);
	struct cor_conn *(*takeover)(struct exchange *x);
};

struct exchange {
	struct cor_http_req req;        /* first: req->impl is the exchange */
	struct cor_http_server *server;
	const struct protocol *protocol;
	struct peer *peer;              /* NULL when the connection is gone or taken over */
	struct exchange *next_free;
	struct cor_buf body;
	struct exchange_headers {
		struct cor_http_header *p;
		size_t n;
	} out;
	void (*writable)(struct cor_http_req *req);
	struct cor_task end;
	size_t body_charged;
	bool head_request, dispatched, in_handle, head_sent, finished, gone, ending;
	/* of the protocol */
	bool chunked;                   /* h1 */
	bool below_wanted;              /* h2: writable is owed */
	int32_t stream;                 /* h2 */
	struct cor_outq outq;           /* h2 */
	bool data_deferred, too_large;  /* h2 */
	struct cor_link link;           /* h2: in the peer's list */
	struct exchange_headers in;     /* h2: while they come in */
	size_t in_size, swallowed;      /* h2 */
};

struct peer {
	struct cor_link link;           /* in the server's list */
	struct cor_http_server *server;
	struct cor_conn *conn;
	const struct protocol *protocol; /* NULL until the handshake is done */
	struct cor_timeout idle;        /* armed while nothing is under way */
	void *impl;
	size_t bodies;                  /* bytes of bodies that it makes us hold */
	bool evicted;                   /* it is being closed to make room for others */
};

struct listener;

struct cor_http_server {
	struct cor_http_config cfg;
	struct cor_netloop *nl;
	struct listener *listeners;
	struct cor_link peers;
	size_t n_peers, bodies;
	struct exchange *pool;
	size_t n_pool;
	struct cor_timeouts idle, linger;
	bool closing;
	uv_timer_t *drain;
	void (*closed)(void *arg);
	void *closed_arg;
	size_t open_handles;
	struct cor_task end;
	struct cor_http1_head head;     /* scratch */
};

/* ---- server.c ---- */

struct exchange *cor_exchange_new(struct peer *p);
/* Nobody was told of it. */
void cor_exchange_drop(struct exchange *x);
/* Adds a piece of body. COR_E_LIMIT with err->http 413 or 503. */
[[nodiscard]] int cor_exchange_body(struct exchange *x, struct cor_str data, struct cor_err *err);
/* Nobody will read what there is of it. */
void cor_exchange_drop_body(struct exchange *x);
/* Calls the handler; the exchange may be over (and back in the pool) when it returns. */
void cor_exchange_dispatch(struct exchange *x);
/* The answer is complete: ends the exchange, behind handle() or at the end of the turn. */
void cor_exchange_end(struct exchange *x);
/* The connection (or stream) is gone: the handler is told at the end of the turn. */
void cor_exchange_gone(struct exchange *x);
/* The text for a refusal that no handler sees; *ret_type is its content type. */
struct cor_str cor_http_refusal(struct cor_http_server *s, const struct cor_err *err,
	struct cor_buf *b, const char **ret_type);
void cor_peer_closed(struct peer *p);

void cor_h1_open(struct peer *p);
void cor_h2_open(struct peer *p);
