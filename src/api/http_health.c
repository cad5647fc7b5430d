// SPDX-License-Identifier: Apache-2.0
// /healthz, /livez, /readyz, /version, /metrics and componentstatuses (facts section 21).
#include "api/http_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "codec/tree.h"

struct check {
	const char *name;
	bool ready_only;
	bool (*ok)(const struct cor_http_api *api);
};

static bool always(const struct cor_http_api *api) {
	(void)api;
	return true;
}

static bool bootstrapped(const struct cor_http_api *api) {
	return cor_registry_ready(api->registry);
}

static bool not_draining(const struct cor_http_api *api) {
	return !api->draining;
}

static const struct check checks[] = {
	{ "ping", false, always },
	{ "log", false, always },
	{ "etcd", false, always },              /* the store: its name is what probes look for */
	{ "etcd-readiness", true, always },
	{ "informer-sync", true, always },
	{ "poststarthook/bootstrap-controller", true, bootstrapped },
	{ "poststarthook/rbac/bootstrap-roles", true, bootstrapped },
	{ "shutdown", true, not_draining },
};

static bool excluded(struct api_req *q, const char *name) {
	struct cor_str v;
	for (size_t i = 0; (v = cor_http_param_at(q->http, "exclude", i)).p; i++)
		if (cor_str_eq_c(v, name))
			return true;
	return false;
}

static void one_check(struct api_req *q, bool ready, struct cor_str name) {
	for (size_t i = 0; i < cor_countof(checks); i++) {
		if (!cor_str_eq_c(name, checks[i].name) || (checks[i].ready_only && !ready))
			continue;
		if (checks[i].ok(q->api))
			api_reply_text(q, 200, COR_STR("ok"));
		else
			api_reply_text(q, 500, COR_STR("internal server error: not yet\n"));
		return;
	}
	api_reply_text(q, 404, COR_STR("404 page not found\n"));
}

static void all_checks(struct api_req *q, const char *path, bool ready) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool failed = false;
	for (size_t i = 0; i < cor_countof(checks); i++) {
		const struct check *c = &checks[i];
		if (c->ready_only && !ready)
			continue;
		if (excluded(q, c->name)) {
			cor_buf_printf(&b, "[+]%s excluded: ok\n", c->name);
		} else if (c->ok(q->api)) {
			cor_buf_printf(&b, "[+]%s ok\n", c->name);
		} else {
			cor_buf_printf(&b, "[-]%s failed: reason withheld\n", c->name);
			failed = true;
		}
	}
	cor_buf_printf(&b, "%s check %s\n", path, failed ? "failed" : "passed");
	if (failed)
		api_reply_text(q, 500, cor_buf_view(&b));
	else if (cor_http_param(q->http, "verbose").p)
		api_reply_text(q, 200, cor_buf_view(&b));
	else
		api_reply_text(q, 200, COR_STR("ok"));
}

static void version(struct api_req *q) {
	static const char text[] = "{\"major\":\"1\",\"minor\":\"36\",\"emulationMajor\":\"1\","
		"\"emulationMinor\":\"36\",\"minCompatibilityMajor\":\"1\",\"minCompatibilityMinor\":\"35\","
		"\"gitVersion\":\"v1.36.2+coracle\",\"gitCommit\":\"\",\"gitTreeState\":\"clean\","
		"\"buildDate\":\"1970-01-01T00:00:00Z\",\"goVersion\":\"none\",\"compiler\":\"cc\","
		"\"platform\":\"linux/"
#if defined(__x86_64__)
		"amd64"
#elif defined(__aarch64__)
		"arm64"
#elif defined(__arm__)
		"arm"
#else
		"unknown"
#endif
		"\"}";
	q->format = API_JSON;
	q->pretty = true;
	api_reply_json(q, 200, NULL, cor_str_c(text));
}

/* ---- metrics ---- */

static const char *const verbs[] = {
	"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "other",
};

void api_count(struct api_req *q) {
	size_t v = 0;
	while (v + 1 < cor_countof(verbs) && !cor_str_eq_c(q->info.verb, verbs[v]))
		v++;
	size_t class = (size_t)(q->status / 100);
	if (class < cor_countof(q->api->metrics.requests[0]))
		q->api->metrics.requests[v][class]++;
}

