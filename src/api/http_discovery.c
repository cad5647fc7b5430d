// SPDX-License-Identifier: Apache-2.0
// Discovery in both styles, written from the table of resources (facts/api-machinery.md section 13):
// the plain documents of /api, /apis and each group and version, and the aggregated lists that newer
// clients ask for on /api and /apis, which are made once and answered with an ETag.
#include "api/http_priv.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

/* ---- groups and versions: runs of the resource table ---- */

static bool same_group(const struct cor_resource *a, const struct cor_resource *b) {
	return strcmp(a->group, b->group) == 0;
}

static bool same_version(const struct cor_resource *a, const struct cor_resource *b) {
	return same_group(a, b) && strcmp(a->version, b->version) == 0;
}

/* The first resource of its version. */
static bool starts_version(size_t i) {
	for (size_t j = 0; j < i; j++)
		if (same_version(&cor_resources[j], &cor_resources[i]))
			return false;
	return true;
}

static bool starts_group(size_t i) {
	for (size_t j = 0; j < i; j++)
		if (same_group(&cor_resources[j], &cor_resources[i]))
			return false;
	return true;
}

static bool is_core(size_t i) {
	return *cor_resources[i].group == '\0';
}

static void write_verbs(struct cor_buf *b, uint32_t verbs) {
	/* In alphabetical order. */
	static const enum cor_verb order[] = {
		COR_VERB_CREATE, COR_VERB_DELETE, COR_VERB_DELETECOLLECTION, COR_VERB_GET, COR_VERB_LIST,
		COR_VERB_PATCH, COR_VERB_UPDATE, COR_VERB_WATCH,
	};
	bool first = true;
	cor_buf_c(b, "\"verbs\":[");
	for (size_t i = 0; i < cor_countof(order); i++) {
		if (!(verbs & order[i]))
			continue;
		cor_buf_printf(b, "%s\"%s\"", first ? "" : ",", cor_verb_to_string(order[i]));
		first = false;
	}
	cor_buf_byte(b, ']');
}

static void write_names(struct cor_buf *b, const char *member, const char *const *names) {
	if (!*names)
		return;
	cor_buf_printf(b, ",\"%s\":[", member);
	for (size_t i = 0; names[i]; i++)
		cor_buf_printf(b, "%s\"%s\"", i ? "," : "", names[i]);
	cor_buf_byte(b, ']');
}

/* ---- plain documents ---- */

static void write_hash(struct cor_buf *b, const struct cor_resource *r) {
	const struct cor_resource *s = &cor_resources[r->storage_id];
	char text[256];
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int len = snprintf(text, sizeof(text), "%s/%s/%s", s->group, s->version, s->kind);
	if (EVP_Digest(text, (size_t)len, sum, &n, EVP_sha256(), NULL) != 1)
		return;
	cor_buf_c(b, ",\"storageVersionHash\":\"");
	cor_base64_encode(b, (struct cor_str){ (const char *)sum, 8 });
	cor_buf_byte(b, '"');
}

static void write_plain_resource(struct cor_buf *b, const struct cor_resource *r) {
	cor_buf_printf(b, "{\"name\":\"%s\",\"singularName\":\"%s\",\"namespaced\":%s,\"kind\":\"%s\",",
		r->plural, r->singular, r->namespaced ? "true" : "false", r->kind);
	write_verbs(b, r->verbs);
	write_names(b, "shortNames", r->short_names);
	write_names(b, "categories", r->categories);
	if (r->stored)
		write_hash(b, r);
	cor_buf_byte(b, '}');
}

