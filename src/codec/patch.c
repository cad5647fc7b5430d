// SPDX-License-Identifier: Apache-2.0
// Patches: choice of the type, and RFC 7396, which is short enough to live here.
#include "codec/patch.h"

#include "codec/patch_priv.h"

bool cor_patch_type_from_media(struct cor_str media_type, enum cor_patch_type *ret) {
	static const struct {
		const char *media;
		enum cor_patch_type type;
	} types[] = {
		{ "application/json-patch+json", COR_PATCH_JSON },
		{ "application/merge-patch+json", COR_PATCH_MERGE },
		{ "application/strategic-merge-patch+json", COR_PATCH_STRATEGIC },
		{ "application/apply-patch+yaml", COR_PATCH_APPLY },
	};
	for (size_t i = 0; i < cor_countof(types); i++)
		if (cor_str_eq_c(media_type, types[i].media)) {
			*ret = types[i].type;
			return true;
		}
	return false;
}

/* The depth of the result is at most the larger of the two, so trees stay within their limit. */
struct cor_node *cor_patch_merge(struct cor_node *doc, struct cor_node *patch,
	struct cor_arena *a) {
	if (!cor_node_is(patch, COR_NODE_OBJECT))
		return patch;
	if (!cor_node_is(doc, COR_NODE_OBJECT))
		doc = cor_node_object(a);
	for (size_t i = 0; i < patch->members.n; i++) {
		struct cor_member *m = &patch->members.p[i];
		if (m->value->kind == COR_NODE_NULL)
			(void)cor_node_remove(doc, m->key);
		else
			cor_node_set(a, doc, m->key,
				cor_patch_merge(cor_node_get(doc, m->key), m->value, a));
	}
	return doc;
}

int cor_patch_apply(enum cor_patch_type type, const struct cor_type *t, struct cor_node *current,
	struct cor_node *patch, struct cor_arena *a, struct cor_node **ret, struct cor_err *err) {
	struct cor_node *result = NULL;
	enum cor_node_kind wanted = type == COR_PATCH_JSON ? COR_NODE_ARRAY : COR_NODE_OBJECT;
	int r = COR_OK;
	if (!cor_node_is(patch, wanted))
		return cor_fail_status(err, COR_REASON_BAD_REQUEST, "the patch must be a JSON %s",
			cor_node_kind_to_string(wanted));
	switch (type) {
	case COR_PATCH_JSON:
		r = cor_patch_json(current, patch, a, &result, err);
		break;
	case COR_PATCH_MERGE:
		result = cor_patch_merge(current, patch, a);
		break;
	case COR_PATCH_STRATEGIC:
		if (!t)
			return cor_fail_status(err, COR_REASON_UNSUPPORTED_MEDIA_TYPE,
				"strategic merge patch format is not supported");
		r = cor_patch_strategic(t, current, patch, a, &result, err);
		break;
	default:
		return cor_fail(err, COR_E_UNSUPPORTED, "this type of patch works on fields, not on trees");
	}
	/* asked first: without memory, the other errors may be about what could not be held */
	if (cor_arena_failed(a) || (r >= 0 && !result))
		return cor_fail(err, COR_E_LIMIT, "the patch needs too much memory");
	if (r < 0)
		return r;
	*ret = result;
	return COR_OK;
}
