// SPDX-License-Identifier: Apache-2.0
// Persistent volumes on this node. Those of the built-in provisioner (driver local.coracle.dev) are
// an ext4 image file below <data-dir>/volumes/<name>/, so that the capacity asked for is enforced;
// they grow while mounted, and go when the object is being deleted and nobody holds them.
// hostPath and local volumes are only looked up. All on the loop; what blocks is on workers.
#pragma once

#include "node/events.h"

struct cor_pvs;
struct cor_pv;

struct cor_pvs_config {
	struct cor_api *api;
	struct cor_world *world;
	struct cor_events *events;
	const char *node;               /* its kubernetes.io/hostname label as well */
	const char *data_dir;
	/* A volume came, is ready or has failed: look again. */
	void (*changed)(void *arg, const char *pv);
	void *arg;
};
struct cor_pvs *cor_pvs_new(const struct cor_pvs_config *c);
/* Waits for no worker: only when none is busy. */
void cor_pvs_free(struct cor_pvs *p);
bool cor_pvs_busy(const struct cor_pvs *p);
/* Whoever uses a volume holds it by now, and no container without a pod is left. Before that no data is deleted:
 * what an agent that is gone has started may still write. */
void cor_pvs_settled(struct cor_pvs *p);

struct cor_pv *cor_pvs_get(struct cor_pvs *p, struct cor_str name);    /* NULL: not (yet) known */
const char *cor_pv_name(const struct cor_pv *v);
/* Keeps the data and the mount. */
void cor_pv_hold(struct cor_pv *v);
void cor_pv_release(struct cor_pv *v);
/* 1: mounted at *ret_path; 0: under way; negative: failed, tried again later. Only while held. */
int cor_pv_ready(struct cor_pv *v, const char **ret_path, struct cor_err *err);
