// SPDX-License-Identifier: Apache-2.0
// WebSocket and the sessions above it and above SPDY, server and client on one loop: exec in every
// protocol, port-forward in its three forms, output streams, tunnels. Raw frames come by socket.
#include <arpa/inet.h>

#include "net/client.h"
#include "net/spdy.h"
#include "net/stream.h"
#include "net/websocket.h"
#include "net_fixture.h"

struct world {
	uv_loop_t loop;
	struct cor_http_server *http;
	struct cor_http_client *client;
	int port;
	bool closed;
	/* server side */
	struct cor_remote *remote;
	struct cor_forward *forward;
	struct cor_ws_out *out;
	struct cor_ws *ws;
	bool tty, tunnel_done;
	char log[4096];                 /* what the consumer saw */
	struct cor_buf input;
	struct cor_conn *waiting;       /* a tunnel's first half */
	/* client side */
	bool upgraded, done, far_closed;
	int status;
	char protocol[64], body[256];
	struct cor_conn *conn;
	struct cor_ws *cws;
	struct cor_spdy *spdy;
	struct cor_buf got[8];          /* by channel, stream or alone in 0 */
	int messages, close_code;
	bool last_text, eof[8];
	struct cor_spdy_stream *streams[8];
	size_t n_streams;
};

static void say(struct world *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct world *t, const char *fmt, ...) {
	size_t n = strlen(t->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->log + n, sizeof(t->log) - n, fmt, ap);
	va_end(ap);
}

/* ---- the server's consumers ---- */

static void r_ready(void *arg) { say(arg, "ready;"); }
static void r_stdin(void *arg, struct cor_str data) {
	struct world *t = arg;

	cor_buf_str(&t->input, data);
	if (data.n < 64)
		say(t, "in %.*s;", COR_STR_ARG(data));
}
static void r_eof(void *arg) { say(arg, "eof;"); }
static void r_resize(void *arg, int w, int h) { say(arg, "size %dx%d;", w, h); }
static void r_writable(void *arg) { say(arg, "writable;"); }
static void r_closed(void *arg, const struct cor_err *why) {
	struct world *t = arg;

	say(t, "closed %s;", why ? "early" : "well");
	t->remote = NULL;
}

static void f_connect(void *arg, struct cor_forward_conn *fc, int port) {
	struct world *t = arg;

	say(t, "connect %d;", port);
	if (port == 81)
		cor_forward_fail(fc, COR_STR("refused"));
	else
		cor_forward_ready(fc);
}
static void f_data(void *arg, struct cor_forward_conn *fc, struct cor_str data) {
	(void)arg;
	cor_forward_write(fc, data);
}
static void f_eof(void *arg, struct cor_forward_conn *fc) {
	say(arg, "eof;");
	cor_forward_finish(fc);
}
static void f_writable(void *arg, struct cor_forward_conn *fc) {
	(void)arg;
	(void)fc;
}
static void f_disconnect(void *arg, struct cor_forward_conn *fc) {
	(void)fc;
	say(arg, "disconnect;");
}
static void f_closed(void *arg, const struct cor_err *why) {
	struct world *t = arg;

	(void)why;
	say(t, "closed;");
	t->forward = NULL;
}

static void o_closed(void *arg, const struct cor_err *why) {
	struct world *t = arg;

	say(t, "closed %s;", why ? "early" : "well");
	t->out = NULL;
}

static void e_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	struct world *t = arg;

	say(t, "%s%s%.*s%s;", text ? "t" : "b", first ? "[" : "", data.n < 32 ? (int)data.n : 0, data.p,
		last ? "]" : "");
	cor_ws_send(t->ws, text, data);
}
static void e_close(void *arg, int code, const struct cor_err *why) {
	struct world *t = arg;

	say(t, "close %d%s;", code, why ? " why" : "");
	t->ws = NULL;
}

static void tunnel_done(void *arg) {
	((struct world *)arg)->tunnel_done = true;
}

