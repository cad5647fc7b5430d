// SPDX-License-Identifier: Apache-2.0
// Requests that change something: options and body are read, an operation of the registry is
// started, and its outcome is the answer. The operation has memory of its own, since it ends after
// its write is durable whether or not the client is still there.
#include "api/http_list.h"

#include <stdio.h>

struct write_op {
	struct cor_op op;
	struct cor_user user;
	struct api_req *q;              /* NULL when the client has gone */
	bool orphan_false;              /* orphanDependents=false was given */
};

/* ---- options ---- */

static void check_field_manager(struct cor_field_errors *e, struct cor_str m) {
	if (m.n > 128)
		cor_fe_too_long(e, COR_ROOT("fieldManager"), 128);
	for (size_t i = 0; i < m.n; i++)
		if ((unsigned char)m.p[i] < 0x20 || m.p[i] == 0x7f) {
			cor_fe_invalid(e, COR_ROOT("fieldManager"), cor_fv_str(e, m),
				"invalid character U+%04X (at position %zu)", (unsigned)m.p[i], i);
			return;
		}
}

static bool read_dry_run(struct api_req *q, struct cor_field_errors *e) {
	static const char *const all[] = { "All", NULL };
	bool dry = false;
	struct cor_str v;
	for (size_t i = 0; (v = cor_http_param_at(q->http, "dryRun", i)).p; i++) {
		if (cor_str_eq_c(v, "All"))
			dry = true;
		else
			cor_fe_not_supported(e, COR_ROOT("dryRun"), cor_fv_strings(e, &v, 1), all);
	}
	return dry;
}

static bool read_options(struct api_req *q, struct cor_op *op, const char *kind) {
	static const char *const modes[] = { "", "Ignore", "Strict", "Warn", NULL };
	struct cor_field_errors e = COR_FIELD_ERRORS_INIT(q->arena);
	struct cor_str v = cor_http_param(q->http, "fieldValidation");
	op->dry_run = read_dry_run(q, &e);
	op->field_manager = cor_arena_str(op->arena, cor_http_param(q->http, "fieldManager"));
	check_field_manager(&e, op->field_manager);
	if (cor_str_eq_c(v, "Strict"))
		op->validation = COR_VALIDATION_STRICT;
	else if (cor_str_eq_c(v, "Ignore"))
		op->validation = COR_VALIDATION_IGNORE;
	else if (v.n && !cor_str_eq_c(v, "Warn"))
		cor_fe_not_supported(&e, COR_ROOT("fieldValidation"), cor_fv_str(&e, v), modes);
	struct cor_str force = cor_http_param(q->http, "force");
	if (op->verb == COR_VERB_PATCH && force.p && op->patch_type != COR_PATCH_APPLY)
		cor_fe_forbidden(&e, COR_ROOT("force"), "may not be specified for non-apply patch");
	return !api_fail_options(q, kind, &e);
}

/* The options of a deletion, from the body if there is one, else from the query. */
static bool read_delete_options(struct api_req *q, struct write_op *w) {
	struct cor_op *op = &w->op;
	struct cor_field_errors e = COR_FIELD_ERRORS_INIT(q->arena);
	meta_v1_DeleteOptions *o = cor_arena_new_of(op->arena, meta_v1_DeleteOptions);
	struct cor_strlist found = { 0 };
	struct cor_err err;
	if (!o)
		return false;
	if (q->http->body.n) {
		void *body;
		if (api_decode_body(q, &cor_type_meta_v1_DeleteOptions, op->arena, false, &body, &found,
			&err) < 0) {
			api_fail(q, &err);
			return false;
		}
		o = body;
		for (size_t i = 0; i < o->dryRun.n; i++)
			op->dry_run = true;
	} else if (!api_delete_query(q, o, op->arena)) {
		return false;
	} else {
		op->dry_run = read_dry_run(q, &e);
	}
	api_check_delete(&e, o);
	if (api_fail_options(q, "DeleteOptions", &e))
		return false;
	op->grace_s = o->gracePeriodSeconds ? *o->gracePeriodSeconds : -1;
	if (o->gracePeriodSeconds && *o->gracePeriodSeconds < 0)
		op->grace_s = 1;
	if (o->preconditions) {
		op->expect_uid = o->preconditions->uid;
		op->expect_rv = o->preconditions->resourceVersion;
	}
	op->propagation = api_propagation(o);
	w->orphan_false = o->orphanDependents && !*o->orphanDependents;
	return true;
}

