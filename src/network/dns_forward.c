// SPDX-License-Identifier: Apache-2.0
// Forwarding. Each try has a socket of its own, connected to one resolver: the kernel picks a random
// port, drops what others send, and reports a closed port at once. A question is tried at all
// resolvers in turn, twice round; the answer must repeat id and question. One timer looks after
// all that is in flight: it runs only while there is something.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "network/dns_forward_priv.h"
#include "network/dns_pkt.h"

enum {
	SERVERS_MAX = 8, FLIGHT_MAX = 512, WAITERS_MAX = 128, ROUNDS = 2, TICK_MS = 100,
	REREAD_MS = 2000, OWN_MAX = 16,
};

struct flight;

/* One try at one resolver. */
struct attempt {
	union {
		uv_handle_t handle;
		uv_udp_t udp;
		uv_tcp_t tcp;
		uv_stream_t stream;
	} u;
	uv_connect_t connect;
	struct dns_forward *f;
	struct flight *flight;          /* NULL once it does not count any more */
	size_t n;                       /* bytes read over TCP */
	uint8_t *in;                    /* COR_DNS_TCP_MAX + 2 bytes, TCP only */
};

/* One question that is being asked. */
struct flight {
	struct flight *next;
	struct dns_waiter *waiters;
	unsigned waiting;
	struct attempt *attempt;        /* weak */
	uint64_t deadline;
	unsigned tries;
	bool tcp;
	uint8_t *query;                 /* with two bytes of length in front, as TCP wants it */
	size_t n;                       /* without them */
	uint8_t *fallback;              /* a SERVFAIL or the like, for when nobody knows better */
	size_t fallback_n;
};

struct dns_forward {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct flight *flights;
	unsigned in_flight;
	unsigned handles;               /* open, the timer included */
	struct sockaddr_storage servers[SERVERS_MAX];
	unsigned server_n;
	struct sockaddr_storage own[OWN_MAX];
	unsigned own_n;
	char *file;                     /* NULL = fixed servers */
	struct timespec mtime;
	uint64_t looked_at;
	uint64_t timeout;
	void (*closed)(void *arg);
	void *closed_arg;
	uint8_t in[COR_DNS_TCP_MAX];    /* a datagram, one at a time */
};

static void next_try(struct dns_forward *f, struct flight *fl);

/* ---- the resolvers ---- */

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
		return x->sin6_port == y->sin6_port &&
			memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
	}
	const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
	return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
}

static bool is_own(const struct dns_forward *f, const struct sockaddr_storage *a) {
	for (unsigned i = 0; i < f->own_n; i++) {
		if (same_address(&f->own[i], a))
			return true;
	}
	return false;
}

static void add_server(struct dns_forward *f, const char *text) {
	char ip[INET6_ADDRSTRLEN + 20];
	struct sockaddr_storage ss = { 0 };
	unsigned port = 53;
	snprintf(ip, sizeof(ip), "%s", text);
	char *hash = strchr(ip, '#');
	if (hash) {
		*hash = '\0';
		port = (unsigned)strtoul(hash + 1, NULL, 10);
	}
	if (port == 0 || port > 65535 || (uv_ip4_addr(ip, (int)port, (void *)&ss) < 0 &&
		uv_ip6_addr(ip, (int)port, (void *)&ss) < 0))
		return;
	if (f->server_n < SERVERS_MAX && !is_own(f, &ss))
		f->servers[f->server_n++] = ss;
}

static void read_file(struct dns_forward *f) {
	char line[300], ip[100];
	FILE *in = fopen(f->file, "re");
	f->server_n = 0;
	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, " nameserver %99s", ip) == 1)
			add_server(f, ip);
	}
	if (in)
		(void)fclose(in);
	if (f->server_n == 0)
		cor_warn("no usable nameserver in %s: only cluster names resolve", f->file);
}

static void refresh(struct dns_forward *f) {
	struct stat st = { 0 };
	uint64_t now = uv_now(f->loop);
	if (!f->file || (f->looked_at && now - f->looked_at < REREAD_MS))
		return;
	bool first = f->looked_at == 0;
	f->looked_at = now ? now : 1;
	(void)stat(f->file, &st);
	if (!first && st.st_mtim.tv_sec == f->mtime.tv_sec && st.st_mtim.tv_nsec == f->mtime.tv_nsec)
		return;
	f->mtime = st.st_mtim;
	read_file(f);
}

void dns_forward_own(struct dns_forward *f, const struct sockaddr *own) {
	if (f->own_n == OWN_MAX)
		return;
	memcpy(&f->own[f->own_n++], own, own->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
		: sizeof(struct sockaddr_in));
	f->looked_at = 0;
}

/* ---- the end of things ---- */

