// SPDX-License-Identifier: Apache-2.0
// Signed tokens (RFC 7515, 7518): RS256 and ES256, nothing else: no algorithm is ever taken from the
// token, it only has to name the one of the key. The claims are the caller's text.
#include "codec/tree.h"
#include "net/net_priv.h"
#include "net/ossl.h"
#include "net/pki.h"

#include <openssl/core_names.h>

enum { TOKEN_MAX = 64 * 1024, COORD = 32 /* bytes of a P-256 number */ };

struct cor_jwt_key {
	EVP_PKEY *pkey;
	bool ec, private;
	char id[44];
};

/* ---- base64url ---- */

void cor_base64url_encode(struct cor_buf *b, struct cor_str s) {
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned acc = 0, bits = 0;

	for (size_t i = 0; i < s.n; i++) {
		acc = acc << 8 | p[i];
		for (bits += 8; bits >= 6; bits -= 6)
			cor_buf_byte(b, alphabet[acc >> (bits - 6) & 63]);
	}
	if (bits)
		cor_buf_byte(b, alphabet[acc << (6 - bits) & 63]);
}

static int value_of(char c) {
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool cor_base64url_decode(struct cor_buf *b, struct cor_str s) {
	unsigned acc = 0, bits = 0;

	if (s.n % 4 == 1)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int v = value_of(s.p[i]);

		if (v < 0)
			return false;
		acc = (acc << 6 | (unsigned)v) & 0xfffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			cor_buf_byte(b, (char)(acc >> bits & 0xff));
		}
	}
	/* Left-over bits must be zero: one text per value. */
	return (acc & ((1u << bits) - 1)) == 0;
}

/* ---- keys ---- */

static EVP_PKEY *read_any_key(struct cor_str pem) {
	EVP_PKEY *k;

	if (cor_str_contains(pem, COR_STR("CERTIFICATE-----"))) {
		_cleanup_(BIO_free_allp) BIO *b = cor_bio_of(pem);
		_cleanup_(X509_freep) X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

		return x ? X509_get_pubkey(x) : NULL;
	}
	_cleanup_(BIO_free_allp) BIO *b = cor_bio_of(pem);
	if (cor_str_contains(pem, COR_STR("PRIVATE KEY-----")))
		k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	else
		k = PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
	return k;
}

static bool set_id(struct cor_jwt_key *k) {
	unsigned char *der = NULL, md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	int len = i2d_PUBKEY(k->pkey, &der);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, md, &n, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	if (!ok)
		return false;
	cor_base64url_encode(&b, (struct cor_str){ (char *)md, n });
	cor_assert(b.n < sizeof(k->id));
	memcpy(k->id, b.p, b.n);
	return true;
}

struct cor_jwt_key *cor_jwt_key_new(struct cor_str pem, struct cor_err *err) {
	_cleanup_(cor_jwt_key_freep) struct cor_jwt_key *k = cor_new(struct cor_jwt_key);
	char group[32] = "";

	k->pkey = read_any_key(pem);
	if (!k->pkey || !set_id(k)) {
		(void)cor_tls_fail(err, COR_E_PARSE, "token key");
		return NULL;
	}
	k->private = cor_str_contains(pem, COR_STR("PRIVATE KEY-----"));
	k->ec = EVP_PKEY_is_a(k->pkey, "EC");
	if (k->ec ? EVP_PKEY_get_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_GROUP_NAME, group,
			sizeof(group), NULL) != 1 || strcmp(group, "prime256v1") != 0
		: !EVP_PKEY_is_a(k->pkey, "RSA") || EVP_PKEY_get_bits(k->pkey) < 2048) {
		(void)cor_fail(err, COR_E_UNSUPPORTED,
			"token key: only EC P-256 and RSA of at least 2048 bits are supported");
		return NULL;
	}
	return cor_take(k);
}

void cor_jwt_key_free(struct cor_jwt_key *k) {
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

const char *cor_jwt_key_id(const struct cor_jwt_key *k) {
	return k->id;
}

const char *cor_jwt_key_alg(const struct cor_jwt_key *k) {
	return k->ec ? "ES256" : "RS256";
}

/* ---- signatures: RSA as it is, ECDSA as two numbers instead of DER ---- */

static int sign(const struct cor_jwt_key *k, struct cor_str text, struct cor_buf *ret,
	struct cor_err *err) {
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[1024], raw[2 * COORD];
	const unsigned char *p = sig;
	size_t n = sizeof(sig);

	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) != 1 ||
		EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text.p, text.n) != 1)
		return cor_tls_fail(err, COR_E_INTERNAL, "signature");
	if (k->ec) {
		_cleanup_(ECDSA_SIG_freep) ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);

		if (!s || BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, COORD) != COORD ||
			BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + COORD, COORD) != COORD)
			return cor_tls_fail(err, COR_E_INTERNAL, "signature");
		cor_buf_add(ret, raw, sizeof(raw));
	} else
		cor_buf_add(ret, sig, n);
	return 0;
}

static bool verify_der(const struct cor_jwt_key *k, struct cor_str text, const unsigned char *sig,
	size_t n) {
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
		EVP_DigestVerify(ctx, sig, n, (const unsigned char *)text.p, text.n) == 1;

	ERR_clear_error();
	return ok;
}

