// SPDX-License-Identifier: Apache-2.0
// Jobs on virtual time: images called "done" end well after a while, those called "fail" do not.
#include "cluster_rig.h"

#define JOB(more, policy, image) "{\"metadata\":{\"name\":\"j\"},\"spec\":{" more "\"template\":{\"spec\":{\"restartPolicy\":\"" \
	policy "\",\"containers\":[{\"name\":\"c\",\"image\":\"" image "\"}]}}}}"

static bool job_says(struct rig *rig, const char *text) {
	return says(rig, COR_RES_JOBS, "j", text);
}

#define COMPLETE "\"type\":\"Complete\",\"status\":\"True\""
#define FAILED "\"type\":\"Failed\",\"status\":\"True\""

/* Nothing holds finished pods: people can delete them. */
static void pods_can_go(struct rig *rig) {
	drop_as(rig, COR_RES_JOBS, "j", COR_PROPAGATION_BACKGROUND);
	settle(rig);
	assert_int_equal(count(rig, COR_RES_JOBS), 0);
	assert_int_equal(count(rig, COR_RES_PODS), 0);
}

static void test_one_pod_that_ends_well(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("", "Never", "done:1"));
	settle(rig);
	assert_true(job_says(rig, "\"type\":\"SuccessCriteriaMet\",\"status\":\"True\""));
	assert_true(job_says(rig, COMPLETE));
	assert_true(job_says(rig, "\"reason\":\"CompletionsReached\""));
	assert_true(job_says(rig, "\"succeeded\":1"));
	assert_true(job_says(rig, "\"completionTime\":"));
	assert_true(job_says(rig, "\"uncountedTerminatedPods\":{}"));
	assert_int_equal(count(rig, COR_RES_PODS), 1);
	pods_can_go(rig);
}

static void test_no_more_at_a_time_than_asked_for(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"completions\":5,\"parallelism\":2,", "OnFailure", "done:1"));
	for (int i = 0; i < 4000 && !job_says(rig, COMPLETE); i++) {
		assert_false(job_says(rig, "\"active\":3"));
		assert_true(machine_alive(&rig->c->nodes[0]) <= 2);
		assert_true(cluster_step(rig->c));
	}
	assert_true(job_says(rig, COMPLETE));
	assert_true(job_says(rig, "\"succeeded\":5"));
	assert_int_equal(count(rig, COR_RES_PODS), 5);
	pods_can_go(rig);
}

static void test_failures_up_to_the_limit(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"backoffLimit\":2,", "Never", "fail:1"));
	settle(rig);
	settle(rig);
	assert_true(job_says(rig, "\"type\":\"FailureTarget\",\"status\":\"True\""));
	assert_true(job_says(rig, FAILED));
	assert_true(job_says(rig, "\"reason\":\"BackoffLimitExceeded\",\"message\":\"Job has reached the specified backoff limit\""));
	assert_true(job_says(rig, "\"failed\":3"));
	assert_false(job_says(rig, "\"completionTime\""));
	assert_int_equal(count(rig, COR_RES_PODS), 3);
	pods_can_go(rig);
}

/* The second pod comes 10 s after the first failed, the third 20 s after the second. */
static void test_failed_pods_are_replaced_more_and_more_slowly(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"backoffLimit\":2,", "Never", "fail:1"));
	cor_time failed = 0, made[4] = { 0 };
	for (int i = 0; i < 20000 && !job_says(rig, FAILED); i++) {
		assert_true(cluster_step(rig->c));
		size_t n = count(rig, COR_RES_PODS);
		if (n < 4 && made[n] == 0)
			made[n] = mono(rig->c);
		if (machine_alive(&rig->c->nodes[0]) > 0)
			failed = mono(rig->c);
		if (n == 2 && made[2] == mono(rig->c))
			assert_true(made[2] - failed >= 9 * COR_SECOND);
		if (n == 3 && made[3] == mono(rig->c))
			assert_true(made[3] - failed >= 19 * COR_SECOND);
	}
	assert_true(made[3] > 0);
}

static void test_a_deadline_ends_it(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"activeDeadlineSeconds\":30,\"parallelism\":2,\"completions\":2,", "Never", "i:1"));
	cluster_run_for(rig->c, 25 * COR_SECOND);
	assert_true(job_says(rig, "\"active\":2,"));
	assert_true(job_says(rig, "\"ready\":2"));
	settle(rig);
	assert_true(job_says(rig, FAILED));
	assert_true(job_says(rig, "\"reason\":\"DeadlineExceeded\""));
	assert_true(job_says(rig, "\"failed\":2"));
	assert_false(job_says(rig, "\"active\""));
	assert_int_equal(machine_alive(&rig->c->nodes[0]), 0);
}

static void test_it_goes_some_time_after_its_end(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"ttlSecondsAfterFinished\":60,", "Never", "done:1"));
	cluster_run_for(rig->c, 40 * COR_SECOND);
	assert_true(job_says(rig, COMPLETE));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_JOBS), 0);
	assert_int_equal(count(rig, COR_RES_PODS), 0);
}

static void test_each_index_has_a_pod(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"completions\":4,\"parallelism\":3,\"completionMode\":\"Indexed\",", "Never", "done:1"));
	settle(rig);
	assert_true(job_says(rig, COMPLETE));
	assert_true(job_says(rig, "\"completedIndexes\":\"0-3\""));
	assert_true(job_says(rig, "\"succeeded\":4"));
	assert_int_equal(count(rig, COR_RES_PODS), 4);
	pods_can_go(rig);
}

static bool find_pod(void *arg, struct cor_obj *o) {
	*(struct cor_obj **)arg = o;
	return true;
}

