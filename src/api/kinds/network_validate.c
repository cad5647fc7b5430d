// SPDX-License-Identifier: Apache-2.0
// Validation of EndpointSlice, Ingress, IngressClass and NetworkPolicy (facts/kinds.md 10.3
// to 10.6).
#include "api/kinds/network.h"

#include "api/kinds/core.h"
#include "api/kinds/service.h"
#include "codec/ip.h"

enum {
	SLICE_ENDPOINTS_MAX = 1000,
	SLICE_ADDRESSES_MAX = 100,
	SLICE_PORTS_MAX = 20000,
	HINTS_MAX = 8,
	CONTROLLER_MAX = 250,
	POLICY_TYPES_MAX = 2
};

/* ---- EndpointSlice ---- */

static void check_slice_address(struct cor_field_errors *e, const struct cor_fpath *at,
	struct cor_str type, struct cor_str text) {
	struct cor_ip ip;
	if (cor_str_eq_c(type, "FQDN")) {
		(void)cor_fe_broken(e, at, text, cor_check_dns_subdomain(text));
		return;
	}
	cor_validate_endpoint_ip(e, at, text);
	if (cor_ip_parse(text, &ip) && ip.v6 != cor_str_eq_c(type, "IPv6"))
		cor_fe_invalid(
			e, at, cor_fv_str(e, text), "must be an %.*s address", COR_STR_ARG(type));
}

static void check_endpoint(struct cor_field_errors *e, const struct cor_fpath *at,
	struct cor_str type, const discovery_v1_Endpoint *p) {
	const struct cor_fpath *addresses = COR_FIELD(at, "addresses"),
			       *hints = COR_FIELD(at, "hints");
	if (p->addresses.n == 0)
		cor_fe_required(e, addresses, "must contain at least 1 address");
	if (p->addresses.n > SLICE_ADDRESSES_MAX)
		cor_fe_too_many(e, addresses, p->addresses.n, SLICE_ADDRESSES_MAX);
	for (size_t i = 0; i < p->addresses.n && i < SLICE_ADDRESSES_MAX; i++)
		check_slice_address(e, COR_INDEX(addresses, i), type, p->addresses.p[i]);
	if (p->hostname.n > 0)
		(void)cor_fe_broken(e, COR_FIELD(at, "hostname"), p->hostname,
			cor_check_dns_label(p->hostname));
	if (p->nodeName.n > 0)
		(void)cor_fe_broken(e, COR_FIELD(at, "nodeName"), p->nodeName,
			cor_check_dns_subdomain(p->nodeName));
	if (p->hints && p->hints->forZones.n > HINTS_MAX)
		cor_fe_too_many(e, COR_FIELD(hints, "forZones"), p->hints->forZones.n, HINTS_MAX);
	if (p->hints && p->hints->forNodes.n > HINTS_MAX)
		cor_fe_too_many(e, COR_FIELD(hints, "forNodes"), p->hints->forNodes.n, HINTS_MAX);
}

void cor_slice_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const types[] = { "FQDN", "IPv4", "IPv6", NULL };
	const discovery_v1_EndpointSlice *s = obj;
	const struct cor_fpath *endpoints = COR_ROOT("endpoints"), *ports = COR_ROOT("ports");
	if (s->addressType.n == 0)
		cor_fe_required(e, COR_ROOT("addressType"), "%s", "");
	else
		(void)cor_fe_one_of(e, COR_ROOT("addressType"), s->addressType, types);
	if (s->endpoints.n > SLICE_ENDPOINTS_MAX)
		cor_fe_too_many(e, endpoints, s->endpoints.n, SLICE_ENDPOINTS_MAX);
	for (size_t i = 0; i < s->endpoints.n && i < SLICE_ENDPOINTS_MAX; i++)
		check_endpoint(e, COR_INDEX(endpoints, i), s->addressType, &s->endpoints.p[i]);
	if (s->ports.n > SLICE_PORTS_MAX) {
		cor_fe_too_many(e, ports, s->ports.n, SLICE_PORTS_MAX);
		return;
	}
	for (size_t i = 0; i < s->ports.n; i++) {
		const discovery_v1_EndpointPort *p = &s->ports.p[i];
		cor_validate_endpoint_port(
			e, COR_INDEX(ports, i), p->name, false, p->protocol, p->appProtocol);
		for (size_t k = 0; k < i; k++)
			if (cor_str_eq(s->ports.p[k].name, p->name)) {
				cor_fe_duplicate(e, COR_FIELD(COR_INDEX(ports, i), "name"),
					cor_fv_str(e, p->name));
				break;
			}
	}
}

