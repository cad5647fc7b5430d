// SPDX-License-Identifier: Apache-2.0
// The forwarding of one request. A call has a client of its own, which lives as long as the call: such
// calls are few and long. State:
//
//   asked -> head seen -> streaming -> done        an ordinary answer
//   asked -> upgraded -> tunnel                    101: both connections go to cor_tunnel
//
// Either side may go first: when the client does, the call is cancelled; when the other server does,
// the answer is finished or broken off.
#include "api/kubelet_proxy.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "net/client.h"
#include "net/stream.h"
#include "net/tls.h"

enum { BACKLOG_HIGH = 512 * 1024, ERROR_BODY_MAX = 16 * 1024 };
static const cor_time TUNNEL_IDLE = 4 * COR_HOUR;

struct forward {
	struct api_req *q;                      /* NULL when the peer has gone or was answered */
	struct cor_http_client *client;
	struct cor_http_call *call;             /* NULL when it has ended */
	bool log;
	bool streaming;
	bool paused;
	int error_status;                       /* of a log: the answer is an error text */
	struct cor_buf error;
};

static void forward_free(struct forward *f) {
	cor_http_client_free(f->client);
	cor_buf_fini(&f->error);
	free(f);
}

/* The peer has gone, or the answer is complete. */
static void closed(struct api_req *q) {
	struct forward *f = q->state;
	f->q = NULL;
	if (!f->call)
		return;
	cor_http_call_cancel(f->call);
	forward_free(f);
}

/* Ends the bond with the request, which may be answered after it. */
static struct api_req *detach(struct forward *f) {
	struct api_req *q = f->q;
	if (q) {
		q->closed = NULL;
		q->state = NULL;
	}
	f->q = NULL;
	return q;
}

/* ---- headers ---- */

static const char *const hop[] = {
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
	"transfer-encoding", "upgrade", "content-length", "host", "date",
};

static bool is_hop(struct cor_str name) {
	for (size_t i = 0; i < cor_countof(hop); i++)
		if (cor_str_eq_c(name, hop[i]))
			return true;
	return false;
}

/* What says who the client is stays here. */
static bool is_private(struct cor_str name) {
	return cor_str_eq_c(name, "authorization") || cor_str_starts(name, COR_STR("impersonate-")) ||
		cor_str_starts(name, COR_STR("x-remote-"));
}

/* A token that travels as a WebSocket subprotocol must not go on (facts 18.2). */
static struct cor_str without_token(struct api_req *q, struct cor_str protocols) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_str rest = protocols;
	while (rest.p) {
		struct cor_str one = cor_str_trim(cor_str_cut(&rest, ','));
		if (!cor_str_starts(one, COR_STR("base64url.bearer.authorization.k8s.io.")))
			cor_buf_printf(&b, "%s%.*s", b.n ? ", " : "", COR_STR_ARG(one));
	}
	return cor_arena_str(q->arena, cor_buf_view(&b));
}

struct headers {
	struct cor_http_header *p;
	size_t n;
};

static void add_header(struct api_req *q, struct headers *h, const char *name, struct cor_str value) {
	struct cor_http_header *x = cor_arena_push(q->arena, h);
	if (x)
		*x = (struct cor_http_header){ cor_str_c(name), value };
}

static struct headers request_headers(struct api_req *q, bool upgrade) {
	struct headers h = { 0 };
	for (size_t i = 0; i < q->http->n_headers; i++) {
		struct cor_http_header x = q->http->headers[i];
		if (is_hop(x.name) || is_private(x.name))
			continue;
		if (cor_str_eq_c(x.name, "sec-websocket-protocol"))
			x.value = without_token(q, x.value);
		struct cor_http_header *to = cor_arena_push(q->arena, &h);
		if (to)
			*to = x;
	}
	if (upgrade) {
		const struct cor_str *u = cor_http_header(q->http, "upgrade");
		add_header(q, &h, "connection", COR_STR("Upgrade"));
		add_header(q, &h, "upgrade", u ? *u : COR_STR(""));
	}
	struct cor_str from = q->http->peer.address;
	size_t colon = from.n;
	while (colon > 0 && from.p[colon - 1] != ':')
		colon--;
	add_header(q, &h, "x-forwarded-for", cor_str_sub(from, 0, colon ? colon - 1 : from.n));
	add_header(q, &h, "x-forwarded-host", q->http->authority);
	add_header(q, &h, "x-forwarded-proto", COR_STR("https"));
	add_header(q, &h, "x-forwarded-uri", q->http->path);
	return h;
}

/* ---- answers ---- */

static const char *content_type(struct api_req *q, const struct cor_http_response *r) {
	for (size_t i = 0; i < r->n_headers; i++)
		if (cor_str_eq_c(r->headers[i].name, "content-type"))
			return cor_arena_cstr(q->arena, r->headers[i].value);
	return q->state && ((struct forward *)q->state)->log ? "text/plain" : NULL;
}

static void on_writable(struct cor_http_req *http) {
	struct api_req *q = http->user;
	struct forward *f = q->state;
	if (!f || !f->paused || !f->call)
		return;
	f->paused = false;
	cor_http_call_pause(f->call, false);
}

