/* SPDX-License-Identifier: MIT */
/* What was redacted once has nothing left to take out: no rule's cut makes room for another's. */
#include "ctl/redact.h"
#include "fuzz.h"

static struct cmg_buf run(struct cmg_str text)
{
    struct cmg_buf out;
    char *copy = fuzz_copy(text.p, text.n);
    cmg_buf_init(&out, 1 << 20);
    hold(redact((struct cmg_str){ copy, text.n }, &out) == CMG_OK, "there is room");
    free(copy);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n > 16384)
        return 0;
    struct cmg_buf once = run((struct cmg_str){ (const char *)p, n });
    struct cmg_buf twice = run(cmg_buf_str(&once));
    hold(cmg_str_eq(cmg_buf_str(&once), cmg_buf_str(&twice)), "a second pass changes nothing");
    cmg_buf_clear(&once);
    cmg_buf_clear(&twice);
    return 0;
}
