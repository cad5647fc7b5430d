// SPDX-License-Identifier: Apache-2.0
// The StatefulSet planner (facts/statefulset.md 1.1 to 1.6): gathers the set's pods into slots by
// ordinal, then walks the passes replicas, condemned, update, and computes the status. What "not
// yet" means at each stop is told by cor_plan_waits.
#include "controllers/statefulset_priv.h"

#include "codec/codec.h"
#include "controllers/rows.h"

static const struct cor_str REVISION_LABEL = COR_STR_INIT("controller-revision-hash");
static const struct cor_str POD_NAME_LABEL = COR_STR_INIT("statefulset.kubernetes.io/pod-name");
static const struct cor_str POD_INDEX_LABEL = COR_STR_INIT("apps.kubernetes.io/pod-index");

/* ---- names ---- */

int64_t sts_ordinal(struct cor_str pod, struct cor_str set) {
	if (pod.n < set.n + 2 || !cor_str_starts(pod, set) || pod.p[set.n] != '-')
		return -1;
	struct cor_str digits = cor_str_sub(pod, set.n + 1, pod.n);
	int64_t v;
	if (digits.p[0] < '0' || digits.p[0] > '9' || (digits.n > 1 && digits.p[0] == '0') ||
	    !cor_str_to_i64(digits, &v) || v > INT32_MAX)
		return -1;
	return v;
}

struct cor_str sts_pod_name(const struct sts *s, int32_t ordinal) {
	return cor_arena_printf(s->a, "%.*s-%d", COR_STR_ARG(s->set->metadata.name), ordinal);
}

static struct cor_str pod_revision(const struct core_v1_Pod *pod) {
	return cor_strmap_value(&pod->metadata.labels, REVISION_LABEL);
}

static bool at_update_revision(const struct sts *s, const struct core_v1_Pod *pod) {
	return cor_str_eq(pod_revision(pod), s->history.update->metadata.name);
}

/* ---- predicates ---- */

static bool running_and_ready(const struct core_v1_Pod *pod) {
	return cor_str_eq(pod->status.phase, COR_STR("Running")) && cor_pod_ready(pod);
}

static bool available(struct sts *s, const struct core_v1_Pod *pod) {
	return running_and_ready(pod) && cor_pod_available(pod, s->min_ready, s->now, &s->when);
}

static bool created(const struct core_v1_Pod *pod) {
	return pod->status.phase.n > 0;
}

/* ---- events about pods ---- */

struct pod_note {
	const struct apps_v1_StatefulSet *set;
	const char *verb;
	struct cor_str pod;
};

static void note_done(struct cor_plan *p, struct cor_action *a, const struct cor_op *op) {
	const struct pod_note *n = a->arg;
	bool ok = op->status >= 0;
	if (op->status == COR_E_EXISTS || op->status == COR_E_CONFLICT || op->status == COR_E_NOT_FOUND)
		return;
	struct cor_obj *set = cor_store_get(cor_plan_store(p), COR_RES_STATEFULSETS, n->set->metadata.namespace,
		n->set->metadata.name);
	struct cor_arena *arena = cor_plan_arena(p);
	struct cor_str reason = cor_arena_printf(arena, "%s%s", ok ? "Successful" : "Failed", n->verb);
	struct cor_str text = cor_arena_printf(arena, "%s Pod %.*s in StatefulSet %.*s %s%s",
		n->verb, COR_STR_ARG(n->pod), COR_STR_ARG(n->set->metadata.name),
		ok ? "successful" : "failed error: ", ok ? "" : op->err.message);
	if (set && reason.p && text.p)
		cor_event_record(cor_plan_registry(p), "statefulset-controller", COR_RES_STATEFULSETS, set,
			ok ? "Normal" : "Warning", reason.p, text.p);
}

void sts_note_pod(struct sts *s, struct cor_action *a, const char *verb, struct cor_str pod_name) {
	struct pod_note *n = cor_arena_new_of(s->a, struct pod_note);
	if (!n)
		return;
	*n = (struct pod_note){ s->set, verb, pod_name };
	a->done = note_done;
	a->arg = n;
}

/* ---- actions on pods ---- */

