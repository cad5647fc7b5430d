// SPDX-License-Identifier: Apache-2.0
// Tables of services, what is behind them and what leads to them (facts/printing.md 2.3, 2.4).
#include "api/table_priv.h"
#include "gen/core_v1.h"
#include "gen/discovery_v1.h"
#include "gen/networking_v1.h"

/* Of a load balancer's entry. */
static struct cor_str address_of(struct cor_str ip, struct cor_str hostname) {
	return ip.n > 0 ? ip : hostname;
}

static const struct column service_columns[] = {
	S("Name"), S("Type"), S("Cluster-IP"), S("External-IP"),
	S("Port(s)"), S("Age"), W("Selector"),
};

/* Of load balancers the addresses or names, as a set; then what the owner wrote. */
static void external_ip(struct row *r, const struct core_v1_Service *s) {
	bool lb = cor_str_eq_c(s->spec.type, "LoadBalancer");
	size_t n = lb ? s->status.loadBalancer.ingress.n : 0, nown = s->spec.externalIPs.n;
	struct cor_str *all = cor_arena_array(r->a, struct cor_str, n + nown + 1);
	if (cor_str_eq_c(s->spec.type, "ExternalName")) {
		cell_str(r, s->spec.externalName);
	} else if (!lb && !cor_str_eq_c(s->spec.type, "ClusterIP") && !cor_str_eq_c(s->spec.type, "NodePort")) {
		cell_c(r, "<unknown>");
	} else if (!all) {
		cell_c(r, "");
	} else {
		for (size_t i = 0; i < n; i++)
			all[i] = address_of(s->status.loadBalancer.ingress.p[i].ip, s->status.loadBalancer.ingress.p[i].hostname);
		n = as_set(all, n);
		for (size_t i = 0; i < nown; i++)
			all[n++] = s->spec.externalIPs.p[i];
		cell_joined(r, all, n, ",", lb ? "<pending>" : "<none>");
	}
}

static void service_row(struct row *r, const void *obj) {
	const struct core_v1_Service *s = obj;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cell_str(r, s->metadata.name);
	cell_str(r, s->spec.type);
	cell_or(r, s->spec.clusterIPs.n > 0 ? s->spec.clusterIPs.p[0] : s->spec.clusterIP, "<none>");
	external_ip(r, s);
	for (size_t i = 0; i < s->spec.ports.n; i++) {
		const struct core_v1_ServicePort *p = &s->spec.ports.p[i];
		if (i > 0)
			cor_buf_byte(&b, ',');
		cor_buf_printf(&b, "%d", p->port);
		if (p->nodePort)
			cor_buf_printf(&b, ":%d", p->nodePort);
		cor_buf_printf(&b, "/%.*s", COR_STR_ARG(p->protocol));
	}
	cell_or(r, cor_buf_view(&b), "<none>");
	cell_age(r, s->metadata.creationTimestamp);
	cell_labels(r, &s->spec.selector);
}

/* ---- endpoints ---- */

static const struct column endpoints_columns[] = {
	S("Name"), S("Endpoints"), S("Age"),
};

static void endpoints_row(struct row *r, const void *obj) {
	const struct core_v1_Endpoints *e = obj;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	size_t n = 0;
	for (size_t i = 0; i < e->subsets.n; i++) {
		const struct core_v1_EndpointSubset *s = &e->subsets.p[i];
		size_t ports = s->ports.n > 0 ? s->ports.n : 1;
		for (size_t p = 0; p < ports; p++)
			for (size_t k = 0; k < s->addresses.n; k++) {
				if (n++ >= SHOWN_MAX)
					continue;
				struct cor_str ip = s->addresses.p[k].ip;
				bool v6 = cor_str_chr(ip, ':') < ip.n;
				if (s->ports.n > 0)
					ip = cor_arena_printf(r->a, v6 ? "[%.*s]:%d" : "%.*s:%d", COR_STR_ARG(ip), s->ports.p[p].port);
				add_part(&b, ",", ip);
			}
	}
	cell_str(r, e->metadata.name);
	cell_some(r, &b, n, SHOWN_MAX, e->subsets.n == 0 ? "<none>" : "");
	cell_age(r, e->metadata.creationTimestamp);
}

static const struct column slice_columns[] = {
	S("Name"), S("AddressType"), S("Ports"), S("Endpoints"),
	S("Age"),
};

static void slice_row(struct row *r, const void *obj) {
	const struct discovery_v1_EndpointSlice *s = obj;
	_cleanup_buf_ struct cor_buf ports = COR_BUF_INIT, ips = COR_BUF_INIT;
	size_t n = 0;
	for (size_t i = 0; i < s->ports.n && i < SHOWN_MAX; i++) {
		const struct discovery_v1_EndpointPort *p = &s->ports.p[i];
		add_part(&ports, ",", p->port ? cor_arena_printf(r->a, "%d", *p->port) : p->name.n > 0 ? p->name : COR_STR("*"));
	}
	for (size_t i = 0; i < s->endpoints.n; i++)
		for (size_t k = 0; k < s->endpoints.p[i].addresses.n; k++)
			if (n++ < SHOWN_MAX)
				add_part(&ips, ",", s->endpoints.p[i].addresses.p[k]);
	cell_str(r, s->metadata.name);
	cell_str(r, s->addressType);
	cell_some(r, &ports, s->ports.n, SHOWN_MAX, "<unset>");
	cell_some(r, &ips, n, SHOWN_MAX, "<unset>");
	cell_age(r, s->metadata.creationTimestamp);
}

