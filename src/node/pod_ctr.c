// SPDX-License-Identifier: Apache-2.0
// Starting a container: image, root file system, configuration, runtime, postStart (the steps are
// in pod_priv.h), and what follows from its end. Errors before the start are reasons to wait, never
// an end of the container (facts/node-agent 7, 8.1).
#include "node/pod_priv.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "node/container_log.h"

enum { MESSAGE_MAX = 4096, MESSAGES_MAX = 12288 };

void ctr_log_path(const struct ctr *c, int attempt, char out[POD_PATH_MAX]) {
	(void)snprintf(out, POD_PATH_MAX, "%s/logs/%s_%s_%s/%s/%d.log", c->pod->all->c.data_dir, c->pod->ns, c->pod->name,
		c->pod->uid, c->name, attempt);
}

void ctr_wait(struct ctr *c, const char *reason, const char *message) {
	replace_text(&c->f->waiting, reason);
	replace_text(&c->f->waiting_message, message);
}

/* Back to rest; what the start under way had is given back. */
static void rest(struct ctr *c) {
	c->step = CTR_IDLE;
	ctr_start_free(cor_take(c->start));
	pod_wake(c->pod);
}

void ctr_start_free(struct ctr_start *s) {
	if (!s)
		return;
	cor_image_unref(s->image);
	cor_arena_free(s->arena);
	free(s->user_text);
	free(s->dir);
	free(s);
}

/* ---- a root file system that is not needed any more ---- */

struct release {
	struct cor_job job;
	struct cor_pods *all;
	char *dir, *id, *subpaths;
};

static void on_release(struct cor_job *job) {
	struct release *r = cor_container_of(job, struct release, job);
	struct cor_err err;
	if (cor_image_rootfs_unmount(r->all->c.images, r->id, r->dir, &err) < 0)
		cor_warn("root file system of %s: %s", r->id, err.message);
	(void)rmdir(r->dir);
}

static void on_released(struct cor_job *job) {
	struct release *r = cor_container_of(job, struct release, job);
	r->all->busy--;
	free(r->dir);
	free(r->id);
	free(r);
}

void ctr_release_rootfs(struct pod *p, const char *id) {
	struct release *r = cor_new(struct release);
	*r = (struct release){ .all = p->all, .dir = cor_asprintf("%s/rootfs/%s", p->all->c.data_dir, id),
		.id = cor_strdup(id) };
	p->all->busy++;
	pod_submit(p, &r->job, on_release, on_released);
}

/* The start failed before the runtime knew of it. */
static void fail(struct ctr *c, const char *reason, const char *message) {
	ctr_wait(c, reason, message);
	pod_event(c->pod, c, true, "Failed", "Error: %s", message);
	if (c->step >= CTR_PREPARING)
		ctr_release_rootfs(c->pod, c->start->id);
	c->retry_at = pod_mono(c->pod) + 10 * COR_SECOND;
	rest(c);
}

/* ---- image ---- */

static void prepare(struct ctr *c);

static void pull_failed(struct ctr *c, const char *image, const char *error) {
	pod_event(c->pod, c, true, "Failed", "Failed to pull image \"%s\": %s", image, error);
	pod_event(c->pod, c, true, "Failed", "Error: ErrImagePull");
	cor_backoff_step(&c->pulls, pod_mono(c->pod));
	c->pull_failed_at = pod_mono(c->pod);
	replace_text(&c->pull_error, error);
	ctr_wait(c, "ErrImagePull", error);
	/* The next look, after the status was seen, says ImagePullBackOff. */
	c->retry_at = pod_mono(c->pod) + COR_SECOND;
	rest(c);
}

static void on_pulled(struct cor_image_pull *pull) {
	struct ctr *c = cor_container_of(pull, struct ctr_start, pull)->c;
	_cleanup_free_ char *image = cor_str_dup_c(c->f->spec->image);
	cor_assert(c->step == CTR_PULLING);
	if (pull->result < 0) {
		pull_failed(c, image, pull->err.message);
		return;
	}
	c->start->image = cor_take(pull->image);
	char took[COR_TIME_TEXT_MAX], all[COR_TIME_TEXT_MAX];
	(void)cor_duration_format(pull->duration / 1000 * 1000, took);
	(void)cor_duration_format(pull->waited / 1000 * 1000, all);
	pod_event(c->pod, c, false, "Pulled", "Successfully pulled image \"%s\" in %s (%s including waiting). Image size: "
		"%llu bytes.", image, took, all, (unsigned long long)c->start->image->size);
	prepare(c);
}

