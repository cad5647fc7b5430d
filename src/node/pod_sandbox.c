// SPDX-License-Identifier: Apache-2.0
// The sandbox of a pod: directory, control group, namespaces with network, and the files that
// containers see as /etc/hosts, /etc/resolv.conf and /etc/hostname (facts/node-agent 6).
#include "node/pod_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "codec/quantity.h"

static bool flag(const bool *b) {
	return b && *b;
}

/* The kernel's host name: at most 63 characters, and not ending like a half one. */
static void hostname_of(const struct pod *p, char out[254]) {
	const core_v1_PodSpec *s = &p->object->spec;
	struct cor_str h = s->hostnameOverride.n > 0 ? s->hostnameOverride : s->hostname.n > 0 ? s->hostname :
		p->object->metadata.name;
	if (h.n > 63)
		h.n = 63;
	while (h.n > 0 && (h.p[h.n - 1] == '-' || h.p[h.n - 1] == '.'))
		h.n--;
	(void)snprintf(out, 254, "%.*s", COR_STR_ARG(h));
}

static void domain_of(const struct pod *p, char out[600]) {
	const core_v1_PodSpec *s = &p->object->spec;
	out[0] = 0;
	if (s->subdomain.n > 0 && s->hostnameOverride.n == 0)
		(void)snprintf(out, 600, "%.*s.%s.svc.%s", COR_STR_ARG(s->subdomain), p->ns, p->all->c.cluster_domain);
}

static int write_file(const char *path, struct cor_str text, struct cor_err *err) {
	/* In place: the file may be bound into containers. */
	_cleanup_close_ int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text.p ? text.p : "", text.n) != (ssize_t)text.n)
		return cor_fail_errno(err, errno, "write %s", path);
	return 0;
}

static void read_text(const char *path, struct cor_buf *b) {
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[4096];
	ssize_t n;
	while (fd >= 0 && b->n < 65536 && (n = read(fd, buf, sizeof(buf))) > 0)
		cor_buf_add(b, buf, (size_t)n);
}

int pod_write_hosts(struct pod *p, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	char host[254], domain[600];
	hostname_of(p, host);
	domain_of(p, domain);
	if (p->object->spec.hostNetwork) {
		cor_buf_c(&b, "# Kubernetes-managed hosts file (host network).\n");
		read_text("/etc/hosts", &b);
	} else {
		cor_buf_c(&b, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"
			"::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n"
			"fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
		if (p->ns_paths.ip[0] && domain[0])
			cor_buf_printf(&b, "%s\t%s.%s\t%s\n", p->ns_paths.ip, host, domain, host);
		else if (p->ns_paths.ip[0])
			cor_buf_printf(&b, "%s\t%s\n", p->ns_paths.ip, host);
	}
	for (size_t i = 0; i < p->object->spec.hostAliases.n; i++) {
		const core_v1_HostAlias *h = &p->object->spec.hostAliases.p[i];
		cor_buf_printf(&b, "%s%.*s", i == 0 ? "\n# Entries added by HostAliases.\n" : "", COR_STR_ARG(h->ip));
		for (size_t k = 0; k < h->hostnames.n; k++)
			cor_buf_printf(&b, "\t%.*s", COR_STR_ARG(h->hostnames.p[k]));
		cor_buf_byte(&b, '\n');
	}
	_cleanup_free_ char *path = cor_asprintf("%s/etc-hosts", p->dir);
	return write_file(path, cor_buf_view(&b), err);
}

/* ---- resolv.conf ---- */

struct resolv {
	struct cor_arena *a;
	struct cor_strlist servers, searches, options;
};

static void add_once(struct cor_arena *a, struct cor_strlist *l, struct cor_str s, size_t max) {
	for (size_t i = 0; i < l->n; i++)
		if (cor_str_eq(l->p[i], s))
			return;
	struct cor_str *slot = l->n < max && s.n > 0 ? cor_arena_push(a, l) : NULL;
	if (slot)
		*slot = cor_arena_str(a, s);
}

static void add_option(struct resolv *r, struct cor_str name, struct cor_str value) {
	for (size_t i = 0; i < r->options.n; i++)
		if (cor_str_eq(cor_str_sub(r->options.p[i], 0, cor_str_chr(r->options.p[i], ':')), name)) {
			r->options.p[i] = cor_arena_printf(r->a, "%.*s%s%.*s", COR_STR_ARG(name), value.n > 0 ? ":" : "",
				COR_STR_ARG(value));
			return;
		}
	struct cor_str *slot = cor_arena_push(r->a, &r->options);
	if (slot)
		*slot = cor_arena_printf(r->a, "%.*s%s%.*s", COR_STR_ARG(name), value.n > 0 ? ":" : "",
			COR_STR_ARG(value));
}

/* The node's own: everything, or its search path only. */
static void from_node(struct resolv *r, const char *path, bool all) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	read_text(path, &b);
	struct cor_str rest = cor_buf_view(&b);
	while (rest.p && rest.n > 0) {
		struct cor_str line = cor_str_trim(cor_str_cut(&rest, '\n'));
		struct cor_str word = cor_str_cut(&line, ' ');
		while (line.p) {
			struct cor_str v = cor_str_trim(cor_str_cut(&line, ' '));
			if (v.n > 1 && v.p[v.n - 1] == '.')
				v.n--;
			if (v.n == 0 || cor_str_eq(v, COR_STR(".")))
				continue;
			if (cor_str_eq(word, COR_STR("search")))
				add_once(r->a, &r->searches, v, 32);
			else if (all && cor_str_eq(word, COR_STR("nameserver")))
				add_once(r->a, &r->servers, v, 3);
			else if (all && cor_str_eq(word, COR_STR("options"))) {
				struct cor_str value = v, name = cor_str_cut(&value, ':');
				add_option(r, name, value);
			}
		}
	}
}

