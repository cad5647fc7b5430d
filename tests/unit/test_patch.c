// SPDX-License-Identifier: Apache-2.0
// The three patch types on trees: results, refusals with their statuses, and hostile input.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/patch.h"

static struct cor_arena *arena;

static int setup(void **state) {
	arena = cor_arena_new(0);
	return 0;
}

static int teardown(void **state) {
	cor_arena_free(arena);
	return 0;
}

static struct cor_node *parse(const char *json) {
	struct cor_err err = { 0 };
	struct cor_node *n = cor_node_parse(arena, cor_str_c(json), NULL, &err);
	if (!n)
		fail_msg("%s: %s", json, err.message);
	return n;
}

struct patch_case {
	const char *doc, *patch;
	const char *want;       /* the result, or NULL */
	int http;               /* when it fails */
	const char *message;    /* its beginning */
};

static void run_cases(enum cor_patch_type type, const struct cor_type *t,
	const struct patch_case *cases, size_t n) {
	for (size_t i = 0; i < n; i++) {
		const struct patch_case *c = &cases[i];
		struct cor_err err = { 0 };
		struct cor_node *got = NULL;
		int r = cor_patch_apply(type, t, parse(c->doc), parse(c->patch), arena, &got, &err);
		if (c->want) {
			if (r < 0)
				fail_msg("case %zu %s: %s", i, c->patch, err.message);
			struct cor_str text = cor_node_to_str(arena, got, COR_PRINT_PLAIN);
			if (!cor_str_eq_c(text, c->want))
				fail_msg("case %zu %s:\nwant %s\n got %.*s", i, c->patch, c->want,
					COR_STR_ARG(text));
			continue;
		}
		if (r >= 0)
			fail_msg("case %zu %s succeeded", i, c->patch);
		assert_null(got);
		if (cor_err_http(&err) != c->http)
			fail_msg("case %zu %s: HTTP %d, %s", i, c->patch, cor_err_http(&err), err.message);
		if (c->message && strncmp(err.message, c->message, strlen(c->message)) != 0)
			fail_msg("case %zu %s: %s", i, c->patch, err.message);
	}
}

#define REFUSED 422, "the server rejected our request due to an error in our request"

static void test_json_patch(void **state) {
	static const struct patch_case cases[] = {
		{ "{\"a\":1}", "[]", "{\"a\":1}" },
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":{\"c\":[]}}]",
		  "{\"a\":1,\"b\":{\"c\":[]}}" },
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":9}]", "{\"a\":[1,9,2]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":9}]", "{\"a\":[1,2,9]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":9}]", "{\"a\":[1,2,9]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/0\"}]", "{\"a\":[2]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"replace\",\"path\":\"/a/0\",\"value\":7}]", "{\"a\":[7,2]}" },
		{ "{\"a/b\":{\"c~d\":1}}", "[{\"op\":\"replace\",\"path\":\"/a~1b/c~0d\",\"value\":2}]",
		  "{\"a/b\":{\"c~d\":2}}" },
		{ "{\"\":{\"\":1}}", "[{\"op\":\"remove\",\"path\":\"//\"}]", "{\"\":{}}" },
		{ "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"z\":1}}]", "{\"z\":1}" },
		{ "{\"a\":{\"x\":1},\"b\":{}}", "[{\"op\":\"move\",\"from\":\"/a/x\",\"path\":\"/b/y\"}]",
		  "{\"a\":{},\"b\":{\"y\":1}}" },
		{ "{\"a\":[1,2,3]}", "[{\"op\":\"move\",\"from\":\"/a/0\",\"path\":\"/a/2\"}]",
		  "{\"a\":[2,3,1]}" },
		{ "{\"a\":{\"x\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},"
		  "{\"op\":\"replace\",\"path\":\"/b/x\",\"value\":2}]",
		  "{\"a\":{\"x\":1},\"b\":{\"x\":2}}" },
		{ "{\"a\":{\"x\":1,\"y\":2}}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"y\":2.0,"
		  "\"x\":1}}]", "{\"a\":{\"x\":1,\"y\":2}}" },
		{ "{}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", "{}" },
		/* what does not fit */
		{ "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":2}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":2}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"add\",\"value\":1}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":1}]", NULL, REFUSED },
		{ "{}", "[{\"op\":\"frob\",\"path\":\"/a\",\"value\":1}]", NULL, REFUSED },
		{ "{}", "[{}]", NULL, REFUSED },
		{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]", NULL, REFUSED },
		{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":1}]", NULL, REFUSED },
		{ "{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/-\"}]", NULL, REFUSED },
		{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/x\",\"value\":1}]", NULL, REFUSED },
		{ "{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL, REFUSED },
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NULL, REFUSED },
		{ "{\"a~\":1}", "[{\"op\":\"remove\",\"path\":\"/a~2\"}]", NULL, REFUSED },
		/* what is no JSON patch */
		{ "{}", "{}", NULL, 400, "the patch must be a JSON array" },
		{ "{}", "[1]", NULL, 400, "operation 0 of the JSON patch is not an object" },
	};
	run_cases(COR_PATCH_JSON, NULL, cases, cor_countof(cases));
}

