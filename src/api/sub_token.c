// SPDX-License-Identifier: Apache-2.0
// serviceaccounts/token: a TokenRequest is answered with a signed token of the account
// (facts/identity-admission.md 3.1 and 3.2). Nothing is stored: a token lives until it expires or the
// account, or the object it is bound to, is gone.
#include "api/auth.h"
#include "api/subresources.h"
#include "gen/authentication_v1.h"
#include "gen/core_v1.h"
#include "net/pki.h"

#include <inttypes.h>

enum { DEFAULT_SECONDS = 3600, LEAST_SECONDS = 600, EXTENDED_FROM = 3607, EXTENDED_TO = 31536000 };

struct token {
	authentication_v1_TokenRequest *req;
	int64_t seconds, real_seconds;
	struct cor_str pod_name, pod_uid, secret_name, secret_uid, node_name, node_uid;
};

static int invalid(struct op_run *x, const char *field, struct cor_str value, const char *text) {
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	cor_fe_invalid(&errs, COR_ROOT(field), cor_fv_str(&errs, value), "%s", text);
	return cor_op_invalid(x, &errs, "TokenRequest", "authentication.k8s.io");
}

static int step_load(struct op_run *x) {
	int status;
	struct cor_op *op = x->op;
	authentication_v1_TokenRequest *req = op->obj;
	op->http = 201;
	if (!x->r->tokens || !x->r->tokens->key)
		return cor_fail_status(&op->err, COR_REASON_SERVICE_UNAVAILABLE, "this server signs no tokens");
	if (!req)
		return cor_op_bad_request(x, "a TokenRequest is required");
	if (!cor_op_load(x, &status))
		return cor_op_not_found(x);
	if (status < 0)
		return status;
	if (req->metadata.name.n && !cor_str_eq(req->metadata.name, op->name))
		return invalid(x, "metadata.name", req->metadata.name,
			"must match the service account name if specified");
	if (req->metadata.namespace.n && !cor_str_eq(req->metadata.namespace, op->ns))
		return invalid(x, "metadata.namespace", req->metadata.namespace,
			"must match the service account namespace if specified");
	const meta_v1_ObjectMeta *sa = cor_op_old_meta(x);
	if (req->metadata.uid.n && !cor_str_eq(req->metadata.uid, sa->uid))
		return cor_op_conflict(x, "the UID in the token request (%.*s) does not match the UID of the "
			"service account (%.*s)", COR_STR_ARG(req->metadata.uid), COR_STR_ARG(sa->uid));
	struct token *t = cor_arena_new_of(op->arena, struct token);
	if (!t)
		return cor_fail(&op->err, COR_E_LIMIT, "the request is too large");
	t->req = req;
	x->more = t;
	return OP_NEXT;
}

static int step_times(struct op_run *x) {
	struct token *t = x->more;
	int64_t *asked = t->req->spec.expirationSeconds;
	t->seconds = asked ? *asked : DEFAULT_SECONDS;
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	const struct cor_fpath *path = COR_ROOT("spec.expirationSeconds");
	if (t->seconds < LEAST_SECONDS)
		cor_fe_invalid(&errs, path, cor_fv_int(&errs, t->seconds),
			"may not specify a duration less than 10 minutes");
	else if (t->seconds > INT64_C(1) << 32)
		cor_fe_invalid(&errs, path, cor_fv_int(&errs, t->seconds),
			"may not specify a duration larger than 2^32 seconds");
	t->real_seconds = t->seconds;
	return cor_op_invalid(x, &errs, "TokenRequest", "authentication.k8s.io");
}

static int check_uid(struct op_run *x, struct cor_str asked, struct cor_str have) {
	if (asked.n == 0 || cor_str_eq(asked, have))
		return 0;
	return cor_op_conflict(x, "the UID in the bound object reference (%.*s) does not match the UID in "
		"record. The object might have been deleted and then recreated", COR_STR_ARG(asked));
}

static int missing(struct op_run *x, const char *plural, struct cor_str name) {
	x->op->details_kind = plural;
	return cor_fail_status(&x->op->err, COR_REASON_NOT_FOUND, "%s \"%.*s\" not found", plural,
		COR_STR_ARG(name));
}

static int bind_pod(struct op_run *x, struct token *t, const authentication_v1_BoundObjectReference *ref) {
	struct cor_arena *a = x->op->arena;
	const core_v1_Pod *pod = cor_registry_get(x->r, COR_RES_PODS, x->op->ns, ref->name, a);
	if (!pod)
		return missing(x, "pods", ref->name);
	if (!cor_str_eq(pod->spec.serviceAccountName, x->op->name))
		return cor_op_bad_request(x, "cannot bind token for serviceaccount \"%.*s\" to pod running with "
			"different serviceaccount name.", COR_STR_ARG(x->op->name));
	t->pod_name = pod->metadata.name;
	t->pod_uid = pod->metadata.uid;
	t->node_name = pod->spec.nodeName;
	const struct cor_obj *node = t->node_name.n
		? cor_store_get(x->r->store, COR_RES_NODES, COR_STR(""), t->node_name) : NULL;
	if (node)
		t->node_uid = cor_arena_str(a, node->uid);
	if (t->seconds == EXTENDED_FROM && t->req->spec.audiences.n == 0)
		t->real_seconds = EXTENDED_TO;
	return check_uid(x, ref->uid, t->pod_uid);
}

