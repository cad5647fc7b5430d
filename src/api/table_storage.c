// SPDX-License-Identifier: Apache-2.0
// Tables of claims, volumes, storage classes and drivers (facts/printing.md 2.3, 2.6).
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
	S("Name"), S("Status"), S("Volume"), S("Capacity"),
	S("Access Modes"), S("StorageClass"), S("VolumeAttributesClass"),
	S("Age"), W("VolumeMode"),
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
	S("Name"), S("Capacity"), S("Access Modes"), S("Reclaim Policy"),
	S("Status"), S("Claim"), S("StorageClass"),
	S("VolumeAttributesClass"), S("Reason"), S("Age"),
	W("VolumeMode"),
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
	S("Name"), S("Provisioner"), S("ReclaimPolicy"),
	S("VolumeBindingMode"), S("AllowVolumeExpansion"), S("Age"),
};

static bool is_default(const struct meta_v1_ObjectMeta *m) {
	return is_marked(m, "storageclass.kubernetes.io/is-default-class") ||
		is_marked(m, "storageclass.beta.kubernetes.io/is-default-class");
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

/* ---- drivers ---- */

static const struct column vac_columns[] = { S("Name"), S("DriverName"), S("Age") };

static void vac_row(struct row *r, const void *obj) {
	const struct storage_v1_VolumeAttributesClass *c = obj;
	cell_str(r, c->metadata.name);
	cell_str(r, c->driverName);
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column csi_node_columns[] = { S("Name"), I("Drivers"), S("Age") };

static void csi_node_row(struct row *r, const void *obj) {
	const struct storage_v1_CSINode *n = obj;
	cell_str(r, n->metadata.name);
	cell_int(r, (int64_t)n->spec.drivers.n);
	cell_age(r, n->metadata.creationTimestamp);
}

static const struct column csi_driver_columns[] = {
	S("Name"), B("AttachRequired"), B("PodInfoOnMount"), B("StorageCapacity"), S("TokenRequests"),
	B("RequiresRepublish"), S("Modes"), S("Age"),
};

static void csi_driver_row(struct row *r, const void *obj) {
	const struct storage_v1_CSIDriver *d = obj;
	_cleanup_buf_ struct cor_buf audiences = COR_BUF_INIT;
	for (size_t i = 0; i < d->spec.tokenRequests.n; i++)
		add_part(&audiences, ",", d->spec.tokenRequests.p[i].audience);
	cell_str(r, d->metadata.name);
	cell_bool(r, !d->spec.attachRequired || *d->spec.attachRequired);
	cell_bool(r, d->spec.podInfoOnMount && *d->spec.podInfoOnMount);
	cell_bool(r, d->spec.storageCapacity && *d->spec.storageCapacity);
	cell_or(r, cor_buf_view(&audiences), d->spec.tokenRequests.n > 0 ? "" : "<unset>");
	cell_bool(r, d->spec.requiresRepublish && *d->spec.requiresRepublish);
	cell_joined(r, d->spec.volumeLifecycleModes.p, d->spec.volumeLifecycleModes.n, ",", "<none>");
	cell_age(r, d->metadata.creationTimestamp);
}

static const struct column attachment_columns[] = {
	S("Name"), S("Attacher"), S("PV"), S("Node"), B("Attached"), S("Age"),
};

static void attachment_row(struct row *r, const void *obj) {
	const struct storage_v1_VolumeAttachment *v = obj;
	cell_str(r, v->metadata.name);
	cell_str(r, v->spec.attacher);
	cell_str(r, v->spec.source.persistentVolumeName);
	cell_str(r, v->spec.nodeName);
	cell_bool(r, v->status.attached);
	cell_age(r, v->metadata.creationTimestamp);
}

const struct kind_tables cor_tables_storage = KIND_TABLES(
	KIND_TABLE(COR_RES_PERSISTENTVOLUMECLAIMS, pvc_columns, pvc_row),
	KIND_TABLE(COR_RES_PERSISTENTVOLUMES, pv_columns, pv_row),
	KIND_TABLE(COR_RES_STORAGECLASSES, class_columns, class_row),
	KIND_TABLE(COR_RES_VOLUMEATTRIBUTESCLASSES, vac_columns, vac_row),
	KIND_TABLE(COR_RES_CSINODES, csi_node_columns, csi_node_row),
	KIND_TABLE(COR_RES_CSIDRIVERS, csi_driver_columns, csi_driver_row),
	KIND_TABLE(COR_RES_VOLUMEATTACHMENTS, attachment_columns, attachment_row));
