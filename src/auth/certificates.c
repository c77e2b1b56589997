/* SPDX-License-Identifier: MIT */
#include "certificates.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"

static char *thumbprint(const X509 *x, const EVP_MD *md)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(x, md, hash, &n) != 1)
        abort();
    char *text = cmg_alloc(cmg_base64_size(CMG_BASE64URL, n) + 1);
    cmg_base64_put(CMG_BASE64URL, (struct cmg_str){ (const char *)hash, n }, text);
    return text;
}

/* A time that cannot be read is one that a key is never usable in. */
static int64_t seconds(const ASN1_TIME *t, int64_t unreadable)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : unreadable;
}

enum cmg_rc cmg_certificate_key(X509 *x, struct cmg_key *k, struct cmg_err *err)
{
    *k = (struct cmg_key){ 0 };
    enum cmg_rc rc = cmg_pubkey_init(&k->pub, X509_get_pubkey(x), err);
    if (rc != CMG_OK)
        return rc;
    k->x5t = thumbprint(x, EVP_sha1());
    k->kid = cmg_strdup(k->x5t);
    k->x5t_s256 = thumbprint(x, EVP_sha256());
    k->not_before = seconds(X509_get0_notBefore(x), INT64_MAX);
    k->not_after = seconds(X509_get0_notAfter(x), INT64_MIN);
    return CMG_OK;
}

BIO *cmg_pem_bio(struct cmg_str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.n ? pem.p : "", pem.n < INT_MAX ? (int)pem.n : INT_MAX);
    if (!bio)
        abort();
    return bio;
}

X509 *cmg_certificate_next(BIO *pem, struct cmg_err *err)
{
    *err = (struct cmg_err){ 0 };
    ERR_set_mark();
    X509 *x = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    unsigned long why = ERR_peek_last_error();
    bool over = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
    ERR_pop_to_mark();
    if (!x && !over)
        cmg_fail(err, CMG_ECONF, "a certificate that cannot be read");
    return x;
}

/* One certificate after the other, until *why says what is wrong or there are no more. */
static void add(struct cmg_keyset *s, BIO *pem, struct cmg_err *why)
{
    size_t n = 0;
    X509 *x;

    for (; (x = cmg_certificate_next(pem, why)); n++) {
        struct cmg_key k;
        enum cmg_rc rc = cmg_certificate_key(x, &k, why);
        X509_free(x);
        if (rc == CMG_OK && cmg_keyset_put(s, &k) == CMG_ETOOBIG)
            rc = cmg_fail(why, CMG_ECONF, "more than %d keys", CMG_KEYSET_MAX);
        if (rc != CMG_OK)
            break;
    }
    if (n == 0 && why->code == CMG_OK)
        cmg_fail(why, CMG_ECONF, "there is no certificate in it");
}

enum cmg_rc cmg_keyset_add_certificates(struct cmg_keyset *s, struct cmg_str pem,
                                        struct cmg_err *err)
{
    size_t before = s->n;
    struct cmg_err why;
    BIO *bio = cmg_pem_bio(pem);

    ERR_set_mark();
    add(s, bio, &why);
    ERR_pop_to_mark();
    BIO_free(bio);
    if (why.code == CMG_OK)
        return CMG_OK;
    cmg_keyset_cut(s, before);
    return cmg_fail(err, CMG_ECONF, "%s", why.text);
}
