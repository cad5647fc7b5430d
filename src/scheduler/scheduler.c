// SPDX-License-Identifier: Apache-2.0
// The scheduler's queue and cycle (facts/controllers.md 20.2, 20.3, 20.6, 20.13). A pod is tried when it
// appears; one that found no node is tried again when something happened that may help, not sooner
// than its back-off, and every five minutes anyway.
//
//   new -> ready -> trying -> (volumes) -> binding -> gone
//            ^         | no node
//            +-waiting-+  an event, at the earliest after 1 s, 2 s, 4 s ... 10 s
#include "scheduler/scheduler.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "controllers/engine.h"
#include "controllers/volumes.h"
#include "scheduler/filter.h"

enum { TRIES_PER_TURN = 32 };

static const cor_time BACKOFF_MIN = COR_SECOND;
static const cor_time BACKOFF_MAX = 10 * COR_SECOND;
static const cor_time WAIT_MAX = 5 * COR_MINUTE;

enum pending_state { PENDING_READY, PENDING_WAITING, PENDING_VOLUMES, PENDING_BUSY };

struct pending {
	char *ns, *name, *uid;
	int32_t priority;
	uint64_t order;                 /* of arrival */
	enum pending_state state;
	cor_time not_before;            /* back-off, monotonic */
	cor_time give_up_wait;          /* tried again then in any case */
	unsigned failures;
	bool helped;                    /* something happened since it failed */
	bool gone;                      /* forget it as soon as its operation is done */
};

struct cor_scheduler {
	struct cor_registry *registry;
	struct cor_store *store;
	struct cor_world *world;
	struct cor_watch *watch;
	struct sched_cache cache;
	struct cor_map pods;            /* uid -> struct pending */
	uint64_t arrivals;
	size_t under_way;
	struct cor_timer turn;
	bool closing;
};

/* An operation on behalf of a pod, with its own memory. */
struct work {
	struct cor_op op;
	struct cor_scheduler *s;
	struct pending *p;
	struct cor_arena *arena;
	struct cor_obj *blob;
	struct cor_str node;
	struct cor_str message;
	cor_time decided;
};

static void on_turn(struct cor_timer *t);

static void wake_at(struct cor_scheduler *s, cor_time delay) {
	if (s->closing)
		return;
	s->turn.fire = on_turn;
	s->world->timer_set(s->world, &s->turn, delay > 0 ? delay : 0);
}

static void wake(struct cor_scheduler *s) {
	wake_at(s, 0);
}

/* ---- pods that want a node ---- */

static void pending_free(struct cor_scheduler *s, struct pending *p) {
	(void)cor_map_remove(&s->pods, cor_str_c(p->uid));
	free(p->ns);
	free(p->name);
	free(p->uid);
	free(p);
}

static void forget(struct cor_scheduler *s, struct cor_str uid) {
	struct pending *p = cor_map_get(&s->pods, uid);
	sched_cache_forget(&s->cache, uid);
	if (!p)
		return;
	if (p->state == PENDING_BUSY)
		p->gone = true;
	else
		pending_free(s, p);
}

static const struct cor_str our_name = COR_STR_INIT("default-scheduler");

static bool is_ours(const struct core_v1_Pod *pod) {
	return pod->spec.nodeName.n == 0 && !pod->metadata.deletionTimestamp && pod->spec.schedulingGates.n == 0 &&
		cor_str_eq(pod->spec.schedulerName, our_name) &&
		!cor_str_eq(pod->status.phase, COR_STR("Failed")) && !cor_str_eq(pod->status.phase, COR_STR("Succeeded"));
}

static bool has_node(const struct cor_obj *o) {
	return cor_strmap_get(&o->fields, COR_STR("spec.nodeName")) != NULL;
}

static void consider(struct cor_scheduler *s, struct cor_obj *o) {
	struct pending *p = cor_map_get(&s->pods, o->uid);
	const struct cor_str *scheduler = cor_strmap_get(&o->fields, COR_STR("spec.schedulerName"));
	/* Asked of the header, for most that changes about pods does after they have a node. */
	if (has_node(o) || (scheduler && !cor_str_eq(*scheduler, our_name))) {
		forget(s, o->uid);
		return;
	}
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	const struct core_v1_Pod *pod = cor_obj_decode(o, a, &err);
	if (!pod || !is_ours(pod)) {
		if (p)
			forget(s, o->uid);
		return;
	}
	if (p)
		return;
	p = cor_new(struct pending);
	p->ns = cor_str_dup_c(o->ns);
	p->name = cor_str_dup_c(o->name);
	p->uid = cor_str_dup_c(o->uid);
	p->priority = pod->spec.priority ? *pod->spec.priority : 0;
	p->order = ++s->arrivals;
	(void)cor_map_put(&s->pods, cor_str_c(p->uid), p);
	wake(s);
}

