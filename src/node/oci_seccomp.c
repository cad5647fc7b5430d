// SPDX-License-Identifier: Apache-2.0
// The RuntimeDefault seccomp profile: calls that reach the kernel beyond the container answer
// EPERM; everything else is allowed. A list of refusals instead of one of permissions keeps the
// filter short (it is compiled at each start) and does not break programs on newer kernels. A
// capability that was added to the container permits the calls that need it.
#include <linux/capability.h>

#include "node/oci_json.h"
#include "node/oci_spec.h"

enum { NEVER = -1 };

static const struct {
	const char *name;
	int capability;         /* permits it, or NEVER */
} refused[] = {
	{ "acct", CAP_SYS_PACCT },
	{ "add_key", NEVER },
	{ "bpf", CAP_SYS_ADMIN },
	{ "clock_adjtime", CAP_SYS_TIME },
	{ "clock_settime", CAP_SYS_TIME },
	{ "create_module", CAP_SYS_MODULE },
	{ "delete_module", CAP_SYS_MODULE },
	{ "fanotify_init", CAP_SYS_ADMIN },
	{ "finit_module", CAP_SYS_MODULE },
	{ "fsconfig", CAP_SYS_ADMIN },
	{ "fsmount", CAP_SYS_ADMIN },
	{ "fsopen", CAP_SYS_ADMIN },
	{ "fspick", CAP_SYS_ADMIN },
	{ "get_kernel_syms", NEVER },
	{ "get_mempolicy", CAP_SYS_NICE },
	{ "init_module", CAP_SYS_MODULE },
	{ "io_uring_enter", NEVER },
	{ "io_uring_register", NEVER },
	{ "io_uring_setup", NEVER },
	{ "ioperm", CAP_SYS_RAWIO },
	{ "iopl", CAP_SYS_RAWIO },
	{ "kcmp", CAP_SYS_PTRACE },
	{ "kexec_file_load", CAP_SYS_BOOT },
	{ "kexec_load", CAP_SYS_BOOT },
	{ "keyctl", NEVER },
	{ "lookup_dcookie", CAP_SYS_ADMIN },
	{ "mbind", CAP_SYS_NICE },
	{ "migrate_pages", CAP_SYS_NICE },
	{ "mount", CAP_SYS_ADMIN },
	{ "mount_setattr", CAP_SYS_ADMIN },
	{ "move_mount", CAP_SYS_ADMIN },
	{ "move_pages", CAP_SYS_NICE },
	{ "nfsservctl", NEVER },
	{ "open_by_handle_at", CAP_DAC_READ_SEARCH },
	{ "open_tree", CAP_SYS_ADMIN },
	{ "perf_event_open", CAP_SYS_ADMIN },
	{ "pidfd_getfd", CAP_SYS_PTRACE },
	{ "pivot_root", CAP_SYS_ADMIN },
	{ "process_madvise", CAP_SYS_PTRACE },
	{ "query_module", CAP_SYS_MODULE },
	{ "quotactl", CAP_SYS_ADMIN },
	{ "quotactl_fd", CAP_SYS_ADMIN },
	{ "reboot", CAP_SYS_BOOT },
	{ "request_key", NEVER },
	{ "set_mempolicy", CAP_SYS_NICE },
	{ "setdomainname", CAP_SYS_ADMIN },
	{ "sethostname", CAP_SYS_ADMIN },
	{ "setns", CAP_SYS_ADMIN },
	{ "settimeofday", CAP_SYS_TIME },
	{ "stime", CAP_SYS_TIME },
	{ "swapoff", CAP_SYS_ADMIN },
	{ "swapon", CAP_SYS_ADMIN },
	{ "_sysctl", NEVER },
	{ "sysfs", NEVER },
	{ "syslog", CAP_SYSLOG },
	{ "umount", CAP_SYS_ADMIN },
	{ "umount2", CAP_SYS_ADMIN },
	{ "unshare", CAP_SYS_ADMIN },
	{ "uselib", NEVER },
	{ "userfaultfd", CAP_SYS_PTRACE },
	{ "ustat", NEVER },
	{ "vhangup", CAP_SYS_TTY_CONFIG },
	{ "vm86", NEVER },
	{ "vm86old", NEVER },
};

/* CLONE_NEWNS .. CLONE_NEWNET, as the first argument of clone. */
static const unsigned new_namespace_flags[] = {
	0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
};

static void rule(struct cor_buf *b, const char *name, int errnum) {
	cor_jw_open(b, NULL, '{');
	cor_jw_strings(b, "names", (const char *const[]){ name, NULL });
	cor_jw_c(b, "action", "SCMP_ACT_ERRNO");
	cor_jw_int(b, "errnoRet", errnum);
}

static void rule_masked(struct cor_buf *b, const char *name, int arg, unsigned mask, unsigned value) {
	rule(b, name, 1 /* EPERM */);
	cor_jw_open(b, "args", '[');
	cor_jw_open(b, NULL, '{');
	cor_jw_int(b, "index", arg);
	cor_jw_int(b, "value", mask);
	cor_jw_int(b, "valueTwo", value);
	cor_jw_c(b, "op", "SCMP_CMP_MASKED_EQ");
	cor_buf_c(b, "}]}");
}

void cor_oci_seccomp_default(struct cor_buf *b, uint64_t capabilities) {
	cor_buf_byte(b, '{');
	cor_jw_c(b, "defaultAction", "SCMP_ACT_ALLOW");
#if defined __x86_64__
	cor_jw_strings(b, "architectures",
		(const char *const[]){ "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", NULL });
#elif defined __aarch64__
	cor_jw_strings(b, "architectures",
		(const char *const[]){ "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", NULL });
#endif
	cor_jw_open(b, "syscalls", '[');
	cor_jw_open(b, NULL, '{');
	cor_jw_open(b, "names", '[');
	for (size_t i = 0; i < cor_countof(refused); i++) {
		int cap = refused[i].capability;
		if (cap == NEVER || !(capabilities & (UINT64_C(1) << cap)))
			cor_jw_c(b, NULL, refused[i].name);
	}
	cor_jw_close(b, ']');
	cor_jw_c(b, "action", "SCMP_ACT_ERRNO");
	cor_jw_int(b, "errnoRet", 1 /* EPERM */);
	cor_jw_close(b, '}');
	if (!(capabilities & (UINT64_C(1) << CAP_SYS_ADMIN))) {
		for (size_t i = 0; i < cor_countof(new_namespace_flags); i++)
			rule_masked(b, "clone", 0, new_namespace_flags[i], new_namespace_flags[i]);
		/* Its flags are behind a pointer; libc falls back to clone. */
		rule(b, "clone3", 38 /* ENOSYS */);
		cor_jw_close(b, '}');
	}
	/* Virtual machine sockets have no namespace. */
	rule_masked(b, "socket", 0, 0xffffffff, 40 /* AF_VSOCK */);
	cor_buf_c(b, "]}");
}
