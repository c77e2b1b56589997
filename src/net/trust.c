/* SPDX-License-Identifier: MIT */
#include "trust.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "cmg/auth/pem.h"
#include "cmg/base/alloc.h"
#include "cmg/net/file.h"
#include "tls_peer.h"

enum { MAX_FILE = 4 * 1024 * 1024 }; /* the system's bundle has 200 KiB */

static enum cmg_rc read_pem(BIO *bio, STACK_OF(X509) * certs, const char *path, struct cmg_err *err)
{
    X509 *x;
    ERR_clear_error();
    while ((x = PEM_read_bio_X509(bio, NULL, cmg_pem_no_password, NULL)))
        if (!sk_X509_push(certs, x))
            abort();
    bool whole = cmg_pem_ended();
    ERR_clear_error();
    int n = sk_X509_num(certs);
    if (!whole)
        return cmg_fail(err, CMG_ECONF, "%s: certificate %d in it is damaged", path, n + 1);
    if (n == 0)
        return cmg_fail(err, CMG_ECONF, "%s holds no PEM certificate", path);
    return CMG_OK;
}

STACK_OF(X509) * cmg_trust_read(const char *path, struct cmg_err *err)
{
    size_t n = 0;
    char *text = cmg_file_read(path, CMG_FILE_PUBLIC, MAX_FILE, &n, err);
    if (!text)
        return NULL;

    BIO *bio = BIO_new_mem_buf(text, (int)n);
    STACK_OF(X509) *certs = sk_X509_new_null();
    if (!bio || !certs)
        abort();
    enum cmg_rc rc = read_pem(bio, certs, path, err);
    BIO_free(bio);
    free(text);
    if (rc == CMG_OK)
        return certs;
    sk_X509_pop_free(certs, X509_free);
    return NULL;
}

struct cmg_trust *cmg_trust_load(const char *path, struct cmg_err *err)
{
    STACK_OF(X509) *certs = cmg_trust_read(path, err);
    if (!certs)
        return NULL;

    struct cmg_trust *t = cmg_alloc(sizeof(*t));
    atomic_init(&t->refs, 1);
    t->certs = certs;
    t->path = cmg_strdup(path);
    t->store = X509_STORE_new();
    if (!t->store)
        abort();
    for (int i = 0; i < sk_X509_num(certs); i++)
        if (!X509_STORE_add_cert(t->store, sk_X509_value(certs, i)))
            abort();
    ERR_clear_error();
    return t;
}

struct cmg_trust *cmg_trust_ref(struct cmg_trust *t)
{
    if (t)
        atomic_fetch_add(&t->refs, 1);
    return t;
}

void cmg_trust_unref(struct cmg_trust *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    X509_STORE_free(t->store);
    sk_X509_pop_free(t->certs, X509_free);
    free(t->path);
    free(t);
}

size_t cmg_trust_count(const struct cmg_trust *t)
{
    return (size_t)sk_X509_num(t->certs);
}

void cmg_trust_certificate(const struct cmg_trust *t, size_t i, struct cmg_tls_identity *out)
{
    cmg_peer_describe(sk_X509_value(t->certs, (int)i), out);
}