/* Something changed that may have been what waiting pods wait for. */
static void help_all(struct cor_scheduler *s) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	bool any = false;
	while (cor_map_next(&s->pods, &it, &uid, &v)) {
		struct pending *p = v;
		p->helped = true;
		any |= p->state == PENDING_WAITING || p->state == PENDING_VOLUMES;
	}
	if (any)
		wake(s);
}

/* ---- events ---- */

static void on_event(struct cor_scheduler *s, const struct cor_event *ev) {
	bool deleted = ev->type == COR_EVENT_DELETED;
	switch (ev->obj->res) {
	case COR_RES_PODS:
		sched_cache_pod(&s->cache, ev->obj, deleted);
		if (deleted)
			forget(s, ev->obj->uid);
		else
			consider(s, ev->obj);
		/* A pod that went makes room, one that came may be what another wants to be near. */
		if (deleted || has_node(ev->obj))
			help_all(s);
		break;
	case COR_RES_NODES:
		sched_cache_node(&s->cache, ev->obj, deleted);
		help_all(s);
		break;
	case COR_RES_PERSISTENTVOLUMECLAIMS:
	case COR_RES_PERSISTENTVOLUMES:
	case COR_RES_STORAGECLASSES:
		help_all(s);
		break;
	default:
		break;
	}
}

static bool load_node(void *arg, struct cor_obj *o) {
	sched_cache_node(&((struct cor_scheduler *)arg)->cache, o, false);
	return true;
}

static bool load_pod(void *arg, struct cor_obj *o) {
	struct cor_scheduler *s = arg;
	sched_cache_pod(&s->cache, o, false);
	consider(s, o);
	return true;
}

static void each(struct cor_scheduler *s, enum cor_res res, bool (*fn)(void *arg, struct cor_obj *o)) {
	cor_store_each(s->store, (uint16_t)res, (struct cor_str){ 0 }, (struct cor_str){ 0 }, (struct cor_str){ 0 }, fn, s);
}

static void start_watch(struct cor_scheduler *s);

static void on_ready(struct cor_watch *w, void *arg) {
	struct cor_scheduler *s = arg;
	struct cor_event ev;
	while (!s->closing && cor_watch_next(w, &ev)) {
		if (ev.type == COR_EVENT_CLOSED)
			return;
		if (ev.type == COR_EVENT_GONE) {
			cor_warn("scheduler fell behind the history; looking at everything again");
			cor_watch_free(w);
			sched_cache_fini(&s->cache);
			s->cache = (struct sched_cache){ 0 };
			start_watch(s);
			return;
		}
		on_event(s, &ev);
	}
}

static void start_watch(struct cor_scheduler *s) {
	struct cor_watch_config c = {
		.res = COR_WATCH_ALL, .after_rev = cor_store_rev(s->store), .ready = on_ready, .arg = s,
	};
	struct cor_err err;
	int r = cor_store_watch(s->store, &c, &s->watch, &err);
	cor_assert(r >= 0);     /* the newest revision is always in the history */
	each(s, COR_RES_NODES, load_node);
	each(s, COR_RES_PODS, load_pod);
}

/* ---- operations ---- */

static struct work *work_new(struct cor_scheduler *s, struct pending *p, struct cor_obj *blob) {
	struct work *w = cor_new(struct work);
	w->s = s;
	w->p = p;
	w->arena = cor_arena_new(0);
	w->blob = cor_obj_ref(blob);
	w->decided = cor_now(s->world);
	s->under_way++;
	return w;
}

static void work_free(struct work *w) {
	w->s->under_way--;
	cor_obj_unref(w->blob);
	cor_arena_free(w->arena);
	free(w);
}

static void start(struct work *w, enum cor_verb verb, enum cor_res res, const char *sub, struct cor_str ns,
	struct cor_str name, void (*done)(struct cor_op *op)) {
	w->op.verb = verb;
	w->op.res = &cor_resources[res];
	w->op.subresource = sub ? cor_str_c(sub) : (struct cor_str){ 0 };
	w->op.ns = cor_arena_str(w->arena, ns);
	w->op.name = cor_arena_str(w->arena, name);
	w->op.arena = w->arena;
	w->op.grace_s = -1;
	w->op.validation = COR_VALIDATION_IGNORE;
	w->op.done = done;
	w->op.arg = w;
	cor_op_start(w->s->registry, &w->op);
}

