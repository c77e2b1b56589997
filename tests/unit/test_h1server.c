/* SPDX-License-Identifier: MIT */
#include "h1_world.h"

/* A server on one end of a socket pair, a raw client on the other. `app` decides. */
struct call {
    char method[32], target[64];
    struct heard h;
};

struct site {
    struct world w;
    struct peer p;
    struct cmg_h1conn *c;
    struct cmg_h1conn_conf conf;
    void (*app)(struct site *s, struct call *call);
    struct call calls[128];
    unsigned ncalls, malformed_status;
    unsigned wanted_calls;
    bool closed, upgrade;
    char upgrade_to[32];
    struct cmg_stream *taken;
};

static void respond(struct heard *h, unsigned status, const char *body)
{
    struct cmg_head head = response_head(status, (int64_t)strlen(body), false);
    assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
    h->x->ops->body(h->x, cmg_str(body));
    h->x->ops->end(h->x, NULL, 0);
}

static void echo_target(struct site *s, struct call *call)
{
    (void)s;
    respond(&call->h, 200, call->target);
}

static void echo_body(struct heard *h)
{
    struct cmg_head head = response_head(200, (int64_t)h->body.n, false);
    assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
    h->x->ops->body(h->x, cmg_buf_str(&h->body));
    h->x->ops->end(h->x, NULL, 0);
}

static void echo(struct site *s, struct call *call)
{
    (void)s;
    call->h.then = echo_body;
}

static void on_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    struct site *s = arg;
    struct call *call = &s->calls[s->ncalls++];
    assert_in_range(s->ncalls, 1, 128);
    snprintf(call->method, sizeof(call->method), "%.*s", CMG_ARG(head->method));
    snprintf(call->target, sizeof(call->target), "%.*s", CMG_ARG(head->target));
    heard_init(&call->h, x);
    call->h.length = head->length;
    call->h.head_end = head->end;
    if (s->app)
        s->app(s, call);
}

static const struct cmg_stream_events next_events;

static bool on_upgrade(void *arg, const struct cmg_h1_msg *msg)
{
    struct site *s = arg;
    if (!s->upgrade)
        return false;
    snprintf(s->upgrade_to, sizeof(s->upgrade_to), "%.*s", CMG_ARG(msg->upgrade));
    s->taken = cmg_h1conn_release(s->c);
    s->c = NULL;
    cmg_stream_listen(s->taken, &next_events, s);
    return true;
}

static void on_malformed(void *arg, struct cmg_refusal *r)
{
    struct site *s = arg;
    assert_non_null(r->detail);
    s->malformed_status = r->status;
}

static void on_site_closed(void *arg, const char *detail)
{
    struct site *s = arg;
    (void)detail;
    assert_false(s->closed);
    s->closed = true;
    s->c = NULL;
}

static const struct cmg_h1server_events server_events = {
    on_exchange,
    on_upgrade,
    on_malformed,
    on_site_closed,
};

static bool site_has_calls(void *arg)
{
    struct site *s = arg;
    return s->ncalls >= s->wanted_calls;
}

static void until_calls(struct site *s, unsigned n)
{
    s->wanted_calls = n;
    until(&s->w, site_has_calls, s);
}

static struct site *site_open(void (*app)(struct site *s, struct call *call))
{
    struct site *s = cmg_alloc(sizeof(*s));
    world_init(&s->w);
    s->conf = (struct cmg_h1conn_conf){
        .limits = { .head_bytes = 8192, .target_bytes = 1024, .trailer_bytes = 1024 },
        .head_ms = 5000,
        .idle_ms = 5000,
        .stall_ms = 5000,
    };
    s->app = app;
    return s;
}

static void site_start(struct site *s)
{
    int fd = peer_init(&s->p, s->w.loop);
    struct cmg_stream *stream = cmg_stream_new(s->w.loop, fd, NULL, NULL, 0, NULL, NULL);
    s->c = cmg_h1conn_serve(s->w.loop, stream, &s->conf, &server_events, s);
}

static struct site *site_new(void (*app)(struct site *s, struct call *call))
{
    struct site *s = site_open(app);
    site_start(s);
    return s;
}

