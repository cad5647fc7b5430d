// SPDX-License-Identifier: Apache-2.0
// The per-loop context: scratch buffers that all connections of a loop share, and the work that is
// put off to the end of a turn. There is one per loop and thread, counted by its users.
// Also queues of equal time-outs, which need one timer however many connections there are.
#include <signal.h>
#include <time.h>

#include "net/net_priv.h"

static _Thread_local struct cor_netloop *contexts;

static void on_prepare(uv_prepare_t *h) {
	struct cor_netloop *nl = h->data;

	while (!cor_list_empty(&nl->tasks)) {
		struct cor_task *t = cor_container_of(nl->tasks.next, struct cor_task, link);

		cor_list_remove(&t->link);
		t->run(t);
	}
	uv_unref((uv_handle_t *)&nl->prepare);
}

/* A peer that has gone is an error of write(), not a signal. Children that are started by exec must
 * get the default back (uv_spawn does that). */
static void ignore_sigpipe(void) {
	struct sigaction sa;

	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
		sa.sa_handler = SIG_IGN;
		sigaction(SIGPIPE, &sa, NULL);
	}
}

struct cor_netloop *cor_netloop_get(uv_loop_t *loop) {
	struct cor_netloop *nl;

	for (nl = contexts; nl; nl = nl->next)
		if (nl->loop == loop) {
			nl->refs++;
			return nl;
		}
	ignore_sigpipe();
	nl = cor_new(struct cor_netloop);
	nl->loop = loop;
	nl->refs = 1;
	nl->in = cor_calloc(1, COR_NET_CHUNK);
	nl->plain = cor_calloc(1, COR_NET_CHUNK);
	cor_list_init(&nl->tasks);
	uv_prepare_init(loop, &nl->prepare);
	nl->prepare.data = nl;
	uv_prepare_start(&nl->prepare, on_prepare);
	uv_unref((uv_handle_t *)&nl->prepare);
	nl->next = contexts;
	contexts = nl;
	return nl;
}

static void on_closed(uv_handle_t *h) {
	struct cor_netloop *nl = h->data;

	cor_buf_fini(&nl->cipher);
	cor_buf_fini(&nl->head);
	free(nl->in);
	free(nl->plain);
	free(nl);
}

void cor_netloop_put(struct cor_netloop *nl) {
	struct cor_netloop **pp;

	if (!nl || --nl->refs)
		return;
	cor_assert(cor_list_empty(&nl->tasks));
	for (pp = &contexts; *pp != nl; pp = &(*pp)->next)
		cor_assert(*pp != NULL);
	*pp = nl->next;
	uv_ref((uv_handle_t *)&nl->prepare);
	uv_close((uv_handle_t *)&nl->prepare, on_closed);
}

void cor_defer(struct cor_netloop *nl, struct cor_task *t) {
	if (t->link.next)
		return;
	cor_list_push(&nl->tasks, &t->link);
	/* Work that waits keeps the loop alive. */
	uv_ref((uv_handle_t *)&nl->prepare);
}

struct cor_str cor_net_date(struct cor_netloop *nl) {
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	if (ts.tv_sec != nl->date_s) {
		nl->date_s = ts.tv_sec;
		gmtime_r(&ts.tv_sec, &tm);
		strftime(nl->date, sizeof(nl->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	return (struct cor_str){ nl->date, 29 };
}

/* ---- equal time-outs ---- */

static void on_timer(uv_timer_t *h) {
	struct cor_timeouts *t = h->data;
	uint64_t now = uv_now(h->loop);

	while (!cor_list_empty(&t->items)) {
		struct cor_timeout *e = cor_container_of(t->items.next, struct cor_timeout, link);

		if (e->deadline_ms > now) {
			uv_timer_start(h, on_timer, e->deadline_ms - now, 0);
			return;
		}
		cor_list_remove(&e->link);
		t->expired(t, &e->link);
	}
}

void cor_timeouts_init(struct cor_timeouts *t, uv_loop_t *loop, cor_time span,
	void (*expired)(struct cor_timeouts *t, struct cor_link *item)) {
	cor_list_init(&t->items);
	t->span_ms = (uint64_t)(span / COR_MS);
	t->expired = expired;
	t->timer = cor_new(uv_timer_t);
	uv_timer_init(loop, t->timer);
	t->timer->data = t;
	uv_unref((uv_handle_t *)t->timer);
}

static void free_timer(uv_handle_t *h) {
	free(h);
}

void cor_timeouts_fini(struct cor_timeouts *t) {
	if (!t->timer)
		return;
	while (!cor_list_empty(&t->items))
		cor_list_remove(t->items.next);
	uv_close((uv_handle_t *)t->timer, free_timer);
	t->timer = NULL;
}

void cor_timeout_touch(struct cor_timeouts *t, struct cor_timeout *e) {
	e->deadline_ms = uv_now(t->timer->loop) + t->span_ms;
	cor_list_push(&t->items, &e->link);
	/* Touching later moves only the item: the timer finds at its time that it came too early. */
	if (!uv_is_active((uv_handle_t *)t->timer))
		uv_timer_start(t->timer, on_timer, t->span_ms, 0);
}
