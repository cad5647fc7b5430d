// SPDX-License-Identifier: Apache-2.0
// Wires the node agent: see agent.h. In order: API client, runtime and images; the Node object is registered
// and gets its range of addresses; network, rules and pods start; the node becomes Ready.
#include "node/agent.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "codec/codec.h"
#include "gen/discovery_v1.h"
#include "net/pki.h"
#include "network/pod_net.h"
#include "network/service_rules.h"
#include "node/kubeconfig.h"
#include "node/node_status.h"
#include "node/pod.h"

/* A Service as it was last seen, for the variables of new containers. */
struct service {
	struct cor_arena *arena;
	struct core_v1_Service *obj;
};

struct cor_agent {
	struct cor_agent_config c;
	struct cor_api *api;
	struct cor_runtime *rt;
	struct cor_image_store *images;
	struct cor_image_puller *puller;
	struct cor_pod_net *net;
	struct cor_svc_rules *rules;
	struct cor_events *events;
	struct cor_pvs *pvs;
	struct cor_pods *pods;
	struct cor_kubelet *kubelet;
	struct cor_tls *tls;            /* the kubelet's API's */
	struct cor_node_status *status;
	struct cor_informer *pod_feed, *service_feed, *slice_feed;
	struct cor_arena *scratch;
	struct cor_map services;        /* "ns/name" -> struct service */
	unsigned synced;
	char runtime_version[80];
};

static void split(struct cor_str key, struct cor_str *ret_ns, struct cor_str *ret_name) {
	*ret_name = key;
	*ret_ns = cor_str_cut(ret_name, '/');
}

static void trouble(void *arg, const struct cor_err *err) {
	cor_warn("watching the API: %s", err->message);
}

/* ---- services ---- */

static void both_synced(struct cor_agent *a) {
	if (++a->synced < 2)
		return;
	cor_svc_rules_set_synced(a->rules);
	cor_pods_wake_all(a->pods);
}

static void services_synced(void *arg) {
	both_synced(arg);
}

static void service_free(struct service *s) {
	if (!s)
		return;
	cor_arena_free(s->arena);
	free(s);
}

static void set_service(void *arg, struct cor_str key, struct cor_str json) {
	struct cor_agent *a = arg;
	struct service *s = cor_new(struct service);
	s->arena = cor_arena_new(0);
	struct cor_decode d = { .arena = s->arena };
	struct cor_err err;
	void *obj;
	/* The object points into its text, which must live as long. */
	if (cor_json_decode_new(&cor_type_core_v1_Service, cor_arena_str(s->arena, json), &obj, &d, &err) < 0) {
		cor_warn("service %.*s not understood: %s", COR_STR_ARG(key), err.message);
		service_free(s);
		return;
	}
	s->obj = obj;
	service_free(cor_map_put(&a->services, key, s));
	cor_svc_rules_set_service(a->rules, s->obj);
}

static void del_service(void *arg, struct cor_str key) {
	struct cor_agent *a = arg;
	struct cor_str ns, name;
	split(key, &ns, &name);
	cor_svc_rules_del_service(a->rules, ns, name);
	service_free(cor_map_remove(&a->services, key));
}

static void set_slice(void *arg, struct cor_str key, struct cor_str json) {
	struct cor_agent *a = arg;
	struct cor_decode d = { .arena = a->scratch };
	struct cor_err err;
	void *obj;
	cor_arena_reset(a->scratch);
	if (cor_json_decode_new(&cor_type_discovery_v1_EndpointSlice, json, &obj, &d, &err) < 0)
		cor_warn("endpoint slice %.*s not understood: %s", COR_STR_ARG(key), err.message);
	else
		cor_svc_rules_set_slice(a->rules, obj);
}

static void del_slice(void *arg, struct cor_str key) {
	struct cor_str ns, name;
	split(key, &ns, &name);
	cor_svc_rules_del_slice(((struct cor_agent *)arg)->rules, ns, name);
}

static void each_service(void *arg, void (*fn)(void *fn_arg, const struct core_v1_Service *s), void *fn_arg) {
	struct cor_agent *a = arg;
	size_t it = 0;
	struct cor_str key;
	void *v;
	while (cor_map_next(&a->services, &it, &key, &v))
		fn(fn_arg, ((struct service *)v)->obj);
}

static bool know_services(void *arg) {
	return ((struct cor_agent *)arg)->synced >= 2;
}

/* ---- pods ---- */

static void set_pod(void *arg, struct cor_str key, struct cor_str json) {
	cor_pods_set(((struct cor_agent *)arg)->pods, key, json);
}

static void del_pod(void *arg, struct cor_str key) {
	cor_pods_delete(((struct cor_agent *)arg)->pods, key);
}

