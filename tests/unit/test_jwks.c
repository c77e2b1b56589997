/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "cmg/auth/key.h"
#include "cmg/base/alloc.h"
#include "jose_keys.h"

#define KEYS(list) "{\"keys\":[" list "]}"
#define RSA1_AS(more) JOSE_JWK(JOSE_JWK_RSA1, more)
#define EC1_AS(more) JOSE_JWK(JOSE_JWK_EC1, more)
#define KID "\"kid\":\"a\""
#define ZEROS_32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define X32 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256 X32 X32 X32 X32 X32 X32 X32 X32
#define RSA_E(e) /* the modulus of rsa-1 with another exponent */ \
    "{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"" JOSE_N_RSA1 "\",\"e\":\"" e "\"}"

/* A key by itself: with a second one that is good, it is in the set or left out. */
static const struct {
    const char *says, *key;
    bool in;
} keys[] = {
    { "RSA", RSA1_AS(KID), true },
    { "EC", EC1_AS(KID), true },
    { "for signatures", RSA1_AS(KID ",\"use\":\"sig\",\"alg\":\"RS256\""), true },
    { "to verify", EC1_AS(KID ",\"key_ops\":[\"verify\"],\"alg\":\"ES256\""), true },
    { "with names and more", RSA1_AS(KID ",\"x5t\":\"b\",\"x5t#S256\":\"c\",\"x5c\":[\"MII\"]"),
      true },
    { "a kid of 256 letters", RSA1_AS("\"kid\":\"" X256 "\""), true },

    { "for encryption", RSA1_AS(KID ",\"use\":\"enc\""), false },
    { "for an unknown use", RSA1_AS(KID ",\"use\":\"SIG\""), false },
    { "a use that is no text", RSA1_AS(KID ",\"use\":null"), false },
    { "to sign", RSA1_AS(KID ",\"key_ops\":[\"sign\"]"), false },
    { "for no operation", RSA1_AS(KID ",\"key_ops\":[]"), false },
    { "operations that are text", RSA1_AS(KID ",\"key_ops\":\"verify\""), false },
    { "RSA of another algorithm", RSA1_AS(KID ",\"alg\":\"RS512\""), false },
    { "RSA of PSS", RSA1_AS(KID ",\"alg\":\"PS256\""), false },
    { "RSA for EC", RSA1_AS(KID ",\"alg\":\"ES256\""), false },
    { "EC for RSA", EC1_AS(KID ",\"alg\":\"RS256\""), false },
    { "an algorithm that is no text", EC1_AS(KID ",\"alg\":7"), false },
    { "no kid", RSA1_AS("\"x5t\":\"a\""), false },
    { "an empty kid", RSA1_AS("\"kid\":\"\""), false },
    { "a kid that is a number", RSA1_AS("\"kid\":1"), false },
    { "a kid of 257 letters", RSA1_AS("\"kid\":\"" X256 "x\""), false },
    { "an x5t that is no text", RSA1_AS(KID ",\"x5t\":1"), false },
    { "an issuer that is no text", RSA1_AS(KID ",\"issuer\":[]"), false },
    { "the kid of the good one", RSA1_AS("\"kid\":\"good\""), false },
    { "the x5t of the good one", RSA1_AS(KID ",\"x5t\":\"x5t-good\""), false },
    { "with its private half", EC1_AS(KID ",\"d\":\"AQAB\""), false },
    { "RSA of 1024 bits", JOSE_JWK(JOSE_JWK_RSA1024, KID), false },
    { "EC on P-384", JOSE_JWK(JOSE_JWK_P384, KID), false },
    { "P-384 that says P-256",
      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" JOSE_X_P384
      "\",\"y\":\"" JOSE_X_P384 "\"}",
      false },
    { "P-256 that says P-384",
      "{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"a\",\"x\":\"" JOSE_X_EC1 "\",\"y\":\"" JOSE_Y_EC1
      "\"}",
      false },
    { "a point beside the curve",
      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" JOSE_Y_EC1 "\",\"y\":\"" JOSE_X_EC1
      "\"}",
      false },
    { "a point of zeros",
      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" ZEROS_32 "\",\"y\":\"" ZEROS_32
      "\"}",
      false },
    { "half of a point",
      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" JOSE_X_EC1 "\"}", false },
    { "a padded half",
      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" JOSE_X_EC1
      "=\",\"y\":\"" JOSE_Y_EC1 "\"}",
      false },
    { "a secret", "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AQAB\"}", false },
    { "of a new kind", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"" ZEROS_32 "\"}",
      false },
    { "of no kind", "{\"kid\":\"a\"}", false },
    { "empty", "{}", false },
    { "a kind in small letters",
      "{\"kty\":\"rsa\",\"kid\":\"a\",\"n\":\"" JOSE_N_RSA1 "\",\"e\":\"AQAB\"}", false },
    { "no modulus", "{\"kty\":\"RSA\",\"kid\":\"a\",\"e\":\"AQAB\"}", false },
    { "no exponent", "{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"" JOSE_N_RSA1 "\"}", false },
    { "an even modulus",
      "{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"" JOSE_N_RSA1 "AAAA\",\"e\":\"AQAB\"}", false },
    { "an exponent with a zero in front", RSA_E("AAEAAQ"), true },
    { "the largest exponent: 2^32 - 1", RSA_E("_____w"), true },
    { "an exponent of 2^32 + 1", RSA_E("AQAAAAE"), false },
    { "an exponent of 65536", RSA_E("AQAA"), false },
    { "an exponent of 65535", RSA_E("__8"), false },
    { "an exponent of 3", RSA_E("Aw"), false },
    { "an exponent of 1", RSA_E("AQ"), false },
    { "an exponent of 0", RSA_E("AA"), false },
    { "an even exponent", RSA_E("AQAC"), false },
    { "an exponent in the other alphabet", RSA_E("/////w"), false },
};

