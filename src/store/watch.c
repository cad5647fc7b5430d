// SPDX-License-Identifier: Apache-2.0
// A watch is a position in the shared history. It costs its own struct and nothing per event; all
// watches of a resource are queued once per turn of the loop however much was published, and only
// those for which an event matches are called.
#include <inttypes.h>

#include "store/store_priv.h"

struct cor_watch {
	struct list of_res, woken;      /* members; linked to themselves when in no ring */
	struct cor_store *store;        /* weak; NULL after the store has closed */
	uint16_t res;
	struct cor_str ns, name;        /* own copies; n == 0: all */
	uint64_t pos;                   /* next event to look at, see history.h */
	uint64_t rev;                   /* of the last event delivered, at least after_rev */
	bool fresh;                     /* was never called */
	bool over;                      /* GONE or CLOSED was delivered */
	struct cor_obj *obj, *old;      /* refs that keep the last event valid */
	void (*ready)(struct cor_watch *w, void *arg);
	void *arg;
};

static void list_init(struct list *l) {
	l->prev = l->next = l;
}

static bool list_empty(const struct list *l) {
	return l->next == l;
}

static void list_add(struct list *head, struct list *l) {
	l->prev = head->prev;
	l->next = head;
	l->prev->next = l->next->prev = l;
}

