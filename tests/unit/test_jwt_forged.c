/* SPDX-License-Identifier: MIT */
/* What forgers try, and what is merely wrong: none of it is believed, and each for its own
 * reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cmg/auth/jwt.h"
#include "jose_judge.h"

static const struct cmg_jwt_rule rule = JOSE_RULE;

/* ---- Twists: what is done to a good token after it was signed ---- */

/* The i-th part, as text; *n is its length. */
static char *part(char *token, int i, size_t *n)
{
    for (; i > 0; i--)
        token = strchr(token, '.') + 1;
    *n = strcspn(token, ".");
    return token;
}

static void replace_part(char *token, int i, const char *with)
{
    size_t n;
    char *at = part(token, i, &n);
    size_t m = strlen(with);
    memmove(at + m, at + n, strlen(at + n) + 1);
    memcpy(at, with, m);
}

/* The same, in base64url. */
static void encode_part(char *token, int i, struct cmg_str bytes)
{
    char text[4096];
    cmg_base64_put(CMG_BASE64URL, bytes, text);
    replace_part(token, i, text);
}

static void json_part(char *token, int i, const char *json)
{
    char text[4096];
    encode_part(token, i, jose_json(json, text));
}

static size_t signature_of(char *token, unsigned char out[1024])
{
    size_t n;
    char *at = part(token, 2, &n);
    assert_int_equal(CMG_OK, cmg_base64_get(CMG_BASE64URL, (struct cmg_str){ at, n }, out, &n));
    return n;
}

static void sign_again(char *token, enum jose_key key, const EVP_MD *md, int padding)
{
    unsigned char signature[1024];
    char *end = strrchr(token, '.');
    *end = '\0';
    size_t n = jose_sign_raw(key, token, md, padding, signature);
    *end = '.';
    encode_part(token, 2, (struct cmg_str){ (char *)signature, n });
}

