// SPDX-License-Identifier: Apache-2.0
// config.json of one container (facts/node-agent 8.5, 8.9, 13.1). A section of the document is a
// function; what a privileged container gets instead is decided in each section.
// Mounts are ordered by depth, so that a mount below another one comes after it whatever the
// order of the volumeMounts was.
#include "node/oci_spec.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "codec/tree.h"
#include "node/oci_json.h"

static const char *const capability_names[] = {
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
	"SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
	"IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
	"LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
};

#define CAP(x) (UINT64_C(1) << CAP_##x)
static const uint64_t capabilities_default = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) |
	CAP(FSETID) | CAP(KILL) | CAP(SETGID) | CAP(SETUID) | CAP(SETPCAP) | CAP(NET_BIND_SERVICE) |
	CAP(SYS_CHROOT) | CAP(MKNOD) | CAP(AUDIT_WRITE) | CAP(SETFCAP) | CAP(NET_RAW);
#define CAPABILITIES_ALL ((UINT64_C(1) << cor_countof(capability_names)) - 1)

static const char *const masked_paths[] = {
	"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
	"/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
	"/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap", NULL,
};
static const char *const read_only_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

/* ---- numbers ---- */

uint64_t cor_cpu_shares(int64_t milli) {
	if (milli <= 0)
		return 2;
	if (milli > 256000)
		return 262144;
	uint64_t shares = (uint64_t)milli * 1024 / 1000;
	return shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
}

int64_t cor_cpu_quota(int64_t milli) {
	if (milli <= 0 || milli > INT64_MAX / 100)
		return 0;
	int64_t quota = milli * 100;
	return quota < 1000 ? 1000 : quota;
}

uint64_t cor_cpu_weight(uint64_t shares) {
	if (shares <= 2)
		return 1;
	return 1 + (shares - 2) * 9999 / 262142;
}

/* ---- capabilities ---- */

static int capability_bits(const char *name, uint64_t *ret, struct cor_err *err) {
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	if (strcasecmp(name, "ALL") == 0) {
		*ret = CAPABILITIES_ALL;
		return 0;
	}
	for (size_t i = 0; i < cor_countof(capability_names); i++)
		if (strcasecmp(name, capability_names[i]) == 0) {
			*ret = UINT64_C(1) << i;
			return 0;
		}
	return cor_fail(err, COR_E_INVALID, "unknown capability \"%s\"", name);
}

int cor_oci_capabilities(const struct cor_container_spec *spec, uint64_t *ret, struct cor_err *err) {
	if (spec->privileged) {
		*ret = CAPABILITIES_ALL;
		return 0;
	}
	uint64_t caps = capabilities_default, add = 0, drop = 0, bits = 0;
	for (const char *const *p = spec->cap_add; p && *p; p++) {
		int r = capability_bits(*p, &bits, err);
		if (r < 0)
			return r;
		add |= bits;
	}
	for (const char *const *p = spec->cap_drop; p && *p; p++) {
		int r = capability_bits(*p, &bits, err);
		if (r < 0)
			return r;
		drop |= bits;
	}
	/* A single name is stronger than ALL on the other side; of two single names, or of two ALLs,
	 * the drop wins. */
	if (add == CAPABILITIES_ALL)
		caps = CAPABILITIES_ALL & ~drop;
	else if (drop == CAPABILITIES_ALL)
		caps = add;
	else
		caps = (caps | add) & ~drop;
	*ret = caps;
	return 0;
}

static void write_capabilities(struct cor_buf *b, uint64_t caps) {
	static const char *const sets[] = { "bounding", "effective", "permitted" };
	cor_jw_open(b, "capabilities", '{');
	for (size_t s = 0; s < cor_countof(sets); s++) {
		cor_jw_open(b, sets[s], '[');
		for (size_t i = 0; i < cor_countof(capability_names); i++) {
			if (!(caps & (UINT64_C(1) << i)))
				continue;
			char name[40];
			(void)snprintf(name, sizeof(name), "CAP_%s", capability_names[i]);
			cor_jw_c(b, NULL, name);
		}
		cor_jw_close(b, ']');
	}
	cor_jw_close(b, '}');
}

/* ---- process ---- */

