// SPDX-License-Identifier: Apache-2.0
// The inside of src/store: what an object carries behind its public face, the ordered index of a
// resource, the shared history, the writes under way, and the store that ties them together.
//
// All of it belongs to the loop's thread. The only thing that another thread touches is a batch
// (batch.c), which owns copies of what it gives to the backend.
#pragma once

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/store.h"

/* ---- object.c ---- */

/* One per owner reference; links the published versions that name the same owner uid. */
struct owner_link {
	struct owner_link *prev, *next;
	struct cor_obj *obj;            /* the object that this link lies in */
};

/* Follows struct cor_obj in the same allocation. */
struct obj_priv {
	struct obj_chain { struct cor_obj *next; uint64_t hash; } chains[2];  /* of the hash indexes */
	size_t size;                    /* bytes of the whole allocation */
	uint32_t rv_len;                /* bytes that the spliced resourceVersion takes; 0 = none */
	bool has_row;                   /* the backend has, or will have, a row of this key */
	struct owner_link links[];      /* owners.n of them */
};

static inline struct obj_priv *obj_priv(const struct cor_obj *o) {
	return (struct obj_priv *)(uintptr_t)(o + 1);
}

/* Gives a version that nobody else sees yet its revision, in the header and in the JSON. */
void cor_obj_set_rev(struct cor_obj *o, uint64_t rev);
/* A new version, without a revision, that is otherwise equal. */
struct cor_obj *cor_obj_clone(const struct cor_obj *o);

/* ---- index.c: the published versions of one resource in key order ---- */

enum { INDEX_BLOCK = 64 };

struct index_block {
	size_t n;
	struct cor_obj *objs[INDEX_BLOCK];      /* refs */
};

/* A sorted array cut into blocks. Blocks are never empty. */
struct cor_index {
	struct index_block **blocks;
	size_t n_blocks, cap_blocks;
	size_t n;                               /* objects */
};

struct index_pos {
	size_t block, i;
};

int cor_key_cmp(struct cor_str ns_a, struct cor_str name_a, struct cor_str ns_b,
	struct cor_str name_b);
void cor_index_fini(struct cor_index *x);
/* The first object whose key is >= the key, or > it. */
struct index_pos cor_index_seek(const struct cor_index *x, struct cor_str ns, struct cor_str name,
	bool behind);
/* NULL behind the last one. */
struct cor_obj *cor_index_at(const struct cor_index *x, struct index_pos pos);
struct index_pos cor_index_next(const struct cor_index *x, struct index_pos pos);
/* Objects in front of pos. */
size_t cor_index_rank(const struct cor_index *x, struct index_pos pos);
/* Takes the caller's ref of o; returns the version that was replaced (its ref is the caller's). */
struct cor_obj *cor_index_put(struct cor_index *x, struct cor_obj *o);
struct cor_obj *cor_index_remove(struct cor_index *x, struct cor_str ns, struct cor_str name);

/* ---- xref.c: published versions by key, by uid and by owner ---- */

enum xref_by { BY_KEY, BY_UID };

/* A hash table whose chains run through obj_priv.chains. */
struct obj_table {
	struct cor_obj **heads;
	size_t cap, n;                  /* cap: a power of two, or 0 */
};

struct cor_xref {
	struct obj_table tables[2];     /* enum xref_by */
	struct cor_map by_owner;        /* owner uid -> struct owner_link, head of a ring */
};

void cor_xref_fini(struct cor_xref *x);
void cor_xref_add(struct cor_xref *x, struct cor_obj *o);
void cor_xref_remove(struct cor_xref *x, struct cor_obj *o);
struct cor_obj *cor_xref_by_key(const struct cor_xref *x, uint16_t res, struct cor_str ns,
	struct cor_str name);
struct cor_obj *cor_xref_by_uid(const struct cor_xref *x, struct cor_str uid);
static inline uint64_t cor_key_hash(uint16_t res, struct cor_str ns, struct cor_str name) {
	uint64_t h = (cor_str_hash(name) * 31 + cor_str_hash(ns)) * 31 + res;
	return h ^ h >> 32;
}

/* ---- history.c: the last events, shared by all watches ---- */

struct hist_event {
	uint64_t rev;
	cor_time at;                    /* monotonic */
	struct cor_obj *obj, *old;      /* refs; old may be NULL */
	enum cor_event_type type;
};

/* The events of one resource: their sequence numbers. */
struct hist_chain {
	uint64_t *seqs;                 /* ring */
	uint64_t first, end;            /* absolute positions */
	size_t cap;
};

struct cor_history {
	struct hist_event *events;      /* ring */
	uint64_t first, end;            /* absolute sequence numbers */
	size_t cap;
	struct hist_chain *chains;      /* one per resource */
	size_t n_chains;
	size_t bytes;                   /* of all old versions */
	uint64_t compacted;             /* the revision of the newest event that was dropped */
};

