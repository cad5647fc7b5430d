// SPDX-License-Identifier: Apache-2.0
// The pod network of one node: what the node needs once (a bridge device that carries the gateway
// and the DNS address, routes, sysctls), and for each pod its pinned namespaces, its veth pair and
// its address. Everything is found again from the live interfaces and the pins in the run
// directory, so the agent may die at any moment. docs/internals/network.md says how it looks.
//
// All functions work in the network namespace of the calling thread, never change it, and block
// for a few milliseconds: call them on a worker. They may run on several threads at once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "network/addr.h"

struct cor_pod_net;

#define COR_IFNAME_MAX 16
#define COR_POD_NS_PATH_MAX 256

struct cor_pod_net_config {
	const char *cluster;            /* the cluster's name, a DNS label */
	const char *run_dir;            /* of this cluster, absolute; pins go to <run_dir>/ns/<uid>/ */
	struct cor_cidr4 pod_cidr;      /* of this node, /16 to /29; its first address is the gateway */
	struct cor_cidr4 service_cidr;  /* routed to the bridge so that connect() finds a route */
	uint32_t dns_ip;                /* service address that the local DNS server binds; 0 = none */
	unsigned mtu;                   /* 0 = that of the default route's interface, else 1500 */
};

/* Sets the node up, or finds it set up, and takes over the pods that are there. */
int cor_pod_net_new(const struct cor_pod_net_config *config, struct cor_pod_net **ret,
	struct cor_err *err);
/* Frees the memory; interfaces and pins stay. */
void cor_pod_net_free(struct cor_pod_net *pn);
COR_DEFINE_CLEANUP(struct cor_pod_net *, cor_pod_net_free)

uint32_t cor_pod_net_gateway(const struct cor_pod_net *pn);
const char *cor_pod_net_bridge(const struct cor_pod_net *pn);

struct cor_pod_ns_spec {
	struct cor_str uid;             /* names the pod; no '/' */
	struct cor_str hostname;        /* kernel host name; not used with host_net */
	bool host_net;                  /* net and UTS namespaces of the node */
	bool host_ipc;                  /* IPC namespace of the node */
	bool host_ports;                /* host ports on loopback may be forwarded to this pod */
	const struct cor_kv *sysctls;   /* "net.ipv4.tcp_fin_timeout" or with '/' : value */
	size_t sysctl_n;
};

/* Paths for the runtime's configuration; "" means the node's own namespace. */
struct cor_pod_ns {
	char net[COR_POD_NS_PATH_MAX];
	char ipc[COR_POD_NS_PATH_MAX];
	char uts[COR_POD_NS_PATH_MAX];
	char ip[COR_IP4_TEXT_MAX];      /* "" with host_net */
};

/* Makes and pins the namespaces, connects them and sets host name and sysctls; when they are there
 * already, only says where. On failure nothing stays behind. COR_E_LIMIT: no address is free. */
int cor_pod_ns_create(struct cor_pod_net *pn, const struct cor_pod_ns_spec *spec,
	struct cor_pod_ns *ret, struct cor_err *err);
/* Removes the pins and frees the address; the interface goes when the last process of the pod is
 * gone. Fine when there is nothing. */
int cor_pod_ns_destroy(struct cor_pod_net *pn, struct cor_str uid, struct cor_err *err);
/* Calls fn for every pod that has a pin, ip "" when it has no interface. fn must not call back. */
int cor_pod_ns_list(struct cor_pod_net *pn, void (*fn)(struct cor_str uid, const char *ip, void *arg),
	void *arg, struct cor_err *err);

/* Removes every interface and pin of the cluster, for `coracle down`; needs no cor_pod_net. */
int cor_pod_net_remove_all(const char *cluster, const char *run_dir, struct cor_err *err);

/* "cor-<cluster>", or a shortened name with a hash when that is too long for an interface. */
void cor_pod_net_bridge_name(const char *cluster, char out[COR_IFNAME_MAX]);
/* What the names of the pods' interfaces on the node begin with ("corxxxxx-"). */
void cor_pod_net_link_prefix(const char *cluster, char out[COR_IFNAME_MAX]);
