/* SPDX-License-Identifier: MIT */
/* A document that passes names keys at a URL that can be asked for; https where the document was
 * itself. */
#include "cmg/auth/discovery.h"
#include "fuzz.h"

static const char *const issuers[] = {
    "https://sts.windows.net/11111111-2222-3333-4444-555555555555/", NULL
};

static enum cmg_rc read_from(struct cmg_str json, const char *url, char jwks[CMG_DISCOVERY_URL])
{
    struct cmg_err err = { 0 };
    enum cmg_rc rc = cmg_discovery_read(json, url, issuers, jwks, &err);
    hold((rc == CMG_OK) == (jwks[0] != '\0'), "a URL is there when it passed, and only then");
    hold((rc == CMG_OK) == (err.text[0] == '\0'), "a reason is there when it did not");
    return rc;
}

static void a_url(const char *url)
{
    hold(cmg_str_istarts(cmg_str(url), CMG_STR("https://")) ||
             cmg_str_istarts(cmg_str(url), CMG_STR("http://")),
         "http or https");
    hold(!strpbrk(url, " \t\r\n\"@"), "nothing in it that ends a line or a host");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cmg_str json = { (const char *)data, size };
    char jwks[CMG_DISCOVERY_URL], other[CMG_DISCOVERY_URL];
    enum cmg_rc rc =
        read_from(json, "https://idp.example/x/.well-known/openid-configuration", jwks);
    if (rc == CMG_OK) {
        a_url(jwks);
        hold(!cmg_str_istarts(cmg_str(jwks), CMG_STR("http://")), "no plain keys by an https URL");
    }
    if (read_from(json, "http://idp.example/x/.well-known/openid-configuration", other) == CMG_OK)
        a_url(other);
    return 0;
}
