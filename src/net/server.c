// SPDX-License-Identifier: Apache-2.0
// The HTTP server apart from the protocols: listeners, peers, exchanges and their pool, and the
// functions of http.h that handlers call. Which protocol a peer speaks is known when its TLS
// handshake is done.
#include <openssl/ssl.h>

#include "net/server_priv.h"

struct listener {
	struct listener *next;
	uv_tcp_t tcp;
	struct cor_http_server *server;
};

static struct exchange *of(const struct cor_http_req *req) {
	return req->impl;
}

struct cor_netloop *cor_http_req_loop(const struct cor_http_req *req) {
	return of(req)->server->nl;
}

/* ---- exchanges ---- */

static void end_exchange(struct exchange *x) {
	struct cor_http_server *s = x->server;

	cor_undefer(&x->end);
	if (x->dispatched && s->cfg.closed)
		s->cfg.closed(s->cfg.arg, &x->req);
	x->dispatched = false;
	x->protocol->ended(x);
	cor_exchange_drop(x);
}

static void end_task(struct cor_task *t) {
	struct exchange *x = cor_container_of(t, struct exchange, end);

	end_exchange(x);
}

struct exchange *cor_exchange_new(struct peer *p) {
	struct cor_http_server *s = p->server;
	struct exchange *x = s->pool;

	if (x) {
		s->pool = x->next_free;
		s->n_pool--;
	} else {
		x = cor_new(struct exchange);
		x->req.arena = cor_arena_new(0);
		x->server = s;
		x->end.run = end_task;
	}
	x->next_free = NULL;
	x->peer = p;
	x->protocol = p->protocol;
	x->req.impl = x;
	x->req.peer = *cor_conn_peer(p->conn);
	s->open_handles++;
	return x;
}

static void free_exchange(struct exchange *x) {
	cor_arena_free(x->req.arena);
	cor_buf_fini(&x->body);
	free(x);
}

void cor_exchange_drop_body(struct exchange *x) {
	x->server->bodies -= x->body_charged;
	if (x->peer)
		x->peer->bodies -= x->body_charged;
	x->body_charged = 0;
	if (x->body.cap > 16 * 1024)
		cor_buf_fini(&x->body);
	cor_buf_clear(&x->body);
}

void cor_exchange_drop(struct exchange *x) {
	struct cor_http_server *s = x->server;
	struct cor_arena *arena = x->req.arena;
	struct cor_buf body;

	cor_assert(!x->dispatched);
	cor_undefer(&x->end);
	cor_outq_fini(&x->outq);
	cor_exchange_drop_body(x);
	body = x->body;
	s->open_handles--;
	if (s->n_pool >= COR_HTTP_POOL_MAX) {
		free_exchange(x);
	} else {
		cor_arena_reset(arena);
		memset(x, 0, sizeof(*x));
		x->req.arena = arena;
		x->body = body;
		x->server = s;
		x->end.run = end_task;
		x->next_free = s->pool;
		s->pool = x;
		s->n_pool++;
	}
	if (s->closing)
		cor_defer(s->nl, &s->end);
}

/* Whoever makes us hold most goes, so that bodies which are begun and never finished keep nobody else from
 * writing. False: that is p itself. */
static bool make_room(struct cor_http_server *s, const struct peer *p) {
	struct peer *most = NULL;

	for (struct cor_link *l = s->peers.next; l != &s->peers; l = l->next) {
		struct peer *other = cor_container_of(l, struct peer, link);

		if (other != p && !other->evicted && other->bodies > (most ? most->bodies : p->bodies))
			most = other;
	}
	if (!most)
		return false;
	most->evicted = true;
	cor_conn_close(most->conn);
	return true;
}

int cor_exchange_body(struct exchange *x, struct cor_str data, struct cor_err *err) {
	struct cor_http_server *s = x->server;
	int r;

	if (x->body.n + data.n > s->cfg.max_body) {
		r = cor_fail_status(err, COR_REASON_REQUEST_ENTITY_TOO_LARGE,
			"Request entity too large: limit is %zu", s->cfg.max_body);
		return r;
	}
	if (s->bodies + data.n > COR_HTTP_BODIES_MAX && !make_room(s, x->peer))
		return cor_fail_status(err, COR_REASON_SERVICE_UNAVAILABLE,
			"too many request bodies at once, try again later");
	s->bodies += data.n;
	x->peer->bodies += data.n;
	x->body_charged += data.n;
	cor_buf_str(&x->body, data);
	return 0;
}

