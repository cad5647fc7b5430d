// SPDX-License-Identifier: Apache-2.0
// The table as text for nft: its fixed part, and the difference between what an owner had
// and what it wants. Text is what can be read in a test and in a bug report; the library turns a
// whole text into one transaction.
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "network/rules_priv.h"

/* The maps and sets of the fixed part, by kind of element. */
static const struct {
	const char *name, *type;
} maps[IT_MAX] = {
	[IT_SERVICE] = { "service-ips", "ipv4_addr . inet_proto . inet_service : verdict" },
	[IT_NODE_PORT] = { "service-nodeports", "inet_proto . inet_service : verdict" },
	[IT_NO_EP] = { "no-endpoint-services", "ipv4_addr . inet_proto . inet_service : verdict" },
	[IT_NO_EP_NODE_PORT] = { "no-endpoint-nodeports", "inet_proto . inet_service : verdict" },
	[IT_FIREWALL] = { "firewall-ips", "ipv4_addr . inet_proto . inet_service : verdict" },
	[IT_HOST_PORT] = { "host-ports",
		"ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service" },
	[IT_HOST_PORT_ANY] = { "host-ports-any", "inet_proto . inet_service : ipv4_addr . inet_service" },
};

static void put_filter(const struct rules_env *env, const char *dns, const char *services,
	struct cor_buf *out) {
	cor_buf_c(out, "chain reject-new {\n"
		"meta l4proto tcp reject with tcp reset\n"
		"reject with icmp type port-unreachable\n}\n"
		/* What is still addressed to a service here was not translated. */
		"chain check {\n"
		"ip daddr . meta l4proto . th dport vmap @no-endpoint-services\n"
		"ip daddr != 127.0.0.0/8 fib daddr type local "
		"meta l4proto . th dport vmap @no-endpoint-nodeports\n");
	if (env->dns_ip)
		cor_buf_printf(out, "ip daddr %s meta l4proto { tcp, udp } th dport 53 return\n", dns);
	cor_buf_printf(out, "ip daddr %s goto reject-new\n}\n", services);
	static const char *const hooks[] = { "input", "forward", "output" };
	for (size_t i = 0; i < cor_countof(hooks); i++)
		cor_buf_printf(out, "chain filter-%s { type filter hook %s priority filter; "
			"ct state new jump check; }\n", hooks[i], hooks[i]);
	cor_buf_printf(out, "chain firewall {\n"
		"ct state new ip daddr . meta l4proto . th dport vmap @firewall-ips\n}\n"
		"chain firewall-prerouting { type filter hook prerouting priority -110; jump firewall; }\n"
		"chain firewall-output { type filter hook output priority -110; jump firewall; }\n"
		/* Links with host ports have route_localnet: nothing but translated traffic may use it. */
		"chain raw-prerouting { type filter hook prerouting priority raw; "
		"iifname \"%s*\" ip daddr 127.0.0.0/8 drop; }\n", env->prefix);
}

static void put_nat(const struct rules_env *env, const char *dns, const char *services,
	const char *pods, struct cor_buf *out) {
	char gateway[COR_IP4_TEXT_MAX];
	cor_ip4_format(env->node_cidr.addr + 1, gateway);
	cor_buf_c(out, "chain services {\n");
	if (env->dns_ip)
		cor_buf_printf(out, "ip daddr %s return\n", dns);
	cor_buf_printf(out, "ip saddr != %s ip daddr %s meta mark set meta mark or 0x4000\n"
		"ip daddr . meta l4proto . th dport vmap @service-ips\n"
		"ip daddr != 127.0.0.0/8 fib daddr type local "
		"meta l4proto . th dport vmap @service-nodeports\n"
		"fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @host-ports\n"
		"fib daddr type local dnat ip to meta l4proto . th dport map @host-ports-any\n}\n"
		"chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }\n"
		"chain nat-output { type nat hook output priority -100; jump services; }\n",
		pods, services);
	/* The links of pods have no address of their own on the node: the gateway's stands for it. */
	cor_buf_printf(out, "chain masquerade-any {\n"
		"oifname \"%s*\" snat to %s fully-random\nmasquerade fully-random\n}\n"
		"chain masquerade-marked {\nmeta mark set meta mark xor 0x4000\ngoto masquerade-any\n}\n"
		"chain nat-postrouting { type nat hook postrouting priority srcnat;\n"
		"ct status dnat ip saddr . ip daddr @hairpin goto masquerade-any\n"
		"meta mark & 0x4000 == 0x4000 goto masquerade-marked\n"
		"ip saddr 127.0.0.0/8 oifname \"%s*\" goto masquerade-any\n"
		"ip saddr %s ip daddr != { %s, 224.0.0.0/4 } oifname != \"lo\" masquerade fully-random\n}\n",
		env->prefix, gateway, env->prefix, pods, pods);
}

/* A pod that reaches itself through a service: its answer would not come back this way. nftables
 * cannot compare two fields of a packet, but it can look up the pair. */
static void put_hairpin(const struct rules_env *env, struct cor_buf *out) {
	char ip[COR_IP4_TEXT_MAX];
	cor_buf_c(out, "set hairpin { type ipv4_addr . ipv4_addr; elements = { ");
	for (uint64_t i = 2; i + 1 < cor_cidr4_size(env->node_cidr); i++) {
		cor_ip4_format(env->node_cidr.addr + (uint32_t)i, ip);
		cor_buf_printf(out, "%s%s . %s", i > 2 ? ", " : "", ip, ip);
	}
	cor_buf_c(out, " }; }\n");
}

