// SPDX-License-Identifier: Apache-2.0
// The image store: references, logins, import, layers, hostile archives, records, root file
// systems, users. Needs root. Runs in a mount namespace of its own, on a tmpfs that goes with it.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "imagelab.h"
#include "node/image_priv.h"

#define ROOT "/tmp"
#define NONE ((struct cor_str){ 0 })

static unsigned serial;

/* A fresh path; the tmpfs is ours alone. */
static const char *fresh(const char *what) {
	static char paths[8][100];
	char *p = paths[serial % 8];

	(void)snprintf(p, sizeof(paths[0]), ROOT "/%s-%u", what, serial++);
	return p;
}

static struct cor_image_store *open_store(const char *dir, struct cor_image_config extra) {
	struct cor_image_store *s = NULL;
	struct cor_err err;

	extra.dir = dir;
	if (cor_image_store_open(&s, &extra, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static int count_entries(const char *dir) {
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	(void)closedir(d);
	return n;
}

static int count_below(const char *dir, const char *name) {
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return count_entries(path);
}

static void must_import(struct cor_image_store *s, const struct lab_image *im) {
	const char *path = fresh("image.tar");
	struct cor_err err;

	lab_write_image(im, path, false);
	if (cor_image_import(s, path, NONE, NULL, NULL, &err) < 0)
		fail_msg("%s", err.message);
	(void)unlink(path);
}

static struct cor_image *must_find(struct cor_image_store *s, const char *ref) {
	struct cor_image *i = NULL;
	struct cor_err err;

	if (cor_image_find(s, cor_str_c(ref), &i, &err) < 0)
		fail_msg("%s", err.message);
	return i;
}

/* ---- references ---- */

static void test_references(void **state) {
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "busybox", "docker.io/library/busybox:latest" },
		{ "busybox:1.36", "docker.io/library/busybox:1.36" },
		{ "a/b", "docker.io/a/b:latest" },
		{ "index.docker.io/library/a", "docker.io/library/a:latest" },
		{ "docker.io/a", "docker.io/library/a:latest" },
		{ "localhost/a", "localhost/a:latest" },
		{ "localhost:5000/a:b", "localhost:5000/a:b" },
		{ "127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest" },
		{ "[::1]:5000/a", "[::1]:5000/a:latest" },
		{ "registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9" },
		{ "Registry/a", "Registry/a:latest" },
		{ "a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest" },
		{ "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			"docker.io/library/a@sha256:"
			"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" },
		{ "a:t@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			"docker.io/library/a:t@sha256:"
			"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" },
		{ "", NULL }, { ":", NULL }, { "a:", NULL }, { "a:-x", NULL }, { "A", NULL },
		{ "a//b", NULL }, { "-a", NULL }, { "a-", NULL }, { "a/../b", NULL }, { "/a", NULL },
		{ "a/", NULL }, { "a b", NULL }, { "a@sha256:12", NULL }, { "a@md5:12", NULL },
		{ "a___b", NULL }, { "a..b/c", NULL }, { "host.:5000/a", NULL },
		{ "host:port/a", NULL }, { "a\nb", NULL },
		{ "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL },
	};
	struct cor_image_ref ref;
	struct cor_err err;

	for (size_t i = 0; i < cor_countof(cases); i++) {
		int r = cor_image_ref_parse(cor_str_c(cases[i].in), &ref, &err);

		if (!cases[i].out) {
			if (r == 0)
				fail_msg("\"%s\" was taken as %s", cases[i].in, ref.text);
			assert_non_null(strstr(err.message, "invalid reference format"));
			continue;
		}
		if (r < 0)
			fail_msg("\"%s\": %s", cases[i].in, err.message);
		assert_string_equal(ref.text, cases[i].out);
	}
	assert_true(cor_image_ref_is_latest(COR_STR("a")));
	assert_true(cor_image_ref_is_latest(COR_STR("a:latest")));
	assert_false(cor_image_ref_is_latest(COR_STR("a:1")));
	assert_false(cor_image_ref_is_latest(COR_STR("a@sha256:"
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")));
}

/* ---- logins ---- */

static void test_keyring(void **state) {
	/* aGk6dGhlcmU= is hi:there, Og== is ":" */
	static const char config[] = "{\"auths\":{"
		"\"https://index.docker.io/v1/\":{\"auth\":\"aGk6dGhlcmU=\"},"
		"\"*.example.com\":{\"username\":\"glob\",\"password\":\"p\"},"
		"\"reg.example.com/team\":{\"username\":\"team\",\"password\":\"p\"},"
		"\"reg.example.com\":{\"username\":\"plain\",\"password\":\"p\"},"
		"\"tok:5000\":{\"identitytoken\":\"t\"}}}";
	static const struct {
		const char *host, *path;
		const char *users[3];
	} cases[] = {
		{ "docker.io", "library/a", { "hi" } },
		{ "reg.example.com", "team/x", { "team", "plain", "glob" } },
		{ "reg.example.com", "other", { "plain", "glob" } },
		{ "a.example.com", "x", { "glob" } },
		{ "a.b.example.com", "x", { NULL } },
		{ "example.com", "x", { NULL } },
	};
	_cleanup_(cor_image_keyring_freep) struct cor_image_keyring *k = cor_image_keyring_new();
	struct cor_err err;

	assert_int_equal(cor_image_keyring_add(k, COR_STR("kubernetes.io/dockerconfigjson"),
		cor_str_c(config), &err), 0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		for (size_t j = 0; j < 3; j++) {
			const struct image_login *l = cor_image_keyring_match(k, cases[i].host,
				cases[i].path, j);

			if (!cases[i].users[j]) {
				assert_null(l);
				break;
			}
			assert_non_null(l);
			assert_string_equal(l->user, cases[i].users[j]);
		}
	}
	assert_string_equal(cor_image_keyring_match(k, "docker.io", "x", 0)->password, "there");
	assert_string_equal(cor_image_keyring_match(k, "tok:5000", "x", 0)->identity_token, "t");
}

static void test_keyring_bad(void **state) {
	static const struct {
		const char *type, *data, *message;
	} cases[] = {
		{ "Opaque", "{}", "hold no registry logins" },
		{ "kubernetes.io/dockercfg", "{", "registry logins" },
		{ "kubernetes.io/dockercfg", "[]", "not a JSON object" },
		{ "kubernetes.io/dockercfg", "{\"good\":{\"username\":\"u\"},\"h\":{\"auth\":\"!!\"}}",
			"not base64" },
		{ "kubernetes.io/dockercfg", "{\"h\":{\"auth\":\"aGk=\"}}", "not user:password" },
		{ "kubernetes.io/dockercfg", "{\"h\":1}", "not an object" },
	};
	_cleanup_(cor_image_keyring_freep) struct cor_image_keyring *k = cor_image_keyring_new();
	struct cor_err err;

	for (size_t i = 0; i < cor_countof(cases); i++) {
		assert_true(cor_image_keyring_add(k, cor_str_c(cases[i].type),
			cor_str_c(cases[i].data), &err) < 0);
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s, expected %s", err.message, cases[i].message);
	}
	assert_null(cor_image_keyring_at(k, 0));
}

/* ---- import ---- */

static const struct lab_entry base_entries[] = {
	{ "./", 'd', .mode = 0711, .uid = 7 },
	{ "etc/", 'd' },
	{ "etc/passwd", 'f', "root:x:0:0:root:/root:/bin/sh\n" },
	{ "etc/old", 'f', "old" },
	{ "data/a", 'f', "a", .mode = 04755, .uid = 1000, .gid = 2000 },
	{ "data/b", 'h', "data/a" },
	{ "link", 'l', "/etc/passwd" },
	{ "link2dir", 'l', "/etc" },
	{ "link2dir/via", 'f', "through a link" },
	{ "fifo", 'p' },
	{ "dev/null", 'c' },
	{ "dir/inner/deep", 'f', "deep" },
	{ "caf\xc3\xa9", 'f', "utf8" },
	{ 0 },
};
static const struct lab_entry top_entries[] = {
	{ "etc/.wh.old", 'f', "" },
	{ "etc/new", 'f', "new" },
	{ "dir/.wh..wh..opq", 'f', "" },
	{ "dir/fresh", 'f', "fresh" },
	{ "x", 'f', "x", .xattr = "trusted.overlay.redirect", .xattr_value = "/etc", .xattr_size = 4 },
	{ "y", 'f', "y", .xattr = "security.capability",
		.xattr_value = "\0\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", .xattr_size = 20 },
	{ ".wh.data", 'f', "" },
	{ "data/only", 'f', "only" },
	{ 0 },
};

static void read_layer(const char *store, struct cor_image *i, size_t n, char out[300]) {
	(void)snprintf(out, 300, "%s/layers/%s", store, i->layers.p[n].p + 7);
}

static char *slurp(const char *dir, const char *name) {
	char path[400];
	static char text[200];
	int fd;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_NOFOLLOW);
	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static struct stat stat_of(const char *dir, const char *name) {
	char path[400];
	struct stat st = { 0 };

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static void test_formats(void **state) {
	static const struct {
		enum lab_filter layer, outer;
		bool docker, dir, nested;
	} cases[] = {
		{ LAB_PLAIN, LAB_PLAIN, false, false, false },
		{ LAB_GZIP, LAB_PLAIN, false, false, false },
		{ LAB_ZSTD, LAB_GZIP, false, false, true },
		{ LAB_XZ, LAB_ZSTD, false, false, false },
		{ LAB_GZIP, LAB_PLAIN, false, true, true },
		{ LAB_PLAIN, LAB_PLAIN, true, false, false },
		{ LAB_PLAIN, LAB_GZIP, true, false, false },
		{ LAB_PLAIN, LAB_PLAIN, true, true, false },
	};
	struct cor_err err;

	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct lab_layer layers[] = { { base_entries, cases[i].layer },
			{ top_entries, cases[i].layer } };
		struct lab_image im = { .layers = layers, .n = 2, .name = "demo:1",
			.docker = cases[i].docker, .nested_index = cases[i].nested,
			.outer = cases[i].outer,
			.config = "\"Env\":[\"A=b\"],\"Cmd\":[\"/x\",\"y\"],\"User\":\"7:8\","
				"\"WorkingDir\":\"/w\",\"Labels\":{\"b\":\"2\",\"a\":\"1\"},"
				"\"Volumes\":{\"/v\":{}},\"StopSignal\":\"SIGINT\"" };
		const char *dir = fresh("store"), *path = fresh("image");
		struct cor_image_store *s = open_store(dir, (struct cor_image_config){ 0 });
		_cleanup_image_list_ struct cor_image_list list = { 0 };
		_cleanup_(cor_image_unrefp) struct cor_image *image = NULL;

		lab_write_image(&im, path, cases[i].dir);
		if (cor_image_import(s, path, NONE, NULL, &list, &err) < 0)
			fail_msg("case %zu: %s", i, err.message);
		assert_int_equal(list.n, 1);
		image = must_find(s, "demo:1");
		assert_ptr_equal(image, list.p[0]);
		assert_string_equal(image->names.p[0].p, "docker.io/library/demo:1");
		assert_string_equal(image->env.p[0].p, "A=b");
		assert_string_equal(image->cmd.p[1].p, "y");
		assert_string_equal(image->user.p, "7:8");
		assert_string_equal(image->working_dir.p, "/w");
		assert_string_equal(image->stop_signal.p, "SIGINT");
		assert_string_equal(image->volumes.p[0].p, "/v");
		assert_string_equal(image->labels.p[0].key.p, "a");
		assert_true(image->preloaded && image->size > 0);
		assert_int_equal(count_below(dir, "layers"), 2);
		cor_image_store_close(s);
		assert_int_equal(count_below(dir, "tmp"), 0);
	}
}

static void test_layer_content(void **state) {
	struct lab_layer layers[] = { { base_entries, LAB_GZIP }, { top_entries, LAB_PLAIN } };
	struct lab_image im = { .layers = layers, .n = 2, .name = "demo:1" };
	const char *dir = fresh("store");
	struct cor_image_store *s = open_store(dir, (struct cor_image_config){ 0 });
	struct cor_image *image;
	char base[300], top[300], path[400], value[32];
	struct stat st;

	must_import(s, &im);
	image = must_find(s, "demo:1");
	read_layer(dir, image, 0, base);
	read_layer(dir, image, 1, top);
	st = stat_of(base, ".");
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_uid, 7);
	st = stat_of(base, "data/a");
	assert_int_equal(st.st_mode & 07777, 04755);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 2000);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(st.st_ino, stat_of(base, "data/b").st_ino);
	assert_true(S_ISLNK(stat_of(base, "link").st_mode));
	assert_string_equal(slurp(base, "etc/via"), "through a link");
	assert_true(S_ISFIFO(stat_of(base, "fifo").st_mode));
	assert_null(slurp(base, "dev/null"));
	assert_string_equal(slurp(base, "dir/inner/deep"), "deep");
	assert_string_equal(slurp(base, "caf\xc3\xa9"), "utf8");
	st = stat_of(base, "etc");
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);

	st = stat_of(top, "etc/old");
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
	(void)snprintf(path, sizeof(path), "%s/dir", top);
	assert_int_equal(getxattr(path, "trusted.overlay.opaque", value, sizeof(value)), 1);
	(void)snprintf(path, sizeof(path), "%s/x", top);
	assert_true(getxattr(path, "trusted.overlay.redirect", value, sizeof(value)) < 0);
	(void)snprintf(path, sizeof(path), "%s/y", top);
	assert_int_equal(getxattr(path, "security.capability", value, sizeof(value)), 20);
	cor_image_unref(image);
	cor_image_store_close(s);
}

/* ---- what must be refused ---- */

static void test_bad_layers(void **state) {
	static char deep[1000], longname[400];
	static const struct {
		struct lab_entry entries[5];
		const char *message;
	} cases[] = {
		{ { { "usr/bin/../../etc/passwd", 'f', "x" } },
			"layer 2, entry usr/bin/../../etc/passwd: path escapes the image" },
		{ { { "../x", 'f', "x" } }, "layer 2, entry ../x: path escapes the image" },
		{ { { "a/..", 'd' } }, "path escapes the image" },
		{ { { "l", 'l', "../../../../tmp" }, { "l/../x", 'f', "x" } },
			"path escapes the image" },
		{ { { "h", 'h', "/etc/passwd" } }, "hard link to /etc/passwd, which is not in this layer" },
		{ { { "h", 'h', "../../etc/passwd" } }, "path escapes the image" },
		{ { { "l", 'l', "/" }, { "h", 'h', "l/etc/hostname" } }, "not in this layer" },
		{ { { "d", 'd' }, { "h", 'h', "d" } }, "which is not a file" },
		{ { { "f", 'f', "x" }, { "f/x", 'f', "x" } }, "entry f/x" },
		{ { { "sda", 'b' } }, "device nodes are not allowed" },
		{ { { "etc/null", 'c' } }, "device nodes are not allowed" },
		{ { { "dev/../null", 'c' } }, "path escapes the image" },
		{ { { ".wh.", 'f', "" } }, "whiteout without a name" },
		{ { { "a/.wh...", 'f', "" } }, "whiteout without a name" },
		{ { { deep, 'd' } }, "too long or too deep" },
		{ { { longname, 'f', "x" } }, "too long or too deep" },
		{ { { "huge", 'f', "x", .claim = 1LL << 50 } }, "entry huge" },
		{ { { "big", 'f', "x", .claim = 5000 } }, "layer 2" },
		{ { { "a", 'f', "1" }, { "b", 'f', "1" }, { "c", 'f', "1" }, { "d", 'f', "1" } },
			"more than 3 entries" },
	};
	static const struct lab_entry good[] = { { "ok", 'f', "ok" }, { 0 } };
	struct cor_err err;

	for (int i = 0; i < 300; i++)
		memcpy(deep + 2 * i, "d/", 2);
	memset(longname, 'n', 300);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		const struct lab_layer layers[] = { { good, LAB_GZIP }, { cases[i].entries, LAB_GZIP } };
		struct lab_image im = { .layers = layers, .n = 2, .name = "bad:1" };
		const char *dir = fresh("store"), *path = fresh("image.tar");
		struct cor_image_store *s = open_store(dir, (struct cor_image_config){
			.max_layer_entries = 3, .max_layer_bytes = 1 << 20 });

		lab_write_image(&im, path, false);
		assert_true(cor_image_import(s, path, NONE, NULL, NULL, &err) < 0);
		if (!strstr(err.message, cases[i].message))
			fail_msg("case %zu: \"%s\", expected \"%s\"", i, err.message, cases[i].message);
		assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
		assert_int_equal(count_below(dir, "images"), 0);
		assert_int_equal(count_below(dir, "layers"), 0);
		cor_image_store_close(s);
	}
	assert_int_equal(access("/tmp/x", F_OK), -1);
}

static void test_bad_archives(void **state) {
	static const struct lab_entry small[] = { { "f", 'f', "x" }, { 0 } };
	static const struct lab_layer layers[] = { { small, LAB_GZIP } };
	static const struct {
		struct lab_image im;
		const char *as, *message;
	} cases[] = {
		{ { .wrong_blob = true, .name = "a:1" }, NULL, "but the manifest says sha256:" },
		{ { .wrong_diff = true, .name = "a:1" }, NULL, "but the config says sha256:" },
		{ { .wrong_diff = true, .docker = true, .name = "a:1" }, NULL,
			"but the config says sha256:" },
		{ { .no_layer = true, .name = "a:1" }, NULL, "layer 1: blobs/sha256/" },
		{ { .no_layer = true, .docker = true, .name = "a:1" }, NULL, "layer.tar is missing" },
		{ { .cut = 6000, .name = "a:1" }, NULL, "" },
		{ { .name = NULL }, NULL, "give one with --as" },
		{ { .name = "latest" }, NULL, "give one with --as" },
		{ { .name = "a:1" }, "Bad/Name", "must be lowercase" },
		{ { .name = "a/UP:1" }, NULL, "invalid reference format" },
		{ { .name = "a:1", .arch = "s390x" }, NULL, "no match for platform" },
	};
	struct cor_image_store *s = open_store(fresh("store"), (struct cor_image_config){ 0 });
	const char *path = fresh("image.tar");
	struct cor_err err;

	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct lab_image im = cases[i].im;
		_cleanup_image_list_ struct cor_image_list list = { 0 };

		im.layers = layers;
		im.n = 1;
		lab_write_image(&im, path, false);
		if (cor_image_import(s, path, cor_str_c(cases[i].as), NULL, NULL, &err) == 0)
			fail_msg("case %zu was taken", i);
		if (!strstr(err.message, cases[i].message))
			fail_msg("case %zu: \"%s\", expected \"%s\"", i, err.message, cases[i].message);
		assert_int_equal(cor_images_list(s, &list, &err), 0);
		assert_int_equal(list.n, 0);
	}
	lab_write_file(path, "not a tar at all", 16);
	assert_true(cor_image_import(s, path, NONE, NULL, NULL, &err) < 0);
	assert_int_equal(cor_image_import(s, "/tmp/nonexistent.tar", NONE, NULL, NULL, &err), -ENOENT);
	cor_image_store_close(s);
}

