// SPDX-License-Identifier: Apache-2.0
// Text of times and durations. Calendar arithmetic is done here on plain integers: the C library's
// would consult the time zone, and cannot say where a text is malformed.
#include "base/time.h"

#include <stdio.h>

#include "base/mem.h"

enum { DAY_S = 86400, ERA_DAYS = 146097, ERA_YEARS = 400 };

static int64_t floor_div(int64_t a, int64_t b) {
	return a / b - (a % b < 0);
}

/* Years are counted from March here, so that the leap day is the last of its year. An era is 400
 * years; 719468 days lie between 0000-03-01 and 1970-01-01. */
static int64_t days_from_date(int64_t year, int month, int day) {
	if (month <= 2)
		year--;
	int64_t era = floor_div(year, ERA_YEARS);
	int64_t of_era = year - era * ERA_YEARS;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day) {
	days += 719468;
	int64_t era = floor_div(days, ERA_DAYS);
	int64_t d = days - era * ERA_DAYS;
	int64_t of_era = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	int64_t of_year = d - (of_era * 365 + of_era / 4 - of_era / 100);
	int64_t m = (5 * of_year + 2) / 153;
	*ret_day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*ret_month = (int)(m < 10 ? m + 3 : m - 9);
	*ret_year = era * ERA_YEARS + of_era + (*ret_month <= 2);
}