void cor_history_init(struct cor_history *h, size_t n_resources, uint64_t rev);
void cor_history_fini(struct cor_history *h);
/* Takes the refs. */
void cor_history_add(struct cor_history *h, const struct hist_event *e);
/* Drops what is older than min_at and what is above a limit. */
void cor_history_trim(struct cor_history *h, cor_time min_at, size_t max, size_t max_bytes);
static inline const struct hist_event *cor_history_at(const struct cor_history *h, uint64_t seq) {
	return &h->events[seq & (h->cap - 1)];
}
/* A position is a sequence number for COR_WATCH_ALL, else a position in the resource's chain. */
uint64_t cor_history_first(const struct cor_history *h, uint16_t res);
uint64_t cor_history_end(const struct cor_history *h, uint16_t res);
const struct hist_event *cor_history_get(const struct cor_history *h, uint16_t res, uint64_t pos);
/* The position of the first event with a revision above rev. */
uint64_t cor_history_seek(const struct cor_history *h, uint16_t res, uint64_t rev);

/* ---- pending.c: writes under way ---- */

/* An accepted write. It is in the queue in the order of revisions, and in the chain of its key,
 * whose newest member is in the table. */
struct pending {
	struct cor_write *write;        /* of the caller, alive until done */
	struct cor_obj *obj;            /* ref; a delete: the last state with the deletion's revision */
	bool remove;
	bool durable;                   /* the backend must know it */
	bool failed;
	struct pending *next;           /* queue, batch or finished list */
	struct pending *older, *newer;  /* same key */
	struct pending *chain;          /* the table's bucket; newest of a key only */
};

struct pending_list {
	struct pending *head, *tail;
	size_t n;
};

struct pending_table {
	struct pending **buckets;
	size_t cap, n;
};

void cor_pending_push(struct pending_list *l, struct pending *p);
struct pending *cor_pending_pop(struct pending_list *l);
void cor_pending_append(struct pending_list *to, struct pending_list *from);
struct pending *cor_pending_newest(const struct pending_table *t, uint16_t res, struct cor_str ns,
	struct cor_str name);
/* p becomes the newest of its key. */
void cor_pending_link(struct pending_table *t, struct pending *p);
void cor_pending_unlink(struct pending_table *t, struct pending *p);

/* ---- batch.c: one commit of the backend ---- */

struct cor_batch;
/* Owns the writes and copies what the backend reads. mark: see struct cor_store. */
struct cor_batch *cor_batch_new(struct cor_store *s, struct pending_list writes, uint64_t mark);
void cor_batch_submit(struct cor_batch *b);
/* Blocks until it was committed or failed, on whatever thread, and runs cor_store_finish. */
void cor_batch_wait(struct cor_batch *b);

/* ---- store.c, write.c, watch.c ---- */

/* Of an intrusive ring. */
struct list {
	struct list *prev, *next;
};

struct cor_store {
	struct cor_world *world;
	struct cor_backend *backend;
	size_t n_resources;
	cor_time history_age;
	size_t history_max, history_bytes;

	struct cor_index *indexes;      /* one per resource */
	struct cor_xref xref;
	struct cor_history history;
	struct cor_timer trim;
	uint64_t rev;                   /* newest published */
	uint64_t last_rev;              /* newest handed out */
	/* No revision above this mark is ever published before the backend has a higher mark: a
	 * restart continues behind the mark, so that no revision is used twice although heartbeats
	 * and failed writes leave no trace in the backend. */
	uint64_t mark;

	struct pending_table newest;    /* by key */
	struct pending_list queue;      /* accepted, not yet given to the backend */
	struct cor_batch *inflight;
	struct pending_list finished;   /* to be acknowledged from the loop */
	struct cor_timer kick;          /* one turn of the loop: submit, acknowledge, wake */

	struct list *watchers;          /* heads: one per resource, and one for all */
	struct list woken;              /* watches to be called */
	size_t n_watches;
	bool in_callback, closing;
	size_t object_bytes;
	uint64_t writes, commits;
};

/* Puts o (its ref is taken) in place of the version of its key and returns that one; a removal
 * when o is NULL. */
struct cor_obj *cor_store_replace(struct cor_store *s, uint16_t res, struct cor_str ns,
	struct cor_str name, struct cor_obj *o);
/* Drops history that is too old and sets the timer for the rest. */
void cor_store_trim(struct cor_store *s);
/* Fired by the kick timer. */
void cor_store_turn(struct cor_timer *t);
void cor_store_kick(struct cor_store *s);
/* Publishes what needs no commit and gives the next batch to the backend. */
void cor_store_submit(struct cor_store *s);
/* Publishes or fails a batch that came back, and submits the next one. Takes the writes. */
void cor_store_finish(struct cor_store *s, struct pending_list *writes, uint64_t mark, int status,
	const struct cor_err *err);
/* Calls done of all finished writes. */
void cor_store_acknowledge(struct cor_store *s);

void cor_watches_init(struct cor_store *s);
/* Queues the watches of a resource that changed; cor_watches_call calls their ready. */
void cor_watches_wake(struct cor_store *s, uint16_t res);
void cor_watches_call(struct cor_store *s);
/* Parts all watches from the store and tells them. */
void cor_watches_close(struct cor_store *s);