static void write_plain_sub(struct cor_buf *b, const struct cor_resource *r,
	const struct cor_subresource *s) {
	cor_buf_printf(b, "{\"name\":\"%s/%s\",\"singularName\":\"\",\"namespaced\":%s,", r->plural, s->name,
		r->namespaced ? "true" : "false");
	if (strcmp(s->group, r->group) != 0 || strcmp(s->version, r->version) != 0)
		cor_buf_printf(b, "\"group\":\"%s\",\"version\":\"%s\",", s->group, s->version);
	cor_buf_printf(b, "\"kind\":\"%s\",", s->kind);
	write_verbs(b, s->verbs);
	cor_buf_byte(b, '}');
}

static int by_plural(const void *a, const void *b) {
	const struct cor_resource *const *x = a, *const *y = b;
	return strcmp((*x)->plural, (*y)->plural);
}

static bool resource_list(struct api_req *q, struct cor_str group, struct cor_str version) {
	const struct cor_resource *of[COR_RES_MAX];
	size_t n = 0;
	for (size_t i = 0; i < cor_resources_n; i++)
		if (cor_str_eq_c(group, cor_resources[i].group) &&
			cor_str_eq_c(version, cor_resources[i].version))
			of[n++] = &cor_resources[i];
	if (n == 0)
		return false;
	qsort(of, n, sizeof(of[0]), by_plural);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_printf(&b, "{\"kind\":\"APIResourceList\",%s\"groupVersion\":\"%.*s%s%.*s\",\"resources\":[",
		group.n ? "\"apiVersion\":\"v1\"," : "", COR_STR_ARG(group), group.n ? "/" : "",
		COR_STR_ARG(version));
	for (size_t i = 0; i < n; i++) {
		if (i)
			cor_buf_byte(&b, ',');
		write_plain_resource(&b, of[i]);
		for (size_t j = 0; j < of[i]->nsubs; j++) {
			cor_buf_byte(&b, ',');
			write_plain_sub(&b, of[i], &of[i]->subs[j]);
		}
	}
	cor_buf_c(&b, "]}");
	api_reply_json(q, 200, &cor_type_meta_v1_APIResourceList, cor_buf_view(&b));
	return true;
}

static void write_group(struct cor_buf *b, size_t first, bool typemeta) {
	const struct cor_resource *r = &cor_resources[first];
	cor_buf_printf(b, "{%s\"name\":\"%s\",\"versions\":[",
		typemeta ? "\"kind\":\"APIGroup\",\"apiVersion\":\"v1\"," : "", r->group);
	bool some = false;
	for (size_t i = first; i < cor_resources_n; i++) {
		if (!same_group(r, &cor_resources[i]) || !starts_version(i))
			continue;
		const char *v = cor_resources[i].version;
		cor_buf_printf(b, "%s{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", some ? "," : "", r->group,
			v, v);
		some = true;
	}
	cor_buf_printf(b, "],\"preferredVersion\":{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}}", r->group,
		r->version, r->version);
}

static void group_list(struct api_req *q) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool some = false;
	cor_buf_c(&b, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
	for (size_t i = 0; i < cor_resources_n; i++) {
		if (is_core(i) || !starts_group(i))
			continue;
		if (some)
			cor_buf_byte(&b, ',');
		write_group(&b, i, false);
		some = true;
	}
	cor_buf_c(&b, "]}");
	api_reply_json(q, 200, &cor_type_meta_v1_APIGroupList, cor_buf_view(&b));
}

static bool one_group(struct api_req *q, struct cor_str group) {
	for (size_t i = 0; i < cor_resources_n; i++) {
		if (is_core(i) || !cor_str_eq_c(group, cor_resources[i].group))
			continue;
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
		write_group(&b, i, true);
		api_reply_json(q, 200, &cor_type_meta_v1_APIGroup, cor_buf_view(&b));
		return true;
	}
	return false;
}

static void api_versions(struct api_req *q) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":["
		"{\"clientCIDR\":\"0.0.0.0/0\",\"serverAddress\":");
	cor_json_write_str(&b, q->http->authority.p ? q->http->authority : COR_STR(""));
	cor_buf_c(&b, "}]}");
	api_reply_json(q, 200, &cor_type_meta_v1_APIVersions, cor_buf_view(&b));
}

