// SPDX-License-Identifier: Apache-2.0
// The kubelet's API: servers, who may use it, and the table of paths.
#include "node/kubelet_http.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "node/kubelet_priv.h"

/* ---- answers ---- */

void kubelet_text(struct cor_http_req *req, int status, const char *fmt, ...) {
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	size_t len = n < 0 ? 0 : n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1;
	cor_http_reply(req, status, "text/plain; charset=utf-8", (struct cor_str){ text, len });
}

void kubelet_error(struct cor_http_req *req, const struct cor_err *err) {
	kubelet_text(req, cor_err_http(err), "%s\n", err->message);
}

bool kubelet_bool_param(struct cor_http_req *req, const char *name, bool *ret) {
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{ "", false }, { "1", true }, { "t", true }, { "T", true }, { "true", true }, { "True", true },
		{ "TRUE", true }, { "0", false }, { "f", false }, { "F", false }, { "false", false },
		{ "False", false }, { "FALSE", false },
	};
	struct cor_str text = cor_http_param(req, name);
	for (size_t i = 0; i < cor_countof(words); i++)
		if (cor_str_eq_c(text, words[i].text)) {
			*ret = words[i].value;
			return true;
		}
	return false;
}

/* ---- pods ---- */

struct cor_str kubelet_container_name(const struct kubelet_req *r) {
	return r->segments[r->n - 1];
}

bool kubelet_find(const struct kubelet_req *r, bool container, struct cor_pod_ref *ret) {
	struct cor_err err = { 0 };
	const struct cor_pod_lookup *pods = &r->k->cfg.pods;
	struct cor_str uid = { NULL, 0 }, name = { NULL, 0 };
	*ret = (struct cor_pod_ref){ 0 };
	if (r->n == (container ? 4u : 3u))
		uid = r->segments[2];
	if (container)
		name = kubelet_container_name(r);
	if (pods->find(pods->arg, r->segments[0], r->segments[1], uid, name, ret, &err) == 0)
		return true;
	kubelet_error(r->http, &err);
	return false;
}

