// SPDX-License-Identifier: Apache-2.0
// The SPDY/3.1 session (see spdy.h). A frame is taken from the input when its head is complete;
// control frames wait until they are whole (bounded), data frames are handed on in the pieces in
// which they come, so that their size of up to 16 MiB needs no buffer.
//
// A stream lives until both directions have ended or one side reset it. While frames are being
// read nothing is freed under the reader: streams that end are collected and go behind it.
#include "net/net_priv.h"
#include "net/spdy_priv.h"

enum {
	FRAME_HEAD = 8,
	CONTROL_MAX = 1024 * 1024,      /* a control frame */
	STREAMS_MAX = 1024,
	HELD_MAX = 256 * 1024,          /* of one paused stream */
	SEND_MAX = 64 * 1024,           /* a data frame of ours */
	REPLIES_MAX = 1024 * 1024,
	FLAG_FIN = 1,
};

enum frame_type { SYN_STREAM = 1, SYN_REPLY, RST_STREAM, SETTINGS, PING = 6, GOAWAY, HEADERS,
	WINDOW_UPDATE };

struct cor_spdy_stream {
	struct cor_link link;
	struct cor_spdy *session;
	uint32_t id;
	struct cor_arena *arena;
	struct cor_spdy_headers headers;
	void *user;
	struct cor_buf held;
	bool replied;           /* data may flow */
	bool in_done, out_done; /* no more from the peer; no more from us */
	bool eof_told, paused, gone;
	int status;             /* of a reset */
};

struct cor_spdy {
	bool server;
	struct cor_spdy_ops ops;
	void *arg;
	z_stream packer, unpacker;
	struct cor_link streams, dead;
	size_t n_streams;
	uint32_t last_id, next_id;
	bool goaway_received, goaway_sent, reading, transport_paused, broken;
	struct cor_buf in;      /* a frame that is not complete */
	/* of the data frame under way */
	struct cor_spdy_stream *data_stream;
	uint32_t data_left;
	bool in_data, data_fin;
};

/* ---- frames out ---- */

static void send_control(struct cor_spdy *s, enum frame_type type, unsigned flags,
	struct cor_str body, struct cor_str more) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

	cor_put_be32(&b, 0x80030000u | type);
	cor_put_be32(&b, flags << 24 | (uint32_t)(body.n + more.n));
	cor_buf_str(&b, body);
	cor_buf_str(&b, more);
	s->ops.write(s->arg, cor_buf_view(&b));
}

static void send_words(struct cor_spdy *s, enum frame_type type, uint32_t a, uint32_t b, size_t n) {
	char raw[8] = { (char)(a >> 24), (char)(a >> 16), (char)(a >> 8), (char)a,
		(char)(b >> 24), (char)(b >> 16), (char)(b >> 8), (char)b };

	send_control(s, type, 0, (struct cor_str){ raw, 4 * n }, (struct cor_str){ 0 });
}

/* ---- streams ---- */

static struct cor_spdy_stream *find(struct cor_spdy *s, uint32_t id) {
	struct cor_link *l;

	for (l = s->streams.next; l != &s->streams; l = l->next) {
		struct cor_spdy_stream *st = cor_container_of(l, struct cor_spdy_stream, link);

		if (st->id == id)
			return st;
	}
	return NULL;
}

static void stream_free(struct cor_spdy_stream *st) {
	cor_list_remove(&st->link);
	cor_arena_free(st->arena);
	cor_buf_fini(&st->held);
	free(st);
}

/* The end of a stream: the owner is told, and its memory goes when nobody reads any more. */
static void stream_gone(struct cor_spdy_stream *st, int status) {
	struct cor_spdy *s = st->session;

	if (st->gone)
		return;
	st->gone = true;
	st->status = status;
	s->n_streams--;
	if (s->data_stream == st)
		s->data_stream = NULL;
	cor_list_push(&s->dead, &st->link);
	s->ops.on_gone(s->arg, st, status);
}

static void bury(struct cor_spdy *s) {
	if (s->reading)
		return;
	while (!cor_list_empty(&s->dead))
		stream_free(cor_container_of(s->dead.next, struct cor_spdy_stream, link));
}

static void maybe_gone(struct cor_spdy_stream *st) {
	if (st->in_done && st->eof_told && st->out_done)
		stream_gone(st, 0);
}

static void tell_eof(struct cor_spdy_stream *st) {
	if (!st->in_done || st->eof_told || st->paused || st->held.n || st->gone || !st->replied)
		return;
	st->eof_told = true;
	st->session->ops.on_eof(st->session->arg, st);
	maybe_gone(st);
}

static void stream_data(struct cor_spdy_stream *st, struct cor_str data) {
	if (st->in_done || st->gone || !data.n)
		return;
	if (st->paused || st->held.n || !st->replied)
		cor_buf_str(&st->held, data);
	else
		st->session->ops.on_data(st->session->arg, st, data);
}