static void a_key_that_is_not_for_us_is_left_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(keys); i++) {
        char jwks[4096];
        size_t left_out = 99;
        struct cmg_keyset *s = cmg_keyset_new();
        struct cmg_err err = { 0 };
        snprintf(jwks, sizeof(jwks),
                 KEYS(JOSE_JWK(JOSE_JWK_EC2, "\"kid\":\"good\",\"x5t\":\"x5t-good\"") ",%s"),
                 keys[i].key);
        if (cmg_keyset_add_jwks(s, cmg_str(jwks), &left_out, &err) != CMG_OK)
            fail_msg("%s: %s", keys[i].says, err.text);
        if (cmg_keyset_count(s) != (keys[i].in ? 2 : 1) || left_out != (keys[i].in ? 0 : 1))
            fail_msg("%s: %zu in the set, %zu left out", keys[i].says, cmg_keyset_count(s),
                     left_out);
        cmg_keyset_unref(s);
    }
}

#define GOOD EC1_AS(KID)

static const struct {
    const char *says, *json;
} sets[] = {
    { "nothing", "" },
    { "no JSON", "keys" },
    { "a list", "[" GOOD "]" },
    { "a key alone", GOOD },
    { "no keys", "{}" },
    { "keys that are an object", "{\"keys\":{\"0\":" GOOD "}}" },
    { "an empty list", KEYS("") },
    { "a key that is text", KEYS(GOOD ",\"a\"") },
    { "keys twice", "{\"keys\":[" GOOD "],\"keys\":[" GOOD "]}" },
    { "a member of a key twice", KEYS(EC1_AS(KID ",\"kid\":\"b\"")) },
    { "a NUL in a kid", KEYS(EC1_AS("\"kid\":\"a\\u0000\"")) },
    { "a kid that is not UTF-8", KEYS(EC1_AS("\"kid\":\"\xff\"")) },
    { "something behind it", KEYS(GOOD) "}" },
    { "nested too deep", KEYS(EC1_AS(KID ",\"a\":[[[[[[[[[[[[[[1]]]]]]]]]]]]]]")) },
    { "none that can be used", KEYS("{\"kty\":\"oct\"}," JOSE_JWK(JOSE_JWK_P384, KID)) },
};

static void what_is_no_set_adds_nothing(void **state)
{
    (void)state;
    struct cmg_keyset *s = cmg_keyset_new();
    assert_int_equal(
        CMG_OK, cmg_keyset_add_jwks(s, CMG_STR(KEYS(JOSE_JWK(JOSE_JWK_EC2, "\"kid\":\"good\""))),
                                    NULL, NULL));
    ERR_clear_error();
    for (size_t i = 0; i < CMG_COUNT(sets); i++) {
        struct cmg_err err = { 0 };
        if (cmg_keyset_add_jwks(s, cmg_str(sets[i].json), NULL, &err) != CMG_EPROTO || !err.text[0])
            fail_msg("%s: %s", sets[i].says, err.text);
        assert_int_equal(1, cmg_keyset_count(s));
        assert_int_equal(0, ERR_get_error());
    }
    cmg_keyset_unref(s);
}

static void a_set_has_a_ceiling_in_bytes(void **state)
{
    (void)state;
    static const char set[] = KEYS(GOOD);
    char *json = cmg_alloc(CMG_JWKS_BYTES_MAX + 1);
    struct cmg_keyset *s = cmg_keyset_new();
    memset(json, ' ', CMG_JWKS_BYTES_MAX + 1);
    memcpy(json, set, sizeof(set) - 1);
    assert_int_equal(
        CMG_EPROTO,
        cmg_keyset_add_jwks(s, (struct cmg_str){ json, CMG_JWKS_BYTES_MAX + 1 }, NULL, NULL));
    assert_int_equal(
        CMG_OK, cmg_keyset_add_jwks(s, (struct cmg_str){ json, CMG_JWKS_BYTES_MAX }, NULL, NULL));
    free(json);
    cmg_keyset_unref(s);
}

