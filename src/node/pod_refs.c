// SPDX-License-Identifier: Apache-2.0
// The objects a pod refers to: held as long as the pod is here, looked up when its containers and
// volumes are made. One that nobody refers to is never read.
#include "node/pod_priv.h"

#include "codec/codec.h"

static void hold(struct pod *p, const char *plural, struct cor_str name) {
	if (name.n == 0)
		return;
	for (size_t i = 0; i < p->n_refs; i++)
		if (cor_objref_is(p->refs[i], plural, cor_str_c(p->ns), name))
			return;
	p->refs = cor_realloc(p->refs, (p->n_refs + 1) * sizeof(*p->refs));
	p->refs[p->n_refs++] = cor_objcache_hold(p->all->objects, plural, cor_str_c(p->ns), name);
}

static void hold_env(struct pod *p, const core_v1_Container *c) {
	for (size_t i = 0; i < c->envFrom.n; i++) {
		if (c->envFrom.p[i].configMapRef)
			hold(p, "configmaps", c->envFrom.p[i].configMapRef->name);
		if (c->envFrom.p[i].secretRef)
			hold(p, "secrets", c->envFrom.p[i].secretRef->name);
	}
	for (size_t i = 0; i < c->env.n; i++) {
		const core_v1_EnvVarSource *v = c->env.p[i].valueFrom;
		if (v && v->configMapKeyRef)
			hold(p, "configmaps", v->configMapKeyRef->name);
		if (v && v->secretKeyRef)
			hold(p, "secrets", v->secretKeyRef->name);
	}
}

static void hold_volume(struct pod *p, const core_v1_Volume *v) {
	if (v->configMap)
		hold(p, "configmaps", v->configMap->name);
	if (v->secret)
		hold(p, "secrets", v->secret->secretName);
	if (v->persistentVolumeClaim)
		hold(p, "persistentvolumeclaims", v->persistentVolumeClaim->claimName);
	if (v->ephemeral) {
		_cleanup_free_ char *name = cor_asprintf("%s-%.*s", p->name, COR_STR_ARG(v->name));
		hold(p, "persistentvolumeclaims", cor_str_c(name));
	}
	for (size_t i = 0; v->projected && i < v->projected->sources.n; i++) {
		const core_v1_VolumeProjection *s = &v->projected->sources.p[i];
		if (s->configMap)
			hold(p, "configmaps", s->configMap->name);
		if (s->secret)
			hold(p, "secrets", s->secret->name);
	}
}

void pod_refs_hold(struct pod *p) {
	for (size_t i = 0; i < p->n; i++)
		hold_env(p, p->facts[i].spec);
	for (size_t i = 0; i < p->object->spec.volumes.n; i++)
		hold_volume(p, &p->object->spec.volumes.p[i]);
	for (size_t i = 0; i < p->object->spec.imagePullSecrets.n; i++)
		hold(p, "secrets", p->object->spec.imagePullSecrets.p[i].name);
}

void pod_refs_release(struct pod *p) {
	for (size_t i = 0; i < p->n_refs; i++)
		cor_objref_release(p->refs[i]);
	free(cor_take(p->refs));
	p->n_refs = 0;
}

bool pod_refs_known(const struct pod *p) {
	for (size_t i = 0; i < p->n_refs; i++)
		if (!cor_objref_known(p->refs[i]))
			return false;
	return true;
}

bool pod_refs_has(const struct pod *p, const struct cor_objref *r) {
	for (size_t i = 0; i < p->n_refs; i++)
		if (p->refs[i] == r)
			return true;
	return false;
}

void *pod_ref_decode(struct pod *p, struct cor_arena *a, const struct cor_type *t, const char *plural,
	struct cor_str name) {
	for (size_t i = 0; i < p->n_refs; i++) {
		if (!cor_objref_is(p->refs[i], plural, cor_str_c(p->ns), name))
			continue;
		struct cor_str json = cor_objref_json(p->refs[i]);
		struct cor_decode d = { .arena = a };
		void *obj;
		/* A copy, since the object points into its text and may be replaced while it is in use. */
		if (json.p && cor_json_decode_new(t, cor_arena_str(a, json), &obj, &d, NULL) >= 0)
			return obj;
	}
	return NULL;
}

int pod_secret(struct pod *p, struct cor_arena *a, struct cor_str name, const core_v1_Secret **ret) {
	*ret = pod_ref_decode(p, a, &cor_type_core_v1_Secret, "secrets", name);
	return *ret ? 0 : COR_E_NOT_FOUND;
}

int pod_object(void *pod, enum cor_env_object kind, struct cor_str name, struct cor_strmap *ret) {
	struct pod *p = pod;
	if (kind == COR_ENV_SECRET) {
		const core_v1_Secret *s;
		int r = pod_secret(p, p->lookup, name, &s);
		if (r >= 0)
			*ret = s->data;
		return r;
	}
	const core_v1_ConfigMap *m = pod_ref_decode(p, p->lookup, &cor_type_core_v1_ConfigMap, "configmaps", name);
	if (!m)
		return COR_E_NOT_FOUND;
	*ret = m->data;
	return 0;
}