static void handle(void *arg, struct cor_http_req *req) {
	struct world *t = arg;
	static const int ports[] = { 80, 81 };
	struct cor_remote_config rc = { .want_stdin = true, .want_stdout = true, .want_stderr = true,
		.tty = t->tty, .ops = { r_ready, r_stdin, r_eof, r_resize, r_writable, r_closed },
		.arg = t };
	struct cor_forward_config fc = { .ports = ports, .n_ports = 2,
		.ops = { f_connect, f_data, f_eof, f_writable, f_disconnect, f_closed }, .arg = t };

	if (cor_str_eq_c(req->path, "/exec"))
		t->remote = cor_remote_accept(req, &rc);
	else if (cor_str_eq_c(req->path, "/forward"))
		t->forward = cor_forward_accept(req, &fc);
	else if (cor_str_eq_c(req->path, "/log"))
		t->out = cor_ws_out_accept(req, COR_WS_OUT_LOG, NULL, o_closed, t);
	else if (cor_str_eq_c(req->path, "/watch"))
		t->out = cor_ws_out_accept(req, COR_WS_OUT_TEXT, NULL, o_closed, t);
	else if (cor_str_eq_c(req->path, "/echo"))
		t->ws = cor_ws_accept(req, NULL, &(struct cor_ws_ops){ .on_data = e_data,
			.on_close = e_close }, t);
	else if (cor_str_eq_c(req->path, "/tunnel")) {
		struct cor_conn *c = cor_http_takeover(req, 101, NULL, 0);

		if (t->waiting)
			cor_tunnel(t->waiting, c, 0, tunnel_done, t);
		t->waiting = c;
	}
}

static void server_closed(void *arg) {
	((struct world *)arg)->closed = true;
}

static void setup(struct world *t) {
	struct cor_http_config c = { .loop = &t->loop, .handle = handle, .arg = t };
	struct cor_http_client_config cc = { .loop = &t->loop, .host = "127.0.0.1" };

	memset(t, 0, sizeof(*t));
	uv_loop_init(&t->loop);
	t->http = cor_http_server_new(&c);
	ok(cor_http_listen(t->http, "127.0.0.1", 0, &t->port, err));
	cc.port = t->port;
	t->client = cor_http_client_new(&cc);
}

static void teardown(struct world *t) {
	cor_http_client_free(t->client);
	cor_http_server_close(t->http, 0, server_closed, t);
	fixture_until(&t->loop, t->closed);
	fixture_loop_close(&t->loop);
	cor_buf_fini(&t->input);
	for (size_t i = 0; i < 8; i++)
		cor_buf_fini(&t->got[i]);
	if (t->spdy)
		cor_spdy_free(t->spdy);
}

/* ---- the client ---- */

static void on_done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct world *t = arg;

	t->done = true;
	t->status = err ? err->code : r->status;
	snprintf(t->body, sizeof(t->body), "%.*s", COR_STR_ARG(body));
}

static void on_upgraded(void *arg, const struct cor_http_response *r, struct cor_conn *conn) {
	struct world *t = arg;

	t->status = r->status;
	for (size_t i = 0; i < r->n_headers; i++)
		if (cor_str_eq_c(r->headers[i].name, "sec-websocket-protocol") ||
			cor_str_eq_c(r->headers[i].name, "x-stream-protocol-version"))
			snprintf(t->protocol, sizeof(t->protocol), "%.*s",
				COR_STR_ARG(r->headers[i].value));
	t->conn = conn;
	t->upgraded = true;
}

