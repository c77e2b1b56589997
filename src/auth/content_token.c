/* SPDX-License-Identifier: MIT */
#include "cmg/auth/content_token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"

#define SIGNATURE "&signature="
#define GUID_PREFIX "GUID:"

enum { TIME_TEXT = sizeof("2026-01-31T10:00:00Z"), THUMBPRINT_TEXT = 27 }; /* SHA-1, base64url */

enum parameter { PID, CID, TID, ISS, ALG, ST, ET, X5T, PARAMETERS };
static const char *const names[PARAMETERS] = {
    "pid", "cid", "tid", "iss", "alg", "st", "et", "x5t"
};

/* --- forms ---------------------------------------------------------------------------------- */

static bool letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (cmg_lower(c) >= 'a' && cmg_lower(c) <= 'z');
}

bool cmg_content_id_ok(struct cmg_str s)
{
    if (s.n == 0 || s.n >= CMG_CONTENT_ID_MAX || s.p[0] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!letter_or_digit(c) && c != '.' && c != '_' && c != '-')
            return false;
        if (c == '.' && i + 1 < s.n && s.p[i + 1] == '.')
            return false;
    }
    return true;
}

static bool host_ok(struct cmg_str s)
{
    if (s.n == 0 || s.n >= sizeof(((struct cmg_content_token *)0)->issuer))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!letter_or_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '-')
            return false;
    return true;
}

static bool time_write(int64_t at, char out[TIME_TEXT])
{
    struct tm tm;
    time_t t = (time_t)at;
    return at >= 0 && gmtime_r(&t, &tm) && tm.tm_year + 1900 <= 9999 &&
           strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == TIME_TEXT - 1;
}

/* One text for one time: what does not come out as it went in (hour 24, 30 February) is none. */
static bool time_read(struct cmg_str s, int64_t *at)
{
    struct tm tm = { 0 };
    char text[TIME_TEXT], again[TIME_TEXT];
    if (s.n != TIME_TEXT - 1)
        return false;
    cmg_str_put(text, sizeof(text), s);
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end)
        return false;
    *at = timegm(&tm);
    return time_write(*at, again) && !strcmp(text, again);
}

/* --- issuing -------------------------------------------------------------------------------- */

static enum cmg_rc check(const struct cmg_signer *s, const struct cmg_content_token *t,
                         struct cmg_err *err)
{
    if (cmg_signer_alg(s) != CMG_ALG_RS256)
        return cmg_fail(err, CMG_ECONF, "content tokens are signed by an RSA key; this is none");
    if (!cmg_content_id_ok(cmg_str(t->package)) || !cmg_content_id_ok(cmg_str(t->content)))
        return cmg_fail(err, CMG_ECONF,
                        "package and content are letters, digits, '.', '_' and '-', at most %d, "
                        "without '..' and not '.' first",
                        CMG_CONTENT_ID_MAX - 1);
    if (!cmg_guid_ok(cmg_str(t->client), NULL))
        return cmg_fail(err, CMG_ECONF, "the client is not a GUID");
    if (!host_ok(cmg_str(t->issuer)))
        return cmg_fail(err, CMG_ECONF, "the issuer is not a host name");
    if (t->end <= t->start)
        return cmg_fail(err, CMG_ECONF, "the token ends before it starts");
    return CMG_OK;
}

static size_t put_query(const struct cmg_signer *s, const struct cmg_content_token *t,
                        const char *start, const char *end, char out[CMG_CONTENT_QUERY_MAX])
{
    char client[37];
    if (!cmg_guid_ok(cmg_str(t->client), client))
        abort(); /* checked before */
    int n = snprintf(out, CMG_CONTENT_QUERY_MAX,
                     "pid=%s&cid=%s&tid=" GUID_PREFIX "%s&iss=%s&alg=" CMG_CONTENT_ALG
                     "&st=%s&et=%s&x5t=%s",
                     t->package, t->content, client, t->issuer, start, end, cmg_signer_x5t(s));
    return (size_t)n;
}

