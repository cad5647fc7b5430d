// SPDX-License-Identifier: Apache-2.0
// Validation of the volumes of a PodSpec (facts/kinds.md 5.3). Kinds that no node here can mount
// are checked for their type only.
#include "api/kinds/podspec_priv.h"
#include "api/kinds/storage.h"
#include "codec/quantity.h"

enum { TOKEN_SECONDS_MIN = 600 };

static void check_mode(struct cor_field_errors *e, const struct cor_fpath *at, const char *field,
	const int32_t *mode) {
	if (mode && (*mode < 0 || *mode > 0777))
		cor_fe_invalid(e, COR_FIELD(at, field), cor_fv_int(e, *mode),
			"must be a number between 0 and 0777 (octal), both inclusive");
}

static void check_items(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_KeyToPath *p, size_t n) {
	const struct cor_fpath *items = COR_FIELD(at, "items");
	for (size_t i = 0; i < n; i++) {
		const struct cor_fpath *x = COR_INDEX(items, i);
		if (p[i].key.n == 0)
			cor_fe_required(e, COR_FIELD(x, "key"), "%s", "");
		(void)cor_fe_need(
			e, COR_FIELD(x, "path"), p[i].path, cor_check_relative_path(p[i].path));
		check_mode(e, x, "mode", p[i].mode);
	}
}

static void need_name(struct cor_field_errors *e, const struct cor_fpath *at, const char *field,
	struct cor_str name) {
	if (name.n == 0)
		cor_fe_required(e, COR_FIELD(at, field), "%s", "");
}

static void check_host_path(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_HostPathVolumeSource *h) {
	static const char *const types[] = { "", "DirectoryOrCreate", "Directory", "FileOrCreate",
		"File", "Socket", "CharDevice", "BlockDevice", NULL };
	cor_validate_host_path(e, COR_FIELD(at, "path"), h->path);
	if (h->type.p)
		(void)cor_fe_one_of(e, COR_FIELD(at, "type"), h->type, types);
}

static bool is_downward_field(struct cor_str path) {
	static const char *const whole[] = { "metadata.name", "metadata.namespace", "metadata.uid",
		"metadata.labels", "metadata.annotations" };
	for (size_t i = 0; i < cor_countof(whole); i++)
		if (cor_str_eq_c(path, whole[i]))
			return true;
	return (cor_str_starts(path, COR_STR("metadata.labels['")) ||
		       cor_str_starts(path, COR_STR("metadata.annotations['"))) &&
	       cor_str_ends(path, COR_STR("']"));
}

static void check_downward(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_DownwardAPIVolumeFile *p, size_t n) {
	const struct cor_fpath *items = COR_FIELD(at, "items");
	for (size_t i = 0; i < n; i++) {
		const struct cor_fpath *x = COR_INDEX(items, i);
		(void)cor_fe_need(
			e, COR_FIELD(x, "path"), p[i].path, cor_check_relative_path(p[i].path));
		check_mode(e, x, "mode", p[i].mode);
		if (p[i].fieldRef && p[i].resourceFieldRef)
			cor_fe_invalid(e, x, cor_fv_c(e, "resource"),
				"fieldRef and resourceFieldRef can not be specified "
				"simultaneously");
		else if (p[i].fieldRef && !is_downward_field(p[i].fieldRef->fieldPath))
			cor_fe_invalid(e, COR_FIELD(x, "fieldRef.fieldPath"),
				cor_fv_str(e, p[i].fieldRef->fieldPath),
				"error converting fieldPath: field label not supported: %.*s",
				COR_STR_ARG(p[i].fieldRef->fieldPath));
		else if (p[i].resourceFieldRef)
			need_name(e, COR_FIELD(x, "resourceFieldRef"), "containerName",
				p[i].resourceFieldRef->containerName);
		else if (!p[i].fieldRef)
			cor_fe_required(e, x, "one of fieldRef and resourceFieldRef is required");
	}
}

static void check_projection(struct cor_field_errors *e, const struct cor_fpath *volume,
	const struct cor_fpath *at, const core_v1_VolumeProjection *s) {
	if (s->secret) {
		need_name(e, COR_FIELD(at, "secret"), "name", s->secret->name);
		check_items(e, COR_FIELD(at, "secret"), s->secret->items.p, s->secret->items.n);
	}
	if (s->configMap) {
		need_name(e, COR_FIELD(at, "configMap"), "name", s->configMap->name);
		check_items(e, COR_FIELD(at, "configMap"), s->configMap->items.p,
			s->configMap->items.n);
	}
	if (s->downwardAPI)
		check_downward(e, COR_FIELD(at, "downwardAPI"), s->downwardAPI->items.p,
			s->downwardAPI->items.n);
	if (s->serviceAccountToken) {
		const core_v1_ServiceAccountTokenProjection *t = s->serviceAccountToken;
		const struct cor_fpath *seconds =
			COR_FIELD(COR_FIELD(at, "serviceAccountToken"), "expirationSeconds");
		/* The volume's path, as upstream reports it. */
		(void)cor_fe_need(
			e, COR_FIELD(volume, "path"), t->path, cor_check_relative_path(t->path));
		if (t->expirationSeconds && *t->expirationSeconds < TOKEN_SECONDS_MIN)
			cor_fe_invalid(e, seconds, cor_fv_int(e, *t->expirationSeconds),
				"may not specify a duration less than 10 minutes");
		if (t->expirationSeconds && *t->expirationSeconds > (int64_t)1 << 32)
			cor_fe_invalid(e, seconds, cor_fv_int(e, *t->expirationSeconds),
				"may not specify a duration larger than 2^32 seconds");
	}
}

