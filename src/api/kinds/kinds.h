// SPDX-License-Identifier: Apache-2.0
// All kinds with rules of their own (the table is in kinds.c), and what their files share.
#pragma once

#include "api/field_errors.h"
#include "api/kind.h"
#include "api/meta.h"
#include "codec/codec.h"
#include "gen/core_v1.h"

extern const struct cor_kind_ops cor_kind_pod;
extern const struct cor_kind_ops cor_kind_statefulset;
extern const struct cor_kind_ops cor_kind_deployment;
extern const struct cor_kind_ops cor_kind_replicaset;
extern const struct cor_kind_ops cor_kind_replicationcontroller;
extern const struct cor_kind_ops cor_kind_namespace;
extern const struct cor_kind_ops cor_kind_persistentvolumeclaim;
extern const struct cor_kind_ops cor_kind_persistentvolume;
extern const struct cor_kind_ops cor_kind_storageclass;
extern const struct cor_kind_ops cor_kind_service;
extern const struct cor_kind_ops cor_kind_configmap;
extern const struct cor_kind_ops cor_kind_secret;
extern const struct cor_kind_ops cor_kind_serviceaccount;
extern const struct cor_kind_ops cor_kind_node;
extern const struct cor_kind_ops cor_kind_lease;
extern const struct cor_kind_ops cor_kind_event;
extern const struct cor_kind_ops cor_kind_endpoints;
extern const struct cor_kind_ops cor_kind_endpointslice;
extern const struct cor_kind_ops cor_kind_job;

/* Those of others.c; NULL when there is none. */
const struct cor_kind_ops *cor_kind_others(enum cor_res res);

/* The values of a kind's field selectors, sorted by label, those that are empty left out. */
void cor_kind_fields(struct cor_arena *a, struct cor_strmap *ret, const struct cor_kv *values, size_t n);
/* Adds a finalizer unless it is there. */
void cor_kind_add_finalizer(struct cor_arena *a, struct meta_v1_ObjectMeta *m, const char *name);
