// SPDX-License-Identifier: Apache-2.0
// The typed JSON decoder, strict and not: what decodes must print, read back and equal its copy.
#include "typed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n), version, kind;
	const struct cor_type *t = fuzz_type(&in);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(8 << 20);
	struct cor_decode strict = { .arena = a, .strict = true }, lax = { .arena = a };
	struct cor_err err;
	void *obj, *second;
	int r;

	if (!t)
		return 0;
	(void)cor_json_typemeta(in, a, &version, &kind, &err);
	r = cor_json_decode_new(t, in, &obj, &strict, &err);
	cor_assert(strict.offset <= in.n && strict.errors.n <= COR_CODEC_ERRORS_MAX);
	/* Being strict only adds notes. */
	cor_assert(cor_json_decode_new(t, in, &second, &lax, NULL) == r || cor_arena_failed(a));
	if (r == 0)
		fuzz_check_object(t, obj, true, a);
	else
		cor_assert(err.message[0]);
	return 0;
}
