// SPDX-License-Identifier: Apache-2.0
// exec, attach and run: a session of the runtime joined with a client's streams, each side held
// back when the other is slow. The two end independently: the client may go first (the command
// is killed) or the command (its status is sent, then the connection closes).
#include <stdio.h>

#include "base/mem.h"
#include "node/kubelet_priv.h"

struct joined {
	struct kubelet_stream stream;
	struct cor_kubelet *k;
	struct cor_remote *remote;
	struct cor_session *session;    /* NULL before it began and after it ended */
	char id[COR_CONTAINER_ID_MAX];
	char **argv;                    /* NULL: attach */
	bool tty, in, out, err;
	bool stdin_ended;
	int width, height;
};

static void joined_free(struct joined *j) {
	for (char **p = j->argv; p && *p; p++)
		free(*p);
	free(j->argv);
	free(j);
}

/* ---- session to client ---- */

static void on_output(void *arg, enum cor_stream_id stream, struct cor_str data) {
	struct joined *j = arg;
	cor_remote_write(j->remote, stream == COR_STREAM_OUT ? COR_REMOTE_STDOUT : COR_REMOTE_STDERR, data);
	if (j->session && cor_remote_backlog(j->remote) > COR_REMOTE_HIGH)
		cor_session_pause(j->session, true);
}

static void on_session_writable(void *arg) {
	struct joined *j = arg;
	cor_remote_pause_stdin(j->remote, false);
}

static void on_session_done(void *arg, int exit_code, struct cor_str output, const struct cor_err *err) {
	struct joined *j = arg;
	(void)output;
	j->session = NULL;
	struct cor_err wrapped;
	if (err) {
		wrapped = *err;
		(void)cor_wrap(&wrapped, j->argv ? "error executing command in container"
					: "error attaching to container");
	}
	cor_remote_finish(j->remote, exit_code, err ? &wrapped : NULL);
}

/* ---- client to session ---- */

static void on_ready(void *arg) {
	struct joined *j = arg;
	struct cor_runtime *rt = j->k->cfg.rt;
	struct cor_err err = { 0 };
	const struct cor_session_ops ops = { on_output, on_session_writable, on_session_done };
	struct cor_container *c = rt->ops->find(rt, j->id);
	if (!c) {
		(void)cor_fail(&err, COR_E_NOT_FOUND, "the container is gone");
	} else if (j->argv) {
		const struct cor_exec_config cfg = { .argv = (const char *const *)j->argv, .tty = j->tty,
			.stdin_open = j->in, .ops = ops, .arg = j };
		j->session = rt->ops->exec(rt, c, &cfg, &err);
	} else {
		const struct cor_attach_config cfg = { .stdin_open = j->in, .out = j->out, .err = j->err,
			.ops = ops, .arg = j };
		j->session = rt->ops->attach(rt, c, &cfg, &err);
	}
	if (!j->session) {
		on_session_done(j, 0, (struct cor_str){ NULL, 0 }, &err);
		return;
	}
	if (j->width)
		cor_session_resize(j->session, j->width, j->height);
	if (j->stdin_ended)
		cor_session_close_stdin(j->session);
}

static void on_stdin(void *arg, struct cor_str data) {
	struct joined *j = arg;
	if (j->session && !cor_session_write(j->session, data))
		cor_remote_pause_stdin(j->remote, true);
}

static void on_stdin_eof(void *arg) {
	struct joined *j = arg;
	j->stdin_ended = true;
	if (j->session && j->in)
		cor_session_close_stdin(j->session);
}

static void on_resize(void *arg, int width, int height) {
	struct joined *j = arg;
	j->width = width;
	j->height = height;
	if (j->session)
		cor_session_resize(j->session, width, height);
}

static void on_writable(void *arg) {
	struct joined *j = arg;
	if (j->session)
		cor_session_pause(j->session, false);
}

static void on_closed(void *arg, const struct cor_err *why) {
	struct joined *j = arg;
	(void)why;
	if (j->session)
		cor_session_cancel(j->session);
	kubelet_stream_remove(&j->stream);
	joined_free(j);
}

static void joined_abort(struct kubelet_stream *s) {
	cor_remote_abort(cor_container_of(s, struct joined, stream)->remote);
}

/* ---- requests ---- */

