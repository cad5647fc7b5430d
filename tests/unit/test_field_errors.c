// SPDX-License-Identifier: Apache-2.0
// Field errors and the Status made of them; ObjectMeta and label selectors.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/field_errors.h"

static struct cor_field_errors e;

static int setup(void **state) {
	e = COR_FIELD_ERRORS_INIT(cor_arena_new(0));
	return 0;
}

static int teardown(void **state) {
	cor_arena_free(e.arena);
	return 0;
}

static void expect_str(struct cor_str got, const char *want) {
	if (!cor_str_eq_c(got, want))
		fail_msg("want %s\n got %.*s", want, COR_STR_ARG(got));
}

/* Compares "field: body" of each error. */
static void expect_errors(const char *const *want, size_t n) {
	for (size_t i = 0; i < n && i < e.n; i++)
		expect_str(cor_arena_printf(e.arena, "%.*s: %.*s", COR_STR_ARG(e.p[i].field),
			COR_STR_ARG(e.p[i].body)), want[i]);
	assert_int_equal(e.n, n);
}

static void test_bodies(void **state) {
	static const char *const allowed[] = { "A", "B", NULL };
	const struct cor_fpath *p = COR_ROOT("spec");
	cor_fe_required(&e, COR_FIELD(p, "name"), "%s", "");
	cor_fe_invalid(&e, COR_INDEX(COR_FIELD(p, "ports"), 2), cor_fv_int(&e, -1), "bad %d", 7);
	cor_fe_not_supported(&e, COR_KEY(COR_ROOT("metadata.labels"), COR_STR("a/b")),
		cor_fv_c(&e, "q\"\n\x01\xff\xc3\xa9"), allowed);
	cor_fe_forbidden(&e, p, "no");
	cor_fe_duplicate(&e, p, cor_fv_c(&e, "x"));
	cor_fe_too_long(&e, p, 63);
	cor_fe_too_long(&e, p, 1);
	cor_fe_too_many(&e, p, 9, 8);
	cor_fe_too_few(&e, p, 0, 1);
	cor_fe_too_short(&e, p, 3);
	cor_fe_internal(&e, NULL, "oops");
	cor_fe_not_found(&e, COR_ROOT(""), cor_fv_bool(true));
	cor_fe_type_invalid(&e, p, cor_fv_json((struct cor_str){ 0 }), "%s", "");
	cor_fe_invalid(&e, p, cor_fv_strings(&e, (struct cor_str[]){ COR_STR("a"), COR_STR("b") }, 2),
		"x");
	static const char *const want[] = {
		"spec.name: Required value",
		"spec.ports[2]: Invalid value: -1: bad 7",
		("metadata.labels[a/b]: Unsupported value: \"q\\\"\\n\\x01\\xff\xc3\xa9\": supported values: "
		"\"A\", \"B\""),
		"spec: Forbidden: no",
		"spec: Duplicate value: \"x\"",
		"spec: Too long: may not be more than 63 bytes",
		"spec: Too long: may not be more than 1 byte",
		"spec: Too many: 9: must have at most 8 items",
		"spec: Too few: 0: must have at least 1 item",
		"spec: Too short: must be at least 3 characters",
		"<nil>: Internal error: oops",
		"[]: Not found: true",
		"spec: Invalid value: null",
		"spec: Invalid value: [\"a\",\"b\"]: x",
	};
	expect_errors(want, cor_countof(want));
}

static void test_status(void **state) {
	struct cor_err err = { 0 };
	meta_v1_Status s;
	assert_int_equal(cor_field_errors_fail(&e, COR_STR("apps"), COR_STR("Deployment"),
		COR_STR("web"), &err), COR_OK);
	cor_fe_required(&e, COR_ROOT("spec.a"), "why");
	assert_true(cor_field_errors_fail(&e, COR_STR("apps"), COR_STR("Deployment"),
		COR_STR("web"), &err) < 0);
	assert_string_equal(err.message, "Deployment.apps \"web\" is invalid: spec.a: Required value: why");
	assert_int_equal(cor_err_http(&err), 422);
	assert_string_equal(err.field, "spec.a");
	cor_fe_required(&e, COR_ROOT("spec.a"), "why");
	cor_fe_forbidden(&e, COR_ROOT("spec.b"), "no");
	cor_field_errors_status(&e, COR_STR(""), COR_STR("Pod"), COR_STR(""), &s);
	expect_str(s.message, "Pod \"\" is invalid: [spec.a: Required value: why, spec.b: Forbidden: no]");
	expect_str(s.reason, "Invalid");
	assert_int_equal(s.details->causes.n, 3);
	expect_str(s.details->causes.p[2].reason, "FieldValueForbidden");
	expect_str(s.details->causes.p[2].message, "Forbidden: no");
	expect_str(s.details->causes.p[2].field, "spec.b");
}

