// SPDX-License-Identifier: Apache-2.0
// Load on an HTTP server: N clients on connections that stay open, each with one request under way,
// until a number of requests is answered. "%d" in the path and in the body becomes the request's
// number, so that each may make an object of its own. Prints one line of JSON; a request that is
// not answered with 2xx ends the run with the answer on stderr.
//   bench_load --url https://HOST:PORT [--ca FILE --cert FILE --key FILE] --path PATH [--method
//   POST]
//              [--body FILE] [--type TYPE] [--clients N] [--requests N] [--first N] [--pid SERVER]
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/client.h"
#include "net/pki.h"
#include "net/tls.h"

struct load {
	uv_loop_t loop;
	struct cor_http_client *http;
	const char *url, *ca, *cert, *key, *method, *path, *body_file, *type;
	struct cor_buf body;
	size_t clients, requests, first, pid;
	uint64_t begin;
	double cpu; /* seconds of pid at begin */
	size_t started, finished;
	uint64_t bytes;
	double *us; /* of each request */
};

struct client {
	struct load *load;
	uint64_t since;
	struct cor_buf text;
};

_Noreturn static void fail(const char *what, struct cor_str detail) {
	(void)fprintf(stderr, "bench_load: %s: %.*s\n", what, COR_STR_ARG(detail));
	exit(1);
}

/* Of all threads of the process, in user and kernel mode. */
static double cpu_seconds(size_t pid) {
	char path[40];
	unsigned long user = 0, kernel = 0;
	(void)snprintf(path, sizeof(path), "/proc/%zu/stat", pid);
	FILE *f = pid ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	int n = fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		&kernel);
	(void)fclose(f);
	if (n != 2)
		fail(path, COR_STR("not understood"));
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* Appends s with every "%d" as number. */
static void expand(struct cor_buf *out, struct cor_str s, size_t number) {
	while (s.n > 0) {
		const char *at = memmem(s.p, s.n, "%d", 2);
		size_t n = at ? (size_t)(at - s.p) : s.n;
		cor_buf_add(out, s.p, n);
		if (at)
			cor_buf_printf(out, "%zu", number);
		s.p += at ? n + 2 : n;
		s.n -= at ? n + 2 : n;
	}
}

static void next(struct client *c);

static void on_data(void *arg, struct cor_str data) {
	((struct client *)arg)->load->bytes += data.n;
}

static void on_head(void *arg, const struct cor_http_response *r) {
	struct client *c = arg;
	if (r->status < 200 || r->status > 299) {
		(void)fprintf(stderr, "bench_load: %s: HTTP %d\n", c->load->path, r->status);
		exit(1);
	}
}

static void on_done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct client *c = arg;
	(void)r;
	(void)body;
	if (err)
		fail(c->load->path, cor_str_c(err->message));
	struct load *l = c->load;
	l->us[l->finished++] = (double)(uv_hrtime() - c->since) / 1e3;
	if (l->finished == l->clients) {
		l->cpu = cpu_seconds(l->pid);
		l->begin = uv_hrtime();
	}
	next(c);
}

static void next(struct client *c) {
	struct load *l = c->load;
	if (l->started == l->requests)
		return;
	size_t number = l->first + l->started++;
	cor_buf_clear(&c->text);
	expand(&c->text, cor_str_c(l->path), number);
	cor_buf_add(&c->text, "", 1);
	size_t body_at = c->text.n;
	expand(&c->text, cor_buf_view(&l->body), number);
	struct cor_str all = cor_buf_view(&c->text);
	struct cor_http_header type = { COR_STR("content-type"), cor_str_c(l->type) };
	c->since = uv_hrtime();
	(void)cor_http_call_new(l->http,
		&(struct cor_http_call_config){
			.method = l->method,
			.path = all.p,
			.headers = &type,
			.n_headers = l->body_file ? 1 : 0,
			.body = l->body_file ? (struct cor_str){ all.p + body_at, all.n - body_at }
					     : (struct cor_str){ 0 },
			.timeout = 60 * COR_SECOND,
			.ops = { .head = on_head, .data = on_data, .done = on_done },
			.arg = c,
		});
}

