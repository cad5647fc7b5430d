// SPDX-License-Identifier: Apache-2.0
// Registries for tests, on the loopback of a network namespace of the test: Debian's
// docker-registry, and one of our own that can be told to misbehave.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Own mount and network namespaces, a tmpfs on /tmp, loopback up. */
void reglab_enter(void);

/* The real one; users is the text of an htpasswd file or NULL. Returns when it answers. */
pid_t reglab_start(int port, const char *users);
void reglab_stop(pid_t pid);
/* Sends the image in an OCI layout directory; user is "name:password" or NULL. */
void reglab_push(int port, const char *name, const char *tag, const char *dir, const char *user);
/* The digest of the manifest in an OCI layout. */
void reglab_digest(const char *dir, char out[80]);

/* Ours: serves one OCI layout directory under any name and tag. Modes may change at any time. */
struct fake_registry {
	const char *dir;
	int port;
	int fd;
	atomic_bool stop;

	atomic_int busy;                /* so many answers of 503 */
	atomic_int cut;                 /* a blob's answer ends after so many bytes; 0 = never */
	atomic_int cuts;                /* how often, then no more */
	atomic_int busy_after_cut;      /* then so many answers of 503 */
	atomic_bool no_range;           /* Range is not understood */
	atomic_bool corrupt;            /* one byte of each blob is wrong */
	atomic_bool corrupt_layers;     /* only of the large ones */
	atomic_bool stuck;              /* blobs begin and do not go on */
	atomic_bool need_token;         /* Bearer */
	atomic_bool need_login;         /* the token costs a login of u:p */
	atomic_int token_uses;          /* requests that a token is good for; 0 = any */

	atomic_int manifests, heads, blobs, ranges, tokens;     /* requests seen */
	atomic_int uses;
};
void fake_start(struct fake_registry *f, const char *dir);
void fake_stop(struct fake_registry *f);
