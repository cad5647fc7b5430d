// SPDX-License-Identifier: Apache-2.0
// The format of container logs, the reader with all its options, followers over rotation.
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/container_log.h"

static char dir[64], path[96];

static int make_dir(void **state) {
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/coracle-log-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/0.log", dir);
	return 0;
}

static int remove_entry(const char *p, const struct stat *st, int kind, struct FTW *ftw) {
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(p);
}

static int remove_dir(void **state) {
	(void)state;
	return nftw(dir, remove_entry, 8, FTW_PHYS | FTW_DEPTH);
}

static void append(const char *text) {
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- format ---- */

static void lines(void **state) {
	(void)state;
	static const struct {
		const char *line;
		bool ok, is_stderr, partial;
		const char *text;
	} cases[] = {
		{ "2026-11-24T19:10:44.731231849+00:00 stdout F hi there", true, false, false, "hi there" },
		{ "2026-11-24T19:10:44.731231849Z stderr P half", true, true, true, "half" },
		{ "2026-11-24T19:10:44Z stdout F ", true, false, false, "" },
		{ "2026-11-24T19:10:44Z stdout F", true, false, false, "" },
		{ "2026-11-24T19:10:44Z stdout F:x tagged", true, false, false, "tagged" },
		{ "2026-11-24T19:10:44Z stdin F no", false, false, false, NULL },
		{ "2026-11-24T19:10:44Z stdout X no", false, false, false, NULL },
		{ "2026-11-24T19:10:44Z stdout", false, false, false, NULL },
		{ "now stdout F no", false, false, false, NULL },
		{ "", false, false, false, NULL },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_log_line l;
		assert_int_equal(cor_log_line_parse(cor_str_c(cases[i].line), &l), cases[i].ok);
		if (!cases[i].ok)
			continue;
		assert_int_equal(l.is_stderr, cases[i].is_stderr);
		assert_int_equal(l.partial, cases[i].partial);
		assert_true(cor_str_eq_c(l.text, cases[i].text));
	}
}

/* ---- reading ---- */

struct reading {
	uv_loop_t loop;
	struct cor_log_reader *reader;
	struct cor_buf out;
	bool running, done, failed;
};

static bool is_running(void *arg) {
	return ((struct reading *)arg)->running;
}

static void on_output(void *arg, struct cor_str data) {
	cor_buf_str(&((struct reading *)arg)->out, data);
}

static void on_done(void *arg, const struct cor_err *err) {
	struct reading *r = arg;
	r->done = true;
	r->failed = err != NULL;
}

static void begin(struct reading *r, struct cor_log_options options) {
	struct cor_err err = { 0 };
	*r = (struct reading){ .running = true };
	assert_int_equal(uv_loop_init(&r->loop), 0);
	r->reader = cor_log_reader_new(&(struct cor_log_reader_config){ .loop = &r->loop, .path = path,
		.options = options, .running = is_running, .output = on_output, .done = on_done, .arg = r }, &err);
	if (!r->reader)
		fail_msg("%s", err.message);
}

static void end(struct reading *r) {
	(void)uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_true(r->done);
	assert_false(r->failed);
	assert_int_equal(uv_loop_close(&r->loop), 0);
}

static void assert_out(const struct reading *r, const char *text) {
	if (!cor_str_eq_c(cor_buf_view(&r->out), text))
		fail_msg("got \"%.*s\", not \"%s\"", (int)r->out.n, r->out.p, text);
}

/* Until so many bytes came out. */
static void await(struct reading *r, size_t n) {
	for (int i = 0; i < 10000 && r->out.n < n && !r->done; i++)
		(void)uv_run(&r->loop, UV_RUN_ONCE);
}

static const char sample[] =
	"2026-11-24T10:00:00.100000000+00:00 stdout F one\n"
	"2026-11-24T10:00:01.200000000+00:00 stderr F two\n"
	"2026-11-24T10:00:02.300000001Z stdout P thr\n"
	"2026-11-24T10:00:02.400000000Z stdout F ee\n"
	"not a line of ours\n"
	"2026-11-24T10:00:03.5+01:00 stdout F four\n";

static void options(void **state) {
	(void)state;
	const cor_time at = 1795514400 * COR_SECOND;    /* 2026-11-24T10:00:00Z */
	const struct {
		struct cor_log_options o;
		const char *text;
	} cases[] = {
		{ { .tail_lines = -1 }, "one\ntwo\nthree\nfour\n" },
		{ { .tail_lines = 0 }, "" },
		{ { .tail_lines = 1 }, "four\n" },
		{ { .tail_lines = 3 }, "ee\nfour\n" },
		{ { .tail_lines = 100 }, "one\ntwo\nthree\nfour\n" },
		{ { .tail_lines = -1, .limit_bytes = 6 }, "one\ntw" },
		{ { .tail_lines = -1, .limit_bytes = 8 }, "one\ntwo\n" },
		{ { .tail_lines = -1, .since = at + COR_SECOND + 200000 }, "two\nthree\nfour\n" },
		{ { .tail_lines = -1, .since = at + COR_SECOND + 200001 }, "three\nfour\n" },
		{ { .tail_lines = 2, .timestamps = true },
			"2026-11-24T10:00:03.500000000+01:00 four\n" },
		{ { .tail_lines = 4, .timestamps = true },
			"2026-11-24T10:00:02.300000001Z three\n2026-11-24T10:00:03.500000000+01:00 four\n" },
		{ { .tail_lines = 6, .timestamps = true, .limit_bytes = 35 },
			"2026-11-24T10:00:00.100000000Z one\n" },
	};
	append(sample);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct reading r;
		begin(&r, cases[i].o);
		end(&r);
		assert_out(&r, cases[i].text);
		cor_buf_fini(&r.out);
	}
}

