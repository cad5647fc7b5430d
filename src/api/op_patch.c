// SPDX-License-Identifier: Apache-2.0
// Patches: the text is applied to a document of the version the client asked for, and the result
// is decoded as a request body would be. What field validation finds is said about the patch
// (facts/api-machinery.md section 6).
#include "api/registry_priv.h"

int cor_op_patch(struct op_run *x, const struct cor_type *t, struct cor_str json, void **ret) {
	(void)t, (void)json, (void)ret;
	return cor_op_bad_request(x, "patches of this type are not supported");
}