static struct cor_spdy_stream *stream_new(struct cor_spdy *s, uint32_t id) {
	struct cor_spdy_stream *st = cor_new(struct cor_spdy_stream);

	st->session = s;
	st->id = id;
	st->arena = cor_arena_new(2 * COR_SPDY_BLOCK_MAX);
	cor_list_push(&s->streams, &st->link);
	s->n_streams++;
	return st;
}

/* ---- frames in ---- */

/* Some stream holds back too much. */
static bool jammed(const struct cor_spdy *s) {
	const struct cor_link *l;

	for (l = s->streams.next; l != &s->streams; l = l->next)
		if (cor_container_of(l, struct cor_spdy_stream, link)->held.n >= HELD_MAX)
			return true;
	return false;
}

static void set_transport(struct cor_spdy *s) {
	bool pause = jammed(s);

	if (pause == s->transport_paused)
		return;
	s->transport_paused = pause;
	s->ops.pause(s->arg, pause);
}

/* Behind whatever may have ended streams or taken held data. */
static void settle(struct cor_spdy *s) {
	if (s->reading)
		return;
	bury(s);
	set_transport(s);
}

static int broken(struct cor_err *err, const char *what) __attribute__((warn_unused_result));
static int broken(struct cor_err *err, const char *what) {
	return cor_fail(err, COR_E_PARSE, "SPDY: %s", what);
}

static int syn_stream(struct cor_spdy *s, unsigned flags, struct cor_str body, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = NULL;
	struct cor_spdy_headers h = { 0 };
	struct cor_spdy_stream *st;
	uint32_t id;
	int r;

	if (body.n < 10)
		return broken(err, "short SYN_STREAM");
	id = cor_be32(body.p) & 0x7fffffff;
	a = cor_arena_new(2 * COR_SPDY_BLOCK_MAX);
	/* The block must be unpacked even when the stream is refused. */
	r = cor_spdy_unpack(&s->unpacker, (struct cor_str){ body.p + 10, body.n - 10 }, s->server, a, &h,
		err);
	if (r < 0)
		return r;
	if (!id || (id & 1) != (s->server ? 1 : 0) || id <= s->last_id) {
		send_words(s, RST_STREAM, id, COR_SPDY_PROTOCOL_ERROR, 2);
		return 0;
	}
	s->last_id = id;
	if (s->n_streams >= STREAMS_MAX || s->goaway_sent) {
		send_words(s, RST_STREAM, id, COR_SPDY_REFUSED, 2);
		return 0;
	}
	st = stream_new(s, id);
	cor_arena_free(st->arena);
	st->arena = cor_take(a);
	st->headers = h;
	st->in_done = flags & FLAG_FIN;
	st->out_done = flags & 2;       /* unidirectional: nothing from us */
	s->ops.on_stream(s->arg, st);
	return 0;
}

static int syn_reply(struct cor_spdy *s, unsigned flags, struct cor_str body, struct cor_err *err,
	bool reply) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(2 * COR_SPDY_BLOCK_MAX);
	struct cor_spdy_headers h = { 0 };
	struct cor_spdy_stream *st;
	int r;

	if (body.n < 4)
		return broken(err, "short header frame");
	r = cor_spdy_unpack(&s->unpacker, (struct cor_str){ body.p + 4, body.n - 4 }, false, a, &h, err);
	if (r < 0)
		return r;
	st = find(s, cor_be32(body.p) & 0x7fffffff);
	if (!st)
		return 0;
	if (flags & FLAG_FIN)
		st->in_done = true;
	if (reply && !s->server && !st->replied) {
		st->replied = true;
		if (s->ops.on_reply)
			s->ops.on_reply(s->arg, st);
	}
	tell_eof(st);
	return 0;
}

static int control(struct cor_spdy *s, unsigned type, unsigned flags, struct cor_str body,
	struct cor_err *err) {
	struct cor_spdy_stream *st;

	switch (type) {
	case SYN_STREAM:
		return syn_stream(s, flags, body, err);
	case SYN_REPLY:
		return syn_reply(s, flags, body, err, true);
	case HEADERS:
		return syn_reply(s, flags, body, err, false);
	case RST_STREAM:
		if (body.n != 8)
			return broken(err, "malformed RST_STREAM");
		st = find(s, cor_be32(body.p) & 0x7fffffff);
		if (st)
			stream_gone(st, body.p[7] ? (unsigned char)body.p[7] : COR_SPDY_CANCEL);
		return 0;
	case PING:
		if (body.n != 4)
			return broken(err, "malformed PING");
		/* One of ours coming back needs no answer; the peer's has the other parity. */
		if ((cor_be32(body.p) & 1) == (s->server ? 1 : 0))
			send_words(s, PING, cor_be32(body.p), 0, 1);
		return 0;
	case GOAWAY:
		if (body.n != 8)
			return broken(err, "malformed GOAWAY");
		s->goaway_received = true;
		return 0;
	case SETTINGS:
		return body.n < 4 || body.n != 4 + 8 * (size_t)cor_be32(body.p)
			? broken(err, "malformed SETTINGS") : 0;
	case WINDOW_UPDATE:
		return body.n != 8 ? broken(err, "malformed WINDOW_UPDATE") : 0;
	default:
		return broken(err, "unknown control frame");
	}
}

