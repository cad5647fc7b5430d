// SPDX-License-Identifier: Apache-2.0
// Controllers are planners. A controller is a row of the table in controllers.c and a file: what
// it watches, how an event maps to keys, and plan(): a pure function that reads the published
// state and says what to do and when to look again. The engine runs at most one plan per key at
// a time, performs its actions as operations of the registry (with preconditions), waits until
// all are durable and published, and only then plans that key again: a plan never sees a state in
// which its own earlier actions are missing, so no "expectations" are needed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/registry.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "codec/type.h"
#include "store/store.h"

struct cor_engine;
struct cor_plan;

/* ---- reading: inside plan(), all results live until plan() returns and its actions are done ---- */

/* Typed, decoded once per plan (cached by object within the plan); NULL when absent. Treat as
 * read-only: copy with cor_obj_copy before a change. */
const void *cor_plan_get(struct cor_plan *p, enum cor_res res, struct cor_str ns, struct cor_str name);
/* As decoded typed objects: all of a namespace (absent ns = all), or all that name uid as an owner. */
struct cor_objects {
	const void **p;                 /* typed */
	struct cor_obj **blob;          /* same order: uid, labels, rev without decoding */
	size_t n;
};
struct cor_objects cor_plan_list(struct cor_plan *p, enum cor_res res, struct cor_str ns);
struct cor_objects cor_plan_list_owned(struct cor_plan *p, enum cor_res res, struct cor_str ns, struct cor_str owner_uid);
/* Those of a namespace whose labels match (compiled selector of codec/selector.h); decodes only these. */
struct cor_selector;
struct cor_objects cor_plan_list_selected(struct cor_plan *p, enum cor_res res, struct cor_str ns, const struct cor_selector *sel);
struct cor_store *cor_plan_store(struct cor_plan *p);
cor_time cor_plan_now(const struct cor_plan *p);
/* Since when this server watches, and the wall clock has not been set: times from before say nothing about how
 * long something has been silent. */
cor_time cor_plan_steady_since(const struct cor_plan *p);
struct cor_arena *cor_plan_arena(struct cor_plan *p);
struct cor_world *cor_plan_world(struct cor_plan *p);
struct cor_registry *cor_plan_registry(struct cor_plan *p);

struct cor_enqueue;
/* For map functions: an object as a struct, see cor_registry_read. */
const void *cor_enqueue_read(struct cor_enqueue *q, struct cor_obj *o);

/* ---- actions ---- */

/* Actions of a stage run at the same time; the next stage starts when all have succeeded, or only
 * wait for a commit that cannot fail without the next stage failing as well. After a failure the
 * remaining stages are dropped and the key is planned again after its back-off. A
 * conflict, or NotFound of an update or delete, is not an error: the key is just planned again. */
struct cor_action {
	enum cor_verb verb;             /* create, update, delete; patch = merge patch text */
	enum cor_res res;
	struct cor_str subresource;     /* absent, "status", "scale", "binding", ... */
	struct cor_str ns, name;        /* create takes them from obj */
	void *obj;                      /* create, update: typed, in the plan's arena */
	struct cor_str patch;
	struct cor_str expect_uid, expect_rv;
	int64_t grace_s;                /* delete: -1 = the object's own */
	enum cor_propagation propagation;
	bool exists_ok;                 /* create: AlreadyExists is success */
	/* Called with the op's outcome before the engine goes on; for events that tell of it. */
	void (*done)(struct cor_plan *p, struct cor_action *a, const struct cor_op *op);
	void *arg;
};
struct cor_action *cor_plan_create(struct cor_plan *p, int stage, enum cor_res res, void *obj);
/* Preconditions are taken from obj's metadata.uid and resourceVersion. */
struct cor_action *cor_plan_update(struct cor_plan *p, int stage, enum cor_res res, void *obj);
struct cor_action *cor_plan_update_status(struct cor_plan *p, int stage, enum cor_res res, void *obj);
struct cor_action *cor_plan_delete(struct cor_plan *p, int stage, enum cor_res res, struct cor_str ns, struct cor_str name, struct cor_str uid);
struct cor_action *cor_plan_patch(struct cor_plan *p, int stage, enum cor_res res, struct cor_str subresource,
	struct cor_str ns, struct cor_str name, struct cor_str merge_patch);

/* Plan this key again at the latest at this wall time (the earliest of several calls counts). */
void cor_plan_again_at(struct cor_plan *p, cor_time when);
/* Why the goal is not reached yet; the last run's texts can be asked for by key (debugging, tests). */
void cor_plan_waits(struct cor_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The error of the first action that failed when this key was planned last; NULL when all went well. */
const char *cor_plan_failure(const struct cor_plan *p, enum cor_verb *ret_verb);
/* A Kubernetes Event about an object of this plan; sent after the actions of its stage. type:
 * "Normal" or "Warning". Identical ones within ten minutes raise count instead. */
void cor_plan_event(struct cor_plan *p, int stage, enum cor_res res, const void *regarding, const char *type,
	const char *reason, const char *fmt, ...) __attribute__((format(printf, 7, 8)));

/* ---- the table ---- */

/* Puts keys to plan: called by a map function. */
struct cor_enqueue;
void cor_enqueue(struct cor_enqueue *q, struct cor_str ns, struct cor_str name);

/* As the resource of a watch: all of them. */
#define COR_ANY_RES ((enum cor_res)COR_WATCH_ALL)

struct cor_controller_watch {
	enum cor_res res;
	/* NULL: the object's own key. cor_map_controller: the controller owner of the row's kind, in
	 * both the old and the new state. Others: the controller's own mapping. */
	void (*map)(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev);
};
void cor_map_controller(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev);

struct cor_controller {
	const char *name;               /* "statefulset"; the component of its events is NAME-controller */
	enum cor_res res;               /* kind of the keys (owner kind for cor_map_controller) */
	struct cor_controller_watch watches[10];        /* ends with res 0 and map NULL beyond the first */
	size_t n_watches;
	/* 0 or a negative code (logged, backed off). The object of the key may be gone. */
	int (*plan)(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err);
	const char *component;          /* source.component of its events, NULL = name + "-controller" */
	bool singleton;                 /* one key "" whatever changed */
};

extern const struct cor_controller *const cor_controllers[];    /* NULL-terminated; controllers.c */

/* Starts all rows: every existing object is planned once, then by events. */
struct cor_engine *cor_engine_new(struct cor_registry *r, const struct cor_controller *const *rows);
/* Plans nothing more. Then the registry is freed, which calls back what is under way; then the engine. */
void cor_engine_stop(struct cor_engine *e);
void cor_engine_free(struct cor_engine *e);
/* Nothing queued and nothing under way (tests and the simulation). */
bool cor_engine_idle(const struct cor_engine *e);
/* The texts of cor_plan_waits of the last run, "" when there were none. */
struct cor_str cor_engine_waits(struct cor_engine *e, const char *controller, struct cor_str ns, struct cor_str name);

/* Events from other parts of the server (scheduler, API). */
void cor_event_record(struct cor_registry *r, const char *component, enum cor_res res, struct cor_obj *regarding,
	const char *type, const char *reason, const char *message);
/* The scheduler's sort: with an action, one moment (when it was decided: others may have acted on it already), and
 * repetitions as a series. */
void cor_event_record_action(struct cor_registry *r, const char *component, const char *action, cor_time when,
	enum cor_res res, struct cor_obj *regarding, const char *type, const char *reason, const char *message);
