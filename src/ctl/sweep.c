/* SPDX-License-Identifier: MIT */
#include "ctl/sweep.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/net/loop.h"

struct deletion {
    struct sweep *sweep;
    const char *name;
};

struct sweep {
    struct cmg_loop *loop;
    struct blobs *blobs;
    const char *const *names;
    struct deletion *all; /* owned; one for each name */
    size_t n, next, done;
    unsigned parallel, in_flight;
    struct progress *progress;
    void (*on_done)(void *arg, const struct cmg_err *err);
    void *arg;
    bool ended;
    struct cmg_task task;
};

static void end(struct sweep *s, const struct cmg_err *err)
{
    if (s->ended)
        return;
    s->ended = true;
    s->on_done(s->arg, err);
}

static void on_deleted(void *arg, const struct blobs_answer *a)
{
    struct deletion *d = arg;
    struct sweep *s = d->sweep;
    s->in_flight--;
    if (a->rc != CMG_OK) {
        struct cmg_err err;
        cmg_fail(&err, a->rc, "%s: %s", d->name, a->err.text);
        end(s, &err);
        return;
    }
    s->done++;
    if (!s->progress->bar)
        progress_say(s->progress, "removed %s", d->name);
    cmg_loop_later(s->loop, &s->task);
}

static void pump(void *arg)
{
    struct sweep *s = arg;
    if (s->ended)
        return;
    for (; s->next < s->n && s->in_flight < s->parallel; s->next++, s->in_flight++) {
        struct deletion *d = &s->all[s->next];
        *d = (struct deletion){ s, s->names[s->next] };
        blobs_start(s->blobs, &(struct blobs_ask){
                                  .op = { .verb = CMG_BLOB_DELETE, .blob = cmg_str(d->name) },
                                  .fine = 404,
                                  .on_done = on_deleted,
                                  .arg = d });
    }
    if (s->done == s->n)
        end(s, NULL);
}

struct sweep *sweep_new(struct cmg_loop *l, struct blobs *b, const char *const *names, size_t n,
                        unsigned parallel, struct progress *progress,
                        void (*on_done)(void *arg, const struct cmg_err *err), void *arg)
{
    struct sweep *s = cmg_alloc(sizeof(*s));
    *s = (struct sweep){ .loop = l,
                         .blobs = b,
                         .names = names,
                         .n = n,
                         .parallel = parallel,
                         .progress = progress,
                         .on_done = on_done,
                         .arg = arg };
    s->all = cmg_alloc((n + 1) * sizeof(*s->all));
    s->task = (struct cmg_task){ .run = pump, .arg = s };
    cmg_loop_later(l, &s->task);
    return s;
}

size_t sweep_count(const struct sweep *s)
{
    return s->done;
}

void sweep_free(struct sweep *s)
{
    if (!s)
        return;
    cmg_loop_cancel(s->loop, &s->task);
    free(s->all);
    free(s);
}
