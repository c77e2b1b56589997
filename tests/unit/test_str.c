/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"

static const struct cmg_str nothing = { NULL, 0 };

static void strings_are_equal_byte_for_byte_or_but_for_case(void **state)
{
    (void)state;
    static const struct {
        struct cmg_str a, b;
        bool eq, ieq;
    } cases[] = {
        { { "abc", 3 }, { "abc", 3 }, true, true },
        { { "abc", 3 }, { "ABC", 3 }, false, true },
        { { "abc", 3 }, { "abd", 3 }, false, false },
        { { "abc", 3 }, { "ab", 2 }, false, false },
        { { "", 0 }, { NULL, 0 }, true, true },
        { { "a\0b", 3 }, { "a\0c", 3 }, false, false },
        { { "@[`{", 4 }, { "`{@[", 4 }, false, false },
        { { "\xc3\x89", 2 }, { "\xc3\xa9", 2 }, false, false },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        assert_int_equal(cases[i].eq, cmg_str_eq(cases[i].a, cases[i].b));
        assert_int_equal(cases[i].ieq, cmg_str_ieq(cases[i].a, cases[i].b));
    }
}

static void only_ascii_capitals_are_lowered(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char want = c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
        assert_int_equal(want, cmg_lower((char)c));
    }
}

static void a_prefix_is_found_without_case(void **state)
{
    (void)state;
    assert_true(cmg_str_istarts(CMG_STR("HTTP://a"), CMG_STR("http://")));
    assert_true(cmg_str_istarts(CMG_STR("a"), nothing));
    assert_false(cmg_str_istarts(CMG_STR("http:/"), CMG_STR("http://")));
    assert_false(cmg_str_istarts(CMG_STR("xhttp://"), CMG_STR("http://")));
}

static void blanks_and_tabs_are_trimmed_at_the_ends_only(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        { " \ta b\t ", "a b" }, { "a", "a" }, { "  ", "" }, { "", "" }, { "\na\r", "\na\r" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        assert_true(cmg_str_eq(cmg_str(cases[i].want), cmg_str_trim(cmg_str(cases[i].in))));
    assert_int_equal(0, cmg_str_trim(nothing).n);
}

static void only_digits_up_to_63_bits_are_a_number(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        long long want;
    } cases[] = {
        { "0", 0 },
        { "007", 7 },
        { "9223372036854775807", INT64_MAX },
        { "9223372036854775808", -1 },
        { "9223372036854775810", -1 },
        { "99999999999999999999", -1 },
        { "", -1 },
        { "-1", -1 },
        { "+1", -1 },
        { " 1", -1 },
        { "1 ", -1 },
        { "1x", -1 },
        { "0x1", -1 },
        { "\xd9\xa1", -1 },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        if (cmg_str_number(cmg_str(cases[i].in)) != cases[i].want)
            fail_msg("\"%s\"", cases[i].in);
}

static void a_list_is_taken_apart_item_by_item(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        const char *items[4];
    } cases[] = {
        { "a", 1, { "a" } },    { "a, b ,c", 3, { "a", "b", "c" } }, { "", 1, { "" } },
        { ",", 2, { "", "" } }, { "a,,b", 3, { "a", "", "b" } },     { "a b", 1, { "a b" } },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_str rest = cmg_str(cases[i].in), item;
        size_t n = 0;
        for (; cmg_str_next(&rest, ',', &item); n++) {
            assert_true(n < cases[i].n);
            assert_true(cmg_str_eq(cmg_str(cases[i].items[n]), item));
        }
        assert_int_equal(cases[i].n, n);
    }
    struct cmg_str rest = nothing, item;
    assert_false(cmg_str_next(&rest, ',', &item));
}

static void a_copy_is_ended_by_nul(void **state)
{
    (void)state;
    char *copy = cmg_str_dup((struct cmg_str){ "abcdef", 3 });
    assert_string_equal("abc", copy);
    free(copy);
    copy = cmg_str_dup(nothing);
    assert_string_equal("", copy);
    free(copy);
}

static void a_null_pointer_is_an_empty_string(void **state)
{
    (void)state;
    assert_int_equal(0, cmg_str(NULL).n);
    assert_int_equal(3, cmg_str("abc").n);
    assert_int_equal(3, CMG_STR("a\0b").n);
    assert_true(cmg_str_eq(CMG_STR("bc"), cmg_str_from(CMG_STR("abc"), 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_equal_byte_for_byte_or_but_for_case),
        cmocka_unit_test(only_ascii_capitals_are_lowered),
        cmocka_unit_test(a_prefix_is_found_without_case),
        cmocka_unit_test(blanks_and_tabs_are_trimmed_at_the_ends_only),
        cmocka_unit_test(only_digits_up_to_63_bits_are_a_number),
        cmocka_unit_test(a_list_is_taken_apart_item_by_item),
        cmocka_unit_test(a_copy_is_ended_by_nul),
        cmocka_unit_test(a_null_pointer_is_an_empty_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
