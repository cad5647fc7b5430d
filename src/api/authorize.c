// SPDX-License-Identifier: Apache-2.0
// Authorisation: the group system:masters may do everything; a node may do what its agent needs; fixed
// rules serve the parts of the cluster itself; everybody else is judged by RBAC (rbac.c).
#include "api/auth.h"

/* Open to those who did not say who they are. */
static const char *const public_paths[] = { "/healthz", "/livez", "/readyz", "/version" };
/* Open to everybody who did. */
static const char *const known_paths[] = { "/api", "/apis", "/openapi", "/version", "/healthz",
	"/livez", "/readyz", "/.well-known", "/openid" };

static bool path_in(struct cor_str path, const char *const *list, size_t n) {
	for (size_t i = 0; i < n; i++) {
		struct cor_str p = cor_str_c(list[i]);
		if (cor_str_starts(path, p) && (path.n == p.n || path.p[p.n] == '/'))
			return true;
	}
	return false;
}

/* A rule of a fixed part: who, verbs (separated by blanks), group, resource[/sub]. */
struct fixed_rule {
	const char *verbs, *group, *resource;
};

/* What the node agent does (facts/identity-admission.md 10.1). Reads are not narrowed to what the
 * node's pods refer to yet: one machine has all pods. */
static const struct fixed_rule node_rules[] = {
	{ "get list watch", "", "pods" }, { "create delete", "", "pods" },
	{ "update patch get", "", "pods/status" }, { "create", "", "pods/eviction" },
	{ "get list watch create update patch", "", "nodes" }, { "update patch get", "", "nodes/status" },
	{ "get list watch", "", "secrets" }, { "get list watch", "", "configmaps" },
	{ "get list watch", "", "persistentvolumeclaims" }, { "get list watch patch", "", "persistentvolumes" },        /* its finalizer, when the data is gone */
	{ "update patch get", "", "persistentvolumeclaims/status" },
	{ "get", "", "serviceaccounts" }, { "create", "", "serviceaccounts/token" },
	{ "get list watch", "", "services" }, { "get list watch", "", "endpoints" },
	{ "get list watch", "", "namespaces" },
	{ "create update patch", "", "events" }, { "create update patch", "events.k8s.io", "events" },
	{ "get create update patch delete", "coordination.k8s.io", "leases" },
	{ "get list watch", "discovery.k8s.io", "endpointslices" },
	{ "get list watch", "networking.k8s.io", "networkpolicies" },
	{ "get list watch", "node.k8s.io", "runtimeclasses" },
	{ "get list watch", "storage.k8s.io", "storageclasses" },
	{ "get create update patch delete", "storage.k8s.io", "csinodes" },
	{ "get list watch", "storage.k8s.io", "csidrivers" },
	{ "create", "authentication.k8s.io", "tokenreviews" },
	{ "create", "authorization.k8s.io", "subjectaccessreviews" },
	{ "create get list watch", "certificates.k8s.io", "certificatesigningrequests" },
};

static const struct fixed_rule dns_rules[] = {
	{ "get list watch", "", "services" }, { "get list watch", "", "endpoints" },
	{ "get list watch", "", "pods" }, { "get list watch", "", "namespaces" },
	{ "get list watch", "", "nodes" }, { "get list watch", "discovery.k8s.io", "endpointslices" },
};

/* What everybody may ask about themselves. */
static const struct fixed_rule self_rules[] = {
	{ "create", "authorization.k8s.io", "selfsubjectaccessreviews" },
	{ "create", "authorization.k8s.io", "selfsubjectrulesreviews" },
	{ "create", "authentication.k8s.io", "selfsubjectreviews" },
};

static bool word_in(const char *words, struct cor_str word) {
	struct cor_str rest = cor_str_c(words);
	while (rest.p)
		if (cor_str_eq(cor_str_cut(&rest, ' '), word))
			return true;
	return false;
}

static bool fixed(const struct fixed_rule *rules, size_t n, const struct cor_attributes *at) {
	for (size_t i = 0; at->resource && i < n; i++) {
		struct cor_str rest = cor_str_c(rules[i].resource);
		struct cor_str plural = cor_str_cut(&rest, '/');
		if (word_in(rules[i].verbs, at->verb) && cor_str_eq_c(at->group, rules[i].group) &&
			cor_str_eq(plural, at->plural) && cor_str_eq(rest, at->subresource))
			return true;
	}
	return false;
}

static bool is_node(const struct cor_user *u) {
	return cor_user_in_group(u, "system:nodes") &&
		cor_str_starts(u->name, COR_STR("system:node:"));
}

/* A node writes its own Node and Lease only. */
static bool node_may(const struct cor_user *u, const struct cor_attributes *at, struct cor_str *reason) {
	struct cor_str self = cor_str_sub(u->name, sizeof("system:node:") - 1, u->name.n);
	bool own = cor_str_eq_c(at->plural, "nodes") || cor_str_eq_c(at->plural, "leases") ||
		cor_str_eq_c(at->plural, "csinodes");
	bool write = !word_in("get list watch create", at->verb);
	if (!fixed(node_rules, cor_countof(node_rules), at))
		return false;
	if (own && write && !cor_str_eq(at->name, self)) {
		*reason = COR_STR("a node may change only what carries its own name");
		return false;
	}
	return true;
}

bool cor_authorize(struct cor_registry *r, const struct cor_user *u, const struct cor_attributes *at,
	struct cor_arena *a, struct cor_str *ret_reason) {
	*ret_reason = COR_STR("");
	if (cor_user_in_group(u, "system:masters"))
		return true;
	bool get = cor_str_eq_c(at->verb, "get") || cor_str_eq_c(at->verb, "head");
	if (!at->resource && get && path_in(at->path, public_paths, cor_countof(public_paths)))
		return true;
	if (cor_user_in_group(u, "system:authenticated")) {
		if (!at->resource && get && path_in(at->path, known_paths, cor_countof(known_paths)))
			return true;
		if (fixed(self_rules, cor_countof(self_rules), at))
			return true;
	}
	if (is_node(u) && node_may(u, at, ret_reason))
		return true;
	if (cor_str_eq_c(u->name, "system:kube-dns") && fixed(dns_rules, cor_countof(dns_rules), at))
		return true;
	return cor_rbac_allows(r, u, at, a);
}
