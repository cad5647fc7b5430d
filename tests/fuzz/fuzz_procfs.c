// SPDX-License-Identifier: Apache-2.0
// Files of the kernel. The first line chooses: meminfo, netdev, or the version of the control group
// whose every file holds the rest.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "node/cgroup.h"

/* The readers of /proc are static: no other file needs them. */
#include "node/kubelet_stats.c"

#define TOP "/mnt"

static void group(struct cor_str in, enum cor_cgroup_mode mode) {
	static const char *const files[] = { "memory.stat", "memory.usage_in_bytes",
		"memory.limit_in_bytes", "memory.current", "memory.max", "memory.events",
		"memory.oom_control", "cpu.stat", "cpuacct.usage", "pids.current" };
	struct cor_cgroups cg = { .mode = mode,
		.base = "/b",
		.n_hierarchies = 1,
		.cpu = TOP,
		.cpuacct = TOP,
		.memory = TOP,
		.pids = TOP };
	struct cor_container_stats s;

	for (size_t i = 0; i < cor_countof(files); i++) {
		_cleanup_free_ char *path = cor_asprintf(TOP "/g/%s", files[i]);
		_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		cor_assert(fd >= 0 && write(fd, in.p, in.n) == (ssize_t)in.n);
	}
	if (cor_cgroup_stats(&cg, "/g", &s, NULL) == 0)
		cor_assert(s.memory_working_set <= s.memory_usage);
	(void)cor_cgroup_oom_kills(&cg, "/g");
}

static void begin(void) {
	/* Only this process sees it, and it goes with it. */
	cor_assert(unshare(CLONE_NEWNS) == 0);
	cor_assert(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	cor_assert(mount("fuzz", TOP, "tmpfs", 0, "size=16m") == 0);
	cor_assert(mkdir(TOP "/g", 0700) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static bool begun;
	struct cor_str in = fuzz_input(data, n), what = fuzz_line(&in);
	_cleanup_free_ char *text = fuzz_cstr(in);
	struct node_figures f = { 0 };

	if (!begun)
		begin();
	begun = true;
	if (cor_str_eq_c(what, "meminfo"))
		(void)(meminfo(text, "MemTotal:") + meminfo(text, "MemAvailable:"));
	else if (cor_str_eq_c(what, "netdev"))
		read_net(&f, text);
	else if (cor_str_eq_c(what, "cgroup1"))
		group(in, COR_CGROUP_V1);
	else if (cor_str_eq_c(what, "cgroup2"))
		group(in, COR_CGROUP_V2);
	return 0;
}
