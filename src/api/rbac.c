// SPDX-License-Identifier: Apache-2.0
// RBAC: the rules of all roles that are bound to a user, and whether one of them covers what is asked
// (facts/identity-admission.md 8.1). Roles and bindings are read from the store as they are: there
// are few, and what they say changes at once.
#include "api/auth.h"

#include "base/arena.h"
#include "gen/rbac_v1.h"

struct search {
	struct cor_registry *r;
	const struct cor_user *u;
	struct cor_str ns;              /* of the request; "" = cluster scope */
	struct cor_arena *a;
	bool (*fn)(void *arg, const struct rbac_v1_PolicyRule *rule);
	void *arg;
	bool stopped;
};

static bool is_subject(const struct search *s, const rbac_v1_Subject *sub, struct cor_str binding_ns) {
	if (cor_str_eq_c(sub->kind, "User"))
		return cor_str_eq(sub->name, s->u->name);
	if (cor_str_eq_c(sub->kind, "Group")) {
		for (size_t i = 0; i < s->u->n_groups; i++)
			if (cor_str_eq(s->u->groups[i], sub->name))
				return true;
		return false;
	}
	struct cor_str ns, name;
	return cor_str_eq_c(sub->kind, "ServiceAccount") &&
		cor_parse_service_account(s->u->name, &ns, &name) && cor_str_eq(name, sub->name) &&
		cor_str_eq(ns, sub->namespace.n ? sub->namespace : binding_ns);
}

static const void *read_role(struct search *s, enum cor_res res, struct cor_str ns, struct cor_str name) {
	struct cor_obj *o = cor_store_get(cor_registry_store(s->r), (uint16_t)res, ns, name);
	return o ? cor_registry_read(s->r, o) : NULL;
}

static void visit_role(struct search *s, const rbac_v1_RoleRef *ref) {
	const rbac_v1_PolicyRule *rules = NULL;
	size_t n = 0;
	if (cor_str_eq_c(ref->kind, "ClusterRole")) {
		const rbac_v1_ClusterRole *c = read_role(s, COR_RES_CLUSTERROLES, COR_STR(""), ref->name);
		if (c) {
			rules = c->rules.p;
			n = c->rules.n;
		}
	} else {
		const rbac_v1_Role *o = read_role(s, COR_RES_ROLES, s->ns, ref->name);
		if (o) {
			rules = o->rules.p;
			n = o->rules.n;
		}
	}
	for (size_t i = 0; i < n && !s->stopped; i++)
		s->stopped = !s->fn(s->arg, &rules[i]);
}

static bool visit_binding(void *arg, struct cor_obj *o) {
	struct search *s = arg;
	const rbac_v1_RoleRef *ref = NULL;
	/* Both kinds of binding have subjects and a role under the same names. */
	if (o->res == COR_RES_CLUSTERROLEBINDINGS) {
		const rbac_v1_ClusterRoleBinding *b = cor_registry_read(s->r, o);
		for (size_t i = 0; b && i < b->subjects.n && !ref; i++)
			if (is_subject(s, &b->subjects.p[i], COR_STR("")))
				ref = &b->roleRef;
	} else {
		const rbac_v1_RoleBinding *b = cor_registry_read(s->r, o);
		for (size_t i = 0; b && i < b->subjects.n && !ref; i++)
			if (is_subject(s, &b->subjects.p[i], o->ns))
				ref = &b->roleRef;
	}
	if (ref)
		visit_role(s, ref);
	return !s->stopped;
}

void cor_rbac_each_rule(struct cor_registry *r, const struct cor_user *u, struct cor_str ns,
	struct cor_arena *a, bool (*fn)(void *arg, const struct rbac_v1_PolicyRule *rule), void *arg) {
	struct search s = { .r = r, .u = u, .ns = ns, .a = a, .fn = fn, .arg = arg };
	static const struct cor_str none;
	cor_store_each(cor_registry_store(r), COR_RES_CLUSTERROLEBINDINGS, none, none, none, visit_binding,
		&s);
	if (!s.stopped && ns.n)
		cor_store_each(cor_registry_store(r), COR_RES_ROLEBINDINGS, ns, none, none, visit_binding, &s);
}

/* ---- matching ---- */

#define ANY_OF(list, test) \
	({ \
		bool any_ = false; \
		for (size_t i_ = 0; i_ < (list).n && !any_; i_++) { \
			struct cor_str v = (list).p[i_]; \
			any_ = (test); \
		} \
		any_; \
	})

static bool is_star(struct cor_str s) {
	return s.n == 1 && *s.p == '*';
}

static bool covers_resource(struct cor_str rule, const struct cor_attributes *at) {
	if (is_star(rule))
		return true;
	struct cor_str rest = rule;
	struct cor_str plural = cor_str_cut(&rest, '/');
	if (!cor_str_eq(rest, at->subresource))
		return false;
	return cor_str_eq(plural, at->plural) || (at->subresource.n && is_star(plural));
}

static bool covers_path(struct cor_str rule, struct cor_str path) {
	if (rule.n && rule.p[rule.n - 1] == '*')
		return cor_str_starts(path, cor_str_sub(rule, 0, rule.n - 1));
	return cor_str_eq(rule, path);
}

static bool covers(const rbac_v1_PolicyRule *r, const struct cor_attributes *at) {
	if (!ANY_OF(r->verbs, is_star(v) || cor_str_eq(v, at->verb)))
		return false;
	if (!at->resource)
		return ANY_OF(r->nonResourceURLs, covers_path(v, at->path));
	return ANY_OF(r->apiGroups, is_star(v) || cor_str_eq(v, at->group)) &&
		ANY_OF(r->resources, covers_resource(v, at)) &&
		(r->resourceNames.n == 0 || ANY_OF(r->resourceNames, at->name.n && cor_str_eq(v, at->name)));
}

struct question {
	const struct cor_attributes *at;
	bool allowed;
};

static bool ask(void *arg, const struct rbac_v1_PolicyRule *rule) {
	struct question *qn = arg;
	qn->allowed = covers(rule, qn->at);
	return !qn->allowed;
}

bool cor_rbac_allows(struct cor_registry *r, const struct cor_user *u, const struct cor_attributes *at,
	struct cor_arena *a) {
	struct question qn = { .at = at };
	cor_rbac_each_rule(r, u, at->resource ? at->ns : COR_STR(""), a, ask, &qn);
	return qn.allowed;
}
