// SPDX-License-Identifier: Apache-2.0
// Tables of core/v1 besides pods, services and storage, of leases, classes and devices
// (facts/printing.md 2.3, 2.6, 2.9).
#include "api/table_priv.h"
#include "gen/coordination_v1.h"
#include "gen/node_v1.h"
#include "gen/resource_v1.h"
#include "gen/scheduling_v1.h"

/* ---- Node ---- */

static const struct column node_columns[] = {
	S("Name"), S("Status"), S("Roles"), S("Age"),
	S("Version"), W("Internal-IP"), W("External-IP"), W("OS-Image"),
	W("Kernel-Version"), W("Container-Runtime"),
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
	struct cor_str *roles = cor_arena_array(r->a, struct cor_str, n->metadata.labels.n + 1);
	size_t nroles = 0;
	cell_str(r, n->metadata.name);
	cell_printf(r, "%s%s", node_status(n), n->spec.unschedulable ? ",SchedulingDisabled" : "");
	for (size_t i = 0; roles && i < n->metadata.labels.n; i++) {
		struct cor_str key = n->metadata.labels.p[i].key, value = n->metadata.labels.p[i].value;
		if (cor_str_starts(key, role) && key.n > role.n)
			roles[nroles++] = cor_str_sub(key, role.n, key.n);
		else if (cor_str_eq_c(key, "kubernetes.io/role") && value.n > 0)
			roles[nroles++] = value;
	}
	cell_set(r, roles, nroles, "<none>");
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
	S("Name"), S("Status"), S("Age"),
};

static void namespace_row(struct row *r, const void *obj) {
	const struct core_v1_Namespace *n = obj;
	cell_str(r, n->metadata.name);
	cell_str(r, n->status.phase);
	cell_age(r, n->metadata.creationTimestamp);
}

static const struct column configmap_columns[] = {
	S("Name"), S("Data"), S("Age"),
};

