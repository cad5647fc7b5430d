// SPDX-License-Identifier: Apache-2.0
// What script.c (people) and faults.c share.
#pragma once

#include "sim/cluster.h"

struct script {
	struct cluster *c;
	unsigned steps;
	struct cor_timer server_back;
	struct machine_fault {
		struct node *node;
		struct cor_timer agent_back, power_back, link_back, quiet, reads_again;
	} machines[NODES_MAX];
	struct cor_timer people_quiet;
};

void script_patch(struct cluster *c, enum cor_res res, const char *name, const char *json);
void script_set_image(struct cluster *c, enum cor_res res, const char *name, const char *image);
void script_delete(struct cluster *c, enum cor_res res, const char *name, int64_t grace,
	enum cor_propagation propagation);

void faults_new(struct cluster *c);
void faults_free(struct cluster *c);
/* One fault, of which most end by themselves after a while. */
void faults_act(struct cluster *c);
/* Ends all faults. */
void faults_mend(struct cluster *c);
