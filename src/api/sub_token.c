// SPDX-License-Identifier: Apache-2.0
// serviceaccounts/token: a TokenRequest is answered with a signed token of the account.
#include "api/subresources.h"

static int step_unavailable(struct op_run *x) {
	return cor_fail_status(&x->op->err, COR_REASON_SERVICE_UNAVAILABLE, "no token signer");
}

const op_step cor_sub_token_steps[] = { step_unavailable, NULL };