static void other_claims(char *t)
{
    json_part(t, 1, "{" WHO "," TIMES ",'admin':true}");
}
static void other_header(char *t)
{
    json_part(t, 0, "{" RS_HEAD ",'x':1}");
}
static void last_claim_bit(char *t)
{
    size_t n;
    char *at = part(t, 1, &n);
    at[n / 2] = at[n / 2] == 'A' ? 'B' : 'A';
}
static void signature_of_zeros(char *t)
{
    unsigned char s[1024], zeros[1024] = { 0 };
    encode_part(t, 2, (struct cmg_str){ (char *)zeros, signature_of(t, s) });
}
static void signature_of_ones(char *t)
{
    unsigned char s[1024], ones[1024];
    memset(ones, 0xff, sizeof(ones));
    encode_part(t, 2, (struct cmg_str){ (char *)ones, signature_of(t, s) });
}
static void no_r(char *t)
{
    unsigned char s[1024];
    size_t n = signature_of(t, s);
    memset(s, 0, 32);
    encode_part(t, 2, (struct cmg_str){ (char *)s, n });
}
static void no_s(char *t)
{
    unsigned char s[1024];
    size_t n = signature_of(t, s);
    memset(s + 32, 0, 32);
    encode_part(t, 2, (struct cmg_str){ (char *)s, n });
}
static void order_for_both(char *t)
{
    static const char order[] = "\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
                                "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    char both[64];
    memcpy(both, order, 32);
    memcpy(both + 32, order, 32);
    encode_part(t, 2, (struct cmg_str){ both, 64 });
}
static void one_for_both(char *t)
{
    char both[64] = { 0 };
    both[31] = both[63] = 1;
    encode_part(t, 2, (struct cmg_str){ both, 64 });
}
static void der_signature(char *t)
{
    sign_again(t, EC1, EVP_sha256(), 0);
}
static void pss_signature(char *t)
{
    sign_again(t, RSA1, EVP_sha256(), RSA_PKCS1_PSS_PADDING);
}
static void sha1_signature(char *t)
{
    sign_again(t, RSA1, EVP_sha1(), RSA_PKCS1_PADDING);
}
static void sha512_signature(char *t)
{
    sign_again(t, RSA1, EVP_sha512(), RSA_PKCS1_PADDING);
}
static void shorter_signature(char *t)
{
    unsigned char s[1024];
    encode_part(t, 2, (struct cmg_str){ (char *)s, signature_of(t, s) - 1 });
}
static void longer_signature(char *t)
{
    unsigned char s[1024] = { 0 };
    encode_part(t, 2, (struct cmg_str){ (char *)s, signature_of(t, s) + 1 });
}
static void longer_in_front(char *t)
{
    unsigned char s[1025] = { 0 };
    encode_part(t, 2, (struct cmg_str){ (char *)s, signature_of(t, s + 1) + 1 });
}
static void signature_without_end(char *t)
{
    static const char much[1025];
    encode_part(t, 2, (struct cmg_str){ much, sizeof(much) });
}
static void halves_swapped(char *t)
{
    unsigned char s[1024];
    signature_of(t, s);
    memcpy(s + 64, s, 32);
    encode_part(t, 2, (struct cmg_str){ (char *)s + 32, 64 });
}
static void empty_signature(char *t)
{
    replace_part(t, 2, "");
}
static void empty_claims(char *t)
{
    replace_part(t, 1, "");
}
static void empty_header(char *t)
{
    replace_part(t, 0, "");
}
static void no_signature(char *t)
{
    *strrchr(t, '.') = '\0';
}
static void fourth_part(char *t)
{
    strncat(t, ".Zm9v", 6);
}
static void encrypted(char *t)
{
    strncat(t, ".Zm9v.Zm9v", 11);
}
static void dot_behind(char *t)
{
    strncat(t, ".", 2);
}
static void padded(char *t)
{
    strncat(t, "==", 3);
}
static void blank_behind(char *t)
{
    strncat(t, " ", 2);
}
static void line_end_behind(char *t)
{
    strncat(t, "\n", 2);
}
static void blank_in_front(char *t)
{
    memmove(t + 1, t, strlen(t) + 1);
    t[0] = ' ';
}
static void line_end_inside(char *t)
{
    size_t n;
    char *at = part(t, 1, &n);
    memmove(at + 5, at + 4, strlen(at + 4) + 1);
    at[4] = '\n';
}
static void plain_alphabet(char *t)
{
    size_t n;
    char *at = part(t, 2, &n);
    memcpy(at, "+/+/", 4);
}
/* 256 bytes end in a character of which two bits mean nothing. */
static void tail_bits(char *t)
{
    t[strlen(t) - 1]++;
}
static void bearer(char *t)
{
    memmove(t + 7, t, strlen(t) + 1);
    memcpy(t, "Bearer ", 7);
}
static void nothing(char *t)
{
    t[0] = '\0';
}
static void three_dots(char *t)
{
    memcpy(t, "...", 4);
}
static void too_long(char *t)
{
    size_t n = strlen(t);
    memset(t + n, 'A', CMG_JWT_BYTES_MAX + 1 - n);
}
/* The classic: what everybody knows is the secret. */
static void hmac_by_public_key(char *t)
{
    static const char secret[] = JOSE_RSA1_PUBLIC_PEM;
    unsigned char mac[32];
    unsigned n = sizeof(mac);
    char *end = strrchr(t, '.');
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)t, (size_t)(end - t), mac, &n);
    encode_part(t, 2, (struct cmg_str){ (char *)mac, n });
}
static void header_that_is_utf16(char *t)
{
    encode_part(t, 0, (struct cmg_str){ "{\0\"\0a\0", 6 });
}

/* ---- What is refused ---- */

#define RS "{" RS_HEAD "}"
#define ES "{" ES_HEAD "}"
#define ISS(value) "{'iss':" value ",'aud':'" AUDIENCE "'," TIMES "}"
#define AUD(value) "{'iss':'" ISSUER "','aud':" value "," TIMES "}"
#define EXP(value) "{" WHO ",'exp':" value "}"
#define TIME(members) "{" WHO ",'exp':1780003600," members "}"

