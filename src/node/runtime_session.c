// SPDX-License-Identifier: Apache-2.0
// What exec and attach have in common: the public calls, gathering of output, the last callback.
#include "base/mem.h"
#include "node/runtime_priv.h"

enum { OUTPUT_MAX_DEFAULT = 16 * 1024 };

void session_init(struct cor_session *s, const struct session_impl *impl, struct crt *rt,
	const struct cor_session_ops *ops, void *arg) {
	s->impl = impl;
	s->rt = rt;
	s->ops = *ops;
	s->arg = arg;
	s->max_output = OUTPUT_MAX_DEFAULT;
	s->next = rt->sessions.first;
	s->prev = &rt->sessions.first;
	if (s->next)
		s->next->prev = &s->next;
	rt->sessions.first = s;
}

void session_output(struct cor_session *s, enum cor_stream_id stream, struct cor_str data) {
	if (s->ops.output) {
		s->ops.output(s->arg, stream, data);
		return;
	}
	size_t room = s->max_output - s->output.n;
	cor_buf_add(&s->output, data.p, data.n < room ? data.n : room);
}

void session_unlink(struct cor_session *s) {
	if (!s->prev)
		return;
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = NULL;
}

void session_done(struct cor_session *s, int exit_code, const struct cor_err *err) {
	struct cor_str output = { NULL, 0 };
	if (!s->ops.output)
		output = s->output.n ? cor_buf_view(&s->output) : COR_STR("");
	s->ops.done(s->arg, exit_code, output, err);
	cor_buf_fini(&s->output);
}

bool cor_session_write(struct cor_session *s, struct cor_str data) {
	return s->impl->write(s, data);
}

void cor_session_close_stdin(struct cor_session *s) {
	s->impl->close_stdin(s);
}

void cor_session_resize(struct cor_session *s, int columns, int rows) {
	if (columns > 0 && rows > 0 && columns < 65536 && rows < 65536)
		s->impl->resize(s, columns, rows);
}

void cor_session_pause(struct cor_session *s, bool paused) {
	s->impl->pause(s, paused);
}

void cor_session_cancel(struct cor_session *s) {
	s->impl->cancel(s);
}
