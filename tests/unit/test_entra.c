/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmg/auth/entra.h"
#include "jose_make.h"

#define TENANT "72f988bf-86f1-41af-91ab-2d7cd011db47"
#define OTHER "72f988bf-86f1-41af-91ab-2d7cd011db48"
#define DEVICE "0d1e2f3a-4b5c-4d6e-8f70-8192a3b4c5d6"
#define USER "11111111-2222-3333-4444-555555555555"
#define TID "'tid':'" TENANT "'"
#define OID "'oid':'" USER "'"
#define DEV "'deviceid':'" DEVICE "'"

static void a_tenant_has_two_issuers(void **state)
{
    (void)state;
    char v1[CMG_ENTRA_ISSUER], v2[CMG_ENTRA_ISSUER];
    cmg_entra_issuers("72F988BF-86F1-41AF-91AB-2D7CD011DB47", v1, v2);
    assert_string_equal("https://sts.windows.net/" TENANT "/", v1);
    assert_string_equal("https://login.microsoftonline.com/" TENANT "/v2.0", v2);
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A252 A64 A64 A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *says;
    const char *claims; /* behind exp */
    const char *name;   /* NULL: refused */
    const char *id;     /* or the word that the refusal has */
    enum cmg_identity_kind kind;
} cases[] = {
    { "a device", TID "," DEV, DEVICE, DEVICE, CMG_KIND_DEVICE },
    { "a device with an object id", TID "," DEV "," OID, DEVICE, DEVICE, CMG_KIND_DEVICE },
    { "a device in capitals",
      "'tid':'72F988BF-86F1-41AF-91AB-2D7CD011DB47',"
      "'deviceid':'0D1E2F3A-4B5C-4D6E-8F70-8192A3B4C5D6'",
      DEVICE, DEVICE, CMG_KIND_DEVICE },
    { "a device by an application", TID "," DEV ",'idtyp':'app'", DEVICE, DEVICE, CMG_KIND_DEVICE },
    { "a user of version 1", TID "," OID ",'upn':'a~x','unique_name':'b'", "a~x", USER,
      CMG_KIND_USER },
    { "a user without upn", TID "," OID ",'unique_name':'b','preferred_username':'c'", "c", USER,
      CMG_KIND_USER },
    { "a user by the last name", TID "," OID ",'unique_name':'b'", "b", USER, CMG_KIND_USER },
    { "a user without a name", TID "," OID ",'scp':'user_impersonation'", USER, USER,
      CMG_KIND_USER },
    { "a user on a device", TID "," OID "," DEV ",'upn':'a'", "a", USER, CMG_KIND_USER },
    { "a name with a line feed", TID "," OID ",'upn':'a\\nb','unique_name':'b'", "b", USER,
      CMG_KIND_USER },
    { "an empty name", TID "," OID ",'upn':''", USER, USER, CMG_KIND_USER },
    { "the longest name", TID "," OID ",'upn':'" A252 "aaa'", A252 "aaa", USER, CMG_KIND_USER },
    { "a name that is too long", TID "," OID ",'upn':'" A252 "aaaa'", USER, USER, CMG_KIND_USER },

    { "another tenant", "'tid':'" OTHER "'," DEV, NULL, "tenant", 0 },
    { "no tenant", DEV, NULL, "tenant", 0 },
    { "a tenant that is no GUID", "'tid':'contoso.example'," DEV, NULL, "tenant", 0 },
    { "a tenant and more", "'tid':'" TENANT " '," DEV, NULL, "tenant", 0 },
    { "a tenant in a list", "'tid':['" TENANT "']," DEV, NULL, "tenant", 0 },
    { "a device that is no GUID", TID ",'deviceid':'PC1'", NULL, "deviceid", 0 },
    { "a device that is empty", TID ",'deviceid':''", NULL, "deviceid", 0 },
    { "a user without oid", TID ",'upn':'a'", NULL, "oid", 0 },
    { "a user whose oid is no GUID", TID ",'oid':'a','upn':'a'", NULL, "oid", 0 },
    { "an application", TID "," OID ",'appid':'" USER "'", NULL, "application", 0 },
    { "an application that says so", TID "," OID ",'idtyp':'app'", NULL, "application", 0 },
    { "an application with a scope", TID "," OID ",'idtyp':'app','scp':'x'", NULL, "application",
      0 },
    { "an application with a name and a device", TID "," OID "," DEV ",'idtyp':'App','upn':'a'",
      NULL, "application", 0 },
    { "an application with roles", TID "," OID ",'roles':['x']", NULL, "application", 0 },
    { "nobody", TID, NULL, "application", 0 },
};

static void a_token_is_a_devices_a_users_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char claims[2048];
        struct cmg_identity who;
        struct cmg_err err = { 0 };
        snprintf(claims, sizeof(claims), "{'exp':1780003600,%s}", cases[i].claims);
        char *token = jose_token(EC1, "{" ES_HEAD "}", claims);
        struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), &err);
        if (!t)
            fail_msg("%s: %s", cases[i].says, err.text);
        memset(&who, 'x', sizeof(who));
        enum cmg_rc rc = cmg_entra_identify(t, TENANT, NOW, &who, &err);
        if (rc != (cases[i].name ? CMG_OK : CMG_EDENIED))
            fail_msg("%s: %d %s", cases[i].says, rc, err.text);
        if (cases[i].name) {
            assert_string_equal(cases[i].name, who.name);
            assert_string_equal(cases[i].id, who.id);
            assert_string_equal(TENANT, who.tenant);
            assert_string_equal("", who.sha256);
            assert_int_equal(CMG_BY_ENTRA, who.how);
            assert_int_equal(cases[i].kind, who.kind);
            assert_int_equal(NOW, who.since);
            assert_int_equal(1780003600, who.until);
        } else {
            if (!strstr(err.text, cases[i].id))
                fail_msg("%s: \"%s\" does not say %s", cases[i].says, err.text, cases[i].id);
            assert_int_equal(CMG_BY_NOTHING, who.how);
            assert_string_equal("", who.id);
        }
        cmg_jwt_free(t);
        free(token);
    }
}

static void a_configured_tenant_that_is_no_guid_lets_nobody_in(void **state)
{
    (void)state;
    char *token = jose_token(EC1, "{" ES_HEAD "}", "{'tid':'common'," DEV "}");
    struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), NULL);
    struct cmg_identity who;
    assert_int_equal(CMG_EDENIED, cmg_entra_identify(t, "common", NOW, &who, NULL));
    cmg_jwt_free(t);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_has_two_issuers),
        cmocka_unit_test(a_token_is_a_devices_a_users_or_refused),
        cmocka_unit_test(a_configured_tenant_that_is_no_guid_lets_nobody_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
