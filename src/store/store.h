// SPDX-License-Identifier: Apache-2.0
// Versioned objects and watches. One loop thread owns the store; every write passes it in order,
// gets the next revision, waits with others for one durable commit of the backend (group commit)
// and is published - visible to reads, sent to watchers, acknowledged - only after that.
//
// Two views exist of a key: the published one (reads, watches, controllers) and the newest one
// including writes that are under way; preconditions are always checked against the newest, so
// that two writers can never both win.
//
// An object is an immutable, reference-counted blob of canonical JSON with a small header. The
// JSON that the backend keeps has no metadata.resourceVersion: the store splices the revision in
// when it knows it (so that a backend that chooses revisions itself, as etcd does, fits).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "base/world.h"

struct cor_store;
struct cor_watch;

/* An owner of an object, from metadata.ownerReferences: what the garbage collector and the
 * controllers look up without decoding. */
struct cor_owner {
	struct cor_str uid;
	struct cor_str kind;
	struct cor_str name;
	bool controller;
	bool block;             /* blockOwnerDeletion */
};

/* A stored version of an object. Immutable once made; all strings point into its own memory. */
struct cor_obj {
	uint32_t refs;
	uint16_t res;                   /* enum cor_res (codec/type.h), index of its resource */
	bool deleting;                  /* metadata.deletionTimestamp is set */
	bool volatile_only;             /* kept in memory only (heartbeats) */
	uint64_t rev;                   /* metadata.resourceVersion; 0 until it is stored */
	struct cor_str ns;              /* "" for cluster scope */
	struct cor_str name;
	struct cor_str uid;
	struct cor_strmap labels;
	struct cor_strmap fields;       /* values of the kind's field selectors, for example
	                                   spec.nodeName; metadata.name and .namespace not included */
	struct { struct cor_owner *p; size_t n; } owners;
	struct cor_str json;            /* complete, with resourceVersion once rev is set */
	uint32_t rv_at;                 /* where in json the resourceVersion member begins or would */
};

/* What a caller gives; everything is copied. */
struct cor_obj_init {
	uint16_t res;
	bool deleting;
	struct cor_str ns, name, uid;
	struct cor_strmap labels, fields;
	struct { struct cor_owner *p; size_t n; } owners;
	struct cor_str json;            /* canonical, without resourceVersion */
	uint32_t rv_at;                 /* offset in json for "resourceVersion":"N", (with comma) */
};

struct cor_obj *cor_obj_new(const struct cor_obj_init *init);
struct cor_obj *cor_obj_ref(struct cor_obj *o);
void cor_obj_unref(struct cor_obj *o);                  /* NULL is fine */
COR_DEFINE_CLEANUP(struct cor_obj *, cor_obj_unref)

/* ---- backends: the only thing that blocks; called on the store lane, never on the loop ---- */

struct cor_record {
	uint16_t res;
	struct cor_str ns, name;
	uint64_t rev;
	struct cor_str json;            /* without resourceVersion; absent = delete the row */
};

struct cor_backend {
	/* Calls row once for every live record, in any order. *ret_rev: the newest revision ever
	 * given, also when its record is gone. */
	int (*load)(struct cor_backend *b, int (*row)(void *arg, const struct cor_record *r),
		void *arg, uint64_t *ret_rev, struct cor_err *err);
	/* All or nothing, durable on return. last_rev is the newest revision of the batch. */
	int (*commit)(struct cor_backend *b, const struct cor_record *r, size_t n,
		uint64_t last_rev, struct cor_err *err);
	void (*free)(struct cor_backend *b);
	/* Bytes written since open, for the write-budget metric. */
	uint64_t (*bytes_written)(struct cor_backend *b);
};

/* The directory is created 0700. Resources are stored by their stable text (resource_names), so
 * that an enum that changes never misreads old data. */
int cor_backend_sqlite_open(const char *path, const char *const *resource_names, size_t n_resources,
	struct cor_backend **ret, struct cor_err *err);
/* Keeps everything in memory; fault hooks for tests: fail the k-th commit, or lose it. */
struct cor_backend *cor_backend_memory_new(void);

/* ---- the store ---- */

struct cor_store_config {
	struct cor_world *world;
	struct cor_backend *backend;    /* owned by the store from here on */
	/* Rebuilds the header of an object from its JSON at load (the API layer knows kinds). */
	struct cor_obj *(*rebuild)(void *arg, uint16_t res, struct cor_str ns, struct cor_str name,
		struct cor_str json, struct cor_err *err);
	void *rebuild_arg;
	size_t n_resources;             /* enum cor_res values are below this */
	cor_time history;               /* how long events stay readable; 0 = 5 minutes */
	size_t history_max;             /* events kept at most; 0 = 100,000 */
	size_t history_bytes;           /* of superseded versions that history keeps alive; 0 = 64 MiB */
};

/* Loads everything (blocking; before the loop runs). */
int cor_store_open(const struct cor_store_config *c, struct cor_store **ret, struct cor_err *err);
/* Flushes, waits for the backend, ends all watches with CLOSED. Only reads are left. */
void cor_store_close(struct cor_store *s);
/* Closes it first. */
void cor_store_free(struct cor_store *s);

