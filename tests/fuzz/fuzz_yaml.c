// SPDX-License-Identifier: Apache-2.0
// YAML: what reads must print to YAML and to JSON that read back as the same.
#include "codec/yaml_tree.h"
#include "fuzz.h"

static void check(struct cor_arena *a, const struct cor_node *doc) {
	_cleanup_buf_ struct cor_buf yaml = COR_BUF_INIT, json = COR_BUF_INIT;
	struct cor_node *again;
	struct cor_err err;

	cor_yaml_print(&yaml, doc);
	cor_node_print(&json, doc, COR_PRINT_PLAIN);
	again = cor_yaml_parse(a, cor_buf_view(&yaml), NULL, &err);
	cor_assert(again ? cor_node_equal(doc, again) : err.code == COR_E_LIMIT);
	again = cor_node_parse(a, cor_buf_view(&json), NULL, &err);
	cor_assert(again ? cor_node_equal(doc, again) : err.code == COR_E_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(16 << 20);
	struct cor_strlist dups = { 0 };
	struct cor_items docs = { 0 };
	struct cor_err err;
	const struct cor_node *doc = cor_yaml_parse(a, in, &dups, &err);

	cor_assert(doc || err.message[0]);
	if (doc)
		check(a, doc);
	if (cor_yaml_parse_all(a, in, &docs, NULL, &err) < 0)
		cor_assert(err.message[0]);
	return 0;
}
