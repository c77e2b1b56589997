/* SPDX-License-Identifier: MIT */
/* From bytes to lists that somebody whom we trust has signed. */
#include "crl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cmg/auth/pem.h"
#include "cmg/base/alloc.h"
#include "verdict.h"

int64_t cmg_crl_seconds(const ASN1_TIME *t)
{
    struct tm tm;
    return t && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

void cmg_crl_clear(struct cmg_crl *c)
{
    X509_CRL_free(c->list);
    X509_CRL_free(c->head);
    EVP_PKEY_free(c->key);
    free(c->source);
    *c = (struct cmg_crl){ .list = NULL };
}

/* Kinds -------------------------------------------------------------------------------------- */

static enum cmg_rc refuse(const char *source, const X509_CRL *list, const char *why,
                          struct cmg_err *err)
{
    char issuer[CMG_CRL_NAME];
    cmg_verdict_name(X509_CRL_get_issuer(list), issuer, sizeof(issuer));
    return cmg_fail(err, CMG_EPROTO, "%.90s: revocation list of issuer \"%s\" %s", source, issuer,
                    why);
}

static const char *wrong_scope(const ISSUING_DIST_POINT *idp)
{
    if (idp->indirectCRL > 0)
        return "is an indirect one: use the list that the issuer itself signs";
    if (idp->onlysomereasons)
        return "is for some reasons only: use one for all reasons";
    if ((idp->onlyuser > 0) + (idp->onlyCA > 0) + (idp->onlyattr > 0) > 1)
        return "contradicts itself about what it covers";
    return NULL;
}

static enum cmg_rc kind(const char *source, const X509_CRL *list, struct cmg_err *err)
{
    if (X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0)
        return refuse(source, list, "is a delta list: use the base list", err);
    if (!cmg_crl_seconds(X509_CRL_get0_lastUpdate(list)) ||
        !cmg_crl_seconds(X509_CRL_get0_nextUpdate(list)))
        return refuse(source, list, "does not say from when to when it is valid", err);
    if (X509_CRL_get_ext_by_NID(list, NID_issuing_distribution_point, -1) < 0)
        return CMG_OK;

    ISSUING_DIST_POINT *idp =
        X509_CRL_get_ext_d2i(list, NID_issuing_distribution_point, NULL, NULL);
    const char *why = idp ? wrong_scope(idp) : "has a damaged issuing distribution point";
    ISSUING_DIST_POINT_free(idp);
    return why ? refuse(source, list, why, err) : CMG_OK;
}

/* Who signed it ------------------------------------------------------------------------------ */

static bool may_sign(X509 *ca)
{
    bool limited = (X509_get_extension_flags(ca) & EXFLAG_KUSAGE) != 0;
    return X509_check_ca(ca) > 0 && (!limited || (X509_get_key_usage(ca) & KU_CRL_SIGN));
}

/* A CA that was renewed is there several times under one name: any of them may be the one. */
static EVP_PKEY *signer(const struct cmg_trust *trust, X509_CRL *list, bool *named)
{
    *named = false;
    for (int i = 0; i < sk_X509_num(trust->certs); i++) {
        X509 *ca = sk_X509_value(trust->certs, i);
        if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(list)) != 0)
            continue;
        *named = true;
        EVP_PKEY *key = X509_get0_pubkey(ca);
        if (key && may_sign(ca) && X509_CRL_verify(list, key) == 1)
            return key;
    }
    return NULL;
}

static X509_CRL *head_of(const X509_CRL *list)
{
    X509_CRL *head = X509_CRL_new();
    if (!head || !X509_CRL_set1_lastUpdate(head, X509_CRL_get0_lastUpdate(list)) ||
        !X509_CRL_set1_nextUpdate(head, X509_CRL_get0_nextUpdate(list)))
        abort();
    return head;
}

/* OpenSSL sorts the entries at the first look: now, not under the first client. */
static void sort(X509_CRL *list)
{
    ASN1_INTEGER *none = ASN1_INTEGER_new();
    X509_REVOKED *found;
    if (!none)
        abort();
    (void)X509_CRL_get0_by_serial(list, &found, none);
    ASN1_INTEGER_free(none);
}

