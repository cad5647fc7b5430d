// SPDX-License-Identifier: Apache-2.0
// The volumes of a pod: what they are made of is gathered on the loop, from objects that may not be
// there yet, and made on a worker; files are written again whenever what is in them has changed.
#include "node/pod_priv.h"

#include <stdio.h>

#include "codec/codec.h"
#include "codec/quantity.h"
#include "node/pod_token.h"

enum { WAIT = 1 };

static mode_t mode_or(const int32_t *m, mode_t d) {
	return m ? (mode_t)*m : d;
}

static bool yes(const bool *b) {
	return b && *b;
}

/* ---- files ---- */

struct filling {
	struct pod *p;
	struct cor_arena *a;
	struct cor_volume_plan *plan;
	mode_t mode;
	struct cor_err *err;
};

static int fill_config_map(struct filling *x, struct cor_str name, const core_v1_KeyToPath *items, size_t n,
	bool optional) {
	const core_v1_ConfigMap *m = pod_ref_decode(x->p, x->a, &cor_type_core_v1_ConfigMap, "configmaps", name);
	if (!m)
		return optional ? 0 : cor_fail(x->err, COR_E_NOT_FOUND, "configmap \"%.*s\" not found", COR_STR_ARG(name));
	/* Both maps together; a key is in one of them only. */
	struct cor_strmap all = { .p = cor_arena_array(x->a, struct cor_kv, m->data.n + m->binaryData.n + 1) };
	for (size_t i = 0, j = 0; all.p && (i < m->data.n || j < m->binaryData.n);)
		all.p[all.n++] = j == m->binaryData.n ||
			(i < m->data.n && cor_str_cmp(m->data.p[i].key, m->binaryData.p[j].key) < 0) ?
			m->data.p[i++] : m->binaryData.p[j++];
	return cor_volume_files_from(x->a, &x->plan->files, "configmap", all, items, n, x->mode, optional, x->err);
}

static int fill_secret(struct filling *x, struct cor_str name, const core_v1_KeyToPath *items, size_t n,
	bool optional) {
	const core_v1_Secret *s;
	if (pod_secret(x->p, x->a, name, &s) < 0)
		return optional ? 0 : cor_fail(x->err, COR_E_NOT_FOUND, "secret \"%.*s\" not found", COR_STR_ARG(name));
	return cor_volume_files_from(x->a, &x->plan->files, "secret", s->data, items, n, x->mode, optional, x->err);
}

