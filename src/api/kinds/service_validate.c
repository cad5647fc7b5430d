// SPDX-License-Identifier: Apache-2.0
// Validation of Services (facts/kinds.md 6.3, 6.4). It runs before addresses and node ports are
// given out, so an empty clusterIP is fine here.
#include "api/kinds/service.h"

#include "codec/codec.h"
#include "codec/ip.h"

enum { AFFINITY_MAX = 86400, CLUSTER_IPS_MAX = 2 };

static const char *const policies[] = { "Cluster", "Local", NULL };

#define ONLY_LB "may only be used when `type` is 'LoadBalancer'"
#define SET_ONCE "may not change once set"

/* ---- ports ---- */

/* The pair that two ports may not share. */
static struct cor_fvalue port_value(
	struct cor_field_errors *e, const core_v1_ServicePort *p, bool node) {
	return cor_fv_json(node ? cor_arena_printf(e->arena, "%d", p->nodePort)
				: cor_arena_printf(e->arena, "{\"Protocol\":\"%.*s\",\"Port\":%d}",
					  COR_STR_ARG(p->protocol), p->port));
}

static void check_unique(struct cor_field_errors *e, const struct cor_fpath *list,
	const core_v1_ServicePort *p, size_t i) {
	const struct cor_fpath *at = COR_INDEX(list, i);
	bool name = false, port = false, node = false;
	for (size_t k = 0; k < i; k++) {
		bool protocol = cor_str_eq(p[k].protocol, p[i].protocol);
		name |= p[i].name.n > 0 && cor_str_eq(p[k].name, p[i].name);
		port |= protocol && p[k].port == p[i].port;
		node |= protocol && p[i].nodePort != 0 && p[k].nodePort == p[i].nodePort;
	}
	if (name)
		cor_fe_duplicate(e, COR_FIELD(at, "name"), cor_fv_str(e, p[i].name));
	if (port)
		cor_fe_duplicate(e, at, port_value(e, &p[i], false));
	if (node)
		cor_fe_duplicate(e, COR_FIELD(at, "nodePort"), port_value(e, &p[i], true));
}

static void check_port(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_ServicePort *p, bool named) {
	static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };
	if (named || p->name.n > 0)
		(void)cor_fe_need(e, COR_FIELD(at, "name"), p->name, cor_check_dns_label(p->name));
	(void)cor_fe_broken_int(e, COR_FIELD(at, "port"), p->port, cor_check_port_number(p->port));
	(void)cor_fe_one_of(e, COR_FIELD(at, "protocol"), p->protocol, protocols);
	if (p->targetPort.kind == COR_INTSTR_STR)
		(void)cor_fe_broken(e, COR_FIELD(at, "targetPort"), p->targetPort.s,
			cor_check_port_name(p->targetPort.s));
	else
		(void)cor_fe_broken_int(e, COR_FIELD(at, "targetPort"), p->targetPort.i,
			cor_check_port_number(p->targetPort.i));
	if (p->appProtocol.n > 0)
		(void)cor_fe_broken(e, COR_FIELD(at, "appProtocol"), p->appProtocol,
			cor_check_qualified_name(p->appProtocol));
}

static void check_ports(
	struct cor_field_errors *e, const struct cor_fpath *spec, const core_v1_Service *svc) {
	const core_v1_ServiceSpec *s = &svc->spec;
	const struct cor_fpath *list = COR_FIELD(spec, "ports");
	if (s->ports.n == 0 && !cor_service_is_headless(svc) &&
		!cor_service_is(svc, "ExternalName"))
		cor_fe_required(e, list, "%s", "");
	for (size_t i = 0; i < s->ports.n; i++) {
		const struct cor_fpath *at = COR_INDEX(list, i);
		check_port(e, at, &s->ports.p[i], s->ports.n > 1);
		check_unique(e, list, s->ports.p, i);
		if (s->ports.p[i].nodePort != 0 && cor_service_is(svc, "ClusterIP"))
			cor_fe_forbidden(e, COR_FIELD(at, "nodePort"),
				"may not be used when `type` is 'ClusterIP'");
	}
}

/* ---- addresses ---- */

static bool is_none(struct cor_str ip) {
	return cor_str_eq(ip, COR_STR("None"));
}

