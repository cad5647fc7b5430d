// SPDX-License-Identifier: Apache-2.0
// Two connections joined byte by byte. Each side reads only while the other side's backlog is small,
// so a tunnel never holds more than a few reads; an end of one direction is passed on, and when a
// connection closes, the other one's rest is sent before it ends too.
#include "net/stream_priv.h"

enum { BACKLOG_MAX = 256 * 1024 };

struct end {
	struct tunnel *t;
	struct cor_conn *conn;          /* NULL when closed */
	bool paused;                    /* because the other one is slow */
};

struct tunnel {
	struct end ends[2];
	struct cor_netloop *nl;
	struct cor_alarm idle;
	cor_time span;
	uint64_t active;
	void (*done)(void *arg);
	void *arg;
};

static struct end *other(struct end *e) {
	return &e->t->ends[e == &e->t->ends[0]];
}

static void on_data(void *arg, struct cor_str data) {
	struct end *e = arg, *o = other(e);

	e->t->active = uv_now(e->t->nl->loop);
	if (!o->conn)
		return;
	cor_conn_write_str(o->conn, data);
	if (cor_conn_backlog(o->conn) > BACKLOG_MAX) {
		e->paused = true;
		cor_conn_pause(e->conn, true);
	}
}

static void on_writable(void *arg) {
	struct end *e = arg, *o = other(e);

	if (o->paused && o->conn) {
		o->paused = false;
		cor_conn_pause(o->conn, false);
	}
}

static void on_eof(void *arg) {
	struct end *o = other(arg);

	if (o->conn)
		cor_conn_shutdown(o->conn);
}

static void on_close(void *arg, const struct cor_err *why) {
	struct end *e = arg, *o = other(e);
	struct tunnel *t = e->t;

	(void)why;
	e->conn = NULL;
	if (o->conn) {
		/* What is queued still goes out; it need not answer any more. */
		cor_conn_shutdown(o->conn);
		cor_conn_pause(o->conn, false);
		cor_alarm_set(&t->idle, t->nl->loop, 5 * COR_SECOND, t->idle.ring, t);
		t->span = 0;
		return;
	}
	cor_alarm_fini(&t->idle);
	if (t->done)
		t->done(t->arg);
	cor_netloop_put(t->nl);
	free(t);
}

static void idle_expired(void *arg) {
	struct tunnel *t = arg;
	uint64_t now = uv_now(t->nl->loop), span = (uint64_t)(t->span / COR_MS);

	if (now - t->active < span) {
		cor_alarm_set(&t->idle, t->nl->loop, (cor_time)(span - (now - t->active)) * COR_MS,
			idle_expired, t);
		return;
	}
	for (int i = 0; i < 2; i++)
		if (t->ends[i].conn)
			cor_conn_close(t->ends[i].conn);
}

void cor_tunnel(struct cor_conn *a, struct cor_conn *b, cor_time idle_timeout,
	void (*done)(void *arg), void *arg) {
	static const struct cor_conn_ops ops = { .on_data = on_data, .on_eof = on_eof,
		.on_writable = on_writable, .on_close = on_close };
	struct tunnel *t = cor_new(struct tunnel);

	t->nl = cor_conn_loop(a);
	t->nl->refs++;
	t->span = idle_timeout ? idle_timeout : 4 * COR_HOUR;
	t->active = uv_now(t->nl->loop);
	t->done = done;
	t->arg = arg;
	t->ends[0] = (struct end){ .t = t, .conn = a };
	t->ends[1] = (struct end){ .t = t, .conn = b };
	cor_alarm_set(&t->idle, t->nl->loop, t->span, idle_expired, t);
	cor_conn_set_records(a, true);
	cor_conn_set_records(b, true);
	cor_conn_set_ops(a, &ops, &t->ends[0]);
	cor_conn_set_ops(b, &ops, &t->ends[1]);
}
