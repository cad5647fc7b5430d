// SPDX-License-Identifier: Apache-2.0
// ObjectMeta and label selectors: the rules that are the same in every kind
// (facts/kinds.md 3.1 and 3.3, facts/api-machinery.md 4.2).
#include "api/field_errors.h"

#include <stdio.h>

#include "base/buf.h"
#include "codec/codec.h"
#include "codec/quote.h"

enum { ANNOTATIONS_MAX = 262144, MANAGER_MAX = 128, SUBRESOURCE_MAX = 256 };

/* --- labels, annotations, finalizers --- */

void cor_validate_labels(struct cor_field_errors *e, const struct cor_fpath *path,
	const struct cor_strmap *labels) {
	for (size_t i = 0; i < labels->n; i++) {
		const struct cor_kv *kv = &labels->p[i];
		(void)cor_fe_broken(e, path, kv->key, cor_check_qualified_name(kv->key));
		(void)cor_fe_broken(e, path, kv->value, cor_check_label_value(kv->value));
	}
}

static struct cor_str lower(struct cor_arena *a, struct cor_str s) {
	char *p = cor_arena_bytes(a, s.n + 1);
	if (!p)
		return s;
	for (size_t i = 0; i < s.n; i++)
		p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
	return (struct cor_str){ p, s.n };
}

void cor_validate_annotations(struct cor_field_errors *e, const struct cor_fpath *path,
	const struct cor_strmap *annotations) {
	size_t total = 0;
	for (size_t i = 0; i < annotations->n; i++) {
		const struct cor_kv *kv = &annotations->p[i];
		struct cor_broken b = cor_check_qualified_name(kv->key);
		if (b.n > 0)    /* the prefix may have capitals here, and only here */
			b = cor_check_qualified_name(lower(e->arena, kv->key));
		(void)cor_fe_broken(e, path, kv->key, b);
		total += kv->key.n + kv->value.n;
	}
	if (total > ANNOTATIONS_MAX)
		cor_fe_too_long(e, path, ANNOTATIONS_MAX);
}

static const char *const standard_finalizers[] = { "kubernetes", "orphan", "foregroundDeletion" };

void cor_validate_finalizer(struct cor_field_errors *e, const struct cor_fpath *list, size_t i,
	struct cor_str finalizer, bool core_finalizers) {
	bool ok = cor_fe_broken(e, list, finalizer, cor_check_qualified_name(finalizer));
	if (!ok || !core_finalizers || cor_str_chr(finalizer, '/') < finalizer.n)
		return;
	for (size_t k = 0; k < cor_countof(standard_finalizers); k++)
		if (cor_str_eq_c(finalizer, standard_finalizers[k]))
			return;
	cor_fe_invalid(e, COR_INDEX(list, i), cor_fv_str(e, finalizer),
		"name is neither a standard finalizer name nor is it fully qualified");
}

static void check_finalizers(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *m, bool core) {
	bool orphan = false, foreground = false;
	for (size_t i = 0; i < m->finalizers.n; i++) {
		struct cor_str f = m->finalizers.p[i];
		orphan |= cor_str_eq_c(f, "orphan");
		foreground |= cor_str_eq_c(f, "foregroundDeletion");
		cor_validate_finalizer(e, path, i, f, core);
	}
	if (orphan && foreground)
		cor_fe_invalid(e, path, cor_fv_strings(e, m->finalizers.p, m->finalizers.n),
			"finalizer orphan and foregroundDeletion cannot be both set");
}

/* --- owners --- */

/* The errors carry no index: clients know them so. */
static void check_owner(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_OwnerReference *o) {
	struct cor_str api = o->apiVersion;
	size_t slash = cor_str_chr(api, '/');
	struct cor_str version = slash < api.n ? cor_str_sub(api, slash + 1, api.n) : api;
	const struct {
		const char *name;
		struct cor_str value;
	} needed[] = { { "kind", o->kind }, { "name", o->name }, { "uid", o->uid } };
	if (version.n == 0)
		cor_fe_invalid(e, COR_FIELD(path, "apiVersion"), cor_fv_str(e, api),
			"version must not be empty");
	for (size_t i = 0; i < cor_countof(needed); i++)
		if (needed[i].value.n == 0)
			cor_fe_invalid(e, COR_FIELD(path, needed[i].name),
				cor_fv_str(e, needed[i].value), "must not be empty");
	if (cor_str_eq_c(api, "v1") && cor_str_eq_c(o->kind, "Event"))
		cor_fe_invalid(e, path, cor_fv_obj(e, &cor_type_meta_v1_OwnerReference, o),
			"/v1, Kind=Event is disallowed from being an owner");
}