void cor_slice_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	(void)cor_fe_immutable_str(e, COR_ROOT("addressType"),
		((const discovery_v1_EndpointSlice *)obj)->addressType,
		((const discovery_v1_EndpointSlice *)old)->addressType);
	cor_slice_validate(ctx, obj, e);
}

/* ---- Ingress ---- */

static void check_host(
	struct cor_field_errors *e, const struct cor_fpath *at, struct cor_str host) {
	struct cor_ip ip;
	if (cor_ip_parse(host, &ip))
		cor_fe_invalid(e, at, cor_fv_str(e, host), "must be a DNS name, not an IP address");
	else
		(void)cor_fe_broken(e, at, host,
			cor_str_chr(host, '*') < host.n ? cor_check_wildcard_subdomain(host)
							: cor_check_dns_subdomain(host));
}

static void check_backend(struct cor_field_errors *e, const struct cor_fpath *at,
	const networking_v1_IngressBackend *b) {
	const struct cor_fpath *service = COR_FIELD(at, "service"),
			       *port = COR_FIELD(service, "port");
	if (b->service && b->resource) {
		cor_fe_invalid(
			e, at, cor_fv_c(e, ""), "cannot set both resource and service backends");
	} else if (b->resource) {
		if (b->resource->kind.n == 0)
			cor_fe_required(e, COR_FIELD(COR_FIELD(at, "resource"), "kind"), "%s", "");
		(void)cor_fe_need(e, COR_FIELD(COR_FIELD(at, "resource"), "name"),
			b->resource->name, cor_check_path_segment(b->resource->name));
	} else if (!b->service) {
		cor_fe_invalid(e, at, cor_fv_c(e, ""), "resource or service backend is required");
	} else {
		const networking_v1_ServiceBackendPort *p = &b->service->port;
		(void)cor_fe_need(e, COR_FIELD(service, "name"), b->service->name,
			cor_check_dns_label(b->service->name));
		if (p->name.n > 0 && p->number != 0)
			cor_fe_invalid(e, service, cor_fv_c(e, ""),
				"cannot set both port name & port number");
		else if (p->name.n > 0)
			(void)cor_fe_broken(
				e, COR_FIELD(port, "name"), p->name, cor_check_port_name(p->name));
		else if (p->number != 0)
			(void)cor_fe_broken_int(e, COR_FIELD(port, "number"), p->number,
				cor_check_port_number(p->number));
		else
			cor_fe_required(e, service, "port name or number is required");
	}
}

static void check_http_path(struct cor_field_errors *e, const struct cor_fpath *at,
	const networking_v1_HTTPIngressPath *p) {
	static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
	static const char *const inside[] = { "//", "/./", "/../", "%2f", "%2F" }, *const end[] = {
		"/..", "/."
	};
	const struct cor_fpath *path = COR_FIELD(at, "path");
	bool free_form = cor_str_eq_c(p->pathType, "ImplementationSpecific");
	if (!p->pathType.p)
		cor_fe_required(e, COR_FIELD(at, "pathType"), "pathType must be specified");
	else
		(void)cor_fe_one_of(e, COR_FIELD(at, "pathType"), p->pathType, types);
	if ((p->path.n > 0 || !free_form) && !cor_str_starts(p->path, COR_STR("/")))
		cor_fe_invalid(e, path, cor_fv_str(e, p->path), "must be an absolute path");
	for (size_t i = 0; !free_form && i < cor_countof(inside); i++)
		if (cor_str_contains(p->path, cor_str_c(inside[i])))
			cor_fe_invalid(e, path, cor_fv_str(e, p->path), "must not contain '%s'",
				inside[i]);
	for (size_t i = 0; !free_form && i < cor_countof(end); i++)
		if (cor_str_ends(p->path, cor_str_c(end[i])))
			cor_fe_invalid(
				e, path, cor_fv_str(e, p->path), "cannot end with '%s'", end[i]);
	check_backend(e, COR_FIELD(at, "backend"), &p->backend);
}

