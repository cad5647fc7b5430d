// SPDX-License-Identifier: Apache-2.0
// Hooks for tests and simulations: backends that fail, lie or lose power on demand.
#pragma once

#include "store/store.h"

/* What the k-th commit does. */
enum cor_fault {
	COR_FAULT_FAIL,         /* an error, and nothing was stored */
	COR_FAULT_DOUBT,        /* an error, although all was stored */
	COR_FAULT_LOSE,         /* success, although nothing was stored: a disk that lies */
};

/* k counts from the next commit, which is 1. One fault at a time; with forever it stays from then
 * on (a full disk) until it is cleared with k = 0. errnum is positive. */
void cor_backend_memory_fault(struct cor_backend *b, enum cor_fault fault, unsigned k, int errnum,
	bool forever);
/* From now on nothing is stored and every commit fails: the power is off. The store above can be
 * freed as usual; its contents live on in what reopen returned or returns. */
void cor_backend_memory_cut(struct cor_backend *b);
/* A second backend on the same contents, for a store that is opened after a crash. */
struct cor_backend *cor_backend_memory_reopen(struct cor_backend *b);
size_t cor_backend_memory_commits(struct cor_backend *b);       /* that succeeded, since open */
