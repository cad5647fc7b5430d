// SPDX-License-Identifier: Apache-2.0
// Child processes without shells and without SIGCHLD: posix_spawn, then a pidfd that the loop
// polls. Processes of an earlier life of the agent are watched the same way; only their exit
// status cannot be learnt.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/assert.h"
#include "base/mem.h"
#include "node/runtime_priv.h"

/* ---- fd_watch ---- */

struct fd_watch {
	uv_poll_t poll;
	int fd;
	bool closed;
	void (*ready)(void *arg, int fd);
	void *arg;
};

static void watch_event(uv_poll_t *p, int status, int events) {
	struct fd_watch *w = p->data;
	(void)events;
	(void)status;           /* an error shows when the descriptor is read */
	if (!w->closed)
		w->ready(w->arg, w->fd);
}

struct fd_watch *fd_watch_new(uv_loop_t *loop, int fd, void (*ready)(void *arg, int fd), void *arg) {
	struct fd_watch *w = cor_new(struct fd_watch);
	w->fd = fd;
	w->ready = ready;
	w->arg = arg;
	w->poll.data = w;
	int r = uv_poll_init(loop, &w->poll, fd);
	cor_assert(r == 0);
	(void)uv_poll_start(&w->poll, UV_READABLE | UV_DISCONNECT, watch_event);
	return w;
}

static void watch_closed(uv_handle_t *h) {
	struct fd_watch *w = h->data;
	(void)close(w->fd);
	free(w);
}

void fd_watch_free(struct fd_watch *w) {
	if (!w)
		return;
	w->closed = true;
	(void)uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, watch_closed);
}

void fd_watch_pause(struct fd_watch *w, bool paused) {
	if (!w)
		return;
	if (paused)
		(void)uv_poll_stop(&w->poll);
	else
		(void)uv_poll_start(&w->poll, UV_READABLE | UV_DISCONNECT, watch_event);
}

int fd_watch_fd(const struct fd_watch *w) {
	return w ? w->fd : -1;
}

/* ---- children ---- */

static void child_readable(void *arg, int fd) {
	struct child *ch = arg;
	int status = -1;
	(void)fd;
	pid_t r = waitpid(ch->pid, &status, WNOHANG);
	if (r == 0)
		return;
	if (r < 0)
		status = -1;
	void (*ended)(void *, int) = ch->ended;
	void *ended_arg = ch->arg;
	child_release(ch);
	ended(ended_arg, status);
}

static int child_watch(struct child *ch, uv_loop_t *loop, pid_t pid) {
	int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return -errno;
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	ch->pid = pid;
	ch->loop = loop;
	ch->watch = fd_watch_new(loop, fd, child_readable, ch);
	return 0;
}

static int spawn(pid_t *ret_pid, const char *cwd, const char *const *argv, const char *const *env,
	const int *fds, size_t n_fds) {
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attr);
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawn_file_actions_addchdir_np(&actions, cwd);
	for (size_t i = 0; i < n_fds; i++) {
		/* Ours are above the targets, so no dup2 hits one that is still to be copied. */
		cor_assert(fds[i] < 0 || fds[i] >= (int)n_fds);
		if (fds[i] >= 0)
			(void)posix_spawn_file_actions_adddup2(&actions, fds[i], (int)i);
		else
			(void)posix_spawn_file_actions_addopen(&actions, (int)i, "/dev/null", O_RDWR, 0);
	}
	int r = posix_spawnp(ret_pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv,
		(char *const *)(uintptr_t)env);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	return -r;
}

int child_spawn(struct child *ch, uv_loop_t *loop, const char *cwd, const char *const *argv,
	const char *const *env, const int *fds, size_t n_fds, struct cor_err *err) {
	pid_t pid = 0;
	int r = spawn(&pid, cwd, argv, env, fds, n_fds);
	if (r < 0)
		return cor_fail_errno(err, -r, "%s", argv[0]);
	r = child_watch(ch, loop, pid);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return cor_fail_errno(err, -r, "pidfd_open");
	}
	return 0;
}

int child_output(const char *const *argv, struct cor_buf *out) {
	const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	int pipe_fds[2], status = 0;
	pid_t pid = 0;
	int r = pipe_cloexec(pipe_fds, NULL);
	if (r < 0)
		return r;
	r = spawn(&pid, "/", argv, env, (const int[]){ -1, pipe_fds[1], -1 }, 3);
	(void)close(pipe_fds[1]);
	while (r == 0 && read_available(pipe_fds[0], out))
		;
	(void)close(pipe_fds[0]);
	if (r == 0 && (waitpid(pid, &status, 0) != pid || status != 0))
		r = -ECHILD;
	return r;
}

int child_adopt(struct child *ch, uv_loop_t *loop, pid_t pid) {
	return child_watch(ch, loop, pid);
}

void child_release(struct child *ch) {
	fd_watch_free(ch->watch);
	ch->watch = NULL;
	ch->pid = 0;
}

uint64_t process_start_time(pid_t pid) {
	char path[64], text[1024];
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* The name may hold anything, blanks and brackets included; state is field 3, start 22. */
	const char *p = strrchr(text, ')');
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	p++;
	for (int f = 3; f < 22 && p; f++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p, NULL, 10) : 0;
}

int process_signal(pid_t pid, uint64_t start_time, int signal) {
	_cleanup_close_ int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	if (fd < 0)
		return pid > 0 ? -errno : -ESRCH;
	/* The descriptor pins the process; now see that it is the right one. */
	if (process_start_time(pid) != start_time)
		return -ESRCH;
	return pidfd_send_signal(fd, signal, NULL, 0) < 0 ? -errno : 0;
}

int pipe_cloexec(int fds[2], struct cor_err *err) {
	if (pipe2(fds, O_CLOEXEC) < 0)
		return cor_fail_errno(err, errno, "pipe");
	/* Above the numbers that children get. */
	for (int i = 0; i < 2; i++)
		if (fds[i] < 10) {
			int high = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
			if (high < 0) {
				int e = errno;
				(void)close(fds[0]);
				(void)close(fds[1]);
				return cor_fail_errno(err, e, "pipe");
			}
			(void)close(fds[i]);
			fds[i] = high;
		}
	return 0;
}

bool read_available(int fd, struct cor_buf *b) {
	char *room = cor_buf_reserve(b, 4096);
	char waste[4096];
	ssize_t n = read(fd, room ? room : waste, 4096);
	if (n > 0 && room)
		b->n += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}
