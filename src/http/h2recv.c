/* SPDX-License-Identifier: MIT */
/* What nghttp2 calls for frames that came. Its send and receive calls are never made from
 * here: that corrupts its output. */
#include "h2core.h"

enum { GLITCH_BURST = 1000, GLITCH_RATE = 33 }; /* at once, and per second */

/* Ration -------------------------------------------------------------------------------- */

/* What a public client does wrong without quite breaking the rules is counted; past the
 * ceiling the connection ends. One misbehaving client must not cost the others. */
void h2_glitch(struct cmg_h2conn *c)
{
    if (c->conf->channel || c->conf->role != CMG_H2_SERVER)
        return;
    int64_t now = cmg_loop_now_ms(c->loop);
    c->glitches -= (double)(now - c->glitch_ms) * GLITCH_RATE / 1000;
    if (c->glitches < 0)
        c->glitches = 0;
    c->glitch_ms = now;
    if (++c->glitches <= GLITCH_BURST || c->closing)
        return;
    c->closing = true;
    h2_note(c, "too many resets, empty frames, useless frames or invalid ones");
    (void)nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Messages ------------------------------------------------------------------------------ */

/* Answers a request that nobody else is asked about. */
static void refuse(struct h2_exchange *xs, unsigned status, const char *why)
{
    struct cmg_h2conn *c = xs->c;
    struct cmg_refusal r = {
        .status = status,
        .phrase = cmg_reason(status),
        .error = "http_request_error",
        .detail = why,
        .by = "gateway",
        .request_id = "-",
    };
    if (c->ev->on_malformed)
        c->ev->on_malformed(c->arg, &r);
    cmg_refuse(&xs->x, &r, false);
}

static void deliver_request(struct h2_exchange *xs, const struct h2_block *h, bool end)
{
    struct cmg_h2conn *c = xs->c;
    struct h2_heading g;
    h2_heading_read(c, h, &g);
    g.head.end = end;
    if (c->closing || (c->last_goaway_sent && xs->id > c->last_stream)) {
        h2_reset(xs, NGHTTP2_REFUSED_STREAM); /* our GOAWAY says that it was not processed */
    } else if (h->too_large || g.bad) {
        h2_glitch(c);
        if (h->too_large)
            refuse(xs, 431, "the request head is too large");
        else
            refuse(xs, 400, "Host and :authority differ");
    } else if (cmg_str_eq(g.head.method, CMG_STR("CONNECT"))) {
        refuse(xs, 501, "CONNECT is not for here");
    } else {
        c->ev->on_exchange(c->arg, &xs->x, &g.head);
    }
    free(g.joined);
}

static void refuse_response(struct h2_exchange *xs, enum cmg_rc code, uint32_t error,
                            const char *text)
{
    struct cmg_fault f = { .code = code, .malformed = true };
    snprintf(f.text, sizeof(f.text), "%s", text);
    h2_gone(xs, &f);
    h2_reset(xs, error);
}

static void deliver_response(struct h2_exchange *xs, const struct h2_block *h, bool end)
{
    struct h2_heading g;
    h2_heading_read(xs->c, h, &g);
    g.head.end = end;
    if (h->too_large) {
        refuse_response(xs, CMG_ETOOBIG, NGHTTP2_CANCEL, "the response head is too large");
    } else if (g.head.status < 100) { /* nghttp2 lets any three digits pass */
        refuse_response(xs, CMG_EPROTO, NGHTTP2_PROTOCOL_ERROR, "the response has no status");
    } else {
        xs->head_seen = true;
        xs->final_seen = g.head.status >= 200;
        if (h2_is_heard(xs))
            xs->x.ev->on_head(xs->x.arg, &g.head);
    }
    free(g.joined);
}

static void deliver_end(struct h2_exchange *xs, const struct cmg_field *trailers, size_t n)
{
    xs->in_ended = true;
    h2_let_go(xs);
    bool tell = h2_is_heard(xs);
    if (xs->c->conf->role == CMG_H2_CLIENT) {
        h2_over(xs);
        if (!xs->out_ended) /* an early answer: the rest of the request is not wanted */
            h2_reset(xs, NGHTTP2_NO_ERROR);
    }
    if (tell)
        xs->x.ev->on_end(xs->x.arg, trailers, n);
}

static void deliver_trailers(struct h2_exchange *xs, const struct h2_block *h)
{
    struct h2_heading g;
    h2_heading_read(xs->c, h, &g);
    deliver_end(xs, g.fields, h->too_large ? 0 : g.head.nfields);
    free(g.joined);
}

/* Frames -------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct cmg_h2conn *c = arg;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct h2_exchange *xs = h2_exchange_new(c, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(session, xs->id, xs);
    }
    h2_block_begin(c);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    (void)session, (void)frame, (void)flags;
    struct cmg_h2conn *c = arg;
    if (c->head)
        h2_block_add(c, (struct cmg_str){ (const char *)name, name_n },
                     (struct cmg_str){ (const char *)value, value_n });
    return 0;
}

static void on_headers(struct cmg_h2conn *c, const nghttp2_frame *frame)
{
    struct h2_exchange *xs = h2_find(c, frame->hd.stream_id);
    struct h2_block *h = c->head;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!xs || !h)
        return;
    bool first = c->conf->role == CMG_H2_SERVER ? frame->headers.cat == NGHTTP2_HCAT_REQUEST
                                                : !xs->final_seen;
    if (first && c->conf->role == CMG_H2_SERVER)
        deliver_request(xs, h, end);
    else if (first)
        deliver_response(xs, h, end);
    if (end && first)
        deliver_end(xs, NULL, 0);
    else if (end)
        deliver_trailers(xs, h);
    cmg_buf_drop(&h->bytes, h->bytes.n);
}

static void on_settings(struct cmg_h2conn *c, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        return;
    h2_glitch(c);
    if (c->ready)
        return;
    c->ready = true;
    if (c->ev->on_ready)
        c->ev->on_ready(c->arg);
}

static void on_pong(struct cmg_h2conn *c, const nghttp2_ping *pong)
{
    if (h2_drain_pong(c, pong))
        return;
    int64_t rtt_us = c->ping_sent_us ? cmg_clock_us() - c->ping_sent_us : 0;
    c->ping_sent_us = c->ping_sent_ms = 0;
    if (rtt_us && c->ev->on_ping)
        c->ev->on_ping(c->arg, rtt_us);
}

/* What waits for the peer's permission will never be sent: it may go elsewhere at once. */
static void give_up_queued(struct cmg_h2conn *c)
{
    struct h2_exchange *xs;
    const struct cmg_fault f = {
        .code = CMG_EIO,
        .unprocessed = true,
        .text = "the peer takes no more requests",
    };
    for (xs = TAILQ_FIRST(&c->exchanges); xs; xs = c->next) {
        c->next = TAILQ_NEXT(xs, link);
        if (xs->id < 0 || xs->on_wire)
            continue;
        h2_gone(xs, &f);
        h2_reset(xs, NGHTTP2_CANCEL);
    }
}

static void on_goaway(struct cmg_h2conn *c, const nghttp2_frame *frame)
{
    if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        char text[160];
        snprintf(text, sizeof(text), "the peer said GOAWAY %s%s%.*s",
                 nghttp2_http2_strerror(frame->goaway.error_code),
                 frame->goaway.opaque_data_len ? ": " : "",
                 (int)(frame->goaway.opaque_data_len < 100 ? frame->goaway.opaque_data_len : 100),
                 frame->goaway.opaque_data_len ? (char *)frame->goaway.opaque_data : "");
        h2_note(c, text);
    }
    if (c->peer_draining)
        return;
    c->peer_draining = true;
    /* With an error it is no farewell: what follows is the end, and on_closed says why. */
    if (c->ev->on_draining && frame->goaway.error_code == NGHTTP2_NO_ERROR)
        c->ev->on_draining(c->arg);
    give_up_queued(c);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct cmg_h2conn *c = arg;
    struct h2_exchange *xs;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers(c, frame);
        break;
    case NGHTTP2_DATA:
        if (frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            h2_glitch(c);
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && (xs = h2_find(c, frame->hd.stream_id)))
            deliver_end(xs, NULL, 0);
        break;
    case NGHTTP2_SETTINGS:
        on_settings(c, frame);
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            on_pong(c, &frame->ping);
        else
            h2_glitch(c);
        break;
    case NGHTTP2_PRIORITY:
        h2_glitch(c);
        break;
    case NGHTTP2_RST_STREAM:
        h2_glitch(c);
        if ((xs = h2_find(c, frame->hd.stream_id)))
            xs->peer_reset = true;
        break;
    case NGHTTP2_GOAWAY:
        on_goaway(c, frame);
        break;
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *arg)
{
    (void)session, (void)flags;
    struct cmg_h2conn *c = arg;
    struct h2_exchange *xs = h2_find(c, id);
    bool tell = xs && h2_is_heard(xs);
    if (xs)
        xs->heard_ms = cmg_loop_now_ms(c->loop);
    if (tell && xs->paused) {
        xs->unreturned += n;
        c->held += n;
    } else if (xs) {
        h2_return_stream_credit(xs, n);
    }
    h2_return_connection_credit(c, n);
    if (tell)
        xs->x.ev->on_body(xs->x.arg, (struct cmg_str){ (const char *)p, n });
    return 0;
}

