/* SPDX-License-Identifier: MIT */
/* Tokens of the site: what is issued is taken, and nothing else is. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <jansson.h>

#include "cmg/auth/site_token.h"
#include "signers.h"

#define HIERARCHY "6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10"
#define OTHER "7d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10"
#define CLIENT "11111111-2222-4333-8444-555555555555"
#define TOKEN "99999999-8888-4777-8666-555555555555"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

static struct cmg_signer *rsa, *ec, *stranger;
static struct cmg_keyset *keys;
static int64_t now;
static struct cmg_err why;

static int set_up_all(void **state)
{
    char path[128];
    (void)state;
    cert_setup();
    keys = cmg_keyset_new();
    rsa = signer_make("rsa", true, -1, 400, path);
    signer_trust(keys, path);
    ec = signer_make("ec", false, -1, 400, path);
    signer_trust(keys, path);
    stranger = signer_make("stranger", true, -1, 400, path);
    now = time(NULL);
    return 0;
}

static int tear_down_all(void **state)
{
    (void)state;
    cmg_signer_free(rsa);
    cmg_signer_free(ec);
    cmg_signer_free(stranger);
    cmg_keyset_unref(keys);
    return 0;
}

static enum cmg_rc verify(const char *token, const char *hierarchy, int64_t at,
                          struct cmg_identity *who, char unique_id[37])
{
    struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), &why);
    if (!t)
        fail_msg("%s", why.text);
    enum cmg_rc rc = cmg_site_token_verify(t, hierarchy, keys, at, MINUTE, who, unique_id, &why);
    cmg_jwt_free(t);
    return rc;
}

static struct cmg_site_token a_token(enum cmg_site_token_type type, int64_t seconds)
{
    return (struct cmg_site_token){ .type = type,
                                    .hierarchy = HIERARCHY,
                                    .unique_id = TOKEN,
                                    .client = type == CMG_SITE_TOKEN_BULK ? NULL : CLIENT,
                                    .not_before = now,
                                    .expires = now + seconds };
}

static void each_type_says_who_it_is_for(void **state)
{
    static const struct {
        enum cmg_site_token_type type;
        int64_t seconds;
        enum cmg_identity_kind kind;
        const char *id;
    } cases[] = {
        { CMG_SITE_TOKEN_BULK, CMG_BULK_MAX_S, CMG_KIND_BULK, TOKEN },
        { CMG_SITE_TOKEN_CLIENT, CMG_CLIENT_MAX_S, CMG_KIND_DEVICE, CLIENT },
        { CMG_SITE_TOKEN_STS, CMG_STS_MAX_S, CMG_KIND_DEVICE, CLIENT },
    };
    (void)state;
    for (size_t i = 0; i < 2 * CMG_COUNT(cases); i++) {
        struct cmg_identity who;
        char unique_id[37];
        const struct cmg_signer *s = i % 2 ? rsa : ec;
        struct cmg_site_token t = a_token(cases[i / 2].type, cases[i / 2].seconds);
        char *token = cmg_site_token_issue(s, &t, &why);
        assert_non_null(token);
        /* The case of a GUID in the configuration does not count. */
        if (verify(token, "6D6E8A34-1f2c-4f6e-9b1d-2f5f0c8a7e10", now, &who, unique_id) != CMG_OK)
            fail_msg("%s", why.text);
        assert_int_equal(who.how, CMG_BY_SITE_TOKEN);
        assert_int_equal(who.kind, cases[i / 2].kind);
        assert_string_equal(who.id, cases[i / 2].id);
        assert_string_equal(who.name, cases[i / 2].id);
        assert_string_equal(who.tenant, HIERARCHY);
        assert_string_equal(unique_id, TOKEN);
        assert_int_equal(who.since, now);
        assert_int_equal(who.until, now + cases[i / 2].seconds);
        free(token);
    }
}

