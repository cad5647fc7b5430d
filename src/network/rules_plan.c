// SPDX-License-Identifier: Apache-2.0
// What a Service wants in the table, as a pure function of the model: chains named after what they
// do and for whom ("cluster/default/web/tcp/80"), and elements that lead to them. Rules of which
// endpoints count: facts/network.md sections 4.2 to 4.6.
#include <stdio.h>
#include <string.h>

#include "network/rules_priv.h"

/* ---- items ---- */

void items_fini(struct items *items) {
	for (size_t i = 0; i < items->n; i++) {
		free(items->p[i].key);
		free(items->p[i].value);
	}
	free(items->p);
	*items = (struct items){ 0 };
}

void items_add(struct items *items, enum item_kind kind, char *key, char *value) {
	if (items->n % 8 == 0)
		items->p = cor_realloc(items->p, (items->n + 8) * sizeof(*items->p));
	items->p[items->n++] = (struct item){ kind, key, value };
}

void items_remove(struct items *items, size_t i) {
	free(items->p[i].key);
	free(items->p[i].value);
	memmove(&items->p[i], &items->p[i + 1], (items->n - i - 1) * sizeof(*items->p));
	items->n--;
}

static int compare(const void *a, const void *b) {
	const struct item *x = a, *y = b;
	return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->key, y->key);
}

/* An address that is given twice (as external and as balancer address) is one element. */
void items_sort(struct items *items) {
	if (items->n > 1)
		qsort(items->p, items->n, sizeof(*items->p), compare);
	for (size_t i = 1; i < items->n;) {
		if (compare(&items->p[i - 1], &items->p[i]) == 0)
			items_remove(items, i);
		else
			i++;
	}
}

void stales_fini(struct stales *s) {
	for (size_t i = 0; i < s->n; i++)
		free(s->p[i].live);
	free(s->p);
	*s = (struct stales){ 0 };
}

/* ---- endpoints ---- */

struct target {
	const struct net_endpoint *ep;
	uint16_t port;
};

struct targets {
	struct target *p;
	size_t n;
};

/* One Service port with the endpoints that count for it. */
struct port_plan {
	const struct rules_env *env;
	const struct net_service *svc;
	const struct net_port *port;
	struct items *out;
	struct targets all, cluster, local;
	char base[200];         /* "<ns>/<service>/<proto>/<port>" */
};

static void add_target(struct targets *t, const struct net_endpoint *ep, uint16_t port) {
	/* Given twice, the one that stays wins. */
	for (size_t i = 0; i < t->n; i++) {
		if (t->p[i].port == port && net_ip_eq(&t->p[i].ep->ip, &ep->ip)) {
			if (!ep->terminating)
				t->p[i].ep = ep;
			return;
		}
	}
	t->p[t->n++] = (struct target){ ep, port };
}

static int by_address(const void *a, const void *b) {
	const struct target *x = a, *y = b;
	int c = memcmp(x->ep->ip.b, y->ep->ip.b, 4);
	return c ? c : (int)x->port - (int)y->port;
}

/* Sorted, so that the same endpoints in other slices are the same rules. */
static void gather(struct port_plan *pp) {
	size_t n = 0;
	for (const struct net_slice *s = pp->svc->slices; s; s = s->next)
		n += s->ep_n;
	pp->all.p = cor_calloc(n + 1, sizeof(struct target));
	pp->cluster.p = cor_calloc(n + 1, sizeof(struct target));
	pp->local.p = cor_calloc(n + 1, sizeof(struct target));
	for (const struct net_slice *s = pp->svc->slices; s; s = s->next) {
		const struct net_port *sp = net_slice_port(s, pp->port);
		for (size_t i = 0; sp && i < s->ep_n; i++) {
			if (s->ep[i].ip.family == 4)
				add_target(&pp->all, &s->ep[i], sp->port);
		}
	}
	if (pp->all.n > 1)
		qsort(pp->all.p, pp->all.n, sizeof(struct target), by_address);
}

static bool zone_hinted(const struct rules_env *env, const struct net_endpoint *ep) {
	return *env->zone && strstr(ep->zone_hints, env->zone) != NULL;
}

enum topology { ANYWHERE, SAME_ZONE, SAME_NODE };

/* By the hints of the ready endpoints; one without a hint disables them all. */
static enum topology topology_of(const struct port_plan *pp) {
	bool nodes = true, zones = true, this_node = false, this_zone = false;
	for (size_t i = 0; i < pp->all.n; i++) {
		const struct net_endpoint *ep = pp->all.p[i].ep;
		if (!ep->ready)
			continue;
		nodes &= ep->hints_nodes;
		zones &= *ep->zone_hints != '\0';
		this_node |= ep->hints_this_node;
		this_zone |= zone_hinted(pp->env, ep);
	}
	return nodes && this_node ? SAME_NODE : zones && this_zone ? SAME_ZONE : ANYWHERE;
}

