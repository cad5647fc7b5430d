// SPDX-License-Identifier: Apache-2.0
// The cluster DNS as a function: objects in, wire-format queries in, wire-format answers out.
// Answers are rendered as text "rcode | answer | authority | additional", one record after another.
#include <libknot/libknot.h>
#undef _cleanup_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "codec/codec.h"
#include "gen/core_v1.h"
#include "gen/discovery_v1.h"
#include "network/dns.h"

static struct cor_arena *arena;

static void *decode(const struct cor_type *t, const char *json) {
	struct cor_decode d = { .arena = arena, .strict = true };
	struct cor_err err = { 0 };
	void *obj = NULL;
	if (cor_json_decode_new(t, cor_str_c(json), &obj, &d, &err) < 0)
		fail_msg("%s: %s", err.message, json);
	assert_int_equal(d.errors.n, 0);
	return obj;
}

static void add_service(struct cor_dns *dns, const char *json) {
	cor_dns_set_service(dns, decode(&cor_type_core_v1_Service, json));
}

static void add_slice(struct cor_dns *dns, const char *json) {
	cor_dns_set_slice(dns, decode(&cor_type_discovery_v1_EndpointSlice, json));
}

/* web: cluster IP; db: headless with two pods of a StatefulSet and one not ready; out, alias, loop,
 * far: external names; dual: two families; empty: headless without endpoints. */
static struct cor_dns *make_dns(void) {
	struct cor_dns_config config = { .ttl = 30, .dns_ip = 0x0a60000a };
	struct cor_err err = { 0 };
	struct cor_dns *dns = NULL;
	assert_true(cor_cidr4_parse(COR_STR("10.96.0.0/12"), &config.service_cidr));
	assert_true(cor_cidr4_parse(COR_STR("10.244.0.0/16"), &config.pod_cidr));
	assert_int_equal(cor_dns_new(&config, &dns, &err), 0);
	add_service(dns, "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{"
		"\"clusterIP\":\"10.96.1.1\",\"clusterIPs\":[\"10.96.1.1\"],\"ports\":["
		"{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\"},{\"name\":\"dns\",\"port\":53,"
		"\"protocol\":\"UDP\"}]}}");
	add_service(dns, "{\"metadata\":{\"name\":\"db\",\"namespace\":\"prod\"},\"spec\":{"
		"\"clusterIP\":\"None\",\"clusterIPs\":[\"None\"],\"ports\":[{\"name\":\"pg\",\"port\":5432}]}}");
	add_slice(dns, "{\"metadata\":{\"name\":\"db-1\",\"namespace\":\"prod\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"db\"}},\"addressType\":\"IPv4\",\"ports\":["
		"{\"name\":\"pg\",\"port\":15432,\"protocol\":\"TCP\"}],\"endpoints\":["
		"{\"addresses\":[\"10.244.0.5\"],\"hostname\":\"db-0\",\"conditions\":{\"ready\":true}},"
		"{\"addresses\":[\"10.244.0.6\"],\"conditions\":{}},"
		"{\"addresses\":[\"10.244.0.7\"],\"hostname\":\"db-2\",\"conditions\":{\"ready\":false}}]}");
	add_service(dns, "{\"metadata\":{\"name\":\"empty\",\"namespace\":\"prod\"},\"spec\":{"
		"\"clusterIP\":\"None\",\"ports\":[{\"name\":\"x\",\"port\":1}]}}");
	add_service(dns, "{\"metadata\":{\"name\":\"dual\",\"namespace\":\"prod\"},\"spec\":{"
		"\"clusterIP\":\"10.96.1.2\",\"clusterIPs\":[\"10.96.1.2\",\"fd00::12\"]}}");
	static const char *const external[][2] = { { "out", "Foo.example.com" },
		{ "alias", "web.default.svc.cluster.local" }, { "chain", "alias.prod.svc.cluster.local." },
		{ "loop", "loop.prod.svc.cluster.local" }, { "lost", "gone.prod.svc.cluster.local" } };
	for (size_t i = 0; i < cor_countof(external); i++) {
		char json[300];
		snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"prod\"},"
			"\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"%s\"}}", external[i][0],
			external[i][1]);
		add_service(dns, json);
	}
	cor_dns_set_ready(dns, true);
	return dns;
}

