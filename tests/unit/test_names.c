// SPDX-License-Identifier: Apache-2.0
// Names and formats: what is accepted, what is refused, and with which texts.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/ip.h"
#include "codec/names.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define A63 A60 "aaa"
#define A250 A60 A60 A60 A60 A10

/* Each refused text is named by the beginnings of the messages it must give, in order. */
struct name_case {
	struct cor_broken (*check)(struct cor_str s);
	const char *text;
	const char *broken[4];
};

#define LABEL "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or " \
	"'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or " \
	"'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric " \
	"characters, '-' or '.', and must start and end with an alphanumeric character (e.g. " \
	"'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?" \
	"(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define DNS1035 "a DNS-1035 label must consist of lower case alphanumeric characters or '-', " \
	"start with an alphabetic character, and end with an alphanumeric character (e.g. " \
	"'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"

static const struct name_case cases[] = {
	{ cor_check_dns_label, "a", { 0 } },
	{ cor_check_dns_label, "0-a", { 0 } },
	{ cor_check_dns_label, A63, { 0 } },
	{ cor_check_dns_label, A63 "a", { "must be no more than 63 characters" } },
	{ cor_check_dns_label, "", { LABEL } },
	{ cor_check_dns_label, "A", { LABEL } },
	{ cor_check_dns_label, "-a", { LABEL } },
	{ cor_check_dns_label, "a-", { LABEL } },
	{ cor_check_dns_label, "a_b", { LABEL } },
	{ cor_check_dns_label, "a.b", { "must not contain dots" } },
	{ cor_check_dns_label, A63 "A", { "must be no more than 63 characters", LABEL } },
	{ cor_check_dns_subdomain, "a.b-c.0", { 0 } },
	{ cor_check_dns_subdomain, A250 "aaa", { 0 } },
	{ cor_check_dns_subdomain, A250 "aaaa", { "must be no more than 253 characters" } },
	{ cor_check_dns_subdomain, "", { SUBDOMAIN } },
	{ cor_check_dns_subdomain, "a..b", { SUBDOMAIN } },
	{ cor_check_dns_subdomain, "a.", { SUBDOMAIN } },
	{ cor_check_dns_subdomain, ".a", { SUBDOMAIN } },
	{ cor_check_dns_subdomain, "a.-b", { SUBDOMAIN } },
	{ cor_check_dns1035_label, "a-1", { 0 } },
	{ cor_check_dns1035_label, "1a", { DNS1035 } },
	{ cor_check_wildcard_subdomain, "*.a.b", { 0 } },
	{ cor_check_wildcard_subdomain, "a.b", { "a wildcard DNS-1123 subdomain must start with '*.'" } },
	{ cor_check_wildcard_subdomain, "*.", { "a wildcard DNS-1123 subdomain must" } },
	{ cor_check_qualified_name, "a", { 0 } },
	{ cor_check_qualified_name, "A_b.c-D", { 0 } },
	{ cor_check_qualified_name, "example.com/" A63, { 0 } },
	{ cor_check_qualified_name, "", { "name part must be non-empty", "name part must consist of" } },
	{ cor_check_qualified_name, "a/", { "name part must be non-empty", "name part must consist of" } },
	{ cor_check_qualified_name, "/a", { "prefix part must be non-empty" } },
	{ cor_check_qualified_name, "A/b", { "prefix part a lowercase RFC 1123 subdomain must" } },
	{ cor_check_qualified_name, "a/b/c", { "a valid label key must consist of alphanumeric" } },
	{ cor_check_qualified_name, A63 "a", { "name part must be no more than 63 characters" } },
	{ cor_check_qualified_name, "_a", { "name part must consist of alphanumeric characters, '-', "
	  "'_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "
	  "'my.name',  or '123-abc', regex used for validation is "
	  "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')" } },
	{ cor_check_label_value, "", { 0 } },
	{ cor_check_label_value, "a.B_1", { 0 } },
	{ cor_check_label_value, "a b", { "a valid label must be an empty string or consist of" } },
	{ cor_check_label_value, "a.", { "a valid label must be an empty string or consist of" } },
	{ cor_check_label_value, A63 "a", { "must be no more than 63 characters" } },
	{ cor_check_config_key, "A.b_c-d", { 0 } },
	{ cor_check_config_key, "a/b", { "a valid config key must consist of alphanumeric" } },
	{ cor_check_config_key, "", { "a valid config key must consist of alphanumeric" } },
	{ cor_check_config_key, ".", { "must not be '.'" } },
	{ cor_check_config_key, "..", { "must not be '..'" } },
	{ cor_check_config_key, "..a", { "must not start with '..'" } },
	{ cor_check_config_key, ".a", { 0 } },
	{ cor_check_c_identifier, "_a1", { 0 } },
	{ cor_check_c_identifier, "1a", { "a valid C identifier must start with" } },
	{ cor_check_env_name, "a b-c.d", { 0 } },
	{ cor_check_env_name, "", { "environment variable name must be non-empty" } },
	{ cor_check_env_name, "a=b", { "a valid environment variable name must consist only of" } },
	{ cor_check_env_name, "a\xc3\xa9", { "a valid environment variable name must consist only of" } },
	{ cor_check_port_name, "http-1", { 0 } },
	{ cor_check_port_name, "abcdefghijklmno", { 0 } },
	{ cor_check_port_name, "abcdefghijklmnop", { "must be no more than 15 characters" } },
	{ cor_check_port_name, "80", { "must contain at least one letter (a-z)" } },
	{ cor_check_port_name, "a--b", { "must not contain consecutive hyphens" } },
	{ cor_check_port_name, "-a", { "must not begin or end with a hyphen" } },
	{ cor_check_port_name, "Ab", { "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)" } },
	{ cor_check_percent, "100%", { 0 } },
	{ cor_check_percent, "%", { "a valid percent string must be a numeric string" } },
	{ cor_check_percent, "1", { "a valid percent string must be a numeric string" } },
	{ cor_check_percent, "-1%", { "a valid percent string must be a numeric string" } },
	{ cor_check_percent, "", { "a valid percent string must be a numeric string" } },
	{ cor_check_http_header, "X-Header", { 0 } },
	{ cor_check_http_header, "X_Header", { "a valid HTTP header must consist of" } },
	{ cor_check_path_segment, "system:x", { 0 } },
	{ cor_check_path_segment, ".", { "may not be '.'" } },
	{ cor_check_path_segment, "..", { "may not be '..'" } },
	{ cor_check_path_segment, "a/b%", { "may not contain '/'", "may not contain '%'" } },
	{ cor_check_relative_path, "a/b", { 0 } },
	{ cor_check_relative_path, "a/..b", { 0 } },
	{ cor_check_relative_path, "/a", { "must be a relative path" } },
	{ cor_check_relative_path, "a/../b", { "must not contain '..'" } },
	{ cor_check_relative_path, "..a", { "must not start with '..'" } },
	{ cor_check_domain_path, "acme.io/foo/bar", { 0 } },
	{ cor_check_domain_path, "acme.io", { "must be a domain-prefixed path (such as \"acme.io/foo\")" } },
	{ cor_check_domain_path, "acme.io/", { "must be a domain-prefixed path" } },
	{ cor_check_domain_path, "Acme/x", { SUBDOMAIN } },
	{ cor_check_domain_path, "a/b c", { "Invalid path (regex used for validation is" } },
	{ cor_check_ip, "10.9.8.7", { 0 } },
	{ cor_check_ip, "2001:db8::ffff", { 0 } },
	{ cor_check_ip, "2001:DB8:0::1", { 0 } },
	{ cor_check_ip, "", { "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)" } },
	{ cor_check_ip, "1.2.3", { "must be a valid IP address" } },
	{ cor_check_ip, "1.2.3.256", { "must be a valid IP address" } },
	{ cor_check_ip, "1.2.3.4.5", { "must be a valid IP address" } },
	{ cor_check_ip, "1.2.3.4 ", { "must be a valid IP address" } },
	{ cor_check_ip, "fe80::1%eth0", { "must be a valid IP address" } },
	{ cor_check_ip, "1:2:3:4:5:6:7:8:9", { "must be a valid IP address" } },
	{ cor_check_ip, "010.1.2.3", { "must not have leading 0s" } },
	{ cor_check_ip, "::ffff:1.2.3.4", { "must not be an IPv4-mapped IPv6 address" } },
	{ cor_check_cidr, "10.0.0.0/8", { 0 } },
	{ cor_check_cidr, "0.0.0.0/0", { 0 } },
	{ cor_check_cidr, "::/0", { 0 } },
	{ cor_check_cidr, "10.0.0.0", { "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)" } },
	{ cor_check_cidr, "10.0.0.0/33", { "must be a valid CIDR value" } },
	{ cor_check_cidr, "10.0.0.0/-1", { "must be a valid CIDR value" } },
	{ cor_check_cidr, "10.0.0.1/8", { "must not have bits set beyond the prefix length" } },
	{ cor_check_cidr, "2001:db8::1/64", { "must not have bits set beyond the prefix length" } },
	{ cor_check_cidr, "10.0.0.0/08", { "must not have leading 0s in IP or prefix length" } },
	{ cor_check_cidr, "::ffff:10.0.0.0/104", { "must not have an IPv4-mapped IPv6 address" } },
};

static void test_checks(void **state) {
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_broken b = cases[i].check(cor_str_c(cases[i].text));
		for (size_t m = 0; m < cor_countof(cases[i].broken); m++) {
			const char *want = cases[i].broken[m], *got = m < b.n ? b.p[m] : NULL;
			if (!want != !got || (want && strncmp(got, want, strlen(want)) != 0))
				fail_msg("case %zu \"%s\": message %zu: want %s, got %s", i,
					cases[i].text, m, want ? want : "none", got ? got : "none");
		}
	}
}

