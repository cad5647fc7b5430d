// SPDX-License-Identifier: Apache-2.0
// The sandbox of server and DNS, step by step: user and capabilities, then Landlock (files and
// ports), then the list of system calls. Each step needs what the next one takes away. The
// capabilities of the node agent are in sandbox_caps.c.
#include "cli/sandbox.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- user, capabilities, limits ---- */

/* All tasks of the user count, those of other clusters too: a bound for a bug, not a budget. */
enum { TASKS_MAX = 1024, FILES = 16384 };

static int become(const char *uid, struct cor_err *err) {
	uint64_t id = 0;
	if (uid && (!cor_str_to_u64(cor_str_c(uid), &id) || id == 0 || id >= UINT32_MAX))
		return cor_fail(err, COR_E_INVALID, "--uid %s: want a number above 0", uid);
	capng_clear(CAPNG_SELECT_ALL);
	int r = 0;
	if (uid)
		r = capng_change_id((int)id, (int)id, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	else
		/* Started by hand. Who is not root has no say in the bounding set, and no need of
		 * it. */
		r = capng_apply(geteuid() == 0 ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	if (r < 0)
		return cor_fail_errno(err, errno,
			"cannot become user %s without capabilities (step %d)", uid ? uid : "", -r);
	/* The change of user clears the first: a process without its supervisor would hold port and
	 * store. */
	if ((uid && prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) || prctl(PR_SET_DUMPABLE, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return cor_fail_errno(err, errno, "prctl");
	const struct rlimit no_core = { 0, 0 };
	struct rlimit tasks, files;
	/* A connection is a descriptor, and the usual soft limit is one that a single pod can use
	 * up. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES &&
		files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || getrlimit(RLIMIT_NPROC, &tasks) < 0)
		return cor_fail_errno(err, errno, "setrlimit");
	if (tasks.rlim_max > TASKS_MAX)
		tasks.rlim_cur = tasks.rlim_max = TASKS_MAX;
	return setrlimit(RLIMIT_NPROC, &tasks) < 0 ? cor_fail_errno(err, errno, "setrlimit") : 0;
}

/* ---- Landlock ---- */

/* Newer than the headers of Debian 12; the kernel takes a longer struct when the rest is zero. */
struct ruleset {
	uint64_t fs, net, scoped;
};
struct net_port {
	uint64_t allowed, port;
};
enum {
	ABI_REFER = 2,
	ABI_TRUNCATE = 3,
	ABI_NET = 4,
	ABI_IOCTL = 5,
	ABI_SCOPE = 6,
	RULE_NET_PORT = 2,
	NET_BIND = 1 << 0,
	NET_CONNECT = 1 << 1,
	SCOPE_ABSTRACT_SOCKET = 1 << 0,
	SCOPE_SIGNAL = 1 << 1,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL = 1 << 15,
};

#define FS_READ ((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE)
/* Files and directories; no devices, sockets, links or programs. */
#define FS_WRITE                                                                                   \
	(FS_READ | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |                   \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |                        \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                   \
		LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)

/* Directories, since what is in them is replaced by renaming: resolv.conf, hosts, nsswitch.conf,
 * OpenSSL's configuration, time zones. The user could read them anyhow, and no more than that. */
static const char *const read_paths[] = { "/etc", "/run/systemd/resolve", "/usr/lib/ssl",
	"/usr/share/zoneinfo",
	/* Held open by libuv for the moment when all descriptors are in use. */
	"/dev/null" };

static int allow_path(int rules, const char *path, uint64_t allowed, struct cor_err *err) {
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return cor_fail_errno(err, errno, "cannot open %s", path);
	const struct landlock_path_beneath_attr a = { .allowed_access = allowed, .parent_fd = fd };
	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &a, 0) < 0
		       ? cor_fail_errno(err, errno, "Landlock: %s", path)
		       : 0;
}

static int allow_port(int rules, uint64_t what, int port, struct cor_err *err) {
	const struct net_port p = { .allowed = what, .port = (uint64_t)port };
	return syscall(SYS_landlock_add_rule, rules, RULE_NET_PORT, &p, 0) < 0
		       ? cor_fail_errno(err, errno, "Landlock: port %d", port)
		       : 0;
}

static int allow_all(const struct cor_sandbox *s, int rules, const struct ruleset *handled,
	struct cor_err *err) {
	int r = 0;
	for (size_t i = 0; r == 0 && i < cor_countof(read_paths); i++)
		if (access(read_paths[i], F_OK) == 0)
			r = allow_path(rules, read_paths[i], FS_READ & handled->fs, err);
	/* A copy: dirname() writes into it. */
	_cleanup_free_ char *beside = s->read_beside ? cor_strdup(s->read_beside) : NULL;
	if (r == 0 && beside)
		r = allow_path(rules, dirname(beside), FS_READ & handled->fs, err);
	if (r == 0 && s->data_dir)
		r = allow_path(rules, s->data_dir, FS_WRITE & handled->fs, err);
	if (r == 0 && (handled->net & NET_BIND) && s->listen_port >= 0)
		r = allow_port(rules, NET_BIND, s->listen_port, err);
	for (size_t i = 0;
		r == 0 && (handled->net & NET_CONNECT) && i < cor_countof(s->peers) && s->peers[i];
		i++)
		r = allow_port(rules, NET_CONNECT, s->peers[i], err);
	return r;
}

static int landlock(const struct cor_sandbox *s, struct cor_err *err) {
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < ABI_NET)
		cor_warn("this kernel %s: going on without",
			abi < 1 ? "has no Landlock for files and ports"
				: "has no Landlock for ports");
	if (abi < 1)
		return 0;
	/* All rights of the first version are below the one that came with the second. */
	struct ruleset h = { .fs = LANDLOCK_ACCESS_FS_REFER - 1 };
	h.fs |= abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
	h.fs |= abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0;
	h.fs |= abi >= ABI_IOCTL ? FS_IOCTL : 0;
	if (abi >= ABI_NET)
		/* The server reaches kubelets, pods and webhooks on ports that users choose. */
		h.net = s->process == COR_SANDBOX_SERVER ? NET_BIND : NET_BIND | NET_CONNECT;
	h.scoped = abi >= ABI_SCOPE ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0;
	_cleanup_close_ int rules = (int)syscall(SYS_landlock_create_ruleset, &h, sizeof(h), 0);
	if (rules < 0)
		return cor_fail_errno(err, errno, "Landlock");
	int r = allow_all(s, rules, &h, err);
	if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		r = cor_fail_errno(err, errno, "Landlock");
	return r;
}

/* ---- system calls ---- */

enum { S = 1 << COR_SANDBOX_SERVER, D = 1 << COR_SANDBOX_DNS };

/* Whatever is in no list fails with ENOSYS, as in an older kernel: libraries know what to do then.
 */
static const struct {
	unsigned who;
	const char *names;
} allowed[] = {
	{ S | D, "read write readv writev pread64 pwrite64 close lseek dup dup2 dup3 pipe2 fcntl" },
	{ S | D, "open openat stat fstat lstat newfstatat statx access faccessat faccessat2 "
		 "readlink readlinkat" },
	{ S | D, "getdents64 getcwd fstatfs statfs umask" },
	{ S, "fsync fdatasync ftruncate fallocate unlink unlinkat rename renameat renameat2 mkdir "
	     "mkdirat rmdir" },
	{ S, "chmod fchmod fchmodat flock utimensat sync_file_range msync" },
	{ S | D, "brk munmap mremap madvise" },
	{ S | D, "futex sched_yield sched_getaffinity set_robust_list get_robust_list rseq "
		 "membarrier exit exit_group" },
	{ S | D, "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack "
		 "restart_syscall pause" },
	{ S | D, "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrandom "
		 "uname sysinfo" },
	{ S | D, "getpid getppid gettid getuid geteuid getgid getegid getpgrp getpgid getsid "
		 "getrusage getrlimit times getcpu" },
	{ S | D, "epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 poll ppoll "
		 "select pselect6" },
	{ S | D, "bind connect accept accept4 getsockname getpeername getsockopt setsockopt "
		 "shutdown" },
	{ S, "listen" },
	{ S | D, "sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg" },
};

/* Nothing of ours or of a library calls these: who does is not us any more, and ends at once. */
static const char deadly[] = "execve execveat fork vfork ptrace process_vm_readv process_vm_writev "
			     "pidfd_getfd process_madvise kcmp "
			     "mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig "
			     "fsmount fspick mount_setattr "
			     "unshare setns setuid setgid setreuid setregid setresuid setresgid "
			     "setfsuid setfsgid setgroups capset "
			     "bpf perf_event_open userfaultfd init_module finit_module "
			     "delete_module kexec_load kexec_file_load reboot "
			     "add_key request_key keyctl open_by_handle_at iopl ioperm mknod "
			     "mknodat swapon swapoff acct quotactl syslog "
			     "settimeofday clock_settime adjtimex clock_adjtime personality "
			     "sethostname setdomainname vhangup lookup_dcookie";

static int rule(scmp_filter_ctx f, uint32_t action, struct cor_str name, unsigned n,
	const struct scmp_arg_cmp *args) {
	char text[64];
	cor_assert(name.n < sizeof(text));
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	int number = seccomp_syscall_resolve_name(text);
	/* A kernel or machine without it needs no rule. */
	return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(f, action, number, n, args);
}

static int rules_of(scmp_filter_ctx f, uint32_t action, const char *names) {
	int r = 0;
	for (struct cor_str rest = cor_str_c(names); r == 0 && rest.p;)
		r = rule(f, action, cor_str_cut(&rest, ' '), 0, NULL);
	return r;
}

/* Calls that depend on an argument; several rows of one call are alternatives. */
static int rules_by_argument(scmp_filter_ctx f) {
	const pid_t self = getpid();
	const uint32_t kill = SCMP_ACT_KILL_PROCESS, allow = SCMP_ACT_ALLOW;
	const struct {
		const char *name;
		uint32_t action;
		struct scmp_arg_cmp arg;
	} list[] = {
		/* Threads, no processes. clone3 hides its flags in memory: it is not there, libc
		   takes clone. */
		{ "clone", allow, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD) },
		{ "clone", kill, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0) },
		/* Nothing becomes a program that was not one at the start. */
		{ "mmap", allow, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		{ "mprotect", allow, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		{ "socket", allow, SCMP_A0(SCMP_CMP_EQ, AF_INET) },
		{ "socket", allow, SCMP_A0(SCMP_CMP_EQ, AF_INET6) },
		{ "ioctl", allow, SCMP_A1(SCMP_CMP_EQ, FIONBIO) },
		{ "ioctl", allow, SCMP_A1(SCMP_CMP_EQ, FIONREAD) },
		{ "ioctl", allow, SCMP_A1(SCMP_CMP_EQ, TCGETS) },
		{ "prctl", allow, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME) },
		{ "prlimit64", allow, SCMP_A2(SCMP_CMP_EQ, 0) },
		/* abort() and raise(). */
		{ "kill", allow, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self) },
		{ "tgkill", allow, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self) },
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < cor_countof(list); i++)
		r = rule(f, list[i].action, cor_str_c(list[i].name), 1, &list[i].arg);
	return r;
}

