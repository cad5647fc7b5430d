// SPDX-License-Identifier: Apache-2.0
// Kinds whose rules fit into a line or two: how they are named, whether a PUT may create them or
// needs a resourceVersion, what a deletion answers (facts/kinds.md 2.5 and 3.2).
#include "api/kinds/network.h"
#include "api/kinds/podspec.h"
#include "gen/autoscaling_v2.h"
#include "gen/policy_v1.h"
#include "gen/rbac_v1.h"
#include "gen/scheduling_v1.h"

/* ---- RBAC ---- */

static const struct cor_str rbac_group = COR_STR_INIT("rbac.authorization.k8s.io");

static void default_subjects(rbac_v1_Subject *p, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (p[i].apiGroup.n == 0)
			p[i].apiGroup = cor_str_eq_c(p[i].kind, "ServiceAccount") ? COR_STR("")
										  : rbac_group;
}

static void binding_defaults(struct cor_kind_ctx *ctx, void *obj) {
	rbac_v1_RoleBinding *b = obj;
	if (b->roleRef.apiGroup.n == 0)
		b->roleRef.apiGroup = rbac_group;
	default_subjects(b->subjects.p, b->subjects.n);
}

static void cluster_binding_defaults(struct cor_kind_ctx *ctx, void *obj) {
	rbac_v1_ClusterRoleBinding *b = obj;
	if (b->roleRef.apiGroup.n == 0)
		b->roleRef.apiGroup = rbac_group;
	default_subjects(b->subjects.p, b->subjects.n);
}

static void check_role(
	const rbac_v1_RoleRef *now, const rbac_v1_RoleRef *old, struct cor_field_errors *errs) {
	if (!cor_obj_equal(&cor_type_rbac_v1_RoleRef, now, old))
		cor_fe_invalid(errs, COR_ROOT("roleRef"),
			cor_fv_obj(errs, &cor_type_rbac_v1_RoleRef, now), "cannot change roleRef");
}

static void binding_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *errs) {
	check_role(&((const rbac_v1_RoleBinding *)obj)->roleRef,
		&((const rbac_v1_RoleBinding *)old)->roleRef, errs);
}

static void cluster_binding_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *errs) {
	check_role(&((const rbac_v1_ClusterRoleBinding *)obj)->roleRef,
		&((const rbac_v1_ClusterRoleBinding *)old)->roleRef, errs);
}

static void check_rules(
	const rbac_v1_PolicyRule *p, size_t n, bool namespaced, struct cor_field_errors *errs) {
	const struct cor_fpath *rules = COR_ROOT("rules");
	for (size_t i = 0; i < n; i++) {
		const struct cor_fpath *at = COR_INDEX(rules, i);
		if (p[i].verbs.n == 0)
			cor_fe_required(errs, COR_FIELD(at, "verbs"),
				"verbs must contain at least one value");
		if (p[i].nonResourceURLs.n) {
			if (namespaced)
				cor_fe_invalid(errs, COR_FIELD(at, "nonResourceURLs"),
					cor_fv_strings(errs, p[i].nonResourceURLs.p,
						p[i].nonResourceURLs.n),
					"namespaced rules cannot apply to non-resource URLs");
			continue;
		}
		if (p[i].apiGroups.n == 0)
			cor_fe_required(errs, COR_FIELD(at, "apiGroups"),
				"resource rules must supply at least one api group");
		if (p[i].resources.n == 0)
			cor_fe_required(errs, COR_FIELD(at, "resources"),
				"resource rules must supply at least one resource");
	}
}

static void role_validate(
	struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *errs) {
	const rbac_v1_Role *r = obj;
	check_rules(r->rules.p, r->rules.n, true, errs);
}

static void cluster_role_validate(
	struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *errs) {
	const rbac_v1_ClusterRole *r = obj;
	check_rules(r->rules.p, r->rules.n, false, errs);
}

static void role_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *errs) {
	role_validate(ctx, obj, errs);
}

