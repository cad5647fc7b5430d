// SPDX-License-Identifier: Apache-2.0
// The DNS server over real sockets on loopback: UDP, TCP, forwarding with its failures. Resolvers
// are sockets of the test that behave well or badly; the client polls while the loop turns.
#include <libknot/libknot.h>
#undef _cleanup_

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "gen/core_v1.h"
#include "network/dns_server.h"

enum mode { SILENT, GOOD, SERVFAIL, WRONG_FIRST };

struct resolver {
	int udp, tcp, conn;
	int port;
	enum mode mode;
	int asked;
};

struct bench {
	uv_loop_t loop;
	uv_timer_t tick;
	struct cor_dns *dns;
	struct cor_dns_server *server;
	int port;
	struct resolver r[2];
	char upstream[2][40];
	const char *upstreams[3];
	bool closed;
};

static int port_of(int fd) {
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	assert_int_equal(getsockname(fd, (void *)&sa, &len), 0);
	return ntohs(sa.sin_port);
}

static void nothing(uv_timer_t *t) {
}

static void feed(struct cor_dns *dns, const char *name, const char *type, const char *ip,
	const char *external) {
	struct core_v1_Service s = { 0 };
	s.metadata.namespace = COR_STR("default");
	s.metadata.name = cor_str_c(name);
	s.spec.type = cor_str_c(type);
	s.spec.clusterIP = cor_str_c(ip);
	s.spec.externalName = cor_str_c(external);
	cor_dns_set_service(dns, &s);
}

static struct bench *bench_new(enum mode first, enum mode second) {
	struct bench *b = calloc(1, sizeof(*b));
	struct cor_err err = { 0 };
	struct cor_dns_config config = { 0 };
	int fds[2];
	uv_loop_init(&b->loop);
	uv_timer_init(&b->loop, &b->tick);
	uv_timer_start(&b->tick, nothing, 2, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cor_dns_open_sockets("127.0.0.1", 0, fds, &err), 0);
		b->r[i] = (struct resolver){ fds[0], fds[1], 0, port_of(fds[0]), i ? second : first, 0 };
		snprintf(b->upstream[i], 40, "127.0.0.1#%d", b->r[i].port);
		b->upstreams[i] = b->upstream[i];
	}
	assert_int_equal(cor_dns_new(&config, &b->dns, &err), 0);
	feed(b->dns, "web", "ClusterIP", "10.96.1.1", "");
	feed(b->dns, "out", "ExternalName", "", "target.example.com");
	cor_dns_set_ready(b->dns, true);
	struct cor_dns_server_config sc = { .dns = b->dns, .upstreams = b->upstreams,
		.timeout_ms = 150 };
	assert_int_equal(cor_dns_server_new(&b->loop, &sc, &b->server, &err), 0);
	assert_int_equal(cor_dns_open_sockets("127.0.0.1", 0, fds, &err), 0);
	b->port = port_of(fds[0]);
	assert_int_equal(port_of(fds[1]), b->port);
	assert_int_equal(cor_dns_server_adopt(b->server, fds[0], &err), 0);
	assert_int_equal(cor_dns_server_adopt(b->server, fds[1], &err), 0);
	return b;
}

static void mark_closed(void *arg) {
	((struct bench *)arg)->closed = true;
}

static void bench_free(struct bench *b) {
	cor_dns_server_close(b->server, mark_closed, b);
	uv_close((uv_handle_t *)&b->tick, NULL);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_true(b->closed);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	cor_dns_free(b->dns);
	for (int i = 0; i < 2; i++) {
		close(b->r[i].udp);
		close(b->r[i].tcp);
	}
	free(b);
}

/* An answer of 192.0.2.<port's low byte> to whatever was asked; TCP only when large is wanted. */
static size_t resolve(const struct resolver *r, const uint8_t *q, size_t n, uint8_t *out) {
	knot_pkt_t *in = knot_pkt_new((void *)q, (uint16_t)n, NULL);
	assert_int_equal(knot_pkt_parse(in, 0), KNOT_EOK);
	memset(out, 0, 512);
	knot_pkt_t *pkt = knot_pkt_new(out, 512, NULL);
	knot_pkt_init_response(pkt, in);
	if (r->mode == SERVFAIL) {
		knot_wire_set_rcode(out, KNOT_RCODE_SERVFAIL);
	} else {
		knot_rrset_t rr;
		knot_rrset_init(&rr, (knot_dname_t *)knot_pkt_wire_qname(in), KNOT_RRTYPE_A, KNOT_CLASS_IN, 60);
		knot_rrset_add_rdata(&rr, (const uint8_t[]){ 192, 0, 2, 1 }, 4, NULL);
		knot_pkt_begin(pkt, KNOT_ANSWER);
		knot_pkt_put(pkt, KNOT_COMPR_HINT_QNAME, &rr, 0);
		knot_rdataset_clear(&rr.rrs, NULL);
	}
	size_t size = pkt->size;
	knot_pkt_free(pkt);
	knot_pkt_free(in);
	return size;
}

