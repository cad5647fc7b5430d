// SPDX-License-Identifier: Apache-2.0
// A network laboratory for tests: a network and mount namespace of the test's own, small TCP and UDP
// servers and clients as child processes in any network namespace. Needs root.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Leaves the machine's network and mount namespaces; the run directory is a fresh tmpfs. */
void lab_enter(const char *run_dir);

/* A new network namespace, pinned at path. */
void lab_netns(const char *path);

/* Serves TCP and UDP on ip:port in the namespace (NULL = the lab's own): answers every connection
 * and datagram with "<name> <client's address>". Returns when it listens. */
pid_t lab_serve(const char *netns, const char *ip, int port, const char *name);
void lab_stop(pid_t server);

enum lab_proto { LAB_TCP, LAB_UDP };

/* Asks ip:port from the namespace; src NULL = any, src_port 0 = any. 0 and the answer in out, or
 * the errno (ETIMEDOUT after 1 s without an answer). */
int lab_ask(const char *netns, enum lab_proto proto, const char *src, int src_port, const char *ip,
	int port, char *out, size_t cap);
/* Runs a shell command in the namespace; its exit code. Output is discarded. */
int lab_sh(const char *netns, const char *command);