static void data_piece(struct cor_spdy *s, struct cor_str piece) {
	struct cor_spdy_stream *st = s->data_stream;

	s->data_left -= (uint32_t)piece.n;
	if (!s->data_left)
		s->in_data = false;
	if (!st)
		return;
	stream_data(st, piece);
	st = s->data_stream;            /* NULL when the callback ended it */
	if (s->data_left)
		return;
	s->data_stream = NULL;
	if (st && s->data_fin && !st->in_done) {
		st->in_done = true;
		tell_eof(st);
	}
}

static void begin_data(struct cor_spdy *s, uint32_t id, uint32_t w) {
	s->data_left = w & 0xffffff;
	s->data_fin = w >> 24 & FLAG_FIN;
	s->data_stream = find(s, id);
	s->in_data = true;
	if (s->data_stream && s->data_stream->in_done)
		s->data_stream = NULL;
	if (!s->data_left)
		data_piece(s, (struct cor_str){ "", 0 });
}

/* A frame, or a piece of one, off the front of in; 0 when more is needed. */
static int64_t one_frame(struct cor_spdy *s, struct cor_str in, struct cor_err *err) {
	uint32_t first, w;
	size_t len;
	int r;

	if (s->in_data) {
		size_t n = in.n < s->data_left ? in.n : s->data_left;

		data_piece(s, (struct cor_str){ in.p, n });
		return (int64_t)n;
	}
	if (in.n < FRAME_HEAD)
		return 0;
	first = cor_be32(in.p);
	w = cor_be32(in.p + 4);
	if (!(first & 0x80000000u)) {
		begin_data(s, first, w);
		return FRAME_HEAD;
	}
	len = w & 0xffffff;
	if ((first >> 16 & 0x7fff) != 3)
		return broken(err, "unsupported version");
	if (len > CONTROL_MAX)
		return cor_fail(err, COR_E_LIMIT, "SPDY: control frame too large");
	if (in.n < FRAME_HEAD + len)
		return 0;
	r = control(s, first & 0xffff, w >> 24, (struct cor_str){ in.p + FRAME_HEAD, len }, err);
	return r < 0 ? r : (int64_t)(FRAME_HEAD + len);
}

int cor_spdy_input(struct cor_spdy *s, struct cor_str data, struct cor_err *err) {
	bool stored = s->in.n > 0;
	struct cor_str in = data;
	int64_t r = 0;

	if (s->broken)
		return broken(err, "session is broken");
	cor_assert(!s->reading);
	if (stored) {
		cor_buf_str(&s->in, data);
		in = cor_buf_view(&s->in);
	}
	s->reading = true;
	while (in.n) {
		r = one_frame(s, in, err);
		if (r <= 0)
			break;
		in.p += r;
		in.n -= (size_t)r;
	}
	s->reading = false;
	bury(s);
	if (r < 0) {
		s->broken = true;
		cor_buf_fini(&s->in);
		return (int)r;
	}
	if (stored)
		cor_buf_consume(&s->in, s->in.n - in.n);
	else
		cor_buf_str(&s->in, in);
	if (!s->in.n)
		cor_buf_fini(&s->in);
	set_transport(s);
	return 0;
}

/* ---- what the owner calls ---- */


struct cor_spdy *cor_spdy_new(bool server, const struct cor_spdy_ops *ops, void *arg) {
	struct cor_spdy *s = cor_new(struct cor_spdy);
	struct cor_str d = cor_spdy_dictionary();

	s->server = server;
	s->ops = *ops;
	s->arg = arg;
	s->next_id = server ? 2 : 1;
	cor_list_init(&s->streams);
	cor_list_init(&s->dead);
	/* A small window: header blocks are a few hundred bytes. */
	cor_assert(inflateInit(&s->unpacker) == Z_OK &&
		deflateInit2(&s->packer, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 11, 4,
			Z_DEFAULT_STRATEGY) == Z_OK &&
		deflateSetDictionary(&s->packer, (const Bytef *)d.p, (uInt)d.n) == Z_OK);
	return s;
}

void cor_spdy_free(struct cor_spdy *s) {
	if (!s)
		return;
	cor_assert(!s->reading);
	while (!cor_list_empty(&s->streams))
		stream_gone(cor_container_of(s->streams.next, struct cor_spdy_stream, link),
			COR_SPDY_CANCEL);
	bury(s);
	deflateEnd(&s->packer);
	inflateEnd(&s->unpacker);
	cor_buf_fini(&s->in);
	free(s);
}

