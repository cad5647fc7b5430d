// SPDX-License-Identifier: Apache-2.0
// Request bodies: JSON, YAML and protobuf to a typed object, with the texts that clients match on
// when a body is not what the endpoint takes (facts/api-machinery.md sections 2.2 and 4).
#include "api/http_priv.h"

#include <stdio.h>

#include "codec/tree.h"

static int unsupported_media(struct cor_err *err) {
	return cor_fail_status(err, COR_REASON_UNSUPPORTED_MEDIA_TYPE, "the body of the request was in an "
		"unknown format - accepted media types include: application/json, application/yaml, "
		"application/vnd.kubernetes.protobuf");
}

static int check_typemeta(const struct cor_type *t, struct cor_str version, struct cor_str kind,
	struct cor_err *err) {
	char want[COR_RES_TEXT_MAX];
	(void)cor_type_api_version(t, want, sizeof(want));
	bool meta = strcmp(cor_text(t->group), "meta.k8s.io") == 0 || t == &cor_type_meta_v1_DeleteOptions;
	if (version.n && !meta && !cor_str_eq_c(version, want))
		return cor_fail_status(err, COR_REASON_BAD_REQUEST, "the API version in the data (%.*s) does "
			"not match the expected API version (%s)", COR_STR_ARG(version), want);
	if (kind.n && !cor_str_eq_c(kind, cor_text(t->kind)))
		return cor_fail_status(err, COR_REASON_BAD_REQUEST, "%.*s in version \"%s\" cannot be "
			"handled as a %s: converting %.*s to %s: unknown conversion", COR_STR_ARG(kind),
			cor_text(t->version), cor_text(t->kind), COR_STR_ARG(kind), cor_text(t->kind));
	return 0;
}

static int undecodable(const struct cor_type *t, struct cor_str kind, struct cor_err *err) {
	struct cor_err why = *err;
	if (why.code == COR_E_LIMIT)
		return cor_fail_status(err, COR_REASON_REQUEST_ENTITY_TOO_LARGE, "%s", why.message);
	return cor_fail_status(err, COR_REASON_BAD_REQUEST, "%.*s in version \"%s\" cannot be handled as "
		"a %s: %s", COR_STR_ARG(kind.n ? kind : cor_str_c(cor_text(t->kind))), cor_text(t->version), cor_text(t->kind),
		why.message);
}

/* Nothing in it says what it is: bytes that are no document at all. */
static int unrecognized(const struct cor_type *t, struct cor_str body, struct cor_err *err) {
	char prefix[64];
	size_t n = body.n < 30 ? body.n : 30;
	if (body.n && *body.p == '{') {
		(void)snprintf(prefix, sizeof(prefix), "%.*s", (int)n, body.p);
	} else {
		for (size_t i = 0; i < n; i++)
			(void)snprintf(prefix + 2 * i, sizeof(prefix) - 2 * i, "%02x", (uint8_t)body.p[i]);
		prefix[2 * n] = '\0';
	}
	struct cor_err why = *err;
	return cor_fail_status(err, COR_REASON_BAD_REQUEST, "the object provided is unrecognized (must be "
		"of type %s): %s (%s ...)", cor_text(t->kind), why.message, prefix);
}

static int decode_json(const struct cor_type *t, struct cor_str text, struct cor_decode *d,
	void **ret, struct cor_err *err) {
	struct cor_str version = { 0 }, kind = { 0 };
	if (cor_json_typemeta(text, d->arena, &version, &kind, err) < 0)
		return unrecognized(t, text, err);
	int status = check_typemeta(t, version, kind, err);
	if (status < 0)
		return status;
	if (cor_json_decode_new(t, text, ret, d, err) < 0)
		return undecodable(t, kind, err);
	return 0;
}

static int decode_proto(const struct cor_type *t, struct cor_str body, struct cor_decode *d,
	void **ret, struct cor_err *err) {
	struct cor_envelope e;
	if (cor_proto_open(body, &e, err) < 0)
		return unrecognized(t, body, err);
	int status = check_typemeta(t, e.api_version, e.kind, err);
	if (status < 0)
		return status;
	*ret = cor_arena_alloc(d->arena, t->size);
	if (!*ret)
		return cor_fail(err, COR_E_LIMIT, "the request is too large");
	if (cor_proto_decode(t, e.raw, *ret, d, err) < 0)
		return undecodable(t, e.kind, err);
	return 0;
}

int api_decode_body(struct api_req *q, const struct cor_type *t, struct cor_arena *a, bool strict,
	void **ret, struct cor_strlist *found, struct cor_err *err) {
	struct cor_decode d = { .arena = a, .strict = strict };
	/* A copy, since the object points into it and may outlive the request. */
	struct cor_str body = cor_arena_str(a, q->http->body);
	int status;
	switch (api_content_type(q)) {
	case API_CONTENT_JSON:
		status = decode_json(t, body, &d, ret, err);
		break;
	case API_CONTENT_PROTO:
		status = decode_proto(t, body, &d, ret, err);
		break;
	case API_CONTENT_YAML:
		status = api_yaml_to_json(a, body, &body, found, err);
		if (status >= 0)
			status = decode_json(t, body, &d, ret, err);
		break;
	default:
		return unsupported_media(err);
	}
	if (status < 0)
		return status;
	if (!found->p)
		*found = d.errors;
	else
		for (size_t i = 0; i < d.errors.n; i++) {
			struct cor_str *s = cor_arena_push(a, found);
			if (s)
				*s = d.errors.p[i];
		}
	return 0;
}
