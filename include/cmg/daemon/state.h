/* SPDX-License-Identifier: MIT */
/* Small files that a daemon remembers itself by across restarts. They are its own: mode 0600, and
 * a link in their place is not followed.
 *
 * Nothing here waits for the disk, because the loop would wait with it: after a loss of power what
 * was written last may be missing or empty. After the end of the process alone it never is. */
#ifndef CMG_DAEMON_STATE_H
#define CMG_DAEMON_STATE_H

#include "cmg/base/err.h"
#include "cmg/base/str.h"

/* Where `name` lies: in `folder`, or with NULL or "" in the one that systemd gives the service
 * (StateDirectory=). To be freed by the caller; NULL: there is neither, nothing is remembered. */
char *cmg_state_path(const char *folder, const char *name);

/* The file holds exactly `bytes` afterwards, or what it held before: never a part. CMG_EIO. */
CMG_MUST_CHECK enum cmg_rc cmg_state_replace(const char *path, struct cmg_str bytes,
                                             struct cmg_err *err);
/* A part may be left behind when the disk is full. CMG_EIO. */
CMG_MUST_CHECK enum cmg_rc cmg_state_append(const char *path, struct cmg_str bytes,
                                            struct cmg_err *err);
/* To be freed by the caller. NULL and err->code CMG_OK: there is no such file; else CMG_EIO. */
char *cmg_state_read(const char *path, size_t max, size_t *n, struct cmg_err *err);
void cmg_state_remove(const char *path); /* if it is there */

#endif