void cor_ingress_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const networking_v1_IngressSpec *s = &((const networking_v1_Ingress *)obj)->spec;
	const struct cor_fpath *spec = COR_ROOT("spec"), *rules = COR_FIELD(spec, "rules"),
			       *tls = COR_FIELD(spec, "tls");
	if (s->rules.n == 0 && !s->defaultBackend)
		cor_fe_invalid(e, rules, cor_fv_json(COR_STR("[]")),
			"either `defaultBackend` or `rules` must be specified");
	if (s->defaultBackend)
		check_backend(e, COR_FIELD(spec, "defaultBackend"), s->defaultBackend);
	for (size_t i = 0; i < s->rules.n; i++) {
		const networking_v1_IngressRule *r = &s->rules.p[i];
		const struct cor_fpath *at = COR_INDEX(rules, i),
				       *paths = COR_FIELD(COR_FIELD(at, "http"), "paths");
		if (r->host.n > 0)
			check_host(e, COR_FIELD(at, "host"), r->host);
		if (r->http && r->http->paths.n == 0)
			cor_fe_required(e, paths, "%s", "");
		for (size_t k = 0; r->http && k < r->http->paths.n; k++)
			check_http_path(e, COR_INDEX(paths, k), &r->http->paths.p[k]);
	}
	for (size_t i = 0; i < s->tls.n; i++) {
		const struct cor_fpath *at = COR_INDEX(tls, i), *hosts = COR_FIELD(at, "hosts");
		for (size_t k = 0; k < s->tls.p[i].hosts.n; k++)
			check_host(e, COR_INDEX(hosts, k), s->tls.p[i].hosts.p[k]);
		if (s->tls.p[i].secretName.n > 0)
			(void)cor_fe_broken(e, COR_FIELD(at, "secretName"), s->tls.p[i].secretName,
				cor_check_dns_subdomain(s->tls.p[i].secretName));
	}
	if (s->ingressClassName.p)
		(void)cor_fe_broken(e, COR_FIELD(spec, "ingressClassName"), s->ingressClassName,
			cor_check_dns_subdomain(s->ingressClassName));
}

void cor_ingress_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	cor_ingress_validate(ctx, obj, e);
}

/* ---- IngressClass ---- */

void cor_ingressclass_validate(
	struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const scopes[] = { "Cluster", "Namespace", NULL };
	const networking_v1_IngressClassSpec *s = &((const networking_v1_IngressClass *)obj)->spec;
	const struct cor_fpath *at = COR_ROOT("spec.parameters"),
			       *controller = COR_ROOT("spec.controller");
	if (s->controller.n > CONTROLLER_MAX)
		cor_fe_too_long(e, controller, CONTROLLER_MAX);
	(void)cor_fe_need(e, controller, s->controller, cor_check_domain_path(s->controller));
	if (!s->parameters)
		return;
	if (s->parameters->kind.n == 0)
		cor_fe_required(e, COR_FIELD(at, "kind"), "%s", "");
	if (s->parameters->name.n == 0)
		cor_fe_required(e, COR_FIELD(at, "name"), "%s", "");
	(void)cor_fe_one_of(e, COR_FIELD(at, "scope"), s->parameters->scope, scopes);
	if (cor_str_eq_c(s->parameters->scope, "Cluster") && s->parameters->namespace.n > 0)
		cor_fe_forbidden(
			e, COR_FIELD(at, "namespace"), "`parameters.scope` is set to 'Cluster'");
	if (cor_str_eq_c(s->parameters->scope, "Namespace") && s->parameters->namespace.n == 0)
		cor_fe_required(
			e, COR_FIELD(at, "namespace"), "`parameters.scope` is set to 'Namespace'");
}

void cor_ingressclass_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	cor_ingressclass_validate(ctx, obj, e);
	(void)cor_fe_immutable_str(e, COR_ROOT("spec.controller"),
		((const networking_v1_IngressClass *)obj)->spec.controller,
		((const networking_v1_IngressClass *)old)->spec.controller);
}

/* ---- NetworkPolicy ---- */

static void check_policy_port(struct cor_field_errors *e, const struct cor_fpath *at,
	const networking_v1_NetworkPolicyPort *p) {
	static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };
	const struct cor_fpath *port = COR_FIELD(at, "port"), *end = COR_FIELD(at, "endPort");
	if (p->protocol.p)
		(void)cor_fe_one_of(e, COR_FIELD(at, "protocol"), p->protocol, protocols);
	if (p->port.kind == COR_INTSTR_INT)
		(void)cor_fe_broken_int(e, port, p->port.i, cor_check_port_number(p->port.i));
	else if (p->port.kind == COR_INTSTR_STR)
		(void)cor_fe_broken(e, port, p->port.s, cor_check_port_name(p->port.s));
	if (!p->endPort)
		return;
	if (p->port.kind == COR_INTSTR_NONE)
		cor_fe_invalid(e, end, cor_fv_int(e, *p->endPort),
			"may not be specified when `port` is not specified");
	else if (p->port.kind == COR_INTSTR_STR)
		cor_fe_invalid(e, end, cor_fv_int(e, *p->endPort),
			"may not be specified when `port` is non-numeric");
	else if (*p->endPort < p->port.i)
		cor_fe_invalid(e, end, cor_fv_int(e, *p->endPort),
			"must be greater than or equal to `port`");
}

