// SPDX-License-Identifier: Apache-2.0
// What the workload controllers share: predicates on pods (facts/controllers.md 1.8), making a
// pod from a template (1.6), owner references, and claiming dependents by selector (1.9).
#pragma once

#include "codec/selector.h"
#include "controllers/engine.h"
#include "gen/apps_v1.h"
#include "gen/core_v1.h"
#include "gen/meta_v1.h"

/* NULL when the pod has no condition of that type. */
const struct core_v1_PodCondition *cor_pod_condition(const struct core_v1_Pod *pod, struct cor_str type);
bool cor_pod_ready(const struct core_v1_Pod *pod);
/* Ready for at least min_ready_s. Otherwise, when it is ready, *ret_when (may be NULL) is lowered
 * to the moment it becomes available; 0 there means "none yet". */
bool cor_pod_available(const struct core_v1_Pod *pod, int32_t min_ready_s, cor_time now, cor_time *ret_when);
/* Phase Failed or Succeeded. */
bool cor_pod_finished(const struct core_v1_Pod *pod);
/* Neither finished nor being deleted. */
bool cor_pod_active(const struct core_v1_Pod *pod);
bool cor_deleting(const struct meta_v1_ObjectMeta *m);
/* The first of the pod's tolerations that fits the taint, or NULL. */
const struct core_v1_Toleration *cor_toleration(const struct core_v1_Pod *pod, const struct core_v1_Taint *taint);
/* Sets status, reason and message of a condition of the pod (a copy in the arena), which is added when it is
 * missing; the time of transition moves when the status does. */
void cor_pod_set_condition(struct cor_arena *a, struct core_v1_Pod *pod, const struct core_v1_PodCondition *c,
	cor_time now);

/* A number, or a percentage of total that is rounded up or down; absent when v is neither. */
int32_t cor_intstr_of(struct cor_intstr v, int32_t total, int32_t absent, bool up);

struct cor_str cor_strmap_value(const struct cor_strmap *m, struct cor_str key);      /* absent when missing */

/* The reference with controller: true, or NULL. */
const struct meta_v1_OwnerReference *cor_controller_ref(const struct meta_v1_ObjectMeta *m);
bool cor_controlled_by(const struct meta_v1_ObjectMeta *m, const struct meta_v1_ObjectMeta *owner);
/* Appends a controller reference to an owner of the given resource. */
void cor_add_controller_ref(struct cor_arena *a, struct meta_v1_ObjectMeta *m, enum cor_res owner_res,
	const struct meta_v1_ObjectMeta *owner);

/* A new pod with labels, annotations, finalizers and spec of the template, generateName
 * "<owner>-" and the controller reference; in the plan's arena, sharing nothing that would be
 * changed. */
struct core_v1_Pod *cor_pod_from_template(struct cor_plan *p, const struct core_v1_PodTemplateSpec *t,
	enum cor_res owner_res, const struct meta_v1_ObjectMeta *owner);

bool cor_has_finalizer(const struct meta_v1_ObjectMeta *m, struct cor_str finalizer);
/* Takes it off, if nobody has changed the object since. */
void cor_drop_finalizer(struct cor_plan *p, int stage, enum cor_res res, const struct meta_v1_ObjectMeta *m,
	struct cor_str finalizer);

/* Tells of the creation or deletion of a pod in an Event of its owner, when it is done or was refused. */
void cor_pod_note(struct cor_plan *p, struct cor_action *action, const char *component, enum cor_res owner_res,
	const struct meta_v1_ObjectMeta *owner, struct cor_str pod_name);

/* Dependents of one owner. adoptable (may be NULL) is a further condition, for example on names.
 * Patches that adopt or release are added to the plan at stage 0; adopted ones are already in the result. */
struct cor_claim {
	enum cor_res res;               /* of the dependents */
	enum cor_res owner_res;
	const struct meta_v1_ObjectMeta *owner;
	const struct cor_selector *selector;
	bool (*adoptable)(const struct meta_v1_ObjectMeta *m, const struct meta_v1_ObjectMeta *owner);
};
struct cor_objects cor_claim_dependents(struct cor_plan *p, const struct cor_claim *c);

/* Wakes the owners of kind row->res whose selector (spec.selector) matches an orphan; besides
 * cor_map_controller. To be called by map functions of pods and ReplicaSets. selector_of returns
 * the compiled selector of a decoded owner or NULL. */
void cor_map_orphan(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev,
	enum cor_res owner_res, const struct meta_v1_LabelSelector *(*selector_of)(const void *owner));

/* A decimal number in the alphabet of Kubernetes' safe names (controllers.md section 2). */
void cor_safe_name(uint32_t value, char out[11]);
/* FNV-1a 32 over bytes, to be continued; start with COR_FNV_INIT. */
#define COR_FNV_INIT 2166136261u
uint32_t cor_fnv1a(uint32_t h, const void *p, size_t n);
