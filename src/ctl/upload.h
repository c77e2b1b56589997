/* SPDX-License-Identifier: MIT */
/* Sends the files of a folder as blobs, several requests at a time. A file of one block goes in one
 * request; a larger one in blocks, which nobody can see until the last request joins them. Each
 * block is read when its turn comes, and again where it must be sent again. */
#ifndef CMG_CTL_UPLOAD_H
#define CMG_CTL_UPLOAD_H

#include "ctl/blobs.h"
#include "ctl/folder.h"
#include "ctl/progress.h"
#include "ctl/publish_plan.h"

enum { UPLOAD_PARALLEL_MAX = 32 };

struct upload_conf {
    struct cmg_loop *loop; /* all borrowed */
    struct blobs *blobs;
    const struct folder *folder;
    const struct plan_step *steps; /* SEND and COMPARE */
    size_t nsteps;
    const char *prefix; /* of the blobs */
    int64_t block_bytes;
    unsigned parallel; /* requests at one time */
    bool dry_run;      /* compares, but sends nothing */
    struct progress *progress;
};

struct upload_result {
    size_t sent, same; /* files; `sent` are those that would be, in a dry run */
    size_t blocks_sent, blocks_there;
    int64_t bytes_sent, bytes_there; /* there: of files and blocks that were not sent again */
};

struct upload;

/* `on_done` is called once, from the loop: err is NULL, or says what ended it. Do not free the
 * upload from inside. */
struct upload *upload_new(const struct upload_conf *conf,
                          void (*on_done)(void *arg, const struct cmg_err *err), void *arg);
/* Free `blobs` first, which ends what is in flight. NULL is ignored. */
void upload_free(struct upload *u);
struct upload_result upload_result(const struct upload *u);
const char *upload_name(const struct upload *u); /* of a file on its way; NULL: none */

#endif
