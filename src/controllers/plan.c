// SPDX-License-Identifier: Apache-2.0
// What a plan may read and ask for. Reads are of the published state and are decoded once per
// plan; every blob that was decoded is referenced until the plan is over, since typed objects
// point into it. Actions are only written down here: engine.c performs them, stage by stage.
#include "controllers/engine_priv.h"

#include <limits.h>
#include <stdio.h>

#include "api/meta.h"
#include "base/assert.h"
#include "base/log.h"
#include "codec/codec.h"
#include "codec/selector.h"

enum { PLAN_ARENA_LIMIT = 256 << 20 };

struct cor_plan *cor_plan_new(struct cor_engine *e, struct cor_key *k) {
	struct cor_plan *p = cor_new(struct cor_plan);
	p->engine = e;
	p->key = k;
	p->arena = cor_arena_new(PLAN_ARENA_LIMIT);
	p->now = cor_now(e->world);
	p->failed_stage = INT_MAX;
	p->steady_since = cor_engine_steady_since(e, p->now);
	p->actions_tail = &p->actions;
	p->events_tail = &p->events;
	p->waits.limit = 4096;
	return p;
}

void cor_plan_free(struct cor_plan *p) {
	cor_map_fini(&p->decoded);
	cor_buf_fini(&p->waits);
	cor_arena_free(p->arena);
	free(p);
}

static void unref_blob(void *arg) {
	cor_obj_unref(arg);
}

static const void *decode(struct cor_plan *p, struct cor_obj *o) {
	char id[20];
	int n = snprintf(id, sizeof(id), "%p", (void *)o);
	struct cor_str key = { id, (size_t)n };
	void *typed = cor_map_get(&p->decoded, key);
	if (typed)
		return typed;
	struct cor_err err;
	typed = cor_obj_decode(o, p->arena, &err);
	if (!typed) {
		cor_error("stored object %s/%.*s/%.*s cannot be read: %s", cor_resources[o->res].plural,
			COR_STR_ARG(o->ns), COR_STR_ARG(o->name), err.message);
		return NULL;
	}
	cor_arena_on_dispose(p->arena, unref_blob, cor_obj_ref(o));
	(void)cor_map_put(&p->decoded, key, typed);
	return typed;
}

const void *cor_plan_get(struct cor_plan *p, enum cor_res res, struct cor_str ns,
	struct cor_str name) {
	struct cor_obj *o = cor_store_get(p->engine->store, (uint16_t)res, ns, name);
	return o ? decode(p, o) : NULL;
}

struct gather {
	struct cor_plan *p;
	struct cor_objects *out;
	const struct cor_selector *sel;
	bool filtered;                  /* by res and ns below: owners cross both */
	uint16_t res;
	struct cor_str ns;
	struct { struct cor_obj **p; size_t n; } blobs;
	struct { const void **p; size_t n; } typed;
};

static bool gather_one(void *arg, struct cor_obj *o) {
	struct gather *g = arg;
	if (g->filtered && (o->res != g->res || (g->ns.p && !cor_str_eq(g->ns, o->ns))))
		return true;
	if (g->sel && !cor_selector_matches(g->sel, &o->labels))
		return true;
	const void *typed = decode(g->p, o);
	if (!typed)
		return true;
	struct cor_obj **blob = cor_arena_push(g->p->arena, &g->blobs);
	const void **slot = cor_arena_push(g->p->arena, &g->typed);
	if (!blob || !slot)
		return false;
	*blob = o;
	*slot = typed;
	return true;
}

static struct cor_objects gathered(struct gather *g) {
	return (struct cor_objects){ .p = g->typed.p, .blob = g->blobs.p, .n = g->typed.n };
}

struct cor_objects cor_plan_list(struct cor_plan *p, enum cor_res res, struct cor_str ns) {
	return cor_plan_list_selected(p, res, ns, NULL);
}

struct cor_objects cor_plan_list_selected(struct cor_plan *p, enum cor_res res, struct cor_str ns,
	const struct cor_selector *sel) {
	struct gather g = { .p = p, .sel = sel };
	cor_store_each(p->engine->store, (uint16_t)res, ns, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, gather_one, &g);
	return gathered(&g);
}

struct cor_objects cor_plan_list_owned(struct cor_plan *p, enum cor_res res, struct cor_str ns,
	struct cor_str owner_uid) {
	struct gather g = { .p = p, .filtered = true, .res = (uint16_t)res, .ns = ns };
	cor_store_each_owned(p->engine->store, owner_uid, gather_one, &g);
	return gathered(&g);
}

struct cor_store *cor_plan_store(struct cor_plan *p) {
	return p->engine->store;
}

cor_time cor_plan_now(const struct cor_plan *p) {
	return p->now;
}

