// SPDX-License-Identifier: Apache-2.0
// What every fuzz target shares: the one function that libFuzzer (or replay.c) calls, and how an
// input is cut into its parts. Inputs begin with a line of text where a target has a choice to
// make, so that seeds can be read and written by hand and stay right when a table grows.
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline struct cor_str fuzz_input(const uint8_t *data, size_t n) {
	return (struct cor_str){ (const char *)data, n };
}

/* Takes the first line off; the rest is empty when there is no newline. */
static inline struct cor_str fuzz_line(struct cor_str *in) {
	struct cor_str line = cor_str_cut(in, '\n');

	if (!in->p)
		*in = COR_STR("");
	return line;
}

/* Text that a function takes as a C string, NUL-terminated and on the heap of its own, where ASAN
 * sees its ends; it ends at the first NUL. */
static inline char *fuzz_cstr(struct cor_str s) {
	return cor_str_dup_c(cor_str_sub(s, 0, cor_str_chr(s, '\0')));
}
