// SPDX-License-Identifier: Apache-2.0
// What is where: nodes with what they offer, and for every pod on a node what it takes. Kept in step
// by events; a pod that was given a node but whose binding is not visible yet is held ("assumed").
#pragma once

#include "base/map.h"
#include "codec/type.h"
#include "gen/core_v1.h"
#include "store/store.h"

enum { SCHED_RES_MAX = 16 };

struct sched_amount {
	struct cor_str name;
	int64_t v;
};

/* Amounts by resource: cpu in thousandths, all else in units. */
struct sched_amounts {
	struct sched_amount p[SCHED_RES_MAX];
	size_t n;
};

/* What balances nodes, whatever a pod asks for. */
enum sched_scored { SCHED_CPU, SCHED_MEMORY, SCHED_SCORED_MAX };

int64_t sched_amount(const struct sched_amounts *a, struct cor_str name);
/* What a pod asks for (20.7). Names point into the pod. */
void sched_request(const struct core_v1_Pod *pod, struct sched_amounts *ret);
/* The same of cpu and memory, as scores count it: a container that asks for nothing counts as a small one. */
void sched_request_scored(const struct core_v1_Pod *pod, int64_t ret[SCHED_SCORED_MAX]);

/* A pod that takes place on a node. There are as many of them as pods: what only few have is decoded for these
 * only. */
struct sched_pod {
	struct cor_obj *blob;           /* referenced */
	struct sched_node *node;
	struct sched_pod *next, **prev; /* in the node's list */
	struct cor_arena *arena;        /* of pod */
	const struct core_v1_Pod *pod;  /* NULL: neither ports of the host nor affinity to other pods */
	int64_t scored[SCHED_SCORED_MAX];
	bool assumed;
	uint8_t n;
	struct sched_amount request[];  /* names point into blob */
};

struct sched_node {
	struct cor_obj *blob;
	struct cor_arena *arena;
	const struct core_v1_Node *node;        /* NULL: pods name it, but there is no such node */
	char *name;
	struct sched_amounts all, free;         /* allocatable, and what is left of it */
	int64_t scored[SCHED_SCORED_MAX];       /* taken */
	int64_t pods_free;
	struct sched_pod *pods;
};

struct sched_cache {
	struct cor_map nodes;           /* name -> struct sched_node */
	struct cor_map pods;            /* uid -> struct sched_pod */
	struct cor_map affine;          /* those of them with affinity or anti-affinity to other pods */
	size_t n_nodes;                 /* those that exist */
};

void sched_cache_fini(struct sched_cache *c);
/* A node came or changed, or (deleted) went. */
void sched_cache_node(struct sched_cache *c, struct cor_obj *o, bool deleted);
/* Takes account of a pod's new state: on a node, finished, gone. */
void sched_cache_pod(struct sched_cache *c, struct cor_obj *o, bool deleted);
/* Before its binding is visible. */
void sched_cache_assume(struct sched_cache *c, struct cor_obj *o, struct cor_str node);
/* Takes an assumption back; nothing when the binding has become visible. */
void sched_cache_forget(struct sched_cache *c, struct cor_str uid);
