// SPDX-License-Identifier: Apache-2.0
// Validation of claims, volumes and storage classes (facts/kinds.md 7, 11.6).
#include "api/kinds/storage.h"

#include "api/kinds/podspec.h"
#include "codec/access.h"
#include "codec/quantity.h"

#define BETA_CLASS "volume.beta.kubernetes.io/storage-class"
#define ONCE_POD "ReadWriteOncePod"

enum { PARAMETERS_MAX = 512, PARAMETERS_BYTES_MAX = 256 * 1024 };

static const char *const volume_modes[] = { "Block", "Filesystem", NULL };

/* ---- what claims and volumes share ---- */

static void check_modes(struct cor_field_errors *e, const struct cor_fpath *spec,
	const struct cor_str *p, size_t n, const char *none) {
	static const char *const modes[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
		ONCE_POD, NULL };
	const struct cor_fpath *at = COR_FIELD(spec, "accessModes");
	bool alone = false;
	if (n == 0)
		cor_fe_required(e, at, "%s", none);
	for (size_t i = 0; i < n; i++) {
		(void)cor_fe_one_of(e, at, p[i], modes);
		alone |= cor_str_eq_c(p[i], ONCE_POD);
	}
	if (alone && n > 1)
		cor_fe_forbidden(e, at, "may not use ReadWriteOncePod with other access modes");
}

static void check_class(struct cor_field_errors *e, const struct cor_fpath *spec, const char *field,
	struct cor_str name) {
	if (name.n > 0)
		(void)cor_fe_broken(e, COR_FIELD(spec, field), name, cor_check_dns_subdomain(name));
}

static void check_size(
	struct cor_field_errors *e, const struct cor_fpath *at, struct cor_str amount) {
	if (cor_quantity_of(amount).nano <= 0)
		cor_fe_invalid(e, at, cor_fv_str(e, amount), "%s", COR_MSG_POSITIVE);
}

/* ---- PersistentVolumeClaim ---- */

static void check_source(struct cor_field_errors *e, const struct cor_fpath *at,
	struct cor_str group, struct cor_str kind, struct cor_str name) {
	if (name.n == 0)
		cor_fe_required(e, COR_FIELD(at, "name"), "%s", "");
	if (kind.n == 0)
		cor_fe_required(e, COR_FIELD(at, "kind"), "%s", "");
	if (group.n > 0)
		(void)cor_fe_broken(
			e, COR_FIELD(at, "apiGroup"), group, cor_check_dns_subdomain(group));
	else if (kind.n > 0 && !cor_str_eq_c(kind, "PersistentVolumeClaim"))
		cor_fe_invalid(e, COR_FIELD(at, "kind"), cor_fv_str(e, kind),
			"must be 'PersistentVolumeClaim' when referencing the default apiGroup");
}

void cor_claim_spec_validate(struct cor_field_errors *e, const struct cor_fpath *spec,
	const struct core_v1_PersistentVolumeClaimSpec *s) {
	const struct cor_fpath *resources = COR_FIELD(spec, "resources");
	const struct cor_str *size = cor_strmap_get(&s->resources.requests, COR_STR("storage"));
	check_modes(
		e, spec, s->accessModes.p, s->accessModes.n, "at least 1 access mode is required");
	if (s->selector)
		cor_validate_label_selector(e, COR_FIELD(spec, "selector"), s->selector, false);
	if (!size)
		cor_fe_required(e, COR_KEY(resources, COR_STR("storage")), "%s", "");
	else
		check_size(e, COR_KEY(COR_FIELD(resources, "requests"), COR_STR("storage")), *size);
	check_class(e, spec, "storageClassName", s->storageClassName);
	check_class(e, spec, "volumeAttributesClassName", s->volumeAttributesClassName);
	if (s->volumeMode.p)
		(void)cor_fe_one_of(e, COR_FIELD(spec, "volumeMode"), s->volumeMode, volume_modes);
	if (s->dataSource)
		check_source(e, COR_FIELD(spec, "dataSource"), s->dataSource->apiGroup,
			s->dataSource->kind, s->dataSource->name);
	if (s->dataSourceRef)
		check_source(e, COR_FIELD(spec, "dataSourceRef"), s->dataSourceRef->apiGroup,
			s->dataSourceRef->kind, s->dataSourceRef->name);
}

void cor_claim_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	cor_claim_spec_validate(
		e, COR_ROOT("spec"), &((const core_v1_PersistentVolumeClaim *)obj)->spec);
}

static struct cor_str storage_of(const struct cor_strmap *m) {
	const struct cor_str *v = cor_strmap_get(m, COR_STR("storage"));
	return v ? *v : (struct cor_str){ 0 };
}

