// SPDX-License-Identifier: Apache-2.0
// The character rules are small scanners instead of regular expressions: they are on the path of
// every write. The expressions still appear in the texts, since clients print them.
#include "codec/names.h"

#include "codec/ip.h"

enum char_class {
	LOWER = 1 << 0,
	UPPER = 1 << 1,
	DIGIT = 1 << 2,
	DASH = 1 << 3,
	DOT = 1 << 4,
	UNDER = 1 << 5,
	ALNUM = LOWER | UPPER | DIGIT,
};

static unsigned class_of(char c) {
	if (c >= 'a' && c <= 'z')
		return LOWER;
	if (c >= 'A' && c <= 'Z')
		return UPPER;
	if (c >= '0' && c <= '9')
		return DIGIT;
	return c == '-' ? DASH : c == '.' ? DOT : c == '_' ? UNDER : 0;
}

/* Not empty, begins with a byte of first, ends with one of last, all of them of inner. */
static bool matches(struct cor_str s, unsigned first, unsigned inner, unsigned last) {
	if (s.n == 0 || !(class_of(s.p[0]) & first) || !(class_of(s.p[s.n - 1]) & last))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!(class_of(s.p[i]) & inner))
			return false;
	return true;
}

static bool all_of(struct cor_str s, unsigned inner) {
	return matches(s, inner, inner, inner);
}

static void add(struct cor_broken *b, const char *text) {
	b->p[b->n++] = text;
}

static void add_if(struct cor_broken *b, bool broken, const char *text) {
	if (broken)
		add(b, text);
}

#define TOO_LONG_15 "must be no more than 15 characters"
#define TOO_LONG_63 "must be no more than 63 characters"
#define TOO_LONG_253 "must be no more than 253 characters"
#define EMPTY "must be non-empty"

/* The end of every text that quotes an expression. */
#define RE(expression) "regex used for validation is '" expression "')"
#define EXAMPLE_1(a, expression) " (e.g. '" a "', " RE(expression)
#define EXAMPLE_2(a, b, expression) " (e.g. '" a "',  or '" b "', " RE(expression)
#define EXAMPLE_3(a, b, c, expression) \
	" (e.g. '" a "',  or '" b "',  or '" c "', " RE(expression)

/* --- DNS --- */

#define RE_LABEL "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define RE_SUBDOMAIN RE_LABEL "(\\." RE_LABEL ")*"
#define BAD_LABEL "a lowercase RFC 1123 label must consist of lower case alphanumeric characters " \
	"or '-', and must start and end with an alphanumeric character" \
	EXAMPLE_2("my-name", "123-abc", RE_LABEL)
#define BAD_SUBDOMAIN "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric " \
	"characters, '-' or '.', and must start and end with an alphanumeric character" \
	EXAMPLE_1("example.com", RE_SUBDOMAIN)

static bool is_label(struct cor_str s) {
	return matches(s, LOWER | DIGIT, LOWER | DIGIT | DASH, LOWER | DIGIT);
}

static bool is_subdomain(struct cor_str s) {
	struct cor_str rest = s.p ? s : COR_STR("");
	while (rest.p)
		if (!is_label(cor_str_cut(&rest, '.')))
			return false;
	return true;
}

struct cor_broken cor_check_dns_label(struct cor_str s) {
	struct cor_broken b = { 0 };
	add_if(&b, s.n > COR_LABEL_MAX, TOO_LONG_63);
	if (!is_label(s))
		add(&b, is_subdomain(s) ? "must not contain dots" : BAD_LABEL);
	return b;
}

struct cor_broken cor_check_dns_subdomain(struct cor_str s) {
	struct cor_broken b = { 0 };
	add_if(&b, s.n > COR_SUBDOMAIN_MAX, TOO_LONG_253);
	add_if(&b, !is_subdomain(s), BAD_SUBDOMAIN);
	return b;
}

struct cor_broken cor_check_dns1035_label(struct cor_str s) {
	struct cor_broken b = { 0 };
	add_if(&b, s.n > COR_LABEL_MAX, TOO_LONG_63);
	add_if(&b, !matches(s, LOWER, LOWER | DIGIT | DASH, LOWER | DIGIT),
		"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start "
		"with an alphabetic character, and end with an alphanumeric character"
		EXAMPLE_2("my-name", "abc-123", "[a-z]([-a-z0-9]*[a-z0-9])?"));
	return b;
}

struct cor_broken cor_check_wildcard_subdomain(struct cor_str s) {
	struct cor_broken b = { 0 };
	bool star = cor_str_starts(s, COR_STR("*."));
	add_if(&b, s.n > COR_SUBDOMAIN_MAX, TOO_LONG_253);
	add_if(&b, !star || !is_subdomain(cor_str_sub(s, 2, s.n)),
		"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS "
		"subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and "
		"end with an alphanumeric character" EXAMPLE_1("*.example.com", "\\*\\." RE_SUBDOMAIN));
	return b;
}

/* --- labels and keys --- */

