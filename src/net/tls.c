// SPDX-License-Identifier: Apache-2.0
// TLS contexts. A struct cor_tls is a counted box around an SSL_CTX; a reload makes a new SSL_CTX and
// swaps it, while sessions that exist hold their own reference to the old one. Sessions are not
// resumed (no tickets, no cache): clients of an API keep their connections, and state that is not
// kept needs no memory and no key rotation.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "net/net_priv.h"

struct cor_tls {
	unsigned refs;
	bool server;
	bool no_roots;          /* a client that has no CA of its own and not read the system's yet */
	SSL_CTX *ctx;
};

static inline void bio_freep(BIO **b) {
	BIO_free(*b);
}
static inline void ctx_freep(SSL_CTX **c) {
	SSL_CTX_free(*c);
}
static inline void x509_freep(X509 **x) {
	X509_free(*x);
}
static inline void pkey_freep(EVP_PKEY **k) {
	EVP_PKEY_free(*k);
}

int cor_tls_fail(struct cor_err *err, int code, const char *what) {
	unsigned long e = ERR_get_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return cor_fail(err, code, "%s: %s", what, reason ? reason : "unknown TLS error");
}

static BIO *text_bio(struct cor_str s) {
	return BIO_new_mem_buf(s.p, (int)s.n);
}

static int use_certificate(SSL_CTX *ctx, const struct cor_tls_config *c, struct cor_err *err) {
	_cleanup_(bio_freep) BIO *cb = text_bio(c->cert);
	_cleanup_(bio_freep) BIO *kb = text_bio(c->key);
	_cleanup_(x509_freep) X509 *leaf = PEM_read_bio_X509(cb, NULL, NULL, NULL);
	_cleanup_(pkey_freep) EVP_PKEY *key = PEM_read_bio_PrivateKey(kb, NULL, NULL, NULL);
	X509 *more;

	if (!leaf || SSL_CTX_use_certificate(ctx, leaf) != 1)
		return cor_tls_fail(err, COR_E_INVALID, "certificate");
	if (!key || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		return cor_tls_fail(err, COR_E_INVALID, "private key");
	if (SSL_CTX_check_private_key(ctx) != 1)
		return cor_tls_fail(err, COR_E_INVALID, "private key does not fit the certificate");
	while ((more = PEM_read_bio_X509(cb, NULL, NULL, NULL)))
		if (SSL_CTX_add0_chain_cert(ctx, more) != 1) {
			X509_free(more);
			return cor_tls_fail(err, COR_E_INVALID, "certificate chain");
		}
	ERR_clear_error();
	return 0;
}

static int use_ca(SSL_CTX *ctx, const struct cor_tls_config *c, struct cor_err *err) {
	_cleanup_(bio_freep) BIO *b = text_bio(c->ca);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	size_t n = 0;

	for (;; n++) {
		_cleanup_(x509_freep) X509 *ca = PEM_read_bio_X509(b, NULL, NULL, NULL);

		if (!ca)
			break;
		if (X509_STORE_add_cert(store, ca) != 1)
			return cor_tls_fail(err, COR_E_INVALID, "CA certificate");
		if (c->server && SSL_CTX_add_client_CA(ctx, ca) != 1)
			return cor_tls_fail(err, COR_E_INVALID, "client CA certificate");
	}
	ERR_clear_error();
	return n ? 0 : cor_fail(err, COR_E_INVALID, "CA certificate: no PEM certificate in it");
}

/* Lets every client certificate pass the handshake; its verify result stays and is asked later, so
 * that a stranger's certificate leads to 401 and not to a broken connection. */
static int accept_any(int ok, X509_STORE_CTX *ctx) {
	(void)ok;
	(void)ctx;
	return 1;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
	const unsigned char *in, unsigned int inlen, void *arg) {
	static const unsigned char both[] = "\x02h2\x08http/1.1";
	const unsigned char *ours = arg ? both + 3 : both;
	unsigned int n = (unsigned int)(sizeof(both) - 1 - (arg ? 3 : 0));

	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)out, outlen, ours, n, in, inlen)
		!= OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static int make_ctx(const struct cor_tls_config *c, SSL_CTX **ret, struct cor_err *err) {
	_cleanup_(ctx_freep) SSL_CTX *ctx = SSL_CTX_new(c->server ? TLS_server_method()
		: TLS_client_method());
	int r;

	if (!ctx)
		return cor_tls_fail(err, COR_E_INTERNAL, "TLS context");
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION
		| SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* An idle connection holds no record buffers. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
		| SSL_MODE_ENABLE_PARTIAL_WRITE);
	if (c->server || c->cert.n) {
		r = use_certificate(ctx, c, err);
		if (r < 0)
			return r;
	}
	if (c->ca.n) {
		r = use_ca(ctx, c, err);
		if (r < 0)
			return r;
		if (c->server)
			SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	}
	if (c->server)
		SSL_CTX_set_alpn_select_cb(ctx, select_alpn, c->no_http2 ? ctx : NULL);
	else
		SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x08http/1.1", 9);
	*ret = cor_take(ctx);
	return 0;
}