/* ---- aggregated ---- */

static void write_kind(struct cor_buf *b, const char *group, const char *version, const char *kind) {
	if (!*kind) {
		cor_buf_c(b, "\"responseKind\":{\"group\":\"\",\"version\":\"\",\"kind\":\"\"}");
		return;
	}
	cor_buf_printf(b, "\"responseKind\":{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}", group,
		version, kind);
}

static void write_resource(struct cor_buf *b, const struct cor_resource *r) {
	cor_buf_printf(b, "{\"resource\":\"%s\",", r->plural);
	write_kind(b, r->group, r->version, r->kind);
	cor_buf_printf(b, ",\"scope\":\"%s\",\"singularResource\":\"%s\",",
		r->namespaced ? "Namespaced" : "Cluster", r->singular);
	write_verbs(b, r->verbs);
	write_names(b, "shortNames", r->short_names);
	write_names(b, "categories", r->categories);
	for (size_t i = 0; i < r->nsubs; i++) {
		const struct cor_subresource *s = &r->subs[i];
		cor_buf_printf(b, "%s{\"subresource\":\"%s\",", i ? "," : ",\"subresources\":[", s->name);
		write_kind(b, s->group, s->version, s->kind);
		cor_buf_byte(b, ',');
		write_verbs(b, s->verbs);
		cor_buf_byte(b, '}');
	}
	cor_buf_c(b, r->nsubs ? "]}" : "}");
}

static void write_version(struct cor_buf *b, size_t first) {
	const struct cor_resource *v = &cor_resources[first];
	bool some = false;
	cor_buf_printf(b, "{\"version\":\"%s\",\"resources\":[", v->version);
	for (size_t i = first; i < cor_resources_n; i++) {
		if (!same_version(v, &cor_resources[i]))
			continue;
		if (some)
			cor_buf_byte(b, ',');
		write_resource(b, &cor_resources[i]);
		some = true;
	}
	cor_buf_c(b, "],\"freshness\":\"Current\"}");
}

static void write_aggregated(struct cor_buf *b, bool core) {
	bool some = false;
	cor_buf_c(b, "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\","
		"\"metadata\":{},\"items\":[");
	for (size_t i = 0; i < cor_resources_n; i++) {
		if (is_core(i) != core || !starts_group(i))
			continue;
		const char *group = cor_resources[i].group;
		bool versions = false;
		cor_buf_printf(b, "%s{\"metadata\":{", some ? "," : "");
		if (!core)
			cor_buf_printf(b, "\"name\":\"%s\"", group);
		cor_buf_c(b, "},\"versions\":[");
		for (size_t j = i; j < cor_resources_n; j++) {
			if (!same_group(&cor_resources[i], &cor_resources[j]) || !starts_version(j))
				continue;
			if (versions)
				cor_buf_byte(b, ',');
			write_version(b, j);
			versions = true;
		}
		cor_buf_c(b, "]}");
		some = true;
	}
	cor_buf_c(b, "]}");
}

static void make_aggregated(struct cor_http_api *api, size_t which) {
	struct cor_buf b = COR_BUF_INIT;
	write_aggregated(&b, which == 0);
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	(void)EVP_Digest(b.p, b.n, sum, &n, EVP_sha512(), NULL);
	char *etag = api->discovery[which].etag;
	*etag++ = '"';
	for (unsigned i = 0; i < n && i < 64; i++) {
		*etag++ = "0123456789ABCDEF"[sum[i] >> 4];
		*etag++ = "0123456789ABCDEF"[sum[i] & 15];
	}
	*etag++ = '"';
	*etag = '\0';
	api->discovery[which].body = cor_buf_view(&b);
}

