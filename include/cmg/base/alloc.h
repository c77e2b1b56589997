/* SPDX-License-Identifier: MIT */
/* Memory that is there or the process ends: systemd restarts it, and no path is
 * left half unwound. Whatever a peer can make grow has a ceiling of its own. */
#ifndef CMG_BASE_ALLOC_H
#define CMG_BASE_ALLOC_H

#include <stddef.h>

void *cmg_alloc(size_t n);            /* zeroed                         */
void *cmg_realloc(void *p, size_t n); /* not zeroed                     */
char *cmg_strdup(const char *s);      /* NULL stays NULL                */
char *cmg_strndup(const char *s, size_t n);

/* For daemons, once at the start: buffers come and go with every burst, and the kernel is not
 * to hand out and take back their pages each time. */
void cmg_alloc_tune(void);

#define CMG_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that `member` is embedded in. */
#define CMG_OUTER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
