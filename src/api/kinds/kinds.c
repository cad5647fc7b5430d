// SPDX-License-Identifier: Apache-2.0
// The one table that names all kinds with rules of their own.
#include "api/kinds/kinds.h"

static const struct cor_kind_ops *const kinds[COR_RES_MAX] = {
	[COR_RES_PODS] = &cor_kind_pod,
	[COR_RES_STATEFULSETS] = &cor_kind_statefulset,
	[COR_RES_DEPLOYMENTS] = &cor_kind_deployment,
	[COR_RES_REPLICASETS] = &cor_kind_replicaset,
	[COR_RES_REPLICATIONCONTROLLERS] = &cor_kind_replicationcontroller,
	[COR_RES_NAMESPACES] = &cor_kind_namespace,
	[COR_RES_PERSISTENTVOLUMECLAIMS] = &cor_kind_persistentvolumeclaim,
	[COR_RES_PERSISTENTVOLUMES] = &cor_kind_persistentvolume,
	[COR_RES_STORAGECLASSES] = &cor_kind_storageclass,
	[COR_RES_SERVICES] = &cor_kind_service,
	[COR_RES_CONFIGMAPS] = &cor_kind_configmap,
	[COR_RES_SECRETS] = &cor_kind_secret,
	[COR_RES_SERVICEACCOUNTS] = &cor_kind_serviceaccount,
	[COR_RES_NODES] = &cor_kind_node,
	[COR_RES_LEASES] = &cor_kind_lease,
	[COR_RES_EVENTS] = &cor_kind_event,
	[COR_RES_ENDPOINTS] = &cor_kind_endpoints,
	[COR_RES_ENDPOINTSLICES] = &cor_kind_endpointslice,
	[COR_RES_JOBS] = &cor_kind_job,
};

const struct cor_kind_ops *cor_kind_ops(enum cor_res res) {
	if (res < 0 || res >= COR_RES_MAX)
		return NULL;
	return kinds[res] ? kinds[res] : cor_kind_others(res);
}
