// SPDX-License-Identifier: Apache-2.0
// DNS packets, see dns_pkt.h. Where names stand in a record's data is a table, used both ways.
#include "network/dns_pkt.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { RR_FIXED = 10 };

/* Data of "before" bytes, names, "after" bytes, and no more. Only the types of RFC 1035 may be written with
 * compressed names; others must be understood when somebody did (RFC 3597). */
static const struct layout {
	uint16_t type;
	uint8_t before, names, after;
	bool compress;
} layouts[] = {
	{ ns_t_a, 4, 0, 0, false },
	{ ns_t_aaaa, 16, 0, 0, false },
	{ ns_t_ns, 0, 1, 0, true },
	{ ns_t_cname, 0, 1, 0, true },
	{ ns_t_soa, 0, 2, 20, true },
	{ ns_t_ptr, 0, 1, 0, true },
	{ ns_t_mx, 2, 1, 0, true },
	{ ns_t_minfo, 0, 2, 0, true },
	{ ns_t_md, 0, 1, 0, true },
	{ ns_t_mf, 0, 1, 0, true },
	{ ns_t_mb, 0, 1, 0, true },
	{ ns_t_mg, 0, 1, 0, true },
	{ ns_t_mr, 0, 1, 0, true },
	{ ns_t_srv, 6, 1, 0, false },
	{ ns_t_rp, 0, 2, 0, false },
	{ ns_t_afsdb, 2, 1, 0, false },
	{ ns_t_rt, 2, 1, 0, false },
	{ ns_t_px, 2, 2, 0, false },
	{ ns_t_kx, 2, 1, 0, false },
	{ ns_t_dname, 0, 1, 0, false },
};

static const struct layout *layout_of(uint16_t type) {
	for (size_t i = 0; i < cor_countof(layouts); i++) {
		if (layouts[i].type == type)
			return &layouts[i];
	}
	return NULL;
}

/* ---- names ---- */

size_t dns_name_size(const uint8_t *name) {
	size_t n = 1;
	for (; *name; name += *name + 1)
		n += *name + 1u;
	return n;
}

size_t dns_name_from_text(const char *text, uint8_t out[DNS_NAME]) {
	return ns_name_pton(text, out, DNS_NAME) < 0 ? 0 : dns_name_size(out);
}

void dns_name_lower(uint8_t *name) {
	for (; *name; name += *name + 1) {
		for (unsigned i = 1; i <= *name; i++) {
			if (name[i] >= 'A' && name[i] <= 'Z')
				name[i] = (uint8_t)(name[i] | 0x20);
		}
	}
}

/* ---- reading ---- */

bool dns_read_question(const uint8_t *p, size_t n, struct dns_question *ret) {
	cor_assert(n >= DNS_HEADER);
	memset(ret, 0, sizeof(*ret));
	if (dns_get16(p + 4) != 1)
		return false;
	int size = ns_name_unpack(p, p + n, p + DNS_HEADER, ret->name, sizeof(ret->name));
	/* There is nothing yet that a compressed name could point to. */
	if (size < 0 || (size_t)size != dns_name_size(ret->name) ||
		n - DNS_HEADER - (size_t)size < 4)
		return false;
	dns_name_lower(ret->name);
	p += DNS_HEADER + size;
	ret->name_n = (size_t)size;
	ret->size = (size_t)size + 4;
	ret->type = dns_get16(p);
	ret->class = dns_get16(p + 2);
	return true;
}

static unsigned count_of(const uint8_t *p, unsigned section) {
	return dns_get16(p + 6 + 2 * section);
}

void dns_reader_init(
	struct dns_reader *r, const uint8_t *p, size_t n, const struct dns_question *q) {
	*r = (struct dns_reader){
		.p = p, .n = n, .at = DNS_HEADER + q->size, .left = count_of(p, 0)
	};
	cor_assert(r->at <= n);
}

static bool fail(struct dns_reader *r) {
	r->bad = true;
	return false;
}