cor_time cor_plan_steady_since(const struct cor_plan *p) {
	return p->steady_since;
}

struct cor_arena *cor_plan_arena(struct cor_plan *p) {
	return p->arena;
}

struct cor_world *cor_plan_world(struct cor_plan *p) {
	return p->engine->world;
}

struct cor_registry *cor_plan_registry(struct cor_plan *p) {
	return p->engine->registry;
}

/* ---- actions ---- */

/* An arena that ran out makes the plan fail as a whole (engine.c looks), so callers may set
 * fields of what they get without a check: they get a spare then. */
static struct cor_action *add(struct cor_plan *p, int stage, enum cor_verb verb, enum cor_res res) {
	static struct planned spare;
	struct planned *x = cor_arena_new_of(p->arena, struct planned);
	if (!x)
		return &spare.a;
	x->plan = p;
	x->stage = stage;
	x->a.verb = verb;
	x->a.res = res;
	x->a.grace_s = -1;
	/* Kept in order of stages, and of calls within a stage. */
	struct planned **at = &p->actions;
	while (*at && (*at)->stage <= stage)
		at = &(*at)->next;
	x->next = *at;
	*at = x;
	return &x->a;
}

struct cor_action *cor_plan_create(struct cor_plan *p, int stage, enum cor_res res, void *obj) {
	struct cor_action *a = add(p, stage, COR_VERB_CREATE, res);
	const struct meta_v1_ObjectMeta *m = cor_meta(cor_resources[res].type, obj);
	a->obj = obj;
	a->ns = m->namespace;
	a->name = m->name;
	return a;
}

static struct cor_action *add_update(struct cor_plan *p, int stage, enum cor_res res, void *obj) {
	struct cor_action *a = add(p, stage, COR_VERB_UPDATE, res);
	const struct meta_v1_ObjectMeta *m = cor_meta(cor_resources[res].type, obj);
	a->obj = obj;
	a->ns = m->namespace;
	a->name = m->name;
	a->expect_uid = m->uid;
	a->expect_rv = m->resourceVersion;
	return a;
}

struct cor_action *cor_plan_update(struct cor_plan *p, int stage, enum cor_res res, void *obj) {
	return add_update(p, stage, res, obj);
}

struct cor_action *cor_plan_update_status(struct cor_plan *p, int stage, enum cor_res res,
	void *obj) {
	struct cor_action *a = add_update(p, stage, res, obj);
	a->subresource = COR_STR("status");
	return a;
}

struct cor_action *cor_plan_delete(struct cor_plan *p, int stage, enum cor_res res,
	struct cor_str ns, struct cor_str name, struct cor_str uid) {
	struct cor_action *a = add(p, stage, COR_VERB_DELETE, res);
	a->ns = ns;
	a->name = name;
	a->expect_uid = uid;
	a->propagation = COR_PROPAGATION_BACKGROUND;
	return a;
}

struct cor_action *cor_plan_patch(struct cor_plan *p, int stage, enum cor_res res,
	struct cor_str subresource, struct cor_str ns, struct cor_str name, struct cor_str merge_patch) {
	struct cor_action *a = add(p, stage, COR_VERB_PATCH, res);
	a->subresource = subresource;
	a->ns = ns;
	a->name = name;
	a->patch = merge_patch;
	return a;
}

void cor_plan_again_at(struct cor_plan *p, cor_time when) {
	if (p->again == 0 || when < p->again)
		p->again = when;
}

void cor_plan_waits(struct cor_plan *p, const char *fmt, ...) {
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n <= 0)
		return;
	if (p->waits.n > 0)
		cor_buf_c(&p->waits, "; ");
	cor_buf_c(&p->waits, line);
}

const char *cor_plan_failure(const struct cor_plan *p, enum cor_verb *ret_verb) {
	*ret_verb = p->key->failed_verb;
	return p->key->failure;
}

void cor_plan_event(struct cor_plan *p, int stage, enum cor_res res, const void *regarding,
	const char *type, const char *reason, const char *fmt, ...) {
	const struct meta_v1_ObjectMeta *m = cor_meta_const(cor_resources[res].type, regarding);
	struct cor_obj *o = cor_store_get(p->engine->store, (uint16_t)res, m->namespace, m->name);
	if (!o || !cor_str_eq(o->uid, m->uid))
		return;
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct planned_event *x = cor_arena_new_of(p->arena, struct planned_event);
	if (!x || n < 0)
		return;
	x->stage = stage;
	x->type = type;
	x->reason = reason;
	x->message = cor_arena_str(p->arena, cor_str_c(text));
	x->regarding = cor_obj_ref(o);
	cor_arena_on_dispose(p->arena, unref_blob, o);
	*p->events_tail = x;
	p->events_tail = &x->next;
}