/* n times the same EC key, by other names. */
static char *many(int n)
{
    size_t room = 64 + (size_t)n * 256, at;
    char *json = cmg_alloc(room);
    at = (size_t)snprintf(json, room, "{\"keys\":[");
    for (int i = 0; i < n; i++)
        at +=
            (size_t)snprintf(json + at, room - at, "%s" EC1_AS("\"kid\":\"k%d\""), i ? "," : "", i);
    snprintf(json + at, room - at, "]}");
    return json;
}

static void a_set_has_a_ceiling_in_keys(void **state)
{
    (void)state;
    char *full = many(CMG_KEYSET_MAX), *more = many(CMG_KEYSET_MAX + 1);
    struct cmg_keyset *s = cmg_keyset_new();
    assert_int_equal(CMG_EPROTO, cmg_keyset_add_jwks(s, cmg_str(more), NULL, NULL));
    assert_int_equal(0, cmg_keyset_count(s));
    assert_int_equal(CMG_OK, cmg_keyset_add_jwks(s, cmg_str(full), NULL, NULL));
    assert_int_equal(CMG_KEYSET_MAX, cmg_keyset_count(s));
    free(full);
    free(more);
    cmg_keyset_unref(s);
}

/* ---- Names ---- */

static const struct {
    const char *kid, *x5t, *x5t_s256;
    enum cmg_rc rc;
    size_t i;
} names[] = {
    { "k0", NULL, NULL, CMG_OK, 0 },
    { "k1", NULL, NULL, CMG_OK, 1 },
    { NULL, "t1", NULL, CMG_OK, 1 },
    { NULL, NULL, "s1", CMG_OK, 1 },
    { "k1", "t1", "s1", CMG_OK, 1 },
    { "k0", "t9", NULL, CMG_OK, 0 }, /* k0 has no x5t that could say no */
    { "k9", NULL, NULL, CMG_MORE, 0 },
    { "K0", NULL, NULL, CMG_MORE, 0 },
    { "k", NULL, NULL, CMG_MORE, 0 },
    { "t1", NULL, NULL, CMG_MORE, 0 },
    { NULL, "k1", NULL, CMG_MORE, 0 },
    { "k1", "t9", NULL, CMG_EDENIED, 0 },
    { "k9", "t1", NULL, CMG_EDENIED, 0 },
    { "k0", "t1", NULL, CMG_EDENIED, 0 },
    { "k1", "t1", "s9", CMG_EDENIED, 0 },
    { NULL, "t2", "s3", CMG_EDENIED, 0 }, /* each key has one of the names, and contradicts none */
};

static void a_key_is_found_by_all_of_its_names_or_not_at_all(void **state)
{
    (void)state;
    static const char set[] =
        KEYS(RSA1_AS("\"kid\":\"k0\"") "," EC1_AS("\"kid\":\"k1\",\"x5t\":\"t1\",\"x5t#S256\":"
                                                  "\"s1\"") "," EC1_AS(
            "\"kid\":\"k2\",\"x5t\":\"t2\"") "," EC1_AS("\"kid\":\"k3\",\"x5t#S256\":\"s3\""));
    struct cmg_keyset *s = cmg_keyset_new();
    assert_int_equal(CMG_OK, cmg_keyset_add_jwks(s, cmg_str(set), NULL, NULL));
    for (size_t n = 0; n < CMG_COUNT(names); n++) {
        const struct cmg_key_names called = { cmg_str(names[n].kid), cmg_str(names[n].x5t),
                                              cmg_str(names[n].x5t_s256) };
        size_t i = 0;
        struct cmg_err err = { 0 };
        enum cmg_rc rc = cmg_keyset_find(s, &called, &i, &err);
        if (rc != names[n].rc || i != names[n].i || (rc != CMG_OK && !err.text[0]))
            fail_msg("row %zu: %d, key %zu, %s", n, rc, i, err.text);
    }
    cmg_keyset_unref(s);
}

static void a_set_lives_as_long_as_somebody_has_it(void **state)
{
    (void)state;
    struct cmg_keyset *s = cmg_keyset_new();
    struct cmg_keyset *other = cmg_keyset_ref(s);
    assert_ptr_equal(s, other);
    assert_int_equal(CMG_OK, cmg_keyset_add_jwks(s, CMG_STR(KEYS(GOOD)), NULL, NULL));
    cmg_keyset_unref(s);
    assert_int_equal(1, cmg_keyset_count(other));
    cmg_keyset_unref(other);
    cmg_keyset_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_is_not_for_us_is_left_out),
        cmocka_unit_test(what_is_no_set_adds_nothing),
        cmocka_unit_test(a_set_has_a_ceiling_in_bytes),
        cmocka_unit_test(a_set_has_a_ceiling_in_keys),
        cmocka_unit_test(a_key_is_found_by_all_of_its_names_or_not_at_all),
        cmocka_unit_test(a_set_lives_as_long_as_somebody_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