static struct cor_image_keyring *keyring(struct ctr *c) {
	struct cor_image_keyring *k = cor_image_keyring_new();
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	_cleanup_buf_ struct cor_buf missing = COR_BUF_INIT;
	const core_v1_PodSpec *s = &c->pod->object->spec;
	for (size_t i = 0; i < s->imagePullSecrets.n; i++) {
		struct cor_str name = s->imagePullSecrets.p[i].name;
		const core_v1_Secret *secret;
		struct cor_err err;
		if (pod_secret(c->pod, a, name, &secret) < 0) {
			cor_buf_printf(&missing, "%s%.*s", missing.n > 0 ? ", " : "", COR_STR_ARG(name));
			continue;
		}
		bool config = cor_str_eq(secret->type, COR_STR("kubernetes.io/dockerconfigjson"));
		const struct cor_str *data = cor_strmap_get(&secret->data,
			config ? COR_STR(".dockerconfigjson") : COR_STR(".dockercfg"));
		if (data && cor_image_keyring_add(k, secret->type, *data, &err) < 0)
			cor_warn("pull secret %.*s: %s", COR_STR_ARG(name), err.message);
	}
	if (missing.n > 0)
		pod_event(c->pod, NULL, true, "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets "
			"(%.*s); attempting to pull the image may not succeed.", COR_STR_ARG(cor_buf_view(&missing)));
	return k;
}

/* The image is here, may be used and need not be pulled. */
static bool image_here(struct ctr *c, const struct cor_image_keyring *k, bool always) {
	struct cor_err err;
	if (always || cor_image_find(c->pod->all->c.images, c->f->spec->image, &c->start->image, &err) < 0)
		return false;
	if (cor_image_usable_with(c->start->image, k))
		return true;
	cor_image_unref(cor_take(c->start->image));
	return false;
}

void ctr_begin(struct ctr *c) {
	cor_assert(c->step == CTR_IDLE);
	struct cor_str ref = c->f->spec->image;
	_cleanup_free_ char *image = cor_str_dup_c(ref);
	struct cor_image_ref parsed;
	struct cor_err err;
	if (cor_image_ref_parse(ref, &parsed, &err) < 0) {
		_cleanup_free_ char *text = cor_asprintf("Failed to apply default image tag \"%s\": couldn't parse image name "
			"\"%s\": %s", image, image, err.message);
		pod_event(c->pod, c, true, "InspectFailed", "%s", text);
		fail(c, "InvalidImageName", text);
		return;
	}
	c->retry_at = 0;
	c->step = CTR_PULLING;
	c->start = cor_new(struct ctr_start);
	c->start->c = c;
	c->start->attempt = c->f->inst.phase == COR_INST_NONE ? c->f->restarts : c->f->restarts + 1;
	_cleanup_(cor_image_keyring_freep) struct cor_image_keyring *k = keyring(c);
	struct cor_str policy = c->f->spec->imagePullPolicy;
	bool always = policy.n > 0 ? cor_str_eq(policy, COR_STR("Always")) : cor_image_ref_is_latest(ref);
	/* An imported image has no registry to ask: it is what Always would bring. */
	bool preloaded = always && cor_image_find(c->pod->all->c.images, ref, &c->start->image, &err) >= 0 && c->start->image->preloaded;
	cor_image_unref(cor_take(c->start->image));
	if (image_here(c, k, always && !preloaded)) {
		pod_event(c->pod, c, false, "Pulled", "Container image \"%s\" already present on machine and can be accessed by "
			"the pod", image);
		prepare(c);
		return;
	}
	if (cor_str_eq(policy, COR_STR("Never"))) {
		_cleanup_free_ char *text = cor_asprintf("Container image \"%s\" is not present with pull policy of Never", image);
		pod_event(c->pod, c, true, "ErrImageNeverPull", "%s", text);
		pod_event(c->pod, c, true, "Failed", "Error: ErrImageNeverPull");
		ctr_wait(c, "ErrImageNeverPull", text);
		c->retry_at = pod_mono(c->pod) + 10 * COR_SECOND;
		rest(c);
		return;
	}
	cor_time wait = cor_backoff_wait(&c->pulls, c->pull_failed_at, pod_mono(c->pod));
	if (c->pull_error && wait > 0) {
		_cleanup_free_ char *text = cor_asprintf("Back-off pulling image \"%s\": ErrImagePull: %s", image, c->pull_error);
		pod_event(c->pod, c, false, "BackOff", "Back-off pulling image \"%s\"", image);
		pod_event(c->pod, c, true, "Failed", "Error: ImagePullBackOff");
		ctr_wait(c, "ImagePullBackOff", text);
		c->retry_at = pod_mono(c->pod) + wait;
		rest(c);
		return;
	}
	pod_event(c->pod, c, false, "Pulling", "Pulling image \"%s\"", image);
	c->start->pull = (struct cor_image_pull){ .done = on_pulled };
	cor_image_pull_start(c->pod->all->c.puller, &c->start->pull, ref, k);
}

