/* SPDX-License-Identifier: MIT */
/* Virtual time: the test says what time it is. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "cmg/base/siphash.h"
#include "cmg/auth/bucket.h"

static const unsigned char secret[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static struct cmg_buckets *buckets(uint32_t tokens, uint32_t per_ms, uint32_t burst, size_t entries)
{
    return cmg_buckets_new(&(struct cmg_bucket_rate){ tokens, per_ms, burst }, entries, secret);
}

static unsigned take_all(struct cmg_buckets *b, const char *key, int64_t now_ms)
{
    unsigned n = 0;
    while (n < 1000000 && cmg_buckets_take(b, cmg_str(key), now_ms, NULL))
        n++;
    return n;
}

static int64_t wait_of(struct cmg_buckets *b, const char *key, int64_t now_ms)
{
    int64_t peeked = -1, taken = -1;
    bool there = cmg_buckets_peek(b, cmg_str(key), now_ms, &peeked);
    assert_int_equal(cmg_buckets_take(b, cmg_str(key), now_ms, &taken), there);
    assert_int_equal(peeked, taken);
    return taken;
}

/* The reference's vectors: the key is 00..0f, the input 00, 01, 02 ... */
static void siphash_is_siphash(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint64_t value;
    } vectors[] = { { 0, 0x726fdb47dd0e0e31 },
                    { 1, 0x74f839c593dc67fd },
                    { 15, 0xa129ca6149be45e5 } };
    char text[64];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)i;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
        assert_true(cmg_siphash(secret, (struct cmg_str){ text, vectors[i].n }) ==
                    vectors[i].value);
}

static uint64_t openssl_siphash(struct cmg_str text)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *c = EVP_MAC_CTX_new(mac);
    size_t size = 8, n = 0;
    OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                            OSSL_PARAM_construct_end() };
    unsigned char out[8];
    uint64_t x = 0;
    assert_true(EVP_MAC_init(c, secret, sizeof(secret), params) &&
                EVP_MAC_update(c, (const unsigned char *)text.p, text.n) &&
                EVP_MAC_final(c, out, &n, sizeof(out)));
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(mac);
    for (size_t i = 0; i < 8; i++)
        x |= (uint64_t)out[i] << (8 * i);
    return x;
}

static void siphash_is_that_of_others(void **state)
{
    (void)state;
    char text[300];
    for (size_t n = 0; n < sizeof(text); n++) {
        text[n] = (char)(n * 167 + 13);
        struct cmg_str s = { text, n };
        assert_true(cmg_siphash(secret, s) == openssl_siphash(s));
    }
}

static void a_burst_then_the_rate(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(10, 1000, 20, 8);
    assert_int_equal(take_all(b, "a", 5), 20);
    assert_int_equal(wait_of(b, "a", 5), 100);
    assert_int_equal(wait_of(b, "a", 104), 1);
    assert_int_equal(wait_of(b, "a", 105), 0);
    assert_int_equal(take_all(b, "a", 105), 0);
    assert_int_equal(take_all(b, "a", 1105), 10);
    assert_int_equal(take_all(b, "a", 1000000), 20);
    assert_int_equal(take_all(b, "b", 5), 20); /* a stranger has his own */
    cmg_buckets_free(b);
}

/* 7 a minute is one in 8571.43 ms: in the long run it is 7 a minute all the same. */
static void nothing_is_rounded(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(7, 60000, 7, 1);
    unsigned n = take_all(b, "a", 0) - 7;
    for (int64_t t = 1; t <= 600000; t++)
        n += cmg_buckets_take(b, cmg_str("a"), t, NULL);
    assert_int_equal(n, 70);
    for (int64_t t = 600013; t <= 1200000; t += 13) /* asked at odd times */
        n += cmg_buckets_take(b, cmg_str("a"), t, NULL);
    assert_int_equal(n, 139); /* the last one comes at 1200000 and is asked for before */
    assert_int_equal(wait_of(b, "a", 1200000), 0);
    cmg_buckets_free(b);
}

static void looking_takes_nothing(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(1, 1000, 2, 4);
    int64_t wait = -1;
    for (int i = 0; i < 10; i++)
        assert_true(cmg_buckets_peek(b, cmg_str("a"), 0, &wait));
    assert_int_equal(wait, 0);
    assert_int_equal(take_all(b, "a", 0), 2);
    assert_false(cmg_buckets_peek(b, cmg_str("a"), 0, &wait));
    assert_int_equal(wait, 1000);
    cmg_buckets_free(b);
}

