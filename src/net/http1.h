// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 reader: heads and bodies as RFC 9112 has them, and nothing that two readers could
// understand differently (bare LF, folded lines, blanks before colons, repeated or signed lengths,
// codings other than chunked, both a length and a coding). It does no input or output and keeps
// no copy: texts point into the bytes it was given, names are lowered in place.
#pragma once

#include "net/http.h"

enum {
	COR_HTTP1_HEADERS_MAX = 128,
	COR_HTTP1_CHUNK_LINE_MAX = 256,
	COR_HTTP1_TRAILER_MAX = 8192,
};

enum cor_http1_framing {
	COR_HTTP1_NO_BODY,
	COR_HTTP1_LENGTH,
	COR_HTTP1_CHUNKED,
	COR_HTTP1_UNTIL_CLOSE,  /* answers only */
};

struct cor_http1_head {
	/* request */
	struct cor_str method, target, path, query, authority;
	bool expect_continue;
	/* answer */
	int status;
	/* both */
	int minor;                      /* of HTTP/1.minor */
	bool keep_alive;
	bool upgrade;                   /* Connection: upgrade */
	enum cor_http1_framing framing;
	uint64_t length;
	struct cor_http_header headers[COR_HTTP1_HEADERS_MAX];
	size_t n_headers;
};

/* Length of the head with its empty line, or 0 when it is not complete yet. *scan (0 at first) keeps
 * where to go on looking, so that a head that trickles in is looked at once. */
size_t cor_http1_head_end(struct cor_str s, size_t *scan);
/* s is exactly one head. On failure the negative code's err carries the HTTP status to answer. */
[[nodiscard]] int cor_http1_parse_request(char *p, size_t n, struct cor_http1_head *ret,
	struct cor_err *err);
/* head_request: the answer to HEAD has no body whatever its head says. */
[[nodiscard]] int cor_http1_parse_response(char *p, size_t n, bool head_request,
	struct cor_http1_head *ret, struct cor_err *err);

struct cor_http1_body {
	enum cor_http1_framing framing;
	int state;
	bool done;
	uint64_t left;                  /* of the length or of the chunk */
	size_t line;                    /* bytes of the chunk line or the trailer so far */
	int digits;
};
void cor_http1_body_init(struct cor_http1_body *b, enum cor_http1_framing framing, uint64_t length);
/* Takes bytes off *in up to the next piece of the body, which *ret_data is set to (empty when the input
 * ran out or the body is done). Loop while it gives data. */
[[nodiscard]] int cor_http1_body_next(struct cor_http1_body *b, struct cor_str *in,
	struct cor_str *ret_data, struct cor_err *err);
/* The reason phrase of a status. */
const char *cor_http_reason(int status);
/* True when the comma list contains token, in any case. */
bool cor_http_list_has(struct cor_str list, const char *token);