/* ---- root file system ---- */

static void on_prepare(struct cor_job *job) {
	struct ctr_start *s = cor_container_of(job, struct ctr_start, job);
	s->result = cor_mkdir_all(s->dir, 0711, &s->err);
	if (s->result >= 0)
		s->result = cor_image_rootfs_mount(s->c->pod->all->c.images, s->image, s->id, s->dir, false, &s->err);
	if (s->result < 0)
		return;
	_cleanup_free_ char *root = cor_asprintf("%s/rootfs", s->dir);
	s->result = cor_image_user_resolve(root, cor_str_c(s->user_text), &s->user, &s->err);
}

static void on_prepared(struct cor_job *job) {
	struct ctr *c = cor_container_of(job, struct ctr_start, job)->c;
	c->pod->all->busy--;
	if (c->start->abandon) {
		ctr_release_rootfs(c->pod, c->start->id);
		rest(c);
		return;
	}
	if (c->start->result < 0) {
		fail(c, "CreateContainerError", c->start->err.message);
		return;
	}
	free(c->f->image);
	c->f->image = c->start->image->names.n > 0 ? cor_str_dup_c(c->start->image->names.p[0]) : cor_str_dup_c(c->f->spec->image);
	free(c->f->image_id);
	c->f->image_id = cor_str_dup_c(cor_image_status_id(c->start->image));
	c->step = CTR_WAITING;
	pod_wake(c->pod);
}

static void prepare(struct ctr *c) {
	struct cor_pods *ps = c->pod->all;
	c->step = CTR_PREPARING;
	cor_container_id_new(ps->c.world, c->start->id);
	c->start->dir = cor_asprintf("%s/rootfs/%s", ps->c.data_dir, c->start->id);
	c->start->arena = cor_arena_new(16 << 20);
	/* A text of its own: the spec may be exchanged while the worker runs. */
	const core_v1_SecurityContext *s = c->f->spec->securityContext;
	const core_v1_PodSecurityContext *p = c->pod->object->spec.securityContext;
	const int64_t *uid = s && s->runAsUser ? s->runAsUser : p ? p->runAsUser : NULL;
	c->start->user_text = uid ? cor_asprintf("%lld", (long long)*uid) : cor_str_dup_c(c->start->image->user);
	ps->busy++;
	pod_submit(c->pod, &c->start->job, on_prepare, on_prepared);
}

/* ---- configuration ---- */

static void start(struct ctr *c);

static void on_bind(struct cor_job *job) {
	struct ctr_start *s = cor_container_of(job, struct ctr_start, job);
	s->result = ctr_bind_all(s->c, &s->err);
}

