// SPDX-License-Identifier: Apache-2.0
// The table of pods (facts/printing.md 2.1): one word for the state of all containers.
#include "api/table_priv.h"
#include "gen/core_v1.h"

struct restarts {
	int32_t n;
	cor_time last;
};

struct summary {
	struct row *r;
	const struct core_v1_Pod *pod;
	struct cor_str reason;
	struct restarts restarts;
	int32_t ready, total;
	bool initialising;
};

static bool condition_true(const struct core_v1_Pod *pod, const char *type) {
	for (size_t i = 0; i < pod->status.conditions.n; i++)
		if (cor_str_eq_c(pod->status.conditions.p[i].type, type))
			return cor_str_eq(pod->status.conditions.p[i].status, COR_STR("True"));
	return false;
}

static void count_restarts(struct restarts *s, const struct core_v1_ContainerStatus *c) {
	s->n += c->restartCount;
	if (c->lastState.terminated && c->lastState.terminated->finishedAt > s->last)
		s->last = c->lastState.terminated->finishedAt;
}

static bool is_sidecar(const struct core_v1_Pod *pod, struct cor_str name) {
	for (size_t i = 0; i < pod->spec.initContainers.n; i++)
		if (cor_str_eq(pod->spec.initContainers.p[i].name, name))
			return cor_str_eq(pod->spec.initContainers.p[i].restartPolicy, COR_STR("Always"));
	return false;
}

static struct cor_str ended(struct summary *s, const struct core_v1_ContainerStateTerminated *t, const char *prefix) {
	if (t->reason.n > 0)
		return cor_arena_printf(s->r->a, "%s%.*s", prefix, COR_STR_ARG(t->reason));
	if (t->signal != 0)
		return cor_arena_printf(s->r->a, "%sSignal:%d", prefix, t->signal);
	return cor_arena_printf(s->r->a, "%sExitCode:%d", prefix, t->exitCode);
}

/* Leaves s->initialising set at the first one that has not done its part. */
static void walk_init(struct summary *s, struct restarts *sidecars) {
	const struct core_v1_Pod *pod = s->pod;
	for (size_t i = 0; i < pod->status.initContainerStatuses.n; i++) {
		const struct core_v1_ContainerStatus *c = &pod->status.initContainerStatuses.p[i];
		bool sidecar = is_sidecar(pod, c->name);
		count_restarts(&s->restarts, c);
		if (sidecar)
			count_restarts(sidecars, c);
		if (c->state.terminated && c->state.terminated->exitCode == 0)
			continue;
		if (sidecar && c->started && *c->started) {
			s->ready += c->ready;
			continue;
		}
		s->initialising = true;
		if (c->state.terminated)
			s->reason = ended(s, c->state.terminated, "Init:");
		else if (c->state.waiting && c->state.waiting->reason.n > 0 &&
			 !cor_str_eq(c->state.waiting->reason, COR_STR("PodInitializing")))
			s->reason = cor_arena_printf(s->r->a, "Init:%.*s", COR_STR_ARG(c->state.waiting->reason));
		else
			s->reason = cor_arena_printf(s->r->a, "Init:%zu/%zu", i, pod->spec.initContainers.n);
		return;
	}
}

static void walk_containers(struct summary *s) {
	const struct core_v1_Pod *pod = s->pod;
	struct cor_str failure = { 0 };
	bool running = false;
	for (size_t i = pod->status.containerStatuses.n; i-- > 0;) {
		const struct core_v1_ContainerStatus *c = &pod->status.containerStatuses.p[i];
		count_restarts(&s->restarts, c);
		if (c->state.waiting && c->state.waiting->reason.n > 0) {
			s->reason = c->state.waiting->reason;
		} else if (c->state.terminated) {
			s->reason = ended(s, c->state.terminated, "");
			if (c->state.terminated->exitCode != 0)
				failure = s->reason;
		} else if (c->ready && c->state.running) {
			running = true;
			s->ready++;
		}
	}
	if (!cor_str_eq(s->reason, COR_STR("Completed")))
		return;
	if (running && condition_true(pod, "Ready"))
		s->reason = COR_STR("Running");
	else if (failure.n > 0)
		s->reason = failure;
	else if (running)
		s->reason = COR_STR("NotReady");
}

