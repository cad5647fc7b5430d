// SPDX-License-Identifier: Apache-2.0
// Remote command (exec, attach), port-forward and tunnels for servers: one interface above all the
// ways in which clients ask for them: WebSocket (v5, v4, v1 and their base64 forms), SPDY/3.1, and
// SPDY inside WebSocket. The consumer sees channels and connections, never frames.
// Everything runs on the loop's thread. Callbacks may call any function of their object, also
// finish and abort. Data is valid only during the call. Rules: facts of the streaming protocols
// are in docs/internals/net.md.
#pragma once

#include "net/http.h"

/* ---- exec and attach ---- */

struct cor_remote;

enum cor_remote_channel {
	COR_REMOTE_STDIN,
	COR_REMOTE_STDOUT,
	COR_REMOTE_STDERR,
	COR_REMOTE_ERROR,
	COR_REMOTE_RESIZE,
	COR_REMOTE_MAX,
};

struct cor_remote_ops {
	/* Handshake done and all channels there: start the process. Called exactly once unless
	 * on_closed comes first; never from within cor_remote_accept. */
	void (*on_ready)(void *arg);
	void (*on_stdin)(void *arg, struct cor_str data);
	void (*on_stdin_eof)(void *arg);                /* once, also without stdin */
	void (*on_resize)(void *arg, int width, int height);
	void (*on_writable)(void *arg);                 /* output backlog fell below COR_REMOTE_LOW */
	/* Last call; r is gone after it. why NULL: after finish, all was sent. */
	void (*on_closed)(void *arg, const struct cor_err *why);
};

/* Stop reading the process' output above HIGH; on_writable comes below LOW. */
enum { COR_REMOTE_LOW = 64 * 1024, COR_REMOTE_HIGH = 256 * 1024 };

struct cor_remote_config {
	bool want_stdin, want_stdout, want_stderr;      /* tty switches stderr off */
	bool tty;
	cor_time create_timeout;                        /* SPDY: all streams within; 0 = 30 s */
	cor_time idle_timeout;                          /* no traffic either way; 0 = 4 h */
	struct cor_remote_ops ops;
	void *arg;
};

/* True when the request asks for an upgrade this module serves (WebSocket or SPDY/3.1); else answer
 * 400 "Upgrade request required". */
bool cor_stream_wants_upgrade(const struct cor_http_req *req);

/* Negotiates and takes the connection over; the request is over after it (closed was called). NULL:
 * a refusal (400 or 403, plain text) was answered, no callback follows. */
struct cor_remote *cor_remote_accept(struct cor_http_req *req, const struct cor_remote_config *c);
/* stdout or stderr; copied. Dropped when the channel was not asked for. */
void cor_remote_write(struct cor_remote *r, enum cor_remote_channel ch, struct cor_str data);
size_t cor_remote_backlog(const struct cor_remote *r);
/* The consumer cannot take more stdin now. A few already read bytes are held back and come later. */
void cor_remote_pause_stdin(struct cor_remote *r, bool paused);
/* The end: the report goes out on the error channel behind all output, then the connection is closed in
 * the protocol's way; on_closed(NULL) follows. err NULL: the command ended with exit_code. Else it could
 * not be run: the text becomes "Internal error occurred: <message>" unless err has an HTTP
 * status or reason of its own. */
void cor_remote_finish(struct cor_remote *r, int exit_code, const struct cor_err *err);
/* Breaks it off; on_closed follows. */
void cor_remote_abort(struct cor_remote *r);

/* ---- port-forward ---- */

struct cor_forward;             /* one client session: many connections to ports of one pod */
struct cor_forward_conn;        /* one of these connections */

struct cor_forward_ops {
	/* A new connection to port (1..65535). Keep data in *user of it; write, finish or fail it at once or
	 * later. Data of the client is held back until cor_forward_ready. */
	void (*on_connect)(void *arg, struct cor_forward_conn *fc, int port);
	void (*on_data)(void *arg, struct cor_forward_conn *fc, struct cor_str data);
	void (*on_eof)(void *arg, struct cor_forward_conn *fc); /* client has finished writing */
	void (*on_writable)(void *arg, struct cor_forward_conn *fc);
	/* Last call for fc: both directions done, reset, or the session is gone. Close the socket. */
	void (*on_disconnect)(void *arg, struct cor_forward_conn *fc);
	void (*on_closed)(void *arg, const struct cor_err *why); /* last call of the session */
};

struct cor_forward_config {
	const int *ports;               /* old WebSocket form: ports in order of the query; else empty */
	size_t n_ports;
	cor_time create_timeout;        /* a pair of streams must be complete within; 0 = 30 s */
	cor_time idle_timeout;          /* 0 = 4 h */
	struct cor_forward_ops ops;
	void *arg;
};

/* As cor_remote_accept. */
struct cor_forward *cor_forward_accept(struct cor_http_req *req, const struct cor_forward_config *c);
void cor_forward_abort(struct cor_forward *f);

void cor_forward_set_user(struct cor_forward_conn *fc, void *user);
void *cor_forward_user(const struct cor_forward_conn *fc);
/* Connected to the pod: client data begins to flow. */
void cor_forward_ready(struct cor_forward_conn *fc);
void cor_forward_write(struct cor_forward_conn *fc, struct cor_str data);       /* copied */
size_t cor_forward_backlog(const struct cor_forward_conn *fc);                  /* of the session */
void cor_forward_pause(struct cor_forward_conn *fc, bool paused);
/* The pod has finished writing. */
void cor_forward_finish(struct cor_forward_conn *fc);
/* Connect or copy failed: text goes to the client ("error forwarding port 80 to pod p, uid u: ...") and
 * the connection ends; on_disconnect follows before this returns. */
void cor_forward_fail(struct cor_forward_conn *fc, struct cor_str text);

/* ---- plain output over WebSocket: pods/log, watch ---- */

struct cor_ws_out;              /* a one-way stream of messages; input of the client is ignored */
enum cor_ws_out_kind {
	COR_WS_OUT_LOG,         /* none, binary.k8s.io, base64.binary.k8s.io: pieces of <= 2048 bytes */
	COR_WS_OUT_TEXT,        /* one text message per write, no subprotocol: watch as JSON */
	COR_WS_OUT_BINARY,      /* one binary message per write: watch as protobuf */
};
/* on_closed is the last call, also after finish. NULL: refused and answered. */
struct cor_ws_out *cor_ws_out_accept(struct cor_http_req *req, enum cor_ws_out_kind kind,
	void (*on_writable)(void *arg), void (*on_closed)(void *arg, const struct cor_err *why),
	void *arg);
void cor_ws_out_write(struct cor_ws_out *w, struct cor_str data);
size_t cor_ws_out_backlog(const struct cor_ws_out *w);
void cor_ws_out_finish(struct cor_ws_out *w);

/* ---- tunnels: the API server's way to a node ---- */

/* Joins two connections byte by byte with back-pressure both ways; takes both over. When one ends, the
 * other one's rest is sent and it is closed; then done (may be NULL) is called, once. */
void cor_tunnel(struct cor_conn *a, struct cor_conn *b, cor_time idle_timeout,
	void (*done)(void *arg), void *arg);
