// SPDX-License-Identifier: Apache-2.0
// A registry on virtual time with a backend in memory, and one call for each operation, for tests.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/registry.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "gen/resources.h"
#include "sim/world_sim.h"

struct rig {
	struct cor_sim *sim;
	struct cor_registry *r;
	struct cor_arena *a;
};

/* The outcome of one operation, copied out of it. */
struct outcome {
	bool done;
	int status, http;
	bool removed;
	char message[600];
	char json[4096];
	size_t warnings;
};

static bool is_ready(void *arg) {
	return cor_registry_ready(arg);
}

static inline int setup(void **state) {
	struct rig *rig = cor_new(struct rig);
	struct cor_err err;
	rig->sim = cor_sim_new(7);
	struct cor_registry_config c = {
		.world = cor_sim_world(rig->sim),
		.backend = cor_backend_memory_new(),
	};
	assert_int_equal(cor_registry_open(&c, &rig->r, &err), 0);
	assert_true(cor_sim_run_until(rig->sim, is_ready, rig->r, COR_MINUTE));
	rig->a = cor_arena_new(0);
	*state = rig;
	return 0;
}

static inline int teardown(void **state) {
	struct rig *rig = *state;
	cor_registry_free(rig->r);
	cor_sim_settle(rig->sim);
	cor_arena_free(rig->a);
	cor_sim_free(rig->sim);
	free(rig);
	return 0;
}

static void on_done(struct cor_op *op) {
	struct outcome *o = op->arg;
	o->done = true;
	o->status = op->status;
	o->http = op->http;
	o->removed = op->removed;
	o->warnings = op->warnings.n;
	(void)snprintf(o->message, sizeof(o->message), "%s", op->status < 0 ? op->err.message : "");
	(void)snprintf(o->json, sizeof(o->json), "%.*s", COR_STR_ARG(op->result_json));
	cor_arena_free(op->arena);
}

static bool is_done(void *arg) {
	return ((struct outcome *)arg)->done;
}

static inline struct cor_op *make(
	struct outcome *o, enum cor_verb verb, enum cor_res res, const char *ns, const char *name) {
	struct cor_arena *a = cor_arena_new(0);
	struct cor_op *op = cor_arena_new_of(a, struct cor_op);
	*o = (struct outcome){ 0 };
	*op = (struct cor_op){
		.verb = verb,
		.res = &cor_resources[res],
		.ns = cor_str_c(ns),
		.name = cor_str_c(name),
		.arena = a,
		.grace_s = -1,
		.done = on_done,
		.arg = o,
	};
	return op;
}

static inline void decode(struct cor_op *op, const char *json) {
	struct cor_decode d = { .arena = op->arena };
	struct cor_err err;
	assert_int_equal(
		cor_json_decode_new(op->res->type, cor_str_c(json), &op->obj, &d, &err), 0);
}

static inline void run(struct rig *rig, struct cor_op *op) {
	struct outcome *o = op->arg;
	cor_op_start(rig->r, op);
	assert_false(o->done); /* never from within */
	assert_true(cor_sim_run_until(rig->sim, is_done, o, COR_MINUTE));
}

static inline struct outcome create(
	struct rig *rig, enum cor_res res, const char *ns, const char *json) {
	struct outcome o;
	struct cor_op *op = make(&o, COR_VERB_CREATE, res, ns, "");
	decode(op, json);
	run(rig, op);
	return o;
}

static inline struct outcome update(
	struct rig *rig, enum cor_res res, const char *ns, const char *name, const char *json) {
	struct outcome o;
	struct cor_op *op = make(&o, COR_VERB_UPDATE, res, ns, name);
	decode(op, json);
	run(rig, op);
	return o;
}

static inline struct outcome patch(struct rig *rig, enum cor_res res, const char *ns,
	const char *name, enum cor_patch_type type, const char *text) {
	struct outcome o;
	struct cor_op *op = make(&o, COR_VERB_PATCH, res, ns, name);
	op->patch_type = type;
	op->patch = cor_str_c(text);
	run(rig, op);
	return o;
}

static inline struct outcome delete (struct rig *rig, enum cor_res res, const char *ns,
	const char *name, enum cor_propagation p) {
	struct outcome o;
	struct cor_op *op = make(&o, COR_VERB_DELETE, res, ns, name);
	op->propagation = p;
	run(rig, op);
	return o;
}