static void print_list(struct cor_buf *b, const char *word, const struct cor_strlist *l, bool each_line) {
	for (size_t i = 0; i < l->n; i++)
		cor_buf_printf(b, "%s%s%.*s%s", i == 0 || each_line ? word : "", " ", COR_STR_ARG(l->p[i]),
			each_line || i + 1 == l->n ? "\n" : "");
}

static int write_resolv(struct pod *p, struct cor_err *err) {
	const core_v1_PodSpec *s = &p->object->spec;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct resolv r = { .a = a };
	bool cluster = cor_str_eq(s->dnsPolicy, COR_STR("ClusterFirstWithHostNet")) ||
		(!s->hostNetwork && !cor_str_eq(s->dnsPolicy, COR_STR("Default")) && !cor_str_eq(s->dnsPolicy, COR_STR("None")));
	if (cluster && p->all->c.dns_ip[0]) {
		const char *domain = p->all->c.cluster_domain;
		add_once(a, &r.servers, cor_str_c(p->all->c.dns_ip), 3);
		add_once(a, &r.searches, cor_arena_printf(a, "%s.svc.%s", p->ns, domain), 32);
		add_once(a, &r.searches, cor_arena_printf(a, "svc.%s", domain), 32);
		add_once(a, &r.searches, cor_str_c(domain), 32);
		from_node(&r, p->all->c.resolv_conf, false);
		add_option(&r, COR_STR("ndots"), COR_STR("5"));
	} else if (!cor_str_eq(s->dnsPolicy, COR_STR("None"))) {
		from_node(&r, p->all->c.resolv_conf, true);
	}
	for (size_t i = 0; s->dnsConfig && i < s->dnsConfig->nameservers.n; i++)
		add_once(a, &r.servers, s->dnsConfig->nameservers.p[i], 3);
	for (size_t i = 0; s->dnsConfig && i < s->dnsConfig->searches.n; i++)
		add_once(a, &r.searches, s->dnsConfig->searches.p[i], 32);
	for (size_t i = 0; s->dnsConfig && i < s->dnsConfig->options.n; i++)
		add_option(&r, s->dnsConfig->options.p[i].name, s->dnsConfig->options.p[i].value);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	print_list(&b, "nameserver", &r.servers, true);
	print_list(&b, "search", &r.searches, false);
	print_list(&b, "options", &r.options, false);
	_cleanup_free_ char *path = cor_asprintf("%s/resolv.conf", p->dir);
	return write_file(path, cor_buf_view(&b), err);
}