static void test_json_patch_limits(void **state) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (int extra = 0; extra <= 1; extra++) {
		cor_buf_clear(&b);
		cor_buf_byte(&b, '[');
		for (int i = 0; i < COR_PATCH_OPS_MAX + extra; i++)
			cor_buf_printf(&b, "%s{\"op\":\"test\",\"path\":\"/a\",\"value\":1}", i ? "," : "");
		cor_buf_c(&b, "]");
		struct cor_node *got = NULL;
		struct cor_err err = { 0 };
		int r = cor_patch_apply(COR_PATCH_JSON, NULL, parse("{\"a\":1}"),
			cor_node_parse(arena, cor_buf_view(&b), NULL, NULL), arena, &got, &err);
		assert_int_equal(r < 0, extra);
		if (extra) {
			assert_int_equal(cor_err_http(&err), 413);
			assert_string_equal(err.message,
				"The allowed maximum operations in a JSON patch is 10000, got 10001");
		}
	}
}

/* A copy of a value into itself doubles size and depth each time. */
static void test_json_patch_doubling(void **state) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_node *got = NULL;
	struct cor_err err = { 0 };
	cor_buf_byte(&b, '[');
	for (int i = 0; i < 40; i++)
		cor_buf_printf(&b, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/%d\"}",
			i ? "," : "", i);
	cor_buf_byte(&b, ']');
	assert_true(cor_patch_apply(COR_PATCH_JSON, NULL, parse("{\"a\":{\"x\":1}}"),
		cor_node_parse(arena, cor_buf_view(&b), NULL, NULL), arena, &got, &err) < 0);
	assert_int_equal(cor_err_http(&err), 413);

	/* deeper by one with each move, with nothing copied */
	struct cor_node *doc = cor_node_object(arena), *ops = cor_node_array(arena);
	cor_node_set_c(arena, doc, "a", cor_node_object(arena));
	for (int i = 0; i < 3 * COR_TREE_DEPTH_MAX; i++) {
		cor_node_push(arena, ops, parse("{\"op\":\"add\",\"path\":\"/b\",\"value\":{}}"));
		cor_node_push(arena, ops, parse("{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/a\"}"));
		cor_node_push(arena, ops, parse("{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a\"}"));
	}
	memset(&err, 0, sizeof(err));
	assert_true(cor_patch_apply(COR_PATCH_JSON, NULL, doc, ops, arena, &got, &err) < 0);
	assert_int_equal(cor_err_http(&err), 413);

	/* many moves of a flat object are fine */
	doc = parse("{\"a\":{\"x\":1}}");
	ops = cor_node_array(arena);
	for (int i = 0; i < 2000; i++) {
		cor_node_push(arena, ops, parse("{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}"));
		cor_node_push(arena, ops, parse("{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a\"}"));
	}
	assert_int_equal(cor_patch_apply(COR_PATCH_JSON, NULL, doc, ops, arena, &got, &err), 0);
}

