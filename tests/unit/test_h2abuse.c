/* SPDX-License-Identifier: MIT */
/* What strangers may do to a public HTTP/2 server, frame by frame. */
#include "h2_world.h"

#include "cmg/base/clock.h"

static void public_open(struct raw *r)
{
    raw_open(r, CMG_H2_SERVER);
    r->side->conf.channel = r->side->conf.names = false;
}

static void public_init(struct raw *r)
{
    public_open(r);
    raw_start(r);
}

static bool side_is_gone(void *arg)
{
    struct raw *r = arg;
    wire_look(&r->f);
    return r->side->closed;
}

/* The connection ended, and the peer was told to calm down. */
static void until_calmed(struct raw *r)
{
    until(&r->w, side_is_gone, r);
    until(&r->w, wire_ended, &r->f);
    assert_int_equal(NGHTTP2_ENHANCE_YOUR_CALM, r->f.goaway_code);
}

/* Another request on the same connection is answered. */
static void assert_lives(struct raw *r, uint32_t stream)
{
    r->side->serve = reply_hello;
    wire_get(&r->f);
    wire_head(&r->f, stream, true);
    for (int64_t end = cmg_clock_ms() + DEADLINE_MS; !r->f.statuses[stream];) {
        world_run(&r->w, NULL, NULL, 1);
        wire_look(&r->f);
        if (cmg_clock_ms() > end || r->side->closed)
            fail_msg("no answer any more: %s", r->side->detail);
    }
    assert_int_equal(200, r->f.statuses[stream]);
}

static void until_status(struct raw *r, uint32_t stream, unsigned status)
{
    for (int64_t end = cmg_clock_ms() + DEADLINE_MS; !r->f.statuses[stream];) {
        world_run(&r->w, NULL, NULL, 1);
        wire_look(&r->f);
        if (cmg_clock_ms() > end)
            fail_msg("no status for stream %u", stream);
    }
    assert_int_equal(status, r->f.statuses[stream]);
}

/* Memory ----------------------------------------------------------------------------------- */

/* The most memory that this process had since the last call; kilobytes. */
static long peak_kb(void)
{
    char line[128];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        sscanf(line, "VmHWM: %ld", &kb);
    if (f)
        fclose(f);
    f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
    return kb;
}

/* One field of 4000 bytes, learnt, and then 12,000 times one byte that means it: 47 MB. */
static void a_header_bomb_stays_small(void **state)
{
    (void)state;
    struct raw r;
    public_init(&r);
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    reply_hello(r.side->requests[0]);

    struct cmg_str value = run_of('v', 4000);
    for (uint32_t stream = 3; stream < 23; stream += 2) {
        wire_get(&r.f);
        if (stream == 3) {
            assert_int_equal(CMG_OK, cmg_buf_put(&r.f.block, CMG_STR("\x40\x01z")));
            put_length(&r.f.block, value.n);
            assert_int_equal(CMG_OK, cmg_buf_put(&r.f.block, value));
        }
        for (unsigned i = 0; i < 12000; i++)
            assert_int_equal(CMG_OK, cmg_buf_put(&r.f.block, CMG_STR("\xbe")));
        (void)peak_kb();
        long before = peak_kb();
        wire_head(&r.f, stream, true);
        until_status(&r, stream, 431);
        long after = peak_kb();
        if (stream > 5) /* the first ones pay for the socket's own queues */
            assert_in_range(after - before, 0, 512);
    }
    assert_int_equal(1, r.side->nrequests);
    assert_lives(&r, 23);
    free_run(value);
    raw_clear(&r);
}

static void heads_too_large_are_told_so(void **state)
{
    (void)state;
    struct raw r;
    public_init(&r);
    wire_get(&r.f);
    for (unsigned i = 0; i < 125; i++) /* with the four others, more than we take */
        wire_field(&r.f, "x", "y");
    wire_head(&r.f, 1, true);
    until_status(&r, 1, 431);

    wire_get(&r.f);
    struct cmg_str v = run_of('v', 17 * KIB);
    char *value = cmg_alloc(v.n + 1);
    memcpy(value, v.p, v.n);
    wire_field(&r.f, "x-long", value);
    struct cmg_str block = cmg_buf_str(&r.f.block);
    wire_frame(&r.f, NGHTTP2_HEADERS, 0, 3, (struct cmg_str){ block.p, 16000 });
    wire_frame(&r.f, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 3, cmg_str_from(block, 16000));
    cmg_buf_clear(&r.f.block);
    until_status(&r, 3, 431); /* before the body came */
    assert_int_equal(0, r.side->nrequests);
    assert_lives(&r, 5);
    free(value);
    free_run(v);
    raw_clear(&r);
}

