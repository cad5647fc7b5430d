// SPDX-License-Identifier: Apache-2.0
// Root file systems: overlay mounts of an image's layers. All directories are handed to the kernel
// as /proc/self/fd/N: short enough for any number of layers, and free of the commas and colons
// that overlay's options would need escaped. The upper directory is thrown away with the
// container, so nothing in it has to reach the disk: the mount is volatile.

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/log.h"
#include "node/image_priv.h"

struct layers {
	int fds[IMAGE_LAYERS_MAX];
	unsigned n;
};

static void close_layers(struct layers *l) {
	while (l->n > 0)
		(void)close(l->fds[--l->n]);
}

static int check_lease_name(const char *lease, struct cor_err *err) {
	size_t n = strlen(lease);

	if (n == 0 || n > 128 || lease[0] == '.' || strspn(lease, "abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
		return cor_fail(err, COR_E_INVALID, "\"%.140s\" is no name for a lease", lease);
	return 0;
}

/* Topmost first, as overlay wants them. It refuses a directory that occurs twice; as each layer
 * says the same wherever it lies, only its topmost occurrence counts. */
static int open_layers(struct cor_image_store *s, const struct cor_image *image,
	struct layers *out, struct cor_err *err) {
	for (size_t i = image->layers.n; i-- > 0;) {
		struct cor_str diff = image->layers.p[i];
		bool seen = false;
		int fd;

		for (size_t k = i + 1; k < image->layers.n; k++)
			seen |= cor_str_eq(image->layers.p[k], diff);
		if (seen)
			continue;
		fd = openat(s->layers, diff.p + strlen("sha256:"),
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return cor_fail_errno(err, errno, "layer %s", diff.p);
		out->fds[out->n++] = fd;
	}
	return 0;
}

static bool is_mount_point(int dir, const char *name) {
	struct statx st;

	return statx(dir, name, AT_SYMLINK_NOFOLLOW, STATX_INO, &st) == 0 &&
		(st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* The root directory of the container has the owner and mode that the image gives it. */
static int match_root(int top, int upper, struct cor_err *err) {
	struct stat st;

	if (fstat(top, &st) < 0 || fchown(upper, st.st_uid, st.st_gid) < 0 ||
		fchmod(upper, st.st_mode & 07777) < 0)
		return cor_fail_errno(err, errno, "upper directory");
	return 0;
}

static int mount_at(int dir, const char *type, const char *source, unsigned long flags,
	const char *options, struct cor_err *err) {
	_cleanup_close_ int target = openat(dir, "rootfs",
		O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char path[40];

	if (target < 0)
		return cor_fail_errno(err, errno, "open rootfs");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
	if (mount(source, path, type, flags, options) < 0)
		return cor_fail_errno(err, errno, "mount %s", type ? type : "bind");
	return 0;
}

static void lower_option(const struct layers *l, struct cor_buf *b) {
	cor_buf_c(b, "lowerdir=");
	for (unsigned i = 0; i < l->n; i++)
		cor_buf_printf(b, "%s/proc/self/fd/%d", i ? ":" : "", l->fds[i]);
}

/* Overlay wants two layers when nothing is writable; one is simply bound. */
static int mount_read_only(int dir, const struct layers *l, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	char source[40];
	int r;

	if (l->n > 1) {
		lower_option(l, &b);
		cor_buf_byte(&b, '\0');
		return mount_at(dir, "overlay", "overlay", MS_RDONLY, b.p, err);
	}
	(void)snprintf(source, sizeof(source), "/proc/self/fd/%d", l->fds[0]);
	r = mount_at(dir, NULL, source, MS_BIND, NULL, err);
	if (r == 0)
		r = mount_at(dir, NULL, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL, err);
	return r;
}

static int mount_writable(int dir, const struct layers *l, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	_cleanup_close_ int upper = -1, work = -1;
	size_t plain;
	int r = cor_image_mkdir_open(dir, "upper", 0755, &upper, err);

	if (r == 0)
		r = cor_image_mkdir_open(dir, "work", 0700, &work, err);
	if (r == 0)
		r = match_root(l->fds[0], upper, err);
	if (r < 0)
		return r;
	lower_option(l, &b);
	cor_buf_printf(&b, ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", upper, work);
	plain = b.n;
	cor_buf_printf(&b, ",volatile%c", '\0');
	r = mount_at(dir, "overlay", "overlay", 0, b.p, err);
	if (r == -EINVAL) {             /* an older kernel */
		b.p[plain] = '\0';
		r = mount_at(dir, "overlay", "overlay", 0, b.p, err);
	}
	return r;
}

static int write_lease(struct cor_image_store *s, const struct cor_image *image,
	const char *lease, const char *dir, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	int r = cor_image_lock(s, err);

	if (r < 0)
		return r;
	/* The image may have been removed since the caller found it. */
	r = faccessat(s->images, image->id.p + strlen("sha256:"), F_OK, 0) < 0 ?
		cor_fail(err, COR_E_NOT_FOUND, "image %s is not on this machine any more",
			image->id.p) : 0;
	cor_buf_printf(&b, "%s\n%s\n", image->id.p, dir);
	if (r == 0)
		r = cor_image_write_file(s->leases, lease, cor_buf_view(&b), false, err);
	if (r == 0)
		(void)utimensat(s->images, image->id.p + strlen("sha256:"), now, 0);
	cor_image_unlock(s);
	return r;
}

static int mount_rootfs(struct cor_image_store *s, struct cor_image *image, const char *path,
	bool read_only, struct cor_err *err) {
	_cleanup_(close_layers) struct layers l = { 0 };
	_cleanup_close_ int dir = -1, rootfs = -1;
	char temp[64];
	int r = cor_image_mkdir_open(AT_FDCWD, path, 0711, &dir, err);

	if (r == 0)
		r = cor_image_mkdir_open(dir, "rootfs", 0755, &rootfs, err);
	if (r < 0 || is_mount_point(dir, "rootfs"))
		return r;
	/* An upper directory without a mount is what a crash left; it is of no use. */
	r = cor_image_rmtree(dir, "upper", err);
	if (r == 0)
		r = cor_image_rmtree(dir, "work", err);
	if (r == 0)
		r = open_layers(s, image, &l, err);
	if (r == 0 && l.n == 0) {       /* an image from scratch with nothing in it */
		cor_image_temp_name(s, "empty", temp);
		r = cor_image_mkdir_open(s->session, temp, 0755, &l.fds[0], err);
		l.n = r == 0;
	}
	if (r < 0)
		return r;
	return read_only ? mount_read_only(dir, &l, err) : mount_writable(dir, &l, err);
}

int cor_image_rootfs_mount(struct cor_image_store *s, struct cor_image *image, const char *lease,
	const char *dir, bool read_only, struct cor_err *err) {
	struct timespec now;
	struct cor_err why;
	int r = check_lease_name(lease, err);

	if (r == 0 && (strchr(dir, '\n') || strlen(dir) >= 4000))
		r = cor_fail(err, COR_E_INVALID, "bad directory for a root file system");
	if (r == 0 && mkdir(dir, 0711) < 0 && errno != EEXIST)
		r = cor_fail_errno(err, errno, "create directory %s", dir);
	if (r == 0)
		r = write_lease(s, image, lease, dir, err);
	if (r < 0)
		return r;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	atomic_store(&image->last_used, (cor_time)now.tv_sec * COR_SECOND + now.tv_nsec / 1000);
	r = mount_rootfs(s, image, dir, read_only, err);
	if (r < 0) {
		(void)cor_wrap(err, "root file system %s", dir);
		if (cor_image_rootfs_unmount(s, lease, dir, &why) < 0)
			cor_warn("%s", why.message);
	}
	return r;
}

/* A rootfs may have been mounted over more than once by a runtime that died. */
static int unmount_all(int dir, struct cor_err *err) {
	for (int i = 0; i < 16 && is_mount_point(dir, "rootfs"); i++) {
		_cleanup_free_ char *path = cor_asprintf("/proc/self/fd/%d/rootfs", dir);

		if (umount2(path, UMOUNT_NOFOLLOW) == 0)
			continue;
		if (errno == EBUSY && umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
			continue;
		return cor_fail_errno(err, errno, "unmount rootfs");
	}
	return 0;
}

static int clear_dir(const char *path, struct cor_err *err) {
	static const char *const names[] = { "rootfs", "upper", "work" };
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int r;

	if (dir < 0)
		return errno == ENOENT ? 0 : cor_fail_errno(err, errno, "open");
	r = unmount_all(dir, err);
	for (size_t i = 0; r == 0 && i < cor_countof(names); i++)
		r = cor_image_rmtree(dir, names[i], err);
	return r;
}

/* Whether the image of this lease lost its last name meanwhile: then its data may go now. */
static bool drop_lease(struct cor_image_store *s, const char *lease) {
	_cleanup_free_ struct image_lease *l = cor_new(struct image_lease);
	const struct image_object *o = NULL;
	struct cor_err err;

	if (cor_image_lease_read(s, lease, l, &err) == 0 && cor_image_cache_refresh(s, &err) == 0)
		o = cor_image_cache_by_id(s, cor_str_c(l->id));
	(void)unlinkat(s->leases, lease, 0);
	return o && o->pub.names.n == 0 && o->pub.digests.n == 0;
}

int cor_image_rootfs_unmount(struct cor_image_store *s, const char *lease, const char *dir,
	struct cor_err *err) {
	bool last;
	int r = check_lease_name(lease, err);

	if (r == 0)
		r = clear_dir(dir, err);
	if (r < 0)
		return cor_wrap(err, "root file system %s", dir);
	r = cor_image_lock(s, err);
	if (r < 0)
		return r;
	last = drop_lease(s, lease);
	cor_image_unlock(s);
	return last ? cor_image_gc(s, err) : 0;
}