void cor_exchange_dispatch(struct exchange *x) {
	struct cor_http_server *s = x->server;

	x->req.body = x->body.n ? cor_buf_view(&x->body) : (struct cor_str){ "", 0 };
	x->dispatched = true;
	x->in_handle = true;
	s->cfg.handle(s->cfg.arg, &x->req);
	x->in_handle = false;
	/* The common case: answered at once. Ends here, without a detour over the deferred work. */
	if (x->ending)
		end_exchange(x);
}

void cor_exchange_end(struct exchange *x) {
	x->ending = true;
	if (!x->in_handle)
		cor_defer(x->server->nl, &x->end);
}

void cor_exchange_gone(struct exchange *x) {
	if (x->gone)
		return;
	x->gone = true;
	if (x->peer)
		x->peer->bodies -= x->body_charged;
	x->peer = NULL;
	cor_exchange_end(x);
}

struct cor_str cor_http_refusal(struct cor_http_server *s, const struct cor_err *err,
	struct cor_buf *b, const char **ret_type) {
	(void)s;
	/* The texts are ours and need no escapes. */
	if (err->reason) {
		cor_buf_printf(b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
			"\"status\":\"Failure\",\"message\":\"%s\",\"reason\":\"%s\",\"code\":%d}\n",
			err->message, cor_reason_to_string(err->reason), cor_err_http(err));
		*ret_type = "application/json";
	} else {
		cor_buf_printf(b, "%s\n", err->message);
		*ret_type = "text/plain; charset=utf-8";
	}
	return cor_buf_view(b);
}

/* ---- what handlers call ---- */

const struct cor_str *cor_http_header(const struct cor_http_req *req, const char *name) {
	struct cor_str n = cor_str_c(name);

	for (size_t i = 0; i < req->n_headers; i++)
		if (cor_str_eq(req->headers[i].name, n))
			return &req->headers[i].value;
	return NULL;
}

static int hex(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool cor_url_decode(struct cor_arena *a, struct cor_str s, bool form, struct cor_str *ret) {
	char *out;
	size_t n = 0;

	if (!memchr(s.n ? s.p : "", '%', s.n) && !(form && memchr(s.n ? s.p : "", '+', s.n))) {
		*ret = s.p ? s : (struct cor_str){ "", 0 };
		return true;
	}
	out = cor_arena_bytes(a, s.n + 1);
	if (!out)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			int hi = s.n - i > 2 ? hex(s.p[i + 1]) : -1;
			int lo = s.n - i > 2 ? hex(s.p[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (form && c == '+')
			c = ' ';
		out[n++] = c;
	}
	out[n] = '\0';
	*ret = (struct cor_str){ out, n };
	return true;
}

struct cor_str cor_http_param_at(struct cor_http_req *req, const char *name, size_t i) {
	struct cor_str rest = req->query, want = cor_str_c(name);

	while (rest.p) {
		struct cor_str part = cor_str_cut(&rest, '&'), key, value = { "", 0 };
		size_t eq = cor_str_chr(part, '=');

		if (eq < part.n)
			value = (struct cor_str){ part.p + eq + 1, part.n - eq - 1 };
		if (!part.n || !cor_url_decode(req->arena, cor_str_sub(part, 0, eq), true, &key) ||
			!cor_str_eq(key, want))
			continue;
		if (i--)
			continue;
		if (!cor_url_decode(req->arena, value, true, &value))
			return (struct cor_str){ 0 };
		return value;
	}
	return (struct cor_str){ 0 };
}

struct cor_str cor_http_param(struct cor_http_req *req, const char *name) {
	return cor_http_param_at(req, name, 0);
}

void cor_http_set_header(struct cor_http_req *req, const char *name, struct cor_str value) {
	struct exchange *x = of(req);
	struct cor_http_header *h;

	cor_assert(!x->head_sent);
	/* A value that would split the head cannot come from our own code; drop it silently. */
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] == '\r' || value.p[i] == '\n' || value.p[i] == '\0')
			return;
	h = cor_arena_push(req->arena, &x->out);
	if (!h)
		return;
	h->name = cor_arena_str(req->arena, cor_str_c(name));
	h->value = cor_arena_str(req->arena, value);
	if (cor_arena_failed(req->arena))
		x->out.n--;
}