void rules_text_base(const struct rules_env *env, struct cor_buf *out) {
	char dns[COR_IP4_TEXT_MAX] = "", services[COR_CIDR4_TEXT_MAX], pods[COR_CIDR4_TEXT_MAX];
	if (env->dns_ip)
		cor_ip4_format(env->dns_ip, dns);
	cor_cidr4_format(env->service_cidr, services);
	cor_cidr4_format(env->cluster_cidr, pods);
	/* To delete what may not be there it is added first; all of it is one transaction. */
	cor_buf_printf(out, "add table ip %s\ndelete table ip %s\ntable ip %s {\n", env->table,
		env->table, env->table);
	for (int i = 0; i < IT_MAX; i++) {
		if (maps[i].name)
			cor_buf_printf(out, "map %s { type %s; }\n", maps[i].name, maps[i].type);
	}
	put_hairpin(env, out);
	put_filter(env, dns, services, out);
	put_nat(env, dns, services, pods, out);
	cor_buf_c(out, "}\n");
}

/* ---- differences ---- */

static int compare(const struct item *a, const struct item *b) {
	if (!a || !b)
		return a ? -1 : 1;
	return a->kind != b->kind ? (int)a->kind - (int)b->kind : strcmp(a->key, b->key);
}

/* Walks two sorted lists side by side: fn(NULL, item) for new ones, fn(item, NULL) for old ones,
 * fn(old, now) for those in both. */
typedef void (*pair_fn)(const struct item *old, const struct item *now, void *arg);

static void walk(const struct items *old, const struct items *now, pair_fn fn, void *arg) {
	size_t i = 0, k = 0;
	while (i < old->n || k < now->n) {
		const struct item *a = i < old->n ? &old->p[i] : NULL;
		const struct item *b = k < now->n ? &now->p[k] : NULL;
		int c = compare(a, b);
		fn(c <= 0 ? a : NULL, c >= 0 ? b : NULL, arg);
		i += c <= 0;
		k += c >= 0;
	}
}

struct writer {
	const struct rules_env *env;
	struct cor_buf *out;
	enum rules_part part;
	enum item_kind open;    /* the map whose elements are being listed; IT_MAX = none */
};

static void put_rules(const struct writer *w, const struct item *chain) {
	struct cor_str rest = cor_str_c(chain->value);
	while (rest.p) {
		struct cor_str line = cor_str_cut(&rest, '\n');
		if (line.n > 0)
			cor_buf_printf(w->out, "add rule ip %s %s %.*s\n", w->env->table, chain->key,
				COR_STR_ARG(line));
	}
}

static void close_list(struct writer *w) {
	if (w->open != IT_MAX)
		cor_buf_c(w->out, " }\n");
	w->open = IT_MAX;
}

static void put_element(struct writer *w, const struct item *it, bool add) {
	if (w->open != it->kind) {
		close_list(w);
		cor_buf_printf(w->out, "%s element ip %s %s { ", add ? "add" : "delete", w->env->table,
			maps[it->kind].name);
		w->open = it->kind;
	} else {
		cor_buf_c(w->out, ", ");
	}
	cor_buf_printf(w->out, add ? "%s : %s" : "%s", it->key, it->value);
}

static void put_pair(const struct item *old, const struct item *now, void *arg) {
	struct writer *w = arg;
	const struct item *any = old ? old : now;
	const char *table = w->env->table;
	bool same = old && now && strcmp(old->value, now->value) == 0;
	if (same)
		return;
	switch (w->part) {
	case RULES_DECLARE:
		if (now && !old && now->kind == IT_AFFINITY)
			cor_buf_printf(w->out, "add set ip %s %s { %s }\n", table, now->key, now->value);
		if (now && !old && now->kind == IT_CHAIN)
			cor_buf_printf(w->out, "add chain ip %s %s\n", table, now->key);
		break;
	case RULES_FILL:
		/* What waits for its deletion may be wanted again before: it is emptied now. */
		if (old && !now && old->kind == IT_AFFINITY)
			cor_buf_printf(w->out, "flush set ip %s %s\n", table, old->key);
		if (any->kind == IT_CHAIN && old)
			cor_buf_printf(w->out, "flush chain ip %s %s\n", table, any->key);
		if (any->kind == IT_CHAIN && now)
			put_rules(w, now);
		break;
	case RULES_DROP_ELEMENTS:
		if (old && maps[old->kind].name)
			put_element(w, old, false);
		break;
	case RULES_ADD_ELEMENTS:
		if (now && maps[now->kind].name)
			put_element(w, now, true);
		break;
	case RULES_PART_MAX:
		cor_assert(false);
	}
}

void rules_text_part(const struct rules_env *env, enum rules_part part, const struct items *old,
	const struct items *now, struct cor_buf *out) {
	struct writer w = { .env = env, .out = out, .part = part, .open = IT_MAX };
	walk(old, now, put_pair, &w);
	close_list(&w);
}

struct dead {
	void (*fn)(enum item_kind kind, const char *name, void *arg);
	void *arg;
};

static void tell_dead(const struct item *old, const struct item *now, void *arg) {
	struct dead *d = arg;
	if (old && !now && !maps[old->kind].name)
		d->fn(old->kind, old->key, d->arg);
}

void rules_text_dead(const struct rules_env *env, const struct items *old, const struct items *now,
	void (*fn)(enum item_kind kind, const char *name, void *arg), void *arg) {
	struct dead d = { fn, arg };
	walk(old, now, tell_dead, &d);
}
