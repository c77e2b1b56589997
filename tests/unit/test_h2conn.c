/* SPDX-License-Identifier: MIT */
/* HTTP/2, both roles: against each other, and against peers that write frames by hand. */
#include "h2_world.h"

#include "cmg/base/clock.h"

/* Messages --------------------------------------------------------------------------------- */

static void a_request_and_its_answer(void **state)
{
    (void)state;
    struct pair p;
    struct heard h;
    pair_init(&p, reply_hello);
    ask(p.client, &h, "CCM_POST", "/x?q=%20", true);
    assert_int_equal(1, cmg_h2conn_load(p.client->c));
    until(&p.w, heard_has_ended, &h);

    struct served *r = p.server->requests[0];
    assert_string_equal("CCM_POST", r->method);
    assert_string_equal("/x?q=%20", r->target);
    assert_string_equal("mp.site", r->authority);
    assert_true(r->end);
    assert_int_equal(200, h.statuses[0]);
    assert_int_equal(5, h.length);
    assert_heard(&h, "hello");
    assert_int_equal(0, cmg_h2conn_load(p.client->c));
    heard_clear(&h);
    pair_clear(&p);
}

static void reply_no_body(struct served *r)
{
    unsigned status = (unsigned)atoi(r->target + 1);
    struct cmg_head head = response_head(status, status == 204 ? -1 : 1234, true);
    assert_int_equal(CMG_OK, r->h.x->ops->head(r->h.x, &head));
}

static void answers_without_a_body_keep_their_length(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        int64_t length;
    } cases[] = { { "HEAD", "/200", 1234 }, { "GET", "/304", 1234 }, { "GET", "/204", -1 } };
    struct pair p;
    pair_init(&p, reply_no_body);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct heard h;
        ask(p.client, &h, cases[i].method, cases[i].target, true);
        until(&p.w, heard_has_ended, &h);
        assert_int_equal(cases[i].length, h.length);
        assert_true(h.head_end);
        heard_clear(&h);
    }
    pair_clear(&p);
}

static void interim_answers_and_trailers_both_ways(void **state)
{
    (void)state;
    const struct cmg_field trailer = { CMG_STR("x-sum"), CMG_STR("42") };
    struct pair p;
    struct heard h;
    pair_init(&p, NULL);
    struct cmg_exchange *x = ask(p.client, &h, "POST", "/x", false);
    until(&p.w, side_has_request, p.server);
    struct served *r = p.server->requests[0];
    struct cmg_exchange *in = r->h.x;

    for (unsigned i = 0; i < 3; i++) {
        struct cmg_head head = response_head(i ? 103 : 100, -1, false);
        assert_int_equal(CMG_OK, in->ops->head(in, &head));
    }
    x->ops->body(x, CMG_STR("ask"));
    x->ops->end(x, &trailer, 1);
    until(&p.w, heard_has_ended, &r->h);
    assert_string_equal("x-sum: 42", r->h.trailer);
    assert_heard(&r->h, "ask");

    struct cmg_head head = response_head(200, -1, false);
    assert_int_equal(CMG_OK, in->ops->head(in, &head));
    in->ops->body(in, CMG_STR("answer"));
    in->ops->end(in, &trailer, 1);
    until(&p.w, heard_has_ended, &h);
    assert_int_equal(4, h.heads);
    assert_int_equal(100, h.statuses[0]);
    assert_int_equal(103, h.statuses[2]);
    assert_int_equal(200, h.statuses[3]);
    assert_string_equal("x-sum: 42", h.trailer);
    assert_heard(&h, "answer");
    heard_clear(&h);
    pair_clear(&p);
}

static void trailers_without_a_body_arrive(void **state)
{
    (void)state;
    const struct cmg_field trailer = { CMG_STR("x-sum"), CMG_STR("0") };
    struct pair p;
    struct heard h;
    pair_init(&p, NULL);
    struct cmg_exchange *x = ask(p.client, &h, "POST", "/x", false);
    x->ops->end(x, &trailer, 1);
    until(&p.w, side_has_request, p.server);
    until(&p.w, heard_has_ended, &p.server->requests[0]->h);
    assert_string_equal("x-sum: 0", p.server->requests[0]->h.trailer);
    reply_hello(p.server->requests[0]);
    until(&p.w, heard_has_ended, &h);
    heard_clear(&h);
    pair_clear(&p);
}

static void an_answer_may_come_before_the_request_is_whole(void **state)
{
    (void)state;
    struct pair p;
    struct heard h, after;
    pair_init(&p, reply_hello);
    struct cmg_exchange *x = ask(p.client, &h, "POST", "/x", false);
    x->ops->body(x, CMG_STR("some"));
    until(&p.w, heard_has_ended, &h);
    assert_heard(&h, "hello");
    assert_int_equal(0, cmg_h2conn_load(p.client->c));

    ask(p.client, &after, "GET", "/y", true);
    until(&p.w, heard_has_ended, &after);
    assert_false(h.gone);
    heard_clear(&h);
    heard_clear(&after);
    pair_clear(&p);
}

/* RFC 9113 section 8.1: the whole answer, then RST_STREAM(NO_ERROR). */
static void a_reset_behind_the_whole_answer_is_no_failure(void **state)
{
    (void)state;
    struct raw r;
    struct heard h;
    raw_open(&r, CMG_H2_CLIENT);
    raw_start(&r);
    ask(r.side, &h, "POST", "/x", false);
    until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 1);
    wire_field(&r.f, ":status", "413");
    wire_head(&r.f, 1, true);
    wire_reset(&r.f, 1, NGHTTP2_NO_ERROR);
    until(&r.w, heard_has_ended, &h);
    settle(&r.w);
    assert_int_equal(413, h.statuses[0]);
    assert_false(h.gone);
    heard_clear(&h);
    raw_clear(&r);
}

