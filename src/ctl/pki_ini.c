/* SPDX-License-Identifier: MIT */
/* Configurations that load as they are. Only what must be said is; the samples have the rest. */
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"
#include "ctl/pki_tree.h"

enum { INI_MAX = 64 * 1024 };

#define PUT(buf, ...)                                     \
    do {                                                  \
        if (cmg_buf_printf((buf), __VA_ARGS__) != CMG_OK) \
            abort(); /* bounded by PKI_POINTS_MAX */      \
    } while (0)

static char *text_of(struct cmg_buf *b)
{
    char *text = cmg_str_dup(cmg_buf_str(b));
    cmg_buf_clear(b);
    return text;
}

char *pki_gateway_ini(const struct pki_site *s)
{
    struct cmg_buf b;
    cmg_buf_init(&b, INI_MAX);
    PUT(&b,
        "# /etc/cmg/cmg-gateway.ini, made by cmgctl pki init. cmg-gateway --print-sample says\n"
        "# what else can be set.\n\n"
        "[gateway]\n"
        "name = %s\n"
        "certificate = gateway.pem\n"
        "key = gateway.key\n\n"
        "[clients]\n"
        "ca-file = clients-ca.pem\n\n"
        "[channel]\n"
        "ca-file = connection-points-ca.pem\n\n"
        "# cmgctl pki crl makes a new list before this one runs out.\n"
        "[revocation]\n"
        "check = hard\n"
        "files = clients-ca.crl\n"
        "fetch = no\n\n"
        "[site-tokens]\n"
        "hierarchy = %s\n"
        "certificates = site-token.pem\n"
        "block-list = blocked\n",
        s->service, s->hierarchy);
    for (size_t i = 0; i < s->npoints; i++)
        PUT(&b, "\n[connection-point cp%zu]\nname = %s\nsite = %s\n", i + 1, s->points[i], s->site);
    return text_of(&b);
}

char *pki_point_ini(const struct pki_site *s, const char *name)
{
    struct cmg_buf b;
    cmg_buf_init(&b, INI_MAX);
    PUT(&b,
        "# /etc/cmg/cmg-connection-point.ini, made by cmgctl pki init.\n"
        "# cmg-connection-point --print-sample says what else can be set.\n\n"
        "[connection-point]\n"
        "name = %s\n"
        "site = %s\n"
        "certificate = connection-point.pem\n"
        "key = connection-point.key\n\n"
        "[cmg main]\n"
        "service = %s\n"
        "ca-file = gateway-ca.pem\n\n"
        "# The management point of the site, and its id in clients' URLs.\n"
        "[endpoint mp1]\n"
        "role = management-point\n"
        "id = 72057594037927941\n"
        "url = %s\n",
        name, s->site, s->service, s->management_point);
    return text_of(&b);
}
