// SPDX-License-Identifier: Apache-2.0
// Between the engine and the planners: each row of the controllers' table gets a plan() that calls
// the real one and then asks of every action whether the state, read anew, allows it. A plan and
// its check see the same state, so the rules are exact; what happens to an action afterwards is
// the model's business, which is told here what may be deleted. Also here: plans that are made to
// see a changed spec (break.c).
#include <stdio.h>

#include "api/meta.h"
#include "base/assert.h"
#include "controllers/engine_priv.h"
#include "controllers/rows.h"
#include "gen/batch_v1.h"
#include "sim/oracle_priv.h"

/* ---- reading ---- */

static void *decode(struct look *l, struct cor_obj *o) {
	struct cor_err err;
	void *obj = o ? cor_obj_decode(o, l->a, &err) : NULL;
	cor_assert(!o || obj);
	return obj;
}

void *look_get(struct look *l, enum cor_res res, struct cor_str ns, struct cor_str name) {
	return decode(l, cor_store_get(l->store, (uint16_t)res, ns, name));
}

struct gathering {
	struct look *l;
	uint16_t res;
	struct {
		void **p;
		size_t n;
	} out;
};

static bool gather(void *arg, struct cor_obj *o) {
	struct gathering *g = arg;
	if (o->res == g->res) {
		void **slot = cor_arena_push(g->l->a, &g->out);
		*slot = decode(g->l, o);
	}
	return true;
}

struct look_list look_owned(struct look *l, enum cor_res res, struct cor_str uid) {
	struct gathering g = { .l = l, .res = (uint16_t)res };
	cor_store_each_owned(l->store, uid, gather, &g);
	return (struct look_list){ g.out.p, g.out.n };
}

struct look_list look_all(struct look *l, enum cor_res res, struct cor_str ns) {
	struct gathering g = { .l = l, .res = (uint16_t)res };
	cor_store_each(l->store, (uint16_t)res, ns, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		gather, &g);
	return (struct look_list){ g.out.p, g.out.n };
}

bool look_available(const struct core_v1_Pod *pod, int32_t min_ready, cor_time now) {
	for (size_t i = 0; i < pod->status.conditions.n; i++) {
		const struct core_v1_PodCondition *c = &pod->status.conditions.p[i];
		if (cor_str_eq(c->type, COR_STR("Ready")))
			return cor_str_eq(pod->status.phase, COR_STR("Running")) &&
			       cor_str_eq(c->status, COR_STR("True")) &&
			       (min_ready == 0 ||
				       c->lastTransitionTime + min_ready * COR_SECOND <= now);
	}
	return false;
}

bool look_finished(const struct core_v1_Pod *pod) {
	return cor_str_eq(pod->status.phase, COR_STR("Failed")) ||
	       cor_str_eq(pod->status.phase, COR_STR("Succeeded"));
}

struct cor_str look_image(const struct core_v1_PodSpec *s) {
	return s->containers.n > 0 ? s->containers.p[0].image : COR_STR("");
}

/* The script varies only these two. */
bool look_same(const struct core_v1_PodSpec *a, const struct core_v1_PodSpec *b) {
	const int64_t *x = a->terminationGracePeriodSeconds, *y = b->terminationGracePeriodSeconds;
	return cor_str_eq(look_image(a), look_image(b)) && (x ? *x : 30) == (y ? *y : 30);
}

int32_t look_scaled(struct cor_intstr v, int32_t total, bool up) {
	int64_t percent = 0;
	if (v.kind == COR_INTSTR_INT)
		return v.i;
	if (v.s.n < 2 || !cor_str_to_i64(cor_str_sub(v.s, 0, v.s.n - 1), &percent))
		return 0;
	return (int32_t)((percent * total + (up ? 99 : 0)) / 100);
}

bool look_owned_by(const struct meta_v1_ObjectMeta *m, struct cor_str uid) {
	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (cor_str_eq(m->ownerReferences.p[i].uid, uid))
			return true;
	return false;
}

bool look_matches(const struct cor_strmap *selector, const struct cor_strmap *labels) {
	for (size_t i = 0; i < selector->n; i++) {
		const struct cor_str *v = cor_strmap_get(labels, selector->p[i].key);
		if (!v || !cor_str_eq(*v, selector->p[i].value))
			return false;
	}
	return true;
}

/* ---- rules of small controllers ---- */