static void free_if_closed(struct dns_forward *f) {
	if (f->handles > 0)
		return;
	void (*closed)(void *arg) = f->closed;
	void *arg = f->closed_arg;
	free(f->file);
	free(f);
	closed(arg);
}

static void attempt_closed(uv_handle_t *h) {
	struct attempt *a = h->data;
	struct dns_forward *f = a->f;
	free(a->in);
	free(a);
	f->handles--;
	free_if_closed(f);
}

static void drop_attempt(struct flight *fl) {
	struct attempt *a = fl->attempt;
	if (!a)
		return;
	fl->attempt = NULL;
	a->flight = NULL;
	if (!uv_is_closing(&a->u.handle))
		uv_close(&a->u.handle, attempt_closed);
}

/* Tells everybody and forgets the question. p is changed. */
static void land(struct dns_forward *f, struct flight *fl, uint8_t *p, size_t n) {
	struct flight **at = &f->flights;
	while (*at != fl)
		at = &(*at)->next;
	*at = fl->next;
	f->in_flight--;
	if (!f->flights)
		uv_timer_stop(&f->timer);
	drop_attempt(fl);
	for (struct dns_waiter *w = fl->waiters, *next; w; w = next) {
		next = w->next;
		if (n > 0)
			dns_put16(p, w->id);
		w->done(w, p, n);
	}
	free(fl->query);
	free(fl->fallback);
	free(fl);
}

/* ---- answers ---- */

static bool same_question(const uint8_t *query, size_t qn, const uint8_t *answer, size_t an) {
	struct dns_question q, a;
	return dns_read_question(query, qn, &q) && dns_read_question(answer, an, &a) &&
		q.size == a.size && memcmp(q.name, a.name, q.name_n) == 0 && q.type == a.type &&
		q.class == a.class;
}

static void take_answer(struct dns_forward *f, struct flight *fl, uint8_t *p, size_t n) {
	const uint8_t *query = fl->query + 2;
	if (n < DNS_HEADER || !(p[2] & DNS_QR) ||
		dns_get16(p) != dns_get16(query) || !same_question(query, fl->n, p, n))
		return; /* not the answer; it may still come */
	unsigned rcode = p[3] & DNS_RCODE;
	if (rcode == ns_r_noerror || rcode == ns_r_nxdomain) {
		land(f, fl, p, n);
		return;
	}
	free(fl->fallback);
	fl->fallback = cor_calloc(1, n);
	memcpy(fl->fallback, p, n);
	fl->fallback_n = n;
	next_try(f, fl);
}

static void give_datagram_room(uv_handle_t *h, size_t size, uv_buf_t *buf) {
	struct attempt *a = h->data;
	*buf = uv_buf_init((char *)a->f->in, sizeof(a->f->in));
}

static void got_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
	unsigned flags) {
	struct attempt *a = h->data;
	if (!a->flight || (n == 0 && !from))
		return;
	if (n < 0)
		next_try(a->f, a->flight);      /* refused: nobody listens there */
	else
		take_answer(a->f, a->flight, (uint8_t *)buf->base, (size_t)n);
}

static void give_stream_room(uv_handle_t *h, size_t size, uv_buf_t *buf) {
	struct attempt *a = h->data;
	*buf = uv_buf_init((char *)a->in + a->n, (unsigned)(COR_DNS_TCP_MAX + 2 - a->n));
}

static void got_stream(uv_stream_t *h, ssize_t n, const uv_buf_t *buf) {
	struct attempt *a = h->data;
	if (!a->flight)
		return;
	if (n < 0) {
		next_try(a->f, a->flight);
		return;
	}
	a->n += (size_t)n;
	size_t want = a->n >= 2 ? (size_t)dns_get16(a->in) : 0;
	if (a->n >= 2 && a->n >= want + 2)
		take_answer(a->f, a->flight, a->in + 2, want);
}

static void connected(uv_connect_t *req, int status) {
	struct attempt *a = req->data;
	if (!a->flight)
		return;
	struct flight *fl = a->flight;
	uv_buf_t out = uv_buf_init((char *)fl->query, (unsigned)fl->n + 2);
	/* A fresh connection takes a question of at most a few kilobytes in one go, or is no use. */
	if (status < 0 || uv_try_write(&a->u.stream, &out, 1) != (int)fl->n + 2 ||
		uv_read_start(&a->u.stream, give_stream_room, got_stream) < 0)
		next_try(a->f, fl);
}

/* ---- tries ---- */

static int start_udp(struct flight *fl, struct attempt *a, const struct sockaddr *to) {
	uv_buf_t out = uv_buf_init((char *)fl->query + 2, (unsigned)fl->n);
	int rc = uv_udp_connect(&a->u.udp, to);
	if (rc >= 0)
		rc = uv_udp_recv_start(&a->u.udp, give_datagram_room, got_datagram);
	return rc < 0 ? rc : uv_udp_try_send(&a->u.udp, &out, 1, NULL);
}

