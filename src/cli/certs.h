// SPDX-License-Identifier: Apache-2.0
// The certificates and keys of a cluster, in DATA/pki: made at the first start, renewed when four fifths of their
// life are over, when the clock says that it has not begun, or when they are for other addresses.
#pragma once

#include "base/err.h"
#include "net/pki.h"

struct cor_certs {
	struct cor_pki_pair ca;
	struct cor_pki_pair server;     /* apiserver */
	struct cor_pki_pair kubelet_client;
	struct cor_buf sa_key;
	cor_time good_from, renew_at;   /* before and after that, ensure makes new ones */
};
void cor_certs_fini(struct cor_certs *c);

struct cor_certs_config {
	const char *dir;                /* DATA/pki; made 0700 */
	const char *address;            /* advertised */
	int port;
	const char *service_ip;         /* of the kubernetes Service */
	const char *domain;
	const char *node_name;          /* NULL: no node's credentials */
};
/* Also writes DATA/pki/{admin,node,dns}.kubeconfig, mode 0600. */
int cor_certs_ensure(const struct cor_certs_config *c, cor_time now, struct cor_certs *ret, struct cor_err *err);