static size_t make_query(const char *name, uint16_t type, int edns, uint8_t *out) {
	uint8_t wire[KNOT_DNAME_MAXLEN];
	assert_non_null(knot_dname_from_str(wire, name, sizeof(wire)));
	memset(out, 0, 512);
	knot_pkt_t *pkt = knot_pkt_new(out, 512, NULL);
	knot_wire_set_id(pkt->wire, 0x1234);
	knot_wire_set_rd(pkt->wire);
	assert_int_equal(knot_pkt_put_question(pkt, wire, KNOT_CLASS_IN, type), KNOT_EOK);
	if (edns >= 0) {
		knot_rrset_t opt;
		knot_edns_init(&opt, (uint16_t)edns, 0, 0, NULL);
		knot_pkt_begin(pkt, KNOT_ADDITIONAL);
		assert_int_equal(knot_pkt_put(pkt, KNOT_COMPR_HINT_NONE, &opt, 0), KNOT_EOK);
		knot_rrset_clear(&opt, NULL);
	}
	size_t n = pkt->size;
	knot_pkt_free(pkt);
	return n;
}

/* "rcode[ aa][ tc] | A 10.0.0.1 | SOA 30 | ..."; records of one section sorted by appearance. */
static void render(const uint8_t *p, size_t n, char *out, size_t cap) {
	knot_pkt_t *pkt = knot_pkt_new((void *)p, (uint16_t)n, NULL);
	int rc = knot_pkt_parse(pkt, KNOT_PF_KEEPWIRE);
	if (rc != KNOT_EOK)
		fail_msg("answer does not parse: %s", knot_strerror(rc));
	assert_int_equal(knot_wire_get_id(p), 0x1234);
	assert_true(knot_wire_get_qr(p) && knot_wire_get_rd(p) && knot_wire_get_ra(p));
	size_t at = (size_t)snprintf(out, cap, "%u%s%s", knot_pkt_ext_rcode(pkt),
		knot_wire_get_aa(p) ? " aa" : "", knot_wire_get_tc(p) ? " tc" : "");
	for (int s = KNOT_ANSWER; s <= KNOT_ADDITIONAL; s++) {
		const knot_pktsection_t *sec = knot_pkt_section(pkt, (knot_section_t)s);
		at += (size_t)snprintf(out + at, cap - at, " |");
		for (uint16_t i = 0; i < sec->count; i++) {
			const knot_rrset_t *rr = knot_pkt_rr(sec, i);
			char type[16], data[600];
			knot_rrtype_to_string(rr->type, type, sizeof(type));
			if (rr->type == KNOT_RRTYPE_OPT)
				snprintf(data, sizeof(data), "%u", knot_edns_get_payload(rr));
			else if (rr->type == KNOT_RRTYPE_SOA)
				snprintf(data, sizeof(data), "%u", rr->ttl);
			else
				knot_rrset_txt_dump_data(rr, 0, data, sizeof(data), &KNOT_DUMP_STYLE_DEFAULT);
			at += (size_t)snprintf(out + at, cap - at, " %s %s", type, data);
		}
	}
	knot_pkt_free(pkt);
}

