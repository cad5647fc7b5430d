// SPDX-License-Identifier: Apache-2.0
// Follows one Node by a watch until its Ready condition is True. The loop, the client and the informer
// live during this one call only.
#include "cli/wait_node.h"

#include <uv.h>

#include "base/arena.h"
#include "base/world.h"
#include "codec/codec.h"
#include "gen/core_v1.h"
#include "net/api_client.h"
#include "node/kubeconfig.h"

struct wait {
	uv_loop_t loop;
	struct cor_world *world;
	struct cor_api *api;
	struct cor_informer *informer;
	struct cor_timer limit;
	uv_poll_t supervisor;
	bool ready, given_up;
	struct cor_err trouble;         /* the last one, for the message when time is up */
};

static bool node_ready(struct cor_str json) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_decode d = { .arena = a };
	void *obj;
	if (cor_json_decode_new(&cor_type_core_v1_Node, json, &obj, &d, NULL) < 0)
		return false;
	const struct core_v1_Node *n = obj;
	for (size_t i = 0; i < n->status.conditions.n; i++)
		if (cor_str_eq_c(n->status.conditions.p[i].type, "Ready"))
			return cor_str_eq_c(n->status.conditions.p[i].status, "True");
	return false;
}

static void on_set(void *arg, struct cor_str key, struct cor_str json) {
	struct wait *w = arg;
	if (!node_ready(json))
		return;
	w->ready = true;
	uv_stop(&w->loop);
}

static void on_delete(void *arg, struct cor_str key) {
}

static void on_trouble(void *arg, const struct cor_err *err) {
	struct wait *w = arg;
	w->trouble = *err;
}

static void time_is_up(struct cor_timer *t) {
	struct wait *w = cor_container_of(t, struct wait, limit);
	uv_stop(&w->loop);
}

/* Nothing more comes from it but its end. */
static void supervisor_ended(uv_poll_t *p, int status, int events) {
	struct wait *w = cor_container_of(p, struct wait, supervisor);
	w->given_up = true;
	uv_stop(&w->loop);
}

int cor_wait_node(const char *kubeconfig, const char *name, cor_time limit, int fd, struct cor_err *err) {
	struct wait w = { .limit.fire = time_is_up };
	if (uv_loop_init(&w.loop) < 0)
		return cor_fail(err, COR_E_INTERNAL, "cannot make an event loop");
	w.world = cor_world_uv_new(&w.loop);
	w.api = cor_api_from_kubeconfig(&w.loop, w.world, kubeconfig, "coracle-up", err);
	int r = w.api ? 0 : err->code;
	if (r >= 0) {
		_cleanup_free_ char *selector = cor_asprintf("metadata.name=%s", name);
		struct cor_informer_config c = {
			.api = w.api, .path = "/api/v1/nodes", .field_selector = selector, .arg = &w,
			.ops = { .on_set = on_set, .on_delete = on_delete, .on_trouble = on_trouble },
		};
		w.informer = cor_informer_new(&c);
		w.world->timer_set(w.world, &w.limit, limit);
		bool watched = fd >= 0 && uv_poll_init(&w.loop, &w.supervisor, fd) == 0 &&
			uv_poll_start(&w.supervisor, UV_READABLE | UV_DISCONNECT, supervisor_ended) == 0;
		(void)uv_run(&w.loop, UV_RUN_DEFAULT);
		if (watched)
			uv_close((uv_handle_t *)&w.supervisor, NULL);
		if (!w.ready && w.given_up)
			r = cor_fail(err, COR_E_CLOSED, "the cluster did not start");
		else if (!w.ready)
			r = cor_fail(err, COR_E_TIMEOUT, "node %s is not Ready after %d s%s%s", name,
				(int)(limit / COR_SECOND), w.trouble.message[0] ? ": " : "", w.trouble.message);
		w.world->timer_clear(w.world, &w.limit);
		cor_informer_free(w.informer);
		cor_api_free(w.api);
	}
	cor_world_uv_free(w.world);
	(void)uv_run(&w.loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&w.loop);
	return r;
}