static void pods_synced(void *arg) {
	cor_pods_synced(((struct cor_agent *)arg)->pods);
}

static void on_exited(void *arg, struct cor_container *c) {
	struct cor_agent *a = arg;
	if (a->pods)
		cor_pods_exited(a->pods, c);
}

static void tell_kubelet(void *arg, const char *id) {
	struct cor_agent *a = arg;
	if (a->kubelet)
		cor_kubelet_container_exited(a->kubelet, id);
}

static void volume_changed(void *arg, const char *pv) {
	struct cor_agent *a = arg;
	if (a->pods)
		cor_pods_wake_volume(a->pods, pv);
}

/* ---- start ---- */

/* The kubelet's certificate as the files have it now: made, or given to the one that is there. */
static int kubelet_tls(struct cor_agent *a, struct cor_err *err) {
	_cleanup_pki_pair_ struct cor_pki_pair p = { 0 };
	_cleanup_buf_ struct cor_buf ca = COR_BUF_INIT;
	_cleanup_free_ char *crt = cor_asprintf("%s/kubelet.crt", a->c.pki_dir);
	_cleanup_free_ char *key = cor_asprintf("%s/kubelet.key", a->c.pki_dir);
	_cleanup_free_ char *ca_path = cor_asprintf("%s/ca.crt", a->c.pki_dir);
	if (cor_pki_read_file(crt, &p.cert, err) < 0 || cor_pki_read_file(key, &p.key, err) < 0 ||
	    cor_pki_read_file(ca_path, &ca, err) < 0)
		return err->code;
	struct cor_tls_config c = {
		.server = true, .no_http2 = true, .cert = cor_buf_view(&p.cert), .key = cor_buf_view(&p.key),
		.ca = cor_buf_view(&ca),
	};
	if (a->tls)
		return cor_tls_reload(a->tls, &c, err);
	a->tls = cor_tls_new(&c, err);
	return a->tls ? 0 : err->code;
}

void cor_agent_renew(struct cor_agent *a) {
	struct cor_err err;
	if (cor_api_reread_kubeconfig(a->api, a->c.kubeconfig, &err) < 0 || kubelet_tls(a, &err) < 0)
		cor_warn("renewed certificates: %s", err.message);
}

static int start_network(struct cor_agent *a, struct cor_str pod_cidr, struct cor_err *err) {
	struct cor_pod_net_config n = { .cluster = a->c.cluster, .run_dir = a->c.run_dir };
	struct cor_svc_rules_config r = { .world = a->c.world, .cluster = a->c.cluster, .node = a->c.node_name };
	if (!cor_cidr4_parse(pod_cidr, &n.pod_cidr) || !cor_cidr4_parse(cor_str_c(a->c.service_cidr), &n.service_cidr) ||
	    !cor_ip4_parse(cor_str_c(a->c.dns_ip), &n.dns_ip) || !cor_cidr4_parse(cor_str_c(a->c.pod_cidr), &r.cluster_cidr))
		return cor_fail(err, COR_E_INVALID, "the pod range, the service range or the DNS address is malformed");
	r.node_cidr = n.pod_cidr;
	r.service_cidr = n.service_cidr;
	r.dns_ip = n.dns_ip;
	int code = cor_pod_net_new(&n, &a->net, err);
	return code < 0 ? code : cor_svc_rules_new(&r, &a->rules, err);
}

static int start_pods(struct cor_agent *a, struct cor_err *err) {
	struct cor_pvs_config vc = {
		.api = a->api, .world = a->c.world, .events = a->events, .node = a->c.node_name, .data_dir = a->c.data_dir,
		.changed = volume_changed, .arg = a,
	};
	a->pvs = cor_pvs_new(&vc);
	struct cor_pods_config pc = {
		.loop = a->c.loop, .world = a->c.world, .api = a->api, .rt = a->rt, .images = a->images, .puller = a->puller,
		.net = a->net, .rules = a->rules, .events = a->events, .pvs = a->pvs, .node_name = a->c.node_name,
		.data_dir = a->c.data_dir, .run_dir = a->c.run_dir, .host_ip = a->c.address,
		.cluster_domain = a->c.cluster_domain, .dns_ip = a->c.dns_ip, .resolv_conf = a->c.resolv_conf,
		.allocatable = cor_node_status_allocatable(a->status), .memory_bytes = cor_node_status_memory(a->status),
		.services = each_service, .services_synced = know_services, .container_exited = tell_kubelet, .arg = a,
	};
	a->pods = cor_pods_new(&pc);
	struct cor_kubelet_config kc = {
		.loop = a->c.loop, .world = a->c.world, .rt = a->rt, .tls = a->tls, .node_name = a->c.node_name,
		.data_dir = a->c.data_dir, .address = "0.0.0.0", .port = a->c.kubelet_port, .healthz_port = -1,
		.pods = cor_pods_lookup(a->pods),
	};
	return cor_kubelet_new(&kc, &a->kubelet, err);
}

