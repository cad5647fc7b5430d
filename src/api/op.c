// SPDX-License-Identifier: Apache-2.0
// An operation from start to its callback: the list of steps of its verb, the errors that all
// steps make, and the one place where an object goes to the store.
#include "api/registry_priv.h"

#include <stdarg.h>
#include <stdio.h>

static const struct cor_kind_ops no_rules;

/* ---- life ---- */

void cor_op_finish(struct op_run *x, int status) {
	struct cor_registry *r = x->r;
	x->op->status = status < 0 ? status : 0;
	if (cor_arena_failed(x->op->arena) && status >= 0)
		x->op->status = cor_fail_status(&x->op->err, COR_REASON_REQUEST_ENTITY_TOO_LARGE,
			"the request needs more memory than it may have");
	x->next = NULL;
	*r->finished_tail = x;
	r->finished_tail = &x->next;
	if (!r->turn.armed)
		r->world->timer_set(r->world, &r->turn, 0);
}

void cor_op_continue(struct op_run *x) {
	for (;;) {
		int status = *x->step ? (*x->step)(x) : OP_DONE;
		if (status == OP_WAIT)
			return;
		if (status == OP_JUMP)
			continue;
		if (status != OP_NEXT) {
			if (status < 0)
				cor_step_release(x);
			cor_op_finish(x, status);
			return;
		}
		x->step++;
	}
}

static void warn_fmt(struct cor_kind_ctx *ctx, const char *fmt, ...) {
	struct op_run *x = ctx->impl;
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cor_op_warn(x, cor_str_c(text));
}

static int unsupported(struct op_run *x) {
	char res[COR_RES_TEXT_MAX];
	return cor_fail_status(&x->op->err, COR_REASON_METHOD_NOT_ALLOWED,
		"%s is not supported on resources of kind \"%s\"", cor_verb_to_string(x->op->verb),
		cor_resource_text(x->res, res));
}
static const op_step unsupported_steps[] = { unsupported, NULL };

static const op_step *steps_of(const struct op_run *x) {
	const struct cor_op *op = x->op;
	if (op->subresource.n) {
		const struct cor_subresource_ops *s =
			cor_subresource_ops((enum cor_res)x->res->id, op->subresource);
		if (s)
			return s->steps;
		if (cor_op_sub_is(x, "scale"))
			return cor_op_scale_steps;
		if (!cor_op_sub_is(x, "status") || op->verb == COR_VERB_CREATE)
			return unsupported_steps;
	}
	switch (op->verb) {
	case COR_VERB_CREATE: return cor_op_create_steps;
	case COR_VERB_UPDATE:
	case COR_VERB_PATCH: return cor_op_update_steps;
	case COR_VERB_DELETE: return cor_op_delete_steps;
	default: return unsupported_steps;
	}
}

void cor_op_start(struct cor_registry *r, struct cor_op *op) {
	cor_assert(op->done && op->arena && op->res);
	struct op_run *x = cor_new(struct op_run);
	*x = (struct op_run){ .r = r, .op = op, .res = op->res };
	x->storage = &cor_resources[op->res->storage_id];
	x->type = x->storage->type;
	x->kind = cor_kind_ops((enum cor_res)x->storage->id);
	if (!x->kind)
		x->kind = &no_rules;
	x->ctx = (struct cor_kind_ctx){
		.registry = r, .store = r->store, .world = r->world, .arena = op->arena,
		.now = cor_now(r->world), .res = x->storage, .subresource = op->subresource,
		.ns = op->ns, .name = op->name, .user = op->user, .dry_run = op->dry_run,
		.warn = warn_fmt, .impl = x,
	};
	op->impl = x;
	op->http = 200;
	op->status = 0;
	op->accepted = false;
	if (!op->ns.p)
		op->ns = x->ctx.ns = COR_STR("");
	r->running++;
	x->step = steps_of(x);
	if (r->closing) {
		cor_op_finish(x, cor_fail(&op->err, COR_E_CLOSED, "the server is stopping"));
		return;
	}
	cor_op_continue(x);
}

/* ---- small things for the steps ---- */

struct meta_v1_ObjectMeta *cor_op_meta(struct op_run *x) {
	return cor_meta(x->type, x->obj);
}

struct meta_v1_ObjectMeta *cor_op_old_meta(struct op_run *x) {
	return cor_meta(x->type, x->old);
}

bool cor_op_sub_is(const struct op_run *x, const char *name) {
	return cor_str_eq_c(x->op->subresource, name);
}

bool cor_op_has_status(const struct op_run *x) {
	return cor_resource_sub(x->storage, COR_STR("status")) != NULL;
}

static void unref(void *o) {
	cor_obj_unref(o);
}

