// SPDX-License-Identifier: Apache-2.0
// This machine as a Node object (facts/node-agent.md section 2): registration, status, lease.
#pragma once

#include "base/buf.h"
#include "net/api_client.h"
#include "node/events.h"
#include "node/image.h"

struct cor_node_status;

struct cor_node_status_config {
	struct cor_api *api;
	struct cor_world *world;
	struct cor_events *events;      /* may be NULL */
	struct cor_image_store *images; /* for status.images; may be NULL */
	const char *name, *address;     /* InternalIP */
	int kubelet_port;
	const char *runtime_version;    /* "crun://1.8.1" */
	const char *data_dir;           /* whose file system is ephemeral-storage */
	/* The Node exists and has a range of pod addresses: once. */
	void (*registered)(void *arg, struct cor_str pod_cidr);
	/* The API knows that it is Ready: once. */
	void (*ready)(void *arg);
	/* The wall clock was set; may be NULL. */
	void (*clock_set)(void *arg);
	void *arg;
};
/* Registers, and renews lease and status from then on. Not Ready until cor_node_status_ready. */
struct cor_node_status *cor_node_status_new(const struct cor_node_status_config *c);
void cor_node_status_free(struct cor_node_status *s);
/* Network and runtime are up. */
void cor_node_status_ready(struct cor_node_status *s);
/* What pods may use; lives as long as s. */
const struct cor_strmap *cor_node_status_allocatable(const struct cor_node_status *s);
int64_t cor_node_status_memory(const struct cor_node_status *s);
