// SPDX-License-Identifier: Apache-2.0
// Who a request comes from, and whether that user may do what it asks: client certificates and
// service-account tokens; the built-in rules and RBAC. Facts: identity-admission.md 2, 4, 9, 10.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/kind.h"
#include "api/registry.h"
#include "api/request.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "net/http.h"

struct cor_jwt_key;

/* The signer of service-account tokens. */
struct cor_tokens {
	struct cor_world *world;
	struct cor_registry *registry;
	struct cor_jwt_key *key;        /* NULL: no tokens are made and none is accepted */
	struct cor_str issuer;
};

/* Fills *ret, in a. Without any credential it is system:anonymous; a bad one is COR_E_UNAUTHORIZED. */
[[nodiscard]] int cor_authenticate(const struct cor_tokens *t, const struct cor_http_req *req,
	struct cor_arena *a, struct cor_user *ret, struct cor_err *err);
/* The user of a token, for TokenReview and bearer tokens; *ret_audiences: its audiences that are in
 * want (NULL: those of the API). */
[[nodiscard]] int cor_authenticate_token(const struct cor_tokens *t, struct cor_str token,
	const struct cor_strlist *want, struct cor_arena *a, struct cor_user *ret,
	struct cor_strlist *ret_audiences, struct cor_err *err);
/* "system:serviceaccount:NS:NAME" */
bool cor_parse_service_account(struct cor_str user, struct cor_str *ret_ns, struct cor_str *ret_name);
/* The user that somebody acts as, with the groups that follow from name and groups. */
void cor_user_impersonated(struct cor_arena *a, struct cor_str name, const struct cor_str *groups,
	size_t n_groups, struct cor_user *ret);
bool cor_user_in_group(const struct cor_user *u, const char *group);

/* What somebody wants to do. */
struct cor_attributes {
	bool resource;
	struct cor_str verb, group, version, plural, subresource, name, ns;
	struct cor_str path;
	struct cor_str field_selector;  /* as text, of lists and watches; or absent */
};

/* *ret_reason, in a: why, when it is known; else "". */
bool cor_authorize(struct cor_registry *r, const struct cor_user *u, const struct cor_attributes *at,
	struct cor_arena *a, struct cor_str *ret_reason);

/* Every rule that RBAC gives u in a namespace: for SelfSubjectRulesReview. fn may be called with the same
 * rule twice. */
struct rbac_v1_PolicyRule;
void cor_rbac_each_rule(struct cor_registry *r, const struct cor_user *u, struct cor_str ns,
	struct cor_arena *a, bool (*fn)(void *arg, const struct rbac_v1_PolicyRule *rule), void *arg);
/* Allowed by a rule of RBAC. */
bool cor_rbac_allows(struct cor_registry *r, const struct cor_user *u, const struct cor_attributes *at,
	struct cor_arena *a);
