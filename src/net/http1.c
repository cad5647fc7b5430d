// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 reader (see http1.h). Every refusal names the status to answer with; what is refused
// ends its connection, because after it nobody knows where the next message begins.
#include "net/http1.h"

#include <strings.h>

enum { TCHAR = 1, VALUE = 2, TARGET = 4, HEX = 8, DIGIT = 16 };

/* Classes of bytes: token characters, field values, request targets, digits. */
static uint8_t classes[256];

__attribute__((constructor)) static void make_classes(void) {
	for (int c = 0; c < 256; c++) {
		uint8_t k = 0;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c && strchr("!#$%&'*+-.^_`|~", c)))
			k |= TCHAR;
		if (c == '\t' || (c >= ' ' && c != 0x7f))
			k |= VALUE;
		if (c > ' ' && c < 0x7f && c != '#')
			k |= TARGET;
		if (c >= '0' && c <= '9')
			k |= HEX | DIGIT;
		if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			k |= HEX;
		classes[c] = k;
	}
}

static bool is(char c, uint8_t k) {
	return classes[(unsigned char)c] & k;
}

static bool all(struct cor_str s, uint8_t k) {
	for (size_t i = 0; i < s.n; i++)
		if (!is(s.p[i], k))
			return false;
	return true;
}

static bool eq_nocase(struct cor_str s, const char *t) {
	return s.n == strlen(t) && strncasecmp(s.p, t, s.n) == 0;
}

__attribute__((warn_unused_result)) static int bad(struct cor_err *err, int http, const char *what) {
	int r = cor_fail(err, http == 431 || http == 413 ? COR_E_LIMIT : COR_E_PARSE, "%s", what);

	if (err)
		err->http = http;
	return r;
}

size_t cor_http1_head_end(struct cor_str s, size_t *scan) {
	const char *p;

	if (s.n < 4)
		return 0;
	p = memmem(s.p + *scan, s.n - *scan, "\r\n\r\n", 4);
	if (p)
		return (size_t)(p - s.p) + 4;
	*scan = s.n - 3;
	return 0;
}

bool cor_http_list_has(struct cor_str list, const char *token) {
	while (list.p) {
		struct cor_str t = cor_str_trim(cor_str_cut(&list, ','));

		if (eq_nocase(t, token))
			return true;
	}
	return false;
}

/* Takes the line before CRLF; the head is known to end in CRLF CRLF. False when a CR or LF stands
 * alone. */
static bool take_line(char **p, char *end, struct cor_str *ret) {
	char *nl = memchr(*p, '\n', (size_t)(end - *p));

	if (!nl || nl == *p || nl[-1] != '\r')
		return false;
	*ret = (struct cor_str){ *p, (size_t)(nl - 1 - *p) };
	*p = nl + 1;
	return memchr(ret->p, '\r', ret->n) == NULL;
}

static int parse_version(struct cor_str s, int *ret_minor, struct cor_err *err) {
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || !is(s.p[5], DIGIT) || s.p[6] != '.' ||
		!is(s.p[7], DIGIT))
		return bad(err, 400, "malformed HTTP version");
	if (s.p[5] != '1')
		return bad(err, 505, "unsupported HTTP version");
	*ret_minor = s.p[7] == '0' ? 0 : 1;
	return 0;
}

/* Sums up the headers that decide about framing and the connection. */
struct framing_facts {
	size_t n_length, n_coding, n_host;
	uint64_t length;
	bool chunked, close, keep;
};

static int parse_length(struct cor_str v, struct framing_facts *f, struct cor_err *err) {
	if (!v.n || v.n > 18 || !all(v, DIGIT) || !cor_str_to_u64(v, &f->length))
		return bad(err, 400, "malformed Content-Length");
	if (f->n_length++)
		return bad(err, 400, "repeated Content-Length");
	return 0;
}

