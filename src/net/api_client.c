// SPDX-License-Identifier: Apache-2.0
// Requests to a Kubernetes API: where it is, who we are, and what its refusals mean. A call owns
// nothing but its callback; transport, pool and retries on stale connections are client.c's.
#include "net/api_client_priv.h"

#include "codec/tree.h"

struct cor_api_call {
	struct cor_http_call *http;
	cor_api_done *done;
	void *arg;
};

/* ---- the server's address ---- */

/* scheme://host[:port][/], host possibly in brackets. */
static int parse_server(struct cor_api *a, struct cor_str s, struct cor_err *err) {
	struct cor_str whole = s, host;
	int64_t port;
	size_t n;

	a->https = cor_str_starts(s, COR_STR("https://"));
	if (!a->https && !cor_str_starts(s, COR_STR("http://")))
		return cor_fail(err, COR_E_INVALID, "server \"%.*s\": only http:// and https:// are known",
			COR_STR_ARG(whole));
	n = a->https ? 8 : 7;
	s = (struct cor_str){ s.p + n, s.n - n };
	if (s.n && s.p[s.n - 1] == '/')
		s.n--;
	port = a->https ? 443 : 80;
	if (s.n && s.p[0] == '[') {
		n = cor_str_chr(s, ']');
		host = cor_str_sub(s, 1, n - 1);
		s = n < s.n ? cor_str_sub(s, n + 1, s.n) : (struct cor_str){ "", 0 };
	} else {
		n = cor_str_chr(s, ':');
		host = cor_str_sub(s, 0, n);
		s = cor_str_sub(s, n, s.n);
	}
	if (!host.n || (s.n && (s.p[0] != ':' || !cor_str_to_i64(cor_str_sub(s, 1, s.n), &port) ||
		port < 1 || port > 65535)) || memchr(host.p, '/', host.n))
		return cor_fail(err, COR_E_INVALID, "server \"%.*s\" is not host and port",
			COR_STR_ARG(whole));
	a->host = cor_str_dup_c(host);
	a->port = (int)port;
	return 0;
}

/* ---- the client ---- */

static void replace(char **p, struct cor_str s) {
	free(*p);
	*p = s.n ? cor_str_dup_c(s) : NULL;
}

static int make_tls(struct cor_api *a, struct cor_err *err) {
	struct cor_tls_config c = { .ca = cor_str_c(a->ca), .cert = cor_str_c(a->cert),
		.key = cor_str_c(a->key) };

	if (!a->https)
		return 0;
	if (a->tls)
		return cor_tls_reload(a->tls, &c, err);
	a->tls = cor_tls_new(&c, err);
	return a->tls ? 0 : err ? err->code : COR_E_INVALID;
}

static void set_token(struct cor_api *a, struct cor_str token) {
	_cleanup_free_ char *text = cor_str_dup_c(token);

	free(a->authorization);
	a->authorization = token.n ? cor_asprintf("Bearer %s", text) : NULL;
}

struct cor_api *cor_api_new(const struct cor_api_config *c, struct cor_err *err) {
	_cleanup_(cor_api_freep) struct cor_api *a = cor_new(struct cor_api);
	struct cor_http_client_config h = { .loop = c->loop, .verify = !c->insecure, .max_idle = 8 };

	a->world = c->world;
	replace(&a->ca, c->ca);
	replace(&a->cert, c->cert);
	replace(&a->key, c->key);
	set_token(a, c->token);
	a->agent = cor_strdup(c->user_agent ? c->user_agent : "coracle");
	if (parse_server(a, c->server, err) < 0 || make_tls(a, err) < 0)
		return NULL;
	h.tls = a->tls;
	h.host = a->host;
	h.port = a->port;
	h.server_name = c->server_name;
	a->http = cor_http_client_new(&h);
	return cor_take(a);
}

void cor_api_free(struct cor_api *a) {
	if (!a)
		return;
	cor_http_client_free(a->http);
	cor_tls_unref(a->tls);
	free(a->host);
	free(a->ca);
	free(a->cert);
	free(a->key);
	free(a->authorization);
	free(a->agent);
	free(a);
}

