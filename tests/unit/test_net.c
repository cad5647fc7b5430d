// SPDX-License-Identifier: Apache-2.0
// The HTTP server on loopback: raw sockets in the loop's own thread for what only bytes can show,
// and libcurl against a server in a second thread for HTTP/2, TLS and client certificates.
#include <curl/curl.h>
#include <arpa/inet.h>
#include <pthread.h>

#include "net/http.h"
#include "net_fixture.h"

static const char big_chunk[64 * 1024] = { 'x' };
static size_t released;

static void release_chunk(void *owner) {
	(void)owner;
	released++;
}

/* ---- an answer of many pieces, as a list is ---- */

enum { ROW_PIECES = 600 };

static char row_text[3 * 1024 * 1024];
static size_t row_n, row_owned;

/* Of sizes from nothing to more than a TLS record; every third one stays the handler's. */
static size_t row_pieces(struct cor_piece out[ROW_PIECES]) {
	static const size_t sizes[] = { 1, 3200, 0, 20000, 1, 16384, 5, 2 };
	size_t at = 0;

	row_owned = 0;
	for (size_t i = 0; i < ROW_PIECES; i++) {
		size_t n = sizes[i % cor_countof(sizes)];

		assert_true(at + n <= sizeof(row_text));
		for (size_t k = 0; k < n; k++)
			row_text[at + k] = (char)('!' + (at + k) * 7 % 90);
		out[i] = (struct cor_piece){ .data = { row_text + at, n } };
		if (i % 3 == 1) {
			out[i].release = release_chunk;
			row_owned++;
		}
		at += n;
	}
	row_n = at;
	return ROW_PIECES;
}

struct server {
	uv_loop_t loop;
	struct cor_http_server *http;
	struct cor_tls *tls;
	int port;
	bool closed;
	int handled, ended;
	struct cor_http_req *waiting;
	size_t streamed, stream_goal, max_backlog;
	struct cor_conn *conn;
	bool conn_closed;
	uv_async_t stop;
	pthread_t thread;
};

static void stream_more(struct cor_http_req *req) {
	struct server *s = req->user;

	while (s->streamed < s->stream_goal && cor_http_backlog(req) < 256 * 1024) {
		struct cor_piece piece = { .data = { big_chunk, sizeof(big_chunk) },
			.release = release_chunk };

		cor_http_stream_write(req, &piece, 1);
		s->streamed += sizeof(big_chunk);
		if (cor_http_backlog(req) > s->max_backlog)
			s->max_backlog = cor_http_backlog(req);
	}
	if (s->streamed >= s->stream_goal)
		cor_http_stream_finish(req);
}

static void echo_data(void *arg, struct cor_str data) {
	struct server *s = arg;

	cor_conn_write_str(s->conn, data);
}

static void echo_eof(void *arg) {
	struct server *s = arg;

	cor_conn_shutdown(s->conn);
}

static void echo_close(void *arg, const struct cor_err *why) {
	struct server *s = arg;

	(void)why;
	s->conn_closed = true;
}

static void upgrade(struct server *s, struct cor_http_req *req) {
	static const struct cor_conn_ops ops = { .on_data = echo_data, .on_eof = echo_eof,
		.on_close = echo_close };
	struct cor_http_header h[] = { { COR_STR("Connection"), COR_STR("Upgrade") },
		{ COR_STR("Upgrade"), COR_STR("echo") } };

	s->conn = cor_http_takeover(req, 101, h, 2);
	if (s->conn)
		cor_conn_set_ops(s->conn, &ops, s);
}

