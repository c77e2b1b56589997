/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "cmg/auth/key.h"
#include "jose_certs.h"

static void algorithms_have_one_name_each(void **state)
{
    (void)state;
    static const char *const others[] = { "none",  "NONE",  "",      "rs256", "RS256 ", "RS25",
                                          "RS384", "PS256", "HS256", "ES384", "ES256K" };
    assert_int_equal(CMG_ALG_RS256, cmg_alg_of(CMG_STR("RS256")));
    assert_int_equal(CMG_ALG_ES256, cmg_alg_of(CMG_STR("ES256")));
    for (size_t i = 0; i < CMG_COUNT(others); i++)
        assert_int_equal(CMG_ALG_NONE, cmg_alg_of(cmg_str(others[i])));
    assert_int_equal(CMG_ALG_NONE, cmg_alg_of((struct cmg_str){ NULL, 0 }));
    assert_int_equal(CMG_ALG_NONE, cmg_alg_of((struct cmg_str){ "RS256\0", 6 }));
    assert_string_equal("RS256", cmg_alg_name(CMG_ALG_RS256));
    assert_string_equal("ES256", cmg_alg_name(CMG_ALG_ES256));
    assert_string_equal("none", cmg_alg_name(CMG_ALG_NONE));
}

static char *joined(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *both = cmg_alloc(n);
    snprintf(both, n, "%s%s", a, b);
    return both;
}

static void certificates_of_a_text_are_keys(void **state)
{
    (void)state;
    char *rsa = jose_certificate(RSA1, -10, 10), *ec = jose_certificate(EC1, -10, 10);
    char *two = joined("# the site's\n", rsa), *all = joined(two, ec);
    struct cmg_keyset *s = cmg_keyset_new();
    struct cmg_key_info info;
    size_t i = 9;

    assert_int_equal(CMG_OK, cmg_keyset_add_certificates(s, cmg_str(all), NULL));
    assert_int_equal(2, cmg_keyset_count(s));
    cmg_keyset_info(s, 0, &info);
    assert_int_equal(CMG_ALG_RS256, info.alg);
    assert_int_equal(2048, info.bits);
    assert_int_equal(27, strlen(info.id)); /* SHA-1 */
    cmg_keyset_info(s, 1, &info);
    assert_int_equal(CMG_ALG_ES256, info.alg);
    assert_int_equal(20, info.not_after - info.not_before);
    const struct cmg_key_names both = { cmg_str(info.id), cmg_str(info.id), { NULL, 0 } };
    assert_int_equal(CMG_OK, cmg_keyset_find(s, &both, &i, NULL));
    assert_int_equal(1, i);

    /* Once more, as when two files of one configuration name it. */
    assert_int_equal(CMG_OK, cmg_keyset_add_certificates(s, cmg_str(rsa), NULL));
    assert_int_equal(2, cmg_keyset_count(s));
    cmg_keyset_unref(s);
    free(all);
    free(two);
    free(ec);
    free(rsa);
}

/* Keys that a certificate may have and a token's may not. */
static char *certificate_of(EVP_PKEY *taken)
{
    char *pem = jose_certificate_of(taken, -10, 10);
    EVP_PKEY_free(taken);
    return pem;
}

static EVP_PKEY *rsa_with_exponent_3(void)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *e = BN_new();
    EVP_PKEY *pkey = NULL;
    BN_set_word(e, 3);
    if (EVP_PKEY_keygen_init(c) != 1 || EVP_PKEY_CTX_set_rsa_keygen_bits(c, 2048) != 1 ||
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(c, e) != 1 || EVP_PKEY_generate(c, &pkey) != 1)
        abort();
    BN_free(e);
    EVP_PKEY_CTX_free(c);
    return pkey;
}

static EVP_PKEY *pss_only(void)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    EVP_PKEY *pkey = NULL;
    if (EVP_PKEY_keygen_init(c) != 1 || EVP_PKEY_CTX_set_rsa_keygen_bits(c, 2048) != 1 ||
        EVP_PKEY_generate(c, &pkey) != 1)
        abort();
    EVP_PKEY_CTX_free(c);
    return pkey;
}

/* P-256, spelled out instead of named. */
static EVP_PKEY *explicit_parameters(void)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (!pkey || EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING, "explicit") != 1)
        abort();
    return pkey;
}

