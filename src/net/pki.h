// SPDX-License-Identifier: Apache-2.0
// The cluster's own public-key infrastructure: a CA, certificates issued by it, keys and signed
// tokens. Keys are EC P-256 unless RSA is asked for. Everything is PEM text in buffers of the
// caller; nothing here looks at a clock: times come from the caller.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

/* A certificate with its private key, both PEM. Zero before first use. */
struct cor_pki_pair {
	struct cor_buf cert;
	struct cor_buf key;
	struct cor_pki_signer *signer;  /* of a CA, since its first use: to read a key takes longer than to sign */
};
void cor_pki_pair_fini(struct cor_pki_pair *p);         /* wipes the key */
#define _cleanup_pki_pair_ _cleanup_(cor_pki_pair_fini)

struct cor_pki_subject {
	struct cor_str cn;              /* user name, or a name of the server */
	const struct cor_str *orgs;     /* groups */
	size_t n_orgs;
	const struct cor_str *sans;     /* DNS names and IP addresses; which is which shows by itself */
	size_t n_sans;
	bool server, client;            /* extended key usage */
	cor_time not_before, not_after; /* wall time; whole seconds */
};

[[nodiscard]] int cor_pki_make_ca(struct cor_str cn, cor_time not_before, cor_time not_after,
	struct cor_pki_pair *ret, struct cor_err *err);
/* A new key and a certificate for it. The result's cert holds the leaf only. */
[[nodiscard]] int cor_pki_issue(struct cor_pki_pair *ca, const struct cor_pki_subject *s,
	struct cor_pki_pair *ret, struct cor_err *err);
/* The same for a signing request (PEM) of somebody else: only its public key is taken. */
[[nodiscard]] int cor_pki_sign_csr(struct cor_pki_pair *ca, struct cor_str csr_pem,
	const struct cor_pki_subject *s, struct cor_buf *ret_cert, struct cor_err *err);

/* Of the first certificate in pem. */
[[nodiscard]] int cor_pki_validity(struct cor_str pem, cor_time *ret_not_before,
	cor_time *ret_not_after, struct cor_err *err);
/* True when it ends within margin after now, or cannot be read: make a new one. */
bool cor_pki_expires_within(struct cor_str pem, cor_time now, cor_time margin);
/* True when the first certificate in pem was issued by ca, key fits, and it covers every san. */
bool cor_pki_fits(const struct cor_pki_pair *p, struct cor_str ca_cert,
	const struct cor_str *sans, size_t n_sans);
enum { COR_SHA256_HEX = 65 };
/* Lower-case hex of SHA-256 over the DER of the first certificate in pem. */
[[nodiscard]] int cor_pki_fingerprint(struct cor_str pem, char out[COR_SHA256_HEX], struct cor_err *err);

/* Written to a temporary file beside it, synced and renamed: never a half file. Which of the two is there after
 * a loss of power is certain only after cor_pki_sync_dir. */
[[nodiscard]] int cor_pki_write_file(const char *path, struct cor_str pem, unsigned mode,
	struct cor_err *err);
[[nodiscard]] int cor_pki_sync_dir(const char *dir, struct cor_err *err);
/* The same without the wait for the disk, for what can be made anew: after a loss of power it may be
 * missing or empty. */
[[nodiscard]] int cor_pki_write_derived(const char *path, struct cor_str pem, unsigned mode,
	struct cor_err *err);
/* -ENOENT when there is none; larger than 1 MiB is COR_E_LIMIT. */
[[nodiscard]] int cor_pki_read_file(const char *path, struct cor_buf *ret, struct cor_err *err);

/* ---- tokens ---- */

enum cor_key_kind { COR_KEY_EC_P256, COR_KEY_RSA_2048, COR_KEY_KIND_MAX };
[[nodiscard]] int cor_pki_make_key(enum cor_key_kind kind, struct cor_buf *ret_pem, struct cor_err *err);

struct cor_jwt_key;     /* a private or public key with its id */
/* PEM private or public key, or a certificate. NULL on failure. The key id is base64url of SHA-256 over
 * the public key's DER. */
struct cor_jwt_key *cor_jwt_key_new(struct cor_str pem, struct cor_err *err);
void cor_jwt_key_free(struct cor_jwt_key *k);
const char *cor_jwt_key_id(const struct cor_jwt_key *k);
/* "RS256" or "ES256" */
const char *cor_jwt_key_alg(const struct cor_jwt_key *k);
/* Appends header.claims.signature; claims is JSON text. */
[[nodiscard]] int cor_jwt_sign(const struct cor_jwt_key *k, struct cor_str claims, struct cor_buf *ret,
	struct cor_err *err);
/* Checks shape, algorithm and signature against the keys (by key id when the token has one), and appends
 * the claims' JSON text; what the claims say is the caller's business. COR_E_UNAUTHORIZED else. */
[[nodiscard]] int cor_jwt_verify(struct cor_jwt_key *const *keys, size_t n, struct cor_str token,
	struct cor_buf *ret_claims, struct cor_err *err);
/* Appends the public key as a JSON Web Key object. */
void cor_jwt_print_jwk(const struct cor_jwt_key *k, struct cor_buf *b);

COR_DEFINE_CLEANUP(struct cor_jwt_key *, cor_jwt_key_free)

/* Base64url without padding, both ways; decode is strict. */
void cor_base64url_encode(struct cor_buf *b, struct cor_str s);
[[nodiscard]] bool cor_base64url_decode(struct cor_buf *b, struct cor_str s);
