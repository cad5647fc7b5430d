// SPDX-License-Identifier: Apache-2.0
// LoadBalancer Services get an address without set-up: without a pool, that of every node.
#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"

static struct cor_str internal_ip(const struct core_v1_Node *n) {
	for (size_t i = 0; i < n->status.addresses.n; i++)
		if (cor_str_eq(n->status.addresses.p[i].type, COR_STR("InternalIP")))
			return n->status.addresses.p[i].address;
	return (struct cor_str){ 0 };
}

static int plan_lb(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Service *old = cor_plan_get(p, COR_RES_SERVICES, ns, name);
	if (!old || !cor_str_eq(old->spec.type, COR_STR("LoadBalancer")) || old->spec.loadBalancerClass.n > 0)
		return 0;
	struct core_v1_Service *svc = cor_obj_dup(&cor_type_core_v1_Service, old, cor_plan_arena(p));
	struct cor_objects nodes = cor_plan_list(p, COR_RES_NODES, (struct cor_str){ 0 });
	if (!svc)
		return 0;
	svc->status.loadBalancer.ingress.p = NULL;
	svc->status.loadBalancer.ingress.n = 0;
	for (size_t i = 0; i < nodes.n; i++) {
		struct cor_str ip = internal_ip(nodes.p[i]);
		struct core_v1_LoadBalancerIngress *in =
			ip.n > 0 ? cor_arena_push(cor_plan_arena(p), &svc->status.loadBalancer.ingress) : NULL;
		if (in) {
			in->ip = ip;
			in->ipMode = COR_STR("VIP");
		}
	}
	if (!cor_obj_equal(&cor_type_core_v1_ServiceStatus, &svc->status, &old->status))
		(void)cor_plan_update_status(p, 0, COR_RES_SERVICES, svc);
	return 0;
}

static bool wake_service(void *arg, struct cor_obj *o) {
	const struct cor_str *type = cor_strmap_get(&o->fields, COR_STR("spec.type"));
	if (type && cor_str_eq(*type, COR_STR("LoadBalancer")))
		cor_enqueue(arg, o->ns, o->name);
	return true;
}

static void map_nodes(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_store_each(store, COR_RES_SERVICES, (struct cor_str){ 0 }, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		wake_service, q);
}

const struct cor_controller cor_controller_service_lb = {
	.name = "service",
	.res = COR_RES_SERVICES,
	.watches = { { COR_RES_SERVICES, NULL }, { COR_RES_NODES, map_nodes } },
	.n_watches = 2,
	.plan = plan_lb,
};
