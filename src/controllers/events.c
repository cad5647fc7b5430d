// SPDX-License-Identifier: Apache-2.0
// Kubernetes Events (facts/printing.md 4.1). Their names grow with time, so that lists show those of one
// object as they happened. The last few thousand that were said are remembered by a hash: a repetition
// raises the count of the first. They are removed an hour after their last occurrence.
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/codec.h"
#include "controllers/engine.h"
#include "controllers/rows.h"
#include "gen/core_v1.h"

enum { OBJECT_NAME_MAX = 200, REMEMBERED = 2000 };

static const cor_time EVENT_TTL = COR_HOUR;

struct recording {
	struct cor_op op;
	struct cor_registry *registry;
	struct cor_arena *arena;
	struct core_v1_Event *event;
	int tries;
};

static uint64_t mix(uint64_t h, struct cor_str s) {
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
	return (h ^ 0xff) * 1099511628211u;
}

static void recorded(struct cor_op *op);

static void start(struct recording *r, const struct core_v1_Event *old) {
	const struct core_v1_Event *e = r->event;
	r->op = (struct cor_op){
		.verb = COR_VERB_CREATE, .res = &cor_resources[COR_RES_EVENTS], .ns = e->metadata.namespace,
		.name = e->metadata.name, .arena = r->arena, .grace_s = -1,
		.validation = COR_VALIDATION_IGNORE, .done = recorded, .arg = r,
	};
	struct core_v1_Event *obj = cor_obj_dup(&cor_type_core_v1_Event, old ? old : e, r->arena);
	if (old && obj) {
		if (e->eventTime) {
			struct core_v1_EventSeries *series = cor_arena_new_of(r->arena, struct core_v1_EventSeries);
			*series = (struct core_v1_EventSeries){
				.count = old->series ? old->series->count + 1 : 2, .lastObservedTime = e->eventTime };
			obj->series = series;
		} else {
			obj->count = old->count + 1;
			obj->lastTimestamp = e->lastTimestamp;
		}
		r->op.verb = COR_VERB_UPDATE;
	}
	r->op.obj = obj;
	cor_op_start(r->registry, &r->op);
}

static const struct core_v1_Event *find(struct recording *r) {
	return cor_registry_get(r->registry, COR_RES_EVENTS, r->event->metadata.namespace,
		r->event->metadata.name, r->arena);
}

static void recorded(struct cor_op *op) {
	struct recording *r = op->arg;
	/* Somebody else wrote the same one just now: count on top of his. */
	if ((op->status == COR_E_EXISTS || op->status == COR_E_CONFLICT || op->status == COR_E_NOT_FOUND) &&
	    ++r->tries < 3) {
		start(r, find(r));
		return;
	}
	/* A refusal (a namespace that is going) is no news. */
	if (op->status < 0)
		cor_debug("event about %.*s not kept: %s", COR_STR_ARG(r->event->involvedObject.name), op->err.message);
	cor_arena_free(r->arena);
	free(r);
}

static struct cor_str instance(struct cor_arena *a, const char *component) {
	char name[256] = "";
	(void)gethostname(name, sizeof(name) - 1);
	return cor_arena_printf(a, "%s-%s", component, name);
}

/* The name of the event that says this of that object; a new one for what was not said lately. */
static struct cor_str name_of(struct cor_registry *registry, const struct core_v1_Event *e, struct cor_arena *a,
	cor_time now) {
	struct cor_recent_events *recent = cor_registry_recent_events(registry);
	uint64_t h = 14695981039346656037u;
	const struct cor_str said[] = { e->reportingComponent, e->involvedObject.uid, e->type, e->reason, e->message };
	for (size_t i = 0; i < cor_countof(said); i++)
		h = mix(h, said[i]);
	const struct cor_str key = { (const char *)&h, sizeof(h) };
	const char *known = cor_map_get(&recent->names, key);
	if (known)
		return cor_arena_str(a, cor_str_c(known));
	if (recent->names.n >= REMEMBERED)
		cor_recent_events_fini(recent);
	struct cor_str about = e->involvedObject.name;
	struct cor_str name = cor_arena_printf(a, "%.*s.%016llx",
		(int)(about.n < OBJECT_NAME_MAX ? about.n : OBJECT_NAME_MAX), about.p,
		(unsigned long long)now * 1000 + recent->said++ % 1000);
	(void)cor_map_put(&recent->names, key, cor_str_dup_c(name));
	return name;
}

