/* SPDX-License-Identifier: MIT */
/* The pool over real sockets. Only the dialer is a fake: the test decides when an attempt
 * ends, and how. */
#include "h1_world.h"

#include "cmg/http/pool.h"

enum { MOST = 64 };

struct ask {
    struct cmg_pool_wait wait;
    struct heard h;
    bool ready, refused;
    unsigned order; /* when it was served, counted over the test */
    struct cmg_fault why;
};

/* What cmg_dial_start was asked. */
struct cmg_dial {
    bool over, cancelled;
    char key[32], host[32];
    void (*on_done)(void *arg, const struct cmg_dial_result *r);
    void *arg;
};

static struct place {
    struct world w;
    struct cmg_pool *pool;
    struct cmg_pool_conf conf;
    struct cmg_dial dials[MOST];
    struct peer peers[MOST];
    unsigned ndials, npeers, served;
    struct ask asks[MOST];
    bool gone;
} * place;

/* The fake ------------------------------------------------------------------------------- */

const char *const cmg_dial_step_names[] = { "fake" };

struct cmg_dialer *cmg_dialer_new(struct cmg_loop *l, unsigned threads, unsigned per_key)
{
    (void)l, (void)threads, (void)per_key;
    return NULL;
}

void cmg_dialer_free(struct cmg_dialer *d)
{
    (void)d;
}

struct cmg_dial *cmg_dial_start(struct cmg_dialer *d, const struct cmg_dial_target *target,
                                void (*on_done)(void *arg, const struct cmg_dial_result *r),
                                void *arg)
{
    (void)d;
    assert_in_range(place->ndials, 0, MOST - 1);
    struct cmg_dial *a = &place->dials[place->ndials++];
    snprintf(a->key, sizeof(a->key), "%s", target->key);
    snprintf(a->host, sizeof(a->host), "%s", target->host);
    a->on_done = on_done;
    a->arg = arg;
    return a;
}

void cmg_dial_cancel(struct cmg_dial *d)
{
    if (d)
        d->cancelled = true;
}

static void dial_works(unsigned i)
{
    struct cmg_dial *a = &place->dials[i];
    assert_false(a->over || a->cancelled);
    a->over = true;
    int fd = peer_init(&place->peers[place->npeers++], place->w.loop);
    struct cmg_dial_result r = {
        .stream = cmg_stream_new(place->w.loop, fd, NULL, NULL, 0, NULL, NULL),
    };
    a->on_done(a->arg, &r);
}

static void dial_fails(unsigned i)
{
    struct cmg_dial *a = &place->dials[i];
    assert_false(a->over || a->cancelled);
    a->over = true;
    struct cmg_dial_result r = { .step = CMG_DIAL_CONNECT };
    (void)!cmg_fail(&r.err, CMG_EIO, "192.0.2.1 port 443: connection refused");
    a->on_done(a->arg, &r);
}

/* The stage ------------------------------------------------------------------------------ */

static void on_ready(void *arg, struct cmg_exchange *x, const struct cmg_fault *why)
{
    struct ask *a = arg;
    assert_false(a->ready || a->refused);
    if (!x) {
        a->refused = true;
        a->why = *why;
        return;
    }
    a->ready = true;
    a->order = ++place->served;
    heard_init(&a->h, x);
    struct cmg_head head = request_head("GET", "/", -1, true);
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
}

/* Asks as number i. True when it was served at once. */
static bool ask(unsigned i, const char *key)
{
    struct ask *a = &place->asks[i];
    assert_null(a->wait.pool);
    heard_clear(&a->h);
    *a = (struct ask){ .wait = { .on_ready = on_ready, .arg = a } };
    struct cmg_exchange *x = cmg_pool_request(place->pool, cmg_str(key), &a->wait);
    if (x)
        on_ready(a, x, NULL);
    return x;
}

static void stage(void)
{
    place = cmg_alloc(sizeof(*place));
    world_init(&place->w);
    place->conf = (struct cmg_pool_conf){
        .target = { .key = "endpoint mp1", .host = "mp.site", .port = 443 },
        .h1 = { .limits = cmg_h1_limits_default, .idle_ms = 5000, .stall_ms = 5000 },
        .max_connections = 4,
        .max_waiting = 16,
        .wait_ms = 5000,
        .sulk_ms = 50,
    };
}

static void open_pool(void)
{
    place->pool = cmg_pool_new(place->w.loop, NULL, &place->conf);
}

static void on_pool_gone(void *arg)
{
    *(bool *)arg = true;
}

