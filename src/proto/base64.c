/* SPDX-License-Identifier: MIT */
#include "cmg/proto/base64.h"

#include <stdint.h>

/* The two alphabets differ in their last two characters only. */
static const char alphabets[][65] = {
    [CMG_BASE64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [CMG_BASE64URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

size_t cmg_base64_size(enum cmg_base64 kind, size_t n)
{
    size_t tail = n % 3;
    size_t more = tail == 0 ? 0 : kind == CMG_BASE64 ? 4 : tail + 1;
    return n / 3 * 4 + more;
}

size_t cmg_base64_room(size_t n)
{
    size_t tail = n % 4;
    return n / 4 * 3 + (tail ? tail - 1 : 0);
}

size_t cmg_base64_put(enum cmg_base64 kind, struct cmg_str bytes, char *out)
{
    const char *alphabet = alphabets[kind];
    size_t to = 0;
    uint32_t bits = 0;
    unsigned waiting = 0; /* how many of `bits` are not written yet */

    for (size_t i = 0; i < bytes.n; i++) {
        bits = bits << 8 | (uint8_t)bytes.p[i];
        for (waiting += 8; waiting >= 6; waiting -= 6)
            out[to++] = alphabet[bits >> (waiting - 6) & 63];
    }
    if (waiting)
        out[to++] = alphabet[bits << (6 - waiting) & 63];
    while (kind == CMG_BASE64 && to % 4)
        out[to++] = '=';
    out[to] = '\0';
    return to;
}

/* 0 to 63, or -1. */
static int value(enum cmg_base64 kind, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == alphabets[kind][62])
        return 62;
    return c == alphabets[kind][63] ? 63 : -1;
}

/* Without its padding, which must be what section 4 asks for. False: it is not. */
static bool unpad(struct cmg_str *text)
{
    if (text->n % 4)
        return false;
    for (int i = 0; i < 2 && text->n && text->p[text->n - 1] == '='; i++)
        text->n--;
    return true;
}

enum cmg_rc cmg_base64_get(enum cmg_base64 kind, struct cmg_str text, void *out, size_t *n)
{
    unsigned char *to = out;
    uint32_t bits = 0;
    unsigned waiting = 0;

    *n = 0;
    if ((kind == CMG_BASE64 && !unpad(&text)) || text.n % 4 == 1)
        return CMG_EPROTO;
    for (size_t i = 0; i < text.n; i++) {
        int v = value(kind, text.p[i]);
        if (v < 0)
            return CMG_EPROTO;
        bits = bits << 6 | (uint32_t)v;
        waiting += 6;
        if (waiting >= 8)
            *to++ = (unsigned char)(bits >> (waiting -= 8));
    }
    /* What is left over is part of no byte: were it not zero, two texts would mean the same. */
    if (bits & ((1U << waiting) - 1))
        return CMG_EPROTO;
    *n = (size_t)(to - (unsigned char *)out);
    return CMG_OK;
}
