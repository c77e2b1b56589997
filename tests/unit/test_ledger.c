/* SPDX-License-Identifier: MIT */
/* Accounts of endpoints: one for each id, for good, and no more than there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "gateway/ledger.h"

static struct ledger *ledger;

static int start(void **state)
{
    (void)state;
    ledger = ledger_new();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ledger_free(ledger);
    return 0;
}

static void an_id_keeps_its_account(void **state)
{
    (void)state;
    struct cmg_counts *a = ledger_account(ledger, "a"), *b = ledger_account(ledger, "b");
    assert_ptr_not_equal(a, b);
    cmg_counts_begin(a, true);
    assert_ptr_equal(a, ledger_account(ledger, "a"));
    assert_int_equal(1, ledger_account(ledger, "a")->requests);
    assert_int_equal(0, b->requests);
}

static void accounts_are_told_in_their_order(void **state)
{
    (void)state;
    static const char *const ids[] = { "z", "a", "m" };
    const struct cmg_counts *counts;
    const char *id;
    int at = -1;
    for (int i = 0; i < 3; i++)
        (void)ledger_account(ledger, ids[i]);
    (void)ledger_account(ledger, "z");
    for (int i = 0; i < 3; i++) {
        at = ledger_next(ledger, at, &id, &counts);
        assert_int_equal(i, at);
        assert_string_equal(ids[i], id);
        assert_ptr_equal(counts, ledger_account(ledger, id));
    }
    assert_int_equal(-1, ledger_next(ledger, at, &id, &counts));
}

static void an_empty_one_tells_nothing(void **state)
{
    (void)state;
    const struct cmg_counts *counts;
    const char *id;
    assert_int_equal(-1, ledger_next(ledger, -1, &id, &counts));
}

/* Whoever publishes ever new ids gets one account for all that are too many. */
static void too_many_share_one(void **state)
{
    (void)state;
    char id[16];
    struct cmg_counts *first = ledger_account(ledger, "0"), *last = NULL;
    for (int i = 1; i < LEDGER_MAX; i++) {
        snprintf(id, sizeof(id), "%d", i);
        last = ledger_account(ledger, id);
    }
    struct cmg_counts *more = ledger_account(ledger, "more");
    assert_ptr_not_equal(last, more);
    assert_ptr_equal(more, ledger_account(ledger, "and more"));
    assert_ptr_equal(first, ledger_account(ledger, "0"));
    assert_ptr_equal(last, ledger_account(ledger, id));

    const struct cmg_counts *counts;
    const char *name = NULL;
    int n = 0;
    for (int at = -1; (at = ledger_next(ledger, at, &name, &counts)) >= 0;)
        n++;
    assert_int_equal(LEDGER_MAX + 1, n);
    assert_string_equal("*", name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_id_keeps_its_account, start, stop),
        cmocka_unit_test_setup_teardown(accounts_are_told_in_their_order, start, stop),
        cmocka_unit_test_setup_teardown(an_empty_one_tells_nothing, start, stop),
        cmocka_unit_test_setup_teardown(too_many_share_one, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
