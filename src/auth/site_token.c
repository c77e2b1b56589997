/* SPDX-License-Identifier: MIT */
#include "cmg/auth/site_token.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cmg/base/alloc.h"

/* What the claims of a type are called, and what it may do. The real system tells the three apart
 * by SCCMTokenCategory; Type says within one who it is for. Both must fit. */
struct kind {
    enum cmg_site_token_type type;
    const char *name, *category;
    enum cmg_identity_kind who;
    int64_t lifetime_max_s;
};

/* clang-format off */
static const struct kind kinds[] = { /* the first of a type is what is issued */
    { CMG_SITE_TOKEN_BULK,   "BulkRegistration", "SCCMPreAuthToken", CMG_KIND_BULK,   CMG_BULK_MAX_S },
    { CMG_SITE_TOKEN_CLIENT, "Client",           "SCCMClientToken",  CMG_KIND_DEVICE, CMG_CLIENT_MAX_S },
    { CMG_SITE_TOKEN_STS,    "Device",           "SCCMToken",        CMG_KIND_DEVICE, CMG_STS_MAX_S },
    { CMG_SITE_TOKEN_STS,    "UDA",              "SCCMToken",        CMG_KIND_USER,   CMG_STS_MAX_S },
};
/* clang-format on */

void cmg_site_token_issuer(const char *hierarchy, char out[CMG_SITE_ISSUER])
{
    char guid[37];
    if (!cmg_guid_ok(cmg_str(hierarchy), guid))
        guid[0] = '\0'; /* no token has such an issuer */
    snprintf(out, CMG_SITE_ISSUER, "urn:sccm:oauth2:%s", guid);
}

/* --- issuing -------------------------------------------------------------------------------- */

static const struct kind *kind_of_type(enum cmg_site_token_type type)
{
    size_t i = 0;
    while (kinds[i].type != type)
        i++;
    return &kinds[i];
}

static enum cmg_rc check(const struct cmg_site_token *t, const struct kind *k, struct cmg_err *err)
{
    int64_t lifetime = t->expires - t->not_before;
    if (!cmg_guid_ok(cmg_str(t->hierarchy), NULL))
        return cmg_fail(err, CMG_ECONF, "the hierarchy is not a GUID");
    if (!cmg_guid_ok(cmg_str(t->unique_id), NULL))
        return cmg_fail(err, CMG_ECONF, "the token's id is not a GUID");
    if (k->type != CMG_SITE_TOKEN_BULK && !cmg_guid_ok(cmg_str(t->client), NULL))
        return cmg_fail(err, CMG_ECONF, "the client is not a GUID");
    if (t->not_before < 0 || lifetime <= 0 || lifetime > k->lifetime_max_s)
        return cmg_fail(err, CMG_ECONF, "a token of type %s is valid for 1 to %lld seconds",
                        k->name, (long long)k->lifetime_max_s);
    return CMG_OK;
}

static json_t *claims(const struct cmg_site_token *t, const struct kind *k)
{
    char hierarchy[37], unique_id[37], client[37], issuer[CMG_SITE_ISSUER];
    if (!cmg_guid_ok(cmg_str(t->hierarchy), hierarchy) ||
        !cmg_guid_ok(cmg_str(t->unique_id), unique_id))
        abort(); /* checked before */
    cmg_site_token_issuer(hierarchy, issuer);
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "SCCMTokenCategory",
                  k->category, "Authority", "SCCM", "License", "SCCM", "Type", k->name, "TenantId",
                  hierarchy, "UniqueId", unique_id, "iss", issuer, "aud", CMG_SITE_TOKEN_AUDIENCE,
                  "exp", (json_int_t)t->expires, "nbf", (json_int_t)t->not_before);
    if (k->type != CMG_SITE_TOKEN_BULK && cmg_guid_ok(cmg_str(t->client), client))
        json_object_set_new(j, "ClientId", json_string(client));
    return j;
}

