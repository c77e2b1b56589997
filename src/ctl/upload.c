/* SPDX-License-Identifier: MIT */
/* One file:
 *
 *   OPENED --> COMPARING --> ASKING --> SENDING --> COMMITTING --> DONE
 *
 * COMPARING reads a file whose blob has the same size, and skips to DONE when it is the same.
 * ASKING is for which blocks are there; a file of one block skips it and COMMITTING.
 *
 * pump() does one piece of work a turn, the size of a block at most, so that answers, the bar and
 * signals are not kept waiting. */
#include "ctl/upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/net/loop.h"
#include "cmg/proto/base64.h"

enum state { OPENED, COMPARING, ASKING, SENDING, COMMITTING, DONE, STATES };

#define TO(s) (1u << (s))
/* clang-format off */
static const unsigned allowed[STATES] = {
    [OPENED]     = TO(COMPARING) | TO(ASKING) | TO(SENDING) | TO(DONE),
    [COMPARING]  = TO(ASKING) | TO(SENDING) | TO(DONE),
    [ASKING]     = TO(SENDING),
    [SENDING]    = TO(COMMITTING) | TO(DONE),
    [COMMITTING] = TO(DONE),
    [DONE]       = 0,
};
/* clang-format on */

enum { LIST_MAX = 8 * 1024 * 1024 }; /* 50000 blocks, 32 letters and their tag each */

struct item { /* a file on its way */
    struct upload *upload;
    const struct plan_step *step;
    enum state state;
    int fd;
    char *blob;              /* owned; its name */
    struct cmg_md5_sum *sum; /* owned; of what has been read so far */
    int64_t at;              /* read so far, bytes */
    size_t nblocks, next;    /* `next` is the first that was not looked at yet */
    unsigned in_flight;      /* blocks */
    unsigned char md5[CMG_MD5_BYTES];
    unsigned char (*ids)[PLAN_BLOCK_ID]; /* owned */
    struct cmg_block *there;             /* owned; sorted */
    size_t nthere;
    struct cmg_buf list; /* of blocks, to commit */
};

struct block {         /* in flight */
    struct item *item; /* NULL: this place is free */
    size_t index;
    unsigned char md5[CMG_MD5_BYTES];
};

struct upload {
    struct upload_conf conf;
    void (*on_done)(void *arg, const struct cmg_err *err);
    void *arg;
    bool ended;
    size_t next;                             /* step */
    struct item *items[UPLOAD_PARALLEL_MAX]; /* owned, oldest first */
    size_t nitems;
    struct block blocks[UPLOAD_PARALLEL_MAX];
    unsigned in_flight; /* requests */
    char *scratch;      /* one block */
    struct upload_result result;
    struct cmg_task task;
};

static void enter(struct item *it, enum state next)
{
    if (!(allowed[it->state] & TO(next)))
        abort();
    it->state = next;
}

static void more(struct upload *u)
{
    cmg_loop_later(u->conf.loop, &u->task);
}

static void end(struct upload *u, const struct cmg_err *err)
{
    if (u->ended)
        return;
    u->ended = true;
    u->on_done(u->arg, err);
}

/* --- files ---------------------------------------------------------------------------------- */

static void item_free(struct item *it)
{
    close(it->fd);
    free(it->blob);
    cmg_md5_sum_free(it->sum);
    free(it->ids);
    free(it->there);
    cmg_buf_clear(&it->list);
    free(it);
}

static struct item *item_new(struct upload *u, const struct plan_step *step, int fd)
{
    struct item *it = cmg_alloc(sizeof(*it));
    size_t blocks = plan_blocks(step->file->size, u->conf.block_bytes);
    *it = (struct item){ .upload = u, .step = step, .fd = fd, .nblocks = blocks ? blocks : 1 };
    size_t n = strlen(u->conf.prefix) + strlen(step->file->name) + 1;
    it->blob = cmg_alloc(n);
    snprintf(it->blob, n, "%s%s", u->conf.prefix, step->file->name);
    it->sum = cmg_md5_sum_new();
    it->ids = cmg_alloc(it->nblocks * sizeof(*it->ids));
    cmg_buf_init(&it->list, LIST_MAX);
    return it;
}