static struct cor_informer *feed(struct cor_agent *a, const char *path, const char *fields,
	const struct cor_informer_ops *ops) {
	struct cor_informer_config c = { .api = a->api, .path = path, .field_selector = fields, .ops = *ops, .arg = a };
	return cor_informer_new(&c);
}

static void on_registered(void *arg, struct cor_str pod_cidr) {
	struct cor_agent *a = arg;
	struct cor_err err;
	char selector[320];
	int r = start_network(a, pod_cidr, &err);
	if (r >= 0) {
		/* It is sent when this returns, on the connection that is open; what follows needs new ones. */
		cor_node_status_ready(a->status);
		r = start_pods(a, &err);
	}
	if (r < 0) {
		cor_error("%s", err.message);
		exit(1);        /* the supervisor starts us again; containers go on */
	}
	(void)snprintf(selector, sizeof(selector), "spec.nodeName=%s", a->c.node_name);
	a->service_feed = feed(a, "/api/v1/services", NULL,
		&(struct cor_informer_ops){ set_service, del_service, services_synced, trouble });
	a->slice_feed = feed(a, "/apis/discovery.k8s.io/v1/endpointslices", NULL,
		&(struct cor_informer_ops){ set_slice, del_slice, services_synced, trouble });
	a->pod_feed = feed(a, "/api/v1/pods", selector, &(struct cor_informer_ops){ set_pod, del_pod, pods_synced, trouble });
	cor_info("node %s is ready, pods in %.*s", a->c.node_name, COR_STR_ARG(pod_cidr));
}

static void on_ready(void *arg) {
	struct cor_agent *a = arg;
	if (a->c.ready)
		a->c.ready(a->c.arg);
}

/* Until whoever starts us has something to say, or has said all. */
static void wait_for_start(struct cor_agent *a) {
	char byte;
	while (a->c.start_fd >= 0 && read(a->c.start_fd, &byte, 1) < 0 && errno == EINTR)
		;
}

static void clock_set(void *arg) {
	struct cor_agent *a = arg;
	if (a->pods)
		cor_pods_clock_set(a->pods);
}

static int start_parts(struct cor_agent *a, struct cor_err *err) {
	_cleanup_free_ char *images = cor_asprintf("%s/images", a->c.data_dir);
	struct cor_image_config ic = { .dir = images };
	struct cor_runtime_config rc = {
		.loop = a->c.loop, .world = a->c.world, .cluster = a->c.cluster, .data_dir = a->c.data_dir,
		.run_dir = a->c.run_dir, .events = { .exited = on_exited, .arg = a },
	};
	int r = cor_runtime_conmon_new(&rc, &a->rt, err);
	if (r >= 0)
		r = cor_image_store_open(&a->images, &ic, err);
	if (r < 0)
		return r;
	a->puller = cor_image_puller_new(a->c.loop, a->images, 3);
	wait_for_start(a);      /* for certificates */
	a->api = cor_api_from_kubeconfig(a->c.loop, a->c.world, a->c.kubeconfig, "coracle-node/1.36.2", err);
	if (!a->api)
		return err->code;
	if (kubelet_tls(a, err) < 0)
		return err->code;
	wait_for_start(a);      /* for the API */
	if (a->c.start_fd >= 0)
		(void)close(a->c.start_fd);
	a->events = cor_events_new(a->api, a->c.world, a->c.node_name);
	return 0;
}

int cor_agent_start(const struct cor_agent_config *c, struct cor_agent **ret, struct cor_err *err) {
	struct cor_agent *a = cor_new(struct cor_agent);
	a->c = *c;
	a->scratch = cor_arena_new(0);
	int r = start_parts(a, err);
	if (r < 0)
		return r;       /* the process ends with it */
	(void)snprintf(a->runtime_version, sizeof(a->runtime_version), "%s://%s", a->rt->name, a->rt->version);
	struct cor_node_status_config sc = {
		.api = a->api, .world = c->world, .events = a->events, .images = a->images, .name = c->node_name, .address = c->address,
		.kubelet_port = c->kubelet_port, .runtime_version = a->runtime_version, .data_dir = c->data_dir,
		.registered = on_registered, .ready = on_ready, .clock_set = clock_set, .arg = a,
	};
	a->status = cor_node_status_new(&sc);
	*ret = a;
	return 0;
}