static bool near_enough(const struct port_plan *pp, const struct net_endpoint *ep, enum topology t) {
	return t == ANYWHERE || (t == SAME_NODE ? ep->hints_this_node : zone_hinted(pp->env, ep));
}

/* Ready ones, or if there are none those that are going but still serve. */
static void choose(struct port_plan *pp) {
	enum topology t = topology_of(pp);
	for (int pass = 0; pass < 2; pass++) {
		bool cluster = pp->cluster.n == 0, local = pp->local.n == 0;
		for (size_t i = 0; i < pp->all.n; i++) {
			const struct net_endpoint *ep = pp->all.p[i].ep;
			if (pass == 0 ? !ep->ready : !(ep->serving && ep->terminating))
				continue;
			if (cluster && (pass == 1 || near_enough(pp, ep, t)))
				pp->cluster.p[pp->cluster.n++] = pp->all.p[i];
			if (local && ep->local)
				pp->local.p[pp->local.n++] = pp->all.p[i];
		}
	}
}

/* ---- chains ---- */

static void add(struct port_plan *pp, enum item_kind kind, char *key, char *value) {
	items_add(pp->out, kind, key, value);
}

static const char *proto_of(const struct port_plan *pp) {
	return net_proto_to_string(pp->port->proto);
}

static void address_of(const struct target *t, char out[COR_IP4_TEXT_MAX]) {
	cor_ip4_format(net_ip4(&t->ep->ip), out);
}

static char *affinity_set(const struct port_plan *pp, const struct target *t) {
	char ip[COR_IP4_TEXT_MAX];
	address_of(t, ip);
	/* The time is in the name because a set's definition cannot change. */
	return cor_asprintf("affinity/%u/%s/%s/%u", pp->svc->affinity_s, pp->base, ip, t->port);
}

static char *endpoint_chain(const struct port_plan *pp, const struct target *t) {
	char ip[COR_IP4_TEXT_MAX];
	address_of(t, ip);
	return cor_asprintf("endpoint/%s/%s/%u", pp->base, ip, t->port);
}

static void add_endpoint(struct port_plan *pp, const struct target *t) {
	char ip[COR_IP4_TEXT_MAX];
	address_of(t, ip);
	char *set = affinity_set(pp, t);
	add(pp, IT_CHAIN, endpoint_chain(pp, t), cor_asprintf(
		"update @%s { ip saddr }\nmeta l4proto %s dnat to %s:%u\n", set, proto_of(pp), ip, t->port));
	add(pp, IT_AFFINITY, set, cor_asprintf(
		"type ipv4_addr; flags dynamic,timeout; timeout %us;", pp->svc->affinity_s));
}

/* A client that was here lately stays where it was; the others draw. */
static char *rules_with_affinity(struct port_plan *pp, const struct targets *t) {
	struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < t->n; i++) {
		_cleanup_free_ char *set = affinity_set(pp, &t->p[i]);
		_cleanup_free_ char *chain = endpoint_chain(pp, &t->p[i]);
		cor_buf_printf(&b, "ip saddr @%s goto %s\n", set, chain);
	}
	cor_buf_printf(&b, "numgen random mod %zu vmap { ", t->n);
	for (size_t i = 0; i < t->n; i++) {
		_cleanup_free_ char *chain = endpoint_chain(pp, &t->p[i]);
		cor_buf_printf(&b, "%s%zu : goto %s", i ? ", " : "", i, chain);
	}
	cor_buf_c(&b, " }\n");
	char *text = cor_str_dup_c(cor_buf_view(&b));
	cor_buf_fini(&b);
	return text;
}

static char *rules_at_random(const struct port_plan *pp, const struct targets *t) {
	struct cor_buf b = COR_BUF_INIT;
	char ip[COR_IP4_TEXT_MAX];
	cor_buf_printf(&b, "meta l4proto %s dnat ip to numgen random mod %zu map { ", proto_of(pp), t->n);
	for (size_t i = 0; i < t->n; i++) {
		address_of(&t->p[i], ip);
		cor_buf_printf(&b, "%s%zu : %s . %u", i ? ", " : "", i, ip, t->p[i].port);
	}
	cor_buf_c(&b, " }\n");
	char *text = cor_str_dup_c(cor_buf_view(&b));
	cor_buf_fini(&b);
	return text;
}

static void add_chain(struct port_plan *pp, const char *what, const struct targets *t) {
	if (t->n > 0)
		add(pp, IT_CHAIN, cor_asprintf("%s/%s", what, pp->base), pp->svc->affinity_s
			? rules_with_affinity(pp, t) : rules_at_random(pp, t));
}

