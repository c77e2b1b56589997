/* SPDX-License-Identifier: MIT */
#include "cmg/auth/key.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "cmg/auth/pem.h"
#include "certificates.h"
#include "cmg/base/alloc.h"

struct cmg_signer {
    struct cmg_pubkey key;  /* with its private half */
    struct cmg_key of_cert; /* for its names */
};

static X509 *read_certificate(struct cmg_str pem, struct cmg_err *err)
{
    struct cmg_err why;
    BIO *bio = cmg_pem_bio(pem);
    X509 *x = cmg_certificate_next(bio, &why);
    BIO_free(bio);
    if (!x)
        cmg_fail(err, CMG_ECONF, "%s", why.code ? why.text : "there is no certificate in it");
    return x;
}

static EVP_PKEY *read_key(struct cmg_str pem, struct cmg_err *err)
{
    BIO *bio = cmg_pem_bio(pem);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, cmg_pem_no_password, NULL);
    BIO_free(bio);
    if (!pkey)
        cmg_fail(err, CMG_ECONF,
                 "there is no private key in it that can be read without a password");
    return pkey;
}

/* Public halves that match do not say that the private one is whole. */
static bool signs(const struct cmg_pubkey *k)
{
    unsigned char signature[CMG_SIGNATURE_MAX];
    size_t n = cmg_pubkey_sign(k, CMG_STR("test"), signature);
    return n &&
           cmg_pubkey_verify(k, CMG_STR("test"), (struct cmg_str){ (const char *)signature, n });
}

/* *s owns what it has in any case. */
static enum cmg_rc fill(struct cmg_signer *s, X509 *x, struct cmg_str key_pem, struct cmg_err *err)
{
    enum cmg_rc rc = cmg_certificate_key(x, &s->of_cert, err);
    if (rc != CMG_OK)
        return rc;
    EVP_PKEY *pkey = read_key(key_pem, err);
    if (!pkey)
        return CMG_ECONF;
    if (X509_check_private_key(x, pkey) != 1) {
        EVP_PKEY_free(pkey);
        return cmg_fail(err, CMG_ECONF, "the private key is not that of the certificate");
    }
    rc = cmg_pubkey_init(&s->key, pkey, err);
    return rc != CMG_OK || signs(&s->key)
               ? rc
               : cmg_fail(err, CMG_ECONF, "the private key is damaged: what it signs is wrong");
}

struct cmg_signer *cmg_signer_new(struct cmg_str certificate_pem, struct cmg_str key_pem,
                                  struct cmg_err *err)
{
    X509 *x = read_certificate(certificate_pem, err);
    if (!x)
        return NULL;
    struct cmg_signer *s = cmg_alloc(sizeof(*s));
    ERR_set_mark();
    enum cmg_rc rc = fill(s, x, key_pem, err);
    ERR_pop_to_mark();
    X509_free(x);
    if (rc == CMG_OK)
        return s;
    cmg_signer_free(s);
    return NULL;
}

void cmg_signer_free(struct cmg_signer *s)
{
    if (!s)
        return;
    cmg_pubkey_clear(&s->key);
    cmg_key_clear(&s->of_cert);
    free(s);
}

enum cmg_alg cmg_signer_alg(const struct cmg_signer *s)
{
    return s->key.alg;
}

const char *cmg_signer_x5t(const struct cmg_signer *s)
{
    return s->of_cert.x5t;
}

size_t cmg_signer_sign(const struct cmg_signer *s, struct cmg_str text,
                       unsigned char out[CMG_SIGNATURE_MAX])
{
    size_t n = cmg_pubkey_sign(&s->key, text, out);
    if (n == 0)
        abort(); /* it did sign when it was made: this is memory */
    return n;
}
