// SPDX-License-Identifier: Apache-2.0
// ControllerRevisions: the remembered pod templates of a StatefulSet or DaemonSet
// (facts/statefulset.md 1.2). The data is part of the API: kubectl rollout undo sends it back as a
// strategic merge patch of the owner.
#pragma once

#include "controllers/engine.h"
#include "controllers/pods.h"
#include "gen/apps_v1.h"

struct cor_history {
	/* Claimed revisions in order of revision number, then creation, then name. */
	const struct apps_v1_ControllerRevision **p;
	size_t n;
	const struct apps_v1_ControllerRevision *update;        /* of the owner's present template */
	const struct apps_v1_ControllerRevision *current;       /* status.currentRevision, else update */
	int32_t collisions;             /* to go into status.collisionCount; 0 = leave absent */
};

struct cor_history_owner {
	enum cor_res res;
	const struct meta_v1_ObjectMeta *meta;
	const struct cor_selector *selector;
	const struct core_v1_PodTemplateSpec *template;
	struct cor_str current;         /* status.currentRevision, may be empty */
	int32_t collisions;             /* status.collisionCount or 0 */
};

/* Finds or plans (stage 0) the update revision; NULL when the owner is being deleted and has none. */
int cor_history_sync(struct cor_plan *p, const struct cor_history_owner *o, struct cor_history *ret,
	struct cor_err *err);
/* Plans the deletion of what neither in_use names nor the newest limit others are. */
void cor_history_truncate(struct cor_plan *p, const struct cor_history *h, int32_t limit,
	bool (*in_use)(void *arg, struct cor_str revision_name), void *arg);
/* The template that a revision holds; NULL when its data is not ours. */
const struct core_v1_PodTemplateSpec *cor_history_template(struct cor_plan *p,
	const struct apps_v1_ControllerRevision *rev);