static void a_client_that_sends_nothing_but_large_heads_is_calmed(void **state)
{
    (void)state;
    struct raw r;
    public_init(&r);
    for (uint32_t i = 0; i < 4000; i++) {
        wire_get(&r.f);
        for (unsigned k = 0; k < 125; k++)
            assert_int_equal(CMG_OK, cmg_buf_put(&r.f.block, CMG_STR("\x90"))); /* indexed */
        wire_head(&r.f, 1 + 2 * i, true);
    }
    until_calmed(&r);
    raw_clear(&r);
}

/* Floods ----------------------------------------------------------------------------------- */

static void rapid_resets_end_the_connection(void **state)
{
    (void)state;
    struct raw r;
    public_init(&r);
    for (uint32_t i = 0; i < 10000; i++) {
        wire_get(&r.f);
        wire_head(&r.f, 1 + 2 * i, true);
        wire_reset(&r.f, 1 + 2 * i, NGHTTP2_CANCEL);
    }
    until(&r.w, side_is_gone, &r);
    assert_in_range(r.side->nrequests, 1, 1100);
    for (unsigned i = 0; i < r.side->nrequests; i++)
        assert_true(r.side->requests[i]->h.gone);
    raw_clear(&r);
}

static void continuations_without_end_end_the_connection(void **state)
{
    (void)state;
    struct raw r;
    public_init(&r);
    wire_get(&r.f);
    wire_frame(&r.f, NGHTTP2_HEADERS, 0, 1, cmg_buf_str(&r.f.block));
    cmg_buf_clear(&r.f.block);
    for (unsigned i = 0; i < 1000; i++)
        wire_frame(&r.f, NGHTTP2_CONTINUATION, 0, 1, CMG_STR("\x90"));
    until(&r.w, side_is_gone, &r);
    assert_int_equal(0, r.side->nrequests);
    raw_clear(&r);
}

static void flood(uint8_t type, uint32_t stream, struct cmg_str payload, unsigned n, bool reads)
{
    struct raw r;
    public_init(&r);
    wire_get(&r.f);
    wire_head(&r.f, 1, false);
    until(&r.w, side_has_request, r.side);
    r.f.p.reads = reads;
    for (unsigned i = 0; i < n; i++)
        wire_frame(&r.f, type, 0, stream, payload);
    if (reads)
        until_calmed(&r);
    else
        until(&r.w, side_is_gone, &r);
    assert_true(r.side->requests[0]->h.gone);
    raw_clear(&r);
}

static void pings_settings_and_priorities_are_rationed(void **state)
{
    (void)state;
    flood(NGHTTP2_PING, 0, CMG_STR("12345678"), 20000, true);
    flood(NGHTTP2_PING, 0, CMG_STR("12345678"), 20000, false);
    flood(NGHTTP2_SETTINGS, 0, CMG_STR(""), 20000, true);
    flood(NGHTTP2_SETTINGS, 0, CMG_STR(""), 20000, false);
    flood(NGHTTP2_PRIORITY, 9, (struct cmg_str){ "\0\0\0\0\x10", 5 }, 20000, true);
}

static void empty_data_frames_are_rationed(void **state)
{
    (void)state;
    flood(NGHTTP2_DATA, 1, CMG_STR(""), 200000, true);
    flood(NGHTTP2_DATA, 1, CMG_STR(""), 200000, false);
}

/* Each stream is opened and then made wrong, so that it is the server that resets. */
static void a_server_made_to_reset_calms_the_client(void **state)
{
    (void)state;
    struct raw r;
    public_open(&r);
    r.side->conf.max_streams = 5000;
    raw_start(&r);
    for (uint32_t i = 0; i < 3000; i++) {
        wire_get(&r.f);
        wire_head(&r.f, 1 + 2 * i, false);
        wire_window(&r.f, 1 + 2 * i, INT32_MAX); /* past the largest window there is */
    }
    until_calmed(&r);
    assert_in_range(r.f.resets, 0, 1100);
    raw_clear(&r);
}

static void malformed_requests_calm_the_client(void **state)
{
    (void)state;
    struct raw r;
    public_init(&r);
    for (uint32_t i = 0; i < 3000; i++) {
        wire_get(&r.f);
        wire_field(&r.f, "Upper", "case");
        wire_head(&r.f, 1 + 2 * i, true);
    }
    until_calmed(&r);
    assert_int_equal(0, r.side->nrequests);
    raw_clear(&r);
}

