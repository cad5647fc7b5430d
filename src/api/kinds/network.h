// SPDX-License-Identifier: Apache-2.0
// Validation of slices and of networking.k8s.io, for the tables in core.c and others.c.
#pragma once

#include "api/kinds/kinds.h"
#include "gen/discovery_v1.h"
#include "gen/networking_v1.h"

void cor_slice_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_slice_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_ingress_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_ingress_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_ingressclass_validate(
	struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_ingressclass_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_networkpolicy_validate(
	struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_networkpolicy_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
