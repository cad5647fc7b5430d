// SPDX-License-Identifier: Apache-2.0
// The DNS server: UDP and TCP listeners around the model of dns.h, and the forwarding of other names
// to the node's resolvers. Everything runs on the loop's thread and nothing blocks it.
#pragma once

#include "base/err.h"
#include "network/dns.h"

struct cor_dns_server;
struct uv_loop_s;

struct cor_dns_server_config {
	struct cor_dns *dns;            /* outlives the server; fed by somebody else */
	const char *resolv_conf;        /* NULL = /etc/resolv.conf; read again when it changes */
	/* Instead of resolv.conf: "ADDRESS" or "ADDRESS#PORT", NULL-terminated. NULL = the file. */
	const char *const *upstreams;
	int timeout_ms;                 /* for each try; 0 = 1500 */
};

/* A bound UDP socket and a listening TCP socket, non-blocking, for port 53 as long as one is root;
 * works before the address is on an interface. port 0 takes any, the same for both. */
int cor_dns_open_sockets(const char *ip, uint16_t port, int ret_fds[2], struct cor_err *err);

int cor_dns_server_new(struct uv_loop_s *loop, const struct cor_dns_server_config *config,
	struct cor_dns_server **ret, struct cor_err *err);
/* Serves on a socket as cor_dns_open_sockets makes them, UDP or TCP; owns it also on failure. */
int cor_dns_server_adopt(struct cor_dns_server *s, int fd, struct cor_err *err);
/* Both of the above in one. */
int cor_dns_server_listen(struct cor_dns_server *s, const char *ip, uint16_t port,
	struct cor_err *err);
/* Stops; closed is called on the loop when nothing of it is left, the server itself included. */
void cor_dns_server_close(struct cor_dns_server *s, void (*closed)(void *arg), void *arg);

struct cor_dns_stats {
	uint64_t answered, forwarded, failed, dropped;
};
struct cor_dns_stats cor_dns_server_stats(const struct cor_dns_server *s);
