// SPDX-License-Identifier: Apache-2.0
// Control groups by their files. Version 1 has a tree per controller, of which only cpu, memory
// and pids need a group of the pod; crun makes the others when it makes a container's. Removing
// looks into all of them.
#include "node/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/mem.h"
#include "node/oci_spec.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
enum { FILE_MAX = 8192, DEPTH_MAX = 16 };

/* ---- files ---- */

static int write_file(const char *root, const char *path, const char *name, const char *text) {
	char file[PATH_MAX];
	(void)snprintf(file, sizeof(file), "%s%s/%s", root, path, name);
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool read_file(const char *root, const char *path, const char *name, char out[FILE_MAX]) {
	char file[PATH_MAX];
	(void)snprintf(file, sizeof(file), "%s%s/%s", root, path, name);
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, FILE_MAX - 1);
	out[n < 0 ? 0 : n] = 0;
	return n >= 0;
}

static uint64_t number(const char *root, const char *path, const char *name) {
	char text[FILE_MAX];
	if (!root || !read_file(root, path, name, text))
		return 0;
	return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

/* The value of a line "key value" of a file's text; 0 when there is none. */
static uint64_t field(const char *text, const char *key) {
	size_t n = strlen(key);
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return strtoull(line + n + 1, NULL, 10);
	}
	return 0;
}

/* ---- set up ---- */

static void note_controller(struct cor_cgroups *cg, const struct mntent *m, const char *dir) {
	const struct {
		const char *option, **where;
	} wanted[] = {
		{ "cpu", &cg->cpu },
		{ "cpuacct", &cg->cpuacct },
		{ "memory", &cg->memory },
		{ "pids", &cg->pids },
	};
	for (size_t i = 0; i < cor_countof(wanted); i++)
		if (hasmntopt(m, wanted[i].option))
			*wanted[i].where = dir;
}

int cor_cgroups_init(struct cor_cgroups *cg, const char *cluster, struct cor_err *err) {
	*cg = (struct cor_cgroups){ .mode = COR_CGROUP_V1 };
	(void)snprintf(cg->base, sizeof(cg->base), "/coracle-%s", cluster);
	FILE *f = setmntent("/proc/self/mounts", "re");
	if (!f)
		return cor_fail_errno(err, errno, "/proc/self/mounts");
	struct mntent m;
	char text[4096];
	while (getmntent_r(f, &m, text, sizeof(text))) {
		bool two = strcmp(m.mnt_type, "cgroup2") == 0;
		if (two && strcmp(m.mnt_dir, CGROUP_ROOT) != 0 &&
			strcmp(m.mnt_dir, CGROUP_ROOT "/unified") == 0)
			cg->mode = COR_CGROUP_HYBRID;
		bool ours = two ? strcmp(m.mnt_dir, CGROUP_ROOT) == 0
				: strcmp(m.mnt_type, "cgroup") == 0 &&
					    strncmp(m.mnt_dir, CGROUP_ROOT "/",
						    sizeof(CGROUP_ROOT)) == 0;
		if (!ours || cg->n_hierarchies == COR_CGROUP_HIERARCHIES_MAX)
			continue;
		char *dir = cg->hierarchies[cg->n_hierarchies++] = cor_strdup(m.mnt_dir);
		if (two) {
			cg->mode = COR_CGROUP_V2;
			cg->cpu = cg->cpuacct = cg->memory = cg->pids = dir;
		} else {
			note_controller(cg, &m, dir);
		}
	}
	(void)endmntent(f);
	if (cg->n_hierarchies == 0)
		return cor_fail(
			err, COR_E_UNSUPPORTED, "no control groups are mounted at " CGROUP_ROOT);
	if (cg->mode == COR_CGROUP_V2) {
		/* The root has no such file; a group below it shows whether swap is accounted. */
		(void)cor_cgroup_make(cg, cg->base, NULL);
		cg->swap_limit = number(cg->memory, cg->base, "memory.swap.max") > 0;
	} else if (cg->memory) {
		cg->swap_limit = number(cg->memory, "", "memory.memsw.limit_in_bytes") > 0;
	}
	return 0;
}

void cor_cgroups_fini(struct cor_cgroups *cg) {
	for (size_t i = 0; i < cg->n_hierarchies; i++)
		free(cg->hierarchies[i]);
	*cg = (struct cor_cgroups){ 0 };
}

