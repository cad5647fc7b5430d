// SPDX-License-Identifier: Apache-2.0
// The one table that names all kinds with rules of their own.
#include "api/kind.h"
#include "base/mem.h"

static const struct cor_kind_ops *const kinds[COR_RES_MAX];

const struct cor_kind_ops *cor_kind_ops(enum cor_res res) {
	return res >= 0 && res < COR_RES_MAX ? kinds[res] : NULL;
}
