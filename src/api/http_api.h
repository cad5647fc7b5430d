// SPDX-License-Identifier: Apache-2.0
// The API over HTTP: what the server process gives its requests to.
#pragma once

#include "api/auth.h"
#include "api/registry.h"
#include "net/http.h"

struct cor_http_api;
struct uv_loop_s;

struct cor_http_api_config {
	struct cor_registry *registry;
	struct uv_loop_s *loop;
	struct cor_tokens tokens;               /* key and issuer stay the caller's */
	struct cor_str ca_pem;                  /* of the cluster; stays the caller's, as the next two */
	struct cor_str kubelet_cert, kubelet_key;       /* who we are towards nodes, PEM */
};
struct cor_http_api *cor_http_api_new(const struct cor_http_api_config *c);
/* A renewed certificate for connections to nodes from now on; stays the caller's. */
[[nodiscard]] int cor_http_api_set_kubelet_cert(struct cor_http_api *api, struct cor_str cert, struct cor_str key,
	struct cor_err *err);
/* After the HTTP server has closed. */
void cor_http_api_free(struct cor_http_api *api);
/* For struct cor_http_config. */
void cor_http_api_handle(void *api, struct cor_http_req *req);
void cor_http_api_closed(void *api, struct cor_http_req *req);
/* From now on readyz fails and watches are ended, so that the server can close. */
void cor_http_api_drain(struct cor_http_api *api);
