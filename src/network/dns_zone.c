// SPDX-License-Identifier: Apache-2.0
// Which records a name of the cluster's zone has. Names are read from the right, label by label, so
// each function below answers for one level:
//   <zone>   dns-version   {svc,pod}   <ns>.{svc,pod}   <service>.<ns>.svc   <address>.<ns>.pod
//   <host>.<service>.<ns>.svc   _<proto>.<service>.<ns>.svc   _<port>._<proto>.<service>.<ns>.svc
// A name that exists without a record of the type asked for must not be an NXDOMAIN: resolvers that
// ask for A and AAAA at once would believe that there is no address either.
#include <stdio.h>
#include <string.h>

#include "network/dns_priv.h"

enum { RR_A = ns_t_a, RR_AAAA = ns_t_aaaa, RR_ANY = ns_t_any };

/* ---- names ---- */

void dns_name_split(const uint8_t *wire, struct dns_name *ret) {
	ret->n = 0;
	while (*wire && ret->n < DNS_LABELS_MAX) {
		ret->label[ret->n++] = (struct cor_str){ (const char *)wire + 1, *wire };
		wire += *wire + 1;
	}
}

bool dns_name_in_zone(const struct cor_dns *dns, const struct dns_name *name, unsigned *ret_below) {
	unsigned n = 0;
	for (struct cor_str rest = cor_str_c(dns->zone); rest.p; n++)
		(void)cor_str_cut(&rest, '.');
	if (name->n < n)
		return false;
	struct cor_str rest = cor_str_c(dns->zone);
	for (unsigned i = name->n - n; i < name->n; i++) {
		if (!cor_str_eq(cor_str_cut(&rest, '.'), name->label[i]))
			return false;
	}
	*ret_below = name->n - n;
	return true;
}

bool dns_name_reverse(const struct dns_name *name, struct net_ip *ret) {
	char text[NET_IP_TEXT_MAX] = "";
	size_t at = 0;
	bool v4 = name->n == 6 && cor_str_eq_c(name->label[4], "in-addr");
	bool v6 = name->n == 34 && cor_str_eq_c(name->label[32], "ip6");
	if ((!v4 && !v6) || !cor_str_eq_c(name->label[name->n - 1], "arpa"))
		return false;
	for (unsigned i = v4 ? 4 : 32; i-- > 0;) {
		struct cor_str l = name->label[i];
		if (l.n == 0 || l.n > (v4 ? 3 : 1))
			return false;
		memcpy(text + at, l.p, l.n);
		at += l.n;
		if (i > 0 && (v4 || i % 4 == 0))
			text[at++] = v4 ? '.' : ':';
	}
	return net_ip_parse((struct cor_str){ text, at }, ret);
}

/* "10-1-2-3", or "fd00--5" for IPv6: what stands for the name of an endpoint without one. */
static void dashed_ip(const struct net_ip *ip, char out[NET_IP_TEXT_MAX]) {
	net_ip_format(ip, out);
	for (char *p = out; *p; p++) {
		if (*p == '.' || *p == ':')
			*p = '-';
	}
}

static bool parse_dashed(struct cor_str label, struct net_ip *ret) {
	char text[NET_IP_TEXT_MAX];
	if (label.n == 0 || label.n >= sizeof(text))
		return false;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < label.n; i++)
			text[i] = label.p[i] != '-' ? label.p[i] : family == 4 ? '.' : ':';
		if (net_ip_parse((struct cor_str){ text, label.n }, ret))
			return true;
	}
	return false;
}

/* "<host>.<service>.<ns>.svc.<zone>" in wire format, host "" for the service itself. */
static bool service_name(const struct dns_out *out, const struct net_service *svc, const char *host,
	uint8_t wire[DNS_NAME]) {
	char text[400];
	int n = snprintf(text, sizeof(text), "%s%s%.*s.%.*s.svc.%s.", host, *host ? "." : "",
		COR_STR_ARG(net_service_name(svc)), COR_STR_ARG(net_service_ns(svc)), out->dns->zone);
	return n < (int)sizeof(text) && dns_name_from_text(text, wire) > 0;
}

static void endpoint_host(const struct net_endpoint *ep, char out[64]) {
	if (*ep->hostname)
		snprintf(out, 64, "%s", ep->hostname);
	else
		dashed_ip(&ep->ip, out);
}

