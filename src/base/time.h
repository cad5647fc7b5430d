// SPDX-License-Identifier: Apache-2.0
// The one time type: microseconds since 1970-01-01T00:00:00Z for wall time, microseconds for
// durations and for the monotonic clock. 0 as a wall time means "not set".
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef int64_t cor_time;

#define COR_SECOND ((cor_time)1000000)
#define COR_MS     ((cor_time)1000)
#define COR_MINUTE (60 * COR_SECOND)
#define COR_HOUR   (60 * COR_MINUTE)

#define COR_TIME_TEXT_MAX 40
/* "2026-11-24T18:56:04Z" (metav1.Time; fractions cut) or with six decimals (MicroTime).
 * out holds COR_TIME_TEXT_MAX bytes; returns the length. */
size_t cor_time_format(cor_time t, bool micro, char *out);
/* RFC 3339 with any offset and up to nine decimals; false when malformed. */
bool cor_time_parse(struct cor_str s, cor_time *ret);
/* Go duration text ("1h5m3.5s"). */
bool cor_duration_parse(struct cor_str s, cor_time *ret);
size_t cor_duration_format(cor_time d, char *out);
/* The short age of kubectl's tables: 5s, 3m10s, 26h, 5d3h, 2y10d (facts/printing.md). */
size_t cor_duration_human(cor_time d, char *out);
