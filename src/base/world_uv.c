// SPDX-License-Identifier: Apache-2.0
// The real world on libuv. Timers and jobs of callers are plain structs that may disappear at
// once, libuv's handles may not: so handles live here, go from a free list to an owner and back,
// and are closed only with the world. The world itself goes when its last handle has closed.
#include "base/world.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

struct uv_world;

struct timer {
	uv_timer_t uv;
	struct cor_timer *owner;        /* weak; NULL on the free list */
	struct uv_world *world;
	struct timer *next;             /* free list */
};

struct work {
	uv_work_t uv;
	struct cor_job *job;            /* weak */
	struct uv_world *world;
	int lane;
	struct work *next;              /* free list, or the lane's queue */
};

struct lane {
	struct work *head, **tail;      /* waiting */
	bool busy;                      /* one is on a thread, or in its done */
};

struct uv_world {
	struct cor_world base;
	uv_loop_t *loop;
	struct timer *free_timers;
	struct work *free_work;
	struct lane lanes[COR_LANE_MAX];
	size_t timers;                  /* handles, free ones included */
	size_t armed, jobs;             /* in use by owners */
	bool closing;
	bool firing;                    /* within a timer's fire */
};

static struct uv_world *world_of(struct cor_world *w) {
	return cor_container_of(w, struct uv_world, base);
}

static cor_time uv_world_now(struct cor_world *w) {
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * COR_SECOND + ts.tv_nsec / 1000;
}

/* The clock of libuv's timers; start_timer depends on that. */
static cor_time uv_world_monotonic(struct cor_world *w) {
	return (cor_time)(uv_hrtime() / 1000);
}

static void uv_world_random(struct cor_world *w, void *p, size_t n) {
	while (n) {
		ssize_t got = getrandom(p, n, 0);
		cor_assert(got > 0 || errno == EINTR);
		if (got <= 0)
			continue;
		p = (char *)p + got;
		n -= (size_t)got;
	}
}

static struct timer *take_timer(struct uv_world *w) {
	struct timer *t = w->free_timers;
	if (t) {
		w->free_timers = t->next;
		return t;
	}
	t = cor_new(struct timer);
	t->world = w;
	cor_assert(uv_timer_init(w->loop, &t->uv) == 0);
	w->timers++;
	return t;
}

/* Parts owner and handle: after this the owner may be freed. */
static void release_timer(struct timer *t) {
	struct cor_timer *owner = t->owner;
	(void)uv_timer_stop(&t->uv);
	owner->impl = NULL;
	owner->armed = false;
	t->owner = NULL;
	t->next = t->world->free_timers;
	t->world->free_timers = t;
	t->world->armed--;
}

static void on_timer(uv_timer_t *uv) {
	struct timer *t = cor_container_of(uv, struct timer, uv);
	struct cor_timer *owner = t->owner;
	cor_assert(owner && owner->impl == t);
	struct uv_world *w = t->world;
	release_timer(t);
	w->firing = true;
	owner->fire(owner);
	w->firing = false;
}

static void uv_world_timer_set(struct cor_world *base, struct cor_timer *owner, cor_time delay) {
	struct uv_world *w = world_of(base);
	cor_assert(!w->closing && owner->fire);
	struct timer *t = owner->impl;
	if (!t) {
		t = take_timer(w);
		t->owner = owner;
		owner->impl = t;
		owner->armed = true;
		w->armed++;
	}
	/* libuv counts whole milliseconds from the loop's cached time, which may be old. Reckoned
	 * from the true time and rounded up, a timer is never early. */
	/* libuv runs all timers that are due before it looks at anything else: one that is set anew by
	 * its own fire, due at once, would keep the loop from ever doing so. */
	uint64_t wait = w->firing ? 1 : 0;
	if (delay > 0) {
		cor_time due = uv_world_monotonic(base);
		if (__builtin_add_overflow(due, delay, &due) || due > INT64_MAX - 999)
			due = INT64_MAX - 999;
		uint64_t due_ms = (uint64_t)(due + 999) / 1000, loop_ms = uv_now(w->loop);
		wait = due_ms > loop_ms ? due_ms - loop_ms : 0;
	}
	cor_assert(uv_timer_start(&t->uv, on_timer, wait, 0) == 0);
}

