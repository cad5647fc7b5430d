// SPDX-License-Identifier: Apache-2.0
// What the files runtime_*.c share: the runtime with its containers, child processes watched by
// pidfd, and the base of sessions. All of it belongs to the loop's thread.
#pragma once

#include <uv.h>

#include "base/buf.h"
#include "base/map.h"
#include "node/cgroup.h"
#include "node/runtime.h"

/* ---- watching descriptors (runtime_child.c) ---- */

/* Calls ready on the loop while fd is readable. Owns fd. */
struct fd_watch;
struct fd_watch *fd_watch_new(uv_loop_t *loop, int fd, void (*ready)(void *arg, int fd), void *arg);
/* Stops; the descriptor is closed when the loop has run. NULL is fine. */
void fd_watch_free(struct fd_watch *w);
void fd_watch_pause(struct fd_watch *w, bool paused);
int fd_watch_fd(const struct fd_watch *w); /* -1 for NULL */

/* ---- child processes (runtime_child.c) ---- */

struct child {
	pid_t pid;              /* 0: none */
	struct fd_watch *watch; /* of its pidfd */
	uv_loop_t *loop;
	void (*ended)(void *arg, int status); /* as of waitpid; -1 when it was not our child */
	void *arg;
};

/* fds[i] becomes descriptor i of the program; -1: /dev/null. It starts in cwd. ended is called
 * once. */
int child_spawn(struct child *ch, uv_loop_t *loop, const char *cwd, const char *const *argv,
	const char *const *env, const int *fds, size_t n_fds, struct cor_err *err);
/* A process that was started by an earlier life of the agent. */
int child_adopt(struct child *ch, uv_loop_t *loop, pid_t pid);
/* Forgets it without killing it. */
void child_release(struct child *ch);

/* Runs a program to its end and gives its output; blocks. 0 when it exited with 0. */
int child_output(const char *const *argv, struct cor_buf *out);

/* Start time of a process in clock ticks since boot, 0 when there is none: with the pid it names a
 * process for ever (of this boot). */
uint64_t process_start_time(pid_t pid);
/* Sends a signal only if pid still is the process that began then. */
int process_signal(pid_t pid, uint64_t start_time, int signal);
/* Both ends above the numbers that child_spawn gives out. */
int pipe_cloexec(int fds[2], struct cor_err *err);
/* Reads what is there now; false when the other side is closed. */
bool read_available(int fd, struct cor_buf *b);

/* ---- the runtime ---- */

enum { ARGV_MAX = 40 };

struct crt {
	struct cor_runtime rt;
	uv_loop_t *loop;
	struct cor_world *world;
	struct cor_runtime_events events;
	struct cor_cgroups cg;
	char *containers_dir; /* DIR/containers */
	char *run_dir;
	char *crun_root, *crun_root_arg, *sockets_dir;
	char *crun, *conmon; /* crun is the helper on cgroup hybrid */
	int crun_fd;         /* the program in memory; -1 */
	char *crun_env;      /* tells the helper which crun */
	char version[64];
	char boot_id[40];
	int oom_score_adj_min;
	bool oom_warned;
	uint64_t capabilities;
	uint64_t open_files;
	struct cor_map by_id;       /* struct box * */
	struct cor_timer rotate;    /* looks at the size of logs */
	struct cor_timer recovered; /* reports exits of the time before new() */
	struct session_list {
		struct cor_session *first;
	} sessions;
	unsigned exec_count;
	bool closing; /* free() was called: sessions end on the spot */
};

/* A container of this runtime. */
struct box {
	struct cor_container c;
	struct crt *rt;
	char *dir; /* bundle */
	char cgroup[COR_CGROUP_PATH_MAX];
	uint64_t pid_start;
	uint64_t conmon_start;
	pid_t conmon_pid;
	struct child conmon, start;
	struct fd_watch *sync, *start_err;
	struct cor_buf text;       /* what conmon's sync pipe or crun start have said */
	struct cor_timer deadline; /* of the start, then of the stop */
	cor_time kill_at;          /* monotonic; 0: no stop is under way */
	bool stop_asked;           /* while it was starting */
	bool conmon_ended;         /* before the start was answered */
	bool report_exit;          /* found exited by recovery: to be told */
	char *message;
	cor_runtime_start_fn *start_done;
	void *start_arg;
	cor_runtime_done_fn *remove_done;
	void *remove_arg;
	bool removing, remove_begun;
};

