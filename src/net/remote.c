// SPDX-License-Identifier: Apache-2.0
// Exec and attach sessions (see stream.h). Two carriers, WebSocket channels and SPDY streams, feed
// the same few functions: what came for stdin, its end, a new size, and the end of the session.
//
//   waiting (for streams) -> ready -> finished (report sent, waiting for the peer) -> closed
#include "codec/codec.h"
#include "codec/tree.h"
#include "net/json_cut.h"
#include "net/stream_priv.h"

enum { STDIN_HELD_MAX = 64 * 1024, RESIZE_MAX = 256, TEXT_MAX = 4 * 1024 * 1024 };
/* How long a client may take to hang up after the report. */
#define FAREWELL (10 * COR_SECOND)

struct cor_remote {
	struct cor_remote_config c;
	struct cor_netloop *nl;
	struct cor_task ready_task;
	struct cor_alarm create, idle, farewell;
	uint64_t active;
	bool json_report;               /* v4 and later */
	bool ready, finished, reported, stdin_paused, stdin_eof, eof_told, transport_paused;
	struct cor_buf held;            /* stdin that waits */
	char resize[RESIZE_MAX];
	size_t resize_n;
	/* WebSocket */
	struct cor_ws *ws;
	bool base64, close_signal;
	int channel;                    /* of the message under way; -1 unknown, -2 ignored */
	struct cor_buf text;            /* a base64 or close message being gathered */
	/* SPDY */
	struct cor_spdy_link link;
	struct cor_spdy_stream *streams[COR_REMOTE_MAX];
	bool may_resize;
};

static bool wanted(const struct cor_remote *r, enum cor_remote_channel ch) {
	switch (ch) {
	case COR_REMOTE_STDIN: return r->c.want_stdin;
	case COR_REMOTE_STDOUT: return r->c.want_stdout;
	case COR_REMOTE_STDERR: return r->c.want_stderr;
	case COR_REMOTE_ERROR: return true;
	case COR_REMOTE_RESIZE: return r->c.tty && (r->ws || r->may_resize);
	default: return false;
	}
}

static void touch(struct cor_remote *r) {
	r->active = uv_now(r->nl->loop);
}

/* ---- what came in ---- */

static void set_transport(struct cor_remote *r) {
	bool pause = r->held.n >= STDIN_HELD_MAX && !r->finished;

	if (pause == r->transport_paused)
		return;
	r->transport_paused = pause;
	if (r->ws)
		cor_ws_pause(r->ws, pause);
	else if (r->link.conn)
		cor_conn_pause(r->link.conn, pause);
}

static void tell_eof(struct cor_remote *r) {
	if (!r->stdin_eof || r->eof_told || !r->ready || r->stdin_paused || r->held.n || r->finished)
		return;
	r->eof_told = true;
	r->c.ops.on_stdin_eof(r->c.arg);
}

static void got_stdin(struct cor_remote *r, struct cor_str data) {
	if (!r->c.want_stdin || r->stdin_eof || r->finished || !data.n)
		return;
	if (r->ready && !r->stdin_paused && !r->held.n)
		r->c.ops.on_stdin(r->c.arg, data);
	else
		cor_buf_str(&r->held, data);
	set_transport(r);
}

static void got_stdin_eof(struct cor_remote *r) {
	r->stdin_eof = true;
	tell_eof(r);
}

static void release_stdin(struct cor_remote *r) {
	if (r->held.n && r->ready && !r->stdin_paused && !r->finished) {
		struct cor_buf b = r->held;

		r->held = COR_BUF_INIT;
		r->c.ops.on_stdin(r->c.arg, cor_buf_view(&b));
		cor_buf_fini(&b);
	}
	set_transport(r);
	tell_eof(r);
}

static int64_t member(struct cor_str json, const char *upper, const char *lower) {
	struct cor_str v = cor_json_cut_get(json, upper);
	int64_t n = 0;

	if (!v.p)
		v = cor_json_cut_get(json, lower);
	return cor_str_to_i64(v, &n) && n > 0 && n < 65536 ? n : 0;
}

