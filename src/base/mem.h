// SPDX-License-Identifier: Apache-2.0
// Heap memory and cleanup attributes. Long-lived memory of ours is small and bounded by limits,
// so running out of heap is fatal with a clear line; what a request or a container can grow goes
// through an arena or a buffer with a limit, and there running out is an error reply.
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

/* Never return NULL; memory is zeroed. */
void *cor_calloc(size_t count, size_t size);
void *cor_realloc(void *p, size_t size);
char *cor_strdup(const char *s);
/* NUL-terminated heap copy; absent becomes "". */
char *cor_str_dup_c(struct cor_str s);
char *cor_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define cor_new(type) ((type *)cor_calloc(1, sizeof(type)))

static inline void cor_freep(void *pp) {
	free(*(void **)pp);
}
static inline void cor_closep(int *fd) {
	if (*fd >= 0)
		(void)close(*fd);
}

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _cleanup_free_ _cleanup_(cor_freep)
#define _cleanup_close_ _cleanup_(cor_closep)

/* Typed take: returns the value and leaves NULL (or -1) behind. */
#define cor_take(ptr) \
	({ __typeof__(ptr) taken_ = (ptr); (ptr) = NULL; taken_; })
#define cor_take_fd(fd) \
	({ int taken_ = (fd); (fd) = -1; taken_; })

#define COR_DEFINE_CLEANUP(type, fn) \
	static inline void fn##p(type *p) { if (*p) fn(*p); }

#define cor_countof(a) (sizeof(a) / sizeof((a)[0]))
#define cor_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
