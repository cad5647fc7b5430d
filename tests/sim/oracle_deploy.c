// SPDX-License-Identifier: Apache-2.0
// What plans for ReplicaSets and Deployments may do: as many pods as asked for, the unready ones go
// first; a rollout stays within maxSurge and maxUnavailable; Recreate waits for the last old pod.
#include "controllers/engine_priv.h"
#include "sim/oracle_priv.h"

/* ---- ReplicaSets ---- */

static bool is_active(const struct core_v1_Pod *pod) {
	return !look_finished(pod) && !pod->metadata.deletionTimestamp;
}

static bool has_controller(const struct meta_v1_ObjectMeta *m) {
	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (m->ownerReferences.p[i].controller && *m->ownerReferences.p[i].controller)
			return true;
	return false;
}

/* Its own that have the labels; without them the plan lets go. Those that nobody has are adopted. */
static bool is_of(const struct apps_v1_ReplicaSet *rs, const struct core_v1_Pod *pod) {
	return look_matches(&rs->spec.selector->matchLabels, &pod->metadata.labels) &&
	       (look_owned_by(&pod->metadata, rs->metadata.uid) || !has_controller(&pod->metadata));
}

static bool is_deleted_by(const struct cor_plan *p, struct cor_str uid) {
	for (const struct planned *x = p->actions; x; x = x->next)
		if (x->a.verb == COR_VERB_DELETE && cor_str_eq(x->a.expect_uid, uid))
			return true;
	return false;
}

void oracle_replicaset(struct look *l) {
	const struct apps_v1_ReplicaSet *rs = look_get(l, COR_RES_REPLICASETS, l->ns, l->name);
	if (!rs)
		return;
	int32_t replicas = rs->spec.replicas ? *rs->spec.replicas : 1, active = 0, made = 0,
		deleted = 0;
	bool ready_goes = false, unready_stays = false;
	struct look_list pods = look_all(l, COR_RES_PODS, l->ns);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		bool mine = is_of(rs, pod);
		bool goes = is_deleted_by(l->p, pod->metadata.uid);
		if (!mine && goes)
			violation(l->c, "%.*s deletes pod %.*s, which is none of its own",
				COR_STR_ARG(l->name), COR_STR_ARG(pod->metadata.name));
		if (!mine || !is_active(pod))
			continue;
		active++;
		deleted += goes;
		ready_goes |= goes && look_available(pod, 0, l->now);
		unready_stays |= !goes && !look_available(pod, 0, l->now);
	}
	for (const struct planned *x = l->p->actions; x; x = x->next)
		made += x->a.verb == COR_VERB_CREATE && x->a.res == COR_RES_PODS;
	if (made > 0 && active + made > replicas)
		violation(l->c, "%.*s makes %d pods although %d of %d are there",
			COR_STR_ARG(l->name), made, active, replicas);
	if (deleted > 0 && active - deleted < replicas)
		violation(l->c, "%.*s deletes %d of %d pods, %d are wanted", COR_STR_ARG(l->name),
			deleted, active, replicas);
	if (ready_goes && unready_stays)
		violation(l->c, "%.*s deletes a ready pod while one that is not ready stays",
			COR_STR_ARG(l->name));
}

/* ---- Deployments ---- */

struct budget {
	int32_t replicas, surge, unavailable;
	/* of all ReplicaSets, before and after the plan */
	int32_t size, size_after, available, available_after;
	bool recreate, scaling, old_pods, new_grows, new_runs;
};

static int32_t size_of(const struct apps_v1_ReplicaSet *rs) {
	return rs->spec.replicas ? *rs->spec.replicas : 1;
}

static bool is_new(const struct apps_v1_Deployment *d, const struct apps_v1_ReplicaSet *rs) {
	return look_same(&d->spec.template.spec, &rs->spec.template.spec);
}

