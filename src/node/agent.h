// SPDX-License-Identifier: Apache-2.0
// The node agent as a whole: joins images, runtime, network, volumes and pods to the API.
#pragma once

#include "base/err.h"

struct cor_agent;
struct uv_loop_s;
struct cor_world;

struct cor_agent_config {
	struct uv_loop_s *loop;
	struct cor_world *world;
	const char *cluster, *node_name, *address;
	const char *kubeconfig;
	const char *pki_dir;            /* kubelet.crt, kubelet.key, ca.crt */
	const char *data_dir, *run_dir;
	const char *pod_cidr, *service_cidr, *dns_ip, *cluster_domain;
	const char *resolv_conf;        /* the node's own resolvers and search path */
	int kubelet_port;
	/* -1, or a pipe from which a byte comes when there are certificates, and whose other side is closed when
	 * the API serves: what needs neither is done before, and what needs only the first in between. */
	int start_fd;
	/* The node's network is up and the API knows that the node is Ready: DNS may be started. */
	void (*ready)(void *arg);
	void *arg;
};
/* The agent lives as long as the process: it leaves its containers running when that ends. */
int cor_agent_start(const struct cor_agent_config *c, struct cor_agent **ret, struct cor_err *err);
/* The files with its certificates have changed: they are what new connections use. */
void cor_agent_renew(struct cor_agent *a);
