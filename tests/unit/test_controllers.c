// SPDX-License-Identifier: Apache-2.0
// Controllers and scheduler on virtual time, with a node agent of a few lines: it watches for pods with
// a node, makes them Running and Ready after a moment, and removes those that are being deleted. What
// happened to pods is written down in order ("+web-0 *web-0 -web-0": bound, ready, gone) and compared.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/registry.h"
#include "base/buf.h"
#include "codec/codec.h"
#include "controllers/engine.h"
#include "gen/core_v1.h"
#include "scheduler/scheduler.h"
#include "sim/world_sim.h"

struct rig {
	struct cor_sim *sim;
	struct cor_registry *r;
	struct cor_engine *engine;
	struct cor_scheduler *scheduler;
	struct cor_watch *pods;
	struct cor_buf log;
	const char *broken;             /* the name of a pod that never becomes ready */
	size_t under_way;
};

struct call {
	struct cor_op op;
	struct rig *rig;
	struct cor_arena *a;
	bool done;
	int status;
};

static void on_done(struct cor_op *op) {
	struct call *c = op->arg;
	c->done = true;
	c->status = op->status;
}

/* Operations of the fake agent end by themselves. */
static void on_agent_done(struct cor_op *op) {
	struct call *c = op->arg;
	c->rig->under_way--;
	cor_arena_free(c->a);
	free(c);
}

static struct call *call_new(struct rig *rig, enum cor_verb verb, enum cor_res res, struct cor_str ns,
	struct cor_str name) {
	struct call *c = cor_new(struct call);
	c->rig = rig;
	c->a = cor_arena_new(0);
	c->op = (struct cor_op){
		.verb = verb, .res = &cor_resources[res], .ns = cor_arena_str(c->a, ns), .name = cor_arena_str(c->a, name),
		.arena = c->a, .grace_s = -1, .done = on_done, .arg = c,
	};
	return c;
}

/* ---- the fake agent ---- */

static void agent_start(struct call *c) {
	c->op.done = on_agent_done;
	c->rig->under_way++;
	cor_op_start(c->rig->r, &c->op);
}

static void agent_patch(struct rig *rig, struct cor_obj *o, bool ready) {
	struct call *c = call_new(rig, COR_VERB_PATCH, COR_RES_PODS, o->ns, o->name);
	c->op.subresource = COR_STR("status");
	c->op.patch_type = COR_PATCH_MERGE;
	c->op.patch = cor_arena_printf(c->a, "{\"status\":{\"phase\":\"Running\",\"podIP\":\"10.244.0.9\",\"podIPs\":[{\"ip\":"
		"\"10.244.0.9\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\",\"lastTransitionTime\":"
		"\"2026-01-01T00:00:00Z\"}]}}", ready ? "True" : "False");
	agent_start(c);
}

static void agent_remove(struct rig *rig, struct cor_obj *o) {
	struct call *c = call_new(rig, COR_VERB_DELETE, COR_RES_PODS, o->ns, o->name);
	c->op.grace_s = 0;
	c->op.expect_uid = cor_arena_str(c->a, o->uid);
	agent_start(c);
}

static void note(struct rig *rig, char what, const struct cor_obj *o) {
	cor_buf_printf(&rig->log, "%s%c%.*s", rig->log.n ? " " : "", what, COR_STR_ARG(o->name));
}

static bool has_node(const struct cor_obj *o) {
	return o && cor_strmap_get(&o->fields, COR_STR("spec.nodeName")) != NULL;
}

static bool runs(const struct cor_obj *o) {
	const struct cor_str *phase = o ? cor_strmap_get(&o->fields, COR_STR("status.phase")) : NULL;
	return phase && cor_str_eq(*phase, COR_STR("Running"));
}

static void on_pods(struct cor_watch *w, void *arg) {
	struct rig *rig = arg;
	struct cor_event ev;
	while (cor_watch_next(w, &ev)) {
		if (ev.type == COR_EVENT_CLOSED)
			return;
		if (ev.type == COR_EVENT_DELETED) {
			note(rig, '-', ev.obj);
		} else if (ev.obj->deleting) {
			if (!ev.old || !ev.old->deleting)
				agent_remove(rig, ev.obj);
		} else if (has_node(ev.obj) && !has_node(ev.old)) {
			note(rig, '+', ev.obj);
			agent_patch(rig, ev.obj, !(rig->broken && cor_str_eq_c(ev.obj->name, rig->broken)));
		} else if (runs(ev.obj) && !runs(ev.old)) {
			note(rig, '*', ev.obj);
		}
	}
}

