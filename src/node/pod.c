// SPDX-License-Identifier: Apache-2.0
// The set of pods of this node: objects come in from the API, containers from the runtime, and
// whatever changed puts its pod into a queue that the loop's next turn empties. A pod of the same
// name but another uid is another pod; the old one goes its own way.
#include "node/pod_priv.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "node/container_log.h"
#include "codec/codec.h"
#include "node/pod_token.h"

void replace_text(char **p, const char *s) {
	char *copy = s ? cor_strdup(s) : NULL;
	free(*p);
	*p = copy;
}

/* ---- the queue ---- */

static void drain(struct cor_timer *t) {
	struct cor_pods *ps = cor_container_of(t, struct cor_pods, tick);
	struct pod **queue = cor_take(ps->queue);
	size_t n = ps->n_queue;
	ps->n_queue = ps->cap_queue = 0;
	for (size_t i = 0; i < n; i++) {
		if (!queue[i])
			continue;
		queue[i]->queued = false;
		pod_sync(queue[i]);
	}
	free(queue);
}

void pod_wake(struct pod *p) {
	struct cor_pods *ps = p->all;
	if (p->queued)
		return;
	if (ps->n_queue == ps->cap_queue) {
		ps->cap_queue = ps->cap_queue ? ps->cap_queue * 2 : 16;
		ps->queue = cor_realloc(ps->queue, ps->cap_queue * sizeof(struct pod *));
	}
	ps->queue[ps->n_queue++] = p;
	p->queued = true;
	if (!ps->tick.armed)
		ps->c.world->timer_set(ps->c.world, &ps->tick, 0);
}

void pod_due(struct pod *p, cor_time at) {
	if (p->due == 0 || at < p->due)
		p->due = at;
}

static void on_timer(struct cor_timer *t) {
	pod_wake(cor_container_of(t, struct pod, timer));
}

struct pod_work *pod_work_new(struct pod *p) {
	struct pod_work *w = cor_new(struct pod_work);
	w->pod = p;
	return w;
}

void pod_submit(struct pod *p, struct cor_job *job, void (*work)(struct cor_job *),
	void (*done)(struct cor_job *)) {
	*job = (struct cor_job){ .work = work, .done = done };
	p->all->c.world->submit(p->all->c.world, COR_LANE_ANY, job);
}

/* ---- facts ---- */

struct cor_pod_facts pod_facts(struct pod *p) {
	return (struct cor_pod_facts){
		.pod = p->object, .ctrs = p->facts, .n = p->n, .before = p->status,
		.sandbox = p->net == STAGE_DONE, .host_ip = p->all->c.host_ip,
		.ip = p->object->spec.hostNetwork ? p->all->c.host_ip : p->ns_paths.ip,
		.ending = p->ending, .stopped = p->stopped, .reason = p->reason, .message = p->message,
		.now = pod_now(p),
	};
}

static void services(void *arg, void (*fn)(void *fn_arg, const struct core_v1_Service *s), void *fn_arg) {
	struct pod *p = arg;
	if (p->all->c.services)
		p->all->c.services(p->all->c.arg, fn, fn_arg);
}

struct cor_pod_facts_env pod_env_facts(struct pod *p) {
	return (struct cor_pod_facts_env){
		.pod = p->object, .pod_ip = p->object->spec.hostNetwork ? p->all->c.host_ip : p->ns_paths.ip,
		.host_ip = p->all->c.host_ip, .allocatable = p->all->c.allocatable, .object = pod_object,
		.services = services, .arg = p,
	};
}

const char *ctr_field(const struct ctr *c, char out[300]) {
	static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
	(void)snprintf(out, 300, "spec.%s{%s}", lists[c->f->kind], c->name);
	return out;
}

void pod_event(struct pod *p, const struct ctr *c, bool warning, const char *reason, const char *fmt, ...) {
	char message[1024], field[300];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	cor_event_emit(p->all->c.events, &(struct cor_event_object){ "Pod", "v1", p->object->metadata.namespace,
		p->object->metadata.name, p->object->metadata.uid, p->object->metadata.resourceVersion,
		c ? ctr_field(c, field) : NULL }, warning, reason, "%s", message);
}

/* ---- a pod's containers ---- */

