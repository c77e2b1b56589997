/* SPDX-License-Identifier: MIT */
/* Revocation lists for tests, made as needed, in memory. Include certs.h first. */
#ifndef TEST_CRLS_H
#define TEST_CRLS_H

#include "certs.h"
#include "cmg/base/str.h"

struct crl_spec {
    const struct cert *issuer;
    const struct cert *signer;         /* NULL: the issuer                     */
    const struct cert *const *revoked; /* NULL-ended; NULL: none               */
    int reason;                        /* CRL_REASON_...; 0: none is given     */
    int from_days, to_days;            /* from now; both 0: yesterday to tomorrow */
    int to_seconds;                    /* not 0: instead of to_days                */
    const char *idp;                   /* "critical,onlyCA:TRUE"; NULL: none   */
    const char *delta;                 /* base number, "0x01"; NULL: none      */
    bool endless;                      /* no nextUpdate                        */
    long fill;                         /* that many more entries               */
};

static void crl_entry(X509_CRL *crl, const ASN1_INTEGER *serial, int reason)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_new();
    ASN1_ENUMERATED *why = ASN1_ENUMERATED_new();
    ASN1_TIME_set_string(when, "20260131120000Z");
    X509_REVOKED_set_serialNumber(r, (ASN1_INTEGER *)(uintptr_t)serial);
    X509_REVOKED_set_revocationDate(r, when);
    ASN1_ENUMERATED_set(why, reason);
    if (reason && !X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, why, 0, 0))
        abort();
    X509_CRL_add0_revoked(crl, r);
    ASN1_TIME_free(when);
    ASN1_ENUMERATED_free(why);
}

static void crl_extension(X509_CRL *crl, int nid, const char *value)
{
    X509V3_CTX ctx;
    if (!value)
        return;
    X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!e || !X509_CRL_add_ext(crl, e, -1))
        abort();
    X509_EXTENSION_free(e);
}

static void crl_fill(X509_CRL *crl, long n)
{
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    for (long i = 0; i < n; i++) {
        ASN1_INTEGER_set(serial, 0x10000000 + i);
        crl_entry(crl, serial, CRL_REASON_SUPERSEDED);
    }
    ASN1_INTEGER_free(serial);
}

static X509_CRL *crl_make(const struct crl_spec *s)
{
    X509_CRL *crl = X509_CRL_new();
    const struct cert *signer = s->signer ? s->signer : s->issuer;
    bool dated = s->from_days || s->to_days;
    ASN1_TIME *t = ASN1_TIME_new();

    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(s->issuer->x));
    X509_gmtime_adj(t, 86400L * (dated ? s->from_days : -1));
    X509_CRL_set1_lastUpdate(crl, t);
    X509_gmtime_adj(t, s->to_seconds ? s->to_seconds : 86400L * (dated ? s->to_days : 1));
    if (!s->endless)
        X509_CRL_set1_nextUpdate(crl, t);
    ASN1_TIME_free(t);
    for (const struct cert *const *c = s->revoked; c && *c; c++)
        crl_entry(crl, X509_get0_serialNumber((*c)->x), s->reason);
    crl_fill(crl, s->fill);
    X509_CRL_sort(crl);
    crl_extension(crl, NID_issuing_distribution_point, s->idp);
    if (s->delta) {
        ASN1_INTEGER *base = s2i_ASN1_INTEGER(NULL, s->delta);
        if (!base || !X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, 1, 0))
            abort();
        ASN1_INTEGER_free(base);
    }
    if (!X509_CRL_sign(crl, signer->key, EVP_sha256()))
        abort();
    return crl;
}

/* Of one list, or of several in a row; the caller frees .p */
static struct cmg_str crl_put(const struct crl_spec *const *specs, bool pem)
{
    BIO *bio = BIO_new(BIO_s_mem());
    for (; *specs; specs++) {
        X509_CRL *crl = crl_make(*specs);
        if (!(pem ? PEM_write_bio_X509_CRL(bio, crl) : i2d_X509_CRL_bio(bio, crl)))
            abort();
        X509_CRL_free(crl);
    }
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    char *copy = malloc((size_t)n + 1);
    if (!copy)
        abort();
    memcpy(copy, p, (size_t)n);
    copy[n] = '\0';
    BIO_free(bio);
    return (struct cmg_str){ copy, (size_t)n };
}

#define CRL_DER(...) \
    crl_put((const struct crl_spec *const[]){ &(struct crl_spec){ __VA_ARGS__ }, NULL }, false)
#define CRL_PEM(...) \
    crl_put((const struct crl_spec *const[]){ &(struct crl_spec){ __VA_ARGS__ }, NULL }, true)

#endif
