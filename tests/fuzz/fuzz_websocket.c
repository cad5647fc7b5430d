// SPDX-License-Identifier: Apache-2.0
// WebSocket and SPDY sessions of exec and port-forward over a real connection: the upgrade is
// fixed, the frames are the input. The first byte chooses who listens (plain messages, exec,
// port-forward) and what was negotiated.
#include "lab.h"
#include "net/stream.h"
#include "net/websocket.h"

static struct fuzz_lab lab;
static struct {
	unsigned mode;
	bool over, accepted;
	struct cor_remote *remote;
} w;

static void r_ready(void *arg) {
	(void)arg;
	cor_remote_write(w.remote, COR_REMOTE_STDOUT, COR_STR("x"));
}
static void r_stdin(void *arg, struct cor_str d) {
	(void)arg;
	(void)d;
}
static void r_eof(void *arg) {
	(void)arg;
	cor_remote_finish(w.remote, 1, NULL);
}
static void r_resize(void *arg, int a, int b) {
	(void)arg;
	cor_assert(a > 0 && b > 0);
}
static void r_writable(void *arg) {
	(void)arg;
}
static void over(void *arg, const struct cor_err *why) {
	(void)arg;
	(void)why;
	w.over = true;
}
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
static void f_eof(void *arg, struct cor_forward_conn *fc) {
	(void)arg;
	cor_forward_finish(fc);
}
static void f_other(void *arg, struct cor_forward_conn *fc) {
	(void)arg;
	(void)fc;
}
static void m_data(void *arg, bool t, bool f, bool l, struct cor_str d) {
	(void)arg;
	(void)t;
	(void)f;
	(void)l;
	(void)d;
}
static void m_close(void *arg, int code, const struct cor_err *why) {
	(void)code;
	over(arg, why);
}

static void handle(void *arg, struct cor_http_req *req) {
	static const int ports[] = { 80, 81 };

	(void)arg;
	if (w.mode % 3 == 0)
		w.accepted = cor_ws_accept(req, NULL,
			&(struct cor_ws_ops){ .on_data = m_data, .on_close = m_close }, NULL);
	else if (w.mode % 3 == 1) {
		w.remote = cor_remote_accept(req,
			&(struct cor_remote_config){ .want_stdin = true,
				.want_stdout = true,
				.tty = true,
				.ops = { r_ready, r_stdin, r_eof, r_resize, r_writable, over } });
		w.accepted = w.remote;
	} else
		w.accepted = cor_forward_accept(
			req, &(struct cor_forward_config){ .ports = ports,
				     .n_ports = 2,
				     .ops = { f_connect, f_data, f_eof, f_other, f_other, over } });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static const char websocket[] = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
					"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
	static const char *const upgrades[] = { "", "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n",
		"Sec-WebSocket-Protocol: v4.base64.channel.k8s.io\r\n",
		"Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n",
		"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n",
		"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n" };
	struct cor_http_config c = { .handle = handle };
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	const char *upgrade;
	bool spdy;

	if (n < 1 || n > 32768)
		return 0;
	if (!lab.http)
		fuzz_lab_serve(&lab, &c);
	w.mode = data[0];
	w.over = w.accepted = false;
	upgrade = upgrades[(data[0] >> 4) % cor_countof(upgrades)];
	spdy = upgrade[0] == 'U';
	cor_buf_printf(&out, "%s / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n%s%s\r\n",
		spdy ? "POST" : "GET", spdy ? "" : websocket, upgrade);
	cor_buf_add(&out, data + 1, n - 1);
	(void)fuzz_lab_talk(&lab, cor_buf_view(&out), 1 + n / 2, NULL);
	/* Either it was refused, or the session has ended because we have. */
	fuzz_lab_turn(&lab, 5);
	cor_assert(!w.accepted || w.over);
	return 0;
}
