// SPDX-License-Identifier: Apache-2.0
// Pulls: from Debian's docker-registry with and without a login, and from a registry that breaks
// off, lies, hangs and wants tokens. Needs root; all traffic stays in a namespace of the test.

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <uv.h>

#include <cmocka.h>

#include "imagelab.h"
#include "node/image.h"
#include "registrylab.h"

static unsigned serial;

/* A layout with two layers, the second large enough to be cut; other numbers, other content. */
static const char *make_image_with(int number, bool index) {
	static char paths[16][40], big[400001], small[16];
	char *p = paths[serial % 16];
	const struct lab_entry a[] = { { "number", 'f', small }, { 0 } };
	const struct lab_entry b[] = { { "big", 'f', big }, { 0 } };
	const struct lab_layer layers[] = { { a, LAB_GZIP }, { b, LAB_PLAIN } };
	struct lab_image im = { .layers = layers, .n = 2, .config = "\"Cmd\":[\"x\"]",
		.nested_index = index };
	unsigned x = (unsigned)number + 1;

	for (size_t i = 0; i + 1 < sizeof(big); i++)
		big[i] = (char)('a' + ((x = x * 1103515245 + 12345) >> 16) % 26);
	(void)snprintf(small, sizeof(small), "%d", number);
	(void)snprintf(p, sizeof(paths[0]), "/tmp/layout-%u", serial++);
	lab_write_image(&im, p, true);
	return p;
}

static const char *make_image(int number) {
	return make_image_with(number, false);
}

static struct cor_image_store *open_with(struct cor_image_config c) {
	struct cor_image_store *s = NULL;
	struct cor_err err;
	char dir[40];

