/* SPDX-License-Identifier: MIT */
/* HTTP/2 by nghttp2, which does no I/O: bytes from the stream go in on arrival, frames come
 * out once per turn. Two rules of the library shape this file: its send and receive calls are
 * never made from inside its callbacks, and an exchange lives until its on_stream_close.
 *
 * Flow control: the credit of a stream goes back to the peer as soon as its listener has room;
 * the credit of the connection goes back at once, so that one stalled stream never stops the
 * others, until all that waits here passes the ceiling for memory.
 */
#include "cmg/http/h2conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <nghttp2/nghttp2.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"
#include "cmg/base/clock.h"
#include "cmg/http/message.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"

enum {
    FIELDS_MAX = 128,
    BODY_HIGH = 128 * 1024, /* queued for one exchange: stop its source */
    BODY_LOW = 32 * 1024,
    FLUSH_BYTES = 64 * 1024, /* frames written in one turn, so that all connections get theirs */
    CONNECTION_WINDOW = 16 * 1024 * 1024,
    CONNECTION_WINDOW_MIN = 65535, /* what a connection is born with */
    CLOSE_FLUSH_MS = 1000,
    IDLE_GRACE_MS = 5000,
    STREAM_NUMBERS = INT32_MAX - 200000, /* the last ones are for what is being begun */
    LAST_REQUESTS_MS = 1000, /* between the two GOAWAYs when the peer does not answer PING */
    GLITCH_BURST = 1000,     /* what a public client may do wrong: at once, and per second */
    GLITCH_RATE = 33,
    CONTINUATIONS_MAX = 8,
    ACKS_MAX = 1000
};

/* Names in their original case, for the fields of the message it travels with. */
#define NAMES "cmg-names"

#define MAGIC_BYTES NGHTTP2_CLIENT_MAGIC_LEN

/* Tells the PING of a drain from those that ask for a sign of life. */
static const uint8_t drain_mark[8] = { 'd', 'r', 'a', 'i', 'n' };

struct ref { /* into struct incoming_head.bytes, which moves while it grows */
    uint32_t name, name_n, value, value_n;
};

/* A header block being received. Blocks of different streams never interleave. */
struct incoming_head {
    struct cmg_buf bytes;
    size_t size; /* as RFC 9113 section 6.5.2 counts */
    bool too_large;
    unsigned n;
    struct ref refs[FIELDS_MAX];
};

struct h2x { /* one exchange */
    struct cmg_exchange x;
    struct cmg_h2conn *c;
    int32_t id;
    TAILQ_ENTRY(h2x) link;

    struct cmg_buf out;                  /* our body, waiting for the peer's window */
    struct cmg_head trailers;            /* its fields, borrowed from `kept` */
    void *kept;                          /* owned                            */
    size_t unreturned;                   /* received while paused */
    uint64_t on_wire_at;                 /* position in the stream of our head; with on_wire */
    int64_t progress_ms;                 /* when the peer last took body bytes */
    int64_t heard_ms;                    /* when the peer last sent some, or was allowed to */
    bool on_wire, paused, full, starved; /* starved: nghttp2 waits for body bytes */
    bool out_ended, in_ended, head_seen, final_seen;
    bool reset;      /* by us: nothing more is said or heard */
    bool peer_reset; /* RST_STREAM came                      */
    bool over;       /* the listener is done with it         */
};

struct cmg_h2conn {
    struct cmg_loop *loop;
    struct cmg_stream *stream; /* NULL once gone */
    const struct cmg_h2conn_conf *conf;
    const struct cmg_h2conn_events *ev;
    void *arg;
    nghttp2_session *session;
    TAILQ_HEAD(, h2x) exchanges;
    struct h2x *next; /* where a walk over them goes on, whatever listeners do meanwhile */
    unsigned load;    /* exchanges in the list that are not over */
    unsigned open;
    struct incoming_head *head; /* owned; NULL before the first one */
    size_t magic_in, magic_out; /* bytes of the preface still to swallow */

    size_t window;     /* of the connection, as announced         */
    size_t held;       /* bytes received, their listeners paused  */
    size_t unreturned; /* credit kept back: window - unreturned + held <= memory_bytes */

    struct cmg_timer *timer;
    int64_t due_ms; /* when it fires; 0: stopped */
    struct cmg_task again;
    int64_t received_ms, idle_since_ms, ping_sent_ms;
    int64_t ping_sent_us; /* 0: none on its way */
    uint64_t sent;        /* bytes that the network had taken ...  */
    int64_t sent_ms;      /* ... when that was last seen to change */
    int64_t drain_deadline_ms, last_goaway_ms;
    int32_t last_stream; /* that our last GOAWAY leaves alone */
    double glitches;
    int64_t glitch_ms;
    bool draining, last_goaway_sent, peer_draining, ready;
    bool patient;     /* the drain's deadline counts only while nothing is in flight */
    bool spent;       /* no more stream numbers                                  */
    bool closing;     /* no new exchanges                                        */
    bool last_words;  /* the stream closes as soon as what is queued is in it    */
    bool broken;      /* the session failed and must not be asked for any more   */
    char detail[192]; /* first reason that something went wrong */
};

