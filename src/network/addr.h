// SPDX-License-Identifier: Apache-2.0
// IPv4 addresses and CIDRs of the pod network, in host byte order so that one can count with them.
// Services and slices carry addresses as text; this is only for what we hand out ourselves.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct cor_cidr4 {
	uint32_t addr;          /* host byte order, host bits zero */
	unsigned bits;          /* 0..32 */
};

#define COR_IP4_TEXT_MAX 16
#define COR_CIDR4_TEXT_MAX 20

/* Dotted decimal without leading zeros; false on anything else. */
bool cor_ip4_parse(struct cor_str s, uint32_t *ret);
size_t cor_ip4_format(uint32_t addr, char out[COR_IP4_TEXT_MAX]);
/* "10.244.0.0/24"; host bits set are refused. */
bool cor_cidr4_parse(struct cor_str s, struct cor_cidr4 *ret);
size_t cor_cidr4_format(struct cor_cidr4 c, char out[COR_CIDR4_TEXT_MAX]);
bool cor_cidr4_has(struct cor_cidr4 c, uint32_t addr);
/* How many addresses, the first and the last included. */
uint64_t cor_cidr4_size(struct cor_cidr4 c);
