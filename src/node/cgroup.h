// SPDX-License-Identifier: Apache-2.0
// Control groups of pods and containers, versions 1 and 2:
//   /coracle-<cluster>[/burstable|/besteffort]/pod<uid>/<container id>
// crun makes those of containers; those above are made here. Paths are relative to the root of
// each hierarchy. The calls read and write a few small files of the kernel and do not block.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "node/runtime.h"

enum cor_cgroup_mode {
	COR_CGROUP_V1,
	COR_CGROUP_HYBRID, /* version 1 with an empty version 2 tree beside it */
	COR_CGROUP_V2,
	COR_CGROUP_MODE_MAX,
};

enum { COR_CGROUP_PATH_MAX = 256, COR_CGROUP_HIERARCHIES_MAX = 20 };

struct cor_cgroups {
	enum cor_cgroup_mode mode;
	char base[COR_CGROUP_PATH_MAX];                /* "/coracle-<cluster>" */
	char *hierarchies[COR_CGROUP_HIERARCHIES_MAX]; /* mount points; version 2 has one */
	size_t n_hierarchies;
	const char *cpu, *cpuacct, *memory, *pids; /* of the above; NULL when missing */
	bool swap_limit;
};

/* Looks at what is mounted below /sys/fs/cgroup. */
[[nodiscard]] int cor_cgroups_init(
	struct cor_cgroups *cg, const char *cluster, struct cor_err *err);
void cor_cgroups_fini(struct cor_cgroups *cg);

/* id NULL: of the pod. */
void cor_cgroup_path(const struct cor_cgroups *cg, enum cor_qos qos, const char *pod_uid,
	const char *id, char out[COR_CGROUP_PATH_MAX]);
[[nodiscard]] int cor_cgroup_make(
	const struct cor_cgroups *cg, const char *path, struct cor_err *err);
/* What is 0 in r becomes unlimited. */
[[nodiscard]] int cor_cgroup_set(const struct cor_cgroups *cg, const char *path,
	const struct cor_resources *r, struct cor_err *err);
/* Moving a process takes a lock of the kernel that costs some 10 ms, unless somebody had it a
 * moment ago: this has it for nothing. root is that of pids (cg->pids). Blocks. */
void cor_cgroup_announce_move(const char *root, enum cor_cgroup_mode mode);
/* A signal, or 0 for none, to every process in it and below; returns how many there were. */
size_t cor_cgroup_signal(const struct cor_cgroups *cg, const char *path, int sig);
/* How many of them are there for whom SIGTERM is something: not one that ignores it, nor the first process of
 * a namespace that has no handler for it, which the kernel spares. */
size_t cor_cgroup_hearing(const struct cor_cgroups *cg, const char *path);
/* SIGKILL to all of them, those included that begin meanwhile where the kernel can do that. */
size_t cor_cgroup_kill(const struct cor_cgroups *cg, const char *path);
/* With everything below. False when a process is still in it; missing is fine. */
bool cor_cgroup_remove(const struct cor_cgroups *cg, const char *path);
/* The uid of every pod that has a group in one of the hierarchies; it may come more than once. */
void cor_cgroup_pods(const struct cor_cgroups *cg, void (*fn)(void *arg, const char *pod_uid), void *arg);
/* Processes in it (and below) that the kernel has killed for lack of memory. */
uint64_t cor_cgroup_oom_kills(const struct cor_cgroups *cg, const char *path);
[[nodiscard]] int cor_cgroup_stats(const struct cor_cgroups *cg, const char *path,
	struct cor_container_stats *ret, struct cor_err *err);
