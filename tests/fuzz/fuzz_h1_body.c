/* SPDX-License-Identifier: MIT */
/* A chunked body (or, by the first byte, one of a length or until close), read whole and in
 * pieces of every small size. */
#include "fuzz_h1.h"

struct read_all {
    enum cmg_rc rc;
    bool done;
    size_t used;
    uint64_t trailers; /* a sum of their bytes */
    struct cmg_buf data;
};

static uint64_t sum(uint64_t h, struct cmg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * UINT64_C(0x100000001b3);
    return h * 31 + s.n;
}

static void step(struct read_all *r, struct cmg_h1_body *b, struct cmg_str part)
{
    struct cmg_field trailers[CMG_H1_FIELDS];
    struct cmg_err err = { 0 };
    struct cmg_str data;
    size_t used, n;
    char *copy = fuzz_copy(part.p, part.n);

    part.p = copy;
    r->rc = cmg_h1_body_read(b, part, &used, &data, &r->done, trailers, &n, &err);
    hold(r->rc == CMG_OK || r->rc == CMG_MORE || err.text[0], "a refusal has a reason");
    hold(used <= part.n && inside(data, part), "only bytes that are there are used");
    hold(r->rc == CMG_OK || (!used && !data.n && !r->done), "only progress uses bytes");
    hold(r->rc != CMG_OK || used || r->done, "progress is progress");
    hold(n == 0 || r->done, "trailers come last");
    for (size_t i = 0; i < n; i++) {
        hold(cmg_field_name_ok(trailers[i].name) && cmg_field_value_ok(trailers[i].value),
             "trailers may be written");
        hold(!cmg_field_is_hop_by_hop(trailers[i].name), "no trailer is the connection's");
        r->trailers = sum(sum(r->trailers, trailers[i].name), trailers[i].value);
    }
    hold(cmg_buf_put(&r->data, data) == CMG_OK, "data fits");
    r->used += used;
    free(copy);
}

static struct read_all read_all(struct cmg_str in, const struct cmg_h1_msg *m, size_t pace)
{
    struct read_all r = { .rc = CMG_MORE };
    struct cmg_h1_body b;
    size_t n = 0;

    cmg_buf_init(&r.data, in.n);
    cmg_h1_body_init(&b, m, &fuzz_limits);
    do {
        if (r.rc == CMG_MORE)
            n = in.n - n < pace ? in.n : n + pace;
        step(&r, &b, (struct cmg_str){ in.p + r.used, n - r.used });
    } while (!r.done && (r.rc == CMG_OK || (r.rc == CMG_MORE && n < in.n)));
    return r;
}

static void same(const struct read_all *a, const struct read_all *b)
{
    hold(a->rc == b->rc && a->done == b->done, "the verdict is the same");
    hold(a->used == b->used, "the same bytes are used");
    hold(cmg_str_eq(cmg_buf_str(&a->data), cmg_buf_str(&b->data)), "the data are the same");
    hold(a->trailers == b->trailers, "the trailers are the same");
}

/* Written as chunks again, the data come back. */
static void again(const struct read_all *whole, const struct cmg_h1_msg *m)
{
    struct cmg_buf out;
    struct cmg_str data = cmg_buf_str(&whole->data);
    size_t half = data.n / 2;

    cmg_buf_init(&out, data.n + 100);
    hold(cmg_h1_put_chunk(&out, (struct cmg_str){ data.p, half }) == CMG_OK &&
             cmg_h1_put_chunk(&out, (struct cmg_str){ half ? data.p + half : data.p,
                                                      data.n - half }) == CMG_OK &&
             cmg_h1_put_last_chunk(&out, NULL, 0) == CMG_OK,
         "data can be written");
    struct read_all back = read_all(cmg_buf_str(&out), m, out.n);
    hold(back.done && back.used == out.n, "it is one body");
    hold(cmg_str_eq(data, cmg_buf_str(&back.data)), "the data come back");
    cmg_buf_clear(&back.data);
    cmg_buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct cmg_h1_msg m;
    if (n == 0)
        return 0;
    struct cmg_str in = { (const char *)p + 1, n - 1 };
    m.framing = p[0] == 'l' ? CMG_H1_LENGTH : p[0] == 'u' ? CMG_H1_UNTIL_CLOSE : CMG_H1_CHUNKED;
    m.head.length = 20;

    struct read_all whole = read_all(in, &m, in.n + 1);
    hold(whole.data.n <= whole.used, "data are part of what was used");
    for (size_t pace = 1; pace <= 9; pace++) {
        struct read_all cut = read_all(in, &m, pace);
        same(&whole, &cut);
        cmg_buf_clear(&cut.data);
    }
    if (whole.done && m.framing == CMG_H1_CHUNKED)
        again(&whole, &m);
    cmg_buf_clear(&whole.data);
    return 0;
}
