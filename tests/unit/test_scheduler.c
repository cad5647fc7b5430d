// SPDX-License-Identifier: Apache-2.0
// Where pods go: the scheduler beside a registry on virtual time, with nodes and pods that tests write down in
// one line each.
#include "registry_rig.h"

#include <string.h>

#include "gen/core_v1.h"
#include "scheduler/scheduler.h"

struct cluster {
	struct rig *rig;
	struct cor_scheduler *scheduler;
	const char *pod;                /* the one that is waited for */
	char where[600];                /* its node, or why it has none */
};

static int begin(void **state) {
	struct cluster *c = cor_new(struct cluster);
	void *rig;
	(void)setup(&rig);
	c->rig = rig;
	(void)create(c->rig, COR_RES_SERVICEACCOUNTS, "default", "{\"metadata\":{\"name\":\"default\"}}");
	c->scheduler = cor_scheduler_new(c->rig->r);
	*state = c;
	return 0;
}

static int end(void **state) {
	struct cluster *c = *state;
	cor_scheduler_stop(c->scheduler);
	cor_registry_free(c->rig->r);           /* ends what the scheduler has under way */
	cor_scheduler_free(c->scheduler);
	cor_sim_settle(c->rig->sim);
	cor_arena_free(c->rig->a);
	cor_sim_free(c->rig->sim);
	free(c->rig);
	free(c);
	return 0;
}

/* A node of 4 cpus and 8Gi in a zone; more is the rest of its spec. */
static void add_node(struct cluster *c, const char *name, const char *zone, const char *spec) {
	char text[1000];
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"labels\":{\"kubernetes.io/hostname\":\"%s\",\"topology.kubernetes.io/zone\":\"%s\"}},"
		"\"status\":{\"capacity\":{\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":\"110\"}}}", name, name, zone);
	assert_int_equal(create(c->rig, COR_RES_NODES, "", text).status, 0);
	/* The taint of a node that nobody has seen ready goes as well. */
	(void)snprintf(text, sizeof(text), "{\"spec\":{\"taints\":null,%s\"unschedulable\":null}}", spec);
	assert_int_equal(patch(c->rig, COR_RES_NODES, "", name, COR_PATCH_MERGE, text).status, 0);
}

static bool has_answer(void *arg) {
	struct cluster *c = arg;
	struct cor_err err;
	struct cor_obj *o = cor_store_get(cor_registry_store(c->rig->r), COR_RES_PODS, COR_STR("default"), cor_str_c(c->pod));
	const struct core_v1_Pod *pod = cor_obj_decode(o, c->rig->a, &err);
	struct cor_str answer = pod->spec.nodeName;
	for (size_t i = 0; i < pod->status.conditions.n; i++)
		if (cor_str_eq(pod->status.conditions.p[i].reason, COR_STR("Unschedulable")))
			answer = pod->status.conditions.p[i].message;
	(void)snprintf(c->where, sizeof(c->where), "%.*s", COR_STR_ARG(answer));
	return answer.n > 0;
}

/* Where a pod with these labels and this spec beside its container goes. */
static const char *place(struct cluster *c, const char *name, const char *meta, const char *spec) {
	char text[2000];
	(void)snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"%s\",%s},\"spec\":{%s\"containers\":[{\"name\":\"c\","
		"\"image\":\"i:1\",\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"200Mi\"}}}]}}", name, meta, spec);
	struct outcome o = create(c->rig, COR_RES_PODS, "default", text);
	if (o.status < 0)
		fail_msg("%s", o.message);
	c->pod = name;
	assert_true(cor_sim_run_until(c->rig->sim, has_answer, c, COR_MINUTE));
	return c->where;
}

#define APP(x) "\"labels\":{\"app\":\"" x "\"}"
#define ON(node) "\"nodeName\":\"" node "\","
#define SELECTS(x) "\"labelSelector\":{\"matchLabels\":{\"app\":\"" x "\"}}"
#define TERM(x, key) "{" SELECTS(x) ",\"topologyKey\":\"" key "\"}"
#define REQUIRED "\"requiredDuringSchedulingIgnoredDuringExecution\":"
#define PREFERRED "\"preferredDuringSchedulingIgnoredDuringExecution\":"
#define WITH(term) "\"affinity\":{\"podAffinity\":{" REQUIRED "[" term "]}},"
#define WITHOUT(term) "\"affinity\":{\"podAntiAffinity\":{" REQUIRED "[" term "]}},"
#define RATHER(kind, term) "\"affinity\":{\"" kind "\":{" PREFERRED "[{\"weight\":100,\"podAffinityTerm\":" term "}]}},"
#define HOST "kubernetes.io/hostname"
#define ZONE "topology.kubernetes.io/zone"
#define PREEMPTION(n) " preemption: 0/" n " nodes are available: " n " Preemption is not helpful for scheduling."

