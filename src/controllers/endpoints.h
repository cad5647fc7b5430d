// SPDX-License-Identifier: Apache-2.0
// What EndpointSlices and Endpoints have in common: which pods stand behind a Service, and at which
// ports (facts/controllers.md 14.2, 14.3).
#pragma once

#include "controllers/pods.h"
#include "gen/core_v1.h"
#include "gen/discovery_v1.h"

struct cor_backend_pod {
	const struct core_v1_Pod *pod;
	bool ready, serving, terminating;
	bool named;                     /* hostname is published */
};

/* Pods with equal resolved ports. */
struct cor_backend_group {
	struct { struct discovery_v1_EndpointPort *p; size_t n; } ports;
	struct { struct cor_backend_pod *p; size_t n; } pods;
};

struct cor_backends {
	struct cor_backend_group *p;
	size_t n;
};

/* False when this Service has no endpoints of ours: no selector, or ExternalName. */
bool cor_service_has_backends(const struct core_v1_Service *svc);
struct cor_backends cor_service_backends(struct cor_plan *p, const struct core_v1_Service *svc);
bool cor_service_headless(const struct core_v1_Service *svc);
/* Labels of the Service without the reserved keys, plus the headless mark. */
struct cor_strmap cor_backend_labels(struct cor_plan *p, const struct core_v1_Service *svc);
/* Services that select the pod of the event, before or after it. */
void cor_map_pod_services(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev);
