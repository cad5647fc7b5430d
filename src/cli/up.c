// SPDX-License-Identifier: Apache-2.0
// coracle up: starts the supervisor of a cluster and returns when its node is Ready. The supervisor starts
// the processes, starts one again that died (at once, then with a growing pause), and on SIGTERM stops
// them in the reverse order. Containers do not depend on it. Who started it is told over a pipe that the API
// serves, and by its end that a process could not start: then there is nothing to wait for.
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/wait_node.h"
#include "net/pki.h"

enum { CHILDREN_MAX = 2, ARGS_MAX = 24, PAUSE_MAX_S = 30, STEADY_S = 10, STOP_S = 40, START_S = 30 };

struct child {
	const char *name;
	const char *argv[ARGS_MAX];
	int fd;                         /* the one that it gets beside the usual three */
	pid_t pid;
	time_t started, not_before;
	unsigned pause_s;
};

struct up {
	struct cor_cluster cluster;
	const char *name, *data_dir, *listen, *kubeconfig, *resolv_conf;
	bool foreground;
	char advertise[INET_ADDRSTRLEN];
	char hostname[256];
	struct child children[CHILDREN_MAX];
	size_t n;
	off_t log_start;                /* of what this start adds to the log */
	int front_fd;                   /* to whoever started us, as long as they wait; else -1 */
	int pki_fd;                     /* inotify, on what the server renews */
	int server_fd;                  /* the server writes to it that it has certificates, and its URL when it serves */
	int go_fd;                      /* for the node agent: a byte at the first, closed at the second, then -1 */
};

static time_t now_s(void) {
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* The first address that is not loopback; the machine may have none. */
static void find_address(struct up *u) {
	struct ifaddrs *all = NULL;
	(void)snprintf(u->advertise, sizeof(u->advertise), "127.0.0.1");
	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) ||
		    !(i->ifa_flags & IFF_UP))
			continue;
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)i->ifa_addr;
		if (inet_ntop(AF_INET, &in->sin_addr, u->advertise, sizeof(u->advertise)))
			break;
	}
	freeifaddrs(all);
}

/* ---- children ---- */

static int start_child(struct up *u, struct child *c) {
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		sigset_t none;
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		(void)fcntl(c->fd, F_SETFD, 0);
		execv("/proc/self/exe", (char *const *)(uintptr_t)c->argv);
		_exit(127);
	}
	c->pid = pid;
	c->started = now_s();
	cor_info("%s started, pid %d", c->name, (int)pid);
	return 0;
}

/* 1 when it is of no use to start it again: it said itself that it cannot, and somebody waits for it. */
static int child_died(const struct up *u, struct child *c, int status) {
	bool never_served = c == u->children && u->go_fd >= 0;
	c->pid = 0;
	if (never_served || (u->front_fd >= 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0)) {
		cor_error("the %s did not start", c->name);
		return 1;
	}
	time_t now = now_s();
	cor_warn("%s ended (%s %d); starting it again", c->name, WIFSIGNALED(status) ? "signal" : "exit code",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (now - c->started >= STEADY_S)
		c->pause_s = 0;
	c->not_before = now + (time_t)c->pause_s;
	c->pause_s = c->pause_s == 0 ? 1 : c->pause_s * 2 < PAUSE_MAX_S ? c->pause_s * 2 : PAUSE_MAX_S;
	return 0;
}

static int reap(struct up *u) {
	int status, failed = 0;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < u->n; i++)
			if (u->children[i].pid == pid)
				failed |= child_died(u, &u->children[i], status);
	return failed;
}