static void wait_for_help(struct cor_scheduler *s, struct pending *p) {
	cor_time now = s->world->monotonic(s->world), d = BACKOFF_MIN;
	for (unsigned i = 0; i < p->failures && d < BACKOFF_MAX; i++)
		d *= 2;
	p->failures++;
	p->state = PENDING_WAITING;
	p->helped = false;
	p->not_before = now + (d < BACKOFF_MAX ? d : BACKOFF_MAX);
	p->give_up_wait = now + WAIT_MAX;
}

/* Ends what a pending pod was busy with; false when it is gone meanwhile. */
static bool settle(struct cor_scheduler *s, struct pending *p) {
	if (!p->gone)
		return true;
	pending_free(s, p);
	return false;
}

/* ---- no node ---- */

static void told_why(struct cor_op *op) {
	struct work *w = op->arg;
	struct cor_scheduler *s = w->s;
	bool helped = w->p->helped;
	if (settle(s, w->p)) {
		wait_for_help(s, w->p);
		w->p->helped = helped;
		wake(s);
	}
	work_free(w);
}

static bool says_already(const struct core_v1_Pod *pod, struct cor_str message) {
	for (size_t i = 0; i < pod->status.conditions.n; i++) {
		const struct core_v1_PodCondition *c = &pod->status.conditions.p[i];
		if (cor_str_eq(c->type, COR_STR("PodScheduled")))
			return cor_str_eq(c->status, COR_STR("False")) && cor_str_eq(c->message, message);
	}
	return false;
}

static void write_condition(struct cor_buf *b, struct cor_str message, cor_time now) {
	char when[COR_TIME_TEXT_MAX];
	size_t n = cor_time_format(now, false, when);
	cor_buf_c(b, "{\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":"
		"\"Unschedulable\",\"lastProbeTime\":null,\"lastTransitionTime\":\"");
	cor_buf_add(b, when, n);
	cor_buf_c(b, "\",\"message\":");
	cor_json_write_str(b, message);
	cor_buf_c(b, "}]}}");
}

static void tell_why(struct cor_scheduler *s, struct pending *p, struct sched_try *t, struct cor_str message) {
	cor_event_record_action(s->registry, "default-scheduler", "Scheduling", cor_now(s->world), COR_RES_PODS, t->blob, "Warning",
		"FailedScheduling", cor_arena_cstr(t->arena, message));
	if (says_already(t->pod, message)) {
		wait_for_help(s, p);
		return;
	}
	struct work *w = work_new(s, p, t->blob);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	write_condition(&b, message, cor_now(s->world));
	w->op.patch_type = COR_PATCH_STRATEGIC;
	w->op.patch = cor_arena_str(w->arena, cor_buf_view(&b));
	w->op.expect_uid = w->blob->uid;
	p->state = PENDING_BUSY;
	p->helped = false;
	start(w, COR_VERB_PATCH, COR_RES_PODS, "status", t->blob->ns, t->blob->name, told_why);
}

/* ---- binding ---- */

static void bound(struct cor_op *op) {
	struct work *w = op->arg;
	struct cor_scheduler *s = w->s;
	if (op->status >= 0) {
		struct cor_str text = cor_arena_printf(w->arena, "Successfully assigned %.*s/%.*s to %.*s",
			COR_STR_ARG(w->blob->ns), COR_STR_ARG(w->blob->name), COR_STR_ARG(w->node));
		cor_event_record_action(s->registry, "default-scheduler", "Binding", w->decided, COR_RES_PODS, w->blob, "Normal",
			"Scheduled", text.p);
		pending_free(s, w->p);
	} else {
		cor_warn("binding pod %.*s/%.*s: %s", COR_STR_ARG(w->blob->ns), COR_STR_ARG(w->blob->name), op->err.message);
		sched_cache_forget(&s->cache, w->blob->uid);
		if (settle(s, w->p)) {
			wait_for_help(s, w->p);
			w->p->helped = true;
			wake(s);
		}
	}
	work_free(w);
}

