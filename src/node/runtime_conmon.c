// SPDX-License-Identifier: Apache-2.0
// The runtime of crun under conmon: making it, what it finds on disk, its table of operations.
// A container is known by DIR/containers/<id>/container.json; whether it still runs is asked of
// the kernel (conmon's process), its exit code of the file that conmon left. So the agent may be
// killed at any moment.
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/container_log.h"
#include "node/runtime_priv.h"

#define ROTATE_PERIOD (10 * COR_SECOND)
enum { LINUX_CAP_SYS_RESOURCE = 24, OPEN_FILES_MAX = 1 << 20, FORGET_TRIES = 200 };

/* ---- operations that need no file of their own ---- */

static int pod_cgroup(struct cor_runtime *base, const char *pod_uid, enum cor_qos qos,
	const struct cor_resources *r, struct cor_err *err) {
	struct crt *rt = crt_of(base);
	char path[COR_CGROUP_PATH_MAX];
	cor_cgroup_path(&rt->cg, qos, pod_uid, NULL, path);
	int e = cor_cgroup_make(&rt->cg, path, err);
	return e < 0 ? e : cor_cgroup_set(&rt->cg, path, r, err);
}

static void pod_remove(struct cor_runtime *base, const char *pod_uid, enum cor_qos qos) {
	struct crt *rt = crt_of(base);
	char path[COR_CGROUP_PATH_MAX];
	cor_cgroup_path(&rt->cg, qos, pod_uid, NULL, path);
	if (!cor_cgroup_remove(&rt->cg, path))
		cor_warn("control group %s cannot be removed: it has processes", path);
}

static void pods(struct cor_runtime *base, void (*fn)(void *arg, const char *pod_uid), void *arg) {
	cor_cgroup_pods(&crt_of(base)->cg, fn, arg);
}

static int update(struct cor_runtime *base, struct cor_container *c, const struct cor_resources *r,
	struct cor_err *err) {
	if (c->phase != COR_CONTAINER_RUNNING)
		return cor_fail(err, COR_E_NOT_FOUND, "container %s is not running", c->id);
	return cor_cgroup_set(&crt_of(base)->cg, box_of(c)->cgroup, r, err);
}

static int stats(struct cor_runtime *base, const struct cor_container *c,
	struct cor_container_stats *ret, struct cor_err *err) {
	struct crt *rt = crt_of(base);
	int r = cor_cgroup_stats(&rt->cg, ((const struct box *)c)->cgroup, ret, err);
	if (r == 0)
		ret->time = cor_now(rt->world);
	return r;
}

static int reopen_log(struct cor_runtime *base, struct cor_container *c, struct cor_err *err) {
	(void)base;
	return conmon_control(box_of(c), "2 0 0\n", err);
}

static struct cor_container *find(struct cor_runtime *base, const char *id) {
	return cor_map_get(&crt_of(base)->by_id, cor_str_c(id));
}

static struct cor_container *next(struct cor_runtime *base, size_t *it) {
	void *b = NULL;
	struct cor_str key;
	return cor_map_next(&crt_of(base)->by_id, it, &key, &b) ? b : NULL;
}

static void crt_free(struct cor_runtime *base) {
	struct crt *rt = crt_of(base);
	struct cor_str key;
	void *b;
	rt->world->timer_clear(rt->world, &rt->rotate);
	rt->world->timer_clear(rt->world, &rt->recovered);
	rt->closing = true;
	while (rt->sessions.first)
		cor_session_cancel(rt->sessions.first);
	for (size_t it = 0; cor_map_next(&rt->by_id, &it, &key, &b);)
		box_free(b);
	cor_map_fini(&rt->by_id);
	cor_cgroups_fini(&rt->cg);
	char *const texts[] = { rt->containers_dir, rt->run_dir, rt->crun_root, rt->crun_root_arg,
		rt->sockets_dir, rt->crun, rt->conmon, rt->crun_env };
	for (size_t i = 0; i < cor_countof(texts); i++)
		free(texts[i]);
	if (rt->crun_fd >= 0)
		(void)close(rt->crun_fd);
	free(rt);
}

