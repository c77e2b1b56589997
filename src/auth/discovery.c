/* SPDX-License-Identifier: MIT */
/* The issuer is held against what the administrator wrote, so that a document of another tenant
 * that a proxy or a wrong URL brings is not taken for this one's. */
#include "cmg/auth/discovery.h"

#include "strict_json.h"

static const struct cmg_str well_known = { "/.well-known/openid-configuration", 33 };

static bool starts(struct cmg_str s, struct cmg_str prefix)
{
    return s.n >= prefix.n && cmg_str_eq((struct cmg_str){ s.p, prefix.n }, prefix);
}

/* ISSUER and ISSUER/ have the same document. */
static bool is_issuer_of(struct cmg_str issuer, struct cmg_str url)
{
    if (issuer.n && issuer.p[issuer.n - 1] == '/')
        issuer.n--;
    return issuer.n && starts(url, issuer) && cmg_str_eq(cmg_str_from(url, issuer.n), well_known);
}

static bool is_expected(struct cmg_str issuer, const char *url, const char *const *issuers)
{
    for (; *issuers; issuers++)
        if (cmg_str_eq(issuer, cmg_str(*issuers)))
            return true;
    return is_issuer_of(issuer, cmg_str(url));
}

/* No blank, no quote, no user: what else is wrong with it, whoever fetches it will say. */
static bool plain(struct cmg_str url)
{
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] > '~' || strchr("\"<>\\^`{|}@", url.p[i]))
            return false;
    return true;
}

static bool fetchable(struct cmg_str jwks, const char *url)
{
    static const struct cmg_str https = { "https://", 8 }, http = { "http://", 7 };
    if (cmg_str_istarts(jwks, https))
        return jwks.n > https.n && plain(jwks);
    return cmg_str_istarts(cmg_str(url), http) && cmg_str_istarts(jwks, http) && jwks.n > http.n &&
           plain(jwks);
}

static enum cmg_rc judge(const json_t *document, const char *url, const char *const *issuers,
                         char jwks[CMG_DISCOVERY_URL], struct cmg_err *err)
{
    struct cmg_str issuer = cmg_json_text(document, "issuer");
    struct cmg_str keys = cmg_json_text(document, "jwks_uri");
    if (!issuer.p || !keys.p)
        return cmg_fail(err, CMG_EPROTO, "the OpenID configuration has no %s",
                        issuer.p ? "jwks_uri" : "issuer");
    if (!is_expected(issuer, url, issuers))
        return cmg_fail(err, CMG_EDENIED,
                        "the OpenID configuration is of another issuer: check id, issuers and "
                        "discovery");
    if (keys.n >= CMG_DISCOVERY_URL || !fetchable(keys, url))
        return cmg_fail(err, CMG_EDENIED,
                        "the OpenID configuration names keys (jwks_uri) that are not at an https "
                        "URL");
    cmg_str_put(jwks, CMG_DISCOVERY_URL, keys);
    return CMG_OK;
}

enum cmg_rc cmg_discovery_read(struct cmg_str json, const char *url, const char *const *issuers,
                               char jwks[CMG_DISCOVERY_URL], struct cmg_err *err)
{
    json_t *document = cmg_strict_json(json);
    jwks[0] = '\0';
    if (!document)
        return cmg_fail(err, CMG_EPROTO, "the OpenID configuration is not a JSON object");
    enum cmg_rc rc = judge(document, url, issuers, jwks, err);
    json_decref(document);
    return rc;
}
