/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/finding.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/utf8.h"

const char *cmg_finding_word(enum cmg_finding_verdict v)
{
    static const char *const names[] = {
        [CMG_FINDING_PASS] = "pass",
        [CMG_FINDING_WARN] = "warn",
        [CMG_FINDING_FAIL] = "fail",
    };
    return names[v];
}

static json_t *text(const char *z)
{
    char *copy = cmg_strdup(z ? z : "");
    struct cmg_str rest = cmg_str(copy);
    for (size_t at = 0; rest.n;) {
        size_t n = cmg_utf8(rest);
        if (n == 0)
            copy[at] = '?';
        n = n ? n : 1;
        at += n;
        rest = cmg_str_from(rest, n);
    }
    json_t *s = json_string(copy);
    free(copy);
    if (!s)
        abort();
    return s;
}

json_t *cmg_finding_json(const struct cmg_finding *f)
{
    json_t *o = json_pack("{s:o,s:o,s:s,s:o,s:o,s:o}", "check", text(f->check), "subject",
                          text(f->subject), "verdict", cmg_finding_word(f->verdict), "says",
                          text(f->says), "means", text(f->means), "do", text(f->remedy));
    if (!o)
        abort();
    return o;
}
