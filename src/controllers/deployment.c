// SPDX-License-Identifier: Apache-2.0
// The Deployment planner (facts/controllers.md section 4): finds the ReplicaSet of the present
// template, scales it and the old ones by the strategy's budget, and keeps history. Actions on
// ReplicaSets are in stage 1; a change of one ends the plan, the next event goes on from there.
#include "controllers/deployment_priv.h"

#include <stdio.h>

#include "codec/codec.h"
#include "controllers/rows.h"

static const struct cor_str HASH_LABEL = COR_STR_INIT("pod-template-hash");
static const struct cor_str REVISION = COR_STR_INIT("deployment.kubernetes.io/revision");
static const struct cor_str REVISION_HISTORY = COR_STR_INIT("deployment.kubernetes.io/revision-history");
static const struct cor_str DESIRED = COR_STR_INIT("deployment.kubernetes.io/desired-replicas");
static const struct cor_str MAX_REPLICAS = COR_STR_INIT("deployment.kubernetes.io/max-replicas");

enum { HISTORY_TEXT_MAX = 2000 };

int32_t deploy_rs_replicas(const struct apps_v1_ReplicaSet *rs) {
	return rs->spec.replicas ? *rs->spec.replicas : 1;
}

int64_t deploy_revision(const struct apps_v1_ReplicaSet *rs) {
	int64_t v;
	return cor_str_to_i64(cor_strmap_value(&rs->metadata.annotations, REVISION), &v) ? v : 0;
}

static int32_t min32(int32_t a, int32_t b) {
	return a < b ? a : b;
}

static int32_t max32(int32_t a, int32_t b) {
	return a > b ? a : b;
}

/* ---- what there is ---- */

static void budget(struct deploy *s) {
	const struct apps_v1_RollingUpdateDeployment *r = s->d->spec.strategy.rollingUpdate;
	s->recreate = cor_str_eq(s->d->spec.strategy.type, COR_STR("Recreate"));
	if (s->recreate || !r)
		return;
	s->surge = cor_intstr_of(r->maxSurge, s->replicas, 1, true);
	s->unavailable = cor_intstr_of(r->maxUnavailable, s->replicas, 0, false);
	if (s->surge == 0 && s->unavailable == 0)
		s->unavailable = 1;
	s->unavailable = min32(s->unavailable, s->replicas);
}

static void without_hash(struct cor_arena *a, struct cor_strmap *labels) {
	struct cor_kv *p = cor_arena_array(a, struct cor_kv, labels->n);
	size_t n = 0;
	for (size_t i = 0; p && i < labels->n; i++)
		if (!cor_str_eq(labels->p[i].key, HASH_LABEL))
			p[n++] = labels->p[i];
	labels->p = p;
	labels->n = n;
}

static bool same_template(struct deploy *s, const struct apps_v1_ReplicaSet *rs) {
	struct core_v1_PodTemplateSpec a = s->d->spec.template, b = rs->spec.template;
	without_hash(s->a, &a.metadata.labels);
	without_hash(s->a, &b.metadata.labels);
	return cor_obj_equal(&cor_type_core_v1_PodTemplateSpec, &a, &b);
}

static int by_age(const void *a, const void *b) {
	const struct meta_v1_ObjectMeta *x = &(*(const struct apps_v1_ReplicaSet *const *)a)->metadata;
	const struct meta_v1_ObjectMeta *y = &(*(const struct apps_v1_ReplicaSet *const *)b)->metadata;
	if (x->creationTimestamp != y->creationTimestamp)
		return x->creationTimestamp < y->creationTimestamp ? -1 : 1;
	return cor_str_cmp(x->name, y->name);
}

static int gather(struct deploy *s, struct cor_err *err) {
	struct cor_selector sel;
	int r = cor_selector_from_labels(s->a, s->d->spec.selector, &sel, err);
	if (r < 0)
		return r;
	struct cor_claim claim = {
		.res = COR_RES_REPLICASETS, .owner_res = COR_RES_DEPLOYMENTS, .owner = &s->d->metadata,
		.selector = &sel,
	};
	struct cor_objects rs = cor_claim_dependents(s->p, &claim);
	s->all.p = (const struct apps_v1_ReplicaSet **)rs.p;
	s->all.n = rs.n;
	if (rs.n > 1)
		qsort(s->all.p, s->all.n, sizeof(*s->all.p), by_age);
	for (size_t i = 0; i < s->all.n && !s->new; i++)
		if (same_template(s, s->all.p[i]))
			s->new = s->all.p[i];
	return 0;
}