static void on_bound(struct cor_job *job) {
	struct ctr *c = cor_container_of(job, struct ctr_start, job)->c;
	c->pod->all->busy--;
	if (c->start->abandon) {
		ctr_release_rootfs(c->pod, c->start->id);
		rest(c);
	} else if (c->start->result < 0) {
		fail(c, "CreateContainerConfigError", c->start->err.message);
	} else {
		start(c);
	}
}

void ctr_continue(struct ctr *c) {
	cor_assert(c->step == CTR_WAITING);
	struct pod *p = c->pod;
	struct cor_pod_facts_env f = pod_env_facts(p);
	p->lookup = c->start->arena;
	int r = cor_env_build(c->start->arena, &f, c->f->spec, &c->start->env, &c->start->err);
	/* Values point into the object, which may be exchanged before the container starts. */
	for (size_t i = 0; r >= 0 && i < c->start->env.n; i++)
		c->start->env.p[i] = (struct cor_kv){ cor_arena_str(c->start->arena, c->start->env.p[i].key),
			cor_arena_str(c->start->arena, c->start->env.p[i].value) };
	if (r >= 0)
		r = pod_write_hosts(p, &c->start->err);
	if (r >= 0)
		r = ctr_config_mounts(c, &c->start->err);
	if (r < 0) {
		fail(c, "CreateContainerConfigError", c->start->err.message);
		return;
	}
	c->step = CTR_BINDING;
	p->all->busy++;
	pod_submit(p, &c->start->job, on_bind, on_bound);
}

/* ---- the runtime ---- */

static void forget_run(struct ctr *c) {
	struct cor_runtime *rt = c->pod->all->c.rt;
	if (!c->run)
		return;
	c->run->user = NULL;
	ctr_release_rootfs(c->pod, c->run->id);
	rt->ops->remove(rt, cor_take(c->run), NULL, NULL);
}

static void next_instance(struct ctr *c, struct cor_container *run) {
	struct cor_ctr_facts *f = c->f;
	forget_run(c);
	if (f->inst.phase == COR_INST_EXITED) {
		cor_inst_fini(&f->last);
		f->last = f->inst;
		f->inst = (struct cor_inst){ 0 };
	}
	c->run = run;
	run->user = c;
	f->restarts = c->start->attempt;
	f->inst = (struct cor_inst){ .phase = COR_INST_RUNNING, .started_at = run->started_at };
	(void)snprintf(f->inst.id, sizeof(f->inst.id), "%s", run->id);
	ctr_wait(c, NULL, NULL);
	f->ready = f->started = false;
	c->rerun = false;
}

static void on_hook(void *arg, bool ok, const char *text) {
	struct ctr *c = arg;
	c->hook = NULL;
	c->f->starting = false;
	if (!ok) {
		pod_event(c->pod, c, true, "FailedPostStartHook", "PostStartHook failed");
		ctr_stop(c, -1, "FailedPostStartHook");
	} else if (c->f->inst.phase == COR_INST_RUNNING) {
		ctr_running(c);
	}
	rest(c);
}

static struct cor_prober_config prober_config(struct ctr *c);

static void on_started(void *arg, struct cor_container *run, const struct cor_err *err) {
	struct ctr *c = arg;
	struct pod *p = c->pod;
	p->all->busy--;
	cor_assert(c->step == CTR_STARTING);
	if (!run) {
		fail(c, "CreateContainerError", err ? err->message : "unknown");
		return;
	}
	pod_event(p, c, false, "Created", "Container created");
	next_instance(c, run);
	if (err) {
		pod_event(p, c, true, "Failed", "Error: %s", err->message);
		ctr_exited(c);
		rest(c);
		return;
	}
	pod_event(p, c, false, "Started", "Container started");
	if (run->phase == COR_CONTAINER_EXITED) {
		ctr_exited(c);
		rest(c);
		return;
	}
	if (c->f->spec->lifecycle && c->f->spec->lifecycle->postStart) {
		struct cor_prober_config pc = prober_config(c);
		c->step = CTR_HOOK;
		c->f->starting = true;
		c->hook = cor_hook_new(&pc, c->f->spec->lifecycle->postStart, 0, on_hook, c);
	} else {
		ctr_running(c);
		rest(c);
	}
	if (p->ending)
		pod_wake(p);
}