/* Field names ------------------------------------------------------------------------------ */

static void ask_with(struct side *client, struct heard *h, const struct cmg_field *f, size_t n)
{
    struct cmg_exchange *x = cmg_h2conn_request(client->c);
    struct cmg_head head = request_head("GET", "/x", -1, true);
    head.fields = f;
    head.nfields = n;
    heard_init(h, x);
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
}

static void field_names_keep_their_case_on_a_channel(void **state)
{
    (void)state;
    const struct cmg_field f[] = {
        { CMG_STR("User-Agent"), CMG_STR("a") }, { CMG_STR("Cookie"), CMG_STR("a=1") },
        { CMG_STR("x-lower"), CMG_STR("b") },    { CMG_STR("Cookie"), CMG_STR("b=2") },
        { CMG_STR("SOAPAction"), CMG_STR("") },
    };
    struct pair p;
    struct heard h;
    pair_init(&p, reply_hello);
    ask_with(p.client, &h, f, CMG_COUNT(f));
    until(&p.w, heard_has_ended, &h);
    struct served *r = p.server->requests[0];
    assert_string_equal("User-Agent Cookie x-lower SOAPAction ", r->names);
    assert_string_equal("a=1; b=2", r->cookie);
    heard_clear(&h);
    pair_clear(&p);
}

static void foreign_peers_get_no_list_of_names(void **state)
{
    (void)state;
    const struct cmg_field f[] = { { CMG_STR("User-Agent"), CMG_STR("a") } };
    struct pair p;
    struct heard h;
    pair_open(&p);
    p.client->conf.names = false;
    p.server->conf.names = false;
    p.server->serve = reply_hello;
    pair_start(&p);
    ask_with(p.client, &h, f, 1);
    until(&p.w, heard_has_ended, &h);
    assert_string_equal("user-agent ", p.server->requests[0]->names);
    heard_clear(&h);
    pair_clear(&p);
}

static void a_list_of_names_that_lies_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *names, *want;
    } cases[] = {
        { "X-A,X-B", "X-A X-B " },         { "Content-Length,Host", "x-a x-b " },
        { "X-A\t, X-B", "X-A X-B " },      { ",,,,", "x-a x-b " },
        { "X-B,X-A", "x-a x-b " },         { "X-A", "X-A x-b " },
        { "X-A,X-B,X-C,X-D", "X-A X-B " },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct raw r;
        raw_open(&r, CMG_H2_SERVER);
        raw_start(&r);
        wire_get(&r.f);
        wire_field(&r.f, "x-a", "1");
        wire_field(&r.f, "x-b", "2");
        wire_field(&r.f, "cmg-names", cases[i].names);
        wire_head(&r.f, 1, true);
        until(&r.w, side_has_request, r.side);
        if (strcmp(cases[i].want, r.side->requests[0]->names))
            fail_msg("%s made %s", cases[i].names, r.side->requests[0]->names);
        raw_clear(&r);
    }
}

/* Aborts ----------------------------------------------------------------------------------- */

static bool first_is_gone(void *arg)
{
    struct side *s = arg;
    return s->nrequests && s->requests[0]->h.gone;
}

static void either_side_may_break_off(void **state)
{
    (void)state;
    struct pair p;
    struct heard h;
    pair_init(&p, NULL);
    struct cmg_exchange *x = ask(p.client, &h, "POST", "/x", false);
    until(&p.w, side_has_request, p.server);
    x->ops->abort(x);
    until(&p.w, first_is_gone, p.server);
    assert_false(p.server->requests[0]->h.fault.unprocessed);
    assert_false(p.server->requests[0]->h.fault.malformed);
    assert_false(h.gone);
    heard_clear(&h);

    ask(p.client, &h, "POST", "/x", false);
    while (p.server->nrequests < 2)
        settle(&p.w);
    struct cmg_exchange *in = p.server->requests[1]->h.x;
    in->ops->abort(in);
    until(&p.w, heard_is_gone, &h);
    assert_false(h.fault.unprocessed);
    assert_non_null(strstr(h.fault.text, "INTERNAL_ERROR"));
    assert_int_equal(0, cmg_h2conn_load(p.client->c));
    heard_clear(&h);
    pair_clear(&p);
}

static void an_abort_before_the_head_leaves_nothing(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL);
    struct cmg_exchange *x = cmg_h2conn_request(p.client->c);
    x->ops->abort(x);
    assert_int_equal(0, cmg_h2conn_load(p.client->c));
    struct heard h;
    x = ask(p.client, &h, "GET", "/x", true);
    x->ops->abort(x); /* submitted, not sent yet */
    settle(&p.w);
    assert_int_equal(0, p.server->nrequests);
    assert_false(h.gone);
    heard_clear(&h);
    pair_clear(&p);
}

static void a_head_too_large_for_us_is_refused_before_it_is_sent(void **state)
{
    (void)state;
    struct cmg_field f[200];
    struct pair p;
    pair_init(&p, NULL);
    for (size_t i = 0; i < CMG_COUNT(f); i++)
        f[i] = (struct cmg_field){ CMG_STR("x"), CMG_STR("y") };
    struct cmg_exchange *x = cmg_h2conn_request(p.client->c);
    struct cmg_head head = request_head("GET", "/x", -1, true);
    head.fields = f;
    head.nfields = CMG_COUNT(f);
    assert_int_equal(CMG_ETOOBIG, x->ops->head(x, &head));
    x->ops->abort(x);
    pair_clear(&p);
}

