// SPDX-License-Identifier: Apache-2.0
// Pulls for the loop. Each distinct download (reference and credentials) is a job with a list of
// those who wait for it; jobs run on threads of their own, since a pull may take minutes and the
// loop's worker pool is small. A job's thread touches only the job's input, its result and the
// queue of finished jobs; all else is the loop's.
//
//   queued --> running --> finished (posted to the loop)
//     \-- last waiter cancels: gone    \-- last waiter cancels: told to stop, then finished

#include <stdio.h>
#include <time.h>
#include <uv.h>

#include "base/assert.h"
#include "node/image_priv.h"

struct job {
	struct cor_image_puller *puller;
	struct job *next;               /* in the puller's list; the order of arrival */
	struct job *next_done;
	char key[COR_IMAGE_REF_MAX + 400];      /* what makes two pulls one */
	char *ref;
	struct cor_image_keyring *keyring;
	struct waiter *waiters;
	bool running;
	pthread_t thread;

	atomic_bool cancel;
	struct cor_image *image;
	int result;
	struct cor_err err;
	cor_time duration;
};

struct waiter {
	struct waiter *next;
	struct job *job;
	struct cor_image_pull *pull;
	cor_time start;
};

struct cor_image_puller {
	struct cor_image_store *store;
	unsigned max, running;
	struct job *jobs;
	uv_async_t wake;
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;

	pthread_mutex_t mutex;
	struct job *done;               /* guarded by the mutex */
};

static cor_time mono(void) {
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (cor_time)ts.tv_sec * COR_SECOND + ts.tv_nsec / 1000;
}

static void *run_job(void *arg) {
	struct job *j = arg;
	struct cor_image_puller *p = j->puller;
	struct cor_image_work work = { .cancel = &j->cancel };
	cor_time start = mono();

	j->result = cor_image_pull(p->store, cor_str_c(j->ref), j->keyring, &work, &j->image,
		&j->err);
	j->duration = mono() - start;
	(void)pthread_mutex_lock(&p->mutex);
	j->next_done = p->done;
	p->done = j;
	(void)uv_async_send(&p->wake);  /* under the lock: the puller lives until it saw this */
	(void)pthread_mutex_unlock(&p->mutex);
	return NULL;
}

static void unlink_job(struct job *j) {
	struct job **at = &j->puller->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
}

static void free_job(struct job *j) {
	cor_assert(!j->waiters);
	cor_image_unref(j->image);
	cor_image_keyring_free(j->keyring);
	free(j->ref);
	free(j);
}

/* A job whose thread cannot be made fails like any other: on the loop, later. */
static void start_job(struct job *j) {
	struct cor_image_puller *p = j->puller;

	j->running = true;
	p->running++;
	if (pthread_create(&j->thread, NULL, run_job, j) == 0)
		return;
	j->thread = pthread_self();
	j->result = cor_fail(&j->err, -EAGAIN, "cannot start a thread for the pull");
	(void)pthread_mutex_lock(&p->mutex);
	j->next_done = p->done;
	p->done = j;
	(void)pthread_mutex_unlock(&p->mutex);
	(void)uv_async_send(&p->wake);
}

static void start_jobs(struct cor_image_puller *p) {
	for (struct job *j = p->jobs; j && p->running < p->max && !p->closing; j = j->next) {
		if (!j->running)
			start_job(j);
	}
}

/* The waiters are taken off first: a callback may start or cancel pulls. */
static void deliver(struct job *j) {
	while (j->waiters) {
		struct waiter *w = j->waiters;
		struct cor_image_pull *pull = w->pull;

		j->waiters = w->next;
		pull->impl = NULL;
		pull->result = j->result;
		pull->err = j->err;
		pull->image = j->image ? cor_image_ref_up(j->image) : NULL;
		pull->duration = j->duration;
		pull->waited = mono() - w->start;
		free(w);
		pull->done(pull);
	}
}

static void on_closed(uv_handle_t *h) {
	struct cor_image_puller *p = cor_container_of((uv_async_t *)h, struct cor_image_puller,
		wake);
	void (*closed)(void *) = p->closed;
	void *arg = p->closed_arg;

	(void)pthread_mutex_destroy(&p->mutex);
	free(p);
	if (closed)
		closed(arg);
}

static void close_when_idle(struct cor_image_puller *p) {
	if (p->closing && p->running == 0 && !uv_is_closing((uv_handle_t *)&p->wake))
		uv_close((uv_handle_t *)&p->wake, on_closed);
}

