/* SPDX-License-Identifier: MIT */
/* The policy of dialing in virtual time: the clock is a number that the tests turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/channel/plan.h"

#define FULL UINT32_MAX

static const struct cmg_plan_conf usual = {
    .instances = 1,
    .tcp_tls_port = 10140,
    .https_port_one = 443,
    .https_port_many = 10124,
    .tries = 1,
    .backoff_min_ms = 1000,
    .backoff_max_ms = 60000,
    .probe_ms = 60000,
};

static struct cmg_plan plan_with(enum cmg_transport transport, enum cmg_deployment deployment)
{
    struct cmg_plan_conf conf = usual;
    conf.transport = transport;
    conf.deployment = deployment;
    struct cmg_plan p;
    cmg_plan_init(&p, &conf);
    return p;
}

static struct cmg_plan plan_auto(void)
{
    return plan_with(CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE);
}

static struct cmg_plan plan_https(void)
{
    return plan_with(CMG_TRANSPORT_HTTPS, CMG_DEPLOYMENT_CLOUD_SERVICE);
}

static struct cmg_plan plan_tcp_tls(void)
{
    return plan_with(CMG_TRANSPORT_TCP_TLS, CMG_DEPLOYMENT_CLOUD_SERVICE);
}

/* The wait before the next attempt, which must be on `road`. */
static int64_t wait_for(const struct cmg_plan *p, int64_t now_ms, enum cmg_road road)
{
    struct cmg_attempt a;
    int64_t wait = cmg_plan_next(p, now_ms, &a);
    assert_int_equal(0, cmg_plan_next(p, now_ms + wait, &a));
    assert_string_equal(cmg_road_names[road], cmg_road_names[a.road]);
    return wait;
}

static const struct {
    const char *says;
    enum cmg_transport transport;
    enum cmg_deployment deployment;
    unsigned instances, instance;
    uint16_t tcp_tls, one, many;
    int first, second; /* ports; -1: there is no second road */
} ports[] = {
    { "the only instance", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE, 1, 0, 10140, 443,
      10124, 10140, 443 },
    { "first of two never is 443", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE, 2, 0, 10140,
      443, 10124, 10140, 10124 },
    { "second of two", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE, 2, 1, 10140, 443, 10124,
      10141, 10125 },
    { "first of sixteen", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE, 16, 0, 10140, 443,
      10124, 10140, 10124 },
    { "last of sixteen", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE, 16, 15, 10140, 443,
      10124, 10155, 10139 },
    { "TCP-TLS only", CMG_TRANSPORT_TCP_TLS, CMG_DEPLOYMENT_CLOUD_SERVICE, 16, 7, 10140, 443, 10124,
      10147, -1 },
    { "HTTPS only, one", CMG_TRANSPORT_HTTPS, CMG_DEPLOYMENT_CLOUD_SERVICE, 1, 0, 10140, 443, 10124,
      443, -1 },
    { "HTTPS only, several", CMG_TRANSPORT_HTTPS, CMG_DEPLOYMENT_CLOUD_SERVICE, 2, 1, 10140, 443,
      10124, 10125, -1 },
    { "scale set, one", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_SCALE_SET, 1, 0, 10140, 443, 10124, 443,
      -1 },
    { "scale set, several", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_SCALE_SET, 16, 15, 10140, 443, 10124,
      10139, -1 },
    { "a scale set has no TCP-TLS whatever was asked", CMG_TRANSPORT_TCP_TLS,
      CMG_DEPLOYMENT_SCALE_SET, 2, 0, 10140, 443, 10124, 10124, -1 },
    { "other bases, one", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE, 1, 0, 20140, 8443,
      20124, 20140, 8443 },
    { "other bases, several", CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_CLOUD_SERVICE, 3, 2, 20140, 8443,
      20124, 20142, 20126 },
};