static void handle(void *arg, struct cor_http_req *req) {
	struct server *s = arg;

	s->handled++;
	req->user = s;
	if (cor_str_eq_c(req->path, "/echo")) {
		cor_http_set_header(req, "x-method", req->method);
		cor_http_reply(req, 200, "application/octet-stream", req->body);
	} else if (cor_str_eq_c(req->path, "/who")) {
		struct cor_str text = cor_arena_printf(req->arena, "%.*s:%zu:%.*s:h%d",
			COR_STR_ARG(req->peer.cn), req->peer.n_orgs,
			COR_STR_ARG(req->peer.n_orgs ? req->peer.orgs[0] : COR_STR("-")),
			req->http_major);

		cor_http_reply(req, 200, "text/plain", text);
	} else if (cor_str_eq_c(req->path, "/param")) {
		struct cor_str v = cor_http_param_at(req, "a b", 1);

		cor_http_reply(req, v.p ? 200 : 404, "text/plain", v);
	} else if (cor_str_eq_c(req->path, "/stream")) {
		s->streamed = 0;
		cor_http_stream_begin(req, 200, "text/plain", stream_more);
		stream_more(req);
	} else if (cor_str_eq_c(req->path, "/row")) {
		struct cor_piece row[ROW_PIECES];

		cor_http_reply_pieces(req, 200, "text/plain", row, row_pieces(row));
	} else if (cor_str_eq_c(req->path, "/wait"))
		s->waiting = req;
	else if (cor_str_eq_c(req->path, "/upgrade"))
		upgrade(s, req);
	else
		cor_http_reply(req, 404, "text/plain", COR_STR("no such page"));
}

static void closed(void *arg, struct cor_http_req *req) {
	struct server *s = arg;

	s->ended++;
	if (s->waiting == req)
		s->waiting = NULL;
}

static void server_closed(void *arg) {
	struct server *s = arg;

	s->closed = true;
}

static void server_start(struct server *s, const struct cor_http_config *extra) {
	struct cor_http_config c = extra ? *extra : (struct cor_http_config){ 0 };

	memset(s, 0, sizeof(*s));
	uv_loop_init(&s->loop);
	s->stream_goal = 16 * 1024 * 1024;
	c.loop = &s->loop;
	c.handle = handle;
	c.closed = closed;
	c.arg = s;
	s->tls = c.tls;
	s->http = cor_http_server_new(&c);
	ok(cor_http_listen(s->http, "127.0.0.1", 0, &s->port, err));
	assert_true(s->port > 0);
}

static void server_stop(struct server *s) {
	cor_http_server_close(s->http, 0, server_closed, s);
	fixture_until(&s->loop, s->closed);
	assert_int_equal(s->handled, s->ended);
	fixture_loop_close(&s->loop);
	cor_tls_unref(s->tls);
}

/* ---- raw sockets ---- */

static int dial(const struct server *s) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void put_n(int fd, const char *text, size_t n) {
	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void put(int fd, const char *text) {
	put_n(fd, text, strlen(text));
}

/* Runs the server until want is in what came (or EOF when want is NULL). */
static void get(struct server *s, int fd, struct cor_buf *in, const char *want) {
	for (int i = 0; i < 20000; i++) {
		char buf[65536];
		ssize_t n;

		uv_run(&s->loop, UV_RUN_NOWAIT);
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0)
			cor_buf_add(in, buf, (size_t)n);
		if (want && cor_str_contains(cor_buf_view(in), cor_str_c(want)))
			return;
		if (n == 0) {
			if (want)
				fail_msg("wanted \"%s\", got \"%.*s\" and the end", want,
					(int)in->n, in->p);
			return;
		}
		if (n < 0 && errno != EAGAIN)
			fail_msg("recv: %s", strerror(errno));
		if (n < 0) {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			(void)poll(&p, 1, 1);
		}
	}
	fail_msg("wanted \"%s\", got \"%.*s\"", want ? want : "the end", (int)in->n, in->p);
}

static size_t count(struct cor_buf *b, const char *needle) {
	size_t n = 0, len = strlen(needle);

	for (size_t i = 0; i + len <= b->n; i++)
		if (memcmp(b->p + i, needle, len) == 0)
			n++;
	return n;
}

