// SPDX-License-Identifier: Apache-2.0
// Tables of core/v1 besides pods and storage, of slices and leases (facts/printing.md 2.3, 2.4, 2.6, 2.9).
#include "api/table_priv.h"
#include "gen/coordination_v1.h"
#include "gen/discovery_v1.h"
#include "gen/scheduling_v1.h"

static const struct column service_columns[] = {
	{ "Name", 's', false }, { "Type", 's', false }, { "Cluster-IP", 's', false }, { "External-IP", 's', false },
	{ "Port(s)", 's', false }, { "Age", 's', false }, { "Selector", 's', true },
};

static void external_ip(struct row *r, const struct core_v1_Service *s) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool lb = cor_str_eq(s->spec.type, COR_STR("LoadBalancer"));
	if (cor_str_eq(s->spec.type, COR_STR("ExternalName"))) {
		cell_str(r, s->spec.externalName);
		return;
	}
	for (size_t i = 0; lb && i < s->status.loadBalancer.ingress.n; i++) {
		const struct core_v1_LoadBalancerIngress *in = &s->status.loadBalancer.ingress.p[i];
		add_part(&b, ",", in->ip.n > 0 ? in->ip : in->hostname);
	}
	for (size_t i = 0; i < s->spec.externalIPs.n; i++)
		add_part(&b, ",", s->spec.externalIPs.p[i]);
	cell_or(r, cor_buf_view(&b), lb ? "<pending>" : "<none>");
}

static void service_row(struct row *r, const void *obj) {
	const struct core_v1_Service *s = obj;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cell_str(r, s->metadata.name);
	cell_str(r, s->spec.type);
	cell_or(r, s->spec.clusterIP, "<none>");
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

/* ---- Node ---- */

static const struct column node_columns[] = {
	{ "Name", 's', false }, { "Status", 's', false }, { "Roles", 's', false }, { "Age", 's', false },
	{ "Version", 's', false }, { "Internal-IP", 's', true }, { "External-IP", 's', true }, { "OS-Image", 's', true },
	{ "Kernel-Version", 's', true }, { "Container-Runtime", 's', true },
};

static void node_address(struct row *r, const struct core_v1_Node *n, const char *type) {
	for (size_t i = 0; i < n->status.addresses.n; i++)
		if (cor_str_eq_c(n->status.addresses.p[i].type, type)) {
			cell_str(r, n->status.addresses.p[i].address);
			return;
		}
	cell_c(r, "<none>");
}

static const char *node_status(const struct core_v1_Node *n) {
	for (size_t i = 0; i < n->status.conditions.n; i++)
		if (cor_str_eq(n->status.conditions.p[i].type, COR_STR("Ready")))
			return cor_str_eq(n->status.conditions.p[i].status, COR_STR("True")) ? "Ready" : "NotReady";
	return "Unknown";
}

static void node_row(struct row *r, const void *obj) {
	static const struct cor_str role = COR_STR_INIT("node-role.kubernetes.io/");
	const struct core_v1_Node *n = obj;
	_cleanup_buf_ struct cor_buf roles = COR_BUF_INIT;
	cell_str(r, n->metadata.name);
	cell_printf(r, "%s%s", node_status(n), n->spec.unschedulable ? ",SchedulingDisabled" : "");
	for (size_t i = 0; i < n->metadata.labels.n; i++)
		if (cor_str_starts(n->metadata.labels.p[i].key, role))
			add_part(&roles, ",", cor_str_sub(n->metadata.labels.p[i].key, role.n, 253));
	cell_or(r, cor_buf_view(&roles), "<none>");
	cell_age(r, n->metadata.creationTimestamp);
	cell_str(r, n->status.nodeInfo.kubeletVersion);
	node_address(r, n, "InternalIP");
	node_address(r, n, "ExternalIP");
	cell_or(r, n->status.nodeInfo.osImage, "<unknown>");
	if (n->status.nodeInfo.architecture.n > 0)
		cell_printf(r, "%.*s (%.*s)", COR_STR_ARG(n->status.nodeInfo.kernelVersion),
			COR_STR_ARG(n->status.nodeInfo.architecture));
	else
		cell_or(r, n->status.nodeInfo.kernelVersion, "<unknown>");
	cell_or(r, n->status.nodeInfo.containerRuntimeVersion, "<unknown>");
}

/* ---- small ones ---- */

static const struct column namespace_columns[] = {
	{ "Name", 's', false }, { "Status", 's', false }, { "Age", 's', false },
};

static void namespace_row(struct row *r, const void *obj) {
	const struct core_v1_Namespace *n = obj;
	cell_str(r, n->metadata.name);
	cell_str(r, n->status.phase);
	cell_age(r, n->metadata.creationTimestamp);
}

static const struct column configmap_columns[] = {
	{ "Name", 's', false }, { "Data", 's', false }, { "Age", 's', false },
};

static void configmap_row(struct row *r, const void *obj) {
	const struct core_v1_ConfigMap *c = obj;
	cell_str(r, c->metadata.name);
	cell_int(r, (int64_t)(c->data.n + c->binaryData.n));
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column secret_columns[] = {
	{ "Name", 's', false }, { "Type", 's', false }, { "Data", 's', false }, { "Age", 's', false },
};

static void secret_row(struct row *r, const void *obj) {
	const struct core_v1_Secret *s = obj;
	cell_str(r, s->metadata.name);
	cell_str(r, s->type);
	cell_int(r, (int64_t)s->data.n);
	cell_age(r, s->metadata.creationTimestamp);
}

static const struct column lease_columns[] = {
	{ "Name", 's', false }, { "Holder", 's', false }, { "Age", 's', false },
};

static void lease_row(struct row *r, const void *obj) {
	const struct coordination_v1_Lease *l = obj;
	cell_str(r, l->metadata.name);
	cell_str(r, l->spec.holderIdentity);
	cell_age(r, l->metadata.creationTimestamp);
}

static const struct column priority_columns[] = {
	{ "Name", 's', false }, { "Value", 'i', false }, { "Global-Default", 'b', false }, { "Age", 's', false },
	{ "PreemptionPolicy", 's', false },
};

static void priority_row(struct row *r, const void *obj) {
	const struct scheduling_v1_PriorityClass *p = obj;
	cell_str(r, p->metadata.name);
	cell_int(r, p->value);
	cell_bool(r, p->globalDefault);
	cell_age(r, p->metadata.creationTimestamp);
	cell_str(r, p->preemptionPolicy);
}

/* ---- endpoints ---- */

enum { SHOWN_MAX = 3 };

/* The first three, then how many more. */
static void cell_some(struct row *r, struct cor_buf *b, size_t n, const char *none) {
	if (n > SHOWN_MAX)
		cor_buf_printf(b, " + %zu more...", n - SHOWN_MAX);
	cell_or(r, cor_buf_view(b), none);
}

static const struct column endpoints_columns[] = {
	{ "Name", 's', false }, { "Endpoints", 's', false }, { "Age", 's', false },
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
				add_part(&b, ",", s->addresses.p[k].ip);
				if (s->ports.n > 0)
					cor_buf_printf(&b, ":%d", s->ports.p[p].port);
			}
	}
	cell_str(r, e->metadata.name);
	cell_some(r, &b, n, e->subsets.n == 0 ? "<none>" : "");
	cell_age(r, e->metadata.creationTimestamp);
}