static void cluster_role_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *errs) {
	cluster_role_validate(ctx, obj, errs);
}

/* ---- PodDisruptionBudget ---- */

static void check_share(
	struct cor_field_errors *e, const struct cor_fpath *at, struct cor_intstr v) {
	int64_t percent;
	if (v.kind == COR_INTSTR_INT)
		(void)cor_fe_not_negative(e, at, v.i);
	else if (v.kind == COR_INTSTR_STR && cor_fe_broken(e, at, v.s, cor_check_percent(v.s)) &&
		 cor_str_to_i64(cor_str_sub(v.s, 0, v.s.n - 1), &percent) && percent > 100)
		cor_fe_invalid(e, at, cor_fv_intstr(e, v), "must not be greater than 100%%");
}

static void budget_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const policies[] = { "AlwaysAllow", "IfHealthyBudget", NULL };
	const policy_v1_PodDisruptionBudgetSpec *s =
		&((const policy_v1_PodDisruptionBudget *)obj)->spec;
	const struct cor_fpath *spec = COR_ROOT("spec");
	if (s->minAvailable.kind && s->maxUnavailable.kind)
		cor_fe_invalid(e, spec,
			cor_fv_obj(e, &cor_type_policy_v1_PodDisruptionBudgetSpec, s),
			"minAvailable and maxUnavailable cannot be both set");
	check_share(e, COR_FIELD(spec, "minAvailable"), s->minAvailable);
	check_share(e, COR_FIELD(spec, "maxUnavailable"), s->maxUnavailable);
	if (s->selector)
		cor_validate_label_selector(e, COR_FIELD(spec, "selector"), s->selector, false);
	if (s->unhealthyPodEvictionPolicy.p)
		(void)cor_fe_one_of(e, COR_FIELD(spec, "unhealthyPodEvictionPolicy"),
			s->unhealthyPodEvictionPolicy, policies);
}

static void budget_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	budget_validate(ctx, obj, e);
}

/* ---- PriorityClass ---- */

enum { USER_PRIORITY_MAX = 1000000000 };

static void priority_defaults(struct cor_kind_ctx *ctx, void *obj) {
	scheduling_v1_PriorityClass *p = obj;
	cor_default_str(&p->preemptionPolicy, "PreemptLowerPriority");
}

static void priority_validate(
	struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const preemption[] = { "Never", "PreemptLowerPriority", NULL };
	static const struct {
		const char *name;
		int32_t value;
	} built_in[] = {
		{ "system-node-critical", 2000001000 },
		{ "system-cluster-critical", 2000000000 },
	};
	const scheduling_v1_PriorityClass *p = obj;
	bool ours = false;
	for (size_t i = 0; i < cor_countof(built_in); i++)
		ours |= cor_str_eq_c(p->metadata.name, built_in[i].name) &&
			p->value == built_in[i].value;
	if (!ours && cor_str_starts(p->metadata.name, COR_STR("system-")))
		cor_fe_forbidden(e, COR_ROOT("metadata.name"),
			"priority class names with 'system-' prefix are reserved for system use "
			"only");
	else if (!ours && p->value > USER_PRIORITY_MAX)
		cor_fe_forbidden(e, COR_ROOT("value"),
			"maximum allowed value of a user defined priority is %d",
			USER_PRIORITY_MAX);
	if (p->preemptionPolicy.p)
		(void)cor_fe_one_of(
			e, COR_ROOT("preemptionPolicy"), p->preemptionPolicy, preemption);
}

static void priority_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const scheduling_v1_PriorityClass *p = obj, *was = old;
	if (p->value != was->value)
		cor_fe_forbidden(e, COR_ROOT("value"), "may not be changed in an update.");
	(void)cor_fe_immutable_str(
		e, COR_ROOT("preemptionPolicy"), p->preemptionPolicy, was->preemptionPolicy);
}

/* ---- HorizontalPodAutoscaler ---- */

