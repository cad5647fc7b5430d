// SPDX-License-Identifier: Apache-2.0
// What a plan for a Job may do: never more pods at a time than asked for nor more than are missing, one
// for each index, and numbers that only grow. A tracked pod is let go only when it was written down.
#include "controllers/engine_priv.h"
#include "gen/batch_v1.h"
#include "sim/oracle_priv.h"

static const char INDEX[] = "batch.kubernetes.io/job-completion-index";

static bool is_active(const struct core_v1_Pod *pod) {
	return !look_finished(pod) && !pod->metadata.deletionTimestamp;
}

static const struct cor_str *index_of(const struct core_v1_Pod *pod) {
	return cor_strmap_get(&pod->metadata.annotations, cor_str_c(INDEX));
}

static void check_index(struct look *l, const struct look_list *pods, const struct core_v1_Pod *pod) {
	const struct cor_str *index = index_of(pod);
	for (size_t i = 0; index && i < pods->n; i++) {
		const struct core_v1_Pod *other = pods->p[i];
		const struct cor_str *have = index_of(other);
		/* One that was being deleted when it succeeded may have been counted as failed. */
		bool done = cor_str_eq(other->status.phase, COR_STR("Succeeded")) &&
			    !other->metadata.deletionTimestamp;
		if ((is_active(other) || done) && have && cor_str_eq(*have, *index))
			violation(l->c, "job %.*s makes a pod of index %.*s, which %.*s has",
				COR_STR_ARG(l->name), COR_STR_ARG(*index), COR_STR_ARG(other->metadata.name));
	}
}

static void check_status(struct look *l, const struct batch_v1_Job *old, const struct batch_v1_Job *new) {
	bool indexed = cor_str_eq(old->spec.completionMode, COR_STR("Indexed"));
	if ((!indexed && new->status.succeeded < old->status.succeeded) || new->status.failed < old->status.failed)
		violation(l->c, "job %.*s forgets pods: from %d and %d to %d and %d", COR_STR_ARG(l->name),
			old->status.succeeded, old->status.failed, new->status.succeeded, new->status.failed);
}

static bool is_noted(const struct batch_v1_Job *j, struct cor_str uid) {
	const struct batch_v1_UncountedTerminatedPods *u = j->status.uncountedTerminatedPods;
	for (size_t i = 0; u && i < u->succeeded.n; i++)
		if (cor_str_eq(u->succeeded.p[i], uid))
			return true;
	for (size_t i = 0; u && i < u->failed.n; i++)
		if (cor_str_eq(u->failed.p[i], uid))
			return true;
	return false;
}

/* Pods that ended by themselves; in an Indexed Job the set of indexes has the good ones. */
static void check_release(struct look *l, const struct batch_v1_Job *now, const struct cor_action *a) {
	const struct core_v1_Pod *pod = look_get(l, COR_RES_PODS, l->ns, a->name);
	bool indexed = cor_str_eq(now->spec.completionMode, COR_STR("Indexed"));
	if (!pod || a->res != COR_RES_PODS || !cor_str_contains(a->patch, COR_STR("finalizers")))
		return;
	bool good = cor_str_eq(pod->status.phase, COR_STR("Succeeded")),
	     bad = cor_str_eq(pod->status.phase, COR_STR("Failed"));
	/* What a failure policy ignores is let go without a count. */
	bad &= !now->spec.podFailurePolicy;
	if ((bad || (good && !indexed)) && !is_noted(now, pod->metadata.uid))
		violation(l->c, "job %.*s lets go of pod %.*s, which is not counted", COR_STR_ARG(l->name),
			COR_STR_ARG(pod->metadata.name));
}

void oracle_job(struct look *l) {
	const struct batch_v1_Job *j = look_get(l, COR_RES_JOBS, l->ns, l->name), *now = j;
	if (!j)
		return;
	struct look_list pods = look_owned(l, COR_RES_PODS, j->metadata.uid);
	int32_t active = 0, made = 0, parallelism = j->spec.parallelism ? *j->spec.parallelism : 1;
	for (size_t i = 0; i < pods.n; i++)
		active += is_active(pods.p[i]);
	for (const struct planned *x = l->p->actions; x; x = x->next) {
		if (x->a.res == COR_RES_JOBS && x->a.verb == COR_VERB_UPDATE) {
			now = x->a.obj;
			check_status(l, j, now);
		} else if (x->a.res == COR_RES_PODS && x->a.verb == COR_VERB_CREATE) {
			check_index(l, &pods, x->a.obj);
			made++;
		}
	}
	for (const struct planned *x = l->p->actions; x; x = x->next)
		if (x->a.verb == COR_VERB_PATCH)
			check_release(l, now, &x->a);
	if (made > 0 && (j->metadata.deletionTimestamp || (j->spec.suspend && *j->spec.suspend)))
		violation(l->c, "job %.*s makes pods although it shall not", COR_STR_ARG(l->name));
	if (made > 0 && active + made > parallelism)
		violation(l->c, "job %.*s makes %d pods although %d of %d run", COR_STR_ARG(l->name), made,
			active, parallelism);
	if (made > 0 && active + made > *j->spec.completions - now->status.succeeded)
		violation(l->c, "job %.*s makes %d pods although %d run and %d of %d succeeded",
			COR_STR_ARG(l->name), made, active, now->status.succeeded, *j->spec.completions);
}
