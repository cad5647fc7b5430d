// SPDX-License-Identifier: Apache-2.0
// coracle server: API, store, controllers and scheduler in one process that needs no privileges. It makes
// its certificates at the first start and stops cleanly on SIGTERM: watches end, requests under way are
// answered, the store is closed.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "api/http_api.h"
#include "api/publish.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/certs.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/sandbox.h"
#include "controllers/engine.h"
#include "gen/resources.h"
#include "net/tls.h"
#include "scheduler/scheduler.h"

enum { CONNECTIONS = 4096 };

static const cor_time DRAIN = 3 * COR_SECOND;
static const cor_time CERTS_EVERY = 10 * COR_SECOND;      /* a look at the clock */
static const cor_time CERTS_AGAIN = 10 * COR_MINUTE;       /* after a failure */

struct server {
	int lock;                       /* on the data directory */
	uv_loop_t loop;
	uv_signal_t term, interrupt;
	struct cor_world *world;
	struct cor_registry *registry;
	struct cor_engine *engine;
	struct cor_scheduler *scheduler;
	struct cor_http_api *api;
	struct cor_http_server *http;
	struct cor_certs certs;
	struct cor_timer certs_timer;
	struct cor_tls *tls;
	struct cor_jwt_key *sa_key;
	/* options */
	const char *data_dir, *listen, *advertise, *service_cidr, *domain, *node_name, *uid, *ready_fd;
	int64_t ready;                  /* the descriptor of ready_fd, or -1 */
	char host[64];
	int port;
	bool no_sandbox;                /* for debuggers and valgrind */
};

/* "127.0.0.1:6443" */
static int split_listen(struct server *s, struct cor_err *err) {
	const char *colon = strrchr(s->listen, ':');
	char *end = NULL;
	long port = colon ? strtol(colon + 1, &end, 10) : -1;
	if (!colon || end == colon + 1 || *end || port < 0 || port > 65535 ||
	    (size_t)(colon - s->listen) >= sizeof(s->host))
		return cor_fail(err, COR_E_INVALID, "--listen %s: want ADDRESS:PORT", s->listen);
	memcpy(s->host, s->listen, (size_t)(colon - s->listen));
	s->host[colon - s->listen] = '\0';
	s->port = (int)port;
	return 0;
}

/* Whoever started us waits for these lines: "certificates" once they are there, and the URL. */
static void tell(struct server *s, const char *line) {
	if (s->ready >= 0 && write((int)s->ready, line, strlen(line)) < 0)
		cor_warn("the ready descriptor cannot be written");
}

static void published(void *arg, int status) {
	struct server *s = arg;
	if (status < 0)
		cor_warn("not everything that the server says about itself could be written");
	cor_info("ready: https://%s:%d", s->advertise, s->port);
	char line[160];
	(void)snprintf(line, sizeof(line), "https://%s:%d\n", s->advertise, s->port);
	tell(s, line);
}

static void publish(struct server *s) {
	struct cor_publish_config c = {
		.registry = s->registry, .ca_pem = cor_buf_view(&s->certs.ca.cert), .address = s->advertise,
		.port = s->port, .done = published, .arg = s,
	};
	cor_publish(&c);
}

/* ---- stop ---- */

static void http_closed(void *arg) {
	struct server *s = arg;
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->interrupt, NULL);
	uv_stop(&s->loop);
}

static void on_signal(uv_signal_t *sig, int number) {
	struct server *s = sig->data;
	cor_info("signal %d: stopping", number);
	uv_signal_stop(&s->term);
	uv_signal_stop(&s->interrupt);
	cor_http_api_drain(s->api);
	cor_http_server_close(s->http, DRAIN, http_closed, s);
}

/* ---- start ---- */

static int ensure_certs(struct server *s, struct cor_certs *ret, struct cor_err *err) {
	_cleanup_free_ char *dir = cor_asprintf("%s/pki", s->data_dir);
	struct cor_certs_config c = {
		.dir = dir, .address = s->advertise, .port = s->port, .service_ip = "10.96.0.1", .domain = s->domain,
		.node_name = s->node_name,
	};
	return cor_certs_ensure(&c, cor_now(s->world), ret, err);
}

