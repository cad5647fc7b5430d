// SPDX-License-Identifier: Apache-2.0
// The status of a pod from facts. Order of the file: decisions about containers, the phase, the
// statuses of containers, the conditions, the whole.
#include "node/pod_status.h"

#include <stdio.h>

#include "codec/quantity.h"

#define BACKOFF_FIRST (10 * COR_SECOND)
#define BACKOFF_MAX (300 * COR_SECOND)
#define BACKOFF_RESET (600 * COR_SECOND)

cor_time cor_backoff_wait(struct cor_backoff *b, cor_time failed_at, cor_time now) {
	if (b->delay > 0 && failed_at - b->at > BACKOFF_RESET)
		b->delay = 0;
	cor_time until = failed_at + b->delay;
	return b->delay > 0 && until > now ? until - now : 0;
}

void cor_backoff_step(struct cor_backoff *b, cor_time now) {
	b->delay = b->delay == 0 ? BACKOFF_FIRST : b->delay * 2 > BACKOFF_MAX ? BACKOFF_MAX : b->delay * 2;
	b->at = now;
}

void cor_inst_fini(struct cor_inst *i) {
	free(i->reason);
	free(i->message);
	*i = (struct cor_inst){ 0 };
}

/* ---- decisions ---- */

static bool in_codes(const core_v1_ContainerRestartRuleOnExitCodes *r, int code) {
	bool in = false;
	for (size_t i = 0; i < r->values.n; i++)
		in = in || r->values.p[i] == code;
	return cor_str_eq(r->operator, COR_STR("NotIn")) ? !in : in;
}

bool cor_ctr_runs_again(const core_v1_PodSpec *spec, const struct cor_ctr_facts *c) {
	if (c->kind == COR_CTR_EPHEMERAL)
		return false;
	if (c->sidecar)
		return true;
	struct cor_str policy = c->spec->restartPolicy.n > 0 ? c->spec->restartPolicy : spec->restartPolicy;
	bool failed = c->inst.exit_code != 0;
	for (size_t i = 0; !c->inst.killed_by_probe && i < c->spec->restartPolicyRules.n; i++) {
		const core_v1_ContainerRestartRule *r = &c->spec->restartPolicyRules.p[i];
		if (r->exitCodes && in_codes(r->exitCodes, c->inst.exit_code))
			return true;
	}
	if (c->kind == COR_CTR_INIT)
		return failed && !cor_str_eq(policy, COR_STR("Never"));
	if (cor_str_eq(policy, COR_STR("Never")))
		return false;
	return failed || !cor_str_eq(policy, COR_STR("OnFailure"));
}

static bool ended_for_good(const struct cor_pod_facts *f, const struct cor_ctr_facts *c) {
	return c->inst.phase == COR_INST_EXITED && (f->ending || !cor_ctr_runs_again(&f->pod->spec, c));
}

static bool init_done(const struct cor_ctr_facts *c) {
	if (c->sidecar)
		return c->inst.phase == COR_INST_RUNNING && c->started && !c->starting;
	return c->inst.phase == COR_INST_EXITED && c->inst.exit_code == 0;
}

static bool was_initialized(const struct cor_pod_facts *f) {
	for (size_t i = 0; f->before && i < f->before->conditions.n; i++)
		if (cor_str_eq(f->before->conditions.p[i].type, COR_STR("Initialized")))
			return cor_str_eq(f->before->conditions.p[i].status, COR_STR("True"));
	return false;
}

bool cor_pod_initialized(const struct cor_pod_facts *f) {
	for (size_t i = 0; i < f->n; i++)
		if (f->ctrs[i].kind == COR_CTR_REGULAR && f->ctrs[i].inst.phase != COR_INST_NONE)
			return true;
	if (was_initialized(f))
		return true;
	for (size_t i = 0; i < f->n; i++)
		if (f->ctrs[i].kind == COR_CTR_INIT && !init_done(&f->ctrs[i]))
			return false;
	return true;
}