static void write_env_entry(struct cor_buf *b, struct cor_str key, struct cor_str value) {
	_cleanup_buf_ struct cor_buf entry = COR_BUF_INIT;
	cor_buf_str(&entry, key);
	cor_buf_byte(&entry, '=');
	cor_buf_str(&entry, value);
	cor_jw_str(b, NULL, cor_buf_view(&entry));
}

static void write_env(struct cor_buf *b, const struct cor_container_spec *spec) {
	const struct {
		const char *key, *value;
	} defaults[] = {
		{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ "HOSTNAME", spec->hostname },
		{ "TERM", spec->tty ? "xterm" : NULL },
	};
	cor_jw_open(b, "env", '[');
	for (size_t i = 0; i < cor_countof(defaults); i++) {
		bool given = !defaults[i].value;
		for (size_t k = 0; k < spec->n_env && !given; k++)
			given = cor_str_eq_c(spec->env[k].key, defaults[i].key);
		if (!given)
			write_env_entry(b, cor_str_c(defaults[i].key), cor_str_c(defaults[i].value));
	}
	for (size_t i = 0; i < spec->n_env; i++)
		write_env_entry(b, spec->env[i].key, spec->env[i].value);
	cor_jw_close(b, ']');
}

static void write_process(struct cor_buf *b, const struct cor_container_spec *spec,
	const struct cor_oci_node *node, uint64_t caps) {
	cor_jw_open(b, "process", '{');
	cor_jw_bool(b, "terminal", spec->tty);
	cor_jw_open(b, "user", '{');
	cor_jw_int(b, "uid", spec->uid);
	cor_jw_int(b, "gid", spec->gid);
	if (spec->n_groups) {
		cor_jw_open(b, "additionalGids", '[');
		for (size_t i = 0; i < spec->n_groups; i++)
			cor_jw_int(b, NULL, spec->groups[i]);
		cor_jw_close(b, ']');
	}
	cor_jw_close(b, '}');
	cor_jw_strings(b, "args", spec->argv);
	write_env(b, spec);
	cor_jw_c(b, "cwd", spec->cwd && *spec->cwd ? spec->cwd : "/");
	write_capabilities(b, caps);
	if (node->open_files) {
		cor_jw_open(b, "rlimits", '[');
		cor_jw_open(b, NULL, '{');
		cor_jw_c(b, "type", "RLIMIT_NOFILE");
		cor_jw_int(b, "hard", (int64_t)node->open_files);
		cor_jw_int(b, "soft", (int64_t)node->open_files);
		cor_buf_c(b, "}]");
	}
	cor_jw_bool(b, "noNewPrivileges", spec->no_new_privileges);
	int adj = spec->oom_score_adj;
	cor_jw_int(b, "oomScoreAdj", adj < node->oom_score_adj_min ? node->oom_score_adj_min : adj);
	cor_jw_close(b, '}');
}

/* ---- mounts ---- */

struct mount_entry {
	struct cor_mount m;
	size_t order;
};

static size_t depth(const char *path) {
	size_t n = 0;
	for (const char *p = path; *p; p++)
		n += p[0] == '/' && p[1] && p[1] != '/';
	return n;
}

