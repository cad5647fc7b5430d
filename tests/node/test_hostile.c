// SPDX-License-Identifier: Apache-2.0
// What containers may do to volumes while the agent works in them as root: symlinks in its way, put
// there before or at that very moment, and trees that are made to be hard to remove. Each test has
// something outside of the volume that must stay as it is. Files and mounts stay in a mount
// namespace of this program.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/volume.h"

enum { ROUNDS = 150, DEEP = 1500, GROUP = 4242 };

static char top[64], volume[96], outside[96], secret[128], target[96];

static void make_file(const char *path, mode_t mode) {
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, "secret", 6) == 6 && fchmod(fd, mode) == 0);
}

/* top/volume, and what must stay as it is: top/outside/secret, closed to everybody. */
static int set_up(void **state) {
	(void)snprintf(top, sizeof(top), "/tmp/coracle-hostile-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(volume, sizeof(volume), "%s/volume", top);
	(void)snprintf(outside, sizeof(outside), "%s/outside", top);
	(void)snprintf(secret, sizeof(secret), "%s/secret", outside);
	(void)snprintf(target, sizeof(target), "%s/target", top);
	assert_true(
		mkdir(volume, 0777) == 0 && chmod(volume, 0777) == 0 && mkdir(outside, 0700) == 0);
	make_file(secret, 0600);
	return 0;
}

static int tear_down(void **state) {
	struct cor_err err;
	return cor_volume_remove_tree(top, &err);
}

static void outside_is_untouched(void) {
	struct stat dir, file;
	assert_true(stat(outside, &dir) == 0 && stat(secret, &file) == 0);
	assert_int_equal(dir.st_mode & 07777, 0700);
	assert_int_equal(file.st_mode & 07777, 0600);
	assert_true(dir.st_gid == 0 && file.st_gid == 0);
	assert_int_equal(file.st_size, 6);
}

static void link_in_volume(const char *to, const char *name) {
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", volume, name);
	assert_int_equal(symlink(to, path), 0);
}

static struct cor_volume_plan empty_dir(void) {
	return (struct cor_volume_plan){
		.name = (char *)"v", .kind = COR_VOLUME_EMPTY_DIR, .path = volume, .fs_group = GROUP
	};
}

/* ---- subPath ---- */

/* The name leads nowhere inside the volume, but from the agent's own root to a file that it then
 * gave the mode of the volume. */
static void subpath_dangling_symlink_opened_up_a_file_of_the_host(void **state) {
	struct cor_err err;
	link_in_volume(secret, "way");
	assert_true(cor_volume_subpath(volume, "way", true, target, &err) < 0);
	assert_non_null(strstr(err.message, "way"));
	outside_is_untouched();
	link_in_volume(outside, "dir");
	assert_true(cor_volume_subpath(volume, "dir/below", true, target, &err) < 0);
	outside_is_untouched();
}

static void subpath_stays_in_its_volume(void **state) {
	static const char *const ways[] = { "../outside", "up/outside", "up/outside/secret",
		"root/etc", "a/../../outside" };
	struct cor_err err;
	link_in_volume("..", "up");
	link_in_volume("/", "root");
	for (size_t i = 0; i < cor_countof(ways); i++) {
		struct stat st, out;
		assert_int_equal(stat(outside, &out), 0);
		/* Either refused, or something inside of that name. */
		if (cor_volume_subpath(volume, ways[i], true, target, &err) < 0)
			continue;
		assert_int_equal(stat(target, &st), 0);
		assert_true(st.st_ino != out.st_ino);
		(void)umount2(target, MNT_DETACH);
	}
	outside_is_untouched();
}

/* Exchanges volume/way, a directory, for a symlink to outside and back, as fast as it can. */
struct swapper {
	pthread_t thread;
	atomic_bool stop;
};

static void *swap(void *arg) {
	struct swapper *s = arg;
	char way[128], other[128];
	(void)snprintf(way, sizeof(way), "%s/way", volume);
	(void)snprintf(other, sizeof(other), "%s/other", volume);
	while (!atomic_load(&s->stop))
		(void)renameat2(AT_FDCWD, way, AT_FDCWD, other, RENAME_EXCHANGE);
	return NULL;
}

static void swap_begin(struct swapper *s) {
	char path[128];
	*s = (struct swapper){ 0 };
	(void)snprintf(path, sizeof(path), "%s/way", volume);
	assert_int_equal(mkdir(path, 0777), 0);
	(void)snprintf(path, sizeof(path), "%s/way/secret", volume);
	make_file(path, 0600);
	link_in_volume(outside, "other");
	assert_int_equal(pthread_create(&s->thread, NULL, swap, s), 0);
}

static void swap_end(struct swapper *s) {
	atomic_store(&s->stop, true);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
}

static void subpath_swapped_to_a_symlink_while_it_is_bound(void **state) {
	struct swapper s;
	struct stat out, st;
	size_t bound = 0;
	assert_int_equal(stat(secret, &out), 0);
	swap_begin(&s);
	for (int i = 0; i < ROUNDS; i++) {
		char sub[64];
		struct cor_err err;
		(void)snprintf(sub, sizeof(sub), i % 2 ? "way/secret" : "way/new-%d/dir", i);
		if (cor_volume_subpath(volume, sub, true, target, &err) < 0)
			continue;
		bound++;
		assert_true(stat(target, &st) == 0 && st.st_ino != out.st_ino);
		assert_int_equal(umount2(target, MNT_DETACH), 0);
		assert_true(unlink(target) == 0 || rmdir(target) == 0);
	}
	swap_end(&s);
	assert_true(bound > 0);
	outside_is_untouched();
}

/* ---- fsGroup ---- */

static void fs_group_does_not_follow_symlinks(void **state) {
	struct cor_err err;
	struct cor_volume_plan p = empty_dir();
	struct stat st;
	link_in_volume(secret, "file");
	link_in_volume(outside, "dir");
	link_in_volume("/nowhere", "dangling");
	assert_int_equal(cor_volume_apply(&p, &err), 0);
	assert_true(stat(volume, &st) == 0 && st.st_gid == GROUP && (st.st_mode & 07777) == 02777);
	outside_is_untouched();
}

static void fs_group_of_a_tree_that_is_swapped_to_a_symlink(void **state) {
	struct swapper s;
	struct cor_err err;
	struct cor_volume_plan p = empty_dir();
	swap_begin(&s);
	for (int i = 0; i < ROUNDS; i++)
		(void)cor_volume_apply(&p, &err);
	swap_end(&s);
	outside_is_untouched();
}

/* It has a limit, and says so. */
static void deep(int levels) {
	_cleanup_close_ int at = open(volume, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < levels; i++) {
		assert_int_equal(mkdirat(at, "directory", 0700), 0);
		int next = openat(at, "directory", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		assert_true(next >= 0);
		(void)close(at);
		at = next;
	}
}

static void fs_group_of_a_tree_without_end(void **state) {
	struct cor_err err;
	struct cor_volume_plan p = empty_dir();
	deep(DEEP);
	assert_true(cor_volume_apply(&p, &err) < 0);
	assert_non_null(strstr(err.message, "4242"));
}

/* ---- removal ---- */

/* Longer than any path may be: such a pod was never gone. */
static void volume_nested_deeper_than_a_path_could_not_be_removed(void **state) {
	struct cor_err err;
	struct stat st;
	deep(DEEP);
	assert_int_equal(cor_volume_remove_tree(volume, &err), 0);
	assert_true(stat(volume, &st) < 0 && errno == ENOENT);
}

static void removal_does_not_follow_symlinks(void **state) {
	struct cor_err err;
	link_in_volume(secret, "file");
	link_in_volume(outside, "dir");
	assert_int_equal(cor_volume_remove_tree(volume, &err), 0);
	outside_is_untouched();
}

static void removal_of_a_tree_that_is_swapped_to_a_symlink(void **state) {
	struct swapper s;
	struct cor_err err;
	swap_begin(&s);
	/* It may fail while somebody works against it, but never outside. */
	(void)cor_volume_remove_tree(volume, &err);
	swap_end(&s);
	outside_is_untouched();
}

/* A container may hold a mount below, such as of a claim; what is in it is not the volume's. */
static void removal_leaves_other_file_systems_alone(void **state) {
	struct cor_err err;
	struct stat st;
	char at[128], kept[160], pinned[128];
	(void)snprintf(at, sizeof(at), "%s/mounted", volume);
	(void)snprintf(kept, sizeof(kept), "%s/kept", at);
	(void)snprintf(pinned, sizeof(pinned), "%s/kept", outside);
	assert_true(mkdir(at, 0700) == 0 && mount("t", outside, "tmpfs", 0, NULL) == 0);
	make_file(pinned, 0600);
	assert_int_equal(mount(outside, at, NULL, MS_BIND, NULL), 0);
	assert_true(stat(kept, &st) == 0);
	assert_int_equal(cor_volume_remove_tree(volume, &err), 0);
	assert_int_equal(stat(pinned, &st), 0);
	assert_int_equal(umount2(outside, MNT_DETACH), 0);
}

/* ---- files ---- */

static void files_cannot_be_named_out_of_their_volume(void **state) {
	static const char *const names[] = { "", "/etc/passwd", "../x", "a/../../x", "..data",
		"..x/y", "a//b", "a/.." };
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	for (size_t i = 0; i < cor_countof(names); i++) {
		struct cor_volume_files files = { 0 };
		struct cor_err err;
		assert_true(cor_volume_file_add(
				    a, &files, cor_str_c(names[i]), COR_STR("x"), 0600, &err) < 0);
		assert_int_equal(files.n, 0);
	}
}

int main(void) {
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		perror("a mount namespace of its own (these tests need root)");
		return 1;
	}
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(subpath_dangling_symlink_opened_up_a_file_of_the_host),
		TEST(subpath_stays_in_its_volume),
		TEST(subpath_swapped_to_a_symlink_while_it_is_bound),
		TEST(fs_group_does_not_follow_symlinks),
		TEST(fs_group_of_a_tree_that_is_swapped_to_a_symlink),
		TEST(fs_group_of_a_tree_without_end),
		TEST(volume_nested_deeper_than_a_path_could_not_be_removed),
		TEST(removal_does_not_follow_symlinks),
		TEST(removal_of_a_tree_that_is_swapped_to_a_symlink),
		TEST(removal_leaves_other_file_systems_alone),
		TEST(files_cannot_be_named_out_of_their_volume),
	};
	return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