static void set_identity(struct sts *s, struct core_v1_Pod *pod, struct cor_str name, int32_t ordinal) {
	cor_strmap_set(s->a, &pod->metadata.labels, POD_NAME_LABEL, name);
	cor_strmap_set(s->a, &pod->metadata.labels, POD_INDEX_LABEL, cor_arena_printf(s->a, "%d", ordinal));
}

/* A lost pod comes back at the revision that the rollout has for its place. With rollingUpdate given
 * the partition decides; without it the count of pods that are still at the current one. */
static const struct apps_v1_ControllerRevision *revision_for(const struct sts *s, int32_t index) {
	const struct apps_v1_StatefulSetUpdateStrategy *u = &s->set->spec.updateStrategy;
	if (!cor_str_eq(u->type, COR_STR("RollingUpdate")))
		return s->history.update;
	int32_t keep = u->rollingUpdate ? (u->rollingUpdate->partition ? *u->rollingUpdate->partition : 0)
		: s->set->status.currentReplicas;
	return index < keep ? s->history.current : s->history.update;
}

static void create_pod(struct sts *s, int32_t index) {
	int32_t ordinal = s->start + index;
	const struct apps_v1_ControllerRevision *rev = revision_for(s, index);
	const struct core_v1_PodTemplateSpec *t =
		rev == s->history.update ? &s->set->spec.template : cor_history_template(s->p, rev);
	struct core_v1_Pod *pod = cor_pod_from_template(s->p, t ? t : &s->set->spec.template,
		COR_RES_STATEFULSETS, &s->set->metadata);
	if (!pod)
		return;
	pod->metadata.name = sts_pod_name(s, ordinal);
	set_identity(s, pod, pod->metadata.name, ordinal);
	cor_strmap_set(s->a, &pod->metadata.labels, REVISION_LABEL, rev->metadata.name);
	pod->spec.hostname = pod->metadata.name;
	pod->spec.subdomain = s->set->spec.serviceName;
	sts_pod_volumes(s, pod, ordinal);
	struct cor_action *a = cor_plan_create(s->p, STS_STAGE_PODS, COR_RES_PODS, pod);
	a->exists_ok = true;
	sts_note_pod(s, a, "Create", pod->metadata.name);
}

static void delete_pod(struct sts *s, const struct core_v1_Pod *pod) {
	struct cor_action *a = cor_plan_delete(s->p, STS_STAGE_PODS, COR_RES_PODS, pod->metadata.namespace,
		pod->metadata.name, pod->metadata.uid);
	sts_note_pod(s, a, "Delete", pod->metadata.name);
}

/* Labels that somebody changed are put right in place; the pod lives on. */
static void mend_identity(struct sts *s, const struct core_v1_Pod *pod, int32_t ordinal) {
	if (cor_str_eq(cor_strmap_value(&pod->metadata.labels, POD_NAME_LABEL), pod->metadata.name))
		return;
	struct core_v1_Pod *copy = cor_obj_dup(&cor_type_core_v1_Pod, pod, s->a);
	if (!copy)
		return;
	set_identity(s, copy, copy->metadata.name, ordinal);
	struct cor_action *a = cor_plan_update(s->p, STS_STAGE_PODS, COR_RES_PODS, copy);
	sts_note_pod(s, a, "Update", pod->metadata.name);
}

/* ---- passes ---- */

/* One slot of the replicas pass; false = stop here (only asked when pods are managed in order). */
static bool pass_slot(struct sts *s, int32_t index) {
	const struct core_v1_Pod *pod = s->slots[index];
	int32_t ordinal = s->start + index;
	if (!pod) {
		if (sts_ensure_claims(s, ordinal))
			create_pod(s, index);
		cor_plan_waits(s->p, "pod %.*s does not exist yet", COR_STR_ARG(sts_pod_name(s, ordinal)));
		return false;
	}
	const char *wait = NULL;
	if (cor_deleting(&pod->metadata))
		wait = "is being deleted";
	else if (cor_pod_finished(pod))
		wait = "has finished and is replaced";
	if (cor_pod_finished(pod) && !cor_deleting(&pod->metadata))
		delete_pod(s, pod);
	if (!wait) {
		if (cor_str_eq(pod->status.phase, COR_STR("Pending")))
			(void)sts_ensure_claims(s, ordinal);
		if (!running_and_ready(pod))
			wait = "is not running and ready";
		else if (!available(s, pod))
			wait = "is not ready for minReadySeconds";
		mend_identity(s, pod, ordinal);
		sts_claim_owners(s, pod, ordinal, true);
	}
	if (wait)
		cor_plan_waits(s->p, "pod %.*s %s", COR_STR_ARG(pod->metadata.name), wait);
	return !wait;
}

