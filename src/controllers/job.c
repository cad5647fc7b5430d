// SPDX-License-Identifier: Apache-2.0
// The Job planner (facts/controllers.md section 6). A finished pod is counted exactly once: it carries a
// finalizer until its uid is written down in the status, and the uid leaves the status, as a number,
// when the finalizer is seen to be gone. A Job ends in two steps: first what it will be
// (SuccessCriteriaMet, FailureTarget), then, when no pod runs any more, that it is (Complete, Failed).
#include "codec/codec.h"
#include "controllers/job_priv.h"
#include "controllers/rows.h"

enum { BURST_MAX = 500 };
#define BACKOFF_FIRST (10 * COR_SECOND)
#define BACKOFF_LAST (10 * COR_MINUTE)

typedef struct batch_v1_JobCondition condition;

struct pods {
	const struct core_v1_Pod **p;
	size_t n;
};

struct job {
	struct cor_plan *p;
	struct cor_arena *a;
	cor_time now;
	const struct batch_v1_Job *j;
	struct batch_v1_Job *copy;      /* with the new status */
	struct batch_v1_JobStatus *st;
	bool indexed, suspended, deleting, failed_only;
	struct pods active;
	int32_t terminating, ready, restarts;
	size_t tracked;                 /* pods that still have the finalizer */
	struct { struct cor_str *p; size_t n; } good, bad;      /* uncounted uids */
	struct job_indexes done;
	/* Failures since the last success, and when the last of them was. */
	cor_time last_success, last_failure;
	int32_t failures;
	struct cor_str fail_message;    /* of the failure policy */
};

static bool is_true(const bool *b) {
	return b && *b;
}

/* ---- conditions ---- */

static condition *find(const struct batch_v1_JobStatus *st, const char *type) {
	for (size_t i = 0; i < st->conditions.n; i++)
		if (cor_str_eq_c(st->conditions.p[i].type, type))
			return &st->conditions.p[i];
	return NULL;
}

static const condition *is_set(const struct batch_v1_JobStatus *st, const char *type) {
	const condition *c = find(st, type);
	return c && cor_str_eq(c->status, COR_STR("True")) ? c : NULL;
}

static void set_condition(struct job *x, const char *type, const char *status, struct cor_str reason,
	struct cor_str message) {
	condition *c = find(x->st, type);
	if (c && cor_str_eq_c(c->status, status) && cor_str_eq(c->reason, reason))
		return;
	if (!c) {
		condition *all = cor_arena_array(x->a, condition, x->st->conditions.n + 1);
		if (!all)
			return;
		for (size_t i = 0; i < x->st->conditions.n; i++)
			all[i] = x->st->conditions.p[i];
		c = &all[x->st->conditions.n++];
		x->st->conditions.p = all;
	}
	*c = (condition){
		.type = cor_str_c(type), .status = cor_str_c(status), .reason = reason, .message = message,
		.lastProbeTime = x->now, .lastTransitionTime = x->now,
	};
}

/* ---- gather ---- */

static bool holds(const struct cor_str *p, size_t n, struct cor_str uid) {
	for (size_t i = 0; i < n; i++)
		if (cor_str_eq(p[i], uid))
			return true;
	return false;
}

static bool succeeded(const struct core_v1_Pod *pod) {
	return cor_str_eq(pod->status.phase, COR_STR("Succeeded"));
}

/* One that is going counts as failed at once, unless its replacement has to wait for its end. */
static bool failed(const struct job *x, const struct core_v1_Pod *pod) {
	return cor_str_eq(pod->status.phase, COR_STR("Failed")) ||
		(!x->failed_only && cor_deleting(&pod->metadata) && !succeeded(pod));
}

/* Of what the status has noted, that which has lost its finalizer becomes a number. */
static int32_t settle_noted(struct job *x, const struct cor_str *noted, size_t n, bool good,
	const struct cor_objects *pods) {
	int32_t settled = 0;
	for (size_t i = 0; i < n; i++) {
		bool waits = false;
		for (size_t k = 0; k < pods->n; k++) {
			const struct core_v1_Pod *pod = pods->p[k];
			waits |= cor_str_eq(pod->metadata.uid, noted[i]) && job_is_tracked(pod);
		}
		struct cor_str *slot = !waits ? NULL : good ? cor_arena_push(x->a, &x->good) : cor_arena_push(x->a, &x->bad);
		if (slot)
			*slot = noted[i];
		settled += !waits;
	}
	return settled;
}

