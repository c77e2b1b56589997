/* SPDX-License-Identifier: MIT */
/* Reads a whole HTTP/1.1 message that arrives `step` bytes at a time, and writes down all
 * that the codec said of it, so that tests compare one text. Every call gets its bytes in
 * a block of their exact size: reading past them is caught by AddressSanitizer. */
#ifndef CMG_TESTS_H1_HEAR_H
#define CMG_TESTS_H1_HEAR_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"
#include "cmg/proto/h1.h"

#define S(literal)                      \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

struct heard {
    enum cmg_rc rc; /* of the head, or of the body when the head was fine */
    unsigned refuse;
    size_t used;        /* bytes of the message                            */
    struct cmg_err err; /* of the failure                                  */
    struct cmg_buf text;
};

static inline void say(struct heard *h, const char *key, struct cmg_str value)
{
    if (cmg_buf_put(&h->text, cmg_str(key)) != CMG_OK ||
        cmg_buf_put(&h->text, CMG_STR("=")) != CMG_OK ||
        (value.n && cmg_buf_put(&h->text, value) != CMG_OK) ||
        cmg_buf_put(&h->text, CMG_STR("\n")) != CMG_OK)
        abort();
}

static inline void say_number(struct heard *h, const char *key, int64_t n)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%" PRId64, n);
    say(h, key, cmg_str(digits));
}

static inline void say_fields(struct heard *h, const char *what, const struct cmg_field *f,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        say(h, what, f[i].name);
        say(h, "value", f[i].value);
    }
}

static inline void say_head(struct heard *h, const struct cmg_h1_msg *m)
{
    static const char *const framings[] = { "none", "length", "chunked", "until-close" };
    say(h, "method", m->head.method);
    say(h, "target", m->head.target);
    say(h, "authority", m->head.authority);
    say(h, "scheme", m->head.scheme);
    say_number(h, "status", m->head.status);
    say(h, "reason", m->head.reason);
    say_fields(h, "field", m->head.fields, m->head.nfields);
    say_number(h, "length", m->head.length);
    say_number(h, "end", m->head.end);
    say_number(h, "minor", m->minor);
    say(h, "framing", cmg_str(framings[m->framing]));
    say_number(h, "keep-alive", m->keep_alive);
    say(h, "upgrade", m->upgrade);
}

static inline char *exactly(struct cmg_str s)
{
    char *p = malloc(s.n ? s.n : 1);
    if (!p)
        abort();
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

/* NULL method: a request. The head's bytes are given back, for msg borrows from them. */
static inline char *hear_head(struct heard *h, struct cmg_str in, const char *method, size_t step,
                              const struct cmg_h1_limits *limits, struct cmg_h1_msg *m, size_t *n)
{
    struct cmg_h1_scan scan = { 0 };
    for (*n = 0;;) {
        *n = in.n - *n < step ? in.n : *n + step;
        char *copy = exactly((struct cmg_str){ in.p, *n });
        struct cmg_str part = { copy, *n };
        h->rc = method ? cmg_h1_response(part, cmg_str(method), limits, &scan, m, &h->err)
                       : cmg_h1_request(part, limits, &scan, m, &h->err);
        if (h->rc == CMG_OK)
            return copy;
        free(copy);
        if (h->rc != CMG_MORE || *n == in.n)
            return NULL;
    }
}

static inline void hear_body(struct heard *h, struct cmg_str in, size_t step, size_t n,
                             const struct cmg_h1_limits *limits, const struct cmg_h1_msg *m)
{
    struct cmg_h1_body body;
    struct cmg_buf data;
    struct cmg_field trailers[CMG_H1_FIELDS];
    bool done = false;

    cmg_buf_init(&data, 1 << 20);
    cmg_h1_body_init(&body, m, limits);
    while (!done) {
        size_t used, ntrailers;
        struct cmg_str run;
        char *copy = exactly((struct cmg_str){ in.p + h->used, n - h->used });
        h->rc = cmg_h1_body_read(&body, (struct cmg_str){ copy, n - h->used }, &used, &run, &done,
                                 trailers, &ntrailers, &h->err);
        if (h->rc == CMG_OK) {
            h->used += used;
            if (run.n && cmg_buf_put(&data, run) != CMG_OK)
                abort();
            say_fields(h, "trailer", trailers, ntrailers);
        }
        free(copy);
        if (h->rc != CMG_OK && (h->rc != CMG_MORE || n == in.n))
            break;
        if (h->rc == CMG_MORE)
            n = in.n - n < step ? in.n : n + step;
    }
    if (h->rc == CMG_MORE && m->framing == CMG_H1_UNTIL_CLOSE)
        h->rc = CMG_OK; /* the connection ends here */
    say(h, "body", cmg_buf_str(&data));
    say_number(h, "done", done);
    cmg_buf_clear(&data);
}

static inline struct heard hear_limited(struct cmg_str in, const char *method, size_t step,
                                        const struct cmg_h1_limits *limits)
{
    struct heard h = { 0 };
    struct cmg_h1_msg m;
    size_t n;

    cmg_buf_init(&h.text, 1 << 21);
    char *head = hear_head(&h, in, method, step, limits, &m, &n);
    h.refuse = m.refuse;
    if (head) {
        h.used = m.size;
        say_head(&h, &m);
        hear_body(&h, in, step, n, limits, &m);
        free(head);
    }
    say_number(&h, "rc", h.rc);
    say_number(&h, "used", (int64_t)h.used);
    return h;
}

static inline struct heard hear(struct cmg_str in, const char *method, size_t step)
{
    return hear_limited(in, method, step, &cmg_h1_limits_default);
}

static inline void heard_clear(struct heard *h)
{
    cmg_buf_clear(&h->text);
}

/* True when the message is understood alike whole and in pieces of every size. */
static inline bool every_split_agrees(struct cmg_str in, const char *method)
{
    bool same = true;
    struct heard whole = hear(in, method, in.n ? in.n : 1);
    for (size_t step = 1; step < in.n && same; step++) {
        struct heard cut = hear(in, method, step);
        same = cmg_str_eq(cmg_buf_str(&whole.text), cmg_buf_str(&cut.text)) &&
               whole.refuse == cut.refuse;
        heard_clear(&cut);
    }
    heard_clear(&whole);
    return same;
}

static inline const char *rc_name(enum cmg_rc rc)
{
    switch (rc) {
    case CMG_OK:
        return "ok";
    case CMG_MORE:
        return "more";
    case CMG_EPROTO:
        return "malformed";
    case CMG_ETOOBIG:
        return "too big";
    case CMG_EDENIED:
    case CMG_EIO:
    case CMG_ECONF:
    case CMG_ETIMEOUT:
        break;
    }
    return "?";
}

#endif
