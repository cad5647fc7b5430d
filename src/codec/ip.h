// SPDX-License-Identifier: Apache-2.0
// IP addresses and CIDRs as the API's text fields hold them, both families. Parsing is as lenient
// as old Kubernetes was and says what was unusual, so that validation can refuse it by name.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct cor_ip {
	uint8_t bytes[16];      /* network order; IPv4 uses the first four */
	bool v6;
	bool leading_zeros;     /* 010.0.0.1 */
	bool mapped;            /* ::ffff:10.0.0.1, which is held as IPv4 */
};

struct cor_cidr {
	struct cor_ip ip;       /* as written */
	unsigned bits;          /* of the family: 0..32 or 0..128 */
	bool host_bits;         /* some are set beyond the prefix */
};

#define COR_IP_TEXT_MAX 48
#define COR_CIDR_TEXT_MAX 52

/* No zones, no ports, no white space. False and *ret undefined on anything else. */
bool cor_ip_parse(struct cor_str s, struct cor_ip *ret);
bool cor_cidr_parse(struct cor_str s, struct cor_cidr *ret);
/* Canonical text (RFC 5952), NUL-terminated; returns its length. A CIDR loses its host bits. */
size_t cor_ip_format(const struct cor_ip *ip, char out[COR_IP_TEXT_MAX]);
size_t cor_cidr_format(const struct cor_cidr *c, char out[COR_CIDR_TEXT_MAX]);
bool cor_ip_eq(const struct cor_ip *a, const struct cor_ip *b);
bool cor_cidr_contains(const struct cor_cidr *c, const struct cor_ip *ip);

bool cor_ip_is_unspecified(const struct cor_ip *ip);            /* 0.0.0.0, :: */
bool cor_ip_is_loopback(const struct cor_ip *ip);               /* 127/8, ::1 */
bool cor_ip_is_link_local(const struct cor_ip *ip);             /* 169.254/16, fe80::/10 */
bool cor_ip_is_link_local_multicast(const struct cor_ip *ip);   /* 224.0.0/24, ff02::/16 */
