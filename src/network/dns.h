// SPDX-License-Identifier: Apache-2.0
// The cluster DNS: a model fed with Services, EndpointSlices and Namespaces, a function that answers
// one query from it, and a server around both (dns_server.h). All of it lives on one loop's thread.
// Records: facts/network.md section 8. Nothing here watches the API; the feeder does.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "network/addr.h"

struct cor_dns;
struct core_v1_Service;
struct discovery_v1_EndpointSlice;

struct cor_dns_config {
	const char *zone;               /* NULL = "cluster.local" */
	struct cor_cidr4 service_cidr;  /* reverse names in these two are never forwarded */
	struct cor_cidr4 pod_cidr;      /* of the whole cluster */
	uint32_t dns_ip;                /* address of ns.dns.<zone>; 0 = none */
	uint32_t ttl;                   /* of answers; 0 = 5 s. Negative ones live 1 s */
};

int cor_dns_new(const struct cor_dns_config *config, struct cor_dns **ret, struct cor_err *err);
void cor_dns_free(struct cor_dns *dns);
COR_DEFINE_CLEANUP(struct cor_dns *, cor_dns_free)

/* The feed. Objects are copied as far as they are needed. */
void cor_dns_set_service(struct cor_dns *dns, const struct core_v1_Service *service);
void cor_dns_del_service(struct cor_dns *dns, struct cor_str ns, struct cor_str name);
void cor_dns_set_slice(struct cor_dns *dns, const struct discovery_v1_EndpointSlice *slice);
void cor_dns_del_slice(struct cor_dns *dns, struct cor_str ns, struct cor_str name);
/* Without a single namespace fed, names like 10-1-2-3.ns.pod exist in every namespace. */
void cor_dns_set_namespace(struct cor_dns *dns, struct cor_str name);
void cor_dns_del_namespace(struct cor_dns *dns, struct cor_str name);
/* Before the first complete feed names of the zone get SERVFAIL: an NXDOMAIN would be believed. */
void cor_dns_set_ready(struct cor_dns *dns, bool ready);

enum cor_dns_verdict {
	COR_DNS_DROP,           /* not a query at all: no answer */
	COR_DNS_ANSWER,         /* out holds the answer */
	COR_DNS_FORWARD,        /* not ours: send the query on as it is */
	COR_DNS_CHASE,          /* an alias leads outside: ask for target and call again with it */
};

enum { COR_DNS_NAME_MAX = 255, COR_DNS_UDP_MAX = 1232, COR_DNS_TCP_MAX = 65535 };

struct cor_dns_reply {
	enum cor_dns_verdict verdict;
	size_t n;                               /* bytes of the answer in out */
	uint8_t target[COR_DNS_NAME_MAX];       /* of CHASE, in wire format */
	uint16_t type;                          /* asked for */
	uint16_t id;
};

/* The answer of an outside server to the question for a CHASE target; n 0 = there was none. */
struct cor_dns_upstream {
	const uint8_t *p;
	size_t n;
};

/* Answers one query. out has room for COR_DNS_TCP_MAX bytes; over UDP not more than the client
 * takes are used, and the TC bit says that there are more. upstream is NULL at first. Never fails:
 * what is malformed is answered so, or dropped. */
void cor_dns_answer(struct cor_dns *dns, const uint8_t *query, size_t n, bool tcp,
	const struct cor_dns_upstream *upstream, uint8_t *out, struct cor_dns_reply *ret);
/* An answer without records to a query that parsed (SERVFAIL, REFUSED); 0 = not possible. */
size_t cor_dns_refuse(const uint8_t *query, size_t n, unsigned rcode, uint8_t *out);
