// SPDX-License-Identifier: Apache-2.0
// Services: defaults, and the addresses and node ports that they hold (facts/kinds.md 6,
// facts/controllers.md 16). What is taken is known from the stored Services at the first use and
// kept in step by allocate and release, which also see writes that are still under way.
#include <stdio.h>

#include "api/kinds/podspec.h"
#include "api/kinds/service.h"
#include "api/registry_priv.h"
#include "base/map.h"
#include "codec/ip.h"

enum { PORT_BAND_MAX = 128, IP_BAND_MIN = 16, IP_BAND_MAX = 256 };

struct cor_service_alloc {
	struct cor_cidr cidr;
	struct cor_map ips; /* text -> the allocator itself, as a mark */
	unsigned char ports[65536 / 8];
};

/* ---- defaults ---- */

static bool needs_ip(const struct core_v1_Service *s) {
	return !cor_service_is(s, "ExternalName") && !cor_service_is_headless(s);
}

static bool needs_ports(const struct core_v1_Service *s) {
	if (cor_service_is(s, "NodePort"))
		return true;
	return cor_service_is(s, "LoadBalancer") &&
	       (!s->spec.allocateLoadBalancerNodePorts || *s->spec.allocateLoadBalancerNodePorts);
}

static void affinity(struct cor_arena *a, struct core_v1_ServiceSpec *s) {
	cor_default_str(&s->sessionAffinity, "None");
	if (cor_str_eq(s->sessionAffinity, COR_STR("None"))) {
		s->sessionAffinityConfig = NULL;
		return;
	}
	if (!s->sessionAffinityConfig)
		s->sessionAffinityConfig =
			cor_arena_new_of(a, struct core_v1_SessionAffinityConfig);
	if (s->sessionAffinityConfig && !s->sessionAffinityConfig->clientIP)
		s->sessionAffinityConfig->clientIP =
			cor_arena_new_of(a, struct core_v1_ClientIPConfig);
	if (s->sessionAffinityConfig && s->sessionAffinityConfig->clientIP)
		cor_default_i32(a, &s->sessionAffinityConfig->clientIP->timeoutSeconds, 10800);
}

static void defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Service *svc = obj;
	struct core_v1_ServiceSpec *s = &svc->spec;
	affinity(ctx->arena, s);
	cor_default_str(&s->type, "ClusterIP");
	for (size_t i = 0; i < s->ports.n; i++) {
		struct core_v1_ServicePort *p = &s->ports.p[i];
		cor_default_str(&p->protocol, "TCP");
		if (p->targetPort.kind == COR_INTSTR_NONE ||
			(p->targetPort.kind == COR_INTSTR_INT && p->targetPort.i == 0) ||
			(p->targetPort.kind == COR_INTSTR_STR && p->targetPort.s.n == 0))
			p->targetPort = (struct cor_intstr){ .kind = COR_INTSTR_INT, .i = p->port };
	}
	if (!cor_service_is(svc, "ExternalName"))
		cor_default_str(&s->internalTrafficPolicy, "Cluster");
	if (cor_service_is_external(svc))
		cor_default_str(&s->externalTrafficPolicy, "Cluster");
	if (cor_service_is(svc, "LoadBalancer"))
		cor_default_bool(ctx->arena, &s->allocateLoadBalancerNodePorts, true);
	for (size_t i = 0; i < svc->status.loadBalancer.ingress.n; i++)
		if (svc->status.loadBalancer.ingress.p[i].ip.n > 0)
			cor_default_str(&svc->status.loadBalancer.ingress.p[i].ipMode, "VIP");
}

/* ---- what a client need not repeat (6.2) ---- */

static void one_ip(struct cor_arena *a, struct core_v1_ServiceSpec *s) {
	struct cor_str *p = cor_arena_array(a, struct cor_str, 1);
	if (!p)
		return;
	*p = s->clusterIP;
	s->clusterIPs.p = p;
	s->clusterIPs.n = 1;
}

/* clusterIP says something new, and clusterIPs is what it was. */
static bool only_first_changed(
	const struct core_v1_ServiceSpec *s, const struct core_v1_ServiceSpec *was) {
	if (cor_str_eq(s->clusterIP, was->clusterIP) || s->clusterIPs.n != was->clusterIPs.n)
		return false;
	for (size_t i = 0; i < s->clusterIPs.n; i++)
		if (!cor_str_eq(s->clusterIPs.p[i], was->clusterIPs.p[i]))
			return false;
	return true;
}

static bool port_used(const struct core_v1_ServiceSpec *s, int32_t node_port) {
	for (size_t i = 0; i < s->ports.n; i++)
		if (s->ports.p[i].nodePort == node_port)
			return true;
	return false;
}