static void fill(struct core_v1_Event *e, struct cor_arena *a, const char *component, const char *action,
	const struct cor_obj *o, const struct cor_resource *res, cor_time now) {
	char version[128];
	size_t n = cor_type_api_version(res->type, version, sizeof(version));
	e->involvedObject = (struct core_v1_ObjectReference){
		.kind = cor_str_c(res->kind), .namespace = cor_arena_str(a, o->ns), .name = cor_arena_str(a, o->name),
		.uid = cor_arena_str(a, o->uid), .apiVersion = cor_arena_str(a, (struct cor_str){ version, n }),
		.resourceVersion = cor_arena_printf(a, "%llu", (unsigned long long)o->rev),
	};
	e->reportingComponent = cor_arena_str(a, cor_str_c(component));
	if (action) {
		e->action = cor_str_c(action);
		e->eventTime = now;
		e->reportingInstance = instance(a, component);
	} else {
		e->source.component = e->reportingComponent;
		e->firstTimestamp = e->lastTimestamp = now;
		e->count = 1;
	}
	e->metadata.namespace = o->ns.n > 0 ? e->involvedObject.namespace : COR_STR("default");
}

static void record(struct cor_registry *registry, const char *component, const char *action, cor_time when,
	enum cor_res res, struct cor_obj *regarding, const char *type, const char *reason, const char *message) {
	struct recording *r = cor_new(struct recording);
	r->registry = registry;
	r->arena = cor_arena_new(1 << 20);
	r->event = cor_arena_new_of(r->arena, struct core_v1_Event);
	r->event->type = cor_arena_str(r->arena, cor_str_c(type));
	r->event->reason = cor_arena_str(r->arena, cor_str_c(reason));
	r->event->message = cor_arena_str(r->arena, cor_str_c(message));
	fill(r->event, r->arena, component, action, regarding, &cor_resources[res], when);
	r->event->metadata.name = name_of(registry, r->event, r->arena, when);
	start(r, find(r));
}

void cor_event_record(struct cor_registry *registry, const char *component, enum cor_res res,
	struct cor_obj *regarding, const char *type, const char *reason, const char *message) {
	record(registry, component, NULL, cor_now(cor_registry_world(registry)), res, regarding, type, reason, message);
}

void cor_event_record_action(struct cor_registry *registry, const char *component, const char *action,
	cor_time when, enum cor_res res, struct cor_obj *regarding, const char *type, const char *reason, const char *message) {
	record(registry, component, action, when, res, regarding, type, reason, message);
}

/* ---- removal ---- */

static int plan_ttl(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Event *e = cor_plan_get(p, COR_RES_EVENTS, ns, name);
	if (!e)
		return 0;
	cor_time last = e->lastTimestamp ? e->lastTimestamp : e->eventTime;
	if (e->series && e->series->lastObservedTime > last)
		last = e->series->lastObservedTime;
	if (last < e->metadata.creationTimestamp)
		last = e->metadata.creationTimestamp;
	if (last + EVENT_TTL > cor_plan_now(p))
		cor_plan_again_at(p, last + EVENT_TTL);
	else
		(void)cor_plan_delete(p, 0, COR_RES_EVENTS, ns, name, e->metadata.uid);
	return 0;
}

const struct cor_controller cor_controller_event_ttl = {
	.name = "event-ttl",
	.res = COR_RES_EVENTS,
	.watches = { { COR_RES_EVENTS, NULL } },
	.n_watches = 1,
	.plan = plan_ttl,
};
