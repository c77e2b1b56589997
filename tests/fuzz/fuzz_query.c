/* SPDX-License-Identifier: MIT */
/* Every pair lies within the query, in its order; what is decoded is a string that fits, is never
 * longer than what it came from, and comes out the same in any room that it fits into. */
#include "cmg/proto/query.h"
#include "fuzz.h"

static void decoded(struct cmg_str s)
{
    static char roomy[65536], tight[65536];
    bool ok = cmg_query_decode(s, roomy, sizeof(roomy));
    size_t n = strlen(roomy);
    hold(ok || !n, "what is refused leaves nothing");
    hold(n <= s.n || !ok, "nothing grows");
    if (!ok)
        return;
    hold(cmg_query_decode(s, tight, n + 1) && !strcmp(roomy, tight), "its room is enough");
    hold(!n || !cmg_query_decode(s, tight, n), "less is not");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cmg_str all = { (const char *)data, size }, rest = all, name, value;
    const char *at = all.p;
    if (size > 32768)
        return 0;
    while (cmg_query_next(&rest, &name, &value)) {
        hold(name.p >= at && name.p + name.n <= all.p + all.n, "a name lies in the query");
        hold(!value.n || (value.p > name.p + name.n - 1 && value.p + value.n <= all.p + all.n),
             "a value lies behind its name");
        hold(name.n + value.n > 0 || all.n > 0, "an empty query has no pairs");
        at = name.p + name.n;
        decoded(name);
        decoded(value);
    }
    return 0;
}
