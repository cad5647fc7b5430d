// SPDX-License-Identifier: Apache-2.0
// Controllers, scheduler and a machine on virtual time: what a person asks for and what comes of it.
#include "cluster_rig.h"

/* ---- scenarios ---- */

#define SET(more) "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"serviceName\":\"web\",\"replicas\":3," more \
	"\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}}," \
	"\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}"
#define IMAGE(v) "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:" v "\"}]}}}}"

static void test_in_order(void **state) {
	create(*state, COR_RES_STATEFULSETS, SET(""));
	expect(*state, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	patch(*state, COR_RES_STATEFULSETS, "web", "{\"spec\":{\"replicas\":1}}");
	expect(*state, "-web-2 -web-1");
	drop(*state, COR_RES_PODS, "web-0");
	expect(*state, "-web-0 +web-0 *web-0");
}

static void test_one_that_is_not_ready_stops_the_others(void **state) {
	struct rig *rig = *state;
	rig->c->never_ready = "web-1";
	create(rig, COR_RES_STATEFULSETS, SET(""));
	expect(rig, "+web-0 *web-0 +web-1 *web-1");
	struct cor_str why = cor_engine_waits(rig->c->server.engine, "statefulset", COR_STR("default"), COR_STR("web"));
	assert_true(cor_str_contains(why, COR_STR("web-1 is not running and ready")));
}

static void test_updates_from_the_top_down_to_the_partition(void **state) {
	create(*state, COR_RES_STATEFULSETS, SET("\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":1}},"));
	expect(*state, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	patch(*state, COR_RES_STATEFULSETS, "web", IMAGE("2"));
	expect(*state, "-web-2 +web-2 *web-2 -web-1 +web-1 *web-1");
}

static void test_on_delete_waits_for_people(void **state) {
	create(*state, COR_RES_STATEFULSETS, SET("\"updateStrategy\":{\"type\":\"OnDelete\"},"));
	expect(*state, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	patch(*state, COR_RES_STATEFULSETS, "web", IMAGE("2"));
	expect(*state, "");
	drop(*state, COR_RES_PODS, "web-1");
	expect(*state, "-web-1 +web-1 *web-1");
}

static void test_a_rollback_reuses_the_old_revision(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, SET(""));
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
	create(rig, COR_RES_DEPLOYMENTS, "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":3,\"selector\":"
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
	create(rig, COR_RES_STATEFULSETS, SET("\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"data\"},\"spec\":"
		"{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}],"));
	expect(rig, "+web-0 *web-0 +web-1 *web-1 +web-2 *web-2");
	assert_true(says(rig, COR_RES_PERSISTENTVOLUMECLAIMS, "data-web-1", "\"phase\":\"Bound\""));
	drop(rig, COR_RES_STATEFULSETS, "web");
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 0);
	assert_int_equal(count(rig, COR_RES_PERSISTENTVOLUMECLAIMS), 3);
}

/* The pod waited for the claim that it owns, the claim for the pod that uses it (seed 494). */
static void test_a_pod_and_its_claim_go_in_the_foreground(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_PERSISTENTVOLUMECLAIMS, "{\"metadata\":{\"name\":\"data\"},\"spec\":{\"accessModes\":"
		"[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}");
	create(rig, COR_RES_PODS, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}],"
		"\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"data\"}}]}}");
	expect(rig, "+p *p");
	char owner[300];
	(void)snprintf(owner, sizeof(owner), "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
		"\"name\":\"p\",\"uid\":\"%.*s\",\"blockOwnerDeletion\":true}]}}", COR_STR_ARG(get(rig, COR_RES_PODS, "p")->uid));
	patch(rig, COR_RES_PERSISTENTVOLUMECLAIMS, "data", owner);
	/* Without the pod's consent the claim stays. */
	drop(rig, COR_RES_PERSISTENTVOLUMECLAIMS, "data");
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PERSISTENTVOLUMECLAIMS), 1);
	drop_as(rig, COR_RES_PODS, "p", COR_PROPAGATION_FOREGROUND);
	expect(rig, "-p");
	assert_int_equal(count(rig, COR_RES_PERSISTENTVOLUMECLAIMS), 0);
}