static void note(struct cmg_h2conn *c, const char *text, size_t n)
{
    if (!c->detail[0])
        snprintf(c->detail, sizeof(c->detail), "%.*s", (int)n, text);
}

static void note_text(struct cmg_h2conn *c, const char *text)
{
    note(c, text, strlen(text));
}

static void mark(struct cmg_h2conn *c)
{
    if (c->stream)
        cmg_stream_mark(c->stream);
}

/* The timer fires at the earliest of all the times that were asked for. */
static void wake_by(struct cmg_h2conn *c, int64_t at_ms)
{
    if (c->due_ms && c->due_ms <= at_ms)
        return;
    int64_t in_ms = at_ms - cmg_loop_now_ms(c->loop);
    c->due_ms = at_ms;
    cmg_timer_set(c->timer, in_ms > 0 ? in_ms : 0);
}

/* nghttp2 takes pointers to what it only reads as if it wrote there. */
static nghttp2_nv pair(struct cmg_str name, struct cmg_str value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
                         (uint8_t *)(uintptr_t)(value.p ? value.p : ""), name.n, value.n,
                         NGHTTP2_NV_FLAG_NONE };
}

/* Credit ------------------------------------------------------------------------------- */

/* What is kept back shrinks the window: what is held and what may still come stay below the
 * ceiling together. */
static void return_connection_credit(struct cmg_h2conn *c, size_t n)
{
    size_t worst = c->window + c->held, most = c->conf->memory_bytes;
    size_t keep = worst > most ? worst - most : 0;
    c->unreturned += n;
    if (c->unreturned <= keep)
        return;
    (void)nghttp2_session_consume_connection(c->session, c->unreturned - keep);
    c->unreturned = keep;
    mark(c);
}

static void return_stream_credit(struct h2x *xs, size_t n)
{
    (void)nghttp2_session_consume_stream(xs->c->session, xs->id, n);
}

/* Listeners ---------------------------------------------------------------------------- */

static bool listening(const struct h2x *xs)
{
    return !xs->over && xs->x.ev;
}

/* Nobody will take what is still held for it. */
static void let_go(struct h2x *xs)
{
    struct cmg_h2conn *c = xs->c;
    size_t n = xs->unreturned;
    if (!n)
        return;
    xs->unreturned = 0;
    c->held -= n;
    if (!xs->in_ended)
        return_stream_credit(xs, n);
    return_connection_credit(c, 0);
    mark(c);
}

static void over(struct h2x *xs)
{
    if (xs->over)
        return;
    xs->over = true;
    xs->c->load--;
    let_go(xs);
}

static void gone(struct h2x *xs, const struct cmg_fault *why)
{
    bool tell = listening(xs);
    over(xs);
    if (tell)
        xs->x.ev->on_gone(xs->x.arg, why);
}

static void release(struct h2x *xs)
{
    struct cmg_h2conn *c = xs->c;
    over(xs);
    if (c->next == xs)
        c->next = TAILQ_NEXT(xs, link);
    TAILQ_REMOVE(&c->exchanges, xs, link);
    if (--c->open == 0 && !c->conf->channel) {
        if (c->head)
            cmg_buf_clear(&c->head->bytes);
        free(c->head);
        c->head = NULL; /* clients are many, and idle most of the time */
    }
    if (!c->open && c->stream) {
        c->idle_since_ms = cmg_loop_now_ms(c->loop);
        if (c->conf->idle_ms)
            wake_by(c, c->idle_since_ms + c->conf->idle_ms);
    }
    cmg_buf_clear(&xs->out);
    free(xs->kept);
    free(xs);
}

/* Ends a stream before its time. It goes away when nghttp2 has said so to the peer, which a
 * peer that does not read can put off: what it was to be sent does not wait that long. */
static void reset(struct h2x *xs, uint32_t error)
{
    over(xs);
    if (xs->reset)
        return;
    xs->reset = true;
    cmg_buf_clear(&xs->out);
    (void)nghttp2_submit_rst_stream(xs->c->session, NGHTTP2_FLAG_NONE, xs->id, error);
    mark(xs->c);
}

static int64_t stall_look_ms(const struct cmg_h2conn *c)
{
    return c->conf->stall_ms / 4 + 1;
}

static const struct cmg_exchange_ops ops;

static struct h2x *exchange_new(struct cmg_h2conn *c, int32_t id)
{
    struct h2x *xs = cmg_alloc(sizeof(*xs));
    xs->x.ops = &ops;
    xs->c = c;
    xs->id = id;
    xs->heard_ms = cmg_loop_now_ms(c->loop);
    cmg_buf_init(&xs->out, SIZE_MAX / 2);
    if (!c->open && c->conf->stall_ms)
        wake_by(c, xs->heard_ms + stall_look_ms(c));
    TAILQ_INSERT_TAIL(&c->exchanges, xs, link);
    c->open++;
    c->load++;
    return xs;
}