static void keep_node_ports(struct core_v1_ServiceSpec *s, const struct core_v1_ServiceSpec *was) {
	for (size_t i = 0; i < s->ports.n; i++)
		for (size_t k = 0; s->ports.p[i].nodePort == 0 && k < was->ports.n; k++)
			if (cor_str_eq(s->ports.p[i].name, was->ports.p[k].name) &&
				was->ports.p[k].nodePort && !port_used(s, was->ports.p[k].nodePort))
				s->ports.p[i].nodePort = was->ports.p[k].nodePort;
}

static void drop_unchanged_ports(
	struct core_v1_ServiceSpec *s, const struct core_v1_ServiceSpec *was) {
	for (size_t i = 0; i < s->ports.n; i++)
		for (size_t k = 0; k < was->ports.n; k++)
			if (s->ports.p[i].nodePort == was->ports.p[k].nodePort)
				s->ports.p[i].nodePort = 0;
}

static void prepare_update(struct cor_kind_ctx *ctx, void *obj, const void *old) {
	struct core_v1_Service *svc = obj;
	const struct core_v1_Service *was = old;
	struct core_v1_ServiceSpec *s = &svc->spec;
	if (!cor_service_is(svc, "ExternalName") && !cor_service_is(was, "ExternalName")) {
		if (s->clusterIP.n == 0)
			s->clusterIP = was->spec.clusterIP;
		if (s->ipFamilyPolicy.n == 0)
			s->ipFamilyPolicy = was->spec.ipFamilyPolicy;
		if (s->ipFamilies.n == 0) {
			s->ipFamilies.p = was->spec.ipFamilies.p;
			s->ipFamilies.n = was->spec.ipFamilies.n;
		}
		if (s->clusterIP.n > 0 &&
			(s->clusterIPs.n == 0 || only_first_changed(s, &was->spec)))
			one_ip(ctx->arena, s);
	}
	if (needs_ports(svc) && needs_ports(was))
		keep_node_ports(s, &was->spec);
	if (!needs_ports(svc) && needs_ports(was))
		drop_unchanged_ports(s, &was->spec);
	if (cor_service_is(svc, "ExternalName") && !cor_service_is(was, "ExternalName") &&
		cor_str_eq(s->clusterIP, was->spec.clusterIP)) {
		s->clusterIP = (struct cor_str){ 0 };
		s->clusterIPs.n = s->ipFamilies.n = 0;
		s->ipFamilyPolicy = (struct cor_str){ 0 };
	}
	if (!cor_service_is(svc, "LoadBalancer") && cor_service_is(was, "LoadBalancer")) {
		s->allocateLoadBalancerNodePorts = NULL;
		s->loadBalancerClass = (struct cor_str){ 0 };
		svc->status.loadBalancer.ingress.n = 0;
	}
	if (!cor_service_is_external(svc) && cor_service_is_external(was))
		s->externalTrafficPolicy = (struct cor_str){ 0 };
}

/* ---- allocation ---- */

static void mark(struct cor_service_alloc *al, const struct core_v1_Service *svc, bool taken) {
	for (size_t i = 0; i < svc->spec.clusterIPs.n; i++) {
		if (taken)
			(void)cor_map_put(&al->ips, svc->spec.clusterIPs.p[i], al);
		else
			(void)cor_map_remove(&al->ips, svc->spec.clusterIPs.p[i]);
	}
	for (size_t i = 0; i < svc->spec.ports.n; i++) {
		uint16_t port = (uint16_t)svc->spec.ports.p[i].nodePort;
		if (port && taken)
			al->ports[port / 8] |= (unsigned char)(1 << port % 8);
		else if (port)
			al->ports[port / 8] &= (unsigned char)~(1 << port % 8);
	}
}

struct loading {
	struct cor_service_alloc *al;
	struct cor_arena *arena;
};

static bool load_one(void *arg, struct cor_obj *o) {
	struct loading *l = arg;
	struct cor_err err;
	cor_arena_reset(l->arena);
	const struct core_v1_Service *svc = cor_obj_decode(o, l->arena, &err);
	if (svc)
		mark(l->al, svc, true);
	return true;
}

static struct cor_service_alloc *alloc_of(struct cor_kind_ctx *ctx) {
	struct cor_registry *r = ctx->registry;
	if (r->services)
		return r->services;
	struct cor_service_alloc *al = cor_new(struct cor_service_alloc);
	bool ok = cor_cidr_parse(cor_str_c(r->config.service_cidr), &al->cidr);
	cor_assert(ok && !al->cidr.ip.v6); /* checked with the other flags at start */
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct loading l = { al, a };
	cor_store_each(ctx->store, COR_RES_SERVICES, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, load_one, &l);
	r->services = al;
	return al;
}

