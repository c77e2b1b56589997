/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cmg/auth/pem.h"
#include "cmg/base/alloc.h"
#include "ctl/pki_openssl.h"

struct pki_crl {
    const struct pki_pair *ca; /* borrowed */
    X509_CRL *list;            /* owned */
    bool is_new;               /* not read: the first of its authority */
};

/* RFC 5280 section 5.3.1. The same order below. */
const char *const pki_reasons[] = { "unspecified",
                                    "key-compromise",
                                    "ca-compromise",
                                    "affiliation-changed",
                                    "superseded",
                                    "cessation-of-operation",
                                    NULL };

static const int codes[] = { CRL_REASON_UNSPECIFIED,   CRL_REASON_KEY_COMPROMISE,
                             CRL_REASON_CA_COMPROMISE, CRL_REASON_AFFILIATION_CHANGED,
                             CRL_REASON_SUPERSEDED,    CRL_REASON_CESSATION_OF_OPERATION };

static X509_CRL *empty(const struct pki_pair *ca)
{
    X509_CRL *list = X509_CRL_new();
    pki_must(list && X509_CRL_set_version(list, X509_CRL_VERSION_2) &&
             X509_CRL_set_issuer_name(list, X509_get_subject_name(ca->x)));
    return list;
}

static X509_CRL *parse(struct cmg_str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    pki_must(bio != NULL);
    X509_CRL *list = PEM_read_bio_X509_CRL(bio, NULL, cmg_pem_no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return list;
}

static bool is_of(X509_CRL *list, const struct pki_pair *ca)
{
    bool same = X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(ca->x)) == 0;
    bool genuine = same && X509_CRL_verify(list, ca->key) == 1;
    ERR_clear_error();
    return genuine;
}

struct pki_crl *pki_crl_read(struct cmg_str pem, const struct pki_pair *ca, struct cmg_err *err)
{
    X509_CRL *list = pem.n ? parse(pem) : empty(ca);
    if (!list) {
        cmg_fail(err, CMG_ECONF, "holds no revocation list (PEM)");
        return NULL;
    }
    if (pem.n && !is_of(list, ca)) {
        cmg_fail(err, CMG_ECONF, "is the revocation list of another authority");
        X509_CRL_free(list);
        return NULL;
    }
    struct pki_crl *c = cmg_alloc(sizeof(*c));
    *c = (struct pki_crl){ ca, list, !pem.n };
    return c;
}

void pki_crl_free(struct pki_crl *c)
{
    if (!c)
        return;
    X509_CRL_free(c->list);
    free(c);
}

size_t pki_crl_count(const struct pki_crl *c)
{
    int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(c->list));
    return n > 0 ? (size_t)n : 0;
}

/* --- entries -------------------------------------------------------------------------------- */

static X509 *certificate_of(const struct pki_crl *c, struct cmg_str pem, struct cmg_err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    pki_must(bio != NULL);
    X509 *x = PEM_read_bio_X509(bio, NULL, cmg_pem_no_password, NULL);
    BIO_free(bio);
    bool ours = x && X509_verify(x, c->ca->key) == 1;
    ERR_clear_error();
    if (ours)
        return x;
    cmg_fail(err, CMG_ECONF, x ? "was not issued by this authority" : "holds no certificate (PEM)");
    X509_free(x);
    return NULL;
}

static void set_reason(X509_REVOKED *entry, const char *reason)
{
    for (size_t i = 0; pki_reasons[i]; i++) {
        if (strcmp(pki_reasons[i], reason) != 0)
            continue;
        ASN1_ENUMERATED *code = ASN1_ENUMERATED_new();
        pki_must(code && ASN1_ENUMERATED_set(code, codes[i]) &&
                 X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, code, 0, 0));
        ASN1_ENUMERATED_free(code);
    }
}

static void add_entry(X509_CRL *list, X509 *x, const char *reason, int64_t now)
{
    ASN1_TIME *when = ASN1_TIME_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    pki_must(when && entry);
    pki_set_time(when, now);
    pki_must(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(x)) &&
             X509_REVOKED_set_revocationDate(entry, when));
    if (reason)
        set_reason(entry, reason);
    pki_must(X509_CRL_add0_revoked(list, entry));
    ASN1_TIME_free(when);
}

enum cmg_rc pki_crl_add(struct pki_crl *c, struct cmg_str pem, const char *reason, int64_t now,
                        struct cmg_err *err)
{
    X509_REVOKED *there = NULL;
    X509 *x = certificate_of(c, pem, err);
    if (!x)
        return CMG_ECONF;
    enum cmg_rc rc = CMG_MORE;
    if (X509_CRL_get0_by_cert(c->list, &there, x) == 0) {
        add_entry(c->list, x, reason, now);
        rc = CMG_OK;
    }
    X509_free(x);
    return rc;
}

/* --- signing -------------------------------------------------------------------------------- */

/* Readers that keep an older list tell by its number which is newer. */
static void count_on(struct pki_crl *c)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(c->list, NID_crl_number, NULL, NULL);
    BIGNUM *n = number ? ASN1_INTEGER_to_BN(number, NULL) : BN_new();
    ASN1_INTEGER_free(number);
    pki_must(n && BN_add_word(n, 1));
    number = BN_to_ASN1_INTEGER(n, NULL);
    BN_free(n);
    pki_must(number &&
             X509_CRL_add1_ext_i2d(c->list, NID_crl_number, number, 0, X509V3_ADD_REPLACE));
    ASN1_INTEGER_free(number);
}

static void name_the_key(struct pki_crl *c)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, c->ca->x, NULL, NULL, c->list, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid");
    if (e) /* an authority of elsewhere may have no key identifier */
        pki_must(X509_CRL_add_ext(c->list, e, -1));
    X509_EXTENSION_free(e);
    ERR_clear_error();
}

char *pki_crl_sign(struct pki_crl *c, int64_t now, int64_t next)
{
    ASN1_TIME *t = ASN1_TIME_new();
    pki_must(t != NULL);
    pki_set_time(t, now - PKI_EARLIER_S);
    pki_must(X509_CRL_set1_lastUpdate(c->list, t));
    pki_set_time(t, next);
    pki_must(X509_CRL_set1_nextUpdate(c->list, t));
    ASN1_TIME_free(t);
    count_on(c);
    if (c->is_new)
        name_the_key(c);
    c->is_new = false;
    pki_must(X509_CRL_sort(c->list) && X509_CRL_sign(c->list, c->ca->key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    pki_must(bio && PEM_write_bio_X509_CRL(bio, c->list));
    return pki_text_of(bio);
}