/* What a public client does wrong without quite breaking the rules is counted; past the
 * ceiling the connection ends. One misbehaving client must not cost the others. */
static void glitch(struct cmg_h2conn *c)
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
    note_text(c, "too many resets, empty frames, useless frames or invalid ones");
    (void)nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Heads coming in ---------------------------------------------------------------------- */

static struct cmg_str head_str(const struct incoming_head *h, uint32_t at, uint32_t n)
{
    return (struct cmg_str){ h->bytes.p + h->bytes.off + at, n };
}

struct heading { /* an incoming head on its way to the listener */
    struct cmg_head head;
    struct cmg_field fields[FIELDS_MAX];
    struct cmg_str host, names;
    unsigned cookies;
    char *joined; /* owned: the cookie field, when it came in crumbs */
    bool bad;
};

static void take_pseudo(struct heading *g, struct cmg_str name, struct cmg_str value)
{
    if (cmg_str_eq(name, CMG_STR(":method")))
        g->head.method = value;
    else if (cmg_str_eq(name, CMG_STR(":path")))
        g->head.target = value;
    else if (cmg_str_eq(name, CMG_STR(":scheme")))
        g->head.scheme = value;
    else if (cmg_str_eq(name, CMG_STR(":authority")))
        g->head.authority = value;
    else if (cmg_str_eq(name, CMG_STR(":status")))
        g->head.status = (unsigned)cmg_str_number(value);
}

static void take_field(const struct cmg_h2conn *c, struct heading *g, struct cmg_str name,
                       struct cmg_str value)
{
    if (cmg_str_eq(name, CMG_STR("content-length"))) {
        g->head.length = cmg_str_number(value); /* nghttp2 has checked it */
        return;
    }
    if (cmg_str_eq(name, CMG_STR("host"))) {
        g->bad = g->bad || (g->host.p && !cmg_str_ieq(g->host, value));
        g->host = value;
        return;
    }
    if (c->conf->names && cmg_str_eq(name, CMG_STR(NAMES))) {
        g->names = value;
        return;
    }
    if (cmg_field_is_hop_by_hop(name))
        return;
    if (cmg_str_eq(name, CMG_STR("cookie")))
        g->cookies++;
    g->fields[g->head.nfields++] = (struct cmg_field){ name, value };
}

/* Puts the original case back: `names` lists the fields' names in order. A name that is not
 * the same but for case stays as it is, so nothing else can be changed this way. */
static void restore_case(struct heading *g)
{
    struct cmg_str rest = g->names, name;
    for (size_t i = 0; i < g->head.nfields && cmg_str_next(&rest, ',', &name); i++)
        if (cmg_str_ieq(name, g->fields[i].name))
            g->fields[i].name = name;
}

/* RFC 9113 section 8.2.3: crumbs become one field again. */
static void join_cookies(struct heading *g)
{
    size_t room = 0, out = 0, n = 0;
    for (size_t i = 0; i < g->head.nfields; i++)
        if (cmg_str_ieq(g->fields[i].name, CMG_STR("cookie")))
            room += g->fields[i].value.n + 2;
    char *joined = g->joined = cmg_alloc(room);
    struct cmg_field *first = NULL;
    for (size_t i = 0; i < g->head.nfields; i++) {
        struct cmg_field f = g->fields[i];
        bool crumb = cmg_str_ieq(f.name, CMG_STR("cookie"));
        if (crumb) {
            memcpy(joined + n, "; ", first ? 2 : 0);
            n += first ? 2 : 0;
            memcpy(joined + n, f.value.p, f.value.n);
            n += f.value.n;
        }
        if (crumb && first)
            continue;
        if (crumb)
            first = &g->fields[out];
        g->fields[out++] = f;
    }
    g->head.nfields = out;
    first->value = (struct cmg_str){ joined, n };
}

static void read_heading(struct cmg_h2conn *c, const struct incoming_head *h, struct heading *g)
{
    g->head = (struct cmg_head){ .length = -1, .fields = g->fields };
    g->host = g->names = (struct cmg_str){ NULL, 0 };
    g->cookies = 0;
    g->bad = false;
    g->joined = NULL;
    for (unsigned i = 0; i < h->n; i++) {
        struct cmg_str name = head_str(h, h->refs[i].name, h->refs[i].name_n);
        struct cmg_str value = head_str(h, h->refs[i].value, h->refs[i].value_n);
        if (name.n && name.p[0] == ':')
            take_pseudo(g, name, value);
        else
            take_field(c, g, name, value);
    }
    /* One authority: a second one is where two readers would part (RFC 9113 section 8.3.1). */
    if (!g->head.authority.n && g->host.p)
        g->head.authority = g->host;
    else if (g->host.p && !cmg_str_ieq(g->host, g->head.authority))
        g->bad = true;
    if (g->names.p)
        restore_case(g);
    if (g->cookies > 1)
        join_cookies(g);
}

