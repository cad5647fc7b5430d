// SPDX-License-Identifier: Apache-2.0
// Certificates: a CA, leaves issued by it, what they say and whether they still fit. Keys are EC
// P-256. Serial numbers are random; the CA's certificate may sign leaves only (path length 0).
#include "net/pki.h"

#include <arpa/inet.h>

#include "net/net_priv.h"
#include "net/ossl.h"

enum { SERIAL_BYTES = 16 };

struct cor_pki_signer {
	X509 *cert;
	EVP_PKEY *key;
};

static void signer_free(struct cor_pki_signer *s) {
	if (!s)
		return;
	X509_free(s->cert);
	EVP_PKEY_free(s->key);
	free(s);
}

/* Takes cert and key. */
static struct cor_pki_signer *signer_new(X509 *cert, EVP_PKEY *key) {
	struct cor_pki_signer *s = cor_new(struct cor_pki_signer);

	s->cert = cert;
	s->key = key;
	return s;
}

void cor_pki_pair_fini(struct cor_pki_pair *p) {
	signer_free(p->signer);
	p->signer = NULL;
	if (p->key.p)
		OPENSSL_cleanse(p->key.p, p->key.cap);
	cor_buf_fini(&p->cert);
	cor_buf_fini(&p->key);
}

/* ---- PEM ---- */

static X509 *read_cert(struct cor_str pem, struct cor_err *err) {
	_cleanup_(BIO_free_allp) BIO *b = cor_bio_of(pem);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	if (!x)
		(void)cor_tls_fail(err, COR_E_PARSE, "certificate");
	return x;
}

static EVP_PKEY *read_key(struct cor_str pem, struct cor_err *err) {
	_cleanup_(BIO_free_allp) BIO *b = cor_bio_of(pem);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

	if (!k)
		(void)cor_tls_fail(err, COR_E_PARSE, "private key");
	return k;
}

static void take_bio(BIO *b, struct cor_buf *ret) {
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);

	cor_buf_add(ret, p, n > 0 ? (size_t)n : 0);
}

static int print_cert(X509 *x, struct cor_buf *ret, struct cor_err *err) {
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());

	if (PEM_write_bio_X509(b, x) != 1)
		return cor_tls_fail(err, COR_E_INTERNAL, "certificate");
	take_bio(b, ret);
	return 0;
}

static int print_key(EVP_PKEY *k, struct cor_buf *ret, struct cor_err *err) {
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_secmem());

	if (!b || PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL) != 1)
		return cor_tls_fail(err, COR_E_INTERNAL, "private key");
	take_bio(b, ret);
	return 0;
}

int cor_pki_make_key(enum cor_key_kind kind, struct cor_buf *ret_pem, struct cor_err *err) {
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *k = kind == COR_KEY_RSA_2048
		? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
		: EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	if (!k)
		return cor_tls_fail(err, COR_E_INTERNAL, "key generation");
	return print_key(k, ret_pem, err);
}

/* ---- making ---- */

static bool set_time(ASN1_TIME *t, cor_time when) {
	return ASN1_TIME_set(t, (time_t)(when / COR_SECOND)) != NULL;
}

static bool add_name(X509_NAME *name, const char *field, struct cor_str s) {
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)s.p,
		(int)s.n, -1, 0) == 1;
}

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value) {
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

/* Network bytes of an IP address in text: 4, 16, or 0 when s is a name. */
static int ip_bytes(struct cor_str s, unsigned char out[16]) {
	char text[INET6_ADDRSTRLEN];

	if (s.n >= sizeof(text))
		return 0;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool add_san(GENERAL_NAMES *names, struct cor_str s) {
	unsigned char ip[16];
	int n = ip_bytes(s, ip);
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *v = n ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	if (!g || !v || ASN1_STRING_set(v, n ? (void *)ip : s.p, n ? n : (int)s.n) != 1) {
		GENERAL_NAME_free(g);
		ASN1_STRING_free(v);
		return false;
	}
	GENERAL_NAME_set0_value(g, n ? GEN_IPADD : GEN_DNS, v);
	return sk_GENERAL_NAME_push(names, g) > 0;
}

static bool add_sans(X509 *x, const struct cor_pki_subject *s) {
	_cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();

	for (size_t i = 0; i < s->n_sans; i++)
		if (!add_san(names, s->sans[i]))
			return false;
	return !s->n_sans ||
		X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
}

/* X509_set_pubkey() prints the key and reads it again, which takes longer than to make one. So the points
 * of our own kind go in as they are; only keys of somebody else take the long way. */
static bool set_public_key(X509 *x, EVP_PKEY *key) {
	unsigned char *point = NULL;
	size_t n = 0;
	char group[32] = "";

	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
		strcmp(group, SN_X9_62_prime256v1) == 0)
		n = EVP_PKEY_get1_encoded_public_key(key, &point);
	if (n == 0)
		return X509_set_pubkey(x, key) == 1;
	if (X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(x), OBJ_nid2obj(EVP_PKEY_EC), V_ASN1_OBJECT,
		OBJ_nid2obj(NID_X9_62_prime256v1), point, (int)n) == 1)
		return true;
	OPENSSL_free(point);
	return false;
}

