// SPDX-License-Identifier: Apache-2.0
// Volumes as ext4 image files: made, mounted over a loop device that goes with its last user, grown
// while mounted. A volume is made under a temporary name and renamed, so that a crash leaves either
// none or a whole one.
#include "node/pv_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "node/volume.h"

extern char **environ;

static int run(char *const argv[], struct cor_err *err) {
	posix_spawn_file_actions_t fa;
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	(void)posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	pid_t pid;
	int status, r = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&fa);
	if (r != 0)
		return cor_fail_errno(err, r, "%s", argv[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return cor_fail_errno(err, errno, "%s", argv[0]);
	/* e2fsck says 1 when it has repaired something. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) > (strcmp(argv[0], "e2fsck") == 0 ? 1 : 0))
		return cor_fail(err, COR_E_INTERNAL, "%s failed with status %d", argv[0],
			WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}

/* How large the file system is for sure: the image may already be larger after a crash. */
uint64_t pv_image_size(const char *dir) {
	_cleanup_free_ char *path = cor_asprintf("%s/size", dir);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32] = "";
	uint64_t size = 0;
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));
	return n > 0 && cor_str_to_u64((struct cor_str){ text, (size_t)n }, &size) ? size : 0;
}

/* Into its place, so that it is there after a loss of power: what is in it, then its name. */
static int settle(const char *dir, int fd, const char *tmp, const char *path, struct cor_err *err) {
	_cleanup_close_ int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d < 0 || fsync(fd) < 0 || rename(tmp, path) < 0 || fsync(d) < 0)
		return cor_fail_errno(err, errno, "put %s in its place", path);
	return 0;
}

