// SPDX-License-Identifier: Apache-2.0
// GETs of a 3 KB object over TLS with keep-alive, from h2load (Debian's nghttp2-client) as the outside
// measure: the rate as the client saw it, and per second of the server's CPU, which is what one
// core gives when the client has a core of its own.
// Usage: bench_http [requests, default 200000]
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <uv.h>

#include "base/assert.h"
#include "net/http.h"
#include "net/pki.h"
#include "net/tls.h"

static char body[3000];
static uint64_t handled;

static void release(void *owner) {
	(void)owner;
}

static void handle(void *arg, struct cor_http_req *req) {
	struct cor_piece piece = { .data = { body, sizeof(body) }, .release = release };

	(void)arg;
	handled++;
	cor_http_reply_pieces(req, 200, "application/json", &piece, 1);
}

static struct cor_tls *make_tls(void) {
	static const struct cor_str san = COR_STR_INIT("127.0.0.1");
	cor_time now = (cor_time)time(NULL) * COR_SECOND;
	_cleanup_pki_pair_ struct cor_pki_pair ca = { 0 }, pair = { 0 };
	struct cor_pki_subject s = { .cn = COR_STR("bench"), .sans = &san, .n_sans = 1, .server = true,
		.not_before = now - COR_HOUR, .not_after = now + COR_HOUR };
	struct cor_tls_config c = { .server = true };

	cor_assert(cor_pki_make_ca(COR_STR("ca"), s.not_before, s.not_after, &ca, NULL) >= 0);
	cor_assert(cor_pki_issue(&ca, &s, &pair, NULL) >= 0);
	c.cert = cor_buf_view(&pair.cert);
	c.key = cor_buf_view(&pair.key);
	c.ca = cor_buf_view(&ca.cert);
	return cor_tls_new(&c, NULL);
}

static double cpu_seconds(void) {
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void load_done(uv_process_t *p, int64_t status, int signal) {
	(void)status;
	(void)signal;
	uv_close((uv_handle_t *)p, NULL);
	uv_stop(p->loop);
}

static void run(uv_loop_t *loop, const char *name, const char *url, const char *requests, bool h2) {
	char *args[] = { "h2load", "-n", (char *)requests, "-c", "32", "-m", h2 ? "8" : "1", (char *)url,
		h2 ? NULL : "--h1", NULL };
	uv_stdio_container_t io[3] = { 0 };
	uv_process_options_t o = { .file = "h2load", .args = args, .exit_cb = load_done, .stdio = io,
		.stdio_count = 1 };
	uv_process_t p;
	double cpu = cpu_seconds();
	uint64_t begin = uv_hrtime(), before = handled;

	if (uv_spawn(loop, &p, &o) < 0) {
		printf("%-28s h2load is missing (package nghttp2-client)\n", name);
		return;
	}
	uv_run(loop, UV_RUN_DEFAULT);
	printf("%-28s %9.0f /s  %9.0f per second of server CPU\n", name,
		(double)(handled - before) / ((double)(uv_hrtime() - begin) / 1e9),
		(double)(handled - before) / (cpu_seconds() - cpu));
}

int main(int argc, char **argv) {
	const char *requests = argc > 1 ? argv[1] : "200000";
	struct cor_http_config c = { .handle = handle };
	struct cor_http_server *plain, *tls;
	uv_loop_t loop;
	int port[2];
	char url[64];

	memset(body, 'x', sizeof(body));
	uv_loop_init(&loop);
	c.loop = &loop;
	plain = cor_http_server_new(&c);
	c.tls = make_tls();
	cor_assert(c.tls != NULL);
	tls = cor_http_server_new(&c);
	cor_assert(cor_http_listen(plain, "127.0.0.1", 0, &port[0], NULL) >= 0);
	cor_assert(cor_http_listen(tls, "127.0.0.1", 0, &port[1], NULL) >= 0);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port[1]);
	run(&loop, "GET, TLS, HTTP/1.1", url, requests, false);
	run(&loop, "GET, TLS, HTTP/2", url, requests, true);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port[0]);
	run(&loop, "GET, plain, HTTP/1.1", url, requests, false);
	cor_tls_unref(c.tls);
	return 0;
}
