// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the DNS. The first byte chooses how the rest is read: a query over UDP or TCP, or
// what an outside server says about an alias's target. Every answer must parse and fit.
#include <libknot/libknot.h>
#undef _cleanup_

#include "fuzz.h"
#include "gen/core_v1.h"
#include "network/dns.h"

static struct cor_dns *dns;
static uint8_t out[COR_DNS_TCP_MAX];

/* A name whose answer leads outside, with its id, flags and one question of type A. */
static const uint8_t alias_query[] =
	"\1\2\1\0\0\1\0\0\0\0\0\0\3out\7default\3svc\7cluster\5local\0\0\1\0\1";

static void feed(const char *name, const char *type, const char *ip, const char *external) {
	struct core_v1_ServicePort port = { .name = COR_STR("http"), .port = 80 };
	struct core_v1_Service s = { 0 };
	s.metadata.namespace = COR_STR("default");
	s.metadata.name = cor_str_c(name);
	s.spec.type = cor_str_c(type);
	s.spec.clusterIP = cor_str_c(ip);
	s.spec.externalName = cor_str_c(external);
	s.spec.ports.p = &port;
	s.spec.ports.n = 1;
	cor_dns_set_service(dns, &s);
}

static void make_dns(void) {
	struct cor_dns_config config = { .service_cidr = { 0x0a600000, 12 } };
	cor_assert(cor_dns_new(&config, &dns, NULL) == 0);
	feed("web", "ClusterIP", "10.96.1.1", "");
	feed("head", "ClusterIP", "None", "");
	feed("out", "ExternalName", "", "foo.example.com");
	feed("alias", "ExternalName", "", "out.default.svc.cluster.local");
	cor_dns_set_ready(dns, true);
}

static void check(const struct cor_dns_reply *reply, size_t limit) {
	if (reply->verdict != COR_DNS_ANSWER)
		return;
	cor_assert(reply->n >= 12 && reply->n <= limit && knot_wire_get_qr(out));
	knot_pkt_t *pkt = knot_pkt_new(out, (uint16_t)reply->n, NULL);
	cor_assert(pkt && knot_wire_get_rcode(out) != KNOT_RCODE_NOERROR
			   ? true
			   : knot_pkt_parse(pkt, 0) == KNOT_EOK);
	knot_pkt_free(pkt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct cor_dns_reply reply;
	if (!dns)
		make_dns();
	if (size < 1 || size > 5000)
		return 0;
	struct cor_dns_upstream upstream = { data + 1, size - 1 };
	switch (data[0] % 3) {
	case 0:
	case 1:
		cor_dns_answer(dns, data + 1, size - 1, data[0] % 3, NULL, out, &reply);
		check(&reply, data[0] % 3 ? COR_DNS_TCP_MAX : COR_DNS_UDP_MAX);
		break;
	case 2:
		cor_dns_answer(
			dns, alias_query, sizeof(alias_query) - 1, true, &upstream, out, &reply);
		check(&reply, COR_DNS_TCP_MAX);
		break;
	}
	return 0;
}
