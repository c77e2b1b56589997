/* SPDX-License-Identifier: MIT */
/* A queue of bytes: written at the back, read and dropped at the front. Born with
 * its ceiling. Holds no memory while empty after cmg_buf_clear or a drop to zero
 * of a large one, so that ten thousand idle clients cost nothing here. */
#ifndef CMG_BASE_BUF_H
#define CMG_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

struct cmg_buf {
    char *p;    /* owned                    */
    size_t off; /* first byte that counts   */
    size_t n;   /* bytes from `off`         */
    size_t cap;
    size_t max;  /* ceiling for n, bytes     */
    size_t keep; /* memory up to so much stays when the queue runs empty */
};

enum { CMG_BUF_KEEP = 4096 };

static inline void cmg_buf_init(struct cmg_buf *b, size_t max)
{
    *b = (struct cmg_buf){ .max = max, .keep = CMG_BUF_KEEP };
}

static inline struct cmg_str cmg_buf_str(const struct cmg_buf *b)
{
    return (struct cmg_str){ b->p ? b->p + b->off : NULL, b->n };
}

static inline size_t cmg_buf_room(const struct cmg_buf *b)
{
    return b->max - b->n;
}

/* Room for n more bytes at the back, to be filled and then counted with
 * cmg_buf_added. NULL when that would pass the ceiling. */
char *cmg_buf_reserve(struct cmg_buf *b, size_t n);

static inline void cmg_buf_added(struct cmg_buf *b, size_t n)
{
    b->n += n;
}

/* Appends a copy. CMG_ETOOBIG: nothing was appended. */
CMG_MUST_CHECK enum cmg_rc cmg_buf_put(struct cmg_buf *b, struct cmg_str bytes);

/* The same for printf output. */
CMG_MUST_CHECK enum cmg_rc cmg_buf_printf(struct cmg_buf *b, const char *fmt, ...) CMG_PRINTF(2, 3);

/* Forgets n bytes at the front. */
void cmg_buf_drop(struct cmg_buf *b, size_t n);

/* Frees; the ceiling stays. */
void cmg_buf_clear(struct cmg_buf *b);

#endif
