// SPDX-License-Identifier: Apache-2.0
// Kinds that are served in two versions or groups: events of core and of events.k8s.io, and
// autoscaling/v1 beside v2. One form is stored (cor_resource.storage_id), the other is made of it.
// Parts are shared between the two structs, not copied.
#include "api/registry_priv.h"
#include "gen/autoscaling_v1.h"
#include "gen/autoscaling_v2.h"
#include "gen/core_v1.h"
#include "gen/events_v1.h"

static void event_to_core(const void *from, void *to, struct cor_arena *a) {
	const events_v1_Event *e = from;
	core_v1_Event *c = to;
	c->metadata = e->metadata;
	c->involvedObject = e->regarding;
	c->reason = e->reason;
	c->message = e->note;
	c->source = e->deprecatedSource;
	c->firstTimestamp = e->deprecatedFirstTimestamp;
	c->lastTimestamp = e->deprecatedLastTimestamp;
	c->count = e->deprecatedCount;
	c->type = e->type;
	c->eventTime = e->eventTime;
	c->action = e->action;
	c->related = e->related;
	c->reportingComponent = e->reportingController;
	c->reportingInstance = e->reportingInstance;
	if (e->series && (c->series = cor_arena_new_of(a, core_v1_EventSeries))) {
		c->series->count = e->series->count;
		c->series->lastObservedTime = e->series->lastObservedTime;
	}
}

static void event_from_core(const void *from, void *to, struct cor_arena *a) {
	const core_v1_Event *c = from;
	events_v1_Event *e = to;
	e->metadata = c->metadata;
	e->regarding = c->involvedObject;
	e->reason = c->reason;
	e->note = c->message;
	e->deprecatedSource = c->source;
	e->deprecatedFirstTimestamp = c->firstTimestamp;
	e->deprecatedLastTimestamp = c->lastTimestamp;
	e->deprecatedCount = c->count;
	e->type = c->type;
	e->eventTime = c->eventTime;
	e->action = c->action;
	e->related = c->related;
	e->reportingController = c->reportingComponent;
	e->reportingInstance = c->reportingInstance;
	if (c->series && (e->series = cor_arena_new_of(a, events_v1_EventSeries))) {
		e->series->count = c->series->count;
		e->series->lastObservedTime = c->series->lastObservedTime;
	}
}

static bool is_cpu_use(const autoscaling_v2_MetricSpec *m) {
	return cor_str_eq_c(m->type, "Resource") && m->resource &&
		cor_str_eq_c(m->resource->name, "cpu") && m->resource->target.averageUtilization;
}

static void hpa_to_v2(const void *from, void *to, struct cor_arena *a) {
	const autoscaling_v1_HorizontalPodAutoscaler *v1 = from;
	autoscaling_v2_HorizontalPodAutoscaler *v2 = to;
	v2->metadata = v1->metadata;
	v2->spec.scaleTargetRef.kind = v1->spec.scaleTargetRef.kind;
	v2->spec.scaleTargetRef.name = v1->spec.scaleTargetRef.name;
	v2->spec.scaleTargetRef.apiVersion = v1->spec.scaleTargetRef.apiVersion;
	v2->spec.minReplicas = v1->spec.minReplicas;
	v2->spec.maxReplicas = v1->spec.maxReplicas;
	v2->status.observedGeneration = v1->status.observedGeneration;
	v2->status.lastScaleTime = v1->status.lastScaleTime;
	v2->status.currentReplicas = v1->status.currentReplicas;
	v2->status.desiredReplicas = v1->status.desiredReplicas;
	if (!v1->spec.targetCPUUtilizationPercentage)
		return;
	autoscaling_v2_MetricSpec *m = cor_arena_push(a, &v2->spec.metrics);
	if (!m || !(m->resource = cor_arena_new_of(a, autoscaling_v2_ResourceMetricSource)))
		return;
	m->type = COR_STR("Resource");
	m->resource->name = COR_STR("cpu");
	m->resource->target.type = COR_STR("Utilization");
	m->resource->target.averageUtilization = v1->spec.targetCPUUtilizationPercentage;
}

static void hpa_to_v1(const void *from, void *to, struct cor_arena *a) {
	const autoscaling_v2_HorizontalPodAutoscaler *v2 = from;
	autoscaling_v1_HorizontalPodAutoscaler *v1 = to;
	(void)a;
	v1->metadata = v2->metadata;
	v1->spec.scaleTargetRef.kind = v2->spec.scaleTargetRef.kind;
	v1->spec.scaleTargetRef.name = v2->spec.scaleTargetRef.name;
	v1->spec.scaleTargetRef.apiVersion = v2->spec.scaleTargetRef.apiVersion;
	v1->spec.minReplicas = v2->spec.minReplicas;
	v1->spec.maxReplicas = v2->spec.maxReplicas;
	v1->status.observedGeneration = v2->status.observedGeneration;
	v1->status.lastScaleTime = v2->status.lastScaleTime;
	v1->status.currentReplicas = v2->status.currentReplicas;
	v1->status.desiredReplicas = v2->status.desiredReplicas;
	/* Other metrics have no place in v1. */
	for (size_t i = 0; i < v2->spec.metrics.n; i++)
		if (is_cpu_use(&v2->spec.metrics.p[i]))
			v1->spec.targetCPUUtilizationPercentage =
				v2->spec.metrics.p[i].resource->target.averageUtilization;
}

static const struct {
	enum cor_res from, to;
	void (*convert)(const void *from, void *to, struct cor_arena *a);
} conversions[] = {
	{ COR_RES_EVENTS_EVENTS, COR_RES_EVENTS, event_to_core },
	{ COR_RES_EVENTS, COR_RES_EVENTS_EVENTS, event_from_core },
	{ COR_RES_HORIZONTALPODAUTOSCALERS_V1, COR_RES_HORIZONTALPODAUTOSCALERS, hpa_to_v2 },
	{ COR_RES_HORIZONTALPODAUTOSCALERS, COR_RES_HORIZONTALPODAUTOSCALERS_V1, hpa_to_v1 },
};

void *cor_convert(const struct cor_resource *from, const struct cor_resource *to, const void *obj,
	struct cor_arena *a) {
	for (size_t i = 0; i < cor_countof(conversions); i++) {
		if ((int)conversions[i].from != from->id || (int)conversions[i].to != to->id)
			continue;
		void *ret = cor_arena_alloc(a, to->type->size);
		if (ret) {
			conversions[i].convert(obj, ret, a);
			cor_obj_set_typemeta(to->type, ret, a);
		}
		return ret;
	}
	cor_assert(!"no conversion between these versions");
	return NULL;
}
