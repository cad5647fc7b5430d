// SPDX-License-Identifier: Apache-2.0
// One layer: a tar from outside becomes a directory that overlayfs can stack. The tar is read
// twice over in one pass: an outer libarchive reader undoes the compression, its bytes are hashed
// for the diffID and fed to an inner reader that sees the entries; the compressed bytes are hashed
// for the blob digest. The directory belongs to root and nobody else can reach it, but its content
// is hostile: each path is resolved inside it by openat2, never by name from outside.
// Whiteouts become what overlayfs wants: character device 0/0, and trusted.overlay.opaque.

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "node/image_priv.h"

#define OPAQUE "trusted.overlay.opaque"

enum {
	NAME_BYTES = 255,
	DEPTH_MAX = 200,                /* of directories */
	XATTRS_MAX = 64,
	XATTR_BYTES = 64 << 10,
	CHUNK = 128 << 10,
};

struct dir_time {
	char *path;
	struct timespec times[2];
};

struct layer {
	const struct image_unpack *u;
	struct archive *outer, *inner;
	struct image_hash blob, diff;
	char *in, *plain;               /* CHUNK bytes each */
	bool told;                      /* the error names layer and entry */
	uint64_t bytes, entries;

	char *parent_path;              /* of parent; the last one is kept open */
	int parent;
	struct dir_time *dirs;          /* times of directories are set when all is inside */
	size_t n_dirs, cap_dirs;
};

