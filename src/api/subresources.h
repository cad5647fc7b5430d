// SPDX-License-Identifier: Apache-2.0
// The lists of steps behind the table in subresources.c; each is in a file of its own (sub_*.c).
#pragma once

#include "api/registry_priv.h"

extern const op_step cor_sub_finalize_steps[], cor_sub_binding_steps[], cor_sub_ephemeral_steps[],
	cor_sub_eviction_steps[], cor_sub_resize_steps[], cor_sub_token_steps[];
