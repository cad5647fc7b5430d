// SPDX-License-Identifier: Apache-2.0
// What agent.c (pods) and agent_node.c (the Node object, its lease, volumes) share.
#pragma once

#include "sim/cluster.h"

enum pod_phase { PHASE_PENDING, PHASE_RUNNING, PHASE_SUCCEEDED, PHASE_FAILED };

/* A pod as the agent knows it. */
struct apod {
	struct apod *next;
	struct node *node;
	char uid[40];
	struct cor_obj *obj; /* the newest that came */
	/* read from it */
	bool deleting, recalled, listed, api_ready;
	cor_time grace;
	enum pod_phase api_phase;
	char image[64];
	bool restart_good, restart_bad; /* after an exit with 0, with another code */
	char claims[CLAIMS_MAX][NAME_MAX_], volumes[CLAIMS_MAX][64];
	size_t n_claims, n_volumes;
	/* facts */
	bool gone;   /* the object is */
	bool ending; /* it shall not run any more */
	bool over;   /* and does not */
	bool admitted, rejected;
	struct run *run;
	int restarts;
	unsigned ip;
	cor_time start_at, retry_at;
	/* status */
	enum pod_phase phase, told_phase, writing_phase;
	bool ready, was_ready;
	char flipped[COR_TIME_TEXT_MAX];
	struct cor_buf written, writing;
	uint64_t told_rev;
	bool removing;
	struct request *get, *write;
	struct cor_timer tick;
};

void agent_node_start(struct node *n);
void agent_node_stop(struct node *n);
/* Removes the data of volumes that are being deleted and that nobody uses. */
void agent_look_at_volumes(struct node *n);
void agent_volume_timer(struct cor_timer *t);
