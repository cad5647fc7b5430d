// SPDX-License-Identifier: Apache-2.0
// Path parsing. Parts are cut from the encoded path and decoded one by one, so that an encoded
// slash stays inside its part.
#include "api/request.h"

#include <strings.h>

#include "base/mem.h"
#include "net/http.h"

enum { PARTS_MAX = 64 };

bool cor_query_bool(struct cor_str v) {
	return v.p && !cor_str_eq_c(v, "0") && !(v.n == 5 && strncasecmp(v.p, "false", 5) == 0);
}

struct parts {
	struct cor_str p[PARTS_MAX];
	size_t n, at;
	const char *end;                /* of the encoded path, trailing slash included */
	const char *from[PARTS_MAX];    /* where each begins in the encoded path */
};

static int split(struct cor_arena *a, struct cor_str path, struct parts *ret, struct cor_err *err) {
	struct cor_str rest = path;
	ret->end = path.p + path.n;
	while (rest.n && *rest.p == '/')
		rest = cor_str_sub(rest, 1, rest.n);
	while (rest.n && rest.p[rest.n - 1] == '/')
		rest.n--;
	while (rest.p && rest.n && ret->n < PARTS_MAX) {
		struct cor_str part = cor_str_cut(&rest, '/');
		ret->from[ret->n] = part.p;
		if (!cor_url_decode(a, part, false, &ret->p[ret->n++]))
			return cor_fail_status(err, COR_REASON_BAD_REQUEST, "malformed path");
	}
	return 0;
}

static struct cor_str next(struct parts *ps) {
	return ps->at < ps->n ? ps->p[ps->at++] : (struct cor_str){ 0 };
}

static const struct { const char *method, *verb; } verbs[] = {
	{ "POST", "create" }, { "GET", "get" }, { "HEAD", "get" }, { "PUT", "update" },
	{ "PATCH", "patch" }, { "DELETE", "delete" },
};

static struct cor_str verb_of(struct cor_str method) {
	for (size_t i = 0; i < cor_countof(verbs); i++)
		if (cor_str_eq_c(method, verbs[i].method))
			return cor_str_c(verbs[i].verb);
	return COR_STR("");
}

static struct cor_str lower(struct cor_arena *a, struct cor_str s) {
	char *p = cor_arena_bytes(a, s.n + 1);
	for (size_t i = 0; p && i < s.n; i++)
		p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] | 0x20 : s.p[i]);
	return (struct cor_str){ p, p ? s.n : 0 };
}

/* namespaces/N/... : N qualifies what follows, unless that is a subresource of the namespace. */
static void take_namespace(struct parts *ps, struct cor_request_info *ret) {
	if (ps->at + 1 >= ps->n || !cor_str_eq_c(ps->p[ps->at], "namespaces"))
		return;
	ret->ns = ps->p[ps->at + 1];
	if (ps->at + 2 >= ps->n)
		return;
	struct cor_str what = ps->p[ps->at + 2];
	if (!cor_str_eq_c(what, "status") && !cor_str_eq_c(what, "finalize"))
		ps->at += 2;
}

static void refine_verb(struct cor_request_info *r, struct cor_str watch) {
	bool nameless = r->name.n == 0;
	if (cor_str_eq_c(r->verb, "get") && nameless)
		r->verb = cor_query_bool(watch) ? COR_STR("watch") : COR_STR("list");
	else if (cor_str_eq_c(r->verb, "delete") && nameless)
		r->verb = COR_STR("deletecollection");
}

int cor_request_parse(struct cor_arena *a, struct cor_str method, struct cor_str path,
	struct cor_str watch, struct cor_request_info *ret, struct cor_err *err) {
	struct parts ps = { 0 };
	struct cor_request_info r = { .verb = lower(a, method) };
	if (!cor_url_decode(a, path, false, &r.path))
		return cor_fail_status(err, COR_REASON_BAD_REQUEST, "malformed path");
	int status = split(a, path, &ps, err);
	if (status < 0)
		return status;
	*ret = r;
	bool core = ps.n && cor_str_eq_c(ps.p[0], "api");
	bool grouped = ps.n && cor_str_eq_c(ps.p[0], "apis");
	if (ps.n < 3 || !(core || grouped) || (grouped && ps.n < 4))
		return 0;
	ps.at = 1;
	r.resource = true;
	r.verb = verb_of(method);
	r.group = grouped ? next(&ps) : COR_STR("");
	r.version = next(&ps);
	if (ps.at < ps.n && cor_str_eq_c(ps.p[ps.at], "watch")) {
		if (ps.at + 1 >= ps.n)
			return cor_fail_status(err, COR_REASON_BAD_REQUEST,
				"unable to determine kind and namespace from url, %.*s", COR_STR_ARG(path));
		ps.at++;
		r.old_watch = true;
	}
	take_namespace(&ps, &r);
	r.plural = next(&ps);
	r.name = next(&ps);
	r.subresource = next(&ps);
	if (ps.at < ps.n)
		r.subpath = (struct cor_str){ ps.from[ps.at], (size_t)(ps.end - ps.from[ps.at]) };
	else if (r.subresource.n && path.n && path.p[path.n - 1] == '/')
		r.subpath = COR_STR("");
	if (r.old_watch)
		r.verb = COR_STR("watch");
	else
		refine_verb(&r, watch);
	*ret = r;
	return 0;
}
