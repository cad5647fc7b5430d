// SPDX-License-Identifier: Apache-2.0
// One look at a pod: from facts to what has to be done next. Nothing is remembered between looks but
// facts, so any event may ask for one at any time; each action ends in another look.
#include "node/pod_priv.h"

#include <stdio.h>

#include "base/log.h"
#include "codec/codec.h"
#include "codec/quantity.h"

static bool terminal(struct cor_str phase) {
	return cor_str_eq(phase, COR_STR("Succeeded")) || cor_str_eq(phase, COR_STR("Failed"));
}

/* ---- admission (facts/node-agent 4): what this node can tell by itself ---- */

static bool safe_sysctl(struct cor_str name) {
	static const char *const safe[] = { "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range",
		"net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
		"net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem" };
	char text[128];
	(void)snprintf(text, sizeof(text), "%.*s", COR_STR_ARG(name));
	for (char *p = text; *p; p++)
		if (*p == '/')
			*p = '.';
	for (size_t i = 0; i < cor_countof(safe); i++)
		if (strcmp(text, safe[i]) == 0)
			return true;
	return false;
}

static void refuse(struct pod *p, const char *reason, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void refuse(struct pod *p, const char *reason, const char *fmt, ...) {
	char text[600];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pod_event(p, NULL, true, reason, "%s", text);
	replace_text(&p->reason, reason);
	free(p->message);
	p->message = cor_asprintf("Pod was rejected: %s", text);
	p->ending = true;
}

static bool same_host_port(const core_v1_ContainerPort *a, const core_v1_ContainerPort *b) {
	struct cor_str any = COR_STR("0.0.0.0"), tcp = COR_STR("TCP");
	struct cor_str ia = a->hostIP.n > 0 ? a->hostIP : any, ib = b->hostIP.n > 0 ? b->hostIP : any;
	struct cor_str pa = a->protocol.n > 0 ? a->protocol : tcp, pb = b->protocol.n > 0 ? b->protocol : tcp;
	return a->hostPort == b->hostPort && cor_str_eq(pa, pb) &&
		(cor_str_eq(ia, ib) || cor_str_eq(ia, any) || cor_str_eq(ib, any));
}

static bool ports_clash(const core_v1_PodSpec *a, const core_v1_PodSpec *b) {
	for (size_t i = 0; i < a->containers.n; i++)
		for (size_t k = 0; k < a->containers.p[i].ports.n; k++)
			for (size_t m = 0; a->containers.p[i].ports.p[k].hostPort > 0 && m < b->containers.n; m++)
				for (size_t n = 0; n < b->containers.p[m].ports.n; n++)
					if (same_host_port(&a->containers.p[i].ports.p[k], &b->containers.p[m].ports.p[n]))
						return true;
	return false;
}

static int64_t request(const core_v1_PodSpec *s, const char *what) {
	int64_t sum = 0;
	for (size_t i = 0; i < s->containers.n; i++) {
		const struct cor_str *v = cor_strmap_get(&s->containers.p[i].resources.requests, cor_str_c(what));
		sum += v ? cor_quantity_milli(cor_quantity_of(*v)) : 0;
	}
	return sum;
}

/* Against the other pods of the node that hold resources. */
static bool fits(struct pod *p) {
	static const char *const what[] = { "cpu", "memory" };
	size_t it = 0, count = 1;
	int64_t used[2] = { 0 };
	struct cor_str uid;
	void *v;
	while (cor_map_next(&p->all->by_uid, &it, &uid, &v)) {
		const struct pod *o = v;
		if (o == p || o->stopped || !o->admitted)
			continue;
		count++;
		for (size_t i = 0; i < 2; i++)
			used[i] += request(&o->object->spec, what[i]);
		if (ports_clash(&p->object->spec, &o->object->spec)) {
			refuse(p, "NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports");
			return false;
		}
	}
	for (size_t i = 0; p->all->c.allocatable && i < 2; i++) {
		const struct cor_str *a = cor_strmap_get(p->all->c.allocatable, cor_str_c(what[i]));
		int64_t all = a ? cor_quantity_milli(cor_quantity_of(*a)) : INT64_MAX, want = request(&p->object->spec, what[i]);
		int64_t unit = i == 0 ? 1 : 1000;
		if (want > 0 && want > all - used[i]) {
			_cleanup_free_ char *reason = cor_asprintf("OutOf%s", what[i]);
			refuse(p, reason, "Node didn't have enough resource: %s, requested: %lld, used: %lld, capacity: %lld", what[i],
				(long long)(want / unit), (long long)(used[i] / unit), (long long)(all / unit));
			return false;
		}
	}
	if (count > 110)
		refuse(p, "OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: %zu, capacity: 110", count - 1);
	return count <= 110;
}

static void admit(struct pod *p) {
	const core_v1_PodSpec *s = &p->object->spec;
	for (size_t i = 0; s->securityContext && i < s->securityContext->sysctls.n; i++)
		if (!safe_sysctl(s->securityContext->sysctls.p[i].name)) {
			refuse(p, "SysctlForbidden", "forbidden sysctl: \"%.*s\" not allowlisted",
				COR_STR_ARG(s->securityContext->sysctls.p[i].name));
			return;
		}
	if (s->os && !cor_str_eq(s->os->name, COR_STR("linux"))) {
		refuse(p, "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS");
		return;
	}
	if (fits(p))
		p->admitted = true;
}

/* ---- is it the end? ---- */

static void look_at_deadline(struct pod *p) {
	const int64_t *limit = p->object->spec.activeDeadlineSeconds;
	if (!limit || !p->status || p->status->startTime == 0 || p->ending)
		return;
	cor_time at = p->status->startTime + *limit * COR_SECOND;
	if (pod_now(p) < at) {
		pod_due(p, at);
		return;
	}
	pod_event(p, NULL, false, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
	replace_text(&p->reason, "DeadlineExceeded");
	replace_text(&p->message, "Pod was active on the node longer than the specified deadline");
	p->ending = true;
}

static void look_at_end(struct pod *p) {
	if (p->gone || p->object->metadata.deletionTimestamp != 0 || terminal(p->object->status.phase))
		p->ending = true;
	look_at_deadline(p);
	struct cor_pod_facts f = pod_facts(p);
	if (!p->ending && cor_pod_facts_finished(&f))
		p->ending = true;
}

/* ---- running it ---- */

static bool in_progress(const struct ctr *c) {
	return c->step == CTR_BINDING || c->step == CTR_STARTING || c->step == CTR_HOOK;
}

/* An exited container whose time has not come yet. */
static bool backs_off(struct ctr *c) {
	struct pod *p = c->pod;
	if (c->f->inst.phase != COR_INST_EXITED)
		return false;
	/* By the clock that nobody sets. */
	cor_time now = pod_mono(p), age = pod_now(p) - c->f->inst.finished_at;
	if (c->ended_at == 0)
		c->ended_at = now - (age > 0 ? age : 0);
	if (c->crash.delay == 0 && c->f->restarts > 0 && c->crash.at == 0) {
		/* The agent was started again: as far as the restarts have brought it. */
		for (int i = 0; i < c->f->restarts && i < 6; i++)
			cor_backoff_step(&c->crash, c->ended_at);
	}
	cor_time wait = cor_backoff_wait(&c->crash, c->ended_at, now);
	if (wait <= 0)
		return false;
	char delay[COR_TIME_TEXT_MAX];
	(void)cor_duration_format(c->crash.delay, delay);
	_cleanup_free_ char *text = cor_asprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", delay, c->name,
		p->name, p->ns, p->uid);
	if (!c->f->waiting || strcmp(c->f->waiting, "CrashLoopBackOff") != 0)
		pod_event(p, c, true, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", c->name, p->name,
			p->ns, p->uid);
	ctr_wait(c, "CrashLoopBackOff", text);
	pod_due(p, pod_now(p) + wait);
	return true;
}

/* Sees to it that the container runs, or will. */
static void run(struct ctr *c, bool may_start) {
	struct pod *p = c->pod;
	if (c->step == CTR_WAITING && may_start) {
		if (pod_net_ready(p) && pod_volumes_ready(p) && pod_refs_known(p) &&
		    (!p->all->c.services_synced || p->all->c.services_synced(p->all->c.arg)))
			ctr_continue(c);
		return;
	}
	if (c->step != CTR_IDLE || c->f->inst.phase == COR_INST_RUNNING)
		return;
	if (c->retry_at > pod_mono(p)) {
		pod_due(p, pod_now(p) + c->retry_at - pod_mono(p));
		return;
	}
	bool again = c->f->inst.phase == COR_INST_EXITED;
	if (again && !c->rerun && !cor_ctr_runs_again(&p->object->spec, c->f))
		return;
	if (again && !c->rerun && backs_off(c))
		return;
	if (again && c->step == CTR_IDLE && !c->rerun)
		cor_backoff_step(&c->crash, pod_mono(p));
	/* The decision is made: errors on the way are tried again without another step. */
	c->rerun = again;
	ctr_begin(c);
}

/* Only a changed image restarts a container. */
static void look_at_image(struct ctr *c) {
	if (c->f->inst.phase != COR_INST_RUNNING || c->step != CTR_IDLE || c->stop != STOP_NONE || !c->f->image ||
	    (c->f->kind == COR_CTR_INIT && !c->f->sidecar) || c->f->kind == COR_CTR_EPHEMERAL)
		return;
	struct cor_image_ref want;
	struct cor_err err;
	if (!c->wanted_image) {
		c->wanted_image = cor_str_dup_c(c->f->spec->image);
		return;
	}
	if (cor_str_eq_c(c->f->spec->image, c->wanted_image) || cor_image_ref_parse(c->f->spec->image, &want, &err) < 0)
		return;
	replace_text(&c->wanted_image, NULL);
	c->wanted_image = cor_str_dup_c(c->f->spec->image);
	_cleanup_free_ char *text = cor_asprintf("%s %s definition changed%s", c->f->kind == COR_CTR_INIT ? "Init container" :
		"Container", c->name, c->f->kind == COR_CTR_INIT ? "" : ", will be restarted");
	c->crash = (struct cor_backoff){ 0 };
	c->rerun = true;
	ctr_stop(c, -1, text);
}

static void run_all(struct pod *p) {
	(void)pod_net_ready(p);
	(void)pod_volumes_ready(p);
	struct cor_pod_facts f = pod_facts(p);
	bool initialized = cor_pod_initialized(&f), go = true;
	for (size_t i = 0; i < p->n; i++)
		look_at_image(p->ctrs[i]);
	for (size_t i = 0; i < p->n; i++) {
		struct ctr *c = p->ctrs[i];
		if (c->f->kind == COR_CTR_EPHEMERAL) {
			if (c->f->inst.phase == COR_INST_NONE)
				run(c, true);
			continue;
		}
		if (c->f->kind == COR_CTR_INIT) {
			if (initialized && !c->f->sidecar)
				continue;
			run(c, true);
			bool done = c->f->sidecar ? c->f->inst.phase == COR_INST_RUNNING && c->f->started && !c->f->starting :
				c->f->inst.phase == COR_INST_EXITED && c->f->inst.exit_code == 0;
			if (!done && !initialized)
				return;
			continue;
		}
		/* In order: the next one starts when the one before is up and its postStart has ended. */
		run(c, go);
		go = go && !in_progress(c) && (c->step == CTR_IDLE || c->f->inst.phase == COR_INST_EXITED);
	}
}

/* The pod before of the same name: deleted by force, or while the agent was away, it may be gone from the API
 * while its containers still run. Its successor begins after them: a StatefulSet's identity, and what holds
 * it, are never there twice. */
static bool name_is_taken(struct pod *p) {
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&p->all->by_uid, &it, &uid, &v)) {
		const struct pod *o = v;
		if (o != p && o->end != STAGE_GONE && strcmp(o->key, p->key) == 0)
			return true;
	}
	/* Of pods that this agent has never seen. */
	struct cor_container *run;
	for (it = 0; (run = p->all->c.rt->ops->next(p->all->c.rt, &it));)
		if (strcmp(run->pod_uid, p->uid) != 0 && strcmp(run->pod_name, p->name) == 0 &&
		    strcmp(run->pod_namespace, p->ns) == 0)
			return true;
	return false;
}