/* A pod stood in the way of the set's; nobody told the set that it went (seed 1432). */
static void test_a_set_takes_the_place_of_a_strange_pod(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_PODS, "{\"metadata\":{\"name\":\"web-1\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
		"\"i:1\"}]}}");
	expect(rig, "+web-1 *web-1");
	create(rig, COR_RES_STATEFULSETS, SET(""));
	expect(rig, "+web-0 *web-0");
	drop(rig, COR_RES_PODS, "web-1");
	expect(rig, "-web-1 +web-1 *web-1 +web-2 *web-2");
}

#define DEPLOYMENT(name, n, strategy, image) "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"replicas\":" n "," strategy \
	"\"selector\":{\"matchLabels\":{\"app\":\"d\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"d\"}},\"spec\":" \
	"{\"containers\":[{\"name\":\"c\",\"image\":\"i:" image "\"}]}}}}"

/* It adopted two sets whose sizes were of another Deployment, and took that for scaling for ever (seed 1400). */
static void test_recreate_goes_on_with_the_sets_of_a_predecessor(void **state) {
	struct rig *rig = *state;
	rig->c->never_ready = "*";
	create(rig, COR_RES_DEPLOYMENTS, DEPLOYMENT("d", "4", "", "1"));
	settle(rig);
	patch(rig, COR_RES_DEPLOYMENTS, "d", IMAGE("2"));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_REPLICASETS), 2);
	rig->c->never_ready = NULL;
	drop_as(rig, COR_RES_DEPLOYMENTS, "d", COR_PROPAGATION_ORPHAN);
	settle(rig);
	create(rig, COR_RES_DEPLOYMENTS, DEPLOYMENT("d", "2", "\"strategy\":{\"type\":\"Recreate\"},", "3"));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 2);
	assert_true(says(rig, COR_RES_DEPLOYMENTS, "d", "\"availableReplicas\":2"));
}

/* Ten minutes after a rollout the next one had its deadline in the past, and was planned again without a pause until
 * its old pods were gone. */
static void test_recreate_of_a_deployment_that_was_done_long_ago(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_DEPLOYMENTS, DEPLOYMENT("d", "2", "\"strategy\":{\"type\":\"Recreate\"},", "1"));
	cluster_run_for(rig->c, 11 * COR_MINUTE);
	patch(rig, COR_RES_DEPLOYMENTS, "d", IMAGE("2"));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 2);
	assert_true(says(rig, COR_RES_DEPLOYMENTS, "d", "NewReplicaSetAvailable"));
}

static void test_what_refuses_its_pods_is_in_the_status(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_DEPLOYMENTS, "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":2,\"selector\":{\"matchLabels\":"
		"{\"app\":\"d\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"d\"}},\"spec\":{\"serviceAccountName\":\"late\","
		"\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}");
	settle(rig);
	assert_true(says(rig, COR_RES_DEPLOYMENTS, "d", "\"type\":\"ReplicaFailure\",\"status\":\"True\""));
	assert_true(says(rig, COR_RES_DEPLOYMENTS, "d", "\"reason\":\"FailedCreate\""));
	assert_true(says(rig, COR_RES_DEPLOYMENTS, "d", "serviceaccount \\\"late\\\" not found"));
	create(rig, COR_RES_SERVICEACCOUNTS, "{\"metadata\":{\"name\":\"late\"}}");
	settle(rig);
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 2);
	assert_false(says(rig, COR_RES_DEPLOYMENTS, "d", "ReplicaFailure"));
}

/* ---- endpoints ---- */

static bool count_mirrors(void *arg, struct cor_obj *o) {
	const struct cor_str *by = cor_strmap_get(&o->labels, COR_STR("endpointslice.kubernetes.io/managed-by"));
	*(size_t *)arg += by && cor_str_eq(*by, COR_STR("endpointslicemirroring-controller.k8s.io"));
	return true;
}

