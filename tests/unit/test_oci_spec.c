// SPDX-License-Identifier: Apache-2.0
// The builder of config.json: formulas, capabilities, mounts, and what privileged changes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/tree.h"
#include "node/oci_spec.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct cor_oci_node node = { .cgroup_path = "/coracle-x/podu/id", .capabilities = UINT64_MAX,
	.oom_score_adj_min = -1000, .swap_limit = true };

static struct cor_container_spec base_spec(void) {
	static const char *const argv[] = { "/bin/app", "arg \"1\"\n", NULL };
	return (struct cor_container_spec){ .id = "id", .pod_uid = "u", .name = "c", .rootfs = "/rootfs",
		.argv = argv, .log_path = "/log" };
}

static struct cor_node *build(struct cor_arena *a, const struct cor_container_spec *spec,
	const struct cor_oci_node *n) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	struct cor_err err = { 0 };
	if (cor_oci_spec(spec, n, &out, &err) < 0)
		fail_msg("%s", err.message);
	struct cor_node *doc = cor_node_parse(a, cor_buf_view(&out), NULL, &err);
	if (!doc)
		fail_msg("%s in %.*s", err.message, (int)out.n, out.p);
	return doc;
}

static bool has(const struct cor_node *list, const char *text) {
	for (size_t i = 0; list && i < list->items.n; i++)
		if (cor_str_eq_c(list->items.p[i]->text, text))
			return true;
	return false;
}

static void formulas(void **state) {
	(void)state;
	static const struct {
		int64_t milli;
		uint64_t shares, weight;
		int64_t quota;
	} cases[] = {
		{ 0, 2, 1, 0 }, { -5, 2, 1, 0 }, { 1, 2, 1, 1000 }, { 2, 2, 1, 1000 }, { 10, 10, 1, 1000 },
		{ 100, 102, 4, 10000 }, { 1000, 1024, 39, 100000 }, { 2500, 2560, 98, 250000 },
		{ 256000, 262144, 10000, 25600000 }, { 1000000, 262144, 10000, 100000000 },
		{ INT64_MAX, 262144, 10000, 0 },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		uint64_t shares = cor_cpu_shares(cases[i].milli);
		assert_int_equal(shares, cases[i].shares);
		assert_int_equal(cor_cpu_weight(shares), cases[i].weight);
		assert_int_equal(cor_cpu_quota(cases[i].milli), cases[i].quota);
	}
}

static void capabilities(void **state) {
	(void)state;
	static const struct {
		const char *add, *drop;         /* comma separated */
		bool privileged;
		uint64_t caps;                  /* 0 with bad: refused */
		bool bad;
	} cases[] = {
		{ "", "", false, 0xa80425fb, false },
		{ "", "ALL", false, 0, false },
		{ "NET_ADMIN", "ALL", false, 1 << 12, false },
		{ "cap_net_admin", "CAP_NET_RAW", false, 0xa80435fb & ~(1u << 13), false },
		{ "ALL", "", false, UINT64_C(0x1ffffffffff), false },
		{ "ALL", "CHOWN", false, UINT64_C(0x1fffffffffe), false },
		{ "", "ALL", true, UINT64_C(0x1ffffffffff), false },
		{ "NET_ADMINS", "", false, 0, true },
		{ "", "CAP_", false, 0, true },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_container_spec spec = base_spec();
		struct cor_err err = { 0 };
		uint64_t caps = 0;
		spec.cap_add = *cases[i].add ? ARGV(cases[i].add) : NULL;
		spec.cap_drop = *cases[i].drop ? ARGV(cases[i].drop) : NULL;
		spec.privileged = cases[i].privileged;
		int r = cor_oci_capabilities(&spec, &caps, &err);
		assert_int_equal(r, cases[i].bad ? COR_E_INVALID : 0);
		assert_int_equal(caps, cases[i].caps);
	}
}

