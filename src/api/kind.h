// SPDX-License-Identifier: Apache-2.0
// What a kind with rules of its own adds to the generic pipeline: one constant table per kind, in
// one file per kind (src/api/kinds/*.c), all named in kinds/kinds.c. A kind without a table works
// from its schema alone. Functions get typed objects (struct core_v1_Pod *, ...) as void *, in
// an arena, and never block; whatever they need from the store they read through ctx.
//
// Order for a write (facts/api-machinery.md sections 4 and 5): decode, defaults, generic metadata,
// admit, prepare_*, validate*, canonical encoding, store.
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/time.h"
#include "codec/names.h"
#include "codec/type.h"
#include "gen/resources.h"

struct cor_registry;
struct cor_field_errors;        /* field_errors.h */
struct cor_store;
struct cor_world;

/* Who asks. */
struct cor_user {
	struct cor_str name;
	struct cor_str uid;
	const struct cor_str *groups;
	size_t n_groups;
};

/* What the functions of a kind may use. */
struct cor_kind_ctx {
	struct cor_registry *registry;
	struct cor_store *store;
	struct cor_world *world;
	struct cor_arena *arena;
	cor_time now;
	const struct cor_resource *res;
	struct cor_str subresource;     /* absent for the main resource */
	struct cor_str ns, name;        /* name may be empty on create with generateName */
	const struct cor_user *user;
	bool dry_run;
	/* Adds a Warning header to the answer; text is copied. */
	void (*warn)(struct cor_kind_ctx *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
	void *impl;
};

enum cor_kind_flags {
	COR_KIND_CREATE_ON_UPDATE = 1 << 0,     /* PUT of a missing object creates it */
	COR_KIND_NO_UNCONDITIONAL = 1 << 1,     /* PUT needs a resourceVersion */
	COR_KIND_GRACEFUL = 1 << 2,             /* deletion has a grace period (Pod) */
	COR_KIND_ORPHAN_DEFAULT = 1 << 3,       /* bare DELETE orphans (Job, ReplicationController) */
	COR_KIND_DELETE_RETURNS_OBJECT = 1 << 4,
	COR_KIND_NO_GC = 1 << 5,                /* no gc finalizers ever (Event) */
	COR_KIND_GENERATION = 1 << 6,           /* generation counts changes of spec (semantic) */
	COR_KIND_MEMORY_STATUS = 1 << 7,        /* heartbeats stay in memory (Lease, Node status) */
	COR_KIND_STATUS_ON_CREATE = 1 << 8,     /* a create may carry a status (Node) */
};

struct cor_kind_ops {
	enum cor_res res;
	unsigned flags;
	/* Sets what is absent and has a default that code decides. Runs on every decoded object,
	 * also on reads of old data, so it must be idempotent. */
	void (*defaults)(struct cor_kind_ctx *ctx, void *obj);
	/* Built-in admission that changes or refuses (service account of a pod, default storage
	 * class, priority, limits...). old is NULL on create. */
	int (*admit)(struct cor_kind_ctx *ctx, void *obj, const void *old, struct cor_err *err);
	/* May refuse a deletion (namespaces that every cluster has). */
	int (*admit_delete)(struct cor_kind_ctx *ctx, const void *old, struct cor_err *err);
	/* Clears or sets what the client does not decide. Of kinds with /status the pipeline has
	 * cleared the status of a new object, and restored the old one on update, before. */
	void (*prepare_create)(struct cor_kind_ctx *ctx, void *obj);
	void (*prepare_update)(struct cor_kind_ctx *ctx, void *obj, const void *old);
	/* As prepare_update, for /status, after the pipeline has restored all but the status and
	 * the labels, annotations, finalizers and owners from old. */
	void (*prepare_status)(struct cor_kind_ctx *ctx, void *obj, const void *old);
	/* Field errors; metadata is checked by the generic pipeline. name_rule there too. */
	void (*validate)(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *errs);
	void (*validate_update)(struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *errs);
	void (*validate_status)(struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *errs);
	/* metadata.name: what is broken (a cor_name_* of names.h); NULL = DNS subdomain. */
	struct cor_broken (*name_rule)(struct cor_str name, bool prefix);
	/* Values for the field selectors in addition to metadata.name and metadata.namespace, the
	 * same labels each time. Labels of the kind are listed in field_labels even when empty. */
	void (*fields)(struct cor_arena *a, const void *obj, struct cor_strmap *ret);
	const char *const *field_labels;        /* NULL-terminated */
	/* Takes and gives back what lives outside the object (cluster IPs, node ports). allocate
	 * runs after validation, right before the store write; release when the write failed or
	 * the object is gone. Must be computable again from the store at start. */
	int (*allocate)(struct cor_kind_ctx *ctx, void *obj, const void *old, struct cor_err *err);
	void (*release)(struct cor_kind_ctx *ctx, const void *obj, const void *still);
	/* With COR_KIND_MEMORY_STATUS: the change says nothing but that the sender lives. */
	bool (*heartbeat)(struct cor_kind_ctx *ctx, const void *obj, const void *old);
};

/* NULL for a kind without rules of its own. */
const struct cor_kind_ops *cor_kind_ops(enum cor_res res);

/* Subresources other than status and scale that are one call on the parent object (pods/binding,
 * pods/eviction, serviceaccounts/token, namespaces/finalize, ...): the table is in subresources.c.
 * Streaming ones (exec, attach, portforward, log, proxy) are in kubelet_proxy.c. NULL: none. */
struct op_run;
struct cor_subresource_ops {
	enum cor_res res;
	const char *name;
	/* The list of steps that the operation runs; of registry_priv.h. */
	int (*const *steps)(struct op_run *x);
};
const struct cor_subresource_ops *cor_subresource_ops(enum cor_res res, struct cor_str name);
