/* SPDX-License-Identifier: MIT */
/* Properties that heads of requests and of responses share. */
#ifndef CMG_TESTS_FUZZ_H1_H
#define CMG_TESTS_FUZZ_H1_H

#include "cmg/proto/h1.h"
#include "fuzz.h"

/* Small, so that the limits are reached too. */
static const struct cmg_h1_limits fuzz_limits = { 600, 200, 100 };

/* NULL method: a request. */
static inline enum cmg_rc fuzz_read(struct cmg_str in, const char *method, struct cmg_h1_scan *scan,
                                    struct cmg_h1_msg *m, struct cmg_err *err)
{
    return method ? cmg_h1_response(in, cmg_str(method), &fuzz_limits, scan, m, err)
                  : cmg_h1_request(in, &fuzz_limits, scan, m, err);
}

static inline bool same_fields(const struct cmg_head *a, const struct cmg_head *b)
{
    if (a->nfields != b->nfields)
        return false;
    for (size_t i = 0; i < a->nfields; i++)
        if (!cmg_str_eq(a->fields[i].name, b->fields[i].name) ||
            !cmg_str_eq(a->fields[i].value, b->fields[i].value))
            return false;
    return true;
}

/* All but the framing and the phrase. */
static inline bool same_words(const struct cmg_head *a, const struct cmg_head *b)
{
    return cmg_str_eq(a->method, b->method) && cmg_str_eq(a->target, b->target) &&
           cmg_str_eq(a->authority, b->authority) && a->status == b->status && same_fields(a, b);
}

static inline bool same_msg(const struct cmg_h1_msg *a, const struct cmg_h1_msg *b)
{
    return same_words(&a->head, &b->head) && cmg_str_eq(a->head.reason, b->head.reason) &&
           a->head.length == b->head.length && a->head.end == b->head.end && a->size == b->size &&
           a->minor == b->minor && a->framing == b->framing && a->keep_alive == b->keep_alive &&
           cmg_str_eq(a->upgrade, b->upgrade);
}

/* Fewer bytes only delay the verdict, whether they come fresh or one call after another. */
static inline void fuzz_cuts(struct cmg_str in, const char *method, enum cmg_rc rc,
                             const struct cmg_h1_msg *whole)
{
    struct cmg_h1_scan trickle = { 0 };
    enum cmg_rc last = CMG_MORE;

    for (size_t n = 0; n <= in.n && last == CMG_MORE; n++) {
        struct cmg_h1_msg m;
        struct cmg_h1_scan fresh = { 0 };
        char *copy = fuzz_copy(in.p, n);
        struct cmg_str part = { copy, n };
        enum cmg_rc once = fuzz_read(part, method, &fresh, &m, NULL);
        last = fuzz_read(part, method, &trickle, &m, NULL);
        hold(once == last, "what was seen before changes no verdict");
        hold(last == CMG_MORE || last == rc, "fewer bytes only delay the verdict");
        hold(last != CMG_OK || same_msg(whole, &m), "a head in pieces says the same");
        free(copy);
    }
    hold(last == rc, "all bytes give the verdict");
}

static inline bool inside(struct cmg_str s, struct cmg_str in)
{
    return !s.n || (s.p >= in.p && s.p + s.n <= in.p + in.n);
}

static inline void fuzz_head(struct cmg_str in, const struct cmg_h1_msg *m)
{
    hold(m->size <= in.n && m->size <= fuzz_limits.head_bytes, "a head is within its limit");
    hold(m->minor <= 1 && m->head.length >= -1, "versions and lengths are in bounds");
    hold(m->head.fields == m->fields && m->head.nfields <= CMG_H1_FIELDS,
         "fields are the message's");
    hold((m->framing == CMG_H1_LENGTH) <= (m->head.length >= 0), "a length is declared");
    hold(m->framing != CMG_H1_NONE || m->head.end, "no body is the end");
    for (size_t i = 0; i < m->head.nfields; i++) {
        const struct cmg_field *f = &m->head.fields[i];
        hold(inside(f->name, in) && inside(f->value, in), "fields are borrowed");
        hold(cmg_field_name_ok(f->name) && cmg_field_value_ok(f->value), "fields may be written");
        hold(!cmg_field_is_hop_by_hop(f->name), "no field of the connection is left");
        hold(!cmg_str_ieq(f->name, CMG_STR("host")), "Host is no field");
        hold(!cmg_str_ieq(f->name, CMG_STR("content-length")), "Content-Length is no field");
    }
}

#endif
