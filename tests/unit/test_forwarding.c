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
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(names); i++)
        if (cmg_field_is_forged(cmg_str(names[i])))
            fail_msg("%s would be dropped", names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_back_ends_believe_are_forged),
        cmocka_unit_test(names_of_real_clients_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
