// SPDX-License-Identifier: Apache-2.0
// The life of a write: accepted (preconditions against the newest view, a revision), queued,
// committed in a batch, published (index, history, watches), acknowledged.
//
// Everything is published in the order of revisions, heartbeats included: a watch that has seen
// revision N has seen all before N. So an in-memory write waits for durable ones in front of it,
// but needs no commit of its own. What happens when a commit fails is at fail() and in
// docs/internals/store.md.
#include <inttypes.h>

#include "store/store_priv.h"

enum {
	BATCH_MAX = 1024,               /* so that a mass deletion does not make one huge commit */
	MARK_AHEAD = 4096,              /* revisions reserved at once; see struct cor_store */
};

static int check(struct cor_write *w, const struct cor_obj *newest, struct cor_str ns,
	struct cor_str name) {
	if (w->op == COR_WRITE_CREATE) {
		if (newest)
			return cor_fail_status(&w->err, COR_REASON_ALREADY_EXISTS,
				"\"%.*s\" already exists", COR_STR_ARG(name));
		return 0;
	}
	if (!newest)
		return cor_fail_status(&w->err, COR_REASON_NOT_FOUND, "\"%.*s\" not found",
			COR_STR_ARG(name));
	if (w->expect_rev && w->expect_rev != newest->rev)
		return cor_fail_status(&w->err, COR_REASON_CONFLICT,
			"\"%.*s\" is at revision %" PRIu64 ", not %" PRIu64, COR_STR_ARG(name),
			newest->rev, w->expect_rev);
	return 0;
}

/* The version that the write makes. One that has a revision is somebody's already. */
static struct cor_obj *make_version(const struct cor_write *w, const struct cor_obj *newest) {
	if (w->obj && w->obj->rev == 0)
		return cor_obj_ref(w->obj);
	return cor_obj_clone(w->obj ? w->obj : newest);
}

static void accept_write(struct cor_store *s, struct pending *p, const struct cor_obj *newest) {
	const struct cor_write *w = p->write;
	bool has_row = newest && obj_priv(newest)->has_row;
	p->remove = w->op == COR_WRITE_DELETE;
	p->durable = !w->in_memory || (p->remove && has_row);
	p->obj = make_version(w, newest);
	p->obj->volatile_only = !p->durable;
	obj_priv(p->obj)->has_row = !p->remove && (has_row || p->durable);
	cor_obj_set_rev(p->obj, ++s->last_rev);
	cor_pending_link(&s->newest, p);
	cor_pending_push(&s->queue, p);
	s->writes++;
}

void cor_store_write(struct cor_store *s, struct cor_write *w) {
	cor_assert(w->done);
	bool remove = w->op == COR_WRITE_DELETE;
	cor_assert(remove || w->obj);
	uint16_t res = remove ? w->res : w->obj->res;
	struct cor_str ns = remove ? w->ns : w->obj->ns, name = remove ? w->name : w->obj->name;
	cor_assert(!remove || !w->obj || (w->obj->res == res && cor_str_eq(w->obj->ns, ns) &&
		cor_str_eq(w->obj->name, name)));
	struct cor_obj *newest = cor_store_get_newest(s, res, ns, name);
	struct pending *p = cor_new(struct pending);
	p->write = w;
	w->err = (struct cor_err){ 0 };
	w->result = NULL;
	w->status = s->closing ? cor_fail(&w->err, COR_E_CLOSED, "the store is closing")
	                       : check(w, newest, ns, name);
	if (w->status < 0)
		cor_pending_push(&s->finished, p);
	else
		accept_write(s, p, newest);
	cor_store_kick(s);
}

