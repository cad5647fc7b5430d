// SPDX-License-Identifier: Apache-2.0
// The objects that every cluster has: made at each start when they are missing, by ordinary
// operations, so that all rules of their kinds apply.
#pragma once

struct cor_registry;

/* Starts the operations; done is called on the loop when all have ended, with 0 or the code of the
 * first failure (which was logged). An object that exists is left as it is. */
void cor_bootstrap(struct cor_registry *r, void (*done)(void *arg, int status), void *arg);
