// SPDX-License-Identifier: Apache-2.0
// Unit tests of the outside world: names out of chance, and the libuv world's clocks, timers and
// lanes. Nothing sleeps: each test runs the loop until what it waits for has happened, and the
// harness's time limit ends a test that waits in vain.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/time.h"
#include "base/world.h"

/* ---- names ---- */

struct fake_world {
	struct cor_world base;
	unsigned char next;     /* bytes count up from here */
};

static void count_up(struct cor_world *w, void *p, size_t n) {
	struct fake_world *f = cor_container_of(w, struct fake_world, base);
	for (size_t i = 0; i < n; i++)
		((unsigned char *)p)[i] = f->next++;
}

static void random_names(void **state) {
	struct fake_world f = { .base.random = count_up };
	char name[252];
	cor_random_name(&f.base, name, 5);
	assert_string_equal(name, "bcdfg");
	/* The byte values 0..242 once: each letter comes nine times. Those above are not used. */
	f.next = 0;
	cor_random_name(&f.base, name, 243);
	assert_int_equal(strlen(name), 243);
	size_t counts[256] = { 0 };
	for (size_t i = 0; i < 243; i++)
		counts[(unsigned char)name[i]]++;
	for (const char *c = "bcdfghjklmnpqrstvwxz2456789"; *c; c++)
		assert_int_equal(counts[(unsigned char)*c], 9);
	f.next = 250;           /* 250 % 27 would be 'k' */
	cor_random_name(&f.base, name, 1);
	assert_string_equal(name, "b");
	cor_random_name(&f.base, name, 0);
	assert_string_equal(name, "");

	char uid[37];
	f.next = 0xf0;
	cor_random_uid(&f.base, uid);
	assert_string_equal(uid, "f0f1f2f3-f4f5-46f7-b8f9-fafbfcfdfeff");
}

/* ---- the libuv world ---- */

struct fixture {
	uv_loop_t loop;
	struct cor_world *w;
};

static int set_up(void **state) {
	struct fixture *f = cor_new(struct fixture);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->w = cor_world_uv_new(&f->loop);
	*state = f;
	return 0;
}

/* The loop closes only when the world has left no handle behind. */
static int tear_down(void **state) {
	struct fixture *f = *state;
	cor_world_uv_free(f->w);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	int r = uv_loop_close(&f->loop);
	free(f);
	return r;
}

static void clocks(void **state) {
	struct fixture *f = *state;
	cor_time wall = cor_now(f->w), mono = f->w->monotonic(f->w);
	assert_true(wall > 1700000000 * COR_SECOND && wall < 7000000000 * COR_SECOND);
	for (int i = 0; i < 1000; i++) {
		cor_time next = f->w->monotonic(f->w);
		assert_true(next >= mono);
		mono = next;
	}
	unsigned char a[600] = { 0 }, b[600] = { 0 };
	f->w->random(f->w, a, sizeof(a));
	f->w->random(f->w, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 300, a, 300);
}

struct tick {
	struct cor_timer timer;
	struct cor_world *w;
	cor_time asked, due;
	int fired, again;       /* again: how often fire sets it anew */
	char *order, mark;
};

static void on_tick(struct cor_timer *t) {
	struct tick *k = cor_container_of(t, struct tick, timer);
	assert_false(t->armed);
	assert_null(t->impl);
	assert_true(k->w->monotonic(k->w) >= k->due);
	k->fired++;
	if (k->order)
		k->order[strlen(k->order)] = k->mark;
	if (k->again-- > 0) {
		k->due = k->w->monotonic(k->w) + COR_MS;
		k->w->timer_set(k->w, t, COR_MS);
	}
}

static void arm(struct cor_world *w, struct tick *k, cor_time delay) {
	k->timer.fire = on_tick;
	k->w = w;
	k->due = delay > 0 ? w->monotonic(w) + delay : 0;
	w->timer_set(w, &k->timer, delay);
	assert_true(k->timer.armed);
}

static void timers_fire(void **state) {
	struct fixture *f = *state;
	char order[8] = "";
	struct tick ticks[] = {
		{ .order = order, .mark = '3' }, { .order = order, .mark = '1' },
		{ .order = order, .mark = '2' }, { .order = order, .mark = '0' },
	};
	static const cor_time delays[] = { 30 * COR_MS, 1, 12345, -5 };
	for (size_t i = 0; i < cor_countof(ticks); i++)
		arm(f->w, &ticks[i], delays[i]);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_string_equal(order, "0123");
	for (size_t i = 0; i < cor_countof(ticks); i++)
		assert_int_equal(ticks[i].fired, 1);
}