/* Queues ----------------------------------------------------------------------------------- */

static bool two_requests(void *arg)
{
    return ((struct side *)arg)->nrequests >= 2;
}

static bool four_requests(void *arg)
{
    return ((struct side *)arg)->nrequests >= 4;
}

static void more_than_the_peer_allows_are_queued(void **state)
{
    (void)state;
    struct pair p;
    struct heard h[5];
    struct cmg_exchange *x[5];
    pair_open(&p);
    p.server->conf.max_streams = 2;
    pair_start(&p);
    until(&p.w, side_is_ready, p.client);
    for (unsigned i = 0; i < 5; i++) {
        char target[8] = { '/', (char)('0' + i), '\0' };
        x[i] = ask(p.client, &h[i], "GET", target, true);
    }
    assert_int_equal(5, cmg_h2conn_load(p.client->c));
    until(&p.w, two_requests, p.server);
    settle(&p.w);
    assert_int_equal(2, p.server->nrequests);
    x[3]->ops->abort(x[3]); /* from the queue */
    assert_int_equal(4, cmg_h2conn_load(p.client->c));
    p.server->serve = reply_hello;
    reply_hello(p.server->requests[0]);
    reply_hello(p.server->requests[1]);
    until(&p.w, four_requests, p.server);
    for (unsigned i = 0; i < 5; i++)
        if (i != 3)
            until(&p.w, heard_has_ended, &h[i]);
    assert_false(h[3].gone || h[3].ended);
    assert_string_equal("/2", p.server->requests[2]->target);
    assert_string_equal("/4", p.server->requests[3]->target);
    for (unsigned i = 0; i < 5; i++)
        heard_clear(&h[i]);
    pair_clear(&p);
}

static void queued_requests_go_elsewhere_as_soon_as_the_peer_drains(void **state)
{
    (void)state;
    struct pair p;
    struct heard h[3];
    pair_open(&p);
    p.server->conf.max_streams = 1;
    pair_start(&p);
    until(&p.w, side_is_ready, p.client);
    for (unsigned i = 0; i < 3; i++)
        ask(p.client, &h[i], "GET", "/x", true);
    until(&p.w, side_has_request, p.server);
    cmg_h2conn_drain(p.server->c, 5000);
    until(&p.w, heard_is_gone, &h[1]);
    until(&p.w, heard_is_gone, &h[2]);
    assert_true(h[1].fault.unprocessed && h[2].fault.unprocessed);
    assert_false(p.client->closed || h[0].gone);
    assert_null(cmg_h2conn_request(p.client->c));
    reply_hello(p.server->requests[0]);
    until(&p.w, heard_has_ended, &h[0]);
    until(&p.w, side_is_closed, p.client);
    until(&p.w, side_is_closed, p.server);
    assert_int_equal(1, p.server->nrequests);
    for (unsigned i = 0; i < 3; i++)
        heard_clear(&h[i]);
    pair_clear(&p);
}

static bool all_requests(void *arg)
{
    struct side *s = arg;
    return s->nrequests >= s->conf.max_streams;
}

static void five_thousand_at_once(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct pair p;
    struct heard *h = cmg_alloc(N * sizeof(*h));
    pair_open(&p);
    p.server->conf.max_streams = N;
    pair_start(&p);
    until(&p.w, side_is_ready, p.client);
    for (unsigned i = 0; i < N; i++)
        ask(p.client, &h[i], "GET", "/x", true);
    assert_int_equal(N, cmg_h2conn_load(p.client->c));
    until(&p.w, all_requests, p.server);
    for (unsigned i = N; i--;)
        reply_hello(p.server->requests[i]);
    for (unsigned i = 0; i < N; i++) {
        until(&p.w, heard_has_ended, &h[i]);
        heard_clear(&h[i]);
    }
    assert_int_equal(0, cmg_h2conn_load(p.client->c));
    free(h);
    pair_clear(&p);
}

static bool side_saw_all(void *arg)
{
    struct side *s = arg;
    return s->nrequests >= 20000 && s->requests[19999]->h.gone;
}

static void clients_that_give_up_do_not_end_a_channel(void **state)
{
    (void)state;
    enum { N = 20000, STEP = 100 };
    struct pair p;
    struct heard *h = cmg_alloc(N * sizeof(*h)), after;
    pair_open(&p);
    p.server->conf.max_streams = 1000;
    pair_start(&p);
    until(&p.w, side_is_ready, p.client);
    for (unsigned i = 0; i < N; i += STEP) {
        struct cmg_exchange *x[STEP];
        for (unsigned k = 0; k < STEP; k++)
            x[k] = ask(p.client, &h[i + k], "GET", "/x", true);
        while (p.server->nrequests < i + STEP)
            world_run(&p.w, NULL, NULL, 1);
        for (unsigned k = 0; k < STEP; k++)
            x[k]->ops->abort(x[k]);
    }
    until(&p.w, side_saw_all, p.server);
    p.server->serve = reply_hello;
    ask(p.client, &after, "GET", "/x", true);
    until(&p.w, heard_has_ended, &after);
    assert_false(p.client->closed || p.server->closed);
    for (unsigned i = 0; i < N; i++)
        heard_clear(&h[i]);
    free(h);
    heard_clear(&after);
    pair_clear(&p);
}

/* What was certainly not acted on ----------------------------------------------------------- */

struct verdict {
    const char *says;
    unsigned interim;
    uint32_t reset;
    bool unprocessed, malformed;
};