static void ctr_init(struct pod *p, struct ctr *c, const core_v1_Container *spec, enum cor_ctr_kind kind) {
	struct cor_ctr_facts *f = c->f;
	c->pod = p;
	c->name = cor_str_dup_c(spec->name);
	f->kind = kind;
	f->spec = spec;
	f->sidecar = kind == COR_CTR_INIT && cor_str_eq(spec->restartPolicy, COR_STR("Always"));
}

static const core_v1_Container *as_container(const core_v1_EphemeralContainer *e) {
	/* The common part has the fields of a container in their order. */
	return (const core_v1_Container *)(const void *)&e->ephemeralContainerCommon;
}

static void terminated_from_api(struct cor_inst *i, const core_v1_ContainerStateTerminated *t) {
	struct cor_str id = t->containerID;
	if (cor_str_starts(id, COR_STR("crun://")))
		id = cor_str_sub(id, 7, id.n);
	*i = (struct cor_inst){ .phase = COR_INST_EXITED, .started_at = t->startedAt, .finished_at = t->finishedAt,
		.exit_code = t->exitCode, .signal = t->signal, .reason = cor_str_dup_c(t->reason),
		.message = cor_str_dup_c(t->message) };
	(void)snprintf(i->id, sizeof(i->id), "%.*s", COR_STR_ARG(id));
}

/* What only the API remembers of containers whose runtime records are gone. */
static void recall(struct ctr *c, const core_v1_ContainerStatus *s) {
	struct cor_ctr_facts *f = c->f;
	f->restarts = s->restartCount;
	if (s->lastState.terminated)
		terminated_from_api(&f->last, s->lastState.terminated);
	if (s->state.terminated)
		terminated_from_api(&f->inst, s->state.terminated);
	else if (s->state.waiting && s->lastState.terminated && f->kind != COR_CTR_EPHEMERAL) {
		terminated_from_api(&f->inst, s->lastState.terminated);
		cor_inst_fini(&f->last);
	} else if (s->state.running) {
		f->inst = (struct cor_inst){ .phase = COR_INST_EXITED, .started_at = s->state.running->startedAt,
			.finished_at = pod_now(c->pod), .exit_code = 137,
			.reason = cor_strdup("ContainerStatusUnknown"), .message = cor_strdup(
			"The container could not be located when the pod was deleted.  The container used to be Running") };
	}
	f->ready = s->ready;
	f->started = s->started && *s->started;
	if (s->imageID.n > 0) {
		f->image = cor_str_dup_c(s->image);
		f->image_id = cor_str_dup_c(s->imageID);
	}
}

static void recall_all(struct pod *p) {
	const core_v1_PodStatus *s = &p->object->status;
	const struct { const core_v1_ContainerStatus *p; size_t n; } lists[] = {
		{ s->initContainerStatuses.p, s->initContainerStatuses.n },
		{ s->containerStatuses.p, s->containerStatuses.n },
		{ s->ephemeralContainerStatuses.p, s->ephemeralContainerStatuses.n },
	};
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < lists[p->facts[i].kind].n; k++)
			if (cor_str_eq_c(lists[p->facts[i].kind].p[k].name, p->ctrs[i]->name))
				recall(p->ctrs[i], &lists[p->facts[i].kind].p[k]);
}

static void adopt(struct ctr *c, struct cor_container *run) {
	if (c->run && c->run->attempt > run->attempt)
		return;
	struct cor_ctr_facts *f = c->f;
	c->run = run;
	run->user = c;
	cor_inst_fini(&f->inst);
	f->inst.phase = COR_INST_RUNNING;
	f->inst.started_at = run->started_at;
	(void)snprintf(f->inst.id, sizeof(f->inst.id), "%s", run->id);
	f->restarts = run->attempt;
	for (size_t i = 0; i < run->n_labels; i++) {
		char **to = cor_str_eq(run->labels[i].key, COR_STR("image")) ? &f->image :
			cor_str_eq(run->labels[i].key, COR_STR("imageID")) ? &f->image_id :
			cor_str_eq(run->labels[i].key, COR_STR("termination")) ? &c->termination : NULL;
		if (to) {
			free(*to);
			*to = cor_str_dup_c(run->labels[i].value);
		}
	}
}

