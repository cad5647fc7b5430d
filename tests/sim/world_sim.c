// SPDX-License-Identifier: Apache-2.0
// One heap of events by (time, seeded tie). A job is two events: its work, then its done; a crash
// or a fault of the test may fall between them.
#include "sim/world_sim.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* 2026-01-01T00:00:00Z */
#define START ((cor_time)1767225600 * COR_SECOND)

enum event_kind { EVENT_TIMER, EVENT_WORK, EVENT_DONE };

struct event {
	cor_time at; /* monotonic */
	uint64_t tie;
	size_t place; /* in the heap */
	enum event_kind kind;
	struct cor_timer *timer; /* weak */
	struct cor_job *job;     /* weak */
	cor_time done_at;
};

struct cor_sim {
	struct cor_world world;
	struct event **heap;
	size_t n, cap;
	cor_time clock; /* monotonic */
	cor_time wall;  /* wall clock minus monotonic */
	cor_time job_min, job_max;
	cor_time lane_free[COR_LANE_MAX];
	size_t jobs;
	uint64_t state;
};

static struct cor_sim *sim_of(struct cor_world *w) {
	return cor_container_of(w, struct cor_sim, world);
}

/* xorshift64* */
static uint64_t next_random(struct cor_sim *sim) {
	uint64_t x = sim->state;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	sim->state = x;
	return x * 0x2545f4914f6cdd1dull;
}

uint64_t cor_sim_below(struct cor_sim *sim, uint64_t n) {
	cor_assert(n > 0);
	return (next_random(sim) >> 8) % n;
}

static bool comes_before(const struct event *a, const struct event *b) {
	return a->at != b->at ? a->at < b->at : a->tie < b->tie;
}

static void put(struct cor_sim *sim, size_t place, struct event *e) {
	sim->heap[place] = e;
	e->place = place;
}

