/* SPDX-License-Identifier: MIT */
#include "cmg/proto/query.h"

bool cmg_query_next(struct cmg_str *rest, struct cmg_str *name, struct cmg_str *value)
{
    struct cmg_str pair;
    do
        if (!cmg_str_next(rest, '&', &pair))
            return false;
    while (!pair.n);
    const char *equals = memchr(pair.p, '=', pair.n);
    size_t n = equals ? (size_t)(equals - pair.p) : pair.n;
    *name = (struct cmg_str){ pair.p, n };
    *value = equals ? cmg_str_from(pair, n + 1) : CMG_STR("");
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = cmg_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at s.p[*i], or the one that is escaped there; *i is then at its end. 0: none may be. */
static char byte_at(struct cmg_str s, size_t *i)
{
    if (s.p[*i] != '%')
        return s.p[*i];
    int high = *i + 2 < s.n ? hex(s.p[*i + 1]) : -1, low = high >= 0 ? hex(s.p[*i + 2]) : -1;
    *i += 2;
    return (char)(low < 0 ? 0 : high << 4 | low);
}

bool cmg_query_decode(struct cmg_str s, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = byte_at(s, &i);
        if (!c || n + 1 >= size) {
            *out = '\0';
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}
