// SPDX-License-Identifier: Apache-2.0
// A connection: TCP, with or without TLS, as a two-way byte channel with bounded memory.
//
//   CONNECTING -> HANDSHAKE -> OPEN -> CLOSING -> (freed behind on_close)
//        \____________\__________\______^
//
// Reading: ciphertext comes into the loop's scratch buffer, is decrypted into a second one and handed
// up; what a paused reader does not take stays in raw (as it came off the wire) or back (given back
// by unread). Writing: plain bytes wait in out; at the end of the turn they are encrypted into
// the loop's cipher buffer and written at once; what the socket does not take moves into
// cipher, and nothing more is encrypted until it is gone.
#include <net/if.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "net/net_priv.h"

enum {
	RECORD_MAX = 16384,             /* plain bytes of a TLS record */
	ENCRYPT_MAX = 64 * 1024,        /* per write to the socket */
	APART_MAX = 4096,               /* bytes that wait, above which records are not kept apart */
	STRAY_CIPHER_MAX = 64 * 1024,   /* handshake and alerts while a write is under way */
	VEC_MAX = 64,
};

enum conn_state { CONNECTING, HANDSHAKE, OPEN, CLOSING };

struct cor_conn {
	uv_tcp_t tcp;
	uv_write_t wreq;
	struct cor_netloop *nl;
	struct cor_tls *tls;
	SSL *ssl;
	struct cor_conn_ops ops;
	void *arg;
	void (*opened)(void *arg, struct cor_conn *c);
	struct cor_task turn;
	enum conn_state state;
	bool has_ops, paused, reading;
	bool writing;           /* wreq is under way */
	bool above_low;         /* on_writable is owed */
	bool eof, eof_told;
	bool records;           /* see cor_conn_set_records */
	bool shutdown_wanted, shutdown_sent;
	bool leaving;           /* closes with its own direction, and does not wait for the peer's */
	size_t writing_n;       /* plain: bytes of out that wreq covers */
	struct cor_outq out;
	struct cor_buf cipher, cipher_next;
	struct cor_buf raw, back;
	struct cor_str in;      /* what the TLS layer may read now */
	struct cor_err *why;
	struct cor_peer peer;
	struct cor_str *orgs;
	char *names;            /* memory of peer's texts */
	char address[64];
};

static void conn_turn(struct cor_task *t);
static void read_on(struct cor_conn *c);

/* ---- OpenSSL's view of the wire ---- */

static int bio_write(BIO *b, const char *p, int n) {
	struct cor_conn *c = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (n <= 0)
		return 0;
	cor_buf_add(&c->nl->cipher, p, (size_t)n);
	return n;
}

static int bio_read(BIO *b, char *p, int n) {
	struct cor_conn *c = BIO_get_data(b);
	size_t k = c->in.n < (size_t)n ? c->in.n : (size_t)n;

	BIO_clear_retry_flags(b);
	if (!k) {
		if (c->eof)
			return 0;
		BIO_set_retry_read(b);
		return -1;
	}
	memcpy(p, c->in.p, k);
	c->in.p += k;
	c->in.n -= k;
	return (int)k;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
	struct cor_conn *c = BIO_get_data(b);

	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_FLUSH)
		return 1;
	if (cmd == BIO_CTRL_EOF)
		return c->eof && !c->in.n;
	return 0;
}

static BIO *conn_bio(struct cor_conn *c) {
	static BIO_METHOD *method;
	BIO *b;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
		cor_assert(method && BIO_meth_set_write(method, bio_write) &&
			BIO_meth_set_read(method, bio_read) && BIO_meth_set_ctrl(method, bio_ctrl));
	}
	b = BIO_new(method);
	cor_assert(b != NULL);
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	return b;
}

/* ---- ending ---- */

static void on_closed(uv_handle_t *h) {
	struct cor_conn *c = h->data;

	cor_undefer(&c->turn);
	if (c->has_ops && c->ops.on_close)
		c->ops.on_close(c->arg, c->why);
	SSL_free(c->ssl);
	ERR_clear_error();
	cor_tls_unref(c->tls);
	cor_outq_fini(&c->out);
	cor_buf_fini(&c->cipher);
	cor_buf_fini(&c->cipher_next);
	cor_buf_fini(&c->raw);
	cor_buf_fini(&c->back);
	cor_netloop_put(c->nl);
	free(c->why);
	free(c->orgs);
	free(c->names);
	free(c);
}