static void test_pipelined(void **state) {
	struct server s;
	struct cor_buf in = COR_BUF_INIT, out = COR_BUF_INIT;
	int fd;

	server_start(&s, NULL);
	fd = dial(&s);
	for (int i = 0; i < 100; i++)
		cor_buf_printf(&out, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nbody%03d",
			i);
	cor_buf_c(&out, "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	put_n(fd, out.p, out.n);
	get(&s, fd, &in, NULL);
	assert_int_equal(count(&in, "HTTP/1.1 200 OK\r\n"), 100);
	assert_int_equal(count(&in, "HTTP/1.1 404 Not Found\r\n"), 1);
	assert_true(cor_str_contains(cor_buf_view(&in), COR_STR("\r\n\r\nbody000HTTP")));
	assert_true(cor_str_contains(cor_buf_view(&in), COR_STR("\r\n\r\nbody099HTTP")));
	assert_int_equal(s.handled, 101);
	close(fd);
	cor_buf_fini(&in);
	cor_buf_fini(&out);
	server_stop(&s);
}

static void test_byte_by_byte(void **state) {
	static const char text[] = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\n";
	struct server s;
	struct cor_buf in = COR_BUF_INIT;
	int fd;

	server_start(&s, NULL);
	fd = dial(&s);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		put_n(fd, text + i, 1);
		uv_run(&s.loop, UV_RUN_NOWAIT);
		uv_run(&s.loop, UV_RUN_NOWAIT);
	}
	get(&s, fd, &in, "\r\n\r\nhello!");
	assert_true(cor_str_contains(cor_buf_view(&in), COR_STR("Content-Length: 6\r\n")));
	assert_true(cor_str_contains(cor_buf_view(&in), COR_STR("x-method: POST\r\n")));
	close(fd);
	cor_buf_fini(&in);
	server_stop(&s);
}

static void test_refusals(void **state) {
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 " },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			"HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n",
			"\"message\":\"Request entity too large: limit is 3145728\","
			"\"reason\":\"RequestEntityTooLarge\",\"code\":413}" },
		{ "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
			"HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", "HTTP/1.1 417 " },
	};
	struct server s;

	server_start(&s, NULL);
	for (size_t i = 0; i < cor_countof(rows); i++) {
		_cleanup_buf_ struct cor_buf in = COR_BUF_INIT;
		int fd = dial(&s);

		put(fd, rows[i].text);
		get(&s, fd, &in, NULL);
		if (!cor_str_contains(cor_buf_view(&in), cor_str_c(rows[i].want)))
			fail_msg("row %zu: got \"%.*s\"", i, (int)in.n, in.p);
		assert_true(cor_str_contains(cor_buf_view(&in), COR_STR("Connection: close\r\n")));
		close(fd);
	}
	assert_int_equal(s.handled, 0);
	server_stop(&s);
}

