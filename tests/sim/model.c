// SPDX-License-Identifier: Apache-2.0
// What the server has published, followed by a watch like anybody's, and what may follow from it:
// no gap and no repetition in the watch, no revision twice, nothing lost over a crash but what
// nobody was told, no object that goes although nobody wants it to, and a few fields that never
// change. See docs/internals/sim.md.
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "sim/cluster.h"

/* A version as far as comparing needs it. rev 0: there is no object. */
struct version {
	uint64_t rev, hash;
};

struct shadow {
	struct cor_obj *obj;    /* the newest published, or NULL after its deletion */
	struct version durable; /* the newest published one that was not only in memory */
	struct {
		struct version *p;
		size_t n;
	} stored;  /* on the disk, perhaps untold */
	bool seen; /* in the store that was opened */
};

struct intent {
	struct intent *next;
	char uid[40], by[NAME_MAX_ * 2];
};

struct model {
	struct cor_map objects; /* key -> struct shadow */
	struct cor_watch *watch;
	uint64_t rev;               /* highest ever published */
	struct cor_map wanted_gone; /* uid; for ever */
	struct intent *planned;     /* of plans under way */
	size_t changes;
	unsigned steps;
};

static struct cor_str key_of(uint16_t res, struct cor_str ns, struct cor_str name, char out[400]) {
	int n = snprintf(out, 400, "%u/%.*s/%.*s", res, COR_STR_ARG(ns), COR_STR_ARG(name));
	return (struct cor_str){ out, (size_t)n };
}

static struct shadow *shadow_of(
	struct model *m, uint16_t res, struct cor_str ns, struct cor_str name) {
	char text[400];
	struct cor_str key = key_of(res, ns, name, text);
	struct shadow *s = cor_map_get(&m->objects, key);
	if (!s) {
		s = cor_new(struct shadow);
		(void)cor_map_put(&m->objects, key, s);
	}
	return s;
}

static uint64_t hash_text(struct cor_str s) {
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
	return h;
}

/* Of the JSON without the revision, as the disk has it. */
static uint64_t hash_obj(const struct cor_obj *o) {
	static const char member[] = "\"resourceVersion\":\"";
	struct cor_str rest = cor_str_sub(o->json, o->rv_at, o->json.n);
	if (cor_str_starts(rest, cor_str_c(member))) {
		size_t n = sizeof(member) - 1;
		while (rest.p[n] != ',')
			n++;
		rest = cor_str_sub(rest, n + 1, rest.n);
	}
	uint64_t h = hash_text(cor_str_sub(o->json, 0, o->rv_at));
	for (size_t i = 0; i < rest.n; i++)
		h = (h ^ (unsigned char)rest.p[i]) * 1099511628211u;
	return h;
}

/* ---- who wants an object gone ---- */

void model_intent(struct cluster *c, struct cor_str uid, const char *by) {
	struct model *m = c->model;
	if (!m)
		return;
	if (!by) {
		if (!cor_map_get(&m->wanted_gone, uid))
			(void)cor_map_put(&m->wanted_gone, uid, c);
		return;
	}
	struct intent *i = cor_new(struct intent);
	(void)snprintf(i->uid, sizeof(i->uid), "%.*s", COR_STR_ARG(uid));
	(void)snprintf(i->by, sizeof(i->by), "%s", by);
	i->next = m->planned;
	m->planned = i;
}

void model_intents_over(struct cluster *c, const char *by) {
	for (struct intent **at = &c->model->planned; *at;) {
		struct intent *i = *at;
		if (by && strcmp(i->by, by) != 0) {
			at = &i->next;
			continue;
		}
		*at = i->next;
		free(i);
	}
}

static bool is_wanted_gone(const struct model *m, struct cor_str uid) {
	for (const struct intent *i = m->planned; i; i = i->next)
		if (cor_str_eq_c(uid, i->uid))
			return true;
	return cor_map_get(&m->wanted_gone, uid) != NULL;
}

