// SPDX-License-Identifier: Apache-2.0
// Registration, status and lease of the node: see node_status.h. The whole status is written each time
// that something changed, and every five minutes; between that only the lease is renewed.
#include "node/node_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/codec.h"
#include "gen/core_v1.h"

enum { PODS_MAX = 110, LEASE_S = 40 };

/* Free space below a tenth is pressure (facts/node-agent 16.1), but a tenth of a large disk is none. */
enum { DISK_LOW_PERCENT = 10, INODES_LOW_PERCENT = 5 };
static const uint64_t DISK_PLENTY = 1ull << 30;

static const cor_time LEASE_EVERY = 10 * COR_SECOND;
static const cor_time CLOCK_STEP = 2 * COR_SECOND;
static const cor_time STATUS_EVERY = 5 * COR_MINUTE;
static const cor_time RETRY_MIN = 100 * COR_MS;
static const cor_time RETRY_MAX = 7 * COR_SECOND;

struct cor_node_status {
	struct cor_node_status_config c;
	struct cor_timer lease, status, retry;
	struct cor_informer *feed;      /* of our own object, until it has its addresses */
	struct cor_arena *arena;        /* allocatable */
	struct cor_strmap allocatable;
	char node_path[300], uid[64];
	cor_time ready_since, started;
	cor_time pause;
	cor_time clock;                 /* wall less monotonic time, at the last look */
	int64_t cpus, memory, disk;
	bool ready, registered, exists;
	bool told;                      /* the API knows that it is Ready */
	bool disk_low;                  /* DiskPressure */
	cor_time disk_since;
	char disk_text[400];
	bool was_ready;                 /* as an agent before this one left it */
	bool unheard;                   /* the last renewal of the lease failed */
	struct cor_api_call *call, *lease_call;
};

/* ---- what the machine is ---- */

static void read_word(const char *path, const char *key, char *out, size_t size) {
	char line[256];
	FILE *f = fopen(path, "re");
	out[0] = '\0';
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *v = line;
		if (key && strncmp(line, key, strlen(key)) != 0)
			continue;
		v += key ? strlen(key) : 0;
		v += strspn(v, "\"");
		v[strcspn(v, "\"\n")] = '\0';
		(void)snprintf(out, size, "%s", v);
		break;
	}
	(void)fclose(f);
}

/* Events about nodes have the name where others have the uid (facts/node-agent 21). */
static void node_event(struct cor_node_status *s, const char *reason, const char *message) {
	if (s->c.events)
		cor_event_emit(s->c.events, &(struct cor_event_object){ .kind = "Node", .api_version = "v1",
			.name = cor_str_c(s->c.name), .uid = cor_str_c(s->c.name) }, false, reason, "%s", message);
}

static void turned(struct cor_node_status *s, const char *reason) {
	_cleanup_free_ char *message = cor_asprintf("Node %s status is now: %s", s->c.name, reason);
	node_event(s, reason, message);
}

static void measure(struct cor_node_status *s) {
	struct statvfs fs;
	s->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	s->memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	s->disk = statvfs(s->c.data_dir, &fs) == 0 ? (int64_t)fs.f_blocks * (int64_t)fs.f_frsize : 0;
	const struct cor_kv v[] = {
		{ COR_STR("cpu"), cor_arena_printf(s->arena, "%lld", (long long)s->cpus) },
		{ COR_STR("ephemeral-storage"), cor_arena_printf(s->arena, "%lldKi", (long long)(s->disk / 1024)) },
		{ COR_STR("memory"), cor_arena_printf(s->arena, "%lldKi", (long long)(s->memory / 1024)) },
		{ COR_STR("pods"), cor_arena_printf(s->arena, "%d", PODS_MAX) },
	};
	s->allocatable.p = cor_arena_array(s->arena, struct cor_kv, cor_countof(v));
	memcpy(s->allocatable.p, v, sizeof(v));
	s->allocatable.n = cor_countof(v);
}

