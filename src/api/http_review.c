// SPDX-License-Identifier: Apache-2.0
// Kinds that are questions: posted, answered, never stored. SubjectAccessReview and its relatives ask
// what somebody may do, TokenReview and SelfSubjectReview who somebody is.
#include "api/http_priv.h"

#include "gen/authentication_v1.h"
#include "gen/authorization_v1.h"
#include "gen/core_v1.h"
#include "gen/rbac_v1.h"

static void reply(struct api_req *q, void *obj) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_obj_set_typemeta(q->res->type, obj, q->arena);
	(void)cor_json_encode(q->res->type, obj, &b);
	api_reply_json(q, 201, q->res->type, cor_buf_view(&b));
}

static void user_info(const struct cor_user *u, authentication_v1_UserInfo *ret) {
	ret->username = u->name;
	ret->uid = u->uid;
	ret->groups.p = (struct cor_str *)(uintptr_t)u->groups;
	ret->groups.n = u->n_groups;
}

/* ---- who ---- */

static void self_review(struct api_req *q, void *obj) {
	authentication_v1_SelfSubjectReview *r = obj;
	user_info(&q->user, &r->status.userInfo);
	reply(q, r);
}

static void token_review(struct api_req *q, void *obj) {
	authentication_v1_TokenReview *r = obj;
	struct cor_strlist want = { r->spec.audiences.p, r->spec.audiences.n }, got = { 0 };
	struct cor_user *u = cor_arena_new_of(q->arena, struct cor_user);
	struct cor_err err;
	if (!r->spec.token.n) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "token is required for TokenReview in authentication");
		return;
	}
	r->status = (authentication_v1_TokenReviewStatus){ 0 };
	if (u && cor_authenticate_token(&q->api->tokens, r->spec.token, &want, q->arena, u, &got,
		&err) >= 0) {
		r->status.authenticated = true;
		user_info(u, &r->status.user);
		r->status.audiences.p = got.p;
		r->status.audiences.n = got.n;
	} else {
		r->status.error = COR_STR("invalid bearer token");
	}
	reply(q, r);
}

/* ---- what ---- */

static bool judge(struct api_req *q, const struct cor_user *u,
	const authorization_v1_ResourceAttributes *res, const authorization_v1_NonResourceAttributes *path,
	authorization_v1_SubjectAccessReviewStatus *ret) {
	struct cor_field_errors e = COR_FIELD_ERRORS_INIT(q->arena);
	struct cor_attributes at = { 0 };
	if (!res == !path) {
		cor_fe_invalid(&e, COR_ROOT("spec"), cor_fv_null(), res
			? "cannot be specified in combination with resourceAttributes"
			: "exactly one of nonResourceAttributes or resourceAttributes must be specified");
		struct cor_err err;
		(void)!cor_field_errors_fail(&e, cor_str_c(q->res->group), cor_str_c(q->res->kind),
			COR_STR(""), &err);
		api_fail(q, &err);
		return false;
	}
	if (res)
		at = (struct cor_attributes){
			.resource = true, .verb = res->verb, .group = res->group, .version = res->version,
			.plural = res->resource, .subresource = res->subresource, .name = res->name,
			.ns = res->namespace,
		};
	else
		at = (struct cor_attributes){ .verb = path->verb, .path = path->path };
	*ret = (authorization_v1_SubjectAccessReviewStatus){ 0 };
	ret->allowed = cor_authorize(q->api->registry, u, &at, q->arena, &ret->reason);
	return true;
}

static void self_access(struct api_req *q, void *obj) {
	authorization_v1_SelfSubjectAccessReview *r = obj;
	if (judge(q, &q->user, r->spec.resourceAttributes, r->spec.nonResourceAttributes, &r->status))
		reply(q, r);
}

static bool spec_user(struct api_req *q, const authorization_v1_SubjectAccessReviewSpec *s,
	struct cor_user *ret) {
	if (!s->user.n && !s->groups.n) {
		api_fail_status(q, COR_REASON_INVALID, "%s.%s \"\" is invalid: spec.user: Invalid value: \"\": "
			"at least one of user or group must be specified", q->res->kind, q->res->group);
		return false;
	}
	*ret = (struct cor_user){
		.name = s->user, .uid = s->uid, .groups = s->groups.p, .n_groups = s->groups.n,
	};
	return true;
}

