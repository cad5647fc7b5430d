// SPDX-License-Identifier: Apache-2.0
// Unit tests of src/base without the world (test_world.c): memory, slices, buffers, maps, errors,
// time, logging. Tables of cases where there are cases; each row says what it is.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

/* gcc says it by a macro, clang by a feature. */
#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#define S(literal) COR_STR(literal)
#define I(literal) COR_STR_INIT(literal)

static void assert_str(struct cor_str got, const char *want) {
	if (!cor_str_eq_c(got, want))
		fail_msg("got \"%.*s\", want \"%s\"", COR_STR_ARG(got), want);
}

/* ---- str ---- */

static void str_order(void **state) {
	static const struct {
		struct cor_str a, b;
		int order;
	} rows[] = {
		{ I(""), { NULL, 0 }, 0 }, { I("a"), I("a"), 0 }, { I("a"), I("b"), -1 },
		{ I("a"), I("ab"), -1 }, { I("b"), I("ab"), 1 }, { I("\x80"), I("a"), 1 },
		{ I("a\0b"), I("a\0c"), -1 }, { I(""), I("a"), -1 },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		int ab = cor_str_cmp(rows[i].a, rows[i].b), ba = cor_str_cmp(rows[i].b, rows[i].a);
		assert_int_equal((ab > 0) - (ab < 0), rows[i].order);
		assert_int_equal((ba > 0) - (ba < 0), -rows[i].order);
		assert_int_equal(cor_str_eq(rows[i].a, rows[i].b), rows[i].order == 0);
	}
}

static void str_search(void **state) {
	static const struct {
		struct cor_str s, part;
		bool starts, ends, contains;
	} rows[] = {
		{ I("abc"), I(""), true, true, true }, { { NULL, 0 }, I(""), true, true, true },
		{ I("abc"), I("ab"), true, false, true }, { I("abc"), I("bc"), false, true, true },
		{ I("abc"), I("b"), false, false, true },
		{ I("abc"), I("abcd"), false, false, false },
		{ I("abc"), I("abc"), true, true, true },
		{ { NULL, 0 }, I("a"), false, false, false },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		assert_int_equal(cor_str_starts(rows[i].s, rows[i].part), rows[i].starts);
		assert_int_equal(cor_str_ends(rows[i].s, rows[i].part), rows[i].ends);
		assert_int_equal(cor_str_contains(rows[i].s, rows[i].part), rows[i].contains);
	}
	assert_int_equal(cor_str_chr(S("a/b/c"), '/'), 1);
	assert_int_equal(cor_str_chr(S("abc"), '/'), 3);
	assert_int_equal(cor_str_chr((struct cor_str){ NULL, 0 }, '/'), 0);
}

static void str_parts(void **state) {
	assert_str(cor_str_sub(S("hello"), 1, 3), "ell");
	assert_str(cor_str_sub(S("hello"), 3, SIZE_MAX), "lo");
	assert_str(cor_str_sub(S("hello"), 9, 1), "");
	assert_non_null(cor_str_sub(S("hello"), 9, 1).p);
	assert_null(cor_str_sub((struct cor_str){ NULL, 0 }, 0, 1).p);
	assert_str(cor_str_trim(S(" \t a b\r\n")), "a b");
	assert_str(cor_str_trim(S(" \n ")), "");

	static const char *const want[] = { "a", "", "b c", "" };
	struct cor_str rest = S("a,,b c,");
	size_t n = 0;
	while (rest.p) {
		struct cor_str part = cor_str_cut(&rest, ',');
		assert_true(n < cor_countof(want));
		assert_str(part, want[n++]);
	}
	assert_int_equal(n, cor_countof(want));
}

static void str_numbers(void **state) {
	static const struct {
		struct cor_str text;
		bool i64_ok, u64_ok;
		int64_t i64;
		uint64_t u64;
	} rows[] = {
		{ I("0"), true, true, 0, 0 }, { I("-0"), true, false, 0, 0 },
		{ I("007"), true, true, 7, 7 }, { I("-12"), true, false, -12, 0 },
		{ I("9223372036854775807"), true, true, INT64_MAX, INT64_MAX },
		{ I("-9223372036854775808"), true, false, INT64_MIN, 0 },
		{ I("9223372036854775808"), false, true, 0, 9223372036854775808u },
		{ I("-9223372036854775809"), false, false, 0, 0 },
		{ I("18446744073709551615"), false, true, 0, UINT64_MAX },
		{ I("18446744073709551616"), false, false, 0, 0 },
		{ I("99999999999999999999999"), false, false, 0, 0 },
		{ I(""), false, false, 0, 0 }, { I("-"), false, false, 0, 0 },
		{ I("+1"), false, false, 0, 0 }, { I("1 "), false, false, 0, 0 },
		{ I("--1"), false, false, 0, 0 }, { I("1\0"), false, false, 0, 0 },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		int64_t i64 = 77;
		uint64_t u64 = 77;
		assert_int_equal(cor_str_to_i64(rows[i].text, &i64), rows[i].i64_ok);
		assert_int_equal(cor_str_to_u64(rows[i].text, &u64), rows[i].u64_ok);
		assert_true(i64 == (rows[i].i64_ok ? rows[i].i64 : 77));
		assert_true(u64 == (rows[i].u64_ok ? rows[i].u64 : 77));
	}
}

