// SPDX-License-Identifier: Apache-2.0
// The goal: once faults have ended, everything is as the specs say, in the API as on the machines,
// and nothing is left over. Says the first thing that is not so.
#include <stdarg.h>
#include <stdio.h>

#include "api/meta.h"
#include "base/assert.h"
#include "gen/batch_v1.h"
#include "sim/agent_priv.h"
#include "sim/oracle_priv.h"

static char missing[300];

static const char *no(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *no(const char *fmt, ...) {
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(missing, sizeof(missing), fmt, ap);
	va_end(ap);
	return missing;
}

/* ---- sets ---- */

static const struct core_v1_Pod *pod_of_set(
	struct look *l, const struct apps_v1_StatefulSet *s, int32_t ordinal) {
	return look_get(l, COR_RES_PODS, s->metadata.namespace,
		cor_arena_printf(l->a, "%.*s-%d", COR_STR_ARG(s->metadata.name), ordinal));
}

static const char *set_missing(struct look *l, const struct apps_v1_StatefulSet *s) {
	struct cor_str name = s->metadata.name;
	int32_t replicas = s->spec.replicas ? *s->spec.replicas : 1,
		start = s->spec.ordinals ? s->spec.ordinals->start : 0;
	const struct apps_v1_StatefulSetUpdateStrategy *u = &s->spec.updateStrategy;
	bool rolling = !cor_str_eq(u->type, COR_STR("OnDelete"));
	int32_t partition =
		u->rollingUpdate && u->rollingUpdate->partition ? *u->rollingUpdate->partition : 0;
	struct look_list owned = look_owned(l, COR_RES_PODS, s->metadata.uid);
	if (owned.n != (size_t)replicas)
		return no("set %.*s has %zu pods, not %d", COR_STR_ARG(name), owned.n, replicas);
	for (int32_t i = 0; i < replicas; i++) {
		const struct core_v1_Pod *pod = pod_of_set(l, s, start + i);
		if (!pod || !look_owned_by(&pod->metadata, s->metadata.uid))
			return no("set %.*s has no pod %d", COR_STR_ARG(name), start + i);
		if (!look_available(pod, s->spec.minReadySeconds, l->now))
			return no("pod %.*s is not available", COR_STR_ARG(pod->metadata.name));
		if (rolling && i >= partition && !look_same(&pod->spec, &s->spec.template.spec))
			return no("pod %.*s is not at the new revision",
				COR_STR_ARG(pod->metadata.name));
	}
	const struct apps_v1_StatefulSetStatus *st = &s->status;
	if (st->observedGeneration != s->metadata.generation || st->replicas != replicas ||
		st->readyReplicas != replicas || st->availableReplicas != replicas)
		return no("status of set %.*s: generation %lld of %lld, %d of %d pods, %d ready, "
			  "%d available",
			COR_STR_ARG(name), (long long)st->observedGeneration,
			(long long)s->metadata.generation, st->replicas, replicas,
			st->readyReplicas, st->availableReplicas);
	if (rolling && partition == 0 &&
		(!cor_str_eq(st->currentRevision, st->updateRevision) ||
			st->updatedReplicas != replicas || st->currentReplicas != replicas))
		return no("status of set %.*s does not say that the rollout is over",
			COR_STR_ARG(name));
	return NULL;
}

/* ---- Deployments and ReplicaSets ---- */

static const char *deployment_missing(struct look *l, const struct apps_v1_Deployment *d) {
	struct cor_str name = d->metadata.name;
	int32_t replicas = d->spec.replicas ? *d->spec.replicas : 1;
	struct look_list sets = look_owned(l, COR_RES_REPLICASETS, d->metadata.uid);
	bool found = false;
	for (size_t i = 0; i < sets.n; i++) {
		const struct apps_v1_ReplicaSet *rs = sets.p[i];
		bool new = !found &&look_same(&rs->spec.template.spec, &d->spec.template.spec);
		found |= new;
		int32_t want = new ? replicas : 0,
			have = rs->spec.replicas ? *rs->spec.replicas : 1;
		if (have != want)
			return no("%.*s of deployment %.*s has size %d, not %d",
				COR_STR_ARG(rs->metadata.name), COR_STR_ARG(name), have, want);
	}
	const struct apps_v1_DeploymentStatus *st = &d->status;
	if (!found)
		return no("deployment %.*s has no ReplicaSet of its template", COR_STR_ARG(name));
	if (st->observedGeneration != d->metadata.generation || st->replicas != replicas ||
		st->updatedReplicas != replicas || st->availableReplicas != replicas ||
		st->unavailableReplicas != 0)
		return no("status of deployment %.*s: generation %lld of %lld, %d of %d pods, %d "
			  "updated, %d available",
			COR_STR_ARG(name), (long long)st->observedGeneration,
			(long long)d->metadata.generation, st->replicas, replicas,
			st->updatedReplicas, st->availableReplicas);
	return NULL;
}

static const char *replicaset_missing(struct look *l, const struct apps_v1_ReplicaSet *rs) {
	int32_t replicas = rs->spec.replicas ? *rs->spec.replicas : 1;
	struct look_list pods = look_owned(l, COR_RES_PODS, rs->metadata.uid);
	int32_t well = 0;
	size_t finished = 0;
	for (size_t i = 0; i < pods.n; i++) {
		well += look_available(pods.p[i], rs->spec.minReadySeconds, l->now);
		finished += look_finished(pods.p[i]); /* they stay, as upstream's do */
	}
	const struct apps_v1_ReplicaSetStatus *st = &rs->status;
	if (well != replicas || pods.n - finished != (size_t)replicas)
		return no("%.*s has %zu pods, %d available, not %d", COR_STR_ARG(rs->metadata.name),
			pods.n, well, replicas);
	if (st->replicas != replicas || st->availableReplicas != replicas ||
		st->observedGeneration != rs->metadata.generation)
		return no("status of %.*s is old", COR_STR_ARG(rs->metadata.name));
	return NULL;
}

/* ---- Jobs ---- */

static bool job_is(const struct batch_v1_Job *j, const char *type) {
	for (size_t i = 0; i < j->status.conditions.n; i++)
		if (cor_str_eq_c(j->status.conditions.p[i].type, type) &&
			cor_str_eq(j->status.conditions.p[i].status, COR_STR("True")))
			return true;
	return false;
}

/* It has ended, and none of its pods is held by it any more. */
static const char *job_missing(struct look *l, const struct batch_v1_Job *j) {
	struct cor_str name = j->metadata.name;
	bool good = job_is(j, "Complete"), bad = job_is(j, "Failed");
	struct look_list pods = look_owned(l, COR_RES_PODS, j->metadata.uid);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		if (pod->metadata.finalizers.n > 0)
			return no("job %.*s has not let go of pod %.*s", COR_STR_ARG(name),
				COR_STR_ARG(pod->metadata.name));
	}
	if (good == bad)
		return no("job %.*s has not ended", COR_STR_ARG(name));
	if (j->spec.ttlSecondsAfterFinished)
		return no("job %.*s has outlived its time", COR_STR_ARG(name));
	if (j->status.active != 0 || (good && j->status.succeeded < *j->spec.completions))
		return no("job %.*s ended with %d active pods, %d of %d succeeded", COR_STR_ARG(name),
			j->status.active, j->status.succeeded, *j->spec.completions);
	return NULL;
}

