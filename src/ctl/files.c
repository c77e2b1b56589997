/* SPDX-License-Identifier: MIT */
#include "ctl/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/file.h"

enum { LOCK_WAIT_MS = 10000, LOCK_LOOK_MS = 20 };

static enum cmg_rc io_error(struct cmg_err *err, const char *what, const char *path)
{
    return cmg_fail(err, CMG_EIO, "cannot %s %s: %s", what, path, strerror(errno));
}

static bool write_all(int fd, struct cmg_str text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            text = cmg_str_from(text, (size_t)n);
    }
    return true;
}

/* Takes fd. */
static bool fill(int fd, mode_t mode, struct cmg_str text)
{
    bool good = write_all(fd, text) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int why = errno;
    if (close(fd) != 0 && good)
        return false;
    errno = why;
    return good;
}

/* The name itself must be on the disk, too. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? cmg_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : cmg_strdup(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    close(fd);
    return good;
}

enum cmg_rc ctl_file_new(const char *path, mode_t mode, struct cmg_str text, struct cmg_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return cmg_fail(err, CMG_EDENIED,
                        "%s is there already; nothing is overwritten: move it away, or name "
                        "another place",
                        path);
    if (fd < 0)
        return io_error(err, "create", path);
    if (fill(fd, mode, text) && sync_folder(path))
        return CMG_OK;
    io_error(err, "write", path);
    unlink(path);
    return CMG_EIO;
}

/* --- a file that is changed ----------------------------------------------------------------- */

static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int open_or_create(const char *path, mode_t create, struct cmg_err *err)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && create) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, create);
        if (fd >= 0 && fchmod(fd, create) != 0)
            io_error(err, "set the mode of", path);
        if (fd < 0 && errno == EEXIST) /* another one was faster */
            fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    }
    if (fd < 0) {
        cmg_fail(err, CMG_ECONF, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    cmg_fail(err, CMG_ECONF, "%s is not a regular file", path);
    return -1;
}

/* The one who wrote before us has put another file in its place: then that one is to be locked. */
static int open_locked(const char *path, mode_t create, struct cmg_err *err)
{
    const struct timespec pause = { 0, LOCK_LOOK_MS * 1000000L };
    int64_t until = cmg_clock_ms() + LOCK_WAIT_MS;
    do {
        int fd = open_or_create(path, create, err);
        if (fd < 0)
            return -1;
        bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
        if (locked && same_file(fd, path))
            return fd;
        close(fd);
        if (!locked)
            nanosleep(&pause, NULL);
    } while (cmg_clock_ms() < until);
    cmg_fail(err, CMG_ETIMEOUT, "%s is locked: another cmgctl is writing it; try again", path);
    return -1;
}

enum cmg_rc ctl_edit_begin(struct ctl_edit *e, const char *path, mode_t create, size_t max,
                           struct cmg_err *err)
{
    char *real = realpath(path, NULL); /* NULL: not there yet */
    *e = (struct ctl_edit){ .path = cmg_strdup(real ? real : path) };
    free(real);
    e->fd = open_locked(e->path, create, err);
    if (e->fd >= 0)
        e->text = cmg_file_read(e->path, CMG_FILE_PUBLIC, max, &e->n, err);
    if (e->text)
        return CMG_OK;
    enum cmg_rc rc = err->code;
    ctl_edit_end(e);
    return rc;
}

void ctl_edit_end(struct ctl_edit *e)
{
    if (e->fd >= 0)
        close(e->fd);
    free(e->text);
    free(e->path);
    *e = (struct ctl_edit){ .fd = -1 };
}

/* Nobody but the owner of the old file may find that it is another's now. */
static bool keep_owner(int from, int to)
{
    struct stat old, new;
    if (fstat(from, &old) != 0 || fstat(to, &new) != 0)
        return false;
    return (old.st_uid == new.st_uid &&old.st_gid == new.st_gid) ||
           fchown(to, old.st_uid, old.st_gid) == 0;
}

static bool put_in_place(const struct ctl_edit *e, char *temporary, struct cmg_str text)
{
    struct stat st;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fstat(e->fd, &st) == 0 && keep_owner(e->fd, fd);
    if (!good)
        close(fd);
    good = good && fill(fd, st.st_mode & 07777, text) && rename(temporary, e->path) == 0;
    if (good)
        return sync_folder(e->path);
    int why = errno;
    unlink(temporary);
    errno = why;
    return false;
}

enum cmg_rc ctl_edit_write(const struct ctl_edit *e, struct cmg_str text, struct cmg_err *err)
{
    size_t size = strlen(e->path) + sizeof(".XXXXXX");
    char *temporary = cmg_alloc(size);
    snprintf(temporary, size, "%s.XXXXXX", e->path);
    bool good = put_in_place(e, temporary, text);
    if (!good)
        io_error(err, "replace", e->path);
    free(temporary);
    return good ? CMG_OK : CMG_EIO;
}