static void test_numbers(void **state) {
	assert_int_equal(cor_check_port_number(1).n, 0);
	assert_int_equal(cor_check_port_number(65535).n, 0);
	assert_string_equal(cor_check_port_number(0).p[0], "must be between 1 and 65535, inclusive");
	assert_int_equal(cor_check_port_number(65536).n, 1);
	assert_int_equal(cor_check_uid(0).n, 0);
	assert_int_equal(cor_check_uid(-1).n, 1);
	assert_int_equal(cor_check_uid(2147483648).n, 1);
}

static void test_absent_and_binary(void **state) {
	struct cor_str absent = { 0 }, zero = { "a\0b", 3 };
	assert_int_equal(cor_check_dns_label(absent).n, 1);
	assert_int_equal(cor_check_dns_subdomain(absent).n, 1);
	assert_int_equal(cor_check_label_value(absent).n, 0);
	assert_int_equal(cor_check_qualified_name(absent).n, 2);
	assert_int_equal(cor_check_percent(absent).n, 1);
	assert_int_equal(cor_check_relative_path(absent).n, 0);
	assert_int_equal(cor_check_ip(absent).n, 1);
	assert_int_equal(cor_check_dns_subdomain(zero).n, 1);
	assert_int_equal(cor_check_env_name(zero).n, 1);
	assert_int_equal(cor_check_ip((struct cor_str){ "::1\0", 4 }).n, 1);
}

