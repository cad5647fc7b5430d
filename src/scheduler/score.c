// SPDX-License-Identifier: Apache-2.0
// Which of the nodes that will do is best (facts/controllers.md 20.4, 20.11): each scorer gives every node a
// number of its own, which is made 0 to 100 over all nodes and then weighed.
#include "controllers/pods.h"
#include "scheduler/filter.h"

enum { SCORE_MAX = 100 };

/* ---- how full the node will be ---- */

static const struct cor_str scored_names[SCHED_SCORED_MAX] = { COR_STR_INIT("cpu"), COR_STR_INIT("memory") };

static int64_t least_allocated(struct sched_try *t, const struct sched_node *n) {
	int64_t sum = 0;
	for (size_t i = 0; i < SCHED_SCORED_MAX; i++) {
		int64_t all = sched_amount(&n->all, scored_names[i]), left = all - n->scored[i] - t->scored[i];
		sum += left > 0 ? (int64_t)((double)left * SCORE_MAX / (double)all) : 0;
	}
	return sum / SCHED_SCORED_MAX;
}

/* 100 when cpu and memory are used alike, 50 when one is full and the other empty. */
static double balance(const struct sched_node *n, const struct sched_amounts *more) {
	double used[SCHED_SCORED_MAX];
	for (size_t i = 0; i < SCHED_SCORED_MAX; i++) {
		int64_t all = sched_amount(&n->all, scored_names[i]);
		int64_t taken = all - sched_amount(&n->free, scored_names[i]) + (more ? sched_amount(more, scored_names[i]) : 0);
		used[i] = all <= 0 || taken > all ? 1 : (double)taken / (double)all;
	}
	double apart = used[SCHED_CPU] - used[SCHED_MEMORY];
	return SCORE_MAX * (1 - (apart < 0 ? -apart : apart) / 2);
}

static int64_t balanced(struct sched_try *t, const struct sched_node *n) {
	return (int64_t)(50 + (50 + balance(n, &t->request) - balance(n, NULL)) / 2);
}

/* ---- what the pod and the node say of each other ---- */

static int64_t untolerated(struct sched_try *t, const struct sched_node *n) {
	const struct core_v1_NodeSpec *spec = &n->node->spec;
	int64_t sum = 0;
	for (size_t i = 0; i < spec->taints.n; i++)
		sum += cor_str_eq(spec->taints.p[i].effect, COR_STR("PreferNoSchedule")) &&
			!cor_toleration(t->pod, &spec->taints.p[i]);
	return sum;
}

static int64_t preferred(struct sched_try *t, const struct sched_node *n) {
	const struct core_v1_NodeAffinity *a = t->pod->spec.affinity ? t->pod->spec.affinity->nodeAffinity : NULL;
	int64_t sum = 0;
	for (size_t i = 0; a && i < a->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const struct core_v1_PreferredSchedulingTerm *p = &a->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		sum += sched_node_matches(&p->preference, n->node) ? p->weight : 0;
	}
	return sum;
}

/* ---- all together ---- */

/* How a scorer's numbers become 0 to 100. */
enum norm {
	NORM_NONE,              /* they are */
	NORM_SHARE,             /* of the largest; zero stays zero */
	NORM_SHARE_REVERSED,    /* 100 less that: fewer is better */
	NORM_RANGE,             /* the smallest is 0, the largest 100 */
	NORM_LEAST,             /* 100 for the smallest, less by the share that it is exceeded by */
};

static const struct scorer {
	int64_t (*score)(struct sched_try *t, const struct sched_node *n);
	enum norm norm;
	int64_t weight;
} scorers[] = {
	{ untolerated, NORM_SHARE_REVERSED, 3 },
	{ preferred, NORM_SHARE, 2 },
	{ least_allocated, NORM_NONE, 1 },
	{ sched_spread_score, NORM_LEAST, 2 },
	{ sched_affinity_score, NORM_RANGE, 2 },
	{ balanced, NORM_NONE, 1 },
};

static int64_t normal(enum norm norm, int64_t v, int64_t min, int64_t max) {
	if (v == SCHED_NO_SCORE)
		return 0;
	switch (norm) {
	case NORM_SHARE:
		return max > 0 ? v * SCORE_MAX / max : 0;
	case NORM_SHARE_REVERSED:
		return max > 0 ? SCORE_MAX - v * SCORE_MAX / max : SCORE_MAX;
	case NORM_RANGE:
		return max > min ? (v - min) * SCORE_MAX / (max - min) : 0;
	case NORM_LEAST:
		return max > 0 ? (max + min - v) * SCORE_MAX / max : SCORE_MAX;
	case NORM_NONE:
	default:
		return v;
	}
}

static void weigh(struct sched_try *t, const struct scorer *s, const struct sched_node *const *nodes, size_t n,
	int64_t *raw, int64_t *sum) {
	int64_t min = INT64_MAX, max = INT64_MIN;
	for (size_t i = 0; i < n; i++) {
		raw[i] = s->score(t, nodes[i]);
		if (raw[i] == SCHED_NO_SCORE)
			continue;
		min = raw[i] < min ? raw[i] : min;
		max = raw[i] > max ? raw[i] : max;
	}
	for (size_t i = 0; i < n; i++)
		sum[i] += s->weight * normal(s->norm, raw[i], min, max);
}

const struct sched_node *sched_best(struct sched_try *t, const struct sched_node *const *nodes, size_t n) {
	int64_t *raw = n > 1 ? cor_arena_array(t->arena, int64_t, n) : NULL;
	int64_t *sum = n > 1 ? cor_arena_array(t->arena, int64_t, n) : NULL;
	size_t best = 0;
	if (!raw || !sum)
		return nodes[0];
	for (size_t i = 0; i < cor_countof(scorers); i++)
		weigh(t, &scorers[i], nodes, n, raw, sum);
	for (size_t i = 1; i < n; i++)
		if (sum[i] > sum[best])
			best = i;
	return nodes[best];
}
