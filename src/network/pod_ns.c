// SPDX-License-Identifier: Apache-2.0
// One pod's namespaces: made by a short-lived thread that leaves the process's namespaces alone,
// kept by bind mounts in the run directory, connected by a veth pair.
// The thread opens a netlink socket before it leaves the node's network namespace and another one
// after: each keeps speaking for the namespace it was opened in. Neighbour entries are permanent on
// both sides, so not a single ARP packet is needed and none can be forged.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/assert.h"
#include "network/pod_net_priv.h"

const char *const pin_names[PIN_MAX] = { [PIN_NET] = "net", [PIN_IPC] = "ipc", [PIN_UTS] = "uts" };
static const int pin_flags[PIN_MAX] = {
	[PIN_NET] = CLONE_NEWNET, [PIN_IPC] = CLONE_NEWIPC, [PIN_UTS] = CLONE_NEWUTS,
};

/* What container users expect since other runtimes give it: ports below 1024 and ping need no
 * capability in a namespace that is the pod's own. */
static const struct cor_kv default_sysctls[] = {
	{ COR_STR_INIT("net.ipv4.ip_unprivileged_port_start"), COR_STR_INIT("0") },
	{ COR_STR_INIT("net.ipv4.ping_group_range"), COR_STR_INIT("0 2147483647") },
};

/* ---- pins ---- */

int pin_path(const char *run_dir, struct cor_str uid, const char *kind,
	char out[COR_POD_NS_PATH_MAX], struct cor_err *err) {
	if (uid.n == 0 || uid.p[0] == '.' || memchr(uid.p, '/', uid.n))
		return cor_fail(err, COR_E_INVALID, "pod uid cannot name a directory");
	int n = snprintf(out, COR_POD_NS_PATH_MAX, "%s/ns/%.*s%s%s", run_dir, COR_STR_ARG(uid),
		kind ? "/" : "", kind ? kind : "");
	if (n >= COR_POD_NS_PATH_MAX)
		return cor_fail(err, COR_E_LIMIT, "the run directory's path is too long");
	return 0;
}

bool pin_is_there(const char *path) {
	struct statfs fs;
	return statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

int pin_remove(const char *run_dir, struct cor_str uid, struct cor_err *err) {
	char path[COR_POD_NS_PATH_MAX];
	for (int i = 0; i < PIN_MAX; i++) {
		int rc = pin_path(run_dir, uid, pin_names[i], path, err);
		if (rc < 0)
			return rc;
		while (umount2(path, MNT_DETACH) == 0)
			;
		if (unlink(path) < 0 && errno != ENOENT)
			return cor_fail_errno(err, errno, "remove %s", path);
	}
	(void)pin_path(run_dir, uid, NULL, path, NULL);
	if (rmdir(path) < 0 && errno != ENOENT)
		return cor_fail_errno(err, errno, "remove %s", path);
	return 0;
}

/* Binds the calling thread's namespace to the path. */
static int pin_here(const char *kind, const char *path, struct cor_err *err) {
	char source[64];
	snprintf(source, sizeof(source), "/proc/thread-self/ns/%s", kind);
	int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0400);
	if (fd < 0)
		return cor_fail_errno(err, errno, "create %s", path);
	(void)close(fd);
	if (mount(source, path, NULL, MS_BIND, NULL) < 0)
		return cor_fail_errno(err, errno, "pin namespace at %s", path);
	return 0;
}

static int make_dirs(const char *run_dir, struct cor_str uid, struct cor_err *err) {
	char path[COR_POD_NS_PATH_MAX];
	snprintf(path, sizeof(path), "%s/ns", run_dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return cor_fail_errno(err, errno, "create %s", path);
	int rc = pin_path(run_dir, uid, NULL, path, err);
	if (rc >= 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		rc = cor_fail_errno(err, errno, "create %s", path);
	return rc;
}

/* ---- sysctls ---- */

/* "net.ipv4.conf.eth0/1.rp_filter" and "net/ipv4/conf/eth0.1/rp_filter" mean the same: whichever
 * separator comes first is the separator. Only what belongs to the pod's namespaces passes. */
static int sysctl_path(struct cor_str name, const struct cor_pod_ns_spec *spec, char *out, size_t cap,
	struct cor_err *err) {
	static const struct {
		const char *prefix;
		bool ipc;
	} allowed[] = {
		{ "net/", false }, { "kernel/shm", true }, { "kernel/msg", true },
		{ "kernel/sem", true }, { "fs/mqueue/", true },
	};
	if (name.n == 0 || name.n >= cap)
		return cor_fail(err, COR_E_INVALID, "sysctl name is empty or too long");
	bool dots = cor_str_chr(name, '.') < cor_str_chr(name, '/');
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		out[i] = !dots ? c : (char)(c == '.' ? '/' : c == '/' ? '.' : c);
	}
	out[name.n] = '\0';
	for (size_t i = 0; i < cor_countof(allowed) && !strstr(out, ".."); i++) {
		if (strncmp(out, allowed[i].prefix, strlen(allowed[i].prefix)) == 0 &&
			!(allowed[i].ipc ? spec->host_ipc : spec->host_net))
			return 0;
	}
	return cor_fail(err, COR_E_INVALID, "sysctl \"%.*s\" does not belong to the pod",
		COR_STR_ARG(name));
}

static int set_sysctls(const struct cor_kv *p, size_t n, const struct cor_pod_ns_spec *spec,
	struct cor_err *err) {
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		char path[200];
		rc = sysctl_path(p[i].key, spec, path, sizeof(path), err);
		if (rc < 0)
			break;
		_cleanup_free_ char *value = cor_str_dup_c(p[i].value);
		rc = pod_net_sysctl(path, value, err);
	}
	return rc;
}

