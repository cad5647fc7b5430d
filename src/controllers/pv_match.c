// SPDX-License-Identifier: Apache-2.0
// Which existing PersistentVolume suits a claim (facts/controllers.md 17.2): one that already names the
// claim, else the smallest that is free, large enough and alike in class, modes and labels.
#include "controllers/pv_priv.h"

#include "codec/quantity.h"

static bool has_mode(const struct core_v1_PersistentVolume *pv, struct cor_str mode) {
	for (size_t i = 0; i < pv->spec.accessModes.n; i++)
		if (cor_str_eq(pv->spec.accessModes.p[i], mode))
			return true;
	return false;
}

static struct cor_str volume_mode(struct cor_str v) {
	return v.n > 0 ? v : COR_STR("Filesystem");
}

struct cor_quantity pv_request(const struct core_v1_PersistentVolumeClaim *c) {
	return cor_quantity_of(cor_strmap_value(&c->spec.resources.requests, COR_STR("storage")));
}

struct cor_quantity pv_capacity(const struct core_v1_PersistentVolume *pv) {
	return cor_quantity_of(cor_strmap_value(&pv->spec.capacity, COR_STR("storage")));
}

const char *pv_mismatch(const struct core_v1_PersistentVolume *pv, const struct core_v1_PersistentVolumeClaim *c) {
	if (cor_quantity_cmp(pv_capacity(pv), pv_request(c)) < 0)
		return "requested PV is too small";
	if (!cor_str_eq(pv->spec.storageClassName, c->spec.storageClassName))
		return "storageClassName does not match";
	if (!cor_str_eq(volume_mode(pv->spec.volumeMode), volume_mode(c->spec.volumeMode)))
		return "incompatible volumeMode";
	for (size_t i = 0; i < c->spec.accessModes.n; i++)
		if (!has_mode(pv, c->spec.accessModes.p[i]))
			return "incompatible accessMode";
	return NULL;
}

bool pv_claimed_by(const struct core_v1_PersistentVolume *pv, const struct core_v1_PersistentVolumeClaim *c) {
	const struct core_v1_ObjectReference *r = pv->spec.claimRef;
	return r && cor_str_eq(r->namespace, c->metadata.namespace) && cor_str_eq(r->name, c->metadata.name) &&
		(r->uid.n == 0 || cor_str_eq(r->uid, c->metadata.uid));
}

const struct core_v1_PersistentVolume *pv_find(struct cor_plan *p, const struct core_v1_PersistentVolumeClaim *c,
	bool only_claimed) {
	struct cor_objects all = cor_plan_list(p, COR_RES_PERSISTENTVOLUMES, (struct cor_str){ 0 });
	struct cor_selector sel = { 0 };
	struct cor_err err;
	if (c->spec.selector && cor_selector_from_labels(cor_plan_arena(p), c->spec.selector, &sel, &err) < 0)
		return NULL;
	const struct core_v1_PersistentVolume *best = NULL;
	for (size_t i = 0; i < all.n; i++) {
		const struct core_v1_PersistentVolume *pv = all.p[i];
		if (cor_deleting(&pv->metadata))
			continue;
		if (pv->spec.claimRef) {
			if (pv_claimed_by(pv, c) && !pv_mismatch(pv, c))
				return pv;
			continue;
		}
		if (only_claimed || !cor_str_eq(pv->status.phase, COR_STR("Available")) || pv_mismatch(pv, c) ||
		    !cor_selector_matches(&sel, &pv->metadata.labels))
			continue;
		if (!best || cor_quantity_cmp(pv_capacity(pv), pv_capacity(best)) < 0)
			best = pv;
	}
	return best;
}
