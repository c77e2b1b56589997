/* SPDX-License-Identifier: MIT */
/* JWK sets (RFC 7517). A set is written for many readers, so keys that are not for us are left
 * out; a set that could be read in two ways is refused as a whole. */
#include "cmg/auth/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"
#include "keyset.h"
#include "strict_json.h"

enum { NUMBER_MAX = 8192 / 8 + 1, P256_COORDINATE = 32 };

/* A member that is a number in base64url (RFC 7518 section 2). Returns its bytes, 0: it is none. */
static size_t number(const json_t *jwk, const char *member, unsigned char out[NUMBER_MAX])
{
    struct cmg_str text = cmg_json_text(jwk, member);
    size_t n = 0;
    if (cmg_base64_room(text.n) > NUMBER_MAX ||
        cmg_base64_get(CMG_BASE64URL, text, out, &n) != CMG_OK)
        return 0;
    return n;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *b)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    if (params && c && EVP_PKEY_fromdata_init(c) == 1)
        EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(c);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *rsa(const json_t *jwk)
{
    unsigned char n[NUMBER_MAX], e[NUMBER_MAX];
    size_t nn = number(jwk, "n", n), ne = number(jwk, "e", e);
    if (nn == 0 || ne == 0)
        return NULL;

    BIGNUM *bn = BN_bin2bn(n, (int)nn, NULL), *be = BN_bin2bn(e, (int)ne, NULL);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (bn && be && b && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
        OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, be) == 1)
        pkey = from_params("RSA", b);
    OSSL_PARAM_BLD_free(b);
    BN_free(be);
    BN_free(bn);
    return pkey;
}

/* Coordinates have their full length (RFC 7518 section 6.2.1.2). */
static EVP_PKEY *ec(const json_t *jwk)
{
    unsigned char x[NUMBER_MAX], y[NUMBER_MAX];
    unsigned char point[1 + 2 * P256_COORDINATE] = { POINT_CONVERSION_UNCOMPRESSED };
    if (!cmg_str_eq(cmg_json_text(jwk, "crv"), CMG_STR("P-256")) ||
        number(jwk, "x", x) != P256_COORDINATE || number(jwk, "y", y) != P256_COORDINATE)
        return NULL;
    memcpy(point + 1, x, P256_COORDINATE);
    memcpy(point + 1 + P256_COORDINATE, y, P256_COORDINATE);

    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (b && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
        pkey = from_params("EC", b);
    OSSL_PARAM_BLD_free(b);
    return pkey;
}

/* True when the member is not there, or is text and `wanted`. */
static bool none_or(const json_t *jwk, const char *member, const char *wanted)
{
    return !json_object_get(jwk, member) || cmg_str_eq(cmg_json_text(jwk, member), cmg_str(wanted));
}

static bool may_verify(const json_t *jwk)
{
    const json_t *ops = json_object_get(jwk, "key_ops");
    bool may = !ops;
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const char *op = json_string_value(json_array_get(ops, i));
        may = may || (op && strcmp(op, "verify") == 0);
    }
    return may && none_or(jwk, "use", "sig");
}

/* A name of the key: *out gets a copy. False: it is there, but no use. */
static bool name(const json_t *jwk, const char *member, char **out)
{
    struct cmg_str text = cmg_json_text(jwk, member);
    if (!json_object_get(jwk, member))
        return true;
    if (text.n == 0 || text.n > CMG_KEY_ID_MAX)
        return false;
    *out = cmg_str_dup(text);
    return true;
}

/* False: the key is not for us, and *k may own something all the same. */
static bool read_key(const json_t *jwk, struct cmg_key *k)
{
    struct cmg_str kty = cmg_json_text(jwk, "kty");
    EVP_PKEY *pkey = NULL;

    /* A key whose private half is published is everybody's. */
    if (!may_verify(jwk) || json_object_get(jwk, "d"))
        return false;
    if (!name(jwk, "kid", &k->kid) || !name(jwk, "x5t", &k->x5t) ||
        !name(jwk, "x5t#S256", &k->x5t_s256) || !name(jwk, "issuer", &k->issuer) || !k->kid)
        return false;
    if (cmg_str_eq(kty, CMG_STR("RSA")))
        pkey = rsa(jwk);
    else if (cmg_str_eq(kty, CMG_STR("EC")))
        pkey = ec(jwk);
    return pkey && cmg_pubkey_init(&k->pub, pkey, NULL) == CMG_OK &&
           none_or(jwk, "alg", cmg_alg_name(k->pub.alg));
}

/* The number of those left out is added to *left_out. */
static enum cmg_rc add(struct cmg_keyset *s, const json_t *keys, size_t *left_out,
                       struct cmg_err *err)
{
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *jwk = json_array_get(keys, i);
        struct cmg_key k = { 0 };
        if (!json_is_object(jwk))
            return cmg_fail(err, CMG_EPROTO, "keys[%zu] of the JWK set is not an object", i);
        enum cmg_rc rc = read_key(jwk, &k) ? cmg_keyset_put(s, &k) : CMG_EDENIED;
        if (rc == CMG_ETOOBIG)
            return cmg_fail(err, CMG_EPROTO, "more than %d keys", CMG_KEYSET_MAX);
        if (rc != CMG_OK) {
            cmg_key_clear(&k);
            ++*left_out;
        }
    }
    return CMG_OK;
}

static enum cmg_rc add_text(struct cmg_keyset *s, struct cmg_str json, size_t *left_out,
                            struct cmg_err *err)
{
    if (json.n > CMG_JWKS_BYTES_MAX)
        return cmg_fail(err, CMG_EPROTO, "the JWK set is longer than %d bytes", CMG_JWKS_BYTES_MAX);
    json_t *set = cmg_strict_json(json);
    const json_t *keys = json_object_get(set, "keys");
    size_t before = s->n;
    enum cmg_rc rc;

    if (!json_is_array(keys))
        rc = cmg_fail(err, CMG_EPROTO, "this is not a JWK set: {\"keys\":[...]}, nothing twice");
    else
        rc = add(s, keys, left_out, err);
    json_decref(set);
    if (rc == CMG_OK && s->n == before)
        rc =
            cmg_fail(err, CMG_EPROTO, "the JWK set has no key that can be used, of %zu", *left_out);
    if (rc != CMG_OK)
        cmg_keyset_cut(s, before);
    return rc;
}

enum cmg_rc cmg_keyset_add_jwks(struct cmg_keyset *s, struct cmg_str json, size_t *left_out,
                                struct cmg_err *err)
{
    size_t ignored;
    size_t *count = left_out ? left_out : &ignored;
    *count = 0;
    ERR_set_mark();
    enum cmg_rc rc = add_text(s, json, count, err);
    ERR_pop_to_mark();
    return rc;
}
