// SPDX-License-Identifier: Apache-2.0
// Values that the API has and C has not: what a field of a generated struct may hold besides
// strings, numbers and structs. Times are cor_time, quantities their canonical text.
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "base/time.h"

/* A number or a string ("80", "http", "25%"); absent is what {} initialises. */
enum cor_intstr_kind { COR_INTSTR_NONE = 0, COR_INTSTR_INT, COR_INTSTR_STR };

struct cor_intstr {
	uint8_t kind;           /* enum cor_intstr_kind */
	int32_t i;
	struct cor_str s;
};

struct cor_strlist {
	struct cor_str *p;
	size_t n;
};
