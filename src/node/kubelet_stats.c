// SPDX-License-Identifier: Apache-2.0
// Figures of this node (facts/node-agent 20): /stats/summary, /metrics, /metrics/resource. All are
// read from the kernel when they are asked for; nothing is sampled in between.
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "node/kubelet_priv.h"
#include "node/oci_json.h"

enum { TEXT_MAX = 64 * 1024 };

/* ---- the node ---- */

struct node_figures {
	uint64_t cpu_ns, memory_total, memory_available;
	uint64_t rx, tx, rx_errors, tx_errors;          /* of all interfaces but the loopback */
	struct statvfs fs;
};

static bool proc_text(const char *path, char *out, size_t cap) {
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(out, 1, cap - 1, f) : 0;
	if (f)
		(void)fclose(f);
	out[n] = 0;
	return n > 0;
}

static uint64_t meminfo(const char *text, const char *key) {
	const char *p = strstr(text, key);
	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 : 0;
}

static void read_net(struct node_figures *f, char *text) {
	for (char *line = strchr(text, '\n'); line; line = strchr(line, '\n')) {
		char name[64];
		unsigned long long v[11];
		line++;
		if (sscanf(line, " %63[^:]: %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", name, &v[0],
				&v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10]) != 12 ||
			strcmp(name, "lo") == 0)
			continue;
		f->rx += v[0];
		f->rx_errors += v[2];
		f->tx += v[8];
		f->tx_errors += v[10];
	}
}

static struct node_figures node_figures(const struct cor_kubelet *k) {
	struct node_figures f = { 0 };
	_cleanup_free_ char *text = cor_calloc(1, TEXT_MAX);
	unsigned long long v[8] = { 0 };
	long ticks = sysconf(_SC_CLK_TCK);
	if (proc_text("/proc/stat", text, TEXT_MAX) && ticks > 0 &&
		sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4],
			&v[5], &v[6], &v[7]) == 8)
		f.cpu_ns = (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) * (1000000000ull / (uint64_t)ticks);
	if (proc_text("/proc/meminfo", text, TEXT_MAX)) {
		f.memory_total = meminfo(text, "MemTotal:");
		f.memory_available = meminfo(text, "MemAvailable:");
	}
	if (proc_text("/proc/net/dev", text, TEXT_MAX))
		read_net(&f, text);
	(void)statvfs(k->cfg.data_dir, &f.fs);
	return f;
}

/* ---- /stats/summary ---- */

static void add_time(struct cor_buf *b, const char *key, cor_time t) {
	char text[COR_TIME_TEXT_MAX];
	size_t n = cor_time_format(t, false, text);
	cor_jw_str(b, key, (struct cor_str){ text, n });
}

static void add_cpu(struct cor_buf *b, cor_time now, uint64_t ns) {
	cor_jw_open(b, "cpu", '{');
	add_time(b, "time", now);
	cor_jw_int(b, "usageCoreNanoSeconds", (int64_t)ns);
	cor_jw_close(b, '}');
}

static void add_fs(struct cor_buf *b, const char *key, cor_time now, const struct statvfs *fs) {
	cor_jw_open(b, key, '{');
	add_time(b, "time", now);
	cor_jw_int(b, "availableBytes", (int64_t)(fs->f_bavail * fs->f_frsize));
	cor_jw_int(b, "capacityBytes", (int64_t)(fs->f_blocks * fs->f_frsize));
	cor_jw_int(b, "usedBytes", (int64_t)((fs->f_blocks - fs->f_bfree) * fs->f_frsize));
	cor_jw_int(b, "inodesFree", (int64_t)fs->f_ffree);
	cor_jw_int(b, "inodes", (int64_t)fs->f_files);
	cor_jw_int(b, "inodesUsed", (int64_t)(fs->f_files - fs->f_ffree));
	cor_jw_close(b, '}');
}

