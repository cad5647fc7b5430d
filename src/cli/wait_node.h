// SPDX-License-Identifier: Apache-2.0
// Waiting for this machine's node to be Ready, as `coracle up` does before it returns.
#pragma once

#include "base/err.h"
#include "base/time.h"

/* Blocks until the node called name is Ready, says the API that the kubeconfig names. COR_E_TIMEOUT when it
 * is not within limit; COR_E_CLOSED when the other side of the pipe fd ended, -1: there is none. */
[[nodiscard]] int cor_wait_node(const char *kubeconfig, const char *name, cor_time limit, int fd, struct cor_err *err);