static struct cor_fvalue owners_value(struct cor_field_errors *e, const meta_v1_ObjectMeta *m) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_byte(&b, '[');
	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		cor_buf_c(&b, i ? "," : "");
		(void)cor_json_encode(&cor_type_meta_v1_OwnerReference, &m->ownerReferences.p[i], &b);
	}
	cor_buf_byte(&b, ']');
	return cor_fv_json(cor_arena_str(e->arena, cor_buf_view(&b)));
}

static void check_owners(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *m) {
	const meta_v1_OwnerReference *first = NULL;
	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		const meta_v1_OwnerReference *o = &m->ownerReferences.p[i];
		check_owner(e, path, o);
		if (!o->controller || !*o->controller)
			continue;
		if (!first) {
			first = o;
			continue;
		}
		cor_fe_invalid(e, path, owners_value(e, m), "Only one reference can have Controller "
			"set to true. Found \"true\" in references for %.*s/%.*s and %.*s/%.*s",
			COR_STR_ARG(first->kind), COR_STR_ARG(first->name), COR_STR_ARG(o->kind),
			COR_STR_ARG(o->name));
	}
}

/* --- managed fields --- */

static void check_managed(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ManagedFieldsEntry *m) {
	if (!cor_str_eq_c(m->operation, "Apply") && !cor_str_eq_c(m->operation, "Update"))
		cor_fe_invalid(e, COR_FIELD(path, "operation"), cor_fv_str(e, m->operation),
			"must be `Apply` or `Update`");
	if (m->fieldsType.n > 0 && !cor_str_eq_c(m->fieldsType, "FieldsV1"))
		cor_fe_invalid(e, COR_FIELD(path, "fieldsType"), cor_fv_str(e, m->fieldsType),
			"must be `FieldsV1`");
	if (m->manager.n > MANAGER_MAX)
		cor_fe_too_long(e, COR_FIELD(path, "manager"), MANAGER_MAX);
	for (size_t i = 0; i < m->manager.n; i++)
		if ((unsigned char)m->manager.p[i] < 0x20 || m->manager.p[i] == 0x7f) {
			cor_fe_invalid(e, COR_FIELD(path, "manager"), cor_fv_str(e, m->manager),
				"invalid character U+%04X (at position %zu)",
				(unsigned)m->manager.p[i], i);
			break;
		}
	if (m->subresource.n > SUBRESOURCE_MAX)
		cor_fe_too_long(e, COR_FIELD(path, "subresource"), SUBRESOURCE_MAX);
}

/* --- the whole --- */

static void check_names(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *m, const struct cor_meta_rules *rules) {
	struct cor_broken (*rule)(struct cor_str name, bool prefix) =
		rules->name ? rules->name : cor_name_subdomain;
	const struct cor_fpath *name = COR_FIELD(path, "name"), *ns = COR_FIELD(path, "namespace");
	if (m->generateName.n > 0)
		(void)cor_fe_broken(e, COR_FIELD(path, "generateName"), m->generateName,
			rule(m->generateName, true));
	if (m->name.n > 0)
		(void)cor_fe_broken(e, name, m->name, rule(m->name, false));
	else
		cor_fe_required(e, name, "name or generateName is required");
	if (rules->namespaced && m->namespace.n == 0)
		cor_fe_required(e, ns, "%s", "");
	else if (rules->namespaced)
		(void)cor_fe_broken(e, ns, m->namespace, cor_check_dns_label(m->namespace));
	else if (m->namespace.n > 0)
		cor_fe_forbidden(e, ns, "not allowed on this type");
	/* a rule of a kind may be wider than what fits in a URL; the others imply it */
	if (m->name.n > 0 && rule != cor_name_path_segment && rule(m->name, false).n == 0)
		(void)cor_fe_broken(e, name, m->name, cor_check_path_segment(m->name));
}

static void check_common(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *m, bool core_finalizers) {
	(void)cor_fe_not_negative(e, COR_FIELD(path, "generation"), m->generation);
	cor_validate_labels(e, COR_FIELD(path, "labels"), &m->labels);
	cor_validate_annotations(e, COR_FIELD(path, "annotations"), &m->annotations);
	check_owners(e, COR_FIELD(path, "ownerReferences"), m);
	check_finalizers(e, COR_FIELD(path, "finalizers"), m, core_finalizers);
	const struct cor_fpath *managed = COR_FIELD(path, "managedFields");
	for (size_t i = 0; i < m->managedFields.n; i++)
		check_managed(e, COR_INDEX(managed, i), &m->managedFields.p[i]);
}

void cor_validate_meta(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *m, const struct cor_meta_rules *rules) {
	check_names(e, path, m, rules);
	check_common(e, path, m, rules->core_finalizers);
}

