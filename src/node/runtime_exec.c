// SPDX-License-Identifier: Apache-2.0
// exec: "crun exec" as a child of the agent, its standard descriptors on pipes, or, with a
// terminal, the master side of one that crun sends over a socket. What crun itself has to say goes
// to a pipe of its own (--log), so that it is never mixed up with the command's output.
// The session ends when the child has ended and its output was read to the end; a process that
// was left behind and holds the pipes open gets a moment, not for ever.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/assert.h"
#include "base/mem.h"
#include "codec/tree.h"
#include "node/runtime_priv.h"

#define DRAIN_TIME (1 * COR_SECOND)
#define KILL_RETRY (20 * COR_MS)
enum { BACKLOG_HIGH = 256 * 1024, BACKLOG_LOW = 64 * 1024, KILL_TRIES = 100, EOT = 4 };

struct exec;

/* One end of a pipe or the terminal; frees itself after it was closed. */
struct end {
	uv_pipe_t pipe;
	struct exec *exec; /* NULL: the session is gone */
	enum cor_stream_id stream;
};

struct exec {
	struct cor_session s;
	struct child child;
	struct end *in, *out, *err; /* with a terminal, out is both ways and in is the same */
	struct fd_watch *log, *console;
	struct cor_buf log_text;
	char *pid_file, *console_path, *process_path;
	struct cor_timer deadline, again;
	int kill_tries;
	int columns, rows; /* asked for before the terminal was there */
	int status;
	bool tty, ended, paused, timed_out, cancelled, drained;
};

static void exec_free(struct exec *e);
static void finish(struct exec *e);

/* ---- ends ---- */

static void end_closed(uv_handle_t *h) {
	free(h->data);
}

static void end_close(struct end **p) {
	struct end *end = *p;
	*p = NULL;
	if (!end)
		return;
	end->exec = NULL;
	if (!uv_is_closing((uv_handle_t *)&end->pipe))
		uv_close((uv_handle_t *)&end->pipe, end_closed);
}

static struct end *end_open(struct exec *e, int fd, enum cor_stream_id stream) {
	struct end *end = cor_new(struct end);
	end->exec = e;
	end->stream = stream;
	end->pipe.data = end;
	(void)uv_pipe_init(e->s.rt->loop, &end->pipe, 0);
	int r = uv_pipe_open(&end->pipe, fd);
	cor_assert(r == 0);
	return end;
}

static void alloc_shared(uv_handle_t *h, size_t suggested, uv_buf_t *ret) {
	static char buffer[64 * 1024]; /* one loop, one reader at a time */
	(void)h;
	(void)suggested;
	*ret = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
	struct end *end = stream->data;
	struct exec *e = end->exec;
	if (n == 0 || !e)
		return;
	if (n > 0) {
		session_output(&e->s, end->stream, (struct cor_str){ buf->base, (size_t)n });
		return;
	}
	/* End of file, or EIO of a terminal that nobody holds any more. */
	if (e->in == end)
		e->in = NULL;
	end_close(e->out == end ? &e->out : &e->err);
	finish(e);
}

static void start_reading(struct exec *e) {
	struct end *const ends[] = { e->out, e->err };
	for (size_t i = 0; i < cor_countof(ends); i++)
		if (ends[i] && !e->paused)
			(void)uv_read_start((uv_stream_t *)&ends[i]->pipe, alloc_shared, on_read);
		else if (ends[i])
			(void)uv_read_stop((uv_stream_t *)&ends[i]->pipe);
}

/* ---- stdin ---- */

struct write {
	uv_write_t req;
	char data[];
};

static void on_written(uv_write_t *req, int status) {
	uv_stream_t *stream = req->handle;
	struct end *end = stream->data;
	struct exec *e = end->exec;
	free(req->data); /* req is in it */
	(void)status;
	if (e && e->s.ops.writable && !e->cancelled &&
		uv_stream_get_write_queue_size(stream) < BACKLOG_LOW)
		e->s.ops.writable(e->s.arg);
}

