// SPDX-License-Identifier: Apache-2.0
// Which nodes a pod may go to, and which it would like best.
#pragma once

#include "api/registry.h"
#include "scheduler/cache.h"

/* One attempt for one pod. */
struct sched_try {
	struct cor_registry *registry;
	struct cor_store *store;
	struct sched_cache *cache;
	struct cor_arena *arena;
	struct cor_obj *blob;
	const struct core_v1_Pod *pod;
	struct sched_amounts request;
	/* Claims of the pod, decoded; of volumes that wait for a node to be chosen. */
	struct { const struct core_v1_PersistentVolumeClaim **p; size_t n; } unbound;
	struct { const struct core_v1_PersistentVolume **p; size_t n; } volumes;
};

/* What holds for all nodes (PreFilter): the text of why none will do, or absent. Fills unbound and volumes. */
struct cor_str sched_prefilter(struct sched_try *t);
/* The reasons against this node, most important first; n is 0 when it will do. */
struct sched_reasons {
	struct cor_str p[4];
	size_t n;
};
void sched_filter(struct sched_try *t, const struct sched_node *n, struct sched_reasons *ret);
/* Higher is better; weights of 20.4. */
int64_t sched_score(struct sched_try *t, const struct sched_node *n);

/* Used by both. */
bool sched_node_matches(const struct core_v1_NodeSelectorTerm *term, const struct core_v1_Node *node);
/* volumes.c */
struct cor_str sched_volumes_prefilter(struct sched_try *t);
const char *sched_volumes_filter(struct sched_try *t, const struct core_v1_Node *node);
/* affinity.c */
const char *sched_affinity_filter(struct sched_try *t, const struct sched_node *n);
int64_t sched_affinity_score(struct sched_try *t, const struct sched_node *n);
const char *sched_spread_filter(struct sched_try *t, const struct sched_node *n);