/* Slices that mirror Endpoints. */
static size_t mirrors(struct rig *rig) {
	size_t n = 0;
	cor_store_each(server_store(rig->c), COR_RES_ENDPOINTSLICES, COR_STR("default"), (struct cor_str){ 0 },
		(struct cor_str){ 0 }, count_mirrors, &n);
	return n;
}

static bool slice_says(void *arg, struct cor_obj *o) {
	const char **text = arg;
	if (*text && cor_str_contains(o->json, cor_str_c(*text)))
		*text = NULL;
	return true;
}

static bool some_slice_says(struct rig *rig, const char *text) {
	cor_store_each(server_store(rig->c), COR_RES_ENDPOINTSLICES, COR_STR("default"), (struct cor_str){ 0 },
		(struct cor_str){ 0 }, slice_says, &text);
	return !text;
}

static void test_endpoints_written_by_hand_are_mirrored(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_SERVICES, "{\"metadata\":{\"name\":\"db\"},\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"name\":\"sql\",\"port\":5432}]}}");
	create(rig, COR_RES_ENDPOINTS, "{\"metadata\":{\"name\":\"db\",\"labels\":{\"team\":\"x\"}},\"subsets\":[{\"addresses\":[{\"ip\":\"192.0.2.1\"}],"
		"\"notReadyAddresses\":[{\"ip\":\"192.0.2.2\"}],\"ports\":[{\"name\":\"sql\",\"port\":5432}]}]}");
	settle(rig);
	assert_int_equal(mirrors(rig), 1);
	assert_true(some_slice_says(rig, "\"addresses\":[\"192.0.2.1\"],\"conditions\":{\"ready\":true}"));
	assert_true(some_slice_says(rig, "\"addresses\":[\"192.0.2.2\"],\"conditions\":{\"ready\":false}"));
	assert_true(some_slice_says(rig, "\"kubernetes.io/service-name\":\"db\",\"team\":\"x\""));
	uint64_t rev = cor_store_rev(server_store(rig->c));
	patch(rig, COR_RES_ENDPOINTS, "db", "{\"subsets\":[{\"addresses\":[{\"ip\":\"192.0.2.3\"}],\"ports\":[{\"name\":\"sql\",\"port\":5432}]}]}");
	settle(rig);
	assert_int_equal(mirrors(rig), 1);
	assert_true(some_slice_says(rig, "\"192.0.2.3\""));
	assert_false(some_slice_says(rig, "\"192.0.2.1\""));
	assert_true(cor_store_rev(server_store(rig->c)) < rev + 200);
	/* With a selector the Service gets slices of its own. */
	patch(rig, COR_RES_SERVICES, "db", "{\"spec\":{\"selector\":{\"app\":\"db\"}}}");
	settle(rig);
	assert_int_equal(mirrors(rig), 0);
	patch(rig, COR_RES_SERVICES, "db", "{\"spec\":{\"selector\":null}}");
	patch(rig, COR_RES_ENDPOINTS, "db", "{\"subsets\":[{\"addresses\":[{\"ip\":\"192.0.2.3\"}],\"ports\":[{\"name\":\"sql\",\"port\":5432}]}]}");
	settle(rig);
	assert_int_equal(mirrors(rig), 1);
	drop(rig, COR_RES_ENDPOINTS, "db");
	settle(rig);
	assert_int_equal(mirrors(rig), 0);
}

/* ---- disruption ---- */

#define BUDGET(rule) "{\"metadata\":{\"name\":\"b\"},\"spec\":{" rule ",\"selector\":{\"matchLabels\":{\"app\":\"web\"}}}}"

static void test_a_budget_counts_what_may_go(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, SET(""));
	create(rig, COR_RES_PODDISRUPTIONBUDGETS, BUDGET("\"maxUnavailable\":1"));
	settle(rig);
	assert_true(says(rig, COR_RES_PODDISRUPTIONBUDGETS, "b", "\"disruptionsAllowed\":1,\"currentHealthy\":3,\"desiredHealthy\":2,\"expectedPods\":3"));
	assert_true(says(rig, COR_RES_PODDISRUPTIONBUDGETS, "b", "SufficientPods"));
	rig->c->never_ready = "web-1";
	drop(rig, COR_RES_PODS, "web-1");
	settle(rig);
	assert_true(says(rig, COR_RES_PODDISRUPTIONBUDGETS, "b", "\"disruptionsAllowed\":0,\"currentHealthy\":2"));
	assert_true(says(rig, COR_RES_PODDISRUPTIONBUDGETS, "b", "InsufficientPods"));
}

