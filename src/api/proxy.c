// SPDX-License-Identifier: Apache-2.0
// pods, services and nodes /proxy (facts/api-machinery.md 17.3): names are [scheme:]name[:port].
#include "api/kubelet_proxy.h"

#include <stdio.h>

#include "gen/core_v1.h"

struct name_parts {
	struct cor_str scheme, name, port;
};

static bool parse_name(struct cor_str text, struct name_parts *ret) {
	struct cor_str rest = text, a = cor_str_cut(&rest, ':');
	*ret = (struct name_parts){ .name = a };
	if (!rest.p)
		return a.n > 0;
	struct cor_str b = cor_str_cut(&rest, ':');
	ret->port = b;
	if (!rest.p)
		return a.n > 0;
	*ret = (struct name_parts){ .scheme = a, .name = b, .port = rest };
	return b.n && cor_str_chr(rest, ':') == rest.n &&
		(a.n == 0 || cor_str_eq_c(a, "http") || cor_str_eq_c(a, "https"));
}

static bool set_host(struct proxy_target *t, struct cor_str address) {
	if (!address.n || address.n >= sizeof(t->host))
		return false;
	(void)snprintf(t->host, sizeof(t->host), "%.*s", COR_STR_ARG(address));
	return true;
}

static void bad_name(struct api_req *q, const char *what) {
	api_fail_status(q, COR_REASON_BAD_REQUEST, "invalid %s request \"%.*s\"", what,
		COR_STR_ARG(q->info.name));
}

static bool pod_target(struct api_req *q, const struct name_parts *n, struct proxy_target *t) {
	int64_t port = 0;
	const core_v1_Pod *pod = cor_registry_get(q->api->registry, COR_RES_PODS, q->info.ns, n->name,
		q->arena);
	if (!pod) {
		api_fail_status(q, COR_REASON_NOT_FOUND, "pods \"%.*s\" not found", COR_STR_ARG(n->name));
		return false;
	}
	for (size_t i = 0; i < pod->spec.containers.n && !port; i++)
		if (pod->spec.containers.p[i].ports.n)
			port = pod->spec.containers.p[i].ports.p[0].containerPort;
	if (!port)
		port = t->tls ? 443 : 80;
	if (n->port.n && !cor_str_to_i64(n->port, &port)) {
		bad_name(q, "pod");
		return false;
	}
	t->port = (int)port;
	if (!set_host(t, pod->status.podIP)) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "address not allowed");
		return false;
	}
	return true;
}

/* The name of the Service's port; a number is looked up. False when there is none. */
static bool port_name(const core_v1_Service *s, struct cor_str port, struct cor_str *ret) {
	int64_t number;
	*ret = port.n ? port : COR_STR("");
	if (!cor_str_to_i64(port, &number))
		return true;
	for (size_t i = 0; i < s->spec.ports.n; i++) {
		if (s->spec.ports.p[i].port != number)
			continue;
		*ret = s->spec.ports.p[i].name.p ? s->spec.ports.p[i].name : COR_STR("");
		return true;
	}
	return false;
}

static bool pick_endpoint(struct api_req *q, const core_v1_Endpoints *e, struct cor_str port,
	struct proxy_target *t) {
	uint32_t dice;
	q->api->world->random(q->api->world, &dice, sizeof(dice));
	for (size_t i = 0; i < e->subsets.n; i++) {
		const core_v1_EndpointSubset *s = &e->subsets.p[i];
		for (size_t j = 0; j < s->ports.n && s->addresses.n; j++) {
			if (!cor_str_eq(s->ports.p[j].name, port))
				continue;
			t->port = s->ports.p[j].port;
			return set_host(t, s->addresses.p[dice % s->addresses.n].ip);
		}
	}
	return false;
}

static bool service_target(struct api_req *q, const struct name_parts *n, struct proxy_target *t) {
	struct cor_str port;
	struct cor_registry *r = q->api->registry;
	const core_v1_Service *s = cor_registry_get(r, COR_RES_SERVICES, q->info.ns, n->name, q->arena);
	const core_v1_Endpoints *e = cor_registry_get(r, COR_RES_ENDPOINTS, q->info.ns, n->name, q->arena);
	if (!s || !e) {
		api_fail_status(q, COR_REASON_NOT_FOUND, "%s \"%.*s\" not found", s ? "endpoints" : "services",
			COR_STR_ARG(n->name));
		return false;
	}
	if (!port_name(s, n->port, &port)) {
		api_fail_status(q, COR_REASON_SERVICE_UNAVAILABLE, "no service port %.*s found for service "
			"\"%.*s\"", COR_STR_ARG(n->port), COR_STR_ARG(n->name));
		return false;
	}
	if (!pick_endpoint(q, e, port, t)) {
		api_fail_status(q, COR_REASON_SERVICE_UNAVAILABLE, "no endpoints available for service \"%.*s\"",
			COR_STR_ARG(n->name));
		return false;
	}
	return true;
}

static bool find_target(struct api_req *q, struct proxy_target *t) {
	struct name_parts n;
	bool pods = q->res->id == COR_RES_PODS, nodes = q->res->id == COR_RES_NODES;
	if (!parse_name(q->info.name, &n)) {
		bad_name(q, pods ? "pod" : nodes ? "node" : "service");
		return false;
	}
	if (nodes)
		return api_node_target(q, n.name, t);
	t->tls = cor_str_eq_c(n.scheme, "https");
	return pods ? pod_target(q, &n, t) : service_target(q, &n, t);
}

void api_proxy(struct api_req *q) {
	struct proxy_target t = { 0 };
	bool get = cor_str_eq_c(q->http->method, "GET") || cor_str_eq_c(q->http->method, "HEAD");
	if (!q->info.subpath.p && get) {
		q->status = 301;
		cor_http_set_header(q->http, "location", cor_arena_printf(q->arena, "%.*s/%s%.*s",
			COR_STR_ARG(q->http->path), q->http->query.p ? "?" : "", COR_STR_ARG(q->http->query)));
		cor_http_reply(q->http, 301, NULL, COR_STR(""));
		return;
	}
	if (!find_target(q, &t))
		return;
	t.path = cor_arena_printf(q->arena, "/%.*s%s%.*s", COR_STR_ARG(q->info.subpath),
		q->http->query.p ? "?" : "", COR_STR_ARG(q->http->query));
	api_forward(q, &t);
}