static bool bodiless(const struct exchange *x, int status) {
	return x->head_request || status == 204 || status == 304 || status < 200;
}

void cor_http_reply_pieces(struct cor_http_req *req, int status, const char *content_type,
	const struct cor_piece *pieces, size_t n) {
	struct exchange *x = of(req);
	int64_t length = (int64_t)cor_pieces_size(pieces, n);

	cor_assert(!x->finished && !x->head_sent);
	if (x->gone) {
		cor_pieces_release(pieces, n);
		return;
	}
	x->head_sent = true;
	x->protocol->head(x, status, content_type,
		status == 204 || status == 304 ? -1 : length);
	if (bodiless(x, status))
		cor_pieces_release(pieces, n);
	else if (n)
		x->protocol->write(x, pieces, n);
	x->finished = true;
	x->protocol->finish(x);
}

void cor_http_reply(struct cor_http_req *req, int status, const char *content_type,
	struct cor_str body) {
	struct cor_piece piece = { .data = body };

	cor_http_reply_pieces(req, status, content_type, &piece, body.n ? 1 : 0);
}

void cor_http_stream_begin(struct cor_http_req *req, int status, const char *content_type,
	void (*writable)(struct cor_http_req *req)) {
	struct exchange *x = of(req);

	cor_assert(!x->finished && !x->head_sent);
	x->writable = writable;
	x->head_sent = true;
	if (x->gone)
		return;
	x->chunked = x->req.http_major == 1 && !bodiless(x, status);
	x->protocol->head(x, status, content_type, -1);
}

void cor_http_stream_write(struct cor_http_req *req, const struct cor_piece *pieces, size_t n) {
	struct exchange *x = of(req);

	cor_assert(x->head_sent && !x->finished);
	if (x->gone || x->head_request || !cor_pieces_size(pieces, n))
		cor_pieces_release(pieces, n);
	else
		x->protocol->write(x, pieces, n);
}

size_t cor_http_backlog(const struct cor_http_req *req) {
	const struct exchange *x = of(req);

	return x->gone ? 0 : x->protocol->backlog(x);
}

void cor_http_stream_finish(struct cor_http_req *req) {
	struct exchange *x = of(req);

	cor_assert(x->head_sent && !x->finished);
	x->finished = true;
	if (!x->gone)
		x->protocol->finish(x);
}

void cor_http_abort(struct cor_http_req *req) {
	struct exchange *x = of(req);

	x->finished = true;
	if (!x->gone)
		x->protocol->abort(x);
}

struct cor_conn *cor_http_takeover(struct cor_http_req *req, int status,
	const struct cor_http_header *headers, size_t n_headers) {
	struct exchange *x = of(req);
	struct cor_conn *conn = NULL;
	struct cor_buf *b = &x->server->nl->head;

	cor_assert(!x->head_sent);
	x->head_sent = x->finished = true;
	if (!x->gone && x->protocol->takeover) {
		cor_buf_clear(b);
		cor_buf_printf(b, "HTTP/1.1 %d %s\r\n", status, cor_http_reason(status));
		for (size_t i = 0; i < n_headers; i++)
			cor_buf_printf(b, "%.*s: %.*s\r\n", COR_STR_ARG(headers[i].name),
				COR_STR_ARG(headers[i].value));
		for (size_t i = 0; i < x->out.n; i++)
			cor_buf_printf(b, "%.*s: %.*s\r\n", COR_STR_ARG(x->out.p[i].name),
				COR_STR_ARG(x->out.p[i].value));
		cor_buf_c(b, "\r\n");
		conn = x->protocol->takeover(x);
		cor_conn_write_str(conn, cor_buf_view(b));
	}
	if (!conn && !x->gone)
		x->protocol->abort(x);
	else
		cor_exchange_end(x);
	return conn;
}

