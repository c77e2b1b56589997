/* SPDX-License-Identifier: MIT */
/* The table: which source gave which lists. */
#include "crl.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "cmg/base/alloc.h"
#include "verdict.h"

struct cmg_crls *cmg_crls_new(struct cmg_trust *trust)
{
    struct cmg_crls *t = cmg_alloc(sizeof(*t));
    t->trust = cmg_trust_ref(trust);
    t->store = X509_STORE_new();
    if (!t->store)
        abort();
    for (int i = 0; i < sk_X509_num(trust->certs); i++)
        if (!X509_STORE_add_cert(t->store, sk_X509_value(trust->certs, i)))
            abort();
    cmg_crl_judging_init(t);
    ERR_clear_error();
    return t;
}

void cmg_crls_free(struct cmg_crls *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->nlists; i++)
        cmg_crl_clear(&t->lists[i]);
    free(t->lists);
    X509_STORE_free(t->store);
    cmg_trust_unref(t->trust);
    free(t);
}

/* Old and new -------------------------------------------------------------------------------- */

static bool is_from(const struct cmg_crl *c, const char *source)
{
    return strcmp(c->source, source) == 0;
}

static bool same_scope(const X509_CRL *a, const X509_CRL *b)
{
    int i = X509_CRL_get_ext_by_NID(a, NID_issuing_distribution_point, -1);
    int k = X509_CRL_get_ext_by_NID(b, NID_issuing_distribution_point, -1);
    if (i < 0 || k < 0)
        return i < 0 && k < 0;
    return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_CRL_get_ext(a, i)),
                                 X509_EXTENSION_get_data(X509_CRL_get_ext(b, k))) == 0;
}

/* Whether one is a later or earlier issue of the other: a renewed CA goes on with a series of
 * its own for each key. */
static bool same_series(const struct cmg_crl *a, const struct cmg_crl *b)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(a->list), X509_CRL_get_issuer(b->list)) == 0 &&
           EVP_PKEY_eq(a->key, b->key) == 1 && same_scope(a->list, b->list);
}

static int64_t from(const struct cmg_crl *c)
{
    return cmg_crl_seconds(X509_CRL_get0_lastUpdate(c->list));
}

static int64_t until(const struct cmg_crl *c)
{
    return cmg_crl_seconds(X509_CRL_get0_nextUpdate(c->list));
}

static enum cmg_rc older(const struct cmg_crls *t, const struct cmg_crl *fresh, struct cmg_err *err)
{
    for (size_t i = 0; i < t->nlists; i++) {
        const struct cmg_crl *old = &t->lists[i];
        if (!is_from(old, fresh->source) || from(fresh) >= from(old) || !same_series(old, fresh))
            continue;
        char issuer[CMG_CRL_NAME], was[16], is[16];
        cmg_verdict_name(X509_CRL_get_issuer(fresh->list), issuer, sizeof(issuer));
        cmg_verdict_date(X509_CRL_get0_lastUpdate(old->list), was);
        cmg_verdict_date(X509_CRL_get0_lastUpdate(fresh->list), is);
        return cmg_fail(err, CMG_EDENIED,
                        "%.90s: revocation list of issuer \"%s\" of %s is older than the one of %s "
                        "that was there before",
                        fresh->source, issuer, is, was);
    }
    return CMG_OK;
}

static enum cmg_rc dated(const struct cmg_crl *fresh, int64_t now, struct cmg_err *err)
{
    bool early = from(fresh) > now;
    char issuer[CMG_CRL_NAME], date[16];
    if (!now || (!early && until(fresh) > now))
        return CMG_OK;
    cmg_verdict_name(X509_CRL_get_issuer(fresh->list), issuer, sizeof(issuer));
    cmg_verdict_date(early ? X509_CRL_get0_lastUpdate(fresh->list)
                           : X509_CRL_get0_nextUpdate(fresh->list),
                     date);
    return cmg_fail(err, CMG_EDENIED, "%.90s: revocation list of issuer \"%s\" %s %s",
                    fresh->source, issuer,
                    early ? "is not valid before (or the clock is wrong):" : "ended on", date);
}

/* Replacing ---------------------------------------------------------------------------------- */

static bool has(const struct cmg_crls *t, const struct cmg_crl *fresh)
{
    for (size_t i = 0; i < t->nlists; i++)
        if (is_from(&t->lists[i], fresh->source) &&
            X509_CRL_match(t->lists[i].list, fresh->list) == 0)
            return true;
    return false;
}

static size_t count(const struct cmg_crls *t, const char *source)
{
    size_t n = 0;
    for (size_t i = 0; i < t->nlists; i++)
        n += is_from(&t->lists[i], source);
    return n;
}