static void test_the_emptier_node_is_taken(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "a", "");
	place(c, "there", APP("x"), ON("n1"));
	assert_string_equal(place(c, "p1", APP("a"), ""), "n2");
	place(c, "more", APP("x"), ON("n2"));
	place(c, "and-more", APP("x"), ON("n2"));
	assert_string_equal(place(c, "p2", APP("b"), ""), "n1");
}

static void test_pods_that_stay_apart(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "a", "");
	place(c, "there", APP("db"), ON("n1"));
	place(c, "x1", APP("x"), ON("n2"));
	place(c, "x2", APP("x"), ON("n2"));
	assert_string_equal(place(c, "p1", APP("db"), WITHOUT(TERM("db", HOST))), "n2");
	/* What stands there wants to be alone, whatever the new one says. */
	assert_string_equal(place(c, "p2", APP("db"), ON("n1")), "n1");
	add_node(c, "n3", "a", "");
	assert_string_equal(place(c, "p3", APP("db"), WITHOUT(TERM("db", HOST))), "n3");
	assert_string_equal(place(c, "p4", APP("db"), WITHOUT(TERM("db", HOST))),
		"0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules." PREEMPTION("3"));
	assert_string_equal(place(c, "p5", APP("db"), "\"nodeSelector\":{\"" HOST "\":\"n3\"},"),
		"0/3 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules, "
		"2 node(s) didn't match Pod's node affinity/selector." PREEMPTION("3"));
}

static void test_pods_that_stay_together(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "b", "");
	add_node(c, "n3", "b", "");
	assert_string_equal(place(c, "lonely", APP("x"), WITH(TERM("nobody", ZONE))),
		"0/3 nodes are available: 3 node(s) didn't match pod affinity rules." PREEMPTION("3"));
	place(c, "x", APP("y"), ON("n1"));
	place(c, "y", APP("y"), ON("n2"));
	/* The first of its group may begin anywhere, the others follow. */
	assert_string_equal(place(c, "p1", APP("web"), WITH(TERM("web", ZONE))), "n3");
	assert_string_equal(place(c, "p2", APP("web"), WITH(TERM("web", ZONE)) ), "n2");
	assert_string_equal(place(c, "p3", APP("web"), WITH(TERM("web", HOST) "," TERM("y", HOST))), "n2");
}

static void test_preferences_draw_and_push(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "a", "");
	place(c, "cache", APP("cache"), ON("n1"));
	assert_string_equal(place(c, "near", APP("a"), RATHER("podAffinity", TERM("cache", HOST))), "n1");
	assert_string_equal(place(c, "far", APP("b"), RATHER("podAntiAffinity", TERM("a", HOST))), "n2");
	/* It says nothing, but "near" would rather be alone with what it is near to. */
	place(c, "shy", APP("shy"), RATHER("podAntiAffinity", TERM("loud", HOST)) ON("n2"));
	place(c, "x1", APP("x"), ON("n1"));
	assert_string_equal(place(c, "loud", APP("loud"), ""), "n1");
}

static void test_taints_that_are_only_wishes(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "a", "");
	assert_int_equal(patch(c->rig, COR_RES_NODES, "", "n2", COR_PATCH_MERGE,
		"{\"spec\":{\"taints\":[{\"key\":\"slow\",\"effect\":\"PreferNoSchedule\"}]}}").status, 0);
	for (int i = 0; i < 3; i++)
		assert_string_equal(place(c, (const char *[]){ "p1", "p2", "p3" }[i], APP("a"), ""), "n1");
	assert_string_equal(place(c, "p4", APP("a"), "\"tolerations\":[{\"key\":\"slow\",\"operator\":\"Exists\"}],"), "n2");
}

#define SPREAD(key, skew, rest) "\"topologySpreadConstraints\":[{\"maxSkew\":" skew ",\"topologyKey\":\"" key "\"," SELECTS("w") \
	",\"whenUnsatisfiable\":" rest "}],"