static void check_block(
	struct cor_field_errors *e, const struct cor_fpath *at, const networking_v1_IPBlock *b) {
	const struct cor_fpath *list = COR_FIELD(at, "except");
	struct cor_cidr all, part;
	bool good = cor_fe_need(e, COR_FIELD(at, "cidr"), b->cidr, cor_check_cidr(b->cidr)) &&
		    cor_cidr_parse(b->cidr, &all);
	for (size_t i = 0; i < b->except.n; i++)
		if (cor_fe_broken(e, COR_INDEX(list, i), b->except.p[i],
			    cor_check_cidr(b->except.p[i])) &&
			good && cor_cidr_parse(b->except.p[i], &part) &&
			(part.bits <= all.bits || !cor_cidr_contains(&all, &part.ip)))
			cor_fe_invalid(e, COR_INDEX(list, i), cor_fv_str(e, b->except.p[i]),
				"must be a strict subset of `cidr`");
}

static void check_peers(struct cor_field_errors *e, const struct cor_fpath *list,
	const networking_v1_NetworkPolicyPeer *p, size_t n) {
	for (size_t i = 0; i < n; i++) {
		const struct cor_fpath *at = COR_INDEX(list, i);
		bool selects = p[i].podSelector || p[i].namespaceSelector;
		if (!selects && !p[i].ipBlock)
			cor_fe_required(e, at, "must specify a peer");
		if (selects && p[i].ipBlock)
			cor_fe_forbidden(e, at, "may not specify both ipBlock and another peer");
		if (p[i].podSelector)
			cor_validate_label_selector(
				e, COR_FIELD(at, "podSelector"), p[i].podSelector, false);
		if (p[i].namespaceSelector)
			cor_validate_label_selector(e, COR_FIELD(at, "namespaceSelector"),
				p[i].namespaceSelector, false);
		if (p[i].ipBlock)
			check_block(e, COR_FIELD(at, "ipBlock"), p[i].ipBlock);
	}
}

static void check_policy_ports(struct cor_field_errors *e, const struct cor_fpath *list,
	const networking_v1_NetworkPolicyPort *p, size_t n) {
	for (size_t i = 0; i < n; i++)
		check_policy_port(e, COR_INDEX(list, i), &p[i]);
}

void cor_networkpolicy_validate(
	struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const types[] = { "Egress", "Ingress", NULL };
	const networking_v1_NetworkPolicySpec *s =
		&((const networking_v1_NetworkPolicy *)obj)->spec;
	const struct cor_fpath *spec = COR_ROOT("spec"), *in = COR_FIELD(spec, "ingress"),
			       *out = COR_FIELD(spec, "egress"),
			       *kinds = COR_FIELD(spec, "policyTypes");
	cor_validate_label_selector(e, COR_FIELD(spec, "podSelector"), &s->podSelector, false);
	for (size_t i = 0; i < s->ingress.n; i++) {
		const struct cor_fpath *at = COR_INDEX(in, i);
		check_policy_ports(e, COR_FIELD(at, "ports"), s->ingress.p[i].ports.p,
			s->ingress.p[i].ports.n);
		check_peers(
			e, COR_FIELD(at, "from"), s->ingress.p[i].from.p, s->ingress.p[i].from.n);
	}
	for (size_t i = 0; i < s->egress.n; i++) {
		const struct cor_fpath *at = COR_INDEX(out, i);
		check_policy_ports(
			e, COR_FIELD(at, "ports"), s->egress.p[i].ports.p, s->egress.p[i].ports.n);
		check_peers(e, COR_FIELD(at, "to"), s->egress.p[i].to.p, s->egress.p[i].to.n);
	}
	if (s->policyTypes.n > POLICY_TYPES_MAX) {
		cor_fe_invalid(e, kinds, cor_fv_strings(e, s->policyTypes.p, s->policyTypes.n),
			"may not specify more than two policyTypes");
		return;
	}
	for (size_t i = 0; i < s->policyTypes.n; i++)
		(void)cor_fe_one_of(e, COR_INDEX(kinds, i), s->policyTypes.p[i], types);
}

void cor_networkpolicy_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	cor_networkpolicy_validate(ctx, obj, e);
}
