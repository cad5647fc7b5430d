// SPDX-License-Identifier: Apache-2.0
// The rows of the table in controllers.c: one controller a file.
#pragma once

#include "controllers/engine.h"

extern const struct cor_controller cor_controller_statefulset;
extern const struct cor_controller cor_controller_replicaset;
extern const struct cor_controller cor_controller_replicationcontroller;
extern const struct cor_controller cor_controller_deployment;
extern const struct cor_controller cor_controller_event_ttl;
extern const struct cor_controller cor_controller_job;
extern const struct cor_controller cor_controller_job_orphan;
extern const struct cor_controller cor_controller_endpoints;
extern const struct cor_controller cor_controller_endpointslice;
extern const struct cor_controller cor_controller_endpointslice_mirror;
extern const struct cor_controller cor_controller_serviceaccount;
extern const struct cor_controller cor_controller_root_ca;
extern const struct cor_controller cor_controller_namespace;
extern const struct cor_controller cor_controller_gc;
extern const struct cor_controller cor_controller_pv_claim;
extern const struct cor_controller cor_controller_pv_volume;
extern const struct cor_controller cor_controller_pvc_protection;
extern const struct cor_controller cor_controller_node_lifecycle;
extern const struct cor_controller cor_controller_pod_gc;
extern const struct cor_controller cor_controller_taint_eviction;
extern const struct cor_controller cor_controller_service_lb;
extern const struct cor_controller cor_controller_disruption;