int cor_api_port(const struct cor_api *a) {
	return a->port;
}

int cor_api_set_credentials(struct cor_api *a, struct cor_str cert, struct cor_str key,
	struct cor_str token, struct cor_err *err) {
	if (token.n)
		set_token(a, token);
	if (!cert.n)
		return 0;
	replace(&a->cert, cert);
	replace(&a->key, key);
	return make_tls(a, err);
}

size_t cor_api_headers(const struct cor_api *a, struct cor_http_header h[COR_API_HEADERS_MAX]) {
	size_t n = 0;

	h[n++] = (struct cor_http_header){ COR_STR("Accept"), COR_STR("application/json") };
	h[n++] = (struct cor_http_header){ COR_STR("User-Agent"), cor_str_c(a->agent) };
	if (a->authorization)
		h[n++] = (struct cor_http_header){ COR_STR("Authorization"),
			cor_str_c(a->authorization) };
	return n;
}

/* ---- errors ---- */

void cor_api_status_error(int http, struct cor_str body, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *arena = cor_arena_new(4 * 1024 * 1024);
	struct cor_node *n = cor_node_parse(arena, body, NULL, NULL);
	_cleanup_free_ char *reason = cor_str_dup_c(cor_node_path_str(n, "reason"));
	struct cor_str message = cor_node_path_str(n, "message");
	enum cor_reason r = reason ? cor_reason_from_string(reason) : COR_REASON_UNKNOWN;
	int64_t retry = 0;

	/* No Status: a proxy, or a server that is not ready. Its first line says something. */
	if (!message.p) {
		message = cor_str_trim(body);
		message.n = cor_str_chr(message, '\n');
	}
	*err = (struct cor_err){ 0 };
	if (r != COR_REASON_UNKNOWN)
		(void)cor_fail_status(err, r, "%.*s", COR_STR_ARG(message));
	else
		(void)cor_fail(err, http == 404 ? COR_E_NOT_FOUND : http == 409 ? COR_E_CONFLICT
			: http == 410 ? COR_E_GONE : http == 401 ? COR_E_UNAUTHORIZED
			: http == 403 ? COR_E_FORBIDDEN : http >= 500 ? COR_E_CLOSED : COR_E_INVALID,
			"HTTP %d: %.*s", http, COR_STR_ARG(message));
	err->http = http;
	if (cor_node_path_int(n, "details.retryAfterSeconds", &retry) && retry > 0 && retry < 3600)
		err->retry_after_s = (int)retry;
}

/* ---- calls ---- */

static void call_done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct cor_api_call *c = arg;
	struct cor_err e;

	if (!err && (r->status < 200 || r->status > 299)) {
		cor_api_status_error(r->status, body, &e);
		err = &e;
	}
	if (c->done)
		c->done(c->arg, err, body);
	free(c);
}

struct cor_api_call *cor_api_do(struct cor_api *a, const struct cor_api_request *r) {
	struct cor_api_call *c = cor_new(struct cor_api_call);
	struct cor_http_header h[COR_API_HEADERS_MAX];
	struct cor_http_call_config cfg = {
		.method = r->method, .path = r->path, .headers = h, .body = r->body,
		.timeout = r->timeout ? r->timeout : COR_MINUTE, .ops = { .done = call_done },
		.arg = c,
	};

	cfg.n_headers = cor_api_headers(a, h);
	if (r->body.p)
		h[cfg.n_headers++] = (struct cor_http_header){ COR_STR("Content-Type"),
			cor_str_c(r->content_type ? r->content_type : "application/json") };
	c->done = r->done;
	c->arg = r->arg;
	c->http = cor_http_call_new(a->http, &cfg);
	return c;
}

void cor_api_cancel(struct cor_api_call *c) {
	if (!c)
		return;
	cor_http_call_cancel(c->http);
	free(c);
}
