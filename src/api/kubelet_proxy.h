// SPDX-License-Identifier: Apache-2.0
// One request forwarded to another server: a node's kubelet, a pod, the pods of a Service.
#pragma once

#include "api/http_priv.h"

struct proxy_target {
	char host[256];
	int port;
	bool tls;
	bool verify;                            /* the server must show a certificate of the cluster */
	struct cor_str path;                    /* with query; in the request's arena */
	const char *method;                     /* NULL: the request's own */
	bool log;                               /* pods/log: errors of the node become a Status */
};

/* Forwards the request and answers with what comes back, as a stream; an upgrade becomes a tunnel of raw
 * bytes both ways. Failures to connect are answered 503. */
void api_forward(struct api_req *q, const struct proxy_target *t);
/* Where the kubelet of a node listens; false: answered with an error. */
bool api_node_target(struct api_req *q, struct cor_str node, struct proxy_target *ret);
void api_proxy(struct api_req *q);              /* pods, services, nodes /proxy */