static bool is_solid(struct look *l, const struct meta_v1_OwnerReference *ref) {
	struct cor_obj *o = cor_store_by_uid(l->store, ref->uid);
	if (!o)
		return false;
	const struct meta_v1_ObjectMeta *m =
		cor_meta_const(cor_resources[o->res].type, decode(l, o));
	for (size_t i = 0; m->deletionTimestamp && i < m->finalizers.n; i++)
		if (cor_str_eq(m->finalizers.p[i], COR_STR("foregroundDeletion")))
			return false;
	return true;
}

/* Collected is only what had owners and has none that stays. */
static void check_gc(struct look *l, const struct cor_action *a) {
	const void *obj = look_get(l, a->res, a->ns, a->name);
	const struct meta_v1_ObjectMeta *m =
		obj ? cor_meta_const(cor_resources[a->res].type, obj) : NULL;
	if (!m || a->verb != COR_VERB_DELETE)
		return;
	bool solid = m->ownerReferences.n == 0;
	for (size_t i = 0; i < m->ownerReferences.n; i++)
		solid |= is_solid(l, &m->ownerReferences.p[i]);
	if (solid)
		violation(l->c, "the garbage collector removes %s %.*s, which is no garbage",
			cor_resources[a->res].plural, COR_STR_ARG(a->name));
}

static void check_volume(struct look *l, const struct cor_action *a) {
	if (a->verb != COR_VERB_DELETE)
		return;
	const struct core_v1_PersistentVolume *pv =
		look_get(l, COR_RES_PERSISTENTVOLUMES, COR_STR(""), a->name);
	const struct core_v1_ObjectReference *ref = pv ? pv->spec.claimRef : NULL;
	if (!ref || !cor_str_eq(pv->spec.persistentVolumeReclaimPolicy, COR_STR("Delete")) ||
		cor_store_by_uid(l->store, ref->uid))
		violation(l->c, "volume %.*s is reclaimed while its claim is there",
			COR_STR_ARG(a->name));
}

static void check_pod_gc(struct look *l, const struct cor_action *a) {
	const struct core_v1_Pod *pod = look_get(l, COR_RES_PODS, a->ns, a->name);
	if (!pod || a->verb != COR_VERB_DELETE)
		return;
	struct cor_str node = pod->spec.nodeName;
	if (node.n == 0 ? pod->metadata.deletionTimestamp == 0
			: cor_store_get(l->store, COR_RES_NODES, COR_STR(""), node) != NULL)
		violation(l->c, "pod %.*s is removed by force although it is in its place",
			COR_STR_ARG(a->name));
}

/* The claim lets go: nobody on a node may use it. A pod that waits for the claim it owns and whose
 * agent has deleted it (with no grace left) does so no more. */
static void check_protection(struct look *l, const struct cor_action *a) {
	struct look_list pods = look_all(l, COR_RES_PODS, a->ns);
	const struct core_v1_PersistentVolumeClaim *claim =
		look_get(l, COR_RES_PERSISTENTVOLUMECLAIMS, a->ns, a->name);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		const int64_t *grace = pod->metadata.deletionGracePeriodSeconds;
		if (pod->spec.nodeName.n == 0 ||
			(claim && look_owned_by(&claim->metadata, pod->metadata.uid) && grace &&
				*grace == 0))
			continue;
		for (size_t k = 0; k < pod->spec.volumes.n; k++) {
			const struct core_v1_Volume *v = &pod->spec.volumes.p[k];
			if (v->persistentVolumeClaim &&
				cor_str_eq(v->persistentVolumeClaim->claimName, a->name))
				violation(l->c,
					"claim %.*s is not protected from its removal under pod "
					"%.*s",
					COR_STR_ARG(a->name), COR_STR_ARG(pod->metadata.name));
		}
	}
}

/* ---- plans made wrong on purpose ---- */

static void tamper_set(struct look *l, struct apps_v1_StatefulSet *s) {
	struct apps_v1_StatefulSetSpec *spec = &s->spec;
	if (l->c->breakage == BREAK_ORDER)
		spec->podManagementPolicy = COR_STR("Parallel");
	if (l->c->breakage == BREAK_PARTITION && spec->updateStrategy.rollingUpdate)
		spec->updateStrategy.rollingUpdate->partition = NULL;
	if (l->c->breakage == BREAK_CLAIMS && spec->persistentVolumeClaimRetentionPolicy) {
		spec->persistentVolumeClaimRetentionPolicy->whenDeleted = COR_STR("Delete");
		spec->persistentVolumeClaimRetentionPolicy->whenScaled = COR_STR("Delete");
	}
}

