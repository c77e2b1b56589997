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
#include <openssl/rsa.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"
#include "jose_pkey.h"

/* Members of most headers and claims, to be read by jose_json. */
#define ISSUER "https://issuer.example/"
#define AUDIENCE "urn:test"
#define RS_HEAD "'alg':'RS256','kid':'rsa-1'"
#define ES_HEAD "'alg':'ES256','kid':'ec-1'"
#define WHO "'iss':'" ISSUER "','aud':'" AUDIENCE "'"
#define TIMES "'nbf':1779999000,'exp':1780003600"
#define FINE "{" WHO "," TIMES "}"

enum { JOSE_ROOM = 20 * 1024, NOW = 1780000000 };

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
