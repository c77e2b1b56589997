/* SPDX-License-Identifier: MIT */
/* The text of a block list (cmg/auth/blocklist.h), changed so that what people wrote into it
 * stays: comments, blank lines, order. No file. */
#ifndef CMG_CTL_BLOCKED_H
#define CMG_CTL_BLOCKED_H

#include "cmg/base/err.h"
#include "cmg/base/str.h"

struct blocked_line {
    struct cmg_str whole; /* with its line end */
    char guid[37];        /* in lower case; "": none on this line */
    struct cmg_str comment;
};

/* Takes the next line off *rest. False: that was all. */
bool blocked_next(struct cmg_str *rest, struct blocked_line *line);

bool blocked_has(struct cmg_str text, const char *guid);

/* One line of printable text: a comment that could end its line would be a GUID to the reader. */
CMG_MUST_CHECK enum cmg_rc blocked_comment_ok(const char *comment, struct cmg_err *err);

/* New texts, for the caller to free. Lines are added at the end, with the comment (may be NULL);
 * a line is removed whole, as often as it is there. */
char *blocked_add(struct cmg_str text, const char *guid, const char *comment);
char *blocked_remove(struct cmg_str text, const char *guid);

#endif