static bool init_failed(const struct cor_pod_facts *f) {
	for (size_t i = 0; i < f->n; i++) {
		const struct cor_ctr_facts *c = &f->ctrs[i];
		if (c->kind == COR_CTR_INIT && !c->sidecar && c->inst.exit_code != 0 && ended_for_good(f, c))
			return true;
	}
	return false;
}

bool cor_pod_facts_finished(const struct cor_pod_facts *f) {
	if (!cor_pod_initialized(f))
		return init_failed(f);
	for (size_t i = 0; i < f->n; i++)
		if (f->ctrs[i].kind == COR_CTR_REGULAR && !ended_for_good(f, &f->ctrs[i]))
			return false;
	return true;
}

/* ---- phase ---- */

static bool terminal(struct cor_str phase) {
	return cor_str_eq(phase, COR_STR("Succeeded")) || cor_str_eq(phase, COR_STR("Failed"));
}

static struct cor_str phase_of(const struct cor_pod_facts *f) {
	if (f->before && terminal(f->before->phase))
		return f->before->phase;
	size_t never = 0, running = 0, failed = 0, again = 0;
	for (size_t i = 0; i < f->n; i++) {
		const struct cor_ctr_facts *c = &f->ctrs[i];
		if (c->kind == COR_CTR_EPHEMERAL)
			continue;
		if (c->inst.phase == COR_INST_RUNNING && (c->kind == COR_CTR_REGULAR || c->sidecar))
			running++;
		if (c->kind != COR_CTR_REGULAR)
			continue;
		never += c->inst.phase == COR_INST_NONE;
		failed += c->inst.phase == COR_INST_EXITED && c->inst.exit_code != 0;
		again += c->inst.phase == COR_INST_EXITED && !ended_for_good(f, c);
	}
	if (f->reason && f->stopped)
		return COR_STR("Failed");
	if (f->stopped)
		return never > 0 || failed > 0 || init_failed(f) ? COR_STR("Failed") : COR_STR("Succeeded");
	if (!cor_pod_initialized(f) || (never > 0 && !f->ending))
		return COR_STR("Pending");
	if (never > 0)
		return f->before && f->before->phase.n > 0 ? f->before->phase : COR_STR("Pending");
	if (running > 0 || again > 0 || f->ending)
		return COR_STR("Running");
	/* All ended for good, which the next step makes an end of the pod. */
	return COR_STR("Running");
}

/* ---- containers ---- */

static core_v1_ContainerStateTerminated *ended(struct cor_arena *a, const struct cor_inst *i) {
	core_v1_ContainerStateTerminated *t = cor_arena_new_of(a, core_v1_ContainerStateTerminated);
	if (!t)
		return NULL;
	*t = (core_v1_ContainerStateTerminated){
		.exitCode = i->exit_code, .signal = i->signal, .reason = cor_str_c(i->reason),
		.startedAt = i->started_at, .finishedAt = i->finished_at,
		.containerID = i->id[0] ? cor_arena_printf(a, "crun://%s", i->id) : COR_STR(""),
	};
	if (i->message && i->message[0])
		t->message = cor_str_c(i->message);
	return t;
}

static core_v1_ContainerStateWaiting *waits(struct cor_arena *a, const char *reason, const char *message) {
	core_v1_ContainerStateWaiting *w = cor_arena_new_of(a, core_v1_ContainerStateWaiting);
	if (w) {
		w->reason = cor_str_c(reason);
		if (message && message[0])
			w->message = cor_str_c(message);
	}
	return w;
}

static bool has_init(const struct cor_pod_facts *f) {
	return f->pod->spec.initContainers.n > 0;
}

