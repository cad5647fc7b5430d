// SPDX-License-Identifier: Apache-2.0
// The table of all controllers. A new one is a file and a row here.
#include "controllers/rows.h"

const struct cor_controller *const cor_controllers[] = {
	&cor_controller_statefulset,
	&cor_controller_deployment,
	&cor_controller_replicaset,
	&cor_controller_replicationcontroller,
	&cor_controller_job,
	&cor_controller_job_orphan,
	&cor_controller_endpoints,
	&cor_controller_endpointslice,
	&cor_controller_endpointslice_mirror,
	&cor_controller_serviceaccount,
	&cor_controller_root_ca,
	&cor_controller_namespace,
	&cor_controller_gc,
	&cor_controller_pv_claim,
	&cor_controller_pv_volume,
	&cor_controller_pvc_protection,
	&cor_controller_node_lifecycle,
	&cor_controller_pod_gc,
	&cor_controller_taint_eviction,
	&cor_controller_service_lb,
	&cor_controller_disruption,
	&cor_controller_event_ttl,
	NULL,
};