/* A peer that answered, if only with a 1xx, has acted on the request, whatever it says then. */
static void stream_fault(const struct h2_exchange *xs, uint32_t error, struct cmg_fault *f)
{
    bool refused = !xs->on_wire || (error == NGHTTP2_REFUSED_STREAM && !xs->head_seen);
    *f = (struct cmg_fault){ .code = CMG_EIO };
    f->unprocessed = refused && xs->c->conf->role == CMG_H2_CLIENT;
    f->malformed = !xs->peer_reset && !f->unprocessed;
    if (xs->peer_reset)
        snprintf(f->text, sizeof(f->text), "the peer reset the stream: %s",
                 nghttp2_http2_strerror(error));
    else if (f->unprocessed)
        snprintf(f->text, sizeof(f->text), "the peer takes no more requests");
    else
        snprintf(f->text, sizeof(f->text), "the peer broke the rules of HTTP/2: %s",
                 nghttp2_http2_strerror(error));
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct cmg_h2conn *c = arg;
    struct h2_exchange *xs = h2_find(c, id);
    if (!xs)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    struct cmg_fault f;
    stream_fault(xs, error, &f);
    h2_gone(xs, &f);
    h2_release(xs);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *arg)
{
    (void)session, (void)frame, (void)error;
    h2_glitch(arg);
    return 0;
}

static int on_error(nghttp2_session *session, int code, const char *text, size_t n, void *arg)
{
    (void)session, (void)code, (void)n; /* it ends with NUL */
    h2_note(arg, text);
    return 0;
}

void h2_recv_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_error_callback2(cb, on_error);
}
