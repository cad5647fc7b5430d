// SPDX-License-Identifier: Apache-2.0
// Persistent volumes of this node: follows the objects and moves each volume with one worker at a
// time. What is to be done next is computed from facts (who holds it, what is mounted, what the
// object says), never remembered, so a restart goes on where it was.
#include "node/pv.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/map.h"
#include "codec/codec.h"
#include "codec/quantity.h"
#include "gen/core_v1.h"
#include "node/pv_priv.h"
#include "node/volume.h"

/* Names the volume controllers use as well; all of it is visible in the API. */
#define COR_LOCAL_DRIVER "local.coracle.dev"
#define COR_LOCAL_FINALIZER "local.coracle.dev/data"

enum work { WORK_NONE, WORK_MAKE, WORK_MOUNT, WORK_GROW, WORK_UNMOUNT, WORK_DELETE };

struct cor_pvs {
	struct cor_pvs_config c;
	char *node, *dir;
	struct cor_informer *informer;
	struct cor_map map;             /* name -> cor_pv */
	size_t busy;
	bool settled;
};

struct cor_pv {
	struct cor_pvs *all;
	char *name, *dir, *path;        /* path: of hostPath and local volumes, else dir/mount */
	struct cor_arena *arena;
	const struct core_v1_PersistentVolume *object;  /* NULL: it is gone from the API */
	char *json;
	bool ours, known_mounted, mounted, data_gone;
	size_t holders;
	/* one worker at a time */
	struct cor_job job;
	enum work work;
	uint64_t size, grown, before;   /* asked for, now, before the work under way */
	struct cor_err err;
	int result;
	struct cor_timer retry;
	cor_time delay;
};

static void step(struct cor_pv *v);

static void pv_free(struct cor_pv *v) {
	v->all->c.world->timer_clear(v->all->c.world, &v->retry);
	cor_arena_free(v->arena);
	free(v->json);
	free(v->name);
	free(v->dir);
	free(v->path);
	free(v);
}

static bool has_finalizer(const struct cor_pv *v) {
	for (size_t i = 0; v->object && i < v->object->metadata.finalizers.n; i++)
		if (cor_str_eq(v->object->metadata.finalizers.p[i], COR_STR(COR_LOCAL_FINALIZER)))
			return true;
	return false;
}

static bool on_this_node(const struct cor_pvs *p, const struct core_v1_PersistentVolume *o) {
	if (!o->spec.nodeAffinity || !o->spec.nodeAffinity->required)
		return true;
	const struct core_v1_NodeSelector *s = o->spec.nodeAffinity->required;
	for (size_t i = 0; i < s->nodeSelectorTerms.n; i++)
		for (size_t j = 0; j < s->nodeSelectorTerms.p[i].matchExpressions.n; j++) {
			const struct core_v1_NodeSelectorRequirement *r = &s->nodeSelectorTerms.p[i].matchExpressions.p[j];
			for (size_t k = 0; k < r->values.n; k++)
				if (cor_str_eq_c(r->values.p[k], p->node))
					return true;
		}
	return false;
}

/* ---- work ---- */

static void on_worker(struct cor_job *job) {
	struct cor_pv *v = cor_container_of(job, struct cor_pv, job);
	switch (v->work) {
	case WORK_MAKE:
		v->result = pv_image_make(v->dir, v->size, &v->err);
		break;
	case WORK_MOUNT:
		v->result = pv_image_mount(v->dir, v->size, &v->err);
		break;
	case WORK_GROW:
		v->result = pv_image_grow(v->dir, v->size, &v->err);
		break;
	case WORK_UNMOUNT:
		v->result = pv_image_unmount(v->dir, &v->err);
		break;
	case WORK_DELETE:
		v->result = cor_volume_remove_tree(v->dir, &v->err);
		break;
	default:
		break;
	}
	v->grown = pv_image_size(v->dir);
}

static void on_patched(void *arg, const struct cor_err *err, struct cor_str body) {
	if (err && err->reason != COR_REASON_CONFLICT && err->reason != COR_REASON_NOT_FOUND)
		cor_warn("persistent volume: %s", err->message);
}

static void release_object(struct cor_pv *v) {
	const struct core_v1_PersistentVolume *o = v->object;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_printf(&b, "{\"metadata\":{\"resourceVersion\":\"%.*s\",\"finalizers\":[",
		COR_STR_ARG(o->metadata.resourceVersion));
	bool first = true;
	for (size_t i = 0; i < o->metadata.finalizers.n; i++) {
		if (cor_str_eq(o->metadata.finalizers.p[i], COR_STR(COR_LOCAL_FINALIZER)))
			continue;
		cor_buf_c(&b, first ? "" : ",");
		cor_json_write_str(&b, o->metadata.finalizers.p[i]);
		first = false;
	}
	cor_buf_c(&b, "]}}");
	_cleanup_free_ char *path = cor_asprintf("/api/v1/persistentvolumes/%s", v->name);
	/* A conflict comes with a newer object, which asks again. */
	(void)cor_api_patch(v->all->c.api, path, "application/merge-patch+json", cor_buf_view(&b), on_patched, NULL);
}

