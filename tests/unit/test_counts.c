/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "cmg/base/counts.h"

static void bounds_ascend(void **state)
{
    (void)state;
    assert_int_equal(cmg_histogram_us[0], 1000);
    assert_int_equal(cmg_histogram_us[CMG_HISTOGRAM_BUCKETS - 1], 300 * 1000 * 1000);
    for (unsigned i = 1; i < CMG_HISTOGRAM_BUCKETS; i++)
        assert_true(cmg_histogram_us[i] > cmg_histogram_us[i - 1]);
}

/* A bound belongs to its bucket: "le" is less or equal. */
static void each_bound_counts_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CMG_HISTOGRAM_BUCKETS; i++) {
        struct cmg_histogram h = { 0 };
        cmg_histogram_add(&h, cmg_histogram_us[i]);
        cmg_histogram_add(&h, cmg_histogram_us[i] + 1);
        assert_int_equal(h.bucket[i], 1);
        assert_int_equal(i + 1 < CMG_HISTOGRAM_BUCKETS ? h.bucket[i + 1] : h.above, 1);
        assert_int_equal(h.count, 2);
        assert_int_equal(h.sum_us, 2 * cmg_histogram_us[i] + 1);
    }
}

/* A clock that seems to run backwards must not make the sum shrink. */
static void no_negative_time(void **state)
{
    (void)state;
    struct cmg_histogram h = { 0 };
    cmg_histogram_add(&h, -5);
    cmg_histogram_add(&h, 0);
    assert_int_equal(h.bucket[0], 2);
    assert_int_equal(h.sum_us, 0);
}

static void what_failed(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        bool cut, failed;
    } cases[] = {
        { 200, false, false }, { 304, false, false }, { 404, false, false }, { 401, false, false },
        { 498, false, false }, { 499, false, true },  { 500, false, true },  { 503, false, true },
        { 200, true, true },   { 404, true, true },   { 0, false, true },    { 0, true, true },
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct cmg_counts c = { 0 };
        cmg_counts_begin(&c, false);
        cmg_counts_end(&c, cases[i].status, cases[i].cut, 1, 2, 3);
        assert_int_equal(c.failed, cases[i].failed);
    }
}

static void one_after_another(void **state)
{
    (void)state;
    struct cmg_counts c = { 0 };
    cmg_counts_begin(&c, true);
    cmg_counts_begin(&c, false);
    cmg_counts_begin(&c, false);
    assert_int_equal(c.in_flight, 3);
    cmg_counts_end(&c, 200, false, 10, 1000, 500);
    cmg_counts_end(&c, 500, false, 20, 2000, 500);
    cmg_counts_begin(&c, true);
    cmg_counts_end(&c, 404, false, 0, 0, 500);
    cmg_counts_end(&c, 200, true, 0, 7, 500);
    assert_int_equal(c.requests, 4);
    assert_int_equal(c.bearer, 2);
    assert_int_equal(c.failed, 2);
    assert_int_equal(c.request_bytes, 30);
    assert_int_equal(c.response_bytes, 3007);
    assert_int_equal(c.in_flight, 0);
    assert_int_equal(c.max_in_flight, 3);
    assert_int_equal(c.took.count, 4);
    assert_int_equal(c.took.sum_us, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_ascend),     cmocka_unit_test(each_bound_counts_once),
        cmocka_unit_test(no_negative_time),  cmocka_unit_test(what_failed),
        cmocka_unit_test(one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