/* ---- the link ---- */

struct mac {
	uint8_t b[6];
};

/* Locally administered, and a function of the address: nobody has to ask for it. */
static struct mac mac_of(uint8_t first, uint32_t ip) {
	return (struct mac){ { first, 0x58, (uint8_t)(ip >> 24), (uint8_t)(ip >> 16),
		(uint8_t)(ip >> 8), (uint8_t)ip } };
}

enum { MAC_POD = 0x0a, MAC_NODE = 0x0e };

struct maker {
	struct cor_pod_net *pn;
	const struct cor_pod_ns_spec *spec;
	struct cor_pod_ns *ns;
	uint32_t ip;
	int rc;
	struct cor_err *err;
};

static void put_common(struct nlmsghdr *nlh, const char *name, struct mac mac, unsigned mtu) {
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	mnl_attr_put(nlh, IFLA_ADDRESS, sizeof(mac.b), mac.b);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
}

/* Two requests: the kernel brings a link up before it looks at the rest of the same request. */
static void put_up(struct nl *nl, int index) {
	struct nlmsghdr *nlh = nl_add(nl, "no link-local address", RTM_NEWLINK, 0, EAFNOSUPPORT);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = index;
	/* An IPv6 link-local address would only bring duplicate detection and chatter. */
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);

	nlh = nl_add(nl, "bring up the veth pair", RTM_NEWLINK, 0, 0);
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = index;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
}

static void put_veth(struct nl *nl, const struct maker *m, const char *name, int netns) {
	struct nlmsghdr *nlh = nl_add(nl, "make the veth pair", RTM_NEWLINK,
		NLM_F_CREATE | NLM_F_EXCL, 0);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	put_common(nlh, name, mac_of(MAC_NODE, m->ip), m->pn->mtu);
	mnl_attr_put_u32(nlh, IFLA_GROUP, pod_net_link_group(m->pn->cluster));
	struct nlattr *info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_str(nlh, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	put_common(nlh, "eth0", mac_of(MAC_POD, m->ip), m->pn->mtu);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)netns);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
}

static void put_neighbour(struct nl *nl, int index, uint32_t ip, struct mac mac) {
	struct nlmsghdr *nlh = nl_add(nl, "set neighbour", RTM_NEWNEIGH,
		NLM_F_CREATE | NLM_F_REPLACE, 0);
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	ndm->ndm_family = AF_INET;
	ndm->ndm_ifindex = index;
	ndm->ndm_state = NUD_PERMANENT;
	mnl_attr_put_u32(nlh, NDA_DST, htonl(ip));
	mnl_attr_put(nlh, NDA_LLADDR, sizeof(mac.b), mac.b);
}

/* dst 0 and via: the default route; else a host route to dst with src as preferred source. */
static void put_host_route(struct nl *nl, int index, uint32_t dst, uint32_t via, uint32_t src) {
	struct nlmsghdr *nlh = nl_add(nl, "set route", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	rtm->rtm_dst_len = via ? 0 : 32;
	if (dst)
		mnl_attr_put_u32(nlh, RTA_DST, htonl(dst));
	if (via)
		mnl_attr_put_u32(nlh, RTA_GATEWAY, htonl(via));
	if (src)
		mnl_attr_put_u32(nlh, RTA_PREFSRC, htonl(src));
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)index);
}

