/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "cmg/auth/jwt.h"
#include "jose_certs.h"
#include "jose_judge.h"

static const struct cmg_jwt_rule rule = JOSE_RULE;

static void tokens_of_another_implementation_are_accepted(void **state)
{
    (void)state;
    static const char *const tokens[] = { JOSE_RS256_TOKEN, JOSE_ES256_TOKEN };
    struct cmg_keyset *keys = jose_set(JOSE_JWKS);
    struct cmg_err err = { 0 };
    for (size_t i = 0; i < CMG_COUNT(tokens); i++)
        if (jose_judge(keys, &rule, tokens[i], NOW, &err) != CMG_OK)
            fail_msg("token %zu: %s", i, err.text);
    cmg_keyset_unref(keys);
}

static const struct {
    const char *says;
    enum jose_key key;
    const char *header, *claims;
} good[] = {
    { "the least", RSA1, "{" RS_HEAD "}", "{" WHO ",'exp':1780003600}" },
    { "the least, by EC", EC1, "{" ES_HEAD "}", "{" WHO ",'exp':1780003600}" },
    { "a second key", RSA2, "{'alg':'RS256','kid':'rsa-2'}", "{" WHO "," TIMES "}" },
    { "a second key, by EC", EC2, "{'alg':'ES256','kid':'ec-2'}", "{" WHO "," TIMES "}" },
    { "a key by its x5t", RSA2, "{'alg':'RS256','x5t':'x5t-of-rsa-2'}", "{" WHO "," TIMES "}" },
    { "kid and x5t of one key", RSA1, "{" RS_HEAD ",'x5t':'x5t-of-rsa-1'}", "{" WHO "," TIMES "}" },
    { "an x5t where the key has none", EC1, "{" ES_HEAD ",'x5t':'anything'}",
      "{" WHO "," TIMES "}" },
    { "a type", RSA1, "{" RS_HEAD ",'typ':'JWT'}", "{" WHO "," TIMES "}" },
    { "blanks in the JSON", RSA1, " { " RS_HEAD " } ", "\n{\t" WHO " , " TIMES "}\r\n" },
    { "a list of audiences", RSA1, "{" RS_HEAD "}",
      "{'iss':'" ISSUER "','aud':['urn:x','" AUDIENCE "']," TIMES "}" },
    { "another issuer of the rule", RSA1, "{" RS_HEAD "}",
      "{'iss':'urn:other-issuer','aud':'urn:other'," TIMES "}" },
    { "expired within the leeway", RSA1, "{" RS_HEAD "}", "{" WHO ",'exp':1779999941}" },
    { "not valid yet, within the leeway", RSA1, "{" RS_HEAD "}",
      "{" WHO ",'nbf':1780000060,'exp':1780003600}" },
    { "issued by a clock within the leeway", RSA1, "{" RS_HEAD "}",
      "{" WHO ",'iat':1780000060,'exp':1780003600}" },
    { "until the end of dates", RSA1, "{" RS_HEAD "}", "{" WHO ",'exp':253402300799}" },
    { "as deep as it may be", RSA1, "{" RS_HEAD "}",
      "{" WHO "," TIMES ",'a':[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}" },
    { "claims of every kind", RSA1, "{" RS_HEAD ",'nonce':'x'}",
      "{" WHO "," TIMES ",'a':null,'b':[1,2.5,{'c':true}],'d':'\xc3\xa4\\u20ac'}" },
};

static void a_good_token_is_accepted(void **state)
{
    (void)state;
    struct cmg_keyset *keys = jose_set(JOSE_JWKS);
    for (size_t i = 0; i < CMG_COUNT(good); i++) {
        struct cmg_err err = { 0 };
        char *token = jose_token(good[i].key, good[i].header, good[i].claims);
        if (jose_judge(keys, &rule, token, NOW, &err) != CMG_OK)
            fail_msg("%s: %s", good[i].says, err.text);
        free(token);
    }
    cmg_keyset_unref(keys);
}

/* ---- What the rule and the set decide ---- */

static const char *const only_jwt[] = { "at+jwt", "JWT", NULL };