static void a_refused_stream_is_unprocessed_unless_it_was_answered(void **state)
{
    (void)state;
    static const struct verdict cases[] = {
        { "refused", 0, NGHTTP2_REFUSED_STREAM, true, false },
        { "cancelled", 0, NGHTTP2_CANCEL, false, false },
        { "no error", 0, NGHTTP2_NO_ERROR, false, false },
        { "refused after a 103", 103, NGHTTP2_REFUSED_STREAM, false, false },
        { "refused after a 200", 200, NGHTTP2_REFUSED_STREAM, false, false },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct raw r;
        struct heard h;
        raw_open(&r, CMG_H2_CLIENT);
        raw_start(&r);
        ask(r.side, &h, "GET", "/x", true);
        until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 1);
        if (cases[i].interim) {
            wire_field(&r.f, ":status", cases[i].interim == 103 ? "103" : "200");
            wire_head(&r.f, 1, false);
        }
        wire_reset(&r.f, 1, cases[i].reset);
        until(&r.w, heard_is_gone, &h);
        if (h.fault.unprocessed != cases[i].unprocessed || h.fault.malformed != cases[i].malformed)
            fail_msg("%s: %s", cases[i].says, h.fault.text);
        heard_clear(&h);
        raw_clear(&r);
    }
}

static void goaway_tells_the_processed_from_the_rest(void **state)
{
    (void)state;
    struct raw r;
    struct heard h[3];
    raw_open(&r, CMG_H2_CLIENT);
    raw_start(&r);
    for (unsigned i = 0; i < 3; i++)
        ask(r.side, &h[i], "GET", "/x", true);
    until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 3);
    wire_goaway(&r.f, 3, NGHTTP2_NO_ERROR);
    until(&r.w, heard_is_gone, &h[2]);
    assert_true(h[2].fault.unprocessed);
    assert_false(h[0].gone || h[1].gone);
    assert_int_equal(1, r.side->draining);
    wire_field(&r.f, ":status", "204");
    wire_head(&r.f, 1, true);
    until(&r.w, heard_has_ended, &h[0]);
    peer_clear(&r.f.p); /* and is gone before it answered the other */
    until(&r.w, heard_is_gone, &h[1]);
    assert_false(h[1].fault.unprocessed);
    for (unsigned i = 0; i < 3; i++)
        heard_clear(&h[i]);
    raw_clear(&r);
}

static void a_peer_killed_in_mid_flight_may_have_acted(void **state)
{
    (void)state;
    struct raw r;
    struct heard sent, stuck, unsent;
    raw_open(&r, CMG_H2_CLIENT);
    raw_start(&r);
    ask(r.side, &sent, "GET", "/x", true);
    until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 1);
    /* Fill the socket, so that what follows cannot leave. */
    r.f.p.reads = false;
    peer_want(&r.f.p);
    wire_setting(&r.f, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 64 * MIB);
    wire_window(&r.f, 0, 64 * MIB);
    struct cmg_str bulk = run_of('b', 4 * MIB);
    struct cmg_exchange *x = ask(r.side, &stuck, "POST", "/x", false);
    x->ops->body(x, bulk);
    settle(&r.w);
    ask(r.side, &unsent, "GET", "/x", true);
    settle(&r.w);
    peer_clear(&r.f.p);
    until(&r.w, heard_is_gone, &unsent);
    assert_true(sent.gone && stuck.gone);
    assert_false(sent.fault.unprocessed);
    assert_false(stuck.fault.unprocessed);
    assert_true(unsent.fault.unprocessed);
    until(&r.w, side_is_closed, r.side);
    free_run(bulk);
    heard_clear(&sent);
    heard_clear(&stuck);
    heard_clear(&unsent);
    raw_clear(&r);
}

static void a_broken_answer_is_the_peers_fault(void **state)
{
    (void)state;
    struct raw r;
    struct heard h[3], good;
    raw_open(&r, CMG_H2_CLIENT);
    raw_start(&r);
    for (unsigned i = 0; i < 3; i++)
        ask(r.side, &h[i], "GET", "/x", true);
    until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 3);
    wire_field(&r.f, ":status", "200");
    wire_field(&r.f, "content-length", "10");
    wire_head(&r.f, 1, true); /* promised more */
    wire_field(&r.f, ":status", "200");
    wire_field(&r.f, "Upper", "case");
    wire_head(&r.f, 3, true);
    wire_field(&r.f, ":status", "200");
    wire_field(&r.f, "content-length", "3");
    wire_head(&r.f, 5, false);
    wire_frame(&r.f, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 5, CMG_STR("four"));
    for (unsigned i = 0; i < 3; i++) {
        until(&r.w, heard_is_gone, &h[i]);
        assert_true(h[i].fault.malformed);
        assert_false(h[i].fault.unprocessed || h[i].ended);
        heard_clear(&h[i]);
    }
    ask(r.side, &good, "GET", "/x", true);
    until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 4);
    wire_field(&r.f, ":status", "204");
    wire_head(&r.f, 7, true);
    until(&r.w, heard_has_ended, &good);
    heard_clear(&good);
    raw_clear(&r);
}