static void test_half_of_three_pods_is_two(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, SET(""));
	create(rig, COR_RES_PODDISRUPTIONBUDGETS, BUDGET("\"minAvailable\":\"50%\""));
	settle(rig);
	assert_true(says(rig, COR_RES_PODDISRUPTIONBUDGETS, "b", "\"disruptionsAllowed\":1,\"currentHealthy\":3,\"desiredHealthy\":2,\"expectedPods\":3"));
}

/* ---- nodes ---- */

#define POD(tolerations) "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"tolerations\":[" tolerations "]," \
	"\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"
#define TAINT "{\"spec\":{\"taints\":[{\"key\":\"k\",\"effect\":\"NoExecute\"}]}}"
#define NO_TAINT "{\"spec\":{\"taints\":null}}"
#define TOLERATES "{\"key\":\"k\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":40}"

static void seconds(struct rig *rig, int n) {
	cluster_run_for(rig->c, n * COR_SECOND);
}

static void test_a_pod_that_does_not_tolerate_has_to_go(void **state) {
	create(*state, COR_RES_PODS, POD(""));
	expect(*state, "+p *p");
	patch(*state, COR_RES_NODES, "n1", TAINT);
	expect(*state, "-p");
}

static void test_a_pod_stays_as_long_as_it_tolerates(void **state) {
	create(*state, COR_RES_PODS, POD(TOLERATES));
	expect(*state, "+p *p");
	patch(*state, COR_RES_NODES, "n1", TAINT);
	seconds(*state, 20);
	expect_now(*state, "");
	expect(*state, "-p");
}

static void test_a_taint_that_goes_in_time_drives_nobody_away(void **state) {
	create(*state, COR_RES_PODS, POD(TOLERATES));
	patch(*state, COR_RES_NODES, "n1", TAINT);
	seconds(*state, 20);
	patch(*state, COR_RES_NODES, "n1", NO_TAINT);
	expect(*state, "+p *p");
}

/* 13.1, 13.2: it is marked as not ready; but when all nodes are silent, nobody is driven away. */
static void test_the_only_node_is_silent(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_PODS, POD(""));
	expect(rig, "+p *p");
	assert_false(says(rig, COR_RES_PODS, "p", "NodeNotReady"));
	link_set_cut(&rig->c->nodes[0].link, true);
	seconds(rig, 20 * 60);
	expect_now(rig, "");
	assert_true(says(rig, COR_RES_PODS, "p", "NodeNotReady"));
}

/* Its pod is told to go after 300 s of toleration, and cannot tell that it went. */
static void test_one_of_two_nodes_is_silent(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_PODS, POD(""));
	expect(rig, "+p *p");
	struct cor_str on = rig_field(get(rig, COR_RES_PODS, "p"), "spec.nodeName");
	link_set_cut(&rig->c->nodes[cor_str_eq(on, COR_STR("n1")) ? 0 : 1].link, true);
	seconds(rig, 4 * 60);
	assert_false(get(rig, COR_RES_PODS, "p")->deleting);
	seconds(rig, 4 * 60);
	assert_true(get(rig, COR_RES_PODS, "p")->deleting);
}

/* A clock that is set makes nobody look silent, and hides nobody who is. */
static void test_a_clock_that_is_set_is_no_silence(void **state) {
	static const cor_time jumps[] = { COR_HOUR, -COR_HOUR, 24 * COR_HOUR, -48 * COR_HOUR };
	struct rig *rig = *state;
	create(rig, COR_RES_PODS, POD(""));
	expect(rig, "+p *p");
	for (size_t i = 0; i < cor_countof(jumps); i++) {
		cor_sim_jump(rig->c->sim, jumps[i]);
		/* Somebody looks before the node is heard of again. */
		patch(rig, COR_RES_NODES, "n1", i % 2 == 0 ? "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}"
			: "{\"metadata\":{\"labels\":{\"a\":null}}}");
		seconds(rig, 40);
		assert_false(says(rig, COR_RES_PODS, "p", "NodeNotReady"));
	}
	link_set_cut(&rig->c->nodes[0].link, true);
	seconds(rig, 2 * 60);
	assert_true(says(rig, COR_RES_PODS, "p", "NodeNotReady"));
}

