// SPDX-License-Identifier: Apache-2.0
// What the files about Services share, and what other kinds with addresses take from them.
#pragma once

#include "api/kinds/kinds.h"

static inline bool cor_service_is(const core_v1_Service *s, const char *type) {
	return cor_str_eq_c(s->spec.type, type);
}

static inline bool cor_service_is_headless(const core_v1_Service *s) {
	return cor_str_eq(s->spec.clusterIP, COR_STR("None"));
}

/* Can be reached from outside the cluster. */
static inline bool cor_service_is_external(const core_v1_Service *s) {
	return cor_service_is(s, "NodePort") || cor_service_is(s, "LoadBalancer") ||
	       (cor_service_is(s, "ClusterIP") && s->spec.externalIPs.n > 0);
}

void cor_service_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_service_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_service_validate_status(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);

/* An address that packets may be sent to: no loopback, link-local or unspecified one. */
void cor_validate_endpoint_ip(
	struct cor_field_errors *e, const struct cor_fpath *at, struct cor_str text);
