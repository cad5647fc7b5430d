// SPDX-License-Identifier: Apache-2.0
// What must fail in the sandbox of each process, tried from inside: each attempt in a child of its
// own that enters first. The same attempt outside must succeed, or it would prove nothing.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/sandbox.h"

static char top[64], data[80], outside[80];
static int other_port, own_port; /* somebody listens on the first; nobody on the second */
static int other_fd = -1;

static struct cor_sandbox sandbox_of(enum cor_sandboxed process) {
	return (struct cor_sandbox){ .process = process,
		.uid = geteuid() == 0 ? "64420" : NULL,
		.data_dir = process == COR_SANDBOX_SERVER ? data : NULL,
		.listen_port = process == COR_SANDBOX_SERVER ? own_port : -1,
		.peers = { process == COR_SANDBOX_DNS ? 53 : 0 } };
}

static void put(const char *dir, const char *name, mode_t mode) {
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, "text", 4) == 4 && fchmod(fd, mode) == 0);
}

/* A socket bound to some port of its own choice; *ret_port is that. */
static int some_port(int *ret_port) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(
		fd >= 0 && bind(fd, (void *)&a, n) == 0 && getsockname(fd, (void *)&a, &n) == 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static int set_up(void **state) {
	(void)snprintf(top, sizeof(top), "/tmp/coracle-sandbox-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(data, sizeof(data), "%s/data", top);
	(void)snprintf(outside, sizeof(outside), "%s/outside", top);
	/* Open to everybody: what keeps the sandboxed out is not the mode. */
	assert_true(chmod(top, 0755) == 0 && mkdir(data, 0777) == 0 && mkdir(outside, 0777) == 0);
	assert_true(chmod(data, 0777) == 0 && chmod(outside, 0777) == 0);
	put(outside, "file", 0666);
	put(data, "file", 0666);
	other_fd = some_port(&other_port);
	assert_int_equal(listen(other_fd, 5), 0);
	(void)close(some_port(&own_port));
	return 0;
}

static int remove_entry(const char *p, const struct stat *st, int kind, struct FTW *ftw) {
	return remove(p);
}

static int tear_down(void **state) {
	(void)close(other_fd);
	return nftw(top, remove_entry, 8, FTW_PHYS | FTW_DEPTH);
}

/* ---- attempts: below 0 is failure ---- */

static long open_in(const char *dir, int flags) {
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	return open(path, flags | O_CLOEXEC);
}

static long do_exec(void) {
	char *const argv[] = { (char *)"true", NULL };
	return execv("/bin/true", argv);
}

static long do_execveat(void) {
	char *const argv[] = { (char *)"true", NULL };
	return syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0);
}

/* Whatever became a process of its own ends here. */
static long only_parent(long pid) {
	if (pid == 0)
		_exit(0);
	return pid;
}

static long do_fork(void) {
	return only_parent(syscall(SYS_fork));
}

static long do_vfork(void) {
	return only_parent(syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL));
}

static long do_libc_fork(void) {
	return only_parent(fork());
}

static long do_clone3(void) {
	uint64_t args[8] = { [4] = SIGCHLD };
	return only_parent(syscall(SYS_clone3, args, sizeof(args)));
}

/* An endless loop of forks, as a bug would have it: not one child comes of it. */
static long do_fork_bomb(void) {
	long born = 0;
	for (int i = 0; i < 100; i++)
		born += only_parent(fork()) > 0;
	return born > 0 ? born : -1;
}

