// SPDX-License-Identifier: Apache-2.0
// coracle dns: the cluster's DNS on this machine. Binds while it is root, then enters its sandbox as
// the user it is told, and answers from what it watches of the API.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/sandbox.h"
#include "codec/codec.h"
#include "gen/core_v1.h"
#include "gen/discovery_v1.h"
#include "network/dns_server.h"
#include "node/kubeconfig.h"

enum { DNS_PORT = 53, FEEDS = 3 };

struct dns {
	const char *kubeconfig, *listen, *service_cidr, *pod_cidr, *zone, *uid, *resolv_conf;
	bool no_sandbox;                /* for debuggers and valgrind */
	struct cor_dns *dns;
	struct cor_informer *feeds[FEEDS];
	struct cor_arena *arena;
	size_t synced;
};

/* "ns/name" */
static void split(struct cor_str key, struct cor_str *ret_ns, struct cor_str *ret_name) {
	*ret_name = key;
	*ret_ns = cor_str_cut(ret_name, '/');
}

static void *decode(struct dns *d, const struct cor_type *t, struct cor_str json) {
	struct cor_decode dec = { .arena = d->arena };
	struct cor_err err;
	void *obj = NULL;
	cor_arena_reset(d->arena);
	if (cor_json_decode_new(t, json, &obj, &dec, &err) < 0)
		cor_warn("object of the API not understood: %s", err.message);
	return obj;
}

static void set_service(void *arg, struct cor_str key, struct cor_str json) {
	struct dns *d = arg;
	const struct core_v1_Service *s = decode(d, &cor_type_core_v1_Service, json);
	if (s)
		cor_dns_set_service(d->dns, s);
}

static void del_service(void *arg, struct cor_str key) {
	struct cor_str ns, name;
	split(key, &ns, &name);
	cor_dns_del_service(((struct dns *)arg)->dns, ns, name);
}

static void set_slice(void *arg, struct cor_str key, struct cor_str json) {
	struct dns *d = arg;
	const struct discovery_v1_EndpointSlice *s = decode(d, &cor_type_discovery_v1_EndpointSlice, json);
	if (s)
		cor_dns_set_slice(d->dns, s);
}

static void del_slice(void *arg, struct cor_str key) {
	struct cor_str ns, name;
	split(key, &ns, &name);
	cor_dns_del_slice(((struct dns *)arg)->dns, ns, name);
}

static void set_namespace(void *arg, struct cor_str key, struct cor_str json) {
	cor_dns_set_namespace(((struct dns *)arg)->dns, key);
}

static void del_namespace(void *arg, struct cor_str key) {
	cor_dns_del_namespace(((struct dns *)arg)->dns, key);
}

static void synced(void *arg) {
	struct dns *d = arg;
	if (++d->synced == FEEDS) {
		cor_dns_set_ready(d->dns, true);
		cor_info("answering on %s", d->listen);
	}
}

static void trouble(void *arg, const struct cor_err *err) {
	cor_warn("watching the API: %s", err->message);
}

static void on_signal(uv_signal_t *sig, int number) {
	uv_stop(sig->loop);
}

static int start(struct dns *d, uv_loop_t *loop, struct cor_world *world, struct cor_err *err) {
	static const struct {
		const char *path;
		void (*set)(void *arg, struct cor_str key, struct cor_str json);
		void (*del)(void *arg, struct cor_str key);
	} feeds[FEEDS] = {
		{ "/api/v1/services", set_service, del_service },
		{ "/apis/discovery.k8s.io/v1/endpointslices", set_slice, del_slice },
		{ "/api/v1/namespaces", set_namespace, del_namespace },
	};
	struct cor_dns_config c = { .zone = d->zone };
	struct cor_dns_server *server;
	if (!cor_cidr4_parse(cor_str_c(d->service_cidr), &c.service_cidr) ||
	    !cor_cidr4_parse(cor_str_c(d->pod_cidr), &c.pod_cidr) || !cor_ip4_parse(cor_str_c(d->listen), &c.dns_ip))
		return cor_fail(err, COR_E_INVALID, "--listen, --service-cidr or --pod-cidr is no address or range");
	int r = cor_dns_new(&c, &d->dns, err);
	struct cor_dns_server_config sc = { .dns = d->dns, .resolv_conf = d->resolv_conf };
	if (r >= 0)
		r = cor_dns_server_new(loop, &sc, &server, err);
	if (r >= 0)
		r = cor_dns_server_listen(server, d->listen, DNS_PORT, err);
	struct cor_api *api = r >= 0 ? cor_api_from_kubeconfig(loop, world, d->kubeconfig, "coracle-dns/1.36.2", err) : NULL;
	if (!api)
		return r < 0 ? r : err->code;
	const struct cor_sandbox sandbox = {
		.process = COR_SANDBOX_DNS, .uid = d->uid, .listen_port = -1, .peers = { DNS_PORT, cor_api_port(api) },
		.read_beside = d->resolv_conf, .only_user = d->no_sandbox,
	};
	if ((r = cor_sandbox_enter(&sandbox, err)) < 0)
		return r;
	/* A node agent that was killed starts another one, which needs the address. The sandbox has asked
	 * for a signal at its end, which may have been before. */
	if (getppid() == 1)
		return cor_fail(err, COR_E_CLOSED, "the node agent is gone");
	for (size_t i = 0; i < FEEDS; i++) {
		struct cor_informer_config ic = {
			.api = api, .path = feeds[i].path, .arg = d,
			.ops = { feeds[i].set, feeds[i].del, synced, trouble },
		};
		d->feeds[i] = cor_informer_new(&ic);
	}
	return 0;
}

int cor_cmd_dns(int argc, char **argv) {
	struct dns d = {
		.listen = "10.96.0.10", .service_cidr = "10.96.0.0/12", .pod_cidr = "10.244.0.0/16", .zone = "cluster.local",
		.resolv_conf = "/etc/resolv.conf",
	};
	const struct cor_option opts[] = {
		{ "kubeconfig", &d.kubeconfig, NULL }, { "listen", &d.listen, NULL }, { "service-cidr", &d.service_cidr, NULL },
		{ "pod-cidr", &d.pod_cidr, NULL }, { "cluster-domain", &d.zone, NULL }, { "uid", &d.uid, NULL },
		{ "resolv-conf", &d.resolv_conf, NULL },
		{ "no-sandbox", NULL, &d.no_sandbox },
	};
	struct cor_err err = { 0 };
	int words = 0;
	if (cor_options(argc, argv, opts, cor_countof(opts), &words, &err) < 0 || words > 0 || !d.kubeconfig) {
		(void)fprintf(stderr, "coracle dns: %s\n", err.message[0] ? err.message : "want --kubeconfig FILE");
		return 2;
	}
	cor_log_init("dns", COR_LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	uv_loop_t loop;
	uv_signal_t term;
	(void)uv_loop_init(&loop);
	d.arena = cor_arena_new(0);
	if (start(&d, &loop, cor_world_uv_new(&loop), &err) < 0) {
		cor_error("%s", err.message);
		return 1;
	}
	(void)uv_signal_init(&loop, &term);
	(void)uv_signal_start(&term, on_signal, SIGTERM);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	return 0;       /* it keeps nothing */
}
