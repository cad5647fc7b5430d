// SPDX-License-Identifier: Apache-2.0
// JSON without a type: the generic tree must print in every form to what reads back as the same,
// and the cutter that informers use must find in a document what the tree has.
#include "codec/tree.h"
#include "fuzz.h"
#include "net/json_cut.h"

static void check_cut(struct cor_str json, const struct cor_node *n) {
	struct cor_str key, value;
	size_t at = 0, found = 0;

	if (cor_node_is(n, COR_NODE_OBJECT)) {
		while (cor_json_cut_member(json, &at, &key, &value)) {
			cor_assert(value.p >= json.p && value.p + value.n <= json.p + json.n);
			(void)cor_json_cut_str(value);
			found++;
		}
		cor_assert(found >= n->members.n); /* keys that occur twice are cut twice */
	} else if (cor_node_is(n, COR_NODE_ARRAY)) {
		while (cor_json_cut_element(json, &at, &value))
			found++;
		cor_assert(found == n->items.n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static const int forms[] = { COR_PRINT_PLAIN, COR_PRINT_SORTED, COR_PRINT_PRETTY,
		COR_PRINT_SORTED | COR_PRINT_PRETTY };
	struct cor_str in = fuzz_input(data, n), key, value;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(16 << 20);
	struct cor_strlist dups = { 0 };
	struct cor_err err;
	struct cor_node *doc = cor_node_parse(a, in, &dups, &err), *again;
	size_t at = 0;

	if (!doc) {
		cor_assert(err.message[0] && (err.code == COR_E_PARSE || err.code == COR_E_LIMIT));
		while (cor_json_cut_member(in, &at, &key, &value))
			cor_assert(value.p >= in.p && value.p + value.n <= in.p + in.n);
		return 0;
	}
	cor_assert(dups.n <= COR_TREE_DUPS_MAX);
	check_cut(in, doc);
	for (size_t i = 0; i < cor_countof(forms); i++) {
		_cleanup_buf_ struct cor_buf one = COR_BUF_INIT, two = COR_BUF_INIT;

		cor_node_print(&one, doc, forms[i]);
		again = cor_node_parse(a, cor_buf_view(&one), NULL, NULL);
		if (!again) {
			cor_assert(cor_arena_failed(a));
			return 0;
		}
		cor_assert(cor_node_equal(doc, again));
		cor_node_print(&two, again, forms[i]);
		cor_assert(cor_str_eq(cor_buf_view(&one), cor_buf_view(&two)));
	}
	again = cor_node_copy(a, doc);
	cor_assert(!again || cor_node_equal(doc, again));
	return 0;
}
