// SPDX-License-Identifier: Apache-2.0
// DeleteOptions from a query and their rules; warnings; copies of users for operations.
#include "api/http_priv.h"

#include <stdio.h>

static bool read_i64(struct api_req *q, const char *name, struct cor_arena *a, int64_t **ret) {
	struct cor_str v = cor_http_param(q->http, name);
	if (!v.n)
		return true;
	*ret = cor_arena_new_of(a, int64_t);
	if (*ret && cor_str_to_i64(v, *ret))
		return true;
	api_fail_status(q, COR_REASON_BAD_REQUEST, "strconv.ParseInt: parsing \"%.*s\": invalid syntax",
		COR_STR_ARG(v));
	return false;
}

bool api_delete_query(struct api_req *q, struct meta_v1_DeleteOptions *o, struct cor_arena *a) {
	if (!read_i64(q, "gracePeriodSeconds", a, &o->gracePeriodSeconds))
		return false;
	struct cor_str orphan = cor_http_param(q->http, "orphanDependents");
	if (orphan.p && (o->orphanDependents = cor_arena_new_of(a, bool)))
		*o->orphanDependents = cor_query_bool(orphan);
	o->propagationPolicy = cor_arena_str(a, cor_http_param(q->http, "propagationPolicy"));
	struct cor_str uid = cor_http_param(q->http, "uid");
	struct cor_str rv = cor_http_param(q->http, "resourceVersion");
	bool single = q->info.name.n > 0;       /* of a collection it is the list's revision */
	if (single && (uid.n || rv.n) && (o->preconditions = cor_arena_new_of(a, meta_v1_Preconditions))) {
		o->preconditions->uid = cor_arena_str(a, uid);
		o->preconditions->resourceVersion = cor_arena_str(a, rv);
	}
	return true;
}

void api_check_delete(struct cor_field_errors *e, const struct meta_v1_DeleteOptions *o) {
	static const char *const policies[] = { "Foreground", "Background", "Orphan", "nil", NULL };
	static const char *const all[] = { "All", NULL };
	struct cor_str p = o->propagationPolicy;
	if (p.n && o->orphanDependents)
		cor_fe_invalid(e, COR_ROOT("propagationPolicy"), cor_fv_str(e, p),
			"orphanDependents and deletionPropagation cannot be both set");
	else if (p.p && !cor_str_eq_c(p, policies[0]) && !cor_str_eq_c(p, policies[1]) &&
		!cor_str_eq_c(p, policies[2]))
		cor_fe_not_supported(e, COR_ROOT("propagationPolicy"), cor_fv_str(e, p), policies);
	for (size_t i = 0; i < o->dryRun.n; i++)
		if (!cor_str_eq_c(o->dryRun.p[i], "All"))
			cor_fe_not_supported(e, COR_ROOT("dryRun"), cor_fv_strings(e, o->dryRun.p, o->dryRun.n), all);
}

enum cor_propagation api_propagation(const struct meta_v1_DeleteOptions *o) {
	if (o->orphanDependents)
		return *o->orphanDependents ? COR_PROPAGATION_ORPHAN : COR_PROPAGATION_FOREGROUND;
	if (cor_str_eq_c(o->propagationPolicy, "Orphan"))
		return COR_PROPAGATION_ORPHAN;
	if (cor_str_eq_c(o->propagationPolicy, "Foreground"))
		return COR_PROPAGATION_FOREGROUND;
	return cor_str_eq_c(o->propagationPolicy, "Background") ? COR_PROPAGATION_BACKGROUND
	                                                        : COR_PROPAGATION_DEFAULT;
}

void api_warn(struct api_req *q, struct cor_str text) {
	enum { WARNING_MAX = 4096 };
	_cleanup_buf_ struct cor_buf b = { .limit = 2 * WARNING_MAX };
	cor_buf_c(&b, "299 - \"");
	for (size_t i = 0; i < text.n && i < WARNING_MAX; i++) {
		char c = text.p[i];
		if (c == '"' || c == '\\')
			cor_buf_byte(&b, '\\');
		cor_buf_byte(&b, (unsigned char)c < 0x20 ? ' ' : c);
	}
	cor_buf_byte(&b, '"');
	cor_http_set_header(q->http, "warning", cor_buf_view(&b));
}

struct cor_user api_copy_user(struct cor_arena *a, const struct cor_user *u) {
	struct cor_user c = {
		.name = cor_arena_str(a, u->name), .uid = cor_arena_str(a, u->uid), .n_groups = u->n_groups,
	};
	struct cor_str *groups = cor_arena_array(a, struct cor_str, u->n_groups);
	for (size_t i = 0; groups && i < u->n_groups; i++)
		groups[i] = cor_arena_str(a, u->groups[i]);
	c.groups = groups;
	if (!groups)
		c.n_groups = 0;
	return c;
}