static void bind(struct cor_scheduler *s, struct pending *p, struct cor_obj *blob, struct cor_str node) {
	struct work *w = work_new(s, p, blob);
	struct core_v1_Binding *b = cor_arena_new_of(w->arena, struct core_v1_Binding);
	w->node = cor_arena_str(w->arena, node);
	if (b) {
		b->metadata.name = cor_arena_str(w->arena, blob->name);
		b->metadata.namespace = cor_arena_str(w->arena, blob->ns);
		b->metadata.uid = cor_arena_str(w->arena, blob->uid);
		b->target.kind = COR_STR("Node");
		b->target.name = w->node;
	}
	w->op.obj = b;
	p->state = PENDING_BUSY;
	start(w, COR_VERB_CREATE, COR_RES_PODS, "binding", blob->ns, blob->name, bound);
}

/* ---- volumes that wait for the choice ---- */

static void node_noted(struct cor_op *op) {
	struct work *w = op->arg;
	if (op->status < 0)
		cor_debug("claim %.*s: %s", COR_STR_ARG(op->name), op->err.message);
	work_free(w);
}

/* The claims are told the node; the pod is tried again when they are bound, and then stays there. */
static void choose_for_claims(struct cor_scheduler *s, struct pending *p, struct sched_try *t, struct cor_str node) {
	for (size_t i = 0; i < t->unbound.n; i++) {
		const struct core_v1_PersistentVolumeClaim *c = t->unbound.p[i];
		const struct cor_str *chosen = cor_strmap_get(&c->metadata.annotations, COR_STR(COR_ANN_SELECTED_NODE));
		if (chosen && cor_str_eq(*chosen, node))
			continue;
		struct work *w = work_new(s, NULL, t->blob);
		w->op.patch_type = COR_PATCH_MERGE;
		w->op.patch = cor_arena_printf(w->arena, "{\"metadata\":{\"annotations\":{\"%s\":\"%.*s\"}}}",
			COR_ANN_SELECTED_NODE, COR_STR_ARG(node));
		w->op.expect_uid = cor_arena_str(w->arena, c->metadata.uid);
		start(w, COR_VERB_PATCH, COR_RES_PERSISTENTVOLUMECLAIMS, NULL, c->metadata.namespace, c->metadata.name,
			node_noted);
	}
	p->state = PENDING_VOLUMES;
	p->helped = false;
	p->not_before = 0;
	p->give_up_wait = s->world->monotonic(s->world) + WAIT_MAX;
}

/* ---- one try ---- */

struct tally {
	struct { struct { struct cor_str why; size_t n; } *p; size_t n; } list;
};

static void count_reason(struct cor_arena *a, struct tally *t, struct cor_str why) {
	for (size_t i = 0; i < t->list.n; i++)
		if (cor_str_eq(t->list.p[i].why, why)) {
			t->list.p[i].n++;
			return;
		}
	if (cor_arena_push(a, &t->list)) {
		t->list.p[t->list.n - 1].why = why;
		t->list.p[t->list.n - 1].n = 1;
	}
}

static int by_text(const void *a, const void *b) {
	return cor_str_cmp(*(const struct cor_str *)a, *(const struct cor_str *)b);
}

static struct cor_str no_node_text(struct sched_try *t, const struct tally *tally) {
	size_t nodes = t->cache->n_nodes;
	if (nodes == 0)
		return COR_STR("no nodes available to schedule pods");
	struct cor_str *parts = cor_arena_array(t->arena, struct cor_str, tally->list.n);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; parts && i < tally->list.n; i++)
		parts[i] = cor_arena_printf(t->arena, "%zu %.*s", tally->list.p[i].n, COR_STR_ARG(tally->list.p[i].why));
	if (parts)
		qsort(parts, tally->list.n, sizeof(*parts), by_text);
	cor_buf_printf(&b, "0/%zu nodes are available: ", nodes);
	for (size_t i = 0; parts && i < tally->list.n; i++)
		cor_buf_printf(&b, "%s%.*s", i > 0 ? ", " : "", COR_STR_ARG(parts[i]));
	cor_buf_printf(&b, ". preemption: 0/%zu nodes are available: %zu Preemption is not helpful for scheduling.", nodes,
		nodes);
	return cor_arena_str(t->arena, cor_buf_view(&b));
}

static const struct sched_node *choose(struct cor_scheduler *s, struct sched_try *t, struct tally *tally) {
	struct { const struct sched_node **p; size_t n; } will_do = { 0 };
	size_t it = 0;
	struct cor_str name;
	void *v;
	while (cor_map_next(&s->cache.nodes, &it, &name, &v)) {
		const struct sched_node *n = v;
		struct sched_reasons why;
		if (!n->node)
			continue;
		sched_filter(t, n, &why);
		for (size_t i = 0; i < why.n; i++)
			count_reason(t->arena, tally, why.p[i]);
		const struct sched_node **slot = why.n == 0 ? cor_arena_push(t->arena, &will_do) : NULL;
		if (slot)
			*slot = n;
	}
	return will_do.n > 0 ? sched_best(t, will_do.p, will_do.n) : NULL;
}

