// SPDX-License-Identifier: Apache-2.0
// Libraries of the system that only one of our processes needs, and that one perhaps never: linked,
// every process would load them with all that they need themselves, and pay for it in memory and in
// the time of its start. They are opened when they are first used. A user of such a library has
//   #define X_FUNCTIONS(F) F(x_, open) F(x_, close)
//   struct x_lib { X_FUNCTIONS(COR_LIB_MEMBER) };       members open and close, typed as x's header
//   has them static const char *const names[] = { X_FUNCTIONS(COR_LIB_NAME) };
#pragma once

#include <stddef.h>

#include "base/err.h"

#define COR_LIB_MEMBER(prefix, function) __typeof__(prefix##function) *function;
#define COR_LIB_NAME(prefix, function) #prefix #function,

/* Opens the library, for good, and fills n pointers at ret with its functions. Any thread. */
[[nodiscard]] int cor_lib_open(
	const char *soname, const char *const names[], size_t n, void *ret, struct cor_err *err);