static void add_node(struct cor_buf *b, const struct cor_kubelet *k, cor_time now) {
	struct node_figures f = node_figures(k);
	cor_jw_open(b, "node", '{');
	cor_jw_c(b, "nodeName", k->node_name);
	add_time(b, "startTime", k->started_at);
	add_cpu(b, now, f.cpu_ns);
	cor_jw_open(b, "memory", '{');
	add_time(b, "time", now);
	cor_jw_int(b, "availableBytes", (int64_t)f.memory_available);
	cor_jw_int(b, "usageBytes", (int64_t)(f.memory_total - f.memory_available));
	cor_jw_int(b, "workingSetBytes", (int64_t)(f.memory_total - f.memory_available));
	cor_jw_close(b, '}');
	cor_jw_open(b, "network", '{');
	add_time(b, "time", now);
	cor_jw_c(b, "name", "");
	cor_jw_int(b, "rxBytes", (int64_t)f.rx);
	cor_jw_int(b, "rxErrors", (int64_t)f.rx_errors);
	cor_jw_int(b, "txBytes", (int64_t)f.tx);
	cor_jw_int(b, "txErrors", (int64_t)f.tx_errors);
	cor_jw_close(b, '}');
	add_fs(b, "fs", now, &f.fs);
	cor_jw_open(b, "runtime", '{');
	add_fs(b, "imageFs", now, &f.fs);
	cor_jw_close(b, '}');
	cor_jw_close(b, '}');
}

static void add_memory(struct cor_buf *b, cor_time now, const struct cor_container_stats *s) {
	cor_jw_open(b, "memory", '{');
	add_time(b, "time", now);
	if (s->memory_limit)
		cor_jw_int(b, "availableBytes", s->memory_limit > s->memory_working_set
			? (int64_t)(s->memory_limit - s->memory_working_set) : 0);
	cor_jw_int(b, "usageBytes", (int64_t)s->memory_usage);
	cor_jw_int(b, "workingSetBytes", (int64_t)s->memory_working_set);
	cor_jw_int(b, "rssBytes", (int64_t)s->memory_rss);
	cor_jw_int(b, "pageFaults", (int64_t)s->page_faults);
	cor_jw_int(b, "majorPageFaults", (int64_t)s->major_page_faults);
	cor_jw_close(b, '}');
}

/* The running container behind *it, with its figures. */
static struct cor_container *next_running(struct cor_runtime *rt, size_t *it,
	struct cor_container_stats *s) {
	struct cor_container *c;
	while ((c = rt->ops->next(rt, it)))
		if (c->phase == COR_CONTAINER_RUNNING && rt->ops->stats(rt, c, s, NULL) == 0)
			return c;
	return NULL;
}

static bool is_first_of_pod(struct cor_runtime *rt, const struct cor_container *c) {
	const struct cor_container *o;
	for (size_t it = 0; (o = rt->ops->next(rt, &it)) && o != c;)
		if (o->phase == COR_CONTAINER_RUNNING && strcmp(o->pod_uid, c->pod_uid) == 0)
			return false;
	return true;
}

static void add_pod(struct cor_buf *b, struct cor_runtime *rt, const struct cor_container *first,
	cor_time now) {
	struct cor_container_stats s, sum = { 0 };
	struct cor_container *c;
	cor_time since = first->started_at;
	cor_jw_open(b, NULL, '{');
	cor_jw_open(b, "podRef", '{');
	cor_jw_c(b, "name", first->pod_name);
	cor_jw_c(b, "namespace", first->pod_namespace);
	cor_jw_c(b, "uid", first->pod_uid);
	cor_jw_close(b, '}');
	cor_jw_open(b, "containers", '[');
	for (size_t it = 0; (c = next_running(rt, &it, &s));) {
		if (strcmp(c->pod_uid, first->pod_uid) != 0)
			continue;
		cor_jw_open(b, NULL, '{');
		cor_jw_c(b, "name", c->name);
		add_time(b, "startTime", c->started_at);
		add_cpu(b, now, s.cpu_usage_ns);
		add_memory(b, now, &s);
		cor_jw_close(b, '}');
		since = c->started_at < since ? c->started_at : since;
		sum.cpu_usage_ns += s.cpu_usage_ns;
		sum.memory_usage += s.memory_usage;
		sum.memory_working_set += s.memory_working_set;
		sum.memory_rss += s.memory_rss;
		sum.page_faults += s.page_faults;
		sum.major_page_faults += s.major_page_faults;
		sum.pids += s.pids;
	}
	cor_jw_close(b, ']');
	add_time(b, "startTime", since);
	add_cpu(b, now, sum.cpu_usage_ns);
	add_memory(b, now, &sum);
	cor_jw_open(b, "process_stats", '{');
	cor_jw_int(b, "process_count", (int64_t)sum.pids);
	cor_buf_c(b, "}}");
}