/* ---- records ---- */

static const struct lab_entry one_entries[] = { { "one", 'f', "1" }, { 0 } };
static const struct lab_entry two_entries[] = { { "two", 'f', "2" }, { 0 } };
static const struct lab_layer two_layers[] = { { one_entries, LAB_GZIP }, { two_entries, LAB_GZIP } };

static void test_names_and_removal(void **state) {
	struct lab_image a = { .layers = two_layers, .n = 2, .name = "app:1" };
	struct lab_image b = { .layers = two_layers, .n = 1, .name = "app:2" };
	const char *dir = fresh("store"), *path = fresh("image");
	struct cor_image_store *s = open_store(dir, (struct cor_image_config){ 0 });
	struct cor_image_store *other = open_store(dir, (struct cor_image_config){ 0 });
	struct cor_image *i;
	struct cor_err err;

	must_import(s, &a);
	must_import(other, &b);
	assert_int_equal(count_below(dir, "layers"), 2);
	i = must_find(s, "app:2");              /* what the other process brought */
	assert_int_equal(i->layers.n, 1);
	lab_write_image(&b, path, true);        /* app:1 moves to the smaller image */
	assert_int_equal(cor_image_import(s, path, COR_STR("app:1"), NULL, NULL, &err), 0);
	assert_int_equal(count_below(dir, "layers"), 1);
	assert_int_equal(count_below(dir, "images"), 1);
	cor_image_unref(i);
	i = must_find(other, "app:1");
	assert_int_equal(i->names.n, 2);
	cor_image_unref(i);
	assert_int_equal(cor_image_remove(other, COR_STR("app:2"), &err), 0);
	assert_int_equal(cor_image_remove(s, COR_STR("app:2"), &err), COR_E_NOT_FOUND);
	i = must_find(s, "app:1");
	assert_int_equal(cor_image_remove(s, cor_str_sub(i->id, 7, 12), &err), 0);
	assert_int_equal(count_below(dir, "layers"), 0);
	assert_int_equal(count_below(dir, "blobs"), 0);
	assert_string_equal(i->names.p[0].p, "docker.io/library/app:1");      /* still ours */
	cor_image_unref(i);
	cor_image_store_close(s);
	cor_image_store_close(other);
}

