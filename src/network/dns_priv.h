// SPDX-License-Identifier: Apache-2.0
// Shared by the parts of the DNS: dns.c (the model and its indices), dns_zone.c (which records a
// name has) and dns_wire.c (packets).
#pragma once

#include "network/dns.h"
#include "network/dns_pkt.h"
#include "network/model_priv.h"

enum { DNS_LABELS_MAX = 128, DNS_CHAIN_MAX = 8 };

/* Services that an address belongs to: by cluster IP, or by a ready endpoint of a headless one. */
struct dns_ref {
	struct net_service **p; /* weak; taken out before a service changes */
	size_t n;
};

struct dns_ns {
	unsigned services;
	bool fed;
};

struct cor_dns {
	struct net_model model;
	struct cor_map reverse;         /* struct net_ip bytes -> struct dns_ref *, owned */
	struct cor_map namespaces;      /* name -> struct dns_ns *, owned */
	bool namespaces_fed;
	bool ready;
	struct cor_dns_config config;
	char *zone;                     /* lower case, without the last dot */
	uint32_t serial;                /* grows with each change */
	unsigned rotate;
};

/* A name as labels, leftmost first. */
struct dns_name {
	struct cor_str label[DNS_LABELS_MAX];
	unsigned n;
};

/* The answer that is being written. */
struct dns_out {
	struct cor_dns *dns;
	struct dns_pkt *pkt;
	const struct cor_dns_upstream *upstream;
	struct cor_dns_reply *reply;
	bool exists;                    /* the name exists: without records it is no NXDOMAIN */
	unsigned records;
	unsigned rcode;
};

void dns_name_split(const uint8_t *wire, struct dns_name *ret);
/* Is it the zone or below? Then *ret_below is how many labels are in front of it. */
bool dns_name_in_zone(const struct cor_dns *dns, const struct dns_name *name, unsigned *ret_below);
/* An address in in-addr.arpa or ip6.arpa. */
bool dns_name_reverse(const struct dns_name *name, struct net_ip *ret);

/* Writes the records of a name of the zone with owner; sets exists, records, reply->verdict. */
void dns_zone_answer(struct dns_out *out, const uint8_t *owner, const struct dns_name *name,
	unsigned below, uint16_t type, unsigned depth);
/* PTR records; false when the address is not ours to answer for. */
bool dns_zone_reverse(struct dns_out *out, const struct net_ip *ip, uint16_t type);

/* One record in the current section. owner NULL = the name asked for. */
void dns_put(struct dns_out *out, const uint8_t *owner, uint16_t type, const uint8_t *rdata,
	size_t n, bool additional);
void dns_put_ip(struct dns_out *out, const uint8_t *owner, const struct net_ip *ip,
	bool additional);
/* The records that the outside server gave for an alias's target. */
void dns_put_upstream(struct dns_out *out);

struct dns_ref *dns_reverse_find(const struct cor_dns *dns, const struct net_ip *ip);
bool dns_namespace_exists(const struct cor_dns *dns, struct cor_str ns, bool of_pods);
