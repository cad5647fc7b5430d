// SPDX-License-Identifier: Apache-2.0
// See lab.h.
#include "lab.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/http1.h"

enum { TURNS_MAX = 400 };

void fuzz_isolate(void) {
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	cor_assert(unshare(CLONE_NEWNET) == 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cor_assert(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0);
	close(fd);
}

/* Goes on when libFuzzer's clock interrupts it, and when all ports are still those of connections that have ended. */
static int join(int fd, const struct sockaddr *to, socklen_t n) {
	int e = 0;
	socklen_t size = sizeof(e);

	for (int tries = 0; connect(fd, to, n) < 0; tries++) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (errno == EISCONN)
			return 0;
		if (errno == EINTR || errno == EALREADY || errno == EINPROGRESS) {
			(void)poll(&p, 1, 1000);
			if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size) < 0 || e)
				return -e;
		} else if (errno != EADDRNOTAVAIL || tries > 500) {
			return -errno;
		} else {
			(void)poll(NULL, 0, 10);
		}
	}
	return 0;
}

static int dial(const struct fuzz_lab *lab) {
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)lab->port) };
	struct sockaddr_un un;
	socklen_t n = sizeof(un);
	int fd = socket(lab->port ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	cor_assert(fd >= 0);
	if (lab->port) {
		r = join(fd, (struct sockaddr *)&in, sizeof(in));
	} else {
		cor_assert(getsockname(lab->listener, (struct sockaddr *)&un, &n) == 0);
		r = join(fd, (struct sockaddr *)&un, n);
	}
	if (r < 0)
		(void)fprintf(stderr, "fuzz lab: connect: %s\n", strerror(-r));
	cor_assert(r == 0);
	return fd;
}

void fuzz_lab_serve(struct fuzz_lab *lab, struct cor_http_config *c) {
	/* No name: the kernel gives one that nobody else has. */
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	struct cor_err err;

	cor_assert(uv_loop_init(&lab->loop) == 0);
	c->loop = &lab->loop;
	lab->http = cor_http_server_new(c);
	lab->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cor_assert(lab->listener >= 0);
	cor_assert(bind(lab->listener, (struct sockaddr *)&any, sizeof(sa_family_t)) == 0);
	cor_assert(listen(lab->listener, 16) == 0);
	cor_assert(cor_http_listen_fd(lab->http, lab->listener, &err) == 0);
}

void fuzz_lab_turn(struct fuzz_lab *lab, int times) {
	for (int i = 0; i < times; i++) {
		uv_run(&lab->loop, UV_RUN_NOWAIT);
		if (lab->step)
			lab->step();
	}
}

/* False at the end or after an error. */
static bool take(int fd, struct cor_buf *out) {
	char piece[16384];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
		if (out)
			cor_buf_add(out, piece, (size_t)n);
	return n < 0 && errno == EAGAIN;
}

bool fuzz_lab_talk(struct fuzz_lab *lab, struct cor_str in, size_t piece, struct cor_buf *out) {
	int fd = dial(lab), turns = 0;
	bool open = true, ended = false;

	cor_assert(piece > 0);
	while (open && turns++ < TURNS_MAX) {
		size_t want = piece < in.n ? piece : in.n;
		ssize_t n = want ? send(fd, in.p, want, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

		if (n > 0)
			in = cor_str_sub(in, (size_t)n, in.n);
		if (n < 0 && errno != EAGAIN)
			in.n = 0;
		if (!in.n && !ended)
			ended = shutdown(fd, SHUT_WR) == 0;
		fuzz_lab_turn(lab, 1);
		open = take(fd, out);
		/* A long input in small pieces gets the turns that it needs. */
		if (in.n)
			turns = 0;
	}
	close(fd);
	fuzz_lab_turn(lab, 3);
	return !open;
}

/* ---- requests and answers ---- */

bool fuzz_request(struct cor_str *in, struct cor_buf *out) {
	struct cor_str line, text = *in, target;
	size_t end = 0;

	if (!in->n)
		return false;
	while (end < in->n && !cor_str_starts(cor_str_sub(*in, end, in->n), COR_STR("\n%%\n")))
		end++;
	text.n = end;
	*in = end < in->n ? cor_str_sub(*in, end + 4, in->n) : COR_STR("");
	target = fuzz_line(&text);
	line = cor_str_cut(&target, ' ');
	cor_buf_printf(
		out, "%.*s %.*s HTTP/1.1\r\nhost: a\r\n", COR_STR_ARG(line), COR_STR_ARG(target));
	while ((line = fuzz_line(&text)).n) {
		cor_buf_str(out, line);
		cor_buf_c(out, "\r\n");
	}
	if (text.n)
		cor_buf_printf(out, "content-length: %zu\r\n", text.n);
	cor_buf_c(out, "\r\n");
	cor_buf_str(out, text);
	return true;
}

int fuzz_response(struct cor_buf *answer, bool head_request, struct cor_buf *body,
	char *content_type, size_t size) {
	static struct cor_http1_head h;
	struct cor_http1_body b;
	struct cor_str in, piece;
	struct cor_err err;
	size_t scan = 0, len = cor_http1_head_end(cor_buf_view(answer), &scan);

	content_type[0] = '\0';
	if (!len)
		return 0;
	cor_assert(cor_http1_parse_response(answer->p, len, head_request, &h, &err) == 0);
	for (size_t i = 0; i < h.n_headers; i++)
		if (cor_str_eq_c(h.headers[i].name, "content-type"))
			(void)snprintf(content_type, size, "%.*s", COR_STR_ARG(h.headers[i].value));
	in = cor_str_sub(cor_buf_view(answer), len, answer->n);
	cor_http1_body_init(&b, h.framing, h.length);
	while (!b.done && in.n) {
		cor_assert(cor_http1_body_next(&b, &in, &piece, &err) == 0);
		cor_buf_str(body, piece);
	}
	return b.done || h.framing == COR_HTTP1_NO_BODY ? h.status : 0;
}