static void check_projected(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_ProjectedVolumeSource *p) {
	const struct cor_fpath *list = COR_FIELD(at, "sources");
	check_mode(e, at, "defaultMode", p->defaultMode);
	for (size_t i = 0; i < p->sources.n; i++) {
		(void)cor_validate_one_of(e, COR_INDEX(list, i), &cor_type_core_v1_VolumeProjection,
			&p->sources.p[i], "may not specify more than 1 volume type per source");
		check_projection(e, at, COR_INDEX(list, i), &p->sources.p[i]);
	}
}

static void check_source(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_Volume *v) {
	static const char *const pulls[] = { "Always", "IfNotPresent", "Never", NULL };
	(void)cor_validate_one_of(e, at, &cor_type_core_v1_VolumeSource, &v->volumeSource,
		"may not specify more than 1 volume type");
	if (v->emptyDir && v->emptyDir->sizeLimit.n > 0 &&
		cor_quantity_of(v->emptyDir->sizeLimit).nano < 0)
		cor_fe_forbidden(e, COR_FIELD(at, "emptyDir.sizeLimit"),
			"SizeLimit field must be a valid resource quantity");
	if (v->hostPath)
		check_host_path(e, COR_FIELD(at, "hostPath"), v->hostPath);
	if (v->secret) {
		const struct cor_fpath *x = COR_FIELD(at, "secret");
		need_name(e, x, "secretName", v->secret->secretName);
		check_mode(e, x, "defaultMode", v->secret->defaultMode);
		check_items(e, x, v->secret->items.p, v->secret->items.n);
	}
	if (v->configMap) {
		const struct cor_fpath *x = COR_FIELD(at, "configMap");
		need_name(e, x, "name", v->configMap->name);
		check_mode(e, x, "defaultMode", v->configMap->defaultMode);
		check_items(e, x, v->configMap->items.p, v->configMap->items.n);
	}
	if (v->persistentVolumeClaim)
		need_name(e, COR_FIELD(at, "persistentVolumeClaim"), "claimName",
			v->persistentVolumeClaim->claimName);
	if (v->downwardAPI) {
		check_mode(e, COR_FIELD(at, "downwardAPI"), "defaultMode",
			v->downwardAPI->defaultMode);
		check_downward(e, COR_FIELD(at, "downwardAPI"), v->downwardAPI->items.p,
			v->downwardAPI->items.n);
	}
	if (v->projected)
		check_projected(e, COR_FIELD(at, "projected"), v->projected);
	if (v->csi)
		need_name(e, COR_FIELD(at, "csi"), "driver", v->csi->driver);
	if (v->ephemeral && !v->ephemeral->volumeClaimTemplate)
		cor_fe_required(e, COR_FIELD(at, "ephemeral.volumeClaimTemplate"), "%s", "");
	else if (v->ephemeral)
		cor_claim_spec_validate(e, COR_FIELD(at, "ephemeral.volumeClaimTemplate.spec"),
			&v->ephemeral->volumeClaimTemplate->spec);
	if (v->image && v->image->pullPolicy.n > 0)
		(void)cor_fe_one_of(
			e, COR_FIELD(at, "image.pullPolicy"), v->image->pullPolicy, pulls);
}

void cor_podspec_volumes_validate(
	struct cor_field_errors *e, const struct cor_fpath *path, const core_v1_PodSpec *spec) {
	const struct cor_fpath *list = COR_FIELD(path, "volumes");
	for (size_t i = 0; i < spec->volumes.n; i++) {
		const core_v1_Volume *v = &spec->volumes.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i);
		if (cor_fe_need(e, COR_FIELD(at, "name"), v->name, cor_check_dns_label(v->name)))
			for (size_t j = 0; j < i; j++)
				if (cor_str_eq(spec->volumes.p[j].name, v->name)) {
					cor_fe_duplicate(
						e, COR_FIELD(at, "name"), cor_fv_str(e, v->name));
					break;
				}
		check_source(e, at, v);
	}
}
