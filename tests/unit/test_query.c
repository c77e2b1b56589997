/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/query.h"

static void pairs_come_one_by_one(void **state)
{
    (void)state;
    static const struct {
        const char *query, *want;
    } cases[] = {
        { "", "" },
        { "&", "" },
        { "a=1", "[a|1]" },
        { "a", "[a|]" },
        { "a=", "[a|]" },
        { "=1", "[|1]" },
        { "=", "[|]" },
        { "a=b=c", "[a|b=c]" },
        { "a=1&b=2", "[a|1][b|2]" },
        { "&a&&b&", "[a|][b|]" },
        { "a=%26&b", "[a|%26][b|]" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char got[64] = "";
        size_t n = 0;
        struct cmg_str rest = cmg_str(cases[i].query), name, value;
        while (cmg_query_next(&rest, &name, &value))
            n += (size_t)snprintf(got + n, sizeof(got) - n, "[%.*s|%.*s]", CMG_ARG(name),
                                  CMG_ARG(value));
        assert_string_equal(cases[i].want, got);
    }
}

static void values_are_decoded_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want; /* NULL: refused */
    } cases[] = {
        { "", "" },
        { "abc", "abc" },
        { "%41%6a%6A", "Ajj" },
        { "a+b", "a+b" },
        { "%25", "%" },
        { "%2541", "%41" },
        { "%", NULL },
        { "%4", NULL },
        { "a%4", NULL },
        { "%g0", NULL },
        { "%0g", NULL },
        { "%00", NULL },
        { "%ff", "\xff" },
        { "1234567", "1234567" },
        { "12345678", NULL },
        { "%31234567", "1234567" },
        { "%312345678", NULL },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char out[8] = "?";
        bool ok = cmg_query_decode(cmg_str(cases[i].in), out, sizeof(out));
        if (ok != (cases[i].want != NULL))
            fail_msg("%s: %s", cases[i].in, ok ? "taken" : "refused");
        assert_string_equal(ok ? cases[i].want : "", out);
    }
    char none[1] = { 'x' };
    assert_true(cmg_query_decode(cmg_str(""), none, 1));
    assert_false(cmg_query_decode(cmg_str("a"), none, 1));
    assert_int_equal(0, none[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_come_one_by_one),
        cmocka_unit_test(values_are_decoded_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