static void note_good(struct job *x, const struct core_v1_Pod *pod) {
	int32_t i = job_index_of(pod);
	if (x->indexed) {
		if (i >= 0 && x->j->spec.completions && i < *x->j->spec.completions)
			job_indexes_add(x->a, &x->done, i);
		return;
	}
	struct cor_str *slot = cor_arena_push(x->a, &x->good);
	if (slot)
		*slot = pod->metadata.uid;
}

static void note_bad(struct job *x, const struct core_v1_Pod *pod) {
	struct cor_str message;
	enum job_verdict v = job_judge(x->a, &x->j->spec, pod, &message);
	if (v == JOB_FAIL && x->fail_message.n == 0)
		x->fail_message = message;
	struct cor_str *slot = v == JOB_IGNORE ? NULL : cor_arena_push(x->a, &x->bad);
	if (slot)
		*slot = pod->metadata.uid;
}

/* A tracked pod that is over: into the status, and then off with its finalizer. */
static void note(struct job *x, const struct core_v1_Pod *pod) {
	bool good = succeeded(pod), bad = !good && failed(x, pod);
	if (!good && !bad && !(x->deleting && cor_deleting(&pod->metadata)))
		return;
	struct cor_str uid = pod->metadata.uid;
	if (!holds(x->good.p, x->good.n, uid) && !holds(x->bad.p, x->bad.n, uid)) {
		if (good)
			note_good(x, pod);
		else
			note_bad(x, pod);
	}
	job_untrack(x->p, pod);
}

/* What was taken away without being counted is no reason to wait. */
static bool slows_down(const struct job *x, const struct core_v1_Pod *pod) {
	return failed(x, pod) && (job_is_tracked(pod) || !cor_deleting(&pod->metadata));
}

static void look_at(struct job *x, const struct core_v1_Pod *pod) {
	cor_time ended = cor_pod_finished(pod) || cor_deleting(&pod->metadata) ? job_pod_ended(pod) : 0;
	if (succeeded(pod) && ended > x->last_success)
		x->last_success = ended;
	else if (slows_down(x, pod) && ended > x->last_failure)
		x->last_failure = ended;
	if (job_is_tracked(pod)) {
		x->tracked++;
		note(x, pod);
	}
	if (cor_pod_finished(pod))
		return;
	if (cor_deleting(&pod->metadata)) {
		x->terminating++;
		return;
	}
	const struct core_v1_Pod **slot = cor_arena_push(x->a, &x->active);
	if (slot)
		*slot = pod;
	x->ready += cor_pod_ready(pod);
	x->restarts += job_pod_restarts(pod);
}

static void gather(struct job *x, const struct cor_objects *pods) {
	const struct batch_v1_UncountedTerminatedPods *old = x->j->status.uncountedTerminatedPods;
	x->done = job_indexes_parse(x->a, x->j->status.completedIndexes);
	if (old) {
		x->st->succeeded += settle_noted(x, old->succeeded.p, old->succeeded.n, true, pods);
		x->st->failed += settle_noted(x, old->failed.p, old->failed.n, false, pods);
	}
	for (size_t i = 0; i < pods->n; i++)
		look_at(x, pods->p[i]);
	for (size_t i = 0; i < pods->n; i++) {
		const struct core_v1_Pod *pod = pods->p[i];
		x->failures += slows_down(x, pod) && job_pod_ended(pod) >= x->last_success;
	}
	if (x->indexed)
		x->st->succeeded = job_indexes_count(&x->done, x->j->spec.completions ? *x->j->spec.completions : 0);
}

static int32_t all_succeeded(const struct job *x) {
	return x->st->succeeded + (int32_t)x->good.n;
}

static int32_t all_failed(const struct job *x) {
	return x->st->failed + (int32_t)x->bad.n;
}

/* ---- outcome ---- */

