// SPDX-License-Identifier: Apache-2.0
// Listeners and connections. A datagram is answered on the spot unless it has to be forwarded; a
// connection may send several questions at once and gets answers as they are ready. Whatever a
// client can grow is bounded: connections, questions waiting per connection, bytes not yet read.
#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "network/dns_forward_priv.h"
#include "network/dns_pkt.h"

enum { PORT_TRIES = 16 };
enum { CONNS_MAX = 256, PENDING_MAX = 32, UNREAD_MAX = 256 * 1024, IDLE_MS = 10000, QUERY_MAX = 4096 };

struct listener {
	union {
		uv_handle_t handle;
		uv_udp_t udp;
		uv_tcp_t tcp;
		uv_stream_t stream;
	} u;
	struct cor_dns_server *s;
	struct listener *next;
};

struct conn {
	uv_tcp_t tcp;
	struct cor_dns_server *s;
	struct conn *prev, *next;
	uint64_t active;                /* when something last came */
	unsigned pending;               /* questions that are being forwarded */
	bool closing, closed;           /* freed when closed and nothing is pending */
	size_t n;
	uint8_t in[QUERY_MAX + 2];
};

/* A question that is being forwarded. */
struct request {
	struct dns_waiter waiter;
	struct cor_dns_server *s;
	struct listener *udp;           /* where it came in, or NULL */
	struct conn *conn;              /* or this */
	struct sockaddr_storage peer;
	bool chase;                     /* asked for an alias's target, not for the question */
	size_t n;
	uint8_t query[];
};

struct cor_dns_server {
	uv_loop_t *loop;
	struct cor_dns *dns;
	struct dns_forward *forward;
	struct listener *listeners;
	struct conn *conns;
	unsigned conn_n;
	uv_timer_t idle;
	unsigned handles;               /* ours that are open; the forwarder counts as one */
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
	struct cor_dns_stats stats;
	uint8_t in[QUERY_MAX];
	uint8_t out[COR_DNS_TCP_MAX + 2];       /* the answer that is being written, behind its length */
};

static void one_less(struct cor_dns_server *s) {
	if (--s->handles > 0)
		return;
	void (*closed)(void *arg) = s->closed;
	void *arg = s->closed_arg;
	free(s);
	closed(arg);
}

/* ---- connections ---- */

static void maybe_free_conn(struct conn *c) {
	if (!c->closed || c->pending > 0)
		return;
	struct cor_dns_server *s = c->s;
	free(c);
	one_less(s);
}

static void conn_closed(uv_handle_t *h) {
	struct conn *c = h->data;
	c->closed = true;
	maybe_free_conn(c);
}

static void close_conn(struct conn *c) {
	if (c->closing)
		return;
	c->closing = true;
	if (c->prev)
		c->prev->next = c->next;
	else
		c->s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->s->conn_n--;
	uv_close((uv_handle_t *)&c->tcp, conn_closed);
}

struct pending_write {
	uv_write_t req;
	uint8_t bytes[];
};

static void written(uv_write_t *req, int status) {
	struct pending_write *w = cor_container_of(req, struct pending_write, req);
	struct conn *c = req->handle->data;
	if (status < 0)
		close_conn(c);
	free(w);
}

/* s->out holds n bytes of answer behind two for the length. */
static void send_stream(struct conn *c, size_t n) {
	if (c->closing)
		return;
	uint8_t *out = c->s->out;
	dns_put16(out, (uint16_t)n);
	uv_buf_t buf = uv_buf_init((char *)out, (unsigned)n + 2);
	int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	if (sent == (int)n + 2)
		return;
	size_t done = sent > 0 ? (size_t)sent : 0;
	if ((sent < 0 && sent != UV_EAGAIN) || c->tcp.write_queue_size > UNREAD_MAX) {
		close_conn(c);
		return;
	}
	struct pending_write *w = cor_calloc(1, sizeof(*w) + n + 2 - done);
	memcpy(w->bytes, out + done, n + 2 - done);
	buf = uv_buf_init((char *)w->bytes, (unsigned)(n + 2 - done));
	if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &buf, 1, written) < 0) {
		free(w);
		close_conn(c);
	}
}

/* ---- questions ---- */