static long do_ptrace(void) {
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long do_mount(void) {
	return unshare(CLONE_NEWNS) < 0 ? -1 : mount("t", "/tmp", "tmpfs", MS_NOSUID, NULL);
}

static long do_only_mount(void) {
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static long do_chroot(void) {
	return chroot(outside);
}

static long do_setns(void) {
	_cleanup_close_ int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return setns(fd, 0);
}

static long do_userns(void) {
	return unshare(CLONE_NEWUSER);
}

static long do_setuid(void) {
	return syscall(SYS_setuid, 0);
}

static long do_setgroups(void) {
	return syscall(SYS_setgroups, 0, NULL);
}

static long do_capset(void) {
	struct {
		uint32_t version;
		int pid;
	} head = { 0x20080522, 0 };
	const uint32_t none[6] = { 0 };
	return syscall(SYS_capset, &head, none);
}

static long do_shadow(void) {
	return open("/etc/shadow", O_RDONLY | O_CLOEXEC);
}

static long do_read_outside(void) {
	return open_in(outside, O_RDONLY);
}

static long do_write_outside(void) {
	return open_in(outside, O_WRONLY);
}

static long do_make_outside(void) {
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/new-%d", outside, (int)getpid());
	return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long do_list_root(void) {
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long do_proc_environ(void) {
	return open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
}

static long do_write_data(void) {
	return open_in(data, O_RDWR);
}

static long do_symlink_data(void) {
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/link-%d", data, (int)getpid());
	return symlink("/etc/shadow", path);
}

static long do_mknod_data(void) {
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/node-%d", data, (int)getpid());
	return mknod(path, S_IFIFO | 0600, 0);
}

static long do_packet(void) {
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static long do_unix(void) {
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long do_netlink(void) {
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static long do_raw_ip(void) {
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
}

static long to_port(int port, int (*fn)(int, const struct sockaddr *, socklen_t)) {
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return fn(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (void *)&a, sizeof(a));
}

static long do_bind_any(void) {
	return to_port(0, bind);
}

static long do_connect_other(void) {
	return to_port(other_port, connect);
}

static long do_bpf(void) {
	union bpf_attr a = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};
	return syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

static long do_keyctl(void) {
	return syscall(SYS_keyctl, 0 /* get the id */, -3 /* of the session's keyring */, 1);
}

static long do_code(void) {
	void *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : 0;
}

static long do_make_code(void) {
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long do_kill_parent(void) {
	return kill(getppid(), 0);
}

static long do_tty(void) {
	/* TIOCSTI and its like: whatever is not about sockets. Outside it fails as well, but
	 * differently. */
	return ioctl(0, 0x5412, "x") < 0 && errno == ENOSYS ? -1 : 0;
}

static long do_dumpable(void) {
	return prctl(PR_SET_DUMPABLE, 1);
}

static long do_core_limit(void) {
	const struct rlimit r = { 1 << 20, 1 << 20 };
	return setrlimit(RLIMIT_CORE, &r);
}

static long do_io_uring(void) {
	char params[120] = { 0 };
	/* Some kernels switch it off themselves. */
	return syscall(SYS_io_uring_setup, 1, params) < 0 && errno == ENOSYS ? -1 : 0;
}

enum { S = 1 << COR_SANDBOX_SERVER, D = 1 << COR_SANDBOX_DNS, ENDS = -1 };

/* error: what errno says; ENDS: the kernel ends the process. */
static const struct attempt {
	const char *name;
	long (*fn)(void);
	unsigned who;
	int error;
} attempts[] = {
	{ "execve", do_exec, S | D, ENDS },
	{ "execveat", do_execveat, S | D, ENDS },
	{ "fork", do_fork, S | D, ENDS },
	{ "vfork", do_vfork, S | D, ENDS },
	{ "fork of libc", do_libc_fork, S | D, ENDS },
	{ "clone3", do_clone3, S | D, ENOSYS },
	{ "fork bomb", do_fork_bomb, S | D, ENDS },
	{ "ptrace", do_ptrace, S | D, ENDS },
	{ "mount", do_mount, S | D, ENDS },
	{ "remount", do_only_mount, S | D, ENDS },
	{ "chroot", do_chroot, S | D, ENDS },
	{ "setns", do_setns, S | D, ENDS },
	{ "user namespace", do_userns, S | D, ENDS },
	{ "setuid", do_setuid, S | D, ENDS },
	{ "setgroups", do_setgroups, S | D, ENDS },
	{ "capset", do_capset, S | D, ENDS },
	{ "bpf", do_bpf, S | D, ENDS },
	{ "keyctl", do_keyctl, S | D, ENDS },
	{ "shadow", do_shadow, S | D, EACCES },
	{ "read outside", do_read_outside, S | D, EACCES },
	{ "write outside", do_write_outside, S | D, EACCES },
	{ "create outside", do_make_outside, S | D, EACCES },
	{ "list /", do_list_root, S | D, EACCES },
	{ "environ", do_proc_environ, S | D, EACCES },
	{ "write in the data directory", do_write_data, D, EACCES },
	{ "symlink", do_symlink_data, S | D, ENOSYS },
	{ "mknod", do_mknod_data, S | D, ENDS },
	{ "packet socket", do_packet, S | D, ENOSYS },
	{ "unix socket", do_unix, S | D, ENOSYS },
	{ "netlink socket", do_netlink, S | D, ENOSYS },
	{ "raw socket", do_raw_ip, S | D, EPERM },
	{ "bind another port", do_bind_any, S | D, EACCES },
	{ "connect elsewhere", do_connect_other, D, EACCES },
	{ "executable memory", do_code, S | D, ENOSYS },
	{ "memory made executable", do_make_code, S | D, ENOSYS },
	{ "signal to another process", do_kill_parent, S | D, ENOSYS },
	{ "terminal", do_tty, S | D, ENOSYS },
	{ "dumpable", do_dumpable, S | D, ENOSYS },
	{ "core limit", do_core_limit, S | D, ENOSYS },
	{ "io_uring", do_io_uring, S | D, ENOSYS },
};

/* The exit code of an attempt that did not end the process: 0, or errno. */
static void child(const struct attempt *a, const struct cor_sandbox *s) {
	struct cor_err err;
	if (s && cor_sandbox_enter(s, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.message);
		_exit(255);
	}
	long r = a->fn();
	_exit(r < 0 ? errno : 0);
}

static int outcome(const struct attempt *a, const struct cor_sandbox *s) {
	int status = -1;
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		child(a, s);
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static void refused(enum cor_sandboxed process) {
	const struct cor_sandbox s = sandbox_of(process);
	for (size_t i = 0; i < cor_countof(attempts); i++) {
		const struct attempt *a = &attempts[i];
		if (!(a->who & (1U << process)))
			continue;
		int status = outcome(a, &s);
		if (a->error == ENDS ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS
				     : !WIFEXITED(status) || WEXITSTATUS(status) != a->error)
			fail_msg("%s: %s %d", a->name,
				WIFSIGNALED(status) ? "ended by signal" : "errno",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
}

static void server_refused(void **state) {
	refused(COR_SANDBOX_SERVER);
}

static void dns_refused(void **state) {
	refused(COR_SANDBOX_DNS);
}

static void all_of_it_works_outside(void **state) {
	for (size_t i = 0; i < cor_countof(attempts); i++) {
		int status = outcome(&attempts[i], NULL);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("%s: status %#x", attempts[i].name, (unsigned)status);
	}
}

/* ---- what they must still be able to do ---- */

static void *thread(void *arg) {
	*(int *)arg = 1;
	return arg;
}

static bool threads_work(void) {
	pthread_t t[4];
	int ran[4] = { 0 }, sum = 0;
	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, thread, &ran[i]) != 0)
			return false;
	for (int i = 0; i < 4; i++) {
		(void)pthread_join(t[i], NULL);
		sum += ran[i];
	}
	return sum == 4;
}

static bool state_is(const char *name, const char *value) {
	char line[200];
	bool found = false;
	/* From outside: the sandboxed cannot read it. */
	FILE *f = fopen("/proc/self/status", "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, name, strlen(name)) == 0 &&
			strcmp(line + strlen(name), value) == 0;
	}
	if (f)
		(void)fclose(f);
	return found;
}

static const char *server_life(void) {
	char a[160], b[160];
	struct rlimit r;
	int fd = open_in(data, O_RDWR) >= 0 ? 0 : -1;
	(void)snprintf(a, sizeof(a), "%s/dir", data);
	(void)snprintf(b, sizeof(b), "%s/dir/file", data);
	if (fd < 0 || mkdir(a, 0700) < 0)
		return "its directory";
	_cleanup_close_ int out = open(b, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (out < 0 || write(out, "x", 1) != 1 || fdatasync(out) < 0 || ftruncate(out, 0) < 0 ||
		fsync(out) < 0)
		return "a file of its own";
	(void)snprintf(a, sizeof(a), "%s/renamed", data);
	if (rename(b, a) < 0 || unlink(a) < 0)
		return "rename and remove";
	if (to_port(own_port, bind) < 0)
		return "its port";
	if (to_port(other_port, connect) < 0)
		return "another port";
	if (getrlimit(RLIMIT_CORE, &r) < 0 || r.rlim_max != 0)
		return "no core dumps";
	return NULL;
}

static const char *common_life(void) {
	char bytes[8];
	if (!threads_work())
		return "threads";
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return "random";
	_cleanup_close_ int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* libuv's spare descriptor: without it a process whose descriptors are used up spins. */
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0)
		return "/dev/null";
	return fd < 0 && errno != ENOENT ? "files of /etc" : udp < 0 ? "UDP" : NULL;
}

static void lives(enum cor_sandboxed process) {
	const struct cor_sandbox s = sandbox_of(process);
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		struct cor_err err;
		if (cor_sandbox_enter(&s, &err) < 0)
			_exit(255);
		const char *bad = common_life();
		if (!bad && process == COR_SANDBOX_SERVER)
			bad = server_life();
		if (bad)
			(void)fprintf(stderr, "%s: %s\n", bad, strerror(errno));
		_exit(bad != NULL);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

static void server_lives(void **state) {
	lives(COR_SANDBOX_SERVER);
}

static void dns_lives(void **state) {
	lives(COR_SANDBOX_DNS);
}

/* A mistyped user is refused before anything else is given up. */
static void bad_user(void **state) {
	static const char *const bad[] = { "0", "", "-1", "64420x", "4294967295",
		"99999999999999999999" };
	for (size_t i = 0; i < cor_countof(bad); i++) {
		struct cor_err err;
		struct cor_sandbox s = sandbox_of(COR_SANDBOX_SERVER);
		s.uid = bad[i];
		assert_true(cor_sandbox_enter(&s, &err) < 0);
		assert_non_null(strstr(err.message, "--uid"));
		assert_true(state_is("NoNewPrivs:", "\t0"));
	}
}

/* ---- the node agent ---- */

/* Exit code 0: this child holds a part of what root has, and a program that it starts holds more.
 */
static void node_agent(void **state) {
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		struct cor_err err;
		if (cor_sandbox_node(&err) < 0 ||
			syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL) == 0)
			_exit(1);
		/* CAP_SYS_MODULE, number 16, is no business of the agent; CAP_SYS_BOOT, 22, of
		 * nobody's. */
		static const char script[] = "p=$(sed -n 's/^CapEff:.//p' /proc/self/status);"
					     "b=$(sed -n 's/^CapBnd:.//p' /proc/self/status); [ $p "
					     "= $b ] && [ $((0x$b >> 22 & 1)) = 0 ] &&"
					     "[ $((0x$b >> 14 & 1)) = 1 ]";
		char path[64];
		uint64_t effective = 0;
		char line[200];
		(void)snprintf(path, sizeof(path), "/proc/self/status");
		FILE *f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (strncmp(line, "CapEff:", 7) == 0)
				effective = strtoull(line + 7, NULL, 16);
		if (!f || (effective >> 16 & 1) || !(effective >> 21 & 1))
			_exit(2);
		char *const argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)script,
			NULL };
		execv("/bin/sh", argv);
		_exit(3);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_works_outside),
		cmocka_unit_test(server_refused),
		cmocka_unit_test(dns_refused),
		cmocka_unit_test(server_lives),
		cmocka_unit_test(dns_lives),
		cmocka_unit_test(bad_user),
		cmocka_unit_test(node_agent),
	};
	return cmocka_run_group_tests_name("sandbox", tests, set_up, tear_down);
}
