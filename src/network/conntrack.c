// SPDX-License-Identifier: Apache-2.0
// UDP has no end of a connection: a client that keeps its port would be sent to an endpoint that is
// gone for as long as the kernel remembers the translation. So entries to a service address
// whose answer would come from an address that is not an endpoint any more are deleted.
#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#include "network/nl_priv.h"
#include "network/rules_priv.h"

struct tuple {
	uint32_t src, dst;      /* host byte order */
	uint16_t sport, dport;
	uint8_t proto;
};

/* What is to be deleted, collected while the kernel lists. */
struct hunt {
	const struct stale *stale;
	size_t stale_n;
	struct tuple *found;    /* original tuples */
	size_t n;
};

static const struct nlattr *inside(const struct nlattr *nest, uint16_t type) {
	const char *end = (const char *)nest + nest->nla_len;
	const struct nlattr *attr = mnl_attr_get_payload(nest);
	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

static bool read_tuple(const struct nlattr *nest, struct tuple *ret) {
	const struct nlattr *ip = nest ? inside(nest, CTA_TUPLE_IP) : NULL;
	const struct nlattr *l4 = nest ? inside(nest, CTA_TUPLE_PROTO) : NULL;
	const struct nlattr *src = ip ? inside(ip, CTA_IP_V4_SRC) : NULL;
	const struct nlattr *dst = ip ? inside(ip, CTA_IP_V4_DST) : NULL;
	const struct nlattr *num = l4 ? inside(l4, CTA_PROTO_NUM) : NULL;
	const struct nlattr *sport = l4 ? inside(l4, CTA_PROTO_SRC_PORT) : NULL;
	const struct nlattr *dport = l4 ? inside(l4, CTA_PROTO_DST_PORT) : NULL;
	if (!src || !dst || !num || !sport || !dport)
		return false;
	*ret = (struct tuple){ ntohl(mnl_attr_get_u32(src)), ntohl(mnl_attr_get_u32(dst)),
		ntohs(mnl_attr_get_u16(sport)), ntohs(mnl_attr_get_u16(dport)), mnl_attr_get_u8(num) };
	return true;
}

static bool is_stale(const struct hunt *h, const struct tuple *orig, const struct tuple *reply) {
	for (size_t i = 0; i < h->stale_n; i++) {
		const struct stale *s = &h->stale[i];
		if (orig->dport != s->port || (s->ip && orig->dst != s->ip))
			continue;
		/* A node port is a port of many addresses; only what was translated can be of it. */
		if (!s->ip && reply->src == orig->dst)
			continue;
		bool live = false;
		for (size_t k = 0; k < s->live_n; k++)
			live |= s->live[k] == reply->src;
		if (!live)
			return true;
	}
	return false;
}

static int take_entry(const struct nlmsghdr *nlh, void *arg) {
	struct hunt *h = arg;
	struct tuple orig, reply;
	if (!read_tuple(nl_attr(nlh, sizeof(struct nfgenmsg), CTA_TUPLE_ORIG), &orig) ||
		!read_tuple(nl_attr(nlh, sizeof(struct nfgenmsg), CTA_TUPLE_REPLY), &reply) ||
		orig.proto != NET_UDP || !is_stale(h, &orig, &reply))
		return MNL_CB_OK;
	if (h->n % 64 == 0)
		h->found = cor_realloc(h->found, (h->n + 64) * sizeof(*h->found));
	h->found[h->n++] = orig;
	return MNL_CB_OK;
}

static struct nlmsghdr *add_request(struct nl *nl, const char *what, uint16_t type, uint16_t flags,
	int ignore) {
	struct nlmsghdr *nlh = nl_add(nl, what, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags,
		ignore);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_INET;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

static int delete_entry(struct nl *nl, const struct tuple *t, struct cor_err *err) {
	struct nlmsghdr *nlh = add_request(nl, "forget a UDP connection", IPCTNL_MSG_CT_DELETE, 0, ENOENT);
	struct nlattr *orig = mnl_attr_nest_start(nlh, CTA_TUPLE_ORIG);
	struct nlattr *ip = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	mnl_attr_put_u32(nlh, CTA_IP_V4_SRC, htonl(t->src));
	mnl_attr_put_u32(nlh, CTA_IP_V4_DST, htonl(t->dst));
	mnl_attr_nest_end(nlh, ip);
	struct nlattr *l4 = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, t->proto);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(t->sport));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(t->dport));
	mnl_attr_nest_end(nlh, l4);
	mnl_attr_nest_end(nlh, orig);
	return nl_commit(nl, err);
}

int conntrack_clean(const struct stale *stale, size_t n, struct cor_err *err) {
	if (n == 0)
		return 0;
	_cleanup_nl_ struct nl nl = { 0 };
	struct hunt h = { .stale = stale, .stale_n = n };
	int rc = nl_open(&nl, NETLINK_NETFILTER, err);
	if (rc < 0)
		return rc;
	(void)add_request(&nl, "list connections", IPCTNL_MSG_CT_GET, NLM_F_DUMP, 0);
	rc = nl_query(&nl, take_entry, &h, err);
	for (size_t i = 0; rc >= 0 && i < h.n; i++)
		rc = delete_entry(&nl, &h.found[i], err);
	free(h.found);
	return rc;
}