/* ---- answers ---- */

static void add_warnings(struct api_req *q, const struct cor_op *op) {
	for (size_t i = 0; i < op->warnings.n; i++)
		api_warn(q, op->warnings.p[i]);
}

static void answer(struct api_req *q, struct write_op *w) {
	struct cor_op *op = &w->op;
	add_warnings(q, op);
	if (op->status < 0) {
		api_fail_with(q, &(struct api_failure){
			.err = &op->err, .message = op->message, .causes = op->causes,
			.n_causes = op->n_causes, .details_kind = op->details_kind,
			.name = q->info.name.n ? q->info.name : op->name,
		});
		return;
	}
	int http = op->http ? op->http : 200;
	if (op->verb == COR_VERB_DELETE && w->orphan_false && !op->removed)
		http = 202;
	struct cor_obj *blob = op->result && op->result_json.p == op->result->json.p ? op->result : NULL;
	api_reply_object(q, http, blob, op->result_json);
}

static void done(struct cor_op *op) {
	struct write_op *w = cor_container_of(op, struct write_op, op);
	struct api_req *q = w->q;
	if (q) {
		q->closed = NULL;
		answer(q, w);
	}
	cor_arena_free(op->arena);
}

static void closed(struct api_req *q) {
	struct write_op *w = q->state;
	w->q = NULL;
}

/* ---- starting ---- */

static struct write_op *make_op(struct api_req *q, enum cor_verb verb) {
	struct cor_arena *a = cor_arena_new(API_WRITE_ARENA);
	struct write_op *w = cor_arena_new_of(a, struct write_op);
	w->q = q;
	w->user = api_copy_user(a, &q->user);
	w->op = (struct cor_op){
		.verb = verb, .res = q->res, .arena = a, .user = &w->user, .grace_s = -1,
		.subresource = cor_arena_str(a, q->info.subresource),
		.ns = cor_arena_str(a, q->info.ns), .name = cor_arena_str(a, q->info.name),
		.done = done,
	};
	return w;
}

static void report_strict(struct api_req *q, const struct cor_strlist *found) {
	_cleanup_buf_ struct cor_buf all = { .limit = 4096 };
	for (size_t i = 0; i < found->n; i++)
		cor_buf_printf(&all, "%s%.*s", i ? ", " : "", COR_STR_ARG(found->p[i]));
	const struct cor_type *t = q->sub ? q->sub->type : q->res->type;
	struct cor_err err;
	(void)!cor_fail_status(&err, COR_REASON_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a "
		"%s: strict decoding error: %.*s", cor_text(t->kind), cor_text(t->version), cor_text(t->kind), (int)all.n, all.p);
	api_fail_with(q, &(struct api_failure){
		.err = &err, .message = cor_arena_printf(q->arena, "%s in version \"%s\" cannot be handled as "
			"a %s: strict decoding error: %.*s", cor_text(t->kind), cor_text(t->version), cor_text(t->kind), (int)all.n, all.p),
	});
}

static bool read_body(struct api_req *q, struct cor_op *op) {
	const struct cor_type *t = q->sub ? q->sub->type : q->res->type;
	struct cor_strlist found = { 0 };
	struct cor_err err;
	cor_assert(t);
	if (api_decode_body(q, t, op->arena, op->validation != COR_VALIDATION_IGNORE, &op->obj, &found,
		&err) < 0) {
		api_fail(q, &err);
		return false;
	}
	if (found.n && op->validation == COR_VALIDATION_STRICT) {
		report_strict(q, &found);
		return false;
	}
	for (size_t i = 0; i < found.n && op->validation == COR_VALIDATION_WARN; i++) {
		struct cor_str *w = cor_arena_push(op->arena, &op->warnings);
		if (w)
			*w = found.p[i];
	}
	return true;
}

static bool read_patch(struct api_req *q, struct cor_op *op) {
	if (!cor_patch_type_from_media(api_media_type(q), &op->patch_type) ||
		op->patch_type == COR_PATCH_APPLY) {
		api_fail_status(q, COR_REASON_UNSUPPORTED_MEDIA_TYPE, "the body of the request was in an "
			"unknown format - accepted media types include: application/json-patch+json, "
			"application/merge-patch+json, application/strategic-merge-patch+json");
		return false;
	}
	op->patch = cor_arena_str(op->arena, q->http->body);
	return true;
}

