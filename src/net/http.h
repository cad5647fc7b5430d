// SPDX-License-Identifier: Apache-2.0
// HTTP for servers: TLS with client certificates, HTTP/1.1 and HTTP/2 by ALPN, behind one request
// type. Everything runs on the loop's thread. A handler gets a request when its head is complete
// and its body was read whole (bodies are bounded: larger ones are answered 413 before the
// handler runs), and answers at once or later, whole or as a stream; or it takes the connection
// over (Upgrade, HTTP/1.1 only).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct uv_loop_s;
struct cor_http_server;
struct cor_http_req;
struct cor_tls;                 /* tls.h: a context with certificate, key, client CA; reloadable */

struct cor_http_header {
	struct cor_str name;    /* lower case */
	struct cor_str value;
};

/* Who the TLS layer says the peer is; absent strings without a verified client certificate. */
struct cor_peer {
	struct cor_str cn;              /* subject common name: the user */
	const struct cor_str *orgs;     /* subject organisations: its groups */
	size_t n_orgs;
	struct cor_str address;         /* "127.0.0.1:34567" */
	bool stranger;                  /* it has a certificate, which is not (or no longer) good */
};

struct cor_http_req {
	struct cor_arena *arena;        /* lives as long as the request; limit set by the server */
	struct cor_str method;
	struct cor_str target;          /* as sent: path and query */
	struct cor_str path;            /* still percent-encoded */
	struct cor_str query;           /* behind '?', or absent */
	struct cor_str authority;       /* Host or :authority */
	const struct cor_http_header *headers;
	size_t n_headers;
	struct cor_str body;
	struct cor_peer peer;
	int http_major;                 /* 1 or 2 */
	void *user;                     /* of the handler */
	void *impl;
};

struct cor_http_config {
	struct uv_loop_s *loop;
	struct cor_tls *tls;            /* NULL: plain text (tests, health ports) */
	void (*handle)(void *arg, struct cor_http_req *req);
	/* The peer went away, or the answer is complete: req and its arena go after this returns.
	 * Called exactly once for each request that handle was called for. */
	void (*closed)(void *arg, struct cor_http_req *req);
	void *arg;
	size_t max_body;                /* 0 = 3 MiB */
	size_t max_connections;         /* 0 = 4096 */
	size_t max_header;              /* 0 = 64 KiB */
	cor_time idle_timeout;          /* 0 = 3 min */
};

struct cor_http_server *cor_http_server_new(const struct cor_http_config *c);
/* address "127.0.0.1" or "::", port 0 = any; the port taken is stored in *ret_port (may be NULL).
 * May be called several times. */
int cor_http_listen(struct cor_http_server *s, const char *address, int port, int *ret_port, struct cor_err *err);
/* An inherited, bound and listening socket. */
int cor_http_listen_fd(struct cor_http_server *s, int fd, struct cor_err *err);
/* Stops listening, answers what is under way for at most drain, then closes; done on the loop. */
void cor_http_server_close(struct cor_http_server *s, cor_time drain, void (*done)(void *arg), void *arg);

/* NULL when absent; first of several. name in lower case. */
const struct cor_str *cor_http_header(const struct cor_http_req *req, const char *name);
/* Query parameters, decoded into the request's arena: absent (p NULL) when missing, "" for ?x. */
struct cor_str cor_http_param(struct cor_http_req *req, const char *name);
/* i-th value of a repeated parameter, absent behind the last. */
struct cor_str cor_http_param_at(struct cor_http_req *req, const char *name, size_t i);
/* %xx and (form) '+' decoding; false when malformed. */
bool cor_url_decode(struct cor_arena *a, struct cor_str s, bool form, struct cor_str *ret);

/* ---- answers ---- */

/* A piece of a body. With release set, p stays the owner's and is sent without a copy: release(owner)
 * is called when it is no longer needed (shared blobs of the store). Without, p is copied. */
struct cor_piece {
	struct cor_str data;
	void (*release)(void *owner);
	void *owner;
};

/* Headers other than content-type, content-length, date: call before the head goes out. Copied. */
void cor_http_set_header(struct cor_http_req *req, const char *name, struct cor_str value);
/* A complete answer with content-length. HEAD sends no body. content_type NULL: none. */
void cor_http_reply(struct cor_http_req *req, int status, const char *content_type, struct cor_str body);
void cor_http_reply_pieces(struct cor_http_req *req, int status, const char *content_type,
	const struct cor_piece *pieces, size_t n);
/* A stream: the head goes out at once; then pieces until finish. writable is called on the loop when the
 * unsent backlog has fallen below a low mark; cor_http_backlog tells how many bytes wait (the
 * slow side pulls: stop writing above a high mark of your own). */
void cor_http_stream_begin(struct cor_http_req *req, int status, const char *content_type,
	void (*writable)(struct cor_http_req *req));
void cor_http_stream_write(struct cor_http_req *req, const struct cor_piece *pieces, size_t n);
size_t cor_http_backlog(const struct cor_http_req *req);
void cor_http_stream_finish(struct cor_http_req *req);
/* Breaks it off: HTTP/2 RST_STREAM, HTTP/1.1 closes the connection. */
void cor_http_abort(struct cor_http_req *req);

/* ---- takeover ---- */

/* A two-way byte channel over (TLS) TCP, for WebSocket, SPDY and raw tunnels. Bytes arrive by
 * on_data; the reader says how many it has dealt with by pausing and resuming. */
struct cor_conn;
struct cor_conn_ops {
	void (*on_data)(void *arg, struct cor_str data);        /* valid during the call */
	void (*on_eof)(void *arg);                              /* the peer has finished writing */
	void (*on_writable)(void *arg);                         /* backlog fell below the low mark */
	void (*on_close)(void *arg, const struct cor_err *why); /* last call; conn is gone after it */
};
void cor_conn_set_ops(struct cor_conn *c, const struct cor_conn_ops *ops, void *arg);
void cor_conn_write(struct cor_conn *c, const struct cor_piece *pieces, size_t n);
void cor_conn_write_str(struct cor_conn *c, struct cor_str s);          /* copies */
/* Each write goes out in TLS records of its own as long as little is queued, and each record that comes is delivered by
 * itself. Clients that ask the socket before they look into what TLS has read already - Debian's Python client is one -
 * find a message that shares its record with an earlier one only when more arrives. */
void cor_conn_set_records(struct cor_conn *c, bool records);
size_t cor_conn_backlog(const struct cor_conn *c);
void cor_conn_pause(struct cor_conn *c, bool paused);                   /* stop or go on reading */
void cor_conn_shutdown(struct cor_conn *c);                             /* no more writes; flushes */
void cor_conn_close(struct cor_conn *c);                                /* on_close follows */

/* Sends status line and headers (101 with the given ones) and hands the connection over; the
 * request ends (closed is called). NULL on HTTP/2 or when the peer is gone. Bytes that came
 * behind the request's head are delivered by on_data. */
struct cor_conn *cor_http_takeover(struct cor_http_req *req, int status,
	const struct cor_http_header *headers, size_t n_headers);