static void str_hash(void **state) {
	/* Every length, so that each way through the tail is taken, at an odd address. */
	char text[65];
	memset(text, 'x', sizeof(text));
	uint64_t seen[64];
	for (size_t n = 0; n < 64; n++) {
		seen[n] = cor_str_hash((struct cor_str){ text + 1, n });
		assert_true(seen[n] == cor_str_hash((struct cor_str){ text, n }));
		for (size_t i = 0; i < n; i++)
			assert_true(seen[i] != seen[n]);
	}
	uint64_t before = cor_str_hash(S("a"));
	cor_str_hash_seed(42);
	uint64_t seeded = cor_str_hash(S("a"));
	assert_true(seeded != before);
	cor_str_hash_seed(42);
	assert_true(cor_str_hash(S("a")) == seeded);
}

static void strmap(void **state) {
	struct cor_kv kv[] = { { S("app"), S("web") }, { S("tier"), S("") } };
	struct cor_strmap m = { kv, cor_countof(kv) }, none = { NULL, 0 };
	assert_str(*cor_strmap_get(&m, S("app")), "web");
	assert_non_null(cor_strmap_get(&m, S("tier")));
	assert_null(cor_strmap_get(&m, S("ap")));
	assert_null(cor_strmap_get(&none, S("app")));
}

/* ---- mem, assert ---- */

static void mem_copies(void **state) {
	_cleanup_free_ char *a = cor_str_dup_c(cor_str_sub(S("hello"), 0, 4));
	_cleanup_free_ char *b = cor_str_dup_c((struct cor_str){ NULL, 0 });
	_cleanup_free_ char *c = cor_asprintf("%d-%s", 7, "x");
	_cleanup_free_ char *d = cor_calloc(0, 0);
	assert_string_equal(a, "hell");
	assert_string_equal(b, "");
	assert_string_equal(c, "7-x");
	assert_non_null(d);
	char *taken = cor_take(a);
	assert_null(a);
	free(taken);
	int fd = 5;
	assert_int_equal(cor_take_fd(fd), 5);
	assert_int_equal(fd, -1);
}

static void fail_an_assertion(void) { cor_assert(1 + 1 == 3); }
static void want_too_much(void) { free(cor_calloc(SIZE_MAX / 2, 4)); }
static void say_things(void) {
	cor_debug("not shown");
	cor_error("a\nb\x1b[31m %s", "\xc3\xa4");
}