static void serve_udp(struct resolver *r) {
	uint8_t q[1500], out[512];
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	ssize_t n = recvfrom(r->udp, q, sizeof(q), MSG_DONTWAIT, (void *)&peer, &len);
	if (n <= 0)
		return;
	r->asked++;
	if (r->mode == SILENT)
		return;
	size_t size = resolve(r, q, (size_t)n, out);
	if (r->mode == WRONG_FIRST) {
		out[0] ^= 0xff;         /* another id */
		(void)!sendto(r->udp, out, size, 0, (void *)&peer, len);
		out[0] ^= 0xff;
		out[13] ^= 0x01;        /* another name */
		(void)!sendto(r->udp, out, size, 0, (void *)&peer, len);
		out[13] ^= 0x01;
		(void)!sendto(r->udp, out, 7, 0, (void *)&peer, len);
	}
	(void)!sendto(r->udp, out, size, 0, (void *)&peer, len);
}

/* One connection at a time; the question comes when the loop has turned again. */
static void serve_tcp(struct resolver *r) {
	uint8_t q[1502], out[514];
	if (r->conn == 0) {
		int fd = accept4(r->tcp, NULL, NULL, SOCK_CLOEXEC);
		r->conn = fd < 0 ? 0 : fd;
		r->asked += fd >= 0;
	}
	ssize_t n = r->conn ? recv(r->conn, q, sizeof(q), MSG_DONTWAIT) : -1;
	if (n < 0)
		return;
	if (n > 2 && r->mode == GOOD) {
		size_t size = resolve(r, q + 2, (size_t)n - 2, out + 2);
		knot_wire_write_u16(out, (uint16_t)size);
		(void)!send(r->conn, out, 3, 0);        /* in two parts */
		(void)!send(r->conn, out + 3, size - 1, 0);
	}
	close(r->conn);
	r->conn = 0;
}

static int client(struct bench *b, int type) {
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)b->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (void *)&sa, sizeof(sa)), 0);
	return fd;
}

static size_t make_query(const char *name, uint16_t id, uint8_t *out) {
	uint8_t wire[KNOT_DNAME_MAXLEN];
	memset(out, 0, 512);
	knot_pkt_t *pkt = knot_pkt_new(out, 512, NULL);
	knot_wire_set_id(out, id);
	knot_wire_set_rd(out);
	assert_non_null(knot_dname_from_str(wire, name, sizeof(wire)));
	knot_pkt_put_question(pkt, wire, KNOT_CLASS_IN, KNOT_RRTYPE_A);
	size_t n = pkt->size;
	knot_pkt_free(pkt);
	return n;
}

/* Turns the loop until something can be read, five seconds at most. Bytes read, 0 at the end. */
static ssize_t receive(struct bench *b, int fd, uint8_t *p, size_t cap) {
	uint64_t deadline = uv_hrtime() + 5000000000u;
	while (uv_hrtime() < deadline) {
		uv_run(&b->loop, UV_RUN_ONCE);
		for (int i = 0; i < 2; i++) {
			serve_udp(&b->r[i]);
			serve_tcp(&b->r[i]);
		}
		ssize_t n = recv(fd, p, cap, MSG_DONTWAIT);
		if (n >= 0 || errno != EAGAIN)
			return n;
	}
	fail_msg("nothing came");
	return -1;
}

