// SPDX-License-Identifier: Apache-2.0
// YAML: what scalars mean, collections, anchors and their limits, duplicate keys, printing.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/yaml_tree.h"

static struct cor_arena *arena;

static int setup(void **state) {
	arena = cor_arena_new(0);
	return 0;
}

static int teardown(void **state) {
	cor_arena_free(arena);
	return 0;
}

static void expect(const char *yaml, const char *json) {
	struct cor_err err = { 0 };
	struct cor_node *n = cor_yaml_parse(arena, cor_str_c(yaml), NULL, &err);
	if (!n)
		fail_msg("%s: %s", yaml, err.message);
	struct cor_str got = cor_node_to_str(arena, n, COR_PRINT_PLAIN);
	if (!cor_str_eq_c(got, json))
		fail_msg("%s:\nwant %s\n got %.*s", yaml, json, COR_STR_ARG(got));
}

static void test_scalars(void **state) {
	static const char *const cases[][2] = {
		{ "", "null" }, { "# nothing", "null" }, { "---", "null" }, { "~", "null" },
		{ "Null", "null" }, { "nULL", "\"nULL\"" }, { "yes", "true" }, { "Off", "false" },
		{ "y", "true" }, { "oN", "\"oN\"" }, { "\"yes\"", "\"yes\"" }, { "'null'", "\"null\"" },
		{ "!!str yes", "\"yes\"" }, { "!!str 5", "\"5\"" }, { "!!int \"5\"", "5" },
		{ "12", "12" }, { "-7", "-7" }, { "+7", "7" }, { "0", "0" }, { "-0", "0" },
		{ "0777", "511" }, { "0o17", "15" }, { "0x1F", "31" }, { "-0x10", "-16" }, { "0b101", "5" },
		{ "08", "8" }, { "1_000", "1000" }, { "0x", "\"0x\"" }, { "0x0x1", "\"0x0x1\"" },
		{ "18446744073709551615", "18446744073709551615" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "1.5", "1.5" }, { ".5", "0.5" }, { "1.", "1" }, { "1.0", "1" }, { "1e3", "1000" },
		{ "0.1", "0.1" }, { "1e300", "1e+300" }, { "1e999", "\"1e999\"" }, { "1.2.3", "\"1.2.3\"" },
		{ "-", "[null]" }, { "--", "\"--\"" }, { "1 2", "\"1 2\"" }, { ".", "\".\"" },
		{ "2001-01-01", "\"2001-01-01\"" }, { "1:30", "\"1:30\"" }, { "100Mi", "\"100Mi\"" },
		{ "a\xc3\xa9", "\"a\xc3\xa9\"" }, { "!!binary aGk=", "\"hi\"" },
		{ "|\n  a\n  b\n", "\"a\\nb\\n\"" }, { ">-\n  a\n  b\n", "\"a b\"" },
		{ "\"a\\tb\\u00e9\"", "\"a\\tb\xc3\xa9\"" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++)
		expect(cases[i][0], cases[i][1]);
}

static void test_collections(void **state) {
	expect("a: 1\nb:\n- x\n- v: z\nc: {d: [1, two]}\n",
		"{\"a\":1,\"b\":[\"x\",{\"v\":\"z\"}],\"c\":{\"d\":[1,\"two\"]}}");
	expect("{\"json\": [true, null, 1.5e3]}", "{\"json\":[true,null,1500]}");
	/* y is a bool in YAML 1.1, also as a key */
	expect("y: 1\n", "{\"true\":1}");
	expect("1: a\ntrue: b\n1.50: c\n", "{\"1\":\"a\",\"true\":\"b\",\"1.5\":\"c\"}");
	expect("a:\nb: ''\n", "{\"a\":null,\"b\":\"\"}");
	expect("a: &x {b: 1}\nc: *x\nd: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":{\"b\":1}}");
	expect("base: &x {b: 1, c: 2}\nuse:\n  <<: *x\n  c: 3\n",
		"{\"base\":{\"b\":1,\"c\":2},\"use\":{\"c\":3,\"b\":1}}");
	expect("use:\n  <<: [{a: 1}, {a: 2, b: 2}]\n", "{\"use\":{\"a\":1,\"b\":2}}");
	expect("a: 1\n---\nb: 2\n", "{\"a\":1}");
	expect("'<<': 1\n", "{\"\\u003c\\u003c\":1}");
}

static void test_documents(void **state) {
	struct cor_items docs;
	struct cor_err err = { 0 };
	assert_int_equal(cor_yaml_parse_all(arena, COR_STR("# head\n---\na: 1\n---\n---\nb: 2\n...\n---\n"
		"- c\n"), &docs, NULL, &err), 0);
	assert_int_equal(docs.n, 3);
	assert_non_null(cor_node_get_c(docs.p[1], "b"));
	assert_int_equal(docs.p[2]->kind, COR_NODE_ARRAY);
	assert_int_equal(cor_yaml_parse_all(arena, COR_STR(""), &docs, NULL, &err), 0);
	assert_int_equal(docs.n, 0);
	/* an anchor ends with its document */
	assert_true(cor_yaml_parse_all(arena, COR_STR("a: &x 1\n---\nb: *x\n"), &docs, NULL, &err) < 0);
	assert_string_equal(err.message, "yaml: unknown anchor 'x' referenced");
}

static void test_malformed(void **state) {
	static const struct {
		const char *yaml;
		int code;
		const char *message;    /* its beginning */
	} cases[] = {
		{ "a: b: c", COR_E_PARSE, "yaml: line 1: " },
		{ "a:\n\t- b", COR_E_PARSE, "yaml: line 2: " },
		{ "a: [1, 2", COR_E_PARSE, "yaml: line " },
		{ "\"abc", COR_E_PARSE, "yaml: line " },
		{ "a: *b", COR_E_PARSE, "yaml: unknown anchor 'b' referenced" },
		{ "a: &x [*x]", COR_E_PARSE, "yaml: unknown anchor 'x' referenced" },
		{ "{? [a] : b}", COR_E_PARSE, "yaml: line 1: a key must be" },
		{ "~: b", COR_E_PARSE, "yaml: line 1: a key must be" },
		{ "a: .inf", COR_E_PARSE, "yaml: line 1: .inf is no number that JSON can hold" },
		{ "a:\n  <<: 1", COR_E_PARSE, "yaml: line 2: map merge requires map" },
		{ "a: !!binary '%'", COR_E_PARSE, "yaml: line 1: !!binary value contains" },
		{ "a: \xff", COR_E_PARSE, "yaml: line " },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_err err = { 0 };
		if (cor_yaml_parse(arena, cor_str_c(cases[i].yaml), NULL, &err))
			fail_msg("%s was read", cases[i].yaml);
		if (err.code != cases[i].code ||
			strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
			fail_msg("%s: %d %s", cases[i].yaml, err.code, err.message);
	}
}

static void test_duplicates(void **state) {
	struct cor_strlist dups = { 0 };
	struct cor_err err = { 0 };
	struct cor_node *n = cor_yaml_parse(arena, COR_STR("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n"), &dups,
		&err);
	struct cor_str got = cor_node_to_str(arena, n, COR_PRINT_PLAIN);
	assert_true(cor_str_eq_c(got, "{\"a\":3,\"b\":{\"c\":2}}"));
	assert_int_equal(dups.n, 2);
	assert_true(cor_str_eq_c(dups.p[0], "line 4: key \"c\" already set in map"));
	assert_true(cor_str_eq_c(dups.p[1], "line 5: key \"a\" already set in map"));
}

static void test_limits(void **state) {
	struct cor_err err = { 0 };
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	/* ten to the ninth elements from a few lines */
	cor_buf_c(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 9; i++) {
		cor_buf_printf(&b, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			cor_buf_printf(&b, "%s*a%d", k ? "," : "", i - 1);
		cor_buf_c(&b, "]\n");
	}
	assert_null(cor_yaml_parse(arena, cor_buf_view(&b), NULL, &err));
	assert_int_equal(err.code, COR_E_LIMIT);
	assert_non_null(strstr(err.message, "document contains excessive aliasing"));

	cor_buf_clear(&b);
	for (int i = 0; i < 5000; i++)
		cor_buf_byte(&b, '[');
	assert_null(cor_yaml_parse(arena, cor_buf_view(&b), NULL, &err));
	/* an alias may not make it deeper either */
	cor_buf_clear(&b);
	cor_buf_c(&b, "a: &a ");
	for (int i = 0; i < 600; i++)
		cor_buf_byte(&b, '[');
	for (int i = 0; i < 600; i++)
		cor_buf_byte(&b, ']');
	cor_buf_c(&b, "\nb: ");
	for (int i = 0; i < 600; i++)
		cor_buf_byte(&b, '[');
	cor_buf_c(&b, "*a");
	for (int i = 0; i < 600; i++)
		cor_buf_byte(&b, ']');
	assert_null(cor_yaml_parse(arena, cor_buf_view(&b), NULL, &err));
	assert_int_equal(err.code, COR_E_LIMIT);

	struct cor_arena *small = cor_arena_new(1000);
	cor_buf_clear(&b);
	for (int i = 0; i < 500; i++)
		cor_buf_printf(&b, "k%d: v\n", i);
	assert_null(cor_yaml_parse(small, cor_buf_view(&b), NULL, &err));
	assert_int_equal(err.code, COR_E_LIMIT);
	cor_arena_free(small);
}

static void test_print(void **state) {
	static const char *const cases[][2] = {
		{ "{\"b\":[1,{\"x\":true,\"w\":[]}],\"a\":{\"c\":null,\"d\":{}}}",
		  "a:\n  c: null\n  d: {}\nb:\n- 1\n- w: []\n  x: true\n" },
		{ "{\"s\":[\"plain\",\"\",\"yes\",\"1\",\"1e3\",\"~\",\"a: b\",\"- x\",\"#c\",\"a\\nb\\n\",\"{x\"]}",
		  "s:\n- plain\n- \"\"\n- \"yes\"\n- \"1\"\n- \"1e3\"\n- \"~\"\n- 'a: b'\n- '- x'\n- '#c'\n"
		  "- |\n  a\n  b\n- '{x'\n" },
		{ "{\"true\":1,\"5\":2}", "\"5\": 2\n\"true\": 1\n" },
		{ "[]", "[]\n" }, { "\"x\"", "x\n" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
		struct cor_node *n = cor_node_parse(arena, cor_str_c(cases[i][0]), NULL, NULL);
		cor_yaml_print(&b, n);
		assert_false(b.failed);
		if (!cor_str_eq_c(cor_buf_view(&b), cases[i][1]))
			fail_msg("want %s\n got %.*s", cases[i][1], COR_STR_ARG(cor_buf_view(&b)));
		struct cor_node *again = cor_yaml_parse(arena, cor_buf_view(&b), NULL, NULL);
		assert_true(cor_node_equal(n, again));
	}
	/* no text survives as something else */
	static const char *const texts[] = {
		"", " ", "a ", " a", "null", "0x1", "0o7", "1_0", ".5", "-", "?", ":", "!x", "&x", "*x", "%x",
		"@x", "`x", "\"", "'", "|", ">", "a\tb", "\n", "a\n", "\na", "a\n\n", "  a\nb", "\xc3\xa9",
		"\x01", "\x7f", "\xe2\x80\xa8", "<<", "=", "---", "...", "a #b", "[", "]", "{}", ",", "2001-01-01",
	};
	for (size_t i = 0; i < cor_countof(texts); i++) {
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
		struct cor_node *n = cor_node_object(arena);
		cor_node_set_c(arena, n, texts[i], cor_node_str_c(arena, texts[i]));
		cor_yaml_print(&b, n);
		struct cor_err err = { 0 };
		struct cor_node *again = cor_yaml_parse(arena, cor_buf_view(&b), NULL, &err);
		if (!cor_node_equal(n, again))
			fail_msg("\"%s\" became %.*s (%s)", texts[i], COR_STR_ARG(cor_buf_view(&b)), err.message);
	}
	_cleanup_buf_ struct cor_buf full = { .limit = 10 };
	cor_yaml_print(&full, cor_node_str_c(arena, "longer than ten bytes"));
	assert_true(full.failed);
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_scalars), T(test_collections), T(test_documents), T(test_malformed),
		T(test_duplicates), T(test_limits), T(test_print),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