/* Runs fn in a child and returns its wait status and what it wrote to stderr. */
static int in_child(void (*fn)(void), char *text, size_t size) {
	int pipe_fd[2], status;
	assert_int_equal(pipe(pipe_fd), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int s = 1; s < 32; s++)    /* cmocka would take the abort for its own */
			(void)signal(s, SIG_DFL);
		(void)dup2(pipe_fd[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	(void)close(pipe_fd[1]);
	size_t n = 0;
	for (ssize_t got; (got = read(pipe_fd[0], text + n, size - 1 - n)) > 0;)
		n += (size_t)got;
	text[n] = '\0';
	(void)close(pipe_fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void fatal_lines(void **state) {
	char text[2048];
	int status = in_child(fail_an_assertion, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "assertion failed: 1 + 1 == 3 ("));
	assert_non_null(strstr(text, "test_base.c:"));
#ifndef __SANITIZE_ADDRESS__
	status = in_child(want_too_much, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "out of memory"));
#else
	(void)want_too_much;    /* ASAN ends the process with its own words */
#endif
}

static void log_line(void **state) {
	char text[512];
	cor_log_init("server", COR_LOG_INFO);
	assert_int_equal(in_child(say_things, text, sizeof(text)), 0);
	/* One line, in which nothing of the message can pass for another one. */
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	cor_time t;
	char *space = strchr(text, ' ');
	assert_non_null(space);
	assert_true(cor_time_parse((struct cor_str){ text, (size_t)(space - text) }, &t));
	assert_string_equal(space, " ERROR server: a\\x0ab\\x1b[31m \xc3\xa4\n");
}

/* ---- arena ---- */

static void arena_allocations(void **state) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	for (int round = 0; round < 3; round++) {
		/* Objects and text in turns and in all sizes, over several blocks: all zeroed and
		 * aligned, and none overlaps another. */
		unsigned char *objects[300];
		char *texts[300];
		for (size_t i = 0; i < 300; i++) {
			objects[i] = cor_arena_alloc(a, i);
			texts[i] = cor_arena_bytes(a, i + 1);
			assert_non_null(objects[i]);
			assert_int_equal((uintptr_t)objects[i] % 16, 0);
			for (size_t j = 0; j < i; j++)
				assert_int_equal(objects[i][j], 0);
			memset(objects[i], (int)(i & 0xff), i);
			memset(texts[i], (int)(~i & 0xff), i + 1);
		}
		for (size_t i = 0; i < 300; i++) {
			for (size_t j = 0; j < i; j++)
				assert_int_equal(objects[i][j], i & 0xff);
			for (size_t j = 0; j < i + 1; j++)
				assert_int_equal((unsigned char)texts[i][j], ~i & 0xff);
		}
		assert_true(cor_arena_used(a) >= 2 * 300 * 299 / 2);
		assert_non_null(cor_arena_alloc(a, 1 << 20));
		assert_false(cor_arena_failed(a));
		cor_arena_reset(a);
		assert_int_equal(cor_arena_used(a), 0);
	}
}

static void arena_reuse(void **state) {
	/* After a reset an object lies where text was before: it is zero all the same. */
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	for (int round = 0; round < 3; round++) {
		const char *p = cor_arena_alloc(a, 800);
		for (int i = 0; i < 4; i++) {
			for (size_t j = 0; j < 800; j++)
				assert_int_equal(p[j], 0);
			p = cor_arena_alloc(a, 800);
		}
		cor_arena_reset(a);
		for (int i = 0; i < 4; i++)
			memset(cor_arena_bytes(a, 900), 0xff, 900);
		cor_arena_reset(a);
	}
}

static void arena_text(void **state) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_str s = cor_arena_str(a, S("a\0b"));
	assert_int_equal(s.n, 3);
	assert_memory_equal(s.p, "a\0b", 4);
	assert_null(cor_arena_str(a, (struct cor_str){ NULL, 0 }).p);
	assert_non_null(cor_arena_str(a, S("")).p);
	assert_string_equal(cor_arena_cstr(a, cor_str_sub(S("hello"), 0, 2)), "he");
	assert_string_equal(cor_arena_cstr(a, (struct cor_str){ NULL, 0 }), "");
	assert_str(cor_arena_printf(a, "%s=%d", "x", 3), "x=3");
	for (int width = 250; width < 260; width++) {   /* around the size of its first try */
		struct cor_str wide = cor_arena_printf(a, "%*d", width, 1);
		assert_int_equal(wide.n, width);
		assert_int_equal(wide.p[width - 1], '1');
		assert_int_equal(wide.p[width], '\0');
	}
}

static void arena_limit(void **state) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(1000);
	struct { int *p; size_t n; } list = { 0 };
	assert_non_null(cor_arena_alloc(a, 992));
	assert_non_null(cor_arena_bytes(a, 8));
	assert_int_equal(cor_arena_used(a), 1000);
	assert_non_null(cor_arena_alloc(a, 0));
	assert_false(cor_arena_failed(a));
	assert_null(cor_arena_bytes(a, 1));
	assert_true(cor_arena_failed(a));
	/* It stays failed, also for what would fit, whatever is asked. */
	assert_null(cor_arena_alloc(a, 0));
	assert_null(cor_arena_str(a, S("x")).p);
	assert_null(cor_arena_printf(a, "x").p);
	assert_null(cor_arena_cstr(a, S("x")));
	assert_null(cor_arena_push(a, &list));
	assert_int_equal(list.n, 0);
	cor_arena_reset(a);
	assert_false(cor_arena_failed(a));
	assert_non_null(cor_arena_alloc(a, 900));
	assert_null(cor_arena_alloc(a, SIZE_MAX));
	cor_arena_reset(a);
	assert_null(cor_arena_array(a, char, SIZE_MAX - 8));
	cor_arena_reset(a);
	assert_null(cor_arena_array(a, int64_t, SIZE_MAX / 8 + 2));     /* 8 after the overflow */
	assert_true(cor_arena_failed(a));
	cor_arena_free(NULL);
}

