// SPDX-License-Identifier: Apache-2.0
// The reconcile engine: turns store events into keys, keys into plans, plans into operations.
// Everything runs on the loop; nothing here blocks. One plan per key at a time; an event that
// comes meanwhile marks the key dirty and it is planned again (facts/controllers.md 1.1).
//
// A run: plan() -> stage 1 ops -> all accepted -> stage 2 ops -> ... -> all durable -> finished. Accepted means
// that the store has the write and will commit it before all that come later, or fail those as well; so the stages
// of a run usually share one commit. A failure drops the later stages and backs off: 5 ms, doubled each time,
// 1000 s at most.
#include "controllers/engine_priv.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"

enum {
	PLANS_PER_TURN = 64,    /* then the loop gets a chance to serve clients */
	STALE_DOUBLINGS = 9,    /* of the wait after a plan for an older state: 1.28 s at most */
};

static const cor_time BACKOFF_MIN = 5 * COR_MS;
static const cor_time CLOCK_STEP = 2 * COR_SECOND;
static const cor_time BACKOFF_MAX = 1000 * COR_SECOND;

static void start_stages(struct cor_plan *p);

/* ---- keys and the queue ---- */

static struct cor_str key_ns(const struct cor_key *k) {
	return (struct cor_str){ k->id, k->ns_n };
}

static struct cor_str key_name(const struct cor_key *k) {
	return cor_str_c(k->id + k->ns_n + 1);
}

static struct cor_key *key_get(struct cor_ctl *c, struct cor_str ns, struct cor_str name,
	bool make) {
	char id[600];
	int n = snprintf(id, sizeof(id), "%.*s/%.*s", COR_STR_ARG(ns), COR_STR_ARG(name));
	cor_assert(n > 0 && (size_t)n < sizeof(id));
	struct cor_key *k = cor_map_get(&c->keys, (struct cor_str){ id, (size_t)n });
	if (k || !make)
		return k;
	k = cor_new(struct cor_key);
	k->ctl = c;
	k->id = cor_strdup(id);
	k->ns_n = ns.n;
	(void)cor_map_put(&c->keys, cor_str_c(k->id), k);
	return k;
}

static void key_free(struct cor_key *k) {
	if (k->timer.armed)
		k->ctl->engine->world->timer_clear(k->ctl->engine->world, &k->timer);
	free(k->waits);
	free(k->failure);
	free(k->id);
	free(k);
}

/* Forgets a key about which there is nothing to remember. */
static void key_settle(struct cor_key *k) {
	if (k->queued || k->running || k->timer.armed || k->failures > 0 || k->waits)
		return;
	(void)cor_map_remove(&k->ctl->keys, cor_str_c(k->id));
	key_free(k);
}

static void key_push(struct cor_key *k) {
	struct cor_engine *e = k->ctl->engine;
	if (k->running) {
		k->dirty = true;
		return;
	}
	if (k->queued || e->closing)
		return;
	k->queued = true;
	k->next = NULL;
	*e->tail = k;
	e->tail = &k->next;
	if (!e->turn.armed)
		e->world->timer_set(e->world, &e->turn, 0);
}

static void key_timer(struct cor_timer *t) {
	key_push(cor_container_of(t, struct cor_key, timer));
}

/* Sets the key's timer; an earlier one that is set already stays. */
static void key_after(struct cor_key *k, cor_time delay) {
	struct cor_world *w = k->ctl->engine->world;
	if (k->ctl->engine->closing)
		return;
	k->timer.fire = key_timer;
	w->timer_set(w, &k->timer, delay > 0 ? delay : 0);
}

/* ---- from events to keys ---- */

struct cor_enqueue {
	struct cor_ctl *ctl;
};

void cor_enqueue(struct cor_enqueue *q, struct cor_str ns, struct cor_str name) {
	key_push(key_get(q->ctl, ns, name, true));
}

const void *cor_enqueue_read(struct cor_enqueue *q, struct cor_obj *o) {
	return cor_registry_read(q->ctl->engine->registry, o);
}

static void enqueue_owner(struct cor_enqueue *q, const struct cor_obj *o) {
	if (!o)
		return;
	const char *kind = cor_resources[q->ctl->row->res].kind;
	for (size_t i = 0; i < o->owners.n; i++) {
		const struct cor_owner *w = &o->owners.p[i];
		if (w->controller && cor_str_eq_c(w->kind, kind))
			cor_enqueue(q, o->ns, w->name);
	}
}