bool cor_op_load(struct op_run *x, int *ret_status) {
	struct cor_obj *o = cor_store_get_newest(x->r->store, (uint16_t)x->storage->id, x->op->ns,
		x->op->name);
	*ret_status = 0;
	if (!o)
		return false;
	x->old_blob = cor_obj_ref(o);
	cor_arena_on_dispose(x->op->arena, unref, o);
	x->old = cor_obj_decode(o, x->op->arena, &x->op->err);
	if (!x->old)
		*ret_status = x->op->err.code;
	return true;
}

void cor_op_warn(struct op_run *x, struct cor_str text) {
	for (size_t i = 0; i < x->op->warnings.n; i++)
		if (cor_str_eq(x->op->warnings.p[i], text))
			return;
	struct cor_str *w = cor_arena_push(x->op->arena, &x->op->warnings);
	if (w)
		*w = cor_arena_str(x->op->arena, text);
}

/* ---- errors ---- */

static const char *qualified(const struct op_run *x, char *out) {
	char res[COR_RES_TEXT_MAX];
	(void)snprintf(out, 2 * COR_RES_TEXT_MAX, "%s", cor_resource_text(x->res, res));
	return out;
}

int cor_op_not_found(struct op_run *x) {
	char res[2 * COR_RES_TEXT_MAX];
	return cor_fail_status(&x->op->err, COR_REASON_NOT_FOUND, "%s \"%.*s\" not found",
		qualified(x, res), COR_STR_ARG(x->op->name));
}

int cor_op_exists(struct op_run *x, struct cor_str name) {
	char res[2 * COR_RES_TEXT_MAX];
	struct cor_obj *o = cor_store_get_newest(x->r->store, (uint16_t)x->storage->id, x->op->ns, name);
	bool generated = x->attempts > 0;
	int status = cor_fail_status(&x->op->err, COR_REASON_ALREADY_EXISTS,
		"%s%s \"%.*s\" already exists%s", o && o->deleting ? "object is being deleted: " : "",
		qualified(x, res), COR_STR_ARG(name), generated
		? ", the server was not able to generate a unique name for the object" : "");
	if (generated)
		x->op->err.retry_after_s = 1;
	return status;
}

#define FORMAT(buf, fmt) \
	va_list ap; \
	va_start(ap, fmt); \
	(void)vsnprintf((buf), sizeof(buf), (fmt), ap); \
	va_end(ap)

int cor_op_bad_request(struct op_run *x, const char *fmt, ...) {
	char text[1024];
	FORMAT(text, fmt);
	return cor_fail_status(&x->op->err, COR_REASON_BAD_REQUEST, "%s", text);
}

int cor_op_conflict(struct op_run *x, const char *fmt, ...) {
	char text[1024], res[2 * COR_RES_TEXT_MAX];
	FORMAT(text, fmt);
	return cor_fail_status(&x->op->err, COR_REASON_CONFLICT,
		"Operation cannot be fulfilled on %s%s%.*s \"%.*s\": %s", qualified(x, res),
		x->op->subresource.n ? "/" : "", COR_STR_ARG(x->op->subresource),
		COR_STR_ARG(x->op->name), text);
}

int cor_op_forbidden(struct op_run *x, const char *fmt, ...) {
	char text[1024], res[2 * COR_RES_TEXT_MAX];
	FORMAT(text, fmt);
	struct cor_str name = x->op->name;
	if (name.n == 0 && x->obj)
		name = cor_op_meta(x)->name;
	return cor_fail_status(&x->op->err, COR_REASON_FORBIDDEN, "%s \"%.*s\" is forbidden: %s",
		qualified(x, res), COR_STR_ARG(name), text);
}

int cor_op_invalid(struct op_run *x, const struct cor_field_errors *errs, const char *kind,
	const char *group) {
	if (errs->n == 0)
		return 0;
	struct cor_op *op = x->op;
	struct cor_str name = x->obj ? cor_op_meta(x)->name : op->name;
	meta_v1_Status s = { 0 };
	struct cor_str g = cor_str_c(group ? group : x->res->group);
	struct cor_str k = cor_str_c(kind ? kind : x->res->kind);
	cor_field_errors_status(errs, g, k, name, &s);
	op->message = s.message;
	op->causes = cor_arena_array(op->arena, struct cor_cause, errs->n);
	for (size_t i = 0; op->causes && i < errs->n; i++) {
		const struct cor_field_error *e = &errs->p[i];
		op->causes[i] = (struct cor_cause){
			.field = e->field, .reason = cor_str_c(cor_field_error_reason(e->type)),
			.message = e->body,
		};
		op->n_causes = i + 1;
	}
	return cor_field_errors_fail(errs, g, k, name, &op->err);
}

