// SPDX-License-Identifier: Apache-2.0
// The node's part of the pod network: the bridge device, routes and sysctls, the address
// allocator, recovery of what an earlier agent left, and removal of everything.
// Pods are not ports of the bridge: each veth is a routed link of its own (docs/internals/
// network.md says why), so the bridge only carries addresses, where a dummy would also do.
#include "network/pod_net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "network/pod_net_priv.h"

/* Stable over processes, unlike cor_str_hash: names of interfaces must be found again. */
static uint32_t fnv32(const char *s) {
	uint32_t h = 2166136261u;
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

void cor_pod_net_bridge_name(const char *cluster, char out[COR_IFNAME_MAX]) {
	if (strlen(cluster) + 4 < COR_IFNAME_MAX)
		snprintf(out, COR_IFNAME_MAX, "cor-%s", cluster);
	else
		snprintf(out, COR_IFNAME_MAX, "cor-%.5s~%05x", cluster, fnv32(cluster) >> 12);
}

void cor_pod_net_link_prefix(const char *cluster, char out[COR_IFNAME_MAX]) {
	snprintf(out, COR_IFNAME_MAX, "cor%05x-", fnv32(cluster) >> 12);
}

void pod_net_link_name(const struct cor_pod_net *pn, uint32_t ip, char out[COR_IFNAME_MAX]) {
	snprintf(out, COR_IFNAME_MAX, "%.9s%04x", pn->prefix, ip & 0xffff);
}

uint32_t pod_net_link_group(const char *cluster) {
	return fnv32(cluster) | 0x80000000;     /* never 0, the default group, nor a small number */
}

/* What marks an interface as ours: "coracle/<cluster>/<rest>". NULL when it is not. */
static const char *alias_rest(const char *cluster, const char *alias) {
	static const char mark[] = "coracle/";
	size_t n = strlen(cluster);
	if (!alias || strncmp(alias, mark, sizeof(mark) - 1) != 0)
		return NULL;
	alias += sizeof(mark) - 1;
	return strncmp(alias, cluster, n) == 0 && alias[n] == '/' ? alias + n + 1 : NULL;
}

int pod_net_sysctl(const char *path, const char *value, struct cor_err *err) {
	char file[300], old[64] = "";
	snprintf(file, sizeof(file), "/proc/sys/%s", path);
	_cleanup_close_ int in = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = in < 0 ? -1 : read(in, old, sizeof(old) - 1);
	size_t n = strlen(value);
	/* A read-only /proc/sys is fine as long as it says what we need. */
	if (got > 0 && (size_t)got == n + 1 && memcmp(old, value, n) == 0)
		return 0;
	_cleanup_close_ int out = open(file, O_WRONLY | O_CLOEXEC);
	if (out < 0)
		return cor_fail_errno(err, errno, "open sysctl %s", path);
	if (write(out, value, n) != (ssize_t)n)
		return cor_fail_errno(err, errno, "set sysctl %s to %s", path, value);
	return 0;
}

/* ---- addresses ---- */

static bool offset_used(const struct cor_pod_net *pn, uint32_t off) {
	return pn->used[off / 8] >> (off % 8) & 1;
}

static void set_used(struct cor_pod_net *pn, uint32_t off, bool used) {
	uint8_t bit = (uint8_t)(1u << (off % 8));
	pn->used[off / 8] = used ? (uint8_t)(pn->used[off / 8] | bit)
		: (uint8_t)(pn->used[off / 8] & ~bit);
}

/* Under the lock. The last address is left out because a pod may take it for a broadcast. */
static int reserve(struct cor_pod_net *pn, uint32_t *ret_ip, struct cor_err *err) {
	uint32_t size = (uint32_t)cor_cidr4_size(pn->config.pod_cidr);
	for (uint32_t i = 0; i < size; i++) {
		uint32_t off = (pn->next + i) % size;
		if (off < 2 || off == size - 1 || offset_used(pn, off))
			continue;
		set_used(pn, off, true);
		pn->next = off + 1;
		*ret_ip = pn->config.pod_cidr.addr + off;
		return 0;
	}
	return cor_fail(err, COR_E_LIMIT, "all %u addresses of the node's pod network are in use",
		size - 3);
}

static void remember(struct cor_pod_net *pn, struct cor_str uid, uint32_t ip) {
	struct pod_link *link = cor_new(struct pod_link);
	link->ip = ip;
	free(cor_map_put(&pn->pods, uid, link));
}

int pod_net_take_ip(struct cor_pod_net *pn, struct cor_str uid, uint32_t *ret_ip, bool *ret_known,
	struct cor_err *err) {
	int rc = 0;
	pthread_mutex_lock(&pn->lock);
	struct pod_link *link = cor_map_get(&pn->pods, uid);
	if (link)
		*ret_ip = link->ip;
	else
		rc = reserve(pn, ret_ip, err);
	if (rc >= 0 && !link)
		remember(pn, uid, *ret_ip);
	pthread_mutex_unlock(&pn->lock);
	*ret_known = link != NULL;
	return rc;
}

bool pod_net_find_ip(struct cor_pod_net *pn, struct cor_str uid, uint32_t *ret_ip) {
	pthread_mutex_lock(&pn->lock);
	struct pod_link *link = cor_map_get(&pn->pods, uid);
	if (link)
		*ret_ip = link->ip;
	pthread_mutex_unlock(&pn->lock);
	return link != NULL;
}

void pod_net_drop_ip(struct cor_pod_net *pn, struct cor_str uid) {
	pthread_mutex_lock(&pn->lock);
	struct pod_link *link = cor_map_remove(&pn->pods, uid);
	if (link)
		set_used(pn, link->ip - pn->config.pod_cidr.addr, false);
	pthread_mutex_unlock(&pn->lock);
	free(link);
}

/* ---- the node ---- */

static void put_route(struct nl *nl, const char *what, uint16_t type, uint16_t flags, int ignore,
	struct cor_cidr4 dst, uint8_t kind, int oif, uint32_t src) {
	struct nlmsghdr *nlh = nl_add(nl, what, type, flags, ignore);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = (uint8_t)dst.bits;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope = kind == RTN_UNICAST ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = kind;
	mnl_attr_put_u32(nlh, RTA_DST, htonl(dst.addr));
	if (oif)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)oif);
	if (src)
		mnl_attr_put_u32(nlh, RTA_PREFSRC, htonl(src));
	/* Last in the order, so that a real route to the same prefix wins. */
	if (kind == RTN_UNREACHABLE)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, 4278198272u);
}

