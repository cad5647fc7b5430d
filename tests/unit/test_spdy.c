// SPDX-License-Identifier: Apache-2.0
// SPDY sessions, client and server joined by two buffers: no sockets. Then malformed input.
#include <openssl/evp.h>

#include "net/spdy_priv.h"
#include "net_fixture.h"

struct side {
	struct cor_spdy *spdy;
	struct cor_buf out;             /* written, not delivered yet */
	char log[4096];
	struct cor_spdy_stream *last;
	struct cor_buf data;
	bool paused, auto_reply;
};

static void say(struct side *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct side *s, const char *fmt, ...) {
	size_t n = strlen(s->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->log + n, sizeof(s->log) - n, fmt, ap);
	va_end(ap);
}

static void s_write(void *arg, struct cor_str bytes) {
	cor_buf_str(&((struct side *)arg)->out, bytes);
}
static void s_pause(void *arg, bool paused) {
	((struct side *)arg)->paused = paused;
}
static void s_stream(void *arg, struct cor_spdy_stream *st) {
	struct side *s = arg;

	s->last = st;
	say(s, "open %u %.*s;", cor_spdy_stream_id(st),
		COR_STR_ARG(cor_spdy_stream_header(st, "streamtype")));
	if (s->auto_reply)
		cor_spdy_reply(st);
}
static void s_reply(void *arg, struct cor_spdy_stream *st) {
	say(arg, "reply %u;", cor_spdy_stream_id(st));
}
static void s_data(void *arg, struct cor_spdy_stream *st, struct cor_str data) {
	struct side *s = arg;

	cor_buf_str(&s->data, data);
	if (data.n < 32)
		say(s, "data %u %.*s;", cor_spdy_stream_id(st), COR_STR_ARG(data));
}
static void s_eof(void *arg, struct cor_spdy_stream *st) {
	say(arg, "eof %u;", cor_spdy_stream_id(st));
}
static void s_gone(void *arg, struct cor_spdy_stream *st, int status) {
	say(arg, "gone %u %d;", cor_spdy_stream_id(st), status);
}

static const struct cor_spdy_ops ops = { s_write, s_pause, s_stream, s_reply, s_data, s_eof, s_gone };

static void side_init(struct side *s, bool server) {
	memset(s, 0, sizeof(*s));
	s->spdy = cor_spdy_new(server, &ops, s);
	s->auto_reply = true;
}

static void side_fini(struct side *s) {
	cor_spdy_free(s->spdy);
	cor_buf_fini(&s->out);
	cor_buf_fini(&s->data);
}

/* Delivers what from has written, step bytes at a time (0: all at once). */
static void deliver(struct side *from, struct side *to, size_t step) {
	struct cor_buf b = from->out;

	from->out = COR_BUF_INIT;
	for (size_t at = 0; at < b.n;) {
		size_t n = step && step < b.n - at ? step : b.n - at;

		ok(cor_spdy_input(to->spdy, (struct cor_str){ b.p + at, n }, err));
		at += n;
	}
	cor_buf_fini(&b);
}

static struct cor_spdy_stream *open_stream(struct side *c, const char *type) {
	struct cor_http_header h[] = { { COR_STR("streamtype"), cor_str_c(type) },
		{ COR_STR("port"), COR_STR("80") } };

	return cor_spdy_open(c->spdy, h, 2);
}

static void test_dictionary(void **state) {
	struct cor_str d = cor_spdy_dictionary();
	static const char want[] = "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02";
	unsigned char md[32];
	char hex[65];

	assert_int_equal(d.n, 1423);
	assert_int_equal(adler32(adler32(0, NULL, 0), (const Bytef *)d.p, (uInt)d.n), 0xe3c6a7c2);
	assert_int_equal(EVP_Digest(d.p, d.n, md, NULL, EVP_sha256(), NULL), 1);
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	assert_string_equal(hex, want);
}

static void test_life(void **state) {
	static const size_t steps[] = { 0, 1, 7 };

	for (size_t i = 0; i < cor_countof(steps); i++) {
		struct side c, s;
		struct cor_spdy_stream *a, *b;

		side_init(&c, false);
		side_init(&s, true);
		a = open_stream(&c, "error");
		b = open_stream(&c, "data");
		deliver(&c, &s, steps[i]);
		deliver(&s, &c, steps[i]);
		assert_string_equal(s.log, "open 1 error;open 3 data;");
		assert_string_equal(c.log, "reply 1;reply 3;");
		s.log[0] = c.log[0] = '\0';
		cor_spdy_send(b, COR_STR("hi"), false);
		cor_spdy_send(a, (struct cor_str){ 0 }, true);
		deliver(&c, &s, steps[i]);
		if (steps[i] != 1)
			assert_string_equal(s.log, "data 3 hi;eof 1;");
		s.log[0] = '\0';
		cor_spdy_send(s.last, COR_STR("ho"), true);
		deliver(&s, &c, steps[i]);
		cor_spdy_send(b, (struct cor_str){ 0 }, true);
		assert_non_null(strstr(c.log, "eof 3;gone 3 0;"));
		deliver(&c, &s, steps[i]);
		assert_string_equal(s.log, "eof 3;gone 3 0;");
		assert_int_equal(cor_spdy_streams(s.spdy), 1);
		cor_spdy_reset(a, COR_SPDY_CANCEL);
		deliver(&c, &s, steps[i]);
		assert_string_equal(s.log, "eof 3;gone 3 0;gone 1 5;");
		side_fini(&c);
		side_fini(&s);
	}
}

