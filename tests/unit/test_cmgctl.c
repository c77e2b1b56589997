/* SPDX-License-Identifier: MIT */
/* cmgctl: the command line against a table, the text of a block list, files that are replaced. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "certs.h"
#include "cmg/base/alloc.h"
#include "ctl/blocked.h"
#include "ctl/commands.h"
#include "ctl/files.h"
#include "ctl/when.h"

#define A "6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10"
#define B "11111111-2222-4333-8444-555555555555"

/* --- arguments ------------------------------------------------------------------------------ */

static char seen[512]; /* what the command was given */

static enum ctl_exit on_run(const struct ctl_args *a)
{
    size_t n = (size_t)snprintf(seen, sizeof(seen), "flag=%d text=%s number=%lld",
                                ctl_has(a, "flag"), ctl_text(a, "text") ? ctl_text(a, "text") : "-",
                                (long long)ctl_number(a, "number"));
    for (size_t i = 0; i < ctl_count(a, "many"); i++)
        n += (size_t)snprintf(seen + n, sizeof(seen) - n, " many=%s", ctl_nth(a, "many", i));
    for (size_t i = 0; i < ctl_operands(a); i++)
        n += (size_t)snprintf(seen + n, sizeof(seen) - n, " +%s", ctl_operand(a, i));
    return CTL_OK;
}

static enum cmg_rc not_bad(const char *value, struct cmg_err *err)
{
    return strcmp(value, "bad") ? CMG_OK : cmg_fail(err, CMG_EDENIED, "must not be bad");
}

static const struct ctl_option options[] = {
    { .name = "text", .value = "T", .doc = "A text.", .check = not_bad },
    { .name = "number", .value = "N", .doc = "A number.", .def = "7", .min = 1, .max = 9 },
    { .name = "many", .value = "T", .doc = "Texts.", .many = true },
    { .name = "flag", .doc = "A flag." },
    { 0 },
};
static const struct ctl_option must[] = {
    { .name = "key", .value = "K", .doc = "A key.", .required = true },
    { 0 },
};

static enum ctl_exit on_run_plain(const struct ctl_args *a)
{
    snprintf(seen, sizeof(seen), "%zu", ctl_operands(a));
    return CTL_FAILED;
}

static const struct ctl_command do_it = { .noun = "thing",
                                          .verb = "do",
                                          .operands = "[A [B]]",
                                          .operands_max = 2,
                                          .summary = "Do it.",
                                          .options = options,
                                          .run = on_run };
static const struct ctl_command undo = { .noun = "thing",
                                         .verb = "undo",
                                         .operands = "A...",
                                         .operands_min = 1,
                                         .operands_max = 3,
                                         .summary = "Undo it.",
                                         .options = must,
                                         .run = on_run_plain };
static const struct ctl_command bare = {
    .noun = "other", .verb = "do", .summary = "Do nothing.", .run = on_run_plain
};
static const struct ctl_command alone = { .verb = "look",
                                          .operands = "[near|far]",
                                          .operands_max = 1,
                                          .summary = "Look around.",
                                          .options = options,
                                          .run = on_run };
static const struct ctl_command *const table[] = { &do_it, &undo, &bare, &alone, NULL };

/* Words, separated by blanks. What is printed goes nowhere. */
static int run(const char *line)
{
    char copy[512], *argv[32] = { (char[]){ "cmgctl" } };
    int argc = 1;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *save, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    snprintf(seen, sizeof(seen), "not run");
    return ctl_main(table, argc, argv);
}