static void timers_never_early(void **state) {
	/* The loop's cached time is old here, which must not shorten the wait (on_tick checks). */
	struct fixture *f = *state;
	struct tick k = { .again = 20 };
	cor_time until = f->w->monotonic(f->w) + 20 * COR_MS;
	while (f->w->monotonic(f->w) < until)
		;
	arm(f->w, &k, 5 * COR_MS + 1);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(k.fired, 21);
}

static void timers_rearm_and_clear(void **state) {
	struct fixture *f = *state;
	struct tick moved = { 0 }, cleared = { 0 };
	arm(f->w, &moved, 3600 * COR_SECOND);
	f->w->timer_set(f->w, &moved.timer, INT64_MAX);
	arm(f->w, &moved, COR_MS);              /* the last word counts */
	arm(f->w, &cleared, 0);
	f->w->timer_clear(f->w, &cleared.timer);
	f->w->timer_clear(f->w, &cleared.timer);
	assert_false(cleared.timer.armed);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(moved.fired, 1);
	assert_int_equal(cleared.fired, 0);
}

static void free_owner(struct cor_timer *t) {
	free(cor_container_of(t, struct tick, timer));
}

static void timers_owner_goes_at_once(void **state) {
	/* Memory of owners is freed directly after clear, and inside of fire: ASAN watches. */
	struct fixture *f = *state;
	for (int i = 0; i < 100; i++) {
		struct tick *k = cor_new(struct tick);
		arm(f->w, k, i % 3);
		if (i % 2) {
			f->w->timer_clear(f->w, &k->timer);
			free(k);
		} else {
			k->timer.fire = free_owner;
		}
	}
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

struct clearer {
	struct tick tick;
	struct tick *victim;
};

static void clear_victim(struct cor_timer *t) {
	struct clearer *c = cor_container_of(t, struct clearer, tick.timer);
	c->tick.w->timer_clear(c->tick.w, &c->victim->timer);
	c->victim->fired = -1;
}

static void timers_clear_one_that_is_due(void **state) {
	/* Both are due in the same turn of the loop; the first takes the second's chance away. */
	struct fixture *f = *state;
	struct tick victim = { 0 };
	struct clearer c = { .victim = &victim };
	arm(f->w, &c.tick, 0);
	c.tick.timer.fire = clear_victim;
	arm(f->w, &victim, 0);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(victim.fired, -1);
}

/* ---- jobs ---- */

/* What all jobs of a test share. The lock guards what the workers touch. */
struct shop {
	struct cor_world *w;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uv_thread_t loop_thread;
	int running, most, started, finished;
	int total;              /* how many jobs the test submits */
	int meet;               /* work waits until so many run at once */
	int next_work, next_done;
};

struct errand {
	struct cor_job job;
	struct shop *shop;
	int number;
	struct errand *then;    /* submitted from done, to the same lane */
	struct shop *wait_for;  /* work waits until all jobs of that shop have started */
	int lane;
};

/* cmocka's assertions may not leave a worker's stack: cor_assert here. */
static void errand_work(struct cor_job *job) {
	struct errand *e = cor_container_of(job, struct errand, job);
	struct shop *s = e->shop;
	uv_thread_t self = uv_thread_self();
	(void)pthread_mutex_lock(&s->lock);
	cor_assert(!uv_thread_equal(&self, &s->loop_thread));
	s->started++;
	if (++s->running > s->most)
		s->most = s->running;
	if (e->lane != COR_LANE_ANY)
		cor_assert(s->next_work++ == e->number);
	(void)pthread_cond_broadcast(&s->cond);
	while (s->started < s->meet)
		(void)pthread_cond_wait(&s->cond, &s->lock);
	if (e->wait_for) {
		(void)pthread_mutex_unlock(&s->lock);
		(void)pthread_mutex_lock(&e->wait_for->lock);
		while (e->wait_for->started < e->wait_for->total)
			(void)pthread_cond_wait(&e->wait_for->cond, &e->wait_for->lock);
		(void)pthread_mutex_unlock(&e->wait_for->lock);
		(void)pthread_mutex_lock(&s->lock);
	}
	s->running--;
	(void)pthread_mutex_unlock(&s->lock);
}

static void errand_done(struct cor_job *job) {
	struct errand *e = cor_container_of(job, struct errand, job);
	struct shop *s = e->shop;
	uv_thread_t self = uv_thread_self();
	assert_true(uv_thread_equal(&self, &s->loop_thread));
	if (e->lane != COR_LANE_ANY)
		assert_int_equal(s->next_done++, e->number);
	s->finished++;
	if (e->then)
		s->w->submit(s->w, e->lane, &e->then->job);
	free(e);
}

static struct errand *new_errand(struct shop *s, int lane, int number) {
	struct errand *e = cor_new(struct errand);
	*e = (struct errand){ { errand_work, errand_done, NULL }, s, number, NULL, NULL, lane };
	return e;
}

static void shop_init(struct shop *s, struct fixture *f) {
	*s = (struct shop){ .w = f->w, .loop_thread = uv_thread_self() };
	assert_int_equal(pthread_mutex_init(&s->lock, NULL), 0);
	assert_int_equal(pthread_cond_init(&s->cond, NULL), 0);
}

static void shop_fini(struct shop *s) {
	(void)pthread_cond_destroy(&s->cond);
	(void)pthread_mutex_destroy(&s->lock);
}

static void jobs_in_parallel(void **state) {
	/* Without order they meet: the first waits for the second. */
	struct fixture *f = *state;
	struct shop s;
	shop_init(&s, f);
	s.meet = 2;
	for (int i = 0; i < 2; i++)
		f->w->submit(f->w, COR_LANE_ANY, &new_errand(&s, COR_LANE_ANY, i)->job);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(s.finished, 2);
	assert_int_equal(s.most, 2);
	shop_fini(&s);
}

static void jobs_in_a_lane(void **state) {
	/* In a lane they go one by one in order, also those that come while others are queued or
	 * from done. The first one stays until all work without a lane has passed it: were the
	 * second one, which was given before most of that, not held back, both would run. */
	struct fixture *f = *state;
	struct shop s, other;
	shop_init(&s, f);
	shop_init(&other, f);
	other.total = 50;
	for (int i = 0; i < 50; i++) {
		struct errand *e = new_errand(&s, COR_LANE_STORE, i);
		if (i == 0)
			e->wait_for = &other;
		if (i == 10)
			e->then = new_errand(&s, COR_LANE_STORE, 50);
		f->w->submit(f->w, COR_LANE_STORE, &e->job);
		f->w->submit(f->w, COR_LANE_ANY, &new_errand(&other, COR_LANE_ANY, i)->job);
	}
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(s.finished, 51);
	assert_int_equal(s.most, 1);
	assert_int_equal(other.finished, 50);
	/* The lane is idle now and takes work again. */
	f->w->submit(f->w, COR_LANE_STORE, &new_errand(&s, COR_LANE_STORE, 51)->job);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(s.finished, 52);
	shop_fini(&s);
	shop_fini(&other);
}

static void jobs_chain_from_done(void **state) {
	struct fixture *f = *state;
	struct shop s;
	shop_init(&s, f);
	struct errand *next = NULL;
	for (int i = 99; i >= 0; i--) {
		struct errand *e = new_errand(&s, COR_LANE_STORE, i);
		e->then = next;
		next = e;
	}
	f->w->submit(f->w, COR_LANE_STORE, &next->job);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(s.finished, 100);
	shop_fini(&s);
}

/* A timer that is set anew by its own fire, due at once, until a job has come back. */
struct restless {
	struct cor_timer timer;
	struct cor_world *w;
	struct cor_job job;
	bool came_back;
	size_t fired;
};

static void fire_restless(struct cor_timer *t) {
	struct restless *r = cor_container_of(t, struct restless, timer);
	assert_true(++r->fired < 1000000);
	if (!r->came_back)
		r->w->timer_set(r->w, t, 0);
}

static void no_work(struct cor_job *job) {
}

static void restless_job_done(struct cor_job *job) {
	cor_container_of(job, struct restless, job)->came_back = true;
}

static void a_timer_due_at_once_lets_others_run(void **state) {
	struct fixture *f = *state;
	struct restless r = { .w = f->w, .timer.fire = fire_restless,
		.job = { .work = no_work, .done = restless_job_done } };
	f->w->timer_set(f->w, &r.timer, 0);
	f->w->submit(f->w, COR_LANE_ANY, &r.job);
	while (!r.came_back || r.timer.armed)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	assert_true(r.fired > 0);
}

#define on_loop(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_names), on_loop(clocks), on_loop(timers_fire),
		on_loop(a_timer_due_at_once_lets_others_run),
		on_loop(timers_never_early), on_loop(timers_rearm_and_clear),
		on_loop(timers_owner_goes_at_once), on_loop(timers_clear_one_that_is_due),
		on_loop(jobs_in_parallel), on_loop(jobs_in_a_lane), on_loop(jobs_chain_from_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