static void check_families(
	struct cor_field_errors *e, const struct cor_fpath *spec, const core_v1_ServiceSpec *s) {
	static const char *const families[] = { "IPv4", "IPv6", NULL };
	static const char *const stacks[] = { "SingleStack", "PreferDualStack", "RequireDualStack",
		NULL };
	const struct cor_fpath *list = COR_FIELD(spec, "ipFamilies");
	for (size_t i = 0; i < s->ipFamilies.n; i++) {
		(void)cor_fe_one_of(e, COR_INDEX(list, i), s->ipFamilies.p[i], families);
		for (size_t k = 0; k < i; k++)
			if (cor_str_eq(s->ipFamilies.p[k], s->ipFamilies.p[i])) {
				cor_fe_duplicate(
					e, COR_INDEX(list, i), cor_fv_str(e, s->ipFamilies.p[i]));
				break;
			}
	}
	if (s->ipFamilyPolicy.n > 0)
		(void)cor_fe_one_of(
			e, COR_FIELD(spec, "ipFamilyPolicy"), s->ipFamilyPolicy, stacks);
}

static void check_cluster_ip(struct cor_field_errors *e, const struct cor_fpath *list,
	const core_v1_ServiceSpec *s, size_t i) {
	struct cor_ip ip;
	struct cor_str text = s->clusterIPs.p[i];
	if (!cor_fe_broken(e, COR_INDEX(list, i), text, cor_check_ip(text)) ||
		!cor_ip_parse(text, &ip))
		return;
	if (i < s->ipFamilies.n && ip.v6 != cor_str_eq_c(s->ipFamilies.p[i], "IPv6"))
		cor_fe_invalid(e, COR_INDEX(list, i), cor_fv_str(e, text),
			"expected an %s value as indicated by `ipFamilies[%zu]`",
			ip.v6 ? "IPv4" : "IPv6", i);
}

static void check_cluster_ips(
	struct cor_field_errors *e, const struct cor_fpath *spec, const core_v1_Service *svc) {
	const core_v1_ServiceSpec *s = &svc->spec;
	const struct cor_fpath *list = COR_FIELD(spec, "clusterIPs");
	struct cor_fvalue all = cor_fv_strings(e, s->clusterIPs.p, s->clusterIPs.n);
	if (cor_service_is_headless(svc) &&
		(cor_service_is(svc, "LoadBalancer") || cor_service_is(svc, "NodePort")))
		cor_fe_invalid(e, COR_INDEX(list, 0), all,
			"may not be set to 'None' for %.*s services", COR_STR_ARG(s->type));
	if (s->clusterIP.n == 0 && s->clusterIPs.n > 0)
		cor_fe_invalid(e, list, all, "must be empty when `clusterIP` is not specified");
	if (s->clusterIPs.n > 0 && s->clusterIP.n > 0 &&
		!cor_str_eq(s->clusterIP, s->clusterIPs.p[0]))
		cor_fe_invalid(e, list, all, "first value must match `clusterIP`");
	bool none = false;
	for (size_t i = 0; i < s->clusterIPs.n; i++)
		none |= is_none(s->clusterIPs.p[i]);
	if (none && s->clusterIPs.n > 1)
		cor_fe_invalid(e, list, all, "'None' must be the first and only value");
	if (s->clusterIPs.n > CLUSTER_IPS_MAX)
		cor_fe_invalid(e, list, all, "may only hold up to 2 values");
	for (size_t i = 0; !none && i < s->clusterIPs.n; i++)
		check_cluster_ip(e, list, s, i);
	if (s->clusterIPs.n == 0 && s->clusterIP.n > 0 && !is_none(s->clusterIP))
		(void)cor_fe_broken(
			e, COR_INDEX(list, 0), s->clusterIP, cor_check_ip(s->clusterIP));
}

static void check_no_addresses(
	struct cor_field_errors *e, const struct cor_fpath *spec, const core_v1_ServiceSpec *s) {
	static const char text[] = "may not be set for ExternalName services";
	if (s->clusterIP.n > 0 || s->clusterIPs.n > 0)
		cor_fe_forbidden(e, COR_FIELD(spec, "clusterIPs"), "%s", text);
	if (s->ipFamilies.n > 0)
		cor_fe_forbidden(e, COR_FIELD(spec, "ipFamilies"), "%s", text);
	if (s->ipFamilyPolicy.n > 0)
		cor_fe_forbidden(e, COR_FIELD(spec, "ipFamilyPolicy"), "%s", text);
	struct cor_str name = s->externalName;
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	(void)cor_fe_need(e, COR_FIELD(spec, "externalName"), name, cor_check_dns_subdomain(name));
}