static enum cor_verb verb_of(const struct api_req *q) {
	struct cor_str v = q->info.verb;
	return cor_str_eq_c(v, "create") ? COR_VERB_CREATE : cor_str_eq_c(v, "update")
		? COR_VERB_UPDATE : cor_str_eq_c(v, "patch") ? COR_VERB_PATCH : COR_VERB_DELETE;
}

static bool read_request(struct api_req *q, struct write_op *w) {
	struct cor_op *op = &w->op;
	switch (op->verb) {
	case COR_VERB_CREATE: return read_options(q, op, "CreateOptions") && read_body(q, op);
	case COR_VERB_UPDATE: return read_options(q, op, "UpdateOptions") && read_body(q, op);
	case COR_VERB_PATCH: return read_patch(q, op) && read_options(q, op, "PatchOptions");
	default: return read_delete_options(q, w);
	}
}

void api_write(struct api_req *q) {
	struct write_op *w = make_op(q, verb_of(q));
	if (!read_request(q, w)) {
		cor_arena_free(w->op.arena);
		return;
	}
	if (cor_arena_failed(w->op.arena)) {
		cor_arena_free(w->op.arena);
		api_fail_status(q, COR_REASON_REQUEST_ENTITY_TOO_LARGE, "the request is too large");
		return;
	}
	q->state = w;
	q->closed = closed;
	cor_op_start(q->api->registry, &w->op);
}

/* ---- deletecollection ---- */

struct collection {
	struct write_op *options;       /* never started */
	struct api_page page;
	struct api_req *q;              /* NULL when the client has gone */
	struct cor_http_api *api;
	size_t next, under_way;
	struct cor_err err;             /* the first failure */
	bool failed;
};

enum { DELETES_AT_ONCE = 64 };

static void delete_more(struct collection *c);

static void collection_closed(struct api_req *q) {
	struct collection *c = q->state;
	c->q = NULL;
}

static void one_deleted(struct cor_op *op) {
	struct collection *c = op->arg;
	if (op->status < 0 && op->status != COR_E_NOT_FOUND && !c->failed) {
		c->failed = true;
		c->err = op->err;
	}
	cor_arena_free(op->arena);
	c->under_way--;
	delete_more(c);
}

static void start_delete(struct collection *c, const struct cor_obj *o) {
	struct cor_arena *a = cor_arena_new(API_WRITE_ARENA);
	struct cor_op *op = cor_arena_new_of(a, struct cor_op);
	*op = c->options->op;
	op->arena = a;
	op->ns = o->ns;
	op->name = o->name;
	op->done = one_deleted;
	op->arg = c;
	c->under_way++;
	cor_op_start(c->api->registry, op);
}

static void delete_more(struct collection *c) {
	while (!c->failed && c->next < c->page.blobs.n && c->under_way < DELETES_AT_ONCE)
		start_delete(c, c->page.blobs.p[c->next++]);
	if (c->under_way)
		return;
	if (c->q) {
		c->q->closed = NULL;
		if (c->failed)
			api_fail(c->q, &c->err);
		else
			api_reply_page(c->q, &c->page);
	}
	api_page_drop(&c->page);
	cor_arena_free(c->options->op.arena);
}

void api_delete_collection(struct api_req *q) {
	struct write_op *w = make_op(q, COR_VERB_DELETE);
	struct collection *c = cor_arena_new_of(w->op.arena, struct collection);
	c->options = w;
	c->q = q;
	c->api = q->api;
	if (!read_delete_options(q, w) || !api_list_page(q, &c->page)) {
		cor_arena_free(w->op.arena);
		return;
	}
	/* The page's list lies in the request's memory, which may go first. */
	struct cor_obj **own = cor_arena_array(w->op.arena, struct cor_obj *, c->page.blobs.n);
	cor_assert(own);
	if (c->page.blobs.n)
		memcpy(own, c->page.blobs.p, c->page.blobs.n * sizeof(*own));
	c->page.blobs.p = own;
	q->state = c;
	q->closed = collection_closed;
	delete_more(c);
}