void cor_cgroup_path(const struct cor_cgroups *cg, enum cor_qos qos, const char *pod_uid,
	const char *id, char out[COR_CGROUP_PATH_MAX]) {
	static const char *const parents[] = { "", "/burstable", "/besteffort" };
	int n = snprintf(out, COR_CGROUP_PATH_MAX, "%s%s/pod%s%s%s", cg->base, parents[qos],
		pod_uid, id ? "/" : "", id ? id : "");
	cor_assert(n < COR_CGROUP_PATH_MAX); /* names and ids are of bounded length */
}

/* ---- make and set ---- */

/* Makes each directory on the way; on version 2 hands the controllers down to it. */
static int make_in(
	const struct cor_cgroups *cg, const char *root, const char *path, struct cor_err *err) {
	static const char *const controllers[] = { "+cpu", "+memory", "+pids", "+io", "+cpuset" };
	char part[COR_CGROUP_PATH_MAX] = "", dir[PATH_MAX];
	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] != '/' && path[i])
			continue;
		if (cg->mode == COR_CGROUP_V2)
			for (size_t c = 0; c < cor_countof(controllers); c++)
				(void)write_file(
					root, part, "cgroup.subtree_control", controllers[c]);
		memcpy(part, path, i);
		part[i] = 0;
		(void)snprintf(dir, sizeof(dir), "%s%s", root, part);
		if (mkdir(dir, 0755) < 0 && errno != EEXIST)
			return cor_fail_errno(err, errno, "control group %s", dir);
		if (!path[i])
			break;
	}
	return 0;
}

