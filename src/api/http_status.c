// SPDX-License-Identifier: Apache-2.0
// Errors as Status objects (facts/api-machinery.md section 3).
#include "api/http_priv.h"

#include <stdarg.h>
#include <stdio.h>

/* Which reasons say what the request was about. */
static bool has_details(enum cor_reason r) {
	switch (r) {
	case COR_REASON_NOT_FOUND:
	case COR_REASON_ALREADY_EXISTS:
	case COR_REASON_FORBIDDEN:
	case COR_REASON_CONFLICT:
	case COR_REASON_INVALID:
	case COR_REASON_METHOD_NOT_ALLOWED: return true;
	default: return false;
	}
}

static void fill_details(struct api_req *q, const struct api_failure *f, meta_v1_StatusDetails *d) {
	enum cor_reason reason = f->err->reason;
	if (q->res && has_details(reason) && !(f->details_kind && !*f->details_kind)) {
		d->name = f->name.p ? f->name : q->info.name;
		d->group = cor_str_c(q->res->group);
		d->kind = cor_str_c(f->details_kind ? f->details_kind : reason == COR_REASON_INVALID
			? q->res->kind : q->res->plural);
	}
	d->retryAfterSeconds = f->err->retry_after_s;
	for (size_t i = 0; i < f->n_causes; i++) {
		meta_v1_StatusCause *c = cor_arena_push(q->arena, &d->causes);
		if (c)
			*c = (meta_v1_StatusCause){
				.reason = f->causes[i].reason, .message = f->causes[i].message,
				.field = f->causes[i].field,
			};
	}
	if (reason == COR_REASON_INTERNAL_ERROR && f->n_causes == 0) {
		meta_v1_StatusCause *c = cor_arena_push(q->arena, &d->causes);
		if (c)
			c->message = cor_str_c(f->err->message);
	}
}

struct cor_str api_status_json(struct api_req *q, const struct api_failure *f) {
	meta_v1_StatusDetails d = { 0 };
	meta_v1_Status s = {
		.kind = COR_STR("Status"), .apiVersion = COR_STR("v1"), .status = COR_STR("Failure"),
		.message = f->message.p ? f->message : cor_str_c(f->err->message),
		.reason = cor_str_c(cor_reason_to_string(f->err->reason)),
		.code = cor_err_http(f->err),
	};
	s.metadata.continue_ = f->continue_token;
	fill_details(q, f, &d);
	if (has_details(f->err->reason) || d.retryAfterSeconds || d.causes.n)
		s.details = &d;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	(void)cor_json_encode(&cor_type_meta_v1_Status, &s, &b);
	return cor_arena_str(q->arena, cor_buf_view(&b));
}

void api_fail_with(struct api_req *q, const struct api_failure *f) {
	if (f->err->retry_after_s) {
		char text[16];
		int n = snprintf(text, sizeof(text), "%d", f->err->retry_after_s);
		cor_http_set_header(q->http, "retry-after", (struct cor_str){ text, (size_t)n });
	}
	struct cor_str json = api_status_json(q, f);
	if (!json.p)            /* the arena is what ran out */
		json = COR_STR("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
			"\"Failure\",\"message\":\"the request is too large\",\"code\":413}");
	api_reply_json(q, cor_err_http(f->err), &cor_type_meta_v1_Status, json);
}

void api_fail(struct api_req *q, const struct cor_err *err) {
	api_fail_with(q, &(struct api_failure){ .err = err });
}

void api_fail_status(struct api_req *q, enum cor_reason reason, const char *fmt, ...) {
	struct cor_err err;
	char text[sizeof(err.message)];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)!cor_fail_status(&err, reason, "%s", text);
	api_fail(q, &err);
}

bool api_fail_options(struct api_req *q, const char *kind, const struct cor_field_errors *errs) {
	if (errs->n == 0)
		return false;
	struct cor_err err;
	meta_v1_Status s = { 0 };
	struct cor_str group = COR_STR("meta.k8s.io");
	cor_field_errors_status(errs, group, cor_str_c(kind), COR_STR(""), &s);
	(void)!cor_field_errors_fail(errs, group, cor_str_c(kind), COR_STR(""), &err);
	cor_obj_set_typemeta(&cor_type_meta_v1_Status, &s, q->arena);
	s.apiVersion = COR_STR("v1");
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	(void)cor_json_encode(&cor_type_meta_v1_Status, &s, &b);
	api_reply_json(q, 422, &cor_type_meta_v1_Status, cor_buf_view(&b));
	return true;
}
