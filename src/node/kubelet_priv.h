// SPDX-License-Identifier: Apache-2.0
// What the files kubelet_*.c share.
#pragma once

#include "net/stream.h"
#include "node/kubelet_http.h"

enum { KUBELET_SEGMENTS_MAX = 6 };

struct kubelet_log;

/* A connection that was taken over (exec, attach, port-forward) and lives beyond its request. */
struct kubelet_stream {
	struct kubelet_stream *next, **prev;
	struct cor_kubelet *k;
	void (*abort)(struct kubelet_stream *s);
};

struct cor_kubelet {
	struct cor_kubelet_config cfg;
	char *node_name, *data_dir;
	struct cor_http_server *server, *healthz;
	int port, healthz_port;
	struct kubelet_stream *streams;
	bool closing;
	int open;                       /* servers and streams that are still to be closed */
	void (*closed)(void *arg);
	void *closed_arg;
	cor_time started_at;
	struct kubelet_log *logs;       /* those that follow a container */
};

/* A request on its way to a handler: segments of the path behind the first, decoded. */
struct kubelet_req {
	struct cor_kubelet *k;
	struct cor_http_req *http;
	struct cor_str segments[KUBELET_SEGMENTS_MAX];
	size_t n;
};

/* What hangs on a request that is answered later: called once, when the request has ended. */
struct kubelet_pending {
	void (*closed)(struct kubelet_pending *p);
};

void kubelet_text(struct cor_http_req *req, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The error as plain text, the way the kubelet does it. */
void kubelet_error(struct cor_http_req *req, const struct cor_err *err);
/* Asks the pod manager; false when the answer (404, 500) was given. Segments: namespace, pod, [uid,]
 * container; without the last one when container is false. */
bool kubelet_find(const struct kubelet_req *r, bool container, struct cor_pod_ref *ret);
struct cor_str kubelet_container_name(const struct kubelet_req *r);
/* "1", "t", "true" and so on; absent is false. False when it is none of them. */
bool kubelet_bool_param(struct cor_http_req *req, const char *name, bool *ret);

void kubelet_stream_add(struct kubelet_stream *s, struct cor_kubelet *k,
	void (*abort)(struct kubelet_stream *s));
/* Its last callback has come. k may be gone afterwards. */
void kubelet_stream_remove(struct kubelet_stream *s);

void kubelet_logs(const struct kubelet_req *r);         /* kubelet_log.c */
void kubelet_exec(const struct kubelet_req *r);         /* kubelet_exec.c */
void kubelet_attach(const struct kubelet_req *r);
void kubelet_run(const struct kubelet_req *r);
void kubelet_port_forward(const struct kubelet_req *r); /* kubelet_forward.c */
void kubelet_stats_summary(const struct kubelet_req *r);        /* kubelet_stats.c */
void kubelet_metrics(const struct kubelet_req *r);
void kubelet_metrics_resource(const struct kubelet_req *r);

/* Socket of a family in the network namespace at path (NULL: ours), without touching that of any
 * living thread; non-blocking. Negative errno on failure. (kubelet_forward.c) */
int kubelet_socket_in(const char *net_ns, int family);