static void uv_world_timer_clear(struct cor_world *base, struct cor_timer *owner) {
	if (owner->impl)
		release_timer(owner->impl);
}

static void on_work(uv_work_t *uv) {
	struct work *k = cor_container_of(uv, struct work, uv);
	k->job->work(k->job);
}

static void after_work(uv_work_t *uv, int status);

static void start_work(struct work *k) {
	cor_assert(uv_queue_work(k->world->loop, &k->uv, on_work, after_work) == 0);
}

static void after_work(uv_work_t *uv, int status) {
	struct work *k = cor_container_of(uv, struct work, uv);
	struct uv_world *w = k->world;
	struct cor_job *job = k->job;
	struct lane *lane = &w->lanes[k->lane];
	bool ordered = k->lane != COR_LANE_ANY;
	cor_assert(status == 0 && w->jobs > 0);
	job->impl = NULL;
	k->next = w->free_work;
	w->free_work = k;
	/* done comes before the lane's next job starts: after an error it can still set a flag
	 * that the next one sees. The count drops last, so done may not free the world. */
	job->done(job);
	w->jobs--;
	if (!ordered)
		return;
	k = lane->head;
	lane->busy = k != NULL;
	if (!k)
		return;
	lane->head = k->next;
	if (!lane->head)
		lane->tail = &lane->head;
	start_work(k);
}

static void uv_world_submit(struct cor_world *base, int n, struct cor_job *job) {
	struct uv_world *w = world_of(base);
	cor_assert(!w->closing && n >= 0 && n < COR_LANE_MAX);
	cor_assert(job->work && job->done && !job->impl);
	struct work *k = w->free_work;
	if (k)
		w->free_work = k->next;
	else
		k = cor_new(struct work);
	k->job = job;
	k->world = w;
	k->lane = n;
	k->next = NULL;
	job->impl = k;
	w->jobs++;
	struct lane *lane = &w->lanes[n];
	if (n == COR_LANE_ANY) {
		start_work(k);
	} else if (!lane->busy) {
		lane->busy = true;
		start_work(k);
	} else {
		*lane->tail = k;
		lane->tail = &k->next;
	}
}

struct cor_world *cor_world_uv_new(struct uv_loop_s *loop) {
	struct uv_world *w = cor_new(struct uv_world);
	w->base = (struct cor_world){
		.now = uv_world_now,
		.monotonic = uv_world_monotonic,
		.random = uv_world_random,
		.timer_set = uv_world_timer_set,
		.timer_clear = uv_world_timer_clear,
		.submit = uv_world_submit,
	};
	w->loop = loop;
	for (size_t i = 0; i < COR_LANE_MAX; i++)
		w->lanes[i].tail = &w->lanes[i].head;
	return &w->base;
}

static void on_closed(uv_handle_t *handle) {
	struct timer *t = cor_container_of((uv_timer_t *)handle, struct timer, uv);
	struct uv_world *w = t->world;
	free(t);
	if (--w->timers == 0)
		free(w);
}

void cor_world_uv_settle(struct cor_world *base) {
	struct uv_world *w = world_of(base);
	while (w->jobs > 0)
		(void)uv_run(w->loop, UV_RUN_ONCE);
}

void cor_world_uv_free(struct cor_world *base) {
	if (!base)
		return;
	struct uv_world *w = world_of(base);
	cor_assert(w->armed == 0 && w->jobs == 0 && !w->closing);
	w->closing = true;
	while (w->free_work) {
		struct work *k = w->free_work;
		w->free_work = k->next;
		free(k);
	}
	if (w->timers == 0) {
		free(w);
		return;
	}
	/* Closing is two-phase: the loop must turn once more before it can be closed itself. */
	for (struct timer *t = w->free_timers, *next; t; t = next) {
		next = t->next;
		uv_close((uv_handle_t *)&t->uv, on_closed);
	}
}
