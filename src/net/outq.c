// SPDX-License-Identifier: Apache-2.0
// A queue of bytes to send: runs of copied bytes, and large pieces that stay their owner's (blobs of
// the store) until they are sent. Copies are gathered in blocks, so that many small answers of one
// turn become one TLS record and one system call.
#include "net/net_priv.h"

enum {
	KEEP_MIN = 4096,        /* below this a copy is cheaper than a segment of its own */
	BLOCK_MIN = 2048 - 64,
	BLOCK_MAX = 16384,      /* one TLS record */
};

struct cor_seg {
	struct cor_seg *next;
	const char *p;
	size_t n;
	size_t room;            /* left behind p + n; 0 for kept pieces */
	void (*release)(void *owner);
	void *owner;
	char data[];
};

static void append(struct cor_outq *q, struct cor_seg *s) {
	if (q->tail)
		q->tail->next = s;
	else
		q->head = s;
	q->tail = s;
}

static void drop_head(struct cor_outq *q) {
	struct cor_seg *s = q->head;

	q->head = s->next;
	if (!q->head)
		q->tail = NULL;
	if (s->release)
		s->release(s->owner);
	free(s);
}

void cor_outq_fini(struct cor_outq *q) {
	while (q->head)
		drop_head(q);
	q->n = 0;
}

void cor_outq_copy(struct cor_outq *q, struct cor_str s) {
	q->n += s.n;
	while (s.n) {
		struct cor_seg *t = q->tail;
		size_t n;

		if (!t || !t->room) {
			size_t cap = s.n < BLOCK_MIN && !t ? BLOCK_MIN : BLOCK_MAX;

			t = malloc(sizeof(*t) + cap);
			cor_assert(t != NULL);
			*t = (struct cor_seg){ .p = t->data, .room = cap };
			append(q, t);
		}
		n = s.n < t->room ? s.n : t->room;
		memcpy((char *)t->p + t->n, s.p, n);
		t->n += n;
		t->room -= n;
		s.p += n;
		s.n -= n;
	}
}

void cor_outq_piece(struct cor_outq *q, const struct cor_piece *piece) {
	struct cor_seg *s;

	if (!piece->release || piece->data.n < KEEP_MIN) {
		cor_outq_copy(q, piece->data);
		if (piece->release)
			piece->release(piece->owner);
		return;
	}
	s = cor_new(struct cor_seg);
	s->p = piece->data.p;
	s->n = piece->data.n;
	s->release = piece->release;
	s->owner = piece->owner;
	q->n += s->n;
	append(q, s);
}

struct cor_str cor_outq_first(const struct cor_outq *q) {
	return q->head ? (struct cor_str){ q->head->p, q->head->n } : (struct cor_str){ 0 };
}

unsigned cor_outq_vec(const struct cor_outq *q, uv_buf_t *vec, unsigned max) {
	const struct cor_seg *s;
	unsigned n = 0;

	for (s = q->head; s && n < max; s = s->next)
		vec[n++] = uv_buf_init((char *)s->p, (unsigned)s->n);
	return n;
}

void cor_outq_consume(struct cor_outq *q, size_t n) {
	cor_assert(n <= q->n);
	q->n -= n;
	while (n) {
		struct cor_seg *s = q->head;

		if (n < s->n) {
			s->p += n;
			s->n -= n;
			return;
		}
		n -= s->n;
		drop_head(q);
	}
}

size_t cor_outq_read(struct cor_outq *q, void *p, size_t n) {
	size_t done = 0;

	while (done < n && q->head) {
		size_t k = q->head->n < n - done ? q->head->n : n - done;

		memcpy((char *)p + done, q->head->p, k);
		done += k;
		cor_outq_consume(q, k);
	}
	return done;
}

size_t cor_pieces_size(const struct cor_piece *pieces, size_t n) {
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += pieces[i].data.n;
	return size;
}

void cor_pieces_release(const struct cor_piece *pieces, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (pieces[i].release)
			pieces[i].release(pieces[i].owner);
}