/* ---- peers ---- */

static void server_end(struct cor_task *t);

void cor_peer_closed(struct peer *p) {
	struct cor_http_server *s = p->server;

	cor_timeout_clear(&p->idle);
	cor_list_remove(&p->link);
	s->n_peers--;
	s->open_handles--;
	free(p);
	if (s->closing)
		cor_defer(s->nl, &s->end);
}

/* Before the protocol is known. */
static void early_close(void *arg, const struct cor_err *why) {
	(void)why;
	cor_peer_closed(arg);
}

static void early_data(void *arg, struct cor_str data) {
	(void)arg;
	(void)data;
}

static void peer_opened(void *arg, struct cor_conn *c) {
	struct peer *p = arg;

	cor_timeout_touch(&p->server->idle, &p->idle);
	if (cor_conn_is_h2(c))
		cor_h2_open(p);
	else
		cor_h1_open(p);
	if (p->server->closing)
		p->protocol->drain(p);
}

static void idle_expired(struct cor_timeouts *t, struct cor_link *item) {
	struct peer *p = cor_container_of(cor_container_of(item, struct cor_timeout, link),
		struct peer, idle);

	(void)t;
	cor_conn_close(p->conn);
}

static void on_connection(uv_stream_t *h, int status) {
	struct listener *l = h->data;
	struct cor_http_server *s = l->server;
	struct cor_conn_setup setup = {
		.nl = s->nl, .tls = s->cfg.tls, .server = true, .opened = peer_opened,
		.ops = { .on_data = early_data, .on_close = early_close },
	};
	struct peer *p;

	if (status < 0)
		return;
	if (s->n_peers >= s->cfg.max_connections && !cor_list_empty(&s->idle.items)) {
		/* The one that has been idle longest makes room. */
		struct cor_link *oldest = s->idle.items.next;

		cor_list_remove(oldest);
		idle_expired(&s->idle, oldest);
	}
	p = cor_new(struct peer);
	p->server = s;
	setup.arg = p;
	p->conn = cor_conn_new(&setup);
	s->n_peers++;
	s->open_handles++;
	cor_list_push(&s->peers, &p->link);
	cor_timeout_touch(&s->idle, &p->idle);
	if (cor_conn_accept(p->conn, h) < 0)
		return;
	if (s->n_peers > s->cfg.max_connections + COR_HTTP_POOL_MAX)
		cor_conn_close(p->conn);
}

/* ---- listening ---- */

static void listener_closed(uv_handle_t *h) {
	struct listener *l = h->data;
	struct cor_http_server *s = l->server;

	s->open_handles--;
	free(l);
	if (s->closing)
		cor_defer(s->nl, &s->end);
}

static struct listener *listener_new(struct cor_http_server *s) {
	struct listener *l = cor_new(struct listener);

	l->server = s;
	uv_tcp_init(s->nl->loop, &l->tcp);
	l->tcp.data = l;
	s->open_handles++;
	return l;
}

static int listen_on(struct cor_http_server *s, struct listener *l, struct cor_err *err) {
	int r = uv_listen((uv_stream_t *)&l->tcp, 1024, on_connection);

	if (r < 0) {
		uv_close((uv_handle_t *)&l->tcp, listener_closed);
		return cor_fail(err, r, "listen: %s", uv_strerror(r));
	}
	l->next = s->listeners;
	s->listeners = l;
	return 0;
}

static int port_of(const uv_tcp_t *tcp) {
	struct sockaddr_storage ss = { 0 };
	int n = sizeof(ss);

	if (uv_tcp_getsockname(tcp, (struct sockaddr *)&ss, &n) < 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
		: ((struct sockaddr_in *)&ss)->sin_port);
}