static void on_head(void *arg, const struct cor_http_response *r) {
	struct forward *f = arg;
	struct api_req *q = f->q;
	if (f->log && r->status != 200) {
		f->error_status = r->status;
		return;
	}
	for (size_t i = 0; i < r->n_headers; i++) {
		const struct cor_http_header *h = &r->headers[i];
		if (!is_hop(h->name) && !cor_str_eq_c(h->name, "content-type") &&
			!cor_str_starts(h->name, COR_STR("access-control-")))
			cor_http_set_header(q->http, cor_arena_cstr(q->arena, h->name), h->value);
	}
	q->status = r->status;
	f->streaming = true;
	cor_http_stream_begin(q->http, r->status, content_type(q, r), on_writable);
}

static void on_data(void *arg, struct cor_str data) {
	struct forward *f = arg;
	if (f->error_status) {
		if (f->error.n + data.n <= ERROR_BODY_MAX)
			cor_buf_str(&f->error, data);
		return;
	}
	struct cor_piece p = { .data = data };
	cor_http_stream_write(f->q->http, &p, 1);
	if (!f->paused && cor_http_backlog(f->q->http) > BACKLOG_HIGH) {
		f->paused = true;
		cor_http_call_pause(f->call, true);
	}
}

/* What the node refuses in plain text, as a Status (facts 18.4). */
static void fail_log(struct api_req *q, int status, struct cor_str text) {
	text = cor_str_trim(text);
	if (status == 404)
		api_fail_status(q, COR_REASON_NOT_FOUND, "the server could not find the requested resource "
			"( pods/log %.*s)", COR_STR_ARG(q->info.name));
	else if (status >= 400 && status < 500)
		api_fail_status(q, COR_REASON_BAD_REQUEST, "%.*s", COR_STR_ARG(text));
	else
		api_fail_status(q, COR_REASON_INTERNAL_ERROR, "an error on the server (\"%.*s\") has prevented "
			"the request from succeeding", COR_STR_ARG(text));
}

static void on_done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct forward *f = arg;
	(void)r, (void)body;
	f->call = NULL;
	struct api_req *q = detach(f);
	if (q && f->streaming) {
		/* A log that breaks off ends; so do other streams whose length nobody promised. */
		if (err && !f->log)
			cor_http_abort(q->http);
		else
			cor_http_stream_finish(q->http);
	} else if (q && f->error_status) {
		fail_log(q, f->error_status, cor_buf_view(&f->error));
	} else if (q && err) {
		api_fail_status(q, COR_REASON_SERVICE_UNAVAILABLE, "error trying to reach service: %s",
			err->message);
	} else if (q) {
		api_reply_text(q, 204, COR_STR(""));
	}
	forward_free(f);
}

static void on_upgraded(void *arg, const struct cor_http_response *r, struct cor_conn *node) {
	struct forward *f = arg;
	struct headers h = { 0 };
	f->call = NULL;
	struct api_req *q = detach(f);
	cor_assert(q);
	q->status = 101;
	for (size_t i = 0; i < r->n_headers; i++) {
		struct cor_http_header *to = cor_arena_push(q->arena, &h);
		if (to)
			*to = r->headers[i];
	}
	struct cor_conn *client = cor_http_takeover(q->http, 101, h.p, h.n);
	/* q is gone from here on. */
	if (client)
		cor_tunnel(client, node, TUNNEL_IDLE, NULL, NULL);
	else
		cor_conn_close(node);
	forward_free(f);
}

int cor_http_api_set_kubelet_cert(struct cor_http_api *api, struct cor_str cert, struct cor_str key, struct cor_err *err) {
	const struct cor_tls_config c = { .cert = cert, .key = key, .ca = api->ca_pem };
	api->kubelet_cert = cert;
	api->kubelet_key = key;
	return api->kubelet_tls ? cor_tls_reload(api->kubelet_tls, &c, err) : 0;
}

static struct cor_tls *node_tls(struct cor_http_api *api) {
	if (api->kubelet_tls)
		return api->kubelet_tls;
	const struct cor_tls_config c = { .cert = api->kubelet_cert, .key = api->kubelet_key, .ca = api->ca_pem };
	struct cor_err err;
	api->kubelet_tls = cor_tls_new(&c, &err);
	/* The server looked at both when it started. */
	cor_assert(api->kubelet_tls != NULL);
	return api->kubelet_tls;
}

void api_forward(struct api_req *q, const struct proxy_target *t) {
	bool upgrade = cor_stream_wants_upgrade(q->http);
	struct cor_http_client_config cc = {
		.loop = q->api->loop, .tls = t->tls ? node_tls(q->api) : NULL, .host = t->host,
		.port = t->port, .verify = t->verify,
	};
	struct forward *f = cor_new(struct forward);
	f->q = q;
	f->log = t->log;
	f->client = cor_http_client_new(&cc);
	struct headers h = request_headers(q, upgrade);
	struct cor_http_call_config call = {
		.method = t->method ? t->method : cor_arena_cstr(q->arena, q->http->method),
		.path = cor_arena_cstr(q->arena, t->path), .headers = h.p, .n_headers = h.n,
		.body = q->http->body.n ? q->http->body : (struct cor_str){ 0 },
		.ops = { .head = on_head, .data = on_data, .done = on_done,
			.upgraded = upgrade ? on_upgraded : NULL },
		.arg = f,
	};
	q->state = f;
	q->closed = closed;
	f->call = cor_http_call_new(f->client, &call);
}