static const struct cor_runtime_ops ops = {
	.free = crt_free,
	.pod_cgroup = pod_cgroup,
	.pod_remove = pod_remove,
	.pods = pods,
	.start = crt_start,
	.stop = crt_stop,
	.kill = crt_kill,
	.remove = crt_remove,
	.update = update,
	.stats = stats,
	.reopen_log = reopen_log,
	.find = find,
	.next = next,
	.exec = crt_exec,
	.attach = crt_attach,
};

/* ---- logs ---- */

static void rotate_logs(struct cor_timer *t) {
	struct crt *rt = cor_container_of(t, struct crt, rotate);
	struct cor_container *c;
	bool running = false;
	for (size_t it = 0; (c = next(&rt->rt, &it));) {
		struct cor_err err = { 0 };
		if (c->phase != COR_CONTAINER_RUNNING)
			continue;
		running = true;
		int r = cor_log_rotate(c->log_path, cor_now(rt->world), &err);
		if (r > 0)
			r = reopen_log(&rt->rt, c, &err);
		if (r < 0)
			cor_warn("log of container %s: %s", c->id, err.message);
	}
	if (running)
		crt_watch_logs(rt);
}

void crt_watch_logs(struct crt *rt) {
	if (rt->rotate.armed)
		return;
	rt->rotate.fire = rotate_logs;
	rt->world->timer_set(rt->world, &rt->rotate, ROTATE_PERIOD);
}

/* ---- recovery ---- */

static bool is_conmon_of(const char *pid, const char *id) {
	_cleanup_free_ char *path = cor_asprintf("/proc/%s/cmdline", pid);
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	return read_whole(path, &text) && text.n &&
	       cor_str_ends(cor_str_c(text.p), COR_STR("conmon")) &&
	       cor_str_contains(cor_buf_view(&text), cor_str_c(id));
}

/* The agent died between starting conmon and writing down which process that is. */
static void find_conmon(struct box *b) {
	DIR *d = opendir("/proc");
	const struct dirent *e;
	while (d && (e = readdir(d)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
			is_conmon_of(e->d_name, b->c.id)) {
			b->conmon_pid = (pid_t)strtol(e->d_name, NULL, 10);
			b->conmon_start = process_start_time(b->conmon_pid);
		}
	if (d)
		(void)closedir(d);
}

/* conmon lives: go on watching it. */
static bool adopt(struct box *b) {
	struct crt *rt = b->rt;
	if (!b->conmon_pid)
		find_conmon(b);
	if (b->conmon_pid <= 0 || !b->conmon_start ||
		process_start_time(b->conmon_pid) != b->conmon_start)
		return false;
	b->conmon.ended = conmon_ended;
	b->conmon.arg = b;
	return child_adopt(&b->conmon, rt->loop, b->conmon_pid) >= 0;
}

/* The agent died while this one was starting. Once its pid was written down it becomes its program
 * now, if it is not that already: done twice does no harm. False: it has never begun. */
static bool finish_start(struct box *b) {
	if (b->c.pid <= 0)
		return false;
	if (b->conmon.pid > 0)
		(void)box_let_go(b);
	if (!box_has_begun(b))
		return false;
	b->c.started_at = cor_now(b->rt->world);
	(void)box_save(b, NULL);
	return true;
}

/* As if it had not been asked for: it will be started anew. Nobody waits for an agent that starts
 * but the pods that need exactly this. */
static void forget(struct box *b) {
	box_kill(b);
	for (int i = 0; i < FORGET_TRIES && b->conmon_start &&
			process_start_time(b->conmon_pid) == b->conmon_start;
		i++)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
	if (!box_remove_files(b))
		cor_warn("container %s: control group %s still has processes", b->c.id, b->cgroup);
	box_free(b);
}

static void recover_one(struct crt *rt, const char *dir) {
	struct box *b = box_load(rt, dir);
	if (!b) {
		/* container.json is the first file of a bundle but one: nothing was run for this.
		 */
		remove_tree(dir);
		return;
	}
	bool ended = *b->c.reason;
	bool watched = !ended && adopt(b);
	if (!ended && !b->c.started_at && !finish_start(b)) {
		forget(b);
		return;
	}
	(void)cor_map_put(&rt->by_id, cor_str_c(b->c.id), b);
	if (ended) {
		b->c.phase = COR_CONTAINER_EXITED;
		b->c.pid = 0;
	} else if (watched) {
		b->c.phase = COR_CONTAINER_RUNNING;
		crt_watch_logs(rt);
	} else {
		box_exit(b);
		b->report_exit = true;
	}
}

static void report_recovered(struct cor_timer *t) {
	struct crt *rt = cor_container_of(t, struct crt, recovered);
	struct cor_container *c;
	/* One at a time: the listener may remove containers. */
	for (size_t it = 0; (c = next(&rt->rt, &it));)
		if (box_of(c)->report_exit) {
			rt->world->timer_set(rt->world, &rt->recovered, 0);
			box_report_exit(box_of(c));
			return;
		}
}

static int recover(struct crt *rt, struct cor_err *err) {
	DIR *d = opendir(rt->containers_dir);
	if (!d)
		return cor_fail_errno(err, errno, "%s", rt->containers_dir);
	const struct dirent *e;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		_cleanup_free_ char *dir = cor_asprintf("%s/%s", rt->containers_dir, e->d_name);
		recover_one(rt, dir);
	}
	(void)closedir(d);
	rt->recovered.fire = report_recovered;
	rt->world->timer_set(rt->world, &rt->recovered, 0);
	return 0;
}

