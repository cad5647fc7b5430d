// SPDX-License-Identifier: Apache-2.0
// The garbage collector (facts/controllers.md section 10). The store's index of owners is the graph:
// nothing is remembered here. Keys are uids of objects to look at: dependents of an owner that went,
// objects whose owners changed, and objects that are deleted in the foreground or orphaning.
#include "api/meta.h"
#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"

static const struct cor_str FOREGROUND = COR_STR_INIT("foregroundDeletion");
static const struct cor_str ORPHAN = COR_STR_INIT("orphan");

/* ---- reading ---- */

static const struct meta_v1_ObjectMeta *meta_of(struct cor_plan *p, struct cor_obj *o) {
	const void *typed = cor_plan_get(p, (enum cor_res)o->res, o->ns, o->name);
	return typed ? cor_meta_const(cor_resources[o->res].type, typed) : NULL;
}

enum owner_state { OWNER_SOLID, OWNER_ABSENT, OWNER_WAITING, OWNER_UNKNOWN };

static bool kind_is_known(const struct meta_v1_OwnerReference *ref) {
	struct cor_str version = ref->apiVersion;
	size_t slash = cor_str_chr(version, '/');
	struct cor_str group = slash < version.n ? cor_str_sub(version, 0, slash) : COR_STR("");
	if (slash < version.n)
		version = cor_str_sub(version, slash + 1, version.n);
	return cor_resource_by_kind(group, version, ref->kind) != NULL;
}

static enum owner_state state_of(struct cor_plan *p, const struct cor_obj *dependent,
	const struct meta_v1_OwnerReference *ref) {
	struct cor_obj *o = cor_store_by_uid(cor_plan_store(p), ref->uid);
	if (!o)
		return kind_is_known(ref) ? OWNER_ABSENT : OWNER_UNKNOWN;
	/* An owner in another namespace is no owner; of a cluster-wide object it is never collected. */
	if (o->ns.n > 0 && !cor_str_eq(o->ns, dependent->ns))
		return dependent->ns.n > 0 ? OWNER_ABSENT : OWNER_UNKNOWN;
	const struct meta_v1_ObjectMeta *m = meta_of(p, o);
	if (m && cor_deleting(m) && cor_has_finalizer(m, FOREGROUND))
		return OWNER_WAITING;
	return OWNER_SOLID;
}

/* ---- writing ---- */

static void patch_list(struct cor_plan *p, struct cor_obj *o, const struct meta_v1_ObjectMeta *m, struct cor_str text) {
	struct cor_action *a = cor_plan_patch(p, 0, (enum cor_res)o->res, (struct cor_str){ 0 }, m->namespace,
		m->name, cor_arena_str(cor_plan_arena(p), text));
	a->expect_uid = m->uid;
	a->expect_rv = m->resourceVersion;
}

static void remove_finalizer(struct cor_plan *p, struct cor_obj *o, const struct meta_v1_ObjectMeta *m,
	struct cor_str finalizer) {
	cor_drop_finalizer(p, 0, (enum cor_res)o->res, m, finalizer);
}

/* Keeps the references for which keep says so. */
static void keep_refs(struct cor_plan *p, struct cor_obj *o, const struct meta_v1_ObjectMeta *m, const bool *keep) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"metadata\":{\"ownerReferences\":[");
	bool first = true;
	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		if (!keep[i])
			continue;
		if (!first)
			cor_buf_byte(&b, ',');
		first = false;
		(void)cor_json_encode(&cor_type_meta_v1_OwnerReference, &m->ownerReferences.p[i], &b);
	}
	cor_buf_c(&b, "]}}");
	patch_list(p, o, m, cor_buf_view(&b));
}

static void collect(struct cor_plan *p, struct cor_obj *o, const struct meta_v1_ObjectMeta *m, bool foreground) {
	struct cor_action *a = cor_plan_delete(p, 0, (enum cor_res)o->res, m->namespace, m->name, m->uid);
	a->expect_rv = m->resourceVersion;
	a->propagation = cor_has_finalizer(m, ORPHAN) ? COR_PROPAGATION_ORPHAN
		: foreground || cor_has_finalizer(m, FOREGROUND) ? COR_PROPAGATION_FOREGROUND : COR_PROPAGATION_BACKGROUND;
}

/* ---- the cases ---- */

struct blocked {
	struct cor_str owner_uid;
	size_t blocking, all;
};