/* A stream of {"Width":80,"Height":24}, cut anywhere. */
static void got_resize(struct cor_remote *r, struct cor_str data) {
	for (size_t i = 0; i < data.n && !r->finished; i++) {
		struct cor_str json;
		int64_t w, h;

		if (r->resize_n == RESIZE_MAX)
			r->resize_n = 0;        /* nonsense: forget it */
		r->resize[r->resize_n++] = data.p[i];
		if (data.p[i] != '}')
			continue;
		json = (struct cor_str){ r->resize, r->resize_n };
		w = member(json, "Width", "width");
		h = member(json, "Height", "height");
		r->resize_n = 0;
		if (w && h && r->ready)
			r->c.ops.on_resize(r->c.arg, (int)w, (int)h);
	}
}

static void become_ready(struct cor_remote *r) {
	r->ready = true;
	cor_alarm_fini(&r->create);
	r->c.ops.on_ready(r->c.arg);
	if (!r->c.want_stdin)
		r->stdin_eof = true;
	release_stdin(r);
}

static void ready_task(struct cor_task *t) {
	become_ready(cor_container_of(t, struct cor_remote, ready_task));
}

static void closed(struct cor_remote *r, const struct cor_err *why) {
	cor_undefer(&r->ready_task);
	cor_alarm_fini(&r->create);
	cor_alarm_fini(&r->idle);
	cor_alarm_fini(&r->farewell);
	r->ws = NULL;
	r->c.ops.on_closed(r->c.arg, r->reported ? NULL : why);
	cor_buf_fini(&r->held);
	cor_buf_fini(&r->text);
	cor_netloop_put(r->nl);
	free(r);
}

static void writable(void *arg) {
	struct cor_remote *r = arg;

	if (r->ready && !r->finished)
		r->c.ops.on_writable(r->c.arg);
}

/* ---- time limits ---- */

static void fail(struct cor_remote *r, int code, const char *text) {
	struct cor_err err = { 0 };

	(void)cor_fail(&err, code, "%s", text);
	if (r->ws)
		cor_ws_abort(r->ws);
	else
		cor_spdy_link_abort(&r->link, &err);
}

static void create_expired(void *arg) {
	fail(arg, COR_E_TIMEOUT, "timed out waiting for client to create streams");
}

static void farewell_expired(void *arg) {
	cor_remote_abort(arg);
}

static void idle_expired(void *arg) {
	struct cor_remote *r = arg;
	uint64_t now = uv_now(r->nl->loop), span = (uint64_t)(r->c.idle_timeout / COR_MS);

	if (now - r->active >= span)
		fail(r, COR_E_TIMEOUT, "no traffic for too long");
	else
		cor_alarm_set(&r->idle, r->nl->loop,
			(cor_time)(span - (now - r->active)) * COR_MS, idle_expired, r);
}

/* ---- WebSocket ---- */

static void ws_write(struct cor_remote *r, enum cor_remote_channel ch, struct cor_str data) {
	char head = (char)(r->base64 ? '0' + ch : ch);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

	if (r->base64) {
		cor_base64_encode(&b, data);
		data = cor_buf_view(&b);
	}
	cor_ws_send2(r->ws, r->base64, (struct cor_str){ &head, 1 }, data);
}

static void channel_data(struct cor_remote *r, int channel, struct cor_str data) {
	if (channel == COR_REMOTE_STDIN)
		got_stdin(r, data);
	else if (channel == COR_REMOTE_RESIZE && r->c.tty)
		got_resize(r, data);
}

/* ff and a channel: the client has finished writing it. */
static void close_message(struct cor_remote *r, struct cor_str m) {
	if (m.n != 1 || (unsigned char)m.p[0] >= COR_REMOTE_MAX) {
		cor_ws_close(r->ws, 1002, COR_STR("malformed close signal"));
		return;
	}
	if (m.p[0] == COR_REMOTE_STDIN)
		got_stdin_eof(r);
}