void cor_validate_endpoint_ip(
	struct cor_field_errors *e, const struct cor_fpath *at, struct cor_str text) {
	struct cor_ip ip;
	if (!cor_fe_broken(e, at, text, cor_check_ip(text)) || !cor_ip_parse(text, &ip))
		return;
	if (cor_ip_is_unspecified(&ip))
		cor_fe_invalid(e, at, cor_fv_str(e, text), "may not be unspecified (%.*s)",
			COR_STR_ARG(text));
	if (cor_ip_is_loopback(&ip))
		cor_fe_invalid(e, at, cor_fv_str(e, text),
			"may not be in the loopback range (127.0.0.0/8, ::1/128)");
	if (cor_ip_is_link_local(&ip))
		cor_fe_invalid(e, at, cor_fv_str(e, text),
			"may not be in the link-local range (169.254.0.0/16, fe80::/10)");
	if (cor_ip_is_link_local_multicast(&ip))
		cor_fe_invalid(e, at, cor_fv_str(e, text),
			"may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

/* ---- the rest ---- */

static void check_affinity(
	struct cor_field_errors *e, const struct cor_fpath *spec, const core_v1_ServiceSpec *s) {
	static const char *const kinds[] = { "ClientIP", "None", NULL };
	const struct cor_fpath *at = COR_FIELD(spec, "sessionAffinityConfig");
	(void)cor_fe_one_of(e, COR_FIELD(spec, "sessionAffinity"), s->sessionAffinity, kinds);
	const core_v1_SessionAffinityConfig *c = s->sessionAffinityConfig;
	if (c && cor_str_eq_c(s->sessionAffinity, "None"))
		cor_fe_forbidden(e, at, "must not be set when session affinity is None");
	else if (c && c->clientIP && c->clientIP->timeoutSeconds &&
		 (*c->clientIP->timeoutSeconds <= 0 || *c->clientIP->timeoutSeconds > AFFINITY_MAX))
		cor_fe_invalid(e, COR_FIELD(at, "clientIP.timeoutSeconds"),
			cor_fv_int(e, *c->clientIP->timeoutSeconds),
			"must be greater than 0 and less than %d", AFFINITY_MAX);
}

static void check_load_balancer(struct cor_field_errors *e, const struct cor_fpath *spec,
	const core_v1_ServiceSpec *s, bool lb) {
	/* The capital letter is upstream's. */
	const struct cor_fpath *ranges = COR_FIELD(spec, "LoadBalancerSourceRanges");
	if (!lb && s->loadBalancerSourceRanges.n > 0)
		cor_fe_forbidden(e, ranges, "%s", ONLY_LB);
	for (size_t i = 0; lb && i < s->loadBalancerSourceRanges.n; i++) {
		struct cor_str cidr = cor_str_trim(s->loadBalancerSourceRanges.p[i]);
		(void)cor_fe_broken(e, COR_INDEX(ranges, i), cidr, cor_check_cidr(cidr));
	}
	if (!lb && s->allocateLoadBalancerNodePorts)
		cor_fe_forbidden(
			e, COR_FIELD(spec, "allocateLoadBalancerNodePorts"), "%s", ONLY_LB);
	if (!lb && s->loadBalancerClass.p)
		cor_fe_forbidden(e, COR_FIELD(spec, "loadBalancerClass"), "%s", ONLY_LB);
	else if (s->loadBalancerClass.p)
		(void)cor_fe_broken(e, COR_FIELD(spec, "loadBalancerClass"), s->loadBalancerClass,
			cor_check_qualified_name(s->loadBalancerClass));
}

static void check_traffic(
	struct cor_field_errors *e, const struct cor_fpath *spec, const core_v1_Service *svc) {
	static const char *const closeness[] = { "PreferClose", "PreferSameNode", "PreferSameZone",
		NULL };
	const core_v1_ServiceSpec *s = &svc->spec;
	const struct cor_fpath *external = COR_FIELD(spec, "externalTrafficPolicy");
	if (s->externalTrafficPolicy.n > 0 && !cor_service_is_external(svc))
		cor_fe_invalid(e, external, cor_fv_str(e, s->externalTrafficPolicy),
			"may only be set for externally-accessible services");
	else if (s->externalTrafficPolicy.n > 0)
		(void)cor_fe_one_of(e, external, s->externalTrafficPolicy, policies);
	if (s->healthCheckNodePort != 0 && !(cor_service_is(svc, "LoadBalancer") &&
						   cor_str_eq_c(s->externalTrafficPolicy, "Local")))
		cor_fe_invalid(e, COR_FIELD(spec, "healthCheckNodePort"),
			cor_fv_int(e, s->healthCheckNodePort),
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` "
			"is 'Local'");
	if (s->internalTrafficPolicy.n > 0)
		(void)cor_fe_one_of(e, COR_FIELD(spec, "internalTrafficPolicy"),
			s->internalTrafficPolicy, policies);
	if (s->trafficDistribution.p)
		(void)cor_fe_one_of(e, COR_FIELD(spec, "trafficDistribution"),
			s->trafficDistribution, closeness);
}

void cor_service_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const types[] = { "ClusterIP", "ExternalName", "LoadBalancer",
		"NodePort", NULL };
	const core_v1_Service *svc = obj;
	const core_v1_ServiceSpec *s = &svc->spec;
	const struct cor_fpath *spec = COR_ROOT("spec"), *external = COR_FIELD(spec, "externalIPs");
	check_ports(e, spec, svc);
	(void)cor_fe_one_of(e, COR_FIELD(spec, "type"), s->type, types);
	cor_validate_labels(e, COR_FIELD(spec, "selector"), &s->selector);
	check_affinity(e, spec, s);
	if (cor_service_is(svc, "ExternalName")) {
		check_no_addresses(e, spec, s);
	} else {
		check_families(e, spec, s);
		check_cluster_ips(e, spec, svc);
	}
	for (size_t i = 0; i < s->externalIPs.n; i++)
		cor_validate_endpoint_ip(e, COR_INDEX(external, i), s->externalIPs.p[i]);
	check_load_balancer(e, spec, s, cor_service_is(svc, "LoadBalancer"));
	check_traffic(e, spec, svc);
}

/* ---- updates ---- */

static void same_address(
	struct cor_field_errors *e, const core_v1_Service *svc, const core_v1_Service *was) {
	const core_v1_ServiceSpec *now = &svc->spec, *old = &was->spec;
	const struct cor_fpath *spec = COR_ROOT("spec"), *ips = COR_FIELD(spec, "clusterIPs"),
			       *families = COR_FIELD(spec, "ipFamilies");
	if (cor_service_is(svc, "ExternalName") || cor_service_is(was, "ExternalName"))
		return;
	if (old->clusterIP.n > 0 && !cor_str_eq(now->clusterIP, old->clusterIP))
		cor_fe_invalid(e, COR_INDEX(ips, 0),
			cor_fv_strings(e, now->clusterIPs.p, now->clusterIPs.n), "%s",
			now->clusterIP.n > 0 ? SET_ONCE : "primary clusterIP can not be unset");
	if (old->ipFamilies.n > 0 && now->ipFamilies.n > 0 &&
		!cor_str_eq(now->ipFamilies.p[0], old->ipFamilies.p[0]))
		cor_fe_invalid(e, COR_INDEX(families, 0),
			cor_fv_strings(e, now->ipFamilies.p, now->ipFamilies.n), "%s", SET_ONCE);
}

void cor_service_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_Service *svc = obj, *was = old;
	const struct cor_fpath *spec = COR_ROOT("spec");
	cor_service_validate(ctx, obj, e);
	same_address(e, svc, was);
	bool lb = cor_service_is(svc, "LoadBalancer") && cor_service_is(was, "LoadBalancer");
	if (lb && !cor_str_eq(svc->spec.loadBalancerClass, was->spec.loadBalancerClass))
		cor_fe_invalid(e, COR_FIELD(spec, "loadBalancerClass"),
			cor_fv_str(e, svc->spec.loadBalancerClass), "%s", SET_ONCE);
}

void cor_service_validate_status(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	static const char *const modes[] = { "Proxy", "VIP", NULL };
	const core_v1_Service *svc = obj;
	const core_v1_LoadBalancerStatus *s = &svc->status.loadBalancer;
	const struct cor_fpath *list = COR_ROOT("status.loadBalancer.ingress");
	if (s->ingress.n > 0 && !cor_service_is(svc, "LoadBalancer")) {
		cor_fe_forbidden(e, list, "may only be used when `spec.type` is 'LoadBalancer'");
		return;
	}
	for (size_t i = 0; i < s->ingress.n; i++) {
		const core_v1_LoadBalancerIngress *in = &s->ingress.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i), *host = COR_FIELD(at, "hostname");
		struct cor_ip ip;
		if (in->ip.n > 0) {
			(void)cor_fe_broken(e, COR_FIELD(at, "ip"), in->ip, cor_check_ip(in->ip));
			(void)cor_fe_one_of(e, COR_FIELD(at, "ipMode"), in->ipMode, modes);
		} else if (in->ipMode.n > 0) {
			cor_fe_forbidden(e, COR_FIELD(at, "ipMode"),
				"may not be specified when `ip` is not set");
		}
		if (in->hostname.n == 0)
			continue;
		(void)cor_fe_broken(e, host, in->hostname, cor_check_dns_subdomain(in->hostname));
		if (cor_ip_parse(in->hostname, &ip))
			cor_fe_invalid(e, host, cor_fv_str(e, in->hostname),
				"must be a DNS name, not an IP address");
	}
}
