/* SPDX-License-Identifier: MIT */
#include "cmg/auth/identity.h"

static const char *const hows[] = { [CMG_BY_NOTHING] = "none",
                                    [CMG_BY_CERTIFICATE] = "certificate",
                                    [CMG_BY_ENTRA] = "entra",
                                    [CMG_BY_SITE_TOKEN] = "site-token",
                                    [CMG_BY_CONTENT_TOKEN] = "content-token" };
static const char *const kinds[] = { [CMG_KIND_DEVICE] = "device",
                                     [CMG_KIND_USER] = "user",
                                     [CMG_KIND_BULK] = "bulk" };

const char *cmg_identity_how_name(enum cmg_identity_how how)
{
    return hows[how];
}

const char *cmg_identity_kind_name(enum cmg_identity_kind kind)
{
    return kinds[kind];
}

static bool hex_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool cmg_guid_ok(struct cmg_str text, char out[37])
{
    if (text.n != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        char c = cmg_lower(text.p[i]);
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? c != '-' : !hex_digit(c))
            return false;
        if (out)
            out[i] = c;
    }
    if (out)
        out[36] = '\0';
    return true;
}
