// SPDX-License-Identifier: Apache-2.0
// Resources as OpenAPI paths: what kubectl looks up there is which kind lives where, which patches it
// takes, and that the server validates fields itself (facts/api-surface.md section 3).
#include "api/openapi.h"

#include <ctype.h>
#include <stdio.h>

#include "base/mem.h"
#include "gen/meta_v1.h"

struct operation {
	enum cor_verb verb;
	const char *method, *action, *prefix;   /* prefix of the operation's id */
	bool item;                              /* on the object's path, not the collection's */
	bool body;
};

static const struct operation operations[] = {
	{ COR_VERB_LIST, "get", "list", "list", false, false },
	{ COR_VERB_CREATE, "post", "post", "create", false, true },
	{ COR_VERB_DELETECOLLECTION, "delete", "deletecollection", "deleteCollection", false, false },
	{ COR_VERB_GET, "get", "get", "read", true, false },
	{ COR_VERB_UPDATE, "put", "put", "replace", true, true },
	{ COR_VERB_DELETE, "delete", "delete", "delete", true, false },
	{ COR_VERB_PATCH, "patch", "patch", "patch", true, true },
};

static const char *const patch_types[] = {
	"application/json-patch+json", "application/merge-patch+json",
	"application/strategic-merge-patch+json",
};

struct place {
	enum cor_openapi v;
	const struct cor_resource *r;
	const struct cor_subresource *sub;      /* NULL for the resource itself */
	bool all;                               /* the collection over all namespaces */
	struct cor_buf *out;
};

static void capital(struct cor_buf *b, const char *text) {
	if (*text)
		cor_buf_byte(b, (char)toupper((unsigned char)*text));
	for (const char *p = *text ? text + 1 : text; *p && *p != '.'; p++)
		cor_buf_byte(b, *p);
}

static void write_id(const struct place *p, const struct operation *o) {
	cor_buf_printf(p->out, "\"operationId\":\"%s", o->prefix);
	capital(p->out, *p->r->group ? p->r->group : "core");
	capital(p->out, p->r->version);
	if (p->r->namespaced && !p->all)
		cor_buf_c(p->out, "Namespaced");
	cor_buf_c(p->out, p->r->kind);
	if (p->sub)
		capital(p->out, p->sub->name);
	cor_buf_printf(p->out, "%s\"", p->all ? "ForAllNamespaces" : "");
}

static void param(const struct place *p, bool *first, const char *name, const char *in, const char *type) {
	cor_buf_printf(p->out, "%s{\"name\":\"%s\",\"in\":\"%s\"", *first ? "" : ",", name, in);
	if (strcmp(in, "path") == 0)
		cor_buf_c(p->out, ",\"required\":true");
	if (p->v == COR_OPENAPI_V3)
		cor_buf_printf(p->out, ",\"schema\":{\"type\":\"%s\",\"uniqueItems\":true}}", type);
	else
		cor_buf_printf(p->out, ",\"type\":\"%s\",\"uniqueItems\":true}", type);
	*first = false;
}

static const struct cor_type *body_type(const struct place *p) {
	return p->sub && p->sub->type ? p->sub->type : p->r->type;
}

static void write_params(const struct place *p, const struct operation *o) {
	bool first = true;
	cor_buf_c(p->out, "\"parameters\":[");
	if (o->verb & (COR_VERB_LIST | COR_VERB_DELETECOLLECTION)) {
		param(p, &first, "labelSelector", "query", "string");
		param(p, &first, "fieldSelector", "query", "string");
		param(p, &first, "limit", "query", "integer");
		param(p, &first, "continue", "query", "string");
		param(p, &first, "resourceVersion", "query", "string");
	}
	if (o->verb == COR_VERB_LIST) {
		param(p, &first, "watch", "query", "boolean");
		param(p, &first, "allowWatchBookmarks", "query", "boolean");
		param(p, &first, "timeoutSeconds", "query", "integer");
	}
	if (o->verb & (COR_VERB_CREATE | COR_VERB_UPDATE | COR_VERB_PATCH)) {
		param(p, &first, "dryRun", "query", "string");
		param(p, &first, "fieldManager", "query", "string");
		param(p, &first, "fieldValidation", "query", "string");
	}
	if (o->verb == COR_VERB_PATCH)
		param(p, &first, "force", "query", "boolean");
	if (o->verb & (COR_VERB_DELETE | COR_VERB_DELETECOLLECTION)) {
		param(p, &first, "dryRun", "query", "string");
		param(p, &first, "gracePeriodSeconds", "query", "integer");
		param(p, &first, "propagationPolicy", "query", "string");
	}
	if (p->v == COR_OPENAPI_V2 && o->body) {
		cor_buf_printf(p->out, "%s{\"name\":\"body\",\"in\":\"body\",\"required\":true,\"schema\":",
			first ? "" : ",");
		if (o->verb == COR_VERB_PATCH)
			cor_buf_c(p->out, "{\"$ref\":\"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch\"}");
		else
			cor_openapi_ref(p->v, body_type(p), p->out);
		cor_buf_byte(p->out, '}');
	}
	cor_buf_byte(p->out, ']');
}

