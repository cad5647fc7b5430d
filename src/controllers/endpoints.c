// SPDX-License-Identifier: Apache-2.0
// Which pods stand behind a Service (see endpoints.h), and the older form of the answer, Endpoints
// objects (facts/controllers.md 14.7). EndpointSlices are in endpointslice.c.
#include "controllers/endpoints.h"

#include "codec/codec.h"
#include "controllers/rows.h"

enum { ADDRESSES_MAX = 1000 };

static const struct cor_str HEADLESS_LABEL = COR_STR_INIT("service.kubernetes.io/headless");

bool cor_service_has_backends(const struct core_v1_Service *svc) {
	return svc->spec.selector.n > 0 && !cor_str_eq(svc->spec.type, COR_STR("ExternalName"));
}

bool cor_service_headless(const struct core_v1_Service *svc) {
	return svc->spec.clusterIP.n == 0 || cor_str_eq(svc->spec.clusterIP, COR_STR("None"));
}

static bool is_reserved(struct cor_str key) {
	return cor_str_eq(key, HEADLESS_LABEL) || cor_str_eq(key, COR_STR("kubernetes.io/service-name")) ||
		cor_str_eq(key, COR_STR("endpointslice.kubernetes.io/managed-by")) ||
		cor_str_eq(key, COR_STR("endpoints.kubernetes.io/managed-by"));
}

struct cor_strmap cor_backend_labels(struct cor_plan *p, const struct core_v1_Service *svc) {
	struct cor_strmap labels = { 0 };
	for (size_t i = 0; i < svc->metadata.labels.n; i++)
		if (!is_reserved(svc->metadata.labels.p[i].key))
			cor_strmap_set(cor_plan_arena(p), &labels, svc->metadata.labels.p[i].key,
				svc->metadata.labels.p[i].value);
	if (cor_service_headless(svc))
		cor_strmap_set(cor_plan_arena(p), &labels, HEADLESS_LABEL, COR_STR(""));
	return labels;
}

/* ---- ports ---- */

static const struct core_v1_ContainerPort *port_in(const struct core_v1_Container *c, const struct core_v1_ServicePort *sp) {
	for (size_t i = 0; i < c->ports.n; i++)
		if (cor_str_eq(c->ports.p[i].name, sp->targetPort.s) && cor_str_eq(c->ports.p[i].protocol, sp->protocol))
			return &c->ports.p[i];
	return NULL;
}

/* 0 when the pod has no port of that name. */
static int32_t resolve(const struct core_v1_Pod *pod, const struct core_v1_ServicePort *sp) {
	if (sp->targetPort.kind == COR_INTSTR_NONE)
		return sp->port;
	if (sp->targetPort.kind == COR_INTSTR_INT)
		return sp->targetPort.i ? sp->targetPort.i : sp->port;
	const struct core_v1_ContainerPort *found = NULL;
	for (size_t i = 0; i < pod->spec.containers.n && !found; i++)
		found = port_in(&pod->spec.containers.p[i], sp);
	for (size_t i = 0; i < pod->spec.initContainers.n && !found; i++)
		if (cor_str_eq(pod->spec.initContainers.p[i].restartPolicy, COR_STR("Always")))
			found = port_in(&pod->spec.initContainers.p[i], sp);
	return found ? found->containerPort : 0;
}

static struct cor_backend_group ports_of(struct cor_plan *p, const struct core_v1_Service *svc,
	const struct core_v1_Pod *pod) {
	struct cor_arena *a = cor_plan_arena(p);
	struct cor_backend_group g = { 0 };
	for (size_t i = 0; i < svc->spec.ports.n; i++) {
		const struct core_v1_ServicePort *sp = &svc->spec.ports.p[i];
		int32_t number = resolve(pod, sp);
		if (number == 0)
			continue;
		struct discovery_v1_EndpointPort *port = cor_arena_push(a, &g.ports);
		int32_t *slot = cor_arena_new_of(a, int32_t);
		if (!port || !slot)
			break;
		*slot = number;
		*port = (struct discovery_v1_EndpointPort){
			.name = sp->name.p ? sp->name : COR_STR(""), .port = slot, .appProtocol = sp->appProtocol,
			.protocol = sp->protocol.n > 0 ? sp->protocol : COR_STR("TCP"),
		};
	}
	return g;
}

