// SPDX-License-Identifier: Apache-2.0
// Service addresses on one node: Services, EndpointSlices and host ports in, one nftables table
// ("ip coracle-<cluster>") out. Changes are collected for a few milliseconds, planned on the loop
// for the services they touch, and written off the loop in one atomic transaction.
// docs/internals/network.md has the layout. All functions belong to the loop's thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/world.h"
#include "network/addr.h"

struct cor_svc_rules;
struct core_v1_Service;
struct discovery_v1_EndpointSlice;

struct cor_svc_rules_config {
	struct cor_world *world;
	const char *cluster;            /* the cluster's name */
	const char *node;               /* this node's name, as endpoints carry it */
	const char *zone;               /* topology.kubernetes.io/zone of the node, NULL = none */
	struct cor_cidr4 cluster_cidr;  /* all pods: traffic that leaves it is masqueraded */
	struct cor_cidr4 node_cidr;     /* this node's pods, as in cor_pod_net_config */
	struct cor_cidr4 service_cidr;
	uint32_t dns_ip;                /* served on this node itself: never translated; 0 = none */
};

int cor_svc_rules_new(const struct cor_svc_rules_config *config, struct cor_svc_rules **ret,
	struct cor_err *err);
/* The rules stay in the kernel. Not while a transaction is under way: wait for on_sync. */
void cor_svc_rules_free(struct cor_svc_rules *r);
COR_DEFINE_CLEANUP(struct cor_svc_rules *, cor_svc_rules_free)

/* The feed. Objects are copied as far as they are needed. */
void cor_svc_rules_set_service(struct cor_svc_rules *r, const struct core_v1_Service *service);
void cor_svc_rules_del_service(struct cor_svc_rules *r, struct cor_str ns, struct cor_str name);
void cor_svc_rules_set_slice(struct cor_svc_rules *r,
	const struct discovery_v1_EndpointSlice *slice);
void cor_svc_rules_del_slice(struct cor_svc_rules *r, struct cor_str ns, struct cor_str name);

struct cor_host_port {
	struct cor_str host_ip;         /* "", "0.0.0.0" = every address of the node */
	struct cor_str protocol;        /* "TCP", "UDP", "SCTP"; "" = TCP */
	uint16_t host_port;
	uint16_t container_port;
};

/* Replaces the pod's host ports; n 0 removes them. */
void cor_svc_rules_set_host_ports(struct cor_svc_rules *r, struct cor_str pod_uid, const char *ip,
	const struct cor_host_port *ports, size_t n);

/* Both lists were fed once. Nothing is written before, so that an agent that starts does not take
 * away what its predecessor left in the kernel. */
void cor_svc_rules_set_synced(struct cor_svc_rules *r);
/* Is a change not in the kernel yet? */
bool cor_svc_rules_busy(const struct cor_svc_rules *r);
/* Called on the loop after each transaction, code 0 or an error; for tests and for a health check. */
void cor_svc_rules_on_sync(struct cor_svc_rules *r, void (*fn)(int code, void *arg), void *arg);

/* Deletes the cluster's table; fine when there is none. Blocks for milliseconds. */
int cor_svc_rules_remove_all(const char *cluster, struct cor_err *err);
