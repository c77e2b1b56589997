/* SPDX-License-Identifier: MIT */
/* HTTP/2 connections over socket pairs: two of ours connected to each other, or one of ours
 * and a raw peer that writes frames by hand and counts those that come back. */
#ifndef H2_WORLD_H
#define H2_WORLD_H

#include "h1_world.h"

#include <nghttp2/nghttp2.h>

#include "cmg/http/h2conn.h"

enum { KIB = 1024, SIDE_EXCHANGES = 65536 };

/* One of ours ------------------------------------------------------------------------------ */

struct side;

/* A request that a server was given, and what it then hears. */
struct served {
    struct heard h;
    struct side *side;
    char method[16], target[256], authority[64], names[512], cookie[128];
    int64_t length;
    bool end;
};

struct side {
    struct world *w;
    struct cmg_h2conn *c;
    struct cmg_h2conn_conf conf;
    void (*serve)(struct served *r); /* NULL: it is only kept */
    struct served *requests[SIDE_EXCHANGES];
    unsigned nrequests, ready, draining, pings;
    bool closed;
    char detail[200];
};

static inline void side_note(char *to, size_t size, struct cmg_str s)
{
    snprintf(to, size, "%.*s", CMG_ARG(s));
}

static inline void on_side_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    struct side *s = arg;
    struct served *r = cmg_alloc(sizeof(*r));
    assert_in_range(s->nrequests, 0, SIDE_EXCHANGES - 1);
    s->requests[s->nrequests++] = r;
    r->side = s;
    r->length = head->length;
    r->end = head->end;
    side_note(r->method, sizeof(r->method), head->method);
    side_note(r->target, sizeof(r->target), head->target);
    side_note(r->authority, sizeof(r->authority), head->authority);
    for (size_t i = 0; i < head->nfields; i++) {
        size_t n = strlen(r->names);
        snprintf(r->names + n, sizeof(r->names) - n, "%.*s ", CMG_ARG(head->fields[i].name));
        if (cmg_str_ieq(head->fields[i].name, CMG_STR("cookie")))
            side_note(r->cookie, sizeof(r->cookie), head->fields[i].value);
    }
    heard_init(&r->h, x);
    if (s->serve)
        s->serve(r);
}

static inline void on_side_ready(void *arg)
{
    ((struct side *)arg)->ready++;
}

static inline void on_side_draining(void *arg)
{
    ((struct side *)arg)->draining++;
}

static inline void on_side_ping(void *arg, int64_t rtt_us)
{
    assert_in_range(rtt_us, 1, 60 * 1000 * 1000);
    ((struct side *)arg)->pings++;
}

static inline void on_side_closed(void *arg, const char *detail)
{
    struct side *s = arg;
    assert_false(s->closed);
    s->closed = true;
    s->c = NULL;
    snprintf(s->detail, sizeof(s->detail), "%s", detail ? detail : "");
}

static const struct cmg_h2conn_events side_events = {
    .on_exchange = on_side_exchange,
    .on_ready = on_side_ready,
    .on_draining = on_side_draining,
    .on_ping = on_side_ping,
    .on_closed = on_side_closed,
};

static inline struct side *side_new(struct world *w, enum cmg_h2_role role)
{
    struct side *s = cmg_alloc(sizeof(*s));
    s->w = w;
    s->conf = (struct cmg_h2conn_conf){
        .role = role,
        .channel = true,
        .names = true,
        .max_streams = 100,
        .stream_window = 256 * KIB,
        .memory_bytes = 64 * MIB,
        .head_bytes = 16 * KIB,
    };
    return s;
}

static inline void side_start(struct side *s, int fd)
{
    struct cmg_stream *stream = cmg_stream_new(s->w->loop, fd, NULL, NULL, 0, NULL, NULL);
    s->c = cmg_h2conn_new(s->w->loop, stream, &s->conf, &side_events, s);
}