static void test_spreading_that_must_hold(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "a", "");
	add_node(c, "n3", "b", "");
	assert_string_equal(place(c, "p0", APP("w"), ON("n1")), "n1");
	assert_string_equal(place(c, "p1", APP("w"), SPREAD(ZONE, "1", "\"DoNotSchedule\"")), "n3");
	assert_string_equal(place(c, "p2", APP("w"), SPREAD(ZONE, "1", "\"DoNotSchedule\"")), "n2");
	/* Zone b is not its to go to, so it does not count: n1 and n2 are all there is. */
	assert_string_equal(place(c, "p3", APP("w"), "\"nodeSelector\":{\"" ZONE "\":\"a\"},"
		SPREAD(ZONE, "1", "\"DoNotSchedule\"")), "n1");
	assert_string_equal(place(c, "p4", APP("w"), "\"nodeSelector\":{\"" ZONE "\":\"a\"},"
		SPREAD(ZONE, "1", "\"DoNotSchedule\",\"nodeAffinityPolicy\":\"Ignore\"")),
		"0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
		"2 node(s) didn't match pod topology spread constraints." PREEMPTION("3"));
	assert_string_equal(place(c, "p5", APP("w"), SPREAD("rack", "1", "\"DoNotSchedule\"")),
		"0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label)."
		PREEMPTION("3"));
	assert_string_equal(place(c, "p6", APP("w"), SPREAD(ZONE, "1", "\"DoNotSchedule\",\"minDomains\":3")),
		"0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints." PREEMPTION("3"));
}

static void test_spreading_that_is_a_wish(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "b", "");
	place(c, "w1", APP("w"), ON("n1"));
	place(c, "w2", APP("w"), ON("n1"));
	/* n2 is fuller, which weighs less. */
	for (int i = 0; i < 4; i++)
		place(c, (const char *[]){ "x1", "x2", "x3", "x4" }[i], APP("x"), ON("n2"));
	assert_string_equal(place(c, "p1", APP("w"), SPREAD(ZONE, "1", "\"ScheduleAnyway\"")), "n2");
}

static void test_replicas_are_spread_unasked(void **state) {
	struct cluster *c = *state;
	char owner[300];
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "b", "");
	struct outcome o = create(c->rig, COR_RES_REPLICASETS, "default", "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":3,"
		"\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":"
		"{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}");
	const char *uid = strstr(o.json, "\"uid\":\"");
	assert_non_null(uid);
	(void)snprintf(owner, sizeof(owner), APP("web") ",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\","
		"\"name\":\"web\",\"controller\":true,\"uid\":\"%.36s\"}]", uid + 7);
	place(c, "r1", owner, ON("n1"));
	for (int i = 0; i < 3; i++)
		place(c, (const char *[]){ "x1", "x2", "x3" }[i], APP("x"), ON("n2"));
	assert_string_equal(place(c, "r2", owner, ""), "n2");
}

static void test_ports_of_the_host(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	add_node(c, "n2", "a", "");
	const char *pod = "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"ports\":"
		"[{\"containerPort\":80,\"hostPort\":8080}]}]}}";
	char text[500];
	const char *names[] = { "p1", "p2", "p3" };
	char seen[3][600];
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(text, sizeof(text), pod, names[i]);
		assert_int_equal(create(c->rig, COR_RES_PODS, "default", text).status, 0);
		c->pod = names[i];
		assert_true(cor_sim_run_until(c->rig->sim, has_answer, c, COR_MINUTE));
		memcpy(seen[i], c->where, sizeof(c->where));
	}
	assert_string_not_equal(seen[0], seen[1]);
	assert_string_equal(seen[2], "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports."
		PREEMPTION("2"));
}

/* A pod that was put somewhere by hand asks for what nobody has; nothing of it stays when it goes. */
static void test_unknown_resources_come_and_go(void **state) {
	struct cluster *c = *state;
	add_node(c, "n1", "a", "");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(create(c->rig, COR_RES_PODS, "default", "{\"metadata\":{\"name\":\"odd\"},\"spec\":{\"nodeName\":\"n1\","
			"\"terminationGracePeriodSeconds\":0,\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"resources\":{\"limits\":"
			"{\"example.com/thing\":\"3\",\"cpu\":\"3900m\"}}}]}}").status, 0);
		assert_string_equal(place(c, i == 0 ? "p0" : "p2", APP("a"), "\"tolerations\":[],"), i == 0 ? "n1"
			: "0/1 nodes are available: 1 Insufficient cpu." PREEMPTION("1"));
		assert_true(delete(c->rig, COR_RES_PODS, "default", "odd", COR_PROPAGATION_BACKGROUND).removed);
	}
	assert_string_equal(place(c, "p3", APP("a"), ""), "n1");
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(test_the_emptier_node_is_taken), T(test_pods_that_stay_apart), T(test_pods_that_stay_together),
		T(test_preferences_draw_and_push), T(test_taints_that_are_only_wishes), T(test_spreading_that_must_hold),
		T(test_spreading_that_is_a_wish), T(test_replicas_are_spread_unasked), T(test_ports_of_the_host),
		T(test_unknown_resources_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