/* In the pod: loopback up, address, the gateway and the route through it. */
static int connect_inside(const struct maker *m, struct nl *nl, struct cor_err *err) {
	int lo = 0, eth = 0;
	int rc = nl_link_index(nl, "lo", &lo, err);
	if (rc >= 0)
		rc = nl_link_index(nl, "eth0", &eth, err);
	if (rc < 0)
		return rc;
	struct nlmsghdr *nlh = nl_add(nl, "bring up loopback", RTM_NEWLINK, 0, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = lo;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;

	nlh = nl_add(nl, "add address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, 0);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = 32;
	ifa->ifa_index = (uint32_t)eth;
	mnl_attr_put_u32(nlh, IFA_LOCAL, htonl(m->ip));
	mnl_attr_put_u32(nlh, IFA_ADDRESS, htonl(m->ip));

	put_up(nl, eth);
	uint32_t gateway = cor_pod_net_gateway(m->pn);
	put_neighbour(nl, eth, gateway, mac_of(MAC_NODE, m->ip));
	put_host_route(nl, eth, gateway, 0, 0);
	put_host_route(nl, eth, 0, gateway, m->ip);
	return nl_commit(nl, err);
}

/* On the node: the way to the pod. The alias comes last: it says that all the rest is done. */
static int connect_outside(const struct maker *m, struct nl *nl, const char *name,
	struct cor_err *err) {
	int index = 0;
	int rc = nl_link_index(nl, name, &index, err);
	if (rc < 0)
		return rc;
	put_up(nl, index);
	put_neighbour(nl, index, m->ip, mac_of(MAC_POD, m->ip));
	put_host_route(nl, index, m->ip, 0, cor_pod_net_gateway(m->pn));
	char alias[200];
	snprintf(alias, sizeof(alias), "coracle/%s/%.*s", m->pn->cluster, COR_STR_ARG(m->spec->uid));
	struct nlmsghdr *nlh = nl_add(nl, "name the veth", RTM_NEWLINK, 0, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = index;
	mnl_attr_put_str(nlh, IFLA_IFALIAS, alias);
	return nl_commit(nl, err);
}

static int connect_pod(const struct maker *m, struct nl *outside, struct cor_err *err) {
	_cleanup_nl_ struct nl inside = { 0 };
	int rc = nl_open(&inside, NETLINK_ROUTE, err);
	if (rc < 0)
		return rc;
	_cleanup_close_ int netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return cor_fail_errno(err, errno, "open network namespace");
	char name[COR_IFNAME_MAX];
	pod_net_link_name(m->pn, m->ip, name);
	put_veth(outside, m, name, netns);
	rc = nl_commit(outside, err);
	if (rc == -EEXIST) {
		/* Of a pod whose namespace the kernel has not finished taking down. */
		rc = pod_net_delete_link(outside, name, err);
		put_veth(outside, m, name, netns);
		if (rc >= 0)
			rc = nl_commit(outside, err);
	}
	if (rc >= 0)
		rc = connect_inside(m, &inside, err);
	if (rc >= 0)
		rc = set_sysctls(default_sysctls, cor_countof(default_sysctls), m->spec, err);
	if (rc >= 0)
		rc = connect_outside(m, outside, name, err);
	return rc;
}

/* ---- the thread ---- */

static const char *pin_wanted(const struct cor_pod_ns *ns, enum pin pin) {
	return pin == PIN_NET ? ns->net : pin == PIN_IPC ? ns->ipc : ns->uts;
}

static int make_namespaces(const struct maker *m, struct cor_err *err) {
	_cleanup_nl_ struct nl outside = { 0 };
	int flags = 0;
	for (enum pin i = 0; i < PIN_MAX; i++)
		flags |= *pin_wanted(m->ns, i) ? pin_flags[i] : 0;
	int rc = nl_open(&outside, NETLINK_ROUTE, err);
	if (rc < 0)
		return rc;
	if (unshare(flags) < 0)
		return cor_fail_errno(err, errno, "make the pod's namespaces");
	for (enum pin i = 0; rc >= 0 && i < PIN_MAX; i++) {
		if (*pin_wanted(m->ns, i))
			rc = pin_here(pin_names[i], pin_wanted(m->ns, i), err);
	}
	if (rc >= 0 && *m->ns->uts && sethostname(m->spec->hostname.p, m->spec->hostname.n) < 0)
		rc = cor_fail_errno(err, errno, "set host name");
	if (rc >= 0 && *m->ns->net)
		rc = connect_pod(m, &outside, err);
	if (rc >= 0)
		rc = set_sysctls(m->spec->sysctls, m->spec->sysctl_n, m->spec, err);
	return rc;
}

static void *maker_thread(void *arg) {
	struct maker *m = arg;
	m->rc = make_namespaces(m, m->err);
	return NULL;
}

static int run_maker(struct maker *m) {
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	int rc = pthread_create(&thread, &attr, maker_thread, m);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return cor_fail_errno(m->err, rc, "start thread");
	pthread_join(thread, NULL);
	return m->rc;
}

/* Settings of the node's end that have no netlink attribute. */
static int tune_link(const struct maker *m, struct cor_err *err) {
	char name[COR_IFNAME_MAX], path[100];
	pod_net_link_name(m->pn, m->ip, name);
	const struct {
		const char *name, *value;
		bool wanted;
	} settings[] = {
		/* A pod can send only from its own address. */
		{ "rp_filter", "1", true },
		/* See setup_node. */
		{ "send_redirects", "0", true },
		/* So that 127.0.0.1:hostPort may leave through it; the service rules keep the pod from
		 * reaching the node's loopback in turn. */
		{ "route_localnet", "1", m->spec->host_ports },
	};
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < cor_countof(settings); i++) {
		snprintf(path, sizeof(path), "net/ipv4/conf/%s/%s", name, settings[i].name);
		if (settings[i].wanted)
			rc = pod_net_sysctl(path, settings[i].value, err);
	}
	return rc;
}

static int fill_paths(struct cor_pod_net *pn, const struct cor_pod_ns_spec *spec,
	struct cor_pod_ns *ns, struct cor_err *err) {
	int rc = 0;
	*ns = (struct cor_pod_ns){ 0 };
	if (!spec->host_net)
		rc = pin_path(pn->run_dir, spec->uid, pin_names[PIN_NET], ns->net, err);
	if (rc >= 0 && !spec->host_net)
		rc = pin_path(pn->run_dir, spec->uid, pin_names[PIN_UTS], ns->uts, err);
	if (rc >= 0 && !spec->host_ipc)
		rc = pin_path(pn->run_dir, spec->uid, pin_names[PIN_IPC], ns->ipc, err);
	return rc;
}

static bool all_pinned(const struct cor_pod_ns *ns) {
	for (enum pin i = 0; i < PIN_MAX; i++) {
		if (*pin_wanted(ns, i) && !pin_is_there(pin_wanted(ns, i)))
			return false;
	}
	return true;
}

int cor_pod_ns_create(struct cor_pod_net *pn, const struct cor_pod_ns_spec *spec,
	struct cor_pod_ns *ret, struct cor_err *err) {
	struct cor_pod_ns ns;
	int rc = fill_paths(pn, spec, &ns, err);
	if (rc < 0)
		return rc;
	struct maker m = { .pn = pn, .spec = spec, .ns = &ns, .err = err };
	bool known = spec->host_net;
	if (!known)
		known = pod_net_find_ip(pn, spec->uid, &m.ip);
	if (!known || !all_pinned(&ns)) {
		/* Nothing, or the rest of something that was interrupted. */
		rc = cor_pod_ns_destroy(pn, spec->uid, err);
		if (rc >= 0 && !spec->host_net)
			rc = pod_net_take_ip(pn, spec->uid, &m.ip, &known, err);
		if (rc >= 0)
			rc = make_dirs(pn->run_dir, spec->uid, err);
		if (rc >= 0)
			rc = run_maker(&m);
		if (rc >= 0 && !spec->host_net)
			rc = tune_link(&m, err);
	}
	if (rc < 0) {
		(void)cor_pod_ns_destroy(pn, spec->uid, NULL);
		return cor_wrap(err, "network of pod %.*s", COR_STR_ARG(spec->uid));
	}
	if (!spec->host_net)
		cor_ip4_format(m.ip, ns.ip);
	*ret = ns;
	return 0;
}

/* The veth pair goes with the pod's namespace when its last process and its pin are gone. To delete
 * it here would take some 40 ms under the kernel's one lock for interfaces, once for each pod; the
 * kernel's own clean-up does many namespaces at once. */
int cor_pod_ns_destroy(struct cor_pod_net *pn, struct cor_str uid, struct cor_err *err) {
	int rc = pin_remove(pn->run_dir, uid, err);
	if (rc < 0)
		return rc;
	pod_net_drop_ip(pn, uid);
	return 0;
}

int cor_pod_ns_list(struct cor_pod_net *pn, void (*fn)(struct cor_str uid, const char *ip, void *arg),
	void *arg, struct cor_err *err) {
	char path[COR_POD_NS_PATH_MAX];
	snprintf(path, sizeof(path), "%s/ns", pn->run_dir);
	DIR *d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : cor_fail_errno(err, errno, "open %s", path);
	struct dirent *e;
	while ((e = readdir(d))) {
		char ip[COR_IP4_TEXT_MAX] = "";
		uint32_t addr;
		if (e->d_name[0] == '.')
			continue;
		if (pod_net_find_ip(pn, cor_str_c(e->d_name), &addr))
			cor_ip4_format(addr, ip);
		fn(cor_str_c(e->d_name), ip, arg);
	}
	closedir(d);
	return 0;
}