static int32_t total_replicas(const struct deploy *s) {
	int32_t n = 0;
	for (size_t i = 0; i < s->all.n; i++)
		n += deploy_rs_replicas(s->all.p[i]);
	return n;
}

static int64_t max_old_revision(const struct deploy *s) {
	int64_t max = 0;
	for (size_t i = 0; i < s->all.n; i++)
		if (s->all.p[i] != s->new && deploy_revision(s->all.p[i]) > max)
			max = deploy_revision(s->all.p[i]);
	return max;
}

/* ---- annotations of ReplicaSets ---- */

static bool is_copied(struct cor_str key) {
	static const char *const own[] = {
		"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision",
		"deployment.kubernetes.io/revision-history", "deployment.kubernetes.io/desired-replicas",
		"deployment.kubernetes.io/max-replicas", "deprecated.deployment.rollback.to",
	};
	for (size_t i = 0; i < cor_countof(own); i++)
		if (cor_str_eq_c(key, own[i]))
			return false;
	return true;
}

static void set_number(struct deploy *s, struct apps_v1_ReplicaSet *rs, struct cor_str key, int64_t v) {
	cor_strmap_set(s->a, &rs->metadata.annotations, key, cor_arena_printf(s->a, "%lld", (long long)v));
}

static void annotate(struct deploy *s, struct apps_v1_ReplicaSet *rs) {
	const struct cor_strmap *from = &s->d->metadata.annotations;
	for (size_t i = 0; i < from->n; i++)
		if (is_copied(from->p[i].key))
			cor_strmap_set(s->a, &rs->metadata.annotations, from->p[i].key, from->p[i].value);
	int64_t had = deploy_revision(rs), want = max_old_revision(s) + 1;
	if (had >= want)
		return;
	set_number(s, rs, REVISION, want);
	if (had == 0)
		return;
	struct cor_str past = cor_strmap_value(&rs->metadata.annotations, REVISION_HISTORY);
	struct cor_str list = cor_arena_printf(s->a, "%.*s%s%lld", COR_STR_ARG(past), past.n > 0 ? "," : "",
		(long long)had);
	while (list.n > HISTORY_TEXT_MAX)
		(void)cor_str_cut(&list, ',');
	cor_strmap_set(s->a, &rs->metadata.annotations, REVISION_HISTORY, list);
}

static void annotate_size(struct deploy *s, struct apps_v1_ReplicaSet *rs) {
	set_number(s, rs, DESIRED, s->replicas);
	set_number(s, rs, MAX_REPLICAS, s->replicas + s->surge);
}

/* ---- making and scaling ---- */

static struct apps_v1_ReplicaSet *copy_rs(struct deploy *s, const struct apps_v1_ReplicaSet *rs) {
	return cor_obj_dup(&cor_type_apps_v1_ReplicaSet, rs, s->a);
}

static void set_replicas(struct deploy *s, struct apps_v1_ReplicaSet *rs, int32_t n) {
	rs->spec.replicas = cor_arena_new_of(s->a, int32_t);
	if (rs->spec.replicas)
		*rs->spec.replicas = n;
}

/* Writes the size and its annotations, also when only those differ. */
static void scale(struct deploy *s, const struct apps_v1_ReplicaSet *rs, int32_t to) {
	int32_t from = deploy_rs_replicas(rs);
	struct apps_v1_ReplicaSet *copy = copy_rs(s, rs);
	if (!copy)
		return;
	annotate_size(s, copy);
	set_replicas(s, copy, to);
	if (cor_obj_equal(&cor_type_apps_v1_ReplicaSet, copy, rs))
		return;
	(void)cor_plan_update(s->p, 1, COR_RES_REPLICASETS, copy);
	if (from == to)
		return;
	s->changed = true;
	cor_plan_event(s->p, 1, COR_RES_DEPLOYMENTS, s->d, "Normal", "ScalingReplicaSet",
		"Scaled %s replica set %.*s from %d to %d", to > from ? "up" : "down",
		COR_STR_ARG(rs->metadata.name), from, to);
}