static void an_answer_head_too_large_fails_its_exchange_only(void **state)
{
    (void)state;
    struct raw r;
    struct heard h;
    raw_open(&r, CMG_H2_CLIENT);
    raw_start(&r);
    ask(r.side, &h, "GET", "/x", true);
    until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 1);
    wire_field(&r.f, ":status", "200");
    struct cmg_str v = run_of('v', 15 * KIB);
    char *value = cmg_alloc(v.n + 1);
    memcpy(value, v.p, v.n);
    wire_field(&r.f, "x-long", value);
    wire_head(&r.f, 1, true);
    wire_frame(&r.f, NGHTTP2_PING, 0, 0, CMG_STR("12345678"));
    settle(&r.w);
    assert_true(h.ended);
    heard_clear(&h);

    ask(r.side, &h, "GET", "/x", true);
    until_wire(&r.w, &r.f, NGHTTP2_HEADERS, 2);
    wire_field(&r.f, ":status", "200");
    wire_field(&r.f, "x-long", value);
    for (unsigned i = 0; i < 30; i++)
        wire_field(&r.f, "x", "yyyyyyyyyyyyyyyy");
    wire_frame(&r.f, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 3,
               (struct cmg_str){ r.f.block.p, 15000 });
    wire_frame(&r.f, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 3,
               cmg_str_from(cmg_buf_str(&r.f.block), 15000));
    cmg_buf_clear(&r.f.block);
    until(&r.w, heard_is_gone, &h);
    assert_true(h.fault.malformed);
    assert_int_equal(CMG_ETOOBIG, h.fault.code);
    assert_false(r.side->closed);
    free(value);
    free_run(v);
    heard_clear(&h);
    raw_clear(&r);
}

/* Drain ------------------------------------------------------------------------------------ */

struct racer {
    struct pair *p;
    struct cmg_timer *timer;
    struct heard h[400];
    unsigned n;
    bool stopped;
};

/* Asks as long as the connection takes requests. */
static void race(void *arg)
{
    struct racer *r = arg;
    for (unsigned i = 0; i < 5 && !r->stopped; i++)
        if (r->n < CMG_COUNT(r->h) && r->p->client->c &&
            ask(r->p->client, &r->h[r->n], "GET", "/x", true))
            r->n++;
        else
            r->stopped = true;
    if (!r->stopped)
        cmg_timer_set(r->timer, 1);
}

static bool racer_has_started(void *arg)
{
    return ((struct racer *)arg)->n >= 20;
}

static void no_request_is_lost_in_a_drain(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 10; round++) {
        struct pair p;
        struct racer *r = cmg_alloc(sizeof(*r));
        unsigned answered = 0, refused = 0;
        pair_init(&p, NULL);
        r->p = &p;
        r->timer = cmg_timer_new(p.w.loop, race, r);
        cmg_timer_set(r->timer, 0);
        until(&p.w, racer_has_started, r);
        cmg_h2conn_drain(p.server->c, 8000);
        until(&p.w, flag_is_set, &r->stopped);
        settle(&p.w);
        p.server->serve = reply_hello;
        for (unsigned i = 0; i < p.server->nrequests; i++)
            if (!p.server->requests[i]->h.over)
                reply_hello(p.server->requests[i]);
        until(&p.w, side_is_closed, p.client);
        until(&p.w, side_is_closed, p.server);
        for (unsigned i = 0; i < r->n; i++) {
            struct heard *h = &r->h[i];
            assert_true(h->ended || (h->gone && h->fault.unprocessed));
            answered += h->ended;
            refused += h->gone;
            heard_clear(h);
        }
        /* Nothing that was called unprocessed had reached anybody. */
        assert_int_equal(p.server->nrequests, answered);
        assert_int_equal(r->n, answered + refused);
        cmg_timer_free(r->timer);
        free(r);
        pair_clear(&p);
    }
}

/* The peer answers no PING: the last GOAWAY goes out after a while. What comes behind it was
 * not processed, and is not. */
static void what_comes_behind_the_last_goaway_is_refused(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, CMG_H2_SERVER);
    raw_start(&r);
    r.f.quiet = true;
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    cmg_h2conn_drain(r.side->c, 8000);
    until_wire(&r.w, &r.f, NGHTTP2_GOAWAY, 1);
    assert_int_equal(INT32_MAX, r.f.goaway_last);
    wire_get(&r.f);
    wire_head(&r.f, 3, true); /* raced: taken */
    until(&r.w, two_requests, r.side);
    until_wire(&r.w, &r.f, NGHTTP2_GOAWAY, 2);
    assert_int_equal(3, r.f.goaway_last);
    wire_get(&r.f);
    wire_head(&r.f, 5, true);
    settle(&r.w);
    assert_int_equal(2, r.side->nrequests);
    reply_hello(r.side->requests[0]);
    reply_hello(r.side->requests[1]);
    until(&r.w, side_is_closed, r.side);
    wire_look(&r.f);
    assert_int_equal(200, r.f.statuses[1]);
    assert_int_equal(200, r.f.statuses[3]);
    raw_clear(&r);
}

/* The same, read together with what made us write it: not sent yet, but said. */
static void what_comes_with_the_last_pong_is_refused(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, CMG_H2_SERVER);
    raw_start(&r);
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    r.f.quiet = true;
    cmg_h2conn_drain(r.side->c, 8000);
    until_wire(&r.w, &r.f, NGHTTP2_PING, 1);
    wire_frame(&r.f, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, (struct cmg_str){ "drain\0\0\0", 8 });
    wire_get(&r.f);
    wire_head(&r.f, 3, true);
    until_wire(&r.w, &r.f, NGHTTP2_GOAWAY, 2);
    assert_int_equal(1, r.f.goaway_last);
    settle(&r.w);
    assert_int_equal(1, r.side->nrequests);
    reply_hello(r.side->requests[0]);
    until(&r.w, side_is_closed, r.side);
    wire_look(&r.f);
    assert_int_equal(200, r.f.statuses[1]);
    raw_clear(&r);
}

