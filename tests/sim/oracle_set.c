// SPDX-License-Identifier: Apache-2.0
// What a plan for a StatefulSet may do (facts on StatefulSets 1.1 to 1.5), told from the state and
// not from the planner's passes: order of starts and stops, partition, one pod at a time, and which
// claims it may give to the garbage collector.
#include <stdio.h>

#include "controllers/engine_priv.h"
#include "sim/oracle_priv.h"

enum { SLOTS = 64 };

struct set {
	struct look *l;
	const struct apps_v1_StatefulSet *s;
	int32_t replicas, start, partition, min_ready;
	bool ordered, rolling;
	const struct core_v1_Pod *slots[SLOTS]; /* by index */
	const struct core_v1_Pod *out[SLOTS];   /* out of range */
	size_t n_out;
};

/* -1: the name is none of this set's. */
static int64_t ordinal_of(const struct set *x, struct cor_str pod) {
	struct cor_str set = x->s->metadata.name;
	uint64_t v;
	if (!cor_str_starts(pod, set) || pod.n < set.n + 2 || pod.p[set.n] != '-' ||
		!cor_str_to_u64(cor_str_sub(pod, set.n + 1, pod.n), &v))
		return -1;
	return (int64_t)v;
}

static bool in_range(const struct set *x, int64_t ordinal) {
	return ordinal >= x->start && ordinal < x->start + x->replicas;
}

static bool is_ok(const struct set *x, const struct core_v1_Pod *pod) {
	return pod && !pod->metadata.deletionTimestamp &&
	       look_available(pod, x->min_ready, x->l->now);
}

static bool is_new(const struct set *x, const struct core_v1_Pod *pod) {
	return look_same(&pod->spec, &x->s->spec.template.spec);
}

static struct cor_str controller_of(const struct meta_v1_ObjectMeta *m) {
	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (m->ownerReferences.p[i].controller && *m->ownerReferences.p[i].controller)
			return m->ownerReferences.p[i].uid;
	return COR_STR("");
}

static void gather(struct set *x) {
	struct look_list pods = look_all(x->l, COR_RES_PODS, x->l->ns);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		struct cor_str owner = controller_of(&pod->metadata);
		int64_t ordinal = ordinal_of(x, pod->metadata.name);
		/* A pod without a controller is adopted by this plan, one without the labels is let go. */
		if (ordinal < 0 || !look_matches(&x->s->spec.selector->matchLabels, &pod->metadata.labels) || (owner.n > 0 && !cor_str_eq(owner, x->s->metadata.uid)))
			continue;
		if (owner.n == 0 &&
			(pod->metadata.deletionTimestamp || x->s->metadata.deletionTimestamp))
			continue;
		if (in_range(x, ordinal))
			x->slots[ordinal - x->start] = pod;
		else if (x->n_out < SLOTS)
			x->out[x->n_out++] = pod;
	}
}

static bool all_ok(const struct set *x, int32_t from, int32_t to) {
	for (int32_t i = from; i < to; i++)
		if (!is_ok(x, x->slots[i]))
			return false;
	return true;
}

/* ---- pods ---- */

static void check_create(struct set *x, const struct core_v1_Pod *pod) {
	struct look *l = x->l;
	struct cor_str name = pod->metadata.name;
	int64_t ordinal = ordinal_of(x, name);
	int32_t index = (int32_t)(ordinal - x->start);
	if (x->s->metadata.deletionTimestamp)
		violation(l->c, "pod %.*s is made although its set is going", COR_STR_ARG(name));
	if (!in_range(x, ordinal))
		violation(l->c, "pod %.*s is made out of range", COR_STR_ARG(name));
	else if (x->ordered && !all_ok(x, 0, index))
		violation(l->c, "pod %.*s is made out of order: not all before it are available",
			COR_STR_ARG(name));
	if (!x->rolling || !x->s->spec.updateStrategy.rollingUpdate)
		return;
	const struct cor_str *label =
		cor_strmap_get(&pod->metadata.labels, COR_STR("controller-revision-hash"));
	struct cor_str current = x->s->status.currentRevision;
	bool known = current.n > 0 &&
		     cor_store_get(l->store, COR_RES_CONTROLLERREVISIONS, l->ns, current);
	if (index < x->partition && known && (!label || !cor_str_eq(*label, current)))
		violation(l->c, "pod %.*s below the partition is not made at the current revision",
			COR_STR_ARG(name));
	if (index >= x->partition && !is_new(x, pod))
		violation(l->c, "pod %.*s above the partition is not made at the new revision",
			COR_STR_ARG(name));
}

