// SPDX-License-Identifier: Apache-2.0
// Waiting for this machine's node to be Ready, as `coracle up` does before it returns.
#pragma once

#include "base/err.h"
#include "base/time.h"

/* Blocks until the node called name is Ready at the API at url. pki_dir holds ca.crt, admin.crt and
 * admin.key. COR_E_TIMEOUT when it is not within limit. */
[[nodiscard]] int cor_wait_node(const char *url, const char *pki_dir, const char *name, cor_time limit,
	struct cor_err *err);
