// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 client. A call is queued, gets a connection at the end of the turn (an idle one of the
// pool, else a new one), sends its request in one piece, and reads the answer as it comes. A
// connection serves one call at a time and goes back to the pool when the answer ended in the
// middle of nothing. A kept connection that dies before the first byte of an answer to GET or
// HEAD is the pool's fault, and the call is tried once more on a new one.
#include <openssl/ssl.h>

#include "net/client.h"
#include "net/http1.h"
#include "net/net_priv.h"

enum { HEAD_MAX = 256 * 1024, BODY_MAX = 64 * 1024 * 1024 };

struct line {                           /* a connection of the client */
	struct cor_link link;
	struct cor_http_client *client;
	struct cor_conn *conn;          /* NULL while the name is looked up */
	struct addrinfo *addrs, *next_addr;
	struct cor_timeout connecting;
	struct cor_task bad_name;
	struct cor_http_call *call;
	struct cor_buf in;
	size_t scan;
	struct cor_http1_body body;
	bool open, idle, used, head_done, keep_alive, doomed;
};

struct cor_http_client {
	struct cor_netloop *nl;
	struct cor_tls *tls;
	char *host, *server_name, *bind_device, *authority;
	int port;
	bool verify, closing;
	size_t max_idle, n_idle;
	struct cor_link lines, calls;
	struct cor_timeouts connects;
	struct cor_task end;
	struct cor_http1_head head;     /* scratch */
};

struct cor_http_call {
	struct cor_link link;
	struct cor_http_client *client;
	struct line *line;
	struct cor_http_call_ops ops;
	void *arg;
	struct cor_buf request, body;
	size_t max_body;
	uv_timer_t *timer;
	struct cor_task start;
	char *head;                     /* text of the answer's head */
	struct cor_http_header *headers;
	struct cor_http_response response;
	struct cor_err *early;          /* failed before it began */
	bool head_request, may_repeat, paused;
};

static void line_close(struct line *l);
static void connect_next(struct line *l);

/* ---- calls ---- */

static void free_handle(uv_handle_t *h) {
	free(h);
}

static void call_free(struct cor_http_call *c) {
	cor_list_remove(&c->link);
	cor_undefer(&c->start);
	if (c->timer)
		uv_close((uv_handle_t *)c->timer, free_handle);
	cor_buf_fini(&c->request);
	cor_buf_fini(&c->body);
	free(c->head);
	free(c->headers);
	free(c->early);
	free(c);
}

/* The last callback of a call. Its connection has been let go. */
static void call_done(struct cor_http_call *c, const struct cor_err *err) {
	struct cor_http_call_ops ops = c->ops;
	struct cor_str body = ops.data ? (struct cor_str){ 0 } : c->body.n ? cor_buf_view(&c->body)
		: (struct cor_str){ "", 0 };

	cor_assert(!c->line);
	cor_list_remove(&c->link);      /* cancel and free find it no more */
	ops.done(c->arg, err && !c->response.status ? NULL : &c->response, body, err);
	call_free(c);
}

static void call_fail(struct cor_http_call *c, const struct cor_err *why) {
	struct line *l = c->line;

	if (l) {
		l->call = NULL;
		c->line = NULL;
		line_close(l);
	}
	call_done(c, why);
}

static void call_fail_code(struct cor_http_call *c, int code, const char *text) {
	struct cor_err err = { 0 };

	(void)cor_fail(&err, code, "%s: %s", c->client->authority, text);
	call_fail(c, &err);
}

static void call_timeout(uv_timer_t *t) {
	call_fail_code(t->data, COR_E_TIMEOUT, "no answer in time");
}

static struct line *line_new(struct cor_http_client *client);

static void send_request(struct line *l, struct cor_http_call *c) {
	l->call = c;
	c->line = l;
	l->scan = 0;
	l->head_done = false;
	cor_buf_clear(&l->in);
	if (!l->open)
		return;
	/* The first message behind a 101 is not to be read together with it. */
	cor_conn_set_records(l->conn, c->ops.upgraded != NULL);
	if (c->paused)
		cor_conn_pause(l->conn, true);
	cor_conn_write_str(l->conn, cor_buf_view(&c->request));
}