static void missing(void **state) {
	(void)state;
	struct cor_err err = { 0 };
	uv_loop_t loop;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_null(cor_log_reader_new(&(struct cor_log_reader_config){ .loop = &loop, .path = path,
		.output = on_output, .done = on_done }, &err));
	assert_int_equal(err.code, -ENOENT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void follow(void **state) {
	(void)state;
	struct reading r;
	append(sample);
	begin(&r, (struct cor_log_options){ .follow = true, .tail_lines = 1 });
	await(&r, 5);
	assert_out(&r, "four\n");
	/* A line in two writes. */
	append("2026-11-24T10:00:04Z stdout F fi");
	append("ve\n");
	await(&r, 10);
	assert_out(&r, "four\nfive\n");
	/* Rotated: what is written to the old file until the new one is there belongs to it. */
	_cleanup_close_ int old = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	char to[128];
	(void)snprintf(to, sizeof(to), "%s.20261124-100005", path);
	assert_int_equal(rename(path, to), 0);
	const char *six = "2026-11-24T10:00:05Z stdout F six\n";
	assert_int_equal(write(old, six, strlen(six)), (ssize_t)strlen(six));
	append("2026-11-24T10:00:06Z stdout F seven\n");
	await(&r, 20);
	assert_out(&r, "four\nfive\nsix\nseven\n");
	assert_false(r.done);
	/* The end: the last line was written before the container was known to have ended. */
	append("2026-11-24T10:00:07Z stdout F eight\n");
	r.running = false;
	cor_log_reader_poke(r.reader);
	end(&r);
	assert_out(&r, "four\nfive\nsix\nseven\neight\n");
	cor_buf_fini(&r.out);
}

static void paused(void **state) {
	(void)state;
	struct reading r;
	append(sample);
	begin(&r, (struct cor_log_options){ .tail_lines = -1 });
	cor_log_reader_pause(r.reader, true);
	for (int i = 0; i < 10; i++)
		(void)uv_run(&r.loop, UV_RUN_NOWAIT);
	assert_int_equal(r.out.n, 0);
	cor_log_reader_pause(r.reader, false);
	end(&r);
	assert_out(&r, "one\ntwo\nthree\nfour\n");
	cor_buf_fini(&r.out);
}

static void long_log(void **state) {
	(void)state;
	enum { N = 20000 };
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	for (int i = 0; i < N; i++)
		cor_buf_printf(&text, "2026-11-24T10:00:00Z stdout F %08d\n", i);
	cor_buf_byte(&text, 0);
	append(text.p);
	struct reading r;
	begin(&r, (struct cor_log_options){ .tail_lines = -1 });
	end(&r);
	assert_int_equal(r.out.n, N * 9);
	cor_buf_fini(&r.out);
	begin(&r, (struct cor_log_options){ .tail_lines = 15000 });
	end(&r);
	assert_int_equal(r.out.n, 15000 * 9);
	assert_true(cor_str_starts(cor_buf_view(&r.out), COR_STR("00005000\n")));
	cor_buf_fini(&r.out);
}

/* ---- tail for termination messages ---- */

static void tail(void **state) {
	(void)state;
	static const struct {
		size_t lines, bytes;
		const char *text;
	} cases[] = {
		{ 80, 2048, "one\ntwo\nthree\nfour\n" }, { 1, 2048, "four\n" }, { 80, 7, "e\nfour\n" },
	};
	append(sample);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
		assert_int_equal(cor_log_tail(path, cases[i].lines, cases[i].bytes, &out, NULL), 0);
		if (!cor_str_eq_c(cor_buf_view(&out), cases[i].text))
			fail_msg("case %zu: \"%.*s\"", i, (int)out.n, out.p);
	}
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	assert_int_equal(cor_log_tail("/no/such", 1, 1, &out, NULL), -ENOENT);
}

/* ---- rotation ---- */

static void rotation(void **state) {
	(void)state;
	cor_time now = 1795514400 * COR_SECOND;
	char old[128];
	assert_int_equal(cor_log_rotate(path, now, NULL), 0);           /* none yet */
	append("small\n");
	assert_int_equal(cor_log_rotate(path, now, NULL), 0);
	for (int i = 0; i < 7; i++) {
		append("x");
		assert_int_equal(truncate(path, COR_LOG_MAX_BYTES), 0);
		assert_int_equal(cor_log_rotate(path, now + i * COR_SECOND, NULL), 1);
		assert_int_equal(access(path, F_OK), -1);
	}
	/* Four old ones beside the one that the writer makes. */
	for (int i = 0; i < 7; i++) {
		(void)snprintf(old, sizeof(old), "%s.20261124-10000%d", path, i);
		assert_int_equal(access(old, F_OK) == 0, i >= 3);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test_setup_teardown(options, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(missing, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(follow, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(paused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(long_log, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(tail, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(rotation, make_dir, remove_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
