// SPDX-License-Identifier: Apache-2.0
// What the files of the StatefulSet planner share. A plan gathers the state of one set, walks the
// passes of facts/statefulset.md 1.3 over it, and writes down actions in these stages:
//   0  status, revisions, adoption    1  claims and their owners    2  pods created, deleted, mended
#pragma once

#include "controllers/history.h"
#include "controllers/pods.h"

enum { STS_STAGE_STATUS = 0, STS_STAGE_CLAIMS = 1, STS_STAGE_PODS = 2 };

struct sts {
	struct cor_plan *p;
	struct cor_arena *a;
	cor_time now;
	const struct apps_v1_StatefulSet *set;
	struct cor_history history;
	int32_t replicas, start, min_ready;
	bool ordered;                   /* podManagementPolicy OrderedReady */
	bool deleting;
	/* replicas slots, by index (ordinal - start); NULL = there is no such pod */
	const struct core_v1_Pod **slots;
	/* Out of range, highest ordinal first. */
	struct { const struct core_v1_Pod **p; size_t n; } condemned;
	cor_time when;                  /* the next pod becomes available; 0 = none */
};

/* -1 when the name does not have the form <set>-<ordinal> of this set. */
int64_t sts_ordinal(struct cor_str pod_name, struct cor_str set_name);
struct cor_str sts_pod_name(const struct sts *s, int32_t ordinal);
struct cor_str sts_claim_name(const struct sts *s, const struct core_v1_PersistentVolumeClaim *t, int32_t ordinal);

/* Plans the creation of what is missing (stage 1). False when a claim of this pod is being
 * deleted, or is about to be by its owner: the pod must wait. */
bool sts_ensure_claims(struct sts *s, int32_t ordinal);
/* Brings owner references of the claims of a pod in line with the retention policy. */
void sts_claim_owners(struct sts *s, const struct core_v1_Pod *pod, int32_t ordinal, bool in_range);
/* Volumes of the pod that stand for claims. */
void sts_pod_volumes(struct sts *s, struct core_v1_Pod *pod, int32_t ordinal);

/* Event about an operation on a pod when it is done. verb: "Create", "Delete", "Update". */
void sts_note_pod(struct sts *s, struct cor_action *a, const char *verb, struct cor_str pod_name);
