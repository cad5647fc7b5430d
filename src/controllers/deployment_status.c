// SPDX-License-Identifier: Apache-2.0
// Status of a Deployment (facts/controllers.md 4.12, 4.13): sums over its ReplicaSets, and conditions
// whose times are the memory of the progress clock.
#include "controllers/deployment_priv.h"

#include "codec/codec.h"

typedef struct apps_v1_DeploymentCondition condition;

static condition *find(struct apps_v1_DeploymentStatus *st, struct cor_str type) {
	for (size_t i = 0; i < st->conditions.n; i++)
		if (cor_str_eq(st->conditions.p[i].type, type))
			return &st->conditions.p[i];
	return NULL;
}

static void drop(struct apps_v1_DeploymentStatus *st, struct cor_str type) {
	size_t n = 0;
	for (size_t i = 0; i < st->conditions.n; i++)
		if (!cor_str_eq(st->conditions.p[i].type, type))
			st->conditions.p[n++] = st->conditions.p[i];
	st->conditions.n = n;
}

static void set(struct deploy *s, const char *type, const char *status, const char *reason,
	struct cor_str message, bool refresh) {
	struct apps_v1_DeploymentStatus *st = &s->status->status;
	condition *old = find(st, cor_str_c(type));
	if (old && !refresh && cor_str_eq_c(old->status, status) && cor_str_eq_c(old->reason, reason))
		return;
	condition c = {
		.type = cor_str_c(type), .status = cor_str_c(status), .reason = cor_str_c(reason),
		.message = message, .lastUpdateTime = s->now,
		.lastTransitionTime = old && cor_str_eq_c(old->status, status) ? old->lastTransitionTime : s->now,
	};
	if (old) {
		*old = c;
		return;
	}
	condition *p = cor_arena_array(s->a, condition, st->conditions.n + 1);
	if (!p)
		return;
	if (st->conditions.n > 0)
		memcpy(p, st->conditions.p, st->conditions.n * sizeof(*p));
	p[st->conditions.n++] = c;
	st->conditions.p = p;
}

void deploy_set_condition(struct deploy *s, const char *type, const char *status, const char *reason,
	struct cor_str message) {
	set(s, type, status, reason, message, false);
}

bool deploy_complete(const struct deploy *s) {
	const struct apps_v1_DeploymentStatus *st = &s->status->status;
	return st->updatedReplicas == s->replicas && st->replicas == s->replicas &&
		st->availableReplicas == s->replicas && st->observedGeneration >= s->d->metadata.generation;
}

static void sum(struct deploy *s) {
	struct apps_v1_DeploymentStatus *st = &s->status->status;
	int32_t wanted = 0, terminating = 0;
	bool known = true;
	st->replicas = st->readyReplicas = st->availableReplicas = 0;
	for (size_t i = 0; i < s->all.n; i++) {
		const struct apps_v1_ReplicaSet *rs = s->all.p[i];
		st->replicas += rs->status.replicas;
		st->readyReplicas += rs->status.readyReplicas;
		st->availableReplicas += rs->status.availableReplicas;
		wanted += deploy_rs_replicas(rs);
		known &= rs->status.terminatingReplicas != NULL;
		terminating += rs->status.terminatingReplicas ? *rs->status.terminatingReplicas : 0;
	}
	st->updatedReplicas = s->new ? s->new->status.replicas : 0;
	st->unavailableReplicas = wanted > st->availableReplicas ? wanted - st->availableReplicas : 0;
	st->observedGeneration = s->d->metadata.generation;
	st->terminatingReplicas = known ? cor_arena_new_of(s->a, int32_t) : NULL;
	if (st->terminatingReplicas)
		*st->terminatingReplicas = terminating;
}

static void availability(struct deploy *s) {
	if (s->status->status.availableReplicas >= s->replicas - s->unavailable)
		deploy_set_condition(s, "Available", "True", "MinimumReplicasAvailable",
			COR_STR("Deployment has minimum availability."));
	else
		deploy_set_condition(s, "Available", "False", "MinimumReplicasUnavailable",
			COR_STR("Deployment does not have minimum availability."));
}

static const struct apps_v1_ReplicaSetCondition *failure_of(const struct apps_v1_ReplicaSet *rs) {
	for (size_t i = 0; i < rs->status.conditions.n; i++)
		if (cor_str_eq(rs->status.conditions.p[i].type, COR_STR("ReplicaFailure")))
			return &rs->status.conditions.p[i];
	return NULL;
}