static void start_call(struct cor_task *t) {
	struct cor_http_call *c = cor_container_of(t, struct cor_http_call, start);
	struct cor_http_client *client = c->client;

	if (c->early) {
		call_fail(c, c->early);
		return;
	}
	for (struct cor_link *e = client->lines.prev; e != &client->lines; e = e->prev) {
		struct line *l = cor_container_of(e, struct line, link);

		if (!l->idle || l->doomed)
			continue;
		l->idle = false;
		l->used = true;
		client->n_idle--;
		cor_conn_set_ref(l->conn, true);
		send_request(l, c);
		return;
	}
	send_request(line_new(client), c);
}

/* ---- building requests ---- */

static bool clean(struct cor_str s, bool blanks) {
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch == 0x7f || ch < ' ' || (ch == ' ' && !blanks))
			return false;
	}
	return true;
}

static bool named(struct cor_str name, const char *want) {
	return name.n == strlen(want) && strncasecmp(name.p, want, name.n) == 0;
}

static int build_request(struct cor_http_call *c, const struct cor_http_call_config *cfg,
	struct cor_err *err) {
	struct cor_buf *b = &c->request;
	bool host = false, agent = false;

	if (!clean(cor_str_c(cfg->path), false) || cfg->path[0] != '/')
		return cor_fail(err, COR_E_INVALID, "\"%s\" is not a request path", cfg->path);
	cor_buf_printf(b, "%s %s HTTP/1.1\r\n", cfg->method, cfg->path);
	for (size_t i = 0; i < cfg->n_headers; i++) {
		struct cor_str name = cfg->headers[i].name, value = cfg->headers[i].value;

		if (!name.n || !clean(name, false) || !clean(value, true))
			return cor_fail(err, COR_E_INVALID, "malformed header \"%.*s\"",
				COR_STR_ARG(name));
		host |= named(name, "host");
		agent |= named(name, "user-agent");
		cor_buf_printf(b, "%.*s: %.*s\r\n", COR_STR_ARG(name), COR_STR_ARG(value));
	}
	if (!host)
		cor_buf_printf(b, "Host: %s\r\n", c->client->authority);
	if (!agent)
		cor_buf_c(b, "User-Agent: coracle\r\n");
	if (cfg->body.p || strcmp(cfg->method, "POST") == 0 || strcmp(cfg->method, "PUT") == 0)
		cor_buf_printf(b, "Content-Length: %zu\r\n", cfg->body.n);
	cor_buf_c(b, "\r\n");
	cor_buf_str(b, cfg->body);
	return 0;
}

struct cor_http_call *cor_http_call_new(struct cor_http_client *client,
	const struct cor_http_call_config *cfg) {
	struct cor_http_call *c = cor_new(struct cor_http_call);
	struct cor_err err = { 0 };

	c->client = client;
	c->ops = cfg->ops;
	c->arg = cfg->arg;
	c->max_body = cfg->max_body ? cfg->max_body : BODY_MAX;
	c->head_request = strcmp(cfg->method, "HEAD") == 0;
	c->may_repeat = c->head_request || strcmp(cfg->method, "GET") == 0;
	c->start.run = start_call;
	cor_list_push(&client->calls, &c->link);
	if (client->closing)
		(void)cor_fail(&err, COR_E_CLOSED, "client is closed");
	else
		(void)build_request(c, cfg, &err);
	if (err.code) {
		c->early = cor_new(struct cor_err);
		*c->early = err;
	}
	if (cfg->timeout > 0) {
		c->timer = cor_new(uv_timer_t);
		uv_timer_init(client->nl->loop, c->timer);
		c->timer->data = c;
		uv_timer_start(c->timer, call_timeout, (uint64_t)(cfg->timeout / COR_MS) + 1, 0);
	}
	cor_defer(client->nl, &c->start);
	return c;
}

