// SPDX-License-Identifier: Apache-2.0
// Tokens of a pod's service account; see pod_token.c. Kept up to date from the first time one is
// asked for until the pod's volumes go.
#pragma once

#include "node/pod_priv.h"

/* Never NULL; its token is NULL until it is there (the pod's volumes are told then). */
const struct pod_token *pod_token_get(struct pod *p, struct cor_str audience, int64_t seconds);
/* All of them now: by the clock that was set they are too old, or not good yet. */
void pod_tokens_renew(struct pod *p);
void pod_tokens_free(struct pod *p);
