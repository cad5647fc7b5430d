// SPDX-License-Identifier: Apache-2.0
// The metadata of any typed object of a kind (COR_TF_OBJECT), found through its type's table.
#pragma once

#include "base/assert.h"
#include "codec/type.h"
#include "gen/meta_v1.h"

static inline struct meta_v1_ObjectMeta *cor_meta(const struct cor_type *t, void *obj) {
	const struct cor_field *f = cor_type_field(t, COR_STR("metadata"));
	cor_assert(f && (t->flags & COR_TF_OBJECT));
	return (struct meta_v1_ObjectMeta *)((char *)obj + f->offset);
}

static inline const struct meta_v1_ObjectMeta *cor_meta_const(const struct cor_type *t,
	const void *obj) {
	const struct cor_field *f = cor_type_field(t, COR_STR("metadata"));
	cor_assert(f && (t->flags & COR_TF_OBJECT));
	return (const struct meta_v1_ObjectMeta *)((const char *)obj + f->offset);
}
