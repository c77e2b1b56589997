/* SPDX-License-Identifier: MIT */
/* The server role: requests come one after another, answers leave in that order.
 *
 * A request is not looked at before the answer to the one before it is complete, and a
 * request that is not understood whole is the last one: what follows it cannot be trusted
 * to start where it seems to.
 */
#include "h1core.h"

#include <stdio.h>

/* What the kernel takes at once; a longer queue may need the time the peer needs. */
enum { SMALL_QUEUE = 16384 };

/* When we drain, a client at rest may have a request on its way: it is still answered. */
enum { LAST_REQUEST_MS = 500 };

/* Closes behind a complete answer, so that the client can still read it. */
static void close_gently(struct cmg_h1conn *c)
{
    int64_t ms = H1_LINGER_MS;
    if (cmg_stream_out(c->stream)->n > SMALL_QUEUE && c->conf->stall_ms > ms)
        ms = c->conf->stall_ms;
    h1_close(c, (unsigned)ms);
}

/* Refusals of our own ------------------------------------------------------------------- */

static void put_refusal(struct cmg_h1conn *c, const struct cmg_refusal *r)
{
    struct cmg_buf *out = cmg_stream_out(c->stream);
    enum cmg_h1_framing framing;
    struct cmg_refusal_message m;
    struct cmg_err err;
    cmg_refusal_compose(&m, r);
    m.head.end = c->head_method;
    /* Our own words, into a queue without a ceiling: neither can fail. */
    if (cmg_h1_put_response(out, &m.head, c->head_method ? CMG_STR("HEAD") : CMG_STR("GET"), 1,
                            true, (struct cmg_str){ NULL, 0 }, &framing, &err) == CMG_OK &&
        !m.head.end)
        (void)!cmg_buf_put(out, m.body);
    cmg_refusal_clear(&m);
    cmg_stream_mark(c->stream);
}

static void refuse(struct cmg_h1conn *c, unsigned status, const char *why)
{
    struct cmg_refusal r = {
        .status = status,
        .phrase = cmg_reason(status),
        .error = "http_request_error",
        .detail = why,
        .by = "gateway",
        .request_id = "-",
    };
    if (c->ev.server->on_malformed)
        c->ev.server->on_malformed(c->arg, &r);
    put_refusal(c, &r);
    close_gently(c);
}

/* A request whose body cannot be read on: its listener is told, the client when possible. */
static void give_up(struct cmg_h1conn *c, unsigned status, struct cmg_fault *f)
{
    if (c->out.part == H1_AWAITED)
        refuse(c, status, f->text);
    else
        h1_close(c, 0);
    h1_gone(c, f);
}

static void read_broken(struct cmg_h1conn *c, const struct cmg_err *err)
{
    struct cmg_fault f = { .code = err->code, .malformed = true };
    snprintf(f.text, sizeof(f.text), "%.190s", err->text);
    give_up(c, err->code == CMG_ETOOBIG ? 431 : 400, &f);
}

/* Requests ------------------------------------------------------------------------------ */

static bool upgraded(struct cmg_h1conn *c, const struct cmg_h1_msg *msg)
{
    if (!msg->upgrade.n || !c->ev.server->on_upgrade || c->in.part != H1_WHOLE)
        return false;
    c->upgrading = true;
    bool taken = c->ev.server->on_upgrade(c->arg, msg);
    c->upgrading = false;
    return taken && c->released;
}

static void tell_end(struct cmg_h1conn *c, const struct cmg_field *trailers, size_t n)
{
    if (c->x.ev)
        c->x.ev->on_end(c->x.arg, trailers, n);
}

static void begin(struct cmg_h1conn *c, const struct cmg_h1_msg *msg)
{
    bool whole = h1_read_begin(c, msg);
    if (upgraded(c, msg) || c->state == H1_CLOSING)
        return;
    h1_enter(c, H1_BUSY);
    c->head_method = cmg_str_eq(msg->head.method, CMG_STR("HEAD"));
    c->minor = (unsigned short)msg->minor;
    c->keep = msg->keep_alive;
    c->in.paused = false;
    c->out.part = H1_AWAITED;
    c->out.full = false;
    c->ev.server->on_exchange(c->arg, &c->x, &msg->head);
    if (whole && c->state == H1_BUSY)
        tell_end(c, NULL, 0);
}

static bool read_head(struct cmg_h1conn *c, struct cmg_str in, size_t *used)
{
    /* A client that sends requests must also read answers. */
    c->held = cmg_stream_is_full(c->stream);
    if (c->held)
        return false;

    struct cmg_h1_msg msg;
    struct cmg_err err;
    enum cmg_rc rc = cmg_h1_request(in, &c->conf->limits, &c->in.scan, &msg, &err);
    if (rc == CMG_OK) {
        *used = msg.size;
        begin(c, &msg);
        return !c->released;
    }
    if (rc != CMG_MORE)
        refuse(c, msg.refuse, err.text);
    else if (c->state == H1_REST)
        h1_enter(c, H1_HEAD);
    return false;
}

/* Answers ------------------------------------------------------------------------------- */