static bool exec_write(struct cor_session *s, struct cor_str data) {
	struct exec *e = cor_container_of(s, struct exec, s);
	if (!e->in || !data.n)
		return true;
	struct write *w = cor_calloc(1, sizeof(*w) + data.n);
	memcpy(w->data, data.p, data.n);
	w->req.data = w;
	uv_buf_t buf = uv_buf_init(w->data, (unsigned)data.n);
	if (uv_write(&w->req, (uv_stream_t *)&e->in->pipe, &buf, 1, on_written) < 0) {
		free(w);
		return true;
	}
	return uv_stream_get_write_queue_size((uv_stream_t *)&e->in->pipe) < BACKLOG_HIGH;
}

/* What was written has gone out. */
static void on_shutdown(uv_shutdown_t *req, int status) {
	uv_handle_t *h = (uv_handle_t *)req->handle;
	(void)status;
	free(req);
	if (!uv_is_closing(h))
		uv_close(h, end_closed);
}

static void exec_close_stdin(struct cor_session *s) {
	struct exec *e = cor_container_of(s, struct exec, s);
	if (!e->in)
		return;
	if (e->tty) {
		const char eot = EOT;
		(void)exec_write(s, (struct cor_str){ &eot, 1 });
		return;
	}
	struct end *end = e->in;
	e->in = NULL;
	end->exec = NULL;
	uv_shutdown_t *req = cor_new(uv_shutdown_t);
	if (uv_shutdown(req, (uv_stream_t *)&end->pipe, on_shutdown) < 0) {
		free(req);
		uv_close((uv_handle_t *)&end->pipe, end_closed);
	}
}

/* ---- terminal ---- */

static void exec_resize(struct cor_session *s, int columns, int rows) {
	struct exec *e = cor_container_of(s, struct exec, s);
	uv_os_fd_t fd;
	e->columns = columns;
	e->rows = rows;
	if (!e->tty || !e->out || uv_fileno((uv_handle_t *)&e->out->pipe, &fd) < 0)
		return;
	const struct winsize size = { .ws_col = (unsigned short)columns,
		.ws_row = (unsigned short)rows };
	(void)ioctl(fd, TIOCSWINSZ, &size);
}

static int receive_fd(int conn) {
	char name[256];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { name, sizeof(name) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	int fd = -1;
	if (recvmsg(conn, &msg, MSG_CMSG_CLOEXEC) < 0)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* crun has connected: its message follows at once, and it is our own program on our own socket. */
static void console_ready(void *arg, int listener) {
	struct exec *e = arg;
	_cleanup_close_ int conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0)
		return;
	const struct timeval limit = { .tv_sec = 1 };
	(void)setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	int master = receive_fd(conn);
	fd_watch_free(e->console);
	e->console = NULL;
	if (master < 0)
		return;
	e->in = e->out = end_open(e, master, COR_STREAM_OUT);
	if (e->columns)
		exec_resize(&e->s, e->columns, e->rows);
	start_reading(e);
	if (e->s.ops.writable)
		e->s.ops.writable(e->s.arg);
}

static int console_listen(struct exec *e, struct cor_err *err) {
	struct crt *rt = e->s.rt;
	e->console_path = cor_asprintf("%s/s/c%d-%u", rt->run_dir, (int)getpid(), rt->exec_count);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	if (strlen(e->console_path) >= sizeof(addr.sun_path))
		return cor_fail(
			err, COR_E_LIMIT, "path %s is too long for a socket", e->console_path);
	memcpy(addr.sun_path, e->console_path, strlen(e->console_path));
	(void)unlink(e->console_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
		int e_ = errno;
		if (fd >= 0)
			(void)close(fd);
		return cor_fail_errno(err, e_, "console socket");
	}
	e->console = fd_watch_new(rt->loop, fd, console_ready, e);
	return 0;
}

/* ---- the end ---- */

/* crun writes the command's pid to a file; its session is that of no other process. */
static bool kill_command(struct exec *e) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	int64_t pid;
	if (!read_whole(e->pid_file, &text) ||
		!cor_str_to_i64(cor_str_trim(cor_buf_view(&text)), &pid) || pid <= 1 ||
		pid > INT32_MAX)
		return false;
	pid_t group = getpgid((pid_t)pid);
	if (group > 1 && group != getpgrp())
		(void)kill(-group, SIGKILL);
	(void)kill((pid_t)pid, SIGKILL);
	return true;
}

