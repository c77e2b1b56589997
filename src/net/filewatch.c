/* SPDX-License-Identifier: MIT */
/* Each look compares what stat says with the look before and with what was last reported. */
#include "cmg/net/filewatch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmg/base/alloc.h"
#include "cmg/net/loop.h"

struct stamp {
    bool there;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec written, changed;
};

struct file {
    char *path;                  /* owned */
    struct stamp reported, seen; /* seen: in the last look */
    bool due;                    /* to be reported */
};

struct cmg_filewatch {
    struct cmg_timer *timer;
    void (*on_change)(void *arg, const char *path);
    void *arg;
    struct file *files; /* owned */
    size_t nfiles;
    bool *freed; /* of the look that is under way; NULL: none is */
};

/* A file that may not be looked at is as good as none: whoever reads it says why. */
static struct stamp look_at(const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return (struct stamp){ 0 };
    return (struct stamp){ true, st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The time of the inode changes with mode and owner too: a key that has become readable. */
static bool same(const struct stamp *a, const struct stamp *b)
{
    if (!a->there || !b->there)
        return a->there == b->there;
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->written, b->written) && same_time(a->changed, b->changed);
}

static void look(struct file *f)
{
    struct stamp now = look_at(f->path);
    bool rests = same(&now, &f->seen);
    f->seen = now;
    if (!rests || same(&now, &f->reported))
        return;
    f->reported = now;
    f->due = true;
}

static struct file *next_due(struct cmg_filewatch *w)
{
    for (size_t i = 0; i < w->nfiles; i++)
        if (w->files[i].due)
            return &w->files[i];
    return NULL;
}

void cmg_filewatch_look(struct cmg_filewatch *w)
{
    bool freed = false;
    struct file *f;
    if (w->freed)
        return; /* from inside on_change */
    for (size_t i = 0; i < w->nfiles; i++)
        look(&w->files[i]);
    w->freed = &freed;
    while (!freed && (f = next_due(w))) {
        char *path = cmg_strdup(f->path); /* on_change may clear the list */
        f->due = false;
        w->on_change(w->arg, path);
        free(path);
    }
    if (!freed)
        w->freed = NULL;
}

static void on_timer(void *arg)
{
    struct cmg_filewatch *w = arg;
    cmg_timer_set(w->timer, CMG_FILEWATCH_MS);
    cmg_filewatch_look(w);
}

struct cmg_filewatch *cmg_filewatch_new(struct cmg_loop *l,
                                        void (*on_change)(void *arg, const char *path), void *arg)
{
    struct cmg_filewatch *w = cmg_alloc(sizeof(*w));
    w->on_change = on_change;
    w->arg = arg;
    w->timer = cmg_timer_new(l, on_timer, w);
    cmg_timer_set(w->timer, CMG_FILEWATCH_MS);
    return w;
}

void cmg_filewatch_add(struct cmg_filewatch *w, const char *path)
{
    if (!path || !*path)
        return;
    for (size_t i = 0; i < w->nfiles; i++)
        if (!strcmp(w->files[i].path, path))
            return;
    struct stamp now = look_at(path);
    w->files = cmg_realloc(w->files, (w->nfiles + 1) * sizeof(*w->files));
    w->files[w->nfiles++] = (struct file){ cmg_strdup(path), now, now, false };
}

void cmg_filewatch_clear(struct cmg_filewatch *w)
{
    for (size_t i = 0; i < w->nfiles; i++)
        free(w->files[i].path);
    free(w->files);
    w->files = NULL;
    w->nfiles = 0;
}

void cmg_filewatch_free(struct cmg_filewatch *w)
{
    if (!w)
        return;
    if (w->freed)
        *w->freed = true;
    cmg_filewatch_clear(w);
    cmg_timer_free(w->timer);
    free(w);
}
