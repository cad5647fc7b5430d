// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the typed codec. The first byte says which type and whether the rest is JSON or
// protobuf. Whatever decodes must print, read back, print the same again, equal its copy, and
// survive protobuf. Seeds: tests/vectors with such a byte in front (seed_codec.py).
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "codec/codec.h"
#include "gen/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cor_type *const types[] = {
	&cor_type_core_v1_Pod, &cor_type_apps_v1_StatefulSet, &cor_type_core_v1_Service,
	&cor_type_core_v1_Secret, &cor_type_core_v1_PersistentVolume, &cor_type_core_v1_Node,
	&cor_type_policy_v1_PodDisruptionBudget, &cor_type_resource_v1_ResourceSlice,
	&cor_type_apiextensions_v1_JSONSchemaProps, &cor_type_authorization_v1_SubjectAccessReview,
	&cor_type_meta_v1_WatchEvent, &cor_type_coordination_v1_Lease,
};

static void check(const struct cor_type *t, const void *obj, bool json, struct cor_arena *a) {
	_cleanup_buf_ struct cor_buf one = COR_BUF_INIT, two = COR_BUF_INIT, proto = COR_BUF_INIT;
	struct cor_decode d = { .arena = a };
	void *again = cor_arena_alloc(a, t->size), *third = cor_arena_alloc(a, t->size);
	void *copy = cor_obj_dup(t, obj, a);
	if (!copy || !again || !third)
		return;
	cor_assert(cor_obj_equal(t, obj, copy));
	cor_assert(cor_json_encode(t, obj, &one) == 0);
	/* Raw in protobuf may be any bytes; from JSON everything is JSON again. */
	int r = cor_json_decode(t, cor_buf_view(&one), again, &d, NULL);
	cor_assert(r == 0 || !json || r == COR_E_LIMIT);
	if (r < 0)
		return;
	cor_assert(cor_json_encode(t, again, &two) == 0);
	cor_assert(!json || cor_str_eq(cor_buf_view(&one), cor_buf_view(&two)));
	cor_assert(cor_proto_encode(t, obj, &proto) == 0);
	r = cor_proto_decode(t, cor_buf_view(&proto), third, &d, NULL);
	cor_assert(r == 0 || r == COR_E_LIMIT || r == COR_E_UNSUPPORTED || !json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 1)
		return 0;
	const struct cor_type *t = types[(data[0] >> 1) % cor_countof(types)];
	bool json = data[0] & 1;
	struct cor_str input = { (const char *)data + 1, size - 1 };
	struct cor_arena *a = cor_arena_new(8 << 20);
	struct cor_decode d = { .arena = a, .strict = true };
	struct cor_err err;
	void *obj = cor_arena_alloc(a, t->size);
	int r = json ? cor_json_decode(t, input, obj, &d, &err) :
		cor_proto_decode(t, input, obj, &d, &err);
	if (r == 0)
		check(t, obj, json, a);
	cor_arena_free(a);
	return 0;
}
