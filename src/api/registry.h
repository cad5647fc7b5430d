// SPDX-License-Identifier: Apache-2.0
// The generic pipeline without HTTP: every change of an object, whoever asks - a client through
// http_api.c, a controller, the garbage collector - is a struct cor_op that goes through the same
// steps. An op is finished by a callback on the loop after its write is durable.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/kind.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "base/world.h"
#include "codec/patch.h"
#include "codec/type.h"
#include "store/store.h"

struct cor_registry;

struct cor_registry_config {
	struct cor_world *world;
	struct cor_backend *backend;            /* owned from here on */
	const char *service_cidr;               /* "10.96.0.0/12" */
	const char *cluster_domain;             /* "cluster.local" */
	int node_port_min, node_port_max;       /* 30000..32767 */
};
/* Opens the store, loads, rebuilds allocators, creates the bootstrap objects that are missing
 * (namespaces, default ServiceCIDR, the kubernetes Service, priority classes, RBAC policy...). */
int cor_registry_open(const struct cor_registry_config *c, struct cor_registry **ret, struct cor_err *err);
/* Ops under way end with COR_E_CLOSED or after their write; each is called back before it returns. */
void cor_registry_free(struct cor_registry *r);
struct cor_store *cor_registry_store(struct cor_registry *r);
struct cor_world *cor_registry_world(struct cor_registry *r);
/* Memory of controllers/events.c: what was said lately, and the name of the Event that says it (owned). */
struct cor_recent_events {
	struct cor_map names;
	unsigned said;                          /* tells those of one microsecond apart */
};
struct cor_recent_events *cor_registry_recent_events(struct cor_registry *r);
void cor_recent_events_fini(struct cor_recent_events *e);
/* The bootstrap objects are there: a while after open, on the loop. */
bool cor_registry_ready(const struct cor_registry *r);
const struct cor_registry_config *cor_registry_config(const struct cor_registry *r);

enum cor_propagation { COR_PROPAGATION_DEFAULT, COR_PROPAGATION_BACKGROUND, COR_PROPAGATION_FOREGROUND, COR_PROPAGATION_ORPHAN };
enum cor_validation { COR_VALIDATION_WARN, COR_VALIDATION_STRICT, COR_VALIDATION_IGNORE };

struct cor_cause {
	struct cor_str field, reason, message;
};

/* One operation. The caller zeroes it, fills the inputs, and keeps it alive until done. */
struct cor_op {
	/* inputs */
	enum cor_verb verb;                     /* codec/type.h: CREATE, UPDATE, PATCH, DELETE */
	const struct cor_resource *res;
	struct cor_str subresource;             /* absent, "status", "scale", "binding", ... */
	struct cor_str ns, name;
	struct cor_arena *arena;                /* the op's memory; lives until done has returned */
	const struct cor_user *user;            /* NULL = system:masters inside the server */
	void *obj;                              /* create, update: typed object of the (sub)resource's
	                                           type, in arena; may be changed */
	enum cor_patch_type patch_type;
	struct cor_str patch;                   /* patch: its text */
	bool dry_run;
	enum cor_validation validation;
	struct cor_str field_manager;
	/* delete; also preconditions for update from controllers */
	int64_t grace_s;                        /* -1 = not given */
	enum cor_propagation propagation;
	struct cor_str expect_uid;              /* absent = any */
	struct cor_str expect_rv;               /* absent = any */
	void (*done)(struct cor_op *op);
	void *arg;

	/* set by start: its one write is with the store and only the commit is left, which fails only when all behind
	 * it fail as well. So who wants to write next need not wait for done. */
	bool accepted;

	/* outputs, valid in done */
	int status;                             /* 0, or negative and err is set */
	struct cor_err err;
	struct cor_str message;                 /* of err, in arena, when longer than err has room for */
	struct cor_cause *causes;               /* of err, in arena */
	size_t n_causes;
	const char *details_kind;               /* of err; NULL = by its reason (plural, or Kind) */
	struct cor_obj *result;                 /* the new (or deleted) state; borrowed; NULL on dry
	                                           run, see result_json */
	struct cor_str result_json;             /* what the answer shows */
	int http;                               /* 200, 201, 202 */
	bool removed;                           /* delete: the object is gone (else pending) */
	struct { struct cor_str *p; size_t n; } warnings;
	void *impl;
};
/* Never calls done from within. */
void cor_op_start(struct cor_registry *r, struct cor_op *op);

/* Decodes a stored object into a typed struct in arena (strings point into the blob: keep a
 * reference of o as long as the struct lives; cor_arena_on_dispose helps). */
void *cor_obj_decode(struct cor_obj *o, struct cor_arena *a, struct cor_err *err);
/* The same, shared with others that read it and not to be changed: valid until the caller returns to the
 * loop. NULL when it cannot be decoded. */
const void *cor_registry_read(struct cor_registry *r, struct cor_obj *o);
/* Typed read: NULL when absent. */
void *cor_registry_get(struct cor_registry *r, enum cor_res res, struct cor_str ns, struct cor_str name, struct cor_arena *a);