static void arena_push(void **state) {
	/* An object after every so many elements: the list grows in place, moves, or does both. */
	static const size_t periods[] = { SIZE_MAX, 1, 6 };
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	for (size_t k = 0; k < cor_countof(periods); k++) {
		struct { struct cor_kv *p; size_t n; } list = { 0 };
		for (size_t i = 0; i < 1000; i++) {
			struct cor_kv *kv = cor_arena_push(a, &list);
			assert_non_null(kv);
			assert_ptr_equal(kv, &list.p[i]);
			assert_true(kv->key.p == NULL && kv->value.n == 0);
			kv->key = cor_arena_printf(a, "k%zu", i);
			kv->value.n = i;
			if (i % periods[k] == periods[k] - 1)
				memset(cor_arena_alloc(a, 16), 0xff, 16);
		}
		assert_int_equal(list.n, 1000);
		for (size_t i = 0; i < list.n; i++) {
			char key[32];
			(void)snprintf(key, sizeof(key), "k%zu", i);
			assert_str(list.p[i].key, key);
			assert_int_equal(list.p[i].value.n, i);
		}
		/* Elements taken off the end come back zeroed. */
		list.n = 900;
		assert_int_equal(cor_arena_push(a, &list)->value.n, 0);
		assert_int_equal(list.p[899].value.n, 899);
		cor_arena_reset(a);
	}
}

static char dispose_order[8];

static void note_dispose(void *arg) {
	size_t n = strlen(dispose_order);
	dispose_order[n] = *(const char *)arg;
}

static void arena_dispose(void **state) {
	struct cor_arena *a = cor_arena_new(16);
	memset(dispose_order, 0, sizeof(dispose_order));
	cor_arena_on_dispose(a, note_dispose, "1");
	cor_arena_on_dispose(a, note_dispose, "2");
	assert_null(cor_arena_alloc(a, 17));
	cor_arena_on_dispose(a, note_dispose, "3");     /* also when the arena has failed */
	assert_string_equal(dispose_order, "");
	cor_arena_reset(a);
	assert_string_equal(dispose_order, "321");
	cor_arena_on_dispose(a, note_dispose, "4");
	cor_arena_free(a);
	assert_string_equal(dispose_order, "3214");
}

/* ---- buf ---- */

static void buf_contents(void **state) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	assert_int_equal(cor_buf_view(&b).n, 0);
	cor_buf_add(&b, NULL, 0);
	cor_buf_str(&b, (struct cor_str){ NULL, 0 });
	cor_buf_c(&b, "ab");
	cor_buf_byte(&b, '|');
	cor_buf_str(&b, S("cd"));
	cor_buf_printf(&b, "|%d|%s|", 42, "x");
	cor_buf_i64(&b, INT64_MIN);
	cor_buf_byte(&b, '|');
	cor_buf_i64(&b, 0);
	cor_buf_byte(&b, '|');
	cor_buf_i64(&b, INT64_MAX);
	assert_str(cor_buf_view(&b), "ab|cd|42|x|-9223372036854775808|0|9223372036854775807");
	cor_buf_consume(&b, 6);
	assert_true(cor_str_starts(cor_buf_view(&b), S("42|x|")));
	cor_buf_consume(&b, b.n);
	assert_int_equal(b.n, 0);
	for (int i = 0; i < 10000; i++)
		cor_buf_printf(&b, "%04d", i);
	assert_int_equal(b.n, 40000);
	assert_memory_equal(b.p + 4 * 1234, "1234", 4);
	char *room = cor_buf_reserve(&b, 100000);
	assert_ptr_equal(room, b.p + b.n);
	assert_true(b.cap - b.n >= 100000);
	assert_false(b.failed);
}

static void add_text(struct cor_buf *b) { cor_buf_c(b, "12345"); }
static void add_printf(struct cor_buf *b) { cor_buf_printf(b, "%d", 12345); }
static void add_number(struct cor_buf *b) { cor_buf_i64(b, 12345); }
static void add_reserved(struct cor_buf *b) {
	char *p = cor_buf_reserve(b, 5);
	if (p) {
		memcpy(p, "12345", 5);
		b->n += 5;
	}
}

static void buf_limit(void **state) {
	static void (*const adders[])(struct cor_buf *) = {
		add_text, add_printf, add_number, add_reserved,
	};
	for (size_t i = 0; i < cor_countof(adders); i++) {
		_cleanup_buf_ struct cor_buf b = { .limit = 14 };
		adders[i](&b);
		adders[i](&b);
		assert_false(b.failed);
		assert_true(b.cap <= 14);
		adders[i](&b);          /* the fifteenth byte */
		assert_true(b.failed);
		assert_str(cor_buf_view(&b), "1234512345");
		cor_buf_byte(&b, 'x');  /* would fit, but the failure is sticky */
		cor_buf_printf(&b, "x");
		assert_null(cor_buf_reserve(&b, 1));
		assert_str(cor_buf_view(&b), "1234512345");
		cor_buf_clear(&b);
		cor_buf_c(&b, "123456789");
		adders[i](&b);          /* exactly full */
		assert_false(b.failed);
		assert_str(cor_buf_view(&b), "12345678912345");
		cor_buf_fini(&b);
		assert_int_equal(b.limit, 14);
		cor_buf_c(&b, "again");
		assert_str(cor_buf_view(&b), "again");
	}
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "x");
	assert_null(cor_buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
}