static bool pass_replicas(struct sts *s) {
	for (int32_t i = 0; i < s->replicas; i++)
		if (!pass_slot(s, i) && s->ordered)
			return false;
	return true;
}

static bool stays_available(struct sts *s, const struct core_v1_Pod *pod) {
	return available(s, pod) && !cor_deleting(&pod->metadata);
}

/* The lowest pod that keeps the set from being whole: first among the slots, then the condemned.
 * True when that is this pod. */
static bool first_unavailable(struct sts *s, const struct core_v1_Pod *pod) {
	for (int32_t i = 0; i < s->replicas; i++)
		if (!s->slots[i] || !stays_available(s, s->slots[i]))
			return s->slots[i] == pod;
	for (size_t i = s->condemned.n; i-- > 0;)
		if (!stays_available(s, s->condemned.p[i]))
			return s->condemned.p[i] == pod;
	return false;
}

static bool pass_condemned(struct sts *s) {
	for (size_t i = 0; i < s->condemned.n; i++) {
		const struct core_v1_Pod *pod = s->condemned.p[i];
		sts_claim_owners(s, pod, (int32_t)sts_ordinal(pod->metadata.name, s->set->metadata.name), false);
		if (cor_deleting(&pod->metadata)) {
			cor_plan_waits(s->p, "pod %.*s is being deleted", COR_STR_ARG(pod->metadata.name));
			if (s->ordered)
				return false;
			continue;
		}
		if (s->ordered && !available(s, pod) && !first_unavailable(s, pod)) {
			cor_plan_waits(s->p, "pod %.*s waits for others to become available before it goes",
				COR_STR_ARG(pod->metadata.name));
			return false;
		}
		delete_pod(s, pod);
		if (s->ordered)
			return false;
	}
	return true;
}

/* One outdated pod at a time, from the highest index down to the partition. */
static void pass_update(struct sts *s) {
	const struct apps_v1_StatefulSetUpdateStrategy *u = &s->set->spec.updateStrategy;
	if (cor_str_eq(u->type, COR_STR("OnDelete")))
		return;
	int32_t partition = u->rollingUpdate && u->rollingUpdate->partition ? *u->rollingUpdate->partition : 0;
	for (int32_t i = s->replicas - 1; i >= partition; i--) {
		const struct core_v1_Pod *pod = s->slots[i];
		if (!pod)
			return;
		if (!at_update_revision(s, pod) && !cor_deleting(&pod->metadata)) {
			delete_pod(s, pod);
			return;
		}
		if (cor_deleting(&pod->metadata) || !available(s, pod)) {
			cor_plan_waits(s->p, "the update waits for pod %.*s", COR_STR_ARG(pod->metadata.name));
			return;
		}
	}
}

/* ---- status ---- */

static void count_pod(struct sts *s, struct apps_v1_StatefulSetStatus *st, const struct core_v1_Pod *pod) {
	if (!pod || !created(pod))
		return;
	st->replicas++;
	if (running_and_ready(pod)) {
		st->readyReplicas++;
		if (available(s, pod))
			st->availableReplicas++;
	}
	if (cor_deleting(&pod->metadata))
		return;
	if (cor_str_eq(pod_revision(pod), s->history.current->metadata.name))
		st->currentReplicas++;
	if (at_update_revision(s, pod))
		st->updatedReplicas++;
}

