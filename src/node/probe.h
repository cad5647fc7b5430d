// SPDX-License-Identifier: Apache-2.0
// Probes of one container (facts/node-agent 11): a prober tries on its period and reports a result
// only when the threshold of equal tries is reached.
#pragma once

#include "base/world.h"
#include "gen/core_v1.h"
#include "net/tls.h"
#include "node/runtime.h"

enum cor_probe_kind { COR_PROBE_STARTUP, COR_PROBE_LIVENESS, COR_PROBE_READINESS, COR_PROBE_KIND_MAX };

/* The counting alone, pure. */
struct cor_probe_count {
	bool result;
	bool last;
	int run;                        /* equal tries in a row */
};
/* Returns true when the result has changed or a threshold was reached for the first time. */
bool cor_probe_counted(struct cor_probe_count *c, bool success, int success_threshold, int failure_threshold);

struct cor_prober;
struct cor_prober_config {
	struct uv_loop_s *loop;
	struct cor_world *world;
	struct cor_runtime *rt;
	struct cor_container *container;
	struct cor_tls *tls;
	enum cor_probe_kind kind;
	const core_v1_Probe *probe;             /* alive as long as the prober */
	const core_v1_Container *spec;          /* for names of ports and variables */
	const char *ip;                         /* of the pod or the node */
	cor_time started_at;                    /* wall */
	bool initial;                           /* the result before the first try */
	/* May it try now? Liveness and readiness wait for startup. */
	bool (*may)(void *arg);
	/* A try failed (for the event), or warns. */
	void (*failed)(void *arg, enum cor_probe_kind kind, bool warning, const char *output);
	void (*result)(void *arg, enum cor_probe_kind kind, bool success);
	void *arg;
};
struct cor_prober *cor_prober_new(const struct cor_prober_config *c);
void cor_prober_free(struct cor_prober *p);             /* NULL is fine; may be called from a callback */
/* The object it came from was read again. */
void cor_prober_update(struct cor_prober *p, const core_v1_Probe *probe, const core_v1_Container *spec);
/* Try now if it waits for its next turn. */
void cor_prober_poke(struct cor_prober *p);

/* One HTTP or TCP try, or a hook's request; done is the last call. */
struct cor_net_try;
struct cor_net_try_config {
	struct uv_loop_s *loop;
	struct cor_world *world;
	struct cor_tls *tls;
	const core_v1_HTTPGetAction *http;      /* else tcp */
	const core_v1_TCPSocketAction *tcp;
	const core_v1_Container *spec;
	const char *ip;
	const char *user_agent;
	cor_time timeout;
	/* status 0: no answer, text is the error; -1 for a TCP connect that worked. */
	void (*done)(void *arg, int status, const char *text);
	void *arg;
};
struct cor_net_try *cor_net_try_new(const struct cor_net_try_config *c);
void cor_net_try_cancel(struct cor_net_try *t);
/* 0 when the port is none. */
int cor_port_of(const core_v1_Container *spec, struct cor_intstr port);

/* ---- hook.c ---- */
struct cor_hook;
/* Runs a handler; done is called once, ok false with a text. Not called after cancel. */
struct cor_hook *cor_hook_new(const struct cor_prober_config *c, const core_v1_LifecycleHandler *h,
	cor_time timeout, void (*done)(void *arg, bool ok, const char *text), void *arg);
void cor_hook_cancel(struct cor_hook *h);