static int by_depth(const void *a, const void *b) {
	const struct mount_entry *x = a, *y = b;
	size_t dx = depth(x->m.destination), dy = depth(y->m.destination);
	if (dx != dy)
		return dx < dy ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* True when path is dir or below it. */
static bool below(const char *path, const char *dir) {
	size_t n = strlen(dir);
	while (n > 1 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static void write_mount(struct cor_buf *b, const struct cor_mount *m) {
	static const char *const propagation[] = { "rprivate", "rslave", "rshared" };
	cor_jw_open(b, NULL, '{');
	cor_jw_c(b, "destination", m->destination);
	cor_jw_c(b, "type", m->type ? m->type : "bind");
	cor_jw_c(b, "source", m->source);
	cor_jw_open(b, "options", '[');
	if (!m->type) {
		cor_jw_c(b, NULL, "rbind");
		cor_jw_c(b, NULL, propagation[m->propagation]);
	}
	if (m->read_only)
		cor_jw_c(b, NULL, m->recursive_read_only ? "rro" : "ro");
	else if (!m->type)
		cor_jw_c(b, NULL, "rw");
	struct cor_str rest = cor_str_c(m->options);
	while (rest.p) {
		struct cor_str option = cor_str_cut(&rest, ',');
		if (option.n)
			cor_jw_str(b, NULL, option);
	}
	cor_buf_c(b, "]}");
}

static int write_mounts(struct cor_buf *b, const struct cor_container_spec *spec, struct cor_err *err) {
	bool ro = !spec->privileged;
	const struct cor_mount defaults[] = {
		{ "proc", "/proc", .type = "proc", .options = "nosuid,noexec,nodev" },
		{ "tmpfs", "/dev", .type = "tmpfs", .options = "nosuid,strictatime,mode=755,size=65536k" },
		{ "devpts", "/dev/pts", .type = "devpts",
			.options = "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" },
		{ "shm", "/dev/shm", .type = "tmpfs", .options = "nosuid,noexec,nodev,mode=1777,size=65536k" },
		{ "mqueue", "/dev/mqueue", .type = "mqueue", .options = "nosuid,noexec,nodev" },
		{ "sysfs", "/sys", .type = "sysfs", .options = "nosuid,noexec,nodev", .read_only = ro },
		{ "cgroup", "/sys/fs/cgroup", .type = "cgroup", .options = "nosuid,noexec,nodev,relatime",
			.read_only = ro },
	};
	_cleanup_free_ struct mount_entry *list =
		cor_calloc(cor_countof(defaults) + spec->n_mounts, sizeof(*list));
	size_t n = 0;
	for (size_t i = 0; i < cor_countof(defaults); i++) {
		bool hidden = false;
		for (size_t k = 0; k < spec->n_mounts && !hidden; k++)
			hidden = below(defaults[i].destination, spec->mounts[k].destination);
		if (hidden)
			continue;
		list[n] = (struct mount_entry){ defaults[i], n };
		n++;
	}
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct cor_mount *m = &spec->mounts[i];
		if (!m->destination || m->destination[0] != '/' || depth(m->destination) == 0)
			return cor_fail(err, COR_E_INVALID, "mount path \"%s\" must be absolute and not \"/\"",
				m->destination ? m->destination : "");
		list[n] = (struct mount_entry){ *m, n };
		n++;
	}
	qsort(list, n, sizeof(*list), by_depth);
	cor_jw_open(b, "mounts", '[');
	for (size_t i = 0; i < n; i++)
		write_mount(b, &list[i].m);
	cor_jw_close(b, ']');
	return 0;
}

/* Of the root: at least what the widest mount needs. */
static const char *root_propagation(const struct cor_container_spec *spec) {
	static const char *const names[] = { NULL, "rslave", "rshared" };
	enum cor_propagation p = COR_PROPAGATION_NONE;
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (spec->mounts[i].propagation > p)
			p = spec->mounts[i].propagation;
	return names[p];
}

/* ---- devices ---- */

static void write_device(struct cor_buf *b, const char *path, const struct stat *st) {
	cor_jw_open(b, NULL, '{');
	cor_jw_c(b, "type", S_ISBLK(st->st_mode) ? "b" : "c");
	cor_jw_c(b, "path", path);
	cor_jw_int(b, "major", major(st->st_rdev));
	cor_jw_int(b, "minor", minor(st->st_rdev));
	cor_jw_int(b, "fileMode", st->st_mode & 0777);
	cor_jw_int(b, "uid", st->st_uid);
	cor_jw_int(b, "gid", st->st_gid);
	cor_jw_close(b, '}');
}

static _Thread_local struct cor_buf *walk_out;

static int host_device(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
	static const char *const skipped[] = { "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd",
		"/dev/console", "/dev/ptmx", "/dev/.lxc", "/dev/hugepages" };
	(void)ftw;
	for (size_t i = 0; i < cor_countof(skipped); i++)
		if (below(path, skipped[i]))
			return kind == FTW_D ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
	if (kind == FTW_F && (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)))
		write_device(walk_out, path, st);
	return FTW_CONTINUE;
}

static int write_devices(struct cor_buf *b, const struct cor_container_spec *spec, struct cor_err *err) {
	cor_jw_open(b, "devices", '[');
	if (spec->privileged) {
		walk_out = b;
		(void)nftw("/dev", host_device, 8, FTW_PHYS | FTW_ACTIONRETVAL);
	}
	for (size_t i = 0; i < spec->n_devices; i++) {
		struct stat st;
		if (stat(spec->devices[i].host_path, &st) < 0)
			return cor_fail_errno(err, errno, "device %s", spec->devices[i].host_path);
		if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
			return cor_fail(err, COR_E_INVALID, "%s is not a device", spec->devices[i].host_path);
		write_device(b, spec->devices[i].container_path, &st);
	}
	cor_jw_close(b, ']');
	return 0;
}

static void write_device_rules(struct cor_buf *b, const struct cor_container_spec *spec) {
	cor_jw_open(b, "devices", '[');
	cor_jw_open(b, NULL, '{');
	cor_jw_bool(b, "allow", spec->privileged);
	cor_jw_c(b, "access", "rwm");
	cor_jw_close(b, '}');
	for (size_t i = 0; i < spec->n_devices && !spec->privileged; i++) {
		struct stat st;
		if (stat(spec->devices[i].host_path, &st) < 0)
			continue;       /* write_devices has failed already */
		cor_jw_open(b, NULL, '{');
		cor_jw_bool(b, "allow", true);
		cor_jw_c(b, "type", S_ISBLK(st.st_mode) ? "b" : "c");
		cor_jw_int(b, "major", major(st.st_rdev));
		cor_jw_int(b, "minor", minor(st.st_rdev));
		cor_jw_c(b, "access", spec->devices[i].access ? spec->devices[i].access : "rwm");
		cor_jw_close(b, '}');
	}
	cor_jw_close(b, ']');
}

/* ---- linux ---- */

static void write_resources(struct cor_buf *b, const struct cor_container_spec *spec,
	const struct cor_oci_node *node) {
	const struct cor_resources *r = &spec->resources;
	cor_jw_open(b, "resources", '{');
	write_device_rules(b, spec);
	cor_jw_open(b, "cpu", '{');
	int64_t request = r->cpu_request_milli ? r->cpu_request_milli : r->cpu_limit_milli;
	cor_jw_int(b, "shares", (int64_t)cor_cpu_shares(request));
	if (cor_cpu_quota(r->cpu_limit_milli)) {
		cor_jw_int(b, "quota", cor_cpu_quota(r->cpu_limit_milli));
		cor_jw_int(b, "period", 100000);
	}
	cor_jw_close(b, '}');
	if (r->memory_limit > 0) {
		cor_jw_open(b, "memory", '{');
		cor_jw_int(b, "limit", r->memory_limit);
		if (node->swap_limit)
			cor_jw_int(b, "swap", r->memory_limit);         /* memory and swap: so no swap */
		cor_jw_close(b, '}');
	}
	if (r->pids_limit > 0) {
		cor_jw_open(b, "pids", '{');
		cor_jw_int(b, "limit", r->pids_limit);
		cor_jw_close(b, '}');
	}
	if (node->cgroup_v2) {
		cor_jw_open(b, "unified", '{');
		cor_jw_c(b, "memory.oom.group", "1");
		cor_jw_close(b, '}');
	}
	cor_jw_close(b, '}');
}

static void write_namespaces(struct cor_buf *b, const struct cor_container_spec *spec) {
	const struct {
		const char *type, *path;
		bool wanted;
	} list[] = {
		{ "mount", NULL, true },
		{ "network", spec->net_ns, spec->net_ns },
		{ "ipc", spec->ipc_ns, spec->ipc_ns },
		{ "uts", spec->uts_ns, spec->uts_ns },
		{ "pid", spec->pid_ns, !spec->pid_host },
		{ "cgroup", NULL, !spec->privileged },
	};
	cor_jw_open(b, "namespaces", '[');
	for (size_t i = 0; i < cor_countof(list); i++) {
		if (!list[i].wanted)
			continue;
		cor_jw_open(b, NULL, '{');
		cor_jw_c(b, "type", list[i].type);
		if (list[i].path)
			cor_jw_c(b, "path", list[i].path);
		cor_jw_close(b, '}');
	}
	cor_jw_close(b, ']');
}

enum { SECCOMP_FILE_MAX = 1 << 20 };

static int write_localhost_seccomp(struct cor_buf *b, const char *path, struct cor_err *err) {
	_cleanup_close_ int fd = open(path ? path : "", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return cor_fail_errno(err, errno, "seccomp profile %s", path ? path : "");
	_cleanup_buf_ struct cor_buf text = { .limit = SECCOMP_FILE_MAX };
	char *room;
	ssize_t n = 0;
	while ((room = cor_buf_reserve(&text, 16384)) && (n = read(fd, room, 16384)) > 0)
		text.n += (size_t)n;
	if (n < 0)
		return cor_fail_errno(err, errno, "seccomp profile %s", path);
	_cleanup_(cor_arena_freep) struct cor_arena *arena = cor_arena_new(0);
	const struct cor_node *tree = room ? cor_node_parse(arena, cor_buf_view(&text), NULL, err) : NULL;
	if (!tree || tree->kind != COR_NODE_OBJECT)
		return cor_fail(err, COR_E_INVALID, "seccomp profile %s is not a JSON object", path);
	cor_jw_key(b, "seccomp");
	cor_node_print(b, tree, COR_PRINT_PLAIN);
	return 0;
}

static int write_seccomp(struct cor_buf *b, const struct cor_container_spec *spec, uint64_t caps,
	struct cor_err *err) {
	if (spec->privileged || spec->seccomp == COR_SECCOMP_UNCONFINED)
		return 0;
	if (spec->seccomp == COR_SECCOMP_LOCALHOST)
		return write_localhost_seccomp(b, spec->seccomp_path, err);
	cor_jw_key(b, "seccomp");
	cor_oci_seccomp_default(b, caps);
	return 0;
}

static int write_linux(struct cor_buf *b, const struct cor_container_spec *spec,
	const struct cor_oci_node *node, uint64_t caps, struct cor_err *err) {
	cor_jw_open(b, "linux", '{');
	cor_jw_c(b, "cgroupsPath", node->cgroup_path);
	write_resources(b, spec, node);
	write_namespaces(b, spec);
	int r = write_devices(b, spec, err);
	if (r < 0)
		return r;
	if (spec->n_sysctls) {
		cor_jw_open(b, "sysctl", '{');
		for (size_t i = 0; i < spec->n_sysctls; i++) {
			_cleanup_free_ char *key = cor_str_dup_c(spec->sysctls[i].key);
			cor_jw_str(b, key, spec->sysctls[i].value);
		}
		cor_jw_close(b, '}');
	}
	if (!spec->privileged && !spec->proc_unmasked) {
		cor_jw_strings(b, "maskedPaths", masked_paths);
		cor_jw_strings(b, "readonlyPaths", read_only_paths);
	}
	if (root_propagation(spec))
		cor_jw_c(b, "rootfsPropagation", root_propagation(spec));
	r = write_seccomp(b, spec, caps, err);
	cor_jw_close(b, '}');
	return r;
}

int cor_oci_spec(const struct cor_container_spec *spec, const struct cor_oci_node *node,
	struct cor_buf *b, struct cor_err *err) {
	if (!spec->argv || !spec->argv[0])
		return cor_fail(err, COR_E_INVALID, "no command specified");
	if (!spec->rootfs || spec->rootfs[0] != '/')
		return cor_fail(err, COR_E_INVALID, "no root file system");
	if (spec->cwd && *spec->cwd && spec->cwd[0] != '/')
		return cor_fail(err, COR_E_INVALID, "working directory \"%s\" must be absolute", spec->cwd);
	uint64_t caps = 0;
	int r = cor_oci_capabilities(spec, &caps, err);
	if (r < 0)
		return r;
	cor_buf_byte(b, '{');
	cor_jw_c(b, "ociVersion", "1.0.2");
	write_process(b, spec, node, caps & node->capabilities);
	cor_jw_open(b, "root", '{');
	cor_jw_c(b, "path", spec->rootfs);
	cor_jw_bool(b, "readonly", spec->read_only_root);
	cor_jw_close(b, '}');
	r = write_mounts(b, spec, err);
	if (r < 0)
		return r;
	r = write_linux(b, spec, node, caps, err);
	if (r < 0)
		return r;
	cor_jw_close(b, '}');
	if (b->failed)
		return cor_fail(err, COR_E_LIMIT, "the container's description is too large");
	return 0;
}