/* The disk with the data, as it is now: true when that is another state than before. */
static bool look_at_disk(struct cor_node_status *s) {
	struct statvfs fs;
	if (statvfs(s->c.data_dir, &fs) < 0)
		return false;
	uint64_t size = (uint64_t)fs.f_blocks * fs.f_frsize, space = (uint64_t)fs.f_bavail * fs.f_frsize;
	bool read_only = (fs.f_flag & ST_RDONLY) != 0;
	bool low = read_only || (space < DISK_PLENTY && space < size / 100 * DISK_LOW_PERCENT) ||
		(fs.f_files > 0 && fs.f_favail < fs.f_files / 100 * INODES_LOW_PERCENT);
	if (read_only)
		(void)snprintf(s->disk_text, sizeof(s->disk_text), "kubelet has disk pressure: %s is read-only", s->c.data_dir);
	else
		(void)snprintf(s->disk_text, sizeof(s->disk_text), "kubelet has %sdisk pressure", low ? "" : "no ");
	if (low == s->disk_low)
		return false;
	s->disk_low = low;
	s->disk_since = cor_now(s->c.world);
	if (low)
		cor_warn("%s: %llu MiB of %llu MiB are free%s", s->c.data_dir, (unsigned long long)(space >> 20),
			(unsigned long long)(size >> 20), read_only ? ", and it is read-only" : "");
	else
		cor_info("%s has room again", s->c.data_dir);
	turned(s, low ? "NodeHasDiskPressure" : "NodeHasNoDiskPressure");
	return true;
}

const struct cor_strmap *cor_node_status_allocatable(const struct cor_node_status *s) {
	return &s->allocatable;
}

int64_t cor_node_status_memory(const struct cor_node_status *s) {
	return s->memory;
}

static const char *architecture(const struct utsname *u) {
	if (strcmp(u->machine, "x86_64") == 0)
		return "amd64";
	return strcmp(u->machine, "aarch64") == 0 ? "arm64" : u->machine;
}

/* ---- the object ---- */

static void add_condition(struct cor_arena *a, struct core_v1_NodeStatus *st, const char *type, bool on,
	const char *reason, const char *message, cor_time now, cor_time since) {
	struct core_v1_NodeCondition *c = cor_arena_push(a, &st->conditions);
	if (c)
		*c = (struct core_v1_NodeCondition){
			.type = cor_str_c(type), .status = on ? COR_STR("True") : COR_STR("False"), .reason = cor_str_c(reason),
			.message = cor_str_c(message), .lastHeartbeatTime = now, .lastTransitionTime = since,
		};
}

static void fill_images(struct cor_node_status *s, struct cor_arena *a, struct core_v1_NodeStatus *st) {
	enum { SHOWN = 50 };
	_cleanup_image_list_ struct cor_image_list l = { 0 };
	struct cor_err err;
	if (!s->c.images || cor_images_list(s->c.images, &l, &err) < 0)
		return;
	for (size_t i = 0; i < l.n && i < SHOWN; i++) {
		struct core_v1_ContainerImage *im = cor_arena_push(a, &st->images);
		if (!im)
			return;
		im->sizeBytes = (int64_t)l.p[i]->size;
		for (size_t k = 0; k < l.p[i]->names.n && k < 5; k++) {
			struct cor_str *n = cor_arena_push(a, &im->names);
			if (n)
				*n = cor_arena_str(a, l.p[i]->names.p[k]);
		}
	}
}

