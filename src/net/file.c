/* SPDX-License-Identifier: MIT */
#include "cmg/net/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/alloc.h"

static bool one_of_our_groups(gid_t gid)
{
    gid_t groups[256];
    int n = getgroups((int)CMG_COUNT(groups), groups);
    for (int i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return gid == getegid();
}

/* 0600 and stricter, whoever owns it; or group-readable, owned by root, for our group. Group
 * root passes too: a systemd credential shows its access list there (0440 root root). An
 * operator who checks the configuration as root is in none of the service's groups. */
static bool mode_is_private(const struct stat *st)
{
    if ((st->st_mode & 077) == 0)
        return true;
    if (st->st_mode & 037)
        return false;
    return st->st_uid == 0 && (st->st_gid == 0 || geteuid() == 0 || one_of_our_groups(st->st_gid));
}

static enum cmg_rc check(const char *path, enum cmg_file_kind kind, const struct stat *st,
                         struct cmg_err *err)
{
    if (!S_ISREG(st->st_mode))
        return cmg_fail(err, CMG_ECONF, "%s is not a regular file", path);
    if (kind == CMG_FILE_SECRET && !mode_is_private(st))
        return cmg_fail(err, CMG_ECONF,
                        "%s has mode %04o, owner %u, group %u: others could read this secret; "
                        "chmod 0600 it (or owner root, group of the service, 0640)",
                        path, st->st_mode & 07777, (unsigned)st->st_uid, (unsigned)st->st_gid);
    return CMG_OK;
}

/* Not blocking: a pipe must be refused, not waited for. */
static int open_checked(const char *path, enum cmg_file_kind kind, struct cmg_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &st) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        cmg_fail(err, CMG_ECONF, "cannot read %s: %s", path, strerror(why));
        return -1;
    }
    if (check(path, kind, &st, err) != CMG_OK) {
        close(fd);
        return -1;
    }
    return fd;
}

enum cmg_rc cmg_file_check(const char *path, enum cmg_file_kind kind, struct cmg_err *err)
{
    int fd = open_checked(path, kind, err);
    if (fd < 0)
        return CMG_ECONF;
    close(fd);
    return CMG_OK;
}

/* Fills at most `size` bytes. -1 with errno. */
static ssize_t read_all(int fd, char *to, size_t size)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, to + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

char *cmg_file_read(const char *path, enum cmg_file_kind kind, size_t max, size_t *n,
                    struct cmg_err *err)
{
    int fd = open_checked(path, kind, err);
    if (fd < 0)
        return NULL;

    char *p = cmg_alloc(max + 2); /* one to see that there is more, one for NUL */
    ssize_t got = read_all(fd, p, max + 1);
    int why = errno;
    close(fd);

    if (got >= 0 && (size_t)got <= max) {
        p[got] = '\0';
        *n = (size_t)got;
        return p;
    }
    if (got < 0)
        cmg_fail(err, CMG_ECONF, "cannot read %s: %s", path, strerror(why));
    else
        cmg_fail(err, CMG_ECONF, "%s is larger than %zu bytes", path, max);
    explicit_bzero(p, max + 2);
    free(p);
    return NULL;
}
