/* SPDX-License-Identifier: MIT */
/* Two weeks of sent bytes, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "gateway/egress_plan.h"

static const int64_t DAY = EGRESS_DAY_S;
static const int64_t START = INT64_C(21915) * EGRESS_DAY_S; /* midnight, 2030-01-01 */

static const struct egress_limits limits = { .threshold = 1000, .warn = 50, .critical = 90 };

static void test_fourteen_days(void **state)
{
    (void)state;
    struct egress_plan p = { .day = 0 };
    for (int day = 0; day < 14; day++) {
        egress_plan_add(&p, START + day * DAY, 10);
        egress_plan_add(&p, START + day * DAY + DAY - 1, 5);
    }
    assert_int_equal(egress_plan_sum(&p), 14 * 15);
    assert_int_equal(p.bytes[0], 15);
    egress_plan_add(&p, START + 14 * DAY, 1); /* the first day goes */
    assert_int_equal(egress_plan_sum(&p), 13 * 15 + 1);
    egress_plan_add(&p, START + 20 * DAY, 0);
    assert_int_equal(egress_plan_sum(&p), 7 * 15 + 1);
    egress_plan_add(&p, START + 28 * DAY, 0); /* all of them but none */
    assert_int_equal(egress_plan_sum(&p), 0);
    egress_plan_add(&p, START + 1000 * DAY, 7);
    assert_int_equal(egress_plan_sum(&p), 7);
}

static void test_the_clock_is_set_back(void **state)
{
    (void)state;
    struct egress_plan p = { .day = 0 };
    egress_plan_add(&p, START + 30 * DAY, 100);
    egress_plan_add(&p, START, 1); /* it was wrong for a month */
    assert_int_equal(egress_plan_sum(&p), 101);
    egress_plan_add(&p, START + 13 * DAY, 0);
    assert_int_equal(egress_plan_sum(&p), 101);
    egress_plan_add(&p, START + 14 * DAY, 0); /* and does not keep it for ever */
    assert_int_equal(egress_plan_sum(&p), 0);
}

static void test_no_overflow(void **state)
{
    (void)state;
    struct egress_plan p = { .day = 0 };
    egress_plan_add(&p, START, UINT64_MAX - 1);
    egress_plan_add(&p, START, 100);
    egress_plan_add(&p, START + DAY, 100);
    assert_true(egress_plan_sum(&p) == UINT64_MAX);
    assert_int_equal(egress_plan_percent(&p, &limits), 999999);
}

static void test_each_crossing_once(void **state)
{
    (void)state;
    struct egress_plan p = { .day = 0 };
    egress_plan_add(&p, START, 499);
    assert_int_equal(egress_plan_judge(&p, &limits), 0);
    egress_plan_add(&p, START, 1);
    assert_int_equal(egress_plan_judge(&p, &limits), EGRESS_NEWS_WARNING);
    assert_int_equal(egress_plan_judge(&p, &limits), 0);
    egress_plan_add(&p, START + DAY, 399);
    assert_int_equal(egress_plan_judge(&p, &limits), 0);
    egress_plan_add(&p, START + DAY, 1);
    assert_int_equal(egress_plan_judge(&p, &limits), EGRESS_NEWS_CRITICAL);
    assert_int_equal(egress_plan_judge(&p, &limits), 0);
    assert_false(p.stopped);
    egress_plan_add(&p, START + 14 * DAY, 0);
    assert_int_equal(egress_plan_judge(&p, &limits), EGRESS_NEWS_LESS);
    assert_int_equal(p.level, EGRESS_FREE);
    egress_plan_add(&p, START + 14 * DAY, 5000); /* from nothing to all at once */
    assert_int_equal(egress_plan_judge(&p, &limits), EGRESS_NEWS_CRITICAL);
}

static void test_stop_and_go(void **state)
{
    (void)state;
    struct egress_limits l = limits;
    struct egress_plan p = { .day = 0 };
    l.stop = true;
    egress_plan_add(&p, START, 899);
    assert_int_equal(egress_plan_judge(&p, &l), EGRESS_NEWS_WARNING);
    egress_plan_add(&p, START, 1);
    assert_int_equal(egress_plan_judge(&p, &l), EGRESS_NEWS_CRITICAL | EGRESS_NEWS_STOPPED);
    assert_true(p.stopped);
    l.stop = false; /* an administrator switches it off */
    assert_int_equal(egress_plan_judge(&p, &l), EGRESS_NEWS_RESUMED);
    l.stop = true;
    assert_int_equal(egress_plan_judge(&p, &l), EGRESS_NEWS_STOPPED);
    l.threshold = 1200; /* or raises it */
    assert_int_equal(egress_plan_judge(&p, &l), EGRESS_NEWS_LESS | EGRESS_NEWS_RESUMED);
    l.threshold = 0;
    assert_int_equal(egress_plan_judge(&p, &l), EGRESS_NEWS_LESS);
    assert_int_equal(egress_plan_percent(&p, &l), 0);
}

static void test_a_restart(void **state)
{
    (void)state;
    struct egress_plan p = { .day = 0 }, next;
    for (int day = 0; day < 10; day++)
        egress_plan_add(&p, START + day * DAY, 60);
    assert_int_equal(egress_plan_judge(&p, &limits), EGRESS_NEWS_WARNING);
    json_t *o = egress_plan_save(&p);
    char *text = json_dumps(o, JSON_COMPACT);
    assert_true(egress_plan_load(cmg_str(text), &next));
    assert_memory_equal(next.bytes, p.bytes, sizeof(p.bytes));
    assert_int_equal(egress_plan_judge(&next, &limits), 0); /* that was told before */
    egress_plan_add(&next, START + 16 * DAY, 1);
    assert_int_equal(egress_plan_sum(&next), 7 * 60 + 1);
    free(text);
    json_decref(o);
}

static void test_files_that_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{}",
        "{\"v\":2,\"day\":1,\"bytes\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"level\":0,\"stopped\":false}",
        "{\"v\":1,\"day\":1,\"bytes\":[0,0,0,0,0,0,0,0,0,0,0,0,0],\"level\":0,\"stopped\":false}",
        "{\"v\":1,\"day\":1,\"bytes\":[0,0,0,0,0,0,0,0,0,0,0,0,0,-1],\"level\":0,\"stopped\":"
        "false}",
        "{\"v\":1,\"day\":1,\"bytes\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"level\":3,\"stopped\":false}",
        "{\"v\":1,\"day\":-1,\"bytes\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"level\":0,\"stopped\":"
        "false}",
        "{\"v\":1,\"day\":1,\"bytes\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0.5],\"level\":0,\"stopped\":0}",
    };
    struct egress_plan p;
    for (size_t i = 0; i < CMG_COUNT(texts); i++) {
        if (egress_plan_load(cmg_str(texts[i]), &p))
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(egress_plan_sum(&p), 0);
    }
}

static void test_how_long_to_stay_away(void **state)
{
    (void)state;
    assert_int_equal(egress_plan_wait_s(START), 3600);
    assert_int_equal(egress_plan_wait_s(START + DAY - 60), 60);
    assert_int_equal(egress_plan_wait_s(START + DAY - 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fourteen_days),       cmocka_unit_test(test_the_clock_is_set_back),
        cmocka_unit_test(test_no_overflow),         cmocka_unit_test(test_each_crossing_once),
        cmocka_unit_test(test_stop_and_go),         cmocka_unit_test(test_a_restart),
        cmocka_unit_test(test_files_that_are_none), cmocka_unit_test(test_how_long_to_stay_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