static void a_drain_ends_at_its_deadline(void **state)
{
    (void)state;
    struct pair p;
    struct heard h;
    pair_init(&p, NULL);
    ask(p.client, &h, "GET", "/x", true);
    until(&p.w, side_has_request, p.server);
    cmg_h2conn_drain(p.server->c, 60000);
    cmg_h2conn_drain(p.server->c, 50); /* less patience than before */
    until(&p.w, side_is_closed, p.server);
    until(&p.w, heard_is_gone, &h);
    assert_string_equal("the time to drain was up", p.server->detail);
    assert_false(h.fault.unprocessed);
    heard_clear(&h);
    pair_clear(&p);
}

static void a_client_drains_what_is_in_flight(void **state)
{
    (void)state;
    struct pair p;
    struct heard h;
    pair_init(&p, NULL);
    ask(p.client, &h, "GET", "/x", true);
    until(&p.w, side_has_request, p.server);
    cmg_h2conn_drain(p.client->c, 5000);
    assert_null(cmg_h2conn_request(p.client->c));
    settle(&p.w);
    assert_false(p.client->closed);
    reply_hello(p.server->requests[0]);
    until(&p.w, heard_has_ended, &h);
    until(&p.w, side_is_closed, p.client);
    until(&p.w, side_is_closed, p.server);
    heard_clear(&h);
    pair_clear(&p);
}

/* Back-pressure ---------------------------------------------------------------------------- */

struct source {
    struct cmg_exchange *x;
    struct cmg_str piece;
    uint64_t left;
    bool full;
};

static void pour(struct source *s)
{
    s->full = false;
    while (s->left && !s->full) {
        s->full = !s->x->ops->body(s->x, s->piece);
        s->left -= s->piece.n;
    }
    if (!s->left && s->x) {
        s->x->ops->end(s->x, NULL, 0);
        s->x = NULL;
    }
}

static void on_source_room(void *arg)
{
    pour(arg);
}

static void on_source_gone(void *arg, const struct cmg_fault *why)
{
    (void)why;
    ((struct source *)arg)->x = NULL;
}

static void on_source_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    (void)arg, (void)trailers, (void)n;
}

static const struct cmg_exchange_events source_events = { .on_room = on_source_room,
                                                          .on_gone = on_source_gone,
                                                          .on_end = on_source_end };

static void source_start(struct source *s, struct served *r, struct cmg_str piece, uint64_t bytes)
{
    *s = (struct source){ .x = r->h.x, .piece = piece, .left = bytes };
    cmg_exchange_listen(r->h.x, &source_events, s);
    struct cmg_head head = response_head(200, (int64_t)bytes, false);
    assert_int_equal(CMG_OK, s->x->ops->head(s->x, &head));
    pour(s);
}

static void a_paused_exchange_costs_one_window_and_stops_nobody(void **state)
{
    (void)state;
    enum { WINDOW = 256 * KIB, BULK = 100 * MIB };
    struct pair p;
    struct heard slow, fast;
    struct source s[2];
    struct cmg_str piece = run_of('p', 64 * KIB);
    pair_init(&p, NULL);
    struct cmg_exchange *x = ask(p.client, &slow, "GET", "/slow", true);
    x->ops->pause(x, true);
    ask(p.client, &fast, "GET", "/fast", true);
    until(&p.w, two_requests, p.server);
    source_start(&s[0], p.server->requests[0], piece, 8 * MIB);
    source_start(&s[1], p.server->requests[1], piece, BULK);
    if (!world_run(&p.w, heard_has_ended, &fast, 60000))
        fail_msg("%llu bytes only", (unsigned long long)fast.bytes);
    assert_int_equal(BULK, fast.bytes);
    assert_in_range(slow.bytes, 1, WINDOW);
    assert_true(s[0].full);

    x->ops->pause(x, false);
    until(&p.w, heard_has_ended, &slow);
    assert_int_equal(8 * MIB, slow.bytes);
    free_run(piece);
    heard_clear(&slow);
    heard_clear(&fast);
    pair_clear(&p);
}

/* Twenty paused streams could hold 5 MiB; the ceiling says one. When they end, the connection
 * goes on. */
static void the_ceiling_for_memory_holds_and_lets_go(void **state)
{
    (void)state;
    enum { N = 20 };
    struct pair p;
    struct heard h[N], last;
    struct cmg_exchange *x[N];
    struct source s[N + 1];
    struct cmg_str piece = run_of('p', 64 * KIB);
    uint64_t held = 0;
    pair_open(&p);
    p.client->conf.memory_bytes = MIB;
    pair_start(&p);
    until(&p.w, side_is_ready, p.client);
    for (unsigned i = 0; i < N; i++) {
        x[i] = ask(p.client, &h[i], "GET", "/x", true);
        x[i]->ops->pause(x[i], true);
    }
    while (p.server->nrequests < N)
        settle(&p.w);
    for (unsigned i = 0; i < N; i++)
        source_start(&s[i], p.server->requests[i], piece, MIB);
    while (held < MIB / 2) {
        settle(&p.w);
        held = 0;
        for (unsigned i = 0; i < N; i++)
            held += h[i].bytes;
    }
    settle(&p.w);
    held = 0;
    for (unsigned i = 0; i < N; i++)
        held += h[i].bytes;
    assert_in_range(held, MIB / 2, MIB);
    for (unsigned i = 0; i < N; i++)
        x[i]->ops->abort(x[i]);
    ask(p.client, &last, "GET", "/last", true);
    while (p.server->nrequests <= N)
        settle(&p.w);
    source_start(&s[N], p.server->requests[N], piece, 8 * MIB);
    until(&p.w, heard_has_ended, &last);
    assert_int_equal(8 * MIB, last.bytes);
    for (unsigned i = 0; i < N; i++)
        heard_clear(&h[i]);
    heard_clear(&last);
    free_run(piece);
    pair_clear(&p);
}