/* Containers of the runtime that belong to this pod: an agent that starts again takes them over. */
static void adopt_all(struct pod *p) {
	struct cor_container *run;
	size_t it = 0;
	while ((run = p->all->c.rt->ops->next(p->all->c.rt, &it)))
		if (strcmp(run->pod_uid, p->uid) == 0)
			for (size_t i = 0; i < p->n; i++)
				if (strcmp(p->ctrs[i]->name, run->name) == 0)
					adopt(p->ctrs[i], run);
	for (size_t i = 0; i < p->n; i++) {
		struct ctr *c = p->ctrs[i];
		if (!c->run)
			continue;
		p->admitted = true;
		if (c->run->phase == COR_CONTAINER_EXITED)
			ctr_exited(c);
		else
			ctr_running(c);
	}
}

/* Room for n containers. The only list that grows is that of ephemeral containers, at its end. */
static void make_room(struct pod *p, size_t n) {
	if (n <= p->n)
		return;
	p->ctrs = cor_realloc(p->ctrs, n * sizeof(struct ctr *));
	p->facts = cor_realloc(p->facts, n * sizeof(*p->facts));
	for (size_t i = 0; i < n; i++) {
		if (i >= p->n) {
			p->ctrs[i] = cor_new(struct ctr);
			p->facts[i] = (struct cor_ctr_facts){ 0 };
		}
		p->ctrs[i]->f = &p->facts[i];
	}
	p->n = n;
}

static void set_containers(struct pod *p) {
	const core_v1_PodSpec *s = &p->object->spec;
	size_t n = s->initContainers.n + s->containers.n + s->ephemeralContainers.n, at = 0;
	size_t old_n = p->n;
	make_room(p, n);
	for (size_t k = 0; k < 3; k++) {
		size_t count = k == 0 ? s->initContainers.n : k == 1 ? s->containers.n : s->ephemeralContainers.n;
		for (size_t i = 0; i < count && at < n; i++, at++) {
			const core_v1_Container *spec = k == 0 ? &s->initContainers.p[i] : k == 1 ? &s->containers.p[i] :
				as_container(&s->ephemeralContainers.p[i]);
			if (at >= old_n)
				ctr_init(p, p->ctrs[at], spec, (enum cor_ctr_kind)k);
			p->ctrs[at]->index = at;
			p->facts[at].spec = spec;
			ctr_spec_changed(p->ctrs[at]);
		}
	}
}

/* ---- objects ---- */

static void free_containers(struct pod *p) {
	for (size_t i = 0; i < p->n; i++) {
		struct ctr *c = p->ctrs[i];
		for (size_t k = 0; k < COR_PROBE_KIND_MAX; k++)
			cor_prober_free(c->probers[k]);
		cor_hook_cancel(c->hook);
		p->all->c.world->timer_clear(p->all->c.world, &c->stop_timer);
		cor_inst_fini(&c->f->inst);
		cor_inst_fini(&c->f->last);
		free(c->f->image);
		free(c->f->image_id);
		free(c->f->waiting);
		free(c->f->waiting_message);
		ctr_start_free(c->start);
		if (c->run)
			c->run->user = NULL;
		free(c->pull_error);
		free(c->wanted_image);
		free(c->termination);
		free(c->name);
		free(c);
	}
	free(p->ctrs);
	free(p->facts);
}

void pod_free(struct pod *p) {
	struct cor_pods *ps = p->all;
	struct cor_world *w = ps->c.world;
	for (size_t i = 0; i < ps->n_queue; i++)
		if (ps->queue[i] == p)
			ps->queue[i] = NULL;
	(void)cor_map_remove(&ps->by_uid, cor_str_c(p->uid));
	if (cor_map_get(&ps->by_key, cor_str_c(p->key)) == p)
		(void)cor_map_remove(&ps->by_key, cor_str_c(p->key));
	struct cor_timer *timers[] = { &p->timer, &p->net_retry, &p->vol_retry, &p->token_timer, &p->write_retry };
	for (size_t i = 0; i < cor_countof(timers); i++)
		w->timer_clear(w, timers[i]);
	if (p->write)
		cor_api_cancel(p->write);
	free_containers(p);
	pod_volumes_release(p);
	pod_refs_release(p);
	cor_arena_free(p->status_arena);
	cor_arena_free(p->arena);
	cor_arena_free(p->vol_arena);
	char *texts[] = { p->uid, p->ns, p->name, p->key, p->dir, p->reason, p->message };
	for (size_t i = 0; i < cor_countof(texts); i++)
		free(texts[i]);
	free(p);
}