static X509 *blank(const struct cor_pki_subject *s, EVP_PKEY *key) {
	_cleanup_(X509_freep) X509 *x = X509_new();
	_cleanup_(BN_freep) BIGNUM *serial = BN_new();
	X509_NAME *name;

	if (!x || !serial || X509_set_version(x, X509_VERSION_3) != 1 ||
		BN_rand(serial, SERIAL_BYTES * 8 - 1, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
		!BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) ||
		!set_time(X509_getm_notBefore(x), s->not_before) ||
		!set_time(X509_getm_notAfter(x), s->not_after) || !set_public_key(x, key))
		return NULL;
	name = X509_get_subject_name(x);
	for (size_t i = 0; i < s->n_orgs; i++)
		if (!add_name(name, "O", s->orgs[i]))
			return NULL;
	if (s->cn.n && !add_name(name, "CN", s->cn))
		return NULL;
	return cor_take(x);
}

int cor_pki_make_ca(struct cor_str cn, cor_time not_before, cor_time not_after,
	struct cor_pki_pair *ret, struct cor_err *err) {
	struct cor_pki_subject s = { .cn = cn, .not_before = not_before, .not_after = not_after };
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	_cleanup_(X509_freep) X509 *x = key ? blank(&s, key) : NULL;
	_cleanup_pki_pair_ struct cor_pki_pair out = { 0 };
	int r;

	if (!x || X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 ||
		!add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
		!add_ext(x, x, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") ||
		!add_ext(x, x, NID_subject_key_identifier, "hash") ||
		X509_sign(x, key, EVP_sha256()) == 0)
		return cor_tls_fail(err, COR_E_INTERNAL, "CA certificate");
	r = print_cert(x, &out.cert, err);
	if (r >= 0)
		r = print_key(key, &out.key, err);
	if (r < 0)
		return r;
	out.signer = signer_new(cor_take(x), cor_take(key));
	*ret = out;
	out = (struct cor_pki_pair){ 0 };
	return 0;
}

static int ensure_signer(struct cor_pki_pair *ca, struct cor_err *err) {
	if (ca->signer)
		return 0;
	_cleanup_(X509_freep) X509 *cert = read_cert(cor_buf_view(&ca->cert), err);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = cert ? read_key(cor_buf_view(&ca->key), err) : NULL;

	if (!key) {
		cor_wrap(err, "CA");
		return err ? err->code : COR_E_INVALID;
	}
	ca->signer = signer_new(cor_take(cert), cor_take(key));
	return 0;
}

/* Signs a certificate for key, which may be a public one. */
static int issue(struct cor_pki_pair *ca, const struct cor_pki_subject *s, EVP_PKEY *key,
	struct cor_buf *ret, struct cor_err *err) {
	_cleanup_(X509_freep) X509 *x = NULL;
	const char *usage = s->server && s->client ? "serverAuth,clientAuth"
		: s->server ? "serverAuth" : "clientAuth";

	int r = ensure_signer(ca, err);

	if (r < 0)
		return r;
	X509 *ca_cert = ca->signer->cert;
	x = blank(s, key);
	if (!x || X509_set_issuer_name(x, X509_get_subject_name(ca_cert)) != 1 ||
		!add_ext(x, ca_cert, NID_basic_constraints, "critical,CA:FALSE") ||
		!add_ext(x, ca_cert, NID_key_usage, "critical,digitalSignature,keyEncipherment") ||
		!add_ext(x, ca_cert, NID_ext_key_usage, usage) ||
		!add_ext(x, ca_cert, NID_authority_key_identifier, "keyid") || !add_sans(x, s) ||
		X509_sign(x, ca->signer->key, EVP_sha256()) == 0)
		return cor_tls_fail(err, COR_E_INTERNAL, "certificate");
	return print_cert(x, ret, err);
}

int cor_pki_issue(struct cor_pki_pair *ca, const struct cor_pki_subject *s,
	struct cor_pki_pair *ret, struct cor_err *err) {
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	_cleanup_pki_pair_ struct cor_pki_pair out = { 0 };
	int r;

	if (!key)
		return cor_tls_fail(err, COR_E_INTERNAL, "key generation");
	r = issue(ca, s, key, &out.cert, err);
	if (r >= 0)
		r = print_key(key, &out.key, err);
	if (r < 0)
		return r;
	*ret = out;
	out = (struct cor_pki_pair){ 0 };
	return 0;
}

int cor_pki_sign_csr(struct cor_pki_pair *ca, struct cor_str csr_pem,
	const struct cor_pki_subject *s, struct cor_buf *ret_cert, struct cor_err *err) {
	_cleanup_(BIO_free_allp) BIO *b = cor_bio_of(csr_pem);
	_cleanup_(X509_REQ_freep) X509_REQ *req = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
	EVP_PKEY *key = req ? X509_REQ_get0_pubkey(req) : NULL;

	if (!key || X509_REQ_verify(req, key) != 1)
		return cor_tls_fail(err, COR_E_INVALID, "certificate signing request");
	return issue(ca, s, key, ret_cert, err);
}

/* ---- looking ---- */

static bool asn1_time(const ASN1_TIME *t, cor_time *ret) {
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*ret = (cor_time)timegm(&tm) * COR_SECOND;
	return true;
}

int cor_pki_validity(struct cor_str pem, cor_time *ret_not_before, cor_time *ret_not_after,
	struct cor_err *err) {
	_cleanup_(X509_freep) X509 *x = read_cert(pem, err);
	cor_time from, to;

	if (!x)
		return err ? err->code : COR_E_PARSE;
	if (!asn1_time(X509_get0_notBefore(x), &from) || !asn1_time(X509_get0_notAfter(x), &to))
		return cor_tls_fail(err, COR_E_PARSE, "certificate's times");
	*ret_not_before = from;
	*ret_not_after = to;
	return 0;
}

bool cor_pki_expires_within(struct cor_str pem, cor_time now, cor_time margin) {
	cor_time from, to;

	return cor_pki_validity(pem, &from, &to, NULL) < 0 || to - margin <= now;
}

static bool covers(X509 *x, struct cor_str san) {
	_cleanup_free_ char *text = cor_str_dup_c(san);
	unsigned char ip[16];

	if (ip_bytes(san, ip))
		return X509_check_ip_asc(x, text, 0) == 1;
	return X509_check_host(x, text, san.n, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

bool cor_pki_fits(const struct cor_pki_pair *p, struct cor_str ca_cert, const struct cor_str *sans,
	size_t n_sans) {
	_cleanup_(X509_freep) X509 *x = read_cert(cor_buf_view(&p->cert), NULL);
	_cleanup_(X509_freep) X509 *ca = read_cert(ca_cert, NULL);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = read_key(cor_buf_view(&p->key), NULL);
	bool ok = x && ca && key && X509_verify(x, X509_get0_pubkey(ca)) == 1 &&
		X509_check_private_key(x, key) == 1;

	for (size_t i = 0; ok && i < n_sans; i++)
		ok = covers(x, sans[i]);
	ERR_clear_error();
	return ok;
}

int cor_pki_fingerprint(struct cor_str pem, char out[COR_SHA256_HEX], struct cor_err *err) {
	_cleanup_(X509_freep) X509 *x = read_cert(pem, err);
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (!x)
		return err ? err->code : COR_E_PARSE;
	if (X509_digest(x, EVP_sha256(), md, &n) != 1)
		return cor_tls_fail(err, COR_E_INTERNAL, "fingerprint");
	for (unsigned int i = 0; i < n; i++)
		snprintf(out + 2 * (size_t)i, 3, "%02x", md[i]);
	return 0;
}