static void ask(struct cor_dns *dns, const char *name, uint16_t type, const char *expect) {
	uint8_t query[512];
	static uint8_t answer[COR_DNS_TCP_MAX];
	char text[4000];
	struct cor_dns_reply reply;
	size_t n = make_query(name, type, -1, query);
	cor_dns_answer(dns, query, n, false, NULL, answer, &reply);
	if (reply.verdict != COR_DNS_ANSWER) {
		snprintf(text, sizeof(text), "%s", reply.verdict == COR_DNS_FORWARD ? "forward"
			: reply.verdict == COR_DNS_CHASE ? "chase" : "drop");
	} else {
		assert_true(reply.n <= 512);
		/* The question comes back with its case. */
		assert_memory_equal(answer + 12, query + 12, n - 12);
		render(answer, reply.n, text, sizeof(text));
	}
	if (strcmp(text, expect) != 0)
		fail_msg("%s %u: got \"%s\", want \"%s\"", name, type, text, expect);
}

enum { A = KNOT_RRTYPE_A, AAAA = KNOT_RRTYPE_AAAA, SRV = KNOT_RRTYPE_SRV, PTR = KNOT_RRTYPE_PTR,
	TXT = KNOT_RRTYPE_TXT, CNAME = KNOT_RRTYPE_CNAME, NS = KNOT_RRTYPE_NS, SOA = KNOT_RRTYPE_SOA,
	ANY = KNOT_RRTYPE_ANY, MX = KNOT_RRTYPE_MX };

#define NODATA "0 aa | | SOA 1 |"
#define NXDOMAIN "3 aa | | SOA 1 |"
#define Z ".cluster.local"

