// SPDX-License-Identifier: Apache-2.0
// Lookups in the generated tables of types and resources.
#include "codec/type.h"

#include <endian.h>

#include "base/mem.h"

const struct cor_type *cor_type_by_name(struct cor_str name) {
	size_t lo = 0, hi = cor_types_n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = cor_str_cmp(cor_str_c(cor_text(cor_types[mid].name)), name);
		if (c == 0)
			return &cor_types[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* The first position in n sorted ones whose text is not below key. */
static size_t lower_bound(size_t n, struct cor_str key, const char *(*text)(size_t i)) {
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (cor_str_cmp(cor_str_c(text(mid)), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const char *nth_kind(size_t i) {
	return cor_text(cor_types[cor_types_by_kind[i]].kind);
}

static const struct cor_type *find_kind(struct cor_str group, struct cor_str version,
		struct cor_str kind) {
	size_t i = lower_bound(cor_types_by_kind_n, kind, nth_kind);
	for (; i < cor_types_by_kind_n && cor_str_eq_c(kind, nth_kind(i)); i++) {
		const struct cor_type *t = &cor_types[cor_types_by_kind[i]];
		if (cor_str_eq_c(group, cor_text(t->group)) && cor_str_eq_c(version, cor_text(t->version)))
			return t;
	}
	return NULL;
}

const struct cor_type *cor_type_gvk(struct cor_str group, struct cor_str version,
		struct cor_str kind) {
	const struct cor_type *t = find_kind(group, version, kind);
	if (!t)
		t = find_kind(COR_STR("meta.k8s.io"), COR_STR("v1"), kind);
	return t;
}

const struct cor_field *cor_type_field(const struct cor_type *t, struct cor_str json_name) {
	if (json_name.n == 0 || json_name.n > 255)
		return NULL;
	uint64_t prefix = 0;
	memcpy(&prefix, json_name.p, json_name.n < 8 ? json_name.n : 8);
	prefix = le64toh(prefix);
	const uint8_t *slots = cor_type_bytes + t->slots;
	size_t h = (prefix * t->slot_mul) >> t->slot_shift;
	for (; slots[h] != COR_NO_FIELD; h = (h + 1) & t->slot_mask) {
		const struct cor_field *f = &cor_type_fields(t)[slots[h]];
		if (f->prefix == prefix && f->json_n == json_name.n &&
			memcmp(cor_field_json(f), json_name.p, json_name.n) == 0)
			return f;
	}
	return NULL;
}

static const char *nth_plural(size_t i) {
	return cor_resources[cor_resources_by_plural[i]].plural;
}

const struct cor_resource *cor_resource_find(struct cor_str group, struct cor_str version,
		struct cor_str plural) {
	size_t i = lower_bound(cor_resources_n, plural, nth_plural);
	for (; i < cor_resources_n && cor_str_eq_c(plural, nth_plural(i)); i++) {
		const struct cor_resource *r = &cor_resources[cor_resources_by_plural[i]];
		if (cor_str_eq_c(group, r->group) && cor_str_eq_c(version, r->version))
			return r;
	}
	return NULL;
}

const struct cor_resource *cor_resource_by_kind(struct cor_str group, struct cor_str version,
		struct cor_str kind) {
	for (size_t i = 0; i < cor_resources_n; i++) {
		const struct cor_resource *r = &cor_resources[i];
		if (cor_str_eq_c(kind, r->kind) && cor_str_eq_c(group, r->group) &&
				cor_str_eq_c(version, r->version))
			return r;
	}
	return NULL;
}

const struct cor_subresource *cor_resource_sub(const struct cor_resource *r, struct cor_str name) {
	for (size_t i = 0; i < r->nsubs; i++)
		if (cor_str_eq_c(name, r->subs[i].name))
			return &r->subs[i];
	return NULL;
}

const char *cor_verb_to_string(enum cor_verb v) {
	static const struct {
		enum cor_verb verb;
		const char *name;
	} names[] = {
		{ COR_VERB_GET, "get" }, { COR_VERB_LIST, "list" }, { COR_VERB_WATCH, "watch" },
		{ COR_VERB_CREATE, "create" }, { COR_VERB_UPDATE, "update" },
		{ COR_VERB_PATCH, "patch" }, { COR_VERB_DELETE, "delete" },
		{ COR_VERB_DELETECOLLECTION, "deletecollection" },
	};
	for (size_t i = 0; i < cor_countof(names); i++)
		if (names[i].verb == v)
			return names[i].name;
	return "";
}