/* Answers without asking anybody. */
static void answer_plainly(struct h2x *xs, const char *status)
{
    nghttp2_nv nv[] = { pair(CMG_STR(":status"), cmg_str(status)),
                        pair(CMG_STR("content-length"), CMG_STR("0")) };
    over(xs);
    xs->out_ended = true;
    (void)nghttp2_submit_response(xs->c->session, xs->id, nv, 2, NULL);
}

static void deliver_request(struct h2x *xs, const struct incoming_head *h, bool end)
{
    struct cmg_h2conn *c = xs->c;
    struct heading g;
    read_heading(c, h, &g);
    g.head.end = end;
    if (c->closing || (c->last_goaway_sent && xs->id > c->last_stream)) {
        reset(xs, NGHTTP2_REFUSED_STREAM); /* our GOAWAY says that it was not processed */
    } else if (h->too_large || g.bad) {
        glitch(c);
        answer_plainly(xs, h->too_large ? "431" : "400");
    } else if (cmg_str_eq(g.head.method, CMG_STR("CONNECT"))) {
        answer_plainly(xs, "501");
    } else {
        c->ev->on_exchange(c->arg, &xs->x, &g.head);
    }
    free(g.joined);
}

static void refuse_response(struct h2x *xs, enum cmg_rc code, uint32_t error, const char *text)
{
    struct cmg_fault f = { .code = code, .malformed = true };
    snprintf(f.text, sizeof(f.text), "%s", text);
    gone(xs, &f);
    reset(xs, error);
}

static void deliver_response(struct h2x *xs, const struct incoming_head *h, bool end)
{
    struct heading g;
    read_heading(xs->c, h, &g);
    g.head.end = end;
    if (h->too_large) {
        refuse_response(xs, CMG_ETOOBIG, NGHTTP2_CANCEL, "the response head is too large");
    } else if (g.head.status < 100) { /* nghttp2 lets any three digits pass */
        refuse_response(xs, CMG_EPROTO, NGHTTP2_PROTOCOL_ERROR, "the response has no status");
    } else {
        xs->head_seen = true;
        xs->final_seen = g.head.status >= 200;
        if (listening(xs))
            xs->x.ev->on_head(xs->x.arg, &g.head);
    }
    free(g.joined);
}

static void deliver_end(struct h2x *xs, const struct cmg_field *trailers, size_t n)
{
    xs->in_ended = true;
    let_go(xs);
    bool tell = listening(xs);
    if (xs->c->conf->role == CMG_H2_CLIENT) {
        over(xs);
        if (!xs->out_ended) /* an early answer: the rest of the request is not wanted */
            reset(xs, NGHTTP2_NO_ERROR);
    }
    if (tell)
        xs->x.ev->on_end(xs->x.arg, trailers, n);
}

static void deliver_trailers(struct h2x *xs, const struct incoming_head *h)
{
    struct heading g;
    read_heading(xs->c, h, &g);
    deliver_end(xs, g.fields, h->too_large ? 0 : g.head.nfields);
    free(g.joined);
}

/* nghttp2 callbacks --------------------------------------------------------------------- */

static struct h2x *find(struct cmg_h2conn *c, int32_t id)
{
    return nghttp2_session_get_stream_user_data(c->session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct cmg_h2conn *c = arg;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct h2x *xs = exchange_new(c, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(session, xs->id, xs);
    }
    if (!c->head) {
        c->head = cmg_realloc(NULL, sizeof(*c->head));
        cmg_buf_init(&c->head->bytes, 0);
    }
    struct incoming_head *h = c->head;
    cmg_buf_drop(&h->bytes, h->bytes.n); /* of a block that turned out to be malformed */
    h->bytes.max = c->conf->head_bytes;
    h->n = 0;
    h->size = 0;
    h->too_large = false;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    (void)session, (void)frame, (void)flags;
    struct cmg_h2conn *c = arg;
    struct incoming_head *h = c->head;
    if (!h)
        return 0;
    h->size += name_n + value_n + 32;
    char *to = h->n < FIELDS_MAX && h->size <= c->conf->head_bytes && !h->too_large
                   ? cmg_buf_reserve(&h->bytes, name_n + value_n)
                   : NULL;
    if (!to) {
        h->too_large = true; /* decoding goes on, storing does not: a bomb stays small */
        return 0;
    }
    memcpy(to, name, name_n);
    memcpy(to + name_n, value, value_n);
    uint32_t at = (uint32_t)h->bytes.n;
    h->refs[h->n++] =
        (struct ref){ at, (uint32_t)name_n, at + (uint32_t)name_n, (uint32_t)value_n };
    cmg_buf_added(&h->bytes, name_n + value_n);
    return 0;
}

static void on_headers(struct cmg_h2conn *c, const nghttp2_frame *frame)
{
    struct h2x *xs = find(c, frame->hd.stream_id);
    struct incoming_head *h = c->head;
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
    glitch(c);
    if (c->ready)
        return;
    c->ready = true;
    if (c->ev->on_ready)
        c->ev->on_ready(c->arg);
}

static void send_last_goaway(struct cmg_h2conn *c)
{
    if (c->last_goaway_sent || c->conf->role != CMG_H2_SERVER)
        return;
    c->last_goaway_sent = true;
    c->last_stream = nghttp2_session_get_last_proc_stream_id(c->session);
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, c->last_stream, NGHTTP2_NO_ERROR,
                                NULL, 0);
}