static void what_a_type_may_not_have_is_not_issued(void **state)
{
    static const struct {
        enum cmg_site_token_type type;
        int64_t seconds;
    } too_long[] = { { CMG_SITE_TOKEN_BULK, CMG_BULK_MAX_S + 1 },
                     { CMG_SITE_TOKEN_CLIENT, CMG_CLIENT_MAX_S + 1 },
                     { CMG_SITE_TOKEN_STS, CMG_STS_MAX_S + 1 },
                     { CMG_SITE_TOKEN_BULK, 0 },
                     { CMG_SITE_TOKEN_BULK, -1 } };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(too_long); i++) {
        struct cmg_site_token t = a_token(too_long[i].type, too_long[i].seconds);
        assert_null(cmg_site_token_issue(rsa, &t, &why));
        assert_non_null(strstr(why.text, "valid for 1 to"));
    }
    struct cmg_site_token t = a_token(CMG_SITE_TOKEN_BULK, HOUR);
    t.unique_id = "x";
    assert_null(cmg_site_token_issue(rsa, &t, &why));
    t = a_token(CMG_SITE_TOKEN_BULK, HOUR);
    t.hierarchy = "{" HIERARCHY "}";
    assert_null(cmg_site_token_issue(rsa, &t, &why));
    t = a_token(CMG_SITE_TOKEN_CLIENT, HOUR);
    t.client = NULL;
    assert_null(cmg_site_token_issue(rsa, &t, &why));
    assert_non_null(strstr(why.text, "client is not a GUID"));
}

/* Claims as a key holder could sign them: one is changed at a time. */
static json_t *claims(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "SCCMTokenCategory",
                     "SCCMClientToken", "Authority", "SCCM", "License", "SCCM", "Type", "Client",
                     "TenantId", HIERARCHY, "UniqueId", TOKEN, "ClientId", CLIENT, "iss",
                     "urn:sccm:oauth2:" HIERARCHY, "aud", "urn:sccm:service", "exp",
                     (json_int_t)(now + DAY), "nbf", (json_int_t)now);
}

static enum cmg_rc verify_claims(json_t *taken)
{
    struct cmg_identity who;
    char unique_id[37];
    char *text = json_dumps(taken, JSON_COMPACT), *token = cmg_jwt_issue(rsa, cmg_str(text));
    enum cmg_rc rc = verify(token, HIERARCHY, now, &who, unique_id);
    assert_int_equal(rc == CMG_OK, who.how == CMG_BY_SITE_TOKEN);
    assert_int_equal(rc == CMG_OK, unique_id[0] != '\0');
    free(token);
    free(text);
    json_decref(taken);
    return rc;
}

static void a_claim_that_is_not_the_sites_is_named(void **state)
{
    static const struct {
        const char *claim, *value; /* NULL: not there */
        const char *says;
    } cases[] = {
        { "Authority", "sccm", "Authority" },
        { "Authority", NULL, "Authority" },
        { "TenantId", OTHER, "TenantId" },
        { "TenantId", NULL, "TenantId" },
        { "UniqueId", "1", "UniqueId" },
        { "UniqueId", NULL, "UniqueId" },
        { "ClientId", "GUID:" CLIENT, "ClientId" },
        { "ClientId", NULL, "ClientId" },
        { "Type", "BulkRegistration", "Type" }, /* the category is that of another */
        { "Type", "Device", "Type" },
        { "Type", "client", "Type" },
        { "Type", NULL, "Type" },
        { "SCCMTokenCategory", "SCCMPreAuthToken", "SCCMTokenCategory" },
        { "SCCMTokenCategory", NULL, "SCCMTokenCategory" },
        { "iss", "urn:sccm:oauth2:" OTHER, "issuer" },
        { "iss", "urn:sccm:oauth2:6D6E8A34-1F2C-4F6E-9B1D-2F5F0C8A7E10", "issuer" },
        { "iss", NULL, "issuer" },
        { "aud", "urn:sccm:service2", "audience" },
        { "exp", NULL, "exp" },
        { "nbf", NULL, "nbf" },
    };
    (void)state;
    assert_int_equal(verify_claims(claims()), CMG_OK);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        json_t *j = claims();
        json_object_del(j, cases[i].claim);
        if (cases[i].value)
            json_object_set_new(j, cases[i].claim, json_string(cases[i].value));
        if (verify_claims(j) != CMG_EDENIED)
            fail_msg("%s = %s was taken", cases[i].claim, cases[i].value);
        if (!strcasestr(why.text, cases[i].says))
            fail_msg("%s: %s", cases[i].claim, why.text);
    }
}