/* Sends the answer in s->out + 2. A datagram that the socket has no room for is lost, as any. */
static void send_answer(struct cor_dns_server *s, struct listener *udp, struct conn *conn,
	const struct sockaddr *peer, size_t n) {
	uv_buf_t buf = uv_buf_init((char *)s->out + 2, (unsigned)n);
	if (n == 0)
		return;
	if (conn)
		send_stream(conn, n);
	else if (!uv_is_closing(&udp->u.handle))
		(void)uv_udp_try_send(&udp->u.udp, &buf, 1, peer);
}

static void finish_chase(struct request *r, const uint8_t *p, size_t n) {
	struct cor_dns_upstream upstream = { p, n };
	struct cor_dns_reply reply;
	cor_dns_answer(r->s->dns, r->query, r->n, r->conn != NULL, &upstream, r->s->out + 2, &reply);
	/* Were the name another alias by now, the client asks again. */
	if (reply.verdict != COR_DNS_ANSWER)
		reply.n = cor_dns_refuse(r->query, r->n, ns_r_servfail, r->s->out + 2);
	send_answer(r->s, r->udp, r->conn, (void *)&r->peer, reply.n);
}

static void forwarded(struct dns_waiter *w, const uint8_t *p, size_t n) {
	struct request *r = cor_container_of(w, struct request, waiter);
	struct cor_dns_server *s = r->s;
	s->stats.forwarded += n > 0;
	s->stats.failed += n == 0;
	if (r->chase) {
		finish_chase(r, p, n);
	} else if (n > 0) {
		memcpy(s->out + 2, p, n);
		send_answer(s, r->udp, r->conn, (void *)&r->peer, n);
	} else {
		n = cor_dns_refuse(r->query, r->n, ns_r_servfail, s->out + 2);
		send_answer(s, r->udp, r->conn, (void *)&r->peer, n);
	}
	struct conn *conn = r->conn;
	free(r);
	if (conn) {
		conn->pending--;
		maybe_free_conn(conn);
	}
}

/* The question for an alias's target, in out (512 bytes). */
static size_t target_query(const struct cor_dns_reply *reply, uint8_t *out) {
	static const uint8_t root[] = "";
	struct dns_pkt k;
	dns_pkt_init(&k, out, 512, reply->target, reply->type);
	out[2] = DNS_RD;
	k.section = DNS_ADDITIONAL;
	return dns_pkt_put(&k, root, ns_t_opt, COR_DNS_UDP_MAX, 0, NULL, 0) ? k.n : 0;
}

static void forward(struct cor_dns_server *s, struct listener *udp, struct conn *conn,
	const struct sockaddr *peer, const uint8_t *query, size_t n, const struct cor_dns_reply *reply) {
	uint8_t target[512];
	struct request *r = cor_calloc(1, sizeof(*r) + n);
	r->waiter.done = forwarded;
	r->s = s;
	r->udp = udp;
	r->conn = conn;
	r->n = n;
	memcpy(r->query, query, n);
	if (peer)
		memcpy(&r->peer, peer, peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
			: sizeof(struct sockaddr_in));
	if (conn)
		conn->pending++;
	r->chase = reply->verdict == COR_DNS_CHASE;
	size_t tn = r->chase ? target_query(reply, target) : 0;
	if ((conn && conn->pending > PENDING_MAX) || (r->chase && tn == 0))
		forwarded(&r->waiter, NULL, 0);
	else if (r->chase)
		dns_forward_ask(s->forward, target, tn, conn != NULL, &r->waiter);
	else
		dns_forward_ask(s->forward, query, n, conn != NULL, &r->waiter);
}

static void question(struct cor_dns_server *s, struct listener *udp, struct conn *conn,
	const struct sockaddr *peer, const uint8_t *query, size_t n) {
	struct cor_dns_reply reply;
	cor_dns_answer(s->dns, query, n, conn != NULL, NULL, s->out + 2, &reply);
	switch (reply.verdict) {
	case COR_DNS_DROP:
		s->stats.dropped++;
		break;
	case COR_DNS_ANSWER:
		s->stats.answered++;
		send_answer(s, udp, conn, peer, reply.n);
		break;
	case COR_DNS_FORWARD:
	case COR_DNS_CHASE:
		forward(s, udp, conn, peer, query, n, &reply);
		break;
	}
}

