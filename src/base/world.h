// SPDX-License-Identifier: Apache-2.0
// The outside world behind one struct: clocks, chance, timers and work off the loop. The server's
// store, API, controllers and scheduler reach the outside only through it, so that tests/sim can
// run them on virtual time with seeds. The real one runs on libuv (world_uv.c).
// Everything here is called on the loop's thread, except job->work.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

struct cor_world;

/* Embedded in its owner. Zero before first use. */
struct cor_timer {
	void (*fire)(struct cor_timer *t);      /* on the loop; may set the timer again */
	void *impl;                             /* of the world; do not touch */
	bool armed;
};

/* Embedded in its owner, which must stay alive until done was called. */
struct cor_job {
	void (*work)(struct cor_job *job);      /* off the loop, may block; touches only the job */
	void (*done)(struct cor_job *job);      /* on the loop */
	void *impl;
};

struct cor_world {
	cor_time (*now)(struct cor_world *w);           /* wall clock */
	cor_time (*monotonic)(struct cor_world *w);
	void (*random)(struct cor_world *w, void *p, size_t n);
	/* Re-arms when armed. Never early; delay <= 0 fires in the loop's next turn. */
	void (*timer_set)(struct cor_world *w, struct cor_timer *t, cor_time delay);
	/* After it, t may be freed. */
	void (*timer_clear)(struct cor_world *w, struct cor_timer *t);
	/* Jobs given to the same lane run one after another in order; the next one's work starts
	 * after the done of the one before. Lane 0 has no order. */
	void (*submit)(struct cor_world *w, int lane, struct cor_job *job);
};

enum { COR_LANE_ANY = 0, COR_LANE_STORE = 1, COR_LANE_MAX };

static inline cor_time cor_now(struct cor_world *w) { return w->now(w); }

struct uv_loop_s;
/* The loop outlives the world. */
struct cor_world *cor_world_uv_new(struct uv_loop_s *loop);
/* Turns the loop until every job is done. */
void cor_world_uv_settle(struct cor_world *w);
/* All timers clear, all jobs done. Run the loop once more before closing it. */
void cor_world_uv_free(struct cor_world *w);

/* n characters of Kubernetes' name alphabet (bcdfghjklmnpqrstvwxz2456789) and a NUL. */
void cor_random_name(struct cor_world *w, char *out, size_t n);
/* RFC 4122 version 4, 36 characters and a NUL. */
void cor_random_uid(struct cor_world *w, char out[37]);