/* The first clause of Accept that is a form we have: the aggregated list, or plain JSON. */
static bool wants_aggregated(const struct api_req *q) {
	const struct cor_str *accept = cor_http_header(q->http, "accept");
	struct cor_str rest = accept ? *accept : (struct cor_str){ 0 };
	while (rest.p) {
		struct cor_str clause = cor_str_trim(cor_str_cut(&rest, ','));
		bool list = cor_str_contains(clause, COR_STR("as=APIGroupDiscoveryList"));
		if (!cor_str_starts(clause, COR_STR("application/json")) &&
			!cor_str_starts(clause, COR_STR("*/*")))
			continue;
		if (!list)
			return false;
		struct cor_str params = clause;
		while (params.p)
			if (cor_str_eq_c(cor_str_trim(cor_str_cut(&params, ';')), "v=v2"))
				return true;
	}
	return false;
}

static void reply_aggregated(struct api_req *q, size_t which) {
	struct cor_http_api *api = q->api;
	if (!api->discovery[which].body.p)
		make_aggregated(api, which);
	struct cor_str etag = cor_str_c(api->discovery[which].etag);
	const struct cor_str *known = cor_http_header(q->http, "if-none-match");
	cor_http_set_header(q->http, "etag", etag);
	cor_http_set_header(q->http, "vary", COR_STR("Accept"));
	cor_http_set_header(q->http, "cache-control", COR_STR("public"));
	q->status = known && cor_str_eq(*known, etag) ? 304 : 200;
	if (q->status == 304)
		cor_http_reply(q->http, 304, NULL, COR_STR(""));
	else
		cor_http_reply(q->http, 200, "application/json;g=apidiscovery.k8s.io;v=v2;"
			"as=APIGroupDiscoveryList", api->discovery[which].body);
}

/* ---- paths ---- */

static void root(struct api_req *q) {
	static const char *const fixed[] = { "/api", "/api/v1", "/apis" };
	static const char *const rest[] = {
		"/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version",
	};
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"paths\":[");
	for (size_t i = 0; i < cor_countof(fixed); i++)
		cor_buf_printf(&b, "%s\"%s\"", i ? "," : "", fixed[i]);
	for (size_t i = 0; i < cor_resources_n; i++) {
		const struct cor_resource *r = &cor_resources[i];
		if (is_core(i))
			continue;
		if (starts_group(i))
			cor_buf_printf(&b, ",\"/apis/%s\"", r->group);
		if (starts_version(i))
			cor_buf_printf(&b, ",\"/apis/%s/%s\"", r->group, r->version);
	}
	for (size_t i = 0; i < cor_countof(rest); i++)
		cor_buf_printf(&b, ",\"%s\"", rest[i]);
	cor_buf_c(&b, "]}");
	api_reply_json(q, 200, NULL, cor_buf_view(&b));
}

bool api_discovery(struct api_req *q) {
	struct cor_str rest = q->info.path, part[4] = { 0 };
	size_t n = 0;
	while (rest.n && *rest.p == '/')
		rest = cor_str_sub(rest, 1, rest.n);
	while (rest.n && rest.p[rest.n - 1] == '/')
		rest.n--;
	while (rest.p && rest.n && n < cor_countof(part))
		part[n++] = cor_str_cut(&rest, '/');
	bool core = n && cor_str_eq_c(part[0], "api"), groups = n && cor_str_eq_c(part[0], "apis");
	if (n && !core && !groups)
		return false;
	if (n == 1 && wants_aggregated(q)) {
		reply_aggregated(q, core ? 0 : 1);
		return true;
	}
	if (!api_negotiate(q, false))
		return true;
	if (n == 0)
		root(q);
	else if (n == 1 && core)
		api_versions(q);
	else if (n == 1)
		group_list(q);
	else if (n == 2 && core)
		return resource_list(q, COR_STR(""), part[1]);
	else if (n == 2)
		return one_group(q, part[1]);
	else if (n == 3 && groups)
		return resource_list(q, part[1], part[2]);
	else
		return false;
	return true;
}