static bool same_ports(const struct cor_backend_group *a, const struct cor_backend_group *b) {
	if (a->ports.n != b->ports.n)
		return false;
	for (size_t i = 0; i < a->ports.n; i++)
		if (!cor_obj_equal(&cor_type_discovery_v1_EndpointPort, &a->ports.p[i], &b->ports.p[i]))
			return false;
	return true;
}

static void add_pod(struct cor_plan *p, const struct core_v1_Service *svc, const struct core_v1_Pod *pod,
	struct cor_backends *out) {
	struct cor_arena *a = cor_plan_arena(p);
	struct cor_backend_group g = ports_of(p, svc, pod);
	struct cor_backend_group *into = NULL;
	for (size_t i = 0; i < out->n && !into; i++)
		if (same_ports(&out->p[i], &g))
			into = &out->p[i];
	if (!into) {
		into = cor_arena_push(a, out);
		if (!into)
			return;
		*into = g;
	}
	struct cor_backend_pod *b = cor_arena_push(a, &into->pods);
	if (!b)
		return;
	bool ready = cor_pod_ready(pod), terminating = cor_deleting(&pod->metadata);
	*b = (struct cor_backend_pod){
		.pod = pod, .serving = ready, .terminating = terminating,
		.ready = svc->spec.publishNotReadyAddresses || (ready && !terminating),
		.named = pod->spec.hostname.n > 0 && cor_str_eq(pod->spec.subdomain, svc->metadata.name),
	};
}

struct cor_backends cor_service_backends(struct cor_plan *p, const struct core_v1_Service *svc) {
	struct cor_backends out = { 0 };
	struct cor_selector sel;
	struct cor_err err;
	if (cor_selector_from_map(cor_plan_arena(p), &svc->spec.selector, &sel, &err) < 0)
		return out;
	struct cor_objects pods = cor_plan_list_selected(p, COR_RES_PODS, svc->metadata.namespace, &sel);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		if (pod->status.podIP.n > 0 && !cor_pod_finished(pod))
			add_pod(p, svc, pod, &out);
	}
	return out;
}

/* ---- what wakes a Service ---- */

struct service_search {
	struct cor_enqueue *q;
	const struct cor_event *ev;
	struct cor_arena *arena;
};

static bool selects(struct cor_selector *sel, const struct cor_obj *o) {
	return o && cor_selector_matches(sel, &o->labels);
}

static bool wake_service(void *arg, struct cor_obj *o) {
	struct service_search *s = arg;
	struct cor_err err;
	struct cor_selector sel;
	cor_arena_reset(s->arena);
	const struct core_v1_Service *svc = cor_enqueue_read(s->q, o);
	if (svc && cor_service_has_backends(svc) &&
	    cor_selector_from_map(s->arena, &svc->spec.selector, &sel, &err) >= 0 &&
	    (selects(&sel, s->ev->obj) || selects(&sel, s->ev->old)))
		cor_enqueue(s->q, o->ns, o->name);
	return true;
}

void cor_map_pod_services(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct service_search s = { q, ev, a };
	cor_store_each(store, COR_RES_SERVICES, ev->obj->ns, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		wake_service, &s);
}

/* ---- Endpoints objects ---- */

static struct core_v1_EndpointAddress address_of(struct cor_arena *a, const struct cor_backend_pod *b) {
	struct core_v1_ObjectReference *ref = cor_arena_new_of(a, struct core_v1_ObjectReference);
	if (ref)
		*ref = (struct core_v1_ObjectReference){
			.kind = COR_STR("Pod"), .namespace = b->pod->metadata.namespace,
			.name = b->pod->metadata.name, .uid = b->pod->metadata.uid,
		};
	return (struct core_v1_EndpointAddress){
		.ip = b->pod->status.podIP, .nodeName = b->pod->spec.nodeName, .targetRef = ref,
		.hostname = b->named ? b->pod->spec.hostname : (struct cor_str){ 0 },
	};
}

