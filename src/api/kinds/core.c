// SPDX-License-Identifier: Apache-2.0
// Small kinds of core/v1 and of discovery and coordination: Namespace, Secret, Node, Event,
// Endpoints, EndpointSlice, Lease (facts/kinds.md 2.5, 4.2, 8).
#include "api/kinds/core.h"
#include "api/kinds/network.h"
#include "api/kinds/podspec.h"
#include "gen/coordination_v1.h"

void cor_kind_fields(
	struct cor_arena *a, struct cor_strmap *ret, const struct cor_kv *values, size_t n) {
	struct cor_kv *p = cor_arena_array(a, struct cor_kv, n);
	size_t k = 0;
	for (size_t i = 0; p && i < n; i++)
		if (values[i].value.n > 0)
			p[k++] = values[i];
	ret->p = p;
	ret->n = k;
}

void cor_kind_add_finalizer(struct cor_arena *a, struct meta_v1_ObjectMeta *m, const char *name) {
	struct cor_str *p = cor_arena_array(a, struct cor_str, m->finalizers.n + 1);
	for (size_t i = 0; i < m->finalizers.n; i++) {
		if (cor_str_eq_c(m->finalizers.p[i], name))
			return;
		if (p)
			p[i] = m->finalizers.p[i];
	}
	if (!p)
		return;
	p[m->finalizers.n] = cor_str_c(name);
	m->finalizers.p = p;
	m->finalizers.n++;
}

static void set_label(struct cor_arena *a, struct meta_v1_ObjectMeta *m, struct cor_str key,
	struct cor_str value) {
	size_t at = 0;
	while (at < m->labels.n && cor_str_cmp(m->labels.p[at].key, key) < 0)
		at++;
	bool replace = at < m->labels.n && cor_str_eq(m->labels.p[at].key, key);
	size_t n = m->labels.n + !replace;
	struct cor_kv *p = cor_arena_array(a, struct cor_kv, n);
	if (!p)
		return;
	for (size_t i = 0; i < n; i++)
		p[i] = i == at ? (struct cor_kv){ key, value }
			       : m->labels.p[i < at || replace ? i : i - 1];
	m->labels.p = p;
	m->labels.n = n;
}

/* ---- Namespace ---- */

static void namespace_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Namespace *ns = obj;
	if (ns->metadata.name.n > 0)
		set_label(ctx->arena, &ns->metadata, COR_STR("kubernetes.io/metadata.name"),
			ns->metadata.name);
	cor_default_str(&ns->status.phase, "Active");
}

static bool has_text(const struct cor_str *p, size_t n, const char *text) {
	for (size_t i = 0; i < n; i++)
		if (cor_str_eq_c(p[i], text))
			return true;
	return false;
}

static void namespace_create(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Namespace *ns = obj;
	ns->status = (struct core_v1_NamespaceStatus){ .phase = COR_STR("Active") };
	if (has_text(ns->spec.finalizers.p, ns->spec.finalizers.n, "kubernetes"))
		return;
	struct cor_str *p = cor_arena_array(ctx->arena, struct cor_str, ns->spec.finalizers.n + 1);
	if (!p)
		return;
	for (size_t i = 0; i < ns->spec.finalizers.n; i++)
		p[i] = ns->spec.finalizers.p[i];
	p[ns->spec.finalizers.n++] = COR_STR("kubernetes");
	ns->spec.finalizers.p = p;
}

static void namespace_update(struct cor_kind_ctx *ctx, void *obj, const void *old) {
	struct core_v1_Namespace *ns = obj;
	const struct core_v1_Namespace *was = old;
	ns->spec.finalizers.p = was->spec.finalizers.p;
	ns->spec.finalizers.n = was->spec.finalizers.n;
}

static int namespace_delete(struct cor_kind_ctx *ctx, const void *old, struct cor_err *err) {
	static const char *const immortal[] = { "default", "kube-system", "kube-public" };
	for (size_t i = 0; i < cor_countof(immortal); i++)
		if (cor_str_eq_c(ctx->name, immortal[i]))
			return cor_fail_status(
				err, COR_REASON_FORBIDDEN, "this namespace may not be deleted");
	return 0;
}

static const char *const namespace_labels[] = { "status.phase", NULL };

static void namespace_fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct cor_kv v[] = { { COR_STR("status.phase"),
		((const struct core_v1_Namespace *)obj)->status.phase } };
	cor_kind_fields(a, ret, v, 1);
}

const struct cor_kind_ops cor_kind_namespace = {
	.res = COR_RES_NAMESPACES,
	.flags = COR_KIND_DELETE_RETURNS_OBJECT,
	.defaults = namespace_defaults,
	.prepare_create = namespace_create,
	.prepare_update = namespace_update,
	.admit_delete = namespace_delete,
	.validate_status = cor_namespace_validate_status,
	.name_rule = cor_name_label,
	.fields = namespace_fields,
	.field_labels = namespace_labels,
};