static void write_body(const struct place *p, const struct operation *o) {
	if (p->v == COR_OPENAPI_V2) {
		if (o->verb != COR_VERB_PATCH)
			return;
		cor_buf_c(p->out, ",\"consumes\":[");
		for (size_t i = 0; i < cor_countof(patch_types); i++)
			cor_buf_printf(p->out, "%s\"%s\"", i ? "," : "", patch_types[i]);
		cor_buf_byte(p->out, ']');
		return;
	}
	if (!o->body)
		return;
	cor_buf_c(p->out, ",\"requestBody\":{\"required\":true,\"content\":{");
	if (o->verb == COR_VERB_PATCH) {
		for (size_t i = 0; i < cor_countof(patch_types); i++)
			cor_buf_printf(p->out, "%s\"%s\":{\"schema\":{\"$ref\":\"#/components/schemas/"
				"io.k8s.apimachinery.pkg.apis.meta.v1.Patch\"}}", i ? "," : "", patch_types[i]);
	} else {
		cor_buf_c(p->out, "\"*/*\":{\"schema\":");
		cor_openapi_ref(p->v, body_type(p), p->out);
		cor_buf_byte(p->out, '}');
	}
	cor_buf_c(p->out, "}}");
}

static void write_response(const struct place *p, const struct operation *o) {
	const struct cor_type *t = o->verb == COR_VERB_LIST && p->r->list_type ? p->r->list_type
		: o->verb & (COR_VERB_DELETE | COR_VERB_DELETECOLLECTION) ? &cor_type_meta_v1_Status
		: body_type(p);
	cor_buf_c(p->out, ",\"responses\":{\"200\":{\"description\":\"OK\",");
	cor_buf_c(p->out, p->v == COR_OPENAPI_V3 ? "\"content\":{\"application/json\":{\"schema\":"
	                                         : "\"schema\":");
	cor_openapi_ref(p->v, t, p->out);
	cor_buf_c(p->out, p->v == COR_OPENAPI_V3 ? "}}}" : "}");
	cor_buf_c(p->out, ",\"401\":{\"description\":\"Unauthorized\"}}");
}

static void write_operation(const struct place *p, const struct operation *o) {
	const char *group = p->sub && *p->sub->kind ? p->sub->group : p->r->group;
	const char *version = p->sub && *p->sub->kind ? p->sub->version : p->r->version;
	const char *kind = p->sub && *p->sub->kind ? p->sub->kind : p->r->kind;
	cor_buf_printf(p->out, "\"%s\":{\"description\":\"%s %s\",", o->method, o->action, kind);
	write_id(p, o);
	cor_buf_c(p->out, ",\"tags\":[\"");
	struct cor_str rest = cor_str_c(*p->r->group ? p->r->group : "core");
	cor_buf_str(p->out, cor_str_cut(&rest, '.'));
	cor_buf_printf(p->out, "_%s\"],", p->r->version);
	write_params(p, o);
	write_body(p, o);
	write_response(p, o);
	cor_buf_printf(p->out, ",\"x-kubernetes-action\":\"%s\",\"x-kubernetes-group-version-kind\":{"
		"\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}}", o->action, group, kind, version);
}

static void write_place(const struct place *p, bool item, uint32_t verbs, bool *first) {
	const struct cor_resource *r = p->r;
	bool some = false, ns = r->namespaced && !p->all;
	for (size_t i = 0; i < cor_countof(operations); i++) {
		const struct operation *o = &operations[i];
		bool here = p->sub ? o->verb != COR_VERB_LIST : o->item == item;
		if (!(verbs & o->verb) || !here)
			continue;
		if (!some) {
			cor_buf_printf(p->out, "%s\"/%s%s%s/%s%s/%s%s%s%s\":{", *first ? "" : ",",
				*r->group ? "apis/" : "api", r->group, "", r->version,
				ns ? "/namespaces/{namespace}" : "", r->plural, item ? "/{name}" : "",
				p->sub ? "/" : "", p->sub ? p->sub->name : "");
			*first = false;
		} else {
			cor_buf_byte(p->out, ',');
		}
		write_operation(p, o);
		some = true;
	}
	if (!some)
		return;
	bool none = true;
	cor_buf_c(p->out, ",\"parameters\":[");
	if (item)
		param(p, &none, "name", "path", "string");
	if (ns)
		param(p, &none, "namespace", "path", "string");
	param(p, &none, "pretty", "query", "string");
	cor_buf_c(p->out, "]}");
}

void cor_openapi_paths(enum cor_openapi v, const struct cor_resource *r, bool *first, struct cor_buf *out) {
	struct place p = { .v = v, .r = r, .out = out };
	write_place(&p, false, r->verbs, first);
	write_place(&p, true, r->verbs, first);
	if (r->namespaced) {
		p.all = true;
		write_place(&p, false, r->verbs & COR_VERB_LIST, first);
		p.all = false;
	}
	for (size_t i = 0; i < r->nsubs; i++) {
		/* Streams have no documents of their own. */
		if (!r->subs[i].type)
			continue;
		p.sub = &r->subs[i];
		write_place(&p, true, r->subs[i].verbs, first);
	}
}