/* What an update may change is set to what it was; the rest must then be equal. */
static void check_fixed(struct cor_field_errors *e, const core_v1_PersistentVolumeClaim *c,
	const core_v1_PersistentVolumeClaim *was) {
	core_v1_PersistentVolumeClaimSpec now = c->spec;
	const core_v1_PersistentVolumeClaimSpec *old = &was->spec;
	bool bound = cor_str_eq_c(was->status.phase, "Bound");
	if (old->volumeName.n == 0)
		now.volumeName = old->volumeName;
	if (bound) {
		now.resources.requests = old->resources.requests;
		now.volumeAttributesClassName = old->volumeAttributesClassName;
	}
	const struct cor_str *beta =
		cor_strmap_get(&was->metadata.annotations, COR_STR(BETA_CLASS));
	if (!old->storageClassName.p && (!beta || cor_str_eq(*beta, now.storageClassName)))
		now.storageClassName = old->storageClassName;
	if (!cor_obj_equal(&cor_type_core_v1_PersistentVolumeClaimSpec, &now, old))
		cor_fe_forbidden(e, COR_ROOT("spec"),
			"spec is immutable after creation except resources.requests and "
			"volumeAttributesClassName for bound claims");
}

void cor_claim_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_PersistentVolumeClaim *c = obj, *was = old;
	cor_claim_validate(ctx, obj, e);
	check_fixed(e, c, was);
	struct cor_quantity now = cor_quantity_of(storage_of(&c->spec.resources.requests));
	if (cor_quantity_cmp(now, cor_quantity_of(storage_of(&was->spec.resources.requests))) < 0 &&
		cor_quantity_cmp(now, cor_quantity_of(storage_of(&was->status.capacity))) <= 0)
		cor_fe_forbidden(e, COR_ROOT("spec.resources.requests.storage"),
			"field can not be less than status.capacity");
	(void)cor_fe_immutable_str(
		e, COR_ROOT("volumeMode"), c->spec.volumeMode, was->spec.volumeMode);
}

/* ---- PersistentVolume ---- */

size_t cor_validate_one_of(struct cor_field_errors *e, const struct cor_fpath *at, const struct cor_type *t,
	const void *source, const char *several) {
	const struct cor_field *f = cor_type_fields(t);
	size_t n = 0;
	for (size_t i = 0; i < t->nfields; i++, f++)
		if (*(cor_any_ptr *)cor_field_at(f, source) && n++ > 0)
			cor_fe_forbidden(e, COR_FIELD(at, cor_field_json(f)), "%s", several);
	return n;
}

static void check_csi(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_CSIPersistentVolumeSource *s) {
	if (s->driver.n == 0)
		cor_fe_required(e, COR_FIELD(at, "driver"), "%s", "");
	if (s->volumeHandle.n == 0)
		cor_fe_required(e, COR_FIELD(at, "volumeHandle"), "%s", "");
}

static bool has_back_step(struct cor_str path) {
	bool found = false;
	while (path.p && !found)
		found = cor_str_eq(cor_str_cut(&path, '/'), COR_STR(".."));
	return found;
}

void cor_validate_host_path(struct cor_field_errors *e, const struct cor_fpath *at, struct cor_str path) {
	if (path.n == 0)
		cor_fe_required(e, at, "%s", "");
	else if (has_back_step(path))
		cor_fe_invalid(e, at, cor_fv_str(e, path), "must not contain '..'");
}

static void check_node_affinity(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_VolumeNodeAffinity *a) {
	if (!a->required)
		cor_fe_required(
			e, COR_FIELD(at, "required"), "must specify required node constraints");
	else
		cor_node_selector_validate(e, COR_FIELD(at, "required"), a->required);
}

static void check_capacity(
	struct cor_field_errors *e, const struct cor_fpath *spec, const struct cor_strmap *c) {
	static const char *const only[] = { "storage", NULL };
	const struct cor_fpath *at = COR_FIELD(spec, "capacity");
	if (c->n == 0)
		cor_fe_required(e, at, "%s", "");
	else if (c->n > 1 || !cor_strmap_get(c, COR_STR("storage")))
		cor_fe_not_supported(e, at, cor_fv_map(e, c), only);
	for (size_t i = 0; i < c->n; i++)
		check_size(e, COR_KEY(at, c->p[i].key), c->p[i].value);
}