static void upgrade(struct world *t, const char *path, const char *to, const char *protocols) {
	char key[25];
	struct cor_http_header h[6] = { { COR_STR("Connection"), COR_STR("Upgrade") },
		{ COR_STR("Upgrade"), cor_str_c(to) } };
	struct cor_http_call_config c = { .method = "GET", .path = path, .headers = h, .n_headers = 2,
		.timeout = 10 * COR_SECOND, .ops = { .done = on_done, .upgraded = on_upgraded },
		.arg = t };
	bool ws = strcmp(to, "websocket") == 0;

	cor_ws_make_key(key);
	if (ws) {
		h[c.n_headers++] = (struct cor_http_header){ COR_STR("Sec-WebSocket-Key"), cor_str_c(key) };
		h[c.n_headers++] = (struct cor_http_header){ COR_STR("Sec-WebSocket-Version"),
			COR_STR("13") };
	}
	if (protocols)
		h[c.n_headers++] = (struct cor_http_header){ ws ? COR_STR("Sec-WebSocket-Protocol")
			: COR_STR("X-Stream-Protocol-Version"), cor_str_c(protocols) };
	t->upgraded = t->done = t->far_closed = false;
	t->protocol[0] = t->log[0] = '\0';
	t->messages = 0;
	cor_http_call_new(t->client, &c);
	fixture_until(&t->loop, t->upgraded || t->done);
}

static void c_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	struct world *t = arg;
	static int channel;

	t->last_text = text;
	if (first && data.n) {
		channel = data.p[0] & 7;
		t->messages++;
	}
	cor_buf_str(&t->got[0], data);
	if (channel && data.n > 1)
		cor_buf_add(&t->got[channel], data.p + first, data.n - first);
	(void)last;
}
static void c_close(void *arg, int code, const struct cor_err *why) {
	struct world *t = arg;

	(void)why;
	t->close_code = code;
	t->far_closed = true;
	t->cws = NULL;
}

static void ws_open(struct world *t, const char *path, const char *protocols) {
	static const struct cor_ws_ops ops = { .on_data = c_data, .on_close = c_close };

	upgrade(t, path, "websocket", protocols);
	if (!t->upgraded)
		fail_msg("%s %s: %d %s", path, protocols ? protocols : "without a protocol", t->status, t->body);
	for (size_t i = 0; i < 8; i++)
		cor_buf_clear(&t->got[i]);
	t->cws = cor_ws_client(t->conn, &ops, t);
}

static bool got(struct world *t, int channel, const char *text) {
	return cor_str_contains(cor_buf_view(&t->got[channel]), cor_str_c(text));
}

/* ---- plain WebSocket ---- */

static void test_messages(void **state) {
	struct world t;
	struct cor_buf big = COR_BUF_INIT;

	setup(&t);
	ws_open(&t, "/echo", NULL);
	cor_ws_send(t.cws, true, COR_STR("hello"));
	cor_ws_ping(t.cws);
	cor_ws_send(t.cws, false, (struct cor_str){ "", 0 });
	fixture_until(&t.loop, strstr(t.log, "b[]"));
	assert_string_equal(t.log, "t[hello];b[];");
	fixture_until(&t.loop, got(&t, 0, "hello"));
	for (size_t i = 0; i < 300000; i++)
		cor_buf_byte(&big, (char)('a' + i % 19));
	cor_buf_clear(&t.got[0]);
	cor_ws_send(t.cws, false, cor_buf_view(&big));
	fixture_until(&t.loop, t.got[0].n == big.n);
	assert_memory_equal(t.got[0].p, big.p, big.n);
	/* While the server pauses, nothing comes; then everything does. */
	t.log[0] = '\0';
	cor_ws_pause(t.ws, true);
	cor_ws_send(t.cws, true, COR_STR("later"));
	for (int i = 0; i < 20; i++)
		fixture_turn(&t.loop);
	assert_string_equal(t.log, "");
	cor_ws_pause(t.ws, false);
	fixture_until(&t.loop, strstr(t.log, "t[later];"));
	cor_ws_close(t.cws, 1000, COR_STR("bye"));
	fixture_until(&t.loop, !t.ws && t.far_closed);
	assert_non_null(strstr(t.log, "close 1000;"));
	assert_int_equal(t.close_code, 1000);
	cor_buf_fini(&big);
	teardown(&t);
}