char *cmg_content_token_issue(const struct cmg_signer *s, const struct cmg_content_token *t,
                              struct cmg_err *err)
{
    char out[CMG_CONTENT_QUERY_MAX], start[TIME_TEXT], end[TIME_TEXT];
    unsigned char signature[CMG_SIGNATURE_MAX];
    if (check(s, t, err) != CMG_OK)
        return NULL;
    if (!time_write(t->start, start) || !time_write(t->end, end)) {
        cmg_fail(err, CMG_ECONF, "a time is outside of the years 1970 to 9999");
        return NULL;
    }
    size_t n = put_query(s, t, start, end, out);
    struct cmg_str signed_part = { out, n };
    size_t bytes = cmg_signer_sign(s, signed_part, signature);
    n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", SIGNATURE);
    n += cmg_base64_put(CMG_BASE64URL, (struct cmg_str){ (const char *)signature, bytes }, out + n);
    return cmg_strndup(out, n);
}

/* --- reading -------------------------------------------------------------------------------- */

struct query {
    struct cmg_str value[PARAMETERS]; /* .p NULL: not there */
    struct cmg_str signed_part;
    struct cmg_str signature; /* text */
};

/* The last one: what stands behind it must be base64url, so no parameter hides there. */
static bool cut_signature(struct cmg_str query, struct query *q)
{
    const char *at = query.n ? memmem(query.p, query.n, SIGNATURE, sizeof(SIGNATURE) - 1) : NULL;
    if (!at)
        return false;
    q->signed_part = (struct cmg_str){ query.p, (size_t)(at - query.p) };
    q->signature = cmg_str_from(query, q->signed_part.n + sizeof(SIGNATURE) - 1);
    return true;
}

static bool find_name(struct cmg_str name, size_t *which)
{
    for (*which = 0; *which < PARAMETERS; ++*which)
        if (cmg_str_eq(name, cmg_str(names[*which])))
            return true;
    return false;
}

static enum cmg_rc take_parameter(struct query *q, struct cmg_str pair, struct cmg_err *err)
{
    size_t which;
    const char *equals = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
    struct cmg_str name = { pair.p, equals ? (size_t)(equals - pair.p) : pair.n };
    if (!find_name(name, &which))
        return cmg_fail(err, CMG_EDENIED, "a parameter that content tokens do not have");
    if (!equals || q->value[which].p)
        return cmg_fail(err, CMG_EDENIED, "parameter %s %s", names[which],
                        equals ? "is there twice" : "has no value");
    q->value[which] = cmg_str_from(pair, name.n + 1);
    return CMG_OK;
}

static enum cmg_rc split(struct cmg_str query, struct query *q, struct cmg_err *err)
{
    if (query.n > CMG_CONTENT_QUERY_MAX)
        return cmg_fail(err, CMG_EDENIED, "longer than %d bytes", CMG_CONTENT_QUERY_MAX);
    if (!cut_signature(query, q))
        return cmg_fail(err, CMG_EDENIED, "parameter signature is missing, or not the last");
    for (struct cmg_str rest = q->signed_part; rest.p;) {
        const char *end = rest.n ? memchr(rest.p, '&', rest.n) : NULL;
        struct cmg_str pair = { rest.p, end ? (size_t)(end - rest.p) : rest.n };
        rest = end ? cmg_str_from(rest, pair.n + 1) : (struct cmg_str){ NULL, 0 };
        if (take_parameter(q, pair, err) != CMG_OK)
            return CMG_EDENIED;
    }
    for (size_t i = 0; i < PARAMETERS; i++)
        if (!q->value[i].p && i != X5T)
            return cmg_fail(err, CMG_EDENIED, "parameter %s is missing", names[i]);
    return CMG_OK;
}

static enum cmg_rc malformed(enum parameter which, struct cmg_err *err)
{
    return cmg_fail(err, CMG_EDENIED, "parameter %s is not of its form", names[which]);
}

static enum cmg_rc fill(const struct query *q, struct cmg_content_token *t, struct cmg_err *err)
{
    struct cmg_str client = q->value[TID];
    if (!cmg_content_id_ok(q->value[PID]))
        return malformed(PID, err);
    if (!cmg_content_id_ok(q->value[CID]))
        return malformed(CID, err);
    if (!cmg_str_istarts(client, CMG_STR(GUID_PREFIX)) ||
        !cmg_guid_ok(cmg_str_from(client, sizeof(GUID_PREFIX) - 1), t->client))
        return malformed(TID, err);
    if (!host_ok(q->value[ISS]))
        return malformed(ISS, err);
    if (!time_read(q->value[ST], &t->start))
        return malformed(ST, err);
    if (!time_read(q->value[ET], &t->end))
        return malformed(ET, err);
    if (q->value[X5T].p && q->value[X5T].n != THUMBPRINT_TEXT)
        return malformed(X5T, err);
    cmg_str_put(t->package, sizeof(t->package), q->value[PID]);
    cmg_str_put(t->content, sizeof(t->content), q->value[CID]);
    cmg_str_put(t->issuer, sizeof(t->issuer), q->value[ISS]);
    return CMG_OK;
}

