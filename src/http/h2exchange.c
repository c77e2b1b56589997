/* SPDX-License-Identifier: MIT */
/* An exchange lives until nghttp2 says that its stream is closed: from inside its calls, and
 * then at once. Listeners are done with it earlier.
 *
 * Flow control: the credit of a stream goes back to the peer as soon as its listener has room;
 * the credit of the connection goes back at once, so that one stalled stream never stops the
 * others, until all that waits here comes near the ceiling for memory.
 */
#include "h2core.h"

/* Credit -------------------------------------------------------------------------------- */

/* What is kept back shrinks the window: what is held and what may still come stay below the
 * ceiling together. */
void h2_return_connection_credit(struct cmg_h2conn *c, size_t n)
{
    size_t worst = c->window + c->held, most = c->conf->memory_bytes;
    size_t keep = worst > most ? worst - most : 0;
    c->unreturned += n;
    if (c->unreturned <= keep)
        return;
    (void)nghttp2_session_consume_connection(c->session, c->unreturned - keep);
    c->unreturned = keep;
    h2_mark(c);
}

void h2_return_stream_credit(struct h2_exchange *xs, size_t n)
{
    (void)nghttp2_session_consume_stream(xs->c->session, xs->id, n);
}

/* Nobody will take what is still held for it. */
void h2_let_go(struct h2_exchange *xs)
{
    struct cmg_h2conn *c = xs->c;
    size_t n = xs->unreturned;
    if (!n)
        return;
    xs->unreturned = 0;
    c->held -= n;
    if (!xs->in_ended)
        h2_return_stream_credit(xs, n);
    h2_return_connection_credit(c, 0);
    h2_mark(c);
}

/* Listeners ----------------------------------------------------------------------------- */

bool h2_is_heard(const struct h2_exchange *xs)
{
    return !xs->over && xs->x.ev;
}

void h2_over(struct h2_exchange *xs)
{
    if (xs->over)
        return;
    xs->over = true;
    xs->c->load--;
    h2_let_go(xs);
}

void h2_gone(struct h2_exchange *xs, const struct cmg_fault *why)
{
    bool tell = h2_is_heard(xs);
    h2_over(xs);
    if (tell)
        xs->x.ev->on_gone(xs->x.arg, why);
}

/* Streams ------------------------------------------------------------------------------- */

struct h2_exchange *h2_exchange_new(struct cmg_h2conn *c, int32_t id)
{
    struct h2_exchange *xs = cmg_alloc(sizeof(*xs));
    xs->x.ops = &h2_ops;
    xs->c = c;
    xs->id = id;
    xs->heard_ms = cmg_loop_now_ms(c->loop);
    cmg_buf_init(&xs->out, SIZE_MAX / 2);
    if (!c->open && c->conf->stall_ms)
        h2_wake_by(c, xs->heard_ms + h2_stall_look_ms(c));
    TAILQ_INSERT_TAIL(&c->exchanges, xs, link);
    c->open++;
    c->load++;
    return xs;
}

struct h2_exchange *h2_find(struct cmg_h2conn *c, int32_t id)
{
    return nghttp2_session_get_stream_user_data(c->session, id);
}

/* Ends a stream before its time. It goes away when nghttp2 has said so to the peer, which a
 * peer that does not read can put off: what it was to be sent does not wait that long. */
void h2_reset(struct h2_exchange *xs, uint32_t error)
{
    h2_over(xs);
    if (xs->reset)
        return;
    xs->reset = true;
    cmg_buf_clear(&xs->out);
    (void)nghttp2_submit_rst_stream(xs->c->session, NGHTTP2_FLAG_NONE, xs->id, error);
    h2_mark(xs->c);
}

void h2_release(struct h2_exchange *xs)
{
    struct cmg_h2conn *c = xs->c;
    h2_over(xs);
    if (c->next == xs)
        c->next = TAILQ_NEXT(xs, link);
    TAILQ_REMOVE(&c->exchanges, xs, link);
    if (--c->open == 0 && !c->conf->channel)
        h2_block_free(c); /* clients are many, and idle most of the time */
    if (!c->open && c->stream) {
        c->idle_since_ms = cmg_loop_now_ms(c->loop);
        if (c->conf->idle_ms)
            h2_wake_by(c, c->idle_since_ms + c->conf->idle_ms);
    }
    cmg_buf_clear(&xs->out);
    free(xs->kept);
    free(xs);
}