/* ---- Secret ---- */

static void secret_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Secret *s = obj;
	/* stringData is write-only: merged over data, never shown. Both are sorted by key. */
	if (s->stringData.n > 0) {
		struct cor_kv *p =
			cor_arena_array(ctx->arena, struct cor_kv, s->data.n + s->stringData.n);
		size_t n = 0, i = 0, k = 0;
		while (p && (i < s->data.n || k < s->stringData.n)) {
			int c = i == s->data.n ? 1
				: k == s->stringData.n
					? -1
					: cor_str_cmp(s->data.p[i].key, s->stringData.p[k].key);
			p[n++] = c < 0 ? s->data.p[i] : s->stringData.p[k];
			i += c <= 0;
			k += c >= 0;
		}
		s->data.p = p;
		s->data.n = n;
	}
	s->stringData = (struct cor_strmap){ 0 };
	cor_default_str(&s->type, "Opaque");
}

static const char *const secret_labels[] = { "type", NULL };

static void secret_fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct cor_kv v[] = { { COR_STR("type"),
		((const struct core_v1_Secret *)obj)->type } };
	cor_kind_fields(a, ret, v, 1);
}

const struct cor_kind_ops cor_kind_secret = {
	.res = COR_RES_SECRETS,
	.defaults = secret_defaults,
	.validate = cor_secret_validate,
	.validate_update = cor_secret_validate_update,
	.fields = secret_fields,
	.field_labels = secret_labels,
};

const struct cor_kind_ops cor_kind_serviceaccount = {
	.res = COR_RES_SERVICEACCOUNTS,
	.flags = COR_KIND_DELETE_RETURNS_OBJECT,
};

const struct cor_kind_ops cor_kind_configmap = {
	.res = COR_RES_CONFIGMAPS,
	.validate = cor_configmap_validate,
	.validate_update = cor_configmap_validate_update,
};

/* ---- Node ---- */

static void node_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Node *n = obj;
	if (n->status.allocatable.n == 0)
		n->status.allocatable = n->status.capacity;
	if (n->spec.podCIDR.n == 0 && n->spec.podCIDRs.n > 0)
		n->spec.podCIDR = n->spec.podCIDRs.p[0];
}

static int node_admit(struct cor_kind_ctx *ctx, void *obj, const void *old, struct cor_err *err) {
	struct core_v1_Node *n = obj;
	if (old)
		return 0;
	struct core_v1_Taint *p =
		cor_arena_array(ctx->arena, struct core_v1_Taint, n->spec.taints.n + 1);
	for (size_t i = 0; i < n->spec.taints.n; i++) {
		if (cor_str_eq(n->spec.taints.p[i].key, COR_STR("node.kubernetes.io/not-ready")))
			return 0;
		if (p)
			p[i] = n->spec.taints.p[i];
	}
	if (!p)
		return 0;
	p[n->spec.taints.n++] = (struct core_v1_Taint){
		.key = COR_STR("node.kubernetes.io/not-ready"),
		.effect = COR_STR("NoSchedule"),
	};
	n->spec.taints.p = p;
	return 0;
}

static const char *const node_labels[] = { "spec.unschedulable", NULL };

static void node_fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct core_v1_Node *n = obj;
	const struct cor_kv v[] = {
		{ COR_STR("spec.unschedulable"),
			n->spec.unschedulable ? COR_STR("true") : COR_STR("false") },
	};
	cor_kind_fields(a, ret, v, 1);
}

static const struct core_v1_NodeCondition *condition_of(const struct core_v1_Node *n, struct cor_str type) {
	for (size_t i = 0; i < n->status.conditions.n; i++)
		if (cor_str_eq(n->status.conditions.p[i].type, type))
			return &n->status.conditions.p[i];
	return NULL;
}

/* A status that only says when it was written keeps the disk out of it, and so does pressure: a full disk must
 * be able to say so. The agent says it again until it is over. */
static bool node_heartbeat(struct cor_kind_ctx *ctx, const void *obj, const void *old) {
	struct core_v1_Node *a = cor_obj_dup(&cor_type_core_v1_Node, obj, ctx->arena);
	struct core_v1_Node *b = cor_obj_dup(&cor_type_core_v1_Node, old, ctx->arena);
	if (!a || !b)
		return false;
	for (size_t i = 0; i < b->status.conditions.n; i++)
		b->status.conditions.p[i].lastHeartbeatTime = 0;
	for (size_t i = 0; i < a->status.conditions.n; i++) {
		struct core_v1_NodeCondition *c = &a->status.conditions.p[i];
		const struct core_v1_NodeCondition *before = condition_of(b, c->type);
		bool pressure = cor_str_ends(c->type, COR_STR("Pressure")) && cor_str_eq(c->status, COR_STR("True"));
		c->lastHeartbeatTime = 0;
		if (pressure && before)
			*c = *before;
	}
	a->metadata.resourceVersion = b->metadata.resourceVersion;
	return cor_obj_equal(&cor_type_core_v1_Node, a, b);
}