/* --- verifying ------------------------------------------------------------------------------ */

static bool is_one_of(const char *issuer, const char *const *issuers)
{
    for (; *issuers; issuers++)
        if (cmg_str_ieq(cmg_str(issuer), cmg_str(*issuers)))
            return true;
    return false;
}

static bool in_force(const struct cmg_key_info *key, int64_t now, int64_t leeway_s)
{
    return (!key->not_before || now >= key->not_before - leeway_s) &&
           (!key->not_after || now <= key->not_after + leeway_s);
}

/* Keys that are not in force are not asked: what they signed counts no more. */
static enum cmg_rc check_signature(const struct query *q, const struct cmg_keyset *keys,
                                   int64_t now, int64_t leeway_s, struct cmg_err *err)
{
    char bytes[CMG_CONTENT_QUERY_MAX];
    struct cmg_str signature = { bytes, 0 };
    bool known = false;
    if (cmg_base64_get(CMG_BASE64URL, q->signature, bytes, &signature.n) != CMG_OK)
        return cmg_fail(err, CMG_EDENIED, "parameter signature is not of its form");
    for (size_t i = 0; i < cmg_keyset_count(keys); i++) {
        struct cmg_key_info key;
        cmg_keyset_info(keys, i, &key);
        if (key.alg != CMG_ALG_RS256 || !in_force(&key, now, leeway_s) ||
            (q->value[X5T].p && !cmg_str_eq(q->value[X5T], cmg_str(key.id))))
            continue;
        known = true;
        if (cmg_key_verify(keys, i, q->signed_part, signature))
            return CMG_OK;
    }
    return cmg_fail(err, CMG_EDENIED,
                    known ? "the signature is wrong" : "no RSA key in force is the one it names");
}

static enum cmg_rc check_times(const struct cmg_content_token *t, const struct query *q,
                               int64_t now, int64_t leeway_s, int64_t lifetime_max_s,
                               struct cmg_err *err)
{
    if (now < t->start - leeway_s)
        return cmg_fail(err, CMG_EDENIED, "not valid before %.*s", CMG_ARG(q->value[ST]));
    if (now >= t->end + leeway_s)
        return cmg_fail(err, CMG_EDENIED, "expired %.*s", CMG_ARG(q->value[ET]));
    if (t->end <= t->start || t->end - t->start > lifetime_max_s)
        return cmg_fail(err, CMG_EDENIED, "valid for longer than %" PRId64 " seconds, or for none",
                        lifetime_max_s);
    return CMG_OK;
}

enum cmg_rc cmg_content_token_verify(struct cmg_str query, const struct cmg_keyset *keys,
                                     const char *const *issuers, int64_t now, int64_t leeway_s,
                                     int64_t lifetime_max_s, struct cmg_content_token *out,
                                     struct cmg_err *err)
{
    struct query q = { 0 };
    struct cmg_content_token t = { 0 };
    memset(out, 0, sizeof(*out));
    if (split(query, &q, err) != CMG_OK || fill(&q, &t, err) != CMG_OK)
        return CMG_EDENIED;
    if (!cmg_str_eq(q.value[ALG], CMG_STR(CMG_CONTENT_ALG)))
        return cmg_fail(err, CMG_EDENIED, "alg is not " CMG_CONTENT_ALG);
    if (!is_one_of(t.issuer, issuers))
        return cmg_fail(err, CMG_EDENIED, "the issuer is not one that is accepted");
    if (check_signature(&q, keys, now, leeway_s, err) != CMG_OK ||
        check_times(&t, &q, now, leeway_s, lifetime_max_s, err) != CMG_OK)
        return CMG_EDENIED;
    *out = t;
    return CMG_OK;
}
