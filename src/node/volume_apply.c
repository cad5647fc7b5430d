// SPDX-License-Identifier: Apache-2.0
// Makes volumes on disk: directories, tmpfs, type checks of hostPath, ownership by fsGroup, and
// subPaths, which a container may try to turn into a way out: they are walked with openat2 so that
// no symlink leaves the volume, and bound through the descriptor that was checked.
#include "node/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "node/image_priv.h"

enum { PATH_LEN = 4096, DEPTH_MAX = 200 /* of directories, each with a descriptor or two */ };

int cor_mkdir_all(const char *dir, mode_t mode, struct cor_err *err) {
	char path[PATH_LEN];
	size_t n = strlen(dir);
	if (n >= sizeof(path))
		return cor_fail(err, COR_E_LIMIT, "path is too long: %.200s", dir);
	memcpy(path, dir, n + 1);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return cor_fail_errno(err, errno, "mkdir %s", path);
		*p = '/';
	}
	if (mkdir(path, mode) == 0)
		return chmod(path, mode) < 0 ? cor_fail_errno(err, errno, "chmod %s", path) : 0;
	return errno == EEXIST ? 0 : cor_fail_errno(err, errno, "mkdir %s", path);
}

static bool is_mount(const char *path) {
	struct stat st, up;
	_cleanup_free_ char *parent = cor_asprintf("%s/..", path);
	return stat(path, &st) == 0 && stat(parent, &up) == 0 && st.st_dev != up.st_dev;
}

static int make_tmpfs(const char *path, uint64_t size, mode_t mode, struct cor_err *err) {
	int r = cor_mkdir_all(path, mode, err);
	if (r < 0 || is_mount(path))
		return r;
	char options[64];
	if (size > 0)
		(void)snprintf(options, sizeof(options), "mode=0%o,size=%llu", mode, (unsigned long long)size);
	else
		(void)snprintf(options, sizeof(options), "mode=0%o", mode);
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return cor_fail_errno(err, errno, "mount tmpfs at %s", path);
	return 0;
}

/* ---- hostPath ---- */

static const struct host_type {
	const char *type;
	mode_t mode;
	const char *what;
} host_types[] = {
	{ "Directory", S_IFDIR, "is not a directory" },
	{ "DirectoryOrCreate", S_IFDIR, "is not a directory" },
	{ "File", S_IFREG, "is not a file" },
	{ "FileOrCreate", S_IFREG, "is not a file" },
	{ "Socket", S_IFSOCK, "is not a socket file" },
	{ "CharDevice", S_IFCHR, "is not a character device" },
	{ "BlockDevice", S_IFBLK, "is not a block device" },
};

static int host_path(const struct cor_volume_plan *p, struct cor_err *err) {
	struct stat st;
	if (!p->host_type || p->host_type[0] == 0)
		return stat(p->path, &st) == 0 ? 0 : cor_mkdir_all(p->path, 0755, err);
	if (strcmp(p->host_type, "DirectoryOrCreate") == 0 && stat(p->path, &st) < 0) {
		int r = cor_mkdir_all(p->path, 0755, err);
		if (r < 0)
			return r;
	}
	if (strcmp(p->host_type, "FileOrCreate") == 0 && stat(p->path, &st) < 0) {
		_cleanup_close_ int fd = open(p->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0)
			return cor_fail_errno(err, errno, "hostPath type check failed: %s", p->path);
	}
	for (size_t i = 0; i < cor_countof(host_types); i++)
		if (strcmp(p->host_type, host_types[i].type) == 0 &&
		    (stat(p->path, &st) < 0 || (st.st_mode & S_IFMT) != host_types[i].mode))
			return cor_fail(err, COR_E_INVALID, "hostPath type check failed: %s %s", p->path,
				host_types[i].what);
	return 0;
}

/* ---- fsGroup ---- */

/* By descriptor at each step: a container that has the volume already may put a symlink in the place
 * of anything while we walk, and neither chown nor chmod may follow it out. */
static int own(int fd, gid_t group) {
	struct stat st;
	char path[64];
	if (fstat(fd, &st) < 0 || fchownat(fd, "", (uid_t)-1, group, AT_EMPTY_PATH) < 0)
		return -1;
	if (S_ISLNK(st.st_mode))
		return 0;
	mode_t mode = (st.st_mode & 07777) | 0660;
	if (S_ISDIR(st.st_mode))
		mode |= S_ISGID | 0110;
	/* An O_PATH descriptor has no fchmod. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
}

static int own_tree(int dir, gid_t group, dev_t dev, int depth) {
	int r = own(dir, group);
	int list = r < 0 || depth > DEPTH_MAX ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = list < 0 ? NULL : fdopendir(list);
	const struct dirent *e;
	if (list >= 0 && !d)
		(void)close(list);
	if (r == 0 && !d) {
		errno = depth > DEPTH_MAX ? ELOOP : errno;
		return -1;
	}
	while (d && r == 0 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		_cleanup_close_ int fd = openat(dir, e->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;
		if (fd < 0 && errno == ENOENT)
			continue;       /* gone since */
		if (fd < 0 || fstat(fd, &st) < 0)
			r = -1;
		else if (st.st_dev == dev)
			r = S_ISDIR(st.st_mode) ? own_tree(fd, group, dev, depth + 1) : own(fd, group);
	}
	if (d)
		(void)closedir(d);
	return r;
}