/* crun may not have come to the point yet where there is a command to kill. */
static void kill_again(struct cor_timer *t) {
	struct exec *e = cor_container_of(t, struct exec, again);
	if (e->ended)
		return;
	if (!kill_command(e) && ++e->kill_tries >= KILL_TRIES)
		(void)kill(e->child.pid, SIGKILL);
	e->s.rt->world->timer_set(e->s.rt->world, &e->again, KILL_RETRY);
}

static void exec_kill(struct exec *e) {
	e->again.fire = kill_again;
	kill_again(&e->again);
}

static void exec_free(struct exec *e) {
	struct cor_world *w = e->s.rt->world;
	session_unlink(&e->s);
	w->timer_clear(w, &e->deadline);
	w->timer_clear(w, &e->again);
	child_release(&e->child);
	fd_watch_free(e->log);
	fd_watch_free(e->console);
	if (e->in != e->out)
		end_close(&e->in);
	end_close(&e->out);
	end_close(&e->err);
	char *const files[] = { e->pid_file, e->console_path, e->process_path };
	for (size_t i = 0; i < cor_countof(files); i++) {
		if (files[i])
			(void)unlink(files[i]);
		free(files[i]);
	}
	cor_buf_fini(&e->log_text);
	cor_buf_fini(&e->s.output);
	free(e);
}

static void drain_over(struct cor_timer *t) {
	struct exec *e = cor_container_of(t, struct exec, again);
	if (e->paused) {
		e->s.rt->world->timer_set(e->s.rt->world, t, DRAIN_TIME);
		return;
	}
	e->drained = true;
	finish(e);
}

/* 0, or an error when crun could not run the command. */
static int exec_result(struct exec *e, int *ret_code, struct cor_err *err) {
	*ret_code = WIFEXITED(e->status) ? WEXITSTATUS(e->status) : 128 + WTERMSIG(e->status);
	if (e->timed_out)
		return cor_fail(err, COR_E_TIMEOUT, "command timed out");
	struct cor_str said = cor_str_trim(cor_buf_view(&e->log_text));
	if (!said.n || *ret_code == 0)
		return 0;
	const char *tick = memchr(said.p, '`', said.n);
	if (tick && cor_str_contains(said, COR_STR("` not found in $PATH"))) {
		struct cor_str name = cor_str_sub(said, (size_t)(tick + 1 - said.p), said.n);
		name = cor_str_cut(&name, '`');
		*ret_code = 127;
		return cor_fail(err, COR_E_NOT_FOUND,
			"exec: \"%.*s\": executable file not found in $PATH", COR_STR_ARG(name));
	}
	*ret_code = 126;
	return cor_fail(err, COR_E_INTERNAL, "%.*s", COR_STR_ARG(said));
}

static void finish(struct exec *e) {
	if (!e->ended)
		return;
	if (!e->cancelled && !e->drained && (e->out || e->err)) {
		e->again.fire = drain_over;
		if (!e->again.armed)
			e->s.rt->world->timer_set(e->s.rt->world, &e->again, DRAIN_TIME);
		return;
	}
	if (!e->cancelled) {
		struct cor_err err = { 0 };
		int code = 0;
		int r = exec_result(e, &code, &err);
		session_unlink(&e->s);
		session_done(&e->s, code, r < 0 ? &err : NULL);
	}
	exec_free(e);
}

