// SPDX-License-Identifier: Apache-2.0
// pods/log, exec, attach and portforward: the pod's node is found and the request goes on to its
// kubelet with the server's own certificate (facts/api-machinery.md 18.1 and 18.4). What the node
// agent and the client then say to each other passes through as bytes.
#include "api/kubelet_proxy.h"

#include <stdio.h>

#include "gen/core_v1.h"
#include "net/stream.h"

void api_kubelet_free(struct cor_http_api *api) {
	(void)api;
}

bool api_node_target(struct api_req *q, struct cor_str name, struct proxy_target *ret) {
	const core_v1_Node *n = cor_registry_get(q->api->registry, COR_RES_NODES, COR_STR(""), name,
		q->arena);
	if (!n) {
		api_fail_status(q, COR_REASON_NOT_FOUND, "nodes \"%.*s\" not found", COR_STR_ARG(name));
		return false;
	}
	static const char *const kinds[] = { "InternalIP", "ExternalIP", "Hostname" };
	struct cor_str address = { 0 };
	for (size_t k = 0; k < cor_countof(kinds) && !address.n; k++)
		for (size_t i = 0; i < n->status.addresses.n && !address.n; i++)
			if (cor_str_eq_c(n->status.addresses.p[i].type, kinds[k]))
				address = n->status.addresses.p[i].address;
	int port = n->status.daemonEndpoints.kubeletEndpoint.Port;
	if (!address.n || address.n >= sizeof(ret->host)) {
		api_fail_status(q, COR_REASON_INTERNAL_ERROR, "no preferred addresses found; known addresses: []");
		return false;
	}
	*ret = (struct proxy_target){ .port = port ? port : 10250, .tls = true, .verify = true };
	(void)snprintf(ret->host, sizeof(ret->host), "%.*s", COR_STR_ARG(address));
	return true;
}

/* ---- the pod and its container ---- */

static bool has_container(const core_v1_PodSpec *s, struct cor_str name) {
	for (size_t i = 0; i < s->containers.n; i++)
		if (cor_str_eq(s->containers.p[i].name, name))
			return true;
	for (size_t i = 0; i < s->initContainers.n; i++)
		if (cor_str_eq(s->initContainers.p[i].name, name))
			return true;
	for (size_t i = 0; i < s->ephemeralContainers.n; i++)
		if (cor_str_eq(s->ephemeralContainers.p[i].name, name))
			return true;
	return false;
}

static void list_containers(struct cor_buf *b, const core_v1_PodSpec *s) {
	for (size_t i = 0; i < s->initContainers.n; i++)
		cor_buf_printf(b, "%s%.*s", b->n ? " " : "", COR_STR_ARG(s->initContainers.p[i].name));
	for (size_t i = 0; i < s->containers.n; i++)
		cor_buf_printf(b, "%s%.*s", b->n ? " " : "", COR_STR_ARG(s->containers.p[i].name));
	for (size_t i = 0; i < s->ephemeralContainers.n; i++)
		cor_buf_printf(b, "%s%.*s", b->n ? " " : "", COR_STR_ARG(s->ephemeralContainers.p[i].name));
}

static const core_v1_Pod *find_pod(struct api_req *q) {
	const core_v1_Pod *pod = cor_registry_get(q->api->registry, COR_RES_PODS, q->info.ns, q->info.name,
		q->arena);
	if (!pod)
		api_fail_status(q, COR_REASON_NOT_FOUND, "pods \"%.*s\" not found", COR_STR_ARG(q->info.name));
	return pod;
}

/* The container asked for, or the only one; false: answered 400. */
static bool find_container(struct api_req *q, const core_v1_Pod *pod, struct cor_str *ret) {
	struct cor_str name = cor_http_param(q->http, "container");
	_cleanup_buf_ struct cor_buf all = { .limit = 512 };
	if (name.n == 0 && pod->spec.containers.n == 1 && pod->spec.initContainers.n == 0 &&
		pod->spec.ephemeralContainers.n == 0)
		name = pod->spec.containers.p[0].name;
	if (name.n == 0) {
		list_containers(&all, &pod->spec);
		api_fail_status(q, COR_REASON_BAD_REQUEST, "a container name must be specified for pod %.*s, "
			"choose one of: [%.*s]", COR_STR_ARG(q->info.name), (int)all.n, all.p);
		return false;
	}
	if (!has_container(&pod->spec, name)) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "container %.*s is not valid for pod %.*s",
			COR_STR_ARG(name), COR_STR_ARG(q->info.name));
		return false;
	}
	*ret = name;
	return true;
}

/* ---- log ---- */

static void check_count(struct api_req *q, struct cor_field_errors *e, const char *name, int64_t least) {
	struct cor_str v = cor_http_param(q->http, name);
	int64_t n;
	if (!v.n || !cor_str_to_i64(v, &n) || n >= least)
		return;
	cor_fe_invalid(e, COR_ROOT(name), cor_fv_int(e, n), "%s", least
		? "must be greater than 0" : COR_MSG_NOT_NEGATIVE);
}

