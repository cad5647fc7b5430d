// SPDX-License-Identifier: Apache-2.0
// DNS packets: reading what anybody may send, and writing. Names are in wire format (labels, not
// compressed); glibc's resolver packs and unpacks them, and <arpa/nameser.h> has the numbers.
// Nothing here allocates. Sizes are bytes.
#pragma once

#include <arpa/nameser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_HEADER = NS_HFIXEDSZ, DNS_NAME = NS_MAXCDNAME, DNS_DATA_ROOM = 2 * DNS_NAME + 20 };

enum dns_section { DNS_ANSWER_SECTION, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

/* In the first byte of flags (p[2]), and in the second (p[3]). */
enum {
	DNS_QR = 0x80,
	DNS_OPCODE = 0x78,
	DNS_AA = 0x04,
	DNS_TC = 0x02,
	DNS_RD = 0x01,
	DNS_RA = 0x80,
	DNS_CD = 0x10,
	DNS_RCODE = 0x0f,
};

static inline uint16_t dns_get16(const uint8_t *p) {
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void dns_put16(uint8_t *p, unsigned v) {
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void dns_put32(uint8_t *p, uint32_t v) {
	dns_put16(p, v >> 16);
	dns_put16(p + 2, v & 0xffff);
}

/* "a.b." or "a.b" to wire format; its size, 0 when it cannot be a name. */
size_t dns_name_from_text(const char *text, uint8_t out[DNS_NAME]);
size_t dns_name_size(const uint8_t *name);
void dns_name_lower(uint8_t *name);

/* ---- reading ---- */

struct dns_question {
	uint8_t name[DNS_NAME]; /* in lower case */
	size_t name_n;          /* 0: there is no question, several, or a broken one */
	size_t size;            /* of the question in the packet */
	uint16_t type, class;
};

/* p has at least DNS_HEADER bytes. */
bool dns_read_question(const uint8_t *p, size_t n, struct dns_question *ret);

struct dns_record {
	enum dns_section section;
	uint8_t owner[DNS_NAME];
	uint16_t type, class;
	uint32_t ttl;
	const uint8_t *data; /* in the packet: names in it may be compressed */
	uint16_t n;
};

struct dns_reader {
	const uint8_t *p;
	size_t n, at;
	unsigned section, left; /* records of this section that are still to come */
	bool bad;
};

/* The records behind the question. */
void dns_reader_init(
	struct dns_reader *r, const uint8_t *p, size_t n, const struct dns_question *q);
/* false at the end, and at what is malformed: then bad is set, as it is by bytes left over. */
bool dns_read_record(struct dns_reader *r, struct dns_record *ret);
/* The record's data without compression: in the packet itself or in room. false: malformed. */
bool dns_read_data(const struct dns_reader *r, const struct dns_record *rec,
	uint8_t room[DNS_DATA_ROOM], const uint8_t **ret, size_t *ret_n);

/* ---- writing ---- */

struct dns_pkt {
	uint8_t *p;
	size_t n, max;
	enum dns_section section; /* where records go; may only grow */
	const uint8_t *names[32]; /* the packet, then what later names may point to, then NULL */
};

/* A packet with one question of class IN. max is at least 512. */
void dns_pkt_init(struct dns_pkt *k, uint8_t *out, size_t max, const uint8_t *name, uint16_t type);
/* owner NULL: the name of the question. false: no room, and nothing was written. */
bool dns_pkt_put(struct dns_pkt *k, const uint8_t *owner, uint16_t type, uint16_t class,
	uint32_t ttl, const uint8_t *data, size_t n);