/* Scaled away: the highest first, and in order only when the rest is well. */
static bool may_scale_away(const struct set *x, const struct core_v1_Pod *pod) {
	int64_t ordinal = ordinal_of(x, pod->metadata.name);
	if (in_range(x, ordinal))
		return false;
	if (!x->ordered)
		return true;
	bool lower_ok = true;
	for (size_t i = 0; i < x->n_out; i++) {
		int64_t o = ordinal_of(x, x->out[i]->metadata.name);
		if (o > ordinal)
			return false;
		lower_ok &= o == ordinal || is_ok(x, x->out[i]);
	}
	return all_ok(x, 0, x->replicas) && (is_ok(x, pod) || lower_ok);
}

static bool may_update(const struct set *x, const struct core_v1_Pod *pod) {
	int64_t ordinal = ordinal_of(x, pod->metadata.name);
	int32_t index = (int32_t)(ordinal - x->start);
	if (!x->rolling || !in_range(x, ordinal) || index < x->partition || is_new(x, pod))
		return false;
	if (!all_ok(x, index + 1, x->replicas))
		return false;
	for (int32_t i = index + 1; i < x->replicas; i++)
		if (!is_new(x, x->slots[i]))
			return false;
	return !x->ordered || (all_ok(x, 0, x->replicas) && x->n_out == 0);
}

static const struct core_v1_Pod *find(const struct set *x, struct cor_str uid) {
	for (int32_t i = 0; i < x->replicas; i++)
		if (x->slots[i] && cor_str_eq(x->slots[i]->metadata.uid, uid))
			return x->slots[i];
	for (size_t i = 0; i < x->n_out; i++)
		if (cor_str_eq(x->out[i]->metadata.uid, uid))
			return x->out[i];
	return NULL;
}

static void check_delete(
	struct set *x, const struct cor_action *a, unsigned *updates, unsigned *scaled) {
	struct look *l = x->l;
	const struct core_v1_Pod *pod = find(x, a->expect_uid);
	if (!pod) {
		violation(l->c, "set %.*s deletes pod %.*s, which is none of its own",
			COR_STR_ARG(l->name), COR_STR_ARG(a->name));
		return;
	}
	if (a->grace_s >= 0)
		violation(l->c, "set %.*s takes the grace of pod %.*s away", COR_STR_ARG(l->name),
			COR_STR_ARG(a->name));
	if (look_finished(pod) && !pod->metadata.deletionTimestamp)
		return;
	if (may_scale_away(x, pod))
		++*scaled;
	else if (may_update(x, pod))
		++*updates;
	else
		violation(l->c, "set %.*s deletes pod %.*s without a reason", COR_STR_ARG(l->name),
			COR_STR_ARG(a->name));
	if (*updates > 1 || (x->ordered && *scaled > 1))
		violation(l->c, "set %.*s deletes several pods at once", COR_STR_ARG(l->name));
}

/* ---- claims ---- */

static bool says_delete(struct cor_str policy) {
	return cor_str_eq(policy, COR_STR("Delete"));
}