void cor_http_call_cancel(struct cor_http_call *c) {
	struct line *l;

	/* Inside its own last callback it is gone anyhow. */
	if (!c || !c->link.next)
		return;
	l = c->line;
	if (l) {
		l->call = NULL;
		line_close(l);
	}
	call_free(c);
}

void cor_http_call_pause(struct cor_http_call *c, bool paused) {
	c->paused = paused;
	if (c->line && c->line->conn && c->line->open)
		cor_conn_pause(c->line->conn, paused);
}

/* ---- answers ---- */

/* The answer is complete. */
static void finish(struct line *l) {
	struct cor_http_call *c = l->call;
	struct cor_http_client *client = l->client;

	l->call = NULL;
	c->line = NULL;
	if (l->keep_alive && !l->in.n && client->n_idle < client->max_idle && !client->closing) {
		l->idle = true;
		client->n_idle++;
		cor_buf_fini(&l->in);
		if (c->paused)
			cor_conn_pause(l->conn, false);
		cor_list_push(&client->lines, &l->link);
		cor_conn_set_ref(l->conn, false);
	} else
		line_close(l);
	call_done(c, NULL);
}

static void switch_protocols(struct line *l) {
	struct cor_http_call *c = l->call;
	struct cor_conn *conn = l->conn;

	if (!c->ops.upgraded) {
		call_fail_code(c, COR_E_UNSUPPORTED, "unexpected switch of protocols");
		return;
	}
	l->call = NULL;
	c->line = NULL;
	cor_conn_detach(conn);
	cor_conn_pause(conn, false);
	cor_conn_unread(conn, cor_buf_view(&l->in));
	cor_buf_fini(&l->in);
	cor_list_remove(&l->link);
	free(l);
	cor_list_remove(&c->link);
	c->ops.upgraded(c->arg, &c->response, conn);
	call_free(c);
}

enum head_result {
	HEAD_MORE,      /* not complete yet */
	HEAD_AGAIN,     /* an interim answer; another one follows */
	HEAD_READY,     /* now the body */
	HEAD_OVER,      /* the call has ended; with 101 the line is gone too */
};

/* Takes the head off the front of l->in. */
static enum head_result read_head(struct line *l) {
	struct cor_http_call *c = l->call;
	struct cor_http1_head *head = &l->client->head;
	struct cor_err err = { 0 };
	size_t n = cor_http1_head_end(cor_buf_view(&l->in), &l->scan);

	if (!n && l->in.n <= HEAD_MAX)
		return HEAD_MORE;
	if (!n) {
		call_fail_code(c, COR_E_LIMIT, "the answer's head is too large");
		return HEAD_OVER;
	}
	free(c->head);
	c->head = malloc(n);
	cor_assert(c->head != NULL);
	memcpy(c->head, l->in.p, n);
	cor_buf_consume(&l->in, n);
	l->scan = 0;
	if (cor_http1_parse_response(c->head, n, c->head_request, head, &err) < 0) {
		cor_wrap(&err, "%s", l->client->authority);
		call_fail(c, &err);
		return HEAD_OVER;
	}
	free(c->headers);
	c->headers = cor_calloc(head->n_headers + 1, sizeof(*c->headers));
	memcpy(c->headers, head->headers, head->n_headers * sizeof(*c->headers));
	c->response = (struct cor_http_response){ head->status, c->headers, head->n_headers };
	if (head->status == 101) {
		switch_protocols(l);
		return HEAD_OVER;
	}
	if (head->status < 200)
		return HEAD_AGAIN;
	l->head_done = true;
	l->keep_alive = head->keep_alive;
	cor_http1_body_init(&l->body, head->framing, head->length);
	if (c->ops.head)
		c->ops.head(c->arg, &c->response);
	return l->call == c ? HEAD_READY : HEAD_OVER;
}

