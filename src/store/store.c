// SPDX-License-Identifier: Apache-2.0
// Opening, closing and reading. The published state is one ordered index per resource; what it
// holds changes only from the loop (cor_store_turn and a commit that comes back), so objects that
// a caller borrowed stay valid until it returns there.
#include "store/store_priv.h"

enum { HISTORY_MAX = 100000, HISTORY_BYTES = 64 << 20 };
#define HISTORY_AGE (5 * COR_MINUTE)

struct cor_obj *cor_store_replace(struct cor_store *s, uint16_t res, struct cor_str ns,
	struct cor_str name, struct cor_obj *o) {
	struct cor_index *x = &s->indexes[res];
	struct cor_obj *old = o ? cor_index_put(x, o) : cor_index_remove(x, ns, name);
	if (old) {
		cor_xref_remove(&s->xref, old);
		s->object_bytes -= obj_priv(old)->size;
	}
	if (o) {
		cor_xref_add(&s->xref, o);
		s->object_bytes += obj_priv(o)->size;
	}
	return old;
}

void cor_store_trim(struct cor_store *s) {
	struct cor_history *h = &s->history;
	cor_time now = s->world->monotonic(s->world);
	cor_history_trim(h, now - s->history_age, s->history_max, s->history_bytes);
	/* For memory's sake only, so it may be late: an idle process should not wake up often. */
	if (h->first < h->end && !s->trim.armed) {
		cor_time left = cor_history_at(h, h->first)->at + s->history_age - now;
		s->world->timer_set(s->world, &s->trim, left + s->history_age / 2);
	}
}

static void on_trim(struct cor_timer *t) {
	cor_store_trim(cor_container_of(t, struct cor_store, trim));
}

struct load {
	struct cor_store *store;
	const struct cor_store_config *config;
	struct cor_err *err;
	uint64_t rev;
};

static int load_row(void *arg, const struct cor_record *r) {
	struct load *l = arg;
	const struct cor_store_config *c = l->config;
	if (r->res >= c->n_resources)
		return cor_fail(l->err, COR_E_INVALID, "stored object %.*s/%.*s has no resource",
			COR_STR_ARG(r->ns), COR_STR_ARG(r->name));
	struct cor_obj *o = c->rebuild(c->rebuild_arg, r->res, r->ns, r->name, r->json, l->err);
	if (!o)
		return cor_wrap(l->err, "stored object %.*s/%.*s of resource %u",
			COR_STR_ARG(r->ns), COR_STR_ARG(r->name), r->res);
	cor_assert(o->res == r->res && cor_key_cmp(o->ns, o->name, r->ns, r->name) == 0);
	cor_obj_set_rev(o, r->rev);
	obj_priv(o)->has_row = true;
	if (r->rev > l->rev)
		l->rev = r->rev;
	cor_obj_unref(cor_store_replace(l->store, r->res, r->ns, r->name, o));
	return 0;
}

/* Everything but timers, writes and watches. */
static void free_state(struct cor_store *s) {
	cor_history_fini(&s->history);
	cor_xref_fini(&s->xref);
	for (size_t i = 0; i < s->n_resources; i++)
		cor_index_fini(&s->indexes[i]);
	free(s->indexes);
	free(s->watchers);
	free(s->newest.buckets);
	s->backend->free(s->backend);
	free(s);
}

int cor_store_open(const struct cor_store_config *c, struct cor_store **ret, struct cor_err *err) {
	cor_assert(c->n_resources < COR_WATCH_ALL);
	struct cor_err ignored;
	struct cor_store *s = cor_new(struct cor_store);
	s->world = c->world;
	s->backend = c->backend;
	s->n_resources = c->n_resources;
	s->history_age = c->history ? c->history : HISTORY_AGE;
	s->history_max = c->history_max ? c->history_max : HISTORY_MAX;
	s->history_bytes = c->history_bytes ? c->history_bytes : HISTORY_BYTES;
	s->indexes = cor_calloc(c->n_resources, sizeof(*s->indexes));
	s->kick.fire = cor_store_turn;
	s->trim.fire = on_trim;
	cor_watches_init(s);

	struct load load = { .store = s, .config = c, .err = err ? err : &ignored };
	uint64_t mark = 0;
	int r = s->backend->load(s->backend, load_row, &load, &mark, load.err);
	if (r < 0) {
		free_state(s);
		return r;
	}
	/* 0 means "any revision" in the API, so even an empty store is at 1. */
	s->rev = mark > load.rev ? mark : load.rev;
	if (s->rev == 0)
		s->rev = 1;
	s->last_rev = s->mark = s->rev;
	cor_history_init(&s->history, c->n_resources, s->rev);
	*ret = s;
	return 0;
}

