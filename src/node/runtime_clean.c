// SPDX-License-Identifier: Apache-2.0
// `coracle down`: ends what is left of a cluster's containers, with no agent and no loop.
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "node/runtime_priv.h"

enum { TRIES = 500, TRY_MS = 10 };

static void pause_a_little(void) {
	(void)nanosleep(&(struct timespec){ .tv_nsec = TRY_MS * 1000 * 1000 }, NULL);
}

int cor_runtime_conmon_clean(const char *cluster, const char *data_dir, const char *run_dir,
	cor_time grace, struct cor_err *err) {
	struct cor_cgroups cg;
	int r = cor_cgroups_init(&cg, cluster, err);
	if (r < 0)
		return r;
	if (grace > 0 && cor_cgroup_signal(&cg, cg.base, SIGTERM) > 0)
		/* Not for those whom it does not reach: `sleep` as the first process of a container never ends by it. */
		for (cor_time t = 0; t < grace && cor_cgroup_hearing(&cg, cg.base) > 0; t += TRY_MS * COR_MS)
			pause_a_little();
	/* conmon ends with its container; it is in no control group of ours. */
	bool gone = false;
	for (int i = 0; i < TRIES && !gone; i++) {
		if (cor_cgroup_kill(&cg, cg.base) == 0)
			gone = cor_cgroup_remove(&cg, cg.base);
		if (!gone)
			pause_a_little();
	}
	static const char *const parts[] = { "crun", "s" };
	for (size_t i = 0; i < cor_countof(parts); i++) {
		_cleanup_free_ char *dir = cor_asprintf("%s/%s", run_dir, parts[i]);
		remove_tree(dir);
	}
	_cleanup_free_ char *containers = cor_asprintf("%s/containers", data_dir);
	remove_tree(containers);
	r = gone ? 0 : cor_fail(err, -EBUSY, "control group %s still has processes", cg.base);
	cor_cgroups_fini(&cg);
	return r;
}