static inline void side_free(struct side *s)
{
    if (s->c)
        cmg_h2conn_close(s->c);
    until(s->w, flag_is_set, &s->closed);
    for (unsigned i = 0; i < s->nrequests; i++) {
        heard_clear(&s->requests[i]->h);
        free(s->requests[i]);
    }
    free(s);
}

static inline bool side_is_closed(void *arg)
{
    return ((struct side *)arg)->closed;
}

static inline bool side_is_ready(void *arg)
{
    return ((struct side *)arg)->ready > 0;
}

static inline bool side_is_draining(void *arg)
{
    return ((struct side *)arg)->draining > 0;
}

static inline bool side_has_request(void *arg)
{
    return ((struct side *)arg)->nrequests > 0;
}

/* Two of ours ------------------------------------------------------------------------------ */

struct pair {
    struct world w;
    struct side *client, *server;
};

static inline void pair_open(struct pair *p)
{
    world_init(&p->w);
    p->client = side_new(&p->w, CMG_H2_CLIENT);
    p->server = side_new(&p->w, CMG_H2_SERVER);
}

static inline void pair_start(struct pair *p)
{
    int fds[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    side_start(p->client, fds[0]);
    side_start(p->server, fds[1]);
}

static inline void pair_init(struct pair *p, void (*serve)(struct served *r))
{
    pair_open(p);
    p->server->serve = serve;
    pair_start(p);
    until(&p->w, side_is_ready, p->client);
}

static inline void pair_clear(struct pair *p)
{
    side_free(p->client);
    side_free(p->server);
    world_clear(&p->w);
}

/* A request of ours; `h` hears the answer. */
static inline struct cmg_exchange *ask(struct side *client, struct heard *h, const char *method,
                                       const char *target, bool end)
{
    struct cmg_exchange *x = cmg_h2conn_request(client->c);
    if (!x)
        return NULL;
    heard_init(h, x);
    struct cmg_head head = request_head(method, target, -1, end);
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
    return x;
}

static inline void reply(struct served *r, unsigned status, const char *body)
{
    struct cmg_exchange *x = r->h.x;
    struct cmg_head head = response_head(status, (int64_t)strlen(body), !*body);
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
    if (*body) {
        x->ops->body(x, cmg_str(body));
        x->ops->end(x, NULL, 0);
    }
}

static inline void reply_hello(struct served *r)
{
    reply(r, 200, "hello");
}

static inline bool heard_is_over(void *arg)
{
    struct heard *h = arg;
    return h->ended || h->gone;
}

static inline void assert_heard(const struct heard *h, const char *body)
{
    struct cmg_str got = cmg_buf_str(&h->body);
    assert_int_equal(strlen(body), got.n);
    if (got.n)
        assert_memory_equal(body, got.p, got.n);
}

/* Raw frames ------------------------------------------------------------------------------- */

struct wire {
    struct peer p;
    struct cmg_buf block; /* of fields, being put together */
    nghttp2_hd_inflater *inflater;
    bool skips_magic, quiet; /* quiet: answers no SETTINGS and no PING */
    unsigned frames[16], resets, statuses[65536];
    uint64_t data_bytes;
    uint32_t reset_code, goaway_code;
    uint32_t goaway_last;
    char goaway_text[200];
    /* What is waited for. */
    unsigned want_type, want_n;
};

static inline uint32_t be32(const char *p)
{
    const uint8_t *u = (const uint8_t *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static inline void wire_frame(struct wire *f, uint8_t type, uint8_t flags, uint32_t stream,
                              struct cmg_str payload)
{
    char head[9] = { (char)(payload.n >> 16),
                     (char)(payload.n >> 8),
                     (char)payload.n,
                     (char)type,
                     (char)flags,
                     (char)(stream >> 24),
                     (char)(stream >> 16),
                     (char)(stream >> 8),
                     (char)stream };
    peer_says_bytes(&f->p, (struct cmg_str){ head, 9 });
    peer_says_bytes(&f->p, payload);
}

static inline void put_length(struct cmg_buf *b, size_t n)
{
    char bytes[8];
    size_t at = 0;
    if (n < 127) {
        bytes[at++] = (char)n;
    } else {
        bytes[at++] = 127;
        for (n -= 127; n >= 128; n >>= 7)
            bytes[at++] = (char)(n % 128 + 128);
        bytes[at++] = (char)n;
    }
    assert_int_equal(CMG_OK, cmg_buf_put(b, (struct cmg_str){ bytes, at }));
}

/* A literal field that the compression table does not learn. */
static inline void wire_field(struct wire *f, const char *name, const char *value)
{
    assert_int_equal(CMG_OK, cmg_buf_put(&f->block, (struct cmg_str){ "\0", 1 }));
    put_length(&f->block, strlen(name));
    assert_int_equal(CMG_OK, cmg_buf_put(&f->block, cmg_str(name)));
    put_length(&f->block, strlen(value));
    assert_int_equal(CMG_OK, cmg_buf_put(&f->block, cmg_str(value)));
}

static inline void wire_get(struct wire *f)
{
    wire_field(f, ":method", "GET");
    wire_field(f, ":scheme", "https");
    wire_field(f, ":authority", "mp.site");
    wire_field(f, ":path", "/x");
}

static inline void wire_head(struct wire *f, uint32_t stream, bool end)
{
    wire_frame(f, NGHTTP2_HEADERS,
               (uint8_t)(NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0)), stream,
               cmg_buf_str(&f->block));
    cmg_buf_clear(&f->block);
}

static inline void wire_code(struct wire *f, uint8_t type, uint32_t stream, uint32_t code)
{
    char bytes[4] = { (char)(code >> 24), (char)(code >> 16), (char)(code >> 8), (char)code };
    wire_frame(f, type, 0, stream, (struct cmg_str){ bytes, 4 });
}

static inline void wire_reset(struct wire *f, uint32_t stream, uint32_t code)
{
    wire_code(f, NGHTTP2_RST_STREAM, stream, code);
}

static inline void wire_window(struct wire *f, uint32_t stream, uint32_t bytes)
{
    wire_code(f, NGHTTP2_WINDOW_UPDATE, stream, bytes);
}

static inline void wire_goaway(struct wire *f, uint32_t last, uint32_t code)
{
    char bytes[8] = { (char)(last >> 24), (char)(last >> 16), (char)(last >> 8), (char)last,
                      (char)(code >> 24), (char)(code >> 16), (char)(code >> 8), (char)code };
    wire_frame(f, NGHTTP2_GOAWAY, 0, 0, (struct cmg_str){ bytes, 8 });
}

static inline void wire_setting(struct wire *f, uint16_t id, uint32_t value)
{
    char bytes[6] = { (char)(id >> 8),     (char)id,           (char)(value >> 24),
                      (char)(value >> 16), (char)(value >> 8), (char)value };
    wire_frame(f, NGHTTP2_SETTINGS, 0, 0, (struct cmg_str){ bytes, 6 });
}

static inline void wire_settings(struct wire *f)
{
    wire_frame(f, NGHTTP2_SETTINGS, 0, 0, (struct cmg_str){ NULL, 0 });
}

static inline void wire_inflate(struct wire *f, uint32_t stream, struct cmg_str block)
{
    const uint8_t *in = (const uint8_t *)block.p;
    size_t left = block.n;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(f->inflater, &nv, &flags, in, left, 1);
        assert_true(n >= 0);
        in += n;
        left -= (size_t)n;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) && nv.namelen == 7 && stream < 65536 &&
            !memcmp(nv.name, ":status", 7))
            f->statuses[stream] =
                (unsigned)cmg_str_number((struct cmg_str){ (const char *)nv.value, nv.valuelen });
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && !left)
            break;
    }
    nghttp2_hd_inflate_end_headers(f->inflater);
}