static void plan_status(struct sts *s) {
	const struct apps_v1_StatefulSetStatus *old = &s->set->status;
	struct apps_v1_StatefulSet *copy = cor_obj_dup(&cor_type_apps_v1_StatefulSet, s->set, s->a);
	if (!copy)
		return;
	struct apps_v1_StatefulSetStatus st = {
		.observedGeneration = s->set->metadata.generation,
		.currentRevision = s->history.current->metadata.name,
		.updateRevision = s->history.update->metadata.name,
		.collisionCount = copy->status.collisionCount,
		.conditions = { .p = copy->status.conditions.p, .n = copy->status.conditions.n },
	};
	for (int32_t i = 0; i < s->replicas; i++)
		count_pod(s, &st, s->slots[i]);
	for (size_t i = 0; i < s->condemned.n; i++)
		count_pod(s, &st, s->condemned.p[i]);
	if (!st.collisionCount || *st.collisionCount < s->history.collisions) {
		st.collisionCount = cor_arena_new_of(s->a, int32_t);
		if (st.collisionCount)
			*st.collisionCount = s->history.collisions;
	}
	/* The rollout is complete: what was new is now the current revision. */
	if (cor_str_eq(s->set->spec.updateStrategy.type, COR_STR("RollingUpdate")) &&
	    st.updatedReplicas == st.replicas && st.readyReplicas == st.replicas &&
	    st.replicas == s->replicas) {
		st.currentRevision = st.updateRevision;
		st.currentReplicas = st.updatedReplicas;
	}
	copy->status = st;
	if (!cor_obj_equal(&cor_type_apps_v1_StatefulSetStatus, &st, old))
		(void)cor_plan_update_status(s->p, STS_STAGE_STATUS, COR_RES_STATEFULSETS, copy);
}

/* ---- the plan ---- */

static bool belongs(const struct meta_v1_ObjectMeta *m, const struct meta_v1_ObjectMeta *owner) {
	return sts_ordinal(m->name, owner->name) >= 0;
}

static int descending(const void *a, const void *b, void *set_name) {
	const struct cor_str *set = set_name;
	int64_t x = sts_ordinal((*(const struct core_v1_Pod *const *)a)->metadata.name, *set);
	int64_t y = sts_ordinal((*(const struct core_v1_Pod *const *)b)->metadata.name, *set);
	return x < y ? 1 : x > y ? -1 : 0;
}

static int gather_pods(struct sts *s, const struct cor_selector *sel, struct cor_err *err) {
	struct cor_claim claim = {
		.res = COR_RES_PODS, .owner_res = COR_RES_STATEFULSETS, .owner = &s->set->metadata,
		.selector = sel, .adoptable = belongs,
	};
	struct cor_objects pods = cor_claim_dependents(s->p, &claim);
	s->slots = cor_arena_array(s->a, const struct core_v1_Pod *, (size_t)s->replicas);
	if (!s->slots)
		return cor_fail(err, COR_E_LIMIT, "%d replicas are more than one plan can hold", s->replicas);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		int64_t index = sts_ordinal(pod->metadata.name, s->set->metadata.name) - s->start;
		if (index >= 0 && index < s->replicas) {
			s->slots[index] = pod;
		} else {
			const struct core_v1_Pod **slot = cor_arena_push(s->a, &s->condemned);
			if (slot)
				*slot = pod;
		}
	}
	struct cor_str name = s->set->metadata.name;
	if (s->condemned.n > 1)
		qsort_r(s->condemned.p, s->condemned.n, sizeof(*s->condemned.p), descending, &name);
	return 0;
}

static bool revision_in_use(void *arg, struct cor_str name) {
	struct sts *s = arg;
	if (cor_str_eq(name, s->history.current->metadata.name) ||
	    cor_str_eq(name, s->history.update->metadata.name))
		return true;
	for (int32_t i = 0; i < s->replicas; i++)
		if (s->slots[i] && cor_str_eq(pod_revision(s->slots[i]), name))
			return true;
	for (size_t i = 0; i < s->condemned.n; i++)
		if (cor_str_eq(pod_revision(s->condemned.p[i]), name))
			return true;
	return false;
}

