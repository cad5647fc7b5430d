// SPDX-License-Identifier: Apache-2.0
// Gives pods that name no node a node (facts/controllers.md section 20). It watches the store, keeps
// what is used on each node up to date with every event, and binds through pods/binding.
#pragma once

#include <stdbool.h>

struct cor_registry;
struct cor_scheduler;

struct cor_scheduler *cor_scheduler_new(struct cor_registry *r);
/* Tries nothing more. Then the registry is freed, which calls back what is under way; then this. */
void cor_scheduler_stop(struct cor_scheduler *s);
void cor_scheduler_free(struct cor_scheduler *s);
/* Nothing to try now and nothing under way (tests and the simulation). */
bool cor_scheduler_idle(const struct cor_scheduler *s);