static void test_unknown_members(void **state) {
	struct cor_strlist list = { 0 };
	cor_patch_unknown_members(parse("[{\"op\":\"add\",\"foo\":1},{\"path\":\"\",\"bar\":2}]"), arena,
		&list);
	assert_int_equal(list.n, 2);
	assert_true(cor_str_eq_c(list.p[0], "json patch unknown field \"[0].foo\""));
	assert_true(cor_str_eq_c(list.p[1], "json patch unknown field \"[1].bar\""));
}

/* The examples of RFC 7396, appendix A, as far as both are objects, and some more. */
static void test_merge_patch(void **state) {
	static const struct patch_case cases[] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
		{ "{\"a\":1}", "{\"a\":{\"b\":null,\"c\":[null]}}", "{\"a\":{\"c\":[null]}}" },
		{ "{}", "[1]", NULL, 400, "the patch must be a JSON object" },
		{ "{}", "null", NULL, 400, "the patch must be a JSON object" },
	};
	run_cases(COR_PATCH_MERGE, NULL, cases, cor_countof(cases));
}

#define SPEC(s) "{\"spec\":{" s "}}"
#define C(list) SPEC("\"containers\":[" list "]")

static void test_strategic_maps(void **state) {
	static const struct patch_case cases[] = {
		{ "{\"a\":1}", "{}", "{\"a\":1}" },
		{ "{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\"}}}",
		  "{\"metadata\":{\"labels\":{\"a\":null,\"c\":\"3\"}}}",
		  "{\"metadata\":{\"labels\":{\"b\":\"2\",\"c\":\"3\"}}}" },
		{ "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}",
		  "{\"metadata\":{\"labels\":{\"$patch\":\"replace\",\"c\":\"3\"}}}",
		  "{\"metadata\":{\"labels\":{\"c\":\"3\"}}}" },
		{ "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}",
		  "{\"metadata\":{\"labels\":{\"$patch\":\"delete\"}}}", "{\"metadata\":{\"labels\":{}}}" },
		{ "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}",
		  "{\"metadata\":{\"labels\":{\"$patch\":\"merge\",\"c\":\"3\"}}}",
		  "{\"metadata\":{\"labels\":{\"a\":\"1\",\"c\":\"3\"}}}" },
		{ "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}",
		  "{\"metadata\":{\"labels\":{\"$patch\":\"frob\",\"c\":\"3\"}}}", NULL, 500,
		  "unknown patch type: frob in map: {\"c\":\"3\"}" },
		/* a null for what is not there, also inside new maps, is dropped */
		{ "{}", "{\"spec\":null,\"metadata\":{\"labels\":{\"a\":null,\"b\":\"1\"}}}",
		  "{\"metadata\":{\"labels\":{\"b\":\"1\"}}}" },
		{ "{}", "{\"metadata\":{\"$patch\":\"delete\",\"x\":1},\"spec\":{\"$patch\":\"replace\","
		  "\"nodeName\":\"n\"}}", "{\"spec\":{\"nodeName\":\"n\"}}" },
		/* different kinds */
		{ "{\"spec\":\"x\"}", "{\"spec\":{\"nodeName\":\"n\"}}", "{\"spec\":{\"nodeName\":\"n\"}}" },
		{ "{}", "[]", NULL, 400, "the patch must be a JSON object" },
	};
	run_cases(COR_PATCH_STRATEGIC, cor_type_by_name(COR_STR("core.v1.Pod")), cases,
		cor_countof(cases));
	static const struct patch_case no_type[] = {
		{ "{}", "{}", NULL, 415, "strategic merge patch format is not supported" } };
	run_cases(COR_PATCH_STRATEGIC, NULL, no_type, 1);
}