static const struct {
    const char *says;
    enum jose_key key;
    const char *header, *claims;
    unsigned algs; /* 0: both */
    const char *const *types;
    int64_t lifetime_max_s;
    enum cmg_rc rc;
    const char *why;
} ruled[] = {
    { "an algorithm that the rule has", RSA1, "{" RS_HEAD "}", FINE, CMG_ALG_RS256, NULL, 0, CMG_OK,
      NULL },
    { "one that it has not", RSA1, "{" RS_HEAD "}", FINE, CMG_ALG_ES256, NULL, 0, CMG_EDENIED,
      "RS256 is not allowed" },
    { "one that it has not, and nobody's key", EC1, "{'alg':'ES256','kid':'x'}", FINE,
      CMG_ALG_RS256, NULL, 0, CMG_EDENIED, "ES256 is not allowed" },
    { "a key that is not there", RSA1, "{'alg':'RS256','kid':'new'}", FINE, 0, NULL, 0, CMG_MORE,
      "kid new" },
    { "one by x5t", RSA1, "{'alg':'RS256','x5t':'new'}", FINE, 0, NULL, 0, CMG_MORE, "x5t new" },
    { "one by x5t#S256", RSA1, "{'alg':'RS256','x5t#S256':'new'}", FINE, 0, NULL, 0, CMG_MORE,
      "x5t#S256 new" },
    { "one whose name is for no log", RSA1, "{'alg':'RS256','kid':'a\\n\\u001b[0m\xc3\xa4 b'}",
      FINE, 0, NULL, 0, CMG_MORE, "kid a??[0m???b" },
    { "a type", RSA1, "{" RS_HEAD ",'typ':'JWT'}", FINE, 0, only_jwt, 0, CMG_OK, NULL },
    { "in small letters", RSA1, "{" RS_HEAD ",'typ':'jwt'}", FINE, 0, only_jwt, 0, CMG_OK, NULL },
    { "as a media type", RSA1, "{" RS_HEAD ",'typ':'application/at+JWT'}", FINE, 0, only_jwt, 0,
      CMG_OK, NULL },
    { "no type", RSA1, "{" RS_HEAD "}", FINE, 0, only_jwt, 0, CMG_EDENIED, "type" },
    { "another type", RSA1, "{" RS_HEAD ",'typ':'secevent+jwt'}", FINE, 0, only_jwt, 0, CMG_EDENIED,
      "type" },
    { "a type that is no text", RSA1, "{" RS_HEAD ",'typ':1}", FINE, 0, only_jwt, 0, CMG_EDENIED,
      "type" },
    { "as long as it may last", RSA1, "{" RS_HEAD "}", FINE, 0, NULL, 4600, CMG_OK, NULL },
    { "a second longer", RSA1, "{" RS_HEAD "}", FINE, 0, NULL, 4599, CMG_EDENIED,
      "lasts 4600 s, and 4599 s are the most" },
    { "by iat where there is no nbf", RSA1, "{" RS_HEAD "}",
      "{" WHO ",'iat':1779999000,'exp':1780003600}", 0, NULL, 4599, CMG_EDENIED, "4600" },
    { "by nbf where both are there", RSA1, "{" RS_HEAD "}", "{" WHO "," TIMES ",'iat':1780000000}",
      0, NULL, 4599, CMG_EDENIED, "4600" },
    { "no beginning", RSA1, "{" RS_HEAD "}", "{" WHO ",'exp':1780003600}", 0, NULL, 4600,
      CMG_EDENIED, "neither nbf nor iat" },
};

static void the_rule_and_the_set_decide(void **state)
{
    (void)state;
    struct cmg_keyset *keys = jose_set(JOSE_JWKS);
    for (size_t i = 0; i < CMG_COUNT(ruled); i++) {
        struct cmg_err err = { 0 };
        struct cmg_jwt_rule r = rule;
        r.algs = ruled[i].algs ? ruled[i].algs : r.algs;
        r.types = ruled[i].types;
        r.lifetime_max_s = ruled[i].lifetime_max_s;
        char *token = jose_token(ruled[i].key, ruled[i].header, ruled[i].claims);
        enum cmg_rc rc = jose_judge(keys, &r, token, NOW, &err);
        if (rc != ruled[i].rc || (ruled[i].why && !strstr(err.text, ruled[i].why)))
            fail_msg("%s: %d %s", ruled[i].says, rc, err.text);
        free(token);
    }
    cmg_keyset_unref(keys);
}

static void an_empty_set_has_no_key(void **state)
{
    (void)state;
    struct cmg_keyset *keys = cmg_keyset_new();
    assert_int_equal(CMG_MORE, jose_judge(keys, &rule, JOSE_RS256_TOKEN, NOW, NULL));
    cmg_keyset_unref(keys);
}

