// SPDX-License-Identifier: Apache-2.0
// coracle node: the node agent of this machine, and the DNS server that it starts and starts again.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/world.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/sandbox.h"
#include "net/pki.h"
#include "node/agent.h"

static const cor_time DNS_PAUSE = COR_SECOND;
static const cor_time SETTLE = COR_SECOND;         /* until all files are written that are renewed together */

struct node {
	int lock;                       /* on the data directory, until the process ends */
	struct cor_agent_config c;
	const char *port, *start_fd;
	uv_loop_t loop;
	uv_signal_t term;
	uv_process_t dns;
	struct cor_timer dns_again;
	char *dns_kubeconfig;
	struct cor_buf dns_config;      /* the file, as DNS was started with it */
	bool stopping, dns_renew;
	struct cor_agent *agent;
	uv_fs_event_t pki;
	struct cor_timer renewed;
};

static void start_dns(struct node *n);

static void dns_again(struct cor_timer *t) {
	start_dns(cor_container_of(t, struct node, dns_again));
}

static void dns_closed(uv_handle_t *h) {
	struct node *n = cor_container_of((uv_process_t *)h, struct node, dns);
	if (!n->stopping)
		n->c.world->timer_set(n->c.world, &n->dns_again, n->dns_renew ? 0 : DNS_PAUSE);
}

static void dns_exited(uv_process_t *p, int64_t code, int sig) {
	struct node *n = cor_container_of(p, struct node, dns);
	if (!n->dns_renew)
		cor_warn("dns ended (code %d, signal %d); starting it again", (int)code, sig);
	uv_close((uv_handle_t *)p, dns_closed);
}

static void start_dns(struct node *n) {
	_cleanup_free_ char *uid = cor_asprintf("%d", COR_CLUSTER_UID);
	char *args[] = {
		(char *)"coracle", (char *)"dns", (char *)"--kubeconfig", n->dns_kubeconfig, (char *)"--listen",
		(char *)(uintptr_t)n->c.dns_ip, (char *)"--service-cidr", (char *)(uintptr_t)n->c.service_cidr,
		(char *)"--pod-cidr", (char *)(uintptr_t)n->c.pod_cidr, (char *)"--resolv-conf",
		(char *)(uintptr_t)n->c.resolv_conf, (char *)"--uid", uid, NULL,
	};
	uv_stdio_container_t io[] = {
		{ .flags = UV_IGNORE }, { .flags = UV_INHERIT_FD, .data.fd = 1 }, { .flags = UV_INHERIT_FD, .data.fd = 2 },
	};
	uv_process_options_t o = { .exit_cb = dns_exited, .file = "/proc/self/exe", .args = args, .stdio = io, .stdio_count = 3 };
	struct cor_err err;
	n->dns_renew = false;
	cor_buf_clear(&n->dns_config);
	if (cor_pki_read_file(n->dns_kubeconfig, &n->dns_config, &err) < 0)
		cor_warn("%s", err.message);
	int r = uv_spawn(&n->loop, &n->dns, &o);
	if (r < 0) {
		cor_error("dns cannot be started: %s", uv_strerror(r));
		uv_close((uv_handle_t *)&n->dns, dns_closed);
	}
}

/* ---- renewed certificates ---- */

/* DNS has given up reading files: with a new certificate it begins anew. */
static void renew_dns(struct node *n) {
	_cleanup_buf_ struct cor_buf now = COR_BUF_INIT;
	struct cor_err err;
	if (!uv_is_active((uv_handle_t *)&n->dns) || cor_pki_read_file(n->dns_kubeconfig, &now, &err) < 0 ||
	    cor_str_eq(cor_buf_view(&now), cor_buf_view(&n->dns_config)))
		return;
	n->dns_renew = true;
	(void)uv_process_kill(&n->dns, SIGTERM);
}

static void on_renewed(struct cor_timer *t) {
	struct node *n = cor_container_of(t, struct node, renewed);
	cor_agent_renew(n->agent);
	renew_dns(n);
}

static void on_pki(uv_fs_event_t *h, const char *name, int events, int status) {
	struct node *n = cor_container_of(h, struct node, pki);
	n->c.world->timer_set(n->c.world, &n->renewed, SETTLE);
}

static void follow_pki(struct node *n) {
	n->renewed.fire = on_renewed;
	(void)uv_fs_event_init(&n->loop, &n->pki);
	int r = uv_fs_event_start(&n->pki, on_pki, n->c.pki_dir, 0);
	if (r < 0)
		cor_warn("%s is not followed, certificates are renewed at the next start: %s", n->c.pki_dir, uv_strerror(r));
}