static void names_of_the_zone(void **state) {
	static const struct {
		const char *name;
		uint16_t type;
		const char *expect;
	} t[] = {
		{ "web.default.svc" Z, A, "0 aa | A 10.96.1.1 | |" },
		{ "WEB.Default.svc.Cluster.LOCAL.", A, "0 aa | A 10.96.1.1 | |" },
		{ "web.default.svc" Z, AAAA, NODATA },
		{ "web.default.svc" Z, ANY, "0 aa | A 10.96.1.1 | |" },
		{ "web.default.svc" Z, MX, NODATA },
		{ "dual.prod.svc" Z, A, "0 aa | A 10.96.1.2 | |" },
		{ "dual.prod.svc" Z, AAAA, "0 aa | AAAA fd00::12 | |" },
		{ "web.prod.svc" Z, A, NXDOMAIN },
		{ "gone.default.svc" Z, AAAA, NXDOMAIN },
		{ "default.svc" Z, A, NODATA },
		{ "nowhere.svc" Z, A, NXDOMAIN },
		{ "svc" Z, A, NODATA }, { "pod" Z, A, NODATA }, { "cluster.local", A, NODATA },
		{ "example.com.default.svc" Z, A, NXDOMAIN },
		{ "example.com.svc" Z, A, NXDOMAIN }, { "example.com" Z, A, NXDOMAIN },
		{ "a.b.c.d.e.f.g.svc" Z, A, NXDOMAIN },
		/* Services by port. */
		{ "_http._tcp.web.default.svc" Z, SRV,
			"0 aa | SRV 0 100 80 web.default.svc.cluster.local. | | A 10.96.1.1" },
		{ "_dns._udp.web.default.svc" Z, SRV,
			"0 aa | SRV 0 100 53 web.default.svc.cluster.local. | | A 10.96.1.1" },
		{ "_http._udp.web.default.svc" Z, SRV, NXDOMAIN },
		{ "_http._tcp.web.default.svc" Z, A, NODATA },
		{ "_tcp.web.default.svc" Z, SRV, NODATA },
		{ "_sctp.web.default.svc" Z, SRV, NXDOMAIN },
		{ "_http._icmp.web.default.svc" Z, SRV, NXDOMAIN },
		{ "http._tcp.web.default.svc" Z, SRV, NXDOMAIN },
		/* Headless. */
		{ "db-0.db.prod.svc" Z, A, "0 aa | A 10.244.0.5 | |" },
		{ "db-0.db.prod.svc" Z, AAAA, NODATA },
		{ "10-244-0-6.db.prod.svc" Z, A, "0 aa | A 10.244.0.6 | |" },
		{ "10-244-0-5.db.prod.svc" Z, A, NXDOMAIN },
		{ "db-2.db.prod.svc" Z, A, NXDOMAIN },
		{ "empty.prod.svc" Z, A, NODATA },
		{ "_x._tcp.empty.prod.svc" Z, SRV, NODATA },
		/* External names. */
		{ "out.prod.svc" Z, CNAME, "0 aa | CNAME foo.example.com. | |" },
		{ "out.prod.svc" Z, A, "chase" },
		{ "alias.prod.svc" Z, A,
			"0 aa | CNAME web.default.svc.cluster.local. A 10.96.1.1 | |" },
		{ "chain.prod.svc" Z, A, "0 aa | CNAME alias.prod.svc.cluster.local. "
			"CNAME web.default.svc.cluster.local. A 10.96.1.1 | |" },
		{ "lost.prod.svc" Z, A, "3 aa | CNAME gone.prod.svc.cluster.local. | |" },
		/* Pods by address. */
		{ "10-1-2-3.prod.pod" Z, A, "0 aa | A 10.1.2.3 | |" },
		{ "10-1-2-3.prod.pod" Z, AAAA, NODATA },
		{ "fd00--5.prod.pod" Z, AAAA, "0 aa | AAAA fd00::5 | |" },
		{ "10-1-2-300.prod.pod" Z, A, NXDOMAIN }, { "x.prod.pod" Z, A, NXDOMAIN },
		{ "1-2-3-4.5-6-7-8.prod.pod" Z, A, NXDOMAIN },
		/* The zone itself. */
		{ "dns-version" Z, TXT, "0 aa | TXT \"1.1.0\" | |" },
		{ "dns-version" Z, A, NODATA },
		{ "cluster.local", NS, "0 aa | NS ns.dns.cluster.local. | |" },
		{ "cluster.local", SOA, "0 aa | SOA 30 | |" },
		{ "ns.dns" Z, A, "0 aa | A 10.96.0.10 | |" },
		/* Addresses. */
		{ "1.1.96.10.in-addr.arpa", PTR, "0 aa | PTR web.default.svc.cluster.local. | |" },
		{ "1.1.96.10.in-addr.arpa", A, NODATA },
		{ "9.9.96.10.in-addr.arpa", PTR, NXDOMAIN },
		{ "5.0.244.10.in-addr.arpa", PTR, "0 aa | PTR db-0.db.prod.svc.cluster.local. | |" },
		{ "6.0.244.10.in-addr.arpa", PTR, "0 aa | PTR 10-244-0-6.db.prod.svc.cluster.local. | |" },
		{ "7.0.244.10.in-addr.arpa", PTR, NXDOMAIN },
		{ "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", PTR,
			"0 aa | PTR dual.prod.svc.cluster.local. | |" },
		/* Not ours. */
		{ "1.0.0.192.in-addr.arpa", PTR, "forward" }, { "244.10.in-addr.arpa", PTR, "forward" },
		{ "example.com", A, "forward" }, { ".", NS, "forward" }, { "local", A, "forward" },
		{ "xcluster.local", A, "forward" }, { "foo.mycluster.local", A, "forward" },
	};
	struct cor_dns *dns = make_dns();
	for (size_t i = 0; i < cor_countof(t); i++)
		ask(dns, t[i].name, t[i].type, t[i].expect);
	cor_dns_free(dns);
}

static void an_alias_of_itself_ends(void **state) {
	struct cor_dns *dns = make_dns();
	uint8_t query[512], *answer = malloc(COR_DNS_TCP_MAX);
	struct cor_dns_reply reply;
	size_t n = make_query("loop.prod.svc" Z, A, -1, query);
	cor_dns_answer(dns, query, n, true, NULL, answer, &reply);
	assert_int_equal(reply.verdict, COR_DNS_ANSWER);
	assert_in_range(knot_wire_get_ancount(answer), 1, 10);
	free(answer);
	cor_dns_free(dns);
}

