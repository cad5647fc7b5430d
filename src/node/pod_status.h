// SPDX-License-Identifier: Apache-2.0
// The status of a pod, computed from facts and never stored as truth (facts/node-agent 12), and the
// decisions that follow from the same facts: may it run again, has the pod ended, how long to wait.
// Pure.
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "gen/core_v1.h"

enum cor_ctr_kind { COR_CTR_INIT, COR_CTR_REGULAR, COR_CTR_EPHEMERAL };
enum cor_inst_phase { COR_INST_NONE, COR_INST_RUNNING, COR_INST_EXITED };

/* One run of a container. Owns its texts. */
struct cor_inst {
	enum cor_inst_phase phase;
	char id[65];
	cor_time started_at, finished_at;
	int exit_code, signal;
	char *reason, *message;
	bool killed_by_probe;           /* or by a changed definition: runs again whatever the policy's rules */
};

struct cor_ctr_facts {
	const core_v1_Container *spec;
	enum cor_ctr_kind kind;
	bool sidecar;                   /* an init container that is restarted always */
	struct cor_inst inst, last;     /* the newest run and the one before (EXITED or NONE) */
	int restarts;
	char *image, *image_id;         /* of the newest run; NULL before */
	/* Why it does not run: NULL when nothing stands in its way. */
	char *waiting, *waiting_message;
	bool starting;                  /* postStart has not ended: shown as waiting */
	bool started, ready;            /* by its probes, while running */
	bool resources_known;
};

struct cor_pod_facts {
	const core_v1_Pod *pod;
	const struct cor_ctr_facts *ctrs;       /* in order: init, regular, ephemeral */
	size_t n;
	const core_v1_PodStatus *before;        /* what was computed last, or is in the API */
	bool sandbox;                           /* its network is up */
	const char *ip;                         /* "" */
	const char *host_ip;
	bool ending;                            /* nothing will be started any more */
	bool stopped;                           /* ending, and nothing runs any more */
	/* Why it ended early (DeadlineExceeded, Evicted, a refused pod); NULL else. */
	const char *reason, *message;
	cor_time now;
};

/* Is the container to be run again, by its exit and the policies? Not asked while deleting. */
bool cor_ctr_runs_again(const core_v1_PodSpec *spec, const struct cor_ctr_facts *c);
/* Init containers are done and sidecars were started. */
bool cor_pod_initialized(const struct cor_pod_facts *f);
/* Nothing will run again by itself: all regular containers ended for good, or an init container
 * failed for good. */
bool cor_pod_facts_finished(const struct cor_pod_facts *f);
struct cor_str cor_pod_qos(const core_v1_PodSpec *spec);

/* Into the arena. Points into facts and texts of it. */
void cor_pod_status(struct cor_arena *a, const struct cor_pod_facts *f, core_v1_PodStatus *ret);

void cor_inst_fini(struct cor_inst *i);

/* Restart and pull back-off: 10 s doubling to 5 min, forgotten after 10 min. */
struct cor_backoff {
	cor_time delay;         /* 0: nothing has happened yet */
	cor_time at;            /* of the last step */
};
/* How long to wait still after something failed at failed_at; 0: go on now. */
cor_time cor_backoff_wait(struct cor_backoff *b, cor_time failed_at, cor_time now);
void cor_backoff_step(struct cor_backoff *b, cor_time now);