static void base64_message(struct cor_remote *r, struct cor_str m) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_str data;
	size_t at;

	if (m.n && cor_base64_decode(a, (struct cor_str){ m.p + 1, m.n - 1 }, &data, &at))
		channel_data(r, m.p[0] - '0', data);
}

enum { CHANNEL_UNKNOWN = -1, CHANNEL_IGNORED = -2, CHANNEL_CLOSE = 255 };

static void ws_data(void *arg, bool text, bool first, bool last, struct cor_str data) {
	struct cor_remote *r = arg;

	touch(r);
	if (first)
		r->channel = CHANNEL_UNKNOWN;
	if (r->base64) {
		if (!text || r->text.n + data.n > TEXT_MAX) {
			cor_ws_close(r->ws, 1003, COR_STR("unexpected message"));
			return;
		}
		cor_buf_str(&r->text, data);
		if (last) {
			base64_message(r, cor_buf_view(&r->text));
			cor_buf_clear(&r->text);
		}
		return;
	}
	if (r->channel == CHANNEL_UNKNOWN && data.n) {
		r->channel = (unsigned char)data.p[0];
		data.p++;
		data.n--;
		if (r->channel == CHANNEL_CLOSE && !r->close_signal)
			r->channel = CHANNEL_IGNORED;
	}
	if (r->channel == CHANNEL_CLOSE) {
		if (r->text.n < 8)
			cor_buf_add(&r->text, data.p, data.n < 8 ? data.n : 8);
		if (last) {
			close_message(r, cor_buf_view(&r->text));
			cor_buf_clear(&r->text);
		}
		return;
	}
	channel_data(r, r->channel, data);
}

static void ws_close(void *arg, int code, const struct cor_err *why) {
	struct cor_remote *r = arg;
	struct cor_err err = { 0 };

	if (!why) {
		(void)cor_fail(&err, COR_E_CLOSED, "client closed the WebSocket with code %d", code);
		why = &err;
	}
	closed(r, why);
}

static const char *const ws_protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io",
	"v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io" };
enum { WS_V5, WS_V4, WS_V4_BASE64, WS_V1, WS_V1_BASE64 };

static bool accept_ws(struct cor_remote *r, struct cor_http_req *req) {
	static const struct cor_ws_ops ops = { .on_data = ws_data, .on_writable = writable,
		.on_close = ws_close };
	int chosen = cor_ws_select(req, ws_protocols, cor_countof(ws_protocols));

	/* Who speaks v5 gets v5, wherever it stands in the list. */
	for (size_t i = 0; chosen >= 0 && cor_ws_offer(req, i).p; i++)
		if (cor_str_eq_c(cor_ws_offer(req, i), ws_protocols[WS_V5]))
			chosen = WS_V5;
	if (chosen == COR_WS_NO_MATCH) {
		cor_ws_refuse(req);
		return false;
	}
	r->base64 = chosen == WS_V4_BASE64 || chosen == WS_V1_BASE64;
	r->close_signal = chosen == WS_V5;
	r->json_report = chosen >= 0 && chosen <= WS_V4_BASE64;
	r->ws = cor_ws_accept(req, chosen >= 0 ? ws_protocols[chosen] : NULL, &ops, r);
	if (!r->ws)
		return false;
	/* Clients wait for a first message before they believe in the connection. */
	ws_write(r, r->c.want_stdout ? COR_REMOTE_STDOUT : r->c.want_stderr ? COR_REMOTE_STDERR
		: COR_REMOTE_ERROR, (struct cor_str){ 0 });
	cor_defer(r->nl, &r->ready_task);
	return true;
}

/* ---- SPDY ---- */

static const char *const stream_types[COR_REMOTE_MAX] = {
	[COR_REMOTE_STDIN] = "stdin", [COR_REMOTE_STDOUT] = "stdout",
	[COR_REMOTE_STDERR] = "stderr", [COR_REMOTE_ERROR] = "error",
	[COR_REMOTE_RESIZE] = "resize",
};