static bool type_wants(uint16_t type, const struct net_ip *ip) {
	return type == RR_ANY || type == (ip->family == 4 ? RR_A : RR_AAAA);
}

/* ---- endpoints ---- */

struct target {
	const struct net_endpoint *ep;
	uint16_t port;
};

struct targets {
	struct target *p;
	size_t n;
};

static void targets_fini(struct targets *t) {
	free(t->p);
}

/* A pod is in one slice of its family; only hand-made and half-updated slices repeat an address,
 * so looking a little way back is enough. */
static bool seen(const struct targets *t, const struct net_endpoint *ep, uint16_t port) {
	for (size_t i = t->n > 64 ? t->n - 64 : 0; i < t->n; i++) {
		if (t->p[i].port == port && net_ip_eq(&t->p[i].ep->ip, &ep->ip))
			return true;
	}
	return false;
}

/* The ready endpoints; with a port only those that have it. In another order each time. */
static void gather(struct dns_out *out, const struct net_service *svc, const struct net_port *port,
	struct targets *ret) {
	size_t all = 0;
	for (const struct net_slice *s = svc->slices; s; s = s->next)
		all += s->ep_n;
	struct targets t = { .p = cor_calloc(all + 1, sizeof(struct target)) };
	for (const struct net_slice *s = svc->slices; s; s = s->next) {
		const struct net_port *sp = port ? net_slice_port(s, port) : NULL;
		for (size_t i = 0; i < s->ep_n && (sp || !port); i++) {
			uint16_t number = sp ? sp->port : 0;
			if (s->ep[i].ready && !seen(&t, &s->ep[i], number))
				t.p[t.n++] = (struct target){ &s->ep[i], number };
		}
	}
	if (t.n > 1) {
		size_t by = out->dns->rotate++ % t.n;
		struct target *turned = cor_calloc(t.n, sizeof(struct target));
		for (size_t i = 0; i < t.n; i++)
			turned[i] = t.p[(i + by) % t.n];
		free(t.p);
		t.p = turned;
	}
	*ret = t;
}

/* ---- services ---- */

static void answer_external(struct dns_out *out, const uint8_t *owner,
	const struct net_service *svc, uint16_t type, unsigned depth) {
	uint8_t target[DNS_NAME];
	if (!dns_name_from_text(svc->external_name, target))
		return;
	dns_name_lower(target);
	dns_put(out, owner, ns_t_cname, target, dns_name_size(target), false);
	if (type == ns_t_cname || depth >= DNS_CHAIN_MAX)
		return;
	struct dns_name name;
	unsigned below;
	dns_name_split(target, &name);
	if (dns_name_in_zone(out->dns, &name, &below)) {
		out->exists = false;
		dns_zone_answer(out, target, &name, below, type, depth + 1);
		return;
	}
	if (out->upstream) {
		dns_put_upstream(out);
		return;
	}
	out->reply->verdict = COR_DNS_CHASE;
	memcpy(out->reply->target, target, dns_name_size(target));
}

static void answer_service(struct dns_out *out, const uint8_t *owner,
	const struct net_service *svc, uint16_t type, unsigned depth) {
	out->exists = true;
	if (svc->type == NET_EXTERNAL_NAME) {
		answer_external(out, owner, svc, type, depth);
		return;
	}
	for (size_t i = 0; i < svc->cluster_ips.n; i++) {
		if (type_wants(type, &svc->cluster_ips.p[i]))
			dns_put_ip(out, owner, &svc->cluster_ips.p[i], false);
	}
	if (!svc->headless)
		return;
	_cleanup_(targets_fini) struct targets t = { 0 };
	gather(out, svc, NULL, &t);
	for (size_t i = 0; i < t.n; i++) {
		if (type_wants(type, &t.p[i].ep->ip))
			dns_put_ip(out, owner, &t.p[i].ep->ip, false);
	}
}

static void put_srv(struct dns_out *out, const uint8_t *owner, size_t weight, uint16_t port,
	const struct net_service *svc, const char *host) {
	uint8_t rdata[6 + DNS_NAME];
	if (!service_name(out, svc, host, rdata + 6))
		return;
	dns_put16(rdata, 0);
	dns_put16(rdata + 2, (uint16_t)weight);
	dns_put16(rdata + 4, port);
	dns_put(out, owner, ns_t_srv, rdata, 6 + dns_name_size(rdata + 6), false);
}

