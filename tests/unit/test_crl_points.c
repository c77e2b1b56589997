/* SPDX-License-Identifier: MIT */
/* When distribution points are asked: what they give does not matter here. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "fake_http.h"
#include "gateway/crl_points.h"

enum { TOO_LONG_MS = 30000, DAY = 86400 };

static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
static const char gone[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

static struct {
    struct cmg_loop *loop;
    struct cmg_timer *patience;
    struct cmg_fetcher *fetcher;
    struct crl_points *points;
    struct fake_http server;
    uint16_t port;
    const char *answer;
    int64_t life; /* seconds until the next list ends */
    unsigned taken, ended, warned, kept;
} w;

static const char *on_request(struct fake_http *h, struct fake_conn *c)
{
    (void)h, (void)c;
    return w.answer;
}

static void on_impatient(void *arg)
{
    (void)arg;
    fail_msg("waited too long");
}

static enum cmg_rc take(void *arg, const char *url, struct cmg_str list, int64_t *until,
                        bool *changed, struct cmg_err *err)
{
    (void)arg, (void)url;
    if (!cmg_str_eq(list, CMG_STR("good")))
        return cmg_fail(err, CMG_EPROTO, "no list");
    *until = cmg_clock_unix() + w.life;
    *changed = true;
    w.taken++;
    return CMG_OK;
}

static void on_end(void *arg, bool changed)
{
    (void)arg, (void)changed;
    w.ended++;
    cmg_loop_stop(w.loop);
}

static void on_log(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)event, (void)kv, (void)n;
    w.warned += level == CMG_WARN;
}

static void use(int64_t refresh_ms, int64_t retry_ms)
{
    crl_points_use(w.points, &(struct crl_points_conf){ .refresh_ms = refresh_ms,
                                                        .timeout_ms = 20000,
                                                        .retry_min_ms = retry_ms,
                                                        .retry_max_ms = 4 * retry_ms,
                                                        .max_bytes = 1024 });
}

