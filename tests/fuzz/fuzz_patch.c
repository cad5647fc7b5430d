// SPDX-License-Identifier: Apache-2.0
// The patch types. An input is the name of a type, the word json, merge or strategic, the patch,
// and the object, a line each. The result must print, read back, and a merge patch applied twice
// must change nothing the second time.
#include "codec/patch.h"
#include "fuzz.h"

static const struct {
	const char *name;
	enum cor_patch_type type;
} types[] = { { "json", COR_PATCH_JSON }, { "merge", COR_PATCH_MERGE },
	{ "strategic", COR_PATCH_STRATEGIC } };

static void check_result(enum cor_patch_type type, const struct cor_type *t, struct cor_node *got,
	struct cor_str patch_text, struct cor_arena *a) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	struct cor_node *again, *twice, *patch;
	struct cor_err err;

	cor_node_print(&out, got, COR_PRINT_PLAIN);
	again = cor_node_parse(a, cor_buf_view(&out), NULL, &err);
	cor_assert(again ? cor_node_equal(got, again) : err.code == COR_E_LIMIT);
	patch = cor_node_parse(a, patch_text, NULL, &err);
	if (type != COR_PATCH_MERGE || !again || !patch)
		return;
	if (cor_patch_apply(type, t, again, patch, a, &twice, &err) < 0)
		cor_assert(err.code == COR_E_LIMIT);
	else
		cor_assert(cor_node_equal(got, twice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n);
	const struct cor_type *t = cor_type_by_name(fuzz_line(&in));
	struct cor_str word = fuzz_line(&in), patch_text = fuzz_line(&in);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(16 << 20);
	struct cor_node *patch = cor_node_parse(a, patch_text, NULL, NULL);
	struct cor_node *object = cor_node_parse(a, in, NULL, NULL), *got = NULL;
	struct cor_strlist unknown = { 0 };
	struct cor_err err = { 0 };

	if (!patch || !object)
		return 0;
	for (size_t i = 0; i < cor_countof(types); i++) {
		if (!cor_str_eq_c(word, types[i].name))
			continue;
		if (types[i].type == COR_PATCH_JSON)
			cor_patch_unknown_members(patch, a, &unknown);
		if (cor_patch_apply(types[i].type, t, object, patch, a, &got, &err) < 0)
			cor_assert(err.message[0]);
		else
			check_result(types[i].type, t, got, patch_text, a);
	}
	return 0;
}