static void strike(void)
{
    cmg_pool_retire(place->pool, on_pool_gone, &place->gone);
    for (unsigned i = 0; i < place->npeers; i++)
        peer_clear(&place->peers[i]);
    for (unsigned i = 0; i < place->ndials; i++)
        if (!place->dials[i].over && !place->dials[i].cancelled)
            dial_fails(i);
    until(&place->w, flag_is_set, &place->gone);
    for (unsigned i = 0; i < MOST; i++)
        heard_clear(&place->asks[i].h);
    world_clear(&place->w);
    free(place);
    place = NULL;
}

static void answer(unsigned peer, const char *text)
{
    struct peer *p = &place->peers[peer];
    until_peer_got(&place->w, p, "\r\n\r\n");
    peer_forgets(p);
    peer_says(p, text);
}

static const char *const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char *const fine_and_last =
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

static void until_ended(unsigned i)
{
    until(&place->w, heard_has_ended, &place->asks[i].h);
}

static void until_ready(unsigned i)
{
    until(&place->w, flag_is_set, &place->asks[i].ready);
}

static void until_refused(unsigned i)
{
    until(&place->w, flag_is_set, &place->asks[i].refused);
}

static struct cmg_pool_stats stats(void)
{
    struct cmg_pool_stats s;
    cmg_pool_stats(place->pool, &s);
    return s;
}

/* Number of connections kept, as `peers` knows them: served and answered once each. */
static void warm(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_false(ask(i, ""));
    for (unsigned i = 0; i < n; i++)
        dial_works(i);
    for (unsigned i = 0; i < n; i++) {
        answer(i, fine);
        until_ended(i);
    }
    assert_int_equal(n, stats().idle);
}

/* ---- */

static void a_kept_connection_is_used_again_at_once(void **state)
{
    (void)state;
    stage();
    open_pool();
    assert_false(ask(0, ""));
    assert_int_equal(1, place->ndials);
    assert_string_equal("endpoint mp1", place->dials[0].key);
    assert_string_equal("mp.site", place->dials[0].host);
    dial_works(0);
    assert_true(place->asks[0].ready);
    answer(0, fine);
    until_ended(0);
    for (unsigned i = 1; i < 20; i++) {
        assert_true(ask(i, ""));
        answer(0, fine);
        until_ended(i);
    }
    assert_int_equal(1, place->ndials);
    assert_int_equal(20, stats().requests);
    strike();
}

static void the_last_one_back_goes_out_first(void **state)
{
    (void)state;
    stage();
    open_pool();
    warm(3);
    assert_true(ask(0, ""));
    until_peer_got(&place->w, &place->peers[2], "\r\n\r\n");
    assert_true(ask(1, ""));
    until_peer_got(&place->w, &place->peers[1], "\r\n\r\n");
    strike();
}

static void waiters_are_served_in_order_by_whatever_comes_first(void **state)
{
    (void)state;
    stage();
    place->conf.max_connections = 2;
    open_pool();
    for (unsigned i = 0; i < 6; i++)
        assert_false(ask(i, ""));
    assert_int_equal(2, place->ndials); /* the ceiling */
    assert_int_equal(6, stats().waiting);
    dial_works(1);
    assert_int_equal(1, place->asks[0].order);
    answer(0, fine); /* a connection given back serves the next */
    until_ready(1);
    dial_works(0);
    until_ready(2);
    answer(0, fine);
    until_ready(3);
    answer(1, fine_and_last); /* one that closes is replaced */
    until_ended(2);
    settle(&place->w);
    assert_int_equal(3, place->ndials);
    dial_works(2);
    until_ready(4);
    answer(0, fine);
    until_ready(5);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(i + 1, place->asks[i].order);
    strike();
}

static void the_line_has_an_end(void **state)
{
    (void)state;
    stage();
    place->conf.max_waiting = 3;
    open_pool();
    for (unsigned i = 0; i < 4; i++)
        assert_false(ask(i, ""));
    assert_false(place->asks[3].refused); /* not from inside */
    until_refused(3);
    assert_int_equal(CMG_ETOOBIG, place->asks[3].why.code);
    assert_true(place->asks[3].why.unprocessed);
    assert_false(place->asks[0].refused);
    strike();
}

static void patience_has_an_end(void **state)
{
    (void)state;
    stage();
    place->conf.wait_ms = 40;
    open_pool();
    assert_false(ask(0, ""));
    until_refused(0);
    assert_int_equal(CMG_ETIMEOUT, place->asks[0].why.code);
    assert_true(place->asks[0].why.unprocessed);
    dial_works(0); /* too late for that one, but kept for the next */
    assert_true(ask(1, ""));
    strike();
}

static void a_cancelled_waiter_hears_nothing(void **state)
{
    (void)state;
    stage();
    place->conf.max_waiting = 2;
    open_pool();
    assert_false(ask(0, ""));
    assert_false(ask(1, ""));
    assert_false(ask(2, "")); /* refused, and to be told so */
    cmg_pool_cancel(&place->asks[0].wait);
    cmg_pool_cancel(&place->asks[2].wait);
    cmg_pool_cancel(&place->asks[2].wait);
    dial_works(0);
    settle(&place->w);
    assert_false(place->asks[0].ready || place->asks[2].refused);
    assert_true(place->asks[1].ready);
    strike();
}

