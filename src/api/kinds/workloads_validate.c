// SPDX-License-Identifier: Apache-2.0
// Validation of the kinds with a pod template (facts/kinds.md 9.1 to 9.4): the selector must select the
// template, and most of what identifies the pods cannot change.
#include "api/kinds/workloads.h"

#include "api/kinds/podspec.h"
#include "api/kinds/storage.h"
#include "codec/selector.h"

static void check_template(struct cor_field_errors *e, const struct cor_fpath *spec,
	const struct core_v1_PodTemplateSpec *t, const struct cor_str *claims, size_t n_claims) {
	const struct cor_fpath *at = COR_FIELD(spec, "template"), *pod = COR_FIELD(at, "spec");
	const struct cor_fpath *meta = COR_FIELD(at, "metadata");
	cor_validate_labels(e, COR_FIELD(meta, "labels"), &t->metadata.labels);
	cor_validate_annotations(e, COR_FIELD(meta, "annotations"), &t->metadata.annotations);
	cor_podspec_validate(e, pod, &t->spec, false, claims, n_claims);
	if (t->spec.restartPolicy.n && !cor_str_eq_c(t->spec.restartPolicy, "Always")) {
		static const char *const always[] = { "Always", NULL };
		cor_fe_not_supported(e, COR_FIELD(pod, "restartPolicy"), cor_fv_str(e, t->spec.restartPolicy),
			always);
	}
}

static void check_selector(struct cor_field_errors *e, const struct cor_fpath *spec,
	const meta_v1_LabelSelector *s, const struct core_v1_PodTemplateSpec *t, const char *kind) {
	const struct cor_fpath *at = COR_FIELD(spec, "selector");
	struct cor_selector sel;
	struct cor_err err;
	if (!s) {
		cor_fe_required(e, at, "%s", "");
		return;
	}
	size_t before = e->n;
	cor_validate_label_selector(e, at, s, false);
	if (s->matchLabels.n + s->matchExpressions.n == 0) {
		cor_fe_invalid(e, at, cor_fv_obj(e, &cor_type_meta_v1_LabelSelector, s),
			"empty selector is invalid for %s", kind);
		return;
	}
	if (e->n == before && cor_selector_from_labels(e->arena, s, &sel, &err) >= 0 &&
		!cor_selector_matches(&sel, &t->metadata.labels)) {
		const struct cor_fpath *template = COR_FIELD(spec, "template"),
			*meta = COR_FIELD(template, "metadata");
		cor_fe_invalid(e, COR_FIELD(meta, "labels"), cor_fv_map(e, &t->metadata.labels),
			"`selector` does not match template `labels`");
	}
}

static void check_replicas(struct cor_field_errors *e, const struct cor_fpath *spec, const int32_t *n,
	int32_t ready) {
	if (n)
		(void)cor_fe_not_negative(e, COR_FIELD(spec, "replicas"), *n);
	(void)cor_fe_not_negative(e, COR_FIELD(spec, "minReadySeconds"), ready);
}

/* ---- Deployment ---- */

static void check_strategy(struct cor_field_errors *e, const struct cor_fpath *spec,
	const apps_v1_DeploymentStrategy *s) {
	static const char *const types[] = { "Recreate", "RollingUpdate", NULL };
	const struct cor_fpath *at = COR_FIELD(spec, "strategy");
	if (cor_str_eq_c(s->type, "Recreate")) {
		if (s->rollingUpdate)
			cor_fe_forbidden(e, COR_FIELD(at, "rollingUpdate"),
				"may not be specified when strategy `type` is 'Recreate'");
	} else if (!cor_str_eq_c(s->type, "RollingUpdate")) {
		cor_fe_not_supported(e, at, cor_fv_obj(e, &cor_type_apps_v1_DeploymentStrategy, s), types);
	} else if (s->rollingUpdate) {
		const struct cor_intstr *un = &s->rollingUpdate->maxUnavailable, *up = &s->rollingUpdate->maxSurge;
		bool no_un = un->kind == COR_INTSTR_INT ? un->i == 0 : cor_str_eq_c(un->s, "0%");
		bool no_up = up->kind == COR_INTSTR_INT ? up->i == 0 : cor_str_eq_c(up->s, "0%");
		if (no_un && no_up)
			cor_fe_invalid(e, COR_FIELD(at, "rollingUpdate.maxUnavailable"), cor_fv_intstr(e, *un),
				"may not be 0 when `maxSurge` is 0");
	}
}

void cor_deployment_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const apps_v1_DeploymentSpec *s = &((const apps_v1_Deployment *)obj)->spec;
	const struct cor_fpath *spec = COR_ROOT("spec");
	check_replicas(e, spec, s->replicas, s->minReadySeconds);
	check_selector(e, spec, s->selector, &s->template, "deployment");
	check_template(e, spec, &s->template, NULL, 0);
	check_strategy(e, spec, &s->strategy);
	if (s->progressDeadlineSeconds && *s->progressDeadlineSeconds <= s->minReadySeconds)
		cor_fe_invalid(e, COR_FIELD(spec, "progressDeadlineSeconds"),
			cor_fv_int(e, *s->progressDeadlineSeconds), "must be greater than minReadySeconds");
}