static bool read_streams(struct cor_http_req *req, struct joined *j) {
	const struct {
		const char *name;
		bool *where;
	} flags[] = { { "input", &j->in }, { "output", &j->out }, { "error", &j->err }, { "tty", &j->tty } };
	for (size_t i = 0; i < cor_countof(flags); i++)
		if (!kubelet_bool_param(req, flags[i].name, flags[i].where)) {
			kubelet_text(req, 400, "%s is not a boolean\n", flags[i].name);
			return false;
		}
	if (!j->in && !j->out && !j->err) {
		kubelet_text(req, 400, "you must specify at least 1 of stdin, stdout, stderr\n");
		return false;
	}
	return true;
}

enum { COMMAND_MAX = 4096 };

static char **read_command(struct cor_http_req *req, const char *param) {
	char **argv = cor_calloc(COMMAND_MAX + 1, sizeof(*argv));
	size_t n = 0;
	struct cor_str word;
	while (n < COMMAND_MAX && (word = cor_http_param_at(req, param, n)).p)
		argv[n++] = cor_str_dup_c(word);
	return cor_realloc(argv, (n + 1) * sizeof(*argv));
}

/* NULL: answered. */
static struct cor_container *running(const struct kubelet_req *r) {
	struct cor_pod_ref ref;
	if (!kubelet_find(r, true, &ref))
		return NULL;
	if (ref.current && ref.current->phase == COR_CONTAINER_RUNNING)
		return ref.current;
	kubelet_text(r->http, 500, "container not found (\"%.*s\")\n", COR_STR_ARG(kubelet_container_name(r)));
	return NULL;
}

static void join(const struct kubelet_req *r, bool exec) {
	struct joined *j = cor_new(struct joined);
	struct cor_container *c;
	j->k = r->k;
	if (!read_streams(r->http, j) || !(c = running(r))) {
		joined_free(j);
		return;
	}
	(void)snprintf(j->id, sizeof(j->id), "%s", c->id);
	if (exec)
		j->argv = read_command(r->http, "command");
	else
		j->tty = c->tty;
	if (exec && !j->argv[0])
		kubelet_text(r->http, 400, "you must specify a command\n");
	else if (!cor_stream_wants_upgrade(r->http))
		kubelet_text(r->http, 400, "Upgrade request required\n");
	else
		j->remote = cor_remote_accept(r->http, &(struct cor_remote_config){ .want_stdin = j->in,
			.want_stdout = j->out, .want_stderr = j->err, .tty = j->tty, .arg = j,
			.ops = { on_ready, on_stdin, on_stdin_eof, on_resize, on_writable, on_closed } });
	if (j->remote)
		kubelet_stream_add(&j->stream, r->k, joined_abort);
	else
		joined_free(j);
}

void kubelet_exec(const struct kubelet_req *r) {
	join(r, true);
}

void kubelet_attach(const struct kubelet_req *r) {
	join(r, false);
}

/* ---- run ---- */

struct run {
	struct kubelet_pending pending;
	struct cor_http_req *req;       /* NULL: gone */
	struct cor_session *session;
};

static void run_closed(struct kubelet_pending *p) {
	struct run *run = cor_container_of(p, struct run, pending);
	if (run->session)
		cor_session_cancel(run->session);
	free(run);
}

static void run_done(void *arg, int exit_code, struct cor_str output, const struct cor_err *err) {
	struct run *run = arg;
	run->session = NULL;
	if (err)
		kubelet_error(run->req, err);
	else if (exit_code)
		kubelet_text(run->req, 500, "%.*s\ncommand terminated with exit code %d\n", COR_STR_ARG(output),
			exit_code);
	else
		cor_http_reply(run->req, 200, "text/plain", output);
}

void kubelet_run(const struct kubelet_req *r) {
	struct cor_container *c = running(r);
	if (!c)
		return;
	/* One text, split at blanks. */
	struct cor_str rest = cor_http_param(r->http, "cmd");
	char *argv[64];
	size_t n = 0;
	while (rest.p && n + 1 < cor_countof(argv)) {
		struct cor_str word = cor_str_cut(&rest, ' ');
		if (word.n)
			argv[n++] = cor_arena_cstr(r->http->arena, word);
	}
	argv[n] = NULL;
	struct cor_err err = { 0 };
	struct run *run = cor_new(struct run);
	run->pending.closed = run_closed;
	run->req = r->http;
	run->session = r->k->cfg.rt->ops->exec(r->k->cfg.rt, c,
		&(struct cor_exec_config){ .argv = (const char *const *)argv, .max_output = 1 << 20,
			.ops = { .done = run_done }, .arg = run }, &err);
	if (!run->session) {
		free(run);
		kubelet_error(r->http, &err);
		return;
	}
	r->http->user = &run->pending;
}