/* Signed by `key`, with right signature, and then twisted. */
static const struct {
    const char *says;
    enum jose_key key;
    const char *header, *claims;
    void (*twist)(char *token);
    const char *why;
} bad[] = {
    /* algorithms */
    { "none", RSA1, "{'alg':'none','kid':'rsa-1'}", FINE, NULL, "algorithm" },
    { "none without a signature", RSA1, "{'alg':'none','kid':'rsa-1'}", FINE, empty_signature,
      "three parts" },
    { "none, written otherwise", RSA1, "{'alg':'nOnE','kid':'rsa-1'}", FINE, NULL, "algorithm" },
    { "no algorithm", RSA1, "{'kid':'rsa-1'}", FINE, NULL, "algorithm" },
    { "an empty one", RSA1, "{'alg':'','kid':'rsa-1'}", FINE, NULL, "algorithm" },
    { "one that is a list", RSA1, "{'alg':['RS256'],'kid':'rsa-1'}", FINE, NULL, "algorithm" },
    { "one in small letters", RSA1, "{'alg':'rs256','kid':'rsa-1'}", FINE, NULL, "algorithm" },
    { "HS256 by the public key", RSA1, "{'alg':'HS256','kid':'rsa-1'}", FINE, hmac_by_public_key,
      "algorithm" },
    { "RS256, but a MAC by the public key", RSA1, RS, FINE, hmac_by_public_key, "not as long" },
    { "RS512", RSA1, "{'alg':'RS512','kid':'rsa-1'}", FINE, sha512_signature, "algorithm" },
    { "RS1", RSA1, "{'alg':'RS1','kid':'rsa-1'}", FINE, sha1_signature, "algorithm" },
    { "PS256", RSA1, "{'alg':'PS256','kid':'rsa-1'}", FINE, pss_signature, "algorithm" },
    { "ES256K", EC1, "{'alg':'ES256K','kid':'ec-1'}", FINE, NULL, "algorithm" },
    { "the algorithm twice", RSA1, "{'alg':'none'," RS_HEAD "}", FINE, NULL, "header" },
    { "RS256 by an EC key", RSA1, "{'alg':'RS256','kid':'ec-1'}", FINE, NULL, "key is for ES256" },
    { "ES256 by an RSA key", EC1, "{'alg':'ES256','kid':'rsa-1'}", FINE, NULL, "key is for RS256" },
    { "RS256 over a signature by EC", EC1, RS, FINE, NULL, "not as long" },
    { "ES256 over a signature by RSA", RSA1, ES, FINE, NULL, "not as long" },
    /* headers that change how it is read, or bring a key */
    { "crit", RSA1, "{" RS_HEAD ",'crit':['exp']}", FINE, NULL, "crit" },
    { "an empty crit", RSA1, "{" RS_HEAD ",'crit':[]}", FINE, NULL, "crit" },
    { "a crit of null", RSA1, "{" RS_HEAD ",'crit':null}", FINE, NULL, "crit" },
    { "b64", RSA1, "{" RS_HEAD ",'b64':false}", FINE, NULL, "b64" },
    { "b64, marked as critical", RSA1, "{" RS_HEAD ",'b64':false,'crit':['b64']}", FINE, NULL,
      "crit" },
    { "zip", RSA1, "{" RS_HEAD ",'zip':'DEF'}", FINE, NULL, "zip" },
    { "enc", RSA1, "{" RS_HEAD ",'enc':'A128GCM'}", FINE, NULL, "enc" },
    { "a token in a token", RSA1, "{" RS_HEAD ",'cty':'JWT'}", FINE, NULL, "cty" },
    { "a key of its own", RSA1, "{" RS_HEAD ",'jwk':{'kty':'RSA','n':'AQAB','e':'AQAB'}}", FINE,
      NULL, "jwk" },
    { "an address of keys", RSA1, "{" RS_HEAD ",'jku':'https://evil.example/'}", FINE, NULL,
      "jku" },
    { "an address of certificates", RSA1, "{" RS_HEAD ",'x5u':'https://evil.example/'}", FINE, NULL,
      "x5u" },
    { "a certificate of its own", RSA1, "{" RS_HEAD ",'x5c':['MIIB']}", FINE, NULL, "x5c" },
    /* which key */
    { "no key named", RSA1, "{'alg':'RS256'}", FINE, NULL, "names no key" },
    { "an empty kid", RSA1, "{'alg':'RS256','kid':''}", FINE, NULL, "name of its key" },
    { "a kid that is a number", RSA1, "{'alg':'RS256','kid':1}", FINE, NULL, "name of its key" },
    { "a kid of null beside an x5t", RSA1, "{'alg':'RS256','kid':null,'x5t':'x5t-of-rsa-1'}", FINE,
      NULL, "name of its key" },
    { "the kid of another key", RSA1, "{'alg':'RS256','kid':'rsa-2'}", FINE, NULL,
      "signature is wrong" },
    { "the kid of another key, by EC", EC1, "{'alg':'ES256','kid':'ec-2'}", FINE, NULL,
      "signature is wrong" },
    { "kid and x5t of two keys", RSA1, "{" RS_HEAD ",'x5t':'x5t-of-rsa-2'}", FINE, NULL,
      "different keys" },
    { "the x5t of a key whose kid is another", RSA1,
      "{'alg':'RS256','kid':'what','x5t':'x5t-of-rsa-1'}", FINE, NULL, "different keys" },
    { "a kid with a tail", RSA1, "{'alg':'RS256','kid':'rsa-1\\u0000'}", FINE, NULL, "header" },
    /* signatures */
    { "other claims", RSA1, RS, FINE, other_claims, "signature is wrong" },
    { "other claims, by EC", EC1, ES, FINE, other_claims, "signature is wrong" },
    { "another header", RSA1, RS, FINE, other_header, "signature is wrong" },
    { "a claim changed", RSA1, RS, FINE, last_claim_bit, "" },
    { "zeros", RSA1, RS, FINE, signature_of_zeros, "signature is wrong" },
    { "zeros, by EC", EC1, ES, FINE, signature_of_zeros, "signature is wrong" },
    { "ones: past the modulus", RSA1, RS, FINE, signature_of_ones, "signature is wrong" },
    { "ones: past the order", EC1, ES, FINE, signature_of_ones, "signature is wrong" },
    { "no r", EC1, ES, FINE, no_r, "signature is wrong" },
    { "no s", EC1, ES, FINE, no_s, "signature is wrong" },
    { "r and s are the order", EC1, ES, FINE, order_for_both, "signature is wrong" },
    { "r and s are 1", EC1, ES, FINE, one_for_both, "signature is wrong" },
    { "s and r", EC1, ES, FINE, halves_swapped, "signature is wrong" },
    { "DER", EC1, ES, FINE, der_signature, "not as long" },
    { "PSS", RSA1, RS, FINE, pss_signature, "signature is wrong" },
    { "over SHA-1", RSA1, RS, FINE, sha1_signature, "signature is wrong" },
    { "over SHA-512", RSA1, RS, FINE, sha512_signature, "signature is wrong" },
    { "a byte less", RSA1, RS, FINE, shorter_signature, "not as long" },
    { "a byte more", RSA1, RS, FINE, longer_signature, "signature is wrong" },
    { "a zero in front", RSA1, RS, FINE, longer_in_front, "signature is wrong" },
    { "a byte less, by EC", EC1, ES, FINE, shorter_signature, "not as long" },
    { "a byte more, by EC", EC1, ES, FINE, longer_signature, "not as long" },
    { "a zero in front, by EC", EC1, ES, FINE, longer_in_front, "not as long" },
    { "longer than any", RSA1, RS, FINE, signature_without_end, "too long" },
    { "empty", RSA1, RS, FINE, empty_signature, "three parts" },
    /* form */
    { "nothing", RSA1, RS, FINE, nothing, "three parts" },
    { "dots", RSA1, RS, FINE, three_dots, "three parts" },
    { "two parts", RSA1, RS, FINE, no_signature, "three parts" },
    { "four parts", RSA1, RS, FINE, fourth_part, "three parts" },
    { "five parts", RSA1, RS, FINE, encrypted, "three parts" },
    { "a dot behind", RSA1, RS, FINE, dot_behind, "three parts" },
    { "an empty header", RSA1, RS, FINE, empty_header, "three parts" },
    { "empty claims", RSA1, RS, FINE, empty_claims, "three parts" },
    { "longer than it may be", RSA1, RS, FINE, too_long, "longer than" },
    { "padded", RSA1, RS, FINE, padded, "base64url" },
    { "a blank behind", RSA1, RS, FINE, blank_behind, "base64url" },
    { "a line end behind", RSA1, RS, FINE, line_end_behind, "base64url" },
    { "a blank in front", RSA1, RS, FINE, blank_in_front, "base64url" },
    { "the scheme in front", RSA1, RS, FINE, bearer, "base64url" },
    { "a line end inside", RSA1, RS, FINE, line_end_inside, "base64url" },
    { "the other alphabet", RSA1, RS, FINE, plain_alphabet, "base64url" },
    { "bits behind the last byte", RSA1, RS, FINE, tail_bits, "base64url" },
    { "bits behind the last byte, by EC", EC1, ES, FINE, tail_bits, "base64url" },
    /* JSON */
    { "a header that is a list", RSA1, "[" RS "]", FINE, NULL, "header" },
    { "a header that is text", RSA1, "'alg'", FINE, NULL, "header" },
    { "a header in UTF-16", RSA1, RS, FINE, header_that_is_utf16, "header" },
    { "a header and more", RSA1, RS "{}", FINE, NULL, "header" },
    { "a header and a NUL", RSA1, RS "@", FINE, NULL, "header" },
    { "a header with a mark of order", RSA1, "\xef\xbb\xbf" RS, FINE, NULL, "header" },
    { "claims that are a list", RSA1, RS, "[" FINE "]", NULL, "claims" },
    { "claims that are null", RSA1, RS, "null", NULL, "claims" },
    { "claims and more", RSA1, RS, FINE "x", NULL, "claims" },
    { "claims and a NUL", RSA1, RS, FINE "@", NULL, "claims" },
    { "a claim twice", RSA1, RS, "{" WHO "," TIMES ",'exp':4102444800}", NULL, "claims" },
    { "a claim twice, spelled otherwise", RSA1, RS, "{" WHO "," TIMES ",'\\u0065xp':4102444800}",
      NULL, "claims" },
    { "a claim twice, further in", RSA1, RS, "{" WHO "," TIMES ",'a':{'b':1,'b':2}}", NULL,
      "claims" },
    { "a NUL in a claim", RSA1, RS, "{" WHO "," TIMES ",'sub':'a@b'}", NULL, "claims" },
    { "an escaped NUL in a claim", RSA1, RS, "{" WHO "," TIMES ",'sub':'a\\u0000b'}", NULL,
      "claims" },
    { "an escaped NUL in a name", RSA1, RS, "{" WHO "," TIMES ",'exp\\u0000':1}", NULL, "claims" },
    { "a claim that is not UTF-8", RSA1, RS, "{" WHO "," TIMES ",'sub':'\xc3('}", NULL, "claims" },
    { "a claim in overlong UTF-8", RSA1, RS, "{" WHO "," TIMES ",'sub':'\xc0\xaf'}", NULL,
      "claims" },
    { "half of a pair", RSA1, RS, "{" WHO "," TIMES ",'sub':'\\ud800'}", NULL, "claims" },
    { "nested too deep", RSA1, RS, "{" WHO "," TIMES ",'a':[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
      NULL, "claims" },
    { "a comment", RSA1, RS, "{" WHO "," TIMES "/**/}", NULL, "claims" },
    { "a comma too many", RSA1, RS, "{" WHO "," TIMES ",}", NULL, "claims" },
    /* who and for whom */
    { "another issuer", RSA1, RS, ISS("'https://evil.example/'"), NULL, "issuer" },
    { "no issuer", RSA1, RS, "{'aud':'" AUDIENCE "'," TIMES "}", NULL, "issuer" },
    { "an empty issuer", RSA1, RS, ISS("''"), NULL, "issuer" },
    { "the issuer's beginning", RSA1, RS, ISS("'https://issuer.example'"), NULL, "issuer" },
    { "the issuer and more", RSA1, RS, ISS("'" ISSUER "x'"), NULL, "issuer" },
    { "the issuer after a blank", RSA1, RS, ISS("' " ISSUER "'"), NULL, "issuer" },
    { "the issuer in other letters", RSA1, RS, ISS("'https://Issuer.example/'"), NULL, "issuer" },
    { "a list of issuers", RSA1, RS, ISS("['" ISSUER "']"), NULL, "issuer" },
    { "another audience", RSA1, RS, AUD("'urn:evil'"), NULL, "audience" },
    { "no audience", RSA1, RS, "{'iss':'" ISSUER "'," TIMES "}", NULL, "audience" },
    { "an empty audience", RSA1, RS, AUD("''"), NULL, "audience" },
    { "an empty list", RSA1, RS, AUD("[]"), NULL, "audience" },
    { "a list of others", RSA1, RS, AUD("['urn:evil','urn:tes','urn:test2']"), NULL, "audience" },
    { "a list with a number", RSA1, RS, AUD("['" AUDIENCE "',1]"), NULL, "audience" },
    { "a list in a list", RSA1, RS, AUD("[['" AUDIENCE "']]"), NULL, "audience" },
    { "an object", RSA1, RS, AUD("{'" AUDIENCE "':1}"), NULL, "audience" },
    { "the audience in other letters", RSA1, RS, AUD("'urn:Test'"), NULL, "audience" },
    { "the audience with a comma", RSA1, RS, AUD("'" AUDIENCE ",urn:x'"), NULL, "audience" },
    /* times */
    { "expired", RSA1, RS, EXP("1769853600"), NULL, "expired 2026-01-31T10:00:00Z" },
    { "expired as the leeway ends", RSA1, RS, EXP("1779999940"), NULL, "expired" },
    { "expired in 1970", RSA1, RS, EXP("0"), NULL, "expired 1970-01-01T00:00:00Z" },
    { "no expiry", RSA1, RS, "{" WHO "}", NULL, "never expires" },
    { "an expiry that is text", RSA1, RS, EXP("'1780003600'"), NULL, "exp is not a date" },
    { "an expiry that is a fraction", RSA1, RS, EXP("1780003600.0"), NULL, "exp is not a date" },
    { "an expiry with an exponent", RSA1, RS, EXP("1e12"), NULL, "exp is not a date" },
    { "an expiry below zero", RSA1, RS, EXP("-1"), NULL, "exp is not a date" },
    { "an expiry of null", RSA1, RS, EXP("null"), NULL, "exp is not a date" },
    { "an expiry of true", RSA1, RS, EXP("true"), NULL, "exp is not a date" },
    { "an expiry after the year 9999", RSA1, RS, EXP("253402300800"), NULL, "exp is not a date" },
    { "the largest number", RSA1, RS, EXP("9223372036854775807"), NULL, "exp is not a date" },
    { "one more than the largest", RSA1, RS, EXP("9223372036854775808"), NULL, "claims" },
    { "a number beyond all", RSA1, RS, EXP("1e999"), NULL, "claims" },
    { "not valid yet", RSA1, RS, TIME("'nbf':1780000061"), NULL,
      "not valid before 2026-05-28T20:27:41Z" },
    { "a beginning that is text", RSA1, RS, TIME("'nbf':'1'"), NULL, "nbf is not a date" },
    { "a beginning of null", RSA1, RS, TIME("'nbf':null"), NULL, "nbf is not a date" },
    { "a beginning at the largest number", RSA1, RS, TIME("'nbf':9223372036854775807"), NULL,
      "nbf is not a date" },
    { "issued in the future", RSA1, RS, TIME("'iat':1780000061"), NULL, "future" },
    { "issued at a fraction", RSA1, RS, TIME("'iat':1.5"), NULL, "iat is not a date" },
    { "the end before the beginning", RSA1, RS, "{" WHO ",'nbf':1780000050,'exp':1780000020}", NULL,
      "before it is valid" },
};