static void test_limit(void **state) {
	for (int i = 0; i < COR_FIELD_ERRORS_MAX + 10; i++)
		cor_fe_required(&e, COR_INDEX(COR_ROOT("x"), (size_t)i), "%s", "");
	assert_int_equal(e.n, COR_FIELD_ERRORS_MAX);
	struct cor_err err = { 0 };
	assert_true(cor_field_errors_fail(&e, COR_STR(""), COR_STR("Pod"), COR_STR("x"), &err) < 0);
}

static void test_common_checks(void **state) {
	static const char *const allowed[] = { "A", NULL };
	const struct cor_fpath *p = COR_ROOT("f");
	assert_true(cor_fe_range(&e, p, 5, 1, 5) && cor_fe_positive(&e, p, 1) &&
		cor_fe_not_negative(&e, p, 0) && cor_fe_one_of(&e, p, COR_STR("A"), allowed) &&
		cor_fe_immutable_str(&e, p, COR_STR("a"), COR_STR("a")) &&
		cor_fe_need(&e, p, COR_STR("a"), cor_check_dns_label(COR_STR("a"))));
	assert_int_equal(e.n, 0);
	assert_false(cor_fe_range(&e, p, 6, 1, 5));
	assert_false(cor_fe_positive(&e, p, 0));
	assert_false(cor_fe_not_negative(&e, p, -1));
	assert_false(cor_fe_one_of(&e, p, COR_STR("C"), allowed));
	assert_false(cor_fe_immutable_str(&e, p, COR_STR("b"), COR_STR("a")));
	assert_false(cor_fe_need(&e, p, COR_STR(""), cor_check_dns_label(COR_STR(""))));
	static const char *const want[] = {
		"f: Invalid value: 6: must be between 1 and 5, inclusive",
		"f: Invalid value: 0: must be greater than zero",
		"f: Invalid value: -1: must be greater than or equal to 0",
		"f: Unsupported value: \"C\": supported values: \"A\"",
		"f: Invalid value: \"b\": field is immutable",
		"f: Required value",
	};
	expect_errors(want, cor_countof(want));
}

static void test_meta_fine(void **state) {
	struct cor_kv labels[] = { { COR_STR("a/b"), COR_STR("c") } };
	struct cor_kv annotations[] = { { COR_STR("Example.com/X"), COR_STR("any { text") } };
	struct cor_str finalizers[] = { COR_STR("orphan"), COR_STR("example.com/x") };
	meta_v1_ObjectMeta m = { .name = COR_STR("web-1"), .generateName = COR_STR("web-"),
		.namespace = COR_STR("default"), .labels = { labels, 1 },
		.annotations = { annotations, 1 }, .finalizers = { finalizers, 2 } };
	cor_validate_meta(&e, COR_ROOT("metadata"), &m,
		&(struct cor_meta_rules){ .namespaced = true, .core_finalizers = true });
	assert_int_equal(e.n, 0);
}

static void test_meta_broken(void **state) {
	bool yes = true;
	struct cor_kv labels[] = { { COR_STR("a"), COR_STR("c d") } };
	struct cor_str finalizers[] = { COR_STR("orphan"), COR_STR("foregroundDeletion"),
		COR_STR("mine"), COR_STR("/x") };
	meta_v1_OwnerReference owners[] = {
		{ .apiVersion = COR_STR("apps/"), .kind = COR_STR("K"), .name = COR_STR("x"),
		  .uid = COR_STR("1"), .controller = &yes },
		{ .apiVersion = COR_STR("v1"), .kind = COR_STR("K"), .name = COR_STR("y"),
		  .uid = COR_STR(""), .controller = &yes },
	};
	meta_v1_ObjectMeta m = { .generation = -1, .labels = { labels, 1 },
		.finalizers = { finalizers, 4 }, .ownerReferences = { owners, 2 } };
	cor_validate_meta(&e, COR_ROOT("metadata"), &m,
		&(struct cor_meta_rules){ .namespaced = true, .core_finalizers = true });
	static const char *const fields[] = {
		"metadata.name", "metadata.namespace", "metadata.generation", "metadata.labels",
		"metadata.ownerReferences.apiVersion", "metadata.ownerReferences.uid",
		"metadata.ownerReferences", "metadata.finalizers[2]", "metadata.finalizers",
		"metadata.finalizers",
	};
	assert_int_equal(e.n, cor_countof(fields));
	for (size_t i = 0; i < e.n; i++)
		expect_str(e.p[i].field, fields[i]);
	expect_str(e.p[0].body, "Required value: name or generateName is required");
	assert_true(cor_str_ends(e.p[6].body, COR_STR("Only one reference can have Controller set to "
		"true. Found \"true\" in references for K/x and K/y")));
}

