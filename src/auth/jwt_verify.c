/* SPDX-License-Identifier: MIT */
/* Whether to believe a token. The rule and the key set decide everything; the token says only
 * which of the keys made it, and is believed in that when the signature is right. */
#include <stdio.h>
#include <time.h>

#include "cmg/base/alloc.h"
#include "keyset.h"
#include "shown.h"
#include "token.h"

/* The end of the year 9999. No date is later: so sums of dates and leeways cannot overflow. */
static const int64_t date_max = INT64_C(253402300799);

enum { DATE_TEXT = 24 };

static const char *date(int64_t when, char out[DATE_TEXT])
{
    time_t t = (time_t)when;
    struct tm tm;
    if (when > date_max || !gmtime_r(&t, &tm) ||
        strftime(out, DATE_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, DATE_TEXT, "never");
    return out;
}

/* ---- The key ---- */

static enum cmg_rc check_key(const struct cmg_jwt *t, const struct cmg_key *k, int64_t now,
                             struct cmg_err *err)
{
    char text[DATE_TEXT];
    if (k->pub.alg != t->alg)
        return cmg_fail(err, CMG_EDENIED, "its key is for %s, not for %s", cmg_alg_name(k->pub.alg),
                        cmg_alg_name(t->alg));
    if (k->not_before && now < k->not_before)
        return cmg_fail(err, CMG_EDENIED, "the certificate of its key is not valid before %s",
                        date(k->not_before, text));
    if (k->not_after && now > k->not_after)
        return cmg_fail(err, CMG_EDENIED, "the certificate of its key expired %s",
                        date(k->not_after, text));
    return CMG_OK;
}

static bool listed(struct cmg_str text, const char *const *list)
{
    for (; text.p && *list; list++)
        if (cmg_str_eq(text, cmg_str(*list)))
            return true;
    return false;
}

/* Microsoft's sets hold keys of several issuers and say whose each of them is, with
 * "{tenantid}" for keys that sign for every tenant. Such a key signs for nobody else: otherwise
 * who has one for private accounts would sign for every organisation. */
static bool key_is_for(const struct cmg_key *k, const char *const *issuers)
{
    return !k->issuer || strstr(k->issuer, "{tenantid}") || listed(cmg_str(k->issuer), issuers);
}

static enum cmg_rc check_signature(const struct cmg_jwt *t, const struct cmg_jwt_rule *rule,
                                   const struct cmg_keyset *keys, int64_t now, struct cmg_err *err)
{
    const struct cmg_key_names names = cmg_jwt_key_names(t);
    size_t i;
    enum cmg_rc rc = cmg_keyset_find(keys, &names, &i, err);
    if (rc == CMG_OK)
        rc = check_key(t, &keys->v[i], now, err);
    if (rc != CMG_OK)
        return rc;
    if (!cmg_key_verify(keys, i, (struct cmg_str){ t->text, t->text_n },
                        (struct cmg_str){ t->signature, t->signature_n }))
        return cmg_fail(err, CMG_EDENIED, "its signature is wrong");
    if (!key_is_for(&keys->v[i], rule->issuers))
        return cmg_fail(err, CMG_EDENIED, "its key signs for another issuer");
    return CMG_OK;
}

/* ---- What it says ---- */

static enum cmg_rc check_parties(const struct cmg_jwt *t, const struct cmg_jwt_rule *rule,
                                 struct cmg_err *err)
{
    char word[CMG_SHOWN];
    struct cmg_str issuer = cmg_jwt_text(t, "iss"), audience = cmg_jwt_text(t, "aud");
    if (!listed(issuer, rule->issuers))
        return cmg_fail(err, CMG_EDENIED, "its issuer is not one of ours: %s",
                        issuer.p ? cmg_shown(issuer, word) : "there is none");
    if (!cmg_jwt_is_for(t, rule->audiences))
        return cmg_fail(err, CMG_EDENIED, "its audience is another: %s",
                        audience.p ? cmg_shown(audience, word) : "none, or a list");
    return CMG_OK;
}

/* *out is -1 when the claim is not there. */
static enum cmg_rc read_date(const struct cmg_jwt *t, const char *claim, int64_t *out,
                             struct cmg_err *err)
{
    *out = cmg_jwt_number(t, claim);
    if (!json_object_get(t->claims, claim) || (*out >= 0 && *out <= date_max))
        return CMG_OK;
    return cmg_fail(err, CMG_EDENIED, "its %s is not a date in seconds since 1970", claim);
}

struct dates {
    int64_t nbf, iat, exp; /* -1: not there; exp always is */
};

static enum cmg_rc read_dates(const struct cmg_jwt *t, struct dates *d, struct cmg_err *err)
{
    enum cmg_rc rc = read_date(t, "exp", &d->exp, err);
    if (rc == CMG_OK)
        rc = read_date(t, "nbf", &d->nbf, err);
    if (rc == CMG_OK)
        rc = read_date(t, "iat", &d->iat, err);
    if (rc == CMG_OK && d->exp < 0)
        return cmg_fail(err, CMG_EDENIED, "it never expires: there is no exp");
    return rc;
}

static enum cmg_rc check_dates(const struct dates *d, int64_t leeway_s, int64_t now,
                               struct cmg_err *err)
{
    char text[DATE_TEXT];
    if (now - leeway_s >= d->exp)
        return cmg_fail(err, CMG_EDENIED, "expired %s", date(d->exp, text));
    if (now + leeway_s < d->nbf)
        return cmg_fail(err, CMG_EDENIED, "not valid before %s", date(d->nbf, text));
    if (now + leeway_s < d->iat)
        return cmg_fail(err, CMG_EDENIED, "issued in the future, %s", date(d->iat, text));
    if (d->exp < d->nbf)
        return cmg_fail(err, CMG_EDENIED, "it expires before it is valid");
    return CMG_OK;
}

static enum cmg_rc check_lifetime(const struct dates *d, int64_t max_s, struct cmg_err *err)
{
    int64_t begins = d->nbf >= 0 ? d->nbf : d->iat;
    if (max_s == 0)
        return CMG_OK;
    if (begins < 0)
        return cmg_fail(err, CMG_EDENIED, "nobody knows when it began: neither nbf nor iat");
    if (d->exp - begins > max_s)
        return cmg_fail(err, CMG_EDENIED, "it lasts %lld s, and %lld s are the most",
                        (long long)(d->exp - begins), (long long)max_s);
    return CMG_OK;
}

static enum cmg_rc check_type(const struct cmg_jwt *t, const char *const *types,
                              struct cmg_err *err)
{
    const struct cmg_str tree = CMG_STR("application/");
    struct cmg_str typ = cmg_jwt_header(t, "typ");
    if (!types)
        return CMG_OK;
    if (typ.p && cmg_str_istarts(typ, tree))
        typ = cmg_str_from(typ, tree.n);
    for (; typ.p && *types; types++)
        if (cmg_str_ieq(typ, cmg_str(*types)))
            return CMG_OK;
    return cmg_fail(err, CMG_EDENIED, "it is of another type");
}

enum cmg_rc cmg_jwt_verify(const struct cmg_jwt *t, const struct cmg_jwt_rule *rule,
                           const struct cmg_keyset *keys, int64_t now, struct cmg_err *err)
{
    struct dates d;
    if (!(rule->algs & t->alg))
        return cmg_fail(err, CMG_EDENIED, "%s is not allowed here", cmg_alg_name(t->alg));
    enum cmg_rc rc = check_signature(t, rule, keys, now, err);
    if (rc == CMG_OK)
        rc = check_parties(t, rule, err);
    if (rc == CMG_OK)
        rc = read_dates(t, &d, err);
    if (rc == CMG_OK)
        rc = check_dates(&d, rule->leeway_s, now, err);
    if (rc == CMG_OK)
        rc = check_lifetime(&d, rule->lifetime_max_s, err);
    return rc == CMG_OK ? check_type(t, rule->types, err) : rc;
}
