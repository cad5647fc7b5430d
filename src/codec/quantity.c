// SPDX-License-Identifier: Apache-2.0
// Quantities: parse, print, canonical text, arithmetic (facts: api-machinery 12.3). The one
// complication is that upstream keeps some inputs verbatim: see keeps_text().
#include "codec/quantity.h"

#include "base/mem.h"

typedef __int128 i128;

static const i128 NANO = 1000000000;
#define UNITS_MAX ((i128)INT64_MAX)
#define NANO_MAX (((i128)100000000000000 * 1000000000000000) * 1000000000)

/* What the text says, before it becomes a number. */
struct parts {
	bool negative;
	bool plain;                     /* neither sign nor zeros in front */
	struct cor_str num;             /* digits before the point, no leading zeros but "0" */
	struct cor_str denom;           /* digits after it */
	enum cor_quantity_format format;
	int exponent;                   /* of 2 for BINARY, else of 10 */
};

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

static int bad_format(struct cor_err *err) {
	return cor_fail(err, COR_E_PARSE, "quantities must match the regular expression "
		"'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

static bool parse_exponent(struct cor_str s, int *ret) {
	int64_t v;
	if (s.n && s.p[0] == '+')
		s = cor_str_sub(s, 1, s.n);
	if (s.n == 0 || (s.p[0] != '-' && !is_digit(s.p[0])) || !cor_str_to_i64(s, &v))
		return false;
	*ret = v > 1000 ? 1000 : v < -1000 ? -1000 : (int)v;
	return true;
}

static bool parse_suffix(struct cor_str s, struct parts *q) {
	static const char decimal[] = "num kMGTPE", binary[] = "KMGTPE";
	q->format = COR_QUANTITY_DECIMAL;
	q->exponent = 0;
	if (s.n == 0)
		return true;
	if (s.n == 1 && s.p[0] != ' ') {
		const char *at = strchr(decimal, s.p[0]);
		if (at)
			q->exponent = 3 * (int)(at - decimal) - 9;
		return at && s.p[0] != '\0';
	}
	if (s.n == 2 && s.p[1] == 'i') {
		const char *at = strchr(binary, s.p[0]);
		q->format = COR_QUANTITY_BINARY;
		if (at)
			q->exponent = 10 * (int)(at - binary + 1);
		return at && s.p[0] != '\0';
	}
	q->format = COR_QUANTITY_EXPONENT;
	return (s.p[0] == 'e' || s.p[0] == 'E') &&
		parse_exponent(cor_str_sub(s, 1, s.n), &q->exponent);
}

static int split(struct cor_str s, struct parts *q, struct cor_err *err) {
	size_t i = 0;
	*q = (struct parts){ 0 };
	if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
		q->negative = s.p[i++] == '-';
	size_t digits = i, points = 0;
	while (i < s.n && (is_digit(s.p[i]) || s.p[i] == '.'))
		points += s.p[i++] == '.';
	struct cor_str number = cor_str_sub(s, digits, i - digits);
	struct cor_str suffix = cor_str_sub(s, i, s.n);
	for (size_t k = 0; k < suffix.n; k++)
		if (!is_digit(suffix.p[k]) && !memchr("eEinumkKMGTP+-", suffix.p[k], 14))
			return bad_format(err);
	if (number.n == 0)
		return bad_format(err);
	if (points > 1 || number.n == points)
		return cor_fail(err, COR_E_PARSE, "unable to parse numeric part of quantity");
	size_t point = cor_str_chr(number, '.');
	q->num = cor_str_sub(number, 0, point);
	q->plain = digits == 0 && number.p[0] != '0';
	q->denom = point < number.n ? cor_str_sub(number, point + 1, number.n) : COR_STR("");
	while (q->num.n && q->num.p[0] == '0')
		q->num = cor_str_sub(q->num, 1, q->num.n);
	if (q->num.n == 0)
		q->num = COR_STR("0");
	if (!parse_suffix(suffix, q))
		return cor_fail(err, COR_E_PARSE, "unable to parse quantity's suffix");
	return 0;
}

/* True when the text already has the form upstream leaves alone, or that it would print. */
static bool keeps_text(const struct parts *q) {
	size_t digits = q->num.n + q->denom.n;
	if (q->format == COR_QUANTITY_BINARY) {
		int v = 0;
		for (size_t i = 0; i < q->num.n; i++)
			v = (v * 10 + (q->num.p[i] - '0')) % 1024;
		/* upstream leaves what 8 does not divide, and prints the same of the others but for
		 * signs and zeros in front; the third is its estimate of the digits that fit */
		return q->denom.n == 0 && (v % 8 != 0 || (v != 0 && q->plain)) &&
			(int)q->num.n <= 14 - q->exponent * 3 / 10;
	}
	struct cor_str last = q->denom.n ? q->denom : q->num;
	bool thousands = digits >= 3 && (last.n >= 3 ? cor_str_ends(last, COR_STR("000")) :
		cor_str_eq(last, cor_str_sub(COR_STR("000"), 0, last.n)) &&
		cor_str_ends(q->num, cor_str_sub(COR_STR("000"), 0, 3 - last.n)));
	int scale = q->exponent - (int)q->denom.n;
	return digits <= 18 && scale >= -9 && scale % 3 == 0 && !thousands && q->num.p[0] != '0';
}

/* value * 10^power, rounded away from zero, cut to NANO_MAX; value >= 0. */
static i128 scale10(i128 value, int power) {
	if (value == 0)
		return 0;
	for (; power > 0; power--) {
		if (value > NANO_MAX / 10)
			return NANO_MAX;
		value *= 10;
	}
	bool rest = false;
	for (; power < 0 && value; power++) {
		rest |= value % 10 != 0;
		value /= 10;
	}
	return value + rest;
}

/* The digits as one number; *power counts those that were dropped behind the 27th. */
static i128 digits_of(struct cor_str num, struct cor_str denom, int *power) {
	i128 v = 0;
	bool rest = false;
	*power = 0;
	for (size_t i = 0; i < num.n + denom.n; i++) {
		int d = (i < num.n ? num.p[i] : denom.p[i - num.n]) - '0';
		if (v < NANO_MAX / NANO / 100) {
			v = v * 10 + d;
		} else {
			rest |= d != 0;
			*power += *power < 100000;
		}
	}
	return v + rest;
}

static i128 binary_nano(const struct parts *q) {
	int dropped, power;
	i128 whole = digits_of(q->num, COR_STR(""), &dropped);
	struct cor_str head = cor_str_sub(q->denom, 0, 9);
	struct cor_str tail = cor_str_sub(q->denom, 9, q->denom.n);
	i128 fraction = digits_of(head, COR_STR(""), &power);
	for (size_t i = 0; i < tail.n; i++)
		if (tail.p[i] != '0') {
			fraction++;
			break;
		}
	if (dropped || whole > (UNITS_MAX >> q->exponent))
		return UNITS_MAX * NANO;
	i128 nano = (whole << q->exponent) * NANO;
	i128 one = scale10(1, (int)head.n), part = fraction * ((i128)1 << q->exponent) * NANO;
	nano += part / one + (part % one != 0);
	return nano > UNITS_MAX * NANO ? UNITS_MAX * NANO : nano;
}

static struct cor_quantity to_number(const struct parts *q) {
	struct cor_quantity r = { .format = q->format };
	if (q->format == COR_QUANTITY_BINARY) {
		r.nano = binary_nano(q);
		if (r.nano > 0 && r.nano < NANO)
			r.format = COR_QUANTITY_DECIMAL;
	} else {
		int dropped;
		i128 v = digits_of(q->num, q->denom, &dropped);
		r.nano = scale10(v, q->exponent - (int)q->denom.n + dropped + 9);
	}
	if (q->negative)
		r.nano = -r.nano;
	return r;
}

int cor_quantity_parse(struct cor_str text, struct cor_quantity *ret, struct cor_err *err) {
	struct parts q;
	int r = split(cor_str_trim(text), &q, err);
	if (r < 0)
		return r;
	*ret = to_number(&q);
	return 0;
}

static size_t put(char *out, i128 v, const char *suffix) {
	char digits[44];
	size_t n = sizeof(digits), len = 0;
	unsigned __int128 u = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
	do {
		digits[--n] = (char)('0' + (int)(u % 10));
		u /= 10;
	} while (u);
	if (v < 0)
		out[len++] = '-';
	memcpy(out + len, digits + n, sizeof(digits) - n);
	len += sizeof(digits) - n;
	size_t s = strlen(suffix);
	memcpy(out + len, suffix, s + 1);
	return len + s;
}

size_t cor_quantity_print(struct cor_quantity q, char out[COR_QUANTITY_TEXT_MAX]) {
	static const char *const binary[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	static const char *const decimal[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
	static const char *const exponent[] = { "e-9", "e-6", "e-3", "", "e3", "e6", "e9", "e12",
		"e15", "e18", "e21", "e24", "e27" };
	i128 v = q.nano;
	size_t i = 0;
	if (v == 0)
		return put(out, 0, "");
	if (q.format == COR_QUANTITY_BINARY && v % NANO == 0 &&
			(v / NANO >= 1024 || v / NANO <= -1024)) {
		for (v /= NANO; v % 1024 == 0 && i + 1 < cor_countof(binary); i++)
			v /= 1024;
		return put(out, v, binary[i]);
	}
	bool exp = q.format == COR_QUANTITY_EXPONENT;
	size_t top = exp ? cor_countof(exponent) : cor_countof(decimal);
	for (; v % 1000 == 0 && i + 1 < top; i++)
		v /= 1000;
	return put(out, v, exp ? exponent[i] : decimal[i]);
}

struct cor_str cor_quantity_to_str(struct cor_arena *a, struct cor_quantity q) {
	char text[COR_QUANTITY_TEXT_MAX];
	size_t n = cor_quantity_print(q, text);
	return cor_arena_str(a, (struct cor_str){ text, n });
}

/* "500m", "128Mi", "2": whatever is canonical at first sight, which is nearly everything. */
static bool plainly_canonical(struct cor_str s) {
	size_t i = 0;
	unsigned v = 0;
	while (i < s.n && i < 5 && is_digit(s.p[i]))
		v = v * 10 + (unsigned)(s.p[i++] - '0');
	if (i == 0 || s.p[0] == '0' || v % 1000 == 0)
		return false;
	switch (s.n - i) {
	case 0:
		return true;
	case 1:
		return s.p[i] == 'm' || s.p[i] == 'k' || s.p[i] == 'M' || s.p[i] == 'G';
	case 2:
		return s.p[i + 1] == 'i' && v % 1024 != 0 &&
			(s.p[i] == 'K' || s.p[i] == 'M' || s.p[i] == 'G');
	default:
		return false;
	}
}

int cor_quantity_canonical(struct cor_arena *a, struct cor_str text, struct cor_str *ret,
		struct cor_err *err) {
	struct parts q;
	if (plainly_canonical(text)) {
		*ret = text;
		return 0;
	}
	text = cor_str_trim(text);
	int r = split(text, &q, err);
	if (r < 0)
		return r;
	*ret = keeps_text(&q) ? text : cor_quantity_to_str(a, to_number(&q));
	return 0;
}

struct cor_quantity cor_quantity_of(struct cor_str text) {
	struct cor_quantity q;
	return cor_quantity_parse(text, &q, NULL) < 0 ? (struct cor_quantity){ 0 } : q;
}

static int64_t divide(i128 v, i128 by) {
	i128 r = v / by + (v % by > 0) - (v % by < 0);
	return r > INT64_MAX ? INT64_MAX : r < INT64_MIN ? INT64_MIN : (int64_t)r;
}

int64_t cor_quantity_value(struct cor_quantity q) {
	return divide(q.nano, NANO);
}

int64_t cor_quantity_milli(struct cor_quantity q) {
	return divide(q.nano, NANO / 1000);
}

struct cor_quantity cor_quantity_from(int64_t value, enum cor_quantity_format format) {
	return (struct cor_quantity){ value * NANO, format };
}

struct cor_quantity cor_quantity_from_milli(int64_t milli) {
	return (struct cor_quantity){ milli * (NANO / 1000), COR_QUANTITY_DECIMAL };
}

struct cor_quantity cor_quantity_add(struct cor_quantity a, struct cor_quantity b) {
	i128 v;
	if (__builtin_add_overflow(a.nano, b.nano, &v))
		v = a.nano < 0 ? -NANO_MAX : NANO_MAX;
	v = v > NANO_MAX ? NANO_MAX : v < -NANO_MAX ? -NANO_MAX : v;
	return (struct cor_quantity){ v, a.nano ? a.format : b.format };
}

struct cor_quantity cor_quantity_sub(struct cor_quantity a, struct cor_quantity b) {
	b.nano = -b.nano;
	return cor_quantity_add(a, b);
}
