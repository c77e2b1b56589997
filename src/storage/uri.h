/* SPDX-License-Identifier: MIT */
/* Percent-encoding (RFC 3986): what is not unreserved is encoded, in capitals. Signatures are made
 * of these very bytes, so there is one way to write each name. */
#ifndef CMG_STORAGE_URI_H
#define CMG_STORAGE_URI_H

#include <stdbool.h>

#include "cmg/base/buf.h"
#include "cmg/base/str.h"

/* `path`: slashes stay. The buffer must have the room: 3 bytes for each. */
void cmg_uri_put(struct cmg_buf *b, struct cmg_str text, bool path);

/* Decodes into `out` with a NUL. -1: an escape that is none, a NUL, or more than size - 1 bytes. */
int cmg_uri_get(struct cmg_str text, char *out, size_t size);

/* Appends what cannot fail, because the buffer was made with room for it. */
void cmg_uri_text(struct cmg_buf *b, struct cmg_str text);

#endif