static void test_continue_and_head(void **state) {
	struct server s;
	struct cor_buf in = COR_BUF_INIT;
	int fd;

	server_start(&s, NULL);
	fd = dial(&s);
	put(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	get(&s, fd, &in, "HTTP/1.1 100 Continue\r\n\r\n");
	put(fd, "ok");
	get(&s, fd, &in, "\r\n\r\nok");
	cor_buf_clear(&in);
	put(fd, "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\nGET /param?a+b=1&a%20b=%32 HTTP/1.1\r\nHost: a\r\n\r\n");
	get(&s, fd, &in, "\r\n\r\n2");
	assert_true(cor_str_contains(cor_buf_view(&in), COR_STR("Content-Length: 12\r\n")));
	assert_false(cor_str_contains(cor_buf_view(&in), COR_STR("no such page")));
	close(fd);
	cor_buf_fini(&in);
	server_stop(&s);
}

/* The handler of a request that takes time hears that the client has gone. */
static void test_client_leaves(void **state) {
	struct server s;
	int fd;

	server_start(&s, NULL);
	fd = dial(&s);
	put(fd, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
	fixture_until(&s.loop, s.waiting);
	close(fd);
	fixture_until(&s.loop, !s.waiting);
	assert_int_equal(s.ended, 1);
	server_stop(&s);
}

static void test_slow_reader(void **state) {
	struct server s;
	struct cor_buf in = COR_BUF_INIT;
	size_t before = released;
	int fd;

	server_start(&s, NULL);
	fd = dial(&s);
	put(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 200; i++) {
		struct timespec ts = { 0, 100000 };

		uv_run(&s.loop, UV_RUN_NOWAIT);
		nanosleep(&ts, NULL);
	}
	/* Nobody reads: what waits is bounded by the socket buffers and the handler's own mark. */
	assert_true(s.streamed < s.stream_goal);
	assert_true(s.max_backlog <= 256 * 1024 + sizeof(big_chunk));
	get(&s, fd, &in, "0\r\n\r\n");
	assert_int_equal(s.streamed, s.stream_goal);
	assert_true(in.n > s.stream_goal);
	assert_int_equal(released - before, s.stream_goal / sizeof(big_chunk));
	close(fd);
	cor_buf_fini(&in);
	server_stop(&s);
}

/* Every piece is given back once, whether the peer reads it or leaves in the middle. */
static void test_row_of_pieces(void **state) {
	struct server s;
	struct cor_buf in = COR_BUF_INIT;
	size_t before = released;
	int fd;

	server_start(&s, NULL);
	fd = dial(&s);
	put(fd, "GET /row HTTP/1.1\r\nHost: a\r\n\r\nGET /missing HTTP/1.1\r\nHost: a\r\n\r\n");
	get(&s, fd, &in, "no such page");
	const char *body = memmem(in.p, in.n, "\r\n\r\n", 4);
	assert_true(body && in.p + in.n > body + 4 + row_n);
	assert_memory_equal(body + 4, row_text, row_n);
	assert_int_equal(released - before, row_owned);
	close(fd);
	before = released;
	fd = dial(&s);
	put(fd, "GET /row HTTP/1.1\r\nHost: a\r\n\r\n");
	fixture_until(&s.loop, s.handled == 3);
	close(fd);
	fixture_until(&s.loop, released - before == row_owned);
	cor_buf_fini(&in);
	server_stop(&s);
}

static void test_upgrade(void **state) {
	struct server s;
	struct cor_buf in = COR_BUF_INIT;
	int fd;

	server_start(&s, NULL);
	fd = dial(&s);
	put(fd, "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
	get(&s, fd, &in, "\r\n\r\nearly");
	assert_true(cor_str_starts(cor_buf_view(&in), COR_STR("HTTP/1.1 101 Switching Protocols\r\n")));
	put(fd, " late");
	get(&s, fd, &in, "early late");
	assert_int_equal(s.ended, 1);
	shutdown(fd, SHUT_WR);
	get(&s, fd, &in, NULL);
	fixture_until(&s.loop, s.conn_closed);
	close(fd);
	cor_buf_fini(&in);
	server_stop(&s);
}

static void test_idle_and_drain(void **state) {
	struct cor_http_config c = { .idle_timeout = 50 * COR_MS };
	struct server s;
	struct cor_buf in = COR_BUF_INIT;
	int fd, fd2;

	server_start(&s, &c);
	fd = dial(&s);
	get(&s, fd, &in, NULL);         /* closed for being idle */
	assert_int_equal(in.n, 0);
	fd2 = dial(&s);
	put(fd2, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
	fixture_until(&s.loop, s.waiting);
	/* Draining waits for the answer under way, which then closes. */
	cor_http_server_close(s.http, 10 * COR_SECOND, server_closed, &s);
	uv_run(&s.loop, UV_RUN_NOWAIT);
	assert_false(s.closed);
	cor_http_reply(s.waiting, 200, "text/plain", COR_STR("done"));
	get(&s, fd2, &in, NULL);
	assert_true(cor_str_contains(cor_buf_view(&in), COR_STR("Connection: close\r\n")));
	close(fd);
	close(fd2);
	fixture_until(&s.loop, s.closed);
	assert_int_equal(s.ended, 1);
	fixture_loop_close(&s.loop);
	cor_buf_fini(&in);
}

/* Idle peers waited for their own end of the connection, two seconds long, and one that never said anything
 * for all of drain. Here no time passes, and no peer does anything. */
static void test_close_leaves_idle_peers(void **state) {
	struct server s;
	int idle, silent;
	char text[512];

	server_start(&s, NULL);
	silent = dial(&s);
	idle = dial(&s);
	put(idle, "GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
	fixture_until(&s.loop, s.ended == 1);
	cor_http_server_close(s.http, COR_HOUR, server_closed, &s);
	for (int i = 0; i < 100 && !s.closed; i++)
		uv_run(&s.loop, UV_RUN_NOWAIT);
	assert_true(s.closed);
	/* The answer, then an orderly end. */
	assert_true(recv(idle, text, sizeof(text), 0) > 0);
	assert_int_equal(recv(idle, text, sizeof(text), 0), 0);
	close(idle);
	close(silent);
	fixture_loop_close(&s.loop);
}

/* ---- libcurl against a server thread ---- */

static void on_stop(uv_async_t *a) {
	struct server *s = a->data;

	cor_http_server_close(s->http, 0, server_closed, s);
	uv_close((uv_handle_t *)a, NULL);
}

/* The loop's context belongs to the thread that runs it, so the server is made there too. */
static pthread_barrier_t ready; /* alive until the thread has ended */

struct start {
	struct server *s;
	const struct cor_http_config *c;
};

static void *start_thread(void *arg) {
	struct start *st = arg;
	struct server *s = st->s;

	server_start(s, st->c);
	s->stop.data = s;
	uv_async_init(&s->loop, &s->stop, on_stop);
	pthread_barrier_wait(&ready);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	return NULL;
}

static void thread_start(struct server *s, const struct cor_http_config *c) {
	struct start st = { .s = s, .c = c };
	pthread_t thread;

	pthread_barrier_init(&ready, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, start_thread, &st), 0);
	pthread_barrier_wait(&ready);
	s->thread = thread;
}

static void thread_stop(struct server *s) {
	uv_async_send(&s->stop);
	pthread_join(s->thread, NULL);
	pthread_barrier_destroy(&ready);
	assert_true(s->closed);
	assert_int_equal(s->handled, s->ended);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	cor_tls_unref(s->tls);
}

static size_t gather(char *p, size_t size, size_t n, void *arg) {
	cor_buf_add(arg, p, size * n);
	return size * n;
}

static CURL *curl_new(const struct server *s, const struct fixture_pki *pki, bool h2, bool cert,
	struct cor_buf *body) {
	CURL *c = curl_easy_init();
	struct curl_blob ca = { (void *)pki->ca.cert.p, pki->ca.cert.n, CURL_BLOB_COPY };
	struct curl_blob crt = { (void *)pki->client.cert.p, pki->client.cert.n, CURL_BLOB_COPY };
	struct curl_blob key = { (void *)pki->client.key.p, pki->client.key.n, CURL_BLOB_COPY };

	curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ca);
	if (cert) {
		curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, &crt);
		curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, &key);
	}
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
		h2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, gather);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PORT, (long)s->port);
	return c;
}

