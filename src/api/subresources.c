// SPDX-License-Identifier: Apache-2.0
// The table of subresources that are one call on the parent object.
#include "api/subresources.h"

static const struct cor_subresource_ops table[] = {
	{ COR_RES_NAMESPACES, "finalize", cor_sub_finalize_steps },
	{ COR_RES_PODS, "binding", cor_sub_binding_steps },
	{ COR_RES_PODS, "ephemeralcontainers", cor_sub_ephemeral_steps },
	{ COR_RES_PODS, "eviction", cor_sub_eviction_steps },
	{ COR_RES_PODS, "resize", cor_sub_resize_steps },
	{ COR_RES_SERVICEACCOUNTS, "token", cor_sub_token_steps },
};

const struct cor_subresource_ops *cor_subresource_ops(enum cor_res res, struct cor_str name) {
	for (size_t i = 0; i < cor_countof(table); i++)
		if (table[i].res == res && cor_str_eq_c(name, table[i].name))
			return &table[i];
	return NULL;
}