static void stop_child(struct child *c) {
	int status;
	sigset_t ended;
	if (c->pid <= 0)
		return;
	(void)sigemptyset(&ended);
	(void)sigaddset(&ended, SIGCHLD);
	(void)kill(c->pid, SIGTERM);
	for (time_t end = now_s() + STOP_S; now_s() < end;) {
		if (waitpid(c->pid, &status, WNOHANG) == c->pid)
			return;
		/* Blocked, so it waits for us when it comes in between. */
		(void)sigtimedwait(&ended, NULL, &(struct timespec){ .tv_sec = 1 });
	}
	(void)kill(c->pid, SIGKILL);
	(void)waitpid(c->pid, &status, 0);
}

static void close_fd(int *fd) {
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* The admin's kubeconfig for the person behind sudo: mode 0600, theirs. */
static int give_kubeconfig(struct up *u, bool say, struct cor_err *err) {
	_cleanup_free_ char *from = cor_asprintf("%s/server/pki/admin.kubeconfig", u->cluster.data_dir);
	_cleanup_free_ char *path = u->kubeconfig ? cor_strdup(u->kubeconfig)
		: cor_asprintf("%s/kubeconfig", u->cluster.data_dir);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	int r = cor_pki_read_file(from, &b, err);
	if (r >= 0)
		r = cor_pki_write_derived(path, cor_buf_view(&b), 0600, err);
	const char *uid = getenv("SUDO_UID"), *gid = getenv("SUDO_GID");
	int64_t owner, group;
	if (r >= 0 && uid && gid && cor_option_number("SUDO_UID", uid, 0, UINT32_MAX, &owner, err) == 0 &&
		cor_option_number("SUDO_GID", gid, 0, UINT32_MAX, &group, err) == 0 &&
		chown(path, (uid_t)owner, (gid_t)group) < 0)
		r = cor_fail_errno(err, errno, "%s", path);
	/* The directory is 0755; only what is in it is closed. */
	if (r >= 0 && say)
		(void)printf("cluster %s is up.\n  export KUBECONFIG=%s\n", u->cluster.name, path);
	return r;
}

/* The server renews the admin's certificate as well: the person gets a copy. */
static void follow_pki(struct up *u) {
	_cleanup_free_ char *dir = cor_asprintf("%s/server/pki", u->cluster.data_dir);
	if (inotify_add_watch(u->pki_fd, dir, IN_MOVED_TO) < 0)
		cor_warn("%s is not followed: %s", dir, strerror(errno));
}

static void on_pki(struct up *u) {
	_Alignas(struct inotify_event) char events[4096];
	struct cor_err err;
	bool ours = false;
	ssize_t n = read(u->pki_fd, events, sizeof(events));
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(events + at);
		ours = ours || (e->len > 0 && strcmp(e->name, "admin.kubeconfig") == 0);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	if (!ours)
		return;
	if (give_kubeconfig(u, false, &err) < 0)
		cor_error("the admin's kubeconfig was renewed, its copy was not: %s", err.message);
	else
		cor_info("the admin's kubeconfig was renewed");
}

/* The first URL goes on to the front, which waits for it. */
static void on_server_line(struct up *u) {
	char line[200];
	ssize_t n = read(u->server_fd, line, sizeof(line));
	if (n <= 0 || u->go_fd < 0)
		return;
	if (!cor_str_contains((struct cor_str){ line, (size_t)n }, COR_STR("https://"))) {
		(void)!write(u->go_fd, line, 1);
		return;
	}
	if (u->front_fd >= 0)
		(void)!write(u->front_fd, line, (size_t)n);
	close_fd(&u->go_fd);
	follow_pki(u);
}

/* Starts what is to run and does not; returns for how long to sleep, -1 for ever. */
static int start_children(struct up *u) {
	int wait_ms = -1;
	for (size_t i = 0; i < u->n; i++) {
		struct child *c = &u->children[i];
		time_t left = c->not_before - now_s();
		if (c->pid == 0 && left <= 0 && start_child(u, c) < 0)
			left = 1;
		if (c->pid == 0 && (wait_ms < 0 || left * 1000 < wait_ms))
			wait_ms = (int)(left > 0 ? left : 1) * 1000;
	}
	return wait_ms;
}

/* Somebody said `up`: what waits after many deaths is wanted now. */
static void start_at_once(struct up *u) {
	for (size_t i = 0; i < u->n; i++)
		u->children[i].not_before = u->children[i].pause_s = 0;
}

static void supervise_signals(sigset_t *ret) {
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGUSR1 };
	(void)sigemptyset(ret);
	for (size_t i = 0; i < cor_countof(signals); i++)
		(void)sigaddset(ret, signals[i]);
}

