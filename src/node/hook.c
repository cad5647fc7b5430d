// SPDX-License-Identifier: Apache-2.0
// Life-cycle hooks: exec, httpGet (any answer is good) and sleep. tcpSocket is accepted by the API
// and never worked.
#include "node/probe.h"

struct cor_hook {
	struct cor_world *world;
	struct cor_session *session;
	struct cor_net_try *net;
	struct cor_timer timer;
	bool sleeping;
	char *why;
	void (*done)(void *arg, bool ok, const char *text);
	void *arg;
};

static void finish(struct cor_hook *h, bool ok, const char *text) {
	h->world->timer_clear(h->world, &h->timer);
	h->done(h->arg, ok, text);
	free(h->why);
	free(h);
}

static void on_exec(void *arg, int exit_code, struct cor_str output, const struct cor_err *err) {
	struct cor_hook *h = arg;
	h->session = NULL;
	finish(h, !err && exit_code == 0, err ? err->message : "the command failed");
}

static void on_net(void *arg, int status, const char *text) {
	struct cor_hook *h = arg;
	h->net = NULL;
	finish(h, status != 0, text);
}

static void on_timer(struct cor_timer *t) {
	struct cor_hook *h = cor_container_of(t, struct cor_hook, timer);
	finish(h, h->sleeping, h->why ? h->why : "");
}

static void fail_soon(struct cor_hook *h, const char *why) {
	h->why = cor_strdup(why);
	h->world->timer_set(h->world, &h->timer, 0);
}

static void start_exec(struct cor_hook *h, const struct cor_prober_config *c, const core_v1_ExecAction *e,
	cor_time timeout) {
	_cleanup_free_ const char **argv = cor_calloc(e->command.n + 1, sizeof(char *));
	for (size_t i = 0; i < e->command.n; i++)
		argv[i] = cor_str_dup_c(e->command.p[i]);
	struct cor_err err;
	h->session = c->rt->ops->exec(c->rt, c->container, &(struct cor_exec_config){ .argv = argv,
		.timeout = timeout, .ops = { .done = on_exec }, .arg = h }, &err);
	for (size_t i = 0; i < e->command.n; i++)
		free((char *)(uintptr_t)argv[i]);
	if (!h->session)
		fail_soon(h, err.message);
}

struct cor_hook *cor_hook_new(const struct cor_prober_config *c, const core_v1_LifecycleHandler *handler,
	cor_time timeout, void (*done)(void *arg, bool ok, const char *text), void *arg) {
	struct cor_hook *h = cor_new(struct cor_hook);
	*h = (struct cor_hook){ .world = c->world, .timer = { .fire = on_timer }, .done = done, .arg = arg };
	if (handler->exec) {
		start_exec(h, c, handler->exec, timeout);
	} else if (handler->httpGet) {
		h->net = cor_net_try_new(&(struct cor_net_try_config){ .loop = c->loop, .world = c->world,
			.tls = c->tls, .http = handler->httpGet, .spec = c->spec, .ip = c->ip,
			.user_agent = "kube-lifecycle/1.36", .timeout = timeout, .done = on_net, .arg = h });
	} else if (handler->sleep) {
		h->sleeping = true;
		c->world->timer_set(c->world, &h->timer, handler->sleep->seconds * COR_SECOND);
	} else {
		fail_soon(h, "cannot run this kind of hook");
	}
	return h;
}

void cor_hook_cancel(struct cor_hook *h) {
	if (!h)
		return;
	h->world->timer_clear(h->world, &h->timer);
	if (h->session)
		cor_session_cancel(h->session);
	cor_net_try_cancel(h->net);
	free(h->why);
	free(h);
}
