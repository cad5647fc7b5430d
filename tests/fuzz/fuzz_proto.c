// SPDX-License-Identifier: Apache-2.0
// The typed protobuf decoder, with and without the envelope: what decodes must print as JSON and as
// protobuf, and equal its copy.
#include "typed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n);
	const struct cor_type *t = fuzz_type(&in);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(8 << 20);
	struct cor_decode d = { .arena = a };
	struct cor_envelope e;
	struct cor_err err;
	void *obj = t ? cor_arena_alloc(a, t->size) : NULL;
	int r;

	if (!obj)
		return 0;
	if (cor_proto_open(in, &e, &err) == 0)
		r = cor_proto_decode_envelope(t, in, obj, &d, &err);
	else
		r = cor_proto_decode(t, in, obj, &d, &err);
	if (r == 0)
		fuzz_check_object(t, obj, false, a);
	else
		cor_assert(err.message[0]);
	return 0;
}