static int start_tcp(struct attempt *a, const struct sockaddr *to) {
	a->in = cor_calloc(1, COR_DNS_TCP_MAX + 2);
	a->connect.data = a;
	return uv_tcp_connect(&a->connect, &a->u.tcp, to, connected);
}

static int start_attempt(struct dns_forward *f, struct flight *fl, unsigned server) {
	const struct sockaddr *to = (void *)&f->servers[server];
	struct attempt *a = cor_new(struct attempt);
	a->f = f;
	int rc = fl->tcp ? uv_tcp_init(f->loop, &a->u.tcp) : uv_udp_init(f->loop, &a->u.udp);
	if (rc < 0) {
		free(a);
		return rc;
	}
	a->u.handle.data = a;
	f->handles++;
	a->flight = fl;
	fl->attempt = a;
	return fl->tcp ? start_tcp(a, to) : start_udp(fl, a, to);
}

/* The next resolver, or the end. A try that fails at once (no route) leads to the one after it. */
static void next_try(struct dns_forward *f, struct flight *fl) {
	while (fl->tries < ROUNDS * f->server_n) {
		unsigned server = fl->tries++ % f->server_n;
		uint16_t id;
		drop_attempt(fl);
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			break;
		dns_put16(fl->query + 2, id);
		fl->deadline = uv_now(f->loop) + f->timeout;
		if (start_attempt(f, fl, server) >= 0)
			return;
	}
	land(f, fl, fl->fallback, fl->fallback_n);
}

static void tick(uv_timer_t *t) {
	struct dns_forward *f = t->data;
	uint64_t now = uv_now(f->loop);
	struct flight *next;
	for (struct flight *fl = f->flights; fl; fl = next) {
		next = fl->next;
		if (fl->deadline <= now)
			next_try(f, fl);
	}
}

/* ---- interface ---- */

struct dns_forward *dns_forward_new(uv_loop_t *loop, const struct cor_dns_server_config *config) {
	struct dns_forward *f = cor_new(struct dns_forward);
	f->loop = loop;
	f->timeout = config->timeout_ms > 0 ? (uint64_t)config->timeout_ms : 1500;
	f->handles = 1;
	int rc = uv_timer_init(loop, &f->timer);
	cor_assert(rc == 0);
	f->timer.data = f;
	for (size_t i = 0; config->upstreams && config->upstreams[i]; i++)
		add_server(f, config->upstreams[i]);
	if (!config->upstreams)
		f->file = cor_strdup(config->resolv_conf ? config->resolv_conf : "/etc/resolv.conf");
	return f;
}

static struct flight *find_flight(struct dns_forward *f, const uint8_t *query, size_t n, bool tcp) {
	for (struct flight *fl = f->flights; fl; fl = fl->next) {
		if (fl->tcp == tcp && fl->n == n && memcmp(fl->query + 4, query + 2, n - 2) == 0)
			return fl;
	}
	return NULL;
}

void dns_forward_ask(struct dns_forward *f, const uint8_t *query, size_t n, bool tcp,
	struct dns_waiter *w) {
	cor_assert(n >= DNS_HEADER && n <= COR_DNS_TCP_MAX);
	refresh(f);
	w->id = dns_get16(query);
	w->next = NULL;
	struct flight *fl = find_flight(f, query, n, tcp);
	if (f->closed || f->server_n == 0 || (fl && fl->waiting >= WAITERS_MAX) ||
		(!fl && f->in_flight >= FLIGHT_MAX)) {
		w->done(w, NULL, 0);
		return;
	}
	if (fl) {
		w->next = fl->waiters;
		fl->waiters = w;
		fl->waiting++;
		return;
	}
	fl = cor_new(struct flight);
	fl->query = cor_calloc(1, n + 2);
	dns_put16(fl->query, (uint16_t)n);
	memcpy(fl->query + 2, query, n);
	fl->n = n;
	fl->tcp = tcp;
	fl->waiters = w;
	fl->waiting = 1;
	fl->next = f->flights;
	f->flights = fl;
	f->in_flight++;
	if (!uv_is_active((uv_handle_t *)&f->timer))
		uv_timer_start(&f->timer, tick, TICK_MS, TICK_MS);
	next_try(f, fl);
}

static void timer_closed(uv_handle_t *h) {
	struct dns_forward *f = h->data;
	f->handles--;
	free_if_closed(f);
}

void dns_forward_close(struct dns_forward *f, void (*closed)(void *arg), void *arg) {
	f->closed = closed;
	f->closed_arg = arg;
	while (f->flights)
		land(f, f->flights, NULL, 0);
	uv_close((uv_handle_t *)&f->timer, timer_closed);
}