static void certificates_of_other_keys_add_nothing(void **state)
{
    (void)state;
    char *good = jose_certificate(EC1, -10, 10);
    const struct {
        const char *says;
        char *pem; /* owned */
        const char *why;
    } cases[] = {
        { "nothing", cmg_strdup(""), "no certificate" },
        { "no PEM", cmg_strdup("MIIB"), "no certificate" },
        { "a key", cmg_strdup(JOSE_EC1_PEM), "no certificate" },
        { "half of one", cmg_strndup(good, strlen(good) / 2), "cannot be read" },
        { "base64 of something else",
          cmg_strdup("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
          "cannot be read" },
        { "RSA of 1024 bits", certificate_of(EVP_RSA_gen(1024)), "1024 bits" },
        { "RSA with exponent 3", certificate_of(rsa_with_exponent_3()), "exponent" },
        { "RSA for PSS alone", certificate_of(pss_only()), "neither RSA nor EC" },
        { "P-384", certificate_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384")), "P-256" },
        { "secp256k1", certificate_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1")), "P-256" },
        { "a curve of its own", certificate_of(explicit_parameters()), "P-256" },
    };
    ERR_clear_error();
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_keyset *s = cmg_keyset_new();
        struct cmg_err err = { 0 };
        /* Behind a good one, if it is a certificate at all. */
        char *both = i < 3 ? cmg_strdup(cases[i].pem) : joined(good, cases[i].pem);
        if (cmg_keyset_add_certificates(s, cmg_str(both), &err) != CMG_ECONF ||
            !strstr(err.text, cases[i].why) || cmg_keyset_count(s) != 0)
            fail_msg("%s: \"%s\", %zu keys", cases[i].says, err.text, cmg_keyset_count(s));
        assert_int_equal(0, ERR_get_error());
        cmg_keyset_unref(s);
        free(both);
        free(cases[i].pem);
    }
    free(good);
}

static void what_a_signer_signs_its_key_verifies(void **state)
{
    (void)state;
    for (int which = RSA1; which <= EC1; which += EC1 - RSA1) {
        char *pem = jose_certificate((enum jose_key)which, -10, 10);
        struct cmg_signer *signer = cmg_signer_new(cmg_str(pem), cmg_str(jose_pems[which]), NULL);
        struct cmg_keyset *s = cmg_keyset_new();
        unsigned char out[CMG_SIGNATURE_MAX];

        assert_non_null(signer);
        assert_int_equal(CMG_OK, cmg_keyset_add_certificates(s, cmg_str(pem), NULL));
        for (size_t n = 0; n < 40; n++) { /* r and s of EC begin with zeros now and then */
            const struct cmg_str text = { "0123456789012345678901234567890123456789", n };
            struct cmg_str signature = { (char *)out, cmg_signer_sign(signer, text, out) };
            assert_int_equal(which == RSA1 ? 256 : 64, signature.n);
            assert_true(cmg_key_verify(s, 0, text, signature));
            assert_false(cmg_key_verify(s, 0, CMG_STR("x"), signature));
            signature.n--;
            assert_false(cmg_key_verify(s, 0, text, signature));
            out[n] ^= 1;
            signature.n++;
            assert_false(cmg_key_verify(s, 0, text, signature));
        }
        assert_false(cmg_key_verify(s, 0, CMG_STR("x"), (struct cmg_str){ NULL, 0 }));
        cmg_keyset_unref(s);
        cmg_signer_free(signer);
        free(pem);
    }
    cmg_signer_free(NULL);
}

static char *with_password(void)
{
    EVP_PKEY *pkey = jose_pkey(EC1);
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    if (!PEM_write_bio_PrivateKey(bio, pkey, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6,
                                  NULL, NULL))
        abort();
    long n = BIO_get_mem_data(bio, &p);
    char *pem = cmg_strndup(p, (size_t)n);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return pem;
}

static char *pem_of(EVP_PKEY *taken)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    if (!PEM_write_bio_PrivateKey(bio, taken, NULL, NULL, 0, NULL, NULL))
        abort();
    long n = BIO_get_mem_data(bio, &p);
    char *pem = cmg_strndup(p, (size_t)n);
    BIO_free(bio);
    EVP_PKEY_free(taken);
    return pem;
}

/* The public half of ec-1 with a private half that is not its own. */
static char *damaged(void)
{
    EVP_PKEY *ec1 = jose_pkey(EC1), *other = jose_pkey(EC2), *pkey = NULL;
    OSSL_PARAM *whole = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    BIGNUM *d = NULL;
    unsigned char point[65];
    size_t n = 0;
    if (EVP_PKEY_get_bn_param(other, OSSL_PKEY_PARAM_PRIV_KEY, &d) != 1 ||
        EVP_PKEY_get_octet_string_param(ec1, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point,
                                        sizeof(point), &n) != 1 ||
        !OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ||
        !OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, n) ||
        !OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, d) ||
        !(whole = OSSL_PARAM_BLD_to_param(b)) || EVP_PKEY_fromdata_init(c) != 1 ||
        EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_KEYPAIR, whole) != 1)
        abort();
    OSSL_PARAM_free(whole);
    OSSL_PARAM_BLD_free(b);
    EVP_PKEY_CTX_free(c);
    BN_free(d);
    EVP_PKEY_free(other);
    EVP_PKEY_free(ec1);
    return pem_of(pkey);
}

static void a_signer_is_a_certificate_and_its_own_key(void **state)
{
    (void)state;
    char *ec = jose_certificate(EC1, -10, 10), *locked = with_password();
    char *broken = damaged();
    char *weak = certificate_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"));
    const struct {
        const char *certificate, *key, *why;
    } cases[] = {
        { "", JOSE_EC1_PEM, "no certificate" },
        { JOSE_EC1_PEM, JOSE_EC1_PEM, "no certificate" },
        { weak, JOSE_EC1_PEM, "P-256" },
        { ec, "", "no private key" },
        { ec, ec, "no private key" },
        { ec, JOSE_RSA1_PUBLIC_PEM, "no private key" },
        { ec, locked, "password" },
        { ec, JOSE_EC2_PEM, "not that of the certificate" },
        { ec, broken, "damaged" },
        { ec, JOSE_RSA1_PEM, "not that of the certificate" },
    };
    ERR_clear_error();
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_err err = { 0 };
        if (cmg_signer_new(cmg_str(cases[i].certificate), cmg_str(cases[i].key), &err) ||
            err.code != CMG_ECONF || !strstr(err.text, cases[i].why))
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(0, ERR_get_error());
    }
    free(weak);
    free(locked);
    free(broken);
    free(ec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithms_have_one_name_each),
        cmocka_unit_test(certificates_of_a_text_are_keys),
        cmocka_unit_test(certificates_of_other_keys_add_nothing),
        cmocka_unit_test(what_a_signer_signs_its_key_verifies),
        cmocka_unit_test(a_signer_is_a_certificate_and_its_own_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
