/* SPDX-License-Identifier: MIT */
/* Files that cmgctl writes: whole or not at all, on the disk before it says that they are. */
#ifndef CMG_CTL_FILES_H
#define CMG_CTL_FILES_H

#include <sys/types.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

/* A new file of that mode, whatever the umask. CMG_EDENIED: there is one of that name, which is
 * left alone. CMG_EIO: the system said no; nothing stays behind. */
CMG_MUST_CHECK enum cmg_rc ctl_file_new(const char *path, mode_t mode, struct cmg_str text,
                                        struct cmg_err *err);

/* A file that is read, changed and put back, with nobody between. */
struct ctl_edit {
    char *path; /* owned; of the file itself where the given one is a link */
    int fd;     /* the lock */
    char *text; /* owned; what it holds, with a NUL behind it */
    size_t n;
};

/* Opens and locks; a file that is not there is made, empty, with mode `create`, when that is not
 * 0. Waits up to ten seconds for another writer. CMG_ECONF, CMG_ETIMEOUT. */
CMG_MUST_CHECK enum cmg_rc ctl_edit_begin(struct ctl_edit *e, const char *path, mode_t create,
                                          size_t max, struct cmg_err *err);
/* Replaces what the file holds by rename: readers see the old or the new. Mode and owner stay. */
CMG_MUST_CHECK enum cmg_rc ctl_edit_write(const struct ctl_edit *e, struct cmg_str text,
                                          struct cmg_err *err);
void ctl_edit_end(struct ctl_edit *e); /* after a beginning that succeeded */

#endif
