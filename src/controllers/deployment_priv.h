// SPDX-License-Identifier: Apache-2.0
// What the files of the Deployment planner share (facts/controllers.md section 4).
#pragma once

#include "controllers/pods.h"

struct deploy {
	struct cor_plan *p;
	struct cor_arena *a;
	cor_time now;
	const struct apps_v1_Deployment *d;
	struct apps_v1_Deployment *status;      /* a copy whose status is being computed */
	int32_t replicas, surge, unavailable;   /* maxSurge, maxUnavailable in pods */
	bool recreate;
	/* All owned ReplicaSets, oldest first; new is among them or NULL. */
	struct { const struct apps_v1_ReplicaSet **p; size_t n; } all;
	const struct apps_v1_ReplicaSet *new;
	bool changed;                           /* a ReplicaSet is made or scaled by this plan */
};

int32_t deploy_rs_replicas(const struct apps_v1_ReplicaSet *rs);
int64_t deploy_revision(const struct apps_v1_ReplicaSet *rs);   /* 0 when it has none */

/* Counters, conditions and the progress clock; plans the write when something differs. */
void deploy_plan_status(struct deploy *s);
/* Sets a condition; one of equal status and reason stays untouched. */
void deploy_set_condition(struct deploy *s, const char *type, const char *status, const char *reason,
	struct cor_str message);
bool deploy_complete(const struct deploy *s);