/* Asks once; answer's rcode * 1000 + number of answer records. */
static int ask(struct bench *b, int type, const char *name) {
	uint8_t q[600], a[2000];
	size_t n = make_query(name, 0x4711, q + 2);
	knot_wire_write_u16(q, (uint16_t)n);
	int fd = client(b, type);
	bool tcp = type == SOCK_STREAM;
	assert_int_equal(send(fd, tcp ? q : q + 2, tcp ? n + 2 : n, 0), tcp ? n + 2 : n);
	ssize_t got = receive(b, fd, a, sizeof(a));
	uint8_t *p = tcp ? a + 2 : a;
	if (tcp)
		assert_int_equal(got, knot_wire_read_u16(a) + 2);
	assert_true(got >= 12);
	assert_int_equal(knot_wire_get_id(p), 0x4711);
	assert_memory_equal(p + 12, q + 14, n - 12);
	close(fd);
	return knot_wire_get_rcode(p) * 1000 + knot_wire_get_ancount(p);
}

static void both_protocols_and_aliases(void **state) {
	struct bench *b = bench_new(GOOD, SILENT);
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ask(b, types[i], "web.default.svc.cluster.local"), 1);
		assert_int_equal(ask(b, types[i], "gone.default.svc.cluster.local"), 3000);
		assert_int_equal(ask(b, types[i], "Www.Example.com"), 1);
		assert_int_equal(ask(b, types[i], "out.default.svc.cluster.local"), 2);
	}
	assert_int_equal(b->r[0].asked, 4);
	struct cor_dns_stats st = cor_dns_server_stats(b->server);
	assert_int_equal(st.answered, 4);
	assert_int_equal(st.forwarded, 4);
	bench_free(b);
}

static void a_connection_takes_many_questions(void **state) {
	struct bench *b = bench_new(GOOD, SILENT);
	uint8_t q[4000], a[4000];
	size_t n = 0, got = 0;
	for (int i = 0; i < 20; i++) {
		size_t one = make_query(i % 2 ? "web.default.svc.cluster.local" : "example.com",
			(uint16_t)i, q + n + 2);
		knot_wire_write_u16(q + n, (uint16_t)one);
		n += one + 2;
	}
	int fd = client(b, SOCK_STREAM);
	assert_int_equal(send(fd, q, n, 0), n);
	unsigned seen = 0;
	while (seen != 0xfffff) {
		got += (size_t)receive(b, fd, a + got, sizeof(a) - got);
		size_t at = 0;
		while (got - at >= 2 && got - at >= (size_t)knot_wire_read_u16(a + at) + 2) {
			assert_int_equal(knot_wire_get_ancount(a + at + 2), 1);
			seen |= 1u << knot_wire_get_id(a + at + 2);
			at += (size_t)knot_wire_read_u16(a + at) + 2;
		}
		memmove(a, a + at, got - at);
		got -= at;
	}
	/* The ten for outside were one question. */
	assert_int_equal(b->r[0].asked, 1);
	/* A length that cannot be ends the connection. */
	assert_int_equal(send(fd, "\0\1x", 3, 0), 3);
	assert_int_equal(receive(b, fd, a, sizeof(a)), 0);
	close(fd);
	bench_free(b);
}

static void resolvers_fail(void **state) {
	static const struct {
		enum mode first, second;
		int expect;
		int asked[2];
	} t[] = {
		{ SILENT, GOOD, 1, { 1, 1 } },
		{ SERVFAIL, GOOD, 1, { 1, 1 } },
		{ WRONG_FIRST, SILENT, 1, { 1, 0 } },
		{ SERVFAIL, SERVFAIL, 2000, { 2, 2 } },
		{ SILENT, SILENT, 2000, { 2, 2 } },
		{ SERVFAIL, SILENT, 2000, { 2, 2 } },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct bench *b = bench_new(t[i].first, t[i].second);
		assert_int_equal(ask(b, SOCK_DGRAM, "example.com"), t[i].expect);
		assert_int_equal(b->r[0].asked, t[i].asked[0]);
		assert_int_equal(b->r[1].asked, t[i].asked[1]);
		bench_free(b);
	}
	/* Nobody listens: at once, not after the time is up. */
	struct bench *b = bench_new(GOOD, GOOD);
	for (int i = 0; i < 2; i++) {
		close(b->r[i].udp);
		b->r[i].udp = -1;
	}
	uint64_t start = uv_hrtime();
	assert_int_equal(ask(b, SOCK_DGRAM, "example.com"), 2000);
	assert_true(uv_hrtime() - start < 150 * 1000000u);
	assert_int_equal(ask(b, SOCK_DGRAM, "out.default.svc.cluster.local"), 2001);
	bench_free(b);
}

