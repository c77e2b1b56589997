/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "ctl/progress.h"

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void bytes_have_three_digits_or_one_behind_the_point(void **state)
{
    (void)state;
    static const struct {
        int64_t bytes;
        const char *want;
    } cases[] = {
        { 0, "0 B" },
        { 999, "999 B" },
        { 1000, "1.0 KiB" },
        { 1536, "1.5 KiB" },
        { 99 * KIB + 900, "99.9 KiB" },
        { 100 * KIB, "100 KiB" },
        { 999 * KIB + 600, "1.0 MiB" },
        { 8 * MIB, "8.0 MiB" },
        { 5 * GIB / 2, "2.5 GiB" },
        { INT64_MAX, "8.0 EiB" },
        { -1, "0 B" },
    };
    char out[PROGRESS_BYTES];
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        assert_string_equal(progress_bytes(cases[i].bytes, out), cases[i].want);
}

static void times_are_short(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *want;
    } cases[] = {
        { -1, "?" },       { 0, "0s" },          { 59, "59s" },
        { 60, "1m00s" },   { 3599, "59m59s" },   { 3600, "1h00m" },
        { 7500, "2h05m" }, { 359999, "99h59m" }, { 360000, "4d" },
    };
    char out[PROGRESS_BYTES];
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        assert_string_equal(progress_time(cases[i].seconds, out), cases[i].want);
}

static void the_rate_is_that_of_late(void **state)
{
    (void)state;
    struct progress_rate r = { 0 };
    assert_int_equal(progress_rate_now(&r, 0, 0), -1);
    progress_rate_add(&r, 0, 0);
    assert_int_equal(progress_rate_now(&r, 100, 5000), -1); /* too early */
    int64_t at = 0, bytes = 0;
    for (; at < 60000; at += 100, bytes += 100)
        progress_rate_add(&r, at, bytes); /* 1000 a second */
    assert_int_equal(progress_rate_now(&r, at, bytes), 1000);
    for (int64_t end = at + 20000; at < end; at += 100, bytes += 1000)
        progress_rate_add(&r, at, bytes); /* 10000 a second: the old ones are forgotten */
    assert_int_equal(progress_rate_now(&r, at, bytes), 10000);
    for (int64_t end = at + 20000; at < end; at += 100)
        progress_rate_add(&r, at, bytes);
    assert_int_equal(progress_rate_now(&r, at, bytes), -1); /* stalled: no promise */
}

static const struct progress_view half = { 512 * MIB, GIB, 16 * MIB, "setup/data.cab" };

static void line_is(unsigned columns, const struct progress_view *v, const char *want)
{
    char out[1024];
    size_t n = progress_line(out, sizeof(out), columns, v);
    assert_string_equal(out, want);
    assert_int_equal(n, strlen(want));
}

static void the_line_fits_its_terminal(void **state)
{
    (void)state;
    line_is(100, &half,
            " 50% [===========>           ]  512 MiB of 1.0 GiB  16.0 MiB/s  32s left  "
            "setup/data.cab");
    line_is(80, &half,
            " 50% [=========>        ]  512 MiB of 1.0 GiB  16.0 MiB/s  32s left  ...ata.cab");
    line_is(40, &half, " 50%  512 MiB of 1.0 GiB  16.0 MiB/s");
    line_is(20, &half, " 50%  16.0 MiB/s");
    line_is(15, &half, " 50%  32s left");
    line_is(5, &half, " 50%");
    line_is(4, &half, "");
    line_is(0, &half, "");
}

static void what_is_not_known_is_not_said(void **state)
{
    (void)state;
    const struct progress_view start = { 0, GIB, -1, NULL };
    line_is(60, &start, "  0% [>            ]  0 B of 1.0 GiB");
    const struct progress_view nothing = { 0, 0, -1, NULL };
    line_is(60, &nothing, "100% [=============]  0 B of 0 B");
}

static void no_width_is_passed_whatever_the_name(void **state)
{
    (void)state;
    struct progress_view v = half;
    v.name = "\xc3\x84nderungen/\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97/\xf0\x9f\x98\x80/"
             "u\xcc\x88"
             "ber alles in einer langen Reihe von Ordnern/datei.cab\xff\xfe";
    for (unsigned columns = 0; columns < 300; columns++) {
        char out[4 * 300];
        size_t n = progress_line(out, sizeof(out), columns, &v);
        assert_true(n < sizeof(out));
        unsigned least = 0; /* every character takes one column or more but the accent */
        for (size_t i = 0; i < n; i++)
            least += ((unsigned char)out[i] & 0xc0) != 0x80 && (unsigned char)out[i] != 0xcc;
        assert_true(columns == 0 ? n == 0 : least <= columns - 1);
    }
}

static void a_buffer_that_is_too_small_is_not_passed(void **state)
{
    (void)state;
    for (size_t size = 1; size < 120; size++) {
        char *out = cmg_alloc(size);
        assert_true(progress_line(out, size, 200, &half) < size);
        free(out);
    }
}

static void outside_a_terminal_only_lines_are_written(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *file = tmpfile();
    assert_non_null(file);
    struct progress p;
    progress_init(&p, file, 1000);
    progress_add(&p, 500, 500);
    progress_draw(&p, 1000, "a");
    progress_say(&p, "sent %s", "a");
    progress_draw(&p, 2000, "b");
    progress_end(&p);
    rewind(file);
    assert_int_equal(getline(&text, &n, file), 7);
    assert_string_equal(text, "sent a\n");
    assert_int_equal(getline(&text, &n, file), -1);
    free(text);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_three_digits_or_one_behind_the_point),
        cmocka_unit_test(times_are_short),
        cmocka_unit_test(the_rate_is_that_of_late),
        cmocka_unit_test(the_line_fits_its_terminal),
        cmocka_unit_test(what_is_not_known_is_not_said),
        cmocka_unit_test(no_width_is_passed_whatever_the_name),
        cmocka_unit_test(a_buffer_that_is_too_small_is_not_passed),
        cmocka_unit_test(outside_a_terminal_only_lines_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