/* ---- dials that fail */

static void a_failed_dial_is_told_and_remembered_for_a_moment(void **state)
{
    (void)state;
    stage();
    place->conf.max_connections = 1;
    open_pool();
    for (unsigned i = 0; i < 3; i++)
        assert_false(ask(i, ""));
    dial_fails(0);
    for (unsigned i = 0; i < 3; i++) {
        until_refused(i);
        assert_string_equal("endpoint mp1: 192.0.2.1 port 443: connection refused",
                            place->asks[i].why.text);
        assert_true(place->asks[i].why.unprocessed);
        assert_int_equal(CMG_EIO, place->asks[i].why.code);
    }
    assert_false(ask(3, "")); /* no second attempt so soon */
    until_refused(3);
    assert_int_equal(1, place->ndials);
    world_run(&place->w, NULL, NULL, 60);
    assert_false(ask(4, ""));
    assert_int_equal(2, place->ndials);
    dial_works(1);
    assert_true(place->asks[4].ready);
    assert_int_equal(1, stats().failed);
    strike();
}

static void other_attempts_still_serve_who_came_first(void **state)
{
    (void)state;
    stage();
    open_pool();
    for (unsigned i = 0; i < 3; i++)
        assert_false(ask(i, ""));
    dial_fails(2);
    until_refused(2);
    assert_false(place->asks[0].refused || place->asks[1].refused);
    dial_works(0);
    dial_works(1);
    assert_true(place->asks[0].ready && place->asks[1].ready);
    strike();
}

/* The endpoint takes no more connections, but those there are come back. */
static void who_can_be_served_by_a_busy_connection_waits(void **state)
{
    (void)state;
    stage();
    open_pool();
    assert_false(ask(0, ""));
    dial_works(0);
    assert_false(ask(1, ""));
    dial_fails(1);
    settle(&place->w);
    assert_false(place->asks[1].refused);
    answer(0, fine);
    until_ready(1);
    strike();
}

static void dialing_goes_on_after_the_sulk(void **state)
{
    (void)state;
    stage();
    open_pool();
    assert_false(ask(0, ""));
    dial_works(0);
    assert_false(ask(1, ""));
    dial_fails(1);
    assert_int_equal(2, place->ndials);
    world_run(&place->w, NULL, NULL, 100);
    assert_int_equal(3, place->ndials);
    dial_works(2);
    assert_true(place->asks[1].ready);
    strike();
}

static void a_cold_start_does_not_dial_for_everybody_at_once(void **state)
{
    (void)state;
    stage();
    place->conf.max_connections = 60;
    place->conf.max_waiting = 60;
    open_pool();
    for (unsigned i = 0; i < 60; i++)
        assert_false(ask(i, ""));
    assert_in_range(place->ndials, 1, 20);
    for (unsigned i = 0; i < 60; i++)
        dial_works(i);
    for (unsigned i = 0; i < 60; i++)
        assert_true(place->asks[i].ready);
    strike();
}

/* ---- kept connections that die */

static bool nobody_is_idle(void *arg)
{
    (void)arg;
    return stats().idle == 0;
}

static void a_kept_connection_that_closes_leaves_the_pool(void **state)
{
    (void)state;
    stage();
    open_pool();
    warm(2);
    peer_clear(&place->peers[0]);
    peer_clear(&place->peers[1]);
    until(&place->w, nobody_is_idle, NULL);
    assert_false(ask(2, ""));
    assert_int_equal(3, place->ndials);
    strike();
}

static void a_dead_connection_is_not_handed_out_twice(void **state)
{
    (void)state;
    stage();
    open_pool();
    warm(2);
    peer_clear(&place->peers[1]); /* dead, and nobody knows yet */
    assert_true(ask(2, ""));
    until(&place->w, heard_is_gone, &place->asks[2].h);
    assert_true(place->asks[2].h.fault.unprocessed);
    assert_true(ask(3, ""));
    answer(0, fine);
    until_ended(3);
    strike();
}

static void idle_connections_are_not_kept_for_ever(void **state)
{
    (void)state;
    stage();
    place->conf.h1.idle_ms = 30;
    open_pool();
    warm(2);
    until(&place->w, nobody_is_idle, NULL);
    strike();
}

static void with_no_idle_time_nothing_is_kept(void **state)
{
    (void)state;
    stage();
    place->conf.h1.idle_ms = 0;
    open_pool();
    assert_false(ask(0, ""));
    dial_works(0);
    answer(0, fine);
    until_ended(0);
    until(&place->w, peer_saw_end, &place->peers[0]);
    assert_false(ask(1, ""));
    strike();
}