static void try_pod(struct cor_scheduler *s, struct pending *p) {
	struct cor_obj *o = cor_store_get(s->store, COR_RES_PODS, cor_str_c(p->ns), cor_str_c(p->name));
	if (!o || !cor_str_eq_c(o->uid, p->uid)) {
		pending_free(s, p);
		return;
	}
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	struct sched_try t = {
		.registry = s->registry, .store = s->store, .cache = &s->cache, .arena = a, .blob = o,
		.pod = cor_obj_decode(o, a, &err),
	};
	struct tally tally = { 0 };
	if (!t.pod)
		return;
	struct cor_str why = sched_prefilter(&t);
	const struct sched_node *node = why.p ? NULL : choose(s, &t, &tally);
	sched_try_fini(&t);
	if (node && t.unbound.n > 0) {
		choose_for_claims(s, p, &t, cor_str_c(node->name));
	} else if (node) {
		sched_cache_assume(&s->cache, o, cor_str_c(node->name));
		bind(s, p, o, cor_str_c(node->name));
	} else {
		struct cor_str text = !why.p ? no_node_text(&t, &tally)
			: cor_arena_printf(a, "0/%zu nodes are available: %.*s. preemption: 0/%zu nodes are available: %zu "
				"Preemption is not helpful for scheduling.", s->cache.n_nodes, COR_STR_ARG(why),
				s->cache.n_nodes, s->cache.n_nodes);
		tell_why(s, p, &t, text);
	}
}

static bool is_due(struct cor_scheduler *s, const struct pending *p, cor_time now) {
	switch (p->state) {
	case PENDING_READY:
		return true;
	case PENDING_WAITING:
	case PENDING_VOLUMES:
		return (p->helped && now >= p->not_before) || now >= p->give_up_wait;
	case PENDING_BUSY:
	default:
		return false;
	}
}

/* Higher priority first, then who came first. */
static struct pending *next_due(struct cor_scheduler *s, cor_time now, cor_time *ret_next) {
	struct pending *best = NULL;
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&s->pods, &it, &uid, &v)) {
		struct pending *p = v;
		if (!is_due(s, p, now)) {
			cor_time at = p->helped && p->not_before > now ? p->not_before : p->give_up_wait;
			if (p->state != PENDING_BUSY && (*ret_next == 0 || at < *ret_next))
				*ret_next = at;
			continue;
		}
		if (!best || p->priority > best->priority || (p->priority == best->priority && p->order < best->order))
			best = p;
	}
	return best;
}

static void on_turn(struct cor_timer *timer) {
	struct cor_scheduler *s = cor_container_of(timer, struct cor_scheduler, turn);
	cor_time now = s->world->monotonic(s->world);
	for (int i = 0; i < TRIES_PER_TURN; i++) {
		cor_time next = 0;
		struct pending *p = next_due(s, now, &next);
		if (!p) {
			if (next)
				wake_at(s, next - now);
			return;
		}
		try_pod(s, p);
	}
	wake(s);
}

/* ---- life ---- */

struct cor_scheduler *cor_scheduler_new(struct cor_registry *r) {
	struct cor_scheduler *s = cor_new(struct cor_scheduler);
	s->registry = r;
	s->store = cor_registry_store(r);
	s->world = cor_registry_world(r);
	start_watch(s);
	return s;
}

void cor_scheduler_stop(struct cor_scheduler *s) {
	if (!s || s->closing)
		return;
	s->closing = true;
	cor_watch_free(s->watch);
	if (s->turn.armed)
		s->world->timer_clear(s->world, &s->turn);
}

void cor_scheduler_free(struct cor_scheduler *s) {
	if (!s)
		return;
	cor_scheduler_stop(s);
	cor_assert(s->under_way == 0);
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&s->pods, &it, &uid, &v))
		pending_free(s, v);
	cor_map_fini(&s->pods);
	sched_cache_fini(&s->cache);
	free(s);
}

bool cor_scheduler_idle(const struct cor_scheduler *s) {
	if (s->under_way > 0)
		return false;
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&s->pods, &it, &uid, &v))
		if (((struct pending *)v)->state == PENDING_READY)
			return false;
	return true;
}
