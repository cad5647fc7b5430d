// SPDX-License-Identifier: Apache-2.0
// The compact copy of Services and EndpointSlices. Objects that the API would not accept are taken
// as far as they make sense: what does not parse is left out, never trusted.
#include "network/model_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum net_proto net_proto_from_string(struct cor_str s) {
	if (cor_str_empty(s) || cor_str_eq_c(s, "TCP"))
		return NET_TCP;
	if (cor_str_eq_c(s, "UDP"))
		return NET_UDP;
	return cor_str_eq_c(s, "SCTP") ? NET_SCTP : NET_PROTO_INVALID;
}

const char *net_proto_to_string(enum net_proto p) {
	return p == NET_TCP ? "tcp" : p == NET_UDP ? "udp" : p == NET_SCTP ? "sctp" : "";
}

bool net_ip_parse(struct cor_str s, struct net_ip *ret) {
	char text[NET_IP_TEXT_MAX];
	struct net_ip ip = { 0 };
	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	ip.family = memchr(s.p, ':', s.n) ? 6 : 4;
	if (inet_pton(ip.family == 6 ? AF_INET6 : AF_INET, text, ip.b) != 1)
		return false;
	*ret = ip;
	return true;
}

void net_ip_format(const struct net_ip *ip, char out[NET_IP_TEXT_MAX]) {
	if (!inet_ntop(ip->family == 6 ? AF_INET6 : AF_INET, ip->b, out, NET_IP_TEXT_MAX))
		out[0] = '\0';
}