static void test_crash_leftovers(void **state) {
	struct lab_image a = { .layers = two_layers, .n = 1, .name = "app:1" };
	const char *dir = fresh("store");
	struct cor_image_store *s = open_store(dir, (struct cor_image_config){ 0 });
	static const char zeros[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	static const struct {
		const char *name;
		bool dir, hex;
	} leftovers[] = { { "tmp/dead", true }, { "tmp/dead/layer-1", true },
		{ "tmp/dead/layer-1/x", true }, { "tmp/dead/pin-", false, true }, { "layers/", true, true },
		{ "layers/junk", true }, { "blobs/", false, true }, { "leases/c1", false } };
	char path[300];

	must_import(s, &a);
	cor_image_store_close(s);
	for (size_t i = 0; i < cor_countof(leftovers); i++) {
		int n = snprintf(path, sizeof(path), "%s/", dir);

		(void)snprintf(path + n, sizeof(path) - (size_t)n, "%s%s", leftovers[i].name,
			leftovers[i].hex ? zeros : "");
		if (leftovers[i].dir)
			assert_int_equal(mkdir(path, 0700), 0);
		else
			lab_write_file(path, "sha256:00\n/tmp/gone\n", 20);
	}
	s = open_store(dir, (struct cor_image_config){ 0 });
	assert_int_equal(count_below(dir, "tmp"), 1);           /* our own session */
	assert_int_equal(count_below(dir, "layers"), 1);
	assert_int_equal(count_below(dir, "blobs"), 1);
	assert_int_equal(count_below(dir, "leases"), 0);
	cor_image_unref(must_find(s, "app:1"));
	cor_image_store_close(s);
}

struct importer {
	struct cor_image_store *s;
	const char *path;
	int result;
	struct cor_err err;
};

static void *import_thread(void *arg) {
	struct importer *i = arg;

	i->result = cor_image_import(i->s, i->path, NONE, NULL, NULL, &i->err);
	return NULL;
}

static void test_parallel_imports(void **state) {
	const char *dir = fresh("store");
	struct cor_image_store *s[2] = { open_store(dir, (struct cor_image_config){ 0 }),
		open_store(dir, (struct cor_image_config){ 0 }) };
	struct importer jobs[8];
	pthread_t threads[8];
	char names[8][20], paths[8][40];

	for (int i = 0; i < 8; i++) {
		struct lab_image im = { .layers = two_layers, .n = 2, .name = names[i] };

		(void)snprintf(names[i], sizeof(names[i]), "p:%d", i);
		(void)snprintf(paths[i], sizeof(paths[i]), ROOT "/par-%d.tar", i);
		lab_write_image(&im, paths[i], false);
		jobs[i] = (struct importer){ .s = s[i % 2], .path = paths[i] };
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, import_thread, &jobs[i]), 0);
	for (int i = 0; i < 8; i++) {
		(void)pthread_join(threads[i], NULL);
		if (jobs[i].result < 0)
			fail_msg("%s", jobs[i].err.message);
	}
	for (int i = 0; i < 8; i++)
		cor_image_unref(must_find(s[0], names[i]));
	assert_int_equal(count_below(dir, "layers"), 2);
	assert_int_equal(count_below(dir, "images"), 1);
	cor_image_store_close(s[0]);
	cor_image_store_close(s[1]);
}