/* The size that the plan gives it. */
static int32_t planned_size(const struct cor_plan *p, const struct apps_v1_ReplicaSet *rs) {
	int32_t n = size_of(rs);
	for (const struct planned *x = p->actions; x; x = x->next)
		if (x->a.res == COR_RES_REPLICASETS && x->a.verb == COR_VERB_UPDATE &&
			!x->a.subresource.n && cor_str_eq(x->a.name, rs->metadata.name))
			n = size_of(x->a.obj);
	return n;
}

static int32_t smaller(int32_t a, int32_t b) {
	return a < b ? a : b;
}

static void add_set(struct look *l, struct budget *b, const struct apps_v1_Deployment *d,
	const struct apps_v1_ReplicaSet *rs) {
	int32_t now = size_of(rs), then = planned_size(l->p, rs),
		available = rs->status.availableReplicas;
	b->size += now;
	b->size_after += then;
	/* Pods that are not available go first. */
	b->available += smaller(available, now);
	b->available_after += smaller(available, then);
	b->new_grows |= is_new(d, rs) && then > now;
	b->new_runs |= is_new(d, rs) && now > 0; /* since it became Recreate in a rollout */
	const struct cor_str *desired = cor_strmap_get(
		&rs->metadata.annotations, COR_STR("deployment.kubernetes.io/desired-replicas"));
	int64_t v;
	b->scaling |= now > 0 && desired && cor_str_to_i64(*desired, &v) && v != b->replicas;
	if (is_new(d, rs))
		return;
	struct look_list pods = look_owned(l, COR_RES_PODS, rs->metadata.uid);
	for (size_t i = 0; i < pods.n; i++)
		b->old_pods |= !look_finished(pods.p[i]);
}

static void check_cleanup(struct look *l, const struct cor_action *a) {
	const struct apps_v1_ReplicaSet *rs = look_get(l, COR_RES_REPLICASETS, l->ns, a->name);
	if (rs && (size_of(rs) > 0 || rs->status.replicas > 0))
		violation(l->c, "deployment %.*s removes %.*s, which has pods",
			COR_STR_ARG(l->name), COR_STR_ARG(a->name));
}

void oracle_deployment(struct look *l) {
	const struct apps_v1_Deployment *d = look_get(l, COR_RES_DEPLOYMENTS, l->ns, l->name);
	if (!d)
		return;
	const struct apps_v1_RollingUpdateDeployment *r = d->spec.strategy.rollingUpdate;
	struct budget b = { .replicas = d->spec.replicas ? *d->spec.replicas : 1 };
	b.recreate = cor_str_eq(d->spec.strategy.type, COR_STR("Recreate"));
	if (r && !b.recreate) {
		b.surge = look_scaled(r->maxSurge, b.replicas, true);
		b.unavailable = look_scaled(r->maxUnavailable, b.replicas, false);
		if (b.surge == 0 && b.unavailable == 0)
			b.unavailable = 1;
	}
	struct look_list sets = look_owned(l, COR_RES_REPLICASETS, d->metadata.uid);
	for (size_t i = 0; i < sets.n; i++)
		add_set(l, &b, d, sets.p[i]);
	for (const struct planned *x = l->p->actions; x; x = x->next) {
		if (x->a.res != COR_RES_REPLICASETS)
			continue;
		if (x->a.verb == COR_VERB_CREATE) {
			b.size_after += size_of(x->a.obj);
			b.new_grows = true;
		} else if (x->a.verb == COR_VERB_DELETE) {
			check_cleanup(l, &x->a);
		}
	}
	if (b.recreate && b.new_grows && b.old_pods && !b.new_runs)
		violation(l->c, "deployment %.*s starts new pods beside old ones",
			COR_STR_ARG(l->name));
	if (b.recreate || b.scaling)
		return;
	if (b.size_after > b.size && b.size_after > b.replicas + b.surge)
		violation(l->c, "deployment %.*s grows to %d pods, %d and %d more are allowed",
			COR_STR_ARG(l->name), b.size_after, b.replicas, b.surge);
	if (b.available_after < b.available && b.available_after < b.replicas - b.unavailable)
		violation(l->c, "deployment %.*s keeps %d available pods, %d but %d are promised",
			COR_STR_ARG(l->name), b.available_after, b.replicas, b.unavailable);
}
