/* SPDX-License-Identifier: MIT */
/* Real files; the test does the looking, but for one case that waits for the timer. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/clock.h"
#include "cmg/net/filewatch.h"
#include "cmg/net/loop.h"

enum what { NOTHING, CLEAR, ADD, FREE };

static struct {
    struct cmg_loop *loop;
    struct cmg_filewatch *watch;
    char dir[64], a[80], b[80];
    unsigned reports;
    char last[80];
    enum what do_then;
} w;

static void on_change(void *arg, const char *path)
{
    assert_ptr_equal(arg, &w);
    w.reports++;
    snprintf(w.last, sizeof(w.last), "%s", path);
    cmg_loop_stop(w.loop);
    if (w.do_then == CLEAR)
        cmg_filewatch_clear(w.watch);
    if (w.do_then == ADD)
        for (int i = 0; i < 50; i++) {
            char more[96];
            snprintf(more, sizeof(more), "%s%d", w.a, i);
            cmg_filewatch_add(w.watch, more);
        }
    if (w.do_then == FREE) {
        cmg_filewatch_free(w.watch);
        w.watch = NULL;
    }
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    snprintf(w.dir, sizeof(w.dir), "/tmp/cmg-test-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    snprintf(w.a, sizeof(w.a), "%s/a", w.dir);
    snprintf(w.b, sizeof(w.b), "%s/b", w.dir);
    put(w.a, "one");
    put(w.b, "one");
    w.loop = cmg_loop_new();
    w.watch = cmg_filewatch_new(w.loop, on_change, &w);
    cmg_filewatch_add(w.watch, w.a);
    cmg_filewatch_add(w.watch, w.a);
    cmg_filewatch_add(w.watch, NULL);
    cmg_filewatch_add(w.watch, "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cmg_filewatch_free(w.watch);
    cmg_loop_free(w.loop);
    unlink(w.a);
    unlink(w.b);
    assert_int_equal(rmdir(w.dir), 0);
    return 0;
}

/* How many reports so many looks bring. */
static unsigned looks(unsigned n)
{
    unsigned before = w.reports;
    while (n-- && w.watch)
        cmg_filewatch_look(w.watch);
    return w.reports - before;
}

static void what_stays_is_not_reported(void **state)
{
    (void)state;
    assert_int_equal(looks(3), 0);
}

static void a_change_is_reported_once_it_rests(void **state)
{
    (void)state;
    put(w.a, "two, and longer");
    assert_int_equal(looks(1), 0);
    put(w.a, "two, and longer still"); /* it was not done yet */
    assert_int_equal(looks(1), 0);
    assert_int_equal(looks(1), 1);
    assert_string_equal(w.last, w.a);
    assert_int_equal(looks(3), 0);
}

static void a_time_alone_counts(void **state)
{
    (void)state;
    const struct timespec times[2] = { { 1000000000, 1 }, { 1000000000, 1 } };
    assert_int_equal(utimensat(AT_FDCWD, w.a, times, 0), 0);
    assert_int_equal(looks(3), 1);
    const struct timespec later[2] = { { 1000000000, 2 }, { 1000000000, 2 } };
    assert_int_equal(utimensat(AT_FDCWD, w.a, later, 0), 0);
    assert_int_equal(looks(3), 1);
    assert_int_equal(chmod(w.a, 0600), 0); /* it may be readable now */
    assert_int_equal(looks(3), 1);
}

static void another_file_of_that_name_counts(void **state)
{
    (void)state;
    assert_int_equal(rename(w.b, w.a), 0);
    assert_int_equal(looks(3), 1);
}

static void a_link_is_followed(void **state)
{
    (void)state;
    char link[96], next[96];
    snprintf(link, sizeof(link), "%s.link", w.a);
    snprintf(next, sizeof(next), "%s.next", w.a);
    assert_int_equal(symlink(w.a, link), 0);
    cmg_filewatch_add(w.watch, link);
    assert_int_equal(symlink(w.b, next), 0);
    assert_int_equal(rename(next, link), 0);
    assert_int_equal(looks(3), 1);
    assert_string_equal(w.last, link);
    unlink(link);
}

static void coming_and_going_count(void **state)
{
    (void)state;
    unlink(w.a);
    assert_int_equal(looks(3), 1);
    put(w.a, "one");
    assert_int_equal(looks(3), 1);
    unlink(w.a); /* replaced in two steps: it was never seen missing twice */
    assert_int_equal(looks(1), 0);
    put(w.a, "two, and longer");
    assert_int_equal(looks(3), 1);
}

static void two_changes_are_two_reports(void **state)
{
    (void)state;
    cmg_filewatch_add(w.watch, w.b);
    put(w.a, "longer");
    put(w.b, "longer");
    assert_int_equal(looks(2), 2);
}

static void whoever_is_told_may_do_anything(void **state)
{
    (void)state;
    static const enum what things[] = { ADD, CLEAR, FREE };
    for (size_t i = 0; i < 3; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%*d", (int)i + 8, 1);
        cmg_filewatch_clear(w.watch);
        cmg_filewatch_add(w.watch, w.a);
        cmg_filewatch_add(w.watch, w.b);
        put(w.a, text);
        put(w.b, text);
        w.do_then = things[i];
        assert_int_equal(looks(2), things[i] == ADD ? 2 : 1);
    }
    assert_null(w.watch);
}

static void the_loop_looks(void **state)
{
    (void)state;
    int64_t start = cmg_clock_ms();
    put(w.a, "longer");
    while (!w.reports)
        cmg_loop_run(w.loop);
    assert_in_range(cmg_clock_ms() - start, CMG_FILEWATCH_MS, 10 * CMG_FILEWATCH_MS);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_stays_is_not_reported),
        TEST(a_change_is_reported_once_it_rests),
        TEST(a_time_alone_counts),
        TEST(another_file_of_that_name_counts),
        TEST(a_link_is_followed),
        TEST(coming_and_going_count),
        TEST(two_changes_are_two_reports),
        TEST(whoever_is_told_may_do_anything),
        TEST(the_loop_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