const struct cor_kind_ops cor_kind_node = {
	.res = COR_RES_NODES,
	.flags = COR_KIND_MEMORY_STATUS | COR_KIND_STATUS_ON_CREATE,
	.defaults = node_defaults,
	.admit = node_admit,
	.fields = node_fields,
	.field_labels = node_labels,
	.heartbeat = node_heartbeat,
	.validate = cor_node_validate,
	.validate_update = cor_node_validate_update,
	.validate_status = cor_node_validate_status,
};

/* ---- Lease ---- */

static bool lease_heartbeat(struct cor_kind_ctx *ctx, const void *obj, const void *old) {
	struct coordination_v1_Lease *a =
		cor_obj_dup(&cor_type_coordination_v1_Lease, obj, ctx->arena);
	const struct coordination_v1_Lease *b = old;
	if (!a || !a->spec.renewTime)
		return false;
	a->spec.renewTime = b->spec.renewTime;
	a->metadata.resourceVersion = b->metadata.resourceVersion;
	return cor_obj_equal(&cor_type_coordination_v1_Lease, a, b);
}

const struct cor_kind_ops cor_kind_lease = {
	.res = COR_RES_LEASES,
	.flags = COR_KIND_CREATE_ON_UPDATE | COR_KIND_NO_UNCONDITIONAL | COR_KIND_MEMORY_STATUS,
	.heartbeat = lease_heartbeat,
};

/* ---- Event ---- */

static const char *const event_labels[] = {
	"involvedObject.apiVersion",
	"involvedObject.fieldPath",
	"involvedObject.kind",
	"involvedObject.name",
	"involvedObject.namespace",
	"involvedObject.resourceVersion",
	"involvedObject.uid",
	"reason",
	"reportingComponent",
	"source",
	"type",
	NULL,
};

static void event_fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct core_v1_Event *e = obj;
	const struct core_v1_ObjectReference *o = &e->involvedObject;
	const struct cor_kv v[] = {
		{ COR_STR("involvedObject.apiVersion"), o->apiVersion },
		{ COR_STR("involvedObject.fieldPath"), o->fieldPath },
		{ COR_STR("involvedObject.kind"), o->kind },
		{ COR_STR("involvedObject.name"), o->name },
		{ COR_STR("involvedObject.namespace"), o->namespace },
		{ COR_STR("involvedObject.resourceVersion"), o->resourceVersion },
		{ COR_STR("involvedObject.uid"), o->uid },
		{ COR_STR("reason"), e->reason },
		{ COR_STR("reportingComponent"), e->reportingComponent },
		{ COR_STR("source"),
			e->source.component.n > 0 ? e->source.component : e->reportingComponent },
		{ COR_STR("type"), e->type },
	};
	cor_kind_fields(a, ret, v, cor_countof(v));
}

const struct cor_kind_ops cor_kind_event = {
	.res = COR_RES_EVENTS,
	.flags = COR_KIND_CREATE_ON_UPDATE | COR_KIND_NO_GC,
	.name_rule = cor_name_path_segment,
	.validate = cor_event_validate,
	.fields = event_fields,
	.field_labels = event_labels,
};

/* ---- Endpoints, EndpointSlice ---- */

static void endpoints_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Endpoints *e = obj;
	for (size_t i = 0; i < e->subsets.n; i++)
		for (size_t k = 0; k < e->subsets.p[i].ports.n; k++)
			cor_default_str(&e->subsets.p[i].ports.p[k].protocol, "TCP");
}

const struct cor_kind_ops cor_kind_endpoints = {
	.res = COR_RES_ENDPOINTS,
	.flags = COR_KIND_CREATE_ON_UPDATE,
	.defaults = endpoints_defaults,
	.validate = cor_endpoints_validate,
	.validate_update = cor_endpoints_validate_update,
};

static void slice_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct discovery_v1_EndpointSlice *s = obj;
	for (size_t i = 0; i < s->ports.n; i++) {
		if (!s->ports.p[i].name.p)
			s->ports.p[i].name = COR_STR("");
		cor_default_str(&s->ports.p[i].protocol, "TCP");
	}
}

const struct cor_kind_ops cor_kind_endpointslice = {
	.res = COR_RES_ENDPOINTSLICES,
	.flags = COR_KIND_GENERATION,
	.defaults = slice_defaults,
	.validate = cor_slice_validate,
	.validate_update = cor_slice_validate_update,
};
