// SPDX-License-Identifier: Apache-2.0
// What a running server writes about itself into the cluster: where its API is and whom it trusts.
#pragma once

#include "api/registry.h"
#include "base/str.h"

struct cor_publish_config {
	struct cor_registry *registry;
	struct cor_str ca_pem;
	const char *address;            /* that clients inside the cluster reach */
	int port;
	/* On the loop, when all is written (status 0) or something failed, which was logged. */
	void (*done)(void *arg, int status);
	void *arg;
};
/* Endpoints and EndpointSlice of default/kubernetes, and the ConfigMap
 * kube-system/extension-apiserver-authentication: created, or brought up to date. */
void cor_publish(const struct cor_publish_config *c);