/* The answer first and the addresses of what it names behind it. */
static void put_srvs(struct dns_out *out, const uint8_t *owner, const struct net_service *svc,
	const struct net_port *port) {
	uint8_t wire[DNS_NAME];
	char host[64];
	if (!svc->headless) {
		put_srv(out, owner, 100, port->port, svc, "");
		out->pkt->section = DNS_ADDITIONAL;
		for (size_t i = 0; i < svc->cluster_ips.n && service_name(out, svc, "", wire); i++)
			dns_put_ip(out, wire, &svc->cluster_ips.p[i], true);
		return;
	}
	_cleanup_(targets_fini) struct targets t = { 0 };
	gather(out, svc, port, &t);
	size_t weight = t.n > 100 ? 1 : 100 / (t.n ? t.n : 1);
	for (size_t i = 0; i < t.n; i++) {
		endpoint_host(t.p[i].ep, host);
		put_srv(out, owner, weight, t.p[i].port, svc, host);
	}
	if (t.n > 0)
		out->pkt->section = DNS_ADDITIONAL;
	for (size_t i = 0; i < t.n; i++) {
		endpoint_host(t.p[i].ep, host);
		if (service_name(out, svc, host, wire))
			dns_put_ip(out, wire, &t.p[i].ep->ip, true);
	}
}

static enum net_proto proto_of_label(struct cor_str label) {
	static const struct {
		const char *label;
		enum net_proto proto;
	} all[] = { { "_tcp", NET_TCP }, { "_udp", NET_UDP }, { "_sctp", NET_SCTP } };
	for (size_t i = 0; i < cor_countof(all); i++) {
		if (cor_str_eq_c(label, all[i].label))
			return all[i].proto;
	}
	return NET_PROTO_INVALID;
}

/* _<port>._<proto>, or _<proto> alone with an absent port. */
static void answer_srv(struct dns_out *out, const uint8_t *owner, const struct net_service *svc,
	struct cor_str port, struct cor_str proto_label, uint16_t type) {
	enum net_proto proto = proto_of_label(proto_label);
	if (svc->type == NET_EXTERNAL_NAME || proto == NET_PROTO_INVALID)
		return;
	for (size_t i = 0; i < svc->ports.n; i++) {
		const struct net_port *p = &svc->ports.p[i];
		if (p->proto != proto || !*p->name)
			continue;
		if (!port.p) {
			out->exists = true;
			return;
		}
		if (port.n < 2 || port.p[0] != '_' || !cor_str_eq_c(cor_str_sub(port, 1, port.n - 1), p->name))
			continue;
		out->exists = true;
		if (type == ns_t_srv || type == RR_ANY)
			put_srvs(out, owner, svc, p);
		return;
	}
}

static void answer_host(struct dns_out *out, const uint8_t *owner, const struct net_service *svc,
	struct cor_str host, uint16_t type) {
	char name[64];
	_cleanup_(targets_fini) struct targets t = { 0 };
	gather(out, svc, NULL, &t);
	for (size_t i = 0; i < t.n; i++) {
		endpoint_host(t.p[i].ep, name);
		if (!cor_str_eq_c(host, name))
			continue;
		out->exists = true;
		if (type_wants(type, &t.p[i].ep->ip))
			dns_put_ip(out, owner, &t.p[i].ep->ip, false);
	}
}

/* label[0..below) in front of "svc": [..., service, ns, svc]. */
static void answer_svc(struct dns_out *out, const uint8_t *owner, const struct dns_name *name,
	unsigned below, uint16_t type, unsigned depth) {
	const struct cor_str *l = name->label;
	if (below == 2)
		out->exists = dns_namespace_exists(out->dns, l[0], false);
	if (below < 3)
		return;
	const struct net_service *svc = net_model_find(&out->dns->model, l[below - 2], l[below - 3]);
	if (!svc || !svc->exists)
		return;
	if (below == 3)
		answer_service(out, owner, svc, type, depth);
	else if (below == 4 && l[0].p[0] == '_')
		answer_srv(out, owner, svc, (struct cor_str){ 0 }, l[0], type);
	else if (below == 4)
		answer_host(out, owner, svc, l[0], type);
	else if (below == 5)
		answer_srv(out, owner, svc, l[0], l[1], type);
}

