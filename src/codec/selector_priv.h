// SPDX-License-Identifier: Apache-2.0
// What the selector files share.
#pragma once

#include "codec/selector.h"

void cor_selector_sort_values(struct cor_strlist *values);      /* and drops what occurs twice */
void cor_selector_sort(struct cor_selector *s);
int cor_selector_no_memory(struct cor_err *err);
