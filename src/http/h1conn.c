/* SPDX-License-Identifier: MIT */
/* The part of an HTTP/1.1 connection that does not care who asks and who answers. */
#include "h1core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TO(s) (1u << (s))
/* clang-format off */
static const unsigned allowed[] = {
    [H1_REST]    = TO(H1_HEAD) | TO(H1_BUSY) | TO(H1_CLOSING),
    [H1_HEAD]    = TO(H1_BUSY) | TO(H1_CLOSING),
    [H1_BUSY]    = TO(H1_REST) | TO(H1_CLOSING),
    [H1_CLOSING] = 0,
};
/* clang-format on */

void h1_enter(struct cmg_h1conn *c, enum h1_state to)
{
    if (!(allowed[c->state] & TO(to)))
        abort();
    c->state = to;
    switch (to) {
    case H1_REST:
        h1_wake(c, c->conf->idle_ms);
        break;
    case H1_HEAD:
        h1_wake(c, c->conf->head_ms);
        break;
    case H1_BUSY:
        h1_wake(c, h1_beat_ms(c));
        break;
    case H1_CLOSING:
        cmg_timer_stop(c->timer);
        break;
    }
}

/* Time --------------------------------------------------------------------------------- */

void h1_wake(struct cmg_h1conn *c, int64_t after_ms)
{
    if (after_ms > 0)
        cmg_timer_set(c->timer, after_ms);
    else
        cmg_timer_stop(c->timer);
}

int64_t h1_beat_ms(const struct cmg_h1conn *c)
{
    return c->conf->stall_ms > 0 ? c->conf->stall_ms / 4 + 1 : 0;
}

bool h1_out_waits(struct cmg_h1conn *c, int64_t now_ms)
{
    uint64_t sent = cmg_stream_sent(c->stream);
    if (sent != c->out.seen)
        c->out.moved_ms = now_ms;
    c->out.seen = sent;
    return cmg_stream_out(c->stream)->n > 0;
}

static void on_timer(void *arg)
{
    struct cmg_h1conn *c = arg;
    if (c->state != H1_CLOSING)
        c->role->tick(c, cmg_loop_now_ms(c->loop));
}

/* The end ------------------------------------------------------------------------------ */

static void close_stream(struct cmg_h1conn *c)
{
    if (c->close_ms == H1_CUT)
        cmg_stream_cut(c->stream);
    else
        cmg_stream_close(c->stream, c->close_ms);
}

/* Closing a stream drops its input, which whoever is in on_data may still be looking at. */
void h1_close(struct cmg_h1conn *c, unsigned flush_ms)
{
    if (c->state == H1_CLOSING)
        return;
    h1_enter(c, H1_CLOSING);
    c->close_ms = flush_ms;
    if (!c->in_data)
        close_stream(c);
}

void h1_gone(struct cmg_h1conn *c, const struct cmg_fault *why)
{
    struct cmg_exchange x = c->x;
    c->x.ev = NULL;
    if (x.ev)
        x.ev->on_gone(x.arg, why);
}

bool h1_unprocessed(const struct cmg_h1conn *c)
{
    return c->role->asks && cmg_stream_sent(c->stream) <= c->out.base;
}

void h1_fail(struct cmg_h1conn *c, enum cmg_rc code, bool malformed, const char *fmt, ...)
{
    struct cmg_fault f = {
        .code = code,
        .malformed = malformed,
        .unprocessed = h1_unprocessed(c),
    };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f.text, sizeof(f.text), fmt, ap);
    va_end(ap);
    h1_close(c, 0);
    h1_gone(c, &f);
}

static void forget(struct cmg_h1conn *c)
{
    cmg_timer_free(c->timer);
    free(c);
}

static void on_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct cmg_h1conn *c = arg;
    struct cmg_fault f = { .code = CMG_EIO, .unprocessed = h1_unprocessed(c) };

    if (c->state != H1_CLOSING)
        h1_enter(c, H1_CLOSING);
    if (c->why)
        snprintf(f.text, sizeof(f.text), "%s", c->why);
    else if (why == CMG_CLOSE_LOCAL)
        snprintf(f.text, sizeof(f.text), "the connection to the %s was closed here", c->role->peer);
    else
        snprintf(f.text, sizeof(f.text), "the connection to the %s broke: %s", c->role->peer,
                 detail ? detail : "closed");
    h1_gone(c, &f);
    c->role->closed(c, detail ? detail : c->why);
    forget(c);
}

/* Reading ------------------------------------------------------------------------------ */

void h1_offer_again(struct cmg_h1conn *c)
{
    if (!c->unread || c->in_data)
        return;
    c->offered = true;
    cmg_stream_pause(c->stream, false);
}

