// SPDX-License-Identifier: Apache-2.0
// Validation of the workload kinds, for the tables in workloads.c.
#pragma once

#include "api/kinds/kinds.h"
#include "gen/apps_v1.h"

void cor_deployment_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_deployment_validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e);
void cor_replicaset_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_replicaset_validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e);
void cor_statefulset_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_statefulset_validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e);
