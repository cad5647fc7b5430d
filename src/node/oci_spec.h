// SPDX-License-Identifier: Apache-2.0
// Turns the description of a container into an OCI runtime bundle's config.json. Pure but for the
// reading of a Localhost seccomp profile and of /dev for privileged containers.
#pragma once

#include "base/buf.h"
#include "node/runtime.h"

/* What the builder has to know about the node. */
struct cor_oci_node {
	const char *cgroup_path;        /* "/coracle-x/pod.../id" */
	bool cgroup_v2;
	bool swap_limit;                /* the kernel can limit swap per cgroup */
	uint64_t capabilities;          /* that can be given; the kernel refuses others */
	uint64_t open_files;            /* how many a process may have open; 0: as the agent */
	int oom_score_adj_min;          /* lower values cannot be set; the spec's is raised to it */
};

/* Appends to out. COR_E_INVALID names what is wrong with the description. */
[[nodiscard]] int cor_oci_spec(const struct cor_container_spec *spec, const struct cor_oci_node *node,
	struct cor_buf *out, struct cor_err *err);

/* Formulas of facts/node-agent 13.1: 2 when milli <= 0; 0 = no quota per 100000 us. */
uint64_t cor_cpu_shares(int64_t milli);
int64_t cor_cpu_quota(int64_t milli);
uint64_t cor_cpu_weight(uint64_t shares);       /* cgroup v2, 1..10000 */

/* The capabilities of a container: a bit for each number of linux/capability.h.
 * COR_E_INVALID for a name that does not exist. */
[[nodiscard]] int cor_oci_capabilities(const struct cor_container_spec *spec, uint64_t *ret,
	struct cor_err *err);

/* oci_seccomp.c: our RuntimeDefault profile as a value of linux.seccomp. */
void cor_oci_seccomp_default(struct cor_buf *out, uint64_t capabilities);
