// SPDX-License-Identifier: Apache-2.0
// IPv4 is read here because the C library refuses leading zeros (or takes them for octal), which
// old Kubernetes read as decimal; IPv6 goes through the C library.
#include "codec/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Decimal of at most max; notes a leading zero. */
static bool parse_decimal(struct cor_str s, unsigned max, unsigned *ret, bool *zeros) {
	unsigned v = 0;
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s.p[i] - '0');
		if (v > max)
			return false;
	}
	*zeros |= s.n > 1 && s.p[0] == '0';
	*ret = v;
	return true;
}

static bool parse_v4(struct cor_str s, struct cor_ip *ret) {
	struct cor_str rest = s;
	for (size_t i = 0; i < 4; i++) {
		unsigned v;
		if (!rest.p || !parse_decimal(cor_str_cut(&rest, '.'), 255, &v, &ret->leading_zeros))
			return false;
		ret->bytes[i] = (uint8_t)v;
	}
	return rest.p == NULL;
}

static bool parse_v6(struct cor_str s, struct cor_ip *ret) {
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[COR_IP_TEXT_MAX];
	if (s.n >= sizeof(text) || memchr(s.p, 0, s.n))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (inet_pton(AF_INET6, text, ret->bytes) != 1)
		return false;
	ret->mapped = memcmp(ret->bytes, mapped, sizeof(mapped)) == 0;
	ret->v6 = !ret->mapped;
	if (ret->mapped) {
		memmove(ret->bytes, ret->bytes + 12, 4);
		memset(ret->bytes + 4, 0, 12);
	}
	return true;
}

bool cor_ip_parse(struct cor_str s, struct cor_ip *ret) {
	memset(ret, 0, sizeof(*ret));
	if (s.n == 0)
		return false;
	return cor_str_chr(s, ':') < s.n ? parse_v6(s, ret) : parse_v4(s, ret);
}

/* Bits of ip beyond the prefix; clears them when clear is set. */
static bool host_bits(struct cor_ip *ip, unsigned bits, bool clear) {
	bool set = false;
	for (unsigned i = 0; i < (ip->v6 ? 16u : 4u); i++) {
		unsigned keep = bits >= (i + 1) * 8 ? 8 : bits > i * 8 ? bits - i * 8 : 0;
		uint8_t mask = (uint8_t)(0xff00u >> keep);
		set |= (ip->bytes[i] & (uint8_t)~mask) != 0;
		if (clear)
			ip->bytes[i] &= mask;
	}
	return set;
}

bool cor_cidr_parse(struct cor_str s, struct cor_cidr *ret) {
	size_t slash = cor_str_chr(s, '/');
	memset(ret, 0, sizeof(*ret));
	if (slash >= s.n || !cor_ip_parse(cor_str_sub(s, 0, slash), &ret->ip))
		return false;
	bool wide = ret->ip.v6 || ret->ip.mapped;
	if (!parse_decimal(cor_str_sub(s, slash + 1, s.n), wide ? 128 : 32, &ret->bits,
			&ret->ip.leading_zeros))
		return false;
	if (ret->ip.mapped)
		ret->bits = ret->bits >= 96 ? ret->bits - 96 : 0;
	ret->host_bits = host_bits(&ret->ip, ret->bits, false);
	return true;
}

size_t cor_ip_format(const struct cor_ip *ip, char out[COR_IP_TEXT_MAX]) {
	if (!inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->bytes, out, COR_IP_TEXT_MAX))
		out[0] = 0;
	return strlen(out);
}

size_t cor_cidr_format(const struct cor_cidr *c, char out[COR_CIDR_TEXT_MAX]) {
	struct cor_ip base = c->ip;
	(void)host_bits(&base, c->bits, true);
	size_t n = cor_ip_format(&base, out);
	return n + (size_t)snprintf(out + n, COR_CIDR_TEXT_MAX - n, "/%u", c->bits);
}

bool cor_ip_eq(const struct cor_ip *a, const struct cor_ip *b) {
	return a->v6 == b->v6 && memcmp(a->bytes, b->bytes, a->v6 ? 16 : 4) == 0;
}

bool cor_cidr_contains(const struct cor_cidr *c, const struct cor_ip *ip) {
	struct cor_ip x = *ip, base = c->ip;
	(void)host_bits(&x, c->bits, true);
	(void)host_bits(&base, c->bits, true);
	return cor_ip_eq(&x, &base);
}

bool cor_ip_is_unspecified(const struct cor_ip *ip) {
	static const struct cor_ip zero;
	return memcmp(ip->bytes, zero.bytes, 16) == 0;
}

bool cor_ip_is_loopback(const struct cor_ip *ip) {
	static const uint8_t one[16] = { [15] = 1 };
	return ip->v6 ? memcmp(ip->bytes, one, 16) == 0 : ip->bytes[0] == 127;
}

bool cor_ip_is_link_local(const struct cor_ip *ip) {
	return ip->v6 ? ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80 :
		ip->bytes[0] == 169 && ip->bytes[1] == 254;
}

bool cor_ip_is_link_local_multicast(const struct cor_ip *ip) {
	return ip->v6 ? ip->bytes[0] == 0xff && (ip->bytes[1] & 0x0f) == 2 :
		ip->bytes[0] == 224 && ip->bytes[1] == 0 && ip->bytes[2] == 0;
}
