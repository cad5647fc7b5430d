// SPDX-License-Identifier: Apache-2.0
// How pods of Jobs ended, and what the Job's failure policy makes of it (facts/controllers.md 6.9, 6.10).
#include "controllers/job_priv.h"

/* ---- policy ---- */

static bool code_matches(const struct batch_v1_PodFailurePolicyOnExitCodesRequirement *r, int32_t code) {
	bool in = false;
	for (size_t i = 0; i < r->values.n; i++)
		in |= r->values.p[i] == code;
	return in == cor_str_eq(r->operator, COR_STR("In"));
}

/* The first container that ended badly with a code that the rule names. */
static const struct core_v1_ContainerStatus *match_codes(
	const struct batch_v1_PodFailurePolicyOnExitCodesRequirement *r, const struct core_v1_ContainerStatus *p, size_t n) {
	for (size_t i = 0; i < n; i++) {
		const struct core_v1_ContainerStateTerminated *t = p[i].state.terminated;
		if (t && t->exitCode != 0 && (r->containerName.n == 0 || cor_str_eq(r->containerName, p[i].name)) &&
		    code_matches(r, t->exitCode))
			return &p[i];
	}
	return NULL;
}

static bool rule_matches(struct cor_arena *a, const struct batch_v1_PodFailurePolicyRule *r, size_t at,
	const struct core_v1_Pod *pod, struct cor_str *ret_message) {
	const struct core_v1_ContainerStatus *c = NULL;
	if (r->onExitCodes) {
		const struct core_v1_PodStatus *st = &pod->status;
		c = match_codes(r->onExitCodes, st->containerStatuses.p, st->containerStatuses.n);
		if (!c)
			c = match_codes(r->onExitCodes, st->initContainerStatuses.p, st->initContainerStatuses.n);
	}
	if (c)
		*ret_message = cor_arena_printf(a,
			"Container %.*s for pod %.*s/%.*s failed with exit code %d matching FailJob rule at index %zu",
			COR_STR_ARG(c->name), COR_STR_ARG(pod->metadata.namespace), COR_STR_ARG(pod->metadata.name),
			c->state.terminated->exitCode, at);
	for (size_t i = 0; i < r->onPodConditions.n && !c; i++) {
		const struct core_v1_PodCondition *have = cor_pod_condition(pod, r->onPodConditions.p[i].type);
		if (!have || !cor_str_eq(have->status, r->onPodConditions.p[i].status))
			continue;
		*ret_message = cor_arena_printf(a, "Pod %.*s/%.*s has condition %.*s matching FailJob rule at index %zu",
			COR_STR_ARG(pod->metadata.namespace), COR_STR_ARG(pod->metadata.name), COR_STR_ARG(have->type), at);
		return true;
	}
	return c != NULL;
}

enum job_verdict job_judge(struct cor_arena *a, const struct batch_v1_JobSpec *s, const struct core_v1_Pod *pod,
	struct cor_str *ret_message) {
	if (!s->podFailurePolicy || !cor_str_eq(pod->status.phase, COR_STR("Failed")))
		return JOB_COUNT;
	for (size_t i = 0; i < s->podFailurePolicy->rules.n; i++) {
		const struct batch_v1_PodFailurePolicyRule *r = &s->podFailurePolicy->rules.p[i];
		if (!rule_matches(a, r, i, pod, ret_message))
			continue;
		return cor_str_eq(r->action, COR_STR("FailJob")) ? JOB_FAIL
			: cor_str_eq(r->action, COR_STR("Ignore")) ? JOB_IGNORE : JOB_COUNT;
	}
	return JOB_COUNT;
}

/* ---- ends ---- */

cor_time job_pod_ended(const struct core_v1_Pod *pod) {
	cor_time last = 0;
	for (size_t i = 0; i < pod->status.containerStatuses.n; i++) {
		const struct core_v1_ContainerStateTerminated *t = pod->status.containerStatuses.p[i].state.terminated;
		if (t && t->finishedAt > last)
			last = t->finishedAt;
	}
	const struct core_v1_PodCondition *ready = cor_pod_condition(pod, COR_STR("Ready"));
	if (last == 0 && ready && cor_str_eq(ready->status, COR_STR("False")))
		last = ready->lastTransitionTime;
	if (last == 0 && pod->metadata.deletionTimestamp)
		last = pod->metadata.deletionTimestamp - (pod->metadata.deletionGracePeriodSeconds
			? *pod->metadata.deletionGracePeriodSeconds : 0) * COR_SECOND;
	return last ? last : pod->metadata.creationTimestamp;
}

int32_t job_pod_restarts(const struct core_v1_Pod *pod) {
	int32_t n = 0;
	for (size_t i = 0; i < pod->status.containerStatuses.n; i++)
		n += pod->status.containerStatuses.p[i].restartCount;
	for (size_t i = 0; i < pod->status.initContainerStatuses.n; i++)
		n += pod->status.initContainerStatuses.p[i].restartCount;
	return n;
}

/* ---- the finalizer ---- */

bool job_is_tracked(const struct core_v1_Pod *pod) {
	for (size_t i = 0; i < pod->metadata.finalizers.n; i++)
		if (cor_str_eq(pod->metadata.finalizers.p[i], COR_STR(JOB_FINALIZER)))
			return true;
	return false;
}

void job_untrack(struct cor_plan *p, const struct core_v1_Pod *pod) {
	cor_drop_finalizer(p, JOB_STAGE_RELEASE, COR_RES_PODS, &pod->metadata, COR_STR(JOB_FINALIZER));
}
