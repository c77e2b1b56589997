/* SPDX-License-Identifier: MIT */
#include "cmg/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"

enum { FIRST = 1024 };

char *cmg_buf_reserve(struct cmg_buf *b, size_t n)
{
    if (n > b->max - b->n)
        return NULL;
    if (!b->p || b->off + b->n + n > b->cap) {
        /* Moving down is only worth it when it frees at least half. */
        if (b->off && b->off >= b->cap / 2 && b->n + n <= b->cap) {
            memmove(b->p, b->p + b->off, b->n);
        } else {
            size_t cap = b->cap ? b->cap : FIRST;
            while (cap < b->n + n)
                cap *= 2;
            if (cap < b->off + b->n + n && cap < 2 * b->cap)
                cap *= 2;
            if (b->off) {
                char *p = cmg_realloc(NULL, cap);
                memcpy(p, b->p + b->off, b->n);
                free(b->p);
                b->p = p;
            } else {
                b->p = cmg_realloc(b->p, cap);
            }
            b->cap = cap;
        }
        b->off = 0;
    }
    return b->p + b->off + b->n;
}

enum cmg_rc cmg_buf_put(struct cmg_buf *b, struct cmg_str bytes)
{
    if (!bytes.n)
        return CMG_OK; /* also where there is no memory to point to yet */
    char *to = cmg_buf_reserve(b, bytes.n);
    if (!to)
        return CMG_ETOOBIG;
    memcpy(to, bytes.p, bytes.n);
    b->n += bytes.n;
    return CMG_OK;
}

enum cmg_rc cmg_buf_printf(struct cmg_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *to = n < 0 ? NULL : cmg_buf_reserve(b, (size_t)n + 1); /* vsnprintf ends it with NUL */
    if (to) {
        vsnprintf(to, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return to ? CMG_OK : CMG_ETOOBIG;
}

void cmg_buf_drop(struct cmg_buf *b, size_t n)
{
    b->off += n;
    b->n -= n;
    if (b->n)
        return;
    b->off = 0;
    if (b->cap > b->keep)
        cmg_buf_clear(b);
}

void cmg_buf_clear(struct cmg_buf *b)
{
    free(b->p);
    *b = (struct cmg_buf){ .max = b->max, .keep = b->keep };
}
