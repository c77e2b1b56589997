/* SPDX-License-Identifier: MIT */
#include "pubkey.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

enum {
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 8192,
    RSA_EXPONENT_BITS_MAX = 32,
    P256_BITS = 256,
    DIGEST_BYTES = 32,
    DER_MAX = 80 /* two integers of 33 bytes and their headers */
};

/* ---- What a key must be ---- */

static enum cmg_rc rsa_exponent(const EVP_PKEY *pkey, struct cmg_err *err)
{
    BIGNUM *n = NULL, *e = NULL;
    bool fine = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(n) &&
                BN_is_odd(e) && BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX && BN_get_word(e) >= RSA_F4;
    BN_free(n);
    BN_free(e);
    return fine ? CMG_OK
                : cmg_fail(err, CMG_ECONF, "an RSA key whose modulus or exponent is out of bounds");
}

static enum cmg_rc rsa_key(struct cmg_pubkey *k, struct cmg_err *err)
{
    int bits = EVP_PKEY_get_bits(k->pkey);
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return cmg_fail(err, CMG_ECONF, "an RSA key of %d bits; %d to %d it may have", bits,
                        RSA_BITS_MIN, RSA_BITS_MAX);
    k->alg = CMG_ALG_RS256;
    k->bits = (unsigned)bits;
    k->signature_bytes = ((size_t)bits + 7) / 8;
    return rsa_exponent(k->pkey, err);
}

/* The curve by its name: one that brings parameters of its own could have another generator. */
static bool on_p256(const EVP_PKEY *pkey)
{
    char group[32] = "";
    int of_its_own = 0;
    EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &of_its_own);
    return !of_its_own && EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

/* OpenSSL looks when it takes a point in, too; this does not rely on where it does. */
static bool sound_point(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pkey, NULL);
    bool sound = c && EVP_PKEY_public_check(c) == 1;
    EVP_PKEY_CTX_free(c);
    return sound;
}

static enum cmg_rc ec_key(struct cmg_pubkey *k, struct cmg_err *err)
{
    if (!on_p256(k->pkey))
        return cmg_fail(err, CMG_ECONF, "an EC key on another curve than P-256");
    if (!sound_point(k->pkey))
        return cmg_fail(err, CMG_ECONF, "an EC key that is not a point of its curve");
    k->alg = CMG_ALG_ES256;
    k->bits = P256_BITS;
    k->signature_bytes = CMG_ES256_BYTES;
    return CMG_OK;
}

/* For RSA the padding is named, so that no default decides. */
static bool set_up(EVP_PKEY_CTX *c, enum cmg_alg alg)
{
    return (alg != CMG_ALG_RS256 || EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1) &&
           EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1;
}

enum cmg_rc cmg_pubkey_init(struct cmg_pubkey *k, EVP_PKEY *taken, struct cmg_err *err)
{
    enum cmg_rc rc;

    *k = (struct cmg_pubkey){ .pkey = taken };
    ERR_set_mark();
    if (taken && EVP_PKEY_is_a(taken, "RSA"))
        rc = rsa_key(k, err);
    else if (taken && EVP_PKEY_is_a(taken, "EC"))
        rc = ec_key(k, err);
    else
        rc = cmg_fail(err, CMG_ECONF, "a key that is neither RSA nor EC");
    if (rc == CMG_OK) {
        k->verify = EVP_PKEY_CTX_new(taken, NULL);
        if (!k->verify || EVP_PKEY_verify_init(k->verify) != 1 || !set_up(k->verify, k->alg))
            rc = cmg_fail(err, CMG_ECONF, "a key that OpenSSL cannot verify with");
    }
    ERR_pop_to_mark();
    if (rc != CMG_OK)
        cmg_pubkey_clear(k);
    return rc;
}

void cmg_pubkey_clear(struct cmg_pubkey *k)
{
    EVP_PKEY_CTX_free(k->verify);
    EVP_PKEY_free(k->pkey);
    *k = (struct cmg_pubkey){ 0 };
}

/* ---- ES256: r and s as they are, while OpenSSL speaks DER ---- */

static size_t es256_to_der(const unsigned char raw[CMG_ES256_BYTES], unsigned char der[DER_MAX])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, CMG_ES256_HALF, NULL);
    BIGNUM *s = BN_bin2bn(raw + CMG_ES256_HALF, CMG_ES256_HALF, NULL);

    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1)
        abort();
    int n = i2d_ECDSA_SIG(sig, &der);
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

static bool es256_from_der(const unsigned char *der, size_t n, unsigned char raw[CMG_ES256_BYTES])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool fits = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, CMG_ES256_HALF) >= 0 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + CMG_ES256_HALF, CMG_ES256_HALF) >= 0;
    ECDSA_SIG_free(sig);
    return fits;
}

/* ---- Signatures ---- */

static void digest(struct cmg_str text, unsigned char out[DIGEST_BYTES])
{
    if (EVP_Digest(text.n ? text.p : "", text.n, out, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

/* The context is copied, because OpenSSL may keep state in the one it works with; setting up a
 * new one costs several times as much as the copy. */
static bool verify(const struct cmg_pubkey *k, struct cmg_str text, const unsigned char *signature,
                   size_t n)
{
    unsigned char hash[DIGEST_BYTES];
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_dup(k->verify);
    if (!c)
        abort();
    digest(text, hash);
    bool good = EVP_PKEY_verify(c, signature, n, hash, sizeof(hash)) == 1;
    EVP_PKEY_CTX_free(c);
    return good;
}

bool cmg_pubkey_verify(const struct cmg_pubkey *k, struct cmg_str text, struct cmg_str signature)
{
    const unsigned char *raw = (const unsigned char *)signature.p;
    unsigned char der[DER_MAX];

    if (signature.n != k->signature_bytes)
        return false;
    ERR_set_mark();
    bool good = k->alg == CMG_ALG_ES256 ? verify(k, text, der, es256_to_der(raw, der))
                                        : verify(k, text, raw, signature.n);
    ERR_pop_to_mark();
    return good;
}

size_t cmg_pubkey_sign(const struct cmg_pubkey *k, struct cmg_str text,
                       unsigned char out[CMG_SIGNATURE_MAX])
{
    unsigned char hash[DIGEST_BYTES], der[DER_MAX];
    bool raw = k->alg == CMG_ALG_RS256;
    size_t n = raw ? CMG_SIGNATURE_MAX : sizeof(der);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->pkey, NULL);

    digest(text, hash);
    ERR_set_mark();
    bool done = c && EVP_PKEY_sign_init(c) == 1 && set_up(c, k->alg) &&
                EVP_PKEY_sign(c, raw ? out : der, &n, hash, sizeof(hash)) == 1 &&
                (raw || es256_from_der(der, n, out));
    ERR_pop_to_mark();
    EVP_PKEY_CTX_free(c);
    return done ? k->signature_bytes : 0;
}
