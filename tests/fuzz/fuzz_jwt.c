/* SPDX-License-Identifier: MIT */
/* Two ways in. As a token: nothing verifies that was not signed. As claims, which are then
 * signed: what verifies says what the rule wants, judged here by other code. */
#include "cmg/auth/jwt.h"

#include <jansson.h>

#include "../unit/jose_certs.h"
#include "cmg/auth/entra.h"
#include "fuzz.h"

#define TENANT "72f988bf-86f1-41af-91ab-2d7cd011db47"

enum { NOW = 1780000000, LEEWAY = 60, LIFETIME = 86400 };

static const char *const issuers[] = { "https://issuer.example/", NULL };
static const char *const audiences[] = { "urn:test", NULL };
static const struct cmg_jwt_rule lasting = { .algs = CMG_ALG_RS256 | CMG_ALG_ES256,
                                             .issuers = issuers,
                                             .audiences = audiences,
                                             .leeway_s = LEEWAY };
static const struct cmg_jwt_rule brief = { .algs = CMG_ALG_ES256,
                                           .issuers = issuers,
                                           .audiences = audiences,
                                           .leeway_s = LEEWAY,
                                           .lifetime_max_s = LIFETIME };

/* Made once. */
static struct cmg_keyset *keys;
static struct cmg_signer *signer;

static void prepare(void)
{
    if (keys)
        return;
    /* Around what is said to be now, whenever this runs. */
    char *pem = jose_certificate(EC1, -20L * 365 * 86400, 80L * 365 * 86400);
    keys = cmg_keyset_new();
    signer = cmg_signer_new(cmg_str(pem), CMG_STR(JOSE_EC1_PEM), NULL);
    hold(cmg_keyset_add_jwks(keys, CMG_STR(JOSE_JWKS), NULL, NULL) == CMG_OK, "there are keys");
    hold(cmg_keyset_add_certificates(keys, cmg_str(pem), NULL) == CMG_OK && signer,
         "there is a signer");
    free(pem);
}

/* What is signed in a token, whatever its signature is. */
static struct cmg_str before_last_dot(struct cmg_str token)
{
    while (token.n && token.p[token.n - 1] != '.')
        token.n--;
    return token;
}

static void as_a_token(struct cmg_str token)
{
    struct cmg_err err = { 0 };
    struct cmg_jwt *t = cmg_jwt_read(token, &err);
    hold(t || (err.code == CMG_EDENIED && err.text[0]), "a refusal has a reason");
    if (!t)
        return;
    enum cmg_rc rc = cmg_jwt_verify(t, &lasting, keys, NOW, &err);
    hold(rc == CMG_OK || ((rc == CMG_EDENIED || rc == CMG_MORE) && err.text[0]), "so has another");
    /* ECDSA has two signatures for one, so it is the text that must be known. */
    struct cmg_str text = before_last_dot(token);
    hold(rc != CMG_OK || cmg_str_eq(text, before_last_dot(CMG_STR(JOSE_RS256_TOKEN))) ||
             cmg_str_eq(text, before_last_dot(CMG_STR(JOSE_ES256_TOKEN))),
         "what verifies was signed");
    cmg_jwt_free(t);
}

static bool says(const json_t *value, const char *wanted)
{
    return json_is_string(value) && json_string_length(value) == strlen(wanted) &&
           strcmp(json_string_value(value), wanted) == 0;
}

static bool for_us(const json_t *aud)
{
    bool found = says(aud, audiences[0]);
    for (size_t i = 0; i < json_array_size(aud); i++)
        found = found || says(json_array_get(aud, i), audiences[0]);
    return found;
}

static void as_wanted(const json_t *claims, const struct cmg_jwt_rule *rule)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    const json_t *iat = json_object_get(claims, "iat");
    const json_t *begin = nbf ? nbf : iat;

    hold(says(json_object_get(claims, "iss"), issuers[0]), "the issuer is right");
    hold(for_us(json_object_get(claims, "aud")), "the audience is right");
    hold(json_is_integer(exp) && json_integer_value(exp) > NOW - LEEWAY, "it has not expired");
    hold(!nbf || (json_is_integer(nbf) && json_integer_value(nbf) >= 0 &&
                  json_integer_value(nbf) <= NOW + LEEWAY),
         "it is valid already");
    hold(!iat || (json_is_integer(iat) && json_integer_value(iat) >= 0 &&
                  json_integer_value(iat) <= NOW + LEEWAY),
         "it was issued before");
    hold(!rule->lifetime_max_s ||
             (begin && json_integer_value(exp) - json_integer_value(begin) <= LIFETIME),
         "it lasts no longer than it may");
}

static void identified(const struct cmg_jwt *t)
{
    struct cmg_identity who;
    struct cmg_err err = { 0 };
    if (cmg_entra_identify(t, TENANT, NOW, &who, &err) != CMG_OK) {
        hold(err.text[0] && who.how == CMG_BY_NOTHING, "who is refused is nobody");
        return;
    }
    hold(cmg_guid_ok(cmg_str(who.id), NULL) && strcmp(who.tenant, TENANT) == 0,
         "an id is a GUID, and the tenant is right");
    hold(who.name[0] && memchr(who.name, 0, sizeof(who.name)), "there is a name");
}

static void as_claims(struct cmg_str json)
{
    char *token = cmg_jwt_issue(signer, json);
    if (!token)
        return;
    struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), NULL);
    json_error_t at;
    json_t *claims = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &at);
    hold(t && json_is_object(claims), "what is issued can be read");
    if (cmg_jwt_verify(t, &lasting, keys, NOW, NULL) == CMG_OK)
        as_wanted(claims, &lasting);
    if (cmg_jwt_verify(t, &brief, keys, NOW, NULL) == CMG_OK)
        as_wanted(claims, &brief);
    identified(t);
    json_decref(claims);
    cmg_jwt_free(t);
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cmg_str in = { (const char *)p, n };
    prepare();
    as_a_token(in);
    as_claims(in);
    return 0;
}
