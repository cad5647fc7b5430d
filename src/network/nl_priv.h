// SPDX-License-Identifier: Apache-2.0
// A small netlink client for rtnetlink and ctnetlink: requests are queued, sent in one datagram
// and answered by one acknowledgement each; the kernel's own words go into the error.
// The socket belongs to the network namespace of the thread that opened it, for good.
#pragma once

#include <libmnl/libmnl.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum { NL_BATCH_MAX = 16, NL_BYTES = 8192 };

struct nl {
	struct mnl_socket *sock;
	uint32_t seq;                   /* of the last request */
	unsigned count;                 /* requests queued */
	size_t n;                       /* their bytes */
	struct nlmsghdr *last;          /* the request that is being built */
	const char *what[NL_BATCH_MAX]; /* static text for errors */
	int ignore[NL_BATCH_MAX];       /* an errno that is no error for this request, or 0 */
	_Alignas(NLMSG_ALIGNTO) char buf[NL_BYTES];
};

/* bus: NETLINK_ROUTE or NETLINK_NETFILTER. */
int nl_open(struct nl *nl, int bus, struct cor_err *err);
void nl_close(struct nl *nl);
#define _cleanup_nl_ _cleanup_(nl_close)

/* Begins a request; fill it with mnl_nlmsg_put_extra_header and mnl_attr_put_*. flags without
 * NLM_F_REQUEST | NLM_F_ACK. */
struct nlmsghdr *nl_add(struct nl *nl, const char *what, uint16_t type, uint16_t flags, int ignore);
/* Sends what is queued; the first error that is not ignored. The queue is empty afterwards. */
int nl_commit(struct nl *nl, struct cor_err *err);
/* A request with answers, also a dump; cb as for mnl_cb_run. The queue must be empty before
 * nl_add of the request. */
int nl_query(struct nl *nl, mnl_cb_t cb, void *arg, struct cor_err *err);
/* Index of a link of the socket's namespace, 0 when there is none. */
int nl_link_index(struct nl *nl, const char *name, int *ret_index, struct cor_err *err);
/* The attribute of a type behind a fixed header of that size, or NULL. */
const struct nlattr *nl_attr(const struct nlmsghdr *nlh, size_t header, uint16_t type);
