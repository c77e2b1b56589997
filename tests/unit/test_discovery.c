/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cmg/auth/discovery.h"
#include "cmg/base/alloc.h"

#define TENANT "11111111-2222-3333-4444-555555555555"
#define V1 "https://sts.windows.net/" TENANT "/"
#define V2 "https://login.microsoftonline.com/" TENANT "/v2.0"
#define WELL_KNOWN "/.well-known/openid-configuration"
#define DOC(issuer, jwks) "{\"issuer\":\"" issuer "\",\"jwks_uri\":\"" jwks "\",\"other\":[1,{}]}"
#define KEYS "https://login.microsoftonline.com/" TENANT "/discovery/v2.0/keys"

static const char *const microsoft[] = { V1, V2, NULL };

static const struct {
    const char *url, *json;
    enum cmg_rc rc;
    const char *want; /* the keys' URL, or part of the sentence */
} cases[] = {
    { V2 WELL_KNOWN, DOC(V2, KEYS), CMG_OK, KEYS },
    { V2 WELL_KNOWN, DOC(V1, KEYS), CMG_OK, KEYS },
    { V2 WELL_KNOWN, DOC(V2, "https://elsewhere.example:8443/keys?p=b2c"), CMG_OK,
      "https://elsewhere.example:8443/keys?p=b2c" },
    /* The issuer whose document it is, though nobody named it. */
    { "https://idp.example/x" WELL_KNOWN, DOC("https://idp.example/x", KEYS), CMG_OK, KEYS },
    { "https://idp.example/x" WELL_KNOWN, DOC("https://idp.example/x/", KEYS), CMG_OK, KEYS },
    { "https://idp.example" WELL_KNOWN "?a=b", DOC("https://idp.example", KEYS), CMG_EDENIED,
      "another issuer" },
    { "https://idp.example/x" WELL_KNOWN, DOC("https://idp.example", KEYS), CMG_EDENIED,
      "another issuer" },
    { "https://idp.example/x" WELL_KNOWN, DOC("", KEYS), CMG_EDENIED, "another issuer" },
    { "https://idp.example/x" WELL_KNOWN, DOC("/", KEYS), CMG_EDENIED, "another issuer" },
    { "/" WELL_KNOWN, DOC("//", KEYS), CMG_OK, KEYS },
    { V2 WELL_KNOWN, DOC("https://login.microsoftonline.com/{tenantid}/v2.0", KEYS), CMG_EDENIED,
      "another issuer" },
    { V2 WELL_KNOWN, DOC("https://sts.windows.net/" TENANT, KEYS), CMG_EDENIED, "another issuer" },
    { V2 WELL_KNOWN, DOC("HTTPS://sts.windows.net/" TENANT "/", KEYS), CMG_EDENIED,
      "another issuer" },
    /* Where keys may come from. */
    { V2 WELL_KNOWN, DOC(V2, "http://login.microsoftonline.com/keys"), CMG_EDENIED, "https URL" },
    { "http://127.0.0.1:1" WELL_KNOWN, DOC(V2, "http://127.0.0.1:1/keys"), CMG_OK,
      "http://127.0.0.1:1/keys" },
    { "http://127.0.0.1:1" WELL_KNOWN, DOC(V2, KEYS), CMG_OK, KEYS },
    { "http://127.0.0.1:1" WELL_KNOWN, DOC(V2, "file:///etc/passwd"), CMG_EDENIED, "https URL" },
    { V2 WELL_KNOWN, DOC(V2, "https://"), CMG_EDENIED, "https URL" },
    { V2 WELL_KNOWN, DOC(V2, ""), CMG_EDENIED, "https URL" },
    { V2 WELL_KNOWN, DOC(V2, "/keys"), CMG_EDENIED, "https URL" },
    { V2 WELL_KNOWN, DOC(V2, "https://a b/"), CMG_EDENIED, "https URL" },
    { V2 WELL_KNOWN, DOC(V2, "https://a/\\r\\nX: y"), CMG_EDENIED, "https URL" },
    { V2 WELL_KNOWN, DOC(V2, "https://u:p@a/"), CMG_EDENIED, "https URL" },
    { V2 WELL_KNOWN, DOC(V2, "https://a/\\u00e9"), CMG_EDENIED, "https URL" },
    /* What is no such document. */
    { V2 WELL_KNOWN, "", CMG_EPROTO, "not a JSON object" },
    { V2 WELL_KNOWN, "[]", CMG_EPROTO, "not a JSON object" },
    { V2 WELL_KNOWN, "{}", CMG_EPROTO, "no issuer" },
    { V2 WELL_KNOWN, "{\"issuer\":\"" V2 "\"}", CMG_EPROTO, "no jwks_uri" },
    { V2 WELL_KNOWN, "{\"issuer\":[\"" V2 "\"],\"jwks_uri\":\"" KEYS "\"}", CMG_EPROTO,
      "no issuer" },
    { V2 WELL_KNOWN, "{\"issuer\":\"x\",\"issuer\":\"" V2 "\",\"jwks_uri\":\"" KEYS "\"}",
      CMG_EPROTO, "not a JSON object" },
    { V2 WELL_KNOWN, DOC(V2, KEYS) "x", CMG_EPROTO, "not a JSON object" },
};

static void documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char jwks[CMG_DISCOVERY_URL];
        struct cmg_err err = { 0 };
        enum cmg_rc rc =
            cmg_discovery_read(cmg_str(cases[i].json), cases[i].url, microsoft, jwks, &err);
        const char *got = rc == CMG_OK ? jwks : err.text;
        if (rc != cases[i].rc || !strstr(got, cases[i].want))
            fail_msg("%s: %d \"%s\"", cases[i].json, rc, got);
        if (rc != CMG_OK)
            assert_string_equal(jwks, "");
    }
}

static void the_length_of_a_url_is_bounded(void **state)
{
    (void)state;
    for (int n = CMG_DISCOVERY_URL - 1; n <= CMG_DISCOVERY_URL; n++) {
        char json[2048], jwks[CMG_DISCOVERY_URL];
        snprintf(json, sizeof(json), "{\"issuer\":\"" V2 "\",\"jwks_uri\":\"https://%0*d\"}", n - 8,
                 1);
        enum cmg_rc rc = cmg_discovery_read(cmg_str(json), V2, microsoft, jwks, NULL);
        assert_int_equal(rc, n < CMG_DISCOVERY_URL ? CMG_OK : CMG_EDENIED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(the_length_of_a_url_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