/* ---- one event ---- */

static const char *name_of(enum cor_event_type t) {
	static const char *const names[] = { "added", "modified", "deleted" };
	return names[t];
}

static struct cor_str field(const struct cor_obj *o, const char *name) {
	const struct cor_str *v = o ? cor_strmap_get(&o->fields, cor_str_c(name)) : NULL;
	return v ? *v : COR_STR("");
}

static void tell(struct cluster *c, const struct cor_event *ev) {
	const struct cor_obj *o = ev->obj;
	if (o->res == COR_RES_EVENTS || o->res == COR_RES_LEASES)
		return;
	trace(c, "%" PRIu64 " %s %s/%.*s %s%s%s%.*s %.*s", ev->rev, cor_resources[o->res].plural,
		o->ns.n ? "" : "-", COR_STR_ARG(o->name), name_of(ev->type),
		o->deleting ? " deleting" : "", o->res == COR_RES_PODS ? " on " : "",
		COR_STR_ARG(field(o, "spec.nodeName")), COR_STR_ARG(field(o, "status.phase")));
}

static void check_order(struct cluster *c, struct shadow *s, const struct cor_event *ev) {
	struct model *m = c->model;
	const struct cor_obj *o = ev->obj;
	if (ev->rev <= m->rev)
		violation(c, "revision %" PRIu64 " of %s %.*s: %" PRIu64 " was published before",
			ev->rev, cor_resources[o->res].plural, COR_STR_ARG(o->name), m->rev);
	m->rev = ev->rev > m->rev ? ev->rev : m->rev;
	uint64_t before = s->obj ? s->obj->rev : 0, said = ev->old ? ev->old->rev : 0;
	if (before != said || (ev->type == COR_EVENT_ADDED) != (before == 0))
		violation(c,
			"a watch has a gap: %s %.*s %s at %" PRIu64 " follows %" PRIu64
			", the watch saw %" PRIu64,
			cor_resources[o->res].plural, COR_STR_ARG(o->name), name_of(ev->type),
			ev->rev, said, before);
}

static void check_going(struct cluster *c, const struct cor_event *ev) {
	const struct cor_obj *o = ev->obj, *old = ev->old;
	bool going = o->deleting || ev->type == COR_EVENT_DELETED;
	if (!going || (old && old->deleting) || is_wanted_gone(c->model, o->uid))
		return;
	violation(c, "%s %.*s (%.*s) is being deleted, and nobody wanted that",
		cor_resources[o->res].plural, COR_STR_ARG(o->name), COR_STR_ARG(o->uid));
}

static void check_same(struct cluster *c, const struct cor_event *ev) {
	const struct cor_obj *o = ev->obj, *old = ev->old;
	if (!old)
		return;
	if (!cor_str_eq(o->uid, old->uid))
		violation(c, "%s %.*s changes its uid", cor_resources[o->res].plural,
			COR_STR_ARG(o->name));
	if (old->deleting && !o->deleting)
		violation(c, "%s %.*s comes back from its deletion", cor_resources[o->res].plural,
			COR_STR_ARG(o->name));
	struct cor_str was = field(old, "spec.nodeName"), is = field(o, "spec.nodeName");
	if (o->res == COR_RES_PODS && was.n > 0 && !cor_str_eq(was, is))
		violation(c, "pod %.*s moves from %.*s to %.*s", COR_STR_ARG(o->name),
			COR_STR_ARG(was), COR_STR_ARG(is));
}

static struct cor_str volume_of(struct cor_obj *o, struct cor_arena *a) {
	struct cor_err err;
	const struct core_v1_PersistentVolumeClaim *claim = cor_obj_decode(o, a, &err);
	return claim ? claim->spec.volumeName : (struct cor_str){ 0 };
}

