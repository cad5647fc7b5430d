// SPDX-License-Identifier: Apache-2.0
#include "rtlab.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/cgroup.h"
#include "node/container_log.h"

enum { DEADLINE_MS = 20000 };

static const char *const applets[] = { "sh", "cat", "echo", "sleep", "ls", "stty", "id", "dd", "env",
	"kill", "pwd", "hostname", "mount", "grep", "head", "touch", "seq", "tail", "stat", "date", "unshare",
	"mkdir", "ps", "tr", "nc" };

static void copy_busybox(const char *to) {
	char buf[65536];
	ssize_t n;
	_cleanup_close_ int in = open("/bin/busybox", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (in < 0 || out < 0)
		fail_msg("busybox (package busybox-static) is needed");
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
}

static void make_rootfs(struct rtlab *lab) {
	static const char *const dirs[] = { "", "/bin", "/etc", "/proc", "/sys", "/dev", "/tmp" };
	char path[256];
	for (size_t i = 0; i < cor_countof(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", lab->rootfs, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	assert_int_equal(chmod(path, 01777), 0);
	(void)snprintf(path, sizeof(path), "%s/bin/busybox", lab->rootfs);
	copy_busybox(path);
	for (size_t i = 0; i < cor_countof(applets); i++) {
		(void)snprintf(path, sizeof(path), "%s/bin/%s", lab->rootfs, applets[i]);
		assert_int_equal(symlink("busybox", path), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/etc/noexec", lab->rootfs);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
}

void rtlab_enter(struct rtlab *lab) {
	static int serial;
	*lab = (struct rtlab){ 0 };
	if (!serial++) {
		assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
		assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
		(void)signal(SIGPIPE, SIG_IGN);
	}
	(void)snprintf(lab->cluster, sizeof(lab->cluster), "test-%d-%d", (int)getpid(), serial);
	(void)snprintf(lab->dir, sizeof(lab->dir), "/tmp/coracle-%s", lab->cluster);
	(void)snprintf(lab->data, sizeof(lab->data), "%s/data", lab->dir);
	(void)snprintf(lab->rootfs, sizeof(lab->rootfs), "%s/rootfs", lab->dir);
	(void)snprintf(lab->run, sizeof(lab->run), "/run/coracle-%s", lab->cluster);
	assert_int_equal(mkdir(lab->dir, 0755), 0);
	assert_int_equal(mkdir(lab->data, 0755), 0);
	make_rootfs(lab);
	rtlab_open(lab);
}

static void exited(void *arg, struct cor_container *c) {
	struct rtlab *lab = arg;
	lab->exits++;
	(void)snprintf(lab->last_exited, sizeof(lab->last_exited), "%s", c->id);
}

void rtlab_open(struct rtlab *lab) {
	assert_int_equal(uv_loop_init(&lab->loop), 0);
	lab->world = cor_world_uv_new(&lab->loop);
	const struct cor_runtime_config cfg = { .loop = &lab->loop, .world = lab->world,
		.cluster = lab->cluster, .data_dir = lab->data, .run_dir = lab->run,
		.hybrid_helper = getenv("COR_HYBRID_CRUN"), .events = { exited, lab } };
	struct cor_err err = { 0 };
	if (cor_runtime_conmon_new(&cfg, &lab->rt, &err) < 0)
		fail_msg("%s", err.message);
}

void rtlab_close(struct rtlab *lab) {
	lab->rt->ops->free(lab->rt);
	(void)uv_run(&lab->loop, UV_RUN_DEFAULT); /* jobs under way */
	cor_world_uv_free(lab->world);
	(void)uv_run(&lab->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&lab->loop), 0);
}

static void tick(uv_timer_t *t) {
	*(bool *)t->data = true;
}

static bool run_until(struct rtlab *lab, const bool *what, int ms) {
	uv_timer_t timer;
	bool over = false;
	timer.data = &over;
	(void)uv_timer_init(&lab->loop, &timer);
	(void)uv_timer_start(&timer, tick, (uint64_t)ms, 0);
	while (!over && !(what && *what))
		(void)uv_run(&lab->loop, UV_RUN_ONCE);
	(void)uv_timer_stop(&timer);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&lab->loop, UV_RUN_NOWAIT);
	return what && *what;
}

void rtlab_until(struct rtlab *lab, const bool *what) {
	if (!run_until(lab, what, DEADLINE_MS))
		fail_msg("nothing happened within %d ms", DEADLINE_MS);
}

void rtlab_run(struct rtlab *lab, int ms) {
	(void)run_until(lab, NULL, ms);
}

struct cor_container_spec rtlab_spec(struct rtlab *lab, const char *const *argv) {
	static char ids[64][COR_CONTAINER_ID_MAX], logs[64][256];
	static unsigned n;
	unsigned i = n++ % 64;
	cor_container_id_new(lab->world, ids[i]);
	(void)snprintf(logs[i], sizeof(logs[i]), "%s/logs/ns_pod_uid1/%.8s/0.log", lab->data, ids[i]);
	return (struct cor_container_spec){ .id = ids[i], .pod_uid = "uid1", .pod_namespace = "ns",
		.pod_name = "pod", .name = "c", .rootfs = lab->rootfs, .argv = argv, .log_path = logs[i],
		.qos = COR_QOS_BURSTABLE };
}

struct start_wait {
	bool done;
	struct cor_container *c;
	struct cor_err err;
};

static void start_done(void *arg, struct cor_container *c, const struct cor_err *err) {
	struct start_wait *w = arg;
	w->done = true;
	w->c = c;
	if (err)
		w->err = *err;
}

struct cor_container *rtlab_start(struct rtlab *lab, const struct cor_container_spec *spec,
	struct cor_err *ret_err) {
	struct start_wait w = { 0 };
	if (lab->rt->ops->start(lab->rt, spec, start_done, &w, &w.err) == 0)
		rtlab_until(lab, &w.done);
	if (ret_err)
		*ret_err = w.err;
	else if (w.err.code)
		fail_msg("start: %s", w.err.message);
	return w.c;
}

void rtlab_wait_exit(struct rtlab *lab, const struct cor_container *c) {
	for (int i = 0; i < DEADLINE_MS / 5 && c->phase != COR_CONTAINER_EXITED; i++)
		rtlab_run(lab, 5);
	assert_int_equal(c->phase, COR_CONTAINER_EXITED);
}

struct remove_wait {
	bool done;
	struct cor_err err;
};

static void remove_done(void *arg, const struct cor_err *err) {
	struct remove_wait *w = arg;
	w->done = true;
	if (err)
		w->err = *err;
}

void rtlab_remove(struct rtlab *lab, struct cor_container *c) {
	struct remove_wait w = { 0 };
	lab->rt->ops->remove(lab->rt, c, remove_done, &w);
	rtlab_until(lab, &w.done);
	if (w.err.code)
		fail_msg("remove: %s", w.err.message);
}

void rtlab_log(const struct cor_container *c, struct cor_buf *out) {
	struct cor_err err = { 0 };
	if (cor_log_tail(c->log_path, 10000, 1 << 20, out, &err) < 0)
		fail_msg("%s", err.message);
	cor_buf_byte(out, 0);
	out->n--;
}

static void exec_output(void *arg, enum cor_stream_id stream, struct cor_str data) {
	struct rtlab_exec *x = arg;
	cor_buf_str(stream == COR_STREAM_OUT ? &x->out : &x->err, data);
}

static void exec_done(void *arg, int code, struct cor_str output, const struct cor_err *err) {
	struct rtlab_exec *x = arg;
	(void)output;
	x->code = code;
	x->done = true;
	if (err)
		x->error = *err;
	struct cor_buf *const bufs[] = { &x->out, &x->err };
	for (size_t i = 0; i < 2; i++) {
		cor_buf_byte(bufs[i], 0);
		bufs[i]->n--;
	}
}

const struct cor_session_ops rtlab_session_ops = { .output = exec_output, .done = exec_done };

struct cor_session *rtlab_exec_begin(struct rtlab *lab, struct cor_container *c,
	struct cor_exec_config cfg, struct rtlab_exec *x) {
	struct cor_err err = { 0 };
	*x = (struct rtlab_exec){ 0 };
	cfg.ops = rtlab_session_ops;
	cfg.arg = x;
	struct cor_session *s = lab->rt->ops->exec(lab->rt, c, &cfg, &err);
	if (!s)
		fail_msg("exec: %s", err.message);
	return s;
}

void rtlab_exec(struct rtlab *lab, struct cor_container *c, const char *const *argv, struct rtlab_exec *x) {
	(void)rtlab_exec_begin(lab, c, (struct cor_exec_config){ .argv = argv }, x);
	rtlab_until(lab, &x->done);
}

void rtlab_exec_fini(struct rtlab_exec *x) {
	cor_buf_fini(&x->out);
	cor_buf_fini(&x->err);
}

/* ---- leaving nothing ---- */

static void assert_no_mounts(const struct rtlab *lab) {
	char line[4096];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, lab->dir) || strstr(line, lab->run))
			fail_msg("left mounted: %s", line);
	(void)fclose(f);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static bool empty_dir(const char *dir, const char *sub) {
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, sub);
	return rmdir(path) == 0;
}

void rtlab_leave(struct rtlab *lab) {
	struct cor_container *c;
	for (size_t it = 0; (c = lab->rt->ops->next(lab->rt, &it)); it = 0)
		rtlab_remove(lab, c);
	for (int q = 0; q < COR_QOS_MAX; q++)
		lab->rt->ops->pod_remove(lab->rt, "uid1", (enum cor_qos)q);
	rtlab_close(lab);
	assert_true(empty_dir(lab->data, "containers"));
	assert_true(empty_dir(lab->run, "crun"));
	assert_true(empty_dir(lab->run, "s"));
	assert_no_mounts(lab);
	struct cor_cgroups cg;
	assert_int_equal(cor_cgroups_init(&cg, lab->cluster, NULL), 0);
	assert_int_equal(cor_cgroup_kill(&cg, cg.base), 0);
	assert_true(cor_cgroup_remove(&cg, cg.base));
	cor_cgroups_fini(&cg);
	assert_int_equal(nftw(lab->dir, remove_entry, 16, FTW_PHYS | FTW_DEPTH), 0);
	assert_int_equal(rmdir(lab->run), 0);
}