/* Our only resolver sends what we ask straight back to us. */
static void a_loop_ends(void **state) {
	struct bench *b = bench_new(SILENT, SILENT);
	uint8_t q[512], a[1500];
	int relay = client(b, SOCK_DGRAM), fd = client(b, SOCK_DGRAM);
	size_t n = make_query("loop.example.com", 7, q);
	assert_int_equal(send(fd, q, n, 0), n);
	uint64_t deadline = uv_hrtime() + 5000000000u;
	ssize_t got = -1;
	int asked = 0;
	while (got < 0 && uv_hrtime() < deadline) {
		uv_run(&b->loop, UV_RUN_ONCE);
		for (int i = 0; i < 2; i++) {
			ssize_t in = recv(b->r[i].udp, a, sizeof(a), MSG_DONTWAIT);
			if (in > 0 && asked++ >= 0)
				(void)!send(relay, a, (size_t)in, 0);
		}
		got = recv(fd, a, sizeof(a), MSG_DONTWAIT);
	}
	assert_true(got >= 12);
	assert_int_equal(knot_wire_get_rcode(a), KNOT_RCODE_SERVFAIL);
	assert_int_equal(asked, 4);
	close(relay);
	close(fd);
	bench_free(b);
}

static void closing_answers_those_who_wait(void **state) {
	struct bench *b = bench_new(SILENT, SILENT);
	uint8_t q[600];
	int udp = client(b, SOCK_DGRAM), tcp = client(b, SOCK_STREAM);
	size_t n = make_query("example.com", 7, q + 2);
	knot_wire_write_u16(q, (uint16_t)n);
	assert_int_equal(send(udp, q + 2, n, 0), n);
	assert_int_equal(send(tcp, q, n + 2, 0), n + 2);
	uint64_t deadline = uv_hrtime() + 5000000000u;
	while (b->r[0].asked < 1 && uv_hrtime() < deadline) {
		uv_run(&b->loop, UV_RUN_ONCE);
		serve_udp(&b->r[0]);
	}
	bench_free(b);
	close(udp);
	close(tcp);
}

static void resolv_conf_is_read_again(void **state) {
	struct bench *b = bench_new(GOOD, GOOD);
	char path[] = "/tmp/coracle-resolv-XXXXXX";
	int fd = mkstemp(path);
	struct cor_err err = { 0 };
	struct cor_dns_server *s = NULL;
	struct cor_dns_server_config sc = { .dns = b->dns, .resolv_conf = path };
	/* Without a resolver only outside names fail. */
	assert_int_equal(cor_dns_server_new(&b->loop, &sc, &s, &err), 0);
	int fds[2];
	assert_int_equal(cor_dns_open_sockets("127.0.0.1", 0, fds, &err), 0);
	int old = b->port;
	b->port = port_of(fds[0]);
	assert_int_equal(cor_dns_server_adopt(s, fds[0], &err), 0);
	assert_int_equal(cor_dns_server_adopt(s, fds[1], &err), 0);
	assert_int_equal(ask(b, SOCK_DGRAM, "example.com"), 2000);
	assert_int_equal(ask(b, SOCK_DGRAM, "web.default.svc.cluster.local"), 1);
	b->port = old;
	cor_dns_server_close(s, mark_closed, b);
	while (!b->closed)
		uv_run(&b->loop, UV_RUN_ONCE);
	b->closed = false;
	close(fd);
	unlink(path);
	bench_free(b);
}

static void errors_say_what_was_wrong(void **state) {
	struct cor_err err = { 0 };
	int fds[2], again[2];
	assert_int_equal(cor_dns_open_sockets("not an address", 53, fds, &err), COR_E_INVALID);
	assert_non_null(strstr(err.message, "not an address"));
	assert_int_equal(cor_dns_open_sockets("127.0.0.1", 0, fds, &err), 0);
	assert_int_equal(cor_dns_open_sockets("127.0.0.1", (uint16_t)port_of(fds[0]), again, &err),
		-EADDRINUSE);
	assert_non_null(strstr(err.message, "127.0.0.1 port"));
	close(fds[0]);
	close(fds[1]);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_protocols_and_aliases),
		cmocka_unit_test(a_connection_takes_many_questions),
		cmocka_unit_test(resolvers_fail),
		cmocka_unit_test(a_loop_ends),
		cmocka_unit_test(closing_answers_those_who_wait),
		cmocka_unit_test(resolv_conf_is_read_again),
		cmocka_unit_test(errors_say_what_was_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