static void add_external_chain(struct port_plan *pp) {
	char pods[COR_CIDR4_TEXT_MAX], *rules;
	cor_cidr4_format(pp->env->cluster_cidr, pods);
	if (!pp->svc->external_local)
		rules = cor_asprintf("meta mark set meta mark or 0x4000\ngoto cluster/%s\n", pp->base);
	else
		rules = cor_asprintf("ip saddr %s goto cluster/%s\n"
			"fib saddr type local meta mark set meta mark or 0x4000\n"
			"fib saddr type local goto cluster/%s\n%s%s%s", pods, pp->base, pp->base,
			pp->local.n ? "goto local/" : "", pp->local.n ? pp->base : "",
			pp->local.n ? "\n" : "");
	add(pp, IT_CHAIN, cor_asprintf("external/%s", pp->base), rules);
}

/* ---- elements ---- */

static char *address_key(const struct port_plan *pp, const struct net_ip *ip) {
	char text[NET_IP_TEXT_MAX];
	net_ip_format(ip, text);
	return cor_asprintf("%s . %s . %u", text, proto_of(pp), pp->port->port);
}

static char *node_port_key(const struct port_plan *pp) {
	return cor_asprintf("%s . %u", proto_of(pp), pp->port->node_port);
}

/* What is done without endpoints; NULL = there are some. */
static const char *refusal(const struct port_plan *pp, bool local_only) {
	if (pp->cluster.n == 0 && pp->local.n == 0)
		return "goto reject-new";
	return local_only && pp->local.n == 0 ? "drop" : NULL;
}

static void add_cluster_ips(struct port_plan *pp) {
	const char *no = refusal(pp, pp->svc->internal_local);
	for (size_t i = 0; i < pp->svc->cluster_ips.n; i++) {
		const struct net_ip *ip = &pp->svc->cluster_ips.p[i];
		if (ip->family != 4)
			continue;
		if (no)
			add(pp, IT_NO_EP, address_key(pp, ip), cor_strdup(no));
		else
			add(pp, IT_SERVICE, address_key(pp, ip), cor_asprintf("goto %s/%s",
				pp->svc->internal_local ? "local" : "cluster", pp->base));
	}
}

/* Even if the policy wants local endpoints and there are none, pods and the node itself reach the
 * others; the rest finds its way into the map of what is dropped. */
static void add_external_ips(struct port_plan *pp, const struct net_ips *ips, bool firewalled) {
	const char *no = refusal(pp, pp->svc->external_local);
	for (size_t i = 0; i < ips->n; i++) {
		const struct net_ip *ip = &ips->p[i];
		if (ip->family != 4)
			continue;
		if (no)
			add(pp, IT_NO_EP, address_key(pp, ip), cor_strdup(no));
		if (pp->cluster.n > 0)
			add(pp, IT_SERVICE, address_key(pp, ip), cor_asprintf("goto external/%s", pp->base));
		if (firewalled)
			add(pp, IT_FIREWALL, address_key(pp, ip), cor_asprintf("goto firewall/%s", pp->base));
	}
}

static void add_node_port(struct port_plan *pp) {
	const char *no = refusal(pp, pp->svc->external_local);
	if (no)
		add(pp, IT_NO_EP_NODE_PORT, node_port_key(pp), cor_strdup(no));
	if (pp->cluster.n > 0)
		add(pp, IT_NODE_PORT, node_port_key(pp), cor_asprintf("goto external/%s", pp->base));
}

/* Rules rather than a set: ranges may overlap. The balancer's own address may always ask. */
static void add_firewall_chain(struct port_plan *pp) {
	struct cor_buf b = COR_BUF_INIT;
	struct cor_str rest = cor_str_c(pp->svc->source_ranges);
	while (rest.p) {
		struct cor_str range = cor_str_trim(cor_str_cut(&rest, ','));
		cor_buf_printf(&b, "ip saddr %.*s return\n", COR_STR_ARG(range));
	}
	for (size_t i = 0; i < pp->svc->lb_ips.n; i++) {
		char text[NET_IP_TEXT_MAX];
		net_ip_format(&pp->svc->lb_ips.p[i], text);
		if (pp->svc->lb_ips.p[i].family == 4)
			cor_buf_printf(&b, "ip saddr %s return\n", text);
	}
	cor_buf_c(&b, "drop\n");
	add(pp, IT_CHAIN, cor_asprintf("firewall/%s", pp->base), cor_str_dup_c(cor_buf_view(&b)));
	cor_buf_fini(&b);
}

/* ---- conntrack ---- */

