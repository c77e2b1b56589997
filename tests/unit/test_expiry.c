/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "certs.h"

#include "cmg/base/clock.h"
#include "cmg/net/expiry.h"

static void near(int64_t not_after, int days)
{
    assert_in_range(not_after - cmg_clock_unix() + 100 * 86400, (days + 100) * 86400 - 60,
                    (days + 100) * 86400 + 60);
}

/* Wherever in the file it stands. */
static void the_first_to_end_counts(void **state)
{
    (void)state;
    struct cert a = cert_make(&(struct cert_spec){ .cn = "A", .from_days = -1, .to_days = 30 });
    struct cert b = cert_make(&(struct cert_spec){ .cn = "B", .from_days = -1, .to_days = 20 });
    struct cert gone =
        cert_make(&(struct cert_spec){ .cn = "Gone", .from_days = -9, .to_days = -2 });
    const struct {
        const struct cert *const *certs;
        const char *subject;
        int days;
        size_t n;
    } cases[] = {
        { CERTS(&a), "CN=A", 30, 1 },
        { CERTS(&a, &b), "CN=B", 20, 2 },
        { CERTS(&b, &a), "CN=B", 20, 2 },
        { CERTS(&a, &gone, &b), "CN=Gone", -2, 3 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct cmg_expiry e;
        struct cmg_err err;
        assert_int_equal(cmg_expiry_read(cert_write("c.pem", cases[i].certs), &e, &err), CMG_OK);
        assert_string_equal(e.subject, cases[i].subject);
        assert_int_equal(e.n, cases[i].n);
        near(e.not_after, cases[i].days);
    }
    cert_free(&a);
    cert_free(&b);
    cert_free(&gone);
}

static void what_is_no_certificate(void **state)
{
    (void)state;
    struct cmg_expiry e;
    struct cmg_err err;
    assert_int_equal(cmg_expiry_read(cert_write_text("no.pem", "hello\n", 0600), &e, &err),
                     CMG_ECONF);
    assert_non_null(strstr(err.text, "no.pem holds no PEM certificate"));
    assert_int_equal(cmg_expiry_read("/nowhere/at.all", &e, &err), CMG_ECONF);
}

int main(void)
{
    cert_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_to_end_counts),
        cmocka_unit_test(what_is_no_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
