// SPDX-License-Identifier: Apache-2.0
// Short texts of the API, all readers on every input: quantities, addresses and CIDRs, times and
// durations, names, plain scalars of YAML, base64, escapes of URLs. What is read must print to what
// reads as the same.
#include "base/time.h"
#include "codec/codec.h"
#include "codec/ip.h"
#include "codec/names.h"
#include "codec/quantity.h"
#include "codec/quote.h"
#include "codec/yaml_tree.h"
#include "fuzz.h"
#include "net/http.h"

static void quantity(struct cor_arena *a, struct cor_str in) {
	struct cor_quantity q, again, sum;
	struct cor_str kept, text;
	char out[COR_QUANTITY_TEXT_MAX];
	struct cor_err err;

	if (cor_quantity_parse(in, &q, &err) < 0)
		return;
	text = (struct cor_str){ out, cor_quantity_print(q, out) };
	cor_assert(text.n < sizeof(out));
	cor_assert(cor_quantity_parse(text, &again, &err) == 0);
	cor_assert(cor_quantity_cmp(q, again) == 0);
	cor_assert(cor_quantity_canonical(a, in, &kept, &err) == 0 || cor_arena_failed(a));
	sum = cor_quantity_add(q, again);
	cor_assert(q.nano < 0 ? sum.nano <= q.nano : sum.nano >= q.nano);
	sum = cor_quantity_sub(q, again);
	cor_assert(sum.nano == 0);
	(void)cor_quantity_value(q);
	(void)cor_quantity_milli(q);
}

static void address(struct cor_str in) {
	struct cor_ip ip, again;
	struct cor_cidr c, c2;
	char out[COR_CIDR_TEXT_MAX];
	struct cor_str text;

	if (cor_ip_parse(in, &ip)) {
		text = (struct cor_str){ out, cor_ip_format(&ip, out) };
		cor_assert(cor_ip_parse(text, &again) && cor_ip_eq(&ip, &again));
	}
	if (!cor_cidr_parse(in, &c))
		return;
	text = (struct cor_str){ out, cor_cidr_format(&c, out) };
	cor_assert(cor_cidr_parse(text, &c2) && c2.bits == c.bits && !c2.host_bits);
	cor_assert(cor_cidr_contains(&c, &c.ip) && cor_cidr_contains(&c, &c2.ip));
}

static void times(struct cor_str in) {
	char out[COR_TIME_TEXT_MAX];
	cor_time t, again;

	if (cor_time_parse(in, &t)) {
		struct cor_str text = { out, cor_time_format(t, true, out) };

		cor_assert(text.n < sizeof(out));
		cor_assert(cor_time_parse(text, &again) && again == t);
	}
	if (cor_duration_parse(in, &t)) {
		struct cor_str text = { out, cor_duration_format(t, out) };

		cor_assert(text.n < sizeof(out));
		cor_assert(cor_duration_parse(text, &again) && again == t);
		cor_assert(cor_duration_human(t, out) < sizeof(out));
	}
}

static void names(struct cor_str in) {
	static struct cor_broken (*const checks[])(struct cor_str s) = {
		cor_check_dns_label,
		cor_check_dns_subdomain,
		cor_check_dns1035_label,
		cor_check_wildcard_subdomain,
		cor_check_qualified_name,
		cor_check_label_value,
		cor_check_config_key,
		cor_check_c_identifier,
		cor_check_env_name,
		cor_check_port_name,
		cor_check_percent,
		cor_check_http_header,
		cor_check_path_segment,
		cor_check_relative_path,
		cor_check_domain_path,
		cor_check_ip,
		cor_check_cidr,
	};

	for (size_t i = 0; i < cor_countof(checks); i++) {
		struct cor_broken b = checks[i](in);

		cor_assert(b.n <= cor_countof(b.p));
		for (size_t k = 0; k < b.n; k++)
			cor_assert(b.p[k] && b.p[k][0]);
	}
	/* A label is also a subdomain, and both are names of files. */
	if (cor_check_dns_label(in).n == 0)
		cor_assert(cor_check_dns_subdomain(in).n == 0 && cor_check_path_segment(in).n == 0);
}

static void coded(struct cor_arena *a, struct cor_str in) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT, quoted = COR_BUF_INIT;
	struct cor_str out;
	size_t at = 0;
	void *obj;

	cor_base64_encode(&b, in);
	cor_assert((cor_base64_decode(a, cor_buf_view(&b), &out, &at) && cor_str_eq(out, in)) ||
		   cor_arena_failed(a));
	if (!cor_base64_decode(a, in, &out, &at))
		cor_assert(at <= in.n || cor_arena_failed(a));
	(void)cor_url_decode(a, in, true, &out);
	(void)cor_url_decode(a, in, false, &out);
	(void)cor_yaml_resolve(a, in, NULL);
	cor_go_quote(&quoted, in);
	cor_assert(quoted.n >= in.n + 2 && quoted.p[0] == '"' && quoted.p[quoted.n - 1] == '"');
	cor_buf_clear(&b);
	cor_json_write_str(&b, in);
	obj = cor_node_parse(a, cor_buf_view(&b), NULL, NULL);
	cor_assert(obj || cor_arena_failed(a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(4 << 20);
	int64_t number;
	uint64_t positive;

	quantity(a, in);
	address(in);
	times(in);
	names(in);
	coded(a, in);
	if (cor_str_to_i64(in, &number) && number >= 0 && in.p[0] != '-')
		cor_assert(cor_str_to_u64(in, &positive) && positive == (uint64_t)number);
	return 0;
}