static struct cor_tls_config server_tls(const struct server *s) {
	return (struct cor_tls_config){
		.server = true, .cert = cor_buf_view(&s->certs.server.cert), .key = cor_buf_view(&s->certs.server.key),
		.ca = cor_buf_view(&s->certs.ca.cert),
	};
}

/* The CA and the key of tokens stay; connections that are there stay too. */
static int renew_certs(struct server *s, struct cor_err *err) {
	_cleanup_(cor_certs_fini) struct cor_certs now = { 0 };
	int r = ensure_certs(s, &now, err);
	if (r < 0)
		return r;
	struct cor_pki_pair server = s->certs.server, client = s->certs.kubelet_client;
	s->certs.server = now.server;
	s->certs.kubelet_client = now.kubelet_client;
	s->certs.good_from = now.good_from;
	s->certs.renew_at = now.renew_at;
	now.server = server;
	now.kubelet_client = client;
	const struct cor_tls_config tls = server_tls(s);
	r = cor_tls_reload(s->tls, &tls, err);
	if (r >= 0)
		r = cor_http_api_set_kubelet_cert(s->api, cor_buf_view(&s->certs.kubelet_client.cert),
			cor_buf_view(&s->certs.kubelet_client.key), err);
	if (r >= 0)
		cor_info("certificates were renewed");
	return r;
}

/* By the wall clock, which may be set: so not a timer of ten months. */
static void look_at_certs(struct cor_timer *t) {
	struct server *s = cor_container_of(t, struct server, certs_timer);
	struct cor_err err;
	cor_time now = cor_now(s->world);
	bool failed = (now < s->certs.good_from || now >= s->certs.renew_at) && renew_certs(s, &err) < 0;
	if (failed)
		cor_error("certificates cannot be renewed: %s", err.message);
	s->world->timer_set(s->world, t, failed ? CERTS_AGAIN : CERTS_EVERY);
}

static int make_certs(struct server *s, struct cor_err *err) {
	int r = ensure_certs(s, &s->certs, err);
	if (r < 0)
		return r;
	const struct cor_tls_config tls = server_tls(s);
	s->tls = cor_tls_new(&tls, err);
	s->sa_key = s->tls ? cor_jwt_key_new(cor_buf_view(&s->certs.sa_key), err) : NULL;
	return s->sa_key ? 0 : err->code;
}

static int open_registry(struct server *s, struct cor_err *err) {
	static char names_text[COR_RES_MAX][96];
	static const char *names[COR_RES_MAX];
	for (size_t i = 0; i < cor_resources_n; i++) {
		(void)snprintf(names_text[i], sizeof(names_text[i]), "%s/%s", cor_resources[i].group, cor_resources[i].plural);
		names[i] = names_text[i];
	}
	_cleanup_free_ char *path = cor_asprintf("%s/store.db", s->data_dir);
	struct cor_backend *backend;
	int r = cor_backend_sqlite_open(path, names, cor_resources_n, &backend, err);
	if (r < 0)
		return r;
	struct cor_registry_config c = {
		.world = s->world, .backend = backend, .service_cidr = s->service_cidr, .cluster_domain = s->domain,
	};
	return cor_registry_open(&c, &s->registry, err);
}

/* What clients may have open together; the rest of the descriptors is for the store and for kubelets. The
 * longest idle connection goes when it is reached. */
static size_t connections_max(void) {
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= 2 * CONNECTIONS)
		return CONNECTIONS;
	return files.rlim_cur / 2;
}

static int serve(struct server *s, struct cor_err *err) {
	struct cor_http_api_config ac = {
		.registry = s->registry, .loop = &s->loop, .ca_pem = cor_buf_view(&s->certs.ca.cert),
		.kubelet_cert = cor_buf_view(&s->certs.kubelet_client.cert),
		.kubelet_key = cor_buf_view(&s->certs.kubelet_client.key),
		.tokens = {
			.world = s->world, .registry = s->registry, .key = s->sa_key,
			.issuer = COR_STR("https://kubernetes.default.svc.cluster.local"),
		},
	};
	s->api = cor_http_api_new(&ac);
	struct cor_http_config hc = {
		.loop = &s->loop, .tls = s->tls, .handle = cor_http_api_handle, .closed = cor_http_api_closed, .arg = s->api,
	};
	hc.max_connections = connections_max();
	s->http = cor_http_server_new(&hc);
	int r = cor_http_listen(s->http, s->host, s->port, &s->port, err);
	if (r < 0)
		return r;
	publish(s);
	s->certs_timer.fire = look_at_certs;
	s->world->timer_set(s->world, &s->certs_timer, CERTS_EVERY);
	return 0;
}

