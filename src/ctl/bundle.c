/* SPDX-License-Identifier: MIT */
#include "ctl/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"
#include "cmg/base/env.h"
#include "ctl/files.h"
#include "ctl/redact.h"
#include "ctl/run.h"

enum { FILE_MAX = 128 * 1024 * 1024, TAR_MS = 120 * 1000, DEPTH_MAX = 8, SAID_MAX = 4096 };

struct bundle {
    char temporary[PATH_MAX]; /* ours alone; holds the folder `name` */
    char name[128];
};

struct bundle *bundle_new(const char *name, struct cmg_err *err)
{
    char path[PATH_MAX];
    const char *tmp = cmg_env("TMPDIR");
    struct bundle *b = cmg_alloc(sizeof(*b));
    *b = (struct bundle){ 0 };
    snprintf(b->name, sizeof(b->name), "%s", name);
    snprintf(b->temporary, sizeof(b->temporary), "%.3000s/cmg-diag.XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(b->temporary)) {
        snprintf(path, sizeof(path), "%.3500s/%s", b->temporary, b->name);
        if (mkdir(path, 0700) == 0)
            return b;
    }
    cmg_fail(err, CMG_EIO, "cannot make a folder in %s: %s", tmp && *tmp ? tmp : "/tmp",
             strerror(errno));
    free(b);
    return NULL;
}

enum cmg_rc bundle_add(struct bundle *b, const char *file, struct cmg_str text, struct cmg_err *err)
{
    char path[PATH_MAX];
    struct cmg_buf clean;
    int n = snprintf(path, sizeof(path), "%.3500s/%s/%s", b->temporary, b->name, file);
    for (char *slash = path + n - strlen(file); (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700); /* that it is there already is fine; else the file says so */
        *slash = '/';
    }
    cmg_buf_init(&clean, FILE_MAX);
    enum cmg_rc rc = redact(text, &clean);
    if (rc != CMG_OK)
        cmg_fail(err, rc, "%s is too large", file);
    else
        rc = ctl_file_new(path, 0600, cmg_buf_str(&clean), err);
    cmg_buf_clear(&clean);
    return rc;
}

static enum cmg_rc pack(const struct bundle *b, int to, struct cmg_err *err)
{
    struct cmg_buf said;
    char out[32];
    int status = 0;
    snprintf(out, sizeof(out), "/dev/fd/%d", to);
    const char *const argv[] = { "tar",         "--create",   "--gzip",    "--file",
                                 out,           "--owner=0",  "--group=0", "--sort=name",
                                 "--directory", b->temporary, b->name,     NULL };
    cmg_buf_init(&said, SAID_MAX);
    enum cmg_rc rc = run_program(argv, TAR_MS, &said, &status, err);
    if (rc == CMG_OK && status)
        rc = cmg_fail(err, CMG_EIO, "tar failed: %.*s", CMG_ARG(cmg_buf_str(&said)));
    cmg_buf_clear(&said);
    return rc;
}

enum cmg_rc bundle_write(struct bundle *b, const char *archive, struct cmg_err *err)
{
    int fd = open(archive, O_WRONLY | O_CREAT | O_EXCL, 0600); /* tar inherits it */
    if (fd < 0)
        return cmg_fail(err, errno == EEXIST ? CMG_EDENIED : CMG_EIO, "cannot write %s: %s",
                        archive, strerror(errno));
    enum cmg_rc rc = pack(b, fd, err);
    if (close(fd) && rc == CMG_OK)
        rc = cmg_fail(err, CMG_EIO, "cannot write %s: %s", archive, strerror(errno));
    if (rc != CMG_OK)
        unlink(archive);
    return rc;
}

static int on_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    nftw(b->temporary, on_entry, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
    free(b);
}
