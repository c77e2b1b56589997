/* SPDX-License-Identifier: MIT */
/* Ends in virtual time; renewals with real files and the real watch, whose looks take seconds. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "certs.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/daemon/certificates.h"
#include "cmg/net/loop.h"

enum { DAY = 24 * 60 * 60 };

static struct {
    struct cmg_loop *loop;
    struct cmg_certificates *c;
    struct cmg_timer *limit;
    const char *awaited; /* an event; the loop stops when it comes */
    unsigned renewed, refused, ending, loads;
    char last[1024];
    const char *broken; /* why the daemon cannot load; NULL: it can */
    char pem[128], key[128], ca[128];
} w;

static void on_write(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)level;
    w.renewed += !strcmp(event, "certificate.renewed");
    w.refused += !strcmp(event, "certificate.refused");
    w.ending += !strcmp(event, "certificate.ending");
    cmg_log_text(w.last, sizeof(w.last), event, kv, n);
    if (w.awaited && !strcmp(event, w.awaited))
        cmg_loop_stop(w.loop);
}

static enum cmg_rc on_renew(void *arg, struct cmg_err *err)
{
    assert_ptr_equal(arg, &w);
    w.loads++;
    return w.broken ? cmg_fail(err, CMG_ECONF, "%s", w.broken) : CMG_OK;
}

static void on_limit(void *arg)
{
    (void)arg;
    fail_msg("%s did not come; the last event was %s", w.awaited, w.last);
}

static void await(const char *event)
{
    w.awaited = event;
    cmg_timer_set(w.limit, 30000);
    cmg_loop_run(w.loop);
    cmg_timer_stop(w.limit);
    w.awaited = NULL;
}

static void write_cert(const char *cn, int from_days, int to_days, bool certificate, bool key)
{
    struct cert c =
        cert_make(&(struct cert_spec){ .cn = cn, .from_days = from_days, .to_days = to_days });
    if (certificate)
        snprintf(w.pem, sizeof(w.pem), "%s", cert_write("own.pem", CERTS(&c)));
    if (key)
        snprintf(w.key, sizeof(w.key), "%s", cert_write_key("own.key", &c, 0600));
    cert_free(&c);
}

static void write_cas(const char *name, int n, const char *cn, int to_days)
{
    const struct cert *list[16] = { NULL };
    struct cert cas[16];
    for (int i = 0; i < n; i++) {
        cas[i] = cert_make(&(struct cert_spec){
            .cn = cn, .ca = true, .from_days = to_days - 3650, .to_days = to_days });
        list[i] = &cas[i];
    }
    snprintf(w.ca, sizeof(w.ca), "%s", cert_write(name, list));
    for (int i = 0; i < n; i++)
        cert_free(&cas[i]);
}

static void use(void)
{
    cmg_certificates_prepare(w.c);
    cmg_certificates_add(w.c, w.pem, w.key);
    cmg_certificates_add(w.c, w.pem, w.key);
    cmg_certificates_add(w.c, NULL, NULL);
    cmg_certificates_add(w.c, w.ca, NULL);
    cmg_certificates_use(w.c);
}