static bool verify(const struct cor_jwt_key *k, struct cor_str text, struct cor_str sig) {
	_cleanup_(ECDSA_SIG_freep) ECDSA_SIG *s = NULL;
	const unsigned char *p = (const unsigned char *)sig.p;
	unsigned char *der = NULL;
	BIGNUM *r, *v;
	int n;
	bool ok;

	if (!k->ec)
		return verify_der(k, text, p, sig.n);
	if (sig.n != 2 * COORD)
		return false;
	s = ECDSA_SIG_new();
	r = BN_bin2bn(p, COORD, NULL);
	v = BN_bin2bn(p + COORD, COORD, NULL);
	if (!s || !r || !v || ECDSA_SIG_set0(s, r, v) != 1) {
		BN_free(r);
		BN_free(v);
		return false;
	}
	n = i2d_ECDSA_SIG(s, &der);
	ok = n > 0 && verify_der(k, text, der, (size_t)n);
	OPENSSL_free(der);
	return ok;
}

/* ---- tokens ---- */

int cor_jwt_sign(const struct cor_jwt_key *k, struct cor_str claims, struct cor_buf *ret,
	struct cor_err *err) {
	_cleanup_buf_ struct cor_buf head = COR_BUF_INIT, out = COR_BUF_INIT, sig = COR_BUF_INIT;
	int r;

	if (!k->private)
		return cor_fail(err, COR_E_INVALID, "a public key cannot sign tokens");
	cor_buf_printf(&head, "{\"alg\":\"%s\",\"kid\":\"%s\"}", cor_jwt_key_alg(k), k->id);
	cor_base64url_encode(&out, cor_buf_view(&head));
	cor_buf_byte(&out, '.');
	cor_base64url_encode(&out, claims);
	r = sign(k, cor_buf_view(&out), &sig, err);
	if (r < 0)
		return r;
	cor_buf_byte(&out, '.');
	cor_base64url_encode(&out, cor_buf_view(&sig));
	cor_buf_str(ret, cor_buf_view(&out));
	return 0;
}

static int refused(struct cor_err *err, const char *why) __attribute__((warn_unused_result));
static int refused(struct cor_err *err, const char *why) {
	return cor_fail(err, COR_E_UNAUTHORIZED, "token: %s", why);
}

int cor_jwt_verify(struct cor_jwt_key *const *keys, size_t n, struct cor_str token,
	struct cor_buf *ret_claims, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf head = COR_BUF_INIT, claims = COR_BUF_INIT, sig = COR_BUF_INIT;
	_cleanup_(cor_arena_freep) struct cor_arena *a = NULL;
	struct cor_str rest = token, h, c, s, alg, kid;
	struct cor_node *node;
	struct cor_str text;

	if (token.n > TOKEN_MAX)
		return refused(err, "too long");
	h = cor_str_cut(&rest, '.');
	c = rest.p ? cor_str_cut(&rest, '.') : (struct cor_str){ 0 };
	s = rest;
	if (!s.p || !c.n || memchr(s.p, '.', s.n) || !cor_base64url_decode(&head, h) ||
		!cor_base64url_decode(&claims, c) || !cor_base64url_decode(&sig, s))
		return refused(err, "malformed");
	text = (struct cor_str){ token.p, h.n + 1 + c.n };
	a = cor_arena_new(256 * 1024);
	node = cor_node_parse(a, cor_buf_view(&head), NULL, NULL);
	alg = cor_node_path_str(node, "alg");
	kid = cor_node_path_str(node, "kid");
	if (!alg.p || cor_node_get_c(node, "crit"))
		return refused(err, "malformed header");
	for (size_t i = 0; i < n; i++) {
		if ((kid.p && !cor_str_eq_c(kid, keys[i]->id)) ||
			!cor_str_eq_c(alg, cor_jwt_key_alg(keys[i])))
			continue;
		if (!verify(keys[i], text, cor_buf_view(&sig)))
			continue;
		cor_buf_str(ret_claims, cor_buf_view(&claims));
		return 0;
	}
	return refused(err, "not signed by a key of this cluster");
}

/* One number of the public key as base64url; size 0: as long as it is. */
static void print_number(struct cor_buf *b, const char *name, const EVP_PKEY *k, const char *param,
	int size) {
	_cleanup_(BN_freep) BIGNUM *v = NULL;
	unsigned char raw[1024];
	int n;

	if (EVP_PKEY_get_bn_param(k, param, &v) != 1)
		return;
	n = size ? BN_bn2binpad(v, raw, size) : BN_num_bytes(v) <= (int)sizeof(raw)
		? BN_bn2bin(v, raw) : -1;
	if (n < 0)
		return;
	cor_buf_printf(b, ",\"%s\":\"", name);
	cor_base64url_encode(b, (struct cor_str){ (char *)raw, (size_t)n });
	cor_buf_byte(b, '"');
}

void cor_jwt_print_jwk(const struct cor_jwt_key *k, struct cor_buf *b) {
	cor_buf_printf(b, "{\"use\":\"sig\",\"kty\":\"%s\",\"kid\":\"%s\"%s,\"alg\":\"%s\"",
		k->ec ? "EC" : "RSA", k->id, k->ec ? ",\"crv\":\"P-256\"" : "",
		cor_jwt_key_alg(k));
	if (k->ec) {
		print_number(b, "x", k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, COORD);
		print_number(b, "y", k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, COORD);
	} else {
		print_number(b, "n", k->pkey, OSSL_PKEY_PARAM_RSA_N, 0);
		print_number(b, "e", k->pkey, OSSL_PKEY_PARAM_RSA_E, 0);
	}
	cor_buf_byte(b, '}');
}