/* How large the new ReplicaSet may be now (4.7). */
static int32_t new_size(const struct deploy *s, int32_t current) {
	if (s->recreate)
		return s->replicas;
	int32_t limit = s->replicas + s->surge, total = total_replicas(s);
	if (total >= limit)
		return current;
	return current + min32(limit - total, s->replicas - current);
}

static uint32_t template_hash(struct deploy *s, int32_t collisions) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	(void)cor_json_encode(&cor_type_core_v1_PodTemplateSpec, &s->d->spec.template, &b);
	uint32_t h = cor_fnv1a(COR_FNV_INIT, b.p, b.n);
	return collisions > 0 ? cor_fnv1a(h, &collisions, sizeof(collisions)) : h;
}

static void note_created(struct cor_plan *p, struct cor_action *a, const struct cor_op *op) {
	struct deploy *s = a->arg;
	struct cor_obj *d = cor_store_get(cor_plan_store(p), COR_RES_DEPLOYMENTS, s->d->metadata.namespace,
		s->d->metadata.name);
	if (!d || op->status >= 0 || op->status == COR_E_EXISTS)
		return;
	struct cor_str text = cor_arena_printf(s->a, "Failed to create new replica set \"%.*s\": %s",
		COR_STR_ARG(a->name), op->err.message);
	if (text.p)
		cor_event_record(cor_plan_registry(p), "deployment-controller", COR_RES_DEPLOYMENTS, d, "Warning",
			"ReplicaSetCreateError", text.p);
}

static struct cor_str new_name(struct deploy *s, char hash[11]) {
	int32_t *collisions = s->status->status.collisionCount;
	int32_t tries = collisions ? *collisions : 0;
	for (;; tries++) {
		cor_safe_name(template_hash(s, tries), hash);
		int keep = (int)(252 - strlen(hash));
		struct cor_str d = s->d->metadata.name;
		struct cor_str name = cor_arena_printf(s->a, "%.*s-%s", d.n < (size_t)keep ? (int)d.n : keep, d.p, hash);
		if (cor_arena_failed(s->a) ||
		    !cor_plan_get(s->p, COR_RES_REPLICASETS, s->d->metadata.namespace, name)) {
			if (tries > 0 && (collisions = cor_arena_new_of(s->a, int32_t))) {
				*collisions = tries;
				s->status->status.collisionCount = collisions;
			}
			return name;
		}
	}
}

static void create_new(struct deploy *s) {
	struct apps_v1_ReplicaSet *rs = cor_arena_new_of(s->a, struct apps_v1_ReplicaSet);
	struct core_v1_PodTemplateSpec *t = cor_obj_dup(&cor_type_core_v1_PodTemplateSpec, &s->d->spec.template, s->a);
	struct meta_v1_LabelSelector *sel = cor_obj_dup(&cor_type_meta_v1_LabelSelector, s->d->spec.selector, s->a);
	char hash_text[11];
	if (!rs || !t || !sel)
		return;
	rs->metadata.name = new_name(s, hash_text);
	rs->metadata.namespace = s->d->metadata.namespace;
	struct cor_str hash = cor_arena_str(s->a, cor_str_c(hash_text));
	cor_strmap_set(s->a, &t->metadata.labels, HASH_LABEL, hash);
	cor_strmap_set(s->a, &sel->matchLabels, HASH_LABEL, hash);
	rs->metadata.labels = t->metadata.labels;
	rs->spec.template = *t;
	rs->spec.selector = sel;
	rs->spec.minReadySeconds = s->d->spec.minReadySeconds;
	cor_add_controller_ref(s->a, &rs->metadata, COR_RES_DEPLOYMENTS, &s->d->metadata);
	annotate(s, rs);
	annotate_size(s, rs);
	int32_t n = new_size(s, 0);
	set_replicas(s, rs, n);
	struct cor_action *a = cor_plan_create(s->p, 1, COR_RES_REPLICASETS, rs);
	struct deploy *kept = cor_arena_new_of(s->a, struct deploy);
	if (kept) {
		*kept = *s;
		a->done = note_created;
		a->arg = kept;
	}
	s->changed = true;
	cor_strmap_set(s->a, &s->status->metadata.annotations, REVISION,
		cor_strmap_value(&rs->metadata.annotations, REVISION));
	deploy_set_condition(s, "Progressing", "True", "NewReplicaSetCreated",
		cor_arena_printf(s->a, "Created new replica set \"%.*s\"", COR_STR_ARG(rs->metadata.name)));
	if (n > 0)
		cor_plan_event(s->p, 1, COR_RES_DEPLOYMENTS, s->d, "Normal", "ScalingReplicaSet",
			"Scaled up replica set %.*s from 0 to %d", COR_STR_ARG(rs->metadata.name), n);
}