void cor_spdy_goaway(struct cor_spdy *s) {
	if (s->goaway_sent)
		return;
	s->goaway_sent = true;
	for (struct cor_link *l = s->streams.next; l != &s->streams; l = l->next)
		send_words(s, RST_STREAM, cor_container_of(l, struct cor_spdy_stream, link)->id,
			COR_SPDY_CANCEL, 2);
	send_words(s, GOAWAY, s->last_id, 0, 2);
}

bool cor_spdy_goaway_received(const struct cor_spdy *s) {
	return s->goaway_received;
}

size_t cor_spdy_streams(const struct cor_spdy *s) {
	return s->n_streams;
}

struct cor_spdy_stream *cor_spdy_open(struct cor_spdy *s, const struct cor_http_header *h, size_t n) {
	struct cor_spdy_stream *st = stream_new(s, s->next_id);
	_cleanup_buf_ struct cor_buf block = COR_BUF_INIT;
	char head[10] = { (char)(st->id >> 24), (char)(st->id >> 16), (char)(st->id >> 8),
		(char)st->id };

	s->next_id += 2;
	cor_spdy_pack(&s->packer, h, n, &block);
	send_control(s, SYN_STREAM, 0, (struct cor_str){ head, sizeof(head) }, cor_buf_view(&block));
	return st;
}

uint32_t cor_spdy_stream_id(const struct cor_spdy_stream *st) {
	return st->id;
}

struct cor_str cor_spdy_stream_header(const struct cor_spdy_stream *st, const char *name) {
	for (size_t i = 0; i < st->headers.n; i++)
		if (cor_str_eq_c(st->headers.p[i].name, name))
			return st->headers.p[i].value;
	return (struct cor_str){ 0 };
}

void cor_spdy_stream_set_user(struct cor_spdy_stream *st, void *user) {
	st->user = user;
}

void *cor_spdy_stream_user(const struct cor_spdy_stream *st) {
	return st->user;
}

/* Hands on what was held back, as far as it is wanted. */
static void release_held(struct cor_spdy_stream *st) {
	struct cor_spdy *s = st->session;

	if (st->held.n && !st->paused && st->replied) {
		struct cor_buf b = st->held;

		st->held = COR_BUF_INIT;
		s->ops.on_data(s->arg, st, cor_buf_view(&b));
		cor_buf_fini(&b);
	}
	if (!st->gone)
		tell_eof(st);
}

void cor_spdy_reply(struct cor_spdy_stream *st) {
	struct cor_spdy *s = st->session;
	_cleanup_buf_ struct cor_buf block = COR_BUF_INIT;
	char head[4] = { (char)(st->id >> 24), (char)(st->id >> 16), (char)(st->id >> 8),
		(char)st->id };
	bool nested = s->reading;

	if (st->replied || st->gone)
		return;
	cor_spdy_pack(&s->packer, NULL, 0, &block);
	send_control(s, SYN_REPLY, 0, (struct cor_str){ head, sizeof(head) }, cor_buf_view(&block));
	st->replied = true;
	s->reading = true;              /* the stream may end in a callback */
	release_held(st);
	s->reading = nested;
	settle(s);
}

void cor_spdy_send(struct cor_spdy_stream *st, struct cor_str data, bool fin) {
	struct cor_spdy *s = st->session;

	if (st->out_done || st->gone)
		return;
	do {
		size_t n = data.n < SEND_MAX ? data.n : SEND_MAX;
		bool last = fin && n == data.n;
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

		if (!n && !last)
			return;
		cor_put_be32(&b, st->id);
		cor_put_be32(&b, (last ? (uint32_t)FLAG_FIN << 24 : 0) | (uint32_t)n);
		cor_buf_add(&b, data.p, n);
		s->ops.write(s->arg, cor_buf_view(&b));
		data = cor_str_sub(data, n, data.n - n);
	} while (data.n);
	if (!fin)
		return;
	st->out_done = true;
	maybe_gone(st);
	settle(s);
}

void cor_spdy_reset(struct cor_spdy_stream *st, enum cor_spdy_status status) {
	struct cor_spdy *s = st->session;

	if (st->gone)
		return;
	send_words(s, RST_STREAM, st->id, status, 2);
	stream_gone(st, (int)status);
	settle(s);
}

void cor_spdy_pause(struct cor_spdy_stream *st, bool paused) {
	struct cor_spdy *s = st->session;
	bool nested = s->reading;

	if (st->paused == paused || st->gone)
		return;
	st->paused = paused;
	if (paused)
		return;
	s->reading = true;
	release_held(st);
	s->reading = nested;
	settle(s);
}