static void state_of(struct cor_arena *a, const struct cor_pod_facts *f, const struct cor_ctr_facts *c,
	core_v1_ContainerStatus *s) {
	const char *first = has_init(f) && c->kind != COR_CTR_EPHEMERAL ? "PodInitializing" : "ContainerCreating";
	if (c->last.phase == COR_INST_EXITED)
		s->lastState.terminated = ended(a, &c->last);
	if (c->inst.phase == COR_INST_RUNNING) {
		if (c->starting) {
			s->state.waiting = waits(a, first, NULL);
			return;
		}
		s->state.running = cor_arena_new_of(a, core_v1_ContainerStateRunning);
		if (s->state.running)
			s->state.running->startedAt = c->inst.started_at;
	} else if (c->inst.phase == COR_INST_EXITED && (!c->waiting || f->ending)) {
		s->state.terminated = ended(a, &c->inst);
	} else if (c->inst.phase == COR_INST_EXITED) {
		s->lastState = (core_v1_ContainerState){ .terminated = ended(a, &c->inst) };
		s->state.waiting = waits(a, c->waiting, c->waiting_message);
	} else {
		s->state.waiting = waits(a, c->waiting ? c->waiting : first, c->waiting_message);
	}
}

static void mounts_of(struct cor_arena *a, const core_v1_Container *spec, core_v1_ContainerStatus *s) {
	for (size_t i = 0; i < spec->volumeMounts.n; i++) {
		const core_v1_VolumeMount *m = &spec->volumeMounts.p[i];
		core_v1_VolumeMountStatus *v = cor_arena_push(a, &s->volumeMounts);
		if (v)
			*v = (core_v1_VolumeMountStatus){ .name = m->name, .mountPath = m->mountPath,
				.readOnly = m->readOnly, .recursiveReadOnly = m->readOnly ?
				m->recursiveReadOnly.n > 0 ? m->recursiveReadOnly : COR_STR("Disabled") :
				(struct cor_str){ 0 } };
	}
}

static void ctr_status(struct cor_arena *a, const struct cor_pod_facts *f, const struct cor_ctr_facts *c,
	core_v1_ContainerStatus *s) {
	bool runs = c->inst.phase == COR_INST_RUNNING;
	s->name = c->spec->name;
	s->image = c->image ? cor_str_c(c->image) : c->spec->image;
	s->imageID = c->image_id ? cor_str_c(c->image_id) : COR_STR("");
	s->restartCount = c->restarts;
	s->ready = c->kind == COR_CTR_INIT && !c->sidecar ? init_done(c) : runs && !c->starting && c->started && c->ready;
	if (c->kind == COR_CTR_EPHEMERAL)
		s->ready = false;
	if (c->inst.id[0])
		s->containerID = cor_arena_printf(a, "crun://%s", c->inst.id);
	s->started = cor_arena_new_of(a, bool);
	if (s->started)
		*s->started = runs && !c->starting && c->started;
	state_of(a, f, c, s);
	mounts_of(a, c->spec, s);
	if (c->inst.phase != COR_INST_NONE) {
		s->resources = cor_arena_new_of(a, core_v1_ResourceRequirements);
		if (s->resources) {
			s->resources->limits = c->spec->resources.limits;
			s->resources->requests = c->spec->resources.requests;
		}
		s->allocatedResources = c->spec->resources.requests;
	}
}

static int by_name(const void *x, const void *y) {
	return cor_str_cmp(((const core_v1_ContainerStatus *)x)->name, ((const core_v1_ContainerStatus *)y)->name);
}

static void all_statuses(struct cor_arena *a, const struct cor_pod_facts *f, core_v1_PodStatus *s) {
	for (size_t i = 0; i < f->n; i++) {
		const struct cor_ctr_facts *c = &f->ctrs[i];
		core_v1_ContainerStatus *cs =
			c->kind == COR_CTR_INIT ? cor_arena_push(a, &s->initContainerStatuses) :
			c->kind == COR_CTR_REGULAR ? cor_arena_push(a, &s->containerStatuses) :
			cor_arena_push(a, &s->ephemeralContainerStatuses);
		if (cs)
			ctr_status(a, f, c, cs);
	}
	if (s->containerStatuses.n > 1)
		qsort(s->containerStatuses.p, s->containerStatuses.n, sizeof(*s->containerStatuses.p), by_name);
	if (s->ephemeralContainerStatuses.n > 1)
		qsort(s->ephemeralContainerStatuses.p, s->ephemeralContainerStatuses.n,
			sizeof(*s->ephemeralContainerStatuses.p), by_name);
}

