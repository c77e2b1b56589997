/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "cmg/auth/jwt.h"
#include "jose_make.h"

#define ISSUER "https://issuer.example/"
#define AUDIENCE "urn:test"

enum { NOW = 1780000000 };

static const char *const issuers[] = { "urn:other-issuer", ISSUER, NULL };
static const char *const audiences[] = { "urn:other", AUDIENCE, NULL };
static const struct cmg_jwt_rule rule = { .algs = CMG_ALG_RS256 | CMG_ALG_ES256,
                                          .issuers = issuers,
                                          .audiences = audiences,
                                          .leeway_s = 60 };

static struct cmg_keyset *set_of(const char *jwks)
{
    struct cmg_keyset *s = cmg_keyset_new();
    struct cmg_err err = { 0 };
    if (cmg_keyset_add_jwks(s, cmg_str(jwks), NULL, &err) != CMG_OK)
        fail_msg("%s", err.text);
    return s;
}

/* Read and verified, from a block of its exact size. */
static enum cmg_rc judge(const struct cmg_keyset *keys, const struct cmg_jwt_rule *r,
                         const char *token, int64_t now, struct cmg_err *err)
{
    size_t n = strlen(token);
    char *exact = cmg_alloc(n ? n : 1);
    memcpy(exact, token, n);
    struct cmg_jwt *t = cmg_jwt_read((struct cmg_str){ exact, n }, err);
    free(exact);
    enum cmg_rc rc = t ? cmg_jwt_verify(t, r, keys, now, err) : err->code;
    cmg_jwt_free(t);
    return rc;
}

static void tokens_of_another_implementation_are_accepted(void **state)
{
    (void)state;
    static const char *const tokens[] = { JOSE_RS256_TOKEN, JOSE_ES256_TOKEN };
    struct cmg_keyset *keys = set_of(JOSE_JWKS);
    struct cmg_err err = { 0 };
    for (size_t i = 0; i < CMG_COUNT(tokens); i++)
        if (judge(keys, &rule, tokens[i], NOW, &err) != CMG_OK)
            fail_msg("token %zu: %s", i, err.text);
    cmg_keyset_unref(keys);
}

#define RS_HEAD "'alg':'RS256','kid':'rsa-1'"
#define ES_HEAD "'alg':'ES256','kid':'ec-1'"
#define WHO "'iss':'" ISSUER "','aud':'" AUDIENCE "'"
#define TIMES "'nbf':1779999000,'exp':1780003600"

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
    { "claims of every kind", RSA1, "{" RS_HEAD ",'nonce':'x'}",
      "{" WHO "," TIMES ",'a':null,'b':[1,2.5,{'c':true}],'d':'\xc3\xa4\\u20ac'}" },
};

static void a_good_token_is_accepted(void **state)
{
    (void)state;
    struct cmg_keyset *keys = set_of(JOSE_JWKS);
    for (size_t i = 0; i < CMG_COUNT(good); i++) {
        struct cmg_err err = { 0 };
        char *token = jose_token(good[i].key, good[i].header, good[i].claims);
        if (judge(keys, &rule, token, NOW, &err) != CMG_OK)
            fail_msg("%s: %s", good[i].says, err.text);
        free(token);
    }
    cmg_keyset_unref(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_another_implementation_are_accepted),
        cmocka_unit_test(a_good_token_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