static void fill_subset(struct cor_arena *a, const struct core_v1_Service *svc, const struct cor_backend_group *g,
	struct core_v1_EndpointSubset *sub, size_t *room) {
	for (size_t i = 0; i < g->ports.n; i++) {
		struct core_v1_EndpointPort *port = cor_arena_push(a, &sub->ports);
		if (port)
			*port = (struct core_v1_EndpointPort){
				.name = g->ports.p[i].name, .port = *g->ports.p[i].port,
				.protocol = g->ports.p[i].protocol, .appProtocol = g->ports.p[i].appProtocol,
			};
	}
	for (size_t i = 0; i < g->pods.n && *room > 0; i++) {
		const struct cor_backend_pod *b = &g->pods.p[i];
		if (b->terminating && !svc->spec.publishNotReadyAddresses)
			continue;
		struct core_v1_EndpointAddress *at = b->ready ? cor_arena_push(a, &sub->addresses)
			: cor_arena_push(a, &sub->notReadyAddresses);
		if (at)
			*at = address_of(a, b);
		(*room)--;
	}
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Service *svc = cor_plan_get(p, COR_RES_SERVICES, ns, name);
	if (!svc || !cor_service_has_backends(svc) || cor_deleting(&svc->metadata))
		return 0;
	struct cor_arena *a = cor_plan_arena(p);
	const struct core_v1_Endpoints *old = cor_plan_get(p, COR_RES_ENDPOINTS, ns, name);
	struct core_v1_Endpoints *e = old ? cor_obj_dup(&cor_type_core_v1_Endpoints, old, a)
		: cor_arena_new_of(a, struct core_v1_Endpoints);
	if (!e)
		return 0;
	e->metadata.name = name;
	e->metadata.namespace = ns;
	e->metadata.labels = cor_backend_labels(p, svc);
	cor_strmap_set(a, &e->metadata.labels, COR_STR("endpoints.kubernetes.io/managed-by"), COR_STR("endpoint-controller"));
	e->subsets.p = NULL;
	e->subsets.n = 0;
	struct cor_backends backends = cor_service_backends(p, svc);
	size_t room = ADDRESSES_MAX;
	for (size_t i = 0; i < backends.n; i++) {
		struct core_v1_EndpointSubset sub = { 0 };
		fill_subset(a, svc, &backends.p[i], &sub, &room);
		struct core_v1_EndpointSubset *slot = sub.addresses.n + sub.notReadyAddresses.n > 0
			? cor_arena_push(a, &e->subsets) : NULL;
		if (slot)
			*slot = sub;
	}
	if (!old)
		cor_plan_create(p, 0, COR_RES_ENDPOINTS, e)->exists_ok = true;
	else if (!cor_obj_equal(&cor_type_core_v1_Endpoints, e, old))
		(void)cor_plan_update(p, 0, COR_RES_ENDPOINTS, e);
	return 0;
}

/* Endpoints have no owner reference: they go with the Service of their name. */
static int plan_or_remove(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	if (cor_plan_get(p, COR_RES_SERVICES, ns, name))
		return plan(p, ns, name, err);
	const struct core_v1_Endpoints *old = cor_plan_get(p, COR_RES_ENDPOINTS, ns, name);
	if (old && cor_strmap_get(&old->metadata.labels, COR_STR("endpoints.kubernetes.io/managed-by")))
		(void)cor_plan_delete(p, 0, COR_RES_ENDPOINTS, ns, name, old->metadata.uid);
	return 0;
}

const struct cor_controller cor_controller_endpoints = {
	.name = "endpoint",
	.res = COR_RES_SERVICES,
	.watches = {
		{ COR_RES_SERVICES, NULL }, { COR_RES_PODS, cor_map_pod_services }, { COR_RES_ENDPOINTS, NULL },
	},
	.n_watches = 3,
	.plan = plan_or_remove,
};
