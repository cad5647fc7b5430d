// SPDX-License-Identifier: Apache-2.0
// What services, slices and their endpoints are to the service rules and to the DNS: a compact copy
// of what the two need of the API's objects, owned by the model. Slices may come before their
// Service and stay behind it; then the service is there with exists == false.
// Weak pointers: a slice's svc, valid as long as the slice is in the model.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/str.h"
#include "codec/type.h"
#include "gen/core_v1.h"
#include "gen/discovery_v1.h"

/* Also the numbers of the IP header. */
enum net_proto { NET_PROTO_INVALID = 0, NET_TCP = 6, NET_UDP = 17, NET_SCTP = 132 };
enum net_proto net_proto_from_string(struct cor_str s);         /* "TCP"; absent is TCP */
const char *net_proto_to_string(enum net_proto p);              /* "tcp" */

enum { NET_IP_TEXT_MAX = 46 };

struct net_ip {
	uint8_t family;         /* 4, 6, or 0 = none */
	uint8_t b[16];          /* network order; IPv4 in the first four */
};

bool net_ip_parse(struct cor_str s, struct net_ip *ret);
void net_ip_format(const struct net_ip *ip, char out[NET_IP_TEXT_MAX]);
bool net_ip_eq(const struct net_ip *a, const struct net_ip *b);
/* Of an IPv4 address, as addr.h counts. */
uint32_t net_ip4(const struct net_ip *ip);

struct net_ips {
	struct net_ip *p;
	size_t n;
};

struct net_port {
	char *name;             /* never NULL */
	uint8_t proto;          /* enum net_proto */
	uint16_t port;          /* 0 in a slice: not usable */
	uint16_t node_port;     /* of a Service, 0 = none */
};

struct net_ports {
	struct net_port *p;
	size_t n;
};

struct net_endpoint {
	struct net_ip ip;       /* the first address, the only one that counts */
	char *hostname;         /* "" when it has none; never NULL, as the two below */
	char *zone_hints;       /* ",a,b," or "" */
	bool ready, serving, terminating;
	bool local;             /* on this node */
	bool hints_nodes;       /* has node hints */
	bool hints_this_node;
};

struct net_slice {
	char *key;              /* ns/name of the slice */
	struct net_service *svc;
	struct net_slice *next; /* of the same service */
	struct net_ports ports;
	struct net_endpoint *ep;
	size_t ep_n;
};

enum net_type { NET_CLUSTER_IP, NET_NODE_PORT, NET_LOAD_BALANCER, NET_EXTERNAL_NAME };

struct net_service {
	char *key;              /* ns/name */
	size_t ns_n;            /* length of ns in it */
	bool exists;            /* the Service itself is known */
	struct net_slice *slices;
	/* From here on only with exists. */
	enum net_type type;
	bool headless;
	bool ignored_by_proxy;  /* label service-proxy-name: somebody else's rules */
	bool external_local, internal_local;    /* traffic policies */
	uint32_t affinity_s;    /* 0 = none */
	struct net_ips cluster_ips, external_ips, lb_ips;
	struct net_ports ports;
	char *source_ranges;    /* IPv4 CIDRs joined by ", "; "" = everybody */
	char *external_name;    /* never NULL */
};

struct net_model {
	struct cor_map services;        /* "ns/name" -> struct net_service *, owned */
	struct cor_map slices;          /* "ns/name" -> struct net_slice *, owned */
	char *node;                     /* this node's name; "" = unknown */
	/* Around each change of what belongs to one service; may be NULL. */
	void (*before)(struct net_service *svc, void *arg);
	void (*after)(struct net_service *svc, void *arg);
	void *arg;
};

void net_model_init(struct net_model *m, const char *node);
void net_model_fini(struct net_model *m);
void net_model_set_service(struct net_model *m, const struct core_v1_Service *s);
void net_model_del_service(struct net_model *m, struct cor_str ns, struct cor_str name);
void net_model_set_slice(struct net_model *m, const struct discovery_v1_EndpointSlice *s);
void net_model_del_slice(struct net_model *m, struct cor_str ns, struct cor_str name);
/* NULL when neither it nor a slice of it is known. */
struct net_service *net_model_find(const struct net_model *m, struct cor_str ns,
	struct cor_str name);

static inline struct cor_str net_service_ns(const struct net_service *s) {
	return (struct cor_str){ s->key, s->ns_n };
}
static inline struct cor_str net_service_name(const struct net_service *s) {
	return cor_str_c(s->key + s->ns_n + 1);
}
/* The slice's port for a port of the Service: same name and protocol. NULL when there is none. */
const struct net_port *net_slice_port(const struct net_slice *slice, const struct net_port *port);
