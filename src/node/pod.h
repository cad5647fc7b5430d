// SPDX-License-Identifier: Apache-2.0
// The pod manager: objects of pods bound to this node in, containers out. See docs/internals/node.md.
#pragma once

#include "network/pod_net.h"
#include "network/service_rules.h"
#include "node/events.h"
#include "node/image.h"
#include "node/kubelet_http.h"
#include "node/pv.h"
#include "node/runtime.h"

struct cor_pods;
struct cor_strmap;
struct core_v1_Service;

struct cor_pods_config {
	struct uv_loop_s *loop;
	struct cor_world *world;
	struct cor_api *api;
	struct cor_runtime *rt;
	struct cor_image_store *images;
	struct cor_image_puller *puller;
	struct cor_pod_net *net;
	struct cor_svc_rules *rules;    /* for host ports; may be NULL */
	struct cor_events *events;
	struct cor_pvs *pvs;
	const char *node_name, *data_dir, *run_dir;
	const char *host_ip;
	const char *cluster_domain;     /* "cluster.local" */
	const char *dns_ip;             /* "10.96.0.10" */
	const char *resolv_conf;        /* the node's */
	const struct cor_strmap *allocatable;   /* of the node; lives as long as the manager */
	int64_t memory_bytes;           /* of the node */
	void (*services)(void *arg, void (*fn)(void *fn_arg, const struct core_v1_Service *s), void *fn_arg);
	bool (*services_synced)(void *arg);
	void (*container_exited)(void *arg, const char *id);    /* for the kubelet's logs */
	void *arg;
};

struct cor_pods *cor_pods_new(const struct cor_pods_config *c);
/* Leaves containers running. Nothing may be under way on workers. */
void cor_pods_free(struct cor_pods *p);
size_t cor_pods_busy(const struct cor_pods *p);

/* The feed. */
void cor_pods_set(struct cor_pods *p, struct cor_str key, struct cor_str json);
void cor_pods_delete(struct cor_pods *p, struct cor_str key);
/* All pods were fed once: what runs without one is stopped. */
void cor_pods_synced(struct cor_pods *p);
/* Services were listed: pods that wait look again. */
void cor_pods_wake_all(struct cor_pods *p);
/* A persistent volume came or changed: those that have it or may be waiting for it. */
void cor_pods_wake_volume(struct cor_pods *p, const char *pv);
/* The wall clock was set: tokens are renewed, what is due by it is looked at. */
void cor_pods_clock_set(struct cor_pods *p);
/* From the runtime. */
void cor_pods_exited(struct cor_pods *p, struct cor_container *c);
/* Rotates logs that have grown; called now and then. */

struct cor_pod_lookup cor_pods_lookup(struct cor_pods *p);
