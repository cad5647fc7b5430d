// SPDX-License-Identifier: Apache-2.0
// Preloaded by test_clock.py: the wall clock of a process is off by as many seconds as a file says. The file is
// mapped before main(), so that a sandbox without files does not matter; the monotonic clock is not touched.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *off;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void start(void) {
	const char *path = getenv("COR_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*off), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		off = p;
	if (fd >= 0)
		(void)close(fd);
	real = (int (*)(clockid_t, struct timespec *))(uintptr_t)dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t id, struct timespec *t) {
	if (!real)
		start();
	int r = real(id, t);
	if (r == 0 && off && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += *off;
	return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	*tv = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
	return 0;
}

time_t time(time_t *ret) {
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}
