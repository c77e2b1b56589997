/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "certs.h"
#include "cmg/net/tls.h"

static void one_trailing_line_end_is_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "word", "word" },       { "word\n", "word" },     { "word\r\n", "word" },
        { "word\n\n", "word\n" }, { " word \n", " word " }, { "a\nb", "a\nb" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cmg_err err = { 0 };
        char *got = cmg_secret_read(cert_write_text("word", cases[i].text, 0600), 16, &err);
        if (!got)
            fail_msg("%s", err.text);
        assert_string_equal(got, cases[i].want);
        cmg_secret_free(got);
    }
    cmg_secret_free(NULL);
}

static void modes_that_others_could_read_are_refused(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        enum cmg_rc want;
    } cases[] = {
        { 0400, CMG_OK },    { 0600, CMG_OK },    { 0640, CMG_OK },    { 0440, CMG_OK },
        { 0644, CMG_ECONF }, { 0604, CMG_ECONF }, { 0660, CMG_ECONF }, { 0601, CMG_ECONF },
    };
    if (geteuid() != 0)
        skip(); /* 0640 needs owner root */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cmg_err err = { 0 };
        const char *path = cert_write_text("secret", "x", cases[i].mode);
        if (cmg_secret_check(path, &err) != cases[i].want)
            fail_msg("mode %04o: %s", cases[i].mode, err.text);
    }
    struct cmg_err err;
    assert_null(cmg_secret_read(cert_write_text("secret", "x", 0644), 16, &err));
    assert_non_null(strstr(err.text, "has mode 0644"));
    assert_non_null(strstr(err.text, "chmod 0600"));
    /* A group-readable file of somebody else's is not ours to trust. */
    const char *path = cert_write_text("secret", "x", 0640);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(cmg_secret_check(path, &err), CMG_ECONF);
}

static void what_is_no_secret_is_refused_in_words(void **state)
{
    (void)state;
    struct cmg_err err;
    const char *fifo = cert_path("fifo");

    assert_null(cmg_secret_read(cert_path("absent"), 16, &err));
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(err.code, CMG_ECONF);

    assert_null(cmg_secret_read(cert_dir, 16, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(mkfifo(fifo, 0600), 0); /* must not wait for a writer */
    assert_null(cmg_secret_read(fifo, 16, &err));
    assert_non_null(strstr(err.text, "not a regular file"));

    assert_null(cmg_secret_read(cert_write_text("s", "", 0600), 16, &err));
    assert_non_null(strstr(err.text, "is empty"));
    assert_null(cmg_secret_read(cert_write_text("s", "\n", 0600), 16, &err));
    assert_non_null(strstr(err.text, "is empty"));
    assert_null(cmg_secret_read(cert_write_text("s", "12345", 0600), 4, &err));
    assert_non_null(strstr(err.text, "too long"));
    assert_null(cmg_secret_read(cert_write_text("s", "1234567890", 0600), 4, &err));
    assert_non_null(strstr(err.text, "larger than"));
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    struct cmg_err err;
    const char *path = cert_write_text("nul", "abc", 0600);
    FILE *f = fopen(path, "w");
    assert_int_equal(fwrite("a\0b", 1, 3, f), 3);
    fclose(f);
    assert_null(cmg_secret_read(path, 16, &err));
    assert_non_null(strstr(err.text, "NUL"));
}

int main(void)
{
    cert_setup();
    (void)cert_make, (void)cert_free, (void)cert_write, (void)cert_write_key;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_trailing_line_end_is_cut),
        cmocka_unit_test(modes_that_others_could_read_are_refused),
        cmocka_unit_test(what_is_no_secret_is_refused_in_words),
        cmocka_unit_test(a_nul_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
