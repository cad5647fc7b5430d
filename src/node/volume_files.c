// SPDX-License-Identifier: Apache-2.0
// Files in volumes that readers see change all at once: the real files are in a dated directory,
// ..data is a symlink to it that is replaced by rename, and each name leads through ..data. The
// layout is relied on by applications that watch it (facts/node-agent 15.2).
#include "node/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

static bool clean_path(struct cor_str path) {
	if (path.n == 0 || path.p[0] == '/' || path.n > 1024)
		return false;
	struct cor_str rest = path;
	for (bool first = true; rest.p; first = false) {
		struct cor_str part = cor_str_cut(&rest, '/');
		if (cor_str_eq(part, COR_STR("..")) || part.n == 0 ||
		    (first && cor_str_starts(part, COR_STR(".."))))
			return false;
	}
	return true;
}

int cor_volume_file_add(struct cor_arena *a, struct cor_volume_files *files, struct cor_str path,
	struct cor_str data, mode_t mode, struct cor_err *err) {
	if (!clean_path(path))
		return cor_fail(err, COR_E_INVALID, "invalid path \"%.*s\"", COR_STR_ARG(path));
	struct cor_volume_file *f = NULL;
	for (size_t i = 0; !f && i < files->n; i++)
		if (cor_str_eq(files->p[i].path, path))
			f = &files->p[i];
	if (!f)
		f = cor_arena_push(a, files);
	if (!f)
		return cor_fail(err, COR_E_LIMIT, "the volume has too many files");
	*f = (struct cor_volume_file){ cor_arena_str(a, path), cor_arena_str(a, data), mode, -1 };
	return 0;
}

int cor_volume_files_from(struct cor_arena *a, struct cor_volume_files *files, const char *what,
	struct cor_strmap data, const struct core_v1_KeyToPath *items, size_t n_items, mode_t mode, bool optional,
	struct cor_err *err) {
	int r = 0;
	for (size_t i = 0; n_items == 0 && r >= 0 && i < data.n; i++)
		r = cor_volume_file_add(a, files, data.p[i].key, data.p[i].value, mode, err);
	for (size_t i = 0; r >= 0 && i < n_items; i++) {
		const struct cor_str *v = cor_strmap_get(&data, items[i].key);
		if (v)
			r = cor_volume_file_add(a, files, items[i].path, *v,
				items[i].mode ? (mode_t)*items[i].mode : mode, err);
		else if (!optional)
			r = cor_fail(err, COR_E_NOT_FOUND, "%s references non-existent %s key: %.*s", what,
				strcmp(what, "configmap") == 0 ? "config" : what, COR_STR_ARG(items[i].key));
	}
	return r;
}

static int write_one(const char *dir, const struct cor_volume_file *f, int64_t fs_group, struct cor_err *err) {
	_cleanup_free_ char *path = cor_asprintf("%s/%.*s", dir, COR_STR_ARG(f->path));
	char *slash = strrchr(path, '/');
	*slash = 0;
	int r = cor_mkdir_all(path, 0755, err);
	*slash = '/';
	if (r < 0)
		return r;
	_cleanup_close_ int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return cor_fail_errno(err, errno, "create %s", path);
	for (size_t at = 0; at < f->data.n;) {
		ssize_t n = write(fd, f->data.p + at, f->data.n - at);
		if (n < 0)
			return cor_fail_errno(err, errno, "write %s", path);
		at += (size_t)n;
	}
	mode_t mode = f->mode;
	if (fs_group >= 0)
		mode |= 0440;
	if ((fs_group >= 0 || f->uid >= 0) &&
	    fchown(fd, f->uid >= 0 ? (uid_t)f->uid : (uid_t)-1, fs_group >= 0 ? (gid_t)fs_group : (gid_t)-1) < 0)
		return cor_fail_errno(err, errno, "chown %s", path);
	return fchmod(fd, mode) < 0 ? cor_fail_errno(err, errno, "chmod %s", path) : 0;
}