static int apply_fs_group(const struct cor_volume_plan *p, struct cor_err *err) {
	if (p->fs_group < 0 || p->read_only)
		return 0;
	struct stat st;
	_cleanup_close_ int dir = open(p->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0)
		return cor_fail_errno(err, errno, "open %s", p->path);
	if (p->on_root_mismatch && st.st_gid == (gid_t)p->fs_group && (st.st_mode & 02770) == 02770)
		return 0;
	if (own_tree(dir, (gid_t)p->fs_group, st.st_dev, 0) != 0)
		return cor_fail_errno(err, errno, "set group %lld in %s", (long long)p->fs_group, p->path);
	return 0;
}

int cor_volume_apply(const struct cor_volume_plan *p, struct cor_err *err) {
	int r = 0;
	switch (p->kind) {
	case COR_VOLUME_EMPTY_DIR:
		r = cor_mkdir_all(p->path, 0777, err);
		break;
	case COR_VOLUME_TMPFS:
		r = make_tmpfs(p->path, p->size, 01777 & 0777, err);
		break;
	case COR_VOLUME_HOST_PATH:
		return host_path(p, err);
	case COR_VOLUME_FILES:
		r = p->in_memory ? make_tmpfs(p->path, 0, 0755, err) : cor_mkdir_all(p->path, 0755, err);
		return r < 0 ? r : cor_volume_write_files(p->path, &p->files, p->fs_group, err);
	default:
		break;
	}
	return r < 0 ? r : apply_fs_group(p, err);
}

/* ---- removal ---- */

int cor_volume_unmount_below(const char *dir, struct cor_err *err) {
	/* The newest mount is the last line; what is mounted on top goes first. */
	for (int round = 0; round < 64; round++) {
		FILE *f = fopen("/proc/self/mountinfo", "re");
		if (!f)
			return cor_fail_errno(err, errno, "open mountinfo");
		char *line = NULL, last[PATH_LEN] = "";
		size_t cap = 0, n = strlen(dir);
		while (getline(&line, &cap, f) > 0) {
			char at[PATH_LEN];
			if (sscanf(line, "%*s %*s %*s %*s %4095s", at) == 1 && strncmp(at, dir, n) == 0 &&
			    at[n] == '/')
				(void)snprintf(last, sizeof(last), "%s", at);
		}
		free(line);
		(void)fclose(f);
		if (!last[0])
			return 0;
		if (umount2(last, UMOUNT_NOFOLLOW) < 0 && (errno != EBUSY ||
		    umount2(last, UMOUNT_NOFOLLOW | MNT_DETACH) < 0))
			return cor_fail_errno(err, errno, "unmount %s", last);
		round = 0;
	}
	return 0;
}

int cor_volume_remove_tree(const char *dir, struct cor_err *err) {
	int r = cor_volume_unmount_below(dir, err);
	return r < 0 ? r : cor_image_rmtree(AT_FDCWD, dir, err);
}

/* ---- subPath ---- */

static int open_in(int root, const char *path, uint64_t flags) {
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* Makes what is missing on the way, a directory at a time. */
static int make_in(int root, const char *sub, mode_t mode, gid_t gid, struct cor_err *err) {
	char path[PATH_LEN];
	for (const char *p = sub; p; p = *p ? p + 1 : NULL) {
		p = strchrnul(p, '/');
		if (p == sub)
			continue;
		(void)snprintf(path, sizeof(path), "%.*s", (int)(p - sub), sub);
		_cleanup_close_ int fd = open_in(root, path, O_PATH);
		if (fd >= 0)
			continue;
		if (errno != ENOENT)
			return cor_fail_errno(err, errno, "open %s", path);
		char *slash = strrchr(path, '/');
		if (slash)
			*slash = 0;
		_cleanup_close_ int parent = open_in(root, slash ? path : ".", O_DIRECTORY | O_RDONLY);
		const char *name = slash ? slash + 1 : path;
		if (parent < 0 || (mkdirat(parent, name, mode & 0777) < 0 && errno != EEXIST))
			return cor_fail_errno(err, errno, "mkdir %s", name);
		/* What is there may be a symlink, from before or put there since: it is not followed. */
		_cleanup_close_ int made = openat(parent, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (made < 0 || fchmod(made, mode) < 0 || fchown(made, (uid_t)-1, gid) < 0)
			return cor_fail_errno(err, errno, "make %s", name);
	}
	return 0;
}

int cor_volume_subpath(const char *volume, const char *sub, bool may_create, const char *target,
	struct cor_err *err) {
	_cleanup_close_ int root = open(volume, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (root < 0 || fstat(root, &st) < 0)
		return cor_fail_errno(err, errno, "open volume %s", volume);
	_cleanup_close_ int fd = open_in(root, sub, O_PATH);
	if (fd < 0 && errno == ENOENT && may_create) {
		int r = make_in(root, sub, st.st_mode & 07777, st.st_gid, err);
		if (r < 0)
			return r;
		fd = open_in(root, sub, O_PATH);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return cor_fail_errno(err, errno, "subPath %s", sub);
	if (S_ISDIR(st.st_mode)) {
		int r = cor_mkdir_all(target, 0755, err);
		if (r < 0)
			return r;
	} else {
		_cleanup_free_ char *dir = cor_strdup(target);
		*strrchr(dir, '/') = 0;
		int r = cor_mkdir_all(dir, 0755, err);
		if (r < 0)
			return r;
		_cleanup_close_ int f = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		if (f < 0)
			return cor_fail_errno(err, errno, "open %s", target);
	}
	char from[64];
	(void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	if (mount(from, target, NULL, MS_BIND | MS_REC, NULL) < 0)
		return cor_fail_errno(err, errno, "bind subPath %s", sub);
	return 0;
}