void cor_conn_fail(struct cor_conn *c, const struct cor_err *why) {
	if (c->state == CLOSING)
		return;
	if (why && !c->why) {
		c->why = cor_new(struct cor_err);
		*c->why = *why;
	}
	c->state = CLOSING;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void cor_conn_close(struct cor_conn *c) {
	cor_conn_fail(c, NULL);
}

static void fail_uv(struct cor_conn *c, int status, const char *what) {
	struct cor_err err = { 0 };

	(void)cor_fail(&err, status, "%s: %s", what, uv_strerror(status));
	cor_conn_fail(c, &err);
}

static void fail_tls(struct cor_conn *c, const char *what) {
	struct cor_err err = { 0 };
	long verify = SSL_get_verify_result(c->ssl);

	if (c->state == HANDSHAKE && verify != X509_V_OK && !cor_tls_is_server(c->tls)) {
		ERR_clear_error();
		(void)cor_fail(&err, COR_E_UNAUTHORIZED, "server certificate: %s",
			X509_verify_cert_error_string(verify));
	} else
		(void)cor_tls_fail(&err, COR_E_CLOSED, what);
	cor_conn_fail(c, &err);
}

/* ---- writing ---- */

size_t cor_conn_backlog(const struct cor_conn *c) {
	return c->out.n + c->cipher.n;
}

static void wrote(uv_write_t *req, int status);

static void write_later(struct cor_conn *c, uv_buf_t *vec, unsigned n) {
	int r = uv_write(&c->wreq, (uv_stream_t *)&c->tcp, vec, n, wrote);

	if (r < 0) {
		fail_uv(c, r, "write");
		return;
	}
	c->writing = true;
}

/* Sends what is in the loop's cipher buffer, in order behind what waits. */
static void push_cipher(struct cor_conn *c) {
	struct cor_buf *b = &c->nl->cipher;
	uv_buf_t vec;
	int r;

	if (!b->n)
		return;
	if (c->state == CLOSING || c->state == CONNECTING) {
		b->n = 0;
		return;
	}
	if (c->writing) {
		cor_buf_add(&c->cipher_next, b->p, b->n);
		b->n = 0;
		if (c->cipher_next.n > STRAY_CIPHER_MAX)
			fail_uv(c, UV_ENOBUFS, "peer makes us write without reading");
		return;
	}
	vec = uv_buf_init(b->p, (unsigned)b->n);
	r = uv_try_write((uv_stream_t *)&c->tcp, &vec, 1);
	if (r < 0 && r != UV_EAGAIN) {
		b->n = 0;
		fail_uv(c, r, "write");
		return;
	}
	if (r < 0)
		r = 0;
	if ((size_t)r < b->n) {
		cor_buf_clear(&c->cipher);
		cor_buf_add(&c->cipher, b->p + r, b->n - (size_t)r);
		vec = uv_buf_init(c->cipher.p, (unsigned)c->cipher.n);
		write_later(c, &vec, 1);
	}
	b->n = 0;
}

/* One record, as full as it can be: of the queue itself when its first run is long enough, else
 * gathered in the scratch buffer. */
static int write_record(struct cor_conn *c) {
	struct cor_str s = cor_outq_first(&c->out);
	bool gather = !c->records && s.n < RECORD_MAX && s.n < c->out.n;
	int n = (int)(gather ? cor_outq_read(&c->out, c->nl->plain, RECORD_MAX)
			     : s.n < RECORD_MAX ? s.n : RECORD_MAX);
	int r = SSL_write(c->ssl, gather ? c->nl->plain : s.p, n);

	if (r <= 0)
		return r;
	cor_assert(r == n);     /* the layer below takes everything */
	if (!gather)
		cor_outq_consume(&c->out, (size_t)n);
	return n;
}

static void flush_tls(struct cor_conn *c) {
	while (c->out.n && !c->writing && c->state == OPEN) {
		while (c->out.n && c->nl->cipher.n < ENCRYPT_MAX) {
			if (write_record(c) <= 0) {
				fail_tls(c, "TLS write");
				c->nl->cipher.n = 0;
				return;
			}
		}
		push_cipher(c);
	}
}

static void flush_plain(struct cor_conn *c) {
	uv_buf_t vec[VEC_MAX];

	while (c->out.n && !c->writing && c->state == OPEN) {
		unsigned n = cor_outq_vec(&c->out, vec, VEC_MAX);
		size_t total = 0;
		int r = uv_try_write((uv_stream_t *)&c->tcp, vec, n);

		if (r >= 0) {
			cor_outq_consume(&c->out, (size_t)r);
			continue;
		}
		if (r != UV_EAGAIN) {
			fail_uv(c, r, "write");
			return;
		}
		for (unsigned i = 0; i < n; i++)
			total += vec[i].len;
		c->writing_n = total;
		write_later(c, vec, n);
	}
}

static void flush(struct cor_conn *c) {
	if (c->state != OPEN)
		return;
	if (c->ssl)
		flush_tls(c);
	else
		flush_plain(c);
	if (c->state != OPEN)
		return;
	if (c->shutdown_wanted && !c->shutdown_sent && !c->out.n && !c->writing) {
		c->shutdown_sent = true;
		if (c->ssl) {
			SSL_shutdown(c->ssl);
			ERR_clear_error();
			push_cipher(c);
		}
		/* Nothing is queued behind it unless the socket is full, and then the close that
		 * follows this connection's end of reading does the same. */
		if (c->state == OPEN) {
			uv_os_fd_t fd;

			if (!c->writing && uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
				(void)shutdown(fd, SHUT_WR);
		}
	}
	if (c->above_low && cor_conn_backlog(c) < COR_CONN_LOW) {
		c->above_low = false;
		if (c->has_ops && c->ops.on_writable && c->state == OPEN)
			c->ops.on_writable(c->arg);
	}
}

static void wrote(uv_write_t *req, int status) {
	struct cor_conn *c = cor_container_of(req, struct cor_conn, wreq);

	c->writing = false;
	if (c->state == CLOSING)
		return;
	if (status < 0) {
		fail_uv(c, status, "write");
		return;
	}
	if (c->ssl) {
		cor_buf_fini(&c->cipher);
		if (c->cipher_next.n) {
			uv_buf_t vec;

			c->cipher = c->cipher_next;
			c->cipher_next = COR_BUF_INIT;
			vec = uv_buf_init(c->cipher.p, (unsigned)c->cipher.n);
			write_later(c, &vec, 1);
			return;
		}
		if (c->shutdown_sent) {
			uv_os_fd_t fd;

			if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
				(void)shutdown(fd, SHUT_WR);
			if (c->leaving)
				cor_defer(c->nl, &c->turn);
		}
	} else {
		cor_outq_consume(&c->out, c->writing_n);
		c->writing_n = 0;
	}
	cor_defer(c->nl, &c->turn);
}

static void queued(struct cor_conn *c) {
	if (cor_conn_backlog(c) >= COR_CONN_LOW)
		c->above_low = true;
	if (!c->writing)
		cor_defer(c->nl, &c->turn);
}

void cor_conn_write(struct cor_conn *c, const struct cor_piece *pieces, size_t n) {
	if (c->state == CLOSING || c->shutdown_wanted) {
		cor_pieces_release(pieces, n);
		return;
	}
	cor_outq_pieces(&c->out, pieces, n);
	queued(c);
}

void cor_conn_write_str(struct cor_conn *c, struct cor_str s) {
	if (c->state == CLOSING || c->shutdown_wanted)
		return;
	if (c->records && s.n > 0 && c->out.n < APART_MAX)
		cor_outq_copy_apart(&c->out, s);
	else
		cor_outq_copy(&c->out, s);
	queued(c);
}

void cor_conn_set_records(struct cor_conn *c, bool records) {
	c->records = records;
}

void cor_conn_shutdown(struct cor_conn *c) {
	c->shutdown_wanted = true;
	if (c->state != CLOSING)
		cor_defer(c->nl, &c->turn);
}

void cor_conn_leave(struct cor_conn *c) {
	c->leaving = true;
	cor_conn_shutdown(c);
}

/* ---- reading ---- */

static bool may_deliver(const struct cor_conn *c) {
	return c->state == OPEN && !c->paused && c->has_ops;
}

static void deliver(struct cor_conn *c, const char *p, size_t n) {
	if (n)
		c->ops.on_data(c->arg, (struct cor_str){ p, n });
}

static void tell_eof(struct cor_conn *c) {
	if (!c->eof || c->eof_told || !may_deliver(c) || c->back.n || c->raw.n)
		return;
	c->eof_told = true;
	if (c->ops.on_eof)
		c->ops.on_eof(c->arg);
	if (c->shutdown_sent && c->state != CLOSING)
		cor_defer(c->nl, &c->turn);
}

static void handshake(struct cor_conn *c) {
	int r = SSL_do_handshake(c->ssl);

	if (r == 1) {
		push_cipher(c);
		if (c->state == CLOSING)
			return;
		c->state = OPEN;
		if (c->opened)
			c->opened(c->arg, c);
		if (c->state == OPEN && c->out.n)
			cor_defer(c->nl, &c->turn);
		return;
	}
	r = SSL_get_error(c->ssl, r);
	push_cipher(c);         /* also the alert that tells the peer why */
	if (c->state == CLOSING || (r == SSL_ERROR_WANT_READ && !c->eof))
		return;
	if (c->eof)
		fail_uv(c, UV_ECONNRESET, "TLS handshake");
	else
		fail_tls(c, "TLS handshake");
}

/* Decrypts and hands up what c->in holds and OpenSSL has. */
static void pump_tls(struct cor_conn *c) {
	if (c->state == HANDSHAKE)
		handshake(c);
	while (may_deliver(c)) {
		size_t n = 0;
		bool more = true;

		while (more && n < (c->records ? 1 : COR_NET_CHUNK)) {
			int r = SSL_read(c->ssl, c->nl->plain + n, (int)(COR_NET_CHUNK - n));

			if (r > 0) {
				n += (size_t)r;
				continue;
			}
			more = false;
			r = SSL_get_error(c->ssl, r);
			if (r == SSL_ERROR_ZERO_RETURN)
				c->eof = true;
			else if (r != SSL_ERROR_WANT_READ) {
				if (!c->eof)
					fail_tls(c, "TLS read");
				ERR_clear_error();
			}
		}
		push_cipher(c);
		if (c->state != OPEN)
			return;
		deliver(c, c->nl->plain, n);
		if (!more)
			break;
	}
}

/* Goes on with bytes that were held back. */
static void pump_held(struct cor_conn *c) {
	if (c->back.n && may_deliver(c)) {
		struct cor_buf b = c->back;

		c->back = COR_BUF_INIT;
		deliver(c, b.p, b.n);
		cor_buf_fini(&b);
	}
	if (c->back.n || c->state == CLOSING || (c->state == OPEN && !may_deliver(c)))
		return;
	if (c->ssl) {
		struct cor_buf b = c->raw;

		c->raw = COR_BUF_INIT;
		c->in = cor_buf_view(&b);
		pump_tls(c);
		if (c->in.n && c->state != CLOSING)
			cor_buf_str(&c->raw, c->in);
		c->in = (struct cor_str){ 0 };
		cor_buf_fini(&b);
	}
}

static void alloc_in(uv_handle_t *h, size_t hint, uv_buf_t *buf) {
	struct cor_conn *c = h->data;

	(void)hint;
	*buf = uv_buf_init(c->nl->in, COR_NET_CHUNK);
}

static void stop_reading(struct cor_conn *c) {
	if (c->reading)
		uv_read_stop((uv_stream_t *)&c->tcp);
	c->reading = false;
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf) {
	struct cor_conn *c = h->data;

	if (n == 0)
		return;
	if (n == UV_EOF) {
		c->eof = true;
		stop_reading(c);
		if (c->ssl)
			pump_held(c);
		tell_eof(c);
		if (c->state == HANDSHAKE)
			fail_uv(c, UV_ECONNRESET, "TLS handshake");
		return;
	}
	if (n < 0) {
		fail_uv(c, (int)n, "read");
		return;
	}
	if (!c->ssl) {
		if (may_deliver(c))
			deliver(c, buf->base, (size_t)n);
		else
			cor_buf_add(&c->back, buf->base, (size_t)n);
		return;
	}
	if (c->raw.n) {
		cor_buf_add(&c->raw, buf->base, (size_t)n);
		pump_held(c);
	} else {
		c->in = (struct cor_str){ buf->base, (size_t)n };
		pump_tls(c);
		if (c->in.n && c->state != CLOSING)
			cor_buf_str(&c->raw, c->in);
		c->in = (struct cor_str){ 0 };
	}
	tell_eof(c);
	if (c->raw.n)
		stop_reading(c);
}

static void read_on(struct cor_conn *c) {
	int r;

	if (c->reading || c->eof || c->state == CLOSING || c->state == CONNECTING ||
		(c->state == OPEN && !may_deliver(c)))
		return;
	r = uv_read_start((uv_stream_t *)&c->tcp, alloc_in, on_read);
	if (r < 0)
		fail_uv(c, r, "read");
	else
		c->reading = true;
}

static void conn_turn(struct cor_task *t) {
	struct cor_conn *c = cor_container_of(t, struct cor_conn, turn);

	if (c->state == OPEN && may_deliver(c) && !c->reading) {
		pump_held(c);
		tell_eof(c);
		read_on(c);
	}
	flush(c);
	/* Both directions have ended. */
	if (c->state == OPEN && c->shutdown_sent && (c->eof_told || c->leaving) && !c->writing)
		cor_conn_close(c);
}

void cor_conn_pause(struct cor_conn *c, bool paused) {
	if (c->paused == paused)
		return;
	c->paused = paused;
	if (paused)
		stop_reading(c);
	else if (c->state != CLOSING)
		cor_defer(c->nl, &c->turn);
}

void cor_conn_set_ops(struct cor_conn *c, const struct cor_conn_ops *ops, void *arg) {
	c->ops = *ops;
	c->arg = arg;
	c->has_ops = true;
	if (c->state != CLOSING)
		cor_defer(c->nl, &c->turn);
}

void cor_conn_detach(struct cor_conn *c) {
	c->has_ops = false;
	c->ops = (struct cor_conn_ops){ 0 };
	stop_reading(c);
}

void cor_conn_unread(struct cor_conn *c, struct cor_str s) {
	struct cor_buf b = COR_BUF_INIT;

	if (!s.n)
		return;
	cor_buf_str(&b, s);
	cor_buf_str(&b, cor_buf_view(&c->back));
	cor_buf_fini(&c->back);
	c->back = b;
	stop_reading(c);
	cor_defer(c->nl, &c->turn);
}

/* ---- beginning ---- */

struct cor_conn *cor_conn_new(const struct cor_conn_setup *s) {
	struct cor_conn *c = cor_new(struct cor_conn);

	c->nl = s->nl;
	c->nl->refs++;
	c->turn.run = conn_turn;
	c->ops = s->ops;
	c->arg = s->arg;
	c->has_ops = true;
	c->opened = s->opened;
	c->tls = s->tls ? cor_tls_ref(s->tls) : NULL;
	c->tcp.data = c;
	if (c->tls) {
		BIO *b = conn_bio(c);

		c->ssl = cor_tls_session(c->tls, s->verify, NULL);
		cor_assert(c->ssl != NULL);
		SSL_set_bio(c->ssl, b, b);
		if (!s->server && s->server_name) {
			X509_VERIFY_PARAM *p = SSL_get0_param(c->ssl);

			if (X509_VERIFY_PARAM_set1_ip_asc(p, s->server_name) != 1) {
				X509_VERIFY_PARAM_set1_host(p, s->server_name, 0);
				SSL_set_tlsext_host_name(c->ssl, s->server_name);
			}
			ERR_clear_error();
		}
	}
	return c;
}

static void begin(struct cor_conn *c) {
	uv_tcp_nodelay(&c->tcp, 1);
	/* A peer that vanished without a word is noticed within minutes. */
	uv_tcp_keepalive(&c->tcp, 1, 30);
	if (c->ssl) {
		c->state = HANDSHAKE;
		read_on(c);
		if (!cor_tls_is_server(c->tls))
			handshake(c);
		return;
	}
	c->state = OPEN;
	if (c->opened)
		c->opened(c->arg, c);
	read_on(c);
	if (c->out.n)
		cor_defer(c->nl, &c->turn);
}

int cor_conn_accept(struct cor_conn *c, uv_stream_t *listener) {
	struct sockaddr_storage ss;
	int n = sizeof(ss), r, port = 0;
	char text[48] = "";

	r = uv_tcp_init(c->nl->loop, &c->tcp);
	cor_assert(r == 0);
	c->tcp.data = c;
	r = uv_accept(listener, (uv_stream_t *)&c->tcp);
	if (r < 0) {
		fail_uv(c, r, "accept");
		return r;
	}
	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&ss, &n) == 0) {
		if (ss.ss_family == AF_INET6) {
			uv_ip6_name((struct sockaddr_in6 *)&ss, text, sizeof(text));
			port = ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
		} else if (ss.ss_family == AF_INET) {
			uv_ip4_name((struct sockaddr_in *)&ss, text, sizeof(text));
			port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
		}
	}
	/* Dual-stack sockets show IPv4 peers as ::ffff:a.b.c.d. */
	snprintf(c->address, sizeof(c->address), strchr(text, ':') && !strchr(text, '.')
		? "[%s]:%d" : "%s:%d", strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text, port);
	begin(c);
	return 0;
}

