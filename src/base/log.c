// SPDX-License-Identifier: Apache-2.0
// One line on stderr per call: "2026-11-24T18:56:04.123456Z INFO server: text". It leaves in one
// write, so lines of several processes and threads do not mix. Control characters are printed as
// \xNN: what comes from a client must not forge lines or drive a terminal.
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

enum { TEXT_MAX = 3000, LINE_MAX_ = TEXT_MAX * 4 + 128 };

static const char *const level_names[] = { "DEBUG", "INFO", "WARN", "ERROR" };
static const char *process_name = "coracle";
static enum cor_log_level min_level = COR_LOG_INFO;

void cor_log_init(const char *process, enum cor_log_level min) {
	process_name = process;
	min_level = min;
}

static size_t escape(char *out, const char *text) {
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= 0x20 && c != 0x7f) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return n;
}

static void write_all(const char *p, size_t n) {
	while (n) {
		ssize_t done = write(STDERR_FILENO, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;         /* nobody is left to whom that could be said */
		p += done;
		n -= (size_t)done;
	}
}

void cor_log(enum cor_log_level level, const char *fmt, ...) {
	if (level < min_level)
		return;
	int saved = errno;
	char text[TEXT_MAX], line[LINE_MAX_];
	errno = saved;          /* for %m */
	va_list ap;
	va_start(ap, fmt);
	int wanted = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (wanted < 0)
		text[0] = '\0';

	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	size_t n = cor_time_format(ts.tv_sec * COR_SECOND + ts.tv_nsec / 1000, true, line);
	int head = snprintf(line + n, 80, " %s %.60s: ", level_names[level], process_name);
	n += (size_t)(head < 80 ? head : 79);
	n += escape(line + n, text);
	if (wanted >= (int)sizeof(text)) {
		memcpy(line + n, "...", 3);
		n += 3;
	}
	line[n++] = '\n';
	write_all(line, n);
	errno = saved;
}
