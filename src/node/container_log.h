// SPDX-License-Identifier: Apache-2.0
// Logs of containers: files of lines "<time> <stdout|stderr> <P|F> <text>" (facts/node-agent 17),
// their rotation, and a reader that follows them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"

struct uv_loop_s;

enum { COR_LOG_FILES = 5 };
#define COR_LOG_MAX_BYTES (10 * 1024 * 1024)
/* What a container can write until the next look at its size; then its log begins anew. The bound of the
 * disk that it can fill is COR_LOG_FILES times this. */
#define COR_LOG_HARD_BYTES (40 * 1024 * 1024)

/* Renames path to path.<YYYYMMDD-HHMMSS> when it has reached COR_LOG_MAX_BYTES and removes all but
 * the newest COR_LOG_FILES - 1 of such files. 1: renamed, the writer must open a new one; 0: not. */
[[nodiscard]] int cor_log_rotate(const char *path, cor_time now, struct cor_err *err);

struct cor_log_options {
	bool follow;
	bool timestamps;
	int64_t tail_lines;     /* -1: all */
	int64_t limit_bytes;    /* 0: none */
	cor_time since;         /* 0: all; else lines with time >= since */
};

/* ---- the format (pure) ---- */

struct cor_log_line {
	struct cor_str time;    /* as written */
	bool is_stderr;
	bool partial;           /* the text goes on in the next line of its stream */
	struct cor_str text;    /* without newline */
};
/* False when it is not of the format. line without its newline. */
bool cor_log_line_parse(struct cor_str line, struct cor_log_line *ret);

/* ---- reading ---- */

struct cor_log_reader;
struct cor_log_reader_config {
	struct uv_loop_s *loop;
	const char *path;
	struct cor_log_options options;
	/* Asked when everything was read: false ends a reader that follows (the container has ended;
	 * its log is complete). Not used without follow. */
	bool (*running)(void *arg);
	/* A piece of output. */
	void (*output)(void *arg, struct cor_str data);
	/* The last call; the reader is gone after it. */
	void (*done)(void *arg, const struct cor_err *err);
	void *arg;
};
/* Reads on the loop in pieces (files in the page cache); never calls back from within. NULL and err
 * when the file cannot be opened. */
struct cor_log_reader *cor_log_reader_new(const struct cor_log_reader_config *cfg, struct cor_err *err);
/* The receiver is slow: no output until it is unpaused. */
void cor_log_reader_pause(struct cor_log_reader *r, bool paused);
/* The container has ended: look again now. */
void cor_log_reader_poke(struct cor_log_reader *r);
/* No callback any more. */
void cor_log_reader_cancel(struct cor_log_reader *r);

/* For terminationMessagePolicy FallbackToLogsOnError: the end of the log, at most so many lines and
 * bytes, appended to out as plain text. */
[[nodiscard]] int cor_log_tail(const char *path, size_t lines, size_t bytes, struct cor_buf *out,
	struct cor_err *err);