static int note_header(struct cor_http1_head *h, const struct cor_http_header *hh,
	struct framing_facts *f, struct cor_err *err) {
	struct cor_str n = hh->name, v = hh->value;

	switch (n.n) {
	case 4:
		if (memcmp(n.p, "host", 4) == 0) {
			if (f->n_host++)
				return bad(err, 400, "repeated Host");
			h->authority = v;
		}
		break;
	case 6:
		if (memcmp(n.p, "expect", 6) == 0) {
			if (!eq_nocase(v, "100-continue"))
				return bad(err, 417, "unknown expectation");
			h->expect_continue = true;
		}
		break;
	case 10:
		if (memcmp(n.p, "connection", 10) == 0) {
			f->close |= cor_http_list_has(v, "close");
			f->keep |= cor_http_list_has(v, "keep-alive");
			h->upgrade |= cor_http_list_has(v, "upgrade");
		}
		break;
	case 14:
		if (memcmp(n.p, "content-length", 14) == 0)
			return parse_length(v, f, err);
		break;
	case 17:
		if (memcmp(n.p, "transfer-encoding", 17) == 0) {
			if (f->n_coding++ || !eq_nocase(v, "chunked"))
				return bad(err, 501, "unsupported Transfer-Encoding");
			f->chunked = true;
		}
		break;
	}
	return 0;
}

static int parse_header(struct cor_str line, struct cor_http_header *ret, struct cor_err *err) {
	size_t colon = cor_str_chr(line, ':');
	char *name = (char *)line.p;

	if (colon == line.n || colon == 0)
		return bad(err, 400, "malformed header line");
	for (size_t i = 0; i < colon; i++) {
		if (!is(name[i], TCHAR))
			return bad(err, 400, "malformed header name");
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] | 0x20);
	}
	ret->name = (struct cor_str){ name, colon };
	ret->value = cor_str_trim((struct cor_str){ line.p + colon + 1, line.n - colon - 1 });
	if (!all(ret->value, VALUE))
		return bad(err, 400, "malformed header value");
	return 0;
}

static int parse_headers(char **p, char *end, struct cor_http1_head *h, struct framing_facts *f,
	struct cor_err *err) {
	for (;;) {
		struct cor_http_header *hh = &h->headers[h->n_headers];
		struct cor_str line;
		int r;

		if (!take_line(p, end, &line))
			return bad(err, 400, "malformed line end");
		if (!line.n)
			return *p == end ? 0 : bad(err, 400, "malformed head");
		if (h->n_headers == COR_HTTP1_HEADERS_MAX)
			return bad(err, 431, "too many headers");
		r = parse_header(line, hh, err);
		if (r >= 0)
			r = note_header(h, hh, f, err);
		if (r < 0)
			return r;
		h->n_headers++;
	}
}

/* Origin form, or absolute form whose authority then counts, or * for OPTIONS. */
static int parse_target(struct cor_http1_head *h, struct cor_str *ret_authority,
	struct cor_err *err) {
	struct cor_str t = h->target, rest;
	size_t q, skip = 0;

	if (eq_nocase(h->method, "CONNECT"))
		return bad(err, 405, "CONNECT is not served");
	if (t.p[0] != '/') {
		if (cor_str_eq_c(t, "*")) {
			h->path = t;
			return cor_str_eq_c(h->method, "OPTIONS") ? 0
				: bad(err, 400, "malformed request target");
		}
		if (t.n > 7 && strncasecmp(t.p, "http://", 7) == 0)
			skip = 7;
		else if (t.n > 8 && strncasecmp(t.p, "https://", 8) == 0)
			skip = 8;
		else
			return bad(err, 400, "malformed request target");
		rest = cor_str_sub(t, skip, t.n - skip);
		q = cor_str_chr(rest, '/');
		if (q == rest.n || q == 0)
			return bad(err, 400, "malformed request target");
		*ret_authority = cor_str_sub(rest, 0, q);
		t = cor_str_sub(rest, q, rest.n - q);
	}
	q = cor_str_chr(t, '?');
	h->path = cor_str_sub(t, 0, q);
	if (q < t.n)
		h->query = (struct cor_str){ t.p + q + 1, t.n - q - 1 };
	return 0;
}