static void spdy_stream(void *arg, struct cor_spdy_stream *s) {
	struct cor_remote *r = arg;
	struct cor_str type = cor_spdy_stream_header(s, "streamtype");
	bool all = true;
	size_t ch;

	for (ch = 0; ch < COR_REMOTE_MAX; ch++)
		if (cor_str_eq_c(type, stream_types[ch]))
			break;
	if (ch == COR_REMOTE_MAX || r->streams[ch] || r->ready) {
		cor_spdy_reset(s, COR_SPDY_REFUSED);
		return;
	}
	r->streams[ch] = s;
	cor_spdy_reply(s);
	for (ch = 0; ch < COR_REMOTE_MAX; ch++)
		all &= r->streams[ch] || !wanted(r, (enum cor_remote_channel)ch);
	if (all)
		cor_defer(r->nl, &r->ready_task);
}

static void spdy_data(void *arg, struct cor_spdy_stream *s, struct cor_str data) {
	struct cor_remote *r = arg;

	touch(r);
	if (s == r->streams[COR_REMOTE_STDIN])
		got_stdin(r, data);
	else if (s == r->streams[COR_REMOTE_RESIZE])
		got_resize(r, data);
}

static void spdy_eof(void *arg, struct cor_spdy_stream *s) {
	struct cor_remote *r = arg;

	if (s == r->streams[COR_REMOTE_STDIN])
		got_stdin_eof(r);
}

static void spdy_gone(void *arg, struct cor_spdy_stream *s, int status) {
	struct cor_remote *r = arg;
	bool any = false;

	(void)status;
	for (size_t ch = 0; ch < COR_REMOTE_MAX; ch++) {
		if (r->streams[ch] == s) {
			r->streams[ch] = NULL;
			if (ch == COR_REMOTE_STDIN && r->link.spdy)
				got_stdin_eof(r);
		}
		any |= r->streams[ch] != NULL;
	}
	if (!any && r->finished)
		cor_spdy_link_end(&r->link);
}

static void spdy_closed(void *arg, const struct cor_err *why) {
	struct cor_err err = { 0 };

	if (!why) {
		(void)cor_fail(&err, COR_E_CLOSED, "client closed the connection");
		why = &err;
	}
	closed(arg, why);
}

static const char *const spdy_protocols[] = { "v4.channel.k8s.io", "v3.channel.k8s.io",
	"v2.channel.k8s.io", "channel.k8s.io" };

static bool accept_spdy(struct cor_remote *r, struct cor_http_req *req) {
	int chosen = cor_spdy_select(req, spdy_protocols, cor_countof(spdy_protocols));
	struct cor_conn *conn;

	if (chosen < 0)
		return false;
	r->json_report = chosen == 0;
	r->may_resize = chosen <= 1;
	r->link.ops = (struct cor_spdy_ops){ .on_stream = spdy_stream, .on_data = spdy_data,
		.on_eof = spdy_eof, .on_gone = spdy_gone };
	r->link.on_writable = writable;
	r->link.on_closed = spdy_closed;
	r->link.arg = r;
	conn = cor_spdy_upgrade(req, spdy_protocols[chosen]);
	if (!conn)
		return false;
	cor_spdy_link_conn(&r->link, conn);
	cor_alarm_set(&r->create, r->nl->loop,
		r->c.create_timeout ? r->c.create_timeout : 30 * COR_SECOND, create_expired, r);
	return true;
}

/* ---- the session ---- */

struct cor_remote *cor_remote_accept(struct cor_http_req *req, const struct cor_remote_config *c) {
	struct cor_remote *r;
	bool accepted;

	if (!cor_stream_wants_upgrade(req)) {
		cor_http_reply(req, 400, "text/plain; charset=utf-8",
			COR_STR("Upgrade request required\n"));
		return NULL;
	}
	r = cor_new(struct cor_remote);
	r->c = *c;
	if (c->tty)
		r->c.want_stderr = false;
	if (!r->c.idle_timeout)
		r->c.idle_timeout = 4 * COR_HOUR;
	r->nl = cor_http_req_loop(req);
	r->nl->refs++;
	r->ready_task.run = ready_task;
	touch(r);
	accepted = cor_ws_wanted(req) ? accept_ws(r, req) : accept_spdy(r, req);
	if (!accepted) {
		cor_netloop_put(r->nl);
		free(r);
		return NULL;
	}
	cor_alarm_set(&r->idle, r->nl->loop, r->c.idle_timeout, idle_expired, r);
	return r;
}