/* ---- pods, claims, volumes ---- */

static struct node *node_of(struct cluster *c, struct cor_str name) {
	for (size_t i = 0; i < c->n_nodes; i++)
		if (cor_str_eq_c(name, c->nodes[i].name))
			return &c->nodes[i];
	return NULL;
}

static const char *pod_missing(struct look *l, const struct core_v1_Pod *pod) {
	struct cor_str name = pod->metadata.name;
	if (look_finished(pod))
		return NULL;
	struct node *n = node_of(l->c, pod->spec.nodeName);
	if (!n)
		return no("pod %.*s has no node", COR_STR_ARG(name));
	const struct run *r = machine_run(n, pod->metadata.uid);
	if (!r || !r->alive || !machine_is_ready(r) || !look_available(pod, 0, l->now))
		return no("pod %.*s does not run, or is not ready", COR_STR_ARG(name));
	for (size_t i = 0; i < pod->spec.volumes.n; i++) {
		const struct core_v1_PersistentVolumeClaimVolumeSource *v =
			pod->spec.volumes.p[i].persistentVolumeClaim;
		const struct core_v1_PersistentVolumeClaim *c =
			v ? look_get(l, COR_RES_PERSISTENTVOLUMECLAIMS, pod->metadata.namespace,
				    v->claimName)
			  : NULL;
		if (v && (!c || !cor_str_eq(c->status.phase, COR_STR("Bound"))))
			return no("claim %.*s of pod %.*s is not bound", COR_STR_ARG(v->claimName),
				COR_STR_ARG(name));
	}
	return NULL;
}

