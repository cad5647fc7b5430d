// SPDX-License-Identifier: Apache-2.0
// Reads of the past: the state at a revision is the current index with the later events of the
// resource undone. The first later event of a key says what the key was then (its old version), so
// these few are sorted by key and merged with the index on the fly.
#include <inttypes.h>
#include <stdlib.h>

#include "store/store_priv.h"

/* What a key was at the revision; old is NULL when it did not exist. */
struct undo {
	struct cor_str ns, name;
	uint64_t rev;                   /* of the event that is undone */
	struct cor_obj *old;
};

struct merge {
	struct undo *undos;
	size_t n, next;
	bool stopped;
	struct cor_str ns;              /* filter; empty = all */
	bool (*fn)(void *arg, struct cor_obj *o);
	void *arg;
};

static int undo_cmp(const void *a, const void *b) {
	const struct undo *x = a, *y = b;
	int c = cor_key_cmp(x->ns, x->name, y->ns, y->name);
	return c ? c : x->rev < y->rev ? -1 : x->rev > y->rev;
}

/* The keys that changed after rev, in order, each with its first change. */
static void collect(struct merge *m, const struct cor_history *h, uint16_t res, uint64_t rev,
	struct cor_str after_ns, struct cor_str after_name) {
	uint64_t pos = cor_history_seek(h, res, rev), end = cor_history_end(h, res);
	if (pos == end)
		return;
	m->undos = cor_calloc((size_t)(end - pos), sizeof(*m->undos));
	for (; pos < end; pos++) {
		const struct hist_event *e = cor_history_get(h, res, pos);
		const struct cor_obj *o = e->obj;
		if (m->ns.n && !cor_str_eq(o->ns, m->ns))
			continue;
		if (after_name.n && cor_key_cmp(o->ns, o->name, after_ns, after_name) <= 0)
			continue;
		m->undos[m->n++] = (struct undo){ o->ns, o->name, e->rev, e->old };
	}
	qsort(m->undos, m->n, sizeof(*m->undos), undo_cmp);
	size_t n = 0;
	for (size_t i = 0; i < m->n; i++) {
		const struct undo *u = &m->undos[i];
		if (n == 0 || cor_key_cmp(m->undos[n - 1].ns, m->undos[n - 1].name, u->ns, u->name))
			m->undos[n++] = *u;
	}
	m->n = n;
}

static bool emit(struct merge *m, struct cor_obj *o) {
	if (o && !m->fn(m->arg, o))
		m->stopped = true;
	return !m->stopped;
}

/* Emits the undone keys that lie in front of o (NULL: all that are left); true in *ret_same when
 * the next one is o's own. */
static bool emit_until(struct merge *m, const struct cor_obj *o, bool *ret_same) {
	*ret_same = false;
	for (; m->next < m->n; m->next++) {
		const struct undo *u = &m->undos[m->next];
		int c = o ? cor_key_cmp(u->ns, u->name, o->ns, o->name) : -1;
		*ret_same = c == 0;
		if (c >= 0)
			break;
		if (!emit(m, u->old))
			return false;
	}
	return true;
}

static bool visit(void *arg, struct cor_obj *o) {
	struct merge *m = arg;
	bool same;
	if (!emit_until(m, o, &same))
		return false;
	return emit(m, same ? m->undos[m->next++].old : o);
}

int cor_store_each_at(struct cor_store *s, uint64_t rev, uint16_t res, struct cor_str ns,
	struct cor_str after_ns, struct cor_str after_name,
	bool (*fn)(void *arg, struct cor_obj *o), void *arg, struct cor_err *err) {
	cor_assert(res < s->n_resources);
	if (rev < s->history.compacted)
		return cor_fail_status(err, COR_REASON_EXPIRED,
			"too old resource version: %" PRIu64 " (%" PRIu64 ")", rev,
			s->history.compacted);
	if (rev > s->rev)
		return cor_fail_status(err, COR_REASON_TIMEOUT,
			"Too large resource version: %" PRIu64 ", current: %" PRIu64, rev, s->rev);
	struct merge m = { .ns = ns, .fn = fn, .arg = arg };
	collect(&m, &s->history, res, rev, after_ns, after_name);
	cor_store_each(s, res, ns, after_ns, after_name, visit, &m);
	bool same;
	if (!m.stopped)
		(void)emit_until(&m, NULL, &same);
	free(m.undos);
	return 0;
}
