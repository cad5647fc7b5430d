// SPDX-License-Identifier: Apache-2.0
// Claims, volumes and storage classes: defaults, the default class, protection finalizers
// (facts/kinds.md 7, 11.6).
#include "api/kinds/podspec.h"
#include "api/kinds/storage.h"
#include "api/registry.h"

/* ---- PersistentVolumeClaim ---- */

static void claim_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_PersistentVolumeClaim *c = obj;
	cor_claim_spec_defaults(&c->spec);
	cor_default_str(&c->status.phase, "Pending");
}

static bool is_default(const struct storage_v1_StorageClass *c) {
	static const char *const keys[] = {
		"storageclass.kubernetes.io/is-default-class",
		"storageclass.beta.kubernetes.io/is-default-class",
	};
	for (size_t i = 0; i < cor_countof(keys); i++) {
		const struct cor_str *v =
			cor_strmap_get(&c->metadata.annotations, cor_str_c(keys[i]));
		if (v && cor_str_eq(*v, COR_STR("true")))
			return true;
	}
	return false;
}

struct class_search {
	struct cor_registry *r;
	const struct storage_v1_StorageClass *best;
};

/* The newest default class; of equally old ones the first by name, which is the order of the store.
 */
static bool newer_default(void *arg, struct cor_obj *o) {
	struct class_search *s = arg;
	const struct storage_v1_StorageClass *c = cor_registry_read(s->r, o);
	if (c && is_default(c) &&
		(!s->best || c->metadata.creationTimestamp > s->best->metadata.creationTimestamp))
		s->best = c;
	return true;
}

static int claim_admit(struct cor_kind_ctx *ctx, void *obj, const void *old, struct cor_err *err) {
	struct core_v1_PersistentVolumeClaim *c = obj;
	if (old)
		return 0;
	cor_kind_add_finalizer(ctx->arena, &c->metadata, "kubernetes.io/pvc-protection");
	if (c->spec.storageClassName.p ||
		cor_strmap_get(&c->metadata.annotations,
			COR_STR("volume.beta.kubernetes.io/storage-class")))
		return 0;
	struct class_search s = { .r = ctx->registry };
	cor_store_each(ctx->store, COR_RES_STORAGECLASSES, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, (struct cor_str){ 0 }, newer_default, &s);
	if (s.best)
		c->spec.storageClassName = cor_arena_str(ctx->arena, s.best->metadata.name);
	return 0;
}

const struct cor_kind_ops cor_kind_persistentvolumeclaim = {
	.res = COR_RES_PERSISTENTVOLUMECLAIMS,
	.flags = COR_KIND_DELETE_RETURNS_OBJECT,
	.defaults = claim_defaults,
	.admit = claim_admit,
	.validate = cor_claim_validate,
	.validate_update = cor_claim_validate_update,
};

/* ---- PersistentVolume ---- */

static void volume_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_PersistentVolume *pv = obj;
	cor_default_str(&pv->status.phase, "Pending");
	cor_default_str(&pv->spec.persistentVolumeReclaimPolicy, "Retain");
	cor_default_str(&pv->spec.volumeMode, "Filesystem");
	if (pv->spec.hostPath && !pv->spec.hostPath->type.p)
		pv->spec.hostPath->type = COR_STR("");
}

static int volume_admit(struct cor_kind_ctx *ctx, void *obj, const void *old, struct cor_err *err) {
	if (!old)
		cor_kind_add_finalizer(ctx->arena,
			&((struct core_v1_PersistentVolume *)obj)->metadata,
			"kubernetes.io/pv-protection");
	return 0;
}

static void volume_create(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_PersistentVolume *pv = obj;
	pv->status = (struct core_v1_PersistentVolumeStatus){
		.phase = COR_STR("Pending"),
		.lastPhaseTransitionTime = ctx->now,
	};
}

static void volume_status(struct cor_kind_ctx *ctx, void *obj, const void *old) {
	struct core_v1_PersistentVolume *pv = obj;
	const struct core_v1_PersistentVolume *was = old;
	if (!cor_str_eq(pv->status.phase, was->status.phase) &&
		pv->status.lastPhaseTransitionTime == was->status.lastPhaseTransitionTime)
		pv->status.lastPhaseTransitionTime = ctx->now;
}

const struct cor_kind_ops cor_kind_persistentvolume = {
	.res = COR_RES_PERSISTENTVOLUMES,
	.flags = COR_KIND_DELETE_RETURNS_OBJECT,
	.defaults = volume_defaults,
	.admit = volume_admit,
	.prepare_create = volume_create,
	.prepare_status = volume_status,
	.validate = cor_volume_validate,
	.validate_update = cor_volume_validate_update,
};

/* ---- StorageClass ---- */

static void class_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct storage_v1_StorageClass *c = obj;
	cor_default_str(&c->reclaimPolicy, "Delete");
	cor_default_str(&c->volumeBindingMode, "Immediate");
}

const struct cor_kind_ops cor_kind_storageclass = {
	.res = COR_RES_STORAGECLASSES,
	.flags = COR_KIND_DELETE_RETURNS_OBJECT,
	.defaults = class_defaults,
	.validate = cor_class_validate,
	.validate_update = cor_class_validate_update,
};
