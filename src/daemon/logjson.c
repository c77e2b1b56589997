/* SPDX-License-Identifier: MIT */
/* Events as JSON: valid whatever a peer put into a value. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmg/base/utf8.h"
#include "cmg/daemon/logsink.h"

struct out {
    char *p;
    size_t n, room; /* room is kept back for what ends the object */
    bool full;
};

static void put(struct out *o, const char *p, size_t n)
{
    if (n > o->room - o->n) {
        o->full = true;
        return;
    }
    memcpy(o->p + o->n, p, n);
    o->n += n;
}

static void put_escape(struct out *o, unsigned char c)
{
    char text[8];
    int n = snprintf(text, sizeof(text), c == '"' || c == '\\' ? "\\%c" : "\\u%04x", c);
    put(o, text, (size_t)n);
}

static void put_string(struct out *o, struct cmg_str s)
{
    put(o, "\"", 1);
    while (s.n && !o->full) {
        size_t plain = 0;
        while (plain < s.n && (unsigned char)s.p[plain] >= ' ' && (signed char)s.p[plain] > 0 &&
               s.p[plain] != '"' && s.p[plain] != '\\')
            plain++;
        put(o, s.p, plain);
        s = cmg_str_from(s, plain);
        if (s.n == 0)
            break;
        size_t n = cmg_utf8(s);
        if (n > 1)
            put(o, s.p, n);
        else if (n == 1)
            put_escape(o, (unsigned char)s.p[0]);
        else
            put(o, "\\ufffd", 6);
        s = cmg_str_from(s, n ? n : 1);
    }
    put(o, "\"", 1);
}

/* The member, or nothing. */
static void put_member(struct out *o, const struct cmg_kv *kv)
{
    struct out before = *o;
    put(o, o->n > 1 ? "," : "", o->n > 1);
    put_string(o, cmg_str(kv->key));
    put(o, ":", 1);
    if (kv->str.p) {
        put_string(o, kv->str);
    } else {
        char digits[24];
        put(o, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRId64, kv->num));
    }
    if (o->full) {
        *o = before;
        o->full = true;
    }
}

size_t cmg_log_json(char *out, size_t size, const char *time, const char *level, const char *event,
                    const struct cmg_kv *kv, size_t n)
{
    static const char cut[] = ",\"cut\":true";
    const struct cmg_kv head[] = { KV("time", time), KV("level", level), KV("event", event) };
    struct out o = { out, 0, size - sizeof(cut) - 2, false };
    put(&o, "{", 1);
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        put_member(&o, &head[i]);
    for (size_t i = 0; i < n; i++) {
        bool full = o.full;
        o.full = false;
        put_member(&o, &kv[i]);
        o.full = o.full || full;
    }
    o.room = size - 1;
    if (o.full)
        memcpy(o.p + o.n, cut, sizeof(cut) - 1);
    o.n += o.full ? sizeof(cut) - 1 : 0;
    o.p[o.n++] = '}';
    o.p[o.n] = '\0';
    return o.n;
}
