// SPDX-License-Identifier: Apache-2.0
// The documents and how they are served: the index of v3 with a hash for each document, whose bytes then
// may be kept by clients for ever, and the one document of v2 (facts/api-machinery.md section 14).
// Documents are built when asked for and not kept; the index, which needs them all, is.
#include "api/openapi.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "gen/meta_v1.h"
#include "gen/resources.h"
#include "net/http.h"

enum { HASH_MAX = 2 * 64 + 1, ROOTS_MAX = 256 };

static bool starts_version(size_t i) {
	for (size_t j = 0; j < i; j++)
		if (strcmp(cor_resources[j].group, cor_resources[i].group) == 0 &&
			strcmp(cor_resources[j].version, cor_resources[i].version) == 0)
			return false;
	return true;
}

static void add_roots(const struct cor_resource *r, const struct cor_type **roots, size_t *n) {
	const struct cor_type *own[] = { r->type, r->list_type };
	for (size_t i = 0; i < cor_countof(own); i++)
		if (own[i] && *n < ROOTS_MAX)
			roots[(*n)++] = own[i];
	for (size_t i = 0; i < r->nsubs; i++)
		if (r->subs[i].type && *n < ROOTS_MAX)
			roots[(*n)++] = r->subs[i].type;
}

static void write_info(struct cor_buf *out) {
	cor_buf_c(out, "\"info\":{\"title\":\"Kubernetes\",\"version\":\"v1.36.2\"}");
}

bool cor_openapi_v3(struct cor_str group, struct cor_str version, struct cor_buf *out) {
	const struct cor_type *roots[ROOTS_MAX];
	size_t n = 0;
	bool first = true, found = false;
	cor_buf_c(out, "{\"openapi\":\"3.0.0\",");
	write_info(out);
	cor_buf_c(out, ",\"paths\":{");
	for (size_t i = 0; i < cor_resources_n; i++) {
		const struct cor_resource *r = &cor_resources[i];
		if (!cor_str_eq_c(group, r->group) || !cor_str_eq_c(version, r->version))
			continue;
		cor_openapi_paths(COR_OPENAPI_V3, r, &first, out);
		add_roots(r, roots, &n);
		found = true;
	}
	roots[n < ROOTS_MAX ? n++ : n - 1] = &cor_type_meta_v1_Status;
	roots[n < ROOTS_MAX ? n++ : n - 1] = &cor_type_meta_v1_DeleteOptions;
	cor_buf_c(out, "},\"components\":{\"schemas\":{");
	cor_openapi_schemas(COR_OPENAPI_V3, roots, n, out);
	cor_buf_c(out, "},\"securitySchemes\":{\"BearerToken\":{\"type\":\"apiKey\",\"description\":\"Bearer "
		"Token authentication\",\"name\":\"authorization\",\"in\":\"header\"}}}}");
	return found;
}

void cor_openapi_v2(struct cor_buf *out) {
	const struct cor_type *roots[ROOTS_MAX];
	size_t n = 0;
	bool first = true;
	cor_buf_c(out, "{\"swagger\":\"2.0\",");
	write_info(out);
	cor_buf_c(out, ",\"paths\":{");
	for (size_t i = 0; i < cor_resources_n; i++) {
		cor_openapi_paths(COR_OPENAPI_V2, &cor_resources[i], &first, out);
		add_roots(&cor_resources[i], roots, &n);
	}
	roots[n < ROOTS_MAX ? n++ : n - 1] = &cor_type_meta_v1_Status;
	roots[n < ROOTS_MAX ? n++ : n - 1] = &cor_type_meta_v1_DeleteOptions;
	cor_buf_c(out, "},\"definitions\":{");
	cor_openapi_schemas(COR_OPENAPI_V2, roots, n, out);
	cor_buf_c(out, "},\"securityDefinitions\":{\"BearerToken\":{\"type\":\"apiKey\",\"name\":"
		"\"authorization\",\"in\":\"header\"}},\"security\":[{\"BearerToken\":[]}]}");
}

/* ---- serving ---- */

static void hash_of(const struct cor_buf *b, char out[HASH_MAX]) {
	static const char hex[] = "0123456789ABCDEF";
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	(void)EVP_Digest(b->p, b->n, sum, &n, EVP_sha512(), NULL);
	for (unsigned i = 0; i < 64; i++) {
		out[2 * i] = hex[sum[i] >> 4];
		out[2 * i + 1] = hex[sum[i] & 15];
	}
	out[HASH_MAX - 1] = '\0';
}