bool h1_read_begin(struct cmg_h1conn *c, const struct cmg_h1_msg *msg)
{
    bool none =
        msg->framing == CMG_H1_NONE || (msg->framing == CMG_H1_LENGTH && msg->head.length == 0);
    c->in.part = none ? H1_WHOLE : H1_BEGUN;
    c->in.bytes = 0;
    c->in.declared = msg->framing == CMG_H1_LENGTH ? msg->head.length : -1;
    c->in.scan = (struct cmg_h1_scan){ 0 };
    if (!none)
        cmg_h1_body_init(&c->in.body, msg, &c->conf->limits);
    return none;
}

static bool read_body(struct cmg_h1conn *c, struct cmg_str in, size_t *used)
{
    struct cmg_field trailers[CMG_H1_FIELDS];
    size_t ntrailers = 0;
    struct cmg_str data = { NULL, 0 };
    bool done = false;
    struct cmg_err err;

    if (c->in.paused || !in.n)
        return false;
    enum cmg_rc rc =
        cmg_h1_body_read(&c->in.body, in, used, &data, &done, trailers, &ntrailers, &err);
    if (rc == CMG_MORE)
        return false;
    if (rc != CMG_OK) {
        c->role->read_broken(c, &err);
        return false;
    }
    if (done)
        c->in.part = H1_WHOLE;
    c->in.bytes += data.n;
    if (data.n && c->x.ev)
        c->x.ev->on_body(c->x.arg, data);
    if (done && c->state == H1_BUSY)
        c->role->read_whole(c, trailers, ntrailers);
    return *used > 0;
}

/* One piece of what arrived. False: that is all for now. */
static bool step(struct cmg_h1conn *c, struct cmg_str in, size_t *used)
{
    *used = 0;
    if (c->state == H1_CLOSING)
        return false;
    switch (c->in.part) {
    case H1_AWAITED:
        return in.n > 0 && c->role->read_head(c, in, used);
    case H1_BEGUN:
        return read_body(c, in, used);
    case H1_WHOLE: /* what follows waits until the exchange is over */
        break;
    }
    return false;
}

/* True when more bytes would have been looked at, had there been more. */
static bool wants_more(const struct cmg_h1conn *c)
{
    if (c->offered || c->held || c->state == H1_CLOSING)
        return false;
    return c->in.part == H1_AWAITED || (c->in.part == H1_BEGUN && !c->in.paused);
}

static size_t on_data(void *arg, struct cmg_str in)
{
    struct cmg_h1conn *c = arg;
    size_t used = 0, n;
    bool more;

    c->in_data = true;
    c->offered = false;
    c->in.moved_ms = cmg_loop_now_ms(c->loop);
    do {
        more = step(c, cmg_str_from(in, used), &n);
        used += n;
    } while (more);
    c->in_data = false;
    c->unread = used < in.n;

    if (c->released) {
        forget(c);
        return used;
    }
    if (c->state != H1_CLOSING)
        c->role->settle(c, in.n - used);
    else
        close_stream(c);
    if (c->ended && wants_more(c))
        c->role->ended(c);
    return c->state == H1_CLOSING ? 0 : used;
}

static void on_eof(void *arg, bool clean)
{
    struct cmg_h1conn *c = arg;
    c->ended = true;
    c->ended_clean = clean;
    if (wants_more(c))
        c->role->ended(c);
}

/* Writing ------------------------------------------------------------------------------ */

static void on_drained(void *arg)
{
    struct cmg_h1conn *c = arg;
    if (c->state == H1_CLOSING)
        return;
    if (c->held) {
        c->held = false;
        h1_offer_again(c);
    }
    if (c->out.full) {
        c->out.full = false;
        if (c->x.ev && c->x.ev->on_room)
            c->x.ev->on_room(c->x.arg);
    }
}

void h1_write_begin(struct cmg_h1conn *c, enum cmg_h1_framing framing, int64_t length)
{
    c->out.part = H1_BEGUN;
    c->out.framing = framing;
    c->out.left = framing == CMG_H1_LENGTH && length > 0 ? (uint64_t)length : 0;
    c->out.moved_ms = cmg_loop_now_ms(c->loop);
}

static enum cmg_rc put_body(struct cmg_h1conn *c, struct cmg_str bytes)
{
    struct cmg_buf *o = cmg_stream_out(c->stream);
    if (!o->n)
        c->out.moved_ms = cmg_loop_now_ms(c->loop);
    switch (c->out.framing) {
    case CMG_H1_NONE: /* HEAD, 204, 304: a body may be produced, but not sent */
        return CMG_OK;
    case CMG_H1_LENGTH:
        if (bytes.n > c->out.left)
            return CMG_ETOOBIG;
        c->out.left -= bytes.n;
        return cmg_buf_put(o, bytes);
    case CMG_H1_CHUNKED:
        return cmg_h1_put_chunk(o, bytes);
    case CMG_H1_UNTIL_CLOSE:
        return cmg_buf_put(o, bytes);
    }
    return CMG_EPROTO;
}

