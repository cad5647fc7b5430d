// SPDX-License-Identifier: Apache-2.0
// The container runtime behind one small interface, so that a second one is possible. The real
// one (runtime_conmon.c) lets crun run containers under conmon, which keeps a container, its log
// and its exit code alive while the agent is away. Everything is called and calls back on the
// loop's thread and nothing blocks it; callbacks never come from within the call that asked.
// Strings of a description are only read during the call.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "base/world.h"

struct uv_loop_s;
struct cor_runtime;
struct cor_session;

/* ---- what a container is made of ---- */

enum cor_qos { COR_QOS_GUARANTEED, COR_QOS_BURSTABLE, COR_QOS_BEST_EFFORT, COR_QOS_MAX };

/* 0 = not given, except where noted. */
struct cor_resources {
	int64_t cpu_request_milli;      /* -> shares or weight; absent: the limit counts */
	int64_t cpu_limit_milli;        /* -> quota per 100 ms */
	int64_t memory_limit;           /* bytes */
	int64_t pids_limit;
};

enum cor_propagation { COR_PROPAGATION_NONE, COR_PROPAGATION_HOST_TO_CONTAINER,
	COR_PROPAGATION_BIDIRECTIONAL, COR_PROPAGATION_MAX };

struct cor_mount {
	const char *source;             /* on the node; the type's device when type is set */
	const char *destination;        /* absolute, in the container; made when missing */
	bool read_only;
	bool recursive_read_only;       /* only with read_only */
	enum cor_propagation propagation;
	const char *type;               /* NULL: bind; else a file system such as "tmpfs" */
	const char *options;            /* extra options, comma separated, or NULL */
};

struct cor_device {
	const char *host_path;          /* a node of type c or b */
	const char *container_path;
	const char *access;             /* "rwm" or a part of it */
};

enum cor_seccomp { COR_SECCOMP_UNCONFINED, COR_SECCOMP_RUNTIME_DEFAULT, COR_SECCOMP_LOCALHOST };

struct cor_container_spec {
	/* Who it is. The id is unique for ever (cor_container_id_new); attempt is the restart count. */
	const char *id;
	const char *pod_uid, *pod_namespace, *pod_name, *name;
	int attempt;
	const struct cor_kv *labels;    /* kept on disk and given back after a restart of the agent */
	size_t n_labels;

	const char *rootfs;             /* mounted, writable unless read_only_root */
	bool read_only_root;

	/* Namespace files to join. NULL: of the node. */
	const char *net_ns, *ipc_ns, *uts_ns;
	bool pid_host;
	const char *pid_ns;             /* to join, e.g. "/proc/<pid>/ns/pid"; NULL: a new one */
	const char *hostname;           /* HOSTNAME in the environment unless that is set; may be NULL */

	const char *const *argv;        /* NULL-terminated, at least one */
	const struct cor_kv *env;       /* in order; PATH and HOME get defaults when missing */
	size_t n_env;
	const char *cwd;                /* NULL: "/"; made when missing */
	bool tty, stdin_open, stdin_once;

	uint32_t uid, gid;
	const uint32_t *groups;         /* supplementary, fsGroup included */
	size_t n_groups;
	const char *const *cap_add;     /* NULL-terminated, with or without CAP_, "ALL"; may be NULL */
	const char *const *cap_drop;
	bool privileged;
	bool no_new_privileges;         /* allowPrivilegeEscalation: false */
	enum cor_seccomp seccomp;
	const char *seccomp_path;       /* of COR_SECCOMP_LOCALHOST */
	bool proc_unmasked;             /* procMount: Unmasked */

	const struct cor_mount *mounts; /* besides /proc, /sys, /dev, /dev/pts, /dev/mqueue, cgroup and,
	                                 * unless mounted here, a /dev/shm of 64 MiB */
	size_t n_mounts;
	const struct cor_device *devices;
	size_t n_devices;
	const struct cor_kv *sysctls;   /* only those of a namespace that the container makes itself */
	size_t n_sysctls;

	enum cor_qos qos;
	struct cor_resources resources;
	int oom_score_adj;
	const char *log_path;           /* CRI format; its directory is made */
};