static void tell_claim(struct cor_pv *v) {
	const struct core_v1_ObjectReference *r = v->object ? v->object->spec.claimRef : NULL;
	if (!r)
		return;
	const struct cor_str *size = cor_strmap_get(&v->object->spec.capacity, COR_STR("storage"));
	_cleanup_free_ char *path = cor_asprintf("/api/v1/namespaces/%.*s/persistentvolumeclaims/%.*s/status",
		COR_STR_ARG(r->namespace), COR_STR_ARG(r->name));
	_cleanup_free_ char *body = cor_asprintf("{\"metadata\":{\"uid\":\"%.*s\"},\"status\":{\"capacity\":"
		"{\"storage\":\"%.*s\"}}}", COR_STR_ARG(r->uid), COR_STR_ARG(size ? *size : COR_STR("0")));
	(void)cor_api_patch(v->all->c.api, path, "application/merge-patch+json", cor_str_c(body), on_patched, NULL);
	cor_event_emit(v->all->c.events, &(struct cor_event_object){ "PersistentVolumeClaim", "v1", r->namespace,
		r->name, r->uid, { 0 }, NULL }, false, "FileSystemResizeSuccessful",
		"MountVolume.NodeExpandVolume succeeded for volume \"%s\" %s", v->name, v->all->node);
}

static void on_retry(struct cor_timer *t) {
	step(cor_container_of(t, struct cor_pv, retry));
}

static void on_done(struct cor_job *job) {
	struct cor_pv *v = cor_container_of(job, struct cor_pv, job);
	struct cor_world *w = v->all->c.world;
	enum work work = v->work;
	v->work = WORK_NONE;
	v->all->busy--;
	if (v->result < 0) {
		cor_warn("volume %s: %s", v->name, v->err.message);
		v->delay = v->delay == 0 ? COR_SECOND / 2 : v->delay < COR_MINUTE ? v->delay * 2 : v->delay;
		w->timer_set(w, &v->retry, v->delay);
		v->all->c.changed(v->all->c.arg, v->name);
		return;
	}
	v->delay = 0;
	if (work == WORK_MOUNT || work == WORK_GROW)
		v->mounted = true;
	if (v->before > 0 && v->grown > v->before)
		tell_claim(v);
	if (work == WORK_DELETE) {
		v->data_gone = true;
		if (v->object && has_finalizer(v))
			release_object(v);
	}
	/* It may be over and done with now. */
	struct cor_pvs *all = v->all;
	_cleanup_free_ char *name = cor_strdup(v->name);
	step(v);
	all->c.changed(all->c.arg, name);
}

static void submit(struct cor_pv *v, enum work work) {
	v->work = work;
	v->before = v->grown;
	/* From now on nobody may use it: who takes hold of it meanwhile waits for the next mount. */
	if (work == WORK_UNMOUNT || work == WORK_DELETE)
		v->mounted = false;
	v->result = 0;
	v->err = (struct cor_err){ 0 };
	v->job = (struct cor_job){ .work = on_worker, .done = on_done };
	v->all->busy++;
	v->all->c.world->submit(v->all->c.world, COR_LANE_ANY, &v->job);
}

static enum work next_work(const struct cor_pv *v) {
	bool deleting = v->object && v->object->metadata.deletionTimestamp != 0;
	if (v->holders > 0) {
		if (!v->mounted)
			return WORK_MOUNT;
		return v->grown < v->size ? WORK_GROW : WORK_NONE;
	}
	if (deleting && has_finalizer(v))
		return v->data_gone || !v->all->settled ? WORK_NONE : WORK_DELETE;
	if (v->mounted)
		return WORK_UNMOUNT;
	/* Made as soon as it is heard of, since a pod will wait for it; one that nobody uses is grown the same way.
	 * One that could be on any node is made where it is used. */
	return v->object && !deleting && v->grown < v->size && (v->grown > 0 || v->object->spec.nodeAffinity) ?
		WORK_MAKE : WORK_NONE;
}

static void step(struct cor_pv *v) {
	if (v->work != WORK_NONE || v->retry.armed)
		return;
	if (v->ours) {
		enum work w = next_work(v);
		if (w != WORK_NONE) {
			submit(v, w);
			return;
		}
	}
	if (!v->object && v->holders == 0) {
		(void)cor_map_remove(&v->all->map, cor_str_c(v->name));
		pv_free(v);
	}
}

/* ---- the objects ---- */

