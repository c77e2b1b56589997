/* SPDX-License-Identifier: MIT */
/* What a byte may be in HTTP, by one table, and runs of bytes judged eight at a time. */
#ifndef CMG_PROTO_CHARS_H
#define CMG_PROTO_CHARS_H

#include <stdint.h>

#include "cmg/base/str.h"

enum {
    CMG_CHAR_TOKEN = 1,  /* tchar: methods, field names (RFC 9110 section 5.6.2)          */
    CMG_CHAR_TARGET = 2, /* of a request target: no control, no blank, no '#'             */
    CMG_CHAR_VALUE = 4,  /* of a field value or a reason phrase                           */
    CMG_CHAR_HOST = 8,   /* of a host name: letters, digits, "-._~"                       */
    CMG_CHAR_PATH = 16   /* of a path and needing no second look; see path.c              */
};

extern const uint8_t cmg_chars[256];

static inline unsigned cmg_char(char c)
{
    return cmg_chars[(uint8_t)c];
}

/* How many bytes at the front are of the class. */
static inline size_t cmg_chars_run(struct cmg_str s, unsigned class)
{
    size_t i = 0;
    while (i < s.n && (cmg_char(s.p[i]) & class))
        i++;
    return i;
}

static inline bool cmg_chars_all(struct cmg_str s, unsigned class)
{
    return cmg_chars_run(s, class) == s.n;
}

/* Only CMG_CHAR_VALUE. Values are most of a head, so words first: a word without a byte
 * below 0x20 and without 0x7f is fine, any other (a tab?) is looked at byte by byte. */
static inline bool cmg_chars_value(struct cmg_str s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t x, del;
        memcpy(&x, s.p + i, 8);
        del = x ^ (ones * 0x7f);
        if (((((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & tops) == 0)
            continue;
        if (!cmg_chars_all((struct cmg_str){ s.p + i, 8 }, CMG_CHAR_VALUE))
            return false;
    }
    return i == s.n || cmg_chars_all(cmg_str_from(s, i), CMG_CHAR_VALUE);
}

/* The value of a hexadecimal digit, or -1. */
static inline int cmg_char_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = cmg_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