/* ---- conditions ---- */

static void condition(struct cor_arena *a, const struct cor_pod_facts *f, core_v1_PodStatus *s,
	const char *type, bool status, struct cor_str reason, struct cor_str message) {
	struct cor_str now = status ? COR_STR("True") : COR_STR("False");
	cor_time since = f->now;
	for (size_t i = 0; f->before && i < f->before->conditions.n; i++) {
		const core_v1_PodCondition *old = &f->before->conditions.p[i];
		if (cor_str_eq_c(old->type, type) && cor_str_eq(old->status, now))
			since = old->lastTransitionTime;
	}
	core_v1_PodCondition *c = cor_arena_push(a, &s->conditions);
	if (c)
		*c = (core_v1_PodCondition){ .type = cor_str_c(type), .status = now, .reason = reason,
			.message = message, .lastTransitionTime = since,
			.observedGeneration = f->pod->metadata.generation };
}

/* "containers with unready status: [a b]" */
static struct cor_str names_where(struct cor_arena *a, const struct cor_pod_facts *f, const char *text,
	bool (*is)(const struct cor_ctr_facts *c)) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < f->n; i++)
		if (is(&f->ctrs[i]))
			cor_buf_printf(&b, "%s%.*s", b.n > 0 ? " " : "", COR_STR_ARG(f->ctrs[i].spec->name));
	return b.n > 0 ? cor_arena_printf(a, "%s: [%.*s]", text, COR_STR_ARG(cor_buf_view(&b))) : (struct cor_str){ 0 };
}

static bool incomplete(const struct cor_ctr_facts *c) {
	return c->kind == COR_CTR_INIT && !init_done(c);
}

static bool unready(const struct cor_ctr_facts *c) {
	return (c->kind == COR_CTR_REGULAR || c->sidecar) &&
		!(c->inst.phase == COR_INST_RUNNING && !c->starting && c->started && c->ready);
}

/* The text of the readiness gates that are not open; absent when all are. */
static struct cor_str closed_gates(struct cor_arena *a, const struct cor_pod_facts *f) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < f->pod->spec.readinessGates.n; i++) {
		struct cor_str type = f->pod->spec.readinessGates.p[i].conditionType;
		const core_v1_PodCondition *c = NULL;
		for (size_t j = 0; j < f->pod->status.conditions.n; j++)
			if (cor_str_eq(f->pod->status.conditions.p[j].type, type))
				c = &f->pod->status.conditions.p[j];
		if (!c)
			cor_buf_printf(&b, "%scorresponding condition of pod readiness gate \"%.*s\" does not exist.",
				b.n > 0 ? ", " : "", COR_STR_ARG(type));
		else if (!cor_str_eq(c->status, COR_STR("True")))
			cor_buf_printf(&b, "%sthe status of pod readiness gate \"%.*s\" is not \"True\", but %.*s",
				b.n > 0 ? ", " : "", COR_STR_ARG(type), COR_STR_ARG(c->status));
	}
	return b.n > 0 ? cor_arena_str(a, cor_buf_view(&b)) : (struct cor_str){ 0 };
}

static bool ours(struct cor_str type) {
	static const char *const types[] = { "PodReadyToStartContainers", "Initialized", "Ready",
		"ContainersReady", "PodScheduled" };
	for (size_t i = 0; i < cor_countof(types); i++)
		if (cor_str_eq_c(type, types[i]))
			return true;
	return false;
}

