// SPDX-License-Identifier: Apache-2.0
// Defaults of the kinds with a pod template: StatefulSet, Deployment, ReplicaSet,
// ReplicationController (facts/kinds.md 4.2, 9).
#include "api/kinds/kinds.h"
#include "api/kinds/podspec.h"
#include "api/kinds/workloads.h"
#include "gen/apps_v1.h"

static void template(struct cor_kind_ctx *ctx, struct core_v1_PodTemplateSpec *t) {
	cor_podspec_defaults(ctx->arena, &t->spec);
}

/* ---- StatefulSet ---- */

static void statefulset_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct apps_v1_StatefulSetSpec *s = &((struct apps_v1_StatefulSet *)obj)->spec;
	struct cor_arena *a = ctx->arena;
	cor_default_str(&s->podManagementPolicy, "OrderedReady");
	/* A type given alone leaves rollingUpdate absent: clients and the controller branch on it. */
	if (s->updateStrategy.type.n == 0) {
		s->updateStrategy.type = COR_STR("RollingUpdate");
		if (!s->updateStrategy.rollingUpdate)
			s->updateStrategy.rollingUpdate = cor_arena_new_of(a, struct apps_v1_RollingUpdateStatefulSetStrategy);
	}
	if (s->updateStrategy.rollingUpdate)
		cor_default_i32(a, &s->updateStrategy.rollingUpdate->partition, 0);
	if (!s->persistentVolumeClaimRetentionPolicy)
		s->persistentVolumeClaimRetentionPolicy =
			cor_arena_new_of(a, struct apps_v1_StatefulSetPersistentVolumeClaimRetentionPolicy);
	if (s->persistentVolumeClaimRetentionPolicy) {
		cor_default_str(&s->persistentVolumeClaimRetentionPolicy->whenDeleted, "Retain");
		cor_default_str(&s->persistentVolumeClaimRetentionPolicy->whenScaled, "Retain");
	}
	cor_default_i32(a, &s->replicas, 1);
	cor_default_i32(a, &s->revisionHistoryLimit, 10);
	template(ctx, &s->template);
	for (size_t i = 0; i < s->volumeClaimTemplates.n; i++) {
		struct core_v1_PersistentVolumeClaim *c = &s->volumeClaimTemplates.p[i];
		cor_default_str(&c->kind, "PersistentVolumeClaim");
		cor_default_str(&c->apiVersion, "v1");
		cor_claim_spec_defaults(&c->spec);
		cor_default_str(&c->status.phase, "Pending");
	}
}

const struct cor_kind_ops cor_kind_statefulset = {
	.res = COR_RES_STATEFULSETS,
	.flags = COR_KIND_GENERATION,
	.defaults = statefulset_defaults,
	.validate = cor_statefulset_validate,
	.validate_update = cor_statefulset_validate_update,
};

/* ---- Deployment ---- */

static void default_intstr(struct cor_intstr *v, const char *text) {
	if (v->kind == COR_INTSTR_NONE)
		*v = (struct cor_intstr){ .kind = COR_INTSTR_STR, .s = cor_str_c(text) };
}

static void deployment_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct apps_v1_DeploymentSpec *s = &((struct apps_v1_Deployment *)obj)->spec;
	struct cor_arena *a = ctx->arena;
	cor_default_i32(a, &s->replicas, 1);
	cor_default_str(&s->strategy.type, "RollingUpdate");
	if (cor_str_eq(s->strategy.type, COR_STR("RollingUpdate"))) {
		if (!s->strategy.rollingUpdate)
			s->strategy.rollingUpdate = cor_arena_new_of(a, struct apps_v1_RollingUpdateDeployment);
		if (s->strategy.rollingUpdate) {
			default_intstr(&s->strategy.rollingUpdate->maxUnavailable, "25%");
			default_intstr(&s->strategy.rollingUpdate->maxSurge, "25%");
		}
	}
	cor_default_i32(a, &s->revisionHistoryLimit, 10);
	cor_default_i32(a, &s->progressDeadlineSeconds, 600);
	template(ctx, &s->template);
}

const struct cor_kind_ops cor_kind_deployment = {
	.res = COR_RES_DEPLOYMENTS,
	.flags = COR_KIND_GENERATION,
	.defaults = deployment_defaults,
	.validate = cor_deployment_validate,
	.validate_update = cor_deployment_validate_update,
};

/* ---- ReplicaSet, ReplicationController ---- */

static void replicaset_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct apps_v1_ReplicaSetSpec *s = &((struct apps_v1_ReplicaSet *)obj)->spec;
	cor_default_i32(ctx->arena, &s->replicas, 1);
	template(ctx, &s->template);
}

const struct cor_kind_ops cor_kind_replicaset = {
	.res = COR_RES_REPLICASETS,
	.flags = COR_KIND_GENERATION,
	.defaults = replicaset_defaults,
	.validate = cor_replicaset_validate,
	.validate_update = cor_replicaset_validate_update,
};

static void rc_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_ReplicationController *rc = obj;
	cor_default_i32(ctx->arena, &rc->spec.replicas, 1);
	if (!rc->spec.template)
		return;
	if (rc->spec.selector.n == 0)
		rc->spec.selector = rc->spec.template->metadata.labels;
	if (rc->metadata.labels.n == 0)
		rc->metadata.labels = rc->spec.template->metadata.labels;
	template(ctx, rc->spec.template);
}

static const char *const rc_labels[] = { "status.replicas", NULL };

static void rc_fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct core_v1_ReplicationController *rc = obj;
	const struct cor_kv values[] = {
		{ COR_STR("status.replicas"), cor_arena_printf(a, "%d", rc->status.replicas) },
	};
	cor_kind_fields(a, ret, values, cor_countof(values));
}

const struct cor_kind_ops cor_kind_replicationcontroller = {
	.res = COR_RES_REPLICATIONCONTROLLERS,
	.flags = COR_KIND_GENERATION | COR_KIND_ORPHAN_DEFAULT,
	.defaults = rc_defaults,
	.fields = rc_fields,
	.field_labels = rc_labels,
};
