// SPDX-License-Identifier: Apache-2.0
// OpenAPI documents: to come.
#include "api/openapi.h"

#include "net/http.h"

void cor_openapi_handle(struct cor_registry *r, struct cor_http_req *req) {
	(void)r;
	cor_http_reply(req, 404, "text/plain; charset=utf-8", COR_STR("404 page not found\n"));
}
