// SPDX-License-Identifier: Apache-2.0
// See typed.h.
#include "typed.h"

const struct cor_type *fuzz_type(struct cor_str *in) {
	return cor_type_by_name(fuzz_line(in));
}

void fuzz_check_object(
	const struct cor_type *t, const void *obj, bool from_json, struct cor_arena *a) {
	_cleanup_buf_ struct cor_buf one = COR_BUF_INIT, two = COR_BUF_INIT, proto = COR_BUF_INIT;
	struct cor_decode d = { .arena = a };
	void *again = cor_arena_alloc(a, t->size), *third = cor_arena_alloc(a, t->size);
	void *copy = cor_obj_dup(t, obj, a);
	int r;

	if (!copy || !again || !third)
		return;
	cor_assert(cor_obj_equal(t, obj, copy));
	cor_assert(cor_json_encode(t, obj, &one) == 0);
	r = cor_json_decode(t, cor_buf_view(&one), again, &d, NULL);
	cor_assert(r == 0 || !from_json || r == COR_E_LIMIT);
	if (r == 0) {
		cor_assert(cor_json_encode(t, again, &two) == 0);
		cor_assert(!from_json || cor_str_eq(cor_buf_view(&one), cor_buf_view(&two)));
	}
	cor_assert(cor_proto_encode(t, obj, &proto) == 0);
	r = cor_proto_decode(t, cor_buf_view(&proto), third, &d, NULL);
	cor_assert(r == 0 || r == COR_E_LIMIT || r == COR_E_UNSUPPORTED || !from_json);
	r = cor_obj_default(t, copy, a);
	cor_assert(r == 0 || cor_arena_failed(a));
}