static void connected(uv_connect_t *req, int status) {
	struct cor_conn *c = req->data;

	free(req);
	if (c->state == CLOSING)
		return;
	if (status < 0) {
		fail_uv(c, status, "connect");
		return;
	}
	begin(c);
}

int cor_conn_connect(struct cor_conn *c, const struct sockaddr *addr, const char *bind_device,
	struct cor_err *err) {
	uv_connect_t *req;
	uv_os_fd_t fd;
	int r;

	r = uv_tcp_init_ex(c->nl->loop, &c->tcp, addr->sa_family);
	cor_assert(r == 0 || !bind_device);
	c->tcp.data = c;
	if (r < 0)
		(void)uv_tcp_init(c->nl->loop, &c->tcp);
	if (bind_device) {
		r = uv_fileno((uv_handle_t *)&c->tcp, &fd);
		if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bind_device,
			(socklen_t)strnlen(bind_device, IFNAMSIZ)) < 0)
			r = -errno;
		if (r < 0) {
			fail_uv(c, r, bind_device);
			return cor_fail(err, r, "%s: %s", bind_device, uv_strerror(r));
		}
	}
	req = cor_new(uv_connect_t);
	req->data = c;
	r = uv_tcp_connect(req, &c->tcp, addr, connected);
	if (r < 0) {
		free(req);
		fail_uv(c, r, "connect");
		return cor_fail(err, r, "connect: %s", uv_strerror(r));
	}
	return 0;
}

struct cor_netloop *cor_conn_loop(const struct cor_conn *c) {
	return c->nl;
}

void cor_conn_set_ref(struct cor_conn *c, bool ref) {
	if (ref)
		uv_ref((uv_handle_t *)&c->tcp);
	else
		uv_unref((uv_handle_t *)&c->tcp);
}

bool cor_conn_is_h2(const struct cor_conn *c) {
	const unsigned char *p = NULL;
	unsigned int n = 0;

	if (c->ssl)
		SSL_get0_alpn_selected(c->ssl, &p, &n);
	return n == 2 && memcmp(p, "h2", 2) == 0;
}

/* ---- who the peer is ---- */

const struct cor_peer *cor_conn_peer(struct cor_conn *c) {
	if (c->peer.address.p)
		return &c->peer;
	if (c->ssl)
		cor_tls_peer(c->ssl, &c->peer, &c->orgs, &c->names);
	c->peer.address = cor_str_c(c->address);
	return &c->peer;
}
