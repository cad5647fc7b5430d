// SPDX-License-Identifier: Apache-2.0
// What pod_net.c (the node, addresses, recovery) and pod_ns.c (one pod) share.
// The lock covers pods, used and next; everything else is fixed after cor_pod_net_new.
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "network/nl_priv.h"
#include "network/pod_net.h"

struct pod_link {
	uint32_t ip;
};

struct cor_pod_net {
	struct cor_pod_net_config config;       /* strings point to the copies below */
	char *cluster, *run_dir;
	char bridge[COR_IFNAME_MAX], prefix[COR_IFNAME_MAX];
	unsigned mtu;
	pthread_mutex_t lock;
	struct cor_map pods;            /* uid -> struct pod_link *, owned */
	uint8_t *used;                  /* one bit for each address of the CIDR */
	uint32_t next;                  /* offset to look at first: addresses are reused late */
};

/* Reserves an address for the pod, or finds the one it has (*ret_known true). */
int pod_net_take_ip(struct cor_pod_net *pn, struct cor_str uid, uint32_t *ret_ip, bool *ret_known,
	struct cor_err *err);
/* False when the pod has no interface of ours. */
bool pod_net_find_ip(struct cor_pod_net *pn, struct cor_str uid, uint32_t *ret_ip);
void pod_net_drop_ip(struct cor_pod_net *pn, struct cor_str uid);

/* The node's end of the pod with this address; out as IFNAMSIZ. */
void pod_net_link_name(const struct cor_pod_net *pn, uint32_t ip, char out[COR_IFNAME_MAX]);

/* All pods' interfaces of a cluster are one group, which the kernel can delete at once. */
uint32_t pod_net_link_group(const char *cluster);
/* Fine when there is none. */
int pod_net_delete_link(struct nl *nl, const char *name, struct cor_err *err);

/* Writes a file below /proc/sys of the calling thread's namespaces unless it holds value already. */
int pod_net_sysctl(const char *path, const char *value, struct cor_err *err);

/* The kinds of namespace that a pod may have of its own, and their pins. */
enum pin { PIN_NET, PIN_IPC, PIN_UTS, PIN_MAX };
extern const char *const pin_names[PIN_MAX];
/* <run_dir>/ns/<uid>/<kind>; kind NULL for the directory. */
int pin_path(const char *run_dir, struct cor_str uid, const char *kind,
	char out[COR_POD_NS_PATH_MAX], struct cor_err *err);
bool pin_is_there(const char *path);
/* Unmounts and removes all pins of a pod and their directory. */
int pin_remove(const char *run_dir, struct cor_str uid, struct cor_err *err);