bool dns_read_record(struct dns_reader *r, struct dns_record *ret) {
	while (r->left == 0 && ++r->section < DNS_SECTIONS)
		r->left = count_of(r->p, r->section);
	if (r->bad || r->section >= DNS_SECTIONS)
		return r->at == r->n ? false : fail(r);
	int size = ns_name_unpack(r->p, r->p + r->n, r->p + r->at, ret->owner, sizeof(ret->owner));
	if (size < 0 || r->n - r->at - (size_t)size < RR_FIXED)
		return fail(r);
	const uint8_t *p = r->p + r->at + size;
	ret->section = r->section;
	ret->type = dns_get16(p);
	ret->class = dns_get16(p + 2);
	ret->ttl = (uint32_t)dns_get16(p + 4) << 16 | dns_get16(p + 6);
	ret->n = dns_get16(p + 8);
	ret->data = p + RR_FIXED;
	if (r->n - (size_t)(ret->data - r->p) < ret->n)
		return fail(r);
	r->at = (size_t)(ret->data - r->p) + ret->n;
	r->left--;
	return true;
}

bool dns_read_data(const struct dns_reader *r, const struct dns_record *rec,
	uint8_t room[DNS_DATA_ROOM], const uint8_t **ret, size_t *ret_n) {
	const struct layout *l = layout_of(rec->type);
	const uint8_t *p = rec->data, *end = rec->data + rec->n;
	size_t n = 0;
	if (!l) {
		*ret = rec->data;
		*ret_n = rec->n;
		return true;
	}
	if (rec->n < l->before)
		return false;
	memcpy(room, p, l->before);
	n = l->before;
	p += l->before;
	for (unsigned i = 0; i < l->names; i++) {
		int size = ns_name_unpack(r->p, end, p, room + n, DNS_NAME);
		if (size < 0)
			return false;
		p += size;
		n += dns_name_size(room + n);
	}
	if (end - p != l->after)
		return false;
	memcpy(room + n, p, l->after);
	*ret = room;
	*ret_n = n + l->after;
	return true;
}

/* ---- writing ---- */

static bool put_bytes(struct dns_pkt *k, const uint8_t *p, size_t n) {
	if (k->max - k->n < n)
		return false;
	if (n)
		memcpy(k->p + k->n, p, n);
	k->n += n;
	return true;
}

static bool put_name(struct dns_pkt *k, const uint8_t *name) {
	int n = ns_name_pack(name, k->p + k->n, (int)(k->max - k->n), k->names,
		k->names + cor_countof(k->names));
	k->n += n > 0 ? (size_t)n : 0;
	return n > 0;
}

void dns_pkt_init(struct dns_pkt *k, uint8_t *out, size_t max, const uint8_t *name, uint16_t type) {
	cor_assert(max >= 512);
	*k = (struct dns_pkt){ .p = out, .n = DNS_HEADER, .max = max, .names = { out } };
	memset(out, 0, DNS_HEADER);
	dns_put16(out + 4, 1);
	bool fits = put_name(k, name);
	cor_assert(fits);
	dns_put16(out + k->n, type);
	dns_put16(out + k->n + 2, ns_c_in);
	k->n += 4;
}

static bool put_data(struct dns_pkt *k, uint16_t type, const uint8_t *data, size_t n) {
	const struct layout *l = layout_of(type);
	if (!l || !l->compress)
		return put_bytes(k, data, n);
	const uint8_t *p = data + l->before;
	if (!put_bytes(k, data, l->before))
		return false;
	for (unsigned i = 0; i < l->names; i++) {
		if (!put_name(k, p))
			return false;
		p += dns_name_size(p);
	}
	cor_assert((size_t)(p - data) + l->after == n);
	return put_bytes(k, p, l->after);
}

bool dns_pkt_put(struct dns_pkt *k, const uint8_t *owner, uint16_t type, uint16_t class,
	uint32_t ttl, const uint8_t *data, size_t n) {
	uint8_t fixed[RR_FIXED], *count = k->p + 6 + 2 * k->section;
	const uint8_t **last = k->names;
	size_t start = k->n;
	cor_assert(n <= UINT16_MAX);
	while (*last)
		last++;
	dns_put16(fixed, type);
	dns_put16(fixed + 2, class);
	dns_put32(fixed + 4, ttl);
	if (put_name(k, owner ? owner : k->p + DNS_HEADER) && put_bytes(k, fixed, sizeof(fixed))) {
		size_t at = k->n;
		if (put_data(k, type, data, n)) {
			dns_put16(k->p + at - 2, (unsigned)(k->n - at));
			dns_put16(count, dns_get16(count) + 1u);
			return true;
		}
	}
	*last = NULL;
	k->n = start;
	return false;
}
