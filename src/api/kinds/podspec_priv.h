// SPDX-License-Identifier: Apache-2.0
// The parts of a PodSpec's validation: podspec_validate.c calls the others.
#pragma once

#include "api/kinds/podspec.h"

/* Where pods may run, with which rights, and what they see of names (podspec_policy.c). */
void cor_podspec_policy_validate(
	struct cor_field_errors *e, const struct cor_fpath *path, const core_v1_PodSpec *spec);
/* A container's securityContext; s may be NULL. */
void cor_container_rights_validate(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_SecurityContext *s, const core_v1_PodSpec *spec);

/* Names of volumes, and what each kind of volume needs (podspec_volumes.c). */
void cor_podspec_volumes_validate(
	struct cor_field_errors *e, const struct cor_fpath *path, const core_v1_PodSpec *spec);