static void fill_status(struct cor_node_status *s, struct cor_arena *a, struct core_v1_NodeStatus *st) {
	struct utsname u;
	char text[256];
	cor_time now = cor_now(s->c.world);
	(void)uname(&u);
	st->capacity = st->allocatable = s->allocatable;
	struct core_v1_NodeAddress *ad = cor_arena_array(a, struct core_v1_NodeAddress, 2);
	ad[0] = (struct core_v1_NodeAddress){ COR_STR("InternalIP"), cor_str_c(s->c.address) };
	ad[1] = (struct core_v1_NodeAddress){ COR_STR("Hostname"), cor_str_c(s->c.name) };
	st->addresses.p = ad;
	st->addresses.n = 2;
	st->daemonEndpoints.kubeletEndpoint.Port = s->c.kubelet_port;
	st->nodeInfo.kernelVersion = cor_arena_str(a, cor_str_c(u.release));
	st->nodeInfo.architecture = cor_str_c(architecture(&u));
	st->nodeInfo.architecture = cor_arena_str(a, st->nodeInfo.architecture);
	st->nodeInfo.operatingSystem = COR_STR("linux");
	st->nodeInfo.kubeletVersion = COR_STR("v1.36.2+coracle");
	st->nodeInfo.containerRuntimeVersion = cor_str_c(s->c.runtime_version);
	read_word("/etc/os-release", "PRETTY_NAME=", text, sizeof(text));
	st->nodeInfo.osImage = cor_arena_str(a, cor_str_c(text));
	read_word("/etc/machine-id", NULL, text, sizeof(text));
	st->nodeInfo.machineID = cor_arena_str(a, cor_str_c(text));
	read_word("/proc/sys/kernel/random/boot_id", NULL, text, sizeof(text));
	st->nodeInfo.bootID = cor_arena_str(a, cor_str_c(text));
	st->nodeInfo.systemUUID = st->nodeInfo.machineID;
	add_condition(a, st, "MemoryPressure", false, "KubeletHasSufficientMemory",
		"kubelet has sufficient memory available", now, s->started);
	add_condition(a, st, "DiskPressure", s->disk_low, s->disk_low ? "KubeletHasDiskPressure"
		: "KubeletHasNoDiskPressure", s->disk_text, now, s->disk_since);
	add_condition(a, st, "PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available", now,
		s->started);
	add_condition(a, st, "Ready", s->ready, s->ready ? "KubeletReady" : "KubeletNotReady",
		s->ready ? "kubelet is posting ready status" : "container runtime network not ready", now,
		s->ready ? s->ready_since : s->started);
	fill_images(s, a, st);
}

static void add_label(struct cor_arena *a, struct cor_strmap *m, const char *key, struct cor_str value) {
	struct cor_kv *kv = cor_arena_push(a, m);
	if (kv)
		*kv = (struct cor_kv){ cor_str_c(key), value };
}

static void write_node(struct cor_node_status *s, struct cor_buf *b) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct core_v1_Node n = { .kind = COR_STR("Node"), .apiVersion = COR_STR("v1") };
	fill_status(s, a, &n.status);
	n.metadata.name = cor_str_c(s->c.name);
	add_label(a, &n.metadata.labels, "beta.kubernetes.io/arch", n.status.nodeInfo.architecture);
	add_label(a, &n.metadata.labels, "beta.kubernetes.io/os", COR_STR("linux"));
	add_label(a, &n.metadata.labels, "kubernetes.io/arch", n.status.nodeInfo.architecture);
	add_label(a, &n.metadata.labels, "kubernetes.io/hostname", cor_str_c(s->c.name));
	add_label(a, &n.metadata.labels, "kubernetes.io/os", COR_STR("linux"));
	add_label(a, &n.metadata.annotations, "volumes.kubernetes.io/controller-managed-attach-detach", COR_STR("true"));
	(void)cor_json_encode(&cor_type_core_v1_Node, &n, b);
}

/* ---- registration ---- */

static void again(struct cor_node_status *s) {
	s->pause = s->pause == 0 ? RETRY_MIN : s->pause * 2 < RETRY_MAX ? s->pause * 2 : RETRY_MAX;
	s->c.world->timer_set(s->c.world, &s->retry, s->pause);
}

static void look_at_node(struct cor_node_status *s, struct cor_str json) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_decode d = { .arena = a };
	struct cor_err err;
	void *obj;
	if (cor_json_decode_new(&cor_type_core_v1_Node, json, &obj, &d, &err) < 0)
		return;
	const struct core_v1_Node *n = obj;
	(void)snprintf(s->uid, sizeof(s->uid), "%.*s", COR_STR_ARG(n->metadata.uid));
	s->exists = true;
	if (n->spec.podCIDR.n == 0 || s->registered)
		return;
	s->registered = true;
	for (size_t i = 0; i < n->status.conditions.n; i++) {
		const struct core_v1_NodeCondition *c = &n->status.conditions.p[i];
		if (cor_str_eq_c(c->type, "Ready") && cor_str_eq_c(c->status, "True")) {
			s->was_ready = true;
			s->ready_since = c->lastTransitionTime;
		}
	}
	s->c.registered(s->c.arg, n->spec.podCIDR);
	/* Last: it takes the text with it. */
	cor_informer_free(s->feed);
	s->feed = NULL;
}

static void on_set(void *arg, struct cor_str key, struct cor_str json) {
	look_at_node(arg, json);
}