static int fill_downward(struct filling *x, const core_v1_DownwardAPIVolumeFile *items, size_t n) {
	struct cor_pod_facts_env f = pod_env_facts(x->p);
	for (size_t i = 0; i < n; i++) {
		struct cor_str value = COR_STR("");
		int r = items[i].fieldRef ? cor_downward_field(x->a, &f, items[i].fieldRef->fieldPath, &value, x->err) :
			items[i].resourceFieldRef ? cor_downward_resource(x->a, &f, NULL, items[i].resourceFieldRef, &value,
			x->err) : 0;
		if (r >= 0)
			r = cor_volume_file_add(x->a, &x->plan->files, items[i].path, value,
				mode_or(items[i].mode, x->mode), x->err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The one user that all containers run as, or -1. */
static int64_t single_user(const core_v1_PodSpec *s) {
	int64_t uid = -1;
	for (size_t i = 0; i < s->containers.n + s->initContainers.n; i++) {
		const core_v1_Container *c = i < s->containers.n ? &s->containers.p[i] :
			&s->initContainers.p[i - s->containers.n];
		const int64_t *u = c->securityContext && c->securityContext->runAsUser ? c->securityContext->runAsUser :
			s->securityContext ? s->securityContext->runAsUser : NULL;
		if (!u || (uid >= 0 && uid != *u))
			return -1;
		uid = *u;
	}
	return uid;
}

static int fill_token(struct filling *x, const core_v1_ServiceAccountTokenProjection *s) {
	const struct pod_token *t = pod_token_get(x->p, s->audience, s->expirationSeconds ? *s->expirationSeconds : 3600);
	if (!t->token && t->err.code != 0) {
		*x->err = t->err;
		return t->err.code;
	}
	if (!t->token)
		return WAIT;
	int64_t uid = x->plan->fs_group < 0 ? single_user(&x->p->object->spec) : -1;
	bool tight = uid >= 0 || x->plan->fs_group >= 0;
	int r = cor_volume_file_add(x->a, &x->plan->files, s->path, cor_str_c(t->token), tight ? 0600 : x->mode, x->err);
	if (r >= 0)
		x->plan->files.p[x->plan->files.n - 1].uid = uid;
	return r;
}

static int fill_projected(struct filling *x, const core_v1_ProjectedVolumeSource *v) {
	int wait = 0;
	for (size_t i = 0; i < v->sources.n; i++) {
		const core_v1_VolumeProjection *s = &v->sources.p[i];
		int r = 0;
		if (s->configMap)
			r = fill_config_map(x, s->configMap->name, s->configMap->items.p, s->configMap->items.n,
				yes(s->configMap->optional));
		else if (s->secret)
			r = fill_secret(x, s->secret->name, s->secret->items.p, s->secret->items.n, yes(s->secret->optional));
		else if (s->downwardAPI)
			r = fill_downward(x, s->downwardAPI->items.p, s->downwardAPI->items.n);
		else if (s->serviceAccountToken)
			r = fill_token(x, s->serviceAccountToken);
		else
			r = cor_fail(x->err, COR_E_UNSUPPORTED, "this kind of projection is not supported");
		if (r < 0)
			return r;
		wait |= r;
	}
	return wait;
}

static int fill(struct pod *p, struct cor_arena *a, const core_v1_Volume *v, struct cor_volume_plan *plan,
	struct cor_err *err) {
	const int32_t *mode = v->configMap ? v->configMap->defaultMode : v->secret ? v->secret->defaultMode :
		v->downwardAPI ? v->downwardAPI->defaultMode : v->projected->defaultMode;
	struct filling x = { p, a, plan, mode_or(mode, 0644), err };
	plan->kind = COR_VOLUME_FILES;
	plan->in_memory = !v->configMap;
	if (v->configMap)
		return fill_config_map(&x, v->configMap->name, v->configMap->items.p, v->configMap->items.n,
			yes(v->configMap->optional));
	if (v->secret)
		return fill_secret(&x, v->secret->secretName, v->secret->items.p, v->secret->items.n,
			yes(v->secret->optional));
	if (v->downwardAPI)
		return fill_downward(&x, v->downwardAPI->items.p, v->downwardAPI->items.n);
	return fill_projected(&x, v->projected);
}

/* ---- claims, images ---- */

static int claim(struct pod *p, struct cor_arena *a, struct pod_volume *pv, struct cor_str name, bool read_only,
	struct cor_err *err) {
	const core_v1_PersistentVolumeClaim *c = pod_ref_decode(p, a, &cor_type_core_v1_PersistentVolumeClaim,
		"persistentvolumeclaims", name);
	pv->plan.kind = COR_VOLUME_CLAIM;
	pv->plan.read_only = read_only;
	if (!pv->pv) {
		if (!c)
			return cor_fail(err, COR_E_NOT_FOUND, "failed to fetch PVC from API server: persistentvolumeclaims "
				"\"%.*s\" not found", COR_STR_ARG(name));
		if (c->metadata.deletionTimestamp != 0)
			return cor_fail(err, COR_E_INVALID, "error processing PVC %s/%.*s: PVC is being deleted", p->ns,
				COR_STR_ARG(name));
		if (c->spec.volumeName.n == 0 || !cor_str_eq(c->status.phase, COR_STR("Bound")))
			return cor_fail(err, COR_E_INVALID, "error processing PVC %s/%.*s: PVC is not bound", p->ns,
				COR_STR_ARG(name));
		struct cor_pv *v = cor_pvs_get(p->all->c.pvs, c->spec.volumeName);
		if (!v)
			return WAIT;
		pv->pv = v;
		cor_pv_hold(v);
	}
	const char *path;
	int r = cor_pv_ready(pv->pv, &path, err);
	if (r > 0)
		pv->plan.path = cor_arena_cstr(a, cor_str_c(path));
	return r > 0 ? 0 : r < 0 ? r : WAIT;
}

struct volume_pull {
	struct cor_image_pull pull;
	struct pod_volume *of;
};

static void on_pulled(struct cor_image_pull *pull) {
	struct pod_volume *v = cor_container_of(pull, struct volume_pull, pull)->of;
	v->pulling = false;
	v->image = cor_take(pull->image);
	pod_wake(v->pod);
}

static int image(struct pod *p, struct cor_arena *a, struct pod_volume *v, const core_v1_ImageVolumeSource *s,
	struct cor_err *err) {
	v->plan.kind = COR_VOLUME_IMAGE;
	v->plan.read_only = true;
	v->plan.lease = cor_arena_cstr(a, cor_arena_printf(a, "%s.%s", p->uid, v->name));
	v->plan.path = cor_arena_cstr(a, cor_arena_printf(a, "%s/volumes/kubernetes.io~image/%s/rootfs", p->dir, v->name));
	if (v->made || v->pulling)
		return v->pulling ? WAIT : 0;
	if (!v->image && !cor_str_eq(s->pullPolicy, COR_STR("Always")))
		(void)cor_image_find(p->all->c.images, s->reference, &v->image, err);
	v->plan.image = v->image;
	if (v->image)
		return 0;
	if (v->pull && v->pull->pull.result < 0) {
		*err = v->pull->pull.err;
		v->pull->pull.result = 0;
		return err->code;
	}
	v->pulling = true;
	if (!v->pull)
		v->pull = cor_new(struct volume_pull);
	*v->pull = (struct volume_pull){ .pull = { .done = on_pulled }, .of = v };
	cor_image_pull_start(p->all->c.puller, &v->pull->pull, s->reference, NULL);
	return WAIT;
}

/* ---- all of them ---- */

static bool used(const struct pod *p, struct cor_str name) {
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < p->facts[i].spec->volumeMounts.n; k++)
			if (cor_str_eq(p->facts[i].spec->volumeMounts.p[k].name, name))
				return true;
	return false;
}

static uint64_t memory_limit(const struct pod *p, const core_v1_EmptyDirVolumeSource *e) {
	int64_t size = e->sizeLimit.n > 0 ? cor_quantity_value(cor_quantity_of(e->sizeLimit)) : 0, sum = 0;
	for (size_t i = 0; i < p->object->spec.containers.n; i++) {
		const struct cor_str *v = cor_strmap_get(&p->object->spec.containers.p[i].resources.limits, COR_STR("memory"));
		if (!v)
			return (uint64_t)size;
		sum += cor_quantity_value(cor_quantity_of(*v));
	}
	return (uint64_t)(size > 0 && size < sum ? size : sum);
}

static int plan_one(struct pod *p, struct cor_arena *a, const core_v1_Volume *v, struct pod_volume *pv,
	struct cor_err *err) {
	struct cor_volume_plan *plan = &pv->plan;
	const core_v1_PodSecurityContext *sc = p->object->spec.securityContext;
	*plan = (struct cor_volume_plan){ .name = cor_arena_cstr(a, v->name), .fs_group = sc && sc->fsGroup ? *sc->fsGroup : -1,
		.on_root_mismatch = sc && cor_str_eq(sc->fsGroupChangePolicy, COR_STR("OnRootMismatch")) };
	const char *plugin = v->configMap ? "configmap" : v->secret ? "secret" : v->downwardAPI ? "downward-api" :
		v->projected ? "projected" : "empty-dir";
	plan->path = cor_arena_cstr(a, cor_arena_printf(a, "%s/volumes/kubernetes.io~%s/%s", p->dir, plugin, plan->name));
	if (v->configMap || v->secret || v->downwardAPI || v->projected)
		return fill(p, a, v, plan, err);
	if (v->emptyDir) {
		bool memory = cor_str_eq(v->emptyDir->medium, COR_STR("Memory"));
		plan->kind = memory ? COR_VOLUME_TMPFS : COR_VOLUME_EMPTY_DIR;
		plan->size = memory ? memory_limit(p, v->emptyDir) : 0;
		return 0;
	}
	if (v->hostPath) {
		plan->kind = COR_VOLUME_HOST_PATH;
		plan->path = cor_arena_cstr(a, v->hostPath->path);
		plan->host_type = cor_arena_cstr(a, v->hostPath->type);
		return 0;
	}
	if (v->persistentVolumeClaim)
		return claim(p, a, pv, v->persistentVolumeClaim->claimName, v->persistentVolumeClaim->readOnly, err);
	if (v->ephemeral)
		return claim(p, a, pv, cor_arena_printf(a, "%s-%s", p->name, pv->name), false, err);
	if (v->image)
		return image(p, a, pv, v->image, err);
	return cor_fail(err, COR_E_UNSUPPORTED, "no volume plugin matched");
}

/* 0: all planned; WAIT; or an error, with *bad the volume's name. */
static int plan_all(struct pod *p, struct cor_arena *a, const char **bad, struct cor_err *err) {
	const core_v1_PodSpec *s = &p->object->spec;
	if (!p->volumes) {
		p->volumes = cor_calloc(s->volumes.n + 1, sizeof(*p->volumes));
		for (size_t i = 0; i < s->volumes.n; i++)
			if (used(p, s->volumes.p[i].name))
				p->volumes[p->n_volumes++] = (struct pod_volume){ .pod = p,
					.name = cor_str_dup_c(s->volumes.p[i].name) };
	}
	int wait = pod_refs_known(p) ? 0 : WAIT;
	for (size_t i = 0; i < p->n_volumes; i++)
		for (size_t k = 0; k < s->volumes.n; k++) {
			if (!cor_str_eq_c(s->volumes.p[k].name, p->volumes[i].name))
				continue;
			int r = plan_one(p, a, &s->volumes.p[k], &p->volumes[i], err);
			/* What is not known yet is not missing. */
			if (r < 0 && wait)
				r = WAIT;
			*bad = p->volumes[i].name;
			if (r < 0)
				return r;
			wait |= r;
		}
	return wait;
}

static uint64_t hash_files(const struct pod *p) {
	uint64_t h = 1;
	for (size_t i = 0; i < p->n_volumes; i++)
		for (size_t k = 0; k < p->volumes[i].plan.files.n; k++) {
			const struct cor_volume_file *f = &p->volumes[i].plan.files.p[k];
			h = h * 1099511628211u + cor_str_hash(f->path) * 31 + cor_str_hash(f->data) + f->mode;
		}
	return h;
}

static void on_worker(struct cor_job *job) {
	struct pod_work *w = cor_container_of(job, struct pod_work, job);
	struct pod *p = w->pod;
	for (size_t i = 0; w->result >= 0 && i < p->n_volumes; i++) {
		struct pod_volume *v = &p->volumes[i];
		if (v->made && v->plan.kind != COR_VOLUME_FILES)
			continue;
		if (v->plan.kind == COR_VOLUME_IMAGE) {
			char *dir = cor_strdup(v->plan.path);
			*strrchr(dir, '/') = 0;
			w->result = cor_mkdir_all(dir, 0711, &w->err);
			if (w->result >= 0)
				w->result = cor_image_rootfs_mount(p->all->c.images, v->plan.image, v->plan.lease, dir, true,
					&w->err);
			free(dir);
		} else {
			w->result = cor_volume_apply(&v->plan, &w->err);
		}
		if (w->result < 0)
			(void)cor_wrap(&w->err, "MountVolume.SetUp failed for volume \"%s\" ", v->plan.name);
		else
			v->made = true;
	}
}

static void on_retry(struct cor_timer *t) {
	struct pod *p = cor_container_of(t, struct pod, vol_retry);
	pod_wake(p);
	if (p->vols == STAGE_DONE)
		pod_volumes_changed(p);
}

static void failed(struct pod *p, const char *message) {
	struct cor_world *w = p->all->c.world;
	pod_event(p, NULL, true, "FailedMount", "%s", message);
	p->vol_delay = p->vol_delay == 0 ? COR_SECOND / 2 : p->vol_delay < 2 * COR_MINUTE ? p->vol_delay * 2 : p->vol_delay;
	p->vol_retry.fire = on_retry;
	w->timer_set(w, &p->vol_retry, p->vol_delay);
}

enum { TEXTS = 3 };

static char **kept_text(struct cor_volume_plan *plan, size_t k) {
	return k == 0 ? &plan->name : k == 1 ? &plan->path : &plan->lease;
}

static const char *or_empty(const char *s) {
	return s ? s : "";
}

/* What was planned is made: only where it is will be asked for. What is in files does not stay in memory. */
static void settle(struct pod *p) {
	size_t size = 0;
	for (size_t i = 0; i < p->n_volumes; i++)
		for (size_t k = 0; k < TEXTS; k++)
			size += strlen(or_empty(*kept_text(&p->volumes[i].plan, k))) + 1;
	struct cor_arena *a = cor_arena_new_sized(size);
	for (size_t i = 0; i < p->n_volumes; i++) {
		struct cor_volume_plan *plan = &p->volumes[i].plan;
		for (size_t k = 0; k < TEXTS; k++)
			*kept_text(plan, k) = cor_arena_cstr(a, cor_str_c(or_empty(*kept_text(plan, k))));
		plan->host_type = NULL;
		plan->files.p = NULL;
		plan->files.n = 0;
	}
	cor_arena_free(p->vol_arena);
	p->vol_arena = a;
}

static void on_done(struct cor_job *job) {
	_cleanup_free_ struct pod_work *w = cor_container_of(job, struct pod_work, job);
	struct pod *p = w->pod;
	p->all->busy--;
	bool was_made = p->vol_hash != 0;
	p->vols = w->result >= 0 || was_made ? STAGE_DONE : STAGE_NONE;
	if (w->result < 0) {
		if (!p->ending)
			failed(p, w->err.message);
	} else {
		p->vol_hash = hash_files(p);
		p->vol_delay = 0;
		settle(p);
	}
	if (p->vol_again && p->vols == STAGE_DONE)
		pod_volumes_changed(p);
	pod_wake(p);
}

/* Plans with what is known now and gives it to a worker. */
static void work(struct pod *p) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	const char *bad = "";
	struct cor_err err;
	int r = plan_all(p, a, &bad, &err);
	if (r < 0 && !p->vol_retry.armed) {
		char text[900];
		(void)snprintf(text, sizeof(text), "MountVolume.SetUp failed for volume \"%s\" : %s", bad, err.message);
		failed(p, text);
	}
	if (r != 0 || (p->vols == STAGE_DONE && hash_files(p) == p->vol_hash)) {
		/* Paths are asked for later on as well. */
		if (r == 0) {
			cor_arena_free(p->vol_arena);
			p->vol_arena = cor_take(a);
			settle(p);
		} else if (p->vol_arena) {
			cor_arena_on_dispose(p->vol_arena, (void (*)(void *))cor_arena_free, cor_take(a));
		} else {
			p->vol_arena = cor_take(a);
		}
		return;
	}
	cor_arena_free(p->vol_arena);
	p->vol_arena = cor_take(a);
	p->vols = STAGE_BUSY;
	p->vol_again = false;
	p->all->busy++;
	pod_submit(p, &pod_work_new(p)->job, on_worker, on_done);
}

bool pod_volumes_ready(struct pod *p) {
	if (p->vols == STAGE_NONE)
		work(p);
	return p->vols == STAGE_DONE || (p->vols == STAGE_BUSY && p->vol_hash != 0);
}

void pod_volumes_changed(struct pod *p) {
	if (p->ending || p->gone)
		return;
	if (p->vols == STAGE_BUSY)
		p->vol_again = true;
	else if (p->vols == STAGE_DONE)
		work(p);
	else
		p->all->c.world->timer_clear(p->all->c.world, &p->vol_retry);
}

bool pod_waits_for_pv(const struct pod *p, const char *pv) {
	/* Which one it will be is not known before its claim is bound. */
	if (p->vols == STAGE_NONE)
		return true;
	for (size_t i = 0; i < p->n_volumes; i++)
		if (p->volumes[i].pv && strcmp(cor_pv_name(p->volumes[i].pv), pv) == 0)
			return true;
	return false;
}

const struct pod_volume *pod_volume_find(const struct pod *p, struct cor_str name) {
	for (size_t i = 0; i < p->n_volumes; i++)
		if (cor_str_eq_c(name, p->volumes[i].name))
			return &p->volumes[i];
	return NULL;
}

void pod_volumes_release(struct pod *p) {
	p->all->c.world->timer_clear(p->all->c.world, &p->vol_retry);
	pod_tokens_free(p);
	for (size_t i = 0; i < p->n_volumes; i++) {
		struct pod_volume *v = &p->volumes[i];
		if (v->pulling)
			cor_image_pull_cancel(&v->pull->pull);
		free(v->pull);
		cor_image_unref(v->image);
		cor_pv_release(v->pv);
		free((char *)(uintptr_t)v->name);
	}
	free(cor_take(p->volumes));
	p->n_volumes = 0;
	p->vols = STAGE_GONE;
}