static const struct column slice_columns[] = {
	{ "Name", 's', false }, { "AddressType", 's', false }, { "Ports", 's', false }, { "Endpoints", 's', false },
	{ "Age", 's', false },
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
	cell_some(r, &ports, s->ports.n, "<unset>");
	cell_some(r, &ips, n, "<unset>");
	cell_age(r, s->metadata.creationTimestamp);
}

/* ---- Event ---- */

static const struct column event_columns[] = {
	{ "Last Seen", 's', false }, { "Type", 's', false }, { "Reason", 's', false }, { "Object", 's', false },
	{ "Subobject", 's', true }, { "Source", 's', true }, { "Message", 's', false }, { "First Seen", 's', true },
	{ "Count", 's', true }, { "Name", 's', true },
};

static struct cor_str lower(struct cor_arena *a, struct cor_str s) {
	struct cor_str copy = cor_arena_str(a, s);
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] >= 'A' && copy.p[i] <= 'Z')
			((char *)(uintptr_t)copy.p)[i] |= 0x20;
	return copy;
}

static void event_row(struct row *r, const void *obj) {
	const struct core_v1_Event *e = obj;
	cor_time first = e->firstTimestamp ? e->firstTimestamp : e->eventTime;
	cor_time last = e->series ? e->series->lastObservedTime : e->lastTimestamp ? e->lastTimestamp : first;
	struct cor_str component = e->source.component.n > 0 ? e->source.component : e->reportingComponent;
	struct cor_str instance = e->source.host.n > 0 ? e->source.host : e->reportingInstance;
	int32_t count = e->series ? e->series->count : e->count;
	cell_age(r, last);
	cell_str(r, e->type);
	cell_str(r, e->reason);
	cell_printf(r, "%.*s%s%.*s", COR_STR_ARG(lower(r->a, e->involvedObject.kind)),
		e->involvedObject.name.n > 0 ? "/" : "", COR_STR_ARG(e->involvedObject.name));
	cell_str(r, e->involvedObject.fieldPath);
	cell_printf(r, "%.*s%s%.*s", COR_STR_ARG(component), instance.n > 0 ? ", " : "", COR_STR_ARG(instance));
	cell_str(r, cor_str_trim(e->message));
	cell_age(r, first);
	cell_int(r, count ? count : 1);
	cell_str(r, e->metadata.name);
}

const struct kind_table cor_tables_core[] = {
	KIND_TABLE(COR_RES_SERVICES, service_columns, service_row),
	KIND_TABLE(COR_RES_NODES, node_columns, node_row),
	KIND_TABLE(COR_RES_NAMESPACES, namespace_columns, namespace_row),
	KIND_TABLE(COR_RES_CONFIGMAPS, configmap_columns, configmap_row),
	KIND_TABLE(COR_RES_SECRETS, secret_columns, secret_row),
	KIND_TABLE(COR_RES_LEASES, lease_columns, lease_row),
	KIND_TABLE(COR_RES_PRIORITYCLASSES, priority_columns, priority_row),
	KIND_TABLE(COR_RES_ENDPOINTS, endpoints_columns, endpoints_row),
	KIND_TABLE(COR_RES_ENDPOINTSLICES, slice_columns, slice_row),
	KIND_TABLE(COR_RES_EVENTS, event_columns, event_row),
};
const size_t cor_tables_core_n = cor_countof(cor_tables_core);
