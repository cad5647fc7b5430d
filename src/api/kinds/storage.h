// SPDX-License-Identifier: Apache-2.0
// Validation of claims, volumes and classes, for the tables in storage.c and for claim templates.
#pragma once

#include "api/kinds/kinds.h"
#include "gen/storage_v1.h"

/* Of a claim or a claim template. */
void cor_claim_spec_validate(struct cor_field_errors *e, const struct cor_fpath *spec,
	const struct core_v1_PersistentVolumeClaimSpec *s);
void cor_claim_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_claim_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_volume_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_volume_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);
void cor_class_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e);
void cor_class_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e);

/* The members of a source are pointers, one of which may be set: the others are reported with the
 * text. How many are set. */
size_t cor_validate_one_of(struct cor_field_errors *e, const struct cor_fpath *at,
	const struct cor_type *t, const void *source, const char *several);
/* A path on a node: there, and without "..". */
void cor_validate_host_path(
	struct cor_field_errors *e, const struct cor_fpath *at, struct cor_str path);