static void on_set(void *arg, struct cor_str key, struct cor_str json) {
	struct cor_pvs *p = arg;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	_cleanup_free_ char *text = cor_str_dup_c(json);
	struct cor_decode d = { .arena = a };
	struct cor_err err;
	void *obj;
	if (cor_json_decode_new(&cor_type_core_v1_PersistentVolume, (struct cor_str){ text, json.n }, &obj, &d, &err) < 0) {
		cor_warn("persistent volume %.*s: %s", COR_STR_ARG(key), err.message);
		return;
	}
	const struct core_v1_PersistentVolume *o = obj;
	struct cor_pv *v = cor_map_get(&p->map, key);
	if (!v) {
		v = cor_new(struct cor_pv);
		*v = (struct cor_pv){ .all = p, .name = cor_str_dup_c(key), .retry = { .fire = on_retry } };
		v->dir = cor_asprintf("%s/%s", p->dir, v->name);
		v->grown = pv_image_size(v->dir);
		(void)cor_map_put(&p->map, key, v);
	}
	if (v->work == WORK_NONE || !v->path) {
		const char *local = NULL;
		_cleanup_free_ char *host = o->spec.hostPath ? cor_str_dup_c(o->spec.hostPath->path) :
			o->spec.local ? cor_str_dup_c(o->spec.local->path) : NULL;
		local = host;
		free(v->path);
		v->path = local ? cor_take(host) : cor_asprintf("%s/mount", v->dir);
	}
	v->ours = o->spec.csi && cor_str_eq(o->spec.csi->driver, COR_STR(COR_LOCAL_DRIVER)) && on_this_node(p, o);
	cor_arena_free(v->arena);
	free(v->json);
	v->arena = cor_take(a);
	v->json = cor_take(text);
	v->object = o;
	const struct cor_str *size = cor_strmap_get(&o->spec.capacity, COR_STR("storage"));
	v->size = size ? (uint64_t)cor_quantity_value(cor_quantity_of(*size)) : 0;
	if (v->data_gone && has_finalizer(v) && o->metadata.deletionTimestamp != 0)
		release_object(v);
	step(v);
	p->c.changed(p->c.arg, v->name);
}

static void on_delete(void *arg, struct cor_str key) {
	struct cor_pvs *p = arg;
	struct cor_pv *v = cor_map_get(&p->map, key);
	if (!v)
		return;
	v->object = NULL;
	step(v);
}

struct cor_pvs *cor_pvs_new(const struct cor_pvs_config *c) {
	struct cor_pvs *p = cor_new(struct cor_pvs);
	*p = (struct cor_pvs){ .c = *c, .node = cor_strdup(c->node), .dir = cor_asprintf("%s/volumes", c->data_dir) };
	p->informer = cor_informer_new(&(struct cor_informer_config){ .api = c->api,
		.path = "/api/v1/persistentvolumes", .ops = { .on_set = on_set, .on_delete = on_delete }, .arg = p });
	return p;
}

void cor_pvs_free(struct cor_pvs *p) {
	if (!p)
		return;
	cor_assert(p->busy == 0);
	cor_informer_free(p->informer);
	size_t it = 0;
	struct cor_str key;
	void *v;
	while (cor_map_next(&p->map, &it, &key, &v))
		pv_free(v);
	cor_map_fini(&p->map);
	free(p->node);
	free(p->dir);
	free(p);
}

bool cor_pvs_busy(const struct cor_pvs *p) {
	return p->busy > 0;
}

void cor_pvs_settled(struct cor_pvs *p) {
	size_t it = 0;
	struct cor_str key;
	void *v;
	p->settled = true;
	while (cor_map_next(&p->map, &it, &key, &v))
		step(v);
}

struct cor_pv *cor_pvs_get(struct cor_pvs *p, struct cor_str name) {
	return cor_map_get(&p->map, name);
}

const char *cor_pv_name(const struct cor_pv *v) {
	return v->name;
}

void cor_pv_hold(struct cor_pv *v) {
	/* What failed while nobody used it is another thing. */
	if (v->holders++ == 0)
		v->all->c.world->timer_clear(v->all->c.world, &v->retry);
	step(v);
}

void cor_pv_release(struct cor_pv *v) {
	if (!v)
		return;
	cor_assert(v->holders > 0);
	v->holders--;
	/* What failed while it was in use may work now. */
	v->all->c.world->timer_clear(v->all->c.world, &v->retry);
	step(v);
}

int cor_pv_ready(struct cor_pv *v, const char **ret_path, struct cor_err *err) {
	*ret_path = v->path;
	if (v->ours) {
		if (v->mounted)
			return 1;
		if (v->retry.armed) {
			*err = v->err;
			return v->result;
		}
		return 0;
	}
	if (v->object && (v->object->spec.hostPath || v->object->spec.local))
		return 1;
	if (v->object && v->object->spec.csi && !cor_str_eq(v->object->spec.csi->driver, COR_STR(COR_LOCAL_DRIVER)))
		return cor_fail(err, COR_E_UNSUPPORTED, "driver name %.*s not found in the list of registered CSI drivers",
			COR_STR_ARG(v->object->spec.csi->driver));
	return cor_fail(err, COR_E_UNSUPPORTED, "volume %s cannot be used on this node", v->name);
}