/* ---- the pod's control group ---- */

static enum cor_qos qos_of(const struct pod *p) {
	struct cor_str q = cor_pod_qos(&p->object->spec);
	return cor_str_eq(q, COR_STR("Guaranteed")) ? COR_QOS_GUARANTEED :
		cor_str_eq(q, COR_STR("Burstable")) ? COR_QOS_BURSTABLE : COR_QOS_BEST_EFFORT;
}

static int64_t milli(const struct cor_strmap *m, const char *key) {
	const struct cor_str *v = cor_strmap_get(m, cor_str_c(key));
	return v ? cor_quantity_milli(cor_quantity_of(*v)) : 0;
}

/* Of one pod, when nothing says otherwise (the kubelet's podPidsLimit): more than any sane program has, and
 * a fork bomb stays where it was lit. */
enum { POD_PIDS = 4096 };

static int make_cgroup(struct pod *p, struct cor_err *err) {
	const core_v1_PodSpec *s = &p->object->spec;
	struct cor_resources r = { .pids_limit = POD_PIDS };
	bool all_cpu = true, all_memory = true;
	for (size_t i = 0; i < s->containers.n; i++) {
		const core_v1_ResourceRequirements *q = &s->containers.p[i].resources;
		int64_t cpu = milli(&q->limits, "cpu"), memory = milli(&q->limits, "memory") / 1000;
		int64_t request = milli(&q->requests, "cpu");
		r.cpu_request_milli += request > 0 ? request : cpu;
		r.cpu_limit_milli += cpu;
		r.memory_limit += memory;
		all_cpu = all_cpu && cpu > 0;
		all_memory = all_memory && memory > 0;
	}
	/* Init containers may need more than all that come after them. */
	for (size_t i = 0; i < s->initContainers.n; i++) {
		const core_v1_ResourceRequirements *q = &s->initContainers.p[i].resources;
		int64_t cpu = milli(&q->limits, "cpu"), memory = milli(&q->limits, "memory") / 1000;
		bool sidecar = cor_str_eq(s->initContainers.p[i].restartPolicy, COR_STR("Always"));
		r.cpu_limit_milli = sidecar ? r.cpu_limit_milli + cpu : cpu > r.cpu_limit_milli ? cpu : r.cpu_limit_milli;
		r.memory_limit = sidecar ? r.memory_limit + memory : memory > r.memory_limit ? memory : r.memory_limit;
		all_cpu = all_cpu && cpu > 0;
		all_memory = all_memory && memory > 0;
	}
	if (!all_cpu)
		r.cpu_limit_milli = 0;
	if (!all_memory)
		r.memory_limit = 0;
	return p->all->c.rt->ops->pod_cgroup(p->all->c.rt, p->uid, qos_of(p), &r, err);
}

/* ---- making it ---- */

/* /dev/shm is shared in a pod. */
static int make_shm(const char *dir, struct cor_err *err) {
	_cleanup_free_ char *path = cor_asprintf("%s/shm", dir);
	struct cor_volume_plan plan = { .kind = COR_VOLUME_TMPFS, .path = path, .size = 64 << 20, .fs_group = -1 };
	int r = cor_volume_apply(&plan, err);
	if (r >= 0 && chmod(path, 01777) < 0)
		r = cor_fail_errno(err, errno, "chmod %s", path);
	return r;
}