static void a_longer_life_than_its_type_has_is_refused(void **state)
{
    static const struct {
        const char *type, *category;
        int64_t most;
    } cases[] = { { "BulkRegistration", "SCCMPreAuthToken", CMG_BULK_MAX_S },
                  { "Client", "SCCMClientToken", CMG_CLIENT_MAX_S },
                  { "Device", "SCCMToken", CMG_STS_MAX_S },
                  { "UDA", "SCCMToken", CMG_STS_MAX_S } };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        for (int more = 0; more < 2; more++) {
            json_t *j = claims();
            json_object_set_new(j, "Type", json_string(cases[i].type));
            json_object_set_new(j, "SCCMTokenCategory", json_string(cases[i].category));
            json_object_set_new(j, "exp", json_integer(now + cases[i].most + more));
            assert_int_equal(verify_claims(j), more ? CMG_EDENIED : CMG_OK);
        }
}

static void time_and_key_decide(void **state)
{
    struct cmg_identity who;
    char unique_id[37];
    struct cmg_site_token t = a_token(CMG_SITE_TOKEN_BULK, HOUR);
    (void)state;
    char *token = cmg_site_token_issue(rsa, &t, &why);
    assert_int_equal(verify(token, HIERARCHY, now - MINUTE, &who, unique_id), CMG_OK);
    assert_int_equal(verify(token, HIERARCHY, now - MINUTE - 2, &who, unique_id), CMG_EDENIED);
    assert_int_equal(verify(token, HIERARCHY, now + HOUR + MINUTE - 1, &who, unique_id), CMG_OK);
    assert_int_equal(verify(token, HIERARCHY, now + HOUR + MINUTE + 1, &who, unique_id),
                     CMG_EDENIED);
    assert_non_null(strstr(why.text, "expired"));
    assert_int_equal(verify(token, OTHER, now, &who, unique_id), CMG_EDENIED);
    assert_int_equal(verify(token, "", now, &who, unique_id), CMG_EDENIED);
    free(token);

    token = cmg_site_token_issue(stranger, &t, &why);
    assert_int_equal(verify(token, HIERARCHY, now, &who, unique_id), CMG_MORE);
    assert_int_equal(who.how, CMG_BY_NOTHING);
    free(token);
}

static void the_issuer_of_no_hierarchy_is_nobodys(void **state)
{
    char issuer[CMG_SITE_ISSUER];
    (void)state;
    cmg_site_token_issuer("6D6E8A34-1F2C-4F6E-9B1D-2F5F0C8A7E10", issuer);
    assert_string_equal(issuer, "urn:sccm:oauth2:" HIERARCHY);
    cmg_site_token_issuer("nothing", issuer);
    assert_string_equal(issuer, "urn:sccm:oauth2:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_says_who_it_is_for),
        cmocka_unit_test(what_a_type_may_not_have_is_not_issued),
        cmocka_unit_test(a_claim_that_is_not_the_sites_is_named),
        cmocka_unit_test(a_longer_life_than_its_type_has_is_refused),
        cmocka_unit_test(time_and_key_decide),
        cmocka_unit_test(the_issuer_of_no_hierarchy_is_nobodys),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
