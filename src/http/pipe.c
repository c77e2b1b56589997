/* SPDX-License-Identifier: MIT */
/* Two exchanges, back to back. What one side delivers the other side queues; when its queue
 * is full the first is paused, and that is all the flow control there is. */
#include "cmg/http/pipe.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"

static struct cmg_pipe *of(void *arg)
{
    return arg;
}

static void pause_in(struct cmg_pipe *p, bool paused)
{
    if (!p->in || p->in_paused == paused || (paused && p->request_ended))
        return;
    p->in_paused = paused;
    p->in->ops->pause(p->in, paused);
}

static void pause_out(struct cmg_pipe *p, bool paused)
{
    if (!p->out || p->out_paused == paused)
        return;
    p->out_paused = paused;
    p->out->ops->pause(p->out, paused);
}

static void drop_out(struct cmg_pipe *p)
{
    struct cmg_exchange *out = p->out;
    p->out = NULL;
    p->out_paused = false;
    if (out)
        out->ops->abort(out);
}

static void finish(struct cmg_pipe *p, enum cmg_pipe_end end, const struct cmg_fault *why)
{
    cmg_buf_clear(&p->held);
    p->ev->on_done(p, end, why);
}

/* The incoming side ---------------------------------------------------------------------- */

/* Keeps request body while a repeat is possible. False: too much to keep, and nowhere to go. */
static bool hold(struct cmg_pipe *p, struct cmg_str bytes)
{
    if (p->held_all && cmg_buf_put(&p->held, bytes) == CMG_OK)
        return true;
    if (!p->out)
        return false;
    p->held_all = false;
    cmg_buf_clear(&p->held);
    return true;
}

static void too_large(struct cmg_pipe *p)
{
    struct cmg_fault f = { .code = CMG_ETOOBIG, .text = "the request body is too large" };
    drop_out(p);
    finish(p, CMG_PIPE_TOO_LARGE, &f);
}

static void in_body(void *arg, struct cmg_str bytes)
{
    struct cmg_pipe *p = of(arg);
    p->request_bytes += bytes.n;
    if (p->request_bytes > p->request_max) {
        too_large(p);
        return;
    }
    if (!hold(p, bytes)) {
        /* Nowhere to send it yet and paused already: this is the last window on its way. */
        p->held.max += bytes.n;
        if (cmg_buf_put(&p->held, bytes) != CMG_OK)
            abort();
    }
    if (!p->out)
        pause_in(p, p->held.n >= p->hold_bytes);
    else if (!p->out->ops->body(p->out, bytes))
        pause_in(p, true);
}

/* Trailers of a request end here, as RFC 9110 section 6.5.1 allows: there are back ends that merge
 * them into the head, which was judged and answered for without them. */
static void in_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    struct cmg_pipe *p = of(arg);
    (void)trailers, (void)n;
    pause_in(p, false); /* nothing is left to hold back, and its end is still to be noticed */
    p->request_ended = true;
    if (p->out)
        p->out->ops->end(p->out, NULL, 0);
}

static void in_room(void *arg)
{
    pause_out(of(arg), false);
}

static void in_gone(void *arg, const struct cmg_fault *why)
{
    struct cmg_pipe *p = of(arg);
    p->in = NULL;
    drop_out(p);
    finish(p, CMG_PIPE_CLIENT_GONE, why);
}

/* The outgoing side ---------------------------------------------------------------------- */

static void cut(struct cmg_pipe *p, const struct cmg_fault *why)
{
    struct cmg_exchange *in = p->in;
    p->in = NULL;
    if (in)
        in->ops->abort(in);
    finish(p, CMG_PIPE_CUT, why);
}

static void out_head(void *arg, const struct cmg_head *head)
{
    struct cmg_pipe *p = of(arg);
    struct cmg_head mine = *head;
    bool final = head->status >= 200;
    if (final) {
        p->status = head->status;
        p->answered = true;
        p->held_all = false;
        cmg_buf_clear(&p->held);
    }
    p->ev->on_response(p, &mine);
    enum cmg_rc rc = p->in->ops->head(p->in, &mine);
    if (rc != CMG_OK) {
        struct cmg_fault f = { .code = rc,
                               .malformed = true,
                               .text = "the response head cannot be passed on" };
        drop_out(p);
        cut(p, &f);
        return;
    }
    if (final && mine.end)
        p->in = NULL; /* a head with end completes the incoming side */
}

static void out_body(void *arg, struct cmg_str bytes)
{
    struct cmg_pipe *p = of(arg);
    p->response_bytes += bytes.n;
    if (p->in && !p->in->ops->body(p->in, bytes))
        pause_out(p, true);
}

static void out_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    struct cmg_pipe *p = of(arg);
    struct cmg_exchange *in = p->in;
    p->out = p->in = NULL;
    if (in)
        in->ops->end(in, trailers, n);
    finish(p, CMG_PIPE_DONE, NULL);
}

static void out_room(void *arg)
{
    pause_in(of(arg), false);
}

static void out_gone(void *arg, const struct cmg_fault *why)
{
    struct cmg_pipe *p = of(arg);
    p->out = NULL;
    p->out_paused = false;
    if (p->answered)
        cut(p, why);
    else
        p->ev->on_failed(p, why);
}

static const struct cmg_exchange_events in_events = {
    .on_body = in_body,
    .on_end = in_end,
    .on_room = in_room,
    .on_gone = in_gone,
};

static const struct cmg_exchange_events out_events = {
    .on_head = out_head,
    .on_body = out_body,
    .on_end = out_end,
    .on_room = out_room,
    .on_gone = out_gone,
};

/* Calls ----------------------------------------------------------------------------------- */

void cmg_pipe_start(struct cmg_pipe *p, struct cmg_exchange *in, bool head_ended,
                    uint64_t request_max, size_t hold_bytes, const struct cmg_pipe_events *ev)
{
    *p = (struct cmg_pipe){
        .ev = ev,
        .in = in,
        .request_max = request_max,
        .hold_bytes = hold_bytes,
        .held_all = true,
        .request_ended = head_ended,
        .head_ended = head_ended,
    };
    cmg_buf_init(&p->held, hold_bytes);
    cmg_exchange_listen(in, &in_events, p);
}

void cmg_pipe_join(struct cmg_pipe *p, struct cmg_exchange *out)
{
    p->out = out;
    cmg_exchange_listen(out, &out_events, p);
    if (p->request_bytes > p->request_max) { /* a ceiling that was not known when they came */
        too_large(p);
        return;
    }
    bool room = true;
    if (p->held.n)
        room = out->ops->body(out, cmg_buf_str(&p->held));
    if (p->held.n > p->hold_bytes) { /* more than may be kept for a repeat */
        p->held_all = false;
        cmg_buf_clear(&p->held);
        cmg_buf_init(&p->held, p->hold_bytes);
    }
    if (p->request_ended && !p->head_ended)
        out->ops->end(out, NULL, 0);
    pause_in(p, !room);
}

bool cmg_pipe_may_repeat(const struct cmg_pipe *p)
{
    return p->in && !p->answered && p->held_all;
}

struct cmg_exchange *cmg_pipe_detach(struct cmg_pipe *p)
{
    struct cmg_exchange *in = p->in;
    p->in = NULL;
    drop_out(p);
    cmg_buf_clear(&p->held);
    return in;
}

void cmg_pipe_clear(struct cmg_pipe *p)
{
    cmg_buf_clear(&p->held);
}