static void leave(struct item *it)
{
    struct upload *u = it->upload;
    size_t i = 0;
    while (u->items[i] != it)
        i++;
    memmove(&u->items[i], &u->items[i + 1], (u->nitems - i - 1) * sizeof(u->items[0]));
    u->nitems--;
    enter(it, DONE);
    item_free(it);
    more(u);
}

static void say(const struct item *it, const char *what)
{
    struct progress *p = it->upload->conf.progress;
    char size[PROGRESS_BYTES];
    if (!p->bar)
        progress_say(p, "%s %s (%s)", what, it->step->file->name,
                     progress_bytes(it->step->file->size, size));
}

static void is_sent(struct item *it)
{
    it->upload->result.sent++;
    say(it, it->upload->conf.dry_run ? "would send" : "sent");
    leave(it);
}

static void is_same(struct item *it)
{
    struct upload *u = it->upload;
    u->result.same++;
    u->result.bytes_there += it->step->file->size;
    progress_add(u->conf.progress, it->step->file->size, 0);
    say(it, "same");
    leave(it);
}

/* Into the scratch, where it is until the next read. False with err. */
static bool read_at(const struct item *it, int64_t at, int64_t n, struct cmg_str *bytes,
                    struct cmg_err *err)
{
    char *to = it->upload->scratch;
    for (int64_t have = 0; have < n;) {
        ssize_t got = pread(it->fd, to + have, (size_t)(n - have), at + have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            cmg_fail(err, CMG_EIO, "cannot read %s: %s", it->step->file->name,
                     got ? strerror(errno) : "it has become shorter");
            return false;
        }
        have += got;
    }
    *bytes = (struct cmg_str){ to, (size_t)n };
    return true;
}

/* --- blocks --------------------------------------------------------------------------------- */

static int64_t block_size(const struct item *it, size_t index)
{
    return plan_block_size(it->step->file->size, it->upload->conf.block_bytes, index);
}

static void commit(struct item *it);

static void block_over(struct item *it, size_t index, bool sent)
{
    struct upload *u = it->upload;
    int64_t n = block_size(it, index);
    progress_add(u->conf.progress, n, sent ? n : 0);
    u->result.blocks_sent += sent;
    u->result.blocks_there += !sent;
    *(sent ? &u->result.bytes_sent : &u->result.bytes_there) += n;
    if (it->next < it->nblocks || it->in_flight)
        return;
    if (it->nblocks > 1)
        commit(it);
    else
        is_sent(it);
}

static bool changed(const struct item *it, struct cmg_err *err)
{
    cmg_fail(err, CMG_EIO, "%s has changed since the start; publish again", it->step->file->name);
    return false;
}

/* Nothing of a file that changes under us is ever joined: its time is looked at last. */
static bool read_next(struct item *it, struct cmg_str *bytes, struct cmg_err *err)
{
    size_t index = it->next;
    int64_t n = block_size(it, index);
    if (!read_at(it, it->at, n, bytes, err))
        return false;
    it->at += n;
    it->next++;
    if (it->next == it->nblocks && !folder_file_same(it->fd, it->step->file))
        return changed(it, err);
    cmg_md5_sum_add(it->sum, *bytes);
    plan_block_id(index, *bytes, it->ids[index]);
    return true;
}

static bool read_again(void *arg, struct cmg_str *bytes, struct cmg_err *err)
{
    const struct block *b = arg;
    const struct item *it = b->item;
    int64_t block_bytes = it->upload->conf.block_bytes;
    unsigned char id[PLAN_BLOCK_ID];
    if (!read_at(it, (int64_t)b->index * block_bytes, block_size(it, b->index), bytes, err))
        return false;
    plan_block_id(b->index, *bytes, id);
    if (!memcmp(id, it->ids[b->index], sizeof(id)))
        return true;
    return changed(it, err);
}