static void on_wake(uv_async_t *h) {
	struct cor_image_puller *p = cor_container_of(h, struct cor_image_puller, wake);
	struct job *done, *next;

	(void)pthread_mutex_lock(&p->mutex);
	done = p->done;
	p->done = NULL;
	(void)pthread_mutex_unlock(&p->mutex);
	for (; done; done = next) {
		next = done->next_done;
		if (!pthread_equal(done->thread, pthread_self()))
			(void)pthread_join(done->thread, NULL);
		p->running--;
		unlink_job(done);
		deliver(done);
		free_job(done);
	}
	start_jobs(p);
	close_when_idle(p);
}

struct cor_image_puller *cor_image_puller_new(uv_loop_t *loop, struct cor_image_store *s,
	unsigned max_parallel) {
	struct cor_image_puller *p = cor_new(struct cor_image_puller);

	p->store = s;
	p->max = max_parallel ? max_parallel : 1;
	(void)pthread_mutex_init(&p->mutex, NULL);
	cor_assert(uv_async_init(loop, &p->wake, on_wake) == 0);
	return p;
}

/* A job that nobody waits for. */
static void abandon(struct job *j) {
	if (j->running) {
		atomic_store(&j->cancel, true);
		return;
	}
	unlink_job(j);
	free_job(j);
}

static void drop_waiters(struct job *j) {
	while (j->waiters) {
		struct waiter *w = j->waiters;

		j->waiters = w->next;
		w->pull->impl = NULL;
		free(w);
	}
}

void cor_image_puller_close(struct cor_image_puller *p, void (*closed)(void *arg), void *arg) {
	struct job *next;

	p->closing = true;
	p->closed = closed;
	p->closed_arg = arg;
	for (struct job *j = p->jobs; j; j = next) {
		next = j->next;
		drop_waiters(j);
		abandon(j);
	}
	close_when_idle(p);
}

static void make_key(struct cor_str ref, const struct cor_image_keyring *keyring, char *out,
	size_t size) {
	char hex[IMAGE_HEX];
	struct cor_image_ref parsed;

	cor_image_keyring_hash(keyring, hex);
	if (cor_image_ref_parse(ref, &parsed, NULL) == 0)
		(void)snprintf(out, size, "%s %s", hex, parsed.text);
	else
		(void)snprintf(out, size, "%s %.*s", hex, (int)(ref.n > 500 ? 500 : ref.n),
			ref.p ? ref.p : "");
}

static struct job *find_job(struct cor_image_puller *p, const char *key) {
	for (struct job *j = p->jobs; j; j = j->next) {
		if (strcmp(j->key, key) == 0 && !atomic_load(&j->cancel))
			return j;
	}
	return NULL;
}

static struct job *new_job(struct cor_image_puller *p, const char *key, struct cor_str ref,
	const struct cor_image_keyring *keyring) {
	struct job *j = cor_new(struct job), **at = &p->jobs;

	j->puller = p;
	(void)snprintf(j->key, sizeof(j->key), "%s", key);
	j->ref = cor_str_dup_c(ref.p ? ref : COR_STR(""));
	j->keyring = cor_image_keyring_copy(keyring);
	while (*at)
		at = &(*at)->next;
	*at = j;
	return j;
}

void cor_image_pull_start(struct cor_image_puller *p, struct cor_image_pull *pull,
	struct cor_str ref, const struct cor_image_keyring *keyring) {
	struct waiter *w = cor_new(struct waiter), **at;
	char key[COR_IMAGE_REF_MAX + 400];

	cor_assert(!p->closing && !pull->impl && pull->done);
	make_key(ref, keyring, key, sizeof(key));
	w->job = find_job(p, key);
	if (!w->job)
		w->job = new_job(p, key, ref, keyring);
	w->pull = pull;
	w->start = mono();
	for (at = &w->job->waiters; *at; at = &(*at)->next)
		;
	*at = w;
	pull->impl = w;
	pull->image = NULL;
	pull->result = 0;
	start_jobs(p);
}

void cor_image_pull_cancel(struct cor_image_pull *pull) {
	struct waiter *w = pull->impl, **at;
	struct job *j;

	if (!w)
		return;
	j = w->job;
	for (at = &j->waiters; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	free(w);
	pull->impl = NULL;
	if (!j->waiters)
		abandon(j);
}