static void hpa_defaults(struct cor_kind_ctx *ctx, void *obj) {
	autoscaling_v2_HorizontalPodAutoscaler *h = obj;
	cor_default_i32(ctx->arena, &h->spec.minReplicas, 1);
	autoscaling_v2_MetricSpec *m = h->spec.metrics.n == 0 ? cor_arena_push(ctx->arena, &h->spec.metrics) : NULL;
	if (!m || !(m->resource = cor_arena_new_of(ctx->arena, autoscaling_v2_ResourceMetricSource)))
		return;
	m->type = COR_STR("Resource");
	m->resource->name = COR_STR("cpu");
	m->resource->target.type = COR_STR("Utilization");
	cor_default_i32(ctx->arena, &m->resource->target.averageUtilization, 80);
}

/* ---- NetworkPolicy ---- */

static void policy_ports(networking_v1_NetworkPolicyPort *p, size_t n) {
	for (size_t i = 0; i < n; i++)
		cor_default_str(&p[i].protocol, "TCP");
}

static void netpol_defaults(struct cor_kind_ctx *ctx, void *obj) {
	networking_v1_NetworkPolicySpec *s = &((networking_v1_NetworkPolicy *)obj)->spec;
	for (size_t i = 0; i < s->ingress.n; i++)
		policy_ports(s->ingress.p[i].ports.p, s->ingress.p[i].ports.n);
	for (size_t i = 0; i < s->egress.n; i++)
		policy_ports(s->egress.p[i].ports.p, s->egress.p[i].ports.n);
	if (s->policyTypes.n > 0)
		return;
	struct cor_str *type = cor_arena_push(ctx->arena, &s->policyTypes);
	if (type)
		*type = COR_STR("Ingress");
	if (type && s->egress.n > 0 && (type = cor_arena_push(ctx->arena, &s->policyTypes)))
		*type = COR_STR("Egress");
}

#define RBAC(id, defaults_, validate_, update_)                                                    \
	{                                                                                          \
		.res = (id), .flags = COR_KIND_CREATE_ON_UPDATE,                                   \
		.name_rule = cor_name_path_segment, .defaults = (defaults_),                       \
		.validate = (validate_), .validate_update = (update_)                              \
	}

/* ---- the table ---- */

/* Better said at once than found out when nothing happens. */
static void only_kept(struct cor_kind_ctx *ctx, void *obj) {
	ctx->warn(ctx, "this version of Coracle keeps %s but does not act on them yet",
		ctx->res->plural);
}

#define PLAIN(id, flags_)                                                                          \
	{ .res = (id), .flags = (flags_) }
#define KEPT(id, flags_)                                                                           \
	{ .res = (id), .flags = (flags_), .prepare_create = only_kept }
#define CHECKED(id, flags_, name_)                                                                 \
	{                                                                                          \
		.res = (id), .flags = (flags_), .validate = name_##_validate,                      \
		.validate_update = name_##_validate_update                                         \
	}

