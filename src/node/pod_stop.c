// SPDX-License-Identifier: Apache-2.0
// Ending containers and pods (facts/node-agent 10): preStop eats from the grace period, then the
// signal, then SIGKILL; sidecars get theirs after everything they serve. Once nothing runs, what the
// pod had on the node is given back.
#include "node/pod_priv.h"

#include <signal.h>
#include <stdio.h>

#include "base/log.h"

enum { MIN_GRACE_S = 2 };

static const struct { const char *name; int number; } signals[] = {
	{ "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT }, { "KILL", SIGKILL }, { "USR1", SIGUSR1 },
	{ "USR2", SIGUSR2 }, { "TERM", SIGTERM }, { "WINCH", SIGWINCH }, { "PWR", SIGPWR },
};

static int stop_signal(struct ctr *c) {
	struct cor_image *image = NULL;
	struct cor_err err;
	int sig = SIGTERM;
	if (!c->f->image || cor_image_find(c->pod->all->c.images, cor_str_c(c->f->image), &image, &err) < 0)
		return sig;
	struct cor_str s = image->stop_signal;
	int64_t n;
	if (cor_str_to_i64(s, &n) && n > 0 && n < 65)
		sig = (int)n;
	if (cor_str_starts(s, COR_STR("SIG")))
		s = cor_str_sub(s, 3, s.n);
	for (size_t i = 0; i < cor_countof(signals); i++)
		if (cor_str_eq_c(s, signals[i].name))
			sig = signals[i].number;
	cor_image_unref(image);
	return sig;
}

/* Does something that a sidecar serves still run? */
static bool held(const struct ctr *c) {
	if (!c->f->sidecar || !c->pod->ending)
		return false;
	for (size_t i = 0; i < c->pod->n; i++) {
		const struct ctr *o = c->pod->ctrs[i];
		if (o == c || o->f->kind == COR_CTR_EPHEMERAL || o->f->inst.phase != COR_INST_RUNNING)
			continue;
		if (!o->f->sidecar || o->index > c->index)
			return true;
	}
	return false;
}

static void send_signal(struct ctr *c) {
	struct cor_runtime *rt = c->pod->all->c.rt;
	cor_time left = c->stop_by - pod_mono(c->pod);
	if (left < MIN_GRACE_S * COR_SECOND)
		left = MIN_GRACE_S * COR_SECOND;
	c->stop = STOP_SIGNALLED;
	rt->ops->stop(rt, c->run, stop_signal(c), left);
}

/* After preStop, or when one of the others has ended. */
void ctr_stop_step(struct ctr *c) {
	if (c->stop == STOP_HELD && (!held(c) || pod_mono(c->pod) >= c->stop_by))
		send_signal(c);
}

static void on_pre_stop(void *arg, bool ok, const char *text) {
	struct ctr *c = arg;
	c->hook = NULL;
	if (!ok)
		pod_event(c->pod, c, true, "FailedPreStopHook", "PreStopHook failed");
	if (c->stop == STOP_HOOK) {
		c->stop = STOP_HELD;
		ctr_stop_step(c);
	}
}

/* The grace is over: whatever it waits for. */
static void on_stop_timer(struct cor_timer *t) {
	struct ctr *c = cor_container_of(t, struct ctr, stop_timer);
	if (c->stop != STOP_HOOK && c->stop != STOP_HELD)
		return;
	if (c->stop == STOP_HOOK) {
		cor_hook_cancel(cor_take(c->hook));
		pod_event(c->pod, c, true, "FailedPreStopHook", "PreStopHook failed");
	}
	send_signal(c);
}

void ctr_stop(struct ctr *c, int64_t grace_s, const char *message) {
	struct pod *p = c->pod;
	if (c->f->inst.phase != COR_INST_RUNNING || !c->run)
		return;
	if (grace_s < 0)
		grace_s = p->object->spec.terminationGracePeriodSeconds ? *p->object->spec.terminationGracePeriodSeconds : 30;
	cor_time by = pod_mono(p) + grace_s * COR_SECOND;
	if (c->stop != STOP_NONE) {
		/* Only ever sooner. */
		if (by >= c->stop_by)
			return;
		c->stop_by = by;
		if (c->stop == STOP_SIGNALLED)
			send_signal(c);
		else
			p->all->c.world->timer_set(p->all->c.world, &c->stop_timer, grace_s * COR_SECOND);
		return;
	}
	c->stop_by = by;
	c->stop = STOP_HELD;
	pod_event(p, c, false, "Killing", "%s", message);
	c->stop_timer.fire = on_stop_timer;
	p->all->c.world->timer_set(p->all->c.world, &c->stop_timer, grace_s * COR_SECOND);
	const core_v1_Lifecycle *l = c->f->spec->lifecycle;
	if (grace_s > 0 && l && l->preStop && !c->hook) {
		struct cor_prober_config pc = { .loop = p->all->c.loop, .world = p->all->c.world, .rt = p->all->c.rt,
			.container = c->run, .tls = p->all->probe_tls, .spec = c->f->spec,
			.ip = p->object->spec.hostNetwork ? p->all->c.host_ip : p->ns_paths.ip };
		c->stop = STOP_HOOK;
		c->hook = cor_hook_new(&pc, l->preStop, grace_s * COR_SECOND, on_pre_stop, c);
		return;
	}
	ctr_stop_step(c);
}

/* ---- the pod ---- */

static int64_t grace_of(const struct pod *p) {
	const int64_t *d = p->object->metadata.deletionGracePeriodSeconds;
	const int64_t *s = p->object->spec.terminationGracePeriodSeconds;
	int64_t g = d && p->object->metadata.deletionTimestamp != 0 ? *d : s ? *s : 30;
	/* Deleted by force: the object is gone, the containers still get their time. */
	return g < 1 ? 1 : g;
}

void pod_stop(struct pod *p) {
	int64_t grace = grace_of(p);
	if (p->net_retry.armed) {
		p->all->c.world->timer_clear(p->all->c.world, &p->net_retry);
		p->net = STAGE_NONE;
	}
	for (size_t i = 0; i < p->n; i++) {
		struct ctr *c = p->ctrs[i];
		ctr_abandon(c);
		char text[300];
		(void)snprintf(text, sizeof(text), "Stopping container %s", c->name);
		if (c->stop == STOP_NONE || grace != p->grace)
			ctr_stop(c, grace, text);
	}
	p->grace = grace;
	for (size_t i = p->n; i-- > 0;)
		ctr_stop_step(p->ctrs[i]);
}

bool pod_is_stopped(const struct pod *p) {
	for (size_t i = 0; i < p->n; i++)
		if (p->ctrs[i]->f->inst.phase == COR_INST_RUNNING ||
		    (p->ctrs[i]->step != CTR_IDLE && p->ctrs[i]->step != CTR_PULLING))
			return false;
	return p->net != STAGE_BUSY && p->vols != STAGE_BUSY;
}

/* ---- tearing down: runtime records, then mounts and files, then volumes and the API ---- */

static void on_worker(struct cor_job *job) {
	struct pod *p = cor_container_of(job, struct pod, end_job);
	struct cor_err err;
	for (size_t i = 0; i < p->n; i++) {
		if (!p->facts[i].inst.id[0])
			continue;
		_cleanup_free_ char *dir = cor_asprintf("%s/rootfs/%s", p->all->c.data_dir, p->facts[i].inst.id);
		if (cor_image_rootfs_unmount(p->all->c.images, p->facts[i].inst.id, dir, &err) < 0)
			cor_warn("root file system of %s: %s", p->facts[i].inst.id, err.message);
		(void)rmdir(dir);
	}
	for (size_t i = 0; i < p->n_volumes; i++) {
		struct cor_volume_plan *v = &p->volumes[i].plan;
		if (v->kind != COR_VOLUME_IMAGE || !p->volumes[i].made)
			continue;
		_cleanup_free_ char *dir = cor_asprintf("%s/volumes/kubernetes.io~image/%s", p->dir, p->volumes[i].name);
		(void)cor_image_rootfs_unmount(p->all->c.images, v->lease, dir, &err);
	}
	if (cor_volume_remove_tree(p->dir, &err) < 0)
		cor_warn("pod %s: %s", p->key, err.message);
	if (cor_pod_ns_destroy(p->all->c.net, cor_str_c(p->uid), &err) < 0)
		cor_warn("pod %s: network: %s", p->key, err.message);
}

static void on_done(struct cor_job *job) {
	struct pod *p = cor_container_of(job, struct pod, end_job);
	p->all->busy--;
	p->end = STAGE_GONE;
	p->net = STAGE_GONE;
	struct cor_str qos = cor_pod_qos(&p->object->spec);
	p->all->c.rt->ops->pod_remove(p->all->c.rt, p->uid, cor_str_eq(qos, COR_STR("Guaranteed")) ? COR_QOS_GUARANTEED :
		cor_str_eq(qos, COR_STR("Burstable")) ? COR_QOS_BURSTABLE : COR_QOS_BEST_EFFORT);
	pod_volumes_release(p);
	pod_refs_release(p);
	pod_wake(p);
	struct pod *next = cor_map_get(&p->all->by_key, cor_str_c(p->key));
	if (next && next->held)
		pod_wake(next);
}

static void on_removed(void *arg, const struct cor_err *err) {
	struct pod *p = arg;
	if (err)
		cor_warn("pod %s: %s", p->key, err->message);
	if (--p->removing > 0)
		return;
	p->all->busy++;
	pod_submit(p, &p->end_job, on_worker, on_done);
}

void pod_tear_down(struct pod *p) {
	struct cor_runtime *rt = p->all->c.rt;
	if (p->end != STAGE_NONE)
		return;
	p->end = STAGE_BUSY;
	if (p->all->c.rules)
		cor_svc_rules_set_host_ports(p->all->c.rules, cor_str_c(p->uid), "", NULL, 0);
	/* One more than there are: the last step comes after all, also when there are none. */
	p->removing = 1;
	for (size_t i = 0; i < p->n; i++) {
		struct ctr *c = p->ctrs[i];
		if (!c->run)
			continue;
		c->run->user = NULL;
		p->removing++;
		rt->ops->remove(rt, cor_take(c->run), on_removed, p);
	}
	on_removed(p, NULL);
}
