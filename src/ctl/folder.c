/* SPDX-License-Identifier: MIT */
#include "ctl/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/utf8.h"

struct walk {
    struct folder *folder;
    const char *path; /* as the operator wrote it, for messages */
    char name[FOLDER_NAME_MAX + 1];
    size_t n; /* bytes of `name` that are the folder being read */
    unsigned depth;
    size_t cap;
    struct cmg_err *err;
};

/* Messages are UTF-8, whatever the name is. */
static void put_readable(char *name)
{
    for (size_t n; *name; name += n) {
        n = cmg_utf8(cmg_str(name));
        if (n)
            continue;
        *name = '?';
        n = 1;
    }
}

/* The end of the walk: the name is not needed any more. */
static enum cmg_rc trouble(struct walk *w, const char *what)
{
    put_readable(w->name);
    return cmg_fail(w->err, CMG_ECONF, "%s/%s: %s", w->path, w->name, what);
}

/* Not blocking: a pipe must be refused, not waited for. */
static int open_beneath(int dir, const char *name, uint64_t flags)
{
    struct open_how how = {
        .flags = (uint64_t)(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) | flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static bool control(struct cmg_str s, size_t n)
{
    unsigned char c = (unsigned char)s.p[0];
    bool c1 = n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0;
    bool not_a_character =
        n == 3 && c == 0xef && (unsigned char)s.p[1] == 0xbf && (unsigned char)s.p[2] >= 0xbe;
    return c < 0x20 || c == 0x7f || c1 || not_a_character;
}

static const char *segment_trouble(struct cmg_str s)
{
    if (!s.n)
        return "its name has an empty part";
    if (s.p[s.n - 1] == '.' || s.p[s.n - 1] == ' ')
        return "its name, or a folder's, ends in a dot or a blank, which Windows drops";
    return NULL;
}

const char *folder_name_trouble(struct cmg_str name)
{
    if (name.n > FOLDER_NAME_MAX)
        return "its name is too long for blob storage";
    for (size_t at = 0, n; at < name.n; at += n) {
        struct cmg_str rest = cmg_str_from(name, at);
        n = cmg_utf8(rest);
        if (!n)
            return "its name is not UTF-8";
        if (control(rest, n))
            return "its name has a control character";
        if (*rest.p == '\\')
            return "its name has a backslash, which blob storage takes for a slash";
    }
    for (size_t from = 0, at = 0; at <= name.n; at++) {
        if (at < name.n && name.p[at] != '/')
            continue;
        const char *why = segment_trouble((struct cmg_str){ name.p + from, at - from });
        if (why)
            return why;
        from = at + 1;
    }
    return NULL;
}

static enum cmg_rc add(struct walk *w, const struct stat *st)
{
    struct folder *f = w->folder;
    if (f->n == FOLDER_FILES_MAX)
        return cmg_fail(w->err, CMG_ECONF, "%s has more than %d files", w->path, FOLDER_FILES_MAX);
    if (f->n == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 64;
        f->files = cmg_realloc(f->files, w->cap * sizeof(*f->files));
    }
    f->files[f->n++] = (struct folder_file){ cmg_strdup(w->name), st->st_size, mtime_ns(st) };
    f->bytes += st->st_size;
    return CMG_OK;
}

static enum cmg_rc read_folder(struct walk *w, int fd);

static enum cmg_rc enter(struct walk *w, int fd)
{
    if (++w->depth > FOLDER_DEPTH_MAX) {
        close(fd);
        return trouble(w, "too many folders inside each other");
    }
    enum cmg_rc rc = read_folder(w, fd);
    w->depth--;
    return rc;
}

/* A link to a folder could lead round in a circle, and what it holds would be there twice. */
static bool is_link(const struct walk *w)
{
    struct stat st;
    return fstatat(w->folder->fd, w->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static const char *open_trouble(int why)
{
    if (why == EXDEV)
        return "a link that leads out of the folder; put a copy in its place";
    return why == ENXIO ? "neither a file nor a folder" : strerror(why);
}

static enum cmg_rc visit(struct walk *w)
{
    const char *why = folder_name_trouble(cmg_str(w->name));
    if (why)
        return trouble(w, why);

    int fd = open_beneath(w->folder->fd, w->name, 0);
    if (fd < 0)
        return trouble(w, open_trouble(errno));
    struct stat st;
    bool known = fstat(fd, &st) == 0;
    if (known && S_ISDIR(st.st_mode) && !is_link(w))
        return enter(w, fd);
    close(fd);
    if (known && S_ISREG(st.st_mode))
        return add(w, &st);
    return trouble(w, known && S_ISDIR(st.st_mode) ? "a link to a folder; put a copy in its place"
                                                   : "neither a file nor a folder");
}

static enum cmg_rc visit_entry(struct walk *w, const char *entry)
{
    size_t was = w->n, n = strlen(entry);
    if (was + 1 + n > FOLDER_NAME_MAX)
        return trouble(w, "has names that are too long for blob storage");
    if (was)
        w->name[w->n++] = '/';
    memcpy(w->name + w->n, entry, n + 1);
    w->n += n;
    enum cmg_rc rc = visit(w);
    w->n = was;
    w->name[was] = '\0';
    return rc;
}

/* Takes fd. */
static enum cmg_rc read_folder(struct walk *w, int fd)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return trouble(w, strerror(errno));
    }
    enum cmg_rc rc = CMG_OK;
    errno = 0;
    for (struct dirent *e; rc == CMG_OK && (e = readdir(dir)); errno = 0)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = visit_entry(w, e->d_name);
    if (rc == CMG_OK && errno)
        rc = trouble(w, strerror(errno));
    closedir(dir);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct folder_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum cmg_rc folder_open(struct folder *f, const char *path, struct cmg_err *err)
{
    struct walk w = { .folder = f, .path = path, .err = err };
    *f = (struct folder){ .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    if (f->fd < 0)
        return cmg_fail(err, CMG_ECONF, "cannot read folder %s: %s", path, strerror(errno));
    int fd = open_beneath(f->fd, ".", O_DIRECTORY);
    enum cmg_rc rc =
        fd < 0 ? cmg_fail(err, CMG_ECONF, "cannot read folder %s: %s", path, strerror(errno))
               : read_folder(&w, fd);
    if (rc != CMG_OK) {
        folder_close(f);
        return rc;
    }
    if (f->n)
        qsort(f->files, f->n, sizeof(*f->files), by_name);
    return CMG_OK;
}

void folder_close(struct folder *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->files[i].name);
    free(f->files);
    if (f->fd >= 0)
        close(f->fd);
    *f = (struct folder){ .fd = -1 };
}

bool folder_file_same(int fd, const struct folder_file *file)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == file->size &&
           mtime_ns(&st) == file->mtime_ns;
}

int folder_file_open(const struct folder *f, const struct folder_file *file, struct cmg_err *err)
{
    int fd = open_beneath(f->fd, file->name, 0);
    if (fd < 0) {
        cmg_fail(err, CMG_EIO, "cannot read %s: %s", file->name, strerror(errno));
        return -1;
    }
    if (folder_file_same(fd, file))
        return fd;
    close(fd);
    cmg_fail(err, CMG_EIO, "%s has changed since the start; publish again", file->name);
    return -1;
}