static bool over_limit(const struct job *x) {
	int32_t limit = x->j->spec.backoffLimit ? *x->j->spec.backoffLimit : 6;
	bool in_place = cor_str_eq(x->j->spec.template.spec.restartPolicy, COR_STR("OnFailure"));
	return all_failed(x) > limit || (in_place && x->restarts > 0 && x->restarts >= limit);
}

static bool over_deadline(struct job *x) {
	if (!x->j->spec.activeDeadlineSeconds || x->suspended || x->st->startTime == 0)
		return false;
	cor_time end = x->st->startTime + *x->j->spec.activeDeadlineSeconds * COR_SECOND;
	if (x->now >= end)
		return true;
	cor_plan_again_at(x->p, end);
	return false;
}

static bool is_complete(const struct job *x) {
	int32_t n = all_succeeded(x);
	return x->active.n == 0 && (x->j->spec.completions ? n >= *x->j->spec.completions : n > 0);
}

static void fail(struct job *x, const char *reason, struct cor_str message) {
	set_condition(x, "FailureTarget", "True", cor_str_c(reason), message);
}

/* True when it is decided how the Job ends. */
static bool decide(struct job *x) {
	if (is_set(x->st, "SuccessCriteriaMet") || is_set(x->st, "FailureTarget"))
		return true;
	if (x->fail_message.n > 0)
		fail(x, "PodFailurePolicy", x->fail_message);
	else if (over_limit(x))
		fail(x, "BackoffLimitExceeded", COR_STR("Job has reached the specified backoff limit"));
	else if (over_deadline(x))
		fail(x, "DeadlineExceeded", COR_STR("Job was active longer than specified deadline"));
	else if (!x->deleting && !x->suspended && is_complete(x))
		set_condition(x, "SuccessCriteriaMet", "True", COR_STR("CompletionsReached"),
			COR_STR("Reached expected number of succeeded pods"));
	else
		return false;
	return true;
}

/* The second step. What the first one said must be in the store before. */
static void conclude(struct job *x) {
	const condition *good = is_set(&x->j->status, "SuccessCriteriaMet");
	const condition *bad = is_set(&x->j->status, "FailureTarget");
	if ((!good && !bad) || x->active.n > 0 || x->terminating > 0 || x->tracked > 0 || x->good.n > 0 || x->bad.n > 0)
		return;
	if (good) {
		set_condition(x, "Complete", "True", good->reason, good->message);
		x->st->completionTime = x->now;
		cor_plan_event(x->p, JOB_STAGE_STATUS, COR_RES_JOBS, x->j, "Normal", "Completed", "Job completed");
		if (x->j->spec.completions && x->st->succeeded > *x->j->spec.completions)
			cor_plan_event(x->p, JOB_STAGE_STATUS, COR_RES_JOBS, x->j, "Warning", "TooManySucceededPods",
				"Too many succeeded pods running after completion count reached");
	} else {
		set_condition(x, "Failed", "True", bad->reason, bad->message);
		char *reason = cor_arena_cstr(x->a, bad->reason);
		if (reason)
			cor_plan_event(x->p, JOB_STAGE_STATUS, COR_RES_JOBS, x->j, "Warning", reason, "%.*s",
				COR_STR_ARG(bad->message));
	}
	if (x->st->startTime == 0)
		x->st->startTime = x->now;
}

static void suspension(struct job *x) {
	const condition *c = find(x->st, "Suspended");
	bool was = c && cor_str_eq(c->status, COR_STR("True"));
	if (x->suspended && !was) {
		set_condition(x, "Suspended", "True", COR_STR("JobSuspended"), COR_STR("Job suspended"));
		x->st->startTime = 0;
		cor_plan_event(x->p, JOB_STAGE_STATUS, COR_RES_JOBS, x->j, "Normal", "Suspended", "Job suspended");
	} else if (!x->suspended && was) {
		set_condition(x, "Suspended", "False", COR_STR("JobResumed"), COR_STR("Job resumed"));
		x->st->startTime = x->now;
		cor_plan_event(x->p, JOB_STAGE_STATUS, COR_RES_JOBS, x->j, "Normal", "Resumed", "Job resumed");
	} else if (!x->suspended && x->st->startTime == 0) {
		x->st->startTime = x->now;
	}
}

/* ---- fewer pods ---- */

