// SPDX-License-Identifier: Apache-2.0
// SPDY/3.1 as Kubernetes' streaming uses it, without input and output: bytes go in by
// cor_spdy_input and come out through ops.write, so it runs on a connection as well as inside
// WebSocket messages. Both roles; the server's is the one in use, the client's serves tests.
// Peers never send credit, so there is no flow control: back-pressure is that of the transport.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "net/http.h"

struct cor_spdy;
struct cor_spdy_stream;

enum cor_spdy_status {
	COR_SPDY_PROTOCOL_ERROR = 1,
	COR_SPDY_INVALID_STREAM = 2,
	COR_SPDY_REFUSED = 3,
	COR_SPDY_UNSUPPORTED_VERSION = 4,
	COR_SPDY_CANCEL = 5,
	COR_SPDY_INTERNAL = 6,
	COR_SPDY_FLOW_CONTROL = 7,
	COR_SPDY_IN_USE = 8,
	COR_SPDY_ALREADY_CLOSED = 9,
};

struct cor_spdy_ops {
	void (*write)(void *arg, struct cor_str bytes);         /* must copy */
	void (*pause)(void *arg, bool paused);                  /* stop or go on calling input */
	/* The peer opened s: reply to it or reset it, now or later. */
	void (*on_stream)(void *arg, struct cor_spdy_stream *s);
	void (*on_reply)(void *arg, struct cor_spdy_stream *s); /* client role; may be NULL */
	void (*on_data)(void *arg, struct cor_spdy_stream *s, struct cor_str data);
	void (*on_eof)(void *arg, struct cor_spdy_stream *s);   /* once per stream */
	/* Last call for s: both directions ended, or either side reset it (status != 0), or the
	 * session is freed. */
	void (*on_gone)(void *arg, struct cor_spdy_stream *s, int status);
};

struct cor_spdy *cor_spdy_new(bool server, const struct cor_spdy_ops *ops, void *arg);
/* on_gone for each stream; must not be called from within input (use a flag and the return). */
void cor_spdy_free(struct cor_spdy *s);
/* Takes all of data, or what a pause leaves: the rest is held back until the pause ends. Negative when
 * the connection is broken: send what waits and close. */
[[nodiscard]] int cor_spdy_input(struct cor_spdy *s, struct cor_str data, struct cor_err *err);
/* Resets every open stream (cancel) and says goodbye. */
void cor_spdy_goaway(struct cor_spdy *s);
bool cor_spdy_goaway_received(const struct cor_spdy *s);
size_t cor_spdy_streams(const struct cor_spdy *s);

/* Client role: opens a stream with headers (names in lower case). */
struct cor_spdy_stream *cor_spdy_open(struct cor_spdy *s, const struct cor_http_header *h, size_t n);

uint32_t cor_spdy_stream_id(const struct cor_spdy_stream *st);
struct cor_str cor_spdy_stream_header(const struct cor_spdy_stream *st, const char *name);
void cor_spdy_stream_set_user(struct cor_spdy_stream *st, void *user);
void *cor_spdy_stream_user(const struct cor_spdy_stream *st);
/* Server role: accept. Nothing may be sent before. */
void cor_spdy_reply(struct cor_spdy_stream *st);
/* fin ends our direction; data may be empty then. The stream may be gone after it. */
void cor_spdy_send(struct cor_spdy_stream *st, struct cor_str data, bool fin);
void cor_spdy_reset(struct cor_spdy_stream *st, enum cor_spdy_status status);
/* Data of a paused stream is held back, up to 256 KiB; beyond that the transport is paused. */
void cor_spdy_pause(struct cor_spdy_stream *st, bool paused);
