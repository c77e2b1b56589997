/* SPDX-License-Identifier: MIT */
/* Tokens made as a forger would, or a careful issuer: any header, any claims, any key. OpenSSL
 * alone signs here, so that what is tested does not test itself. */
#ifndef TEST_JOSE_MAKE_H
#define TEST_JOSE_MAKE_H

#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"
#include "jose_keys.h"

/* Members of most headers and claims, to be read by jose_json. */
#define ISSUER "https://issuer.example/"
#define AUDIENCE "urn:test"
#define RS_HEAD "'alg':'RS256','kid':'rsa-1'"
#define ES_HEAD "'alg':'ES256','kid':'ec-1'"
#define WHO "'iss':'" ISSUER "','aud':'" AUDIENCE "'"
#define TIMES "'nbf':1779999000,'exp':1780003600"
#define FINE "{" WHO "," TIMES "}"

/* The set that most tests verify with. */
/* clang-format off */
#define JOSE_JWK(members, more) "{" members "," more "}"
#define JOSE_JWKS "{\"keys\":[" \
    JOSE_JWK(JOSE_JWK_RSA1, "\"kid\":\"rsa-1\",\"x5t\":\"x5t-of-rsa-1\"") "," \
    JOSE_JWK(JOSE_JWK_RSA2, "\"kid\":\"rsa-2\",\"x5t\":\"x5t-of-rsa-2\"") "," \
    JOSE_JWK(JOSE_JWK_EC1, "\"kid\":\"ec-1\"") "," \
    JOSE_JWK(JOSE_JWK_EC2, "\"kid\":\"ec-2\"") "]}"
/* clang-format on */

enum { JOSE_ROOM = 20 * 1024, NOW = 1780000000 };

enum jose_key { RSA1, RSA2, EC1, EC2, JOSE_KEYS };

static const char *const jose_pems[JOSE_KEYS] = { JOSE_RSA1_PEM, JOSE_RSA2_PEM, JOSE_EC1_PEM,
                                                  JOSE_EC2_PEM };

static EVP_PKEY *jose_pkey(enum jose_key which)
{
    BIO *bio = BIO_new_mem_buf(jose_pems[which], -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!pkey)
        abort();
    return pkey;
}

/* JSON is easier to read with ' for "; and @ is a NUL. */
static struct cmg_str jose_json(const char *text, char out[4096])
{
    size_t n = strlen(text);
    if (n >= 4096)
        abort();
    for (size_t i = 0; i < n; i++)
        out[i] = text[i] == '\'' ? '"' : text[i] == '@' ? '\0' : text[i];
    return (struct cmg_str){ out, n };
}

static void jose_append(char *token, struct cmg_str bytes)
{
    cmg_base64_put(CMG_BASE64URL, bytes, token + strlen(token));
}

/* DER, as OpenSSL makes it. Returns its length. */
static size_t jose_sign_raw(enum jose_key which, const char *text, const EVP_MD *md, int padding,
                            unsigned char out[1024])
{
    EVP_PKEY *pkey = jose_pkey(which);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *p = NULL;
    size_t n = 1024;
    if (EVP_DigestSignInit(c, &p, md, NULL, pkey) != 1 ||
        (which <= RSA2 && EVP_PKEY_CTX_set_rsa_padding(p, padding) != 1) ||
        EVP_DigestSign(c, out, &n, (const unsigned char *)text, strlen(text)) != 1)
        abort();
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(pkey);
    return n;
}

/* As JOSE wants it: r and s for EC. */
static size_t jose_sign(enum jose_key which, const char *text, unsigned char out[1024])
{
    size_t n = jose_sign_raw(which, text, EVP_sha256(), RSA_PKCS1_PADDING, out);
    if (which <= RSA2)
        return n;
    const unsigned char *der = out;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) != 32 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) != 32)
        abort();
    ECDSA_SIG_free(sig);
    return 64;
}

/* A whole token that the caller frees; zeroed to JOSE_ROOM, so that there is room to add to it. */
static char *jose_token(enum jose_key which, const char *header, const char *claims)
{
    char json[4096];
    unsigned char signature[1024];
    char *token = cmg_alloc(JOSE_ROOM);
    jose_append(token, jose_json(header, json));
    token[strlen(token)] = '.';
    jose_append(token, jose_json(claims, json));
    size_t n = jose_sign(which, token, signature);
    token[strlen(token)] = '.';
    jose_append(token, (struct cmg_str){ (const char *)signature, n });
    return token;
}

#endif