static void addresses_take_turns(void **state) {
	struct cor_dns *dns = make_dns();
	ask(dns, "db.prod.svc" Z, A, "0 aa | A 10.244.0.5 A 10.244.0.6 | |");
	ask(dns, "db.prod.svc" Z, A, "0 aa | A 10.244.0.6 A 10.244.0.5 | |");
	ask(dns, "_pg._tcp.db.prod.svc" Z, SRV,
		"0 aa | SRV 0 50 15432 db-0.db.prod.svc.cluster.local. "
		"SRV 0 50 15432 10-244-0-6.db.prod.svc.cluster.local. | | A 10.244.0.5 A 10.244.0.6");
	cor_dns_free(dns);
}

static void changes_show_at_once(void **state) {
	struct cor_dns *dns = make_dns();
	add_slice(dns, "{\"metadata\":{\"name\":\"db-1\",\"namespace\":\"prod\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"db\"}},\"addressType\":\"IPv4\",\"ports\":[],\"endpoints\":["
		"{\"addresses\":[\"10.244.0.7\"],\"hostname\":\"db-2\"}]}");
	ask(dns, "db.prod.svc" Z, A, "0 aa | A 10.244.0.7 | |");
	ask(dns, "5.0.244.10.in-addr.arpa", PTR, NXDOMAIN);
	ask(dns, "7.0.244.10.in-addr.arpa", PTR, "0 aa | PTR db-2.db.prod.svc.cluster.local. | |");
	/* The slice moves to another Service. */
	add_slice(dns, "{\"metadata\":{\"name\":\"db-1\",\"namespace\":\"prod\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"empty\"}},\"addressType\":\"IPv4\",\"endpoints\":["
		"{\"addresses\":[\"10.244.0.8\"]}]}");
	ask(dns, "db.prod.svc" Z, A, NODATA);
	ask(dns, "empty.prod.svc" Z, A, "0 aa | A 10.244.0.8 | |");
	cor_dns_del_slice(dns, COR_STR("prod"), COR_STR("db-1"));
	ask(dns, "empty.prod.svc" Z, A, NODATA);
	/* External name to cluster IP and gone. */
	add_service(dns, "{\"metadata\":{\"name\":\"out\",\"namespace\":\"prod\"},\"spec\":{"
		"\"type\":\"ClusterIP\",\"clusterIP\":\"10.96.7.7\",\"clusterIPs\":[\"10.96.7.7\"]}}");
	ask(dns, "out.prod.svc" Z, A, "0 aa | A 10.96.7.7 | |");
	ask(dns, "out.prod.svc" Z, CNAME, NODATA);
	cor_dns_del_service(dns, COR_STR("prod"), COR_STR("out"));
	ask(dns, "out.prod.svc" Z, A, NXDOMAIN);
	ask(dns, "7.7.96.10.in-addr.arpa", PTR, NXDOMAIN);
	/* Namespaces: by their services, and by themselves once they are fed. */
	cor_dns_del_service(dns, COR_STR("default"), COR_STR("web"));
	ask(dns, "default.svc" Z, A, NXDOMAIN);
	ask(dns, "10-1-2-3.default.pod" Z, A, "0 aa | A 10.1.2.3 | |");
	cor_dns_set_namespace(dns, COR_STR("other"));
	ask(dns, "other.svc" Z, A, NODATA);
	ask(dns, "10-1-2-3.default.pod" Z, A, NXDOMAIN);
	cor_dns_del_namespace(dns, COR_STR("other"));
	ask(dns, "other.svc" Z, A, NXDOMAIN);
	/* Before the feed is complete nothing is denied. */
	cor_dns_set_ready(dns, false);
	ask(dns, "gone.default.svc" Z, A, "2 | | |");
	ask(dns, "example.com", A, "forward");
	cor_dns_free(dns);
}

