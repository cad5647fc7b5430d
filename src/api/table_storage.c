// SPDX-License-Identifier: Apache-2.0
// Tables of claims, volumes and storage classes (facts/printing.md 2.3, 2.6).
#include "api/table_priv.h"
#include "gen/core_v1.h"
#include "gen/storage_v1.h"

static const struct cor_str BETA_CLASS = COR_STR_INIT("volume.beta.kubernetes.io/storage-class");

static void cell_modes(struct row *r, const struct cor_str *p, size_t n) {
	static const struct { const char *mode, *shown; } modes[] = {
		{ "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" }, { "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" },
	};
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t m = 0; m < cor_countof(modes); m++)
		for (size_t i = 0; i < n; i++)
			if (cor_str_eq_c(p[i], modes[m].mode)) {
				add_part(&b, ",", cor_str_c(modes[m].shown));
				break;
			}
	cell_str(r, cor_buf_view(&b));
}

static void cell_class(struct row *r, const struct meta_v1_ObjectMeta *m, struct cor_str class) {
	const struct cor_str *beta = cor_strmap_get(&m->annotations, BETA_CLASS);
	cell_str(r, beta ? *beta : class);
}

static struct cor_str storage_of(const struct cor_strmap *m, const char *none) {
	const struct cor_str *v = cor_strmap_get(m, COR_STR("storage"));
	return v ? *v : cor_str_c(none);
}

static const struct column pvc_columns[] = {
	{ "Name", 's', false }, { "Status", 's', false }, { "Volume", 's', false }, { "Capacity", 's', false },
	{ "Access Modes", 's', false }, { "StorageClass", 's', false }, { "VolumeAttributesClass", 's', false },
	{ "Age", 's', false }, { "VolumeMode", 's', true },
};

static void pvc_row(struct row *r, const void *obj) {
	const struct core_v1_PersistentVolumeClaim *c = obj;
	bool bound = c->spec.volumeName.n > 0;
	cell_str(r, c->metadata.name);
	cell_str(r, c->metadata.deletionTimestamp ? COR_STR("Terminating") : c->status.phase);
	cell_str(r, c->spec.volumeName);
	cell_str(r, bound ? storage_of(&c->status.capacity, "0") : COR_STR(""));
	cell_modes(r, c->status.accessModes.p, bound ? c->status.accessModes.n : 0);
	cell_class(r, &c->metadata, c->spec.storageClassName);
	cell_or(r, c->spec.volumeAttributesClassName, "<unset>");
	cell_age(r, c->metadata.creationTimestamp);
	cell_or(r, c->spec.volumeMode, "<unset>");
}

static const struct column pv_columns[] = {
	{ "Name", 's', false }, { "Capacity", 's', false }, { "Access Modes", 's', false }, { "Reclaim Policy", 's', false },
	{ "Status", 's', false }, { "Claim", 's', false }, { "StorageClass", 's', false },
	{ "VolumeAttributesClass", 's', false }, { "Reason", 's', false }, { "Age", 's', false },
	{ "VolumeMode", 's', true },
};

static void pv_row(struct row *r, const void *obj) {
	const struct core_v1_PersistentVolume *v = obj;
	cell_str(r, v->metadata.name);
	cell_str(r, storage_of(&v->spec.capacity, "0"));
	cell_modes(r, v->spec.accessModes.p, v->spec.accessModes.n);
	cell_str(r, v->spec.persistentVolumeReclaimPolicy);
	cell_str(r, v->metadata.deletionTimestamp ? COR_STR("Terminating") : v->status.phase);
	if (v->spec.claimRef)
		cell_printf(r, "%.*s/%.*s", COR_STR_ARG(v->spec.claimRef->namespace), COR_STR_ARG(v->spec.claimRef->name));
	else
		cell_c(r, "");
	cell_class(r, &v->metadata, v->spec.storageClassName);
	cell_or(r, v->spec.volumeAttributesClassName, "<unset>");
	cell_str(r, v->status.reason);
	cell_age(r, v->metadata.creationTimestamp);
	cell_or(r, v->spec.volumeMode, "<unset>");
}

static const struct column class_columns[] = {
	{ "Name", 's', false }, { "Provisioner", 's', false }, { "ReclaimPolicy", 's', false },
	{ "VolumeBindingMode", 's', false }, { "AllowVolumeExpansion", 's', false }, { "Age", 's', false },
};

static bool is_default(const struct meta_v1_ObjectMeta *m) {
	static const char *const keys[] = {
		"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
	};
	for (size_t i = 0; i < cor_countof(keys); i++) {
		const struct cor_str *v = cor_strmap_get(&m->annotations, cor_str_c(keys[i]));
		if (v && cor_str_eq(*v, COR_STR("true")))
			return true;
	}
	return false;
}

static void class_row(struct row *r, const void *obj) {
	const struct storage_v1_StorageClass *c = obj;
	cell_printf(r, "%.*s%s", COR_STR_ARG(c->metadata.name), is_default(&c->metadata) ? " (default)" : "");
	cell_str(r, c->provisioner);
	cell_or(r, c->reclaimPolicy, "Delete");
	cell_or(r, c->volumeBindingMode, "Immediate");
	cell_bool(r, c->allowVolumeExpansion && *c->allowVolumeExpansion);
	cell_age(r, c->metadata.creationTimestamp);
}

const struct kind_table cor_tables_storage[] = {
	KIND_TABLE(COR_RES_PERSISTENTVOLUMECLAIMS, pvc_columns, pvc_row),
	KIND_TABLE(COR_RES_PERSISTENTVOLUMES, pv_columns, pv_row),
	KIND_TABLE(COR_RES_STORAGECLASSES, class_columns, class_row),
};
const size_t cor_tables_storage_n = cor_countof(cor_tables_storage);