static void put_address(struct nl *nl, int index, uint32_t ip) {
	struct nlmsghdr *nlh = nl_add(nl, "add address to the bridge", RTM_NEWADDR,
		NLM_F_CREATE | NLM_F_EXCL, EEXIST);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = 32;
	ifa->ifa_index = (uint32_t)index;
	mnl_attr_put_u32(nlh, IFA_LOCAL, htonl(ip));
	mnl_attr_put_u32(nlh, IFA_ADDRESS, htonl(ip));
}

static void put_link_up(struct nl *nl, const char *what, int index, const char *alias) {
	struct nlmsghdr *nlh = nl_add(nl, what, RTM_NEWLINK, 0, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = index;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	if (alias)
		mnl_attr_put_str(nlh, IFLA_IFALIAS, alias);
}

static int setup_node(struct cor_pod_net *pn, struct nl *nl, struct cor_err *err) {
	struct nlmsghdr *nlh = nl_add(nl, "make the bridge", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
		EEXIST);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, pn->bridge);
	struct nlattr *info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_str(nlh, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(nlh, info);
	int rc = nl_commit(nl, err);
	int bridge = 0, lo = 0;
	if (rc >= 0)
		rc = nl_link_index(nl, pn->bridge, &bridge, err);
	if (rc >= 0)
		rc = nl_link_index(nl, "lo", &lo, err);
	if (rc < 0)
		return rc;
	if (!bridge)
		return cor_fail(err, COR_E_INTERNAL, "interface %s vanished", pn->bridge);

	char cidr[COR_CIDR4_TEXT_MAX], alias[128];
	cor_cidr4_format(pn->config.pod_cidr, cidr);
	snprintf(alias, sizeof(alias), "coracle/%s/%s", pn->cluster, cidr);
	put_link_up(nl, "bring up the bridge", bridge, alias);
	put_link_up(nl, "bring up loopback", lo, NULL);
	uint32_t gateway = cor_pod_net_gateway(pn);
	put_address(nl, bridge, gateway);
	if (pn->config.dns_ip)
		put_address(nl, bridge, pn->config.dns_ip);
	/* connect() to a service address is routed before it is translated. */
	put_route(nl, "route the service addresses", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, 0,
		pn->config.service_cidr, RTN_UNICAST, bridge, gateway);
	/* Addresses without a pod must fail at once and not leave by the default route. */
	put_route(nl, "route the pod addresses", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, 0,
		pn->config.pod_cidr, RTN_UNREACHABLE, 0, 0);
	rc = nl_commit(nl, err);
	if (rc >= 0)
		rc = pod_net_sysctl("net/ipv4/ip_forward", "1", err);
	/* A pod that reaches itself through a service comes in and leaves by one link. A redirect would
	 * tell it a wrong way and use up its share of ICMP errors. The kernel ors this with the link's. */
	return rc < 0 ? rc : pod_net_sysctl("net/ipv4/conf/all/send_redirects", "0", err);
}

static int take_oif(const struct nlmsghdr *nlh, void *arg) {
	const struct nlattr *attr = nl_attr(nlh, sizeof(struct rtmsg), RTA_OIF);
	if (attr)
		*(int *)arg = (int)mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int take_mtu(const struct nlmsghdr *nlh, void *arg) {
	const struct nlattr *attr = nl_attr(nlh, sizeof(struct ifinfomsg), IFLA_MTU);
	if (attr)
		*(unsigned *)arg = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

/* The MTU of the interface that leads out, 1500 when there is none or it is loopback. */
static unsigned uplink_mtu(struct nl *nl) {
	int oif = 0;
	unsigned mtu = 0;
	struct nlmsghdr *nlh = nl_add(nl, "ask for the default route", RTM_GETROUTE, 0, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	mnl_attr_put_u32(nlh, RTA_DST, htonl(0xc6336401)); /* 198.51.100.1, for documentation */
	if (nl_query(nl, take_oif, &oif, NULL) < 0 || !oif)
		return 1500;
	nlh = nl_add(nl, "ask for the MTU", RTM_GETLINK, 0, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = oif;
	if (nl_query(nl, take_mtu, &mtu, NULL) < 0 || mtu < 576 || mtu > 9216)
		return 1500;
	return mtu;
}

/* ---- what is there already ---- */

struct found_link {
	char name[COR_IFNAME_MAX];
	char rest[200];                 /* of the alias, "" when it is not ours or unfinished */
};

struct found {
	const char *cluster, *bridge, *prefix;
	struct found_link *p;
	size_t n;
};

static int take_link(const struct nlmsghdr *nlh, void *arg) {
	struct found *f = arg;
	const size_t header = sizeof(struct ifinfomsg);
	const struct nlattr *attr = nl_attr(nlh, header, IFLA_IFNAME);
	const char *name = attr ? mnl_attr_get_str(attr) : "";
	attr = nl_attr(nlh, header, IFLA_IFALIAS);
	const char *alias = attr ? mnl_attr_get_str(attr) : NULL;
	if (strcmp(name, f->bridge) != 0 && strncmp(name, f->prefix, strlen(f->prefix)) != 0)
		return MNL_CB_OK;
	/* An alias of another cluster: its name's hash is the same as ours. Not our link. */
	const char *rest = alias_rest(f->cluster, alias);
	if (alias && !rest)
		return MNL_CB_OK;
	f->p = cor_realloc(f->p, (f->n + 1) * sizeof(*f->p));
	struct found_link *link = &f->p[f->n++];
	*link = (struct found_link){ 0 };
	snprintf(link->name, sizeof(link->name), "%s", name);
	snprintf(link->rest, sizeof(link->rest), "%s", rest ? rest : "");
	return MNL_CB_OK;
}

static void found_fini(struct found *f) {
	free(f->p);
}

static int find_links(struct nl *nl, struct found *f, struct cor_err *err) {
	struct nlmsghdr *nlh = nl_add(nl, "list interfaces", RTM_GETLINK, NLM_F_DUMP, 0);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	return nl_query(nl, take_link, f, err);
}

int pod_net_delete_link(struct nl *nl, const char *name, struct cor_err *err) {
	struct nlmsghdr *nlh = nl_add(nl, "remove interface", RTM_DELLINK, 0, ENODEV);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return nl_commit(nl, err);
}

static int delete_group(struct nl *nl, uint32_t group, struct cor_err *err) {
	struct nlmsghdr *nlh = nl_add(nl, "remove interfaces", RTM_DELLINK, 0, ENODEV);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(nlh, IFLA_GROUP, group);
	return nl_commit(nl, err);
}

static bool netns_pinned(struct cor_pod_net *pn, const char *uid) {
	char path[COR_POD_NS_PATH_MAX];
	return pin_path(pn->run_dir, cor_str_c(uid), pin_names[PIN_NET], path, NULL) >= 0 &&
		pin_is_there(path);
}

/* The alias is written last when a pod is connected: a link without it is half made and goes, as
 * does one whose namespace is no longer pinned. */
static int recover(struct cor_pod_net *pn, struct nl *nl, struct cor_err *err) {
	_cleanup_(found_fini) struct found f = {
		.cluster = pn->cluster, .bridge = pn->bridge, .prefix = pn->prefix,
	};
	int rc = find_links(nl, &f, err);
	for (size_t i = 0; rc >= 0 && i < f.n; i++) {
		struct found_link *link = &f.p[i];
		if (strcmp(link->name, pn->bridge) == 0)
			continue;
		unsigned low = 0;
		bool named = sscanf(link->name + strlen(pn->prefix), "%4x", &low) == 1;
		uint32_t ip = (pn->config.pod_cidr.addr & 0xffff0000) | low;
		uint32_t off = ip - pn->config.pod_cidr.addr;
		if (!named || !*link->rest || !cor_cidr4_has(pn->config.pod_cidr, ip) ||
			!netns_pinned(pn, link->rest)) {
			rc = pod_net_delete_link(nl, link->name, err);
			continue;
		}
		set_used(pn, off, true);
		remember(pn, cor_str_c(link->rest), ip);
		if (off >= pn->next)
			pn->next = off + 1;
	}
	return rc;
}

static int check_config(const struct cor_pod_net_config *c, struct cor_err *err) {
	if (!c->cluster || !*c->cluster || strlen(c->cluster) > 63 || strchr(c->cluster, '/'))
		return cor_fail(err, COR_E_INVALID, "cluster name must have 1 to 63 characters, no '/'");
	if (!c->run_dir || c->run_dir[0] != '/')
		return cor_fail(err, COR_E_INVALID, "the run directory must be an absolute path");
	if (c->pod_cidr.bits < 16 || c->pod_cidr.bits > 29)
		return cor_fail(err, COR_E_INVALID,
			"the node's pod network must be between /16 and /29, not /%u", c->pod_cidr.bits);
	return 0;
}

int cor_pod_net_new(const struct cor_pod_net_config *config, struct cor_pod_net **ret,
	struct cor_err *err) {
	int rc = check_config(config, err);
	if (rc < 0)
		return rc;
	_cleanup_(cor_pod_net_freep) struct cor_pod_net *pn = cor_new(struct cor_pod_net);
	pn->config = *config;
	pn->config.cluster = pn->cluster = cor_strdup(config->cluster);
	pn->config.run_dir = pn->run_dir = cor_strdup(config->run_dir);
	cor_pod_net_bridge_name(pn->cluster, pn->bridge);
	cor_pod_net_link_prefix(pn->cluster, pn->prefix);
	pthread_mutex_init(&pn->lock, NULL);
	pn->used = cor_calloc((size_t)cor_cidr4_size(config->pod_cidr) / 8, 1);
	pn->next = 2;

	_cleanup_nl_ struct nl nl = { 0 };
	rc = nl_open(&nl, NETLINK_ROUTE, err);
	if (rc >= 0)
		rc = setup_node(pn, &nl, err);
	if (rc >= 0)
		rc = recover(pn, &nl, err);
	if (rc < 0)
		return cor_wrap(err, "set up the pod network");
	pn->mtu = config->mtu ? config->mtu : uplink_mtu(&nl);
	*ret = cor_take(pn);
	return 0;
}

void cor_pod_net_free(struct cor_pod_net *pn) {
	if (!pn)
		return;
	size_t it = 0;
	struct cor_str uid;
	void *link;
	while (cor_map_next(&pn->pods, &it, &uid, &link))
		free(link);
	cor_map_fini(&pn->pods);
	pthread_mutex_destroy(&pn->lock);
	free(pn->used);
	free(pn->cluster);
	free(pn->run_dir);
	free(pn);
}

uint32_t cor_pod_net_gateway(const struct cor_pod_net *pn) {
	return pn->config.pod_cidr.addr + 1;
}

const char *cor_pod_net_bridge(const struct cor_pod_net *pn) {
	return pn->bridge;
}

/* ---- removal ---- */

static int remove_links(const char *cluster, struct cor_err *err) {
	char bridge[COR_IFNAME_MAX], prefix[COR_IFNAME_MAX];
	cor_pod_net_bridge_name(cluster, bridge);
	cor_pod_net_link_prefix(cluster, prefix);
	_cleanup_(found_fini) struct found f = {
		.cluster = cluster, .bridge = bridge, .prefix = prefix,
	};
	_cleanup_nl_ struct nl nl = { 0 };
	int rc = nl_open(&nl, NETLINK_ROUTE, err);
	if (rc >= 0)
		rc = delete_group(&nl, pod_net_link_group(cluster), err);
	if (rc >= 0)
		rc = find_links(&nl, &f, err);
	for (size_t i = 0; rc >= 0 && i < f.n; i++) {
		struct cor_cidr4 cidr;
		if (strcmp(f.p[i].name, bridge) == 0 &&
			cor_cidr4_parse(cor_str_c(f.p[i].rest), &cidr)) {
			put_route(&nl, "remove the pod route", RTM_DELROUTE, 0, ESRCH, cidr,
				RTN_UNREACHABLE, 0, 0);
			rc = nl_commit(&nl, err);
		}
		if (rc >= 0)
			rc = pod_net_delete_link(&nl, f.p[i].name, err);
	}
	return rc;
}

int cor_pod_net_remove_all(const char *cluster, const char *run_dir, struct cor_err *err) {
	char dir[COR_POD_NS_PATH_MAX];
	int rc = remove_links(cluster, err);
	if (rc < 0)
		return cor_wrap(err, "remove the pod network of %s", cluster);
	snprintf(dir, sizeof(dir), "%s/ns", run_dir);
	DIR *d = opendir(dir);
	if (!d)
		return errno == ENOENT ? 0 : cor_fail_errno(err, errno, "open %s", dir);
	struct dirent *e;
	while (rc >= 0 && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			rc = pin_remove(run_dir, cor_str_c(e->d_name), err);
	}
	closedir(d);
	if (rc >= 0 && rmdir(dir) < 0 && errno != ENOENT)
		rc = cor_fail_errno(err, errno, "remove %s", dir);
	return rc;
}