/* Somebody deleted it before it had its addresses: once more. */
static void on_delete(void *arg, struct cor_str key) {
	struct cor_node_status *s = arg;
	s->exists = false;
	again(s);
}

static void on_trouble(void *arg, const struct cor_err *err) {
	cor_warn("watching the node: %s", err->message);
}

static void on_created(void *arg, const struct cor_err *err, struct cor_str body) {
	struct cor_node_status *s = arg;
	s->call = NULL;
	if (err && err->reason != COR_REASON_ALREADY_EXISTS && err->reason != COR_REASON_FORBIDDEN) {
		cor_warn("registering the node: %s", err->message);
		again(s);
		return;
	}
	s->exists = true;
	s->pause = 0;
	if (s->ready)
		s->c.world->timer_set(s->c.world, &s->status, 0);
}

/* Shows the addresses that the controller gives it. Opened while the object is made, since it takes a
 * connection; that of the POST is free again for the status. */
static void follow(struct cor_node_status *s) {
	_cleanup_free_ char *selector = cor_asprintf("metadata.name=%s", s->c.name);
	struct cor_informer_config c = {
		.api = s->c.api, .path = "/api/v1/nodes", .field_selector = selector, .arg = s,
		.ops = { .on_set = on_set, .on_delete = on_delete, .on_trouble = on_trouble },
	};
	s->feed = cor_informer_new(&c);
}

/* POST until it exists. */
static void on_retry(struct cor_timer *t) {
	struct cor_node_status *s = cor_container_of(t, struct cor_node_status, retry);
	if (s->call)
		return;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	write_node(s, &b);
	s->call = cor_api_create(s->c.api, "/api/v1/nodes", cor_buf_view(&b), on_created, s);
}

/* ---- status ---- */

static void on_written(void *arg, const struct cor_err *err, struct cor_str body) {
	struct cor_node_status *s = arg;
	s->call = NULL;
	if (err) {
		cor_warn("writing the node's status: %s", err->message);
		s->c.world->timer_set(s->c.world, &s->status, s->disk_low ? LEASE_EVERY : COR_SECOND);
	} else if (s->ready && !s->told) {
		s->told = true;
		s->c.ready(s->c.arg);
	}
}

/* Nothing else: what a full disk cannot keep would be refused with all of it. */
static void write_conditions(const struct core_v1_NodeStatus *st, struct cor_buf *b) {
	cor_buf_c(b, "{\"conditions\":[");
	for (size_t i = 0; i < st->conditions.n; i++) {
		cor_buf_c(b, i > 0 ? "," : "");
		(void)cor_json_encode(&cor_type_core_v1_NodeCondition, &st->conditions.p[i], b);
	}
	cor_buf_c(b, "]}");
}

static void on_status(struct cor_timer *t) {
	struct cor_node_status *s = cor_container_of(t, struct cor_node_status, status);
	s->c.world->timer_set(s->c.world, t, s->call ? COR_SECOND : STATUS_EVERY);
	if (s->call || !s->exists)
		return;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct core_v1_NodeStatus st = { 0 };
	char path[320];
	fill_status(s, a, &st);
	cor_buf_c(&b, "{\"status\":");
	if (s->disk_low)
		write_conditions(&st, &b);
	else
		(void)cor_json_encode(&cor_type_core_v1_NodeStatus, &st, &b);
	cor_buf_byte(&b, '}');
	(void)snprintf(path, sizeof(path), "%s/status", s->node_path);
	s->call = cor_api_patch(s->c.api, path, "application/strategic-merge-patch+json", cor_buf_view(&b), on_written, s);
}

void cor_node_status_ready(struct cor_node_status *s) {
	if (s->ready)
		return;
	s->ready = true;
	if (!s->was_ready) {
		s->ready_since = cor_now(s->c.world);
		turned(s, "NodeHasSufficientMemory");
		if (!s->disk_low)
			turned(s, "NodeHasNoDiskPressure");
		turned(s, "NodeHasSufficientPID");
		turned(s, "NodeReady");
	}
	on_status(&s->status);
}

/* ---- lease ---- */

static void on_renewed(void *arg, const struct cor_err *err, struct cor_str body) {
	struct cor_node_status *s = arg;
	s->lease_call = NULL;
	if (err)
		cor_warn("renewing the node's lease: %s", err->message);
	/* It may have been called Unknown meanwhile; nobody but its own status says otherwise. */
	else if (s->unheard)
		s->c.world->timer_set(s->c.world, &s->status, 0);
	s->unheard = err != NULL;
}