static void pods_list(const struct kubelet_req *r) {
	_cleanup_buf_ struct cor_buf out = { .limit = 64 << 20 };
	cor_buf_c(&out, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
	r->k->cfg.pods.list(r->k->cfg.pods.arg, &out);
	cor_buf_c(&out, "]}");
	cor_http_reply(r->http, 200, "application/json", cor_buf_view(&out));
}

static void healthz(const struct kubelet_req *r) {
	cor_http_reply(r->http, 200, "text/plain; charset=utf-8", COR_STR("ok"));
}

/* ---- paths ---- */

enum method { GET = 1, POST = 2 };

static const struct route {
	const char *path;               /* without its variable segments */
	size_t min, max;                /* number of these */
	unsigned methods;
	const char *sub;                /* of nodes/, for the text of a refusal */
	void (*handle)(const struct kubelet_req *r);
} routes[] = {
	{ "/healthz", 0, 0, GET, "healthz proxy", healthz },
	{ "/healthz/ping", 0, 0, GET, "healthz proxy", healthz },
	{ "/healthz/log", 0, 0, GET, "healthz proxy", healthz },
	{ "/healthz/syncloop", 0, 0, GET, "healthz proxy", healthz },
	{ "/pods", 0, 0, GET, "pods proxy", pods_list },
	{ "/runningpods", 0, 0, GET, "pods proxy", pods_list },
	{ "/containerLogs", 3, 3, GET, "proxy", kubelet_logs },
	{ "/exec", 3, 4, GET | POST, "proxy", kubelet_exec },
	{ "/attach", 3, 4, GET | POST, "proxy", kubelet_attach },
	{ "/run", 3, 4, POST, "proxy", kubelet_run },
	{ "/portForward", 2, 3, GET | POST, "proxy", kubelet_port_forward },
	{ "/stats/summary", 0, 0, GET, "stats", kubelet_stats_summary },
	{ "/metrics", 0, 0, GET, "metrics", kubelet_metrics },
	{ "/metrics/resource", 0, 0, GET, "metrics", kubelet_metrics_resource },
};

/* The segments behind the route's own path; false when they are too many or malformed. */
static bool split(const struct route *route, struct kubelet_req *r) {
	struct cor_str path = r->http->path, own = cor_str_c(route->path);
	if (!cor_str_starts(path, own) || (path.n > own.n && path.p[own.n] != '/'))
		return false;
	struct cor_str rest = cor_str_sub(path, own.n + 1, path.n);
	if (path.n <= own.n + 1)
		rest = (struct cor_str){ NULL, 0 };
	for (r->n = 0; rest.p;) {
		struct cor_str part = cor_str_cut(&rest, '/'), text;
		if (!part.n && !rest.p)
			break;                  /* a slash at the end */
		if (!part.n || r->n == KUBELET_SEGMENTS_MAX ||
			!cor_url_decode(r->http->arena, part, false, &text))
			return false;
		r->segments[r->n++] = text;
	}
	return r->n >= route->min && r->n <= route->max;
}

static const struct route *find_route(struct kubelet_req *r) {
	for (size_t i = 0; i < cor_countof(routes); i++)
		if (split(&routes[i], r))
			return &routes[i];
	return NULL;
}

/* ---- who ---- */

static bool is_admin(const struct cor_peer *peer) {
	if (cor_str_eq_c(peer->cn, "kube-apiserver-kubelet-client"))
		return true;
	for (size_t i = 0; i < peer->n_orgs; i++)
		if (cor_str_eq_c(peer->orgs[i], "system:masters"))
			return true;
	return false;
}

static const char *verb(struct cor_str method) {
	return cor_str_eq_c(method, "POST") ? "create" : "get";
}

/* False: refused and answered. */
static bool allowed(const struct cor_kubelet *k, struct cor_http_req *req, const struct route *route) {
	if (!k->cfg.tls || is_admin(&req->peer))
		return true;
	if (!req->peer.cn.n)
		kubelet_text(req, 401, "Unauthorized\n");
	else
		kubelet_text(req, 403, "Forbidden (user=%.*s, verb=%s, resource=nodes, subresource(s)=[%s])\n",
			COR_STR_ARG(req->peer.cn), verb(req->method), route ? route->sub : "proxy");
	return false;
}

static unsigned method_of(struct cor_str method) {
	if (cor_str_eq_c(method, "GET") || cor_str_eq_c(method, "HEAD"))
		return GET;
	return cor_str_eq_c(method, "POST") ? POST : 0;
}

static void handle(void *arg, struct cor_http_req *req) {
	struct cor_kubelet *k = arg;
	struct kubelet_req r = { .k = k, .http = req };
	const struct route *route = find_route(&r);
	req->user = NULL;
	if (!allowed(k, req, route))
		return;
	if (!route)
		kubelet_text(req, 404, "404 page not found\n");
	else if (!(method_of(req->method) & route->methods))
		kubelet_text(req, 405, "405: Method Not Allowed\n");
	else
		route->handle(&r);
}

static void handle_healthz(void *arg, struct cor_http_req *req) {
	struct kubelet_req r = { .k = arg, .http = req };
	req->user = NULL;
	if (cor_str_starts(req->path, COR_STR("/healthz")))
		healthz(&r);
	else
		kubelet_text(req, 404, "404 page not found\n");
}

static void request_closed(void *arg, struct cor_http_req *req) {
	struct kubelet_pending *p = req->user;
	(void)arg;
	req->user = NULL;
	if (p)
		p->closed(p);
}

/* ---- life ---- */

static void kubelet_free(struct cor_kubelet *k) {
	free(k->node_name);
	free(k->data_dir);
	free(k);
}

int cor_kubelet_new(const struct cor_kubelet_config *cfg, struct cor_kubelet **ret, struct cor_err *err) {
	struct cor_kubelet *k = cor_new(struct cor_kubelet);
	cor_assert(cfg->pods.find && cfg->pods.list && cfg->rt);
	k->cfg = *cfg;
	k->cfg.node_name = k->node_name = cor_strdup(cfg->node_name);
	k->cfg.data_dir = k->data_dir = cor_strdup(cfg->data_dir);
	k->started_at = cor_now(cfg->world);
	k->healthz_port = -1;
	struct cor_http_config http = { .loop = cfg->loop, .tls = cfg->tls, .handle = handle,
		.closed = request_closed, .arg = k, .max_body = 1 << 20,
		/* The API server and who collects figures; a pod that knocks without end takes no more. */
		.max_connections = 256 };
	k->server = cor_http_server_new(&http);
	int r = cor_http_listen(k->server, cfg->address, cfg->port, &k->port, err);
	if (r == 0 && cfg->healthz_port >= 0) {
		http.tls = NULL;
		http.handle = handle_healthz;
		k->healthz = cor_http_server_new(&http);
		r = cor_http_listen(k->healthz, "127.0.0.1", cfg->healthz_port, &k->healthz_port, err);
	}
	if (r < 0) {
		cor_kubelet_close(k, NULL, NULL);
		return r;
	}
	*ret = k;
	return 0;
}

int cor_kubelet_port(const struct cor_kubelet *k) {
	return k->port;
}

int cor_kubelet_healthz_port(const struct cor_kubelet *k) {
	return k->healthz_port;
}

static void one_closed(void *arg) {
	struct cor_kubelet *k = arg;
	if (--k->open > 0 || !k->closing)
		return;
	if (k->closed)
		k->closed(k->closed_arg);
	kubelet_free(k);
}

void kubelet_stream_add(struct kubelet_stream *s, struct cor_kubelet *k,
	void (*abort)(struct kubelet_stream *s)) {
	s->k = k;
	s->abort = abort;
	s->next = k->streams;
	s->prev = &k->streams;
	if (s->next)
		s->next->prev = &s->next;
	k->streams = s;
	k->open++;
}

void kubelet_stream_remove(struct kubelet_stream *s) {
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	one_closed(s->k);
}

void cor_kubelet_close(struct cor_kubelet *k, void (*done)(void *arg), void *arg) {
	struct cor_http_server *const servers[] = { k->server, k->healthz };
	k->closed = done;
	k->closed_arg = arg;
	k->closing = true;
	k->open += k->healthz ? 2 : 1;
	for (struct kubelet_stream *s = k->streams, *next; s; s = next) {
		next = s->next;
		s->abort(s);
	}
	for (size_t i = 0; i < cor_countof(servers); i++)
		if (servers[i])
			cor_http_server_close(servers[i], 0, one_closed, k);
}