static void test_a_cordoned_node_says_so(void **state) {
	struct rig *rig = *state;
	patch(rig, COR_RES_NODES, "n1", "{\"spec\":{\"unschedulable\":true}}");
	settle(rig);
	assert_true(says(rig, COR_RES_NODES, "n1", "node.kubernetes.io/unschedulable"));
	patch(rig, COR_RES_NODES, "n1", "{\"spec\":{\"unschedulable\":null}}");
	settle(rig);
	assert_false(says(rig, COR_RES_NODES, "n1", "node.kubernetes.io/unschedulable"));
}

static size_t stubborn_plans;

/* Never sees what it runs into. */
static int plan_stubborn(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	stubborn_plans++;
	cor_plan_patch(p, 0, COR_RES_NODES, COR_STR(""), ns, name, COR_STR("{}"))->expect_rv = COR_STR("1");
	return 0;
}

static unsigned staged_plans;

static void test_a_plan_that_is_always_stale_slows_down(void **state) {
	struct rig *rig = *state;
	static const struct cor_controller row = {
		.name = "stubborn", .res = COR_RES_NODES, .watches = { { COR_RES_NODES, NULL } }, .n_watches = 1,
		.plan = plan_stubborn,
	};
	const struct cor_controller *const rows[] = { &row, NULL };
	stubborn_plans = 0;
	struct cor_engine *e = cor_engine_new(rig->c->server.registry, rows);
	cluster_run_for(rig->c, 20 * COR_SECOND);
	/* It does not give up either. */
	assert_in_range(stubborn_plans, 12, 40);
	cor_engine_stop(e);
	while (!cor_engine_idle(e))
		cluster_run_for(rig->c, COR_MS);
	cor_engine_free(e);
}

/* Three stages, the last of which changes what the first made; in the second run the middle one is refused. */
static int plan_staged(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	bool refused = staged_plans++ > 0;
	const char *names[] = { refused ? "c" : "a", refused ? "not a name" : "b" };
	for (int i = 0; i < 2; i++) {
		struct core_v1_ConfigMap *m = cor_arena_new_of(cor_plan_arena(p), struct core_v1_ConfigMap);
		m->metadata.name = cor_str_c(names[i]);
		m->metadata.namespace = COR_STR("default");
		(void)cor_plan_create(p, i, COR_RES_CONFIGMAPS, m);
	}
	(void)cor_plan_patch(p, 2, COR_RES_CONFIGMAPS, (struct cor_str){ 0 }, COR_STR("default"), cor_str_c(names[0]),
		COR_STR("{\"data\":{\"k\":\"v\"}}"));
	if (!refused)
		cor_plan_again_at(p, cor_plan_now(p) + COR_SECOND);
	return 0;
}

static uint64_t commits(struct rig *rig) {
	struct cor_store_stats s;
	cor_store_stats(server_store(rig->c), &s);
	return s.commits;
}

