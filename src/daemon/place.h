/* SPDX-License-Identifier: MIT */
/* Where in a configuration file something is wrong, and the sentence that says so. */
#ifndef CMG_DAEMON_PLACE_H
#define CMG_DAEMON_PLACE_H

#include <stddef.h>

#include "cmg/base/err.h"

struct cmg_place { /* all borrowed; what is NULL or 0 is left out */
    const char *file;
    unsigned line;
    const char *section, *label;
    const char *key, *value;
};

/* "FILE:LINE: [section label] key = value: what". File and value give way, shortened in
 * their middle, so that `what` is there whole; a password within a URL is left out. */
enum cmg_rc cmg_place_fail(const struct cmg_place *p, struct cmg_err *err, const char *fmt, ...)
    CMG_PRINTF(3, 4);

/* `s`, or its two ends with "..." between, in at most `max` bytes (8 or more) and a NUL. */
void cmg_shorten(const char *s, size_t max, char *out);

/* The one of `words` (NULL-ended) that `word` was most likely meant to be, or NULL. */
const char *cmg_nearest(const char *word, const char *const *words);

#endif