static void on_pong(struct cmg_h2conn *c, const nghttp2_ping *pong)
{
    if (c->draining && !memcmp(pong->opaque_data, drain_mark, sizeof(drain_mark))) {
        /* Whatever the peer sent before it saw our first GOAWAY has arrived by now. */
        send_last_goaway(c);
        return;
    }
    int64_t rtt_us = c->ping_sent_us ? cmg_clock_us() - c->ping_sent_us : 0;
    c->ping_sent_us = c->ping_sent_ms = 0;
    if (rtt_us && c->ev->on_ping)
        c->ev->on_ping(c->arg, rtt_us);
}

/* What waits for the peer's permission will never be sent: it may go elsewhere at once. */
static void give_up_queued(struct cmg_h2conn *c)
{
    struct h2x *xs;
    const struct cmg_fault f = {
        .code = CMG_EIO,
        .unprocessed = true,
        .text = "the peer takes no more requests",
    };
    for (xs = TAILQ_FIRST(&c->exchanges); xs; xs = c->next) {
        c->next = TAILQ_NEXT(xs, link);
        if (xs->id < 0 || xs->on_wire)
            continue;
        gone(xs, &f);
        reset(xs, NGHTTP2_CANCEL);
    }
}

static void on_goaway(struct cmg_h2conn *c, const nghttp2_frame *frame)
{
    if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        char text[160];
        int n = snprintf(
            text, sizeof(text), "the peer said GOAWAY %s%s%.*s",
            nghttp2_http2_strerror(frame->goaway.error_code),
            frame->goaway.opaque_data_len ? ": " : "",
            (int)(frame->goaway.opaque_data_len < 100 ? frame->goaway.opaque_data_len : 100),
            frame->goaway.opaque_data_len ? (char *)frame->goaway.opaque_data : "");
        note(c, text, (size_t)n);
    }
    if (c->peer_draining)
        return;
    c->peer_draining = true;
    if (c->ev->on_draining)
        c->ev->on_draining(c->arg);
    give_up_queued(c);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct cmg_h2conn *c = arg;
    struct h2x *xs;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers(c, frame);
        break;
    case NGHTTP2_DATA:
        if (frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            glitch(c);
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && (xs = find(c, frame->hd.stream_id)))
            deliver_end(xs, NULL, 0);
        break;
    case NGHTTP2_SETTINGS:
        on_settings(c, frame);
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            on_pong(c, &frame->ping);
        else
            glitch(c);
        break;
    case NGHTTP2_PRIORITY:
        glitch(c);
        break;
    case NGHTTP2_RST_STREAM:
        glitch(c);
        if ((xs = find(c, frame->hd.stream_id)))
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
    struct h2x *xs = find(c, id);
    bool tell = xs && listening(xs);
    if (xs)
        xs->heard_ms = cmg_loop_now_ms(c->loop);
    if (tell && xs->paused) {
        xs->unreturned += n;
        c->held += n;
    } else if (xs) {
        return_stream_credit(xs, n);
    }
    return_connection_credit(c, n);
    if (tell)
        xs->x.ev->on_body(xs->x.arg, (struct cmg_str){ (const char *)p, n });
    return 0;
}

/* A peer that answered, if only with a 1xx, has acted on the request, whatever it says then. */
static void stream_fault(const struct h2x *xs, uint32_t error, struct cmg_fault *f)
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
    struct h2x *xs = find(c, id);
    if (!xs)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    struct cmg_fault f;
    stream_fault(xs, error, &f);
    gone(xs, &f);
    release(xs);
    return 0;
}

static int before_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct cmg_h2conn *c = arg;
    struct h2x *xs;
    if (frame->hd.type == NGHTTP2_HEADERS && c->conf->role == CMG_H2_CLIENT &&
        (xs = find(c, frame->hd.stream_id)) && !xs->on_wire) {
        xs->on_wire = true;
        xs->on_wire_at = cmg_stream_sent(c->stream) + cmg_stream_out(c->stream)->n;
    }
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct cmg_h2conn *c = arg;
    struct h2x *xs;
    (void)session;
    if (frame->hd.type == NGHTTP2_RST_STREAM && c->conf->role == CMG_H2_SERVER) {
        xs = find(c, frame->hd.stream_id);
        if (!xs || !xs->reset) /* nghttp2 did it, because the peer broke a rule */
            glitch(c);
        return 0;
    }
    bool last = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    if (!last || c->conf->role != CMG_H2_SERVER)
        return 0;
    /* The answer is complete: what is left of the request is not wanted (RFC 9113 8.1). */
    xs = find(c, frame->hd.stream_id);
    if (xs && !xs->in_ended)
        reset(xs, NGHTTP2_NO_ERROR);
    return 0;
}