static long curl_do(CURL *c, const char *path, struct cor_buf *body) {
	char url[256];
	long status = 0;
	CURLcode r;

	cor_buf_clear(body);
	snprintf(url, sizeof(url), "https://localhost%s", path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	r = curl_easy_perform(c);
	if (r != CURLE_OK)
		fail_msg("%s: %s", path, curl_easy_strerror(r));
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static void check_protocol(struct server *s, const struct fixture_pki *pki, bool h2) {
	struct cor_buf body = COR_BUF_INIT, big = COR_BUF_INIT;
	CURL *c = curl_new(s, pki, h2, true, &body);
	struct curl_slist *chunked = curl_slist_append(NULL, "Transfer-Encoding: chunked");

	assert_int_equal(curl_do(c, "/who", &body), 200);
	assert_true(cor_str_eq_c(cor_buf_view(&body), h2 ? "admin:2:system:masters:h2"
		: "admin:2:system:masters:h1"));
	assert_int_equal(curl_do(c, "/missing", &body), 404);
	assert_int_equal(curl_do(c, "/stream", &body), 200);
	assert_int_equal(body.n, s->stream_goal);
	assert_int_equal(curl_do(c, "/row", &body), 200);
	assert_int_equal(body.n, row_n);
	assert_memory_equal(body.p, row_text, row_n);
	/* Bodies up to the limit are echoed, one byte more is refused. */
	for (size_t i = 0; i < 3 * 1024 * 1024 + 1; i++)
		cor_buf_byte(&big, (char)('a' + i % 23));
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, big.p);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)big.n - 1);
	assert_int_equal(curl_do(c, "/echo", &body), 200);
	assert_int_equal(body.n, big.n - 1);
	assert_memory_equal(body.p, big.p, body.n);
	if (!h2) {
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, chunked);
		assert_int_equal(curl_do(c, "/echo", &body), 200);
		assert_int_equal(body.n, big.n - 1);
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, NULL);
	}
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)big.n);
	assert_int_equal(curl_do(c, "/echo", &body), 413);
	/* Also when the client is far from done when it is refused. */
	while (big.n < 16 * 1024 * 1024)
		cor_buf_add(&big, big_chunk, sizeof(big_chunk));
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, big.p);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)big.n);
	assert_int_equal(curl_do(c, "/echo", &body), 413);
	assert_true(cor_str_contains(cor_buf_view(&body), COR_STR("\"code\":413")));
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, 3L);
	assert_int_equal(curl_do(c, "/echo", &body), 200);
	curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	assert_int_equal(curl_do(c, "/who", &body), 200);
	assert_int_equal(body.n, 0);
	curl_easy_cleanup(c);
	curl_slist_free_all(chunked);
	cor_buf_fini(&body);
	cor_buf_fini(&big);
}

