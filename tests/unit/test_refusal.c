/* SPDX-License-Identifier: MIT */
/* The table of refusals: each has a place of its own to be counted in, and a name that no other
 * has, because that is how its number is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "gateway/refusal.h"

static void each_stands_at_its_reason(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REFUSALS; i++) {
        const struct refusal *r = refusal_of(i);
        assert_non_null(r);
        assert_int_equal(i, r->reason);
        assert_in_range(r->status, 400, 599);
        assert_int_equal(0, strncmp(r->phrase, "CMGService_", 11));
    }
    assert_ptr_equal(&refusal_storage_timeout, refusal_of(REFUSED_STORAGE_TIMEOUT));
}

static void no_two_have_the_same_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REFUSALS; i++)
        for (unsigned k = 0; k < i; k++)
            assert_false(!strcmp(refusal_of(i)->phrase, refusal_of(k)->phrase) &&
                         !strcmp(refusal_of(i)->error, refusal_of(k)->error));
}

static void requests_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum refusal_reason reason;
    } cases[] = {
        { 400, REFUSED_BAD_REQUEST },     { 408, REFUSED_SLOW_HEAD },
        { 414, REFUSED_LONG_TARGET },     { 431, REFUSED_LARGE_HEAD },
        { 501, REFUSED_NOT_IMPLEMENTED }, { 505, REFUSED_BAD_VERSION },
        { 413, REFUSED_BAD_REQUEST }, /* read well: not of these */
        { 0, REFUSED_BAD_REQUEST },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(cases[i].reason, refusal_malformed(cases[i].status)->reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stands_at_its_reason),
        cmocka_unit_test(no_two_have_the_same_name),
        cmocka_unit_test(requests_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