static struct pod *pod_new(struct cor_pods *ps, struct cor_str key, const core_v1_Pod *o) {
	struct pod *p = cor_new(struct pod);
	*p = (struct pod){ .all = ps, .uid = cor_str_dup_c(o->metadata.uid), .ns = cor_str_dup_c(o->metadata.namespace),
		.name = cor_str_dup_c(o->metadata.name), .key = cor_str_dup_c(key), .timer = { .fire = on_timer } };
	p->first_at = pod_now(p);
	p->dir = cor_asprintf("%s/pods/%s", ps->c.data_dir, p->uid);
	(void)cor_map_put(&ps->by_key, key, p);
	(void)cor_map_put(&ps->by_uid, cor_str_c(p->uid), p);
	return p;
}

static void object_gone(struct pod *p) {
	p->gone = true;
	(void)cor_map_remove(&p->all->by_key, cor_str_c(p->key));
	pod_wake(p);
}

/* What was missing may be there now. */
static void retry_config(struct pod *p) {
	for (size_t i = 0; i < p->n; i++)
		if (p->facts[i].waiting && strcmp(p->facts[i].waiting, "CreateContainerConfigError") == 0)
			p->ctrs[i]->retry_at = 0;
}

static uint64_t hash_texts(const struct cor_strmap *m) {
	uint64_t h = m->n;
	for (size_t i = 0; i < m->n; i++)
		h = h * 31 + cor_str_hash(m->p[i].key) + cor_str_hash(m->p[i].value) * 7;
	return h;
}

static void free_arena(void *a) {
	cor_arena_free(a);
}

/* What is kept of an object: who manages which field is as long as the rest, and nothing to us. */
static const core_v1_Pod *decode(struct cor_pods *ps, struct cor_str key, struct cor_str json, struct cor_arena **ret) {
	struct cor_decode d = { .arena = ps->scratch };
	struct cor_err err = { 0 };
	void *obj;
	const core_v1_Pod *kept = NULL;
	if (cor_json_decode_new(&cor_type_core_v1_Pod, cor_arena_str(ps->scratch, json), &obj, &d, &err) >= 0) {
		core_v1_Pod *o = obj;
		o->metadata.managedFields.n = 0;
		kept = cor_obj_keep(&cor_type_core_v1_Pod, o, ps->scratch, ret);
	}
	cor_arena_reset(ps->scratch);
	if (!kept)
		cor_warn("pod %.*s: %s", COR_STR_ARG(key), err.code ? err.message : "out of memory");
	return kept;
}

void cor_pods_set(struct cor_pods *ps, struct cor_str key, struct cor_str json) {
	struct cor_arena *a;
	const core_v1_Pod *o = decode(ps, key, json, &a);
	if (!o)
		return;
	struct pod *p = cor_map_get(&ps->by_key, key);
	if (p && !cor_str_eq_c(o->metadata.uid, p->uid)) {
		object_gone(p);
		p = NULL;
	}
	bool fresh = !p;
	if (fresh)
		p = pod_new(ps, key, o);
	/* Plain exchange: texts of the old object are not kept anywhere but in the status before. */
	if (!fresh && p->status == &p->object->status)
		p->status = NULL;
	struct cor_arena *old_arena = p->arena;
	uint64_t annotations = p->object ? hash_texts(&p->object->metadata.annotations) : 0;
	p->arena = a;
	p->object = o;
	if (!p->status && o->status.startTime)
		p->status = (core_v1_PodStatus *)(uintptr_t)&o->status;
	set_containers(p);
	pod_refs_hold(p);
	if (fresh) {
		recall_all(p);
		adopt_all(p);
	} else {
		pod_volumes_changed(p);
		if (annotations != hash_texts(&o->metadata.annotations))
			retry_config(p);
	}
	/* A worker may be reading the old object. */
	if (p->net == STAGE_BUSY && old_arena)
		cor_arena_on_dispose(p->arena, free_arena, old_arena);
	else
		cor_arena_free(old_arena);
	pod_wake(p);
}

void cor_pods_delete(struct cor_pods *ps, struct cor_str key) {
	struct pod *p = cor_map_get(&ps->by_key, key);
	if (p)
		object_gone(p);
}

static void look_again(struct pod *p) {
	pod_volumes_changed(p);
	retry_config(p);
	pod_wake(p);
}

void cor_pods_wake_all(struct cor_pods *ps) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v))
		look_again(v);
}

void cor_pods_wake_volume(struct cor_pods *ps, const char *pv) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v))
		if (pod_waits_for_pv(v, pv))
			look_again(v);
}