static void slices_may_come_first(void **state) {
	struct cor_dns *dns = make_dns();
	add_slice(dns, "{\"metadata\":{\"name\":\"s-1\",\"namespace\":\"new\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"s\"}},\"addressType\":\"IPv4\",\"endpoints\":["
		"{\"addresses\":[\"10.244.0.9\"]}]}");
	ask(dns, "s.new.svc" Z, A, NXDOMAIN);
	ask(dns, "new.svc" Z, A, NXDOMAIN);
	add_service(dns, "{\"metadata\":{\"name\":\"s\",\"namespace\":\"new\"},\"spec\":{\"clusterIP\":\"None\"}}");
	ask(dns, "s.new.svc" Z, A, "0 aa | A 10.244.0.9 | |");
	cor_dns_del_service(dns, COR_STR("new"), COR_STR("s"));
	ask(dns, "s.new.svc" Z, A, NXDOMAIN);
	cor_dns_del_slice(dns, COR_STR("new"), COR_STR("s-1"));
	cor_dns_free(dns);
}

static void add_many(struct cor_dns *dns, int n) {
	add_service(dns, "{\"metadata\":{\"name\":\"many\",\"namespace\":\"prod\"},\"spec\":{\"clusterIP\":\"None\"}}");
	char json[40000];
	size_t at = (size_t)snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"many-1\","
		"\"namespace\":\"prod\",\"labels\":{\"kubernetes.io/service-name\":\"many\"}},"
		"\"addressType\":\"IPv4\",\"endpoints\":[");
	for (int i = 0; i < n; i++)
		at += (size_t)snprintf(json + at, sizeof(json) - at, "%s{\"addresses\":[\"10.244.%d.%d\"]}",
			i ? "," : "", i / 200 + 1, i % 200 + 1);
	snprintf(json + at, sizeof(json) - at, "]}");
	add_slice(dns, json);
}

static void large_answers_are_cut(void **state) {
	static const struct {
		int edns;
		bool tcp;
		size_t limit;
		int records;
	} t[] = {
		{ -1, false, 512, 29 }, { 400, false, 512, 28 }, { 1000, false, 1000, 59 },
		{ 4096, false, 1232, 73 }, { -1, true, 65535, 300 }, { 4096, true, 65535, 300 },
	};
	struct cor_dns *dns = make_dns();
	uint8_t query[512], *answer = malloc(COR_DNS_TCP_MAX);
	add_many(dns, 300);
	for (size_t i = 0; i < cor_countof(t); i++) {
		struct cor_dns_reply reply;
		size_t n = make_query("many.prod.svc" Z, A, t[i].edns, query);
		cor_dns_answer(dns, query, n, t[i].tcp, NULL, answer, &reply);
		assert_int_equal(reply.verdict, COR_DNS_ANSWER);
		assert_true(reply.n <= t[i].limit);
		assert_int_equal(knot_wire_get_tc(answer) != 0, !t[i].tcp);
		assert_int_equal(knot_wire_get_ancount(answer), t[i].records);
		assert_int_equal(knot_wire_get_arcount(answer), t[i].edns >= 0);
	}
	free(answer);
	cor_dns_free(dns);
}

