/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>

#include <cmocka.h>

#include "cmg/auth/blocklist.h"
#include "cmg/base/alloc.h"

#define A "6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10"
#define B "11111111-2222-4333-8444-555555555555"

static void texts_are_judged_line_by_line(void **state)
{
    static const struct {
        const char *text;
        int count; /* -1: refused */
        const char *says;
    } cases[] = {
        { "", 0, NULL },
        { "\n\n", 0, NULL },
        { "# nobody", 0, NULL },
        { A, 1, NULL },
        { A "\n", 1, NULL },
        { A "\r\n" B "\r\n", 2, NULL },
        { " \t" A "\t# lost\n", 1, NULL },
        { A "#" B "\n", 1, NULL },
        { A "\n" A "\n6D6E8A34-1F2C-4F6E-9B1D-2F5F0C8A7E10\n", 1, NULL },
        { A "\n\n" A "x\n", -1, "line 3" },
        { "{" A "}\n", -1, "line 1" },
        { "GUID:" A "\n", -1, "line 1" },
        { A " " B "\n", -1, "line 1" },
        { A "," B "\n", -1, "line 1" },
        { "6d6e8a341f2c4f6e9b1d2f5f0c8a7e10\n", -1, "line 1" },
        { "# x\nblock " A "\n", -1, "line 2" },
        { "\xef\xbb\xbf" A "\n", -1, "line 1" },
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_err err = { 0 };
        struct cmg_blocklist *b = cmg_blocklist_read(cmg_str(cases[i].text), &err);
        if (!b != (cases[i].count < 0))
            fail_msg("case %zu: %s", i, b ? "was taken" : err.text);
        if (b)
            assert_int_equal(cmg_blocklist_count(b), cases[i].count);
        else
            assert_non_null(strstr(err.text, cases[i].says));
        cmg_blocklist_free(b);
    }
}

static void who_is_on_it_is_found_in_any_case(void **state)
{
    struct cmg_err err;
    (void)state;
    struct cmg_blocklist *b = cmg_blocklist_read(CMG_STR(B "\n" A " # x\n"), &err);
    assert_true(cmg_blocklist_has(b, A));
    assert_true(cmg_blocklist_has(b, "6D6E8A34-1f2c-4F6E-9b1d-2F5F0C8A7E10"));
    assert_true(cmg_blocklist_has(b, B));
    assert_false(cmg_blocklist_has(b, "11111111-2222-4333-8444-555555555556"));
    assert_false(cmg_blocklist_has(b, ""));
    assert_false(cmg_blocklist_has(NULL, A));
    assert_int_equal(cmg_blocklist_count(NULL), 0);
    cmg_blocklist_free(b);
    cmg_blocklist_free(NULL);
}

static char *many(size_t n)
{
    char *text = cmg_alloc(n * 37 + 1), *at = text;
    for (size_t i = 0; i < n; i++) /* in no order */
        at += sprintf(at, "%08zx-0000-4000-8000-000000000000\n", i * 2654435761u % 4294967296u);
    return text;
}

static void it_has_a_ceiling(void **state)
{
    struct cmg_err err;
    (void)state;
    char *text = many(CMG_BLOCKLIST_MAX + 1);
    assert_null(cmg_blocklist_read(cmg_str(text), &err));
    assert_int_equal(err.code, CMG_ETOOBIG);
    assert_non_null(strstr(err.text, "line 100001"));
    text[CMG_BLOCKLIST_MAX * 37] = '\0';
    struct cmg_blocklist *b = cmg_blocklist_read(cmg_str(text), &err);
    assert_int_equal(cmg_blocklist_count(b), CMG_BLOCKLIST_MAX);
    for (size_t i = 0; i < CMG_BLOCKLIST_MAX; i += 997) {
        char guid[37];
        snprintf(guid, sizeof(guid), "%.36s", text + i * 37);
        assert_true(cmg_blocklist_has(b, guid));
    }
    cmg_blocklist_free(b);
    free(text);
    assert_null(cmg_blocklist_read((struct cmg_str){ "", CMG_BLOCKLIST_BYTES_MAX + 1 }, &err));
    assert_int_equal(err.code, CMG_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_judged_line_by_line),
        cmocka_unit_test(who_is_on_it_is_found_in_any_case),
        cmocka_unit_test(it_has_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