/* synced false: should it be lost, the file system is looked at and it is written anew. */
static int set_size(const char *dir, uint64_t size, bool synced, struct cor_err *err) {
	_cleanup_free_ char *path = cor_asprintf("%s/size", dir);
	_cleanup_free_ char *tmp = cor_asprintf("%s/size.new", dir);
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	_cleanup_close_ int fd = open(tmp, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	ssize_t wrote = fd < 0 ? -1 : write(fd, text, (size_t)n);
	if (wrote != n)
		return cor_fail_errno(err, wrote < 0 ? errno : ENOSPC, "write %s", path);
	if (!synced)
		return rename(tmp, path) < 0 ? cor_fail_errno(err, errno, "put %s in its place", path) : 0;
	return settle(dir, fd, tmp, path, err);
}

static int make_image(const char *dir, uint64_t size, struct cor_err *err) {
	_cleanup_free_ char *image = cor_asprintf("%s/image", dir);
	_cleanup_free_ char *tmp = cor_asprintf("%s/image.new", dir);
	if (access(image, F_OK) == 0)
		return 0;
	_cleanup_close_ int fd = open(tmp, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return cor_fail_errno(err, errno, "create %s", tmp);
	char *argv[] = { (char[]){ "mkfs.ext4" }, (char[]){ "-q" }, (char[]){ "-F" }, (char[]){ "-m" }, (char[]){ "0" },
		(char[]){ "-E" }, (char[]){ "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0" }, tmp, NULL };
	int r = run(argv, err);
	if (r < 0)
		return r;
	r = settle(dir, fd, tmp, image, err);
	return r < 0 ? r : set_size(dir, size, false, err);
}

/* Of one that is not mounted; needs no right of the kernel. */
static int grow_offline(const char *dir, uint64_t size, struct cor_err *err) {
	_cleanup_free_ char *image = cor_asprintf("%s/image", dir);
	if (pv_image_size(dir) >= size)
		return 0;
	if (truncate(image, (off_t)size) < 0)
		return cor_fail_errno(err, errno, "grow %s", image);
	char *check[] = { (char[]){ "e2fsck" }, (char[]){ "-f" }, (char[]){ "-p" }, image, NULL };
	char *resize[] = { (char[]){ "resize2fs" }, image, NULL };
	int r = run(check, err);
	if (r >= 0)
		r = run(resize, err);
	return r < 0 ? r : set_size(dir, size, true, err);
}

static int attach(const char *image, char device[64], struct cor_err *err) {
	_cleanup_close_ int file = open(image, O_RDWR | O_CLOEXEC);
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (file < 0 || control < 0)
		return cor_fail_errno(err, errno, "open %s", file < 0 ? image : "/dev/loop-control");
	/* Somebody else may take the free one between the two calls. */
	for (int tries = 0; tries < 64; tries++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			return cor_fail_errno(err, errno, "no loop device");
		(void)snprintf(device, 64, "/dev/loop%d", n);
		(void)mknod(device, S_IFBLK | 0660, makedev(7, (unsigned)n));
		int fd = open(device, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return cor_fail_errno(err, errno, "open %s", device);
		struct loop_config lc = { .fd = (uint32_t)file, .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
		(void)snprintf((char *)lc.info.lo_file_name, LO_NAME_SIZE, "%s", image);
		if (ioctl(fd, LOOP_CONFIGURE, &lc) == 0)
			return fd;      /* held until it is mounted */
		int e = errno;
		(void)close(fd);
		if (e != EBUSY)
			return cor_fail_errno(err, e, "set up %s", device);
	}
	return cor_fail(err, -EBUSY, "no loop device is free");
}

/* The loop device that the image is attached to, or -1. It may outlive our unmount: a process with mounts of its
 * own, which it copied when it began, still has the file system. Held open, it stays that of the image. */
static int open_attached(const char *image, char device[64]) {
	struct stat st;
	struct dirent *e;
	DIR *block = stat(image, &st) == 0 ? opendir("/sys/block") : NULL;
	int found = -1;
	while (block && found < 0 && (e = readdir(block))) {
		unsigned n;
		char backing[64];
		if (sscanf(e->d_name, "loop%u", &n) != 1)
			continue;
		(void)snprintf(backing, sizeof(backing), "/sys/block/loop%u/loop", n);
		if (access(backing, F_OK) < 0)
			continue;
		(void)snprintf(device, 64, "/dev/loop%u", n);
		(void)mknod(device, S_IFBLK | 0660, makedev(7, n));
		int fd = open(device, O_RDWR | O_CLOEXEC);
		struct loop_info64 info;
		if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == st.st_dev &&
		    info.lo_inode == st.st_ino)
			found = fd;
		else if (fd >= 0)
			(void)close(fd);
	}
	if (block)
		(void)closedir(block);
	return found;
}

static bool mounted(const char *dir, const char *target) {
	struct stat a, b;
	return stat(dir, &a) == 0 && stat(target, &b) == 0 && a.st_dev != b.st_dev;
}

static int make_dirs(const char *dir, const char *target, struct cor_err *err) {
	int r = cor_mkdir_all(dir, 0700, err);
	return r < 0 ? r : cor_mkdir_all(target, 0755, err);
}

static int make_and_grow(const char *dir, uint64_t size, struct cor_err *err) {
	int r = make_image(dir, size, err);
	return r < 0 ? r : grow_offline(dir, size, err);
}

int pv_image_make(const char *dir, uint64_t size, struct cor_err *err) {
	_cleanup_free_ char *target = cor_asprintf("%s/mount", dir);
	_cleanup_free_ char *image = cor_asprintf("%s/image", dir);
	int r = make_dirs(dir, target, err);
	if (r < 0 || mounted(dir, target))
		return r;
	char device[64];
	_cleanup_close_ int used = open_attached(image, device);
	/* Neither looked at nor grown from outside: that would destroy it. */
	if (used >= 0)
		return cor_fail(err, -EBUSY, "%s is still in use by its last mount", image);
	return make_and_grow(dir, size, err);
}

/* Nothing has been in it but what mkfs makes for itself. */
static bool is_fresh(const char *target) {
	DIR *d = opendir(target);
	struct dirent *e;
	bool lost = false, more = false;
	while (d && (e = readdir(d))) {
		lost |= strcmp(e->d_name, "lost+found") == 0;
		more |= e->d_name[0] != '.' && strcmp(e->d_name, "lost+found") != 0;
	}
	if (d)
		(void)closedir(d);
	return lost && !more;
}

int pv_image_mount(const char *dir, uint64_t size, struct cor_err *err) {
	_cleanup_free_ char *target = cor_asprintf("%s/mount", dir);
	_cleanup_free_ char *image = cor_asprintf("%s/image", dir);
	char device[64];
	int r = make_dirs(dir, target, err);
	if (r < 0 || mounted(dir, target))
		return r;
	/* Two devices on one image would destroy it; a second mount of the same one is the same file system. */
	_cleanup_close_ int fd = open_attached(image, device);
	if (fd < 0) {
		r = make_and_grow(dir, size, err);
		fd = r < 0 ? r : attach(image, device, err);
	}
	if (fd < 0)
		return fd;
	if (mount(device, target, "ext4", 0, NULL) < 0)
		return cor_fail_errno(err, errno, "mount %s at %s", device, target);
	/* Some programs want an empty directory, and those that are not root a place to write. Only the first time:
	 * later it is theirs. */
	if (!is_fresh(target))
		return 0;
	_cleanup_free_ char *lost = cor_asprintf("%s/lost+found", target);
	if (chmod(target, 0777) < 0 || rmdir(lost) < 0)
		return cor_fail_errno(err, errno, "%s", target);
	return 0;
}

int pv_image_grow(const char *dir, uint64_t size, struct cor_err *err) {
	if (pv_image_size(dir) >= size)
		return 0;
	_cleanup_free_ char *target = cor_asprintf("%s/mount", dir);
	_cleanup_free_ char *image = cor_asprintf("%s/image", dir);
	struct stat st;
	if (stat(target, &st) < 0 || truncate(image, (off_t)size) < 0)
		return cor_fail_errno(err, errno, "grow %s", image);
	char device[64];
	(void)snprintf(device, sizeof(device), "/dev/loop%u", minor(st.st_dev));
	_cleanup_close_ int fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_SET_CAPACITY) < 0)
		return cor_fail_errno(err, errno, "grow %s", device);
	char *argv[] = { (char[]){ "resize2fs" }, device, NULL };
	int r = run(argv, err);
	return r < 0 ? r : set_size(dir, size, true, err);
}

int pv_image_unmount(const char *dir, struct cor_err *err) {
	/* Somebody may still hold the file system for a moment; what was written must be on the image
	 * before it can be mounted again. */
	_cleanup_free_ char *target = cor_asprintf("%s/mount", dir);
	_cleanup_close_ int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && syncfs(fd) < 0)
		return cor_fail_errno(err, errno, "sync %s", target);
	(void)close(cor_take_fd(fd));
	return cor_volume_unmount_below(dir, err);
}
