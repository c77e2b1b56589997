/* SPDX-License-Identifier: MIT */
/* A borrowed run of bytes. Never owns, never NUL-terminated by promise; may hold
 * any byte, NUL included. Case folding is ASCII only: HTTP is. */
#ifndef CMG_BASE_STR_H
#define CMG_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct cmg_str {
    const char *p;
    size_t n;
};

/* For printf: "%.*s", CMG_ARG(s) */
#define CMG_ARG(s) (int)(s).n, (s).p

#define CMG_STR(literal) ((struct cmg_str){ "" literal, sizeof(literal) - 1 })

static inline struct cmg_str cmg_str(const char *z)
{
    return (struct cmg_str){ z, z ? strlen(z) : 0 };
}

static inline struct cmg_str cmg_str_from(struct cmg_str s, size_t at)
{
    return (struct cmg_str){ s.p + at, s.n - at };
}

static inline bool cmg_str_eq(struct cmg_str a, struct cmg_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline char cmg_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Equal but for ASCII case. */
bool cmg_str_ieq(struct cmg_str a, struct cmg_str b);
bool cmg_str_istarts(struct cmg_str s, struct cmg_str prefix);

/* Without blanks (space, tab) at either end. */
struct cmg_str cmg_str_trim(struct cmg_str s);

/* Decimal digits only, no sign, no blank, no overflow past 2^63-1. -1 otherwise. */
long long cmg_str_number(struct cmg_str s);

/* Takes the next item of a list separated by `sep` off the front of *rest, trimmed.
 * False when *rest is used up. */
bool cmg_str_next(struct cmg_str *rest, char sep, struct cmg_str *item);

/* A NUL-terminated copy in `out`, cut to `size` - 1 bytes. */
void cmg_str_put(char *out, size_t size, struct cmg_str s);

/* A NUL-terminated copy the caller frees. */
char *cmg_str_dup(struct cmg_str s);

#endif