void cor_pods_clock_set(struct cor_pods *ps) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v)) {
		pod_tokens_renew(v);
		pod_wake(v);
	}
}

static void on_object(void *arg, const struct cor_objref *r) {
	struct cor_pods *ps = arg;
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v))
		if (pod_refs_has(v, r))
			look_again(v);
}

void cor_pods_exited(struct cor_pods *ps, struct cor_container *run) {
	struct ctr *c = run->user;
	if (ps->c.container_exited)
		ps->c.container_exited(ps->c.arg, run->id);
	if (!c || c->run != run || c->step == CTR_STARTING)
		return;
	ctr_exited(c);
	pod_wake(c->pod);
}

void cor_pods_synced(struct cor_pods *ps) {
	pods_sweep(ps);
	ps->synced = true;
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v))
		pod_wake(v);
}

struct cor_pods *cor_pods_new(const struct cor_pods_config *c) {
	struct cor_pods *ps = cor_new(struct cor_pods);
	*ps = (struct cor_pods){ .c = *c, .tick = { .fire = drain } };
	ps->scratch = cor_arena_new(0);
	ps->objects = cor_objcache_new(c->api, on_object, ps);
	struct cor_err err;
	ps->probe_tls = cor_tls_new(&(struct cor_tls_config){ .server = false, .no_http2 = true }, &err);
	return ps;
}

void cor_pods_free(struct cor_pods *ps) {
	if (!ps)
		return;
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v))
		pod_free(v);
	ps->c.world->timer_clear(ps->c.world, &ps->tick);
	cor_map_fini(&ps->by_uid);
	cor_map_fini(&ps->by_key);
	cor_objcache_free(ps->objects);
	cor_tls_unref(ps->probe_tls);
	cor_arena_free(ps->scratch);
	free(ps->queue);
	free(ps);
}

size_t cor_pods_busy(const struct cor_pods *ps) {
	return ps->busy;
}

/* ---- for the kubelet's API ---- */

static int find(void *arg, struct cor_str ns, struct cor_str pod, struct cor_str uid, struct cor_str container,
	struct cor_pod_ref *ret, struct cor_err *err) {
	struct cor_pods *ps = arg;
	_cleanup_free_ char *key = cor_asprintf("%.*s/%.*s", COR_STR_ARG(ns), COR_STR_ARG(pod));
	struct pod *p = cor_map_get(&ps->by_key, cor_str_c(key));
	if (!p || (uid.n > 0 && !cor_str_eq_c(uid, p->uid)))
		return cor_fail(err, COR_E_NOT_FOUND, "pod \"%.*s\" does not exist", COR_STR_ARG(pod));
	*ret = (struct cor_pod_ref){ .pod_uid = p->uid, .net_ns = p->ns_paths.net, .sandbox_ready = p->net == STAGE_DONE };
	if (container.n == 0)
		return 0;
	static _Thread_local char paths[2][POD_PATH_MAX];
	for (size_t i = 0; i < p->n; i++) {
		struct ctr *c = p->ctrs[i];
		if (!cor_str_eq_c(container, c->name))
			continue;
		ret->current = c->run;
		ctr_log_path(c, c->f->restarts, paths[0]);
		ctr_log_path(c, c->f->restarts - 1, paths[1]);
		if (c->f->inst.phase != COR_INST_NONE)
			ret->log_path = paths[0];
		else
			ret->waiting = c->f->waiting ? c->f->waiting :
				p->object->spec.initContainers.n > 0 ? "PodInitializing" : "ContainerCreating";
		if (c->f->restarts > 0)
			ret->previous_log_path = paths[1];
		return 0;
	}
	return cor_fail(err, COR_E_NOT_FOUND, "container \"%.*s\" not found in pod \"%.*s\"", COR_STR_ARG(container),
		COR_STR_ARG(pod));
}

static void list(void *arg, struct cor_buf *out) {
	struct cor_pods *ps = arg;
	size_t it = 0, n = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v)) {
		cor_buf_c(out, n++ > 0 ? "," : "");
		(void)cor_json_encode(&cor_type_core_v1_Pod, ((struct pod *)v)->object, out);
	}
}

struct cor_pod_lookup cor_pods_lookup(struct cor_pods *ps) {
	return (struct cor_pod_lookup){ .find = find, .list = list, .arg = ps };
}