static int start(struct server *s, struct cor_err *err) {
	int r = split_listen(s, err);
	if (r < 0)
		return r;
	if (mkdir(s->data_dir, 0700) < 0 && errno != EEXIST)
		return cor_fail_errno(err, errno, "cannot make %s", s->data_dir);
	if ((r = cor_hold_dir(s->data_dir, &s->lock, err)) < 0)
		return r;
	const struct cor_sandbox sandbox = {
		.process = COR_SANDBOX_SERVER, .uid = s->uid, .data_dir = s->data_dir, .listen_port = s->port,
		.only_user = s->no_sandbox,
	};
	if ((r = cor_sandbox_enter(&sandbox, err)) < 0)
		return r;
	if (!s->advertise)
		s->advertise = strcmp(s->host, "0.0.0.0") == 0 ? "127.0.0.1" : s->host;
	if ((r = make_certs(s, err)) < 0)
		return r;
	tell(s, "certificates\n");
	if ((r = open_registry(s, err)) < 0)
		return r;
	s->engine = cor_engine_new(s->registry, cor_controllers);
	s->scheduler = cor_scheduler_new(s->registry);
	return serve(s, err);
}

static void stop(struct server *s) {
	s->world->timer_clear(s->world, &s->certs_timer);
	cor_http_api_free(s->api);
	cor_engine_stop(s->engine);
	cor_scheduler_stop(s->scheduler);
	/* Whatever the controllers have under way is finished here, and called back. */
	cor_registry_free(s->registry);
	cor_engine_free(s->engine);
	cor_scheduler_free(s->scheduler);
	/* A commit that the closing store has waited for is still to be heard of. */
	cor_world_uv_settle(s->world);
	cor_jwt_key_free(s->sa_key);
	cor_tls_unref(s->tls);
	cor_certs_fini(&s->certs);
	(void)close(s->lock);
}

int cor_cmd_server(int argc, char **argv) {
	/* Static: what it still has at the end is the process's, not lost. */
	static struct server s = {
		.data_dir = "/var/lib/coracle/default/server", .listen = "127.0.0.1:6443", .service_cidr = "10.96.0.0/12",
		.domain = "cluster.local", .ready = -1,
	};
	const struct cor_option opts[] = {
		{ "data-dir", &s.data_dir, NULL }, { "listen", &s.listen, NULL }, { "advertise", &s.advertise, NULL },
		{ "service-cidr", &s.service_cidr, NULL }, { "cluster-domain", &s.domain, NULL },
		{ "node-name", &s.node_name, NULL }, { "uid", &s.uid, NULL },
		{ "ready-fd", &s.ready_fd, NULL }, { "no-sandbox", NULL, &s.no_sandbox },
	};
	struct cor_err err;
	int words = 0;
	cor_log_init("server", COR_LOG_INFO);
	if (cor_options(argc, argv, opts, cor_countof(opts), &words, &err) < 0 || words > 0 ||
		(s.ready_fd && cor_option_number("--ready-fd", s.ready_fd, 0, INT32_MAX, &s.ready, &err) < 0)) {
		(void)fprintf(stderr, "coracle server: %s\n", words > 0 ? "unexpected argument" : err.message);
		return 2;
	}
	(void)umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)uv_loop_init(&s.loop);
	s.world = cor_world_uv_new(&s.loop);
	if (start(&s, &err) < 0) {
		cor_error("%s", err.message);
		return 1;
	}
	(void)uv_signal_init(&s.loop, &s.term);
	(void)uv_signal_init(&s.loop, &s.interrupt);
	s.term.data = s.interrupt.data = &s;
	(void)uv_signal_start(&s.term, on_signal, SIGTERM);
	(void)uv_signal_start(&s.interrupt, on_signal, SIGINT);
	(void)uv_run(&s.loop, UV_RUN_DEFAULT);
	stop(&s);
	return 0;
}