static void test_bulk_and_pause(void **state) {
	struct side c, s;
	struct cor_spdy_stream *a, *b;
	struct cor_buf big = COR_BUF_INIT;

	for (size_t i = 0; i < 1000000; i++)
		cor_buf_byte(&big, (char)(i * 31 / 7));
	side_init(&c, false);
	side_init(&s, true);
	a = open_stream(&c, "data");
	deliver(&c, &s, 0);
	deliver(&s, &c, 0);
	cor_spdy_pause(s.last, true);
	cor_spdy_send(a, cor_buf_view(&big), true);
	deliver(&c, &s, 1000);
	/* Held back, and the transport is asked to rest. */
	assert_int_equal(s.data.n, 0);
	assert_true(s.paused);
	cor_spdy_pause(s.last, false);
	assert_false(s.paused);
	assert_int_equal(s.data.n, big.n);
	assert_memory_equal(s.data.p, big.p, big.n);
	assert_non_null(strstr(s.log, "eof 1;"));
	/* A second stream is not held up by a paused one. */
	s.log[0] = '\0';
	b = open_stream(&c, "x");
	a = open_stream(&c, "y");
	deliver(&c, &s, 0);
	cor_spdy_pause(s.last, true);
	cor_spdy_send(a, COR_STR("later"), false);
	cor_spdy_send(b, COR_STR("now"), false);
	deliver(&c, &s, 0);
	assert_string_equal(s.log, "open 3 x;open 5 y;data 3 now;");
	/* Nothing flows before the reply. */
	s.auto_reply = false;
	a = open_stream(&c, "z");
	cor_spdy_send(a, COR_STR("early"), true);
	deliver(&c, &s, 0);
	assert_null(strstr(s.log, "early"));
	cor_spdy_reply(s.last);
	assert_non_null(strstr(s.log, "data 7 early;eof 7;"));
	side_fini(&c);
	side_fini(&s);
	cor_buf_fini(&big);
}

static void put(struct cor_buf *b, uint32_t first, unsigned flags, const void *body, size_t n) {
	cor_put_be32(b, first);
	cor_put_be32(b, flags << 24 | (uint32_t)n);
	cor_buf_add(b, body, n);
}

static void test_ping_and_order(void **state) {
	struct side s;
	_cleanup_buf_ struct cor_buf in = COR_BUF_INIT;
	z_stream z = { 0 };
	_cleanup_buf_ struct cor_buf block = COR_BUF_INIT;
	struct cor_str d = cor_spdy_dictionary();
	static const char head[10] = { 0, 0, 0, 1 };

	side_init(&s, true);
	put(&in, 0x80030006, 0, "\0\0\0\1", 4);         /* ours to answer */
	put(&in, 0x80030006, 0, "\0\0\0\2", 4);         /* an answer */
	put(&in, 0x80030004, 0, "\0\0\0\0", 4);
	put(&in, 0x80030009, 0, "\0\0\0\1\0\0\1\0", 8);
	put(&in, 0x00000063, 1, "unknown", 7);
	ok(cor_spdy_input(s.spdy, cor_buf_view(&in), err));
	assert_int_equal(s.out.n, 12);
	assert_memory_equal(s.out.p, "\x80\3\0\6\0\0\0\4\0\0\0\1", 12);
	/* The same id twice is refused, but its header block still counts for the next one. */
	cor_buf_clear(&in);
	cor_buf_clear(&s.out);
	deflateInit(&z, 6);
	deflateSetDictionary(&z, (const Bytef *)d.p, (uInt)d.n);
	for (int i = 0; i < 2; i++) {
		cor_buf_clear(&block);
		cor_buf_add(&block, head, sizeof(head));
		cor_spdy_pack(&z, (struct cor_http_header[]){ { COR_STR("a"), COR_STR("b") } }, 1, &block);
		put(&in, 0x80030001, 0, block.p, block.n);
	}
	ok(cor_spdy_input(s.spdy, cor_buf_view(&in), err));
	assert_string_equal(s.log, "open 1 ;");
	assert_memory_equal(s.out.p + s.out.n - 16, "\x80\3\0\3\0\0\0\10\0\0\0\1\0\0\0\1", 16);
	deflateEnd(&z);
	side_fini(&s);
}

static void test_malformed(void **state) {
	static const struct {
		uint32_t first;
		unsigned flags;
		const char *body;
		size_t n;
	} rows[] = {
		{ 0x80020001, 0, "\0\0\0\1\0\0\0\0\0\0", 10 },          /* version 2 */
		{ 0x80030001, 0, "\0\0\0\1", 4 },                       /* short */
		{ 0x80030001, 0, "\0\0\0\1\0\0\0\0\0\0garbage", 17 },   /* not zlib */
		{ 0x80030001, 0, "\0\0\0\1\0\0\0\0\0\0", 10 },          /* no block at all */
		{ 0x80030003, 0, "\0\0\0\1", 4 },
		{ 0x80030004, 0, "\0\0\0\1", 4 },
		{ 0x80030006, 0, "\0\0", 2 },
		{ 0x80030007, 0, "", 0 },
		{ 0x80030009, 0, "\0\0\0\1", 4 },
		{ 0x8003000a, 0, "", 0 },                               /* unknown type */
	};

	for (size_t i = 0; i < cor_countof(rows); i++) {
		_cleanup_buf_ struct cor_buf in = COR_BUF_INIT;
		struct cor_err err = { 0 };
		struct side s;

		side_init(&s, true);
		put(&in, rows[i].first, rows[i].flags, rows[i].body, rows[i].n);
		if (cor_spdy_input(s.spdy, cor_buf_view(&in), &err) >= 0)
			fail_msg("row %zu was accepted", i);
		assert_true(cor_spdy_input(s.spdy, COR_STR("x"), &err) < 0);
		side_fini(&s);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_bulk_and_pause),
		cmocka_unit_test(test_ping_and_order),
		cmocka_unit_test(test_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