struct cor_tls *cor_tls_new(const struct cor_tls_config *c, struct cor_err *err) {
	struct cor_tls *t;
	SSL_CTX *ctx = NULL;

	if (make_ctx(c, &ctx, err) < 0)
		return NULL;
	t = cor_new(struct cor_tls);
	t->refs = 1;
	t->server = c->server;
	t->no_roots = !c->server && !c->ca.n;
	t->ctx = ctx;
	return t;
}

struct cor_tls *cor_tls_ref(struct cor_tls *t) {
	t->refs++;
	return t;
}

void cor_tls_unref(struct cor_tls *t) {
	if (!t || --t->refs)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

int cor_tls_reload(struct cor_tls *t, const struct cor_tls_config *c, struct cor_err *err) {
	SSL_CTX *ctx = NULL;
	int r;

	cor_assert(c->server == t->server);
	r = make_ctx(c, &ctx, err);
	if (r < 0)
		return r;
	SSL_CTX_free(t->ctx);
	t->no_roots = !c->server && !c->ca.n;
	t->ctx = ctx;
	return 0;
}

SSL *cor_tls_session(struct cor_tls *t, bool verify, struct cor_err *err) {
	/* A hundred and more certificates, that is a megabyte: only for who looks at them. */
	if (verify && t->no_roots) {
		SSL_CTX_set_default_verify_paths(t->ctx);
		t->no_roots = false;
	}
	SSL *ssl = SSL_new(t->ctx);

	if (!ssl) {
		(void)cor_tls_fail(err, COR_E_INTERNAL, "TLS session");
		return NULL;
	}
	if (t->server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	if (verify && !t->server)
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return ssl;
}

bool cor_tls_is_server(const struct cor_tls *t) {
	return t->server;
}

/* ---- who the peer is ---- */

static char *entry_text(X509_NAME *name, int i) {
	unsigned char *utf8 = NULL;
	char *text;
	int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));

	if (n < 0 || memchr(utf8, 0, (size_t)n)) {
		OPENSSL_free(utf8);
		return NULL;
	}
	text = cor_str_dup_c((struct cor_str){ (char *)utf8, (size_t)n });
	OPENSSL_free(utf8);
	return text;
}

static void read_subject(X509_NAME *name, struct cor_peer *ret, struct cor_str **ret_orgs, char **ret_names) {
	struct cor_buf texts = COR_BUF_INIT;
	size_t n = 0, max = (size_t)X509_NAME_entry_count(name), at = 0;
	size_t *lens = cor_calloc(max + 1, sizeof(*lens));
	int i = -1;

	struct cor_str *orgs = *ret_orgs = cor_calloc(max + 1, sizeof(*orgs));
	/* The texts move while the buffer grows, so pointers are made at the end: cn first. */
	i = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	if (i >= 0) {
		_cleanup_free_ char *t = entry_text(name, i);

		cor_buf_c(&texts, t ? t : "");
	}
	lens[0] = texts.n;
	for (i = -1; (i = X509_NAME_get_index_by_NID(name, NID_organizationName, i)) >= 0;) {
		_cleanup_free_ char *t = entry_text(name, i);

		if (!t)
			continue;
		cor_buf_c(&texts, t);
		n++;
		lens[n] = strlen(t);
	}
	*ret_names = texts.p;
	if (lens[0])
		ret->cn = (struct cor_str){ texts.p, lens[0] };
	at = lens[0];
	for (size_t k = 0; k < n; k++) {
		orgs[k] = (struct cor_str){ texts.p + at, lens[k + 1] };
		at += lens[k + 1];
	}
	ret->orgs = orgs;
	ret->n_orgs = n;
	free(lens);
}

void cor_tls_peer(SSL *ssl, struct cor_peer *ret, struct cor_str **ret_orgs, char **ret_names) {
	X509 *cert = SSL_get0_peer_certificate(ssl);

	if (cert && SSL_get_verify_result(ssl) == X509_V_OK)
		read_subject(X509_get_subject_name(cert), ret, ret_orgs, ret_names);
	else
		ret->stranger = cert != NULL;
}