static void check_claim(struct cluster *c, const struct cor_event *ev) {
	if (ev->obj->res != COR_RES_PERSISTENTVOLUMECLAIMS || !ev->old)
		return;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_str was = volume_of(ev->old, a), is = volume_of(ev->obj, a);
	if (was.n > 0 && !cor_str_eq(was, is))
		violation(c, "claim %.*s changes its volume from %.*s to %.*s",
			COR_STR_ARG(ev->obj->name), COR_STR_ARG(was), COR_STR_ARG(is));
}

static bool is_workload(uint16_t res) {
	static const enum cor_res all[] = { COR_RES_PODS, COR_RES_STATEFULSETS, COR_RES_DEPLOYMENTS,
		COR_RES_REPLICASETS, COR_RES_CONTROLLERREVISIONS, COR_RES_PERSISTENTVOLUMECLAIMS,
		COR_RES_PERSISTENTVOLUMES, COR_RES_JOBS };
	for (size_t i = 0; i < cor_countof(all); i++)
		if (res == all[i])
			return true;
	return false;
}

static void remember(struct shadow *s, const struct cor_event *ev) {
	bool gone = ev->type == COR_EVENT_DELETED;
	if (!ev->obj->volatile_only) {
		s->durable = (struct version){ gone ? 0 : ev->rev, gone ? 0 : hash_obj(ev->obj) };
		s->stored.n = 0;
	}
	cor_obj_unref(s->obj);
	s->obj = gone ? NULL : cor_obj_ref(ev->obj);
}

static void on_event(struct cluster *c, const struct cor_event *ev) {
	struct model *m = c->model;
	if (ev->type > COR_EVENT_DELETED) {
		violation(c, "a watch that reads at once is told that it is too slow");
		return;
	}
	struct shadow *s = shadow_of(m, ev->obj->res, ev->obj->ns, ev->obj->name);
	tell(c, ev);
	m->changes += is_workload(ev->obj->res);
	check_order(c, s, ev);
	check_going(c, ev);
	check_same(c, ev);
	check_claim(c, ev);
	remember(s, ev);
}

/* ---- the whole state ---- */

struct comparing {
	struct cluster *c;
	size_t n;
};

static bool compare_one(void *arg, struct cor_obj *o) {
	struct comparing *x = arg;
	const struct shadow *s = shadow_of(x->c->model, o->res, o->ns, o->name);
	x->n++;
	if (!s->obj || s->obj->rev != o->rev)
		violation(x->c,
			"a watch has a gap: it saw %s %.*s at %" PRIu64 ", the store has %" PRIu64,
			cor_resources[o->res].plural, COR_STR_ARG(o->name),
			s->obj ? s->obj->rev : 0, o->rev);
	return true;
}

static void each_object(struct cluster *c, bool (*fn)(void *arg, struct cor_obj *o), void *arg) {
	for (size_t i = 0; i < cor_resources_n; i++)
		cor_store_each(server_store(c), (uint16_t)i, (struct cor_str){ 0 },
			(struct cor_str){ 0 }, (struct cor_str){ 0 }, fn, arg);
}

static void compare_all(struct cluster *c) {
	struct comparing x = { c, 0 };
	each_object(c, compare_one, &x);
	size_t live = 0, it = 0;
	struct cor_str key;
	void *v;
	while (cor_map_next(&c->model->objects, &it, &key, &v))
		live += ((struct shadow *)v)->obj != NULL;
	if (live != x.n)
		violation(
			c, "a watch has a gap: it knows %zu objects, the store has %zu", live, x.n);
}

void model_step(struct cluster *c) {
	struct model *m = c->model;
	if (!m || !m->watch)
		return;
	struct cor_event ev;
	while (!c->failure[0] && cor_watch_next(m->watch, &ev))
		on_event(c, &ev);
	if (++m->steps % 512 == 0 && !c->failure[0])
		compare_all(c);
}

void model_acknowledged(struct cluster *c, const struct cor_op *op) {
	if (c->model && op->result && op->result->rev > cor_store_rev(server_store(c)))
		violation(c, "%s of %s %.*s is acknowledged at %" PRIu64 ", before it is published",
			cor_verb_to_string(op->verb), op->res->plural, COR_STR_ARG(op->name),
			op->result->rev);
}