static void test_meta_names(void **state) {
	static const struct {
		const char *name, *ns;
		struct cor_meta_rules rules;
		const char *want;
	} cases[] = {
		{ "a/b", NULL, { cor_name_path_segment, false, false },
		  "metadata.name: Invalid value: \"a/b\": may not contain '/'" },
		{ "a.b", "x", { cor_name_label, true, false },
		  "metadata.name: Invalid value: \"a.b\": must not contain dots" },
		{ "a", "x", { NULL, false, false }, "metadata.namespace: Forbidden: not allowed on this type" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		meta_v1_ObjectMeta m = { .name = cor_str_c(cases[i].name),
			.namespace = cor_str_c(cases[i].ns) };
		e.n = 0;
		cor_validate_meta(&e, COR_ROOT("metadata"), &m, &cases[i].rules);
		expect_errors(&cases[i].want, 1);
	}
}

static void test_annotations_size(void **state) {
	static char big[262144];
	memset(big, 'x', sizeof(big));
	struct cor_kv kv[] = { { COR_STR("k"), { big, sizeof(big) - 1 } } };
	struct cor_strmap m = { kv, 1 };
	cor_validate_annotations(&e, COR_ROOT("metadata.annotations"), &m);
	assert_int_equal(e.n, 0);
	kv[0].value.n++;
	cor_validate_annotations(&e, COR_ROOT("metadata.annotations"), &m);
	static const char *const want[] = {
		"metadata.annotations: Too long: may not be more than 262144 bytes" };
	expect_errors(want, 1);
}

static void test_meta_update(void **state) {
	struct cor_str finalizers[] = { COR_STR("a.b/c") };
	meta_v1_ObjectMeta old = { .name = COR_STR("a"), .uid = COR_STR("1"), .generation = 2,
		.resourceVersion = COR_STR("7"), .deletionTimestamp = COR_SECOND };
	meta_v1_ObjectMeta m = old;
	cor_validate_meta_update(&e, COR_ROOT("metadata"), &m, &old);
	assert_int_equal(e.n, 0);
	m = (meta_v1_ObjectMeta){ .name = COR_STR("b"), .uid = COR_STR("1"), .generation = 1,
		.finalizers = { finalizers, 1 } };
	cor_validate_meta_update(&e, COR_ROOT("metadata"), &m, &old);
	static const char *const want[] = {
		("metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
		"deleted, found new finalizers []string{\"a.b/c\"}"),
		"metadata.resourceVersion: Invalid value: 0: must be specified for an update",
		"metadata.generation: Invalid value: 1: must not be decremented",
		"metadata.name: Invalid value: \"b\": field is immutable",
		"metadata.deletionTimestamp: Invalid value: null: field is immutable",
	};
	expect_errors(want, cor_countof(want));
}

static void test_label_selector(void **state) {
	struct cor_str values[] = { COR_STR("a b") };
	meta_v1_LabelSelectorRequirement r[] = {
		{ .key = COR_STR("k"), .operator = COR_STR("In") },
		{ .key = COR_STR("k"), .operator = COR_STR("Exists"), .values = { values, 1 } },
		{ .key = COR_STR("k"), .operator = COR_STR("Foo") },
	};
	meta_v1_LabelSelector s = { .matchExpressions = { r, 3 } };
	cor_validate_label_selector(&e, COR_ROOT("spec.selector"), &s, true);
	static const char *const want[] = {
		"spec.selector.matchExpressions[0].values: Required value: must be specified when "
		"`operator` is 'In' or 'NotIn'",
		"spec.selector.matchExpressions[1].values: Forbidden: may not be specified when "
		"`operator` is 'Exists' or 'DoesNotExist'",
		"spec.selector.matchExpressions[2].operator: Invalid value: \"Foo\": not a valid "
		"selector operator",
	};
	expect_errors(want, cor_countof(want));
	e.n = 0;
	cor_validate_label_selector(&e, COR_ROOT("spec.selector"), &s, false);
	assert_int_equal(e.n, 4);
	expect_str(e.p[2].field, "spec.selector.matchExpressions[1].values[0]");
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bodies), T(test_status), T(test_limit), T(test_common_checks),
		T(test_meta_fine), T(test_meta_broken), T(test_meta_names), T(test_annotations_size),
		T(test_meta_update), T(test_label_selector),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
