// SPDX-License-Identifier: Apache-2.0
// The DNS's model: the shared service model plus two indices that the names need, addresses to
// services and namespaces. A change takes what belongs to the service out of the indices before it
// happens and puts the new state in afterwards, so nothing is ever searched linearly.
#include <ctype.h>
#include <string.h>

#include "base/assert.h"
#include "network/dns_priv.h"

static struct cor_str ip_key(const struct net_ip *ip) {
	return (struct cor_str){ (const char *)ip, sizeof(*ip) };
}

struct dns_ref *dns_reverse_find(const struct cor_dns *dns, const struct net_ip *ip) {
	return cor_map_get(&dns->reverse, ip_key(ip));
}

static void reverse_add(struct cor_dns *dns, const struct net_ip *ip, struct net_service *svc) {
	struct dns_ref *ref = dns_reverse_find(dns, ip);
	if (!ref) {
		ref = cor_new(struct dns_ref);
		cor_map_put(&dns->reverse, ip_key(ip), ref);
	}
	for (size_t i = 0; i < ref->n; i++) {
		if (ref->p[i] == svc)
			return;
	}
	ref->p = cor_realloc(ref->p, (ref->n + 1) * sizeof(struct net_service *));
	ref->p[ref->n++] = svc;
}

static void reverse_remove(struct cor_dns *dns, const struct net_ip *ip, struct net_service *svc) {
	struct dns_ref *ref = dns_reverse_find(dns, ip);
	for (size_t i = 0; ref && i < ref->n; i++) {
		if (ref->p[i] == svc) {
			ref->p[i] = ref->p[--ref->n];
			break;
		}
	}
	if (!ref || ref->n > 0)
		return;
	cor_map_remove(&dns->reverse, ip_key(ip));
	free(ref->p);
	free(ref);
}

typedef void (*each_ip)(struct cor_dns *dns, const struct net_ip *ip, struct net_service *svc);

static void for_reverse(struct cor_dns *dns, struct net_service *svc, each_ip fn) {
	if (!svc->exists)
		return;
	for (size_t i = 0; i < svc->cluster_ips.n; i++)
		fn(dns, &svc->cluster_ips.p[i], svc);
	for (struct net_slice *slice = svc->headless ? svc->slices : NULL; slice; slice = slice->next) {
		for (size_t i = 0; i < slice->ep_n; i++) {
			if (slice->ep[i].ready)
				fn(dns, &slice->ep[i].ip, svc);
		}
	}
}

static struct dns_ns *namespace_of(struct cor_dns *dns, struct cor_str name) {
	struct dns_ns *ns = cor_map_get(&dns->namespaces, name);
	if (!ns) {
		ns = cor_new(struct dns_ns);
		cor_map_put(&dns->namespaces, name, ns);
	}
	return ns;
}

static void drop_unused(struct cor_dns *dns, struct cor_str name) {
	struct dns_ns *ns = cor_map_get(&dns->namespaces, name);
	if (ns && !ns->fed && ns->services == 0)
		free(cor_map_remove(&dns->namespaces, name));
}

static void before_change(struct net_service *svc, void *arg) {
	struct cor_dns *dns = arg;
	for_reverse(dns, svc, reverse_remove);
	if (svc->exists)
		namespace_of(dns, net_service_ns(svc))->services--;
}

static void after_change(struct net_service *svc, void *arg) {
	struct cor_dns *dns = arg;
	for_reverse(dns, svc, reverse_add);
	if (svc->exists)
		namespace_of(dns, net_service_ns(svc))->services++;
	drop_unused(dns, net_service_ns(svc));
	dns->serial++;
}

static int set_zone(struct cor_dns *dns, const char *zone, struct cor_err *err) {
	uint8_t wire[DNS_NAME];
	dns->zone = cor_strdup(zone ? zone : "cluster.local");
	size_t n = strlen(dns->zone);
	if (n > 0 && dns->zone[n - 1] == '.')
		dns->zone[--n] = '\0';
	for (char *p = dns->zone; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	/* Room for the longest name of ours in front of it: _port._proto and three labels. */
	if (n == 0 || n > 100 || !dns_name_from_text(dns->zone, wire))
		return cor_fail(err, COR_E_INVALID, "\"%s\" cannot be the cluster's DNS domain", dns->zone);
	return 0;
}

int cor_dns_new(const struct cor_dns_config *config, struct cor_dns **ret, struct cor_err *err) {
	_cleanup_(cor_dns_freep) struct cor_dns *dns = cor_new(struct cor_dns);
	net_model_init(&dns->model, NULL);
	dns->model.before = before_change;
	dns->model.after = after_change;
	dns->model.arg = dns;
	dns->config = *config;
	dns->config.ttl = config->ttl ? config->ttl : 5;
	dns->serial = 1;
	int rc = set_zone(dns, config->zone, err);
	if (rc < 0)
		return rc;
	dns->config.zone = dns->zone;
	*ret = cor_take(dns);
	return 0;
}

void cor_dns_free(struct cor_dns *dns) {
	if (!dns)
		return;
	size_t it = 0;
	void *value;
	net_model_fini(&dns->model);
	while (cor_map_next(&dns->reverse, &it, NULL, &value)) {
		free(((struct dns_ref *)value)->p);
		free(value);
	}
	for (it = 0; cor_map_next(&dns->namespaces, &it, NULL, &value);)
		free(value);
	cor_map_fini(&dns->reverse);
	cor_map_fini(&dns->namespaces);
	free(dns->zone);
	free(dns);
}

void cor_dns_set_service(struct cor_dns *dns, const struct core_v1_Service *service) {
	net_model_set_service(&dns->model, service);
}

void cor_dns_del_service(struct cor_dns *dns, struct cor_str ns, struct cor_str name) {
	net_model_del_service(&dns->model, ns, name);
}

void cor_dns_set_slice(struct cor_dns *dns, const struct discovery_v1_EndpointSlice *slice) {
	net_model_set_slice(&dns->model, slice);
}

void cor_dns_del_slice(struct cor_dns *dns, struct cor_str ns, struct cor_str name) {
	net_model_del_slice(&dns->model, ns, name);
}

void cor_dns_set_namespace(struct cor_dns *dns, struct cor_str name) {
	namespace_of(dns, name)->fed = true;
	dns->namespaces_fed = true;
}

void cor_dns_del_namespace(struct cor_dns *dns, struct cor_str name) {
	struct dns_ns *ns = cor_map_get(&dns->namespaces, name);
	if (ns)
		ns->fed = false;
	drop_unused(dns, name);
}

void cor_dns_set_ready(struct cor_dns *dns, bool ready) {
	dns->ready = ready;
}

bool dns_namespace_exists(const struct cor_dns *dns, struct cor_str ns, bool of_pods) {
	return cor_map_get(&dns->namespaces, ns) != NULL || (of_pods && !dns->namespaces_fed);
}
