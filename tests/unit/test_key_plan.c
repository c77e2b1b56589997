/* SPDX-License-Identifier: MIT */
/* Virtual time and loaded dice. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "gateway/key_plan.h"

enum { HOUR_MS = 3600 * 1000 };

static void a_storm_is_one_fetch_a_minute(void **state)
{
    (void)state;
    struct key_plan p = { 0 };
    unsigned fetches = 0;
    for (int64_t now = 0; now < HOUR_MS; now += 10)
        fetches += key_plan_demand(&p, now);
    assert_int_equal(fetches, 60);
}

static void the_first_demand_is_met_whatever_the_time(void **state)
{
    (void)state;
    static const int64_t times[] = { INT64_MIN, -1, 0, 1, 59999, INT64_MAX };
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        struct key_plan p = { 0 };
        assert_true(key_plan_demand(&p, times[i]));
        assert_false(key_plan_demand(&p, times[i]));
    }
}

static void keys_are_renewed_in_time(void **state)
{
    (void)state;
    struct key_plan p = { 0 };
    assert_int_equal(key_plan_rest(&p, true, HOUR_MS, 0), HOUR_MS);
    assert_in_range(key_plan_rest(&p, true, HOUR_MS, 1023), HOUR_MS / 10 * 9,
                    HOUR_MS / 10 * 9 + 400);
    for (uint32_t dice = 0; dice < 100000; dice += 77)
        assert_in_range(key_plan_rest(&p, true, HOUR_MS, dice * 40503u), HOUR_MS / 10 * 9, HOUR_MS);
}

static void failures_are_tried_again_ever_later(void **state)
{
    (void)state;
    static const int64_t rests[] = { 5000, 10000, 20000, 40000, 80000, 160000, 300000, 300000 };
    struct key_plan p = { 0 };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++)
            assert_int_equal(key_plan_rest(&p, false, HOUR_MS, 0), rests[i]);
        assert_int_equal(key_plan_rest(&p, true, HOUR_MS, 0),
                         HOUR_MS); /* and then from the start */
    }
    p.failures = UINT32_MAX;
    assert_int_equal(key_plan_rest(&p, false, HOUR_MS, 0), 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_is_one_fetch_a_minute),
        cmocka_unit_test(the_first_demand_is_met_whatever_the_time),
        cmocka_unit_test(keys_are_renewed_in_time),
        cmocka_unit_test(failures_are_tried_again_ever_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
