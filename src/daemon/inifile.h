/* SPDX-License-Identifier: MIT */
/* An INI file, read strictly: whatever another reader might take for something else is
 * refused, never guessed at. inih splits the pairs; this file decides what it may see. */
#ifndef CMG_DAEMON_INIFILE_H
#define CMG_DAEMON_INIFILE_H

#include "cmg/base/err.h"

enum {
    CMG_INI_LINE_MAX = 4096,        /* bytes, line end not counted */
    CMG_INI_FILE_MAX = 1024 * 1024, /* bytes */
    CMG_INI_LABEL_MAX = 32
};

/* Anything but CMG_OK ends the reading; *err must then be filled. Strings are borrowed. */
struct cmg_ini_events {
    enum cmg_rc (*on_section)(void *arg, unsigned line, const char *name, const char *label);
    enum cmg_rc (*on_pair)(void *arg, unsigned line, const char *key, const char *value);
};

CMG_MUST_CHECK enum cmg_rc cmg_ini_read(const char *path, const struct cmg_ini_events *events,
                                        void *arg, struct cmg_err *err);

#endif
