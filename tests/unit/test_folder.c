/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/storage/account.h"
#include "ctl/folder.h"

/* A folder of its own for each test, and the way there. */
static int set_up(void **state)
{
    char *path = cmg_strdup("/tmp/cmg-folder-XXXXXX");
    *state = path;
    return mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[64];
    int status = chdir("/");
    snprintf(command, sizeof(command), "rm -rf -- %s", (char *)*state);
    status |= system(command);
    free(*state);
    return status;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void is_refused(const char *in_words)
{
    struct folder f;
    struct cmg_err err;
    assert_int_equal(folder_open(&f, ".", &err), CMG_ECONF);
    if (!strstr(err.text, in_words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, in_words);
    assert_int_equal(f.n, 0);
    assert_null(f.files);
    folder_close(&f);
}

static void files_come_sorted_with_their_folders(void **state)
{
    (void)state;
    struct folder f;
    struct cmg_err err;
    assert_int_equal(mkdir("b", 0755) | mkdir("b/c", 0755) | mkdir("none", 0755), 0);
    write_file("b/c/deep", "12345");
    write_file("b!", "1");
    write_file("a", "");
    write_file(".hidden", "123");
    write_file("gr\xc3\xb6\xc3\x9f + 100% #?&.txt", "12");
    assert_int_equal(folder_open(&f, ".", &err), CMG_OK);
    static const char *const want[] = { ".hidden", "a", "b!", "b/c/deep",
                                        "gr\xc3\xb6\xc3\x9f + 100% #?&.txt" };
    assert_int_equal(f.n, CMG_COUNT(want));
    for (size_t i = 0; i < f.n; i++)
        assert_string_equal(f.files[i].name, want[i]);
    assert_int_equal(f.files[3].size, 5);
    assert_int_equal(f.bytes, 11);
    folder_close(&f);
}

static void an_empty_folder_has_no_files(void **state)
{
    (void)state;
    struct folder f;
    struct cmg_err err;
    assert_int_equal(folder_open(&f, ".", &err), CMG_OK);
    assert_int_equal(f.n, 0);
    folder_close(&f);
    assert_int_equal(folder_open(&f, "not-there", &err), CMG_ECONF);
    assert_non_null(strstr(err.text, "not-there"));
}

static void a_link_inside_is_its_file(void **state)
{
    (void)state;
    struct folder f;
    struct cmg_err err;
    assert_int_equal(mkdir("d", 0755), 0);
    write_file("a", "12345");
    assert_int_equal(symlink("../a", "d/link"), 0);
    assert_int_equal(folder_open(&f, ".", &err), CMG_OK);
    assert_int_equal(f.n, 2);
    assert_string_equal(f.files[1].name, "d/link");
    assert_int_equal(f.files[1].size, 5);
    int fd = folder_file_open(&f, &f.files[1], &err);
    assert_true(fd >= 0);
    close(fd);
    folder_close(&f);
}

static void what_leads_elsewhere_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *target, *words;
    } links[] = {
        { "/etc/passwd", "leads out of the folder" },
        { "../../etc/passwd", "leads out of the folder" },
        { "..", "leads out of the folder" },
        { "/proc/self/root", "leads out of the folder" },
        { "sub", "a link to a folder" },
        { ".", "a link to a folder" },
        { "nothing", "No such file" },
        { "link", "Too many levels" },
    };
    assert_int_equal(mkdir("sub", 0755), 0);
    for (size_t i = 0; i < CMG_COUNT(links); i++) {
        assert_int_equal(symlink(links[i].target, "link"), 0);
        is_refused(links[i].words);
        assert_int_equal(unlink("link"), 0);
    }
    assert_int_equal(mkfifo("pipe", 0644), 0);
    is_refused("neither a file nor a folder");
}

static void a_link_put_in_place_of_a_file_is_not_followed_out(void **state)
{
    (void)state;
    struct folder f;
    struct cmg_err err;
    write_file("a", "12345");
    assert_int_equal(folder_open(&f, ".", &err), CMG_OK);
    assert_int_equal(unlink("a") | symlink("/etc/passwd", "a"), 0);
    assert_int_equal(folder_file_open(&f, &f.files[0], &err), -1);
    folder_close(&f);
}

static void a_file_that_has_changed_is_not_opened(void **state)
{
    (void)state;
    struct folder f;
    struct cmg_err err;
    write_file("a", "12345");
    assert_int_equal(folder_open(&f, ".", &err), CMG_OK);
    int fd = folder_file_open(&f, &f.files[0], &err);
    assert_true(folder_file_same(fd, &f.files[0]));
    write_file("a", "123456");
    assert_false(folder_file_same(fd, &f.files[0]));
    close(fd);
    assert_int_equal(folder_file_open(&f, &f.files[0], &err), -1);
    assert_non_null(strstr(err.text, "has changed"));

    /* same size, another time */
    const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    write_file("a", "54321");
    assert_int_equal(utimensat(AT_FDCWD, "a", times, 0), 0);
    assert_int_equal(folder_file_open(&f, &f.files[0], &err), -1);
    folder_close(&f);
}

static void folders_too_deep_are_refused(void **state)
{
    (void)state;
    char path[3 * FOLDER_DEPTH_MAX + 16] = "d";
    for (int i = 0; i < FOLDER_DEPTH_MAX + 1; i++) {
        assert_int_equal(mkdir(path, 0755), 0);
        strncat(path, "/d", sizeof(path) - strlen(path) - 1);
    }
    is_refused("too many folders");
}

static void names_are_those_that_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *name, *words; /* NULL: fine */
    } names[] = {
        { "a", NULL },
        { "a b/c+d%41#?&=~!@$'(),;:[]{}.txt", NULL },
        { "\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80", NULL },
        { "...a/.b", NULL },
        { "a\xff", "UTF-8" },
        { "a\xc3", "UTF-8" },
        { "\xed\xa0\x80", "UTF-8" },
        { "a\nb", "control" },
        { "a\x7f", "control" },
        { "a\xc2\x85", "control" },
        { "a\xef\xbf\xbf", "control" },
        { "a\\b", "backslash" },
        { "a.", "dot" },
        { "a ", "blank" },
        { "a./b", "dot" },
        { "a /b", "blank" },
        { "a//b", "empty" },
        { "/a", "empty" },
        { "a/", "empty" },
        { "", "empty" },
    };
    for (size_t i = 0; i < CMG_COUNT(names); i++) {
        const char *why = folder_name_trouble(cmg_str(names[i].name));
        if (!names[i].words)
            assert_null(why);
        else if (!why || !strstr(why, names[i].words))
            fail_msg("%s: %s", names[i].name, why ? why : "taken");
        /* What is taken here, the gateway takes, too. */
        if (!why)
            assert_true(cmg_blob_name_ok(cmg_str(names[i].name)));
    }
    char longest[FOLDER_NAME_MAX + 2];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_non_null(strstr(folder_name_trouble(cmg_str(longest)), "too long"));
    assert_null(folder_name_trouble((struct cmg_str){ longest, FOLDER_NAME_MAX }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_come_sorted_with_their_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_folder_has_no_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_inside_is_its_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_leads_elsewhere_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_put_in_place_of_a_file_is_not_followed_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_has_changed_is_not_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_too_deep_are_refused, set_up, tear_down),
        cmocka_unit_test(names_are_those_that_come_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