static void abort_it(struct served *r)
{
    r->h.x->ops->abort(r->h.x);
}

static void our_own_resets_are_not_held_against_the_client(void **state)
{
    (void)state;
    struct raw r;
    public_open(&r);
    r.side->serve = abort_it;
    r.side->conf.max_streams = 5000;
    raw_start(&r);
    until_wire(&r.w, &r.f, NGHTTP2_SETTINGS, 2);
    for (uint32_t i = 0; i < 3000; i++) {
        wire_get(&r.f);
        wire_head(&r.f, 1 + 2 * i, true);
    }
    until_wire(&r.w, &r.f, NGHTTP2_RST_STREAM, 3000);
    assert_lives(&r, 6001);
    raw_clear(&r);
}

/* Streams above the limit, opened before the client has acknowledged it, are refused. */
static void too_many_streams_are_refused(void **state)
{
    (void)state;
    struct raw r;
    public_open(&r);
    r.side->conf.max_streams = 10;
    raw_start(&r);
    r.f.quiet = true;
    for (uint32_t i = 0; i < 50; i++) {
        wire_get(&r.f);
        wire_head(&r.f, 1 + 2 * i, true);
    }
    until_wire(&r.w, &r.f, NGHTTP2_RST_STREAM, 40);
    assert_int_equal(NGHTTP2_REFUSED_STREAM, r.f.reset_code);
    assert_int_equal(10, r.side->nrequests);
    raw_clear(&r);
}

/* Slowness --------------------------------------------------------------------------------- */

static void slow_open(struct raw *r, uint32_t window)
{
    public_open(r);
    r->side->conf.stall_ms = 100;
    raw_start(r);
    wire_setting(&r->f, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window);
}

static void a_reader_that_gives_no_window_is_reset(void **state)
{
    (void)state;
    struct raw r;
    slow_open(&r, 0);
    r.side->serve = reply_hello;
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until_wire(&r.w, &r.f, NGHTTP2_RST_STREAM, 1);
    assert_int_equal(NGHTTP2_CANCEL, r.f.reset_code);
    assert_int_equal(0, r.f.data_bytes);
    wire_setting(&r.f, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65535);
    assert_lives(&r, 3);
    raw_clear(&r);
}

static void start_endless(struct served *r)
{
    struct cmg_head head = response_head(200, -1, false);
    assert_int_equal(CMG_OK, r->h.x->ops->head(r->h.x, &head));
    r->h.x->ops->body(r->h.x, CMG_STR("a beginning"));
}

static void a_slow_reader_takes_its_source_along(void **state)
{
    (void)state;
    struct raw r;
    slow_open(&r, 4);
    r.side->serve = start_endless;
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    until(&r.w, heard_is_gone, &r.side->requests[0]->h);
    assert_int_equal(CMG_ETIMEOUT, r.side->requests[0]->h.fault.code);
    until_wire(&r.w, &r.f, NGHTTP2_RST_STREAM, 1);
    assert_int_equal(4, r.f.data_bytes);
    raw_clear(&r);
}

/* Nothing to send is no stall: the answer takes as long as it takes. */
static void a_slow_answer_is_no_stall(void **state)
{
    (void)state;
    struct raw r;
    slow_open(&r, 65535);
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    world_run(&r.w, NULL, NULL, 400);
    assert_false(r.side->requests[0]->h.gone);
    reply_hello(r.side->requests[0]);
    until_status(&r, 1, 200);
    raw_clear(&r);
}

static void a_request_that_is_not_gone_on_with_is_reset(void **state)
{
    (void)state;
    struct raw r;
    slow_open(&r, 65535);
    wire_get(&r.f);
    wire_head(&r.f, 1, false);
    until(&r.w, side_has_request, r.side);
    struct heard *h = &r.side->requests[0]->h;
    h->x->ops->pause(h->x, true);
    world_run(&r.w, NULL, NULL, 400);
    assert_false(h->gone); /* it may not go on: the silence is ours */
    h->x->ops->pause(h->x, false);
    until(&r.w, heard_is_gone, h);
    until_wire(&r.w, &r.f, NGHTTP2_RST_STREAM, 1);
    assert_lives(&r, 3);
    raw_clear(&r);
}

static void a_head_that_is_not_gone_on_with_ends_the_connection(void **state)
{
    (void)state;
    struct raw r;
    public_open(&r);
    r.side->conf.stall_ms = r.side->conf.idle_ms = 100;
    raw_start(&r);
    wire_frame(&r.f, NGHTTP2_HEADERS, 0, 1, CMG_STR("\x82"));
    until(&r.w, side_is_gone, &r);
    raw_clear(&r);
}