static int dial(const struct world *t) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void test_raw_frames(void **state) {
	static const struct {
		const char *frames;
		size_t n;
		const char *log;
	} rows[] = {
		{ "\x81\x02h", 3, "close 1002" },                               /* not masked */
		{ "\xc1\x82\0\0\0\0hi", 8, "close 1002" },                      /* reserved bit */
		{ "\x83\x82\0\0\0\0hi", 8, "close 1002" },                      /* unknown opcode */
		{ "\x80\x82\0\0\0\0hi", 8, "close 1002" },                      /* nothing to continue */
		{ "\x09\x80\0\0\0\0", 6, "close 1002" },                        /* fragmented ping */
		{ "\x88\x82\0\0\0\0\x03\xe8", 8, "close 1000;" },
		{ "\x88\x80\0\0\0\0", 6, "close 1005;" },
		{ "\x01\x81\0\0\0\0a\x89\x80\0\0\0\0\x00\x81\0\0\0\0b\x80\x80\0\0\0\0\x88\x80\0\0\0\0", 32,
			"t[a;tb;t];close 1005;" },
	};
	struct world t;

	setup(&t);
	for (size_t i = 0; i < cor_countof(rows); i++) {
		static const char head[] = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
		char buf[512];
		int fd = dial(&t);
		ssize_t n;

		t.log[0] = '\0';
		assert_int_equal(send(fd, head, sizeof(head) - 1, 0), sizeof(head) - 1);
		assert_int_equal(send(fd, rows[i].frames, rows[i].n, 0), (ssize_t)rows[i].n);
		shutdown(fd, SHUT_WR);
		fixture_until(&t.loop, strstr(t.log, "close"));
		n = recv(fd, buf, sizeof(buf) - 1, 0);
		assert_true(n > 0);
		buf[n] = '\0';
		/* The answer to the key of the protocol's own specification. */
		assert_non_null(strstr(buf, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
		close(fd);
		if (strstr(rows[i].log, "1002") ? !strstr(t.log, " why") : strcmp(t.log, rows[i].log) != 0)
			fail_msg("row %zu: %s", i, t.log);
	}
	teardown(&t);
}

/* ---- exec over WebSocket ---- */

static void test_exec_ws(void **state) {
	static const struct {
		const char *offer, *chosen;
		bool base64, json, close_signal;
	} rows[] = {
		{ "v5.channel.k8s.io", "v5.channel.k8s.io", false, true, true },
		{ "v4.channel.k8s.io, v5.channel.k8s.io", "v5.channel.k8s.io", false, true, true },
		{ "base64url.bearer.authorization.k8s.io.abc, v4.channel.k8s.io", "v4.channel.k8s.io",
			false, true, false },
		{ "v4.base64.channel.k8s.io", "v4.base64.channel.k8s.io", true, true, false },
		{ "channel.k8s.io", "channel.k8s.io", false, false, false },
		{ "base64.channel.k8s.io", "base64.channel.k8s.io", true, false, false },
		{ NULL, "", false, false, false },
	};
	struct world t;

	setup(&t);
	for (size_t i = 0; i < cor_countof(rows); i++) {
		ws_open(&t, "/exec", rows[i].offer);
		assert_string_equal(t.protocol, rows[i].chosen);
		fixture_until(&t.loop, strstr(t.log, "ready;") && t.messages == 1);
		/* The first message is empty but for the channel. */
		assert_int_equal(t.got[0].n, 1);
		assert_int_equal(t.got[0].p[0], rows[i].base64 ? '1' : 1);
		assert_int_equal(t.last_text, rows[i].base64);
		if (rows[i].base64)
			cor_ws_send(t.cws, true, COR_STR("0aGVsbG8="));
		else
			cor_ws_send(t.cws, false, (struct cor_str){ "\0hello", 6 });
		fixture_until(&t.loop, strstr(t.log, "in hello;"));
		cor_remote_write(t.remote, COR_REMOTE_STDOUT, COR_STR("out"));
		cor_remote_write(t.remote, COR_REMOTE_STDERR, COR_STR("err"));
		if (rows[i].close_signal) {
			cor_ws_send(t.cws, false, (struct cor_str){ "\xff\0", 2 });
			fixture_until(&t.loop, strstr(t.log, "eof;"));
		}
		cor_remote_finish(t.remote, 7, NULL);
		fixture_until(&t.loop, t.far_closed && !t.remote);
		assert_int_equal(t.close_code, 1000);
		assert_non_null(strstr(t.log, "closed well;"));
		if (rows[i].base64) {
			assert_true(got(&t, 0, "1b3V0"));
			assert_true(got(&t, 0, "2ZXJy"));
			continue;
		}
		assert_true(got(&t, 1, "out"));
		assert_true(got(&t, 2, "err"));
		if (rows[i].json)
			assert_true(got(&t, 3, "\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":"
				"[{\"reason\":\"ExitCode\",\"message\":\"7\"}]}}"));
		else
			assert_true(got(&t, 3, "command terminated with non-zero exit code"));
	}
	upgrade(&t, "/exec", "websocket", "other");
	assert_int_equal(t.status, 403);
	upgrade(&t, "/exec", "other", NULL);
	assert_int_equal(t.status, 400);
	assert_string_equal(t.body, "Upgrade request required\n");
	teardown(&t);
}

static void test_exec_tty_and_pressure(void **state) {
	struct world t;
	struct cor_buf big = COR_BUF_INIT;
	struct cor_err err = { 0 };

	setup(&t);
	t.tty = true;
	ws_open(&t, "/exec", "v5.channel.k8s.io");
	cor_ws_send(t.cws, false, COR_STR("\4{\"Width\":80,\"Hei"));
	cor_ws_send(t.cws, false, COR_STR("\4ght\":24}{\"Width\":0,\"Height\":1}"));
	cor_ws_send(t.cws, false, COR_STR("\4{\"Width\":100,\"Height\":30}\n"));
	fixture_until(&t.loop, strstr(t.log, "size 100x30;"));
	assert_string_equal(t.log, "ready;size 80x24;size 100x30;");
	/* stdin that nobody takes is held back, and the client is held up. */
	cor_buf_byte(&big, 0);
	for (size_t i = 0; i < 16000000; i++)
		cor_buf_byte(&big, (char)('a' + i % 17));
	cor_remote_pause_stdin(t.remote, true);
	cor_ws_send(t.cws, false, cor_buf_view(&big));
	for (int i = 0; i < 100; i++)
		fixture_turn(&t.loop);
	assert_int_equal(t.input.n, 0);
	assert_true(cor_ws_backlog(t.cws) > 0);
	cor_remote_pause_stdin(t.remote, false);
	fixture_until(&t.loop, t.input.n == big.n - 1);
	assert_memory_equal(t.input.p, big.p + 1, big.n - 1);
	(void)cor_fail(&err, COR_E_INTERNAL, "error executing command in container: \"x\"");
	cor_remote_finish(t.remote, 0, &err);
	fixture_until(&t.loop, t.far_closed);
	assert_true(got(&t, 3, "\"message\":\"Internal error occurred: error executing command in "
		"container: \\\"x\\\"\",\"reason\":\"InternalError\""));
	/* The client just goes. */
	ws_open(&t, "/exec", "v5.channel.k8s.io");
	fixture_until(&t.loop, strstr(t.log, "ready;"));
	cor_ws_abort(t.cws);
	fixture_until(&t.loop, !t.remote);
	assert_non_null(strstr(t.log, "closed early;"));
	cor_buf_fini(&big);
	teardown(&t);
}

/* ---- SPDY ---- */

static void p_write(void *arg, struct cor_str bytes) {
	struct world *t = arg;

	if (t->cws)
		cor_ws_send(t->cws, false, bytes);
	else if (t->conn)
		cor_conn_write_str(t->conn, bytes);
}
static void p_pause(void *arg, bool paused) {
	(void)arg;
	(void)paused;
}
static void p_stream(void *arg, struct cor_spdy_stream *s) {
	(void)arg;
	(void)s;
}
static size_t index_of(struct world *t, struct cor_spdy_stream *s) {
	return (size_t)(uintptr_t)cor_spdy_stream_user(s);
}
static void p_data(void *arg, struct cor_spdy_stream *s, struct cor_str data) {
	struct world *t = arg;

	cor_buf_str(&t->got[index_of(t, s)], data);
}
static void p_eof(void *arg, struct cor_spdy_stream *s) {
	struct world *t = arg;

	t->eof[index_of(t, s)] = true;
}
static void p_gone(void *arg, struct cor_spdy_stream *s, int status) {
	struct world *t = arg;

	(void)status;
	t->streams[index_of(t, s)] = NULL;
}

static void b_input(struct world *t, struct cor_str data) {
	ok(cor_spdy_input(t->spdy, data, err));
}
static void b_data(void *arg, struct cor_str data) {
	b_input(arg, data);
}
static void b_eof(void *arg) {
	struct world *t = arg;

	cor_conn_shutdown(t->conn);
}
static void b_close(void *arg, const struct cor_err *why) {
	struct world *t = arg;

	(void)why;
	t->conn = NULL;
	t->far_closed = true;
}
static void w_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	(void)first;
	(void)last;
	assert_false(text);
	b_input(arg, data);
}

static void spdy_open(struct world *t, const char *path, bool over_ws, const char *protocols) {
	static const struct cor_spdy_ops ops = { .write = p_write, .pause = p_pause,
		.on_stream = p_stream, .on_data = p_data, .on_eof = p_eof, .on_gone = p_gone };
	static const struct cor_conn_ops conn_ops = { .on_data = b_data, .on_eof = b_eof,
		.on_close = b_close };
	static const struct cor_ws_ops ws_ops = { .on_data = w_data, .on_close = c_close };

	upgrade(t, path, over_ws ? "websocket" : "SPDY/3.1", protocols);
	if (!t->upgraded)
		fail_msg("%s: %d %s", path, t->status, t->body);
	if (t->spdy)
		cor_spdy_free(t->spdy);
	for (size_t i = 0; i < 8; i++)
		cor_buf_clear(&t->got[i]);
	memset(t->streams, 0, sizeof(t->streams));
	memset(t->eof, 0, sizeof(t->eof));
	t->n_streams = 0;
	t->spdy = cor_spdy_new(false, &ops, t);
	t->cws = over_ws ? cor_ws_client(t->conn, &ws_ops, t) : NULL;
	if (!over_ws)
		cor_conn_set_ops(t->conn, &conn_ops, t);
}

static struct cor_spdy_stream *stream(struct world *t, const char *type, const char *port,
	const char *id) {
	struct cor_http_header h[] = { { COR_STR("streamtype"), cor_str_c(type) },
		{ COR_STR("port"), cor_str_c(port) }, { COR_STR("requestid"), cor_str_c(id) } };
	struct cor_spdy_stream *s = cor_spdy_open(t->spdy, h, id ? 3 : port ? 2 : 1);

	cor_spdy_stream_set_user(s, (void *)(uintptr_t)t->n_streams);
	t->streams[t->n_streams++] = s;
	return s;
}

static void test_exec_spdy(void **state) {
	static const struct {
		const char *offer, *chosen;
		bool json;
	} rows[] = {
		{ "v5.channel.k8s.io,v4.channel.k8s.io,v3.channel.k8s.io", "v4.channel.k8s.io", true },
		{ "v2.channel.k8s.io", "v2.channel.k8s.io", false },
		{ "channel.k8s.io", "channel.k8s.io", false },
	};
	struct world t;

	setup(&t);
	for (size_t i = 0; i < cor_countof(rows); i++) {
		spdy_open(&t, "/exec", false, rows[i].offer);
		assert_string_equal(t.protocol, rows[i].chosen);
		stream(&t, "error", NULL, NULL);
		stream(&t, "stdin", NULL, NULL);
		cor_spdy_send(t.streams[1], COR_STR("early"), false);
		for (int k = 0; k < 20; k++)
			fixture_turn(&t.loop);
		assert_string_equal(t.log, "");         /* not all streams are there */
		stream(&t, "stdout", NULL, NULL);
		stream(&t, "stderr", NULL, NULL);
		cor_spdy_send(t.streams[1], (struct cor_str){ 0 }, true);
		fixture_until(&t.loop, strstr(t.log, "eof;"));
		assert_string_equal(t.log, "ready;in early;eof;");
		cor_remote_write(t.remote, COR_REMOTE_STDOUT, COR_STR("out"));
		cor_remote_write(t.remote, COR_REMOTE_STDERR, COR_STR("err"));
		cor_remote_finish(t.remote, 0, NULL);
		fixture_until(&t.loop, t.eof[0] && t.eof[2] && t.eof[3]);
		assert_true(got(&t, 2, "out"));
		assert_true(got(&t, 3, "err"));
		assert_true(cor_str_eq_c(cor_buf_view(&t.got[0]), rows[i].json
			? "{\"metadata\":{},\"status\":\"Success\"}" : ""));
		/* The client hangs up as it does. */
		cor_conn_close(t.conn);
		fixture_until(&t.loop, !t.remote && t.far_closed);
		assert_non_null(strstr(t.log, "closed well;"));
	}
	upgrade(&t, "/exec", "SPDY/3.1", NULL);
	assert_int_equal(t.status, 400);
	upgrade(&t, "/exec", "SPDY/3.1", "v9.channel.k8s.io");
	assert_int_equal(t.status, 403);
	teardown(&t);
}

/* ---- port-forward ---- */

static void test_forward(void **state) {
	struct world t;

	setup(&t);
	for (int over_ws = 0; over_ws < 2; over_ws++) {
		spdy_open(&t, "/forward", over_ws, over_ws ? "SPDY/3.1+portforward.k8s.io"
			: "portforward.k8s.io");
		stream(&t, "error", "80", "1");
		cor_spdy_send(t.streams[0], (struct cor_str){ 0 }, true);
		stream(&t, "data", "80", "1");
		stream(&t, "error", "81", "2");
		cor_spdy_send(t.streams[2], (struct cor_str){ 0 }, true);
		stream(&t, "data", "81", "2");
		stream(&t, "data", "0", "3");
		cor_spdy_send(t.streams[1], COR_STR("ping"), false);
		fixture_until(&t.loop, got(&t, 1, "ping") && !t.streams[4] && !t.streams[3]);
		assert_true(cor_str_eq_c(cor_buf_view(&t.got[2]), "refused"));
		assert_true(t.eof[2]);
		assert_string_equal(t.log, "connect 80;connect 81;disconnect;");
		cor_spdy_send(t.streams[1], (struct cor_str){ 0 }, true);
		fixture_until(&t.loop, t.eof[0] && t.eof[1]);
		assert_string_equal(t.log, "connect 80;connect 81;disconnect;eof;disconnect;");
		assert_int_equal(t.got[0].n, 0);
		/* Old clients have no request id. */
		t.n_streams = 5;
		stream(&t, "error", "82", NULL);
		stream(&t, "data", "82", NULL);
		fixture_until(&t.loop, strstr(t.log, "connect 82;"));
		if (over_ws)
			cor_ws_close(t.cws, 1000, (struct cor_str){ 0 });
		else
			cor_conn_close(t.conn);
		fixture_until(&t.loop, t.far_closed && !t.forward);
		assert_non_null(strstr(t.log, "disconnect;closed;"));
	}
	teardown(&t);
}

static void test_forward_channels(void **state) {
	struct world t;

	setup(&t);
	ws_open(&t, "/forward", "v4.channel.k8s.io");
	fixture_until(&t.loop, strstr(t.log, "disconnect;") && t.messages >= 5);
	assert_string_equal(t.log, "connect 80;connect 81;disconnect;");
	assert_memory_equal(t.got[0].p, "\0\x50\0\1\x50\0\2\x51\0\3\x51\0\3refused", 20);
	cor_ws_send(t.cws, false, (struct cor_str){ "\0ping", 5 });
	fixture_until(&t.loop, got(&t, 0, "ping"));
	cor_ws_close(t.cws, 1000, (struct cor_str){ 0 });
	fixture_until(&t.loop, !t.forward);
	assert_string_equal(t.log, "connect 80;connect 81;disconnect;disconnect;closed;");
	teardown(&t);
}

/* ---- output and tunnels ---- */

static void test_output(void **state) {
	struct world t;
	struct cor_buf big = COR_BUF_INIT;

	for (size_t i = 0; i < 5000; i++)
		cor_buf_byte(&big, 'x');
	setup(&t);
	ws_open(&t, "/log", "binary.k8s.io");
	fixture_until(&t.loop, t.out);
	cor_ws_out_write(t.out, cor_buf_view(&big));
	cor_ws_out_finish(t.out);
	fixture_until(&t.loop, t.far_closed && !t.out);
	assert_int_equal(t.messages, 3);
	assert_int_equal(t.got[0].n, 5000);
	assert_int_equal(t.close_code, 1000);
	assert_string_equal(t.log, "closed well;");
	ws_open(&t, "/watch", NULL);
	fixture_until(&t.loop, t.out);
	cor_ws_out_write(t.out, COR_STR("{\"type\":\"ADDED\"}"));
	fixture_until(&t.loop, got(&t, 0, "ADDED"));
	assert_true(t.last_text);
	cor_ws_close(t.cws, 1000, (struct cor_str){ 0 });
	fixture_until(&t.loop, !t.out);
	cor_buf_fini(&big);
	teardown(&t);
}

static void pull(struct world *t, int fd, struct cor_buf *b, size_t want) {
	time_t end = time(NULL) + 20;

	while (b->n < want) {
		char buf[65536];
		ssize_t n;

		fixture_turn(&t->loop);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0)
			cor_buf_add(b, buf, (size_t)n);
		if (n == 0)
			return;
		assert_true(time(NULL) < end);
	}
}

