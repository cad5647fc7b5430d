// SPDX-License-Identifier: Apache-2.0
// What an unquoted YAML scalar means, by the rules of YAML 1.1 that Kubernetes' readers follow.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/yaml_tree.h"

static const struct {
	const char *text;
	enum cor_node_kind kind;
	bool value;
} words[] = {
	{ "", COR_NODE_NULL, false },       { "~", COR_NODE_NULL, false },
	{ "null", COR_NODE_NULL, false },   { "Null", COR_NODE_NULL, false },
	{ "NULL", COR_NODE_NULL, false },   { "y", COR_NODE_BOOL, true },
	{ "Y", COR_NODE_BOOL, true },       { "yes", COR_NODE_BOOL, true },
	{ "Yes", COR_NODE_BOOL, true },     { "YES", COR_NODE_BOOL, true },
	{ "true", COR_NODE_BOOL, true },    { "True", COR_NODE_BOOL, true },
	{ "TRUE", COR_NODE_BOOL, true },    { "on", COR_NODE_BOOL, true },
	{ "On", COR_NODE_BOOL, true },      { "ON", COR_NODE_BOOL, true },
	{ "n", COR_NODE_BOOL, false },      { "N", COR_NODE_BOOL, false },
	{ "no", COR_NODE_BOOL, false },     { "No", COR_NODE_BOOL, false },
	{ "NO", COR_NODE_BOOL, false },     { "false", COR_NODE_BOOL, false },
	{ "False", COR_NODE_BOOL, false },  { "FALSE", COR_NODE_BOOL, false },
	{ "off", COR_NODE_BOOL, false },    { "Off", COR_NODE_BOOL, false },
	{ "OFF", COR_NODE_BOOL, false },
};

static const char *const not_json[] = {
	".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
	"-.INF",
};

enum { NUMBER_MAX = 128 };

/* An integer of base 2, 8, 10 or 16 by its prefix, as Go reads one. */
static bool parse_integer(const char *s, bool *ret_negative, uint64_t *ret) {
	int base = 10;
	*ret_negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	if (*s == '0' && s[1]) {
		char c = s[1];
		base = c == 'x' || c == 'X' ? 16 : c == 'b' || c == 'B' ? 2 : 8;
		s += base != 8 || c == 'o' || c == 'O' ? 2 : 1;
	}
	if (!*s || *s == '-' || *s == '+' || *s == ' ')
		return false;
	char *end;
	errno = 0;
	unsigned long long v = strtoull(s, &end, base);
	/* strtoull takes a second 0x */
	if (*end || errno || (base == 16 && (s[1] == 'x' || s[1] == 'X')))
		return false;
	if (*ret_negative && v > (uint64_t)INT64_MAX + 1)
		return false;
	*ret = v;
	return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *s) {
	size_t before = 0, after = 0;
	if (*s == '-' || *s == '+')
		s++;
	for (; *s >= '0' && *s <= '9'; s++)
		before++;
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++)
			after++;
	if (before + after == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		if (*s == '-' || *s == '+')
			s++;
		if (*s < '0' || *s > '9')
			return false;
		while (*s >= '0' && *s <= '9')
			s++;
	}
	return *s == 0;
}

/* The shortest text that reads back as v. */
static struct cor_node *float_node(struct cor_arena *a, double v) {
	char out[40];
	if (v >= -0x1p53 && v <= 0x1p53) {
		double whole = (double)(int64_t)v;
		if (whole <= v && whole >= v)
			return cor_node_int(a, (int64_t)v);
	}
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(out, sizeof(out), "%.*g", digits, v);
		double back = strtod(out, NULL);
		if (back <= v && back >= v)
			break;
	}
	return cor_node_number(a, cor_str_c(out));
}

static struct cor_node *number(struct cor_arena *a, struct cor_str text) {
	char plain[NUMBER_MAX];
	size_t n = 0;
	bool negative;
	uint64_t v;
	if (text.n >= sizeof(plain) || !memchr("+-.0123456789", text.p[0], 13))
		return NULL;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '_')
			plain[n++] = text.p[i];
	plain[n] = 0;
	if (strlen(plain) != n)
		return NULL;
	if (parse_integer(plain, &negative, &v)) {
		char out[32];
		(void)snprintf(out, sizeof(out), "%s%llu", negative && v ? "-" : "",
			(unsigned long long)v);
		return cor_node_number(a, cor_str_c(out));
	}
	if (!is_float(plain))
		return NULL;
	double d = strtod(plain, NULL);
	return isfinite(d) ? float_node(a, d) : NULL;
}

struct cor_node *cor_yaml_resolve(struct cor_arena *a, struct cor_str text, struct cor_err *err) {
	for (size_t i = 0; i < cor_countof(words); i++) {
		if (!cor_str_eq_c(text, words[i].text))
			continue;
		return words[i].kind == COR_NODE_BOOL ? cor_node_bool(a, words[i].value) :
			cor_node_null(a);
	}
	for (size_t i = 0; i < cor_countof(not_json); i++)
		if (cor_str_eq_c(text, not_json[i])) {
			(void)cor_fail(err, COR_E_PARSE, "%s is no number that JSON can hold",
				not_json[i]);
			return NULL;
		}
	struct cor_node *n = number(a, text);
	return n ? n : cor_node_str(a, text);
}