/* Query bytes of "web.default.svc.cluster.local A" with one thing wrong. */
static void odd_queries(void **state) {
	static const struct {
		const char *what;
		size_t at;
		uint8_t byte;
		int cut;                /* bytes kept; 0 all */
		int verdict;
		unsigned rcode;
	} t[] = {
		{ "as it should be", 2, 0x01, 0, COR_DNS_ANSWER, KNOT_RCODE_NOERROR },
		{ "an answer", 2, 0x81, 0, COR_DNS_DROP, 0 },
		{ "opcode status", 2, 0x11, 0, COR_DNS_ANSWER, KNOT_RCODE_NOTIMPL },
		{ "opcode update", 2, 0x29, 0, COR_DNS_ANSWER, KNOT_RCODE_NOTIMPL },
		{ "header only", 2, 0x01, 12, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "half a header", 2, 0x01, 11, COR_DNS_DROP, 0 },
		{ "nothing", 2, 0x01, -1, COR_DNS_DROP, 0 },
		{ "cut in the name", 2, 0x01, 20, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "cut in the type", 2, 0x01, 44, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "two questions", 5, 2, 0, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "no question", 5, 0, 0, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "a record that is not there", 7, 1, 0, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "label too long", 12, 0x3f, 0, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "reserved label type", 12, 0x83, 0, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "pointer to itself", 12, 0xc0, 0, COR_DNS_ANSWER, KNOT_RCODE_FORMERR },
		{ "class chaos", 46, 3, 0, COR_DNS_ANSWER, KNOT_RCODE_REFUSED },
		{ "zone transfer", 44, 252, 0, COR_DNS_ANSWER, KNOT_RCODE_REFUSED },
	};
	struct cor_dns *dns = make_dns();
	uint8_t *answer = malloc(COR_DNS_TCP_MAX);
	for (size_t i = 0; i < cor_countof(t); i++) {
		uint8_t query[512];
		struct cor_dns_reply reply;
		size_t n = make_query("web.default.svc" Z, A, -1, query);
		assert_int_equal(n, 47);
		query[t[i].at] = t[i].byte;
		/* Exactly as long as said, so that reading on is an error to ASAN. */
		size_t len = t[i].cut < 0 ? 0 : t[i].cut ? (size_t)t[i].cut : n;
		uint8_t *exact = malloc(len + (len == 0));
		memcpy(exact, query, len);
		cor_dns_answer(dns, exact, len, false, NULL, answer, &reply);
		free(exact);
		if ((int)reply.verdict != t[i].verdict)
			fail_msg("%s: verdict %d", t[i].what, reply.verdict);
		if (reply.verdict == COR_DNS_ANSWER && knot_wire_get_rcode(answer) != t[i].rcode)
			fail_msg("%s: rcode %u", t[i].what, knot_wire_get_rcode(answer));
		if (reply.verdict == COR_DNS_ANSWER)
			assert_true(knot_wire_get_qr(answer) && knot_wire_get_id(answer) == 0x1234);
	}
	/* EDNS of a version to come. */
	uint8_t query[512];
	struct cor_dns_reply reply;
	char text[300];
	size_t n = make_query("web.default.svc" Z, A, 1232, query);
	query[n - 5] = 1;
	cor_dns_answer(dns, query, n, false, NULL, answer, &reply);
	render(answer, reply.n, text, sizeof(text));
	assert_string_equal(text, "16 | | | OPT 1232");
	free(answer);
	cor_dns_free(dns);
}

/* Any bytes whatsoever: no crash, and what is answered parses. */
static void noise(void **state) {
	struct cor_dns *dns = make_dns();
	uint8_t *answer = malloc(COR_DNS_TCP_MAX);
	srandom(20261124);
	for (int i = 0; i < 20000; i++) {
		uint8_t query[512];
		struct cor_dns_reply reply;
		size_t n = make_query("_http._tcp.web.default.svc" Z, SRV, 1232, query);
		for (int k = 0; k < 1 + i % 4; k++)
			query[(size_t)random() % n] = (uint8_t)random();
		n -= i % 3 ? 0 : (size_t)random() % n;
		cor_dns_answer(dns, query, n, false, NULL, answer, &reply);
		if (reply.verdict == COR_DNS_ANSWER)
			assert_in_range(reply.n, 12, 1232);
	}
	free(answer);
	cor_dns_free(dns);
}

