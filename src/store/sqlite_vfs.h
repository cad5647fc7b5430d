// SPDX-License-Identifier: Apache-2.0
// A thin layer between SQLite and the disk: counts what is written and lets tests break it.
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "store/store_test.h"

struct cor_vfs {
	sqlite3_vfs base;
	sqlite3_vfs *real;              /* of SQLite */
	char name[40];
	_Atomic uint64_t written;       /* bytes; read from the loop while a worker writes */
	int injected;                   /* errno of the last fault of the test hook */
};

/* Registers it under a name of its own (base.zName). v must not move until fini. */
int cor_vfs_init(struct cor_vfs *v);
void cor_vfs_fini(struct cor_vfs *v);
