// SPDX-License-Identifier: Apache-2.0
// One HTTP request or TCP connection to a container, for probes and hooks: a connection of its own
// each time, certificates are not verified, redirects are not followed (3xx answers count as
// answers), one deadline for the whole.
#include <stdio.h>
#include <strings.h>
#include <uv.h>

#include "base/assert.h"
#include "codec/codec.h"
#include "net/client.h"
#include "node/probe.h"

enum { HEADERS_MAX = 64 };

struct cor_net_try {
	struct cor_net_try_config c;
	struct cor_timer deadline;
	struct cor_timer start;         /* for errors that are known at once */
	struct cor_http_client *client;
	struct cor_http_call *call;
	uv_tcp_t tcp;
	uv_connect_t connect;
	bool tcp_open, over;
	char *url, *why;
};

int cor_port_of(const core_v1_Container *spec, struct cor_intstr port) {
	int64_t n = port.i;
	if (port.kind != COR_INTSTR_STR)
		return port.i;
	for (size_t i = 0; i < spec->ports.n; i++)
		if (cor_str_eq(spec->ports.p[i].name, port.s))
			return spec->ports.p[i].containerPort;
	return cor_str_to_i64(port.s, &n) && n > 0 && n < 65536 ? (int)n : 0;
}

static void on_closed(uv_handle_t *h) {
	struct cor_net_try *t = h->data;
	free(t->url);
	free(t->why);
	free(t);
}

static void end(struct cor_net_try *t) {
	t->over = true;
	t->c.world->timer_clear(t->c.world, &t->deadline);
	t->c.world->timer_clear(t->c.world, &t->start);
	if (t->call)
		cor_http_call_cancel(cor_take(t->call));
	if (t->client)
		cor_http_client_free(cor_take(t->client));
	if (t->tcp_open) {
		uv_close((uv_handle_t *)&t->tcp, on_closed);
		return;
	}
	free(t->url);
	free(t->why);
	free(t);
}

static void finish(struct cor_net_try *t, int status, const char *text) {
	t->c.done(t->c.arg, status, text);
	end(t);
}

static void on_deadline(struct cor_timer *timer) {
	struct cor_net_try *t = cor_container_of(timer, struct cor_net_try, deadline);
	_cleanup_free_ char *text = t->c.http ? cor_asprintf("Get \"%s\": context deadline exceeded "
		"(Client.Timeout exceeded while awaiting headers)", t->url) :
		cor_asprintf("dial tcp %s: i/o timeout", t->url);
	finish(t, 0, text);
}

static void on_start(struct cor_timer *timer) {
	struct cor_net_try *t = cor_container_of(timer, struct cor_net_try, start);
	finish(t, 0, t->why);
}

/* Ends in the loop's next turn, never from within new(). */
static void fail_soon(struct cor_net_try *t, char *why) {
	t->why = why;
	t->c.world->timer_set(t->c.world, &t->start, 0);
}

static void on_http(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct cor_net_try *t = arg;
	t->call = NULL;
	if (err) {
		_cleanup_free_ char *text = cor_asprintf("Get \"%s\": %s", t->url, err->message);
		finish(t, 0, text);
		return;
	}
	char text[256];
	(void)snprintf(text, sizeof(text), "%.*s", (int)(body.n < 200 ? body.n : 200), body.p ? body.p : "");
	finish(t, r->status, text);
}

