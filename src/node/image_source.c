// SPDX-License-Identifier: Apache-2.0
// Where an import reads from: a directory, or an archive whose files are first spread into the
// store's session, since manifests come after the layers that they order and layers are read in
// parallel. Names inside an archive are only keys of a map, never names on disk; the links that
// Docker uses for repeated layers are followed in that map.

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "node/image_priv.h"

enum { FILES_MAX = 20000, LINKS_MAX = 8, NAME_MAX_BYTES = 1024 };

/* A value of the map. */
struct member {
	char *target;           /* a link: the name it leads to; otherwise NULL */
	unsigned number;        /* of the file in the session */
};

struct image_source {
	struct cor_image_store *store;
	int dir;                /* the directory, or the one with the spread files */
	char temp[64];          /* its name in the session; "" for a directory of the user's */
	struct cor_map members;
	unsigned n;
};

static void free_members(struct image_source *s) {
	struct cor_str key;
	void *value;
	size_t it = 0;

	while (cor_map_next(&s->members, &it, &key, &value)) {
		free(((struct member *)value)->target);
		free(value);
	}
	cor_map_fini(&s->members);
}

void cor_image_source_close(struct image_source *s) {
	struct cor_err ignored;

	if (!s)
		return;
	free_members(s);
	if (s->dir >= 0)
		(void)close(s->dir);
	if (s->temp[0])
		(void)cor_image_rmtree(s->store->session, s->temp, &ignored);
	free(s);
}

/* "./a/../b" to "b"; false when it leads out. Works within the archive's names only. */
static bool tidy(const char *base, const char *name, char out[NAME_MAX_BYTES]) {
	const char *both[] = { base, name };
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		struct cor_str rest = cor_str_c(both[i]);

		while (rest.p) {
			struct cor_str part = cor_str_cut(&rest, '/');

			if (part.n == 0 || cor_str_eq_c(part, "."))
				continue;
			if (cor_str_eq_c(part, "..")) {
				if (n == 0)
					return false;
				while (n > 0 && out[--n] != '/')
					;
				continue;
			}
			if (n + part.n + 2 > NAME_MAX_BYTES)
				return false;
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, part.p, part.n);
			n += part.n;
		}
	}
	out[n] = '\0';
	return n > 0;
}

static void remember(struct image_source *s, const char *name, const char *target,
	unsigned number) {
	struct member *m = cor_new(struct member), *old;

	m->target = target ? cor_strdup(target) : NULL;
	m->number = number;
	old = cor_map_put(&s->members, cor_str_c(name), m);
	if (old)
		free(old->target);
	free(old);
}