static void on_worker(struct cor_job *job) {
	struct pod_work *w = cor_container_of(job, struct pod_work, job);
	struct pod *p = w->pod;
	struct cor_err *err = &w->err;
	const core_v1_PodSpec *s = &p->object->spec;
	char host[254], domain[600];
	hostname_of(p, host);
	domain_of(p, domain);
	_cleanup_free_ char *fqdn = flag(s->setHostnameAsFQDN) && domain[0] ? cor_asprintf("%s.%s", host, domain) : NULL;
	if (fqdn && strlen(fqdn) > 64) {
		w->result = cor_fail(err, COR_E_INVALID, "failed to construct FQDN from pod hostname and cluster "
			"domain, FQDN %s is too long (64 characters is the max, %zu characters requested)", fqdn, strlen(fqdn));
		return;
	}
	w->result = cor_mkdir_all(p->dir, 0750, err);
	if (w->result >= 0 && !s->hostIPC)
		w->result = make_shm(p->dir, err);
	if (w->result < 0)
		return;
	size_t n = s->securityContext ? s->securityContext->sysctls.n : 0;
	_cleanup_free_ struct cor_kv *sysctls = cor_calloc(n + 1, sizeof(*sysctls));
	for (size_t i = 0; i < n; i++)
		sysctls[i] = (struct cor_kv){ s->securityContext->sysctls.p[i].name, s->securityContext->sysctls.p[i].value };
	bool ports = false;
	for (size_t i = 0; i < s->containers.n; i++)
		for (size_t k = 0; k < s->containers.p[i].ports.n; k++)
			ports = ports || s->containers.p[i].ports.p[k].hostPort > 0;
	struct cor_pod_ns_spec spec = { .uid = cor_str_c(p->uid), .hostname = cor_str_c(fqdn ? fqdn : host),
		.host_net = s->hostNetwork, .host_ipc = s->hostIPC, .host_ports = ports, .sysctls = sysctls, .sysctl_n = n };
	w->result = cor_pod_ns_create(p->all->c.net, &spec, &p->ns_paths, err);
	if (w->result >= 0)
		w->result = write_resolv(p, err);
	if (w->result >= 0) {
		_cleanup_free_ char *path = cor_asprintf("%s/hostname", p->dir);
		_cleanup_free_ char *text = cor_asprintf("%s\n", fqdn ? fqdn : host);
		w->result = write_file(path, cor_str_c(text), err);
	}
}

static void host_ports(struct pod *p) {
	struct cor_host_port ports[64];
	size_t n = 0;
	const core_v1_PodSpec *s = &p->object->spec;
	for (size_t i = 0; i < s->containers.n; i++)
		for (size_t k = 0; k < s->containers.p[i].ports.n && n < cor_countof(ports); k++) {
			const core_v1_ContainerPort *c = &s->containers.p[i].ports.p[k];
			if (c->hostPort > 0)
				ports[n++] = (struct cor_host_port){ c->hostIP, c->protocol, (uint16_t)c->hostPort,
					(uint16_t)c->containerPort };
		}
	if (n > 0 && p->all->c.rules && !s->hostNetwork)
		cor_svc_rules_set_host_ports(p->all->c.rules, cor_str_c(p->uid), p->ns_paths.ip, ports, n);
}

static void on_retry(struct cor_timer *t) {
	struct pod *p = cor_container_of(t, struct pod, net_retry);
	p->net = STAGE_NONE;
	pod_wake(p);
}

static void on_done(struct cor_job *job) {
	_cleanup_free_ struct pod_work *w = cor_container_of(job, struct pod_work, job);
	struct pod *p = w->pod;
	p->all->busy--;
	if (w->result >= 0) {
		p->net = STAGE_DONE;
		p->net_delay = 0;
		host_ports(p);
	} else {
		/* It stays busy until the timer lets it try again. */
		p->net_delay = p->net_delay == 0 ? COR_SECOND : p->net_delay < COR_MINUTE ? p->net_delay * 2 : p->net_delay;
		p->net_retry.fire = on_retry;
		p->net = p->ending ? STAGE_NONE : STAGE_BUSY;
		if (!p->ending) {
			p->all->c.world->timer_set(p->all->c.world, &p->net_retry, p->net_delay);
			pod_event(p, NULL, true, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", w->err.message);
		}
	}
	pod_wake(p);
}

bool pod_net_ready(struct pod *p) {
	if (p->net != STAGE_NONE)
		return p->net == STAGE_DONE;
	p->net = STAGE_BUSY;
	struct pod_work *w = pod_work_new(p);
	w->result = make_cgroup(p, &w->err);
	p->all->busy++;
	if (w->result < 0)
		on_done(&w->job);
	else
		pod_submit(p, &w->job, on_worker, on_done);
	return false;
}