/* ---- map ---- */

static struct cor_str key_of(char *text, size_t i) {
	return (struct cor_str){ text, (size_t)snprintf(text, 32, "key-%zu", i) };
}

static void map_model(void **state) {
	/* Random puts and removes beside an array that cannot be wrong. */
	enum { KEYS = 500 };
	static int values[KEYS];
	bool model[KEYS] = { 0 };
	size_t live = 0;
	struct cor_map m = { 0 };
	char text[32];
	uint64_t chance = 88172645463325252;
	for (int step = 0; step < 50000; step++) {
		chance ^= chance << 13;
		chance ^= chance >> 7;
		chance ^= chance << 17;
		size_t i = chance % KEYS;
		void *had = model[i] ? &values[i] : NULL;
		bool put = (chance >> 32) % 100 < (step / 10000 % 2 ? 30u : 60u);
		assert_ptr_equal(cor_map_get(&m, key_of(text, i)), had);
		assert_ptr_equal(put ? cor_map_put(&m, key_of(text, i), &values[i])
				     : cor_map_remove(&m, key_of(text, i)), had);
		live += (size_t)put - (size_t)model[i];
		model[i] = put;
		assert_int_equal(m.n, live);
	}
	assert_true(m.cap <= 4 * KEYS);         /* graves are cleared away */
	for (size_t i = 0; i < KEYS; i++)
		assert_ptr_equal(cor_map_get(&m, key_of(text, i)), model[i] ? &values[i] : NULL);
	cor_map_fini(&m);
	assert_null(cor_map_get(&m, S("key-1")));
}

static void map_remove_while_iterating(void **state) {
	static int values[1000];
	struct cor_map m = { 0 };
	char text[32];
	for (size_t i = 0; i < 1000; i++)
		assert_null(cor_map_put(&m, key_of(text, i), &values[i]));
	for (int round = 0; round < 2; round++) {
		size_t it = 0, seen = 0;
		struct cor_str key;
		void *value;
		memset(values, 0, sizeof(values));
		while (cor_map_next(&m, &it, &key, &value)) {
			size_t i = (size_t)((int *)value - values);
			struct cor_str same = key_of(text, i);
			assert_true(cor_str_eq(key, same));
			assert_int_equal(values[i]++, 0);       /* once each */
			seen++;
			if (i % 2)
				assert_ptr_equal(cor_map_remove(&m, key), value);
		}
		assert_int_equal(seen, round == 0 ? 1000 : 500);
		assert_int_equal(m.n, 500);
	}
	cor_map_fini(&m);
}

static void map_keys(void **state) {
	int a, b;
	struct cor_map m = { 0 };
	size_t it = 0;
	assert_null(cor_map_remove(&m, S("x")));
	assert_false(cor_map_next(&m, &it, NULL, NULL));
	char key[] = "mutable";
	assert_null(cor_map_put(&m, cor_str_c(key), &a));
	key[0] = 'X';           /* the map has its own copy */
	assert_ptr_equal(cor_map_get(&m, S("mutable")), &a);
	assert_ptr_equal(cor_map_put(&m, S("mutable"), &b), &a);
	assert_null(cor_map_put(&m, S(""), &a));
	assert_ptr_equal(cor_map_get(&m, (struct cor_str){ NULL, 0 }), &a);
	assert_null(cor_map_put(&m, S("a\0b"), &a));
	assert_null(cor_map_get(&m, S("a\0c")));
	assert_int_equal(m.n, 3);
	cor_map_fini(&m);
	cor_map_fini(&m);
}

/* ---- err ---- */

