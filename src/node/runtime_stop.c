// SPDX-License-Identifier: Apache-2.0
// The end of a container: signals, its exit, its removal. conmon writes the exit code into the
// bundle before it ends itself, so its pidfd is the one event to wait for.
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "node/runtime_priv.h"

enum { LOST_CODE = 137, REMOVE_TRIES = 200 };

/* ---- signals ---- */

void box_kill(struct box *b) {
	b->rt->world->timer_clear(b->rt->world, &b->deadline);
	b->kill_at = 0;
	if (b->c.phase == COR_CONTAINER_STARTING && b->conmon.pid > 0) {
		/* It leads its session; crun create is in it. */
		(void)kill(-b->conmon.pid, SIGKILL);
		(void)kill(b->conmon.pid, SIGKILL);
	}
	if (b->c.pid > 0)
		(void)process_signal(b->c.pid, b->pid_start, SIGKILL);
	(void)cor_cgroup_kill(&b->rt->cg, b->cgroup);
}

static void grace_over(struct cor_timer *t) {
	box_kill(cor_container_of(t, struct box, deadline));
}

void crt_stop(struct cor_runtime *base, struct cor_container *c, int signal, cor_time grace) {
	struct crt *rt = crt_of(base);
	struct box *b = box_of(c);
	if (c->phase == COR_CONTAINER_STARTING)
		b->stop_asked = true;
	if (c->phase != COR_CONTAINER_RUNNING)
		return;
	if (grace <= 0) {
		box_kill(b);
		return;
	}
	cor_time at = rt->world->monotonic(rt->world) + grace;
	if (!b->kill_at)
		(void)process_signal(c->pid, b->pid_start, signal);
	else if (at >= b->kill_at)
		return;
	b->kill_at = at;
	b->deadline.fire = grace_over;
	rt->world->timer_set(rt->world, &b->deadline, grace);
}

int crt_kill(struct cor_runtime *base, struct cor_container *c, int signal, struct cor_err *err) {
	(void)base;
	if (c->phase != COR_CONTAINER_RUNNING)
		return cor_fail(err, COR_E_NOT_FOUND, "container %s is not running", c->id);
	int r = process_signal(c->pid, box_of(c)->pid_start, signal);
	return r < 0 ? cor_fail_errno(err, -r, "signal %d to container %s", signal, c->id) : 0;
}

/* ---- exit ---- */

static bool read_exit_file(const struct box *b, int *ret_code, cor_time *ret_time) {
	_cleanup_free_ char *path = cor_asprintf("%s/exit", b->dir);
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	struct stat st;
	int64_t code;
	if (stat(path, &st) < 0 || !read_whole(path, &text) ||
		!cor_str_to_i64(cor_str_trim(cor_buf_view(&text)), &code))
		return false;
	*ret_code = (int)code;
	*ret_time = (cor_time)st.st_mtim.tv_sec * COR_SECOND + st.st_mtim.tv_nsec / 1000;
	return true;
}

static bool was_oom_killed(const struct box *b) {
	_cleanup_free_ char *path = cor_asprintf("%s/oom", b->dir);
	return access(path, F_OK) == 0 || cor_cgroup_oom_kills(&b->rt->cg, b->cgroup) > 0;
}

void box_exit(struct box *b) {
	struct cor_container *c = &b->c;
	cor_time when = cor_now(b->rt->world);
	int code = LOST_CODE;
	c->reason = "ContainerStatusUnknown";
	if (read_exit_file(b, &code, &when)) {
		c->oom_killed = code != 0 && was_oom_killed(b);
		c->reason = c->oom_killed ? "OOMKilled" : code ? "Error" : "Completed";
	} else {
		cor_warn("container %s: its exit code is lost", c->id);
	}
	/* Processes that it left in a pid namespace of others, or everything when conmon died. */
	box_kill(b);
	c->phase = COR_CONTAINER_EXITED;
	c->pid = 0;
	c->exit_code = code;
	c->signal = code > 128 && code < 128 + NSIG ? code - 128 : 0;
	/* The file's time comes from a coarser clock. */
	c->finished_at = when > c->started_at ? when : c->started_at;
	struct cor_err err = { 0 };
	if (box_save(b, &err) < 0)
		cor_warn("container %s: %s", c->id, err.message);
}

void box_report_exit(struct box *b) {
	b->report_exit = false;
	b->rt->events.exited(b->rt->events.arg, &b->c);
}

void conmon_ended(void *arg, int status) {
	struct box *b = arg;
	(void)status;
	if (b->c.phase == COR_CONTAINER_STARTING) {
		b->conmon_ended = true;
		return;
	}
	if (b->c.phase == COR_CONTAINER_RUNNING) {
		bool removing = b->removing;
		box_exit(b);
		box_report_exit(b);
		/* When it was asked for within the report it has begun already. */
		if (!removing)
			return;
	}
	if (b->removing)
		box_go_on(b);
}

/* ---- removal ---- */

struct remove_job {
	struct cor_job job;
	struct box *box;
	bool cgroup_left;
};

bool box_remove_files(const struct box *b) {
	const struct crt *rt = b->rt;
	/* Killed processes leave the group when they are reaped, a moment later. */
	bool left = true;
	for (int i = 0; i < REMOVE_TRIES && left; i++) {
		left = !cor_cgroup_remove(&rt->cg, b->cgroup);
		if (!left)
			break;
		(void)cor_cgroup_kill(&rt->cg, b->cgroup);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
	}
	_cleanup_free_ char *state = cor_asprintf("%s/%s", rt->crun_root, b->c.id);
	_cleanup_free_ char *link = cor_asprintf("%s/%.12s", rt->sockets_dir, b->c.id);
	remove_tree(state);
	(void)unlink(link);
	remove_tree(b->dir);
	return !left;
}

/* Touches only what nobody else uses any more. */
static void remove_work(struct cor_job *job) {
	struct remove_job *r = cor_container_of(job, struct remove_job, job);
	r->cgroup_left = !box_remove_files(r->box);
}

static void remove_done(struct cor_job *job) {
	struct remove_job *r = cor_container_of(job, struct remove_job, job);
	struct box *b = r->box;
	struct cor_err err = { 0 };
	int code = 0;
	if (r->cgroup_left)
		code = cor_fail(&err, -EBUSY, "control group %s still has processes", b->cgroup);
	free(r);
	(void)cor_map_remove(&b->rt->by_id, cor_str_c(b->c.id));
	if (b->remove_done)
		b->remove_done(b->remove_arg, code < 0 ? &err : NULL);
	box_free(b);
}

void box_go_on(struct box *b) {
	if (b->remove_begun)
		return;
	if (b->c.phase != COR_CONTAINER_EXITED) {
		box_kill(b); /* its exit comes back here */
		return;
	}
	if (b->conmon.pid > 0) {
		(void)process_signal(b->conmon.pid, b->conmon_start, SIGKILL);
		return; /* conmon_ended */
	}
	b->remove_begun = true;
	struct remove_job *r = cor_new(struct remove_job);
	r->box = b;
	r->job.work = remove_work;
	r->job.done = remove_done;
	b->rt->world->submit(b->rt->world, COR_LANE_ANY, &r->job);
}

void crt_remove(
	struct cor_runtime *base, struct cor_container *c, cor_runtime_done_fn *done, void *arg) {
	struct box *b = box_of(c);
	(void)base;
	b->removing = true;
	b->remove_done = done;
	b->remove_arg = arg;
	if (c->phase != COR_CONTAINER_STARTING) /* else when the start was answered */
		box_go_on(b);
}