#define RE_QUALIFIED "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define BAD_QUALIFIED "must consist of alphanumeric characters, '-', '_' or '.', and must start " \
	"and end with an alphanumeric character" \
	EXAMPLE_3("MyName", "my.name", "123-abc", RE_QUALIFIED)

static bool is_word(struct cor_str s) {
	return matches(s, ALNUM, ALNUM | DASH | UNDER | DOT, ALNUM);
}

struct cor_broken cor_check_qualified_name(struct cor_str s) {
	struct cor_broken b = { 0 };
	struct cor_str name = s.p ? s : COR_STR("");
	size_t slash = cor_str_chr(name, '/');
	if (slash < name.n) {
		struct cor_str prefix = cor_str_sub(name, 0, slash);
		name = cor_str_sub(name, slash + 1, name.n);
		if (cor_str_chr(name, '/') < name.n) {
			add(&b, "a valid label key " BAD_QUALIFIED " with an optional DNS subdomain "
				"prefix and '/' (e.g. 'example.com/MyName')");
			return b;
		}
		if (prefix.n == 0) {
			add(&b, "prefix part " EMPTY);
		} else {
			add_if(&b, prefix.n > COR_SUBDOMAIN_MAX, "prefix part " TOO_LONG_253);
			add_if(&b, !is_subdomain(prefix), "prefix part " BAD_SUBDOMAIN);
		}
	}
	add_if(&b, name.n == 0, "name part " EMPTY);
	add_if(&b, name.n > COR_LABEL_MAX, "name part " TOO_LONG_63);
	add_if(&b, !is_word(name), "name part " BAD_QUALIFIED);
	return b;
}

struct cor_broken cor_check_label_value(struct cor_str s) {
	struct cor_broken b = { 0 };
	add_if(&b, s.n > COR_LABEL_MAX, TOO_LONG_63);
	add_if(&b, s.n > 0 && !is_word(s),
		"a valid label must be an empty string or consist of alphanumeric characters, '-', "
		"'_' or '.', and must start and end with an alphanumeric character"
		EXAMPLE_3("MyValue", "my_value", "12345", "(" RE_QUALIFIED ")?"));
	return b;
}

/* Names that mean another folder. */
static void check_dots(struct cor_broken *b, struct cor_str s) {
	if (cor_str_eq_c(s, "."))
		add(b, "must not be '.'");
	else if (cor_str_eq_c(s, ".."))
		add(b, "must not be '..'");
	else
		add_if(b, cor_str_starts(s, COR_STR("..")), "must not start with '..'");
}

struct cor_broken cor_check_config_key(struct cor_str s) {
	struct cor_broken b = { 0 };
	add_if(&b, s.n > COR_SUBDOMAIN_MAX, TOO_LONG_253);
	add_if(&b, !all_of(s, ALNUM | DASH | UNDER | DOT),
		"a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
		EXAMPLE_3("key.name", "KEY_NAME", "key-name", "[-._a-zA-Z0-9]+"));
	check_dots(&b, s);
	return b;
}

/* --- other short texts --- */

struct cor_broken cor_check_c_identifier(struct cor_str s) {
	struct cor_broken b = { 0 };
	add_if(&b, !matches(s, LOWER | UPPER | UNDER, ALNUM | UNDER, ALNUM | UNDER),
		"a valid C identifier must start with alphabetic character or '_', followed by a "
		"string of alphanumeric characters or '_'"
		EXAMPLE_3("my_name", "MY_NAME", "MyName", "[A-Za-z_][A-Za-z0-9_]*"));
	return b;
}

struct cor_broken cor_check_env_name(struct cor_str s) {
	struct cor_broken b = { 0 };
	bool printable = true;
	for (size_t i = 0; i < s.n; i++)
		printable &= s.p[i] >= 0x20 && s.p[i] <= 0x7e && s.p[i] != '=';
	add_if(&b, s.n == 0, "environment variable name " EMPTY);
	add_if(&b, !printable, "a valid environment variable name must consist only of printable "
		"ASCII characters other than '='");
	return b;
}

