// SPDX-License-Identifier: Apache-2.0
// Packets in and out, by libknot, which parses what anybody may send. Decides what is a query at
// all, what is ours and what goes on to other servers, and writes answers: question as it was
// asked, compression, EDNS, truncation, and the SOA with its one second behind everything negative.
#include <stdio.h>
#include <string.h>

#include "network/dns_priv.h"

enum { NEGATIVE_TTL = 1 };

COR_DEFINE_CLEANUP(knot_pkt_t *, knot_pkt_free)

static void put_with_ttl(struct dns_out *out, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
	const uint8_t *rdata, size_t n, uint16_t flags) {
	knot_rrset_t rr;
	uint16_t hint = owner ? KNOT_COMPR_HINT_NONE : KNOT_COMPR_HINT_QNAME;
	const knot_dname_t *name = owner ? owner : out->qname;
	knot_rrset_init(&rr, (knot_dname_t *)name, type, KNOT_CLASS_IN, ttl);
	if (knot_rrset_add_rdata(&rr, rdata, (uint16_t)n, NULL) == KNOT_EOK) {
		int rc = knot_pkt_put(out->pkt, hint, &rr, flags);
		if (rc == KNOT_ESPACE && !(flags & KNOT_PF_NOTRUNC))
			knot_wire_set_tc(out->pkt->wire);
		out->records++;
	}
	/* Only the data: the packet keeps a pointer to it, but nobody reads it after the writing. */
	knot_rdataset_clear(&rr.rrs, NULL);
}

void dns_put(struct dns_out *out, const knot_dname_t *owner, uint16_t type, const uint8_t *rdata,
	size_t n, bool additional) {
	/* Only a record missing from the answer itself is worth asking again over TCP. */
	put_with_ttl(out, owner, type, out->dns->config.ttl, rdata, n,
		additional ? KNOT_PF_NOTRUNC : KNOT_PF_NULL);
}

void dns_put_ip(struct dns_out *out, const knot_dname_t *owner, const struct net_ip *ip,
	bool additional) {
	bool v4 = ip->family == 4;
	dns_put(out, owner, v4 ? KNOT_RRTYPE_A : KNOT_RRTYPE_AAAA, ip->b, v4 ? 4 : 16, additional);
}

void dns_put_upstream(struct dns_out *out) {
	out->rcode = KNOT_RCODE_SERVFAIL;
	if (out->upstream->n == 0)
		return;
	_cleanup_(knot_pkt_freep) knot_pkt_t *in =
		knot_pkt_new((void *)out->upstream->p, (uint16_t)out->upstream->n, NULL);
	if (!in || knot_pkt_parse(in, 0) != KNOT_EOK)
		return;
	out->rcode = knot_wire_get_rcode(in->wire);
	const knot_pktsection_t *answer = knot_pkt_section(in, KNOT_ANSWER);
	for (uint16_t i = 0; i < answer->count; i++) {
		const knot_rrset_t *rr = knot_pkt_rr(answer, i);
		const knot_rdata_t *rd = rr->rrs.rdata;
		/* Only what answers the question; libknot lets records without data pass. */
		if (rr->rclass != KNOT_CLASS_IN || (rr->type != out->reply->type &&
			rr->type != KNOT_RRTYPE_CNAME))
			continue;
		for (uint16_t k = 0; k < rr->rrs.count; k++, rd = knot_rdataset_next((knot_rdata_t *)rd)) {
			if (rd->len > 0)
				put_with_ttl(out, rr->owner, rr->type, rr->ttl, rd->data, rd->len, KNOT_PF_NULL);
		}
	}
}

static size_t put_name(const char *text, uint8_t *out) {
	return knot_dname_from_str(out, text, KNOT_DNAME_MAXLEN) ? knot_dname_size(out) : 0;
}