/* ---- sockets ---- */

static void give_datagram_room(uv_handle_t *h, size_t size, uv_buf_t *buf) {
	struct listener *l = h->data;
	*buf = uv_buf_init((char *)l->s->in, sizeof(l->s->in));
}

static void got_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
	unsigned flags) {
	struct listener *l = h->data;
	if (n > 0 && from && !(flags & UV_UDP_PARTIAL) && !l->s->closing)
		question(l->s, l, NULL, from, (uint8_t *)buf->base, (size_t)n);
}

static void give_stream_room(uv_handle_t *h, size_t size, uv_buf_t *buf) {
	struct conn *c = h->data;
	*buf = uv_buf_init((char *)c->in + c->n, (unsigned)(sizeof(c->in) - c->n));
}

static void got_stream(uv_stream_t *h, ssize_t n, const uv_buf_t *buf) {
	struct conn *c = h->data;
	if (n < 0) {
		close_conn(c);
		return;
	}
	c->n += (size_t)n;
	c->active = uv_now(c->s->loop);
	size_t at = 0;
	while (!c->closing && c->n - at >= 2) {
		size_t want = dns_get16(c->in + at);
		if (want < DNS_HEADER || want > QUERY_MAX) {
			close_conn(c);
			return;
		}
		if (c->n - at < want + 2)
			break;
		question(c->s, NULL, c, NULL, c->in + at + 2, want);
		at += want + 2;
	}
	memmove(c->in, c->in + at, c->n - at);
	c->n -= at;
}

static void got_conn(uv_stream_t *h, int status) {
	struct listener *l = h->data;
	struct cor_dns_server *s = l->s;
	if (status < 0 || s->closing)
		return;
	struct conn *c = cor_new(struct conn);
	c->s = s;
	c->tcp.data = c;
	if (uv_tcp_init(s->loop, &c->tcp) < 0) {
		free(c);
		return;
	}
	s->handles++;
	s->conn_n++;
	c->active = uv_now(s->loop);
	c->next = s->conns;
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	if (uv_accept(h, (uv_stream_t *)&c->tcp) < 0 || s->conn_n > CONNS_MAX ||
		uv_read_start((uv_stream_t *)&c->tcp, give_stream_room, got_stream) < 0) {
		close_conn(c);
		return;
	}
	if (!uv_is_active((uv_handle_t *)&s->idle))
		uv_timer_again(&s->idle);
}

static void close_idle(uv_timer_t *t) {
	struct cor_dns_server *s = t->data;
	struct conn *next;
	for (struct conn *c = s->conns; c; c = next) {
		next = c->next;
		if (uv_now(s->loop) - c->active > IDLE_MS)
			close_conn(c);
	}
	if (!s->conns)
		uv_timer_stop(t);
}