static int supervise(struct up *u) {
	sigset_t set;
	int failed = 0;
	supervise_signals(&set);
	_cleanup_close_ int sig = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	u->pki_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	while (!failed) {
		int wait_ms = start_children(u);
		struct pollfd p[] = {
			{ .fd = sig, .events = POLLIN }, { .fd = u->server_fd, .events = POLLIN }, { .fd = u->front_fd },
			{ .fd = u->pki_fd, .events = POLLIN },
		};
		struct signalfd_siginfo info;
		if (poll(p, cor_countof(p), wait_ms) <= 0)
			continue;
		if (p[1].revents)
			on_server_line(u);
		if (p[3].revents)
			on_pki(u);
		/* Nobody reads it any more. */
		if (u->front_fd >= 0 && p[2].revents)
			close_fd(&u->front_fd);
		if (read(sig, &info, sizeof(info)) != (ssize_t)sizeof(info))
			continue;
		if (info.ssi_signo == SIGUSR1) {
			start_at_once(u);
			/* Whoever does not wait for it does not notice. */
			(void)kill((pid_t)info.ssi_pid, SIGURG);
			continue;
		}
		if (info.ssi_signo != SIGCHLD)
			break;
		failed = reap(u);
	}
	cor_info("stopping");
	for (size_t i = u->n; i-- > 0;)
		stop_child(&u->children[i]);
	return failed;
}

/* ---- what is started ---- */

static void describe(struct up *u, int server_write, int go_read) {
	struct child *s = &u->children[u->n++];
	char *server_dir = cor_asprintf("%s/server", u->cluster.data_dir);
	s->name = "server";
	s->fd = server_write;
	const char *argv[] = {
		"coracle", "server", "--data-dir", server_dir, "--listen", u->listen, "--advertise", u->advertise,
		"--node-name", u->hostname, "--uid", cor_asprintf("%d", COR_CLUSTER_UID), "--ready-fd",
		cor_asprintf("%d", server_write), NULL,
	};
	memcpy(s->argv, argv, sizeof(argv));
	if (!cor_has_command("node"))
		return;
	struct child *n = &u->children[u->n++];
	n->name = "node";
	n->fd = go_read;
	const char *node_argv[] = {
		"coracle", "node", "--kubeconfig", cor_asprintf("%s/pki/node.kubeconfig", server_dir), "--pki-dir",
		cor_asprintf("%s/pki", server_dir), "--data-dir", cor_asprintf("%s/node", u->cluster.data_dir), "--run-dir",
		u->cluster.run_dir, "--cluster", u->cluster.name, "--name", u->hostname, "--address", u->advertise,
		"--resolv-conf", u->resolv_conf, "--start-fd", cor_asprintf("%d", go_read), NULL,
	};
	memcpy(n->argv, node_argv, sizeof(node_argv));
}

static char *log_path(const struct up *u) {
	return cor_asprintf("%s/log", u->cluster.data_dir);
}

static int prepare(struct up *u, struct cor_err *err) {
	_cleanup_free_ char *server = cor_asprintf("%s/server", u->cluster.data_dir);
	int r = cor_make_dirs(u->cluster.run_dir, 0755, err);
	if (r >= 0)
		r = cor_make_dirs(server, 0700, err);
	if (r >= 0 && chown(server, COR_CLUSTER_UID, COR_CLUSTER_UID) < 0)
		r = cor_fail_errno(err, errno, "%s", server);
	if (gethostname(u->hostname, sizeof(u->hostname) - 1) < 0)
		(void)snprintf(u->hostname, sizeof(u->hostname), "node");
	find_address(u);
	_cleanup_free_ char *log = log_path(u);
	struct stat st;
	u->log_start = stat(log, &st) == 0 ? st.st_size : 0;
	return r;
}