void cor_store_close(struct cor_store *s) {
	cor_assert(!s->in_callback);
	if (s->closing)
		return;
	s->closing = true;
	s->world->timer_clear(s->world, &s->kick);
	s->world->timer_clear(s->world, &s->trim);
	cor_store_submit(s);
	while (s->inflight)
		cor_batch_wait(s->inflight);
	while (s->finished.n)
		cor_store_acknowledge(s);
	cor_watches_close(s);
	cor_assert(s->queue.n == 0 && s->newest.n == 0 && !s->kick.armed);
}

void cor_store_free(struct cor_store *s) {
	if (!s)
		return;
	cor_store_close(s);
	free_state(s);
}

uint64_t cor_store_rev(const struct cor_store *s) {
	return s->rev;
}

uint64_t cor_store_compacted(const struct cor_store *s) {
	return s->history.compacted;
}

struct cor_obj *cor_store_get(struct cor_store *s, uint16_t res, struct cor_str ns,
	struct cor_str name) {
	cor_assert(res < s->n_resources);
	return cor_xref_by_key(&s->xref, res, ns, name);
}

struct cor_obj *cor_store_get_newest(struct cor_store *s, uint16_t res, struct cor_str ns,
	struct cor_str name) {
	const struct pending *p = cor_pending_newest(&s->newest, res, ns, name);
	if (p)
		return p->remove ? NULL : p->obj;
	return cor_store_get(s, res, ns, name);
}

void cor_store_each(struct cor_store *s, uint16_t res, struct cor_str ns, struct cor_str after_ns,
	struct cor_str after_name, bool (*fn)(void *arg, struct cor_obj *o), void *arg) {
	cor_assert(res < s->n_resources);
	const struct cor_index *x = &s->indexes[res];
	struct index_pos pos = after_name.n && cor_str_cmp(after_ns, ns) >= 0
		? cor_index_seek(x, after_ns, after_name, true)
		: cor_index_seek(x, ns, COR_STR(""), false);
	struct cor_obj *o;
	for (; (o = cor_index_at(x, pos)); pos = cor_index_next(x, pos))
		if ((ns.n && !cor_str_eq(o->ns, ns)) || !fn(arg, o))
			return;
}

size_t cor_store_count(struct cor_store *s, uint16_t res, struct cor_str ns) {
	cor_assert(res < s->n_resources);
	const struct cor_index *x = &s->indexes[res];
	if (!ns.n)
		return x->n;
	/* No UTF-8 name sorts behind 0xff. */
	return cor_index_rank(x, cor_index_seek(x, ns, COR_STR("\xff"), false)) -
		cor_index_rank(x, cor_index_seek(x, ns, COR_STR(""), false));
}

void cor_store_each_owned(struct cor_store *s, struct cor_str owner_uid,
	bool (*fn)(void *arg, struct cor_obj *o), void *arg) {
	struct owner_link *head = cor_map_get(&s->xref.by_owner, owner_uid);
	if (!head)
		return;
	for (struct owner_link *l = head->next; l != head; l = l->next)
		if (!fn(arg, l->obj))
			return;
}

struct cor_obj *cor_store_by_uid(struct cor_store *s, struct cor_str uid) {
	return cor_xref_by_uid(&s->xref, uid);
}

void cor_store_stats(struct cor_store *s, struct cor_store_stats *ret) {
	*ret = (struct cor_store_stats){
		.object_bytes = s->object_bytes,
		.watches = s->n_watches,
		.history = (size_t)(s->history.end - s->history.first),
		.writes = s->writes,
		.commits = s->commits,
		.backend_bytes = s->backend->bytes_written(s->backend),
	};
	for (size_t i = 0; i < s->n_resources; i++)
		ret->objects += s->indexes[i].n;
}
