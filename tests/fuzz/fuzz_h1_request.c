/* SPDX-License-Identifier: MIT */
#include "fuzz_h1.h"

/* What was read and written again is read alike. */
static void again(const struct cmg_h1_msg *m)
{
    struct cmg_h1_msg back;
    struct cmg_h1_scan scan = { 0 };
    struct cmg_err err;
    struct cmg_buf out;

    cmg_buf_init(&out, 1 << 16);
    hold(cmg_h1_put_request(&out, &m->head, CMG_STR(""), &err) == CMG_OK, "it can be written");
    hold(cmg_h1_request(cmg_buf_str(&out), &cmg_h1_limits_default, &scan, &back, &err) == CMG_OK,
         "it can be read again");
    hold(back.size == out.n, "it is one head");
    hold(same_words(&m->head, &back.head) && m->framing == back.framing &&
             m->head.length == back.head.length && m->head.end == back.head.end,
         "it says the same again");
    cmg_buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cmg_str in = { (const char *)p, n };
    struct cmg_h1_scan scan = { 0 };
    struct cmg_h1_msg m;
    struct cmg_err err = { 0 };
    enum cmg_rc rc = fuzz_read(in, NULL, &scan, &m, &err);

    hold(rc == CMG_OK || rc == CMG_MORE || err.text[0], "a refusal has a reason");
    hold(rc == CMG_OK || rc == CMG_MORE || m.refuse >= 400, "a refusal has a status");
    fuzz_cuts(in, NULL, rc, &m);
    if (rc != CMG_OK)
        return 0;
    fuzz_head(in, &m);
    hold(m.framing != CMG_H1_UNTIL_CLOSE, "a request never reads until the end");
    hold(m.head.target.p[0] == '/' || cmg_str_eq(m.head.target, CMG_STR("*")), "it has a path");
    hold(m.head.authority.n || m.minor == 0, "it has an authority");
    if (m.head.authority.n)
        again(&m);
    return 0;
}