static void to_background(struct up *u) {
	_cleanup_free_ char *log = log_path(u);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)setsid();
	if (fd >= 0) {
		(void)dup2(fd, 1);
		(void)dup2(fd, 2);
		(void)close(fd);
	}
	if (null >= 0) {
		(void)dup2(null, 0);
		(void)close(null);
	}
}

/* ---- the front ---- */

/* The last error of a child in this start that the log tells, without its time. */
static void last_error(const struct up *u, char *out, size_t size) {
	static const char mark[] = " ERROR ";
	_cleanup_free_ char *log = log_path(u);
	char text[4096] = "";
	int fd = open(log, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	off_t from = st.st_size - (off_t)sizeof(text) + 1;
	if (pread(fd, text, sizeof(text) - 1, from > u->log_start ? from : u->log_start) < 0)
		text[0] = '\0';
	(void)close(fd);
	for (const char *at = text; (at = strstr(at, mark)); ) {
		at += sizeof(mark) - 1;
		if (strncmp(at, "up: ", 4) != 0)
			(void)snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
	}
}

/* What failed, and what the log says about it. */
static int explain(const struct up *u, struct cor_err *err) {
	char what[sizeof(err->message)], why[300] = "";
	(void)snprintf(what, sizeof(what), "%s", err->message);
	last_error(u, why, sizeof(why));
	return cor_fail(err, err->code, "%s; see %s/log%s%s", what, u->cluster.data_dir, why[0] ? ": " : "", why);
}

/* The node, when this build has one. fd: the supervisor's pipe, or -1. */
static int wait_node(struct up *u, int fd, struct cor_err *err) {
	if (!cor_has_command("node"))
		return 0;
	_cleanup_free_ char *config = cor_asprintf("%s/server/pki/admin.kubeconfig", u->cluster.data_dir);
	return cor_wait_node(config, u->hostname, START_S * COR_SECOND, fd, err) < 0 ? explain(u, err) : 0;
}

/* Has the supervisor start what waits after many deaths. False: it ends, or has been killed and does not know
 * it yet; then it would not answer. */
static bool ask_supervisor(pid_t pid) {
	sigset_t answer;
	(void)sigemptyset(&answer);
	(void)sigaddset(&answer, SIGURG);
	(void)sigprocmask(SIG_BLOCK, &answer, NULL);
	_cleanup_close_ int ended = pidfd_open(pid, 0), sig = signalfd(-1, &answer, SFD_CLOEXEC);
	struct pollfd p[] = { { .fd = sig, .events = POLLIN }, { .fd = ended, .events = POLLIN } };
	return ended >= 0 && sig >= 0 && kill(pid, SIGUSR1) == 0 && poll(p, cor_countof(p), START_S * 1000) > 0 &&
		p[0].revents;
}

/* The server's line on fd, then the node. */
static int wait_ready(struct up *u, int fd, struct cor_err *err) {
	char line[200];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (poll(&p, 1, START_S * 1000) > 0 && read(fd, line, sizeof(line)) > 0)
		return wait_node(u, fd, err);
	(void)cor_fail(err, COR_E_TIMEOUT, "the cluster did not start");
	return explain(u, err);
}

/* The supervisor's process; does not return. */
_Noreturn static void be_supervisor(struct up *u, int front_fd) {
	struct cor_err err = { 0 };
	int lock = -1, server[2], go[2];
	u->front_fd = front_fd;
	if (!u->foreground)
		to_background(u);
	cor_log_init("up", COR_LOG_INFO);
	/* Before anyone can find us by the lock. */
	sigset_t set;
	supervise_signals(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);         /* the front may go at any time */
	if (cor_cluster_lock(&u->cluster, &lock, &err) < 0) {
		cor_error("%s", err.message);
		exit(1);
	}
	/* Both ends stay open here: a process that is started again finds its own. */
	if (pipe2(server, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0) {
		cor_error("pipe: %s", strerror(errno));
		exit(1);
	}
	u->server_fd = server[0];
	u->go_fd = go[1];
	describe(u, server[1], go[0]);
	exit(supervise(u));
}

static int run(struct up *u, struct cor_err *err) {
	int ready[2];
	int r = prepare(u, err);
	if (r < 0)
		return r;
	pid_t running = cor_cluster_pid(&u->cluster);
	if (running > 0 && ask_supervisor(running)) {
		_cleanup_free_ char *config = cor_asprintf("%s/server/pki/admin.kubeconfig", u->cluster.data_dir);
		if (access(config, F_OK) < 0)
			return cor_fail(err, COR_E_EXISTS, "cluster %s runs, with another --data-dir than %s", u->cluster.name,
				u->cluster.data_dir);
		r = wait_node(u, -1, err);
		/* One that was dying when it was asked has left its children's last words: begin anew. */
		if (cor_cluster_pid(&u->cluster) == running)
			return r < 0 ? r : give_kubeconfig(u, true, err);
	}
	if (u->foreground)
		be_supervisor(u, -1);
	if (pipe2(ready, O_CLOEXEC) < 0)
		return cor_fail_errno(err, errno, "pipe");
	pid_t pid = fork();
	if (pid < 0)
		return cor_fail_errno(err, errno, "fork");
	if (pid == 0) {
		(void)close(ready[0]);
		be_supervisor(u, ready[1]);
	}
	(void)close(ready[1]);
	r = wait_ready(u, ready[0], err);
	return r < 0 ? r : give_kubeconfig(u, true, err);
}

int cor_cmd_up(int argc, char **argv) {
	static const char resolv_conf[] = "/etc/resolv.conf";
	struct up u = {
		.name = "default", .listen = "0.0.0.0:6443", .resolv_conf = resolv_conf, .front_fd = -1, .server_fd = -1,
		.go_fd = -1,
	};
	const struct cor_option opts[] = {
		{ "name", &u.name, NULL }, { "data-dir", &u.data_dir, NULL }, { "listen", &u.listen, NULL },
		{ "kubeconfig", &u.kubeconfig, NULL }, { "resolv-conf", &u.resolv_conf, NULL },
		{ "foreground", NULL, &u.foreground },
	};
	struct cor_err err = { 0 };
	int words = 0;
	if (cor_options(argc, argv, opts, cor_countof(opts), &words, &err) < 0 || words > 0) {
		(void)fprintf(stderr, "coracle up: %s\n", words > 0 ? "unexpected argument" : err.message);
		return 2;
	}
	if (u.resolv_conf[0] != '/') {
		(void)fprintf(stderr, "coracle up: --resolv-conf %s: want an absolute path\n", u.resolv_conf);
		return 2;
	}
	/* Without the machine's own there is just nobody to ask; one that was named is meant. */
	if (u.resolv_conf != resolv_conf && access(u.resolv_conf, R_OK) < 0) {
		(void)fprintf(stderr, "coracle up: --resolv-conf %s: %s\n", u.resolv_conf, strerror(errno));
		return 1;
	}
	if (geteuid() != 0) {
		(void)fprintf(stderr, "coracle up: must be root; try sudo coracle up\n");
		return 1;
	}
	if (cor_cluster_init(&u.cluster, u.name, u.data_dir, &err) < 0 || run(&u, &err) < 0) {
		(void)fprintf(stderr, "coracle up: %s\n", err.message);
		return 1;
	}
	return 0;
}