/* ---- set up ---- */

static char *find_program(const char *given, const char *name) {
	static const char *const dirs[] = { "/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin" };
	if (given)
		return access(given, X_OK) == 0 ? cor_strdup(given) : NULL;
	for (size_t i = 0; i < cor_countof(dirs); i++) {
		char *path = cor_asprintf("%s/%s", dirs[i], name);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* At each call crun copies itself into memory and is executed a second time, so that no container
 * can write to the program on the disk. It does not do that when it is such a copy: one for all
 * calls. */
static int sealed_copy(const char *path) {
	_cleanup_close_ int from = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int to = memfd_create("crun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;
	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		return -1;
	for (off_t at = 0; at < st.st_size;)
		if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
			return -1;
	if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -1;
	return cor_take_fd(to);
}

void crt_env(const struct crt *rt, const char *env[ENV_MAX]) {
	env[0] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	env[1] = rt->crun_env;
	env[2] = NULL;
}

/* Beside this program, where it is installed, or where it is built. */
static char *find_helper(const char *given) {
	static const char *const places[] = { "", "../node/", "../libexec/coracle/" };
	char self[PATH_MAX];
	if (given)
		return access(given, X_OK) == 0 ? cor_strdup(given) : NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return NULL;
	self[n] = 0;
	const char *dir = dirname(self);
	for (size_t i = 0; i < cor_countof(places); i++) {
		char *path = cor_asprintf("%s/%scoracle-crun", dir, places[i]);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* "crun version 1.8.1"; asked once, at start, where a few milliseconds may be waited for. */
static void ask_version(struct crt *rt) {
	_cleanup_buf_ struct cor_buf text = { .limit = 4096 };
	const char *argv[] = { rt->crun, "--version", NULL };
	rt->rt.name = "crun";
	rt->rt.version = "unknown";
	if (child_output(argv, &text) < 0)
		return;
	cor_buf_byte(&text, 0);
	if (sscanf(text.p, "%*s version %63s", rt->version) == 1)
		rt->rt.version = rt->version;
}

/* What this process may hand on. */
static void ask_privileges(struct crt *rt) {
	_cleanup_buf_ struct cor_buf status = COR_BUF_INIT, adj = COR_BUF_INIT;
	uint64_t bounding = 0, permitted = 0;
	rt->oom_score_adj_min = -1000;
	if (read_whole("/proc/self/status", &status)) {
		cor_buf_byte(&status, 0);
		const char *bnd = strstr(status.p, "CapBnd:"), *prm = strstr(status.p, "CapPrm:");
		bounding = bnd ? strtoull(bnd + 7, NULL, 16) : 0;
		permitted = prm ? strtoull(prm + 7, NULL, 16) : 0;
	}
	/* A program that root starts has all of the bounding set, whatever the agent itself gave
	 * up. */
	rt->capabilities = bounding;
	/* The soft limit of the agent is for the agent; servers in containers need more. */
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		rt->open_files = files.rlim_max < OPEN_FILES_MAX ? files.rlim_max : OPEN_FILES_MAX;
	int64_t value;
	if (!(permitted & (UINT64_C(1) << LINUX_CAP_SYS_RESOURCE)) &&
		read_whole("/proc/self/oom_score_adj", &adj) &&
		cor_str_to_i64(cor_str_trim(cor_buf_view(&adj)), &value))
		rt->oom_score_adj_min = (int)value;
	_cleanup_buf_ struct cor_buf boot = COR_BUF_INIT;
	if (read_whole("/proc/sys/kernel/random/boot_id", &boot))
		(void)snprintf(rt->boot_id, sizeof(rt->boot_id), "%.*s",
			COR_STR_ARG(cor_str_trim(cor_buf_view(&boot))));
}

static int set_up(struct crt *rt, const struct cor_runtime_config *cfg, struct cor_err *err) {
	rt->containers_dir = cor_asprintf("%s/containers", cfg->data_dir);
	rt->run_dir = cor_strdup(cfg->run_dir);
	rt->crun_root = cor_asprintf("%s/crun", cfg->run_dir);
	rt->crun_root_arg = cor_asprintf("--root=%s", rt->crun_root);
	rt->sockets_dir = cor_asprintf("%s/s", cfg->run_dir);
	int r = cor_cgroups_init(&rt->cg, cfg->cluster, err);
	if (r < 0)
		return r;
	rt->conmon = find_program(cfg->conmon, "conmon");
	if (!rt->conmon)
		return cor_fail(err, COR_E_NOT_FOUND, "conmon is not installed (package conmon)");
	rt->crun = find_program(cfg->crun, "crun");
	if (!rt->crun)
		return cor_fail(err, COR_E_NOT_FOUND, "crun is not installed (package crun)");
	ask_version(rt);
	rt->crun_fd = sealed_copy(rt->crun);
	if (rt->crun_fd >= 0) {
		free(rt->crun);
		rt->crun = cor_asprintf("/proc/%d/fd/%d", (int)getpid(), rt->crun_fd);
	}
	rt->crun_env = cor_asprintf("CORACLE_CRUN=%s", rt->crun);
	if (rt->cg.mode == COR_CGROUP_HYBRID) {
		free(rt->crun);
		rt->crun = find_helper(cfg->hybrid_helper);
		if (!rt->crun)
			return cor_fail(err, COR_E_NOT_FOUND,
				"control groups are of the hybrid kind and coracle-crun, which "
				"they need, "
				"is not beside this program");
	}
	ask_privileges(rt);
	const char *const dirs[] = { rt->containers_dir, rt->run_dir, rt->crun_root,
		rt->sockets_dir };
	for (size_t i = 0; i < cor_countof(dirs); i++)
		if ((r = make_dirs(dirs[i], 0711, err)) < 0)
			return r;
	r = recover(rt, err);
	/* Stops by itself when nothing runs. */
	if (r == 0)
		crt_watch_logs(rt);
	return r;
}

int cor_runtime_conmon_new(
	const struct cor_runtime_config *cfg, struct cor_runtime **ret, struct cor_err *err) {
	struct crt *rt = cor_new(struct crt);
	cor_assert(cfg->loop && cfg->world && cfg->events.exited);
	rt->rt.ops = &ops;
	rt->crun_fd = -1;
	rt->loop = cfg->loop;
	rt->world = cfg->world;
	rt->events = cfg->events;
	int r = set_up(rt, cfg, err);
	if (r < 0) {
		crt_free(&rt->rt);
		return r;
	}
	*ret = &rt->rt;
	return 0;
}

void cor_container_id_new(struct cor_world *w, char out[COR_CONTAINER_ID_MAX]) {
	uint8_t bytes[32];
	w->random(w, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}