/* Goes through in. Each callback may end the call. */
static void read_body(struct line *l, struct cor_str in) {
	struct cor_http_call *c = l->call;
	struct cor_err err = { 0 };

	while (!l->body.done) {
		struct cor_str data;

		if (cor_http1_body_next(&l->body, &in, &data, &err) < 0) {
			cor_wrap(&err, "%s", l->client->authority);
			call_fail(c, &err);
			return;
		}
		if (!data.n)
			break;
		if (c->ops.data) {
			c->ops.data(c->arg, data);
			if (l->call != c)
				return;
		} else if (c->body.n + data.n > c->max_body) {
			call_fail_code(c, COR_E_LIMIT, "the answer is too large");
			return;
		} else
			cor_buf_str(&c->body, data);
	}
	if (!l->body.done)
		return;
	if (in.n)
		l->keep_alive = false;  /* bytes nobody asked for */
	finish(l);
}

static void on_data(void *arg, struct cor_str data) {
	struct line *l = arg;
	struct cor_buf rest;
	enum head_result r;

	if (!l->call) {
		line_close(l);
		return;
	}
	l->used = false;                /* it was alive: no second try */
	if (l->head_done) {
		read_body(l, data);
		return;
	}
	cor_buf_str(&l->in, data);
	do
		r = read_head(l);
	while (r == HEAD_AGAIN);
	if (r != HEAD_READY)
		return;
	rest = l->in;
	l->in = COR_BUF_INIT;
	read_body(l, cor_buf_view(&rest));
	cor_buf_fini(&rest);
}

static void on_eof(void *arg) {
	struct line *l = arg;

	if (l->call && l->head_done && l->body.framing == COR_HTTP1_UNTIL_CLOSE) {
		l->keep_alive = false;
		finish(l);
		return;
	}
	line_close(l);
}

/* ---- lines ---- */

static void line_gone(struct line *l, const struct cor_err *why) {
	struct cor_http_client *client = l->client;
	struct cor_http_call *c = l->call;
	struct cor_err err = { 0 };

	if (l->idle)
		client->n_idle--;
	cor_timeout_clear(&l->connecting);
	cor_list_remove(&l->link);
	l->call = NULL;
	if (c) {
		c->line = NULL;
		if (l->used && c->may_repeat) {
			c->may_repeat = false;
			send_request(line_new(client), c);
		} else {
			if (why) {
				err = *why;
				cor_wrap(&err, "%s", client->authority);
			} else
				(void)cor_fail(&err, COR_E_CLOSED, "%s: connection closed before the "
					"answer was complete", client->authority);
			call_done(c, &err);
		}
	}
	if (l->addrs)
		uv_freeaddrinfo(l->addrs);
	cor_buf_fini(&l->in);
	free(l);
	if (client->closing)
		cor_defer(client->nl, &client->end);
}

static void on_close(void *arg, const struct cor_err *why) {
	struct line *l = arg;

	/* Another address of the same name may answer. */
	if (!l->open && !l->doomed && l->call && l->next_addr && l->next_addr->ai_next) {
		l->next_addr = l->next_addr->ai_next;
		l->conn = NULL;
		connect_next(l);
		return;
	}
	line_gone(l, why);
}

static void line_close(struct line *l) {
	if (l->doomed)
		return;
	l->doomed = true;
	if (l->conn)
		cor_conn_close(l->conn);
	/* Else the name's answer finds it doomed. */
}

static void opened(void *arg, struct cor_conn *conn) {
	struct line *l = arg;

	(void)conn;
	l->open = true;
	cor_timeout_clear(&l->connecting);
	if (l->call)
		send_request(l, l->call);
}

static void connect_expired(struct cor_timeouts *t, struct cor_link *item) {
	struct line *l = cor_container_of(cor_container_of(item, struct cor_timeout, link), struct line,
		connecting);

	(void)t;
	if (l->call)
		call_fail_code(l->call, COR_E_TIMEOUT, "no connection in time");
}

static void connect_to(struct line *l, const struct sockaddr *addr) {
	struct cor_http_client *client = l->client;
	struct cor_conn_setup setup = {
		.nl = client->nl, .tls = client->tls, .opened = opened, .arg = l,
		.ops = { .on_data = on_data, .on_eof = on_eof, .on_close = on_close },
		.server_name = client->server_name, .verify = client->verify,
	};

	l->conn = cor_conn_new(&setup);
	/* A failure comes by on_close. */
	(void)cor_conn_connect(l->conn, addr, client->bind_device, NULL);
}