static void add_stale(const struct port_plan *pp, struct stales *s, uint32_t ip, uint16_t port) {
	s->p = cor_realloc(s->p, (s->n + 1) * sizeof(*s->p));
	struct stale *st = &s->p[s->n++];
	*st = (struct stale){ .ip = ip, .port = port,
		.live = cor_calloc(pp->all.n + 1, sizeof(uint32_t)) };
	for (size_t i = 0; i < pp->all.n; i++) {
		if (pp->all.p[i].ep->serving)
			st->live[st->live_n++] = net_ip4(&pp->all.p[i].ep->ip);
	}
}

static void add_stales(const struct port_plan *pp, struct stales *s) {
	const struct net_ips *lists[] = {
		&pp->svc->cluster_ips, &pp->svc->external_ips, &pp->svc->lb_ips,
	};
	if (pp->port->proto != NET_UDP || pp->cluster.n + pp->local.n == 0)
		return;
	for (size_t l = 0; l < cor_countof(lists); l++) {
		for (size_t i = 0; i < lists[l]->n; i++) {
			if (lists[l]->p[i].family == 4)
				add_stale(pp, s, net_ip4(&lists[l]->p[i]), pp->port->port);
		}
	}
	if (pp->port->node_port)
		add_stale(pp, s, 0, pp->port->node_port);
}

/* ---- a Service ---- */

static void plan_port(struct port_plan *pp) {
	const struct net_service *svc = pp->svc;
	bool firewall = *svc->source_ranges && svc->lb_ips.n > 0;
	bool node_port = pp->port->node_port && (svc->type == NET_NODE_PORT ||
		svc->type == NET_LOAD_BALANCER);
	bool external = node_port || svc->external_ips.n > 0 || svc->lb_ips.n > 0;
	snprintf(pp->base, sizeof(pp->base), "%s/%s/%u", svc->key, proto_of(pp), pp->port->port);
	gather(pp);
	choose(pp);
	add_cluster_ips(pp);
	if (external) {
		add_external_ips(pp, &svc->external_ips, false);
		add_external_ips(pp, &svc->lb_ips, firewall);
	}
	if (node_port)
		add_node_port(pp);
	if (external && pp->cluster.n > 0)
		add_external_chain(pp);
	if (external && firewall)
		add_firewall_chain(pp);
	if (external || !svc->internal_local)
		add_chain(pp, "cluster", &pp->cluster);
	if ((external && svc->external_local) || svc->internal_local)
		add_chain(pp, "local", &pp->local);
	for (size_t i = 0; svc->affinity_s && i < pp->all.n; i++) {
		const struct net_endpoint *ep = pp->all.p[i].ep;
		if (ep->ready || (ep->serving && ep->terminating))
			add_endpoint(pp, &pp->all.p[i]);
	}
}

void rules_plan_service(const struct rules_env *env, const struct net_service *svc,
	struct items *ret, struct stales *stale) {
	struct net_ip dns = { .family = 4, .b = { (uint8_t)(env->dns_ip >> 24),
		(uint8_t)(env->dns_ip >> 16), (uint8_t)(env->dns_ip >> 8), (uint8_t)env->dns_ip } };
	bool ours = svc->exists && !svc->headless && !svc->ignored_by_proxy &&
		svc->type != NET_EXTERNAL_NAME && svc->cluster_ips.n > 0;
	/* The DNS server of this node has the address itself; nothing must be translated. */
	for (size_t i = 0; ours && env->dns_ip && i < svc->cluster_ips.n; i++)
		ours = !net_ip_eq(&svc->cluster_ips.p[i], &dns);
	for (size_t i = 0; ours && i < svc->ports.n; i++) {
		struct port_plan pp = { .env = env, .svc = svc, .port = &svc->ports.p[i], .out = ret };
		plan_port(&pp);
		if (stale)
			add_stales(&pp, stale);
		free(pp.all.p);
		free(pp.cluster.p);
		free(pp.local.p);
	}
	items_sort(ret);
}

void rules_plan_host_ports(const char *ip, const struct cor_host_port *ports, size_t n,
	struct items *ret) {
	uint32_t pod;
	for (size_t i = 0; i < n && cor_ip4_parse(cor_str_c(ip), &pod); i++) {
		const struct cor_host_port *p = &ports[i];
		const char *proto = net_proto_to_string(net_proto_from_string(p->protocol));
		uint32_t host = 0;
		if (!*proto || p->host_port == 0 || p->container_port == 0 ||
			(!cor_str_empty(p->host_ip) && !cor_ip4_parse(p->host_ip, &host)))
			continue;
		char *value = cor_asprintf("%s . %u", ip, p->container_port);
		if (host == 0)
			items_add(ret, IT_HOST_PORT_ANY, cor_asprintf("%s . %u", proto, p->host_port), value);
		else
			items_add(ret, IT_HOST_PORT, cor_asprintf("%.*s . %s . %u", COR_STR_ARG(p->host_ip),
				proto, p->host_port), value);
	}
	items_sort(ret);
}
