// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr, one write each: "2026-11-24T18:56:04.123456Z INFO server: message". Control
// characters print as \xNN, a message is cut at 3000 bytes, errno is kept. base, codec and net do
// not log above debug; every error is logged once, by the function that handles it.
#pragma once

enum cor_log_level { COR_LOG_DEBUG, COR_LOG_INFO, COR_LOG_WARN, COR_LOG_ERROR };

void cor_log_init(const char *process, enum cor_log_level min);   /* process: static string */
void cor_log(enum cor_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define cor_debug(...) cor_log(COR_LOG_DEBUG, __VA_ARGS__)
#define cor_info(...) cor_log(COR_LOG_INFO, __VA_ARGS__)
#define cor_warn(...) cor_log(COR_LOG_WARN, __VA_ARGS__)
#define cor_error(...) cor_log(COR_LOG_ERROR, __VA_ARGS__)
