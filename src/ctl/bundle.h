/* SPDX-License-Identifier: MIT */
/* A support case on its way into one .tar.gz: files are gathered in a folder that only we can look
 * into, each of them redacted, and packed by tar in the end. */
#ifndef CMG_CTL_BUNDLE_H
#define CMG_CTL_BUNDLE_H

#include "cmg/base/err.h"
#include "cmg/base/str.h"

struct bundle;

/* `name` is that of the folder in the archive. NULL with err. */
struct bundle *bundle_new(const char *name, struct cmg_err *err);
/* A file below it: "cmg-gateway/status.json"; one folder deep at most. What could not be had is
 * told in it, so that nobody looks for it in vain. Its mode is 0600. */
CMG_MUST_CHECK enum cmg_rc bundle_add(struct bundle *b, const char *file, struct cmg_str text,
                                      struct cmg_err *err);
/* A new file with mode 0600; one that is there already is left alone, CMG_EDENIED. */
CMG_MUST_CHECK enum cmg_rc bundle_write(struct bundle *b, const char *archive, struct cmg_err *err);
/* Removes the folder with all that is in it. NULL is ignored. */
void bundle_free(struct bundle *b);

#endif
