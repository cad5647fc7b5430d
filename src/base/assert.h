// SPDX-License-Identifier: Apache-2.0
// Assertions stay on in releases. They are for our own mistakes only, never for input.
#pragma once

_Noreturn void cor_assert_failed(const char *expr, const char *file, int line);

#define cor_assert(expr) \
	((expr) ? (void)0 : cor_assert_failed(#expr, __FILE__, __LINE__))
