// SPDX-License-Identifier: Apache-2.0
// Names that the volume controllers, the scheduler's volume filter and the node agent agree on. All
// of it is visible in the API: annotations, finalizers and the driver's name.
#pragma once

/* The provisioner of class "standard" and the driver of its volumes: a directory or image file of
 * the node that the PersistentVolume is pinned to. volumeHandle is the volume's name. */
#define COR_LOCAL_DRIVER "local.coracle.dev"
/* Held by the node agent until the data is gone. */
#define COR_LOCAL_FINALIZER "local.coracle.dev/data"

#define COR_ANN_SELECTED_NODE "volume.kubernetes.io/selected-node"
#define COR_ANN_BIND_COMPLETED "pv.kubernetes.io/bind-completed"
#define COR_ANN_BOUND_BY "pv.kubernetes.io/bound-by-controller"
#define COR_ANN_PROVISIONED_BY "pv.kubernetes.io/provisioned-by"
#define COR_ANN_PROVISIONER "volume.kubernetes.io/storage-provisioner"
#define COR_ANN_PROVISIONER_BETA "volume.beta.kubernetes.io/storage-provisioner"