static void outside_answers_follow_the_alias(void **state) {
	struct cor_dns *dns = make_dns();
	uint8_t query[512], up[512] = { 0 }, *answer = malloc(COR_DNS_TCP_MAX);
	char text[500];
	struct cor_dns_reply reply;
	size_t n = make_query("out.prod.svc" Z, A, -1, query);
	cor_dns_answer(dns, query, n, false, NULL, answer, &reply);
	assert_int_equal(reply.verdict, COR_DNS_CHASE);
	assert_memory_equal(reply.target, "\003foo\007example\003com", 17);

	knot_pkt_t *pkt = knot_pkt_new(up, sizeof(up), NULL);
	knot_wire_set_qr(pkt->wire);
	knot_pkt_put_question(pkt, reply.target, KNOT_CLASS_IN, A);
	knot_rrset_t rr;
	knot_rrset_init(&rr, reply.target, A, KNOT_CLASS_IN, 77);
	knot_rrset_add_rdata(&rr, (const uint8_t *)"\300\0\2\1", 4, NULL);
	knot_pkt_begin(pkt, KNOT_ANSWER);
	knot_pkt_put(pkt, KNOT_COMPR_HINT_QNAME, &rr, 0);
	struct cor_dns_upstream upstream = { up, pkt->size };
	cor_dns_answer(dns, query, n, false, &upstream, answer, &reply);
	render(answer, reply.n, text, sizeof(text));
	assert_string_equal(text, "0 aa | CNAME foo.example.com. A 192.0.2.1 | |");
	knot_rdataset_clear(&rr.rrs, NULL);
	knot_pkt_free(pkt);
	/* An alias of the alias: its name is compressed in the packet, which ends before ours does. */
	static const uint8_t bar[] = "\003bar\007example\003com";
	memset(up, 0, sizeof(up));
	pkt = knot_pkt_new(up, sizeof(up), NULL);
	knot_wire_set_qr(pkt->wire);
	knot_pkt_put_question(pkt, reply.target, KNOT_CLASS_IN, A);
	knot_pkt_begin(pkt, KNOT_ANSWER);
	knot_rrset_t alias;
	knot_rrset_init(&alias, reply.target, CNAME, KNOT_CLASS_IN, 77);
	knot_rrset_add_rdata(&alias, bar, sizeof(bar), NULL);
	assert_int_equal(knot_pkt_put(pkt, KNOT_COMPR_HINT_QNAME, &alias, 0), KNOT_EOK);
	assert_true(pkt->size < 12 + 21 + 12 + sizeof(bar));
	upstream.n = pkt->size;
	cor_dns_answer(dns, query, n, false, &upstream, answer, &reply);
	render(answer, reply.n, text, sizeof(text));
	assert_string_equal(text, "0 aa | CNAME foo.example.com. CNAME bar.example.com. | |");
	knot_rdataset_clear(&alias.rrs, NULL);
	knot_pkt_free(pkt);
	/* Nobody answered, or with rubbish. */
	for (size_t len = 0; len <= 20; len += 10) {
		upstream.n = len;
		cor_dns_answer(dns, query, n, false, &upstream, answer, &reply);
		render(answer, reply.n, text, sizeof(text));
		assert_string_equal(text, "2 aa | CNAME foo.example.com. | |");
	}
	free(answer);
	cor_dns_free(dns);
}

static void bad_zones_are_refused(void **state) {
	static const char *const bad[] = { ".", "", "a..b",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.local" };
	for (size_t i = 0; i < cor_countof(bad); i++) {
		struct cor_dns_config config = { .zone = bad[i] };
		struct cor_dns *dns = NULL;
		struct cor_err err = { 0 };
		assert_int_equal(cor_dns_new(&config, &dns, &err), COR_E_INVALID);
		assert_null(dns);
	}
}

static int setup(void **state) {
	arena = cor_arena_new(0);
	return arena ? 0 : -1;
}

static int teardown(void **state) {
	cor_arena_free(arena);
	return 0;
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_zone),
		cmocka_unit_test(an_alias_of_itself_ends),
		cmocka_unit_test(addresses_take_turns),
		cmocka_unit_test(changes_show_at_once),
		cmocka_unit_test(slices_may_come_first),
		cmocka_unit_test(large_answers_are_cut),
		cmocka_unit_test(odd_queries),
		cmocka_unit_test(noise),
		cmocka_unit_test(outside_answers_follow_the_alias),
		cmocka_unit_test(bad_zones_are_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
