// SPDX-License-Identifier: Apache-2.0
// Preloaded into a program, counts what it asks of the heap: calls and bytes, of all threads, kept
// in the file $BENCH_ALLOCS/PID from the start on, so that it can be read while the program runs.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);

#define EXPORT __attribute__((visibility("default")))

struct counters {
	_Atomic uint64_t calls, bytes;
};

static struct counters before_file, *_Atomic counters = &before_file;

static void count(size_t n) {
	struct counters *c = counters;
	atomic_fetch_add_explicit(&c->calls, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->bytes, n, memory_order_relaxed);
}

EXPORT void *malloc(size_t n);
EXPORT void *calloc(size_t items, size_t n);
EXPORT void *realloc(void *p, size_t n);

void *malloc(size_t n) {
	count(n);
	return __libc_malloc(n);
}

void *calloc(size_t items, size_t n) {
	count(items * n);
	return __libc_calloc(items, n);
}

void *realloc(void *p, size_t n) {
	count(n);
	return __libc_realloc(p, n);
}

__attribute__((constructor)) static void begin(void) {
	const char *dir = getenv("BENCH_ALLOCS");
	char path[300];
	if (!dir || snprintf(path, sizeof(path), "%s/%d", dir, (int)getpid()) >= (int)sizeof(path))
		return;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	void *p = fd >= 0 && ftruncate(fd, sizeof(struct counters)) == 0
			  ? mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED,
				    fd, 0)
			  : MAP_FAILED;
	if (fd >= 0)
		(void)close(fd);
	if (p == MAP_FAILED)
		return;
	memcpy(p, &before_file, sizeof(before_file));
	counters = p;
}
