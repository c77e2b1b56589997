/* SPDX-License-Identifier: MIT */
#include "cmg/net/expiry.h"

#include <string.h>

#include "cmg/base/str.h"
#include "tls_peer.h"
#include "trust.h"

enum cmg_rc cmg_expiry_read(const char *path, struct cmg_expiry *out, struct cmg_err *err)
{
    STACK_OF(X509) *certs = cmg_trust_read(path, err);
    if (!certs)
        return CMG_ECONF;
    *out = (struct cmg_expiry){ .n = (size_t)sk_X509_num(certs) };
    for (int i = 0; i < sk_X509_num(certs); i++) {
        struct cmg_tls_identity id = { .name = "" };
        cmg_peer_describe(sk_X509_value(certs, i), &id);
        if (i > 0 && id.not_after >= out->not_after)
            continue;
        out->not_after = id.not_after;
        cmg_str_put(out->subject, sizeof(out->subject), cmg_str(id.subject));
    }
    sk_X509_pop_free(certs, X509_free);
    return CMG_OK;
}