/* ---- Ingress ---- */

static const struct column ingress_columns[] = {
	S("Name"), S("Class"), S("Hosts"), S("Address"), S("Ports"), S("Age"),
};

static void ingress_row(struct row *r, const void *obj) {
	const struct networking_v1_Ingress *in = obj;
	size_t n = in->status.loadBalancer.ingress.n, shown = 0;
	struct cor_str *addresses = cor_arena_array(r->a, struct cor_str, n + 1);
	_cleanup_buf_ struct cor_buf hosts = COR_BUF_INIT;
	for (size_t i = 0; i < in->spec.rules.n && shown < SHOWN_MAX; i++)
		if (in->spec.rules.p[i].host.n > 0) {
			add_part(&hosts, ",", in->spec.rules.p[i].host);
			shown++;
		}
	for (size_t i = 0; addresses && i < n; i++)
		addresses[i] = address_of(in->status.loadBalancer.ingress.p[i].ip, in->status.loadBalancer.ingress.p[i].hostname);
	cell_str(r, in->metadata.name);
	cell_or(r, in->spec.ingressClassName, "<none>");
	/* The count is of rules, also of those without a host. */
	cell_some(r, &hosts, shown == SHOWN_MAX ? in->spec.rules.n : shown, shown, "*");
	cell_set(r, addresses, addresses ? n : 0, "");
	cell_c(r, in->spec.tls.n > 0 ? "80, 443" : "80");
	cell_age(r, in->metadata.creationTimestamp);
}

static const struct column ingress_class_columns[] = { S("Name"), S("Controller"), S("Parameters"), S("Age") };

static void ingress_class_row(struct row *r, const void *obj) {
	const struct networking_v1_IngressClass *c = obj;
	const struct networking_v1_IngressClassParametersReference *p = c->spec.parameters;
	cell_printf(r, "%.*s%s", COR_STR_ARG(c->metadata.name),
		is_marked(&c->metadata, "ingressclass.kubernetes.io/is-default-class") ? " (default)" : "");
	cell_str(r, c->spec.controller);
	if (p)
		cell_printf(r, "%.*s%s%.*s/%.*s", COR_STR_ARG(p->kind), p->apiGroup.n > 0 ? "." : "",
			COR_STR_ARG(p->apiGroup), COR_STR_ARG(p->name));
	else
		cell_c(r, "<none>");
	cell_age(r, c->metadata.creationTimestamp);
}

/* ---- policies and addresses ---- */

static const struct column netpol_columns[] = { S("Name"), S("Pod-Selector"), S("Age") };

static void netpol_row(struct row *r, const void *obj) {
	const struct networking_v1_NetworkPolicy *p = obj;
	cell_str(r, p->metadata.name);
	cell_selector(r, &p->spec.podSelector, "<none>");
	cell_age(r, p->metadata.creationTimestamp);
}

static const struct column cidr_columns[] = { S("Name"), S("CIDRs"), S("Age") };

static void cidr_row(struct row *r, const void *obj) {
	const struct networking_v1_ServiceCIDR *c = obj;
	cell_str(r, c->metadata.name);
	cell_joined(r, c->spec.cidrs.p, c->spec.cidrs.n, ",", "");
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column address_columns[] = { S("Name"), S("ParentRef") };

static void address_row(struct row *r, const void *obj) {
	const struct networking_v1_IPAddress *a = obj;
	const struct networking_v1_ParentReference *p = a->spec.parentRef;
	cell_str(r, a->metadata.name);
	if (p)
		cell_str(r, lower(r->a, cor_arena_printf(r->a, "%.*s%s%.*s/%.*s%s%.*s", COR_STR_ARG(p->resource),
			p->group.n > 0 ? "." : "", COR_STR_ARG(p->group), COR_STR_ARG(p->namespace),
			p->namespace.n > 0 ? "/" : "", COR_STR_ARG(p->name))));
	else
		cell_c(r, "<none>");
}

const struct kind_tables cor_tables_network = KIND_TABLES(
	KIND_TABLE(COR_RES_SERVICES, service_columns, service_row),
	KIND_TABLE(COR_RES_ENDPOINTS, endpoints_columns, endpoints_row),
	KIND_TABLE(COR_RES_ENDPOINTSLICES, slice_columns, slice_row),
	KIND_TABLE(COR_RES_INGRESSES, ingress_columns, ingress_row),
	KIND_TABLE(COR_RES_INGRESSCLASSES, ingress_class_columns, ingress_class_row),
	KIND_TABLE(COR_RES_NETWORKPOLICIES, netpol_columns, netpol_row),
	KIND_TABLE(COR_RES_SERVICECIDRS, cidr_columns, cidr_row),
	KIND_TABLE(COR_RES_IPADDRESSES, address_columns, address_row));
