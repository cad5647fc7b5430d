// SPDX-License-Identifier: Apache-2.0
// OpenAPI v2 and v3 documents, made from the schema's tables when they are asked for; only their hashes
// are kept. The builders are plain functions to a buffer.
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "codec/type.h"

struct cor_http_req;
struct cor_registry;

/* Answers a request below /openapi/. */
void cor_openapi_handle(struct cor_registry *r, struct cor_http_req *req);

enum cor_openapi { COR_OPENAPI_V2, COR_OPENAPI_V3 };

/* The document of one group and version ("" and "v1": core). False when there is none. */
bool cor_openapi_v3(struct cor_str group, struct cor_str version, struct cor_buf *out);
/* The one document of v2. */
void cor_openapi_v2(struct cor_buf *out);
/* The same as protobuf, from its JSON. */
bool cor_openapi_v2_proto(struct cor_str json, struct cor_buf *out);

/* ---- for the builders ---- */

/* "io.k8s.api.core.v1.Pod" */
void cor_openapi_name(const struct cor_type *t, struct cor_buf *out);
/* The members of components.schemas or definitions: every type that is reached from roots. */
void cor_openapi_schemas(enum cor_openapi v, const struct cor_type *const *roots, size_t n,
	struct cor_buf *out);
/* Appends {"$ref":"..."} */
void cor_openapi_ref(enum cor_openapi v, const struct cor_type *t, struct cor_buf *out);
/* The members of paths of one resource, each behind a comma unless *first. */
void cor_openapi_paths(enum cor_openapi v, const struct cor_resource *r, bool *first, struct cor_buf *out);
