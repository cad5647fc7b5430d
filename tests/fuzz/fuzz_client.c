// SPDX-License-Identifier: Apache-2.0
// The HTTP client: an input is the answer of a server, after a first byte that chooses the method
// and how the body is taken: gathered, in pieces, upgraded to a WebSocket, or read as an error
// Status.
#include <arpa/inet.h>
#include <sys/socket.h>

#include "lab.h"
#include "net/api_client.h"
#include "net/client.h"
#include "net/websocket.h"

static uv_loop_t loop;
static struct cor_http_client *client;
static int listener = -1;
static unsigned ends;
static bool in_ws;

static void head(void *arg, const struct cor_http_response *r) {
	(void)arg;
	cor_assert(r->status >= 100 && r->status <= 999);
	for (size_t i = 0; i < r->n_headers; i++)
		cor_assert(r->headers[i].name.n);
}

static void data_piece(void *arg, struct cor_str data) {
	(void)arg;
	cor_assert(data.n);
}

static void done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct cor_err status;

	(void)arg;
	ends++;
	cor_assert(err || r);
	if (!err && r->status >= 400) {
		cor_api_status_error(r->status, body, &status);
		cor_assert(status.code < 0);
	}
}

static void ws_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	(void)text;
	(void)first;
	(void)last;
	cor_ws_send(*(struct cor_ws **)arg, false, data);
}

static void ws_close(void *arg, int code, const struct cor_err *why) {
	(void)arg;
	(void)why;
	cor_assert(code >= 1000);
	in_ws = false;
}

static void upgraded(void *arg, const struct cor_http_response *r, struct cor_conn *conn) {
	static struct cor_ws *ws;
	static const struct cor_ws_ops ops = { .on_data = ws_data, .on_close = ws_close };

	(void)arg;
	ends++;
	cor_assert(r->status == 101);
	in_ws = true;
	ws = cor_ws_client(conn, &ops, &ws);
}

static void begin(void) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct cor_http_client_config c = { .loop = &loop, .host = "127.0.0.1" };
	socklen_t len = sizeof(a);

	fuzz_isolate();
	cor_assert(uv_loop_init(&loop) == 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cor_assert(bind(listener, (struct sockaddr *)&a, len) == 0 && listen(listener, 16) == 0);
	cor_assert(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
	c.port = ntohs(a.sin_port);
	client = cor_http_client_new(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static const char *const methods[] = { "GET", "HEAD", "POST", "GET" };
	unsigned mode = n ? data[0] % 4 : 0;
	struct cor_http_call_config c = { .method = methods[mode],
		.path = "/",
		.max_body = 8192,
		.ops = { .head = head,
			.data = mode == 2 ? data_piece : NULL,
			.done = done,
			.upgraded = mode == 3 ? upgraded : NULL } };
	struct cor_http_call *call;
	int fd = -1;

	if (n < 1 || n > 32768)
		return 0;
	if (!client)
		begin();
	ends = 0;
	in_ws = false;
	call = cor_http_call_new(client, &c);
	for (int i = 0; i < 200 && fd < 0 && !ends; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	}
	if (fd >= 0) {
		/* Half of it first: a head or a frame may end anywhere. */
		(void)send(fd, data + 1, (n - 1) / 2, MSG_NOSIGNAL);
		uv_run(&loop, UV_RUN_NOWAIT);
		(void)send(fd, data + 1 + (n - 1) / 2, n - 1 - (n - 1) / 2, MSG_NOSIGNAL);
		(void)shutdown(fd, SHUT_WR);
	}
	for (int i = 0; i < 400 && (!ends || in_ws); i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	cor_assert(ends <= 1);
	if (!ends)
		cor_http_call_cancel(call);
	/* The server has ended: so does the call, and the session. */
	cor_assert(ends == 1 && !in_ws);
	if (fd >= 0)
		close(fd);
	for (int i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	return 0;
}