static void conditions(struct cor_arena *a, const struct cor_pod_facts *f, core_v1_PodStatus *s) {
	struct cor_str none = { 0 };
	for (size_t i = 0; i < f->pod->status.conditions.n; i++) {
		core_v1_PodCondition *c = ours(f->pod->status.conditions.p[i].type) ? NULL :
			cor_arena_push(a, &s->conditions);
		if (c)
			*c = f->pod->status.conditions.p[i];
	}
	bool over = terminal(s->phase);
	bool done = over && cor_str_eq(s->phase, COR_STR("Succeeded"));
	struct cor_str end = done ? COR_STR("PodCompleted") : COR_STR("PodFailed");
	condition(a, f, s, "PodReadyToStartContainers", f->sandbox && !f->stopped, none, none);
	bool init = cor_pod_initialized(f) || done;
	condition(a, f, s, "Initialized", init, done ? end : init ? none : COR_STR("ContainersNotInitialized"),
		init ? none : names_where(a, f, "containers with incomplete status", incomplete));
	struct cor_str not_ready = names_where(a, f, "containers with unready status", unready);
	struct cor_str gates = closed_gates(a, f);
	bool containers = !over && !not_ready.p;
	struct cor_str why = over ? end : COR_STR("ContainersNotReady");
	bool ready = containers && !gates.p;
	condition(a, f, s, "Ready", ready, ready ? none : containers ? COR_STR("ReadinessGatesNotReady") : why,
		ready ? none : containers ? gates : over ? none : not_ready);
	condition(a, f, s, "ContainersReady", containers, containers ? none : why,
		containers || over ? none : not_ready);
	condition(a, f, s, "PodScheduled", true, none, none);
}

/* ---- the whole ---- */

static void quantities(const core_v1_Container *c, bool *any, bool *all) {
	static const char *const names[] = { "cpu", "memory" };
	for (size_t i = 0; i < cor_countof(names); i++) {
		const struct cor_str *limit = cor_strmap_get(&c->resources.limits, cor_str_c(names[i]));
		const struct cor_str *req = cor_strmap_get(&c->resources.requests, cor_str_c(names[i]));
		struct cor_quantity l = cor_quantity_of(limit ? *limit : (struct cor_str){ 0 });
		struct cor_quantity r = req ? cor_quantity_of(*req) : l;
		*any = *any || l.nano > 0 || r.nano > 0;
		*all = *all && l.nano > 0 && cor_quantity_cmp(l, r) == 0;
	}
}

struct cor_str cor_pod_qos(const core_v1_PodSpec *spec) {
	bool any = false, all = true;
	if (spec->resources) {
		core_v1_Container c = { .resources = *spec->resources };
		quantities(&c, &any, &all);
	} else {
		for (size_t i = 0; i < spec->containers.n; i++)
			quantities(&spec->containers.p[i], &any, &all);
		for (size_t i = 0; i < spec->initContainers.n; i++)
			quantities(&spec->initContainers.p[i], &any, &all);
	}
	return !any ? COR_STR("BestEffort") : all ? COR_STR("Guaranteed") : COR_STR("Burstable");
}

void cor_pod_status(struct cor_arena *a, const struct cor_pod_facts *f, core_v1_PodStatus *ret) {
	core_v1_PodStatus s = { 0 };
	s.observedGeneration = f->pod->metadata.generation;
	s.phase = phase_of(f);
	s.reason = cor_str_c(f->reason);
	s.message = cor_str_c(f->message);
	if (!f->reason && f->before && terminal(f->before->phase)) {
		s.reason = f->before->reason;
		s.message = f->before->message;
	}
	s.startTime = f->before && f->before->startTime ? f->before->startTime : f->now;
	s.qosClass = cor_pod_qos(&f->pod->spec);
	s.hostIP = cor_str_c(f->host_ip);
	core_v1_HostIP *h = cor_arena_push(a, &s.hostIPs);
	if (h)
		h->ip = s.hostIP;
	struct cor_str ip = f->ip[0] ? cor_str_c(f->ip) : f->before ? f->before->podIP : (struct cor_str){ 0 };
	if (ip.n > 0) {
		s.podIP = ip;
		core_v1_PodIP *p = cor_arena_push(a, &s.podIPs);
		if (p)
			p->ip = ip;
	}
	if (!f->reason || f->n > 0)
		all_statuses(a, f, &s);
	conditions(a, f, &s);
	*ret = s;
}
