// SPDX-License-Identifier: Apache-2.0
// EndpointSlices of Endpoints that people or their controllers write for Services without a selector
// (facts/controllers.md 14.8): one slice for each subset and family of addresses.
#include "codec/codec.h"
#include "controllers/endpoints.h"
#include "controllers/rows.h"

enum { ADDRESSES_MAX = 1000 };

static const struct cor_str SERVICE_LABEL = COR_STR_INIT("kubernetes.io/service-name");
static const struct cor_str MANAGED_LABEL = COR_STR_INIT("endpointslice.kubernetes.io/managed-by");
static const struct cor_str MANAGER = COR_STR_INIT("endpointslicemirroring-controller.k8s.io");

struct mirror {
	struct cor_plan *p;
	struct cor_arena *a;
	const struct core_v1_Endpoints *e;
	struct { struct discovery_v1_EndpointSlice *p; size_t n; } want;
	size_t skipped;
};

/* Elections once stored their leader in Endpoints: those are no addresses of a Service. */
static bool is_mirrored(struct cor_plan *p, const struct core_v1_Endpoints *e) {
	const struct core_v1_Service *svc = cor_plan_get(p, COR_RES_SERVICES, e->metadata.namespace, e->metadata.name);
	return svc && svc->spec.selector.n == 0 && !cor_deleting(&e->metadata) &&
		!cor_str_eq(cor_strmap_value(&e->metadata.labels, COR_STR("endpointslice.kubernetes.io/skip-mirror")),
			COR_STR("true")) &&
		!cor_strmap_get(&e->metadata.annotations, COR_STR("control-plane.alpha.kubernetes.io/leader"));
}

static struct cor_strmap annotations_of(const struct mirror *m) {
	struct cor_strmap out = { 0 };
	for (size_t i = 0; i < m->e->metadata.annotations.n; i++) {
		const struct cor_kv *kv = &m->e->metadata.annotations.p[i];
		if (!cor_str_eq(kv->key, COR_STR("endpoints.kubernetes.io/last-change-trigger-time")) &&
		    !cor_str_eq(kv->key, COR_STR("kubectl.kubernetes.io/last-applied-configuration")))
			cor_strmap_set(m->a, &out, kv->key, kv->value);
	}
	return out;
}

static struct cor_strmap labels_of(const struct mirror *m) {
	struct cor_strmap out = { 0 };
	for (size_t i = 0; i < m->e->metadata.labels.n; i++)
		cor_strmap_set(m->a, &out, m->e->metadata.labels.p[i].key, m->e->metadata.labels.p[i].value);
	cor_strmap_set(m->a, &out, SERVICE_LABEL, m->e->metadata.name);
	cor_strmap_set(m->a, &out, MANAGED_LABEL, MANAGER);
	return out;
}

static void add_port(struct mirror *m, struct discovery_v1_EndpointSlice *s, const struct core_v1_EndpointPort *from) {
	struct discovery_v1_EndpointPort *port = cor_arena_push(m->a, &s->ports);
	int32_t *number = cor_arena_new_of(m->a, int32_t);
	if (!port || !number)
		return;
	*number = from->port;
	*port = (struct discovery_v1_EndpointPort){
		.name = from->name.p ? from->name : COR_STR(""), .port = number, .appProtocol = from->appProtocol,
		.protocol = from->protocol.n > 0 ? from->protocol : COR_STR("TCP"),
	};
}

static void add_address(struct mirror *m, struct discovery_v1_EndpointSlice *s,
	const struct core_v1_EndpointAddress *from, bool ready) {
	struct discovery_v1_Endpoint *e = cor_arena_push(m->a, &s->endpoints);
	bool *flag = cor_arena_new_of(m->a, bool);
	if (!e || !flag)
		return;
	*flag = ready;
	*e = (struct discovery_v1_Endpoint){
		.conditions.ready = flag, .hostname = from->hostname, .nodeName = from->nodeName,
		.targetRef = from->targetRef,
	};
	struct cor_str *ip = cor_arena_push(m->a, &e->addresses);
	if (ip)
		*ip = from->ip;
}

