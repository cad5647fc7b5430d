// SPDX-License-Identifier: Apache-2.0
// Rules of PodSpec, shared by pods and by every kind with a pod template (facts/kinds.md 4.1, 5).
#pragma once

#include "api/field_errors.h"
#include "api/kind.h"
#include "gen/core_v1.h"

/* What templates and pods have in common. */
void cor_podspec_defaults(struct cor_arena *a, struct core_v1_PodSpec *spec);
/* Of a PersistentVolumeClaim or a claim template. */
void cor_claim_spec_defaults(struct core_v1_PersistentVolumeClaimSpec *spec);

/* Field errors of a spec at path. claims: names of claim templates, which count as volumes. */
void cor_podspec_validate(struct cor_field_errors *e, const struct cor_fpath *path,
	const struct core_v1_PodSpec *spec, bool pod, const struct cor_str *claims, size_t n_claims);
/* Terms that select nodes, of pods and of volumes. */
void cor_node_selector_validate(struct cor_field_errors *e, const struct cor_fpath *at,
	const struct core_v1_NodeSelector *s);
/* What a pod's spec may not change. */
void cor_podspec_validate_update(struct cor_kind_ctx *ctx, struct cor_field_errors *e,
	const struct core_v1_PodSpec *now, const struct core_v1_PodSpec *old);

/* Small writers for defaults: set *field when it is absent. */
static inline void cor_default_str(struct cor_str *field, const char *text) {
	if (field->n == 0)
		*field = cor_str_c(text);
}
void cor_default_i32(struct cor_arena *a, int32_t **field, int32_t v);
void cor_default_i64(struct cor_arena *a, int64_t **field, int64_t v);
void cor_default_bool(struct cor_arena *a, bool **field, bool v);