static void child_ended(void *arg, int status) {
	struct exec *e = arg;
	struct cor_world *w = e->s.rt->world;
	e->ended = true;
	e->status = status;
	if (e->log)
		(void)read_available(fd_watch_fd(e->log), &e->log_text);
	w->timer_clear(w, &e->deadline);
	w->timer_clear(w, &e->again);
	if (e->console) { /* the terminal may still be on its way: it was sent before */
		struct fd_watch *console = e->console;
		console_ready(e, fd_watch_fd(console));
	}
	finish(e);
}

static void exec_timed_out(struct cor_timer *t) {
	struct exec *e = cor_container_of(t, struct exec, deadline);
	e->timed_out = true;
	exec_kill(e);
}

static void exec_pause(struct cor_session *s, bool paused) {
	struct exec *e = cor_container_of(s, struct exec, s);
	e->paused = paused;
	start_reading(e);
}

static void exec_cancel(struct cor_session *s) {
	struct exec *e = cor_container_of(s, struct exec, s);
	e->cancelled = true;
	session_unlink(s);
	if (e->in != e->out)
		end_close(&e->in);
	e->in = NULL;
	end_close(&e->out);
	end_close(&e->err);
	if (!e->ended && !s->rt->closing) {
		exec_kill(e); /* child_ended frees it */
		return;
	}
	if (!e->ended && !kill_command(e))
		(void)kill(e->child.pid, SIGKILL);
	exec_free(e);
}

static const struct session_impl exec_impl = {
	.write = exec_write,
	.close_stdin = exec_close_stdin,
	.resize = exec_resize,
	.pause = exec_pause,
	.cancel = exec_cancel,
};

/* ---- beginning ---- */

static void log_readable(void *arg, int fd) {
	struct exec *e = arg;
	if (!read_available(fd, &e->log_text)) {
		fd_watch_free(e->log);
		e->log = NULL;
	}
}

/* The pipes by number: stdin, stdout, stderr, log; [i][0] is ours, [i][1] the child's. */
enum { PIPE_IN, PIPE_OUT, PIPE_ERR, PIPE_LOG, PIPES };

static void close_pipes(int pipes[PIPES][2]) {
	for (int i = 0; i < PIPES; i++)
		for (int k = 0; k < 2; k++)
			if (pipes[i][k] >= 0)
				(void)close(pipes[i][k]);
}