static void sift_up(struct cor_sim *sim, struct event *e) {
	size_t i = e->place;
	for (; i > 0 && comes_before(e, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		put(sim, i, sim->heap[(i - 1) / 2]);
	put(sim, i, e);
}

static void sift_down(struct cor_sim *sim, struct event *e) {
	size_t i = e->place;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child + 1 < sim->n && comes_before(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (child >= sim->n || comes_before(e, sim->heap[child]))
			break;
		put(sim, i, sim->heap[child]);
		i = child;
	}
	put(sim, i, e);
}

static void add(struct cor_sim *sim, struct event *e) {
	if (sim->n == sim->cap) {
		sim->cap = sim->cap ? 2 * sim->cap : 32;
		sim->heap = cor_realloc(sim->heap, sim->cap * sizeof(struct event *));
	}
	e->tie = next_random(sim);
	put(sim, sim->n++, e);
	sift_up(sim, e);
}

static void take(struct cor_sim *sim, struct event *e) {
	struct event *last = sim->heap[--sim->n];
	if (last == e)
		return;
	put(sim, e->place, last);
	sift_up(sim, last);
	sift_down(sim, last);
}

static cor_time sim_now(struct cor_world *w) {
	return sim_of(w)->clock + sim_of(w)->wall;
}

static cor_time sim_monotonic(struct cor_world *w) {
	return sim_of(w)->clock;
}

static void sim_random(struct cor_world *w, void *p, size_t n) {
	for (unsigned char *at = p; n > 0; n--)
		*at++ = (unsigned char)(next_random(sim_of(w)) >> 32);
}

static void sim_timer_clear(struct cor_world *w, struct cor_timer *t) {
	struct event *e = cor_take(t->impl);
	if (!e)
		return;
	take(sim_of(w), e);
	free(e);
	t->armed = false;
}

static void sim_timer_set(struct cor_world *w, struct cor_timer *t, cor_time delay) {
	struct cor_sim *sim = sim_of(w);
	cor_assert(t->fire);
	sim_timer_clear(w, t);
	struct event *e = cor_new(struct event);
	e->kind = EVENT_TIMER;
	e->timer = t;
	e->at = sim->clock + (delay > 0 ? delay : 0);
	t->impl = e;
	t->armed = true;
	add(sim, e);
}

static cor_time job_delay(struct cor_sim *sim) {
	uint64_t range = (uint64_t)(sim->job_max - sim->job_min) + 1;
	return sim->job_min + (cor_time)cor_sim_below(sim, range);
}

static void sim_submit(struct cor_world *w, int lane, struct cor_job *job) {
	struct cor_sim *sim = sim_of(w);
	cor_assert(lane >= 0 && lane < COR_LANE_MAX && job->work && job->done && !job->impl);
	cor_time from = sim->clock;
	if (lane != COR_LANE_ANY && sim->lane_free[lane] > from)
		from = sim->lane_free[lane];
	struct event *e = cor_new(struct event);
	e->kind = EVENT_WORK;
	e->job = job;
	e->at = from + job_delay(sim);
	e->done_at = e->at + job_delay(sim);
	sim->lane_free[lane] = e->done_at;
	job->impl = e;
	sim->jobs++;
	add(sim, e);
}

struct cor_sim *cor_sim_new(uint64_t seed) {
	/* Maps must run in the same order every time, too; but not change under those that exist.
	 */
	static bool hash_is_fixed;
	if (!hash_is_fixed)
		cor_str_hash_seed(1);
	hash_is_fixed = true;
	struct cor_sim *sim = cor_new(struct cor_sim);
	sim->world = (struct cor_world){
		.now = sim_now,
		.monotonic = sim_monotonic,
		.random = sim_random,
		.timer_set = sim_timer_set,
		.timer_clear = sim_timer_clear,
		.submit = sim_submit,
	};
	sim->clock = COR_SECOND;
	sim->wall = START;
	/* Neighbouring seeds must not begin alike, and the state must not be 0. */
	sim->state = (seed + 1) * 0x9e3779b97f4a7c15ull | 1;
	for (int i = 0; i < 8; i++)
		(void)next_random(sim);
	cor_sim_job_delay(sim, 50, 5 * COR_MS);
	return sim;
}

void cor_sim_free(struct cor_sim *sim) {
	if (!sim)
		return;
	cor_assert(sim->n == 0 && sim->jobs == 0);
	free(sim->heap);
	free(sim);
}

struct cor_world *cor_sim_world(struct cor_sim *sim) {
	return &sim->world;
}

bool cor_sim_step(struct cor_sim *sim) {
	if (sim->n == 0)
		return false;
	struct event *e = sim->heap[0];
	cor_assert(e->at >= sim->clock);
	sim->clock = e->at;
	take(sim, e);
	struct cor_job *job = e->job;
	struct cor_timer *timer = e->timer;
	switch (e->kind) {
	case EVENT_WORK:
		e->kind = EVENT_DONE;
		e->at = e->done_at;
		add(sim, e);
		job->work(job);
		break;
	case EVENT_DONE:
		free(e);
		job->impl = NULL;
		sim->jobs--;
		job->done(job);
		break;
	case EVENT_TIMER:
		free(e);
		timer->impl = NULL;
		timer->armed = false;
		timer->fire(timer);
		break;
	}
	return true;
}

void cor_sim_run_for(struct cor_sim *sim, cor_time d) {
	cor_time until = sim->clock + d;
	while (sim->n > 0 && sim->heap[0]->at <= until)
		(void)cor_sim_step(sim);
	sim->clock = until;
}

bool cor_sim_run_until(struct cor_sim *sim, bool (*pred)(void *arg), void *arg, cor_time limit) {
	cor_time until = sim->clock + limit;
	while (!pred(arg)) {
		if (sim->n == 0 || sim->heap[0]->at > until)
			return false;
		(void)cor_sim_step(sim);
	}
	return true;
}

void cor_sim_settle(struct cor_sim *sim) {
	while (sim->jobs > 0)
		(void)cor_sim_step(sim);
}

void cor_sim_job_delay(struct cor_sim *sim, cor_time min, cor_time max) {
	sim->job_min = min > 0 ? min : 1;
	sim->job_max = max > sim->job_min ? max : sim->job_min;
}

void cor_sim_jump(struct cor_sim *sim, cor_time by) {
	sim->wall += by;
}

size_t cor_sim_jobs(const struct cor_sim *sim) {
	return sim->jobs;
}

size_t cor_sim_timers(const struct cor_sim *sim) {
	size_t n = 0;
	for (size_t i = 0; i < sim->n; i++)
		n += sim->heap[i]->kind == EVENT_TIMER;
	return n;
}
