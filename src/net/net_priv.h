// SPDX-License-Identifier: Apache-2.0
// What the files of net/ share: the per-loop context (scratch buffers, work deferred to the end of
// the turn), queues of bytes to send, and the inner side of a connection.
//
// Order within one turn of the loop: callbacks read, handlers queue answers, then the prepare hook
// runs deferred tasks (requests that ended, connections with something to send) until none is
// left, and only then does the loop sleep. So all that a turn produced goes out in one system call
// per connection, and no callback of a user runs from inside a call he made.
#pragma once

#include <openssl/types.h>
#include <uv.h>

#include "base/assert.h"
#include "net/http.h"
#include "net/tls.h"

/* ---- doubly linked lists ---- */

struct cor_link {
	struct cor_link *prev, *next;   /* NULL when in no list */
};

static inline void cor_list_init(struct cor_link *l) { l->prev = l->next = l; }
static inline bool cor_list_empty(const struct cor_link *l) { return l->next == l; }
static inline void cor_list_remove(struct cor_link *e) {
	if (!e->next)
		return;
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->prev = e->next = NULL;
}
static inline void cor_list_push(struct cor_link *l, struct cor_link *e) {
	cor_list_remove(e);
	e->prev = l->prev;
	e->next = l;
	l->prev->next = e;
	l->prev = e;
}

/* ---- the loop's context ---- */

enum { COR_NET_CHUNK = 32 * 1024 };

/* Embedded in its owner; runs once at the end of the turn. */
struct cor_task {
	struct cor_link link;
	void (*run)(struct cor_task *t);
};

struct cor_netloop {
	uv_loop_t *loop;
	unsigned refs;
	struct cor_netloop *next;
	uv_prepare_t prepare;
	struct cor_link tasks;
	char *in;                       /* COR_NET_CHUNK: bytes off the wire */
	char *plain;                    /* COR_NET_CHUNK: decrypted, or a record to be */
	struct cor_buf cipher;          /* encrypted, of the connection at work */
	struct cor_buf head;            /* scratch for building message heads */
	int64_t date_s;
	char date[32];
};

/* The context of this loop on this thread, made at first use. */
struct cor_netloop *cor_netloop_get(uv_loop_t *loop);
void cor_netloop_put(struct cor_netloop *nl);
void cor_defer(struct cor_netloop *nl, struct cor_task *t);
static inline void cor_undefer(struct cor_task *t) { cor_list_remove(&t->link); }
/* "Tue, 24 Nov 2026 19:00:00 GMT", made once a second. */
struct cor_str cor_net_date(struct cor_netloop *nl);

/* Things that time out after the same span, oldest first; one timer for all of them. */
struct cor_timeouts {
	struct cor_link items;
	uv_timer_t *timer;
	uint64_t span_ms;
	void (*expired)(struct cor_timeouts *t, struct cor_link *item);     /* item was removed */
};
struct cor_timeout {
	struct cor_link link;
	uint64_t deadline_ms;
};
void cor_timeouts_init(struct cor_timeouts *t, uv_loop_t *loop, cor_time span,
	void (*expired)(struct cor_timeouts *t, struct cor_link *item));
void cor_timeouts_fini(struct cor_timeouts *t);
void cor_timeout_touch(struct cor_timeouts *t, struct cor_timeout *e);
static inline void cor_timeout_clear(struct cor_timeout *e) { cor_list_remove(&e->link); }

/* ---- bytes that wait to be sent ---- */

struct cor_seg;
struct cor_outq {
	struct cor_seg *head, *tail;
	size_t n;
};
void cor_outq_fini(struct cor_outq *q);
void cor_outq_copy(struct cor_outq *q, struct cor_str s);
/* Copies too, but into a run of its own. */
void cor_outq_copy_apart(struct cor_outq *q, struct cor_str s);
/* Small pieces are copied and released at once, large ones and many together are kept. */
void cor_outq_pieces(struct cor_outq *q, const struct cor_piece *pieces, size_t n);
/* The first run of bytes; absent when empty. */
struct cor_str cor_outq_first(const struct cor_outq *q);
unsigned cor_outq_vec(const struct cor_outq *q, uv_buf_t *vec, unsigned max);
void cor_outq_consume(struct cor_outq *q, size_t n);
size_t cor_outq_read(struct cor_outq *q, void *p, size_t n);
size_t cor_pieces_size(const struct cor_piece *pieces, size_t n);
void cor_pieces_release(const struct cor_piece *pieces, size_t n);

/* ---- connections ---- */

/* on_writable when the backlog, having been above it, is below it again. */
enum { COR_CONN_LOW = 64 * 1024 };

struct cor_conn_setup {
	struct cor_netloop *nl;
	struct cor_tls *tls;            /* NULL: plain */
	bool server;
	/* The transport is ready, handshake included. A failure before is on_close. */
	void (*opened)(void *arg, struct cor_conn *c);
	struct cor_conn_ops ops;
	void *arg;
	const char *server_name;        /* client: SNI and name to verify */
	bool verify;
};
struct cor_conn *cor_conn_new(const struct cor_conn_setup *s);
/* Of a connection that has not been accepted or connected: the TCP handle is ready to use. */
[[nodiscard]] int cor_conn_accept(struct cor_conn *c, uv_stream_t *listener);
[[nodiscard]] int cor_conn_connect(struct cor_conn *c, const struct sockaddr *addr,
	const char *bind_device, struct cor_err *err);
/* Closes; on_close gets *why. The first reason stays. */
void cor_conn_fail(struct cor_conn *c, const struct cor_err *why);
bool cor_conn_is_h2(const struct cor_conn *c);
/* Lives as long as the connection. */
const struct cor_peer *cor_conn_peer(struct cor_conn *c);
/* Gives bytes back: they come again by on_data, before anything else, in a later turn. */
void cor_conn_unread(struct cor_conn *c, struct cor_str s);
/* Nobody listens: reading rests until the next set_ops. */
void cor_conn_detach(struct cor_conn *c);
struct cor_netloop *cor_conn_loop(const struct cor_conn *c);
/* Of the server that has this request. */
struct cor_netloop *cor_http_req_loop(const struct cor_http_req *req);
/* As cor_conn_shutdown, and closes without waiting for the peer to do so. Only for one that has sent nothing
 * which is not read: the reset that it got instead could overtake an answer. */
void cor_conn_leave(struct cor_conn *c);
/* A client that keeps idle connections must not keep the loop alive by them. */
void cor_conn_set_ref(struct cor_conn *c, bool ref);

/* ---- TLS, inner side ---- */

SSL *cor_tls_session(struct cor_tls *t, bool verify, struct cor_err *err);
bool cor_tls_is_server(const struct cor_tls *t);
/* Who the peer's certificate says it is; when there is none, nobody. What ret points to is the caller's to free. */
void cor_tls_peer(SSL *ssl, struct cor_peer *ret, struct cor_str **ret_orgs, char **ret_names);
/* "what: reason" from OpenSSL's error queue, which is emptied. */
[[nodiscard]] int cor_tls_fail(struct cor_err *err, int code, const char *what);