static int spread_file(struct image_source *s, struct archive *a, struct archive_entry *e,
	const char *name, const struct image_run *run, struct cor_err *err) {
	_cleanup_close_ int fd = -1;
	char number[16];
	int64_t size = archive_entry_size(e);
	int r;

	if (size > 0 && (uint64_t)size > s->store->cfg.max_blob_bytes)
		return cor_fail(err, COR_E_LIMIT, "%lld bytes are more than is allowed",
			(long long)size);
	(void)snprintf(number, sizeof(number), "%u", s->n);
	fd = openat(s->dir, number, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cor_fail_errno(err, errno, "create a temporary file");
	for (;;) {
		const char *p;
		size_t n;
		la_int64_t at;

		r = archive_read_data_block(a, (const void **)&p, &n, &at);
		if (r == ARCHIVE_EOF)
			break;
		if (r < ARCHIVE_WARN)
			return cor_fail(err, COR_E_PARSE, "%s", archive_error_string(a));
		if (cor_image_run_stopped(run))
			return cor_fail(err, COR_E_CLOSED, "cancelled");
		while (n > 0) {
			ssize_t w = pwrite(fd, p, n, at);

			if (w < 0 && errno == EINTR)
				continue;
			if (w < 0)
				return cor_fail_errno(err, errno, "write a temporary file");
			p += w;
			at += w;
			n -= (size_t)w;
		}
	}
	remember(s, name, NULL, s->n++);
	return 0;
}

static int spread_entry(struct image_source *s, struct archive *a, struct archive_entry *e,
	const struct image_run *run, struct cor_err *err) {
	const char *raw = cor_image_entry_path(e), *link = archive_entry_hardlink(e);
	char name[NAME_MAX_BYTES], target[NAME_MAX_BYTES];
	char *slash;
	int r;

	if (!raw || archive_entry_filetype(e) == AE_IFDIR)
		return 0;
	if (!tidy("", raw, name))
		return cor_fail(err, COR_E_INVALID, "entry %s: path escapes the archive", raw);
	if (s->members.n >= FILES_MAX)
		return cor_fail(err, COR_E_LIMIT, "more than %d entries", FILES_MAX);
	if (link || archive_entry_filetype(e) == AE_IFLNK) {
		char base[NAME_MAX_BYTES];

		(void)snprintf(base, sizeof(base), "%s", link ? "" : name);
		slash = strrchr(base, '/');
		if (slash)
			*slash = '\0';
		else
			base[0] = '\0';
		if (!link)
			link = archive_entry_symlink(e);
		if (!link || !tidy(base, link, target))
			return cor_fail(err, COR_E_INVALID, "entry %s: link escapes the archive", raw);
		remember(s, name, target, 0);
		return 0;
	}
	if (archive_entry_filetype(e) != AE_IFREG)
		return cor_fail(err, COR_E_INVALID, "entry %s: not a file", raw);
	r = spread_file(s, a, e, name, run, err);
	return r < 0 ? cor_wrap(err, "entry %s", raw) : 0;
}

static void free_archive(struct archive **a) {
	(void)archive_read_free(*a);
}

static int spread(struct image_source *s, int fd, const struct image_run *run,
	struct cor_err *err) {
	_cleanup_(free_archive) struct archive *a = archive_read_new();
	struct archive_entry *e;
	int r;

	if (!a)
		return cor_fail(err, -ENOMEM, "out of memory");
	(void)archive_read_support_filter_gzip(a);
	(void)archive_read_support_filter_zstd(a);
	(void)archive_read_support_filter_bzip2(a);
	(void)archive_read_support_filter_xz(a);
	(void)archive_read_support_format_tar(a);
	if (archive_read_open_fd(a, fd, 256 << 10) != ARCHIVE_OK)
		return cor_fail(err, COR_E_PARSE, "not an image archive: %s", archive_error_string(a));
	for (;;) {
		r = archive_read_next_header(a, &e);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return cor_fail(err, COR_E_PARSE, "broken archive after %u files: %s", s->n,
				archive_error_string(a));
		r = spread_entry(s, a, e, run, err);
		if (r < 0)
			return r;
	}
}

int cor_image_source_open(struct image_source **ret, struct cor_image_store *store,
	const char *path, struct image_run *run, struct cor_err *err) {
	_cleanup_(cor_image_source_closep) struct image_source *s = cor_new(struct image_source);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	s->store = store;
	s->dir = -1;
	if (fd < 0 || fstat(fd, &st) < 0)
		return cor_fail_errno(err, errno, "open");
	if (S_ISDIR(st.st_mode)) {
		s->dir = cor_take_fd(fd);
	} else {
		cor_image_temp_name(store, "import", s->temp);
		r = cor_image_mkdir_open(store->session, s->temp, 0700, &s->dir, err);
		if (r == 0)
			r = spread(s, fd, run, err);
		if (r < 0)
			return r;
	}
	*ret = cor_take(s);
	return 0;
}

/* A directory may be anybody's: nothing outside it is opened, and no pipe is waited for. */
static int open_beneath(int dir, const char *name) {
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static int open_member(struct image_source *s, const char *name) {
	const struct member *m = NULL;
	char number[16];

	for (int i = 0; i < LINKS_MAX; i++) {
		m = cor_map_get(&s->members, cor_str_c(name));
		if (!m || !m->target)
			break;
		name = m->target;
	}
	if (!m || m->target) {
		errno = m ? ELOOP : ENOENT;
		return -1;
	}
	(void)snprintf(number, sizeof(number), "%u", m->number);
	return openat(s->dir, number, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

bool cor_image_source_has(struct image_source *s, const char *name) {
	_cleanup_close_ int fd = s->temp[0] ? open_member(s, name) : open_beneath(s->dir, name);

	return fd >= 0;
}

int cor_image_source_file(struct image_source *s, const char *name, int *ret_fd,
	uint64_t *ret_size, struct cor_err *err) {
	_cleanup_close_ int fd = -1;
	char tidied[NAME_MAX_BYTES];
	struct stat st;

	if (!tidy("", name, tidied))
		return cor_fail(err, COR_E_INVALID, "%.300s: path escapes the image", name);
	fd = s->temp[0] ? open_member(s, tidied) : open_beneath(s->dir, tidied);
	if (fd < 0 && errno == ENOENT)
		return cor_fail(err, COR_E_NOT_FOUND, "%s is missing", tidied);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cor_fail_errno(err, errno, "%s", tidied);
	if (!S_ISREG(st.st_mode))
		return cor_fail(err, COR_E_INVALID, "%s is not a file", tidied);
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	*ret_fd = cor_take_fd(fd);
	return 0;
}

int cor_image_source_text(struct image_source *s, const char *name, struct cor_arena *a,
	struct cor_str *ret, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	_cleanup_close_ int fd = -1;
	int r = cor_image_source_file(s, name, &fd, NULL, err);

	if (r < 0)
		return r;
	if (cor_image_read_fd(fd, IMAGE_JSON_MAX, &b, err) < 0)
		return cor_wrap(err, "%.300s", name);
	*ret = cor_arena_str(a, b.n ? cor_buf_view(&b) : COR_STR(""));
	if (cor_arena_failed(a))
		return cor_fail(err, COR_E_LIMIT, "%.300s: out of memory", name);
	return 0;
}