void cor_remote_write(struct cor_remote *r, enum cor_remote_channel ch, struct cor_str data) {
	touch(r);
	if (r->finished || !data.n || !wanted(r, ch) || ch == COR_REMOTE_STDIN)
		return;
	if (r->ws)
		ws_write(r, ch, data);
	else if (r->streams[ch])
		cor_spdy_send(r->streams[ch], data, false);
}

size_t cor_remote_backlog(const struct cor_remote *r) {
	return r->ws ? cor_ws_backlog(r->ws) : cor_spdy_link_backlog(&r->link);
}

void cor_remote_pause_stdin(struct cor_remote *r, bool paused) {
	if (r->stdin_paused == paused)
		return;
	r->stdin_paused = paused;
	if (!paused)
		release_stdin(r);
}

/* The report for the error channel. */
static void print_report(const struct cor_remote *r, int exit_code, const struct cor_err *err,
	struct cor_buf *b) {
	char message[700];

	if (err && err->reason)
		snprintf(message, sizeof(message), "%s", err->message);
	else if (err)
		snprintf(message, sizeof(message), "Internal error occurred: %s", err->message);
	else
		snprintf(message, sizeof(message),
			"command terminated with non-zero exit code: exit status %d", exit_code);
	if (!r->json_report) {
		if (err || exit_code)
			cor_buf_c(b, message);
		return;
	}
	if (!err && !exit_code) {
		cor_buf_c(b, "{\"metadata\":{},\"status\":\"Success\"}");
		return;
	}
	cor_buf_c(b, "{\"metadata\":{},\"status\":\"Failure\",\"message\":");
	cor_json_write_str(b, cor_str_c(message));
	if (!err) {
		cor_buf_printf(b, ",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":"
			"\"ExitCode\",\"message\":\"%d\"}]}}", exit_code & 0xff);
		return;
	}
	cor_buf_printf(b, ",\"reason\":\"%s\",\"details\":{\"causes\":[{\"message\":", err->reason
		? cor_reason_to_string(err->reason) : "InternalError");
	cor_json_write_str(b, cor_str_c(err->message));
	cor_buf_printf(b, "}]},\"code\":%d}", err->reason ? cor_err_http(err) : 500);
}

void cor_remote_finish(struct cor_remote *r, int exit_code, const struct cor_err *err) {
	_cleanup_buf_ struct cor_buf report = COR_BUF_INIT;

	if (r->finished)
		return;
	print_report(r, exit_code, err, &report);
	r->finished = r->reported = true;
	cor_buf_fini(&r->held);
	set_transport(r);
	if (r->ws) {
		if (report.n)
			ws_write(r, COR_REMOTE_ERROR, cor_buf_view(&report));
		cor_ws_close(r->ws, 1000, (struct cor_str){ 0 });
		return;
	}
	/* The client hangs up when all streams have ended; not before it has read everything. */
	cor_alarm_set(&r->farewell, r->nl->loop, FAREWELL, farewell_expired, r);
	for (size_t ch = 0; ch < COR_REMOTE_MAX; ch++)
		if (ch != COR_REMOTE_ERROR && r->streams[ch])
			cor_spdy_send(r->streams[ch], (struct cor_str){ 0 }, true);
	if (r->streams[COR_REMOTE_ERROR])
		cor_spdy_send(r->streams[COR_REMOTE_ERROR], cor_buf_view(&report), true);
}

void cor_remote_abort(struct cor_remote *r) {
	r->finished = true;
	if (r->ws)
		cor_ws_abort(r->ws);
	else
		cor_spdy_link_abort(&r->link, NULL);
}