	(void)snprintf(dir, sizeof(dir), "/tmp/store-%u", serial++);
	c.dir = dir;
	c.retry_base_ms = 5;
	if (cor_image_store_open(&s, &c, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static struct cor_image_store *open_store(void) {
	return open_with((struct cor_image_config){ 0 });
}

static struct cor_image *must_pull(struct cor_image_store *s, const char *ref,
	const struct cor_image_keyring *k) {
	struct cor_image *i = NULL;
	struct cor_err err;

	if (cor_image_pull(s, cor_str_c(ref), k, NULL, &i, &err) < 0)
		fail_msg("%s", err.message);
	return i;
}

static void must_fail(struct cor_image_store *s, const char *ref, const struct cor_image_keyring *k,
	int code, const char *message) {
	struct cor_image *i = NULL;
	struct cor_err err;
	int r = cor_image_pull(s, cor_str_c(ref), k, NULL, &i, &err);

	if (r == 0)
		fail_msg("%s was pulled", ref);
	if (!strstr(err.message, message) || r != code)
		fail_msg("%d %s, expected %d %s", r, err.message, code, message);
}

static const char *ref_of(const struct fake_registry *f) {
	static char ref[64];

	(void)snprintf(ref, sizeof(ref), "127.0.0.1:%d/app:1", f->port);
	return ref;
}

/* ---- the real registry ---- */

static void test_real(void **state) {
	pid_t registry = reglab_start(5000, NULL);
	struct cor_image_store *s = open_store();
	const char *one = make_image(1), *two = make_image(2);
	struct cor_image *i, *again;
	char digest[80], ref[200];

	reglab_push(5000, "team/app", "1", one, NULL);
	i = must_pull(s, "localhost:5000/team/app:1", NULL);
	reglab_digest(one, digest);
	(void)snprintf(ref, sizeof(ref), "localhost:5000/team/app@%s", digest);
	assert_string_equal(cor_image_status_id(i).p, ref);
	assert_string_equal(i->names.p[0].p, "localhost:5000/team/app:1");
	assert_false(i->preloaded);
	assert_true(i->size > 400000);
	assert_string_equal(i->cmd.p[0].p, "x");
	assert_true(cor_image_usable_with(i, NULL));
	again = must_pull(s, "localhost:5000/team/app:1", NULL);
	assert_ptr_equal(i, again);     /* nothing was written: it is the same object */
	cor_image_unref(again);
	again = must_pull(s, ref, NULL);
	assert_ptr_equal(i, again);
	cor_image_unref(again);

	reglab_push(5000, "team/app", "1", two, NULL);
	again = must_pull(s, "localhost:5000/team/app:1", NULL);
	assert_string_not_equal(i->id.p, again->id.p);
	cor_image_unref(i);
	i = must_pull(s, ref, NULL);    /* the old one, by digest, has no name */
	assert_int_equal(i->names.n, 0);
	cor_image_unref(i);
	cor_image_unref(again);
	must_fail(s, "localhost:5000/team/app:2", NULL, COR_E_NOT_FOUND,
		"localhost:5000/team/app:2: not found");
	must_fail(s, "localhost:5000/None", NULL, COR_E_INVALID,
		"couldn't parse image name \"localhost:5000/None\": invalid reference format");
	must_fail(s, "localhost:5999/app:1", NULL, -ECONNREFUSED, "localhost:5999: ");
	cor_image_store_close(s);
	reglab_stop(registry);
}

static void test_real_login(void **state) {
	/* user:secret */
	pid_t registry = reglab_start(5001,
		"user:$2b$05$uq14Z8KsISJYKS.u3vaEmuftyKM6UFxOZDIExG6hEMyWrD/7IOoUe\n");
	struct cor_image_store *s = open_store();
	struct cor_image_keyring *wrong = cor_image_keyring_new(), *right = cor_image_keyring_new();
	struct cor_image *i;
	struct cor_err err;

	reglab_push(5001, "app", "1", make_image(3), "user:secret");
	must_fail(s, "localhost:5001/app:1", NULL, COR_E_UNAUTHORIZED, "pull access denied");
	cor_image_keyring_add_login(wrong, "localhost:5001", "user", "guess");
	must_fail(s, "localhost:5001/app:1", wrong, COR_E_UNAUTHORIZED, "pull access denied");
	/* The more specific login is wrong; the next one is tried. */
	cor_image_keyring_add_login(right, "localhost:5001/app", "user", "guess");
	assert_int_equal(cor_image_keyring_add(right, COR_STR("kubernetes.io/dockerconfigjson"),
		COR_STR("{\"auths\":{\"http://localhost:5001\":{\"auth\":\"dXNlcjpzZWNyZXQ=\"}}}"),
		&err), 0);
	i = must_pull(s, "localhost:5001/app:1", right);
	assert_true(cor_image_usable_with(i, right));
	assert_false(cor_image_usable_with(i, wrong));
	assert_false(cor_image_usable_with(i, NULL));
	cor_image_unref(i);
	must_fail(s, "localhost:5001/app:1", wrong, COR_E_UNAUTHORIZED, "pull access denied");
	cor_image_keyring_free(wrong);
	cor_image_keyring_free(right);
	cor_image_store_close(s);
	reglab_stop(registry);
}

/* ---- the one that misbehaves ---- */

static void test_token(void **state) {
	static struct fake_registry f = { .need_token = true, .need_login = true, .token_uses = 2 };
	struct cor_image_store *s = open_store();
	struct cor_image_keyring *k = cor_image_keyring_new();

	fake_start(&f, make_image(10));
	must_fail(s, ref_of(&f), NULL, COR_E_UNAUTHORIZED, "pull access denied");
	cor_image_keyring_add_login(k, ref_of(&f), "u", "no");
	must_fail(s, ref_of(&f), k, COR_E_UNAUTHORIZED, "pull access denied");
	cor_image_keyring_free(k);
	k = cor_image_keyring_new();
	cor_image_keyring_add_login(k, "127.0.0.1:*", "u", "p");
	atomic_store(&f.tokens, 0);
	cor_image_unref(must_pull(s, ref_of(&f), k));
	assert_true(atomic_load(&f.tokens) >= 2);       /* it ran out on the way */
	cor_image_keyring_free(k);
	cor_image_store_close(s);
	fake_stop(&f);
}

static void test_resume(void **state) {
	static struct fake_registry f = { .cut = 50000, .cuts = 5 };
	struct cor_image_store *s = open_store();
	struct cor_err err;
	int before;

	fake_start(&f, make_image(11));
	cor_image_unref(must_pull(s, ref_of(&f), NULL));
	assert_int_equal(atomic_load(&f.ranges), 5);
	assert_int_equal(cor_image_remove(s, cor_str_c(ref_of(&f)), &err), 0);

	/* One that starts from the beginning each time. */
	atomic_store(&f.no_range, true);
	atomic_store(&f.cuts, 3);
	cor_image_unref(must_pull(s, ref_of(&f), NULL));
	assert_int_equal(cor_image_remove(s, cor_str_c(ref_of(&f)), &err), 0);

	/* It breaks off and is down for longer than we try; the next pull goes on from there. */
	atomic_store(&f.no_range, false);
	atomic_store(&f.ranges, 0);
	atomic_store(&f.cut, 300000);
	atomic_store(&f.cuts, 1);
	atomic_store(&f.busy_after_cut, 4);
	must_fail(s, ref_of(&f), NULL, COR_E_INVALID, "answered 503: come back later");
	before = atomic_load(&f.ranges);
	cor_image_unref(must_pull(s, ref_of(&f), NULL));
	assert_int_equal(atomic_load(&f.ranges), before + 1);
	cor_image_store_close(s);
	fake_stop(&f);
}

static void test_lies(void **state) {
	static struct fake_registry f = { .corrupt = true };
	struct cor_image_store *s = open_store();
	struct cor_image_list list = { 0 };
	struct cor_err err;

	fake_start(&f, make_image(12));
	must_fail(s, ref_of(&f), NULL, COR_E_INVALID, "image config: digest is sha256:");
	atomic_store(&f.corrupt, false);
	atomic_store(&f.corrupt_layers, true);
	must_fail(s, ref_of(&f), NULL, COR_E_INVALID, "the registry sent other bytes");
	assert_int_equal(cor_images_list(s, &list, &err), 0);
	assert_int_equal(list.n, 0);
	atomic_store(&f.corrupt_layers, false);
	cor_image_unref(must_pull(s, ref_of(&f), NULL));        /* nothing false was kept */
	cor_image_store_close(s);
	fake_stop(&f);
}

static void test_busy(void **state) {
	static struct fake_registry f = { .busy = 3 };
	struct cor_image_store *s = open_store();

	fake_start(&f, make_image(13));
	cor_image_unref(must_pull(s, ref_of(&f), NULL));
	atomic_store(&f.busy, 1000);
	must_fail(s, ref_of(&f), NULL, COR_E_INVALID, "answered 503: come back later");
	cor_image_store_close(s);
	fake_stop(&f);
}

static void test_mirrors(void **state) {
	static struct fake_registry mirror, origin;
	struct cor_image_mirror mirrors[2] = { { "docker.io", "http://127.0.0.1:9" } };
	struct cor_image_store *s;
	struct cor_image *i;
	char url[64];

	fake_start(&mirror, make_image(14));
	fake_start(&origin, make_image(15));
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/", mirror.port);
	mirrors[1] = (struct cor_image_mirror){ "docker.io", url };
	s = open_with((struct cor_image_config){ .mirrors = mirrors, .n_mirrors = 2 });
	i = must_pull(s, "busybox", NULL);      /* the first one is down, the second is taken */
	assert_string_equal(i->names.p[0].p, "docker.io/library/busybox:latest");
	cor_image_unref(i);
	cor_image_unref(must_pull(s, ref_of(&origin), NULL));   /* not a mirror of this one */
	assert_int_equal(atomic_load(&mirror.manifests), 1);
	cor_image_store_close(s);

	/* A mirror that is down for everything leads to the registry itself. */
	mirrors[1] = (struct cor_image_mirror){ "*", "http://127.0.0.1:9" };
	s = open_with((struct cor_image_config){ .mirrors = mirrors, .n_mirrors = 2 });
	cor_image_unref(must_pull(s, ref_of(&origin), NULL));
	cor_image_store_close(s);
	fake_stop(&mirror);
	fake_stop(&origin);
}

/* The digest reference is that of the index, as that is what the tag means. */
static void test_index(void **state) {
	static struct fake_registry f;
	struct cor_image_store *s = open_store();
	struct cor_image *i;
	char digest[80];

	fake_start(&f, make_image_with(18, true));
	i = must_pull(s, ref_of(&f), NULL);
	reglab_digest(f.dir, digest);
	assert_non_null(strstr(cor_image_status_id(i).p, digest));
	assert_int_equal(atomic_load(&f.manifests), 2);
	cor_image_unref(i);
	cor_image_unref(must_pull(s, ref_of(&f), NULL));
	assert_int_equal(atomic_load(&f.manifests), 2);         /* a HEAD was enough */
	assert_int_equal(atomic_load(&f.heads), 1);
	cor_image_store_close(s);
	fake_stop(&f);
}

/* ---- pulls on the loop ---- */

struct async {
	struct cor_image_pull pull;
	uv_loop_t *loop;
	int *left;
};

static void on_done(struct cor_image_pull *p) {
	struct async *a = cor_container_of(p, struct async, pull);

	if (--*a->left == 0)
		uv_stop(a->loop);
}

static void on_closed(void *arg) {
	*(bool *)arg = true;
}

static void on_deadline(uv_timer_t *t) {
	fail_msg("nothing happened for 20 s");
}

/* Until all callbacks came; fails when they do not. */
static void run_loop(uv_loop_t *loop) {
	uv_timer_t t;

	(void)uv_timer_init(loop, &t);
	(void)uv_timer_start(&t, on_deadline, 20000, 0);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&t, NULL);
	(void)uv_run(loop, UV_RUN_NOWAIT);
}

static void close_puller(uv_loop_t *loop, struct cor_image_puller *p) {
	bool closed = false;

	cor_image_puller_close(p, on_closed, &closed);
	while (!closed)         /* the harness ends a test that hangs here */
		(void)uv_run(loop, UV_RUN_ONCE);
}

static void test_puller(void **state) {
	static struct fake_registry f = { .stuck = true };
	struct cor_image_store *s = open_store();
	struct async jobs[6] = { 0 };
	struct cor_image_keyring *k = cor_image_keyring_new();
	struct cor_image_puller *p;
	uv_loop_t loop;
	int left = 4;

	fake_start(&f, make_image(16));
	cor_image_keyring_add_login(k, "other", "u", "p");
	(void)uv_loop_init(&loop);
	p = cor_image_puller_new(&loop, s, 2);
	for (int i = 0; i < 6; i++) {
		jobs[i] = (struct async){ .pull.done = on_done, .loop = &loop, .left = &left };
		/* 0 to 3 are one download, 4 has other secrets, 5 is no reference. */
		cor_image_pull_start(p, &jobs[i].pull, i == 5 ? COR_STR("No") :
			cor_str_c(ref_of(&f)), i == 4 ? k : NULL);
	}
	cor_image_pull_cancel(&jobs[1].pull);
	cor_image_pull_cancel(&jobs[4].pull);   /* running, and nobody else waits: it stops */
	while (atomic_load(&f.blobs) == 0)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	atomic_store(&f.stuck, false);
	run_loop(&loop);
	assert_int_equal(left, 0);
	for (int i = 0; i < 6; i++) {
		bool ok = i == 0 || i == 2 || i == 3;

		assert_int_equal(jobs[i].pull.image != NULL, ok);
		if (!ok)
			continue;
		assert_int_equal(jobs[i].pull.result, 0);
		assert_true(jobs[i].pull.duration > 0 && jobs[i].pull.waited > 0);
		assert_ptr_equal(jobs[i].pull.image, jobs[0].pull.image);
	}
	assert_int_equal(jobs[5].pull.result, COR_E_INVALID);
	for (int i = 0; i < 6; i++)
		cor_image_unref(jobs[i].pull.image);
	close_puller(&loop, p);
	assert_int_equal(uv_loop_close(&loop), 0);
	cor_image_keyring_free(k);
	cor_image_store_close(s);
	fake_stop(&f);
}

/* Closing does not wait for a registry that hangs. */
static void test_puller_close(void **state) {
	static struct fake_registry f = { .stuck = true };
	struct cor_image_store *s = open_store();
	struct async job = { .pull.done = on_done };
	struct cor_image_puller *p;
	struct timespec a, b;
	uv_loop_t loop;

	fake_start(&f, make_image(17));
	(void)uv_loop_init(&loop);
	p = cor_image_puller_new(&loop, s, 1);
	cor_image_pull_start(p, &job.pull, cor_str_c(ref_of(&f)), NULL);
	while (atomic_load(&f.blobs) == 0)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	close_puller(&loop, p);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec < 10);
	assert_int_equal(uv_loop_close(&loop), 0);
	cor_image_store_close(s);
	fake_stop(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_real_login),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_mirrors),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_puller),
		cmocka_unit_test(test_puller_close),
	};
	reglab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