static void start(struct ctr *c) {
	struct cor_runtime *rt = c->pod->all->c.rt;
	struct cor_container_spec *spec = ctr_spec(c, &c->start->err);
	if (!spec) {
		fail(c, "CreateContainerConfigError", c->start->err.message);
		return;
	}
	c->step = CTR_STARTING;
	if (rt->ops->start(rt, spec, on_started, c, &c->start->err) < 0) {
		fail(c, "CreateContainerError", c->start->err.message);
		return;
	}
	c->pod->all->busy++;
}

void ctr_abandon(struct ctr *c) {
	switch (c->step) {
	case CTR_PULLING:
		cor_image_pull_cancel(&c->start->pull);
		rest(c);
		break;
	case CTR_WAITING:
		ctr_release_rootfs(c->pod, c->start->id);
		rest(c);
		break;
	case CTR_PREPARING:
	case CTR_BINDING:
		c->start->abandon = true;
		break;
	default:
		break;  /* it is stopped when it has started */
	}
}

/* ---- while it runs ---- */

static bool may_probe_startup(void *arg) {
	struct ctr *c = arg;
	return c->f->inst.phase == COR_INST_RUNNING && !c->f->started && c->stop == STOP_NONE && !c->pod->ending;
}

static bool may_probe(void *arg) {
	struct ctr *c = arg;
	return c->f->inst.phase == COR_INST_RUNNING && c->f->started;
}

static bool may_probe_live(void *arg) {
	struct ctr *c = arg;
	return may_probe(c) && c->stop == STOP_NONE && !c->pod->ending;
}

static const char *const probe_names[] = { "Startup", "Liveness", "Readiness" };

static void on_probe_failed(void *arg, enum cor_probe_kind kind, bool warning, const char *output) {
	struct ctr *c = arg;
	if (warning)
		pod_event(c->pod, c, true, "ProbeWarning", "%s probe warning: %s", probe_names[kind], output);
	else
		pod_event(c->pod, c, true, "Unhealthy", "%s probe failed: %s", probe_names[kind], output);
}

static void on_probe_result(void *arg, enum cor_probe_kind kind, bool ok) {
	struct ctr *c = arg;
	if (kind == COR_PROBE_READINESS) {
		c->f->ready = ok;
	} else if (kind == COR_PROBE_STARTUP && ok) {
		c->f->started = true;
		if (!c->probers[COR_PROBE_READINESS])
			c->f->ready = true;
		for (size_t i = COR_PROBE_LIVENESS; i < COR_PROBE_KIND_MAX; i++)
			if (c->probers[i])
				cor_prober_poke(c->probers[i]);
	} else if (!ok) {
		const core_v1_Probe *pr = kind == COR_PROBE_STARTUP ? c->f->spec->startupProbe : c->f->spec->livenessProbe;
		_cleanup_free_ char *text = cor_asprintf("%s %s failed %s probe%s", c->f->kind == COR_CTR_INIT ?
			"Init container" : "Container", c->name, kind == COR_PROBE_STARTUP ? "startup" : "liveness",
			c->f->kind == COR_CTR_INIT ? "" : ", will be restarted");
		c->f->inst.killed_by_probe = true;
		ctr_stop(c, pr && pr->terminationGracePeriodSeconds ? *pr->terminationGracePeriodSeconds : -1, text);
	}
	pod_wake(c->pod);
}

static struct cor_prober_config prober_config(struct ctr *c) {
	struct pod *p = c->pod;
	return (struct cor_prober_config){
		.loop = p->all->c.loop, .world = p->all->c.world, .rt = p->all->c.rt, .container = c->run,
		.tls = p->all->probe_tls, .spec = c->f->spec, .ip = p->object->spec.hostNetwork ? p->all->c.host_ip :
		p->ns_paths.ip, .started_at = c->f->inst.started_at, .failed = on_probe_failed, .result = on_probe_result,
		.arg = c,
	};
}

static const core_v1_Probe *probe_of(const struct ctr *c, size_t kind) {
	const core_v1_Container *s = c->f->spec;
	return kind == COR_PROBE_STARTUP ? s->startupProbe : kind == COR_PROBE_LIVENESS ? s->livenessProbe :
		s->readinessProbe;
}