static void put_soa(struct dns_out *out, const knot_dname_t *owner, uint32_t ttl) {
	uint8_t rdata[2 * KNOT_DNAME_MAXLEN + 20];
	char text[160];
	snprintf(text, sizeof(text), "ns.dns.%s.", out->dns->zone);
	size_t n = put_name(text, rdata);
	snprintf(text, sizeof(text), "hostmaster.%s.", out->dns->zone);
	n += put_name(text, rdata + n);
	const uint32_t numbers[] = { out->dns->serial, 7200, 1800, 86400, NEGATIVE_TTL };
	for (size_t i = 0; i < cor_countof(numbers); i++, n += 4)
		knot_wire_write_u32(rdata + n, numbers[i]);
	put_with_ttl(out, owner, KNOT_RRTYPE_SOA, ttl, rdata, n, KNOT_PF_NULL);
}

/* Authority of an answer without records: the zone, or the first octet's reverse zone. */
static void put_negative(struct dns_out *out, const struct dns_name *name, bool reverse) {
	uint8_t owner[KNOT_DNAME_MAXLEN];
	char text[KNOT_DNAME_MAXLEN];
	if (reverse)
		snprintf(text, sizeof(text), "%.*s.%.*s.arpa.", COR_STR_ARG(name->label[name->n - 3]),
			COR_STR_ARG(name->label[name->n - 2]));
	else
		snprintf(text, sizeof(text), "%s.", out->dns->zone);
	knot_pkt_begin(out->pkt, KNOT_AUTHORITY);
	if (put_name(text, owner))
		put_soa(out, owner, NEGATIVE_TTL);
}

/* ---- the query ---- */

static uint16_t udp_limit(const knot_pkt_t *query) {
	if (!knot_pkt_has_edns(query))
		return KNOT_WIRE_MIN_PKTSIZE;
	uint16_t asked = knot_edns_get_payload(query->opt_rr);
	return asked < 512 ? 512 : asked > COR_DNS_UDP_MAX ? COR_DNS_UDP_MAX : asked;
}

/* Refusals that need no look at the name; 0xffff = none, go on. */
static unsigned early_rcode(const knot_pkt_t *query, int parsed) {
	uint16_t type = knot_pkt_qtype(query);
	if (knot_wire_get_opcode(query->wire) != KNOT_OPCODE_QUERY)
		return KNOT_RCODE_NOTIMPL;
	if (parsed != KNOT_EOK || query->qname_size == 0 || knot_wire_get_qdcount(query->wire) != 1)
		return KNOT_RCODE_FORMERR;
	if (knot_pkt_has_edns(query) && knot_edns_get_version(query->opt_rr) != 0)
		return KNOT_RCODE_BADVERS;
	if (knot_pkt_qclass(query) != KNOT_CLASS_IN || type == KNOT_RRTYPE_AXFR ||
		type == KNOT_RRTYPE_IXFR)
		return KNOT_RCODE_REFUSED;
	return 0xffff;
}

/* Writes the sections; false when the query is for somebody else. */
static bool write_sections(struct dns_out *out, const knot_pkt_t *query, const struct dns_name *name) {
	uint16_t type = knot_pkt_qtype(query);
	struct net_ip ip;
	unsigned below = 0;
	bool reverse = dns_name_reverse(name, &ip);
	bool zone = !reverse && dns_name_in_zone(out->dns, name, &below);
	if (!reverse && !zone)
		return false;
	if (zone && !out->dns->ready) {
		out->rcode = KNOT_RCODE_SERVFAIL;
		return true;
	}
	knot_pkt_begin(out->pkt, KNOT_ANSWER);
	if (reverse && !dns_zone_reverse(out, &ip, type))
		return false;
	if (zone)
		dns_zone_answer(out, NULL, name, below, type, 0);
	if (zone && below == 0 && type == KNOT_RRTYPE_SOA)
		put_soa(out, NULL, out->dns->config.ttl);
	knot_wire_set_aa(out->pkt->wire);
	if (out->rcode == KNOT_RCODE_NOERROR && !out->exists)
		out->rcode = KNOT_RCODE_NXDOMAIN;
	if (out->records == 0 && out->reply->verdict == COR_DNS_ANSWER)
		put_negative(out, name, reverse);
	return true;
}

