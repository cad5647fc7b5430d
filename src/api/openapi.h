// SPDX-License-Identifier: Apache-2.0
// OpenAPI v2 and v3 documents, made from the schema's tables.
#pragma once

struct cor_http_req;
struct cor_registry;

/* Answers a request below /openapi/. */
void cor_openapi_handle(struct cor_registry *r, struct cor_http_req *req);