static void test_cancel(void **state) {
	struct lab_image a = { .layers = two_layers, .n = 2, .name = "app:1" };
	struct cor_image_store *s = open_store(fresh("store"), (struct cor_image_config){ 0 });
	const char *path = fresh("image.tar");
	atomic_bool cancel = true;
	struct cor_image_work work = { .cancel = &cancel };
	struct cor_err err;

	lab_write_image(&a, path, false);
	assert_int_equal(cor_image_import(s, path, NONE, &work, NULL, &err), COR_E_CLOSED);
	cor_image_store_close(s);
}

/* ---- root file systems ---- */

static void test_rootfs(void **state) {
	struct lab_layer layers[] = { { base_entries, LAB_GZIP }, { top_entries, LAB_GZIP } };
	struct lab_image im = { .layers = layers, .n = 2, .name = "demo:1" };
	const char *dir = fresh("store"), *c = fresh("con,tai:ner"), *ro = fresh("ro");
	struct cor_image_store *s = open_store(dir, (struct cor_image_config){ 0 });
	struct cor_image *image;
	struct cor_err err;
	char rootfs[200], path[300];
	int fd;

	must_import(s, &im);
	image = must_find(s, "demo:1");
	if (cor_image_rootfs_mount(s, image, "c1", c, false, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(cor_image_rootfs_mount(s, image, "c1", c, false, &err), 0);
	(void)snprintf(rootfs, sizeof(rootfs), "%s/rootfs", c);
	assert_int_equal(stat_of(rootfs, ".").st_mode & 07777, 0755);   /* the top layer says so */
	assert_string_equal(slurp(rootfs, "etc/new"), "new");
	assert_null(slurp(rootfs, "etc/old"));
	assert_null(slurp(rootfs, "dir/inner/deep"));
	assert_string_equal(slurp(rootfs, "dir/fresh"), "fresh");
	assert_null(slurp(rootfs, "data/a"));
	assert_string_equal(slurp(rootfs, "data/only"), "only");
	(void)snprintf(path, sizeof(path), "%s/etc/written", rootfs);
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0);
	(void)close(fd);

	if (cor_image_rootfs_mount(s, image, "v1", ro, true, &err) < 0)
		fail_msg("%s", err.message);
	(void)snprintf(path, sizeof(path), "%s/rootfs/etc/written", ro);
	assert_true(open(path, O_WRONLY | O_CREAT, 0644) < 0);
	assert_int_equal(errno, EROFS);

	/* Removed while in use: no name any more, but the data stays until the last mount goes,
	 * also when the store is opened anew. */
	assert_int_equal(cor_image_remove(s, COR_STR("demo:1"), &err), 0);
	cor_image_unref(image);
	cor_image_store_close(s);
	s = open_store(dir, (struct cor_image_config){ 0 });
	assert_int_equal(cor_image_find(s, COR_STR("demo:1"), &image, &err), COR_E_NOT_FOUND);
	assert_int_equal(count_below(dir, "layers"), 2);
	assert_int_equal(cor_image_rootfs_unmount(s, "c1", c, &err), 0);
	assert_int_equal(count_below(dir, "layers"), 2);
	assert_int_equal(cor_image_rootfs_unmount(s, "v1", ro, &err), 0);
	assert_int_equal(count_below(dir, "layers"), 0);
	assert_int_equal(count_entries(ro), 0);
	assert_int_equal(cor_image_rootfs_unmount(s, "c1", c, &err), 0);
	assert_true(cor_image_rootfs_unmount(s, "../c1", c, &err) < 0);
	cor_image_store_close(s);
}

/* As many layers as there may be, some of them twice. */
static void test_many_layers(void **state) {
	static struct lab_entry entries[IMAGE_LAYERS_MAX][3];
	static struct lab_layer layers[IMAGE_LAYERS_MAX];
	static char names[IMAGE_LAYERS_MAX][16];
	struct lab_image im = { .layers = layers, .n = IMAGE_LAYERS_MAX, .name = "many:1" };
	struct cor_image_store *s = open_store(fresh("store"), (struct cor_image_config){ 0 });
	const char *c = fresh("container");
	struct cor_image *image;
	struct cor_err err;
	char rootfs[200];

	for (int i = 0; i < IMAGE_LAYERS_MAX; i++) {
		int k = i % 100;

		(void)snprintf(names[i], sizeof(names[i]), "f%d", k);
		entries[i][0] = (struct lab_entry){ names[i], 'f', names[i] };
		entries[i][1] = (struct lab_entry){ "last", 'f', names[i] };
		layers[i] = (struct lab_layer){ entries[i], LAB_PLAIN };
	}
	must_import(s, &im);
	image = must_find(s, "many:1");
	if (cor_image_rootfs_mount(s, image, "c", c, false, &err) < 0)
		fail_msg("%s", err.message);
	(void)snprintf(rootfs, sizeof(rootfs), "%s/rootfs", c);
	assert_string_equal(slurp(rootfs, "f0"), "f0");
	assert_string_equal(slurp(rootfs, "f99"), "f99");
	assert_string_equal(slurp(rootfs, "last"), "f26");
	assert_int_equal(cor_image_rootfs_unmount(s, "c", c, &err), 0);
	cor_image_unref(image);
	cor_image_store_close(s);
}

static void test_deep_removal(void **state) {
	const char *top = fresh("deep");
	struct cor_err err;
	int fd;

	assert_int_equal(mkdir(top, 0755), 0);
	fd = open(top, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 3000; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	assert_int_equal(cor_image_rmtree(AT_FDCWD, top, &err), 0);
	assert_int_equal(access(top, F_OK), -1);
}

/* ---- users ---- */

static void test_users(void **state) {
	static const struct {
		const char *user;
		int result;
		unsigned uid, gid, group0;
		size_t n_groups;
		const char *name, *home;
	} cases[] = {
		{ "", 0, 0, 0, 10, 1, "root", "/root" },
		{ "app", 0, 1000, 1001, 20, 2, "app", "/home/app" },
		{ "1000", 0, 1000, 1001, 20, 2, "app", "/home/app" },
		{ "app:staff", 0, 1000, 20, 30, 1, "app", "/home/app" },
		{ "app:77", 0, 1000, 77, 20, 2, "app", "/home/app" },
		{ "4242", 0, 4242, 0, 0, 0, "", "/" },
		{ "4242:staff", 0, 4242, 20, 0, 0, "", "/" },
		{ "nobody", COR_E_NOT_FOUND },
		{ "app:nogroup", COR_E_NOT_FOUND },
		{ "99999999999", COR_E_NOT_FOUND },
	};
	const char *rootfs = fresh("rootfs");
	struct cor_image_user u;
	struct cor_err err;
	char path[200];
	uid_t uid;

	assert_int_equal(mkdir(rootfs, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/etc", rootfs);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/etc/real", rootfs);
	lab_write_file(path, "# comment\nroot:x:0:0:root:/root:/bin/sh\nbroken\n::\n"
		"app:x:1000:1001::/home/app:/bin/sh", 81);
	(void)snprintf(path, sizeof(path), "%s/etc/passwd", rootfs);
	assert_int_equal(symlink("/etc/real", path), 0);        /* inside the root only */
	(void)snprintf(path, sizeof(path), "%s/etc/group", rootfs);
	lab_write_file(path, "wheel:x:10:root\nstaff:x:20:bob,app\nmore:x:30:app\n"
		"other:x:40:bob\n", 65);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		int r = cor_image_user_resolve(rootfs, cor_str_c(cases[i].user), &u, &err);

		assert_int_equal(r, cases[i].result);
		if (r < 0)
			continue;
		assert_int_equal(u.uid, cases[i].uid);
		assert_int_equal(u.gid, cases[i].gid);
		assert_int_equal(u.n_groups, cases[i].n_groups);
		if (u.n_groups)
			assert_int_equal(u.groups[0], cases[i].group0);
		assert_string_equal(u.name, cases[i].name);
		assert_string_equal(u.home, cases[i].home);
	}
	assert_true(cor_image_user_numeric(COR_STR("12:x"), &uid) && uid == 12);
	assert_false(cor_image_user_numeric(COR_STR("app"), &uid));
	(void)unlink(path);
	assert_int_equal(mkfifo(path, 0644), 0);                /* would hang a careless reader */
	assert_int_equal(cor_image_user_resolve(rootfs, COR_STR("app"), &u, &err), COR_E_INVALID);
}

static int enter_namespace(void **state) {
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", ROOT, "tmpfs", 0, "mode=755") < 0) {
		perror("this test needs root");
		return -1;
	}
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_keyring),
		cmocka_unit_test(test_keyring_bad),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_layer_content),
		cmocka_unit_test(test_bad_layers),
		cmocka_unit_test(test_bad_archives),
		cmocka_unit_test(test_names_and_removal),
		cmocka_unit_test(test_crash_leftovers),
		cmocka_unit_test(test_parallel_imports),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_rootfs),
		cmocka_unit_test(test_many_layers),
		cmocka_unit_test(test_deep_removal),
		cmocka_unit_test(test_users),
	};
	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
