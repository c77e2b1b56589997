/* SPDX-License-Identifier: MIT */
/* Other programs of this machine, asked for what they print. No shell. */
#ifndef CMG_CTL_RUN_H
#define CMG_CTL_RUN_H

#include <stdint.h>

#include "cmg/base/buf.h"

/* Runs argv[0], looked up as execvp does, with nothing on its standard input; what it prints on
 * standard output and error goes to `out`, up to its ceiling. It is killed when it takes longer
 * than `ms` or prints more. CMG_OK: it ended by itself, with `*status` (128 + signal). CMG_EIO: it
 * could not be started. CMG_ETIMEOUT, CMG_ETOOBIG: it was killed; `out` has what came before. */
CMG_MUST_CHECK enum cmg_rc run_program(const char *const *argv, int64_t ms, struct cmg_buf *out,
                                       int *status, struct cmg_err *err);

/* Where a daemon of the same installation is: beside this program, in ../sbin, or left to PATH.
 * False: not beside; then `out` is the bare name. */
bool run_find(const char *program, char *out, size_t size);

#endif