static void publish(struct cor_store *s, struct pending *p) {
	struct cor_obj *o = p->obj;
	struct cor_obj *old = cor_store_replace(s, o->res, o->ns, o->name,
		p->remove ? NULL : cor_obj_ref(o));
	cor_assert(old || !p->remove);
	cor_history_add(&s->history, &(struct hist_event){
		.rev = o->rev,
		.at = s->world->monotonic(s->world),
		.obj = cor_obj_ref(o),
		.old = old,
		.type = p->remove ? COR_EVENT_DELETED : old ? COR_EVENT_MODIFIED : COR_EVENT_ADDED,
	});
	s->rev = o->rev;
	cor_watches_wake(s, o->res);
	cor_pending_unlink(&s->newest, p);
	cor_pending_push(&s->finished, p);
}

/* Takes the writes of a commit that failed, with all that was accepted on top of them: every
 * durable one (its commit would follow one whose outcome is in doubt, and its caller may have
 * looked at the newest view), every one of a key whose older write fails, and those without a
 * reserved revision. Heartbeats of other keys go on: a full disk must not make a node NotReady.
 * The newest view falls back by itself, for it is the published one plus what is pending.
 * Revisions of failed writes are never used again. */
static void fail(struct cor_store *s, struct pending_list *writes, int status,
	const struct cor_err *err) {
	struct pending_list all = { 0 };
	cor_pending_append(&all, writes);
	cor_pending_append(&all, &s->queue);
	for (struct pending *p = all.head; p; p = p->next)
		p->failed = p->durable || p->obj->rev > s->mark || (p->older && p->older->failed);
	struct pending *p;
	while ((p = cor_pending_pop(&all))) {
		if (!p->failed) {
			cor_pending_push(&s->queue, p);
			continue;
		}
		p->write->status = status;
		p->write->err = *err;
		cor_pending_unlink(&s->newest, p);
		cor_pending_push(&s->finished, p);
	}
}

static void start_batch(struct cor_store *s) {
	struct pending_list writes = { 0 };
	while (s->queue.head && writes.n < BATCH_MAX)
		cor_pending_push(&writes, cor_pending_pop(&s->queue));
	/* Raised when half is used, so that heartbeats alone hardly ever need a commit. */
	uint64_t last = writes.tail->obj->rev, mark = s->mark;
	if (last + MARK_AHEAD / 2 > mark)
		mark = last + MARK_AHEAD;
	s->inflight = cor_batch_new(s, writes, mark);
	cor_batch_submit(s->inflight);
}

void cor_store_submit(struct cor_store *s) {
	while (!s->inflight && s->queue.head) {
		const struct pending *p = s->queue.head;
		if (!p->durable && p->obj->rev <= s->mark)
			publish(s, cor_pending_pop(&s->queue));
		else
			start_batch(s);
	}
}

void cor_store_finish(struct cor_store *s, struct pending_list *writes, uint64_t mark, int status,
	const struct cor_err *err) {
	s->inflight = NULL;
	if (status < 0) {
		fail(s, writes, status, err);
	} else {
		s->mark = mark;
		s->commits++;
		struct pending *p;
		while ((p = cor_pending_pop(writes)))
			publish(s, p);
	}
	/* The next commit runs while this one is acknowledged. */
	cor_store_submit(s);
	cor_store_kick(s);
}

void cor_store_acknowledge(struct cor_store *s) {
	/* What a callback adds waits for the next turn. */
	struct pending_list now = s->finished;
	s->finished = (struct pending_list){ 0 };
	struct pending *p;
	s->in_callback = true;
	while ((p = cor_pending_pop(&now))) {
		struct cor_write *w = p->write;
		if (w->status == 0)
			w->result = p->obj;
		w->done(w);     /* may free w */
		cor_obj_unref(p->obj);
		free(p);
	}
	s->in_callback = false;
}

void cor_store_kick(struct cor_store *s) {
	if (!s->kick.armed && !s->closing)
		s->world->timer_set(s->world, &s->kick, 0);
}

void cor_store_turn(struct cor_timer *t) {
	struct cor_store *s = cor_container_of(t, struct cor_store, kick);
	cor_store_submit(s);
	cor_store_acknowledge(s);
	cor_watches_call(s);
	cor_store_trim(s);
}