static void delete_pod(struct job *x, const struct core_v1_Pod *pod) {
	const struct meta_v1_ObjectMeta *m = &pod->metadata;
	struct cor_action *a = cor_plan_delete(x->p, JOB_STAGE_DELETE, COR_RES_PODS, m->namespace, m->name, m->uid);
	cor_pod_note(x->p, a, "job-controller", COR_RES_JOBS, &x->j->metadata, m->name);
}

/* Ended by the outcome they are still to be counted; surplus ones are not. */
static void delete_active(struct job *x, size_t from, size_t to, bool counted) {
	for (size_t i = from; i < to; i++) {
		if (!counted && job_is_tracked(x->active.p[i]))
			job_untrack(x->p, x->active.p[i]);
		delete_pod(x, x->active.p[i]);
	}
}

static int life(const struct core_v1_Pod *pod) {
	return (pod->spec.nodeName.n > 0) + cor_str_eq(pod->status.phase, COR_STR("Running")) + cor_pod_ready(pod);
}

/* By index; of those without one, or with the same, the one that got furthest is first. */
static int by_worth(const void *a, const void *b) {
	const struct core_v1_Pod *x = *(const struct core_v1_Pod *const *)a, *y = *(const struct core_v1_Pod *const *)b;
	uint32_t i = (uint32_t)job_index_of(x), k = (uint32_t)job_index_of(y);
	if (i != k)
		return i < k ? -1 : 1;
	if (life(x) != life(y))
		return life(y) - life(x);
	if (x->metadata.creationTimestamp != y->metadata.creationTimestamp)
		return x->metadata.creationTimestamp < y->metadata.creationTimestamp ? -1 : 1;
	return cor_str_cmp(x->metadata.uid, y->metadata.uid);
}

/* Puts those that an Indexed Job has no place for behind the others; how many it keeps. */
static size_t placed(struct job *x) {
	size_t keep = 0;
	struct pods out = { 0 };
	for (size_t i = 0; i < x->active.n; i++) {
		const struct core_v1_Pod *pod = x->active.p[i];
		int32_t index = job_index_of(pod);
		bool fits = index >= 0 && index < *x->j->spec.completions && !job_indexes_have(&x->done, index) &&
			(keep == 0 || job_index_of(x->active.p[keep - 1]) != index);
		const struct core_v1_Pod **slot = fits ? &x->active.p[keep++] : cor_arena_push(x->a, &out);
		if (slot)
			*slot = pod;
	}
	for (size_t i = 0; i < out.n && keep + i < x->active.n; i++)
		x->active.p[keep + i] = out.p[i];
	return keep;
}

/* ---- more pods ---- */

static bool backs_off(struct job *x) {
	if (x->failures == 0)
		return false;
	cor_time d = BACKOFF_FIRST;
	for (int32_t i = 1; i < x->failures && d < BACKOFF_LAST; i++)
		d *= 2;
	cor_time when = x->last_failure + (d < BACKOFF_LAST ? d : BACKOFF_LAST);
	if (x->now >= when)
		return false;
	cor_plan_again_at(x->p, when);
	cor_plan_waits(x->p, "a pod failed; the next one starts later");
	return true;
}

/* The lowest that is free from *at on: not done, and none of the first kept pods has it. */
static int32_t next_index(const struct job *x, size_t kept, size_t *at_pod, int32_t from) {
	for (int32_t i = from;; i++) {
		while (*at_pod < kept && job_index_of(x->active.p[*at_pod]) < i)
			(*at_pod)++;
		bool used = *at_pod < kept && job_index_of(x->active.p[*at_pod]) == i;
		if (!used && !job_indexes_have(&x->done, i))
			return i;
	}
}