static void stop_probes(struct ctr *c) {
	for (size_t i = 0; i < COR_PROBE_KIND_MAX; i++)
		cor_prober_free(cor_take(c->probers[i]));
}

void ctr_spec_changed(struct ctr *c) {
	for (size_t i = 0; i < COR_PROBE_KIND_MAX; i++)
		if (c->probers[i] && probe_of(c, i))
			cor_prober_update(c->probers[i], probe_of(c, i), c->f->spec);
}

void ctr_running(struct ctr *c) {
	static bool (*const may[])(void *) = { may_probe_startup, may_probe_live, may_probe };
	bool probed = c->f->kind == COR_CTR_REGULAR || c->f->sidecar;
	c->f->started = c->f->started || !probed || !c->f->spec->startupProbe;
	if (!probed || (!c->f->spec->readinessProbe && c->f->started))
		c->f->ready = true;
	for (size_t i = 0; probed && i < COR_PROBE_KIND_MAX; i++) {
		if (!probe_of(c, i) || (i == COR_PROBE_STARTUP && c->f->started) || c->probers[i])
			continue;
		struct cor_prober_config pc = prober_config(c);
		pc.kind = (enum cor_probe_kind)i;
		pc.probe = probe_of(c, i);
		pc.initial = i == COR_PROBE_READINESS ? c->f->ready : i == COR_PROBE_LIVENESS;
		pc.may = may[i];
		c->probers[i] = cor_prober_new(&pc);
	}
}

/* ---- its end ---- */

static char *termination_message(struct ctr *c) {
	size_t max = MESSAGES_MAX / c->pod->n < MESSAGE_MAX ? MESSAGES_MAX / c->pod->n : MESSAGE_MAX;
	char buf[MESSAGE_MAX + 1];
	_cleanup_close_ int fd = c->termination ? open(c->termination, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = size > 0 ? pread(fd, buf, max, size > (off_t)max ? size - (off_t)max : 0) : 0;
	if (n > 0)
		return cor_str_dup_c((struct cor_str){ buf, (size_t)n });
	if (c->run->exit_code != 0 && cor_str_eq(c->f->spec->terminationMessagePolicy, COR_STR("FallbackToLogsOnError"))) {
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
		struct cor_err err;
		if (cor_log_tail(c->run->log_path, 80, max < 2048 ? max : 2048, &b, &err) >= 0 && b.n > 0)
			return cor_str_dup_c(cor_buf_view(&b));
	}
	return NULL;
}

void ctr_exited(struct ctr *c) {
	struct cor_ctr_facts *f = c->f;
	const struct cor_container *run = c->run;
	cor_assert(run);
	stop_probes(c);
	c->ended_at = 0;
	if (c->step == CTR_HOOK) {
		cor_hook_cancel(cor_take(c->hook));
		f->starting = false;
		rest(c);
	} else if (c->hook) {
		cor_hook_cancel(cor_take(c->hook));
	}
	c->pod->all->c.world->timer_clear(c->pod->all->c.world, &c->stop_timer);
	c->stop = STOP_NONE;
	bool by_probe = f->inst.killed_by_probe;
	char id[65];
	(void)snprintf(id, sizeof(id), "%s", run->id);
	cor_inst_fini(&f->inst);
	f->inst = (struct cor_inst){ .phase = COR_INST_EXITED, .started_at = run->started_at,
		.finished_at = run->finished_at, .exit_code = run->exit_code, .signal = run->signal,
		.reason = cor_strdup(run->reason[0] ? run->reason : run->exit_code == 0 ? "Completed" : "Error"),
		.killed_by_probe = by_probe };
	(void)snprintf(f->inst.id, sizeof(f->inst.id), "%s", id);
	_cleanup_free_ char *message = termination_message(c);
	if (run->message && run->message[0])
		f->inst.message = message ? cor_asprintf("%s: %s", message, run->message) : cor_strdup(run->message);
	else
		f->inst.message = cor_take(message);
	f->ready = f->started = false;
}