bool net_ip_eq(const struct net_ip *a, const struct net_ip *b) {
	return a->family == b->family && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

uint32_t net_ip4(const struct net_ip *ip) {
	return (uint32_t)ip->b[0] << 24 | (uint32_t)ip->b[1] << 16 | (uint32_t)ip->b[2] << 8 | ip->b[3];
}

/* ---- memory ---- */

static void free_ports(struct net_ports *ports) {
	for (size_t i = 0; i < ports->n; i++)
		free(ports->p[i].name);
	free(ports->p);
	*ports = (struct net_ports){ 0 };
}

static void clear_slice(struct net_slice *s) {
	free_ports(&s->ports);
	for (size_t i = 0; i < s->ep_n; i++) {
		free(s->ep[i].hostname);
		free(s->ep[i].zone_hints);
	}
	free(s->ep);
	s->ep = NULL;
	s->ep_n = 0;
}

static void free_slice(struct net_slice *s) {
	clear_slice(s);
	free(s->key);
	free(s);
}

static void clear_service(struct net_service *s) {
	free_ports(&s->ports);
	free(s->cluster_ips.p);
	free(s->external_ips.p);
	free(s->lb_ips.p);
	free(s->source_ranges);
	free(s->external_name);
	*s = (struct net_service){ .key = s->key, .ns_n = s->ns_n, .slices = s->slices };
}

static void free_service(struct net_service *s) {
	clear_service(s);
	free(s->key);
	free(s);
}

void net_model_init(struct net_model *m, const char *node) {
	*m = (struct net_model){ .node = cor_strdup(node ? node : "") };
}

void net_model_fini(struct net_model *m) {
	size_t it = 0;
	void *value;
	while (cor_map_next(&m->slices, &it, NULL, &value))
		free_slice(value);
	for (it = 0; cor_map_next(&m->services, &it, NULL, &value);)
		free_service(value);
	cor_map_fini(&m->slices);
	cor_map_fini(&m->services);
	free(m->node);
}

/* ---- keys ---- */

static char *key_of(struct cor_str ns, struct cor_str name) {
	return cor_asprintf("%.*s/%.*s", COR_STR_ARG(ns), COR_STR_ARG(name));
}

struct net_service *net_model_find(const struct net_model *m, struct cor_str ns,
	struct cor_str name) {
	char key[520];
	int n = snprintf(key, sizeof(key), "%.*s/%.*s", COR_STR_ARG(ns), COR_STR_ARG(name));
	if (n < 0 || (size_t)n >= sizeof(key))
		return NULL;
	return cor_map_get(&m->services, (struct cor_str){ key, (size_t)n });
}

static struct net_service *service_of(struct net_model *m, struct cor_str ns, struct cor_str name) {
	struct net_service *svc = net_model_find(m, ns, name);
	if (svc)
		return svc;
	svc = cor_new(struct net_service);
	svc->key = key_of(ns, name);
	svc->ns_n = ns.n;
	cor_map_put(&m->services, cor_str_c(svc->key), svc);
	return svc;
}

static void before(struct net_model *m, struct net_service *svc) {
	if (m->before)
		m->before(svc, m->arg);
}

/* Tells of the change; a service that nothing is known of any more goes. */
static void after(struct net_model *m, struct net_service *svc) {
	if (m->after)
		m->after(svc, m->arg);
	if (svc->exists || svc->slices)
		return;
	cor_map_remove(&m->services, cor_str_c(svc->key));
	free_service(svc);
}

/* ---- services ---- */

static void add_ip(struct net_ips *ips, struct cor_str text) {
	struct net_ip ip;
	if (!net_ip_parse(text, &ip))
		return;
	for (size_t i = 0; i < ips->n; i++) {
		if (net_ip_eq(&ips->p[i], &ip))
			return;
	}
	ips->p = cor_realloc(ips->p, (ips->n + 1) * sizeof(*ips->p));
	ips->p[ips->n++] = ip;
}

static void copy_service_ports(struct net_service *svc, const struct core_v1_ServiceSpec *spec) {
	svc->ports.p = cor_calloc(spec->ports.n + 1, sizeof(*svc->ports.p));
	for (size_t i = 0; i < spec->ports.n; i++) {
		const struct core_v1_ServicePort *in = &spec->ports.p[i];
		enum net_proto proto = net_proto_from_string(in->protocol);
		if (proto == NET_PROTO_INVALID || in->port < 1 || in->port > 65535)
			continue;
		bool node_port = in->nodePort > 0 && in->nodePort <= 65535;
		svc->ports.p[svc->ports.n++] = (struct net_port){
			.name = cor_str_dup_c(in->name), .proto = (uint8_t)proto,
			.port = (uint16_t)in->port,
			.node_port = node_port ? (uint16_t)in->nodePort : 0,
		};
	}
}

/* The balancer's source ranges as nftables reads them. A range of everybody is no range. */
static char *join_ranges(const struct core_v1_ServiceSpec *spec) {
	char *all = cor_strdup("");
	for (size_t i = 0; i < spec->loadBalancerSourceRanges.n; i++) {
		struct cor_str rest = cor_str_trim(spec->loadBalancerSourceRanges.p[i]);
		struct cor_str addr = cor_str_cut(&rest, '/');
		struct net_ip ip;
		uint64_t bits;
		if (!net_ip_parse(addr, &ip) || !cor_str_to_u64(rest, &bits) || ip.family != 4 || bits > 32)
			continue;
		char *more = bits == 0 ? cor_strdup("")
			: cor_asprintf("%s%s%.*s/%u", all, *all ? ", " : "", COR_STR_ARG(addr),
				(unsigned)bits);
		free(all);
		all = more;
		if (bits == 0)
			break;
	}
	return all;
}

static enum net_type type_of(struct cor_str s) {
	if (cor_str_eq_c(s, "NodePort"))
		return NET_NODE_PORT;
	if (cor_str_eq_c(s, "LoadBalancer"))
		return NET_LOAD_BALANCER;
	return cor_str_eq_c(s, "ExternalName") ? NET_EXTERNAL_NAME : NET_CLUSTER_IP;
}

static uint32_t affinity_of(const struct core_v1_ServiceSpec *spec) {
	const struct core_v1_SessionAffinityConfig *c = spec->sessionAffinityConfig;
	if (!cor_str_eq_c(spec->sessionAffinity, "ClientIP"))
		return 0;
	if (!c || !c->clientIP || !c->clientIP->timeoutSeconds || *c->clientIP->timeoutSeconds <= 0)
		return 10800;
	return (uint32_t)*c->clientIP->timeoutSeconds;
}

void net_model_set_service(struct net_model *m, const struct core_v1_Service *s) {
	const struct core_v1_ServiceSpec *spec = &s->spec;
	struct net_service *svc = service_of(m, s->metadata.namespace, s->metadata.name);
	before(m, svc);
	clear_service(svc);
	svc->exists = true;
	svc->type = type_of(spec->type);
	svc->headless = cor_str_eq_c(spec->clusterIP, "None");
	svc->ignored_by_proxy = cor_strmap_get(&s->metadata.labels,
		COR_STR("service.kubernetes.io/service-proxy-name")) != NULL;
	svc->external_local = cor_str_eq_c(spec->externalTrafficPolicy, "Local");
	svc->internal_local = cor_str_eq_c(spec->internalTrafficPolicy, "Local");
	svc->affinity_s = affinity_of(spec);
	if (svc->type != NET_EXTERNAL_NAME)
		add_ip(&svc->cluster_ips, spec->clusterIP);
	for (size_t i = 0; svc->type != NET_EXTERNAL_NAME && i < spec->clusterIPs.n; i++)
		add_ip(&svc->cluster_ips, spec->clusterIPs.p[i]);
	for (size_t i = 0; i < spec->externalIPs.n; i++)
		add_ip(&svc->external_ips, spec->externalIPs.p[i]);
	for (size_t i = 0; i < s->status.loadBalancer.ingress.n; i++) {
		const struct core_v1_LoadBalancerIngress *in = &s->status.loadBalancer.ingress.p[i];
		if (svc->type == NET_LOAD_BALANCER && !cor_str_eq_c(in->ipMode, "Proxy"))
			add_ip(&svc->lb_ips, in->ip);
	}
	copy_service_ports(svc, spec);
	svc->source_ranges = join_ranges(spec);
	svc->external_name = cor_str_dup_c(spec->externalName);
	after(m, svc);
}

void net_model_del_service(struct net_model *m, struct cor_str ns, struct cor_str name) {
	struct net_service *svc = net_model_find(m, ns, name);
	if (!svc || !svc->exists)
		return;
	before(m, svc);
	clear_service(svc);
	after(m, svc);
}

/* ---- slices ---- */

static bool flag(const bool *p, bool absent) {
	return p ? *p : absent;
}

static char *join_zones(const struct discovery_v1_EndpointHints *hints) {
	char *all = cor_strdup("");
	for (size_t i = 0; hints && i < hints->forZones.n; i++) {
		char *more = cor_asprintf("%s%s%.*s,", all, *all ? "" : ",",
			COR_STR_ARG(hints->forZones.p[i].name));
		free(all);
		all = more;
	}
	return all;
}

static void copy_endpoint(const struct net_model *m, struct net_slice *slice,
	const struct discovery_v1_Endpoint *in) {
	struct net_ip ip;
	if (in->addresses.n == 0 || !net_ip_parse(in->addresses.p[0], &ip))
		return;
	struct net_endpoint *ep = &slice->ep[slice->ep_n++];
	*ep = (struct net_endpoint){
		.ip = ip,
		.hostname = cor_str_dup_c(in->hostname),
		.zone_hints = join_zones(in->hints),
		.ready = flag(in->conditions.ready, true),
		.serving = flag(in->conditions.serving, true),
		.terminating = flag(in->conditions.terminating, false),
		.local = *m->node && cor_str_eq_c(in->nodeName, m->node),
		.hints_nodes = in->hints && in->hints->forNodes.n > 0,
	};
	for (size_t i = 0; ep->hints_nodes && i < in->hints->forNodes.n; i++)
		ep->hints_this_node |= cor_str_eq_c(in->hints->forNodes.p[i].name, m->node);
}

static void fill_slice(const struct net_model *m, struct net_slice *slice,
	const struct discovery_v1_EndpointSlice *s) {
	slice->ports.p = cor_calloc(s->ports.n + 1, sizeof(*slice->ports.p));
	for (size_t i = 0; i < s->ports.n; i++) {
		const struct discovery_v1_EndpointPort *in = &s->ports.p[i];
		enum net_proto proto = net_proto_from_string(in->protocol);
		if (proto == NET_PROTO_INVALID || !in->port || *in->port < 1 || *in->port > 65535)
			continue;
		slice->ports.p[slice->ports.n++] = (struct net_port){
			.name = cor_str_dup_c(in->name), .proto = (uint8_t)proto,
			.port = (uint16_t)*in->port,
		};
	}
	slice->ep = cor_calloc(s->endpoints.n + 1, sizeof(*slice->ep));
	for (size_t i = 0; i < s->endpoints.n; i++)
		copy_endpoint(m, slice, &s->endpoints.p[i]);
}

static void unlink_slice(struct net_slice *slice) {
	struct net_slice **at = &slice->svc->slices;
	while (*at != slice)
		at = &(*at)->next;
	*at = slice->next;
}

void net_model_del_slice(struct net_model *m, struct cor_str ns, struct cor_str name) {
	_cleanup_free_ char *key = key_of(ns, name);
	struct net_slice *slice = cor_map_remove(&m->slices, cor_str_c(key));
	if (!slice)
		return;
	struct net_service *svc = slice->svc;
	before(m, svc);
	unlink_slice(slice);
	free_slice(slice);
	after(m, svc);
}

void net_model_set_slice(struct net_model *m, const struct discovery_v1_EndpointSlice *s) {
	const struct cor_str ns = s->metadata.namespace;
	const struct cor_str *name = cor_strmap_get(&s->metadata.labels,
		COR_STR("kubernetes.io/service-name"));
	_cleanup_free_ char *key = key_of(ns, s->metadata.name);
	struct net_slice *slice = cor_map_get(&m->slices, cor_str_c(key));
	bool moved = slice && (!name || !cor_str_eq(net_service_name(slice->svc), *name));
	if (!name || cor_str_empty(*name) || moved || cor_str_eq_c(s->addressType, "FQDN"))
		net_model_del_slice(m, ns, s->metadata.name);
	if (!name || cor_str_empty(*name) || cor_str_eq_c(s->addressType, "FQDN"))
		return;
	struct net_service *svc = service_of(m, ns, *name);
	slice = cor_map_get(&m->slices, cor_str_c(key));
	before(m, svc);
	if (!slice) {
		slice = cor_new(struct net_slice);
		slice->key = cor_take(key);
		slice->svc = svc;
		slice->next = svc->slices;
		svc->slices = slice;
		cor_map_put(&m->slices, cor_str_c(slice->key), slice);
	}
	clear_slice(slice);
	fill_slice(m, slice, s);
	after(m, svc);
}

const struct net_port *net_slice_port(const struct net_slice *slice, const struct net_port *port) {
	for (size_t i = 0; i < slice->ports.n; i++) {
		const struct net_port *p = &slice->ports.p[i];
		if (p->proto == port->proto && strcmp(p->name, port->name) == 0)
			return p;
	}
	return NULL;
}