/* The disk is waited for once, and still nothing comes behind what was refused. */
static void test_stages_of_a_plan_share_a_commit(void **state) {
	struct rig *rig = *state;
	static const struct cor_controller row = {
		.name = "staged", .res = COR_RES_NODES, .watches = { { COR_RES_NODES, NULL } }, .n_watches = 1,
		.singleton = true, .plan = plan_staged,
	};
	const struct cor_controller *const rows[] = { &row, NULL };
	settle(rig);
	staged_plans = 0;
	uint64_t before = commits(rig);
	struct cor_engine *e = cor_engine_new(rig->c->server.registry, rows);
	cluster_run_for(rig->c, 100 * COR_MS);
	assert_int_equal(staged_plans, 1);
	assert_int_equal(commits(rig) - before, 1);
	assert_int_equal(count(rig, COR_RES_CONFIGMAPS), 2);
	struct cor_obj *a = cor_store_get(server_store(rig->c), COR_RES_CONFIGMAPS, COR_STR("default"), COR_STR("a"));
	assert_true(cor_str_contains(a->json, COR_STR("\"data\":{\"k\":\"v\"}")));
	cluster_run_for(rig->c, 2 * COR_SECOND);
	assert_true(staged_plans >= 2);
	struct cor_obj *c = cor_store_get(server_store(rig->c), COR_RES_CONFIGMAPS, COR_STR("default"), COR_STR("c"));
	assert_true(c && !cor_str_contains(c->json, COR_STR("\"data\"")));
	cor_engine_stop(e);
	while (!cor_engine_idle(e))
		cluster_run_for(rig->c, COR_MS);
	cor_engine_free(e);
}

/* The garbage collector takes its revisions away while it goes; new ones came for each. */
static void test_a_set_that_leaves_its_dependents_makes_no_more_revisions(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_STATEFULSETS, SET(""));
	settle(rig);
	uint64_t before = cor_store_rev(server_store(rig->c));
	drop_as(rig, COR_RES_STATEFULSETS, "web", COR_PROPAGATION_ORPHAN);
	cluster_run_for(rig->c, COR_MINUTE);
	assert_int_equal(count(rig, COR_RES_STATEFULSETS), 0);
	assert_int_equal(count(rig, COR_RES_CONTROLLERREVISIONS), 1);
	assert_int_equal(count(rig, COR_RES_PODS), 3);
	assert_true(cor_store_rev(server_store(rig->c)) < before + 100);
}

/* Who is called back then still looks at the store, which was freed before. */
static void test_a_server_may_stop_at_any_moment(void **state) {
	for (int steps = 0; steps < 60; steps += 2) {
		struct rig *rig = rig_new(1);
		create(rig, COR_RES_STATEFULSETS, SET(""));
		for (int i = 0; i < steps; i++)
			assert_true(cluster_step(rig->c));
		rig_free(rig);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_in_order), RIG_TEST(test_one_that_is_not_ready_stops_the_others),
		RIG_TEST(test_updates_from_the_top_down_to_the_partition), RIG_TEST(test_on_delete_waits_for_people),
		RIG_TEST(test_a_rollback_reuses_the_old_revision),
		RIG_TEST(test_deployment_scales_and_its_pods_go_with_it), RIG_TEST(test_claims_outlive_their_set),
		RIG_TEST(test_a_pod_and_its_claim_go_in_the_foreground),
		RIG_TEST(test_endpoints_written_by_hand_are_mirrored), RIG_TEST(test_what_refuses_its_pods_is_in_the_status), RIG_TEST(test_a_set_takes_the_place_of_a_strange_pod),
		RIG_TEST(test_recreate_goes_on_with_the_sets_of_a_predecessor),
		RIG_TEST(test_recreate_of_a_deployment_that_was_done_long_ago),
		RIG_TEST(test_a_pod_that_does_not_tolerate_has_to_go), RIG_TEST(test_a_budget_counts_what_may_go),
		RIG_TEST(test_half_of_three_pods_is_two), RIG_TEST(test_a_pod_stays_as_long_as_it_tolerates),
		RIG_TEST(test_a_taint_that_goes_in_time_drives_nobody_away), RIG_TEST(test_the_only_node_is_silent),
		RIG_TEST_TWO_NODES(test_one_of_two_nodes_is_silent), RIG_TEST(test_a_clock_that_is_set_is_no_silence),
		RIG_TEST(test_a_cordoned_node_says_so),
		RIG_TEST(test_a_plan_that_is_always_stale_slows_down), RIG_TEST(test_stages_of_a_plan_share_a_commit),
		RIG_TEST(test_a_set_that_leaves_its_dependents_makes_no_more_revisions),
		cmocka_unit_test(test_a_server_may_stop_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
