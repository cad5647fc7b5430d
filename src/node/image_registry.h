// SPDX-License-Identifier: Apache-2.0
// One pull's view of a registry: its addresses (mirrors first), logins and tokens, and the
// requests made of it. image_http.c knows HTTP, image_registry.c knows registries.
#pragma once

#include "node/image_curl.h"
#include "node/image_priv.h"

/* ---- image_http.c ---- */

struct image_http {
	const char *url;
	bool head;
	const char *accept, *authorization;     /* header values or NULL */
	const char *form;                       /* POST this, form-encoded, or NULL */
	bool plain;                             /* http is allowed */
	const char *ca_file;
	struct image_run *run;                  /* for cancellation and progress */

	/* Where the body goes: of a 2xx to fd, when that is >= 0; else to body, up to its limit. */
	int fd;
	uint64_t from;                          /* in: bytes there already; out: bytes there now */
	uint64_t max;
	struct cor_buf *body;
};

struct image_http_reply {
	long status;
	bool connected;                 /* on a failure: somebody was there */
	char challenge[2048];           /* WWW-Authenticate: Bearer if there are several */
	char content_range[128];
	char digest[100];               /* Docker-Content-Digest */
	unsigned retry_after_s;
};

/* One request, redirects followed. 0 with any status; a negative code when no full reply came. */
[[nodiscard]] int cor_image_http(const struct image_curl *lib, CURL *curl,
	struct image_http *q, struct image_http_reply *ret, struct cor_err *err);
/* Waits, but not when cancelled. */
void cor_image_http_pause(const struct image_run *run, uint64_t ms);

/* ---- image_registry.c ---- */

enum { REGISTRY_BASES_MAX = 10, REGISTRY_HANDLES_MAX = 16 };

struct registry_base {
	char url[600];                  /* scheme://host[:port][/prefix] */
	char host[300];
	bool plain;                     /* http is allowed */
	bool scheme_known;
	char *authorization;            /* header value or NULL */
	bool proven;                    /* it was accepted once */
	unsigned round;                 /* how often it was renewed */
	size_t login;                   /* which login of the keyring is next or in use */
};

struct registry {
	const struct image_curl *curl;
	struct cor_image_store *store;
	const struct cor_image_ref *ref;
	const struct cor_image_keyring *keyring;
	struct image_run *run;
	struct registry_base bases[REGISTRY_BASES_MAX];
	unsigned n_bases;
	unsigned preferred;             /* the base that gave the manifest */
	pthread_mutex_t mutex;          /* tokens and handles */
	CURL *idle[REGISTRY_HANDLES_MAX];
	unsigned n_idle;
};

[[nodiscard]] int cor_registry_init(struct registry *r, struct cor_image_store *s,
	const struct cor_image_ref *ref, const struct cor_image_keyring *keyring,
	struct image_run *run, struct cor_err *err);
void cor_registry_fini(struct registry *r);
/* The login in use, or NULL for none. */
const struct image_login *cor_registry_login(struct registry *r);
/* manifests/<what> into body. head: only ret_digest ("" when the registry does not say). */
[[nodiscard]] int cor_registry_manifest(struct registry *r, const char *what, bool head,
	struct cor_buf *body, char ret_digest[100], struct cor_err *err);
[[nodiscard]] int cor_registry_blob_text(struct registry *r, const char *hex, struct cor_buf *body,
	struct cor_err *err);
/* The rest of a blob, of which *from bytes are in fd; resumes and tries again by itself. */
[[nodiscard]] int cor_registry_blob_file(struct registry *r, const char *hex, uint64_t size,
	int fd, uint64_t *from, struct cor_err *err);
