/* SPDX-License-Identifier: MIT */
/* HTTP/2 by nghttp2, which does no I/O: bytes from the stream go in on arrival, frames come
 * out once per turn.
 */
#include "h2core.h"

enum {
    FLUSH_BYTES = 64 * 1024, /* frames written in one turn, so that all connections get theirs */
    CONNECTION_WINDOW = 16 * 1024 * 1024,
    CONNECTION_WINDOW_MIN = 65535,       /* what a connection is born with */
    STREAM_NUMBERS = INT32_MAX - 200000, /* the last ones are for what is being begun */
    CONTINUATIONS_MAX = 8,
    ACKS_MAX = 1000
};

#define MAGIC_BYTES NGHTTP2_CLIENT_MAGIC_LEN

void h2_note(struct cmg_h2conn *c, const char *text)
{
    if (!c->detail[0])
        snprintf(c->detail, sizeof(c->detail), "%s", text);
}

void h2_mark(struct cmg_h2conn *c)
{
    if (c->stream)
        cmg_stream_mark(c->stream);
}

/* The timer fires at the earliest of all the times that were asked for. */
void h2_wake_by(struct cmg_h2conn *c, int64_t at_ms)
{
    if (c->due_ms && c->due_ms <= at_ms)
        return;
    int64_t in_ms = at_ms - cmg_loop_now_ms(c->loop);
    c->due_ms = at_ms;
    cmg_timer_set(c->timer, in_ms > 0 ? in_ms : 0);
}

/* The stream ---------------------------------------------------------------------------- */

/* Nothing more to say or hear: close. */
static void close_when_done(struct cmg_h2conn *c)
{
    if (c->draining && !c->open && (c->last_goaway_sent || c->conf->role == CMG_H2_CLIENT))
        (void)nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
    if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
        cmg_stream_close(c->stream, H2_CLOSE_FLUSH_MS);
    else if (nghttp2_session_want_write(c->session))
        cmg_stream_mark(c->stream);
}

static void failed(struct cmg_h2conn *c, int error)
{
    h2_note(c, nghttp2_strerror(error));
    c->broken = c->closing = true;
    cmg_stream_close(c->stream, H2_CLOSE_FLUSH_MS);
}

/* Moves frames from the session to the stream, one turn's worth. */
static void pump(struct cmg_h2conn *c)
{
    struct cmg_buf *out = cmg_stream_out(c->stream);
    while (out->n < FLUSH_BYTES && !c->broken) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        if (n < 0) {
            failed(c, (int)n);
            return;
        }
        if (n == 0)
            break;
        size_t skip = c->magic_out < (size_t)n ? c->magic_out : (size_t)n;
        c->magic_out -= skip;
        if (cmg_buf_put(out, (struct cmg_str){ (const char *)p + skip, (size_t)n - skip }) !=
            CMG_OK)
            abort();
    }
    if (out->n >= FLUSH_BYTES)
        cmg_loop_later(c->loop, &c->again);
    else if (c->last_words)
        cmg_stream_close(c->stream, H2_CLOSE_FLUSH_MS);
    else
        close_when_done(c);
}

static void on_flush(void *arg)
{
    pump(arg);
}

static void on_again(void *arg)
{
    h2_mark(arg);
}

static size_t on_bytes(void *arg, struct cmg_str in)
{
    struct cmg_h2conn *c = arg;
    size_t skip = c->magic_in < in.n ? c->magic_in : in.n;
    if (skip && memcmp(in.p, &NGHTTP2_CLIENT_MAGIC[MAGIC_BYTES - c->magic_in], skip) != 0) {
        h2_note(c, "the peer does not speak HTTP/2");
        cmg_stream_close(c->stream, 0);
        return in.n;
    }
    c->magic_in -= skip;
    c->received_ms = cmg_loop_now_ms(c->loop);
    ssize_t n = nghttp2_session_mem_recv(c->session, (const uint8_t *)in.p + skip, in.n - skip);
    if (n < 0)
        failed(c, (int)n);
    cmg_stream_mark(c->stream);
    return in.n;
}

static void on_stream_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct cmg_h2conn *c = arg;
    uint64_t sent = cmg_stream_sent(c->stream);
    if (detail)
        h2_note(c, detail);
    else if (why == CMG_CLOSE_PEER)
        h2_note(c, "the peer closed the connection");
    c->stream = NULL;

    struct cmg_fault f = { .code = CMG_EIO };
    snprintf(f.text, sizeof(f.text), "%s", c->detail[0] ? c->detail : "the connection was closed");
    struct h2_exchange *xs;
    while ((xs = TAILQ_FIRST(&c->exchanges))) {
        f.unprocessed = c->conf->role == CMG_H2_CLIENT && (!xs->on_wire || xs->on_wire_at >= sent);
        h2_gone(xs, &f);
        h2_release(xs);
    }
    cmg_loop_cancel(c->loop, &c->again);
    cmg_timer_free(c->timer);
    c->ev->on_closed(c->arg, c->detail[0] ? c->detail : NULL);
    h2_block_free(c);
    nghttp2_session_del(c->session);
    free(c);
}

static const struct cmg_stream_events stream_events = {
    .on_data = on_bytes,
    .on_flush = on_flush,
    .on_closed = on_stream_closed,
};

/* Birth --------------------------------------------------------------------------------- */

static nghttp2_option *new_options(const struct cmg_h2conn_conf *conf)
{
    nghttp2_option *o;
    if (nghttp2_option_new(&o))
        abort();
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
    nghttp2_option_set_max_send_header_block_length(o, 1024 * 1024);
    if (conf->preface == CMG_H2_PREFACE_SERVER)
        nghttp2_option_set_no_recv_client_magic(o, 1);
    if (conf->role == CMG_H2_SERVER && conf->channel)
        /* Clients that give up reach us as resets; they must not cost the shared channel. */
        nghttp2_option_set_stream_reset_rate_limit(o, UINT64_MAX / 2, UINT64_MAX / 2);
    return o;
}

