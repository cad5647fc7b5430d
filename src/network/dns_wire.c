// SPDX-License-Identifier: Apache-2.0
// Queries in and answers out. Decides what is a query at all, what is ours and what goes on to
// other servers, and writes answers: question as it was asked, EDNS, truncation, and the SOA with
// its one second behind everything negative. How packets look is in dns_pkt.c.
#include <stdio.h>
#include <string.h>

#include "network/dns_priv.h"

enum { NEGATIVE_TTL = 1, OPT_SIZE = 11, NO_RCODE = 0xffff };

static const uint8_t root[] = "";

struct query {
	struct dns_question q;
	bool bad;
	bool edns;
	uint16_t payload;
	uint8_t version;
};

static void put_with_ttl(struct dns_out *out, const uint8_t *owner, uint16_t type, uint32_t ttl,
	const uint8_t *data, size_t n, bool additional) {
	/* Only a record missing from the answer itself is worth asking again over TCP. */
	if (!dns_pkt_put(out->pkt, owner, type, ns_c_in, ttl, data, n) && !additional)
		out->pkt->p[2] |= DNS_TC;
	out->records++;
}

void dns_put(struct dns_out *out, const uint8_t *owner, uint16_t type, const uint8_t *rdata,
	size_t n, bool additional) {
	put_with_ttl(out, owner, type, out->dns->config.ttl, rdata, n, additional);
}

void dns_put_ip(
	struct dns_out *out, const uint8_t *owner, const struct net_ip *ip, bool additional) {
	bool v4 = ip->family == 4;
	dns_put(out, owner, v4 ? ns_t_a : ns_t_aaaa, ip->b, v4 ? 4 : 16, additional);
}

/* What a resolver said must be in order to its end before a word of it is passed on. */
static bool in_order(const uint8_t *p, size_t n, struct dns_question *q) {
	struct dns_reader r;
	struct dns_record rec;
	if (n < DNS_HEADER || n > COR_DNS_TCP_MAX || !dns_read_question(p, n, q))
		return false;
	dns_reader_init(&r, p, n, q);
	while (dns_read_record(&r, &rec)) {
	}
	return !r.bad;
}

void dns_put_upstream(struct dns_out *out) {
	const struct cor_dns_upstream *up = out->upstream;
	uint8_t room[DNS_DATA_ROOM];
	struct dns_question q;
	struct dns_reader r;
	struct dns_record rec;
	out->rcode = ns_r_servfail;
	if (!in_order(up->p, up->n, &q))
		return;
	out->rcode = up->p[3] & DNS_RCODE;
	dns_reader_init(&r, up->p, up->n, &q);
	while (dns_read_record(&r, &rec) && rec.section == DNS_ANSWER_SECTION) {
		const uint8_t *data;
		size_t n;
		/* Only what answers the question. */
		if (rec.class != ns_c_in ||
			(rec.type != out->reply->type && rec.type != ns_t_cname))
			continue;
		if (rec.n > 0 && dns_read_data(&r, &rec, room, &data, &n))
			put_with_ttl(out, rec.owner, rec.type, rec.ttl, data, n, false);
	}
}

static void put_soa(struct dns_out *out, const uint8_t *owner, uint32_t ttl) {
	uint8_t rdata[DNS_DATA_ROOM];
	char text[160];
	snprintf(text, sizeof(text), "ns.dns.%s.", out->dns->zone);
	size_t n = dns_name_from_text(text, rdata);
	snprintf(text, sizeof(text), "hostmaster.%s.", out->dns->zone);
	n += dns_name_from_text(text, rdata + n);
	const uint32_t numbers[] = { out->dns->serial, 7200, 1800, 86400, NEGATIVE_TTL };
	for (size_t i = 0; i < cor_countof(numbers); i++, n += 4)
		dns_put32(rdata + n, numbers[i]);
	put_with_ttl(out, owner, ns_t_soa, ttl, rdata, n, false);
}

/* Authority of an answer without records: the zone, or the first octet's reverse zone. */
static void put_negative(struct dns_out *out, const struct dns_name *name, bool reverse) {
	uint8_t owner[DNS_NAME];
	char text[DNS_NAME];
	if (reverse)
		snprintf(text, sizeof(text), "%.*s.%.*s.arpa.",
			COR_STR_ARG(name->label[name->n - 3]),
			COR_STR_ARG(name->label[name->n - 2]));
	else
		snprintf(text, sizeof(text), "%s.", out->dns->zone);
	out->pkt->section = DNS_AUTHORITY;
	if (dns_name_from_text(text, owner))
		put_soa(out, owner, NEGATIVE_TTL);
}

/* ---- the query ---- */

static void read_query(const uint8_t *p, size_t n, struct query *ret) {
	struct dns_reader r;
	struct dns_record rec;
	*ret = (struct query){ 0 };
	ret->bad = !dns_read_question(p, n, &ret->q);
	if (ret->bad)
		return;
	dns_reader_init(&r, p, n, &ret->q);
	while (dns_read_record(&r, &rec)) {
		if (rec.type != ns_t_opt)
			continue;
		ret->bad |= ret->edns || rec.section != DNS_ADDITIONAL || *rec.owner;
		ret->edns = true;
		ret->payload = rec.class;
		ret->version = (uint8_t)(rec.ttl >> 16);
	}
	ret->bad |= r.bad;
}

