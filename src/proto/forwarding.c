/* SPDX-License-Identifier: MIT */
#include "cmg/proto/forwarding.h"

/* A '*' at the end stands for anything, or nothing. Sorted by first letter for the reader. */
static const char *const forged[] = {
    "cf-connecting-ip",     "client-cert*",   "client-ip",         "cmg-*",
    "fastly-client-ip",     "forwarded*",     "front-end-https",   "proxy",
    "proxy-authenticate-*", "remote-addr*",   "remote-user*",      "ssl-client*",
    "true-client-ip",       "x-arr-*",        "x-client-*",        "x-cluster-client-ip",
    "x-forwarded*",         "x-http-method*", "x-method-override", "x-original-*",
    "x-originating-ip",     "x-proxyuser*",   "x-real-ip",         "x-remote-*",
    "x-rewrite-url",        "x-ssl-*",        "x-tls-*",
};

static bool matches(struct cmg_str name, const char *pattern)
{
    size_t i = 0;
    for (; i < name.n && pattern[i] && pattern[i] != '*'; i++) {
        char c = name.p[i] == '_' ? '-' : cmg_lower(name.p[i]);
        if (c != pattern[i])
            return false;
    }
    return pattern[i] == '*' || (i == name.n && !pattern[i]);
}

bool cmg_field_is_forged(struct cmg_str name)
{
    /* Most names of real requests begin with another letter. */
    if (!name.n || !strchr("cfprstx", cmg_lower(name.p[0])))
        return false;
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++)
        if (matches(name, forged[i]))
            return true;
    return false;
}