static void put_opt(struct dns_out *out, knot_rrset_t *opt) {
	knot_edns_set_ext_rcode(opt, (uint8_t)(out->rcode >> 4));
	(void)knot_pkt_reclaim(out->pkt, (uint16_t)knot_edns_wire_size(opt));
	knot_pkt_begin(out->pkt, KNOT_ADDITIONAL);
	(void)knot_pkt_put(out->pkt, KNOT_COMPR_HINT_NONE, opt, KNOT_PF_NOTRUNC);
}

static void write_answer(struct dns_out *out, const knot_pkt_t *query, unsigned early) {
	struct dns_name name;
	knot_rrset_t opt;
	bool edns = knot_pkt_has_edns(query) &&
		knot_edns_init(&opt, COR_DNS_UDP_MAX, 0, 0, NULL) == KNOT_EOK;
	if (edns)
		(void)knot_pkt_reserve(out->pkt, (uint16_t)knot_edns_wire_size(&opt));
	if (early != 0xffff) {
		out->rcode = early;
	} else {
		dns_name_split(knot_pkt_qname(query), &name);
		if (!write_sections(out, query, &name))
			out->reply->verdict = COR_DNS_FORWARD;
	}
	if (edns)
		put_opt(out, &opt);
	knot_wire_set_rcode(out->pkt->wire, (uint8_t)(out->rcode & 0xf));
	knot_wire_set_ra(out->pkt->wire);
	out->reply->n = out->pkt->size;
	if (edns)
		knot_rrset_clear(&opt, NULL);
}

void cor_dns_answer(struct cor_dns *dns, const uint8_t *query, size_t n, bool tcp,
	const struct cor_dns_upstream *upstream, uint8_t *out, struct cor_dns_reply *ret) {
	*ret = (struct cor_dns_reply){ .verdict = COR_DNS_DROP };
	/* An answer to an answer is how loops begin. */
	if (n < KNOT_WIRE_HEADER_SIZE || n > COR_DNS_TCP_MAX || knot_wire_get_qr(query))
		return;
	_cleanup_(knot_pkt_freep) knot_pkt_t *in = knot_pkt_new((void *)query, (uint16_t)n, NULL);
	if (!in)
		return;
	int parsed = knot_pkt_parse(in, KNOT_PF_KEEPWIRE);
	unsigned early = early_rcode(in, parsed);
	ret->id = knot_wire_get_id(query);
	if (in->qname_size == 0) {
		ret->n = cor_dns_refuse(query, n, early, out);
		ret->verdict = ret->n ? COR_DNS_ANSWER : COR_DNS_DROP;
		return;
	}
	ret->type = knot_pkt_qtype(in);
	uint16_t limit = tcp ? COR_DNS_TCP_MAX : udp_limit(in);
	_cleanup_(knot_pkt_freep) knot_pkt_t *pkt = knot_pkt_new(out, limit, NULL);
	if (!pkt || knot_pkt_init_response(pkt, in) != KNOT_EOK)
		return;
	struct dns_out o = {
		.dns = dns, .pkt = pkt, .upstream = upstream, .reply = ret,
		.qname = knot_pkt_wire_qname(pkt),
	};
	ret->verdict = COR_DNS_ANSWER;
	write_answer(&o, in, early);
}

size_t cor_dns_refuse(const uint8_t *query, size_t n, unsigned rcode, uint8_t *out) {
	if (n < KNOT_WIRE_HEADER_SIZE || n > COR_DNS_TCP_MAX)
		return 0;
	size_t size = KNOT_WIRE_HEADER_SIZE;
	_cleanup_(knot_pkt_freep) knot_pkt_t *in = knot_pkt_new((void *)query, (uint16_t)n, NULL);
	bool question = in && knot_pkt_parse_question(in) == KNOT_EOK && in->qname_size > 0;
	if (question)
		size += knot_pkt_question_size(in);
	memcpy(out, query, size);
	knot_wire_set_qdcount(out, question ? 1 : 0);
	knot_wire_set_ancount(out, 0);
	knot_wire_set_nscount(out, 0);
	knot_wire_set_arcount(out, 0);
	knot_wire_set_qr(out);
	knot_wire_set_ra(out);
	knot_wire_clear_aa(out);
	knot_wire_clear_tc(out);
	knot_wire_set_rcode(out, (uint8_t)(rcode & 0xf));
	return size;
}