static void on_block(void *arg, const struct blobs_answer *a)
{
    struct block *b = arg;
    struct item *it = b->item;
    struct upload *u = it->upload;
    b->item = NULL;
    u->in_flight--;
    it->in_flight--;
    if (a->rc != CMG_OK) {
        struct cmg_err err;
        cmg_fail(&err, a->rc, "%s: %s", it->step->file->name, a->err.text);
        end(u, &err);
        return;
    }
    block_over(it, b->index, true);
    more(u);
}

static void send_block(struct item *it, size_t index, struct cmg_str bytes)
{
    struct upload *u = it->upload;
    struct block *b = u->blocks;
    while (b->item)
        b++; /* there are as many as requests may be in flight */
    *b = (struct block){ .item = it, .index = index };
    cmg_md5(bytes, b->md5);
    struct blobs_ask ask = {
        .op = { .verb = CMG_BLOB_PUT_BLOCK, .blob = cmg_str(it->blob), .md5 = b->md5 },
        .first = bytes,
        .body = read_again,
        .on_done = on_block,
        .arg = b,
    };
    if (it->nblocks > 1) {
        ask.op.block = (struct cmg_str){ (const char *)it->ids[index], PLAN_BLOCK_ID };
    } else {
        ask.op.verb = CMG_BLOB_PUT;
        ask.op.blob_md5 = b->md5;
    }
    it->in_flight++;
    u->in_flight++;
    blobs_start(u->conf.blobs, &ask);
}

/* Blocks are read in their order, because the file's digest is. */
static void next_block(struct item *it)
{
    size_t index = it->next;
    struct cmg_str bytes;
    struct cmg_err err;
    if (!read_next(it, &bytes, &err))
        end(it->upload, &err);
    else if (plan_block_there(it->there, it->nthere, it->ids[index], (int64_t)bytes.n))
        block_over(it, index, false);
    else
        send_block(it, index, bytes);
}

static bool list_again(void *arg, struct cmg_str *bytes, struct cmg_err *err)
{
    const struct item *it = arg;
    (void)err;
    *bytes = cmg_buf_str(&it->list);
    return true;
}

static void on_committed(void *arg, const struct blobs_answer *a)
{
    struct item *it = arg;
    struct upload *u = it->upload;
    u->in_flight--;
    if (a->rc == CMG_OK) {
        is_sent(it);
        return;
    }
    struct cmg_err err;
    cmg_fail(&err, a->rc, "%s: %s", it->step->file->name, a->err.text);
    end(u, &err);
}

static void write_list(struct item *it)
{
    struct cmg_str *ids = cmg_alloc(it->nblocks * sizeof(*ids));
    for (size_t i = 0; i < it->nblocks; i++)
        ids[i] = (struct cmg_str){ (const char *)it->ids[i], PLAN_BLOCK_ID };
    if (cmg_block_list_put(&it->list, ids, it->nblocks) != CMG_OK)
        abort(); /* plan_fits has seen that it is not too long */
    free(ids);
}

static void commit(struct item *it)
{
    struct upload *u = it->upload;
    cmg_md5_sum_end(it->sum, it->md5);
    write_list(it);
    enter(it, COMMITTING);
    u->in_flight++;
    blobs_start(u->conf.blobs, &(struct blobs_ask){ .op = { .verb = CMG_BLOB_PUT_BLOCK_LIST,
                                                            .blob = cmg_str(it->blob),
                                                            .blob_md5 = it->md5 },
                                                    .first = cmg_buf_str(&it->list),
                                                    .body = list_again,
                                                    .on_done = on_committed,
                                                    .arg = it });
}

/* --- from file to file ---------------------------------------------------------------------- */

static void on_blocks(void *arg, const struct blobs_answer *a)
{
    struct item *it = arg;
    struct upload *u = it->upload;
    struct cmg_err err = a->err;
    u->in_flight--;
    enum cmg_rc rc = a->rc;
    if (rc == CMG_OK && a->status != 404)
        rc = cmg_block_list_read(a->body, &it->there, &it->nthere, &err);
    if (rc != CMG_OK) {
        end(u, &err);
        return;
    }
    plan_blocks_sort(it->there, it->nthere);
    enter(it, SENDING);
    more(u);
}

