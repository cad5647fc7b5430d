// SPDX-License-Identifier: Apache-2.0
// GET /containerLogs/{namespace}/{pod}/{container} (facts/node-agent 17): the log as plain text,
// sent as fast as the client takes it.
#include <stdio.h>

#include "base/mem.h"
#include "node/container_log.h"
#include "node/kubelet_priv.h"

enum { BACKLOG_HIGH = 256 * 1024 };

struct kubelet_log {
	struct kubelet_pending pending;
	struct kubelet_log *next, **prev;
	struct cor_kubelet *k;
	struct cor_http_req *req;
	struct cor_log_reader *reader;  /* NULL: it has ended */
	char id[COR_CONTAINER_ID_MAX];  /* whose end ends a follower; "" for the previous instance */
};

/* ---- options ---- */

static bool int_param(struct cor_http_req *req, const char *name, int64_t min, int64_t *ret) {
	struct cor_str text = cor_http_param(req, name);
	int64_t v = 0;
	if (!text.n)
		return true;
	if (!cor_str_to_i64(text, &v)) {
		kubelet_text(req, 400, "Unable to decode the query: %s: \"%.*s\" is not a number\n", name,
			COR_STR_ARG(text));
		return false;
	}
	if (v < min) {
		kubelet_text(req, 422, "%s: Invalid value: %lld: must be greater than or equal to %lld\n", name,
			(long long)v, (long long)min);
		return false;
	}
	*ret = v;
	return true;
}

static bool since_param(struct kubelet_log *log, struct cor_http_req *req, cor_time *ret) {
	int64_t seconds = 0;
	struct cor_str at = cor_http_param(req, "sinceTime");
	if (!int_param(req, "sinceSeconds", 1, &seconds))
		return false;
	if (seconds && at.n) {
		kubelet_text(req, 422, "at most one of sinceTime or sinceSeconds may be specified\n");
		return false;
	}
	if (at.n && !cor_time_parse(at, ret)) {
		kubelet_text(req, 400, "Unable to decode the query: sinceTime: \"%.*s\" is not a time\n",
			COR_STR_ARG(at));
		return false;
	}
	if (seconds)
		*ret = seconds > INT32_MAX ? 0 : cor_now(log->k->cfg.world) - seconds * COR_SECOND;
	return true;
}

/* False: refused and answered. */
static bool read_options(struct kubelet_log *log, struct cor_http_req *req, struct cor_log_options *o,
	bool *ret_previous) {
	const struct {
		const char *name;
		bool *where;
	} flags[] = {
		{ "follow", &o->follow }, { "timestamps", &o->timestamps }, { "previous", ret_previous },
	};
	for (size_t i = 0; i < cor_countof(flags); i++)
		if (!kubelet_bool_param(req, flags[i].name, flags[i].where)) {
			kubelet_text(req, 400, "Unable to decode the query: %s is not a boolean\n", flags[i].name);
			return false;
		}
	o->tail_lines = -1;
	return int_param(req, "tailLines", 0, &o->tail_lines) &&
		int_param(req, "limitBytes", 1, &o->limit_bytes) && since_param(log, req, &o->since);
}

/* ---- which file ---- */

static const char *log_path(const struct kubelet_req *r, const struct cor_pod_ref *ref, bool previous) {
	struct cor_str container = kubelet_container_name(r), pod = r->segments[1];
	if (previous) {
		if (!ref->previous_log_path)
			kubelet_text(r->http, 400, "previous terminated container \"%.*s\" in pod \"%.*s\" not found\n",
				COR_STR_ARG(container), COR_STR_ARG(pod));
		return ref->previous_log_path;
	}
	if (ref->log_path)
		return ref->log_path;
	/* Two of the reasons have texts of their own. */
	const char *why = ref->waiting ? ref->waiting : "ContainerCreating";
	if (strcmp(why, "ErrImagePull") == 0)
		why = "image can't be pulled";
	else if (strcmp(why, "ImagePullBackOff") == 0)
		why = "trying and failing to pull image";
	kubelet_text(r->http, 400, "container \"%.*s\" in pod \"%.*s\" is waiting to start: %s\n",
		COR_STR_ARG(container), COR_STR_ARG(pod), why);
	return NULL;
}

/* ---- sending ---- */

static void log_closed(struct kubelet_pending *p) {
	struct kubelet_log *log = cor_container_of(p, struct kubelet_log, pending);
	if (log->reader)
		cor_log_reader_cancel(log->reader);
	*log->prev = log->next;
	if (log->next)
		log->next->prev = log->prev;
	free(log);
}

static bool log_running(void *arg) {
	struct kubelet_log *log = arg;
	const struct cor_runtime *rt = log->k->cfg.rt;
	const struct cor_container *c = *log->id ? rt->ops->find(log->k->cfg.rt, log->id) : NULL;
	return c && c->phase != COR_CONTAINER_EXITED;
}

static void log_output(void *arg, struct cor_str data) {
	struct kubelet_log *log = arg;
	cor_http_stream_write(log->req, &(struct cor_piece){ .data = data }, 1);
	if (log->reader && cor_http_backlog(log->req) > BACKLOG_HIGH)
		cor_log_reader_pause(log->reader, true);
}

static void log_writable(struct cor_http_req *req) {
	struct kubelet_pending *p = req->user;
	struct kubelet_log *log = cor_container_of(p, struct kubelet_log, pending);
	if (p && log->reader)
		cor_log_reader_pause(log->reader, false);
}

static void log_done(void *arg, const struct cor_err *err) {
	struct kubelet_log *log = arg;
	log->reader = NULL;
	if (err)
		cor_http_abort(log->req);
	else
		cor_http_stream_finish(log->req);
}

void kubelet_logs(const struct kubelet_req *r) {
	struct cor_pod_ref ref;
	bool previous = false;
	struct cor_err err = { 0 };
	struct cor_log_reader_config cfg = { .loop = r->k->cfg.loop, .running = log_running,
		.output = log_output, .done = log_done };
	_cleanup_free_ struct kubelet_log *log = cor_new(struct kubelet_log);
	log->k = r->k;
	log->req = r->http;
	if (!read_options(log, r->http, &cfg.options, &previous) || !kubelet_find(r, true, &ref))
		return;
	cfg.path = log_path(r, &ref, previous);
	if (!cfg.path)
		return;
	if (!previous && ref.current)
		(void)snprintf(log->id, sizeof(log->id), "%s", ref.current->id);
	cfg.arg = log;
	log->reader = cor_log_reader_new(&cfg, &err);
	if (!log->reader) {
		/* One that could not be started has written none. */
		if (err.code == -ENOENT)
			cor_http_reply(r->http, 200, "text/plain", COR_STR(""));
		else
			kubelet_error(r->http, &err);
		return;
	}
	log->pending.closed = log_closed;
	log->next = r->k->logs;
	log->prev = &r->k->logs;
	if (log->next)
		log->next->prev = &log->next;
	r->k->logs = log;
	r->http->user = &log->pending;
	(void)cor_take(log);
	cor_http_stream_begin(r->http, 200, "text/plain", log_writable);
}

void cor_kubelet_container_exited(struct cor_kubelet *k, const char *id) {
	for (struct kubelet_log *log = k->logs; log; log = log->next)
		if (log->reader && strcmp(log->id, id) == 0)
			cor_log_reader_poke(log->reader);
}