static void a_peer_that_reads_nothing_at_all_is_cut(void **state)
{
    (void)state;
    struct raw r;
    slow_open(&r, 64 * MIB);
    wire_window(&r.f, 0, 64 * MIB);
    wire_get(&r.f);
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    r.f.p.reads = false;
    peer_want(&r.f.p);
    struct cmg_str bulk = run_of('b', 8 * MIB);
    struct cmg_exchange *x = r.side->requests[0]->h.x;
    struct cmg_head head = response_head(200, -1, false);
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
    x->ops->body(x, bulk);
    until(&r.w, side_is_closed, r.side);
    assert_true(r.side->requests[0]->h.gone);
    free_run(bulk);
    raw_clear(&r);
}

/* Messages that two readers would read differently ------------------------------------------ */

static void some_requests_are_answered_here(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        const char *method, *authority, *hosts[2];
        unsigned status;
    } cases[] = {
        { "CONNECT", "CONNECT", "mp.site:443", { NULL, NULL }, 501 },
        { "host differs", "GET", "mp.site", { "other.site", NULL }, 400 },
        { "host differs in its port", "GET", "mp.site", { "mp.site:8080", NULL }, 400 },
        { "host agrees but for case", "GET", "mp.site", { "MP.Site", NULL }, 200 },
        { "host only", "GET", NULL, { "mp.site", NULL }, 200 },
    };
    struct raw r;
    public_init(&r);
    r.side->serve = reply_hello;
    for (uint32_t i = 0; i < CMG_COUNT(cases); i++) {
        bool connect = !strcmp(cases[i].method, "CONNECT");
        wire_field(&r.f, ":method", cases[i].method);
        if (!connect)
            wire_field(&r.f, ":scheme", "https");
        if (cases[i].authority)
            wire_field(&r.f, ":authority", cases[i].authority);
        if (!connect)
            wire_field(&r.f, ":path", "/x");
        for (unsigned k = 0; k < 2; k++)
            if (cases[i].hosts[k])
                wire_field(&r.f, "host", cases[i].hosts[k]);
        wire_head(&r.f, 1 + 2 * i, true);
        for (int64_t end = cmg_clock_ms() + DEADLINE_MS; !r.f.statuses[1 + 2 * i];) {
            world_run(&r.w, NULL, NULL, 1);
            wire_look(&r.f);
            if (cmg_clock_ms() > end)
                fail_msg("%s: no status", cases[i].says);
        }
        if (r.f.statuses[1 + 2 * i] != cases[i].status)
            fail_msg("%s: %u", cases[i].says, r.f.statuses[1 + 2 * i]);
    }
    for (unsigned i = 0; i < r.side->nrequests; i++)
        assert_int_equal(0, strcasecmp("mp.site", r.side->requests[i]->authority));
    raw_clear(&r);
}

static void cookie_crumbs_become_one_field(void **state)
{
    (void)state;
    struct raw r;
    public_init(&r);
    wire_get(&r.f);
    wire_field(&r.f, "cookie", "a=1");
    wire_field(&r.f, "x-between", "");
    wire_field(&r.f, "cookie", "b=2");
    wire_field(&r.f, "cookie", "c=3");
    wire_head(&r.f, 1, true);
    until(&r.w, side_has_request, r.side);
    assert_string_equal("a=1; b=2; c=3", r.side->requests[0]->cookie);
    assert_string_equal("cookie x-between ", r.side->requests[0]->names);
    raw_clear(&r);
}

static void requests_that_break_the_rules_reach_nobody(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } cases[] = {
        { "transfer-encoding", "chunked" },
        { "connection", "close" },
        { "upgrade", "h2c" },
        { "keep-alive", "5" },
        { "proxy-connection", "close" },
        { "te", "gzip" },
        { "content-length", "5" },
        { "content-length", "+0" },
        { "content-length", "0x0" },
        { "X-Upper", "1" },
        { "x bad", "1" },
        { "x-crlf", "a\r\nhost: b" },
        { "x-nl", "a\nb" },
        { "", "1" },
        { ":path", "/again" },
        { ":unknown", "1" },
        { ":status", "200" },
    };
    struct raw r;
    public_init(&r);
    for (uint32_t i = 0; i < CMG_COUNT(cases); i++) {
        wire_get(&r.f);
        wire_field(&r.f, cases[i].name, cases[i].value);
        wire_head(&r.f, 1 + 2 * i, true);
        r.f.want_type = NGHTTP2_RST_STREAM;
        r.f.want_n = i + 1;
        if (!world_run(&r.w, wire_has, &r.f, DEADLINE_MS))
            fail_msg("\"%s: %s\" was not reset", cases[i].name, cases[i].value);
        assert_int_equal(NGHTTP2_PROTOCOL_ERROR, r.f.reset_code);
    }
    assert_int_equal(0, r.side->nrequests);
    assert_lives(&r, 101);
    raw_clear(&r);
}

