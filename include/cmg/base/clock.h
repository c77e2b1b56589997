/* SPDX-License-Identifier: MIT */
/* Time and chance, read in one place so that all that decides takes them as arguments. */
#ifndef CMG_BASE_CLOCK_H
#define CMG_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t cmg_clock_ms(void);      /* monotonic                              */
int64_t cmg_clock_us(void);      /* monotonic                              */
int64_t cmg_clock_unix(void);    /* seconds since 1970, for certificates   */
int64_t cmg_clock_unix_ms(void); /* the same finer, for log lines       */

/* Fills p with bytes from the kernel, unpredictable to a peer. */
void cmg_random(void *p, size_t n);

/* A random GUID in lower-case text, RFC 9562 version 4: 36 characters and NUL. */
void cmg_guid(char out[37]);

#endif