static bool check_log_options(struct api_req *q) {
	struct cor_field_errors e = COR_FIELD_ERRORS_INIT(q->arena);
	check_count(q, &e, "tailLines", 0);
	check_count(q, &e, "limitBytes", 1);
	check_count(q, &e, "sinceSeconds", 1);
	if (cor_http_param(q->http, "sinceSeconds").n && cor_http_param(q->http, "sinceTime").n)
		cor_fe_forbidden(&e, COR_ROOT(""), "at most one of `sinceTime` or `sinceSeconds` may be specified");
	if (cor_http_param(q->http, "stream").n)
		cor_fe_forbidden(&e, COR_ROOT("stream"), "may not be specified");
	if (e.n == 0)
		return true;
	struct cor_err err;
	meta_v1_Status s = { 0 };
	cor_field_errors_status(&e, COR_STR(""), COR_STR("PodLogOptions"), q->info.name, &s);
	(void)!cor_field_errors_fail(&e, COR_STR(""), COR_STR("PodLogOptions"), q->info.name, &err);
	api_fail_with(q, &(struct api_failure){
		.err = &err, .message = s.message, .details_kind = "PodLogOptions",
	});
	return false;
}

static struct cor_str with_query(struct api_req *q, struct cor_str path) {
	return q->http->query.n ? cor_arena_printf(q->arena, "%.*s?%.*s", COR_STR_ARG(path),
		COR_STR_ARG(q->http->query)) : path;
}

static void run_log(struct api_req *q) {
	struct proxy_target t;
	struct cor_str c;
	const core_v1_Pod *pod = check_log_options(q) ? find_pod(q) : NULL;
	if (!pod || !find_container(q, pod, &c))
		return;
	if (!pod->spec.nodeName.n) {
		q->status = 204;
		cor_http_reply(q->http, 204, NULL, COR_STR(""));
		return;
	}
	if (!api_node_target(q, pod->spec.nodeName, &t))
		return;
	t.log = true;
	t.path = with_query(q, cor_arena_printf(q->arena, "/containerLogs/%.*s/%.*s/%.*s",
		COR_STR_ARG(q->info.ns), COR_STR_ARG(q->info.name), COR_STR_ARG(c)));
	api_forward(q, &t);
}

/* ---- exec, attach, portforward ---- */

static void add_param(struct cor_buf *b, const char *name, struct cor_str value) {
	static const char hex[] = "0123456789ABCDEF";
	cor_buf_printf(b, "%s%s=", b->n ? "&" : "", name);
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
			c == '.' || c == '_') {
			cor_buf_byte(b, (char)c);
			continue;
		}
		char escaped[] = { '%', hex[c >> 4], hex[c & 15] };
		cor_buf_add(b, escaped, sizeof(escaped));
	}
}

/* The kubelet has names of its own for the streams. */
static struct cor_str stream_query(struct api_req *q) {
	static const struct { const char *ours, *node; } flags[] = {
		{ "stdin", "input" }, { "stdout", "output" }, { "stderr", "error" }, { "tty", "tty" },
	};
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_str v;
	for (size_t i = 0; i < cor_countof(flags); i++)
		if (cor_query_bool(cor_http_param(q->http, flags[i].ours)))
			add_param(&b, flags[i].node, COR_STR("1"));
	for (size_t i = 0; (v = cor_http_param_at(q->http, "command", i)).p; i++)
		add_param(&b, "command", v);
	return cor_arena_str(q->arena, cor_buf_view(&b));
}

static struct cor_str port_query(struct api_req *q) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_str v;
	for (size_t i = 0; (v = cor_http_param_at(q->http, "ports", i)).p; i++)
		add_param(&b, "port", v);
	return cor_arena_str(q->arena, cor_buf_view(&b));
}

static void run_stream(struct api_req *q) {
	bool forward = cor_str_eq_c(q->info.subresource, "portforward");
	struct proxy_target t;
	struct cor_str c = { 0 };
	struct cor_attributes at = {
		.resource = true, .verb = COR_STR("create"), .group = q->info.group,
		.version = q->info.version, .plural = q->info.plural, .subresource = q->info.subresource,
		.name = q->info.name, .ns = q->info.ns,
	};
	/* A GET that upgrades is as good as a POST. */
	if (!api_allowed(q, &at))
		return;
	const core_v1_Pod *pod = find_pod(q);
	if (!pod || (!forward && !find_container(q, pod, &c)))
		return;
	if (!pod->spec.nodeName.n) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "pod %.*s does not have a host assigned",
			COR_STR_ARG(q->info.name));
		return;
	}
	if (!cor_stream_wants_upgrade(q->http)) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "Upgrade request required");
		return;
	}
	if (!api_node_target(q, pod->spec.nodeName, &t))
		return;
	struct cor_str query = forward ? port_query(q) : stream_query(q);
	const char *path = forward ? "portForward" : cor_str_eq_c(q->info.subresource, "exec") ? "exec"
	                                                                                        : "attach";
	t.path = cor_arena_printf(q->arena, "/%s/%.*s/%.*s%s%.*s%s%.*s", path, COR_STR_ARG(q->info.ns),
		COR_STR_ARG(q->info.name), forward ? "" : "/", COR_STR_ARG(c), query.n ? "?" : "",
		COR_STR_ARG(query));
	api_forward(q, &t);
}

static const struct {
	const char *name;
	void (*run)(struct api_req *q);
} connects[] = {
	{ "exec", run_stream }, { "attach", run_stream }, { "portforward", run_stream },
	{ "log", run_log }, { "proxy", api_proxy },
};

bool api_is_connect(const struct cor_subresource *sub) {
	for (size_t i = 0; i < cor_countof(connects); i++)
		if (strcmp(sub->name, connects[i].name) == 0)
			return true;
	return false;
}

void api_connect(struct api_req *q) {
	if (cor_http_param(q->http, "dryRun").p) {
		api_fail_status(q, COR_REASON_BAD_REQUEST, "dryRun is not supported");
		return;
	}
	for (size_t i = 0; i < cor_countof(connects); i++)
		if (strcmp(q->sub->name, connects[i].name) == 0)
			connects[i].run(q);
}