int cor_http1_parse_request(char *p, size_t n, struct cor_http1_head *h, struct cor_err *err) {
	char *end = p + n;
	struct framing_facts f = { 0 };
	struct cor_str line, absolute = { 0 };
	size_t sp;
	int r;

	h->n_headers = 0;
	h->query = h->authority = (struct cor_str){ 0 };
	h->expect_continue = h->upgrade = false;
	h->status = 0;
	if (!take_line(&p, end, &line))
		return bad(err, 400, "malformed line end");
	sp = cor_str_chr(line, ' ');
	h->method = cor_str_sub(line, 0, sp);
	if (sp == 0 || sp > 32 || sp == line.n || !all(h->method, TCHAR))
		return bad(err, 400, "malformed method");
	line = cor_str_sub(line, sp + 1, line.n - sp - 1);
	sp = cor_str_chr(line, ' ');
	h->target = cor_str_sub(line, 0, sp);
	if (sp == 0 || sp == line.n || !all(h->target, TARGET))
		return bad(err, 400, "malformed request target");
	r = parse_version(cor_str_sub(line, sp + 1, line.n - sp - 1), &h->minor, err);
	if (r < 0)
		return r;
	r = parse_target(h, &absolute, err);
	if (r < 0)
		return r;
	r = parse_headers(&p, end, h, &f, err);
	if (r < 0)
		return r;
	if (h->minor >= 1 && f.n_host != 1)
		return bad(err, 400, "missing Host");
	if (absolute.p)
		h->authority = absolute;
	if (f.chunked && (f.n_length || h->minor == 0))
		return bad(err, 400, "both Content-Length and Transfer-Encoding");
	h->framing = f.chunked ? COR_HTTP1_CHUNKED
		: f.n_length && f.length ? COR_HTTP1_LENGTH : COR_HTTP1_NO_BODY;
	h->length = f.length;
	h->keep_alive = !f.close && (h->minor >= 1 || f.keep);
	h->expect_continue = h->expect_continue && h->minor >= 1;
	return 0;
}

int cor_http1_parse_response(char *p, size_t n, bool head_request, struct cor_http1_head *h,
	struct cor_err *err) {
	char *end = p + n;
	struct framing_facts f = { 0 };
	struct cor_str line;
	int r;

	h->n_headers = 0;
	h->upgrade = false;
	if (!take_line(&p, end, &line))
		return bad(err, 502, "malformed line end");
	if (line.n < 12 || line.p[8] != ' ' || !all(cor_str_sub(line, 9, 3), DIGIT) ||
		(line.n > 12 && line.p[12] != ' ') || !all(line, VALUE))
		return bad(err, 502, "malformed status line");
	r = parse_version(cor_str_sub(line, 0, 8), &h->minor, err);
	if (r < 0)
		return r;
	h->status = (line.p[9] - '0') * 100 + (line.p[10] - '0') * 10 + (line.p[11] - '0');
	if (h->status < 100)
		return bad(err, 502, "malformed status line");
	r = parse_headers(&p, end, h, &f, err);
	if (r < 0)
		return r;
	if (f.chunked && f.n_length)
		return bad(err, 502, "both Content-Length and Transfer-Encoding");
	h->length = f.length;
	if (head_request || h->status < 200 || h->status == 204 || h->status == 304)
		h->framing = COR_HTTP1_NO_BODY;
	else if (f.chunked)
		h->framing = COR_HTTP1_CHUNKED;
	else if (f.n_length)
		h->framing = f.length ? COR_HTTP1_LENGTH : COR_HTTP1_NO_BODY;
	else
		h->framing = COR_HTTP1_UNTIL_CLOSE;
	h->keep_alive = !f.close && (h->minor >= 1 || f.keep) &&
		h->framing != COR_HTTP1_UNTIL_CLOSE;
	return 0;
}

/* ---- bodies ---- */

/* SIZE -> (EXT) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE; a zero size leads to the trailer. */
enum chunk_state {
	CHUNK_SIZE,
	CHUNK_EXT,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START,  /* at the start of a line */
	TRAILER_LINE,
	TRAILER_LF,
	TRAILER_END_LF,
};

void cor_http1_body_init(struct cor_http1_body *b, enum cor_http1_framing framing, uint64_t length) {
	*b = (struct cor_http1_body){ .framing = framing, .left = length };
	b->done = framing == COR_HTTP1_NO_BODY || (framing == COR_HTTP1_LENGTH && !length);
	if (framing == COR_HTTP1_CHUNKED)
		b->left = 0;
}