/* ---- crashes ---- */

void model_stored(struct cluster *c, const struct cor_record *r, size_t n) {
	for (size_t i = 0; c->model && i < n; i++) {
		struct shadow *s = shadow_of(c->model, r[i].res, r[i].ns, r[i].name);
		s->stored.p = cor_realloc(s->stored.p, (s->stored.n + 1) * sizeof(struct version));
		s->stored.p[s->stored.n++] = (struct version){ r[i].json.p ? r[i].rev : 0,
			r[i].json.p ? hash_text(r[i].json) : 0 };
	}
}

/* The state after a crash is the last one on the disk, told or not. */
static bool may_return(const struct shadow *s, struct version v) {
	struct version want = s->stored.n > 0 ? s->stored.p[s->stored.n - 1] : s->durable;
	return v.rev == want.rev && v.hash == want.hash;
}

static bool returned(void *arg, struct cor_obj *o) {
	struct cluster *c = arg;
	struct shadow *s = shadow_of(c->model, o->res, o->ns, o->name);
	s->seen = true;
	if (!may_return(s, (struct version){ o->rev, hash_obj(o) }))
		violation(c,
			"after a crash %s %.*s is at %" PRIu64
			", the last durable write was %" PRIu64,
			cor_resources[o->res].plural, COR_STR_ARG(o->name), o->rev, s->durable.rev);
	cor_obj_unref(s->obj);
	s->obj = cor_obj_ref(o);
	s->durable = (struct version){ o->rev, hash_obj(o) };
	s->stored.n = 0;
	return true;
}

/* The watch is read after each step anyway. */
static void on_ready(struct cor_watch *w, void *arg) {}

void model_attach(struct cluster *c) {
	struct model *m = c->model;
	if (!m)
		return;
	struct cor_store *store = server_store(c);
	if (cor_store_rev(store) < m->rev)
		violation(c,
			"the server starts at revision %" PRIu64 ", %" PRIu64
			" was published before",
			cor_store_rev(store), m->rev);
	each_object(c, returned, c);
	size_t it = 0;
	struct cor_str key;
	void *v;
	while (cor_map_next(&m->objects, &it, &key, &v)) {
		struct shadow *s = v;
		if (!s->seen && !may_return(s, (struct version){ 0, 0 }))
			violation(c, "after a crash %.*s (at %" PRIu64 ") is gone",
				COR_STR_ARG(key), s->durable.rev);
		if (!s->seen) {
			cor_obj_unref(cor_take(s->obj));
			s->durable = (struct version){ 0, 0 };
			s->stored.n = 0;
		}
		s->seen = false;
	}
	struct cor_watch_config w = {
		.res = COR_WATCH_ALL,
		.after_rev = cor_store_rev(store),
		.ready = on_ready,
		.arg = c,
	};
	struct cor_err err;
	int r = cor_store_watch(store, &w, &m->watch, &err);
	cor_assert(r >= 0);
}

void model_detach(struct cluster *c) {
	if (!c->model)
		return;
	model_step(c);
	cor_watch_free(cor_take(c->model->watch));
	model_intents_over(c, NULL);
}

/* ---- life ---- */

size_t model_changes(const struct cluster *c) {
	return c->model->changes;
}

void model_new(struct cluster *c) {
	c->model = cor_new(struct model);
}

void model_free(struct cluster *c) {
	struct model *m = cor_take(c->model);
	if (!m)
		return;
	size_t it = 0;
	struct cor_str key;
	void *v;
	while (cor_map_next(&m->objects, &it, &key, &v)) {
		struct shadow *s = v;
		cor_obj_unref(s->obj);
		free(s->stored.p);
		free(s);
	}
	cor_map_fini(&m->objects);
	cor_map_fini(&m->wanted_gone);
	free(m);
}