/* ---- what a container is now ---- */

enum cor_container_phase {
	COR_CONTAINER_STARTING,         /* between start() and its answer */
	COR_CONTAINER_RUNNING,
	COR_CONTAINER_EXITED,
	COR_CONTAINER_PHASE_MAX,
};

/* Owned by the runtime; valid until remove() was answered. */
struct cor_container {
	const char *id;
	const char *pod_uid, *pod_namespace, *pod_name, *name;
	int attempt;
	const struct cor_kv *labels;
	size_t n_labels;
	enum cor_container_phase phase;
	pid_t pid;                      /* on the node; 0 unless running */
	cor_time created_at, started_at, finished_at;
	int exit_code;                  /* 128 + signal for a signal */
	int signal;
	bool oom_killed;
	/* "" while running; Completed, Error, OOMKilled, StartError (could not be started, 128),
	 * ContainerStatusUnknown (the exit code is lost, 137). */
	const char *reason;
	const char *message;            /* of StartError; else "" */
	const char *log_path;
	bool tty, stdin_open, stdin_once;
	enum cor_qos qos;
	void *user;                     /* free for the pod manager */
};

struct cor_container_stats {
	cor_time time;
	uint64_t cpu_usage_ns;
	uint64_t memory_usage, memory_working_set, memory_rss, memory_limit;  /* limit 0: none */
	uint64_t page_faults, major_page_faults;
	uint64_t pids;
};

/* ---- the runtime ---- */

struct cor_runtime_events {
	/* A running container has ended; its log is complete. Also for exits that happened while the
	 * agent was away: those are called once from the loop after new(). */
	void (*exited)(void *arg, struct cor_container *c);
	void *arg;
};

struct cor_runtime_config {
	struct uv_loop_s *loop;
	struct cor_world *world;
	const char *cluster;            /* cgroups are under /coracle-<cluster> */
	const char *data_dir;           /* DIR/containers/<id>: what must survive a reboot */
	const char *run_dir;            /* short path on a tmpfs: sockets, pipes, exit files */
	const char *crun, *conmon;      /* NULL: from PATH */
	const char *hybrid_helper;      /* coracle-crun; NULL: beside this program (cgroup hybrid only) */
	struct cor_runtime_events events;
};

/* err NULL: it runs (c->phase RUNNING, or EXITED already when it was quick). With err: c is EXITED
 * with reason StartError when crun refused it (it is kept until remove), or NULL when nothing was
 * made (CreateContainerError). */
typedef void cor_runtime_start_fn(void *arg, struct cor_container *c, const struct cor_err *err);
typedef void cor_runtime_done_fn(void *arg, const struct cor_err *err);

struct cor_exec_config;
struct cor_attach_config;

struct cor_runtime_ops {
	/* Leaves the containers running. No callback any more. */
	void (*free)(struct cor_runtime *rt);

	/* Makes the pod's cgroup or sets its limits; sum of its containers (facts/node-agent 13.1). */
	int (*pod_cgroup)(struct cor_runtime *rt, const char *pod_uid, enum cor_qos qos,
		const struct cor_resources *r, struct cor_err *err);
	/* After the last container of the pod was removed. */
	void (*pod_remove)(struct cor_runtime *rt, const char *pod_uid, enum cor_qos qos);
	/* Every pod that has a cgroup; a uid may come more than once. */
	void (*pods)(struct cor_runtime *rt, void (*fn)(void *arg, const char *pod_uid), void *arg);

	/* Creates and starts. Fails at once (and does not call done) for a description that is wrong. */
	int (*start)(struct cor_runtime *rt, const struct cor_container_spec *spec,
		cor_runtime_start_fn *done, void *arg, struct cor_err *err);
	/* signal now, SIGKILL to all of it after grace. Called again it can only shorten the time. */
	void (*stop)(struct cor_runtime *rt, struct cor_container *c, int signal, cor_time grace);
	/* Sends a signal to its first process and nothing else. */
	int (*kill)(struct cor_runtime *rt, struct cor_container *c, int signal, struct cor_err *err);
	/* Kills what is left, deletes cgroup and state; the log stays. c is gone when done is called. */
	void (*remove)(struct cor_runtime *rt, struct cor_container *c, cor_runtime_done_fn *done,
		void *arg);
	int (*update)(struct cor_runtime *rt, struct cor_container *c, const struct cor_resources *r,
		struct cor_err *err);
	int (*stats)(struct cor_runtime *rt, const struct cor_container *c,
		struct cor_container_stats *ret, struct cor_err *err);
	/* The log file was renamed: write to a new one of the old name. */
	int (*reopen_log)(struct cor_runtime *rt, struct cor_container *c, struct cor_err *err);

