/* SPDX-License-Identifier: MIT */
/* One option: its text into the field of a conf struct and back. `conf` is the struct, or
 * the element of a named section, that o->offset counts from. */
#ifndef CMG_DAEMON_OPTION_H
#define CMG_DAEMON_OPTION_H

#include "cmg/daemon/options.h"

/* Relative file names are taken from `dir`. The field must be empty (zeroed) before. `why`
 * gets what is wrong and what is allowed, without naming the option. */
CMG_MUST_CHECK enum cmg_rc cmg_option_set(const struct cmg_option *o, const char *dir,
                                          const char *value, void *conf, struct cmg_err *why);
void cmg_option_clear(const struct cmg_option *o, void *conf);
bool cmg_option_equal(const struct cmg_option *o, const void *a, const void *b);

/* The value as cmg_option_set takes it; "" when unset. */
void cmg_option_print(const struct cmg_option *o, const void *conf, FILE *out);

/* What may be written: "1s to 2m", "yes, no", "1 to 16 names, separated by commas". */
void cmg_option_allowed(const struct cmg_option *o, char *out, size_t size);

#endif