static void configmap_row(struct row *r, const void *obj) {
	const struct core_v1_ConfigMap *c = obj;
	cell_str(r, c->metadata.name);
	cell_int(r, (int64_t)(c->data.n + c->binaryData.n));
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column secret_columns[] = {
	S("Name"), S("Type"), S("Data"), S("Age"),
};

static void secret_row(struct row *r, const void *obj) {
	const struct core_v1_Secret *s = obj;
	cell_str(r, s->metadata.name);
	cell_str(r, s->type);
	cell_int(r, (int64_t)s->data.n);
	cell_age(r, s->metadata.creationTimestamp);
}

static const struct column lease_columns[] = {
	S("Name"), S("Holder"), S("Age"),
};

static void lease_row(struct row *r, const void *obj) {
	const struct coordination_v1_Lease *l = obj;
	cell_str(r, l->metadata.name);
	cell_str(r, l->spec.holderIdentity);
	cell_age(r, l->metadata.creationTimestamp);
}

static const struct column priority_columns[] = {
	S("Name"), I("Value"), B("Global-Default"), S("Age"),
	S("PreemptionPolicy"),
};

static void priority_row(struct row *r, const void *obj) {
	const struct scheduling_v1_PriorityClass *p = obj;
	cell_str(r, p->metadata.name);
	cell_int(r, p->value);
	cell_bool(r, p->globalDefault);
	cell_age(r, p->metadata.creationTimestamp);
	cell_str(r, p->preemptionPolicy);
}

/* ---- Event ---- */

static const struct column event_columns[] = {
	S("Last Seen"), S("Type"), S("Reason"), S("Object"),
	W("Subobject"), W("Source"), S("Message"), W("First Seen"),
	W("Count"), W("Name"),
};

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

/* ---- ResourceQuota ---- */

static const struct column quota_columns[] = { S("Name"), S("Request"), S("Limit"), S("Age") };

static void quota_row(struct row *r, const void *obj) {
	const struct core_v1_ResourceQuota *q = obj;
	_cleanup_buf_ struct cor_buf requests = COR_BUF_INIT, limits = COR_BUF_INIT;
	for (size_t i = 0; i < q->status.hard.n; i++) {
		struct cor_str name = q->status.hard.p[i].key;
		const struct cor_str *used = cor_strmap_get(&q->status.used, name);
		bool limit = cor_str_eq_c(name, "limits") || cor_str_starts(name, COR_STR("limits."));
		struct cor_buf *b = limit ? &limits : &requests;
		add_part(b, ", ", name);
		cor_buf_c(b, ": ");
		cor_buf_str(b, used ? *used : COR_STR("0"));
		cor_buf_byte(b, '/');
		cor_buf_str(b, q->status.hard.p[i].value);
	}
	cell_str(r, q->metadata.name);
	cell_str(r, cor_buf_view(&requests));
	cell_str(r, cor_buf_view(&limits));
	cell_age(r, q->metadata.creationTimestamp);
}

/* ---- ComponentStatus ---- */

static const struct column component_columns[] = { S("Name"), S("Status"), S("Message"), S("Error") };

static void component_row(struct row *r, const void *obj) {
	static const struct core_v1_ComponentCondition none;
	const struct core_v1_ComponentStatus *c = obj;
	const struct core_v1_ComponentCondition *healthy = &none;
	for (size_t i = 0; i < c->conditions.n; i++)
		if (cor_str_eq_c(c->conditions.p[i].type, "Healthy"))
			healthy = &c->conditions.p[i];
	cell_str(r, c->metadata.name);
	cell_c(r, healthy == &none ? "Unknown" : cor_str_eq_c(healthy->status, "True") ? "Healthy" : "Unhealthy");
	cell_str(r, healthy->message);
	cell_str(r, healthy->error);
}

/* ---- runtime classes and devices ---- */

static const struct column runtime_columns[] = { S("Name"), S("Handler"), S("Age") };

static void runtime_row(struct row *r, const void *obj) {
	const struct node_v1_RuntimeClass *c = obj;
	cell_str(r, c->metadata.name);
	cell_str(r, c->handler);
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column device_claim_columns[] = { S("Name"), S("State"), S("Age") };

static void device_claim_row(struct row *r, const void *obj) {
	const struct resource_v1_ResourceClaim *c = obj;
	struct cor_str states[3];
	size_t n = 0;
	if (c->metadata.deletionTimestamp)
		states[n++] = COR_STR("deleted");
	else if (!c->status.allocation)
		states[n++] = COR_STR("pending");
	if (c->status.allocation) {
		states[n++] = COR_STR("allocated");
		if (c->status.reservedFor.n > 0)
			states[n++] = COR_STR("reserved");
	}
	cell_str(r, c->metadata.name);
	cell_joined(r, states, n, ",", "");
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column device_slice_columns[] = { S("Name"), S("Node"), S("Driver"), S("Pool"), S("Age") };

static void device_slice_row(struct row *r, const void *obj) {
	const struct resource_v1_ResourceSlice *s = obj;
	cell_str(r, s->metadata.name);
	cell_str(r, s->spec.nodeName);
	cell_str(r, s->spec.driver);
	cell_str(r, s->spec.pool.name);
	cell_age(r, s->metadata.creationTimestamp);
}

const struct kind_tables cor_tables_core = KIND_TABLES(
	KIND_TABLE(COR_RES_NODES, node_columns, node_row),
	KIND_TABLE(COR_RES_NAMESPACES, namespace_columns, namespace_row),
	KIND_TABLE(COR_RES_CONFIGMAPS, configmap_columns, configmap_row),
	KIND_TABLE(COR_RES_SECRETS, secret_columns, secret_row),
	KIND_TABLE(COR_RES_LEASES, lease_columns, lease_row),
	KIND_TABLE(COR_RES_PRIORITYCLASSES, priority_columns, priority_row),
	KIND_TABLE(COR_RES_EVENTS, event_columns, event_row),
	KIND_TABLE(COR_RES_RESOURCEQUOTAS, quota_columns, quota_row),
	KIND_TABLE(COR_RES_COMPONENTSTATUSES, component_columns, component_row),
	KIND_TABLE(COR_RES_RUNTIMECLASSES, runtime_columns, runtime_row),
	KIND_TABLE(COR_RES_RESOURCECLAIMS, device_claim_columns, device_claim_row),
	KIND_TABLE(COR_RES_RESOURCESLICES, device_slice_columns, device_slice_row));
