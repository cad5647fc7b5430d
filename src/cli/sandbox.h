// SPDX-License-Identifier: Apache-2.0
// What the processes may do once they have started: see docs/internals/sandbox.md. Entering is for
// good and for the whole process, so it comes before the first thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum cor_sandboxed { COR_SANDBOX_SERVER, COR_SANDBOX_DNS, COR_SANDBOX_MAX };

enum { COR_SANDBOX_PORTS_MAX = 4 };

struct cor_sandbox {
	enum cor_sandboxed process;
	const char *uid;      /* digits: the user and group to become; NULL: stay who we are */
	const char *data_dir; /* may be written; NULL: nothing may */
	const char *read_beside; /* a file: what is in its directory may be read; NULL: nothing more */
	int listen_port;      /* the TCP port still to be bound, 0 = any; -1: none */
	int peers[COR_SANDBOX_PORTS_MAX]; /* DNS: the TCP ports it connects to; 0 ends the list */
	bool only_user;       /* the user and capabilities only: for debuggers */
};
/* Takes away everything else: user, groups, capabilities, children, files, ports, core dumps. What
 * the kernel does not know (Landlock before 5.13, its ports before 6.7) is a line in the log, not
 * an error. */
[[nodiscard]] int cor_sandbox_enter(const struct cor_sandbox *s, struct cor_err *err);

/* The node agent stays root, with the capabilities of its own table; programs that it starts get
 * those that a container may be given. */
[[nodiscard]] int cor_sandbox_node(struct cor_err *err);