static void subject_access(struct api_req *q, void *obj) {
	authorization_v1_SubjectAccessReview *r = obj;
	struct cor_user u;
	if (spec_user(q, &r->spec, &u) &&
		judge(q, &u, r->spec.resourceAttributes, r->spec.nonResourceAttributes, &r->status))
		reply(q, r);
}

static void local_access(struct api_req *q, void *obj) {
	authorization_v1_LocalSubjectAccessReview *r = obj;
	struct cor_user u;
	if (r->spec.resourceAttributes &&
		!cor_str_eq(r->spec.resourceAttributes->namespace, q->info.ns)) {
		api_fail_status(q, COR_REASON_INVALID, "%s.%s \"\" is invalid: spec.resourceAttributes.namespace:"
			" Invalid value: \"%.*s\": must match metadata.namespace", q->res->kind, q->res->group,
			COR_STR_ARG(r->spec.resourceAttributes->namespace));
		return;
	}
	if (spec_user(q, &r->spec, &u) &&
		judge(q, &u, r->spec.resourceAttributes, r->spec.nonResourceAttributes, &r->status))
		reply(q, r);
}

struct rules {
	struct cor_arena *a;
	authorization_v1_SubjectRulesReviewStatus *status;
};

static bool add_rule(void *arg, const struct rbac_v1_PolicyRule *rule) {
	struct rules *r = arg;
	if (rule->nonResourceURLs.n) {
		authorization_v1_NonResourceRule *to = cor_arena_push(r->a, &r->status->nonResourceRules);
		if (!to)
			return false;
		memcpy(&to->verbs, &rule->verbs, sizeof(to->verbs));
		memcpy(&to->nonResourceURLs, &rule->nonResourceURLs, sizeof(to->nonResourceURLs));
		return true;
	}
	authorization_v1_ResourceRule *to = cor_arena_push(r->a, &r->status->resourceRules);
	if (!to)
		return false;
	memcpy(&to->verbs, &rule->verbs, sizeof(to->verbs));
	memcpy(&to->apiGroups, &rule->apiGroups, sizeof(to->apiGroups));
	memcpy(&to->resources, &rule->resources, sizeof(to->resources));
	memcpy(&to->resourceNames, &rule->resourceNames, sizeof(to->resourceNames));
	return true;
}

static void self_rules(struct api_req *q, void *obj) {
	authorization_v1_SelfSubjectRulesReview *r = obj;
	if (!r->spec.namespace.n) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "no namespace on request");
		return;
	}
	r->status = (authorization_v1_SubjectRulesReviewStatus){ 0 };
	struct rules rules = { q->arena, &r->status };
	cor_rbac_each_rule(q->api->registry, &q->user, r->spec.namespace, q->arena, add_rule, &rules);
	reply(q, r);
}

/* POST bindings is POST pods/NAME/binding with the name in the body. */
static void binding(struct api_req *q, void *obj) {
	const core_v1_Binding *b = obj;
	q->info.name = b->metadata.name;
	q->res = &cor_resources[COR_RES_PODS];
	q->info.subresource = COR_STR("binding");
	q->sub = cor_resource_sub(q->res, q->info.subresource);
	api_write(q);
}

static const struct {
	enum cor_res res;
	void (*run)(struct api_req *q, void *obj);
} reviews[] = {
	{ COR_RES_SELFSUBJECTREVIEWS, self_review },
	{ COR_RES_TOKENREVIEWS, token_review },
	{ COR_RES_SELFSUBJECTACCESSREVIEWS, self_access },
	{ COR_RES_SUBJECTACCESSREVIEWS, subject_access },
	{ COR_RES_LOCALSUBJECTACCESSREVIEWS, local_access },
	{ COR_RES_SELFSUBJECTRULESREVIEWS, self_rules },
	{ COR_RES_BINDINGS, binding },
};

void api_review(struct api_req *q) {
	struct cor_strlist found = { 0 };
	struct cor_err err;
	void *obj;
	if (api_decode_body(q, q->res->type, q->arena, false, &obj, &found, &err) < 0) {
		api_fail(q, &err);
		return;
	}
	for (size_t i = 0; i < cor_countof(reviews); i++) {
		if ((int)reviews[i].res == q->res->id) {
			reviews[i].run(q, obj);
			return;
		}
	}
	api_fail_status(q, COR_REASON_METHOD_NOT_ALLOWED,
		"the server does not allow this method on the requested resource");
}
