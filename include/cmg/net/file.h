/* SPDX-License-Identifier: MIT */
/* Reading the small files that an operator names: certificates, keys, passwords. */
#ifndef CMG_NET_FILE_H
#define CMG_NET_FILE_H

#include <stddef.h>

#include "cmg/base/err.h"

enum cmg_file_kind { CMG_FILE_PUBLIC, CMG_FILE_SECRET };

/* The whole file with a NUL behind it, to be freed by the caller. NULL with err: cannot be
 * read, not a regular file, above `max` bytes, or a secret that others may read. */
char *cmg_file_read(const char *path, enum cmg_file_kind kind, size_t max, size_t *n,
                    struct cmg_err *err);

/* The same checks without reading. */
CMG_MUST_CHECK enum cmg_rc cmg_file_check(const char *path, enum cmg_file_kind kind,
                                          struct cmg_err *err);

#endif
