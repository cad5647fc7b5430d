// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 client on the loop: keep-alive pool per target, TLS with client certificates, streamed
// answers, upgrades. Used by the node agent against the API, by the server against node agents, by probes.
#pragma once

#include "net/http.h"

struct cor_http_client;
struct cor_http_call;

struct cor_http_client_config {
	struct uv_loop_s *loop;
	struct cor_tls *tls;            /* NULL: plain text */
	const char *host;               /* name or address to connect to; copied */
	int port;
	const char *server_name;        /* for SNI and verification; NULL = host */
	bool verify;                    /* check the server's certificate against the CA of tls */
	cor_time connect_timeout;       /* 0 = 10 s */
	size_t max_idle;                /* pooled connections kept; 0 = 4 */
	const char *bind_device;        /* SO_BINDTODEVICE or NULL */
};
struct cor_http_client *cor_http_client_new(const struct cor_http_client_config *c);
/* Calls under way end with COR_E_CLOSED; freed when the loop has run. */
void cor_http_client_free(struct cor_http_client *c);

struct cor_http_response {
	int status;
	const struct cor_http_header *headers;
	size_t n_headers;
};

/* Callbacks of one call, on the loop. Exactly one of done and upgraded is the last one. */
struct cor_http_call_ops {
	/* The head is there. May be NULL. */
	void (*head)(void *arg, const struct cor_http_response *r);
	/* A piece of the body. NULL: the body is gathered (up to max_body) and given to done. */
	void (*data)(void *arg, struct cor_str data);
	/* End: err NULL when the answer is complete (any HTTP status), else transport failure. body absent when data is set. */
	void (*done)(void *arg, const struct cor_http_response *r, struct cor_str body, const struct cor_err *err);
	/* The server switched protocols: conn is the caller's. NULL: an upgrade is a failure. */
	void (*upgraded)(void *arg, const struct cor_http_response *r, struct cor_conn *conn);
};

struct cor_http_call_config {
	const char *method;
	const char *path;               /* with query */
	const struct cor_http_header *headers;
	size_t n_headers;
	struct cor_str body;            /* copied; content-length is set when present */
	cor_time timeout;               /* whole call; 0 = none (watches) */
	size_t max_body;                /* 0 = 64 MiB */
	struct cor_http_call_ops ops;
	void *arg;
};
/* Never calls back from within. */
struct cor_http_call *cor_http_call_new(struct cor_http_client *c, const struct cor_http_call_config *cfg);
/* No callback any more after this; closes the connection when an answer is under way. */
void cor_http_call_cancel(struct cor_http_call *call);
void cor_http_call_pause(struct cor_http_call *call, bool paused);
