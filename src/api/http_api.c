// SPDX-License-Identifier: Apache-2.0
// The way of a request: what it asks for, who asks, may they, and which handler answers. The order
// of the checks is that of Kubernetes' filter chain (facts/api-machinery.md 1.2 and 1.3).
#include "api/http_priv.h"

#include "api/openapi.h"
#include "net/tls.h"

struct cor_http_api *cor_http_api_new(const struct cor_http_api_config *c) {
	struct cor_http_api *api = cor_new(struct cor_http_api);
	api->registry = c->registry;
	api->store = cor_registry_store(c->registry);
	api->world = cor_registry_world(c->registry);
	api->loop = c->loop;
	api->tokens = c->tokens;
	api->tokens.registry = c->registry;
	api->tokens.world = api->world;
	api->ca_pem = c->ca_pem;
	api->kubelet_cert = c->kubelet_cert;
	api->kubelet_key = c->kubelet_key;
	c->registry->tokens = &api->tokens;
	return api;
}

void cor_http_api_free(struct cor_http_api *api) {
	if (!api)
		return;
	cor_assert(!api->watches);
	cor_tls_unref(api->kubelet_tls);
	api_kubelet_free(api);
	for (size_t i = 0; i < cor_countof(api->discovery); i++)
		free((char *)(uintptr_t)api->discovery[i].body.p);
	free(api);
}

void cor_http_api_drain(struct cor_http_api *api) {
	api->draining = true;
	api_watches_drain(api);
}

void cor_http_api_closed(void *arg, struct cor_http_req *req) {
	(void)arg;
	struct api_req *q = req->user;
	if (!q)
		return;
	if (q->closed)
		q->closed(q);
	api_count(q);
}

/* ---- who ---- */

static struct cor_attributes attributes(const struct api_req *q) {
	const struct cor_request_info *i = &q->info;
	return (struct cor_attributes){
		.resource = i->resource, .verb = i->verb, .group = i->group, .version = i->version,
		.plural = i->plural, .subresource = i->subresource, .name = i->name, .ns = i->ns,
		.path = i->path, .field_selector = cor_http_param(q->http, "fieldSelector"),
	};
}

static void escape_html(struct cor_buf *b, struct cor_str s) {
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '&' || c == '<' || c == '>')
			cor_buf_printf(b, c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;");
		else
			cor_buf_byte(b, c);
	}
}

static void fail_forbidden(struct api_req *q, const struct cor_attributes *at, struct cor_str reason) {
	_cleanup_buf_ struct cor_buf b = { .limit = 4096 };
	struct cor_err err;
	if (!at->resource) {
		cor_buf_printf(&b, "forbidden: User \"%.*s\" cannot %.*s path \"%.*s\"",
			COR_STR_ARG(q->user.name), COR_STR_ARG(at->verb), COR_STR_ARG(at->path));
	} else {
		cor_buf_printf(&b, "%.*s%s%.*s", COR_STR_ARG(at->plural), at->group.n ? "." : "",
			COR_STR_ARG(at->group));
		if (at->name.n)
			cor_buf_printf(&b, " \"%.*s\"", COR_STR_ARG(at->name));
		cor_buf_printf(&b, " is forbidden: User \"%.*s\" cannot %.*s resource \"%.*s%s%.*s\" in API "
			"group \"%.*s\" ", COR_STR_ARG(q->user.name), COR_STR_ARG(at->verb),
			COR_STR_ARG(at->plural), at->subresource.n ? "/" : "", COR_STR_ARG(at->subresource),
			COR_STR_ARG(at->group));
		if (at->ns.n)
			cor_buf_printf(&b, "in the namespace \"%.*s\"", COR_STR_ARG(at->ns));
		else
			cor_buf_c(&b, "at the cluster scope");
	}
	if (reason.n)
		cor_buf_printf(&b, ": %.*s", COR_STR_ARG(reason));
	_cleanup_buf_ struct cor_buf safe = COR_BUF_INIT;
	escape_html(&safe, cor_buf_view(&b));
	(void)!cor_fail_status(&err, COR_REASON_FORBIDDEN, "%.*s", (int)safe.n, safe.p);
	cor_http_set_header(q->http, "x-content-type-options", COR_STR("nosniff"));
	api_fail_with(q, &(struct api_failure){
		.err = &err, .name = at->name.p ? at->name : COR_STR(""),
		.details_kind = at->resource ? NULL : "",
	});
}

bool api_allowed(struct api_req *q, const struct cor_attributes *at) {
	struct cor_str reason = COR_STR("");
	if (cor_authorize(q->api->registry, &q->user, at, q->arena, &reason))
		return true;
	fail_forbidden(q, at, reason);
	return false;
}

/* Acting as somebody else (facts/identity-admission.md 6, the plain scheme). */
static bool impersonate(struct api_req *q) {
	const struct cor_str *name = cor_http_header(q->http, "impersonate-user");
	struct { struct cor_str *p; size_t n; } groups = { 0 };
	for (size_t i = 0; i < q->http->n_headers; i++) {
		if (!cor_str_eq_c(q->http->headers[i].name, "impersonate-group"))
			continue;
		struct cor_str *g = cor_arena_push(q->arena, &groups);
		if (g)
			*g = q->http->headers[i].value;
	}
	if (!name || name->n == 0) {
		if (groups.n == 0)
			return true;
		api_fail_status(q, COR_REASON_BAD_REQUEST,
			"requested groups without impersonating a user name");
		return false;
	}
	struct cor_str sa_ns, sa_name;
	bool sa = cor_parse_service_account(*name, &sa_ns, &sa_name);
	struct cor_attributes at = {
		.resource = true, .verb = COR_STR("impersonate"), .group = COR_STR(""), .version = COR_STR("v1"),
		.plural = sa ? COR_STR("serviceaccounts") : COR_STR("users"),
		.ns = sa ? sa_ns : COR_STR(""), .name = sa ? sa_name : *name,
	};
	if (!api_allowed(q, &at))
		return false;
	at = (struct cor_attributes){
		.resource = true, .verb = COR_STR("impersonate"), .group = COR_STR(""),
		.version = COR_STR("v1"), .plural = COR_STR("groups"),
	};
	for (size_t i = 0; i < groups.n; i++) {
		at.name = groups.p[i];
		if (!api_allowed(q, &at))
			return false;
	}
	cor_user_impersonated(q->arena, *name, groups.p, groups.n, &q->user);
	return true;
}