/* Sets of Microsoft's say which issuer a key is for. */
static const struct {
    const char *issuer;
    enum cmg_rc rc;
} keys_of[] = {
    { ISSUER, CMG_OK },
    { "urn:other-issuer", CMG_OK },
    { "https://login.example/{tenantid}/v2.0", CMG_OK },
    { "https://login.example/private/v2.0", CMG_EDENIED },
    { "https://issuer.example", CMG_EDENIED },
};

static void a_key_of_another_issuer_signs_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(keys_of); i++) {
        char jwks[2048];
        struct cmg_err err = { 0 };
        snprintf(jwks, sizeof(jwks),
                 "{\"keys\":[{" JOSE_JWK_EC1 ",\"kid\":\"ec-1\",\"issuer\":\"%s\"}]}",
                 keys_of[i].issuer);
        struct cmg_keyset *keys = jose_set(jwks);
        assert_int_equal(keys_of[i].rc, jose_judge(keys, &rule, JOSE_ES256_TOKEN, NOW, &err));
        cmg_keyset_unref(keys);
    }
}

/* TLS on the same thread would take what is left over for its own failure. */
static void openssls_queue_of_errors_is_left_as_it_was(void **state)
{
    (void)state;
    struct cmg_keyset *keys = jose_set(JOSE_JWKS);
    char *token = jose_token(RSA1, "{'alg':'RS256','kid':'rsa-2'}", FINE);

    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 77);
    assert_int_equal(CMG_OK, jose_judge(keys, &rule, JOSE_RS256_TOKEN, NOW, NULL));
    assert_int_equal(CMG_EDENIED, jose_judge(keys, &rule, token, NOW, NULL));
    free(token);
    token = jose_token(EC1, "{'alg':'ES256','kid':'ec-2'}", FINE);
    assert_int_equal(CMG_EDENIED, jose_judge(keys, &rule, token, NOW, NULL));
    assert_int_equal(77, ERR_GET_REASON(ERR_get_error()));
    assert_int_equal(0, ERR_get_error());
    free(token);
    cmg_keyset_unref(keys);
}

/* ---- Members ---- */

static bool is(struct cmg_str text, const char *wanted)
{
    return text.p && cmg_str_eq(text, cmg_str(wanted));
}

static void members_are_there_in_their_own_type_only(void **state)
{
    (void)state;
    char *token = jose_token(
        EC1, "{" ES_HEAD ",'typ':'JWT','n':1}",
        "{'t':'x','e':'','i':7,'z':0,'m':-1,'r':1.0,'b':true,'l':['x'],'o':{'t':'y'},'0':null}");
    struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), NULL);

    assert_non_null(t);
    memset(token, 'x', strlen(token)); /* nothing is borrowed */
    free(token);
    assert_int_equal(CMG_ALG_ES256, cmg_jwt_alg(t));
    assert_true(is(cmg_jwt_header(t, "typ"), "JWT"));
    assert_null(cmg_jwt_header(t, "n").p);
    assert_null(cmg_jwt_header(t, "t").p);
    assert_true(is(cmg_jwt_text(t, "t"), "x"));
    assert_true(is(cmg_jwt_text(t, "e"), ""));
    for (const char *name = "izmrblo0?"; *name; name++)
        assert_null(cmg_jwt_text(t, (char[]){ *name, '\0' }).p);
    assert_int_equal(7, cmg_jwt_number(t, "i"));
    assert_int_equal(0, cmg_jwt_number(t, "z"));
    for (const char *name = "temrblo0?"; *name; name++)
        assert_int_equal(-1, cmg_jwt_number(t, (char[]){ *name, '\0' }));
    assert_false(cmg_jwt_is_for(t, jose_audiences));
    cmg_jwt_free(t);
    cmg_jwt_free(NULL);
}

/* ---- Issuing ---- */