char *cmg_site_token_issue(const struct cmg_signer *s, const struct cmg_site_token *t,
                           struct cmg_err *err)
{
    const struct kind *k = kind_of_type(t->type);
    if (check(t, k, err) != CMG_OK)
        return NULL;
    json_t *j = claims(t, k);
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    if (!text)
        abort();
    char *token = cmg_jwt_issue(s, cmg_str(text));
    free(text);
    return token;
}

/* --- verifying ------------------------------------------------------------------------------ */

static bool claim_is(const struct cmg_jwt *t, const char *claim, const char *want)
{
    return cmg_str_eq(cmg_jwt_text(t, claim), cmg_str(want));
}

static const struct kind *kind_of(const struct cmg_jwt *t)
{
    for (size_t i = 0; i < CMG_COUNT(kinds); i++)
        if (claim_is(t, "Type", kinds[i].name) &&
            claim_is(t, "SCCMTokenCategory", kinds[i].category))
            return &kinds[i];
    return NULL;
}

static enum cmg_rc check_claims(const struct cmg_jwt *t, const struct kind *k,
                                const char *hierarchy, struct cmg_identity *out, char unique_id[37],
                                struct cmg_err *err)
{
    if (!claim_is(t, "Authority", "SCCM"))
        return cmg_fail(err, CMG_EDENIED, "claim Authority is not SCCM");
    if (!cmg_str_ieq(cmg_jwt_text(t, "TenantId"), cmg_str(hierarchy)))
        return cmg_fail(err, CMG_EDENIED, "claim TenantId is another hierarchy");
    if (!cmg_guid_ok(cmg_jwt_text(t, "UniqueId"), unique_id))
        return cmg_fail(err, CMG_EDENIED, "claim UniqueId is not a GUID");
    const char *who = k->type == CMG_SITE_TOKEN_BULK ? "UniqueId" : "ClientId";
    if (!cmg_guid_ok(cmg_jwt_text(t, who), out->id))
        return cmg_fail(err, CMG_EDENIED, "claim %s is not a GUID", who);
    return CMG_OK;
}

static enum cmg_rc verify(const struct cmg_jwt *t, const struct kind *k, const char *hierarchy,
                          const struct cmg_keyset *keys, int64_t now, int64_t leeway_s,
                          struct cmg_err *err)
{
    char issuer[CMG_SITE_ISSUER];
    cmg_site_token_issuer(hierarchy, issuer);
    const struct cmg_jwt_rule rule = {
        .algs = CMG_ALG_RS256 | CMG_ALG_ES256,
        .types = (const char *const[]){ "JWT", NULL },
        .issuers = (const char *const[]){ issuer, NULL },
        .audiences = (const char *const[]){ CMG_SITE_TOKEN_AUDIENCE, NULL },
        .leeway_s = leeway_s,
        .lifetime_max_s = k->lifetime_max_s,
    };
    return cmg_jwt_verify(t, &rule, keys, now, err);
}

enum cmg_rc cmg_site_token_verify(const struct cmg_jwt *t, const char *hierarchy,
                                  const struct cmg_keyset *keys, int64_t now, int64_t leeway_s,
                                  struct cmg_identity *out, char unique_id[37], struct cmg_err *err)
{
    const struct kind *k = kind_of(t);
    struct cmg_identity who = { .how = CMG_BY_SITE_TOKEN };
    char own[37];
    memset(out, 0, sizeof(*out));
    unique_id[0] = '\0';
    if (!cmg_guid_ok(cmg_str(hierarchy), who.tenant))
        return cmg_fail(err, CMG_EDENIED, "site tokens of no hierarchy are accepted");
    if (!k)
        return cmg_fail(err, CMG_EDENIED, "claims Type and SCCMTokenCategory name no known kind");
    enum cmg_rc rc = verify(t, k, hierarchy, keys, now, leeway_s, err);
    if (rc == CMG_OK)
        rc = check_claims(t, k, hierarchy, &who, own, err);
    if (rc != CMG_OK)
        return rc;
    who.kind = k->who;
    cmg_str_put(who.name, sizeof(who.name), cmg_str(who.id));
    who.since = now;
    who.until = cmg_jwt_number(t, "exp");
    *out = who;
    memcpy(unique_id, own, sizeof(own));
    return CMG_OK;
}
