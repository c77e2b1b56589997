/* SPDX-License-Identifier: MIT */
/* The client role: one request at a time, and a connection is only used again when both
 * messages ended exactly where they said they would.
 */
#include "h1core.h"

#include <stdio.h>
#include <stdlib.h>

/* More 1xx heads than any endpoint has reason to send; they pass without back-pressure. */
enum { MOST_INTERIM = 32 };

struct cmg_exchange *cmg_h1conn_request(struct cmg_h1conn *c)
{
    if (c->state == H1_BUSY || c->x.ev)
        abort();
    c->out = (struct h1_writing){ .seen = c->out.seen };
    c->out.base = cmg_stream_sent(c->stream) + cmg_stream_out(c->stream)->n;
    c->in.part = H1_AWAITED;
    c->in.paused = false;
    c->in.scan = (struct cmg_h1_scan){ 0 };
    c->interim = 0;
    c->keep = false;
    if (c->state == H1_REST)
        h1_enter(c, H1_BUSY);
    return &c->x; /* while it is closing already: on_gone will say "unprocessed" */
}

static enum cmg_rc op_head(struct cmg_exchange *x, const struct cmg_head *head)
{
    struct cmg_h1conn *c = h1_of(x);
    struct cmg_err err;
    if (c->state != H1_BUSY)
        return CMG_OK; /* on_gone is on its way */
    if (c->out.part != H1_AWAITED || (head->end && head->length > 0))
        return CMG_EPROTO;
    enum cmg_rc rc = cmg_h1_put_request(cmg_stream_out(c->stream), head, CMG_STR(""), &err);
    if (rc != CMG_OK)
        return rc;
    /* HTTP/2 sends the heads of a burst before its bodies. A head that waits for its body one
     * turn shares a packet with it, and the endpoint cannot answer half a request. */
    if (head->end || head->length == 0)
        cmg_stream_mark(c->stream);
    else
        cmg_stream_mark_later(c->stream);
    c->head_method = cmg_str_eq(head->method, CMG_STR("HEAD"));
    h1_write_begin(c,
                   head->length >= 0 ? CMG_H1_LENGTH
                   : head->end       ? CMG_H1_NONE
                                     : CMG_H1_CHUNKED,
                   head->length);
    if (head->end)
        h1_write_whole(c, NULL, 0);
    c->in.moved_ms = cmg_loop_now_ms(c->loop); /* from here on the answer is awaited */
    return CMG_OK;
}

static void op_end(struct cmg_exchange *x, const struct cmg_field *trailers, size_t n)
{
    struct cmg_h1conn *c = h1_of(x);
    if (c->state != H1_BUSY || c->out.part != H1_BEGUN)
        return;
    h1_write_whole(c, trailers, n);
    c->in.moved_ms = cmg_loop_now_ms(c->loop);
}

/* Answers ------------------------------------------------------------------------------- */

static void read_whole(struct cmg_h1conn *c, const struct cmg_field *trailers, size_t n)
{
    struct cmg_exchange x = c->x;
    c->x.ev = NULL;
    if (x.ev)
        x.ev->on_end(x.arg, trailers, n);
}

static void read_broken(struct cmg_h1conn *c, const struct cmg_err *err)
{
    h1_fail(c, err->code, true, "the endpoint's answer is malformed: %.150s", err->text);
}

/* An answer that comes before the request is complete. A refusal means that nobody reads
 * the rest of the request; anything else may depend on it. */
static void overtaken(struct cmg_h1conn *c, const struct cmg_h1_msg *msg)
{
    c->keep = false;
    c->out.dropped = msg->head.status >= 300 || !msg->keep_alive;
}

static void final_head(struct cmg_h1conn *c, const struct cmg_h1_msg *msg)
{
    bool whole = h1_read_begin(c, msg);
    c->keep = msg->keep_alive && msg->framing != CMG_H1_UNTIL_CLOSE;
    if (c->out.part != H1_WHOLE)
        overtaken(c, msg);
    if (c->x.ev)
        c->x.ev->on_head(c->x.arg, &msg->head);
    if (whole && c->state == H1_BUSY)
        read_whole(c, NULL, 0);
}

static void interim_head(struct cmg_h1conn *c, const struct cmg_h1_msg *msg)
{
    c->in.scan = (struct cmg_h1_scan){ 0 };
    if (msg->head.status == 101)
        h1_fail(c, CMG_EPROTO, true, "the endpoint switched protocols, which nobody asked for");
    else if (++c->interim > MOST_INTERIM)
        h1_fail(c, CMG_ETOOBIG, true, "the endpoint sent more than %d interim answers",
                MOST_INTERIM);
    else if (c->x.ev)
        c->x.ev->on_head(c->x.arg, &msg->head);
}

/* Bytes although nothing of a request has reached the network yet. They must not become
 * the answer to what is asked next. */
static bool unasked(struct cmg_h1conn *c)
{
    if (c->state == H1_BUSY && c->out.part != H1_AWAITED && !h1_unprocessed(c))
        return false;
    if (c->state == H1_BUSY)
        h1_fail(c, CMG_EIO, false, "the endpoint sent something that nobody had asked for");
    c->why = "the endpoint sent something that nobody had asked for";
    h1_close(c, 0);
    return true;
}

