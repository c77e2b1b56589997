/* SPDX-License-Identifier: MIT */
/* The first byte chooses the method of the request that is answered. */
#include "fuzz_h1.h"

static const char *const methods[] = { "GET", "HEAD", "CCM_POST" };

static void again(const struct cmg_h1_msg *m, const char *method, unsigned minor)
{
    struct cmg_h1_msg back;
    struct cmg_h1_scan scan = { 0 };
    struct cmg_err err;
    struct cmg_buf out;
    enum cmg_h1_framing framing;

    cmg_buf_init(&out, 1 << 16);
    hold(cmg_h1_put_response(&out, &m->head, cmg_str(method), minor, false, CMG_STR(""), &framing,
                             &err) == CMG_OK,
         "it can be written");
    hold(cmg_h1_response(cmg_buf_str(&out), cmg_str(method), &cmg_h1_limits_default, &scan, &back,
                         &err) == CMG_OK,
         "it can be read again");
    hold(back.size == out.n, "it is one head");
    hold(same_words(&m->head, &back.head), "it says the same again");
    hold(back.framing == framing, "its body follows as promised");
    hold(m->head.end == back.head.end, "it ends when it ended");
    hold(m->head.length == back.head.length, "its length is kept");
    hold(!m->head.reason.n || cmg_str_eq(m->head.reason, back.head.reason), "its phrase is kept");
    hold(back.keep_alive || framing == CMG_H1_UNTIL_CLOSE, "it does not close unasked");
    cmg_buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    const char *method = methods[p[0] % 3];
    struct cmg_str in = { (const char *)p + 1, n - 1 };
    struct cmg_h1_scan scan = { 0 };
    struct cmg_h1_msg m;
    struct cmg_err err = { 0 };
    enum cmg_rc rc = fuzz_read(in, method, &scan, &m, &err);

    hold(rc == CMG_OK || rc == CMG_MORE || err.text[0], "a refusal has a reason");
    fuzz_cuts(in, method, rc, &m);
    if (rc != CMG_OK)
        return 0;
    fuzz_head(in, &m);
    hold(m.head.status >= 100 && m.head.status <= 999, "the status has three digits");
    hold(m.framing != CMG_H1_UNTIL_CLOSE || !m.keep_alive, "until close is not kept alive");
    again(&m, method, 1);
    if (m.head.status >= 200) /* 1xx is unknown to HTTP/1.0, and so is keep-alive of it */
        again(&m, method, 0);
    return 0;
}
