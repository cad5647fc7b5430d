// SPDX-License-Identifier: Apache-2.0
// Heap memory that never fails: without memory the process says so in one line and aborts.
// Everything is owned by the caller and freed with free().
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

_Noreturn static void out_of_memory(size_t size) {
	char text[96];
	int n = snprintf(text, sizeof(text), "coracle: out of memory, cannot allocate %zu bytes\n",
		size);
	ssize_t written = write(STDERR_FILENO, text, (size_t)n);
	(void)written;
	abort();
}

void *cor_calloc(size_t count, size_t size) {
	void *p = calloc(count ? count : 1, size ? size : 1);
	if (!p)
		out_of_memory(size && count > SIZE_MAX / size ? SIZE_MAX : count * size);
	return p;
}

void *cor_realloc(void *p, size_t size) {
	void *q = realloc(p, size ? size : 1);
	if (!q)
		out_of_memory(size);
	return q;
}

char *cor_str_dup_c(struct cor_str s) {
	char *copy = cor_calloc(s.n + 1, 1);
	if (s.n)
		memcpy(copy, s.p, s.n);
	return copy;
}

char *cor_strdup(const char *s) {
	cor_assert(s != NULL);
	return cor_str_dup_c(cor_str_c(s));
}

char *cor_asprintf(const char *fmt, ...) {
	va_list ap;
	va_start(ap, fmt);
	char *text = NULL;
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(0);
	return text;
}
