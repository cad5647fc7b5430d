// SPDX-License-Identifier: Apache-2.0
// The inner loops of reading JSON: white space, and the plain part of a string, sixteen bytes at a
// time where the processor can (SSE2), else eight. Nothing here reads past end.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline const char *cor_skip_space(const char *p, const char *end) {
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Bytes that end the plain part of a string: the quote, the backslash, control characters, and
 * everything that is not ASCII. */
static inline bool cor_is_special(char c) {
	return c == '"' || c == '\\' || (signed char)c < 0x20;
}

/* The first special byte at or after p, or end. */
static inline const char *cor_scan_plain(const char *p, const char *end) {
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'),
		low = _mm_set1_epi8(0x20);
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* signed compare: bytes from 0x80 on are negative, hence below 0x20 too */
		__m128i bad = _mm_or_si128(_mm_cmplt_epi8(v, low),
			_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)));
		unsigned mask = (unsigned)_mm_movemask_epi8(bad);
		if (mask)
			return p + __builtin_ctz(mask);
	}
#else
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
	for (; end - p >= 8; p += 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		uint64_t q = v ^ (ones * '"'), b = v ^ (ones * '\\');
		uint64_t bad = ((q - ones) & ~q) | ((b - ones) & ~b) | (v - ones * 0x20) | v;
		if (bad & high)
			break;
	}
#endif
	while (p < end && !cor_is_special(*p))
		p++;
	return p;
}

/* The first quote at or after p, or end. Its result is what the next step waits for, so it looks
 * for nothing else. */
static inline const char *cor_scan_quote(const char *p, const char *end) {
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, quote));
		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p != '"')
		p++;
	return p;
}

/* Length of the UTF-8 sequence at p (2..4), or 0 when it is not one. */
static inline unsigned cor_utf8_len(const char *s, const char *end) {
	const unsigned char *p = (const unsigned char *)s;
	size_t n = (size_t)(end - s);
	if (p[0] < 0xc2 || p[0] > 0xf4 || n < 2 || (p[1] & 0xc0) != 0x80)
		return 0;
	if (p[0] < 0xe0)
		return 2;
	if (n < 3 || (p[2] & 0xc0) != 0x80)
		return 0;
	if (p[0] < 0xf0)
		return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3;
	if (n < 4 || (p[3] & 0xc0) != 0x80)
		return 0;
	return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}
