/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"

static void assert_holds(const struct cmg_buf *b, const char *want)
{
    assert_true(cmg_str_eq(cmg_str(want), cmg_buf_str(b)));
}

static void bytes_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct cmg_buf b;
    cmg_buf_init(&b, 100);
    assert_int_equal(CMG_OK, cmg_buf_put(&b, CMG_STR("hello ")));
    assert_int_equal(CMG_OK, cmg_buf_put(&b, CMG_STR("world")));
    assert_holds(&b, "hello world");
    cmg_buf_drop(&b, 6);
    assert_holds(&b, "world");
    assert_int_equal(CMG_OK, cmg_buf_printf(&b, " %d%s", 42, "!"));
    assert_holds(&b, "world 42!");
    cmg_buf_clear(&b);
    assert_holds(&b, "");
}

static void the_ceiling_holds_and_nothing_is_half_appended(void **state)
{
    (void)state;
    struct cmg_buf b;
    cmg_buf_init(&b, 10);
    assert_int_equal(CMG_OK, cmg_buf_put(&b, CMG_STR("12345678")));
    assert_int_equal(2, cmg_buf_room(&b));
    assert_int_equal(CMG_ETOOBIG, cmg_buf_put(&b, CMG_STR("abc")));
    assert_int_equal(CMG_ETOOBIG, cmg_buf_printf(&b, "%s", "abc"));
    assert_null(cmg_buf_reserve(&b, 3));
    assert_holds(&b, "12345678");
    assert_int_equal(CMG_OK, cmg_buf_put(&b, CMG_STR("ab")));
    assert_int_equal(0, cmg_buf_room(&b));
    cmg_buf_drop(&b, 1);
    assert_int_equal(1, cmg_buf_room(&b));
    cmg_buf_clear(&b);
    assert_int_equal(10, cmg_buf_room(&b));
}

static void nothing_may_always_be_appended(void **state)
{
    (void)state;
    struct cmg_buf b;
    cmg_buf_init(&b, 0);
    assert_int_equal(CMG_OK, cmg_buf_put(&b, CMG_STR("")));
    assert_int_equal(CMG_OK, cmg_buf_put(&b, (struct cmg_str){ NULL, 0 }));
    assert_non_null(cmg_buf_reserve(&b, 0));
    assert_null(cmg_buf_reserve(&b, 1));
    assert_int_equal(0, b.n);
    cmg_buf_clear(&b);
}

static void reserved_bytes_count_once_they_are_added(void **state)
{
    (void)state;
    struct cmg_buf b;
    cmg_buf_init(&b, 5000);
    char *p = cmg_buf_reserve(&b, 4000);
    memset(p, 'x', 4000);
    assert_int_equal(0, b.n);
    cmg_buf_added(&b, 4000);
    assert_int_equal(4000, b.n);
    assert_int_equal('x', cmg_buf_str(&b).p[3999]);
    cmg_buf_clear(&b);
}

static void an_empty_buffer_holds_no_large_block(void **state)
{
    (void)state;
    struct cmg_buf b;
    cmg_buf_init(&b, 1 << 20);
    cmg_buf_added(&b, cmg_buf_reserve(&b, 100000) ? 100000 : 0);
    cmg_buf_drop(&b, 100000);
    assert_null(b.p);
    assert_int_equal(0, b.cap);
    assert_int_equal(1 << 20, b.max);
}

/* Against a model: a plain array with a start and an end. */
static void a_long_life_of_puts_and_drops_loses_no_byte(void **state)
{
    (void)state;
    static char model[1 << 20];
    size_t start = 0, end = 0;
    unsigned dice = 1;
    struct cmg_buf b;

    cmg_buf_init(&b, 20000);
    for (int i = 0; i < 20000 && end + 3000 < sizeof(model); i++) {
        dice = dice * 1103515245u + 12345u;
        size_t n = (dice >> 8) % 3000, room = cmg_buf_room(&b);
        if (dice & 0x40000000) {
            for (size_t k = 0; k < n; k++)
                model[end + k] = (char)(end + k * 7);
            enum cmg_rc rc = cmg_buf_put(&b, (struct cmg_str){ model + end, n });
            assert_int_equal(n <= room ? CMG_OK : CMG_ETOOBIG, rc);
            end += rc == CMG_OK ? n : 0;
        } else {
            n = n > b.n ? b.n : n;
            cmg_buf_drop(&b, n);
            start += n;
        }
        assert_int_equal(end - start, b.n);
        assert_true(cmg_str_eq((struct cmg_str){ model + start, end - start }, cmg_buf_str(&b)));
    }
    assert_true(end > sizeof(model) / 2);
    cmg_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(the_ceiling_holds_and_nothing_is_half_appended),
        cmocka_unit_test(nothing_may_always_be_appended),
        cmocka_unit_test(reserved_bytes_count_once_they_are_added),
        cmocka_unit_test(an_empty_buffer_holds_no_large_block),
        cmocka_unit_test(a_long_life_of_puts_and_drops_loses_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