static enum cmg_rc fits(const struct cmg_crls *t, const char *source, const struct cmg_crl *fresh,
                        size_t n, int64_t current_at, struct cmg_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (older(t, &fresh[i], err) != CMG_OK || dated(&fresh[i], current_at, err) != CMG_OK)
            return CMG_EDENIED;
    if (t->nlists - count(t, source) + n > CMG_CRLS_MAX)
        return cmg_fail(err, CMG_ETOOBIG, "%.120s: there are more than %d revocation lists", source,
                        CMG_CRLS_MAX);
    return CMG_OK;
}

static void drop(struct cmg_crls *t, const char *source)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->nlists; i++) {
        if (is_from(&t->lists[i], source))
            cmg_crl_clear(&t->lists[i]);
        else
            t->lists[kept++] = t->lists[i];
    }
    t->nlists = kept;
}

static void append(struct cmg_crls *t, const struct cmg_crl *taken, size_t n)
{
    t->lists = cmg_realloc(t->lists, sizeof(*t->lists) * (t->nlists + n));
    memcpy(t->lists + t->nlists, taken, sizeof(*taken) * n);
    t->nlists += n;
}

/* Most fetches bring what is there already, and reading a list takes fifty times as long as
 * looking whether it is the same. */
static bool known(const struct cmg_crls *t, const char *source, const unsigned char *digest)
{
    for (size_t i = 0; i < t->nlists; i++)
        if (is_from(&t->lists[i], source))
            return memcmp(t->lists[i].digest, digest, CRL_DIGEST) == 0;
    return false;
}

static enum cmg_rc still(const struct cmg_crls *t, const char *source, int64_t current_at,
                         struct cmg_err *err)
{
    for (size_t i = 0; i < t->nlists; i++)
        if (is_from(&t->lists[i], source) && dated(&t->lists[i], current_at, err) != CMG_OK)
            return CMG_EDENIED;
    return CMG_OK;
}

static void replace(struct cmg_crls *t, const char *source, struct cmg_crl *taken, size_t n,
                    const unsigned char *digest, bool *changed)
{
    *changed = count(t, source) != n;
    for (size_t i = 0; i < n; i++) {
        *changed |= !has(t, &taken[i]);
        memcpy(taken[i].digest, digest, CRL_DIGEST);
    }
    drop(t, source);
    append(t, taken, n);
}

enum cmg_rc cmg_crls_put(struct cmg_crls *t, const char *source, struct cmg_str bytes,
                         int64_t current_at, bool *changed, struct cmg_err *err)
{
    struct cmg_crl *fresh;
    unsigned char digest[CRL_DIGEST];
    size_t n;
    *changed = false;
    if (!EVP_Digest(bytes.p, bytes.n, digest, NULL, EVP_sha256(), NULL))
        abort();
    if (known(t, source, digest))
        return still(t, source, current_at, err);
    enum cmg_rc rc = cmg_crl_read(t->trust, source, bytes, &fresh, &n, err);
    if (rc != CMG_OK)
        return rc;
    rc = fits(t, source, fresh, n, current_at, err);
    if (rc == CMG_OK)
        replace(t, source, fresh, n, digest, changed);
    for (size_t i = 0; i < n && rc != CMG_OK; i++)
        cmg_crl_clear(&fresh[i]);
    free(fresh);
    return rc;
}

bool cmg_crls_copy(struct cmg_crls *to, const struct cmg_crls *old, const char *source)
{
    size_t n = count(old, source);
    for (size_t i = 0; i < old->nlists && to->nlists < CMG_CRLS_MAX; i++) {
        struct cmg_crl fresh;
        if (!is_from(&old->lists[i], source))
            continue;
        if (cmg_crl_admit(to->trust, source, old->lists[i].list, &fresh, NULL) != CMG_OK)
            continue; /* and without a digest the next bytes are read, whatever they are */
        append(to, &fresh, 1);
    }
    return n && count(to, source) == n;
}

/* Looking ------------------------------------------------------------------------------------ */

size_t cmg_crls_about(const struct cmg_crls *t, const char *source, struct cmg_crl_about *out,
                      size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < t->nlists && n < max; i++) {
        const struct cmg_crl *c = &t->lists[i];
        if (!is_from(c, source))
            continue;
        cmg_verdict_name(X509_CRL_get_issuer(c->list), out[n].issuer, sizeof(out[n].issuer));
        out[n].this_update = from(c);
        out[n].next_update = until(c);
        int entries = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(c->list));
        out[n++].revoked = entries > 0 ? (size_t)entries : 0; /* -1: there is no such sequence */
    }
    return n;
}

int64_t cmg_crls_next_end(const struct cmg_crls *t, int64_t now)
{
    int64_t next = 0;
    for (size_t i = 0; i < t->nlists; i++) {
        int64_t at = until(&t->lists[i]);
        if (at > now && (!next || at < next))
            next = at;
    }
    return next;
}