/* ---- answers ---- */

int cor_op_answer_object(struct op_run *x, const struct cor_type *t, const void *obj) {
	struct cor_buf *b = &x->r->encode;
	cor_buf_clear(b);
	if (cor_json_encode(t, obj, b) < 0)
		return cor_fail(&x->op->err, COR_E_LIMIT, "the object is too large");
	x->op->result_json = cor_arena_str(x->op->arena, cor_buf_view(b));
	return 0;
}

void cor_op_answer_blob(struct op_run *x, struct cor_obj *blob) {
	cor_obj_unref(x->op->result);
	x->op->result = cor_obj_ref(blob);
	x->op->result_json = blob->json;
}

/* ---- the write ---- */

static int store_failed(struct op_run *x) {
	const struct cor_write *w = &x->write;
	x->op->err = w->err;
	switch (w->status) {
	case COR_E_EXISTS: return cor_op_exists(x, w->obj->name);
	case COR_E_NOT_FOUND: return cor_op_not_found(x);
	case COR_E_CONFLICT:
		return cor_op_conflict(x, "the object has been modified; please apply your changes to "
			"the latest version and try again");
	default:
		/* A full or broken disk: the client may try again, nothing was changed. */
		return cor_fail_status(&x->op->err, COR_REASON_INTERNAL_ERROR,
			"Internal error occurred: the change could not be stored: %s", w->err.message);
	}
}

static void written(struct cor_write *w) {
	struct op_run *x = w->arg;
	if (w->status < 0) {
		int status = store_failed(x);
		cor_step_release(x);
		cor_op_finish(x, status);
	} else {
		cor_op_answer_blob(x, w->result);
		if (w->op == COR_WRITE_DELETE) {
			x->op->removed = true;
			if (x->kind->release)
				x->kind->release(&x->ctx, x->old, NULL);
		} else if (w->op == COR_WRITE_UPDATE && x->allocated && x->kind->release) {
			x->kind->release(&x->ctx, x->old, x->obj);
		}
		x->step++;
		cor_op_continue(x);
	}
	cor_obj_unref(w->obj);
}

/* A heartbeat says nothing but that its sender lives: worth no write to the disk. */
static bool is_heartbeat(struct op_run *x) {
	if (!(x->kind->flags & COR_KIND_MEMORY_STATUS) || !x->old)
		return false;
	return x->kind->heartbeat && x->kind->heartbeat(&x->ctx, x->obj, x->old);
}

/* a has no resourceVersion yet; b has one. */
static bool same_content(const struct cor_obj *a, const struct cor_obj *b) {
	static const char around[] = "\"resourceVersion\":\"\",";
	char rev[24];
	int digits = snprintf(rev, sizeof(rev), "%llu", (unsigned long long)b->rev);
	size_t extra = sizeof(around) - 1 + (size_t)digits;
	return a->json.n + extra == b->json.n && a->rv_at == b->rv_at &&
		memcmp(a->json.p, b->json.p, a->rv_at) == 0 &&
		memcmp(a->json.p + a->rv_at, b->json.p + b->rv_at + extra, a->json.n - a->rv_at) == 0;
}

int cor_op_write(struct op_run *x, enum cor_write_op op) {
	struct cor_op *o = x->op;
	if (o->dry_run) {
		o->removed = op == COR_WRITE_DELETE;
		if (x->old)     /* of a create there is no version yet */
			cor_op_meta(x)->resourceVersion = cor_op_old_meta(x)->resourceVersion;
		cor_obj_set_typemeta(x->type, x->obj, o->arena);
		int status = cor_op_answer_object(x, x->type, x->obj);
		cor_step_release(x);
		return status;
	}
	struct cor_obj *blob = cor_registry_blob(x->r, x->storage, x->obj, o->arena, &o->err);
	if (!blob)
		return o->err.code;
	/* What another write under way has made is not durable yet, so it is no answer. */
	if (op == COR_WRITE_UPDATE && x->old_blob->rev <= cor_store_rev(x->r->store) &&
		same_content(blob, x->old_blob)) {
		cor_obj_unref(blob);
		cor_op_answer_blob(x, x->old_blob);
		return OP_NEXT;
	}
	x->write = (struct cor_write){
		.op = op, .obj = blob, .res = blob->res, .ns = blob->ns, .name = blob->name,
		.expect_rev = x->old_blob ? x->old_blob->rev : 0,
		.in_memory = op == COR_WRITE_UPDATE && is_heartbeat(x), .done = written, .arg = x,
	};
	cor_store_write(x->r->store, &x->write);
	o->accepted = x->write.status >= 0 && !x->step[1];
	return OP_WAIT;
}
