/* SPDX-License-Identifier: MIT */
/* Signs of life, stalls, drain. One timer for all of them: it fires at the earliest time that
 * somebody asked for. */
#include "h2core.h"

enum { LAST_REQUESTS_MS = 1000 }; /* between the two GOAWAYs when the peer answers no PING */

/* Tells the PING of a drain from those that ask for a sign of life. */
static const uint8_t drain_mark[8] = { 'd', 'r', 'a', 'i', 'n' };

/* Life ---------------------------------------------------------------------------------- */

static void ping(struct cmg_h2conn *c, int64_t now)
{
    c->ping_sent_ms = now;
    c->ping_sent_us = cmg_clock_us();
    (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    h2_mark(c);
}

static void check_life(struct cmg_h2conn *c, int64_t now)
{
    if (!c->conf->ping_ms)
        return;
    if (c->ping_sent_ms && c->received_ms > c->ping_sent_ms)
        c->ping_sent_ms = 0; /* alive, if busy: its answer may stand behind a long queue */
    if (c->ping_sent_ms && now - c->ping_sent_ms >= c->conf->ping_deadline_ms) {
        char text[64];
        snprintf(text, sizeof(text), "no sign of life for %lld ms after a PING",
                 (long long)(now - c->ping_sent_ms));
        h2_note(c, text);
        cmg_h2conn_close(c);
        return;
    }
    if (!c->ping_sent_ms && now - c->received_ms >= c->conf->ping_ms)
        ping(c, now);
    h2_wake_by(c, c->ping_sent_ms ? c->ping_sent_ms + c->conf->ping_deadline_ms
                                  : c->received_ms + c->conf->ping_ms);
}

/* Stalls -------------------------------------------------------------------------------- */

int64_t h2_stall_look_ms(const struct cmg_h2conn *c)
{
    return c->conf->stall_ms / 4 + 1;
}

static void drop_stalled(struct cmg_h2conn *c, struct h2_exchange *xs, int64_t now)
{
    bool takes_nothing = xs->out.n && now - xs->progress_ms >= c->conf->stall_ms;
    bool sends_nothing =
        !xs->over && !xs->in_ended && !xs->paused && now - xs->heard_ms >= c->conf->stall_ms;
    if (!takes_nothing && !sends_nothing)
        return;
    struct cmg_fault f = { .code = CMG_ETIMEOUT };
    snprintf(f.text, sizeof(f.text), "the client %s for %lld ms",
             takes_nothing ? "took nothing of the response" : "sent nothing of the request",
             (long long)(now - (takes_nothing ? xs->progress_ms : xs->heard_ms)));
    h2_gone(xs, &f);
    h2_reset(xs, NGHTTP2_CANCEL);
}

/* A client that stopped reading holds a window of memory, and one that stopped sending a
 * request; not for ever. */
static void check_stalls(struct cmg_h2conn *c, int64_t now)
{
    bool queued = cmg_stream_out(c->stream)->n > 0;
    uint64_t sent = cmg_stream_sent(c->stream);
    if (!c->conf->stall_ms)
        return;
    if (!queued || sent != c->sent)
        c->sent_ms = now;
    c->sent = sent;
    if (now - c->sent_ms >= c->conf->stall_ms) {
        h2_note(c, "the client reads nothing any more");
        cmg_h2conn_close(c);
        return;
    }
    for (struct h2_exchange *xs = TAILQ_FIRST(&c->exchanges); xs; xs = c->next) {
        c->next = TAILQ_NEXT(xs, link);
        drop_stalled(c, xs, now);
    }
    if (c->open || queued)
        h2_wake_by(c, now + h2_stall_look_ms(c));
}

/* Drain --------------------------------------------------------------------------------- */

static void send_last_goaway(struct cmg_h2conn *c)
{
    if (c->last_goaway_sent || c->conf->role != CMG_H2_SERVER)
        return;
    c->last_goaway_sent = true;
    c->last_stream = nghttp2_session_get_last_proc_stream_id(c->session);
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, c->last_stream, NGHTTP2_NO_ERROR,
                                NULL, 0);
}

bool h2_drain_pong(struct cmg_h2conn *c, const nghttp2_ping *pong)
{
    if (!c->draining || memcmp(pong->opaque_data, drain_mark, sizeof(drain_mark)))
        return false;
    send_last_goaway(c);
    return true;
}

void h2_drain(struct cmg_h2conn *c, int64_t now, int64_t grace_ms, bool patient)
{
    c->draining = true;
    c->patient = patient;
    c->drain_deadline_ms = now + grace_ms;
    c->last_goaway_ms = now + LAST_REQUESTS_MS;
    if (c->conf->role == CMG_H2_SERVER) {
        (void)nghttp2_submit_shutdown_notice(c->session);
        (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, drain_mark);
    }
    h2_wake_by(c, now);
    h2_mark(c);
}

static void check_drain(struct cmg_h2conn *c, int64_t now)
{
    if (!c->draining)
        return;
    if (now >= c->drain_deadline_ms && c->patient && c->open)
        c->drain_deadline_ms = now + H2_IDLE_GRACE_MS;
    if (now >= c->drain_deadline_ms) {
        h2_note(c, "the time to drain was up");
        cmg_h2conn_close(c);
        return;
    }
    if (now >= c->last_goaway_ms) {
        send_last_goaway(c);
        h2_mark(c);
    } else {
        h2_wake_by(c, c->last_goaway_ms);
    }
    h2_wake_by(c, c->drain_deadline_ms);
}

static void check_idle(struct cmg_h2conn *c, int64_t now)
{
    if (!c->conf->idle_ms || c->open || c->draining)
        return;
    if (now - c->idle_since_ms >= c->conf->idle_ms)
        h2_drain(c, now, H2_IDLE_GRACE_MS, true); /* a request may be on its way */
    else
        h2_wake_by(c, c->idle_since_ms + c->conf->idle_ms);
}

/* A client's stream numbers are used up after a thousand million requests: a new connection
 * has new ones. */
static void check_numbers(struct cmg_h2conn *c, int64_t now)
{
    if (!c->spent || c->peer_draining)
        return;
    c->peer_draining = true;
    if (c->ev->on_draining)
        c->ev->on_draining(c->arg);
    if (!c->draining)
        h2_drain(c, now, H2_IDLE_GRACE_MS, true);
}

/* The timer ----------------------------------------------------------------------------- */

void h2_on_timer(void *arg)
{
    struct cmg_h2conn *c = arg;
    int64_t now = cmg_loop_now_ms(c->loop);
    c->due_ms = 0;
    if (c->last_words)
        cmg_h2conn_close(c);
    if (c->closing)
        return;
    check_life(c, now);
    check_stalls(c, now);
    check_numbers(c, now);
    check_idle(c, now);
    check_drain(c, now);
}