static void start_http(struct cor_net_try *t, int port) {
	const core_v1_HTTPGetAction *h = t->c.http;
	bool tls = cor_str_eq(h->scheme, COR_STR("HTTPS"));
	_cleanup_free_ char *host = h->host.n > 0 ? cor_str_dup_c(h->host) : cor_strdup(t->c.ip);
	_cleanup_free_ char *path = h->path.n > 0 && h->path.p[0] == '/' ? cor_str_dup_c(h->path) :
		cor_asprintf("/%.*s", COR_STR_ARG(h->path));
	t->url = cor_asprintf("%s://%s:%d%s", tls ? "https" : "http", host, port, path);
	struct cor_http_header headers[HEADERS_MAX];
	char names[HEADERS_MAX][128];
	size_t n = 0;
	bool agent = false, accept = false;
	for (size_t i = 0; i < h->httpHeaders.n && n < HEADERS_MAX - 2; i++) {
		const core_v1_HTTPHeader *x = &h->httpHeaders.p[i];
		if (x->name.n >= sizeof(names[0]))
			continue;
		for (size_t j = 0; j < x->name.n; j++)
			names[n][j] = (char)((x->name.p[j] >= 'A' && x->name.p[j] <= 'Z') ? x->name.p[j] | 0x20 : x->name.p[j]);
		struct cor_str name = { names[n], x->name.n };
		agent = agent || cor_str_eq(name, COR_STR("user-agent"));
		accept = accept || cor_str_eq(name, COR_STR("accept"));
		if (x->value.n > 0)
			headers[n++] = (struct cor_http_header){ name, x->value };
	}
	if (!agent)
		headers[n++] = (struct cor_http_header){ COR_STR("user-agent"), cor_str_c(t->c.user_agent) };
	if (!accept)
		headers[n++] = (struct cor_http_header){ COR_STR("accept"), COR_STR("*/*") };
	t->client = cor_http_client_new(&(struct cor_http_client_config){ .loop = t->c.loop,
		.tls = tls ? t->c.tls : NULL, .host = host, .port = port, .connect_timeout = t->c.timeout });
	t->call = cor_http_call_new(t->client, &(struct cor_http_call_config){ .method = "GET", .path = path,
		.headers = headers, .n_headers = n, .max_body = 1 << 20, .ops = { .done = on_http }, .arg = t });
}

static void on_connect(uv_connect_t *req, int status) {
	struct cor_net_try *t = req->data;
	if (t->over)
		return;
	if (status == 0) {
		finish(t, -1, "");
		return;
	}
	_cleanup_free_ char *text = cor_asprintf("dial tcp %s: connect: %s", t->url, uv_strerror(status));
	finish(t, 0, text);
}

static void start_tcp(struct cor_net_try *t, int port) {
	_cleanup_free_ char *host = t->c.tcp->host.n > 0 ? cor_str_dup_c(t->c.tcp->host) : cor_strdup(t->c.ip);
	t->url = cor_asprintf("%s:%d", host, port);
	struct sockaddr_in addr;
	if (uv_ip4_addr(host, port, &addr) < 0) {
		fail_soon(t, cor_asprintf("dial tcp: lookup %s: no such host", host));
		return;
	}
	(void)uv_tcp_init(t->c.loop, &t->tcp);
	t->tcp.data = t->connect.data = t;
	t->tcp_open = true;
	int r = uv_tcp_connect(&t->connect, &t->tcp, (const struct sockaddr *)&addr, on_connect);
	if (r < 0)
		fail_soon(t, cor_asprintf("dial tcp %s: %s", t->url, uv_strerror(r)));
}

struct cor_net_try *cor_net_try_new(const struct cor_net_try_config *c) {
	struct cor_net_try *t = cor_new(struct cor_net_try);
	*t = (struct cor_net_try){ .c = *c, .deadline = { .fire = on_deadline }, .start = { .fire = on_start } };
	int port = cor_port_of(c->spec, c->http ? c->http->port : c->tcp->port);
	if (c->timeout > 0)
		c->world->timer_set(c->world, &t->deadline, c->timeout);
	if (port <= 0)
		fail_soon(t, cor_strdup("couldn't find the port"));
	else if (c->http)
		start_http(t, port);
	else
		start_tcp(t, port);
	return t;
}

void cor_net_try_cancel(struct cor_net_try *t) {
	if (t && !t->over)
		end(t);
}