static void answer_pod(struct dns_out *out, const uint8_t *owner, const struct dns_name *name,
	unsigned below, uint16_t type) {
	struct net_ip ip;
	if (below == 2)
		out->exists = dns_namespace_exists(out->dns, name->label[0], false);
	if (below != 3 || !dns_namespace_exists(out->dns, name->label[1], true) ||
		!parse_dashed(name->label[0], &ip))
		return;
	out->exists = true;
	if (type_wants(type, &ip))
		dns_put_ip(out, owner, &ip, false);
}

static void answer_apex(struct dns_out *out, const uint8_t *owner, uint16_t type) {
	uint8_t wire[DNS_NAME];
	char text[120];
	out->exists = true;
	snprintf(text, sizeof(text), "ns.dns.%s.", out->dns->zone);
	if ((type == ns_t_ns || type == RR_ANY) && dns_name_from_text(text, wire))
		dns_put(out, owner, ns_t_ns, wire, dns_name_size(wire), false);
}

static void answer_nameserver(struct dns_out *out, const uint8_t *owner, uint16_t type) {
	char text[COR_IP4_TEXT_MAX];
	struct net_ip ip;
	out->exists = true;
	size_t n = cor_ip4_format(out->dns->config.dns_ip, text);
	if (out->dns->config.dns_ip && net_ip_parse((struct cor_str){ text, n }, &ip) &&
		type_wants(type, &ip))
		dns_put_ip(out, owner, &ip, false);
}

void dns_zone_answer(struct dns_out *out, const uint8_t *owner, const struct dns_name *name,
	unsigned below, uint16_t type, unsigned depth) {
	static const uint8_t version[] = "\0051.1.0";
	const struct cor_str *l = name->label;
	if (below == 0) {
		answer_apex(out, owner, type);
	} else if (cor_str_eq_c(l[below - 1], "svc") || cor_str_eq_c(l[below - 1], "pod")) {
		out->exists = below == 1;
		if (l[below - 1].p[0] == 's')
			answer_svc(out, owner, name, below, type, depth);
		else
			answer_pod(out, owner, name, below, type);
	} else if (cor_str_eq_c(l[below - 1], "dns")) {
		out->exists = below == 1;
		if (below == 2 && cor_str_eq_c(l[0], "ns"))
			answer_nameserver(out, owner, type);
	} else if (below == 1 && cor_str_eq_c(l[0], "dns-version")) {
		out->exists = true;
		if (type == ns_t_txt || type == RR_ANY)
			dns_put(out, owner, ns_t_txt, version, sizeof(version) - 1, false);
	}
}

/* ---- addresses to names ---- */

static void put_ptr(struct dns_out *out, const struct net_service *svc, const char *host) {
	uint8_t wire[DNS_NAME];
	if (service_name(out, svc, host, wire))
		dns_put(out, NULL, ns_t_ptr, wire, dns_name_size(wire), false);
}

bool dns_zone_reverse(struct dns_out *out, const struct net_ip *ip, uint16_t type) {
	const struct dns_ref *ref = dns_reverse_find(out->dns, ip);
	const struct cor_dns_config *c = &out->dns->config;
	bool ours = ip->family == 4 && (cor_cidr4_has(c->service_cidr, net_ip4(ip)) ||
		cor_cidr4_has(c->pod_cidr, net_ip4(ip)));
	out->exists = ref != NULL;
	for (size_t i = 0; ref && i < ref->n && (type == ns_t_ptr || type == RR_ANY); i++) {
		const struct net_service *svc = ref->p[i];
		if (!svc->headless) {
			put_ptr(out, svc, "");
			continue;
		}
		_cleanup_(targets_fini) struct targets t = { 0 };
		gather(out, svc, NULL, &t);
		for (size_t k = 0; k < t.n; k++) {
			char host[64];
			endpoint_host(t.p[k].ep, host);
			if (net_ip_eq(&t.p[k].ep->ip, ip))
				put_ptr(out, svc, host);
		}
	}
	return ref || ours;
}