static void ready(void *arg) {
	start_dns(arg);
}

/* Containers are left as they are: only `coracle down` ends them. */
static void on_term(uv_signal_t *sig, int number) {
	struct node *n = sig->data;
	n->stopping = true;
	if (uv_is_active((uv_handle_t *)&n->dns))
		(void)uv_process_kill(&n->dns, SIGTERM);
	uv_stop(&n->loop);
}

int cor_cmd_node(int argc, char **argv) {
	/* Each pod's namespaces are made by a thread of their own, and each thread would bring a heap. */
	(void)mallopt(M_ARENA_MAX, 2);
	struct node n = {
		.port = "10250",
		.c = {
			.cluster = "default", .data_dir = "/var/lib/coracle/default/node", .run_dir = "/run/coracle/default",
			.pod_cidr = "10.244.0.0/16", .service_cidr = "10.96.0.0/12", .dns_ip = "10.96.0.10",
			.cluster_domain = "cluster.local", .address = "127.0.0.1", .resolv_conf = "/etc/resolv.conf",
		},
	};
	struct cor_agent_config *c = &n.c;
	const struct cor_option opts[] = {
		{ "kubeconfig", &c->kubeconfig, NULL }, { "pki-dir", &c->pki_dir, NULL }, { "data-dir", &c->data_dir, NULL },
		{ "run-dir", &c->run_dir, NULL }, { "cluster", &c->cluster, NULL }, { "name", &c->node_name, NULL },
		{ "address", &c->address, NULL }, { "pod-cidr", &c->pod_cidr, NULL }, { "service-cidr", &c->service_cidr, NULL },
		{ "dns-ip", &c->dns_ip, NULL }, { "cluster-domain", &c->cluster_domain, NULL }, { "kubelet-port", &n.port, NULL },
		{ "start-fd", &n.start_fd, NULL },
		{ "resolv-conf", &c->resolv_conf, NULL },
	};
	struct cor_err err = { 0 };
	int words = 0;
	int64_t port = 0, start_fd = -1;
	int r = cor_options(argc, argv, opts, cor_countof(opts), &words, &err);
	if (r >= 0)
		r = cor_option_number("--kubelet-port", n.port, 1, 65535, &port, &err);
	if (r >= 0 && n.start_fd)
		r = cor_option_number("--start-fd", n.start_fd, 0, INT32_MAX, &start_fd, &err);
	if (r < 0 || words > 0 || !c->kubeconfig || !c->pki_dir || !c->node_name) {
		(void)fprintf(stderr, "coracle node: %s\n", r < 0 ? err.message
			: "want --kubeconfig FILE --pki-dir DIR --name NAME");
		return 2;
	}
	cor_log_init("node", COR_LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A worker may hang on a mount: there are more than can plausibly hang at once. */
	(void)setenv("UV_THREADPOOL_SIZE", "16", 1);
	(void)uv_loop_init(&n.loop);
	c->loop = &n.loop;
	c->world = cor_world_uv_new(&n.loop);
	c->kubelet_port = (int)port;
	c->start_fd = (int)start_fd;
	if (start_fd >= 0)
		(void)fcntl(c->start_fd, F_SETFD, FD_CLOEXEC);
	c->ready = ready;
	c->arg = &n;
	n.dns_again.fire = dns_again;
	n.dns_kubeconfig = cor_asprintf("%s/dns.kubeconfig", c->pki_dir);
	if (cor_sandbox_node(&err) < 0 || cor_make_dirs(c->data_dir, 0755, &err) < 0 || cor_make_dirs(c->run_dir, 0755, &err) < 0 ||
	    cor_hold_dir(c->data_dir, &n.lock, &err) < 0 || cor_agent_start(c, &n.agent, &err) < 0) {
		cor_error("%s", err.message);
		return 1;
	}
	follow_pki(&n);
	(void)uv_signal_init(&n.loop, &n.term);
	n.term.data = &n;
	(void)uv_signal_start(&n.term, on_term, SIGTERM);
	(void)uv_run(&n.loop, UV_RUN_DEFAULT);
	/* Not by exit(): it waits for the jobs that threads have under way, and one may hang on a mount. Whatever
	 * they leave is found again at the next start, as after a kill. */
	_exit(0);
}
