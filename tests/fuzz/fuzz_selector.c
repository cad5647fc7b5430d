// SPDX-License-Identifier: Apache-2.0
// Label and field selectors. The first line is the selector, every further line a label KEY=VALUE.
// What parses must print to a text that parses to the same: it prints the same and matches the
// same.
#include "codec/selector.h"
#include "fuzz.h"

static int compare(const void *a, const void *b) {
	return cor_str_cmp(((const struct cor_kv *)a)->key, ((const struct cor_kv *)b)->key);
}

static struct cor_strmap labels_of(struct cor_str in, struct cor_kv *kv, size_t max) {
	struct cor_strmap m = { kv, 0 };

	while (in.n && m.n < max) {
		struct cor_str value = fuzz_line(&in), key = cor_str_cut(&value, '=');

		kv[m.n++] = (struct cor_kv){ key, value.p ? value : COR_STR("") };
	}
	qsort(kv, m.n, sizeof(*kv), compare);
	return m;
}

static void labels(struct cor_arena *a, struct cor_str text, const struct cor_strmap *m) {
	struct cor_selector s, again;
	struct cor_str one, two;
	struct cor_err err;

	if (cor_selector_parse(a, text, &s, &err) < 0) {
		cor_assert(err.message[0]);
		return;
	}
	one = cor_selector_print(a, &s);
	if (cor_selector_parse(a, one, &again, &err) < 0) {
		cor_assert(cor_arena_failed(a));
		return;
	}
	two = cor_selector_print(a, &again);
	cor_assert(cor_str_eq(one, two));
	cor_assert(cor_selector_matches(&s, m) == cor_selector_matches(&again, m));
}

static void fields(struct cor_arena *a, struct cor_str text, const struct cor_strmap *m) {
	struct cor_selector s, again;
	struct cor_str one;
	struct cor_err err;

	if (cor_fields_parse(a, text, &s, &err) < 0) {
		cor_assert(err.message[0]);
		return;
	}
	one = cor_fields_print(a, &s);
	if (cor_fields_parse(a, one, &again, &err) < 0) {
		cor_assert(cor_arena_failed(a));
		return;
	}
	cor_assert(cor_str_eq(one, cor_fields_print(a, &again)));
	cor_assert(cor_fields_match(&s, m) == cor_fields_match(&again, m));
	(void)cor_fields_required(&s, COR_STR("metadata.name"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n), text = fuzz_line(&in);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(4 << 20);
	struct cor_kv kv[16];
	struct cor_strmap m = labels_of(in, kv, cor_countof(kv));

	labels(a, text, &m);
	fields(a, text, &m);
	return 0;
}
