// SPDX-License-Identifier: Apache-2.0
// Defaults of PodSpec (facts/kinds.md 4.1): see podspec.h.
#include "api/kinds/podspec.h"

void cor_default_i32(struct cor_arena *a, int32_t **field, int32_t v) {
	if (!*field && (*field = cor_arena_new_of(a, int32_t)))
		**field = v;
}

void cor_default_i64(struct cor_arena *a, int64_t **field, int64_t v) {
	if (!*field && (*field = cor_arena_new_of(a, int64_t)))
		**field = v;
}

void cor_default_bool(struct cor_arena *a, bool **field, bool v) {
	if (!*field && (*field = cor_arena_new_of(a, bool)))
		**field = v;
}

static void default_number(int32_t *field, int32_t v) {
	if (*field == 0)
		*field = v;
}

/* ---- containers ---- */

static void http_get(struct core_v1_HTTPGetAction *h) {
	if (!h)
		return;
	cor_default_str(&h->path, "/");
	cor_default_str(&h->scheme, "HTTP");
}

static void probe(struct core_v1_Probe *p) {
	if (!p)
		return;
	default_number(&p->timeoutSeconds, 1);
	default_number(&p->periodSeconds, 10);
	default_number(&p->successThreshold, 1);
	default_number(&p->failureThreshold, 3);
	http_get(p->httpGet);
	if (p->grpc && !p->grpc->service.p)
		p->grpc->service = COR_STR("");
}

/* Always for :latest and for a name with neither tag nor digest. */
static const char *pull_policy(struct cor_str image) {
	if (cor_str_contains(image, COR_STR("@")))
		return "IfNotPresent";
	size_t colon = image.n;
	for (size_t i = image.n; i-- > 0 && image.p[i] != '/';)
		if (image.p[i] == ':')
			colon = i;
	if (colon == image.n)
		return "Always";
	return cor_str_eq(cor_str_sub(image, colon + 1, image.n), COR_STR("latest")) ? "Always" : "IfNotPresent";
}

static void hook(struct core_v1_LifecycleHandler *h) {
	if (h)
		http_get(h->httpGet);
}

static void env(struct cor_arena *a, struct core_v1_EnvVar *e) {
	if (!e->valueFrom)
		return;
	if (e->valueFrom->fieldRef)
		cor_default_str(&e->valueFrom->fieldRef->apiVersion, "v1");
	if (e->valueFrom->fileKeyRef)
		cor_default_bool(a, &e->valueFrom->fileKeyRef->optional, false);
}

static void container(struct cor_arena *a, struct core_v1_EphemeralContainerCommon *c) {
	cor_default_str(&c->terminationMessagePath, "/dev/termination-log");
	cor_default_str(&c->terminationMessagePolicy, "File");
	cor_default_str(&c->imagePullPolicy, pull_policy(c->image));
	for (size_t i = 0; i < c->ports.n; i++)
		cor_default_str(&c->ports.p[i].protocol, "TCP");
	for (size_t i = 0; i < c->env.n; i++)
		env(a, &c->env.p[i]);
	probe(c->livenessProbe);
	probe(c->readinessProbe);
	probe(c->startupProbe);
	if (c->lifecycle) {
		hook(c->lifecycle->postStart);
		hook(c->lifecycle->preStop);
	}
}

/* ---- volumes ---- */

static void mode(struct cor_arena *a, int32_t **field) {
	cor_default_i32(a, field, 0644);
}

static void downward_items(struct core_v1_DownwardAPIVolumeFile *p, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (p[i].fieldRef)
			cor_default_str(&p[i].fieldRef->apiVersion, "v1");
}

static void projected(struct cor_arena *a, struct core_v1_ProjectedVolumeSource *s) {
	mode(a, &s->defaultMode);
	for (size_t i = 0; i < s->sources.n; i++) {
		struct core_v1_VolumeProjection *x = &s->sources.p[i];
		if (x->serviceAccountToken)
			cor_default_i64(a, &x->serviceAccountToken->expirationSeconds, 3600);
		if (x->downwardAPI)
			downward_items(x->downwardAPI->items.p, x->downwardAPI->items.n);
	}
}

static bool has_source(const struct core_v1_Volume *v) {
	static const struct core_v1_VolumeSource none;
	return memcmp(&v->volumeSource, &none, sizeof(none)) != 0;
}

static void volume(struct cor_arena *a, struct core_v1_Volume *v) {
	if (!has_source(v))
		v->emptyDir = cor_arena_new_of(a, struct core_v1_EmptyDirVolumeSource);
	if (v->hostPath && !v->hostPath->type.p)
		v->hostPath->type = COR_STR("");
	if (v->secret)
		mode(a, &v->secret->defaultMode);
	if (v->configMap)
		mode(a, &v->configMap->defaultMode);
	if (v->downwardAPI) {
		mode(a, &v->downwardAPI->defaultMode);
		downward_items(v->downwardAPI->items.p, v->downwardAPI->items.n);
	}
	if (v->projected)
		projected(a, v->projected);
	if (v->image)
		cor_default_str(&v->image->pullPolicy, pull_policy(v->image->reference));
	if (v->ephemeral && v->ephemeral->volumeClaimTemplate)
		cor_claim_spec_defaults(&v->ephemeral->volumeClaimTemplate->spec);
}

void cor_claim_spec_defaults(struct core_v1_PersistentVolumeClaimSpec *spec) {
	cor_default_str(&spec->volumeMode, "Filesystem");
}

/* ---- the whole ---- */

/* A container and an ephemeral one begin alike: the generated structs have the same members. */
_Static_assert(sizeof(struct core_v1_Container) == sizeof(struct core_v1_EphemeralContainerCommon),
	"the two describe a container");

void cor_podspec_defaults(struct cor_arena *a, struct core_v1_PodSpec *spec) {
	cor_default_str(&spec->restartPolicy, "Always");
	cor_default_str(&spec->dnsPolicy, "ClusterFirst");
	cor_default_str(&spec->schedulerName, "default-scheduler");
	cor_default_i64(a, &spec->terminationGracePeriodSeconds, 30);
	if (!spec->securityContext)
		spec->securityContext = cor_arena_new_of(a, struct core_v1_PodSecurityContext);
	if (spec->serviceAccountName.n == 0)
		spec->serviceAccountName = spec->serviceAccount;
	spec->serviceAccount = spec->serviceAccountName;
	for (size_t i = 0; i < spec->initContainers.n; i++)
		container(a, (struct core_v1_EphemeralContainerCommon *)&spec->initContainers.p[i]);
	for (size_t i = 0; i < spec->containers.n; i++)
		container(a, (struct core_v1_EphemeralContainerCommon *)&spec->containers.p[i]);
	for (size_t i = 0; i < spec->ephemeralContainers.n; i++)
		container(a, &spec->ephemeralContainers.p[i].ephemeralContainerCommon);
	for (size_t i = 0; i < spec->volumes.n; i++)
		volume(a, &spec->volumes.p[i]);
}
