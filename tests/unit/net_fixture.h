// SPDX-License-Identifier: Apache-2.0
// For tests of the network layer: a CA with one server and one client certificate, and blocking
// sockets to talk to a loop that runs in the same thread.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <uv.h>

#include <cmocka.h>

#include "net/pki.h"
#include "net/tls.h"

#define ok(expr) \
	do { \
		struct cor_err err_ = { 0 }, *err = &err_; \
		if ((expr) < 0) \
			fail_msg("%s: %s", #expr, err_.message); \
	} while (0)

struct fixture_pki {
	struct cor_pki_pair ca, server, client;
};

static inline cor_time fixture_now(void) {
	return (cor_time)time(NULL) * COR_SECOND;
}

static inline void fixture_pki_make(struct fixture_pki *p) {
	static const struct cor_str sans[] = { COR_STR_INIT("localhost"), COR_STR_INIT("127.0.0.1") };
	static const struct cor_str orgs[] = { COR_STR_INIT("system:masters"), COR_STR_INIT("two") };
	cor_time now = fixture_now();
	struct cor_pki_subject server = { .cn = COR_STR("api"), .sans = sans, .n_sans = 2,
		.server = true, .not_before = now - COR_HOUR, .not_after = now + COR_HOUR };
	struct cor_pki_subject client = { .cn = COR_STR("admin"), .orgs = orgs, .n_orgs = 2,
		.client = true, .not_before = now - COR_HOUR, .not_after = now + COR_HOUR };

	*p = (struct fixture_pki){ 0 };
	ok(cor_pki_make_ca(COR_STR("test-ca"), now - COR_HOUR, now + COR_HOUR, &p->ca, err));
	ok(cor_pki_issue(&p->ca, &server, &p->server, err));
	ok(cor_pki_issue(&p->ca, &client, &p->client, err));
}

static inline void fixture_pki_drop(struct fixture_pki *p) {
	cor_pki_pair_fini(&p->ca);
	cor_pki_pair_fini(&p->server);
	cor_pki_pair_fini(&p->client);
}

static inline struct cor_tls *fixture_server_tls(const struct fixture_pki *p) {
	struct cor_tls_config c = { .server = true, .cert = cor_buf_view(&p->server.cert),
		.key = cor_buf_view(&p->server.key), .ca = cor_buf_view(&p->ca.cert) };
	struct cor_err err = { 0 };
	struct cor_tls *t = cor_tls_new(&c, &err);

	if (!t)
		fail_msg("%s", err.message);
	return t;
}

static inline struct cor_tls *fixture_client_tls(const struct fixture_pki *p, bool with_cert) {
	struct cor_tls_config c = { .ca = cor_buf_view(&p->ca.cert) };
	struct cor_err err = { 0 };
	struct cor_tls *t;

	if (with_cert) {
		c.cert = cor_buf_view(&p->client.cert);
		c.key = cor_buf_view(&p->client.key);
	}
	t = cor_tls_new(&c, &err);
	if (!t)
		fail_msg("%s", err.message);
	return t;
}

/* One turn that never sleeps for longer than a moment: what a test waits for may happen before the
 * loop would go to sleep. */
static inline void fixture_turn(uv_loop_t *loop) {
	struct pollfd p = { .fd = uv_backend_fd(loop), .events = POLLIN };

	uv_run(loop, UV_RUN_NOWAIT);
	(void)poll(&p, 1, 1);
}

/* Runs the loop until cond; fails after 20 seconds. */
#define fixture_until(loop, cond) \
	do { \
		time_t end_ = time(NULL) + 20; \
		while (!(cond)) { \
			if (time(NULL) > end_) \
				fail_msg("waited 20 seconds for %s", #cond); \
			fixture_turn(loop); \
		} \
	} while (0)

/* Runs what is left and checks that everything was closed. */
static inline void fixture_loop_close(uv_loop_t *loop) {
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}