void cor_volume_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const reclaim[] = { "Delete", "Recycle", "Retain", NULL };
	const core_v1_PersistentVolumeSpec *s = &((const core_v1_PersistentVolume *)obj)->spec;
	const struct cor_fpath *spec = COR_ROOT("spec"), *local = COR_FIELD(spec, "local"),
			       *host = COR_FIELD(spec, "hostPath");
	check_modes(e, spec, s->accessModes.p, s->accessModes.n, "");
	check_capacity(e, spec, &s->capacity);
	(void)cor_fe_one_of(e, COR_FIELD(spec, "persistentVolumeReclaimPolicy"),
		s->persistentVolumeReclaimPolicy, reclaim);
	if (cor_validate_one_of(e, spec, &cor_type_core_v1_PersistentVolumeSource, &s->persistentVolumeSource,
		"may not specify more than 1 volume type") == 0)
		cor_fe_required(e, spec, "must specify a volume type");
	if (s->hostPath) {
		cor_validate_host_path(e, COR_FIELD(host, "path"), s->hostPath->path);
		if (cor_str_eq_c(s->hostPath->path, "/") &&
			cor_str_eq_c(s->persistentVolumeReclaimPolicy, "Recycle"))
			cor_fe_forbidden(e, COR_FIELD(spec, "persistentVolumeReclaimPolicy"),
				"may not be 'recycle' for a hostPath mount of '/'");
	}
	if (s->local) {
		cor_validate_host_path(e, COR_FIELD(local, "path"), s->local->path);
		if (!s->nodeAffinity)
			cor_fe_required(e, COR_FIELD(spec, "nodeAffinity"),
				"Local volume requires node affinity");
	}
	if (s->csi)
		check_csi(e, COR_FIELD(spec, "csi"), s->csi);
	if (s->nodeAffinity)
		check_node_affinity(e, COR_FIELD(spec, "nodeAffinity"), s->nodeAffinity);
	check_class(e, spec, "storageClassName", s->storageClassName);
	if (s->volumeMode.p)
		(void)cor_fe_one_of(e, COR_FIELD(spec, "volumeMode"), s->volumeMode, volume_modes);
}

void cor_volume_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_PersistentVolume *now = obj, *was = old;
	cor_volume_validate(ctx, obj, e);
	if (!cor_obj_equal(&cor_type_core_v1_PersistentVolumeSource,
		    &now->spec.persistentVolumeSource, &was->spec.persistentVolumeSource))
		cor_fe_forbidden(e, COR_ROOT("spec.persistentvolumesource"),
			"spec.persistentvolumesource is immutable after creation");
	(void)cor_fe_immutable_str(
		e, COR_ROOT("volumeMode"), now->spec.volumeMode, was->spec.volumeMode);
	if (was->spec.nodeAffinity &&
		(!now->spec.nodeAffinity ||
			!cor_obj_equal(&cor_type_core_v1_VolumeNodeAffinity, now->spec.nodeAffinity,
				was->spec.nodeAffinity)))
		cor_fe_invalid(e, COR_ROOT("nodeAffinity"),
			now->spec.nodeAffinity ? cor_fv_obj(e, &cor_type_core_v1_VolumeNodeAffinity,
							 now->spec.nodeAffinity)
					       : cor_fv_null(),
			"field is immutable, except for updating from beta label to GA");
}

/* ---- StorageClass ---- */

void cor_class_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char *const reclaim[] = { "Delete", "Retain", NULL };
	static const char *const binding[] = { "Immediate", "WaitForFirstConsumer", NULL };
	const storage_v1_StorageClass *c = obj;
	const struct cor_fpath *parameters = COR_ROOT("parameters");
	size_t bytes = 0;
	(void)cor_fe_need(e, COR_ROOT("provisioner"), c->provisioner,
		cor_check_qualified_name(c->provisioner));
	if (c->parameters.n > PARAMETERS_MAX)
		cor_fe_too_many(e, parameters, c->parameters.n, PARAMETERS_MAX);
	for (size_t i = 0; i < c->parameters.n; i++) {
		if (c->parameters.p[i].key.n == 0)
			cor_fe_invalid(e, parameters, cor_fv_str(e, c->parameters.p[i].key),
				"field can not be empty.");
		bytes += c->parameters.p[i].key.n + c->parameters.p[i].value.n;
	}
	if (bytes > PARAMETERS_BYTES_MAX)
		cor_fe_too_long(e, parameters, PARAMETERS_BYTES_MAX);
	(void)cor_fe_one_of(e, COR_ROOT("reclaimPolicy"), c->reclaimPolicy, reclaim);
	(void)cor_fe_one_of(e, COR_ROOT("volumeBindingMode"), c->volumeBindingMode, binding);
}

void cor_class_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const storage_v1_StorageClass *c = obj, *was = old;
	cor_class_validate(ctx, obj, e);
	if (!cor_strmap_eq(&c->parameters, &was->parameters))
		cor_fe_invalid(e, COR_ROOT("parameters"), cor_fv_map(e, &c->parameters), "%s",
			COR_MSG_IMMUTABLE);
	(void)cor_fe_immutable_str(e, COR_ROOT("provisioner"), c->provisioner, was->provisioner);
	(void)cor_fe_immutable_str(
		e, COR_ROOT("reclaimPolicy"), c->reclaimPolicy, was->reclaimPolicy);
	(void)cor_fe_immutable_str(
		e, COR_ROOT("volumeBindingMode"), c->volumeBindingMode, was->volumeBindingMode);
}
