// SPDX-License-Identifier: Apache-2.0
// The cluster of tests/sim for tests of single controllers: nothing goes wrong in it unless a test says
// so, and its invariants are checked all the same. What happened to pods is written down in order
// ("+web-0 *web-0 -web-0": bound, running, gone) and compared.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/cluster.h"

struct rig {
	struct cluster *c;
	struct cor_watch *pods;
	struct cor_buf log;
};

/* ---- what happens to pods ---- */

static inline void rig_note(struct rig *rig, char what, const struct cor_obj *o) {
	cor_buf_printf(&rig->log, "%s%c%.*s", rig->log.n ? " " : "", what, COR_STR_ARG(o->name));
}

static inline struct cor_str rig_field(const struct cor_obj *o, const char *name) {
	const struct cor_str *v = o ? cor_strmap_get(&o->fields, cor_str_c(name)) : NULL;
	return v ? *v : COR_STR("");
}

static inline bool rig_runs(const struct cor_obj *o) {
	return cor_str_eq(rig_field(o, "status.phase"), COR_STR("Running"));
}

static inline void rig_on_pods(struct cor_watch *w, void *arg) {
	struct rig *rig = arg;
	struct cor_event ev;
	while (cor_watch_next(w, &ev)) {
		if (ev.type == COR_EVENT_CLOSED)
			return;
		if (ev.type == COR_EVENT_DELETED)
			rig_note(rig, '-', ev.obj);
		else if (rig_field(ev.obj, "spec.nodeName").n > 0 && rig_field(ev.old, "spec.nodeName").n == 0)
			rig_note(rig, '+', ev.obj);
		else if (rig_runs(ev.obj) && !rig_runs(ev.old))
			rig_note(rig, '*', ev.obj);
	}
}

/* ---- what people ask for; each waits for the answer ---- */

struct rig_answer {
	bool done;
	int status;
};

static inline void rig_answered(struct request *r) {
	struct rig_answer *x = r->arg;
	*x = (struct rig_answer){ true, r->status };
}

static inline int rig_finish(struct rig *rig, struct request *r) {
	struct rig_answer x = { 0 };
	request_send(r, rig_answered, &x);
	while (!x.done)
		assert_true(cluster_step(rig->c));
	return x.status;
}

static inline struct request *rig_ask(struct rig *rig, enum cor_verb verb, enum cor_res res, const char *name) {
	return request_new(&rig->c->people, verb, res,
		cor_resources[res].namespaced ? COR_STR("default") : COR_STR(""), cor_str_c(name));
}

static inline void create(struct rig *rig, enum cor_res res, const char *json) {
	struct request *r = rig_ask(rig, COR_VERB_CREATE, res, "");
	struct cor_decode d = { .arena = r->a };
	struct cor_err err;
	assert_int_equal(cor_json_decode_new(r->op.res->type, cor_str_c(json), &r->op.obj, &d, &err), 0);
	assert_int_equal(rig_finish(rig, r), 0);
}

static inline void patch_sub(struct rig *rig, enum cor_res res, const char *sub, const char *name, const char *json) {
	struct request *r = rig_ask(rig, COR_VERB_PATCH, res, name);
	r->op.subresource = cor_str_c(sub);
	r->op.patch_type = COR_PATCH_MERGE;
	r->op.patch = cor_str_c(json);
	assert_int_equal(rig_finish(rig, r), 0);
}

static inline void patch(struct rig *rig, enum cor_res res, const char *name, const char *json) {
	patch_sub(rig, res, "", name, json);
}

static inline void drop_as(struct rig *rig, enum cor_res res, const char *name, enum cor_propagation how) {
	struct request *r = rig_ask(rig, COR_VERB_DELETE, res, name);
	r->op.propagation = how;
	assert_int_equal(rig_finish(rig, r), 0);
}

static inline void drop(struct rig *rig, enum cor_res res, const char *name) {
	drop_as(rig, res, name, COR_PROPAGATION_DEFAULT);
}

/* ---- what came of it ---- */

/* Three virtual minutes: longer than a pod's grace, shorter than anything that gives up. */
static inline void settle(struct rig *rig) {
	cluster_run_for(rig->c, 3 * COR_MINUTE);
	assert_string_equal(rig->c->failure, "");
}

static inline void expect_now(struct rig *rig, const char *log) {
	char got[2048];
	(void)snprintf(got, sizeof(got), "%.*s", COR_STR_ARG(cor_buf_view(&rig->log)));
	assert_string_equal(got, log);
	cor_buf_clear(&rig->log);
}

static inline void expect(struct rig *rig, const char *log) {
	settle(rig);
	expect_now(rig, log);
}

static inline bool rig_count_one(void *arg, struct cor_obj *o) {
	(*(size_t *)arg)++;
	return true;
}

static inline size_t count(struct rig *rig, enum cor_res res) {
	size_t n = 0;
	cor_store_each(server_store(rig->c), (uint16_t)res,
		cor_resources[res].namespaced ? COR_STR("default") : (struct cor_str){ 0 }, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, rig_count_one, &n);
	return n;
}

/* NULL when there is none. */
static inline struct cor_obj *get(struct rig *rig, enum cor_res res, const char *name) {
	return cor_store_get(server_store(rig->c), (uint16_t)res,
		cor_resources[res].namespaced ? COR_STR("default") : COR_STR(""), cor_str_c(name));
}

/* Its JSON has the text in it. */
static inline bool says(struct rig *rig, enum cor_res res, const char *name, const char *text) {
	struct cor_obj *o = get(rig, res, name);
	return o && cor_str_contains(o->json, cor_str_c(text));
}

/* ---- life ---- */

static inline struct rig *rig_new(size_t nodes) {
	struct rig *rig = cor_new(struct rig);
	rig->c = cluster_new(11, nodes, true, BREAK_NONE);
	struct cor_store *store = server_store(rig->c);
	struct cor_watch_config w = {
		.res = COR_RES_PODS, .after_rev = cor_store_rev(store), .ready = rig_on_pods, .arg = rig,
	};
	struct cor_err err;
	assert_int_equal(cor_store_watch(store, &w, &rig->pods, &err), 0);
	return rig;
}

static inline void rig_free(struct rig *rig) {
	assert_string_equal(rig->c->failure, "");
	cor_watch_free(rig->pods);
	cluster_free(rig->c);
	cor_buf_fini(&rig->log);
	free(rig);
}

static inline int rig_setup(void **state) {
	*state = rig_new(1);
	return 0;
}

static inline int rig_setup_two(void **state) {
	*state = rig_new(2);
	return 0;
}

static inline int rig_teardown(void **state) {
	rig_free(*state);
	return 0;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
#define RIG_TEST_TWO_NODES(f) cmocka_unit_test_setup_teardown(f, rig_setup_two, rig_teardown)
