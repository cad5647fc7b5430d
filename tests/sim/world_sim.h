// SPDX-License-Identifier: Apache-2.0
// A world on virtual time: everything that the code under test asks of the outside is decided by a
// seed, so a run is exactly repeatable. Nothing happens but in the run functions below; time
// passes only from one event to the next. What falls on the same instant comes in a seeded
// order, jobs take a seeded time, and only the order within a lane is kept.
#pragma once

#include "base/world.h"

struct cor_sim;

struct cor_sim *cor_sim_new(uint64_t seed);
/* All timers clear, all jobs done (see cor_sim_settle). */
void cor_sim_free(struct cor_sim *sim);
struct cor_world *cor_sim_world(struct cor_sim *sim);

/* Runs the next event; false when there is none. */
bool cor_sim_step(struct cor_sim *sim);
/* Runs all events of the next d of virtual time. */
void cor_sim_run_for(struct cor_sim *sim, cor_time d);
/* Steps until pred holds, at most for limit of virtual time; returns pred's last answer. */
bool cor_sim_run_until(struct cor_sim *sim, bool (*pred)(void *arg), void *arg, cor_time limit);
/* Runs until no job is under way; timers that fall due meanwhile fire. */
void cor_sim_settle(struct cor_sim *sim);

/* How long a job waits for its thread, and how long it then runs: each min..max, at least 1 us.
 * At the start 50 us .. 5 ms. */
void cor_sim_job_delay(struct cor_sim *sim, cor_time min, cor_time max);
/* The wall clock jumps, the monotonic one does not. */
void cor_sim_jump(struct cor_sim *sim, cor_time by);
/* A number below n, from the seed. */
uint64_t cor_sim_below(struct cor_sim *sim, uint64_t n);
size_t cor_sim_jobs(const struct cor_sim *sim);
size_t cor_sim_timers(const struct cor_sim *sim);