static int system_calls(enum cor_sandboxed process, struct cor_err *err) {
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!f)
		return cor_fail(err, COR_E_INTERNAL, "seccomp");
	/* A call of another architecture's table, such as 32-bit ones, is deadly as well: the
	 * default. */
	int r = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; r == 0 && i < cor_countof(allowed); i++)
		if (allowed[i].who & (1U << process))
			r = rules_of(f, SCMP_ACT_ALLOW, allowed[i].names);
	if (r == 0)
		r = rules_by_argument(f);
	if (r == 0)
		r = rules_of(f, SCMP_ACT_KILL_PROCESS, deadly);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? cor_fail_errno(err, -r, "seccomp") : 0;
}

int cor_sandbox_enter(const struct cor_sandbox *s, struct cor_err *err) {
	struct stat tasks;
	/* Landlock is for the thread that asks. ".", ".." and one thread. */
	cor_assert(stat("/proc/self/task", &tasks) < 0 || tasks.st_nlink == 3);
	int r = become(s->uid, err);
	if (r == 0 && s->only_user) {
		cor_warn("no sandbox: whoever takes this process over has what its user has");
		return 0;
	}
	if (r == 0)
		r = landlock(s, err);
	if (r == 0)
		r = system_calls(s->process, err);
	return r < 0 ? cor_wrap(err, "sandbox") : 0;
}