void cor_map_controller(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	enqueue_owner(q, ev->obj);
	enqueue_owner(q, ev->old);
}

static void dispatch(struct cor_engine *e, const struct cor_event *ev) {
	for (size_t i = 0; i < e->n; i++) {
		struct cor_enqueue q = { &e->ctls[i] };
		const struct cor_controller *row = e->ctls[i].row;
		for (size_t w = 0; w < row->n_watches; w++) {
			if (row->watches[w].res != COR_ANY_RES && (int)row->watches[w].res != ev->obj->res)
				continue;
			if (row->singleton)
				cor_enqueue(&q, COR_STR(""), COR_STR(""));
			else if (row->watches[w].map)
				row->watches[w].map(&q, e->store, ev);
			else
				cor_enqueue(&q, ev->obj->ns, ev->obj->name);
		}
	}
}

/* As if it had just been added: a row whose keys are objects of its own kind takes the key itself. */
static bool enqueue_existing(void *arg, struct cor_obj *o) {
	struct cor_enqueue *q = arg;
	const struct cor_controller *row = q->ctl->row;
	struct cor_event ev = { .type = COR_EVENT_ADDED, .rev = o->rev, .obj = o };
	if (row->singleton)
		cor_enqueue(q, COR_STR(""), COR_STR(""));
	else if (row->res == COR_ANY_RES)
		row->watches[0].map(q, q->ctl->engine->store, &ev);
	else
		cor_enqueue(q, o->ns, o->name);
	return true;
}

static void enqueue_resource(struct cor_engine *e, struct cor_enqueue *q, uint16_t res) {
	cor_store_each(e->store, res, (struct cor_str){ 0 }, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		enqueue_existing, q);
}

/* Every object of every row once: at start, and when the history has overtaken us. */
static void enqueue_all(struct cor_engine *e) {
	for (size_t i = 0; i < e->n; i++) {
		struct cor_enqueue q = { &e->ctls[i] };
		enum cor_res res = e->ctls[i].row->res;
		for (size_t k = 0; res == COR_ANY_RES && k < cor_resources_n; k++)
			enqueue_resource(e, &q, (uint16_t)k);
		if (res != COR_ANY_RES)
			enqueue_resource(e, &q, (uint16_t)res);
		if (e->ctls[i].row->singleton)
			cor_enqueue(&q, COR_STR(""), COR_STR(""));
	}
}

static void open_watch(struct cor_engine *e);

static void on_ready(struct cor_watch *w, void *arg) {
	struct cor_engine *e = arg;
	struct cor_event ev;
	while (!e->closing && cor_watch_next(w, &ev)) {
		if (ev.type == COR_EVENT_CLOSED)
			return;
		if (ev.type == COR_EVENT_GONE) {
			cor_warn("controllers fell behind the history; looking at everything again");
			cor_watch_free(w);
			open_watch(e);
			return;
		}
		dispatch(e, &ev);
	}
}

static void open_watch(struct cor_engine *e) {
	struct cor_watch_config c = {
		.res = COR_WATCH_ALL, .after_rev = cor_store_rev(e->store), .ready = on_ready, .arg = e,
	};
	struct cor_err err;
	int r = cor_store_watch(e->store, &c, &e->watch, &err);
	cor_assert(r >= 0);     /* the newest revision is always in the history */
	enqueue_all(e);
}

/* ---- runs ---- */

cor_time cor_engine_steady_since(struct cor_engine *e, cor_time now) {
	cor_time mono = e->world->monotonic(e->world), clock = now - mono, by = clock - e->clock;
	if (by < -CLOCK_STEP || by > CLOCK_STEP)
		e->steady = mono;
	e->clock = clock;
	return now - (mono - e->steady);
}

static cor_time backoff(unsigned failures) {
	cor_time d = BACKOFF_MIN;
	while (--failures > 0 && d < BACKOFF_MAX)
		d *= 2;
	return d < BACKOFF_MAX ? d : BACKOFF_MAX;
}