/* The answer is complete and the exchange over. */
static void finish(struct cmg_h1conn *c)
{
    c->x.ev = NULL;
    if (!c->keep || c->draining || c->in.part != H1_WHOLE) {
        close_gently(c);
        return;
    }
    c->in.part = H1_AWAITED;
    c->head_method = false; /* the next request may be one that cannot be read */
    h1_enter(c, H1_REST);
    h1_offer_again(c);
    if (c->ended && !c->unread && !c->in_data)
        close_gently(c);
}

static enum cmg_rc interim(struct cmg_h1conn *c, const struct cmg_head *head)
{
    enum cmg_h1_framing framing;
    struct cmg_err err;
    if (head->status == 101)
        return CMG_EPROTO;
    if (c->minor == 0)
        return CMG_OK; /* HTTP/1.0 does not know them */
    enum cmg_rc rc = cmg_h1_put_response(cmg_stream_out(c->stream), head, CMG_STR("GET"), c->minor,
                                         false, CMG_STR(""), &framing, &err);
    cmg_stream_mark(c->stream);
    return rc;
}

static bool has_no_body(const struct cmg_h1conn *c, unsigned status)
{
    return c->head_method || status == 204 || status == 304;
}

static enum cmg_rc op_head(struct cmg_exchange *x, const struct cmg_head *head)
{
    struct cmg_h1conn *c = h1_of(x);
    if (c->state != H1_BUSY)
        return CMG_OK; /* on_gone is on its way */
    if (c->out.part != H1_AWAITED)
        return CMG_EPROTO;
    if (head->status < 200)
        return interim(c, head);
    if (head->end && head->length > 0 && !has_no_body(c, head->status))
        return CMG_EPROTO;

    /* An answer that overtakes its request: the rest of that is not worth waiting for. */
    bool keep = c->keep && !c->draining && c->in.part == H1_WHOLE;
    enum cmg_h1_framing framing;
    struct cmg_err err;
    enum cmg_rc rc = cmg_h1_put_response(cmg_stream_out(c->stream), head,
                                         c->head_method ? CMG_STR("HEAD") : CMG_STR("GET"),
                                         c->minor, !keep, CMG_STR(""), &framing, &err);
    if (rc != CMG_OK)
        return rc;
    cmg_stream_mark(c->stream);
    c->keep = keep && framing != CMG_H1_UNTIL_CLOSE;
    h1_write_begin(c, framing, head->length);
    if (head->end && h1_write_whole(c, NULL, 0))
        finish(c);
    return CMG_OK;
}

static void op_end(struct cmg_exchange *x, const struct cmg_field *trailers, size_t n)
{
    struct cmg_h1conn *c = h1_of(x);
    c->x.ev = NULL;
    if (c->state != H1_BUSY)
        return;
    if (c->out.part != H1_BEGUN)
        h1_close(c, 0); /* no head, no answer */
    else if (h1_write_whole(c, trailers, n))
        finish(c);
}

/* Everything else ----------------------------------------------------------------------- */

static void settle(struct cmg_h1conn *c, size_t rest)
{
    (void)rest;
    if (c->state == H1_REST && c->draining)
        h1_wake(c, LAST_REQUEST_MS);
}

static void ended(struct cmg_h1conn *c)
{
    if (c->state == H1_BUSY)
        h1_fail(c, CMG_EIO, false, "the client went away in the middle of its request");
    else
        close_gently(c);
}

static void timed_out(struct cmg_h1conn *c)
{
    struct cmg_fault f = { .code = CMG_ETIMEOUT };
    snprintf(f.text, sizeof(f.text), "nothing came of the request body for %lld ms",
             (long long)c->conf->stall_ms);
    give_up(c, 408, &f);
}

static void tick(struct cmg_h1conn *c, int64_t now_ms)
{
    int64_t stall = c->conf->stall_ms;
    switch (c->state) {
    case H1_REST:
        c->why = "idle";
        close_gently(c);
        break;
    case H1_HEAD:
        refuse(c, 408, "the request head did not arrive in time");
        break;
    case H1_BUSY:
        if (h1_out_waits(c, now_ms) && now_ms - c->out.moved_ms >= stall)
            h1_fail(c, CMG_ETIMEOUT, false, "the client took nothing of the answer for %lld ms",
                    (long long)stall);
        else if (c->in.part == H1_BEGUN && !c->in.paused && now_ms - c->in.moved_ms >= stall)
            timed_out(c);
        else
            h1_wake(c, h1_beat_ms(c));
        break;
    case H1_CLOSING:
        break;
    }
}

static void closed(struct cmg_h1conn *c, const char *detail)
{
    c->ev.server->on_closed(c->arg, detail);
}

static const struct cmg_exchange_ops ops = {
    .head = op_head,
    .body = h1_op_body,
    .end = op_end,
    .pause = h1_op_pause,
    .abort = h1_op_abort,
    .refuse = h1_op_abort,
};

static const struct h1_role server = {
    .ops = &ops,
    .peer = "client",
    .read_head = read_head,
    .read_whole = tell_end,
    .read_broken = read_broken,
    .settle = settle,
    .ended = ended,
    .tick = tick,
    .closed = closed,
};

struct cmg_h1conn *cmg_h1conn_serve(struct cmg_loop *l, struct cmg_stream *taken,
                                    const struct cmg_h1conn_conf *conf,
                                    const struct cmg_h1server_events *ev, void *arg)
{
    struct cmg_h1conn *c = h1_new(l, taken, conf, &server, arg);
    c->ev.server = ev;
    return c;
}