static void bytes_of_a_request_that_is_whole_are_held_no_more(void **state)
{
    (void)state;
    struct pair p;
    struct heard h[8], last;
    struct cmg_str piece = run_of('p', 200 * KIB);
    pair_open(&p);
    p.server->conf.memory_bytes = MIB;
    pair_start(&p);
    until(&p.w, side_is_ready, p.client);
    for (unsigned i = 0; i < 8; i++) {
        struct cmg_exchange *x = ask(p.client, &h[i], "POST", "/x", false);
        while (p.server->nrequests <= i)
            settle(&p.w);
        struct served *r = p.server->requests[i];
        r->h.x->ops->pause(r->h.x, true);
        x->ops->body(x, piece);
        x->ops->end(x, NULL, 0);
        until(&p.w, heard_has_ended, &r->h);
    }
    p.server->serve = reply_hello;
    ask(p.client, &last, "GET", "/x", true);
    until(&p.w, heard_has_ended, &last);
    for (unsigned i = 0; i < 8; i++)
        heard_clear(&h[i]);
    heard_clear(&last);
    free_run(piece);
    pair_clear(&p);
}

/* Endings ---------------------------------------------------------------------------------- */

static struct side *to_refuse;

static void refuse_in_event(struct heard *h)
{
    (void)h;
    cmg_h2conn_refuse(to_refuse->c, "not admitted: who are you");
}

static void a_refusal_from_inside_an_event_arrives_whole(void **state)
{
    (void)state;
    struct pair p;
    struct heard h[20];
    pair_init(&p, reply_hello);
    to_refuse = p.client;
    for (unsigned i = 0; i < 20; i++)
        ask(p.client, &h[i], "GET", "/x", true);
    h[0].then = refuse_in_event;
    until(&p.w, side_is_closed, p.server);
    until(&p.w, side_is_closed, p.client);
    assert_non_null(strstr(p.server->detail, "not admitted: who are you"));
    for (unsigned i = 0; i < 20; i++) {
        assert_true(h[i].ended || h[i].gone);
        heard_clear(&h[i]);
    }
    pair_clear(&p);
}

static struct side *to_close;

static void close_in_event(struct heard *h)
{
    (void)h;
    cmg_h2conn_close(to_close->c);
}

static void close_in_exchange(struct served *r)
{
    cmg_h2conn_close(r->side->c);
}

static void closing_from_inside_an_event_is_safe(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 3; which++) {
        struct pair p;
        struct heard h[4];
        pair_init(&p, which == 2 ? close_in_exchange : reply_hello);
        to_close = p.client;
        for (unsigned i = 0; i < 4; i++)
            ask(p.client, &h[i], "GET", "/x", true);
        if (which == 0)
            h[1].then = close_in_event;
        if (which == 1)
            h[1].each = close_in_event;
        until(&p.w, side_is_closed, p.client);
        until(&p.w, side_is_closed, p.server);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(h[i].ended || h[i].gone);
            heard_clear(&h[i]);
        }
        pair_clear(&p);
    }
}

/* Between close and on_closed an owner may still hold exchanges, and use them. */
static void exchanges_of_a_closing_connection_may_be_used(void **state)
{
    (void)state;
    struct pair p;
    struct heard h[3];
    struct cmg_exchange *x[3];
    pair_init(&p, NULL);
    for (unsigned i = 0; i < 3; i++)
        x[i] = ask(p.client, &h[i], "POST", "/x", false);
    struct cmg_exchange *fresh = cmg_h2conn_request(p.client->c);
    while (p.server->nrequests < 3)
        settle(&p.w);
    cmg_h2conn_close(p.client->c);
    assert_null(cmg_h2conn_request(p.client->c));
    x[0]->ops->body(x[0], CMG_STR("more"));
    x[0]->ops->pause(x[0], true);
    x[0]->ops->pause(x[0], false);
    x[1]->ops->end(x[1], NULL, 0);
    x[2]->ops->abort(x[2]);
    fresh->ops->abort(fresh);
    cmg_h2conn_drain(p.client->c, 10);
    cmg_h2conn_refuse(p.client->c, "late");
    until(&p.w, side_is_closed, p.client);
    assert_true(h[0].gone && h[1].gone && !h[2].gone);
    until(&p.w, side_is_closed, p.server);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(p.server->requests[i]->h.gone);
        heard_clear(&h[i]);
    }
    pair_clear(&p);
}

/* The flavour of HAProxy ------------------------------------------------------------------- */

static void whoever_dialed_may_send_the_preface(void **state)
{
    (void)state;
    struct pair p;
    struct heard h;
    pair_open(&p);
    p.client->conf.preface = p.server->conf.preface = CMG_H2_PREFACE_SERVER;
    p.server->serve = reply_hello;
    pair_start(&p);
    ask(p.client, &h, "GET", "/x", true); /* at once, before anything was heard */
    until(&p.w, heard_has_ended, &h);
    assert_heard(&h, "hello");
    heard_clear(&h);
    pair_clear(&p);
}