enum cmg_rc cmg_crl_admit(const struct cmg_trust *trust, const char *source, X509_CRL *list,
                          struct cmg_crl *out, struct cmg_err *err)
{
    bool named;
    char issuer[CMG_CRL_NAME];
    EVP_PKEY *key = signer(trust, list, &named);
    ERR_clear_error();
    if (!key) {
        cmg_verdict_name(X509_CRL_get_issuer(list), issuer, sizeof(issuer));
        return cmg_fail(
            err, CMG_EDENIED, "%.90s: revocation list of issuer \"%s\": %s %.60s", source, issuer,
            named ? "its signature is not by the CA of that name in" : "there is no such CA in",
            cmg_verdict_file(trust->path));
    }
    if (!X509_CRL_up_ref(list) || !EVP_PKEY_up_ref(key))
        abort();
    sort(list);
    *out = (struct cmg_crl){
        .list = list, .head = head_of(list), .key = key, .source = cmg_strdup(source)
    };
    return CMG_OK;
}

/* Bytes -------------------------------------------------------------------------------------- */

static enum cmg_rc read_pem(const char *source, struct cmg_str in, STACK_OF(X509_CRL) * to,
                            struct cmg_err *err)
{
    BIO *bio = BIO_new_mem_buf(in.n ? in.p : "", (int)in.n); /* refuses NULL */
    X509_CRL *list;
    if (!bio)
        abort();
    ERR_clear_error();
    while (sk_X509_CRL_num(to) < CMG_CRLS_MAX &&
           (list = PEM_read_bio_X509_CRL(bio, NULL, cmg_pem_no_password, NULL)))
        if (!sk_X509_CRL_push(to, list))
            abort();
    bool whole = cmg_pem_ended();
    BIO_free(bio);
    int n = sk_X509_CRL_num(to);
    if (n == CMG_CRLS_MAX)
        return cmg_fail(err, CMG_ETOOBIG, "%.120s holds too many revocation lists", source);
    if (!whole)
        return cmg_fail(err, CMG_EPROTO, "%.120s: revocation list %d in it is damaged", source,
                        n + 1);
    if (n == 0)
        return cmg_fail(err, CMG_EPROTO, "%.120s holds no revocation list, neither PEM nor DER",
                        source);
    return CMG_OK;
}

static enum cmg_rc read_der(const char *source, struct cmg_str in, STACK_OF(X509_CRL) * to,
                            struct cmg_err *err)
{
    const unsigned char *p = (const unsigned char *)in.p, *end = p + in.n;
    X509_CRL *list = d2i_X509_CRL(NULL, &p, (long)in.n);
    if (list && p == end) {
        if (!sk_X509_CRL_push(to, list))
            abort();
        return CMG_OK;
    }
    X509_CRL_free(list);
    return cmg_fail(err, CMG_EPROTO, "%.120s: the revocation list in it is damaged or cut off",
                    source);
}

/* A SEQUENCE of more than 127 bytes: no text begins like that. */
static bool is_der(struct cmg_str in)
{
    return in.n > 2 && in.p[0] == 0x30 && ((unsigned char)in.p[1] & 0x80);
}

enum cmg_rc cmg_crl_read(const struct cmg_trust *trust, const char *source, struct cmg_str bytes,
                         struct cmg_crl **lists, size_t *nlists, struct cmg_err *err)
{
    STACK_OF(X509_CRL) *read = sk_X509_CRL_new_null();
    enum cmg_rc rc = CMG_OK;
    if (!read)
        abort();
    if (bytes.n > INT_MAX)
        rc = cmg_fail(err, CMG_ETOOBIG, "%.120s is too large", source);
    else
        rc =
            is_der(bytes) ? read_der(source, bytes, read, err) : read_pem(source, bytes, read, err);

    int n = sk_X509_CRL_num(read);
    *lists = cmg_alloc(sizeof(**lists) * (size_t)(n + 1));
    *nlists = 0;
    for (int i = 0; i < n && rc == CMG_OK; i++) {
        X509_CRL *list = sk_X509_CRL_value(read, i);
        rc = kind(source, list, err);
        if (rc == CMG_OK)
            rc = cmg_crl_admit(trust, source, list, &(*lists)[i], err);
        *nlists += rc == CMG_OK;
    }
    sk_X509_CRL_pop_free(read, X509_CRL_free);
    ERR_clear_error();
    if (rc == CMG_OK)
        return CMG_OK;
    while (*nlists)
        cmg_crl_clear(&(*lists)[--*nlists]);
    free(*lists);
    *lists = NULL;
    return rc;
}