static uint16_t udp_limit(const struct query *in) {
	if (!in->edns)
		return NS_PACKETSZ;
	return in->payload < NS_PACKETSZ       ? NS_PACKETSZ
	       : in->payload > COR_DNS_UDP_MAX ? COR_DNS_UDP_MAX
					       : in->payload;
}

/* Refusals that need no look at the name. */
static unsigned early_rcode(const uint8_t *p, const struct query *in) {
	if (p[2] & DNS_OPCODE)
		return ns_r_notimpl;
	if (in->bad)
		return ns_r_formerr;
	if (in->edns && in->version != 0)
		return ns_r_badvers;
	if (in->q.class != ns_c_in || in->q.type == ns_t_axfr || in->q.type == ns_t_ixfr)
		return ns_r_refused;
	return NO_RCODE;
}

/* Writes the sections; false when the query is for somebody else. */
static bool write_sections(struct dns_out *out, uint16_t type, const struct dns_name *name) {
	struct net_ip ip;
	unsigned below = 0;
	bool reverse = dns_name_reverse(name, &ip);
	bool zone = !reverse && dns_name_in_zone(out->dns, name, &below);
	if (!reverse && !zone)
		return false;
	if (zone && !out->dns->ready) {
		out->rcode = ns_r_servfail;
		return true;
	}
	if (reverse && !dns_zone_reverse(out, &ip, type))
		return false;
	if (zone)
		dns_zone_answer(out, NULL, name, below, type, 0);
	if (zone && below == 0 && type == ns_t_soa)
		put_soa(out, NULL, out->dns->config.ttl);
	out->pkt->p[2] |= DNS_AA;
	if (out->rcode == ns_r_noerror && !out->exists)
		out->rcode = ns_r_nxdomain;
	if (out->records == 0 && out->reply->verdict == COR_DNS_ANSWER)
		put_negative(out, name, reverse);
	return true;
}

static void write_answer(struct dns_out *out, const struct query *in, unsigned early) {
	struct dns_pkt *k = out->pkt;
	struct dns_name name;
	if (in->edns)
		k->max -= OPT_SIZE; /* kept free until all else is written */
	if (early != NO_RCODE) {
		out->rcode = early;
	} else {
		dns_name_split(in->q.name, &name);
		if (!write_sections(out, in->q.type, &name))
			out->reply->verdict = COR_DNS_FORWARD;
	}
	if (in->edns) {
		k->max += OPT_SIZE;
		k->section = DNS_ADDITIONAL;
		(void)dns_pkt_put(
			k, root, ns_t_opt, COR_DNS_UDP_MAX, (out->rcode >> 4) << 24, NULL, 0);
	}
	k->p[3] |= (uint8_t)(DNS_RA | (out->rcode & DNS_RCODE));
	out->reply->n = k->n;
}

void cor_dns_answer(struct cor_dns *dns, const uint8_t *query, size_t n, bool tcp,
	const struct cor_dns_upstream *upstream, uint8_t *out, struct cor_dns_reply *ret) {
	struct query in;
	struct dns_pkt pkt;
	*ret = (struct cor_dns_reply){ .verdict = COR_DNS_DROP };
	/* An answer to an answer is how loops begin. */
	if (n < DNS_HEADER || n > COR_DNS_TCP_MAX || (query[2] & DNS_QR))
		return;
	read_query(query, n, &in);
	unsigned early = early_rcode(query, &in);
	ret->id = dns_get16(query);
	ret->verdict = COR_DNS_ANSWER;
	if (in.q.name_n == 0) {
		ret->n = cor_dns_refuse(query, n, early, out);
		return;
	}
	ret->type = in.q.type;
	dns_pkt_init(&pkt, out, tcp ? COR_DNS_TCP_MAX : udp_limit(&in), in.q.name, in.q.type);
	/* The question goes back as it came: its case is a resolver's protection against forgers.
	 */
	memcpy(out + DNS_HEADER, query + DNS_HEADER, in.q.size);
	dns_put16(out, ret->id);
	out[2] = (uint8_t)(DNS_QR | (query[2] & (DNS_OPCODE | DNS_RD)));
	out[3] = query[3] & DNS_CD;
	struct dns_out o = { .dns = dns, .pkt = &pkt, .upstream = upstream, .reply = ret };
	write_answer(&o, &in, early);
}

size_t cor_dns_refuse(const uint8_t *query, size_t n, unsigned rcode, uint8_t *out) {
	struct dns_question q;
	if (n < DNS_HEADER || n > COR_DNS_TCP_MAX)
		return 0;
	bool question = dns_read_question(query, n, &q);
	size_t size = DNS_HEADER + q.size;
	memcpy(out, query, size);
	memset(out + 4, 0, DNS_HEADER - 4);
	dns_put16(out + 4, question);
	out[2] = (uint8_t)((query[2] | DNS_QR) & ~(DNS_AA | DNS_TC));
	out[3] = (uint8_t)((query[3] & (0xffu - DNS_RCODE)) | DNS_RA | (rcode & DNS_RCODE));
	return size;
}