struct cor_broken cor_check_port_name(struct cor_str s) {
	struct cor_broken b = { 0 };
	bool letter = false;
	for (size_t i = 0; i < s.n; i++)
		letter |= class_of(s.p[i]) == LOWER;
	add_if(&b, s.n > 15, TOO_LONG_15);
	add_if(&b, !all_of(s, LOWER | DIGIT | DASH),
		"must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
	add_if(&b, !letter, "must contain at least one letter (a-z)");
	add_if(&b, cor_str_contains(s, COR_STR("--")),
		"must not contain consecutive hyphens");
	add_if(&b, s.n > 0 && (s.p[0] == '-' || s.p[s.n - 1] == '-'),
		"must not begin or end with a hyphen");
	return b;
}

struct cor_broken cor_check_port_number(int64_t port) {
	struct cor_broken b = { 0 };
	add_if(&b, port < 1 || port > 65535, "must be between 1 and 65535, inclusive");
	return b;
}

struct cor_broken cor_check_uid(int64_t id) {
	struct cor_broken b = { 0 };
	add_if(&b, id < 0 || id > INT32_MAX, "must be between 0 and 2147483647, inclusive");
	return b;
}

struct cor_broken cor_check_percent(struct cor_str s) {
	struct cor_broken b = { 0 };
	bool sign = s.n > 0 && s.p[s.n - 1] == '%';
	add_if(&b, !sign || !all_of(cor_str_sub(s, 0, s.n - 1), DIGIT),
		"a valid percent string must be a numeric string followed by an ending '%'"
		EXAMPLE_2("1%", "93%", "[0-9]+%"));
	return b;
}

struct cor_broken cor_check_http_header(struct cor_str s) {
	struct cor_broken b = { 0 };
	add_if(&b, !all_of(s, ALNUM | DASH),
		"a valid HTTP header must consist of alphanumeric characters or '-'"
		EXAMPLE_1("X-Header-Name", "[-A-Za-z0-9]+"));
	return b;
}

static void check_no_separator(struct cor_broken *b, struct cor_str s) {
	add_if(b, cor_str_chr(s, '/') < s.n, "may not contain '/'");
	add_if(b, cor_str_chr(s, '%') < s.n, "may not contain '%'");
}

struct cor_broken cor_check_path_segment(struct cor_str s) {
	struct cor_broken b = { 0 };
	if (cor_str_eq_c(s, "."))
		add(&b, "may not be '.'");
	else if (cor_str_eq_c(s, ".."))
		add(&b, "may not be '..'");
	else
		check_no_separator(&b, s);
	return b;
}

struct cor_broken cor_check_relative_path(struct cor_str s) {
	struct cor_broken b = { 0 };
	bool up = false;
	for (struct cor_str rest = s; rest.p;)
		up |= cor_str_eq_c(cor_str_cut(&rest, '/'), "..");
	add_if(&b, s.n > 0 && s.p[0] == '/', "must be a relative path");
	add_if(&b, up, "must not contain '..'");
	add_if(&b, !up && cor_str_starts(s, COR_STR("..")), "must not start with '..'");
	return b;
}

struct cor_broken cor_check_domain_path(struct cor_str s) {
	static const char marks[] = "/-._~%!$&'()*+,;=:";
	size_t slash = cor_str_chr(s, '/');
	struct cor_str domain = cor_str_sub(s, 0, slash), path = cor_str_sub(s, slash + 1, s.n);
	struct cor_broken b = { 0 };
	if (slash >= s.n || domain.n == 0 || path.n == 0) {
		add(&b, "must be a domain-prefixed path (such as \"acme.io/foo\")");
		return b;
	}
	b = cor_check_dns_subdomain(domain);
	bool ok = true;
	for (size_t i = 0; i < path.n; i++)
		ok &= (class_of(path.p[i]) & ALNUM) || (path.p[i] && strchr(marks, path.p[i]));
	add_if(&b, !ok, "Invalid path (" RE("[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"));
	return b;
}

/* --- addresses --- */

struct cor_broken cor_check_ip(struct cor_str s) {
	struct cor_broken b = { 0 };
	struct cor_ip ip;
	if (!cor_ip_parse(s, &ip)) {
		add(&b, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
		return b;
	}
	add_if(&b, ip.leading_zeros, "must not have leading 0s");
	add_if(&b, ip.mapped, "must not be an IPv4-mapped IPv6 address");
	return b;
}

struct cor_broken cor_check_cidr(struct cor_str s) {
	struct cor_broken b = { 0 };
	struct cor_cidr c;
	if (!cor_cidr_parse(s, &c)) {
		add(&b, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
		return b;
	}
	add_if(&b, c.ip.leading_zeros, "must not have leading 0s in IP or prefix length");
	add_if(&b, c.ip.mapped, "must not have an IPv4-mapped IPv6 address");
	add_if(&b, c.host_bits, "must not have bits set beyond the prefix length");
	return b;
}

/* --- metadata.name --- */

/* A generateName gets something behind its '-', so that one must not break the rule. */
static struct cor_broken check_name(struct cor_str name, bool prefix,
	struct cor_broken (*check)(struct cor_str s)) {
	char copy[COR_SUBDOMAIN_MAX + 1];
	if (!prefix || name.n < 2 || name.p[name.n - 1] != '-' || name.n > sizeof(copy))
		return check(name);
	memcpy(copy, name.p, name.n);
	copy[name.n - 2] = 'a';
	return check((struct cor_str){ copy, name.n - 1 });
}

struct cor_broken cor_name_subdomain(struct cor_str name, bool prefix) {
	return check_name(name, prefix, cor_check_dns_subdomain);
}

struct cor_broken cor_name_label(struct cor_str name, bool prefix) {
	return check_name(name, prefix, cor_check_dns_label);
}

struct cor_broken cor_name_label1035(struct cor_str name, bool prefix) {
	return check_name(name, prefix, cor_check_dns1035_label);
}

struct cor_broken cor_name_path_segment(struct cor_str name, bool prefix) {
	struct cor_broken b = { 0 };
	if (!prefix)
		return cor_check_path_segment(name);
	check_no_separator(&b, name);
	return b;
}
