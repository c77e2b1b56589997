/* SPDX-License-Identifier: MIT */
/* Virtual time: the test says what time it is. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "gateway/throttle.h"

static struct gateway_conf conf;
static struct throttle *t;
static const char *why;

static int set_up(void **state)
{
    (void)state;
    memset(&conf, 0, sizeof(conf));
    conf.throttle.per_address = 10;
    conf.throttle.per_identity = 5;
    conf.throttle.failures_per_address = 6;
    conf.throttle.failures_per_credential = 3;
    t = throttle_new(&conf);
    why = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    throttle_free(t);
    throttle_free(NULL);
    return 0;
}

static unsigned request(const char *address, const char *credential, int64_t now_ms)
{
    struct throttle_address from = throttle_address(address);
    unsigned wait = throttle_request(t, &from, now_ms, &why);
    return wait ? wait : throttle_credential(t, &from, cmg_str(credential), now_ms, &why);
}

static void failed(const char *address, const char *credential, int64_t now_ms)
{
    struct throttle_address from = throttle_address(address);
    throttle_failed(t, &from, cmg_str(credential), now_ms);
}

static unsigned many(const char *address, unsigned n, int64_t now_ms)
{
    unsigned admitted = 0;
    while (n--)
        admitted += request(address, "", now_ms) == 0;
    return admitted;
}

static void an_address_has_twice_its_rate_at_once(void **state)
{
    (void)state;
    assert_int_equal(many("192.0.2.1:1000", 100, 0), 20);
    assert_int_equal(request("192.0.2.1:2000", "", 0), 1); /* another port is no other address */
    assert_string_equal(why, "too many requests from this address");
    assert_int_equal(request("192.0.2.2:1000", "", 0), 0);
    assert_int_equal(many("192.0.2.1:1000", 100, 1000), 10);
}

static void addresses_are_what_one_subscriber_has(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool same;
    } pairs[] = {
        { "[2001:db8:0:1::7]:50", "[2001:db8:0:1:ffff::8]:51", true },
        { "[2001:db8:0:2::7]:50", "[2001:db8:0:3::7]:50", false },
        { "2001:db8:0:4::7", "[2001:db8:0:4::9]:1", true },
        { "192.0.2.9", "192.0.2.9:5", true },
        { "192.0.2.10:5", "[::ffff:192.0.2.10]:6", true },
        { "192.0.2.11:5", "192.0.2.12:5", false },
        { "somewhere", "somewhere", true },
        { "", "", true },
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        assert_int_equal(many(pairs[i].one, 30, 0), 20);
        if ((request(pairs[i].other, "", 0) != 0) != pairs[i].same)
            fail_msg("%s and %s", pairs[i].one, pairs[i].other);
    }
}

static void failures_of_an_address_close_it(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(request("192.0.2.1:1", "", 0), 0);
        failed("192.0.2.1:1", "", 0);
    }
    assert_int_equal(request("192.0.2.1:1", "", 0), 10); /* 6 a minute: one in 10 s */
    assert_string_equal(why, "too many clients at this address failed to prove who they are");
    assert_int_equal(request("192.0.2.2:1", "", 0), 0);
    assert_int_equal(request("192.0.2.1:1", "", 9999), 1);
    assert_int_equal(request("192.0.2.1:1", "", 10000), 0);
    assert_int_equal(request("192.0.2.1:1", "", 10000), 0); /* only failures cost one */
}

static void failures_of_a_credential_follow_it(void **state)
{
    (void)state;
    static const char *const from[] = { "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1" };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(request(from[i], "bad", 0), 0);
        failed(from[i], "bad", 0);
    }
    assert_int_equal(request("192.0.2.4:1", "bad", 0), 20);
    assert_string_equal(why, "this token or certificate was refused too often");
    assert_int_equal(request("192.0.2.4:1", "good", 0), 0);
    assert_int_equal(request("192.0.2.4:1", "", 0), 0);
}

static void an_identity_has_its_own_rate(void **state)
{
    (void)state;
    struct cmg_identity a = { .how = CMG_BY_CERTIFICATE, .sha256 = "aa" };
    struct cmg_identity others[] = {
        { .how = CMG_BY_CERTIFICATE, .sha256 = "ab" },
        { .how = CMG_BY_ENTRA, .kind = CMG_KIND_DEVICE, .id = "1", .tenant = "x" },
        { .how = CMG_BY_ENTRA, .kind = CMG_KIND_USER, .id = "1", .tenant = "x" },
        { .how = CMG_BY_ENTRA, .kind = CMG_KIND_USER, .id = "1", .tenant = "y" },
        { .how = CMG_BY_SITE_TOKEN, .kind = CMG_KIND_USER, .id = "1", .tenant = "y" },
    };
    for (int i = 0; i < 10; i++)
        assert_int_equal(throttle_identity(t, &a, 0, &why), 0);
    assert_int_equal(throttle_identity(t, &a, 0, &why), 1);
    assert_string_equal(why, "too many requests of this client");
    memset(a.name, 'n', 100); /* what people call it does not matter */
    assert_int_equal(throttle_identity(t, &a, 0, &why), 1);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        for (int k = 0; k < 11; k++)
            assert_int_equal(throttle_identity(t, &others[i], 0, &why), k == 10);
}

static void zero_is_any_number(void **state)
{
    (void)state;
    struct cmg_identity who = { .how = CMG_BY_CERTIFICATE, .sha256 = "aa" };
    memset(&conf, 0, sizeof(conf));
    throttle_use(t, &conf);
    for (int i = 0; i < 1000; i++) {
        failed("192.0.2.1:1", "bad", 0);
        assert_int_equal(request("192.0.2.1:1", "bad", 0), 0);
        assert_int_equal(throttle_identity(t, &who, 0, &why), 0);
    }
}

static void other_rates_are_in_force_at_once(void **state)
{
    (void)state;
    assert_int_equal(many("192.0.2.1:1", 5, 0), 5);
    conf.throttle.per_address = 1;
    throttle_use(t, &conf);
    assert_int_equal(many("192.0.2.1:1", 5, 0), 2);
    conf.throttle.per_address = 1000000;
    throttle_use(t, &conf);
    assert_int_equal(many("192.0.2.1:1", 5000, 1000), 5000);
}

int main(void)
{
#define TEST(x) cmocka_unit_test_setup_teardown(x, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_address_has_twice_its_rate_at_once), TEST(addresses_are_what_one_subscriber_has),
        TEST(failures_of_an_address_close_it),       TEST(failures_of_a_credential_follow_it),
        TEST(an_identity_has_its_own_rate),          TEST(zero_is_any_number),
        TEST(other_rates_are_in_force_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