static void what_is_issued_is_read_and_verified(void **state)
{
    (void)state;
    static const char claims[] =
        "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\",\"exp\":4102444800}";
    for (int which = RSA1; which < JOSE_KEYS; which++) {
        char *pem = jose_certificate((enum jose_key)which, -86400, 86400);
        struct cmg_signer *s = cmg_signer_new(cmg_str(pem), cmg_str(jose_pems[which]), NULL);
        struct cmg_keyset *keys = cmg_keyset_new();
        assert_non_null(s);
        assert_int_equal(CMG_OK, cmg_keyset_add_certificates(keys, cmg_str(pem), NULL));
        char *token = cmg_jwt_issue(s, cmg_str(claims));
        assert_int_equal(CMG_OK, jose_judge(keys, &rule, token, time(NULL), NULL));

        struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), NULL);
        assert_int_equal(which <= RSA2 ? CMG_ALG_RS256 : CMG_ALG_ES256, cmg_jwt_alg(t));
        assert_true(is(cmg_jwt_header(t, "typ"), "JWT"));
        assert_true(is(cmg_jwt_header(t, "x5t"), cmg_signer_x5t(s)));
        assert_true(is(cmg_jwt_header(t, "kid"), cmg_signer_x5t(s)));
        cmg_jwt_free(t);
        free(token);
        cmg_keyset_unref(keys);
        cmg_signer_free(s);
        free(pem);
    }
}

static void only_an_object_that_fits_is_issued(void **state)
{
    (void)state;
    char *pem = jose_certificate(EC1, -86400, 86400), *much = cmg_alloc(CMG_JWT_BYTES_MAX + 1);
    struct cmg_signer *s = cmg_signer_new(cmg_str(pem), cmg_str(jose_pems[EC1]), NULL);

    assert_null(cmg_jwt_issue(s, CMG_STR("")));
    assert_null(cmg_jwt_issue(s, CMG_STR("[1]")));
    assert_null(cmg_jwt_issue(s, CMG_STR("{\"a\":1,\"a\":2}")));
    assert_null(cmg_jwt_issue(s, CMG_STR("{}x")));
    memset(much, ' ', CMG_JWT_BYTES_MAX);
    memcpy(much, "{}", 2);
    assert_null(cmg_jwt_issue(s, (struct cmg_str){ much, CMG_JWT_BYTES_MAX }));
    char *token = cmg_jwt_issue(s, (struct cmg_str){ much, CMG_JWT_BYTES_MAX / 2 });
    assert_non_null(token);
    free(token);
    free(much);
    cmg_signer_free(s);
    free(pem);
}

/* Seconds are those of the certificate: the first and the last one count. */
static void a_certificate_makes_its_key_good_for_its_time_only(void **state)
{
    (void)state;
    char *pem = jose_certificate(EC1, -1000, 1000);
    struct cmg_signer *s = cmg_signer_new(cmg_str(pem), cmg_str(jose_pems[EC1]), NULL);
    struct cmg_keyset *keys = cmg_keyset_new();
    struct cmg_key_info info;
    struct cmg_err err = { 0 };
    char *token = cmg_jwt_issue(
        s, CMG_STR("{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\",\"exp\":4102444800}"));

    assert_int_equal(CMG_OK, cmg_keyset_add_certificates(keys, cmg_str(pem), NULL));
    cmg_keyset_info(keys, 0, &info);
    assert_int_equal(2000, info.not_after - info.not_before);
    assert_int_equal(CMG_EDENIED, jose_judge(keys, &rule, token, info.not_before - 1, &err));
    assert_non_null(strstr(err.text, "certificate of its key is not valid before 20"));
    assert_int_equal(CMG_OK, jose_judge(keys, &rule, token, info.not_before, NULL));
    assert_int_equal(CMG_OK, jose_judge(keys, &rule, token, info.not_after, NULL));
    assert_int_equal(CMG_EDENIED, jose_judge(keys, &rule, token, info.not_after + 1, &err));
    assert_non_null(strstr(err.text, "certificate of its key expired 20"));
    free(token);
    cmg_keyset_unref(keys);
    cmg_signer_free(s);
    free(pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_another_implementation_are_accepted),
        cmocka_unit_test(a_good_token_is_accepted),
        cmocka_unit_test(the_rule_and_the_set_decide),
        cmocka_unit_test(an_empty_set_has_no_key),
        cmocka_unit_test(a_key_of_another_issuer_signs_nothing),
        cmocka_unit_test(openssls_queue_of_errors_is_left_as_it_was),
        cmocka_unit_test(members_are_there_in_their_own_type_only),
        cmocka_unit_test(what_is_issued_is_read_and_verified),
        cmocka_unit_test(only_an_object_that_fits_is_issued),
        cmocka_unit_test(a_certificate_makes_its_key_good_for_its_time_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