static int open_pair(const char *ip, uint16_t port, int ret_fds[2], struct cor_err *err) {
	struct sockaddr_storage ss = { 0 };
	const int types[2] = { SOCK_DGRAM, SOCK_STREAM };
	int on = 1;
	if (uv_ip4_addr(ip, port, (void *)&ss) < 0 && uv_ip6_addr(ip, port, (void *)&ss) < 0)
		return cor_fail(err, COR_E_INVALID, "\"%s\" is not an IP address", ip);
	socklen_t len = ss.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int fds[2] = { -1, -1 };
	for (int i = 0; i < 2; i++) {
		fds[i] = socket(ss.ss_family, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		/* For UDP it would mean that two servers may share the port. */
		if (types[i] == SOCK_STREAM)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		(void)setsockopt(fds[i], IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
		if (fds[i] < 0 || bind(fds[i], (void *)&ss, len) < 0 ||
			(i == 1 && listen(fds[i], 128) < 0)) {
			int rc = cor_fail_errno(err, errno, "listen on %s port %u over %s", ip, port,
				i ? "TCP" : "UDP");
			cor_closep(&fds[0]);
			cor_closep(&fds[1]);
			return rc;
		}
		/* Port 0: TCP takes the one that UDP got. */
		(void)getsockname(fds[i], (void *)&ss, &len);
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

int cor_dns_open_sockets(const char *ip, uint16_t port, int ret_fds[2], struct cor_err *err) {
	int r = -EADDRINUSE;
	/* A port that is free for UDP may be in use for TCP: then another one. */
	for (int i = 0; r == -EADDRINUSE && i < (port == 0 ? PORT_TRIES : 1); i++)
		r = open_pair(ip, port, ret_fds, err);
	return r;
}

static void listener_closed(uv_handle_t *h) {
	struct listener *l = h->data;
	struct cor_dns_server *s = l->s;
	free(l);
	one_less(s);
}

/* Takes *fd once the handle owns it. */
static int start_listener(struct listener *l, int type, int *fd) {
	int rc = type == SOCK_DGRAM ? uv_udp_open(&l->u.udp, *fd) : uv_tcp_open(&l->u.tcp, *fd);
	if (rc < 0)
		return rc;
	*fd = -1;
	return type == SOCK_DGRAM ? uv_udp_recv_start(&l->u.udp, give_datagram_room, got_datagram)
		: uv_listen(&l->u.stream, 128, got_conn);
}

int cor_dns_server_adopt(struct cor_dns_server *s, int fd, struct cor_err *err) {
	_cleanup_close_ int owned = fd;
	int type = 0;
	struct sockaddr_storage own = { 0 };
	socklen_t len = sizeof(type), own_len = sizeof(own);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
		getsockname(fd, (void *)&own, &own_len) < 0)
		return cor_fail_errno(err, errno, "socket %d", fd);
	struct listener *l = cor_new(struct listener);
	l->s = s;
	int rc = type == SOCK_DGRAM ? uv_udp_init(s->loop, &l->u.udp) : uv_tcp_init(s->loop, &l->u.tcp);
	if (rc < 0) {
		free(l);
		return cor_fail_errno(err, -rc, "socket handle");
	}
	l->u.handle.data = l;
	s->handles++;
	rc = start_listener(l, type, &owned);
	if (rc < 0) {
		uv_close(&l->u.handle, listener_closed);
		return cor_fail_errno(err, -rc, "serve on socket %d", fd);
	}
	l->next = s->listeners;
	s->listeners = l;
	dns_forward_own(s->forward, (void *)&own);
	return 0;
}

int cor_dns_server_listen(struct cor_dns_server *s, const char *ip, uint16_t port,
	struct cor_err *err) {
	int fds[2];
	int rc = cor_dns_open_sockets(ip, port, fds, err);
	if (rc < 0)
		return rc;
	rc = cor_dns_server_adopt(s, fds[0], err);
	if (rc < 0) {
		(void)close(fds[1]);
		return rc;
	}
	return cor_dns_server_adopt(s, fds[1], err);
}

/* ---- life ---- */

int cor_dns_server_new(struct uv_loop_s *loop, const struct cor_dns_server_config *config,
	struct cor_dns_server **ret, struct cor_err *err) {
	struct cor_dns_server *s = cor_new(struct cor_dns_server);
	s->loop = loop;
	s->dns = config->dns;
	int rc = uv_timer_init(loop, &s->idle);
	if (rc < 0) {
		free(s);
		return cor_fail_errno(err, -rc, "timer");
	}
	s->idle.data = s;
	(void)uv_timer_start(&s->idle, close_idle, IDLE_MS / 2, IDLE_MS / 2);
	(void)uv_timer_stop(&s->idle);
	s->forward = dns_forward_new(loop, config);
	s->handles = 2;
	*ret = s;
	return 0;
}

static void part_closed(void *arg) {
	one_less(arg);
}

static void timer_closed(uv_handle_t *h) {
	one_less(h->data);
}

void cor_dns_server_close(struct cor_dns_server *s, void (*closed)(void *arg), void *arg) {
	cor_assert(!s->closing);
	s->closing = true;
	s->closed = closed;
	s->closed_arg = arg;
	for (struct listener *l = s->listeners; l; l = l->next)
		uv_close(&l->u.handle, listener_closed);
	/* Those who wait for an answer are told before their connections go. */
	dns_forward_close(s->forward, part_closed, s);
	while (s->conns)
		close_conn(s->conns);
	uv_close((uv_handle_t *)&s->idle, timer_closed);
}

struct cor_dns_stats cor_dns_server_stats(const struct cor_dns_server *s) {
	return s->stats;
}