/* ---- rig ---- */

static bool is_ready(void *arg) {
	return cor_registry_ready(arg);
}

static bool is_done(void *arg) {
	return ((struct call *)arg)->done;
}

static bool is_quiet(void *arg) {
	struct rig *rig = arg;
	return rig->under_way == 0 && cor_engine_idle(rig->engine) && cor_scheduler_idle(rig->scheduler) &&
		cor_watch_rev(rig->pods) == cor_store_rev(cor_registry_store(rig->r)) && cor_sim_jobs(rig->sim) == 0;
}

/* Lets everything happen that happens within five virtual minutes of quiet. */
static void settle(struct rig *rig) {
	for (int quiet = 0; quiet < 20; quiet++) {
		cor_sim_run_for(rig->sim, 200 * COR_MS);
		if (!is_quiet(rig))
			quiet = -1;
	}
}

static int finish(struct rig *rig, struct call *c) {
	cor_op_start(rig->r, &c->op);
	assert_true(cor_sim_run_until(rig->sim, is_done, c, COR_MINUTE));
	int status = c->status;
	cor_arena_free(c->a);
	free(c);
	return status;
}

static void create(struct rig *rig, enum cor_res res, const char *ns, const char *json) {
	struct call *c = call_new(rig, COR_VERB_CREATE, res, cor_str_c(ns), COR_STR(""));
	struct cor_decode d = { .arena = c->a };
	struct cor_err err;
	assert_int_equal(cor_json_decode_new(c->op.res->type, cor_str_c(json), &c->op.obj, &d, &err), 0);
	assert_int_equal(finish(rig, c), 0);
}

static void patch(struct rig *rig, enum cor_res res, const char *name, const char *json) {
	struct call *c = call_new(rig, COR_VERB_PATCH, res,
		cor_resources[res].namespaced ? COR_STR("default") : COR_STR(""), cor_str_c(name));
	c->op.patch_type = COR_PATCH_MERGE;
	c->op.patch = cor_str_c(json);
	assert_int_equal(finish(rig, c), 0);
}

static void drop(struct rig *rig, enum cor_res res, const char *name) {
	struct call *c = call_new(rig, COR_VERB_DELETE, res, COR_STR("default"), cor_str_c(name));
	assert_int_equal(finish(rig, c), 0);
}

static void expect(struct rig *rig, const char *log) {
	settle(rig);
	char got[2048];
	(void)snprintf(got, sizeof(got), "%.*s", COR_STR_ARG(cor_buf_view(&rig->log)));
	assert_string_equal(got, log);
	cor_buf_clear(&rig->log);
}

