// SPDX-License-Identifier: Apache-2.0
// What the node agent computes about pods: expansion and variables, phases and conditions, back-off,
// probe thresholds, files of volumes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "node/env.h"
#include "node/pod_status.h"
#include "node/probe.h"
#include "node/volume.h"

static void test_expand(void **state) {
	static const struct { const char *in, *out, *missing; } rows[] = {
		{ "plain", "plain", NULL },
		{ "$(A)", "1", NULL },
		{ "x$(A)y$(B)z", "x1y$(A)z", NULL },    /* not recursive */
		{ "$(NO)", "$(NO)", "NO" },
		{ "$$(A)", "$(A)", NULL },
		{ "$$$(A)", "$1", NULL },
		{ "$A $", "$A $", NULL },
		{ "$(A", "$(A", NULL },
		{ "$(EMPTY)-", "-", "EMPTY" },
		{ "", "", NULL },
	};
	struct cor_arena *a = cor_arena_new(0);
	struct cor_env e = { 0 };
	cor_env_set(a, &e, COR_STR("A"), COR_STR("1"));
	cor_env_set(a, &e, COR_STR("B"), COR_STR("$(A)"));
	cor_env_set(a, &e, COR_STR("EMPTY"), COR_STR(""));
	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct cor_str missing, out = cor_env_expand(a, cor_str_c(rows[i].in), &e, &missing);
		if (!cor_str_eq_c(out, rows[i].out))
			fail_msg("%s gives %.*s", rows[i].in, COR_STR_ARG(out));
		assert_true(cor_str_eq_c(missing, rows[i].missing ? rows[i].missing : ""));
	}
	cor_arena_free(a);
}

static core_v1_Pod *pod(struct cor_arena *a, const char *json) {
	struct cor_decode d = { .arena = a };
	struct cor_err err;
	void *obj;
	if (cor_json_decode_new(&cor_type_core_v1_Pod, cor_str_c(json), &obj, &d, &err) < 0)
		fail_msg("%s", err.message);
	return obj;
}

static int one_object(void *arg, enum cor_env_object kind, struct cor_str name, struct cor_strmap *ret) {
	static struct cor_kv kv = { COR_STR_INIT("k"), COR_STR_INIT("v") };
	if (kind != COR_ENV_CONFIG_MAP || !cor_str_eq_c(name, "cm"))
		return COR_E_NOT_FOUND;
	*ret = (struct cor_strmap){ &kv, 1 };
	return 0;
}

static void services(void *arg, void (*fn)(void *fn_arg, const struct core_v1_Service *s), void *fn_arg) {
	core_v1_ServicePort port = { .name = COR_STR("http"), .port = 80 };
	core_v1_Service s = { .metadata = { .name = COR_STR("my-svc"), .namespace = COR_STR("ns") },
		.spec = { .clusterIP = COR_STR("10.96.0.7"), .ports = { &port, 1 } } };
	fn(fn_arg, &s);
	s.metadata.namespace = COR_STR("other");
	s.metadata.name = COR_STR("far");
	fn(fn_arg, &s);
}

static void test_env(void **state) {
	struct cor_arena *a = cor_arena_new(0);
	const core_v1_Pod *p = pod(a, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"labels\":{\"l\":\"x\"}},\"spec\":{"
		"\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"1500m\"}},"
		"\"envFrom\":[{\"prefix\":\"P_\",\"configMapRef\":{\"name\":\"cm\"}}],\"env\":["
		"{\"name\":\"A\",\"value\":\"$(P_k)-$(MY_SVC_SERVICE_HOST)\"},"
		"{\"name\":\"IP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},"
		"{\"name\":\"L\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['l']\"}}},"
		"{\"name\":\"CPU\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\"}}},"
		"{\"name\":\"O\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\",\"optional\":true}}}]},"
		"{\"name\":\"bad\",\"env\":[{\"name\":\"X\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"cm\",\"key\":\"z\"}}}]}]}}");
	struct cor_pod_facts_env f = { .pod = p, .pod_ip = "10.1.2.3", .host_ip = "1.1.1.1", .object = one_object,
		.services = services };
	struct cor_env e;
	struct cor_err err;
	assert_int_equal(cor_env_build(a, &f, &p->spec.containers.p[0], &e, &err), 0);
	static const struct { const char *name, *value; } want[] = {
		{ "P_k", "v" }, { "A", "v-10.96.0.7" }, { "IP", "10.1.2.3" }, { "L", "x" }, { "CPU", "2" }, { "O", NULL },
		{ "MY_SVC_SERVICE_PORT_HTTP", "80" }, { "MY_SVC_PORT_80_TCP", "tcp://10.96.0.7:80" },
		{ "FAR_SERVICE_HOST", NULL },
	};
	for (size_t i = 0; i < cor_countof(want); i++) {
		const struct cor_str *v = cor_env_get(&e, cor_str_c(want[i].name));
		if (!v != !want[i].value || (v && !cor_str_eq_c(*v, want[i].value)))
			fail_msg("%s is %.*s", want[i].name, v ? (int)v->n : 4, v ? v->p : "none");
	}
	assert_int_equal(cor_env_build(a, &f, &p->spec.containers.p[1], &e, &err), COR_E_NOT_FOUND);
	assert_string_equal(err.message, "couldn't find key z in ConfigMap ns/cm");
	cor_arena_free(a);
}