void kubelet_stats_summary(const struct kubelet_req *r) {
	struct cor_runtime *rt = r->k->cfg.rt;
	cor_time now = cor_now(r->k->cfg.world);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_container_stats s;
	const struct cor_container *c;
	cor_buf_byte(&b, '{');
	add_node(&b, r->k, now);
	cor_jw_open(&b, "pods", '[');
	for (size_t it = 0; (c = next_running(rt, &it, &s));)
		if (is_first_of_pod(rt, c))
			add_pod(&b, rt, c, now);
	cor_buf_c(&b, "]}");
	cor_http_reply(r->http, 200, "application/json", cor_buf_view(&b));
}

/* ---- metrics ---- */

#define PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

static void family(struct cor_buf *b, const char *name, const char *type, const char *help) {
	cor_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void kubelet_metrics(const struct kubelet_req *r) {
	struct cor_runtime *rt = r->k->cfg.rt;
	size_t running = 0, exited = 0, pods = 0;
	const struct cor_container *c;
	for (size_t it = 0; (c = rt->ops->next(rt, &it));) {
		running += c->phase == COR_CONTAINER_RUNNING;
		exited += c->phase == COR_CONTAINER_EXITED;
		pods += c->phase == COR_CONTAINER_RUNNING && is_first_of_pod(rt, c);
	}
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	family(&b, "kubelet_node_name", "gauge", "The node's name. The value is always 1.");
	cor_buf_printf(&b, "kubelet_node_name{node=\"%s\"} 1\n", r->k->node_name);
	family(&b, "kubelet_running_pods", "gauge", "Pods with a running container.");
	cor_buf_printf(&b, "kubelet_running_pods %zu\n", pods);
	family(&b, "kubelet_running_containers", "gauge", "Containers by state.");
	cor_buf_printf(&b, "kubelet_running_containers{container_state=\"running\"} %zu\n", running);
	cor_buf_printf(&b, "kubelet_running_containers{container_state=\"exited\"} %zu\n", exited);
	cor_http_reply(r->http, 200, PROMETHEUS, cor_buf_view(&b));
}

/* The families of a container, each a value and how it is printed. */
enum figure { CPU, MEMORY, STARTED, FIGURES };
static const struct {
	const char *name, *type, *help;
} figures[FIGURES] = {
	[CPU] = { "container_cpu_usage_seconds_total", "counter", "CPU time of the container." },
	[MEMORY] = { "container_memory_working_set_bytes", "gauge", "Working set of the container." },
	[STARTED] = { "container_start_time_seconds", "gauge", "When the container was started." },
};

static double figure(enum figure f, const struct cor_container *c, const struct cor_container_stats *s) {
	switch (f) {
	case CPU: return (double)s->cpu_usage_ns / 1e9;
	case MEMORY: return (double)s->memory_working_set;
	case STARTED: return (double)c->started_at / 1e6;
	case FIGURES: break;
	}
	return 0;
}

void kubelet_metrics_resource(const struct kubelet_req *r) {
	struct cor_runtime *rt = r->k->cfg.rt;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	long long ms = (long long)(cor_now(r->k->cfg.world) / COR_MS);
	struct node_figures node = node_figures(r->k);
	struct cor_container_stats s;
	const struct cor_container *c;
	for (enum figure f = 0; f < FIGURES; f++) {
		family(&b, figures[f].name, figures[f].type, figures[f].help);
		for (size_t it = 0; (c = next_running(rt, &it, &s));)
			cor_buf_printf(&b, "%s{container=\"%s\",namespace=\"%s\",pod=\"%s\"} %.9g %lld\n",
				figures[f].name, c->name, c->pod_namespace, c->pod_name, figure(f, c, &s), ms);
	}
	family(&b, "node_cpu_usage_seconds_total", "counter", "CPU time of the node.");
	cor_buf_printf(&b, "node_cpu_usage_seconds_total %.9g %lld\n", (double)node.cpu_ns / 1e9, ms);
	family(&b, "node_memory_working_set_bytes", "gauge", "Working set of the node.");
	cor_buf_printf(&b, "node_memory_working_set_bytes %.12g %lld\n",
		(double)(node.memory_total - node.memory_available), ms);
	family(&b, "resource_scrape_error", "gauge", "1 when something could not be read.");
	cor_buf_c(&b, "resource_scrape_error 0\n");
	cor_http_reply(r->http, 200, PROMETHEUS, cor_buf_view(&b));
}