/* In batches of 1, 2, 4, ...: when the first pods are refused, the rest is not even tried. */
static void create_pods(struct job *x, size_t count, size_t kept) {
	size_t in_stage = 0, stage_size = 1, at_pod = 0;
	int32_t index = -1;
	int stage = JOB_STAGE_CREATE;
	for (size_t i = 0; i < count; i++) {
		struct core_v1_Pod *pod = cor_pod_from_template(x->p, &x->j->spec.template, COR_RES_JOBS, &x->j->metadata);
		if (!pod)
			return;
		if (x->indexed) {
			index = next_index(x, kept, &at_pod, index + 1);
			if (index >= *x->j->spec.completions)
				return;
			job_index_set(x->a, pod, x->j->metadata.name, index);
		}
		struct cor_str *f = cor_arena_array(x->a, struct cor_str, pod->metadata.finalizers.n + 1);
		if (!f)
			return;
		for (size_t k = 0; k < pod->metadata.finalizers.n; k++)
			f[k] = pod->metadata.finalizers.p[k];
		f[pod->metadata.finalizers.n++] = COR_STR(JOB_FINALIZER);
		pod->metadata.finalizers.p = f;
		cor_pod_note(x->p, cor_plan_create(x->p, stage, COR_RES_PODS, pod), "job-controller", COR_RES_JOBS,
			&x->j->metadata, (struct cor_str){ 0 });
		if (++in_stage == stage_size) {
			in_stage = 0;
			stage_size *= 2;
			stage++;
		}
	}
}

static int64_t wanted(const struct job *x) {
	int64_t parallel = x->j->spec.parallelism ? *x->j->spec.parallelism : 1, left = parallel;
	if (x->suspended)
		return 0;
	if (x->j->spec.completions)
		left = (int64_t)*x->j->spec.completions - all_succeeded(x);
	else if (all_succeeded(x) > 0)
		left = (int64_t)x->active.n;
	return left < 0 ? 0 : left < parallel ? left : parallel;
}

static void manage(struct job *x) {
	if (x->active.n > 1)
		qsort(x->active.p, x->active.n, sizeof(*x->active.p), by_worth);
	size_t keep = x->indexed && x->j->spec.completions ? placed(x) : x->active.n;
	int64_t want = wanted(x);
	if ((int64_t)keep > want)
		keep = (size_t)want;
	if (keep < x->active.n) {
		delete_active(x, keep, x->active.n - keep > BURST_MAX ? keep + BURST_MAX : x->active.n, false);
		return;
	}
	int64_t missing = want - (int64_t)keep - (x->failed_only ? x->terminating : 0);
	if (missing > 0 && !backs_off(x))
		create_pods(x, missing < BURST_MAX ? (size_t)missing : BURST_MAX, keep);
}

/* ---- plan ---- */

static void write_status(struct job *x) {
	x->st->active = (int32_t)x->active.n;
	x->st->ready = cor_arena_new_of(x->a, int32_t);
	x->st->terminating = cor_arena_new_of(x->a, int32_t);
	struct batch_v1_UncountedTerminatedPods *u = cor_arena_new_of(x->a, struct batch_v1_UncountedTerminatedPods);
	if (!x->st->ready || !x->st->terminating || !u)
		return;
	*x->st->ready = x->ready;
	*x->st->terminating = x->terminating;
	u->succeeded.p = x->good.p;
	u->succeeded.n = x->good.n;
	u->failed.p = x->bad.p;
	u->failed.n = x->bad.n;
	x->st->uncountedTerminatedPods = u;
	if (x->indexed)
		x->st->completedIndexes = job_indexes_print(x->a, &x->done);
	if (!cor_obj_equal(&cor_type_batch_v1_JobStatus, x->st, &x->j->status))
		(void)cor_plan_update_status(x->p, JOB_STAGE_STATUS, COR_RES_JOBS, x->copy);
}

