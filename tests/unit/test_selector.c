// SPDX-License-Identifier: Apache-2.0
// Label and field selectors: the grammar with its error texts, matching, printing, conversion.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/selector.h"
#include "gen/meta_v1.h"

static struct cor_arena *arena;

static int setup(void **state) {
	arena = cor_arena_new(0);
	return 0;
}

static int teardown(void **state) {
	cor_arena_free(arena);
	return 0;
}

static void expect_text(struct cor_str got, const char *text) {
	struct cor_str want = cor_str_c(text);

	if (!cor_str_eq(got, want))
		fail_msg("want %.*s\n got %.*s", COR_STR_ARG(want), COR_STR_ARG(got));
}

static void test_parse_and_print(void **state) {
	static const char *const cases[][2] = {
		{ "", "" },
		{ "  ", "" },
		{ "a", "a" },
		{ " ! a ", "!a" },
		{ "b=1,a==2", "a==2,b=1" },
		{ "a=", "a=" },
		{ "a=,b", "a=,b" },
		{ "a!=x", "a!=x" },
		{ "a in (c, b,c)", "a in (b,c)" },
		{ "a in ()", "a in ()" },
		{ "a in (,)", "a in ()" },
		{ "a in (x,)", "a in (,x)" },
		{ "a in (x,,y)", "a in (,x,y)" },
		{ "a notin(b)", "a notin (b)" },
		{ "a>5,b<3", "a>5,b<3" },
		{ "in in (in),notin notin (notin)", "in in (in),notin notin (notin)" },
		{ "in", "in" },
		{ "x=in", "x=in" },
		{ "example.com/Name=v_1.2", "example.com/Name=v_1.2" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_selector s;
		struct cor_err err = { 0 };
		if (cor_selector_parse(arena, cor_str_c(cases[i][0]), &s, &err) < 0)
			fail_msg("%s: %s", cases[i][0], err.message);
		expect_text(cor_selector_print(arena, &s), cases[i][1]);
		struct cor_selector again;
		assert_int_equal(cor_selector_parse(arena, cor_str_c(cases[i][1]), &again, &err), 0);
		expect_text(cor_selector_print(arena, &again), cases[i][1]);
	}
}

static void test_malformed(void **state) {
	static const char *const cases[][2] = {
		{ ",", "found ',', expected: !, identifier, or 'end of string'" },
		{ "=x", "found '=', expected: !, identifier, or 'end of string'" },
		{ "a,", "found '', expected: identifier after ','" },
		{ "a,,b", "found ',', expected: identifier after ','" },
		{ "a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt" },
		{ "a=b c", "found 'c', expected: ',' or 'end of string'" },
		{ "!a=b", "found '=', expected: ',' or 'end of string'" },
		{ "!", "unable to parse requirement: found '', expected: identifier" },
		{ "!!a", "unable to parse requirement: found '!', expected: identifier" },
		{ "a==(b", "unable to parse requirement: found '(', expected: identifier" },
		{ "a in b", "unable to parse requirement: found 'b' expected: '('" },
		{ "a in", "unable to parse requirement: found '' expected: '('" },
		{ "a in (b", "unable to parse requirement: found '', expected: ',' or ')'" },
		{ "a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier" },
		{ "a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'" },
		{ "a in (,=)", "unable to parse requirement: found '=', expected: ',', or identifier" },
		{ "a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": "
		  "for 'Gt', 'Lt' operators, the value must be an integer" },
		{ "a=b$", "unable to parse requirement: values[0][a]: Invalid value: \"b$\": a valid "
		  "label must be an empty string or consist of alphanumeric characters, '-', '_' or "
		  "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
		  "'my_value',  or '12345', regex used for validation is "
		  "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')" },
		{ "-a=b", "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must "
		  "consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
		  "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
		  "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_selector s = { .nothing = true };
		struct cor_err err = { 0 };
		assert_true(cor_selector_parse(arena, cor_str_c(cases[i][0]), &s, &err) < 0);
		assert_string_equal(err.message, cases[i][1]);
		assert_int_equal(cor_err_http(&err), 400);
		assert_true(s.nothing);
	}
}

static struct cor_kv labels_kv[] = {
	{ COR_STR_INIT("app"), COR_STR_INIT("web") },
	{ COR_STR_INIT("empty"), COR_STR_INIT("") },
	{ COR_STR_INIT("n"), COR_STR_INIT("10") },
	{ COR_STR_INIT("tier"), COR_STR_INIT("front") },
};
static const struct cor_strmap labels = { labels_kv, 4 };

static void test_matching(void **state) {
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
		{ "", true }, { "app", true }, { "!app", false }, { "none", false }, { "!none", true },
		{ "app=web", true }, { "app=db", false }, { "none=x", false }, { "none=", false },
		{ "empty=", true }, { "app!=web", false }, { "app!=db", true }, { "none!=x", true },
		{ "app in (db,web)", true }, { "app in (db)", false }, { "none in (a)", false },
		{ "app notin (db,web)", false }, { "none notin (a)", true }, { "n>9", true },
		{ "n>10", false }, { "n<11", true }, { "n<10", false }, { "app>1", false },
		{ "none<1", false }, { "app=web,tier=front", true }, { "app=web,tier=back", false },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_selector s;
		assert_int_equal(cor_selector_parse(arena, cor_str_c(cases[i].text), &s, NULL), 0);
		if (cor_selector_matches(&s, &labels) != cases[i].want)
			fail_msg("%s", cases[i].text);
	}
}

static void test_from_label_selector(void **state) {
	struct cor_kv kv[] = { { COR_STR("app"), COR_STR("web") } };
	struct cor_str values[] = { COR_STR("front"), COR_STR("back") };
	meta_v1_LabelSelectorRequirement e[] = {
		{ .key = COR_STR("tier"), .operator = COR_STR("In"), .values = { values, 2 } },
		{ .key = COR_STR("none"), .operator = COR_STR("DoesNotExist") },
	};
	meta_v1_LabelSelector ls = { .matchLabels = { kv, 1 }, .matchExpressions = { e, 2 } };
	struct cor_selector s;
	struct cor_err err = { 0 };
	assert_int_equal(cor_selector_from_labels(arena, &ls, &s, &err), 0);
	expect_text(cor_selector_print(arena, &s), "app=web,!none,tier in (back,front)");
	assert_true(cor_selector_matches(&s, &labels));

	assert_int_equal(cor_selector_from_labels(arena, NULL, &s, &err), 0);
	assert_false(cor_selector_matches(&s, &labels));
	assert_false(cor_selector_is_everything(&s));
	ls = (meta_v1_LabelSelector){ 0 };
	assert_int_equal(cor_selector_from_labels(arena, &ls, &s, &err), 0);
	assert_true(cor_selector_is_everything(&s));

	ls.matchExpressions.p = e;
	ls.matchExpressions.n = 1;
	e[0].operator = COR_STR("Near");
	assert_int_equal(cor_selector_from_labels(arena, &ls, &s, &err), COR_E_INVALID);
	assert_string_equal(err.message, "\"Near\" is not a valid label selector operator");
	e[0].operator = COR_STR("Exists");
	assert_int_equal(cor_selector_from_labels(arena, &ls, &s, &err), COR_E_INVALID);
	kv[0].value = COR_STR("a b");
	assert_int_equal(cor_selector_from_map(arena, &(struct cor_strmap){ kv, 1 }, &s, &err),
		COR_E_INVALID);
}

static void test_fields(void **state) {
	static const struct {
		const char *text, *printed;
		bool match;
	} cases[] = {
		{ "", "", true },
		{ "app=web", "app=web", true },
		{ "app==web", "app=web", true },
		{ "app!=web", "app!=web", false },
		{ "none=", "none=", true },
		{ "none!=x", "none!=x", true },
		{ ",app=web,,tier=front,", "app=web,tier=front", true },
		{ "app=a\\,b\\=c\\\\", "app=a\\,b\\=c\\\\", false },
		{ "app!=a\\,b", "app!=a\\,b", true },
	};
	struct cor_selector s;
	for (size_t i = 0; i < cor_countof(cases); i++) {
		assert_int_equal(cor_fields_parse(arena, cor_str_c(cases[i].text), &s, NULL), 0);
		expect_text(cor_fields_print(arena, &s), cases[i].printed);
		assert_int_equal(cor_fields_match(&s, &labels), cases[i].match);
	}
	assert_int_equal(cor_fields_parse(arena, COR_STR("a!=b,metadata.name=x"), &s, NULL), 0);
	expect_text(cor_fields_required(&s, COR_STR("metadata.name")), "x");
	assert_null(cor_fields_required(&s, COR_STR("a")).p);

	static const char *const bad[][2] = {
		{ "a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'" },
		{ "a=b=c", "invalid field selector: unescaped character in value: 61" },
		{ "a=b\\c", "invalid field selector: invalid escape sequence: \\c" },
		{ "a=b\\", "invalid field selector: invalid escape sequence: \\" },
	};
	for (size_t i = 0; i < cor_countof(bad); i++) {
		struct cor_err err = { 0 };
		assert_true(cor_fields_parse(arena, cor_str_c(bad[i][0]), &s, &err) < 0);
		assert_string_equal(err.message, bad[i][1]);
		assert_int_equal(cor_err_http(&err), 400);
	}
}

static void test_large(void **state) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "a in (");
	for (int i = 0; i < 50000; i++)
		cor_buf_printf(&b, "v%d,", i);
	cor_buf_c(&b, "web)");
	struct cor_selector s;
	assert_int_equal(cor_selector_parse(arena, cor_buf_view(&b), &s, NULL), 0);
	assert_int_equal(s.p[0].values.n, 50001);
	struct cor_arena *small = cor_arena_new(2000);
	struct cor_err err = { 0 };
	assert_int_equal(cor_selector_parse(small, cor_buf_view(&b), &s, &err), COR_E_LIMIT);
	cor_arena_free(small);
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_parse_and_print), T(test_malformed), T(test_matching),
		T(test_from_label_selector), T(test_fields), T(test_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