static void metrics(struct api_req *q) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_http_api *api = q->api;
	cor_buf_c(&b, "# HELP apiserver_request_total Requests answered, by verb and status class.\n"
		"# TYPE apiserver_request_total counter\n");
	for (size_t v = 0; v < cor_countof(verbs); v++)
		for (size_t c = 1; c < 6; c++)
			if (api->metrics.requests[v][c])
				cor_buf_printf(&b, "apiserver_request_total{verb=\"%s\",code=\"%zuxx\"} %" PRIu64 "\n",
					verbs[v], c, api->metrics.requests[v][c]);
	cor_buf_printf(&b, "# TYPE apiserver_watch_events_total counter\n"
		"apiserver_watch_events_total %" PRIu64 "\n", api->metrics.watch_events);
	struct cor_store_stats s;
	cor_store_stats(api->store, &s);
	cor_buf_printf(&b, "# TYPE coracle_store_objects gauge\ncoracle_store_objects %zu\n"
		"# TYPE coracle_store_object_bytes gauge\ncoracle_store_object_bytes %zu\n"
		"# TYPE coracle_store_watches gauge\ncoracle_store_watches %zu\n"
		"# TYPE coracle_store_writes_total counter\ncoracle_store_writes_total %" PRIu64 "\n"
		"# TYPE coracle_store_commits_total counter\ncoracle_store_commits_total %" PRIu64 "\n"
		"# TYPE coracle_store_written_bytes_total counter\ncoracle_store_written_bytes_total %" PRIu64
		"\n", s.objects, s.object_bytes, s.watches, s.writes, s.commits, s.backend_bytes);
	cor_buf_c(&b, "# TYPE apiserver_storage_objects gauge\n");
	for (size_t i = 0; i < cor_resources_n; i++) {
		const struct cor_resource *r = &cor_resources[i];
		char text[COR_RES_TEXT_MAX];
		if (r->stored && r->id == r->storage_id)
			cor_buf_printf(&b, "apiserver_storage_objects{resource=\"%s\"} %zu\n",
				cor_resource_text(r, text), cor_store_count(api->store, (uint16_t)r->id,
				(struct cor_str){ 0 }));
	}
	q->status = 200;
	cor_http_reply(q->http, 200, "text/plain; version=0.0.4; charset=utf-8", cor_buf_view(&b));
}

bool api_health(struct api_req *q) {
	static const char *const probes[] = { "/healthz", "/livez", "/readyz" };
	struct cor_str path = q->info.path;
	if (cor_str_eq_c(path, "/version") || cor_str_eq_c(path, "/version/")) {
		version(q);
		return true;
	}
	if (cor_str_eq_c(path, "/metrics")) {
		metrics(q);
		return true;
	}
	for (size_t i = 0; i < cor_countof(probes); i++) {
		struct cor_str probe = cor_str_c(probes[i]);
		if (cor_str_eq(path, probe)) {
			all_checks(q, probes[i] + 1, i == 2);
			return true;
		}
		if (cor_str_starts(path, probe) && path.p[probe.n] == '/') {
			one_check(q, i == 2, cor_str_sub(path, probe.n + 1, path.n));
			return true;
		}
	}
	return false;
}

/* ---- componentstatuses ---- */

void api_component_statuses(struct api_req *q) {
	static const char *const names[] = { "scheduler", "controller-manager", "etcd-0" };
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool one = q->info.name.n > 0, table = q->transform == API_TABLE, found = false;
	struct cor_err err;
	api_warn(q, COR_STR("v1 ComponentStatus is deprecated in v1.19+"));
	if (!api_check_include(q))
		return;
	if (table)
		api_write_table_head(q, COR_STR("{}"), true, &b);
	else if (!one)
		cor_buf_c(&b, "{\"kind\":\"ComponentStatusList\",\"apiVersion\":\"v1\",\"metadata\":{},"
			"\"items\":[");
	for (size_t i = 0; i < cor_countof(names); i++) {
		if (one && !cor_str_eq_c(q->info.name, names[i]))
			continue;
		struct cor_str json = cor_arena_printf(q->arena, "{\"kind\":\"ComponentStatus\",\"apiVersion\":\"v1\","
			"\"metadata\":{\"name\":\"%s\"},\"conditions\":[{\"type\":\"Healthy\",\"status\":\"True\","
			"\"message\":\"ok\"}]}", names[i]);
		if (found)
			cor_buf_byte(&b, ',');
		found = true;
		if (!table)
			cor_buf_str(&b, json);
		else if (api_write_row(q, json, NULL, q->arena, &b, &err) < 0) {
			api_fail(q, &err);
			return;
		}
	}
	if (table || !one)
		cor_buf_c(&b, "]}");
	if (!found) {
		api_fail_status(q, COR_REASON_NOT_FOUND, "componentstatuses \"%.*s\" not found",
			COR_STR_ARG(q->info.name));
		return;
	}
	api_reply_json(q, 200, table ? NULL : one ? q->res->type : q->res->list_type, cor_buf_view(&b));
}