void cor_service_alloc_free(struct cor_service_alloc *al) {
	if (!al)
		return;
	cor_map_fini(&al->ips);
	free(al);
}

/* The n-th address of the range. */
static struct cor_str nth_ip(struct cor_arena *a, const struct cor_cidr *c, uint32_t n) {
	struct cor_ip ip = c->ip;
	uint32_t base = (uint32_t)ip.bytes[0] << 24 | (uint32_t)ip.bytes[1] << 16 |
			(uint32_t)ip.bytes[2] << 8 | ip.bytes[3];
	uint32_t mask = c->bits == 0 ? 0 : ~0u << (32 - c->bits);
	uint32_t v = (base & mask) + n;
	ip.bytes[0] = (uint8_t)(v >> 24);
	ip.bytes[1] = (uint8_t)(v >> 16);
	ip.bytes[2] = (uint8_t)(v >> 8);
	ip.bytes[3] = (uint8_t)v;
	char text[COR_IP_TEXT_MAX];
	size_t len = cor_ip_format(&ip, text);
	return cor_arena_str(a, (struct cor_str){ text, len });
}

/* From a random place of the upper band on, then the lower band, which is kept for addresses that
 * people choose. */
static struct cor_str free_ip(struct cor_kind_ctx *ctx, struct cor_service_alloc *al) {
	uint32_t size = al->cidr.bits >= 31 ? 2 : (uint32_t)(1u << (32 - al->cidr.bits));
	uint32_t last = size - 2, band = size / 16;
	band = size <= 16           ? 1
	       : band < IP_BAND_MIN ? IP_BAND_MIN
	       : band > IP_BAND_MAX ? IP_BAND_MAX
				    : band;
	uint32_t upper = last - band + 1, r;
	ctx->world->random(ctx->world, &r, sizeof(r));
	for (uint32_t i = 0; i < last; i++) {
		uint32_t n = i < upper ? band + (r % upper + i) % upper : 1 + (i - upper);
		struct cor_str ip = nth_ip(ctx->arena, &al->cidr, n);
		if (!cor_map_get(&al->ips, ip))
			return ip;
	}
	return (struct cor_str){ 0 };
}

static bool held_by(const struct core_v1_Service *old, struct cor_str ip) {
	for (size_t i = 0; old && i < old->spec.clusterIPs.n; i++)
		if (cor_str_eq(old->spec.clusterIPs.p[i], ip))
			return true;
	return false;
}

