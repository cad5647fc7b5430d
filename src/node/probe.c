// SPDX-License-Identifier: Apache-2.0
// A prober: one timer, at most one try under way. The first try comes at once (after the initial
// delay), then one each period; what a probe says counts only after its threshold.
#include "node/probe.h"

#include <stdio.h>

bool cor_probe_counted(struct cor_probe_count *c, bool success, int success_threshold,
	int failure_threshold) {
	c->run = c->run > 0 && c->last == success ? c->run + 1 : 1;
	c->last = success;
	if (c->run < (success ? success_threshold : failure_threshold))
		return false;
	bool changed = c->result != success || c->run == (success ? success_threshold : failure_threshold);
	c->result = success;
	return changed;
}

struct cor_prober {
	struct cor_prober_config c;
	struct cor_probe_count count;
	struct cor_timer timer;
	struct cor_session *session;
	struct cor_net_try *net;
	bool trying, held, freed, calling;
};

static cor_time period(const struct cor_prober *p) {
	return (p->c.probe->periodSeconds > 0 ? p->c.probe->periodSeconds : 10) * COR_SECOND;
}

static cor_time timeout(const struct cor_prober *p) {
	return (p->c.probe->timeoutSeconds > 0 ? p->c.probe->timeoutSeconds : 1) * COR_SECOND;
}

static void counted(struct cor_prober *p, bool success, bool warning, const char *text) {
	int ok = p->c.probe->successThreshold > 0 ? p->c.probe->successThreshold : 1;
	int bad = p->c.probe->failureThreshold > 0 ? p->c.probe->failureThreshold : 3;
	p->trying = false;
	p->calling = true;
	if (!success || warning)
		p->c.failed(p->c.arg, p->c.kind, success, text);
	bool news = cor_probe_counted(&p->count, success, ok, bad);
	/* A container that is about to be killed is left alone. */
	if (news && !success && p->c.kind != COR_PROBE_READINESS)
		p->held = true;
	if (news && success && p->c.kind == COR_PROBE_STARTUP)
		p->held = true;
	if (news && !p->freed)
		p->c.result(p->c.arg, p->c.kind, success);
	p->calling = false;
	if (p->freed)
		free(p);
}

static void on_net(void *arg, int status, const char *text) {
	struct cor_prober *p = arg;
	p->net = NULL;
	char buf[64];
	if (status >= 200 && status < 400) {
		counted(p, true, false, "");
	} else if (status < 0) {
		counted(p, true, false, "");
	} else if (status > 0) {
		(void)snprintf(buf, sizeof(buf), "HTTP probe failed with statuscode: %d", status);
		counted(p, false, false, buf);
	} else {
		counted(p, false, false, text);
	}
}

static void on_exec(void *arg, int exit_code, struct cor_str output, const struct cor_err *err) {
	struct cor_prober *p = arg;
	p->session = NULL;
	_cleanup_free_ char *text = NULL;
	if (err && err->code == COR_E_TIMEOUT)
		text = cor_asprintf("command timed out: \"%.*s\" timed out after %ds",
			p->c.probe->exec->command.n > 0 ? (int)p->c.probe->exec->command.p[0].n : 0,
			p->c.probe->exec->command.n > 0 ? p->c.probe->exec->command.p[0].p : "",
			(int)(timeout(p) / COR_SECOND));
	else if (err)
		text = cor_strdup(err->message);
	else
		text = cor_str_dup_c(output);
	counted(p, !err && exit_code == 0, false, text);
}

static void try_exec(struct cor_prober *p) {
	const core_v1_ExecAction *e = p->c.probe->exec;
	_cleanup_free_ const char **argv = cor_calloc(e->command.n + 1, sizeof(char *));
	for (size_t i = 0; i < e->command.n; i++)
		argv[i] = cor_str_dup_c(e->command.p[i]);
	struct cor_err err;
	p->session = p->c.rt->ops->exec(p->c.rt, p->c.container, &(struct cor_exec_config){ .argv = argv,
		.timeout = timeout(p), .max_output = 10 * 1024, .ops = { .done = on_exec }, .arg = p }, &err);
	for (size_t i = 0; i < e->command.n; i++)
		free((char *)(uintptr_t)argv[i]);
	if (!p->session)
		counted(p, false, false, err.message);
}

static void on_timer(struct cor_timer *t) {
	struct cor_prober *p = cor_container_of(t, struct cor_prober, timer);
	p->c.world->timer_set(p->c.world, &p->timer, period(p));
	if (p->trying || p->held || !p->c.may(p->c.arg))
		return;
	p->trying = true;
	const core_v1_Probe *pr = p->c.probe;
	if (pr->exec) {
		try_exec(p);
	} else if (pr->httpGet || pr->tcpSocket) {
		p->net = cor_net_try_new(&(struct cor_net_try_config){ .loop = p->c.loop, .world = p->c.world,
			.tls = p->c.tls, .http = pr->httpGet, .tcp = pr->tcpSocket, .spec = p->c.spec, .ip = p->c.ip,
			.user_agent = "kube-probe/1.36", .timeout = timeout(p), .done = on_net, .arg = p });
	} else {
		/* grpc is not there yet: as if it did not exist. */
		counted(p, true, false, "");
	}
}

/* Until the first try. The clock may have been set back since the start. */
static cor_time until_first(const struct cor_prober_config *c) {
	cor_time whole = c->probe->initialDelaySeconds * COR_SECOND, delay = c->started_at + whole - cor_now(c->world);
	return delay < whole ? delay : whole;
}

struct cor_prober *cor_prober_new(const struct cor_prober_config *c) {
	struct cor_prober *p = cor_new(struct cor_prober);
	*p = (struct cor_prober){ .c = *c, .timer = { .fire = on_timer }, .count = { .result = c->initial } };
	/* Whole seconds are compared with the start as it is shown, which is cut to seconds. */
	cor_time delay = until_first(c);
	if (c->probe->initialDelaySeconds > 0)
		delay += COR_SECOND / 10;
	c->world->timer_set(c->world, &p->timer, delay > 0 ? delay : 0);
	return p;
}

void cor_prober_free(struct cor_prober *p) {
	if (!p)
		return;
	p->c.world->timer_clear(p->c.world, &p->timer);
	if (p->session)
		cor_session_cancel(cor_take(p->session));
	if (p->net)
		cor_net_try_cancel(cor_take(p->net));
	p->freed = true;
	if (!p->calling)
		free(p);
}

void cor_prober_poke(struct cor_prober *p) {
	cor_time delay = until_first(&p->c);
	if (!p->trying && !p->held)
		p->c.world->timer_set(p->c.world, &p->timer, delay > 0 ? delay : 0);
}

void cor_prober_update(struct cor_prober *p, const core_v1_Probe *probe, const core_v1_Container *spec) {
	if (!p || !probe)
		return;
	p->c.probe = probe;
	p->c.spec = spec;
}