/* --- updates --- */

static void check_new_finalizers(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *m, const meta_v1_ObjectMeta *old) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < m->finalizers.n; i++) {
		bool known = false;
		for (size_t k = 0; k < old->finalizers.n && !known; k++)
			known = cor_str_eq(m->finalizers.p[i], old->finalizers.p[k]);
		if (known)
			continue;
		cor_buf_c(&b, b.n ? ", " : "");
		cor_go_quote(&b, m->finalizers.p[i]);
	}
	if (b.n > 0)
		cor_fe_forbidden(e, path, "no new finalizers can be added if the object is being "
			"deleted, found new finalizers []string{%.*s}", COR_STR_ARG(cor_buf_view(&b)));
}

static void immutable_time(struct cor_field_errors *e, const struct cor_fpath *path, cor_time now,
	cor_time old) {
	char text[COR_TIME_TEXT_MAX];
	if (now == old)
		return;
	size_t n = now ? cor_time_format(now, false, text) : 0;
	cor_fe_invalid(e, path, now ? cor_fv_str(e, (struct cor_str){ text, n }) : cor_fv_null(),
		COR_MSG_IMMUTABLE);
}

void cor_validate_meta_update(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_ObjectMeta *m, const meta_v1_ObjectMeta *old) {
	if (old->deletionTimestamp)
		check_new_finalizers(e, COR_FIELD(path, "finalizers"), m, old);
	if (m->resourceVersion.n == 0)
		cor_fe_invalid(e, COR_FIELD(path, "resourceVersion"), cor_fv_int(e, 0),
			"must be specified for an update");
	if (m->generation < old->generation)
		cor_fe_invalid(e, COR_FIELD(path, "generation"), cor_fv_int(e, m->generation),
			"must not be decremented");
	const struct {
		const char *name;
		struct cor_str now, old;
	} fixed[] = {
		{ "name", m->name, old->name },
		{ "namespace", m->namespace, old->namespace },
		{ "uid", m->uid, old->uid },
	};
	for (size_t i = 0; i < cor_countof(fixed); i++)
		(void)cor_fe_immutable_str(e, COR_FIELD(path, fixed[i].name), fixed[i].now,
			fixed[i].old);
	immutable_time(e, COR_FIELD(path, "creationTimestamp"), m->creationTimestamp,
		old->creationTimestamp);
	immutable_time(e, COR_FIELD(path, "deletionTimestamp"), m->deletionTimestamp,
		old->deletionTimestamp);
	const int64_t *grace = m->deletionGracePeriodSeconds;
	const int64_t *old_grace = old->deletionGracePeriodSeconds;
	if ((grace || old_grace) && (!grace || !old_grace || *grace != *old_grace))
		cor_fe_invalid(e, COR_FIELD(path, "deletionGracePeriodSeconds"),
			grace ? cor_fv_int(e, *grace) : cor_fv_null(), COR_MSG_IMMUTABLE);
	check_common(e, path, m, false);
}

/* --- label selectors --- */

static void check_expression(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_LabelSelectorRequirement *r, bool allow_bad_values) {
	const struct cor_fpath *values = COR_FIELD(path, "values");
	bool in = cor_str_eq_c(r->operator, "In") || cor_str_eq_c(r->operator, "NotIn");
	bool exists = cor_str_eq_c(r->operator, "Exists") ||
		cor_str_eq_c(r->operator, "DoesNotExist");
	if (in && r->values.n == 0)
		cor_fe_required(e, values, "must be specified when `operator` is 'In' or 'NotIn'");
	if (exists && r->values.n > 0)
		cor_fe_forbidden(e, values,
			"may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	if (!in && !exists)
		cor_fe_invalid(e, COR_FIELD(path, "operator"), cor_fv_str(e, r->operator),
			"not a valid selector operator");
	(void)cor_fe_broken(e, COR_FIELD(path, "key"), r->key, cor_check_qualified_name(r->key));
	for (size_t i = 0; !allow_bad_values && i < r->values.n; i++)
		(void)cor_fe_broken(e, COR_INDEX(values, i), r->values.p[i],
			cor_check_label_value(r->values.p[i]));
}

void cor_validate_label_selector(struct cor_field_errors *e, const struct cor_fpath *path,
	const meta_v1_LabelSelector *s, bool allow_bad_values) {
	if (!s)
		return;
	cor_validate_labels(e, COR_FIELD(path, "matchLabels"), &s->matchLabels);
	const struct cor_fpath *expressions = COR_FIELD(path, "matchExpressions");
	for (size_t i = 0; i < s->matchExpressions.n; i++)
		check_expression(e, COR_INDEX(expressions, i), &s->matchExpressions.p[i],
			allow_bad_values);
}