int cor_cgroup_make(const struct cor_cgroups *cg, const char *path, struct cor_err *err) {
	const char *const roots[] = { cg->cpu, cg->memory, cg->pids };
	for (size_t i = 0; i < cor_countof(roots); i++) {
		if (!roots[i] || (i && cg->mode == COR_CGROUP_V2))
			continue;
		int r = make_in(cg, roots[i], path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One limit: a file, and its text for a number or for none. */
static int set_one(const char *root, const char *path, const char *file, int64_t value,
	const char *none, const char *suffix, struct cor_err *err) {
	if (!root)
		return 0;
	char text[64];
	if (value > 0)
		(void)snprintf(text, sizeof(text), "%lld%s", (long long)value, suffix);
	else
		(void)snprintf(text, sizeof(text), "%s%s", none, suffix);
	int r = write_file(root, path, file, text);
	if (r < 0)
		return cor_fail_errno(err, -r, "setting %s of %s to %s", file, path, text);
	return 0;
}

/* Memory together with swap may never be below memory alone: so one of the two goes first. */
static int set_memory_v1(
	const struct cor_cgroups *cg, const char *path, int64_t limit, struct cor_err *err) {
	static const char *const files[] = { "memory.limit_in_bytes",
		"memory.memsw.limit_in_bytes" };
	if (!cg->swap_limit)
		return set_one(cg->memory, path, files[0], limit, "-1", "", err);
	uint64_t now = number(cg->memory, path, files[0]);
	bool lower = limit > 0 && (uint64_t)limit < now;
	int r = set_one(cg->memory, path, files[lower ? 0 : 1], limit, "-1", "", err);
	return r < 0 ? r : set_one(cg->memory, path, files[lower ? 1 : 0], limit, "-1", "", err);
}

int cor_cgroup_set(const struct cor_cgroups *cg, const char *path, const struct cor_resources *r,
	struct cor_err *err) {
	int64_t request = r->cpu_request_milli ? r->cpu_request_milli : r->cpu_limit_milli;
	uint64_t shares = cor_cpu_shares(request);
	int64_t quota = cor_cpu_quota(r->cpu_limit_milli);
	int e;
	if (cg->mode == COR_CGROUP_V2) {
		if ((e = set_one(cg->cpu, path, "cpu.weight", (int64_t)cor_cpu_weight(shares), "1",
			     "", err)) < 0 ||
			(e = set_one(cg->cpu, path, "cpu.max", quota, "max", " 100000", err)) < 0 ||
			(e = set_one(cg->memory, path, "memory.max", r->memory_limit, "max", "",
				 err)) < 0 ||
			(e = set_one(cg->pids, path, "pids.max", r->pids_limit, "max", "", err)) <
				0)
			return e;
		if (cg->swap_limit && r->memory_limit > 0)
			(void)write_file(cg->memory, path, "memory.swap.max", "0");
		return 0;
	}
	if ((e = set_one(cg->cpu, path, "cpu.shares", (int64_t)shares, "2", "", err)) < 0 ||
		(e = set_one(cg->cpu, path, "cpu.cfs_period_us", 100000, "", "", err)) < 0 ||
		(e = set_one(cg->cpu, path, "cpu.cfs_quota_us", quota, "-1", "", err)) < 0 ||
		(e = set_memory_v1(cg, path, r->memory_limit, err)) < 0 ||
		(e = set_one(cg->pids, path, "pids.max", r->pids_limit, "max", "", err)) < 0)
		return e;
	return 0;
}

/* ---- making ready for a move ---- */

/* Moves this process to where it is. The kernel waits for all processors to have passed a quiet
 * point (RCU) when the lock is taken for writing; that state lasts for about as long again. */
void cor_cgroup_announce_move(const char *root, enum cor_cgroup_mode mode) {
	const char *mark = mode == COR_CGROUP_V2 ? "0::" : ":pids:";
	char text[FILE_MAX], pid[24];
	if (!read_file("/proc/self", "", "cgroup", text))
		return;
	char *at = strstr(text, mark);
	if (!at)
		return;
	at += strlen(mark);
	at[strcspn(at, "\n")] = 0;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)write_file(root, at, "cgroup.procs", pid);
}

/* ---- kill and remove ---- */

/* A line of /proc/PID/status that is a set of signals: is SIGTERM in it? */
static bool has_sigterm(const char *status, const char *line) {
	const char *at = strstr(status, line);
	return at && (strtoull(at + strlen(line), NULL, 16) & (UINT64_C(1) << (SIGTERM - 1)));
}

static bool hears_sigterm(pid_t pid) {
	char dir[32], status[FILE_MAX];
	(void)snprintf(dir, sizeof(dir), "/%d", (int)pid);
	if (!read_file("/proc", dir, "status", status))
		return false;
	/* One that is blocked waits for whoever asks for it. */
	if (has_sigterm(status, "\nSigBlk:") || has_sigterm(status, "\nSigCgt:"))
		return true;
	/* The numbers of the process, that of its own namespace last. */
	const char *numbers = strstr(status, "\nNSpid:");
	const char *end = numbers ? strchr(numbers + 1, '\n') : NULL;
	bool first = end && end - numbers > 2 && end[-1] == '1' && end[-2] == '\t';
	return !first && !has_sigterm(status, "\nSigIgn:");
}

/* Calls fn for each process that is in dir; counts for how many it says yes. */
static size_t count_procs(const char *dir, bool (*fn)(pid_t pid, int sig), int sig) {
	_cleanup_free_ char *file = cor_asprintf("%s/cgroup.procs", dir);
	FILE *f = fopen(file, "re");
	size_t n = 0;
	long pid;
	while (f && fscanf(f, "%ld", &pid) == 1)
		n += pid > 1 && fn((pid_t)pid, sig);
	if (f)
		(void)fclose(f);
	return n;
}

static bool send_signal(pid_t pid, int sig) {
	(void)kill(pid, sig);
	return true;
}

static bool is_hearing(pid_t pid, int sig) {
	(void)sig;
	return hears_sigterm(pid);
}

/* Visits dir's children before dir itself. */
static bool walk(const char *dir, int level, bool (*fn)(const char *dir, void *arg), void *arg) {
	DIR *d = level < DEPTH_MAX ? opendir(dir) : NULL;
	bool ok = true;
	const struct dirent *e;
	while (d && (e = readdir(d))) {
		char child[PATH_MAX];
		if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 ||
			strcmp(e->d_name, "..") == 0)
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", dir, e->d_name) < (int)sizeof(child))
			ok &= walk(child, level + 1, fn, arg);
	}
	if (d)
		(void)closedir(d);
	return fn(dir, arg) && ok;
}

struct procs_walk {
	bool (*fn)(pid_t pid, int sig);
	int sig;
	size_t n;
};

static bool count_here(const char *dir, void *arg) {
	struct procs_walk *w = arg;
	w->n += count_procs(dir, w->fn, w->sig);
	return true;
}

static size_t walk_procs(const struct cor_cgroups *cg, const char *path, bool (*fn)(pid_t pid, int sig), int sig) {
	/* pids first; the others only when it does not exist: processes are in all of them alike.
	 */
	const char *root = cg->pids ? cg->pids : cg->hierarchies[0];
	char dir[PATH_MAX];
	struct procs_walk w = { .fn = fn, .sig = sig };
	(void)snprintf(dir, sizeof(dir), "%s%s", root, path);
	(void)walk(dir, 0, count_here, &w);
	return w.n;
}

static bool remove_here(const char *dir, void *arg) {
	(void)arg;
	return rmdir(dir) == 0 || errno == ENOENT;
}

size_t cor_cgroup_signal(const struct cor_cgroups *cg, const char *path, int sig) {
	if (cg->mode == COR_CGROUP_V2 && sig == SIGKILL)
		(void)write_file(cg->pids ? cg->pids : cg->hierarchies[0], path, "cgroup.kill", "1");
	return walk_procs(cg, path, send_signal, sig);
}

size_t cor_cgroup_hearing(const struct cor_cgroups *cg, const char *path) {
	return walk_procs(cg, path, is_hearing, 0);
}

size_t cor_cgroup_kill(const struct cor_cgroups *cg, const char *path) {
	return cor_cgroup_signal(cg, path, SIGKILL);
}

bool cor_cgroup_remove(const struct cor_cgroups *cg, const char *path) {
	bool ok = true;
	for (size_t i = 0; i < cg->n_hierarchies; i++) {
		char dir[PATH_MAX];
		(void)snprintf(dir, sizeof(dir), "%s%s", cg->hierarchies[i], path);
		ok &= walk(dir, 0, remove_here, NULL);
	}
	return ok;
}

void cor_cgroup_pods(const struct cor_cgroups *cg, void (*fn)(void *arg, const char *pod_uid), void *arg) {
	static const char *const classes[] = { "", "/burstable", "/besteffort" };
	for (size_t i = 0; i < cg->n_hierarchies * cor_countof(classes); i++) {
		_cleanup_free_ char *path = cor_asprintf("%s%s%s", cg->hierarchies[i / cor_countof(classes)], cg->base,
			classes[i % cor_countof(classes)]);
		DIR *d = opendir(path);
		const struct dirent *e;
		while (d && (e = readdir(d)))
			if (strncmp(e->d_name, "pod", 3) == 0)
				fn(arg, e->d_name + 3);
		if (d)
			(void)closedir(d);
	}
}

/* ---- reading ---- */

uint64_t cor_cgroup_oom_kills(const struct cor_cgroups *cg, const char *path) {
	char text[FILE_MAX];
	const char *file = cg->mode == COR_CGROUP_V2 ? "memory.events" : "memory.oom_control";
	if (!cg->memory || !read_file(cg->memory, path, file, text))
		return 0;
	return field(text, "oom_kill");
}

/* Where each version keeps the figures. */
static const struct {
	const char *usage, *limit, *inactive, *rss, *faults, *major;
} memory_names[] = {
	{ "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file", "total_rss",
		"total_pgfault", "total_pgmajfault" },
	{ "memory.current", "memory.max", "inactive_file", "anon", "pgfault", "pgmajfault" },
};

int cor_cgroup_stats(const struct cor_cgroups *cg, const char *path,
	struct cor_container_stats *ret, struct cor_err *err) {
	bool two = cg->mode == COR_CGROUP_V2;
	char text[FILE_MAX];
	struct cor_container_stats s = { 0 };
	if (!cg->memory || !read_file(cg->memory, path, "memory.stat", text))
		return cor_fail(err, COR_E_NOT_FOUND, "no control group %s", path);
	s.memory_usage = number(cg->memory, path, memory_names[two].usage);
	uint64_t inactive = field(text, memory_names[two].inactive);
	s.memory_working_set = s.memory_usage > inactive ? s.memory_usage - inactive : 0;
	s.memory_rss = field(text, memory_names[two].rss);
	s.page_faults = field(text, memory_names[two].faults);
	s.major_page_faults = field(text, memory_names[two].major);
	s.memory_limit = number(cg->memory, path, memory_names[two].limit);
	if (s.memory_limit > UINT64_C(1) << 60)
		s.memory_limit = 0;
	if (two)
		s.cpu_usage_ns = read_file(cg->cpu, path, "cpu.stat", text)
					 ? field(text, "usage_usec") * 1000
					 : 0;
	else
		s.cpu_usage_ns = number(cg->cpuacct, path, "cpuacct.usage");
	s.pids = number(cg->pids, path, "pids.current");
	*ret = s;
	return 0;
}