/* Those of one family, ready ones first. */
static void add_family(struct mirror *m, const struct core_v1_EndpointSubset *sub, bool six) {
	struct discovery_v1_EndpointSlice s = { .addressType = six ? COR_STR("IPv6") : COR_STR("IPv4") };
	for (size_t i = 0; i < sub->addresses.n + sub->notReadyAddresses.n; i++) {
		bool ready = i < sub->addresses.n;
		const struct core_v1_EndpointAddress *from =
			ready ? &sub->addresses.p[i] : &sub->notReadyAddresses.p[i - sub->addresses.n];
		if (cor_str_contains(from->ip, COR_STR(":")) != six)
			continue;
		if (i < ADDRESSES_MAX)
			add_address(m, &s, from, ready);
		else
			m->skipped++;
	}
	for (size_t i = 0; i < sub->ports.n; i++)
		add_port(m, &s, &sub->ports.p[i]);
	struct discovery_v1_EndpointSlice *slot = s.endpoints.n > 0 ? cor_arena_push(m->a, &m->want) : NULL;
	if (slot)
		*slot = s;
}

static bool same_ports(const struct discovery_v1_EndpointSlice *a, const struct discovery_v1_EndpointSlice *b) {
	bool same = a->ports.n == b->ports.n && cor_str_eq(a->addressType, b->addressType);
	for (size_t i = 0; same && i < a->ports.n; i++)
		same = cor_obj_equal(&cor_type_discovery_v1_EndpointPort, &a->ports.p[i], &b->ports.p[i]);
	return same;
}

static void put(struct mirror *m, struct discovery_v1_EndpointSlice *want, const struct discovery_v1_EndpointSlice *old) {
	struct meta_v1_ObjectMeta wanted = { .annotations = annotations_of(m), .labels = labels_of(m) };
	if (old) {
		want->metadata = old->metadata;
		want->kind = old->kind;
		want->apiVersion = old->apiVersion;
	} else {
		want->metadata.namespace = m->e->metadata.namespace;
		want->metadata.generateName = cor_arena_printf(m->a, "%.*s-", COR_STR_ARG(m->e->metadata.name));
		cor_add_controller_ref(m->a, &want->metadata, COR_RES_ENDPOINTS, &m->e->metadata);
	}
	want->metadata.labels = wanted.labels;
	want->metadata.annotations = wanted.annotations;
	if (!old)
		(void)cor_plan_create(m->p, 0, COR_RES_ENDPOINTSLICES, want);
	else if (!cor_obj_equal(&cor_type_discovery_v1_EndpointSlice, want, old))
		(void)cor_plan_update(m->p, 0, COR_RES_ENDPOINTSLICES, want);
}

/* Each wanted slice takes an old one of its ports if there is one; what remains of the old ones goes. */
static void write_out(struct mirror *m) {
	struct cor_objects old = cor_plan_list_owned(m->p, COR_RES_ENDPOINTSLICES, m->e->metadata.namespace,
		m->e->metadata.uid);
	bool *taken = cor_arena_array(m->a, bool, old.n);
	for (size_t i = 0; taken && i < m->want.n; i++) {
		const struct discovery_v1_EndpointSlice *match = NULL;
		for (size_t k = 0; k < old.n && !match; k++) {
			if (taken[k] || !same_ports(&m->want.p[i], old.p[k]))
				continue;
			match = old.p[k];
			taken[k] = true;
		}
		put(m, &m->want.p[i], match);
	}
	for (size_t k = 0; taken && k < old.n; k++) {
		const struct discovery_v1_EndpointSlice *s = old.p[k];
		if (!taken[k] && !cor_deleting(&s->metadata) &&
		    cor_str_eq(cor_strmap_value(&s->metadata.labels, MANAGED_LABEL), MANAGER))
			(void)cor_plan_delete(m->p, 0, COR_RES_ENDPOINTSLICES, s->metadata.namespace, s->metadata.name,
				s->metadata.uid);
	}
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Endpoints *e = cor_plan_get(p, COR_RES_ENDPOINTS, ns, name);
	if (!e)
		return 0;       /* the garbage collector takes its slices */
	struct mirror m = { .p = p, .a = cor_plan_arena(p), .e = e };
	for (size_t i = 0; i < e->subsets.n && is_mirrored(p, e); i++) {
		add_family(&m, &e->subsets.p[i], false);
		add_family(&m, &e->subsets.p[i], true);
	}
	write_out(&m);
	if (m.skipped > 0)
		cor_plan_event(p, 0, COR_RES_ENDPOINTS, e, "Warning", "TooManyAddressesToMirror",
			"A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. "
			"%zu addresses were skipped", m.skipped);
	return 0;
}

const struct cor_controller cor_controller_endpointslice_mirror = {
	.name = "endpoint-slice-mirroring",
	.res = COR_RES_ENDPOINTS,
	.watches = {
		{ COR_RES_ENDPOINTS, NULL }, { COR_RES_SERVICES, NULL }, { COR_RES_ENDPOINTSLICES, cor_map_controller },
	},
	.n_watches = 3,
	.plan = plan,
};
