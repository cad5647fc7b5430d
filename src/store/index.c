// SPDX-License-Identifier: Apache-2.0
// The ordered index of one resource: a sorted array of object pointers that is cut into blocks of
// at most 64. Finding is a binary search over the blocks and one in the block; inserting moves
// at most one block, and once in 32 times the array of blocks, 25 KB of it at 100,000 objects. There
// is no rebalancing and no parent pointer to get wrong. (A get goes through the hash in xref.c.)
#include <string.h>

#include "store/store_priv.h"

int cor_key_cmp(struct cor_str ns_a, struct cor_str name_a, struct cor_str ns_b,
	struct cor_str name_b) {
	int c = cor_str_cmp(ns_a, ns_b);
	return c ? c : cor_str_cmp(name_a, name_b);
}

void cor_index_fini(struct cor_index *x) {
	for (size_t b = 0; b < x->n_blocks; b++) {
		for (size_t i = 0; i < x->blocks[b]->n; i++)
			cor_obj_unref(x->blocks[b]->objs[i]);
		free(x->blocks[b]);
	}
	free(x->blocks);
	*x = (struct cor_index){ 0 };
}

/* True when o lies in front of the place that is looked for. */
static bool in_front(const struct cor_obj *o, struct cor_str ns, struct cor_str name, bool behind) {
	int c = cor_key_cmp(o->ns, o->name, ns, name);
	return behind ? c <= 0 : c < 0;
}

struct index_pos cor_index_seek(const struct cor_index *x, struct cor_str ns, struct cor_str name,
	bool behind) {
	/* The last block whose first object lies in front; the place is in it or at its end. */
	size_t lo = 0, hi = x->n_blocks;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (in_front(x->blocks[mid]->objs[0], ns, name, behind))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return (struct index_pos){ 0, 0 };
	struct index_pos pos = { lo - 1, 0 };
	const struct index_block *b = x->blocks[pos.block];
	lo = 1;
	hi = b->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (in_front(b->objs[mid], ns, name, behind))
			lo = mid + 1;
		else
			hi = mid;
	}
	pos.i = lo;
	return pos;
}

/* A place at the end of a block is the same as the front of the next one. */
static struct index_pos normal(const struct cor_index *x, struct index_pos pos) {
	if (pos.block < x->n_blocks && pos.i == x->blocks[pos.block]->n)
		return (struct index_pos){ pos.block + 1, 0 };
	return pos;
}

struct cor_obj *cor_index_at(const struct cor_index *x, struct index_pos pos) {
	pos = normal(x, pos);
	return pos.block < x->n_blocks ? x->blocks[pos.block]->objs[pos.i] : NULL;
}

struct index_pos cor_index_next(const struct cor_index *x, struct index_pos pos) {
	pos = normal(x, pos);
	if (pos.block >= x->n_blocks)
		return pos;
	pos.i++;
	/* A walk waits for memory only: every object lies on a page of its own. */
	const struct index_block *b = x->blocks[pos.block];
	if (pos.i + 4 < b->n) {
		const char *ahead = (const char *)b->objs[pos.i + 4];
		__builtin_prefetch(ahead);
		__builtin_prefetch(ahead + offsetof(struct cor_obj, json));
	}
	return pos;
}

size_t cor_index_rank(const struct cor_index *x, struct index_pos pos) {
	size_t n = pos.i;
	for (size_t b = 0; b < pos.block && b < x->n_blocks; b++)
		n += x->blocks[b]->n;
	return n;
}

/* Makes an empty block at position at. */
static struct index_block *add_block(struct cor_index *x, size_t at) {
	if (x->n_blocks == x->cap_blocks) {
		x->cap_blocks = x->cap_blocks ? 2 * x->cap_blocks : 4;
		x->blocks = cor_realloc(x->blocks, x->cap_blocks * sizeof(*x->blocks));
	}
	memmove(x->blocks + at + 1, x->blocks + at, (x->n_blocks - at) * sizeof(*x->blocks));
	x->n_blocks++;
	return x->blocks[at] = cor_new(struct index_block);
}

static void drop_block(struct cor_index *x, size_t at) {
	free(x->blocks[at]);
	x->n_blocks--;
	memmove(x->blocks + at, x->blocks + at + 1, (x->n_blocks - at) * sizeof(*x->blocks));
}

/* Moves the objects of block from behind keep into the (empty) block that follows. */
static void split(struct cor_index *x, size_t block, size_t keep) {
	struct index_block *to = add_block(x, block + 1), *from = x->blocks[block];
	to->n = from->n - keep;
	memcpy(to->objs, from->objs + keep, to->n * sizeof(to->objs[0]));
	from->n = keep;
}

struct cor_obj *cor_index_put(struct cor_index *x, struct cor_obj *o) {
	struct index_pos pos = cor_index_seek(x, o->ns, o->name, false);
	struct cor_obj *old = cor_index_at(x, pos);
	if (old && cor_key_cmp(old->ns, old->name, o->ns, o->name) == 0) {
		pos = normal(x, pos);
		x->blocks[pos.block]->objs[pos.i] = o;
		return old;
	}
	if (x->n_blocks == 0)
		(void)add_block(x, 0);
	struct index_block *b = x->blocks[pos.block];
	if (b->n == INDEX_BLOCK) {
		/* Keys that come in order (a load, app-0, app-1) leave full blocks behind. */
		split(x, pos.block, pos.i == INDEX_BLOCK ? INDEX_BLOCK : INDEX_BLOCK / 2);
		if (pos.i >= x->blocks[pos.block]->n) {
			pos.i -= x->blocks[pos.block]->n;
			pos.block++;
		}
		b = x->blocks[pos.block];
	}
	memmove(b->objs + pos.i + 1, b->objs + pos.i, (b->n - pos.i) * sizeof(b->objs[0]));
	b->objs[pos.i] = o;
	b->n++;
	x->n++;
	return NULL;
}

struct cor_obj *cor_index_remove(struct cor_index *x, struct cor_str ns, struct cor_str name) {
	struct index_pos pos = normal(x, cor_index_seek(x, ns, name, false));
	struct cor_obj *old = cor_index_at(x, pos);
	if (!old || cor_key_cmp(old->ns, old->name, ns, name) != 0)
		return NULL;
	struct index_block *b = x->blocks[pos.block];
	b->n--;
	x->n--;
	memmove(b->objs + pos.i, b->objs + pos.i + 1, (b->n - pos.i) * sizeof(b->objs[0]));
	if (b->n == 0) {
		drop_block(x, pos.block);
	} else if (pos.block + 1 < x->n_blocks) {
		struct index_block *next = x->blocks[pos.block + 1];
		if (b->n + next->n <= INDEX_BLOCK / 2) {
			memcpy(b->objs + b->n, next->objs, next->n * sizeof(b->objs[0]));
			b->n += next->n;
			drop_block(x, pos.block + 1);
		}
	}
	return old;
}
