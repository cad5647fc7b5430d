// SPDX-License-Identifier: Apache-2.0
// Which nodes a pod may go to, and which it would like best.
#pragma once

#include "api/registry.h"
#include "scheduler/cache.h"

/* One attempt for one pod. What is counted over all pods is counted once, by the prefilter; each node then looks
 * into it. */
struct sched_try {
	struct cor_registry *registry;
	struct cor_store *store;
	struct sched_cache *cache;
	struct cor_arena *arena;
	struct cor_obj *blob;
	const struct core_v1_Pod *pod;
	struct sched_amounts request;
	int64_t scored[SCHED_SCORED_MAX];
	/* Claims of the pod, decoded; of volumes that wait for a node to be chosen. */
	struct { const struct core_v1_PersistentVolumeClaim **p; size_t n; } unbound;
	struct { const struct core_v1_PersistentVolume **p; size_t n; } volumes;
	struct { struct sched_term *p; size_t n; } terms;               /* affinity.c */
	struct { struct sched_topology *p; size_t n; } topologies;      /* affinity.c */
	struct { struct sched_spread *p; size_t n; } spreads;           /* spread.c */
};

/* What holds for all nodes (PreFilter): the text of why none will do, or absent. Fills the lists. */
struct cor_str sched_prefilter(struct sched_try *t);
/* Frees what the prefilter has made outside of the arena. */
void sched_try_fini(struct sched_try *t);
/* The reasons against this node, most important first; n is 0 when it will do. */
struct sched_reasons {
	struct cor_str p[4];
	size_t n;
};
void sched_filter(struct sched_try *t, const struct sched_node *n, struct sched_reasons *ret);
/* The node that the pod would like best (20.4, 20.11): n of them, n at least 1, all of which will do. */
const struct sched_node *sched_best(struct sched_try *t, const struct sched_node *const *nodes, size_t n);

/* A score that says that a node has no share in what is scored: it gets the worst. */
#define SCHED_NO_SCORE INT64_MIN

/* Used by several. */
bool sched_node_matches(const struct core_v1_NodeSelectorTerm *term, const struct core_v1_Node *node);
bool sched_node_affinity(const struct core_v1_Pod *pod, const struct core_v1_Node *node);
bool sched_tolerates(const struct core_v1_Pod *pod, const struct core_v1_Node *node);
/* The value of the node's label, or NULL; also when there is no such node. */
static inline const struct cor_str *sched_label(const struct sched_node *n, struct cor_str key) {
	return n->node ? cor_strmap_get(&n->node->metadata.labels, key) : NULL;
}

/* volumes.c */
struct cor_str sched_volumes_prefilter(struct sched_try *t);
const char *sched_volumes_filter(struct sched_try *t, const struct core_v1_Node *node);
/* affinity.c */
void sched_affinity_prefilter(struct sched_try *t);
const char *sched_affinity_filter(struct sched_try *t, const struct sched_node *n);
int64_t sched_affinity_score(struct sched_try *t, const struct sched_node *n);
void sched_affinity_fini(struct sched_try *t);
/* spread.c */
void sched_spread_prefilter(struct sched_try *t);
const char *sched_spread_filter(struct sched_try *t, const struct sched_node *n);
int64_t sched_spread_score(struct sched_try *t, const struct sched_node *n);
void sched_spread_fini(struct sched_try *t);