static void process(void **state) {
	(void)state;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_container_spec spec = base_spec();
	const struct cor_kv env[] = { { COR_STR_INIT("A"), COR_STR_INIT("b\"c") },
		{ COR_STR_INIT("PATH"), COR_STR_INIT("/opt") } };
	spec.env = env;
	spec.n_env = 2;
	spec.hostname = "web-0";
	spec.uid = 1;
	spec.gid = 2;
	spec.groups = (const uint32_t[]){ 7, 8 };
	spec.n_groups = 2;
	spec.oom_score_adj = -997;
	spec.no_new_privileges = spec.tty = true;
	struct cor_oci_node poor = node;
	poor.oom_score_adj_min = 100;
	poor.open_files = 4096;
	const struct cor_node *doc = build(a, &spec, &poor);
	int64_t n = 0;
	bool yes = false;
	assert_true(cor_node_path_int(doc, "process.oomScoreAdj", &n));
	assert_int_equal(n, 100);
	assert_true(cor_node_path_int(cor_node_path(doc, "process.rlimits")->items.p[0], "soft", &n));
	assert_int_equal(n, 4096);
	assert_true(cor_node_path_bool(doc, "process.noNewPrivileges", &yes) && yes);
	assert_true(cor_node_path_bool(doc, "process.terminal", &yes) && yes);
	const struct cor_node *list = cor_node_path(doc, "process.env");
	assert_true(has(list, "A=b\"c") && has(list, "PATH=/opt") && has(list, "HOSTNAME=web-0") &&
		has(list, "TERM=xterm"));
	assert_int_equal(list->items.n, 4);
	assert_true(has(cor_node_path(doc, "process.args"), "arg \"1\"\n"));
	assert_int_equal(cor_node_path(doc, "process.user.additionalGids")->items.n, 2);
	assert_true(cor_str_eq_c(cor_node_path_str(doc, "process.cwd"), "/"));
	assert_true(has(cor_node_path(doc, "process.capabilities.bounding"), "CAP_KILL"));
	assert_false(has(cor_node_path(doc, "process.capabilities.bounding"), "CAP_SYS_ADMIN"));
}

static void mounts(void **state) {
	(void)state;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_container_spec spec = base_spec();
	const struct cor_mount list[] = {
		{ .source = "/v2", .destination = "/data/x/y", .read_only = true },
		{ .source = "/v1", .destination = "/data/", .propagation = COR_PROPAGATION_BIDIRECTIONAL },
		{ .source = "/v3", .destination = "/dev/shm" },
		{ .source = "/v4", .destination = "/etc", .read_only = true, .recursive_read_only = true },
	};
	spec.mounts = list;
	spec.n_mounts = cor_countof(list);
	const struct cor_node *doc = build(a, &spec, &node);
	const struct cor_node *m = cor_node_path(doc, "mounts");
	int at_v1 = -1, at_v2 = -1, shm = 0, dev = -1;
	for (int i = 0; i < (int)m->items.n; i++) {
		const struct cor_node *one = m->items.p[i];
		struct cor_str source = cor_node_path_str(one, "source"), to = cor_node_path_str(one, "destination");
		const struct cor_node *o = cor_node_get_c(one, "options");
		if (cor_str_eq_c(source, "/v1")) {
			at_v1 = i;
			assert_true(has(o, "rshared") && has(o, "rbind") && has(o, "rw"));
		} else if (cor_str_eq_c(source, "/v2")) {
			at_v2 = i;
			assert_true(has(o, "rprivate") && has(o, "ro"));
		} else if (cor_str_eq_c(source, "/v4")) {
			assert_true(has(o, "rro") && !has(o, "ro"));
		}
		if (cor_str_eq_c(to, "/dev/shm")) {
			shm++;
			assert_true(dev >= 0);
			assert_true(cor_str_eq_c(source, "/v3"));
		}
		if (cor_str_eq_c(to, "/dev"))
			dev = i;
	}
	assert_true(at_v1 >= 0 && at_v2 > at_v1);
	assert_int_equal(shm, 1);
	assert_true(cor_str_eq_c(cor_node_path_str(doc, "linux.rootfsPropagation"), "rshared"));
}

static void privileges(void **state) {
	(void)state;
	for (int i = 0; i < 2; i++) {
		_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
		struct cor_container_spec spec = base_spec();
		spec.seccomp = COR_SECCOMP_RUNTIME_DEFAULT;
		spec.privileged = i == 1;
		const struct cor_node *doc = build(a, &spec, &node);
		assert_int_equal(cor_node_path(doc, "linux.maskedPaths") != NULL, i == 0);
		assert_int_equal(cor_node_path(doc, "linux.readonlyPaths") != NULL, i == 0);
		assert_int_equal(cor_node_path(doc, "linux.seccomp") != NULL, i == 0);
		assert_int_equal(cor_node_path(doc, "linux.devices")->items.n > 0, i == 1);
		bool allow = false;
		(void)cor_node_path_bool(cor_node_path(doc, "linux.resources.devices")->items.p[0], "allow", &allow);
		assert_int_equal(allow, i == 1);
	}
}

