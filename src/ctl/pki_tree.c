/* SPDX-License-Identifier: MIT */
#include "ctl/pki_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "ctl/files.h"

void pki_tree_add(struct pki_tree *t, const char *what, mode_t mode, char *taken, const char *path,
                  ...)
{
    char name[512];
    va_list ap;
    va_start(ap, path);
    vsnprintf(name, sizeof(name), path, ap);
    va_end(ap);
    t->files = cmg_realloc(t->files, (t->n + 1) * sizeof(*t->files));
    t->files[t->n++] = (struct pki_file){ cmg_strdup(name), taken, mode, what };
}

void pki_tree_clear(struct pki_tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        explicit_bzero(t->files[i].text, strlen(t->files[i].text));
        free(t->files[i].text);
        free(t->files[i].path);
    }
    free(t->files);
    *t = (struct pki_tree){ 0 };
}

static char *below(const char *folder, const char *path)
{
    size_t size = strlen(folder) + strlen(path) + 2;
    char *out = cmg_alloc(size);
    snprintf(out, size, "%s/%s", folder, path);
    return out;
}

/* Every folder on the way to `path`, from the first byte behind `from` on. */
static enum cmg_rc make_folders(char *path, size_t from, struct cmg_err *err)
{
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const char *last = strrchr(path, '/');
        mode_t mode = last && !strcmp(last, "/ca") ? 0700 : 0755;
        bool good = mkdir(path, mode) == 0 || errno == EEXIST;
        if (!good)
            cmg_fail(err, CMG_EIO, "cannot make the folder %s: %s", path, strerror(errno));
        *slash = '/';
        if (!good)
            return CMG_EIO;
    }
    return CMG_OK;
}

static enum cmg_rc nothing_is_there(const struct pki_tree *t, const char *folder,
                                    struct cmg_err *err)
{
    for (size_t i = 0; i < t->n; i++) {
        struct stat st;
        char *path = below(folder, t->files[i].path);
        bool there = lstat(path, &st) == 0;
        if (there)
            cmg_fail(err, CMG_EDENIED,
                     "%s is there already, and nothing was written: move it away, or name "
                     "another folder",
                     path);
        free(path);
        if (there)
            return CMG_EDENIED;
    }
    return CMG_OK;
}

static enum cmg_rc write_file(const struct pki_file *f, const char *folder, struct cmg_err *err)
{
    char *path = below(folder, f->path);
    enum cmg_rc rc = make_folders(path, strlen(folder), err);
    if (rc == CMG_OK)
        rc = ctl_file_new(path, f->mode, cmg_str(f->text), err);
    free(path);
    return rc;
}

static void remove_first(const struct pki_tree *t, const char *folder, size_t n)
{
    while (n--) {
        char *path = below(folder, t->files[n].path);
        unlink(path);
        free(path);
    }
}

enum cmg_rc pki_tree_write(const struct pki_tree *t, const char *folder, struct cmg_err *err)
{
    enum cmg_rc rc = nothing_is_there(t, folder, err);
    if (rc == CMG_OK && mkdir(folder, 0755) != 0 && errno != EEXIST)
        rc = cmg_fail(err, CMG_EIO, "cannot make the folder %s: %s", folder, strerror(errno));
    for (size_t i = 0; rc == CMG_OK && i < t->n; i++) {
        rc = write_file(&t->files[i], folder, err);
        if (rc != CMG_OK)
            remove_first(t, folder, i);
    }
    return rc;
}