static void test_strategic_lists(void **state) {
	static const struct patch_case cases[] = {
		/* by merge key; the sequence is that of the patch where it names elements */
		{ C("{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\"}"), C("{\"name\":\"a\",\"image\":\"2\"}"),
		  C("{\"name\":\"a\",\"image\":\"2\"},{\"name\":\"b\"}") },
		{ C("{\"name\":\"a\"}"), C("{\"name\":\"b\",\"image\":null}"), C("{\"name\":\"b\"},{\"name\":\"a\"}") },
		{ C("{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}"), C("{\"name\":\"c\"},{\"name\":\"a\"}"),
		  C("{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"a\"}") },
		{ C("{\"name\":\"a\",\"ports\":[{\"containerPort\":80}]}"),
		  C("{\"name\":\"a\",\"ports\":[{\"containerPort\":81},{\"containerPort\":80.0,\"name\":\"x\"}]}"),
		  C("{\"name\":\"a\",\"ports\":[{\"containerPort\":81},{\"containerPort\":80.0,\"name\":\"x\"}]}") },
		{ SPEC("\"containers\":null"), C("{\"name\":\"a\"}"), C("{\"name\":\"a\"}") },
		{ C("{\"name\":\"a\"}"), SPEC("\"containers\":null"), "{\"spec\":{}}" },
		/* lists without a strategy are replaced */
		{ C("{\"name\":\"a\",\"args\":[\"x\"]}"), C("{\"name\":\"a\",\"args\":[\"y\"]}"),
		  C("{\"name\":\"a\",\"args\":[\"y\"]}") },
		{ SPEC("\"tolerations\":[{\"key\":\"a\"}]"), SPEC("\"tolerations\":[{\"key\":\"b\"}]"),
		  SPEC("\"tolerations\":[{\"key\":\"b\"}]") },
		/* directives in elements */
		{ C("{\"name\":\"a\"},{\"name\":\"b\"}"), C("{\"name\":\"a\",\"$patch\":\"delete\"}"),
		  C("{\"name\":\"b\"}") },
		{ C("{\"name\":\"a\"},{\"name\":\"b\"}"), C("{\"$patch\":\"replace\"},{\"name\":\"c\"}"),
		  C("{\"name\":\"c\"}") },
		{ C("{\"name\":\"a\",\"image\":\"1\"}"), C("{\"name\":\"a\",\"$patch\":\"merge\"}"), NULL, 500,
		  "merging lists cannot yet be specified in the patch" },
		{ "{}", C("{\"name\":\"a\",\"$patch\":\"delete\"},{\"name\":\"b\"}"), C("{\"name\":\"b\"}") },
		{ C("{\"name\":\"a\"}"), C("{\"image\":\"x\"}"), NULL, 500,
		  "map: {\"image\":\"x\"} does not contain declared merge key: name" },
		{ C("{\"name\":\"a\"}"), C("{\"$patch\":\"delete\"}"), NULL, 500, "map: {" },
		{ C("{\"name\":\"a\"}"), C("[]"), NULL, 422, "lists of lists are not supported" },
		{ C("{\"name\":\"a\"}"), C("1"), NULL, 400 },
		/* scalars */
		{ "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"a\"]}}", "{\"metadata\":{\"finalizers\":[\"c\",\"b\"]}}",
		  "{\"metadata\":{\"finalizers\":[\"c\",\"a\",\"b\"]}}" },
		{ "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"c\"]}}",
		  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"b\",\"x\"]}}",
		  "{\"metadata\":{\"finalizers\":[\"a\",\"c\"]}}" },
		{ "{\"metadata\":{}}", "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"b\"]}}",
		  "{\"metadata\":{}}" },
		{ "{\"metadata\":{\"finalizers\":[\"a\"]}}",
		  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":\"b\"}}", NULL, 400,
		  "invalid patch format of primitive list" },
	};
	run_cases(COR_PATCH_STRATEGIC, cor_type_by_name(COR_STR("core.v1.Pod")), cases,
		cor_countof(cases));
}

#define ORDER(o, list) SPEC("\"$setElementOrder/containers\":[" o "],\"containers\":[" list "]")
#define N(name) "{\"name\":\"" name "\"}"