static void site_free(struct site *s)
{
    if (s->c)
        cmg_h1conn_close(s->c);
    peer_clear(&s->p); /* so that nothing lingers */
    if (!s->taken)
        until(&s->w, flag_is_set, &s->closed);
    for (unsigned i = 0; i < s->ncalls; i++)
        heard_clear(&s->calls[i].h);
    world_clear(&s->w);
    free(s);
}

static void until_site_closed(struct site *s)
{
    until(&s->w, flag_is_set, &s->closed);
}

/* ---- */

static void keep_alive_carries_one_request_after_another(void **state)
{
    (void)state;
    struct site *s = site_new(echo_target);
    peer_says(&s->p, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    until_peer_got(&s->w, &s->p, "\r\n\r\n/one");
    assert_false(peer_got(&s->p, "Connection: close"));
    peer_says(&s->p, "GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    until_peer_got(&s->w, &s->p, "\r\n\r\n/two");
    assert_true(peer_got(&s->p, "Connection: close"));
    until(&s->w, peer_saw_end, &s->p);
    assert_int_equal(2, s->ncalls);
    assert_false(s->calls[0].h.gone);
    site_free(s);
}

static void a_head_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct site *s = site_new(echo);
    const char *all = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n";
    for (size_t i = 0; all[i]; i++) {
        peer_says_bytes(&s->p, (struct cmg_str){ all + i, 1 });
        world_run(&s->w, NULL, NULL, 1);
    }
    until_peer_got(&s->w, &s->p, "\r\n\r\nabcde");
    assert_int_equal(1, s->calls[0].h.trailers);
    assert_string_equal("X-Sum: 7", s->calls[0].h.trailer);
    site_free(s);
}

static void pipeline(struct site *s, unsigned n)
{
    char text[128];
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof(text),
                 "POST /%u HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n%04u", i, i);
        peer_says(&s->p, text);
    }
}

static void assert_in_order(struct site *s, unsigned n)
{
    struct cmg_str got = cmg_buf_str(&s->p.got);
    char text[32];
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "\r\n\r\n%04u", i);
        const char *at = memmem(got.p, got.n, text, strlen(text));
        assert_non_null(at);
        got = cmg_str_from(got, (size_t)(at - got.p));
    }
}

static void a_hundred_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct site *s = site_new(echo);
    pipeline(s, 100);
    until_peer_got(&s->w, &s->p, "\r\n\r\n0099");
    assert_int_equal(100, s->ncalls);
    assert_in_order(s, 100);
    site_free(s);
}

/* None begins before the one before it is over. */
static void pipelined_requests_wait_for_slow_answers(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    pipeline(s, 100);
    peer_ends(&s->p);
    for (unsigned i = 0; i < 100; i++) {
        until_calls(s, i + 1);
        until(&s->w, heard_has_ended, &s->calls[i].h);
        assert_int_equal(i + 1, s->ncalls);
        echo_body(&s->calls[i].h);
    }
    until(&s->w, peer_saw_end, &s->p);
    assert_in_order(s, 100);
    assert_true(s->closed || s->c);
    site_free(s);
}

/* A client that only writes is not worked for. */
static void answer_large(struct heard *h)
{
    struct cmg_str big = run_of('x', 200000);
    struct cmg_head head = response_head(200, (int64_t)big.n, false);
    assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
    h->x->ops->body(h->x, big);
    h->x->ops->end(h->x, NULL, 0);
    free_run(big);
}

static void send_large(struct site *s, struct call *call)
{
    (void)s;
    call->h.then = answer_large;
}

static void pipelining_stops_while_nothing_is_read(void **state)
{
    (void)state;
    struct site *s = site_new(send_large);
    s->p.reads = false;
    s->p.keeps = false;
    peer_want(&s->p);
    pipeline(s, 100);
    settle(&s->w);
    assert_in_range(s->ncalls, 2, 6);
    assert_in_range(cmg_stream_out(cmg_h1conn_stream(s->c))->n, 1, CMG_STREAM_HIGH + 200300);
    s->p.reads = true;
    peer_want(&s->p);
    until_calls(s, 100);
    until_peer_took(&s->w, &s->p, 100 * 200000);
    site_free(s);
}