static void finish(struct cor_plan *p) {
	struct cor_engine *e = p->engine;
	struct cor_key *k = p->key;
	e->running--;
	k->running = false;
	free(k->waits);
	k->waits = p->waits.n > 0 ? cor_str_dup_c(cor_buf_view(&p->waits)) : NULL;
	free(k->failure);
	k->failure = cor_take(p->failure);
	k->failed_verb = p->failed_verb;
	if (p->failed)
		k->failures++;
	else
		k->failures = 0;
	if (!p->stale)
		k->stale = 0;
	if (p->failed)
		key_after(k, backoff(k->failures));
	else if (p->stale)
		/* Not at once: what the plan ran into may still be on its way to the disk, and until it is
		 * published every plan would run into it again. One that always does must not keep us busy. */
		key_after(k, k->stale < STALE_DOUBLINGS ? backoff(++k->stale) : backoff(STALE_DOUBLINGS));
	else if (p->again)
		key_after(k, p->again - cor_now(e->world));
	if (k->dirty) {
		k->dirty = false;
		key_push(k);
	}
	cor_plan_free(p);
	key_settle(k);
}

/* Those of the stages that have succeeded. */
static void send_events(struct cor_plan *p) {
	const struct cor_controller *row = p->key->ctl->row;
	char component[64];
	(void)snprintf(component, sizeof(component), "%s-controller", row->name);
	for (struct planned_event *x = p->events; x && !p->engine->closing; x = x->next) {
		if (x->sent || x->stage >= p->stage || x->stage >= p->failed_stage)
			continue;
		x->sent = true;
		cor_event_record(p->engine->registry, row->component ? row->component : component,
			(enum cor_res)x->regarding->res, x->regarding, x->type, x->reason, x->message.p);
	}
}

static void log_failure(const struct planned *x) {
	cor_warn("%s %.*s: %s %s %.*s/%.*s: %s", x->plan->key->ctl->row->name,
		COR_STR_ARG(cor_str_c(x->plan->key->id)), cor_verb_to_string(x->a.verb),
		cor_resources[x->a.res].plural, COR_STR_ARG(x->a.ns), COR_STR_ARG(x->a.name),
		x->op.err.message);
}

/* A precondition that no longer holds, or an object that is gone, only means that the plan was
 * made for an older state. */
static bool is_stale(const struct planned *x) {
	switch (x->op.status) {
	case COR_E_CONFLICT:
		return true;
	case COR_E_NOT_FOUND:
		return x->a.verb != COR_VERB_CREATE;
	default:
		return false;
	}
}

static void on_op_done(struct cor_op *op) {
	struct planned *x = cor_container_of(op, struct planned, op);
	struct cor_plan *p = x->plan;
	bool ok = op->status >= 0 || (op->status == COR_E_EXISTS && x->a.exists_ok);
	if (!ok && x->stage < p->failed_stage)
		p->failed_stage = x->stage;
	if (!ok && is_stale(x)) {
		p->stale = true;
	} else if (!ok) {
		log_failure(x);
		p->failed = true;
		if (!p->failure) {
			p->failure = cor_str_dup_c(cor_str_c(x->op.err.message));
			p->failed_verb = x->a.verb;
		}
	}
	if (x->a.done)
		x->a.done(p, &x->a, op);
	cor_assert(p->outstanding > 0);
	if (--p->outstanding > 0)
		return;
	send_events(p);
	start_stages(p);
}

static void start_op(struct planned *x) {
	struct cor_plan *p = x->plan;
	x->started = true;
	x->op = (struct cor_op){
		.verb = x->a.verb, .res = &cor_resources[x->a.res], .subresource = x->a.subresource,
		.ns = x->a.ns, .name = x->a.name, .arena = p->arena, .obj = x->a.obj,
		.patch_type = COR_PATCH_MERGE, .patch = x->a.patch, .grace_s = x->a.grace_s,
		.propagation = x->a.propagation, .expect_uid = x->a.expect_uid,
		.expect_rv = x->a.expect_rv, .validation = COR_VALIDATION_IGNORE, .done = on_op_done,
	};
	cor_op_start(p->engine->registry, &x->op);
}

/* The first stage from p->stage on that has something to do. */
static bool next_stage(struct cor_plan *p) {
	bool found = false;
	int stage = 0;
	for (struct planned *x = p->actions; x; x = x->next) {
		if (!x->started && x->stage >= p->stage && (!found || x->stage < stage)) {
			stage = x->stage;
			found = true;
		}
	}
	for (struct planned_event *x = p->events; x; x = x->next) {
		if (x->stage >= p->stage && (!found || x->stage < stage)) {
			stage = x->stage;
			found = true;
		}
	}
	if (found)
		p->stage = stage;
	return found;
}

