// SPDX-License-Identifier: Apache-2.0
// EndpointSlices of Services with a selector (facts/controllers.md 14.1 to 14.4). Endpoints stay in the
// slice where they are; new ones fill slices that have room, then new slices. A Service without
// endpoints has one empty slice.
#include "codec/codec.h"
#include "controllers/endpoints.h"
#include "controllers/rows.h"

enum { SLICE_MAX = 100 };

static const struct cor_str SERVICE_LABEL = COR_STR_INIT("kubernetes.io/service-name");
static const struct cor_str MANAGED_LABEL = COR_STR_INIT("endpointslice.kubernetes.io/managed-by");
static const struct cor_str MANAGER = COR_STR_INIT("endpointslice-controller.k8s.io");

struct slice {
	const struct discovery_v1_EndpointSlice *old;   /* NULL = new */
	struct discovery_v1_EndpointSlice *want;
};

struct slices {
	struct cor_plan *p;
	struct cor_arena *a;
	const struct core_v1_Service *svc;
	struct { struct slice *p; size_t n; } all;
};

static bool *flag(struct cor_arena *a, bool v) {
	bool *b = cor_arena_new_of(a, bool);
	if (b)
		*b = v;
	return b;
}

static struct cor_str zone_of(struct slices *s, struct cor_str node_name) {
	const struct core_v1_Node *node = cor_plan_get(s->p, COR_RES_NODES, COR_STR(""), node_name);
	return node ? cor_strmap_value(&node->metadata.labels, COR_STR("topology.kubernetes.io/zone"))
		: (struct cor_str){ 0 };
}

static struct discovery_v1_Endpoint endpoint_of(struct slices *s, const struct cor_backend_pod *b) {
	const struct core_v1_Pod *pod = b->pod;
	struct discovery_v1_Endpoint e = {
		.conditions = { flag(s->a, b->ready), flag(s->a, b->serving), flag(s->a, b->terminating) },
		.hostname = b->named ? pod->spec.hostname : (struct cor_str){ 0 },
		.targetRef = cor_arena_new_of(s->a, struct core_v1_ObjectReference),
		.nodeName = pod->spec.nodeName,
		.zone = zone_of(s, pod->spec.nodeName),
	};
	struct cor_str *ip = cor_arena_push(s->a, &e.addresses);
	if (ip)
		*ip = pod->status.podIP;
	if (e.targetRef)
		*e.targetRef = (struct core_v1_ObjectReference){
			.kind = COR_STR("Pod"), .namespace = pod->metadata.namespace,
			.name = pod->metadata.name, .uid = pod->metadata.uid,
		};
	return e;
}

static bool same_ports(const struct discovery_v1_EndpointSlice *s, const struct cor_backend_group *g) {
	if (s->ports.n != g->ports.n)
		return false;
	for (size_t i = 0; i < s->ports.n; i++)
		if (!cor_obj_equal(&cor_type_discovery_v1_EndpointPort, &s->ports.p[i], &g->ports.p[i]))
			return false;
	return true;
}

static bool holds(const struct discovery_v1_EndpointSlice *s, struct cor_str pod_uid) {
	for (size_t i = 0; i < s->endpoints.n; i++)
		if (s->endpoints.p[i].targetRef && cor_str_eq(s->endpoints.p[i].targetRef->uid, pod_uid))
			return true;
	return false;
}

static void put(struct slices *s, struct slice *into, const struct cor_backend_pod *b) {
	struct discovery_v1_Endpoint *e = cor_arena_push(s->a, &into->want->endpoints);
	if (e)
		*e = endpoint_of(s, b);
}

static struct slice *new_slice(struct slices *s, const struct cor_backend_group *g) {
	struct slice *x = cor_arena_push(s->a, &s->all);
	if (!x)
		return NULL;
	x->old = NULL;
	x->want = cor_arena_new_of(s->a, struct discovery_v1_EndpointSlice);
	if (!x->want)
		return NULL;
	x->want->metadata.namespace = s->svc->metadata.namespace;
	x->want->metadata.generateName = cor_arena_printf(s->a, "%.*s-", COR_STR_ARG(s->svc->metadata.name));
	x->want->addressType = COR_STR("IPv4");
	cor_add_controller_ref(s->a, &x->want->metadata, COR_RES_SERVICES, &s->svc->metadata);
	if (g) {
		x->want->ports.p = g->ports.p;
		x->want->ports.n = g->ports.n;
	}
	return x;
}

static bool fits(const struct slice *x, const struct cor_backend_group *g) {
	return x->want && x->want->endpoints.n < SLICE_MAX && same_ports(x->want, g);
}

