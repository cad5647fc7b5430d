// SPDX-License-Identifier: Apache-2.0
// Where a cluster of this machine keeps its things, by its name, and whether it runs.
//
//   /var/lib/coracle/NAME/        data: server/ (store, pki), node/ (images, volumes, logs), log/
//   /run/coracle/NAME/            pid (locked while the supervisor runs), sockets, pinned namespaces
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum { COR_CLUSTER_UID = 64420 };       /* the server's user; needs no entry in /etc/passwd */

struct cor_cluster {
	const char *name;
	char *data_dir, *run_dir;
};

/* name: a DNS label of at most 20 bytes. data_dir NULL: the default. */
int cor_cluster_init(struct cor_cluster *c, const char *name, const char *data_dir, struct cor_err *err);
void cor_cluster_fini(struct cor_cluster *c);
/* The supervisor's pid, 0 when it does not run. */
pid_t cor_cluster_pid(const struct cor_cluster *c);
/* Takes the lock for this process and writes its pid; the descriptor stays open as long as it runs.
 * -EAGAIN when another one holds it. */
int cor_cluster_lock(const struct cor_cluster *c, int *ret_fd, struct cor_err *err);
/* One process at a time works in dir: waits until the one before has ended, which it may be about to
 * (its supervisor was killed). Held while the descriptor is open; programs that it starts do not hold it. */
int cor_hold_dir(const char *dir, int *ret_fd, struct cor_err *err);
/* mkdir -p */
int cor_make_dirs(const char *path, mode_t mode, struct cor_err *err);