static int set_up(void **state)
{
    static const struct crl_points_ops ops = { .take = take, .on_end = on_end };
    static const struct cmg_log_sink sink = { .write = on_log };
    (void)state;
    memset(&w, 0, sizeof(w));
    cmg_log_to(&sink, CMG_DEBUG);
    w.answer = good;
    w.life = DAY;
    w.loop = cmg_loop_new();
    w.patience = cmg_timer_new(w.loop, on_impatient, NULL);
    cmg_timer_set(w.patience, TOO_LONG_MS);
    w.fetcher = cmg_fetcher_new(w.loop);
    w.points = crl_points_new(w.loop, w.fetcher, &ops, NULL);
    w.server = (struct fake_http){ .loop = w.loop, .answer = on_request };
    w.port = fake_http_start(&w.server);
    use(60000, 60000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    crl_points_free(w.points);
    cmg_fetcher_free(w.fetcher);
    fake_http_stop(&w.server);
    cmg_timer_free(w.patience);
    cmg_loop_free(w.loop);
    return 0;
}

#define UNTIL(what) \
    while (!(what)) \
    cmg_loop_run(w.loop)

static enum cmg_rc want(int which)
{
    char url[64];
    struct cmg_err err;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/%d", w.port, which);
    return crl_points_want(w.points, url, &err);
}

static void a_fresh_list_is_not_asked_for_again(void **state)
{
    (void)state;
    assert_int_equal(want(1), CMG_MORE);
    assert_int_equal(want(1), CMG_MORE);
    UNTIL(w.ended == 1);
    assert_int_equal(want(1), CMG_OK);
    assert_int_equal(w.server.requests, 1);
}

static void it_is_asked_for_again_before_it_is_old(void **state)
{
    (void)state;
    use(100, 60000);
    assert_int_equal(want(1), CMG_MORE);
    UNTIL(w.taken == 4); /* nobody waits for those */
    assert_int_equal(w.server.requests, 4);
}

static void it_is_asked_for_again_before_its_end(void **state)
{
    (void)state;
    use(60000, 100);
    w.life = 1;
    assert_int_equal(want(1), CMG_MORE);
    UNTIL(w.taken == 3);
    w.life = DAY;
    UNTIL(w.taken == 4);
    assert_int_equal(want(1), CMG_OK);
}

static void on_turn(void *arg)
{
    (void)arg;
    cmg_loop_stop(w.loop);
}

static void what_failed_is_left_alone_for_a_while(void **state)
{
    (void)state;
    w.answer = gone;
    use(60000, 100);
    assert_int_equal(want(1), CMG_MORE);
    UNTIL(w.ended == 1);
    assert_int_equal(want(1), CMG_EIO);
    assert_int_equal(w.warned, 1);
    struct cmg_timer *turn = cmg_timer_new(w.loop, on_turn, NULL);
    while (want(1) == CMG_EIO) { /* until its time has come */
        cmg_timer_set(turn, 10);
        cmg_loop_run(w.loop);
    }
    cmg_timer_free(turn);
    assert_int_equal(want(1), CMG_MORE); /* on its way, again */
    UNTIL(w.ended == 2);
    assert_int_equal(w.server.requests, 2);
    assert_int_equal(w.warned, 1); /* it is the same reason */
}

/* Who has a list does not wait for a newer one that cannot be had; the background tries on. */
static void a_failure_keeps_what_there_was(void **state)
{
    (void)state;
    use(100, 100);
    assert_int_equal(want(1), CMG_MORE);
    UNTIL(w.taken == 1);
    w.answer = gone;
    UNTIL(w.ended == 3);
    enum cmg_rc rc = want(1); /* fresh for some milliseconds yet, or old */
    assert_true(rc == CMG_OK || rc == CMG_EIO);
    w.answer = good;
    UNTIL(w.taken == 2);
    assert_int_equal(want(1), CMG_OK);
}

static void there_are_only_so_many(void **state)
{
    (void)state;
    for (int i = 0; i < CRL_POINTS_MAX; i++)
        assert_int_equal(want(i), CMG_MORE);
    assert_int_equal(want(CRL_POINTS_MAX), CMG_ETOOBIG);
    UNTIL(w.ended == CRL_POINTS_MAX);
    assert_int_equal(want(CRL_POINTS_MAX), CMG_ETOOBIG);
    assert_int_equal(want(0), CMG_OK);
}

static void one_that_gave_nothing_makes_room(void **state)
{
    (void)state;
    w.answer = gone;
    assert_int_equal(want(0), CMG_MORE);
    UNTIL(w.ended == 1);
    w.answer = good;
    for (int i = 1; i < CRL_POINTS_MAX; i++)
        assert_int_equal(want(i), CMG_MORE);
    assert_int_equal(want(CRL_POINTS_MAX), CMG_MORE);
    assert_int_equal(want(0), CMG_ETOOBIG);
    UNTIL(w.taken == CRL_POINTS_MAX);
}

static bool keep(void *arg, const char *url)
{
    (void)url;
    w.kept++;
    return *(bool *)arg;
}

static void pruning_forgets_what_is_no_use(void **state)
{
    (void)state;
    assert_int_equal(want(0), CMG_MORE);
    UNTIL(w.ended == 1);
    w.answer = gone;
    assert_int_equal(want(1), CMG_MORE);
    UNTIL(w.ended == 2);
    assert_int_equal(want(1), CMG_EIO);
    bool yes = true, no = false;
    crl_points_prune(w.points, keep, &yes);
    assert_int_equal(w.kept, 1);
    assert_int_equal(want(0), CMG_OK);
    assert_int_equal(want(1), CMG_MORE); /* as if for the first time */
    crl_points_prune(w.points, keep, &no);
    assert_int_equal(want(0), CMG_MORE);
    UNTIL(w.ended == 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_fresh_list_is_not_asked_for_again),  TEST(it_is_asked_for_again_before_it_is_old),
        TEST(it_is_asked_for_again_before_its_end), TEST(what_failed_is_left_alone_for_a_while),
        TEST(a_failure_keeps_what_there_was),       TEST(there_are_only_so_many),
        TEST(one_that_gave_nothing_makes_room),     TEST(pruning_forgets_what_is_no_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
