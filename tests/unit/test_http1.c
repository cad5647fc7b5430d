// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 reader on what is right, and on what two readers could read in two ways.
#include "net/http1.h"
#include "net_fixture.h"

static int parse(const char *text, struct cor_http1_head *h, struct cor_err *err, char *copy) {
	size_t n = strlen(text);

	memcpy(copy, text, n);
	return cor_http1_parse_request(copy, n, h, err);
}

static void test_good(void **state) {
	struct cor_http1_head h;
	struct cor_err err = { 0 };
	char copy[4096];

	assert_int_equal(parse("POST http://Host:1/a%20b?q=1&r HTTP/1.1\r\nHOST: other\r\nX-Y:\t v w \t\r\n"
		"Empty:\r\nConnection: x, Upgrade\r\nContent-Length: 12\r\n\r\n", &h, &err, copy), 0);
	assert_true(cor_str_eq_c(h.method, "POST"));
	assert_true(cor_str_eq_c(h.path, "/a%20b"));
	assert_true(cor_str_eq_c(h.query, "q=1&r"));
	assert_true(cor_str_eq_c(h.authority, "Host:1"));
	assert_true(h.upgrade && h.keep_alive);
	assert_int_equal(h.framing, COR_HTTP1_LENGTH);
	assert_int_equal(h.length, 12);
	assert_int_equal(h.n_headers, 5);
	assert_true(cor_str_eq_c(h.headers[1].name, "x-y"));
	assert_true(cor_str_eq_c(h.headers[1].value, "v w"));
	assert_int_equal(parse("GET /? HTTP/1.0\r\n\r\n", &h, &err, copy), 0);
	assert_false(h.keep_alive);
	assert_true(h.query.p && h.query.n == 0);
	assert_int_equal(parse("GET / HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n", &h, &err, copy), 0);
	assert_false(h.keep_alive);
}

static void test_malformed(void **state) {
	static const struct {
		const char *text;
		int http;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\nHost: a\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", 400 },
		{ "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400 },
		{ "GET /\r\nHost: a\r\n\r\n", 400 },
		{ "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405 },
		{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
		{ "GET / http/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
			"Transfer-Encoding: chunked\r\n\r\n", 501 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b" "chunked\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400 },
		{ "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nExpect: y\r\n\r\n", 417 },
	};

	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct cor_http1_head h;
		struct cor_err err = { 0 };
		char copy[4096];

		if (parse(rows[i].text, &h, &err, copy) >= 0)
			fail_msg("row %zu was accepted: %s", i, rows[i].text);
		if (err.http != rows[i].http)
			fail_msg("row %zu: %d %s", i, err.http, err.message);
	}
}

static void test_too_many_headers(void **state) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_http1_head h;
	struct cor_err err = { 0 };

	cor_buf_c(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < COR_HTTP1_HEADERS_MAX; i++)
		cor_buf_printf(&b, "h%d: v\r\n", i);
	cor_buf_c(&b, "\r\n");
	assert_true(cor_http1_parse_request(b.p, b.n, &h, &err) < 0);
	assert_int_equal(err.http, 431);
}

static void test_head_end(void **state) {
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";

	/* However it is cut, the end is found where it is. */
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		size_t scan = 0, n = cor_http1_head_end((struct cor_str){ text, cut }, &scan);

		assert_int_equal(n, cut >= 27 ? 27 : 0);
		if (!n)
			assert_int_equal(cor_http1_head_end(cor_str_c(text), &scan), 27);
	}
}

/* The whole body, fed in pieces of step; negative on failure. */
static int64_t body(const char *text, size_t step, struct cor_buf *out) {
	struct cor_http1_body b;
	struct cor_err err = { 0 };
	size_t n = strlen(text), at = 0;

	cor_http1_body_init(&b, COR_HTTP1_CHUNKED, 0);
	while (at < n && !b.done) {
		struct cor_str in = { text + at, step < n - at ? step : n - at }, data;
		size_t before = in.n;

		do {
			if (cor_http1_body_next(&b, &in, &data, &err) < 0)
				return err.code;
			cor_buf_str(out, data);
		} while (data.n);
		at += before - in.n;
		if (before == in.n)
			break;
	}
	return b.done ? (int64_t)at : COR_E_TIMEOUT;
}

static void test_chunks(void **state) {
	static const struct {
		const char *text, *want;
		size_t rest;
	} rows[] = {
		{ "0\r\n\r\n", "", 0 },
		{ "3\r\nabc\r\n0\r\n\r\nGET", "abc", 3 },
		{ "A;n=\"v\"\r\n0123456789\r\n00001\r\nx\r\n000\r\nT: v\r\nU:\r\n\r\n", "0123456789x", 0 },
	};
	static const char *const bad[] = { "\r\n", "g\r\n", "-1\r\nx", "3 \r\nabc\r\n", "0x3\r\nabc",
		"3\nabc\r\n", "3\r\nabcd\r\n", "3\r\nabc\n", "0\r\n\n", "0\r\n x\r\n\r\n",
		"1111111111111\r\n", "3\rx", "3;\x01\r\nabc" };

	for (size_t i = 0; i < cor_countof(rows); i++)
		for (size_t step = 1; step < 50; step++) {
			_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;

			assert_int_equal(body(rows[i].text, step, &out), strlen(rows[i].text) - rows[i].rest);
			assert_true(cor_str_eq_c(cor_buf_view(&out), rows[i].want));
		}
	for (size_t i = 0; i < cor_countof(bad); i++) {
		_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;

		if (body(bad[i], 100, &out) != COR_E_PARSE)
			fail_msg("row %zu was accepted", i);
	}
}

static void test_responses(void **state) {
	static const struct {
		const char *text;
		bool head;
		int status;             /* 0: refused */
		enum cor_http1_framing framing;
		bool keep;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, 200, COR_HTTP1_LENGTH, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, 200, COR_HTTP1_NO_BODY, true },
		{ "HTTP/1.1 200\r\n\r\n", false, 200, COR_HTTP1_UNTIL_CLOSE, false },
		{ "HTTP/1.1 204 \r\n\r\n", false, 204, COR_HTTP1_NO_BODY, true },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, 200, COR_HTTP1_NO_BODY, false },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 200, COR_HTTP1_CHUNKED, true },
		{ "HTTP/1.1 20 OK\r\n\r\n", false, 0, 0, false },
		{ "HTTP/1.1 2000 OK\r\n\r\n", false, 0, 0, false },
		{ "HTTP/2 200 OK\r\n\r\n\r\n", false, 0, 0, false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false, 0, 0, false },
	};

	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct cor_http1_head h;
		struct cor_err err = { 0 };
		char copy[512];
		int r;

		memcpy(copy, rows[i].text, strlen(rows[i].text));
		r = cor_http1_parse_response(copy, strlen(rows[i].text), rows[i].head, &h, &err);
		if ((r >= 0) != (rows[i].status != 0))
			fail_msg("row %zu: %d %s", i, r, err.message);
		if (r < 0)
			continue;
		assert_int_equal(h.status, rows[i].status);
		assert_int_equal(h.framing, rows[i].framing);
		assert_int_equal(h.keep_alive, rows[i].keep);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_too_many_headers),
		cmocka_unit_test(test_head_end),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_responses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