/* One letter a container: . never ran, r running, 0 ended well, 1 failed; init containers come
 * first, then '|'. */
static void facts_of(struct cor_ctr_facts *c, size_t *n, const core_v1_Pod *p, const char *text) {
	enum cor_ctr_kind kind = COR_CTR_INIT;
	size_t at[2] = { 0 };
	*n = 0;
	for (; *text; text++) {
		if (*text == '|') {
			kind = COR_CTR_REGULAR;
			continue;
		}
		const core_v1_Container *spec = kind == COR_CTR_INIT ? &p->spec.initContainers.p[at[0]++] :
			&p->spec.containers.p[at[1]++];
		c[(*n)++] = (struct cor_ctr_facts){ .spec = spec, .kind = kind, .ready = *text == 'r', .started = *text == 'r',
			.inst = { .phase = *text == '.' ? COR_INST_NONE : *text == 'r' ? COR_INST_RUNNING : COR_INST_EXITED,
				.exit_code = *text == '1' } };
	}
}

static void test_phase(void **state) {
	static const struct {
		const char *policy, *containers;
		bool stopped;
		const char *phase, *ready;
		bool finished;
	} rows[] = {
		{ "Always", "|.", false, "Pending", "False", false },
		{ "Always", "|r", false, "Running", "True", false },
		{ "Always", "|r1", false, "Running", "False", false },
		{ "Always", "|0", false, "Running", "False", false },
		{ "Never", "|0", true, "Succeeded", "False", true },
		{ "Never", "|01", true, "Failed", "False", true },
		{ "Never", "|0r", false, "Running", "False", false },
		{ "OnFailure", "|1", false, "Running", "False", false },
		{ "OnFailure", "|0", true, "Succeeded", "False", true },
		{ "Always", ".|.", false, "Pending", "False", false },
		{ "Always", "r|.", false, "Pending", "False", false },
		{ "Always", "1|.", false, "Pending", "False", false },
		{ "Never", "1|.", true, "Failed", "False", true },
		{ "Always", "0|r", false, "Running", "True", false },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct cor_arena *a = cor_arena_new(0);
		core_v1_Pod *p = pod(a, "{\"metadata\":{\"generation\":3},\"spec\":{\"initContainers\":[{\"name\":\"i\"}],"
			"\"containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}}");
		if (rows[i].containers[0] == '|')
			p->spec.initContainers.n = 0;
		p->spec.containers.n = strlen(strchr(rows[i].containers, '|') + 1);
		p->spec.restartPolicy = cor_str_c(rows[i].policy);
		struct cor_ctr_facts c[4];
		struct cor_pod_facts f = { .pod = p, .ctrs = c, .ip = "", .host_ip = "1.1.1.1", .now = 5 * COR_SECOND };
		facts_of(c, &f.n, p, rows[i].containers);
		if (cor_pod_facts_finished(&f) != rows[i].finished)
			fail_msg("row %zu: finished", i);
		f.ending = f.stopped = rows[i].stopped;
		core_v1_PodStatus s;
		cor_pod_status(a, &f, &s);
		if (!cor_str_eq_c(s.phase, rows[i].phase))
			fail_msg("row %zu (%s %s): %.*s", i, rows[i].policy, rows[i].containers, COR_STR_ARG(s.phase));
		for (size_t k = 0; k < s.conditions.n; k++)
			if (cor_str_eq_c(s.conditions.p[k].type, "Ready") && !cor_str_eq_c(s.conditions.p[k].status, rows[i].ready))
				fail_msg("row %zu: Ready is %.*s", i, COR_STR_ARG(s.conditions.p[k].status));
		assert_int_equal(s.observedGeneration, 3);
		if (s.containerStatuses.n == 2)
			assert_true(cor_str_eq_c(s.containerStatuses.p[0].name, "a"));
		cor_arena_free(a);
	}
}

