// SPDX-License-Identifier: Apache-2.0
// The HTTP server with all that an answer can be: at once, in a stream, later, not at all, taken
// over. Built twice, for HTTP/1.1 and (with FUZZ_HTTP2) for HTTP/2, whose connections begin at the
// preface as if TLS had negotiated it. The first byte chooses in which pieces the rest is sent.
#include "lab.h"

static struct fuzz_lab lab;
static unsigned handled, closed;

#ifdef FUZZ_HTTP2
/* Linked in place of the real one, which asks TLS. */
bool __wrap_cor_conn_is_h2(const struct cor_conn *c);
bool __wrap_cor_conn_is_h2(const struct cor_conn *c) {
	(void)c;
	return true;
}
#endif

static void on_close(void *arg, const struct cor_err *why) {
	(void)arg;
	(void)why;
}

static void on_data(void *arg, struct cor_str data) {
	cor_conn_write_str(*(struct cor_conn **)arg, data);
}

static void on_eof(void *arg) {
	cor_conn_close(*(struct cor_conn **)arg);
}

static void take_over(struct cor_http_req *req) {
	static struct cor_conn *conn;
	static const struct cor_conn_ops ops = {
		.on_data = on_data, .on_eof = on_eof, .on_close = on_close
	};

	conn = cor_http_takeover(req, 101, NULL, 0);
	if (conn)
		cor_conn_set_ops(conn, &ops, &conn);
	else
		cor_http_reply(req, 400, "text/plain", COR_STR("no upgrade"));
}

static void stream(struct cor_http_req *req) {
	struct cor_piece piece = { .data = req->body };

	cor_http_stream_begin(req, 200, "text/plain", NULL);
	for (int i = 0; i < 3; i++)
		cor_http_stream_write(req, &piece, 1);
	if (req->query.p)
		cor_http_abort(req);
	else
		cor_http_stream_finish(req);
}

static void handle(void *arg, struct cor_http_req *req) {
	(void)arg;
	handled++;
	cor_assert(req->method.n && req->path.n);
	for (size_t i = 0; i < req->n_headers; i++)
		cor_assert(req->headers[i].name.n &&
			   !memchr(req->headers[i].value.p, '\n', req->headers[i].value.n));
	(void)cor_http_header(req, "content-type");
	for (size_t i = 0; cor_http_param_at(req, "a", i).p && i < 10; i++)
		;
	cor_http_set_header(req, "X-Path", req->path);
	if (cor_str_eq_c(req->path, "/stream"))
		stream(req);
	else if (cor_str_eq_c(req->path, "/upgrade"))
		take_over(req);
	else if (cor_str_eq_c(req->path, "/abort"))
		cor_http_abort(req);
	else
		cor_http_reply(req, req->body.n ? 200 : 204, "text/plain", req->body);
}

static void over(void *arg, struct cor_http_req *req) {
	(void)arg;
	(void)req;
	closed++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_http_config c = {
		.handle = handle, .closed = over, .max_body = 4096, .max_header = 8192
	};
	struct cor_str in = { (const char *)data + 1, n - 1 };
	bool ended;

	if (n < 1 || n > 65536)
		return 0;
	if (!lab.http)
		fuzz_lab_serve(&lab, &c);
	handled = closed = 0;
	ended = fuzz_lab_talk(&lab, in, data[0] & 1 ? 65536 : data[0] / 2 + 1u, NULL);
	/* Our end of the connection is closed now: no request may be left, and the server had to
	 * end by itself. */
	fuzz_lab_turn(&lab, 5);
	cor_assert(handled == closed);
	cor_assert(ended);
	return 0;
}
