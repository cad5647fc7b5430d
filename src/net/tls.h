// SPDX-License-Identifier: Apache-2.0
// TLS contexts over OpenSSL 3: certificate, key, trusted CA, ALPN. A context is shared by many
// connections and may be reloaded while it is in use: connections that exist keep what they began
// with. All texts are PEM; files are the caller's business (pki.h reads and writes them).
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct cor_tls;

struct cor_tls_config {
	bool server;
	struct cor_str cert;    /* certificate chain, leaf first; a client may have none */
	struct cor_str key;
	/* Server: CA of client certificates; absent: none are asked for. They are asked for, never
	 * required: a peer with a certificate that does not verify is a peer without one.
	 * Client: CA of the server's certificate; absent: the system's. */
	struct cor_str ca;
	bool no_http2;          /* server: offer http/1.1 only */
};

/* NULL on failure. One reference is the caller's. */
struct cor_tls *cor_tls_new(const struct cor_tls_config *c, struct cor_err *err);
struct cor_tls *cor_tls_ref(struct cor_tls *t);
void cor_tls_unref(struct cor_tls *t);
/* The same role; on failure the old material stays in use. */
[[nodiscard]] int cor_tls_reload(struct cor_tls *t, const struct cor_tls_config *c, struct cor_err *err);

COR_DEFINE_CLEANUP(struct cor_tls *, cor_tls_unref)