static bool read_head(struct cmg_h1conn *c, struct cmg_str in, size_t *used)
{
    struct cmg_h1_msg msg;
    struct cmg_err err;
    if (unasked(c))
        return false;
    enum cmg_rc rc = cmg_h1_response(in, c->head_method ? CMG_STR("HEAD") : CMG_STR("GET"),
                                     &c->conf->limits, &c->in.scan, &msg, &err);
    if (rc == CMG_MORE)
        return false;
    if (rc != CMG_OK) {
        read_broken(c, &err);
        return false;
    }
    *used = msg.size;
    if (msg.head.status < 200)
        interim_head(c, &msg);
    else
        final_head(c, &msg);
    return true;
}

/* Once the answer is complete: the connection is kept or closed. */
static void settle(struct cmg_h1conn *c, size_t rest)
{
    if (c->state == H1_REST && c->draining)
        h1_close(c, 0);
    if (c->state != H1_BUSY || c->in.part != H1_WHOLE)
        return;
    if (!c->keep || c->draining || c->ended || rest || c->out.part != H1_WHOLE ||
        cmg_stream_out(c->stream)->n) {
        h1_close(c, 0);
        return;
    }
    c->in.part = H1_AWAITED;
    h1_enter(c, H1_REST);
    c->ev.client->on_idle(c->arg);
}

/* Where the answer broke off. */
static void cut_short(struct cmg_h1conn *c)
{
    const char *how = c->ended_clean ? "closed the connection" : "cut the connection";
    if (c->in.part == H1_AWAITED)
        h1_fail(c, CMG_EIO, false, "the endpoint %s %s", how,
                c->unread ? "within the head of its answer" : "before it answered");
    else if (c->in.declared >= 0)
        h1_fail(c, CMG_EIO, false, "the endpoint %s after %llu of %lld bytes", how,
                (unsigned long long)c->in.bytes, (long long)c->in.declared);
    else
        h1_fail(c, CMG_EIO, false, "the endpoint %s after %llu bytes of an unfinished answer", how,
                (unsigned long long)c->in.bytes);
}

static void ended(struct cmg_h1conn *c)
{
    if (c->state == H1_REST) {
        h1_close(c, 0);
    } else if (c->in.part == H1_BEGUN && c->in.body.framing == CMG_H1_UNTIL_CLOSE &&
               c->ended_clean) {
        c->in.part = H1_WHOLE;
        read_whole(c, NULL, 0);
        settle(c, 0);
    } else {
        cut_short(c);
    }
}

/* Time ---------------------------------------------------------------------------------- */

/* It is the endpoint's turn to speak: the request is out, and we are ready to listen. */
static bool awaits(const struct cmg_h1conn *c, bool queued)
{
    if (c->in.paused)
        return false;
    return c->out.dropped || (c->out.part == H1_WHOLE && !queued);
}

static void watch_over(struct cmg_h1conn *c, int64_t now_ms)
{
    int64_t stall = c->conf->stall_ms, wake = h1_beat_ms(c);
    bool queued = h1_out_waits(c, now_ms);
    if (queued && !c->out.dropped && now_ms - c->out.moved_ms >= stall) {
        h1_fail(c, CMG_ETIMEOUT, false, "the endpoint took nothing of the request for %lld ms",
                (long long)stall);
        return;
    }
    if (awaits(c, queued)) {
        int64_t since = c->in.moved_ms > c->out.moved_ms ? c->in.moved_ms : c->out.moved_ms;
        if (now_ms - since >= stall) {
            h1_fail(c, CMG_ETIMEOUT, false, "the endpoint was silent for %lld ms",
                    (long long)stall);
            return;
        }
        if (wake > since + stall - now_ms)
            wake = since + stall - now_ms;
    }
    h1_wake(c, wake);
}

static void tick(struct cmg_h1conn *c, int64_t now_ms)
{
    if (c->state == H1_BUSY) {
        watch_over(c, now_ms);
        return;
    }
    c->why = "idle";
    h1_close(c, 0);
}

static void closed(struct cmg_h1conn *c, const char *detail)
{
    c->ev.client->on_closed(c->arg, detail);
}

static const struct cmg_exchange_ops ops = {
    .head = op_head,
    .body = h1_op_body,
    .end = op_end,
    .pause = h1_op_pause,
    .abort = h1_op_abort,
    .refuse = h1_op_abort,
};

static const struct h1_role client = {
    .ops = &ops,
    .peer = "endpoint",
    .asks = true,
    .read_head = read_head,
    .read_whole = read_whole,
    .read_broken = read_broken,
    .settle = settle,
    .ended = ended,
    .tick = tick,
    .closed = closed,
};

struct cmg_h1conn *cmg_h1conn_client(struct cmg_loop *l, struct cmg_stream *taken,
                                     const struct cmg_h1conn_conf *conf,
                                     const struct cmg_h1client_events *ev, void *arg)
{
    struct cmg_h1conn *c = h1_new(l, taken, conf, &client, arg);
    c->ev.client = ev;
    return c;
}
