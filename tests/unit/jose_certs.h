/* SPDX-License-Identifier: MIT */
/* Certificates of the keys in jose_keys.h. */
#ifndef TEST_JOSE_CERTS_H
#define TEST_JOSE_CERTS_H

#include <openssl/x509.h>

#include "cmg/base/alloc.h"
#include "jose_pkey.h"

/* A self-signed certificate of a key: PEM that the caller frees. From and to in seconds from now.
 */
static char *jose_certificate_of(EVP_PKEY *pkey, long from_s, long to_s)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"site", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_gmtime_adj(X509_getm_notBefore(x), from_s);
    X509_gmtime_adj(X509_getm_notAfter(x), to_s);
    X509_set_pubkey(x, pkey);
    if (!X509_sign(x, pkey, EVP_sha256()) || !PEM_write_bio_X509(bio, x))
        abort();
    long n = BIO_get_mem_data(bio, &p);
    char *pem = cmg_strndup(p, (size_t)n);
    BIO_free(bio);
    X509_free(x);
    return pem;
}

static char *jose_certificate(enum jose_key which, long from_s, long to_s)
{
    EVP_PKEY *pkey = jose_pkey(which);
    char *pem = jose_certificate_of(pkey, from_s, to_s);
    EVP_PKEY_free(pkey);
    return pem;
}

#endif