static bool has_progressing(const struct deploy *s) {
	for (size_t i = 0; i < s->d->status.conditions.n; i++)
		if (cor_str_eq(s->d->status.conditions.p[i].type, COR_STR("Progressing")))
			return true;
	return false;
}

/* Annotations and minReadySeconds follow the Deployment; a change of them ends the step. */
static void refresh_new(struct deploy *s) {
	struct apps_v1_ReplicaSet *copy = copy_rs(s, s->new);
	if (!copy)
		return;
	annotate(s, copy);
	copy->spec.minReadySeconds = s->d->spec.minReadySeconds;
	struct cor_str revision = cor_strmap_value(&copy->metadata.annotations, REVISION);
	if (!cor_str_eq(revision, cor_strmap_value(&s->d->metadata.annotations, REVISION)))
		cor_strmap_set(s->a, &s->status->metadata.annotations, REVISION, revision);
	if (!has_progressing(s))
		deploy_set_condition(s, "Progressing", "True", "FoundNewReplicaSet",
			cor_arena_printf(s->a, "Found new replica set \"%.*s\"", COR_STR_ARG(s->new->metadata.name)));
	if (cor_obj_equal(&cor_type_apps_v1_ReplicaSet, copy, s->new))
		return;
	(void)cor_plan_update(s->p, 1, COR_RES_REPLICASETS, copy);
	s->changed = true;
}

/* Makes the new ReplicaSet or brings it up to date. */
static void ensure_new(struct deploy *s) {
	if (!s->new)
		create_new(s);
	else
		refresh_new(s);
}

/* ---- strategies ---- */

static void scale_new(struct deploy *s) {
	int32_t size = deploy_rs_replicas(s->new);
	int32_t want = size > s->replicas ? s->replicas : new_size(s, size);
	if (want != size)
		scale(s, s->new, want);
}

/* Available pods that are to stay: the others of a set that shrinks are on their way out. */
static int32_t available(const struct apps_v1_ReplicaSet *rs) {
	return min32(rs->status.availableReplicas, deploy_rs_replicas(rs));
}

/* Old pods that are not available go first, in all old sets, then as many as availability allows (4.8). */
static void scale_old(struct deploy *s) {
	int32_t least = s->replicas - s->unavailable;
	int32_t spare = total_replicas(s) - least - (deploy_rs_replicas(s->new) - available(s->new));
	int32_t surplus = -least;
	int32_t *size = cor_arena_array(cor_plan_arena(s->p), int32_t, s->all.n);
	for (size_t i = 0; size && i < s->all.n; i++) {
		const struct apps_v1_ReplicaSet *rs = s->all.p[i];
		surplus += available(rs);
		size[i] = deploy_rs_replicas(rs);
		if (rs == s->new)
			continue;
		int32_t sick = max32(min32(size[i] - available(rs), spare), 0);
		size[i] -= sick;
		spare -= sick;
	}
	surplus = min32(surplus, spare);
	for (size_t i = 0; size && i < s->all.n; i++) {
		const struct apps_v1_ReplicaSet *rs = s->all.p[i];
		if (rs == s->new)
			continue;
		int32_t well = max32(min32(size[i], surplus), 0);
		surplus -= well;
		if (size[i] - well != deploy_rs_replicas(rs))
			scale(s, rs, size[i] - well);
	}
}

static void roll(struct deploy *s) {
	ensure_new(s);
	if (!s->changed)
		scale_new(s);
	if (!s->changed)
		scale_old(s);
}

static bool old_pods_run(struct deploy *s) {
	for (size_t i = 0; i < s->all.n; i++) {
		const struct apps_v1_ReplicaSet *rs = s->all.p[i];
		if (rs == s->new)
			continue;
		if (rs->status.replicas > 0)
			return true;
		struct cor_objects pods = cor_plan_list_owned(s->p, COR_RES_PODS, rs->metadata.namespace, rs->metadata.uid);
		for (size_t k = 0; k < pods.n; k++)
			if (!cor_pod_finished(pods.p[k]))
				return true;
	}
	return false;
}