static void place_group(struct slices *s, const struct cor_backend_group *g) {
	bool *placed = cor_arena_array(s->a, bool, g->pods.n);
	if (!placed)
		return;
	for (size_t k = 0; k < s->all.n; k++)
		for (size_t i = 0; i < g->pods.n; i++)
			if (!placed[i] && s->all.p[k].old && fits(&s->all.p[k], g) &&
			    holds(s->all.p[k].old, g->pods.p[i].pod->metadata.uid)) {
				put(s, &s->all.p[k], &g->pods.p[i]);
				placed[i] = true;
			}
	for (size_t i = 0; i < g->pods.n; i++) {
		struct slice *into = NULL;
		for (size_t k = 0; !placed[i] && k < s->all.n && !into; k++)
			if (fits(&s->all.p[k], g))
				into = &s->all.p[k];
		if (!placed[i] && !into)
			into = new_slice(s, g);
		if (into)
			put(s, into, &g->pods.p[i]);
	}
}

static void gather_old(struct slices *s) {
	struct cor_objects owned = cor_plan_list_owned(s->p, COR_RES_ENDPOINTSLICES, s->svc->metadata.namespace,
		s->svc->metadata.uid);
	for (size_t i = 0; i < owned.n; i++) {
		const struct discovery_v1_EndpointSlice *old = owned.p[i];
		if (!cor_str_eq(cor_strmap_value(&old->metadata.labels, MANAGED_LABEL), MANAGER) ||
		    cor_deleting(&old->metadata))
			continue;
		struct slice *x = cor_arena_push(s->a, &s->all);
		struct discovery_v1_EndpointSlice *want = cor_obj_dup(&cor_type_discovery_v1_EndpointSlice, old, s->a);
		if (!x || !want)
			return;
		want->endpoints.p = NULL;
		want->endpoints.n = 0;
		*x = (struct slice){ old, want };
	}
}

static void write_out(struct slices *s) {
	struct cor_strmap labels = cor_backend_labels(s->p, s->svc);
	cor_strmap_set(s->a, &labels, SERVICE_LABEL, s->svc->metadata.name);
	cor_strmap_set(s->a, &labels, MANAGED_LABEL, MANAGER);
	size_t used = 0;
	for (size_t i = 0; i < s->all.n; i++)
		used += s->all.p[i].want->endpoints.n > 0;
	for (size_t i = 0; i < s->all.n; i++) {
		struct slice *x = &s->all.p[i];
		/* The first one stays as a placeholder when all are empty, and then has no ports. */
		bool keep = x->want->endpoints.n > 0 || (used == 0 && i == 0);
		if (!keep && x->old)
			(void)cor_plan_delete(s->p, 0, COR_RES_ENDPOINTSLICES, x->old->metadata.namespace,
				x->old->metadata.name, x->old->metadata.uid);
		if (!keep)
			continue;
		if (x->want->endpoints.n == 0)
			x->want->ports.n = 0;
		x->want->metadata.labels = labels;
		if (!x->old)
			(void)cor_plan_create(s->p, 0, COR_RES_ENDPOINTSLICES, x->want);
		else if (!cor_obj_equal(&cor_type_discovery_v1_EndpointSlice, x->want, x->old))
			(void)cor_plan_update(s->p, 0, COR_RES_ENDPOINTSLICES, x->want);
	}
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Service *svc = cor_plan_get(p, COR_RES_SERVICES, ns, name);
	if (!svc || !cor_service_has_backends(svc) || cor_deleting(&svc->metadata))
		return 0;
	struct slices s = { .p = p, .a = cor_plan_arena(p), .svc = svc };
	gather_old(&s);
	struct cor_backends backends = cor_service_backends(p, svc);
	for (size_t i = 0; i < backends.n; i++)
		place_group(&s, &backends.p[i]);
	if (s.all.n == 0)
		(void)new_slice(&s, NULL);
	write_out(&s);
	return 0;
}

static void map_slice(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	const struct cor_str *svc = cor_strmap_get(&ev->obj->labels, SERVICE_LABEL);
	if (svc)
		cor_enqueue(q, ev->obj->ns, *svc);
	cor_map_controller(q, store, ev);
}

const struct cor_controller cor_controller_endpointslice = {
	.name = "endpoint-slice",
	.res = COR_RES_SERVICES,
	.watches = {
		{ COR_RES_SERVICES, NULL }, { COR_RES_PODS, cor_map_pod_services },
		{ COR_RES_ENDPOINTSLICES, map_slice },
	},
	.n_watches = 3,
	.plan = plan,
};