static int invalid(struct cor_kind_ctx *ctx, struct cor_err *err, const char *field,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int invalid(
	struct cor_kind_ctx *ctx, struct cor_err *err, const char *field, const char *fmt, ...) {
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	int r = cor_fail_status(err, COR_REASON_INVALID,
		"Service \"%.*s\" is invalid: %s: Invalid value: %s", COR_STR_ARG(ctx->name), field,
		text);
	(void)snprintf(err->field, sizeof(err->field), "%s", field);
	return r;
}

static int take_ip(struct cor_kind_ctx *ctx, struct cor_service_alloc *al,
	struct core_v1_Service *svc, const struct core_v1_Service *old, struct cor_err *err) {
	struct core_v1_ServiceSpec *s = &svc->spec;
	cor_default_str(&s->ipFamilyPolicy, "SingleStack");
	if (s->ipFamilies.n == 0) {
		struct cor_str *family = cor_arena_push(ctx->arena, &s->ipFamilies);
		if (family)
			*family = COR_STR("IPv4");
	}
	if (s->clusterIP.n == 0) {
		s->clusterIP = free_ip(ctx, al);
		if (s->clusterIP.n == 0)
			return cor_fail_status(err, COR_REASON_INTERNAL_ERROR,
				"failed to allocate a serviceIP for Service \"%.*s\": range is "
				"full",
				COR_STR_ARG(ctx->name));
	}
	one_ip(ctx->arena, s);
	if (cor_service_is_headless(svc) || held_by(old, s->clusterIP))
		return 0;
	struct cor_ip ip;
	if (!cor_ip_parse(s->clusterIP, &ip) || !cor_cidr_contains(&al->cidr, &ip))
		return invalid(ctx, err, "spec.clusterIPs",
			"[\"%.*s\"]: failed to allocate IP %.*s: the provided IP (%.*s) "
			"is not in the valid range. The range of valid IPs is %s",
			COR_STR_ARG(s->clusterIP), COR_STR_ARG(s->clusterIP),
			COR_STR_ARG(s->clusterIP), ctx->registry->config.service_cidr);
	if (cor_map_get(&al->ips, s->clusterIP))
		return invalid(ctx, err, "spec.clusterIPs",
			"[\"%.*s\"]: failed to allocate IP %.*s: provided IP is already "
			"allocated",
			COR_STR_ARG(s->clusterIP), COR_STR_ARG(s->clusterIP));
	return 0;
}

static bool port_taken(const struct cor_service_alloc *al, int port) {
	return al->ports[port / 8] & (1 << port % 8);
}

static int free_port(struct cor_kind_ctx *ctx, const struct cor_service_alloc *al,
	const struct core_v1_ServiceSpec *s) {
	int lo = ctx->registry->config.node_port_min, hi = ctx->registry->config.node_port_max;
	int n = hi - lo + 1, band = n / 32;
	band = band < 16 ? 16 : band > PORT_BAND_MAX ? PORT_BAND_MAX : band;
	band = band > n ? 0 : band;
	unsigned r;
	ctx->world->random(ctx->world, &r, sizeof(r));
	for (int i = 0; i < n; i++) {
		int upper = n - band;
		int port = lo + (i < upper ? band + (int)((r % (unsigned)upper + (unsigned)i) %
							    (unsigned)upper)
					   : i - upper);
		if (!port_taken(al, port) && !port_used(s, port))
			return port;
	}
	return 0;
}

/* One number serves the same port in TCP and UDP. */
static int32_t sibling_port(const struct core_v1_ServiceSpec *s, size_t of) {
	for (size_t i = 0; i < s->ports.n; i++)
		if (i != of && s->ports.p[i].port == s->ports.p[of].port && s->ports.p[i].nodePort)
			return s->ports.p[i].nodePort;
	return 0;
}

static int take_ports(struct cor_kind_ctx *ctx, struct cor_service_alloc *al,
	struct core_v1_Service *svc, const struct core_v1_Service *old, struct cor_err *err) {
	struct core_v1_ServiceSpec *s = &svc->spec;
	int lo = ctx->registry->config.node_port_min, hi = ctx->registry->config.node_port_max;
	for (size_t i = 0; i < s->ports.n; i++) {
		int32_t want = s->ports.p[i].nodePort;
		char field[64];
		(void)snprintf(field, sizeof(field), "spec.ports[%zu].nodePort", i);
		if (want == 0)
			continue;
		if (want < lo || want > hi)
			return invalid(ctx, err, field,
				"%d: provided port is not in the valid range. The range of valid "
				"ports is "
				"%d-%d",
				want, lo, hi);
		if (port_taken(al, want) && !(old && port_used(&old->spec, want)))
			return invalid(
				ctx, err, field, "%d: provided port is already allocated", want);
	}
	for (size_t i = 0; needs_ports(svc) && i < s->ports.n; i++) {
		if (s->ports.p[i].nodePort)
			continue;
		s->ports.p[i].nodePort = sibling_port(s, i);
		if (s->ports.p[i].nodePort == 0)
			s->ports.p[i].nodePort = free_port(ctx, al, s);
		if (s->ports.p[i].nodePort == 0)
			return cor_fail_status(err, COR_REASON_INTERNAL_ERROR,
				"failed to allocate a nodePort for Service \"%.*s\": range is full",
				COR_STR_ARG(ctx->name));
	}
	return 0;
}

static int allocate(struct cor_kind_ctx *ctx, void *obj, const void *old, struct cor_err *err) {
	struct core_v1_Service *svc = obj;
	struct cor_service_alloc *al = alloc_of(ctx);
	int r = 0;
	if (needs_ip(svc) || cor_service_is_headless(svc))
		r = take_ip(ctx, al, svc, old, err);
	if (r >= 0)
		r = take_ports(ctx, al, svc, old, err);
	if (r < 0)
		return r;
	mark(al, svc, true);
	return 0;
}

static void release(struct cor_kind_ctx *ctx, const void *obj, const void *still) {
	struct cor_service_alloc *al = alloc_of(ctx);
	mark(al, obj, false);
	if (still)
		mark(al, still, true);
}

/* ---- field selectors ---- */

static const char *const field_labels[] = { "spec.clusterIP", "spec.type", NULL };

static void fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct core_v1_Service *s = obj;
	const struct cor_kv v[] = {
		{ COR_STR("spec.clusterIP"), s->spec.clusterIP },
		{ COR_STR("spec.type"), s->spec.type },
	};
	cor_kind_fields(a, ret, v, cor_countof(v));
}

const struct cor_kind_ops cor_kind_service = {
	.res = COR_RES_SERVICES,
	.flags = COR_KIND_CREATE_ON_UPDATE | COR_KIND_DELETE_RETURNS_OBJECT,
	.defaults = defaults,
	.prepare_update = prepare_update,
	.validate = cor_service_validate,
	.validate_update = cor_service_validate_update,
	.validate_status = cor_service_validate_status,
	.allocate = allocate,
	.release = release,
	.fields = fields,
	.field_labels = field_labels,
	.name_rule = cor_name_label,
};