/* ---- private connections */

static void a_private_connection_serves_nobody_else(void **state)
{
    (void)state;
    stage();
    place->conf.private_connections = true;
    open_pool();
    assert_false(ask(0, "alice"));
    dial_works(0);
    answer(0, fine);
    until_ended(0);
    assert_false(ask(1, "bob"));
    assert_int_equal(2, place->ndials);
    assert_true(ask(2, "alice"));
    dial_works(1);
    assert_true(place->asks[1].ready);
    answer(0, fine);
    until_ended(2);
    assert_false(ask(3, "bob")); /* hers is free, his is not */
    assert_int_equal(3, place->ndials);
    answer(1, fine); /* his own comes back before the new one */
    until_ready(3);
    strike();
}

static void a_private_connection_makes_room_for_another_client(void **state)
{
    (void)state;
    stage();
    place->conf.private_connections = true;
    place->conf.max_connections = 2;
    open_pool();
    assert_false(ask(0, "alice"));
    assert_false(ask(1, "bob"));
    dial_works(0);
    dial_works(1);
    answer(0, fine);
    until_ended(0);
    assert_false(ask(2, "carol")); /* full: what alice had is idle, and goes */
    until(&place->w, peer_saw_end, &place->peers[0]);
    settle(&place->w);
    assert_int_equal(3, place->ndials);
    dial_works(2);
    assert_true(place->asks[2].ready);
    assert_false(ask(3, "dave")); /* full again, all busy: the next one back goes */
    answer(1, fine);
    until(&place->w, peer_saw_end, &place->peers[1]);
    settle(&place->w);
    assert_int_equal(4, place->ndials);
    dial_works(3);
    assert_true(place->asks[3].ready);
    strike();
}

/* ---- the end */

static void a_retired_pool_serves_what_it_has_and_goes(void **state)
{
    (void)state;
    stage();
    place->conf.max_connections = 2;
    open_pool();
    warm(2);
    assert_true(ask(0, ""));
    assert_true(ask(1, ""));
    assert_false(ask(2, ""));
    cmg_pool_retire(place->pool, on_pool_gone, &place->gone);
    assert_false(ask(3, ""));
    until_refused(3);
    assert_true(place->asks[3].why.unprocessed);
    answer(0, fine);
    answer(1, fine);
    until_ready(2);
    assert_false(place->gone);
    unsigned last = place->peers[0].eof ? 1 : 0;
    for (unsigned i = 0; i < 2; i++)
        if (peer_got(&place->peers[i], "\r\n\r\n"))
            last = i;
    answer(last, fine);
    until_ended(2);
    until(&place->w, flag_is_set, &place->gone);
    place->gone = false;
    open_pool(); /* for strike() */
    strike();
}

static void a_retired_pool_gives_up_dials_nobody_waits_for(void **state)
{
    (void)state;
    stage();
    open_pool();
    assert_false(ask(0, ""));
    cmg_pool_cancel(&place->asks[0].wait);
    cmg_pool_retire(place->pool, on_pool_gone, &place->gone);
    assert_true(place->dials[0].cancelled);
    until(&place->w, flag_is_set, &place->gone);
    place->gone = false;
    open_pool();
    strike();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_connection_is_used_again_at_once),
        cmocka_unit_test(the_last_one_back_goes_out_first),
        cmocka_unit_test(waiters_are_served_in_order_by_whatever_comes_first),
        cmocka_unit_test(the_line_has_an_end),
        cmocka_unit_test(patience_has_an_end),
        cmocka_unit_test(a_cancelled_waiter_hears_nothing),
        cmocka_unit_test(a_failed_dial_is_told_and_remembered_for_a_moment),
        cmocka_unit_test(other_attempts_still_serve_who_came_first),
        cmocka_unit_test(who_can_be_served_by_a_busy_connection_waits),
        cmocka_unit_test(dialing_goes_on_after_the_sulk),
        cmocka_unit_test(a_cold_start_does_not_dial_for_everybody_at_once),
        cmocka_unit_test(a_kept_connection_that_closes_leaves_the_pool),
        cmocka_unit_test(a_dead_connection_is_not_handed_out_twice),
        cmocka_unit_test(idle_connections_are_not_kept_for_ever),
        cmocka_unit_test(with_no_idle_time_nothing_is_kept),
        cmocka_unit_test(a_private_connection_serves_nobody_else),
        cmocka_unit_test(a_private_connection_makes_room_for_another_client),
        cmocka_unit_test(a_retired_pool_serves_what_it_has_and_goes),
        cmocka_unit_test(a_retired_pool_gives_up_dials_nobody_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
