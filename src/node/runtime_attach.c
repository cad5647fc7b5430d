// SPDX-License-Identifier: Apache-2.0
// attach: a packet socket of conmon in the bundle. Each packet from it is one byte of stream
// number and output; each packet to it is input. conmon closes it when the container has ended.
// Its control pipe takes "1 rows columns" (resize) and "2 0 0" (write to a new log file).
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/assert.h"
#include "base/mem.h"
#include "node/runtime_priv.h"

/* conmon numbers the streams so, and reads packets of at most 32 KiB. */
enum { CONMON_STDOUT = 2, CONMON_STDERR = 3, PACKET_MAX = 8 * 1024, BACKLOG_HIGH = 256 * 1024,
	BACKLOG_LOW = 64 * 1024 };

struct attach {
	struct cor_session s;
	uv_poll_t poll;
	int fd;
	char *dir;              /* bundle: the container may go before the session does */
	struct cor_buf input;   /* not sent yet */
	bool want_out, want_err, stdin_open, stdin_closing, paused, gone;
};

static int control(const char *dir, const char *line, struct cor_err *err) {
	_cleanup_free_ char *path = cor_asprintf("%s/ctl", dir);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		return cor_fail_errno(err, errno, "control pipe of conmon");
	return 0;
}

int conmon_control(struct box *b, const char *line, struct cor_err *err) {
	return control(b->dir, line, err);
}

static void on_event(uv_poll_t *p, int status, int events);

static void update_poll(struct attach *a) {
	int events = a->input.n ? UV_WRITABLE : 0;
	if (!a->paused)
		events |= UV_READABLE | UV_DISCONNECT;
	if (events)
		(void)uv_poll_start(&a->poll, events, on_event);
	else
		(void)uv_poll_stop(&a->poll);
}

static void on_closed(uv_handle_t *h) {
	struct attach *a = h->data;
	(void)close(a->fd);
	free(a->dir);
	cor_buf_fini(&a->input);
	cor_buf_fini(&a->s.output);
	free(a);
}

static void attach_close(struct attach *a) {
	a->gone = true;
	session_unlink(&a->s);
	(void)uv_poll_stop(&a->poll);
	uv_close((uv_handle_t *)&a->poll, on_closed);
}

static void send_input(struct attach *a) {
	bool was_high = a->input.n >= BACKLOG_LOW;
	while (a->input.n) {
		size_t n = a->input.n < PACKET_MAX ? a->input.n : PACKET_MAX;
		ssize_t r = send(a->fd, a->input.p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r < 0) {
			if (errno != EAGAIN && errno != EINTR)
				cor_buf_clear(&a->input);       /* the reading side learns of the end */
			break;
		}
		cor_buf_consume(&a->input, (size_t)r);
	}
	if (!a->input.n && a->stdin_closing) {
		a->stdin_closing = a->stdin_open = false;
		(void)shutdown(a->fd, SHUT_WR);
	}
	update_poll(a);
	if (was_high && a->input.n < BACKLOG_LOW && a->s.ops.writable)
		a->s.ops.writable(a->s.arg);
}

static void read_output(struct attach *a) {
	char packet[64 * 1024];
	while (!a->paused && !a->gone) {
		ssize_t n = recv(a->fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			session_unlink(&a->s);
			session_done(&a->s, 0, NULL);
			attach_close(a);
			return;
		}
		bool is_err = packet[0] == CONMON_STDERR;
		if ((is_err ? a->want_err : a->want_out) && n > 1)
			session_output(&a->s, is_err ? COR_STREAM_ERR : COR_STREAM_OUT,
				(struct cor_str){ packet + 1, (size_t)n - 1 });
	}
}

static void on_event(uv_poll_t *p, int status, int events) {
	struct attach *a = p->data;
	if (a->gone)
		return;
	if (events & UV_WRITABLE)
		send_input(a);
	if (!a->gone && ((events & (UV_READABLE | UV_DISCONNECT)) || status < 0))
		read_output(a);
}

static bool attach_write(struct cor_session *s, struct cor_str data) {
	struct attach *a = cor_container_of(s, struct attach, s);
	if (!a->stdin_open || a->stdin_closing)
		return true;
	cor_buf_str(&a->input, data);
	update_poll(a);
	return a->input.n < BACKLOG_HIGH;
}

static void attach_close_stdin(struct cor_session *s) {
	struct attach *a = cor_container_of(s, struct attach, s);
	if (!a->stdin_open)
		return;
	a->stdin_closing = true;
	if (!a->input.n)
		send_input(a);
}

static void attach_resize(struct cor_session *s, int columns, int rows) {
	struct attach *a = cor_container_of(s, struct attach, s);
	char line[64];
	(void)snprintf(line, sizeof(line), "1 %d %d\n", rows, columns);
	(void)control(a->dir, line, NULL);      /* only of use while it runs */
}

static void attach_pause(struct cor_session *s, bool paused) {
	struct attach *a = cor_container_of(s, struct attach, s);
	a->paused = paused;
	if (!a->gone)
		update_poll(a);
}

static void attach_cancel(struct cor_session *s) {
	attach_close(cor_container_of(s, struct attach, s));
}

static const struct session_impl attach_impl = {
	.write = attach_write,
	.close_stdin = attach_close_stdin,
	.resize = attach_resize,
	.pause = attach_pause,
	.cancel = attach_cancel,
};

/* By way of the directory's descriptor: its path may be longer than a socket's address. */
static int connect_socket(const char *dir, struct cor_err *err) {
	_cleanup_close_ int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (at < 0 || fd < 0)
		return cor_fail_errno(err, errno, "attach");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/attach", at);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return cor_fail_errno(err, errno, "attach");
	return cor_take_fd(fd);
}

struct cor_session *crt_attach(struct cor_runtime *base, struct cor_container *c,
	const struct cor_attach_config *cfg, struct cor_err *err) {
	struct crt *rt = crt_of(base);
	cor_assert(cfg->ops.done);
	if (c->phase != COR_CONTAINER_RUNNING) {
		(void)cor_fail(err, COR_E_NOT_FOUND, "container not found (\"%s\")", c->name);
		return NULL;
	}
	int fd = connect_socket(box_of(c)->dir, err);
	if (fd < 0)
		return NULL;
	struct attach *a = cor_new(struct attach);
	session_init(&a->s, &attach_impl, rt, &cfg->ops, cfg->arg);
	a->fd = fd;
	a->dir = cor_strdup(box_of(c)->dir);
	a->want_out = cfg->out;
	a->want_err = cfg->err;
	a->stdin_open = cfg->stdin_open && c->stdin_open;
	a->poll.data = a;
	int r = uv_poll_init(rt->loop, &a->poll, fd);
	cor_assert(r == 0);
	update_poll(a);
	return &a->s;
}