/* Is the file there as planned? */
static bool same(const char *data_dir, const struct cor_volume_file *f, int64_t fs_group) {
	_cleanup_free_ char *path = cor_asprintf("%s/%.*s", data_dir, COR_STR_ARG(f->path));
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	mode_t mode = f->mode | (fs_group >= 0 ? 0440u : 0u);
	if (fd < 0 || fstat(fd, &st) < 0 || (size_t)st.st_size != f->data.n || (st.st_mode & 07777) != mode)
		return false;
	_cleanup_free_ char *text = cor_calloc(1, f->data.n + 1);
	return read(fd, text, f->data.n) == (ssize_t)f->data.n && memcmp(text, f->data.p, f->data.n) == 0;
}

static size_t count_files(const char *dir) {
	DIR *d = opendir(dir);
	size_t n = 0;
	struct dirent *e;
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		_cleanup_free_ char *path = cor_asprintf("%s/%s", dir, e->d_name);
		struct stat st;
		if (lstat(path, &st) == 0)
			n += S_ISDIR(st.st_mode) ? count_files(path) : 1;
	}
	if (d)
		(void)closedir(d);
	return n;
}

static bool up_to_date(const char *dir, const struct cor_volume_files *files, int64_t fs_group) {
	_cleanup_free_ char *data = cor_asprintf("%s/..data/", dir);
	if (access(data, F_OK) < 0 || count_files(data) != files->n)
		return false;
	for (size_t i = 0; i < files->n; i++)
		if (!same(data, &files->p[i], fs_group))
			return false;
	return true;
}

static bool wanted(const struct cor_volume_files *files, const char *name) {
	for (size_t i = 0; i < files->n; i++)
		if (cor_str_eq_c(cor_str_sub(files->p[i].path, 0, cor_str_chr(files->p[i].path, '/')), name))
			return true;
	return false;
}

/* Links for new names, none for old ones; dated directories other than the current one go. */
static int link_names(const char *dir, const struct cor_volume_files *files, const char *current,
	struct cor_err *err) {
	for (size_t i = 0; i < files->n; i++) {
		struct cor_str first = cor_str_sub(files->p[i].path, 0, cor_str_chr(files->p[i].path, '/'));
		_cleanup_free_ char *link = cor_asprintf("%s/%.*s", dir, COR_STR_ARG(first));
		_cleanup_free_ char *to = cor_asprintf("..data/%.*s", COR_STR_ARG(first));
		if (symlink(to, link) < 0 && errno != EEXIST)
			return cor_fail_errno(err, errno, "symlink %s", link);
	}
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;
	while (d && r >= 0 && (e = readdir(d))) {
		_cleanup_free_ char *path = cor_asprintf("%s/%s", dir, e->d_name);
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, "..data") == 0 ||
		    strcmp(e->d_name, current) == 0)
			continue;
		if (strncmp(e->d_name, "..", 2) == 0)
			r = cor_volume_remove_tree(path, err);
		else if (!wanted(files, e->d_name) && unlink(path) < 0)
			r = cor_fail_errno(err, errno, "unlink %s", path);
	}
	if (d)
		(void)closedir(d);
	return r;
}

int cor_volume_write_files(const char *dir, const struct cor_volume_files *files, int64_t fs_group,
	struct cor_err *err) {
	if (up_to_date(dir, files, fs_group))
		return 0;
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32];
	(void)strftime(stamp, sizeof(stamp), "..%Y_%m_%d_%H_%M_%S", gmtime_r(&now, &tm));
	_cleanup_free_ char *real = cor_asprintf("%s/%s.XXXXXX", dir, stamp);
	if (!mkdtemp(real))
		return cor_fail_errno(err, errno, "mkdir %s", real);
	if (chmod(real, 0755) < 0)
		return cor_fail_errno(err, errno, "chmod %s", real);
	for (size_t i = 0; i < files->n; i++) {
		int r = write_one(real, &files->p[i], fs_group, err);
		if (r < 0)
			return r;
	}
	const char *name = strrchr(real, '/') + 1;
	_cleanup_free_ char *tmp = cor_asprintf("%s/..data_tmp", dir);
	_cleanup_free_ char *data = cor_asprintf("%s/..data", dir);
	(void)unlink(tmp);
	if (symlink(name, tmp) < 0 || rename(tmp, data) < 0)
		return cor_fail_errno(err, errno, "replace %s", data);
	return link_names(dir, files, name, err);
}
