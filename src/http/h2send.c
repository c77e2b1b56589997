/* SPDX-License-Identifier: MIT */
/* What nghttp2 calls for frames that go, and an exchange's operations, which only queue: the
 * frames leave at the end of the turn. */
#include "h2core.h"

enum {
    BODY_HIGH = 128 * 1024, /* queued for one exchange: stop its source */
    BODY_LOW = 32 * 1024
};

/* Frames -------------------------------------------------------------------------------- */

static int before_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct cmg_h2conn *c = arg;
    struct h2_exchange *xs;
    if (frame->hd.type == NGHTTP2_HEADERS && c->conf->role == CMG_H2_CLIENT &&
        (xs = h2_find(c, frame->hd.stream_id)) && !xs->on_wire) {
        xs->on_wire = true;
        xs->on_wire_at = cmg_stream_sent(c->stream) + cmg_stream_out(c->stream)->n;
    }
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct cmg_h2conn *c = arg;
    struct h2_exchange *xs;
    (void)session;
    if (frame->hd.type == NGHTTP2_RST_STREAM && c->conf->role == CMG_H2_SERVER) {
        xs = h2_find(c, frame->hd.stream_id);
        if (!xs || !xs->reset) /* nghttp2 did it, because the peer broke a rule */
            h2_glitch(c);
        return 0;
    }
    bool last = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    if (!last || c->conf->role != CMG_H2_SERVER)
        return 0;
    /* The answer is complete: what is left of the request is not wanted (RFC 9113 8.1). */
    xs = h2_find(c, frame->hd.stream_id);
    if (xs && !xs->in_ended)
        h2_reset(xs, NGHTTP2_NO_ERROR);
    return 0;
}

/* A response head that cannot be sent would leave its stream open for ever. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *arg)
{
    (void)session, (void)error;
    struct cmg_h2conn *c = arg;
    struct h2_exchange *xs;
    if (frame->hd.type == NGHTTP2_HEADERS && c->conf->role == CMG_H2_SERVER &&
        (xs = h2_find(c, frame->hd.stream_id)) && !xs->reset) {
        const struct cmg_fault f = { .code = CMG_EPROTO, .text = "the head could not be sent" };
        h2_gone(xs, &f);
        h2_reset(xs, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

/* Bodies -------------------------------------------------------------------------------- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)buf, (void)arg;
    struct h2_exchange *xs = source->ptr;
    if (xs->reset || (!xs->out.n && !xs->out_ended)) {
        xs->starved = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = xs->out.n < room ? xs->out.n : room;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < xs->out.n || !xs->out_ended)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (xs->trailers.nfields) {
        nghttp2_nv nv[H2_FIELDS_MAX];
        for (size_t i = 0; i < xs->trailers.nfields; i++)
            nv[i] = h2_pair(xs->trailers.fields[i].name, xs->trailers.fields[i].value);
        if (nghttp2_submit_trailer(session, id, nv, xs->trailers.nfields) == 0)
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)n;
}

static int send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                     nghttp2_data_source *source, void *arg)
{
    (void)session, (void)frame;
    struct cmg_h2conn *c = arg;
    struct h2_exchange *xs = source->ptr;
    struct cmg_buf *out = cmg_stream_out(c->stream);
    struct cmg_str body = { cmg_buf_str(&xs->out).p, n };
    if (cmg_buf_put(out, (struct cmg_str){ (const char *)head, 9 }) != CMG_OK ||
        cmg_buf_put(out, body) != CMG_OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    cmg_buf_drop(&xs->out, n);
    xs->progress_ms = cmg_loop_now_ms(c->loop);
    if (xs->full && xs->out.n <= BODY_LOW) {
        xs->full = false;
        if (h2_is_heard(xs) && !xs->out_ended)
            xs->x.ev->on_room(xs->x.arg);
    }
    return 0;
}

void h2_send_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_before_frame_send_callback(cb, before_frame_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, send_body);
}

/* Operations ---------------------------------------------------------------------------- */

static struct h2_exchange *of(struct cmg_exchange *x)
{
    return CMG_OUTER(x, struct h2_exchange, x);
}

static enum cmg_rc op_head(struct cmg_exchange *x, const struct cmg_head *head)
{
    struct h2_exchange *xs = of(x);
    struct cmg_h2conn *c = xs->c;
    struct h2_outgoing o;
    enum cmg_rc rc = h2_outgoing_put(c, &o, head);
    if (rc != CMG_OK)
        return rc;
    nghttp2_data_provider body = { .source.ptr = xs, .read_callback = read_body };
    bool interim = c->conf->role == CMG_H2_SERVER && head->status < 200;
    bool ends = head->end && !interim; /* a 1xx has no body, and the answer is yet to come */
    nghttp2_data_provider *provider = ends ? NULL : &body;
    int r;
    if (c->conf->role == CMG_H2_CLIENT) {
        xs->id = r = nghttp2_submit_request(c->session, NULL, o.nv, o.n, provider, xs);
    } else if (interim) {
        r = nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, xs->id, NULL, o.nv, o.n, NULL);
    } else {
        r = nghttp2_submit_response(c->session, xs->id, o.nv, o.n, provider);
    }
    if (r < 0)
        return CMG_EPROTO;
    if (ends)
        xs->out_ended = true;
    if (ends && c->conf->role == CMG_H2_SERVER)
        h2_over(xs);
    h2_mark(c);
    return CMG_OK;
}

static void resume(struct h2_exchange *xs)
{
    if (xs->starved) {
        xs->starved = false;
        xs->progress_ms = cmg_loop_now_ms(xs->c->loop);
        (void)nghttp2_session_resume_data(xs->c->session, xs->id);
    }
    h2_mark(xs->c);
}

static bool op_body(struct cmg_exchange *x, struct cmg_str bytes)
{
    struct h2_exchange *xs = of(x);
    if (!xs->out.n)
        xs->progress_ms = cmg_loop_now_ms(xs->c->loop);
    if (cmg_buf_put(&xs->out, bytes) != CMG_OK)
        abort(); /* bounded by the sender's window, not by this buffer */
    resume(xs);
    xs->full = xs->out.n >= BODY_HIGH;
    return !xs->full;
}

static void op_end(struct cmg_exchange *x, const struct cmg_field *trailers, size_t n)
{
    struct h2_exchange *xs = of(x);
    if (n && n <= H2_FIELDS_MAX) {
        struct cmg_head given = { .fields = trailers, .nfields = n };
        xs->kept = cmg_alloc(cmg_head_size(&given));
        cmg_head_copy(&xs->trailers, &given, xs->kept);
    }
    xs->out_ended = true;
    resume(xs);
    if (xs->c->conf->role == CMG_H2_SERVER)
        h2_over(xs);
}

static void op_pause(struct cmg_exchange *x, bool paused)
{
    struct h2_exchange *xs = of(x);
    xs->paused = paused;
    xs->heard_ms = cmg_loop_now_ms(xs->c->loop);
    if (!paused)
        h2_let_go(xs);
}

static void op_abort(struct cmg_exchange *x)
{
    struct h2_exchange *xs = of(x);
    struct cmg_h2conn *c = xs->c;
    if (xs->id < 0) /* its head was never submitted */
        h2_release(xs);
    else
        h2_reset(xs, c->conf->role == CMG_H2_CLIENT ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
    h2_mark(c);
}

static void op_refuse(struct cmg_exchange *x)
{
    h2_reset(of(x), NGHTTP2_REFUSED_STREAM);
}

const struct cmg_exchange_ops h2_ops = { op_head, op_body, op_end, op_pause, op_abort, op_refuse };