static int set_up(void **state)
{
    static const struct cmg_log_sink sink = { on_write, NULL };
    (void)state;
    memset(&w, 0, sizeof(w));
    cmg_log_to(&sink, CMG_DEBUG);
    w.loop = cmg_loop_new();
    w.limit = cmg_timer_new(w.loop, on_limit, NULL);
    w.c = cmg_certificates_new(w.loop, on_renew, &w);
    write_cert("first", -10, 365, true, true);
    write_cas("ca.pem", 2, "Root", 3000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cmg_certificates_free(w.c);
    cmg_timer_free(w.limit);
    cmg_loop_free(w.loop);
    return 0;
}

static const struct cmg_certificate *view(size_t expected)
{
    const struct cmg_certificate *list;
    assert_int_equal(expected, cmg_certificates(w.c, &list));
    return list;
}

/* ---- ends ---- */

static void steps_toward_the_end(void **state)
{
    (void)state;
    static const struct {
        int64_t life, left;
        unsigned step;
    } table[] = {
        { 365 * DAY, 365 * DAY, 0 },
        { 365 * DAY, 30 * DAY + 1, 0 },
        { 365 * DAY, 30 * DAY, 1 },
        { 365 * DAY, 14 * DAY + 1, 1 },
        { 365 * DAY, 14 * DAY, 2 },
        { 365 * DAY, 7 * DAY, 3 },
        { 365 * DAY, DAY + 1, 3 },
        { 365 * DAY, DAY, 4 },
        { 365 * DAY, 1, 4 },
        { 365 * DAY, 0, 5 },
        { 365 * DAY, -DAY, 5 },
        /* 90 days, renewed at 30; 45 days; six days; one: never near, then over */
        { 90 * DAY, 30 * DAY, 1 },
        { 45 * DAY, 30 * DAY, 0 },
        { 45 * DAY, 14 * DAY, 2 },
        { 6 * DAY, 6 * DAY, 0 },
        { 6 * DAY, DAY, 4 },
        { DAY, 1, 0 },
        { DAY, 0, 5 },
        { -DAY, 5, 0 },
    };
    for (size_t i = 0; i < CMG_COUNT(table); i++)
        assert_int_equal(table[i].step, cmg_certificate_step(1000 - (table[i].life - table[i].left),
                                                             1000 + table[i].left, 1000));
}

static void each_step_is_warned_of_once(void **state)
{
    (void)state;
    use();
    int64_t end = view(3)[0].not_after;
    assert_int_equal(0, w.ending);
    static const struct {
        int64_t left;
        unsigned warned; /* so far */
    } looks[] = { { 31 * DAY, 0 }, { 30 * DAY, 1 }, { 30 * DAY - 3600, 1 },
                  { 14 * DAY, 2 }, { 8 * DAY, 2 },  { 7 * DAY, 3 },
                  { 3600, 4 },     { 1, 4 },        { 0, 5 },
                  { -DAY, 5 } };
    for (size_t i = 0; i < CMG_COUNT(looks); i++) {
        cmg_certificates_look(w.c, end - looks[i].left);
        assert_int_equal(looks[i].warned, w.ending);
    }
    assert_non_null(strstr(w.last, "certificate.ending file="));
    assert_non_null(strstr(w.last, "subject=CN=first not_after=2"));
    assert_non_null(strstr(w.last, "days=0"));
}

static void a_machine_that_slept_is_told_the_last_step_only(void **state)
{
    (void)state;
    use();
    cmg_certificates_look(w.c, view(3)[0].not_after - 3600);
    assert_int_equal(1, w.ending);
}

static void at_the_start_and_not_again_by_a_reload(void **state)
{
    (void)state;
    write_cert("old", -300, 3, true, true);
    use();
    assert_int_equal(1, w.ending);
    use();
    assert_int_equal(1, w.ending);
    assert_int_equal(0, w.renewed);
}

/* ---- the view ---- */

static void the_view_has_leaves_and_cas_but_no_bundles(void **state)
{
    (void)state;
    use();
    const struct cmg_certificate *v = view(3);
    assert_string_equal(w.pem, v[0].file);
    assert_string_equal("CN=first", v[0].subject);
    assert_false(v[0].ca);
    assert_string_equal("CN=Root", v[2].subject);
    assert_true(v[2].ca);
    write_cas("bundle.pem", CMG_CERTIFICATES_PER_FILE + 1, "Some", 3000);
    use();
    view(1);
}

static void a_list_that_is_dropped_changes_nothing(void **state)
{
    (void)state;
    use();
    cmg_certificates_prepare(w.c);
    cmg_certificates_drop(w.c);
    view(3);
}

static void a_reload_that_finds_another_certificate_says_so(void **state)
{
    (void)state;
    use();
    write_cert("second", -1, 365, true, true);
    assert_string_equal("CN=first", view(3)[0].subject); /* what is in force, not what lies there */
    use();
    assert_int_equal(1, w.renewed);
    assert_string_equal("CN=second", view(3)[0].subject);
}

/* ---- renewals ---- */

static void a_pair_is_loaded_when_it_is_whole(void **state)
{
    (void)state;
    use();
    write_cert("second", -1, 365, true, true);
    await("certificate.renewed");
    assert_non_null(strstr(w.last, "subject=CN=second"));
    assert_string_equal("CN=second", view(3)[0].subject);
    assert_int_equal(1, w.loads);
    assert_int_equal(0, w.refused);
}

static void a_certificate_without_its_key_is_refused_then_taken_with_it(void **state)
{
    (void)state;
    struct cert c = cert_make(&(struct cert_spec){ .cn = "half", .to_days = 365 });
    use();
    cert_write("own.pem", CERTS(&c));
    await("certificate.refused");
    assert_non_null(strstr(w.last, "does not belong to certificate"));
    assert_string_equal("CN=first", view(3)[0].subject);
    assert_int_equal(0, w.loads);
    cert_write_key("own.key", &c, 0600);
    await("certificate.renewed");
    assert_string_equal("CN=half", view(3)[0].subject);
    assert_int_equal(1, w.refused);
    cert_free(&c);
}

static void what_the_daemon_cannot_load_is_not_shown(void **state)
{
    (void)state;
    use();
    w.broken = "no such luck";
    write_cas("ca.pem", 1, "New Root", 3000);
    await("certificate.refused");
    assert_non_null(strstr(w.last, "no such luck"));
    assert_string_equal("CN=Root", view(3)[1].subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_toward_the_end),
        cmocka_unit_test_setup_teardown(each_step_is_warned_of_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_machine_that_slept_is_told_the_last_step_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(at_the_start_and_not_again_by_a_reload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_view_has_leaves_and_cas_but_no_bundles, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_list_that_is_dropped_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reload_that_finds_another_certificate_says_so, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_pair_is_loaded_when_it_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_certificate_without_its_key_is_refused_then_taken_with_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_daemon_cannot_load_is_not_shown, set_up,
                                        tear_down),
    };
    cert_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