static void test_curl(void **state) {
	struct fixture_pki pki, stranger;
	struct cor_http_config cfg = { 0 };
	struct server s;
	struct cor_buf body = COR_BUF_INIT;
	CURL *c;

	fixture_pki_make(&pki);
	cfg.tls = fixture_server_tls(&pki);
	thread_start(&s, &cfg);
	check_protocol(&s, &pki, false);
	check_protocol(&s, &pki, true);
	/* Without a certificate, and with one of a stranger, the peer has no name. */
	c = curl_new(&s, &pki, true, false, &body);
	assert_int_equal(curl_do(c, "/who", &body), 200);
	assert_true(cor_str_eq_c(cor_buf_view(&body), ":0:-:h2"));
	curl_easy_cleanup(c);
	fixture_pki_make(&stranger);
	c = curl_new(&s, &pki, false, false, &body);
	curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, (&(struct curl_blob){ stranger.client.cert.p,
		stranger.client.cert.n, CURL_BLOB_COPY }));
	curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, (&(struct curl_blob){ stranger.client.key.p,
		stranger.client.key.n, CURL_BLOB_COPY }));
	assert_int_equal(curl_do(c, "/who", &body), 200);
	assert_true(cor_str_eq_c(cor_buf_view(&body), ":0:-:h1"));
	curl_easy_cleanup(c);
	thread_stop(&s);
	fixture_pki_drop(&pki);
	fixture_pki_drop(&stranger);
	cor_buf_fini(&body);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_continue_and_head),
		cmocka_unit_test(test_client_leaves),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_row_of_pieces),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_idle_and_drain),
		cmocka_unit_test(test_close_leaves_idle_peers),
		cmocka_unit_test(test_curl),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
