// SPDX-License-Identifier: Apache-2.0
// Control groups of both versions against plain files: what is written for limits, what is read of
// figures. (That the kernel obeys is tested with real containers in tests/node.)
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/cgroup.h"

static char root[64];

static int make_root(void **state) {
	(void)state;
	(void)snprintf(root, sizeof(root), "/tmp/coracle-cg-XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static int remove_entry(const char *p, const struct stat *st, int kind, struct FTW *ftw) {
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(p);
}

static int remove_root(void **state) {
	(void)state;
	return nftw(root, remove_entry, 8, FTW_PHYS | FTW_DEPTH);
}

static struct cor_cgroups fake(enum cor_cgroup_mode mode, bool swap) {
	return (struct cor_cgroups){ .mode = mode, .base = "/coracle-x", .hierarchies = { root },
		.n_hierarchies = 1, .cpu = root, .cpuacct = root, .memory = root, .pids = root,
		.swap_limit = swap };
}

static void put(const char *path, const char *name, const char *text) {
	char file[256];
	(void)snprintf(file, sizeof(file), "%s%s/%s", root, path, name);
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void assert_file(const char *path, const char *name, const char *text) {
	char file[256], got[256] = "";
	(void)snprintf(file, sizeof(file), "%s%s/%s", root, path, name);
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, got, sizeof(got) - 1) >= 0);
	assert_string_equal(got, text);
}

static void paths(void **state) {
	(void)state;
	static const struct {
		enum cor_qos qos;
		const char *id, *path;
	} cases[] = {
		{ COR_QOS_GUARANTEED, NULL, "/coracle-x/podu1" },
		{ COR_QOS_BURSTABLE, "c1", "/coracle-x/burstable/podu1/c1" },
		{ COR_QOS_BEST_EFFORT, NULL, "/coracle-x/besteffort/podu1" },
	};
	struct cor_cgroups cg = fake(COR_CGROUP_V2, false);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		char path[COR_CGROUP_PATH_MAX];
		cor_cgroup_path(&cg, cases[i].qos, "u1", cases[i].id, path);
		assert_string_equal(path, cases[i].path);
	}
}

static const char path[] = "/coracle-x/podu1";

struct limit {
	const char *file, *limited, *unlimited;
};

static void check_limits(enum cor_cgroup_mode mode, const struct limit *limits, size_t n) {
	struct cor_cgroups cg = fake(mode, true);
	const struct cor_resources some = { .cpu_request_milli = 250, .cpu_limit_milli = 500,
		.memory_limit = 1000000, .pids_limit = 77 };
	assert_int_equal(cor_cgroup_make(&cg, path, NULL), 0);
	for (size_t i = 0; i < n; i++)
		put(path, limits[i].file, "");
	assert_int_equal(cor_cgroup_set(&cg, path, &some, NULL), 0);
	for (size_t i = 0; i < n; i++)
		assert_file(path, limits[i].file, limits[i].limited);
	for (size_t i = 0; i < n; i++)
		put(path, limits[i].file, "");
	assert_int_equal(cor_cgroup_set(&cg, path, &(struct cor_resources){ 0 }, NULL), 0);
	for (size_t i = 0; i < n; i++)
		assert_file(path, limits[i].file, limits[i].unlimited);
	/* A file that is not there is an error that names it. */
	struct cor_err err = { 0 };
	assert_int_equal(cor_cgroup_set(&cg, "/coracle-x", &some, &err), -ENOENT);
	assert_non_null(strstr(err.message, limits[0].file));
}

static void limits_v1(void **state) {
	(void)state;
	static const struct limit limits[] = {
		{ "cpu.shares", "256", "2" }, { "cpu.cfs_period_us", "100000", "100000" },
		{ "cpu.cfs_quota_us", "50000", "-1" }, { "memory.limit_in_bytes", "1000000", "-1" },
		{ "memory.memsw.limit_in_bytes", "1000000", "-1" }, { "pids.max", "77", "max" },
	};
	check_limits(COR_CGROUP_V1, limits, cor_countof(limits));
}

static void limits_v2(void **state) {
	(void)state;
	static const struct limit limits[] = {
		{ "cpu.weight", "10", "1" }, { "cpu.max", "50000 100000", "max 100000" },
		{ "memory.max", "1000000", "max" }, { "memory.swap.max", "0", "" }, { "pids.max", "77", "max" },
	};
	check_limits(COR_CGROUP_V2, limits, cor_countof(limits));
}

static void figures(void **state) {
	(void)state;
	static const struct {
		enum cor_cgroup_mode mode;
		const char *files[8][2];
	} cases[] = {
		{ COR_CGROUP_V1, { { "memory.stat", "cache 5\ninactive_file 1\ntotal_rss 40\ntotal_inactive_file 30\n"
				"total_pgfault 7\ntotal_pgmajfault 2\n" },
			{ "memory.usage_in_bytes", "100\n" }, { "memory.limit_in_bytes", "9223372036854771712\n" },
			{ "cpuacct.usage", "123456\n" }, { "pids.current", "3\n" },
			{ "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n" } } },
		{ COR_CGROUP_V2, { { "memory.stat", "anon 40\nfile 5\ninactive_file 30\npgfault 7\npgmajfault 2\n" },
			{ "memory.current", "100\n" }, { "memory.max", "max\n" },
			{ "cpu.stat", "usage_usec 123\nuser_usec 100\n" }, { "pids.current", "3\n" },
			{ "memory.events", "low 0\noom 9\noom_kill 4\n" } } },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_cgroups cg = fake(cases[i].mode, false);
		struct cor_container_stats s = { 0 };
		(void)cor_cgroup_make(&cg, path, NULL);
		for (int f = 0; cases[i].files[f][0]; f++)
			put(path, cases[i].files[f][0], cases[i].files[f][1]);
		assert_int_equal(cor_cgroup_stats(&cg, path, &s, NULL), 0);
		assert_int_equal(s.memory_usage, 100);
		assert_int_equal(s.memory_working_set, 70);
		assert_int_equal(s.memory_rss, 40);
		assert_int_equal(s.memory_limit, 0);
		assert_int_equal(s.page_faults, 7);
		assert_int_equal(s.major_page_faults, 2);
		assert_int_equal(s.cpu_usage_ns, i ? 123000 : 123456);
		assert_int_equal(s.pids, 3);
		assert_int_equal(cor_cgroup_oom_kills(&cg, path), 4);
		put(path, cases[i].mode == COR_CGROUP_V2 ? "memory.max" : "memory.limit_in_bytes", "4096\n");
		assert_int_equal(cor_cgroup_stats(&cg, path, &s, NULL), 0);
		assert_int_equal(s.memory_limit, 4096);
	}
	struct cor_cgroups cg = fake(COR_CGROUP_V2, false);
	struct cor_container_stats s;
	assert_int_equal(cor_cgroup_stats(&cg, "/coracle-x/gone", &s, NULL), COR_E_NOT_FOUND);
	assert_int_equal(cor_cgroup_oom_kills(&cg, "/coracle-x/gone"), 0);
	assert_true(cor_cgroup_remove(&cg, "/coracle-x/gone"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test_setup_teardown(limits_v1, make_root, remove_root),
		cmocka_unit_test_setup_teardown(limits_v2, make_root, remove_root),
		cmocka_unit_test_setup_teardown(figures, make_root, remove_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
