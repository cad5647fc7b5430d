// SPDX-License-Identifier: Apache-2.0
// Streams and proxies to nodes, pods and services.
#include "api/http_priv.h"

static const char *const connects[] = { "exec", "attach", "portforward", "log", "proxy" };

bool api_is_connect(const struct cor_subresource *sub) {
	for (size_t i = 0; i < cor_countof(connects); i++)
		if (strcmp(sub->name, connects[i]) == 0)
			return true;
	return false;
}

void api_connect(struct api_req *q) {
	api_fail_status(q, COR_REASON_SERVICE_UNAVAILABLE, "no node");
}

void api_kubelet_free(struct cor_http_api *api) {
	(void)api;
}