static int hex_value(char c) {
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static int chunk_line_byte(struct cor_http1_body *b, char c, struct cor_err *err) {
	if (++b->line > COR_HTTP1_CHUNK_LINE_MAX)
		return bad(err, 400, "chunk line too long");
	switch (b->state) {
	case CHUNK_SIZE:
		if (is(c, HEX)) {
			if (++b->digits > 12)
				return bad(err, 400, "chunk too large");
			b->left = b->left << 4 | (uint64_t)hex_value(c);
			return 0;
		}
		if (!b->digits)
			return bad(err, 400, "malformed chunk size");
		b->state = CHUNK_EXT;
		if (c != ';' && c != '\r')
			return bad(err, 400, "malformed chunk size");
		/* fall through */
	case CHUNK_EXT:
		if (c == '\r')
			b->state = CHUNK_SIZE_LF;
		else if (!is(c, VALUE))
			return bad(err, 400, "malformed chunk extension");
		return 0;
	default:
		if (c != '\n')
			return bad(err, 400, "malformed chunk line end");
		b->line = 0;
		b->digits = 0;
		b->state = b->left ? CHUNK_DATA : TRAILER_START;
		return 0;
	}
}

static int trailer_byte(struct cor_http1_body *b, char c, struct cor_err *err) {
	if (++b->line > COR_HTTP1_TRAILER_MAX)
		return bad(err, 431, "trailer too long");
	switch (b->state) {
	case TRAILER_START:
		b->state = c == '\r' ? TRAILER_END_LF : TRAILER_LINE;
		if (c != '\r' && !is(c, TCHAR))
			return bad(err, 400, "malformed trailer");
		return 0;
	case TRAILER_LINE:
		if (c == '\r')
			b->state = TRAILER_LF;
		else if (!is(c, VALUE))
			return bad(err, 400, "malformed trailer");
		return 0;
	default:
		if (c != '\n')
			return bad(err, 400, "malformed trailer line end");
		b->done = b->state == TRAILER_END_LF;
		b->state = TRAILER_START;
		return 0;
	}
}

static int chunked_next(struct cor_http1_body *b, struct cor_str *in, struct cor_str *ret_data,
	struct cor_err *err) {
	while (in->n && !b->done) {
		char c = in->p[0];
		int r = 0;

		if (b->state == CHUNK_DATA) {
			size_t n = in->n < b->left ? in->n : (size_t)b->left;

			*ret_data = (struct cor_str){ in->p, n };
			in->p += n;
			in->n -= n;
			b->left -= n;
			if (!b->left)
				b->state = CHUNK_DATA_CR;
			return 0;
		}
		in->p++;
		in->n--;
		if (b->state < CHUNK_DATA)
			r = chunk_line_byte(b, c, err);
		else if (b->state >= TRAILER_START)
			r = trailer_byte(b, c, err);
		else if (c != (b->state == CHUNK_DATA_CR ? '\r' : '\n'))
			r = bad(err, 400, "malformed chunk end");
		else
			b->state = b->state == CHUNK_DATA_CR ? CHUNK_DATA_LF : CHUNK_SIZE;
		if (r < 0)
			return r;
	}
	return 0;
}

int cor_http1_body_next(struct cor_http1_body *b, struct cor_str *in, struct cor_str *ret_data,
	struct cor_err *err) {
	size_t n = in->n;

	*ret_data = (struct cor_str){ 0 };
	if (b->done)
		return 0;
	if (b->framing == COR_HTTP1_CHUNKED)
		return chunked_next(b, in, ret_data, err);
	if (b->framing == COR_HTTP1_LENGTH && n > b->left)
		n = (size_t)b->left;
	*ret_data = (struct cor_str){ in->p, n };
	in->p += n;
	in->n -= n;
	if (b->framing == COR_HTTP1_LENGTH) {
		b->left -= n;
		b->done = !b->left;
	}
	return 0;
}

const char *cor_http_reason(int status) {
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{ 100, "Continue" }, { 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" },
		{ 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" },
		{ 301, "Moved Permanently" }, { 302, "Found" }, { 304, "Not Modified" },
		{ 307, "Temporary Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 409, "Conflict" },
		{ 410, "Gone" }, { 413, "Request Entity Too Large" }, { 415, "Unsupported Media Type" },
		{ 416, "Requested Range Not Satisfiable" }, { 417, "Expectation Failed" },
		{ 422, "Unprocessable Entity" }, { 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
		{ 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Status";
}