static void tamper_deployment(struct look *l, struct apps_v1_Deployment *d) {
	struct apps_v1_RollingUpdateDeployment *r = d->spec.strategy.rollingUpdate;
	int32_t replicas = d->spec.replicas ? *d->spec.replicas : 1;
	if (r && l->c->breakage == BREAK_SURGE)
		r->maxSurge = (struct cor_intstr){ .kind = COR_INTSTR_INT,
			.i = look_scaled(r->maxSurge, replicas, true) + 2 };
	if (r && l->c->breakage == BREAK_UNAVAILABLE)
		r->maxUnavailable = (struct cor_intstr){ .kind = COR_INTSTR_INT, .i = replicas };
}

/* The planner reads through the same cache, so it sees what is changed here; we do not. */
static void tamper(struct look *l, const struct cor_controller *row) {
	bool set = row == &cor_controller_statefulset, job = row == &cor_controller_job,
	     deployment = row == &cor_controller_deployment;
	if (l->c->breakage == BREAK_NONE || (!set && !deployment && !job))
		return;
	void *obj = (void *)(uintptr_t)cor_plan_get(l->p, row->res, l->ns, l->name);
	if (obj && set)
		tamper_set(l, obj);
	else if (obj && job && l->c->breakage == BREAK_PARALLEL)
		*((struct batch_v1_Job *)obj)->spec.parallelism += 1;
	else if (obj && deployment)
		tamper_deployment(l, obj);
}

/* ---- the table ---- */

static const struct {
	const struct cor_controller *row;
	void (*plan)(struct look *l);                               /* of all actions together */
	void (*action)(struct look *l, const struct cor_action *a); /* of each */
} rules[] = {
	{ &cor_controller_statefulset, oracle_set, NULL },
	{ &cor_controller_deployment, oracle_deployment, NULL },
	{ &cor_controller_replicaset, oracle_replicaset, NULL },
	{ &cor_controller_job, oracle_job, NULL },
	{ &cor_controller_gc, NULL, check_gc },
	{ &cor_controller_pv_volume, NULL, check_volume },
	{ &cor_controller_pod_gc, NULL, check_pod_gc },
	{ &cor_controller_pvc_protection, NULL, check_protection },
};

enum { ROWS_MAX = 40 };
static struct cor_controller copies[ROWS_MAX];
static const struct cor_controller *originals[ROWS_MAX], *rows[ROWS_MAX + 1];

static void look_at_plan(struct look *l, const struct cor_controller *row) {
	char by[NAME_MAX_ * 2];
	(void)snprintf(by, sizeof(by), "%s %s", row->name, l->p->key->id);
	for (const struct planned *x = l->p->actions; x; x = x->next) {
		if (x->a.verb != COR_VERB_DELETE)
			continue;
		if (x->a.expect_uid.n == 0)
			violation(l->c, "%s deletes %s %.*s without its uid", row->name,
				cor_resources[x->a.res].plural, COR_STR_ARG(x->a.name));
		model_intent(l->c, x->a.expect_uid, by);
	}
	for (size_t i = 0; i < cor_countof(rules); i++) {
		if (rules[i].row != row)
			continue;
		if (rules[i].plan)
			rules[i].plan(l);
		for (const struct planned *x = l->p->actions; x && rules[i].action; x = x->next)
			rules[i].action(l, &x->a);
	}
}

static int checked_plan(
	struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct cor_controller *row = originals[p->key->ctl->row - copies];
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct look l = {
		.c = cluster_now,
		.store = cor_plan_store(p),
		.a = a,
		.p = p,
		.now = cor_plan_now(p),
		.ns = ns,
		.name = name,
	};
	char by[NAME_MAX_ * 2];
	(void)snprintf(by, sizeof(by), "%s %s", row->name, p->key->id);
	/* The engine plans a key again only when all that it wanted before is done. */
	model_intents_over(l.c, by);
	tamper(&l, row);
	int r = row->plan(p, ns, name, err);
	if (r >= 0)
		look_at_plan(&l, row);
	return r;
}

const struct cor_controller *const *oracle_rows(struct cluster *c) {
	size_t n = 0;
	for (size_t i = 0; cor_controllers[i]; i++) {
		if (c->breakage == BREAK_GC && cor_controllers[i] == &cor_controller_gc)
			continue;
		cor_assert(n < ROWS_MAX);
		originals[n] = cor_controllers[i];
		copies[n] = *cor_controllers[i];
		copies[n].plan = checked_plan;
		rows[n] = &copies[n];
		n++;
	}
	rows[n] = NULL;
	return rows;
}