static void seccomp_follows_capabilities(void **state) {
	(void)state;
	for (int i = 0; i < 2; i++) {
		_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
		struct cor_container_spec spec = base_spec();
		spec.seccomp = COR_SECCOMP_RUNTIME_DEFAULT;
		spec.cap_add = i ? ARGV("SYS_ADMIN") : NULL;
		const struct cor_node *doc = build(a, &spec, &node);
		const struct cor_node *calls = cor_node_path(doc, "linux.seccomp.syscalls");
		const struct cor_node *names = cor_node_get_c(calls->items.p[0], "names");
		assert_int_equal(has(names, "mount"), i == 0);
		assert_true(has(names, "keyctl"));
		assert_int_equal(calls->items.n, i ? 2 : 10);
	}
}

static void resources(void **state) {
	(void)state;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_container_spec spec = base_spec();
	spec.resources = (struct cor_resources){ .cpu_limit_milli = 500, .memory_limit = 1 << 20, .pids_limit = 9 };
	struct cor_oci_node two = node;
	two.cgroup_v2 = true;
	const struct cor_node *doc = build(a, &spec, &two);
	static const struct {
		const char *path;
		int64_t value;
	} cases[] = {
		{ "linux.resources.cpu.shares", 512 }, { "linux.resources.cpu.quota", 50000 },
		{ "linux.resources.cpu.period", 100000 }, { "linux.resources.memory.limit", 1 << 20 },
		{ "linux.resources.memory.swap", 1 << 20 }, { "linux.resources.pids.limit", 9 },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		int64_t v = -1;
		assert_true(cor_node_path_int(doc, cases[i].path, &v));
		assert_int_equal(v, cases[i].value);
	}
	const struct cor_node *unified = cor_node_path(doc, "linux.resources.unified");
	assert_true(cor_str_eq_c(cor_node_get_c(unified, "memory.oom.group")->text, "1"));
}

static void namespaces(void **state) {
	(void)state;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_container_spec spec = base_spec();
	spec.net_ns = "/run/ns/net";
	spec.pid_host = true;
	const struct cor_node *list = cor_node_path(build(a, &spec, &node), "linux.namespaces");
	assert_int_equal(list->items.n, 3);     /* mount, network, cgroup */
	assert_true(cor_str_eq_c(cor_node_path_str(list->items.p[1], "path"), "/run/ns/net"));
}

static void refusals(void **state) {
	(void)state;
	static const struct cor_mount bad_mount = { .source = "/a", .destination = "relative" };
	static const struct cor_mount root_mount = { .source = "/a", .destination = "//" };
	static const struct cor_device bad_device = { "/etc/passwd", "/dev/x", "rw" };
	struct cor_container_spec specs[7];
	for (size_t i = 0; i < cor_countof(specs); i++)
		specs[i] = base_spec();
	specs[0].argv = ARGV(NULL);
	specs[1].rootfs = "rel";
	specs[2].cwd = "rel";
	specs[3].mounts = &bad_mount;
	specs[4].mounts = &root_mount;
	specs[3].n_mounts = specs[4].n_mounts = 1;
	specs[5].devices = &bad_device;
	specs[5].n_devices = 1;
	specs[6].seccomp = COR_SECCOMP_LOCALHOST;
	specs[6].seccomp_path = "/dev/null";
	for (size_t i = 0; i < cor_countof(specs); i++) {
		_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
		struct cor_err err = { 0 };
		if (cor_oci_spec(&specs[i], &node, &out, &err) != COR_E_INVALID)
			fail_msg("case %zu: %d %s", i, err.code, err.message);
		assert_true(err.message[0]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formulas), cmocka_unit_test(capabilities), cmocka_unit_test(process),
		cmocka_unit_test(mounts), cmocka_unit_test(privileges),
		cmocka_unit_test(seccomp_follows_capabilities), cmocka_unit_test(resources),
		cmocka_unit_test(namespaces), cmocka_unit_test(refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