static int setup(void **state) {
	struct rig *rig = cor_new(struct rig);
	struct cor_err err;
	rig->sim = cor_sim_new(11);
	struct cor_registry_config c = { .world = cor_sim_world(rig->sim), .backend = cor_backend_memory_new() };
	assert_int_equal(cor_registry_open(&c, &rig->r, &err), 0);
	assert_true(cor_sim_run_until(rig->sim, is_ready, rig->r, COR_MINUTE));
	rig->engine = cor_engine_new(rig->r, cor_controllers);
	rig->scheduler = cor_scheduler_new(rig->r);
	struct cor_watch_config w = {
		.res = COR_RES_PODS, .after_rev = cor_store_rev(cor_registry_store(rig->r)), .ready = on_pods, .arg = rig,
	};
	assert_int_equal(cor_store_watch(cor_registry_store(rig->r), &w, &rig->pods, &err), 0);
	create(rig, COR_RES_NODES, "", "{\"metadata\":{\"name\":\"n1\",\"labels\":{\"kubernetes.io/hostname\":\"n1\"}},"
		"\"status\":{\"capacity\":{\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":\"110\"},\"conditions\":[{\"type\":\"Ready\","
		"\"status\":\"True\"}]}}");
	settle(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state) {
	struct rig *rig = *state;
	cor_engine_stop(rig->engine);
	cor_scheduler_stop(rig->scheduler);
	cor_watch_free(rig->pods);
	cor_registry_free(rig->r);
	cor_engine_free(rig->engine);
	cor_scheduler_free(rig->scheduler);
	cor_sim_settle(rig->sim);
	cor_sim_free(rig->sim);
	cor_buf_fini(&rig->log);
	free(rig);
	return 0;
}

/* ---- scenarios ---- */

#define SET(more) "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"serviceName\":\"web\",\"replicas\":3," more \
	"\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}}," \
	"\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}"
#define IMAGE(v) "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:" v "\"}]}}}}"

static void test_in_order(void **state) {
	create(*state, COR_RES_STATEFULSETS, "default", SET(""));
	expect(*state, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	patch(*state, COR_RES_STATEFULSETS, "web", "{\"spec\":{\"replicas\":1}}");
	expect(*state, "-web-2 -web-1");
	drop(*state, COR_RES_PODS, "web-0");
	expect(*state, "-web-0 +web-0 *web-0");
}

static void test_one_that_is_not_ready_stops_the_others(void **state) {
	struct rig *rig = *state;
	rig->broken = "web-1";
	create(rig, COR_RES_STATEFULSETS, "default", SET(""));
	expect(rig, "+web-0 *web-0 +web-1 *web-1");
	struct cor_str why = cor_engine_waits(rig->engine, "statefulset", COR_STR("default"), COR_STR("web"));
	assert_true(cor_str_contains(why, COR_STR("web-1 is not running and ready")));
}

static void test_updates_from_the_top_down_to_the_partition(void **state) {
	create(*state, COR_RES_STATEFULSETS, "default",
		SET("\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":1}},"));
	expect(*state, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	patch(*state, COR_RES_STATEFULSETS, "web", IMAGE("2"));
	expect(*state, "-web-2 +web-2 *web-2 -web-1 +web-1 *web-1");
}

static void test_on_delete_waits_for_people(void **state) {
	create(*state, COR_RES_STATEFULSETS, "default", SET("\"updateStrategy\":{\"type\":\"OnDelete\"},"));
	expect(*state, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	patch(*state, COR_RES_STATEFULSETS, "web", IMAGE("2"));
	expect(*state, "");
	drop(*state, COR_RES_PODS, "web-1");
	expect(*state, "-web-1 +web-1 *web-1");
}

static bool count_one(void *arg, struct cor_obj *o) {
	(*(size_t *)arg)++;
	return true;
}

static size_t count(struct rig *rig, enum cor_res res) {
	size_t n = 0;
	cor_store_each(cor_registry_store(rig->r), (uint16_t)res, COR_STR("default"), (struct cor_str){ 0 },
		(struct cor_str){ 0 }, count_one, &n);
	return n;
}

static void test_a_rollback_reuses_the_old_revision(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, "default", SET(""));
	settle(rig);
	patch(rig, COR_RES_STATEFULSETS, "web", IMAGE("2"));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_CONTROLLERREVISIONS), 2);
	patch(rig, COR_RES_STATEFULSETS, "web", IMAGE("1"));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_CONTROLLERREVISIONS), 2);
}

static void test_deployment_scales_and_its_pods_go_with_it(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_DEPLOYMENTS, "default", "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":3,\"selector\":"
		"{\"matchLabels\":{\"app\":\"d\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"d\"}},\"spec\":{\"containers\":"
		"[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}");
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 3);
	patch(rig, COR_RES_DEPLOYMENTS, "d", IMAGE("2"));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 3);
	assert_int_equal(count(rig, COR_RES_REPLICASETS), 2);
	drop(rig, COR_RES_DEPLOYMENTS, "d");
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 0);
	assert_int_equal(count(rig, COR_RES_REPLICASETS), 0);
}

static void test_claims_outlive_their_set(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, "default", SET("\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"data\"},\"spec\":"
		"{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}],"));
	expect(rig, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	struct cor_obj *claim = cor_store_get(cor_registry_store(rig->r), COR_RES_PERSISTENTVOLUMECLAIMS, COR_STR("default"),
		COR_STR("data-web-1"));
	assert_non_null(claim);
	assert_true(cor_str_contains(claim->json, COR_STR("\"phase\":\"Bound\"")));
	drop(rig, COR_RES_STATEFULSETS, "web");
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 0);
	assert_int_equal(count(rig, COR_RES_PERSISTENTVOLUMECLAIMS), 3);
}

/* ---- disruption ---- */

static bool budget_says(struct rig *rig, const char *text) {
	struct cor_obj *o = cor_store_get(cor_registry_store(rig->r), COR_RES_PODDISRUPTIONBUDGETS, COR_STR("default"),
		COR_STR("b"));
	return o && cor_str_contains(o->json, cor_str_c(text));
}

#define BUDGET(rule) "{\"metadata\":{\"name\":\"b\"},\"spec\":{" rule ",\"selector\":{\"matchLabels\":{\"app\":\"web\"}}}}"

