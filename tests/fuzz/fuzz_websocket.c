// SPDX-License-Identifier: Apache-2.0
// WebSocket sessions over a real connection: the handshake is fixed, the frames are the input.
// The first byte chooses what listens: plain messages, exec, or port-forward.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/assert.h"
#include "net/stream.h"
#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct {
	uv_loop_t loop;
	struct cor_http_server *http;
	int port;
	unsigned mode;
	bool over, accepted;
	struct cor_remote *remote;
} w;

static void r_ready(void *arg) { (void)arg; cor_remote_write(w.remote, COR_REMOTE_STDOUT, COR_STR("x")); }
static void r_stdin(void *arg, struct cor_str d) { (void)arg; (void)d; }
static void r_eof(void *arg) { (void)arg; cor_remote_finish(w.remote, 1, NULL); }
static void r_resize(void *arg, int a, int b) { (void)arg; cor_assert(a > 0 && b > 0); }
static void r_writable(void *arg) { (void)arg; }
static void over(void *arg, const struct cor_err *why) { (void)arg; (void)why; w.over = true; }
static void f_connect(void *arg, struct cor_forward_conn *fc, int port) {
	(void)arg;
	if (port & 1)
		cor_forward_fail(fc, COR_STR("no"));
	else
		cor_forward_ready(fc);
}
static void f_data(void *arg, struct cor_forward_conn *fc, struct cor_str d) {
	(void)arg;
	cor_forward_write(fc, d);
}
static void f_eof(void *arg, struct cor_forward_conn *fc) { (void)arg; cor_forward_finish(fc); }
static void f_other(void *arg, struct cor_forward_conn *fc) { (void)arg; (void)fc; }
static void m_data(void *arg, bool t, bool f, bool l, struct cor_str d) {
	(void)arg; (void)t; (void)f; (void)l; (void)d;
}
static void m_close(void *arg, int code, const struct cor_err *why) { (void)code; over(arg, why); }

static void handle(void *arg, struct cor_http_req *req) {
	static const int ports[] = { 80, 81 };

	(void)arg;
	if (w.mode % 3 == 0)
		w.accepted = cor_ws_accept(req, NULL, &(struct cor_ws_ops){ .on_data = m_data,
			.on_close = m_close }, NULL);
	else if (w.mode % 3 == 1) {
		w.remote = cor_remote_accept(req, &(struct cor_remote_config){ .want_stdin = true,
			.want_stdout = true, .tty = true, .ops = { r_ready, r_stdin, r_eof, r_resize,
			r_writable, over } });
		w.accepted = w.remote;
	} else
		w.accepted = cor_forward_accept(req, &(struct cor_forward_config){ .ports = ports,
			.n_ports = 2, .ops = { f_connect, f_data, f_eof, f_other, f_other, over } });
}

static void turn(void) {
	struct pollfd p = { .fd = uv_backend_fd(&w.loop), .events = POLLIN };

	uv_run(&w.loop, UV_RUN_NOWAIT);
	(void)poll(&p, 1, 1);
}

static void begin(void) {
	struct cor_http_config c = { .loop = &w.loop, .handle = handle };

	uv_loop_init(&w.loop);
	w.http = cor_http_server_new(&c);
	cor_assert(cor_http_listen(w.http, "127.0.0.1", 0, &w.port, NULL) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static const char *const protocols[] = { "", "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n",
		"Sec-WebSocket-Protocol: v4.base64.channel.k8s.io\r\n",
		"Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n" };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char head[512];
	int fd, len;

	if (n < 1 || n > 32768)
		return 0;
	if (!w.http)
		begin();
	w.mode = data[0];
	w.over = w.accepted = false;
	len = snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
		"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
		"%s\r\n", protocols[data[0] >> 4 & 3]);
	a.sin_port = htons((uint16_t)w.port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cor_assert(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	cor_assert(send(fd, head, (size_t)len, MSG_NOSIGNAL) == len);
	(void)send(fd, data + 1, n - 1, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	/* Either it was refused, or the session ends because we have ended. */
	for (int i = 0; i < 50 && !w.over; i++)
		turn();
	cor_assert(!w.accepted || w.over);
	close(fd);
	for (int i = 0; i < 2; i++)
		turn();
	return 0;
}