static void recreate(struct deploy *s) {
	for (size_t i = 0; i < s->all.n; i++)
		if (s->all.p[i] != s->new && deploy_rs_replicas(s->all.p[i]) > 0)
			scale(s, s->all.p[i], 0);
	if (s->changed)
		return;
	if (old_pods_run(s)) {
		cor_plan_waits(s->p, "old pods are still running");
		return;
	}
	ensure_new(s);
	if (!s->changed)
		scale_new(s);
}

/* ---- scaling of a Deployment in the middle of a rollout (4.10) ---- */

/* Sizes of several sets are only in proportion while they roll; Recreate goes on with its own rules. */
static bool is_scaling(const struct deploy *s) {
	size_t active = 0;
	for (size_t i = 0; i < s->all.n; i++)
		active += deploy_rs_replicas(s->all.p[i]) > 0;
	for (size_t i = 0; i < s->all.n && (active == 1 || !s->recreate); i++) {
		int64_t desired;
		if (deploy_rs_replicas(s->all.p[i]) > 0 &&
		    cor_str_to_i64(cor_strmap_value(&s->all.p[i]->metadata.annotations, DESIRED), &desired) &&
		    desired != s->replicas)
			return true;
	}
	return false;
}

struct share {
	const struct apps_v1_ReplicaSet *rs;
	int32_t size;
	size_t age;                     /* larger = newer */
	bool growing;
};

static int larger_first(const void *a, const void *b) {
	const struct share *x = a, *y = b;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	bool x_first = x->growing ? x->age > y->age : x->age < y->age;
	return x->age == y->age ? 0 : x_first ? -1 : 1;
}

static int32_t proportion(const struct deploy *s, const struct share *x, int32_t left, int32_t delta) {
	int64_t max;
	if (!cor_str_to_i64(cor_strmap_value(&x->rs->metadata.annotations, MAX_REPLICAS), &max) || max <= 0)
		max = s->d->status.replicas > 0 ? s->d->status.replicas : 1;
	int64_t scaled_size = ((int64_t)x->size * (s->replicas + s->surge) * 2 + max) / (2 * max);
	int32_t part = (int32_t)(scaled_size - x->size);
	return delta > 0 ? max32(0, min32(part, left)) : min32(0, max32(part, left));
}

static void scale_proportionally(struct deploy *s) {
	struct share *shares = cor_arena_array(s->a, struct share, s->all.n);
	int32_t delta = (s->replicas > 0 ? s->replicas + s->surge : 0) - total_replicas(s);
	size_t n = 0;
	for (size_t i = 0; shares && i < s->all.n; i++)
		if (deploy_rs_replicas(s->all.p[i]) > 0)
			shares[n++] = (struct share){ s->all.p[i], deploy_rs_replicas(s->all.p[i]), i, delta > 0 };
	if (n == 0)
		return;
	qsort(shares, n, sizeof(*shares), larger_first);
	int32_t left = delta;
	for (size_t i = 0; i < n; i++) {
		int32_t part = delta == 0 ? 0 : proportion(s, &shares[i], left, delta);
		shares[i].size += part;
		left -= part;
	}
	shares[0].size = max32(0, shares[0].size + left);
	for (size_t i = 0; i < n; i++)
		scale(s, shares[i].rs, shares[i].size);
}

static void scale_event(struct deploy *s) {
	const struct apps_v1_ReplicaSet *only = NULL;
	size_t active = 0;
	for (size_t i = 0; i < s->all.n; i++)
		if (deploy_rs_replicas(s->all.p[i]) > 0) {
			only = s->all.p[i];
			active++;
		}
	if (active == 0)
		only = s->new ? s->new : s->all.n > 0 ? s->all.p[s->all.n - 1] : NULL;
	if (active <= 1) {
		if (only)
			scale(s, only, s->replicas);
		return;
	}
	if (s->new && deploy_rs_replicas(s->new) == s->replicas && s->new->status.availableReplicas == s->replicas) {
		for (size_t i = 0; i < s->all.n; i++)
			if (s->all.p[i] != s->new && deploy_rs_replicas(s->all.p[i]) > 0)
				scale(s, s->all.p[i], 0);
		return;
	}
	if (!s->recreate)
		scale_proportionally(s);
}