static void no_rate_is_no_limit(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(0, 1000, 1, 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(wait_of(b, "a", 0), 0);
    cmg_buckets_free(b);
}

static void the_clock_may_do_anything(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(10, 1000, 5, 4);
    assert_int_equal(take_all(b, "a", 1000), 5);
    assert_int_equal(take_all(b, "a", 0), 0);
    assert_int_equal(take_all(b, "a", INT64_MIN), 0);
    assert_int_equal(take_all(b, "a", 1100), 1);
    assert_int_equal(take_all(b, "a", INT64_MAX), 5);
    assert_int_equal(take_all(b, "c", INT64_MIN), 5);
    assert_int_equal(take_all(b, "c", INT64_MAX), 5);
    cmg_buckets_free(b);
}

static void the_largest_numbers_fit(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(UINT32_MAX, UINT32_MAX, UINT32_MAX, 4);
    assert_int_equal(take_all(b, "a", 0), 1000000);
    assert_int_equal(take_all(b, "a", INT64_MAX), 1000000);
    cmg_buckets_rate(b, &(struct cmg_bucket_rate){ 1, 1, UINT32_MAX });
    assert_int_equal(take_all(b, "a", INT64_MAX), 1000000);
    cmg_buckets_rate(b, &(struct cmg_bucket_rate){ 1, UINT32_MAX, 1 });
    assert_int_equal(take_all(b, "a", INT64_MAX), 1);
    assert_int_equal(wait_of(b, "a", INT64_MAX), UINT32_MAX);
    cmg_buckets_free(b);
    b = buckets(1, 0, 0, 0); /* nonsense is made the least that there is */
    assert_int_equal(take_all(b, "a", 0), 1);
    cmg_buckets_free(b);
}

static void the_one_used_least_recently_gives_way(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(1, 1000, 1, 3);
    assert_int_equal(take_all(b, "a", 0), 1);
    assert_int_equal(take_all(b, "b", 0), 1);
    assert_int_equal(take_all(b, "c", 0), 1);
    assert_int_equal(take_all(b, "a", 0), 0); /* a is used again: b is now the oldest */
    assert_int_equal(take_all(b, "d", 0), 1);
    assert_int_equal(take_all(b, "a", 0), 0);
    assert_int_equal(take_all(b, "c", 0), 0);
    assert_int_equal(take_all(b, "b", 0), 1); /* forgotten, so full */
    cmg_buckets_free(b);
}

static void many_strangers_cost_nothing(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(1, 60000, 1, 1000);
    char key[16];
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(take_all(b, key, 0), 1);
    }
    unsigned known = 0;
    for (int i = 99999; i >= 99000; i--) {
        snprintf(key, sizeof(key), "%d", i);
        known += !cmg_buckets_peek(b, cmg_str(key), 0, NULL);
    }
    assert_int_equal(known, 1000); /* none of the last was lost, each found by its own name */
    cmg_buckets_free(b);
}

static void another_rate_keeps_what_is_there(void **state)
{
    (void)state;
    struct cmg_buckets *b = buckets(10, 1000, 10, 4);
    for (int i = 0; i < 4; i++)
        assert_true(cmg_buckets_take(b, cmg_str("a"), 0, NULL));
    cmg_buckets_rate(b, &(struct cmg_bucket_rate){ 10, 7, 100 }); /* 6 tokens, in other parts */
    assert_int_equal(take_all(b, "a", 0), 6);
    cmg_buckets_rate(b, &(struct cmg_bucket_rate){ 10, 1000, 10 });
    assert_int_equal(take_all(b, "a", 1000), 10);
    assert_int_equal(take_all(b, "b", 1000), 10);
    assert_true(cmg_buckets_take(b, cmg_str("c"), 1000, NULL));
    cmg_buckets_rate(b, &(struct cmg_bucket_rate){ 10, 1000, 3 });
    assert_int_equal(take_all(b, "c", 1000), 3); /* cut to the new burst */
    cmg_buckets_rate(b, &(struct cmg_bucket_rate){ 0, 1000, 3 });
    assert_int_equal(wait_of(b, "c", 1000), 0);
    cmg_buckets_free(b);
    cmg_buckets_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_is_siphash),
        cmocka_unit_test(siphash_is_that_of_others),
        cmocka_unit_test(a_burst_then_the_rate),
        cmocka_unit_test(nothing_is_rounded),
        cmocka_unit_test(looking_takes_nothing),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(the_clock_may_do_anything),
        cmocka_unit_test(the_largest_numbers_fit),
        cmocka_unit_test(the_one_used_least_recently_gives_way),
        cmocka_unit_test(many_strangers_cost_nothing),
        cmocka_unit_test(another_rate_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