/* ---- the look ---- */

static void compute_status(struct pod *p) {
	struct cor_arena *a, *scratch = p->all->scratch;
	struct cor_pod_facts f = pod_facts(p);
	core_v1_PodStatus status, *copy;
	cor_pod_status(scratch, &f, &status);
	/* A copy that shares nothing with facts or objects. */
	copy = cor_obj_keep(&cor_type_core_v1_PodStatus, &status, scratch, &a);
	if (!copy) {
		cor_error("status of %s: out of memory", p->key);
		return;
	}
	cor_arena_free(p->status_arena);
	p->status_arena = a;
	p->status = copy;
}

static bool nothing_left(const struct pod *p) {
	return p->gone && p->end == STAGE_GONE && !p->write;
}

void pod_sync(struct pod *p) {
	p->due = 0;
	if (nothing_left(p)) {
		_cleanup_free_ char *logs = cor_asprintf("%s/logs/%s_%s_%s", p->all->c.data_dir, p->ns, p->name, p->uid);
		struct cor_err err;
		if (cor_volume_remove_tree(logs, &err) < 0)
			cor_warn("logs of %s: %s", p->key, err.message);
		pod_free(p);
		return;
	}
	look_at_end(p);
	p->held = !p->ending && !p->admitted && name_is_taken(p);
	if (!p->ending && !p->admitted && !p->held)
		admit(p);
	if (p->ending) {
		pod_stop(p);
		p->stopped = pod_is_stopped(p);
	} else if (!p->held) {
		run_all(p);
	}
	compute_status(p);
	pod_write(p);
	/* What is left of a pod that ended by itself tells how it ended, until the API knows: an agent that is
	 * killed in between has to find it again. */
	if (p->stopped && (p->gone || p->object->metadata.deletionTimestamp != 0 || terminal(p->object->status.phase)))
		pod_tear_down(p);
	if (p->due > 0)
		p->all->c.world->timer_set(p->all->c.world, &p->timer, p->due - pod_now(p));
}
