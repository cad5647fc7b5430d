// SPDX-License-Identifier: Apache-2.0
// One commit of the backend. A batch owns copies of the JSON (the object's own has the revision
// spliced in) and refs of the objects whose keys its records point to, so that the worker touches
// nothing of the loop's.
//
// A batch outlives its store when the store is freed while the job waits: the loop then runs the
// commit itself, and the job finds nothing left to do. The state says who has it:
//
//	WAITING -> RUNNING (worker, or the loop in cor_batch_wait) -> COMMITTED
#include <pthread.h>
#include <string.h>

#include "store/store_priv.h"

enum batch_state { BATCH_WAITING, BATCH_RUNNING, BATCH_COMMITTED };

struct cor_batch {
	struct cor_job job;
	struct cor_store *store;        /* weak; NULL once the store took the result */
	struct cor_backend *backend;    /* weak; read only before COMMITTED */
	struct pending_list writes;
	struct cor_record *records;
	size_t n;
	char *json;
	uint64_t mark;
	int status;
	struct cor_err err;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum batch_state state;         /* under lock */
};

static void batch_work(struct cor_job *job) {
	struct cor_batch *b = cor_container_of(job, struct cor_batch, job);
	pthread_mutex_lock(&b->lock);
	bool mine = b->state == BATCH_WAITING;
	if (mine)
		b->state = BATCH_RUNNING;
	pthread_mutex_unlock(&b->lock);
	if (!mine)
		return;
	b->status = b->backend->commit(b->backend, b->records, b->n, b->mark, &b->err);
	pthread_mutex_lock(&b->lock);
	b->state = BATCH_COMMITTED;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void finish(struct cor_batch *b) {
	struct cor_store *s = cor_take(b->store);
	if (s)
		cor_store_finish(s, &b->writes, b->mark, b->status, &b->err);
}

static void batch_done(struct cor_job *job) {
	struct cor_batch *b = cor_container_of(job, struct cor_batch, job);
	finish(b);
	cor_assert(b->writes.n == 0);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->changed);
	free(b->records);
	free(b->json);
	free(b);
}

void cor_batch_wait(struct cor_batch *b) {
	batch_work(&b->job);
	pthread_mutex_lock(&b->lock);
	while (b->state != BATCH_COMMITTED)
		pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
	finish(b);
}

static size_t plain_size(const struct cor_obj *o) {
	return o->json.n - obj_priv(o)->rv_len;
}

/* The JSON without resourceVersion. */
static struct cor_str copy_plain(char *to, const struct cor_obj *o) {
	size_t rest = o->rv_at + obj_priv(o)->rv_len;
	memcpy(to, o->json.p, o->rv_at);
	memcpy(to + o->rv_at, o->json.p + rest, o->json.n - rest);
	return (struct cor_str){ to, plain_size(o) };
}

struct cor_batch *cor_batch_new(struct cor_store *s, struct pending_list writes, uint64_t mark) {
	struct cor_batch *b = cor_new(struct cor_batch);
	b->job = (struct cor_job){ .work = batch_work, .done = batch_done };
	b->store = s;
	b->backend = s->backend;
	b->writes = writes;
	b->mark = mark;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	size_t bytes = 0;
	for (const struct pending *p = writes.head; p; p = p->next)
		if (p->durable && !p->remove)
			bytes += plain_size(p->obj);
	b->records = cor_calloc(writes.n, sizeof(*b->records));
	b->json = cor_realloc(NULL, bytes + 1);
	char *at = b->json;
	for (const struct pending *p = writes.head; p; p = p->next) {
		if (!p->durable)
			continue;
		const struct cor_obj *o = p->obj;
		struct cor_record *r = &b->records[b->n++];
		*r = (struct cor_record){ .res = o->res, .ns = o->ns, .name = o->name, .rev = o->rev };
		if (p->remove)
			continue;
		r->json = copy_plain(at, o);
		at += r->json.n;
	}
	return b;
}

void cor_batch_submit(struct cor_batch *b) {
	struct cor_world *w = b->store->world;
	w->submit(w, COR_LANE_STORE, &b->job);
}