static void replica_failure(struct deploy *s) {
	const struct apps_v1_ReplicaSetCondition *f = s->new ? failure_of(s->new) : NULL;
	for (size_t i = 0; i < s->all.n && !f; i++)
		f = failure_of(s->all.p[i]);
	if (!f) {
		drop(&s->status->status, COR_STR("ReplicaFailure"));
		return;
	}
	char *status = cor_arena_cstr(s->a, f->status), *reason = cor_arena_cstr(s->a, f->reason);
	if (status && reason)
		deploy_set_condition(s, "ReplicaFailure", status, reason, f->message);
}

static struct cor_str subject(struct deploy *s, const char *rest) {
	if (s->new)
		return cor_arena_printf(s->a, "ReplicaSet \"%.*s\" %s", COR_STR_ARG(s->new->metadata.name), rest);
	return cor_arena_printf(s->a, "Deployment \"%.*s\" %s", COR_STR_ARG(s->d->metadata.name), rest);
}

static bool has_deadline(const struct deploy *s) {
	return s->d->spec.progressDeadlineSeconds && *s->d->spec.progressDeadlineSeconds != INT32_MAX;
}

static void paused(struct deploy *s) {
	condition *c = find(&s->status->status, COR_STR("Progressing"));
	if (!has_deadline(s) || (c && cor_str_eq(c->reason, COR_STR("ProgressDeadlineExceeded"))))
		return;
	bool marked = c && cor_str_eq(c->reason, COR_STR("DeploymentPaused"));
	if (s->d->spec.paused && !marked)
		deploy_set_condition(s, "Progressing", "Unknown", "DeploymentPaused", COR_STR("Deployment is paused"));
	else if (!s->d->spec.paused && marked)
		deploy_set_condition(s, "Progressing", "Unknown", "DeploymentResumed", COR_STR("Deployment is resumed"));
}

static bool grew(const struct apps_v1_DeploymentStatus *now, const struct apps_v1_DeploymentStatus *old) {
	return now->updatedReplicas > old->updatedReplicas || now->readyReplicas > old->readyReplicas ||
		now->availableReplicas > old->availableReplicas ||
		now->replicas - now->updatedReplicas < old->replicas - old->updatedReplicas;
}

static void progress(struct deploy *s) {
	struct apps_v1_DeploymentStatus *st = &s->status->status;
	if (!has_deadline(s)) {
		drop(st, COR_STR("Progressing"));
		return;
	}
	condition *c = find(st, COR_STR("Progressing"));
	bool done = c && cor_str_eq(c->reason, COR_STR("NewReplicaSetAvailable"));
	if (s->d->spec.paused || (done && st->replicas == st->updatedReplicas))
		return;
	if (deploy_complete(s)) {
		deploy_set_condition(s, "Progressing", "True", "NewReplicaSetAvailable",
			subject(s, "has successfully progressed."));
		return;
	}
	if (grew(st, &s->d->status)) {
		set(s, "Progressing", "True", "ReplicaSetUpdated", subject(s, "is progressing."), true);
	} else if (c && !done) {
		cor_time deadline = c->lastUpdateTime + *s->d->spec.progressDeadlineSeconds * COR_SECOND;
		if (deadline < s->now)
			deploy_set_condition(s, "Progressing", "False", "ProgressDeadlineExceeded",
				subject(s, "has timed out progressing."));
	}
	c = find(st, COR_STR("Progressing"));
	/* The clock of a rollout that was done runs no more; the next one has not begun yet. */
	if (c && !cor_str_eq(c->reason, COR_STR("ProgressDeadlineExceeded")) &&
		!cor_str_eq(c->reason, COR_STR("NewReplicaSetAvailable")))
		cor_plan_again_at(s->p, c->lastUpdateTime +
			(*s->d->spec.progressDeadlineSeconds + 1) * COR_SECOND);
}

void deploy_plan_status(struct deploy *s) {
	sum(s);
	paused(s);
	availability(s);
	replica_failure(s);
	progress(s);
	if (!cor_obj_equal(&cor_type_apps_v1_DeploymentStatus, &s->status->status, &s->d->status) ||
	    !cor_obj_equal(&cor_type_meta_v1_ObjectMeta, &s->status->metadata, &s->d->metadata))
		(void)cor_plan_update_status(s->p, 0, COR_RES_DEPLOYMENTS, s->status);
}