static void every_deployment_dials_its_ports(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(ports); i++) {
        struct cmg_plan_conf conf = usual;
        conf.transport = ports[i].transport;
        conf.deployment = ports[i].deployment;
        conf.instances = ports[i].instances;
        conf.instance = ports[i].instance;
        conf.tcp_tls_port = ports[i].tcp_tls;
        conf.https_port_one = ports[i].one;
        conf.https_port_many = ports[i].many;

        struct cmg_plan p;
        struct cmg_attempt a;
        cmg_plan_init(&p, &conf);
        if (cmg_plan_next(&p, 0, &a) != 0 || a.port != ports[i].first)
            fail_msg("%s: first port %d, want %d", ports[i].says, a.port, ports[i].first);
        cmg_plan_failed(&p, 0, false, FULL);
        int want = ports[i].second < 0 ? ports[i].first : ports[i].second;
        if (cmg_plan_next(&p, 0, &a) != 0 || a.port != want)
            fail_msg("%s: second port %d, want %d", ports[i].says, a.port, want);
    }
}

static void names_match_the_configuration_words(void **state)
{
    (void)state;
    assert_string_equal("tcp-tls", cmg_road_names[CMG_ROAD_TCP_TLS]);
    assert_string_equal("https", cmg_road_names[CMG_ROAD_HTTPS]);
    assert_null(cmg_road_names[2]);
    assert_string_equal("auto", cmg_transport_names[CMG_TRANSPORT_AUTO]);
    assert_string_equal("https", cmg_transport_names[CMG_TRANSPORT_HTTPS]);
    assert_null(cmg_transport_names[3]);
    assert_string_equal("scale-set", cmg_deployment_names[CMG_DEPLOYMENT_SCALE_SET]);
    assert_null(cmg_deployment_names[2]);
}

static void falls_back_at_once_after_so_many_tries(void **state)
{
    (void)state;
    struct cmg_plan p = plan_auto();
    p.conf.tries = 3;
    cmg_plan_failed(&p, 0, false, FULL);
    assert_int_equal(0, wait_for(&p, 0, CMG_ROAD_TCP_TLS));
    cmg_plan_failed(&p, 0, false, FULL);
    assert_int_equal(1000, wait_for(&p, 0, CMG_ROAD_TCP_TLS));
    cmg_plan_failed(&p, 1000, false, FULL);
    assert_int_equal(0, wait_for(&p, 1000, CMG_ROAD_HTTPS));
}

