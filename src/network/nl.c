// SPDX-License-Identifier: Apache-2.0
// The netlink client on libmnl. A batch is one datagram: the kernel works it off in order and
// acknowledges each request, also those behind a failed one, so all answers are read before the
// first error is returned.
#include "network/nl_priv.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"

int nl_open(struct nl *nl, int bus, struct cor_err *err) {
	*nl = (struct nl){ .seq = 1 };
	nl->sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->sock)
		return cor_fail_errno(err, errno, "netlink socket");
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int saved = errno;
		nl_close(nl);
		return cor_fail_errno(err, saved, "bind netlink socket");
	}
	/* Without it errors are only numbers; kernels that lack it are still fine. */
	int on = 1;
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	return 0;
}

void nl_close(struct nl *nl) {
	if (nl->sock)
		(void)mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

static void finish_last(struct nl *nl) {
	if (nl->last)
		nl->n += NLMSG_ALIGN(nl->last->nlmsg_len);
	nl->last = NULL;
}

struct nlmsghdr *nl_add(struct nl *nl, const char *what, uint16_t type, uint16_t flags, int ignore) {
	finish_last(nl);
	cor_assert(nl->count < NL_BATCH_MAX && nl->n + NL_BYTES / NL_BATCH_MAX <= NL_BYTES);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl->buf + nl->n);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	nlh->nlmsg_seq = ++nl->seq;
	nl->what[nl->count] = what;
	nl->ignore[nl->count++] = ignore;
	nl->last = nlh;
	return nlh;
}

const struct nlattr *nl_attr(const struct nlmsghdr *nlh, size_t header, uint16_t type) {
	const char *end = (const char *)nlh + nlh->nlmsg_len;
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(nlh, header);
	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

/* The kernel's explanation behind the error message, or "". */
static const char *ext_ack(const struct nlmsghdr *nlh) {
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return "";
	size_t skip = sizeof(*e);
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(struct nlmsghdr);
	const struct nlattr *msg = nl_attr(nlh, skip, NLMSGERR_ATTR_MSG);
	return msg ? mnl_attr_get_str(msg) : "";
}

/* Takes one acknowledgement into *err, the first error only. Returns true when it was one. */
static bool take_ack(struct nl *nl, const struct nlmsghdr *nlh, uint32_t first, int *code,
	struct cor_err *err) {
	if (nlh->nlmsg_type != NLMSG_ERROR)
		return false;
	uint32_t i = nlh->nlmsg_seq - first;
	if (i >= nl->count)
		return false;
	int error = -((const struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
	if (error != 0 && error != nl->ignore[i] && *code == 0) {
		const char *more = ext_ack(nlh);
		*code = cor_fail(err, -error, "%s: %s%s%s", nl->what[i], strerror(error),
			*more ? ": " : "", more);
	}
	return true;
}

int nl_commit(struct nl *nl, struct cor_err *err) {
	finish_last(nl);
	if (nl->count == 0)
		return 0;
	uint32_t first = nl->seq - nl->count + 1;
	unsigned left = nl->count;
	int code = 0;
	if (mnl_socket_sendto(nl->sock, nl->buf, nl->n) < 0) {
		code = cor_fail_errno(err, errno, "%s: netlink send", nl->what[0]);
		left = 0;
	}
	_Alignas(NLMSG_ALIGNTO) char in[NL_BYTES];
	while (left > 0) {
		ssize_t got = mnl_socket_recvfrom(nl->sock, in, sizeof(in));
		if (got < 0) {
			code = cor_fail_errno(err, errno, "netlink receive");
			break;
		}
		int len = (int)got;
		for (const struct nlmsghdr *h = (void *)in; mnl_nlmsg_ok(h, len);
			h = mnl_nlmsg_next(h, &len))
			left -= take_ack(nl, h, first, &code, err);
	}
	nl->count = 0;
	nl->n = 0;
	return code;
}

int nl_query(struct nl *nl, mnl_cb_t cb, void *arg, struct cor_err *err) {
	cor_assert(nl->count == 1 && nl->last);
	struct nlmsghdr *nlh = nl->last;
	const char *what = nl->what[0];
	if (nlh->nlmsg_flags & NLM_F_DUMP)
		nlh->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	uint32_t seq = nlh->nlmsg_seq;
	unsigned port = mnl_socket_get_portid(nl->sock);
	int ignore = nl->ignore[0];
	finish_last(nl);
	size_t n = nl->n;
	nl->count = 0;
	nl->n = 0;
	if (mnl_socket_sendto(nl->sock, nl->buf, n) < 0)
		return cor_fail_errno(err, errno, "%s: netlink send", what);
	/* Dumps come in datagrams of up to 32 KiB when the reader has room for them. */
	size_t cap = 32768;
	_cleanup_free_ char *in = cor_calloc(1, cap);
	for (;;) {
		ssize_t got = mnl_socket_recvfrom(nl->sock, in, cap);
		if (got < 0)
			return cor_fail_errno(err, errno, "%s: netlink receive", what);
		int rc = mnl_cb_run(in, (size_t)got, seq, port, cb, arg);
		if (rc < 0 && errno == ignore)
			return 0;
		if (rc < 0)
			return cor_fail_errno(err, errno, "%s", what);
		if (rc == 0)
			return 0;
	}
}

static int take_index(const struct nlmsghdr *nlh, void *arg) {
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	*(int *)arg = ifi->ifi_index;
	return MNL_CB_OK;
}

int nl_link_index(struct nl *nl, const char *name, int *ret_index, struct cor_err *err) {
	int index = 0;
	struct nlmsghdr *nlh = nl_add(nl, "find interface", RTM_GETLINK, 0, ENODEV);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	int rc = nl_query(nl, take_index, &index, err);
	if (rc < 0)
		return rc;
	*ret_index = index;
	return 0;
}
