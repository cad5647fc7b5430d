// SPDX-License-Identifier: Apache-2.0
// Validation of the small kinds of core/v1, for the tables in core.c.
#pragma once

#include "api/kinds/kinds.h"

void cor_configmap_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_configmap_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_secret_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_secret_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_node_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_node_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_node_validate_status(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_namespace_validate_status(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_endpoints_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_endpoints_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_event_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);

/* Name, protocol and application protocol of a port of Endpoints or an EndpointSlice. */
void cor_validate_endpoint_port(struct cor_field_errors *e, const struct cor_fpath *at,
	struct cor_str name, bool named, struct cor_str protocol, struct cor_str app);
