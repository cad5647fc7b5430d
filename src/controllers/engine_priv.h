// SPDX-License-Identifier: Apache-2.0
// What engine.c (queue and runs), plan.c (what a plan reads and asks for) and events.c share.
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "controllers/engine.h"

struct cor_ctl;

/* One object that a controller looks after. Exists only while there is something to remember:
 * a run, a place in the queue, a timer, failures, or why the goal is not reached.
 *
 *      idle --event--> queued --turn--> running --done--> idle
 *                        ^                | event: dirty     |
 *                        +----------------+------------------+ (timer, dirty)
 */
struct cor_key {
	struct cor_ctl *ctl;
	char *id;                       /* "ns/name" */
	size_t ns_n;
	struct cor_key *next;           /* in the queue */
	struct cor_timer timer;         /* back-off or cor_plan_again_at */
	bool queued, running, dirty;
	unsigned failures;
	unsigned stale;                 /* runs in a row that were planned for an older state */
	char *waits;                    /* NULL = none */
	char *failure;                  /* of the last run, NULL = it went well */
	enum cor_verb failed_verb;
};

struct cor_ctl {
	struct cor_engine *engine;
	const struct cor_controller *row;
	struct cor_map keys;            /* id -> struct cor_key */
};

struct cor_engine {
	struct cor_registry *registry;
	struct cor_store *store;
	struct cor_world *world;
	struct cor_watch *watch;
	struct cor_ctl *ctls;
	size_t n;
	struct cor_key *head, **tail;
	struct cor_timer turn;          /* runs the queue outside of other people's calls */
	size_t running;
	bool closing;
	cor_time clock;                 /* wall less monotonic time, at the last plan */
	cor_time steady;                /* monotonic: since when the wall clock just went on */
};

struct planned {
	struct cor_action a;
	int stage;
	bool started;
	struct cor_op op;
	struct cor_plan *plan;
	struct planned *next;
};

struct planned_event {
	int stage;
	bool sent;
	struct cor_obj *regarding;
	const char *type, *reason;
	struct cor_str message;
	struct planned_event *next;
};

struct cor_plan {
	struct cor_engine *engine;
	struct cor_key *key;
	struct cor_arena *arena;
	cor_time now, steady_since;
	cor_time again;                 /* 0 = not asked for */
	struct planned *actions, **actions_tail;
	struct planned_event *events, **events_tail;
	struct cor_map decoded;         /* address of a blob as text -> typed object */
	struct cor_buf waits;
	int stage;                      /* the next one to start */
	int failed_stage;               /* the first of which something failed */
	size_t outstanding;
	bool failed;                    /* an action failed: back off */
	char *failure;                  /* the first one's error */
	enum cor_verb failed_verb;
	bool stale;                     /* a precondition failed: plan again soon */
};

/* See cor_plan_steady_since; now is the wall time. */
cor_time cor_engine_steady_since(struct cor_engine *e, cor_time now);

struct cor_plan *cor_plan_new(struct cor_engine *e, struct cor_key *k);
void cor_plan_free(struct cor_plan *p);
