// SPDX-License-Identifier: Apache-2.0
// Starting a container:
//
//   bundle written -> conmon (runs crun create) -> pid or error on the sync pipe -> let go
//
// What crun has created waits at a fifo until a byte comes; "crun start" does nothing else but
// write it and remove the fifo. That is done here: a process less. A crun that does not wait there
// is asked.
//
// Each arrow is an event of the loop; the whole has one deadline. conmon may end before crun
// start has answered (a very short program): its end is then handled after the answer.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/tree.h"
#include "node/container_log.h"
#include "node/oci_spec.h"
#include "node/runtime_priv.h"

#define START_TIMEOUT (2 * COR_MINUTE)
enum { START_ERROR_CODE = 128 };

/* ---- texts ---- */

/* crun's words for the usual mistakes, turned into those that people search for. */
static char *start_message(struct cor_str said) {
	said = cor_str_trim(said);
	const char *tick = said.n ? memchr(said.p, '`', said.n) : NULL;
	if (tick && cor_str_contains(said, COR_STR("` not found in $PATH"))) {
		struct cor_str name = cor_str_sub(said, (size_t)(tick + 1 - said.p), said.n);
		name = cor_str_cut(&name, '`');
		bool is_path = name.n && memchr(name.p, '/', name.n);
		return cor_asprintf("exec: \"%.*s\": %s", COR_STR_ARG(name),
			is_path ? "stat: no such file or directory"
				: "executable file not found in $PATH");
	}
	if (cor_str_contains(said, COR_STR("open executable: Permission denied")))
		return cor_strdup("exec: permission denied");
	if (!said.n)
		return cor_strdup("the container runtime gave no reason");
	return cor_str_dup_c(said);
}

/* ---- the end, good or bad ---- */

static void forget_start(struct box *b) {
	struct cor_world *w = b->rt->world;
	w->timer_clear(w, &b->deadline);
	fd_watch_free(b->sync);
	b->sync = NULL;
	fd_watch_free(b->start_err);
	b->start_err = NULL;
	cor_buf_fini(&b->text);
}

static void answer(struct box *b, const struct cor_err *err) {
	cor_runtime_start_fn *done = b->start_done;
	void *arg = b->start_arg;
	b->start_done = NULL;
	done(arg, &b->c, err);
	if (b->removing)
		box_go_on(b);
	else if (b->stop_asked)
		box_kill(b);
}

static void start_failed(struct box *b, struct cor_str said) {
	struct cor_err err = { 0 };
	b->message = start_message(said);
	forget_start(b);
	box_kill(b);
	child_release(&b->start);
	b->c.phase = COR_CONTAINER_EXITED;
	b->c.pid = 0;
	b->c.reason = "StartError";
	b->c.message = b->message;
	b->c.exit_code = START_ERROR_CODE;
	b->c.started_at = 0;
	b->c.finished_at = cor_now(b->rt->world);
	(void)box_save(b, NULL);
	(void)cor_fail(&err, COR_E_INVALID, "%s", b->message);
	answer(b, &err);
}

static void running(struct box *b) {
	forget_start(b);
	b->c.phase = COR_CONTAINER_RUNNING;
	b->c.started_at = cor_now(b->rt->world);
	struct cor_err err = { 0 };
	if (box_save(b, &err) < 0)
		cor_warn("container %s: %s", b->c.id, err.message);
	bool ended = b->conmon_ended;
	if (ended)
		box_exit(b);
	else
		crt_watch_logs(b->rt);
	answer(b, NULL);
}

static void started(void *arg, int status) {
	struct box *b = arg;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		running(b);
		return;
	}
	if (b->start_err)
		(void)read_available(fd_watch_fd(b->start_err), &b->text);
	start_failed(b, cor_buf_view(&b->text));
}

static void start_timed_out(struct cor_timer *t) {
	start_failed(cor_container_of(t, struct box, deadline),
		COR_STR("the container runtime did not answer in time"));
}

/* ---- letting it go ---- */

static char *fifo_of(const struct box *b) {
	return cor_asprintf("%s/%s/exec.fifo", b->rt->crun_root, b->c.id);
}

bool box_let_go(const struct box *b) {
	_cleanup_free_ char *fifo = fifo_of(b);
	/* Without a reader it is another kind of crun, or the program has begun already. */
	_cleanup_close_ int fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || write(fd, "", 1) != 1)
		return false;
	/* The fifo says that it is still to begin. Whoever dies before this line has a successor
	 * who writes again, to nobody. */
	return unlink(fifo) == 0;
}

bool box_has_begun(const struct box *b) {
	_cleanup_free_ char *fifo = fifo_of(b);
	_cleanup_free_ char *ended = cor_asprintf("%s/exit", b->dir);
	return b->c.pid > 0 && (access(ended, F_OK) == 0 || access(fifo, F_OK) != 0);
}

