// SPDX-License-Identifier: Apache-2.0
// The history window: a ring of the last events in the order of revisions, and for every resource
// a ring of the sequence numbers of its own events. A watch is a position in one of them, so one
// that is far behind never walks over the events of other resources. Positions are absolute and
// never reused: a position below the first one has been overtaken.
#include <string.h>

#include "store/store_priv.h"

void cor_history_init(struct cor_history *h, size_t n_resources, uint64_t rev) {
	*h = (struct cor_history){ .n_chains = n_resources, .compacted = rev };
	h->chains = cor_calloc(n_resources, sizeof(*h->chains));
}

static void drop_refs(struct cor_history *h, const struct hist_event *e) {
	if (e->old)
		h->bytes -= obj_priv(e->old)->size;
	cor_obj_unref(e->obj);
	cor_obj_unref(e->old);
}

void cor_history_fini(struct cor_history *h) {
	for (uint64_t seq = h->first; seq < h->end; seq++)
		drop_refs(h, cor_history_at(h, seq));
	for (size_t i = 0; i < h->n_chains; i++)
		free(h->chains[i].seqs);
	free(h->chains);
	free(h->events);
	*h = (struct cor_history){ 0 };
}

/* A ring of cap elements (a power of two) holds first..end; returns it with another capacity. */
static void *resize(void *ring, size_t elem, size_t cap, size_t new_cap, uint64_t first,
	uint64_t end) {
	char *to = cor_calloc(new_cap, elem);
	for (uint64_t at = first; at < end; at++)
		memcpy(to + (at & (new_cap - 1)) * elem, (char *)ring + (at & (cap - 1)) * elem, elem);
	free(ring);
	return to;
}

/* The capacity for one more than n elements: grows when full, shrinks when mostly empty. */
static size_t next_cap(size_t cap, size_t n) {
	if (n == cap)
		return cap ? 2 * cap : 8;
	return cap > 64 && n < cap / 8 ? cap / 4 : cap;
}

static void fit_events(struct cor_history *h) {
	size_t cap = next_cap(h->cap, (size_t)(h->end - h->first));
	if (cap == h->cap)
		return;
	h->events = resize(h->events, sizeof(*h->events), h->cap, cap, h->first, h->end);
	h->cap = cap;
}

static void fit_chain(struct hist_chain *c) {
	size_t cap = next_cap(c->cap, (size_t)(c->end - c->first));
	if (cap == c->cap)
		return;
	c->seqs = resize(c->seqs, sizeof(*c->seqs), c->cap, cap, c->first, c->end);
	c->cap = cap;
}

void cor_history_add(struct cor_history *h, const struct hist_event *e) {
	cor_assert(e->obj->res < h->n_chains);
	cor_assert(h->first == h->end || cor_history_at(h, h->end - 1)->rev < e->rev);
	struct hist_chain *c = &h->chains[e->obj->res];
	fit_events(h);
	fit_chain(c);
	c->seqs[c->end++ & (c->cap - 1)] = h->end;
	h->events[h->end++ & (h->cap - 1)] = *e;
	if (e->old)
		h->bytes += obj_priv(e->old)->size;
}

void cor_history_trim(struct cor_history *h, cor_time min_at, size_t max, size_t max_bytes) {
	while (h->first < h->end) {
		const struct hist_event *e = cor_history_at(h, h->first);
		if (e->at >= min_at && h->end - h->first <= max && h->bytes <= max_bytes)
			break;
		struct hist_chain *c = &h->chains[e->obj->res];
		cor_assert(c->seqs[c->first & (c->cap - 1)] == h->first);
		c->first++;
		fit_chain(c);
		h->compacted = e->rev;
		h->first++;
		drop_refs(h, e);
	}
	if (h->end - h->first < h->cap)
		fit_events(h);
}

uint64_t cor_history_first(const struct cor_history *h, uint16_t res) {
	return res == COR_WATCH_ALL ? h->first : h->chains[res].first;
}

uint64_t cor_history_end(const struct cor_history *h, uint16_t res) {
	return res == COR_WATCH_ALL ? h->end : h->chains[res].end;
}

const struct hist_event *cor_history_get(const struct cor_history *h, uint16_t res, uint64_t pos) {
	if (res == COR_WATCH_ALL)
		return cor_history_at(h, pos);
	const struct hist_chain *c = &h->chains[res];
	return cor_history_at(h, c->seqs[pos & (c->cap - 1)]);
}

uint64_t cor_history_seek(const struct cor_history *h, uint16_t res, uint64_t rev) {
	uint64_t lo = cor_history_first(h, res), hi = cor_history_end(h, res);
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (cor_history_get(h, res, mid)->rev <= rev)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