static bool count_dependent(void *arg, struct cor_obj *o) {
	struct blocked *b = arg;
	b->all++;
	for (size_t i = 0; i < o->owners.n; i++)
		if (o->owners.p[i].block && cor_str_eq(o->owners.p[i].uid, b->owner_uid))
			b->blocking++;
	return true;
}

static struct blocked dependents(struct cor_plan *p, struct cor_str uid) {
	struct blocked b = { .owner_uid = uid };
	cor_store_each_owned(cor_plan_store(p), uid, count_dependent, &b);
	return b;
}

struct orphaning {
	struct cor_plan *p;
	struct cor_str owner_uid;
	size_t n;
};

static bool orphan_one(void *arg, struct cor_obj *o) {
	struct orphaning *x = arg;
	const struct meta_v1_ObjectMeta *m = meta_of(x->p, o);
	if (!m)
		return true;
	bool *keep = cor_arena_array(cor_plan_arena(x->p), bool, m->ownerReferences.n);
	for (size_t i = 0; keep && i < m->ownerReferences.n; i++)
		keep[i] = !cor_str_eq(m->ownerReferences.p[i].uid, x->owner_uid);
	if (keep)
		keep_refs(x->p, o, m, keep);
	x->n++;
	return true;
}

/* The object must not go before its dependents have let go of it. */
static void orphan(struct cor_plan *p, struct cor_obj *o, const struct meta_v1_ObjectMeta *m) {
	struct orphaning x = { .p = p, .owner_uid = m->uid };
	cor_store_each_owned(cor_plan_store(p), m->uid, orphan_one, &x);
	if (x.n == 0)
		remove_finalizer(p, o, m, ORPHAN);
	else
		cor_plan_again_at(p, cor_plan_now(p) + COR_MS);
}

static void by_owners(struct cor_plan *p, struct cor_obj *o, const struct meta_v1_ObjectMeta *m) {
	bool *keep = cor_arena_array(cor_plan_arena(p), bool, m->ownerReferences.n);
	size_t solid = 0, waiting = 0, loose = 0;
	for (size_t i = 0; keep && i < m->ownerReferences.n; i++) {
		enum owner_state st = state_of(p, o, &m->ownerReferences.p[i]);
		keep[i] = st == OWNER_SOLID || st == OWNER_UNKNOWN;
		solid += keep[i];
		waiting += st == OWNER_WAITING;
		loose += !keep[i];
	}
	if (!keep || m->ownerReferences.n == 0 || loose == 0)
		return;
	if (solid > 0)
		keep_refs(p, o, m, keep);
	else
		collect(p, o, m, waiting > 0 && dependents(p, m->uid).all > 0);
}

static int plan(struct cor_plan *p, struct cor_str none, struct cor_str uid, struct cor_err *err) {
	struct cor_obj *o = cor_store_by_uid(cor_plan_store(p), uid);
	const struct meta_v1_ObjectMeta *m = o ? meta_of(p, o) : NULL;
	if (!m)
		return 0;
	if (cor_deleting(m) && cor_has_finalizer(m, ORPHAN)) {
		orphan(p, o, m);
	} else if (cor_deleting(m) && cor_has_finalizer(m, FOREGROUND)) {
		if (dependents(p, uid).blocking == 0)
			remove_finalizer(p, o, m, FOREGROUND);
	} else if (!cor_deleting(m)) {
		by_owners(p, o, m);
	}
	return 0;
}

/* ---- what to look at ---- */

static bool wake_dependent(void *arg, struct cor_obj *o) {
	cor_enqueue(arg, COR_STR(""), o->uid);
	return true;
}

static void map(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	const struct cor_obj *o = ev->obj;
	if (o->res == COR_RES_EVENTS)
		return;
	bool gone = ev->type == COR_EVENT_DELETED;
	if (!gone && (o->owners.n > 0 || o->deleting))
		cor_enqueue(q, COR_STR(""), o->uid);
	if (gone || o->deleting)
		cor_store_each_owned(store, o->uid, wake_dependent, q);
	/* A dependent that went, or let go, may have been the last one its owners waited for. */
	const struct cor_obj *before = gone ? o : ev->old;
	for (size_t i = 0; before && i < before->owners.n; i++) {
		struct cor_obj *owner = cor_store_by_uid(store, before->owners.p[i].uid);
		if (owner && owner->deleting)
			cor_enqueue(q, COR_STR(""), owner->uid);
	}
}

const struct cor_controller cor_controller_gc = {
	.name = "garbage-collector",
	.res = COR_ANY_RES,
	.watches = { { COR_ANY_RES, map } },
	.n_watches = 1,
	.plan = plan,
};
