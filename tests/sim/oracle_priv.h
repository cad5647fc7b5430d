// SPDX-License-Identifier: Apache-2.0
// What the rules of the controllers share: reading the state anew (oracle.c).
#pragma once

#include "sim/cluster.h"

struct look_list look_all(struct look *l, enum cor_res res, struct cor_str ns);
bool look_matches(const struct cor_strmap *selector, const struct cor_strmap *labels);
bool look_owned_by(const struct meta_v1_ObjectMeta *m, struct cor_str uid);