/* A response head that cannot be sent would leave its stream open for ever. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *arg)
{
    (void)session, (void)error;
    struct cmg_h2conn *c = arg;
    struct h2x *xs;
    if (frame->hd.type == NGHTTP2_HEADERS && c->conf->role == CMG_H2_SERVER &&
        (xs = find(c, frame->hd.stream_id)) && !xs->reset) {
        const struct cmg_fault f = { .code = CMG_EPROTO, .text = "the head could not be sent" };
        gone(xs, &f);
        reset(xs, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *arg)
{
    (void)session, (void)frame, (void)error;
    glitch(arg);
    return 0;
}

static int on_error(nghttp2_session *session, int code, const char *text, size_t n, void *arg)
{
    (void)session, (void)code;
    note(arg, text, n);
    return 0;
}

/* Bodies going out ----------------------------------------------------------------------- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)buf, (void)arg;
    struct h2x *xs = source->ptr;
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
        nghttp2_nv nv[FIELDS_MAX];
        for (size_t i = 0; i < xs->trailers.nfields; i++)
            nv[i] = pair(xs->trailers.fields[i].name, xs->trailers.fields[i].value);
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
    struct h2x *xs = source->ptr;
    struct cmg_buf *out = cmg_stream_out(c->stream);
    struct cmg_str body = { cmg_buf_str(&xs->out).p, n };
    if (cmg_buf_put(out, (struct cmg_str){ (const char *)head, 9 }) != CMG_OK ||
        cmg_buf_put(out, body) != CMG_OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    cmg_buf_drop(&xs->out, n);
    xs->progress_ms = cmg_loop_now_ms(c->loop);
    if (xs->full && xs->out.n <= BODY_LOW) {
        xs->full = false;
        if (listening(xs) && !xs->out_ended)
            xs->x.ev->on_room(xs->x.arg);
    }
    return 0;
}

/* Exchange operations -------------------------------------------------------------------- */

struct outgoing { /* a head being put together */
    nghttp2_nv nv[FIELDS_MAX + 8];
    size_t n;
    char names[2048];
    size_t names_n;
    char status[4], length[24];
};

static void add(struct outgoing *o, struct cmg_str name, struct cmg_str value)
{
    o->nv[o->n++] = pair(name, value);
}

/* Values that differ from request to request would push the useful ones out of the header
 * compression table. */
static bool is_fleeting(struct cmg_str name)
{
    return cmg_str_ieq(name, CMG_STR("cmg-request-id")) ||
           cmg_str_ieq(name, CMG_STR("x-forwarded-for")) || cmg_str_ieq(name, CMG_STR("forwarded"));
}

static bool has_capital(struct cmg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return true;
    return false;
}

/* HTTP/2 folds names to lower case. Between our two ends their case travels in one more field,
 * which header compression makes nearly free: clients of one kind send the same list. */
static void add_names(struct outgoing *o, const struct cmg_head *head)
{
    bool any = false;
    for (size_t i = 0; i < head->nfields && !any; i++)
        any = has_capital(head->fields[i].name);
    if (!any)
        return;
    size_t n = 0;
    for (size_t i = 0; i < head->nfields; i++) {
        struct cmg_str name = head->fields[i].name;
        if (n + name.n + 1 > sizeof(o->names))
            return;
        memcpy(o->names + n, name.p, name.n);
        o->names[n + name.n] = ',';
        n += name.n + 1;
    }
    add(o, CMG_STR(NAMES), (struct cmg_str){ o->names, n - 1 });
}

static void add_number(struct outgoing *o, struct cmg_str name, char *text, size_t size, int64_t v)
{
    int n = snprintf(text, size, "%" PRId64, v);
    add(o, name, (struct cmg_str){ text, (size_t)n });
}