/* A merge patch does for renewal, and a PUT would need the version; the first one creates. */
static void on_lease_missing(void *arg, const struct cor_err *err, struct cor_str body);

static void write_lease(struct cor_node_status *s, struct cor_buf *b, bool whole) {
	char when[COR_TIME_TEXT_MAX];
	size_t n = cor_time_format(cor_now(s->c.world), true, when);
	cor_buf_c(b, "{");
	if (whole)
		cor_buf_printf(b, "\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"%s\","
			"\"namespace\":\"kube-node-lease\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":"
			"\"%s\",\"uid\":\"%s\"}]},", s->c.name, s->c.name, s->uid);
	cor_buf_printf(b, "\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%d,\"renewTime\":\"%.*s\"}}", s->c.name,
		LEASE_S, (int)n, when);
}

/* Somebody set the clock: what was said in the old time is said again in the new one. */
static void look_at_clock(struct cor_node_status *s) {
	cor_time clock = cor_now(s->c.world) - s->c.world->monotonic(s->c.world), by = clock - s->clock;
	s->clock = clock;
	if (by > -CLOCK_STEP && by < CLOCK_STEP)
		return;
	cor_warn("the clock was set by %lld s", (long long)(by / COR_SECOND));
	s->c.world->timer_set(s->c.world, &s->status, 0);
	if (s->c.clock_set)
		s->c.clock_set(s->c.arg);
}

static void on_lease(struct cor_timer *t) {
	struct cor_node_status *s = cor_container_of(t, struct cor_node_status, lease);
	s->c.world->timer_set(s->c.world, t, LEASE_EVERY);
	look_at_clock(s);
	/* Pressure is said again and again: on a full disk the server keeps it in memory only. */
	if (look_at_disk(s) || s->disk_low)
		s->c.world->timer_set(s->c.world, &s->status, 0);
	if (s->lease_call || !s->uid[0])
		return;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	char path[400];
	write_lease(s, &b, false);
	(void)snprintf(path, sizeof(path), "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/%s", s->c.name);
	s->lease_call = cor_api_patch(s->c.api, path, "application/merge-patch+json", cor_buf_view(&b), on_lease_missing, s);
}

static void on_lease_missing(void *arg, const struct cor_err *err, struct cor_str body) {
	struct cor_node_status *s = arg;
	s->lease_call = NULL;
	if (!err || err->http != 404) {
		on_renewed(arg, err, body);
		return;
	}
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	write_lease(s, &b, true);
	s->lease_call = cor_api_create(s->c.api, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
		cor_buf_view(&b), on_renewed, s);
}

/* ---- life ---- */

struct cor_node_status *cor_node_status_new(const struct cor_node_status_config *c) {
	struct cor_node_status *s = cor_new(struct cor_node_status);
	s->c = *c;
	s->arena = cor_arena_new(0);
	s->started = cor_now(c->world);
	(void)snprintf(s->node_path, sizeof(s->node_path), "/api/v1/nodes/%s", c->name);
	s->disk_since = s->started;
	s->clock = s->started - c->world->monotonic(c->world);
	measure(s);
	(void)look_at_disk(s);
	s->retry.fire = on_retry;
	s->status.fire = on_status;
	s->lease.fire = on_lease;
	on_retry(&s->retry);
	follow(s);
	c->world->timer_set(c->world, &s->status, STATUS_EVERY);
	c->world->timer_set(c->world, &s->lease, COR_SECOND);
	node_event(s, "Starting", "Starting kubelet.");
	return s;
}

void cor_node_status_free(struct cor_node_status *s) {
	if (!s)
		return;
	cor_informer_free(s->feed);
	if (s->call)
		cor_api_cancel(s->call);
	if (s->lease_call)
		cor_api_cancel(s->lease_call);
	struct cor_timer *timers[] = { &s->retry, &s->status, &s->lease };
	for (size_t i = 0; i < cor_countof(timers); i++)
		if (timers[i]->armed)
			s->c.world->timer_clear(s->c.world, timers[i]);
	cor_arena_free(s->arena);
	free(s);
}