static void summarise(struct summary *s) {
	const struct core_v1_Pod *pod = s->pod;
	struct restarts sidecars = { 0 };
	s->reason = pod->status.reason.n > 0 ? pod->status.reason : pod->status.phase;
	for (size_t i = 0; i < pod->status.conditions.n; i++)
		if (cor_str_eq(pod->status.conditions.p[i].type, COR_STR("PodScheduled")) &&
		    cor_str_eq(pod->status.conditions.p[i].reason, COR_STR("SchedulingGated")))
			s->reason = COR_STR("SchedulingGated");
	s->total = (int32_t)pod->spec.containers.n;
	for (size_t i = 0; i < pod->spec.initContainers.n; i++)
		s->total += cor_str_eq(pod->spec.initContainers.p[i].restartPolicy, COR_STR("Always"));
	walk_init(s, &sidecars);
	if (!s->initialising || condition_true(pod, "Initialized")) {
		s->restarts = sidecars;
		walk_containers(s);
	}
	bool finished = cor_str_eq(pod->status.phase, COR_STR("Succeeded")) || cor_str_eq(pod->status.phase, COR_STR("Failed"));
	if (pod->metadata.deletionTimestamp && cor_str_eq(pod->status.reason, COR_STR("NodeLost")))
		s->reason = COR_STR("Unknown");
	else if (pod->metadata.deletionTimestamp && !finished)
		s->reason = COR_STR("Terminating");
}

static void gates(struct row *r, const struct core_v1_Pod *pod) {
	size_t yes = 0;
	for (size_t i = 0; i < pod->spec.readinessGates.n; i++) {
		char *type = cor_arena_cstr(r->a, pod->spec.readinessGates.p[i].conditionType);
		yes += type && condition_true(pod, type);
	}
	if (pod->spec.readinessGates.n == 0)
		cell_c(r, "<none>");
	else
		cell_printf(r, "%zu/%zu", yes, pod->spec.readinessGates.n);
}

static const struct column pod_columns[] = {
	S("Name"), S("Ready"), S("Status"), S("Restarts"),
	S("Age"), W("IP"), W("Node"), W("Nominated Node"),
	W("Readiness Gates"),
};

static void pod_row(struct row *r, const void *obj) {
	const struct core_v1_Pod *pod = obj;
	struct summary s = { .r = r, .pod = pod };
	summarise(&s);
	cell_str(r, pod->metadata.name);
	cell_printf(r, "%d/%d", s.ready, s.total);
	cell_str(r, s.reason);
	if (s.restarts.n > 0 && s.restarts.last)
		cell_printf(r, "%d (%.*s ago)", s.restarts.n, COR_STR_ARG(age_text(r, s.restarts.last)));
	else
		cell_printf(r, "%d", s.restarts.n);
	cell_age(r, pod->metadata.creationTimestamp);
	cell_or(r, pod->status.podIPs.n > 0 ? pod->status.podIPs.p[0].ip : COR_STR(""), "<none>");
	cell_or(r, pod->spec.nodeName, "<none>");
	cell_or(r, pod->status.nominatedNodeName, "<none>");
	gates(r, pod);
}

void cor_table_row_conditions(const struct cor_resource *res, const void *typed, struct cor_buf *out) {
	const struct core_v1_Pod *pod = typed;
	bool good = false, bad = false;
	if (res->id == COR_RES_PODS) {
		good = cor_str_eq_c(pod->status.phase, "Succeeded");
		bad = cor_str_eq_c(pod->status.phase, "Failed");
	}
	if (good || bad)
		cor_buf_printf(out, ",\"conditions\":[{\"type\":\"Completed\",\"status\":\"True\",\"reason\":\"%s\","
			"\"message\":\"%s\"}]", good ? "Succeeded" : "Failed",
			good ? "The pod has completed successfully." : "The pod failed.");
}

const struct kind_tables cor_tables_pods = KIND_TABLES(KIND_TABLE(COR_RES_PODS, pod_columns, pod_row));
