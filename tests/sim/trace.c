// SPDX-License-Identifier: Apache-2.0
// What happened, line by line. The last lines are kept for who looks for the reason of a failure;
// the hash of all of them says whether two runs were the same.
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "sim/cluster.h"

static void add_line(struct cluster *c, const char *fmt, va_list ap) {
	struct trace *t = &c->trace;
	char *line = t->lines[t->n++ % TRACE_LINES];
	cor_time at = mono(c) - c->started;
	int n = snprintf(line, TRACE_WIDTH, "%6lld.%06lld ", (long long)(at / COR_SECOND),
		(long long)(at % COR_SECOND));
	(void)vsnprintf(line + n, (size_t)(TRACE_WIDTH - n), fmt, ap);
	for (const char *p = line; *p; p++)
		t->hash = (t->hash ^ (unsigned char)*p) * 1099511628211u;
	if (t->print)
		(void)puts(line);
}

void trace(struct cluster *c, const char *fmt, ...) {
	va_list ap;
	va_start(ap, fmt);
	add_line(c, fmt, ap);
	va_end(ap);
}

void violation(struct cluster *c, const char *fmt, ...) {
	if (c->failure[0])
		return;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(c->failure, sizeof(c->failure), fmt, ap);
	va_end(ap);
	trace(c, "VIOLATION: %s", c->failure);
}

void trace_dump(const struct cluster *c, int fd) {
	const struct trace *t = &c->trace;
	size_t first = t->n > TRACE_LINES ? t->n - TRACE_LINES : 0;
	for (size_t i = first; i < t->n; i++) {
		const char *line = t->lines[i % TRACE_LINES];
		if (write(fd, line, strlen(line)) < 0 || write(fd, "\n", 1) < 0)
			return;
	}
}

/* What the code under test logs belongs to the story, at the virtual time. */
void __wrap_cor_log(enum cor_log_level level, const char *fmt, ...);
void __wrap_cor_log(enum cor_log_level level, const char *fmt, ...) {
	if (!cluster_now || level < COR_LOG_WARN)
		return;
	char text[200];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	trace(cluster_now, "log: %s", text);
}