uint64_t cor_store_rev(const struct cor_store *s);              /* newest published */
uint64_t cor_store_compacted(const struct cor_store *s);        /* watches need rev >= this */

/* Reads of the published state. Returned objects are borrowed: valid until the caller returns to
 * the loop; take a ref to keep one. NULL when there is none. */
struct cor_obj *cor_store_get(struct cor_store *s, uint16_t res, struct cor_str ns, struct cor_str name);
/* The newest version including writes under way (NULL also when a delete is under way). */
struct cor_obj *cor_store_get_newest(struct cor_store *s, uint16_t res, struct cor_str ns, struct cor_str name);

/* Iteration in key order (namespace, then name, bytewise). ns absent: all namespaces. after_*:
 * start behind that key (for continue). fn returns false to stop. No writes from within fn. */
void cor_store_each(struct cor_store *s, uint16_t res, struct cor_str ns,
	struct cor_str after_ns, struct cor_str after_name,
	bool (*fn)(void *arg, struct cor_obj *o), void *arg);
size_t cor_store_count(struct cor_store *s, uint16_t res, struct cor_str ns);
/* All published objects that name this uid as an owner, any resource. */
void cor_store_each_owned(struct cor_store *s, struct cor_str owner_uid,
	bool (*fn)(void *arg, struct cor_obj *o), void *arg);
/* Any resource by uid; NULL when there is none. */
struct cor_obj *cor_store_by_uid(struct cor_store *s, struct cor_str uid);
/* As cor_store_each, on the state exactly at revision rev (>= compacted), from history: for
 * consistent paging and resourceVersionMatch=Exact. COR_E_GONE when it is too old. */
int cor_store_each_at(struct cor_store *s, uint64_t rev, uint16_t res, struct cor_str ns,
	struct cor_str after_ns, struct cor_str after_name,
	bool (*fn)(void *arg, struct cor_obj *o), void *arg, struct cor_err *err);

/* Writes. The request is embedded in the caller's memory and stays alive until done is called,
 * always from the loop and never from within cor_store_write itself. */
struct cor_write {
	enum cor_write_op { COR_WRITE_CREATE, COR_WRITE_UPDATE, COR_WRITE_DELETE } op;
	struct cor_obj *obj;            /* create, update: the new version (the store takes a ref and
	                                   gives it rev); delete: the last state, with the changes
	                                   that the DELETED event shall show, or NULL for the newest */
	uint16_t res;                   /* delete: the key; else taken from obj */
	struct cor_str ns, name;
	uint64_t expect_rev;            /* update, delete: the newest version must be exactly this; 0 =
	                                   whatever exists */
	bool in_memory;                 /* heartbeat: publish at once, write to the backend only with
	                                   the next real write of this key, or never */
	void (*done)(struct cor_write *w);
	void *arg;
	/* results */
	int status;                     /* 0 or COR_E_EXISTS, COR_E_NOT_FOUND, COR_E_CONFLICT, or the
	                                   backend's error (a full disk: -ENOSPC) */
	struct cor_err err;
	struct cor_obj *result;         /* stored (or deleted) version; borrowed during done */
	void *impl;
};
/* Preconditions are decided now, in order; what is acknowledged later is durable. */
void cor_store_write(struct cor_store *s, struct cor_write *w);

/* Watches. */
enum cor_event_type { COR_EVENT_ADDED, COR_EVENT_MODIFIED, COR_EVENT_DELETED, COR_EVENT_GONE, COR_EVENT_CLOSED };

struct cor_event {
	enum cor_event_type type;
	uint64_t rev;                   /* of this change; for DELETED of the deletion */
	struct cor_obj *obj;            /* new state; DELETED: the last state with its new revision */
	struct cor_obj *old;            /* state before, or NULL: selectors need both */
};

struct cor_watch_config {
	uint16_t res;                   /* COR_WATCH_ALL for every resource (controllers) */
	struct cor_str ns;              /* absent or "" = all namespaces */
	struct cor_str name;            /* absent = all names */
	uint64_t after_rev;             /* events with rev > after_rev; must be >= compacted */
	/* Called on the loop whenever there may be more to read with cor_watch_next. */
	void (*ready)(struct cor_watch *w, void *arg);
	void *arg;
};
enum { COR_WATCH_ALL = 0xffff };

/* The slow side pulls: a watch is a cursor into the shared history, so it buffers nothing.
 * COR_E_GONE when after_rev is older than the history. The first ready comes from the loop, not
 * from within this call. */
int cor_store_watch(struct cor_store *s, const struct cor_watch_config *c, struct cor_watch **ret, struct cor_err *err);
/* False when there is nothing now. A cursor that history has overtaken gets COR_EVENT_GONE once,
 * one whose store closes COR_EVENT_CLOSED. ev is valid until the next call. */
bool cor_watch_next(struct cor_watch *w, struct cor_event *ev);
/* Everything up to and including this revision was delivered (for bookmarks). */
uint64_t cor_watch_rev(const struct cor_watch *w);
void cor_watch_free(struct cor_watch *w);

struct cor_store_stats {
	size_t objects, object_bytes, watches, history;
	uint64_t writes, commits, backend_bytes;
};
void cor_store_stats(struct cor_store *s, struct cor_store_stats *ret);
