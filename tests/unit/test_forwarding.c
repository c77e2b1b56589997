/* SPDX-License-Identifier: MIT */
/* What a client may not say: the names by which back ends are told who a client is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/forwarding.h"

static void names_that_back_ends_believe_are_forged(void **state)
{
    static const char *const names[] = {
        "Forwarded",
        "forwarded",
        "FORWARDED",
        "X-Forwarded-For",
        "x_forwarded_for",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "X_Real-IP",
        "Client-Cert",
        "client-cert-chain",
        "Client_Cert",
        "X-ARR-ClientCert",
        "X-Client-Cert",
        "X-SSL-Client-Verify",
        "SSL-Client-S-DN",
        "ssl_client_cert",
        "X-Original-URL",
        "X-Rewrite-URL",
        "True-Client-IP",
        "CF-Connecting-IP",
        "cmg-request-id",
        "CMG-Identity",
        "cmg_identity",
        "Cmg_anything",
        "X-HTTP-Method-Override",
        "Proxy",
        "Remote-User",
        "X-Remote-User",
        "X-Forwarded",
        "X.Forwarded.For", /* lighttpd's CGI, older Apaches */
        "x~real!ip",
        "X-ARR-SSL",
        "X-ARR-LOG-ID",
        "MS-ASPNETCORE-CLIENTCERT",
        "Ms_AspNetCore_Token",
        "Front-End-Https",
        "X-MS-CLIENT-PRINCIPAL",
        "X-MS-CLIENT-PRINCIPAL-NAME",
        "X-MS-TOKEN-AAD-ID-TOKEN",
        "X-MS-Proxy",
        "X-MS-Forwarded-Client-IP",
        "X-MS-Endpoint-Absolute-Path",
        "X-Azure-ClientIP",
        "X-WAWS-Unencoded-URL",
        "Disguised-Host",
        "WAS-DEFAULT-HOSTNAME",
        "x-amzn-mtls-clientcert",
        "X-Amzn-Mtls-Clientcert-Leaf",
        "x-amzn-oidc-data",
        "X-Goog-Authenticated-User-Email",
        "X-Goog-IAP-JWT-Assertion",
        "CF-Access-Jwt-Assertion",
        "Cf-Client-Cert-Der-Base64",
        "Fastly-Client-IP",
        "Akamai-Origin-Hop",
        "X-Forwarded-Client-Cert",
        "X-Forwarded-Tls-Client-Cert",
        "x-envoy-external-address",
        "X-Envoy-Original-Path",
        "X-SSL",
        "X-SSL-Client-CN",
        "X-SSL-Cert",
        "X-TLS-Client-Cert",
        "SSL-Cert",
        "SSLClientCertStatus",
        "X-ClientCert",
        "X-Client-DN",
        "X-Client-Verify",
        "WL-Proxy-Client-Cert",
        "Proxy-Client-IP",
        "$WSCC",
        "$WSRU",
        "iv-user",
        "IV_CREDS",
        "SM_USER",
        "SMUSER",
        "OAM_REMOTE_USER",
        "Remote-Groups",
        "REMOTE_ADDR",
        "Auth-Type",
        "X-Auth-Request-User",
        "X-WebAuth-User",
        "X-authentik-username",
        "X-Consumer-Username",
        "X-Scheme",
        "X-Host",
        "X-HTTP-Host-Override",
        "X-Rewrite-URL",
        "X-Proxy-User",
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(names); i++)
        if (!cmg_field_is_forged(cmg_str(names[i])))
            fail_msg("%s would pass", names[i]);
}

static void names_of_real_clients_pass(void **state)
{
    static const char *const names[] = {
        "",
        "Accept",
        "Authorization",
        "BITS-Packet-Type",
        "CCMClientID",
        "CCMClientIDSignature",
        "CCMClientTimestamp",
        "CCMClientTimestampsSignature",
        "CCMClientTimestampSignature",
        "ClientToken",
        "ClientTokenSignature",
        "Content-Range",
        "Cookie",
        "From",
        "Proxy-Authorization", /* belongs to the connection point to drop */
        "Range",
        "SOAPAction",
        "User-Agent",
        "X-MS-Client-Request-Id",
        "X-Requested-With",
        "cmgr", /* not our prefix */
        "forward",
        "Accept-Language",
        "Cache-Control",
        "CCM-Auth",
        "Client-Request-Id", /* libraries for Entra send it */
        "Content-Type",
        "Date",
        "If-Modified-Since",
        "Destination",
        "Depth",
        "Overwrite",
        "Translate",
        "SMSTS",
        "MS-CV",
        "X-MS-Client-SKU",
        "X-Amz-Date",
        "X-Auth", /* some endpoint's own key, not a proxy's word */
        "Timeout",
        "Transaction-Id",
        "Warning",
        "traceparent",
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(names); i++)
        if (cmg_field_is_forged(cmg_str(names[i])))
            fail_msg("%s would be dropped", names[i]);
}

static void a_pattern_is_the_whole_name_or_its_front(void **state)
{
    (void)state;
    assert_true(cmg_field_matches(CMG_STR("X_Client.Name"), "x-client-name"));
    assert_true(cmg_field_matches(CMG_STR("X-Client-"), "x-client-*"));
    assert_false(cmg_field_matches(CMG_STR("X-Client"), "x-client-*"));
    assert_false(cmg_field_matches(CMG_STR("X-Client-Name2"), "x-client-name"));
    assert_false(cmg_field_matches(CMG_STR("X-Client-Nam"), "x-client-name"));
    assert_true(cmg_field_matches(CMG_STR("anything"), "*"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_back_ends_believe_are_forged),
        cmocka_unit_test(names_of_real_clients_pass),
        cmocka_unit_test(a_pattern_is_the_whole_name_or_its_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