/* True when the Job is over. */
static bool finished(struct cor_plan *p, const struct batch_v1_Job *j) {
	const condition *c = is_set(&j->status, "Complete");
	if (!c)
		c = is_set(&j->status, "Failed");
	if (!c)
		return false;
	if (!j->spec.ttlSecondsAfterFinished || cor_deleting(&j->metadata))
		return true;
	cor_time end = c->lastTransitionTime + *j->spec.ttlSecondsAfterFinished * COR_SECOND;
	if (cor_plan_now(p) >= end)
		cor_plan_delete(p, 0, COR_RES_JOBS, j->metadata.namespace, j->metadata.name, j->metadata.uid)->propagation =
			COR_PROPAGATION_FOREGROUND;
	else
		cor_plan_again_at(p, end);
	return true;
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct batch_v1_Job *j = cor_plan_get(p, COR_RES_JOBS, ns, name);
	bool foreign = j && j->spec.managedBy.n > 0 &&
		!cor_str_eq(j->spec.managedBy, COR_STR("kubernetes.io/job-controller"));
	if (!j || foreign || !j->spec.selector || finished(p, j))
		return 0;
	struct job x = {
		.p = p, .a = cor_plan_arena(p), .now = cor_plan_now(p), .j = j,
		.copy = cor_obj_dup(&cor_type_batch_v1_Job, j, cor_plan_arena(p)),
		.indexed = cor_str_eq(j->spec.completionMode, COR_STR("Indexed")), .suspended = is_true(j->spec.suspend),
		.deleting = cor_deleting(&j->metadata),
		.failed_only = cor_str_eq(j->spec.podReplacementPolicy, COR_STR("Failed")),
	};
	struct cor_selector sel;
	int r = cor_selector_from_labels(x.a, j->spec.selector, &sel, err);
	if (r < 0)
		return r;
	if (!x.copy)
		return cor_fail(err, COR_E_LIMIT, "out of memory");
	x.st = &x.copy->status;
	struct cor_claim claim = { .res = COR_RES_PODS, .owner_res = COR_RES_JOBS, .owner = &j->metadata, .selector = &sel };
	struct cor_objects pods = cor_claim_dependents(p, &claim);
	gather(&x, &pods);
	suspension(&x);
	if (decide(&x)) {
		delete_active(&x, 0, x.active.n, true);
		conclude(&x);
	} else if (!x.deleting) {
		manage(&x);
	}
	write_status(&x);
	return 0;
}

static const struct meta_v1_LabelSelector *selector_of(const void *owner) {
	return ((const struct batch_v1_Job *)owner)->spec.selector;
}

static void map_pod(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_map_controller(q, store, ev);
	cor_map_orphan(q, store, ev, COR_RES_JOBS, selector_of);
}

const struct cor_controller cor_controller_job = {
	.name = "job",
	.res = COR_RES_JOBS,
	.watches = { { COR_RES_JOBS, NULL }, { COR_RES_PODS, map_pod } },
	.n_watches = 2,
	.plan = plan,
};

/* ---- pods whose Job went or let go of them: nobody counts them any more ---- */

static bool is_of_job(const struct cor_obj *o) {
	if (!o)
		return false;
	for (size_t i = 0; i < o->owners.n; i++)
		if (cor_str_eq(o->owners.p[i].kind, COR_STR("Job")))
			return true;
	return cor_strmap_get(&o->labels, COR_STR("batch.kubernetes.io/job-name")) != NULL ||
		cor_strmap_get(&o->labels, COR_STR("job-name")) != NULL;
}

static int plan_orphan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Pod *pod = cor_plan_get(p, COR_RES_PODS, ns, name);
	if (!pod || !job_is_tracked(pod))
		return 0;
	const struct meta_v1_OwnerReference *r = cor_controller_ref(&pod->metadata);
	const struct batch_v1_Job *j = r && cor_str_eq(r->kind, COR_STR("Job")) ? cor_plan_get(p, COR_RES_JOBS, ns, r->name) : NULL;
	/* A Job that is over has counted all that it had; who comes later is not counted. */
	if (!j || !cor_str_eq(j->metadata.uid, r->uid) || is_set(&j->status, "Complete") || is_set(&j->status, "Failed"))
		job_untrack(p, pod);
	return 0;
}

static void map_orphan_pod(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (ev->type != COR_EVENT_DELETED && (is_of_job(ev->obj) || is_of_job(ev->old)))
		cor_enqueue(q, ev->obj->ns, ev->obj->name);
}

static bool wake_pod(void *arg, struct cor_obj *o) {
	if (o->res == COR_RES_PODS)
		cor_enqueue(arg, o->ns, o->name);
	return true;
}

static void map_orphan_job(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (ev->type == COR_EVENT_DELETED)
		cor_store_each_owned(store, ev->obj->uid, wake_pod, q);
}

const struct cor_controller cor_controller_job_orphan = {
	.name = "job-orphan",
	.component = "job-controller",
	.res = COR_RES_PODS,
	.watches = { { COR_RES_PODS, map_orphan_pod }, { COR_RES_JOBS, map_orphan_job } },
	.n_watches = 2,
	.plan = plan_orphan,
};