/* ---- what ---- */

static void not_found(struct api_req *q, bool known_group) {
	if (known_group) {
		struct cor_err err;
		(void)!cor_fail_status(&err, COR_REASON_NOT_FOUND,
			"the server could not find the requested resource");
		api_fail_with(q, &(struct api_failure){ .err = &err, .details_kind = "" });
	} else {
		api_reply_text(q, 404, COR_STR("404 page not found\n"));
	}
}

static void not_allowed(struct api_req *q) {
	struct cor_err err;
	(void)!cor_fail_status(&err, COR_REASON_METHOD_NOT_ALLOWED,
		"the server does not allow this method on the requested resource");
	api_fail_with(q, &(struct api_failure){ .err = &err, .details_kind = "" });
}

static bool known_version(struct cor_str group, struct cor_str version) {
	for (size_t i = 0; i < cor_resources_n; i++)
		if (cor_str_eq_c(group, cor_resources[i].group) &&
			cor_str_eq_c(version, cor_resources[i].version))
			return true;
	return false;
}

static uint32_t verb_bit(struct cor_str verb) {
	for (uint32_t bit = COR_VERB_GET; bit <= COR_VERB_DELETECOLLECTION; bit <<= 1)
		if (cor_str_eq_c(verb, cor_verb_to_string((enum cor_verb)bit)))
			return bit;
	return 0;
}

/* Finds resource and subresource and checks that path and method fit them; false: answered. */
static bool resolve(struct api_req *q) {
	struct cor_request_info *i = &q->info;
	q->res = cor_resource_find(i->group, i->version, i->plural);
	bool placed = q->res && (q->res->namespaced || i->ns.n == 0 || cor_str_eq(i->ns, i->name));
	if (placed && i->subresource.n)
		q->sub = cor_resource_sub(q->res, i->subresource);
	if (!placed || (i->subresource.n && !q->sub)) {
		q->res = NULL;
		not_found(q, known_version(i->group, i->version));
		return false;
	}
	if (!q->res->namespaced)
		i->ns = COR_STR("");
	uint32_t bit = verb_bit(i->verb);
	bool stream = q->sub && api_is_connect(q->sub);
	bool whole = bit & (COR_VERB_LIST | COR_VERB_WATCH | COR_VERB_DELETECOLLECTION | COR_VERB_CREATE);
	bool fits = stream || (bit & (q->sub ? q->sub->verbs : q->res->verbs));
	if (bit == COR_VERB_CREATE && !q->sub && i->name.n)
		fits = false;
	if (q->res->namespaced && i->ns.n == 0 && (!whole || bit == COR_VERB_CREATE))
		fits = false;
	if (!whole && !stream && i->name.n == 0)
		fits = false;
	if (!fits)
		not_allowed(q);
	return fits;
}

static void run_resource(struct api_req *q) {
	struct cor_str v = q->info.verb;
	bool listed = q->res->list_type != NULL;
	if (q->sub && api_is_connect(q->sub)) {
		if (api_negotiate(q, false))
			api_connect(q);
		return;
	}
	if (!api_negotiate(q, listed))
		return;
	if (q->res->id == COR_RES_COMPONENTSTATUSES)
		api_component_statuses(q);
	else if (!q->res->stored)
		api_review(q);
	else if (cor_str_eq_c(v, "get"))
		api_get(q);
	else if (cor_str_eq_c(v, "list"))
		api_list(q);
	else if (cor_str_eq_c(v, "watch"))
		api_watch(q);
	else if (cor_str_eq_c(v, "deletecollection"))
		api_delete_collection(q);
	else
		api_write(q);
}

static void run_path(struct api_req *q) {
	if (cor_str_starts(q->info.path, COR_STR("/openapi/"))) {
		q->status = 200;
		cor_openapi_handle(q->api->registry, q->http);
		return;
	}
	if (!api_health(q) && !api_discovery(q))
		not_found(q, false);
}

void cor_http_api_handle(void *arg, struct cor_http_req *req) {
	struct cor_http_api *api = arg;
	struct api_req *q = cor_arena_new_of(req->arena, struct api_req);
	struct cor_err err;
	if (!q) {
		cor_http_reply(req, 413, NULL, COR_STR(""));
		return;
	}
	*q = (struct api_req){ .api = api, .http = req, .arena = req->arena, .meta_version = "v1" };
	req->user = q;
	int status = cor_request_parse(q->arena, req->method, req->path, cor_http_param(req, "watch"),
		&q->info, &err);
	if (status >= 0)
		status = cor_authenticate(&api->tokens, req, q->arena, &q->user, &err);
	if (status < 0) {
		api_fail(q, &err);
		return;
	}
	/* What a refusal is about; resolve() checks it. */
	if (q->info.resource)
		q->res = cor_resource_find(q->info.group, q->info.version, q->info.plural);
	if (!impersonate(q))
		return;
	struct cor_attributes at = attributes(q);
	if (!api_allowed(q, &at))
		return;
	if (!q->info.resource)
		run_path(q);
	else if (resolve(q))
		run_resource(q);
}