static void test_a_budget_counts_what_may_go(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, "default", SET(""));
	create(rig, COR_RES_PODDISRUPTIONBUDGETS, "default", BUDGET("\"maxUnavailable\":1"));
	settle(rig);
	assert_true(budget_says(rig, "\"disruptionsAllowed\":1,\"currentHealthy\":3,\"desiredHealthy\":2,\"expectedPods\":3"));
	assert_true(budget_says(rig, "SufficientPods"));
	rig->broken = "web-1";
	drop(rig, COR_RES_PODS, "web-1");
	settle(rig);
	assert_true(budget_says(rig, "\"disruptionsAllowed\":0,\"currentHealthy\":2"));
	assert_true(budget_says(rig, "InsufficientPods"));
}

static void test_half_of_three_pods_is_two(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, "default", SET(""));
	create(rig, COR_RES_PODDISRUPTIONBUDGETS, "default", BUDGET("\"minAvailable\":\"50%\""));
	settle(rig);
	assert_true(budget_says(rig, "\"disruptionsAllowed\":1,\"currentHealthy\":3,\"desiredHealthy\":2,\"expectedPods\":3"));
}

/* ---- nodes ---- */

#define POD(tolerations) "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"tolerations\":[" tolerations "]," \
	"\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"
#define TAINT "{\"spec\":{\"taints\":[{\"key\":\"k\",\"effect\":\"NoExecute\"}]}}"
#define NO_TAINT "{\"spec\":{\"taints\":null}}"
#define TOLERATES "{\"key\":\"k\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":40}"

/* The node is heard of in these seconds. */
static void pass(struct rig *rig, int seconds) {
	for (int i = 0; i < seconds; i++) {
		char text[COR_TIME_TEXT_MAX];
		size_t n = cor_time_format(cor_now(cor_sim_world(rig->sim)), false, text);
		struct call *c = call_new(rig, COR_VERB_PATCH, COR_RES_NODES, COR_STR(""), COR_STR("n1"));
		c->op.subresource = COR_STR("status");
		c->op.patch_type = COR_PATCH_STRATEGIC;
		c->op.patch = cor_arena_printf(c->a, "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
			"\"lastHeartbeatTime\":\"%.*s\"}]}}", (int)n, text);
		assert_int_equal(finish(rig, c), 0);
		cor_sim_run_for(rig->sim, COR_SECOND);
	}
}

static void test_a_pod_that_does_not_tolerate_has_to_go(void **state) {
	create(*state, COR_RES_PODS, "default", POD(""));
	expect(*state, "+p *p");
	patch(*state, COR_RES_NODES, "n1", TAINT);
	expect(*state, "-p");
}

static void test_a_pod_stays_as_long_as_it_tolerates(void **state) {
	create(*state, COR_RES_PODS, "default", POD(TOLERATES));
	expect(*state, "+p *p");
	patch(*state, COR_RES_NODES, "n1", TAINT);
	pass(*state, 20);
	expect(*state, "");
	pass(*state, 25);
	expect(*state, "-p");
}

static void test_a_taint_that_goes_in_time_drives_nobody_away(void **state) {
	create(*state, COR_RES_PODS, "default", POD(TOLERATES));
	patch(*state, COR_RES_NODES, "n1", TAINT);
	pass(*state, 20);
	patch(*state, COR_RES_NODES, "n1", NO_TAINT);
	pass(*state, 45);
	expect(*state, "+p *p");
}

static bool pod_has(struct rig *rig, const char *text) {
	struct cor_obj *o = cor_store_get(cor_registry_store(rig->r), COR_RES_PODS, COR_STR("default"), COR_STR("p"));
	return o && cor_str_contains(o->json, cor_str_c(text));
}

/* 13.1, 13.2: it is marked as not ready; but when all nodes are silent, nobody is driven away. */
static void test_the_only_node_is_silent(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_PODS, "default", POD(""));
	expect(rig, "+p *p");
	assert_false(pod_has(rig, "NodeNotReady"));
	cor_sim_run_for(rig->sim, 20 * COR_MINUTE);
	expect(rig, "");
	assert_true(pod_has(rig, "NodeNotReady"));
}

static void test_one_of_two_nodes_is_silent(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_PODS, "default", POD(""));
	expect(rig, "+p *p");
	create(rig, COR_RES_NODES, "", "{\"metadata\":{\"name\":\"n2\"},\"status\":{\"conditions\":[{\"type\":\"Ready\","
		"\"status\":\"True\",\"lastHeartbeatTime\":\"2999-01-01T00:00:00Z\"}]}}");
	cor_sim_run_for(rig->sim, 4 * COR_MINUTE);
	expect(rig, "");
	cor_sim_run_for(rig->sim, 4 * COR_MINUTE);
	expect(rig, "-p");
}