static void test_a_pod_knows_its_index(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"completions\":1,\"completionMode\":\"Indexed\",", "Never", "i:1"));
	settle(rig);
	struct cor_obj *pod = NULL;
	cor_store_each(server_store(rig->c), COR_RES_PODS, COR_STR("default"), (struct cor_str){ 0 }, (struct cor_str){ 0 },
		find_pod, &pod);
	assert_non_null(pod);
	assert_true(cor_str_starts(pod->name, COR_STR("j-0-")));
	assert_true(cor_str_contains(pod->json, COR_STR("\"hostname\":\"j-0\"")));
	assert_true(cor_str_contains(pod->json, COR_STR("\"name\":\"JOB_COMPLETION_INDEX\"")));
	assert_true(cor_str_contains(pod->json, COR_STR("\"batch.kubernetes.io/job-completion-index\":\"0\"")));
}

static void test_suspended_pods_go_and_are_not_counted(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("\"completions\":2,\"parallelism\":2,", "Never", "i:1"));
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 2);
	patch(rig, COR_RES_JOBS, "j", "{\"spec\":{\"suspend\":true}}");
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 0);
	assert_true(job_says(rig, "\"type\":\"Suspended\",\"status\":\"True\""));
	assert_false(job_says(rig, "\"failed\""));
	assert_false(job_says(rig, "\"startTime\""));
	patch(rig, COR_RES_JOBS, "j", "{\"spec\":{\"suspend\":false}}");
	settle(rig);
	assert_true(job_says(rig, "\"type\":\"Suspended\",\"status\":\"False\""));
	assert_true(job_says(rig, "\"active\":2"));
	assert_int_equal(count(rig, COR_RES_PODS), 2);
}

#define POLICY(action) "\"podFailurePolicy\":{\"rules\":[{\"action\":\"" action "\",\"onExitCodes\":{\"operator\":\"In\",\"values\":[1]}}]},"

static void test_a_policy_fails_it_at_once(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB(POLICY("FailJob"), "Never", "fail:1"));
	settle(rig);
	assert_true(job_says(rig, FAILED));
	assert_true(job_says(rig, "\"reason\":\"PodFailurePolicy\""));
	assert_true(job_says(rig, "failed with exit code 1 matching FailJob rule at index 0"));
	assert_int_equal(count(rig, COR_RES_PODS), 1);
}

static void test_a_policy_does_not_count(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB(POLICY("Ignore") "\"backoffLimit\":0,", "Never", "fail:1"));
	settle(rig);
	assert_false(job_says(rig, FAILED));
	assert_false(job_says(rig, "\"failed\""));
	assert_true(count(rig, COR_RES_PODS) > 2);
}

/* A deletion that says nothing leaves the pods, and those are then free. */
static void test_pods_left_behind_can_be_deleted(void **state) {
	struct rig *rig = *state;
	create(rig, COR_RES_JOBS, JOB("", "Never", "i:1"));
	settle(rig);
	drop(rig, COR_RES_JOBS, "j");
	settle(rig);
	assert_int_equal(count(rig, COR_RES_JOBS), 0);
	assert_int_equal(count(rig, COR_RES_PODS), 1);
	struct cor_obj *pod = NULL;
	cor_store_each(server_store(rig->c), COR_RES_PODS, COR_STR("default"), (struct cor_str){ 0 }, (struct cor_str){ 0 },
		find_pod, &pod);
	char name[200];
	(void)snprintf(name, sizeof(name), "%.*s", COR_STR_ARG(pod->name));
	drop(rig, COR_RES_PODS, name);
	settle(rig);
	assert_int_equal(count(rig, COR_RES_PODS), 0);
}

/* The uid in the status and the finalizer together: whenever the server dies, none is counted twice or never. */
static void test_pods_are_counted_once_over_crashes(void **state) {
	for (int at = 0; at < 60; at += 3) {
		struct rig *rig = rig_new(1);
		create(rig, COR_RES_JOBS, JOB("\"completions\":3,\"parallelism\":3,", "Never", "done:1"));
		while (machine_alive(&rig->c->nodes[0]) < 3)
			assert_true(cluster_step(rig->c));
		while (machine_alive(&rig->c->nodes[0]) == 3)
			assert_true(cluster_step(rig->c));
		for (int i = 0; i < at; i++)
			assert_true(cluster_step(rig->c));
		cor_watch_free(cor_take(rig->pods));
		server_crash(rig->c);
		server_start(rig->c);
		settle(rig);
		assert_true(job_says(rig, COMPLETE));
		assert_true(job_says(rig, "\"succeeded\":3"));
		assert_false(job_says(rig, "\"failed\""));
		assert_int_equal(count(rig, COR_RES_PODS), 3);
		rig_free(rig);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_one_pod_that_ends_well), RIG_TEST(test_no_more_at_a_time_than_asked_for),
		RIG_TEST(test_failures_up_to_the_limit), RIG_TEST(test_failed_pods_are_replaced_more_and_more_slowly),
		RIG_TEST(test_a_deadline_ends_it), RIG_TEST(test_it_goes_some_time_after_its_end),
		RIG_TEST(test_each_index_has_a_pod), RIG_TEST(test_a_pod_knows_its_index),
		RIG_TEST(test_suspended_pods_go_and_are_not_counted), RIG_TEST(test_a_policy_fails_it_at_once),
		RIG_TEST(test_a_policy_does_not_count), RIG_TEST(test_pods_left_behind_can_be_deleted),
		cmocka_unit_test(test_pods_are_counted_once_over_crashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