static void test_tunnel(void **state) {
	static const char head[] = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n";
	struct cor_buf a = COR_BUF_INIT, b = COR_BUF_INIT;
	struct world t;
	int fd[2];
	size_t sent = 0, head_n;

	setup(&t);
	for (int i = 0; i < 2; i++) {
		fd[i] = dial(&t);
		assert_int_equal(send(fd[i], head, sizeof(head) - 1, 0), sizeof(head) - 1);
		pull(&t, fd[i], i ? &b : &a, 32);
	}
	head_n = b.n;
	assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	/* Nobody reads the far end: what goes in is bounded by the socket buffers. */
	for (int i = 0; i < 3000; i++) {
		char chunk[32768] = "";
		ssize_t n = send(fd[0], chunk, sizeof(chunk), MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else
			fixture_turn(&t.loop);
	}
	assert_true(sent < (size_t)3000 * 32768 / 2);
	shutdown(fd[0], SHUT_WR);
	pull(&t, fd[1], &b, SIZE_MAX);
	assert_int_equal(b.n - head_n, sent);
	close(fd[1]);
	pull(&t, fd[0], &a, SIZE_MAX);
	fixture_until(&t.loop, t.tunnel_done);
	close(fd[0]);
	cor_buf_fini(&a);
	cor_buf_fini(&b);
	teardown(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_raw_frames),
		cmocka_unit_test(test_exec_ws),
		cmocka_unit_test(test_exec_tty_and_pressure),
		cmocka_unit_test(test_exec_spdy),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_forward_channels),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_tunnel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
