// SPDX-License-Identifier: Apache-2.0
// Shared by the parts of the service rules: rules_plan.c (what a service wants in the table),
// rules_text.c (the difference as a transaction), conntrack.c and service_rules.c (the sync).
#pragma once

#include "base/buf.h"
#include "network/model_priv.h"
#include "network/pod_net.h"
#include "network/service_rules.h"

/* What one owner has in the table. Elements of a kind have unique keys in the whole table. */
enum item_kind {
	IT_AFFINITY,            /* a set; key = name, value = definition */
	IT_CHAIN,               /* key = name, value = rules, one a line */
	IT_SERVICE,             /* service-ips: "ADDR . proto . PORT" -> verdict */
	IT_NODE_PORT,           /* service-nodeports: "proto . PORT" -> verdict */
	IT_NO_EP,               /* no-endpoint-services */
	IT_NO_EP_NODE_PORT,     /* no-endpoint-nodeports */
	IT_FIREWALL,            /* firewall-ips */
	IT_HOST_PORT,           /* host-ports: "ADDR . proto . PORT" -> "ADDR . PORT" */
	IT_HOST_PORT_ANY,       /* host-ports-any: "proto . PORT" -> "ADDR . PORT" */
	IT_MAX,
};

struct item {
	enum item_kind kind;
	char *key, *value;
};

struct items {
	struct item *p;
	size_t n;
};

/* A UDP address whose endpoints changed: connections that the kernel remembers to others go. */
struct stale {
	uint32_t ip;            /* 0 = node port: any local address */
	uint16_t port;
	uint32_t *live;         /* serving endpoints */
	size_t live_n;
};

struct stales {
	struct stale *p;
	size_t n;
};

struct rules_env {
	char table[80];
	char prefix[COR_IFNAME_MAX];    /* of the pods' interfaces */
	struct cor_cidr4 cluster_cidr, node_cidr, service_cidr;
	uint32_t dns_ip;
	char *zone;             /* ",zone," or "" */
};

void items_fini(struct items *items);
/* Takes key and value. */
void items_add(struct items *items, enum item_kind kind, char *key, char *value);
void items_remove(struct items *items, size_t i);
/* By kind and key, as rules_diff wants them. */
void items_sort(struct items *items);

/* Everything that the service wants; sorted. stale gets its UDP addresses, may be NULL. */
void rules_plan_service(const struct rules_env *env, const struct net_service *svc,
	struct items *ret, struct stales *stale);
void rules_plan_host_ports(const char *ip, const struct cor_host_port *ports, size_t n,
	struct items *ret);
void stales_fini(struct stales *s);

/* The table with its fixed part, replacing what is there. */
void rules_text_base(const struct rules_env *env, struct cor_buf *out);
/* One owner's changes come in parts, because all chains of a transaction must be there before the
 * first rule that goes to one, and elements must go before others take their keys. */
enum rules_part { RULES_DECLARE, RULES_FILL, RULES_DROP_ELEMENTS, RULES_ADD_ELEMENTS, RULES_PART_MAX };
void rules_text_part(const struct rules_env *env, enum rules_part part, const struct items *old,
	const struct items *now, struct cor_buf *out);
/* Chains and sets of old that now has not: to be deleted by name when nothing refers to them. */
void rules_text_dead(const struct rules_env *env, const struct items *old, const struct items *now,
	void (*fn)(enum item_kind kind, const char *name, void *arg), void *arg);

/* Runs a transaction in the calling thread's network namespace. */
int rules_run(const char *text, struct cor_err *err);
/* Deletes remembered UDP connections to endpoints that are gone. */
int conntrack_clean(const struct stale *stale, size_t n, struct cor_err *err);
