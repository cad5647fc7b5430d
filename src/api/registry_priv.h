// SPDX-License-Identifier: Apache-2.0
// The inside of the pipeline: the registry, an operation under way (struct op_run), and the steps
// of which each verb is a list. A step returns OP_NEXT, OP_WAIT (something will call
// cor_op_continue), OP_DONE, or a negative code with op->err filled. All of it runs on the loop;
// between reading the newest version of an object and giving its successor to the store there is
// no return to the loop, so a write can never conflict with another one under way.
#pragma once

#include "api/field_errors.h"
#include "api/kind.h"
#include "api/meta.h"
#include "api/registry.h"
#include "base/assert.h"
#include "codec/codec.h"

struct cor_tokens;
struct op_run;
typedef int (*op_step)(struct op_run *x);
enum { OP_NEXT = 0, OP_WAIT, OP_DONE, OP_JUMP /* x->step was set */ };

struct cor_registry {
	struct cor_world *world;
	struct cor_store *store;
	struct cor_registry_config config;      /* texts are copies */
	struct cor_timer turn;                  /* calls done of finished ops */
	struct op_run *finished, **finished_tail;
	size_t running;                         /* ops that were started and not called back */
	const struct cor_tokens *tokens;        /* of the API; NULL before it is there */
	bool ready;                             /* the bootstrap objects are there */
	bool closing;                           /* new operations fail */
	struct cor_buf encode;                  /* scratch, between two returns to the loop */
	struct cor_service_alloc *services;     /* of kinds/service.c; NULL until its first use */
	struct cor_shared_reads *reads;         /* of read.c; NULL until its first use */
	struct cor_recent_events recent_events;
};

void cor_shared_reads_free(struct cor_shared_reads *c);

void cor_service_alloc_free(struct cor_service_alloc *al);

/* From start to the return of done. */
struct op_run {
	struct cor_registry *r;
	struct cor_op *op;
	struct op_run *next;                    /* in finished */
	const struct cor_resource *res;         /* as asked for */
	const struct cor_resource *storage;     /* whose objects are stored; often the same */
	const struct cor_type *type;            /* of storage */
	const struct cor_kind_ops *kind;        /* never NULL */
	struct cor_kind_ctx ctx;
	const op_step *step;
	struct cor_obj *old_blob;               /* newest version, referenced by the arena */
	void *old;                              /* decoded */
	void *obj;                              /* the new version, of the storage type */
	bool allocated;                         /* kind->allocate ran and was not taken back */
	unsigned attempts;                      /* of a generated name */
	struct cor_write write;
	void *more;                             /* of the verb */
};

/* ---- registry.c ---- */

/* The header and canonical JSON of obj, a struct of res->type. NULL with err filled. */
struct cor_obj *cor_registry_blob(struct cor_registry *r, const struct cor_resource *res, void *obj,
	struct cor_arena *a, struct cor_err *err);
/* "pods", "deployments.apps"; NUL-terminated, out holds COR_RES_TEXT_MAX. */
enum { COR_RES_TEXT_MAX = 160 };
const char *cor_resource_text(const struct cor_resource *res, char *out);
/* Sets kind and apiVersion of an object of a kind. */
void cor_obj_set_typemeta(const struct cor_type *t, void *obj, struct cor_arena *a);

/* ---- op.c ---- */

void cor_op_continue(struct op_run *x);
/* op->done is called from the loop's next turn. status < 0: op->err is filled. */
void cor_op_finish(struct op_run *x, int status);
/* Reads the newest version into old_blob and old; false when there is none. */
bool cor_op_load(struct op_run *x, int *ret_status);
int cor_op_not_found(struct op_run *x);
int cor_op_exists(struct op_run *x, struct cor_str name);
int cor_op_bad_request(struct op_run *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* 409 "Operation cannot be fulfilled on ...: text" */
int cor_op_conflict(struct op_run *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cor_op_forbidden(struct op_run *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* 422 with all causes, or 0 when errs is empty. kind NULL: that of the resource. */
int cor_op_invalid(struct op_run *x, const struct cor_field_errors *errs, const char *kind,
	const char *group);
void cor_op_warn(struct op_run *x, struct cor_str text);
struct meta_v1_ObjectMeta *cor_op_meta(struct op_run *x);       /* of obj */
struct meta_v1_ObjectMeta *cor_op_old_meta(struct op_run *x);   /* of old */
/* Writes obj (create: old NULL; update) or deletes; OP_WAIT, and cor_op_continue when durable.
 * On dry run fills op->result_json and goes on. */
int cor_op_write(struct op_run *x, enum cor_write_op op);
/* The answer is this object, which was not stored. */
int cor_op_answer_object(struct op_run *x, const struct cor_type *t, const void *obj);
/* The answer is this stored version. */
void cor_op_answer_blob(struct op_run *x, struct cor_obj *blob);
/* Another version of the same kind: from and to are versions of one storage. NULL when the arena
 * is exhausted (convert.c). */
void *cor_convert(const struct cor_resource *from, const struct cor_resource *to, const void *obj,
	struct cor_arena *a);

/* ---- op_common.c: what create and update share ---- */

int cor_step_defaults(struct op_run *x);
int cor_step_admit(struct op_run *x);
int cor_step_allocate(struct op_run *x);
void cor_step_release(struct op_run *x);
/* Drops exact repetitions of owner references, with a warning. */
void cor_dedup_owners(struct op_run *x);
/* A field of a kind, by its JSON name; NULL when it has none. */
void cor_field_restore(const struct cor_type *t, const char *json, void *obj, const void *from);
bool cor_field_equal(const struct cor_type *t, const char *json, const void *a, const void *b);
bool cor_op_has_status(const struct op_run *x);
bool cor_op_sub_is(const struct op_run *x, const char *name);

/* ---- op_update.c: the steps behind the one that set old and obj ---- */

int cor_step_preconditions(struct op_run *x);
int cor_step_keep_system(struct op_run *x);
int cor_step_prepare_update(struct op_run *x);
int cor_step_validate_update(struct op_run *x);
int cor_step_store_update(struct op_run *x);

/* The lists of steps. */
extern const op_step cor_op_create_steps[], cor_op_update_steps[], cor_op_delete_steps[],
	cor_op_scale_steps[];

/* ---- op_scale.c ---- */

/* The Scale of an object of res, as JSON in a; absent, with err filled, when it cannot be made. */
struct cor_str cor_scale_json(struct cor_registry *r, const struct cor_resource *res, const void *obj,
	struct cor_arena *a, struct cor_err *err);

/* ---- op_patch.c ---- */

/* Applies op->patch to json (a document of type t, in the version asked for) and decodes the
 * result, noting what strict validation has to say. */
int cor_op_patch(struct op_run *x, const struct cor_type *t, struct cor_str json, void **ret);

/* ---- op_delete.c ---- */

/* The rest of a deletion that an update completes: no finalizers are left. */
bool cor_op_deletion_due(struct op_run *x);
/* The answer is a Status "Success"; with details of the object old, or without. */
int cor_op_answer_success(struct op_run *x, bool details);