static int month_days(int year, int month) {
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

static char *digits(char *p, int width, int64_t v) {
	for (int i = width - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + width;
}

static size_t finish(char *out, char *p) {
	*p = '\0';
	return (size_t)(p - out);
}

size_t cor_time_format(cor_time t, bool micro, char *out) {
	int64_t seconds = floor_div(t, COR_SECOND), days = floor_div(seconds, DAY_S), year;
	int of_day = (int)(seconds - days * DAY_S), micros = (int)(t % COR_SECOND), month, day;
	if (micros < 0)
		micros += (int)COR_SECOND;
	date_from_days(days, &year, &month, &day);
	char *p = out;
	if (year >= 0 && year <= 9999)
		p = digits(p, 4, year);
	else
		p += snprintf(p, 10, "%d", (int)year);
	*p++ = '-';
	p = digits(p, 2, month);
	*p++ = '-';
	p = digits(p, 2, day);
	*p++ = 'T';
	p = digits(p, 2, of_day / 3600);
	*p++ = ':';
	p = digits(p, 2, of_day / 60 % 60);
	*p++ = ':';
	p = digits(p, 2, of_day % 60);
	if (micro) {
		*p++ = '.';
		p = digits(p, 6, micros);
	}
	*p++ = 'Z';
	return finish(out, p);
}

/* A reader with a sticky error: after the first mismatch everything reads as 0. */
struct reader {
	const char *p, *end;
	bool bad;
};

static int read_digits(struct reader *r, int width) {
	int v = 0;
	if (r->bad || r->end - r->p < width) {
		r->bad = true;
		return 0;
	}
	for (int i = 0; i < width; i++) {
		char c = *r->p++;
		if (c < '0' || c > '9')
			r->bad = true;
		v = v * 10 + (c - '0');
	}
	return r->bad ? 0 : v;
}

static bool read_char(struct reader *r, char c) {
	if (r->bad || r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static void want_char(struct reader *r, char c) {
	if (!read_char(r, c))
		r->bad = true;
}

/* The decimals behind the point, cut to microseconds. */
static int read_fraction(struct reader *r) {
	int micros = 0, n = 0;
	while (!r->bad && r->p < r->end && *r->p >= '0' && *r->p <= '9') {
		if (n < 6)
			micros = micros * 10 + (*r->p - '0');
		r->p++;
		n++;
	}
	if (n < 1 || n > 9)
		r->bad = true;
	for (; n < 6; n++)
		micros *= 10;
	return micros;
}

/* Seconds east of UTC. */
static int read_offset(struct reader *r) {
	if (read_char(r, 'Z'))
		return 0;
	int sign = read_char(r, '-') ? -1 : 1;
	if (sign == 1)
		want_char(r, '+');
	int hours = read_digits(r, 2);
	want_char(r, ':');
	int minutes = read_digits(r, 2);
	if (hours > 23 || minutes > 59)
		r->bad = true;
	return sign * (hours * 3600 + minutes * 60);
}

bool cor_time_parse(struct cor_str s, cor_time *ret) {
	struct reader r = { s.p, s.p + s.n, s.n == 0 };
	int year = read_digits(&r, 4);
	want_char(&r, '-');
	int month = read_digits(&r, 2);
	want_char(&r, '-');
	int day = read_digits(&r, 2);
	want_char(&r, 'T');
	int hour = read_digits(&r, 2);
	want_char(&r, ':');
	int minute = read_digits(&r, 2);
	want_char(&r, ':');
	int second = read_digits(&r, 2);
	int micros = read_char(&r, '.') ? read_fraction(&r) : 0;
	int offset = read_offset(&r);
	if (r.bad || r.p != r.end)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 ||
		minute > 59 || second > 59)
		return false;
	int64_t seconds = days_from_date(year, month, day) * DAY_S + hour * 3600 + minute * 60 +
		second - offset;
	*ret = seconds * COR_SECOND + micros;
	return true;
}

/* Longest spelling first where one begins another. Both code points that look like a micro sign
 * are in use. */
static const struct {
	struct cor_str text;
	int64_t ns;
} units[] = {
	{ COR_STR_INIT("ns"), 1 },
	{ COR_STR_INIT("us"), 1000 },
	{ COR_STR_INIT("\xc2\xb5s"), 1000 },
	{ COR_STR_INIT("\xce\xbcs"), 1000 },
	{ COR_STR_INIT("ms"), 1000000 },
	{ COR_STR_INIT("s"), 1000000000 },
	{ COR_STR_INIT("m"), 60 * 1000000000LL },
	{ COR_STR_INIT("h"), 3600 * 1000000000LL },
};

static int64_t read_unit(struct cor_str *s) {
	for (size_t i = 0; i < cor_countof(units); i++) {
		if (cor_str_starts(*s, units[i].text)) {
			*s = cor_str_sub(*s, units[i].text.n, s->n);
			return units[i].ns;
		}
	}
	return 0;
}

/* One "12.5h" off the front of *s, added to *ns. */
static bool read_part(struct cor_str *s, __int128 *ns) {
	__int128 whole = 0, fraction = 0, scale = 1;
	size_t i = 0, seen = 0;
	for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, seen++) {
		whole = whole * 10 + (s->p[i] - '0');
		if (whole > INT64_MAX)
			return false;
	}
	if (i < s->n && s->p[i] == '.')
		for (i++; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, seen++) {
			/* What is beyond a nanosecond of an hour does not count. */
			if (scale > INT64_MAX / 100)
				continue;
			fraction = fraction * 10 + (s->p[i] - '0');
			scale *= 10;
		}
	*s = cor_str_sub(*s, i, s->n);
	int64_t unit = read_unit(s);
	if (!seen || !unit)
		return false;
	*ns += whole * unit + fraction * unit / scale;
	return *ns <= INT64_MAX;
}

bool cor_duration_parse(struct cor_str s, cor_time *ret) {
	bool negative = s.n && s.p[0] == '-';
	if (negative || (s.n && s.p[0] == '+'))
		s = cor_str_sub(s, 1, s.n);
	__int128 ns = 0;
	if (s.n == 0)
		return false;
	if (!cor_str_eq(s, COR_STR("0")))
		while (s.n)
			if (!read_part(&s, &ns))
				return false;
	cor_time us = (cor_time)(ns / 1000);
	*ret = negative ? -us : us;
	return true;
}

/* v / scale with as many decimals as it has; scale is a power of ten. Returns the end. */
static char *put_decimal(char *p, uint64_t v, uint64_t scale) {
	char whole[20];
	size_t at = sizeof(whole);
	uint64_t left = v / scale;
	do {
		whole[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	memcpy(p, whole + at, sizeof(whole) - at);
	p += sizeof(whole) - at;
	v %= scale;
	if (v)
		*p++ = '.';
	while (v) {
		scale /= 10;
		*p++ = (char)('0' + v / scale);
		v %= scale;
	}
	return p;
}

static char *put_text(char *p, const char *text) {
	while (*text)
		*p++ = *text++;
	return p;
}

size_t cor_duration_format(cor_time d, char *out) {
	uint64_t us = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
	char *p = out;
	if (d < 0)
		*p++ = '-';
	if (us == 0)
		return finish(out, put_text(p, "0s"));
	if (us < (uint64_t)COR_MS)
		return finish(out, put_text(put_decimal(p, us, 1), "\xc2\xb5s"));
	if (us < (uint64_t)COR_SECOND)
		return finish(out, put_text(put_decimal(p, us, COR_MS), "ms"));
	uint64_t hours = us / (uint64_t)COR_HOUR, minutes = us / (uint64_t)COR_MINUTE % 60;
	if (hours)
		p = put_text(put_decimal(p, hours, 1), "h");
	if (hours || minutes)
		p = put_text(put_decimal(p, minutes, 1), "m");
	p = put_text(put_decimal(p, us % (uint64_t)COR_MINUTE, COR_SECOND), "s");
	return finish(out, p);
}

/* Ages below the limit are printed in large units, with the rest in small ones unless that is 0
 * or the row has none. */
static const struct {
	int64_t below_s;
	int64_t large_s;
	int64_t small_s;
	char large, small;
} ages[] = {
	{ 120, 1, 0, 's', 0 },
	{ 10 * 60, 60, 1, 'm', 's' },
	{ 3 * 3600, 60, 0, 'm', 0 },
	{ 8 * 3600, 3600, 60, 'h', 'm' },
	{ 48 * 3600, 3600, 0, 'h', 0 },
	{ 8 * DAY_S, DAY_S, 3600, 'd', 'h' },
	{ 730 * DAY_S, DAY_S, 0, 'd', 0 },
	{ 2920 * (int64_t)DAY_S, 365 * DAY_S, DAY_S, 'y', 'd' },
	{ INT64_MAX, 365 * DAY_S, 0, 'y', 0 },
};

size_t cor_duration_human(cor_time d, char *out) {
	int64_t s = d / COR_SECOND;
	if (s < -1)
		return finish(out, put_text(out, "<invalid>"));
	if (s < 0)
		s = 0;
	size_t i = 0;
	while (s >= ages[i].below_s)
		i++;
	char *p = put_decimal(out, (uint64_t)(s / ages[i].large_s), 1);
	*p++ = ages[i].large;
	int64_t rest = ages[i].small_s ? s % ages[i].large_s / ages[i].small_s : 0;
	if (rest) {
		p = put_decimal(p, (uint64_t)rest, 1);
		*p++ = ages[i].small;
	}
	return finish(out, p);
}