static int step_bind(struct op_run *x) {
	struct token *t = x->more;
	const authentication_v1_BoundObjectReference *ref = t->req->spec.boundObjectRef;
	if (!ref)
		return OP_NEXT;
	if (cor_str_eq_c(ref->kind, "Pod"))
		return bind_pod(x, t, ref);
	bool secret = cor_str_eq_c(ref->kind, "Secret");
	if (!secret && !cor_str_eq_c(ref->kind, "Node"))
		return cor_op_bad_request(x, "cannot bind token to object of type %.*s", COR_STR_ARG(ref->kind));
	const struct cor_obj *o = cor_store_get(x->r->store, secret ? COR_RES_SECRETS : COR_RES_NODES,
		secret ? x->op->ns : COR_STR(""), ref->name);
	if (!o)
		return missing(x, secret ? "secrets" : "nodes", ref->name);
	*(secret ? &t->secret_name : &t->node_name) = ref->name;
	*(secret ? &t->secret_uid : &t->node_uid) = cor_arena_str(x->op->arena, o->uid);
	return check_uid(x, ref->uid, o->uid);
}

static void write_ref(struct cor_buf *b, const char *kind, struct cor_str name, struct cor_str uid) {
	if (!name.n)
		return;
	cor_buf_printf(b, ",\"%s\":{\"name\":", kind);
	cor_json_write_str(b, name);
	if (uid.n) {
		cor_buf_c(b, ",\"uid\":");
		cor_json_write_str(b, uid);
	}
	cor_buf_byte(b, '}');
}

static void write_claims(struct op_run *x, const struct token *t, struct cor_buf *b) {
	const struct cor_tokens *k = x->r->tokens;
	int64_t now = x->ctx.now / COR_SECOND;
	char jti[37];
	cor_random_uid(x->r->world, jti);
	cor_buf_c(b, "{\"aud\":[");
	for (size_t i = 0; i < t->req->spec.audiences.n; i++) {
		if (i)
			cor_buf_byte(b, ',');
		cor_json_write_str(b, t->req->spec.audiences.p[i]);
	}
	cor_buf_printf(b, "],\"exp\":%" PRId64 ",\"iat\":%" PRId64 ",\"iss\":", now + t->real_seconds, now);
	cor_json_write_str(b, k->issuer);
	cor_buf_printf(b, ",\"jti\":\"%s\",\"kubernetes.io\":{\"namespace\":", jti);
	cor_json_write_str(b, x->op->ns);
	write_ref(b, "node", t->node_name, t->node_uid);
	write_ref(b, "pod", t->pod_name, t->pod_uid);
	write_ref(b, "secret", t->secret_name, t->secret_uid);
	write_ref(b, "serviceaccount", x->op->name, cor_op_old_meta(x)->uid);
	if (t->real_seconds != t->seconds)
		cor_buf_printf(b, ",\"warnafter\":%" PRId64, now + t->seconds);
	cor_buf_printf(b, "},\"nbf\":%" PRId64 ",\"sub\":\"system:serviceaccount:%.*s:%.*s\"}", now,
		COR_STR_ARG(x->op->ns), COR_STR_ARG(x->op->name));
}

static int step_sign(struct op_run *x) {
	struct token *t = x->more;
	authentication_v1_TokenRequest *req = t->req;
	struct cor_arena *a = x->op->arena;
	const meta_v1_ObjectMeta *sa = cor_op_old_meta(x);
	if (req->spec.audiences.n == 0) {
		struct cor_str *aud = cor_arena_push(a, &req->spec.audiences);
		if (aud)
			*aud = x->r->tokens->issuer;
	}
	_cleanup_buf_ struct cor_buf claims = COR_BUF_INIT, token = COR_BUF_INIT;
	write_claims(x, t, &claims);
	if (cor_jwt_sign(x->r->tokens->key, cor_buf_view(&claims), &token, &x->op->err) < 0)
		return x->op->err.code;
	req->metadata = (meta_v1_ObjectMeta){
		.name = sa->name, .namespace = sa->namespace, .uid = sa->uid,
		.creationTimestamp = x->ctx.now - x->ctx.now % COR_SECOND,
	};
	req->spec.expirationSeconds = cor_arena_new_of(a, int64_t);
	if (req->spec.expirationSeconds)
		*req->spec.expirationSeconds = t->seconds;
	cor_time expires = x->ctx.now + t->seconds * COR_SECOND;
	req->status = (authentication_v1_TokenRequestStatus){
		.token = cor_arena_str(a, cor_buf_view(&token)),
		.expirationTimestamp = expires - expires % COR_SECOND,
	};
	cor_obj_set_typemeta(&cor_type_authentication_v1_TokenRequest, req, a);
	return cor_op_answer_object(x, &cor_type_authentication_v1_TokenRequest, req);
}

const op_step cor_sub_token_steps[] = { step_load, step_times, step_bind, step_sign, NULL };