static void err_reasons(void **state) {
	static const struct {
		enum cor_reason reason;
		const char *text;
		int http;
	} rows[] = {
		{ COR_REASON_UNKNOWN, "", 500 }, { COR_REASON_UNAUTHORIZED, "Unauthorized", 401 },
		{ COR_REASON_NOT_FOUND, "NotFound", 404 }, { COR_REASON_INVALID, "Invalid", 422 },
		{ COR_REASON_ALREADY_EXISTS, "AlreadyExists", 409 },
		{ COR_REASON_EXPIRED, "Expired", 410 }, { COR_REASON_GONE, "Gone", 410 },
		{ COR_REASON_SERVER_TIMEOUT, "ServerTimeout", 500 },
		{ COR_REASON_TIMEOUT, "Timeout", 504 },
		{ COR_REASON_TOO_MANY_REQUESTS, "TooManyRequests", 429 },
		{ COR_REASON_SERVICE_UNAVAILABLE, "ServiceUnavailable", 503 },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		assert_string_equal(cor_reason_to_string(rows[i].reason), rows[i].text);
		assert_int_equal(cor_reason_http(rows[i].reason), rows[i].http);
	}
	for (enum cor_reason r = 0; r < COR_REASON_MAX; r++) {
		struct cor_err err;
		assert_int_equal(cor_reason_from_string(cor_reason_to_string(r)), r);
		int code = cor_fail_status(&err, r, "no");
		assert_true(code < 0);
		assert_int_equal(code, err.code);
		assert_int_equal(cor_err_http(&err), cor_reason_http(r));
	}
	assert_int_equal(cor_reason_from_string("Nonsense"), COR_REASON_UNKNOWN);
	assert_string_equal(cor_reason_to_string(COR_REASON_MAX), "");
}

static void err_http(void **state) {
	static const struct {
		struct cor_err err;
		int http;
	} rows[] = {
		{ { .code = COR_E_NOT_FOUND }, 404 }, { { .code = COR_E_LIMIT }, 413 },
		{ { .code = COR_E_PARSE }, 400 }, { { .code = -EIO }, 500 },
		{ { .code = COR_E_NOT_FOUND, .reason = COR_REASON_GONE }, 410 },
		{ { .code = COR_E_NOT_FOUND, .reason = COR_REASON_GONE, .http = 418 }, 418 },
	};
	for (size_t i = 0; i < cor_countof(rows); i++)
		assert_int_equal(cor_err_http(&rows[i].err), rows[i].http);
}

static void err_wrapping(void **state) {
	struct cor_err err = { .http = 1, .retry_after_s = 9, .field = "old" };
	assert_int_equal(cor_fail(&err, COR_E_PARSE, "at %d", 7), COR_E_PARSE);
	assert_string_equal(err.message, "at 7");
	assert_string_equal(err.field, "");
	assert_int_equal(err.http, 0);
	assert_int_equal(err.retry_after_s, 0);
	assert_int_equal(cor_wrap(&err, "file %s", "x.yaml"), COR_E_PARSE);
	assert_int_equal(cor_wrap(&err, "apply"), COR_E_PARSE);
	assert_string_equal(err.message, "apply: file x.yaml: at 7");
	/* Its own text as an argument. */
	assert_int_equal(cor_fail(&err, COR_E_INTERNAL, "<%s>", err.message), COR_E_INTERNAL);
	assert_string_equal(err.message, "<apply: file x.yaml: at 7>");

	assert_int_equal(cor_fail_errno(&err, ENOENT, "open %s", "/x"), -ENOENT);
	assert_string_equal(err.message, "open /x: No such file or directory");
	assert_int_equal(cor_fail_errno(&err, 0, "odd"), -EIO);
	assert_int_equal(cor_fail_errno(&err, -EPERM, "negative"), -EPERM);

	assert_int_equal(cor_fail(NULL, COR_E_LIMIT, "nobody listens"), COR_E_LIMIT);
	assert_int_equal(cor_fail_errno(NULL, ENOENT, "nobody"), -ENOENT);
	assert_int_equal(cor_fail_status(NULL, COR_REASON_NOT_FOUND, "nobody"), COR_E_NOT_FOUND);
	assert_true(cor_wrap(NULL, "nobody") < 0);
}

static void err_long_text(void **state) {
	/* Cut at every phase of characters of one to four bytes: never inside of one. */
	static const char *const characters[] = {
		"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x9b\xb6",
	};
	struct cor_err err;
	char text[1200];
	for (size_t c = 0; c < cor_countof(characters); c++) {
		size_t len = strlen(characters[c]);
		for (size_t i = 0; i < sizeof(text) / len; i++)
			memcpy(text + i * len, characters[c], len);
		text[sizeof(text) / len * len - 1] = '\0';
		for (int pad = 0; pad < 5; pad++) {
			assert_int_equal(cor_fail(&err, -1, "%*s%s", pad, "", text), -1);
			size_t n = strlen(err.message);
			assert_true(n < sizeof(err.message) && n > sizeof(err.message) - 6);
			assert_int_equal((n - (size_t)pad) % len, 0);
			assert_int_equal(cor_wrap(&err, "p"), -1);
			n = strlen(err.message);
			assert_true(n < sizeof(err.message) && n > sizeof(err.message) - 6);
			assert_int_equal((n - 3 - (size_t)pad) % len, 0);
		}
	}
}

/* ---- time ---- */

