/* SPDX-License-Identifier: MIT */
#include "cmg/net/expiry.h"

#include "cmg/base/str.h"
#include "cmg/net/tls.h"

static void on_certificate(void *arg, const struct cmg_tls_identity *id)
{
    struct cmg_expiry *e = arg;
    if (e->n++ && id->not_after >= e->not_after)
        return;
    e->not_after = id->not_after;
    cmg_str_put(e->subject, sizeof(e->subject), cmg_str(id->subject));
}

enum cmg_rc cmg_expiry_read(const char *path, struct cmg_expiry *out, struct cmg_err *err)
{
    *out = (struct cmg_expiry){ .n = 0 };
    return cmg_tls_describe_file(path, on_certificate, out, err);
}
