/* SPDX-License-Identifier: MIT */
/* The files of a folder that is to be published. Nothing outside of the folder is ever read:
 * names are resolved beneath it by the kernel, links included. */
#ifndef CMG_CTL_FOLDER_H
#define CMG_CTL_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum {
    FOLDER_FILES_MAX = 10000, /* what the gateway lists of one content */
    FOLDER_DEPTH_MAX = 64,
    FOLDER_NAME_MAX = 880 /* bytes; a blob's name may have 1024, its content's id included */
};

struct folder_file {
    char *name;       /* owned; relative, with '/', UTF-8 */
    int64_t size;     /* bytes */
    int64_t mtime_ns; /* since 1970 */
};

struct folder {
    int fd; /* of the folder itself; -1: not open */
    struct folder_file *files;
    size_t n;
    int64_t bytes; /* of all files */
};

/* Lists regular files, those in folders beneath included, sorted by the bytes of their names.
 * CMG_ECONF with err: something cannot be read; is neither file nor folder; is a link that leads
 * out of the folder, or to a folder; has a name that folder_name_trouble refuses; or a ceiling.
 * Then `f` is empty. */
CMG_MUST_CHECK enum cmg_rc folder_open(struct folder *f, const char *path, struct cmg_err *err);
void folder_close(struct folder *f);

/* Opens a file for reading. -1 with err: cannot be read, or is not of the size and time any
 * more that it was listed with. The descriptor is the caller's. */
int folder_file_open(const struct folder *f, const struct folder_file *file, struct cmg_err *err);

/* True when an open file still is what was listed. */
bool folder_file_same(int fd, const struct folder_file *file);

/* Why a relative name cannot become a blob's name that clients get back as it was; NULL: it
 * can. Pure. */
const char *folder_name_trouble(struct cmg_str name);

#endif
