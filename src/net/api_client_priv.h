// SPDX-License-Identifier: Apache-2.0
// What the API client and the informers share.
#pragma once

#include "net/api_client.h"

enum { COR_API_HEADERS_MAX = 4 };

struct cor_api {
	struct cor_http_client *http;
	struct cor_tls *tls;
	struct cor_world *world;
	char *host, *ca, *cert, *key, *authorization, *agent;
	int port;
	bool https;
};

COR_DEFINE_CLEANUP(struct cor_api *, cor_api_free)

/* Headers of every request; one place is left for a content type. */
size_t cor_api_headers(const struct cor_api *a, struct cor_http_header h[COR_API_HEADERS_MAX]);
