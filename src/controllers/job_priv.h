// SPDX-License-Identifier: Apache-2.0
// What the files of the Job planner share (facts/controllers.md section 6). Stages of a plan:
//   0  status    1  tracking finalizers taken off    2  pods deleted    3 and on  pods created
#pragma once

#include "controllers/pods.h"
#include "gen/batch_v1.h"

enum { JOB_STAGE_STATUS = 0, JOB_STAGE_RELEASE = 1, JOB_STAGE_DELETE = 2, JOB_STAGE_CREATE = 3 };

#define JOB_FINALIZER "batch.kubernetes.io/job-tracking"

/* ---- job_index.c: sets of completion indexes, as "1,3-5,7" ---- */

struct job_span {
	int32_t from, to;               /* both in it */
};
struct job_indexes {
	struct job_span *p;             /* ascending, with gaps between them */
	size_t n;
};
struct job_indexes job_indexes_parse(struct cor_arena *a, struct cor_str text);
bool job_indexes_have(const struct job_indexes *x, int32_t i);
void job_indexes_add(struct cor_arena *a, struct job_indexes *x, int32_t i);
/* How many of them are below limit. */
int32_t job_indexes_count(const struct job_indexes *x, int32_t limit);
struct cor_str job_indexes_print(struct cor_arena *a, const struct job_indexes *x);
/* The index of a pod; -1 when it has none. */
int32_t job_index_of(const struct core_v1_Pod *pod);
/* Gives a new pod of an Indexed Job its place. */
void job_index_set(struct cor_arena *a, struct core_v1_Pod *pod, struct cor_str job, int32_t index);

/* ---- job_failure.c ---- */

enum job_verdict { JOB_COUNT, JOB_IGNORE, JOB_FAIL };
/* What the Job's failure policy says of a pod that failed; with JOB_FAIL, why. */
enum job_verdict job_judge(struct cor_arena *a, const struct batch_v1_JobSpec *s, const struct core_v1_Pod *pod,
	struct cor_str *ret_message);
/* When its last container ended, or what comes nearest to that. */
cor_time job_pod_ended(const struct core_v1_Pod *pod);
/* Restarts of all containers. */
int32_t job_pod_restarts(const struct core_v1_Pod *pod);

bool job_is_tracked(const struct core_v1_Pod *pod);
void job_untrack(struct cor_plan *p, const struct core_v1_Pod *pod);
