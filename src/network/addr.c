// SPDX-License-Identifier: Apache-2.0
// IPv4 text to numbers and back, strict as the API is: no leading zeros, no host bits in a CIDR.
// Pure functions without state.
// See addr.h for the byte order.
#include "network/addr.h"

#include <stdio.h>

bool cor_ip4_parse(struct cor_str s, uint32_t *ret) {
	uint32_t addr = 0;
	size_t at = 0;
	for (int i = 0; i < 4; i++) {
		size_t start = at;
		unsigned octet = 0;
		while (at < s.n && at - start < 3 && s.p[at] >= '0' && s.p[at] <= '9')
			octet = octet * 10 + (unsigned)(s.p[at++] - '0');
		if (at == start || octet > 255 || (s.p[start] == '0' && at - start > 1))
			return false;
		addr = addr << 8 | octet;
		if (i < 3 && (at >= s.n || s.p[at++] != '.'))
			return false;
	}
	if (at != s.n)
		return false;
	*ret = addr;
	return true;
}

size_t cor_ip4_format(uint32_t addr, char out[COR_IP4_TEXT_MAX]) {
	return (size_t)snprintf(out, COR_IP4_TEXT_MAX, "%u.%u.%u.%u", addr >> 24 & 0xff,
		addr >> 16 & 0xff, addr >> 8 & 0xff, addr & 0xff);
}

static uint32_t mask_of(unsigned bits) {
	return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}

bool cor_cidr4_parse(struct cor_str s, struct cor_cidr4 *ret) {
	struct cor_str rest = s;
	struct cor_str ip = cor_str_cut(&rest, '/');
	uint64_t bits;
	uint32_t addr;
	if (!cor_ip4_parse(ip, &addr) || !rest.p || !cor_str_to_u64(rest, &bits) || bits > 32)
		return false;
	if (addr & ~mask_of((unsigned)bits))
		return false;
	*ret = (struct cor_cidr4){ .addr = addr, .bits = (unsigned)bits };
	return true;
}

size_t cor_cidr4_format(struct cor_cidr4 c, char out[COR_CIDR4_TEXT_MAX]) {
	char ip[COR_IP4_TEXT_MAX];
	cor_ip4_format(c.addr, ip);
	return (size_t)snprintf(out, COR_CIDR4_TEXT_MAX, "%s/%u", ip, c.bits);
}

bool cor_cidr4_has(struct cor_cidr4 c, uint32_t addr) {
	return (addr & mask_of(c.bits)) == c.addr;
}

uint64_t cor_cidr4_size(struct cor_cidr4 c) {
	return (uint64_t)1 << (32 - c.bits);
}