static void begin_upload(struct raw *r, const char *length)
{
    public_init(r);
    wire_get(&r->f);
    wire_field(&r->f, "content-length", length);
    wire_head(&r->f, 1, false);
    until(&r->w, side_has_request, r->side);
}

static void a_body_must_be_as_long_as_it_says(void **state)
{
    (void)state;
    enum { LONGER, SHORTER, EMPTY, TRAILERS, CASES };
    for (unsigned i = 0; i < CASES; i++) {
        struct raw r;
        begin_upload(&r, "10");
        if (i == LONGER)
            wire_frame(&r.f, NGHTTP2_DATA, 0, 1, CMG_STR("eleven byte"));
        else if (i == SHORTER)
            wire_frame(&r.f, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, CMG_STR("short"));
        else if (i == EMPTY)
            wire_frame(&r.f, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, CMG_STR(""));
        else
            wire_frame(&r.f, NGHTTP2_DATA, 0, 1, CMG_STR("short"));
        if (i == TRAILERS) {
            wire_field(&r.f, "x-sum", "1");
            wire_head(&r.f, 1, true);
        }
        struct heard *h = &r.side->requests[0]->h;
        until(&r.w, heard_is_gone, h);
        assert_false(h->ended);
        assert_true(h->fault.malformed);
        until_wire(&r.w, &r.f, NGHTTP2_RST_STREAM, 1);
        assert_lives(&r, 3);
        raw_clear(&r);
    }
}

static void more_than_the_window_is_a_fault(void **state)
{
    (void)state;
    struct raw r;
    public_open(&r);
    r.side->conf.stream_window = 64 * KIB;
    raw_start(&r);
    until_wire(&r.w, &r.f, NGHTTP2_SETTINGS, 2);
    wire_get(&r.f);
    wire_head(&r.f, 1, false);
    until(&r.w, side_has_request, r.side);
    struct heard *h = &r.side->requests[0]->h;
    h->x->ops->pause(h->x, true);
    struct cmg_str piece = run_of('p', 16 * KIB);
    for (unsigned i = 0; i < 5; i++)
        wire_frame(&r.f, NGHTTP2_DATA, 0, 1, piece);
    until(&r.w, heard_is_gone, h);
    assert_in_range(h->bytes, 1, 64 * KIB + CMG_LOOP_SCRATCH); /* the rest of what was read */
    free_run(piece);
    raw_clear(&r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_header_bomb_stays_small),
    cmocka_unit_test(heads_too_large_are_told_so),
    cmocka_unit_test(a_client_that_sends_nothing_but_large_heads_is_calmed),
    cmocka_unit_test(rapid_resets_end_the_connection),
    cmocka_unit_test(continuations_without_end_end_the_connection),
    cmocka_unit_test(pings_settings_and_priorities_are_rationed),
    cmocka_unit_test(empty_data_frames_are_rationed),
    cmocka_unit_test(a_server_made_to_reset_calms_the_client),
    cmocka_unit_test(malformed_requests_calm_the_client),
    cmocka_unit_test(our_own_resets_are_not_held_against_the_client),
    cmocka_unit_test(too_many_streams_are_refused),
    cmocka_unit_test(a_reader_that_gives_no_window_is_reset),
    cmocka_unit_test(a_slow_reader_takes_its_source_along),
    cmocka_unit_test(a_slow_answer_is_no_stall),
    cmocka_unit_test(a_request_that_is_not_gone_on_with_is_reset),
    cmocka_unit_test(a_head_that_is_not_gone_on_with_ends_the_connection),
    cmocka_unit_test(a_peer_that_reads_nothing_at_all_is_cut),
    cmocka_unit_test(some_requests_are_answered_here),
    cmocka_unit_test(cookie_crumbs_become_one_field),
    cmocka_unit_test(requests_that_break_the_rules_reach_nobody),
    cmocka_unit_test(a_body_must_be_as_long_as_it_says),
    cmocka_unit_test(more_than_the_window_is_a_fault),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