static void test_strategic_order(void **state) {
	static const struct patch_case cases[] = {
		{ C(N("a") "," N("b")), ORDER(N("b") "," N("a"), N("b")), C(N("b") "," N("a")) },
		/* live-only elements stay where they stood */
		{ C(N("x") "," N("a") "," N("y") "," N("b")),
		  SPEC("\"$setElementOrder/containers\":[" N("b") "," N("a") "]"),
		  C(N("x") "," N("y") "," N("b") "," N("a")) },
		{ C(N("a") "," N("x")), ORDER(N("a") "," N("new"), N("new")), C(N("a") "," N("new") "," N("x")) },
		{ C(N("a")), ORDER(N("a") "," N("b"), "{\"name\":\"b\",\"image\":\"i\"}"),
		  C(N("a") ",{\"name\":\"b\",\"image\":\"i\"}") },
		{ C(N("a") "," N("b")), ORDER(N("b"), "{\"name\":\"a\",\"$patch\":\"delete\"}"), C(N("b")) },
		{ "{\"spec\":{}}", SPEC("\"$setElementOrder/containers\":[" N("b") "]"), "{\"spec\":{}}" },
		{ "{\"spec\":{}}", ORDER(N("b"), N("b")), C(N("b")) },
		{ C(N("a")), ORDER(N("a"), N("b")), NULL, 500, "The order in patch list:\n[{\"name\":\"b\"}]\n "
		  "doesn't match $setElementOrder list:\n[{\"name\":\"a\"}]\n" },
		{ C(N("a")), ORDER(N("a") "," N("b"), N("b") "," N("a")), NULL, 500, "The order in patch list:" },
		{ C(N("a")), SPEC("\"$setElementOrder/containers\":1"), NULL, 400,
		  "invalid patch format of setElementOrder list" },
		{ "{\"metadata\":{\"finalizers\":[\"a\",\"s\",\"b\"]}}",
		  "{\"metadata\":{\"$setElementOrder/finalizers\":[\"b\",\"a\",\"c\"],\"finalizers\":[\"c\"]}}",
		  "{\"metadata\":{\"finalizers\":[\"s\",\"b\",\"a\",\"c\"]}}" },
	};
	run_cases(COR_PATCH_STRATEGIC, cor_type_by_name(COR_STR("core.v1.Pod")), cases,
		cor_countof(cases));
}

static void test_strategic_retain_keys(void **state) {
#define S(x) SPEC("\"strategy\":{" x "}")
	static const struct patch_case cases[] = {
		{ S("\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":1}"),
		  S("\"$retainKeys\":[\"type\"],\"type\":\"Recreate\""), S("\"type\":\"Recreate\"") },
		{ S("\"type\":\"a\""), S("\"$retainKeys\":[\"type\"],\"rollingUpdate\":null"), S("\"type\":\"a\"") },
		{ S("\"type\":\"a\""), S("\"$retainKeys\":[\"x\"],\"type\":\"b\""), NULL, 400,
		  "invalid patch format of retainKeys" },
		{ S("\"type\":\"a\""), S("\"$retainKeys\":\"x\""), NULL, 400, "invalid patch format of retainKeys" },
		/* where the schema has no such strategy it is no directive */
		{ "{\"metadata\":{\"name\":\"x\"}}", "{\"metadata\":{\"$retainKeys\":[\"y\"]}}",
		  "{\"metadata\":{\"name\":\"x\"}}" },
		{ SPEC("\"template\":{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}"),
		  SPEC("\"template\":{\"spec\":{\"volumes\":[{\"$retainKeys\":[\"name\",\"secret\"],"
		  "\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}]}}"),
		  SPEC("\"template\":{\"spec\":{\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}]}}") },
	};
	run_cases(COR_PATCH_STRATEGIC, cor_type_by_name(COR_STR("apps.v1.Deployment")), cases,
		cor_countof(cases));
	static const struct patch_case replaced[] = {
		{ SPEC("\"selector\":{\"matchLabels\":{\"a\":\"1\"}}"), SPEC("\"selector\":{\"matchLabels\":{\"b\":\"2\"}}"),
		  SPEC("\"selector\":{\"matchLabels\":{\"b\":\"2\"}}") },
	};
	run_cases(COR_PATCH_STRATEGIC, cor_type_by_name(COR_STR("policy.v1.PodDisruptionBudget")),
		replaced, 1);
}

