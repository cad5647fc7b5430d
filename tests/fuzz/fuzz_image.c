// SPDX-License-Identifier: Apache-2.0
// Files that images bring from outside. The first line chooses: layer (unpacked below a directory
// that is checked afterwards to be the only one touched), archive (imported into a store), users (a
// user, then passwd and group of a root file system). Needs root; works on a tmpfs of its own.
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "node/image_priv.h"

#define TOP "/mnt"
#define NONE ((struct cor_str){ 0 })

static void begin(void) {
	/* Only this process sees it, and it goes with it. */
	cor_assert(unshare(CLONE_NEWNS) == 0);
	cor_assert(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	cor_assert(mount("fuzz", TOP, "tmpfs", 0, "size=256m") == 0);
}

static int file_of(struct cor_str in) {
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	cor_assert(
		fd >= 0 && write(fd, in.p, in.n) == (ssize_t)in.n && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Removes TOP/work; nothing else may be in TOP. */
static void end(int top) {
	struct cor_err err;

	cor_assert(cor_image_rmtree(top, "work", &err) == 0);
	cor_assert(mkdir(TOP "/empty", 0700) == 0 && rmdir(TOP "/empty") == 0);
}

static void layer(struct cor_str in, int top) {
	_cleanup_close_ int root = -1, fd = file_of(in);
	static const char zero[IMAGE_HEX] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	struct image_run run;
	struct stat st;
	struct cor_err err;

	cor_assert(cor_image_mkdir_open(top, "work", 0755, &root, &err) == 0);
	cor_image_run_init(&run, "fuzz", NULL);
	(void)!cor_image_unpack(&(struct image_unpack){ .fd = fd,
					.root = root,
					.number = 1,
					.diff_id = zero,
					.max_bytes = 1 << 20,
					.max_entries = 1000,
					.run = &run },
		&err);
	cor_image_run_fini(&run);
	end(top);
	cor_assert(fstat(top, &st) == 0 && st.st_nlink == 2); /* no directory beside it */
}

static void archive(struct cor_str in, int top) {
	struct cor_image_config c = { .dir = TOP "/work",
		.max_workers = 1,
		.max_layer_bytes = 1 << 20,
		.max_layer_entries = 1000,
		.max_blob_bytes = 1 << 20 };
	_cleanup_close_ int fd = file_of(in);
	struct cor_image_list list = { 0 };
	struct cor_image_store *s = NULL;
	char path[64];
	struct cor_err err;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cor_assert(cor_image_store_open(&s, &c, &err) == 0);
	if (cor_image_import(s, path, NONE, NULL, &list, &err) == 0)
		cor_assert(list.n > 0);
	else
		cor_assert(err.message[0]);
	cor_image_list_fini(&list);
	cor_image_store_close(s);
	end(top);
}

static void users(struct cor_str in, int top) {
	static const char *const names[] = { "root", "app", "app:staff", "1000", "1000:app", ":",
		"app:" };
	static struct cor_image_user u;
	_cleanup_close_ int work = -1, etc = -1;
	struct cor_str user = fuzz_line(&in), passwd = in;
	size_t half = cor_str_chr(in, '%'); /* passwd, '%', group */
	struct cor_err err;

	passwd.n = half;
	cor_assert(cor_image_mkdir_open(top, "work", 0755, &work, &err) == 0);
	cor_assert(cor_image_mkdir_open(work, "etc", 0755, &etc, &err) == 0);
	cor_assert(cor_image_write_file(etc, "passwd", passwd, false, &err) == 0);
	cor_assert(
		cor_image_write_file(etc, "group", cor_str_sub(in, half, in.n), false, &err) == 0);
	for (size_t i = 0; i <= cor_countof(names); i++) {
		if (cor_image_user_resolve(
			    TOP "/work", i ? cor_str_c(names[i - 1]) : user, &u, &err) < 0)
			cor_assert(err.message[0]);
		else
			cor_assert(u.n_groups <= COR_IMAGE_GROUPS_MAX && u.home[0]);
	}
	end(top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static bool begun;
	struct cor_str in = fuzz_input(data, n), what = fuzz_line(&in);
	_cleanup_close_ int top = -1;

	if (!begun)
		begin();
	begun = true;
	top = open(TOP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cor_assert(top >= 0);
	if (cor_str_eq_c(what, "layer"))
		layer(in, top);
	else if (cor_str_eq_c(what, "archive"))
		archive(in, top);
	else if (cor_str_eq_c(what, "users"))
		users(in, top);
	return 0;
}
