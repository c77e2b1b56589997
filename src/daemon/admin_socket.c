/* SPDX-License-Identifier: MIT */
/* The file that one comes by. Its mode is the whole of the authorisation: whoever may write to it
 * may do what the door offers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin_core.h"
#include "cmg/base/alloc.h"

enum { BACKLOG = 64, OTHERS = 0117 }; /* what is taken from 0777: 0660 is left */

static int failed(const char *path, const char *why, struct cmg_err *err)
{
    const char *hint = "";
    if (errno == ENOENT)
        hint = " (its folder is not there; systemd makes it by RuntimeDirectory=)";
    else if (errno == EACCES)
        hint = " (the service may not write to its folder)";
    cmg_fail(err, CMG_ECONF, "cannot open the administrator's socket %s: %s%s", path, why, hint);
    return -1;
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A full queue of connections is a sign of life, too. */
static bool answers(const struct sockaddr_un *at)
{
    int fd = new_socket();
    bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ||
                             (errno != ECONNREFUSED && errno != ENOENT));
    if (fd >= 0)
        close(fd);
    return alive;
}

/* Nothing, or what a dead process left: then it is gone after this. */
static bool make_way(const struct sockaddr_un *at, struct cmg_err *err)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0)
        return true; /* bind says what is wrong, if anything is */
    errno = 0;
    if (!S_ISSOCK(st.st_mode))
        failed(at->sun_path, "there is something else of that name", err);
    else if (answers(at))
        failed(at->sun_path, "another process answers on it", err);
    else if (unlink(at->sun_path) != 0)
        failed(at->sun_path, strerror(errno), err);
    else
        return true;
    return false;
}

static bool bind_for_group(int fd, const struct sockaddr_un *at)
{
    mode_t before = umask(OTHERS);
    int rc = bind(fd, (const struct sockaddr *)at, sizeof(*at));
    umask(before);
    return rc == 0;
}

int admin_socket_open(const char *path, struct admin_socket *s, struct cmg_err *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct stat st;
    if (strlen(path) >= sizeof(at.sun_path)) {
        errno = 0;
        return failed(path, "the name is too long", err);
    }
    memcpy(at.sun_path, path, strlen(path));
    if (!make_way(&at, err))
        return -1;
    int fd = new_socket();
    if (fd < 0)
        return failed(path, strerror(errno), err);
    if (!bind_for_group(fd, &at) || lstat(path, &st) != 0 || listen(fd, BACKLOG) != 0) {
        failed(path, strerror(errno), err);
        close(fd);
        return -1;
    }
    *s = (struct admin_socket){ cmg_strdup(path), st.st_dev, st.st_ino };
    return fd;
}

/* Another process may have taken the place meanwhile. */
void admin_socket_remove(struct admin_socket *s)
{
    struct stat st;
    if (s->path && lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        (void)unlink(s->path);
    free(s->path);
    s->path = NULL;
}

void admin_socket_peer(int fd, char out[ADMIN_PEER])
{
    struct ucred who;
    socklen_t n = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
        snprintf(out, ADMIN_PEER, "unknown");
    else
        snprintf(out, ADMIN_PEER, "uid %u pid %d", who.uid, (int)who.pid);
}
