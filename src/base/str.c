/* SPDX-License-Identifier: MIT */
#include "cmg/base/str.h"

#include <limits.h>

#include "cmg/base/alloc.h"

bool cmg_str_istarts(struct cmg_str s, struct cmg_str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (cmg_lower(s.p[i]) != cmg_lower(prefix.p[i]))
            return false;
    return true;
}

bool cmg_str_ieq(struct cmg_str a, struct cmg_str b)
{
    return a.n == b.n && cmg_str_istarts(a, b);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

struct cmg_str cmg_str_trim(struct cmg_str s)
{
    while (s.n && blank(s.p[0]))
        s = cmg_str_from(s, 1);
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

long long cmg_str_number(struct cmg_str s)
{
    long long n = 0;
    if (s.n == 0)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        int digit = s.p[i] - '0';
        if (digit < 0 || digit > 9 || n > (LLONG_MAX - digit) / 10)
            return -1;
        n = n * 10 + digit;
    }
    return n;
}

bool cmg_str_next(struct cmg_str *rest, char sep, struct cmg_str *item)
{
    if (!rest->p)
        return false;
    const char *end = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    *item = cmg_str_trim((struct cmg_str){ rest->p, n });
    *rest = end ? cmg_str_from(*rest, n + 1) : (struct cmg_str){ NULL, 0 };
    return true;
}

void cmg_str_put(char *out, size_t size, struct cmg_str s)
{
    size_t n = s.n < size ? s.n : size - 1;
    if (n)
        memcpy(out, s.p, n);
    out[n] = '\0';
}

char *cmg_str_dup(struct cmg_str s)
{
    return s.n ? cmg_strndup(s.p, s.n) : cmg_strdup("");
}
