// SPDX-License-Identifier: Apache-2.0
// A queue of bytes to send: runs of copied bytes, and large pieces or long rows of pieces that stay
// their owner's (blobs of the store) until they are sent. Copies are gathered in blocks, so that many
// small answers of one turn become one TLS record and one system call.
#include "net/net_priv.h"

enum {
	KEEP_MIN = 4096,        /* below this a copy is cheaper than a segment of its own */
	BLOCK_MIN = 2048 - 64,
	BLOCK_MAX = 16384,      /* one TLS record */
	ROW_MIN = 64 * 1024,    /* of pieces together: from here on they are kept whatever their size */
};

struct cor_seg {
	struct cor_seg *next;
	const char *p;
	size_t n;
	size_t room;            /* left behind p + n; 0 for kept pieces */
	void (*release)(void *owner);
	void *owner;
	const struct cor_piece *next_piece, *end_piece; /* of a row, behind the one above */
	_Alignas(struct cor_piece) char data[];
};

static void append(struct cor_outq *q, struct cor_seg *s) {
	if (q->tail)
		q->tail->next = s;
	else
		q->head = s;
	q->tail = s;
}

/* The piece at hand is done with: to the next one of the row that has bytes. False: there is none. */
static bool next_piece(struct cor_seg *s) {
	for (;;) {
		if (s->release)
			s->release(s->owner);
		s->release = NULL;
		if (s->next_piece == s->end_piece)
			return false;
		s->p = s->next_piece->data.p;
		s->n = s->next_piece->data.n;
		s->release = s->next_piece->release;
		s->owner = s->next_piece->owner;
		s->next_piece++;
		if (s->n)
			return true;
	}
}

static void drop_head(struct cor_outq *q) {
	struct cor_seg *s = q->head;

	q->head = s->next;
	if (!q->head)
		q->tail = NULL;
	while (next_piece(s))
		;
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

void cor_outq_copy_apart(struct cor_outq *q, struct cor_str s) {
	struct cor_seg *t = malloc(sizeof(*t) + s.n);

	cor_assert(t != NULL);
	*t = (struct cor_seg){ .p = t->data, .n = s.n };
	memcpy(t->data, s.p, s.n);
	q->n += s.n;
	append(q, t);
}

static void add_piece(struct cor_outq *q, const struct cor_piece *piece) {
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

/* All pieces in one segment; what has no owner is copied behind them. */
static void add_row(struct cor_outq *q, const struct cor_piece *pieces, size_t n, size_t size) {
	size_t texts = 0;

	for (size_t i = 0; i < n; i++)
		texts += pieces[i].release ? 0 : pieces[i].data.n;

	struct cor_seg *s = malloc(sizeof(*s) + n * sizeof(*pieces) + texts);
	cor_assert(s != NULL);
	struct cor_piece *row = (struct cor_piece *)(void *)s->data;
	char *text = (char *)(row + n);

	*s = (struct cor_seg){ .next_piece = row, .end_piece = row + n };
	for (size_t i = 0; i < n; i++) {
		row[i] = pieces[i];
		if (pieces[i].release || !pieces[i].data.n)
			continue;
		memcpy(text, pieces[i].data.p, pieces[i].data.n);
		row[i].data.p = text;
		text += pieces[i].data.n;
	}
	(void)next_piece(s);
	q->n += size;
	append(q, s);
}

void cor_outq_pieces(struct cor_outq *q, const struct cor_piece *pieces, size_t n) {
	size_t size = n > 2 ? cor_pieces_size(pieces, n) : 0;

	if (size >= ROW_MIN) {
		add_row(q, pieces, n, size);
		return;
	}
	for (size_t i = 0; i < n; i++)
		add_piece(q, &pieces[i]);
}

struct cor_str cor_outq_first(const struct cor_outq *q) {
	return q->head ? (struct cor_str){ q->head->p, q->head->n } : (struct cor_str){ 0 };
}

unsigned cor_outq_vec(const struct cor_outq *q, uv_buf_t *vec, unsigned max) {
	const struct cor_seg *s;
	unsigned n = 0;

	for (s = q->head; s && n < max; s = s->next) {
		vec[n++] = uv_buf_init((char *)s->p, (unsigned)s->n);
		for (const struct cor_piece *p = s->next_piece; p != s->end_piece && n < max; p++)
			vec[n++] = uv_buf_init((char *)p->data.p, (unsigned)p->data.n);
	}
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
		if (!next_piece(s))
			drop_head(q);
	}
}

size_t cor_outq_read(struct cor_outq *q, void *p, size_t n) {
	size_t done = 0;

	while (done < n && q->n) {
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
