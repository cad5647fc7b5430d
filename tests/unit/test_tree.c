// SPDX-License-Identifier: Apache-2.0
// The generic tree: parsing (and what it refuses), printing, access, building, equality.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/tree.h"

struct fixture {
	struct cor_arena *arena;
};

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	f->arena = cor_arena_new(0);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	cor_arena_free(f->arena);
	free(f);
	return 0;
}

static struct cor_node *parse(struct fixture *f, const char *json) {
	struct cor_err err = { 0 };
	struct cor_node *n = cor_node_parse(f->arena, cor_str_c(json), NULL, &err);
	if (!n)
		fail_msg("%s: %s", json, err.message);
	return n;
}

static void expect_print(struct fixture *f, const struct cor_node *n, int flags, const char *want) {
	struct cor_str got = cor_node_to_str(f->arena, n, flags);
	if (!cor_str_eq_c(got, want))
		fail_msg("want %s\n got %.*s", want, COR_STR_ARG(got));
}

static void test_round_trip(void **state) {
	static const struct {
		const char *in, *out;   /* out NULL: the same */
	} cases[] = {
		{ "null", NULL }, { "true", NULL }, { "false", NULL }, { "0", NULL }, { "-0", NULL },
		{ "-12.5e+10", NULL }, { "1E9", NULL }, { "123456789012345678901234567890", NULL },
		{ "[]", NULL }, { "{}", NULL }, { "[[],{}]", NULL }, { "\"\"", NULL },
		{ " \t\r\n{ \"b\" : 1 ,\n\"a\":[ 1 , 2 ] } ", "{\"b\":1,\"a\":[1,2]}" },
		{ "\"a\\/b\\\"\\\\\\b\\f\\n\\r\\t\"", "\"a/b\\\"\\\\\\b\\f\\n\\r\\t\"" },
		{ "\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "\"<a>&\"", "\"\\u003ca\\u003e\\u0026\"" },
		{ "\"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\"", "\"\\u2028\\u2029\xe2\x80\xaa\"" },
		{ "\"\\u0001\x7f\"", "\"\\u0001\x7f\"" },
		{ "\"\\ud800\\u0041\"", "\"\xef\xbf\xbd""A\"" },
		{ "\"\\udc00x\"", "\"\xef\xbf\xbdx\"" },
		{ "\"\\ud800\\ud800\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\"a\xff\xc0\x80\xed\xa0\x80z\"",
		  "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"" },
		{ "\"cut\xe2\x82\"", "\"cut\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "{\"\":1,\"a\":2,\"a\":3}", "{\"\":1,\"a\":3}" },
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < cor_countof(cases); i++)
		expect_print(f, parse(f, cases[i].in), COR_PRINT_PLAIN,
			cases[i].out ? cases[i].out : cases[i].in);
}

static void test_malformed(void **state) {
	static const struct {
		const char *in, *message;
	} cases[] = {
		{ "", "byte 0: unexpected end of input, a value was expected" },
		{ "  ", "byte 2: unexpected end of input, a value was expected" },
		{ "{", "byte 1: unexpected end of input, a key in quotes was expected" },
		{ "{a:1}", "byte 1: unexpected 'a', a key in quotes was expected" },
		{ "{\"a\" 1}", "byte 5: unexpected '1', ':' was expected after a key" },
		{ "{\"a\":}", "byte 5: unexpected '}', a value was expected" },
		{ "{\"a\":1,}", "byte 7: unexpected '}', a key in quotes was expected" },
		{ "{\"a\":1 \"b\"", "byte 7: unexpected '\"', ',' or '}' was expected after a member" },
		{ "[1,]", "byte 3: unexpected ']', a value was expected" },
		{ "[1 2]", "byte 3: unexpected '2', ',' or ']' was expected after an element" },
		{ "1 2", "byte 2: unexpected '2', the document has already ended" },
		{ "nul", "byte 3: unexpected end of input, null, true or false was expected" },
		{ "trux", "byte 3: unexpected 'x', null, true or false was expected" },
		{ "01", "byte 1: unexpected '1', the document has already ended" },
		{ "-", "byte 1: unexpected end of input, a digit was expected" },
		{ "+1", "byte 0: unexpected '+', a value was expected" },
		{ "1.", "byte 2: unexpected end of input, a digit was expected" },
		{ "1e+", "byte 3: unexpected end of input, a digit was expected" },
		{ ".5", "byte 0: unexpected '.', a value was expected" },
		{ "\"abc", "byte 4: unexpected end of input, in a string" },
		{ "\"abc\\", "byte 5: unexpected end of input, in a string" },
		{ "\"a\nb\"", "byte 2: unexpected 0x0a, control characters in a string must be escaped" },
		{ "\"\\x41\"", "byte 2: unexpected 'x', not a known escape" },
		{ "\"\\u12g4\"", "byte 1: unexpected '\\', \\u wants four hex digits" },
		{ "\xef\xbb\xbf{}", "byte 0: unexpected 0xef, a value was expected" },
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_err err = { 0 };
		assert_null(cor_node_parse(f->arena, cor_str_c(cases[i].in), NULL, &err));
		assert_string_equal(err.message, cases[i].message);
		assert_int_equal(err.code, COR_E_PARSE);
	}
	struct cor_err err = { 0 };
	assert_null(cor_node_parse(f->arena, (struct cor_str){ "1\0", 2 }, NULL, &err));
	assert_string_equal(err.message, "byte 1: unexpected 0x00, the document has already ended");
}

static void test_depth(void **state) {
	struct fixture *f = *state;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (int extra = 0; extra <= 1; extra++) {
		cor_buf_clear(&b);
		for (int i = 0; i < COR_TREE_DEPTH_MAX + extra; i++)
			cor_buf_byte(&b, '[');
		for (int i = 0; i < COR_TREE_DEPTH_MAX + extra; i++)
			cor_buf_byte(&b, ']');
		struct cor_err err = { 0 };
		struct cor_node *n = cor_node_parse(f->arena, cor_buf_view(&b), NULL, &err);
		assert_int_equal(n == NULL, extra);
		assert_int_equal(err.code, extra ? COR_E_LIMIT : 0);
	}
}

static void test_memory_limit(void **state) {
	struct cor_arena *small = cor_arena_new(4096);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_byte(&b, '[');
	for (int i = 0; i < 1000; i++)
		cor_buf_c(&b, "0,");
	cor_buf_c(&b, "0]");
	struct cor_err err = { 0 };
	assert_null(cor_node_parse(small, cor_buf_view(&b), NULL, &err));
	assert_int_equal(err.code, COR_E_LIMIT);
	/* builders on an exhausted arena do nothing and crash nothing */
	assert_null(cor_node_object(small));
	cor_node_set_c(small, NULL, "a", cor_node_int(small, 1));
	assert_null(cor_node_make_path(small, NULL, "a.b"));
	cor_arena_free(small);
}

static void test_duplicates(void **state) {
	struct fixture *f = *state;
	struct cor_strlist dups = { 0 };
	struct cor_err err = { 0 };
	struct cor_node *n = cor_node_parse(f->arena, COR_STR("{\"spec\":{\"replicas\":1,"
		"\"replicas\":2,\"replicas\":3,\"c\":[{},{\"x\":{\"a.b\":1,\"a.b\":1}}]},\"spec\":{}}"),
		&dups, &err);
	assert_non_null(n);
	static const char *const want[] = { "spec.replicas", "spec.c[1].x.a.b", "spec" };
	assert_int_equal(dups.n, cor_countof(want));
	for (size_t i = 0; i < dups.n; i++)
		assert_true(cor_str_eq_c(dups.p[i], want[i]));
	expect_print(f, n, COR_PRINT_PLAIN, "{\"spec\":{}}");
}

static void test_print_forms(void **state) {
	struct fixture *f = *state;
	struct cor_node *n = parse(f, "{\"b\":{\"y\":[],\"x\":{}},\"a\":[1,{\"k\":null}]}");
	expect_print(f, n, COR_PRINT_SORTED, "{\"a\":[1,{\"k\":null}],\"b\":{\"x\":{},\"y\":[]}}");
	expect_print(f, n, COR_PRINT_PRETTY | COR_PRINT_SORTED,
		"{\n  \"a\": [\n    1,\n    {\n      \"k\": null\n    }\n  ],\n"
		"  \"b\": {\n    \"x\": {},\n    \"y\": []\n  }\n}");
	expect_print(f, NULL, COR_PRINT_PLAIN, "null");
}

static void test_access(void **state) {
	struct fixture *f = *state;
	struct cor_node *n = parse(f, "{\"metadata\":{\"name\":\"x\",\"generation\":7,\"on\":true},"
		"\"s\":{\"f\":1.0,\"e\":2e3,\"half\":0.5,\"big\":9223372036854775807,"
		"\"over\":9223372036854775808,\"min\":-9223372036854775808,\"huge\":1e300}}");
	int64_t v = -1;
	bool on = false;
	assert_true(cor_str_eq_c(cor_node_path_str(n, "metadata.name"), "x"));
	assert_null(cor_node_path_str(n, "metadata.generation").p);
	assert_null(cor_node_path_str(n, "metadata.name.x").p);
	assert_null(cor_node_path(NULL, "a"));
	assert_true(cor_node_path_int(n, "metadata.generation", &v) && v == 7);
	assert_true(cor_node_path_int(n, "s.f", &v) && v == 1);
	assert_true(cor_node_path_int(n, "s.e", &v) && v == 2000);
	assert_true(cor_node_path_int(n, "s.big", &v) && v == INT64_MAX);
	assert_true(cor_node_path_int(n, "s.min", &v) && v == INT64_MIN);
	assert_false(cor_node_path_int(n, "s.over", &v));
	assert_false(cor_node_path_int(n, "s.half", &v));
	assert_false(cor_node_path_int(n, "s.huge", &v));
	assert_int_equal(v, INT64_MIN);
	assert_true(cor_node_path_bool(n, "metadata.on", &on) && on);
	assert_false(cor_node_path_bool(n, "metadata.name", &on));
}

static void test_equal(void **state) {
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "1", "1.0", true }, { "1e2", "100", true }, { "0.1", "0.10", true },
		{ "9007199254740993", "9007199254740992", false }, { "-0", "0", true },
		{ "1", "\"1\"", false }, { "null", "false", false }, { "true", "false", false },
		{ "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true },
		{ "{\"a\":1}", "{\"a\":1,\"b\":2}", false }, { "{\"a\":null}", "{\"b\":null}", false },
		{ "[1,2]", "[2,1]", false }, { "[1]", "[1,1]", false }, { "[]", "{}", false },
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < cor_countof(cases); i++)
		if (cor_node_equal(parse(f, cases[i].a), parse(f, cases[i].b)) != cases[i].equal)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
	assert_true(cor_node_equal(NULL, NULL));
	assert_false(cor_node_equal(NULL, parse(f, "null")));
}

static void test_building(void **state) {
	struct fixture *f = *state;
	struct cor_arena *a = f->arena;
	struct cor_node *n = cor_node_object(a), *list = cor_node_array(a);
	cor_node_set_c(a, cor_node_make_path(a, n, "metadata.labels"), "a", cor_node_str_c(a, "b"));
	cor_node_set_c(a, n, "list", list);
	cor_node_push(a, list, cor_node_int(a, 2));
	cor_node_insert(a, list, 0, cor_node_int(a, 1));
	cor_node_insert(a, list, 2, cor_node_bool(a, true));
	cor_node_set_c(a, n, "gone", cor_node_null(a));
	expect_print(f, n, 0, "{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"list\":[1,2,true],\"gone\":null}");
	assert_non_null(cor_node_remove_c(n, "gone"));
	assert_null(cor_node_remove_c(n, "gone"));
	assert_non_null(cor_node_remove_at(list, 1));
	assert_null(cor_node_remove_at(list, 2));
	struct cor_node *copy = cor_node_copy(a, n);
	cor_node_set_c(a, n, "metadata", cor_node_number(a, COR_STR("1.50")));
	expect_print(f, n, 0, "{\"metadata\":1.50,\"list\":[1,true]}");
	expect_print(f, copy, 0, "{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"list\":[1,true]}");
	cor_node_push(a, cor_node_get_c(copy, "list"), cor_node_int(a, 3));
	cor_node_push(a, cor_node_get_c(copy, "list"), cor_node_int(a, 4));
	expect_print(f, cor_node_get_c(copy, "list"), 0, "[1,true,3,4]");
}

/* Large objects go through the hash index; against a plain array as the model. */
static void test_large_object(void **state) {
	enum { KEYS = 700, STEPS = 20000 };
	struct fixture *f = *state;
	struct cor_node *n = cor_node_object(f->arena);
	static int64_t model[KEYS];
	size_t live = 0;
	uint32_t seed = 12345;
	memset(model, 0, sizeof(model));
	for (int i = 1; i <= STEPS; i++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t k = (seed >> 8) % KEYS;
		char key[16];
		(void)snprintf(key, sizeof(key), "k%u", k);
		if ((seed >> 4) % 5 < 2) {
			assert_int_equal(cor_node_remove_c(n, key) != NULL, model[k] != 0);
			live -= model[k] != 0;
			model[k] = 0;
		} else {
			live += model[k] == 0;
			model[k] = i;
			cor_node_set_c(f->arena, n, key, cor_node_int(f->arena, i));
		}
		assert_int_equal(n->members.n, live);
	}
	struct cor_node *copy = cor_node_copy(f->arena, n);
	for (uint32_t k = 0; k < KEYS; k++) {
		char key[16];
		int64_t v = 0;
		(void)snprintf(key, sizeof(key), "k%u", k);
		assert_int_equal(cor_node_path_int(n, key, &v), model[k] != 0);
		assert_int_equal(v, model[k]);
	}
	assert_true(cor_node_equal(n, copy));
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_round_trip), T(test_malformed), T(test_depth), T(test_memory_limit),
		T(test_duplicates), T(test_print_forms), T(test_access), T(test_equal),
		T(test_building), T(test_large_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
