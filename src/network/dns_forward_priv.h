// SPDX-License-Identifier: Apache-2.0
// Questions for the node's resolvers. The same question asked twice at a time goes out once; so a
// resolver that sends our own question back to us only waits for itself until the time is up.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "network/dns_server.h"

struct dns_forward;

/* Somebody who waits for an answer; embedded in its owner. */
struct dns_waiter {
	/* n 0: nobody answered. p has the id that the question had, and is only valid here. */
	void (*done)(struct dns_waiter *w, const uint8_t *p, size_t n);
	struct dns_waiter *next;
	uint16_t id;
};

struct dns_forward *dns_forward_new(uv_loop_t *loop, const struct cor_dns_server_config *config);
/* Addresses that are our own and never asked. */
void dns_forward_own(struct dns_forward *f, const struct sockaddr *own);
/* Asks; done is called later, or at once when there is no room. tcp: of the client, and so to the
 * resolver, for there the answer may be large. */
void dns_forward_ask(struct dns_forward *f, const uint8_t *query, size_t n, bool tcp,
	struct dns_waiter *w);
/* Everybody who waits is told that nobody answered; then frees itself after the handles closed. */
void dns_forward_close(struct dns_forward *f, void (*closed)(void *arg), void *arg);