/* ---- history ---- */

static int by_revision(const void *a, const void *b) {
	int64_t x = deploy_revision(*(const struct apps_v1_ReplicaSet *const *)a);
	int64_t y = deploy_revision(*(const struct apps_v1_ReplicaSet *const *)b);
	return x != y ? (x < y ? -1 : 1) : by_age(a, b);
}

static void clean_history(struct deploy *s) {
	int32_t limit = s->d->spec.revisionHistoryLimit ? *s->d->spec.revisionHistoryLimit : 10;
	const struct apps_v1_ReplicaSet **old = cor_arena_array(s->a, const struct apps_v1_ReplicaSet *, s->all.n);
	size_t n = 0;
	for (size_t i = 0; old && i < s->all.n; i++)
		if (s->all.p[i] != s->new && !cor_deleting(&s->all.p[i]->metadata))
			old[n++] = s->all.p[i];
	if (limit == INT32_MAX || n <= (size_t)limit)
		return;
	qsort(old, n, sizeof(*old), by_revision);
	for (size_t i = 0; i < n - (size_t)limit; i++) {
		const struct apps_v1_ReplicaSet *rs = old[i];
		if (rs->status.replicas == 0 && deploy_rs_replicas(rs) == 0 &&
		    rs->metadata.generation <= rs->status.observedGeneration)
			(void)cor_plan_delete(s->p, 2, COR_RES_REPLICASETS, rs->metadata.namespace,
				rs->metadata.name, rs->metadata.uid);
	}
}

/* ---- the plan ---- */

static bool selects_all(const struct meta_v1_LabelSelector *sel) {
	return !sel || (sel->matchLabels.n == 0 && sel->matchExpressions.n == 0);
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct apps_v1_Deployment *d = cor_plan_get(p, COR_RES_DEPLOYMENTS, ns, name);
	if (!d)
		return 0;
	if (selects_all(d->spec.selector)) {
		cor_plan_event(p, 0, COR_RES_DEPLOYMENTS, d, "Warning", "SelectingAll",
			"This deployment is selecting all pods. A non-empty selector is required.");
		return 0;
	}
	struct deploy s = {
		.p = p, .a = cor_plan_arena(p), .now = cor_plan_now(p), .d = d,
		.status = cor_obj_dup(&cor_type_apps_v1_Deployment, d, cor_plan_arena(p)),
		.replicas = d->spec.replicas ? *d->spec.replicas : 1,
	};
	int r = s.status ? gather(&s, err) : cor_fail(err, COR_E_LIMIT, "out of memory");
	if (r < 0)
		return r;
	budget(&s);
	if (!cor_deleting(&d->metadata)) {
		if (d->spec.paused || is_scaling(&s))
			scale_event(&s);
		else if (s.recreate)
			recreate(&s);
		else
			roll(&s);
	}
	deploy_plan_status(&s);
	if (!s.changed && !cor_deleting(&d->metadata) && (d->spec.paused || deploy_complete(&s)))
		clean_history(&s);
	return 0;
}

static const struct meta_v1_LabelSelector *selector_of(const void *owner) {
	return ((const struct apps_v1_Deployment *)owner)->spec.selector;
}

static void map_rs(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_map_controller(q, store, ev);
	cor_map_orphan(q, store, ev, COR_RES_DEPLOYMENTS, selector_of);
}

/* Recreate waits for the last old pod: its ReplicaSet's owner looks again when a pod is gone. */
static void map_pod(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (ev->type != COR_EVENT_DELETED)
		return;
	for (size_t i = 0; i < ev->obj->owners.n; i++) {
		struct cor_obj *rs = cor_store_by_uid(store, ev->obj->owners.p[i].uid);
		for (size_t k = 0; rs && k < rs->owners.n; k++)
			if (rs->owners.p[k].controller && cor_str_eq(rs->owners.p[k].kind, COR_STR("Deployment")))
				cor_enqueue(q, rs->ns, rs->owners.p[k].name);
	}
}

const struct cor_controller cor_controller_deployment = {
	.name = "deployment",
	.res = COR_RES_DEPLOYMENTS,
	.watches = {
		{ COR_RES_DEPLOYMENTS, NULL }, { COR_RES_REPLICASETS, map_rs }, { COR_RES_PODS, map_pod },
	},
	.n_watches = 3,
	.plan = plan,
};
