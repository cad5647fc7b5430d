// SPDX-License-Identifier: Apache-2.0
// Authentication: the client certificate that TLS verified, or a bearer token of a service account,
// whose account (and pod, when it is bound to one) must still exist.
#include "api/auth.h"

#include <strings.h>

#include "codec/tree.h"
#include "gen/core_v1.h"
#include "net/pki.h"

static const cor_time LEEWAY = COR_MINUTE;

bool cor_user_in_group(const struct cor_user *u, const char *group) {
	for (size_t i = 0; i < u->n_groups; i++)
		if (cor_str_eq_c(u->groups[i], group))
			return true;
	return false;
}

bool cor_parse_service_account(struct cor_str user, struct cor_str *ret_ns, struct cor_str *ret_name) {
	static const struct cor_str prefix = COR_STR_INIT("system:serviceaccount:");
	if (!cor_str_starts(user, prefix))
		return false;
	struct cor_str rest = cor_str_sub(user, prefix.n, user.n);
	*ret_ns = cor_str_cut(&rest, ':');
	*ret_name = rest;
	return rest.p && rest.n && ret_ns->n && cor_str_chr(rest, ':') == rest.n;
}

/* groups plus the ones that follow; room for three. */
static void set_groups(struct cor_arena *a, const struct cor_str *groups, size_t n, struct cor_user *u) {
	struct cor_str *p = cor_arena_array(a, struct cor_str, n + 3);
	if (!p)
		return;
	if (n)
		memcpy(p, groups, n * sizeof(*p));
	u->groups = p;
	u->n_groups = n;
}

static void add_group(struct cor_user *u, struct cor_str group) {
	bool member = false;
	for (size_t i = 0; i < u->n_groups; i++)
		member = member || cor_str_eq(u->groups[i], group);
	if (u->groups && !member)
		((struct cor_str *)(uintptr_t)u->groups)[u->n_groups++] = group;
}

static void add_account_groups(struct cor_arena *a, struct cor_str ns, struct cor_user *u) {
	add_group(u, COR_STR("system:serviceaccounts"));
	struct cor_str group = cor_arena_printf(a, "system:serviceaccounts:%.*s", COR_STR_ARG(ns));
	if (group.p)
		add_group(u, group);
}

void cor_user_impersonated(struct cor_arena *a, struct cor_str name, const struct cor_str *groups,
	size_t n_groups, struct cor_user *ret) {
	struct cor_str ns, account;
	*ret = (struct cor_user){ .name = name };
	struct cor_str *copies = cor_arena_array(a, struct cor_str, n_groups);
	for (size_t i = 0; copies && i < n_groups; i++) {
		char *c = cor_arena_cstr(a, groups[i]);
		copies[i] = cor_str_c(c);
	}
	set_groups(a, copies, copies ? n_groups : 0, ret);
	if (n_groups == 0 && cor_parse_service_account(name, &ns, &account))
		add_account_groups(a, ns, ret);
	if (cor_str_eq_c(name, "system:anonymous"))
		add_group(ret, COR_STR("system:unauthenticated"));
	else if (!cor_user_in_group(ret, "system:unauthenticated"))
		add_group(ret, COR_STR("system:authenticated"));
}

/* ---- tokens ---- */

static int refuse(struct cor_err *err, const char *why) {
	(void)why;      /* the client learns nothing about what is wrong with its credential */
	return cor_fail_status(err, COR_REASON_UNAUTHORIZED, "Unauthorized");
}

static bool same_uid(struct cor_registry *r, enum cor_res res, struct cor_str ns, struct cor_str name,
	struct cor_str uid) {
	const struct cor_obj *o = cor_store_get(cor_registry_store(r), (uint16_t)res, ns, name);
	return o && cor_str_eq(o->uid, uid);
}

/* The objects the token speaks for and is bound to are there. */
static bool alive(const struct cor_tokens *t, const struct cor_node *k8s, struct cor_str *ret_ns,
	struct cor_str *ret_name, struct cor_str *ret_uid) {
	static const struct { const char *name, *uid; enum cor_res res; } bound[] = {
		{ "pod.name", "pod.uid", COR_RES_PODS },
		{ "secret.name", "secret.uid", COR_RES_SECRETS },
	};
	struct cor_str ns = cor_node_path_str(k8s, "namespace");
	struct cor_str name = cor_node_path_str(k8s, "serviceaccount.name");
	struct cor_str uid = cor_node_path_str(k8s, "serviceaccount.uid");
	if (!ns.n || !name.n || !same_uid(t->registry, COR_RES_SERVICEACCOUNTS, ns, name, uid))
		return false;
	for (size_t i = 0; i < cor_countof(bound); i++) {
		struct cor_str b = cor_node_path_str(k8s, bound[i].name);
		if (b.n && !same_uid(t->registry, bound[i].res, ns, b, cor_node_path_str(k8s, bound[i].uid)))
			return false;
	}
	*ret_ns = ns;
	*ret_name = name;
	*ret_uid = uid;
	return true;
}