static int make_pipes(int pipes[PIPES][2], const struct cor_exec_config *cfg, struct cor_err *err) {
	const bool wanted[PIPES] = { cfg->stdin_open && !cfg->tty, !cfg->tty, !cfg->tty, true };
	for (int i = 0; i < PIPES; i++) {
		if (!wanted[i])
			continue;
		int r = pipe_cloexec(pipes[i], err);
		if (r < 0)
			return r;
		if (i == PIPE_IN) {
			int ours = pipes[i][1];
			pipes[i][1] = pipes[i][0];
			pipes[i][0] = ours;
		}
		(void)fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

/* The container's own process, as its config.json has it, with another command: so user, groups,
 * environment, capabilities and the rest are the same. */
static int write_process(struct exec *e, const struct box *b, const struct cor_exec_config *cfg,
	struct cor_err *err) {
	_cleanup_free_ char *config = cor_asprintf("%s/config.json", b->dir);
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT, out = COR_BUF_INIT;
	if (!read_whole(config, &text))
		return cor_fail(err, COR_E_NOT_FOUND, "container not found (\"%s\")", b->c.name);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_node *process =
		cor_node_get_c(cor_node_parse(a, cor_buf_view(&text), NULL, NULL), "process");
	struct cor_node *args = cor_node_array(a);
	for (const char *const *p = cfg->argv; *p; p++)
		cor_node_push(a, args, cor_node_str_c(a, *p));
	cor_node_set_c(a, process, "args", args);
	cor_node_set_c(a, process, "terminal", cor_node_bool(a, cfg->tty));
	if (!process || cor_arena_failed(a))
		return cor_fail(err, COR_E_INTERNAL, "%s cannot be used", config);
	cor_node_print(&out, process, COR_PRINT_PLAIN);
	return write_whole(e->process_path, cor_buf_view(&out), 0600, err);
}

static int spawn_exec(struct exec *e, const struct box *b, const struct cor_exec_config *cfg,
	int pipes[PIPES][2], struct cor_err *err) {
	struct crt *rt = e->s.rt;
	size_t n = 0;
	const char *argv[ARGV_MAX] = { rt->crun, rt->crun_root_arg, "--cgroup-manager=cgroupfs",
		"--log=file:/proc/self/fd/3", "exec", "--pid-file", e->pid_file, "--process",
		e->process_path };
	while (argv[n])
		n++;
	if (cfg->tty) {
		argv[n++] = "--tty";
		argv[n++] = "--console-socket";
		argv[n++] = e->console_path;
	}
	argv[n++] = b->c.id;
	const char *env[ENV_MAX];
	crt_env(rt, env);
	const int fds[] = { pipes[PIPE_IN][1], pipes[PIPE_OUT][1], pipes[PIPE_ERR][1],
		pipes[PIPE_LOG][1] };
	e->child.ended = child_ended;
	e->child.arg = e;
	return child_spawn(&e->child, rt->loop, "/", argv, env, fds, cor_countof(fds), err);
}

static int exec_begin(struct exec *e, const struct box *b, const struct cor_exec_config *cfg,
	struct cor_err *err) {
	struct crt *rt = e->s.rt;
	int pipes[PIPES][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int r = write_process(e, b, cfg, err);
	if (r == 0)
		r = make_pipes(pipes, cfg, err);
	if (r == 0 && cfg->tty)
		r = console_listen(e, err);
	if (r == 0)
		r = spawn_exec(e, b, cfg, pipes, err);
	if (r < 0) {
		close_pipes(pipes);
		return r;
	}
	e->log_text.limit = 4096;
	e->log = fd_watch_new(rt->loop, cor_take_fd(pipes[PIPE_LOG][0]), log_readable, e);
	if (pipes[PIPE_IN][0] >= 0)
		e->in = end_open(e, cor_take_fd(pipes[PIPE_IN][0]), COR_STREAM_OUT);
	if (!cfg->tty) {
		e->out = end_open(e, cor_take_fd(pipes[PIPE_OUT][0]), COR_STREAM_OUT);
		e->err = end_open(e, cor_take_fd(pipes[PIPE_ERR][0]), COR_STREAM_ERR);
		start_reading(e);
	}
	close_pipes(pipes);
	return 0;
}

struct cor_session *crt_exec(struct cor_runtime *base, struct cor_container *c,
	const struct cor_exec_config *cfg, struct cor_err *err) {
	struct crt *rt = crt_of(base);
	cor_assert(cfg->argv && cfg->ops.done);
	if (c->phase != COR_CONTAINER_RUNNING) {
		(void)cor_fail(err, COR_E_NOT_FOUND, "container not found (\"%s\")", c->name);
		return NULL;
	}
	if (!cfg->argv[0]) {
		(void)cor_fail(err, COR_E_INVALID, "no command specified");
		return NULL;
	}
	struct exec *e = cor_new(struct exec);
	session_init(&e->s, &exec_impl, rt, &cfg->ops, cfg->arg);
	if (cfg->max_output)
		e->s.max_output = cfg->max_output;
	e->tty = cfg->tty;
	rt->exec_count++;
	e->pid_file = cor_asprintf("%s/s/p%d-%u", rt->run_dir, (int)getpid(), rt->exec_count);
	e->process_path = cor_asprintf("%s/s/e%d-%u", rt->run_dir, (int)getpid(), rt->exec_count);
	if (exec_begin(e, box_of(c), cfg, err) < 0) {
		exec_free(e);
		return NULL;
	}
	if (cfg->timeout > 0) {
		e->deadline.fire = exec_timed_out;
		rt->world->timer_set(rt->world, &e->deadline, cfg->timeout);
	}
	return &e->s;
}