static void lines_are_taken_as_the_table_says(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *seen;
    } cases[] = {
        { "thing do", 0, "flag=0 text=- number=7" },
        { "thing do x --flag y", 0, "flag=1 text=- number=7 +x +y" },
        { "thing do --text=a --number 3", 0, "flag=0 text=a number=3" },
        { "thing do --many a --many=b --flag --flag", 0, "flag=1 text=- number=7 many=a many=b" },
        { "thing do -- --flag", 0, "flag=0 text=- number=7 +--flag" },
        { "thing do -", 0, "flag=0 text=- number=7 +-" },
        { "thing do --fl", 0, "flag=1 text=- number=7" }, /* as getopt_long does */
        { "thing undo --key=k a b c", 1, "3" },
        { "other do", 1, "0" },
        { "look", 0, "flag=0 text=- number=7" },
        { "look --text=a far", 0, "flag=0 text=a number=7 +far" },
        { "look --help", 0, "not run" },
        { "look far away", 2, "not run" },
        { "look do x", 2, "not run" },
        { "do look", 2, "not run" },
        { "thing do --help", 0, "not run" },
        { "thing do -h --number=3", 0, "not run" },
        { "thing undo --help", 0, "not run" }, /* though --key is missing */
        { "thing --help", 0, "not run" },
        { "--help", 0, "not run" },
        { "--version", 0, "not run" },
        { "--print-manual", 0, "not run" },
        { "", 2, "not run" },
        { "thing", 2, "not run" },
        { "nothing", 2, "not run" },
        { "nothing do", 2, "not run" },
        { "thing redo", 2, "not run" },
        { "thing do a b c", 2, "not run" },
        { "thing do --text", 2, "not run" },
        { "thing do --text=a --text=b", 2, "not run" },
        { "thing do --text=bad", 2, "not run" },
        { "thing do --number=0", 2, "not run" },
        { "thing do --number=10", 2, "not run" },
        { "thing do --number=-3", 2, "not run" },
        { "thing do --number=3x", 2, "not run" },
        { "thing do --flag=1", 2, "not run" },
        { "thing do --nonsense", 2, "not run" },
        { "thing do -x", 2, "not run" },
        { "thing undo a", 2, "not run" },
        { "thing undo --key=k", 2, "not run" },
        { "thing undo --key=k a b c d", 2, "not run" },
        { "other do a", 2, "not run" },
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        int status = run(cases[i].line);
        if (status != cases[i].status || strcmp(seen, cases[i].seen) != 0)
            fail_msg("'%s': %d, %s", cases[i].line, status, seen);
    }
}

/* A verb that stands alone may not be called like a noun either. */
static bool same_name(const struct ctl_command *a, const struct ctl_command *b)
{
    const char *a1 = a->noun ? a->noun : a->verb, *b1 = b->noun ? b->noun : b->verb;
    return !strcmp(a1, b1) && (!a->noun || !b->noun || !strcmp(a->verb, b->verb));
}

/* Rows that contradict themselves would only show when somebody types them. */
static void the_real_table_is_sound(void **state)
{
    (void)state;
    for (const struct ctl_command *const *at = ctl_commands; *at; at++) {
        const struct ctl_command *c = *at;
        assert_non_null(c->run);
        assert_true(c->operands_min <= c->operands_max);
        assert_int_equal(c->operands_max > 0, c->operands != NULL);
        assert_true(strlen(c->summary) < 80);
        for (const struct ctl_option *o = c->options; o && o->name; o++) {
            assert_true(o->doc[strlen(o->doc) - 1] == '.');
            assert_false(o->required && o->def);
            assert_true(o->value || (!o->def && !o->required && !o->max && !o->check));
            if (o->def && o->max)
                assert_in_range(atoll(o->def), o->min, o->max);
            for (const struct ctl_option *p = c->options; p != o; p++)
                assert_string_not_equal(p->name, o->name);
        }
        for (const struct ctl_command *const *other = ctl_commands; other != at; other++)
            assert_false(same_name(*other, c));
    }
}

/* --- the text of a block list --------------------------------------------------------------- */

static void lines_come_and_go_and_the_rest_stays(void **state)
{
    const struct cmg_str text = CMG_STR("# head\n\n" A " # PC1\r\n" B "\n# tail");
    (void)state;
    char *more = blocked_add(text, "99999999-8888-4777-8666-555555555555", "stolen, see 4711");
    assert_string_equal(more, "# head\n\n" A " # PC1\r\n" B "\n# tail\n"
                              "99999999-8888-4777-8666-555555555555 # stolen, see 4711\n");
    free(more);
    more = blocked_add(text, "99999999-8888-4777-8666-555555555555", NULL);
    assert_non_null(strstr(more, "# tail\n99999999-8888-4777-8666-555555555555\n"));
    free(more);
    assert_true(blocked_has(text, A));
    assert_true(blocked_has(text, "6D6E8A34-1F2C-4F6E-9B1D-2F5F0C8A7E10"));
    assert_false(blocked_has(text, "99999999-8888-4777-8666-555555555555"));
    assert_false(blocked_has(CMG_STR("# " A "\n"), A));
    char *less = blocked_remove(text, A);
    assert_string_equal(less, "# head\n\n" B "\n# tail");
    free(less);
    less = blocked_remove(CMG_STR(A "\n" B "\n" A), A);
    assert_string_equal(less, B "\n");
    free(less);
}

static void a_list_is_never_without_a_byte(void **state)
{
    (void)state;
    char *first = blocked_add(CMG_STR(""), A, NULL);
    assert_true(first[0] == '#' && blocked_has(cmg_str(first), A));
    char *none = blocked_remove(CMG_STR(A "\n"), A);
    assert_true(none[0] == '#' && !blocked_has(cmg_str(none), A));
    free(first);
    free(none);
}