static void a_preface_may_come_in_pieces_but_must_be_one(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, CMG_H2_CLIENT);
    r.side->conf.preface = CMG_H2_PREFACE_SERVER;
    side_start(r.side, wire_init(&r.f, &r.w));
    for (const char *c = NGHTTP2_CLIENT_MAGIC; *c; c++) {
        peer_says_bytes(&r.f.p, (struct cmg_str){ c, 1 });
        world_run(&r.w, NULL, NULL, 1);
    }
    wire_settings(&r.f);
    until(&r.w, side_is_ready, r.side);
    until_wire(&r.w, &r.f, NGHTTP2_SETTINGS, 1); /* and no preface before it */
    raw_clear(&r);

    raw_open(&r, CMG_H2_CLIENT);
    r.side->conf.preface = CMG_H2_PREFACE_SERVER;
    side_start(r.side, wire_init(&r.f, &r.w));
    peer_says(&r.f.p, "GET / HTTP/1.1\r\n");
    until(&r.w, side_is_closed, r.side);
    assert_string_equal("the peer does not speak HTTP/2", r.side->detail);
    raw_clear(&r);
}

/* Time ------------------------------------------------------------------------------------- */

static bool has_pinged_twice(void *arg)
{
    return ((struct side *)arg)->pings >= 2;
}

static void pings_prove_life_and_silence_ends_it(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    p.client->conf.ping_ms = 20;
    p.client->conf.ping_deadline_ms = 5000;
    pair_start(&p);
    until(&p.w, has_pinged_twice, p.client);
    pair_clear(&p);

    struct raw r;
    struct heard h;
    raw_open(&r, CMG_H2_CLIENT);
    r.side->conf.ping_ms = 20;
    r.side->conf.ping_deadline_ms = 50;
    raw_start(&r);
    r.f.quiet = true;
    ask(r.side, &h, "GET", "/x", true);
    until(&r.w, side_is_closed, r.side);
    assert_non_null(strstr(r.side->detail, "no sign of life"));
    assert_true(h.gone && !h.fault.unprocessed);
    heard_clear(&h);
    raw_clear(&r);
}

static void an_idle_client_is_sent_away(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, CMG_H2_SERVER);
    r.side->conf.idle_ms = 50;
    raw_start(&r);
    until_wire(&r.w, &r.f, NGHTTP2_GOAWAY, 1);
    until(&r.w, wire_ended, &r.f);
    assert_int_equal(NGHTTP2_NO_ERROR, r.f.goaway_code);
    until(&r.w, side_is_closed, r.side);
    raw_clear(&r);
}

/* It was on its way when the GOAWAY left: it is answered, however long that takes. */
static void a_request_that_crosses_an_idle_close_is_answered(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, CMG_H2_SERVER);
    r.side->conf.idle_ms = 50;
    raw_start(&r);
    r.f.quiet = true;
    until_wire(&r.w, &r.f, NGHTTP2_GOAWAY, 1);
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    world_run(&r.w, NULL, NULL, 1500); /* longer than an idle connection would have had */
    reply_hello(r.side->requests[0]);
    until_wire(&r.w, &r.f, NGHTTP2_DATA, 1);
    assert_int_equal(200, r.f.statuses[1]);
    until(&r.w, side_is_closed, r.side);
    raw_clear(&r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_request_and_its_answer),
    cmocka_unit_test(answers_without_a_body_keep_their_length),
    cmocka_unit_test(interim_answers_and_trailers_both_ways),
    cmocka_unit_test(trailers_without_a_body_arrive),
    cmocka_unit_test(an_answer_may_come_before_the_request_is_whole),
    cmocka_unit_test(a_reset_behind_the_whole_answer_is_no_failure),
    cmocka_unit_test(field_names_keep_their_case_on_a_channel),
    cmocka_unit_test(foreign_peers_get_no_list_of_names),
    cmocka_unit_test(a_list_of_names_that_lies_changes_nothing),
    cmocka_unit_test(either_side_may_break_off),
    cmocka_unit_test(an_abort_before_the_head_leaves_nothing),
    cmocka_unit_test(a_head_too_large_for_us_is_refused_before_it_is_sent),
    cmocka_unit_test(more_than_the_peer_allows_are_queued),
    cmocka_unit_test(queued_requests_go_elsewhere_as_soon_as_the_peer_drains),
    cmocka_unit_test(five_thousand_at_once),
    cmocka_unit_test(clients_that_give_up_do_not_end_a_channel),
    cmocka_unit_test(a_refused_stream_is_unprocessed_unless_it_was_answered),
    cmocka_unit_test(goaway_tells_the_processed_from_the_rest),
    cmocka_unit_test(a_peer_killed_in_mid_flight_may_have_acted),
    cmocka_unit_test(a_broken_answer_is_the_peers_fault),
    cmocka_unit_test(an_answer_head_too_large_fails_its_exchange_only),
    cmocka_unit_test(no_request_is_lost_in_a_drain),
    cmocka_unit_test(what_comes_behind_the_last_goaway_is_refused),
    cmocka_unit_test(what_comes_with_the_last_pong_is_refused),
    cmocka_unit_test(a_drain_ends_at_its_deadline),
    cmocka_unit_test(a_client_drains_what_is_in_flight),
    cmocka_unit_test(a_paused_exchange_costs_one_window_and_stops_nobody),
    cmocka_unit_test(the_ceiling_for_memory_holds_and_lets_go),
    cmocka_unit_test(bytes_of_a_request_that_is_whole_are_held_no_more),
    cmocka_unit_test(a_refusal_from_inside_an_event_arrives_whole),
    cmocka_unit_test(closing_from_inside_an_event_is_safe),
    cmocka_unit_test(exchanges_of_a_closing_connection_may_be_used),
    cmocka_unit_test(whoever_dialed_may_send_the_preface),
    cmocka_unit_test(a_preface_may_come_in_pieces_but_must_be_one),
    cmocka_unit_test(pings_prove_life_and_silence_ends_it),
    cmocka_unit_test(an_idle_client_is_sent_away),
    cmocka_unit_test(a_request_that_crosses_an_idle_close_is_answered),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