static void list_remove(struct list *l) {
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* Moves all members of from to the empty ring to. */
static void list_take(struct list *to, struct list *from) {
	list_init(to);
	if (list_empty(from))
		return;
	to->next = from->next;
	to->prev = from->prev;
	to->next->prev = to->prev->next = to;
	list_init(from);
}

static struct cor_watch *by_res(struct list *l) {
	return cor_container_of(l, struct cor_watch, of_res);
}

static struct list *watchers_of(struct cor_store *s, uint16_t res) {
	return &s->watchers[res == COR_WATCH_ALL ? s->n_resources : res];
}

void cor_watches_init(struct cor_store *s) {
	s->watchers = cor_calloc(s->n_resources + 1, sizeof(*s->watchers));
	for (size_t i = 0; i <= s->n_resources; i++)
		list_init(&s->watchers[i]);
	list_init(&s->woken);
}

static void wake_ring(struct cor_store *s, struct list *head) {
	/* All are queued at once and new ones join at the end, queued: so when the first one is
	 * queued, all are, and a batch of many events costs one walk. */
	if (list_empty(head) || !list_empty(&by_res(head->next)->woken))
		return;
	for (struct list *l = head->next; l != head; l = l->next)
		if (list_empty(&by_res(l)->woken))
			list_add(&s->woken, &by_res(l)->woken);
}

void cor_watches_wake(struct cor_store *s, uint16_t res) {
	wake_ring(s, watchers_of(s, res));
	wake_ring(s, watchers_of(s, COR_WATCH_ALL));
}

static bool matches(const struct cor_watch *w, const struct hist_event *e) {
	return e->rev > w->rev && (!w->ns.n || cor_str_eq(e->obj->ns, w->ns)) &&
		(!w->name.n || cor_str_eq(e->obj->name, w->name));
}

static bool overtaken(const struct cor_watch *w) {
	return w->pos < cor_history_first(&w->store->history, w->res);
}

/* Moves on to the first event that matches; NULL when there is none. */
static const struct hist_event *seek_match(struct cor_watch *w) {
	const struct cor_history *h = &w->store->history;
	for (uint64_t end = cor_history_end(h, w->res); w->pos < end; w->pos++) {
		const struct hist_event *e = cor_history_get(h, w->res, w->pos);
		if (matches(w, e))
			return e;
	}
	return NULL;
}

static bool wants_call(struct cor_watch *w) {
	if (w->over)
		return false;
	if (w->fresh || !w->store)
		return true;
	return overtaken(w) || seek_match(w);
}

/* Calls every watch of the ring; watches may be freed and made from within. */
static void call_ring(struct list *ring) {
	while (!list_empty(ring)) {
		struct cor_watch *w = cor_container_of(ring->next, struct cor_watch, woken);
		list_remove(&w->woken);
		if (!wants_call(w))
			continue;
		w->fresh = false;
		w->ready(w, w->arg);
	}
}

void cor_watches_call(struct cor_store *s) {
	struct list now;
	list_take(&now, &s->woken);
	s->in_callback = true;
	call_ring(&now);
	s->in_callback = false;
}

void cor_watches_close(struct cor_store *s) {
	struct list closed;
	list_init(&closed);
	for (size_t i = 0; i <= s->n_resources; i++) {
		struct list *head = &s->watchers[i];
		while (!list_empty(head)) {
			struct cor_watch *w = by_res(head->next);
			list_remove(&w->of_res);
			list_remove(&w->woken);
			list_add(&closed, &w->woken);
			w->store = NULL;
		}
	}
	call_ring(&closed);
	free(cor_take(s->watchers));
}

int cor_store_watch(struct cor_store *s, const struct cor_watch_config *c, struct cor_watch **ret,
	struct cor_err *err) {
	cor_assert(c->ready && (c->res == COR_WATCH_ALL || c->res < s->n_resources));
	if (s->closing)
		return cor_fail(err, COR_E_CLOSED, "the store is closing");
	if (c->after_rev < s->history.compacted)
		return cor_fail_status(err, COR_REASON_EXPIRED,
			"too old resource version: %" PRIu64 " (%" PRIu64 ")", c->after_rev,
			s->history.compacted);
	struct cor_watch *w = cor_new(struct cor_watch);
	w->store = s;
	w->res = c->res;
	if (c->ns.n)
		w->ns = (struct cor_str){ cor_str_dup_c(c->ns), c->ns.n };
	if (c->name.n)
		w->name = (struct cor_str){ cor_str_dup_c(c->name), c->name.n };
	w->pos = cor_history_seek(&s->history, c->res, c->after_rev);
	w->rev = c->after_rev;
	w->fresh = true;
	w->ready = c->ready;
	w->arg = c->arg;
	list_init(&w->of_res);
	list_init(&w->woken);
	list_add(watchers_of(s, c->res), &w->of_res);
	list_add(&s->woken, &w->woken);
	s->n_watches++;
	cor_store_kick(s);
	*ret = w;
	return 0;
}

static void release_event(struct cor_watch *w) {
	cor_obj_unref(cor_take(w->obj));
	cor_obj_unref(cor_take(w->old));
}

static bool end_with(struct cor_watch *w, enum cor_event_type type, struct cor_event *ev) {
	w->over = true;
	*ev = (struct cor_event){ .type = type, .rev = w->rev };
	return true;
}

bool cor_watch_next(struct cor_watch *w, struct cor_event *ev) {
	release_event(w);
	if (w->over)
		return false;
	if (!w->store)
		return end_with(w, COR_EVENT_CLOSED, ev);
	if (overtaken(w))
		return end_with(w, COR_EVENT_GONE, ev);
	const struct hist_event *e = seek_match(w);
	if (!e)
		return false;
	w->pos++;
	w->rev = e->rev;
	w->obj = cor_obj_ref(e->obj);
	w->old = e->old ? cor_obj_ref(e->old) : NULL;
	*ev = (struct cor_event){ .type = e->type, .rev = e->rev, .obj = w->obj, .old = w->old };
	return true;
}

uint64_t cor_watch_rev(const struct cor_watch *w) {
	const struct cor_store *s = w->store;
	bool at_end = s && !w->over && w->pos == cor_history_end(&s->history, w->res);
	return at_end && s->rev > w->rev ? s->rev : w->rev;
}

void cor_watch_free(struct cor_watch *w) {
	if (!w)
		return;
	release_event(w);
	list_remove(&w->of_res);
	list_remove(&w->woken);
	if (w->store)
		w->store->n_watches--;
	free((char *)(uintptr_t)w->ns.p);
	free((char *)(uintptr_t)w->name.p);
	free(w);
}