static void reply(struct cor_http_req *req, const char *type, const struct cor_buf *b, const char *hash) {
	char etag[HASH_MAX + 2];
	int n = snprintf(etag, sizeof(etag), "\"%s\"", hash);
	const struct cor_str *known = cor_http_header(req, "if-none-match");
	struct cor_str tag = { etag, (size_t)n };
	cor_http_set_header(req, "etag", tag);
	cor_http_set_header(req, "vary", COR_STR("Accept"));
	if (known && cor_str_eq(*known, tag))
		cor_http_reply(req, 304, NULL, COR_STR(""));
	else
		cor_http_reply(req, 200, type, cor_buf_view(b));
}

static void key_of(size_t i, char *out, size_t size) {
	const struct cor_resource *r = &cor_resources[i];
	(void)snprintf(out, size, "%s%s%s", *r->group ? "apis/" : "api", r->group, "");
	size_t n = strlen(out);
	(void)snprintf(out + n, size - n, "/%s", r->version);
}

static void serve_index(struct cor_http_req *req) {
	static struct cor_buf index;            /* made once; a few KB */
	bool first = true;
	if (!index.n) {
		cor_buf_c(&index, "{\"paths\":{");
		for (size_t i = 0; i < cor_resources_n; i++) {
			if (!starts_version(i))
				continue;
			_cleanup_buf_ struct cor_buf doc = COR_BUF_INIT;
			char hash[HASH_MAX], key[160];
			(void)cor_openapi_v3(cor_str_c(cor_resources[i].group), cor_str_c(cor_resources[i].version),
				&doc);
			hash_of(&doc, hash);
			key_of(i, key, sizeof(key));
			cor_buf_printf(&index, "%s\"%s\":{\"serverRelativeURL\":\"/openapi/v3/%s?hash=%s\"}",
				first ? "" : ",", key, key, hash);
			first = false;
		}
		cor_buf_c(&index, "}}");
	}
	cor_http_reply(req, 200, "application/json", cor_buf_view(&index));
}

static bool find_version(struct cor_str key, size_t *ret) {
	for (size_t i = 0; i < cor_resources_n; i++) {
		char own[160];
		if (!starts_version(i))
			continue;
		key_of(i, own, sizeof(own));
		if (cor_str_eq_c(key, own)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static void serve_v3(struct cor_http_req *req, struct cor_str key) {
	_cleanup_buf_ struct cor_buf doc = COR_BUF_INIT;
	char hash[HASH_MAX];
	size_t i;
	if (!find_version(key, &i)) {
		cor_http_reply(req, 404, "text/plain; charset=utf-8", COR_STR("404 page not found\n"));
		return;
	}
	(void)cor_openapi_v3(cor_str_c(cor_resources[i].group), cor_str_c(cor_resources[i].version), &doc);
	hash_of(&doc, hash);
	struct cor_str asked = cor_http_param(req, "hash");
	if (asked.n && !cor_str_eq_c(asked, hash)) {
		cor_http_set_header(req, "location", cor_arena_printf(req->arena, "/openapi/v3/%.*s?hash=%s",
			COR_STR_ARG(key), hash));
		cor_http_reply(req, 301, NULL, COR_STR(""));
		return;
	}
	if (asked.n)
		cor_http_set_header(req, "cache-control", COR_STR("public, immutable"));
	reply(req, "application/json", &doc, hash);
}

/* The only form that some clients take. */
static bool wants_proto(const struct cor_http_req *req) {
	const struct cor_str *accept = cor_http_header(req, "accept");
	return accept && cor_str_starts(*accept, COR_STR("application/com.github.proto-openapi.spec.v2"));
}

static void serve_v2(struct cor_http_req *req) {
	_cleanup_buf_ struct cor_buf doc = COR_BUF_INIT, proto = COR_BUF_INIT;
	char hash[HASH_MAX];
	cor_openapi_v2(&doc);
	if (wants_proto(req) && cor_openapi_v2_proto(cor_buf_view(&doc), &proto)) {
		hash_of(&proto, hash);
		reply(req, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", &proto, hash);
		return;
	}
	hash_of(&doc, hash);
	reply(req, "application/json", &doc, hash);
}

void cor_openapi_handle(struct cor_registry *r, struct cor_http_req *req) {
	static const struct cor_str v3 = COR_STR_INIT("/openapi/v3");
	struct cor_str path = req->path;
	(void)r;
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	if (cor_str_eq(path, v3)) {
		serve_index(req);
	} else if (cor_str_starts(path, v3) && path.p[v3.n] == '/') {
		serve_v3(req, cor_str_sub(path, v3.n + 1, path.n));
	} else if (cor_str_eq_c(path, "/openapi/v2")) {
		serve_v2(req);
	} else {
		cor_http_reply(req, 404, "text/plain; charset=utf-8", COR_STR("404 page not found\n"));
	}
}