static nghttp2_session_callbacks *new_callbacks(void)
{
    nghttp2_session_callbacks *cb;
    if (nghttp2_session_callbacks_new(&cb))
        abort();
    h2_recv_callbacks(cb);
    h2_send_callbacks(cb);
    return cb;
}

static void submit_settings(struct cmg_h2conn *c)
{
    const struct cmg_h2conn_conf *conf = c->conf;
    nghttp2_settings_entry s[5];
    size_t n = 0;
    s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, conf->stream_window };
    s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                                       (uint32_t)conf->head_bytes };
    /* A client takes no pushes. HAProxy reads this before the roles turn: zero would stop it. */
    uint32_t streams = conf->role == CMG_H2_SERVER              ? conf->max_streams
                       : conf->preface == CMG_H2_PREFACE_SERVER ? 100
                                                                : 0;
    s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams };
    if (conf->role == CMG_H2_CLIENT)
        s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
    else if (conf->preface == CMG_H2_PREFACE_SERVER)
        /* HAProxy resets streams it never opened when this is missing. */
        s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 };
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, s, n) ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, (int32_t)c->window))
        abort();
}

static void session_new(struct cmg_h2conn *c)
{
    nghttp2_option *o = new_options(c->conf);
    nghttp2_session_callbacks *cb = new_callbacks();
    int r = c->conf->role == CMG_H2_SERVER ? nghttp2_session_server_new2(&c->session, cb, c, o)
                                           : nghttp2_session_client_new2(&c->session, cb, c, o);
    if (r)
        abort();
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
}

struct cmg_h2conn *cmg_h2conn_new(struct cmg_loop *l, struct cmg_stream *taken,
                                  const struct cmg_h2conn_conf *conf,
                                  const struct cmg_h2conn_events *ev, void *arg)
{
    struct cmg_h2conn *c = cmg_alloc(sizeof(*c));
    c->loop = l;
    c->stream = taken;
    c->conf = conf;
    c->ev = ev;
    c->arg = arg;
    TAILQ_INIT(&c->exchanges);
    c->again = (struct cmg_task){ .run = on_again, .arg = c };
    c->received_ms = c->idle_since_ms = c->glitch_ms = c->sent_ms = cmg_loop_now_ms(l);
    c->window = conf->memory_bytes < CONNECTION_WINDOW ? conf->memory_bytes : CONNECTION_WINDOW;
    if (c->window < CONNECTION_WINDOW_MIN)
        c->window = CONNECTION_WINDOW_MIN;
    session_new(c);
    submit_settings(c);
    if (conf->preface == CMG_H2_PREFACE_SERVER && conf->role == CMG_H2_SERVER) {
        if (cmg_buf_put(cmg_stream_out(taken), CMG_STR(NGHTTP2_CLIENT_MAGIC)) != CMG_OK)
            abort();
    } else if (conf->preface == CMG_H2_PREFACE_SERVER) {
        c->magic_in = c->magic_out = MAGIC_BYTES;
    }
    c->timer = cmg_timer_new(l, h2_on_timer, c);
    h2_wake_by(c, c->received_ms);
    if (conf->channel) /* few, and busy */
        cmg_stream_out(taken)->keep = 2 * FLUSH_BYTES;
    cmg_stream_listen(taken, &stream_events, c);
    cmg_stream_mark(taken);
    return c;
}

/* Calls from outside -------------------------------------------------------------------- */

struct cmg_exchange *cmg_h2conn_request(struct cmg_h2conn *c)
{
    if (c->draining || c->peer_draining || c->spent || c->closing || !c->stream)
        return NULL;
    if (nghttp2_session_get_next_stream_id(c->session) > STREAM_NUMBERS) {
        c->spent = true;
        h2_wake_by(c, cmg_loop_now_ms(c->loop));
        return NULL;
    }
    return &h2_exchange_new(c, -1)->x;
}

unsigned cmg_h2conn_load(const struct cmg_h2conn *c)
{
    return c->load;
}

size_t cmg_h2conn_buffered(const struct cmg_h2conn *c)
{
    size_t n = c->stream ? cmg_stream_buffered(c->stream) : 0;
    const struct h2_exchange *xs;
    TAILQ_FOREACH(xs, &c->exchanges, link)
    n += xs->out.n;
    return n;
}

void cmg_h2conn_drain(struct cmg_h2conn *c, int64_t grace_ms)
{
    if (!c->stream || c->closing)
        return;
    int64_t now = cmg_loop_now_ms(c->loop);
    if (!c->draining) {
        h2_drain(c, now, grace_ms, false);
    } else if (c->patient || now + grace_ms < c->drain_deadline_ms) {
        c->patient = false;
        c->drain_deadline_ms = now + grace_ms;
        h2_wake_by(c, c->drain_deadline_ms);
    }
}

/* May be called from an exchange's event, that is, from inside nghttp2: the words leave at the
 * end of the turn. */
void cmg_h2conn_refuse(struct cmg_h2conn *c, const char *text)
{
    if (!c->stream || c->closing)
        return;
    c->closing = c->last_words = true;
    h2_note(c, text);
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_INADEQUATE_SECURITY,
                                (const uint8_t *)text, strlen(text));
    h2_mark(c);
    c->due_ms = 0;
    h2_wake_by(c, cmg_loop_now_ms(c->loop) + H2_CLOSE_FLUSH_MS);
}

void cmg_h2conn_close(struct cmg_h2conn *c)
{
    c->closing = true;
    if (c->stream)
        cmg_stream_close(c->stream, 0);
}