static void test_a_cordoned_node_says_so(void **state) {
	struct rig *rig = *state;
	patch(rig, COR_RES_NODES, "n1", "{\"spec\":{\"unschedulable\":true}}");
	settle(rig);
	struct cor_obj *n = cor_store_get(cor_registry_store(rig->r), COR_RES_NODES, COR_STR(""), COR_STR("n1"));
	assert_true(cor_str_contains(n->json, COR_STR("node.kubernetes.io/unschedulable")));
	patch(rig, COR_RES_NODES, "n1", "{\"spec\":{\"unschedulable\":null}}");
	settle(rig);
	n = cor_store_get(cor_registry_store(rig->r), COR_RES_NODES, COR_STR(""), COR_STR("n1"));
	assert_false(cor_str_contains(n->json, COR_STR("node.kubernetes.io/unschedulable")));
}

static size_t stubborn_plans;

/* Never sees what it runs into. */
static int plan_stubborn(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	stubborn_plans++;
	cor_plan_patch(p, 0, COR_RES_NODES, COR_STR(""), ns, name, COR_STR("{}"))->expect_rv = COR_STR("1");
	return 0;
}

static void test_a_plan_that_is_always_stale_slows_down(void **state) {
	struct rig *rig = *state;
	static const struct cor_controller row = {
		.name = "stubborn", .res = COR_RES_NODES, .watches = { { COR_RES_NODES, NULL } }, .n_watches = 1,
		.plan = plan_stubborn,
	};
	const struct cor_controller *const rows[] = { &row, NULL };
	stubborn_plans = 0;
	struct cor_engine *e = cor_engine_new(rig->r, rows);
	cor_sim_run_for(rig->sim, 20 * COR_SECOND);
	/* It does not give up either. */
	assert_in_range(stubborn_plans, 12, 40);
	cor_engine_stop(e);
	while (!cor_engine_idle(e))
		cor_sim_run_for(rig->sim, COR_MS);
	cor_engine_free(e);
}

/* The garbage collector takes its revisions away while it goes; new ones came for each. */
static void test_a_set_that_leaves_its_dependents_makes_no_more_revisions(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, "default", SET(""));
	settle(rig);
	uint64_t before = cor_store_rev(cor_registry_store(rig->r));
	struct call *c = call_new(rig, COR_VERB_DELETE, COR_RES_STATEFULSETS, COR_STR("default"), COR_STR("web"));
	c->op.propagation = COR_PROPAGATION_ORPHAN;
	assert_int_equal(finish(rig, c), 0);
	cor_sim_run_for(rig->sim, COR_MINUTE);
	assert_int_equal(count(rig, COR_RES_STATEFULSETS), 0);
	assert_int_equal(count(rig, COR_RES_CONTROLLERREVISIONS), 1);
	assert_int_equal(count(rig, COR_RES_PODS), 3);
	assert_true(cor_store_rev(cor_registry_store(rig->r)) < before + 100);
}

/* Who is called back then still looks at the store, which was freed before. */
static void test_a_server_may_stop_at_any_moment(void **state) {
	for (int steps = 0; steps < 60; steps += 2) {
		void *other;
		assert_int_equal(setup(&other), 0);
		struct rig *rig = other;
		create(rig, COR_RES_STATEFULSETS, "default", SET(""));
		for (int i = 0; i < steps; i++)
			assert_true(cor_sim_step(rig->sim));
		assert_int_equal(teardown(&other), 0);
	}
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_in_order), T(test_one_that_is_not_ready_stops_the_others),
		T(test_updates_from_the_top_down_to_the_partition), T(test_on_delete_waits_for_people),
		T(test_a_rollback_reuses_the_old_revision), T(test_deployment_scales_and_its_pods_go_with_it),
		T(test_claims_outlive_their_set), T(test_a_pod_that_does_not_tolerate_has_to_go),
		T(test_a_budget_counts_what_may_go), T(test_half_of_three_pods_is_two),
		T(test_a_pod_stays_as_long_as_it_tolerates), T(test_a_taint_that_goes_in_time_drives_nobody_away),
		T(test_the_only_node_is_silent), T(test_one_of_two_nodes_is_silent), T(test_a_cordoned_node_says_so),
		T(test_a_plan_that_is_always_stale_slows_down),
		T(test_a_set_that_leaves_its_dependents_makes_no_more_revisions),
		T(test_a_server_may_stop_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