static inline void wire_take(struct wire *f, uint8_t type, uint8_t flags, uint32_t stream,
                             struct cmg_str payload)
{
    f->frames[type % 16]++;
    switch (type) {
    case NGHTTP2_HEADERS:
        wire_inflate(f, stream, payload);
        break;
    case NGHTTP2_DATA:
        f->data_bytes += payload.n;
        break;
    case NGHTTP2_RST_STREAM:
        f->resets++;
        f->reset_code = be32(payload.p);
        break;
    case NGHTTP2_GOAWAY:
        f->goaway_last = be32(payload.p);
        f->goaway_code = be32(payload.p + 4);
        snprintf(f->goaway_text, sizeof(f->goaway_text), "%.*s", (int)payload.n - 8, payload.p + 8);
        break;
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING:
        if (!(flags & NGHTTP2_FLAG_ACK) && !f->quiet)
            wire_frame(f, type, NGHTTP2_FLAG_ACK, 0,
                       type == NGHTTP2_PING ? payload : (struct cmg_str){ NULL, 0 });
        break;
    default:
        break;
    }
}

/* Counts what has come. */
static inline void wire_look(struct wire *f)
{
    if (f->skips_magic) {
        if (f->p.got.n < 24)
            return;
        assert_memory_equal(NGHTTP2_CLIENT_MAGIC, cmg_buf_str(&f->p.got).p, 24);
        cmg_buf_drop(&f->p.got, 24);
        f->skips_magic = false;
    }
    for (;;) {
        struct cmg_str s = cmg_buf_str(&f->p.got);
        if (s.n < 9)
            return;
        size_t n = be32(s.p) >> 8;
        if (s.n < 9 + n)
            return;
        wire_take(f, (uint8_t)s.p[3], (uint8_t)s.p[4], be32(s.p + 5),
                  (struct cmg_str){ s.p + 9, n });
        cmg_buf_drop(&f->p.got, 9 + n);
    }
}