	struct cor_container *(*find)(struct cor_runtime *rt, const char *id);  /* NULL */
	/* All known ones, those that were found on disk at new() included; no order.
	 * size_t it = 0; while ((c = ops->next(rt, &it))) ... : nothing may be removed meanwhile. */
	struct cor_container *(*next)(struct cor_runtime *rt, size_t *it);

	/* NULL and err when it cannot even begin. */
	struct cor_session *(*exec)(struct cor_runtime *rt, struct cor_container *c,
		const struct cor_exec_config *cfg, struct cor_err *err);
	struct cor_session *(*attach)(struct cor_runtime *rt, struct cor_container *c,
		const struct cor_attach_config *cfg, struct cor_err *err);
};

struct cor_runtime {
	const struct cor_runtime_ops *ops;
	const char *name;               /* "crun" and version, for nodeInfo.containerRuntimeVersion */
	const char *version;
};

/* crun under conmon. Reads what exists on disk; needs no containers to be stopped. */
int cor_runtime_conmon_new(const struct cor_runtime_config *cfg, struct cor_runtime **ret,
	struct cor_err *err);

/* Ends every container of a cluster whose agent does not run, with SIGTERM and after grace with
 * SIGKILL, and removes their control groups and bundles (not logs, not root file systems). Blocks, at
 * most grace and some seconds. For `coracle down`. */
int cor_runtime_conmon_clean(const char *cluster, const char *data_dir, const char *run_dir,
	cor_time grace, struct cor_err *err);

enum { COR_CONTAINER_ID_MAX = 65 };
void cor_container_id_new(struct cor_world *w, char out[COR_CONTAINER_ID_MAX]);

/* ---- sessions: exec and attach ---- */

enum cor_stream_id { COR_STREAM_OUT = 1, COR_STREAM_ERR = 2 };

struct cor_session_ops {
	/* A piece of output. NULL: it is gathered (stdout and stderr mixed, up to max_output bytes,
	 * the rest is dropped) and given to done. */
	void (*output)(void *arg, enum cor_stream_id stream, struct cor_str data);
	/* Its stdin can take more. May be NULL. */
	void (*writable)(void *arg);
	/* The last call; the session is gone after it. err NULL: it ended with exit_code (attach: 0).
	 * COR_E_NOT_FOUND: the command does not exist (exit_code 127), COR_E_TIMEOUT: killed at its
	 * deadline. output is absent unless gathered. */
	void (*done)(void *arg, int exit_code, struct cor_str output, const struct cor_err *err);
};

struct cor_exec_config {
	const char *const *argv;        /* NULL-terminated */
	bool tty;
	bool stdin_open;                /* else it reads end-of-file */
	cor_time timeout;               /* 0: none; after it the process group is killed */
	size_t max_output;              /* 0: 16 KiB */
	struct cor_session_ops ops;
	void *arg;
};

struct cor_attach_config {
	bool stdin_open, out, err;
	struct cor_session_ops ops;
	void *arg;
};

/* Copies; false when the backlog is over its mark: wait for writable. Ignored after close. */
bool cor_session_write(struct cor_session *s, struct cor_str data);
void cor_session_close_stdin(struct cor_session *s);
void cor_session_resize(struct cor_session *s, int columns, int rows);
/* Stop or go on reading the output, when the other side is slow. */
void cor_session_pause(struct cor_session *s, bool paused);
/* The other side went away: done is not called. An exec'd process gets SIGKILL. */
void cor_session_cancel(struct cor_session *s);
