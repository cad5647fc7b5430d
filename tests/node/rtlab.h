// SPDX-License-Identifier: Apache-2.0
// A laboratory for tests of the container runtime: a loop, a world, a runtime of its own in a
// network and mount namespace of the test, and a root file system of busybox. Needs root.
#pragma once

#include <uv.h>

#include "base/buf.h"
#include "node/runtime.h"

struct rtlab {
	char cluster[40], dir[64], data[96], run[64], rootfs[96];
	uv_loop_t loop;
	struct cor_world *world;
	struct cor_runtime *rt;
	unsigned exits;                 /* calls of the exited event */
	char last_exited[COR_CONTAINER_ID_MAX];
};

/* Once a process: own namespaces, directories, root file system. */
void rtlab_enter(struct rtlab *lab);
/* Removes all containers, the runtime, the directories; fails when anything is left. */
void rtlab_leave(struct rtlab *lab);
/* Another life of the agent. */
void rtlab_open(struct rtlab *lab);
void rtlab_close(struct rtlab *lab);

/* Runs the loop until *what is true; fails after 20 s. */
void rtlab_until(struct rtlab *lab, const bool *what);
/* Runs the loop for so long. */
void rtlab_run(struct rtlab *lab, int ms);

/* A description with defaults; the strings are static or of the lab. id is new. */
struct cor_container_spec rtlab_spec(struct rtlab *lab, const char *const *argv);
/* Starts and waits for the answer. */
struct cor_container *rtlab_start(struct rtlab *lab, const struct cor_container_spec *spec,
	struct cor_err *ret_err);
void rtlab_wait_exit(struct rtlab *lab, const struct cor_container *c);
void rtlab_remove(struct rtlab *lab, struct cor_container *c);
/* The texts of its log, without heads. */
void rtlab_log(const struct cor_container *c, struct cor_buf *out);

struct rtlab_exec {
	struct cor_buf out, err;
	int code;
	struct cor_err error;
	bool done;
};
/* Their arg is a struct rtlab_exec. */
extern const struct cor_session_ops rtlab_session_ops;
struct cor_session *rtlab_exec_begin(struct rtlab *lab, struct cor_container *c,
	struct cor_exec_config cfg, struct rtlab_exec *x);
/* argv to its end. */
void rtlab_exec(struct rtlab *lab, struct cor_container *c, const char *const *argv, struct rtlab_exec *x);
void rtlab_exec_fini(struct rtlab_exec *x);
