// SPDX-License-Identifier: Apache-2.0
// Cleanup attributes for OpenSSL's objects, shared by the files that make certificates and tokens.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "base/str.h"

COR_DEFINE_CLEANUP(BIO *, BIO_free_all)
COR_DEFINE_CLEANUP(X509 *, X509_free)
COR_DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
COR_DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
COR_DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
COR_DEFINE_CLEANUP(ECDSA_SIG *, ECDSA_SIG_free)
COR_DEFINE_CLEANUP(BIGNUM *, BN_free)
COR_DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)

static inline BIO *cor_bio_of(struct cor_str s) {
	return BIO_new_mem_buf(s.p ? s.p : "", (int)s.n);
}
