// SPDX-License-Identifier: Apache-2.0
// The kubelet's HTTP API of this node (facts/node-agent 17 to 20): logs, exec, attach, port-forward,
// run, pods, health, statistics, metrics. HTTPS with client certificates: the API server's
// (CN kube-apiserver-kubelet-client) and members of system:masters may use it, nobody else.
// What it has to know about pods it asks the pod manager through cor_pod_lookup.
#pragma once

#include "base/buf.h"
#include "net/http.h"
#include "node/runtime.h"

/* One container of a pod, as far as streams and logs need it. Strings are valid until the loop goes
 * on. */
struct cor_pod_ref {
	const char *pod_uid;
	const char *net_ns;             /* of the pod; NULL or "": the node's */
	bool sandbox_ready;             /* its network is up: ports can be forwarded */
	struct cor_container *current;  /* the newest instance, running or not; NULL: none */
	const char *log_path;           /* of the newest instance that was started; NULL: none */
	const char *previous_log_path;  /* of the one before; NULL: none */
	/* Why it was not started yet: "ContainerCreating", "PodInitializing", "ErrImagePull", ...; NULL
	 * when it was. */
	const char *waiting;
};

struct cor_pod_lookup {
	/* uid absent: any; container absent: only the pod is asked for. COR_E_NOT_FOUND with the text
	 * `pod "p" does not exist` or `container "c" not found in pod "p"`. */
	int (*find)(void *arg, struct cor_str ns, struct cor_str pod, struct cor_str uid,
		struct cor_str container, struct cor_pod_ref *ret, struct cor_err *err);
	/* Appends the items of a v1 PodList as JSON, separated by commas, without the brackets. */
	void (*list)(void *arg, struct cor_buf *out);
	void *arg;
};

struct cor_kubelet;
struct cor_kubelet_config {
	struct uv_loop_s *loop;
	struct cor_world *world;
	struct cor_runtime *rt;
	struct cor_tls *tls;            /* with the CA of client certificates; NULL (tests): no TLS and
	                                 * everybody is system:masters */
	const char *node_name;
	const char *data_dir;           /* whose file system is reported as the node's */
	const char *address;            /* "0.0.0.0" */
	int port;                       /* 10250; 0 = any */
	int healthz_port;               /* plain, on 127.0.0.1: 10248; 0 = any, -1 = none */
	struct cor_pod_lookup pods;
};

int cor_kubelet_new(const struct cor_kubelet_config *cfg, struct cor_kubelet **ret, struct cor_err *err);
int cor_kubelet_port(const struct cor_kubelet *k);
int cor_kubelet_healthz_port(const struct cor_kubelet *k);      /* -1: none */
/* A container has ended (the runtime's exited event): logs that are followed end now. */
void cor_kubelet_container_exited(struct cor_kubelet *k, const char *id);
/* Breaks everything off; done is called on the loop when nothing is left of it. */
void cor_kubelet_close(struct cor_kubelet *k, void (*done)(void *arg), void *arg);