/* Starts all of the next stage; true when the one behind it need not wait for what comes of it. */
static bool start_stage(struct cor_plan *p) {
	bool accepted = true;
	for (struct planned *x = p->actions; x; x = x->next) {
		if (x->stage != p->stage)
			continue;
		p->outstanding++;
		start_op(x);
		accepted = accepted && x->op.accepted;
	}
	p->stage++;
	return accepted;
}

static void start_stages(struct cor_plan *p) {
	while (!p->engine->closing && !p->failed && !p->stale && next_stage(p) && start_stage(p))
		;
	if (p->outstanding > 0)
		return;         /* on_op_done goes on */
	send_events(p);         /* of stages without actions */
	finish(p);
}

static void run(struct cor_key *k) {
	struct cor_engine *e = k->ctl->engine;
	if (k->timer.armed)
		e->world->timer_clear(e->world, &k->timer);
	k->running = true;
	k->dirty = false;
	e->running++;
	struct cor_plan *p = cor_plan_new(e, k);
	struct cor_err err = { 0 };
	int r = k->ctl->row->plan(p, key_ns(k), key_name(k), &err);
	if (r >= 0 && cor_arena_failed(p->arena))
		r = cor_fail(&err, COR_E_LIMIT, "the plan needs more memory than one plan may use");
	if (r < 0) {
		cor_warn("%s %s: %s", k->ctl->row->name, k->id, err.message);
		p->failed = true;
		p->failed_stage = 0;
	}
	start_stages(p);
}

static void on_turn(struct cor_timer *t) {
	struct cor_engine *e = cor_container_of(t, struct cor_engine, turn);
	for (int i = 0; i < PLANS_PER_TURN && e->head; i++) {
		struct cor_key *k = e->head;
		e->head = k->next;
		if (!e->head)
			e->tail = &e->head;
		k->queued = false;
		run(k);
	}
	if (e->head && !t->armed)
		e->world->timer_set(e->world, t, 0);
}

/* ---- life ---- */

struct cor_engine *cor_engine_new(struct cor_registry *r, const struct cor_controller *const *rows) {
	struct cor_engine *e = cor_new(struct cor_engine);
	e->registry = r;
	e->store = cor_registry_store(r);
	e->world = cor_registry_world(r);
	e->tail = &e->head;
	e->steady = e->world->monotonic(e->world);
	e->clock = cor_now(e->world) - e->steady;
	e->turn.fire = on_turn;
	while (rows[e->n])
		e->n++;
	e->ctls = cor_calloc(e->n ? e->n : 1, sizeof(*e->ctls));
	for (size_t i = 0; i < e->n; i++)
		e->ctls[i] = (struct cor_ctl){ .engine = e, .row = rows[i] };
	open_watch(e);
	return e;
}

void cor_engine_stop(struct cor_engine *e) {
	if (!e || e->closing)
		return;
	e->closing = true;
	e->head = NULL;
	e->tail = &e->head;
	cor_watch_free(e->watch);
	if (e->turn.armed)
		e->world->timer_clear(e->world, &e->turn);
}

void cor_engine_free(struct cor_engine *e) {
	if (!e)
		return;
	cor_engine_stop(e);
	/* The registry must have finished its operations: their plans are ours. */
	cor_assert(e->running == 0);
	for (size_t i = 0; i < e->n; i++) {
		size_t it = 0;
		struct cor_str id;
		void *k;
		while (cor_map_next(&e->ctls[i].keys, &it, &id, &k))
			key_free(k);
		cor_map_fini(&e->ctls[i].keys);
	}
	free(e->ctls);
	free(e);
}

bool cor_engine_idle(const struct cor_engine *e) {
	return e->running == 0 && !e->head;
}

struct cor_str cor_engine_waits(struct cor_engine *e, const char *controller, struct cor_str ns,
	struct cor_str name) {
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->ctls[i].row->name, controller) != 0)
			continue;
		struct cor_key *k = key_get(&e->ctls[i], ns, name, false);
		return k && k->waits ? cor_str_c(k->waits) : COR_STR("");
	}
	return COR_STR("");
}