static void time_texts(void **state) {
	static const struct {
		cor_time t;
		const char *plain, *micro;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z" },
		{ 1795546564123456, "2026-11-24T18:56:04Z", "2026-11-24T18:56:04.123456Z" },
		{ 951782400000001, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000001Z" },
		{ 4107542399999999, "2100-02-28T23:59:59Z", "2100-02-28T23:59:59.999999Z" },
		{ 4107542400000000, "2100-03-01T00:00:00Z", "2100-03-01T00:00:00.000000Z" },
		{ -1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999999Z" },
		{ -62135596800 * COR_SECOND,
			"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z" },
		{ 253402300799 * COR_SECOND,
			"9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z" },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		char text[COR_TIME_TEXT_MAX];
		cor_time t;
		assert_int_equal(cor_time_format(rows[i].t, false, text), strlen(rows[i].plain));
		assert_string_equal(text, rows[i].plain);
		(void)cor_time_format(rows[i].t, true, text);
		assert_string_equal(text, rows[i].micro);
		assert_true(cor_time_parse(cor_str_c(text), &t));
		assert_true(t == rows[i].t);
	}
	/* Every noon of 600 years there and back, and each a day after the last. */
	char last[COR_TIME_TEXT_MAX] = "";
	for (cor_time day = -135000; day < 84000; day++) {
		char text[COR_TIME_TEXT_MAX];
		cor_time t, want = (day * 24 + 12) * COR_HOUR;
		(void)cor_time_format(want, false, text);
		assert_true(cor_time_parse(cor_str_c(text), &t) && t == want);
		assert_true(strcmp(last, text) < 0);
		memcpy(last, text, sizeof(last));
	}
	char text[COR_TIME_TEXT_MAX];
	assert_true(cor_time_format(INT64_MAX, true, text) < sizeof(text));
	assert_true(cor_time_format(INT64_MIN, true, text) < sizeof(text));
}

static void time_parsing(void **state) {
	static const struct {
		const char *text;
		bool ok;
		cor_time t;
	} rows[] = {
		{ "1970-01-01T00:00:01.5Z", true, 1500000 },
		{ "1970-01-01T00:00:00.123456789Z", true, 123456 },
		{ "1970-01-01T01:00:00+01:00", true, 0 },
		{ "1969-12-31T18:30:00-05:30", true, 0 },
		{ "1970-01-01T00:00:00.1234567890Z", false, 0 },
		{ "1970-01-01T00:00:00.Z", false, 0 },
		{ "1970-01-01T00:00:00", false, 0 }, { "1970-01-01", false, 0 }, { "", false, 0 },
		{ "1970-01-01 00:00:00Z", false, 0 }, { "1970-01-01t00:00:00z", false, 0 },
		{ "1970-1-01T00:00:00Z", false, 0 }, { "1970-01-01T00:00:00ZZ", false, 0 },
		{ "1970-02-29T00:00:00Z", false, 0 }, { "1900-02-29T00:00:00Z", false, 0 },
		{ "1970-13-01T00:00:00Z", false, 0 }, { "1970-00-01T00:00:00Z", false, 0 },
		{ "1970-01-32T00:00:00Z", false, 0 }, { "1970-01-00T00:00:00Z", false, 0 },
		{ "1970-01-01T24:00:00Z", false, 0 }, { "1970-01-01T00:60:00Z", false, 0 },
		{ "1970-01-01T00:00:60Z", false, 0 }, { "1970-01-01T00:00:00+24:00", false, 0 },
		{ "1970-01-01T00:00:00+0100", false, 0 }, { "-970-01-01T00:00:00Z", false, 0 },
		{ "197x-01-01T00:00:00Z", false, 0 }, { "1970-01-01T00:00:00 01:00", false, 0 },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		cor_time t = 77;
		if (cor_time_parse(cor_str_c(rows[i].text), &t) != rows[i].ok)
			fail_msg("%s", rows[i].text);
		assert_true(t == (rows[i].ok ? rows[i].t : 77));
	}
}

static void durations(void **state) {
	static const struct {
		const char *in;
		cor_time d;
		const char *out;        /* NULL: in is malformed */
	} rows[] = {
		{ "0", 0, "0s" }, { "0s", 0, "0s" }, { "-0", 0, "0s" },
		{ "+5s", 5 * COR_SECOND, "5s" },
		{ "1h5m3.5s", 3903500000, "1h5m3.5s" }, { "60s", COR_MINUTE, "1m0s" },
		{ "1h", COR_HOUR, "1h0m0s" }, { "1.5h", 90 * COR_MINUTE, "1h30m0s" },
		{ "100ms", 100 * COR_MS, "100ms" }, { "1500us", 1500, "1.5ms" },
		{ "2\xc2\xb5s", 2, "2\xc2\xb5s" }, { "2\xce\xbcs", 2, "2\xc2\xb5s" },
		{ "1999ns", 1, "1\xc2\xb5s" }, { ".5s", 500000, "500ms" }, { "1.s", 1000000, "1s" },
		{ "-1m30s", -90 * COR_SECOND, "-1m30s" }, { "3s2h", 7203 * COR_SECOND, "2h0m3s" },
		{ "1.000001s", 1000001, "1.000001s" },
		{ "0.3333333333333333333333h", 1199999999, "19m59.999999s" },
		{ "2562047h47m16.854775807s", 9223372036854775, "2562047h47m16.854775s" },
		{ "2562048h", 0, NULL }, { "99999999999999999999s", 0, NULL }, { "", 0, NULL },
		{ "-", 0, NULL }, { "5", 0, NULL }, { "s", 0, NULL }, { ".s", 0, NULL },
		{ "1d", 0, NULL }, { "1 s", 0, NULL }, { "1s ", 0, NULL }, { "--1s", 0, NULL },
		{ "1..5s", 0, NULL }, { "1e3s", 0, NULL }, { "1s-1s", 0, NULL },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		char text[COR_TIME_TEXT_MAX];
		cor_time d = 77;
		if (cor_duration_parse(cor_str_c(rows[i].in), &d) != (rows[i].out != NULL))
			fail_msg("%s", rows[i].in);
		assert_true(d == (rows[i].out ? rows[i].d : 77));
		if (!rows[i].out)
			continue;
		assert_int_equal(cor_duration_format(d, text), strlen(rows[i].out));
		assert_string_equal(text, rows[i].out);
	}
	char text[COR_TIME_TEXT_MAX];
	assert_true(cor_duration_format(INT64_MIN, text) < sizeof(text));
}

static void ages(void **state) {
	enum { M = 60, H = 3600, D = 86400, Y = 365 * D };
	static const struct {
		int64_t s;
		const char *text;
	} rows[] = {
		{ -2, "<invalid>" }, { -1, "0s" }, { 0, "0s" }, { 5, "5s" }, { 119, "119s" },
		{ 120, "2m" }, { 190, "3m10s" }, { 300, "5m" }, { 10 * M - 1, "9m59s" },
		{ 10 * M, "10m" }, { 10 * M + 59, "10m" }, { 3 * H - 1, "179m" }, { 3 * H, "3h" },
		{ 3 * H + M, "3h1m" }, { 8 * H - 1, "7h59m" }, { 8 * H, "8h" }, { 26 * H, "26h" },
		{ 48 * H - 1, "47h" }, { 48 * H, "2d" }, { 5 * D + 3 * H, "5d3h" },
		{ 8 * D - 1, "7d23h" }, { 8 * D, "8d" }, { 730 * D - 1, "729d" }, { 2 * Y, "2y" },
		{ 2 * Y + 10 * D, "2y10d" }, { 8 * Y - 1, "7y364d" }, { 8 * Y, "8y" },
		{ (int64_t)100 * Y, "100y" },
	};
	for (size_t i = 0; i < cor_countof(rows); i++) {
		char text[COR_TIME_TEXT_MAX];
		assert_int_equal(cor_duration_human(rows[i].s * COR_SECOND, text),
			strlen(rows[i].text));
		assert_string_equal(text, rows[i].text);
	}
	char text[COR_TIME_TEXT_MAX];
	(void)cor_duration_human(-1999999, text);       /* cut towards 0 first */
	assert_string_equal(text, "0s");
	assert_true(cor_duration_human(INT64_MAX, text) < sizeof(text));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(str_order), cmocka_unit_test(str_search),
		cmocka_unit_test(str_parts), cmocka_unit_test(str_numbers),
		cmocka_unit_test(str_hash), cmocka_unit_test(strmap),
		cmocka_unit_test(mem_copies), cmocka_unit_test(fatal_lines),
		cmocka_unit_test(log_line), cmocka_unit_test(arena_allocations),
		cmocka_unit_test(arena_reuse), cmocka_unit_test(arena_text),
		cmocka_unit_test(arena_limit),
		cmocka_unit_test(arena_push), cmocka_unit_test(arena_dispose),
		cmocka_unit_test(buf_contents), cmocka_unit_test(buf_limit),
		cmocka_unit_test(map_model), cmocka_unit_test(map_remove_while_iterating),
		cmocka_unit_test(map_keys), cmocka_unit_test(err_reasons),
		cmocka_unit_test(err_http), cmocka_unit_test(err_wrapping),
		cmocka_unit_test(err_long_text), cmocka_unit_test(time_texts),
		cmocka_unit_test(time_parsing), cmocka_unit_test(durations), cmocka_unit_test(ages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