static bool in_time(const struct cor_tokens *t, const struct cor_node *claims) {
	int64_t exp = 0, nbf = 0, now = cor_now(t->world) / COR_SECOND;
	int64_t leeway = LEEWAY / COR_SECOND;
	if (!cor_node_path_int(claims, "exp", &exp) || exp + leeway < now)
		return false;
	return !cor_node_path_int(claims, "nbf", &nbf) || nbf <= now + leeway;
}

/* The token's audiences that are wanted. */
static void match_audiences(const struct cor_tokens *t, const struct cor_node *claims,
	const struct cor_strlist *want, struct cor_arena *a, struct cor_strlist *ret) {
	struct cor_str issuer[] = { t->issuer };
	struct cor_strlist api = { issuer, 1 };
	const struct cor_node *aud = cor_node_get_c(claims, "aud");
	if (!want || want->n == 0)
		want = &api;
	for (size_t i = 0; cor_node_is(aud, COR_NODE_ARRAY) && i < aud->items.n; i++) {
		for (size_t j = 0; j < want->n; j++) {
			if (!cor_node_is(aud->items.p[i], COR_NODE_STRING) ||
				!cor_str_eq(aud->items.p[i]->text, want->p[j]))
				continue;
			struct cor_str *s = cor_arena_push(a, ret);
			if (s)
				*s = cor_arena_str(a, want->p[j]);
		}
	}
}

int cor_authenticate_token(const struct cor_tokens *t, struct cor_str token,
	const struct cor_strlist *want, struct cor_arena *a, struct cor_user *ret,
	struct cor_strlist *ret_audiences, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	struct cor_jwt_key *keys[] = { t->key };
	struct cor_strlist audiences = { 0 };
	struct cor_str ns, name, uid;
	if (!t->key || cor_jwt_verify(keys, 1, token, &text, err) < 0)
		return refuse(err, "signature");
	const struct cor_node *claims = cor_node_parse(a, cor_buf_view(&text), NULL, err);
	if (!claims || !cor_str_eq(cor_node_path_str(claims, "iss"), t->issuer) || !in_time(t, claims))
		return refuse(err, "claims");
	match_audiences(t, claims, want, a, &audiences);
	if (audiences.n == 0)
		return refuse(err, "audience");
	/* Not by path: the key has a dot. */
	if (!alive(t, cor_node_get_c(claims, "kubernetes.io"), &ns, &name, &uid))
		return refuse(err, "account");
	*ret = (struct cor_user){
		.name = cor_arena_printf(a, "system:serviceaccount:%.*s:%.*s", COR_STR_ARG(ns),
			COR_STR_ARG(name)),
		.uid = uid,
	};
	set_groups(a, NULL, 0, ret);
	add_account_groups(a, ns, ret);
	add_group(ret, COR_STR("system:authenticated"));
	if (ret_audiences)
		*ret_audiences = audiences;
	return 0;
}

/* ---- requests ---- */

static bool token_of(const struct cor_http_req *req, struct cor_str *ret) {
	const struct cor_str *h = cor_http_header(req, "authorization");
	if (!h)
		return false;
	struct cor_str rest = cor_str_trim(*h);
	struct cor_str scheme = cor_str_cut(&rest, ' ');
	if (scheme.n != 6 || strncasecmp(scheme.p, "bearer", 6) != 0 || !rest.p)
		return false;
	*ret = cor_str_trim(rest);
	return ret->n > 0;
}

/* An element of the WebSocket's subprotocols that is a token (facts/identity-admission.md 2.3). */
static bool websocket_token(const struct cor_http_req *req, struct cor_arena *a, struct cor_str *ret) {
	static const struct cor_str prefix = COR_STR_INIT("base64url.bearer.authorization.k8s.io.");
	const struct cor_str *h = cor_http_header(req, "sec-websocket-protocol");
	struct cor_str rest = h ? *h : (struct cor_str){ 0 };
	while (rest.p) {
		struct cor_str one = cor_str_trim(cor_str_cut(&rest, ','));
		_cleanup_buf_ struct cor_buf raw = COR_BUF_INIT;
		if (!cor_str_starts(one, prefix))
			continue;
		if (!cor_base64url_decode(&raw, cor_str_sub(one, prefix.n, one.n)))
			return false;
		*ret = cor_arena_str(a, cor_buf_view(&raw));
		return true;
	}
	return false;
}

int cor_authenticate(const struct cor_tokens *t, const struct cor_http_req *req, struct cor_arena *a,
	struct cor_user *ret, struct cor_err *err) {
	struct cor_str token;
	if (req->peer.cn.n) {
		*ret = (struct cor_user){ .name = req->peer.cn };
		set_groups(a, req->peer.orgs, req->peer.n_orgs, ret);
		add_group(ret, COR_STR("system:authenticated"));
		return 0;
	}
	if (token_of(req, &token) || websocket_token(req, a, &token))
		return cor_authenticate_token(t, token, NULL, a, ret, NULL, err);
	if (req->peer.stranger)
		return refuse(err, "certificate");
	*ret = (struct cor_user){ .name = COR_STR("system:anonymous") };
	set_groups(a, NULL, 0, ret);
	add_group(ret, COR_STR("system:unauthenticated"));
	return 0;
}