static int by_size(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void read_file(const char *path, struct cor_buf *b) {
	struct cor_err err;
	if (path && cor_pki_read_file(path, b, &err) < 0)
		fail(path, cor_str_c(err.message));
}

/* "https://127.0.0.1:6443" */
static void connect_to(struct load *l) {
	struct cor_buf ca = COR_BUF_INIT, cert = COR_BUF_INIT, key = COR_BUF_INIT;
	struct cor_err err;
	bool tls = strncmp(l->url, "https://", 8) == 0;
	char *host = cor_strdup(l->url + (tls ? 8 : 7)), *colon = strrchr(host, ':');
	if (!colon)
		fail("want scheme://HOST:PORT", cor_str_c(l->url));
	*colon = '\0';
	read_file(l->ca, &ca);
	read_file(l->cert, &cert);
	read_file(l->key, &key);
	struct cor_tls_config tc = {
		.ca = cor_buf_view(&ca), .cert = cor_buf_view(&cert), .key = cor_buf_view(&key)
	};
	struct cor_http_client_config c = {
		.loop = &l->loop,
		.host = host,
		.port = (int)strtol(colon + 1, NULL, 10),
		.verify = tls,
		.max_idle = l->clients,
	};
	if (tls && !(c.tls = cor_tls_new(&tc, &err)))
		fail("TLS", cor_str_c(err.message));
	l->http = cor_http_client_new(&c);
}

static void options(struct load *l, int argc, char **argv) {
	static const struct option names[] = {
		{ "url", 1, NULL, 'u' },
		{ "ca", 1, NULL, 'a' },
		{ "cert", 1, NULL, 'c' },
		{ "key", 1, NULL, 'k' },
		{ "method", 1, NULL, 'm' },
		{ "path", 1, NULL, 'p' },
		{ "body", 1, NULL, 'b' },
		{ "type", 1, NULL, 't' },
		{ "clients", 1, NULL, 'n' },
		{ "requests", 1, NULL, 'r' },
		{ "first", 1, NULL, 'f' },
		{ "pid", 1, NULL, 'i' },
		{ 0 },
	};
	for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		const char **text = o == 'u'   ? &l->url
				    : o == 'a' ? &l->ca
				    : o == 'c' ? &l->cert
				    : o == 'k' ? &l->key
				    : o == 'm' ? &l->method
				    : o == 'p' ? &l->path
				    : o == 'b' ? &l->body_file
				    : o == 't' ? &l->type
					       : NULL;
		size_t *number = o == 'n'   ? &l->clients
				 : o == 'r' ? &l->requests
				 : o == 'f' ? &l->first
				 : o == 'i' ? &l->pid
					    : NULL;
		if (text)
			*text = optarg;
		else if (number)
			*number = strtoul(optarg, NULL, 10);
		else
			exit(2);
	}
	if (!l->url || !l->path || l->clients == 0 || l->requests <= l->clients)
		fail("wants --url, --path, and more requests than clients",
			COR_STR("see the head of bench_load.c"));
}

int main(int argc, char **argv) {
	struct load l = {
		.method = "GET", .type = "application/json", .clients = 1, .requests = 1
	};
	options(&l, argc, argv);
	read_file(l.body_file, &l.body);
	cor_assert(uv_loop_init(&l.loop) == 0);
	connect_to(&l);
	l.us = cor_calloc(l.requests, sizeof(*l.us));
	struct client *clients = cor_calloc(l.clients, sizeof(*clients));
	for (size_t i = 0; i < l.clients; i++) {
		clients[i].load = &l;
		next(&clients[i]);
	}
	while (l.finished < l.requests)
		(void)uv_run(&l.loop, UV_RUN_ONCE);
	double seconds = (double)(uv_hrtime() - l.begin) / 1e9, cpu = cpu_seconds(l.pid) - l.cpu;
	size_t n = l.requests - l.clients;
	qsort(l.us + l.clients, n, sizeof(*l.us), by_size);
	(void)printf("{\"requests\":%zu,\"clients\":%zu,\"seconds\":%.6f,\"cpu\":%.2f,\"bytes\":%"
		     "llu,\"p50_us\":%.1f,"
		     "\"p99_us\":%.1f}\n",
		n, l.clients, seconds, cpu, (unsigned long long)l.bytes, l.us[l.clients + n / 2],
		l.us[l.requests - 1 - n / 100]);
	return 0;
}