/* ---- crun start ---- */

static void start_err_readable(void *arg, int fd) {
	struct box *b = arg;
	if (!read_available(fd, &b->text)) {
		fd_watch_free(b->start_err);
		b->start_err = NULL;
	}
}

static void run_start(struct box *b) {
	struct crt *rt = b->rt;
	struct cor_err err = { 0 };
	int fds[2];
	if (pipe_cloexec(fds, &err) < 0) {
		start_failed(b, cor_str_c(err.message));
		return;
	}
	const char *argv[] = { rt->crun, rt->crun_root_arg, "--cgroup-manager=cgroupfs", "start",
		b->c.id, NULL };
	const char *env[ENV_MAX];
	crt_env(rt, env);
	b->start.ended = started;
	b->start.arg = b;
	int r = child_spawn(
		&b->start, rt->loop, "/", argv, env, (const int[]){ -1, -1, fds[1] }, 3, &err);
	(void)close(fds[1]);
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	b->text.limit = 4096;
	b->start_err = fd_watch_new(rt->loop, fds[0], start_err_readable, b);
	if (r < 0)
		start_failed(b, cor_str_c(err.message));
}

/* ---- conmon ---- */

/* {"data": pid} or {"data": -1, "message": "..."} */
static void sync_complete(struct box *b) {
	fd_watch_free(b->sync);
	b->sync = NULL;
	_cleanup_(cor_arena_freep) struct cor_arena *arena = cor_arena_new(0);
	const struct cor_node *doc = cor_node_parse(arena, cor_buf_view(&b->text), NULL, NULL);
	int64_t pid = -1;
	if (!cor_node_path_int(doc, "data", &pid) || pid <= 0 || pid > INT32_MAX) {
		struct cor_str said = cor_node_path_str(doc, "message");
		start_failed(b, said.p ? said : cor_buf_view(&b->text));
		return;
	}
	b->c.pid = (pid_t)pid;
	b->pid_start = process_start_time(b->c.pid);
	cor_buf_clear(&b->text);
	struct cor_err err = { 0 };
	if (b->stop_asked || b->removing) {
		start_failed(b, COR_STR("stopped before it was started"));
		return;
	}
	if (box_save(b, &err) < 0) {
		/* Unsaved it could not be found again: better not to run. */
		start_failed(b, cor_str_c(err.message));
		return;
	}
	if (box_let_go(b))
		running(b);
	else
		run_start(b);
}

static void sync_readable(void *arg, int fd) {
	struct box *b = arg;
	bool open = read_available(fd, &b->text);
	if (!open || (b->text.n && memchr(b->text.p, '\n', b->text.n)))
		sync_complete(b);
}

static int spawn_conmon(struct box *b, int sync_fd, struct cor_err *err) {
	struct crt *rt = b->rt;
	char uuid[13];
	(void)snprintf(uuid, sizeof(uuid), "%s", b->c.id);
	_cleanup_free_ char *log = cor_asprintf("k8s-file:%s", b->c.log_path);
	_cleanup_free_ char *pid_file = cor_asprintf("%s/pid", b->dir);
	_cleanup_free_ char *log_max = cor_asprintf("%d", COR_LOG_HARD_BYTES);
	const char *argv[ARGV_MAX] = {
		rt->conmon,
		"--api-version",
		"1",
		"--sync",
		"--no-sync-log",
		"--log-level",
		"error",
		"-c",
		b->c.id,
		"-n",
		b->c.id,
		"-u",
		uuid,
		"-r",
		rt->crun,
		"--runtime-arg",
		rt->crun_root_arg,
		"--runtime-arg",
		"--cgroup-manager=cgroupfs",
		"-b",
		b->dir,
		"-p",
		pid_file,
		"-l",
		log,
		"--exit-dir",
		b->dir,
		"--persist-dir",
		b->dir,
		"--socket-dir-path",
		rt->sockets_dir,
		"--log-size-max",
		log_max,
	};
	size_t n = 0;
	while (argv[n])
		n++;
	if (b->c.tty)
		argv[n++] = "-t";
	if (b->c.stdin_open) {
		argv[n++] = "-i";
		if (!b->c.stdin_once)
			argv[n++] = "--leave-stdin-open";
	}
	cor_assert(n < ARGV_MAX);
	/* UTC: the times in the log sort as text. */
	const char *env[ENV_MAX];
	crt_env(rt, env);
	env[2] = "TZ=UTC";
	env[3] = "_OCI_SYNCPIPE=3";
	env[4] = NULL;
	b->conmon.ended = conmon_ended;
	b->conmon.arg = b;
	/* It leaves a file "oom" where it is. */
	int r = child_spawn(&b->conmon, rt->loop, b->dir, argv, env,
		(const int[]){ -1, -1, -1, sync_fd }, 4, err);
	if (r < 0)
		return r;
	b->conmon_pid = b->conmon.pid;
	b->conmon_start = process_start_time(b->conmon_pid);
	return 0;
}