static void begin_sending(struct item *it)
{
    struct upload *u = it->upload;
    cmg_md5_sum_free(it->sum);
    it->sum = cmg_md5_sum_new();
    it->at = 0;
    if (u->conf.dry_run) {
        is_sent(it);
        return;
    }
    if (it->nblocks == 1) {
        enter(it, SENDING);
        return;
    }
    enter(it, ASKING);
    u->in_flight++;
    blobs_start(u->conf.blobs, &(struct blobs_ask){ .op = { .verb = CMG_BLOB_GET_BLOCK_LIST,
                                                            .blob = cmg_str(it->blob) },
                                                    .fine = 404,
                                                    .on_done = on_blocks,
                                                    .arg = it });
}

static void compare(struct item *it)
{
    struct upload *u = it->upload;
    int64_t left = it->step->file->size - it->at;
    int64_t n = left < u->conf.block_bytes ? left : u->conf.block_bytes;
    struct cmg_str bytes;
    struct cmg_err err;
    if (!read_at(it, it->at, n, &bytes, &err)) {
        end(u, &err);
        return;
    }
    cmg_md5_sum_add(it->sum, bytes);
    it->at += n;
    if (it->at < it->step->file->size)
        return;
    char text[2 * CMG_MD5_BYTES];
    cmg_md5_sum_end(it->sum, it->md5);
    cmg_base64_put(CMG_BASE64, (struct cmg_str){ (const char *)it->md5, CMG_MD5_BYTES }, text);
    if (strcmp(text, it->step->blob->md5))
        begin_sending(it);
    else
        is_same(it);
}

static bool can_work(const struct item *it)
{
    return it->state == COMPARING || (it->state == SENDING && it->next < it->nblocks);
}

static struct item *next_item(struct upload *u)
{
    for (size_t i = 0; i < u->nitems; i++)
        if (can_work(u->items[i]))
            return u->items[i];
    return NULL;
}

static void begin(struct upload *u)
{
    const struct plan_step *step = &u->conf.steps[u->next++];
    struct cmg_err err;
    int fd = folder_file_open(u->conf.folder, step->file, &err);
    if (fd < 0) {
        end(u, &err);
        return;
    }
    struct item *it = u->items[u->nitems++] = item_new(u, step, fd);
    if (step->what == PLAN_COMPARE)
        enter(it, COMPARING);
    else
        begin_sending(it);
}

static void pump(void *arg)
{
    struct upload *u = arg;
    if (u->ended)
        return;
    if (u->next == u->conf.nsteps && !u->nitems) {
        end(u, NULL);
        return;
    }
    if (u->in_flight == u->conf.parallel)
        return; /* an answer comes back here */
    struct item *it = next_item(u);
    if (it && it->state == COMPARING)
        compare(it);
    else if (it)
        next_block(it);
    else if (u->next < u->conf.nsteps && u->nitems < u->conf.parallel)
        begin(u);
    else
        return;
    more(u);
}

struct upload *upload_new(const struct upload_conf *conf,
                          void (*on_done)(void *arg, const struct cmg_err *err), void *arg)
{
    struct upload *u = cmg_alloc(sizeof(*u));
    *u = (struct upload){ .conf = *conf, .on_done = on_done, .arg = arg };
    u->task = (struct cmg_task){ .run = pump, .arg = u };
    u->scratch = cmg_alloc((size_t)conf->block_bytes);
    more(u);
    return u;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    cmg_loop_cancel(u->conf.loop, &u->task);
    for (size_t i = 0; i < u->nitems; i++)
        item_free(u->items[i]);
    free(u->scratch);
    free(u);
}

struct upload_result upload_result(const struct upload *u)
{
    return u->result;
}

const char *upload_name(const struct upload *u)
{
    return u->nitems ? u->items[0]->step->file->name : NULL;
}
