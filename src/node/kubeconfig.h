// SPDX-License-Identifier: Apache-2.0
// What the agent and the DNS server need of a kubeconfig file: the current context's server and
// credentials, given inline (the ...-data members).
#pragma once

#include "net/api_client.h"

/* What the file says now about who we are, for connections from now on. */
[[nodiscard]] int cor_api_reread_kubeconfig(struct cor_api *api, const char *path, struct cor_err *err);
/* An API client by this file; NULL on failure. */
struct cor_api *cor_api_from_kubeconfig(struct uv_loop_s *loop, struct cor_world *world, const char *path,
	const char *user_agent, struct cor_err *err);