static void test_backoff(void **state) {
	struct cor_backoff b = { 0 };
	cor_time now = 1000 * COR_SECOND;
	static const int waits[] = { 0, 10, 20, 40, 80, 160, 300, 300 };
	for (size_t i = 0; i < cor_countof(waits); i++) {
		cor_time wait = cor_backoff_wait(&b, now, now);
		assert_int_equal(wait / COR_SECOND, waits[i]);
		now += wait;
		cor_backoff_step(&b, now);
	}
	/* It ran for longer than ten minutes: forgotten. */
	now += 601 * COR_SECOND;
	assert_int_equal(cor_backoff_wait(&b, now, now), 0);
}

static void test_probe_count(void **state) {
	struct cor_probe_count c = { .result = true };
	assert_false(cor_probe_counted(&c, false, 1, 3));
	assert_false(cor_probe_counted(&c, false, 1, 3));
	assert_true(cor_probe_counted(&c, false, 1, 3));
	assert_false(c.result);
	assert_true(cor_probe_counted(&c, true, 1, 3));
	assert_true(c.result);
	/* A success in between begins the count again. */
	assert_false(cor_probe_counted(&c, false, 2, 2));
	assert_false(cor_probe_counted(&c, true, 2, 2));
	assert_false(cor_probe_counted(&c, false, 2, 2));
	assert_true(cor_probe_counted(&c, false, 2, 2));
}

static void read_link(const char *dir, char out[200]) {
	char path[300];
	(void)snprintf(path, sizeof(path), "%s/..data", dir);
	ssize_t n = readlink(path, out, 199);
	assert_true(n > 0);
	out[n] = 0;
}

static void test_files(void **state) {
	char dir[] = "/tmp/coracle-volume-XXXXXX", before[200], after[200], path[300];
	assert_non_null(mkdtemp(dir));
	struct cor_arena *a = cor_arena_new(0);
	struct cor_volume_files files = { 0 };
	struct cor_err err;
	static const char *const bad[] = { "../x", "/x", "a/../b", "", "..x", "a//b" };
	for (size_t i = 0; i < cor_countof(bad); i++)
		assert_int_equal(cor_volume_file_add(a, &files, cor_str_c(bad[i]), COR_STR("x"), 0644, &err), COR_E_INVALID);
	assert_int_equal(cor_volume_file_add(a, &files, COR_STR("one"), COR_STR("1"), 0400, &err), 0);
	assert_int_equal(cor_volume_file_add(a, &files, COR_STR("sub/two"), COR_STR("2"), 0644, &err), 0);
	assert_int_equal(cor_volume_write_files(dir, &files, -1, &err), 0);
	read_link(dir, before);
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/one", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	/* The same again changes nothing; other content is another directory, and old names go. */
	assert_int_equal(cor_volume_write_files(dir, &files, -1, &err), 0);
	read_link(dir, after);
	assert_string_equal(before, after);
	files.p[0].path = COR_STR("three");
	assert_int_equal(cor_volume_write_files(dir, &files, -1, &err), 0);
	read_link(dir, after);
	assert_string_not_equal(before, after);
	assert_int_equal(lstat(path, &st), -1);
	(void)snprintf(path, sizeof(path), "%s/sub/two", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(cor_volume_remove_tree(dir, &err), 0);
	assert_int_equal(access(dir, F_OK), -1);
	cor_arena_free(a);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand), cmocka_unit_test(test_env), cmocka_unit_test(test_phase),
		cmocka_unit_test(test_backoff), cmocka_unit_test(test_probe_count), cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