#define box_of(ptr) ((struct box *)(ptr))
#define crt_of(ptr) ((struct crt *)(ptr))

/* runtime_state.c: DIR/containers/<id>/container.json */
struct box *box_new(struct crt *rt);
void box_free(struct box *b);
void box_describe(struct box *b, const struct cor_container_spec *spec);
int box_save(const struct box *b, struct cor_err *err);
/* NULL: the directory holds nothing that can be used. */
struct box *box_load(struct crt *rt, const char *dir);
int write_whole(const char *path, struct cor_str text, mode_t mode, struct cor_err *err);
int make_dirs(const char *path, mode_t mode, struct cor_err *err);
void remove_tree(const char *path);
/* Small file into b; false when it cannot be read. */
bool read_whole(const char *path, struct cor_buf *b);

enum { ENV_MAX = 5 };
/* The environment of crun, at most two more to follow. */
void crt_env(const struct crt *rt, const char *env[ENV_MAX]);

/* runtime_conmon.c */
void crt_watch_logs(struct crt *rt); /* there is a container whose log grows */

/* runtime_start.c */
int crt_start(struct cor_runtime *rt, const struct cor_container_spec *spec,
	cor_runtime_start_fn *done, void *arg, struct cor_err *err);
/* Lets a created container become its program. False: crun does not wait where it was expected to.
 */
bool box_let_go(const struct box *b);
/* Whether its program has begun, for sure or maybe. */
bool box_has_begun(const struct box *b);

/* runtime_stop.c */
void crt_stop(struct cor_runtime *rt, struct cor_container *c, int signal, cor_time grace);
int crt_kill(struct cor_runtime *rt, struct cor_container *c, int signal, struct cor_err *err);
void crt_remove(
	struct cor_runtime *rt, struct cor_container *c, cor_runtime_done_fn *done, void *arg);
void conmon_ended(void *arg, int status);
/* Goes on with a remove() that had to wait. */
void box_go_on(struct box *b);
/* Reads the exit file and makes the container EXITED; does not report. */
void box_exit(struct box *b);
void box_report_exit(struct box *b);
/* On a worker, or before anything else: its control group, crun's state, the bundle. False:
 * processes are left. */
bool box_remove_files(const struct box *b);
/* Kills it by all means and waits for nothing. */
void box_kill(struct box *b);

/* runtime_exec.c, runtime_attach.c */
struct cor_session *crt_exec(struct cor_runtime *rt, struct cor_container *c,
	const struct cor_exec_config *cfg, struct cor_err *err);
struct cor_session *crt_attach(struct cor_runtime *rt, struct cor_container *c,
	const struct cor_attach_config *cfg, struct cor_err *err);
/* A line into the control pipe of conmon. */
int conmon_control(struct box *b, const char *line, struct cor_err *err);

/* ---- sessions (runtime_session.c) ---- */

struct session_impl {
	bool (*write)(struct cor_session *s, struct cor_str data);
	void (*close_stdin)(struct cor_session *s);
	void (*resize)(struct cor_session *s, int columns, int rows);
	void (*pause)(struct cor_session *s, bool paused);
	void (*cancel)(struct cor_session *s);
};

struct cor_session {
	const struct session_impl *impl;
	struct crt *rt;
	struct cor_session *next, **prev; /* in rt->sessions */
	struct cor_session_ops ops;
	void *arg;
	struct cor_buf output; /* gathered */
	size_t max_output;
};

void session_init(struct cor_session *s, const struct session_impl *impl, struct crt *rt,
	const struct cor_session_ops *ops, void *arg);
void session_output(struct cor_session *s, enum cor_stream_id stream, struct cor_str data);
/* Off the list; afterwards done may be called. */
void session_unlink(struct cor_session *s);
void session_done(struct cor_session *s, int exit_code, const struct cor_err *err);