static inline bool wire_has(void *arg)
{
    struct wire *f = arg;
    wire_look(f);
    return f->frames[f->want_type] >= f->want_n;
}

static inline void until_wire(struct world *w, struct wire *f, unsigned type, unsigned n)
{
    f->want_type = type;
    f->want_n = n;
    if (!world_run(w, wire_has, f, DEADLINE_MS))
        fail_msg("%u frames of type %u, not %u; %u resets, goaway %u %s", f->frames[type], type, n,
                 f->resets, f->goaway_code, f->goaway_text);
}

static inline bool wire_ended(void *arg)
{
    struct wire *f = arg;
    wire_look(f);
    return f->p.eof;
}

static inline int wire_init(struct wire *f, struct world *w)
{
    *f = (struct wire){ .want_type = 0 };
    cmg_buf_init(&f->block, MIB);
    assert_int_equal(0, nghttp2_hd_inflate_new(&f->inflater));
    return peer_init(&f->p, w->loop);
}

static inline void wire_clear(struct wire *f)
{
    peer_clear(&f->p);
    cmg_buf_clear(&f->block);
    nghttp2_hd_inflate_del(f->inflater);
}

/* One of ours and a raw peer --------------------------------------------------------------- */

struct raw {
    struct world w;
    struct wire f;
    struct side *side;
};

static inline void raw_open(struct raw *r, enum cmg_h2_role role)
{
    world_init(&r->w);
    r->side = side_new(&r->w, role);
}

/* The raw client of a server says its preface; the raw server of a client its SETTINGS. */
static inline void raw_start(struct raw *r)
{
    side_start(r->side, wire_init(&r->f, &r->w));
    if (r->side->conf.role == CMG_H2_SERVER)
        peer_says(&r->f.p, NGHTTP2_CLIENT_MAGIC);
    else
        r->f.skips_magic = true;
    wire_settings(&r->f);
}

static inline void raw_clear(struct raw *r)
{
    side_free(r->side);
    wire_clear(&r->f);
    world_clear(&r->w);
}

#endif