static void a_bad_token_is_refused_and_the_reason_named(void **state)
{
    (void)state;
    struct cmg_keyset *keys = jose_set(JOSE_JWKS);
    for (size_t i = 0; i < CMG_COUNT(bad); i++) {
        struct cmg_err err = { 0 };
        char *token = jose_token(bad[i].key, bad[i].header, bad[i].claims);
        if (bad[i].twist)
            bad[i].twist(token);
        enum cmg_rc rc = jose_judge(keys, &rule, token, NOW, &err);
        if (rc != CMG_EDENIED)
            fail_msg("%s: %d %s", bad[i].says, rc, err.text);
        if (!err.text[0] || !strstr(err.text, bad[i].why))
            fail_msg("%s: \"%s\" does not say %s", bad[i].says, err.text, bad[i].why);
        free(token);
    }
    cmg_keyset_unref(keys);
}

/* Each character of a good token by several others: no byte of it is without meaning. */
static void no_character_of_a_token_may_change(void **state)
{
    (void)state;
    static const char *const tokens[] = { JOSE_RS256_TOKEN, JOSE_ES256_TOKEN };
    struct cmg_keyset *keys = jose_set(JOSE_JWKS);
    for (size_t k = 0; k < CMG_COUNT(tokens); k++) {
        char *token = cmg_strdup(tokens[k]);
        for (char *c = token; *c; c++) {
            const char was = *c;
            for (const char *with = "AQgw_.=\n"; *with; with++) {
                *c = *with;
                if (*c != was && jose_judge(keys, &rule, token, NOW, NULL) == CMG_OK)
                    fail_msg("token %zu, byte %td: taken with %d", k, c - token, *c);
            }
            *c = was;
        }
        free(token);
    }
    cmg_keyset_unref(keys);
}

static void no_part_of_a_token_is_enough(void **state)
{
    (void)state;
    struct cmg_keyset *keys = jose_set(JOSE_JWKS);
    char *token = cmg_strdup(JOSE_ES256_TOKEN);
    for (size_t n = strlen(token); n > 0; n--) {
        assert_int_equal(n == strlen(JOSE_ES256_TOKEN),
                         jose_judge(keys, &rule, token, NOW, NULL) == CMG_OK);
        token[n - 1] = '\0';
    }
    free(token);
    cmg_keyset_unref(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_token_is_refused_and_the_reason_named),
        cmocka_unit_test(no_character_of_a_token_may_change),
        cmocka_unit_test(no_part_of_a_token_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