static enum cmg_rc put_head(const struct cmg_h2conn *c, struct outgoing *o,
                            const struct cmg_head *head)
{
    o->n = 0;
    if (head->nfields > FIELDS_MAX)
        return CMG_ETOOBIG;
    if (c->conf->role == CMG_H2_CLIENT) {
        add(o, CMG_STR(":method"), head->method);
        add(o, CMG_STR(":scheme"), head->scheme.n ? head->scheme : CMG_STR("https"));
        if (head->authority.n)
            add(o, CMG_STR(":authority"), head->authority);
        add(o, CMG_STR(":path"), head->target);
    } else {
        add_number(o, CMG_STR(":status"), o->status, sizeof(o->status), head->status % 1000);
    }
    for (size_t i = 0; i < head->nfields; i++) {
        add(o, head->fields[i].name, head->fields[i].value);
        if (c->conf->channel && is_fleeting(head->fields[i].name))
            o->nv[o->n - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
    }
    if (head->length >= 0)
        add_number(o, CMG_STR("content-length"), o->length, sizeof(o->length), head->length);
    if (c->conf->names)
        add_names(o, head);
    return CMG_OK;
}

static struct h2x *of(struct cmg_exchange *x)
{
    return CMG_OUTER(x, struct h2x, x);
}

static enum cmg_rc op_head(struct cmg_exchange *x, const struct cmg_head *head)
{
    struct h2x *xs = of(x);
    struct cmg_h2conn *c = xs->c;
    struct outgoing o;
    enum cmg_rc rc = put_head(c, &o, head);
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
        over(xs);
    mark(c);
    return CMG_OK;
}

static void resume(struct h2x *xs)
{
    if (xs->starved) {
        xs->starved = false;
        xs->progress_ms = cmg_loop_now_ms(xs->c->loop);
        (void)nghttp2_session_resume_data(xs->c->session, xs->id);
    }
    mark(xs->c);
}

static bool op_body(struct cmg_exchange *x, struct cmg_str bytes)
{
    struct h2x *xs = of(x);
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
    struct h2x *xs = of(x);
    if (n && n <= FIELDS_MAX) {
        struct cmg_head given = { .fields = trailers, .nfields = n };
        xs->kept = cmg_alloc(cmg_head_size(&given));
        cmg_head_copy(&xs->trailers, &given, xs->kept);
    }
    xs->out_ended = true;
    resume(xs);
    if (xs->c->conf->role == CMG_H2_SERVER)
        over(xs);
}

static void op_pause(struct cmg_exchange *x, bool paused)
{
    struct h2x *xs = of(x);
    xs->paused = paused;
    xs->heard_ms = cmg_loop_now_ms(xs->c->loop);
    if (!paused)
        let_go(xs);
}

static void op_abort(struct cmg_exchange *x)
{
    struct h2x *xs = of(x);
    struct cmg_h2conn *c = xs->c;
    if (xs->id < 0) /* its head was never submitted */
        release(xs);
    else
        reset(xs, c->conf->role == CMG_H2_CLIENT ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
    mark(c);
}

static const struct cmg_exchange_ops ops = { op_head, op_body, op_end, op_pause, op_abort };

/* The stream ------------------------------------------------------------------------------ */

/* Nothing more to say or hear: close. */
static void close_when_done(struct cmg_h2conn *c)
{
    if (c->draining && !c->open && (c->last_goaway_sent || c->conf->role == CMG_H2_CLIENT))
        (void)nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
    if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
        cmg_stream_close(c->stream, CLOSE_FLUSH_MS);
    else if (nghttp2_session_want_write(c->session))
        cmg_stream_mark(c->stream);
}

static void failed(struct cmg_h2conn *c, int error)
{
    note_text(c, nghttp2_strerror(error));
    c->broken = c->closing = true;
    cmg_stream_close(c->stream, CLOSE_FLUSH_MS);
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
        cmg_stream_close(c->stream, CLOSE_FLUSH_MS);
    else
        close_when_done(c);
}

static void on_flush(void *arg)
{
    pump(arg);
}

static void on_again(void *arg)
{
    mark(arg);
}

static size_t on_bytes(void *arg, struct cmg_str in)
{
    struct cmg_h2conn *c = arg;
    size_t skip = c->magic_in < in.n ? c->magic_in : in.n;
    if (skip && memcmp(in.p, &NGHTTP2_CLIENT_MAGIC[MAGIC_BYTES - c->magic_in], skip) != 0) {
        note_text(c, "the peer does not speak HTTP/2");
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
        note_text(c, detail);
    else if (why == CMG_CLOSE_PEER)
        note_text(c, "the peer closed the connection");
    c->stream = NULL;

    struct cmg_fault f = { .code = CMG_EIO };
    snprintf(f.text, sizeof(f.text), "%s", c->detail[0] ? c->detail : "the connection was closed");
    struct h2x *xs;
    while ((xs = TAILQ_FIRST(&c->exchanges))) {
        f.unprocessed = c->conf->role == CMG_H2_CLIENT && (!xs->on_wire || xs->on_wire_at >= sent);
        gone(xs, &f);
        release(xs);
    }
    cmg_loop_cancel(c->loop, &c->again);
    cmg_timer_free(c->timer);
    c->ev->on_closed(c->arg, c->detail[0] ? c->detail : NULL);
    if (c->head)
        cmg_buf_clear(&c->head->bytes);
    free(c->head);
    nghttp2_session_del(c->session);
    free(c);
}

static const struct cmg_stream_events stream_events = {
    .on_data = on_bytes,
    .on_flush = on_flush,
    .on_closed = on_stream_closed,
};

/* Time ------------------------------------------------------------------------------------ */

static void ping(struct cmg_h2conn *c, int64_t now)
{
    c->ping_sent_ms = now;
    c->ping_sent_us = cmg_clock_us();
    (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    mark(c);
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
        note_text(c, text);
        cmg_h2conn_close(c);
        return;
    }
    if (!c->ping_sent_ms && now - c->received_ms >= c->conf->ping_ms)
        ping(c, now);
    wake_by(c, c->ping_sent_ms ? c->ping_sent_ms + c->conf->ping_deadline_ms
                               : c->received_ms + c->conf->ping_ms);
}

static void drop_stalled(struct cmg_h2conn *c, struct h2x *xs, int64_t now)
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
    gone(xs, &f);
    reset(xs, NGHTTP2_CANCEL);
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
        note_text(c, "the client reads nothing any more");
        cmg_h2conn_close(c);
        return;
    }
    for (struct h2x *xs = TAILQ_FIRST(&c->exchanges); xs; xs = c->next) {
        c->next = TAILQ_NEXT(xs, link);
        drop_stalled(c, xs, now);
    }
    if (c->open || queued)
        wake_by(c, now + stall_look_ms(c));
}

static void start_drain(struct cmg_h2conn *c, int64_t now, int64_t grace_ms, bool patient)
{
    c->draining = true;
    c->patient = patient;
    c->drain_deadline_ms = now + grace_ms;
    c->last_goaway_ms = now + LAST_REQUESTS_MS;
    if (c->conf->role == CMG_H2_SERVER) {
        (void)nghttp2_submit_shutdown_notice(c->session);
        (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, drain_mark);
    }
    wake_by(c, now);
    mark(c);
}

static void check_drain(struct cmg_h2conn *c, int64_t now)
{
    if (!c->draining)
        return;
    if (now >= c->drain_deadline_ms && c->patient && c->open)
        c->drain_deadline_ms = now + IDLE_GRACE_MS;
    if (now >= c->drain_deadline_ms) {
        note_text(c, "the time to drain was up");
        cmg_h2conn_close(c);
        return;
    }
    if (now >= c->last_goaway_ms) {
        send_last_goaway(c);
        mark(c);
    } else {
        wake_by(c, c->last_goaway_ms);
    }
    wake_by(c, c->drain_deadline_ms);
}

static void check_idle(struct cmg_h2conn *c, int64_t now)
{
    if (!c->conf->idle_ms || c->open || c->draining)
        return;
    if (now - c->idle_since_ms >= c->conf->idle_ms)
        start_drain(c, now, IDLE_GRACE_MS, true); /* a request may be on its way */
    else
        wake_by(c, c->idle_since_ms + c->conf->idle_ms);
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
        start_drain(c, now, IDLE_GRACE_MS, true);
}

static void on_timer(void *arg)
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

/* Birth ----------------------------------------------------------------------------------- */

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
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_before_frame_send_callback(cb, before_frame_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_error_callback2(cb, on_error);
    nghttp2_session_callbacks_set_send_data_callback(cb, send_body);
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
    c->timer = cmg_timer_new(l, on_timer, c);
    wake_by(c, c->received_ms);
    if (conf->channel) /* few, and busy */
        cmg_stream_out(taken)->keep = 2 * FLUSH_BYTES;
    cmg_stream_listen(taken, &stream_events, c);
    cmg_stream_mark(taken);
    return c;
}

/* Calls from outside ---------------------------------------------------------------------- */

struct cmg_exchange *cmg_h2conn_request(struct cmg_h2conn *c)
{
    if (c->draining || c->peer_draining || c->spent || c->closing || !c->stream)
        return NULL;
    if (nghttp2_session_get_next_stream_id(c->session) > STREAM_NUMBERS) {
        c->spent = true;
        wake_by(c, cmg_loop_now_ms(c->loop));
        return NULL;
    }
    return &exchange_new(c, -1)->x;
}

unsigned cmg_h2conn_load(const struct cmg_h2conn *c)
{
    return c->load;
}

void cmg_h2conn_drain(struct cmg_h2conn *c, int64_t grace_ms)
{
    if (!c->stream || c->closing)
        return;
    int64_t now = cmg_loop_now_ms(c->loop);
    if (!c->draining) {
        start_drain(c, now, grace_ms, false);
    } else if (c->patient || now + grace_ms < c->drain_deadline_ms) {
        c->patient = false;
        c->drain_deadline_ms = now + grace_ms;
        wake_by(c, c->drain_deadline_ms);
    }
}

/* May be called from an exchange's event, that is, from inside nghttp2: the words leave at the
 * end of the turn. */
void cmg_h2conn_refuse(struct cmg_h2conn *c, const char *text)
{
    if (!c->stream || c->closing)
        return;
    c->closing = c->last_words = true;
    note_text(c, text);
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_INADEQUATE_SECURITY,
                                (const uint8_t *)text, strlen(text));
    mark(c);
    c->due_ms = 0;
    wake_by(c, cmg_loop_now_ms(c->loop) + CLOSE_FLUSH_MS);
}

void cmg_h2conn_close(struct cmg_h2conn *c)
{
    c->closing = true;
    if (c->stream)
        cmg_stream_close(c->stream, 0);
}

struct cmg_stream *cmg_h2conn_stream(struct cmg_h2conn *c)
{
    return c->stream;
}