static int open_in(int root, const char *path, uint64_t flags) {
	struct open_how how = { .flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

const char *cor_image_entry_path(struct archive_entry *e) {
	const char *name = archive_entry_pathname(e);

	return name ? name : archive_entry_pathname_utf8(e);
}

/* ---- reading ---- */

static la_ssize_t read_blob(struct archive *a, void *arg, const void **ret) {
	struct layer *l = arg;
	ssize_t n;

	if (cor_image_run_stopped(l->u->run)) {
		archive_set_error(a, ECANCELED, "cancelled");
		return -1;
	}
	do {
		n = read(l->u->fd, l->in, CHUNK);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "read: %s", strerror(errno));
		return -1;
	}
	if (n > 0)
		cor_image_hash_add(&l->blob, l->in, (size_t)n);
	if (n > 0 && l->u->count)
		cor_image_run_bytes(l->u->run, (uint64_t)n);
	*ret = l->in;
	return n;
}

static la_ssize_t read_plain(struct archive *a, void *arg, const void **ret) {
	struct layer *l = arg;
	la_ssize_t n = archive_read_data(l->outer, l->plain, CHUNK);

	if (n < 0) {
		archive_set_error(a, archive_errno(l->outer), "%s",
			archive_error_string(l->outer) ? archive_error_string(l->outer) : "broken");
		return -1;
	}
	l->bytes += (uint64_t)n;
	if (l->bytes > l->u->max_bytes) {
		archive_set_error(a, EFBIG, "unpacks to more than %llu bytes",
			(unsigned long long)l->u->max_bytes);
		return -1;
	}
	if (n > 0)
		cor_image_hash_add(&l->diff, l->plain, (size_t)n);
	*ret = l->plain;
	return n;
}

static int archive_fail(struct layer *l, struct archive *a, struct cor_err *err) {
	if (cor_image_run_stopped(l->u->run))
		return cor_fail(err, COR_E_CLOSED, "cancelled");
	return cor_fail(err, archive_errno(a) == EFBIG ? COR_E_LIMIT : COR_E_PARSE, "%s",
		archive_error_string(a) ? archive_error_string(a) : "not a tar archive");
}

/* Filters that run programs of the system are not among them on purpose. */
static int open_readers(struct layer *l, struct cor_err *err) {
	struct archive_entry *e;

	l->outer = archive_read_new();
	l->inner = archive_read_new();
	if (!l->outer || !l->inner)
		return cor_fail(err, -ENOMEM, "out of memory");
	(void)archive_read_support_filter_gzip(l->outer);
	(void)archive_read_support_filter_zstd(l->outer);
	(void)archive_read_support_filter_bzip2(l->outer);
	(void)archive_read_support_filter_xz(l->outer);
	(void)archive_read_support_format_raw(l->outer);
	(void)archive_read_support_format_empty(l->outer);
	if (archive_read_open(l->outer, l, NULL, read_blob, NULL) != ARCHIVE_OK ||
		archive_read_next_header(l->outer, &e) < ARCHIVE_WARN)
		return archive_fail(l, l->outer, err);
	(void)archive_read_support_format_tar(l->inner);
	(void)archive_read_support_format_empty(l->inner);
	if (archive_read_open(l->inner, l, NULL, read_plain, NULL) != ARCHIVE_OK)
		return archive_fail(l, l->inner, err);
	return 0;
}

/* What follows the end of the tar counts for the digests. */
static int drain(struct layer *l, struct cor_err *err) {
	const void *p;
	la_ssize_t n;

	while ((n = read_plain(l->inner, l, &p)) > 0)
		;
	if (n < 0)
		return archive_fail(l, l->inner, err);
	while ((n = read_blob(l->outer, l, &p)) > 0)
		;
	if (n < 0)
		return archive_fail(l, l->outer, err);
	return 0;
}

static int check_digests(struct layer *l, struct cor_err *err) {
	char hex[IMAGE_HEX];

	cor_image_hash_end(&l->blob, hex);
	if (l->u->blob && strcmp(hex, l->u->blob) != 0)
		return cor_fail(err, COR_E_INVALID,
			"digest is sha256:%s, but the manifest says sha256:%s", hex, l->u->blob);
	cor_image_hash_end(&l->diff, hex);
	if (strcmp(hex, l->u->diff_id) != 0)
		return cor_fail(err, COR_E_INVALID,
			"unpacked digest is sha256:%s, but the config says sha256:%s", hex,
			l->u->diff_id);
	return 0;
}

/* ---- paths ---- */

/* Turns "./usr//bin/" into "usr/bin" in out ("" for the root); anything with ".." is refused. */
static int clean_path(const char *in, struct cor_buf *out, struct cor_err *err) {
	struct cor_str rest = cor_str_c(in);
	int depth = 0;

	cor_buf_clear(out);
	while (rest.p) {
		struct cor_str part = cor_str_cut(&rest, '/');

		if (part.n == 0 || cor_str_eq_c(part, "."))
			continue;
		if (cor_str_eq_c(part, ".."))
			return cor_fail(err, COR_E_INVALID, "path escapes the image");
		if (part.n > NAME_BYTES || ++depth > DEPTH_MAX)
			return cor_fail(err, COR_E_LIMIT, "path is too long or too deep");
		if (out->n)
			cor_buf_byte(out, '/');
		cor_buf_str(out, part);
	}
	if (out->n >= 4000)
		return cor_fail(err, COR_E_LIMIT, "path is too long or too deep");
	cor_buf_byte(out, '\0');
	return 0;
}

/* Splits in place; *ret_parent is "." for entries at the top. */
static char *split_base(char *path, const char **ret_parent) {
	char *slash = strrchr(path, '/');

	if (!slash) {
		*ret_parent = ".";
		return path;
	}
	*slash = '\0';
	*ret_parent = path;
	return slash + 1;
}

static int set_opaque(int fd, struct cor_err *err) {
	if (fsetxattr(fd, OPAQUE, "y", 1, 0) < 0)
		return cor_fail_errno(err, errno, "mark as opaque");
	return 0;
}

static int open_child_dir(int parent, const char *name) {
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_whiteout(const struct stat *st) {
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* A directory that has no entry of its own. Where a whiteout of this layer is, it hides what is
 * below, too. */
static int make_implied(int parent, const char *base, struct cor_err *err) {
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (mkdirat(parent, base, 0755) == 0)
		return 0;
	if (errno != EEXIST || fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cor_fail_errno(err, errno, "mkdir");
	if (!is_whiteout(&st))
		return cor_fail_errno(err, ENOTDIR, "mkdir");
	if (unlinkat(parent, base, 0) < 0 || mkdirat(parent, base, 0755) < 0)
		return cor_fail_errno(err, errno, "mkdir");
	fd = open_child_dir(parent, base);
	return fd < 0 ? cor_fail_errno(err, errno, "open") : set_opaque(fd, err);
}

/* Opens a directory inside the root and makes what is missing on the way, as Docker does. */
static int open_parent(struct layer *l, const char *path, struct cor_err *err) {
	_cleanup_free_ char *copy = NULL;
	int fd, r;

	if (l->parent >= 0 && strcmp(l->parent_path, path) == 0)
		return 0;
	fd = open_in(l->u->root, path, O_PATH | O_DIRECTORY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		const char *up;
		char *base;

		copy = cor_strdup(path);
		base = split_base(copy, &up);
		r = open_parent(l, up, err);
		if (r < 0)
			return r;
		r = make_implied(l->parent, base, err);
		if (r < 0)
			return cor_wrap(err, "create directory %s", path);
		fd = open_in(l->u->root, path, O_PATH | O_DIRECTORY);
	}
	if (fd < 0)
		return cor_fail_errno(err, errno, "directory %s", path);
	if (l->parent >= 0)
		(void)close(l->parent);
	free(l->parent_path);
	l->parent = fd;
	l->parent_path = cor_strdup(path);
	return 0;
}

static void forget_parent(struct layer *l) {
	if (l->parent >= 0)
		(void)close(l->parent);
	l->parent = -1;
}

/* ---- what an entry becomes ---- */

/* ".wh.NAME" hides NAME of the layers below; what this layer itself has of that name stays. */
static int whiteout(struct layer *l, const char *name, struct cor_err *err) {
	struct stat st;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return cor_fail(err, COR_E_INVALID, "whiteout without a name");
	if (mknodat(l->parent, name, S_IFCHR, makedev(0, 0)) == 0)
		return 0;
	if (errno != EEXIST || fstatat(l->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cor_fail_errno(err, errno, "whiteout");
	if (S_ISDIR(st.st_mode)) {
		_cleanup_close_ int fd = open_child_dir(l->parent, name);

		return fd < 0 ? cor_fail_errno(err, errno, "whiteout") : set_opaque(fd, err);
	}
	return 0;
}

static int opaque_parent(struct layer *l, struct cor_err *err) {
	_cleanup_close_ int fd = openat(l->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? cor_fail_errno(err, errno, "open directory") : set_opaque(fd, err);
}

/* Makes way for an entry. *ret_keep: a directory is there and stays; *ret_hidden: a whiteout of
 * this layer was there, so a directory in its place must hide what is below. */
static int make_way(struct layer *l, const char *base, bool dir, bool *ret_keep, bool *ret_hidden,
	struct cor_err *err) {
	struct stat st;

	*ret_keep = *ret_hidden = false;
	if (fstatat(l->parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : cor_fail_errno(err, errno, "look up");
	if (S_ISDIR(st.st_mode) && dir) {
		*ret_keep = true;
		return 0;
	}
	*ret_hidden = is_whiteout(&st);
	return cor_image_rmtree(l->parent, base, err);
}

/* Capabilities and user attributes are kept. What overlayfs or a security module would read as
 * its own is not the image's to set. */
static bool xattr_allowed(const char *name) {
	return strcmp(name, "security.capability") == 0 ||
		(strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
}

static int set_xattrs(struct archive_entry *e, int fd, struct cor_err *err) {
	int n = archive_entry_xattr_reset(e);
	const char *name;
	const void *value;
	size_t size;

	if (n > XATTRS_MAX)
		return cor_fail(err, COR_E_LIMIT, "more than %d extended attributes", XATTRS_MAX);
	while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
		if (!name || !xattr_allowed(name))
			continue;
		if (size > XATTR_BYTES)
			return cor_fail(err, COR_E_LIMIT, "extended attribute is too large");
		if (fsetxattr(fd, name, value, size, 0) < 0 && errno != ENOTSUP)
			return cor_fail_errno(err, errno, "extended attribute %s", name);
	}
	return 0;
}

static int owner(struct archive_entry *e, uid_t *uid, gid_t *gid, struct cor_err *err) {
	int64_t u = archive_entry_uid(e), g = archive_entry_gid(e);

	if (u < 0 || u > 0xfffffffeLL || g < 0 || g > 0xfffffffeLL)
		return cor_fail(err, COR_E_INVALID, "owner %lld:%lld is out of range",
			(long long)u, (long long)g);
	*uid = (uid_t)u;
	*gid = (gid_t)g;
	return 0;
}

static void times_of(struct archive_entry *e, struct timespec out[2]) {
	out[0] = out[1] = (struct timespec){ .tv_sec = archive_entry_mtime(e),
		.tv_nsec = archive_entry_mtime_nsec(e) };
	if (!archive_entry_mtime_is_set(e) || out[0].tv_nsec < 0 || out[0].tv_nsec > 999999999)
		out[0] = out[1] = (struct timespec){ 0 };
}

/* Owner before mode, as a change of owner clears set-id bits; attributes after both. */
static int finish(struct archive_entry *e, int fd, struct cor_err *err) {
	uid_t uid;
	gid_t gid;
	int r = owner(e, &uid, &gid, err);

	if (r < 0)
		return r;
	if (fchown(fd, uid, gid) < 0)
		return cor_fail_errno(err, errno, "set the owner");
	if (fchmod(fd, archive_entry_perm(e) & 07777) < 0)
		return cor_fail_errno(err, errno, "set the mode");
	return set_xattrs(e, fd, err);
}

static int pwrite_all(int fd, const char *p, size_t n, int64_t at) {
	while (n > 0) {
		ssize_t w = pwrite(fd, p, n, at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
		at += w;
	}
	return 0;
}

static int write_file(struct layer *l, struct archive_entry *e, const char *base,
	struct cor_err *err) {
	_cleanup_close_ int fd = openat(l->parent, base,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int64_t size = archive_entry_size(e), end = 0;
	struct timespec times[2];
	int r;

	if (fd < 0)
		return cor_fail_errno(err, errno, "create");
	for (;;) {
		const void *p;
		size_t n;
		la_int64_t at;

		r = archive_read_data_block(l->inner, &p, &n, &at);
		if (r == ARCHIVE_EOF)
			break;
		if (r < ARCHIVE_WARN)
			return archive_fail(l, l->inner, err);
		r = pwrite_all(fd, p, n, at);
		if (r < 0)
			return cor_fail_errno(err, -r, "write");
		end = at + (int64_t)n;
	}
	/* A sparse file may end in a hole. */
	if (end < size && ftruncate(fd, size) < 0)
		return cor_fail_errno(err, errno, "set the size");
	r = finish(e, fd, err);
	if (r < 0)
		return r;
	times_of(e, times);
	if (futimens(fd, times) < 0)
		return cor_fail_errno(err, errno, "set the time");
	return 0;
}

static int make_dir(struct layer *l, struct archive_entry *e, const char *base, bool keep,
	bool hidden, const char *path, struct cor_err *err) {
	_cleanup_close_ int fd = -1;
	struct dir_time *t;
	int r;

	if (!keep && mkdirat(l->parent, base, 0700) < 0)
		return cor_fail_errno(err, errno, "create directory");
	fd = open_child_dir(l->parent, base);
	if (fd < 0)
		return cor_fail_errno(err, errno, "open directory");
	r = hidden ? set_opaque(fd, err) : 0;
	if (r == 0)
		r = finish(e, fd, err);
	if (r < 0)
		return r;
	if (l->n_dirs == l->cap_dirs) {
		l->cap_dirs = l->cap_dirs ? 2 * l->cap_dirs : 256;
		l->dirs = cor_realloc(l->dirs, l->cap_dirs * sizeof(*l->dirs));
	}
	t = &l->dirs[l->n_dirs++];
	t->path = cor_strdup(path);
	times_of(e, t->times);
	return 0;
}

static int make_link(struct layer *l, const char *target, const char *base, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf path = COR_BUF_INIT;
	_cleanup_close_ int dir = -1;
	const char *up;
	char *name;
	struct stat st;

	if (clean_path(target, &path, err) < 0)
		return cor_wrap(err, "hard link to %s", target);
	name = split_base(path.p, &up);
	dir = open_in(l->u->root, up, O_PATH | O_DIRECTORY);
	if (dir < 0 || !*name || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cor_fail(err, COR_E_INVALID, "hard link to %s, which is not in this layer",
			target);
	if (S_ISDIR(st.st_mode) || is_whiteout(&st))
		return cor_fail(err, COR_E_INVALID, "hard link to %s, which is not a file", target);
	if (linkat(dir, name, l->parent, base, 0) < 0)
		return cor_fail_errno(err, errno, "hard link to %s", target);
	return 0;
}

static int make_symlink(struct layer *l, struct archive_entry *e, const char *base,
	struct cor_err *err) {
	const char *target = archive_entry_symlink(e);
	struct timespec times[2];
	uid_t uid;
	gid_t gid;
	int r = owner(e, &uid, &gid, err);

	if (r < 0)
		return r;
	if (!target || !*target)
		return cor_fail(err, COR_E_INVALID, "symbolic link without a target");
	times_of(e, times);
	if (symlinkat(target, l->parent, base) < 0 ||
		fchownat(l->parent, base, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		utimensat(l->parent, base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return cor_fail_errno(err, errno, "symbolic link");
	return 0;
}

static int make_fifo(struct layer *l, struct archive_entry *e, const char *base,
	struct cor_err *err) {
	_cleanup_close_ int fd = -1;

	if (mkfifoat(l->parent, base, 0600) < 0)
		return cor_fail_errno(err, errno, "create pipe");
	fd = openat(l->parent, base, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? cor_fail_errno(err, errno, "open pipe") : finish(e, fd, err);
}

/* The entry for "./" itself gives the owner and mode of the image's root. */
static int finish_root(struct layer *l, struct archive_entry *e, struct cor_err *err) {
	return archive_entry_filetype(e) == AE_IFDIR ? finish(e, l->u->root, err) : 0;
}

static int place(struct layer *l, struct archive_entry *e, const char *path, struct cor_err *err) {
	_cleanup_free_ char *copy = cor_strdup(path);
	const char *link = archive_entry_hardlink(e), *up;
	char *base = split_base(copy, &up);
	mode_t type = archive_entry_filetype(e);
	bool keep, hidden;
	int r = open_parent(l, up, err);

	if (r < 0)
		return r;
	if (strcmp(base, ".wh..wh..opq") == 0)
		return opaque_parent(l, err);
	if (strncmp(base, ".wh..wh.", 8) == 0)
		return 0;               /* bookkeeping of another file system */
	if (strncmp(base, ".wh.", 4) == 0)
		return whiteout(l, base + 4, err);
	if (!link && (type == AE_IFCHR || type == AE_IFBLK)) {
		/* Containers get a /dev of their own over what the image has there. */
		if (strncmp(path, "dev/", 4) == 0)
			return 0;
		return cor_fail(err, COR_E_INVALID, "device nodes are not allowed");
	}
	r = make_way(l, base, !link && type == AE_IFDIR, &keep, &hidden, err);
	if (r < 0)
		return r;
	if (link)
		return make_link(l, link, base, err);
	switch (type) {
	case AE_IFREG:
		return write_file(l, e, base, err);
	case AE_IFDIR:
		return make_dir(l, e, base, keep, hidden, path, err);
	case AE_IFLNK:
		return make_symlink(l, e, base, err);
	case AE_IFIFO:
		return make_fifo(l, e, base, err);
	default:
		return cor_fail(err, COR_E_INVALID, "entry of an unknown type");
	}
}

static int unpack_entry(struct layer *l, struct archive_entry *e, struct cor_buf *path,
	struct cor_err *err) {
	const char *name = cor_image_entry_path(e);
	int64_t size = archive_entry_size(e);
	int r;

	if (!name)
		return cor_fail(err, COR_E_PARSE, "entry %llu: no readable name",
			(unsigned long long)l->entries);
	if (++l->entries > l->u->max_entries)
		return cor_fail(err, COR_E_LIMIT, "more than %llu entries",
			(unsigned long long)l->u->max_entries);
	r = clean_path(name, path, err);
	if (r == 0 && size > 0 && (uint64_t)size > l->u->max_bytes)
		r = cor_fail(err, COR_E_LIMIT, "%llu bytes are more than is allowed",
			(unsigned long long)size);
	if (r == 0)
		r = path->n <= 1 ? finish_root(l, e, err) : place(l, e, path->p, err);
	if (r >= 0)
		return 0;
	l->told = true;
	return cor_wrap(err, "layer %u, entry %.200s%s", l->u->number, name,
		strlen(name) > 200 ? "..." : "");
}

/* Last made, first set: setting the time of a directory changes none above it, but a path may
 * lead through one that a later entry replaced; such a one is gone and of no interest. */
static void set_dir_times(struct layer *l) {
	while (l->n_dirs > 0) {
		struct dir_time *t = &l->dirs[--l->n_dirs];
		int fd = open_in(l->u->root, t->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

		if (fd >= 0) {
			(void)futimens(fd, t->times);
			(void)close(fd);
		}
		free(t->path);
	}
}

static int unpack(struct layer *l, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf path = COR_BUF_INIT;
	struct archive_entry *e;
	int r = open_readers(l, err);

	while (r == 0) {
		int a = archive_read_next_header(l->inner, &e);

		if (a == ARCHIVE_EOF)
			break;
		r = a < ARCHIVE_WARN ? archive_fail(l, l->inner, err) :
			unpack_entry(l, e, &path, err);
	}
	if (r == 0)
		r = drain(l, err);
	return r == 0 ? check_digests(l, err) : r;
}

/* libarchive converts names of pax headers to the thread's character set. */
static locale_t utf8;
static pthread_once_t utf8_once = PTHREAD_ONCE_INIT;
static void make_utf8(void) {
	utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
}

int cor_image_unpack(const struct image_unpack *u, struct cor_err *err) {
	struct layer l = { .u = u, .parent = -1 };
	locale_t before;
	int r;

	(void)pthread_once(&utf8_once, make_utf8);
	before = utf8 ? uselocale(utf8) : NULL;

	l.in = cor_calloc(1, CHUNK);
	l.plain = cor_calloc(1, CHUNK);
	cor_image_hash_begin(&l.blob);
	cor_image_hash_begin(&l.diff);
	r = unpack(&l, err);
	set_dir_times(&l);
	forget_parent(&l);
	(void)archive_read_free(l.inner);
	(void)archive_read_free(l.outer);
	cor_image_hash_drop(&l.blob);
	cor_image_hash_drop(&l.diff);
	free(l.in);
	free(l.plain);
	free(l.dirs);
	free(l.parent_path);
	if (utf8)
		(void)uselocale(before);
	return r < 0 && !l.told ? cor_wrap(err, "layer %u", u->number) : r;
}
