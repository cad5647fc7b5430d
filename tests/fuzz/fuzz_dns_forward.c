// SPDX-License-Identifier: Apache-2.0
// What a resolver answers to a question that was forwarded to it. The first byte chooses UDP or TCP
// and whether the answer's id is set right; the rest is the answer (over TCP the stream: lengths
// are the input's). Whoever asked is told exactly once, and what he gets has his id.
#include <libknot/libknot.h>
#undef _cleanup_

#include <arpa/inet.h>
#include <sys/socket.h>

#include "lab.h"
#include "network/dns_forward_priv.h"

/* id 0x0102, recursion desired, one question: foo.example.com A */
static const uint8_t query[] = "\1\2\1\0\0\1\0\0\0\0\0\0\3foo\7example\3com\0\0\1\0\1";

static uv_loop_t loop;
static int udp = -1, tcp = -1;
static char upstream[32];
static unsigned answered;
static bool closed;

static void done(struct dns_waiter *w, const uint8_t *p, size_t n) {
	(void)w;
	answered++;
	cor_assert(n == 0 || (n >= KNOT_WIRE_HEADER_SIZE && knot_wire_get_id(p) == 0x0102));
}

static void on_closed(void *arg) {
	(void)arg;
	closed = true;
}

static void begin(void) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	fuzz_isolate();
	cor_assert(uv_loop_init(&loop) == 0);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cor_assert(bind(tcp, (struct sockaddr *)&a, len) == 0 && listen(tcp, 16) == 0);
	cor_assert(getsockname(tcp, (struct sockaddr *)&a, &len) == 0);
	cor_assert(bind(udp, (struct sockaddr *)&a, len) == 0);
	(void)snprintf(upstream, sizeof(upstream), "127.0.0.1#%d", ntohs(a.sin_port));
}

static void answer_udp(const uint8_t *data, size_t n, bool right) {
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t asked[512], reply[65536];

	while (recvfrom(udp, asked, sizeof(asked), 0, (struct sockaddr *)&from, &len) > 0) {
		memcpy(reply, data, n);
		if (right && n >= 2)
			memcpy(reply, asked, 2);
		(void)sendto(udp, reply, n, 0, (struct sockaddr *)&from, len);
	}
}

static void answer_tcp(const uint8_t *data, size_t n, bool right) {
	_cleanup_close_ int fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC);
	uint8_t asked[512], reply[65536];
	ssize_t got = -1;

	for (int i = 0; fd >= 0 && i < 20 && got < 4; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		got = recv(fd, asked, sizeof(asked), MSG_DONTWAIT);
	}
	if (fd < 0)
		return;
	memcpy(reply, data, n);
	if (right && n >= 4 && got >= 4)
		memcpy(reply + 2, asked + 2, 2);
	(void)send(fd, reply, n / 2, MSG_NOSIGNAL);
	uv_run(&loop, UV_RUN_NOWAIT);
	(void)send(fd, reply + n / 2, n - n / 2, MSG_NOSIGNAL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct dns_waiter w = { .done = done }, twin = { .done = done };
	const char *upstreams[] = { upstream, NULL };
	struct cor_dns_server_config c = { .upstreams = upstreams };
	bool over_tcp = n && data[0] & 1, right = n && data[0] & 2;
	struct dns_forward *f;

	if (n < 1 || n > 60000)
		return 0;
	if (udp < 0)
		begin();
	answered = 0;
	closed = false;
	f = dns_forward_new(&loop, &c);
	dns_forward_ask(f, query, sizeof(query) - 1, over_tcp, &w);
	dns_forward_ask(f, query, sizeof(query) - 1, over_tcp, &twin);
	for (int i = 0; i < 6 && !answered; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		if (over_tcp)
			answer_tcp(data + 1, n - 1, right);
		else
			answer_udp(data + 1, n - 1, right);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	dns_forward_close(f, on_closed, NULL);
	for (int i = 0; i < 10 && !closed; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	cor_assert(closed && answered == 2);
	/* What was sent too late belongs to nobody. */
	answer_udp(data, 0, false);
	for (int fd; (fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
		close(fd);
	return 0;
}
