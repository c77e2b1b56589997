/* SPDX-License-Identifier: MIT */
/* GUIDs of tokens and clients that are not admitted any more: a text file, one GUID a line,
 * `#` begins a comment that runs to the end of the line. Built, then only read. Pure. */
#ifndef CMG_AUTH_BLOCKLIST_H
#define CMG_AUTH_BLOCKLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

struct cmg_blocklist;

enum { CMG_BLOCKLIST_MAX = 100000, CMG_BLOCKLIST_BYTES_MAX = 16 * 1024 * 1024 };

/* NULL with err naming the line: not a GUID, or too many. GUIDs twice are fine. */
struct cmg_blocklist *cmg_blocklist_read(struct cmg_str text, struct cmg_err *err);
void cmg_blocklist_free(struct cmg_blocklist *b); /* NULL is ignored */
bool cmg_blocklist_has(const struct cmg_blocklist *b,
                       const char *guid); /* NULL: nobody is blocked */
size_t cmg_blocklist_count(const struct cmg_blocklist *b);

#endif