static void connect_next(struct line *l) {
	connect_to(l, l->next_addr->ai_addr);
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res) {
	struct line *l = req->data;
	struct cor_err err = { 0 };

	free(req);
	l->addrs = l->next_addr = res;
	if (l->doomed || status < 0 || !res) {
		(void)cor_fail(&err, COR_E_NOT_FOUND, "%s", status < 0 ? uv_strerror(status)
			: "no address");
		line_gone(l, &err);
		return;
	}
	connect_next(l);
}

/* A name that cannot even be asked for. */
static void bad_name(struct cor_task *t) {
	struct cor_err err = { 0 };

	(void)cor_fail(&err, COR_E_INVALID, "not a host name");
	line_gone(cor_container_of(t, struct line, bad_name), &err);
}

static struct line *line_new(struct cor_http_client *client) {
	struct line *l = cor_new(struct line);
	struct sockaddr_storage ss = { 0 };
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	uv_getaddrinfo_t *req;
	char port[12];

	l->client = client;
	l->bad_name.run = bad_name;
	cor_list_push(&client->lines, &l->link);
	cor_timeout_touch(&client->connects, &l->connecting);
	if (uv_ip4_addr(client->host, client->port, (struct sockaddr_in *)&ss) == 0 ||
		uv_ip6_addr(client->host, client->port, (struct sockaddr_in6 *)&ss) == 0) {
		connect_to(l, (struct sockaddr *)&ss);
		return l;
	}
	req = cor_new(uv_getaddrinfo_t);
	req->data = l;
	snprintf(port, sizeof(port), "%d", client->port);
	if (uv_getaddrinfo(client->nl->loop, req, resolved, client->host, port, &hints) < 0) {
		free(req);
		cor_defer(client->nl, &l->bad_name);
	}
	return l;
}

/* ---- the client ---- */

static void end_client(struct cor_task *t) {
	struct cor_http_client *client = cor_container_of(t, struct cor_http_client, end);
	struct cor_link *e, *next;

	while (!cor_list_empty(&client->calls))
		call_fail_code(cor_container_of(client->calls.next, struct cor_http_call, link),
			COR_E_CLOSED, "client is closed");
	for (e = client->lines.next; e != &client->lines; e = next) {
		next = e->next;
		line_close(cor_container_of(e, struct line, link));
	}
	if (!cor_list_empty(&client->lines))
		return;         /* the last one to go comes back here */
	cor_timeouts_fini(&client->connects);
	cor_tls_unref(client->tls);
	cor_netloop_put(client->nl);
	free(client->host);
	free(client->server_name);
	free(client->bind_device);
	free(client->authority);
	free(client);
}

struct cor_http_client *cor_http_client_new(const struct cor_http_client_config *c) {
	struct cor_http_client *client = cor_new(struct cor_http_client);
	int usual = c->tls ? 443 : 80;

	client->nl = cor_netloop_get(c->loop);
	client->tls = c->tls ? cor_tls_ref(c->tls) : NULL;
	client->host = cor_strdup(c->host);
	client->server_name = cor_strdup(c->server_name ? c->server_name : c->host);
	client->bind_device = c->bind_device ? cor_strdup(c->bind_device) : NULL;
	client->port = c->port;
	client->verify = c->verify;
	client->max_idle = c->max_idle ? c->max_idle : 4;
	client->authority = strchr(c->host, ':') ? cor_asprintf("[%s]:%d", c->host, c->port)
		: c->port == usual ? cor_strdup(c->host) : cor_asprintf("%s:%d", c->host, c->port);
	cor_list_init(&client->lines);
	cor_list_init(&client->calls);
	client->end.run = end_client;
	cor_timeouts_init(&client->connects, c->loop,
		c->connect_timeout ? c->connect_timeout : 10 * COR_SECOND, connect_expired);
	return client;
}

void cor_http_client_free(struct cor_http_client *client) {
	if (!client)
		return;
	client->closing = true;
	cor_defer(client->nl, &client->end);
}