static void init(struct sts *s, struct cor_plan *p, const struct apps_v1_StatefulSet *set) {
	*s = (struct sts){
		.p = p, .a = cor_plan_arena(p), .now = cor_plan_now(p), .set = set,
		.replicas = set->spec.replicas ? *set->spec.replicas : 1,
		.start = set->spec.ordinals ? set->spec.ordinals->start : 0,
		.min_ready = set->spec.minReadySeconds,
		.ordered = !cor_str_eq(set->spec.podManagementPolicy, COR_STR("Parallel")),
		.deleting = cor_deleting(&set->metadata),
	};
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct apps_v1_StatefulSet *set = cor_plan_get(p, COR_RES_STATEFULSETS, ns, name);
	if (!set || !set->spec.selector)
		return 0;
	struct sts s;
	init(&s, p, set);
	struct cor_selector sel;
	int r = cor_selector_from_labels(s.a, set->spec.selector, &sel, err);
	if (r < 0)
		return r;
	struct cor_history_owner owner = {
		.res = COR_RES_STATEFULSETS, .meta = &set->metadata, .selector = &sel,
		.template = &set->spec.template, .current = set->status.currentRevision,
		.collisions = set->status.collisionCount ? *set->status.collisionCount : 0,
	};
	r = cor_history_sync(p, &owner, &s.history, err);
	if (r >= 0 && !s.history.update)
		return 0;
	if (r >= 0)
		r = gather_pods(&s, &sel, err);
	if (r < 0)
		return r;
	if (!s.deleting && pass_replicas(&s) && pass_condemned(&s))
		pass_update(&s);
	plan_status(&s);
	cor_history_truncate(p, &s.history,
		set->spec.revisionHistoryLimit ? *set->spec.revisionHistoryLimit : 10, revision_in_use, &s);
	if (s.when)
		cor_plan_again_at(p, s.when);
	return 0;
}

/* ---- what wakes a set ---- */

static const struct meta_v1_LabelSelector *selector_of(const void *owner) {
	return ((const struct apps_v1_StatefulSet *)owner)->spec.selector;
}

/* A pod that is nobody's, or another's, may have stood where a pod of this set is to be. */
static void wake_namesake(struct cor_enqueue *q, struct cor_store *store, const struct cor_obj *pod) {
	size_t dash = pod->name.n;
	while (dash > 0 && pod->name.p[dash - 1] != '-')
		dash--;
	struct cor_str set = cor_str_sub(pod->name, 0, dash > 0 ? dash - 1 : 0);
	if (sts_ordinal(pod->name, set) >= 0 && cor_store_get(store, COR_RES_STATEFULSETS, pod->ns, set))
		cor_enqueue(q, pod->ns, set);
}

static void map_pod(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_map_controller(q, store, ev);
	if (ev->type == COR_EVENT_DELETED)
		wake_namesake(q, store, ev->obj);
	cor_map_orphan(q, store, ev, COR_RES_STATEFULSETS, selector_of);
}

struct claim_search {
	struct cor_enqueue *q;
	struct cor_str claim;
};

/* Claim names end in <set>-<ordinal>; a set whose name stands there may wait for it. */
static bool wake_set_of_claim(void *arg, struct cor_obj *o) {
	const struct claim_search *c = arg;
	size_t dash = c->claim.n;
	while (dash > 0 && c->claim.p[dash - 1] >= '0' && c->claim.p[dash - 1] <= '9')
		dash--;
	struct cor_str stem = cor_str_sub(c->claim, 0, dash > 0 ? dash - 1 : 0);
	if (cor_str_ends(stem, o->name))
		cor_enqueue(c->q, o->ns, o->name);
	return true;
}

static void map_claim(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (ev->type != COR_EVENT_DELETED)
		return;
	struct claim_search c = { q, ev->obj->name };
	cor_store_each(store, COR_RES_STATEFULSETS, ev->obj->ns, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		wake_set_of_claim, &c);
}

const struct cor_controller cor_controller_statefulset = {
	.name = "statefulset",
	.res = COR_RES_STATEFULSETS,
	.watches = {
		{ COR_RES_STATEFULSETS, NULL },
		{ COR_RES_PODS, map_pod },
		{ COR_RES_CONTROLLERREVISIONS, cor_map_controller },
		{ COR_RES_PERSISTENTVOLUMECLAIMS, map_claim },
	},
	.n_watches = 4,
	.plan = plan,
};