/* ---- what cannot be read is refused, and is the last word */

static const struct {
    const char *says, *text;
    unsigned status;
} malformed[] = {
    { "not HTTP at all", "\x16\x03\x01\x02", 400 },
    { "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400 },
    { "HTTP/2 version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
    { "HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505 },
    { "HTTP/0.9", "GET /\r\n", 400 },
    { "no Host", "GET / HTTP/1.1\r\n\r\n", 400 },
    { "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400 },
    { "bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400 },
    { "obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: secret\r\n more\r\n\r\n", 400 },
    { "blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
    { "two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      400 },
    { "length list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400 },
    { "signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400 },
    { "length and coding",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      400 },
    { "other coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      400 },
    { "coding in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
    { "CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "two hosts in one", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
};

/* Everything that a refusal must be, whatever the reason. */
static void assert_refused(struct site *s, const char *says, unsigned status)
{
    char line[32];
    until(&s->w, peer_saw_end, &s->p);
    snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
    if (!peer_got(&s->p, line))
        fail_msg("%s: wanted %u, got \"%.*s\"", says, status, CMG_ARG(cmg_buf_str(&s->p.got)));
    snprintf(line, sizeof(line), "\"status\":%u,", status);
    assert_true(peer_got(&s->p, line));
    assert_true(peer_got(&s->p, "Content-Type: application/problem+json\r\n"));
    assert_true(peer_got(&s->p, "Connection: close\r\n"));
    assert_true(peer_got(&s->p, "\"type\":\"about:blank\""));
    assert_false(peer_got(&s->p, "secret"));
    assert_int_equal(status, s->malformed_status);
}

static void malformed_requests_are_refused_and_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(malformed); i++) {
        struct site *s = site_new(echo);
        peer_says(&s->p, malformed[i].text);
        peer_says(&s->p, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_refused(s, malformed[i].says, malformed[i].status);
        assert_int_equal(1, peer_count(&s->p, "HTTP/1.1 "));
        assert_int_equal(0, s->ncalls);
        peer_ends(&s->p);
        until_site_closed(s);
        site_free(s);
    }
}

static void a_malformed_request_behind_a_good_one_is_refused_in_its_turn(void **state)
{
    (void)state;
    struct site *s = site_new(echo);
    peer_says(&s->p, "HEAD /good HTTP/1.1\r\nHost: a\r\n\r\nGET /bad\r\n\r\n");
    assert_refused(s, "behind a good one", 400);
    assert_int_equal(2, peer_count(&s->p, "HTTP/1.1 "));
    site_free(s);
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        unsigned status;
    } cases[] = {
        { "GET / HTTP/1.1\r\nHost: a\r\nX: ", 431 },
        { "GET /", 414 },
    };
    struct cmg_str much = run_of('a', 100000);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct site *s = site_new(echo);
        peer_says(&s->p, cases[i].before);
        peer_says_bytes(&s->p, much);
        peer_says(&s->p, " HTTP/1.1\r\nHost: a\r\n\r\n");
        until(&s->w, peer_saw_end, &s->p);
        /* A head that never reaches a line end cannot be told from a long target. */
        if (!peer_got(&s->p, "HTTP/1.1 431 "))
            assert_refused(s, cases[i].before, cases[i].status);
        site_free(s);
    }
    free_run(much);
}

static void a_broken_chunk_is_refused_and_told(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    assert_refused(s, "broken chunk", 400);
    assert_int_equal(1, s->ncalls);
    assert_true(s->calls[0].h.gone);
    assert_true(s->calls[0].h.fault.malformed);
    assert_int_equal(3, s->calls[0].h.bytes);
    site_free(s);
}

static void a_broken_chunk_behind_an_answer_cuts(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n");
    until_calls(s, 1);
    struct cmg_head head = response_head(200, 100, false);
    assert_int_equal(CMG_OK, s->calls[0].h.x->ops->head(s->calls[0].h.x, &head));
    until_peer_got(&s->w, &s->p, "\r\n\r\n");
    peer_says(&s->p, "abcX");
    until(&s->w, peer_saw_end, &s->p);
    assert_true(s->calls[0].h.gone);
    assert_int_equal(1, peer_count(&s->p, "HTTP/1.1 "));
    site_free(s);
}

/* ---- time */

static void a_slow_head_gets_408(void **state)
{
    (void)state;
    struct site *s = site_open(echo);
    s->conf.head_ms = 60;
    site_start(s);
    peer_says(&s->p, "GET / HTTP/1.1\r\n");
    world_run(&s->w, NULL, NULL, 30);
    peer_says(&s->p, "Host: a\r\n"); /* bytes do not buy time */
    int64_t start = cmg_clock_ms();
    assert_refused(s, "slow head", 408);
    assert_in_range(cmg_clock_ms() - start, 0, 2000);
    site_free(s);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    (void)state;
    struct site *s = site_open(echo);
    s->conf.idle_ms = 40;
    site_start(s);
    until(&s->w, peer_saw_end, &s->p);
    assert_int_equal(0, s->p.taken);
    site_free(s);
}

static void a_stalled_request_body_gets_408(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    s->conf.stall_ms = 60;
    site_start(s);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_refused(s, "stalled body", 408);
    assert_true(s->calls[0].h.gone);
    assert_int_equal(CMG_ETIMEOUT, s->calls[0].h.fault.code);
    site_free(s);
}

static void pause_early(struct site *s, struct call *call)
{
    (void)s;
    call->h.x->ops->pause(call->h.x, true);
}

static void a_paused_request_body_does_not_stall(void **state)
{
    (void)state;
    struct site *s = site_open(pause_early);
    s->conf.stall_ms = 40;
    site_start(s);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    world_run(&s->w, NULL, NULL, 150);
    struct heard *h = &s->calls[0].h;
    assert_false(h->gone);
    assert_int_equal(0, h->bytes);
    h->x->ops->pause(h->x, false);
    peer_says(&s->p, "defghij");
    until(&s->w, heard_has_ended, h);
    echo_body(h);
    until_peer_got(&s->w, &s->p, "\r\n\r\nabcdefghij");
    site_free(s);
}

static void a_client_that_takes_nothing_is_cut(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    s->conf.stall_ms = 80;
    site_start(s);
    s->p.reads = false;
    peer_want(&s->p);
    peer_says(&s->p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until_calls(s, 1);
    struct heard *h = &s->calls[0].h;
    struct cmg_head head = response_head(200, 16 * MIB, false);
    struct cmg_str mib = run_of('x', MIB);
    assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
    assert_false(h->x->ops->body(h->x, mib));
    until(&s->w, heard_is_gone, h);
    assert_int_equal(CMG_ETIMEOUT, h->fault.code);
    free_run(mib);
    until_site_closed(s);
    site_free(s);
}

/* ---- bodies */

static void an_upload_is_held_back_by_pause(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    struct cmg_str big = run_of('u', 8 * MIB);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n");
    until_calls(s, 1);
    struct heard *h = &s->calls[0].h;
    h->x->ops->pause(h->x, true);
    peer_says_bytes(&s->p, big);
    settle(&s->w);
    assert_int_equal(0, h->bytes);
    assert_in_range(s->p.say.n, 7 * MIB, 8 * MIB); /* the rest lies in the kernel, not here */
    h->x->ops->pause(h->x, false);
    h->wanted_bytes = MIB;
    until(&s->w, heard_has_bytes, h);
    h->x->ops->pause(h->x, true);
    uint64_t at = h->bytes;
    settle(&s->w);
    assert_int_equal(at, h->bytes);
    h->x->ops->pause(h->x, false);
    until(&s->w, heard_has_ended, h);
    assert_int_equal(8 * MIB, h->bytes);
    respond(h, 200, "done");
    until_peer_got(&s->w, &s->p, "\r\n\r\ndone");
    free_run(big);
    site_free(s);
}

static void pump(struct heard *h, struct cmg_str piece, uint64_t *left)
{
    h->rooms = 0;
    bool more = true;
    while (*left && more) {
        more = h->x->ops->body(h->x, piece);
        *left -= piece.n;
    }
}

static void download(int64_t length, const char *version, const char *framing)
{
    struct site *s = site_new(NULL);
    struct cmg_str piece = run_of('d', 16384);
    uint64_t left = 8 * MIB;
    s->p.reads = false;
    s->p.keeps = true;
    peer_want(&s->p);
    peer_says(&s->p, version);
    until_calls(s, 1);
    struct heard *h = &s->calls[0].h;
    struct cmg_head head = response_head(200, length, false);
    assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
    do { /* the kernel takes some */
        pump(h, piece, &left);
        settle(&s->w);
    } while (h->rooms);
    assert_in_range(left, 7 * MIB, 8 * MIB);
    assert_in_range(cmg_stream_out(cmg_h1conn_stream(s->c))->n, 1, CMG_STREAM_HIGH + 32768);
    s->p.reads = true;
    peer_want(&s->p);
    while (left) {
        until(&s->w, heard_has_room, h);
        pump(h, piece, &left);
        assert_in_range(cmg_stream_out(cmg_h1conn_stream(s->c))->n, 1, CMG_STREAM_HIGH + 32768);
    }
    h->x->ops->end(h->x, NULL, 0);
    until_peer_took(&s->w, &s->p, 8 * MIB);
    assert_true(peer_got(&s->p, framing));
    if (length < 0 && strstr(version, "1.1"))
        until_peer_got(&s->w, &s->p, "\r\n0\r\n\r\n");
    if (strstr(version, "1.0"))
        until(&s->w, peer_saw_end, &s->p);
    free_run(piece);
    site_free(s);
}

static void a_download_is_held_back_by_the_reader(void **state)
{
    (void)state;
    download(8 * MIB, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Content-Length: 8388608\r\n");
    download(-1, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Transfer-Encoding: chunked\r\n");
    download(-1, "GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n");
}

static void trailers_follow_a_chunked_answer(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until_calls(s, 1);
    struct cmg_exchange *x = s->calls[0].h.x;
    struct cmg_head head = response_head(200, -1, false);
    struct cmg_field trailer = { CMG_STR("X-Sum"), CMG_STR("7") };
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
    assert_true(x->ops->body(x, CMG_STR("abc")));
    x->ops->end(x, &trailer, 1);
    until_peer_got(&s->w, &s->p, "\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n");
    site_free(s);
}

static void answers_without_a_body_have_none(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        unsigned status;
        int64_t length;
        bool end;
    } cases[] = {
        { "HEAD", 200, 5, true },  { "HEAD", 200, 5, false },  { "GET", 204, -1, true },
        { "GET", 204, -1, false }, { "GET", 304, 5, true },    { "GET", 304, -1, false },
        { "GET", 200, -1, true },  { "HEAD", 200, -1, false }, { "GET", 200, 0, false },
    };
    struct site *s = site_new(NULL);
    char text[64];
    for (unsigned i = 0; i < CMG_COUNT(cases); i++) {
        peer_forgets(&s->p);
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].method);
        peer_says(&s->p, text);
        until_calls(s, i + 1);
        struct cmg_exchange *x = s->calls[i].h.x;
        struct cmg_head head = response_head(cases[i].status, cases[i].length, cases[i].end);
        assert_int_equal(CMG_OK, x->ops->head(x, &head));
        if (!cases[i].end && cases[i].length != 0)
            assert_true(x->ops->body(x, CMG_STR("never sent")));
        if (!cases[i].end)
            x->ops->end(x, NULL, 0);
        until_peer_got(&s->w, &s->p, "\r\n\r\n");
        settle(&s->w);
        struct cmg_str got = cmg_buf_str(&s->p.got);
        assert_memory_equal("\r\n\r\n", got.p + got.n - 4, 4);
        assert_false(peer_got(&s->p, "never"));
    }
    site_free(s);
}

static void interim_answers_pass_to_http_1_1_only(void **state)
{
    (void)state;
    for (int minor = 0; minor <= 1; minor++) {
        struct site *s = site_new(NULL);
        char text[96];
        snprintf(text, sizeof(text),
                 "POST / HTTP/1.%d\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
                 minor);
        peer_says(&s->p, text);
        until_calls(s, 1);
        struct heard *h = &s->calls[0].h;
        struct cmg_head head = response_head(100, -1, false);
        assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
        head.status = 101;
        assert_int_equal(CMG_EPROTO, h->x->ops->head(h->x, &head));
        settle(&s->w);
        assert_int_equal(minor, peer_got(&s->p, "HTTP/1.1 100 Continue\r\n\r\n"));
        peer_says(&s->p, "ok");
        until(&s->w, heard_has_ended, h);
        respond(h, 200, "done");
        until_peer_got(&s->w, &s->p, "\r\n\r\ndone");
        site_free(s);
    }
}

static void http_1_0_is_kept_alive_only_when_it_asks(void **state)
{
    (void)state;
    struct site *s = site_new(echo_target);
    peer_says(&s->p, "GET /one HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    until_peer_got(&s->w, &s->p, "\r\n\r\n/one");
    assert_true(peer_got(&s->p, "Connection: keep-alive\r\n"));
    peer_says(&s->p, "GET /two HTTP/1.0\r\n\r\n");
    until_peer_got(&s->w, &s->p, "\r\n\r\n/two");
    until(&s->w, peer_saw_end, &s->p);
    site_free(s);
}

/* ---- how exchanges end */

static void an_answer_that_overtakes_its_request_is_the_last(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n");
    until_calls(s, 1);
    respond(&s->calls[0].h, 413, "too much");
    struct cmg_str big = run_of('u', 4 * MIB); /* the client goes on all the same */
    peer_says_bytes(&s->p, big);
    until_peer_got(&s->w, &s->p, "\r\n\r\ntoo much");
    assert_true(peer_got(&s->p, "Connection: close\r\n"));
    until(&s->w, peer_saw_end, &s->p);
    assert_false(s->p.reset);
    free_run(big);
    site_free(s);
}

static void a_broken_answer_cuts_and_never_bleeds(void **state)
{
    (void)state;
    static const char *const bodies[] = { "123456", "1234" };
    for (int i = 0; i < 2; i++) {
        struct site *s = site_new(NULL);
        peer_says(&s->p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        until_calls(s, 1);
        struct cmg_exchange *x = s->calls[0].h.x;
        struct cmg_head head = response_head(200, 5, false);
        assert_int_equal(CMG_OK, x->ops->head(x, &head));
        x->ops->body(x, cmg_str(bodies[i]));
        if (i == 1)
            x->ops->end(x, NULL, 0);
        until(&s->w, peer_saw_end, &s->p);
        until_site_closed(s);
        assert_int_equal(i == 0, s->calls[0].h.gone); /* after end() nobody listens */
        assert_int_equal(1, s->ncalls);
        assert_false(peer_got(&s->p, "6"));
        site_free(s);
    }
}

static void an_answer_that_cannot_be_written_leaves_room_for_another(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until_calls(s, 1);
    struct heard *h = &s->calls[0].h;
    struct cmg_field bad = { CMG_STR("X"), CMG_STR("a\r\nInjected: b") };
    struct cmg_head head = response_head(200, 5, false);
    head.fields = &bad;
    head.nfields = 1;
    assert_int_equal(CMG_EPROTO, h->x->ops->head(h->x, &head));
    head = response_head(200, 5, true); /* a length and no body */
    assert_int_equal(CMG_EPROTO, h->x->ops->head(h->x, &head));
    respond(h, 502, "bad");
    until_peer_got(&s->w, &s->p, "\r\n\r\nbad");
    assert_int_equal(1, peer_count(&s->p, "HTTP/1.1 "));
    assert_false(peer_got(&s->p, "Injected"));
    site_free(s);
}

static void abort_cuts(void **state)
{
    (void)state;
    for (int after_head = 0; after_head <= 1; after_head++) {
        struct site *s = site_new(NULL);
        peer_says(&s->p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        until_calls(s, 1);
        struct cmg_exchange *x = s->calls[0].h.x;
        struct cmg_head head = response_head(200, 5, false);
        if (after_head)
            assert_int_equal(CMG_OK, x->ops->head(x, &head));
        x->ops->abort(x);
        until(&s->w, peer_saw_end, &s->p);
        until_site_closed(s);
        assert_false(s->calls[0].h.gone);
        site_free(s);
    }
}

static void a_client_that_leaves_within_its_request_is_gone(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    peer_ends(&s->p);
    until_calls(s, 1);
    until(&s->w, heard_is_gone, &s->calls[0].h);
    assert_int_equal(CMG_EIO, s->calls[0].h.fault.code);
    assert_false(s->calls[0].h.fault.unprocessed);
    until_site_closed(s);
    site_free(s);
}

/* What was read before the end of input counts, although nobody wanted it yet. */
static void a_paused_request_is_read_to_its_end_after_the_client_left(void **state)
{
    (void)state;
    struct site *s = site_new(pause_early);
    peer_says(&s->p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    peer_ends(&s->p);
    until_calls(s, 1);
    settle(&s->w);
    struct heard *h = &s->calls[0].h;
    assert_false(h->gone);
    h->x->ops->pause(h->x, false);
    until(&s->w, heard_has_ended, h);
    echo_body(h);
    until_peer_got(&s->w, &s->p, "\r\n\r\nabc");
    until_site_closed(s);
    site_free(s);
}

static void a_half_closed_client_still_gets_its_answer(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_ends(&s->p);
    until_calls(s, 1);
    settle(&s->w);
    assert_false(s->calls[0].h.gone);
    respond(&s->calls[0].h, 200, "done");
    until_peer_got(&s->w, &s->p, "\r\n\r\ndone");
    until(&s->w, peer_saw_end, &s->p);
    until_site_closed(s);
    site_free(s);
}

static void a_client_that_dies_while_it_waits_is_gone(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    s->p.keeps = false;
    peer_says(&s->p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until_calls(s, 1);
    struct heard *h = &s->calls[0].h;
    peer_clear(&s->p);
    struct cmg_head head = response_head(200, -1, false);
    assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
    h->x->ops->body(h->x, CMG_STR("into the void"));
    until(&s->w, heard_is_gone, h);
    assert_int_equal(CMG_EIO, h->fault.code);
    until_site_closed(s);
    site_free(s);
}

static void drain_lets_the_current_request_finish(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    until_calls(s, 1);
    cmg_h1conn_drain(s->c);
    respond(&s->calls[0].h, 200, "last");
    until_peer_got(&s->w, &s->p, "\r\n\r\nlast");
    assert_true(peer_got(&s->p, "Connection: close\r\n"));
    until(&s->w, peer_saw_end, &s->p);
    assert_int_equal(1, s->ncalls);
    site_free(s);
}

static void drain_at_rest_closes(void **state)
{
    (void)state;
    struct site *s = site_new(echo_target);
    peer_says(&s->p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    until_peer_got(&s->w, &s->p, "\r\n\r\n/1");
    cmg_h1conn_drain(s->c);
    until(&s->w, peer_saw_end, &s->p);
    site_free(s);
}

static void drain_and_answer(struct site *s, struct call *call)
{
    respond(&call->h, 200, call->target);
    cmg_h1conn_drain(s->c);
}

/* The first answer left without a word of closing: what is there behind it is still answered. */
static void drain_from_within_a_request_ends_the_pipeline(void **state)
{
    (void)state;
    struct site *s = site_new(drain_and_answer);
    peer_says(&s->p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                     "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    until(&s->w, peer_saw_end, &s->p);
    assert_true(peer_got(&s->p, "\r\n\r\n/1"));
    assert_true(peer_got(&s->p, "Connection: close"));
    assert_int_equal(2, s->ncalls);
    site_free(s);
}

static void a_request_on_its_way_when_we_drain_is_answered(void **state)
{
    (void)state;
    struct site *s = site_new(echo_target);
    peer_says(&s->p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    until_peer_got(&s->w, &s->p, "\r\n\r\n/1");
    cmg_h1conn_drain(s->c);
    peer_says(&s->p, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    until(&s->w, peer_saw_end, &s->p);
    assert_true(peer_got(&s->p, "Connection: close"));
    assert_int_equal(2, s->ncalls);
    site_free(s);
}

static void close_tells_the_listener(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    peer_says(&s->p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    until_calls(s, 1);
    struct heard *h = &s->calls[0].h;
    cmg_h1conn_close(s->c);
    assert_false(h->gone); /* not from inside */
    struct cmg_head head = response_head(200, 5, false);
    assert_int_equal(CMG_OK, h->x->ops->head(h->x, &head));
    assert_true(h->x->ops->body(h->x, CMG_STR("lost")));
    until(&s->w, heard_is_gone, h);
    until_site_closed(s);
    site_free(s);
}

/* ---- upgrade */

static size_t next_data(void *arg, struct cmg_str in)
{
    struct site *s = arg;
    assert_int_equal(CMG_OK, cmg_buf_put(cmg_stream_out(s->taken), in));
    cmg_stream_mark(s->taken);
    return in.n;
}

static void next_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct site *s = arg;
    (void)why, (void)detail;
    s->closed = true;
}

static const struct cmg_stream_events next_events = {
    .on_data = next_data,
    .on_closed = next_closed,
};

static const char *const upgrade_request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                                           "Upgrade: websocket\r\n\r\n";

static void an_upgrade_hands_the_stream_over_with_what_follows(void **state)
{
    (void)state;
    struct site *s = site_new(echo_target);
    s->upgrade = true;
    peer_says(&s->p, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_says(&s->p, upgrade_request);
    peer_says(&s->p, "frames");
    until_peer_got(&s->w, &s->p, "/firstframes");
    assert_string_equal("websocket", s->upgrade_to);
    peer_ends(&s->p);
    until_site_closed(s);
    site_free(s);
}

static void an_upgrade_nobody_wants_is_a_request(void **state)
{
    (void)state;
    struct site *s = site_new(echo_target);
    peer_says(&s->p, upgrade_request);
    until_peer_got(&s->w, &s->p, "\r\n\r\n/ws");
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_carries_one_request_after_another),
        cmocka_unit_test(a_head_may_come_byte_by_byte),
        cmocka_unit_test(a_hundred_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(pipelined_requests_wait_for_slow_answers),
        cmocka_unit_test(pipelining_stops_while_nothing_is_read),
        cmocka_unit_test(malformed_requests_are_refused_and_end_the_connection),
        cmocka_unit_test(a_malformed_request_behind_a_good_one_is_refused_in_its_turn),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(a_broken_chunk_is_refused_and_told),
        cmocka_unit_test(a_broken_chunk_behind_an_answer_cuts),
        cmocka_unit_test(a_slow_head_gets_408),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_stalled_request_body_gets_408),
        cmocka_unit_test(a_paused_request_body_does_not_stall),
        cmocka_unit_test(a_client_that_takes_nothing_is_cut),
        cmocka_unit_test(an_upload_is_held_back_by_pause),
        cmocka_unit_test(a_download_is_held_back_by_the_reader),
        cmocka_unit_test(trailers_follow_a_chunked_answer),
        cmocka_unit_test(answers_without_a_body_have_none),
        cmocka_unit_test(interim_answers_pass_to_http_1_1_only),
        cmocka_unit_test(http_1_0_is_kept_alive_only_when_it_asks),
        cmocka_unit_test(an_answer_that_overtakes_its_request_is_the_last),
        cmocka_unit_test(a_broken_answer_cuts_and_never_bleeds),
        cmocka_unit_test(an_answer_that_cannot_be_written_leaves_room_for_another),
        cmocka_unit_test(abort_cuts),
        cmocka_unit_test(a_client_that_leaves_within_its_request_is_gone),
        cmocka_unit_test(a_paused_request_is_read_to_its_end_after_the_client_left),
        cmocka_unit_test(a_half_closed_client_still_gets_its_answer),
        cmocka_unit_test(a_client_that_dies_while_it_waits_is_gone),
        cmocka_unit_test(drain_lets_the_current_request_finish),
        cmocka_unit_test(drain_at_rest_closes),
        cmocka_unit_test(drain_from_within_a_request_ends_the_pipeline),
        cmocka_unit_test(a_request_on_its_way_when_we_drain_is_answered),
        cmocka_unit_test(close_tells_the_listener),
        cmocka_unit_test(an_upgrade_hands_the_stream_over_with_what_follows),
        cmocka_unit_test(an_upgrade_nobody_wants_is_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