/* ---- the bundle ---- */

static int write_bundle(struct box *b, const struct cor_container_spec *spec, struct cor_err *err) {
	struct crt *rt = b->rt;
	const struct cor_oci_node node = { .cgroup_path = b->cgroup,
		.swap_limit = rt->cg.swap_limit,
		.cgroup_v2 = rt->cg.mode == COR_CGROUP_V2,
		.capabilities = rt->capabilities,
		.open_files = rt->open_files,
		.oom_score_adj_min = rt->oom_score_adj_min };
	if (spec->oom_score_adj < rt->oom_score_adj_min && !rt->oom_warned) {
		rt->oom_warned = true;
		cor_warn("oom_score_adj of containers cannot be lowered below %d: no "
			 "CAP_SYS_RESOURCE",
			rt->oom_score_adj_min);
	}
	_cleanup_buf_ struct cor_buf json = { .limit = 8 << 20 };
	int r = cor_oci_spec(spec, &node, &json, err);
	if (r < 0)
		return r;
	if (mkdir(b->dir, 0700) < 0)
		return cor_fail_errno(err, errno, "%s", b->dir);
	_cleanup_free_ char *path = cor_asprintf("%s/config.json", b->dir);
	if ((r = write_whole(path, cor_buf_view(&json), 0600, err)) < 0 ||
		(r = box_save(b, err)) < 0)
		return r;
	_cleanup_free_ char *log_dir = cor_strdup(spec->log_path);
	char *slash = strrchr(log_dir, '/');
	if (!slash || slash == log_dir)
		return cor_fail(
			err, COR_E_INVALID, "log path \"%s\" must be absolute", spec->log_path);
	*slash = 0;
	return make_dirs(log_dir, 0755, err);
}

/* Has what it needs for itself: the runtime may be closed meanwhile. */
struct announce_job {
	struct cor_job job;
	char *root;
	enum cor_cgroup_mode mode;
};

static void announce_work(struct cor_job *job) {
	const struct announce_job *a = cor_container_of(job, struct announce_job, job);
	cor_cgroup_announce_move(a->root, a->mode);
}

static void announce_done(struct cor_job *job) {
	struct announce_job *a = cor_container_of(job, struct announce_job, job);
	free(a->root);
	free(a);
}

/* By the time that conmon and crun are up, the kernel is ready for crun's move. */
static void announce_move(struct crt *rt) {
	if (!rt->cg.pids)
		return;
	struct announce_job *a = cor_new(struct announce_job);
	*a = (struct announce_job){ .job = { .work = announce_work, .done = announce_done },
		.root = cor_strdup(rt->cg.pids),
		.mode = rt->cg.mode };
	rt->world->submit(rt->world, COR_LANE_ANY, &a->job);
}

static int begin(struct box *b, const struct cor_container_spec *spec, struct cor_err *err) {
	int fds[2];
	announce_move(b->rt);
	int r = write_bundle(b, spec, err);
	if (r < 0 || (r = pipe_cloexec(fds, err)) < 0)
		return r;
	r = spawn_conmon(b, fds[1], err);
	(void)close(fds[1]);
	if (r < 0) {
		(void)close(fds[0]);
		return r;
	}
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	b->text.limit = 64 * 1024;
	b->sync = fd_watch_new(b->rt->loop, fds[0], sync_readable, b);
	return 0;
}

int crt_start(struct cor_runtime *base, const struct cor_container_spec *spec,
	cor_runtime_start_fn *done, void *arg, struct cor_err *err) {
	struct crt *rt = crt_of(base);
	cor_assert(spec->id && strlen(spec->id) >= 12 && !strchr(spec->id, '/') && spec->name &&
		   spec->pod_uid && spec->log_path && done);
	if (cor_map_get(&rt->by_id, cor_str_c(spec->id)))
		return cor_fail(err, COR_E_EXISTS, "container %s exists", spec->id);
	struct box *b = box_new(rt);
	box_describe(b, spec);
	b->c.created_at = cor_now(rt->world);
	b->start_done = done;
	b->start_arg = arg;
	struct cor_err why = { 0 };
	int r = begin(b, spec, &why);
	if (r < 0) {
		remove_tree(b->dir);
		box_free(b);
		if (err)
			*err = why;
		return r;
	}
	(void)cor_map_put(&rt->by_id, cor_str_c(b->c.id), b);
	b->deadline.fire = start_timed_out;
	rt->world->timer_set(rt->world, &b->deadline, START_TIMEOUT);
	return 0;
}