static const struct cor_kind_ops others[] = {
	RBAC(COR_RES_ROLES, NULL, role_validate, role_update),
	RBAC(COR_RES_CLUSTERROLES, NULL, cluster_role_validate, cluster_role_update),
	RBAC(COR_RES_ROLEBINDINGS, binding_defaults, NULL, binding_update),
	RBAC(COR_RES_CLUSTERROLEBINDINGS, cluster_binding_defaults, NULL, cluster_binding_update),
	{ .res = COR_RES_HORIZONTALPODAUTOSCALERS, .prepare_create = only_kept, .defaults = hpa_defaults },
	{ .res = COR_RES_PODDISRUPTIONBUDGETS,
		.flags = COR_KIND_NO_UNCONDITIONAL | COR_KIND_GENERATION,
		.name_rule = cor_name_path_segment,
		.validate = budget_validate,
		.validate_update = budget_validate_update },
	{ .res = COR_RES_PRIORITYCLASSES,
		.defaults = priority_defaults,
		.validate = priority_validate,
		.validate_update = priority_validate_update },
	{ .res = COR_RES_CERTIFICATESIGNINGREQUESTS, .name_rule = cor_name_path_segment },
	KEPT(COR_RES_DAEMONSETS, COR_KIND_GENERATION),
	KEPT(COR_RES_CRONJOBS, COR_KIND_GENERATION),
	CHECKED(COR_RES_INGRESSES, COR_KIND_GENERATION, cor_ingress),
	CHECKED(COR_RES_INGRESSCLASSES, COR_KIND_GENERATION, cor_ingressclass),
	{ .res = COR_RES_NETWORKPOLICIES,
		.flags = COR_KIND_GENERATION,
		.prepare_create = only_kept,
		.defaults = netpol_defaults,
		.validate = cor_networkpolicy_validate,
		.validate_update = cor_networkpolicy_validate_update },
	PLAIN(COR_RES_FLOWSCHEMAS, COR_KIND_GENERATION),
	PLAIN(COR_RES_PRIORITYLEVELCONFIGURATIONS, COR_KIND_GENERATION),
	KEPT(COR_RES_VALIDATINGADMISSIONPOLICIES, COR_KIND_GENERATION | COR_KIND_NO_UNCONDITIONAL),
	PLAIN(COR_RES_VALIDATINGADMISSIONPOLICYBINDINGS,
		COR_KIND_GENERATION | COR_KIND_NO_UNCONDITIONAL),
	KEPT(COR_RES_MUTATINGADMISSIONPOLICIES, COR_KIND_GENERATION | COR_KIND_NO_UNCONDITIONAL),
	PLAIN(COR_RES_MUTATINGADMISSIONPOLICYBINDINGS,
		COR_KIND_GENERATION | COR_KIND_NO_UNCONDITIONAL),
	KEPT(COR_RES_VALIDATINGWEBHOOKCONFIGURATIONS, COR_KIND_NO_UNCONDITIONAL),
	KEPT(COR_RES_MUTATINGWEBHOOKCONFIGURATIONS, COR_KIND_NO_UNCONDITIONAL),
	KEPT(COR_RES_CUSTOMRESOURCEDEFINITIONS, COR_KIND_GENERATION | COR_KIND_NO_UNCONDITIONAL),
	KEPT(COR_RES_APISERVICES, COR_KIND_NO_UNCONDITIONAL),
	KEPT(COR_RES_LIMITRANGES, COR_KIND_CREATE_ON_UPDATE),
	PLAIN(COR_RES_RUNTIMECLASSES, COR_KIND_CREATE_ON_UPDATE | COR_KIND_NO_UNCONDITIONAL),
	PLAIN(COR_RES_CSIDRIVERS, COR_KIND_NO_UNCONDITIONAL | COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_CSINODES, COR_KIND_NO_UNCONDITIONAL | COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_CSISTORAGECAPACITIES, COR_KIND_NO_UNCONDITIONAL),
	PLAIN(COR_RES_VOLUMEATTACHMENTS,
		COR_KIND_NO_UNCONDITIONAL | COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_VOLUMEATTRIBUTESCLASSES, COR_KIND_DELETE_RETURNS_OBJECT),
	KEPT(COR_RES_RESOURCEQUOTAS, COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_PODTEMPLATES, COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_DEVICECLASSES, COR_KIND_GENERATION | COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_RESOURCESLICES, COR_KIND_GENERATION | COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_RESOURCECLAIMS, COR_KIND_DELETE_RETURNS_OBJECT),
	PLAIN(COR_RES_RESOURCECLAIMTEMPLATES, COR_KIND_DELETE_RETURNS_OBJECT),
};

const struct cor_kind_ops *cor_kind_others(enum cor_res res) {
	for (size_t i = 0; i < cor_countof(others); i++)
		if (others[i].res == res)
			return &others[i];
	return NULL;
}
