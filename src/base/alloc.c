/* SPDX-License-Identifier: MIT */
#include "cmg/base/alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *there(void *p)
{
    if (!p)
        abort();
    return p;
}

void *cmg_alloc(size_t n)
{
    return there(calloc(1, n ? n : 1));
}

void *cmg_realloc(void *p, size_t n)
{
    return there(realloc(p, n ? n : 1));
}

char *cmg_strdup(const char *s)
{
    return s ? there(strdup(s)) : NULL;
}

char *cmg_strndup(const char *s, size_t n)
{
    return there(strndup(s, n));
}

void cmg_alloc_tune(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
}