/* An owner that the plan adds hands the claim to the garbage collector: only as the policy says. */
static void check_claim(struct set *x, const struct core_v1_PersistentVolumeClaim *claim) {
	struct look *l = x->l;
	const struct core_v1_PersistentVolumeClaim *old =
		look_get(l, COR_RES_PERSISTENTVOLUMECLAIMS, l->ns, claim->metadata.name);
	const apps_v1_StatefulSetPersistentVolumeClaimRetentionPolicy *r =
		x->s->spec.persistentVolumeClaimRetentionPolicy;
	size_t dash = claim->metadata.name.n;
	while (dash > 0 && claim->metadata.name.p[dash - 1] != '-')
		dash--;
	uint64_t ordinal = 0;
	(void)cor_str_to_u64(
		cor_str_sub(claim->metadata.name, dash, claim->metadata.name.n), &ordinal);
	for (size_t i = 0; old && i < claim->metadata.ownerReferences.n; i++) {
		const struct meta_v1_OwnerReference *ref = &claim->metadata.ownerReferences.p[i];
		if (look_owned_by(&old->metadata, ref->uid))
			continue;
		bool of_set = cor_str_eq(ref->uid, x->s->metadata.uid);
		if (of_set ? !r || !says_delete(r->whenDeleted)
			   : !r || !says_delete(r->whenScaled) || in_range(x, (int64_t)ordinal))
			violation(l->c,
				"claim %.*s is given to %.*s %.*s against the retention policy",
				COR_STR_ARG(claim->metadata.name), COR_STR_ARG(ref->kind),
				COR_STR_ARG(ref->name));
	}
}

/* ---- revisions ---- */

static void check_revision(struct set *x, const struct cor_action *a) {
	struct look *l = x->l;
	bool used = cor_str_eq(a->name, x->s->status.currentRevision);
	for (int32_t i = 0; i < x->replicas && !used; i++) {
		const struct cor_str *label =
			x->slots[i] ? cor_strmap_get(&x->slots[i]->metadata.labels,
					      COR_STR("controller-revision-hash"))
				    : NULL;
		used = label && cor_str_eq(*label, a->name);
	}
	if (used)
		violation(l->c, "set %.*s removes revision %.*s, which is in use",
			COR_STR_ARG(l->name), COR_STR_ARG(a->name));
}

void oracle_set(struct look *l) {
	struct set *x = cor_arena_new_of(l->a, struct set);
	x->l = l;
	x->s = look_get(l, COR_RES_STATEFULSETS, l->ns, l->name);
	if (!x->s)
		return;
	const struct apps_v1_StatefulSetSpec *spec = &x->s->spec;
	const struct apps_v1_StatefulSetUpdateStrategy *u = &spec->updateStrategy;
	x->replicas = spec->replicas ? *spec->replicas : 1;
	x->start = spec->ordinals ? spec->ordinals->start : 0;
	x->partition =
		u->rollingUpdate && u->rollingUpdate->partition ? *u->rollingUpdate->partition : 0;
	x->min_ready = spec->minReadySeconds;
	x->ordered = !cor_str_eq(spec->podManagementPolicy, COR_STR("Parallel"));
	x->rolling = !cor_str_eq(u->type, COR_STR("OnDelete"));
	gather(x);
	unsigned updates = 0, scaled = 0;
	for (const struct planned *p = l->p->actions; p; p = p->next) {
		if (p->a.res == COR_RES_PODS && p->a.verb == COR_VERB_CREATE)
			check_create(x, p->a.obj);
		else if (p->a.res == COR_RES_PODS && p->a.verb == COR_VERB_DELETE)
			check_delete(x, &p->a, &updates, &scaled);
		else if (p->a.res == COR_RES_PERSISTENTVOLUMECLAIMS && p->a.verb == COR_VERB_UPDATE)
			check_claim(x, p->a.obj);
		else if (p->a.res == COR_RES_PERSISTENTVOLUMECLAIMS && p->a.verb == COR_VERB_DELETE)
			violation(l->c, "set %.*s deletes claim %.*s itself", COR_STR_ARG(l->name),
				COR_STR_ARG(p->a.name));
		else if (p->a.res == COR_RES_CONTROLLERREVISIONS && p->a.verb == COR_VERB_DELETE)
			check_revision(x, &p->a);
	}
}
