// SPDX-License-Identifier: Apache-2.0
// Label and field selectors of a request, matched against the headers of stored objects.
#include "api/http_priv.h"

/* What events.k8s.io calls differently from core, and an old name of a pod's node. */
static const struct {
	enum cor_res res;
	const char *from, *to;
} renamed[] = {
	{ COR_RES_PODS, "spec.host", "spec.nodeName" },
	{ COR_RES_EVENTS_EVENTS, "regarding.kind", "involvedObject.kind" },
	{ COR_RES_EVENTS_EVENTS, "regarding.namespace", "involvedObject.namespace" },
	{ COR_RES_EVENTS_EVENTS, "regarding.name", "involvedObject.name" },
	{ COR_RES_EVENTS_EVENTS, "regarding.uid", "involvedObject.uid" },
	{ COR_RES_EVENTS_EVENTS, "regarding.apiVersion", "involvedObject.apiVersion" },
	{ COR_RES_EVENTS_EVENTS, "regarding.resourceVersion", "involvedObject.resourceVersion" },
	{ COR_RES_EVENTS_EVENTS, "regarding.fieldPath", "involvedObject.fieldPath" },
	{ COR_RES_EVENTS_EVENTS, "reportingController", "reportingComponent" },
};

static bool known_label(const struct api_req *q, struct cor_str label) {
	const struct cor_kind_ops *k = cor_kind_ops((enum cor_res)q->res->storage_id);
	if (cor_str_eq_c(label, "metadata.name") || cor_str_eq_c(label, "metadata.namespace"))
		return true;
	for (const char *const *l = k ? k->field_labels : NULL; l && *l; l++)
		if (cor_str_eq_c(label, *l))
			return true;
	return false;
}

static bool check_fields(struct api_req *q, struct cor_selector *s) {
	const struct cor_kind_ops *k = cor_kind_ops((enum cor_res)q->res->storage_id);
	for (size_t i = 0; i < s->n; i++) {
		struct cor_str asked = s->p[i].key;
		for (size_t j = 0; j < cor_countof(renamed); j++)
			if ((int)renamed[j].res == q->res->id && cor_str_eq_c(asked, renamed[j].from))
				s->p[i].key = cor_str_c(renamed[j].to);
		if (known_label(q, s->p[i].key))
			continue;
		if (k && k->field_labels)
			api_fail_status(q, COR_REASON_BAD_REQUEST, "field label not supported: %.*s",
				COR_STR_ARG(asked));
		else
			api_fail_status(q, COR_REASON_BAD_REQUEST, "\"%.*s\" is not a known field selector: "
				"only \"metadata.name\", \"metadata.namespace\"", COR_STR_ARG(asked));
		return false;
	}
	return true;
}

bool api_read_selection(struct api_req *q, struct api_selection *ret) {
	struct cor_err err;
	*ret = (struct api_selection){ 0 };
	struct cor_str labels = cor_http_param(q->http, "labelSelector");
	struct cor_str fields = cor_http_param(q->http, "fieldSelector");
	if ((labels.n && cor_selector_parse(q->arena, labels, &ret->labels, &err) < 0) ||
		(fields.n && cor_fields_parse(q->arena, fields, &ret->fields, &err) < 0)) {
		api_fail(q, &err);
		return false;
	}
	if (!check_fields(q, &ret->fields))
		return false;
	ret->name = cor_fields_required(&ret->fields, COR_STR("metadata.name"));
	if (q->info.name.n) {
		if (ret->name.p && !cor_str_eq(ret->name, q->info.name)) {
			api_fail_status(q, COR_REASON_BAD_REQUEST,
				"fieldSelector metadata.name doesn't match requested name");
			return false;
		}
		ret->name = q->info.name;
	}
	ret->any = cor_selector_is_everything(&ret->labels) && cor_selector_is_everything(&ret->fields);
	return true;
}

static struct cor_str value_of(const struct cor_obj *o, struct cor_str label) {
	if (cor_str_eq_c(label, "metadata.name"))
		return o->name;
	if (cor_str_eq_c(label, "metadata.namespace"))
		return o->ns;
	const struct cor_str *v = cor_strmap_get(&o->fields, label);
	return v ? *v : COR_STR("");
}

bool api_selected(const struct api_selection *s, const struct cor_obj *o) {
	if (s->any)
		return true;
	for (size_t i = 0; i < s->fields.n; i++) {
		const struct cor_requirement *r = &s->fields.p[i];
		bool equal = r->values.n && cor_str_eq(value_of(o, r->key), r->values.p[0]);
		if (equal == (r->op == COR_SEL_NE))
			return false;
	}
	return cor_selector_matches(&s->labels, &o->labels);
}