bool h1_op_body(struct cmg_exchange *x, struct cmg_str bytes)
{
    struct cmg_h1conn *c = h1_of(x);
    if (c->state != H1_BUSY || c->out.part != H1_BEGUN || c->out.dropped || !bytes.n)
        return true;
    if (put_body(c, bytes) != CMG_OK) {
        c->why = "the body is longer than was declared";
        h1_close(c, 0);
        return true;
    }
    cmg_stream_mark(c->stream);
    c->out.full = cmg_stream_is_full(c->stream);
    return !c->out.full;
}

bool h1_write_whole(struct cmg_h1conn *c, const struct cmg_field *trailers, size_t n)
{
    struct cmg_buf *o = cmg_stream_out(c->stream);
    if (c->out.framing == CMG_H1_LENGTH && c->out.left && !c->out.dropped) {
        c->why = "the body is shorter than was declared";
        h1_close(c, 0);
        return false;
    }
    /* Trailers that may not be written are left out: the body was complete all the same. */
    if (c->out.framing == CMG_H1_CHUNKED && !c->out.dropped &&
        cmg_h1_put_last_chunk(o, trailers, n) != CMG_OK &&
        cmg_h1_put_last_chunk(o, NULL, 0) != CMG_OK)
        abort();
    c->out.part = H1_WHOLE;
    cmg_stream_mark(c->stream);
    return true;
}

/* An exchange's other operations, and the connection's ---------------------------------- */

void h1_op_pause(struct cmg_exchange *x, bool paused)
{
    struct cmg_h1conn *c = h1_of(x);
    if (c->state != H1_BUSY || c->in.paused == paused)
        return;
    c->in.paused = paused;
    c->in.moved_ms = cmg_loop_now_ms(c->loop);
    if (c->in.part != H1_BEGUN)
        return;
    c->offered = !paused && c->unread && !c->in_data;
    cmg_stream_pause(c->stream, paused);
}

void h1_op_abort(struct cmg_exchange *x)
{
    struct cmg_h1conn *c = h1_of(x);
    c->x.ev = NULL;
    /* A body that ends with the connection must not look complete. */
    h1_close(c, H1_CUT);
}

struct cmg_h1conn *h1_new(struct cmg_loop *l, struct cmg_stream *taken,
                          const struct cmg_h1conn_conf *conf, const struct h1_role *role, void *arg)
{
    static const struct cmg_stream_events events = {
        .on_data = on_data,
        .on_eof = on_eof,
        .on_drained = on_drained,
        .on_closed = on_closed,
    };
    struct cmg_h1conn *c = cmg_alloc(sizeof(*c));
    size_t most = conf->limits.head_bytes;

    c->x.ops = role->ops;
    c->role = role;
    c->loop = l;
    c->stream = taken;
    c->conf = conf;
    c->arg = arg;
    c->timer = cmg_timer_new(l, on_timer, c);
    c->in.moved_ms = cmg_loop_now_ms(l);
    if (most < conf->limits.trailer_bytes)
        most = conf->limits.trailer_bytes;
    cmg_stream_ceiling(taken, most + 4096); /* enough to see that a head is too large */
    cmg_stream_listen(taken, &events, c);
    h1_wake(c, conf->idle_ms);
    return c;
}

void cmg_h1conn_drain(struct cmg_h1conn *c)
{
    c->draining = true;
    if (!c->in_data)
        c->role->settle(c, 0);
}

void cmg_h1conn_close(struct cmg_h1conn *c)
{
    h1_close(c, 0);
}

size_t cmg_h1conn_buffered(const struct cmg_h1conn *c)
{
    return c->stream ? cmg_stream_buffered(c->stream) : 0;
}

bool cmg_h1conn_is_idle(const struct cmg_h1conn *c)
{
    return c->state == H1_REST && !c->draining;
}

struct cmg_stream *cmg_h1conn_release(struct cmg_h1conn *c)
{
    struct cmg_stream *s = c->stream;
    if (!c->upgrading)
        abort();
    c->released = true;
    c->stream = NULL;
    cmg_timer_stop(c->timer);
    cmg_stream_listen(s, NULL, NULL);
    cmg_stream_pause(s, true); /* until somebody listens */
    return s;
}

struct cmg_stream *cmg_h1conn_stream(struct cmg_h1conn *c)
{
    return c->stream;
}