static const char *volume_missing(struct look *l, const struct core_v1_PersistentVolume *pv) {
	const struct core_v1_ObjectReference *r = pv->spec.claimRef;
	if (r && !cor_store_by_uid(l->store, r->uid))
		return no("volume %.*s has outlived its claim", COR_STR_ARG(pv->metadata.name));
	return NULL;
}

static const char *node_missing(struct look *l, const struct core_v1_Node *n) {
	for (size_t i = 0; i < n->status.conditions.n; i++)
		if (cor_str_eq(n->status.conditions.p[i].type, COR_STR("Ready")) &&
			!cor_str_eq(n->status.conditions.p[i].status, COR_STR("True")))
			return no("node %.*s is not ready", COR_STR_ARG(n->metadata.name));
	return n->spec.taints.n > 0 ? no("node %.*s has a taint", COR_STR_ARG(n->metadata.name))
				    : NULL;
}

/* ---- all ---- */

static const struct {
	enum cor_res res;
	const char *(*check)(struct look *l, const void *obj);
} checks[] = {
#define CHECK(res, type, fn)                                                                       \
	{ res, (const char *(*)(struct look *, const void *))fn }
	CHECK(COR_RES_NODES, core_v1_Node, node_missing),
	CHECK(COR_RES_DEPLOYMENTS, apps_v1_Deployment, deployment_missing),
	CHECK(COR_RES_REPLICASETS, apps_v1_ReplicaSet, replicaset_missing),
	CHECK(COR_RES_STATEFULSETS, apps_v1_StatefulSet, set_missing),
	CHECK(COR_RES_JOBS, batch_v1_Job, job_missing),
	CHECK(COR_RES_PODS, core_v1_Pod, pod_missing),
	CHECK(COR_RES_PERSISTENTVOLUMES, core_v1_PersistentVolume, volume_missing),
};

static bool is_left_over(void *arg, struct cor_obj *o) {
	const char **why = arg;
	struct cor_store *store = server_store(cluster_now);
	bool orphaned = o->owners.n > 0;
	for (size_t i = 0; i < o->owners.n; i++)
		orphaned &= !cor_store_by_uid(store, o->owners.p[i].uid);
	if (o->deleting)
		*why = no("%s %.*s is still being deleted", cor_resources[o->res].plural,
			COR_STR_ARG(o->name));
	else if (orphaned)
		*why = no("%s %.*s has outlived its owners", cor_resources[o->res].plural,
			COR_STR_ARG(o->name));
	return !*why;
}

static const char *left_over(struct cluster *c) {
	const char *why = NULL;
	for (size_t i = 0; i < cor_resources_n && !why; i++)
		cor_store_each(server_store(c), (uint16_t)i, (struct cor_str){ 0 },
			(struct cor_str){ 0 }, (struct cor_str){ 0 }, is_left_over, &why);
	return why;
}

static const char *machines_missing(struct look *l) {
	struct cluster *c = l->c;
	size_t alive = 0, pods = 0;
	struct look_list all = look_all(l, COR_RES_PODS, (struct cor_str){ 0 });
	for (size_t i = 0; i < all.n; i++)
		pods += !look_finished(all.p[i]);
	for (size_t i = 0; i < c->n_nodes; i++) {
		struct node *n = &c->nodes[i];
		alive += machine_alive(n);
		if (!n->agent_up || !stream_is_current(&n->pods))
			return no("the agent of %s has not caught up", n->name);
		const char *why = agent_difference(n);
		if (why)
			return no("the agent of %s: %s", n->name, why);
	}
	return alive != pods ? no("%zu pods run, the API knows %zu", alive, pods) : NULL;
}

const char *goal_missing(struct cluster *c) {
	if (!c->server.up || !cor_registry_ready(c->server.registry))
		return no("the server does not serve");
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct look l = { .c = c, .store = server_store(c), .a = a, .now = cor_now(c->world) };
	const char *why = NULL;
	for (size_t i = 0; i < cor_countof(checks) && !why; i++) {
		struct look_list all = look_all(&l, checks[i].res, (struct cor_str){ 0 });
		for (size_t k = 0; k < all.n && !why; k++)
			why = checks[i].check(&l, all.p[k]);
	}
	if (!why)
		why = left_over(c);
	if (!why)
		why = machines_missing(&l);
	if (!why &&
		(!cor_engine_idle(c->server.engine) || !cor_scheduler_idle(c->server.scheduler)))
		why = no("controllers or the scheduler are busy");
	return why;
}