static void a_comment_is_one_line(void **state)
{
    struct cmg_err err;
    char longest[202];
    (void)state;
    assert_int_equal(blocked_comment_ok("Müller's PC # 2", &err), CMG_OK);
    assert_int_equal(blocked_comment_ok("a\n" A, &err), CMG_EDENIED);
    assert_int_equal(blocked_comment_ok("a\rb", &err), CMG_EDENIED);
    memset(longest, 'x', 201);
    longest[201] = '\0';
    assert_int_equal(blocked_comment_ok(longest, &err), CMG_EDENIED);
    assert_int_equal(blocked_comment_ok(longest + 1, &err), CMG_OK);
}

/* --- files ---------------------------------------------------------------------------------- */

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

static void a_new_file_is_never_another_ones(void **state)
{
    struct cmg_err err;
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s", cert_path("new"));
    mode_t before = umask(077);
    assert_int_equal(ctl_file_new(path, 0644, CMG_STR("x\n"), &err), CMG_OK);
    umask(before);
    assert_int_equal(mode_of(path) & 07777, 0644);
    assert_int_equal(ctl_file_new(path, 0644, CMG_STR("y\n"), &err), CMG_EDENIED);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(ctl_file_new(path, 0644, CMG_STR("y\n"), &err), CMG_EDENIED);
    assert_int_equal(ctl_file_new("/nowhere/x", 0644, CMG_STR("y\n"), &err), CMG_EIO);
}

static void an_edit_keeps_mode_and_link(void **state)
{
    struct cmg_err err;
    struct ctl_edit e;
    char file[128], link[128];
    (void)state;
    snprintf(file, sizeof(file), "%s", cert_write_text("list", "old\n", 0640));
    snprintf(link, sizeof(link), "%s", cert_path("link"));
    assert_int_equal(symlink(file, link), 0);
    assert_int_equal(ctl_edit_begin(&e, link, 0, 100, &err), CMG_OK);
    assert_string_equal(e.text, "old\n");
    assert_int_equal(ctl_edit_write(&e, CMG_STR("new\n"), &err), CMG_OK);
    ctl_edit_end(&e);
    assert_true(S_ISLNK(mode_of(link)));
    assert_int_equal(mode_of(file) & 07777, 0640);
    assert_int_equal(ctl_edit_begin(&e, file, 0, 100, &err), CMG_OK);
    assert_string_equal(e.text, "new\n");
    ctl_edit_end(&e);

    assert_int_equal(ctl_edit_begin(&e, cert_path("absent"), 0, 100, &err), CMG_ECONF);
    assert_int_equal(ctl_edit_begin(&e, cert_path("made"), 0604, 100, &err), CMG_OK);
    ctl_edit_end(&e);
    assert_int_equal(mode_of(cert_path("made")) & 07777, 0604);
    assert_int_equal(ctl_edit_begin(&e, file, 0, 3, &err), CMG_ECONF); /* larger */
    assert_int_equal(ctl_edit_begin(&e, cert_dir, 0, 100, &err), CMG_ECONF);
}

static void times_are_said_in_words(void **state)
{
    static const struct {
        int64_t at;
        const char *says;
    } cases[] = {
        { 1769853600, "2026-01-31 10:00:00 UTC (now)" },
        { 1769853601, "2026-01-31 10:00:01 UTC (in 1 second)" },
        { 1769853600 - 7199, "2026-01-31 08:00:01 UTC (1 hour ago)" },
        { 1769853600 + 3 * 86400, "2026-02-03 10:00:00 UTC (in 3 days)" },
    };
    char out[WHEN_BOTH];
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        when_both(cases[i].at, 1769853600, out);
        assert_string_equal(out, cases[i].says);
    }
    when_text(INT64_MAX, out);
    assert_string_equal(out, "at 9223372036854775807");
}

static int set_up_all(void **state)
{
    (void)state;
    cert_setup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_taken_as_the_table_says),
        cmocka_unit_test(the_real_table_is_sound),
        cmocka_unit_test(lines_come_and_go_and_the_rest_stays),
        cmocka_unit_test(a_list_is_never_without_a_byte),
        cmocka_unit_test(a_comment_is_one_line),
        cmocka_unit_test(a_new_file_is_never_another_ones),
        cmocka_unit_test(an_edit_keeps_mode_and_link),
        cmocka_unit_test(times_are_said_in_words),
    };
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