/* Long lists and large objects on both sides must take linear time: seconds show otherwise. */
static void test_large(void **state) {
	enum { N = 20000 };
	_cleanup_buf_ struct cor_buf list = COR_BUF_INIT, back = COR_BUF_INIT, map = COR_BUF_INIT;
	cor_buf_c(&list, "{\"spec\":{\"containers\":[");
	cor_buf_c(&back, "{\"spec\":{\"containers\":[");
	cor_buf_c(&map, "{\"metadata\":{\"labels\":{");
	for (int i = 0; i < N; i++) {
		cor_buf_printf(&list, "%s{\"name\":\"n%d\"}", i ? "," : "", i);
		cor_buf_printf(&back, "%s{\"name\":\"n%d\"}", i ? "," : "", N - 1 - i);
		cor_buf_printf(&map, "%s\"k%d\":%s", i ? "," : "", i, i % 2 ? "null" : "\"x\"");
	}
	cor_buf_c(&list, "]}}");
	cor_buf_c(&back, "]}}");
	cor_buf_c(&map, "}}}");
	const struct cor_type *pod = cor_type_by_name(COR_STR("core.v1.Pod"));
	struct cor_node *got = NULL;
	struct cor_node *doc = cor_node_parse(arena, cor_buf_view(&list), NULL, NULL);
	struct cor_node *patch = cor_node_parse(arena, cor_buf_view(&back), NULL, NULL);
	assert_int_equal(cor_patch_apply(COR_PATCH_STRATEGIC, pod, doc, patch, arena, &got, NULL), 0);
	struct cor_node *c = cor_node_path(got, "spec.containers");
	assert_int_equal(c->items.n, N);
	assert_true(cor_str_eq_c(cor_node_path_str(c->items.p[0], "name"), "n19999"));
	for (enum cor_patch_type t = COR_PATCH_MERGE; t <= COR_PATCH_STRATEGIC; t++) {
		doc = cor_node_parse(arena, cor_buf_view(&map), NULL, NULL);
		patch = cor_node_parse(arena, cor_buf_view(&map), NULL, NULL);
		assert_int_equal(cor_patch_apply(t, pod, doc, patch, arena, &got, NULL), 0);
		assert_int_equal(cor_node_path(got, "metadata.labels")->members.n, N / 2);
	}
}

static void test_memory(void **state) {
	static const char doc[] = C(N("a") "," N("b")), patch[] = ORDER(N("a") "," N("c"), N("c"));
	/* each limit ends the work at another allocation; none may crash or succeed half way */
	bool done = false;
	for (size_t limit = 200; limit < 20000 && !done; limit += 40) {
		struct cor_arena *small = cor_arena_new(limit);
		struct cor_node *got = NULL;
		struct cor_err err = { 0 };
		struct cor_node *d = cor_node_parse(small, cor_str_c(doc), NULL, NULL);
		struct cor_node *p = cor_node_parse(small, cor_str_c(patch), NULL, NULL);
		if (d && p) {
			int r = cor_patch_apply(COR_PATCH_STRATEGIC,
				cor_type_by_name(COR_STR("core.v1.Pod")), d, p, small, &got, &err);
			done = r == 0;
			assert_true(done == (got != NULL));
			if (!done)
				assert_int_equal(err.code, COR_E_LIMIT);
		}
		cor_arena_free(small);
	}
	assert_true(done);
}

static void test_media_types(void **state) {
	enum cor_patch_type t;
	assert_true(cor_patch_type_from_media(COR_STR("application/json-patch+json"), &t));
	assert_int_equal(t, COR_PATCH_JSON);
	assert_true(cor_patch_type_from_media(COR_STR("application/apply-patch+yaml"), &t));
	assert_int_equal(t, COR_PATCH_APPLY);
	assert_false(cor_patch_type_from_media(COR_STR("application/json"), &t));
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_json_patch), T(test_json_patch_limits), T(test_json_patch_doubling),
		T(test_unknown_members), T(test_merge_patch), T(test_strategic_maps),
		T(test_strategic_lists), T(test_strategic_order), T(test_strategic_retain_keys),
		T(test_large), T(test_memory), T(test_media_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
