// SPDX-License-Identifier: Apache-2.0
// Port-forward: each connection of the client becomes a TCP connection to localhost in the pod's
// network namespace, IPv4 first, then IPv6. A socket belongs to the namespace in which it was
// made, so only its making needs a thread in there; that thread ends at once and is never one of
// ours that goes on to do other work.
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/mem.h"
#include "node/kubelet_priv.h"

enum { BACKLOG_HIGH = 256 * 1024, BACKLOG_LOW = 64 * 1024 };

/* ---- sockets in other namespaces ---- */

struct maker {
	const char *net_ns;
	int family;
	int result;
};

static void *make_socket(void *arg) {
	struct maker *m = arg;
	_cleanup_close_ int ns = open(m->net_ns, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) {
		m->result = -errno;
		return NULL;
	}
	int fd = socket(m->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	m->result = fd < 0 ? -errno : fd;
	return NULL;
}

int kubelet_socket_in(const char *net_ns, int family) {
	if (!net_ns || !*net_ns) {
		int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		return fd < 0 ? -errno : fd;
	}
	struct maker m = { net_ns, family, -EAGAIN };
	pthread_t thread;
	int r = pthread_create(&thread, NULL, make_socket, &m);
	if (r)
		return -r;
	(void)pthread_join(thread, NULL);
	return m.result;
}

/* ---- one connection ---- */

struct session {
	struct kubelet_stream stream;
	struct cor_kubelet *k;
	struct cor_forward *forward;
	char *net_ns, *pod, *uid;
};

struct link {
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct session *session;
	struct cor_forward_conn *fc;    /* NULL: the client's side is gone */
	int port;
	bool v6, ended;                 /* ended: the pod has finished writing */
	char v4_error[100];
};

static void try_connect(struct link *l);

static void link_closed(uv_handle_t *h) {
	free(h->data);
}

static void link_close(struct link *l) {
	l->fc = NULL;
	if (!uv_is_closing((uv_handle_t *)&l->tcp))
		uv_close((uv_handle_t *)&l->tcp, link_closed);
}

static void alloc_shared(uv_handle_t *h, size_t suggested, uv_buf_t *ret) {
	static char buffer[64 * 1024];          /* one loop, one reader at a time */
	(void)h;
	(void)suggested;
	*ret = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
	struct link *l = stream->data;
	if (n == 0 || !l->fc)
		return;
	if (n < 0) {
		(void)uv_read_stop(stream);
		l->ended = true;
		cor_forward_finish(l->fc);
		return;
	}
	cor_forward_write(l->fc, (struct cor_str){ buf->base, (size_t)n });
	if (l->fc && cor_forward_backlog(l->fc) > BACKLOG_HIGH)
		(void)uv_read_stop(stream);
}

static void fail(struct link *l, const char *why) {
	char text[600];
	struct cor_forward_conn *fc = l->fc;
	int n = snprintf(text, sizeof(text), "error forwarding port %d to pod %s, uid %s: %s", l->port,
		l->session->pod, l->session->uid, why);
	if (fc)
		cor_forward_fail(fc, (struct cor_str){ text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1 });
}

static void on_connected(uv_connect_t *req, int status) {
	struct link *l = req->handle->data;
	if (!l->fc)
		return;
	if (status == 0) {
		(void)uv_tcp_nodelay(&l->tcp, 1);
		(void)uv_read_start((uv_stream_t *)&l->tcp, alloc_shared, on_read);
		cor_forward_ready(l->fc);
		return;
	}
	if (!l->v6) {
		/* A new handle, for a socket of the other family. */
		struct link *next = cor_new(struct link);
		next->session = l->session;
		next->fc = l->fc;
		next->port = l->port;
		next->v6 = true;
		(void)snprintf(next->v4_error, sizeof(next->v4_error), "%s", uv_strerror(status));
		cor_forward_set_user(l->fc, next);
		link_close(l);
		try_connect(next);
		return;
	}
	char why[300];
	(void)snprintf(why, sizeof(why), "failed to connect to localhost:%d inside the pod's network "
		"namespace: 127.0.0.1: %s, [::1]: %s", l->port, l->v4_error, uv_strerror(status));
	fail(l, why);
}

static void try_connect(struct link *l) {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addr = { 0 };
	l->tcp.data = l;
	(void)uv_tcp_init(l->session->k->cfg.loop, &l->tcp);
	int fd = kubelet_socket_in(l->session->net_ns, l->v6 ? AF_INET6 : AF_INET);
	if (l->v6)
		(void)uv_ip6_addr("::1", l->port, &addr.v6);
	else
		(void)uv_ip4_addr("127.0.0.1", l->port, &addr.v4);
	int r = fd < 0 ? fd : uv_tcp_open(&l->tcp, fd);
	if (r < 0 && fd >= 0)
		(void)close(fd);
	if (r == 0)
		r = uv_tcp_connect(&l->connect, &l->tcp, &addr.any, on_connected);
	if (r < 0) {
		/* The same way as a refusal; the handle is there although it has no socket. */
		l->connect.handle = (uv_stream_t *)&l->tcp;
		on_connected(&l->connect, r);
	}
}

/* ---- from the client ---- */

static void on_connect(void *arg, struct cor_forward_conn *fc, int port) {
	struct link *l = cor_new(struct link);
	l->session = arg;
	l->fc = fc;
	l->port = port;
	cor_forward_set_user(fc, l);
	try_connect(l);
}

struct write {
	uv_write_t req;
	char data[];
};

static void on_written(uv_write_t *req, int status) {
	uv_stream_t *stream = req->handle;
	struct link *l = stream->data;
	free(req->data);        /* req is in it */
	(void)status;
	if (l->fc && uv_stream_get_write_queue_size(stream) < BACKLOG_LOW)
		cor_forward_pause(l->fc, false);
}

static void on_data(void *arg, struct cor_forward_conn *fc, struct cor_str data) {
	struct link *l = cor_forward_user(fc);
	(void)arg;
	struct write *w = cor_calloc(1, sizeof(*w) + data.n);
	memcpy(w->data, data.p, data.n);
	w->req.data = w;
	uv_buf_t buf = uv_buf_init(w->data, (unsigned)data.n);
	if (uv_write(&w->req, (uv_stream_t *)&l->tcp, &buf, 1, on_written) < 0)
		free(w);
	else if (uv_stream_get_write_queue_size((uv_stream_t *)&l->tcp) > BACKLOG_HIGH)
		cor_forward_pause(fc, true);
}

static void on_shutdown(uv_shutdown_t *req, int status) {
	(void)status;
	free(req);
}

static void on_eof(void *arg, struct cor_forward_conn *fc) {
	struct link *l = cor_forward_user(fc);
	uv_shutdown_t *req = cor_new(uv_shutdown_t);
	(void)arg;
	if (uv_shutdown(req, (uv_stream_t *)&l->tcp, on_shutdown) < 0)
		free(req);
}

static void on_writable(void *arg, struct cor_forward_conn *fc) {
	struct link *l = cor_forward_user(fc);
	(void)arg;
	if (l && !l->ended && uv_is_readable((uv_stream_t *)&l->tcp))
		(void)uv_read_start((uv_stream_t *)&l->tcp, alloc_shared, on_read);
}

static void on_disconnect(void *arg, struct cor_forward_conn *fc) {
	struct link *l = cor_forward_user(fc);
	(void)arg;
	if (l)
		link_close(l);
}

static void session_free(struct session *s) {
	free(s->net_ns);
	free(s->pod);
	free(s->uid);
	free(s);
}

static void on_closed(void *arg, const struct cor_err *why) {
	struct session *s = arg;
	(void)why;
	kubelet_stream_remove(&s->stream);
	session_free(s);
}

static void session_abort(struct kubelet_stream *s) {
	cor_forward_abort(cor_container_of(s, struct session, stream)->forward);
}

/* ---- request ---- */

enum { PORTS_MAX = 64 };

/* The old form names its ports in the query, lists allowed. -1: answered. */
static int read_ports(struct cor_http_req *req, int ports[PORTS_MAX]) {
	int n = 0;
	struct cor_str list;
	for (size_t i = 0; (list = cor_http_param_at(req, "port", i)).p; i++)
		while (list.p) {
			int64_t port;
			struct cor_str text = cor_str_cut(&list, ',');
			if (!cor_str_to_i64(text, &port) || port < 1 || port > 65535 || n == PORTS_MAX) {
				kubelet_text(req, 400, "port \"%.*s\" must be between 1 and 65535\n", COR_STR_ARG(text));
				return -1;
			}
			ports[n++] = (int)port;
		}
	return n;
}

void kubelet_port_forward(const struct kubelet_req *r) {
	struct cor_pod_ref ref;
	int ports[PORTS_MAX];
	int n = read_ports(r->http, ports);
	if (n < 0 || !kubelet_find(r, false, &ref))
		return;
	if (!ref.sandbox_ready) {
		kubelet_text(r->http, 500, "pod \"%.*s\" is not running\n", COR_STR_ARG(r->segments[1]));
		return;
	}
	if (!cor_stream_wants_upgrade(r->http)) {
		kubelet_text(r->http, 400, "Upgrade request required\n");
		return;
	}
	struct session *s = cor_new(struct session);
	s->k = r->k;
	s->net_ns = cor_strdup(ref.net_ns ? ref.net_ns : "");
	s->pod = cor_str_dup_c(r->segments[1]);
	s->uid = cor_strdup(ref.pod_uid);
	s->forward = cor_forward_accept(r->http, &(struct cor_forward_config){ .ports = ports,
		.n_ports = (size_t)n, .arg = s,
		.ops = { on_connect, on_data, on_eof, on_writable, on_disconnect, on_closed } });
	if (s->forward)
		kubelet_stream_add(&s->stream, r->k, session_abort);
	else
		session_free(s);
}
