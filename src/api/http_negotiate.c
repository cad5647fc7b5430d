// SPDX-License-Identifier: Apache-2.0
// Content negotiation (facts/api-machinery.md section 2). JSON is what is stored and costs nothing to
// send, so of several forms that a clause of Accept allows, JSON is chosen; another form only
// when the client puts it above JSON by q, or does not take JSON at all.
#include "api/http_priv.h"

#include <stdlib.h>
#include <strings.h>

static const struct {
	const char *type, *subtype;
	enum api_format format;
} serializers[] = {
	{ "application", "json", API_JSON },
	{ "application", "yaml", API_YAML },
	{ "application", "vnd.kubernetes.protobuf", API_PROTO },
};

struct clause {
	struct cor_str type, subtype;
	double q;
	struct cor_str as, group, version;
	bool ok;                        /* no parameter that we cannot honour */
	bool pretty;
};

static bool same(struct cor_str a, const char *b) {
	return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

static void parse_param(struct clause *c, struct cor_str param) {
	size_t eq = cor_str_chr(param, '=');
	struct cor_str k = cor_str_trim(cor_str_sub(param, 0, eq));
	struct cor_str v = eq < param.n ? cor_str_trim(cor_str_sub(param, eq + 1, param.n)) : COR_STR("");
	if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
		v = cor_str_sub(v, 1, v.n - 2);
	if (same(k, "q")) {
		char text[16] = "";
		memcpy(text, v.p, v.n < sizeof(text) ? v.n : sizeof(text) - 1);
		c->q = strtod(text, NULL);
	} else if (same(k, "as")) {
		c->as = v;
	} else if (same(k, "g")) {
		c->group = v;
	} else if (same(k, "v")) {
		c->version = v;
	} else if (same(k, "sv")) {
		c->ok = c->ok && cor_str_eq_c(v, "v1");
	} else if (same(k, "pretty")) {
		c->pretty = cor_str_eq_c(v, "1");
	}
}

static struct clause parse_clause(struct cor_str text) {
	struct clause c = { .q = 1, .ok = true };
	struct cor_str rest = text;
	struct cor_str media = cor_str_trim(cor_str_cut(&rest, ';'));
	size_t slash = cor_str_chr(media, '/');
	c.type = cor_str_sub(media, 0, slash);
	c.subtype = slash < media.n ? cor_str_sub(media, slash + 1, media.n) : COR_STR("");
	while (rest.p)
		parse_param(&c, cor_str_cut(&rest, ';'));
	return c;
}

static bool pick_transform(const struct clause *c, bool tables, enum api_transform *ret,
	const char **ret_version) {
	static const struct { const char *as; enum api_transform t; } known[] = {
		{ "Table", API_TABLE }, { "PartialObjectMetadata", API_META },
		{ "PartialObjectMetadataList", API_META_LIST },
	};
	*ret = API_PLAIN;
	*ret_version = "v1";
	if (!c->as.p)
		return true;
	if (!tables || !cor_str_eq_c(c->group, "meta.k8s.io"))
		return false;
	if (cor_str_eq_c(c->version, "v1beta1"))
		*ret_version = "v1beta1";
	else if (!cor_str_eq_c(c->version, "v1"))
		return false;
	for (size_t i = 0; i < cor_countof(known); i++) {
		if (cor_str_eq_c(c->as, known[i].as)) {
			*ret = known[i].t;
			return true;
		}
	}
	return false;
}

static bool pick_format(const struct clause *c, enum api_format *ret) {
	for (size_t i = 0; i < cor_countof(serializers); i++) {
		bool any = cor_str_eq_c(c->type, "*") && cor_str_eq_c(c->subtype, "*");
		bool part = same(c->type, serializers[i].type) &&
			(cor_str_eq_c(c->subtype, "*") || same(c->subtype, serializers[i].subtype));
		if (any || part) {
			*ret = serializers[i].format;
			return true;
		}
	}
	return false;
}

static bool wants_pretty(const struct api_req *q) {
	static const char *const people[] = { "curl", "Wget", "Mozilla/5.0" };
	struct cor_str p = cor_http_param(q->http, "pretty");
	if (p.p)
		return cor_query_bool(p);
	const struct cor_str *agent = cor_http_header(q->http, "user-agent");
	for (size_t i = 0; agent && i < cor_countof(people); i++)
		if (cor_str_starts(*agent, cor_str_c(people[i])))
			return true;
	return false;
}

struct choice {
	double q;
	enum api_format format;
	enum api_transform transform;
	const char *version;
	bool pretty, found;
};

/* A later clause wins by a higher q, or, at the same q and transformation, by being JSON. */
static void consider(struct choice *best, const struct clause *c, bool tables) {
	struct choice n = { .q = c->q, .pretty = c->pretty, .found = true };
	if (!c->ok || c->q <= 0 || !pick_transform(c, tables, &n.transform, &n.version) ||
		!pick_format(c, &n.format))
		return;
	if (n.transform == API_TABLE && n.format == API_PROTO)
		return;
	bool better = n.q > best->q || (n.q == best->q && n.format == API_JSON &&
		best->format != API_JSON && n.transform == best->transform);
	if (!best->found || better)
		*best = n;
}

bool api_negotiate(struct api_req *q, bool tables) {
	struct choice best = { .version = "v1" };
	bool given = false;
	for (size_t i = 0; i < q->http->n_headers; i++) {
		if (!cor_str_eq_c(q->http->headers[i].name, "accept"))
			continue;
		struct cor_str rest = q->http->headers[i].value;
		while (rest.p) {
			struct clause c = parse_clause(cor_str_cut(&rest, ','));
			given = given || c.type.n;
			consider(&best, &c, tables);
		}
	}
	if (given && !best.found) {
		api_fail_status(q, COR_REASON_NOT_ACCEPTABLE, "only the following media types are accepted: "
			"application/json, application/yaml, application/vnd.kubernetes.protobuf");
		return false;
	}
	q->format = best.format;
	q->transform = best.transform;
	q->meta_version = best.version;
	q->pretty = best.pretty || wants_pretty(q);
	return true;
}

struct cor_str api_media_type(const struct api_req *q) {
	const struct cor_str *h = cor_http_header(q->http, "content-type");
	if (!h)
		return COR_STR("");
	return cor_str_trim(cor_str_sub(*h, 0, cor_str_chr(*h, ';')));
}

enum api_content api_content_type(const struct api_req *q) {
	struct cor_str media = api_media_type(q);
	if (media.n == 0 || same(media, "application/json"))
		return API_CONTENT_JSON;
	if (same(media, "application/yaml"))
		return API_CONTENT_YAML;
	if (same(media, "application/vnd.kubernetes.protobuf"))
		return API_CONTENT_PROTO;
	return API_CONTENT_UNKNOWN;
}