static void same_selector(struct cor_field_errors *e, const meta_v1_LabelSelector *now,
	const meta_v1_LabelSelector *old) {
	if (now && old)
		(void)cor_fe_immutable(e, COR_ROOT("spec.selector"), &cor_type_meta_v1_LabelSelector, now, old);
}

void cor_deployment_validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e) {
	cor_deployment_validate(ctx, obj, e);
	same_selector(e, ((const apps_v1_Deployment *)obj)->spec.selector,
		((const apps_v1_Deployment *)old)->spec.selector);
}

/* ---- ReplicaSet ---- */

void cor_replicaset_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const apps_v1_ReplicaSetSpec *s = &((const apps_v1_ReplicaSet *)obj)->spec;
	const struct cor_fpath *spec = COR_ROOT("spec");
	check_replicas(e, spec, s->replicas, s->minReadySeconds);
	check_selector(e, spec, s->selector, &s->template, "deployment"); /* upstream's word */
	check_template(e, spec, &s->template, NULL, 0);
}

void cor_replicaset_validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e) {
	cor_replicaset_validate(ctx, obj, e);
	same_selector(e, ((const apps_v1_ReplicaSet *)obj)->spec.selector,
		((const apps_v1_ReplicaSet *)old)->spec.selector);
}

/* ---- StatefulSet ---- */

#define STS_UPDATE "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', " \
	"'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and " \
	"'minReadySeconds' are forbidden"

static void check_claims(struct cor_field_errors *e, const struct cor_fpath *spec,
	const apps_v1_StatefulSetSpec *s) {
	const struct cor_fpath *list = COR_FIELD(spec, "volumeClaimTemplates");
	for (size_t i = 0; i < s->volumeClaimTemplates.n; i++) {
		const core_v1_PersistentVolumeClaim *c = &s->volumeClaimTemplates.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i);
		if (c->metadata.name.n == 0)
			cor_fe_required(e, COR_FIELD(at, "metadata.name"), "%s", "");
		cor_claim_spec_validate(e, COR_FIELD(at, "spec"), &c->spec);
	}
}

static void check_statefulset(const apps_v1_StatefulSetSpec *s, struct cor_field_errors *e) {
	const struct cor_fpath *spec = COR_ROOT("spec");
	if (!cor_str_eq_c(s->podManagementPolicy, "OrderedReady") &&
		!cor_str_eq_c(s->podManagementPolicy, "Parallel"))
		cor_fe_invalid(e, COR_FIELD(spec, "podManagementPolicy"), cor_fv_str(e, s->podManagementPolicy),
			"must be 'OrderedReady' or 'Parallel'");
	const struct cor_fpath *up = COR_FIELD(spec, "updateStrategy");
	if (cor_str_eq_c(s->updateStrategy.type, "OnDelete")) {
		if (s->updateStrategy.rollingUpdate)
			cor_fe_invalid(e, COR_FIELD(up, "rollingUpdate"), cor_fv_null(),
				"only allowed for updateStrategy 'RollingUpdate'");
	} else if (!cor_str_eq_c(s->updateStrategy.type, "RollingUpdate")) {
		cor_fe_invalid(e, up, cor_fv_str(e, s->updateStrategy.type),
			"must be 'RollingUpdate' or 'OnDelete'");
	} else if (s->updateStrategy.rollingUpdate && s->updateStrategy.rollingUpdate->partition) {
		(void)cor_fe_not_negative(e, COR_FIELD(up, "rollingUpdate.partition"),
			*s->updateStrategy.rollingUpdate->partition);
	}
	check_replicas(e, spec, s->replicas, s->minReadySeconds);
	check_selector(e, spec, s->selector, &s->template, "statefulset");
	struct cor_str *names = cor_arena_array(e->arena, struct cor_str, s->volumeClaimTemplates.n);
	for (size_t i = 0; names && i < s->volumeClaimTemplates.n; i++)
		names[i] = s->volumeClaimTemplates.p[i].metadata.name;
	check_template(e, spec, &s->template, names, names ? s->volumeClaimTemplates.n : 0);
}

void cor_statefulset_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const apps_v1_StatefulSetSpec *s = &((const apps_v1_StatefulSet *)obj)->spec;
	check_claims(e, COR_ROOT("spec"), s);
	check_statefulset(s, e);
}

void cor_statefulset_validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e) {
	const apps_v1_StatefulSetSpec *now = &((const apps_v1_StatefulSet *)obj)->spec;
	const apps_v1_StatefulSetSpec *was = &((const apps_v1_StatefulSet *)old)->spec;
	check_statefulset(now, e);
	apps_v1_StatefulSetSpec c = *now;
	c.replicas = was->replicas;
	c.ordinals = was->ordinals;
	c.template = was->template;
	c.updateStrategy = was->updateStrategy;
	c.revisionHistoryLimit = was->revisionHistoryLimit;
	c.persistentVolumeClaimRetentionPolicy = was->persistentVolumeClaimRetentionPolicy;
	c.minReadySeconds = was->minReadySeconds;
	if (!cor_obj_equal(&cor_type_apps_v1_StatefulSetSpec, &c, was))
		cor_fe_forbidden(e, COR_ROOT("spec"), STS_UPDATE);
}
