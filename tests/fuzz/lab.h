// SPDX-License-Identifier: Apache-2.0
// For targets that speak a protocol: a loop, an HTTP server on a Unix socket, and the peer's end of
// connections to it, all in one thread. Nothing waits for a clock: what was sent has arrived, so
// the loop turns until the other side has closed.
#pragma once

#include <uv.h>

#include "fuzz.h"
#include "net/http.h"

/* Leaves the network: a namespace of its own with nothing but a loopback, so that no input,
 * whatever address it names, reaches anybody. Needs root. */
void fuzz_isolate(void);

struct fuzz_lab {
	uv_loop_t loop;
	struct cor_http_server *http;
	int listener;
	int port; /* not 0: connect there instead, by TCP on the loopback */
	/* Moves what is not on the loop (a simulated world); NULL: nothing. */
	void (*step)(void);
};
/* c->loop is set here. */
void fuzz_lab_serve(struct fuzz_lab *lab, struct cor_http_config *c);
/* Turns the loop until nothing moves any more, at most so many times. */
void fuzz_lab_turn(struct fuzz_lab *lab, int times);
/* Connects, sends all of in (in pieces of so many bytes), ends its side and reads what comes, which
 * is appended to out (may be NULL). True when the server has closed its side too. */
bool fuzz_lab_talk(struct fuzz_lab *lab, struct cor_str in, size_t piece, struct cor_buf *out);

/* Cuts one request written as text off *in, up to a line "%%" or the end, and appends it to out as
 * HTTP/1.1 with its length: METHOD TARGET, headers a line each, an empty line, the body. False when
 * there is none. */
bool fuzz_request(struct cor_str *in, struct cor_buf *out);
/* The answer's status, and its body put together in body; content_type is copied, at most size - 1
 * bytes of it. Asserts that it is one whole answer of a server; 0 when there is none, or it is no
 * end yet. */
int fuzz_response(struct cor_buf *answer, bool head_request, struct cor_buf *body,
	char *content_type, size_t size);
