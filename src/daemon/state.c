/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/env.h"
#include "cmg/net/file.h"

static char *joined(struct cmg_str folder, const char *name)
{
    size_t size = folder.n + strlen(name) + 2;
    char *path = cmg_alloc(size);
    snprintf(path, size, "%.*s/%s", CMG_ARG(folder), name);
    return path;
}

char *cmg_state_path(const char *folder, const char *name)
{
    struct cmg_str rest, first;
    if (folder && *folder)
        return joined(cmg_str(folder), name);
    rest = cmg_str(cmg_env("STATE_DIRECTORY"));
    return rest.n && cmg_str_next(&rest, ':', &first) && first.n ? joined(first, name) : NULL;
}

static enum cmg_rc failed(const char *path, struct cmg_err *err)
{
    return cmg_fail(err, CMG_EIO, "cannot write %s: %s", path, strerror(errno));
}

static bool write_all(int fd, struct cmg_str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = cmg_str_from(bytes, (size_t)n);
    }
    return true;
}

static enum cmg_rc put(const char *path, int how, struct cmg_str bytes, struct cmg_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | how, 0600);
    if (fd < 0)
        return failed(path, err);
    enum cmg_rc rc = write_all(fd, bytes) ? CMG_OK : failed(path, err);
    if (close(fd) != 0 && rc == CMG_OK)
        rc = failed(path, err);
    return rc;
}

enum cmg_rc cmg_state_replace(const char *path, struct cmg_str bytes, struct cmg_err *err)
{
    char *fresh = cmg_alloc(strlen(path) + sizeof(".new"));
    snprintf(fresh, strlen(path) + sizeof(".new"), "%s.new", path);
    enum cmg_rc rc = put(fresh, O_TRUNC, bytes, err);
    if (rc == CMG_OK && rename(fresh, path) != 0)
        rc = failed(path, err);
    if (rc != CMG_OK)
        unlink(fresh);
    free(fresh);
    return rc;
}

enum cmg_rc cmg_state_append(const char *path, struct cmg_str bytes, struct cmg_err *err)
{
    return put(path, O_APPEND, bytes, err);
}

char *cmg_state_read(const char *path, size_t max, size_t *n, struct cmg_err *err)
{
    err->code = CMG_OK;
    *n = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return NULL;
    char *text = cmg_file_read(path, CMG_FILE_PUBLIC, max, n, err);
    if (!text)
        err->code = CMG_EIO;
    return text;
}

void cmg_state_remove(const char *path)
{
    unlink(path);
}
