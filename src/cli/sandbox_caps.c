// SPDX-License-Identifier: Apache-2.0
// The capabilities of the node agent. Two lists in one table: what the agent itself holds, and what
// the programs that it starts can have. crun is one of those: it starts as root and so has the
// whole bounding set again, from which it gives each container what its pod asks for. Overlay file
// systems act with the capabilities of who mounted them, which is the agent: what containers do to
// files of their image needs them as well.
#include <cap-ng.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "cli/sandbox.h"

enum who { AGENT, CONTAINERS };

static const struct {
	unsigned cap;
	enum who who;
	const char *reason;
} table[] = {
	{ CAP_CHOWN, AGENT, "owners of image layers and volumes" },
	{ CAP_DAC_OVERRIDE, AGENT, "volumes and images belong to other users" },
	{ CAP_FOWNER, AGENT, "modes and times of files of other users" },
	{ CAP_FSETID, AGENT, "set-id bits in layers, fsGroup on directories" },
	{ CAP_KILL, AGENT, "containers and the DNS server run as other users" },
	{ CAP_LINUX_IMMUTABLE, AGENT, "containers that were given it, on the overlay" },
	{ CAP_MKNOD, AGENT, "whiteouts, loop devices" },
	{ CAP_NET_ADMIN, AGENT, "interfaces, routes, service rules" },
	{ CAP_NET_BIND_SERVICE, AGENT, "a kubelet port below 1024" },
	{ CAP_SETFCAP, AGENT, "capabilities of files in layers" },
	{ CAP_SETPCAP, AGENT, "this list itself" },
	{ CAP_SYS_ADMIN, AGENT, "mounts, namespaces, overlay attributes" },
	{ CAP_SYS_PTRACE, AGENT, "namespaces and figures of processes of other users" },
	{ CAP_SYS_RESOURCE, AGENT,
		"oom_score_adj below our own, growing of file systems, reserved blocks" },

	{ CAP_SETGID, CONTAINERS, "given to every container; the DNS server changes its group" },
	{ CAP_SETUID, CONTAINERS, "given to every container; the DNS server changes its user" },
	{ CAP_SYS_CHROOT, CONTAINERS, "given to every container" },
	{ CAP_NET_RAW, CONTAINERS, "given to every container: ping" },
	{ CAP_AUDIT_WRITE, CONTAINERS, "given to every container: login programs" },
	{ CAP_IPC_LOCK, CONTAINERS, "asked for by programs that keep secrets out of swap" },
	{ CAP_SYS_NICE, CONTAINERS, "asked for by programs with real-time threads" },
	{ CAP_SYS_TIME, CONTAINERS, "asked for by time daemons" },
	{ CAP_DAC_READ_SEARCH, CONTAINERS, "asked for by backup and file servers" },
	{ CAP_LEASE, CONTAINERS, "asked for by file servers" },
	{ CAP_IPC_OWNER, CONTAINERS, "asked for by databases with shared memory" },
	{ CAP_NET_BROADCAST, CONTAINERS,
		"asked for by discovery daemons; means nothing to the kernel" },
	{ CAP_BPF, CONTAINERS, "asked for by network and tracing agents" },
	{ CAP_PERFMON, CONTAINERS, "asked for by profilers" },
	{ CAP_SYSLOG, CONTAINERS, "asked for by log collectors" },
	{ CAP_AUDIT_READ, CONTAINERS, "asked for by log collectors" },
	{ CAP_CHECKPOINT_RESTORE, CONTAINERS, "asked for by checkpointing" },
	{ CAP_SYS_MODULE, CONTAINERS, "asked for by network and storage drivers, privileged" },
	{ CAP_SYS_RAWIO, CONTAINERS, "asked for by storage drivers, privileged" },
	{ CAP_SYS_TTY_CONFIG, CONTAINERS, "asked for by displays, privileged" },
	{ CAP_WAKE_ALARM, CONTAINERS, "asked for by displays, privileged" },
	{ CAP_BLOCK_SUSPEND, CONTAINERS, "asked for by displays, privileged" },
	/* In neither list, since they are about the machine and about no container: SYS_BOOT,
	 * SYS_PACCT, AUDIT_CONTROL, MAC_ADMIN, MAC_OVERRIDE. Not even a privileged container has
	 * them. */
};

int cor_sandbox_node(struct cor_err *err) {
	uint64_t agent = 0, bounding = 0;
	for (size_t i = 0; i < cor_countof(table); i++) {
		bounding |= UINT64_C(1) << table[i].cap;
		agent |= table[i].who == AGENT ? UINT64_C(1) << table[i].cap : 0;
	}
	if (capng_get_caps_process() < 0)
		return cor_fail(err, COR_E_INTERNAL, "capabilities of this process");
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!(agent & (UINT64_C(1) << cap)))
			(void)capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, cap);
		if (!(bounding & (UINT64_C(1) << cap)))
			(void)capng_update(CAPNG_DROP, CAPNG_BOUNDING_SET, cap);
		(void)capng_update(CAPNG_DROP, CAPNG_INHERITABLE | CAPNG_AMBIENT, cap);
	}
	int r = capng_apply(CAPNG_SELECT_ALL);
	if (r < 0)
		return cor_fail_errno(err, errno, "cannot give up capabilities (step %d)", -r);
	/* It holds the secrets of all its pods: no core of it, and no look into it but root's. */
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? cor_fail_errno(err, errno, "prctl") : 0;
}
