/* SPDX-License-Identifier: MIT */
/* What fuzzers share. Built twice: with libFuzzer to search, and with replay.c to run the
 * saved corpus in every ctest. A property that does not hold aborts, in every build. */
#ifndef CMG_TESTS_FUZZ_H
#define CMG_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static inline void hold(bool property, const char *what)
{
    if (property)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* A copy in a block of its exact size, so that reading past it is caught. */
static inline char *fuzz_copy(const char *p, size_t n)
{
    char *copy = calloc(1, n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, p, n);
    return copy;
}

#endif
