/* SPDX-License-Identifier: MIT */
#include "ctl/content_session.h"

#include <signal.h>

#include "cmg/net/loop.h"

enum cmg_rc content_check_id(const char *value, struct cmg_err *err)
{
    char prefix[PLAN_PREFIX];
    return plan_prefix(value, prefix, err);
}

static void on_signal(void *arg)
{
    struct content_session *s = arg;
    if (s->ended)
        return;
    s->interrupted = true;
    cmg_fail(&s->err, CMG_EIO, "interrupted");
    cmg_loop_stop(s->loop);
}

enum ctl_exit content_session_open(struct content_session *s, const struct ctl_args *a,
                                   void (*on_wait)(void *arg, const char *why, int64_t wait_ms),
                                   void *arg)
{
    *s = (struct content_session){ 0 };
    const char *id = ctl_text(a, "id");
    struct cmg_err err;
    if (id && plan_prefix(id, s->prefix, &err) != CMG_OK)
        return ctl_misused(a, "--id: %s", err.text);
    enum ctl_exit status = store_open(&s->store, a);
    if (status != CTL_OK)
        return status;
    s->loop = cmg_loop_new();
    s->blobs = blobs_new(s->loop, &s->store, (unsigned)ctl_number(a, "tries"), on_wait, arg);
    signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an answer like others */
    cmg_loop_on_signal(s->loop, SIGINT, on_signal, s);
    cmg_loop_on_signal(s->loop, SIGTERM, on_signal, s);
    return CTL_OK;
}

bool content_run(struct content_session *s)
{
    if (!s->ended)
        cmg_loop_run(s->loop);
    return s->ended && s->err.code == CMG_OK;
}

void content_end(struct content_session *s, const struct cmg_err *err)
{
    s->ended = true;
    if (err)
        s->err = *err;
    cmg_loop_stop(s->loop);
}

enum ctl_exit content_failed(const struct content_session *s)
{
    return ctl_failed(&s->err);
}

void content_session_stop(struct content_session *s)
{
    blobs_free(s->blobs);
    s->blobs = NULL;
}

void content_session_clear(struct content_session *s)
{
    content_session_stop(s);
    if (s->loop)
        cmg_loop_free(s->loop);
    store_close(&s->store);
    *s = (struct content_session){ 0 };
}