static void test_prefixes(void **state) {
	assert_int_equal(cor_name_subdomain(COR_STR("web-"), true).n, 0);
	assert_int_equal(cor_name_subdomain(COR_STR("web-"), false).n, 1);
	assert_int_equal(cor_name_subdomain(COR_STR("web.-"), true).n, 0);
	assert_int_equal(cor_name_subdomain(COR_STR("Web-"), true).n, 1);
	assert_int_equal(cor_name_subdomain(COR_STR("-"), true).n, 1);
	assert_int_equal(cor_name_label(COR_STR("a.b-"), true).n, 1);
	assert_int_equal(cor_name_label1035(COR_STR("1-"), true).n, 0);
	assert_int_equal(cor_name_path_segment(COR_STR(".."), true).n, 0);
	assert_int_equal(cor_name_path_segment(COR_STR(".."), false).n, 1);
	assert_int_equal(cor_name_path_segment(COR_STR("a%"), true).n, 1);
}

static void test_addresses(void **state) {
	static const char *const canonical[][2] = {
		{ "10.0.0.1", "10.0.0.1" }, { "010.0.0.1", "10.0.0.1" },
		{ "2001:DB8:0:0::1", "2001:db8::1" }, { "::", "::" },
		{ "::ffff:1.2.3.4", "1.2.3.4" },
	};
	char text[COR_CIDR_TEXT_MAX];
	struct cor_ip ip;
	struct cor_cidr c;
	for (size_t i = 0; i < cor_countof(canonical); i++) {
		assert_true(cor_ip_parse(cor_str_c(canonical[i][0]), &ip));
		(void)cor_ip_format(&ip, text);
		assert_string_equal(text, canonical[i][1]);
	}
	assert_true(cor_cidr_parse(COR_STR("10.1.2.3/12"), &c) && c.host_bits);
	(void)cor_cidr_format(&c, text);
	assert_string_equal(text, "10.0.0.0/12");
	assert_true(cor_ip_parse(COR_STR("10.15.255.255"), &ip) && cor_cidr_contains(&c, &ip));
	assert_true(cor_ip_parse(COR_STR("10.16.0.0"), &ip) && !cor_cidr_contains(&c, &ip));
	assert_true(cor_ip_parse(COR_STR("a00::"), &ip) && !cor_cidr_contains(&c, &ip));
	static const struct {
		const char *text;
		bool unspecified, loopback, link_local, multicast;
	} kinds[] = {
		{ "0.0.0.0", true, false, false, false }, { "::", true, false, false, false },
		{ "127.9.9.9", false, true, false, false }, { "::1", false, true, false, false },
		{ "169.254.1.1", false, false, true, false }, { "febf::1", false, false, true, false },
		{ "fec0::1", false, false, false, false }, { "224.0.0.5", false, false, false, true },
		{ "ff02::1", false, false, false, true }, { "10.0.0.1", false, false, false, false },
	};
	for (size_t i = 0; i < cor_countof(kinds); i++) {
		assert_true(cor_ip_parse(cor_str_c(kinds[i].text), &ip));
		assert_int_equal(cor_ip_is_unspecified(&ip), kinds[i].unspecified);
		assert_int_equal(cor_ip_is_loopback(&ip), kinds[i].loopback);
		assert_int_equal(cor_ip_is_link_local(&ip), kinds[i].link_local);
		assert_int_equal(cor_ip_is_link_local_multicast(&ip), kinds[i].multicast);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checks), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_absent_and_binary), cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