static void roads_alternate_while_both_fail_and_waits_count_over_both(void **state)
{
    (void)state;
    struct cmg_plan p = plan_auto();
    static const int64_t waits[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
    int64_t now = 5;
    for (size_t i = 0; i < CMG_COUNT(waits); i++) {
        assert_int_equal(0, wait_for(&p, now, CMG_ROAD_TCP_TLS));
        cmg_plan_failed(&p, now, false, FULL);
        assert_int_equal(0, wait_for(&p, now, CMG_ROAD_HTTPS));
        cmg_plan_failed(&p, now, false, FULL);
        assert_int_equal(waits[i], wait_for(&p, now, CMG_ROAD_TCP_TLS));
        now += waits[i];
    }
}

static void the_first_retry_on_a_lone_road_comes_at_once(void **state)
{
    (void)state;
    struct cmg_plan lone[] = { plan_tcp_tls(), plan_https(),
                               plan_with(CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_SCALE_SET) };
    for (size_t i = 0; i < CMG_COUNT(lone); i++) {
        enum cmg_road road = lone[i].road;
        cmg_plan_failed(&lone[i], 7, false, FULL);
        assert_int_equal(0, wait_for(&lone[i], 7, road));
        cmg_plan_failed(&lone[i], 7, false, FULL);
        assert_int_equal(1000, wait_for(&lone[i], 7, road));
        cmg_plan_failed(&lone[i], 1007, false, FULL);
        assert_int_equal(2000, wait_for(&lone[i], 1007, road));
    }
}

static void jitter_is_full_but_never_below_the_floor(void **state)
{
    (void)state;
    for (unsigned n = 2; n < 80; n++) {
        struct cmg_plan low = plan_https(), half = low, high = low;
        for (unsigned i = 0; i < n; i++) {
            cmg_plan_failed(&low, 0, false, 0);
            cmg_plan_failed(&half, 0, false, FULL / 2);
            cmg_plan_failed(&high, 0, false, FULL);
        }
        int64_t step = n < 8 ? (int64_t)1000 << (n - 2) : 60000;
        assert_int_equal(CMG_PLAN_WAIT_MIN_MS, wait_for(&low, 0, CMG_ROAD_HTTPS));
        assert_in_range(wait_for(&half, 0, CMG_ROAD_HTTPS), step / 2 - 1, step / 2);
        assert_int_equal(step, wait_for(&high, 0, CMG_ROAD_HTTPS));
    }
}

static void a_step_below_the_floor_is_lifted_to_it(void **state)
{
    (void)state;
    struct cmg_plan p = plan_https();
    p.conf.backoff_min_ms = 1;
    cmg_plan_failed(&p, 0, false, FULL);
    cmg_plan_failed(&p, 0, false, FULL);
    assert_int_equal(CMG_PLAN_WAIT_MIN_MS, wait_for(&p, 0, CMG_ROAD_HTTPS));
}

static void a_longest_wait_below_the_first_step_wins(void **state)
{
    (void)state;
    struct cmg_plan p = plan_https();
    p.conf.backoff_max_ms = 500;
    cmg_plan_failed(&p, 0, false, FULL);
    cmg_plan_failed(&p, 0, false, FULL);
    assert_int_equal(500, wait_for(&p, 0, CMG_ROAD_HTTPS));
}

static void a_refusal_waits_the_longest_step(void **state)
{
    (void)state;
    struct cmg_plan low = plan_https(), high = plan_https();
    cmg_plan_failed(&low, 0, true, 0);
    cmg_plan_failed(&high, 0, true, FULL);
    assert_int_equal(30000, wait_for(&low, 0, CMG_ROAD_HTTPS));
    assert_int_equal(60000, wait_for(&high, 0, CMG_ROAD_HTTPS));

    /* The next failure is a plain one: steps again, from where they were. */
    cmg_plan_failed(&high, 60000, false, FULL);
    assert_int_equal(2000, wait_for(&high, 60000, CMG_ROAD_HTTPS));
}

static void a_refusal_on_tcp_tls_still_tries_https_but_then_waits_long(void **state)
{
    (void)state;
    struct cmg_plan p = plan_auto();
    p.conf.tries = 5;
    cmg_plan_failed(&p, 0, true, FULL); /* asking again would be refused again */
    assert_int_equal(0, wait_for(&p, 0, CMG_ROAD_HTTPS));
    cmg_plan_failed(&p, 0, false, FULL);
    assert_int_equal(60000, wait_for(&p, 0, CMG_ROAD_TCP_TLS));
}

static void a_refusal_on_https_waits_long_before_tcp_tls(void **state)
{
    (void)state;
    struct cmg_plan p = plan_auto();
    cmg_plan_failed(&p, 0, false, FULL);
    cmg_plan_failed(&p, 0, true, 0);
    assert_int_equal(30000, wait_for(&p, 0, CMG_ROAD_TCP_TLS));
}

static void a_refusal_is_forgotten_when_the_channel_opens(void **state)
{
    (void)state;
    struct cmg_plan p = plan_auto();
    cmg_plan_failed(&p, 0, true, FULL);
    cmg_plan_opened(&p, 0, FULL);
    cmg_plan_lost(&p, 1, FULL); /* not proved: a plain failure on HTTPS */
    assert_int_equal(1000, wait_for(&p, 1, CMG_ROAD_TCP_TLS));
}

static void a_proved_channel_that_is_lost_is_dialed_at_once(void **state)
{
    (void)state;
    struct cmg_plan p = plan_auto();
    for (int i = 0; i < 20; i++)
        cmg_plan_failed(&p, 0, false, FULL);
    cmg_plan_opened(&p, 1000, FULL);
    cmg_plan_lost(&p, 1000 + CMG_PLAN_PROVED_MS, FULL);
    assert_int_equal(0, wait_for(&p, 1000 + CMG_PLAN_PROVED_MS, CMG_ROAD_TCP_TLS));

    /* And the waits start from the first step again. */
    cmg_plan_failed(&p, 5000, false, FULL);
    cmg_plan_failed(&p, 5000, false, FULL);
    assert_int_equal(1000, wait_for(&p, 5000, CMG_ROAD_TCP_TLS));
}

static void a_lost_https_channel_is_dialed_on_the_road_that_worked(void **state)
{
    (void)state;
    struct cmg_plan p = plan_auto();
    cmg_plan_failed(&p, 0, false, FULL);
    cmg_plan_opened(&p, 0, FULL);
    cmg_plan_lost(&p, 100000, FULL);
    assert_int_equal(0, wait_for(&p, 100000, CMG_ROAD_HTTPS));
    cmg_plan_failed(&p, 100000, false, FULL);
    assert_int_equal(1000, wait_for(&p, 100000, CMG_ROAD_TCP_TLS));
}

static void a_channel_that_opens_and_dies_is_not_dialed_in_a_tight_loop(void **state)
{
    (void)state;
    struct cmg_plan p = plan_tcp_tls();
    int64_t now = 0;
    static const int64_t waits[] = { 0, 1000, 2000, 4000, 8000, 16000, 32000, 60000 };
    for (size_t i = 0; i < CMG_COUNT(waits); i++) {
        cmg_plan_opened(&p, now, FULL);
        now += CMG_PLAN_PROVED_MS - 1;
        cmg_plan_lost(&p, now, FULL);
        assert_int_equal(waits[i], wait_for(&p, now, CMG_ROAD_TCP_TLS));
        now += waits[i];
    }
}

static struct cmg_plan open_on_https(void)
{
    struct cmg_plan p = plan_auto();
    cmg_plan_failed(&p, 0, false, FULL);
    cmg_plan_opened(&p, 0, FULL);
    return p;
}

static void an_https_channel_probes_tcp_tls(void **state)
{
    (void)state;
    struct cmg_plan p = open_on_https();
    p.conf.instance = 3;
    struct cmg_attempt a;
    assert_int_equal(60000, cmg_plan_probe(&p, 0, &a));
    assert_int_equal(1, cmg_plan_probe(&p, 59999, &a));
    assert_int_equal(0, cmg_plan_probe(&p, 60000, &a));
    assert_int_equal(CMG_ROAD_TCP_TLS, a.road);
    assert_int_equal(10143, a.port);
    cmg_plan_opened(&p, 0, 0);
    assert_int_equal(30000, cmg_plan_probe(&p, 0, &a));
}

static void nothing_is_probed_without_reason(void **state)
{
    (void)state;
    struct cmg_plan never = plan_auto();
    never.conf.probe_ms = 0;
    cmg_plan_failed(&never, 0, false, FULL);
    struct cmg_plan plans[] = { plan_auto(), plan_tcp_tls(), plan_https(),
                                plan_with(CMG_TRANSPORT_AUTO, CMG_DEPLOYMENT_SCALE_SET), never };
    struct cmg_attempt a;
    for (size_t i = 0; i < CMG_COUNT(plans); i++) {
        assert_int_equal(-1, cmg_plan_probe(&plans[i], 0, &a));
        cmg_plan_opened(&plans[i], 0, FULL);
        assert_int_equal(-1, cmg_plan_probe(&plans[i], 1000000000, &a));
    }
}

static void failed_probes_grow_rarer_up_to_tenfold(void **state)
{
    (void)state;
    static const int64_t factors[] = { 1, 2, 4, 8, 10, 10, 10 };
    struct cmg_plan low = open_on_https(), high = low;
    struct cmg_attempt a;
    for (size_t i = 0; i < CMG_COUNT(factors); i++) {
        cmg_plan_probe_failed(&low, 500, 0);
        cmg_plan_probe_failed(&high, 500, FULL);
        assert_int_equal(30000 * factors[i], cmg_plan_probe(&low, 500, &a));
        assert_int_equal(60000 * factors[i], cmg_plan_probe(&high, 500, &a));
    }
}

static void a_lost_channel_is_no_longer_probed_beside(void **state)
{
    (void)state;
    struct cmg_plan p = open_on_https(), q = p;
    struct cmg_attempt a;
    cmg_plan_lost(&p, 100000, FULL);
    assert_int_equal(-1, cmg_plan_probe(&p, 1000000, &a));
    cmg_plan_failed(&q, 100000, false, FULL);
    assert_int_equal(-1, cmg_plan_probe(&q, 1000000, &a));
}

static void moving_up_makes_tcp_tls_the_road(void **state)
{
    (void)state;
    struct cmg_plan p = open_on_https();
    struct cmg_attempt a;
    cmg_plan_probe_failed(&p, 60000, FULL);
    cmg_plan_moved_up(&p, 120000);
    assert_int_equal(-1, cmg_plan_probe(&p, 1000000, &a));
    cmg_plan_lost(&p, 200000, FULL);
    assert_int_equal(0, wait_for(&p, 200000, CMG_ROAD_TCP_TLS));
    assert_int_equal(0, p.probe_failures);
}

static void a_road_that_breaks_right_after_moving_up_is_probed_less_often(void **state)
{
    (void)state;
    struct cmg_plan p = open_on_https();
    struct cmg_attempt a;
    static const int64_t probes[] = { 60000, 120000, 240000, 480000, 600000 };
    int64_t now = 60000;
    for (size_t i = 0; i < CMG_COUNT(probes); i++) {
        cmg_plan_moved_up(&p, now);
        cmg_plan_lost(&p, now + 10, FULL);
        assert_int_equal(0, wait_for(&p, now + 10, CMG_ROAD_HTTPS));
        cmg_plan_opened(&p, now + 10, FULL);
        assert_int_equal(probes[i], cmg_plan_probe(&p, now + 10, &a));
        now += probes[i];
    }
}

static void other_values_leave_a_road_that_is_no_longer_allowed(void **state)
{
    (void)state;
    struct cmg_plan p = open_on_https();
    struct cmg_attempt a;
    struct cmg_plan_conf conf = usual;

    conf.backoff_max_ms = 5000;
    cmg_plan_reconf(&p, &conf);
    assert_int_equal(60000, cmg_plan_probe(&p, 0, &a));
    assert_int_equal(0, wait_for(&p, 0, CMG_ROAD_HTTPS));

    conf.probe_ms = 0;
    cmg_plan_reconf(&p, &conf);
    assert_int_equal(-1, cmg_plan_probe(&p, 0, &a));
    assert_int_equal(0, wait_for(&p, 0, CMG_ROAD_HTTPS));

    conf.transport = CMG_TRANSPORT_TCP_TLS;
    cmg_plan_reconf(&p, &conf);
    assert_int_equal(0, wait_for(&p, 0, CMG_ROAD_TCP_TLS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_deployment_dials_its_ports),
        cmocka_unit_test(names_match_the_configuration_words),
        cmocka_unit_test(falls_back_at_once_after_so_many_tries),
        cmocka_unit_test(roads_alternate_while_both_fail_and_waits_count_over_both),
        cmocka_unit_test(the_first_retry_on_a_lone_road_comes_at_once),
        cmocka_unit_test(jitter_is_full_but_never_below_the_floor),
        cmocka_unit_test(a_step_below_the_floor_is_lifted_to_it),
        cmocka_unit_test(a_longest_wait_below_the_first_step_wins),
        cmocka_unit_test(a_refusal_waits_the_longest_step),
        cmocka_unit_test(a_refusal_on_tcp_tls_still_tries_https_but_then_waits_long),
        cmocka_unit_test(a_refusal_on_https_waits_long_before_tcp_tls),
        cmocka_unit_test(a_refusal_is_forgotten_when_the_channel_opens),
        cmocka_unit_test(a_proved_channel_that_is_lost_is_dialed_at_once),
        cmocka_unit_test(a_lost_https_channel_is_dialed_on_the_road_that_worked),
        cmocka_unit_test(a_channel_that_opens_and_dies_is_not_dialed_in_a_tight_loop),
        cmocka_unit_test(an_https_channel_probes_tcp_tls),
        cmocka_unit_test(nothing_is_probed_without_reason),
        cmocka_unit_test(failed_probes_grow_rarer_up_to_tenfold),
        cmocka_unit_test(a_lost_channel_is_no_longer_probed_beside),
        cmocka_unit_test(moving_up_makes_tcp_tls_the_road),
        cmocka_unit_test(a_road_that_breaks_right_after_moving_up_is_probed_less_often),
        cmocka_unit_test(other_values_leave_a_road_that_is_no_longer_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
