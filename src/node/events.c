// SPDX-License-Identifier: Apache-2.0
// Events of the node agent. Recent ones are remembered by what they say; the same again patches
// count and lastTimestamp. Each object has a bucket of 25 tokens that fills by one in 5 minutes;
// the memory is bounded by forgetting everything when it grows large.
#include "node/events.h"

#include <stdio.h>

#include "base/log.h"
#include "base/map.h"
#include "codec/codec.h"
#include "gen/core_v1.h"

enum { REMEMBERED = 2000, BURST = 25 };
#define REFILL (5 * COR_MINUTE)
/* Who waits for a pod waits for its status: events let that go first. */
#define SEND_AFTER (100 * COR_MS)

struct known {
	char *path;             /* of the event in the API */
	int32_t count;
};

struct bucket {
	double tokens;
	cor_time at;
};

/* A request that waits for its time. */
struct outgoing {
	struct outgoing *next;
	char *path, *body;
	bool patch;
};

struct cor_events {
	struct cor_api *api;
	struct cor_world *world;
	char *node;
	struct cor_map known;   /* hash of all that matters -> known */
	struct cor_map buckets; /* uid -> bucket */
	cor_time last;          /* that gave a name */
	struct outgoing *first, **end;
	struct cor_timer timer;
};

struct cor_events *cor_events_new(struct cor_api *api, struct cor_world *w, const char *node) {
	struct cor_events *e = cor_new(struct cor_events);
	*e = (struct cor_events){ .api = api, .world = w, .node = cor_strdup(node) };
	e->end = &e->first;
	return e;
}

static void outgoing_free(struct outgoing *o) {
	free(o->path);
	free(o->body);
	free(o);
}

static void on_send(struct cor_timer *t) {
	struct cor_events *e = cor_container_of(t, struct cor_events, timer);
	while (e->first) {
		struct outgoing *o = e->first;
		e->first = o->next;
		if (o->patch)
			(void)cor_api_patch(e->api, o->path, "application/merge-patch+json", cor_str_c(o->body), NULL, NULL);
		else
			(void)cor_api_create(e->api, o->path, cor_str_c(o->body), NULL, NULL);
		outgoing_free(o);
	}
	e->end = &e->first;
}

static void send_later(struct cor_events *e, const char *path, struct cor_str body, bool patch) {
	struct outgoing *o = cor_new(struct outgoing);
	*o = (struct outgoing){ NULL, cor_strdup(path), cor_str_dup_c(body), patch };
	*e->end = o;
	e->end = &o->next;
	e->timer.fire = on_send;
	if (!e->timer.armed)
		e->world->timer_set(e->world, &e->timer, SEND_AFTER);
}

static void forget(struct cor_events *e) {
	size_t it = 0;
	struct cor_str key;
	void *v;
	while (cor_map_next(&e->known, &it, &key, &v)) {
		free(((struct known *)v)->path);
		free(v);
	}
	it = 0;
	while (cor_map_next(&e->buckets, &it, &key, &v))
		free(v);
	cor_map_fini(&e->known);
	cor_map_fini(&e->buckets);
	e->known = e->buckets = (struct cor_map){ 0 };
}

void cor_events_free(struct cor_events *e) {
	if (!e)
		return;
	e->world->timer_clear(e->world, &e->timer);
	while (e->first) {
		struct outgoing *o = e->first;
		e->first = o->next;
		outgoing_free(o);
	}
	forget(e);
	free(e->node);
	free(e);
}

static bool allowed(struct cor_events *e, struct cor_str uid) {
	cor_time now = e->world->monotonic(e->world);
	struct bucket *b = cor_map_get(&e->buckets, uid);
	if (!b) {
		b = cor_new(struct bucket);
		*b = (struct bucket){ BURST, now };
		(void)cor_map_put(&e->buckets, uid, b);
	}
	/* The clock may have been set back. */
	b->tokens += now < b->at ? 0 : (double)(now - b->at) / (double)REFILL;
	if (b->tokens > BURST)
		b->tokens = BURST;
	b->at = now;
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

static void again(struct cor_events *e, struct known *k) {
	char when[COR_TIME_TEXT_MAX];
	(void)cor_time_format(cor_now(e->world), false, when);
	_cleanup_free_ char *body = cor_asprintf("{\"count\":%d,\"lastTimestamp\":\"%s\"}", ++k->count, when);
	send_later(e, k->path, cor_str_c(body), true);
}

static void create(struct cor_events *e, const struct cor_event_object *o, bool warning,
	const char *reason, const char *message, struct known *k) {
	struct cor_str ns = o->ns.n > 0 ? o->ns : COR_STR("default");
	cor_time now = cor_now(e->world);
	/* Names grow with time, so that those of one second are listed in the order in which they came. */
	e->last = now > e->last ? now : e->last + 1;
	_cleanup_free_ char *name = cor_asprintf("%.*s.%016llx", COR_STR_ARG(o->name),
		(unsigned long long)e->last * 1000);
	struct core_v1_Event ev = {
		.kind = COR_STR("Event"), .apiVersion = COR_STR("v1"),
		.metadata = { .name = cor_str_c(name), .namespace = ns },
		.involvedObject = { .kind = cor_str_c(o->kind), .apiVersion = cor_str_c(o->api_version),
			.namespace = o->ns, .name = o->name, .uid = o->uid, .resourceVersion = o->version,
			.fieldPath = cor_str_c(o->field) },
		.reason = cor_str_c(reason), .message = cor_str_c(message), .count = 1,
		.type = warning ? COR_STR("Warning") : COR_STR("Normal"),
		.source = { .component = COR_STR("kubelet"), .host = cor_str_c(e->node) },
		.firstTimestamp = now, .lastTimestamp = now,
		.reportingComponent = COR_STR("kubelet"), .reportingInstance = cor_str_c(e->node),
	};
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	(void)cor_json_encode(&cor_type_core_v1_Event, &ev, &b);
	_cleanup_free_ char *path = cor_asprintf("/api/v1/namespaces/%.*s/events", COR_STR_ARG(ns));
	*k = (struct known){ cor_asprintf("%s/%s", path, name), 1 };
	send_later(e, path, cor_buf_view(&b), false);
}

void cor_event_emit(struct cor_events *e, const struct cor_event_object *o, bool warning,
	const char *reason, const char *fmt, ...) {
	char message[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	cor_debug("event %s %.*s/%.*s: %s: %s", o->kind, COR_STR_ARG(o->ns), COR_STR_ARG(o->name), reason,
		message);
	if (e->known.n > REMEMBERED)
		forget(e);
	if (!allowed(e, o->uid))
		return;
	_cleanup_free_ char *text = cor_asprintf("%.*s|%s|%s|%s|%d", COR_STR_ARG(o->uid), o->field ? o->field : "",
		reason, message, warning);
	/* What it says is not kept, there are thousands: should two ever meet, one counts for the other. */
	char key[20];
	(void)snprintf(key, sizeof(key), "%016llx", (unsigned long long)cor_str_hash(cor_str_c(text)));
	struct known *k = cor_map_get(&e->known, cor_str_c(key));
	if (k) {
		again(e, k);
		return;
	}
	k = cor_new(struct known);
	create(e, o, warning, reason, message, k);
	(void)cor_map_put(&e->known, cor_str_c(key), k);
}
