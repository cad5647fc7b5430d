// SPDX-License-Identifier: Apache-2.0
// A failed assertion names itself on stderr and aborts. No allocation and no lock on the way:
// the process may be broken in any manner by now.
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void cor_assert_failed(const char *expr, const char *file, int line) {
	char text[512];
	int n = snprintf(text, sizeof(text), "coracle: assertion failed: %s (%s:%d)\n", expr, file,
		line);
	size_t len = n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1;
	ssize_t written = write(STDERR_FILENO, text, len);
	(void)written;
	abort();
}
