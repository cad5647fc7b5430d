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

/* Called in front of everything that changes the disk, on the worker's thread: go on (0), fail with
 * that errno, or write half of it and fail. It may as well end the process. */
enum cor_disk_op { COR_DISK_WRITE, COR_DISK_SYNC, COR_DISK_TRUNCATE, COR_DISK_DELETE };
enum { COR_DISK_TORN = -1 };
typedef int (*cor_disk_hook)(void *arg, enum cor_disk_op op, const char *path);
/* For all SQLite backends of the process, so that it also sees how one is opened; NULL: off. */
void cor_backend_sqlite_hook(cor_disk_hook fn, void *arg);