int cor_http_listen(struct cor_http_server *s, const char *address, int port, int *ret_port,
	struct cor_err *err) {
	struct sockaddr_storage ss = { 0 };
	struct listener *l;
	int r;

	if (port < 0 || port > 65535 ||
		(uv_ip4_addr(address, port, (struct sockaddr_in *)&ss) < 0 &&
		uv_ip6_addr(address, port, (struct sockaddr_in6 *)&ss) < 0))
		return cor_fail(err, COR_E_INVALID, "\"%s\" port %d is not an address to listen on",
			address, port);
	l = listener_new(s);
	r = uv_tcp_bind(&l->tcp, (struct sockaddr *)&ss, 0);
	if (r < 0) {
		uv_close((uv_handle_t *)&l->tcp, listener_closed);
		return cor_fail(err, r, "%s port %d: %s", address, port, uv_strerror(r));
	}
	r = listen_on(s, l, err);
	if (r < 0) {
		cor_wrap(err, "%s port %d", address, port);
		return r;
	}
	if (ret_port)
		*ret_port = port_of(&l->tcp);
	return 0;
}

int cor_http_listen_fd(struct cor_http_server *s, int fd, struct cor_err *err) {
	struct listener *l = listener_new(s);
	int r = uv_tcp_open(&l->tcp, fd);

	if (r < 0) {
		uv_close((uv_handle_t *)&l->tcp, listener_closed);
		return cor_fail(err, r, "inherited socket: %s", uv_strerror(r));
	}
	return listen_on(s, l, err);
}

/* ---- the server ---- */

struct cor_http_server *cor_http_server_new(const struct cor_http_config *c) {
	struct cor_http_server *s = cor_new(struct cor_http_server);

	s->cfg = *c;
	if (!s->cfg.max_body)
		s->cfg.max_body = COR_HTTP_DEFAULT_BODY;
	if (!s->cfg.max_connections)
		s->cfg.max_connections = 4096;
	if (!s->cfg.max_header)
		s->cfg.max_header = COR_HTTP_DEFAULT_HEADER;
	if (!s->cfg.idle_timeout)
		s->cfg.idle_timeout = 3 * COR_MINUTE;
	if (s->cfg.tls)
		cor_tls_ref(s->cfg.tls);
	s->nl = cor_netloop_get(c->loop);
	s->end.run = server_end;
	cor_list_init(&s->peers);
	cor_timeouts_init(&s->idle, c->loop, s->cfg.idle_timeout, idle_expired);
	cor_timeouts_init(&s->linger, c->loop, 2 * COR_SECOND, idle_expired);
	return s;
}

static void free_handle(uv_handle_t *h) {
	free(h);
}

/* Frees the server once nothing of it is left on the loop. */
static void server_end(struct cor_task *t) {
	struct cor_http_server *s = cor_container_of(t, struct cor_http_server, end);

	if (s->open_handles)
		return;
	cor_timeouts_fini(&s->idle);
	cor_timeouts_fini(&s->linger);
	if (s->drain)
		uv_close((uv_handle_t *)s->drain, free_handle);
	while (s->pool) {
		struct exchange *x = s->pool;

		s->pool = x->next_free;
		free_exchange(x);
	}
	cor_tls_unref(s->cfg.tls);
	if (s->closed)
		s->closed(s->closed_arg);
	cor_netloop_put(s->nl);
	free(s);
}

static void drain_over(uv_timer_t *h) {
	struct cor_http_server *s = h->data;
	struct cor_link *l;

	for (l = s->peers.next; l != &s->peers; l = l->next)
		cor_conn_close(cor_container_of(l, struct peer, link)->conn);
}

void cor_http_server_close(struct cor_http_server *s, cor_time drain, void (*done)(void *arg),
	void *arg) {
	struct cor_link *l, *next;

	cor_assert(!s->closing);
	s->closing = true;
	s->closed = done;
	s->closed_arg = arg;
	while (s->listeners) {
		struct listener *li = s->listeners;

		s->listeners = li->next;
		uv_close((uv_handle_t *)&li->tcp, listener_closed);
	}
	s->drain = cor_new(uv_timer_t);
	s->drain->data = s;
	uv_timer_init(s->nl->loop, s->drain);
	uv_timer_start(s->drain, drain_over, (uint64_t)(drain / COR_MS), 0);
	for (l = s->peers.next; l != &s->peers; l = next) {
		struct peer *p = cor_container_of(l, struct peer, link);

		next = l->next;
		if (p->protocol)
			p->protocol->drain(p);
		else
			cor_conn_close(p->conn);        /* has not asked for anything */
	}
	cor_defer(s->nl, &s->end);
}
